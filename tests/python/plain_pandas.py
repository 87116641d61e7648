"""The metrics once more, from the raw files, in pandas alone: what each number means, step by step.

Nothing here is shared with the dbt project but the raw files and the seeds.
"""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np
import pandas as pd

SEGMENTS = ["channel", "device", "region"]
EVENT_NAMES = [
    "exposed",
    "viewed",
    "accepted",
    "rejected",
    "overridden",
    "edited",
    "dismissed",
    "task_completed",
]
STATUSES = ["final", "provisional", "reversed", "censored"]


def read_raw(workspace: Path, table: str) -> pd.DataFrame:
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        files = [path.as_posix() for path in (workspace / "raw" / table).rglob("*.parquet")]
        return connection.read_parquet(files, union_by_name=True).df()


def read_seed(folder: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(
        folder / f"{name}.csv",
        dtype={"positive_label": str},
        parse_dates=[c for c in ("valid_from", "valid_to") if name != "model_registry"],
    )


def latest(rows: pd.DataFrame, *, key: str, kept: pd.Series, as_of: pd.Timestamp) -> pd.DataFrame:
    """The last delivered copy of each row that keeps the contract and had arrived by as_of."""
    visible = rows[kept & rows.loaded_at.notna() & (rows.loaded_at <= as_of)]
    return visible.sort_values("loaded_at").drop_duplicates(key, keep="last")


def in_usd(rows: pd.DataFrame, rates: pd.DataFrame, *, day: str, currency: str) -> pd.Series:
    """The rate to USD of each row's currency on its day; NaN where there is none."""
    rate = pd.Series(np.nan, index=rows.index)
    rate[rows[currency].isna() | (rows[currency] == "USD")] = 1.0
    for line in rates[rates.currency != "USD"].itertuples():
        holds = (rows[currency] == line.currency) & (rows[day] >= line.valid_from)
        if not pd.isna(line.valid_to):
            holds &= rows[day] < line.valid_to
        rate[holds] = line.rate
    return rate


class Company:
    """Decisions, user-days and outcomes of a workspace as plain frames."""

    def __init__(self, *, workspace: Path, seeds: Path, as_of: str) -> None:
        self.as_of = pd.Timestamp(as_of)
        self.registry = read_seed(seeds, "model_registry")
        self.rates = read_seed(seeds, "exchange_rates")
        self.unit_values = read_seed(seeds, "unit_values")
        self.predictions = self._predictions(read_raw(workspace, "prediction_logs"))
        self.events = self._events(read_raw(workspace, "usage_events"))
        self.outcomes = self._outcomes(read_raw(workspace, "business_outcomes"))
        self.eligible = self._eligible(read_raw(workspace, "eligible_users"))
        self.links = self._links()
        self.decisions = self._decisions()
        self.user_days = self._user_days()

    def _known(self, rows: pd.DataFrame) -> pd.Series:
        return rows.model_id.isin(self.registry.model_id)

    def _predictions(self, rows: pd.DataFrame) -> pd.DataFrame:
        required = ["prediction_id", "model_id", "model_version", "predicted_at", "entity_id"]
        kept = rows[required].notna().all(axis=1) & self._known(rows)
        binary = rows.model_id.isin(self.registry[self.registry.task == "binary"].model_id)
        kept &= ~(binary & ((rows.score < 0) | (rows.score > 1)))
        for share in ("propensity", "sampling_fraction"):
            if share in rows:
                kept &= ~((rows[share] <= 0) | (rows[share] > 1))
        kept &= ~(rows.rank_position.astype("float64") < 1) & ~(rows.latency_ms < 0)
        rows = latest(rows, key="prediction_id", kept=kept, as_of=self.as_of)
        rows = rows[rows.environment.fillna("prod") == "prod"]
        columns = ["model_id", "task", "horizon_days", "label_delay_days", "label_outcome"]
        columns += ["positive_label", "amount_outcome", "negative_on_absence"]
        registry = self.registry[[*columns, "decision_threshold"]]
        return rows.merge(registry, on="model_id", suffixes=("", "_registered"))

    def _events(self, rows: pd.DataFrame) -> pd.DataFrame:
        required = ["event_id", "event_name", "occurred_at", "user_id", "model_id"]
        kept = rows[required].notna().all(axis=1) & self._known(rows)
        kept &= rows.event_name.isin(EVENT_NAMES) & ~(rows.duration_ms < 0)
        return latest(rows, key="event_id", kept=kept, as_of=self.as_of)

    def _outcomes(self, rows: pd.DataFrame) -> pd.DataFrame:
        rows = rows.assign(status=rows.status.fillna("final"))
        required = ["outcome_id", "outcome_name", "occurred_at", "observed_at"]
        kept = rows[required].notna().all(axis=1) & rows.status.isin(STATUSES)
        kept &= rows[["prediction_id", "entity_id", "user_id"]].notna().any(axis=1)
        kept &= rows[["outcome_label", "outcome_value"]].notna().any(axis=1)
        kept &= ~(rows.observed_at < rows.occurred_at)
        rate = in_usd(rows, self.rates, day="occurred_at", currency="currency")
        rows = rows.assign(amount=rows.outcome_value * rate)
        return latest(rows, key="outcome_id", kept=kept & rate.notna(), as_of=self.as_of)

    def _eligible(self, rows: pd.DataFrame) -> pd.DataFrame:
        kept = rows[["user_id", "model_id", "eligible_from"]].notna().all(axis=1)
        kept &= self._known(rows) & ~(rows.eligible_to < rows.eligible_from)
        rows = rows.assign(key=rows.user_id + rows.model_id + rows.eligible_from.astype(str))
        return latest(rows, key="key", kept=kept, as_of=self.as_of)

    def _links(self) -> pd.DataFrame:
        """Each outcome with every decision it belongs to, and which of them takes the amount."""
        decisions = self.predictions[
            ["prediction_id", "model_id", "entity_id", "user_id", "predicted_at", "horizon_days"]
        ]
        outcomes = self.outcomes[
            ["outcome_id", "prediction_id", "entity_id", "user_id", "occurred_at"]
        ]
        named = outcomes[outcomes.prediction_id.notna()]
        by_name = named[["outcome_id", "prediction_id"]].merge(decisions, on="prediction_id")
        rest = outcomes[outcomes.prediction_id.isna()]
        found = [by_name]
        for key, part in (
            ("entity_id", rest[rest.entity_id.notna()]),
            ("user_id", rest[rest.entity_id.isna()]),
        ):
            pairs = part[["outcome_id", "occurred_at", key]].merge(decisions, on=key)
            age = pairs.occurred_at - pairs.predicted_at
            inside = (age >= pd.Timedelta(0)) & (
                age < pd.to_timedelta(pairs.horizon_days, unit="D")
            )
            found.append(pairs[inside])
        links = pd.concat(found)[["outcome_id", "prediction_id", "model_id", "predicted_at"]]
        links = links.sort_values(["predicted_at", "prediction_id"])
        newest = ~links.duplicated(["outcome_id", "model_id"], keep="last")
        return links.assign(is_credited=newest)

    def _decisions(self) -> pd.DataFrame:
        rows = self.predictions.set_index("prediction_id")
        waits = pd.to_timedelta(rows.horizon_days + rows.label_delay_days, unit="D")
        mature = rows.predicted_at + waits <= self.as_of
        linked = self.links.merge(self.outcomes, on="outcome_id", suffixes=("", "_of_outcome"))
        linked = linked[linked.status != "reversed"]
        linked["label_outcome"] = linked.prediction_id.map(rows.label_outcome)
        linked["positive_label"] = linked.prediction_id.map(rows.positive_label)
        linked["amount_outcome"] = linked.prediction_id.map(rows.amount_outcome)
        labels = linked[linked.outcome_name == linked.label_outcome]
        final = labels[labels.status == "final"]
        positive = final[
            final.positive_label.isna() | (final.outcome_label == final.positive_label)
        ]
        is_labelled = rows.index.isin(final.prediction_id)
        is_provisional = ~is_labelled & rows.index.isin(
            labels[labels.status == "provisional"].prediction_id
        )
        has_any_label = rows.index.isin(labels.prediction_id)
        is_absent = ~has_any_label & rows.negative_on_absence
        state = np.where(
            ~mature | is_provisional,
            "pending",
            np.where(is_labelled | is_absent, "matured", "unlabelled"),
        )
        threshold = rows.decision_threshold.fillna(rows.decision_threshold_registered)
        says_yes = (rows.score >= threshold).astype(object)
        by_class = rows.predicted_label.notna() & (rows.task != "ranking")
        says_yes[by_class] = rows.predicted_label[by_class] == rows.positive_label[by_class]
        says_yes[~by_class & (rows.score.isna() | threshold.isna())] = None
        is_yes = rows.index.isin(positive.prediction_id)
        matured = (state == "matured") & says_yes.notna()
        yes = says_yes.fillna(False).astype(bool)
        cell = pd.Series(None, index=rows.index, dtype=object)
        cell[matured & yes & is_yes] = "tp"
        cell[matured & yes & ~is_yes] = "fp"
        cell[matured & ~yes & is_yes] = "fn"
        cell[matured & ~yes & ~is_yes] = "tn"
        credited = linked[
            linked.is_credited
            & (linked.outcome_name == linked.amount_outcome)
            & (linked.status == "final")
        ]
        amount = credited.groupby("prediction_id").amount.sum().reindex(rows.index)
        rows = rows.assign(
            state=state,
            cell=cell,
            says_yes=yes,
            is_yes=is_yes & (state == "matured"),
            amount=amount,
            day=rows.predicted_at.dt.normalize(),
            action=self._actions().reindex(rows.index).fillna("not_shown"),
        )
        return rows.assign(value=self._values(rows)).reset_index()

    def _actions(self) -> pd.Series:
        """What the user last did with each decision that was shown."""
        events = self.events[
            self.events.prediction_id.notna() & (self.events.event_name != "task_completed")
        ]
        depth = events.event_name.map({"exposed": 1, "viewed": 2}).fillna(3)
        last = (
            events.assign(depth=depth)
            .sort_values(["depth", "occurred_at", "event_id"])
            .drop_duplicates("prediction_id", keep="last")
            .set_index("prediction_id")
        )
        return last.event_name.where(last.depth == 3, "ignored")

    def _values(self, rows: pd.DataFrame) -> pd.Series:
        values = pd.Series(np.nan, index=rows.index)
        for line in self.unit_values.itertuples():
            holds = (rows.model_id == line.model_id) & (rows.cell == line.cell)
            holds &= rows.predicted_at >= line.valid_from
            if not pd.isna(line.valid_to):
                holds &= rows.predicted_at < line.valid_to
            rate = in_usd(
                rows[holds].assign(currency=line.currency),
                self.rates,
                day="predicted_at",
                currency="currency",
            )
            values[holds] = line.fixed_amount * rate + line.amount_coefficient * rows.amount[
                holds
            ].fillna(0)
        return values

    def _user_days(self) -> pd.DataFrame:
        last_day = (self.as_of - pd.Timedelta(seconds=1)).normalize()
        stays = [
            (row.user_id, row.model_id, day)
            for row in self.eligible.itertuples()
            for day in pd.date_range(row.eligible_from.normalize(), last_day)
            if pd.isna(row.eligible_to) or row.eligible_to > day
        ]
        keys = ["user_id", "model_id", "day"]
        eligible = pd.DataFrame(stays, columns=keys).drop_duplicates().assign(eligible=1)
        active = self.events[~self.events.is_passive.fillna(False).astype(bool)]
        active = active.assign(day=active.occurred_at.dt.normalize())[keys].drop_duplicates()
        return eligible.merge(active.assign(active=1), on=keys, how="outer").fillna(
            {"eligible": 0, "active": 0}
        )

    def revenue(self) -> pd.DataFrame:
        """Final revenue, one row per model that takes the credit, or one without a model."""
        outcomes = self.outcomes[
            (self.outcomes.status == "final") & (self.outcomes.outcome_name == "revenue")
        ]
        credited = self.links[self.links.is_credited][["outcome_id", "prediction_id", "model_id"]]
        rows = outcomes[["outcome_id", "amount", "occurred_at"]].merge(
            credited, on="outcome_id", how="left"
        )
        carried = self.predictions[["prediction_id", "model_version", *SEGMENTS]]
        rows = rows.merge(carried, on="prediction_id", how="left")
        rows["model_id"] = rows.model_id.fillna("(none)")
        rows["model_version"] = rows.model_version.fillna("(none)")
        return rows.assign(day=rows.occurred_at.dt.normalize())

    def metrics(self) -> pd.DataFrame:
        """Numerator, denominator and left-out count of every metric by day, version, segment."""
        d = self.decisions
        cell, state, one = d.cell, d.state, pd.Series(1.0, index=d.index)
        matured, left_out = state == "matured", state != "matured"
        judged, shown = cell.notna(), d.action != "not_shown"
        valued = judged & d.value.notna()
        of_decisions = {
            "precision": (cell == "tp", cell.isin(["tp", "fp"]), left_out & d.says_yes),
            "recall": (cell == "tp", cell.isin(["tp", "fn"]), left_out),
            "accuracy": (cell.isin(["tp", "tn"]), judged, left_out),
            "acceptance_rate": (d.action == "accepted", shown, one * 0),
            "conversion_rate": (d.is_yes, matured, left_out),
            "net_value_per_decision": (d.value, valued, left_out),
            "net_value": (d.value, None, left_out),
        }
        parts = [
            spread(d, metric=name, numerator=n, denominator=m, excluded=x)
            for name, (n, m, x) in of_decisions.items()
        ]
        revenue = self.revenue()
        parts.append(spread(revenue, metric="credited_revenue", numerator=revenue.amount))
        days = self.user_days.assign(model_version="all")
        used = days.eligible * days.active
        parts.append(
            spread(days, metric="adoption_rate", numerator=used, denominator=days.eligible)
        )
        both = pd.concat(
            [
                revenue.assign(model_version="all", n=revenue.amount, m=0.0),
                days.assign(n=0.0, m=days.active),
            ],
            ignore_index=True,
        )
        parts.append(
            spread(
                both,
                metric="revenue_per_active_user_day",
                numerator=both.n,
                denominator=both.m,
                segments=[],
            )
        )
        table = pd.concat(parts, ignore_index=True)
        return table[
            (table[["numerator", "denominator", "excluded_count"]].fillna(0) != 0).any(axis=1)
        ]


def spread(
    rows: pd.DataFrame,
    *,
    metric: str,
    numerator: pd.Series,
    denominator: pd.Series | None = None,
    excluded: pd.Series | None = None,
    segments: list[str] | None = None,
) -> pd.DataFrame:
    """One metric by day, model, version: in total and by each segment the rows carry."""
    frame = rows.assign(
        numerator=numerator.astype(float).fillna(0),
        denominator=np.nan if denominator is None else denominator.astype(float),
        excluded_count=0.0 if excluded is None else excluded.astype(float),
    )
    carried = [s for s in SEGMENTS if s in rows] if segments is None else segments
    parts = []
    for segment in ["all", *carried]:
        value = "all" if segment == "all" else frame[segment].fillna("(unknown)")
        named = frame.assign(metric=metric, segment_name=segment, segment_value=value)
        keys = ["metric", "day", "model_id", "model_version", "segment_name", "segment_value"]
        sums = named.groupby(keys)[["numerator", "denominator", "excluded_count"]]
        parts.append(sums.sum(min_count=1).reset_index())
    return pd.concat(parts, ignore_index=True).rename(columns={"day": "metric_date"})
