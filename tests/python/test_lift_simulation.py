"""Error rates and coverage by simulation: `make test-simulation`.

Each bound is the nominal rate with room for the simulation's own error, or the rate that the design
is known to give. Moments come from plain sums over simulated units.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from lift_cases import Numbers
from throughline.lift import kernel
from throughline.lift.kernel import Contrast
from throughline.lift.moments import VARIABLES, Arm
from throughline.lift.sequential import always_valid

pytestmark = pytest.mark.simulation

Draw = Callable[[int], dict[str, Numbers]]


def arms(data: dict[str, Numbers], cluster_size: int = 1) -> Arm:
    """Arms of replicates, from arrays of shape (replicates, units) per variable."""
    names = list(data)
    values = np.stack([data[name] for name in names], axis=-1)
    replicates, units, _ = values.shape
    mean = values.mean(axis=1)
    rows = (values - mean[:, None]).reshape(replicates, -1, cluster_size, len(names)).sum(axis=2)
    places = [VARIABLES.index(name) for name in names]
    means, scatter = np.zeros((replicates, 6)), np.zeros((replicates, 6, 6))
    means[:, places] = mean
    scatter[:, np.array(places)[:, None], places] = np.matmul(rows.swapaxes(1, 2), rows)
    count = np.full(replicates, float(units))
    return Arm(count / cluster_size, count, means, scatter, np.zeros_like(means))


def contrasts(
    control: Draw,
    treatment: Draw,
    estimator: Callable[[Arm, Arm], Contrast],
    *,
    replicates: int,
    cluster_size: int = 1,
    batch: int = 500,
) -> Contrast:
    parts = [
        estimator(arms(control(batch), cluster_size), arms(treatment(batch), cluster_size))
        for _ in range(replicates // batch)
    ]
    names = Contrast.__dataclass_fields__
    return Contrast(**{name: np.concatenate([getattr(p, name) for p in parts]) for name in names})


def mean_contrast(control: Arm, treatment: Arm) -> Contrast:
    return kernel.unadjusted(control, treatment, is_ratio=np.zeros(len(control.mean), dtype=bool))


def ratio_contrast(control: Arm, treatment: Arm) -> Contrast:
    return kernel.unadjusted(control, treatment, is_ratio=np.ones(len(control.mean), dtype=bool))


def cuped_mean(control: Arm, treatment: Arm) -> Contrast:
    return kernel.cuped(control, treatment, is_ratio=np.zeros(len(control.mean), dtype=bool))


def cuped_ratio(control: Arm, treatment: Arm) -> Contrast:
    return kernel.cuped(control, treatment, is_ratio=np.ones(len(control.mean), dtype=bool))


def lin_mean(control: Arm, treatment: Arm) -> Contrast:
    return kernel.lin(control, treatment, is_ratio=np.zeros(len(control.mean), dtype=bool))


def did_mean(control: Arm, treatment: Arm) -> Contrast:
    flags = np.zeros(len(control.mean), dtype=bool)
    return kernel.difference_in_differences(control, treatment, is_ratio=flags)


def covers(contrast: Contrast, truth: float) -> float:
    critical = kernel.quantile(contrast.degrees_of_freedom, tail=0.025)
    return float((np.abs(contrast.delta - truth) <= critical * contrast.std_error).mean())


def revenue(rng: np.random.Generator, shape: tuple[int, int], scale: float = 1.0) -> Numbers:
    """Zero for seven in ten, else lognormal with log standard deviation 1."""
    values = scale * np.exp(rng.standard_normal(shape))
    return np.where(rng.random(shape) < 0.3, values, 0.0)


def test_relative_intervals_of_few_skewed_units_cover() -> None:
    rng = np.random.default_rng(1)
    found = contrasts(
        lambda size: {"y": revenue(rng, (size, 200))},
        lambda size: {"y": revenue(rng, (size, 200), 1.2)},
        mean_contrast,
        replicates=20_000,
        batch=2_000,
    )
    critical = kernel.quantile(found.degrees_of_freedom, tail=0.025)
    lift, low, high = kernel.relative(found, critical=critical)
    # A few samples bound nothing; they count as misses.
    assert np.isnan(lift).mean() < 0.001
    assert 0.949 <= ((low <= 0.2) & (high >= 0.2)).mean() <= 0.963


def test_non_inferiority_has_its_size_at_an_uneven_split() -> None:
    """At the edge of a relative margin of 20 %, coefficient of variation 3, split 5 : 95."""
    rng = np.random.default_rng(2)
    n, margin, draws = (1_000, 19_000), 0.2, 40_000
    deviation = 3.0
    level = (1.0, 1.0 - margin)
    # Means and variances of normal units, drawn from their own distributions.
    drawn = []
    for units, mean in zip(n, level, strict=True):
        means, scatter = np.zeros((draws, 6)), np.zeros((draws, 6, 6))
        means[:, 0] = rng.normal(mean, deviation / np.sqrt(units), draws)
        scatter[:, 0, 0] = deviation**2 * rng.chisquare(units - 1, draws)
        count = np.full(draws, float(units))
        drawn.append(Arm(count, count, means, scatter, np.zeros_like(means)))
    found = kernel.oriented(mean_contrast(*drawn), sign=1.0)
    p = kernel.non_inferiority_p(
        found, margin=np.full(draws, margin), is_relative=np.ones(draws, dtype=bool)
    )
    assert 0.0455 <= (p < 0.05).mean() <= 0.0545


def test_sixty_peeks_do_not_raise_the_error_rate() -> None:
    rng = np.random.default_rng(3)
    replicates, looks, per_look = 4_000, 60, 42
    planned, alpha = np.full(replicates, 5_000.0), np.full(replicates, 0.05)
    sums = {arm: np.zeros((replicates, 2)) for arm in ("control", "treatment")}
    naive, sequential = np.zeros((2, replicates), dtype=bool)
    for look in range(1, looks + 1):
        count = np.full(replicates, float(look * per_look))
        made = []
        for total in sums.values():
            y = rng.lognormal(0, 1, (replicates, per_look))
            total += np.stack([y.sum(axis=1), (y**2).sum(axis=1)], axis=1)
            means, scatter = np.zeros((replicates, 6)), np.zeros((replicates, 6, 6))
            means[:, 0] = total[:, 0] / count
            scatter[:, 0, 0] = total[:, 1] - count * means[:, 0] ** 2
            made.append(Arm(count, count, means, scatter, np.zeros_like(means)))
        found = mean_contrast(*made)
        statistic = np.abs(found.delta) / found.std_error
        naive |= kernel.two_sided_p(statistic, found.degrees_of_freedom) < 0.05
        sequential |= statistic > always_valid(rows=2 * count, planned=planned, alpha=alpha)
    assert naive.mean() > 0.28
    assert sequential.mean() <= 0.03


def test_intervals_of_means_cover() -> None:
    rng = np.random.default_rng(4)
    found = contrasts(
        lambda size: {"y": revenue(rng, (size, 500))},
        lambda size: {"y": revenue(rng, (size, 800), 1.2)},
        mean_contrast,
        replicates=12_000,
    )
    assert 0.94 <= covers(found, 0.3 * 0.2 * np.exp(0.5)) <= 0.96


def sessions(rng: np.random.Generator, size: int, per_session: float) -> dict[str, Numbers]:
    """Users with a lasting taste: sessions d and revenue y, with twins w and x before."""
    shape = (size, 500)
    taste, habit = rng.normal(0, 0.5, (2, *shape))
    data = {}
    for number, amount, level in (("d", "y", per_session), ("w", "x", 1.0)):
        count = 1.0 + rng.poisson(np.exp(0.5 + habit))
        data[number] = count
        data[amount] = level * count * np.exp(taste) + rng.normal(0, 1, shape)
    return data


@pytest.mark.parametrize("estimator", [ratio_contrast, cuped_ratio])
def test_intervals_of_ratios_cover(estimator: Callable[[Arm, Arm], Contrast]) -> None:
    rng = np.random.default_rng(5)
    found = contrasts(
        lambda size: sessions(rng, size, 1.0),
        lambda size: sessions(rng, size, 1.1),
        estimator,
        replicates=12_000,
    )
    assert 0.94 <= covers(found, 0.1 * np.exp(0.125)) <= 0.96


def history(rng: np.random.Generator, size: int, lift: float) -> dict[str, Numbers]:
    x = rng.gamma(2.0, 1.0, (size, 500))
    return {"y": lift + x + rng.exponential(1.0, (size, 500)), "x": x}


@pytest.mark.parametrize("estimator", [cuped_mean, lin_mean, did_mean])
def test_intervals_with_a_covariate_cover(estimator: Callable[[Arm, Arm], Contrast]) -> None:
    rng = np.random.default_rng(6)
    found = contrasts(
        lambda size: history(rng, size, 0.0),
        lambda size: history(rng, size, 0.2),
        estimator,
        replicates=12_000,
    )
    assert 0.94 <= covers(found, 0.2) <= 0.96
    # And the adjustment is worth having: the plain error has variance 3 instead of 1 per unit.
    assert found.std_error.mean() == pytest.approx(np.sqrt(2 / 500), rel=0.02)


def test_clustered_intervals_cover_where_naive_ones_do_not() -> None:
    rng = np.random.default_rng(7)

    def draw(size: int) -> dict[str, Numbers]:
        shared = rng.normal(0, 1, (size, 125, 1))
        return {"y": (shared + rng.normal(0, 1, (size, 125, 4))).reshape(size, 500)}

    by_cluster = contrasts(draw, draw, mean_contrast, replicates=12_000, cluster_size=4)
    assert 0.94 <= covers(by_cluster, 0.0) <= 0.96
    naive = contrasts(draw, draw, mean_contrast, replicates=4_000)
    assert covers(naive, 0.0) < 0.85


def test_effects_per_uptake_cover() -> None:
    rng = np.random.default_rng(8)

    def draw(size: int, uptake: float) -> dict[str, Numbers]:
        confounder = rng.normal(0, 1, (size, 500))
        d = (rng.random((size, 500)) < uptake + 0.1 * (confounder > 0)).astype(float)
        return {"y": 2 * d + confounder + rng.normal(0, 1, (size, 500)), "d": d}

    found = contrasts(
        lambda size: draw(size, 0.1),
        lambda size: draw(size, 0.2),
        kernel.instrument,
        replicates=12_000,
    )
    critical = kernel.quantile(found.degrees_of_freedom, tail=0.025)
    # The set holds 2 where y - 2 d does not differ, however weak the offer.
    value, error = kernel.linear(found, delta=1.0, base=-2.0)
    inside = np.abs(value) <= critical * error
    found_set = kernel.fieller(found, critical=critical)
    between = (found_set.low <= 2) & (found_set.high >= 2)
    by_set = np.select(
        [found_set.shape == "interval", found_set.shape == "line"], [between, True], ~between
    )
    assert (by_set == inside).all()
    assert 0.94 <= by_set.mean() <= 0.96
