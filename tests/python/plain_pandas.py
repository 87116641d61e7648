"""The metrics once more, from the raw files, in pandas alone: what each number means, step by step.

Nothing here is shared with the dbt project but the raw files and the seeds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd

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
DECISIVE = ["accepted", "rejected", "overridden", "edited", "dismissed"]
STATUSES = ["final", "provisional", "reversed", "censored"]
SURVEYS = ["nps", "csat", "ces", "relevance", "trust", "improvement", "collaboration"]
# the share of high answers, by metric
RATED = {
    "csat": "csat",
    "relevance": "relevance",
    "customer_effort": "ces",
    "trust": "trust",
    "collaboration": "collaboration",
}
RELEASE_EVENTS = [
    "concept",
    "prototype",
    "validation",
    "approved",
    "deploy_started",
    "deployed",
    "deploy_failed",
    "rolled_back",
    "retired",
]
COST_TYPES = [
    "compute",
    "tokens",
    "storage",
    "labelling",
    "human_review",
    "support",
    "licence",
    "training",
]
# What is read of each table: a column that was not delivered has no values.
TEXTS = {
    "prediction_logs": "prediction_id model_id model_version entity_id user_id list_id "
    "predicted_label environment error_type",
    "usage_events": "event_id event_name user_id model_id prediction_id is_passive",
    "business_outcomes": "outcome_id outcome_name prediction_id entity_id user_id outcome_label "
    "currency status",
    "eligible_users": "user_id model_id",
    "experiment_assignments": "experiment_id unit_id variant",
    "feedback": "response_id survey_type model_id prediction_id comment",
    "model_releases": "release_id model_id model_version event_type is_automated",
    "serving_costs": "cost_id model_id model_version cost_type currency",
    "kpi_annotations": "annotation_id scope kind title",
    "alert_actions": "action_id alert_key action",
}
NUMBERS = {
    "prediction_logs": "score predicted_value rank_position decision_threshold propensity "
    "latency_ms status_code sampling_fraction",
    "usage_events": "duration_ms",
    "business_outcomes": "outcome_value",
    "feedback": "score scale_min scale_max",
    "serving_costs": "amount",
}
TIMES = {
    "prediction_logs": "predicted_at loaded_at",
    "usage_events": "occurred_at loaded_at",
    "business_outcomes": "occurred_at observed_at loaded_at",
    "eligible_users": "eligible_from eligible_to loaded_at",
    "experiment_assignments": "assigned_at first_exposed_at loaded_at",
    "feedback": "asked_at responded_at loaded_at",
    "model_releases": "event_at planned_at loaded_at",
    "serving_costs": "period_start period_end loaded_at",
    "kpi_annotations": "effective_from effective_to loaded_at",
    "alert_actions": "acted_at snoozed_until loaded_at",
}
# A bad cell of these counts as missing; one of any other column that is read costs the row.
OPTIONAL = ("rank_position", "propensity", "latency_ms", "status_code", "duration_ms")
OPTIONAL_TIMES = ("responded_at", "planned_at")
WHOLE = ("rank_position", "status_code")
LABELS = ("predicted_label", "outcome_label")
# A date without a time of day stands for any moment of its day; the last of them is kept as `_by`.
DATED = ("occurred_at", "observed_at", "responded_at", "first_exposed_at")
NOTHING = ("nan", "none", "nat", "null", "nil", "na", "n/a", "#n/a", "<na>", "\\n")
SUMS = ["numerator", "denominator", "excluded_count"]
# segments that the list of eligible users has
USER_SEGMENTS = ("team", "role")
DATED_SEEDS = ("exchange_rates", "unit_values")
NEVER = pd.Timestamp("2200-01-01")


def read_raw(workspace: Path) -> dict[str, pd.DataFrame]:
    """The delivered rows of every raw table that has any, under the names of the contract."""
    folders = {table: workspace / "raw" / table for table in TEXTS}
    found = {table: folder for table, folder in folders.items() if folder.exists()}
    return {table: read_table(folder) for table, folder in found.items() if any(folder.iterdir())}


def read_table(folder: Path) -> pd.DataFrame:
    texts = sorted(folder.rglob("*.csv"))
    if texts:
        # NA may be a region, and None a class
        frames = [pd.read_csv(path, dtype=str, keep_default_na=False) for path in texts]
        return pd.concat(frames, ignore_index=True)
    files = list(folder.rglob("*.parquet"))
    return read_parquet(*files) if files else pd.DataFrame()


def read_parquet(*paths: Path) -> pd.DataFrame:
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        files = [path.as_posix() for path in paths]
        found = connection.read_parquet(files, union_by_name=True)
        # a date has no time of day, which pandas would give it
        columns = [
            f'cast("{name}" as varchar) as "{name}"' if kind == "DATE" else f'"{name}"'
            for name, kind in zip(found.columns, found.types, strict=True)
        ]
        rows: pd.DataFrame = found.project(", ".join(columns)).df()
    return rows


def typed(rows: pd.DataFrame, table: str) -> pd.DataFrame:
    """The rows with every column that is read, and whether a cell that costs the row is unread."""
    texts, numbers, times = (by.get(table, "").split() for by in (TEXTS, NUMBERS, TIMES))
    wanted = [*texts, *numbers, *times]
    rows = rows.reindex(columns=[*rows.columns, *(c for c in wanted if c not in rows)])
    unread = pd.Series(False, index=rows.index)
    for name in rows.columns.difference([*numbers, *times]):
        rows[name] = text_of(rows[name], name=name)
    if "is_passive" in texts:
        rows["is_passive"], wrong = truth_of(rows.is_passive)
        unread |= wrong
    for name in numbers:
        rows[name], wrong = number_of(rows[name], is_whole=name in WHOLE)
        unread |= wrong & (name not in OPTIONAL)
    for name in times:
        is_end = name in ("eligible_to", "effective_to")
        by = last_moment(rows[name])
        rows[name], wrong = moment_of(rows[name], is_end=is_end)
        if name in DATED:
            rows[name.replace("_at", "_by")] = (rows[name] + by).astype("datetime64[us]")
        unread |= wrong & (name not in OPTIONAL_TIMES)
    for name, (low, high) in {
        "rank_position": (1, np.inf),
        "latency_ms": (0, np.inf),
        "duration_ms": (0, np.inf),
        "propensity": (np.nextafter(0, 1), 1),
    }.items():
        if name in numbers:
            rows[name] = rows[name].where(rows[name].between(low, high))
    return rows.assign(unread=unread)


def text_of(cells: pd.Series, *, name: str) -> pd.Series:
    """Trimmed texts; what is no text stays. A word for nothing is no id, and true has one form."""

    def read(cell: object) -> object:
        if not isinstance(cell, str):
            return cell
        text = cell.strip(" ")
        if not text or (name.endswith("_id") and text.lower() in NOTHING):
            return None
        return label_of(text) if name in LABELS else text

    return cells.astype(object).map(read).astype(object)


def label_of(text: str) -> str:
    if text.lower() in ("true", "false", "yes", "no"):
        return text.lower()
    return re.sub(r"^(-?\d+)\.0+$", r"\1", text)


def filled(cells: pd.Series) -> pd.Series:
    """Cells with the words for nothing taken out."""
    return cells.astype(object).map(
        lambda cell: (
            None if isinstance(cell, str) and cell.strip(" ").lower() in ("", *NOTHING) else cell
        )
    )


def truth_of(cells: pd.Series) -> tuple[pd.Series, pd.Series]:
    """True, false or missing, and where neither can be read."""
    said = filled(cells).map(lambda cell: cell if pd.isna(cell) else str(cell).lower())
    words = {"true": True, "t": True, "yes": True, "y": True, "1": True}
    words |= {"false": False, "f": False, "no": False, "n": False, "0": False}
    read = said.map(words)
    return read, said.notna() & read.isna()


def number_of(cells: pd.Series, *, is_whole: bool) -> tuple[pd.Series, pd.Series]:
    """Finite numbers, and where none can be read."""
    given = filled(cells)
    numbers = pd.to_numeric(given, errors="coerce").astype(float)
    numbers = numbers.where(np.isfinite(numbers))
    if is_whole:
        numbers = numbers.where(numbers % 1 == 0)
    return numbers, given.notna() & numbers.isna()


def moment_of(cells: pd.Series, *, is_end: bool) -> tuple[pd.Series, pd.Series]:
    """Moments in UTC, and where none can be read: digits alone are none.

    An end that never comes is missing.
    """
    given = cells if cells.dtype.kind == "M" else filled(cells).replace(r"^\d+$", "?", regex=True)
    moments = pd.to_datetime(given, format="ISO8601", errors="coerce", utc=True)
    moments = moments.dt.tz_localize(None).astype("datetime64[us]")
    never = is_end & (moments >= NEVER)
    moments = moments.where(moments.dt.year.between(1900, 2199))
    return moments, given.notna() & moments.isna() & ~never


def last_moment(cells: pd.Series) -> pd.Series:
    """How long after a moment as it is written it may have been."""
    is_day = cells.map(lambda cell: isinstance(cell, str) and ":" not in cell)
    return pd.to_timedelta(is_day.astype(int) * (86_400_000_000 - 1), unit="us")


# what a name of an outcome stands for without a row of outcome_kinds
KINDS = {"revenue": "money", "churned": "churn", "opportunity": "opportunity"}


def read_seed(folder: Path, name: str) -> pd.DataFrame:
    rows = pd.read_csv(
        folder / f"{name}.csv",
        dtype={"positive_label": str},
        parse_dates=["valid_from", "valid_to"] if name in DATED_SEEDS else [],
    )
    if "positive_label" in rows:
        rows["positive_label"] = text_of(rows.positive_label, name="outcome_label")
    return rows


def rate_of(rows: pd.DataFrame, rates: pd.DataFrame, *, day: str, into: str) -> pd.Series:
    """The rate of each row's currency on its day to the one of reports; NaN where there is none."""
    rate = pd.Series(np.nan, index=rows.index)
    rate[rows.currency.isna() | (rows.currency == into)] = 1.0
    for line in rates[rates.currency != into].itertuples():
        holds = (rows.currency == line.currency) & (rows[day] >= line.valid_from)
        if not pd.isna(line.valid_to):
            holds &= rows[day] < line.valid_to
        rate[holds] = line.rate
    return rate


class Company:
    """Decisions, user-days and outcomes as plain frames."""

    def __init__(
        self,
        *,
        raw: Mapping[str, pd.DataFrame],
        seeds: Path,
        as_of: str,
        segments: Sequence[str],
        currency: str = "USD",
    ) -> None:
        self.currency = currency
        self.as_of = pd.Timestamp(as_of)
        self.segments = list(segments)
        self.registry = read_seed(seeds, "model_registry")
        self.rates = read_seed(seeds, "exchange_rates")
        self.unit_values = read_seed(seeds, "unit_values")
        kinds = read_seed(seeds, "outcome_kinds")
        self.kinds = KINDS | dict(zip(kinds.outcome_name, kinds.kind, strict=True))
        self.arrivals: list[pd.DataFrame] = []
        tables = {table: typed(raw.get(table, pd.DataFrame()), table) for table in TEXTS}
        self.predictions = self._predictions(tables["prediction_logs"])
        self.events = self._events(tables["usage_events"])
        self.outcomes = self._outcomes(tables["business_outcomes"])
        self.eligible = self._eligible(tables["eligible_users"])
        self.feedback = self._feedback(tables["feedback"])
        self.releases = self._releases(tables["model_releases"])
        self.costs = self._costs(tables["serving_costs"])
        self.assignments = self._assignments(tables["experiment_assignments"])
        self._annotations(tables["kpi_annotations"])
        self._alert_actions(tables["alert_actions"])
        self.links = self._links()
        self.decisions = self._decisions()
        self.user_days = self._user_days()

    def _known(self, rows: pd.DataFrame) -> pd.Series:
        return rows.model_id.isin(self.registry.model_id)

    def _take(self, rows: pd.DataFrame, *, key: list[str], kept: pd.Series) -> pd.DataFrame:
        """The last copy of each row that keeps the contract and had arrived; all are counted.

        Of copies that arrived together the one with the larger values, column by column.
        """
        rows = rows.assign(kept=kept & ~rows.unread & rows.loaded_at.notna())
        rows = rows[rows.loaded_at.isna() | (rows.loaded_at <= self.as_of)]
        later = ["loaded_at", *(column for column in rows if column not in {*key, "loaded_at"})]
        good = rows[rows.kept].sort_values(later, na_position="first")
        good = good.drop_duplicates(key, keep="last")
        counted = pd.concat([rows[~rows.kept], good])
        model = counted.model_id if "model_id" in counted else pd.Series(None, index=counted.index)
        self.arrivals.append(
            pd.DataFrame(
                {
                    "model_id": model.where(model.isin(self.registry.model_id), "(none)"),
                    "day": counted.loaded_at.fillna(self.as_of).dt.normalize(),
                    "rejected": ~counted.kept,
                }
            )
        )
        return good.drop(columns="kept")

    def _predictions(self, rows: pd.DataFrame) -> pd.DataFrame:
        required = ["prediction_id", "model_id", "model_version", "predicted_at", "entity_id"]
        kept = rows[required].notna().all(axis=1) & self._known(rows)
        binary = rows.model_id.isin(self.registry[self.registry.task == "binary"].model_id)
        kept &= ~(binary & ((rows.score < 0) | (rows.score > 1)))
        kept &= ~((rows.sampling_fraction <= 0) | (rows.sampling_fraction > 1))
        rows = self._take(rows, key=["prediction_id"], kept=kept)
        # what somebody was asked about need not be in production
        self.asked_about = rows
        rows = rows[rows.environment.fillna("prod") == "prod"]
        columns = ["model_id", "task", "horizon_days", "label_delay_days", "label_outcome"]
        columns += ["positive_label", "amount_outcome", "negative_on_absence"]
        registry = self.registry[[*columns, "decision_threshold"]]
        return rows.merge(registry, on="model_id", suffixes=("", "_registered"))

    def _events(self, rows: pd.DataFrame) -> pd.DataFrame:
        required = ["event_id", "event_name", "occurred_at", "user_id", "model_id"]
        kept = rows[required].notna().all(axis=1) & self._known(rows)
        kept &= rows.event_name.isin(EVENT_NAMES)
        return self._take(rows, key=["event_id"], kept=kept)

    def _outcomes(self, rows: pd.DataFrame) -> pd.DataFrame:
        required = ["outcome_id", "outcome_name", "occurred_at", "observed_at"]
        kept = rows[required].notna().all(axis=1)
        kept &= rows.status.isna() | rows.status.isin(STATUSES)
        kept &= rows[["prediction_id", "entity_id", "user_id"]].notna().any(axis=1)
        kept &= rows[["outcome_label", "outcome_value"]].notna().any(axis=1)
        kept &= ~(rows.observed_by < rows.occurred_at)
        rate = rate_of(rows, self.rates, day="occurred_at", into=self.currency)
        rows = rows.assign(amount=rows.outcome_value * rate)
        has_no_rate = rows.outcome_value.notna() & rate.isna()
        rows = self._take(rows, key=["outcome_id"], kept=kept & ~has_no_rate)
        kind = rows.outcome_name.map(self.kinds).fillna("other")
        return rows.assign(status=rows.status.fillna("final"), kind=kind)

    def _eligible(self, rows: pd.DataFrame) -> pd.DataFrame:
        kept = rows[["user_id", "model_id", "eligible_from"]].notna().all(axis=1)
        kept &= self._known(rows) & ~(rows.eligible_to < rows.eligible_from)
        return self._take(rows, key=["user_id", "model_id", "eligible_from"], kept=kept)

    def _feedback(self, rows: pd.DataFrame) -> pd.DataFrame:
        kept = rows[["response_id", "asked_at"]].notna().all(axis=1) & self._known(rows)
        kept &= rows.survey_type.isin(SURVEYS) & ~(rows.responded_by < rows.asked_at)
        kept &= ~((rows.score < rows.scale_min) | (rows.score > rows.scale_max))
        off_scale = (rows.scale_min.fillna(0) != 0) | (rows.scale_max.fillna(10) != 10)
        kept &= ~((rows.survey_type == "nps") & (off_scale | (rows.score < 0) | (rows.score > 10)))
        return self._take(rows, key=["response_id"], kept=kept)

    def _releases(self, rows: pd.DataFrame) -> pd.DataFrame:
        required = ["release_id", "model_version", "event_at"]
        kept = rows[required].notna().all(axis=1) & self._known(rows)
        return self._take(
            rows, key=["release_id"], kept=kept & rows.event_type.isin(RELEASE_EVENTS)
        )

    def _all_days_have_a_rate(self, rows: pd.DataFrame) -> pd.Series:
        whole = rows.period_start.notna() & rows.period_end.notna()
        days = [
            pd.date_range(row.period_start.normalize(), row.period_end)
            for row in rows[whole].itertuples()
        ]
        each = rows[whole].assign(day=pd.Series(days, index=rows.index[whole])).explode("day")
        # the day that a period ends with is none of its own
        each = each[(each.day < each.period_end) | (each.day == each.period_start.dt.normalize())]
        each = each.reset_index(names="row").astype({"day": "datetime64[us]"})
        rated = rate_of(each, self.rates, day="day", into=self.currency).notna()
        return rated.groupby(each["row"]).all().reindex(rows.index, fill_value=False)

    def _costs(self, rows: pd.DataFrame) -> pd.DataFrame:
        """One row per cost, day and version: split by days, then by that day's decisions."""
        required = ["cost_id", "period_start", "period_end", "amount", "currency"]
        kept = rows[required].notna().all(axis=1) & self._known(rows)
        kept &= rows.cost_type.isin(COST_TYPES) & (rows.period_end > rows.period_start)
        kept &= self._all_days_have_a_rate(rows)
        rows = self._take(rows, key=["cost_id"], kept=kept)
        # what the watermarks read
        self.invoices = rows
        day_of = self.predictions.predicted_at.dt.normalize()
        made = self.predictions.groupby(["model_id", day_of]).model_version.value_counts()
        found = []
        for cost in rows.itertuples():
            # days share a cost by whole seconds
            start, end = cost.period_start.floor("s"), cost.period_end.floor("s")
            total = end - start
            for day in pd.date_range(start.normalize(), end):
                lasts = min(end, day + pd.Timedelta(days=1)) - max(start, day)
                if lasts <= pd.Timedelta(0) < total:
                    continue
                # what lasts no second lies on one day
                share = lasts / total if total else 1.0
                versions = pd.Series({cost.model_version: 1})
                if pd.isna(cost.model_version):
                    is_day = (cost.model_id, day) in made.index
                    versions = made[cost.model_id, day] if is_day else pd.Series({"(none)": 1})
                part = cost.amount * share
                found += [
                    (
                        cost.model_id,
                        version,
                        day,
                        cost.cost_type,
                        cost.currency,
                        part * n / versions.sum(),
                    )
                    for version, n in versions.items()
                ]
        columns = ["model_id", "model_version", "day", "cost_type", "currency", "amount"]
        spread_costs = pd.DataFrame(found, columns=columns).astype({"day": "datetime64[us]"})
        rate = rate_of(spread_costs, self.rates, day="day", into=self.currency)
        return spread_costs.assign(usd=spread_costs.amount.astype(float) * rate)

    def _assignments(self, rows: pd.DataFrame) -> pd.DataFrame:
        key = ["experiment_id", "unit_id", "variant"]
        kept = rows[[*key, "assigned_at"]].notna().all(axis=1)
        kept &= ~(rows.first_exposed_by < rows.assigned_at) & ~rows.unread
        latest = self._take(rows, key=key, kept=kept).set_index(key)
        # of several exposures the first holds
        exposed = rows[kept & rows.first_exposed_at.notna() & (rows.loaded_at <= self.as_of)]
        exposed = exposed.sort_values(["first_exposed_at", "assigned_at"], kind="stable")
        latest.update(
            exposed.drop_duplicates(key).set_index(key)[["assigned_at", "first_exposed_at"]]
        )
        return latest.reset_index()

    def _annotations(self, rows: pd.DataFrame) -> pd.DataFrame:
        required = ["annotation_id", "effective_from", "scope", "kind", "title"]
        kept = rows[required].notna().all(axis=1) & ~(rows.effective_to < rows.effective_from)
        return self._take(rows, key=["annotation_id"], kept=kept)

    def _alert_actions(self, rows: pd.DataFrame) -> pd.DataFrame:
        kept = rows[["action_id", "alert_key", "acted_at", "action"]].notna().all(axis=1)
        kept &= (rows.action != "snoozed") | rows.snoozed_until.notna()
        return self._take(rows, key=["action_id"], kept=kept)

    def _links(self) -> pd.DataFrame:
        """Each outcome with every decision it belongs to, and which of them takes the amount."""
        decisions = self.predictions[
            ["prediction_id", "model_id", "entity_id", "user_id", "predicted_at", "horizon_days"]
        ]
        outcomes = self.outcomes[
            ["outcome_id", "prediction_id", "entity_id", "user_id", "occurred_at", "occurred_by"]
        ]
        named = outcomes[outcomes.prediction_id.notna()]
        by_name = named[["outcome_id", "prediction_id"]].merge(decisions, on="prediction_id")
        rest = outcomes[outcomes.prediction_id.isna()]
        found = [by_name]
        for key, part in (
            ("entity_id", rest[rest.entity_id.notna()]),
            ("user_id", rest[rest.entity_id.isna()]),
        ):
            pairs = part[["outcome_id", "occurred_at", "occurred_by", key]].merge(decisions, on=key)
            age = pairs.occurred_at - pairs.predicted_at
            inside = age < pd.to_timedelta(pairs.horizon_days, unit="D")
            found.append(pairs[inside & (pairs.occurred_by >= pairs.predicted_at)])
        links = pd.concat(found)[["outcome_id", "prediction_id", "model_id", "predicted_at"]]
        links = links.sort_values(["predicted_at", "prediction_id"])
        newest = ~links.duplicated(["outcome_id", "model_id"], keep="last")
        return links.assign(is_credited=newest)

    def _decisions(self) -> pd.DataFrame:
        rows = self.predictions.set_index("prediction_id")
        waits = pd.to_timedelta(rows.horizon_days + rows.label_delay_days, unit="D")
        mature = rows.predicted_at + waits <= self.as_of
        linked = self.links.merge(self.outcomes, on="outcome_id", suffixes=("", "_of_outcome"))
        # what is said of the future has not happened yet
        linked = linked[(linked.status != "reversed") & (linked.occurred_at <= self.as_of)]
        linked["label_outcome"] = linked.prediction_id.map(rows.label_outcome)
        linked["positive_label"] = linked.prediction_id.map(rows.positive_label)
        linked["amount_outcome"] = linked.prediction_id.map(rows.amount_outcome)
        linked["is_number"] = linked.prediction_id.map(rows.task) == "regression"
        linked["is_class"] = linked.prediction_id.map(rows.task) == "multiclass"
        labels = linked[linked.outcome_name == linked.label_outcome]
        # a final label that lacks what the task is judged by is no label
        says_nothing = np.where(
            labels.is_number,
            labels.outcome_value.isna(),
            (labels.positive_label.notna() | labels.is_class) & labels.outcome_label.isna(),
        )
        labels = labels[(labels.status != "final") | ~says_nothing]
        final = labels[labels.status == "final"]
        positive = final[
            ~final.is_number
            & (
                (final.positive_label.isna() & ~final.is_class)
                | (final.outcome_label == final.positive_label)
            )
        ]
        latest = final[final.is_number].sort_values(["occurred_at", "outcome_id"])
        actual = latest.drop_duplicates("prediction_id", keep="last")
        actual = actual.set_index("prediction_id").amount.reindex(rows.index)
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
        by_class = rows.predicted_label.notna() & rows.positive_label.notna()
        by_class &= rows.task != "ranking"
        says_yes[by_class] = rows.predicted_label[by_class] == rows.positive_label[by_class]
        says_yes[~by_class & (rows.score.isna() | threshold.isna())] = None
        # one class of many, or a number, is no yes or no
        says_yes[rows.positive_label.isna() & rows.task.isin(["multiclass", "regression"])] = None
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
        is_right = pd.Series(cell).isin(["tp", "tn"]).astype(object).where(cell.notna(), None)
        said = final[final.is_class].sort_values(["occurred_at", "outcome_id"])
        said = said.drop_duplicates("prediction_id", keep="last").set_index("prediction_id")
        classes = said.outcome_label.reindex(rows.index)
        of_many = (rows.task == "multiclass") & (state == "matured")
        is_right[rows.task == "multiclass"] = None
        of_many &= rows.predicted_label.notna() & classes.notna()
        is_right[of_many] = (rows.predicted_label == classes)[of_many]
        rows = rows.assign(
            state=state,
            cell=cell,
            is_right=is_right,
            says_yes=yes,
            is_yes=is_yes & (state == "matured"),
            amount=amount,
            error=(rows.predicted_value - actual).where(state == "matured"),
            actual=actual,
            actual_class=classes,
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
            rate = rate_of(
                rows[holds].assign(currency=line.currency),
                self.rates,
                day="predicted_at",
                into=self.currency,
            )
            values[holds] = line.fixed_amount * rate + line.amount_coefficient * rows.amount[
                holds
            ].fillna(0)
        return values

    def _user_days(self) -> pd.DataFrame:
        last_day = (self.as_of - pd.Timedelta(seconds=1)).normalize()
        carried = [name for name in self.segments if name in USER_SEGMENTS]
        people = self.eligible.reindex(columns=[*self.eligible.columns.union(carried)])
        # of two stays on a day the later says who somebody is
        stays = [
            (row.user_id, row.model_id, day, *(getattr(row, name) for name in carried))
            for row in people.sort_values("eligible_from").itertuples()
            for day in pd.date_range(row.eligible_from.normalize(), last_day)
            if pd.isna(row.eligible_to) or row.eligible_to > day
        ]
        keys = ["user_id", "model_id", "day"]
        eligible = pd.DataFrame(stays, columns=[*keys, *carried]).astype({"day": "datetime64[us]"})
        eligible = eligible.drop_duplicates(keys, keep="last").assign(eligible=1)
        active = self.events[~self.events.is_passive.isin([True])]
        active = active.assign(day=active.occurred_at.dt.normalize())[keys].drop_duplicates()
        done = self.events[self.events.event_name == "task_completed"]
        done = done.assign(day=done.occurred_at.dt.normalize())[keys].drop_duplicates()
        days = eligible.merge(active.assign(active=1), on=keys, how="outer")
        days = days.merge(done.assign(done=1), on=keys, how="outer")
        # passive use makes nobody active, but something happened
        any_use = self.events.assign(day=self.events.occurred_at.dt.normalize())
        days = days.merge(any_use[keys].drop_duplicates(), on=keys, how="outer")
        return days.fillna({"eligible": 0, "active": 0, "done": 0})

    def credited(self, kind: str) -> pd.DataFrame:
        """Final outcomes of a kind, a row for each model that takes the credit, or one without."""
        outcomes = self.outcomes[(self.outcomes.status == "final") & (self.outcomes.kind == kind)]
        credited = self.links[self.links.is_credited][["outcome_id", "prediction_id", "model_id"]]
        rows = outcomes[
            ["outcome_id", "outcome_label", "outcome_value", "amount", "occurred_at"]
        ].merge(credited, on="outcome_id", how="left")
        carried = self.predictions[["prediction_id", "model_version", *self.segments]]
        rows = rows.merge(carried, on="prediction_id", how="left")
        rows["model_id"] = rows.model_id.fillna("(none)")
        rows["model_version"] = rows.model_version.fillna("(none)")
        return rows.assign(day=rows.occurred_at.dt.normalize())

    def _delivered(self, r: pd.DataFrame) -> Iterator[tuple[str, pd.Series, pd.Series]]:
        """Metric, numerator and denominator of what is told by single events of releases."""
        is_deployed = r.event_type == "deployed"
        tried = is_deployed | (r.event_type == "deploy_failed")
        by_version = r.sort_values(["event_at", "release_id"]).groupby(
            ["model_id", "model_version"]
        )
        followed_by = by_version.event_type.shift(-1).reindex(r.index)
        undone = (r.event_type == "deploy_failed") | (is_deployed & (followed_by == "rolled_back"))
        is_first = ~r.sort_values(["event_at", "release_id"]).duplicated(
            ["model_id", "model_version", "event_type"]
        ).reindex(r.index)
        key = pd.MultiIndex.from_frame(r[["model_id", "model_version"]])

        def first(*types: str) -> pd.Series:
            rows = r[r.event_type.isin(types)]
            at = rows.groupby(["model_id", "model_version"]).event_at.min()
            return pd.Series(at.reindex(key).to_numpy(), index=r.index)

        conceived, ran = first("concept"), first("deployed")
        led = is_deployed & is_first & (conceived <= r.event_at)
        waited = (r.day - conceived.dt.normalize()).dt.days.where(led, 0)
        proven = (r.event_type == "concept") & is_first & ran.notna()
        ended = first("rolled_back", "retired").notna()
        settled = (r.event_type == "concept") & is_first & (ran.notna() | ended)
        yield "deployment_success_rate", is_deployed, tried
        yield "change_failure_rate", undone, tried
        yield "automated_share", is_deployed & (r.is_automated.str.lower() == "true"), is_deployed
        due = r.planned_at.dt.normalize()
        yield "on_time_share", is_deployed & (r.day <= due), is_deployed & due.notna()
        yield "lead_time_days", waited, led
        yield "proof_of_concept_success", proven, settled

    def version_days(self) -> pd.DataFrame:
        """The version that ran at the end of each day since a model's first deployment, its age."""
        found = []
        seen = self.releases[self.releases.event_at <= self.as_of]
        for model_id, events in seen.groupby("model_id"):
            versions = []
            for version, rows in events.groupby("model_version"):
                deployed = rows[rows.event_type == "deployed"].event_at
                ends = rows[rows.event_type.isin(["rolled_back", "retired"])].event_at
                ends = ends[ends >= deployed.max()]
                if len(deployed):
                    versions.append((deployed.min(), ends.min(), version))
            for day in pd.date_range(
                min((v[0] for v in versions), default=self.as_of).normalize(),
                self.as_of.normalize() - pd.Timedelta(days=1),
            ):
                running = [
                    v
                    for v in versions
                    if v[0].normalize() <= day and (pd.isna(v[1]) or v[1].normalize() > day)
                ]
                if running:
                    since, _, version = max(running, key=lambda v: (v[0], v[2]))
                    age = float((day - since.normalize()).days)
                    found.append((model_id, version, day, age))
        return pd.DataFrame(found, columns=["model_id", "model_version", "day", "age"])

    def metrics(self) -> pd.DataFrame:
        """Numerator, denominator and left-out count of every metric by day, version, segment."""
        spread = partial(sums_by_day, segments=self.segments)
        d = self.decisions
        cell, state, one = d.cell, d.state, pd.Series(1.0, index=d.index)
        matured, left_out = state == "matured", state != "matured"
        judged, shown = d.is_right.notna(), d.action != "not_shown"
        valued = cell.notna() & d.value.notna()
        failed = d.error_type.notna() | (d.status_code >= 400)
        coded = d.status_code.notna()
        told = coded | failed
        answered = told & ~(d.status_code >= 500)
        accepted = d.action == "accepted"
        seen = d.action.isin(DECISIVE) | d.prediction_id.isin(self._viewed())
        should = cell.isin(["tp", "fn"])
        measured, unmeasured = d.error.notna(), left_out & d.predicted_value.notna()
        size, magnitude = d.error.abs(), d.actual.abs().where(measured, 0.0)
        scored = d.score.notna()
        promised = d.model_id.map(self.registry.set_index("model_id").latency_slo_ms)
        timed = d.latency_ms.notna() | failed
        of_decisions = {
            "precision": (cell == "tp", cell.isin(["tp", "fp"]), left_out & d.says_yes),
            "recall": (cell == "tp", should, ~judged),
            "accuracy": (d.is_right.isin([True]), judged, ~judged),
            "false_positive_rate": (cell == "fp", cell.isin(["fp", "tn"]), ~judged),
            "f1_score": (2.0 * (cell == "tp"), 1.0 * should + cell.isin(["tp", "fp"]), ~judged),
            "mean_absolute_error": (size, measured, unmeasured),
            "prediction_bias": (d.error, measured, unmeasured),
            "wape": (size, magnitude, unmeasured),
            "brier_score": (
                ((d.score - d.is_yes) ** 2).where(matured & d.score.between(0, 1)),
                matured & scored,
                left_out & scored,
            ),
            "slo_share": ((d.latency_ms <= promised) & ~failed, timed, one * 0),
            "label_coverage": (matured, state != "pending", state == "pending"),
            "acceptance_rate": (accepted, shown, one * 0),
            "exposure_rate": (shown, ~failed, one * 0),
            "view_rate": (seen, shown, one * 0),
            "override_rate": (d.action == "overridden", shown, one * 0),
            "ignore_rate": (d.action == "ignored", shown, one * 0),
            "conversion_rate": (d.is_yes, matured, left_out),
            "close_rate": (accepted & d.is_yes, accepted & matured, left_out),
            "deal_score": (d.score, d.score.notna(), one * 0),
            "error_rate": (failed, told, ~told),
            "availability": (answered, told, ~told),
            "value_per_decision": (d.value, valued, ~valued),
            "value_of_decisions": (d.value, None, ~valued),
        }
        counted = {"value_of_decisions": valued, "error_rate": coded, "availability": coded}
        # a row of a sample stands for several decisions
        weight = 1 / d.sampling_fraction.fillna(1)
        parts = [
            spread(
                d,
                metric=name,
                numerator=n * weight,
                denominator=None if m is None else m * weight,
                excluded=x * weight,
                units=counted.get(name),
            )
            for name, (n, m, x) in of_decisions.items()
        ]

        lists = self.lists()
        for name, above, below in (
            ("ndcg_at_10", lists.gain, lists.judged & lists.has_wanted),
            ("mean_reciprocal_rank", lists.reciprocal, lists.judged),
            ("hit_rate_at_1", lists.reciprocal == 1, lists.judged),
        ):
            parts.append(
                spread(
                    lists,
                    metric=name,
                    numerator=above * lists.weight,
                    denominator=below * lists.weight,
                    excluded=~lists.judged * lists.weight,
                )
            )

        revenue, churn = self.credited("money"), self.credited("churn")
        parts.append(spread(revenue, metric="credited_revenue", numerator=revenue.amount))
        opened = self.credited("opportunity")
        parts.append(spread(opened, metric="pipeline_value", numerator=opened.amount))
        for name, kind in (("ticket_count", "ticket"), ("activation_count", "activation")):
            found = self.credited(kind)
            parts.append(spread(found, metric=name, numerator=pd.Series(1.0, index=found.index)))
        hours = self.credited("review_hours")
        parts.append(spread(hours, metric="review_hours", numerator=hours.outcome_value))
        renewed = self.credited("renewal")
        parts.append(
            spread(
                renewed,
                metric="renewal_rate",
                numerator=renewed.outcome_label == "true",
                denominator=pd.Series(1.0, index=renewed.index),
            )
        )
        left, stayed = churn.outcome_label == "true", churn.outcome_label == "false"
        everyone = pd.Series(1.0, index=churn.index)
        parts.append(spread(churn, metric="churn_rate", numerator=left, denominator=everyone))
        parts.append(spread(churn, metric="retained_customers", numerator=stayed))

        days = self.user_days.assign(model_version="all")
        for name, numerator, denominator in (
            ("adoption_rate", days.eligible * days.active, days.eligible),
            ("task_completion_rate", days.done, days.active),
        ):
            parts.append(spread(days, metric=name, numerator=numerator, denominator=denominator))

        f = self.feedback.merge(
            self.asked_about[["prediction_id", "model_version", *self.segments]],
            on="prediction_id",
            how="left",
        )
        f = f.assign(day=f.asked_at.dt.normalize(), model_version=f.model_version.fillna("(none)"))
        given = f.score.notna() | ((f.survey_type == "improvement") & f.comment.notna())
        height = (f.score - f.scale_min) / (f.scale_max - f.scale_min).replace(0, np.nan)
        top, scaled = height >= 0.75, height.notna()
        nps = given & (f.survey_type == "nps")
        rated = (
            (metric, top & (f.survey_type == survey), scaled & (f.survey_type == survey))
            for metric, survey in RATED.items()
        )
        for name, part, whole in (
            *rated,
            ("response_rate", given, pd.Series(True, index=f.index)),
            ("promoter_share", nps & (f.score >= 9), nps),
            ("detractor_share", nps & (f.score <= 6), nps),
        ):
            parts.append(spread(f, metric=name, numerator=part, denominator=whole))

        points = 100.0 * (nps & (f.score >= 9)) - 100.0 * (nps & (f.score <= 6))
        balance = spread(f, metric="nps", numerator=points, denominator=nps)
        sides = spread(f, metric="nps", numerator=points**2, denominator=nps)
        parts.append(balance.assign(weight_squares=sides.numerator))

        r = self.releases.assign(day=self.releases.event_at.dt.normalize())
        for name, numerator, denominator in self._delivered(r):
            parts.append(spread(r, metric=name, numerator=numerator, denominator=denominator))
        deployed = self.version_days()
        parts.append(
            spread(
                deployed,
                metric="model_age_days",
                numerator=deployed.age,
                denominator=pd.Series(1.0, index=deployed.index),
            )
        )
        arrived = pd.concat(self.arrivals, ignore_index=True).assign(model_version="all")
        parts.append(
            spread(
                arrived,
                metric="rejected_row_share",
                numerator=arrived.rejected,
                denominator=pd.Series(1.0, index=arrived.index),
            )
        )
        unversioned = {"model_version": "all"}
        for name, above, below in (
            (
                "revenue_per_active_user_day",
                (revenue, revenue.amount, unversioned),
                (days, days.active),
            ),
            ("revenue_per_decision", (revenue, revenue.amount, {}), (d, weight)),
            ("cost_to_serve", (self.costs, self.costs.usd, unversioned), (days, days.active)),
            ("cost_per_prediction", (self.costs, self.costs.usd, {}), (d, weight)),
            (
                "cost_per_accepted_prediction",
                (self.costs, self.costs.usd, {}),
                (d, accepted * weight),
            ),
        ):
            rows, numbers, versions = above
            both = pd.concat(
                [
                    rows.assign(n=numbers, m=0.0, **versions),
                    below[0].assign(n=0.0, m=below[1].astype(float)),
                ],
                ignore_index=True,
            )
            of_users = [segment for segment in self.segments if segment in USER_SEGMENTS]
            segments = {
                "revenue_per_decision": self.segments,
                "revenue_per_active_user_day": of_users,
            }
            parts.append(
                spread(
                    both,
                    metric=name,
                    numerator=both.n,
                    denominator=both.m,
                    segments=segments.get(name, []),
                )
            )
        table = pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)
        sums = table[[*SUMS, "unit_count"]].fillna(0)
        return table[(sums != 0).any(axis=1)]

    def lists(self) -> pd.DataFrame:
        """Each ranked list of a day with its gain, reciprocal rank and whether it is judged."""
        d = self.decisions
        d = d[(d.task == "ranking") & d.list_id.notna() & d.rank_position.notna()]
        names = ["model_id", "model_version", "list_id", "day"]
        d = d.sort_values([*names, "rank_position", "prediction_id"])
        wanted = d.is_yes.where(d.state == "matured", d.action == "accepted").astype(bool)
        place = np.maximum(d.rank_position.astype(float), d.groupby(names).cumcount() + 1)
        d = d.assign(
            weight=1 / d.sampling_fraction.fillna(1),
            pending=d.state == "pending",
            wanted=wanted,
            gain=(1 / np.log2(place + 1)).where(wanted & (place <= 10), 0.0),
            reciprocal=(1 / place).where(wanted, 0.0),
        )
        groups = d.groupby(names)
        lists = groups.agg(
            weight=("weight", "max"),
            items=("prediction_id", "count"),
            last=("rank_position", "max"),
            pending=("pending", "any"),
            wanted=("wanted", "sum"),
            gain=("gain", "sum"),
            reciprocal=("reciprocal", "max"),
        )
        for name in self.segments:
            seen = groups[name].agg(["first", "nunique", "count"])
            shared = (seen["nunique"] == 1) & (seen["count"] == lists["items"])
            lists[name] = seen["first"].where(shared, None)
        # one outcome of several items
        labels = self.links.merge(self.outcomes[["outcome_id", "outcome_name"]], on="outcome_id")
        labels = labels.merge(d[[*names, "prediction_id", "label_outcome"]], on="prediction_id")
        labels = labels[labels.outcome_name == labels.label_outcome]
        labels = labels.rename(columns={"model_id_y": "model_id"})
        counts = labels.groupby([*names, "outcome_id"]).size()
        unclear = set(counts[counts > 1].index.droplevel("outcome_id"))
        best = np.concatenate([[0.0], (1 / np.log2(np.arange(2, 12))).cumsum()])
        best = best[lists.wanted.clip(upper=10).to_numpy(dtype=int)]
        is_partial = (lists.weight != 1) & (lists["items"] < lists["last"])
        is_clear = ~lists.index.isin(unclear)
        lists["judged"] = is_clear & ~is_partial & ~lists.pending
        lists["has_wanted"] = lists.wanted > 0
        told = lists.judged & lists.has_wanted
        lists["gain"] = (lists.gain / np.where(best > 0, best, 1)).where(told, 0.0)
        lists["reciprocal"] = lists.reciprocal.where(told, 0.0)
        return lists.reset_index()

    def _viewed(self) -> pd.Series:
        """The decisions somebody looked at."""
        viewed: pd.Series = self.events[self.events.event_name == "viewed"].prediction_id
        return viewed


def sums_by_day(
    rows: pd.DataFrame,
    *,
    metric: str,
    numerator: pd.Series,
    denominator: pd.Series | None = None,
    excluded: pd.Series | None = None,
    units: pd.Series | None = None,
    segments: Sequence[str],
) -> pd.DataFrame:
    """One metric by day, model, version: in total and by each segment the rows carry."""
    frame = rows.assign(
        numerator=numerator.astype(float).fillna(0),
        denominator=np.nan if denominator is None else denominator.astype(float),
        excluded_count=0.0 if excluded is None else excluded.astype(float),
    )
    base = frame.numerator if denominator is None else frame.denominator
    counted = base if units is None else units.astype(float)
    frame["unit_count"] = (counted.fillna(0) != 0).astype(int)
    frame["weight_squares"] = frame.denominator.fillna(0) ** 2
    parts = []
    for segment in ["all", *(s for s in segments if s in rows)]:
        value = "all" if segment == "all" else frame[segment].fillna("(unknown)")
        named = frame.assign(metric=metric, segment_name=segment, segment_value=value)
        keys = ["metric", "day", "model_id", "model_version", "segment_name", "segment_value"]
        sums = named.groupby(keys)[[*SUMS, "unit_count", "weight_squares"]]
        parts.append(sums.sum(min_count=1).reset_index())
    return pd.concat(parts, ignore_index=True).rename(columns={"day": "metric_date"})
