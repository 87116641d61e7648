"""Open alerts: what mart_alerts says, as text, as an object, and as notices to an endpoint."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from rich.text import Text
from urllib3.util import Retry

from throughline import scorecard
from throughline.findings import refuse
from throughline.workspace import Workspace

Row: TypeAlias = "dict[str, Any]"

RELATIONS = {"mart_alerts": "marts", "mart_alert_rules": "marts", "fct_alert_history": "alerts"}
TIERS = ("technical", "experience", "business")
STYLES = {"critical": "bold red", "major": "yellow", "minor": ""}
"""Styles by severity, what needs a hand first."""
SHOWN = 5
"""Blind rules that are named."""
TIMEOUT = (5.0, 10.0)
"""Seconds to connect, and to wait for an answer."""
RETRIES = 3
BACKOFF = 0.5
"""Seconds before the second retry; each waits twice as long as the one before."""
BUSY = (429, 500, 502, 503, 504)
"""Answers after which a post is tried again."""
KEY_HEADER = "Idempotency-Key"
ENDS = ("closed", "withdrawn")
"""States after which nothing more is told of an alert."""
UNDATED = "input_health"
"""Metric whose alerts seem to open anew each day, since nobody knows since when."""
TOLD = ("alert_key", "opened_date")
"""What of a note says which alert it is about."""


@dataclass(frozen=True, kw_only=True)
class Alerts:
    """Open alerts, what needs a hand first, all that there have been, and rules that are blind."""

    open: Sequence[Row]
    history: Sequence[Row]
    blind: Sequence[Row]
    elsewhere: Sequence[Row] = ()
    """Open alerts of other tiers, which may hasten these."""

    def of(self, tier: str) -> Alerts:
        """Those of a tier alone."""
        kept, blind = (
            [row for row in rows if row["tier"] == tier] for rows in (self.open, self.blind)
        )
        others = [row for row in self.open if row["tier"] != tier]
        return Alerts(open=kept, history=self.history, blind=blind, elsewhere=others)

    @property
    def problems(self) -> list[Row]:
        """The roots, and what is held by an alert that is not among these, as of another tier."""
        known = {row["alert_key"] for row in self.open if row["is_root"]}
        held = [row for row in self.open if not row["is_root"]]
        roots = [row for row in self.open if row["is_root"]]
        return roots + [row for row in held if row["parent_alert_key"] not in known]

    def is_hastened_undated(self, row: Row) -> bool:
        """Whether what makes an alert more urgent seems to begin anew each day."""
        return any(
            child["parent_alert_key"] == row["alert_key"]
            and child["metric"] == UNDATED
            and child["raised_at"] == row["hastened_at"]
            for child in (*self.open, *self.elsewhere)
        )

    def as_json(self) -> str:
        """The open alerts, with the columns of mart_alerts, and the rules that are blind."""
        found = {"alerts": list(self.open), "blind_rules": list(self.blind)}
        return json.dumps(found, indent=2, ensure_ascii=False, default=str)


def of_last_build(workspace: Workspace) -> Alerts:
    """What the published copy says, else the warehouse.

    Raises UserError where none is built, or another version built it.
    """
    tables = scorecard.rows_of_last_build(workspace, RELATIONS, named="the list of alerts")
    try:
        found = sorted(tables["mart_alerts"], key=_urgency)
    except KeyError as missing:
        what = f"no column {missing.args[0]}, so another version built it"
        raise refuse(what, where="mart_alerts", fix="Build again: throughline build") from None
    return Alerts(
        open=found,
        history=tables["fct_alert_history"],
        blind=[row for row in tables["mart_alert_rules"] if row["rule_state"] == "blind"],
    )


def _urgency(row: Row) -> tuple[int, int, str, str]:
    severity = list(STYLES).index(row["incident_severity"])
    return severity, row["status"] != "open", str(row["opened_date"]), row["alert_key"]


# Text


def text(found: Alerts) -> Iterator[Text]:
    """Lines for the terminal: each problem with its cause and next step, what it holds, and which
    rules are blind."""
    yield from _problems(found)
    if found.blind:
        names = sorted(f"{_watched(row)} ({row['blind_reason']})" for row in found.blind)
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        yield Text("")
        yield Text(
            f"These rules read nothing: {', '.join(names[:SHOWN])}{more}. See mart_alert_rules."
        )


def _watched(row: Row) -> str:
    segment = (
        "" if row["segment_name"] == "all" else f":{row['segment_name']}={row['segment_value']}"
    )
    return f"{row['rule_id']}:{row['model_id']}{segment}"


def _problems(found: Alerts) -> Iterator[Text]:
    problems = found.problems
    if not problems:
        yield Text("No alert is open.")
        return
    number = f"{len(problems)} open problem{'s' * (len(problems) > 1)}"
    held = len(found.open) - len(problems)
    of_held = f", which hold{'s' * (len(problems) == 1)} {held} more alert{'s' * (held > 1)}"
    yield Text(number + (of_held if held else ""))
    for row in problems:
        yield Text("")
        yield from _problem(row)
        for child in found.open:
            if child["parent_alert_key"] == row["alert_key"]:
                # as it may leave less time than what holds it
                is_other = child["severity"] != row["severity"]
                haste = f"{child['severity']} " if is_other else ""
                said = f"  holds {haste}{child['alert_key']} ({reading(child)})"
                yield Text(said, style="dim")


def _problem(row: Row) -> Iterator[Text]:
    severity = row["incident_severity"]
    head = Text(f"{severity} ", style=STYLES[severity])
    head.append(row["alert_key"], style="bold")
    head.append(f" {row['status']} since {row['opened_date']}{_time_left(row)}")
    yield head
    yield Text(f"  {reading(row)}")
    if row["hastened_at"] is not None:
        since = f"{row['hastened_at']:%Y-%m-%d}"
        yield Text(f"  {row['severity']} by itself, {severity} since {since} by what it holds")
    if row["cause_kind"]:
        kind = row["cause_kind"].replace("_", " ")
        yield Text(f"  explained by {kind} {row['cause']}, from {row['cause_date']} on")
    if row["last_action"]:
        note = f": {row['note']}" if row["note"] else ""
        yield Text(
            f"  {row['last_action']} by {row['acted_by'] or 'somebody'}"
            f" at {row['acted_at']:%Y-%m-%d %H:%M}{note}"
        )
    playbook = f": {row['playbook']}" if row["playbook"] else ""
    yield Text(f"  {row['owner']}: {row['corrective_action']}{playbook}")


def _time_left(row: Row) -> str:
    hours = row["incident_hours_left"]
    if hours is None:
        until = row["snoozed_until"]
        return f" until {until:%Y-%m-%d %H:%M}" if until else ""
    return f", {hours} h left" if hours >= 0 else f", {-hours} h late"


def reading(row: Mapping[str, Any]) -> str:
    """What was read and with what it was compared, on one line."""
    is_total = row["segment_name"] == "all"
    segment = "" if is_total else f" of {row['segment_name']} {row['segment_value']}"
    fault = f" ({row['fault']})" if row["fault"] else ""
    value, bound = (f"{row[name]:.4g}" for name in ("measured", "bound"))
    return f"{row['metric']}{segment}{fault}: {row['condition']}, which is {value} against {bound}"


# Notices


@dataclass(frozen=True, kw_only=True)
class Notice:
    """A state of an alert that is to be told, with the key by which a receiver drops repeats."""

    alert: Row
    day: date
    haste: str = ""
    """Its severity, where the day does not say that it rose."""

    @property
    def key(self) -> str:
        haste = f" {self.haste}" if self.haste else ""
        return f"{self.alert['alert_key']} {self.alert['status']} {self.day}{haste}"

    def as_json(self) -> Row:
        return {"key": self.key, "alert": self.alert}

    def as_slack(self) -> Row:
        row = self.alert
        if row["status"] == "closed":
            return {"text": f"*closed* {row['alert_key']}, since {row['closed_date']}"}
        if row["status"] == "withdrawn":
            return {"text": f"*withdrawn* {row['alert_key']}, open since {row['opened_date']}"}
        return {"text": "\n".join(line.plain.strip() for line in _problem(row))}


def notify(workspace: Workspace, found: Alerts, *, url: str, is_slack: bool) -> int:
    """Posts each state of a problem that this endpoint was not told; how many were.

    What was told is noted after the endpoint took it, so it is told at least once. Raises
    UserError where the endpoint cannot be reached or refuses.
    """
    place = _place(url)
    told = _told(workspace, receiver(url))
    sent = 0
    with requests.Session() as session:
        again = Retry(
            total=RETRIES,
            backoff_factor=BACKOFF,
            status_forcelist=BUSY,
            allowed_methods={"POST"},
            raise_on_status=False,
        )
        for scheme in ("http://", "https://"):
            session.mount(scheme, HTTPAdapter(max_retries=again))
        for notice in due(found, told):
            _post(session, notice, url=url, place=place, is_slack=is_slack)
            _note(workspace, notice, receiver=receiver(url))
            sent += 1
    return sent


def due(found: Alerts, told: Sequence[Row]) -> list[Notice]:
    """The states that were not told: of problems, and the end of what was told as open.

    A state is told again only once it is more urgent than it was told last. What was told and is
    no alert any more, as of a table that arrived since, is withdrawn.
    """
    keys = {row["key"] for row in told}
    notices = list(_new_states(found, told, keys))
    undated = {row["alert_key"] for row in [*found.history, *told] if row.get("metric") == UNDATED}

    def which(row: Row) -> tuple[str, str | None]:
        key = row["alert_key"]
        return key, None if key in undated else str(row["opened_date"])

    last = {which(row): row for row in told}
    told_open = {key: row for key, row in last.items() if row["status"] not in ENDS}
    for row in found.history:
        if row["status"] == "closed" and which(row) in told_open:
            notices.append(Notice(alert=row, day=row["closed_date"]))
    known = {which(row) for row in found.history}
    # one that is open since another day goes on
    is_open = {row["alert_key"] for row in found.history if row["status"] != "closed"}
    for key, row in told_open.items():
        if key not in known and row["alert_key"] not in is_open:
            gone = {**{name: row[name] for name in TOLD}, "status": "withdrawn"}
            notices.append(Notice(alert=gone, day=date.fromisoformat(row["opened_date"])))
    return [notice for notice in notices if notice.key not in keys]


def _new_states(found: Alerts, told: Sequence[Row], keys: set[str]) -> Iterator[Notice]:
    newest = {row["alert_key"]: row for row in told}
    of_key = {row["key"]: row for row in told}
    of_state = {_state(row, row.get("since")): row for row in told}
    for row in found.problems:
        notice = _notice(row, is_undated=found.is_hastened_undated(row))
        since = _since(row)
        if since is None:
            last = newest.get(row["alert_key"])
            before = last if last and last["status"] == row["status"] else None
        else:
            before = of_state.get(_state(row, since), of_key.get(notice.key))
        is_used = notice.key in keys
        if before is None:
            yield notice
        elif _is_risen(row, before, is_used=is_used):
            yield replace(notice, haste=row["incident_severity"]) if is_used else notice


def _state(row: Row, since: str | None) -> tuple[str, str, str | None]:
    return row["alert_key"], row["status"], since


def _since(row: Row) -> str | None:
    """The day from which on an alert is in its state; None where each day seems to be the first."""
    if row.get("acted_at") is not None:
        return str(row["acted_at"].date())
    return None if row.get("metric") == UNDATED else str(row["opened_date"])


def _is_risen(row: Row, told: Row, *, is_used: bool) -> bool:
    """Whether an alert is more urgent than it was told."""
    before = told.get("incident_severity")
    if before is None:
        # a note of an earlier version tells it by its key alone
        return row["hastened_at"] is not None and not is_used
    severities = list(STYLES)
    return severities.index(row["incident_severity"]) < severities.index(before)


def _notice(row: Row, *, is_undated: bool) -> Notice:
    """Of the day from which on an open alert is in its state and, if that is known, as urgent."""
    day: date = row["opened_date"] if row["acted_at"] is None else row["acted_at"].date()
    if row["hastened_at"] is None:
        return Notice(alert=row, day=day)
    if is_undated:
        return Notice(alert=row, day=day, haste=row["incident_severity"])
    return Notice(alert=row, day=max(day, row["hastened_at"].date()))


def receiver(url: str) -> str:
    """A name of an endpoint that does not tell its address, which may be a secret."""
    return hashlib.sha256(url.encode()).hexdigest()[:16]


def _place(url: str) -> str:
    try:
        parts = urlsplit(url)
        is_address = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        is_address = False
    if not is_address:
        fix = "Write it like https://host/path."
        raise refuse("not an address that can be posted to", where="--notify", fix=fix)
    return f"{parts.scheme}://{parts.hostname}"


def _post(
    session: requests.Session, notice: Notice, *, url: str, place: str, is_slack: bool
) -> None:
    body = notice.as_slack() if is_slack else notice.as_json()
    headers = {
        "Content-Type": "application/json",
        KEY_HEADER: notice.key.encode().decode("latin-1"),
    }
    fix = "Run it again once the endpoint answers: what it was not told is told then."
    try:
        answer = session.post(
            url,
            data=json.dumps(body, ensure_ascii=False, default=str).encode(),
            headers=headers,
            timeout=TIMEOUT,
            allow_redirects=False,
        )
    except requests.RequestException as error:
        what = f"cannot be told of {notice.key}: {_cause(error)}"
        raise refuse(what, where=place, fix=fix) from None
    if not 200 <= answer.status_code < 300:
        what = f"does not take {notice.key}: status {answer.status_code}"
        raise refuse(what, where=place, fix=fix)


def _cause(error: requests.RequestException) -> str:
    """What went wrong, without the address."""
    if isinstance(error, requests.Timeout) or "timed out" in str(error):
        return "no answer in time"
    return "no connection"


def _told(workspace: Workspace, to: str) -> list[Row]:
    """What an endpoint was told, oldest first."""
    try:
        lines = workspace.notices.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    return [row for row in map(_row, lines) if row.get("receiver") == to]


def _row(line: str) -> Row:
    """A note; a line that a crash cut short says nothing, so that its notice is told again."""
    try:
        found: Row = json.loads(line)
    except ValueError:
        return {}
    return found


def _note(workspace: Workspace, notice: Notice, *, receiver: str) -> None:
    row = {
        "key": notice.key,
        "alert_key": notice.alert["alert_key"],
        "opened_date": str(notice.alert["opened_date"]),
        "status": notice.alert["status"],
        "since": _since(notice.alert),
        "metric": notice.alert.get("metric"),
        "incident_severity": notice.alert.get("incident_severity"),
        "receiver": receiver,
        "sent_at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }
    path = workspace.notices
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            # a line of its own also behind one that was cut short
            file.write(("\n" if _is_cut(path) else "") + json.dumps(row, ensure_ascii=False) + "\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        where = workspace.shown(path)
        what = f"cannot note what was told: {error.strerror}"
        raise refuse(what, where=where, fix="Make its folder writable.") from None


def _is_cut(path: Path) -> bool:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        if not size:
            return False
        file.seek(size - 1)
        return bool(file.read(1) != b"\n")
