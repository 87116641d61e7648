"""What the command line says of itself: examples that can be typed, and its exit statuses."""

from __future__ import annotations

import inspect
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest

from building import ROOT
from conftest import Company, Outcome
from throughline.cli import cli

Call = Callable[..., Outcome]
STATUSES = {0: "done", 1: "a fault", 2: "not understood"}


def help_of(name: str) -> str:
    return inspect.cleandoc(cli.commands[name].help or "")


def examples(text: str) -> Iterator[list[str]]:
    """The command lines of a help text, as words after `throughline`; variables stand before it."""
    for line in re.split(r"Examples?:", text, maxsplit=1)[1].splitlines():
        found = re.match(r"\s*(?:[A-Z_]+=\S+ )*throughline (.+?)\s*$", line)
        if found:
            yield shlex.split(found[1])
        elif line.strip():
            return


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_every_command_has_an_example_that_can_be_typed(name: str) -> None:
    """Of that command, with options and arguments that it knows."""
    found = list(examples(help_of(name)))
    assert found
    for words in found:
        parsed = cli.make_context("throughline", list(words), resilient_parsing=True)
        rest = [*parsed._protected_args, *parsed.args]
        assert rest[0] == name
        command = cli.commands[name]
        command.parse_args(click.Context(command, info_name=name), rest[1:])


def test_what_is_no_option_would_be_seen() -> None:
    command = cli.commands["build"]
    with pytest.raises(click.UsageError):
        command.parse_args(click.Context(command), ["--slowly"])


def test_the_exit_statuses_are_those_that_are_documented(
    company: Company, throughline: Call
) -> None:
    throughline("use", "company")
    company.settings("minimum_cell: 0")
    endings = {
        0: [("--version",), ("init", "--help")],
        1: [("doctor",), ("scorecard",), ("use", "nowhere")],
        2: [("buidl",), ("build", "--slowly"), ("simulate",), ("init",)],
    }
    for status, commands in endings.items():
        for command in commands:
            assert throughline(*command).status == status, command
    company.settings("minimum_cell: 1")
    ran = throughline("exec", "--", Path(sys.executable).name, "-c", "raise SystemExit(7)")
    assert ran.status == 7
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = readme.partition("| Status |")[2].partition("\n\n")[0]
    helped = throughline("--help").out.partition("Exit status:")[2].partition("\n\n")[0]
    for status, word in STATUSES.items():
        assert re.search(rf"\b{status} +.*{word}", helped), helped
        assert re.search(rf"\| {status} \|.*{word}", table), table
