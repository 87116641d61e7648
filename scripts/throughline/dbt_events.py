"""What dbt says while it runs: its events, and what of its messages a user reads."""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from throughline.findings import Finding

SHOWN_FAULTS = 10
DISK_IS_FULL = os.strerror(errno.ENOSPC)
UNREADABLE = re.compile(
    "Invalid Input Error|IO Error|don't know what type|TProtocolException|sniffing file|"
    "decompress|deserialize"
)
"""What DuckDB says of a file that is damaged or was not written to its end, among other things."""
NAMED = r"[^\"'*\n:]+\.(?:parquet|csv)(?:\.gz)?"
FILE = re.compile(rf"^\s*file = (.+)$|[\"']({NAMED})[\"']|: ({NAMED})$", re.MULTILINE)
GATE = re.compile("test (is_sound|meets_its_keys)_")
"""Tests that stop a build for what was delivered, whose lines say more than dbt does."""


@dataclass
class Run:
    """What the events of one dbt run have told so far."""

    faults: list[Finding] = field(default_factory=list)
    summary: str = ""
    inputs: list[str] = field(default_factory=list)
    took: dict[str, float] = field(default_factory=dict)
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
            self.took[data["node_info"]["unique_id"]] = data.get("execution_time") or 0.0
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
            if self.faults[-1].where.startswith("seed ") and "sniffing file" in message:
                what = what.partition(" It was not possible")[0]
                fix = "Where its columns changed, make it anew: dbt seed --full-refresh"
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
