"""Moments for tests of the lift: from raw rows by plain numpy, and a worked case of two arms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
from numpy.typing import NDArray

from throughline.lift.moments import (
    CONSTANTS,
    COUNTS,
    KEY,
    OF_EXPERIMENT,
    OPTIONAL_COUNTS,
    PRODUCTS,
    SAME,
    SUMS,
    VARIABLES,
    Arm,
    arm,
    read,
)

Numbers = NDArray[np.float64]

# Integer sums, exact in doubles. y: revenue, d: sessions; x and w: the same before.
WORKED: Mapping[str, Mapping[str, int]] = {
    "control": {
        "n": 2000, "y": 1904480, "d": 7908, "x": 1915259, "w": 7836,
        "yy": 4862802420, "yd": 11856822, "yx": 4470072074, "yw": 10619631,
        "dd": 40618, "dx": 10589723, "dw": 34921,
        "xx": 5125671941, "xw": 12264093, "ww": 40742,
    },
    "treatment": {
        "n": 2100, "y": 2188005, "d": 8359, "x": 2039097, "w": 8333,
        "yy": 6484439561, "yd": 14298285, "yx": 5181115704, "yw": 12267354,
        "dd": 43849, "dx": 11570470, "dw": 37596,
        "xx": 5142959703, "xw": 12750371, "ww": 43205,
    },
}  # fmt: skip


def moments_row(**values: Any) -> dict[str, Any]:
    """A row of the moments table; what is not named is zero, or the plainest key.

    Unless named, what was exposed are the rows that count, and one more per unit left out.
    """
    key = {
        "experiment_id": "trial",
        "variant": "control",
        "metric": "revenue",
        "segment_name": "all",
        "segment_value": "all",
        "pair_role": "none",
        "totals": "raw",
        "as_of": "2026-07-01",
    }
    same = {"cap_value": np.nan, "window_from": "0", "window_to": "14", "definition_hash": "h"}
    counts = (*COUNTS, *OPTIONAL_COUNTS, *OF_EXPERIMENT, *CONSTANTS, *SUMS, *PRODUCTS)
    row = {**key, **dict.fromkeys(counts, 0.0), **same}
    unknown = set(values) - set(row)
    assert not unknown, unknown
    exposed = sum(values.get(name, 0) for name in ("n_rows", "n_immature", "n_late"))
    return {**row, "n_exposed": exposed, **values}


def table_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, NDArray[Any]]:
    """Rows as columns."""
    text = {*KEY, *SAME} - {"cap_value"}
    return {
        name: np.array([row[name] for row in rows], dtype=object if name in text else float)
        for name in rows[0]
    }


def worked_row(variant: str, **key: Any) -> dict[str, Any]:
    sums = WORKED[variant]
    given = {f"s_{name}": value for name, value in sums.items() if name != "n"}
    n = sums["n"]
    by_unit = {"s_mm": n, **{f"s_m{name}": sums[name] for name in "ydxw"}}
    return moments_row(variant=variant, n_rows=n, n_units=n, **given, **by_unit, **key)


def raw_row(
    data: Mapping[str, Numbers],
    *,
    cluster: NDArray[Any] | None = None,
    constants: Mapping[str, float] | None = None,
    **key: Any,
) -> dict[str, Any]:
    """Moments of raw units, about constants, by plain numpy; `data` holds arrays per variable."""
    k = {name: (constants or {}).get(name, 0.0) for name in data}
    units = len(next(iter(data.values())))
    shifted: dict[str, Any] = {"m": np.ones(units), **{name: data[name] - k[name] for name in data}}
    if cluster is not None:
        _, member = np.unique(cluster, return_inverse=True)
        shifted = {name: np.bincount(member, weights=v) for name, v in shifted.items()}
    names = [name for name in ("m", *VARIABLES) if name in shifted]
    values: dict[str, Any] = {
        "n_rows": len(shifted["m"]),
        "n_units": units,
        "n_unclustered": units if cluster is None else 0,
        **{f"k_{name}": value for name, value in k.items()},
        **{f"s_{name}": shifted[name].sum() for name in names if name != "m"},
        **{
            f"s_{one}{two}": (shifted[one] * shifted[two]).sum()
            for one, two in combinations_with_replacement(names, 2)
        },
    }
    return moments_row(**values, **key)


def arms_of(control: Mapping[str, Any], treatment: Mapping[str, Any]) -> tuple[Arm, Arm]:
    """One comparison from two rows."""
    table = read(table_of([{**control, "variant": "control"}, {**treatment, "variant": "t"}]))
    return arm(table, np.array([0])), arm(table, np.array([1]))


MEAN = np.array([False])
RATIO = np.array([True])
