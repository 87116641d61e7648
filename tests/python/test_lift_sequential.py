"""Always-valid and group-sequential critical values, and families of tests."""

from __future__ import annotations

import numpy as np
import pytest

from throughline.lift.multiplicity import benjamini_hochberg, holm, holm_level
from throughline.lift.sequential import always_valid, always_valid_p, lan_demets

ALPHA = np.array([0.05])


def test_width_of_the_confidence_sequence_at_its_tightest() -> None:
    rows = np.array([5000.0])
    found = always_valid(rows=rows, planned=rows, alpha=ALPHA)
    assert found[0] / 1.959963984540054 == pytest.approx(1.5486, abs=5e-5)


@pytest.mark.parametrize(("rows", "factor"), [(1_000, 1.716), (200_000, 1.752)])
def test_it_is_wider_before_and_after(rows: int, factor: float) -> None:
    found = always_valid(rows=np.array([float(rows)]), planned=np.array([5000.0]), alpha=ALPHA)
    assert found[0] / 1.959963984540054 == pytest.approx(factor, abs=5e-4)


def test_nothing_is_said_before_the_first_unit() -> None:
    found = always_valid(rows=np.zeros(1), planned=np.array([100.0]), alpha=ALPHA)
    assert np.isinf(found[0])


@pytest.mark.parametrize("level", [0.05, 0.013, 1e-9])
def test_its_p_is_the_level_whose_interval_ends_at_zero(level: float) -> None:
    rows, planned = np.array([700.0]), np.array([5000.0])
    end = always_valid(rows=rows, planned=planned, alpha=ALPHA, level=np.array([level]))
    found = always_valid_p(statistic=end, rows=rows, planned=planned, alpha=ALPHA)
    assert found[0] == pytest.approx(level, rel=1e-9)


def test_lan_demets_bounds_of_five_even_looks() -> None:
    """The O'Brien-Fleming type of Lan and DeMets, two-sided 0.05, as tables print it."""
    found = lan_demets(information=(0.2, 0.4, 0.6, 0.8, 1.0), alpha=0.05)
    assert found == pytest.approx((4.8769, 3.3570, 2.6803, 2.2898, 2.0310), abs=5e-5)


def test_one_look_at_the_end_is_the_fixed_test() -> None:
    assert lan_demets(information=(1.0,), alpha=0.05) == pytest.approx((1.959963984540054,))


def test_a_path_without_effect_crosses_with_alpha() -> None:
    shares = (0.15, 0.5, 0.6, 1.0)
    bounds = lan_demets(information=shares, alpha=0.05)
    steps = np.sqrt(np.diff((0.0, *shares)))
    score = (np.random.default_rng(1).normal(size=(400_000, 4)) * steps).cumsum(axis=1)
    crossed = (np.abs(score / np.sqrt(shares)) > bounds).any(axis=1).mean()
    assert crossed == pytest.approx(0.05, abs=4 * np.sqrt(0.05 * 0.95 / 400_000))


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.0, 1.0), (0.5, 1.2)])
def test_information_must_increase(shares: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="must increase"):
        lan_demets(information=shares, alpha=0.05)


FAMILY = np.zeros(5, dtype=np.int64)
P = np.array([0.03, 0.001, 0.3, 0.01, 0.04])


def test_holm_and_benjamini_hochberg_of_a_textbook_family() -> None:
    assert holm(P, FAMILY) == pytest.approx([0.09, 0.005, 0.3, 0.04, 0.09])
    assert benjamini_hochberg(P, FAMILY) == pytest.approx([0.05, 0.005, 0.3, 0.025, 0.05])


def test_strong_results_keep_their_order() -> None:
    p = np.array([9e-19, 1e-300, 2e-19, 5e-324])
    found = holm(p, np.zeros(4, dtype=np.int64))
    assert found.argsort().tolist() == [3, 1, 2, 0]
    assert found[1] == pytest.approx(3e-300, rel=1e-12)


def test_families_do_not_touch_and_missing_values_take_no_part() -> None:
    family = np.array([1, 0, 1, 0, 1], dtype=np.int64)
    p = np.array([0.02, 0.04, np.nan, 0.03, 0.5])
    assert holm(p, family) == pytest.approx([0.04, 0.06, np.nan, 0.06, 0.5], nan_ok=True)
    wanted = [0.04, 0.04, np.nan, 0.04, 0.5]
    assert benjamini_hochberg(p, family) == pytest.approx(wanted, nan_ok=True)
    assert holm(np.full(2, np.nan), FAMILY[:2]) == pytest.approx([np.nan] * 2, nan_ok=True)


def test_adjusted_p_equals_the_definition_on_random_families() -> None:
    rng = np.random.default_rng(2)
    family = rng.integers(0, 40, 500)
    p = rng.random(500) ** 3
    stepped, false_discovery = holm(p, family), benjamini_hochberg(p, family)
    for number in range(40):
        members = np.flatnonzero(family == number)
        ordered = members[np.argsort(p[members])]
        size, so_far = len(ordered), 0.0
        for rank, member in enumerate(ordered):
            so_far = max(so_far, min(1.0, (size - rank) * p[member]))
            assert stepped[member] == so_far
            later = [size / (k + 1) * p[ordered[k]] for k in range(rank, size)]
            assert false_discovery[member] == pytest.approx(min(1.0, *later), rel=1e-14)


def test_an_interval_at_the_level_of_holm_agrees_with_holm() -> None:
    rng = np.random.default_rng(3)
    family = rng.integers(0, 300, 1000)
    p = rng.random(1000) ** 4
    level = holm_level(p, family, alpha=np.full(1000, 0.05))
    assert ((p <= level) == (holm(p, family) <= 0.05)).all()
    assert set(np.round(0.05 / level).astype(int)) >= {1, 2, 3}
