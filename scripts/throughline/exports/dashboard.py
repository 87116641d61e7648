"""The dashboard for BI tools: which cells of which mart each chart shows. It defines no number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

AMOUNT = ",.0f"
SHARE = ".1%"
DIGITS = ",.4~r"
"""Four digits that count, for columns that hold several units."""


@dataclass(frozen=True, kw_only=True)
class Filter:
    """A condition that all rows of a chart meet; `value` is None for IS NOT NULL."""

    column: str
    operator: Literal["==", "IN", "IS NOT NULL"] = "=="
    value: str | Sequence[str] | bool | None = None


@dataclass(frozen=True, kw_only=True)
class Chart:
    """Rows of a mart as they stand (`table`), or its measures by columns (`line`, `bar`, `pivot`).

    `order` says by which columns, and whether upwards; `height` counts cells of 8 pixels. The axis
    of a chart that `is_cut` begins near its lowest value instead of 0.
    """

    name: str
    title: str
    description: str
    mart: str
    kind: Literal["table", "pivot", "line", "bar"]
    columns: Sequence[str]
    x: str = ""
    metrics: Sequence[str] = ()
    filters: Sequence[Filter] = ()
    order: Sequence[tuple[str, bool]] = ()
    formats: Mapping[str, str] = field(default_factory=dict)
    number_format: str = DIGITS
    time_format: str = "%d %b"
    is_cut: bool = False
    height: int = 50
    row_limit: int = 10_000


IN_TOTAL = Filter(column="segment_name", value="all")

INTRODUCTION = (
    "Every cell is one of a published mart; the charts compute nothing. "
    "A number that is missing is withheld there, and the column of its reason says why."
)

MEASURES: Mapping[str, Mapping[str, tuple[str, str, str]]] = {
    "mart_metric_timeline": {"value_28_days": ("MAX", "value_28d", "share")},
    "mart_model_quality": {"roc_auc_28_days": ("MAX", "roc_auc", "score")},
    "mart_value_ledger": {"net_value": ("SUM", "net_value_amount", "currency")},
    "mart_costs": {"cost": ("SUM", "cost_amount", "currency")},
}
"""By mart and name: function, column, unit. A point is one row, or rows that add up."""

MONTHLY = (
    *("precision", "acceptance_rate", "adoption_rate", "conversion_rate"),
    *("cost_per_prediction", "value_of_decisions"),
)

CHARTS = (
    Chart(
        name="scorecard",
        title="Where each model stands",
        description="Headline metrics over the last 28 known days, from mart_scorecard.",
        mart="mart_scorecard",
        kind="table",
        columns=(
            *("model_name", "label", "unit", "value", "previous_value", "target", "status"),
            *("not_ready_reason", "owner", "next_step"),
        ),
        filters=(IN_TOTAL, Filter(column="role", value="headline")),
        order=(("model_name", True), ("label", True)),
        formats={"value": DIGITS, "previous_value": DIGITS, "target": DIGITS},
        height=126,
    ),
    Chart(
        name="net_value",
        title="Net value by month",
        description="Value that has matured minus all cost, from mart_value_ledger.",
        mart="mart_value_ledger",
        kind="bar",
        x="month_start_date",
        columns=("model_name",),
        metrics=("net_value",),
        filters=(Filter(column="net_value_amount", operator="IS NOT NULL"),),
        number_format=AMOUNT,
        time_format="%b %Y",
    ),
    Chart(
        name="cost",
        title="Cost by month",
        description="Costs of all types, from mart_costs.",
        mart="mart_costs",
        kind="bar",
        x="month_start_date",
        columns=("model_name",),
        metrics=("cost",),
        filters=(
            Filter(column="cost_type", value="all"),
            Filter(column="cost_amount", operator="IS NOT NULL"),
        ),
        number_format=AMOUNT,
        time_format="%b %Y",
    ),
    Chart(
        name="alerts",
        title="Open alerts",
        description="What needs a hand now, from mart_alerts.",
        mart="mart_alerts",
        kind="table",
        columns=(
            *("severity", "model_id", "metric", "status", "opened_date", "value", "bound"),
            *("cause", "owner", "corrective_action"),
        ),
        order=(("opened_date", True), ("alert_key", True)),
        formats={"value": DIGITS, "bound": DIGITS},
        height=34,
    ),
    Chart(
        name="decisions",
        title="Experiments: what to do",
        description="Decision, why, value at stake in a year, from mart_experiment_decisions.",
        mart="mart_experiment_decisions",
        kind="table",
        columns=(
            *("experiment_id", "variant", "model_id", "decision", "reason", "primary_metric"),
            *("estimate", "value_at_stake_amount", "value_at_stake_low_amount"),
            *("value_at_stake_high_amount", "owner"),
        ),
        order=(("experiment_id", True), ("variant", True)),
        formats={
            "estimate": DIGITS,
            "value_at_stake_amount": AMOUNT,
            "value_at_stake_low_amount": AMOUNT,
            "value_at_stake_high_amount": AMOUNT,
        },
        height=38,
    ),
    Chart(
        name="acceptance",
        title="Acceptance rate, 28 days",
        description="Share of shown decisions that users accepted, from mart_metric_timeline.",
        mart="mart_metric_timeline",
        kind="line",
        x="metric_date",
        columns=("model_id",),
        metrics=("value_28_days",),
        filters=(
            IN_TOTAL,
            Filter(column="metric", value="acceptance_rate"),
            Filter(column="value_28d", operator="IS NOT NULL"),
        ),
        number_format=".0%",
    ),
    Chart(
        name="precision",
        title="Precision, 28 days",
        description="Share of positive decisions that were right, from mart_metric_timeline.",
        mart="mart_metric_timeline",
        kind="line",
        x="metric_date",
        columns=("model_id",),
        metrics=("value_28_days",),
        filters=(
            IN_TOTAL,
            Filter(column="metric", value="precision"),
            Filter(column="value_28d", operator="IS NOT NULL"),
        ),
        number_format=".0%",
    ),
    Chart(
        name="ranking",
        title="Ranking quality (ROC AUC), 28 days",
        description="How well scores tell cases apart, from mart_model_quality.",
        mart="mart_model_quality",
        kind="line",
        x="period_end_date",
        columns=("model_id",),
        metrics=("roc_auc_28_days",),
        filters=(
            IN_TOTAL,
            Filter(column="model_version", value="all"),
            Filter(column="period", value="28d"),
            Filter(column="roc_auc", operator="IS NOT NULL"),
        ),
        number_format=".2f",
        is_cut=True,
    ),
    Chart(
        name="months",
        title="Governed metrics by month",
        description="Metrics of the cards, from the cells of mart_metric_months that may be read.",
        mart="mart_metric_months",
        kind="pivot",
        columns=("model_id", "month_start_date"),
        metrics=MONTHLY,
        filters=(
            IN_TOTAL,
            Filter(column="model_version", value="all"),
            Filter(column="metric", operator="IN", value=MONTHLY),
            Filter(column="value", operator="IS NOT NULL"),
        ),
        height=76,
    ),
    Chart(
        name="goals",
        title="Goals",
        description="How far each goal is on its latest day, from mart_goals.",
        mart="mart_goals",
        kind="table",
        columns=(
            *(
                "level",
                "model_id",
                "metric",
                "segment_value",
                "status",
                "outlook",
                "value",
                "target",
            ),
            *("attainment", "due", "owner"),
        ),
        filters=(Filter(column="is_latest", value=True),),
        order=(("level", True), ("goal_id", True)),
        formats={"value": DIGITS, "target": DIGITS, "attainment": SHARE},
        height=46,
    ),
)

ROWS: Sequence[Sequence[str]] = (
    ("scorecard",),
    ("net_value",),
    ("alerts",),
    ("decisions",),
    ("acceptance", "precision"),
    ("ranking", "cost"),
    ("months",),
    ("goals",),
)
"""The charts of the dashboard from top to bottom, side by side in a row."""
