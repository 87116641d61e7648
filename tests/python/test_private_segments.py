"""The segments of all marts together give no hidden cell away.

Marts are found by their columns, sums by their adding up, and sums of the same thing by their being
equal wherever two of them are shown. So a mart that is added is attacked by itself.
"""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from building import query

ROOT = Path(__file__).resolve().parents[2]
WHEN = ["model_id", "period", "end", "segment_name"]
CELL = [*WHEN, "segment_value"]
# differences between ends are not attacked, so that a few ends do
ENDS = pd.to_datetime(["2026-04-30", "2026-05-31", "2026-06-30"])


def grain_of(mart: str) -> list[str]:
    """The columns that tell the rows of a mart apart; none where one id does."""
    (file,) = (ROOT / "models" / "marts").rglob(f"{mart}.yml")
    tests = yaml.safe_load(file.read_text(encoding="utf-8"))["models"][0]["data_tests"]
    grains = [test["grain"] for test in tests if "grain" in test]
    return list(grains[0]["arguments"]["columns"]) if grains else []


def numbers_of(mart: str, rows: pd.DataFrame) -> pd.DataFrame:
    """Every number of a mart: what it is, of which cell, and whether a reason says private."""
    grain = grain_of(mart)
    if "model_version" in rows:
        rows = rows[rows.model_version.fillna("all") == "all"]
    days = [name for name in rows if name.endswith("_date")]
    named = [name for name in grain if name in days]
    day = (named or [name for name in days if name.endswith("end_date")] or days)[0]
    end = pd.to_datetime(rows[day])
    period = rows["period"] if "period" in rows else pd.Series("day", index=rows.index)
    if "month" in day:
        end, period = end + pd.offsets.MonthEnd(0), period.mask(period == "day", "month")
    rows, end, period = rows[end.isin(ENDS)], end[end.isin(ENDS)], period[end.isin(ENDS)]
    own = [*CELL, "model_version", *days]
    kind = pd.Series(mart, index=rows.index)
    for name in grain:
        if name not in own:
            kind = kind + ":" + rows[name].astype(str)
    private = rows[[name for name in rows if "reason" in name]].eq("private").any(axis=1)
    found = []
    for name in rows.select_dtypes("number").columns.difference(grain):
        window = name.rsplit("_", 1)[-1]
        found.append(
            rows[["model_id", "segment_name", "segment_value"]].assign(
                mart=mart,
                what=name + ":" + kind,
                period=window if window in ("7d", "28d") else period,
                end=end,
                private=private,
                number=rows[name].astype(float),
            )
        )
    return pd.concat(found)


@pytest.fixture(scope="module")
def sums(demo: Path) -> pd.DataFrame:
    """What adds up over the values of a segment in all marts, with its total."""
    marts = query(
        demo,
        """
        select table_name from information_schema.columns
        where column_name in ('model_id', 'segment_name', 'segment_value')
            and table_name like 'mart_%'
        group by table_name having count(*) = 3
        """,
    )
    numbers = pd.concat(numbers_of(mart, query(demo, f"from {mart}")) for mart in marts.table_name)
    in_total = numbers.segment_name == "all"
    by = ["what", "model_id", "period", "end"]
    totals = numbers[in_total].groupby(by).number.max().rename("total")
    cells = numbers[~in_total].join(totals, on=by)
    groups = cells.groupby(["what", *WHEN])
    told = groups.agg(
        mart=("mart", "first"),
        total=("total", "first"),
        parts=("number", "sum"),
        size=("number", "size"),
        known=("number", "count"),
    )
    told["filled"] = cells[cells.number.fillna(0) != 0].groupby(["what", *WHEN]).size()
    whole = told[(told.known == told["size"]) & told.total.notna() & (told.filled > 1)]
    adds_up = np.isclose(whole.parts, whole.total, rtol=1e-9, atol=1e-6)
    always = pd.Series(adds_up, index=whole.index).groupby("what").all()
    return cells[cells.what.isin(always.index[always])]


@pytest.fixture(scope="module")
def names(sums: pd.DataFrame) -> dict[str, str]:
    """By sum, one name for all that are equal wherever two of them are shown."""
    table = sums.pivot_table(index=CELL, columns="what", values="number", aggfunc="first")
    numbers = table.to_numpy()
    known = ~np.isnan(numbers)
    name = {what: what for what in table}
    for i, j in combinations(range(len(table.columns)), 2):
        both = known[:, i] & known[:, j]
        one, other = numbers[both, i], numbers[both, j]
        if np.allclose(one, other, rtol=1e-9) and len(set(one[one != 0])) > 5:
            old, new = name[table.columns[j]], name[table.columns[i]]
            name = {what: new if kept == old else kept for what, kept in name.items()}
    return name


def given_away(cells: pd.DataFrame, names: dict[str, str]) -> set[tuple[Any, ...]]:
    """Private cells of one mart that another mart shows, or that are the only ones missing."""
    cells = cells.assign(sum=cells.what.map(names))
    by_mart = cells.groupby(["sum", *CELL, "mart"]).agg(
        is_shown=("number", "count"), private=("private", "any"), total=("total", "max")
    )
    by_mart["is_hidden"] = (by_mart.is_shown == 0) & by_mart.private
    told = by_mart.groupby(["sum", *CELL]).agg(
        is_shown=("is_shown", "max"), is_hidden=("is_hidden", "max"), total=("total", "max")
    )
    is_missing = (told.is_shown == 0).groupby(["sum", *WHEN])
    alone = (told.is_shown == 0) & (is_missing.transform("sum") == 1) & told.total.notna()
    # a segment of one value equals its total
    alone &= is_missing.transform("size") > 1
    return set(told.index[told.is_hidden & ((told.is_shown > 0) | alone)])


def test_no_mart_gives_away_what_another_hides(sums: pd.DataFrame, names: dict[str, str]) -> None:
    assert given_away(sums, names) == set()
    # the attack had something to find, and reads one mart beside another
    assert sums[sums.private & sums.number.isna()].mart.nunique() >= 4
    marts = sums.assign(sum=sums.what.map(names)).groupby("sum").mart.agg(set)
    assert {"mart_latency", "mart_metric_months"} <= set().union(*marts[marts.map(len) > 1])


@pytest.mark.parametrize("mart", ["mart_latency", "mart_metric_months", "mart_model_quality"])
def test_one_cell_too_many_is_found(sums: pd.DataFrame, names: dict[str, str], mart: str) -> None:
    """A mart that showed one of two hidden cells would give the other away."""
    hidden = sums[sums.private & sums.number.isna() & sums.total.notna() & (sums.mart == mart)]
    by = ["what", *WHEN]
    missing = sums[sums.number.isna()].groupby(by).size()
    pairs = hidden.set_index(by)
    pairs = pairs[pairs.index.isin(missing.index[missing == 2])]
    row = pairs.reset_index().iloc[0]
    is_cell = (sums[[*by, "segment_value"]] == row[[*by, "segment_value"]]).all(axis=1)
    assert given_away(sums.assign(number=sums.number.mask(is_cell, 5.0)), names)
