"""Latencies: percentiles, hours and shares against plain pandas over the raw files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import plain_pandas
from building import ROOT, query

SEGMENTS = ["channel", "device", "region"]
PERCENTILES = {"latency_p50": 0.5, "latency_p95": 0.95, "latency_p99": 0.99}
AS_OF = pd.Timestamp("2026-07-01")


@pytest.fixture(scope="module")
def decisions(demo: Path) -> pd.DataFrame:
    company = plain_pandas.Company(
        raw=plain_pandas.read_raw(demo), seeds=ROOT / "seeds", as_of="2026-07-01", segments=SEGMENTS
    )
    rows = company.decisions
    return rows[rows.day < AS_OF].assign(**rows[SEGMENTS].fillna("(unknown)"))


@pytest.fixture(scope="module")
def latency(demo: Path) -> pd.DataFrame:
    return query(demo, "from mart_latency")


def rows_of(told: pd.Series, decisions: pd.DataFrame) -> pd.DataFrame:
    """The decisions that a row of the mart is about."""
    rows = decisions[
        (decisions.model_id == told.model_id)
        & (decisions.day >= told.period_start_date)
        & (decisions.day <= told.period_end_date)
    ]
    if told.model_version != "all":
        rows = rows[rows.model_version == told.model_version]
    if told.segment_name != "all":
        rows = rows[rows[told.segment_name] == told.segment_value]
    return rows


def exact(rows: pd.DataFrame) -> list[float]:
    """The smallest latency whose share of the decisions reaches each percentile."""
    shares = list(PERCENTILES.values())
    found = np.quantile(rows.latency_ms.dropna(), shares, method="inverted_cdf")
    return [float(value) for value in found]


def test_percentiles_of_a_day_are_exact(latency: pd.DataFrame, decisions: pd.DataFrame) -> None:
    days = latency[(latency.period == "day") & latency.latency_p95.notna()]
    assert set(days.percentile_method) == {"exact"}
    assert (days.percentile_error == 0).all()
    assert len(days[days.model_version != "all"]) > 300
    plain = decisions.groupby(["model_id", "day"])
    versions = decisions.groupby(["model_id", "day", "model_version"])
    for told in days.itertuples():
        key = (told.model_id, told.period_end_date)
        is_total = told.model_version == "all"
        rows = plain.get_group(key) if is_total else versions.get_group((*key, told.model_version))
        assert [told.latency_p50, told.latency_p95, told.latency_p99] == exact(rows)
        assert told.timed_count == rows.latency_ms.notna().sum()
        assert told.decision_count == len(rows)
        assert told.busiest_hour_count == rows.predicted_at.dt.hour.value_counts().max()


def test_percentiles_of_longer_periods_are_within_their_error(
    latency: pd.DataFrame, decisions: pd.DataFrame
) -> None:
    longer = latency[(latency.period != "day") & latency.latency_p95.notna()]
    assert (longer.percentile_error == 0.01).all()
    assert {"7d", "28d", "month", "all"} == set(longer.period)
    some = longer.groupby(["period", "segment_name"]).sample(20, random_state=3, replace=True)
    for _, told in some.iterrows():
        rows = rows_of(told, decisions)
        expected = exact(rows)
        np.testing.assert_allclose(told[list(PERCENTILES)].astype(float), expected, rtol=0.01)
        assert told.decision_count == len(rows)
        assert told.timed_count == rows.latency_ms.notna().sum()


def test_each_bin_is_two_percent_wider_than_the_one_before(
    demo: Path, decisions: pd.DataFrame
) -> None:
    bins = query(demo, "from fct_latency_bins where segment_name = 'all'")
    timed = bins[bins.bin_number > -349]
    np.testing.assert_allclose(timed.lower_edge, 1.02 ** (timed.bin_number - 0.5), rtol=1e-9)
    assert len(timed) > 1_000
    plain = np.floor(np.log(decisions.latency_ms) / np.log(1.02) + 0.5).fillna(-1000)
    counts = decisions.groupby(["model_id", plain]).size()
    built = (
        bins[bins.decision_date < AS_OF].groupby(["model_id", "bin_number"]).decision_count.sum()
    )
    assert built.tolist() == counts.tolist()


def test_the_incident_stands_out_on_its_day_alone(demo: Path, latency: pd.DataFrame) -> None:
    truth = json.loads((demo / "truth.json").read_text(encoding="utf-8"))
    incident = truth["plants"]["latency_incident"]
    first, last = (pd.Timestamp(incident[end]).normalize() for end in ("starts_at", "ends_at"))
    values = query(
        demo,
        """
        select model_id, period_end_date, value from fct_metric_values
        where metric = 'latency_p95' and period = 'day' and model_version = 'all'
            and segment_name = 'all' and status = 'ready'
        """,
    )
    for model_id, days in values.groupby("model_id"):
        usual = days.value.median()
        slow = days[days.value > 2 * usual].period_end_date
        expected = pd.date_range(first, last) if model_id == incident["model_id"] else []
        assert sorted(slow) == list(expected), model_id
    hit = latency[
        (latency.model_id == incident["model_id"])
        & (latency.period == "day")
        & (latency.model_version == "all")
    ].set_index("period_end_date")
    assert hit.latency_p95[first] > 900
    # the failures of the same hours stand beside
    assert hit.error_rate.idxmax() == hit.availability.idxmin() == hit.slo_share.idxmin() == first


def test_what_a_mart_shows_is_what_may_be_read(demo: Path, latency: pd.DataFrame) -> None:
    values = query(demo, "from fct_metric_values where metric = 'latency_p95'")
    key = [
        "model_id",
        "model_version",
        "segment_name",
        "segment_value",
        "period",
        "period_end_date",
    ]
    both = latency.merge(values, on=key, how="inner", suffixes=("", "_of_values"))
    assert len(both) > 3_000
    one, other = both.latency_p95.astype(float), both.value.astype(float)
    np.testing.assert_allclose(one, other, rtol=1e-12, equal_nan=True)
    hidden = both[both.reason == "private"]
    assert len(hidden) > 10
    shown = [*PERCENTILES, "decision_count", "timed_count", "slo_share", "availability"]
    assert hidden[shown].isna().all().all()
