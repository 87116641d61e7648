"""Who was right, user or model: the demo against plain pandas, and planted people and models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t as student

import compiled
import plain_pandas
from building import ROOT, query

CHAIN = ("int_override_periods", "mart_override_regret")
FIRST_DAY, LAST_DAY = "2026-05-01", "2026-05-31"
# what a decision costs that is called wrongly
COST = 6.0


@pytest.fixture(scope="module")
def overridden(demo: Path) -> pd.DataFrame:
    """Decisions of the demo that were made otherwise, with what the user's and the model's gave."""
    company = plain_pandas.Company(
        raw=plain_pandas.read_raw(demo),
        seeds=ROOT / "seeds",
        as_of="2026-07-01",
        segments=["channel", "device", "region"],
    )
    events = company.events[company.events.event_name.isin(plain_pandas.DECISIVE)]
    last = events.sort_values(["occurred_at", "event_id"]).drop_duplicates(
        "prediction_id", keep="last"
    )
    rows = company.decisions[company.decisions.action.isin(["overridden", "edited"])]
    rows = rows.merge(
        last[["prediction_id", "final_decision", "override_reason"]], on="prediction_id"
    )
    says_yes = rows.final_decision.map({"true": True, "false": False})
    cell = says_yes.map({True: "tp", False: "fn"}).where(
        rows.is_yes, says_yes.map({True: "fp", False: "tn"})
    )
    user_value = company._values(rows.assign(cell=cell.where(rows.state == "matured", None)))
    registry = company.registry.set_index("model_id")
    depends = rows.model_id.map(registry.outcome_depends_on_action.fillna(False).astype(bool))
    planned = pd.to_numeric(rows.final_decision, errors="coerce")
    known = rows.predicted_value - rows.error
    closer = rows.error.abs() - (planned - known).abs()
    is_number = rows.model_id == "demand_forecast"
    rows["gain"] = (user_value - rows.value).where(~depends).where(~is_number, closer)
    rows["depends"] = depends
    return rows


def test_the_demo_equals_plain_pandas(demo: Path, overridden: pd.DataFrame) -> None:
    regret = query(demo, "from mart_override_regret where segment_name in ('all', 'region')")
    regret = regret[regret.model_version == "all"]
    compared = 0
    for row in regret.itertuples():
        of = overridden[
            (overridden.model_id == row.model_id)
            & overridden.day.between(row.period_start_date, row.period_end_date)
        ]
        if row.segment_name == "region":
            of = of[of.region.fillna("(unknown)") == row.segment_value]
        if row.reason == "private":
            assert np.isnan(row.overridden_count)
            continue
        assert row.overridden_count == len(of)
        assert row.edited_count == (of.action == "edited").sum()
        assert row.outcome_depends_on_action_count == of.depends.sum()
        assert row.no_final_decision_count == (of.final_decision.isna() & ~of.depends).sum()
        known = of[of.gain.notna()]
        assert row.compared_count == len(known)
        if pd.notna(row.gain_amount):
            assert row.gain_amount == pytest.approx(known.gain.sum(), rel=1e-9, abs=1e-9)
            assert row.mean_gain == pytest.approx(known.gain.mean(), rel=1e-9, abs=1e-9)
            compared += 1
    assert compared > 3
    assert "outcome_depends_on_action" in set(regret.reason)


def test_planners_are_right_against_the_release_that_lies_too_high(demo: Path) -> None:
    regret = query(
        demo,
        """
        select model_version, who_was_right, mean_gain_low, mean_gain_high
        from mart_override_regret
        where model_id = 'demand_forecast' and segment_name = 'all' and period = 'all'
            and model_version <> 'all'
        """,
    ).set_index("model_version")
    assert regret.who_was_right.to_dict() == {"3.0": "model", "3.1": "person"}
    assert regret.mean_gain_high["3.0"] < 0 < regret.mean_gain_low["3.1"]


def test_unknown_reasons_add_up_and_few_words_stay_hidden(demo: Path) -> None:
    regret = query(demo, "from mart_override_regret")
    shown = regret[regret.overridden_count.notna()]
    unknown = shown.filter(regex="(action|decision|read|label|valued)_count$").sum(axis=1)
    assert (unknown + shown.compared_count == shown.overridden_count).all()
    reasons = regret[regret.segment_name == "override_reason"]
    assert "knows the customer" in set(reasons.segment_value)
    whole = regret[(regret.model_version == "all") & (regret.segment_name == "all")]
    keys = ["model_id", "period", "period_end_date"]
    for key, of in reasons.groupby(keys):
        if of.overridden_count.notna().all():
            total = whole.set_index(keys).overridden_count.loc[key]
            assert of.overridden_count.sum() == total


def company_of(name: str, *, seed: int, users: int, rows: int, skill: float) -> pd.DataFrame:
    """Alerts that users let go; `skill` is how much less often these are cases than would pay.

    An alert that is no case costs COST, one that is let go costs its amount. Users differ, amounts
    are heavy. The users' mean gain over all users is `COST * (1 - p) - 10 * p`, with p the share of
    cases.
    """
    rng = np.random.default_rng(seed)
    share = COST / (COST + 10) - skill
    own_share = rng.beta(12 * share, 12 * (1 - share), users)
    user = rng.integers(0, users, rows)
    is_case = rng.uniform(size=rows) < own_share[user]
    amount = 10 * rng.lognormal(-0.32, 0.8, rows)
    return pd.DataFrame(
        {
            "model_id": f"{name}_{seed:04}",
            "model_version": "1",
            "user_id": [f"user {number}" for number in user],
            "channel": rng.choice(["web", "app"], rows),
            "device": "desktop",
            "region": "emea",
            "user_action": "overridden",
            "final_decision": "no",
            "override_reason": "knows better",
            "label_state": "matured",
            "sampling_weight": 1.0,
            "predicted_value": np.nan,
            "actual_value": np.nan,
            "measured_count": 0.0,
            "value_amount": np.where(is_case, 0.0, -COST),
            "user_value_amount": np.where(is_case, -amount, 0.0),
            "decision_date": pd.Timestamp(FIRST_DAY) + pd.to_timedelta(np.arange(rows) % 31, "D"),
        }
    )


def regret_of(
    decisions: pd.DataFrame,
    *,
    task: str = "binary",
    depends: bool = False,
    delivered: bool = True,
) -> pd.DataFrame:
    models = pd.DataFrame({"model_id": decisions.model_id.unique()}).assign(
        task=task, positive_label="case", outcome_depends_on_action=depends
    )
    given = {
        "fct_decisions": decisions,
        "dim_models": models,
        "int_judged_periods": models[["model_id"]].assign(
            period="all", period_start_date=FIRST_DAY, period_end_date=LAST_DAY
        ),
        "int_watermarks": models[["model_id"]].assign(
            source_name="usage_events", known_through=LAST_DAY if delivered else None
        ),
        "int_hidden_cells": pd.DataFrame(
            {
                name: pd.Series(dtype=str)
                for name in (
                    *("counted_brick", "model_id", "segment_name"),
                    *("segment_value", "period", "period_end_date"),
                )
            }
        ),
    }
    found = compiled.run(given, *CHAIN)["mart_override_regret"]
    whole = found[(found.segment_name == "all") & (found.model_version == "all")]
    return whole.set_index("model_id")


def test_planted_people_and_models_are_found() -> None:
    """Twenty of each, and twenty where neither is better."""
    sets = [
        company_of(name, seed=seed, users=30, rows=1_500, skill=skill)
        for name, skill in (("person", 0.15), ("model", -0.15), ("neither", 0.0))
        for seed in range(20)
    ]
    found = regret_of(pd.concat(sets, ignore_index=True))
    told = found.who_was_right.groupby(found.index.str.split("_").str[0]).value_counts()
    assert told["person"].to_dict() == {"person": 20}
    assert told["model"].to_dict() == {"model": 20}
    assert told["neither"].get("undecided", 0) >= 16


def test_the_interval_is_that_of_clustered_means() -> None:
    rows = company_of("one", seed=1, users=25, rows=600, skill=0.0)
    rows["sampling_weight"] = np.random.default_rng(2).choice([1.0, 4.0], len(rows))
    for name in ("value_amount", "user_value_amount"):
        rows[name] *= rows.sampling_weight
    found = regret_of(rows).iloc[0]
    gain = rows.user_value_amount - rows.value_amount
    mean = gain.sum() / rows.sampling_weight.sum()
    residual = (gain - mean * rows.sampling_weight).groupby(rows.user_id).sum()
    error = np.sqrt(25 / 24 * (residual**2).sum()) / rows.sampling_weight.sum()
    assert found.user_count == 25
    assert found.mean_gain == pytest.approx(mean, rel=1e-9)
    assert found.mean_gain_high - mean == pytest.approx(student.ppf(0.975, 24) * error, rel=1e-6)
    assert mean - found.mean_gain_low == pytest.approx(student.ppf(0.975, 24) * error, rel=1e-6)


@pytest.mark.parametrize(
    ("users", "rows", "reason"), [(9, 1_000, "too_few_users"), (20, 199, "too_few_units")]
)
def test_few_have_no_interval(users: int, rows: int, reason: str) -> None:
    found = regret_of(company_of("few", seed=3, users=users, rows=rows, skill=0.3)).iloc[0]
    assert found.interval_reason == reason
    assert pd.isna(found.mean_gain_low)
    assert pd.isna(found.who_was_right)
    assert pd.notna(found.mean_gain)


def test_what_cannot_be_known_is_counted() -> None:
    rows = company_of("said", seed=4, users=20, rows=1_000, skill=0.0)
    rows.loc[:99, "final_decision"] = None
    rows.loc[100:299, "final_decision"] = "perhaps"
    rows.loc[300:599, ["label_state", "value_amount", "user_value_amount"]] = [
        "pending",
        None,
        None,
    ]
    rows.loc[600:649, "user_value_amount"] = None
    found = regret_of(rows).iloc[0]
    names = ["no_final_decision", "final_decision_not_read", "no_label", "cell_not_valued"]
    counts = [found[f"{name}_count"] for name in [*names, "compared"]]
    assert counts == [100, 200, 300, 50, 350]
    assert found.reason == found.interval_reason == "final_decision_not_read"
    assert pd.isna(found.mean_gain)
    unknowable = regret_of(rows, depends=True).iloc[0]
    assert unknowable.outcome_depends_on_action_count == 1_000
    assert unknowable.reason == "outcome_depends_on_action"
    assert pd.isna(unknowable.gain_amount)


@pytest.mark.parametrize("part", ["final_decision_not_read", "cell_not_valued"])
def test_those_who_can_be_compared_are_no_chosen_part(part: str) -> None:
    """Where one class has no word or no value, users are judged by the other alone."""
    rows = company_of("part", seed=8, users=20, rows=1_000, skill=0.3)

    def without(count: int) -> pd.Series:
        cells: dict[str, object] = {"final_decision_not_read": "perhaps", "cell_not_valued": None}
        column = "final_decision" if part == "final_decision_not_read" else "user_value_amount"
        told = rows.copy()
        told.loc[: count - 1, column] = cells[part]
        return regret_of(told).iloc[0]

    assert pd.isna(without(100).reason)
    assert pd.notna(without(100).who_was_right)
    assert without(101).reason == part
    assert pd.isna(without(101).gain_amount)
    assert pd.isna(without(101).who_was_right)


def test_numbers_are_compared_by_their_errors() -> None:
    rng = np.random.default_rng(5)
    rows = company_of("number", seed=5, users=20, rows=1_000, skill=0.0)
    actual = rng.normal(100, 10, 1_000)
    predicted, decided = actual + rng.normal(0, 6, 1_000), actual + rng.normal(0, 3, 1_000)
    rows = rows.assign(
        predicted_value=predicted,
        actual_value=actual,
        measured_count=1.0,
        final_decision=[repr(float(number)) for number in decided],
        value_amount=np.nan,
        user_value_amount=np.nan,
    )
    found = regret_of(rows, task="regression").iloc[0]
    gain = np.abs(predicted - actual) - np.abs(decided - actual)
    assert (found.unit, found.who_was_right) == ("error", "person")
    assert found.mean_gain == pytest.approx(gain.mean(), rel=1e-9)


def test_use_that_was_not_delivered_is_not_none_at_all() -> None:
    rows = company_of("late", seed=6, users=20, rows=1_000, skill=0.0)
    late = regret_of(rows, delivered=False).iloc[0]
    assert late.reason == "usage_events_not_delivered"
    assert pd.isna(late.overridden_count)
    followed = regret_of(rows.assign(user_action="accepted")).iloc[0]
    assert (followed.reason, followed.overridden_count) == ("no_data", 0)


@pytest.mark.simulation
def test_intervals_cover_the_true_gain() -> None:
    """Forty users and a thousand decisions, 1,500 times: 90 to 97 %."""
    sets = [
        company_of("cover", seed=seed, users=40, rows=1_000, skill=0.05) for seed in range(1_500)
    ]
    found = regret_of(pd.concat(sets, ignore_index=True))
    share = COST / (COST + 10) - 0.05
    true = COST * (1 - share) - 10 * share
    covered = ((found.mean_gain_low < true) & (true < found.mean_gain_high)).mean()
    assert len(found) == 1_500
    assert 0.90 <= covered <= 0.97, covered
