"""The experiments of the demo from raw logs to decisions: what was planted is found."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest

from building import Project, query

CHANCE = 1.959964


@pytest.fixture(scope="module")
def decisions(demo: Path) -> pd.DataFrame:
    found = query(demo, "select * from main_marts.mart_experiment_decisions")
    return found.set_index("experiment_id")


def test_planted_lifts_are_found(demo: Path) -> None:
    truth: dict[str, Any] = json.loads((demo / "truth.json").read_text())["experiments"]
    found = query(
        demo,
        "select * from main_marts.mart_experiments "
        "where role = 'primary' and segment_name = 'all' and totals = 'raw'",
    )
    assert set(found.experiment_id) == set(truth)
    for row in found.itertuples():
        planted = truth[str(row.experiment_id)]["planted_relative_lift"]
        error = (row.relative_ci_high - row.relative_ci_low) / (2 * CHANCE)
        assert abs(row.relative_lift - planted) < 5 * error, row


def test_the_bad_release_rolls_back_and_the_rest_is_told_apart(decisions: pd.DataFrame) -> None:
    made = {
        str(name): (row.decision, row.reason if isinstance(row.reason, str) else None)
        for name, row in decisions.iterrows()
    }
    assert made == {
        "offer_taste_features": ("roll_back", "primary_harm"),
        "offer_ranking_reasons": ("ship", None),
        "lead_first_hour_call": ("ship", None),
        "offer_ranking_aa": ("extend", "underpowered"),
    }


def test_value_at_stake_is_lift_by_units_of_a_year(demo: Path, decisions: pd.DataFrame) -> None:
    value = {"EUR": 1.08, "USD": 1.0}
    plans = query(demo, "select * from experiments").set_index("experiment_id")
    # the latest 28 days whose labels have arrived: 8 days for offers, 32 for leads
    matured = query(
        demo,
        """
        select model_id, cast(sum(matured_count) as double) as decisions
        from fct_decisions
        where decision_date < date '2026-07-01' - if(model_id = 'lead_scoring', 32, 8)
            and decision_date >= date '2026-07-01' - if(model_id = 'lead_scoring', 32, 8) - 28
        group by all
        """,
    ).set_index("model_id")
    for name, row in decisions.iterrows():
        plan = plans.loc[str(name)]
        units = matured.decisions[plan.model_id] * 365 / 28
        assert row.units_per_year == pytest.approx(units, rel=1e-12)
        expected = row.estimate * units * plan.value_per_unit * value[plan.currency]
        assert row.value_at_stake_amount == pytest.approx(expected, rel=1e-9)
        assert row.value_at_stake_low_amount < expected < row.value_at_stake_high_amount
        # costs of the demo name no version
        assert not row.is_serving_cost_known
        assert row.serving_cost_difference_amount == 0


def test_the_release_that_lost_calibration_is_found(demo: Path) -> None:
    """Scores of the old release are as high as what came true; those of the new one are not."""
    truth = json.loads((demo / "truth.json").read_text())
    released = truth["plants"]["lost_calibration"]["starts_at"]
    quality = query(
        demo,
        """
        select * from mart_model_quality
        where model_id = 'lead_scoring' and segment_name = 'all' and period = 'all'
        """,
    ).set_index("model_version")
    old, new = quality.loc["2025.4"], quality.loc["2026.1"]
    assert old.calibration_error < 1.5 * old.calibration_error_expected
    assert new.calibration_error > 2 * new.calibration_error_expected
    assert abs(new.calibration_z) > 1.5 * abs(old.calibration_z)
    # order is as good as before, within the intervals
    assert new.roc_auc_high > old.roc_auc_low
    assert new.roc_auc_low < old.roc_auc_high
    first = query(
        demo,
        "select cast(min(predicted_at) as varchar) as at from fct_decisions "
        "where model_id = 'lead_scoring' and model_version = '2026.1'",
    )
    assert first["at"][0] >= released


def test_the_threshold_that_is_not_the_best_is_found(demo: Path) -> None:
    """The gain of the better threshold, decision by decision from the facts."""
    curve = query(
        demo,
        """
        select * from mart_threshold_curve
        where model_id = 'fraud_detection' and period = 'all' and is_best
        """,
    ).iloc[0]
    assert curve.threshold_in_force == 0.2
    assert curve.money_left_reason is None
    assert curve.money_left_low_amount > 0
    rows = query(
        demo,
        f"""
        select score, actual_positive_count > 0 as is_fraud, coalesce(credited_amount, 0) as amount
        from fct_decisions
        where model_id = 'fraud_detection' and label_state = 'matured' and score is not null
            and decision_date <= date '{curve.period_end_date:%Y-%m-%d}'
        """,
    )
    values = query(demo, "select * from unit_values where model_id = 'fraud_detection'")
    worth = {
        row.cell: row.fixed_amount + row.amount_coefficient * rows.amount
        for row in values.itertuples()
    }

    def earned(threshold: float) -> float:
        says = rows.score >= threshold
        cells = {
            "tp": says & rows.is_fraud,
            "fp": says & ~rows.is_fraud,
            "fn": ~says & rows.is_fraud,
            "tn": ~says & ~rows.is_fraud,
        }
        return float(sum((worth[cell] * where).sum() for cell, where in cells.items()))

    assert curve.value_in_force_amount == pytest.approx(earned(0.2), rel=1e-9)
    assert curve.value_amount == pytest.approx(earned(curve.threshold), rel=1e-9)
    left = earned(curve.threshold) - earned(0.2)
    assert curve.money_left_amount == pytest.approx(left, rel=1e-9)


def test_lift_gives_the_same_bytes_without_the_events(demo_project: Project, demo: Path) -> None:
    # both from the same moments, whatever tests before have built of the demo
    folders = [demo.parent / name for name in ("with_events", "without_events")]
    for folder in folders:
        shutil.copytree(demo, folder)
        with duckdb.connect(str(folder / "warehouse.duckdb")) as connection:
            for name in WRITTEN:
                connection.execute(f"delete from main_lift.{name}")
    with duckdb.connect(str(folders[1] / "warehouse.duckdb")) as connection:
        names = connection.sql(
            "select schema_name, table_name from duckdb_tables() "
            "where schema_name = 'main_staging' or table_name = 'fct_unit_totals' "
            "or table_name like 'fct_%' and schema_name in ('main_core', 'main_metrics')"
        ).fetchall()
        assert len(names) > 15
        for schema, name in names:
            connection.execute(f"drop table {schema}.{name} cascade")
    for folder in folders:
        run = demo_project.run(folder, ["throughline", "lift"])
        assert run.status == 0, run.output
    for name in WRITTEN:
        rows = [query(folder, f"select * from {name} order by all") for folder in folders]
        assert rows[0].to_csv() == rows[1].to_csv(), name
        assert len(rows[0]) > 0, name


WRITTEN = ("fct_lift_estimates", "fct_lift_splits", "fct_lift_decisions")
