"""Estimators against exact arithmetic, published answers and the faults of other engines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
import pytest

from lift_cases import MEAN, RATIO, WORKED, Numbers, arms_of, moments_row, raw_row, worked_row
from throughline.lift import kernel
from throughline.lift.kernel import Contrast
from throughline.lift.moments import Arm, W, X

mpmath.mp.dps = 40
Y_, D_, X_, W_ = range(4)


class Exact:
    """Mean and scatter of an arm of the worked case, in fractions."""

    def __init__(self, variant: str) -> None:
        sums = WORKED[variant]
        self.n = sums["n"]
        self.mean = [Fraction(sums[name], self.n) for name in "ydxw"]
        self.scatter = [
            [
                Fraction(sums[min(a + b, b + a, key=lambda pair: pair not in sums)])
                - Fraction(sums[a] * sums[b], self.n)
                for b in "ydxw"
            ]
            for a in "ydxw"
        ]

    def variance(self, gradient: Sequence[Fraction]) -> Fraction:
        return Fraction(form(gradient, self.scatter, gradient) / (self.n - 1) / self.n)


def form(one: Sequence[Fraction], matrix: list[list[Fraction]], two: Sequence[Fraction]) -> Any:
    return sum(one[i] * matrix[i][j] * two[j] for i in range(4) for j in range(4))


def of_ratio(mean: Sequence[Fraction], top: int, bottom: int) -> list[Fraction]:
    gradient = [Fraction(0)] * 4
    gradient[top] = 1 / mean[bottom]
    gradient[bottom] = -mean[top] / mean[bottom] ** 2
    return gradient


def unit(place: int) -> list[Fraction]:
    return [Fraction(int(place == other)) for other in range(4)]


def real(value: Fraction) -> Any:
    return mpmath.mpf(value.numerator) / value.denominator


def exact_p(statistic: Any, freedom: Any) -> Any:
    x = freedom / (freedom + statistic**2)
    return mpmath.betainc(freedom / 2, mpmath.mpf(1) / 2, 0, x, regularized=True)


def exact_quantile(freedom: Any, p: float = 0.05) -> Any:
    return mpmath.findroot(lambda t: exact_p(t, freedom) - mpmath.mpf(str(p)), 1.96)


def exact_test(variances: Sequence[Fraction], delta: Fraction, n: Sequence[int]) -> Any:
    """Standard error, degrees of freedom, p and half-width from the variance of each arm."""
    control, treatment = variances
    freedom = real(
        (control + treatment) ** 2 / (control**2 / (n[0] - 1) + treatment**2 / (n[1] - 1))
    )
    error = mpmath.sqrt(real(control + treatment))
    p = exact_p(real(delta) / error, freedom)
    return error, freedom, p, exact_quantile(freedom) * error


def read(contrast: Contrast) -> tuple[float, ...]:
    """Effect, standard error, degrees of freedom, p and half-width of the one comparison."""
    statistic = contrast.delta / contrast.std_error
    half = kernel.quantile(contrast.degrees_of_freedom, tail=0.025) * contrast.std_error
    p = kernel.two_sided_p(statistic, contrast.degrees_of_freedom)
    numbers = (contrast.delta, contrast.std_error, contrast.degrees_of_freedom, p, half)
    return tuple(float(value[0]) for value in numbers)


def relative(contrast: Contrast) -> tuple[float, ...]:
    critical = kernel.quantile(contrast.degrees_of_freedom, tail=0.025)
    return tuple(float(value[0]) for value in kernel.relative(contrast, critical=critical))


@pytest.fixture
def arms() -> tuple[Arm, Arm]:
    return arms_of(worked_row("control"), worked_row("treatment"))


@pytest.fixture
def exact() -> tuple[Exact, Exact]:
    return Exact("control"), Exact("treatment")


def joint_theta(c: Exact, t: Exact) -> Fraction:
    """Slope of the linearised ratios over both arms, their difference in means included."""
    total = c.n + t.n
    mean = [(c.n * one + t.n * two) / total for one, two in zip(c.mean, t.mean, strict=True)]
    gap = [two - one for one, two in zip(c.mean, t.mean, strict=True)]
    scatter = [
        [c.scatter[i][j] + t.scatter[i][j] + gap[i] * gap[j] * c.n * t.n / total for j in range(4)]
        for i in range(4)
    ]
    y, x = of_ratio(mean, Y_, D_), of_ratio(mean, X_, W_)
    return Fraction(form(y, scatter, x) / form(x, scatter, x))


def minus(one: Sequence[Fraction], two: Sequence[Fraction], factor: Fraction) -> list[Fraction]:
    return [a - factor * b for a, b in zip(one, two, strict=True)]


# effect, se, degrees of freedom, p, low, high as printed by independent engines
PRINTED = {
    "mean": (
        89.6671428571, 41.4320144043, 4067.20740839, 0.0305070618751, 8.43771378586, 170.896571928,
    ),
    "ratio": (
        20.9248567523, 7.26687751084, 4082.26105821, 0.00400399075003, 6.67781441397, 35.1718990906,
    ),
    "cuped": (
        77.8550596745, 22.9021371378, 4074.09558303, 0.000681659186448, 32.9543563252,
        122.755763024,
    ),
    "ratio_cuped": (
        20.6535768733, 3.2135694891, 4091.42729555, 1.45076755832e-10, 14.3532325949, 26.9539211518,
    ),
}  # fmt: skip
ESTIMATORS: dict[str, tuple[Callable[..., Contrast], Any]] = {
    "mean": (kernel.unadjusted, MEAN),
    "ratio": (kernel.unadjusted, RATIO),
    "cuped": (kernel.cuped, MEAN),
    "ratio_cuped": (kernel.cuped, RATIO),
}


@pytest.mark.parametrize("name", PRINTED)
def test_worked_case_has_every_printed_digit(name: str, arms: tuple[Arm, Arm]) -> None:
    estimator, is_ratio = ESTIMATORS[name]
    effect, error, freedom, p, half = read(estimator(*arms, is_ratio=is_ratio))
    found = (effect, error, freedom, p, effect - half, effect + half)
    assert found == pytest.approx(PRINTED[name], rel=1e-11)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_worked_case_equals_exact_arithmetic(
    name: str, arms: tuple[Arm, Arm], exact: tuple[Exact, Exact]
) -> None:
    c, t = exact
    if name == "mean":
        gradients = [unit(Y_), unit(Y_)]
        delta = t.mean[Y_] - c.mean[Y_]
    elif name == "cuped":
        theta = (c.scatter[0][2] + t.scatter[0][2]) / (c.scatter[2][2] + t.scatter[2][2])
        gradients = [minus(unit(Y_), unit(X_), theta)] * 2
        delta = t.mean[Y_] - c.mean[Y_] - theta * (t.mean[X_] - c.mean[X_])
    else:
        theta = joint_theta(c, t) if name == "ratio_cuped" else Fraction(0)
        gradients = [
            minus(of_ratio(arm.mean, Y_, D_), of_ratio(arm.mean, X_, W_), theta) for arm in exact
        ]
        levels = [
            arm.mean[Y_] / arm.mean[D_] - theta * arm.mean[X_] / arm.mean[W_] for arm in exact
        ]
        delta = levels[1] - levels[0]
    variances = [arm.variance(g) for arm, g in zip(exact, gradients, strict=True)]
    error, freedom, p, half = exact_test(variances, delta, (c.n, t.n))
    estimator, is_ratio = ESTIMATORS[name]
    found = read(estimator(*arms, is_ratio=is_ratio))
    wanted = (real(delta), error, freedom, p, half)
    assert found == pytest.approx([float(value) for value in wanted], rel=1e-9)


def test_fieller_interval_of_the_worked_case(
    arms: tuple[Arm, Arm], exact: tuple[Exact, Exact]
) -> None:
    lift, low, high = relative(kernel.unadjusted(*arms, is_ratio=MEAN))
    assert (lift, low, high) == pytest.approx((0.0941644363, 0.008536602, 0.186890261), abs=5e-10)
    # The ends are where treatment - (1 + r) control is exactly the critical value from zero.
    c, t = exact
    variances = [arm.variance(unit(Y_)) for arm in exact]
    _, freedom, _, _ = exact_test(variances, t.mean[Y_] - c.mean[Y_], (c.n, t.n))
    critical = exact_quantile(freedom)
    for end in (low, high):
        r = mpmath.mpf(end)
        gap = real(t.mean[Y_]) - (1 + r) * real(c.mean[Y_])
        error = mpmath.sqrt(real(variances[1]) + (1 + r) ** 2 * real(variances[0]))
        assert float(abs(gap / error) / critical) == pytest.approx(1, rel=1e-9)


def test_relative_cuped_divides_by_the_control_level_at_the_pooled_covariate(
    arms: tuple[Arm, Arm],
) -> None:
    found = relative(kernel.cuped(*arms, is_ratio=MEAN))
    assert found == pytest.approx((0.0812437282, 0.0338218659, 0.1305073896), abs=5e-11)


@pytest.mark.parametrize(
    ("covariates", "effect", "error"),
    [((X,), 77.8599139743, 22.68564333), ((X, W), 85.350999610, 20.52179880)],
)
def test_lin_with_classical_errors(
    covariates: tuple[int, ...],
    effect: float,
    error: float,
    arms: tuple[Arm, Arm],
    exact: tuple[Exact, Exact],
) -> None:
    found = kernel.lin(*arms, is_ratio=MEAN, covariates=covariates)
    assert float(found.delta[0]) == pytest.approx(effect, abs=5e-10)
    assert float(found.std_error[0]) == pytest.approx(error, abs=5e-9)
    # The same by regression in exact fractions.
    places = [{X: X_, W: W_}[covariate] for covariate in covariates]
    total = sum(arm.n for arm in exact)
    levels, variance = [], Fraction(0)
    for arm in exact:
        pooled = [sum(other.n * other.mean[k] for other in exact) / Fraction(total) for k in places]
        gap = [arm.mean[k] - mean for k, mean in zip(places, pooled, strict=True)]
        s = [[arm.scatter[i][j] for j in places] for i in places]
        sy = [arm.scatter[0][i] for i in places]
        slopes, lever = solve(s, sy), solve(s, gap)
        explained = sum((b * v for b, v in zip(slopes, sy, strict=True)), Fraction(0))
        residual = arm.scatter[0][0] - explained
        height = sum((a * b for a, b in zip(lever, gap, strict=True)), Fraction(0))
        levels.append(arm.mean[0] - sum(b * g for b, g in zip(slopes, gap, strict=True)))
        variance += residual / (arm.n - 1 - len(places)) * (Fraction(1, arm.n) + height)
    assert float(found.delta[0]) == pytest.approx(float(levels[1] - levels[0]), rel=1e-9)
    wanted = float(mpmath.sqrt(real(variance)))
    assert float(found.std_error[0]) == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize("estimator", [kernel.lin, kernel.cuped])
@pytest.mark.parametrize("side", [0, 1])
def test_a_covariate_that_varies_by_rounding_alone_is_none(
    estimator: Callable[..., Contrast], side: int
) -> None:
    """Sums of equal tenths leave some 1e-17, and an effect of it if it is read as variance."""
    rng = np.random.default_rng(11)
    x = [rng.normal(size=23), rng.normal(size=23)]
    x[side] = np.full(19, 0.7)
    y = [rng.normal(size=len(values)) for values in x]

    def contrast(constant: float) -> Contrast:
        pairs = zip(y, x, strict=True)
        rows = [raw_row({"y": one, "x": two}, constants={"x": constant}) for one, two in pairs]
        return estimator(*arms_of(*rows), is_ratio=MEAN)

    clean = contrast(0.7)
    for constant in rng.uniform(0, 1.4, size=50):
        found = contrast(constant)
        assert float(found.std_error[0]) == pytest.approx(float(clean.std_error[0]), rel=1e-9)
        assert float(found.delta[0]) == pytest.approx(float(clean.delta[0]), rel=1e-9)


def solve(matrix: list[list[Fraction]], right: list[Fraction]) -> list[Fraction]:
    """Cramer's rule for one or two unknowns."""
    if len(right) == 1:
        return [right[0] / matrix[0][0]]
    (a, b), (c, d) = matrix
    return [
        (d * right[0] - b * right[1]) / (a * d - b * c),
        (a * right[1] - c * right[0]) / (a * d - b * c),
    ]


def household(h: int, s: int, n: int, ss: int, nn: int, sn: int) -> dict[str, Any]:
    return moments_row(n_rows=h, n_units=n, s_y=s, s_mm=nn, s_my=sn, s_yy=ss)


def test_voters_in_households_need_six_sums_per_arm() -> None:
    """Gerber, Green, Larimer (2008): 0.081 with a standard error of 0.003."""
    found = kernel.unadjusted(
        *arms_of(
            household(99999, 56730, 191243, 97646, 417611, 120807),
            household(20000, 14438, 38201, 25296, 83575, 30650),
        ),
        is_ratio=MEAN,
    )
    assert float(found.delta[0]) == pytest.approx(0.0813099, abs=5e-8)
    assert float(found.std_error[0]) == pytest.approx(0.0033696, abs=5e-8)


def test_clusters_of_one_unit_are_units() -> None:
    rng = np.random.default_rng(5)
    rows = []
    for shift in (0.0, 0.3):
        data = {name: rng.normal(3 + shift, 1, 80) for name in "ydx"}
        plain = raw_row(data)
        alone = raw_row(data, cluster=np.arange(80))
        assert plain == {**alone, "n_unclustered": 80}
        rows.append(plain)
    found = kernel.unadjusted(*arms_of(*rows), is_ratio=RATIO)
    assert np.isfinite(found.std_error).all()


def test_clustered_errors_equal_those_of_a_regression_with_cluster_sums() -> None:
    """The sandwich over clusters of the difference in means, G / (G - 1) per arm, by hand."""
    rng = np.random.default_rng(6)
    rows, mean, variance = [], [], []
    for shift in (0.0, 0.4):
        size = rng.integers(1, 6, 60)
        cluster = np.repeat(np.arange(60), size)
        y = shift + rng.normal(0, 1, 60)[cluster] + rng.normal(0, 1, len(cluster))
        rows.append(raw_row({"y": y}, cluster=cluster, constants={"y": 0.25}))
        residual = np.bincount(cluster, weights=y - y.mean())
        mean.append(y.mean())
        variance.append(60 / 59 * (residual**2).sum() / len(y) ** 2)
    found = kernel.unadjusted(*arms_of(*rows), is_ratio=MEAN)
    assert float(found.delta[0]) == pytest.approx(mean[1] - mean[0], rel=1e-12)
    assert float(found.std_error[0]) == pytest.approx(np.sqrt(sum(variance)), rel=1e-12)


def normal_row(n: int, mean: float, sd: float) -> dict[str, Any]:
    """Moments about zero of n units with the given sample mean and standard deviation."""
    square = (n - 1) * sd**2 + n * mean**2
    s = n * mean
    return moments_row(n_rows=n, n_units=n, s_mm=n, s_y=s, s_my=s, s_yy=square)


def test_a_fall_of_a_negative_level_is_negative() -> None:
    fall = kernel.unadjusted(
        *arms_of(normal_row(1000, -10, 2), normal_row(1000, -12, 2)), is_ratio=MEAN
    )
    lift, low, high = relative(fall)
    assert lift == pytest.approx(-0.2)
    assert low < lift < high < 0


def test_a_change_of_sign_keeps_the_interval_in_order() -> None:
    turn = kernel.unadjusted(
        *arms_of(normal_row(1000, 5, 2), normal_row(1000, -1, 2)), is_ratio=MEAN
    )
    lift, low, high = relative(turn)
    assert low < lift < high < 0


def test_a_control_level_of_zero_leaves_the_absolute_test() -> None:
    zero = kernel.unadjusted(
        *arms_of(normal_row(500, 0, 1), normal_row(500, 0.2, 1.5)), is_ratio=MEAN
    )
    _, error, _, p, _ = read(zero)
    assert error == pytest.approx(np.sqrt((1 + 2.25) / 500))
    assert 0.01 < p < 0.02
    assert np.isnan(relative(zero)).all()


def test_relative_and_absolute_tests_never_disagree() -> None:
    rng = np.random.default_rng(8)
    contrast = random_contrasts(rng, 20_000)
    critical = kernel.quantile(contrast.degrees_of_freedom, tail=0.025)
    lift, low, high = kernel.relative(contrast, critical=critical)
    defined = ~np.isnan(lift)
    absolute = np.abs(contrast.delta) > critical * contrast.std_error
    assert 1_000 < defined.sum() < 20_000
    assert ((low > 0) | (high < 0))[defined].tolist() == absolute[defined].tolist()
    assert (low <= high)[defined].all()


def random_contrasts(rng: np.random.Generator, n: int) -> Contrast:
    var_delta, var_base = rng.uniform(0.1, 4, (2, n))
    covariance = rng.uniform(-0.99, 0.99, n) * np.sqrt(var_delta * var_base)
    freedom = rng.uniform(5, 5000, n)
    delta, base = rng.normal(0, 3, n), rng.normal(0, 6, n)
    return Contrast(delta, base, var_delta, var_base, covariance, freedom)


def test_fieller_sets_hold_just_the_ratios_that_are_not_rejected() -> None:
    rng = np.random.default_rng(9)
    contrast = random_contrasts(rng, 5_000)
    critical = np.full(5_000, 2.0)
    found = kernel.fieller(contrast, critical=critical)
    assert set(found.shape) == {"interval", "complement", "line"}
    for ratio in rng.normal(0, 2, 40):
        value, error = kernel.linear(contrast, delta=1.0, base=-ratio)
        kept = np.abs(value) <= critical * error
        between = (found.low <= ratio) & (ratio <= found.high)
        wanted = np.select(
            [found.shape == "interval", found.shape == "line"], [between, True], default=~between
        )
        assert (kept == wanted).all()


def test_turning_mirrors_the_interval_and_keeps_what_is_rejected() -> None:
    contrast = random_contrasts(np.random.default_rng(18), 2_000)
    critical = np.full(2_000, 1.5)
    up, down = (kernel.oriented(contrast, sign=sign) for sign in (1.0, -1.0))
    above, below = (kernel.fieller(turned, critical=critical) for turned in (up, down))
    bounded = above.shape == "interval"
    assert bounded.sum() > 500
    assert above.low[bounded] == pytest.approx(-below.high[bounded], rel=1e-9)
    # A relative change of r is one of r |base|, also below zero.
    for end in (above.low, above.high):
        sized = end * np.where(contrast.base < 0, -1.0, 1.0)
        value, error = kernel.linear(contrast, delta=1.0, base=-sized)
        assert np.abs(value / error)[bounded] == pytest.approx(1.5, rel=1e-6)


@pytest.mark.parametrize(
    ("statistic", "freedom"), [(9.0, 30.0), (9.0, 4000.0), (30.0, 500.0), (37.0, 1e6)]
)
def test_far_tails_keep_their_digits(statistic: float, freedom: float) -> None:
    found = kernel.two_sided_p(np.array([statistic]), np.array([freedom]))[0]
    wanted = exact_p(mpmath.mpf(statistic), mpmath.mpf(freedom))
    assert found > 0
    assert float(abs(found / wanted - 1)) < 1e-12


def test_normal_tail_at_nine() -> None:
    offset = np.array([9.0])
    assert 2 * kernel.chance_to_win(-offset, np.ones(1))[0] == pytest.approx(
        2.2571768119076845e-19, rel=1e-12
    )


def test_non_inferiority_counts_the_noise_of_the_control(arms: tuple[Arm, Arm]) -> None:
    contrast = kernel.unadjusted(*arms, is_ratio=MEAN)
    margin, is_relative = np.array([0.02]), np.array([True])
    p = kernel.non_inferiority_p(contrast, margin=margin, is_relative=is_relative)[0]
    assert p == pytest.approx(0.004073052, abs=5e-10)
    # The bound of the relative lift exceeds -margin just where the test rejects.
    critical = kernel.quantile(contrast.degrees_of_freedom, tail=p)
    low = kernel.fieller(contrast, critical=critical).low[0]
    assert low == pytest.approx(-0.02, rel=1e-9)


def test_absolute_margins_shift_the_effect(arms: tuple[Arm, Arm]) -> None:
    contrast = kernel.unadjusted(*arms, is_ratio=MEAN)
    p = kernel.non_inferiority_p(contrast, margin=np.array([10.0]), is_relative=np.array([False]))
    wanted = exact_p(
        mpmath.mpf(float((contrast.delta[0] + 10) / contrast.std_error[0])),
        mpmath.mpf(float(contrast.degrees_of_freedom[0])),
    )
    assert p[0] == pytest.approx(float(wanted / 2), rel=1e-9)


def test_readings_with_a_flat_prior(arms: tuple[Arm, Arm]) -> None:
    contrast = kernel.unadjusted(*arms, is_ratio=MEAN)
    chance = kernel.chance_to_win(contrast.delta, contrast.std_error)
    assert chance[0] == pytest.approx(0.9847754773, abs=5e-11)
    loss = kernel.expected_loss(contrast.delta, contrast.std_error)
    mean, error = float(contrast.delta[0]), float(contrast.std_error[0])
    wanted = mpmath.quad(lambda v: -v * mpmath.npdf(v, mean, error), [-20 * error, 0])
    assert loss[0] == pytest.approx(float(wanted), rel=1e-9)


def test_difference_in_differences_is_the_difference_of_changes() -> None:
    rng = np.random.default_rng(10)
    rows, mean, variance = [], [], []
    for shift in (0.0, 2.0):
        x = rng.normal(20, 5, 70)
        y = x + shift + rng.normal(1, 2, 70)
        rows.append(raw_row({"y": y, "x": x}, constants={"y": 16, "x": 16}))
        mean.append((y - x).mean())
        variance.append((y - x).var(ddof=1) / 70)
    found = kernel.difference_in_differences(*arms_of(*rows), is_ratio=MEAN)
    assert float(found.delta[0]) == pytest.approx(mean[1] - mean[0], rel=1e-12)
    assert float(found.std_error[0]) == pytest.approx(np.sqrt(sum(variance)), rel=1e-10)


def test_pre_trends_compare_the_halves_of_the_pre_period() -> None:
    rng = np.random.default_rng(11)

    def row(trend: float) -> dict[str, Any]:
        early, late = rng.normal(5, 1, 400), rng.normal(5 + trend, 1, 400)
        return raw_row({"y": rng.normal(5, 1, 400), "x": early + late, "e": late})

    assert kernel.pre_trend_p(*arms_of(row(0.0), row(0.5)))[0] < 1e-4
    assert kernel.pre_trend_p(*arms_of(row(0.5), row(0.5)))[0] > 0.01


def encouraged(rng: np.random.Generator, uptake: float, n: int = 2000) -> dict[str, Numbers]:
    d = (rng.random(n) < uptake).astype(float)
    return {"y": 3 * d + rng.normal(0, 1, n), "d": d}


def test_wald_is_the_effect_per_uptake() -> None:
    rng = np.random.default_rng(12)
    data = encouraged(rng, 0.2), encouraged(rng, 0.6)
    offer = kernel.instrument(*arms_of(*map(raw_row, data)))
    effect, error, first_stage = (float(value[0]) for value in kernel.wald(offer))
    gap = {name: data[1][name].mean() - data[0][name].mean() for name in "yd"}
    assert effect == pytest.approx(gap["y"] / gap["d"], rel=1e-12)
    residual = [(arm["y"] - effect * arm["d"]).var(ddof=1) / 2000 for arm in data]
    assert error == pytest.approx(np.sqrt(sum(residual)) / gap["d"], rel=1e-9)
    uptake = sum(arm["d"].var(ddof=1) / 2000 for arm in data)
    assert first_stage == pytest.approx(gap["d"] ** 2 / uptake, rel=1e-9)


def test_an_offer_that_lowers_uptake_has_the_same_effect_per_uptake() -> None:
    rng = np.random.default_rng(13)
    few, many = raw_row(encouraged(rng, 0.2)), raw_row(encouraged(rng, 0.6))
    up, down = (kernel.instrument(*arms_of(*rows)) for rows in ((few, many), (many, few)))
    critical = np.array([1.96])
    assert kernel.wald(up)[0] == pytest.approx(kernel.wald(down)[0], rel=1e-12)
    sets = [kernel.fieller(offer, critical=critical) for offer in (up, down)]
    assert sets[0].low == pytest.approx(sets[1].low, rel=1e-9)
    assert sets[0].shape.tolist() == ["interval"]


def test_an_offer_nobody_takes_bounds_nothing() -> None:
    rng = np.random.default_rng(14)
    rows = [raw_row(encouraged(rng, 0.4, 200)) for _ in range(2)]
    found = kernel.fieller(kernel.instrument(*arms_of(*rows)), critical=np.array([1.96]))
    assert found.shape[0] in ("complement", "line")


def test_power_is_reached_at_the_minimum_detectable_effect() -> None:
    factor = kernel.power_factor(alpha=0.05, power=0.8)
    assert factor == pytest.approx(1.959963984540054 + 0.8416212335729143, rel=1e-12)
    rows = kernel.required_rows(
        variance=4.0, effect=0.1, treatment_share=0.25, alpha=0.05, power=0.8
    )
    error = np.sqrt(4 / (0.25 * rows) + 4 / (0.75 * rows))
    assert factor * error == pytest.approx(0.1, rel=1e-3)
    assert factor * error <= 0.1


def test_history_plans_the_size() -> None:
    rng = np.random.default_rng(15)
    y = rng.lognormal(0, 1, 5000)
    arm, _ = arms_of(raw_row({"y": y}), raw_row({"y": y}))
    assert kernel.row_variance(arm, is_ratio=MEAN)[0] == pytest.approx(y.var(ddof=1), rel=1e-10)


def test_sample_ratios() -> None:
    published = kernel.sample_ratio_p([821588, 815482], [0.5, 0.5])
    assert published == pytest.approx(1.8218e-6, abs=5e-11)
    assert kernel.sample_ratio_p([2000, 2100], [1, 1]) == pytest.approx(0.118349812736, abs=5e-13)


def test_an_arm_without_planned_share_takes_no_part_in_the_split() -> None:
    with_stray = kernel.sample_ratio_p([2000, 2100, 50], [0.5, 0.5, 0.0])
    assert with_stray == kernel.sample_ratio_p([2000, 2100], [0.5, 0.5])
    assert np.isnan(kernel.sample_ratio_p([2000, 50], [1.0, 0.0]))


@pytest.mark.parametrize(("first", "second", "share"), [(3, 12, 0.5), (8, 8, 0.5), (2, 30, 0.2)])
def test_small_splits_are_tested_exactly(first: int, second: int, share: float) -> None:
    n, p = first + second, Fraction(str(share))
    chances = [
        Fraction(int(mpmath.binomial(n, k))) * p**k * (1 - p) ** (n - k) for k in range(n + 1)
    ]
    wanted = sum(chance for chance in chances if chance <= chances[first])
    found = kernel.sample_ratio_p([first, second], [share, 1 - share])
    assert found == pytest.approx(float(wanted), rel=1e-10)


def test_cuped_saves_the_squared_correlation(arms: tuple[Arm, Arm]) -> None:
    plain, adjusted = (f(*arms, is_ratio=MEAN) for f in (kernel.unadjusted, kernel.cuped))
    assert 1 - adjusted.var_delta[0] / plain.var_delta[0] == pytest.approx(0.694450, abs=5e-6)


def test_a_covariate_without_variance_changes_nothing() -> None:
    rng = np.random.default_rng(16)
    rows = [raw_row({"y": rng.normal(2, 1, 50), "x": np.zeros(50)}) for _ in range(2)]
    plain = kernel.unadjusted(*arms_of(*rows), is_ratio=MEAN)
    for estimator in (kernel.cuped, kernel.lin):
        adjusted = estimator(*arms_of(*rows), is_ratio=MEAN)
        assert adjusted.delta == pytest.approx(plain.delta, rel=1e-12)
        assert adjusted.std_error == pytest.approx(plain.std_error, rel=1e-12)


@pytest.mark.parametrize("names", ["yd", "ydx"])
def test_a_ratio_without_history_stays_as_it_is(names: str) -> None:
    rng = np.random.default_rng(19)
    rows = [raw_row({name: rng.uniform(1, 2, 50) for name in names}) for _ in range(2)]
    plain = kernel.unadjusted(*arms_of(*rows), is_ratio=RATIO)
    adjusted = kernel.cuped(*arms_of(*rows), is_ratio=RATIO)
    assert adjusted.delta == pytest.approx(plain.delta, rel=1e-12)
    assert adjusted.std_error == pytest.approx(plain.std_error, rel=1e-12)


def test_a_repeated_covariate_is_left_out() -> None:
    rng = np.random.default_rng(17)
    rows = []
    for _ in range(2):
        x = rng.normal(1, 1, 60)
        rows.append(raw_row({"y": x + rng.normal(0, 1, 60), "x": x, "w": 2 * x + 3}))
    one = kernel.lin(*arms_of(*rows), is_ratio=MEAN, covariates=(X,))
    both = kernel.lin(*arms_of(*rows), is_ratio=MEAN, covariates=(X, W))
    assert both.delta == pytest.approx(one.delta, rel=1e-9)
    assert both.std_error == pytest.approx(one.std_error, rel=1e-9)


def with_covariate(seed: int, *, n: int, is_ratio: bool = False, gap: float = 0.0) -> list[Numbers]:
    """An outcome that history and a given covariate explain: columns y, d, x, w, c per arm."""
    rng = np.random.default_rng(seed)
    arms = []
    for effect in (0.0, 0.5):
        d = 1.0 + rng.poisson(2, n) if is_ratio else np.ones(n)
        w = 1.0 + rng.poisson(2, n) if is_ratio else np.ones(n)
        c = rng.normal(5 + gap * effect, 3, n)
        x = (rng.normal(10, 2, n) + 0.3 * c) * w
        y = (4 + effect + 0.5 * x / w + 0.8 * c + rng.normal(0, 1, n)) * d
        arms.append(np.column_stack([y, d, x, w, c]))
    return arms


@pytest.mark.parametrize("is_ratio", [False, True])
def test_cuped_adjusts_by_the_given_covariate_beside_history(is_ratio: bool) -> None:
    raw = with_covariate(3, n=300, is_ratio=is_ratio, gap=0.4)
    names = "ydxwc" if is_ratio else "yxc"
    rows = [raw_row({n: of["ydxwc".index(n)] for n in names}) for of in (arm.T for arm in raw)]
    found = kernel.cuped(*arms_of(*rows), is_ratio=RATIO if is_ratio else MEAN)
    treated = np.repeat([0.0, 1.0], 300)
    y, d, x, w, c = np.concatenate(raw).T
    linear, twin = y, x
    if is_ratio:
        level, before = y.mean() / d.mean(), x.mean() / w.mean()
        linear, twin = (y - level * d) / d.mean(), (x - before * w) / w.mean()
    # of a ratio the slopes are those of both arms as one sample
    effects = [np.ones(600), *([] if is_ratio else [treated])]
    design = np.column_stack([*effects, twin, c])
    slopes = np.linalg.lstsq(design, linear, rcond=None)[0][-2:]
    of_arms, parts = [], []
    for arm in raw:
        y, d, x, w, c = arm.T
        if is_ratio:
            level = y.mean() / d.mean() - slopes[0] * x.mean() / w.mean() - slopes[1] * c.mean()
            own = (y - y.mean() / d.mean() * d) / d.mean()
            own -= slopes[0] * (x - x.mean() / w.mean() * w) / w.mean() + slopes[1] * c
        else:
            own = y - slopes[0] * x - slopes[1] * c
            level = own.mean()
        of_arms.append(level)
        parts.append(own.var(ddof=1) / len(own))
    assert found.delta[0] == pytest.approx(of_arms[1] - of_arms[0], rel=1e-9)
    assert found.var_delta[0] == pytest.approx(sum(parts), rel=1e-9)
    without = [{**row, "s_yc": 0.0, "s_cc": 0.0, "s_xc": 0.0} for row in rows]
    plain = kernel.cuped(*arms_of(*without), is_ratio=RATIO if is_ratio else MEAN)
    assert found.std_error[0] < 0.8 * plain.std_error[0]


def test_a_covariate_that_repeats_history_adds_nothing() -> None:
    raw = with_covariate(4, n=200)
    rows = [raw_row({"y": arm[:, 0], "x": arm[:, 2], "c": 3 * arm[:, 2]}) for arm in raw]
    alone = [raw_row({"y": arm[:, 0], "x": arm[:, 2]}) for arm in raw]
    both, one = (kernel.cuped(*arms_of(*found), is_ratio=MEAN) for found in (rows, alone))
    assert both.delta[0] == pytest.approx(one.delta[0], rel=1e-9)
    assert both.var_delta[0] == pytest.approx(one.var_delta[0], rel=1e-9)


@pytest.mark.parametrize(
    ("control", "treatment", "is_balanced"),
    [
        ([1.0, 2.0, 3.0] * 20, [1.0, 2.0, 3.0] * 20, True),
        ([1.0, 2.0, 3.0] * 20, [3.0, 4.0, 5.0] * 20, False),
        # nothing varies within the arms
        ([0.0] * 60, [1.0] * 60, False),
        ([0.1] * 60, [0.1] * 60, True),
    ],
)
def test_a_given_covariate_is_balanced_or_not(
    control: list[float], treatment: list[float], is_balanced: bool
) -> None:
    y = np.arange(60.0)
    rows = [raw_row({"y": y, "c": np.array(c)}) for c in (control, treatment)]
    (p,) = kernel.balance_p(*arms_of(*rows))
    assert is_balanced == (not p < 0.001)
