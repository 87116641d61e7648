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
