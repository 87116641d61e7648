"""The places that a build writes to: folders, and the file of DuckDB."""

from __future__ import annotations

import os
import re
from pathlib import Path

import duckdb

from throughline.findings import Finding
from throughline.sql import first_sentence
from throughline.workspace import Workspace


def check_folders(workspace: Workspace) -> list[Finding]:
    """A build writes the warehouse into the workspace, and dbt its own files."""
    findings = []
    if not workspace.is_host and not _is_writable(workspace.folder):
        fix = f"The build writes warehouse.duckdb there: chmod u+wx {workspace.relative}"
        findings.append(Finding("error", "folder is not writable", workspace.relative, fix))
    for variable, usual in (("DBT_LOG_PATH", "logs"), ("DBT_TARGET_PATH", "target")):
        folder = workspace.variable(variable) or usual
        if not _is_writable(workspace.project / folder):
            fix = f"Make its folder writable, or name another in {variable}."
            findings.append(Finding("error", "dbt cannot write there", folder, fix))
    return findings


def _is_writable(folder: Path) -> bool:
    """Also if it can be made."""
    there = next(place for place in (folder, *folder.parents) if place.exists())
    return os.access(there, os.W_OK | os.X_OK)


def lock_fault(workspace: Workspace) -> Finding | None:
    """Why a build could not write the warehouse of DuckDB, if so."""
    if not workspace.warehouse.exists():
        return None
    where = workspace.shown(workspace.warehouse)
    try:
        duckdb.connect(str(workspace.warehouse)).close()
    except duckdb.Error as error:
        message = " ".join(str(error).split())
        holder = re.search(r"held in (.*?) \(PID (\d+)\)", message)
        if holder:
            program, process = Path(holder[1]).name, holder[2]
            what = f"in use by {program} (process {process})"
            return Finding("error", what, where, "Close it and try again.")
        if "lock" in message:
            return Finding("error", "in use by another process", where, "Close it and try again.")
        what = f"cannot be opened: {first_sentence(message)}"
        fix = "Move it away: the build makes another, without the lift of earlier days."
        if re.search("Permission denied|Read-only file system", message):
            fix = "Make the file and its folder writable."
        return Finding("error", what, where, fix)
    return None
