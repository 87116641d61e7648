"""P-values of families of tests, adjusted; arrays of shape (n,), families numbered by `family`."""

from __future__ import annotations

import numpy as np

from throughline.lift.moments import Array, Codes


def holm(p: Array, family: Codes) -> Array:
    """P-values adjusted step down within each family; NaN takes no part. Holm (1979)."""
    order, group, rank, size = _ranked(p, family)
    adjusted = np.full(p.shape, np.nan)
    adjusted[order] = _running_max(np.minimum(p[order] * (size - rank), 1.0), group)
    return adjusted


def holm_level(p: Array, family: Codes, *, alpha: Array) -> Array:
    """The level at which a member's own interval leaves zero out just where Holm rejects.

    A rejected member has the level of its step; those that stay share the level at which the
    procedure stopped.
    """
    order, group, rank, size = _ranked(p, family)
    level = np.full(p.shape, np.nan)
    is_rejected = holm(p, family)[order] <= alpha[order]
    rejected = np.bincount(group, weights=is_rejected, minlength=1)[group]
    level[order] = alpha[order] / (size - np.where(is_rejected, rank, rejected))
    return level


def benjamini_hochberg(p: Array, family: Codes) -> Array:
    """P-values adjusted for the false discovery rate within each family; NaN takes no part.

    Benjamini, Hochberg (1995), Controlling the false discovery rate.
    """
    order, group, rank, size = _ranked(p, family)
    scaled = np.minimum(p[order] * size / (rank + 1), 1.0)
    adjusted = np.full(p.shape, np.nan)
    # A running minimum from the weakest member on.
    adjusted[order] = -_running_max(-scaled[::-1], group.max(initial=0) - group[::-1])[::-1]
    return adjusted


def _ranked(p: Array, family: Codes) -> tuple[Codes, Codes, Codes, Codes]:
    """Members with a p-value, family by family, strongest first.

    Returns:
        Their places in `p`; and for each the number of its family, its rank from 0 and how many
        members the family has.
    """
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.lexsort((p[known], family[known]))]
    _, first, group, count = np.unique(
        family[order], return_index=True, return_inverse=True, return_counts=True
    )
    return order, group, np.arange(len(order)) - first[group], count[group]


def _running_max(values: Array, group: Codes) -> Array:
    """The largest value so far within each group; `group` does not decrease.

    Works on places in the sorted values, whole numbers, so that small values keep their digits.
    """
    ordered = np.sort(values)
    place = np.searchsorted(ordered, values)
    offset = group * len(values)
    return np.asarray(ordered[np.maximum.accumulate(place + offset) - offset])
