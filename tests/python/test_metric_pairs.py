"""Pairs of metrics: a lead that was planted is found, noise leads nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping

import duckdb
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

import compiled

WEEKS = 52
SEEDS = 20
LAG = 3
Series = NDArray[np.float64]


def pairs_of(series: Mapping[tuple[str, str], Series]) -> pd.DataFrame:
    """What the models make of weekly values by model and metric; `early` is to lead to `worth`."""
    values = [
        pd.DataFrame(
            {
                "model_id": model_id,
                "metric": metric,
                "value": numbers,
                "period_end_date": pd.date_range("2025-01-05", periods=len(numbers), freq="7D"),
            }
        )
        for (model_id, metric), numbers in series.items()
    ]
    given = {
        "fct_metric_values": pd.concat(values, ignore_index=True).assign(
            period="7d", model_version="all", segment_name="all", status="ready"
        ),
        "dim_metrics": pd.DataFrame(
            {
                "metric": ["early", "worth"],
                "leads_to": ["worth", None],
                "proxy_for": pd.array([None, None], dtype="string"),
                "numerator_brick": ["ones", "others"],
                "denominator_brick": pd.array([None, None], dtype="string"),
            }
        ),
        "dim_model_metrics": pd.DataFrame(list(series), columns=["model_id", "metric"]).assign(
            role="watched", direction="up"
        ),
    }
    weeks = pd.date_range("2024-12-30", periods=WEEKS, freq="7D")
    given["dim_dates"] = pd.DataFrame({"week_start_date": weeks})
    with duckdb.connect() as connection:
        connection.execute("set threads = 1")
        for name, frame in given.items():
            connection.register("given", frame)
            connection.execute(f"create table {name} as select * from given")
        for column in ("proxy_for", "denominator_brick"):
            connection.execute(f"alter table dim_metrics alter {column} type text")
        connection.execute("alter table fct_metric_values alter period_end_date type date")
        for name in ("int_weekly_changes", "int_metric_pairs"):
            sql = re.sub(r'"\w+"\."\w+"\."(\w+)"', r"\1", compiled.kept()[name])
            connection.execute(f"create table {name} as {sql}")
        return connection.sql("select * from int_metric_pairs").df().set_index("model_id")


def planted(seed: int, *, correlation: float) -> tuple[Series, Series]:
    """Two walks of which the second follows the first after three weeks."""
    rng = np.random.default_rng(seed)
    own, noise = rng.normal(size=(2, WEEKS + LAG))
    follows = correlation * own + np.sqrt(1 - correlation**2) * noise
    return np.cumsum(own)[LAG:], np.cumsum(follows)[:WEEKS]


def test_a_lead_of_three_weeks_is_found_over_a_year() -> None:
    series: dict[tuple[str, str], Series] = {}
    for seed in range(SEEDS):
        early, worth = planted(seed, correlation=0.8)
        series |= {(f"m{seed}", "early"): early, (f"m{seed}", "worth"): worth}
    found = pairs_of(series)
    assert len(found) == SEEDS
    assert (found.is_beyond_noise & (found.lag_weeks == LAG)).all()
    assert (found.week_count == WEEKS).all()
    for model_id, pair in found.iterrows():
        one = np.diff(series[str(model_id), "early"])[: WEEKS - 1 - LAG]
        other = np.diff(series[str(model_id), "worth"])[LAG:]
        assert abs(pair.correlation - np.corrcoef(one, other)[0, 1]) < 1e-9
        assert pair.correlation_low < pair.correlation < pair.correlation_high
        assert pair.correlation_low < 0.8 < pair.correlation_high or seed_is_rare(pair)


def seed_is_rare(pair: pd.Series) -> bool:
    """An interval may miss the truth, though not by much."""
    return bool(min(abs(pair.correlation_low - 0.8), abs(pair.correlation_high - 0.8)) < 0.1)


def test_half_a_year_is_needed_and_what_stands_still_says_nothing() -> None:
    early, worth = planted(1, correlation=0.9)
    found = pairs_of(
        {
            ("short", "early"): early[:25],
            ("short", "worth"): worth[:25],
            ("still", "early"): np.full(WEEKS, 0.1) + 1e-13 * early,
            ("still", "worth"): worth,
        }
    )
    assert found.reason.to_dict() == {"short": "few_weeks", "still": "equal_values"}
    assert found.correlation.isna().all()


@pytest.mark.simulation
@pytest.mark.parametrize("walks", [False, True])
def test_noise_leads_nothing(walks: bool) -> None:
    """In at most some five of a hundred companies does any of eight pairs seem to lead."""
    rng = np.random.default_rng(17)
    companies, wrong = 200, 0
    for _ in range(companies):
        series = {}
        for number in range(8):
            for metric in ("early", "worth"):
                noise = rng.normal(size=WEEKS)
                series[f"m{number}", metric] = np.cumsum(noise) if walks else noise
        wrong += bool(pairs_of(series).is_beyond_noise.any())
    # the 99 % binomial bound of 5 %
    assert wrong <= 19
