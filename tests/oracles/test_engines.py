"""A thousand random cases against independent engines.

Numbers a and b agree where |a - b| <= 1e-9 max(|b|, se), p-values where their logarithms do. What
differs by definition is named where it is bridged.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Any

import numpy as np
import pytest
import scipy.stats
import statsmodels.api as sm
import tea_tasting as tt
from linearmodels.iv import IV2SLS
from statsmodels.stats.multitest import multipletests
from tea_tasting.aggr import Aggregates

from lift_cases import MEAN, RATIO, Numbers, arms_of, raw_row
from throughline.lift import kernel
from throughline.lift.kernel import Contrast
from throughline.lift.moments import C, W, X
from throughline.lift.multiplicity import benjamini_hochberg, holm

Data = dict[str, Numbers]
CASES = 1_000
NAMES = ("y", "d", "x", "w", "c")


def case(seed: int) -> tuple[Data, Data]:
    """Two arms of 20 to 300 units: skewed or not, with or without effect and history."""
    rng = np.random.default_rng(seed)
    effect, tail, tie = rng.uniform(-0.5, 0.5), rng.uniform(0.1, 1.0), rng.uniform(0, 1)
    arms: list[Data] = []
    for arm in range(2):
        n = int(rng.integers(20, 300))
        habit = rng.normal(0, 1, n)
        w = 1.0 + rng.poisson(np.exp(0.3 * habit + 0.5)).astype(np.float64)
        d = 1.0 + rng.poisson(np.exp(0.3 * tie * habit + 0.5)).astype(np.float64)
        x = w * np.exp(rng.normal(0, tail, n))
        y = d * np.exp(rng.normal(0, tail, n)) + tie * x + arm * effect
        arms.append({"y": y, "d": d, "x": x, "w": w, "c": habit + rng.normal(0, 1, n)})
    return arms[0], arms[1]


def cases() -> Iterator[tuple[Data, Data]]:
    return (case(seed) for seed in range(CASES))


def contrast_of(estimator: Any, arms: tuple[Data, Data], **options: Any) -> Contrast:
    constants = {name: float(np.round(arms[0][name].mean())) for name in arms[0]}
    rows = [raw_row(arm, constants=constants) for arm in arms]
    made: Contrast = estimator(*arms_of(*rows), **options)
    return made


def same(found: Any, wanted: float, error: float) -> None:
    assert abs(float(found) - wanted) <= 1e-9 * max(abs(wanted), error)


def same_p(found: Any, wanted: float) -> None:
    assert float(np.log(found)) == pytest.approx(float(np.log(wanted)), rel=1e-9, abs=1e-9)


def aggregates(data: Data) -> Aggregates:
    return Aggregates(
        count_=len(data["y"]),
        mean_={name: float(values.mean()) for name, values in data.items()},
        var_={name: float(values.var(ddof=1)) for name, values in data.items()},
        cov_={
            (one, two): float(np.cov(data[one], data[two])[0, 1])
            for one, two in combinations(sorted(data), 2)
        },
    )


def agrees_with_tea_tasting(contrast: Contrast, arms: tuple[Data, Data], metric: Any) -> None:
    experiment = tt.Experiment({"metric": metric})
    result = experiment.analyze({0: aggregates(arms[0]), 1: aggregates(arms[1])}, control=0)
    wanted = result["metric"]
    error = float(contrast.std_error[0])
    same(contrast.delta[0], wanted.effect_size, error)
    same(error, wanted.effect_size / wanted.statistic, error)
    half = kernel.quantile(contrast.degrees_of_freedom, tail=0.025) * contrast.std_error
    same(contrast.delta[0] - half[0], wanted.effect_size_ci_lower, error)
    p = kernel.two_sided_p(contrast.delta / contrast.std_error, contrast.degrees_of_freedom)
    same_p(p[0], wanted.pvalue)


def test_means_and_ratios_equal_tea_tasting() -> None:
    for arms in cases():
        for metric, is_ratio in ((tt.Mean("y"), MEAN), (tt.RatioOfMeans("y", "d"), RATIO)):
            found = contrast_of(kernel.unadjusted, arms, is_ratio=is_ratio)
            agrees_with_tea_tasting(found, arms, metric)


def without_covariate(arms: tuple[Data, Data]) -> tuple[Data, Data]:
    one, two = ({name: arm[name] for name in "ydxw"} for arm in arms)
    return one, two


def test_adjusted_ratios_equal_tea_tasting() -> None:
    """By history alone: tea-tasting has one covariate."""
    metric = tt.RatioOfMeans("y", "d", "x", "w")
    for arms in map(without_covariate, cases()):
        agrees_with_tea_tasting(contrast_of(kernel.cuped, arms, is_ratio=RATIO), arms, metric)


def test_adjusted_means_have_the_slope_of_an_analysis_of_covariance() -> None:
    """Theta is the slope within arms; tea-tasting's is that of both arms as one sample.

    So the effect comes from the regression, and the error from tea-tasting on y - theta x, with or
    without a given covariate: the regression's own error assumes one variance for both arms.
    """
    for number, given in enumerate(cases()):
        arms = given if number % 2 else without_covariate(given)
        before = [name for name in ("x", "c") if name in arms[0]]
        y, *known = (np.concatenate([arm[name] for arm in arms]) for name in ("y", *before))
        treated = np.repeat([0.0, 1.0], [len(arm["y"]) for arm in arms])
        fit = sm.OLS(y, np.column_stack([np.ones(len(y)), treated, *known])).fit()
        found = contrast_of(kernel.cuped, arms, is_ratio=MEAN)
        same(found.delta[0], fit.params[1], float(found.std_error[0]))
        slopes = dict(zip(before, fit.params[2:], strict=True))
        adjusted = [
            {**arm, "y": arm["y"] - sum(slopes[name] * arm[name] for name in before)}
            for arm in arms
        ]
        agrees_with_tea_tasting(found, (adjusted[0], adjusted[1]), tt.Mean("y"))


def test_lin_equals_a_regression_per_arm_at_the_pooled_means() -> None:
    """Residual variances are the arms' own; one regression with interactions would pool them."""
    places = {"x": X, "w": W, "c": C}
    for number, arms in enumerate(cases()):
        names = (("x",), ("x", "w"), ("x", "w", "c"))[number % 3]
        pooled = {name: np.concatenate([arm[name] for arm in arms]).mean() for name in names}
        levels, variances = [], []
        for arm in arms:
            design = np.column_stack(
                [np.ones(len(arm["y"])), *(arm[name] - pooled[name] for name in names)]
            )
            fit = sm.OLS(arm["y"], design).fit()
            levels.append(fit.params[0])
            variances.append(fit.bse[0] ** 2)
        error = float(np.sqrt(sum(variances)))
        covariates = [places[name] for name in names]
        found = contrast_of(kernel.lin, arms, is_ratio=MEAN, covariates=covariates)
        same(found.delta[0], levels[1] - levels[0], error)
        same(found.std_error[0], error, error)


def test_differences_in_differences_equal_a_welch_test_of_changes() -> None:
    for arms in cases():
        changes = [arm["y"] - arm["x"] for arm in arms]
        test = scipy.stats.ttest_ind(changes[1], changes[0], equal_var=False)
        found = contrast_of(kernel.difference_in_differences, arms, is_ratio=MEAN)
        error = float(found.std_error[0])
        same(found.delta[0], changes[1].mean() - changes[0].mean(), error)
        same(found.delta[0] / error, test.statistic, 1.0)
        same(found.degrees_of_freedom[0], test.df, 1.0)
        p = kernel.two_sided_p(found.delta / found.std_error, found.degrees_of_freedom)
        same_p(p[0], test.pvalue)


def test_clusters_equal_cluster_robust_regression_per_arm() -> None:
    """statsmodels scales by G / (G - 1) per regression; one regression per arm does as we do."""
    for number, arms in enumerate(cases()):
        rng = np.random.default_rng(number)
        rows, levels, variances = [], [], []
        for arm in arms:
            cluster = rng.integers(0, 15, len(arm["y"]))
            y = arm["y"] + rng.normal(0, 1, 15)[cluster]
            fit = sm.OLS(y, np.ones(len(y))).fit(cov_type="cluster", cov_kwds={"groups": cluster})
            levels.append(fit.params[0])
            variances.append(fit.bse[0] ** 2)
            rows.append(raw_row({"y": y}, cluster=cluster, constants={"y": 3.0}))
        found = kernel.unadjusted(*arms_of(*rows), is_ratio=MEAN)
        error = float(np.sqrt(sum(variances)))
        same(found.delta[0], levels[1] - levels[0], error)
        same(found.std_error[0], error, error)


def test_effects_per_uptake_equal_two_stage_least_squares() -> None:
    """linearmodels' robust error divides by n where we divide by n - 1 per arm."""
    for number in range(CASES):
        rng = np.random.default_rng(number)
        n = int(rng.integers(30, 300))
        offered = np.repeat([0.0, 1.0], n)
        taste = rng.normal(0, 1, 2 * n)
        d = (rng.random(2 * n) < 0.2 + 0.4 * offered).astype(float) + 0.2 * taste
        y = 1.5 * d + taste + rng.normal(0, 1, 2 * n)
        fit = IV2SLS(y, np.ones(2 * n), d, offered).fit(cov_type="robust", debiased=False)
        parts = [{"y": y[part], "d": d[part]} for part in (offered == 0, offered == 1)]
        offer = contrast_of(kernel.instrument, (parts[0], parts[1]))
        effect, error, _ = (float(value[0]) for value in kernel.wald(offer))
        wanted = float(fit.std_errors.iloc[1] * np.sqrt(n / (n - 1)))
        same(effect, float(fit.params.iloc[1]), wanted)
        same(error, wanted, wanted)


def test_families_equal_statsmodels() -> None:
    rng = np.random.default_rng(0)
    family = rng.integers(0, 20, CASES)
    p = rng.random(CASES) ** rng.uniform(0.5, 8, CASES)
    for ours, theirs in ((holm, "holm"), (benjamini_hochberg, "fdr_bh")):
        found = ours(p, family)
        for number in range(20):
            members = family == number
            wanted = multipletests(p[members], method=theirs)[1]
            assert found[members] == pytest.approx(wanted, rel=1e-12)


def test_splits_equal_scipy() -> None:
    for number in range(CASES):
        rng = np.random.default_rng(number)
        share = float(rng.uniform(0.1, 0.9))
        n = int(rng.integers(10, 999) if number % 2 else rng.integers(1_000, 100_000))
        first = int(rng.binomial(n, share))
        found = kernel.sample_ratio_p([first, n - first], [share, 1 - share])
        if n < 1_000:
            wanted = scipy.stats.binomtest(first, n, share).pvalue
        else:
            expected = [n * share, n * (1 - share)]
            wanted = scipy.stats.chisquare([first, n - first], expected).pvalue
        assert found == pytest.approx(wanted, rel=1e-8)
