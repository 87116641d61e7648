"""Estimators of one comparison, control against treatment, over arrays of comparisons.

Every estimator gives a `Contrast`: the effect, the control level that a relative lift divides by,
and their joint sampling variance. Tests, intervals and bounds read contrasts alone. All arrays have
one entry per comparison, of shape (n,), unless a docstring says otherwise; what cannot be computed
is NaN. Tail probabilities are computed as tails, so they are zero only below the smallest double.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import special

from throughline.lift.moments import NEGLIGIBLE, Arm, Array, C, D, E, W, X, Y

EXACT_BELOW = 1_000
"""Total of two arms up to which their split is tested exactly."""
COLLINEAR = 1e-10
"""Share of its variance below which a covariate says nothing beyond those before it."""

Flags: TypeAlias = NDArray[np.bool_]


@dataclass(frozen=True)
class Contrast:
    """Effect and control level.

    Attributes:
        delta: treatment minus control, in units of the metric.
        base: control level.
        var_delta, var_base, covariance: of the two estimates.
        degrees_of_freedom: Welch-Satterthwaite, of delta.
    """

    delta: Array
    base: Array
    var_delta: Array
    var_base: Array
    covariance: Array
    degrees_of_freedom: Array

    @property
    def std_error(self) -> Array:
        return np.sqrt(self.var_delta)


@dataclass(frozen=True)
class Interval:
    """Confidence set of a ratio: `shape` is interval, complement (all but low to high) or line."""

    low: Array
    high: Array
    shape: NDArray[Any]


@dataclass(frozen=True)
class _Level:
    """A level of each arm, with its gradient in the six means: shapes (n,) and (n, 6)."""

    control: Array
    treatment: Array
    control_gradient: Array
    treatment_gradient: Array


def unadjusted(control: Arm, treatment: Arm, *, is_ratio: Flags) -> Contrast:
    """Difference of means, or of ratios of means by the delta method.

    Clusters need nothing more: the residual y - mean m, summed over a cluster, carries the
    dependence within it. Deng, Knoblich, Lu (2018), Applying the delta method in metric analytics.
    """
    level = _level(control, treatment, numerator=Y, denominator=D, is_ratio=is_ratio)
    return _contrast(
        control,
        treatment,
        delta=level.treatment - level.control,
        base=level.control,
        delta_gradients=(-level.control_gradient, level.treatment_gradient),
        base_gradients=(level.control_gradient, np.zeros_like(level.control_gradient)),
    )


def cuped(control: Arm, treatment: Arm, *, is_ratio: Flags) -> Contrast:
    """Difference adjusted by the pre-period twin and the given covariate, one slope each.

    The slopes are those of both arms together. For a mean they are taken within arms, as in an
    analysis of covariance. For a ratio they are those of the linearised ratios, from the moments of
    both arms taken jointly. What has no variance of its own leaves the difference as it is.
    Deng, Xu, Kohavi, Walker (2013), Improving the sensitivity of online controlled experiments.
    """
    outcome = _level(control, treatment, numerator=Y, denominator=D, is_ratio=is_ratio)
    known = _known_before(control, treatment, is_ratio=is_ratio)
    # The control level at the covariate mean of both arms: the treatment arm takes part in it.
    with np.errstate(divide="ignore", invalid="ignore"):
        share = treatment.unit_count / (control.unit_count + treatment.unit_count)
    gap = known.treatment - known.control
    return _contrast(
        control,
        treatment,
        delta=outcome.treatment - outcome.control - gap,
        base=outcome.control + share * gap,
        delta_gradients=(
            known.control_gradient - outcome.control_gradient,
            outcome.treatment_gradient - known.treatment_gradient,
        ),
        base_gradients=(
            outcome.control_gradient - share[:, None] * known.control_gradient,
            share[:, None] * known.treatment_gradient,
        ),
    )


def lin(
    control: Arm, treatment: Arm, *, is_ratio: Flags, covariates: Sequence[int] = (X, W)
) -> Contrast:
    """Difference of the arms' own regressions on covariates, both read at the pooled means.

    Classical standard errors per arm, with the arm's residual variance over G - 1 - p. A ratio is
    linearised. A covariate without variance of its own in an arm is left out there.
    Lin (2013), Agnostic notes on regression adjustments to experimental data.
    """
    level = _level(control, treatment, numerator=Y, denominator=D, is_ratio=is_ratio)
    chosen = list(covariates)
    units = control.unit_count + treatment.unit_count
    pooled = (
        control.mean[:, chosen] * control.unit_count[:, None]
        + treatment.mean[:, chosen] * treatment.unit_count[:, None]
    ) / units[:, None]
    values, variances, freedoms = [], [], []
    for arm, value, gradient in (
        (control, level.control, level.control_gradient),
        (treatment, level.treatment, level.treatment_gradient),
    ):
        gap = arm.mean[:, chosen] - pooled
        slope, leverage, residual, rank = _regression(arm, gradient, chosen, gap)
        freedom = arm.row_count - 1 - rank
        with np.errstate(divide="ignore", invalid="ignore"):
            spread = np.where(freedom > 0, residual / freedom, np.nan)
            per_row = arm.row_count / arm.unit_count**2
        values.append(value - slope)
        variances.append(spread * (per_row + leverage))
        freedoms.append(freedom)
    return Contrast(
        delta=values[1] - values[0],
        base=values[0],
        var_delta=variances[0] + variances[1],
        var_base=variances[0],
        covariance=-variances[0],
        degrees_of_freedom=_welch(variances, freedoms),
    )


def difference_in_differences(control: Arm, treatment: Arm, *, is_ratio: Flags) -> Contrast:
    """Change from the pre-period twin in the treatment group, beyond that of the control group.

    Post and pre window must be of one length. The base is what the treatment group would have been
    with the change of the control group. Card, Krueger (1994), Minimum wages and employment.
    """
    post = _level(control, treatment, numerator=Y, denominator=D, is_ratio=is_ratio)
    pre = _level(control, treatment, numerator=X, denominator=W, is_ratio=is_ratio)
    return _contrast(
        control,
        treatment,
        delta=(post.treatment - pre.treatment) - (post.control - pre.control),
        base=pre.treatment + post.control - pre.control,
        delta_gradients=(
            pre.control_gradient - post.control_gradient,
            post.treatment_gradient - pre.treatment_gradient,
        ),
        base_gradients=(post.control_gradient - pre.control_gradient, pre.treatment_gradient),
    )


def instrument(control: Arm, treatment: Arm) -> Contrast:
    """Effects of the offer on the outcome (delta) and on uptake (base), jointly.

    Their ratio is the effect of uptake on those whom the offer moves: `wald` reads it. Both are
    turned so that uptake rises. Wald (1940); Imbens, Angrist (1994), Local average treatment
    effects.
    """
    zero = np.zeros(len(control.mean), dtype=bool)
    outcome = _level(control, treatment, numerator=Y, denominator=Y, is_ratio=zero)
    uptake = _level(control, treatment, numerator=D, denominator=D, is_ratio=zero)
    turn = np.where(uptake.treatment < uptake.control, -1.0, 1.0)
    return _contrast(
        control,
        treatment,
        delta=turn * (outcome.treatment - outcome.control),
        base=turn * (uptake.treatment - uptake.control),
        delta_gradients=(-outcome.control_gradient, outcome.treatment_gradient),
        base_gradients=(-uptake.control_gradient, uptake.treatment_gradient),
    )


def wald(offer: Contrast) -> tuple[Array, Array, Array]:
    """Effect per uptake, its delta-method standard error and the F of the first stage."""
    with np.errstate(divide="ignore", invalid="ignore"):
        effect = offer.delta / offer.base
        variance = (
            offer.var_delta - 2 * effect * offer.covariance + effect**2 * offer.var_base
        ) / offer.base**2
        return effect, np.sqrt(np.maximum(variance, 0.0)), offer.base**2 / offer.var_base


def linear(contrast: Contrast, *, delta: Array | float, base: Array | float) -> tuple[Array, Array]:
    """`delta` times the effect plus `base` times the control level, and its standard error."""
    value = delta * contrast.delta + base * contrast.base
    variance = (
        np.square(delta) * contrast.var_delta
        + 2 * delta * base * contrast.covariance
        + np.square(base) * contrast.var_base
    )
    return value, np.sqrt(np.maximum(variance, 0.0))


def oriented(contrast: Contrast, *, sign: Array | float) -> Contrast:
    """The effect times `sign` (-1 where less is better), over the size of the control level.

    So a relative lift has the sign of the effect, even below zero.
    """
    turn = np.where(contrast.base < 0, -1.0, 1.0)
    return Contrast(
        delta=sign * contrast.delta,
        base=turn * contrast.base,
        var_delta=contrast.var_delta,
        var_base=contrast.var_base,
        covariance=sign * turn * contrast.covariance,
        degrees_of_freedom=contrast.degrees_of_freedom,
    )


def two_sided_p(statistic: Array, degrees_of_freedom: Array) -> Array:
    """P(|T| > |statistic|); zero only where it is below the smallest double."""
    return np.asarray(2 * special.stdtr(degrees_of_freedom, -np.abs(statistic)))


def upper_p(statistic: Array, degrees_of_freedom: Array) -> Array:
    """P(T > statistic)."""
    return np.asarray(special.stdtr(degrees_of_freedom, -statistic))


def quantile(degrees_of_freedom: Array, *, tail: Array | float) -> Array:
    """The t value with probability `tail` above it."""
    return np.asarray(-special.stdtrit(degrees_of_freedom, tail))


def fieller(contrast: Contrast, *, critical: Array) -> Interval:
    """All r for which delta - r base lies within `critical` standard errors of zero.

    Excludes zero exactly where |delta| exceeds `critical` standard errors, so it never disagrees
    with the absolute test. An interval only where the base is that far from zero itself.
    Fieller (1954), Some problems in interval estimation.
    """
    q2 = critical**2
    with np.errstate(divide="ignore", invalid="ignore"):
        a = contrast.base**2 - q2 * contrast.var_base
        b = contrast.delta * contrast.base - q2 * contrast.covariance
        c = contrast.delta**2 - q2 * contrast.var_delta
        # b^2 - a c, without its cancellation
        spread = q2 * (
            contrast.var_delta * contrast.base**2
            - 2 * contrast.covariance * contrast.delta * contrast.base
            + contrast.var_base * contrast.delta**2
            - q2 * (contrast.var_delta * contrast.var_base - contrast.covariance**2)
        )
        root = np.sqrt(np.maximum(spread, 0.0))
        # The root of like sign first; the other from the product of both, c / a.
        far = b + np.where(b < 0, -root, root)
        roots = np.sort(np.stack([far / a, np.where(far == 0, 0.0, c / far)]), axis=0)
    known = ~np.isnan(a + b + c)
    is_line = known & (a <= 0) & (spread <= 0)
    shape = np.full(a.shape, None, dtype=object)
    shape[known] = "complement"
    shape[known & (a > 0)] = "interval"
    shape[is_line] = "line"
    low, high = np.where(known & ~is_line, roots, np.nan)
    return Interval(low, high, shape)


def relative(contrast: Contrast, *, critical: Array) -> tuple[Array, Array, Array]:
    """Lift over the size of the control level and its Fieller interval, all NaN if unbounded."""
    turned = oriented(contrast, sign=1.0)
    interval = fieller(turned, critical=critical)
    is_defined = interval.shape == "interval"
    with np.errstate(divide="ignore", invalid="ignore"):
        lift = np.where(is_defined, turned.delta / turned.base, np.nan)
    return (
        lift,
        np.where(is_defined, interval.low, np.nan),
        np.where(is_defined, interval.high, np.nan),
    )


def above_margin(contrast: Contrast, *, margin: Array, is_relative: Flags) -> tuple[Array, Array]:
    """How far an effect lies above -margin, and the standard error of that; see below."""
    value, error = linear(contrast, delta=1.0, base=np.where(is_relative, margin, 0.0))
    return value + np.where(is_relative, 0.0, margin), error


def non_inferiority_p(contrast: Contrast, *, margin: Array, is_relative: Flags) -> Array:
    """One-sided p of an effect no better than -margin.

    A relative margin is tested as treatment - (1 - margin) control on its own variance, so the
    noise of the control level counts. It rejects at alpha exactly where the lower end of the
    relative lift, at the one-sided critical value, exceeds -margin.

    Args:
        contrast: oriented, up is good.
        margin: tolerated loss, >= 0: a share of the control level, or units of the metric.
        is_relative: which of the two the margin is.
    """
    distance, error = above_margin(contrast, margin=margin, is_relative=is_relative)
    with np.errstate(divide="ignore", invalid="ignore"):
        return upper_p(np.where(error > 0, distance / error, np.nan), contrast.degrees_of_freedom)


def chance_to_win(estimate: Array, std_error: Array) -> Array:
    """P(effect > 0) under a flat prior and a normal likelihood; up is good."""
    return np.asarray(special.ndtr(estimate / std_error))


def expected_loss(estimate: Array, std_error: Array) -> Array:
    """Mean loss, in units of the metric, of shipping an effect that may be negative; flat prior."""
    z = estimate / std_error
    density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    return np.asarray(std_error * np.maximum(density - z * special.ndtr(-z), 0.0))


def power_factor(*, alpha: Array | float, power: Array | float) -> Array:
    """Minimum detectable effect in standard errors: z(1 - alpha/2) + z(power)."""
    return np.asarray(special.ndtri(power) - special.ndtri(np.asarray(alpha) / 2))


def required_rows(
    *,
    variance: Array | float,
    effect: Array | float,
    treatment_share: float,
    alpha: float,
    power: float,
) -> Array:
    """Row units over both arms that detect `effect` (absolute) with `power`.

    Args:
        variance: of one row unit, from the metric's history: rows times the squared standard
            error of its mean.
        effect: in units of the metric, not zero.
        treatment_share: share of row units in the treatment, in (0, 1).
        alpha, power: two-sided error rate and power.
    """
    spread = np.asarray(variance) * (1 / treatment_share + 1 / (1 - treatment_share))
    return np.asarray(np.ceil(spread * (power_factor(alpha=alpha, power=power) / effect) ** 2))


def row_variance(arm: Arm, *, is_ratio: Flags) -> Array:
    """Variance of one row unit of the metric, by which `required_rows` plans."""
    level = _level(arm, arm, numerator=Y, denominator=D, is_ratio=is_ratio)
    return _quadratic(level.control_gradient, arm.covariance) * arm.row_count


def chi_square_p(statistic: Array, degrees_of_freedom: Array) -> Array:
    """P(chi-square > statistic)."""
    return np.asarray(special.chdtrc(degrees_of_freedom, statistic))


def sample_ratio_p(counts: Sequence[float], shares: Sequence[float]) -> float:
    """P of counts at least as far from the planned shares; exact for two small arms.

    Arms of share zero take no part, neither their units nor a degree of freedom. Fabijan et al.
    (2019), Diagnosing sample ratio mismatch in online controlled experiments.

    Args:
        counts: independent row units per arm.
        shares: planned weights per arm, >= 0; only their proportions matter.

    Returns:
        NaN where fewer than two arms or no units take part.
    """
    planned = [(count, share) for count, share in zip(counts, shares, strict=True) if share > 0]
    observed, weight = np.array(planned, dtype=float).reshape(-1, 2).T
    total = observed.sum()
    if len(observed) < 2 or total == 0:
        return np.nan
    expected = total * weight / weight.sum()
    if len(observed) == 2 and total < EXACT_BELOW:
        first = np.arange(total + 1)
        log_chance = (
            special.gammaln(total + 1)
            - special.gammaln(first + 1)
            - special.gammaln(total - first + 1)
            + first * np.log(expected[0] / total)
            + (total - first) * np.log(expected[1] / total)
        )
        own = log_chance[int(observed[0])]
        # Equal chances are told apart by rounding alone.
        return float(np.minimum(np.exp(log_chance[log_chance <= own + 1e-9]).sum(), 1.0))
    squares = ((observed - expected) ** 2 / expected).sum()
    return float(chi_square_p(squares, np.asarray(len(observed) - 1.0)))


def balance_p(control: Arm, treatment: Arm) -> Array:
    """Two-sided p of equal means before exposure, the smaller of history and given covariate.

    NaN where neither says anything.
    """
    return np.fmin(*(_mean_test(control, treatment, {variable: 1.0}) for variable in (X, C)))


def pre_trend_p(control: Arm, treatment: Arm) -> Array:
    """Two-sided p of equal change from the earlier to the later half of the pre-period."""
    return _mean_test(control, treatment, {E: 2.0, X: -1.0})


def normalised_difference(control: Arm, treatment: Arm) -> Array:
    """Gap of the means before exposure over the root mean square of the arms' deviations.

    The larger one of history and given covariate; NaN where neither says anything. Imbens, Rubin
    (2015), Causal inference, section 14.2.
    """
    differences = []
    with np.errstate(divide="ignore", invalid="ignore"):
        for name in (X, C):
            variances = [
                arm.scatter[:, name, name] / (arm.row_count - 1) for arm in (control, treatment)
            ]
            gap = np.abs(treatment.mean[:, name] - control.mean[:, name])
            differences.append(gap / np.sqrt((variances[0] + variances[1]) / 2))
    return np.fmax(*differences)


def _level(
    control: Arm, treatment: Arm, *, numerator: int, denominator: int, is_ratio: Flags
) -> _Level:
    values, gradients = [], []
    for arm in (control, treatment):
        top, bottom = arm.mean[:, numerator], arm.mean[:, denominator]
        with np.errstate(divide="ignore", invalid="ignore"):
            value = np.where(is_ratio, top / np.where(bottom == 0, np.nan, bottom), top)
            gradient = np.zeros_like(arm.mean)
            gradient[:, numerator] = np.where(is_ratio, 1 / bottom, 1.0)
            gradient[is_ratio, denominator] = (-value / bottom)[is_ratio]
        values.append(value)
        gradients.append(gradient)
    return _Level(values[0], values[1], gradients[0], gradients[1])


def _zero_where_unknown(level: _Level) -> _Level:
    known = np.isfinite(level.control) & np.isfinite(level.treatment)
    return _Level(
        np.where(known, level.control, 0.0),
        np.where(known, level.treatment, 0.0),
        np.where(known[:, None], level.control_gradient, 0.0),
        np.where(known[:, None], level.treatment_gradient, 0.0),
    )


def _known_before(control: Arm, treatment: Arm, *, is_ratio: Flags) -> _Level:
    """What the twin and the given covariate say of the outcome: their levels times the slopes."""
    twin = _zero_where_unknown(
        _level(control, treatment, numerator=X, denominator=W, is_ratio=is_ratio)
    )
    given = _zero_where_unknown(
        _level(control, treatment, numerator=C, denominator=C, is_ratio=np.zeros_like(is_ratio))
    )
    of_twin, of_given = _slopes(control, treatment, is_ratio=is_ratio)
    by_twin, by_given = of_twin[:, None], of_given[:, None]
    return _Level(
        of_twin * twin.control + of_given * given.control,
        of_twin * twin.treatment + of_given * given.treatment,
        by_twin * twin.control_gradient + by_given * given.control_gradient,
        by_twin * twin.treatment_gradient + by_given * given.treatment_gradient,
    )


def _slopes(control: Arm, treatment: Arm, *, is_ratio: Flags) -> tuple[Array, Array]:
    """Slopes of the outcome on the twin and on the given covariate, each beside the other."""
    units = control.unit_count + treatment.unit_count
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = control.mean * (control.unit_count / units)[:, None]
        mean += treatment.mean * (treatment.unit_count / units)[:, None]
        gap = treatment.mean - control.mean
        weight = control.unit_count * treatment.unit_count / units
    scatter = control.scatter + treatment.scatter
    joint = scatter + np.where(
        is_ratio[:, None, None], weight[:, None, None] * gap[:, :, None] * gap[:, None, :], 0.0
    )
    both = Arm(units, units, mean, joint, mean)
    y = _level(both, both, numerator=Y, denominator=D, is_ratio=is_ratio).control_gradient
    x = _level(both, both, numerator=X, denominator=W, is_ratio=is_ratio).control_gradient
    c = np.zeros_like(y)
    c[:, C] = 1.0
    with np.errstate(divide="ignore", invalid="ignore"):
        own, other = _quadratic(x, joint), joint[:, C, C]
        has_twin = own > COLLINEAR * (x**2 * np.einsum("nii->ni", joint)).sum(axis=1)
        # what is unknown of the twin is not to make the other slope unknown
        of_twin = np.where(has_twin, _bilinear(y, joint, x), 0.0)
        shared = np.where(has_twin, _bilinear(x, joint, c), 0.0)
        own = np.where(has_twin, own, 1.0)
        left = other - shared**2 / own
        by_given = _bilinear(y, joint, c) - shared * of_twin / own
        given = np.where(left > COLLINEAR * other, by_given / left, 0.0)
        return (of_twin - given * shared) / own, given


def _contrast(
    control: Arm,
    treatment: Arm,
    *,
    delta: Array,
    base: Array,
    delta_gradients: tuple[Array, Array],
    base_gradients: tuple[Array, Array],
) -> Contrast:
    """Variances of two functions of the means of both arms, from their gradients per arm."""
    covariances = (control.covariance, treatment.covariance)
    arms = list(zip(covariances, delta_gradients, base_gradients, strict=True))
    by_arm = [_quadratic(of_delta, v) for v, of_delta, _ in arms]
    floor = sum(
        (_rounding(arm, g) for arm, g in zip((control, treatment), delta_gradients, strict=True)),
        np.zeros(len(delta)),
    )
    by_arm = [np.where(by_arm[0] + by_arm[1] > floor, of_arm, 0.0) for of_arm in by_arm]
    return Contrast(
        delta=delta,
        base=base,
        var_delta=by_arm[0] + by_arm[1],
        var_base=sum((_quadratic(of_base, v) for v, _, of_base in arms), np.zeros(len(delta))),
        covariance=sum(
            (_bilinear(of_delta, v, of_base) for v, of_delta, of_base in arms),
            np.zeros(len(delta)),
        ),
        degrees_of_freedom=_welch(by_arm, (control.row_count - 1, treatment.row_count - 1)),
    )


def _quadratic(gradient: Array, covariance: Array) -> Array:
    """g' V g, at least zero: rounding can leave a variance just below."""
    return np.maximum(_bilinear(gradient, covariance, gradient), 0.0)


def _bilinear(one: Array, covariance: Array, two: Array) -> Array:
    with np.errstate(invalid="ignore"):
        return np.asarray((np.matmul(one[:, None], covariance)[:, 0] * two).sum(axis=1))


def _rounding(arm: Arm, gradient: Array) -> Array:
    """The variance that sums in doubles can leave where there is none."""
    with np.errstate(divide="ignore", invalid="ignore"):
        own = np.einsum("nii->ni", arm.covariance) + arm.distance**2 / arm.row_count[:, None]
        return np.asarray(NEGLIGIBLE * np.nansum(gradient**2 * own, axis=1))


def _welch(variances: Sequence[Array], freedoms: Sequence[Array]) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = [v**2 / freedom for v, freedom in zip(variances, freedoms, strict=True)]
        return np.asarray((variances[0] + variances[1]) ** 2 / (parts[0] + parts[1]))


def _mean_test(control: Arm, treatment: Arm, weights: dict[int, float]) -> Array:
    """Two-sided p of equal means; zero where they differ and nothing varies within the arms."""
    gradient = np.zeros_like(control.mean)
    for variable, weight in weights.items():
        gradient[:, variable] = weight
    value = ((treatment.mean - control.mean) * gradient).sum(axis=1)
    size = (np.abs(gradient) * (np.abs(treatment.mean) + np.abs(control.mean))).sum(axis=1)
    by_arm = [_quadratic(gradient, arm.covariance) for arm in (control, treatment)]
    freedom = _welch(by_arm, (control.row_count - 1, treatment.row_count - 1))
    variance = by_arm[0] + by_arm[1]
    with np.errstate(divide="ignore", invalid="ignore"):
        p = two_sided_p(value / np.sqrt(variance), freedom)
    return np.where((variance == 0) & (np.abs(value) > COLLINEAR * size), 0.0, p)


def _regression(
    arm: Arm, gradient: Array, covariates: Sequence[int], gap: Array
) -> tuple[Array, Array, Array, Array]:
    """Regression of the linearised outcome on covariates, by sweeping one after the other.

    Returns:
        Slopes times `gap`, gap' inverse(scatter) gap, the residual sum of squares, and how many
        covariates had variance left beyond those before them.
    """
    count = len(covariates)
    size = count + 1
    rows = np.zeros((len(gap), size, arm.mean.shape[1]))
    rows[:, range(count), covariates] = 1.0
    rows[:, count] = gradient
    swept = np.einsum("nai,nij,nbj->nab", rows, arm.scatter, rows)
    own = np.einsum("naa->na", swept).copy()
    left = np.concatenate([gap, np.zeros((len(gap), 1))], axis=1)
    leverage, rank = np.zeros(len(gap)), np.zeros(len(gap))
    for pivot in range(count):
        usable = swept[:, pivot, pivot] > COLLINEAR * own[:, pivot]
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(usable[:, None], swept[:, pivot] / swept[:, pivot, pivot, None], 0.0)
            leverage += np.where(usable, left[:, pivot] ** 2 / swept[:, pivot, pivot], 0.0)
        left = left - ratio * left[:, pivot, None]
        swept = swept - ratio[:, :, None] * swept[:, None, pivot]
        rank += usable
    residual = swept[:, count, count]
    residual = np.where(residual > NEGLIGIBLE * own[:, count], residual, 0.0)
    return -left[:, count], leverage, residual, rank
