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

import plain_pandas
from building import query
from plain_values import Values, hidden_cells

ROOT = Path(__file__).resolve().parents[2]
KEYS = [
    "metric",
    "model_id",
    "model_version",
    "segment_name",
    "segment_value",
    "period",
    "period_end_date",
]
TEXTS = ["status", "reason"]
NUMBERS = [
    "value",
    "value_low",
    "value_high",
    "numerator",
    "denominator",
    "excluded_count",
    "unit_count",
    "covered_days",
]
SEGMENTS = ["channel", "device", "region"]


def assert_values_are(workspace: Path, plain: pd.DataFrame) -> None:
    """Holds every row of fct_metric_values against the same row computed elsewhere, both ways."""
    built = query(workspace, "from fct_metric_values")
    sides = [
        side.astype({"period_end_date": "datetime64[us]", "period_start_date": "datetime64[us]"})
        for side in (plain, built)
    ]
    both = sides[0].merge(
        sides[1], on=KEYS, how="outer", suffixes=("_plain", "_built"), indicator=True
    )
    assert set(both["_merge"]) == {"both"}, both[both["_merge"] != "both"].head(20).to_string()
    assert (both.period_start_date_plain == both.period_start_date_built).all()
    for column in TEXTS:
        one, other = both[f"{column}_plain"].fillna(""), both[f"{column}_built"].fillna("")
        assert (one == other).all(), both[one != other].head(20).to_string()
    for column in NUMBERS:
        one, other = (both[f"{column}_{side}"].astype(float) for side in ("plain", "built"))
        is_close = np.isclose(one, other, rtol=1e-9, atol=1e-7, equal_nan=True)
        assert is_close.all(), both[~is_close].head(20).to_string()


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


def test_marts_agree_about_the_same_month(demo: Path) -> None:
    """Value, cost and revenue of a model and month are one number wherever they stand."""
    sides = query(
        demo,
        """
        select ledger.model_id, ledger.month_start_date, ledger.matured_value_amount as value,
            months.numerator as sum_of_month, ledger.value_reason
        from mart_value_ledger as ledger
        inner join mart_metric_months as months
            on ledger.model_id = months.model_id
            and ledger.month_start_date = months.month_start_date
            and months.metric = 'net_value'
            and months.model_version = 'all' and months.segment_name = 'all'
        where ledger.value_reason is null and ledger.valued_count > 0
        """,
    )
    assert len(sides) > 8
    np.testing.assert_allclose(sides.value, sides.sum_of_month, rtol=1e-9)
    costs = query(
        demo,
        """
        select ledger.total_cost_amount as cost, months.numerator as sum_of_month,
            ledger.cost_reason, months.not_ready_reason
        from mart_value_ledger as ledger
        inner join mart_metric_months as months
            on ledger.model_id = months.model_id
            and ledger.month_start_date = months.month_start_date
            and months.metric = 'cost_per_prediction'
            and months.model_version = 'all' and months.segment_name = 'all'
        """,
    )
    known = costs[costs.cost_reason.isna()]
    assert len(known) > 8
    np.testing.assert_allclose(known.cost, known.sum_of_month, rtol=1e-9)
    unknown = costs[costs.cost_reason.notna()]
    assert len(unknown) > 0
    assert unknown.cost.isna().all()
    assert (unknown.not_ready_reason == "serving_costs_not_delivered").all()
    # a value of the timeline, of the months and of the scorecard is that of fct_metric_values
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
    assert attacked > 20


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
