"""What is due for review, what was learned, and which planned experiments are worth their units."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

import compiled
from building import ROOT, WITHOUT_TESTS, Project, query

AS_OF = pd.Timestamp("2026-07-01")
"""The day that the kept SQL was compiled for."""


def planned(name: str, **cells: object) -> dict[str, object]:
    return {
        "experiment_id": name,
        "model_id": "m",
        "owner": "ann",
        "hypothesis": "it helps",
        "unit_type": "user",
        "control_variant": "control",
        "window_days": 7,
        "decided_on": "raw",
        "primary_metric": "take",
        "minimum_effect": 0.1,
        "minimum_effect_kind": "relative",
        "alpha": 0.05,
        "power": 0.8,
        "expected_units": math.nan,
        "start_date": AS_OF + pd.Timedelta(days=5),
        "planned_end_date": AS_OF + pd.Timedelta(days=33),
    } | cells


def test_the_backlog_ranks_by_stake_times_power() -> None:
    takes = np.random.default_rng(5).binomial(1, 0.2, size=900).astype(float)
    started = {"start_date": AS_OF - pd.Timedelta(days=60), "planned_end_date": AS_OF}
    experiments = pd.DataFrame(
        [
            planned("past", **started),
            planned("small", minimum_effect=0.05),
            planned("large", minimum_effect=0.02, minimum_effect_kind="absolute"),
            planned("hoped", owner="bob"),
            planned("in_vain", owner="cyd"),
            planned("capped", expected_units=500.0),
            planned("worthless"),
            planned("idle"),
            planned("unheard", window_days=9),
            planned("untold", window_days=9, minimum_effect=0.02, minimum_effect_kind="absolute"),
        ]
    )
    moments = pd.DataFrame(
        [
            {
                "experiment_id": "past",
                "variant": "control",
                "metric": "take",
                "segment_name": "all",
                "pair_role": "single",
                "totals": "raw",
                "cap_value": math.nan,
                "n_rows": 900,
                "n_units": 900,
                "k_y": 0.25,
                "k_d": math.nan,
                "s_y": (takes - 0.25).sum(),
                "s_d": math.nan,
                "s_yy": ((takes - 0.25) ** 2).sum(),
                "s_mm": 900.0,
                "s_my": (takes - 0.25).sum(),
                "s_dd": math.nan,
                "s_yd": math.nan,
                "s_md": math.nan,
            }
        ]
    )
    names = ["small", "large", "hoped", "in_vain", "capped", "worthless"]
    a_year = dict.fromkeys(names, 36500.0)
    stakes = pd.DataFrame(
        [
            {
                "experiment_id": name,
                "variant": "(planned)",
                "units_per_year": units,
                "unit_value": math.nan if name == "worthless" else 5.0,
            }
            for name, units in (
                a_year | {"idle": 0.0, "unheard": 36500.0, "untold": 36500.0}
            ).items()
        ]
    )
    costs = pd.DataFrame(
        {
            "model_id": ["m", "m", "m"],
            "cost_date": [AS_OF - pd.Timedelta(days=days) for days in (1, 28, 29)],
            "cost_amount": [28.0, 56.0, 1000.0],
        }
    )
    # ann's grade shows nothing, and dan has nothing planned
    grades = pd.DataFrame(
        {
            "expectation_kind": ["all", "all", "release", "all", "all", "all"],
            "holder_type": ["owner", "owner", "owner", "owner", "team", "owner"],
            "holder": ["ann", "bob", "bob", "cyd", "ann", "dan"],
            "bias": [-0.5, -0.25, -0.9, -1.5, -0.7, -0.1],
            "is_optimistic": [False, True, True, True, True, True],
        }
    )
    given = {
        "mart_forecast_grades": grades,
        "cfg_experiments": experiments,
        "fct_moments": moments,
        "int_experiment_stakes": stakes,
        "fct_costs": costs,
    }
    backlog = compiled.run(given, "mart_experiment_backlog")["mart_experiment_backlog"]
    rows = backlog.set_index("experiment_id")
    assert set(rows.index) == set(experiments.experiment_id) - {"past"}
    level, deviation = takes.mean(), takes.std(ddof=1)
    available = 36500 * 28 / 365
    for name, effect, units, share in (
        ("small", 0.05 * level, available, 1),
        ("large", 0.02, available, 1),
        ("hoped", 0.1 * level, available, 0.75),
        ("in_vain", 0.1 * level, available, 0),
        ("capped", 0.1 * level, 500, 1),
    ):
        z = effect / math.sqrt(4 * deviation**2 / units) - norm.ppf(0.975)
        needed = 4 * (deviation * (norm.ppf(0.975) + norm.ppf(0.8)) / effect) ** 2
        assert rows.chance[name] == pytest.approx(norm.cdf(z), rel=1e-6)
        assert rows.needed_units[name] == pytest.approx(math.ceil(needed), abs=1)
        assert rows.available_units[name] == pytest.approx(units, rel=1e-12)
        stake = effect * 5 * 36500 * share
        assert rows.owner_share[name] == pytest.approx(share)
        assert rows.value_at_stake_amount[name] == pytest.approx(stake, rel=1e-9)
        assert rows.expected_amount[name] == pytest.approx(stake * norm.cdf(z), rel=1e-6)
        assert rows.model_cost_amount[name] == pytest.approx(84 / 28 * 28)
    known = rows.sort_values("place").expected_amount.dropna()
    assert list(known) == sorted(known, reverse=True)
    reasons = rows.unknown_reason.dropna().to_dict()
    assert reasons == {
        "worthless": "no_unit_value",
        "idle": "no_traffic",
        "unheard": "no_history",
        "untold": "no_history",
    }
    assert rows.expected_amount[["worthless", "unheard", "untold"]].isna().all()
    assert rows.chance[["unheard", "untold"]].isna().all()


def test_each_metric_that_is_read_and_each_due_target_is_in_the_calendar(demo: Path) -> None:
    calendar = query(demo, "select * from mart_review_calendar")
    read = set(query(demo, "select distinct metric from dim_model_metrics").metric)
    for kind in ("metric_card", "reading"):
        assert set(calendar.subject[calendar.review_kind == kind]) == read
    card = query(demo, "select * from mart_scorecard where due is not null")
    today = pd.Timestamp("2026-07-01")
    open_targets = card[(card.due >= today) | (card.status != "on_target")]
    goals = query(
        demo, "from mart_goals where is_latest and model_id = '(all)' and due is not null"
    )
    open_goals = goals[(goals.due >= today) | (goals.status != "on_target")]
    assert len(open_goals)
    due = calendar[calendar.review_kind == "target"]
    assert len(due) == len(open_targets) + len(open_goals)
    # who owns a target looks at it, whoever owns the metric
    targets = pd.read_csv(ROOT / "seeds/metric_targets.csv")
    one = due.set_index(["subject", "model_id"]).owner["precision", "fraud_detection"]
    assert one == targets.set_index(["metric", "model_id"]).owner["precision", "fraud_detection"]
    assert (
        calendar.due_date.sort_values().to_numpy() == calendar.sort_values("place").due_date
    ).all()


def test_each_experiment_and_each_released_version_taught_something(demo: Path) -> None:
    log = query(demo, "select * from mart_learning_log").set_index("subject_id")
    assert set(log.index[log.lesson_kind == "experiment"]) == {
        "offer_ranking_reasons",
        "lead_first_hour_call",
        "offer_ranking_aa",
        "offer_taste_features",
    }
    releases = query(demo, "select * from fct_releases where event_type = 'deployed'")
    named = releases.model_id + " " + releases.model_version
    assert set(log.index[log.lesson_kind == "release"]) == set(named)
    assert log.decision["next_best_offer 8.0"] == "roll_back"
    assert log.lesson["next_best_offer 8.0"] == "acceptance fell by half, feature join was empty"
    assert log.lesson.notna().all()


@pytest.mark.slow
def test_definitions_are_kept_from_the_build_that_first_saw_them(
    demo: Path, tmp_path: Path
) -> None:
    project = Project(ROOT)
    folder = tmp_path / "workspace"
    shutil.copytree(demo, folder)

    def build() -> pd.DataFrame:
        run = project.build(folder, *WITHOUT_TESTS, "--select", "fct_metric_definitions")
        assert run.status == 0, run.output
        kept = "select * from fct_metric_definitions order by metric, in_force_from"
        return query(folder, kept)

    first = query(demo, "select * from fct_metric_definitions order by metric, in_force_from")
    assert list(first.metric) == sorted(query(demo, "select metric from dim_metrics").metric)
    pd.testing.assert_frame_equal(build(), first)

    def edit(change: str) -> None:
        with duckdb.connect(str(folder / "warehouse.duckdb")) as connection:
            connection.execute(f"update main_metrics.dim_metrics {change}")

    was = first.set_index("metric").definition_hash["recall"]
    edit("set definition_hash = 'edited' where metric = 'recall'")
    assert list(build()[lambda kept: kept.metric == "recall"].definition_hash) == [was, "edited"]
    # an earlier definition that returns is a change too
    edit(f"set definition_hash = '{was}' where metric = 'recall'")
    assert list(build()[lambda kept: kept.metric == "recall"].definition_hash) == [
        *(was, "edited", was)
    ]
    assert len(build()) == len(first) + 2
    # it is made anew by no build
    run = project.build(
        folder, *WITHOUT_TESTS, "--full-refresh", "--select", "fct_metric_definitions"
    )
    assert run.status == 0, run.output
    assert len(query(folder, "select * from fct_metric_definitions")) == len(first) + 2


def test_core_metrics_of_the_demo_are_certified(demo: Path) -> None:
    catalog = query(demo, "select * from mart_metric_catalog")
    assert catalog[catalog.tier == "core"].is_certified.all()
    assert set(catalog[catalog.tier != "core"].not_certified_reason) == {"never_certified"}
