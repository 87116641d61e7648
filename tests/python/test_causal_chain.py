"""The links from a decision to its value: planted breaks are named, and sound weeks are not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import compiled
from building import query

CHAIN = ("fct_chain_days", "int_chain_links", "mart_causal_chain")
LINKS = ("features_present", "predicted", "shown", "acted_on", "outcome", "value")
METRICS = {
    "features_present": "missing_share",
    "predicted": "error_rate",
    "shown": "exposure_rate",
    "acted_on": "acceptance_rate",
    "outcome": "conversion_rate",
    "value": "value_per_decision",
}
# what a decision that came so far has for a chance to come further
SHARES = (0.97, 0.995, 0.65, 0.5, 0.3, 0.6)
FIRST_DAY = pd.Timestamp("2026-03-02")
WEEKS, BROKEN_WEEK = 9, 6


def decisions_of(model_id: str, *, seed: int, broken: str | None, weekly: int) -> pd.DataFrame:
    """Nine weeks of a model; in the seventh one link lets through half of what it did.

    From week to week each chance but the first two moves by a twentieth of itself, for reasons that
    nobody plants.
    """
    rng = np.random.default_rng(seed)
    week = np.repeat(np.arange(WEEKS), weekly)
    n = len(week)
    came = np.ones(n, dtype=bool)
    steps = np.zeros(n, dtype=int)
    for number, (link, share) in enumerate(zip(LINKS, SHARES, strict=True)):
        moved = np.exp(rng.normal(0, 0.05, WEEKS)) if number > 1 else np.ones(WEEKS)
        chance = share * moved
        if link == broken:
            chance[BROKEN_WEEK] *= 0.5
        came &= rng.uniform(size=n) < chance[week]
        steps += came
    day = FIRST_DAY + pd.to_timedelta(7 * week + rng.integers(0, 7, n), "D")
    return pd.DataFrame(
        {
            "model_id": model_id,
            "feature_count": np.where(steps >= 1, 3, 2),
            "sampling_weight": 1.0,
            # one that lacks a feature is scored, shown and used like any other
            "error_count": np.where(steps == 1, 1.0, 0.0),
            "score": 0.5,
            "predicted_label": None,
            "predicted_value": np.nan,
            "shown_count": np.where((steps == 0) | (steps >= 3), 1.0, 0.0),
            "user_action": np.where((steps == 0) | (steps >= 4), "accepted", "ignored"),
            "measured_count": 0.0,
            "judged_count": 1.0,
            "actual_positive_count": np.where(steps >= 5, 1.0, 0.0),
            "value_amount": np.where(steps >= 6, 4.0, -1.0),
            "credited_amount": np.nan,
            "decision_date": day,
        }
    ).assign(model_id=model_id)


def chain_of(decisions: pd.DataFrame) -> pd.DataFrame:
    models = pd.DataFrame({"model_id": decisions.model_id.unique()})
    days = pd.date_range(FIRST_DAY, periods=7 * WEEKS)
    every = models[["model_id"]]
    metrics = pd.DataFrame({"metric": list(METRICS.values())}).assign(owner="Ann")
    given = {
        "fct_decisions": decisions,
        "dim_models": models.assign(
            task="binary",
            positive_label="yes",
            has_unit_values=True,
            amount_outcome=None,
            owner="Bob",
        ),
        "dim_dates": pd.DataFrame(
            {
                "date_day": days,
                "week_start_date": days - pd.to_timedelta(days.day_of_week, "D"),
                "is_complete": True,
            }
        ),
        "int_reference_days": every.merge(pd.DataFrame({"reference_date": days[:28]}), how="cross"),
        "int_model_spans": every.assign(first_decision_date=days[0], judged_through=days[-1]),
        "int_watermarks": every.merge(
            pd.DataFrame(
                {"source_name": ["prediction_logs", "usage_events", "business_outcomes", "labels"]}
            ),
            how="cross",
        ).assign(known_from=days[0], known_through=days[-1]),
        "dim_model_metrics": every.merge(metrics, how="cross"),
        "fct_metric_values": pd.DataFrame(
            {
                "metric": pd.Series(dtype=str),
                **{
                    name: pd.Series(dtype=str)
                    for name in ("model_id", "model_version", "segment_name", "period")
                },
                "value": pd.Series(dtype=float),
                "period_end_date": pd.Series(dtype="datetime64[us]"),
            }
        ),
        "mart_drift": pd.DataFrame(
            {
                **{
                    name: pd.Series(dtype=str)
                    for name in ("model_id", "model_version", "feature", "feature_role", "period")
                },
                "missing_share_change": pd.Series(dtype=float),
                "period_start_date": pd.Series(dtype="datetime64[us]"),
            }
        ),
    }
    return compiled.run(given, *CHAIN)["mart_causal_chain"]


def named(*, sound: int, weekly: int, seed: int) -> pd.DataFrame:
    runs = [
        decisions_of(link, seed=seed + number, broken=link, weekly=weekly)
        for number, link in enumerate(LINKS)
    ]
    runs += [
        decisions_of(f"sound {run}", seed=seed + 100 + run, broken=None, weekly=weekly)
        for run in range(sound)
    ]
    return chain_of(pd.concat(runs, ignore_index=True))


def assert_named(chain: pd.DataFrame) -> None:
    first = chain[chain.is_first_broken]
    assert dict(zip(first.model_id, first.link, strict=True)) == {link: link for link in LINKS}
    assert len(first) == len(LINKS)
    assert set(first.week_start_date) == {FIRST_DAY + pd.Timedelta(7 * BROKEN_WEEK, "D")}
    assert dict(zip(first.link, first.metric, strict=True)) == METRICS
    assert set(first.owner[first.link != "features_present"]) == {"Ann"}
    assert not chain.status[chain.model_id.str.startswith("sound")].eq("broken").any()
    # each link was there to be judged
    judged = chain[chain.status.isin(["holds", "broken"])]
    assert set(judged.link) == set(LINKS)


def test_each_broken_link_of_a_large_model_is_named_and_no_sound_one() -> None:
    assert_named(named(sound=2, weekly=8_000, seed=1))


@pytest.mark.simulation
def test_of_twenty_sound_runs_none_is_broken() -> None:
    assert_named(named(sound=20, weekly=8_000, seed=1_000))


def test_a_small_model_is_not_blamed() -> None:
    chain = chain_of(decisions_of("small", seed=5, broken=None, weekly=300))
    late = chain[chain.status == "unknown"]
    assert set(late.reason) == {"too_few_units"}
    assert "value" in set(late.link)


def test_the_demo_links_never_exceed_the_one_before(demo: Path) -> None:
    chain = query(demo, "from mart_causal_chain order by model_id, week_start_date, link_number")
    known = chain[chain.volume.notna()]
    assert (known.volume <= known.from_volume + 1e-9).all()
    for _, week in known.groupby(["model_id", "week_start_date"]):
        assert np.allclose(week.from_volume.to_numpy()[1:], week.volume.to_numpy()[:-1])
    assert (
        chain.volume.isna()
        == chain.reason.isin(["no_features", "cell_not_valued", "labels_not_matured"])
    ).all()


def test_the_demo_volumes_equal_plain_counts(demo: Path) -> None:
    """Of lead scoring, whose days since contact were lost for days in April."""
    rows = query(demo, "from fct_decisions where model_id = 'lead_scoring'")
    chain = query(demo, "from mart_causal_chain where model_id = 'lead_scoring'")
    chain = chain.set_index(["week_start_date", "link"])
    rows["week"] = rows.decision_date - pd.to_timedelta(rows.decision_date.dt.day_of_week, "D")
    compared = 0
    for week, of in rows.groupby("week"):
        if (week, "value") not in chain.index:
            continue
        reached = [of.feature_count >= 3]
        reached.append(reached[-1] & (of.error_count == 0) & of.score.notna())
        reached.append(reached[-1] & (of.shown_count > 0))
        reached.append(reached[-1] & of.user_action.isin(["accepted", "edited"]))
        reached.append(reached[-1] & (of.actual_positive_count > 0))
        reached.append(reached[-1] & (of.value_amount > 0))
        for link, flags in zip(LINKS, reached, strict=True):
            found = chain.loc[(week, link)]
            if pd.notna(found.volume):
                assert found.volume == flags.sum()
                compared += 1
    assert compared > 50
    first = chain[chain.is_first_broken].reset_index()
    assert first.link.tolist() == ["features_present"]
    assert first.feature.tolist() == ["days_since_contact"]
