"""`throughline lift`: what it reads and writes, what it prints, and when a build runs it."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import numpy as np
import pytest
import yaml
from scipy import special

from building import ROOT, WITHOUT_TESTS, Project
from conftest import Company, Outcome
from lift_cases import moments_row, raw_row, table_of
from throughline import build, scorecard
from throughline.findings import UserError, refuse
from throughline.lift import aa, command, kernel, run, show
from throughline.lift.decide import DecisionRow, decisions, is_deciding
from throughline.lift.explain import explain
from throughline.lift.moments import COLUMNS as MOMENTS
from throughline.lift.moments import KEY, OPTIONAL_COUNTS, SAME, MomentsError
from throughline.lift.plan import Direction, Experiment, Metric
from throughline.lift.sequential import lan_demets
from throughline.lift.stakes import Stake
from throughline.lift.table import COLUMNS, estimate
from throughline.warehouse import Columns, Warehouse
from throughline.workspace import Workspace

Call = Callable[..., Outcome]
Row = Mapping[str, Any]

DUCKDB_TYPES = dict.fromkeys((*MOMENTS, *OPTIONAL_COUNTS), "double") | {
    **dict.fromkeys((*KEY, *SAME), "varchar"),
    "cap_value": "double",
    "as_of": "date",
}
EXPERIMENT = {
    "experiment_id": "trial",
    "model_id": "lead",
    "control_variant": "control",
    "expected_split": "control:0.5;treatment:0.5",
    "start_date": "2026-05-01",
    "planned_end_date": "2026-06-01",
    "window_days": "14",
    "covariate_days": "14",
    "method": "fixed",
    "primary_metric": "revenue",
    "secondary_metrics": "",
    "minimum_effect": "0.01",
    "minimum_effect_kind": "relative",
    "alpha": "0.05",
    "power": "0.8",
}
GUARDRAIL = {
    "experiment_id": "trial",
    "metric": "visits",
    "margin": 0.05,
    "margin_kind": "relative",
}


@dataclass(frozen=True)
class Here(Warehouse):
    """A warehouse on a DuckDB connection, without dbt."""

    connection: Any = None

    @property
    def handle(self) -> Any:
        return SimpleNamespace(cursor=lambda: self.connection)


def written_columns(name: str) -> dict[str, str]:
    (model,) = yaml.safe_load((ROOT / f"models/lift/{name}.yml").read_text())["models"]
    return {column["name"]: column["data_type"] for column in model["columns"]}


def arms(lift: float = 0.5, *, seed: int = 1, n: int = 400, **key: Any) -> list[dict[str, Any]]:
    """Moments of two arms of a ratio, about a constant, with its twin before exposure."""
    rng = np.random.default_rng(seed)
    rows = []
    for variant, effect in (("control", 0.0), ("treatment", lift)):
        d = 1.0 + rng.poisson(2, n)
        x = rng.normal(10, 2, n) * d
        data = {"y": (10 + effect) * d + 0.5 * (x - 10 * d) + rng.normal(0, 1, n), "d": d}
        data |= {"x": x, "w": d + rng.poisson(0.1, n)}
        constants = {"y": 32.0, "d": 3.0, "x": 32.0, "w": 3.0}
        row = raw_row(data, variant=variant, constants=constants)
        rows.append({**row, "pair_role": "denominator", **key})
    return rows


def trial(day: str = "2026-07-01", lift: float = 0.5) -> list[dict[str, Any]]:
    """A primary with a segment, and its guardrail."""
    return [
        *arms(lift, as_of=day),
        *arms(lift, seed=2, as_of=day, segment_name="region", segment_value="north"),
        *arms(0.0, seed=3, as_of=day, metric="visits"),
    ]


def put(connection: Any, schema: str, name: str, rows: Sequence[Row], **types: str) -> None:
    connection.execute(f"create schema if not exists {schema}")
    columns = ", ".join(f'"{column}" {types.get(column, "varchar")}' for column in rows[0])
    connection.execute(f"create or replace table {schema}.{name} ({columns})")
    marks = ", ".join("?" for _ in rows[0])
    for row in rows:
        connection.execute(f"insert into {schema}.{name} values ({marks})", list(row.values()))


def put_moments(connection: Any, rows: Sequence[Row]) -> None:
    columns = table_of([{**row, "n_clusters_shared": 0.0} for row in rows])
    put(connection, "main_lift", "fct_moments", [dict.fromkeys(columns)], **DUCKDB_TYPES)
    connection.register("given", columns)
    connection.execute("delete from main_lift.fct_moments")
    connection.execute("insert into main_lift.fct_moments by name select * from given")
    connection.unregister("given")


def fill(connection: Any, rows: Sequence[Row] | None = None) -> None:
    """The relations that lift reads and writes, as a build leaves them."""
    put_moments(connection, trial() if rows is None else rows)
    put(connection, "main_config", "cfg_experiments", [EXPERIMENT], start_date="date")
    put(connection, "main_config", "cfg_experiment_guardrails", [GUARDRAIL], margin="double")
    cards = [
        {"metric": metric, "direction": "up", "known_after": "event", "unit": unit}
        for metric, unit in (("revenue", "USD"), ("visits", "share"))
    ]
    put(connection, "main_metrics", "dim_metrics", cards)
    model = {"model_id": "lead", "horizon_days": 14, "label_delay_days": 2}
    put(connection, "main_core", "dim_models", [model], horizon_days="int", label_delay_days="int")
    annotation: dict[str, Any] = {
        "annotation_id": "a",
        "scope": "all",
        "annotation_date": "2026-05-03",
        "excludes_from_causal": False,
    }
    put(
        connection,
        "main_core",
        "dim_annotations",
        [annotation],
        annotation_date="date",
        excludes_from_causal="boolean",
    )
    stake = {
        "experiment_id": "trial",
        "variant": "treatment",
        "units_per_year": 1000.0,
        "unit_value": 2.0,
        "serving_cost_difference": None,
    }
    numbers = ("units_per_year", "unit_value", "serving_cost_difference")
    put(
        connection,
        "main_lift",
        "int_experiment_stakes",
        [stake],
        **dict.fromkeys(numbers, "double"),
    )
    for name in run.WRITTEN:
        put(connection, "main_lift", name, [dict.fromkeys(written_columns(name))])
        columns = ", ".join(f"{column} {type_}" for column, type_ in written_columns(name).items())
        connection.execute(f"create or replace table main_lift.{name} ({columns})")


@pytest.fixture
def here() -> Iterator[Here]:
    with duckdb.connect() as connection:
        fill(connection)
        yield Here("duckdb", "main", None, connection)


@pytest.fixture
def folder(tmp_path: Path) -> Workspace:
    return Workspace(project=tmp_path, folder=tmp_path, chosen_by="the test")


def lift(here: Here, folder: Workspace) -> run.Results:
    inputs = run.gather(here)
    assert inputs is not None
    results = run.compute(inputs)
    run.write(here, results, workspace=folder)
    return results


def stored(here: Here, name: str = "fct_lift_estimates") -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = here.connection.execute(
        f"select * from main_lift.{name} order by all"
    ).fetchall()
    return found


def declared() -> dict[str, Any]:
    plan = Experiment.from_row(EXPERIMENT, guardrails=[GUARDRAIL], outcome_days=2, label_days=16)
    return {"experiments": [plan], "metrics": [Metric(metric="revenue"), Metric(metric="visits")]}


# What is written


def test_contracts_are_what_is_computed() -> None:
    names = [list(written_columns(name)) for name in run.WRITTEN]
    assert names[0] == list(COLUMNS)
    assert names[2] == [field.name for field in fields(DecisionRow)]


def test_written_rows_are_the_estimates(here: Here, folder: Workspace) -> None:
    lift(here, folder)
    wanted = estimate(table_of(trial()), **declared())
    assert set(wanted["status"]) == {"ok"}
    for name, values in wanted.items():
        found = here.columns(f"select {name} from main_lift.fct_lift_estimates")[name]
        if name == "as_of":
            assert found.astype("datetime64[D]").tolist() == [date(2026, 7, 1)] * len(values)
        elif values.dtype == object:
            assert found.tolist() == values.tolist(), name
        else:
            numbers = np.array(found.tolist(), dtype=float)
            assert np.array_equal(numbers, values, equal_nan=True), name
    ratio = {
        name: values.tolist()[0]
        for name, values in here.columns(
            "select * from main_lift.fct_lift_splits where segment_name = 'all'"
        ).items()
    }
    assert ratio["variant_counts"] == "control:400;treatment:400"
    assert (ratio["row_count"], ratio["has_mismatch"]) == (800, False)
    assert ratio["p_value"] == pytest.approx(1.0)


def test_a_rerun_gives_the_same_bytes(here: Here, folder: Workspace) -> None:
    lift(here, folder)
    before = {name: stored(here, name) for name in run.WRITTEN}
    assert all(before.values())
    put_moments(here.connection, list(reversed(trial())))
    lift(here, folder)
    assert repr({name: stored(here, name) for name in run.WRITTEN}) == repr(before)


def test_every_day_stays_and_a_rerun_replaces_its_own(here: Here, folder: Workspace) -> None:
    lift(here, folder)
    first = stored(here)
    put_moments(here.connection, trial("2026-07-02", lift=0.7))
    lift(here, folder)
    assert len(stored(here)) == 2 * len(first)
    assert [row for row in stored(here) if date(2026, 7, 1) in row] == first
    put_moments(here.connection, trial("2026-07-02", lift=0.9)[:2])
    lift(here, folder)
    days = [date(2026, 7, 1)] * len(first) + [date(2026, 7, 2)] * 3
    assert [row[COLUMNS.index("as_of")] for row in stored(here)].count(days[0]) == len(first)
    assert len(stored(here)) == len(days)
    assert len(stored(here, "fct_lift_decisions")) == 2


@pytest.mark.parametrize("name", run.WRITTEN)
def test_a_write_that_fails_leaves_the_last_good_rows(
    here: Here, folder: Workspace, name: str
) -> None:
    lift(here, folder)
    put_moments(here.connection, trial(lift=0.9))
    *_, last = written_columns(name)
    here.connection.execute(f"alter table main_lift.{name} drop column {last}")
    before = {each: stored(here, each) for each in run.WRITTEN}
    with pytest.raises(UserError, match=r"main_lift.fct_lift_\*: cannot be written: .*in force"):
        lift(here, folder)
    assert {each: stored(here, each) for each in run.WRITTEN} == before
    assert before["fct_lift_estimates"]


@dataclass(frozen=True)
class Full:
    """A connection to a full disk, where the commit that fails ends the transaction."""

    connection: Any

    def execute(self, sql: str, *given: Any) -> Any:
        if sql == "commit":
            self.connection.execute("rollback")
            raise duckdb.IOException("Failed to commit: ...wal: No space left on device")
        return self.connection.execute(sql, *given)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.connection, name)


def test_a_full_disk_is_one_line(here: Here, folder: Workspace) -> None:
    lift(here, folder)
    before = {each: stored(here, each) for each in run.WRITTEN}
    put_moments(here.connection, trial(lift=0.9))
    with pytest.raises(UserError) as refused:
        lift(replace(here, connection=Full(here.connection)), folder)
    assert str(refused.value) == (
        "main_lift.fct_lift_*: cannot be written: the disk is full. "
        "The rows in force stay as they were. Make room and run throughline lift again."
    )
    assert {each: stored(here, each) for each in run.WRITTEN} == before


def test_a_decision_follows_from_the_estimates_the_stakes_and_the_plan(
    here: Here, folder: Workspace
) -> None:
    lift(here, folder)
    put_moments(here.connection, trial("2026-06-10"))
    lift(here, folder)
    query = "select * from main_lift.fct_lift_estimates"
    stakes = {("trial", "treatment"): Stake(units_per_year=1000, unit_value=2)}
    again = decisions(here.columns(query), **declared(), stakes=stakes)
    names = list(written_columns("fct_lift_decisions"))
    kept = [dict(zip(names, row, strict=True)) for row in stored(here, "fct_lift_decisions")]
    assert len(again) == len(kept) == 2
    assert [row.decision for row in again] == ["extend", "ship"]
    for row, was in zip(again, kept, strict=True):
        assert {name: getattr(row, name) for name in names} == was
    dearer = {("trial", "treatment"): Stake(units_per_year=1000, unit_value=3)}
    here.connection.execute("update main_lift.fct_lift_estimates set estimate = estimate + 1e-9")
    for changed in (
        decisions(here.columns(query), **declared(), stakes=stakes),
        decisions(here.columns(query), **declared(), stakes=dearer),
    ):
        assert {row.inputs_hash for row in changed}.isdisjoint(row.inputs_hash for row in again)


def test_a_win_that_costs_more_than_it_brings_is_held(here: Here, folder: Workspace) -> None:
    (row,) = lift(here, folder).decisions
    # half a dollar per unit, 1000 units a year at 2
    assert (row.decision, row.is_serving_cost_known) == ("ship", False)
    assert row.serving_cost_difference_amount == 0
    assert row.value_at_stake_amount == pytest.approx(2000 * row.estimate, rel=1e-12)
    estimate_ = here.connection.execute(
        "select gain_low, gain_high, estimate, ci_low, ci_high from main_lift.fct_lift_estimates "
        "where metric = 'revenue' and segment_name = 'all' and method = 'cuped'"
    ).fetchone()
    # one variant: the interval that decides is that of the fixed horizon
    assert estimate_[:2] == pytest.approx(estimate_[3:], rel=1e-12)
    ends = [row.value_at_stake_low_amount, row.value_at_stake_high_amount]
    assert ends == pytest.approx([2000 * end for end in estimate_[3:]], rel=1e-12)
    costs = "update main_lift.int_experiment_stakes set serving_cost_difference = "
    for share, decision in ((0.99, "ship"), (1.01, "hold")):
        here.connection.execute(f"{costs} {share * 2000 * estimate_[4]}")
        (row,) = lift(here, folder).decisions
        assert row.decision == decision
        assert row.is_serving_cost_known
    assert row.reason == "costs_more_than_it_brings"
    assert row.value_at_stake_high_amount < 0


LOOKING: Row = {
    "method": "group_sequential",
    "look_dates": "2026-05-22;2026-06-05",
    "minimum_effect": "0.005",
}


def looked(here: Here, folder: Workspace, day: str, **options: Any) -> DecisionRow:
    put_moments(here.connection, arms(as_of=day, **options))
    (row,) = lift(here, folder).decisions
    assert row.as_of == date.fromisoformat(day)
    return row


@pytest.fixture
def looking(here: Here) -> Here:
    put(here.connection, "main_config", "cfg_experiments", [{**EXPERIMENT, **LOOKING}])
    here.connection.execute("delete from main_config.cfg_experiment_guardrails")
    return here


def test_a_verdict_stands_until_the_next_look(looking: Here, folder: Workspace) -> None:
    early = looked(looking, folder, "2026-05-21")
    assert (early.decision, early.reason, early.decided_at_look) == ("extend", "not_ready", None)
    # the build of the first look came two days late
    first = looked(looking, folder, "2026-05-24")
    assert (first.decision, first.decided_at_look) == ("ship", date(2026, 5, 22))
    # what came in since then does not count before the next look
    kept = looked(looking, folder, "2026-05-25", lift=-0.5)
    assert kept == replace(first, as_of=kept.as_of)
    between = looking.connection.execute(
        "select distinct sequential_ci_low, decision_low, gain_low "
        "from main_lift.fct_lift_estimates where as_of = '2026-05-25'"
    ).fetchall()
    assert between == [(None, None, None)]
    # a rerun of the day of the look reads it again
    assert looked(looking, folder, "2026-05-24", lift=-0.5).decision == "roll_back"
    assert looked(looking, folder, "2026-05-24") == first
    second = looked(looking, folder, "2026-06-05", lift=-0.5)
    assert (second.decision, second.decided_at_look) == ("roll_back", date(2026, 6, 5))
    assert looked(looking, folder, "2026-06-14").decision == "roll_back"
    last = looked(looking, folder, "2026-06-16")
    assert (last.decision, last.decided_at_look) == ("ship", date(2026, 6, 15))
    assert looked(looking, folder, "2027-01-01", lift=-0.5).decision == "ship"


def test_what_invalidates_an_experiment_ends_a_verdict_that_stood(
    looking: Here, folder: Workspace
) -> None:
    looked(looking, folder, "2026-05-22")
    rows = arms(as_of="2026-05-23")
    put_moments(looking.connection, [{**rows[0], "n_exposed": 900.0}, rows[1]])
    (row,) = lift(looking, folder).decisions
    assert (row.decision, row.reason, row.decided_at_look) == ("stop_invalid", "srm", None)
    assert looked(looking, folder, "2026-05-24").decision == "ship"


def test_a_look_without_an_estimate_is_left_for_the_next_build(
    looking: Here, folder: Workspace
) -> None:
    few = looked(looking, folder, "2026-05-22", n=5)
    assert (few.decision, few.reason, few.decided_at_look) == ("extend", "not_ready", None)
    read = looked(looking, folder, "2026-05-23")
    assert (read.decision, read.decided_at_look) == ("ship", date(2026, 5, 22))


def test_another_plan_reads_its_looks_anew_and_ships_nothing(
    looking: Here, folder: Workspace
) -> None:
    looked(looking, folder, "2026-05-22")
    looking.connection.execute("update main_config.cfg_experiments set alpha = '0.1'")
    row = looked(looking, folder, "2026-05-23")
    assert (row.decision, row.reason) == ("hold", "plan_changed")


@pytest.mark.parametrize("day", ["2026-07-01", "2026-07-02"])
def test_a_plan_that_changed_after_the_first_decision_ships_nothing(
    here: Here, folder: Workspace, day: str
) -> None:
    (first,) = lift(here, folder).decisions
    assert first.decision == "ship"
    here.connection.execute("update main_config.cfg_experiment_guardrails set margin = 0.2")
    put_moments(here.connection, trial(day))
    for _ in range(2):
        (row,) = lift(here, folder).decisions
        assert (row.decision, row.reason) == ("hold", "plan_changed")
        assert row.first_plan_hash == first.plan_hash != row.plan_hash


@pytest.mark.parametrize(
    ("scope", "day", "is_masked"),
    [
        ("all", "2026-05-01", True),
        ("lead", "2026-06-14", True),
        ("revenue", "2026-05-20", True),
        ("visits", "2026-05-20", True),
        ("conversion_rate", "2026-05-20", False),
        ("offer", "2026-05-20", False),
        ("all", "2026-04-30", False),
        ("all", "2026-06-15", False),
    ],
)
def test_an_annotation_masks_what_it_touches(
    here: Here, folder: Workspace, scope: str, day: str, is_masked: bool
) -> None:
    here.connection.execute(
        "update main_core.dim_annotations set excludes_from_causal = true, scope = ?, "
        "annotation_date = ?",
        [scope, day],
    )
    (row,) = lift(here, folder).decisions
    assert row.decision == ("stop_invalid" if is_masked else "ship")
    assert row.reason == ("masked_window" if is_masked else None)


def test_a_metric_waits_for_the_delays_of_its_model(here: Here) -> None:
    here.connection.execute("update main_metrics.dim_metrics set known_after = 'label'")
    inputs = run.gather(here)
    assert inputs is not None
    (plan,) = inputs.experiments
    assert [plan.horizon_days(card) for card in inputs.metrics] == [16, 16]
    assert (plan.outcome_days, plan.guardrails[0].margin) == (2, 0.05)


@pytest.mark.parametrize(
    ("kind", "schema", "relation"),
    [
        ("duckdb", "main", "main_lift.fct_moments"),
        ("postgres", "Sales-EU", '"Sales-EU_lift".fct_moments'),
        ("spark", "Sales-EU", "`Sales-EU_lift`.fct_moments"),
    ],
)
def test_a_schema_is_quoted_where_it_must_be(kind: str, schema: str, relation: str) -> None:
    assert Warehouse(kind, schema, None).relation("lift", "fct_moments") == relation


def test_without_units_there_is_nothing_to_compute(here: Here) -> None:
    here.connection.execute("delete from main_lift.fct_moments")
    assert run.gather(here) is None


def test_units_of_the_control_alone_stop_the_experiment(here: Here, folder: Workspace) -> None:
    put_moments(here.connection, [row for row in trial() if row["variant"] == "control"])
    results, inputs = lift(here, folder), run.gather(here)
    assert inputs is not None
    query = "select decision, reason from main_lift.fct_lift_decisions"
    assert here.connection.execute(query).fetchall() == [("stop_invalid", "srm")]
    query = "select distinct variant, status, reason from main_lift.fct_lift_estimates"
    assert here.connection.execute(query).fetchall() == [("treatment", "refused", "srm")]
    ((table, _),) = show.tables(inputs, results)
    assert str(table.title).startswith("trial, as of 2026-07-01: against control")


def test_what_does_not_fit_is_one_line_with_its_fix(here: Here, folder: Workspace) -> None:
    here.connection.execute("update main_config.cfg_experiments set minimum_effect = '0'")
    with pytest.raises(UserError, match=r"experiment trial: minimum_effect must be above 0\. Corr"):
        run.gather(here)
    here.connection.execute("delete from main_config.cfg_experiments")
    with pytest.raises(UserError, match=r"not declared: trial. If a seed .* throughline build"):
        lift(here, folder)
    here.connection.execute("drop table main_lift.fct_lift_splits")
    with pytest.raises(
        UserError, match=r"main_lift.fct_lift_splits: does not exist yet\. Build it"
    ):
        run.gather(here)


# What is printed


def test_how_effects_differ_between_segments_is_told(here: Here, folder: Workspace) -> None:
    _, _, *others = trial()
    whole = arms(1.0, n=800, as_of="2026-07-01")
    south = arms(2.0, as_of="2026-07-01", segment_name="region", segment_value="south")
    put_moments(here.connection, [*whole, *others, *south])
    results, inputs = lift(here, folder), run.gather(here)
    assert inputs is not None
    ((_, lines),) = show.tables(inputs, results)
    assert re.fullmatch(
        r"revenue, p of equal effects by segment: region [0-9.e-]+", lines[-1].plain
    )


@pytest.fixture
def lifted(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace whose warehouse holds moments."""
    folder = project / "lifted"
    (folder / "raw").mkdir(parents=True)
    monkeypatch.setenv("THROUGHLINE_WORKSPACE", "lifted")
    with duckdb.connect(str(folder / "warehouse.duckdb")) as connection:
        fill(connection)
    return folder


def test_lift_on_a_workspace(lifted: Path, throughline: Call) -> None:
    shown = throughline("lift")
    assert (shown.status, shown.err) == (0, "")
    assert "trial, as of 2026-07-01: against control, cuped on raw totals" in shown.out
    assert "treatment: ship" in shown.out
    with duckdb.connect(str(lifted / "warehouse.duckdb")) as connection:
        (count,) = connection.execute(
            "select count(*) from main_lift.fct_lift_estimates"
        ).fetchall()
        assert count == (9,)

    report = throughline("lift", "--json").report
    found = json.loads(json.dumps(report["experiments"]))[0]
    assert found["experiment_id"] == "trial"
    assert [row["decision"] for row in found["decisions"]] == ["ship"]
    assert (len(found["estimates"]), len(found["splits"])) == (6, 1)
    # those of few must not be told, nor what would give them away; the marts know which they are
    rows = [*found["estimates"], *found["splits"]]
    assert {row["segment_name"] for row in rows} == {"all"}
    assert set(found["estimates"][0]) == set(COLUMNS)
    assert found["estimates"][0]["as_of"] == "2026-07-01"

    explained = throughline("lift", "--explain", "trial", "revenue")
    assert explained.out.startswith("trial / revenue: treatment (t) against control (c), primary")
    for arguments, said in (
        (("trail", "revenue"), "no experiment with units is named trail. Did you mean 'trial'?"),
        (("trial", "revenu"), "trial has no metric revenu. Did you mean 'revenue'?"),
    ):
        ended = throughline("lift", "--explain", *arguments)
        assert (ended.status, ended.lines) == (1, [f"error --explain: {said}"])

    with duckdb.connect(str(lifted / "warehouse.duckdb")) as connection:
        connection.execute("delete from main_lift.fct_moments")
    for option, said in (((), command.NO_UNITS), (("--json",), '{"experiments": []}')):
        ended = throughline("lift", *option)
        assert (ended.status, ended.out) == (0, f"{said}\n")


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--json",),
        ("--explain", "trial", "revenue"),
        ("--aa", "revenue"),
        ("--as-of", "2026-01-01"),
    ],
)
@pytest.mark.parametrize("has_file", [False, True])
def test_before_the_first_build_lift_says_so(
    project: Path,
    throughline: Call,
    monkeypatch: pytest.MonkeyPatch,
    options: Sequence[str],
    has_file: bool,
) -> None:
    (project / "bare" / "raw").mkdir(parents=True)
    monkeypatch.setenv("THROUGHLINE_WORKSPACE", "bare")
    if has_file:
        duckdb.connect(str(project / "bare/warehouse.duckdb")).close()
    ended = throughline("lift", *options)
    option = " --as-of '2026-01-01 00:00:00'" if "--as-of" in options else ""
    said = f"error bare: nothing is built yet. Build it: throughline build{option}"
    assert (ended.status, ended.lines) == (1, [said])
    assert (project / "bare/warehouse.duckdb").exists() == has_file


@pytest.mark.parametrize(
    "options",
    [
        ("--json", "--aa", "m"),
        ("--json", "--explain", "e", "m"),
        ("--explain", "e", "m", "--aa", "m"),
    ],
)
def test_one_form_of_lift_at_a_time(
    project: Path, throughline: Call, options: Sequence[str]
) -> None:
    ended = throughline("lift", *options)
    forms = " ".join(option for option in options if option.startswith("--"))
    said = f"error {forms}: one of them at a time can be printed. Leave out all but one."
    assert (ended.status, ended.lines) == (1, [said])


HOLD = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print(); sys.stdin.read()"


@pytest.mark.slow
def test_who_holds_the_warehouse_is_named(lifted: Path, throughline: Call) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(lifted / "warehouse.duckdb")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        ended = [throughline("lift"), throughline("lift", "--aa", "revenue")]
        holder.communicate("")
    program = Path(sys.executable).resolve().name
    said = f"error lifted/warehouse.duckdb: in use by {program} (process {holder.pid}). "
    for each in ended:
        assert (each.status, each.lines) == (1, [f"{said}Close it and try again."])


NUMBER = re.compile(r"^(\w+) += (\S+) ", re.MULTILINE)


def blocks(
    rows: Sequence[Row],
    *,
    metric: str = "revenue",
    direction: Direction = "up",
    guardrails: Sequence[Row] = (),
    **plan: str,
) -> tuple[list[list[str]], list[dict[str, Any]]]:
    """What is printed of a metric, a block per variant, and the estimates that it explains."""
    declared = Experiment.from_row({**EXPERIMENT, **plan}, guardrails=guardrails)
    given: dict[str, Any] = {
        "experiments": [declared],
        "metrics": [Metric(metric="revenue"), Metric(metric="visits", direction=direction)],
    }
    found = estimate(table_of(rows), **given)
    fits = is_deciding(found, experiments=[declared]) & (found["metric"] == metric)
    printed = [*explain(table_of(rows), plan=declared, metric=metric, **given)]
    explained_rows = [
        {name: column[place] for name, column in found.items()} for place in np.flatnonzero(fits)
    ]
    return printed, explained_rows


def numbers(lines: Sequence[str]) -> dict[str, float]:
    text = "\n".join(f"{line} " for line in lines)
    return {name: float(value) for name, value in NUMBER.findall(text)}


def explained(rows: Sequence[Row], **options: Any) -> tuple[dict[str, float], dict[str, Any]]:
    """The numbers of the one block that is printed, and the estimate it explains."""
    (lines,), (row,) = blocks(rows, **options)
    at = numbers(lines)
    for name in set(at) & set(row):
        assert at[name] == row[name] or at[name] == pytest.approx(row[name], rel=1e-9), name
    return at, row


def means_of(at: Mapping[str, float], names: str) -> dict[str, float]:
    """Means from what is summed: k + s / n."""
    return {
        f"{name}_{side}": at[f"k_{name}_{side}"] + at[f"s_{name}_{side}"] / at[f"n_{side}"]
        for name in names
        for side in "ct"
    }


def scatter(at: Mapping[str, float], one: str, two: str, side: str) -> float:
    sums = at[f"s_{one}_{side}"] * at[f"s_{two}_{side}"] / at[f"n_{side}"]
    return at[f"s_{one}{two}_{side}"] - sums


def share_of_base(at: Mapping[str, float], critical: float, sign: float = 1.0) -> list[float]:
    """Ends of an effect as a share of the base, after Fieller, up as good if `sign` says so."""
    estimate_, cov = sign * at["estimate"], sign * at["cov"]
    a = at["base"] ** 2 - critical**2 * at["var_base"]
    b = estimate_ * at["base"] - critical**2 * cov
    c = estimate_**2 - critical**2 * at["var_delta"]
    root = math.sqrt(b**2 - a * c)
    return [(b - root) / a, (b + root) / a]


def finish(at: Mapping[str, float], *, estimate_: float, variances: Sequence[float]) -> None:
    """What follows from an effect and the variances of its arms, as printed."""
    error = math.sqrt(sum(variances))
    n_c, n_t = at["g_c"], at["g_t"]
    freedom = sum(variances) ** 2 / (variances[0] ** 2 / (n_c - 1) + variances[1] ** 2 / (n_t - 1))
    critical = float(special.stdtrit(freedom, 0.975))
    rho2 = (-2 * math.log(0.05) + math.log(1 - 2 * math.log(0.05))) / 5000
    q = (n_c + n_t) * rho2
    wide = math.sqrt((q + 1) / q * math.log((q + 1) / 0.05**2))
    for name, value in {
        "estimate": estimate_,
        "std_error": error,
        "df": freedom,
        "critical": critical,
        "ci_low": estimate_ - critical * error,
        "ci_high": estimate_ + critical * error,
        "sequential_critical": wide,
        "sequential_ci_low": estimate_ - wide * error,
        "sequential_ci_high": estimate_ + wide * error,
        "p_value": 2 * special.stdtr(freedom, -abs(estimate_ / error)),
        "relative_lift": estimate_ / at["base"],
        "decision_critical": critical,
    }.items():
        assert at[name] == pytest.approx(value, rel=1e-7), name
    for name in ("relative_ci", "decision"):
        ends = [at[f"{name}_low"], at[f"{name}_high"]]
        assert ends == pytest.approx(share_of_base(at, critical), rel=1e-7), name


@pytest.mark.parametrize("is_adjusted", [False, True])
def test_a_reader_computes_a_mean_again(is_adjusted: bool) -> None:
    rows = [{**row, "pair_role": "none"} for row in arms()]
    at, _ = explained(rows, covariate_days="14" if is_adjusted else "0")
    mean = means_of(at, "yx" if is_adjusted else "y")
    theta = 0.0
    if is_adjusted:
        theta = sum(scatter(at, "y", "x", side) for side in "ct")
        theta /= sum(scatter(at, "x", "x", side) for side in "ct")
    effect = mean["y_t"] - mean["y_c"]
    variances = []
    for side in "ct":
        spread = scatter(at, "y", "y", side)
        if is_adjusted:
            spread -= 2 * theta * scatter(at, "y", "x", side)
            spread += theta**2 * scatter(at, "x", "x", side)
        variances.append(spread / (at[f"n_{side}"] - 1) / at[f"n_{side}"])
    if is_adjusted:
        effect -= theta * (mean["x_t"] - mean["x_c"])
    finish(at, estimate_=effect, variances=variances)
    # The control level at the pre-period mean of both arms, and how it varies with the effect.
    pull = theta * at["n_t"] / (at["n_c"] + at["n_t"])
    level = mean["y_c"] + (pull * (mean["x_t"] - mean["x_c"]) if is_adjusted else 0)
    assert at["base"] == pytest.approx(level, rel=1e-9)

    def product(side: str, of: tuple[float, float], by: tuple[float, float]) -> float:
        total = of[0] * by[0] * scatter(at, "y", "y", side)
        if is_adjusted:
            total += (of[0] * by[1] + of[1] * by[0]) * scatter(at, "y", "x", side)
            total += of[1] * by[1] * scatter(at, "x", "x", side)
        return total / (at[f"n_{side}"] - 1) / at[f"n_{side}"]

    control, treatment = (1.0, -pull), (0.0, pull)
    varies = product("c", control, control) + product("t", treatment, treatment)
    with_effect = product("t", (1.0, -theta), treatment) - product("c", (1.0, -theta), control)
    assert at["var_base"] == pytest.approx(varies, rel=1e-9)
    assert at["cov"] == pytest.approx(with_effect, rel=1e-9)


def test_a_reader_computes_an_adjusted_ratio_again() -> None:
    at, row = explained(arms())
    mean = means_of(at, "ydxw")
    ratio = {side: mean[f"y_{side}"] / mean[f"d_{side}"] for side in "ct"}
    twin = {side: mean[f"x_{side}"] / mean[f"w_{side}"] for side in "ct"}
    theta = at["theta"]
    variances = []
    for side in "ct":
        weights = {
            "y": 1 / mean[f"d_{side}"],
            "d": -ratio[side] / mean[f"d_{side}"],
            "x": -theta / mean[f"w_{side}"],
            "w": theta * twin[side] / mean[f"w_{side}"],
        }
        total = 0.0
        for one, p in weights.items():
            for two, q in weights.items():
                pair = one + two if f"s_{one}{two}_c" in at else two + one
                total += p * q * scatter(at, pair[0], pair[1], side)
        variances.append(total / (at[f"n_{side}"] - 1) / at[f"n_{side}"])
    effect = ratio["t"] - ratio["c"] - theta * (twin["t"] - twin["c"])
    finish(at, estimate_=effect, variances=variances)
    for name in ("estimate", "std_error", "ci_low", "ci_high", "relative_lift", "decision_low"):
        assert at[name] == pytest.approx(row[name], rel=1e-9), name
    assert row["variance_reduction"] > 0.1
    assert abs(theta) > 0.1


@pytest.mark.parametrize("is_ratio", [False, True])
def test_a_reader_computes_the_adjustment_by_a_given_covariate_again(is_ratio: bool) -> None:
    rng = np.random.default_rng(9)
    rows = []
    for variant, effect in (("control", 0.0), ("treatment", 0.5)):
        d, w, c = (rng.poisson(2, 300) + 1.0, rng.poisson(2, 300) + 1.0, rng.normal(5, 2, 300))
        x = rng.normal(10, 2, 300) * w
        y = (10 + effect + 0.5 * x / w + c + rng.normal(0, 1, 300)) * d
        data = {"y": y, "x": x, "c": c} | ({"d": d, "w": w} if is_ratio else {})
        row = raw_row(data, variant=variant, constants={"c": 4.0})
        rows.append({**row, "pair_role": "denominator" if is_ratio else "none"})
    at, row = explained(rows)
    effect = at["Y_t"] - at["Y_c"] - at["theta"] * (at["X_t"] - at["X_c"])
    effect -= at["theta_given"] * (means_of(at, "c")["c_t"] - means_of(at, "c")["c_c"])
    assert at["estimate"] == pytest.approx(effect, rel=1e-9)
    for name in ("estimate", "std_error", "ci_low", "ci_high", "relative_lift", "decision_low"):
        assert at[name] == pytest.approx(row[name], rel=1e-9), name
    assert abs(at["theta_given"]) > 0.5


def test_a_reader_computes_clusters_again() -> None:
    rng = np.random.default_rng(4)
    rows = [
        raw_row(
            {"y": rng.normal(10 + up, 1, 300) + np.repeat(rng.normal(0, 1, 60), 5)},
            cluster=np.repeat(np.arange(60), 5),
            constants={"y": 8.0},
            variant=variant,
        )
        for variant, up in (("control", 0.0), ("treatment", 1.0))
    ]
    at, row = explained(rows, covariate_days="0")
    assert (at["g_c"], at["n_c"]) == (60, 300)
    variances = []
    for side in "ct":
        away = at[f"s_y_{side}"] / 300
        spread = at[f"s_yy_{side}"] - 2 * away * at[f"s_my_{side}"] + away**2 * at[f"s_mm_{side}"]
        variances.append(60 / 59 * spread / 300**2)
    finish(at, estimate_=at["y_t"] - at["y_c"], variances=variances)
    assert at["std_error"] == pytest.approx(row["std_error"], rel=1e-9)


def test_a_reader_computes_differences_in_differences_and_uptake_again() -> None:
    rows = [{**row, "pair_role": "none", "n_unclustered": 0.0} for row in arms()]
    at, row = explained(rows, method="did")
    mean = means_of(at, "yx")
    effect = (mean["y_t"] - mean["x_t"]) - (mean["y_c"] - mean["x_c"])
    assert at["estimate"] == pytest.approx(effect, rel=1e-9)
    assert at["std_error"] == pytest.approx(row["std_error"], rel=1e-9)
    # What the treated would have been with the change of the control.
    assert at["base"] == pytest.approx(mean["y_c"] + mean["x_t"] - mean["x_c"], rel=1e-9)
    ends = share_of_base(at, at["critical"])
    assert [at["relative_ci_low"], at["relative_ci_high"]] == pytest.approx(ends, rel=1e-7)

    rng = np.random.default_rng(5)
    rows = []
    for variant, share in (("control", 0.2), ("treatment", 0.7)):
        d = (rng.random(500) < share).astype(float)
        data = {"y": 2 * d + rng.normal(0, 1, 500), "d": d}
        rows.append(raw_row(data, variant=variant, pair_role="uptake"))
    at, row = explained(rows, **INSTRUMENT)
    mean = means_of(at, "yd")
    per_uptake = (mean["y_t"] - mean["y_c"]) / (mean["d_t"] - mean["d_c"])
    assert at["estimate"] == pytest.approx(per_uptake, rel=1e-9)
    v = {
        pair: sum(scatter(at, pair[0], pair[1], side) / 499 / 500 for side in "ct")
        for pair in ("yy", "yd", "dd")
    }
    error = math.sqrt(v["yy"] - 2 * per_uptake * v["yd"] + per_uptake**2 * v["dd"]) / at["base"]
    assert at["std_error"] == pytest.approx(error, rel=1e-9)
    assert row["std_error"] == pytest.approx(error, rel=1e-9)
    for end in (at["ci_low"], at["ci_high"]):
        # on its edge, delta - r base lies exactly critical standard errors from zero
        spread = v["yy"] - 2 * end * v["yd"] + end**2 * v["dd"]
        distance = abs(at["delta"] - end * at["base"]) / math.sqrt(spread)
        assert distance == pytest.approx(at["critical"], rel=1e-6)
    assert [at["decision_low"], at["decision_high"]] == [at["ci_low"], at["ci_high"]]


def level_of(mean: float, *, variant: str, seed: int, n: int = 400, **key: Any) -> dict[str, Any]:
    y = np.random.default_rng(seed).normal(mean, 2, n)
    return raw_row({"y": y}, variant=variant, constants={"y": 10.0}, **key)


TWO_VARIANTS: dict[str, Any] = {
    "expected_split": "control:0.4;a:0.3;b:0.3",
    "minimum_effect_kind": "absolute",
    "covariate_days": "0",
}


def two_variants(day: str) -> list[dict[str, Any]]:
    return [
        level_of(10, variant="control", seed=1, n=800, as_of=day),
        level_of(10.7, variant="a", seed=2, n=600, as_of=day),
        level_of(9.9, variant="b", seed=3, n=600, as_of=day),
    ]


@pytest.mark.parametrize(("day", "is_fixed"), [("2026-07-01", True), ("2026-06-10", False)])
def test_a_reader_computes_the_share_of_alpha_again(day: str, is_fixed: bool) -> None:
    printed, rows = blocks(two_variants(day), **TWO_VARIANTS)
    assert [row["variant"] for row in rows] == ["a", "b"]
    for place, (lines, row) in enumerate(zip(printed, rows, strict=True)):
        at = numbers(lines)
        statistic = at["estimate"] / at["std_error"]
        grown = at["q"] + 1
        anytime = math.exp(min(0.0, math.log(grown) / 2 - statistic**2 / 2 * at["q"] / grown))
        p = at["p_value"] if is_fixed else anytime
        assert at[f"p_{row['variant']}"] == pytest.approx(p, rel=1e-9)
        # Of the stronger variant the test is the first step, at half of alpha.
        assert at["p_a"] < 0.025
        assert at["p_b"] > 0.05
        assert at["decision_level"] == pytest.approx(0.05 / (2 - place))
        reach = math.sqrt(grown / at["q"] * math.log(grown / at["decision_level"] ** 2))
        if is_fixed:
            reach = float(special.stdtrit(at["df"], 1 - at["decision_level"] / 2))
        assert at["decision_critical"] == pytest.approx(reach, rel=1e-9)
        ends = [at["estimate"] - reach * at["std_error"], at["estimate"] + reach * at["std_error"]]
        assert [at["decision_low"], at["decision_high"]] == pytest.approx(ends, rel=1e-9)
        assert [row["decision_low"], row["decision_high"]] == pytest.approx(ends, rel=1e-9)


def test_a_reader_computes_the_bounds_of_declared_looks_again() -> None:
    plan = {**TWO_VARIANTS, "method": "group_sequential", "look_dates": "2026-06-05"}
    (_, lines), _ = blocks(two_variants("2026-06-05"), **plan)
    at = numbers(lines)
    (wide,) = lan_demets(information=(21 / 31,), alpha=0.05)
    (own,) = lan_demets(information=(21 / 31,), alpha=0.025)
    assert at["sequential_critical"] == pytest.approx(wide, rel=1e-9)
    assert (at["decision_level"], at["decision_critical"]) == pytest.approx((0.025, own), rel=1e-9)
    assert at["decision_low"] == pytest.approx(at["estimate"] - own * at["std_error"], rel=1e-9)
    assert any("at information 0.677419" in line for line in lines)
    (_, lines), _ = blocks(two_variants("2026-06-04"), **plan)
    assert "no sequential interval: no look is due that was not read before" in lines
    assert "decision_low" not in numbers(lines)


@pytest.mark.parametrize("kind", ["relative", "absolute"])
@pytest.mark.parametrize("direction", ["up", "down"])
@pytest.mark.parametrize("day", ["2026-07-01", "2026-06-10"])
def test_a_reader_computes_a_guardrail_again(kind: str, direction: Direction, day: str) -> None:
    key: dict[str, Any] = {"metric": "visits", "as_of": day}
    rows = [
        level_of(10, variant="control", seed=4, **key),
        level_of(10.2, variant="treatment", seed=5, **key),
    ]
    margin = 0.04 if kind == "relative" else 0.4
    rail = {"metric": "visits", "margin": margin, "margin_kind": kind}
    options = {"direction": direction, "guardrails": [rail], "covariate_days": "0"}
    at, row = explained(rows, metric="visits", **options)
    sign = 1 if direction == "up" else -1
    above = sign * at["estimate"] + margin * (at["base"] if kind == "relative" else 1)
    squared = at["var_delta"]
    if kind == "relative":
        squared += 2 * margin * sign * at["cov"] + margin**2 * at["var_base"]
    error = math.sqrt(squared)
    assert (at["above_margin"], at["above_error"]) == pytest.approx((above, error), rel=1e-9)

    def ends(critical: float) -> list[float]:
        if kind == "relative":
            return share_of_base(at, critical, sign)
        return [sign * at["estimate"] + turn * critical * at["std_error"] for turn in (-1, 1)]

    grown = (at["q"] + 1) / at["q"]
    always = math.sqrt(grown * math.log((at["q"] + 1) / 0.1**2))
    assert at["sequential_ni_critical"] == pytest.approx(always, rel=1e-9)
    assert at["sequential_ni_bound"] == pytest.approx(ends(always)[0], rel=1e-7)
    harm = math.sqrt(grown * math.log((at["q"] + 1) / 0.05**2))
    reach = always
    if day == "2026-07-01":
        reach = float(special.stdtrit(at["df"], 0.95))
        harm = float(special.stdtrit(at["df"], 0.975))
        assert at["ni_bound"] == pytest.approx(ends(reach)[0], rel=1e-7)
        p = special.stdtr(at["df"], -above / error)
        assert at["p_non_inferiority"] == pytest.approx(p, rel=1e-7)
    assert at["harm_high"] == pytest.approx(ends(harm)[1], rel=1e-7)
    state = "pass" if above > reach * error else "fail" if at["harm_high"] < 0 else "unknown"
    assert row["guardrail_state"] == state


def test_harm_of_a_level_near_zero_is_explained() -> None:
    rows = [
        level_of(0.01, variant="control", seed=6),
        level_of(-1, variant="treatment", seed=7),
    ]
    at, row = explained(rows, covariate_days="0")
    assert "decision_low" not in at
    largest = at["base"] + at["decision_critical"] * math.sqrt(at["var_base"])
    least = at["estimate"] + at["decision_critical"] * at["std_error"]
    assert at["decision_high"] == pytest.approx(least / largest, rel=1e-9)
    assert row["decision_high"] < 0


INSTRUMENT: dict[str, Any] = {
    "method": "instrument",
    "uptake_metric": "visits",
    "minimum_effect_kind": "absolute",
    "covariate_days": "0",
}


def inputs_of(rows: Sequence[Row], **plan: Any) -> run.Inputs:
    return run.Inputs(
        moments=table_of(rows),
        experiments=(Experiment.from_row({**EXPERIMENT, **plan}),),
        metrics=(Metric(metric="revenue"), Metric(metric="visits")),
        masked=frozenset(),
        first_plan_hashes={},
        stakes={},
        last_verdicts={},
        units={"revenue": "USD", "visits": "share"},
    )


def test_what_the_planned_estimator_cannot_read_is_explained_without_it(
    here: Here, folder: Workspace
) -> None:
    ratio = arms(metric="visits")
    offered = [
        raw_row(
            {"y": np.arange(100.0), "d": (np.arange(100) < taken).astype(float)},
            variant=variant,
            pair_role="uptake",
        )
        for variant, taken in (("control", 10), ("treatment", 60))
    ]
    rows = [*offered, *ratio]
    plan = {**INSTRUMENT, "secondary_metrics": "visits"}
    at, row = explained(rows, metric="visits", **plan)
    assert (row["method"], row["role"], row["status"]) == ("unadjusted", "secondary", "ok")
    assert at["estimate"] == pytest.approx(row["estimate"])
    inputs = inputs_of(rows, **plan)
    ((table, _),) = show.tables(inputs, run.compute(inputs))
    assert [*table.columns[0].cells][-1] == "  visits, unadjusted"


@pytest.mark.parametrize(
    ("lift", "shown", "told"),
    [
        (2.0, "outside {low:+,.4g} to {high:+,.4g}", "all but ci_low to ci_high"),
        (0.0, "any", "all"),
    ],
)
def test_an_effect_of_an_uptake_that_hardly_rose_is_not_shown_as_bounded(
    lift: float, shown: str, told: str
) -> None:
    rng = np.random.default_rng(6)
    rows = []
    for variant, effect, taken in (("control", 0.0, 30), ("treatment", lift, 33)):
        data = {"y": effect + rng.normal(0, 1, 100), "d": (np.arange(100) < taken).astype(float)}
        rows.append(raw_row(data, variant=variant, pair_role="uptake"))
    inputs = inputs_of(rows, **INSTRUMENT)
    results = run.compute(inputs)
    ((table, _),) = show.tables(inputs, results)
    place = results.estimates["method"].tolist().index("wald")
    ends = {end: results.estimates[f"ci_{end}"][place] for end in ("low", "high")}
    assert [*table.columns[4].cells][-1] == shown.format(**ends)
    (lines,), _ = blocks(rows, **INSTRUMENT)
    reason = "for a_critical <= 0 does not tell whether more took it up"
    assert f"effects per uptake that are not excluded: {told}, {reason}" in lines


def test_what_no_variant_has_units_for_is_explained() -> None:
    (lines,), _ = blocks(arms()[:1])
    assert lines[-1] == "no estimate: srm"
    waiting = [
        moments_row(variant=variant, n_immature=50, window_from=np.datetime64("2026-05-01T00:00"))
        for variant in ("control", "treatment")
    ]
    (lines,), _ = blocks(waiting)
    assert lines[-1] == "no estimate: immature"
    assert "days 2026-05-01 to " in lines[1]
    assert [*blocks(arms(), metric="visits")[0]] == [
        ["trial / visits", "no estimate: no row by cuped"]
    ]


def test_a_refused_row_is_explained_without_an_estimate() -> None:
    rows = [{**row, "n_multi": 100.0} for row in arms()]
    at, row = explained(rows)
    assert row["reason"] == "multi_exposure"
    assert at["n_c"] == 400
    assert "estimate" not in at


# The A/A check


def buckets(*, count: int = 256, units: int = 5000, shares_luck: bool = False) -> Columns:
    """Moments of random groups of units; `shares_luck`: ten units at a time have the same value."""
    rng = np.random.default_rng(8)
    y = rng.gamma(2.0, 3.0, units)
    x = y + rng.normal(0, 2, units)
    group = rng.integers(0, count, units)
    if shares_luck:
        y = np.repeat(y[::10], 10)
        group = np.repeat(group[::10], 10)
    constants = {"y": 6.0, "x": 6.0}
    rows = [
        {
            **raw_row({"y": y[own], "x": x[own]}, constants=constants, variant=str(number)),
            "metric": "revenue",
        }
        for number in range(count)
        if (own := group == number).any()
    ]
    return table_of(rows)


def test_halves_of_like_units_differ_as_often_as_they_should() -> None:
    plain, adjusted = aa.check(buckets(), metric="revenue", seed=3)
    assert (plain.method, adjusted.method) == ("unadjusted", "cuped")
    for found in (plain, adjusted):
        assert len(found.p_values) == 2000
        assert found.band == pytest.approx((0.0340, 0.0660), abs=1e-4)
        assert found.is_kept, found.rate
        assert found.evenness > aa.UNEVEN_BELOW
        assert found.histogram.sum() == 2000
        text = "\n".join(aa.report(found))
        assert "as it should be" in text
        assert "not as" not in text
        assert text.count("█") > 300
    again, _ = aa.check(buckets(), metric="revenue", seed=3)
    assert (again.p_values == plain.p_values).all()


def test_units_that_depend_on_one_another_are_found() -> None:
    found, _ = aa.check(buckets(shares_luck=True), metric="revenue", draws=500)
    assert found.rate > 0.3
    assert not found.is_kept
    assert found.evenness < 1e-6
    assert "cluster_id" in aa.report(found)[-1]


def test_a_wrong_variance_is_found() -> None:
    table = buckets()
    table["s_yy"] = table["s_yy"] * 3
    found, _ = aa.check(table, metric="revenue", draws=500)
    assert found.rate < found.band[0]
    assert "too large" in aa.report(found)[-1]


def test_half_of_the_units_is_estimated_as_the_kernel_would() -> None:
    """One draw, by hand: the same halves, the same p."""
    table = buckets(count=40)
    (found, _) = aa.check(table, metric="revenue", draws=1, seed=5)
    places = np.random.default_rng(5).random((1, 40)).argpartition(20, axis=1)[0, :20]
    is_treated = np.isin(np.arange(40), places)
    sums = {
        name: (values[~is_treated].sum(), values[is_treated].sum())
        for name, values in table.items()
        if name.startswith(("s_", "n_"))
    }
    means = [total / n for total, n in zip(sums["s_y"], sums["n_units"], strict=True)]
    spread = [
        (yy - y**2 / n) / (n - 1) / n
        for yy, y, n in zip(sums["s_yy"], sums["s_y"], sums["n_units"], strict=True)
    ]
    freedom = sum(spread) ** 2 / sum(
        v**2 / (n - 1) for v, n in zip(spread, sums["n_units"], strict=True)
    )
    statistic = np.array([(means[1] - means[0]) / math.sqrt(sum(spread))])
    wanted = kernel.two_sided_p(statistic, np.array([freedom]))
    assert found.p_values == pytest.approx(wanted, rel=1e-9)


def test_what_cannot_be_halved_is_said() -> None:
    table = buckets(count=30)
    with pytest.raises(MomentsError, match="orders has 0 groups of units, at least 20"):
        aa.check(table, metric="orders")
    with pytest.raises(MomentsError, match="revenue has 0 groups"):
        aa.check(table, metric="revenue", experiment_id="other")
    still = table_of(
        [{**moments_row(n_rows=9, n_units=9, s_mm=9), "variant": str(i)} for i in range(30)]
    )
    with pytest.raises(MomentsError, match="revenue does not vary over the units of trial"):
        aa.check(still, metric="revenue")
    table["k_y"][0] = 1.0
    with pytest.raises(MomentsError, match="differ in k_y"):
        aa.check(table, metric="revenue")


def test_the_check_reads_the_groups_of_the_analysis(
    lifted: Path, throughline: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "buckets", lambda _: buckets())
    ended = throughline("lift", "--aa", "revenue")
    assert ended.status == 0
    assert "revenue, unadjusted: 2,000 random halves of 5,000 units of trial" in ended.out
    ended = throughline("lift", "--aa", "revenue", "--alpha", "0.125", "--draws", "400")
    assert "revenue, cuped: 400 random halves" in ended.out
    assert ended.out.count("differ at 12.5%: ") == 2
    assert "999 of 1,000 checks lie in 7.06% to 17.94%" in ended.out
    for option, value in (("--alpha", "1"), ("--alpha", "0"), ("--draws", "9")):
        assert throughline("lift", "--aa", "revenue", option, value).status == 2
    ended = throughline("lift", "--aa", "orders")
    assert (ended.status, len(ended.lines)) == (1, 1)
    assert ended.lines[0].startswith("error --aa: orders has 0 groups of units")


# When a build runs it


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a build does, in order, without doing it."""
    done: list[str] = []

    def built(*_: object, arguments: Sequence[str], **__: object) -> list[Any]:
        done.append(" ".join(["dbt build", *arguments]))
        return []

    def computed(*_: object, **__: object) -> str:
        done.append("lift")
        return "made"

    monkeypatch.setattr(build, "run", built)
    monkeypatch.setattr(command, "summary", computed)
    monkeypatch.setattr(scorecard, "show", lambda *_, **__: None)
    monkeypatch.setattr("throughline.cli.publish_to_readers", lambda *_, **__: None)
    return done


def declare(company: Company) -> None:
    text = (company.folder / "vars.yml").read_text()
    company.settings(text.replace("serving_costs", "serving_costs, experiment_assignments"))
    row = EXPERIMENT | {"hypothesis": "Better", "unit_type": "user", "owner": "ann"}
    row |= {"primary_metric": "conversion_rate", "rationale": "why"}
    row |= {"start_date": "2025-03-01", "planned_end_date": "2025-04-01"}
    header = (company.folder / "seeds/experiments.csv").read_text().strip()
    company.seed("experiments", ",".join(row.get(name, "") for name in header.split(",")))
    company.raw(
        "experiment_assignments",
        "experiment_id,unit_id,variant,assigned_at,loaded_at",
        "trial,ann,control,2025-03-01 09:00:00,2025-03-01 09:00:00",
    )


LEFT_OUT = "--exclude-resource-type unit_test"


def test_a_build_runs_lift_between_its_two_parts(
    company: Company, throughline: Call, steps: list[str]
) -> None:
    throughline("use", "company")
    declare(company)
    ended = throughline("build", "--full-refresh")
    assert ended.status == 0
    assert "lift: made" in ended.out
    assert steps == [
        f"dbt build --selector before_lift --full-refresh {LEFT_OUT}",
        "lift",
        f"dbt build --selector after_lift --full-refresh {LEFT_OUT}",
    ]
    steps.clear()
    throughline("build", "--", "--select", "fct_metrics+")
    assert steps == [f"dbt build {LEFT_OUT} --select fct_metrics+"]


def test_a_build_without_experiments_starts_dbt_once(
    company: Company, throughline: Call, steps: list[str]
) -> None:
    throughline("use", "company")
    throughline("build")
    declare(company)
    company.seed("experiments")
    throughline("build")
    assert steps == [f"dbt build {LEFT_OUT}"] * 2


def test_a_lift_that_fails_ends_the_build(
    company: Company, throughline: Call, steps: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> str:
        raise refuse("does not fit", where="fct_moments", fix="Build it.")

    throughline("use", "company")
    declare(company)
    monkeypatch.setattr(command, "summary", fails)
    ended = throughline("build")
    assert (ended.status, ended.lines[-1]) == (1, "error fct_moments: does not fit. Build it.")
    assert steps == [f"dbt build --selector before_lift {LEFT_OUT}"]


def test_dbt_makes_the_written_tables_and_never_empties_them(company: Company) -> None:
    project = Project(company.project)
    chosen = (*WITHOUT_TESTS, "--select", *run.WRITTEN)
    assert project.build(company.folder, *chosen).status == 0
    path = str(company.folder / "warehouse.duckdb")
    with duckdb.connect(path) as connection:
        for name in run.WRITTEN:
            found = connection.execute(f"describe main_lift.{name}").fetchall()
            types = {row[0]: row[1].lower() for row in found}
            assert types == written_columns(name)
            connection.execute(f"insert into main_lift.{name} (experiment_id) values ('kept')")
    assert project.build(company.folder, "--full-refresh", *chosen).status == 0
    with duckdb.connect(path) as connection:
        for name in run.WRITTEN:
            kept = connection.execute(f"select experiment_id from main_lift.{name}").fetchall()
            assert kept == [("kept",)]


def test_two_selectors_divide_the_project(company: Company) -> None:
    parts = []
    for selector in ("before_lift", "after_lift"):
        form = ("--output", "json", "--output-keys", "unique_id")
        listed = Project(company.project).dbt(
            company.folder, "--quiet", "ls", "--selector", selector, *form
        )
        parts.append({json.loads(line)["unique_id"] for line in listed.output.splitlines()})
    before, after = parts
    written = {f"model.throughline.{name}" for name in run.WRITTEN}
    assert before & after == written
    assert {"model.throughline.fct_moments", "model.throughline.int_build_ledger"} <= before
    assert {
        "model.throughline.mart_experiments",
        "model.throughline.mart_lift_timeline",
        "model.throughline.mart_experiment_splits",
    } <= after
    manifest = json.loads((company.project / "target/manifest.json").read_text())
    kinds = ("nodes", "exposures", "metrics", "saved_queries", "semantic_models", "unit_tests")
    known = {name for kind in kinds for name in manifest[kind]}
    assert before | after == {
        name for name in known if not name.startswith(("operation.", "analysis."))
    }


class Cursor:
    """A cursor as Postgres and Spark have it: rows as tuples, the latter all at once."""

    description = (("name",), ("value",), ("day",), ("count",))

    def __init__(self, rows: list[tuple[Any, ...]]) -> None:
        self.rows = rows

    def execute(self, _: str) -> None:
        self.left = list(self.rows)

    def fetchall(self) -> list[tuple[Any, ...]]:
        found, self.left = self.left, []
        return found


class BlockCursor(Cursor):
    def fetchmany(self, size: int) -> list[tuple[Any, ...]]:
        found, self.left = self.left[:size], self.left[size:]
        return found


@pytest.mark.parametrize("kind", [Cursor, BlockCursor])
def test_rows_of_any_driver_become_columns(
    kind: type[Cursor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("throughline.warehouse.BLOCK", 2)
    day = date(2026, 7, 1)
    rows = [("a", None, day, 1), (None, None, day, 2), ("b", 0.1, day, 3), ("b", 1e300, None, 4)]
    found = Here("postgres", "main", None, kind(rows)).columns("select")
    assert found["name"].tolist() == ["a", None, "b", "b"]
    assert found["value"].dtype == float
    assert np.array_equal(found["value"], [np.nan, np.nan, 0.1, 1e300], equal_nan=True)
    assert found["day"].tolist() == [day, day, day, None]
    assert found["count"].tolist() == [1, 2, 3, 4]
    assert {len(v) for v in Here("spark", "main", None, kind([])).columns("").values()} == {0}
