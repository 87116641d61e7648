"""Drift by numpy and scipy alone: bins of a reference, and the verdict on later values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

ALPHA = 0.0025
MINIMUM = 0.02
MINIMUM_COUNT = 100
NEW_MAXIMUM = 0.01
Shares = dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Bins:
    """Deciles and values that hold more than 1 % of the rows, or the categories of a reference."""

    edges: tuple[float, ...] = ()
    points: tuple[float, ...] = ()
    categories: tuple[str, ...] | None = None
    rare: frozenset[str] = frozenset()
    seen_once_share: float = 0.0

    def names(self) -> list[str]:
        if self.categories is not None:
            return [*self.categories, "(rare)", "(new)", "(missing)"]
        return [f"i{place}" for place in range(len(self.edges) + 1)] + [
            *(f"={point!r}" for point in self.points),
            "(missing)",
        ]

    def of(self, values: pd.Series[Any]) -> pd.Series[str]:
        if self.categories is not None:
            named = values.where(~values.isin(list(self.rare)), "(rare)")
            known = named.isin([*self.categories, "(rare)"])
            return named.where(known, "(new)").where(values.notna(), "(missing)")
        numbers = values.astype(float)
        places = np.searchsorted(np.array(self.edges), numbers.fillna(0), side="right")
        binned = pd.Series([f"i{place}" for place in places], index=values.index)
        points = numbers.isin(self.points)
        binned = binned.where(~points, numbers.map(lambda number: f"={number!r}"))
        return binned.where(numbers.notna(), "(missing)")


def bins_of_numbers(reference: pd.Series[float]) -> Bins:
    values = reference.dropna().to_numpy(dtype=float)
    edges = np.unique(np.quantile(values, np.arange(1, 10) / 10, method="inverted_cdf"))
    found, counts = np.unique(values, return_counts=True)
    points = found[20 * counts > len(reference)]
    return Bins(edges=tuple(map(float, edges)), points=tuple(map(float, points)))


def bins_of_categories(reference: pd.Series[str], entities: pd.Series[str]) -> Bins:
    counts = reference.value_counts()
    holders = entities.groupby(reference).nunique()
    return Bins(
        categories=tuple(counts.index[100 * counts >= len(reference)]),
        rare=frozenset(counts.index[100 * counts < len(reference)]),
        seen_once_share=float(counts[holders.reindex(counts.index) == 1].sum()) / len(reference),
    )


def effective(weights: pd.Series[float], entities: pd.Series[str]) -> float:
    """Kish's number of decisions, at most one per entity; a decision of none is its own."""
    total = float(weights.sum())
    distinct = entities.nunique() + int(entities.isna().sum())
    return min(total * total / float((weights**2).sum()), float(distinct))


def shares(binned: pd.Series[str], weights: pd.Series[float]) -> Shares:
    sums = weights.groupby(binned).sum()
    return {str(name): float(share) for name, share in (sums / weights.sum()).items()}


def pooled(
    names: Sequence[str], reference: Shares, now: Shares, *, least: float
) -> tuple[np.ndarray[Any, np.dtype[np.float64]], np.ndarray[Any, np.dtype[np.float64]]]:
    """Shares of the reference and of now, with all bins that are too small to test as one."""
    kept: list[list[str]] = []
    small: list[str] = []
    for name in names:
        share = reference.get(name, 0.0)
        is_small = share < 0.01 or share * least < 5
        small += [name] * is_small
        kept += [[name]] * (not is_small)
    rest = sum(reference.get(name, 0.0) for name in small)
    if small and kept and (rest < 0.01 or rest * least < 5):
        smallest = min(kept, key=lambda group: reference[group[0]])
        smallest += small
    elif small:
        kept.append(small)
    return (
        np.array([sum(reference.get(name, 0.0) for name in group) for group in kept]),
        np.array([sum(now.get(name, 0.0) for name in group) for group in kept]),
    )


def verdict(
    bins: Bins, reference: Shares, now: Shares, *, reference_count: float, count: float
) -> dict[str, Any]:
    """What mart_drift says of a week whose label, reference and delivery are no obstacle."""
    before, after = pooled(bins.names(), reference, now, least=min(count, reference_count))
    noise = 1 / count + 1 / reference_count
    freedom = len(before) - 1
    floored = np.maximum(after, 0.5 / count)
    psi = float(((floored - before) * np.log(floored / before)).sum())
    common = (count * after + reference_count * before) / (count + reference_count)
    chi_square = float(((after - before) ** 2 / common).sum() / noise)
    found: dict[str, Any] = {
        "bin_count": len(before),
        "psi": psi if freedom else np.nan,
        "chi_square": chi_square if freedom else np.nan,
        "jensen_shannon_distance": _distance(before, after) if freedom else np.nan,
        "missing_share": now.get("(missing)", 0.0),
        "missing_share_change": now.get("(missing)", 0.0) - reference.get("(missing)", 0.0),
        "new_category_share": now.get("(new)", 0.0),
    }
    if min(count, reference_count) < MINIMUM_COUNT:
        return found | {"status": "not_ready", "kinds": []}
    limit = wilson_hilferty(freedom) if freedom else np.inf
    is_large = psi - freedom * noise >= MINIMUM
    if bins.categories is None:
        is_shifted = is_large and psi > limit * noise
    else:
        is_shifted = is_large and chi_square > limit
    change = abs(found["missing_share_change"])
    both = count * found["missing_share"] + reference_count * reference.get("(missing)", 0.0)
    rate = both / (count + reference_count)
    bound = stats.norm.isf(ALPHA / 2) * np.sqrt(max(0.0, rate * (1 - rate)) * noise)
    allowed = max(NEW_MAXIMUM, bins.seen_once_share)
    limit_new = allowed + stats.norm.isf(ALPHA) * np.sqrt(allowed * (1 - allowed) * noise)
    kinds = [
        *(["psi"] if is_shifted else []),
        *(["missing"] if change > max(bound, MINIMUM) else []),
        *(["new_category"] if found["new_category_share"] > limit_new else []),
    ]
    if not kinds and not freedom and sum(share > 0 for share in reference.values()) > 1:
        return found | {"status": "not_ready", "kinds": []}
    return found | {"status": "drift" if kinds else "stable", "kinds": kinds}


def wilson_hilferty(freedom: int) -> float:
    z = float(stats.norm.isf(ALPHA))
    spread = 2 / (9 * freedom)
    return float(freedom * (1 - spread + z * spread**0.5) ** 3)


def _distance(before: Any, after: Any) -> float:
    from scipy.spatial.distance import jensenshannon

    return float(jensenshannon(before, after, base=2))
