"""The moments table: reading, rebasing and merging its rows, and the arms that estimators read.

A row holds sums over row units, which are units or, where units are clustered, clusters. With m the
number of units in a row unit and k a constant per variable, the row has `s_a`, the sum of a - k_a,
and `s_ab`, the sum of products, each taken off the units before summing to the cluster. Without
clusters m is 1, and everything below is the textbook case of independent units.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]
Codes: TypeAlias = NDArray[np.int64]
Table: TypeAlias = Mapping[str, Any]
"""Columns by name, all of one length: a dict of arrays, or a pandas frame."""

VARIABLES = ("y", "d", "x", "w", "c", "e")
"""Numerator, denominator or uptake, their pre-period twins, given covariate, later half of x."""
Y, D, X, W, C, E = range(6)

KEY = (
    "experiment_id",
    "variant",
    "metric",
    "segment_name",
    "segment_value",
    "pair_role",
    "totals",
    "as_of",
)
SAME = ("cap_value", "window_from", "window_to", "definition_hash")
"""What two rows must share before their sums may be added or compared."""
TOTAL = "all"
"""Segment name of the rows over all units."""
COUNTS = (
    "n_rows",
    "n_units",
    "n_exposed",
    "n_covariate_missing",
    "n_immature",
    "n_multi",
    "n_late",
)
OPTIONAL_COUNTS = ("n_unclustered", "n_clusters_shared")
OF_EXPERIMENT = ("n_users_repeated",)
"""Counts over the whole experiment, the same in each of its rows, which do not add."""
CONSTANTS = tuple(f"k_{name}" for name in VARIABLES)
SUMS = tuple(f"s_{name}" for name in VARIABLES)
PRODUCTS = tuple(
    f"s_{one}{two}" for one, two in combinations_with_replacement(("m", *VARIABLES), 2)
)
COLUMNS = (*KEY, *COUNTS, *CONSTANTS, *SUMS, *PRODUCTS, *SAME)

MOST_CODES = 2**62
NEGLIGIBLE = 1e-12
"""Share of its parts below which a variance is rounding."""
# Beyond this distance from the constants, in standard deviations, squares have lost digits.
LOST_AT = 1_000.0


class MomentsError(ValueError):
    """What makes a moments table unreadable, in one line that names rows or columns."""


@dataclass(frozen=True)
class Arm:
    """One arm per comparison.

    Attributes:
        row_count: (n,) independent row units: units, or clusters.
        unit_count: (n,) units in them.
        mean: (n, 6) means per unit of `VARIABLES`, in the units of the bricks.
        scatter: (n, 6, 6) sums over row units of products of a - mean_a m, the residuals that
            carry the sampling error of the means.
        distance: (n, 6) how far the means lie from the constants.
    """

    row_count: Array
    unit_count: Array
    mean: Array
    scatter: Array
    distance: Array

    @property
    def covariance(self) -> Array:
        """(n, 6, 6) covariance of the means: G / (G - 1) times the scatter over units squared."""
        with np.errstate(divide="ignore", invalid="ignore"):
            scale = self.row_count / (self.row_count - 1) / self.unit_count**2
            return self.scatter * scale[:, None, None]


def read(table: Table) -> dict[str, NDArray[Any]]:
    """The columns of a moments table in one form: numbers as doubles, as_of as days.

    A variable whose sums are NULL (no denominator, no history) becomes the constant zero.

    Raises:
        MomentsError: columns are missing, keys repeat or sums are not finite.
    """
    missing = [name for name in COLUMNS if name not in table]
    if missing:
        raise MomentsError(f"moments lack the columns {', '.join(missing)}")
    clean = {name: column(table, name) for name in (*KEY, *SAME)}
    clean["cap_value"] = number(table, "cap_value", null=np.nan)
    _, first, count = np.unique(
        codes(*(clean[name] for name in KEY)), return_index=True, return_counts=True
    )
    if (count > 1).any():
        raise MomentsError(f"two rows of moments for {_name(table, first[count > 1][0])}")
    filled = number(table, "n_rows") > 0
    for name in ("n_units", "k_y", "s_y", "s_mm", "s_my", "s_yy"):
        broken = np.flatnonzero(filled & ~np.isfinite(number(table, name, null=np.nan)))
        if broken.size:
            raise MomentsError(f"{name} is not a number for {_name(table, broken[0])}")
    for name in (*COUNTS, *OPTIONAL_COUNTS, *OF_EXPERIMENT, *CONSTANTS, *SUMS, *PRODUCTS):
        clean[name] = number(table, name)
    return clean


def arm(table: Table, rows: Codes) -> Arm:
    """The arms in the given rows of a table that `read` gave; row -1 gives an empty arm."""

    def take(name: str) -> Array:
        return np.where(rows >= 0, table[name][rows], 0.0)

    size = len(VARIABLES)
    units = take("n_units")
    raw = np.zeros((len(rows), size + 1, size + 1))
    pairs = combinations_with_replacement(range(size + 1), 2)
    for name, (i, j) in zip(PRODUCTS, pairs, strict=True):
        raw[:, i, j] = raw[:, j, i] = take(name)
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = np.stack([take(name) for name in SUMS], axis=1) / units[:, None]
    cross = raw[:, 0, 1:, None] * distance[:, None, :]
    scatter = raw[:, 1:, 1:] - cross - cross.swapaxes(1, 2)
    level = raw[:, 0, 0, None, None] * distance[:, :, None] * distance[:, None, :]
    scatter += level
    parts = np.einsum("nii->ni", raw[:, 1:, 1:] + level)
    is_rounding = np.einsum("nii->ni", scatter) <= NEGLIGIBLE * parts
    scatter[is_rounding[:, :, None] | is_rounding[:, None, :]] = 0.0
    constant = np.stack([take(name) for name in CONSTANTS], axis=1)
    return Arm(take("n_rows"), units, constant + distance, scatter, distance)


def has_lost_precision(control: Arm, treatment: Arm, *, variable: int) -> NDArray[np.bool_]:
    """Whether arms lie so far from their constant that their squares have lost digits.

    The yardstick is the standard deviation within both arms together: an arm without variance of
    its own, such as a control that nobody converts in, loses nothing that the contrast needs.
    """
    arms = (control, treatment)
    with np.errstate(divide="ignore", invalid="ignore"):
        within = sum(np.maximum(arm.scatter[:, variable, variable], 0.0) for arm in arms)
        deviation = np.sqrt(within / (control.row_count + treatment.row_count))
        # A row unit holds the distance of each of its units.
        far = [np.abs(arm.distance[:, variable]) * arm.unit_count / arm.row_count for arm in arms]
    return np.asarray((np.maximum(*far) > LOST_AT * deviation) & (deviation > 0))


def rebase(table: Table, constants: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """The same rows about other constants.

    Args:
        table: moments.
        constants: new `k_<variable>`, scalars or one value per row; what is not named stays.

    Returns:
        All columns, with constants, sums and products replaced.
    """
    new = {name: column(table, name) for name in table}
    delta = {"m": np.zeros(len(new["n_units"]))}
    total = {"m": number(table, "n_units")}
    for variable, k, s in zip(VARIABLES, CONSTANTS, SUMS, strict=True):
        old = number(table, k)
        new[k] = np.broadcast_to(np.asarray(constants.get(k, old), dtype=float), old.shape)
        delta[variable], total[variable] = old - new[k], number(table, s)
        new[s] = total[variable] + delta[variable] * total["m"]
    with_units = {name: number(table, f"s_m{name}") for name in ("m", *VARIABLES)}
    for one, two in combinations_with_replacement(("m", *VARIABLES), 2):
        new[f"s_{one}{two}"] = (
            number(table, f"s_{one}{two}")
            + delta[two] * with_units[one]
            + delta[one] * with_units[two]
            + delta[one] * delta[two] * with_units["m"]
        )
    return new


def merge(table: Table, *, by: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Adds rows over disjoint units, such as the values of a segment.

    Args:
        table: moments.
        by: key columns that tell the merged rows apart; key columns left out must be constant
            within a merged row or are given as `(merged)`.

    Returns:
        One row per distinct value of `by`, about the constants of its first row.

    Raises:
        MomentsError: rows to be added differ in as_of, window, definition or cap.
    """
    group = codes(*(column(table, name) for name in by))
    _, first, group = np.unique(group, return_index=True, return_inverse=True)
    for name in ("as_of", *SAME):
        values = codes(column(table, name))
        differs = np.flatnonzero(values != values[first][group])
        if differs.size:
            raise MomentsError(f"{_name(table, differs[0])} has another {name} than its group")
    constants = {name: number(table, name)[first][group] for name in CONSTANTS}
    based = rebase(table, constants)
    merged: dict[str, NDArray[Any]] = {}
    for name, values in based.items():
        if name in COUNTS or name in OPTIONAL_COUNTS or name in SUMS or name in PRODUCTS:
            merged[name] = np.bincount(group, weights=number(based, name), minlength=len(first))
        elif name in KEY and name not in (*by, "as_of"):
            known = codes(values)
            is_mixed = np.zeros(len(first), dtype=bool)
            is_mixed[group[known != known[first][group]]] = True
            merged[name] = np.where(is_mixed, "(merged)", values[first])
        else:
            merged[name] = values[first]
    return merged


def column(table: Table, name: str) -> NDArray[Any]:
    """A column as an array; dates as days, masked values as NULL."""
    given: Any = table[name]
    values: NDArray[Any] = np.asarray(given)
    if isinstance(given, np.ma.MaskedArray):
        values = np.where(np.ma.getmaskarray(given), np.array(None), values.astype(object))
    return values.astype("datetime64[D]") if name == "as_of" else values


def number(table: Table, name: str, *, null: float = 0.0) -> Array:
    """A numeric column; NULL and a column that may be left out become `null`."""
    if name not in table:
        return np.full(len(table["n_rows"]), null)
    values = column(table, name).astype(np.float64, copy=False)
    is_null = np.isnan(values)
    return np.where(is_null, null, values) if is_null.any() else values


def codes(*columns: NDArray[Any]) -> Codes:
    """One whole number per distinct combination of values, in the order of the values."""
    combined = np.zeros(len(columns[0]), dtype=np.int64)
    size = 1
    for values in columns:
        if values.dtype == object:
            # Far faster than sorting a column of strings.
            known = {value: place for place, value in enumerate(sorted(set(values), key=_order))}
            code = np.fromiter(map(known.__getitem__, values.tolist()), np.int64, len(values))
        else:
            _, code = np.unique(values, return_inverse=True)
        count = int(code.max(initial=0)) + 1
        if size * count > MOST_CODES:
            combined, size = _dense(combined)
        combined = combined * count + code
        size *= count
    return _dense(combined)[0]


def _dense(code: Codes) -> tuple[Codes, int]:
    known, place = np.unique(code, return_inverse=True)
    return place, len(known)


def _order(value: Any) -> tuple[bool, Any]:
    return value is not None, "" if value is None else value


def _name(table: Table, row: int) -> str:
    return " / ".join(str(column(table, name)[row]) for name in KEY)
