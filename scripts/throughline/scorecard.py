"""The scorecard: what the marts say of each model, as an object and as text for the terminal."""

from __future__ import annotations

import json
import math
import shlex
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeAlias

import duckdb
from rich.console import Console
from rich.text import Text

from throughline import places, warehouse
from throughline.findings import UserError, refuse
from throughline.sql import relation
from throughline.workspace import VARIABLES, Workspace

Row: TypeAlias = "dict[str, Any]"
Tables: TypeAlias = "dict[str, list[Row]]"
"""Rows by the name of a relation in RELATIONS."""

DECISIONS = "mart_experiment_decisions"
"""The mart of what to do with each experiment."""
RELATIONS = {
    "dim_models": "core",
    "dim_model_metrics": "metrics",
    "mart_scorecard": "marts",
    "mart_value_ledger": "marts",
    "mart_metric_catalog": "marts",
    "mart_experiments": "marts",
    DECISIONS: "marts",
}
"""What is read, with its layer."""

MOMENTS = ("_at", "_until")
"""How columns end whose time of day counts."""
SHOWN = 8
"""Metrics of a model, and next steps, that are shown without --all."""
WIDE = 110
"""Columns from which on more is said of each metric."""
STATUSES = {
    "breached": "bold red",
    "off_target": "yellow",
    "behind": "yellow",
    "on_the_way": "green",
    "on_target": "green",
    "no_target": "",
    "not_ready": "dim",
}
"""Styles by status, what needs a hand first."""
ROLES = ("headline", "judged", "watched")
DECISION_STYLES = {
    "ship": "bold green",
    "roll_back": "bold red",
    "stop_invalid": "bold red",
}
WHAT_TO_DO = {
    "private": "it would tell of few people, so it is not shown",
    "partial_window": "the data begin within it; read a later one",
    "labels_not_delivered": "the labels have not arrived; ask who delivers business_outcomes",
    "amounts_not_delivered": "the amounts have not arrived; ask who delivers business_outcomes",
    "labels_not_matured": "wait until the labels have had the time to arrive",
    "no_data": "nothing happened that it could count; no step is due",
    "nothing_to_judge": "no decision has a class, a positive case, a unit value or a status "
    "code; complete the seeds model_registry and unit_values, the labels, or the log",
    "too_few_units": "fewer units than the setting minimum_cell; read a longer period",
    "one_class": "all labels are positive, or all are negative; read a longer period",
    "equal_scores": "all scores are the same; ask who serves the model",
}
"""What to do by the reason why a number is missing."""
OF_A_SOURCE = "_not_delivered"
OF_A_KIND = "_outcomes"
LEFT_OUT = "_left_out"
UNVALUED = (
    "no decision has a class, a positive case or a unit value; complete the seeds model_registry "
    "and unit_values, or the labels"
)


# Reading


def read(
    workspace: Workspace,
    *,
    file: Path | None = None,
    relations: Mapping[str, str] = RELATIONS,
) -> Tables:
    """The rows of relations by name, from `file` or the warehouse; `relations` says their layers.

    Raises LookupError with the name of a relation that is not there, UserError where the file is
    locked.
    """
    if workspace.is_in_file:
        return _read_file(workspace, file or workspace.warehouse, relations)
    return {
        name: [_plain_row(row) for row in rows]
        for name, rows in warehouse.read(workspace, relations).items()
    }


def _read_file(workspace: Workspace, file: Path, relations: Mapping[str, str]) -> Tables:
    if not file.exists():
        raise LookupError(file.name)
    found: Tables = {}
    try:
        with duckdb.connect(str(file), read_only=True) as connection:
            connection.execute("set TimeZone = 'UTC'")
            for name, layer in relations.items():
                try:
                    cursor = connection.execute(f"from {relation(*workspace.place(layer, name))}")
                except duckdb.CatalogException:
                    raise LookupError(name) from None
                columns = [column[0] for column in cursor.description or ()]
                rows = (dict(zip(columns, row, strict=True)) for row in cursor.fetchall())
                found[name] = [_plain_row(row) for row in rows]
    except duckdb.IOException:
        locked = places.lock_fault(workspace)
        if locked is None:
            raise LookupError(file.name) from None
        raise UserError(locked) from None
    return found


def _plain_row(row: Mapping[str, Any]) -> Row:
    return {name: _plain(name, value) for name, value in row.items()}


def _plain(name: str, value: Any) -> Any:
    """A value as DuckDB gives it, where dbt's own cursor knows decimals alone; days as such."""
    if isinstance(value, Decimal | float):
        return float(value) if math.isfinite(value) else None
    is_day = isinstance(value, datetime) and not name.endswith(MOMENTS)
    return value.date() if is_day else value


# What is said


@dataclass(frozen=True, kw_only=True)
class Scorecard:
    """What is said, with the keys of `throughline scorecard --json`.

    `predictions_end` is the day of the last prediction where `as_of` lies past it. A next step
    without a `model_id` is about a metric wherever it is read.
    """

    as_of: date | None
    predictions_end: date | None
    models: list[Row]
    money: list[Row]
    metrics: list[Row]
    experiments: list[Row]
    next_steps: list[Row]

    def of(self, model_id: str) -> Scorecard:
        """What is said of one model; raises UserError where there is no such model."""
        known = sorted(row["model_id"] for row in self.models)
        if model_id not in known:
            what = f"no model is named {model_id}"
            raise refuse(what, where="--model", fix=f"Known: {', '.join(known)}.")
        own = {row["metric"] for row in self.metrics if row["model_id"] == model_id}
        return replace(
            self,
            models=_where(self.models, model_id=model_id),
            money=_where(self.money, model_id=model_id),
            metrics=_where(self.metrics, model_id=model_id),
            experiments=_where(self.experiments, model_id=model_id),
            next_steps=[
                row
                for row in self.next_steps
                if row["model_id"] == model_id or (row["model_id"] is None and row["metric"] in own)
            ],
        )

    def as_json(self) -> str:
        """All of it as one object; moments and dates in ISO 8601."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False, default=date.isoformat)


def compose(tables: Tables) -> Scorecard:
    """The scorecard of the rows that were read."""
    read_for = tables["dim_model_metrics"]
    last_day = max((row["matured_through"] for row in read_for), default=None)
    models = sorted(tables["dim_models"], key=lambda row: (row["model_name"], row["model_id"]))
    metrics: list[Row] = []
    money = []
    for model in models:
        own = _where(tables["mart_scorecard"], model_id=model["model_id"])
        shown = {_key(row) for row in _selected(own)}
        metrics += [_metric(row, is_shown=_key(row) in shown) for row in sorted(own, key=_urgency)]
        money.append(_money(model["model_id"], tables))
    return Scorecard(
        as_of=last_day + timedelta(days=1) if last_day else None,
        predictions_end=_predictions_end(read_for, last_day=last_day),
        models=[{"model_id": row["model_id"], "model_name": row["model_name"]} for row in models],
        money=money,
        metrics=metrics,
        experiments=_experiments(tables),
        next_steps=_next_steps(metrics, tables),
    )


def _predictions_end(read_for: Iterable[Row], *, last_day: date | None) -> date | None:
    """The day of the last prediction where that lies before `as_of` by more than its grace."""
    known = [row["delivered_through"] for row in read_for if row["waits_for"] == "prediction_logs"]
    if not known or last_day is None or max(known) >= last_day:
        return None
    # the day of the last one is not known to its end
    end: date = max(known) + timedelta(days=1)
    return end


def _key(row: Row) -> tuple[str, str, str]:
    return row["metric"], row["segment_name"], row["segment_value"]


def _urgency(row: Row) -> tuple[bool, int, int, str, str]:
    return (
        row["status"] != "breached",
        ROLES.index(row["role"]),
        list(STATUSES).index(row["status"]),
        row["label"],
        row["segment_value"],
    )


def _selected(rows: Iterable[Row]) -> list[Row]:
    """The metrics of a model that are shown: one of each pillar before the second of another."""
    asked = sorted((row for row in rows if row["role"] != "watched"), key=_urgency)
    first_of_pillar = {row["pillar"]: row for row in reversed(asked)}
    firsts = [row for row in asked if first_of_pillar[row["pillar"]] is row]
    return (firsts + [row for row in asked if first_of_pillar[row["pillar"]] is not row])[:SHOWN]


def _metric(row: Row, *, is_shown: bool) -> Row:
    value, previous = row["value"], row["previous_value"]
    kept = (
        *("model_id", "metric", "label", "segment_name", "segment_value", "pillar", "role"),
        *("owner", "unit", "unit_of_count", "direction", "status", "outlook"),
    )
    numbers = ("value", "value_low", "value_high", "previous_value")
    judged = ("target", "floor", "expected_value", "projected_value")
    return {
        **{name: row[name] for name in kept},
        "reason": row["not_ready_reason"],
        "what_to_do": what_to_do(row["not_ready_reason"]),
        **{name: row[name] for name in numbers},
        "change": None if value is None or previous is None else value - previous,
        "is_beyond_noise": row["is_beyond_noise"],
        **{name: row[name] for name in judged},
        "due": row["due"],
        "unit_count": None if row["unit_count"] is None else int(row["unit_count"]),
        "window_start_date": row["window_start_date"],
        "window_end_date": row["window_end_date"],
        "next_step": row["next_step"],
        "is_shown": is_shown,
    }


def what_to_do(reason: str | None) -> str | None:
    """What a reader does about a number that is missing for a reason; None without one."""
    if reason is None or reason in WHAT_TO_DO:
        return WHAT_TO_DO.get(reason or "")
    if reason.endswith(LEFT_OUT):
        return f"the setting inputs leaves {reason.removesuffix(LEFT_OUT)} out"
    source = reason.removesuffix(OF_A_SOURCE)
    if source.endswith(OF_A_KIND) and source != "business_outcomes":
        kind = source.removesuffix(OF_A_KIND).replace("_", " ")
        return f"outcomes of kind {kind} have stopped; ask who delivers business_outcomes"
    return f"its last days have no {source} yet; ask who delivers them"


def _where(rows: Iterable[Row], *, model_id: str) -> list[Row]:
    return [row for row in rows if row["model_id"] == model_id]


AMOUNTS = {
    "value": "matured_value_amount",
    "cost": "total_cost_amount",
    "net": "net_value_amount",
    "roi": "roi",
    "matured_share": "matured_share",
}
"""Columns of the ledger by their names in the scorecard."""


def _money(model_id: str, tables: Tables) -> Row:
    """The last month that is known in full and the whole one before it; why the next is not.

    Where no month has both its value and its costs, it is the last whose value is known.
    """
    read_for = _where(tables["dim_model_metrics"], model_id=model_id)
    months = {
        row["month_start_date"]: row
        for row in _where(tables["mart_value_ledger"], model_id=model_id)
        if row["is_complete"]
    }
    reasons = _reasons(months, read_for)
    known = [month for month, reason in reasons.items() if reason is None]
    if not known:
        known = [
            month
            for month, reason in _reasons(months, read_for, needs_costs=False).items()
            if reason is None and months[month]["matured_value_amount"] is not None
        ]
    month = known[-1] if known else None
    before = (month - timedelta(days=1)).replace(day=1) if month else None
    if before not in known:
        before = None
    if month:
        waiting = next((later for later in reasons if later >= month and reasons[later]), None)
    else:
        waiting = next(reversed(reasons), None)
    reason = reasons[waiting] if waiting else None if month else "partial_window"
    row, earlier = (months[one] if one else {} for one in (month, before))
    return {
        "model_id": model_id,
        "currency": row.get("currency"),
        "month": month,
        **{name: row.get(column) for name, column in AMOUNTS.items()},
        "previous_month": before,
        **{f"previous_{name}": earlier.get(column) for name, column in AMOUNTS.items()},
        "unknown_month": waiting,
        "reason": reason,
        "what_to_do": what_to_do(reason),
    }


def _reasons(
    months: Mapping[date, Row], read_for: Sequence[Row], *, needs_costs: bool = True
) -> dict[date, str | None]:
    """Why each month is not known in full, in the order of months; None where it is."""
    matured = min((row["matured_through"] for row in read_for), default=date.min)
    starts: dict[bool, date] = {}
    for row in read_for:
        is_cost = row["waits_for"] == "serving_costs"
        if row["waits_for"] and (needs_costs or not is_cost):
            starts[is_cost] = min(row["known_from"], starts.get(is_cost, date.max))
    # the day from which on all of them are delivered
    first_day = max(starts.values(), default=date.max)
    found: dict[date, str | None] = {}
    for start, row in sorted(months.items()):
        end = (start + timedelta(days=31)).replace(day=1) - timedelta(days=1)
        not_delivered = row["value_reason"] or (row["cost_reason"] if needs_costs else None)
        not_matured = "labels_not_matured" if end > matured else None
        found[start] = "partial_window" if first_day > start else not_delivered or not_matured
    return found


def _experiments(tables: Tables) -> list[Row]:
    cards = {row["metric"]: row for row in tables["mart_metric_catalog"]}
    lifts = {
        (*_estimate_key(row), row["metric"]): row["relative_lift"]
        for row in tables["mart_experiments"]
        if row["segment_name"] == "all"
    }
    found = []
    for row in sorted(tables[DECISIONS], key=lambda row: (row["experiment_id"], row["variant"])):
        is_relative = row["minimum_effect_kind"] == "relative"
        relative_lift = lifts.get((*_estimate_key(row), row["primary_metric"]))
        low, high = row["decision_low"], row["decision_high"]
        if row["direction"] == "down":
            # the interval that decides has up as good
            low, high = (None if end is None else -end for end in (high, low))
        found.append(
            {
                **{name: row[name] for name in ("model_id", "experiment_id", "variant", "owner")},
                **{name: row[name] for name in ("primary_metric", "decision", "reason")},
                **{name: cards[row["primary_metric"]][name] for name in ("label", "unit")},
                "is_relative": is_relative,
                "lift": relative_lift if is_relative else row["estimate"],
                "lift_low": low,
                "lift_high": high,
                "value_at_stake": row["value_at_stake_amount"],
                "value_at_stake_low": row["value_at_stake_low_amount"],
                "value_at_stake_high": row["value_at_stake_high_amount"],
                "currency": row["currency"],
                "as_of": row["as_of"],
            }
        )
    return found


def _estimate_key(row: Row) -> tuple[str, ...]:
    return tuple(row[name] for name in ("experiment_id", "variant", "method", "totals"))


def _next_steps(metrics: Sequence[Row], tables: Tables) -> list[Row]:
    """What needs a hand: floors missed, targets missed, reviews that are overdue."""
    by_status = {
        status: [row for row in metrics if row["status"] == status]
        for status in ("breached", "off_target", "behind")
    }
    in_total = {
        (row["model_id"], row["metric"]): list(STATUSES).index(row["status"])
        for row in metrics
        if row["segment_name"] == "all"
    }
    steps = [
        {
            **{name: row[name] for name in ("model_id", "metric", "segment_name", "segment_value")},
            "about": metric_name(row),
            "why": status,
            "next_step": row["next_step"],
            "owner": row["owner"],
        }
        for place, (status, rows) in enumerate(by_status.items())
        for row in rows
        # a segment that is no worse than the total asks for nothing more
        if row["segment_name"] == "all"
        or place < in_total.get((row["model_id"], row["metric"]), len(STATUSES))
    ]
    reviews = [
        {
            **{"model_id": None, "metric": row["metric"]},
            **{"segment_name": "all", "segment_value": "all"},
            "about": row["label"],
            "why": "review_overdue",
            "next_step": "Read its card again and set review_by anew.",
            "owner": row["owner"],
        }
        for row in sorted(tables["mart_metric_catalog"], key=lambda row: str(row["label"]))
        if row["review_state"] == "overdue"
    ]
    return steps + reviews


# How it is said


def short(value: float | None, *, unit: str | None, sign: str = "") -> str:
    """A value in at most six places and its sign; `sign` is that of a format, such as +."""
    if value is None:
        return ""
    size = abs(value)
    if unit == "share":
        if 0 < size < 0.00995:
            return f"{value:{sign}.2%}"
        return f"{value:{sign}.0%}" if size == 1 else f"{value:{sign}.1%}"
    for least, divisor, mark in ((1e9, 1e9, "G"), (1e6, 1e6, "M"), (9_999.5, 1e3, "k")):
        if size >= least:
            places = 0 if size / divisor >= 99.95 else 1 if mark == "k" else 2
            return f"{value / divisor:{sign}.{places}f}{mark}"
    if size >= 1000:
        return f"{value:{sign},.0f}"
    if 0 < size < 0.1:
        return f"{value:{sign}.2g}"
    return f"{value:{sign}.{1 if size >= 100 else 2 if size >= 1 or size == 0 else 3}f}"


def metric_name(row: Row) -> str:
    """The label of a metric, with its segment value if it is not the total."""
    is_total = row["segment_name"] == "all"
    return str(row["label"]) if is_total else f"{row['label']}, {row['segment_value']}"


def change(row: Row) -> str:
    """What changed since the window before: shares in points, amounts in percent; with its mark."""
    if row["change"] is None:
        return ""
    if row["unit"] == "share":
        points = 100 * row["change"]
        said = f"{points:+.2f}pp" if 0 < abs(points) < 0.1 else f"{points:+.1f}pp"
    elif row["unit"] in ("currency", "count", "hours") and row["previous_value"]:
        share = row["change"] / abs(row["previous_value"])
        said = f"{share:+.1%}" if abs(share) < 0.0995 else f"{share:+.0%}"
    else:
        said = short(row["change"], unit=row["unit"], sign="+")
    return said + MARKS[row["is_beyond_noise"]]


MARKS = {True: "*", False: "~", None: " "}
LEGEND = (
    "* the change is beyond noise (two proportions at 99 %), ~ it is not; without a mark nothing "
    "is said of noise"
)
STEPS = {
    "breached": "misses its floor",
    "off_target": "misses its target",
    "behind": "is behind its target",
    "review_overdue": "is due for review",
}


@dataclass(frozen=True, kw_only=True)
class Page:
    """How wide a page is, and whether all is to be said."""

    width: int
    is_all: bool = False

    @property
    def is_wide(self) -> bool:
        return self.width >= WIDE

    def prose(self, text: str, *, indent: int = 0) -> Iterator[Text]:
        """A sentence, broken between words; its later lines are indented."""
        width = min(self.width, 120)
        for line in textwrap.wrap(
            text, width, subsequent_indent=" " * indent, break_on_hyphens=False
        ):
            yield Text(line)

    def rule(self, title: str) -> Text:
        line = "─" * max(0, min(self.width, 120) - len(title) - 4)
        return Text.assemble("── ", (title, "bold"), f" {line}")

    def columns(self, rows: Iterable[Sequence[str]]) -> list[int]:
        """The width of each column; the first gives way where the page is narrow."""
        widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
        rest = sum(widths[1:]) + self.gap * (len(widths) - 1)
        return [max(8, min(widths[0], self.width - rest)), *widths[1:]]

    @property
    def gap(self) -> int:
        return 2 if self.is_wide else 1

    def line(
        self, cells: Sequence[str], widths: Sequence[int], *, left: Iterable[int], style: str = ""
    ) -> Text:
        """Cells below each other, numbers to the right; `style` is that of the last."""
        padded = []
        for place, (cell, width) in enumerate(zip(cells, widths, strict=True)):
            kept = cell if len(cell) <= width else f"{cell[: width - 1]}…"
            padded.append(kept.ljust(width) if place in left else kept.rjust(width))
        gap = " " * self.gap
        found = Text(gap.join(padded[:-1]) + gap).append(padded[-1].rstrip(), style=style)
        found.rstrip()
        return found


def text(card: Scorecard, *, page: Page) -> Iterator[Text]:
    """The scorecard in lines that fit the page."""
    names = {row["model_id"]: row["model_name"] for row in card.models}
    if card.predictions_end:
        yield from page.prose(
            f"as_of lies past the data: it is {card.as_of}, and the last prediction is of "
            f"{card.predictions_end}. The windows below end where all is known. Deliver newer "
            "logs, or set as_of to the day after it.",
        )
        yield Text()
    yield Text(f"Scorecard as of {card.as_of}" if card.as_of else "Scorecard", style="bold")
    yield Text()
    heads = _metric_heads(page)
    printed = [row for row in card.metrics if row["is_shown"] or page.is_all]
    cells = [_metric_cells(row, page) for row in printed]
    # a heading stands in the first column too
    widths = page.columns([*cells, [_window(date.max), *heads]])
    for model in card.models:
        yield page.rule(model["model_name"])
        of_model = _where(card.metrics, model_id=model["model_id"])
        if not of_model:
            yield from page.prose("Nothing is read for it: none of its predictions is delivered.")
        else:
            for money in _where(card.money, model_id=model["model_id"]):
                yield from _money_text(money, page)
            yield from _metrics_text(of_model, page=page, heads=heads, widths=widths)
        yield Text()
    if any(row["is_beyond_noise"] is not None and row["change"] is not None for row in printed):
        yield from page.prose(LEGEND, indent=2)
        yield Text()
    if card.experiments:
        yield page.rule("Experiments")
        yield from _experiments_text(card.experiments, page)
        yield Text()
    yield page.rule("Next steps")
    yield from _steps_text(card, names=names, page=page)


def _metric_heads(page: Page) -> list[str]:
    wide = ["pillar"], ["floor"]
    pillar, floor = wide if page.is_wide else ([], [])
    return [*pillar, "n", "value", "before", "change ", "target", *floor, "status"]


def _metric_cells(row: Row, page: Page) -> list[str]:
    value, before, target, floor = (
        short(row[name], unit=row["unit"])
        for name in ("value", "previous_value", "target", "floor")
    )
    count = "" if row["unit_count"] is None else short_count(row["unit_count"])
    wide = [row["pillar"]], [floor]
    pillars, floors = wide if page.is_wide else ([], [])
    numbers = [count, value, before, change(row), target, *floors]
    return [metric_name(row), *pillars, *numbers, row["status"]]


def short_count(count: int) -> str:
    return f"{count:,}" if count < 10_000 else short(count, unit=None)


def _window(end: date) -> str:
    return f"28 days to {end}"


def _metrics_text(
    rows: Sequence[Row], *, page: Page, heads: Sequence[str], widths: Sequence[int]
) -> Iterator[Text]:
    """The metrics of a model by the end of their window, and why some have no value."""
    printed = [row for row in rows if row["is_shown"] or page.is_all]
    ends = sorted({row["window_end_date"] for row in printed}, reverse=True)
    left = {0, 1, len(widths) - 1} if page.is_wide else {0, len(widths) - 1}
    for place, end in enumerate(ends):
        names = heads if place == 0 else [""] * len(heads)
        heading = page.line([_window(end), *names], widths, left=left)
        heading.stylize("dim")
        yield heading
        within = [row for row in printed if row["window_end_date"] == end]
        for row in sorted(within, key=lambda row: list(STATUSES).index(row["status"])):
            cells = _metric_cells(row, page)
            yield page.line(cells, widths, left=left, style=STATUSES[row["status"]])
    for reason in sorted({row["reason"] for row in printed if row["reason"]}):
        missing = [row for row in printed if row["reason"] == reason]
        labels = ", ".join(metric_name(row) for row in missing)
        said = f"{reason}, {labels}: {missing[0]['what_to_do']}."
        yield from page.prose(said, indent=2)
    if len(printed) < len(rows):
        yield Text(f"{len(rows) - len(printed)} more: throughline scorecard --all", style="dim")


def _money_text(row: Row, page: Page) -> Iterator[Text]:
    said = "No month is known in full"
    known = [name for name in ("value", "cost", "net") if row[name] is not None]
    if known:
        missing = [name for name in ("value", "cost", "net") if name not in known]
        unknown = f"{' and '.join(missing)} unknown, " if missing else ""
        against = " (no whole month before)"
        if row["previous_month"]:
            before = amount(row[f"previous_{known[-1]}"])
            against = f" ({row['previous_month']:%B}: {before})"
        amounts = ", ".join(f"{name} {amount(row[name])}" for name in known)
        said = f"{row['month']:%B %Y}: {unknown}{amounts} {row['currency']}{against}"
        if row["roi"] is not None:
            said += f", ROI {amount(row['roi'])}"
        if row["matured_share"] is not None:
            said += f", {row['matured_share']:.0%} matured"
    said += "."
    if row["month"] and row["value"] is None:
        said += f" Value: {UNVALUED}."
    elif row["unknown_month"] and (
        not row["month"] or row["reason"].endswith((OF_A_SOURCE, LEFT_OUT))
    ):
        about = "Cost" if row["unknown_month"] == row["month"] else f"{row['unknown_month']:%B %Y}"
        said += f" {about}: {row['what_to_do']}."
    elif not row["month"]:
        said += " The data hold no whole one yet."
    yield from page.prose(said, indent=2)


def amount(value: float | None) -> str:
    """An amount of money in full, without cents where it is large."""
    if value is None:
        return "unknown"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:,.2f}"


def _experiments_text(rows: Sequence[Row], page: Page) -> Iterator[Text]:
    """Of each variant what to do, its lift with the interval that decides, a year of money."""
    for row in rows:
        name = row["experiment_id"]
        if sum(other["experiment_id"] == name for other in rows) > 1:
            name = f"{name}, {row['variant']}"
        begin = f"{name}: {row['decision']}"
        said = begin + (f" ({row['reason']})" if row["reason"] else "") + ". "
        said += f"{row['label']} {_lift(row)}. "
        if row["value_at_stake"] is not None:
            value, *ends = (row[f"value_at_stake{end}"] for end in ("", "_low", "_high"))
            stake = f"{short(value, unit=None)} {row['currency']} {_interval(*ends, unit=None)}"
            said += f"At stake in a year: {stake.strip()}. "
        lines = list(page.prose(f"{said}({row['owner']})", indent=2))
        style = DECISION_STYLES.get(row["decision"], "")
        lines[0].stylize(style, len(name) + 2, len(begin))
        yield from lines


def _lift(row: Row) -> str:
    if row["lift"] is None:
        return "is not known"
    unit = "share" if row["is_relative"] else row["unit"]
    interval = _interval(row["lift_low"], row["lift_high"], unit=unit, sign="+")
    said = f"{short(row['lift'], unit=unit, sign='+')} {interval}".strip()
    # an effect in points, not in percent of the control
    return said if row["is_relative"] else said.replace("%", "pp")


def _interval(low: float | None, high: float | None, *, unit: str | None, sign: str = "") -> str:
    if low is None and high is None:
        return ""
    ends = (short(end, unit=unit, sign=sign) or "?" for end in (low, high))
    return f"[{', '.join(ends)}]"


def _steps_text(card: Scorecard, *, names: Mapping[str, str], page: Page) -> Iterator[Text]:
    """What to do, and whether floors hold: said only where something has a floor and a value."""
    shown = card.next_steps if page.is_all else card.next_steps[:SHOWN]
    for number, row in enumerate(shown, start=1):
        about = (
            row["about"] if row["model_id"] is None else f"{names[row['model_id']]}, {row['about']}"
        )
        said = f"{number}. {about} {STEPS[row['why']]}: {row['next_step']} ({row['owner']})"
        lines = list(page.prose(said, indent=3))
        if row["why"] == "breached":
            lines[0].stylize(STATUSES["breached"], 0, len(f"{number}. {about}"))
        yield from lines
    if len(shown) < len(card.next_steps):
        more = len(card.next_steps) - len(shown)
        yield Text(f"{more} more: throughline scorecard --all", style="dim")
    floored = [row for row in card.metrics if row["floor"] is not None and row["value"] is not None]
    if not floored:
        said = "Nothing is judged: no metric has both a floor and a value. Floors stand in "
        yield from page.prose(f"{said}metric_targets.")
    elif all(row["status"] != "breached" for row in floored):
        were = "was" if len(floored) == 1 else "were"
        yield from page.prose(f"No floor is missed, of {len(floored)} that {were} judged.")


def show(
    workspace: Workspace,
    *,
    console: Console,
    is_built: bool = False,
    file: Path | None = None,
) -> None:
    """Prints the scorecard after a build, and where to look next.

    `file` is the one of DuckDB to read, by default the warehouse of the workspace. Without marts
    there is only where to look. Raises UserError where they were made just now (`is_built`), and
    yet cannot be read.
    """
    place = _place(workspace, file)
    card = None
    try:
        card = compose(read(workspace, file=file))
    except LookupError as missing:
        if is_built:
            what = f"{missing.args[0]} cannot be read, though it was built just now"
            fix = "Has someone moved or removed the warehouse? Build again."
            raise refuse(what, where=place, fix=fix) from None
    if card:
        print_card(card, console=console)
    trends = relation(*workspace.place("marts", "mart_metric_timeline"))
    rejected = relation(*workspace.place("staging", "stg_rejected_rows"))
    values = [row["metric"] for row in card.metrics if row["value"] is not None] if card else []
    metric = values[0] if values else "conversion_rate"
    query = f"{_choice(workspace)}throughline exec -- mf query --metrics {metric}"
    if file and file != workspace.warehouse:
        rejected += f" in {_place(workspace, workspace.warehouse)}"
    for line in (
        "",
        f"Marts     {place}, schema {workspace.place('marts', 'mart_scorecard')[0]}",
        f"Trends    {trends}",
        f"Rejected  {rejected}",
        f"Any cut   {query} --group-by metric_time__month",
        "Lineage   throughline docs",
    ):
        console.print(line, markup=False, soft_wrap=True)


def print_card(card: Scorecard, *, console: Console, is_all: bool = False) -> None:
    for line in text(card, page=Page(width=console.width, is_all=is_all)):
        console.print(line, soft_wrap=True)


def of_last_build(workspace: Workspace) -> Scorecard:
    """The scorecard of the published copy, if there is one, else of the warehouse.

    Raises UserError where the marts are not built.
    """
    return compose(rows_of_last_build(workspace, RELATIONS, named="the scorecard"))


def rows_of_last_build(workspace: Workspace, relations: Mapping[str, str], *, named: str) -> Tables:
    """Rows by relation of the published copy, if there is one, else of the warehouse.

    A replay is never published. Raises UserError where what is `named` is not built.
    """
    is_published = workspace.replays is None and workspace.published.exists()
    file = workspace.published if is_published else workspace.warehouse
    try:
        return read(workspace, file=file, relations=relations)
    except LookupError as missing:
        what = f"{named} is not built: {missing.args[0]} is not there"
        option = f" --as-of '{workspace.replays}'" if workspace.replays else ""
        fix = f"throughline build{option}"
        raise refuse(what, where=_place(workspace, file), fix=fix) from None


def _place(workspace: Workspace, file: Path | None) -> str:
    """Where the marts stand, for people."""
    if not workspace.is_in_file:
        return f"target {workspace.target}"
    return workspace.shown(file or workspace.warehouse)


def _choice(workspace: Workspace) -> str:
    """What a command must be told where the workspace is not the one plain commands choose."""
    if VARIABLES[0] in workspace.chosen_by:
        return f"{VARIABLES[0]}={shlex.quote(workspace.relative)} "
    return ""
