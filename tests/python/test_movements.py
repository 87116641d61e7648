"""Why a metric moved: the parts of random moves against exact fractions, and of the demo."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from fractions import Fraction
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest

import compiled
from building import query

MOVES = 1_000
MONTHS = (date(2026, 1, 1), date(2026, 1, 31)), (date(2026, 2, 1), date(2026, 2, 28))
KEYS = ["metric", "model_id", "period", "period_end_date"]
Sums = tuple[Fraction, Fraction]
Side = Mapping[str, Sums]
"""Numerator and denominator of each part in one month; one that is absent is not there."""


def random_sides(rng: np.random.Generator, *, is_ratio: bool) -> tuple[Side, Side]:
    """Two months of up to six parts, of which some come and some go."""
    parts = [f"part {number}" for number in range(rng.integers(1, 7))]
    scale = int(10 ** rng.integers(0, 6))
    sides = []
    for _ in MONTHS:
        side = {}
        for part in parts:
            if rng.uniform() < 0.8:
                denominator = int(rng.integers(1, 1_000)) * (scale if rng.uniform() < 0.3 else 1)
                share = Fraction(int(rng.integers(-5, 1_000)), 1_000)
                side[part] = (denominator * share, Fraction(denominator if is_ratio else 0))
        sides.append(side or {parts[0]: (Fraction(3), Fraction(7 if is_ratio else 0))})
    return sides[0], sides[1]


def total(side: Side) -> Sums:
    return sum((n for n, _ in side.values()), Fraction()), sum(
        (d for _, d in side.values()), Fraction()
    )


def folded(side: Side, *, hidden: frozenset[str]) -> Side:
    """The side with what is hidden as one part."""
    shown = {part: sums for part, sums in side.items() if part not in hidden}
    rest = {part: sums for part, sums in side.items() if part in hidden}
    return shown | ({"(hidden)": total(rest)} if rest else {})


def exact(before: Side, after: Side) -> dict[tuple[str, str], Fraction]:
    """Contributions by part and effect, by the midpoint formula in whole fractions."""
    (n0, d0), (n1, d1) = total(before), total(after)
    found = {}
    for part in before.keys() | after.keys():
        (a0, b0), (a1, b1) = (side.get(part, (Fraction(), Fraction())) for side in (before, after))
        if not d0:
            found[part, "volume"] = a1 - a0
            continue
        r0 = a0 / b0 if b0 else a1 / b1
        r1 = a1 / b1 if b1 else r0
        w0, w1 = b0 / d0, b1 / d1
        found[part, "rate"] = (w0 + w1) / 2 * (r1 - r0)
        found[part, "mix"] = (w1 - w0) * ((r0 + r1) / 2 - (n0 / d0 + n1 / d1) / 2)
    return found


def rows_of(metric: str, sides: tuple[Side, Side], *, hidden: frozenset[str]) -> pd.DataFrame:
    """Rows of fct_metric_values: the totals and one segment; hidden cells without sums."""
    rows = []
    for (first, last), side in zip(MONTHS, sides, strict=True):
        cells = {("all", "all"): total(side)} | {("place", part): side[part] for part in side}
        for (segment, value), (numerator, denominator) in cells.items():
            is_hidden = value in hidden
            rows.append(
                {
                    "metric": metric,
                    "model_id": "m",
                    "model_version": "all",
                    "segment_name": segment,
                    "segment_value": value,
                    "period": "month",
                    "period_start_date": first,
                    "period_end_date": last,
                    "numerator": None if is_hidden else float(numerator),
                    "denominator": None if is_hidden or not denominator else float(denominator),
                    "value": float(numerator / denominator if denominator else numerator),
                    "effective_units": None,
                    "reason": "private" if is_hidden else None,
                    "is_additive": True,
                }
            )
    return pd.DataFrame(rows)


def movement_parts(values: pd.DataFrame, metrics: pd.DataFrame) -> pd.DataFrame:
    """What the models make of values."""
    given = {
        "fct_metric_values": values,
        "dim_metrics": metrics,
        "dim_model_metrics": metrics[["metric"]].assign(model_id="m", known_through=MONTHS[1][1]),
    }
    with duckdb.connect() as connection:
        for name, frame in given.items():
            connection.register("given", frame)
            connection.execute(f"create table {name} as select * from given")
        for table, columns in {
            "fct_metric_values": ("period_start_date", "period_end_date"),
            "dim_model_metrics": ("known_through",),
        }.items():
            for column in columns:
                connection.execute(f"alter table {table} alter {column} type date")
        connection.execute(
            "create table int_restated_values (model_id text, period text, period_end_date date, "
            "at_own_values_amount double, at_earlier_rates_amount double, "
            "at_earlier_values_amount double)"
        )
        for name in ("int_metric_changes", "int_movement_parts"):
            sql = re.sub(r'"\w+"\."\w+"\."(\w+)"', r"\1", compiled.kept()[name])
            connection.execute(f"create table {name} as {sql}")
        return connection.sql("select * from int_movement_parts").df()


@pytest.fixture(scope="module")
def moves() -> dict[str, tuple[tuple[Side, Side], frozenset[str]]]:
    """Random moves by name, and which of their parts are hidden."""
    made = {}
    for seed in range(MOVES):
        rng = np.random.default_rng(seed)
        sides = random_sides(rng, is_ratio=seed % 4 > 0)
        parts = sorted(sides[0].keys() | sides[1].keys())
        hidden = [part for part in parts if len(parts) > 3 and rng.uniform() < 0.3]
        made[f"move {seed}"] = sides, frozenset(hidden)
    return made


def test_parts_of_random_moves_are_those_of_whole_fractions(
    moves: dict[str, tuple[tuple[Side, Side], frozenset[str]]],
) -> None:
    values = [rows_of(name, sides, hidden=hidden) for name, (sides, hidden) in moves.items()]
    metrics = pd.DataFrame(
        {
            "metric": list(moves),
            "numerator_brick": "hits",
            "denominator_brick": [
                "tries" if any(d for _, d in sides[0].values()) else None
                for sides, _ in moves.values()
            ],
        }
    )
    found = movement_parts(pd.concat(values, ignore_index=True), metrics)
    compared = 0
    for name, cells in found.groupby("metric"):
        (before, after), hidden = moves[str(name)]
        if hidden and hidden >= before.keys() | after.keys():
            continue
        wanted = exact(*(folded(side, hidden=hidden) for side in (before, after)))
        told = cells.set_index(["part", "effect"]).contribution.to_dict()
        (n0, d0), (n1, d1) = total(before), total(after)
        old, new = (float(n / d) if d else float(n) for n, d in ((n0, d0), (n1, d1)))
        close = 1e-9 * max(1, abs(old), abs(new))
        assert abs(sum(told.values()) - (new - old)) <= close, name
        for key in wanted.keys() | told.keys():
            assert abs(told.get(key, 0.0) - float(wanted.get(key, 0))) <= close, (name, key)
        compared += 1
    assert compared > MOVES * 0.95


def test_the_demo_says_why_precision_fell(demo: Path) -> None:
    """Of the latest 28 days of leads: the new version, whose rate is its own raw rows' rate."""
    found = query(
        demo,
        """
        select * from mart_movements
        where metric = 'precision' and model_id = 'lead_scoring' and period = '28d'
        """,
    )
    change = found[found.dimension == "all"].iloc[0]
    versions = found[found.dimension == "version"].set_index(["part", "effect"])
    assert abs(versions.contribution.sum() - change.contribution) < 1e-12
    decisions = query(demo, "select * from fct_decisions where model_id = 'lead_scoring'")
    day = decisions.decision_date
    selected = decisions.true_positive_count + decisions.false_positive_count
    for (part, effect), row in versions.iterrows():
        column = "value" if effect == "rate" else None
        if column is None or pd.isna(row.value):
            continue
        kept = (day >= row.period_start_date) & (day <= row.period_end_date)
        kept &= decisions.model_version == part
        plain = decisions.true_positive_count[kept].sum() / selected[kept].sum()
        assert abs(row.value - plain) < 1e-12
    assert change.remarks is not None
