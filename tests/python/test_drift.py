"""Drift of the demo against pandas and scipy, what raises an alarm and what does not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
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
from building import ROOT, WITHOUT_TESTS, Project, query, seed_row
from plain_drift import Bins
from throughline import seeds, workspace
from throughline.simulate import simulate

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


# Cases


@dataclass(frozen=True, kw_only=True)
class Case:
    """A model with four sound weeks of reference and a fifth that is judged."""

    model_id: str
    amounts: Callable[[np.random.Generator, int, bool], Any]
    status: str
    kinds: str | None = None
    feature: str = "amount"
    kind_names: Callable[[np.random.Generator, int, bool], Any] | None = None
    rows: int = 1_000
    repeats: int = 1
    is_weighted: bool = False


def normal(random: np.random.Generator, count: int, is_now: bool) -> Any:
    return random.normal(50, 10, count)


def shifted(random: np.random.Generator, count: int, is_now: bool) -> Any:
    return random.normal(50 + 2.5 * is_now, 10, count)


def with_outlier(draw: Callable[..., Any]) -> Callable[..., Any]:
    def drawn(random: np.random.Generator, count: int, is_now: bool) -> Any:
        return np.append(draw(random, count - 1, is_now), 1e9)

    return drawn


def half_lost(random: np.random.Generator, count: int, is_now: bool) -> Any:
    values = random.normal(50, 10, count)
    return np.where(is_now & (random.random(count) < 0.5), np.nan, values)


def constant(random: np.random.Generator, count: int, is_now: bool) -> Any:
    return np.where(is_now & (random.random(count) < 0.5), np.nan, 7)


def with_zeros(random: np.random.Generator, count: int, is_now: bool) -> Any:
    """A mass at one value that grows, within the decile that it lies in."""
    return np.where(random.random(count) < 0.3 + 0.1 * is_now, 0, random.exponential(9, count))


def two_kinds(random: np.random.Generator, count: int, is_now: bool) -> Any:
    return random.choice(["a", "b"], count)


def one_more(random: np.random.Generator, count: int, is_now: bool) -> Any:
    known = random.choice(["a", "b", "c"], count)
    return np.where(is_now & (random.random(count) < 0.05), "d", known)


def long_tail(random: np.random.Generator, count: int, is_now: bool) -> Any:
    """A tenth of the rows have a name that no other row has."""
    alone = [f"{is_now}{place}" for place in random.permutation(10 * count)[:count]]
    return np.where(random.random(count) < 0.1, alone, random.choice(["a", "b"], count))


CASES = (
    Case(model_id="sound", amounts=normal, status="stable"),
    Case(model_id="outlier", amounts=with_outlier(normal), status="stable", rows=10_000),
    Case(
        model_id="hidden",
        amounts=with_outlier(shifted),
        status="drift",
        kinds="psi",
        rows=10_000,
    ),
    Case(model_id="lost", amounts=half_lost, status="drift", kinds="psi, missing"),
    Case(model_id="constant", amounts=constant, status="drift", kinds="missing"),
    Case(model_id="zeros", amounts=with_zeros, status="drift", kinds="psi"),
    Case(model_id="small", amounts=shifted, status="not_ready", rows=90),
    Case(model_id="repeated", amounts=shifted, status="not_ready", repeats=20),
    Case(model_id="weighted", amounts=shifted, status="drift", kinds="psi", is_weighted=True),
    Case(
        model_id="new",
        amounts=normal,
        feature="kind",
        kind_names=one_more,
        status="drift",
        kinds="new_category",
    ),
    Case(model_id="tail", amounts=normal, feature="kind", kind_names=long_tail, status="stable"),
)
CASE_SETTINGS = {
    "as_of": "2026-02-10 00:00:00",
    "inputs": ["prediction_logs"],
    "segments": [],
    "protected_attributes": [],
    "numeric_features": ["amount"],
    "categorical_features": ["kind"],
    "feature_importance": {"amount": 3, "kind": 1},
}
BEGINS = pd.Timestamp("2026-01-05")
# a model for the generic tests, with one that holds and one that fails of each
GENERIC_YML = """\
version: 2
models:
  - name: case_rows
    data_tests:
      - label_coverage_above: {name: sound_labels, arguments: {minimum: 0.4, label: half}}
      - label_coverage_above:
          name: broken_labels
          arguments: {minimum: 0.5, label: half, is_due: number >= 0, by: [is_now]}
    columns:
      - name: number
        data_tests:
          - psi_below: {name: sound_psi, arguments: {reference: not is_now, now: is_now}}
      - name: moved
        data_tests:
          - psi_below: {name: broken_psi, arguments: {reference: not is_now, now: is_now}}
          - psi_below:
              name: sound_psi_of_few
              arguments: {reference: not is_now, now: is_now, minimum_count: 1000}
      - name: half
        data_tests:
          - missing_share_below: {name: sound_share, arguments: {maximum: 0.51}}
          - missing_share_below:
              name: broken_share
              arguments: {maximum: 0.5, where_true: is_now}
      - name: word
        data_tests:
          - no_new_category:
              name: sound_words
              arguments: {reference: not is_now, now: is_now, maximum: 0.01}
          - no_new_category:
              name: broken_words
              arguments: {reference: not is_now, now: is_now}
"""
GENERIC_SQL = """\
-- One row per number.
select
    number,
    case when is_now then number + 100 else number end as moved,
    case when mod(number, 2) = 0 then number end as half,
    case when is_now and number = 7 then 'new' when number > 3 then 'known' end as word,
    is_now
from (
    select cast(range as double) as number, false as is_now from range(600)
    union all
    select cast(range as double) as number, true as is_now from range(600)
)
"""


def rows_of(case: Case, random: np.random.Generator) -> pd.DataFrame:
    parts = []
    for week in range(5):
        is_now = week == 4
        count = case.rows
        day = BEGINS + pd.Timedelta(days=7 * week) + pd.to_timedelta(np.arange(count) % 7, unit="D")
        names = (case.kind_names or two_kinds)(random, count, is_now)
        parts.append(
            pd.DataFrame(
                {
                    "prediction_id": [f"{case.model_id}-{week}-{n}" for n in range(count)],
                    "model_id": case.model_id,
                    "model_version": "1",
                    "predicted_at": day + pd.Timedelta(hours=9),
                    "entity_id": [f"e{week}-{n // case.repeats}" for n in range(count)],
                    "score": 0.5,
                    "amount": case.amounts(random, count, is_now),
                    "kind": names,
                    "sampling_fraction": random.choice([0.5, 1.0], count)
                    if case.is_weighted
                    else 1.0,
                    "loaded_at": day + pd.Timedelta(hours=10),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def case_rows() -> pd.DataFrame:
    random = np.random.default_rng(5)
    return pd.concat([rows_of(case, random) for case in CASES], ignore_index=True)


@pytest.fixture(scope="module")
def case_project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project.without_comments(tmp_path_factory.mktemp("drift") / "project")


@pytest.fixture(scope="module")
def cases(case_project: Project, case_rows: pd.DataFrame) -> Path:
    folder = case_project.root / "cases"
    headers = {name: spec.header for name, spec in seeds.read_specs(case_project.root).items()}
    workspace.create(folder, project=case_project.root, headers=headers)
    shared = {"task": "binary", "horizon_days": "1", "label_delay_days": "0"}
    shared |= {"negative_on_absence": "false", "label_outcome": "x", "positive_label": "true"}
    shared |= {"label_is": "gain", "decision_threshold": "0.5", "owner": "Ann", "rationale": "why"}
    shared |= {"model_name": "m", "product": "p", "team": "t", "charter": "c"}
    with (folder / "seeds/model_registry.csv").open("a") as file:
        for case in CASES:
            file.write(seed_row("model_registry", model_id=case.model_id, **shared) + "\n")
    (folder / "vars.yml").write_text(yaml.safe_dump(CASE_SETTINGS))
    with duckdb.connect() as connection:
        connection.register("rows", case_rows)
        path = folder / "raw/prediction_logs/rows.parquet"
        connection.execute(f"copy (from rows) to '{path}' (format parquet)")
    run = case_project.build(folder, *WITHOUT_TESTS, "--select", "+mart_drift")
    assert run.status == 0, run.output
    return folder


def week_of(folder: Path, case: Case) -> pd.Series[Any]:
    (row,) = [
        row
        for _, row in query(
            folder,
            f"select * from mart_drift where model_id = '{case.model_id}' and period = 'week' "
            f"and model_version = 'all' and feature = '{case.feature}' "
            "and period_start_date = '2026-02-02'",
        ).iterrows()
    ]
    return row


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.model_id)
def test_what_raises_an_alarm(cases: Path, case_rows: pd.DataFrame, case: Case) -> None:
    row = week_of(cases, case)
    assert row.status == case.status
    assert (None if pd.isna(row.drift_kind) else row.drift_kind) == case.kinds
    if case.status == "not_ready":
        assert row.reason == "too_few_units"
        assert pd.isna(row.psi)
        return
    rows = case_rows[case_rows.model_id == case.model_id]
    is_now = rows.predicted_at >= pd.Timestamp("2026-02-02")
    weights, values = 1 / rows.sampling_fraction, rows[case.feature]
    before = rows[~is_now]
    bins: Bins
    if case.feature == "amount":
        bins = plain_drift.bins_of_numbers(before.amount)
    else:
        bins = plain_drift.bins_of_categories(before.kind, before.entity_id)
    plain = plain_drift.verdict(
        bins,
        plain_drift.shares(bins.of(values[~is_now]), weights[~is_now]),
        plain_drift.shares(bins.of(values[is_now]), weights[is_now]),
        reference_count=plain_drift.effective(weights[~is_now], rows.entity_id[~is_now]),
        count=plain_drift.effective(weights[is_now], rows.entity_id[is_now]),
    )
    for name in ("psi", "jensen_shannon_distance", "missing_share", "missing_share_change"):
        assert row[name] == pytest.approx(plain[name], rel=1e-9, abs=1e-12, nan_ok=True)
    assert row.status == plain["status"]


def test_bins_are_values_that_were_delivered(cases: Path, case_rows: pd.DataFrame) -> None:
    edges = query(cases, "select * from int_feature_edges where feature = 'amount'")
    for model_id, found in edges.groupby("model_id"):
        before = case_rows[
            (case_rows.model_id == model_id) & (case_rows.predicted_at < pd.Timestamp("2026-02-02"))
        ].amount
        deciles = np.quantile(before, np.arange(1, 10) / 10, method="inverted_cdf")
        lower = found[found.bin.str.startswith("q")].lower_bound.dropna().sort_values()
        assert list(lower) == list(np.unique(deciles))
        counts = before.value_counts()
        points = found[found.bin.str.startswith("p")].lower_bound
        assert set(points) == set(counts.index[counts > len(before) / 100])
        assert found.reference_row_count.sum() == len(before)


def test_importance_weighs_the_drifted_features(cases: Path) -> None:
    (lost,) = (case for case in CASES if case.model_id == "lost")
    row = week_of(cases, lost)
    # amount drifted and weighs 3 of 4, the one category did not
    assert (row.drifted_share, row.importance_drifted_share) == (0.5, 0.75)


def test_generic_tests_tell_broken_from_sound(case_project: Project, cases: Path) -> None:
    place = case_project.root / "models/quality"
    (place / "case_rows.sql").write_text(GENERIC_SQL)
    (place / "case_rows.yml").write_text(GENERIC_YML)
    try:
        run = case_project.build(cases, "--select", "case_rows")
    finally:
        (place / "case_rows.sql").unlink()
        (place / "case_rows.yml").unlink()
    passed = {name.split(".")[2] for name in run.well if name.startswith("test.")}
    assert passed == {
        *("sound_labels", "sound_psi", "sound_psi_of_few", "sound_share", "sound_words"),
    }
    for name in ("broken_labels", "broken_psi", "broken_share", "broken_words"):
        assert f"FAIL 1 {name} " in run.output or f"FAIL 2 {name} " in run.output, run.output


# Rates


def alarms(
    *,
    reference_count: int,
    count: int,
    shift: float,
    draw: Callable[[np.random.Generator, int], Any],
    repetitions: int,
    seed: int,
) -> float:
    """Share of feature-weeks with an alarm; each reference is followed by ten weeks."""
    random = np.random.default_rng(seed)
    found = []
    for _ in range(repetitions // 10):
        reference = pd.Series(draw(random, reference_count))
        bins = plain_drift.bins_of_numbers(reference)
        ones = pd.Series(np.ones(reference_count))
        before = plain_drift.shares(bins.of(reference), ones)
        for _ in range(10):
            values = pd.Series(draw(random, count) + shift)
            now = plain_drift.shares(bins.of(values), pd.Series(np.ones(count)))
            said = plain_drift.verdict(
                bins, before, now, reference_count=reference_count, count=count
            )
            found.append(said["status"] == "drift")
    return float(np.mean(found))


def whole_years(random: np.random.Generator, count: int) -> Any:
    return np.round(random.normal(40, 12, count))


def tenths(random: np.random.Generator, count: int) -> Any:
    """Rounded so that many values hold some 1 % of the rows."""
    return np.round(random.exponential(9, count), 1)


def standard(random: np.random.Generator, count: int) -> Any:
    return random.normal(size=count)


@pytest.mark.simulation
@pytest.mark.parametrize("draw", [standard, whole_years, tenths], ids=lambda draw: draw.__name__)
@pytest.mark.parametrize(("reference_count", "count"), [(400, 100), (2_800, 700), (4_000, 1_000)])
def test_at_most_one_false_alarm_in_100_feature_weeks(
    draw: Callable[[np.random.Generator, int], Any], reference_count: int, count: int
) -> None:
    rate = alarms(
        reference_count=reference_count,
        count=count,
        shift=0,
        draw=draw,
        repetitions=2_000,
        seed=11,
    )
    assert rate * 2_000 <= stats.binom.ppf(0.99, 2_000, 0.01)


@pytest.mark.simulation
@pytest.mark.parametrize(("draw", "deviation"), [(standard, 1.0), (whole_years, 12.0)])
def test_a_shift_of_a_quarter_deviation_is_found(
    draw: Callable[[np.random.Generator, int], Any], deviation: float
) -> None:
    found = alarms(
        reference_count=4_000,
        count=1_000,
        shift=0.25 * deviation,
        draw=draw,
        repetitions=500,
        seed=12,
    )
    assert found >= 0.9


def delivered_features(workspace_folder: Path) -> pd.DataFrame:
    """The decisions in production with their features, the latest copy of each."""
    with duckdb.connect() as connection:
        rows: pd.DataFrame = connection.sql(
            f"""
            select * from '{workspace_folder}/raw/prediction_logs/*.parquet'
            where loaded_at <= timestamp '{AS_OF}' and coalesce(environment, 'prod') = 'prod'
                and entity_id is not null and predicted_at <= timestamp '{AS_OF}'
                and model_id in ('lead_scoring', 'fraud_detection', 'next_best_offer')
            qualify row_number() over (partition by prediction_id order by loaded_at desc) = 1
            """
        ).df()
    day = rows.predicted_at.dt.normalize()
    return rows.assign(
        day=day,
        week=day - pd.to_timedelta(day.dt.day_of_week, unit="D"),
        weight=1.0,
    )


@pytest.mark.simulation
def test_plants_of_twenty_companies_are_found_and_little_else(tmp_path: Path) -> None:
    numbers = ["company_size", "days_since_contact", "payment_amount", "score"]
    categories = ["industry", "merchant_category", "offer_category", "predicted_label"]
    wrong, judged, held, found = 0, 0, 0, 0
    for seed in range(20):
        folder = tmp_path / str(seed)
        simulate(out=folder, predictions=60_000, days=120, seed=seed)
        rows = []
        for model_id, part in delivered_features(folder).groupby("model_id"):
            for feature in numbers + categories:
                is_number = feature in numbers
                rows += [
                    row | {"model_id": model_id}
                    for row in drift_of(part, feature=feature, is_number=is_number)
                ]
        weeks = pd.DataFrame(rows)
        weeks = weeks[(weeks.model_version == "all") & (weeks.period == "week")]
        weeks["period_end_date"] = weeks.period_start_date + pd.Timedelta(days=6)
        outside = (weeks.period_end_date < REFERENCE[0]) | (weeks.period_start_date > REFERENCE[1])
        weeks = weeks[outside & (weeks.period_end_date < AS_OF) & (weeks.status != "not_ready")]
        explained = pd.Series(False, index=weeks.index)
        for drift in planted(folder).itertuples():
            within = is_within(drift, weeks)
            explained |= within
            if not drift.is_consequence:
                said = weeks[within].kinds
                held += len(said)
                found += sum(drift.kind in kinds for kinds in said)
        wrong += int((weeks[~explained].status == "drift").sum())
        judged += int((~explained).sum())
        shutil.rmtree(folder)
    assert judged > 1_000
    assert wrong <= stats.binom.ppf(0.99, judged, 0.01)
    assert found >= 0.98 * held
