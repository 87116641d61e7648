"""Declared links between metrics: slopes by experiment and over weeks, against scipy and plants."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import linregress, norm
from scipy.stats import t as student

import compiled
from building import query

CHAIN = ("int_kpi_associations", "mart_kpi_links")
MONDAY = pd.Timestamp("2025-01-06")
LINK = {
    "from_metric": "acceptance_rate",
    "to_metric": "conversion_rate",
    "expected_low": 0.4,
    "expected_high": 0.8,
    "confidence": "medium",
    "evidence": "none",
    "owner": "Ann",
}
ESTIMATE = ("experiment_id", "variant", "metric", "method", "estimate", "std_error")


def weeks_of(
    model_id: str,
    *,
    seed: int,
    weeks: int,
    slope: float,
    units: float = 40_000,
    noise: float = 0.004,
) -> pd.DataFrame:
    """Values of two metrics by week: the first moves, the second follows it by the slope."""
    rng = np.random.default_rng(seed)
    true = 0.3 + 0.03 * rng.normal(size=weeks)
    first = true + np.sqrt(0.21 / units) * rng.normal(size=weeks)
    second = 0.2 + slope * (true - 0.3) + noise * rng.normal(size=weeks)
    half = norm.ppf(0.975) * np.sqrt(first * (1 - first) / units)
    ends = MONDAY + pd.to_timedelta(7 * np.arange(weeks) + 6, "D")
    rows = pd.DataFrame({"model_id": model_id, "period_end_date": ends})
    return pd.concat(
        [
            rows.assign(
                metric="acceptance_rate",
                value=first,
                value_low=first - half,
                value_high=first + half,
            ),
            rows.assign(metric="conversion_rate", value=second),
        ]
    )


def links_of(
    values: pd.DataFrame,
    *,
    estimates: Sequence[tuple[object, ...]] = (),
    denominators: tuple[str, str] = ("shown", "matured"),
    **changed: object,
) -> pd.DataFrame:
    """mart_kpi_links of a link per model; an estimate's experiment has the name of its model."""
    lifts = pd.DataFrame(list(estimates), columns=list(ESTIMATE)).astype(
        {"estimate": float, "std_error": float}
    )
    models = sorted({*values.model_id, *lifts.experiment_id})
    names = ["acceptance_rate", "conversion_rate"]
    declared = pd.DataFrame({"model_id": models}).assign(**(LINK | changed))
    days = pd.date_range(MONDAY, periods=420)
    given = {
        "cfg_kpi_links": declared,
        "dim_metrics": pd.DataFrame(
            {
                "metric": names,
                "numerator_brick": ["accepted", "positives"],
                "denominator_brick": denominators,
            }
        ),
        "dim_model_metrics": declared[["model_id"]].merge(
            pd.DataFrame({"metric": names}), how="cross"
        ),
        "fct_metric_values": values.assign(
            model_version="all", segment_name="all", period="7d", status="ready"
        ).astype({"value_low": float, "value_high": float}),
        "dim_dates": pd.DataFrame(
            {"week_start_date": days - pd.to_timedelta(days.day_of_week, "D")}
        ),
        "cfg_experiments": pd.DataFrame({"experiment_id": models, "model_id": models}),
        "fct_lift_estimates": lifts.assign(
            segment_name="all", totals="raw", status="ok", as_of="2026-01-01"
        ),
    }
    found = compiled.run(given, *CHAIN)["mart_kpi_links"]
    return found.set_index("model_id")


NO_WEEKS = weeks_of("none", seed=0, weeks=3, slope=1.0)


def test_an_association_is_that_of_least_squares() -> None:
    values = weeks_of("one", seed=1, weeks=40, slope=0.6)
    found = links_of(values).loc["one"]
    wide = values.pivot(index="period_end_date", columns="metric", values="value")
    plain = linregress(wide.acceptance_rate, wide.conversion_rate)
    x = (wide.acceptance_rate - wide.acceptance_rate.mean()).to_numpy()
    y = (wide.conversion_rate - wide.conversion_rate.mean()).to_numpy()
    memory = (x[1:] @ x[:-1] / (x @ x)) * (y[1:] @ y[:-1] / (y @ y))
    memory = min(max(memory, 0), 0.9)
    half = student.ppf(0.975, 38) * plain.stderr * np.sqrt((1 + memory) / (1 - memory))
    assert (found.basis, found.week_count, found.status) == ("association", 40, "holds")
    assert found.observed_slope == pytest.approx(plain.slope, rel=1e-9)
    assert found.observed_slope_high - plain.slope == pytest.approx(half, rel=1e-5)
    noise = np.mean(((values.value_high - values.value_low) / (2 * norm.ppf(0.975))).dropna() ** 2)
    assert found.reliability == pytest.approx(1 - noise / np.var(x, ddof=1), rel=1e-9)


def test_planted_slopes_are_told() -> None:
    planted = {"stronger": 1.5, "holds": 0.6, "weaker": 0.1}
    values = [
        weeks_of(f"{name}_{seed}", seed=seed, weeks=52, slope=slope)
        for name, slope in planted.items()
        for seed in range(20)
    ]
    found = links_of(pd.concat(values))
    told = found.status.groupby(found.index.str.split("_").str[0]).value_counts()
    assert {name: told[name].to_dict() for name in planted} == {
        name: {name: 20} for name in planted
    }


def test_noise_is_no_link() -> None:
    values = [weeks_of(f"m{seed}", seed=seed, weeks=52, slope=0.0) for seed in range(100)]
    found = links_of(pd.concat(values), expected_low=0.05, expected_high=0.4)
    assert (found.status == "holds").sum() <= 10


@pytest.mark.parametrize(
    ("weeks", "units", "shared", "reason"),
    [
        (25, 40_000, "matured", "too_few_weeks"),
        (40, 400, "matured", "unreliable"),
        (40, 40_000, "shown", "shared_bricks"),
    ],
)
def test_weeks_that_tell_nothing_are_refused(
    weeks: int, units: float, shared: str, reason: str
) -> None:
    values = weeks_of("m", seed=3, weeks=weeks, slope=0.6, units=units)
    found = links_of(values, denominators=("shown", shared)).loc["m"]
    assert (found.status, found.reason) == ("unknown", reason)
    assert pd.isna(found.observed_slope)
    assert pd.isna(found.basis)


def test_a_metric_without_interval_is_refused() -> None:
    values = weeks_of("m", seed=3, weeks=40, slope=0.6)
    values[["value_low", "value_high"]] = np.nan
    assert links_of(values).loc["m"].reason == "reliability_unknown"


def test_an_experiment_goes_before_weeks_and_is_read_by_fieller() -> None:
    a, a_error, b, b_error = 0.05, 0.01, 0.03, 0.009
    estimates = [
        ("m", "b", "acceptance_rate", "unadjusted", a, a_error),
        ("m", "b", "conversion_rate", "unadjusted", b, b_error),
    ]
    values = weeks_of("m", seed=4, weeks=40, slope=0.6)
    found = links_of(values, estimates=estimates).loc["m"]
    assert (found.basis, found.experiment_id) == ("experiment", "m")
    assert found.observed_slope == pytest.approx(b / a, rel=1e-12)
    for bound in (found.observed_slope_low, found.observed_slope_high):
        distance = abs(b - bound * a) / np.hypot(b_error, bound * a_error)
        assert distance == pytest.approx(norm.ppf(0.975), rel=1e-9)


def test_a_lift_within_noise_is_no_basis() -> None:
    estimates = [
        ("m", "b", "acceptance_rate", "unadjusted", 0.01, 0.01),
        ("m", "b", "conversion_rate", "unadjusted", 0.03, 0.01),
    ]
    found = links_of(NO_WEEKS, estimates=estimates).loc["m"]
    assert (found.status, found.reason) == ("unknown", "too_few_weeks")


def test_fieller_covers_the_true_slope() -> None:
    """Of two lifts with their errors, a thousand times, where the first is beyond noise."""
    rng = np.random.default_rng(6)
    estimates = []
    for run in range(1_000):
        first, second = 0.05 + 0.012 * rng.normal(), 0.03 + 0.01 * rng.normal()
        estimates.append((f"m{run}", "b", "acceptance_rate", "unadjusted", first, 0.012))
        estimates.append((f"m{run}", "b", "conversion_rate", "unadjusted", second, 0.01))
    found = links_of(NO_WEEKS, estimates=estimates)
    found = found[found.basis == "experiment"]
    covered = (found.observed_slope_low < 0.6) & (found.observed_slope_high > 0.6)
    assert len(found) > 900
    assert 0.93 <= covered.mean() <= 0.97


def test_a_surer_link_takes_more_to_be_denied() -> None:
    values = weeks_of("m", seed=7, weeks=40, slope=0.6)
    widths = []
    for confidence, level in (("low", 0.9), ("medium", 0.95), ("high", 0.99)):
        found = links_of(values, confidence=confidence).loc["m"]
        assert found.interval_level == level
        widths.append(found.observed_slope_high - found.observed_slope_low)
    assert widths == sorted(widths)


def test_a_falling_link_is_judged_by_its_size() -> None:
    values = weeks_of("m", seed=8, weeks=40, slope=-1.5)
    strong = links_of(values, expected_low=-0.8, expected_high=-0.4).loc["m"]
    weak = links_of(values, expected_low=-9, expected_high=-4).loc["m"]
    assert (strong.status, weak.status) == ("stronger", "weaker")


def test_every_link_of_the_demo_is_read_or_says_why_not(demo: Path) -> None:
    found = query(demo, "from mart_kpi_links").set_index(["from_metric", "to_metric"])
    offers = found[found.model_id == "next_best_offer"]
    read = offers.loc[("acceptance_rate", "conversion_rate")]
    assert (read.basis, read.experiment_id) == ("experiment", "offer_taste_features")
    assert read.status == "holds"
    assert len(found) == 12
    assert (found.reason.notna() == (found.status == "unknown")).all()
