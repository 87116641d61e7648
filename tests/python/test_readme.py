"""What the README shows of the demo is what the demo prints."""

from __future__ import annotations

import io
import re
from pathlib import Path

from rich.console import Console

from building import ROOT, Project
from throughline import build
from throughline.workspace import Workspace


def lines_by_model(text: str) -> set[tuple[str, str]]:
    """Each line of a printed scorecard with the heading it stands under, blanks run together."""
    found = set()
    model = ""
    for line in text.splitlines():
        if line.startswith("   "):
            found.add((model, " ".join(line.split())))
        elif line.strip():
            model = line.strip()
    return found


def test_the_shortened_scorecard_is_from_the_demo(demo_project: Project, demo: Path) -> None:
    workspace = Workspace(project=demo_project.root, folder=demo, chosen_by="the test")
    console = Console(file=io.StringIO(), width=200, highlight=False)
    console.print(
        build.scorecard(build.read_mart(workspace, "mart_scorecard", file=workspace.published))
    )
    assert isinstance(console.file, io.StringIO)
    printed = lines_by_model(console.file.getvalue())
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    block = re.search(r"\nScorecard: .*?status\n ─+\n(.*?)```", readme, re.DOTALL)
    assert block is not None
    shown = lines_by_model(block[1])
    assert len(shown) > 15
    assert shown <= printed, sorted(shown - printed)


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
