"""What the README shows of the demo is what the demo prints."""

from __future__ import annotations

import io
import re
from pathlib import Path

from rich.console import Console

from building import ROOT, Project
from throughline import build
from throughline.simulate import simulate
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


def test_the_shortened_scorecard_is_from_the_demo(tmp_path: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    demo = re.search(r"simulate --predictions (\d+) --days (\d+) --seed (\d+)", makefile)
    assert demo is not None
    predictions, days, seed = map(int, demo.groups())
    project = Project.copy(tmp_path / "project")
    workspace = project.root / "workspace"
    simulate(out=workspace, predictions=predictions, days=days, seed=seed)
    models = ("--select", "+mart_scorecard", "--exclude-resource-type", "test", "unit_test")
    run = project.build(workspace, *models)
    assert run.status == 0, run.output

    console = Console(file=io.StringIO(), width=200, highlight=False)
    chosen = Workspace(project=project.root, folder=workspace, chosen_by="the test")
    console.print(build.scorecard(build.read_mart(chosen, "mart_scorecard")))
    assert isinstance(console.file, io.StringIO)
    printed = lines_by_model(console.file.getvalue())
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    block = re.search(r"\nScorecard: .*?status\n ─+\n(.*?)```", readme, re.DOTALL)
    assert block is not None
    shown = lines_by_model(block[1])
    assert len(shown) > 15
    assert shown <= printed, sorted(shown - printed)
