"""Whatever order rows arrive in, whatever is built in between: the marts are those of one build."""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, assume, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

import histories
from histories import Builder

# dbt runs in this process, and tracing it would take longer than it
pytestmark = [pytest.mark.no_cover, pytest.mark.slow]

# one run of the machine is the history of several companies that share files and builds
COMPANIES = 10
# up to 200 are always the same, so that nobody's change fails by chance; beyond, they are new ones
HISTORIES = int(os.environ.get("THROUGHLINE_HISTORIES", "6"))
STEPS = 12

IDS = {
    "prediction_logs": "prediction_id",
    "usage_events": "event_id",
    "business_outcomes": "outcome_id",
    "eligible_users": None,
    "feedback": "response_id",
    "serving_costs": "cost_id",
    "model_releases": "release_id",
    "experiment_assignments": None,
    "kpi_annotations": "annotation_id",
    "alert_actions": "action_id",
}
EVENTS = {
    "prediction_logs": "predicted_at",
    "usage_events": "occurred_at",
    "business_outcomes": "occurred_at",
    "eligible_users": "eligible_from",
    "feedback": "asked_at",
    "serving_costs": "period_start",
    "model_releases": "event_at",
    "experiment_assignments": "assigned_at",
    "kpi_annotations": "effective_from",
    "alert_actions": "acted_at",
}


def moments(first: int, last: int) -> st.SearchStrategy[str]:
    """Moments of January 2026, with the edges of a day among them."""
    clock = st.sampled_from(["00:00:00", "09:30:00", "23:59:59.999999"])
    return st.builds("2026-01-{:02d} {}".format, st.integers(first, last), clock)


def one_of(*values: str) -> st.SearchStrategy[str]:
    return st.sampled_from(values)


def prefixed(prefix: str, count: int) -> st.SearchStrategy[str]:
    return st.sampled_from([f"{prefix}{number}" for number in range(count)])


def rows(table: str) -> st.SearchStrategy[dict[str, str]]:
    """A row of a company; ids and names get its number later. Few ids, so that copies meet."""
    predictions = prefixed("p", 8)
    fields: dict[str, Mapping[str, st.SearchStrategy[str]]] = {
        "prediction_logs": {
            "prediction_id": predictions,
            "model_id": one_of("lead", "lead", "eta", "offer", "kind"),
            "model_version": one_of("v1", "v2"),
            "predicted_at": moments(1, 12),
            "entity_id": prefixed("e", 3),
            "user_id": one_of("u0", "u1", ""),
            "list_id": one_of("l0", "l1", ""),
            "score": one_of("0.1", "0.9"),
            "predicted_label": one_of("a", "b", ""),
            "predicted_value": one_of("3", "5.5"),
            "rank_position": one_of("1", "2", "3", ""),
            "latency_ms": one_of("10", "20.5", ""),
            "sampling_fraction": one_of("", "0.5"),
            "decision_threshold": one_of("", "0.5", "0.95"),
            "propensity": one_of("", "0.5"),
            "feature_set_version": one_of("", "f1", "f2"),
            "status_code": one_of("", "200", "500"),
            "error_type": one_of("", "", "timeout"),
            "environment": one_of("", "prod", "staging"),
            "channel": one_of("web", "shop", ""),
            "age_band": one_of("young", "old", ""),
            "size": one_of("1", "2", "1000", ""),
            "industry": one_of("steel", "food", ""),
        },
        "usage_events": {
            "event_id": prefixed("v", 6),
            "event_name": one_of("exposed", "viewed", "accepted", "overridden", "task_completed"),
            "final_decision": one_of("", "a", "b", "true", "4"),
            "override_reason": one_of("", "stale", "too dear"),
            "occurred_at": moments(1, 14),
            "user_id": prefixed("u", 2),
            "model_id": one_of("lead", "eta"),
            "prediction_id": st.one_of(predictions, st.just("")),
            "is_passive": one_of("", "true"),
            "entity_id": st.one_of(prefixed("e", 3), st.just("")),
            "session_id": prefixed("s", 2),
            "surface": one_of("", "inbox"),
            "device": one_of("", "phone"),
            "duration_ms": one_of("", "1200"),
        },
        "business_outcomes": {
            "outcome_id": prefixed("o", 6),
            "outcome_name": one_of("sold", "revenue", "arrived", "taken", "sorted"),
            "prediction_id": st.one_of(st.just(""), predictions),
            "entity_id": st.one_of(prefixed("e", 3), st.just("")),
            "user_id": one_of("u0", "u1", ""),
            "outcome_label": one_of("true", "false", "a", "b", ""),
            "outcome_value": one_of("7", "12.5", ""),
            "currency": one_of("", "EUR", "USD", "GBP"),
            "occurred_at": moments(1, 16),
            "observed_at": st.just("2026-01-17 00:00:00"),
            "status": one_of("", "final", "provisional", "censored"),
        },
        "eligible_users": {
            "user_id": prefixed("u", 2),
            "model_id": one_of("lead", "eta"),
            "eligible_from": one_of("2026-01-02 00:00:00", "2026-01-05 10:00:00"),
            "eligible_to": st.one_of(st.just(""), moments(6, 14)),
            "team": one_of("north", "south", ""),
            "role": one_of("seller", "buyer", ""),
        },
        "feedback": {
            "response_id": prefixed("f", 3),
            "survey_type": one_of("nps", "csat"),
            "asked_at": moments(1, 14),
            "score": one_of("", "3", "9"),
            "scale_min": st.just("0"),
            "scale_max": st.just("10"),
            "model_id": st.just("lead"),
            "prediction_id": st.one_of(predictions, st.just("")),
            "user_id": one_of("u0", "u1", ""),
            "responded_at": st.one_of(st.just(""), moments(14, 16)),
            "comment": one_of("", "too slow", "slow, and dear"),
        },
        "serving_costs": {
            "cost_id": prefixed("c", 3),
            "model_id": one_of("lead", "eta"),
            "model_version": one_of("", "v1"),
            "period_start": moments(1, 8),
            "period_end": moments(9, 12),
            "cost_type": one_of("compute", "support"),
            "amount": one_of("9.99", "5"),
            "currency": one_of("EUR", "USD"),
            "quantity": one_of("", "3.5"),
            "unit": one_of("", "hours"),
        },
        "model_releases": {
            "release_id": prefixed("r", 3),
            "model_id": st.just("lead"),
            "model_version": one_of("v1", "v2"),
            "event_type": one_of("concept", "approved", "deployed", "rolled_back"),
            "event_at": moments(1, 14),
            "planned_at": st.one_of(st.just(""), moments(1, 14)),
            "trigger": one_of("", "schedule"),
            "reason": one_of("", "drift"),
            "expected_effect": one_of("", "recall up"),
            "feature_set_version": one_of("", "f1", "f2"),
            "approver": one_of("", "ann"),
            "is_automated": one_of("", "true", "false"),
        },
        "experiment_assignments": {
            "experiment_id": one_of("of_user", "of_user", "of_entity", "of_prediction"),
            "unit_id": one_of("u0", "u1", "e0", "e1", "p0", "p1", "p2"),
            "variant": one_of("a", "a", "b"),
            "assigned_at": moments(1, 9),
            "first_exposed_at": st.one_of(st.just(""), moments(10, 13)),
            "cluster_id": one_of("", "", "k"),
            "covariate": one_of("", "2.5", "4"),
        },
        "kpi_annotations": {
            "annotation_id": prefixed("n", 3),
            "effective_from": moments(1, 9),
            "effective_to": st.one_of(st.just(""), moments(10, 14)),
            "scope": one_of("all", "lead", "error_rate"),
            "kind": one_of("campaign", "incident", "postmortem"),
            "title": one_of("a price went up", "a table came late"),
            "author": one_of("", "ann"),
            "link": one_of("", "https://example.com/n"),
            "excludes_from_causal": one_of("", "true", "false"),
        },
        "alert_actions": {
            "action_id": prefixed("x", 3),
            "alert_key": one_of("low:lead", "low:eta"),
            "acted_at": moments(1, 16),
            "action": one_of("acknowledged", "closed", "snoozed", "reopened"),
            "acted_by": one_of("", "ann"),
            "snoozed_until": st.one_of(st.just(""), moments(10, 20)),
            "note": one_of("", "seen"),
        },
    }
    # a new column of the contract wants its values here
    assert {*fields[table], "loaded_at"} == set(histories.COLUMNS[table]), table
    return st.fixed_dictionaries({**fields[table], "loaded_at": moments(1, 20)})


def owned(row: Mapping[str, str], *, company: int) -> dict[str, str]:
    """The row with every id and name made the company's own."""
    names = {"entity_id", "user_id", "prediction_id", "unit_id", *IDS.values()}
    seeded = {"model_id", "experiment_id"}
    if row.get("scope") == "lead":
        row = {**row, "scope": f"lead{company}"}
    if "alert_key" in row:
        row = {
            **row,
            "alert_key": ":".join(f"{part}{company}" for part in row["alert_key"].split(":")),
        }
    return {
        column: f"{value}{'' if column in seeded else '-'}{company}"
        if column in names | seeded and value
        else value
        for column, value in row.items()
    }


BROKEN = (
    {"loaded_at": "yesterday"},
    {"loaded_at": ""},
    {"model_id": "nobody's"},
    {"event": ""},
    {"event": "the 3rd"},
    {"event": "9999-01-01 00:00:00"},
    {"id": ""},
)


@cache
def builder() -> Builder:
    return Builder(Path(tempfile.mkdtemp(prefix="histories")), companies=COMPANIES)


class Deliveries(RuleBasedStateMachine):
    """Rows come in any order and twice, are corrected, moved, retracted; builds in between."""

    def __init__(self) -> None:
        super().__init__()
        number = next(NUMBERS)
        self.folder = builder().root / f"history_{number}"
        histories.make(self.folder)
        self.count = 0
        self.variant = "as it is"
        self.delivered: list[tuple[str, list[dict[str, str]], Path]] = []

    def put(self, table: str, rows: list[dict[str, str]]) -> None:
        self.count += 1
        path = histories.deliver(self.folder, table, f"delivery {self.count}", rows)
        self.delivered.append((table, rows, path))

    def draw_copies(self, data: st.DataObject) -> tuple[str, list[dict[str, str]]]:
        """Copies of delivered rows, each with an arrival of its own."""
        table, rows, _ = data.draw(st.sampled_from(self.delivered))
        chosen = data.draw(st.lists(st.sampled_from(rows), min_size=1, max_size=4))
        return table, [{**row, "loaded_at": data.draw(moments(1, 20))} for row in chosen]

    @initialize(data=st.data())
    def opening(self, data: st.DataObject) -> None:
        for table in IDS:
            self.arrive(table, data)
        # the first history that is tried is the simplest: one without rows
        assume(self.delivered)

    @rule(table=st.sampled_from(list(IDS)), data=st.data())
    def new_rows(self, table: str, data: st.DataObject) -> None:
        self.arrive(table, data)

    def arrive(self, table: str, data: st.DataObject) -> None:
        drawn = st.lists(rows(table), max_size=4)
        of_all = [data.draw(drawn) for _ in range(COMPANIES)]
        found = [owned(row, company=company) for company, some in enumerate(of_all) for row in some]
        if found:
            self.put(table, found)

    @rule(data=st.data())
    def duplicated(self, data: st.DataObject) -> None:
        if self.delivered:
            self.put(*self.draw_copies(data))

    @rule(data=st.data())
    def corrected(self, data: st.DataObject) -> None:
        if self.delivered:
            table, copies = self.draw_copies(data)
            values = data.draw(rows(table))
            kept = {
                IDS[table],
                EVENTS[table],
                "loaded_at",
                "user_id",
                "model_id",
                "entity_id",
                "prediction_id",
            }
            changed = {column: value for column, value in values.items() if column not in kept}
            self.put(table, [{**row, **changed} for row in copies])

    @rule(data=st.data())
    def moved(self, data: st.DataObject) -> None:
        if self.delivered:
            table, copies = self.draw_copies(data)
            event = EVENTS[table]
            self.put(table, [{**row, event: data.draw(moments(1, 14))} for row in copies])

    @rule(data=st.data())
    def retracted(self, data: st.DataObject) -> None:
        outcomes = [entry for entry in self.delivered if entry[0] == "business_outcomes"]
        if outcomes:
            table, found, _ = data.draw(st.sampled_from(outcomes))
            status = data.draw(one_of("reversed", "censored"))
            row = data.draw(st.sampled_from(found))
            self.put(table, [{**row, "status": status, "loaded_at": data.draw(moments(10, 20))}])

    @rule(fault=st.sampled_from(BROKEN), data=st.data())
    def malformed(self, fault: Mapping[str, str], data: st.DataObject) -> None:
        if self.delivered:
            table, copies = self.draw_copies(data)
            names = {"event": EVENTS[table], "id": IDS[table] or "user_id"}
            broken = {names.get(column, column): value for column, value in fault.items()}
            known = set(histories.COLUMNS[table])
            broken = {column: value for column, value in broken.items() if column in known}
            self.put(table, [{**row, **broken} for row in copies])

    @rule(data=st.data())
    def replaced(self, data: st.DataObject) -> None:
        """Somebody mends a file by hand, renames it or takes it away."""
        if self.delivered:
            entry = data.draw(st.sampled_from(self.delivered))
            table, found, path = entry
            self.delivered.remove(entry)
            deed = data.draw(one_of("mended", "renamed", "taken away"))
            if deed == "mended" and len(found) > 1:
                histories.deliver(self.folder, table, path.stem, found[1:])
                self.delivered.append((table, found[1:], path))
            elif deed == "renamed":
                renamed = path.rename(path.with_stem(f"{path.stem}_renamed"))
                self.delivered.append((table, found, renamed))
            else:
                path.unlink()

    @rule(variant=st.sampled_from(["as it is", "other seeds", "another metric"]))
    def configured(self, variant: str) -> None:
        self.variant = variant

    @rule(as_of=moments(5, 25))
    def built(self, as_of: str) -> None:
        self.build(as_of, "--exclude", "path:models/marts")

    @rule(as_of=moments(5, 25), stop=one_of("stg_usage_events", "fct_decisions", "fct_metrics"))
    def stopped(self, as_of: str, stop: str) -> None:
        """A build that ends early: everything before one model is done, nothing after."""
        self.build(as_of, "--select", f"+{stop}", "--exclude", stop)

    def build(self, as_of: str, *arguments: str) -> None:
        builder().build(self.folder, as_of=as_of, variant=self.variant, arguments=arguments)

    def teardown(self) -> None:
        if not self.count:
            return
        as_of = "2026-01-21 12:00:00"
        self.build(as_of)
        fresh = histories.copied(self.folder)
        builder().build(fresh, as_of=as_of, variant=self.variant)
        assert histories.differences(self.folder, fresh) == []
        if self.variant != "another metric":
            seeds = builder().root / self.variant / "seeds"
            histories.assert_equals_pandas(fresh, seeds=seeds, as_of=as_of)


NUMBERS = itertools.count()

TestDeliveries: Any = Deliveries.TestCase
TestDeliveries.settings = settings(
    max_examples=max(1, HISTORIES // COMPANIES),
    stateful_step_count=STEPS,
    deadline=None,
    derandomize=HISTORIES <= 200,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
)
