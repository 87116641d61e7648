"""Releases, their gates and what was expected: from the raw files, and over planted releases."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import compiled
import plain_pandas
from building import ROOT, query

AS_OF = pd.Timestamp("2026-07-01")
LAST_DAY = pd.Timestamp("2026-06-30")
MINIMUM = 20
SEEDS = range(20)
STAGES = ("concept", "prototype", "validation", "approved", "deployed", "rolled_back", "retired")
MEANS = ("prediction_bias", "mean_absolute_error")
LEVELS = (0.95, 0.999)
Cell = tuple[str, str, str, str]
Measured = Mapping[str, pd.DataFrame]


@pytest.fixture(scope="module")
def company(demo: Path) -> plain_pandas.Company:
    return plain_pandas.Company(
        raw=plain_pandas.read_raw(demo), seeds=ROOT / "seeds", as_of=str(AS_OF), segments=[]
    )


@pytest.fixture(scope="module")
def measured(company: plain_pandas.Company) -> dict[str, pd.DataFrame]:
    """By metric the decisions that count, with what each adds."""
    d = company.decisions
    rows = d[["model_id", "model_version"]].assign(day=d.predicted_at.dt.normalize())
    failed = d.error_type.notna() | (d.status_code >= 400)
    counts = {
        "acceptance_rate": (d.action == "accepted", d.action != "not_shown"),
        "conversion_rate": (d.is_yes, d.state == "matured"),
        "recall": (d.cell == "tp", d.cell.isin(["tp", "fn"])),
        "precision": (d.cell == "tp", d.cell.isin(["tp", "fp"])),
        "error_rate": (failed, failed | d.status_code.notna()),
        "prediction_bias": (d.error, d.error.notna()),
        "mean_absolute_error": (d.error.abs(), d.error.notna()),
    }
    return {
        metric: rows.assign(adds=adds)[of].astype({"adds": float})
        for metric, (adds, of) in counts.items()
    }


@pytest.fixture(scope="module")
def releases(demo: Path) -> pd.DataFrame:
    return query(demo, "from mart_releases")


@pytest.fixture(scope="module")
def gates(demo: Path) -> pd.DataFrame:
    return query(demo, "from mart_release_gates")


def wilson(share: float, units: float, level: float) -> tuple[float, float]:
    """Wilson's interval, also of units that are no whole number."""
    z = stats.norm.ppf(0.5 + level / 2)
    centre = (share + z**2 / (2 * units)) / (1 + z**2 / units)
    half = z * np.sqrt(share * (1 - share) / units + z**2 / (4 * units**2)) / (1 + z**2 / units)
    return max(0.0, centre - half), min(1.0, centre + half)


def intervals(
    measured: Measured, cell: Cell, end: pd.Timestamp
) -> tuple[int, float, list[tuple[float, float]]] | None:
    """Units, value and the intervals at 95 and 99.9 % of a version, up to a day."""
    model_id, version, metric, period = cell
    start = end - pd.Timedelta(days=27) if period == "28d" else pd.Timestamp("1900-01-01")
    rows = measured[metric]
    found = rows.adds[
        (rows.model_id == model_id) & (rows.model_version == version) & rows.day.between(start, end)
    ]
    if len(found) < MINIMUM:
        return None
    if metric not in MEANS:
        return len(found), found.mean(), [wilson(found.mean(), len(found), x) for x in LEVELS]
    error = np.sqrt(found.var(ddof=0) / len(found))
    ends = [stats.t.interval(level, len(found) - 1, found.mean(), error) for level in LEVELS]
    return len(found), found.mean(), ends


def verdict(
    direction: str, bound: float, near: tuple[float, float], far: tuple[float, float]
) -> str:
    """What a gate says of a bound."""
    if direction == "zero":
        if max(map(abs, near)) <= bound:
            return "open"
        return "rollback_recommended" if far[0] > bound or far[1] < -bound else "closed"
    sign = 1 if direction == "up" else -1
    if min(sign * end for end in near) >= sign * bound:
        return "open"
    return "rollback_recommended" if max(sign * end for end in far) < sign * bound else "closed"


def test_gates_equal_plain_pandas(
    company: plain_pandas.Company, measured: Measured, gates: pd.DataFrame, demo: Path
) -> None:
    criteria = pd.read_csv(ROOT / "seeds/release_criteria.csv")
    versions = company.releases[["model_id", "model_version"]].drop_duplicates()
    assert len(gates) == sum(
        criteria.model_id.isin([model_id, "*"]).sum() for model_id in versions.model_id
    )
    registry = company.registry.set_index("model_id")
    direction = query(demo, "from dim_model_metrics").set_index(["model_id", "metric"]).direction
    judged = 0
    for row in gates[gates.metric != "roc_auc"].itertuples():
        model = registry.loc[row.model_id]
        wait = pd.Timedelta(days=int(model.horizon_days + model.label_delay_days))
        cell = row.model_id, row.model_version, row.metric, row.period
        ends = [LAST_DAY - wait]
        if row.period == "28d":
            # the newest window with units enough
            ends = list(pd.date_range(LAST_DAY, "2026-03-03", freq="-1D"))
        least = row.minimum_units if row.period == "28d" else 0
        told = (intervals(measured, cell, end) for end in ends)
        found = next((one for one in told if one and one[0] >= least), None)
        if found is None or found[0] < row.minimum_units:
            assert row.gate_status == "not_ready", cell
            assert row.not_ready_reason in ("no_data", "too_few_units"), cell
            continue
        units, value, (near, far) = found
        assert row.direction == direction[row.model_id, row.metric]
        assert pd.isna(row.not_ready_reason), cell
        assert row.unit_count == units, cell
        assert np.isclose(row.value, value, rtol=1e-9), cell
        assert np.allclose([row.value_low, row.value_high], near, rtol=1e-7, atol=1e-12), cell
        assert row.gate_status == verdict(row.direction, row.bound, near, far), cell
        judged += 1
    assert judged > 25


def test_the_planted_bad_releases_are_flagged_in_a_week_and_no_other(
    releases: pd.DataFrame, gates: pd.DataFrame
) -> None:
    bad = {
        ("next_best_offer", "8.0"): "acceptance_rate",
        ("demand_forecast", "3.1"): "prediction_bias",
    }
    flagged = releases[releases.gate_status == "rollback_recommended"]
    assert (
        dict(
            zip(
                zip(flagged.model_id, flagged.model_version, strict=True),
                flagged.gate_metric,
                strict=True,
            )
        )
        == bad
    )
    waited = (flagged.gate_flagged_date - flagged.deployed_at.dt.normalize()).dt.days
    assert waited.between(0, 7).all()
    ever = gates[gates.flagged_date.notna()]
    assert set(zip(ever.model_id, ever.model_version, strict=True)) == set(bad)
    deployed = releases[releases.deployed_at.notna()]
    assert set(deployed.gate_status) == {"open", "closed", "rollback_recommended"}


def test_releases_tell_the_log(company: plain_pandas.Company, releases: pd.DataFrame) -> None:
    log = company.releases.sort_values(["event_at", "release_id"])
    built = releases.set_index(["model_id", "model_version"])
    assert len(built) == len(log[["model_id", "model_version"]].drop_duplicates()) == 12
    for (model_id, version), events in log.groupby(["model_id", "model_version"]):
        row = built.loc[(model_id, version)]
        at = {stage: events[events.event_type == stage].event_at for stage in STAGES}
        for stage, moments in at.items():
            known = moments.max() if stage in ("rolled_back", "retired") else moments.min()
            same = pd.isna(known) and pd.isna(row[f"{stage}_at"])
            assert same or row[f"{stage}_at"] == known, (version, stage)
        assert row.stage == events.event_type.iloc[-1]
        tries = events[events.event_type.isin(["deployed", "deploy_failed"])]
        assert row.failed_deployment_count == (tries.event_type == "deploy_failed").sum()
        if len(at["deployed"]):
            first = at["deployed"].min()
            late = (first.normalize() - tries.planned_at.min().normalize()).days
            assert (row.days_late, row.is_on_time) == (late, late <= 0)
            running = []
            for other, theirs in log[log.model_id == model_id].groupby("model_version"):
                since = theirs[theirs.event_type == "deployed"].event_at.min()
                gone = theirs[theirs.event_type == "rolled_back"].event_at.min()
                if since < first and not gone <= first:
                    running.append((since, other))
            assert ("" if pd.isna(row.version_before) else row.version_before) == max(
                running, default=(None, "")
            )[1]
        reached = sorted(
            moments.min() for stage, moments in at.items() if len(moments) and stage != "concept"
        )
        if len(at["concept"]):
            until = (reached[0] if reached else AS_OF).normalize()
            assert row.concept_days == (until - at["concept"].min().normalize()).days
    assert built.loc[("next_best_offer", "8.1")].version_before == "7.2"


def test_expectations_of_releases_are_held_against_the_version_before(
    demo: Path, company: plain_pandas.Company, measured: Measured
) -> None:
    expected = pd.read_csv(ROOT / "seeds/release_expectations.csv")
    built = query(demo, "from mart_expectations where expectation_kind = 'release'")
    built = built.set_index("expectation_id")
    assert len(built) == len(expected)
    before = {"2026.1": "2025.4", "4.2": "4.1", "8.0": "7.2", "8.1": "7.2", "3.1": "3.0"}
    version = company.releases.set_index("release_id").model_version
    registry = company.registry.set_index("model_id")
    for wish in expected.itertuples():
        row = built.loc[f"{wish.release_id}, {wish.metric}"]
        model = registry.loc[row.model_id]
        wait = pd.Timedelta(days=int(model.horizon_days + model.label_delay_days))
        told = []
        for name in (version[wish.release_id], before[version[wish.release_id]]):
            found = intervals(measured, (row.model_id, name, wish.metric, "all"), LAST_DAY - wait)
            assert found
            told.append((found[1], *found[2][0]))
        (one, one_low, one_high), (other, other_low, other_high) = told
        low = one - other - np.hypot(one - one_low, other_high - other)
        high = one - other + np.hypot(one_high - one, other - other_low)
        assert np.allclose(
            [row.actual, row.actual_low, row.actual_high], [one - other, low, high], rtol=1e-6
        )
        ends = (low, high) if wish.metric != "mean_absolute_error" else (-high, -low)
        near = wish.change_low if wish.metric != "mean_absolute_error" else -wish.change_high
        outcome = "met" if ends[0] >= near else "missed" if ends[1] < near else "undecided"
        assert row.outcome == outcome
        middle = (wish.change_low + wish.change_high) / 2
        # of a loss that was put up with, less is better
        is_loss = (middle < 0) != (wish.metric in ("mean_absolute_error", "error_rate"))
        assert (
            pd.isna(row.gap_share)
            if middle == 0
            else np.isclose(row.gap_share, ((one - other) / middle - 1) * (-1 if is_loss else 1))
        )
        assert row.is_in_range == (wish.change_low <= one - other <= wish.change_high)
    assert {"met", "missed", "undecided"} == set(built.outcome)


def test_other_expectations_come_from_where_they_were_written_down(demo: Path) -> None:
    built = query(demo, "from mart_expectations")
    counts = built.expectation_kind.value_counts()
    assert counts.link == len(pd.read_csv(ROOT / "seeds/kpi_links.csv"))
    assert counts.experiment == len(pd.read_csv(ROOT / "seeds/experiments.csv"))
    targets = pd.read_csv(ROOT / "seeds/metric_targets.csv")
    dated = targets[
        targets.due.notna() & targets.baseline.notna() & targets.segment_name.isin(["all", "*"])
    ]
    open_targets = built[built.expectation_kind == "target"]
    assert set(open_targets.metric) == set(dated.metric)
    assert set(open_targets.reason) == {"not_due"}
    assert open_targets.actual.isna().all()
    trials = built[built.expectation_kind == "experiment"].set_index("expectation_id")
    assert trials.outcome["lead_first_hour_call, treatment"] == "met"
    assert trials.outcome["offer_taste_features, treatment"] == "missed"


def planted_releases(seed: int) -> Iterator[dict[str, object]]:
    """Versions of a model with a share that must reach 0.09, and a mean error within 2."""
    draw = np.random.default_rng(1000 + seed)
    for name, true in (("good", 0.1), ("better", 0.12), ("bad", 0.045), ("worse", 0.03)):
        hits = draw.binomial(150, true, size=40)
        yield {"version": f"{name} {seed}", "metric": "acceptance_rate", "hits": hits, "n": 150}
    for name, shift in (("good", 0.5), ("bad", 5.0)):
        errors = draw.normal(shift, 9, size=(40, 60))
        yield {"version": f"{name} {seed}", "metric": "prediction_bias", "errors": errors, "n": 60}


def planted_days() -> Mapping[str, pd.DataFrame]:
    """The values of 20 planted companies on each of forty days, over what had matured by then."""
    values, squares = [], []
    for seed in SEEDS:
        for release in planted_releases(seed):
            for day in range(40):
                begins = max(0, day - 27)
                key = {
                    "model_id": "m",
                    "model_version": release["version"],
                    "segment_name": "all",
                    "period": "28d",
                    "period_end_date": pd.Timestamp("2026-01-01") + pd.Timedelta(days=day),
                }
                n = (day + 1 - begins) * int(str(release["n"]))
                row = {**key, "metric": release["metric"], "unit_count": n, "reason": None}
                if release["metric"] == "acceptance_rate":
                    hits = np.asarray(release["hits"])[begins : day + 1].sum()
                    low, high = wilson(hits / n, n, 0.95)
                    row |= {"value": hits / n, "value_low": low, "value_high": high}
                    values.append(row | {"effective_units": float(n)})
                else:
                    errors = np.asarray(release["errors"])[begins : day + 1]
                    values.append(row | {"value": errors.mean()})
                    squares.append({**key, "rmse": np.sqrt((errors**2).mean())})
    table = pd.DataFrame(values)
    versions = table.model_version.unique()
    criteria = pd.DataFrame(
        {
            "stage": "deployed",
            "model_id": "*",
            "metric": ["acceptance_rate", "prediction_bias"],
            "bound": [0.09, 2.0],
            "minimum_units": 100.0,
            "period": "28d",
            "owner": "ann",
            "rationale": "w",
        }
    )
    directions = pd.DataFrame(
        {"metric": ["acceptance_rate", "prediction_bias"], "direction": ["up", "zero"]}
    )
    return {
        "fct_metric_values": table,
        "int_number_periods": pd.DataFrame(squares),
        "cfg_release_criteria": criteria,
        "cfg_release_expectations": pd.DataFrame({"metric": ["acceptance_rate"]}),
        "dim_metrics": directions,
        "dim_model_metrics": directions.assign(model_id="m"),
        "int_releases": pd.DataFrame(
            {
                "release_id": versions,
                "model_id": "m",
                "model_version": versions,
                "gate_stage": "deployed",
            }
        ),
    }


def test_bad_releases_are_flagged_in_a_week_and_good_ones_never() -> None:
    """Over 20 planted companies, where the labels of a week can show the effect."""
    found = compiled.run(planted_days(), "int_version_values", "mart_release_gates")
    gates = found["mart_release_gates"]
    gates = gates[gates.unit_count.notna()]
    assert len(gates) == 6 * len(SEEDS)
    is_bad = gates.model_version.str.startswith(("bad", "worse"))
    first = pd.Timestamp("2026-01-01")
    waited = (pd.to_datetime(gates.flagged_date[is_bad]) - first).dt.days
    assert waited.between(0, 6).all()
    assert gates.flagged_date[~is_bad].isna().all()
    assert (gates.gate_status[is_bad] == "rollback_recommended").all()
    is_better = gates.model_version.str.startswith("better")
    assert (gates.gate_status[is_better] == "open").all()
    assert set(gates.gate_status[~is_bad]) == {"open", "closed"}


def test_optimism_of_a_fifth_lies_in_the_interval_of_the_bias() -> None:
    """Each of 20 owners gets a fifth less than they wrote down, give or take what chance does."""
    draw = np.random.default_rng(31)
    owners = np.repeat([f"owner {seed}" for seed in SEEDS], 15)
    gap = -0.2 + draw.normal(0, 0.3, size=len(owners))
    held = draw.random(len(owners)) < 0.6
    given = pd.DataFrame(
        {
            "expectation_kind": "release",
            "owner": owners,
            "team": "t",
            "outcome": "undecided",
            "gap_share": gap,
            "is_in_range": held,
        }
    )
    found = compiled.run({"mart_expectations": given}, "mart_forecast_grades")
    grades = found["mart_forecast_grades"]
    grades = grades[(grades.holder_type == "owner") & (grades.expectation_kind == "release")]
    grades = grades.set_index("holder")
    for owner, rows in given.groupby("owner"):
        grade = grades.loc[owner]
        low, high = stats.t.interval(
            0.95, len(rows) - 1, rows.gap_share.mean(), stats.sem(rows.gap_share)
        )
        assert np.isclose(grade.bias, rows.gap_share.mean())
        assert np.allclose([grade.bias_low, grade.bias_high], [low, high], atol=1e-6)
        assert grade.is_optimistic == (high < 0)
        share = stats.binomtest(int(rows.is_in_range.sum()), len(rows))
        assert np.allclose(
            [grade.coverage_low, grade.coverage_high], share.proportion_ci(method="wilson")
        )
    assert ((grades.bias_low <= -0.2) & (grades.bias_high >= -0.2)).sum() >= 17
    assert grades.is_optimistic.sum() > 10
