"""Moments: what merges, what is kept at large offsets, what is refused as unreadable."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from lift_cases import MEAN, Numbers, arms_of, raw_row, table_of, worked_row
from throughline.lift import kernel
from throughline.lift.moments import (
    CONSTANTS,
    PRODUCTS,
    SUMS,
    VARIABLES,
    MomentsError,
    arm,
    has_lost_precision,
    merge,
    read,
    rebase,
)

CONSTANT = {"y": 96.0, "d": 4.0, "x": 64.0, "w": 2.0, "c": 1.0, "e": 32.0}


def units(rng: np.random.Generator, n: int) -> dict[str, Numbers]:
    level = rng.normal(0, 1, n)
    return {name: CONSTANT[name] * (1.1 + 0.2 * level) + rng.normal(0, 3, n) for name in VARIABLES}


def joined(parts: list[dict[str, Numbers]]) -> dict[str, Numbers]:
    return {name: np.concatenate([part[name] for part in parts]) for name in VARIABLES}


@pytest.mark.parametrize("is_clustered", [False, True])
def test_disjoint_rows_merge_to_the_row_of_all_units(is_clustered: bool) -> None:
    rng = np.random.default_rng(1)
    parts = [units(rng, n) for n in (40, 7, 300)]
    clusters = [rng.integers(0, 12, len(part["y"])) + 100 * i for i, part in enumerate(parts)]
    # Each part about constants of its own.
    rows = [
        raw_row(
            part,
            cluster=cluster if is_clustered else None,
            constants={name: value + 8 * i for name, value in CONSTANT.items()},
            segment_name="region",
            segment_value=f"r{i}",
            n_immature=i,
        )
        for i, (part, cluster) in enumerate(zip(parts, clusters, strict=True))
    ]
    rows = [{**row, "n_users_repeated": 4.0} for row in rows]
    merged = merge(table_of(rows), by=("experiment_id", "variant", "metric"))
    cluster = np.concatenate(clusters) if is_clustered else None
    wanted = raw_row(joined(parts), cluster=cluster, constants=CONSTANT, n_immature=3)
    assert len(merged["n_rows"]) == 1
    for name in ("n_rows", "n_units", "n_exposed", "n_immature", *CONSTANTS, *SUMS, *PRODUCTS):
        assert merged[name][0] == pytest.approx(wanted[name], rel=1e-12), name
    assert merged["n_users_repeated"].tolist() == [4.0]
    assert merged["segment_name"].tolist() == ["region"]
    assert merged["segment_value"].tolist() == ["(merged)"]


def test_rebasing_there_and_back_changes_nothing() -> None:
    table = table_of([raw_row(units(np.random.default_rng(2), 50), constants=CONSTANT)])
    moved = rebase(table, dict.fromkeys(CONSTANTS, 3.0))
    assert moved["k_y"].tolist() == [3.0]
    assert moved["s_yy"][0] != table["s_yy"][0]
    back = rebase(moved, {f"k_{name}": value for name, value in CONSTANT.items()})
    for name in (*SUMS, *PRODUCTS):
        assert back[name] == pytest.approx(table[name], rel=1e-10), name


@pytest.mark.parametrize("name", ["as_of", "cap_value", "window_to", "definition_hash"])
def test_rows_of_different_days_or_definitions_never_add(name: str) -> None:
    other = {"as_of": "2026-07-02", "cap_value": 9.0, "window_to": "28", "definition_hash": "g"}
    rows = [worked_row("control"), worked_row("control", **{name: other[name]})]
    with pytest.raises(MomentsError, match=f"has another {name} than its group"):
        merge(table_of(rows), by=("experiment_id", "variant", "metric"))


def test_a_large_offset_costs_no_digits() -> None:
    """Revenue of 100 million, give or take a quarter: about a constant, the variance is right."""
    rng = np.random.default_rng(3)
    y = 1e8 + rng.random(100_000)
    exact = [Fraction(float(value)) for value in y[:2000]]
    mean = sum(exact) / len(exact)
    wanted = float(sum((value - mean) ** 2 for value in exact) / (len(exact) - 1))
    about = raw_row({"y": y[:2000]}, constants={"y": 1e8})
    found = kernel.row_variance(arms_of(about, about)[0], is_ratio=MEAN)
    assert found[0] == pytest.approx(wanted, rel=1e-9)
    raw = raw_row({"y": y}, constants={"y": 0.0})
    lost = kernel.row_variance(arms_of(raw, raw)[0], is_ratio=MEAN)
    assert lost[0] != pytest.approx(1 / 12, rel=0.05)


def test_a_constant_too_far_away_is_noticed() -> None:
    rng = np.random.default_rng(4)
    y = 1e4 + rng.normal(0, 1, 500)
    for constant, is_lost in ((0.0, True), (9_500.0, False)):
        row = raw_row({"y": y}, constants={"y": constant})
        found = has_lost_precision(*arms_of(row, row), variable=0)
        assert found.tolist() == [is_lost]


def test_an_arm_without_variance_is_not_far_from_its_constant() -> None:
    nobody = raw_row({"y": np.zeros(500)}, constants={"y": 0.25})
    some = raw_row({"y": np.repeat([0.0, 1.0], [300, 200])}, constants={"y": 0.25})
    assert has_lost_precision(*arms_of(nobody, some), variable=0).tolist() == [False]


def test_reading_takes_masked_columns_and_missing_variables() -> None:
    table = table_of([worked_row("control")])
    table["s_xx"] = np.ma.MaskedArray(table["s_xx"], mask=[True])
    table["s_x"] = np.array([None], dtype=object)
    optional = ("n_unclustered", "n_clusters_shared", "n_users_repeated")
    for name in optional:
        del table[name]
    found = read(table)
    assert [found[name][0] for name in ("s_xx", "s_x", *optional)] == [0] * 5
    assert arm(found, np.array([0])).mean[0, 0] == pytest.approx(1904480 / 2000)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"s_yy": np.nan}, "s_yy is not a number for trial / control / revenue"),
        ({"s_y": np.inf}, "s_y is not a number"),
    ],
)
def test_sums_that_are_no_numbers_are_named(change: dict[str, Any], said: str) -> None:
    with pytest.raises(MomentsError, match=said):
        read(table_of([{**worked_row("control"), **change}]))


def test_a_repeated_key_is_named() -> None:
    with pytest.raises(MomentsError, match="two rows of moments for trial / control / revenue"):
        read(table_of([worked_row("control")] * 2))


def test_a_missing_column_is_named() -> None:
    table = table_of([worked_row("control")])
    del table["s_yw"]
    with pytest.raises(MomentsError, match="moments lack the columns s_yw"):
        read(table)
