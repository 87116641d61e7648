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
    "eligible_users": ["adoption_rate", "embedded_share"],
    "serving_costs": ["cost_to_serve", "cost_per_prediction", "cost_per_accepted_prediction"],
    "feedback": [
        *("csat", "relevance", "response_rate", "promoter_share", "detractor_share"),
        *("nps", "customer_effort", "trust", "collaboration"),
    ],
    "model_releases": [
        *("deployment_success_rate", "change_failure_rate", "automated_share", "on_time_share"),
        *("lead_time_days", "proof_of_concept_success", "model_age_days"),
    ],
}
JUDGED = ["on_target", "on_the_way", "behind", "off_target", "breached"]
UNKNOWN = [metric for metrics in UNKNOWN_WITHOUT.values() for metric in metrics]
# The demo delivers no outcome of these kinds.
UNDELIVERED = ["renewal_rate", "review_hours", "activation_count", "ticket_count"]


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


@pytest.mark.slow
def test_three_tables_are_enough_for_what_they_tell(demo: Path, core: Path) -> None:
    """Every other metric has the same cells as in the company that delivers all ten tables."""
    others = ", ".join(f"'{metric}'" for metric in [*UNKNOWN, "rejected_row_share"])
    sql = f"""
        select {", ".join(CELL + SUMS)} from fct_metrics where metric not in ({others})
            and (numerator <> 0 or denominator <> 0 or excluded_count <> 0)
        order by all
    """
    few, all_nine = query(core, sql), query(demo, sql)
    left_out = {*UNKNOWN, *UNDELIVERED, "rejected_row_share"}
    assert set(query(demo, "from dim_metrics").metric) - set(few.metric) == left_out
    pd.testing.assert_frame_equal(few, all_nine, rtol=1e-9)


@pytest.mark.slow
def test_what_three_tables_cannot_tell_is_read_nowhere(core: Path) -> None:
    names = ", ".join(f"'{metric}'" for metric in UNKNOWN)
    for relation in (
        "dim_model_metrics",
        "fct_metric_values",
        "mart_scorecard",
        "mart_metric_timeline",
        "mart_metric_months",
    ):
        assert query(core, f"from {relation} where metric in ({names})").empty, relation
    catalog = query(core, f"from mart_metric_catalog where metric in ({names})")
    assert set(catalog.model_count) == {0}
    assert catalog.last_metric_date.isna().all()
    ledger = query(core, "from mart_value_ledger")
    costs = [column for column in ledger if column.endswith("_cost_amount")]
    assert len(costs) > 1
    assert ledger[[*costs, "net_value_amount", "roi"]].isna().all(axis=None)
    assert set(ledger.cost_reason) == {"serving_costs_left_out"}
    assert ledger.matured_value_amount.notna().any()
    assert query(core, "from dim_annotations").empty


@pytest.mark.slow
def test_what_the_settings_leave_out_is_not_waited_for(demo_project: Project, core: Path) -> None:
    """Without outcomes no label can come: no metric of labels is read, rather than late."""
    settings = (core / "vars.yml").read_text()
    names = "prediction_logs, usage_events"
    (core / "vars.yml").write_text(f"{settings.split('inputs:')[0]}inputs: [{names}]\n")
    run = demo_project.build(core, *WITHOUT_TESTS)
    assert run.status == 0, run.output
    values = query(core, "from fct_metric_values")
    assert {"acceptance_rate", "error_rate", "deal_score"} <= set(values.metric)
    assert not {"precision", "conversion_rate", "credited_revenue"} & set(values.metric)
    assert not values.reason.fillna("").str.endswith("_not_delivered").any()
    ledger = query(core, "from mart_value_ledger")
    assert set(ledger.value_reason.dropna()) == {"business_outcomes_left_out"}


@pytest.mark.slow
def test_every_saved_query_is_in_the_months_and_equals_metricflow(
    demo_project: Project, demo: Path, manifest: dict[str, Any]
) -> None:
    """The sums of a month are what `mf` answers; a month that may not be read keeps its sums."""
    saved = {
        node["name"]: node["query_params"]["metrics"] for node in manifest["saved_queries"].values()
    }
    assert len(saved) >= 5
    months = query(
        demo,
        """
        select months.*, cards.is_additive
        from mart_metric_months as months
        inner join dim_metrics as cards on months.metric = cards.metric
        where months.model_version = 'all' and months.segment_name = 'all'
        """,
    )
    answers = demo_project.metricflow(demo, [{"saved_query": name} for name in saved])
    compared = 0
    for metrics, answer in zip(saved.values(), answers, strict=True):
        theirs = indexed(
            answer.rename(columns={"model": "model_id", "metric_time__month": GRAIN[1]})
        )
        for metric in metrics:
            rows = months[(months.metric == metric) & months.is_additive]
            if rows.empty:
                continue
            ours = indexed(rows)
            sums = ours.numerator / ours.denominator.where(ours.denominator != 0)
            sums = sums.where(ours.denominator.notna(), ours.numerator)
            mf = pd.to_numeric(theirs[metric]).reindex(ours.index)
            # one of the two says NULL where a fact has no rows, the other that they sum to 0
            np.testing.assert_allclose(sums.fillna(0), mf.fillna(0), rtol=1e-9, err_msg=metric)
            ready = ours.value.notna()
            np.testing.assert_allclose(ours.value[ready], sums[ready], rtol=1e-12)
            compared += int((sums.fillna(0) != 0).sum())
    assert compared > 200


def indexed(frame: pd.DataFrame) -> pd.DataFrame:
    """By model and month, months as timestamps of one unit."""
    months = pd.to_datetime(frame.month_start_date).astype("datetime64[us]")
    return frame.assign(month_start_date=months).set_index(GRAIN)


def test_months_are_read_once_the_labels_of_their_last_day_had_time(demo: Path) -> None:
    months = query(
        demo,
        """
        select
            not_ready_reason is distinct from 'labels_not_matured' as is_matured,
            last_day(month_start_date) + 1 + cast(horizon_days + label_delay_days as integer)
                <= date '2026-07-01' as had_time
        from mart_metric_months inner join dim_models using (model_id)
        where metric in ('precision', 'mean_absolute_error')
            and model_version = 'all' and segment_name = 'all'
            and not_ready_reason is distinct from 'partial_window'
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
        where cost_date < date '2026-06-01' group by all
        """,
    ).set_index("cost_type")
    # costs are known to 29 June, so of June nothing is said
    is_known = ledger.cost_reason.isna()
    assert (is_known == (pd.to_datetime(ledger.month_start_date) < "2026-06-01")).all()
    for cost_type, amount in invoices.amount.items():
        assert ledger[f"{cost_type}_cost_amount"].sum() == pytest.approx(amount, rel=1e-9)
    assert ledger.total_cost_amount.sum() == pytest.approx(invoices.amount.sum(), rel=1e-9)
    # a model without classes has no value, whatever it costs
    valueless = ledger[ledger.model_id == "demand_forecast"]
    assert len(valueless) >= 4
    assert valueless.total_cost_amount.notna().sum() >= 3
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


@pytest.mark.slow
def test_last_values_are_those_of_metricflow(demo_project: Project, demo: Path) -> None:
    """Of 28 days, summed over the models that it is read for and whose last day is known."""
    catalog = query(
        demo,
        """
        select catalog.metric, catalog.last_value, catalog.last_metric_date
        from mart_metric_catalog as catalog
        inner join dim_metrics as cards on catalog.metric = cards.metric
        where catalog.last_value is not null and cards.denominator_brick is null
            or catalog.metric in ('acceptance_rate', 'error_rate', 'label_coverage')
        """,
    ).set_index("metric")
    read = query(demo, "select model_id, metric, known_through from dim_model_metrics")
    last_days = pd.to_datetime(catalog.last_metric_date)
    asked = [
        {
            "metrics": [name],
            "group_by": ["model"],
            "first": f"{last - pd.Timedelta(days=27):%Y-%m-%d}",
            "last": f"{last:%Y-%m-%d}",
        }
        for name, last in last_days.items()
    ]
    compared = 0
    for name, answer in zip(catalog.index, demo_project.metricflow(demo, asked), strict=True):
        last, of_model = last_days[name], answer.set_index("model")
        known = read[(read.metric == name) & (pd.to_datetime(read.known_through) >= last)]
        parts = of_model[name].astype(float).reindex(known.model_id).fillna(0)
        if len(parts) == 1 or catalog.last_value[name] == 0:
            assert catalog.last_value[name] == pytest.approx(parts.sum(), rel=1e-9), name
            compared += 1
        else:
            # of several models the whole lies between the parts, or is their sum
            assert parts.min() - 1e-9 <= catalog.last_value[name] <= parts.sum() + 1e-9, name
            compared += 1
    assert compared >= 4


def test_last_values_are_those_of_the_facts(demo: Path) -> None:
    """By hand: decisions and outcomes of 28 days of the models that the metric is read for."""
    catalog = query(demo, "select * from mart_metric_catalog").set_index("metric")
    decisions = query(demo, "select * from fct_decisions")
    outcomes = query(demo, "select * from fct_outcomes where outcome_name = 'revenue'")
    read = query(demo, "select model_id, metric from dim_model_metrics")
    for metric in ("deal_score", "availability", "revenue_per_decision"):
        last = catalog.last_metric_date[metric]
        models = read[read.metric == metric].model_id
        first = last - pd.Timedelta(days=27)
        days = decisions[
            decisions.decision_date.between(first, last) & decisions.model_id.isin(models)
        ]
        booked = outcomes[
            outcomes.outcome_date.between(first, last) & outcomes.model_id.isin(models)
        ]
        told = days[days.status_code.notna() | (days.error_count > 0)]
        expected = {
            "deal_score": days.score_sum.sum() / days.scored_count.sum(),
            "availability": 1 - days.unavailable_count.sum() / told.decision_count.sum(),
            "revenue_per_decision": booked.booked_amount.sum() / days.decision_count.sum(),
        }
        assert catalog.last_value[metric] == pytest.approx(expected[metric], rel=1e-9)


def test_pillars_count_every_line_of_the_scorecard_once(demo: Path) -> None:
    pillars = query(demo, "select * from mart_scorecard_pillars").set_index(["model_id", "pillar"])
    card = query(demo, "select * from mart_scorecard where segment_name = 'all'")
    for key, lines in card.groupby(["model_id", "pillar"]):
        counts = lines.status.value_counts()
        for status in (*JUDGED, "no_target", "not_ready"):
            assert pillars[f"{status}_count"][key] == counts.get(status, 0)
        judged = lines[lines.status.isin(JUDGED)]
        met = judged[judged.status == "on_target"].weight.sum()
        if judged.empty:
            assert pd.isna(pillars.met_share[key])
        else:
            assert pillars.met_share[key] == pytest.approx(met / judged.weight.sum(), rel=1e-9)
    assert pillars.metric_count.sum() == len(card)
