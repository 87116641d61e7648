"""Runs dbt on a workspace: its environment, progress, faults in one line each."""

from __future__ import annotations

import errno
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
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import duckdb
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from throughline.sql import relation
from throughline.workspace import Finding, UserError, Workspace, read_env

SHOWN_FAULTS = 10
DISK_IS_FULL = os.strerror(errno.ENOSPC)
UNREADABLE = re.compile(
    "Invalid Input Error|IO Error|don't know what type|TProtocolException|sniffing file|"
    "decompress|deserialize"
)
"""What DuckDB says of a file that is damaged or was not written to its end, among other things."""
NAMED = r"[^\"'*\n:]+\.(?:parquet|csv)(?:\.gz)?"
FILE = re.compile(rf"^\s*file = (.+)$|[\"']({NAMED})[\"']|: ({NAMED})$", re.MULTILINE)
SELECTING = frozenset({"--select", "-s", "--models", "-m", "--exclude", "--selector"})
"""Arguments by which dbt builds a part."""
LEADING = re.compile("(-t.*|--target|--profile|--profiles-dir)(=.*)?")
"""Arguments by which dbt would build elsewhere than lift and the scorecard look."""
UNIT_TESTS = re.compile(r"unit_test|test_type:unit")
"""In an argument of dbt: it names unit tests."""
GATE = re.compile("test (is_sound|meets_its_keys)_")
"""Tests that stop a build for what was delivered, whose lines say more than dbt does."""
MEMORY_LIMIT = "4GB"
"""Of DuckDB where nothing else is said, as in profiles.yml."""
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
    beside = Path(sys.executable).parent / name
    return str(beside) if beside.exists() else shutil.which(name) or name


@dataclass
class Run:
    """What the events of one dbt run have told so far."""

    faults: list[Finding] = field(default_factory=list)
    summary: str = ""
    inputs: list[str] = field(default_factory=list)
    done: int = 0
    total: int = 0
    doing: str = "starting dbt"

    def take(self, line: str) -> None:
        """Reads one line of dbt's output: a JSON event, or the plain text of an early failure."""
        try:
            event = json.loads(line)
            name, message = event["info"]["name"], plain(event["info"]["msg"])
            data = event.get("data", {})
        except (ValueError, KeyError, TypeError):
            if line.strip():
                self.summary = f"{self.summary}\n{plain(line)}"
            return
        if name == "LogStartLine":
            self.total = data.get("total") or self.total
            self.doing = data.get("node_info", {}).get("node_name", "")
        elif name == "SkippingDetails" or (data.get("index") and "status" in data):
            self.done += 1
        elif name == "RunResultFailure":
            where = message.removeprefix("[ERROR]: in ")
            fault = Finding("error", "failed", where, "")
            if GATE.search(where):
                fix = "The lines above say what and how to mend it; all of it: mart_input_health."
                fault = Finding("error", "what was delivered bends every number", where, fix)
            self.faults.append(fault)
        elif name == "JinjaLogInfo" and message.startswith("input "):
            self.inputs.append(message.removeprefix("input "))
        elif name.startswith("RunResultError") and self.faults and not self.faults[-1].fix:
            what, fix = telling(message), advised(message)
            self.faults[-1] = replace(self.faults[-1], what=what, fix=fix)
        elif name == "SQLCompiledPath" and self.faults and not self.faults[-1].fix:
            path = message.strip().removeprefix("compiled code at ")
            fix = f"Its query: {path}"
            if "(models/config/" in self.faults[-1].where:
                fix = "Each row and its fix: throughline doctor"
            self.faults[-1] = replace(self.faults[-1], fix=fix)
        elif name == "MainEncounteredError":
            self.faults.append(Finding("error", telling(message), "dbt", ""))
        elif name == "StatsLine":
            self.summary = message


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
        Progress(
            TextColumn("dbt build"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.description}", markup=False),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        ) as progress,
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
        task = progress.add_task(seen.doing, total=None)
        for line in process.stdout or ():
            seen.take(line)
            progress.update(
                task, completed=seen.done, total=seen.total or None, description=seen.doing
            )
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
    if is_in_file(workspace) and (there is None or there != (began_with or there)):
        what = "was moved, removed or replaced while it was built: what dbt wrote is lost"
        where = f"{workspace.relative}/{workspace.warehouse.name}"
        return [Finding("error", what, where, "Build again, and leave it there meanwhile.")]
    return []


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


def _file_number(path: Path) -> int | None:
    return path.stat().st_ino if path.exists() else None


def left_out(workspace: Workspace, *, no_tests: bool, given: Sequence[str]) -> list[str]:
    """Arguments that keep tests out of a build.

    Unit tests know nothing of a workspace: a build runs them only for whoever names them. What
    dbt's own variable leaves out stays out, which dbt would forget beside an argument.
    """
    types = (variable(workspace, "DBT_EXCLUDE_RESOURCE_TYPES") or "").split()
    types += ["test"] if no_tests else []
    if no_tests or not any(map(UNIT_TESTS.search, given)):
        types.append("unit_test")
    return [word for kind in types for word in ("--exclude-resource-type", kind)]


def has_experiments(workspace: Workspace) -> bool:
    """Whether experiments are declared and assignments delivered: else there is no lift."""
    if "experiment_assignments" not in workspace.settings.get("inputs", workspace.contract):
        return False
    declared = workspace.project / workspace.seeds / "experiments.csv"
    lines = declared.read_text(encoding="utf-8-sig").splitlines()
    return any(line.strip() for line in lines[1:])


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


def read_rules(
    workspace: Workspace, *, conditions: Sequence[str], variables: Mapping[str, str]
) -> dict[str, Any]:
    """What the macro `print_rules` says: {"problems": [...], "rules": [...]}; raises UserError.

    `conditions` are those of the alert rules, `variables` those of a scratch.
    """
    given = {"conditions": list(conditions)}
    return operation(workspace, "print_rules", given, variables=variables)


def operation(
    workspace: Workspace, macro: str, arguments: Mapping[str, Any], *, variables: Mapping[str, str]
) -> dict[str, Any]:
    """The object that a macro prints as a line of JSON after a word; raises UserError."""
    asked = ("run-operation", macro, "--args", json.dumps(arguments))
    output = _captured(workspace, ("--no-use-colors", "--quiet", *asked), variables=variables)
    for line in output.splitlines():
        said = re.fullmatch(r"[A-Z]+ (\{.*\})", line)
        if said:
            found: dict[str, Any] = json.loads(said[1])
            return found
    message = telling(re.sub(r"(?m)^\d\d:\d\d:\d\d +", "", output))
    raise UserError(Finding("error", message, "dbt", "Correct it: dbt cannot read the project."))


def read_input_checks(
    workspace: Workspace, *, variables: Mapping[str, str], rows: int | None
) -> list[dict[str, Any]]:
    """The rows of fct_input_checks, built in a scratch of the first `rows` of each raw table.

    Raises UserError where dbt cannot build it.
    """
    seen = Run()
    looked_at = ("--vars", json.dumps({"rows_looked_at": rows})) if rows else ()
    arguments = (
        *("--no-use-colors", "--log-format", "json", "build", "--select", "+fct_input_checks"),
        *("--exclude-resource-type", "test", "--exclude-resource-type", "unit_test", *looked_at),
    )
    for line in _captured(workspace, arguments, variables=variables).splitlines():
        seen.take(line)
    try:
        with duckdb.connect(variables["THROUGHLINE_SCRATCH"], read_only=True) as connection:
            cursor = connection.execute(
                f"from {relation(f'{workspace.schema}_core', 'fct_input_checks')}"
            )
            columns = [column[0] for column in cursor.description or ()]
            return [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]
    except duckdb.Error:
        raise UserError(*shown(seen)) from None


def _captured(
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


def shown(seen: Run) -> list[Finding]:
    """What of a failed run a user reads: its first faults, or the one that explains all."""
    if any(DISK_IS_FULL in fault.what for fault in seen.faults):
        fix = "Make room and build again: nothing is lost."
        return [Finding("error", "the disk is full", "dbt build", fix)]
    if not seen.faults:
        return [Finding("error", telling(seen.summary) or "failed", "dbt", "See logs/dbt.log.")]
    faults = _gathered(seen.faults)
    left_off = len(faults) - SHOWN_FAULTS
    if left_off <= 0:
        return faults
    more = Finding("error", f"{left_off} more faults", "dbt", "throughline build --verbose")
    return [*faults[:SHOWN_FAULTS], more]


def _gathered(faults: Sequence[Finding]) -> list[Finding]:
    """One line for all that have one cause, such as a warehouse that is gone."""
    alike: dict[tuple[str, str], list[Finding]] = {}
    for fault in faults:
        alike.setdefault((fault.what, fault.fix), []).append(fault)
    return [
        replace(first, where=f"{first.where} and {len(others)} more") if others else first
        for first, *others in alike.values()
    ]


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def telling(message: str) -> str:
    """The sentence of a dbt message that says what is wrong, on one line."""
    kept: list[str] = []
    for line in (line.strip() for line in message.splitlines()):
        if line.startswith(("> in macro", "> called by", "LINE ", "compiled code at", *ASIDES)):
            break
        if line and not re.match(r"(\[ERROR\]: Encountered|\w+ Error( in .*)?$)", line):
            kept.append(line)
    return " ".join(kept) or " ".join(message.split())


ASIDES = ("HINT:", "CONTEXT:", "Possible fixes:")
"""Lines of Postgres and DuckDB after those that say what is wrong."""


def advised(message: str) -> str:
    """The fix that a message carries or calls for, else the empty text."""
    hint = re.search(r"HINT: +(.+)", message)
    if hint:
        return hint[1].strip()
    if "canceling statement due to lock timeout" in message:
        return "Another session holds it: end its transaction, or raise THROUGHLINE_LOCK_TIMEOUT."
    # what follows quotes the query, which names files that are well
    said = re.split(r"(?m)^\s*LINE \d+:", message)[0]
    if not UNREADABLE.search(said):
        return ""
    files = ["".join(found).strip() for found in FILE.findall(said)]
    if files:
        return f"Deliver {files[-1]} again, whole, or move it out of the folder."
    if re.search("what type|TProtocol|sniffing|decompress|deserialize", said):
        return "A delivered file is damaged: deliver the latest again, whole, or move it away."
    return ""
