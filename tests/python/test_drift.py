"""Drift of the demo against pandas and scipy, what raises an alarm and what does not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import stats

import plain_drift
import plain_pandas
from building import ROOT, Project, query
from plain_drift import Bins

AS_OF = "2026-07-01"
REFERENCE = (pd.Timestamp("2026-03-09"), pd.Timestamp("2026-04-05"))
KEY = ["model_id", "model_version", "feature", "period", "period_start_date"]
NUMBERS = [
    "psi",
    "chi_square",
    "jensen_shannon_distance",
    "missing_share",
    "missing_share_change",
    "new_category_share",
]
Row = dict[str, Any]


# The demo


@pytest.fixture(scope="module")
def mart(demo: Path) -> pd.DataFrame:
    return query(demo, "select * from mart_drift")


@pytest.fixture(scope="module")
def decisions(demo: Path) -> pd.DataFrame:
    """The decisions of the raw files, with what turned out as a class or a number."""
    company = plain_pandas.Company(
        raw=plain_pandas.read_raw(demo), seeds=ROOT / "seeds", as_of=AS_OF, segments=[]
    )
    rows = company.decisions
    is_matured = rows.state == "matured"
    is_number = rows.task == "regression"
    label = pd.Series(np.where(rows.is_yes, "positive", "negative"), index=rows.index)
    return rows.assign(
        actual_value=rows.actual.where(is_number & is_matured),
        actual_label=label.where(is_matured & ~is_number, None),
        is_matured=is_matured,
        weight=1 / rows.sampling_fraction.fillna(1.0),
        week=rows.day - pd.to_timedelta(rows.day.dt.day_of_week, unit="D"),
    )


def drift_of(rows: pd.DataFrame, *, feature: str, is_number: bool) -> Iterator[Row]:
    """Each week of a feature of one model, and each day of its score, by version and over all."""
    missing = np.nan if is_number else None
    cells = rows[feature].astype(object).map(lambda cell: missing if pd.isna(cell) else cell)
    rows = rows.assign(cell=cells.astype(float) if is_number else cells)
    reference = rows[rows.day.between(*REFERENCE)]
    values = reference.cell
    if not values.notna().any():
        return
    if is_number:
        bins = plain_drift.bins_of_numbers(values)
    else:
        bins = plain_drift.bins_of_categories(values, reference.entity_id)
    before = plain_drift.shares(bins.of(values), reference.weight)
    reference_count = plain_drift.effective(reference.weight, reference.entity_id)
    binned = rows.assign(bin=bins.of(rows.cell), of_all="all")
    periods = [("week", "week"), *([("day", "day")] if feature == "score" else [])]
    for version in ("of_all", "model_version"):
        for period, start in periods:
            for (named, began), part in binned.groupby([version, start]):
                count = plain_drift.effective(part.weight, part.entity_id)
                found = plain_drift.verdict(
                    bins,
                    before,
                    plain_drift.shares(part.bin, part.weight),
                    reference_count=reference_count,
                    count=count,
                )
                yield found | {
                    "model_version": named,
                    "feature": feature,
                    "period": period,
                    "period_start_date": began,
                    "effective_count": count,
                    "is_number": is_number,
                }


def test_the_demo_equals_pandas(demo: Path, mart: pd.DataFrame, decisions: pd.DataFrame) -> None:
    settings = yaml.safe_load((demo / "vars.yml").read_text())
    numbers = [*settings["numeric_features"], "score", "predicted_value", "actual_value"]
    categories = [*settings["categorical_features"], "predicted_label", "actual_label"]
    found = []
    for model_id, rows in decisions.groupby("model_id"):
        for feature in numbers + categories:
            known = rows[rows.is_matured] if feature.startswith("actual_") else rows
            for row in drift_of(known, feature=feature, is_number=feature in numbers):
                found.append({"model_id": model_id} | row)
    plain = pd.DataFrame(found).astype({"period_start_date": "datetime64[us]"})
    both = mart.astype({"period_start_date": "datetime64[us]"}).merge(
        plain, on=KEY, how="outer", suffixes=("", "_plain"), indicator=True
    )
    assert set(both["_merge"]) == {"both"}, both[both["_merge"] != "both"][KEY].head().to_string()
    np.testing.assert_allclose(both.effective_count, both.effective_count_plain, rtol=1e-9)
    assert (both.bin_count == both.bin_count_plain).all()
    judged = both[both.reason.isna()]
    assert len(judged) > 400
    for name in NUMBERS:
        theirs = judged[f"{name}_plain"]
        if name in ("chi_square", "new_category_share"):
            theirs = theirs.where(~judged.is_number.astype(bool))
        np.testing.assert_allclose(judged[name].astype(float), theirs, rtol=1e-9, atol=1e-12)
    assert (judged.status == judged.status_plain).all()
    said = judged.drift_kind.fillna("").str.replace("label", "psi")
    assert (said == judged.kinds.map(", ".join)).all()
    # what is not judged has no number, and one of the reasons
    refused = both[both.reason.notna()]
    assert refused[NUMBERS].isna().all(axis=None)
    start, end = refused.period_start_date, pd.to_datetime(refused.period_end_date)
    is_said = {
        "partial_window": end >= pd.Timestamp(AS_OF),
        "in_reference": (start <= REFERENCE[1]) & (end >= REFERENCE[0]),
        "too_few_units": refused.status_plain == "not_ready",
        "labels_not_matured": refused.feature_role == "label",
    }
    for reason, holds in is_said.items():
        assert holds[refused.reason == reason].all(), reason
    assert set(refused.reason) == set(is_said)


def planted(demo: Path) -> pd.DataFrame:
    drifts = pd.DataFrame(json.loads((demo / "truth.json").read_text())["drift"])
    for name in ("starts_at", "ends_at"):
        drifts[name] = pd.to_datetime(drifts[name])
    return drifts.assign(ends_at=drifts.ends_at.fillna(pd.Timestamp("2200-01-01")))


def is_within(drift: Any, rows: pd.DataFrame) -> pd.Series[bool]:
    """The rows whose period has a moment of a planted drift of their feature."""
    start = pd.to_datetime(rows.period_start_date)
    end = pd.to_datetime(rows.period_end_date) + pd.Timedelta(days=1)
    return (
        (rows.model_id == drift.model_id)
        & (rows.feature == drift.feature)
        & (start < drift.ends_at)
        & (end > drift.starts_at)
    )


def test_each_planted_drift_is_found_in_its_weeks(demo: Path, mart: pd.DataFrame) -> None:
    weeks = mart[(mart.model_version == "all") & (mart.period == "week")]
    weeks = weeks[weeks.status != "not_ready"]
    drifts = planted(demo)
    assert set(drifts.kind) == {"psi", "missing", "new_category", "label"}
    for drift in drifts[~drifts.is_consequence].itertuples():
        held = weeks[is_within(drift, weeks)]
        assert len(held) >= 1
        said = held.drift_kind.fillna("").str.split(", ")
        assert said.map(lambda kinds, kind=drift.kind: kind in kinds).all(), (drift, said)
        began = pd.to_datetime(held.drifted_since_date).min()
        assert began <= drift.starts_at < began + pd.Timedelta(days=7)


def test_little_else_is_found(demo: Path, mart: pd.DataFrame) -> None:
    """Alarms elsewhere stay within the 99 % bound of a rate of 1 in 100."""
    judged = mart[(mart.model_version == "all") & (mart.status != "not_ready")]
    explained = pd.Series(False, index=judged.index)
    for drift in planted(demo).itertuples():
        explained |= is_within(drift, judged)
    rest = judged[~explained]
    alarms = rest[rest.status == "drift"]
    allowed = stats.binom.ppf(0.99, len(rest), 0.01)
    assert len(rest) > 150
    assert len(alarms) <= allowed, alarms[[*KEY, "drift_kind", "psi"]].to_string()


def test_a_drift_says_whether_it_began_with_a_feature_release(mart: pd.DataFrame) -> None:
    drifted = mart[(mart.model_version == "all") & (mart.status == "drift")]
    began = drifted.set_index("feature").began_with_feature_release
    # version 8.0 came with customers-v8
    assert began[["offer_category"]].all()
    assert not began[["company_size", "payment_amount"]].any()


def test_shares_of_drifted_features(mart: pd.DataFrame) -> None:
    weeks = mart[(mart.period == "week") & (mart.feature_role == "input")]
    weeks = weeks[weeks.status != "not_ready"]
    keys = ["model_id", "model_version", "period_start_date"]
    shares = weeks.groupby(keys).agg(
        said=("drifted_share", "first"), counted=("status", lambda said: (said == "drift").mean())
    )
    np.testing.assert_allclose(shares.said, shares.counted)
    assert mart[mart.period == "day"].drifted_share.isna().all()
    assert mart.importance_drifted_share.isna().all()


def test_no_protected_attribute_and_no_value_is_in_the_mart(mart: pd.DataFrame) -> None:
    assert not set(mart.feature) & {"age_band", "gender"}
    texts = mart.select_dtypes(["object", "string"]).drop(columns=["model_id", "model_version"])
    words = set(texts.drop(columns=["feature", "feature_set_version"]).stack().dropna())
    assert words <= {
        *("week", "day", "input", "prediction", "label", "stable", "drift", "not_ready"),
        *("partial_window", "in_reference", "too_few_units", "labels_not_matured"),
        *("psi", "missing", "psi, missing", "new_category", "psi, new_category"),
    }
