"""An A/A check on a metric's own history: random halves of its units should not differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from throughline.lift import kernel
from throughline.lift.moments import (
    CONSTANTS,
    COUNTS,
    OPTIONAL_COUNTS,
    PRODUCTS,
    SUMS,
    TOTAL,
    Arm,
    Array,
    MomentsError,
    arm,
    number,
    read,
)
from throughline.lift.refuse import MINIMUM_ROWS

BINS = 10
CHUNK = 256
FEWEST_BUCKETS = 20
UNEVEN_BELOW = 0.001
# of a check that is run often, few should fail by chance
Z = 3.2905267314919255


@dataclass(frozen=True, kw_only=True)
class Check:
    """What random halves show.

    Attributes:
        method: the estimator.
        alpha: error rate that was asked for.
        p_values: (draws,) of no difference between the halves.
    """

    experiment_id: str
    metric: str
    method: str
    unit_count: int
    bucket_count: int
    alpha: float
    p_values: Array

    @property
    def rate(self) -> float:
        """Share of draws in which equal halves differ at alpha."""
        return float(np.mean(self.p_values <= self.alpha))

    @property
    def band(self) -> tuple[float, float]:
        """Where 999 of 1,000 rates lie if alpha is kept."""
        reach = Z * np.sqrt(self.alpha * (1 - self.alpha) / len(self.p_values))
        return float(max(self.alpha - reach, 0.0)), float(self.alpha + reach)

    @property
    def is_kept(self) -> bool:
        low, high = self.band
        return low <= self.rate <= high

    @property
    def histogram(self) -> NDArray[np.int64]:
        return np.histogram(self.p_values, bins=BINS, range=(0.0, 1.0))[0].astype(np.int64)

    @property
    def evenness(self) -> float:
        """P of a histogram at least as uneven, were all p-values equally likely."""
        expected = len(self.p_values) / BINS
        squares = ((self.histogram - expected) ** 2 / expected).sum()
        return float(kernel.chi_square_p(squares, np.asarray(BINS - 1.0)))


def check(
    buckets: Mapping[str, Any],
    *,
    metric: str,
    experiment_id: str | None = None,
    alpha: float = 0.05,
    draws: int = 2_000,
    seed: int = 0,
) -> list[Check]:
    """Error rates of the plain estimator and, where units have a history, of CUPED.

    Args:
        buckets: moments of disjoint random groups of units, one row each: the columns of
            fct_moments, `variant` being the number of the group.
        experiment_id: of the units; that with most of them unless given.
        draws: how many random halves.

    Raises:
        MomentsError: no rows, too few groups or units, or groups about different constants.
    """
    table = read(buckets)
    wanted = (table["metric"] == metric) & (table["segment_name"] == TOTAL)
    wanted &= (table["totals"] == "raw") & (table["pair_role"] != "uptake")
    if experiment_id is None and wanted.any():
        known, place = np.unique(table["experiment_id"][wanted].astype(str), return_inverse=True)
        units = np.bincount(place, weights=table["n_units"][wanted])
        experiment_id = str(known[units.argmax()])
    wanted &= table["experiment_id"] == experiment_id
    wanted &= table["n_rows"] > 0
    rows = {name: values[wanted] for name, values in table.items()}
    count = int(wanted.sum())
    if count < FEWEST_BUCKETS or rows["n_rows"].sum() < 2 * MINIMUM_ROWS:
        what = f"{metric} has {count} groups of units, at least {FEWEST_BUCKETS} are needed"
        raise MomentsError(what)
    for name in CONSTANTS:
        if np.ptp(number(rows, name)) > 0:
            raise MomentsError(f"groups of {metric} differ in {name}")
    is_ratio = bool((rows["pair_role"] == "denominator").any())
    names = [*COUNTS, *OPTIONAL_COUNTS, *SUMS, *PRODUCTS]
    sums = np.stack([rows[name] for name in names], axis=1)
    constants = {name: rows[name][0] for name in CONSTANTS}
    has_history = rows["s_xx"].sum() > 0
    estimators = {
        "unadjusted": kernel.unadjusted,
        **({"cuped": kernel.cuped} if has_history else {}),
    }
    p: dict[str, list[Array]] = {name: [] for name in estimators}
    rng = np.random.default_rng(seed)
    for start in range(0, draws, CHUNK):
        size = min(CHUNK, draws - start)
        places = rng.random((size, count)).argpartition(count // 2, axis=1)[:, : count // 2]
        is_treated = np.zeros((size, count))
        np.put_along_axis(is_treated, places, 1.0, axis=1)
        control, treatment = (
            _arms(dict(zip(names, (half @ sums).T, strict=True)), constants)
            for half in (1.0 - is_treated, is_treated)
        )
        for name, estimator in estimators.items():
            made = estimator(control, treatment, is_ratio=np.full(size, is_ratio))
            with np.errstate(divide="ignore", invalid="ignore"):
                statistic = made.delta / made.std_error
            p[name].append(kernel.two_sided_p(statistic, made.degrees_of_freedom))
    if any(np.isnan(part).any() for parts in p.values() for part in parts):
        raise MomentsError(f"{metric} does not vary over the units of {experiment_id}")
    return [
        Check(
            experiment_id=str(experiment_id),
            metric=metric,
            method=name,
            unit_count=int(rows["n_units"].sum()),
            bucket_count=count,
            alpha=alpha,
            p_values=np.concatenate(parts),
        )
        for name, parts in p.items()
    ]


def _arms(sums: Mapping[str, Array], constants: Mapping[str, float]) -> Arm:
    size = len(sums["n_rows"])
    table = {**sums, **{name: np.full(size, value) for name, value in constants.items()}}
    return arm(table, np.arange(size))


def report(result: Check) -> list[str]:
    """A check as lines for the terminal."""
    low, high = result.band
    verdict = "as it should be" if result.is_kept else "not as it should be"
    widest = max(int(result.histogram.max()), 1)
    lines = [
        f"{result.metric}, {result.method}: {len(result.p_values):,} random halves of "
        f"{result.unit_count:,} units of {result.experiment_id} ({result.bucket_count:,} groups)",
        f"differ at {100 * result.alpha:.4g}%: {result.rate:.2%} of them, {verdict} "
        f"(999 of 1,000 checks lie in {low:.2%} to {high:.2%})",
    ]
    for place, count in enumerate(result.histogram.tolist()):
        bar = "█" * round(40 * count / widest)
        lines.append(f"  p {place / BINS:.1f} to {(place + 1) / BINS:.1f}  {bar} {count}")
    is_even = result.evenness >= UNEVEN_BELOW
    told = f"The p-values are {'' if is_even else 'not '}even (p = {result.evenness:.2g})."
    if is_even and result.is_kept:
        return [*lines, told]
    hint = (
        "Units that depend on one another need a cluster_id; a few huge totals need a cap."
        if result.rate > result.alpha
        else "The variance is too large: look for a heavy tail, or an outcome that few units have."
    )
    return [*lines, f"{told} {hint}"]
