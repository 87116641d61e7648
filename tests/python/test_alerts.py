"""Alerts: runs of days against a state machine, the demo by plain pandas, what an endpoint gets."""

from __future__ import annotations

import http.server
import json
import math
import random
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import compiled
from building import Project, query
from conftest import Outcome
from throughline import alerts, scorecard
from throughline.findings import UserError
from throughline.workspace import Workspace

Call = Callable[..., Outcome]
AS_OF = date(2026, 7, 1)
"""Of the SQL that is kept for review."""


# Runs of days


@dataclass
class Problem:
    """One alert as a reader of the days one by one would keep it."""

    first: date
    opened: date
    last: date
    days: int
    returns: int = 0
    ended: date | None = None


def walked(
    days: Sequence[tuple[date, bool | None]], *, consecutive: int, cooldown: int
) -> list[Problem]:
    """The alerts of a series, by a machine that knows a day at a time."""
    found: list[Problem] = []
    run: list[date] = []
    is_counted = False
    for day, holds in days:
        if holds is None:
            continue
        if not holds:
            if is_counted:
                found[-1].ended = day
            run, is_counted = [], False
            continue
        run.append(day)
        if is_counted:
            found[-1].last, found[-1].days = day, found[-1].days + 1
        elif len(run) == consecutive:
            is_counted = True
            if found and (run[0] - found[-1].last).days <= cooldown:
                before = found[-1]
                before.last, before.ended = day, None
                before.days, before.returns = before.days + len(run), before.returns + 1
            else:
                found.append(Problem(run[0], day, day, len(run)))
    return found


def status_of(
    problem: Problem, actions: list[dict[str, Any]], *, newest: date, cooldown: int
) -> str:
    """What the last action on an alert makes of it; `newest` is the last day with a number."""
    if problem.ended is not None:
        return "closed"
    if not actions:
        return "open"
    last = max(actions, key=lambda action: (action["acted_at"], action["action_id"]))
    if last["action"] == "acknowledged":
        return "acknowledged"
    if last["action"] == "snoozed" and last["snoozed_until"] > pd.Timestamp(AS_OF):
        return "suppressed"
    if last["action"] == "closed" and (newest - last["acted_at"].date()).days <= cooldown:
        return "closed"
    return "open"


def test_the_history_of_alerts_is_that_of_a_machine_that_knows_a_day_at_a_time() -> None:
    draw = random.Random(18)
    rows: list[dict[str, Any]] = []
    acts: list[dict[str, Any]] = []
    expected = []
    for number in range(300):
        key = f"rule{number}:m"
        consecutive, cooldown = draw.randint(1, 4), draw.randint(0, 9)
        stickiness = draw.uniform(0.5, 0.95)
        holds: bool | None = False
        days: list[tuple[date, bool | None]] = []
        for back in range(60, 0, -1):
            if draw.random() > stickiness:
                holds = draw.choice([True, False, None])
            days.append((AS_OF - timedelta(days=back), holds))
        rows += [
            {
                **{"alert_key": key, "rule_id": f"rule{number}", "model_id": "m", "metric": "rate"},
                **{"segment_name": "all", "segment_value": "all", "period": "7d", "fault": None},
                **{"consecutive_days": consecutive, "cooldown_days": cooldown},
                **{"known_after_days": 0, "value": float(place), "value_low": 0.0},
                **{"value_high": 0.0, "measured": 0.0, "bound": 1.0},
                **{"is_holding": holding, "value_date": day},
            }
            for place, (day, holding) in enumerate(days)
        ]
        mine = [
            {
                **{"action_id": f"{key}{place}", "alert_key": key, "acted_by": "Ann", "note": ""},
                "action": draw.choice(["acknowledged", "closed", "snoozed", "reopened"]),
                "snoozed_until": pd.Timestamp(AS_OF) + timedelta(days=draw.randint(-3, 3)),
                "acted_at": pd.Timestamp(AS_OF) - timedelta(hours=draw.randint(-48, 24 * 70)),
            }
            for place in range(draw.randint(0, 6))
        ]
        acts += mine
        problems = walked(days, consecutive=consecutive, cooldown=cooldown)
        newest = max((day for day, holding in days if holding is not None), default=AS_OF)
        nexts = [*(problem.opened for problem in problems[1:]), date.max][: len(problems)]
        for problem, until in zip(problems, nexts, strict=True):
            known = [
                act
                for act in mine
                if act["acted_at"] <= pd.Timestamp(AS_OF)
                # an alert is told once its day is over
                and problem.opened < act["acted_at"].date() <= until
            ]
            status = status_of(problem, known, newest=newest, cooldown=cooldown)
            expected.append(
                (
                    *(key, status, problem.first, problem.opened, problem.last),
                    *(problem.days, problem.returns),
                )
            )
    # any order of rows
    draw.shuffle(rows)
    draw.shuffle(acts)
    given = {"int_rule_values": pd.DataFrame(rows), "stg_alert_actions": pd.DataFrame(acts)}
    values = given["int_rule_values"]
    values["is_holding"] = values["is_holding"].astype("boolean")
    made = compiled.run(given, "fct_alert_history")["fct_alert_history"]
    for name in ("first_date", "opened_date", "last_date"):
        made[name] = pd.to_datetime(made[name]).dt.date
    columns = ["alert_key", "status", "first_date", "opened_date", "last_date"]
    columns += ["breach_days_count", "return_count"]
    found = sorted(made[columns].itertuples(index=False, name=None))
    assert len(found) > 500
    assert {row[1] for row in found} == {"open", "acknowledged", "suppressed", "closed"}
    assert found == sorted(expected)
    is_open = made["status"] != "closed"
    assert not made.loc[is_open, "alert_key"].duplicated().any()


# The demo


Z = stats.norm.ppf(0.995)


def wilson(share: float, units: float) -> tuple[float, float]:
    """In closed form, since units need not be whole."""
    centre = (share + Z * Z / (2 * units)) / (1 + Z * Z / units)
    half = Z * math.sqrt(share * (1 - share) / units + Z * Z / (4 * units * units))
    half /= 1 + Z * Z / units
    return max(0.0, centre - half), min(1.0, centre + half)


def stepwise(days: pd.DataFrame, end: pd.Timestamp, value: float, total: float) -> float:
    """Half of the interval of a ratio over seven days, from the steps between the last 28."""
    days = days.copy()
    days.loc[days["denominator"] == 0, "numerator"] = math.nan
    steps = (days["numerator"] - value * days["denominator"]).diff()
    steps = steps[(steps.index > end - pd.Timedelta(days=28)) & (steps.index <= end)].dropna()
    if len(steps) < 14:
        return math.nan
    spread = float((steps**2).sum()) / (2 * len(steps))
    quantile = float(stats.t.ppf(0.995, len(steps) / 1.5))
    return quantile * math.sqrt(7 * spread) / total


def test_values_of_rules_hold_beyond_noise_by_plain_scipy(demo: Path) -> None:
    values = query(
        demo,
        """
        select metric, model_id, period, period_end_date as day, value, numerator, denominator,
            effective_units, reason
        from fct_metric_values
        where model_version = 'all' and segment_name = 'all' and period in ('day', '7d')
        """,
    )
    bounds = query(demo, "select * from dim_targets where segment_name = 'all'")
    rules = query(demo, "from int_rule_values where segment_name = 'all'")
    seeds = pd.read_csv(Path(__file__).resolve().parents[2] / "seeds/alert_rules.csv")
    checked = 0
    for rule in seeds.to_dict("records"):
        for key, mine in rules[rules["rule_id"] == rule["rule_id"]].groupby("alert_key"):
            metric, model = rule["metric"], key.split(":")[1]
            read = values[(values["metric"] == metric) & (values["model_id"] == model)]
            if read.empty:
                continue
            period = rule["period"] if isinstance(rule["period"], str) else "7d"
            series = read[read["period"] == period].set_index("day").sort_index()
            days = read[read["period"] == "day"].set_index("day").sort_index()
            of_target = bounds[(bounds["metric"] == metric) & (bounds["model_id"] == model)]
            of_target = of_target.set_index("target_date")
            for row in mine.to_dict("records"):
                day = row["value_date"]
                value = series["value"].get(day, math.nan)
                if math.isnan(value):
                    assert pd.isna(row["is_holding"])
                    continue
                ends = interval(series.loc[day], days, day, value)
                if math.isnan(ends[0]):
                    assert (row["reason"], pd.isna(row["is_holding"])) == ("no_interval", True)
                    continue
                assert (row["value_low"], row["value_high"]) == pytest.approx(
                    ends, abs=1e-4 * (ends[1] - ends[0])
                )
                target = of_target.loc[day] if day in of_target.index else None
                holds = judged(rule["condition"], value, ends, target, series, days, day)
                if holds is None:
                    assert pd.isna(row["is_holding"]), row
                else:
                    assert bool(row["is_holding"]) == holds, row
                checked += 1
    assert checked > 500


def interval(
    row: pd.Series, days: pd.DataFrame, day: pd.Timestamp, value: float
) -> tuple[float, float]:
    if row["effective_units"] > 0:
        return wilson(value, row["effective_units"])
    half = stepwise(days, day, value, row["denominator"])
    return value - half, value + half


def judged(
    condition: str,
    value: float,
    ends: tuple[float, float],
    target: pd.Series | None,
    series: pd.DataFrame,
    days: pd.DataFrame,
    day: pd.Timestamp,
) -> bool | None:
    """The conditions of the demo, each in plain words."""
    low, high = ends
    if condition == "value < 0.97 * previous_value":
        before = day - pd.Timedelta(days=7)
        previous = series["value"].get(before, math.nan)
        if math.isnan(previous):
            return None
        previous_low = interval(series.loc[before], days, before, previous)[0]
        gap = 0.97 * previous - value
        return bool(gap > math.hypot(high - value, 0.97 * (previous - previous_low)))
    if condition == "value < 0":
        return high < 0
    if target is None or pd.isna(target["floor"]):
        return None
    holds: dict[str, bool] = {
        "value < floor": high < target["floor"],
        "value < target": high < target["target"],
        "abs(value) > floor": max(low, -high, 0) > target["floor"],
    }
    return holds[condition]


def test_planted_incidents_of_the_demo_open_alerts_with_their_cause(demo: Path) -> None:
    plants = json.loads((demo / "truth.json").read_text())["plants"]
    found = query(
        demo,
        """
        select rule_id, model_id, metric, status, first_date, opened_date, cause_kind, cause,
            cause_date
        from fct_alert_history left join int_alert_causes using (alert_key, opened_date)
        """,
    )
    expected = {
        # plant: rule, what explains it, days until the condition holds at the latest
        "bad_release": ("offer_acceptance_drop", "release", "8.0", 7),
        "biased_release": ("demand_bias_floor", "release", "3.1", 7),
        "drift": ("features_drift", "annotation", "campaign: Small-business", 7),
        "latency_incident": ("fraud_answers", "annotation", "incident: Feature service", 1),
    }
    for plant, (rule, kind, cause, within) in expected.items():
        begins = pd.Timestamp(plants[plant]["starts_at"]).normalize()
        is_it = (found["rule_id"] == rule) & (found["model_id"] == plants[plant]["model_id"])
        is_it &= (found["first_date"] >= begins) & (
            found["first_date"] <= begins + pd.Timedelta(days=within)
        )
        assert is_it.sum() == 1, plant
        row = found[is_it].iloc[0]
        assert (row["cause_kind"], row["cause"].startswith(cause)) == (kind, True), plant
    # two that are no plants of models: a feature that was not logged for a week, one that moved
    lost = found[(found["rule_id"] == "chain_broken") & (found["cause"] == "days_since_contact")]
    assert lost["status"].tolist() == ["closed"]
    moved = found[(found["rule_id"] == "features_drift") & (found["cause"] == "payment_amount")]
    assert moved["status"].tolist() == ["open"]
    # and little else
    assert len(found) <= len(expected) + 2 + 3


# What is printed and posted


@dataclass
class Endpoint:
    """A receiver that answers each post with the next of its statuses, then with 200."""

    url: str
    statuses: list[int] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    monkeypatch.setattr(alerts, "BACKOFF", 0.0)
    monkeypatch.setenv("NO_PROXY", "*")

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = made.statuses.pop(0) if made.statuses else 200
            if status == 200:
                made.keys.append(self.headers["Idempotency-Key"])
                made.bodies.append(json.loads(body))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made = Endpoint(f"http://127.0.0.1:{server.server_port}/secret")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def place(tmp_path: Path) -> Workspace:
    return Workspace(project=tmp_path, folder=tmp_path, chosen_by="the test")


def row(key: str, **cells: Any) -> dict[str, Any]:
    return {
        **{"alert_key": key, "rule_id": key, "metric": "recall", "model_id": "m"},
        **{"segment_name": "all", "segment_value": "all", "tier": "technical", "fault": None},
        **{"severity": "critical", "incident_severity": "critical", "hastened_at": None},
        **{"status": "open", "condition": "value < floor"},
        **{"owner": "Ann", "corrective_action": "retrain", "playbook": None, "cause_kind": None},
        **{"cause": None, "cause_date": None, "parent_alert_key": None, "is_root": True},
        **{"measured": 0.31234, "bound": 0.5, "incident_hours_left": 4, "acted_by": None},
        **{"acted_at": None, "last_action": None, "note": None, "snoozed_until": None},
        **{"opened_date": date(2026, 6, 1), "closed_date": None},
        **{"raised_at": datetime(2026, 6, 2)},
        **cells,
    }


def of(*rows: dict[str, Any], history: tuple[dict[str, Any], ...] = ()) -> alerts.Alerts:
    return alerts.Alerts(open=list(rows), history=[*rows, *history], blind=[])


def test_each_state_is_told_once_and_the_end_of_what_was_told(
    endpoint: Endpoint, place: Workspace
) -> None:
    def told(found: alerts.Alerts) -> list[str]:
        before = len(endpoint.keys)
        count = alerts.notify(place, found, url=endpoint.url, is_slack=False)
        assert count == len(endpoint.keys) - before
        return endpoint.keys[before:]

    child = row("b", is_root=False, parent_alert_key="a")
    assert told(of(row("a"), child)) == ["a open 2026-06-01"]
    assert endpoint.bodies[0]["key"] == "a open 2026-06-01"
    assert endpoint.bodies[0]["alert"]["owner"] == "Ann"
    assert told(of(row("a"), child)) == []
    when = datetime(2026, 6, 3, 8, 30)
    taken = row("a", status="acknowledged", acted_at=when, incident_hours_left=None)
    assert told(of(taken, child)) == ["a acknowledged 2026-06-03"]
    # the child outlives it
    ended = row("a", status="closed", closed_date=date(2026, 6, 9))
    assert told(of(row("b"), history=(ended,))) == ["b open 2026-06-01", "a closed 2026-06-09"]
    assert told(of(row("b"), history=(ended,))) == []
    never = row("c", status="closed", closed_date=date(2026, 6, 9))
    # what was never told as open is not told as closed, and another endpoint was told nothing
    assert told(of(row("b"), history=(ended, never))) == []
    other = endpoint.url + "/other"
    assert alerts.notify(place, of(row("b")), url=other, is_slack=True) == 1
    assert set(endpoint.bodies[-1]) == {"text"}
    assert "critical b open since 2026-06-01, 4 h left" in endpoint.bodies[-1]["text"]
    assert "secret" not in place.notices.read_text()


def test_what_is_no_alert_any_more_is_withdrawn(endpoint: Endpoint, place: Workspace) -> None:
    def told(found: alerts.Alerts, *, is_slack: bool = False) -> list[str]:
        before = len(endpoint.keys)
        alerts.notify(place, found, url=endpoint.url, is_slack=is_slack)
        return endpoint.keys[before:]

    assert told(of(row("a"), row("b"))) == ["a open 2026-06-01", "b open 2026-06-01"]
    # the table came, so that it never was late; the other is open since an earlier day now
    moved = row("b", opened_date=date(2026, 5, 30))
    assert told(of(moved), is_slack=True) == ["b open 2026-05-30", "a withdrawn 2026-06-01"]
    assert endpoint.bodies[-1] == {"text": "*withdrawn* a, open since 2026-06-01"}
    assert told(of(moved)) == []
    ended = row("b", opened_date=date(2026, 5, 30), status="closed", closed_date=date(2026, 6, 9))
    assert told(of(history=(ended,))) == ["b closed 2026-06-09", "b withdrawn 2026-06-01"]
    assert told(of(history=(ended,))) == []


def test_a_tier_is_told_of_what_another_tier_holds(endpoint: Endpoint, place: Workspace) -> None:
    child = row("b", is_root=False, parent_alert_key="a", tier="business")
    found = of(row("a"), child).of("business")
    assert next(line.plain for line in alerts.text(found)) == "1 open problem"
    assert alerts.notify(place, found, url=endpoint.url, is_slack=False) == 1
    assert endpoint.keys == ["b open 2026-06-01"]
    assert [one["alert_key"] for one in of(row("a"), child).problems] == ["a"]
    # what another tier holds may hasten it
    came = {"severity": "minor", "hastened_at": datetime(2026, 6, 4)}
    checks = child | {"metric": "input_health", "raised_at": came["hastened_at"]}
    root = of(row("a", **came), checks).of("technical")
    assert alerts.notify(place, root, url=endpoint.url, is_slack=False) == 1
    assert endpoint.keys[1:] == ["a open 2026-06-01 critical"]


def test_a_build_of_another_version_is_named(
    place: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = {"mart_alerts": [{"alert_key": "a"}], "fct_alert_history": [], "mart_alert_rules": []}
    monkeypatch.setattr(scorecard, "rows_of_last_build", lambda *_, **__: old)
    with pytest.raises(UserError, match="so another version built it"):
        alerts.of_last_build(place)


def test_checks_that_go_on_failing_are_told_once(endpoint: Endpoint, place: Workspace) -> None:
    def told(found: alerts.Alerts) -> list[str]:
        before = len(endpoint.keys)
        alerts.notify(place, found, url=endpoint.url, is_slack=False)
        return endpoint.keys[before:]

    def failing(day: int, **cells: Any) -> alerts.Alerts:
        return of(row("a", metric="input_health", opened_date=date(2026, 6, day), **cells))

    assert told(failing(1)) == ["a open 2026-06-01"]
    assert told(failing(2)) == []
    acted = {"status": "acknowledged", "acted_at": datetime(2026, 6, 2, 9)}
    assert told(failing(3, **acted)) == ["a acknowledged 2026-06-02"]
    assert told(failing(4, **acted)) == []
    # once that was too long ago, and after an end, which is one
    assert told(failing(10)) == ["a open 2026-06-10"]
    assert told(of()) == ["a withdrawn 2026-06-10"]
    assert told(of()) == []
    assert told(failing(12)) == ["a open 2026-06-12"]
    # somebody closed it: history knows it by the day of the build alone
    for day in (13, 14):
        by_hand = {"status": "closed", "opened_date": date(2026, 6, day)}
        ended = row("a", metric="input_health", closed_date=date(2026, 6, 13), **by_hand)
        assert told(of(history=(ended,))) == (["a closed 2026-06-13"] if day == 13 else [])
    assert told(of()) == []
    assert told(failing(20)) == ["a open 2026-06-20"]


def test_only_what_is_more_urgent_than_was_told_is_told_again(
    endpoint: Endpoint, place: Workspace
) -> None:
    def told(found: alerts.Alerts) -> list[str]:
        before = len(endpoint.keys)
        alerts.notify(place, found, url=endpoint.url, is_slack=False)
        return endpoint.keys[before:]

    def held(severity: str, day: int, **cells: Any) -> alerts.Alerts:
        haste = {"incident_severity": severity, "hastened_at": datetime(2026, 6, day)}
        return of(row("a", severity="minor", **haste, **cells))

    calm = of(row("a", severity="minor", incident_severity="minor"))
    # first told as urgent; then the earliest of two urgent ones closes, and the other
    assert told(held("major", 4)) == ["a open 2026-06-04"]
    assert told(held("major", 6)) == []
    assert told(calm) == []
    assert told(held("major", 8)) == []
    # more urgent by one that was told of before, so on a day that was told
    assert told(held("critical", 4)) == ["a open 2026-06-04 critical"]
    assert told(held("critical", 4)) == []
    assert told(held("major", 9)) == []
    assert told(calm) == []
    # what somebody does is told with what it leaves
    acted = {"status": "acknowledged", "acted_at": datetime(2026, 6, 10, 9)}
    mild = row("a", severity="minor", incident_severity="minor", **acted)
    assert told(of(mild)) == ["a acknowledged 2026-06-10"]
    assert told(held("critical", 12, **acted)) == ["a acknowledged 2026-06-12"]
    assert told(held("critical", 13, **acted)) == []
    assert told(of(mild)) == []
    # checks of the input that hasten, here of the same metric, seem to begin each day
    for day in (20, 21, 22):
        moved = {"metric": "input_health", "opened_date": date(2026, 6, day)}
        fast = {"incident_severity": "major", "hastened_at": datetime(2026, 6, day + 1)}
        slow = row("b", severity="minor", **moved, **fast)
        assert told(of(mild, slow)) == (["b open 2026-06-21"] if day == 20 else [])
    fast["incident_severity"] = "critical"
    assert told(of(mild, row("b", severity="minor", **moved, **fast))) == ["b open 2026-06-23"]


def test_notes_of_an_earlier_version_are_understood(endpoint: Endpoint, place: Workspace) -> None:
    def told(found: alerts.Alerts) -> list[str]:
        before = len(endpoint.keys)
        alerts.notify(place, found, url=endpoint.url, is_slack=False)
        return endpoint.keys[before:]

    checks = row("b", metric="input_health")
    assert told(of(row("a"), checks)) == ["a open 2026-06-01", "b open 2026-06-01"]
    notes = [json.loads(line) for line in place.notices.read_text().splitlines()]
    for note in notes:
        for name in ("since", "metric", "incident_severity"):
            del note[name]
    place.notices.write_text("".join(f"{json.dumps(note)}\n" for note in notes))
    checks["opened_date"] = date(2026, 6, 2)
    assert told(of(row("a"), checks)) == []
    came = {"severity": "minor", "hastened_at": datetime(2026, 6, 4)}
    urgent = [one | came for one in (row("a"), checks)]
    assert told(of(*urgent)) == ["a open 2026-06-04", "b open 2026-06-04"]
    assert told(of(*urgent)) == []


ACTION = ["action_id", "alert_key", "action", "acted_by", "note", "snoozed_until", "acted_at"]
MOMENTS = dict.fromkeys(ACTION[-2:], "datetime64[ns]")


@dataclass
class Days:
    """Builds of one day after another over alerts of a few rules."""

    monkeypatch: pytest.MonkeyPatch
    endpoint: Endpoint
    place: Workspace
    rules: pd.DataFrame
    incidents: dict[str, str] = field(default_factory=dict)
    actions: list[dict[str, Any]] = field(default_factory=list)

    def act(self, key: str, action: str, at: str, *, until: str | None = None) -> None:
        self.actions.append(
            {
                **{"action_id": str(len(self.actions)), "alert_key": key, "action": action},
                **{"acted_by": "Ann", "note": "", "snoozed_until": pd.Timestamp(until or at)},
                "acted_at": pd.Timestamp(at),
            }
        )

    def told(self, day: int, since: dict[str, int]) -> list[str]:
        """Keys that the build of a day in June tells; of `since`, checks know the last day only."""
        as_of = date(2026, 6, day)
        last = as_of - timedelta(days=1)
        values, causes = [], []
        for rule in self.rules.to_dict("records"):
            key = f"{rule['rule_id']}:m"
            if key not in since:
                continue
            is_undated = rule["metric"] == "input_health"
            first = last if is_undated else date(2026, 6, since[key])
            values += [
                {
                    **{"alert_key": key, "rule_id": rule["rule_id"], "model_id": "m"},
                    **{"metric": rule["metric"], "segment_name": "all", "segment_value": "all"},
                    **{"period": "7d", "fault": "", "consecutive_days": 1, "known_after_days": 0},
                    **{"cooldown_days": rule["cooldown_days"], "value": 1.0, "value_low": 1.0},
                    **{"value_high": 1.0, "measured": 1.0, "bound": 0.0, "is_holding": True},
                    "value_date": first + timedelta(days=place),
                }
                for place in range((last - first).days + 1)
            ]
            causes.append(
                {
                    **{"alert_key": key, "incident_key": self.incidents.get(key, f"m {key}")},
                    **{"cause_kind": "annotation", "cause": "x", "cause_date": first},
                    "opened_date": first,
                }
            )
        given = {
            "int_rule_values": pd.DataFrame(values),
            "int_alert_causes": pd.DataFrame(causes),
            "cfg_alert_rules": self.rules,
            "stg_alert_actions": pd.DataFrame(self.actions, columns=ACTION).astype(MOMENTS),
        }
        texts = {
            name: text.replace(str(AS_OF), str(as_of)) for name, text in compiled.kept().items()
        }
        with self.monkeypatch.context() as patched:
            patched.setattr(compiled, "kept", lambda: texts)
            made = compiled.run(given, "fct_alert_history", "mart_alerts")
        rows = {name: [plain(one) for one in of.to_dict("records")] for name, of in made.items()}
        found = alerts.Alerts(open=rows["mart_alerts"], history=rows["fct_alert_history"], blind=[])
        before = len(self.endpoint.keys)
        alerts.notify(self.place, found, url=self.endpoint.url, is_slack=False)
        return self.endpoint.keys[before:]


def plain(row: dict[str, Any]) -> dict[str, Any]:
    """A row as the warehouse gives it: days, moments and NULL of Python."""
    cells = {name: None if pd.isna(cell) else cell for name, cell in row.items()}
    return {
        name: cell.date() if cell is not None and name.endswith("_date") else cell
        for name, cell in cells.items()
    }


def rule(name: str, metric: str, *, sla_hours: int, cooldown_days: int) -> dict[str, Any]:
    return {
        **{"rule_id": name, "metric": metric, "tier": "technical", "condition": "value > 0"},
        **{"owner": "Ann", "corrective_action": "mend", "playbook": ""},
        **{"sla_hours": sla_hours, "cooldown_days": cooldown_days},
    }


@pytest.mark.parametrize("is_explained", [False, True])
def test_who_acts_on_a_problem_acts_on_failing_checks_in_it_for_some_days(
    endpoint: Endpoint, place: Workspace, monkeypatch: pytest.MonkeyPatch, is_explained: bool
) -> None:
    """Checks that fail under a root that seems new each day too, and under one with a date."""
    rules = [
        rule("a", "rate" if is_explained else "input_health", sla_hours=72, cooldown_days=9),
        rule("b", "input_health", sla_hours=4, cooldown_days=3),
    ]
    days = Days(monkeypatch, endpoint, place, pd.DataFrame(rules), {"a:m": "i", "b:m": "i"})
    alone, both = {"a:m": 1}, {"a:m": 1, "b:m": 1}
    assert days.told(2, alone) == ["a:m open 2026-06-01"]
    # the checks join it: once, by a key that moves no more than the state itself
    began = "2026-06-01" if is_explained else "2026-06-02"
    assert days.told(3, both) == [f"a:m open {began} critical"]
    assert [days.told(day, both) for day in (4, 5)] == [[], []]
    days.act("a:m", "acknowledged", "2026-06-05 09:00:00")
    assert days.told(6, both) == ["a:m acknowledged 2026-06-05"]
    # for three days, up to the last day that a build knows
    assert [days.told(day, both) for day in (7, 8, 9)] == [[], [], []]
    assert days.told(10, both) == ["a:m acknowledged 2026-06-05 critical"]
    assert [days.told(day, both) for day in (11, 12)] == [[], []]
    # put off, to its end
    days.act("a:m", "snoozed", "2026-06-12 09:00:00", until="2026-06-24 00:00:00")
    assert days.told(13, both) == ["a:m suppressed 2026-06-12"]
    assert [days.told(day, both) for day in range(14, 24)] == [[]] * 10
    # awake again: a state that is told with its haste, once
    began = "2026-06-12" if is_explained else "2026-06-23"
    assert days.told(24, both) == [f"a:m open {began} critical"]
    assert [days.told(day, both) for day in (25, 26)] == [[], []]
    # the checks fail no more, and fail again
    assert [days.told(day, since) for day, since in ((27, alone), (28, both))] == [[], []]


def test_a_problem_that_something_urgent_joins_is_told_again(
    endpoint: Endpoint, place: Workspace
) -> None:
    def told(found: alerts.Alerts) -> list[str]:
        before = len(endpoint.keys)
        alerts.notify(place, found, url=endpoint.url, is_slack=True)
        return endpoint.keys[before:]

    slow = {"severity": "minor", "incident_severity": "minor", "incident_hours_left": 100}
    assert told(of(row("a", **slow))) == ["a open 2026-06-01"]
    came = {"incident_severity": "critical", "hastened_at": datetime(2026, 6, 4)}
    urgent = row("a", **slow | came | {"incident_hours_left": 7})
    child = row("b", is_root=False, parent_alert_key="a")
    assert told(of(urgent, child)) == ["a open 2026-06-04"]
    first, _, second, *_ = endpoint.bodies[-1]["text"].splitlines()
    assert first == "critical a open since 2026-06-01, 7 h left"
    assert second == "minor by itself, critical since 2026-06-04 by what it holds"
    assert told(of(urgent, child)) == []
    # what needs a hand first stands first, also where somebody had put it off
    when = datetime(2026, 6, 2)
    snoozed = row("a", **slow | came, status="suppressed", acted_at=when)
    assert told(of(snoozed, child)) == ["a suppressed 2026-06-04"]


def test_what_people_did_stands_below_what_they_did_it_about() -> None:
    when = datetime(2026, 6, 3, 8, 30)
    acted = {"acted_at": when, "acted_by": "Bo", "note": "a late feed", "incident_hours_left": None}
    until = datetime(2026, 6, 9, 12)
    for found, head, said in (
        (
            row("a", **acted | {"last_action": "closed", "incident_hours_left": -3}),
            ", 3 h late",
            "closed by Bo",
        ),
        (
            row("a", **acted, last_action="snoozed", snoozed_until=until),
            " until 2026-06-09 12:00",
            "snoozed by Bo",
        ),
    ):
        lines = [line.plain for line in alerts.text(of(found))]
        assert lines[2] == f"critical a open since 2026-06-01{head}"
        assert f"  {said} at 2026-06-03 08:30: a late feed" in lines
    held = row("b", is_root=False, parent_alert_key="a", severity="minor")
    first, *lines = [line.plain for line in alerts.text(of(row("a"), held))]
    assert first == "1 open problem, which holds 1 more alert"
    assert lines[-1].startswith("  holds minor b (recall: value < floor")


def test_a_busy_endpoint_is_asked_again_and_one_that_refuses_is_named(
    endpoint: Endpoint, place: Workspace
) -> None:
    endpoint.statuses = [503, 429]
    found = of(row("a"), row("b"), row("c"))
    assert alerts.notify(place, of(row("a")), url=endpoint.url, is_slack=False) == 1
    for statuses, status in (([404], 404), ([301], 301), ([500] * 4, 500)):
        endpoint.statuses = list(statuses)
        with pytest.raises(UserError) as refused:
            alerts.notify(place, found, url=endpoint.url, is_slack=False)
        assert str(refused.value) == (
            f"http://127.0.0.1: does not take b open 2026-06-01: status {status}. "
            "Run it again once the endpoint answers: what it was not told is told then."
        )
    # nothing is lost, and what was told before the fault is not told again
    endpoint.statuses = [200, 404]
    with pytest.raises(UserError):
        alerts.notify(place, found, url=endpoint.url, is_slack=False)
    assert alerts.notify(place, found, url=endpoint.url, is_slack=False) == 1
    assert [key[0] for key in endpoint.keys] == ["a", "b", "c"]


def test_a_dead_or_slow_endpoint_is_one_line(
    endpoint: Endpoint, place: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), http.server.BaseHTTPRequestHandler
    ) as silent:
        # it takes the connection and says nothing, as nobody serves it
        monkeypatch.setattr(alerts, "TIMEOUT", (0.2, 0.05))
        monkeypatch.setattr(alerts, "RETRIES", 1)
        url = f"http://127.0.0.1:{silent.server_port}/secret"
        with pytest.raises(UserError, match="of a open 2026-06-01: no answer in time") as late:
            alerts.notify(place, of(row("a")), url=url, is_slack=False)
    with pytest.raises(UserError, match="of a open 2026-06-01: no connection") as dead:
        alerts.notify(place, of(row("a")), url=url, is_slack=False)
    for told in (late, dead):
        assert "secret" not in str(told.value)
        assert len(str(told.value).splitlines()) == 1
    assert not place.notices.exists()
    for url in ("ftp://host/x", "host", "http://", "http://[::1/x", "http://host:99999/x"):
        with pytest.raises(UserError, match="not an address"):
            alerts.notify(place, of(row("a")), url=url, is_slack=False)


def test_a_note_that_was_cut_short_is_told_again(endpoint: Endpoint, place: Workspace) -> None:
    alerts.notify(place, of(row("a")), url=endpoint.url, is_slack=False)
    whole = place.notices.read_text()
    place.notices.write_text(whole[:-20])
    assert alerts.notify(place, of(row("a")), url=endpoint.url, is_slack=False) == 1
    assert alerts.notify(place, of(row("a")), url=endpoint.url, is_slack=False) == 0


def test_the_command_prints_problems_with_cause_and_next_step(
    demo_project: Project, demo: Path, endpoint: Endpoint
) -> None:
    run = demo_project.run(demo, ["throughline", "alerts"])
    assert run.status == 0, run.output
    assert "major demand_bias_floor:demand_forecast open since" in run.output
    assert "explained by release 3.1, from 2026-05-26 on" in run.output
    rows = query(demo, "from mart_alerts")
    told = demo_project.run(demo, ["throughline", "alerts", "--json", "--tier", "technical"])
    printed = json.loads(told.printed)["alerts"]
    assert {one["alert_key"] for one in printed} == {
        one["alert_key"] for one in rows.to_dict("records") if one["tier"] == "technical"
    }
    shutil.rmtree(demo / "notices", ignore_errors=True)
    posted = demo_project.run(demo, ["throughline", "alerts", "--notify", endpoint.url])
    assert posted.status == 0, posted.output
    assert len(endpoint.keys) == rows["is_root"].sum()
    assert posted.output.rstrip().endswith(f"{len(endpoint.keys)} notices sent")
    refused = demo_project.run(demo, ["throughline", "alerts", "--slack"])
    assert refused.status == 1
    shutil.rmtree(demo / "notices")


@pytest.mark.parametrize("severity", ["none", "major", "minor"])
def test_a_test_of_dbt_warns_of_incidents_from_a_severity_on(
    demo_project: Project, demo: Path, severity: str
) -> None:
    rows = query(demo, "from mart_alerts where is_root and status = 'open'")
    severities = {"none": [], "major": ["critical", "major"], "minor": list(alerts.STYLES)}
    count = int(rows["incident_severity"].isin(severities[severity]).sum())
    variables = f"{{as_of: '{AS_OF} 00:00:00', alert_severity: {severity}}}"
    chosen = ("--select", "no_alert_of_severity_mart_alerts_", "--vars", variables)
    run = demo_project.dbt(demo, "--no-write-json", "test", *chosen)
    assert run.status == 0, run.output
    told = f"Got {count} result" in run.output
    assert (told, count > 0) == ((True, True) if severity != "none" else (False, False))


# Noise


@pytest.mark.simulation
def test_rules_about_sound_series_keep_silent() -> None:
    """At the bound itself three days in a row; a sound series lies farther off."""
    draw = np.random.default_rng(18)
    weeks = 52
    fired = 0
    series = 400
    for _ in range(series):
        units = int(draw.integers(60, 400))
        hits = draw.binomial(units, 0.45, size=7 * weeks + 6)
        sums = np.convolve(hits, np.ones(7), "valid")
        shares = sums / (7 * units)
        high = np.array([wilson(share, 7 * units)[1] for share in shares])
        days = [(AS_OF + timedelta(days=place), bool(end < 0.45)) for place, end in enumerate(high)]
        fired += len(walked(days, consecutive=3, cooldown=14))
    assert fired / (series * weeks) <= 0.005
