"""Readable values: each against plain pandas, and what is hidden stays hidden."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.linalg import null_space

import awkward
import plain_pandas
import value_cases
from building import NO_UNIT_TESTS, WITHOUT_TESTS, Project, query
from plain_values import Values, assert_values_are, hidden_cells

ROOT = Path(__file__).resolve().parents[2]
SEGMENTS = ["channel", "device", "region"]


@pytest.fixture(scope="module")
def company(demo: Path) -> plain_pandas.Company:
    return plain_pandas.Company(
        raw=plain_pandas.read_raw(demo),
        seeds=ROOT / "seeds",
        as_of="2026-07-01",
        segments=SEGMENTS,
    )


@pytest.fixture(scope="module")
def plain(demo: Path, company: plain_pandas.Company) -> pd.DataFrame:
    return Values(company, project=ROOT, seeds=ROOT / "seeds", minimum_cell=20).table()


def test_every_value_equals_plain_pandas(demo: Path, plain: pd.DataFrame) -> None:
    assert_values_are(demo, plain)
    assert (plain.status == "ready").sum() > 50_000
    told = {"private", "partial_window", "labels_not_matured", "no_data", "too_few_units"}
    assert told | {"serving_costs_not_delivered"} <= set(plain.reason.dropna())


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project.without_comments(tmp_path_factory.mktemp("values") / "project")


@pytest.mark.slow
def test_every_value_of_awkward_rows_equals_plain_pandas(project: Project) -> None:
    """Odd texts and numbers, samples, several currencies, a model without rows, small cells."""
    folder = project.root / "awkward"
    awkward.make(folder)
    run = project.build(folder, *WITHOUT_TESTS)
    assert run.status == 0, run.output
    raw = plain_pandas.read_raw(folder)
    logs = raw["prediction_logs"].rename(columns={"Decided_At": "predicted_at"})
    company = plain_pandas.Company(
        raw={**raw, "prediction_logs": logs},
        seeds=folder / "seeds",
        as_of="2025-01-20",
        segments=SEGMENTS,
    )
    plain = Values(company, project=ROOT, seeds=folder / "seeds", minimum_cell=2).table()
    assert_values_are(folder, plain)
    assert (plain.status == "ready").sum() > 3_000
    assert_classes_are(folder, company)
    assert "idle" not in set(plain.model_id)
    # every table fell silent at one time or another
    tables = ("prediction_logs", "usage_events", "business_outcomes", "eligible_users", "labels")
    assert {f"{table}_not_delivered" for table in tables} <= set(plain.reason.dropna())


def assert_classes_are(workspace: Path, company: plain_pandas.Company) -> None:
    """The mean F1 score over classes, of all judged days and of months, counted class by class."""
    rows = company.decisions[company.decisions.is_right.notna()]
    rows = rows[rows.task == "multiclass"].assign(
        weight=1 / rows.sampling_fraction.fillna(1), month=rows.day + pd.offsets.MonthEnd(0)
    )
    built = query(workspace, "from int_class_periods where segment_name = 'all'")
    built = built[(built.model_version == "all") & (built.period == "month")]
    assert len(built) == rows.month.nunique() > 0
    for month in built.itertuples():
        seen = rows[rows.month == month.period_end_date]
        scores = []
        for name in set(seen.predicted_label) | set(seen.actual_class):
            said, was = seen.predicted_label == name, seen.actual_class == name
            right = seen.weight[said & was].sum()
            scores.append(2 * right / (seen.weight[said].sum() + seen.weight[was].sum()))
        assert month.macro_f1 == pytest.approx(np.mean(scores), rel=1e-12)
        assert month.class_count == len(scores)


def test_errors_of_numbers_equal_numpy(demo: Path, company: plain_pandas.Company) -> None:
    rows = company.decisions[company.decisions.error.notna()]
    shown = query(demo, "from fct_metric_values where metric = 'rmse' and value is not null")
    held = query(demo, "from int_number_periods")
    assert len(shown) > 400
    keys = ["model_id", "model_version", "segment_name", "segment_value", "period"]
    both = shown.merge(held, on=[*keys, "period_end_date"], validate="one_to_one")
    assert len(both) == len(shown)
    for cell in both.iloc[::37].itertuples():
        start, end = (pd.Timestamp(day) for day in (cell.period_start_date, cell.period_end_date))
        seen = rows[(rows.model_id == cell.model_id) & rows.day.between(start, end)]
        if cell.model_version != "all":
            seen = seen[seen.model_version == cell.model_version]
        if cell.segment_name != "all":
            seen = seen[seen[cell.segment_name].fillna("(unknown)") == cell.segment_value]
        assert cell.unit_count == len(seen)
        assert cell.value == pytest.approx(np.sqrt((seen.error**2).mean()), rel=1e-9)
        around = ((seen.actual - seen.actual.mean()) ** 2).sum()
        assert cell.r2 == pytest.approx(1 - (seen.error**2).sum() / around, rel=1e-9)


@pytest.fixture(scope="module")
def cases(project: Project) -> Path:
    folder = value_cases.make(project)
    run = project.build(folder, *NO_UNIT_TESTS)
    assert run.status == 0, run.output
    return folder


@pytest.mark.slow
def test_every_value_of_the_cases_equals_plain_pandas(cases: Path) -> None:
    company = plain_pandas.Company(
        raw=plain_pandas.read_raw(cases),
        seeds=cases / "seeds",
        as_of=value_cases.AS_OF,
        segments=["channel", "role"],
    )
    values = Values(
        company, project=ROOT, seeds=cases / "seeds", minimum_cell=value_cases.MINIMUM_CELL
    )
    plain = values.table()
    assert_values_are(cases, plain)
    by_role = plain[plain.segment_name == "role"].fillna({"reason": "ready"})
    reasons = by_role.groupby("metric").reason.agg(set)
    for metric in ("adoption_rate", "task_completion_rate", "precision"):
        assert {"private", "ready"} <= reasons[metric], metric


def told(
    cases: Path, metric: str, model_id: str, period: str, end: str
) -> tuple[float, float, str | None]:
    """Value, numerator and reason of a total."""
    row = query(
        cases,
        f"""
        select value, numerator, reason from fct_metric_values
        where metric = '{metric}' and model_id = '{model_id}' and period = '{period}'
            and period_end_date = date '{end}'
            and model_version = 'all' and segment_name = 'all'
        """,
    )
    ((value, numerator, reason),) = row.itertuples(index=False)
    return float(value), float(numerator), None if pd.isna(reason) else str(reason)


def only(cases: Path, sql: str) -> object:
    """The one cell of a query, None where it is NULL."""
    ((cell,),) = query(cases, sql).itertuples(index=False)
    return None if pd.isna(cell) else cell


@pytest.mark.slow
def test_costs_that_were_not_delivered_are_not_zero(cases: Path) -> None:
    """Nor does a licence paid for the year hide that other costs are missing."""
    metric = "cost_per_prediction"
    assert told(cases, metric, "billed", "month", "2026-05-31") == (1, 310, None)
    value, _, reason = told(cases, metric, "billed", "28d", "2026-06-14")
    assert np.isnan(value)
    assert reason == "serving_costs_not_delivered"
    ledger = query(
        cases,
        "select total_cost_amount, cost_reason, net_value_amount from mart_value_ledger "
        "where model_id = 'billed' order by month_start_date",
    )
    assert ledger.total_cost_amount.fillna(-1).tolist() == [310, -1]
    assert ledger.cost_reason.fillna("").tolist() == ["", "serving_costs_not_delivered"]
    assert pd.isna(ledger.net_value_amount[1])
    # the scorecard reads the last window that is known, and names its end
    card = query(
        cases,
        f"""
        select value, strftime(window_end_date, '%m-%d') as ended from mart_scorecard
        where metric = '{metric}' and model_id = 'billed'
        """,
    )
    assert card.to_dict("records") == [{"value": 1.0, "ended": "05-31"}]


@pytest.mark.slow
def test_a_licence_paid_for_a_year_is_a_cost_by_day_and_of_no_day_to_come(cases: Path) -> None:
    metric = "cost_per_prediction"
    value, cost, reason = told(cases, metric, "licensed", "7d", "2026-06-14")
    assert [value, cost] == pytest.approx([1, 70])
    assert reason is None
    june = only(
        cases,
        "select total_cost_amount from mart_value_ledger where model_id = 'licensed' "
        "and month_start_date = date '2026-06-01'",
    )
    assert june == pytest.approx(140)
    for table, day in (
        ("fct_metric_values", "period_end_date"),
        ("mart_metric_timeline", "metric_date"),
        ("mart_metric_months", "month_start_date"),
        ("mart_value_ledger", "month_start_date"),
    ):
        assert only(cases, f"select max({day}) from {table}") <= pd.Timestamp("2026-06-14"), table


@pytest.mark.slow
def test_outcomes_of_one_kind_that_stop_are_not_none(cases: Path) -> None:
    """Tickets and renewals of the same table go on; churn was told on too few days to judge."""
    _, _, reason = told(cases, "review_hours", "billed", "28d", "2026-06-14")
    assert reason == "review_hours_outcomes_not_delivered"
    hours, _, reason = told(cases, "review_hours", "billed", "28d", "2026-05-29")
    assert hours > 0
    assert reason is None
    for metric in ("ticket_count", "renewal_rate"):
        assert told(cases, metric, "billed", "28d", "2026-06-14")[2] is None
    assert told(cases, "churn_rate", "churning", "28d", "2026-06-14")[2] is None


@pytest.mark.slow
def test_each_customer_churns_once(cases: Path) -> None:
    """Thirty are asked four times, half leave at the fourth; who has left counts no more."""
    for period, end in (("month", "2026-05-31"), ("28d", "2026-05-29"), ("day", "2026-05-29")):
        assert told(cases, "churn_rate", "churning", period, end) == (0.5, 15, None)
        assert told(cases, "retained_customers", "churning", period, end) == (15, 15, None)
    assert told(cases, "churn_rate", "churning", "day", "2026-05-22") == (0, 0, None)
    assert told(cases, "churn_rate", "churning", "7d", "2026-06-05") == (0, 0, None)
    assert told(cases, "retained_customers", "churning", "7d", "2026-06-05") == (15, 15, None)


@pytest.mark.slow
def test_revenue_of_all_models_counts_each_outcome_once(cases: Path) -> None:
    for model_id in ("billed", "licensed"):
        assert told(cases, "credited_revenue", model_id, "28d", "2026-06-14") == (3000, 3000, None)
    revenue = "select last_value from mart_metric_catalog where metric = 'credited_revenue'"
    assert only(cases, revenue) == 3000


@pytest.mark.slow
def test_labels_that_never_came_tell_nothing(cases: Path) -> None:
    rows = query(
        cases,
        """
        select distinct value, reason, status from fct_metric_values
        where model_id = 'unlabelled' and metric in ('precision', 'conversion_rate')
            and segment_name = 'all' and period_end_date >= '2026-05-01'
        """,
    )
    assert set(rows.reason) == {"labels_not_delivered"}
    assert set(rows.status) == {"not_ready"}
    assert rows.value.isna().all()


@pytest.mark.slow
def test_a_sum_over_days_before_the_data_has_no_value(cases: Path) -> None:
    value, _, reason = told(cases, "value_of_decisions", "billed", "28d", "2026-05-27")
    assert np.isnan(value)
    assert reason == "partial_window"
    assert told(cases, "value_of_decisions", "billed", "28d", "2026-05-28") == (-280, -280, None)
    # what there is of a share is a share
    precision = told(cases, "precision", "billed", "28d", "2026-05-27")
    assert precision == (0, 0, None)
    before = query(
        cases,
        "select previous_value from mart_scorecard "
        "where metric = 'value_of_decisions' and model_id = 'billed'",
    )
    assert before.previous_value.isna().tolist() == [True]


@pytest.mark.slow
def test_the_timeline_has_the_days_of_every_fact(cases: Path) -> None:
    deployed = query(
        cases,
        """
        select value, unit_count from mart_metric_timeline
        where metric = 'deployment_success_rate' and metric_date = date '2025-12-01'
        """,
    )
    assert deployed.to_dict("records") == [{"value": 1.0, "unit_count": 30}]


@pytest.mark.slow
def test_a_cost_in_another_currency_is_converted_by_day(cases: Path) -> None:
    costs = "select sum({}) from fct_costs where model_id = 'converted'"
    assert only(cases, costs.format("cost_amount")) == pytest.approx(450)
    assert only(cases, costs.format("invoiced_amount")) == pytest.approx(300)
    refused = "select reason from stg_rejected_rows where table_name = 'serving_costs'"
    assert only(cases, refused) == "currency has no rate in exchange_rates on 2026-05-16"
    _, cost, reason = told(cases, "cost_per_prediction", "converted", "month", "2026-05-31")
    # the bill ends a day before the month
    assert cost == pytest.approx(450)
    assert reason == "serving_costs_not_delivered"


@pytest.mark.slow
def test_pending_decisions_are_worth_the_mean_of_all_that_were_due(cases: Path) -> None:
    june = query(
        cases,
        "select pending_count, estimated_value_amount as worth from mart_value_ledger "
        "where model_id = 'half' and month_start_date = date '2026-06-01'",
    )
    assert june.to_dict("records") == [{"pending_count": 70, "worth": 350}]


@pytest.mark.slow
def test_answers_are_read_on_the_scale_they_were_asked_on(cases: Path) -> None:
    """NPS on 1 to 5 is refused; a 5 without a scale is neither top nor bottom."""
    refused = query(cases, "select reason from stg_rejected_rows where table_name = 'feedback'")
    assert set(refused.reason) == {"nps is asked on a scale other than 0 to 10"}
    assert len(refused) == 30
    read = query(cases, "select distinct metric from fct_metric_values")
    assert {"csat", "response_rate"} <= set(read.metric)
    assert not {"promoter_share", "detractor_share"} & set(read.metric)
    value, satisfied, reason = told(cases, "csat", "deployed", "28d", "2026-06-14")
    assert (value, satisfied, reason) == (1, 10, None)


# what each mart calls a number of a model and month; metrics say it by the brick that they divide
MONEY = """
    select 'value' as number, 'ledger' as mart, model_id, month_start_date as month,
        case when valued_count > 0 then matured_value_amount end as amount
    from mart_value_ledger
    union all
    select 'value', 'baseline', model_id, date_trunc('month', period_end_date), model_value_amount
    from mart_value_over_baseline where period = 'month'
    union all
    select 'cost', 'ledger', model_id, month_start_date, total_cost_amount from mart_value_ledger
    union all
    select 'cost', 'costs', model_id, month_start_date, cost_amount
    from mart_costs where cost_type = 'all'
    union all
    select 'cost', 'costs by type', model_id, month_start_date, sum(cost_amount)
    from mart_costs where cost_type not in ('all', 'variable')
    group by model_id, month_start_date
    union all
    select 'net', 'ledger', model_id, month_start_date, net_value_amount from mart_value_ledger
    union all
    select 'net', 'value less costs', ledger.model_id, ledger.month_start_date,
        matured_value_amount - cost_amount
    from mart_value_ledger as ledger
    inner join mart_costs using (model_id, month_start_date) where cost_type = 'all'
    union all
    select 'net', 'models', model_id, net_month_start_date, net_month_amount from mart_models
    union all
    select 'revenue', 'credit', model_id, month_start_date, credited_amount from mart_credit
    where model_id <> '(none)'
    union all
    select 'booked', 'credit', 'all', month_start_date, sum(credited_once_amount) from mart_credit
    group by month_start_date
    union all
    select 'booked', 'cohorts', 'all', month_start_date, sum(revenue_amount)
    from mart_customer_cohorts group by month_start_date
    union all
    select
        case numerator_brick
            when 'decision_value' then 'value' when 'serving_cost' then 'cost'
            when 'revenue' then 'revenue' when 'churned_customers' then 'churn'
        end as number, metric, model_id, month_start_date, numerator
    from totals inner join dim_metrics using (metric)
    where number is not null
    union all
    select 'churn', 'customers less retained', model_id, month_start_date,
        sum(case metric when 'churn_rate' then denominator else -numerator end)
    from totals where metric in ('churn_rate', 'retained_customers')
    group by model_id, month_start_date having count(*) = 2
"""
# amounts of a model and month that are another number than these
APART = {
    "mart_releases": "of one version",
    "mart_threshold_curve": "by threshold",
}


def test_marts_agree_about_the_same_month(demo: Path) -> None:
    """Value, cost, net, revenue and churn of a model and month are one number in all marts."""
    held = query(
        demo,
        f"""
        with totals as (
            select * from mart_metric_months
            where model_version = 'all' and segment_name = 'all'
        ), held as ({MONEY})
        select * from held where amount is not null
        """,
    )
    months = held.groupby(["number", "model_id", "month"])
    np.testing.assert_allclose(months.amount.max(), months.amount.min(), rtol=1e-9, atol=1e-6)
    compared = held[months.amount.transform("size") > 1].groupby("number")
    assert set(compared.groups) == {"value", "cost", "net", "revenue", "booked", "churn"}
    assert (compared.amount.agg(lambda amounts: (amounts != 0).sum()) >= 6).all()
    of_a_mart = dict(compared.mart.agg(set))
    assert {"ledger", "baseline", "value_of_decisions"} <= of_a_mart["value"]
    assert {"ledger", "costs", "cost_per_prediction", "cost_to_serve"} <= of_a_mart["cost"]
    assert {"credit", "credited_revenue", "revenue_per_decision"} <= of_a_mart["revenue"]
    # a mart with such an amount is compared, or is named with what it holds instead
    marts = query(
        demo,
        """
        select table_name as mart from information_schema.columns
        where table_name like 'mart_%'
        group by table_name
        having bool_or(column_name = 'model_id')
            and bool_or(regexp_matches(column_name, '(value|net|cost|revenue|credited).*_amount$'))
            and bool_or(regexp_matches(column_name, 'month|^period'))
        """,
    )
    assert {mart for mart in marts.mart if mart not in MONEY} == set(APART)


def test_costs_that_are_unknown_are_so_in_both_marts(demo: Path) -> None:
    costs = query(
        demo,
        """
        select ledger.total_cost_amount as cost, ledger.cost_reason, months.not_ready_reason
        from mart_value_ledger as ledger
        inner join mart_metric_months as months
            on ledger.model_id = months.model_id
            and ledger.month_start_date = months.month_start_date
            and months.metric = 'cost_per_prediction'
            and months.model_version = 'all' and months.segment_name = 'all'
        """,
    )
    unknown = costs[costs.cost_reason.notna()]
    assert len(unknown) > 0
    assert unknown.cost.isna().all()
    assert (unknown.not_ready_reason == "serving_costs_not_delivered").all()


def test_the_scorecard_and_the_timeline_agree(demo: Path) -> None:
    apart = query(
        demo,
        """
        select count(*) as rows from mart_scorecard as card
        inner join mart_metric_timeline as line
            on card.metric = line.metric and card.model_id = line.model_id
            and card.segment_name = line.segment_name
            and card.segment_value = line.segment_value
            and card.window_end_date = line.metric_date
        where card.value is distinct from line.value_28d
            or card.unit_count is distinct from line.unit_count_28d
        """,
    )
    assert apart.rows[0] == 0


Cell = tuple[str, str]


def determined(
    totals: set[str],
    values: set[str],
    shown: Mapping[Cell, float],
    ratios: Sequence[Mapping[Cell, float]],
) -> set[Cell]:
    """The hidden cells, brick and segment value, that follow linearly from what is shown.

    Every brick sums to its total over the segment values, a shown cell is known, and a shown
    ratio says `numerator - value * denominator = 0` of its cells, as `ratios` gives it. A cell
    is determined if it does not move along any direction that all equations leave free.
    """
    bricks = {brick for brick, _ in shown} | totals
    bricks |= {brick for ratio in ratios for brick, _ in ratio}
    cells = sorted(product(sorted(bricks), sorted(values)))
    place = {cell: i for i, cell in enumerate(cells)}
    rows: list[Mapping[Cell, float]] = []
    for brick in totals:
        rows.append({(brick, value): 1.0 for value in values})
    rows += [{cell: 1.0} for cell in shown]
    rows.extend(ratios)
    matrix = np.zeros((len(rows), len(cells)))
    for i, row in enumerate(rows):
        for cell, factor in row.items():
            matrix[i, place[cell]] = factor
    free = null_space(matrix, rcond=1e-10)
    fixed = np.abs(free).max(axis=1, initial=0.0) < 1e-9
    return {cell for cell, is_fixed in zip(cells, fixed, strict=True) if is_fixed} - set(shown)


def test_no_hidden_cell_of_random_tables_follows_from_the_rest() -> None:
    """Three bricks of one fact, tp + fp = called, over random segment sizes."""
    rng = random.Random(7)
    hidden_tables = 0
    for _ in range(500):
        counts = [rng.choice([0, 1, 3, 12, 19, 20, 30, 400]) for _ in range(rng.randint(2, 8))]
        hides = hidden_cells(counts, 20)
        assert all(
            hide or count == 0 or count >= 20 for count, hide in zip(counts, hides, strict=True)
        )
        sums: dict[Cell, float] = {}
        for i, count in enumerate(counts):
            called = rng.randint(0, count)
            right = rng.randint(0, called)
            sums |= {
                ("called", str(i)): called,
                ("tp", str(i)): right,
                ("fp", str(i)): called - right,
            }
            sums["rows", str(i)] = count
        totals = {brick for brick, _ in sums}
        shown = {cell: amount for cell, amount in sums.items() if not hides[int(cell[1])]}
        identities = [
            {("tp", str(i)): 1.0, ("fp", str(i)): 1.0, ("called", str(i)): -1.0}
            for i in range(len(counts))
        ]
        full = [count for count, hide in zip(counts, hides, strict=True) if hide and count]
        if full and len([count for count in counts if count]) > 1:
            hidden_tables += 1
            assert not determined(totals, {value for _, value in sums}, shown, identities), counts
            assert len(full) >= 2
    assert hidden_tables > 200


def test_the_attack_finds_what_one_hidden_cell_gives_away() -> None:
    totals = {"rows"}
    shown = {("rows", "a"): 40.0}
    assert determined(totals, {"a", "c"}, shown, []) == {("rows", "c")}
    assert determined(totals, {"a", "c", "d"}, shown, []) == set()


def test_no_mart_gives_a_hidden_cell_away(demo: Path) -> None:
    """Totals, segments and ratios of every metric of a model, segment and period at once."""
    cards = query(demo, "from dim_metrics").set_index("metric")
    months = query(
        demo,
        """
        select metric, model_id, segment_name, segment_value, value, numerator, denominator,
            excluded_count, month_start_date as day, 'month' as period
        from mart_metric_months where model_version = 'all'
        """,
    )
    lines = query(
        demo,
        """
        select metric, model_id, segment_name, segment_value, value_28d as value,
            null as numerator, null as denominator, null as excluded_count, metric_date as day,
            '28d' as period
        from mart_metric_timeline where metric_date in ('2026-04-10', '2026-05-31', '2026-06-30')
        """,
    )
    private = query(
        demo,
        """
        select metric, model_id, segment_name, segment_value, period,
            case period when 'month' then period_start_date else period_end_date end as day
        from fct_metric_values where reason = 'private' and period in ('month', '28d')
        """,
    )
    attacked = 0
    by = ["model_id", "day", "period"]
    for rows in (months, lines):
        for key, of_period in rows.groupby(by):
            is_now = (private[by] == list(key)).all(axis=1)
            for segment in SEGMENTS:
                cells = of_period[of_period.segment_name == segment]
                hidden = private[is_now & (private.segment_name == segment)]
                if hidden.empty or len(set(cells.segment_value)) == 1:
                    continue
                are_hidden = set(zip(hidden.metric, hidden.segment_value, strict=True))
                assert not attack(cells, are_hidden, cards), (key, segment)
                attacked += 1
    assert attacked > 10


def attack(cells: pd.DataFrame, are_hidden: set[Cell], cards: pd.DataFrame) -> set[Cell]:
    """The guarded cells of a segment that follow from all its metrics, whose totals are known.

    Guarded are the sums of hidden metrics, but for those that another metric may show.
    """
    totals: set[str] = set()
    guarded: set[Cell] = set()
    readable: set[Cell] = set()
    shown: dict[Cell, float] = {}
    ratios: list[dict[Cell, float]] = []
    for row in cells.to_dict("records"):
        card, value = cards.loc[row["metric"]], row["segment_value"]
        is_hidden = (row["metric"], value) in are_hidden
        bricks = {
            "numerator": card.numerator_brick,
            "denominator": card.denominator_brick,
            "excluded_count": card.excluded_brick,
        }
        if is_hidden:
            assert all(pd.isna(row[column]) for column in (*bricks, "value")), row
        if not card.is_additive:
            continue
        for column, brick in bricks.items():
            if pd.isna(brick):
                continue
            totals.add(brick)
            (guarded if is_hidden else readable).add((brick, value))
            if not pd.isna(row[column]):
                shown[brick, value] = row[column]
        if not pd.isna(card.denominator_brick) and not pd.isna(row["value"]):
            over = (card.denominator_brick, value)
            ratios.append({(card.numerator_brick, value): 1.0, over: -row["value"]})
    found = determined(totals, set(cells.segment_value), shown, ratios)
    return (found | set(shown)) & (guarded - readable)


def test_the_rule_of_the_marts_is_that_of_the_attack(demo: Path) -> None:
    """Segments of decisions by 28 days, counted by hand on some days."""
    decisions = query(demo, "select * from fct_decisions")
    days = pd.to_datetime(decisions.decision_date)
    ends = pd.to_datetime(["2026-04-10", "2026-05-31", "2026-06-30"])
    for end, model_id, segment in product(ends, decisions.model_id.unique(), SEGMENTS):
        all_of = decisions[(decisions.model_id == model_id) & (days <= end)]
        window = all_of[pd.to_datetime(all_of.decision_date) > end - pd.Timedelta(days=28)]
        values = query(
            demo,
            f"""
            select segment_value, reason is not distinct from 'private' as is_hidden
            from fct_metric_values
            where metric = 'error_rate' and model_id = '{model_id}' and period = '28d'
                and segment_name = '{segment}' and period_end_date = date '{end:%Y-%m-%d}'
            order by segment_value
            """,
        )
        counts = window[segment].fillna("(unknown)").value_counts()
        counted = counts.reindex(values.segment_value, fill_value=0).tolist()
        assert values.is_hidden.tolist() == hidden_cells(counted, 20), (end, model_id, segment)
