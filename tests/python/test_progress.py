"""What long commands show of their progress, and what they keep for the next time."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from conftest import Outcome
from throughline import progress
from throughline.progress import Work, told

Call = Callable[..., Outcome]
LAST = {"one": 10.0, "two": 20.0, "three": 30.0}


def test_what_is_left_is_what_the_rest_took_the_last_time() -> None:
    assert Work(last=LAST).left(0) == 60
    assert Work(last=LAST, done={"one": 10.0, "two": 20.0}).left(30) == 30
    assert Work(last=LAST, done=dict(LAST)).left(60) == 0


def test_a_slower_run_is_told_to_be_slower() -> None:
    work = Work(last=LAST, done={"one": 20.0, "two": 40.0})
    assert work.left(60) == pytest.approx(60)
    # four at a time
    assert work.left(15) == pytest.approx(15)


def test_a_first_run_tells_by_what_it_has_done() -> None:
    assert Work(last={}, total=4).left(5) is None
    assert Work(last={}, total=4, done={"a": 2.0}).left(2) == pytest.approx(6)
    # how many there are is not known either
    assert told(Work(last={}, doing="a"), elapsed=3) == "a"


def test_pieces_that_are_new_take_as_long_as_the_others() -> None:
    assert Work(last=LAST, total=6).left(0) == 120


def test_what_is_told() -> None:
    work = Work(last=LAST, doing="two", done={"one": 10.0})
    assert told(work, elapsed=10) == "1/3  two  about 50 s left"
    slow = Work(last={"one": 400.0}, doing="one")
    assert told(slow, elapsed=0) == "0/1  one  about 7 min left"
    assert told(Work(last=LAST, doing="three", done=dict(LAST)), elapsed=60) == "3/3  three"


def test_a_run_is_remembered_and_one_cut_short_loses_nothing(tmp_path: Path) -> None:
    console = Console(file=io.StringIO())
    with progress.shown(tmp_path, "lift", console=console) as meter:
        for piece in ("read", "write"):
            meter.begin(piece)
    file = tmp_path / progress.FILE
    assert list(progress.read(file)["lift"]) == ["read", "write"]
    kept = {"lift": {"read": 3.0, "write": 4.0}}
    file.write_text(json.dumps(kept))

    with (
        pytest.raises(KeyError, match="gone"),
        progress.shown(tmp_path, "lift", console=console) as meter,
    ):
        meter.begin({"there": "read"}["gone"])
    assert progress.read(file) == kept
    with progress.shown(tmp_path, "dbt build", console=console) as meter:
        meter.follow(doing="b", done={"a": 1.0}, total=3)
    assert progress.read(file) == kept | {"dbt build": {"a": 1.0, "b": pytest.approx(0, abs=1)}}


def test_what_cannot_be_read_or_kept_disturbs_nobody(tmp_path: Path) -> None:
    (tmp_path / progress.FILE).write_text("[1")
    assert progress.read(tmp_path / progress.FILE) == {}
    (tmp_path / "target").write_text("a file")
    with progress.shown(tmp_path / "target", "lift", console=Console(file=io.StringIO())) as meter:
        meter.begin("read")


def on_a_terminal(project: Path, *arguments: str) -> str:
    """What a command writes to a terminal."""
    ours, theirs = pty.openpty()
    program = Path(sys.executable).with_name("throughline")
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in ("NO_COLOR", "CI", "TTY_COMPATIBLE", "TTY_INTERACTIVE")
    }
    with subprocess.Popen(
        [program, *arguments],
        cwd=project,
        env=kept | {"TERM": "xterm", "COLUMNS": "120"},
        stdout=theirs,
        stderr=theirs,
    ):
        os.close(theirs)
        parts = []
        try:
            while part := os.read(ours, 65536):
                parts.append(part)
        except OSError:
            pass  # how Linux says that the other end is closed
    os.close(ours)
    return b"".join(parts).decode()


SMALL = ("simulate", "--predictions", "300", "--days", "14", "--out", "made")


def test_progress_is_for_a_terminal_alone(project: Path, throughline: Call) -> None:
    line = "made: 300 predictions over 14 days\n"
    seen = on_a_terminal(project, *SMALL)
    assert "truth.json" in seen
    assert re.search(r"about \d+ s left", on_a_terminal(project, *SMALL))
    assert on_a_terminal(project, *SMALL, "--quiet").replace("\r\n", "\n") == line
    piped = throughline(*SMALL)
    assert (piped.out, piped.err) == (line, "")
