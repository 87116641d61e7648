"""`throughline sql`: the plain query of a number gives what the waist has of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import duckdb
import pytest

from building import Project
from conftest import Company, Outcome
from throughline import metric_query
from throughline.workspace import Workspace

Call = Callable[..., Outcome]

# the same number elsewhere: of a model what may be read of 28 days, of all models their sums
OF_A_MODEL = """
    select numerator, denominator
    from main_metrics.fct_metric_values
    where metric = $metric and model_id = $model_id and period = '28d' and model_version = 'all'
        and segment_name = 'all' and period_end_date = $last_date
"""
OF_ALL = """
    select sum(numerator), sum(denominator)
    from main_metrics.fct_metrics
    where metric = $metric and $model_id is null
        and segment_name = 'all' and metric_date between $last_date - 27 and $last_date
"""
# what is known by bins alone is off by no more than its bound; few units are compared too
OF_SHAPES = """
    select shapes.metric, shapes.value,
        case shapes.metric when 'roc_auc' then scores.roc_auc_bound
            when 'latency_p95' then 0.01 * shapes.value else 0 end as bound
    from main_metrics.int_shape_values as shapes
    left join main_quality.int_score_periods as scores using (
        model_id, model_version, segment_name, segment_value, period, period_end_date
    )
    where coalesce($model_id, shapes.model_id) = shapes.model_id and shapes.period = '28d'
        and shapes.model_version = 'all' and shapes.segment_name = 'all'
        and shapes.period_end_date = $last_date and shapes.value is not null
"""
OF_CUSTOMERS = ("churn_rate", "retained_customers")


@pytest.fixture
def chosen(demo_project: Project, demo: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.chdir(demo_project.root)
    return Workspace(project=demo_project.root, folder=demo, chosen_by="the test")


def test_the_window_ends_with_the_last_complete_day(chosen: Workspace) -> None:
    assert metric_query.last_complete_day(chosen) == date(2026, 6, 30)


@pytest.mark.parametrize(
    "model_id", [None, "lead_scoring", "next_best_offer", "demand_forecast", "fraud_detection"]
)
def test_the_query_of_every_metric_gives_what_the_waist_has(
    chosen: Workspace, model_id: str | None
) -> None:
    # the labels of every model had matured
    last_date = date(2026, 5, 24)
    asked = metric_query.queries(chosen, metrics=[], model_id=model_id, last_date=last_date)
    with duckdb.connect(str(chosen.warehouse), read_only=True) as connection:
        governed = connection.execute("select metric, shape from main_metrics.dim_metrics")
        shapes = dict(governed.fetchall())
        assert asked.keys() == {name for name in shapes if model_id or shapes[name] != "computed"}
        of_model = {"model_id": model_id, "last_date": last_date}
        held = connection.execute(OF_SHAPES, of_model).fetchall()
        if model_id is None:
            computed = {name for name in shapes if shapes[name] == "computed"}
            assert {metric for metric, value, _ in held if value} == computed
            held = []
        for metric, value, bound in held:
            assert asked[metric].count("\n") <= 40, asked[metric]
            found = connection.sql(asked.pop(metric)).df()["value"][0]
            assert found == pytest.approx(value, rel=1e-9, abs=bound), metric
        with_values = 0
        for metric, query in asked.items():
            assert query.count("\n") <= 32, query
            cursor = connection.execute(query)
            columns = [column[0] for column in cursor.description or ()]
            found = dict(zip(columns, cursor.fetchone() or (), strict=True))
            named = {"metric": metric, **of_model}
            elsewhere = connection.execute(OF_A_MODEL if model_id else OF_ALL, named).fetchone()
            is_read = elsewhere is not None and (model_id or metric not in OF_CUSTOMERS)
            if not elsewhere or not is_read:
                continue
            numerator, denominator = elsewhere
            assert found["numerator"] == pytest.approx(numerator or 0, rel=1e-9), metric
            if "denominator" in found:
                assert found["denominator"] == pytest.approx(denominator or 0, rel=1e-9), metric
                value = numerator / denominator if denominator else None
            else:
                value = numerator or 0
            assert found["value"] == (value and pytest.approx(value, rel=1e-9)), metric
            with_values += bool(value)
    assert with_values > 8


@pytest.mark.usefixtures("chosen")
def test_one_query_is_printed(throughline: Call) -> None:
    options = ("--model", "lead_scoring", "--until", "2026-05-31")
    printed = throughline("sql", "precision", *options).out
    assert printed == (
        """\
-- Precision of lead_scoring, 2026-05-04 to 2026-05-31
with sums as (

    select
        -- true_positives: Matured positive decisions that were right.
        coalesce(cast(sum(true_positive_count) as double), 0) as numerator,
        -- positive_decisions: Matured positive decisions.
        coalesce(cast(sum(true_positive_count + false_positive_count) as double), 0) as denominator
    from "main_core"."fct_decisions"
    where
        decision_date between date '2026-05-04' and date '2026-05-31'
        and model_id = 'lead_scoring'

)

select
    numerator,
    denominator,
    numerator / nullif(denominator, 0) as value
from sums
"""
    )


def test_unknown_names_are_one_line(company: Company, throughline: Call) -> None:
    throughline("use", "company")
    assert throughline("sql", "precison").lines == [
        "error models/metrics/_metrics.yml: no metric 'precison'. Did you mean 'precision'?"
    ]
    assert throughline("sql", "roc_auc").lines == [
        "error models/metrics/_metrics.yml: roc_auc is told of one model alone: models do not add "
        "up. Name one with --model."
    ]
    assert throughline("sql", "precision", "--model", "lea").lines == [
        "error company/seeds/model_registry.csv: no governed model 'lea'. Did you mean 'lead'?"
    ]
