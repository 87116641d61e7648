"""Who uses a model: users, windows, lives, stages and steps against plain sets of users."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import plain_pandas
from building import ROOT, query
from plain_adoption import CELL, DAY, Adoption, Cell, assert_users_are
from plain_values import hidden_cells

AS_OF = pd.Timestamp("2026-07-01")
MINIMUM = 20


@pytest.fixture(scope="module")
def adoption(demo: Path) -> Adoption:
    company = plain_pandas.Company(
        raw=plain_pandas.read_raw(demo),
        seeds=ROOT / "seeds",
        as_of="2026-07-01",
        segments=["channel", "device", "region"],
    )
    return Adoption(company)


@pytest.fixture(scope="module")
def plain(adoption: Adoption) -> pd.DataFrame:
    table = pd.DataFrame(adoption.rows())
    units = table[["eligible_users", "monthly_active_users"]].max(axis=1)
    table["is_hidden"] = False
    for (_, segment, _), rows in table.assign(units=units).groupby(
        ["model_id", "segment_name", "activity_date"]
    ):
        if segment != "all":
            table.loc[rows.index, "is_hidden"] = hidden_cells(list(rows.units), MINIMUM)
    return table


@pytest.fixture(scope="module")
def told(demo: Path) -> pd.DataFrame:
    return query(demo, "from mart_adoption")


@pytest.fixture(scope="module")
def both(plain: pd.DataFrame, told: pd.DataFrame) -> pd.DataFrame:
    both = plain.merge(
        told, on=[*CELL, "activity_date"], how="outer", suffixes=("_plain", ""), indicator=True
    )
    assert set(both["_merge"]) == {"both"}, both[both["_merge"] != "both"].head().to_string()
    return both


def test_every_shown_number_counts_different_users(both: pd.DataFrame, adoption: Adoption) -> None:
    known = (both.activity_date - adoption.known_from).dt.days + 1
    by_people = both.segment_name.isin(["all", "team", "role"])
    has_people = by_people & (both.eligible_users_plain > 0)
    shown_when = {
        "eligible_users": has_people,
        "exposed_users": known >= 1,
        "passive_users": known >= 1,
        "daily_active_users": known >= 1,
        "weekly_active_users": known >= 7,
        "monthly_active_users": known >= 28,
        "new_users": known >= 29,
        "returning_users": known >= 29,
        "resurrected_users": known >= 29,
        "dormant_users": known >= 29,
        "adopted_users": has_people & (known >= 28),
    }
    for name, is_known in shown_when.items():
        expected = both[f"{name}_plain"].where(is_known & ~both.is_hidden)
        pd.testing.assert_series_equal(
            both[name].astype(float), expected.astype(float), check_names=False, obj=name
        )
    assert (both.use_reason.eq("private") == both.is_hidden).all()
    assert (both.dormant_users > 0).any()
    assert (both.resurrected_users > 0).any()


def test_hidden_counts_are_right_too(demo: Path, adoption: Adoption) -> None:
    assert_users_are(demo, adoption)


def test_shares_divide_counts_and_say_where_they_are_few(both: pd.DataFrame) -> None:
    stickiness = both.active_user_days / 28 / both.monthly_active_users.astype(float)
    is_few = both.monthly_active_users < MINIMUM
    assert np.allclose(both.stickiness, stickiness.mask(is_few), equal_nan=True)
    assert (both.window_reason.eq("too_few_units") == is_few.fillna(False)).all()
    rate = both.adopted_users.astype(float) / both.eligible_users.astype(float)
    assert np.allclose(both.adoption_rate, rate.mask(both.eligible_users < MINIMUM), equal_nan=True)
    assert both.stickiness.notna().sum() > 1000
    assert both.adoption_rate.notna().sum() > 100
    for reason, number in (
        ("use_reason", "daily_active_users"),
        ("window_reason", "stickiness"),
        ("lifecycle_reason", "new_users"),
        ("adoption_reason", "adoption_rate"),
    ):
        assert (both[reason].isna() == both[number].notna()).all(), reason


def test_active_users_are_new_returning_or_resurrected(told: pd.DataFrame) -> None:
    known = told[told.lifecycle_reason.isna()]
    parts = known.new_users + known.returning_users + known.resurrected_users
    assert (known.daily_active_users == parts).all()
    assert len(known) > 1500


def test_half_of_the_users_began_within_the_days_told(
    adoption: Adoption, told: pd.DataFrame
) -> None:
    first_use: dict[tuple[str, str], pd.Timestamp] = {}
    first_eligible: dict[tuple[str, str], pd.Timestamp] = {}
    for model in adoption.models:
        for firsts, users in ((first_use, adoption.active), (first_eligible, adoption.eligible)):
            for day in sorted(users[model, "all", "all"]):
                for user in users[model, "all", "all"][day]:
                    firsts.setdefault((model, user), day)
    waits: dict[Cell, list[tuple[pd.Timestamp, int]]] = defaultdict(list)
    for (model, user), day in first_use.items():
        began = first_eligible.get((model, user), AS_OF)
        group = adoption.groups.get((model, user, day))
        if group and adoption.known_from <= began <= day:
            for segment, value in zip(("all", "team", "role"), ("all", *group), strict=True):
                waits[model, segment, value].append((day, (day - began).days))
    checked = 0
    for row in told[told.first_use_users.notna()].itertuples():
        found = [
            wait
            for day, wait in waits[row.model_id, row.segment_name, row.segment_value]
            if 0 <= (row.activity_date - day).days < 28
        ]
        assert row.first_use_users == len(found)
        half = np.quantile(found, 0.5, method="inverted_cdf") if found else np.nan
        assert np.isclose(row.days_to_first_use, half, equal_nan=True)
        checked += len(found) > 1
    assert checked > 50


def test_frequencies_are_those_of_each_user(
    demo: Path, adoption: Adoption, told: pd.DataFrame
) -> None:
    frequency = query(demo, "from mart_adoption_frequency")
    ends = {pd.Timestamp(day) for day in ("2026-03-31", "2026-04-30", "2026-05-31", "2026-06-30")}
    assert set(frequency.activity_date) == ends
    table = frequency.pivot_table(
        index=[*CELL, "activity_date"], columns="active_day_count", values="user_count"
    )
    for key, counts in table.iterrows():
        users = adoption.active[key[:3]]
        days = Counter(user for n in range(28) for user in users.get(key[3] - n * DAY, ()))
        expected = Counter(days.values())
        assert list(counts) == [expected[k] for k in range(1, 29)], key
    shares = frequency[frequency.reason.isna()].groupby([*CELL, "activity_date"])
    assert np.allclose(shares.user_share.sum(), 1)
    assert len(shares) > 20
    assert np.allclose(shares.at_least_share.max(), 1)
    # every row of a hidden cell is hidden, and of no other
    hidden = told.set_index([*CELL, "activity_date"]).window_reason.eq("private")
    cells = frequency.groupby([*CELL, "activity_date"]).user_count.count() == 0
    assert (cells == hidden[cells.index]).all()


def test_stages_split_the_eligible_and_steps_sum_to_one(
    demo: Path, adoption: Adoption, told: pd.DataFrame
) -> None:
    steps = query(demo, "from mart_adoption_stages")
    ends = [pd.Timestamp(day) for day in ("2026-03-31", "2026-04-30", "2026-05-31", "2026-06-30")]
    stages = {
        (model, user, end): adoption.stage(model, user, end)
        for end in ends
        for model in adoption.models
        for user in adoption.eligible[model, "all", "all"][end]
    }
    expected: Counter[tuple[object, ...]] = Counter()
    for before, end in zip([None, *ends], ends, strict=False):
        for model in adoption.models:
            people = {user for m, user, day in stages if m == model and day in (before, end)}
            for user in people:
                stage = stages.get((model, user, end), "not_eligible")
                previous = stages.get((model, user, before), "not_eligible")
                at = end if (model, user, end) in stages else before
                for name, value in zip(
                    ("all", "team", "role"), ("all", *adoption.groups[model, user, at]), strict=True
                ):
                    if stage != "not_eligible":
                        expected[model, name, value, end, "all", stage] += 1
                    if before is not None:
                        expected[model, name, value, end, previous, stage] += 1
    shown = steps[steps.user_count.notna()]
    for row in shown.itertuples():
        key = (*row[1:4], row.month_end_date, row.previous_stage, row.stage)
        assert row.user_count == expected[key], key
    whole = shown[(shown.segment_name == "all") & (shown.user_count > 0)]
    assert len(whole) == sum(key[1] == "all" for key in expected)
    rows = shown.groupby([*CELL, "month_end_date", "previous_stage"])
    sums = rows.user_share.sum(min_count=1)
    assert np.allclose(sums.dropna(), 1)
    assert sums.notna().sum() > 5
    totals = (
        shown[shown.previous_stage == "all"].groupby([*CELL, "month_end_date"]).user_count.sum()
    )
    eligible = told.set_index([*CELL, "activity_date"]).eligible_users.fillna(0)
    assert (totals == eligible[totals.index]).all()
    assert (steps.reason.isna() == steps.user_share.notna()).all()
    # the month before the data began is not known
    first = steps[(steps.month_end_date == ends[0]) & (steps.previous_stage != "all")]
    assert set(first.reason) <= {"partial_window", "private"}


def test_governed_numbers_are_those_of_the_last_day(demo: Path, told: pd.DataFrame) -> None:
    values = query(
        demo,
        "from fct_metric_values where segment_name = 'all' and model_version = 'all' and metric in "
        "('weekly_active_users', 'monthly_active_users', 'stickiness', 'embedded_share')",
    )
    total = told[told.segment_name == "all"].set_index(["model_id", "activity_date"])
    for metric, rows in values[values.metric != "embedded_share"].groupby("metric"):
        ready = rows[rows.status == "ready"]
        assert set(ready.period) == {"day", "7d", "28d", "month", "all"}
        keys = list(zip(ready.model_id, ready.period_end_date, strict=True))
        assert np.allclose(ready.value, total.loc[keys, metric].astype(float)), metric
        assert (ready.unit_count >= MINIMUM).all()
    steps = query(
        demo,
        "from mart_adoption_stages where stage = 'embedded' and previous_stage = 'all' "
        "and segment_name = 'all' and reason is null",
    ).set_index(["model_id", "month_end_date"])
    embedded = values[(values.metric == "embedded_share") & (values.status == "ready")]
    months = embedded[embedded.period == "month"].set_index(["model_id", "period_end_date"])
    assert len(months) == len(steps) > 0
    assert np.allclose(months.value, steps.user_share[months.index])
    assert (embedded.value.between(embedded.value_low, embedded.value_high)).all()
