"""dbt as a process of its own: its environment, its target, and the macros that answer."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from throughline.dbt_events import telling
from throughline.findings import Finding, UserError
from throughline.project import PACKAGE
from throughline.workspace import Workspace

OURS = "THROUGHLINE_"
"""What our own variables begin with, which no host reads."""
SCRATCH = {
    # by the name of its profile our project knows whether it is installed in another
    profile: {
        "outputs": {
            "scratch": {
                "type": "duckdb",
                "path": "{{ env_var('THROUGHLINE_SCRATCH') }}",
                "settings": {"TimeZone": "UTC"},
            }
        },
        "target": "scratch",
    }
    for profile in (PACKAGE, "scratch")
}


def environment(workspace: Workspace) -> dict[str, str]:
    """What a dbt process gets: the workspace, and no word to anyone outside."""
    outside = {
        name: value
        for name, value in os.environ.items()
        if not (workspace.is_host and name.startswith(OURS))
    }
    return {
        **outside,
        **workspace.environment(),
        "DBT_PROJECT_DIR": str(workspace.project),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "DBT_VERSION_CHECK": "false",
    }


@contextmanager
def within(variables: Mapping[str, str]) -> Iterator[None]:
    """Variables for a dbt in this process; those that were there come back."""
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def inside(workspace: Workspace) -> Iterator[None]:
    """The folder and the environment of a dbt in this process; those that were there come back."""
    before, folder = dict(os.environ), Path.cwd()
    given = environment(workspace)
    os.environ.clear()
    os.environ.update(given)
    os.chdir(workspace.project)
    try:
        yield
    finally:
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(before)


def program(name: str) -> str:
    """A program of the running Python's environment, else of PATH."""
    beside = Path(sys.executable).parent / name
    return str(beside) if beside.exists() else shutil.which(name) or name


@contextmanager
def scratch(workspace: Workspace) -> Iterator[dict[str, str]]:
    """The environment of a dbt that writes its database, target and logs into a folder of its own.

    The database speaks DuckDB's SQL, whatever the warehouse.
    """
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "profiles.yml").write_text(json.dumps(SCRATCH), encoding="utf-8")
        yield {
            **environment(workspace),
            "DBT_PROFILE": PACKAGE if not workspace.is_host else "scratch",
            "DBT_PROFILES_DIR": folder,
            "DBT_TARGET_PATH": folder,
            "DBT_LOG_PATH": folder,
            "DBT_TARGET": "scratch",
            "THROUGHLINE_SCRATCH": f"{folder}/scratch.duckdb",
        }


def operation(
    workspace: Workspace, macro: str, arguments: Mapping[str, Any], *, variables: Mapping[str, str]
) -> dict[str, Any]:
    """The object that a macro prints as a line of JSON after a word; raises UserError."""
    asked = ("run-operation", f"{PACKAGE}.{macro}", "--args", json.dumps(arguments))
    output = captured(workspace, ("--no-use-colors", "--quiet", *asked), variables=variables)
    for line in output.splitlines():
        said = re.fullmatch(r"[A-Z]+ (\{.*\})", line)
        if said:
            found: dict[str, Any] = json.loads(said[1])
            return found
    message = telling(re.sub(r"(?m)^\d\d:\d\d:\d\d +", "", output))
    raise UserError(Finding("error", message, "dbt", "Correct it: dbt cannot read the project."))


def captured(
    workspace: Workspace, arguments: Sequence[str], *, variables: Mapping[str, str]
) -> str:
    finished = subprocess.run(
        [program("dbt"), *arguments],
        cwd=workspace.project,
        env=variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if finished.returncode < 0:
        raise UserError(killed(-finished.returncode))
    return finished.stdout + finished.stderr


def killed(number: int) -> Finding:
    """Of a dbt process that a signal ended."""
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = str(number)
    fix = "Build again: nothing is lost."
    if number == signal.SIGKILL:
        fix = f"If memory ran out, give it more or lower THROUGHLINE_MEMORY_LIMIT. {fix}"
    return Finding("error", f"was killed by signal {name}", "dbt", fix)
