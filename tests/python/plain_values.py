"""Readable values once more, in pandas alone: what may be read of a metric, and why not.

It starts from `plain_pandas.Company`, which reads the raw files, and from the cards and seeds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from scipy.stats import norm

from building import query
from plain_pandas import RATED, USER_SEGMENTS, Company, read_seed

Series = tuple[str, str, str]
DAY = pd.Timedelta(days=1)
# days that a feed may lag, by the contract
LATE_AFTER = {
    "prediction_logs": 7,
    "usage_events": 7,
    "business_outcomes": 7,
    "eligible_users": 70,
    "labels": 7,
}
ONE_OFF_COSTS = ("training",)
OF_ANSWERS = (*RATED, "response_rate", "promoter_share", "detractor_share", "nps")
OF_LABELS = ("prediction_logs", "labels")
OF_USE = ("prediction_logs", "usage_events")
OF_COSTS = ("serving_costs", "prediction_logs")
OF_RELEASES = (
    *("deployment_success_rate", "change_failure_rate", "automated_share", "on_time_share"),
    *("lead_time_days", "proof_of_concept_success", "model_age_days"),
)
OF_OUTCOMES: Mapping[str, str] = {
    "credited_revenue": "money",
    "pipeline_value": "opportunity",
    "churn_rate": "churn",
    "retained_customers": "churn",
    "ticket_count": "ticket",
    "activation_count": "activation",
    "review_hours": "review_hours",
    "renewal_rate": "renewal",
}
OF_MONEY = ("business_outcomes", "money_outcomes")
SOURCES: Mapping[str, Sequence[str]] = {
    **dict.fromkeys(
        [
            "precision",
            "recall",
            "accuracy",
            "false_positive_rate",
            "f1_score",
            "mean_absolute_error",
            "prediction_bias",
            "brier_score",
            "wape",
            "label_coverage",
            "conversion_rate",
        ],
        OF_LABELS,
    ),
    **dict.fromkeys(
        ("value_of_decisions", "value_per_decision"), (*OF_LABELS, "business_outcomes", "amounts")
    ),
    **dict.fromkeys(
        ("ndcg_at_10", "mean_reciprocal_rank", "hit_rate_at_1"),
        ("prediction_logs", "usage_events", "labels"),
    ),
    "close_rate": (*OF_LABELS, "usage_events"),
    **dict.fromkeys(
        ["acceptance_rate", "exposure_rate", "view_rate", "override_rate", "ignore_rate"], OF_USE
    ),
    **dict.fromkeys(
        ["deal_score", "error_rate", "availability", "slo_share"], ("prediction_logs",)
    ),
    "adoption_rate": ("usage_events", "eligible_users"),
    "task_completion_rate": ("usage_events",),
    **{name: ("business_outcomes", f"{kind}_outcomes") for name, kind in OF_OUTCOMES.items()},
    "revenue_per_active_user_day": (*OF_MONEY, "usage_events"),
    "revenue_per_decision": (*OF_MONEY, "prediction_logs"),
    "cost_to_serve": ("serving_costs", "usage_events"),
    "cost_per_prediction": OF_COSTS,
    "cost_per_accepted_prediction": (*OF_COSTS, "usage_events"),
    **dict.fromkeys(
        [
            *OF_ANSWERS,
            "rejected_row_share",
            *OF_RELEASES,
        ],
        (),
    ),
}
CROSS_FACT = (
    "revenue_per_active_user_day",
    "revenue_per_decision",
    "cost_to_serve",
    "cost_per_prediction",
    "cost_per_accepted_prediction",
)
UNVERSIONED = (
    "adoption_rate",
    "task_completion_rate",
    "revenue_per_active_user_day",
    "cost_to_serve",
    "rejected_row_share",
)
# what is counted besides the rows of the fact: those that contribute to an amount
AMOUNTS = {
    "value_of_decisions": ("value",),
    "value_per_decision": ("value",),
    "credited_revenue": ("money",),
    "revenue_per_decision": ("money",),
    "revenue_per_active_user_day": ("money",),
    "pipeline_value": ("opportunity",),
    "review_hours": ("review_hours",),
}
KEYS = ["metric", "model_id", "model_version", "segment_name", "segment_value"]
SUMS = ["numerator", "denominator", "excluded_count", "unit_count", "weight_squares"]
ROW = [
    "metric",
    "model_id",
    "model_version",
    "segment_name",
    "segment_value",
    "period",
    "period_end_date",
]
TEXTS = ["status", "reason"]
NUMBERS = [
    "value",
    "value_low",
    "value_high",
    "numerator",
    "denominator",
    "excluded_count",
    "unit_count",
    "covered_days",
]


def segment_facts(metric: str) -> tuple[str, ...]:
    """The facts of a metric that has segments; none where it has none."""
    if metric in OF_ANSWERS:
        return ("feedback",)
    if metric in ("ndcg_at_10", "mean_reciprocal_rank", "hit_rate_at_1"):
        return ("lists",)
    if metric in OF_OUTCOMES:
        return ("outcomes",)
    if metric == "revenue_per_decision":
        return ("outcomes", "decisions")
    if metric == "revenue_per_active_user_day":
        return ("outcomes", "usage")
    if metric in ("adoption_rate", "task_completion_rate"):
        return ("usage",)
    if metric in (*UNVERSIONED, *CROSS_FACT, *OF_RELEASES):
        return ()
    return ("decisions",)


class Values:
    """The metric values of a company."""

    def __init__(self, company: Company, *, project: Path, seeds: Path, minimum_cell: int) -> None:
        self._cells: dict[tuple[str, bool, tuple[str, ...]], list[Series]] = {}
        self._hidden: dict[tuple[str, ...], dict[str, pd.DataFrame]] = {}
        self._customers: dict[tuple[str, str, Series], list[tuple[int, int]]] = {}
        self.company = company
        self.minimum_cell = minimum_cell
        text = (project / "models" / "metrics" / "_metrics.yml").read_text()
        self.cards = {
            metric["name"]: metric["config"]["meta"] for metric in yaml.safe_load(text)["metrics"]
        }
        self.exceptions = read_seed(seeds, "model_metrics").set_index(["model_id", "metric"])
        self.registry = company.registry.set_index("model_id")
        self.last_day = company.as_of.normalize() - DAY
        self.facts = self._facts()
        self.daily = self._daily()
        self.starts = self._starts()
        self.watermarks = self._watermarks()
        self.judged = {model_id: self._judged_through(model_id) for model_id in self.registry.index}

    def _facts(self) -> dict[str, pd.DataFrame]:
        """Rows of the facts: model, version, day and segments."""
        c = self.company
        decisions = c.decisions.assign(day=c.decisions.predicted_at.dt.normalize())
        credited = c.links[c.links.is_credited][["outcome_id", "prediction_id", "model_id"]]
        carried = c.predictions[["prediction_id", "model_version", *c.segments]]
        said = [
            "outcome_id",
            "outcome_name",
            "occurred_at",
            "observed_at",
            "status",
            "kind",
            "amount",
        ]
        outcomes = (
            c.outcomes[said]
            .merge(credited, on="outcome_id")
            .merge(carried, on="prediction_id", how="left")
        )
        outcomes = outcomes.assign(day=outcomes.occurred_at.dt.normalize())
        asked = c.asked_about[["prediction_id", "model_version", *c.segments]]
        feedback = c.feedback.merge(asked, on="prediction_id", how="left")
        feedback = feedback.assign(day=feedback.asked_at.dt.normalize())
        arrived = pd.concat(c.arrivals, ignore_index=True)
        return {
            "decisions": decisions,
            "outcomes": outcomes,
            "feedback": feedback,
            "lists": c.lists(),
            "usage": c.user_days,
            "costs": c.costs,
            "releases": c.releases.assign(day=c.releases.event_at.dt.normalize()),
            "arrivals": arrived,
        }

    def _daily(self) -> pd.DataFrame:
        """Sums by day: totals and segments over all versions, and each version in total."""
        table = self.company.metrics()
        table = table[table.model_id.isin(self.registry.index)]
        table = table[table.metric_date <= self.last_day].fillna({"denominator": 0.0})
        versions = table[(table.segment_name == "all") & (table.model_version != "all")]
        both = pd.concat([table.assign(model_version="all"), versions])
        return both.groupby([*KEYS, "metric_date"])[SUMS].sum().reset_index()

    def _starts(self) -> dict[str, pd.Timestamp]:
        """The first day of anything about a model."""
        # arrivals are about files
        events = [rows for name, rows in self.facts.items() if name != "arrivals"]
        days = pd.concat([rows[["model_id", "day"]] for rows in events])
        days = days[days.day <= self.last_day]
        return dict(days.groupby("model_id").day.min())

    def _watermarks(self) -> dict[tuple[str, str], tuple[pd.Timestamp, pd.Timestamp]]:
        """By model and source, the first and the last day known."""
        c = self.company
        found = {}
        last = {
            "prediction_logs": c.predictions.predicted_at,
            "usage_events": c.events.occurred_at,
            "business_outcomes": c.outcomes.occurred_at,
            "eligible_users": c.eligible[["loaded_at", "eligible_from"]]
            .max(axis=1)
            .where(c.eligible.eligible_from <= c.as_of),
        }
        first = {"usage_events": c.events.occurred_at, "eligible_users": c.eligible.eligible_from}
        names, kinds = self._outcomes_through()
        for model_id, row in self.registry.iterrows():
            made = c.predictions[c.predictions.model_id == model_id].predicted_at
            # without a prediction nothing begins, and no label can be due
            begins = made.min().normalize() if len(made) else pd.NaT
            for source, moments in last.items():
                moments = moments[moments <= c.as_of]
                if moments.empty:
                    continue
                start = first[source].min().normalize() if source in first else begins
                found[model_id, source] = (start, self._through(moments.max(), source))
            wait = pd.Timedelta(days=int(row.horizon_days + row.label_delay_days))
            labels = self.facts["outcomes"]
            labels = labels[
                (labels.model_id == model_id)
                & (labels.outcome_name == row.label_outcome)
                & (labels.observed_at <= c.as_of)
            ].observed_at
            if made.empty or self.last_day - wait < begins:
                through = self.last_day
            elif labels.empty:
                through = begins - DAY
            elif c.as_of - labels.max() <= LATE_AFTER["labels"] * DAY:
                through = self.last_day
            else:
                through = labels.max().normalize() - DAY - wait
            found[model_id, "labels"] = (begins, through)
            if len(made):
                for kind, end in kinds.items():
                    found[model_id, f"{kind}_outcomes"] = (begins, end)
            worth = c.unit_values[c.unit_values.model_id == model_id]
            if row.amount_outcome in names and row.amount_outcome != row.label_outcome:
                end = names[row.amount_outcome]
                if len(made) and (worth.amount_coefficient != 0).any():
                    is_awaited = end == self.last_day
                    found[model_id, "amounts"] = (begins, end if is_awaited else end - wait)
            costs = c.invoices[c.invoices.model_id == model_id]
            if len(costs):
                found[model_id, "serving_costs"] = (
                    costs.period_start.min().normalize(),
                    self._costs_through(costs),
                )
        return found

    def _judged_through(self, model_id: str) -> pd.Timestamp:
        """The last day whose predictions are there and whose labels have matured and are there."""
        model = self.registry.loc[model_id]
        wait = pd.Timedelta(days=int(model.horizon_days + model.label_delay_days))
        ends = [self.last_day - wait]
        for source in ("prediction_logs", "labels"):
            if (model_id, source) in self.watermarks:
                ends.append(self.watermarks[model_id, source][1])
        return min(ends)

    def _through(self, last: pd.Timestamp, source: str) -> pd.Timestamp:
        is_late = self.company.as_of - last > LATE_AFTER[source] * DAY
        return last.normalize() - DAY if is_late else self.last_day

    def _outcomes_through(self) -> tuple[dict[str, pd.Timestamp], dict[str, pd.Timestamp]]:
        """Until which day outcomes of each name, and of each kind, are known."""
        names: dict[str, pd.Timestamp] = {}
        kinds: dict[str, list[tuple[bool, pd.Timestamp]]] = {}
        rows = self.company.outcomes
        rows = rows[rows[["occurred_at", "observed_at"]].max(axis=1) <= self.company.as_of]
        told = rows.observed_at.max()
        for name, said in rows.groupby("outcome_name"):
            days = np.sort(said.observed_at.dt.normalize().unique())
            if len(days) < 10:
                continue
            gap = float(np.mean(np.diff(days) / np.timedelta64(1, "D")))
            silent_days = (told.normalize() - said.observed_at.max().normalize()).days
            is_late = silent_days > max(LATE_AFTER["business_outcomes"], 5 * gap)
            last = said.occurred_at.max().normalize() - DAY
            names[str(name)] = last if is_late else self.last_day
            is_open = silent_days <= max(62, 10 * gap)
            if said.kind.iloc[0] not in ("other", "quantity"):
                kinds.setdefault(said.kind.iloc[0], []).append((is_open, names[str(name)]))
        return names, {
            kind: min((end for is_open, end in ends if is_open), default=max(e for _, e in ends))
            for kind, ends in kinds.items()
        }

    def _costs_through(self, costs: pd.DataFrame) -> pd.Timestamp:
        running = costs[~costs.cost_type.isin(ONE_OFF_COSTS)]
        if running.empty:
            return self.last_day
        ends, is_open = {}, {}
        for cost_type, rows in running.groupby("cost_type"):
            usual = (rows.period_end.dt.normalize() - rows.period_start.dt.normalize()).dt.days
            end = rows.period_end.max()
            ends[cost_type] = (end + pd.Timedelta(seconds=1)).normalize() - DAY
            silent = (self.company.as_of.normalize() - end.normalize()).days
            is_open[cost_type] = silent <= max(62, 3 * usual.mean())
        still = [ends[name] for name in ends if is_open[name]]
        return min(min(still) if still else max(ends.values()), self.last_day)

    def reads(self) -> Iterator[tuple[str, str]]:
        """Model and metric, where one is read for the other."""
        total = self.daily[(self.daily.segment_name == "all") & (self.daily.model_version == "all")]
        for (model_id, metric), rows in total.groupby(["model_id", "metric"]):
            model, card = self.registry.loc[model_id], self.cards[metric]
            is_read = model.task in card["tasks"]
            if metric == "label_coverage":
                is_read &= not model.negative_on_absence
            if metric in ("value_of_decisions", "value_per_decision"):
                is_read &= model_id in set(self.company.unit_values.model_id)
            if metric in (
                "credited_revenue",
                "revenue_per_decision",
                "revenue_per_active_user_day",
            ):
                is_read &= not pd.isna(model.amount_outcome)
            if metric in ("close_rate", "deal_score", "pipeline_value"):
                is_read &= model.label_is == "gain"
            if metric == "brier_score":
                is_read &= str(model.score_is_probability).lower() == "true"
            if metric == "slo_share":
                is_read &= not pd.isna(model.latency_slo_ms)
            if metric in CROSS_FACT:
                is_read &= (rows.numerator != 0).any() and (rows.denominator != 0).any()
            if (model_id, metric) in self.exceptions.index:
                is_read &= self.exceptions.role[model_id, metric] != "not_read"
            if is_read and model_id in self.starts:
                yield str(model_id), str(metric)

    def cells(self, model_id: str, metric: str) -> list[Series]:
        """Version, segment and value of every series of a metric."""
        facts = segment_facts(metric)
        carried = USER_SEGMENTS if "usage" in facts else self.company.segments
        segments = [name for name in self.company.segments if facts and name in carried]
        key = model_id, metric not in UNVERSIONED, tuple(segments)
        if key not in self._cells:
            self._cells[key] = list(self._cells_of(*key))
        return self._cells[key]

    def _cells_of(
        self, model_id: str, has_versions: bool, segments: Sequence[str]
    ) -> Iterator[Series]:
        yield "all", "all", "all"
        rows = [frame[frame.model_id == model_id] for frame in self.facts.values()]
        rows = [frame[frame.day <= self.last_day] for frame in rows]
        if has_versions:
            versions = set()
            for frame in rows:
                if "model_version" in frame:
                    versions |= set(frame.model_version.fillna("(none)"))
            yield from ((version, "all", "all") for version in sorted(versions))
        for segment in segments:
            values = set()
            for frame in rows:
                if segment in frame:
                    values |= set(frame[segment].fillna("(unknown)"))
            yield from (("all", segment, value) for value in sorted(values))

    def hidden(self, model_id: str, metric: str, segment: str) -> dict[str, pd.DataFrame]:
        """By period: period ends by values of a segment, true where nothing may be shown."""
        found: dict[str, pd.DataFrame] = {}
        values = [value for _, name, value in self.cells(model_id, metric) if name == segment]
        for counted in (*segment_facts(metric), *AMOUNTS.get(metric, ())):
            key = model_id, segment, counted
            if key not in self._hidden:
                self._hidden[key] = self._hidden_by(*key, values)
            for period, hides in self._hidden[key].items():
                found[period] = found[period] | hides if period in found else hides
        return found

    def _hidden_by(
        self, model_id: str, segment: str, counted: str, values: Sequence[str]
    ) -> dict[str, pd.DataFrame]:
        rows = self._counted(counted)
        rows = rows[rows.model_id == model_id]
        table = pd.crosstab(rows.day, rows[segment].fillna("(unknown)"))
        table = self._dense(table, model_id).reindex(columns=values, fill_value=0)
        return {
            period: pd.DataFrame(
                [hidden_cells(row, self.minimum_cell) for row in counts.to_numpy()],
                index=counts.index,
                columns=counts.columns,
            )
            for period, counts in periods_of(table, self.last_day, self.judged[model_id]).items()
        }

    def _counted(self, name: str) -> pd.DataFrame:
        if name == "value":
            rows = self.facts["decisions"]
            return rows[rows.value.fillna(0) != 0]
        if name in ("money", "opportunity", "review_hours"):
            rows = self.facts["outcomes"]
            is_amount = (rows.kind == name) & (rows.status == "final")
            return rows[is_amount & (rows.amount.fillna(0) != 0)]
        return self.facts[name]

    def _dense(self, table: pd.DataFrame, model_id: str) -> pd.DataFrame:
        days = pd.date_range(self.starts[model_id], self.last_day)
        return table.reindex(days, fill_value=0)

    def table(self) -> pd.DataFrame:
        """Every row of fct_metric_values."""
        parts = [self._of_metric(model_id, metric) for model_id, metric in self.reads()]
        return pd.concat(parts, ignore_index=True)

    def _of_metric(self, model_id: str, metric: str) -> pd.DataFrame:
        rows = self.daily[(self.daily.model_id == model_id) & (self.daily.metric == metric)]
        names = ["model_version", "segment_name", "segment_value"]
        cells = pd.MultiIndex.from_tuples(list(self.cells(model_id, metric)), names=names)
        found = []
        sums: dict[str, dict[str, pd.DataFrame]] = {}
        for name in SUMS:
            table = rows.pivot_table(index="metric_date", columns=names, values=name, aggfunc="sum")
            table = self._dense(table, model_id).reindex(columns=cells).fillna(0.0)
            sums[name] = periods_of(table, self.last_day, self.judged[model_id])
        if "shape" in self.cards[metric]:
            self._count_customers(model_id, metric, sums)
        for period in ("day", "7d", "28d", "month", "all"):
            wide = {name: by_period[period] for name, by_period in sums.items()}
            if period in ("day", "7d"):
                wide = {name: t.loc[:, [("all", "all", "all")]] for name, t in wide.items()}
            columns = wide["numerator"].columns
            ends = wide["numerator"].index
            long = pd.DataFrame({name: t.to_numpy().ravel() for name, t in wide.items()})
            long["period_end_date"] = np.repeat(ends, len(columns))
            for place, name in enumerate(names):
                long[name] = np.tile(columns.get_level_values(place), len(ends))
            found.append(long.assign(period=period))
        table = pd.concat(found, ignore_index=True)
        table = table.assign(metric=metric, model_id=model_id)
        return self._judge(table, model_id, metric)

    def _count_customers(
        self, model_id: str, metric: str, sums: dict[str, dict[str, pd.DataFrame]]
    ) -> None:
        """Replaces sums of checks by customers: not gone before the period, gone at its end."""
        checks = self.company.credited("churn")
        checks = checks[checks.model_id == model_id]
        who = self.company.outcomes.set_index("outcome_id")
        customer = who.entity_id.fillna(who.user_id)
        checks = checks.assign(
            customer=checks.outcome_id.map(customer).fillna(checks.prediction_id),
            gone=checks.outcome_label == "true",
        ).sort_values(["occurred_at", "outcome_id"])
        checks["was_gone"] = checks.groupby("customer").gone.shift(fill_value=False)
        for period, table in sums["numerator"].items():
            for series in table.columns:
                key = model_id, period, series
                if key not in self._customers:
                    self._customers[key] = customers_of(checks, series, period, table.index)
                gone, counted = np.array(self._customers[key], dtype=float).reshape(-1, 2).T
                table[series] = gone if metric == "churn_rate" else counted - gone
                for name in ("denominator", "unit_count", "weight_squares"):
                    sums[name][period][series] = counted

    def _judge(self, table: pd.DataFrame, model_id: str, metric: str) -> pd.DataFrame:
        is_ratio = metric not in (
            "credited_revenue",
            "value_of_decisions",
            "pipeline_value",
            "retained_customers",
            "ticket_count",
            "activation_count",
            "review_hours",
        )
        waits = [s for s in SOURCES[metric] if (model_id, s) in self.watermarks]
        known = [self.watermarks[model_id, source] for source in waits]
        begins = self.starts[model_id]
        began = [start for start, _ in known if not pd.isna(start)]
        all_from = max(began, default=begins)
        some_from = min(began, default=begins)
        through = min([end for _, end in known], default=self.last_day)
        waits_for = min(zip((end for _, end in known), waits, strict=True), default=(None, ""))[1]
        model = self.registry.loc[model_id]
        matured = self.last_day
        if "labels" in SOURCES[metric]:
            matured -= pd.Timedelta(days=int(model.horizon_days + model.label_delay_days))
        length = table.period.map({"day": 0, "7d": 6, "28d": 27, "month": 0, "all": 0})
        start = table.period_end_date - pd.to_timedelta(length, unit="D")
        first = table.period_end_date - pd.to_timedelta(table.period_end_date.dt.day - 1, unit="D")
        start = start.where(table.period != "month", first).where(table.period != "all", begins)
        in_total = table.segment_name == "all"
        private = pd.Series(False, index=table.index)
        for segment in table.segment_name[~in_total].unique():
            for period, hides in self.hidden(model_id, metric, segment).items():
                rows = table[(table.segment_name == segment) & (table.period == period)]
                if rows.empty:
                    continue
                at = zip(rows.period_end_date, rows.segment_value, strict=True)
                private[rows.index] = hides.stack().reindex(list(at)).to_numpy()
        is_apart = metric in CROSS_FACT and all_from > some_from
        is_cut = ~in_total | (not is_ratio)
        is_partial = (start < all_from) & (is_apart | (is_cut & (table.period != "all")))
        reason = np.select(
            [
                private,
                is_partial,
                table.period_end_date > through,
                table.period_end_date > matured,
                (table.unit_count == 0) & (table.excluded_count == 0),
                table.unit_count == 0,
                table.unit_count < self.minimum_cell,
            ],
            [
                "private",
                "partial_window",
                f"{waits_for}_not_delivered",
                "labels_not_matured",
                "no_data",
                "nothing_to_judge",
                "too_few_units",
            ],
            "",
        )
        ready = reason == ""
        value = table.numerator / table.denominator if is_ratio else table.numerator
        value = value.where(ready)
        n = table.denominator**2 / table.weight_squares
        z = norm.ppf(0.975)
        half = z * np.sqrt((value * (1 - value)).clip(lower=0) / n + z**2 / (4 * n**2))
        is_share = self.cards[metric].get("is_proportion", False)
        low = (value + z**2 / (2 * n) - half) / (1 + z**2 / n)
        high = (value + z**2 / (2 * n) + half) / (1 + z**2 / n)
        if metric == "nps":
            low, high = nps_interval(table)
            low, high, is_share = low.where(ready), high.where(ready), True
        shown = in_total | ~np.isin(reason, ["private", "partial_window"])
        covered = (table.period_end_date - start.where(start > all_from, all_from)).dt.days + 1
        return table.assign(
            period_start_date=start,
            value=value,
            value_low=low if is_share else np.nan,
            value_high=high if is_share else np.nan,
            numerator=table.numerator.where(shown),
            denominator=table.denominator.where(shown) if is_ratio else np.nan,
            excluded_count=table.excluded_count.where(shown),
            unit_count=table.unit_count.where(shown),
            covered_days=covered.clip(lower=0),
            status=np.where(ready, "ready", "not_ready"),
            reason=pd.Series(reason, index=table.index).where(~ready, None),
        )


def nps_interval(table: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Wald's interval with 0.75 promoters, 1.5 passives and 0.75 detractors more, in points.

    It is widened where it leaves the value out.
    """
    sides, more = table.weight_squares / 100**2, table.numerator / 100
    promoters = ((sides + more) / 2 + 0.75) / (table.denominator + 3)
    detractors = ((sides - more) / 2 + 0.75) / (table.denominator + 3)
    score = promoters - detractors
    spread = promoters + detractors - score**2
    half = norm.ppf(0.975) * np.sqrt(spread / (table.denominator + 3))
    own = more / table.denominator.where(table.denominator > 0)
    low, high = np.fmin(score - half, own), np.fmax(score + half, own)
    return 100 * low.clip(lower=-1), 100 * high.clip(upper=1)


def start_of(period: str, end: pd.Timestamp) -> pd.Timestamp:
    """The first day of a period."""
    if period == "month":
        return end.replace(day=1)
    if period == "all":
        return pd.Timestamp("1900-01-01")
    return end - (int(period.removesuffix("d") if period != "day" else 1) - 1) * DAY


def customers_of(
    checks: pd.DataFrame, series: Series, period: str, ends: pd.DatetimeIndex
) -> list[tuple[int, int]]:
    """Per period end: customers who were gone at their last check, of all who count."""
    version, segment, value = series
    if version != "all":
        checks = checks[checks.model_version == version]
    if segment != "all":
        checks = checks[checks[segment].fillna("(unknown)") == value]
    rows = list(zip(checks.day, checks.customer, checks.gone, checks.was_gone, strict=True))
    found = []
    for end in ends:
        start = start_of(period, end)
        had_gone: dict[str, bool] = {}
        gone: dict[str, bool] = {}
        for day, customer, is_gone, was_gone in rows:
            if start <= day <= end:
                had_gone.setdefault(customer, was_gone)
                gone[customer] = is_gone
        counted = [customer for customer, before in had_gone.items() if not before]
        found.append((sum(gone[customer] for customer in counted), len(counted)))
    return found


def periods_of(
    table: pd.DataFrame, last_day: pd.Timestamp, judged_through: pd.Timestamp
) -> dict[str, pd.DataFrame]:
    """Sums of a table of days: days, weeks, 28 days, complete months, all days that are judged."""
    judged = table[table.index <= judged_through]
    everything = judged.sum().to_frame(judged_through).T if len(judged) else judged
    months = table.groupby(table.index + pd.offsets.MonthEnd(0)).sum()
    return {
        "day": table,
        "7d": table.rolling(7, min_periods=1).sum(),
        "28d": table.rolling(28, min_periods=1).sum(),
        "month": months[months.index <= last_day],
        "all": everything,
    }


def hidden_cells(counts: Sequence[float], minimum: int) -> list[bool]:
    """Which cells of one total are hidden: small, empty beside small, and cover for them."""
    if not any(0 < count < minimum for count in counts):
        return [False] * len(counts)
    hidden = {i for i, count in enumerate(counts) if count < minimum}
    for i in sorted(range(len(counts)), key=lambda i: (counts[i], i)):
        full = [counts[j] for j in hidden if counts[j] > 0]
        if len(full) >= 2 and sum(full) >= minimum:
            break
        hidden.add(i)
    return [i in hidden for i in range(len(counts))]


def assert_values_are(workspace: Path, plain: pd.DataFrame) -> None:
    """Holds every row of fct_metric_values against the same row computed elsewhere, both ways."""
    # a shape that is computed has a second path of its own
    built = query(
        workspace,
        "from fct_metric_values where metric not in "
        "(select metric from dim_metrics where coalesce(shape, '') = 'computed')",
    )
    sides = [
        side.astype({"period_end_date": "datetime64[us]", "period_start_date": "datetime64[us]"})
        for side in (plain, built)
    ]
    both = sides[0].merge(
        sides[1], on=ROW, how="outer", suffixes=("_plain", "_built"), indicator=True
    )
    assert set(both["_merge"]) == {"both"}, both[both["_merge"] != "both"].head(20).to_string()
    assert (both.period_start_date_plain == both.period_start_date_built).all()
    for column in TEXTS:
        one, other = both[f"{column}_plain"].fillna(""), both[f"{column}_built"].fillna("")
        assert (one == other).all(), both[one != other].head(20).to_string()
    for column in NUMBERS:
        one, other = (both[f"{column}_{side}"].astype(float) for side in ("plain", "built"))
        is_close = np.isclose(one, other, rtol=1e-9, atol=1e-7, equal_nan=True)
        assert is_close.all(), both[~is_close].head(20).to_string()
