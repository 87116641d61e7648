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
from throughline.files import read_env
from throughline.findings import Finding, UserError
from throughline.workspace import Workspace

SCRATCH = {
    "throughline": {
        "outputs": {
            "scratch": {
                "type": "duckdb",
                "path": "{{ env_var('THROUGHLINE_SCRATCH') }}",
                "settings": {"TimeZone": "UTC"},
            }
        },
        "target": "scratch",
    }
}


def target(workspace: Workspace) -> str:
    """The dbt target in force, as dbt itself or profiles.yml chooses it."""
    names = ("DBT_TARGET", "THROUGHLINE_TARGET")
    return next(filter(None, (variable(workspace, name) for name in names)), "duckdb")


def is_in_file(workspace: Workspace) -> bool:
    """Whether the warehouse is the file of the workspace: a profile of one's own may say else."""
    return target(workspace) == "duckdb" and not variable(workspace, "DBT_PROFILES_DIR")


def variable(workspace: Workspace, name: str) -> str | None:
    """A variable as dbt reads it: from the environment, else from .env."""
    return os.environ.get(name) or read_env(workspace.project / ".env").get(name)


def environment(workspace: Workspace) -> dict[str, str]:
    """What a dbt process gets: the workspace, and no word to anyone outside."""
    return {
        **os.environ,
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


def program(name: str) -> str:
    """A program of the running Python's environment, else of PATH."""
    beside = Path(sys.executable).with_name(name)
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
    asked = ("run-operation", macro, "--args", json.dumps(arguments))
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
