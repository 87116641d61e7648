"""Who used a model, once more from the raw files: sets of users by model, segment value and day."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from building import query
from plain_pandas import Company

DAY = pd.Timedelta(days=1)
REGULAR, EMBEDDED = 4, 12
CELL = ["model_id", "segment_name", "segment_value"]
Cell = tuple[str, str, str]
Users = dict[pd.Timestamp, set[str]]


class Adoption:
    """The users of each model, segment value and day, as sets, from the raw files."""

    def __init__(self, company: Company) -> None:
        self.as_of = company.as_of.normalize()
        self.segments = company.segments
        self.known_from = company.events.occurred_at.min().normalize()
        has_use = len(company.events) > 0
        self.days = pd.date_range(self.known_from, self.as_of - DAY) if has_use else []
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
            for day in pd.date_range(row.eligible_from.normalize(), self.as_of - DAY):
                if pd.isna(row.eligible_to) or row.eligible_to > day:
                    names = [
                        name if isinstance(name, str) else "(unknown)"
                        for name in (getattr(row, "team", None), getattr(row, "role", None))
                    ]
                    self.groups[row.model_id, row.user_id, day] = (names[0], names[1])
        for (model, user, day), (team, role) in self.groups.items():
            for cell in ((model, "all", "all"), (model, "team", team), (model, "role", role)):
                self.eligible[cell][day].add(user)

    def _read_events(self, company: Company) -> None:
        # what somebody used need not be in production
        carried = company.asked_about[["prediction_id", *self.segments]]
        events = company.events.drop(columns=self.segments, errors="ignore").merge(
            carried, on="prediction_id", how="left"
        )
        events[self.segments] = events[self.segments].fillna("(unknown)")
        events["day"] = events.occurred_at.dt.normalize()
        for row in events[events.day < self.as_of].itertuples():
            model, user, day = row.model_id, row.user_id, row.day
            team, role = self.groups.get((model, user, day), ("(unknown)", "(unknown)"))
            cells = [(model, "all", "all"), (model, "team", team), (model, "role", role)]
            cells += [(model, name, getattr(row, name)) for name in self.segments]
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


COUNTS = [
    "exposed_users",
    "passive_users",
    "weekly_active_users",
    "monthly_active_users",
    "new_users",
    "returning_users",
    "resurrected_users",
    "eligible_users",
    "adopted_users",
    "active_user_days",
]


def assert_users_are(workspace: Path, adoption: Adoption) -> None:
    """Holds every count of int_adoption_days, hidden or not, against sets of users."""
    plain = pd.DataFrame(adoption.rows())
    if plain.empty:
        return
    built = query(workspace, "from int_adoption_days")
    built = built[built.activity_date >= adoption.known_from]
    both = built.merge(plain, on=[*CELL, "activity_date"], how="outer", suffixes=("", "_plain"))
    # a model of which nothing is known has no row
    both[COUNTS] = both[COUNTS].fillna(0)
    for name in COUNTS:
        differs = both[name] != both[f"{name}_plain"]
        assert not differs.any(), f"{name}: {both[differs].head().to_string()}"
