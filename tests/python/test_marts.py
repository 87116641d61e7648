"""Saved queries against MetricFlow; ledger, catalog and pillars against their sources."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from building import CELL, NO_UNIT_TESTS, SUMS, WITHOUT_TESTS, Project, query

GRAIN = ["model_id", "month_start_date"]
CORE = ["prediction_logs", "usage_events", "business_outcomes"]
# What cannot be known without the other tables.
UNKNOWN_WITHOUT = {
    "eligible_users": ["adoption_rate"],
    "serving_costs": ["cost_to_serve", "cost_per_prediction", "cost_per_accepted_prediction"],
    "feedback": ["csat", "relevance", "response_rate", "promoter_share", "detractor_share"],
    "model_releases": ["deployment_success_rate"],
}
UNKNOWN = [metric for metrics in UNKNOWN_WITHOUT.values() for metric in metrics]


@pytest.fixture(scope="module")
def manifest(demo_project: Project, demo: Path) -> dict[str, Any]:
    assert demo.exists()
    loaded: dict[str, Any] = json.loads(
        (demo_project.root / "target" / "manifest.json").read_text()
    )
    return loaded


@pytest.fixture(scope="module")
def core(demo_project: Project, demo: Path) -> Path:
    """The same company when it delivers the three core tables alone, with every data test."""
    workspace = demo_project.root / "core"
    for table in CORE:
        shutil.copytree(demo / "raw" / table, workspace / "raw" / table)
    settings = (demo / "vars.yml").read_text()
    (workspace / "vars.yml").write_text(f"{settings}inputs: [{', '.join(CORE)}]\n")
    run = demo_project.build(workspace, *NO_UNIT_TESTS)
    assert run.status == 0, run.output
    return workspace


def test_three_tables_are_enough_for_what_they_tell(demo: Path, core: Path) -> None:
    """Every other metric has the same cells as in the company that delivers all nine tables."""
    others = ", ".join(f"'{metric}'" for metric in [*UNKNOWN, "rejected_row_share"])
    sql = f"""
        select {", ".join(CELL + SUMS)} from fct_metrics where metric not in ({others})
            and (numerator <> 0 or denominator <> 0 or excluded_count <> 0)
        order by all
    """
    few, all_nine = query(core, sql), query(demo, sql)
    assert len(set(few.metric)) == len(query(demo, "from dim_metrics")) - len(UNKNOWN) - 1
    pd.testing.assert_frame_equal(few, all_nine, rtol=1e-9)


def test_what_three_tables_cannot_tell_is_null_with_the_reason(core: Path) -> None:
    names = ", ".join(f"'{metric}'" for metric in UNKNOWN)
    card = query(core, f"select * from mart_scorecard where metric in ({names})")
    assert set(card.metric) == set(UNKNOWN)
    assert set(card.status) == {"not_ready"}
    assert set(card.not_ready_reason) == {"no_data"}
    assert card[["value", "previous_value"]].isna().all(axis=None)
    assert query(core, f"from mart_metric_timeline where metric in ({names})").empty
    catalog = query(core, f"from mart_metric_catalog where metric in ({names})")
    assert set(catalog.model_count) == {0}
    assert catalog.last_metric_date.isna().all()
    ledger = query(core, "from mart_value_ledger")
    costs = [column for column in ledger if column.endswith("_cost_amount")]
    assert len(costs) > 1
    assert ledger[[*costs, "net_value_amount", "roi"]].isna().all(axis=None)
    assert ledger.matured_value_amount.notna().any()
    asked = 0
    for mart in ("is_it_used", "what_does_it_cost", "do_people_like_it", "does_it_run"):
        months = query(core, f"from mart_{mart}")
        columns = months.columns.intersection(UNKNOWN)
        assert months[columns].isna().all(axis=None), mart
        asked += len(columns)
    assert asked > 5
    assert query(core, "from dim_annotations").empty


def test_every_saved_query_is_a_mart_and_equals_metricflow(
    demo_project: Project, demo: Path, manifest: dict[str, Any]
) -> None:
    saved = {
        node["name"]: node["query_params"]["metrics"] for node in manifest["saved_queries"].values()
    }
    assert len(saved) >= 5
    cards = query(demo, "select metric, denominator_brick, is_cross_fact from dim_metrics")
    cards = cards.set_index("metric")
    answers = demo_project.metricflow(demo, [{"saved_query": name} for name in saved])
    compared = 0
    for (name, metrics), answer in zip(saved.items(), answers, strict=True):
        ours = query(demo, f"select * from mart_{name}")
        assert set(ours.columns) == {*GRAIN, *metrics, "is_matured"}
        theirs = answer.rename(columns={"model": "model_id", "metric_time__month": GRAIN[1]})
        theirs["model_id"] = theirs.model_id.fillna("(none)")
        both = indexed(ours).join(
            indexed(theirs).add_suffix("_theirs"), how="outer", validate="one_to_one"
        )
        for metric in metrics:
            mart = pd.to_numeric(both[metric])
            mf = pd.to_numeric(both[f"{metric}_theirs"])
            if cards.denominator_brick.isna()[metric] or cards.is_cross_fact[metric]:
                # one of the two says NULL where a fact has no rows, the other that they sum to 0
                mart, mf = mart.fillna(0), mf.fillna(0)
            np.testing.assert_allclose(mart, mf, rtol=1e-9, err_msg=f"{name} {metric}")
            compared += int((mart.fillna(0) != 0).sum())
    assert compared > 200


def indexed(frame: pd.DataFrame) -> pd.DataFrame:
    """By model and month, months as timestamps of one unit."""
    months = pd.to_datetime(frame.month_start_date).astype("datetime64[us]")
    return frame.assign(month_start_date=months).set_index(GRAIN)


def test_months_are_matured_once_the_labels_of_their_last_day_are(demo: Path) -> None:
    months = query(
        demo,
        """
        select
            is_matured,
            last_day(month_start_date) + 1 + cast(horizon_days + label_delay_days as integer)
                <= date '2026-07-01' as had_time
        from mart_is_it_right inner join dim_models using (model_id)
        """,
    )
    assert (months.is_matured == months.had_time).all()
    assert set(months.is_matured) == {True, False}


def test_the_ledger_holds_the_money_of_the_facts(demo: Path) -> None:
    ledger = query(demo, "select * from mart_value_ledger")
    facts = query(
        demo,
        """
        select model_id, date_trunc('month', decision_date) as month_start_date,
            sum(value_amount) as value, sum(pending_count) as pending, count(*) as decisions
        from fct_decisions group by all
        """,
    )
    both = indexed(ledger).join(indexed(facts), how="outer")
    np.testing.assert_allclose(both.matured_value_amount, both.value, rtol=1e-9)
    np.testing.assert_allclose(both.pending_count, both.pending, rtol=1e-9)
    np.testing.assert_allclose(both.decision_count, both.decisions, rtol=1e-9)
    invoices = query(
        demo,
        """
        select cost_type, sum(cost_amount) as amount from fct_costs
        where cost_date < date '2026-07-01' group by all
        """,
    ).set_index("cost_type")
    for cost_type, amount in invoices.amount.items():
        assert ledger[f"{cost_type}_cost_amount"].sum() == pytest.approx(amount, rel=1e-9)
    assert ledger.total_cost_amount.sum() == pytest.approx(invoices.amount.sum(), rel=1e-9)
    # a model without classes has no value, whatever it costs
    valueless = ledger[ledger.model_id == "demand_forecast"]
    assert len(valueless) >= 4
    assert valueless.total_cost_amount.notna().all()
    amounts = ["matured_value_amount", "net_value_amount", "net_value_with_estimate_amount", "roi"]
    assert valueless[amounts].isna().all(axis=None)
    # the months that wait have an estimate, the months that do not add none
    waiting = ledger[(ledger.pending_count > 0) & (ledger.model_id != "demand_forecast")]
    assert waiting.estimated_value_amount.notna().all()
    assert (ledger[ledger.pending_count == 0].estimated_value_amount == 0).all()
    net = ledger.matured_value_amount - ledger.total_cost_amount
    np.testing.assert_allclose(ledger.roi, net / ledger.total_cost_amount, rtol=1e-9)


def test_the_catalog_names_the_way_from_each_raw_table(demo: Path) -> None:
    catalog = query(demo, "select * from mart_metric_catalog").set_index("metric")
    metrics = query(demo, "select metric from dim_metrics").metric
    assert set(catalog.index) == set(metrics)
    tables = ("business_outcomes", "prediction_logs", "usage_events")
    assert catalog.lineage["acceptance_rate"] == "; ".join(
        f"raw.{table} > chk_{table} > stg_{table} > fct_decisions > fct_bricks > fct_metrics"
        for table in tables
    )
    for table, fact in (("eligible_users", "fct_usage"), ("serving_costs", "fct_costs")):
        way = f"raw.{table} > chk_{table} > stg_{table} > {fact}"
        assert way in catalog.lineage["cost_to_serve"]
    labels = query(
        demo,
        """
        select avg(judged_count) as share from fct_decisions
        inner join dim_models using (model_id) where task = 'binary'
        """,
    )
    assert catalog.covered_share["recall"] == pytest.approx(labels.share[0], rel=1e-9)


LAST_VALUES = """
    select
        catalog.metric,
        catalog.last_metric_date,
        catalog.last_value,
        coalesce(sum(waist.unit_count), 0) as units,
        coalesce(sum(waist.numerator), 0) <> 0 or not bool_or(cards.is_cross_fact) as has_numerator
    from mart_metric_catalog as catalog
    inner join dim_metrics as cards on catalog.metric = cards.metric
    left join fct_metrics as waist
        on catalog.metric = waist.metric
        and catalog.last_metric_date = waist.metric_date
        and waist.segment_name = 'all'
    group by all
"""


def test_last_values_are_those_of_metricflow(demo_project: Project, demo: Path) -> None:
    """Every value of the day first, with suppression all but off, then those of enough units."""
    cards = ("--select", "mart_metric_catalog", *WITHOUT_TESTS)
    counts = query(demo, LAST_VALUES).units
    least = int(counts[counts > 0].median())
    found = []
    for cell in (1, least):
        run = demo_project.build(demo, *cards, "--vars", f"{{minimum_cell: {cell}}}")
        assert run.status == 0, run.output
        found.append(query(demo, LAST_VALUES).set_index("metric"))
    every, shown = found
    assert demo_project.build(demo, *cards).status == 0

    measured = every[every.units > 0]
    by_day = [{"metrics": [name], "group_by": ["metric_time__day"]} for name in measured.index]
    for name, answer in zip(measured.index, demo_project.metricflow(demo, by_day), strict=True):
        days = answer.assign(day=pd.to_datetime(answer.metric_time__day)).set_index("day")
        ours, theirs = measured.last_value[name], days[name][measured.last_metric_date[name]]
        if measured.has_numerator[name]:
            assert ours == pytest.approx(theirs, rel=1e-9), name
        else:
            assert pd.isna(ours), name
            assert pd.isna(theirs) or theirs == 0, name
    assert measured.last_value.count() > 25

    enough = shown[shown.units >= least]
    pd.testing.assert_series_equal(enough.last_value, every.last_value[enough.index])
    assert shown[shown.units < least].last_value.isna().all()
    assert shown.last_value.count() > 2
    assert (shown.units < least).sum() > 10


def test_last_values_are_those_of_the_facts(demo: Path) -> None:
    """By hand: every decision and outcome of the day, whatever its model."""
    catalog = query(demo, "select * from mart_metric_catalog").set_index("metric")
    decisions = query(demo, "select * from fct_decisions")
    outcomes = query(demo, "select * from fct_outcomes where outcome_name = 'revenue'")
    for metric in ("deal_score", "availability", "revenue_per_decision"):
        last = catalog.last_metric_date[metric]
        day = decisions[decisions.decision_date == last]
        expected = {
            "deal_score": day.score_sum.sum() / day.scored_count.sum(),
            "availability": 1 - day.unavailable_count.sum() / day.decision_count.sum(),
            "revenue_per_decision": outcomes[outcomes.outcome_date == last].credited_amount.sum()
            / day.decision_count.sum(),
        }
        assert catalog.last_value[metric] == pytest.approx(expected[metric], rel=1e-9)


def test_pillars_count_every_line_of_the_scorecard_once(demo: Path) -> None:
    pillars = query(demo, "select * from mart_scorecard_pillars").set_index(["model_id", "pillar"])
    card = query(demo, "select * from mart_scorecard")
    for key, lines in card.groupby(["model_id", "pillar"]):
        counts = lines.status.value_counts()
        for status in ("on_target", "off_target", "breached", "no_target", "not_ready"):
            assert pillars[f"{status}_count"][key] == counts.get(status, 0)
        judged = lines[lines.status.isin(["on_target", "off_target", "breached"])]
        met = judged[judged.status == "on_target"].weight.sum()
        if judged.empty:
            assert pd.isna(pillars.met_share[key])
        else:
            assert pillars.met_share[key] == pytest.approx(met / judged.weight.sum(), rel=1e-9)
    assert pillars.metric_count.sum() == len(card)


def test_a_saved_query_of_another_grain_stops_the_build(demo_project: Project, demo: Path) -> None:
    path = demo_project.root / "models" / "marts" / "_saved_queries.yml"
    original = path.read_text()
    path.write_text(original.replace("'month')", "'week')"))
    run = demo_project.build(demo, "--select", "mart_is_it_used")
    path.write_text(original)
    assert run.status != 0
    assert (
        "saved query is_it_used must group by Entity('model') and TimeDimension('metric_time',"
        " 'month'), without where: that is the grain of its mart." in run.output
    )
