"""Which rows of moments are compared, by which estimator, and what the kernel says of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from throughline.lift import kernel
from throughline.lift.kernel import Contrast, Flags
from throughline.lift.moments import (
    COUNTS,
    KEY,
    OPTIONAL_COUNTS,
    PRODUCTS,
    SAME,
    SUMS,
    TOTAL,
    Arm,
    Array,
    C,
    Codes,
    D,
    MomentsError,
    Table,
    W,
    X,
    Y,
    arm,
    codes,
    has_lost_precision,
)
from throughline.lift.plan import Experiment, Metric

METHODS = ("unadjusted", "cuped", "lin", "did", "wald")
CHUNK = 8_192


@dataclass(frozen=True)
class Rows:
    """The estimates to make, each array of shape (rows,).

    `control` and `treatment` are places in the moments, -1 where there is no control; `run` numbers
    experiment and as_of; the others number experiments, metrics, methods. Variants that are not
    planned are strays: estimated, but no part of what is concluded about the others.
    """

    control: Codes
    treatment: Codes
    run: Codes
    plan: Codes
    metric: Codes
    method: Codes
    is_planned: Flags
    plans: tuple[Experiment, ...]
    metrics: tuple[Metric, ...]

    def of_plan(self, read: Callable[[Experiment], Any], dtype: type | str = float) -> NDArray[Any]:
        return np.array([read(row) for row in self.plans], dtype=dtype)[self.plan]

    def of_metric(self, read: Callable[[Metric], Any], dtype: type | str = float) -> NDArray[Any]:
        return np.array([read(row) for row in self.metrics], dtype=dtype)[self.metric]

    def of_both(
        self, read: Callable[[Experiment, Metric], Any], dtype: type | str = float
    ) -> NDArray[Any]:
        pair, place = np.unique(self.plan * len(self.metrics) + self.metric, return_inverse=True)
        values = [
            read(self.plans[one // len(self.metrics)], self.metrics[one % len(self.metrics)])
            for one in pair.tolist()
        ]
        return np.array(values, dtype=dtype)[place]


@dataclass(frozen=True)
class Diagnosis:
    """What speaks for or against an estimate, each of shape (rows,).

    Attributes:
        mean_control, mean_treatment: the metric without adjustment.
        rows_control, rows_treatment: row units.
        plain_variance: of the unadjusted difference.
        balance_p, pre_trend_p: of equal means before exposure, and of equal change within it.
        imbalance: normalised difference of the means before exposure.
        lost: 1 where the squares of y (or of its pair) have lost digits.
    """

    mean_control: Array
    mean_treatment: Array
    rows_control: Array
    rows_treatment: Array
    plain_variance: Array
    balance_p: Array
    pre_trend_p: Array
    imbalance: Array
    lost: Array


def with_absent(table: Table, *, experiments: Iterable[Experiment]) -> Table:
    """The moments, and empty ones over all units of each planned variant that no unit is in.

    So its rows say why there is no estimate, and what that means for the experiment.

    Args:
        table: what `moments.read` gave.
    """
    planned = {plan.experiment_id: plan.treatments for plan in experiments}
    total = np.flatnonzero(table["segment_name"] == TOTAL)
    run = codes(table["experiment_id"][total], table["as_of"][total])
    order = np.argsort(run, kind="stable")
    copied: list[int] = []
    variants: list[str] = []
    for rows in np.split(total[order], np.flatnonzero(np.diff(run[order])) + 1):
        present = set(table["variant"][rows].tolist())
        wanted = planned.get(table["experiment_id"][rows[0]], ()) if rows.size else ()
        absent = [variant for variant in wanted if variant not in present]
        if absent:
            cell = codes(*(table[name][rows] for name in KEY if name != "variant"))
            one_each = rows[np.unique(cell, return_index=True)[1]].tolist()
            copied += one_each * len(absent)
            variants += np.repeat(absent, len(one_each)).tolist()
    if not copied:
        return table
    empty = {name: values[copied] for name, values in table.items()}
    empty["variant"] = np.array(variants, dtype=object)
    sums = (*COUNTS, *OPTIONAL_COUNTS, *SUMS, *PRODUCTS)
    empty |= {name: np.zeros(len(copied)) for name in sums}
    return {name: np.concatenate([values, empty[name]]) for name, values in table.items()}


def compare(table: Table, *, experiments: Iterable[Experiment], metrics: Iterable[Metric]) -> Rows:
    """Every variant against the control of its experiment, by every estimator that applies.

    Args:
        table: what `moments.read` gave.
        experiments, metrics: all that the moments name.

    Returns:
        Estimates to make, ordered by the key of the moments, then by `METHODS`.

    Raises:
        MomentsError: a name is not declared, a plan is decided by a metric that should only be
            near zero, or two arms differ in window, definition or cap.
    """
    plans = sorted(experiments, key=lambda plan: plan.experiment_id)
    cards = sorted(metrics, key=lambda card: card.metric)
    known = {card.metric for card in cards}
    undirected = {card.metric for card in cards if card.direction == "zero"}
    for plan in plans:
        if neither := sorted(set(plan.watched) & undirected):
            what = f"{plan.experiment_id} is decided by metrics for which neither way is good"
            raise MomentsError(f"{what}: {', '.join(neither)}")
        if missing := sorted(set(plan.watched) - known):
            what = f"{plan.experiment_id} watches metrics that are not declared"
            raise MomentsError(f"{what}: {', '.join(missing)}")
    plan_of = _places(table, "experiment_id", [plan.experiment_id for plan in plans])
    metric_of = _places(table, "metric", [card.metric for card in cards])

    controls = np.array([plan.control_variant for plan in plans], dtype=object)
    is_control = np.asarray(table["variant"] == controls[plan_of], dtype=bool)
    group = codes(*(table[name] for name in KEY if name != "variant"))
    control_of = np.full(group.max(initial=0) + 1, -1)
    control_of[group[is_control]] = np.flatnonzero(is_control)
    order = np.argsort(codes(*(table[name] for name in KEY)))
    treatment = order[~is_control[order]]
    _check_same(table, treatment, control_of[group[treatment]])

    comparison, method = np.nonzero(_applicable(table, plans, plan_of)[treatment])
    treatment = treatment[comparison]
    return Rows(
        control=control_of[group[treatment]],
        treatment=treatment,
        run=codes(table["experiment_id"], table["as_of"])[treatment],
        plan=plan_of[treatment],
        metric=metric_of[treatment],
        method=method,
        is_planned=_is_planned(table, plans, plan_of)[treatment],
        plans=tuple(plans),
        metrics=tuple(cards),
    )


def _is_planned(table: Table, plans: Sequence[Experiment], plan_of: Codes) -> Flags:
    arm, place = np.unique(codes(plan_of, table["variant"]), return_inverse=True)
    first = np.zeros(len(arm), dtype=np.int64)
    first[place] = np.arange(len(place))
    is_planned = [table["variant"][row] in plans[plan_of[row]].treatments for row in first]
    return np.array(is_planned, dtype=bool)[place]


def _places(table: Table, name: str, declared: Sequence[str]) -> Codes:
    place = {value: index for index, value in enumerate(declared)}
    values = table[name].tolist()
    if unknown := sorted(set(values) - set(place)):
        raise MomentsError(f"{name} of moments is not declared: {', '.join(unknown)}")
    return np.array([place[value] for value in values], dtype=np.int64)


def _applicable(table: Table, plans: Sequence[Experiment], plan_of: Codes) -> Flags:
    """Whether each method applies to each row of moments: shape (rows, methods)."""
    is_uptake = table["pair_role"] == "uptake"
    is_did = np.array([plan.method == "did" for plan in plans], dtype=bool)[plan_of]
    has_history = np.array([plan.covariate_days > 0 for plan in plans], dtype=bool)[plan_of]
    gives = np.bincount(plan_of, weights=table["s_cc"] > 0, minlength=len(plans)) > 0
    may_adjust = ~is_uptake & ~is_did
    applies = {
        "unadjusted": ~is_uptake,
        "cuped": may_adjust & has_history,
        "lin": may_adjust & (has_history | gives[plan_of]),
        "did": ~is_uptake & is_did,
        "wald": is_uptake,
    }
    return np.stack([applies[name] for name in METHODS], axis=1).astype(bool)


def _check_same(table: Table, treatment: Codes, control: Codes) -> None:
    has_control = control >= 0
    for name in SAME:
        values = codes(table[name])
        differs = np.flatnonzero(has_control & (values[treatment] != values[control]))
        if differs.size:
            row = treatment[differs[0]]
            where = " / ".join(str(table[column][row]) for column in KEY)
            raise MomentsError(f"{name} differs between {where} and its control")


def evaluate(table: Table, rows: Rows) -> tuple[Contrast, Diagnosis]:
    """Contrasts and diagnoses, method by method, in chunks that fit a cache."""
    size = len(rows.treatment)
    contrast = {field.name: np.full(size, np.nan) for field in fields(Contrast)}
    diagnosis = {field.name: np.full(size, np.nan) for field in fields(Diagnosis)}
    for number, method in enumerate(METHODS):
        places = np.flatnonzero(rows.method == number)
        for start in range(0, len(places), CHUNK):
            chunk = places[start : start + CHUNK]
            control, treatment = arm(table, rows.control[chunk]), arm(table, rows.treatment[chunk])
            is_ratio = table["pair_role"][rows.treatment[chunk]] == "denominator"
            made = _contrast(method, control, treatment, is_ratio=is_ratio)
            for field in fields(Contrast):
                contrast[field.name][chunk] = getattr(made, field.name)
            seen = _diagnose(method, control, treatment, is_ratio=is_ratio)
            for field in fields(Diagnosis):
                diagnosis[field.name][chunk] = getattr(seen, field.name)
    return Contrast(**contrast), Diagnosis(**diagnosis)


def _contrast(method: str, control: Arm, treatment: Arm, *, is_ratio: Flags) -> Contrast:
    if method == "wald":
        return kernel.instrument(control, treatment)
    if method == "lin":
        return kernel.lin(control, treatment, is_ratio=is_ratio, covariates=(X, W, C))
    estimators = {
        "unadjusted": kernel.unadjusted,
        "cuped": kernel.cuped,
        "did": kernel.difference_in_differences,
    }
    return estimators[method](control, treatment, is_ratio=is_ratio)


def _diagnose(method: str, control: Arm, treatment: Arm, *, is_ratio: Flags) -> Diagnosis:
    plain = kernel.unadjusted(control, treatment, is_ratio=is_ratio)
    unknown = np.full(plain.delta.shape, np.nan)
    lost = has_lost_precision(control, treatment, variable=Y)
    lost |= has_lost_precision(control, treatment, variable=D) & (is_ratio | (method == "wald"))
    return Diagnosis(
        mean_control=plain.base,
        mean_treatment=plain.base + plain.delta,
        rows_control=control.row_count,
        rows_treatment=treatment.row_count,
        plain_variance=plain.var_delta,
        balance_p=kernel.balance_p(control, treatment),
        pre_trend_p=kernel.pre_trend_p(control, treatment) if method == "did" else unknown,
        imbalance=kernel.normalised_difference(control, treatment),
        lost=lost.astype(float),
    )
