"""Who uses a model: users, windows, lives, stages and steps against plain sets of users."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import plain_pandas
from building import ROOT, query
from plain_values import hidden_cells

AS_OF = pd.Timestamp("2026-07-01")
DAY = pd.Timedelta(days=1)
SEGMENTS = ["channel", "device", "region"]
MINIMUM = 20
REGULAR, EMBEDDED = 4, 12
CELL = ["model_id", "segment_name", "segment_value"]
Cell = tuple[str, str, str]
Users = dict[pd.Timestamp, set[str]]


class Adoption:
    """The users of each model, segment value and day, as sets, from the raw files."""

    def __init__(self, workspace: Path) -> None:
        company = plain_pandas.Company(
            raw=plain_pandas.read_raw(workspace),
            seeds=ROOT / "seeds",
            as_of=str(AS_OF),
            segments=SEGMENTS,
        )
        self.known_from = company.events.occurred_at.min().normalize()
        self.days = pd.date_range(self.known_from, AS_OF - DAY)
        self.models = sorted(company.registry.model_id)
        self.met: dict[Cell, Users] = defaultdict(lambda: defaultdict(set))
        self.active: dict[Cell, Users] = defaultdict(lambda: defaultdict(set))
        self.exposed: dict[Cell, Users] = defaultdict(lambda: defaultdict(set))
        self.eligible: dict[Cell, Users] = defaultdict(lambda: defaultdict(set))
        self.groups: dict[tuple[str, str, pd.Timestamp], tuple[str, str]] = {}
        self._read_lists(company.eligible)
        self._read_events(company)
        cells = {*self.met, *self.eligible, *((model, "all", "all") for model in self.models)}
        self.cells = sorted(cells)

    def _read_lists(self, stays: pd.DataFrame) -> None:
        for row in stays.sort_values("eligible_from").itertuples():
            for day in pd.date_range(row.eligible_from.normalize(), AS_OF - DAY):
                if pd.isna(row.eligible_to) or row.eligible_to > day:
                    names = [
                        name if isinstance(name, str) else "(unknown)"
                        for name in (row.team, row.role)
                    ]
                    self.groups[row.model_id, row.user_id, day] = (names[0], names[1])
        for (model, user, day), (team, role) in self.groups.items():
            for cell in ((model, "all", "all"), (model, "team", team), (model, "role", role)):
                self.eligible[cell][day].add(user)

    def _read_events(self, company: plain_pandas.Company) -> None:
        carried = company.predictions[["prediction_id", *SEGMENTS]]
        events = company.events.drop(columns=SEGMENTS, errors="ignore").merge(
            carried, on="prediction_id", how="left"
        )
        events[SEGMENTS] = events[SEGMENTS].fillna("(unknown)")
        events["day"] = events.occurred_at.dt.normalize()
        for row in events[events.day < AS_OF].itertuples():
            model, user, day = row.model_id, row.user_id, row.day
            team, role = self.groups.get((model, user, day), ("(unknown)", "(unknown)"))
            cells = [(model, "all", "all"), (model, "team", team), (model, "role", role)]
            cells += [(model, name, getattr(row, name)) for name in SEGMENTS]
            for cell in cells:
                self.met[cell][day].add(user)
                if row.is_passive is not True:
                    self.active[cell][day].add(user)
                if row.event_name != "task_completed":
                    self.exposed[cell][day].add(user)

    def within(self, users: Users, day: pd.Timestamp, days: int) -> set[str]:
        """Who is among the users of a day or of the days before it."""
        return set().union(*(users.get(day - n * DAY, set()) for n in range(days)))

    def rows(self) -> Iterator[dict[str, object]]:
        """The rows of mart_adoption as they are before anything is hidden."""
        for cell in self.cells:
            active, ever, previous = self.active[cell], set[str](), dict[str, pd.Timestamp]()
            for day in self.days:
                now = active.get(day, set())
                gaps = [(day - previous[user]).days for user in now if user in previous]
                yield {
                    **dict(zip(CELL, cell, strict=True)),
                    "activity_date": day,
                    "eligible_users": len(self.eligible[cell][day]),
                    "exposed_users": len(self.exposed[cell][day]),
                    "passive_users": len(self.met[cell][day] - now),
                    "daily_active_users": len(now),
                    "weekly_active_users": len(self.within(active, day, 7)),
                    "monthly_active_users": (monthly := len(self.within(active, day, 28))),
                    "new_users": len(now) - len(gaps),
                    "returning_users": sum(gap <= 28 for gap in gaps),
                    "resurrected_users": sum(gap > 28 for gap in gaps),
                    "dormant_users": len(ever | now) - monthly,
                    "adopted_users": len(
                        self.eligible[cell][day]
                        & self.within(self.active[cell[0], "all", "all"], day, 28)
                    ),
                    "active_user_days": sum(len(active.get(day - n * DAY, ())) for n in range(28)),
                }
                ever |= now
                previous.update(dict.fromkeys(now, day))

    def stage(self, model: str, user: str, day: pd.Timestamp) -> str:
        """How far an eligible user has come."""
        cell = model, "all", "all"
        days = sum(user in self.active[cell].get(day - n * DAY, ()) for n in range(28))
        if days:
            return "embedded" if days >= EMBEDDED else "regular" if days >= REGULAR else "trial"
        past = [n for n in self.days if n <= day]
        if any(user in self.active[cell].get(n, ()) for n in past):
            return "lapsed"
        return (
            "exposed" if any(user in self.exposed[cell].get(n, ()) for n in past) else "not_exposed"
        )


@pytest.fixture(scope="module")
def adoption(demo: Path) -> Adoption:
    return Adoption(demo)


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
