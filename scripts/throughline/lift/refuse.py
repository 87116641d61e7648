"""What is wrong with an experiment or a comparison, so that its estimates are not believed."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from throughline.lift import kernel
from throughline.lift.comparisons import METHODS, Diagnosis, Rows
from throughline.lift.kernel import Contrast, Flags
from throughline.lift.moments import TOTAL, Array, Table, codes
from throughline.lift.plan import Experiment

MINIMUM_ROWS = 10
"""Row units per arm below which no standard error is trusted."""
SRM_BELOW = 0.0005
MULTI_EXPOSED_ABOVE = 0.01
IMBALANCE_BELOW = 0.001
PRE_TREND_BELOW = 0.05
OVERLAP_UP_TO = 0.25
"""Normalised difference up to which regression may adjust groups that were not randomised."""

INVALID = frozenset({"srm", "multi_exposure", "pre_period_imbalance", "masked_window"})
"""Reasons that refuse a whole experiment."""


def status(
    table: Table,
    rows: Rows,
    contrast: Contrast,
    diagnosis: Diagnosis,
    *,
    masked: Collection[str],
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Status and reason of each row, texts of shape (rows,); the first that applies counts.

    `refused` and `not_ready` rows show no estimate. `not_identified` rows show one that is no
    effect of the treatment: arms differ by more than chance.
    """

    def either(name: str) -> Flags:
        of_control = np.where(rows.control >= 0, table[name][rows.control], 0.0)
        return np.asarray((of_control > 0) | (table[name][rows.treatment] > 0))

    is_randomised = rows.of_plan(lambda plan: plan.is_randomised, bool)
    is_did = rows.method == METHODS.index("did")
    adjusts = np.isin(rows.method, (METHODS.index("cuped"), METHODS.index("lin")))
    few = np.minimum(diagnosis.rows_control, diagnosis.rows_treatment)
    split_p, multi_share = _splits(table, rows)

    def planned(reason: str) -> Flags:
        return np.asarray(rows.of_plan(lambda plan: plan.comparison == reason, bool))

    faults: tuple[tuple[str, str, Flags], ...] = (
        ("refused", "srm", is_randomised & (split_p < SRM_BELOW)),
        ("refused", "multi_exposure", multi_share > MULTI_EXPOSED_ABOVE),
        ("refused", "pre_period_imbalance", is_randomised & _is_unbalanced(table, rows, diagnosis)),
        ("refused", "masked_window", rows.of_plan(lambda p: p.experiment_id in masked, bool)),
        # The raw row decides then.
        ("refused", "cap_is_zero", table["cap_value"][rows.treatment] == 0),
        ("refused", "cluster_in_two_variants", either("n_clusters_shared")),
        ("refused", "users_repeat", either("n_users_repeated")),
        # Units of one released group share its luck.
        ("refused", "needs_cluster_id", is_did & either("n_unclustered")),
        # Groups, unlike units, do not become more.
        ("refused", "too_few_units", is_did & (few < MINIMUM_ROWS)),
        ("not_ready", "immature", (few < MINIMUM_ROWS) & either("n_immature")),
        ("not_ready", "too_few_units", few < MINIMUM_ROWS),
        ("not_ready", "no_denominator", ~np.isfinite(contrast.delta)),
        ("refused", "precision_lost", diagnosis.lost > 0),
        ("refused", "zero_variance", ~(contrast.var_delta > 0)),
        (
            "refused",
            "low_overlap",
            ~is_randomised & adjusts & ~(diagnosis.imbalance <= OVERLAP_UP_TO),
        ),
        ("not_identified", "before_after", planned("before_after")),
        # Parallel trends identify a change against the pre-period, no difference of levels.
        ("not_identified", "unmatched", planned("unmatched") & ~is_did),
        # No pre-period to look at is no sign of parallel trends.
        ("not_identified", "pre_trend", is_did & ~(diagnosis.pre_trend_p >= PRE_TREND_BELOW)),
    )
    flags = [flag for _, _, flag in faults]
    return (
        _first(flags, [name for name, _, _ in faults], default="ok"),
        _first(flags, [reason for _, reason, _ in faults], default=None),
    )


def _first(flags: list[Flags], names: list[str], *, default: str | None) -> NDArray[Any]:
    first = np.full(len(flags[0]), default, dtype=object)
    for flag, name in zip(reversed(flags), reversed(names), strict=True):
        first[flag] = name
    return first


def _is_unbalanced(table: Table, rows: Rows, diagnosis: Diagnosis) -> Flags:
    """Whether the pre-period of the primary or a guardrail tells the run's arms apart."""
    is_watched = rows.of_both(lambda plan, card: plan.role(card.metric) != "secondary", bool)
    is_watched &= (table["segment_name"][rows.treatment] == TOTAL) & rows.is_planned
    is_unbalanced = is_watched & (diagnosis.balance_p < IMBALANCE_BELOW)
    return np.asarray(np.bincount(rows.run, weights=is_unbalanced)[rows.run] > 0)


def _splits(table: Table, rows: Rows) -> tuple[Array, Array]:
    """P of the split of each row's experiment, and the share of its units in several variants."""
    is_total = table["segment_name"] == TOTAL
    whole = {name: values[is_total] for name, values in table.items()}
    splits = sample_ratios(whole, experiments=rows.plans)
    keys = zip(splits["experiment_id"], splits["as_of"], strict=True)
    runs = {run: place for place, run in enumerate(keys)}
    _, first, run = np.unique(rows.run, return_index=True, return_inverse=True)
    p, share = np.full(len(first), np.nan), np.zeros(len(first))
    for number, row in enumerate(rows.treatment[first]):
        place = runs.get((table["experiment_id"][row], table["as_of"][row]))
        if place is not None:
            p[number], share[number] = splits["p_value"][place], splits["multi_share"][place]
    return p[run], share[run]


def sample_ratios(table: Table, *, experiments: Iterable[Experiment]) -> dict[str, NDArray[Any]]:
    """How units divide over variants: the whole of each experiment, and each segment value.

    Counts are of what was randomised, exposed units or clusters, whether a metric can read them yet
    or not. A segment's p is a diagnosis: it says where a fault of the whole comes from and refuses
    nothing.

    Args:
        table: what `moments.read` gave.
        experiments: every experiment that the moments name.

    Returns:
        Columns experiment_id, as_of, segment_name, segment_value, row_count, multi_share,
        variant_counts (`variant:count;…`), p_value (NaN where fewer than two variants have a
        planned share), has_mismatch, smallest_count (of a planned variant that has any, else 0) and
        has_every_variant, one row per the first four. Strays are counted in the whole alone: what
        is hidden of a segment value would follow from few of them.
    """
    counted = table["n_exposed"]
    # Several variants are met by units, also where those are clustered.
    units = np.maximum(counted, table["n_units"] + table["n_immature"] + table["n_late"])
    key = ("experiment_id", "as_of", "segment_name", "segment_value")
    cell = codes(*(table[name] for name in key), table["variant"])
    _, first, cell = np.unique(cell, return_index=True, return_inverse=True)
    most = {name: np.zeros(len(first)) for name in ("counted", "units", "multi")}
    for name, values in (("counted", counted), ("units", units), ("multi", table["n_multi"])):
        np.maximum.at(most[name], cell, values)

    group = codes(*(table[name][first] for name in key))
    _, leader, group = np.unique(group, return_index=True, return_inverse=True)
    out: dict[str, NDArray[Any]] = {name: table[name][first][leader] for name in key}
    multi, seen = (np.bincount(group, weights=most[name]) for name in ("multi", "units"))
    out["multi_share"] = multi / np.maximum(multi + seen, 1)
    shares = {plan.experiment_id: dict(plan.expected_split) for plan in experiments}
    planned = {
        experiment: [variant for variant, share in split.items() if share > 0]
        for experiment, split in shares.items()
    }
    counts: list[dict[str, float]] = [{} for _ in leader]
    for place, variant, count in zip(group, table["variant"][first], most["counted"], strict=True):
        whole = out["segment_name"][place] == TOTAL
        if whole or variant in planned[out["experiment_id"][place]]:
            counts[place][variant] = count
    of_planned = [
        [of_value.get(variant, 0.0) for variant in planned[experiment]]
        for experiment, of_value in zip(out["experiment_id"], counts, strict=True)
    ]
    smallest = [min((n for n in of_value if n > 0), default=0) for of_value in of_planned]
    out["smallest_count"] = np.array(smallest, dtype=np.int64)
    out["has_every_variant"] = np.array([all(of_value) for of_value in of_planned], dtype=bool)
    out["row_count"] = np.array([sum(of_value.values()) for of_value in counts], dtype=np.int64)
    texts = [
        ";".join(f"{name}:{int(of_value[name])}" for name in sorted(of_value))
        for of_value in counts
    ]
    out["variant_counts"] = np.array(texts, dtype=object)
    out["p_value"] = np.array(
        [
            kernel.sample_ratio_p(
                [of_value.get(variant, 0.0) for variant in shares[experiment]],
                list(shares[experiment].values()),
            )
            for experiment, of_value in zip(out["experiment_id"], counts, strict=True)
        ]
    )
    out["has_mismatch"] = out["p_value"] < SRM_BELOW
    return out
