"""What the README shows of the demo is what the demo prints."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from building import ROOT, Project
from throughline.scorecard import Scorecard


def test_the_scorecard_is_that_of_the_demo(
    demo_project: Project, demo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    command = "throughline scorecard --model lead_scoring"
    run = demo_project.run(demo, command.split())
    assert run.status == 0, run.output
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    block = re.search(rf"`{command}` prints it:\n\n```\n(.*?)```", readme, re.DOTALL)
    assert block is not None
    assert run.printed == block[1]


def test_the_keys_of_the_scorecard_are_documented() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = re.search(r"\| Key \| What it holds \|\n(.*?)\n\n", readme, re.DOTALL)
    assert table is not None
    named = [
        name
        for line in table[1].splitlines()
        for name in re.findall(r"`(\w+)`", line.split("|")[1])
    ]
    assert named == [field.name for field in fields(Scorecard)]


def test_the_shortened_experiment_is_from_the_demo(demo_project: Project, demo: Path) -> None:
    run = demo_project.run(demo, ["throughline", "lift"])
    assert run.status == 0, run.output
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    block = re.search(r"\n(offer_ranking_reasons, as of .*?)```", readme, re.DOTALL)
    assert block is not None
    shown, printed = (
        {" ".join(line.split()).strip("─ ") for line in text.splitlines()}
        for text in (block[1], run.output)
    )
    assert len(shown) > 6
    assert shown <= printed, sorted(shown - printed)
