"""Reads moments and plans from the warehouse, computes, and writes back: `throughline lift`."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import Field, dataclass, fields
from datetime import date
from typing import Any

import numpy as np

from throughline import dbt_events
from throughline.findings import UserError
from throughline.findings import refuse as fault
from throughline.lift import refuse, table
from throughline.lift.decide import DecisionRow, decisions
from throughline.lift.moments import MomentsError, column, read
from throughline.lift.plan import Experiment, Metric, PlanError
from throughline.lift.stakes import Stake
from throughline.progress import Begin, ignored
from throughline.warehouse import Columns, Warehouse, as_column, compiled, connect
from throughline.workspace import Workspace

WRITTEN = ("fct_lift_estimates", "fct_lift_splits", "fct_lift_decisions")
"""What `write` fills, in that order; dbt makes them, empty."""
WHOLE = ("cluster_count_control", "cluster_count_treatment")
"""Counts that may be missing, and so are computed as doubles."""
EVERYWHERE = "all"
"""Scope of an annotation that concerns every model."""


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """All that estimates and decisions are made from.

    Attributes:
        moments: the table `fct_moments`.
        experiments: those that the moments name.
        metrics: cards of all metrics.
        masked: experiments whose time overlaps an annotation that excludes from causal reading.
        first_plan_hashes: plan_hash of each experiment at its first decision.
        stakes: what each variant could change in a year, by experiment and variant.
        last_verdicts: by experiment, its decisions at the latest look that was read before.
        units: unit of each metric's value, such as share or USD.
    """

    moments: Columns
    experiments: tuple[Experiment, ...]
    metrics: tuple[Metric, ...]
    masked: frozenset[str]
    first_plan_hashes: Mapping[str, str]
    stakes: Mapping[tuple[str, str], Stake]
    last_verdicts: Mapping[str, Sequence[DecisionRow]]
    units: Mapping[str, str]

    @property
    def looks_read(self) -> dict[str, date]:
        """The latest declared look of each experiment that was read on an earlier day."""
        looks = ((name, rows[0].decided_at_look) for name, rows in self.last_verdicts.items())
        return {name: look for name, look in looks if look is not None}


@dataclass(frozen=True, kw_only=True)
class Results:
    """What is written: rows as columns, and the same decisions as rows."""

    estimates: Columns
    splits: Columns
    decisions: tuple[DecisionRow, ...]

    @property
    def days(self) -> list[date]:
        return sorted({day.astype("datetime64[D]").item() for day in self.splits["as_of"]})


def gather(warehouse: Warehouse) -> Inputs | None:
    """Reads what the active target holds; None where no experiment has units.

    Raises:
        UserError: a plan cannot be read, or what it needs is not built.
    """
    moments = warehouse.columns(f"select * from {warehouse.relation('lift', 'fct_moments')}")
    if not len(moments["experiment_id"]):
        return None
    for name in (*WRITTEN, "int_experiment_stakes"):
        if not warehouse.has("lift", name):
            where = warehouse.relation("lift", name)
            raise fault("does not exist yet", where=where, fix="Build it: throughline build")
    named = set(moments["experiment_id"].tolist())
    cards = _rows(warehouse, "metrics", "dim_metrics", "metric", "direction", "known_after", "unit")
    metrics = tuple(
        Metric(metric=card["metric"], direction=card["direction"], known_after=card["known_after"])
        for card in cards
    )
    seed = [
        row
        for row in _rows(warehouse, "config", "cfg_experiments")
        if row["experiment_id"] in named
    ]
    models = {row["experiment_id"]: row["model_id"] for row in seed}
    try:
        plans = _plans(warehouse, seed)
    except PlanError as error:
        where = "governed: experiments" if warehouse.host else "seeds/experiments.csv"
        fix = "Correct the row and build again."
        raise fault(str(error), where=where, fix=fix) from None
    return Inputs(
        moments=moments,
        experiments=plans,
        metrics=metrics,
        masked=masked(plans, models=models, annotations=_annotations(warehouse)),
        first_plan_hashes=_first_plan_hashes(warehouse),
        stakes=_stakes(warehouse),
        last_verdicts=_last_verdicts(
            warehouse, plans, before=column(moments, "as_of").max().item()
        ),
        units={card["metric"]: card["unit"] for card in cards},
    )


def _rows(warehouse: Warehouse, layer: str, name: str, *columns: str) -> list[dict[str, Any]]:
    selected = ", ".join(columns) or "*"
    table_columns = warehouse.columns(f"select {selected} from {warehouse.relation(layer, name)}")
    lists = [values.tolist() for values in table_columns.values()]
    return [dict(zip(table_columns, values, strict=True)) for values in zip(*lists, strict=True)]


def _plans(warehouse: Warehouse, seed: Iterable[Mapping[str, Any]]) -> tuple[Experiment, ...]:
    delays = {
        row["model_id"]: (int(row["label_delay_days"] or 0), int(row["horizon_days"] or 0))
        for row in _rows(
            warehouse, "core", "dim_models", "model_id", "label_delay_days", "horizon_days"
        )
    }
    rails = _rows(warehouse, "config", "cfg_experiment_guardrails")
    plans = []
    for row in seed:
        delay, horizon = delays.get(row["model_id"], (0, 0))
        own = [rail for rail in rails if rail["experiment_id"] == row["experiment_id"]]
        plans.append(
            Experiment.from_row(row, guardrails=own, outcome_days=delay, label_days=horizon + delay)
        )
    return tuple(plans)


def _annotations(warehouse: Warehouse) -> list[tuple[str, date, date]]:
    annotations = warehouse.columns(
        "select scope, min(annotation_date) as first_day, max(annotation_date) as last_day "
        f"from {warehouse.relation('core', 'dim_annotations')} "
        "where excludes_from_causal group by annotation_id, scope"
    )
    scopes = annotations["scope"].tolist()
    days = [
        annotations[name].astype("datetime64[D]").tolist() for name in ("first_day", "last_day")
    ]
    return list(zip(scopes, *days, strict=True))


def masked(
    plans: Iterable[Experiment],
    *,
    models: Mapping[str, str],
    annotations: Collection[tuple[str, date, date]],
) -> frozenset[str]:
    """Experiments that an annotation touches while their units are counted.

    Args:
        plans: experiments.
        models: model of each experiment.
        annotations: scope, first and last day of each that excludes from causal reading. A scope
            is `all`, a model or a metric; of metrics, those count that the decision reads.
    """
    touched = set()
    for plan in plans:
        scopes = {EVERYWHERE, models[plan.experiment_id], *plan.watched}
        end = plan.complete_on(horizon_days=0)
        if any(
            scope in scopes and first < end and last >= plan.start_date
            for scope, first, last in annotations
        ):
            touched.add(plan.experiment_id)
    return frozenset(touched)


def _first_plan_hashes(warehouse: Warehouse) -> dict[str, str]:
    """Every later decision carries the first hash, so any one of an experiment tells it."""
    first_hashes = warehouse.columns(
        "select experiment_id, min(first_plan_hash) as first_plan_hash "
        f"from {warehouse.relation('lift', 'fct_lift_decisions')} group by experiment_id"
    )
    pairs = (first_hashes[name].tolist() for name in ("experiment_id", "first_plan_hash"))
    return dict(zip(*pairs, strict=True))


def _stakes(warehouse: Warehouse) -> dict[tuple[str, str], Stake]:
    names = [field.name for field in fields(Stake)]
    return {
        (row["experiment_id"], row["variant"]): Stake(
            **{name: np.nan if row[name] is None else float(row[name]) for name in names}
        )
        for row in _rows(warehouse, "lift", "int_experiment_stakes")
    }


def _last_verdicts(
    warehouse: Warehouse, plans: Iterable[Experiment], *, before: date
) -> dict[str, list[DecisionRow]]:
    """Decisions at the latest look that was read before a day, of plans that are as they were."""
    looking = {(plan.experiment_id, plan.plan_hash) for plan in plans if plan.has_looks}
    if not looking:
        return {}
    # a table of an earlier release lacks the column of looks until the next build
    rows = [
        DecisionRow(**{field.name: _told(row, field) for field in fields(DecisionRow)})
        for row in _rows(warehouse, "lift", "fct_lift_decisions")
        if row.get("decided_at_look") is not None
        and (row["experiment_id"], row["plan_hash"]) in looking
    ]
    verdicts: dict[str, list[DecisionRow]] = {}
    for row in sorted(rows, key=lambda row: row.as_of):
        if row.as_of < before:
            of_day = verdicts.get(row.experiment_id, [])
            is_same = bool(of_day) and of_day[0].as_of == row.as_of
            verdicts[row.experiment_id] = [*of_day, row] if is_same else [row]
    return verdicts


def _told(row: Mapping[str, Any], of: Field[Any]) -> Any:
    """A cell of a decision as its field has it, whatever the driver gives."""
    value = row[of.name]
    kinds = {"float": float, "int": int, "bool": bool}
    if of.type == "float" and value is None:
        return np.nan
    if str(of.type).startswith("date") and value is not None:
        return np.datetime64(value).astype("datetime64[D]").item()
    return kinds.get(str(of.type), lambda given: given)(value)


@contextlib.contextmanager
def fitting() -> Iterator[None]:
    """Raises UserError where moments do not fit what is declared."""
    try:
        yield
    except MomentsError as error:
        fix = "If a seed or a metric changed since the last build: throughline build"
        raise fault(str(error), where="fct_moments", fix=fix) from None


def compute(inputs: Inputs) -> Results:
    """Estimates, sample ratios and decisions; raises UserError where the moments do not fit."""
    with fitting():
        estimates = table.estimate(
            inputs.moments,
            experiments=inputs.experiments,
            metrics=inputs.metrics,
            masked=inputs.masked,
            looks_read=inputs.looks_read,
        )
        splits = refuse.sample_ratios(read(inputs.moments), experiments=inputs.experiments)
    made = decisions(
        estimates,
        experiments=inputs.experiments,
        metrics=inputs.metrics,
        first_plan_hashes=inputs.first_plan_hashes,
        stakes=inputs.stakes,
        last_verdicts=inputs.last_verdicts,
    )
    splits["as_of"] = splits["as_of"].astype("datetime64[us]")
    return Results(estimates=estimates, splits=splits, decisions=tuple(made))


def write(warehouse: Warehouse, results: Results, *, workspace: Workspace) -> None:
    """Replaces the rows of the days of `results`, all or none; raises UserError."""
    tables = {
        "fct_lift_estimates": results.estimates,
        "fct_lift_splits": results.splits,
        "fct_lift_decisions": _columns(results.decisions),
    }
    workspace.folder.mkdir(exist_ok=True)
    try:
        warehouse.replace_days(
            "lift",
            {name: tables[name] for name in WRITTEN},
            days=results.days,
            whole=WHOLE,
            folder=workspace.folder,
        )
    except UserError:
        raise
    except Exception as error:  # every driver has errors of its own
        what, remedy = next(iter(str(error).splitlines()), repr(error)), "Correct it"
        if dbt_events.DISK_IS_FULL in what:
            what, remedy = "the disk is full", "Make room"
        fix = f"The rows in force stay as they were. {remedy} and run throughline lift again."
        where = warehouse.relation("lift", "fct_lift_*")
        raise fault(f"cannot be written: {what}", where=where, fix=fix) from None


def _columns(rows: Sequence[DecisionRow]) -> Columns:
    columns = {
        field.name: as_column([getattr(row, field.name) for row in rows])
        for field in fields(DecisionRow)
    }
    days = ("as_of", "decided_at_look")
    return columns | {name: columns[name].astype("datetime64[us]") for name in days}


@contextlib.contextmanager
def _last_build(workspace: Workspace) -> Iterator[Warehouse]:
    """The warehouse with what was built; raises UserError where nothing was."""
    _check_file(workspace)
    with connect(workspace) as warehouse:
        if not warehouse.has("lift", "fct_moments"):
            raise _unbuilt(workspace)
        yield warehouse


def _check_file(workspace: Workspace) -> None:
    """Raises UserError where there is no warehouse: to connect to DuckDB would make one."""
    if workspace.kind == "duckdb" and not workspace.warehouse.exists():
        raise _unbuilt(workspace)


def _unbuilt(workspace: Workspace) -> UserError:
    option = f" --as-of '{workspace.replays}'" if workspace.replays else ""
    fix = f"Build it: throughline build{option}"
    return fault("nothing is built yet", where=workspace.name, fix=fix)


def refresh(workspace: Workspace, *, begin: Begin = ignored) -> tuple[Inputs, Results] | None:
    """Computes lift from the moments in force and writes it; None where no experiment has units.

    Raises:
        UserError: it cannot be computed or written; the rows in force stay as they were.
    """
    begin("connecting")
    with _last_build(workspace) as warehouse:
        begin("reading moments")
        inputs = gather(warehouse)
        if inputs is None:
            return None
        begin("estimating")
        results = compute(inputs)
        begin("writing")
        write(warehouse, results, workspace=workspace)
        return inputs, results


def inspect(workspace: Workspace) -> Inputs | None:
    """What lift is computed from; None where no experiment has units, UserError as `refresh`."""
    with _last_build(workspace) as warehouse:
        return gather(warehouse)


def buckets(workspace: Workspace) -> Columns:
    """Moments of random groups of units, as the analysis aa_moments makes them; UserError."""
    _check_file(workspace)
    query = compiled(workspace, "aa_moments")
    with _last_build(workspace) as warehouse:
        return warehouse.columns(query)
