"""What `throughline lift` prints: a table per experiment, or everything as JSON."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from rich import box
from rich.table import Table
from rich.text import Text

from throughline.lift.decide import is_deciding
from throughline.lift.plan import Experiment
from throughline.lift.run import Inputs, Results
from throughline.warehouse import Columns

ROLES = ("primary", "guardrail", "secondary")
STATE_STYLES = {"pass": "green", "fail": "bold red", "unknown": "yellow"}
DECISION_STYLES = {
    "ship": "bold green",
    "hold": "yellow",
    "extend": "yellow",
    "roll_back": "bold red",
    "stop_invalid": "bold red",
}
ANY_TIME = "*"
WIDTH = 100
"""Columns that the tables take where no terminal says how many there are."""


def tables(inputs: Inputs, results: Results) -> Iterator[tuple[Table, list[Text]]]:
    """Of each experiment the deciding estimates over all units, and the decisions."""
    deciding = is_deciding(results.estimates, experiments=inputs.experiments)
    estimates = _by_experiment(
        _records({name: values[deciding] for name, values in results.estimates.items()})
    )
    decisions = _by_experiment(map(asdict, results.decisions))
    for plan in inputs.experiments:
        shown = sorted(
            estimates[plan.experiment_id],
            key=lambda row: (ROLES.index(row["role"]), row["metric"], row["variant"]),
        )
        lines = []
        for row in decisions[plan.experiment_id]:
            style = DECISION_STYLES[row["decision"]]
            line = Text(f"{row['variant']}: ").append(row["decision"], style=style)
            lines.append(line.append(f" ({row['reason']})" if row["reason"] else ""))
        primaries = [
            row for row in shown if row["role"] == "primary" and row["variant"] in plan.treatments
        ]
        if segments := _by_segment(results.estimates, primaries):
            lines.append(Text(f"{plan.primary_metric}, p of equal effects by segment: {segments}"))
        yield _table(plan, shown, units=inputs.units), lines


def _by_segment(estimates: Columns, rows: Sequence[Mapping[str, Any]]) -> str:
    """P of Cochran's Q by segment, with the variant where there are several."""
    key = ("experiment_id", "variant", "metric", "method", "totals")
    p_by_segment: dict[str, str] = {}
    for row in rows:
        fits = np.all([estimates[name] == row[name] for name in key], axis=0)
        p = estimates["heterogeneity_p_value"]
        whose = f" ({row['variant']})" if len(rows) > 1 else ""
        for place in np.flatnonzero(fits & ~np.isnan(p)).tolist():
            p_by_segment[f"{estimates['segment_name'][place]}{whose}"] = f"{p[place]:.2g}"
    return ", ".join(f"{name} {value}" for name, value in p_by_segment.items())


def _records(columns: Columns) -> Iterator[dict[str, Any]]:
    lists = [values.tolist() for values in columns.values()]
    for values in zip(*lists, strict=True):
        yield dict(zip(columns, values, strict=True))


def _by_experiment(rows: Iterable[dict[str, Any]]) -> Mapping[str, list[dict[str, Any]]]:
    by_experiment = defaultdict(list)
    for row in rows:
        by_experiment[row["experiment_id"]].append(row)
    return by_experiment


def _table(plan: Experiment, rows: list[dict[str, Any]], *, units: Mapping[str, str]) -> Table:
    days = {row["as_of"].date().isoformat() for row in rows}
    table = Table(
        title=f"{plan.experiment_id}, as of {', '.join(sorted(days))}: against "
        f"{plan.control_variant}, {plan.decides_by} on {plan.decided_on} totals",
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        caption=f"{ANY_TIME} valid at every look" if any(map(_is_any_time, rows)) else None,
        caption_justify="left",
    )
    table.add_column("metric", overflow="fold")
    for name in ("control", "variant", "effect", f"{1 - plan.alpha:.3g} interval"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("status", overflow="fold")
    has_several = len({row["variant"] for row in rows}) > 1
    previous = None
    for row in rows:
        if row["role"] != previous:
            table.add_row(Text(row["role"], style="bold"))
        previous = row["role"]
        unit = units[row["metric"]]
        name = f"  {row['metric']}" + (f", {row['variant']}" if has_several else "")
        table.add_row(
            name + ("" if row["method"] == plan.decides_by else f", {row['method']}"),
            *(
                figure(_or_none(row[name]), unit=unit)
                for name in ("mean_control", "mean_treatment")
            ),
            *_effect(row, unit),
            _status(row),
        )
    return table


def _effect(row: Mapping[str, Any], unit: str) -> tuple[str, str]:
    """An effect with its interval: relative where that is known, else in points or as it is."""
    if np.isnan(row["estimate"]):
        return "", ""
    names = ["relative_lift", "relative_ci_low", "relative_ci_high"]
    is_relative = not any(np.isnan(row[name]) for name in names)
    if not is_relative:
        ends = ["sequential_ci_low", "sequential_ci_high"]
        names = ["estimate", *(ends if np.isnan(row["ci_low"]) else ["ci_low", "ci_high"])]
    is_share = is_relative or unit == "share"
    effect, low, high = (
        f"{100 * row[name]:+.2f}" if is_share else f"{row[name]:+,.4g}" for name in names
    )
    interval = "" if np.isnan(row[names[1]]) else f"{low} to {high}"
    # an effect per uptake where hardly more took it up
    if row["ci_shape"] == "complement":
        interval = f"outside {interval}"
    elif row["ci_shape"] == "line":
        interval = "any"
    mark = ANY_TIME if interval and _is_any_time(row) else ""
    return effect + ("%" if is_relative else " pp" if is_share else ""), interval + mark


def figure(value: float | None, *, unit: str) -> str:
    """A value as people read it: shares (0-1) in percent, amounts with two decimals if small."""
    if value is None:
        return ""
    if unit == "share":
        return f"{value:.1%}"
    return f"{value:,.2f}" if abs(value) < 10_000 else f"{value:,.0f}"


def _is_any_time(row: Mapping[str, Any]) -> bool:
    return bool(np.isnan(row["ci_low"]) and not np.isnan(row["sequential_ci_low"]))


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else value


def _status(row: Mapping[str, Any]) -> Text:
    if row["status"] == "ok":
        text = Text()
        if row["guardrail_state"]:
            state = row["guardrail_state"]
            text.append(f"{state} ", style=STATE_STYLES[state])
        return text.append(row["reason"] or ("" if row["guardrail_state"] else "ok"))
    return Text(f"{row['status']}: {row['reason']}", style="yellow")


def as_json(inputs: Inputs, results: Results) -> str:
    """Every row over all units: {"experiments": [{experiment_id, decisions, estimates, splits}]}.

    Segments are left to the marts, which hide those of few and what would give them away.
    """
    tables = {
        "decisions": _by_experiment(map(asdict, results.decisions)),
        "estimates": _by_experiment(_of_all_units(results.estimates)),
        "splits": _by_experiment(_of_all_units(results.splits)),
    }
    content = [
        {
            "experiment_id": plan.experiment_id,
            **{
                name: [
                    {column: _plain(value) for column, value in row.items()}
                    for row in rows[plan.experiment_id]
                ]
                for name, rows in tables.items()
            },
        }
        for plan in inputs.experiments
    ]
    return json.dumps({"experiments": content}, indent=2, ensure_ascii=False, allow_nan=False)


def _of_all_units(columns: Columns) -> Iterator[dict[str, Any]]:
    return (row for row in _records(columns) if row["segment_name"] == "all")


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return value.isoformat()[:10] if hasattr(value, "isoformat") else value
