"""Two hundred random sets of scores, by the compiled SQL of the models, against scikit-learn.

The sets have ties, weights, decisions without a label or a score, one class, rare positives and
skewed scores. Numbers a and b agree where |a - b| <= 1e-9 max(1, |b|).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest
import sklearn.metrics as sk
from scipy.stats import beta, norm, skew

COMPILED = Path(__file__).resolve().parents[1] / "compiled"
SETS = 200
FIRST_DAY, JUDGED_THROUGH = "2026-05-01", "2026-06-01"
# each reads those before it
ORDER = ("int_score_edges", "fct_score_bins", "int_exact_score_shapes", "int_score_periods")
VERSIONS = (
    *("int_judged_periods", "int_version_predecessors"),
    *("int_version_pairs", "int_version_comparisons"),
)
CURVES = (
    *("int_score_edges", "fct_score_bins", "int_judged_periods"),
    *("int_score_bin_periods", "int_threshold_curves"),
)
# sets whose threshold is the one that earns most, and sets whose threshold is not
BEST, BAD = 100, 20


def random_set(seed: int) -> pd.DataFrame:
    """Decisions of one model over some days."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(40, 1_500))
    label = (rng.uniform(size=n) < rng.choice([0.5, 0.2, 0.02])).astype(float)
    if seed % 10 == 0:
        label[:] = seed % 20 == 0
    low, high = sorted(rng.uniform(0.3, 6, 2))
    score = np.where(label == 1, beta.rvs(high, low, size=n, random_state=rng), 0.0)
    score = np.where(label == 0, beta.rvs(low, high, size=n, random_state=rng), score)
    # every other set is skewed: most scores are within a thousandth; the others may be a few values
    score = [score, score**4, np.round(score, 1), np.round(score**4, 3)][seed % 4]
    score = np.clip(score, 1e-6, 1 - 1e-6)
    weight = rng.choice([1.0, 2.0, 12.5], n) if seed % 3 else np.ones(n)
    state = rng.choice(["matured", "unlabelled", "pending"], n, p=[0.8, 0.1, 0.1])
    matured = (state == "matured") * weight
    cell = np.where(
        label == 1, np.where(score >= 0.5, "tp", "fn"), np.where(score >= 0.5, "fp", "tn")
    )
    return pd.DataFrame(
        {
            "model_id": f"set_{seed:03}",
            "model_version": rng.choice(["1", "2"], n) if seed % 5 == 1 else "1",
            "entity_id": [str(row) for row in range(n)],
            "channel": rng.choice(["web", "app"], n),
            "label_state": state,
            "confusion_cell": pd.Series(cell).where(matured > 0, None),
            "score": np.where(rng.uniform(size=n) < 0.03, np.nan, score),
            "decision_threshold": 0.5,
            "propensity": np.nan,
            "sampling_weight": weight,
            "decision_count": weight,
            "matured_count": matured,
            "pending_count": (state == "pending") * weight,
            "unlabelled_count": (state == "unlabelled") * weight,
            "late_label_count": 0.0,
            "actual_positive_count": matured * label,
            "credited_amount": 0.0,
            "value_amount": 0.0,
            "decision_date": pd.Timestamp(FIRST_DAY) + pd.to_timedelta(rng.integers(0, 20, n), "D"),
        }
    )


def calibrated_set(seed: int, *, name: str, threshold: float, n: int) -> pd.DataFrame:
    """Scores that are true; a hit brings 4, a false alarm costs 1, so 0.2 is best."""
    rng = np.random.default_rng(seed)
    score = beta.rvs(1, 6, size=n, random_state=rng)
    label = rng.uniform(size=n) < score
    selected = score >= threshold
    cell = np.select([selected & label, selected, label], ["tp", "fp", "fn"], "tn")
    return pd.DataFrame(
        {
            "model_id": f"{name}_{seed:03}",
            "model_version": "1",
            "entity_id": [str(row) for row in range(n)],
            "label_state": "matured",
            "confusion_cell": cell,
            "score": score,
            "decision_threshold": threshold,
            "propensity": np.nan,
            **dict.fromkeys(["sampling_weight", "decision_count", "matured_count"], 1.0),
            **dict.fromkeys(
                ["pending_count", "unlabelled_count", "late_label_count", "credited_amount"], 0.0
            ),
            "actual_positive_count": label.astype(float),
            "value_amount": np.select([cell == "tp", cell == "fp"], [4.0, -1.0], 0.0),
            "decision_date": pd.Timestamp(FIRST_DAY) + pd.to_timedelta(rng.integers(0, 31, n), "D"),
        }
    )


@pytest.fixture(scope="module")
def decisions() -> pd.DataFrame:
    return pd.concat([random_set(seed) for seed in range(SETS)], ignore_index=True)


@pytest.fixture(scope="module")
def built(decisions: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """What the models make of the sets."""
    return build(decisions, *ORDER, *VERSIONS)


def build(decisions: pd.DataFrame, *chain: str) -> dict[str, pd.DataFrame]:
    days = pd.date_range(FIRST_DAY, JUDGED_THROUGH)
    first, last = days[0], days[-1]
    models = pd.DataFrame({"model_id": decisions.model_id.unique()}).assign(
        task="binary",
        score_is_probability=True,
        outcome_depends_on_action=False,
        reference_from=None,
        reference_to=None,
    )
    amounts = {"tp": 4.0, "fp": -1.0, "fn": 0.0, "tn": 0.0}
    given = {
        "fct_decisions": decisions,
        "dim_models": models,
        "dim_dates": pd.DataFrame(
            {"date_day": days, "month_start_date": days.to_period("M").start_time}
        ).assign(is_complete=True),
        "int_model_spans": models[["model_id"]].assign(
            first_decision_date=first, judged_through=last
        ),
        "cfg_unit_values": models[["model_id"]]
        .merge(
            pd.DataFrame({"cell": amounts.keys(), "fixed_amount": amounts.values()}), how="cross"
        )
        .assign(amount_coefficient=0.0, currency="USD", valid_from=first, valid_to=pd.NaT),
        "cfg_exchange_rates": pd.DataFrame(
            {"currency": ["USD"], "rate": 1.0, "valid_from": first, "valid_to": pd.NaT}
        ),
        "int_watermarks": models[["model_id"]].assign(source_name="amounts", known_through=last),
        "int_version_splits": pd.DataFrame(
            {
                **{name: ["none"] for name in ("model_id", "model_version", "compared_with")},
                "is_randomised": True,
            }
        ),
    }
    made = {}
    with duckdb.connect() as connection:
        for name, frame in given.items():
            connection.register("given", frame)
            replaced = [
                f"cast({column} as date) as {column}"
                for column in frame
                if str(column).endswith(("_date", "_day", "_from", "_to", "_through"))
            ]
            if name == "fct_decisions":
                # a score that is missing is NULL in one half of the sets and no number in the other
                replaced.append("if(model_id < 'set_100', nullif(score, 'nan'), score) as score")
            select = f"* replace ({', '.join(replaced)})" if replaced else "*"
            connection.execute(f"create table {name} as select {select} from given")
        for column in ("channel", "device", "region"):
            connection.execute(f"alter table fct_decisions add column if not exists {column} text")
        for name in chain:
            text = (COMPILED / f"{name}.sql.txt").read_text(encoding="utf-8")
            sql = re.sub(r'"\w+"\."\w+"\."(\w+)"', r"\1", text)
            connection.execute(f"create table {name} as {sql}")
            made[name] = connection.sql(f"from {name}").df()
    return made


def judged_rows(decisions: pd.DataFrame) -> pd.DataFrame:
    rows = decisions[(decisions.label_state == "matured") & decisions.score.notna()]
    return rows.assign(label=(rows.actual_positive_count > 0).astype(int))


def whole(periods: pd.DataFrame, period: str, end: str) -> pd.DataFrame:
    found = periods[
        (periods.period == period)
        & (periods.period_end_date == end)
        & (periods.model_version == "all")
        & (periods.segment_name == "all")
    ]
    return found.set_index("model_id")


def same(found: Any, wanted: float) -> None:
    assert abs(float(found) - wanted) <= 1e-9 * max(1.0, abs(wanted))


def test_single_scores_equal_scikit_learn(
    decisions: pd.DataFrame, built: dict[str, pd.DataFrame]
) -> None:
    found = whole(built["int_score_periods"], "all", JUDGED_THROUGH)
    assert len(found) == SETS
    assert found.is_exact.all()
    reasons: dict[str | None, int] = {}
    for model_id, rows in judged_rows(decisions).groupby("model_id"):
        cell, y, p, w = found.loc[model_id], rows.label, rows.score, rows.sampling_weight
        reasons[cell.reason] = reasons.get(cell.reason, 0) + 1
        same(cell.brier_score, sk.brier_score_loss(y, p, sample_weight=w))
        same(cell.log_loss, sk.log_loss(y, p, sample_weight=w, labels=[0, 1]))
        if y.nunique() == 1:
            assert cell.reason == "one_class"
            assert cell[["roc_auc", "average_precision", "ks"]].isna().all()
            continue
        same(cell.roc_auc, sk.roc_auc_score(y, p, sample_weight=w))
        same(cell.average_precision, sk.average_precision_score(y, p, sample_weight=w))
        wrong, right, _ = sk.roc_curve(y, p, sample_weight=w, drop_intermediate=False)
        same(cell.ks, np.abs(right - wrong).max())
        same(cell.observed_expected_ratio, (w * y).sum() / (w * p).sum())
    assert reasons["one_class"] >= SETS / 10


def test_bins_bound_what_scikit_learn_finds(
    decisions: pd.DataFrame, built: dict[str, pd.DataFrame]
) -> None:
    """Of the days up to the 25th, which hold all decisions and are not the newest."""
    found = whole(built["int_score_periods"], "28d", "2026-05-25")
    assert len(found) == SETS
    assert not found.is_exact.any()
    widths, skewed = [], 0
    for model_id, rows in judged_rows(decisions).groupby("model_id"):
        cell, y, p, w = found.loc[model_id], rows.label, rows.score, rows.sampling_weight
        if y.nunique() == 1:
            continue
        auc = sk.roc_auc_score(y, p, sample_weight=w)
        assert abs(cell.roc_auc - auc) <= cell.roc_auc_bound + 1e-12
        precision = sk.average_precision_score(y, p, sample_weight=w)
        assert (
            cell.average_precision_low - 1e-12 <= precision <= cell.average_precision_high + 1e-12
        )
        widths.append(cell.roc_auc_bound)
        skewed += skew(p) > 1
        # sums need no order
        exact = whole(built["int_score_periods"], "all", JUDGED_THROUGH).loc[model_id]
        same(cell.brier_score, exact.brier_score)
        same(cell.calibration_error, exact.calibration_error)
    assert np.median(widths) < 0.01
    assert skewed >= 100


def test_sums_of_bins_are_those_of_the_rows(
    decisions: pd.DataFrame, built: dict[str, pd.DataFrame]
) -> None:
    bins = built["fct_score_bins"]
    for segment in ("all", "channel", "device"):
        found = bins[bins.segment_name == segment].groupby("model_id")
        columns = ["decision_count", "matured_count", "pending_count", "unlabelled_count"]
        plain = decisions.groupby("model_id")[columns].sum()
        pd.testing.assert_frame_equal(found[columns].sum(), plain, rtol=1e-9)
    missing = (
        bins[bins.is_missing & (bins.segment_name == "all")].groupby("model_id").row_count.sum()
    )
    wanted = decisions[decisions.score.isna()].groupby("model_id").size()
    assert missing.to_dict() == wanted.to_dict()


def test_versions_are_compared_on_their_common_days(
    decisions: pd.DataFrame, built: dict[str, pd.DataFrame]
) -> None:
    found = built["int_version_comparisons"]
    found = found[found.period == "all"].set_index("model_id")
    rows = judged_rows(decisions)
    compared = 0
    for model_id, cell in found[found.reason.isna()].iterrows():
        of = rows[rows.model_id == model_id]
        versions = of.groupby("model_version").decision_date.min().sort_values(kind="stable").index
        days = [set(of.decision_date[of.model_version == version]) for version in versions]
        common = of[of.decision_date.isin(days[0] & days[1])]
        assert cell.common_days == common.decision_date.nunique()
        auc = [
            sk.roc_auc_score(side.label, side.score, sample_weight=side.sampling_weight)
            for side in (common[common.model_version == version] for version in versions)
        ]
        assert (cell.compared_with, cell.model_version) == tuple(versions)
        assert abs(cell.roc_auc_difference - (auc[1] - auc[0])) < 0.05
        assert cell.roc_auc_difference_low < auc[1] - auc[0] < cell.roc_auc_difference_high
        compared += 1
    assert compared > 10
    assert set(found.reason.dropna()) <= {"too_few_units", "one_class"}


def test_a_bad_threshold_is_found_and_the_best_one_is_not_blamed() -> None:
    sets = [calibrated_set(seed, name="best", threshold=0.2, n=3_000) for seed in range(BEST)]
    sets += [calibrated_set(seed, name="bad", threshold=0.4, n=12_000) for seed in range(BAD)]
    curves = build(pd.concat(sets, ignore_index=True), *CURVES)["int_threshold_curves"]
    told = curves[(curves.period == "all") & curves.is_best].set_index("model_id")
    is_bad = told.index.str.startswith("bad")
    assert told.best_threshold[is_bad].between(0.1, 0.35).all()
    assert (told.money_left_amount[is_bad] > 0).all()
    claims = (told.money_left_amount[~is_bad] > 0).sum()
    assert len(told[~is_bad]) == BEST
    assert claims <= 5
    assert (told.best_threshold[~is_bad] == 0.2).sum() == BEST - claims
    # what the threshold in force is worth is what was earned
    in_force = curves[curves.is_threshold_in_force]
    assert np.allclose(in_force.value_amount, in_force.actual_value_amount, rtol=1e-9)


@pytest.mark.parametrize("weighting", ["equal", "by chance", "by score"])
def test_intervals_cover_the_true_auc(weighting: str) -> None:
    """Two normal distributions, 600 times: of a hundred positives, or as many as tell as much."""
    sets, shift, runs = [], 1.0, 600
    for seed in range(runs):
        rng = np.random.default_rng(10_000 + seed)
        n = 600 if weighting == "equal" else 1_200
        label = np.arange(n) < n // 6
        score = norm.cdf(rng.normal(size=n) + shift * label)
        weight = np.ones(n)
        if weighting == "by chance":
            weight = rng.choice([1.0, 2.0, 8.0], n)
        if weighting == "by score":
            # of low scores one in five is logged
            weight = np.where(score < 0.7, 5.0, 1.0)
        is_logged = rng.uniform(size=n) < (1 / weight if weighting == "by score" else 1)
        made = calibrated_set(seed, name="normal", threshold=0.5, n=n)
        made = made.assign(
            score=score,
            sampling_weight=weight,
            decision_count=weight,
            matured_count=weight,
            actual_positive_count=weight * label,
        )
        sets.append(made[is_logged])
    chain = ("int_score_edges", "fct_score_bins", "int_exact_score_shapes")
    shapes = build(pd.concat(sets, ignore_index=True), *chain)["int_exact_score_shapes"]
    found = whole(shapes, "all", JUDGED_THROUGH)
    true = norm.cdf(shift / np.sqrt(2))
    assert len(found) == runs
    assert 0.93 <= ((found.roc_auc_low < true) & (true < found.roc_auc_high)).mean() <= 0.97
