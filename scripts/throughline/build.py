"""Builds a workspace with dbt: its progress, and its faults in one line each."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from throughline import progress
from throughline.dbt_events import Run, shown
from throughline.dbt_process import environment, killed, program
from throughline.findings import Finding
from throughline.host import WRITTEN, Host
from throughline.project import PACKAGE
from throughline.workspace import Workspace

SELECTING = frozenset({"--select", "-s", "--models", "-m", "--exclude", "--selector"})
"""Arguments by which dbt builds a part."""
LEADING = re.compile("(-t.*|--target|--profile|--profiles-dir)(=.*)?")
"""Arguments by which dbt would build elsewhere than lift and the scorecard look."""
UNIT_TESTS = re.compile(r"unit_test|test_type:unit")
"""In an argument of dbt: it names unit tests."""


def run(
    workspace: Workspace, *, arguments: Sequence[str], console: Console, is_verbose: bool = False
) -> list[Finding]:
    """Runs `dbt build`; the faults that stopped it, none on success."""
    command = [program("dbt"), "--no-use-colors"]
    began_with = _file_number(workspace.warehouse)
    if is_verbose:
        finished = subprocess.run(
            [*command, "build", *arguments],
            cwd=workspace.project,
            env=environment(workspace),
            stdin=subprocess.DEVNULL,
            check=False,
        )
        if finished.returncode > 0:
            fix = "Its output above says why."
            return [Finding("error", "did not succeed", "dbt build", fix)]
        return interrupted(workspace, finished.returncode, began_with=began_with)
    seen = Run()
    with (
        progress.shown(
            workspace.artefacts, "dbt build", console=console, of=" ".join(arguments)
        ) as meter,
        subprocess.Popen(
            [*command, "--log-format", "json", "build", *arguments],
            cwd=workspace.project,
            env=environment(workspace),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        ) as process,
    ):
        for line in process.stdout or ():
            seen.take(line)
            meter.follow(doing=seen.doing, done=seen.took, total=seen.total or None)
    for line in seen.inputs:
        console.print(line, markup=False, soft_wrap=True)
    if process.returncode > 0:
        return shown(seen)
    faults = interrupted(workspace, process.returncode, began_with=began_with)
    if not faults:
        console.print(f"dbt build: {seen.summary}", markup=False, soft_wrap=True)
    return faults


def interrupted(workspace: Workspace, code: int, *, began_with: int | None) -> list[Finding]:
    """What befell a dbt that names no fault: a signal, or the loss of the file that it wrote.

    `began_with` is the number of that file before, if there was one.
    """
    if code < 0:
        return [killed(-code)]
    there = _file_number(workspace.warehouse)
    if workspace.is_in_file and (there is None or there != (began_with or there)):
        what = "was moved, removed or replaced while it was built: what dbt wrote is lost"
        where = workspace.shown(workspace.warehouse)
        return [Finding("error", what, where, "Build again, and leave it there meanwhile.")]
    return []


def _file_number(path: Path) -> int | None:
    return path.stat().st_ino if path.exists() else None


def left_out(workspace: Workspace, *, no_tests: bool, given: Sequence[str]) -> list[str]:
    """Arguments that keep tests out of a build.

    Unit tests know nothing of a workspace: a build runs them only for whoever names them. What
    dbt's own variable leaves out stays out, which dbt would forget beside an argument.
    """
    types = (workspace.variable("DBT_EXCLUDE_RESOURCE_TYPES") or "").split()
    types += ["test"] if no_tests else []
    if no_tests or not any(map(UNIT_TESTS.search, given)):
        types.append("unit_test")
    return [word for kind in types for word in ("--exclude-resource-type", kind)]


def parts(workspace: Workspace) -> list[Sequence[str]]:
    """What dbt is to select, in turn; lift is computed between two of them."""
    if isinstance(workspace, Host):
        # dbt knows the selectors of its root project alone
        ours = ("--select", f"+package:{PACKAGE}")
        if not has_experiments(workspace):
            return [ours]
        own = [f"package:{PACKAGE},{name}" for name in workspace.made_from_lift]
        below = f"package:{PACKAGE},{PACKAGE}.lift.{WRITTEN}*+"
        return [(*ours, "--exclude", *own), ("--select", below)]
    selectors = ("before_lift", "after_lift") if has_experiments(workspace) else ()
    return [("--selector", name) for name in selectors] or [()]


def has_experiments(workspace: Workspace) -> bool:
    """Whether experiments are declared and assignments delivered: else there is no lift."""
    if "experiment_assignments" not in workspace.settings.get("inputs", workspace.contract):
        return False
    if workspace.is_host:
        return "experiments" in workspace.settings["governed"]
    declared = workspace.project / workspace.seeds / "experiments.csv"
    lines = declared.read_text(encoding="utf-8-sig").splitlines()
    return any(line.strip() for line in lines[1:])
