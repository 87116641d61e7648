"""Bins of scores, and what is told from them, against numpy on the single decisions."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from scipy.stats import binomtest, norm, rankdata

import histories
from building import WITHOUT_TESTS, Project, query
from throughline import seeds

Numbers = npt.NDArray[np.float64]
MEANS = {"regression": "mae", "multiclass": "accuracy"}
CELL = ["model_id", "model_version", "segment_name", "segment_value", "period", "period_end_date"]


@pytest.fixture(scope="module")
def scored(demo: Path) -> pd.DataFrame:
    """Every decision of the demo that has a score, with what is known of its label."""
    return query(
        demo,
        "select decisions.*, reference_from, reference_to, score_is_probability "
        "from fct_decisions as decisions join dim_models as models using (model_id) "
        "where score is not null and models.task in ('binary', 'ranking')",
    )


@pytest.fixture(scope="module")
def judged(scored: pd.DataFrame) -> pd.DataFrame:
    matured = scored[scored.label_state == "matured"].copy()
    matured["label"] = (matured.actual_positive_count > 0).astype(float)
    return matured


@pytest.fixture(scope="module")
def periods(demo: Path) -> pd.DataFrame:
    return query(demo, "from int_score_periods")


def auc_of(score: Numbers, label: Numbers) -> float:
    ranks = rankdata(score)
    positives = label.sum()
    below = ranks[label == 1].sum() - positives * (positives + 1) / 2
    return float(below / (positives * (len(label) - positives)))


def average_precision_of(score: Numbers, label: Numbers) -> float:
    """Recall gained times precision, over distinct scores from the top."""
    total, before, found = label.sum(), 0.0, 0.0
    for value in np.unique(score)[::-1]:
        selected = score >= value
        now = label[selected].sum()
        found += (now - before) / total * now / selected.sum()
        before = now
    return float(found)


def auc_error_of(score: Numbers, label: Numbers) -> float:
    """DeLong's standard error from all pairs."""
    high, low = score[label == 1][:, None], score[label == 0][None, :]
    wins = (high > low) + 0.5 * (high == low)
    by_positive, by_negative = wins.mean(axis=1), wins.mean(axis=0)
    return float(
        np.sqrt(
            by_positive.var(ddof=1) / len(by_positive) + by_negative.var(ddof=1) / wins.shape[1]
        )
    )


def rows_of(judged: pd.DataFrame, cell: Any, *, first: Any = None) -> pd.DataFrame:
    rows = judged[
        (judged.model_id == cell.model_id) & (judged.decision_date <= cell.period_end_date)
    ]
    if first is not None:
        rows = rows[rows.decision_date >= first]
    if cell.model_version != "all":
        rows = rows[rows.model_version == cell.model_version]
    if cell.segment_name != "all":
        rows = rows[rows[cell.segment_name].fillna("(unknown)") == cell.segment_value]
    return rows


def test_edges_are_quantiles_of_the_reference_days(demo: Path, scored: pd.DataFrame) -> None:
    edges = query(demo, "from int_score_edges")
    shares = np.concatenate(
        [np.arange(1, 50) / 50, np.arange(225, 250) / 250, np.arange(2475, 2500) / 2500]
    )
    for model_id, rows in scored.groupby("model_id"):
        days = rows.decision_date.between(rows.reference_from.iloc[0], rows.reference_to.iloc[0])
        reference = rows.score[days].to_numpy()
        wanted = set(np.quantile(reference, shares, method="inverted_cdf"))
        values, counts = np.unique(reference, return_counts=True)
        heavy = set(values[counts * 100 > len(reference)])
        thresholds = set(rows.decision_threshold.dropna())
        found = edges[(edges.model_id == model_id) & edges.lower_edge.notna()]
        assert set(found.lower_edge) == wanted | heavy | thresholds
        assert set(found.lower_edge[found.is_point_mass]) == heavy
        assert set(found.lower_edge[found.is_threshold]) == thresholds
        assert found.lower_edge[found.is_threshold_in_force].size == 1


def bin_of(edges: pd.DataFrame, score: Numbers) -> npt.NDArray[np.int64]:
    """The bin of each score, one by one through the edges."""
    bins = np.ones(len(score), dtype=np.int64)
    for edge in edges[edges.lower_edge.notna()].sort_values("bin_number").itertuples():
        reached = score > edge.lower_edge if edge.is_left_open else score >= edge.lower_edge
        bins[reached] = edge.bin_number
    return bins


def test_bins_add_up_to_the_decisions(
    demo: Path, scored: pd.DataFrame, judged: pd.DataFrame
) -> None:
    edges = query(demo, "from int_score_edges")
    built = query(
        demo,
        "select model_id, bin_number, segment_name, sum(row_count) as rows, "
        "sum(positive_count) as positives, sum(negative_weight_squares) as squares, "
        "sum(score_sum) as score, sum(squared_error_sum) as error, sum(value_amount) as value "
        "from fct_score_bins where not is_missing group by all",
    )
    for (model_id, _), found in built.groupby(["model_id", "segment_name"]):
        rows = scored[scored.model_id == model_id]
        if rows.empty:
            continue
        bins = bin_of(edges[edges.model_id == model_id], rows.score.to_numpy())
        rows = rows.assign(bin_number=bins)
        known = judged[judged.model_id == model_id].join(rows.bin_number)
        plain = pd.DataFrame(
            {
                "rows": rows.groupby("bin_number").size(),
                "positives": known.label.groupby(known.bin_number).sum(),
                "squares": (1 - known.label).groupby(known.bin_number).sum(),
                "score": known.score.groupby(known.bin_number).sum(),
                "error": ((known.score - known.label) ** 2).groupby(known.bin_number).sum(),
                "value": rows.value_amount.groupby(rows.bin_number).sum(),
            }
        ).fillna(0)
        found = found.set_index("bin_number").sort_index()[plain.columns]
        pd.testing.assert_frame_equal(
            found.astype(float), plain.astype(float), check_names=False, rtol=1e-9, atol=1e-9
        )


def test_numbers_of_all_days_are_those_of_the_single_scores(
    periods: pd.DataFrame, judged: pd.DataFrame
) -> None:
    cells = periods[(periods.period == "all") & periods.roc_auc.notna()]
    assert cells.is_exact.all()
    assert len(cells) > 30
    for cell in cells.itertuples():
        rows = rows_of(judged, cell)
        score, label = rows.score.to_numpy(), rows.label.to_numpy()
        assert len(rows) == cell.judged_count
        assert cell.roc_auc == pytest.approx(auc_of(score, label), abs=1e-9)
        assert cell.roc_auc_bound == 0
        if cell.segment_name == "all":
            wanted = average_precision_of(score, label)
            assert cell.average_precision == pytest.approx(wanted, abs=1e-9)
            assert cell.average_precision_low == cell.average_precision_high
        order = np.argsort(score, kind="stable")
        shares = [np.cumsum(side[order]) / side.sum() for side in (label, 1 - label)]
        last = np.append(np.diff(score[order]) > 0, True)
        assert cell.ks == pytest.approx(np.abs(shares[0] - shares[1])[last].max(), abs=1e-9)
        if rows.score_is_probability.iloc[0]:
            gap = (1 - 2 * score) ** 2 * score * (1 - score)
            z = ((label - score) * (1 - 2 * score)).sum() / np.sqrt(gap.sum())
            given = np.clip(np.where(label == 1, score, 1 - score), 1e-15, 1)
            assert cell.calibration_z == pytest.approx(z, rel=1e-9)
            assert cell.log_loss == pytest.approx(-np.log(given).mean(), abs=1e-9)
            assert cell.brier_score == pytest.approx(((score - label) ** 2).mean(), abs=1e-9)
            assert cell.observed_expected_ratio == pytest.approx(label.sum() / score.sum())


def test_intervals_are_delongs(periods: pd.DataFrame, judged: pd.DataFrame) -> None:
    cells = periods[(periods.period == "all") & periods.roc_auc_low.notna()]
    for cell in cells.nsmallest(4, "judged_count").itertuples():
        rows = rows_of(judged, cell)
        error = auc_error_of(rows.score.to_numpy(), rows.label.to_numpy())
        half = norm.ppf(0.975) * error / (cell.roc_auc * (1 - cell.roc_auc))
        logit = np.log(cell.roc_auc / (1 - cell.roc_auc))
        wanted = 1 / (1 + np.exp([-(logit - half), -(logit + half)]))
        assert [cell.roc_auc_low, cell.roc_auc_high] == pytest.approx(list(wanted), abs=1e-9)
    few = periods[periods[["positive_row_count", "negative_row_count"]].min(axis=1) < 20]
    assert few.roc_auc_low.isna().all()
    assert few.roc_auc.notna().any()


def test_binned_numbers_lie_within_their_bounds(
    periods: pd.DataFrame, judged: pd.DataFrame
) -> None:
    binned = periods[(periods.period == "28d") & ~periods.is_exact & periods.roc_auc.notna()]
    assert (binned.roc_auc_bound < 0.08).mean() > 0.9
    for cell in binned.sample(60, random_state=1).itertuples():
        first = cell.period_end_date - pd.Timedelta(days=27)
        rows = rows_of(judged, cell, first=first)
        score, label = rows.score.to_numpy(), rows.label.to_numpy()
        assert abs(cell.roc_auc - auc_of(score, label)) <= cell.roc_auc_bound + 1e-12
        true = average_precision_of(score, label)
        assert cell.average_precision_low - 1e-12 <= true <= cell.average_precision_high + 1e-12


def test_calibration_is_that_of_the_frozen_bins(
    demo: Path, periods: pd.DataFrame, judged: pd.DataFrame
) -> None:
    edges = query(demo, "from int_score_edges")
    cells = periods[(periods.period == "month") & periods.calibration_error.notna()]
    for cell in cells.sample(20, random_state=2).itertuples():
        first = cell.period_end_date.replace(day=1)
        rows = rows_of(judged, cell, first=first)
        rows = rows.assign(b=bin_of(edges[edges.model_id == cell.model_id], rows.score.to_numpy()))
        sums = (
            rows.assign(v=rows.score * (1 - rows.score)).groupby("b")[["score", "label", "v"]].sum()
        )
        error = (sums.score - sums.label).abs().sum() / len(rows)
        expected = np.sqrt(2 / np.pi * sums.v).sum() / len(rows)
        assert cell.calibration_error == pytest.approx(error, abs=1e-9)
        assert cell.calibration_error_expected == pytest.approx(expected, abs=1e-9)
    curve = query(demo, "from mart_calibration")
    monthly = curve[(curve.period == "month") & curve.mean_score.notna()]
    for row in monthly.sample(40, random_state=3).itertuples():
        first = row.period_end_date.replace(day=1)
        cell = row._asdict() | {"segment_name": "all", "segment_value": "all"}
        rows = rows_of(judged, SimpleNamespace(**cell), first=first)
        in_bin = bin_of(edges[edges.model_id == row.model_id], rows.score.to_numpy())
        rows = rows[in_bin == row.bin_number]
        assert len(rows) == row.judged_count
        assert row.mean_score == pytest.approx(rows.score.mean(), abs=1e-12)
        assert row.observed_share == pytest.approx(rows.label.mean(), abs=1e-12)
        wilson = binomtest(int(rows.label.sum()), len(rows)).proportion_ci(method="wilson")
        shown = (row.observed_share_low, row.observed_share_high)
        assert shown == pytest.approx((wilson.low, wilson.high), abs=1e-9)
    whole = curve[curve.period == "all"].groupby(["model_id", "model_version"]).judged_count.sum()
    counted = periods[(periods.period == "all") & (periods.segment_name == "all")]
    counted = counted[counted.calibration_error.notna()]
    assert (
        whole.to_dict() == counted.set_index(["model_id", "model_version"]).judged_count.to_dict()
    )


def test_the_mart_says_how_good_and_hides_what_the_values_hide(
    demo: Path, judged: pd.DataFrame
) -> None:
    quality = query(demo, "from mart_model_quality")
    whole = quality[(quality.period == "all") & (quality.segment_name == "all")]
    ready = whole[whole.mcc.notna()]
    assert set(ready.model_id) == {"fraud_detection", "lead_scoring"}
    for cell in ready.itertuples():
        rows = rows_of(judged, cell)
        selected = rows.confusion_cell.isin(["tp", "fp"]).astype(float)
        assert cell.matured_count == len(rows)
        assert cell.mcc == pytest.approx(np.corrcoef(selected, rows.label)[0, 1], abs=1e-9)
        hits = (selected * rows.label).sum()
        assert cell.f1 == pytest.approx(2 * hits / (selected.sum() + rows.label.sum()), abs=1e-9)
        assert cell.false_negative_rate == pytest.approx(1 - hits / rows.label.sum(), abs=1e-9)
    hidden = quality[quality.reason.isin(["private", "too_few_units", "labels_not_matured"])]
    numbers = ["roc_auc", "average_precision", "ks", "log_loss", "calibration_z", "prevalence"]
    assert len(hidden) > 100
    assert hidden[numbers].isna().all(axis=None)
    private = quality[quality.reason == "private"]
    assert len(private) > 0
    assert private[["matured_count", "pending_count", *numbers]].isna().all(axis=None)


def test_bounds_hold_however_missing_labels_turn_out(demo: Path) -> None:
    """The three numbers, with every missing label the worst and the best that it can be."""
    quality = query(demo, "from mart_model_quality where model_id = 'lead_scoring'")
    rows = query(demo, "from fct_decisions where model_id = 'lead_scoring'")
    whole = quality[(quality.period == "all") & (quality.segment_name == "all")]
    compared = 0
    for cell in whole[whole.accuracy.notna()].itertuples():
        own = rows[rows.decision_date <= cell.period_end_date]
        if cell.model_version != "all":
            own = own[own.model_version == cell.model_version]
        assert cell.late_label_count == own.late_label_count.sum()
        missing = own.label_state != "matured"
        called = own.confusion_cell.isin(["tp", "fp"]) | (own.excluded_positive_count > 0)
        right = own.correct_count > 0
        of = own.confusion_cell.notna() | missing
        is_known_yes = own.confusion_cell.isin(["tp", "fn"])
        for side, says_yes, is_right in (
            ("least", missing & ~called, right),
            ("most", missing & called, right | missing),
        ):
            yes = is_known_yes | says_yes
            recall = (yes & called)[of].sum() / yes[of].sum()
            assert getattr(cell, f"recall_at_{side}") == pytest.approx(recall, abs=1e-9)
            accuracy = is_right[of].mean()
            assert getattr(cell, f"accuracy_at_{side}") == pytest.approx(accuracy, abs=1e-9)
            precision = (yes & called)[of].sum() / called[of].sum()
            assert getattr(cell, f"precision_at_{side}") == pytest.approx(precision, abs=1e-9)
        assert cell.precision_at_least < cell.precision < cell.precision_at_most
        compared += 1
    assert compared == 3


def test_versions_side_by_side_differ_by_what_was_planted(demo: Path, judged: pd.DataFrame) -> None:
    truth = json.loads((demo / "truth.json").read_text(encoding="utf-8"))["version_trials"]
    found = query(demo, "from mart_model_quality where roc_auc_difference is not null")
    assert set(found.period) == {"month", "all"}
    for trial in truth.values():
        first, last = (pd.Timestamp(trial[end]) for end in ("starts_at", "ends_at"))
        sides = ["model_id", "model_version", "compared_with"]
        cells = found[(found[sides] == [trial[name] for name in sides]).all(axis=1)]
        rows = judged[
            (judged.model_id == trial["model_id"])
            & (judged.decision_date >= first)
            & (judged.decision_date < last)
        ]
        own, other = (
            auc_of(of.score.to_numpy(), of.label.to_numpy())
            for of in (rows[rows.model_version == trial[side]] for side in sides[1:])
        )
        assert len(cells) == 2
        for cell in cells.itertuples():
            assert cell.comparison_note == "split_by_experiment"
            assert cell.common_days == (last - first).days
            for number in (own - other, trial["roc_auc_difference"]):
                assert cell.roc_auc_difference_low < number < cell.roc_auc_difference_high
    assert len(found) == 2 * len(truth) > 0


def test_versions_of_numbers_and_classes_are_compared(demo_project: Project, demo: Path) -> None:
    """Two versions of random models on the days that they share, against numpy."""
    name = "int_version_differences"
    run = demo_project.dbt(demo, "compile", "--select", name)
    assert run.status == 0, run.output
    (path,) = (demo_project.root / "target/compiled").rglob(f"{name}.sql")
    sql = re.sub(r'"warehouse"\."main_\w+"\.', "", path.read_text(encoding="utf-8"))
    rng = np.random.default_rng(11)
    frames, models, days = [], [], pd.date_range("2026-01-01", periods=12)
    for number in range(300):
        task = ("regression", "multiclass")[number % 2]
        n = int(rng.integers(60, 300))
        weight = rng.choice([1.0, 2.0, 10.0], n) if number % 3 else np.ones(n)
        error, is_right = rng.normal(0, 5, n), rng.uniform(size=n) < rng.uniform(0.3, 1)
        frame = {
            "model_id": f"m{number}",
            "model_version": rng.choice(["a", "b"], n),
            "decision_date": rng.choice(days, n),
            "sampling_weight": weight,
            "error_sum": weight * error if task == "regression" else np.full(n, np.nan),
            "correct_count": weight * is_right * (task == "multiclass"),
            "judged_count": weight * (task == "multiclass"),
            "measure": np.abs(error) if task == "regression" else is_right.astype(float),
        }
        frames.append(pd.DataFrame(frame))
        models.append({"model_id": f"m{number}", "task": task})
    decisions = pd.concat(frames)
    sets = decisions.groupby(["model_id", "decision_date"]).model_version.nunique()
    shared = sets[sets == 2].reset_index()[["model_id", "decision_date"]]
    pairs = shared.assign(model_version="b", compared_with="a")
    periods = pd.DataFrame(models)[["model_id"]].assign(
        period="all", period_start_date=days[0], period_end_date=days[-1]
    )
    nothing = ", ".join(f"null::double as roc_auc_difference{end}" for end in ("", "_low", "_high"))
    with duckdb.connect() as connection:
        connection.register("fct_decisions", decisions.astype({"error_sum": object}))
        for table, rows in (
            ("dim_models", pd.DataFrame(models)),
            ("int_version_pairs", pairs),
            ("int_judged_periods", periods),
            ("int_version_splits", pairs.head(1).assign(is_randomised=True)),
        ):
            connection.register(table, rows)
        connection.execute(
            "create view int_version_comparisons as select '' as model_id, '' as model_version, "
            "'' as compared_with, '' as period, 0::bigint as common_days, '' as reason, "
            f"false as is_randomised, current_date as period_end_date, {nothing} where false"
        )
        found = connection.sql(sql).df().set_index("model_id")
    assert found.is_randomised.sum() == 1
    known = found[found.reason.isna()]
    assert len(known) > 250
    assert set(found.reason.dropna()) <= {"no_common_days", "too_few_units"}
    for model in models:
        if model["model_id"] not in known.index:
            continue
        cell, name = known.loc[model["model_id"]], MEANS[model["task"]]
        of = decisions.merge(shared[shared.model_id == model["model_id"]])
        own, other = (of[of.model_version == version] for version in "ba")
        value, low, high = difference_of(own, other, is_share=name == "accuracy")
        assert cell[f"{name}_difference"] == pytest.approx(value, abs=1e-9)
        assert cell[f"{name}_difference_low"] == pytest.approx(low, abs=1e-9)
        assert cell[f"{name}_difference_high"] == pytest.approx(high, abs=1e-9)
        assert low <= value <= high
        hidden = MEANS["regression" if name == "accuracy" else "multiclass"]
        assert pd.isna(cell[f"{hidden}_difference"])


def difference_of(
    own: pd.DataFrame, other: pd.DataFrame, *, is_share: bool
) -> tuple[float, float, float]:
    """The difference of two weighted means with its 95 % interval for independent samples."""
    z = norm.ppf(0.975)
    sides = []
    for rows in (own, other):
        weight = rows.sampling_weight
        mean = float(np.average(rows.measure, weights=weight))
        units = weight.sum() ** 2 / (weight**2).sum()
        if is_share:
            spread = z * math.sqrt(mean * (1 - mean) / units + z * z / (4 * units * units))
            low, high = (
                (mean + z * z / (2 * units) + sign * spread) / (1 + z * z / units)
                for sign in (-1, 1)
            )
        else:
            error = math.sqrt((weight**2 * (rows.measure - mean) ** 2).sum()) / weight.sum()
            low, high = mean - z * error, mean + z * error
        sides.append((mean, mean - low, high - mean))
    (one, below, above), (two, other_below, other_above) = sides
    value = one - two
    return (
        value,
        value - math.hypot(below, other_above),
        value + math.hypot(above, other_below),
    )


def test_the_curve_ties_to_the_ledger_and_blames_no_best_threshold(
    demo: Path, judged: pd.DataFrame
) -> None:
    curve = query(demo, "from mart_threshold_curve where model_id = 'fraud_detection'")
    for (_, end), rows in curve.groupby(["period", "period_end_date"]):
        first = rows.period_start_date.iloc[0]
        of = judged[
            (judged.model_id == "fraud_detection") & judged.decision_date.between(first, end)
        ]
        assert rows.actual_value_amount.iloc[0] == pytest.approx(of.value_amount.sum())
        # no decision had another threshold, so what the one in force is worth is what it earned
        in_force = rows[rows.is_threshold_in_force].iloc[0]
        assert in_force.changed_count == 0
        assert in_force.value_amount == pytest.approx(of.value_amount.sum())
        for row in rows[rows.threshold.notna()].sample(10, random_state=3).itertuples():
            selected = of.score >= row.threshold
            assert row.true_positive_count == (selected & (of.label == 1)).sum()
            assert row.false_positive_count == (selected & (of.label == 0)).sum()
        assert rows.is_best.sum() == 1
        noted = set(rows.money_left_reason.fillna("left"))
        assert noted == ({"left"} if rows.money_left_amount.iloc[0] > 0 else {"not_beyond_noise"})
    months = curve[(curve.period == "month") & curve.is_threshold_in_force]
    booked = query(demo, "from mart_value_ledger where model_id = 'fraud_detection'")
    both = months.merge(booked, left_on="period_start_date", right_on="month_start_date")
    assert len(both) == len(months) > 0
    np.testing.assert_allclose(both.value_amount, both.matured_value_amount, rtol=1e-9)
    # calling a lead changes whether it buys
    lead = query(demo, "from mart_threshold_curve where model_id = 'lead_scoring'")
    changed = lead[lead.changed_count > 0]
    assert set(changed.reason) == {"outcome_not_observed"}
    assert changed[["value_amount", "precision", "money_left_amount"]].isna().all(axis=None)


@pytest.mark.slow
@pytest.mark.parametrize(
    "as_of",
    ["2026-02-04 00:00:00", pytest.param("2026-02-12 00:00:00", marks=pytest.mark.thorough)],
)
def test_late_labels_move_nothing_that_has_matured(tmp_path: Path, as_of: str) -> None:
    """Seven in ten true negatives are labelled days after the others, but in time."""
    project = Project.without_comments(tmp_path / "project")
    (project.root / "seeds").unlink()
    (project.root / "seeds").mkdir()
    rows = histories.seed_rows(companies=1, horizon_days=20, euro=1.2)
    for name, spec in seeds.read_specs(project.root).items():
        lines = [",".join(spec.header), *rows.get(name, [])]
        (project.root / "seeds" / f"{name}.csv").write_text("\n".join([*lines, ""]))

    rng = np.random.default_rng(7)
    n = 1_500
    at = pd.Timestamp("2026-01-01") + pd.to_timedelta(rng.uniform(0, 45, n), "D").floor("s")
    score = np.round(rng.uniform(size=n), 3)
    label = rng.uniform(size=n) < 0.1 + 0.5 * score
    late = ~label & (rng.uniform(size=n) < 0.7)
    known_at = at + pd.to_timedelta(np.where(late, 17, 1), "D")
    folder = project.root / "late"
    histories.make(folder)
    decisions = pd.DataFrame({"predicted_at": at, "score": score, "label": label})
    ids = [f"p{number}" for number in range(n)]
    logged = [
        {
            "prediction_id": prediction_id,
            "model_id": "lead0",
            "model_version": "1",
            "predicted_at": moment,
            "entity_id": prediction_id,
            "score": value,
            "loaded_at": moment,
        }
        for prediction_id, moment, value in zip(ids, at, score, strict=True)
    ]
    known = [
        {
            "outcome_id": f"o{prediction_id}",
            "outcome_name": "sold",
            "prediction_id": prediction_id,
            "entity_id": prediction_id,
            "outcome_label": "true" if value else "false",
            "occurred_at": moment,
            "observed_at": moment,
            "status": "final",
            "loaded_at": moment,
        }
        for prediction_id, moment, value in zip(ids, known_at, label, strict=True)
    ]
    histories.deliver(folder, "prediction_logs", "decisions", logged)
    histories.deliver(folder, "business_outcomes", "labels", known)
    arguments = ("--full-refresh", "--select", "+int_score_periods", *WITHOUT_TESTS)
    run = project.dbt(
        folder,
        "build",
        *arguments,
        "--vars",
        f"{{as_of: '{as_of}'}}",
        THROUGHLINE_SEEDS="seeds",
    )
    assert run.status == 0, run.output
    (cell,) = query(
        folder,
        "from int_score_periods where model_id = 'lead0' and period = 'all' "
        "and model_version = 'all' and segment_name = 'all'",
    ).itertuples()
    day = decisions.predicted_at.dt.normalize()
    cohort = decisions[day <= cell.period_end_date]
    assert len(cohort) == cell.judged_count > 300
    wanted = auc_of(cohort.score.to_numpy(), cohort.label.to_numpy().astype(float))
    assert cell.roc_auc == pytest.approx(wanted, abs=1e-9)
    (made,) = query(
        folder,
        "select sum(true_positive_count) as hits, sum(false_positive_count) as misses "
        "from fct_decisions where model_id = 'lead0' "
        f"and decision_date <= date '{cell.period_end_date.date()}'",
    ).itertuples()
    precision = cohort.label[cohort.score >= 0.5].mean()
    assert made.hits / (made.hits + made.misses) == pytest.approx(precision, abs=1e-9)
    # who counts each label as it comes counts hits first
    early = decisions[(known_at <= as_of) & (score >= 0.5)]
    assert early.label.mean() > precision + 0.05
