"""Moments and declared experiments in, estimates out: one pure function over a whole table."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from throughline.lift import kernel, refuse
from throughline.lift.comparisons import METHODS, Diagnosis, Rows, compare, evaluate, with_absent
from throughline.lift.decide import guardrail_states
from throughline.lift.kernel import Contrast, Flags
from throughline.lift.moments import KEY, TOTAL, Array, Table, codes, read
from throughline.lift.multiplicity import benjamini_hochberg, holm, holm_level
from throughline.lift.plan import Experiment, Metric
from throughline.lift.sequential import always_valid, always_valid_p, lan_demets

FIXED_HORIZON = (
    "ci_low",
    "ci_high",
    "ci_shape",
    "p_value",
    "p_value_adjusted",
    "relative_ci_low",
    "relative_ci_high",
    "ni_bound",
    "p_non_inferiority",
    "chance_to_win",
    "expected_loss",
    "heterogeneity_p_value",
)
"""Columns that are right at one look alone: NULL before it, and after an extension."""

COLUMNS = (
    "experiment_id",
    "variant",
    "metric",
    "segment_name",
    "segment_value",
    "method",
    "totals",
    "as_of",
    "control_variant",
    "role",
    "direction",
    "unit_count_control",
    "unit_count_treatment",
    "cluster_count_control",
    "cluster_count_treatment",
    "excluded_immature_count",
    "excluded_multi_count",
    "excluded_late_count",
    "mean_control",
    "mean_treatment",
    "estimate",
    "std_error",
    "degrees_of_freedom",
    "ci_low",
    "ci_high",
    "ci_shape",
    "p_value",
    "p_value_adjusted",
    "relative_lift",
    "relative_ci_low",
    "relative_ci_high",
    "relative_reason",
    "variance_reduction",
    "cap_value",
    "sequential_ci_low",
    "sequential_ci_high",
    "sequential_ni_bound",
    "margin",
    "ni_bound",
    "p_non_inferiority",
    "guardrail_state",
    "chance_to_win",
    "expected_loss",
    "minimum_detectable_effect",
    "first_stage_f",
    "pre_trend_p_value",
    "heterogeneity_p_value",
    "decision_low",
    "decision_high",
    "gain_low",
    "gain_high",
    "status",
    "reason",
    "plan_hash",
    "definition_hash",
)
"""Columns of the estimates; the first eight are their key."""

WORKINGS = (
    "sequential_critical",
    "decides_sequentially",
    "deciding_p",
    "decision_level",
    "decision_critical",
    "ni_critical",
    "sequential_ni_critical",
    "harm_critical",
    "harm_high",
)
"""What estimates are explained by: critical values in standard errors, the p that Holm's step goes
by and the level it leads to, and the upper end below which a guardrail is harmed."""

Estimates = dict[str, NDArray[Any]]


def estimate(
    moments: Table,
    *,
    experiments: Iterable[Experiment],
    metrics: Iterable[Metric],
    masked: Collection[str] = (),
    looks_read: Mapping[str, date] | None = None,
) -> Estimates:
    """Every estimate that the moments allow, or the reason why there is none.

    Args and errors as of `workings`.

    Returns:
        `COLUMNS`, all of one length; DuckDB and pandas read them as rows. Numbers that do not apply
        are NaN, texts None. The same moments, in any order, give the same bytes.
    """
    computed = workings(
        moments, experiments=experiments, metrics=metrics, masked=masked, looks_read=looks_read
    )
    return {name: computed[name] for name in COLUMNS}


def workings(
    moments: Table,
    *,
    experiments: Iterable[Experiment],
    metrics: Iterable[Metric],
    masked: Collection[str] = (),
    looks_read: Mapping[str, date] | None = None,
) -> Estimates:
    """The estimates, and what their intervals are made with.

    A planned variant that no unit is in has a row per metric all the same.

    Args:
        moments: one row per `moments.KEY`, with the columns `moments.COLUMNS` and, optionally,
            `n_unclustered`: units in no cluster; `n_clusters_shared`: clusters of the row with
            units of another variant.
        experiments: every experiment that the moments name.
        metrics: every metric that the moments name.
        masked: experiments whose time overlaps an annotation that excludes from causal reading.
        looks_read: by experiment, the latest declared look that was read on an earlier day; until
            the next is due its sequential columns are NULL.

    Returns:
        `COLUMNS`, and `WORKINGS`.

    Raises:
        MomentsError: the moments are not readable, name what is not declared, or the arms of a
            comparison differ in window, definition or cap.
    """
    plans = tuple(experiments)
    table = with_absent(read(moments), experiments=plans)
    rows = compare(table, experiments=plans, metrics=metrics)
    contrast, diagnosis = evaluate(table, rows)
    out = _described(table, rows)
    out |= {"mean_control": diagnosis.mean_control, "mean_treatment": diagnosis.mean_treatment}
    out["status"], out["reason"] = refuse.status(table, rows, contrast, diagnosis, masked=masked)
    is_shown = np.isin(out["status"], ("ok", "not_identified"))
    shown = {
        field.name: np.where(is_shown, getattr(contrast, field.name), np.nan)
        for field in fields(Contrast)
    }
    contrast = Contrast(**shown)
    timing = _time(table, rows, diagnosis, looks_read=looks_read or {})
    out |= _effects(rows, contrast, diagnosis, timing)
    out |= _guardrails(rows, contrast, timing, is_evidence=out["status"] == "ok")
    out |= _multiplicity(table, rows, contrast, out, timing)
    spans = spans_values(table)
    spans = spans[rows.treatment] | ((rows.control >= 0) & spans[rows.control])
    out["heterogeneity_p_value"] = _of_segments(out, heterogeneity(out, spans=spans))
    for name in FIXED_HORIZON:
        out[name] = np.where(timing.shows_fixed, out[name], _null(out[name]))
    waiting = (out["status"] == "ok") & ~timing.shows_fixed
    waits_for = np.where(timing.is_complete, "after_extension", "before_planned_end")
    out["reason"] = np.where(waiting, waits_for, out["reason"])
    return out


def _null(values: NDArray[Any]) -> Any:
    return np.array(None) if values.dtype == object else np.nan


def _described(table: Table, rows: Rows) -> Estimates:
    """Key, roles, counts and hashes: what needs no estimator."""

    def of_treatment(name: str) -> NDArray[Any]:
        return np.asarray(table[name][rows.treatment])

    def of_control(name: str) -> Array:
        return np.where(rows.control >= 0, table[name][rows.control], 0.0)

    clustered = np.bincount(
        rows.run,
        weights=(of_treatment("n_rows") != of_treatment("n_units"))
        | (of_control("n_rows") != of_control("n_units")),
    )
    is_clustered = clustered[rows.run] > 0
    out = {
        name: of_treatment(name)
        for name in (*KEY, "cap_value", "definition_hash")
        if name != "pair_role"
    }
    # Arrays of days are read by neither DuckDB nor pandas.
    out["as_of"] = out["as_of"].astype("datetime64[us]")
    out["method"] = np.array(METHODS, dtype=object)[rows.method]
    out["control_variant"] = rows.of_plan(lambda plan: plan.control_variant, object)
    out["role"] = rows.of_both(lambda plan, card: plan.role(card.metric), object)
    out["direction"] = rows.of_metric(lambda card: card.direction, object)
    out["plan_hash"] = rows.of_plan(lambda plan: plan.plan_hash, object)
    out["margin"] = rows.of_both(_margin)
    for side, read_count in (("control", of_control), ("treatment", of_treatment)):
        out[f"unit_count_{side}"] = read_count("n_units").astype(np.int64)
        out[f"cluster_count_{side}"] = np.where(is_clustered, read_count("n_rows"), np.nan)
    for name in ("immature", "multi", "late"):
        counts = of_control(f"n_{name}") + of_treatment(f"n_{name}")
        out[f"excluded_{name}_count"] = counts.astype(np.int64)
    return out


@dataclass(frozen=True)
class _Timing:
    """What may be read when, each of shape (rows,).

    Attributes:
        as_of, horizon_days: the day of the moments; days that the metric needs after the window.
        row_count: row units over both arms.
        is_complete: every planned unit is mature for this metric.
        shows_fixed: the one look of a fixed horizon is due, and none came before.
        decides_sequentially: the decision reads sequential intervals.
        reads_look: a declared look is due that was not read on an earlier day.
    """

    as_of: NDArray[Any]
    horizon_days: NDArray[Any]
    row_count: Array
    is_complete: Flags
    shows_fixed: Flags
    decides_sequentially: Flags
    reads_look: Flags


def _time(
    table: Table, rows: Rows, diagnosis: Diagnosis, *, looks_read: Mapping[str, date]
) -> _Timing:
    cards = {card.metric: card for card in rows.metrics}
    as_of = table["as_of"][rows.treatment]
    own = rows.of_both(
        lambda plan, card: plan.complete_on(horizon_days=plan.horizon_days(card)), "datetime64[D]"
    )
    every = rows.of_plan(lambda plan: plan.decidable_on(cards), "datetime64[D]")
    is_extended = rows.of_plan(lambda plan: plan.is_extended, bool)
    looks = rows.of_plan(lambda plan: plan.method in ("sequential", "group_sequential"), bool)
    return _Timing(
        as_of=as_of,
        horizon_days=rows.of_both(lambda plan, card: plan.horizon_days(card), int),
        row_count=diagnosis.rows_control + diagnosis.rows_treatment,
        is_complete=as_of >= own,
        shows_fixed=(as_of >= own) & ~is_extended,
        decides_sequentially=looks | is_extended | (as_of < every),
        reads_look=_reads_look(rows, as_of, cards=cards, looks_read=looks_read),
    )


def _reads_look(
    rows: Rows,
    as_of: NDArray[Any],
    *,
    cards: Mapping[str, Metric],
    looks_read: Mapping[str, date],
) -> Flags:
    _, first, run = np.unique(rows.run, return_index=True, return_inverse=True)
    reads = np.zeros(len(first), dtype=bool)
    for number, row in enumerate(first.tolist()):
        plan = rows.plans[rows.plan[row]]
        due = plan.look_due(as_of=as_of[row].item(), cards=cards)
        read_before = looks_read.get(plan.experiment_id)
        reads[number] = due is not None and (read_before is None or read_before < due)
    return reads[run]


def _sequential_critical(rows: Rows, timing: _Timing, *, level: Array) -> Array:
    """Standard errors of a sequential interval of two-sided `level`; NaN between declared looks."""
    critical = always_valid(
        rows=timing.row_count,
        planned=rows.of_plan(lambda plan: plan.expected_units),
        alpha=rows.of_plan(lambda plan: plan.alpha),
        level=level,
    )
    has_looks = rows.of_plan(lambda plan: plan.has_looks, bool) & ~np.isnan(level)
    critical[has_looks] = np.nan
    looks = np.flatnonzero(has_looks & timing.reads_look)
    look = codes(rows.plan[looks], timing.as_of[looks], timing.horizon_days[looks], level[looks])
    _, first, place = np.unique(look, return_index=True, return_inverse=True)
    bounds = []
    for row in looks[first]:
        information = rows.plans[rows.plan[row]].information(
            as_of=timing.as_of[row].item(), horizon_days=int(timing.horizon_days[row])
        )
        spent = lan_demets(information=information, alpha=float(level[row]))
        bounds.append(spent[-1] if spent else np.nan)
    critical[looks] = np.array(bounds)[place]
    return critical


def _sign(rows: Rows) -> Array:
    return rows.of_metric(lambda card: card.sign)


def _effects(rows: Rows, contrast: Contrast, diagnosis: Diagnosis, timing: _Timing) -> Estimates:
    """Estimates with their fixed and sequential intervals, relative lift and power."""
    alpha = rows.of_plan(lambda plan: plan.alpha)
    is_wald = rows.method == METHODS.index("wald")
    per_uptake, per_uptake_error, first_stage = kernel.wald(contrast)
    critical = kernel.quantile(contrast.degrees_of_freedom, tail=alpha / 2)
    sequential = _sequential_critical(rows, timing, level=alpha)
    fixed_set = kernel.fieller(contrast, critical=critical)
    sequential_set = kernel.fieller(contrast, critical=sequential)
    lift, lift_low, lift_high = kernel.relative(contrast, critical=critical)
    # Where nobody takes it up, the effect per uptake is no number.
    per_uptake[~np.isfinite(per_uptake)] = np.nan
    estimate = np.where(is_wald, per_uptake, contrast.delta)
    error = np.where(is_wald, per_uptake_error, contrast.std_error)
    is_bounded = sequential_set.shape == "interval"

    def either(of_ratio: Array, otherwise: Array) -> Array:
        return np.where(is_wald, of_ratio, otherwise)

    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = contrast.delta / contrast.std_error
        saved = 1 - contrast.var_delta / diagnosis.plain_variance
        share = np.where(np.isnan(lift), np.nan, error / np.abs(contrast.base))
    is_adjusted = np.isin(rows.method, (METHODS.index("cuped"), METHODS.index("lin")))
    is_relative = rows.of_plan(lambda plan: plan.minimum_effect_kind == "relative", bool)
    factor = kernel.power_factor(alpha=alpha, power=rows.of_plan(lambda plan: plan.power))
    turned = _sign(rows) * estimate
    wins = rows.of_metric(lambda card: card.direction != "zero", bool)
    known = ~np.isnan(contrast.delta)
    reason = np.full(known.shape, None, dtype=object)
    reason[known & np.isnan(lift)] = "control_level_near_zero"
    reason[known & is_wald] = "no_control_level"
    return {
        "estimate": estimate,
        "std_error": error,
        "degrees_of_freedom": contrast.degrees_of_freedom,
        "ci_low": either(fixed_set.low, contrast.delta - critical * contrast.std_error),
        "ci_high": either(fixed_set.high, contrast.delta + critical * contrast.std_error),
        "ci_shape": np.where(is_wald, fixed_set.shape, _null(fixed_set.shape)),
        "p_value": kernel.two_sided_p(statistic, contrast.degrees_of_freedom),
        "relative_lift": np.where(is_wald, np.nan, lift),
        "relative_ci_low": np.where(is_wald, np.nan, lift_low),
        "relative_ci_high": np.where(is_wald, np.nan, lift_high),
        "relative_reason": reason,
        "variance_reduction": np.where(is_adjusted & known, saved, np.nan),
        "sequential_critical": sequential,
        "sequential_ci_low": either(
            np.where(is_bounded, sequential_set.low, np.nan),
            contrast.delta - sequential * contrast.std_error,
        ),
        "sequential_ci_high": either(
            np.where(is_bounded, sequential_set.high, np.nan),
            contrast.delta + sequential * contrast.std_error,
        ),
        "chance_to_win": np.where(wins, kernel.chance_to_win(turned, error), np.nan),
        "expected_loss": np.where(wins, kernel.expected_loss(turned, error), np.nan),
        "minimum_detectable_effect": factor * np.where(is_relative, share, error),
        "first_stage_f": np.where(is_wald, first_stage, np.nan),
        "pre_trend_p_value": np.where(
            (rows.method == METHODS.index("did")) & known, diagnosis.pre_trend_p, np.nan
        ),
    }


def _bounds(
    rows: Rows, contrast: Contrast, *, critical: Array, is_relative: Flags
) -> tuple[Array, Array]:
    """Interval of the effect with up as good: relative, per uptake, or in units of the metric."""
    turned = kernel.oriented(contrast, sign=_sign(rows))
    is_wald = rows.method == METHODS.index("wald")
    ratio = kernel.fieller(turned, critical=critical)
    is_ratio = np.where(is_wald, ~is_relative, is_relative)
    usable = ratio.shape == "interval"
    low = np.where(usable, ratio.low, np.nan)
    high = np.where(usable, ratio.high, np.nan)
    # Of a level too near zero to be divided by, harm is known all the same: at least the least
    # harm over the largest level.
    least = turned.delta + critical * turned.std_error
    is_harm = ~usable & ~is_wald & (least < 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        largest = turned.base + critical * np.sqrt(turned.var_base)
        high = np.where(is_harm, least / largest, high)
    # An effect per uptake has no control level that it could be a share of.
    reach = np.where(is_wald & is_relative, np.nan, critical * turned.std_error)
    return (
        np.where(is_ratio, low, turned.delta - reach),
        np.where(is_ratio, high, turned.delta + reach),
    )


def _guardrails(
    rows: Rows, contrast: Contrast, timing: _Timing, *, is_evidence: Flags
) -> Estimates:
    """Non-inferiority against the margin one-sided at alpha; harm at alpha over the guardrails.

    Unknown is what is no evidence: refused, not ready, or no effect of the treatment.
    """
    margin = rows.of_both(_margin)
    is_guardrail = ~np.isnan(margin)
    alpha = np.where(is_guardrail, rows.of_plan(lambda plan: plan.alpha), np.nan)
    count = rows.of_plan(lambda plan: max(len(plan.guardrails), 1))
    is_relative = rows.of_both(_is_relative_margin, bool)
    is_wald = rows.method == METHODS.index("wald")

    def bounds(critical: Array) -> tuple[Array, Array]:
        return _bounds(rows, contrast, critical=critical, is_relative=is_relative)

    def fixed(level: Array) -> Array:
        return kernel.quantile(contrast.degrees_of_freedom, tail=level / 2)

    def chosen(level: Array) -> Array:
        sequential = _sequential_critical(rows, timing, level=level)
        return np.where(timing.decides_sequentially, sequential, fixed(level))

    turned = kernel.oriented(contrast, sign=_sign(rows))
    # Per uptake, an absolute margin is one per unit of the base.
    is_of_base = np.where(is_wald, ~is_relative, is_relative)
    distance, error = kernel.above_margin(turned, margin=margin, is_relative=is_of_base)
    p = kernel.non_inferiority_p(turned, margin=margin, is_relative=is_of_base)
    critical, harm_critical = chosen(2 * alpha), chosen(alpha / count)
    is_bounded = ~is_wald | ~np.isnan(bounds(critical)[0])
    harm_high = bounds(harm_critical)[1]
    state = guardrail_states(
        passes=is_evidence & is_bounded & (distance > critical * error),
        harms=is_evidence & (harm_high < 0),
    )
    ni_critical = fixed(2 * alpha)
    sequential_critical = _sequential_critical(rows, timing, level=2 * alpha)
    return {
        "ni_critical": ni_critical,
        "ni_bound": bounds(ni_critical)[0],
        "sequential_ni_critical": sequential_critical,
        "sequential_ni_bound": bounds(sequential_critical)[0],
        "harm_critical": harm_critical,
        "harm_high": harm_high,
        "p_non_inferiority": np.where(is_wald & is_relative, np.nan, p),
        "guardrail_state": np.where(is_guardrail, state, _null(state)),
    }


def _margin(plan: Experiment, card: Metric) -> float:
    rail = plan.guardrail(card.metric)
    return rail.margin if rail else np.nan


def _is_relative_margin(plan: Experiment, card: Metric) -> bool:
    rail = plan.guardrail(card.metric)
    return rail is not None and rail.kind == "relative"


def _multiplicity(
    table: Table, rows: Rows, contrast: Contrast, out: Estimates, timing: _Timing
) -> Estimates:
    """Adjusted p-values, and the interval that the primary metric is decided by.

    Families: the primary over its variants (Holm), secondary metrics over the experiment and
    segments over their metric (Benjamini-Hochberg); a guardrail's harm stands at alpha over the
    number of guardrails. Strays are in none.
    """
    is_total = table["segment_name"][rows.treatment] == TOTAL
    kind = np.select(
        [~is_total, out["role"] == "primary", out["role"] == "guardrail"], [3, 0, 1], default=2
    )
    metric = np.where((kind == 0) | (kind == 3), rows.metric, -1)
    family = codes(rows.run, kind, metric, rows.method, out["totals"])
    alpha = rows.of_plan(lambda plan: plan.alpha)
    count = rows.of_plan(lambda plan: max(len(plan.guardrails), 1))
    p = np.where(timing.shows_fixed & rows.is_planned, out["p_value"], np.nan)
    adjusted = np.select(
        [kind == 0, kind == 1],
        [holm(p, family), np.minimum(p * count, 1.0)],
        default=benjamini_hochberg(p, family),
    )

    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = contrast.delta / contrast.std_error
    anytime = always_valid_p(
        statistic=statistic,
        rows=timing.row_count,
        planned=rows.of_plan(lambda plan: plan.expected_units),
        alpha=alpha,
    )
    deciding = np.where(timing.decides_sequentially, anytime, out["p_value"])
    deciding = np.where((kind == 0) & rows.is_planned, deciding, np.nan)
    level = holm_level(deciding, family, alpha=alpha)
    # Bounds at looks have no p-value to step down by: variants share alpha evenly.
    variants = np.bincount(family, weights=~np.isnan(deciding))[family]
    evenly = np.where(np.isnan(level), np.nan, alpha / np.maximum(variants, 1))
    level = np.where(rows.of_plan(lambda plan: plan.has_looks, bool), evenly, level)
    critical = np.where(
        timing.decides_sequentially,
        _sequential_critical(rows, timing, level=level),
        kernel.quantile(contrast.degrees_of_freedom, tail=level / 2),
    )
    low, high = _bounds(
        rows,
        contrast,
        critical=critical,
        is_relative=rows.of_plan(lambda plan: plan.minimum_effect_kind == "relative", bool),
    )
    gain_low, gain_high = _bounds(
        rows, contrast, critical=critical, is_relative=np.zeros(len(critical), dtype=bool)
    )
    return {
        "p_value_adjusted": adjusted,
        "decides_sequentially": timing.decides_sequentially,
        "deciding_p": deciding,
        "decision_level": level,
        "decision_critical": critical,
        "decision_low": low,
        "decision_high": high,
        "gain_low": gain_low,
        "gain_high": gain_high,
    }


def _of_segments(estimates: Estimates, of_segment: Estimates) -> Array:
    """The p-value of each row's segment, NaN over all units."""
    key = ("experiment_id", "variant", "metric", "segment_name", "method", "totals", "as_of")
    group = codes(*(np.concatenate([of_segment[name], estimates[name]]) for name in key))
    p = np.full(group.max(initial=0) + 1, np.nan)
    p[group[: len(of_segment["q"])]] = of_segment["p_value"]
    return np.asarray(p[group[len(of_segment["q"]) :]])


def spans_values(table: Table) -> Flags:
    """Whether clusters of each row's arm lie in several values of its segment: shape (rows,).

    Values in which the other arm has no units count too.
    """
    arm = codes(*(table[name] for name in KEY if name not in ("segment_name", "segment_value")))
    segment = codes(arm, table["segment_name"])
    is_total = table["segment_name"] == TOTAL
    whole = np.bincount(arm, weights=np.where(is_total, table["n_rows"], 0.0))
    return np.asarray(np.bincount(segment, weights=table["n_rows"])[segment] > whole[arm])


def heterogeneity(estimates: Estimates, *, spans: Flags) -> Estimates:
    """Whether an effect differs between the values of a segment: Cochran's Q.

    Args:
        estimates: what `estimate` gave.
        spans: whether clusters of either arm of an estimate lie in several values.

    Returns:
        Columns experiment_id, variant, metric, segment_name, method, totals, as_of, value_count,
        q, degrees_of_freedom, p_value and reason, one row per the first seven. Refused, with NaN,
        are `clusters_span_segments`, where values share clusters and so are not independent, and
        `too_few_values`, where fewer than two have an estimate.
    """
    key = ("experiment_id", "variant", "metric", "method", "totals", "as_of")
    parts = np.flatnonzero(estimates["segment_name"] != TOTAL)
    group = codes(*(estimates[name][parts] for name in (*key, "segment_name")))
    _, first, group = np.unique(group, return_index=True, return_inverse=True)
    out: Estimates = {name: estimates[name][parts][first] for name in (*key, "segment_name")}
    is_spanned = np.bincount(group, weights=spans[parts], minlength=len(first)) > 0
    known = parts[~np.isnan(estimates["estimate"][parts])]
    of_known = group[~np.isnan(estimates["estimate"][parts])]
    weight = estimates["std_error"][known] ** -2.0
    effect = estimates["estimate"][known]

    def total(values: Array) -> Array:
        return np.bincount(of_known, weights=values, minlength=len(first)).astype(float)

    count = total(np.ones(len(known)))
    with np.errstate(divide="ignore", invalid="ignore"):
        pooled = total(weight * effect) / total(weight)
    q = total(weight * (effect - pooled[of_known]) ** 2)
    usable = ~is_spanned & (count > 1)
    reason = np.full(len(first), None, dtype=object)
    reason[count < 2] = "too_few_values"
    reason[is_spanned] = "clusters_span_segments"
    return {
        **out,
        "value_count": count.astype(np.int64),
        "q": np.where(usable, q, np.nan),
        "degrees_of_freedom": np.where(usable, count - 1, np.nan),
        "p_value": np.where(usable, kernel.chi_square_p(q, count - 1), np.nan),
        "reason": reason,
    }
