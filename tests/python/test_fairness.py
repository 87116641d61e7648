"""Groups of protected attributes: each number against plain pandas, and what is hidden stays so."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations, pairwise, product
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import duckdb
import jinja2
import numpy as np
import pandas as pd
import pytest
from scipy.linalg import null_space
from scipy.stats import binomtest, norm

import plain_pandas
from building import ROOT, Project, query
from plain_values import hidden_cells

ATTRIBUTES = ["age_band", "gender"]
PAIR = "age_band & gender"
MINIMUM = 20
TABLE = ["model_id", "model_version", "attribute", "period", "period_end_date"]
GROUP = ["group_value", "other_value"]
RATES = {
    "selection_rate": (("selected",), ("rows",)),
    "true_positive_rate": (("tp",), ("tp", "fn")),
    "false_positive_rate": (("fp",), ("fp", "tn")),
    "false_negative_rate": (("fn",), ("tp", "fn")),
    "precision": (("tp",), ("tp", "fp")),
}
Z_OF_TWO = float(norm.ppf(1 - 0.05 / 4))


@pytest.fixture(scope="module")
def decisions(demo: Path) -> pd.DataFrame:
    company = plain_pandas.Company(
        raw=plain_pandas.read_raw(demo),
        seeds=ROOT / "seeds",
        as_of="2026-07-01",
        segments=["channel", "device", "region"],
    )
    rows = company.decisions
    return rows[(rows.task != "regression") & (rows.day < company.as_of)]


@pytest.fixture(scope="module")
def fairness(demo: Path) -> pd.DataFrame:
    return query(demo, "from mart_fairness")


def counted(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of some decisions by group, for every attribute and pair."""
    flags = pd.DataFrame(
        {
            "model_id": rows.model_id,
            "rows": 1,
            "selected": rows.says_yes,
            "matured": rows.state == "matured",
            **{cell: rows.cell == cell for cell in ("tp", "fp", "fn", "tn")},
            "scored": rows.cell.notna() & rows.score.notna(),
            "score": rows.score.where(rows.cell.notna(), np.nan),
            "positive": rows.cell.isin(["tp", "fn"]) & rows.score.notna(),
        }
    )
    known = rows[ATTRIBUTES].fillna("(unknown)")
    parts = []
    for attribute, names in {**{name: [name] for name in ATTRIBUTES}, PAIR: ATTRIBUTES}.items():
        values = [known[name] for name in names] + [pd.Series("all", index=rows.index)]
        keyed = flags.assign(
            attribute=attribute, group_value=values[0], other_value=values[len(names) - 1]
        )
        if len(names) == 1:
            keyed["other_value"] = "all"
        parts.append(keyed.groupby(["model_id", "attribute", *GROUP]).sum(numeric_only=True))
    return pd.concat(parts).reset_index()


def wilson(part: float, whole: float, *, confidence: float = 0.95) -> tuple[float, float]:
    found = binomtest(round(part), round(whole)).proportion_ci(confidence, method="wilson")
    return float(found.low), float(found.high)


def newcombe(
    one: tuple[float, float], other: tuple[float, float], *, confidence: float = 0.95
) -> tuple[float, float]:
    """Bounds of the difference of two shares, each a part and its whole."""
    p, q = one[0] / one[1], other[0] / other[1]
    low, high = wilson(*one, confidence=confidence)
    other_low, other_high = wilson(*other, confidence=confidence)
    return (
        p - q - math.hypot(p - low, other_high - q),
        p - q + math.hypot(high - p, q - other_low),
    )


def log_ratio(one: tuple[float, float], other: tuple[float, float]) -> tuple[float, float]:
    """The logarithm of the ratio of two shares and its standard error."""
    cells = [count + 0.5 for count in (*one, *other)]
    centre = math.log(cells[0] / cells[1] * cells[3] / cells[2])
    square = 1 / cells[0] - 1 / cells[1] + 1 / cells[2] - 1 / cells[3]
    return centre, math.sqrt(max(square, 0))


def verdicts(ratios: Mapping[Any, tuple[float, float]]) -> dict[Any, str]:
    """Holm over the groups of a table: the smallest probability first, until one holds."""
    found = {}
    for group, (centre, error) in ratios.items():
        is_above = math.exp(centre - norm.ppf(0.975) * error) > 0.8
        found[group] = "pass" if is_above else "insufficient"
    tests = {
        group: norm.sf((math.log(0.8) - centre) / error)
        for group, (centre, error) in ratios.items()
        if error
    }
    for place, group in enumerate(sorted(tests, key=lambda group: tests[group])):
        if tests[group] > 0.025 / (len(ratios) - place):
            break
        found[group] = "fail"
    return found


def test_every_shown_number_equals_plain_pandas(
    decisions: pd.DataFrame, fairness: pd.DataFrame
) -> None:
    spans = fairness.groupby(["model_version", "period", "period_start_date", "period_end_date"])
    checked = 0
    for (version, _, start, end), told in spans:
        rows = decisions[(decisions.day >= start) & (decisions.day <= end)]
        rows = rows if version == "all" else rows[rows.model_version == version]
        rows = rows[rows.model_id.isin(told.model_id)]
        if rows.empty:
            continue
        plain = counted(rows).set_index(["model_id", "attribute", *GROUP])
        for _, table in told.groupby(["model_id", "attribute"]):
            checked += assert_table_is(table, plain)
    assert checked > 250


def assert_table_is(table: pd.DataFrame, plain: pd.DataFrame) -> int:
    """Holds the shown rows of a table against counts by group, and says how many they are."""
    shown = table[table.row_count.notna()]
    reference = shown[shown.is_reference]
    shares: dict[str, dict[Any, tuple[float, float]]] = {name: {} for name in RATES}
    for row in shown.to_dict("records"):
        key = (row["model_id"], row["attribute"], row["group_value"], row["other_value"])
        counts = plain.loc[key]
        assert (row["row_count"], row["selected_count"]) == (counts["rows"], counts.selected), key
        for name, (part, whole) in RATES.items():
            over, under = counts[list(part)].sum(), counts[list(whole)].sum()
            is_known = name == "selection_rate" or not pd.isna(row["matured_count"])
            if not is_known or under < MINIMUM:
                assert pd.isna(row[name]), (key, name)
                continue
            shares[name][key] = (over, under)
            found = [row[name], row[f"{name}_low"], row[f"{name}_high"]]
            np.testing.assert_allclose(found, [over / under, *wilson(over, under)], atol=1e-9)
        if not pd.isna(row["matured_count"]):
            cells = ("true_positive", "false_positive", "false_negative", "true_negative")
            assert [row[f"{cell}_count"] for cell in cells] == list(
                counts[["tp", "fp", "fn", "tn"]]
            )
            assert row["matured_count"] == counts.matured
        if not pd.isna(row["mean_score"]):
            expected = [counts.score / counts.scored, counts.positive / counts.scored]
            np.testing.assert_allclose([row["mean_score"], row["observed_share"]], expected)
    if reference.empty:
        return len(shown)
    (base,) = reference[["model_id", "attribute", *GROUP]].itertuples(index=False, name=None)
    assert_compared_with(base, shown=shown, shares=shares)
    return len(shown)


def assert_compared_with(
    base: tuple[str, ...],
    *,
    shown: pd.DataFrame,
    shares: Mapping[str, Mapping[Any, tuple[float, float]]],
) -> None:
    """Holds differences, ratios and verdicts against those of the shares that were counted."""
    expected_verdicts = {}
    for column, rate in (
        ("verdict", "selection_rate"),
        ("opportunity_verdict", "true_positive_rate"),
    ):
        of = shares[rate]
        ratios = {key: log_ratio(of[key], of[base]) for key in of if base in of and key != base}
        expected_verdicts[column] = verdicts(ratios)
    for row in shown.to_dict("records"):
        key = (row["model_id"], row["attribute"], row["group_value"], row["other_value"])
        if key == base:
            assert pd.isna(row["verdict"])
            assert pd.isna(row["statistical_parity_difference"])
            continue
        for column, expected_of in expected_verdicts.items():
            assert row[column] == expected_of.get(key, "insufficient"), (key, column)
        bounds = []
        for name, rate in (
            ("statistical_parity", "selection_rate"),
            ("equal_opportunity", "true_positive_rate"),
            ("predictive_equality", "false_positive_rate"),
        ):
            of = shares[rate]
            if key not in of or base not in of:
                assert pd.isna(row[f"{name}_difference"])
                continue
            one, other = of[key], of[base]
            difference = one[0] / one[1] - other[0] / other[1]
            found = [row[f"{name}_difference{end}"] for end in ("", "_low", "_high")]
            np.testing.assert_allclose(found, [difference, *newcombe(one, other)], atol=1e-9)
            if rate != "selection_rate":
                bounds.append((abs(difference), *newcombe(one, other, confidence=0.975)))
        if len(bounds) == 2:
            expected = [
                max(size for size, _, _ in bounds),
                max(0, *(low for _, low, _ in bounds), *(-high for _, _, high in bounds)),
                max(*(high for _, _, high in bounds), *(-low for _, low, _ in bounds)),
            ]
            found = [row[f"equalised_odds_difference{end}"] for end in ("", "_low", "_high")]
            np.testing.assert_allclose(found, expected, atol=1e-9)
        for name, rate in (
            ("disparate_impact", "selection_rate"),
            ("opportunity", "true_positive_rate"),
        ):
            of = shares[rate]
            if key not in of or base not in of:
                continue
            centre, error = log_ratio(of[key], of[base])
            ends = [math.exp(centre + sign * norm.ppf(0.975) * error) for sign in (-1, 1)]
            found = [row[f"{name}_ratio_low"], row[f"{name}_ratio_high"]]
            np.testing.assert_allclose(found, ends, rtol=1e-9)


def test_the_planted_groups_fail_and_no_other(demo: Path, fairness: pd.DataFrame) -> None:
    truth = json.loads((demo / "truth.json").read_text(encoding="utf-8"))
    planted = {
        (truth["missed_group"]["protected_attribute"], truth["missed_group"]["missed"]),
        (truth["groups"]["protected_attribute"], truth["groups"]["treated_worse"]),
    }
    whole = fairness[
        (fairness.period == "all")
        & (fairness.model_version == "all")
        & (fairness.attribute != PAIR)
    ]
    failed = whole[(whole.opportunity_verdict == "fail") | (whole.verdict == "fail")]
    assert set(failed.model_id) == {"lead_scoring"}
    assert set(zip(failed.attribute, failed.group_value, strict=True)) == planted
    missed = failed[failed.attribute == "gender"].iloc[0]
    counts = truth["missed_group"]["counts"]
    rates = {side: of["tp"] / (of["tp"] + of["fn"]) for side, of in counts.items()}
    assert rates["missed"] == pytest.approx(rates["rest"] / 2, rel=0.25)
    assert missed.equal_opportunity_difference_high < -0.1
    assert missed.equalised_odds_difference_low > 0.1
    planted_ratio = rates["missed"] / rates["rest"]
    assert missed.opportunity_ratio_low < planted_ratio < missed.opportunity_ratio_high < 0.8


def test_labels_that_have_not_matured_are_not_judged(fairness: pd.DataFrame) -> None:
    waiting = fairness[fairness.label_reason == "labels_not_matured"]
    assert {"lead_scoring", "fraud_detection"} <= set(waiting.model_id)
    labelled = ["true_positive_rate", "precision", "mean_score", "equal_opportunity_difference"]
    assert waiting[labelled].isna().all().all()
    # what is selected is known at once
    assert waiting[waiting.reason.isna()].selection_rate.notna().all()


# What is hidden

Cells = dict[tuple[str, str, str], int]
"""Rows by version, value of the first attribute and value of the second."""


@dataclass(frozen=True)
class Sight:
    """Some decisions by version and pair, and which of their tables' cells are shown.

    A shown cell is (version, value, other value), where `all` sums over what it stands for.
    """

    cells: Cells
    shown: frozenset[tuple[str, str, str]]
    tables: frozenset[tuple[str, str, str]]

    def given_away(self) -> set[tuple[str, str, str]]:
        """The hidden cells that follow linearly from the shown ones and the totals of versions."""
        places = {cell: i for i, cell in enumerate(sorted(self.cells))}
        versions = {version for version, _, _ in self.cells}
        known = self.shown | {(version, "all", "all") for version in {*versions, "all"}}

        def sum_of(wanted: tuple[str, str, str]) -> np.ndarray:
            row = np.zeros(len(places))
            for cell, place in places.items():
                row[place] = all(w in ("all", c) for w, c in zip(wanted, cell, strict=True))
            return row

        free = null_space(np.array([sum_of(cell) for cell in sorted(known)]), rcond=1e-10)
        return {
            cell
            for cell in self.tables - self.shown
            if not (np.abs(sum_of(cell) @ free) > 1e-9).any()
        }

    def amount(self, wanted: tuple[str, str, str]) -> int:
        return sum(
            count
            for cell, count in self.cells.items()
            if all(w in ("all", c) for w, c in zip(wanted, cell, strict=True))
        )


def tables_of(cells: Cells) -> frozenset[tuple[str, str, str]]:
    """Every cell of the two tables of one attribute and the table of the pair, by version."""
    versions = {version for version, _, _ in cells} | {"all"}
    rows, columns = {row for _, row, _ in cells}, {column for _, _, column in cells}
    inner = [("all", column) for column in columns] + [(row, "all") for row in rows]
    inner += list(product(rows, columns))
    return frozenset((version, *pair) for version, pair in product(versions, inner))


def as_rows(cells: Cells, *, model_id: str) -> Iterator[tuple[str, str, str, str, str, int]]:
    """The same as rows of int_group_periods: model, version, attribute, value, other, count."""
    sight = Sight(cells, frozenset(), frozenset())
    for version, row, column in sorted(tables_of(cells)):
        count = sight.amount((version, row, column))
        if row == "all":
            yield model_id, version, "gender", column, "all", count
        elif column == "all":
            yield model_id, version, "age_band", row, "all", count
        else:
            yield model_id, version, PAIR, row, column, count


def as_cell(row: Mapping[str, Any]) -> tuple[str, str, str]:
    """The cell that a row of a mart or of hidden groups is about."""
    if row["attribute"] == "gender":
        return str(row["model_version"]), "all", str(row["group_value"])
    return str(row["model_version"]), str(row["group_value"]), str(row["other_value"])


@pytest.fixture(scope="module")
def hiding(demo_project: Project, demo: Path) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """What the models hide of rows of int_group_periods."""
    names = ["int_group_periods", "int_group_patterns", "int_hidden_groups"]
    run = demo_project.dbt(demo, "compile", "--select", *names[1:])
    assert run.status == 0, run.output
    queries = {}
    for source, name in pairwise(names):
        (path,) = (demo_project.root / "target/compiled").rglob(f"{name}.sql")
        text = path.read_text(encoding="utf-8")
        queries[name] = text.replace(f'"warehouse"."main_quality"."{source}"', source)
        assert "main_quality" not in queries[name]

    def hide(rows: pd.DataFrame) -> pd.DataFrame:
        with duckdb.connect() as connection:
            connection.register(names[0], rows)
            for name, sql in queries.items():
                connection.execute(f"create table {name} as {sql}")
            return connection.sql(f"from {name}").df()

    return hide


def test_no_hidden_group_of_random_tables_follows_from_the_rest(
    hiding: Callable[[pd.DataFrame], pd.DataFrame],
) -> None:
    """Two attributes, their pairs and up to three versions of a model at once."""
    draw = np.random.default_rng(7)
    sights: dict[str, Cells] = {}
    for number in range(600):
        scale = draw.choice([1, 6])
        shape = [draw.integers(1, 6), draw.integers(2, 5), draw.integers(2, 4)]
        names = [
            [f"{kind}{i}" for i in range(size)] for kind, size in zip("vac", shape, strict=True)
        ]
        sights[f"m{number}"] = {
            cell: int(scale * draw.choice([0, 1, 3, 12, 20, 30, 400], p=weights))
            for weights in [draw.dirichlet([1, 0.4, 0.4, 0.4, 1, 2, 2])]
            for cell in cast("Iterator[tuple[str, str, str]]", product(*names))
        }
    rows = [row for model_id, cells in sights.items() for row in as_rows(cells, model_id=model_id)]
    columns = ["model_id", "model_version", "attribute", *GROUP, "row_count"]
    random_groups = pd.DataFrame(rows, columns=columns).assign(
        period="month", period_end_date=pd.Timestamp("2026-06-30")
    )
    found = hiding(random_groups)
    hidden = dict(iter(found.groupby("model_id")))
    versions_in_part = pairs_in_part = 0
    for model_id, cells in sights.items():
        of_model = hidden.get(model_id)
        closed = (
            set() if of_model is None else {as_cell(row) for row in of_model.to_dict("records")}
        )
        tables = tables_of(cells)
        sight = Sight(cells, frozenset(tables - closed), tables)
        for cell in sight.shown:
            assert sight.amount(cell) == 0 or sight.amount(cell) >= MINIMUM, (cells, cell)
        assert not sight.given_away(), cells
        # where the whole table of pairs is hidden, its margins are what is shown
        pairs = [cell for cell in tables if cell[0] == "all" and "all" not in cell[1:]]
        is_in_part = len(closed & set(pairs)) < len(pairs)
        for value in {column for _, _, column in cells}:
            of_value = {cell for cell in closed if cell[0] == "all" and cell[2] == value}
            inner = of_value - {("all", "all", value)}
            if is_in_part and inner and ("all", "all", value) not in closed:
                assert_covered([sight.amount(cell) for cell in inner])
        for value in {row for _, row, _ in cells}:
            of_value = {cell for cell in closed if cell[:2] == ("all", value)}
            inner = of_value - {("all", value, "all")}
            if is_in_part and inner and ("all", value, "all") not in closed:
                assert_covered([sight.amount(cell) for cell in inner])
        pairs_in_part += is_in_part and bool(closed & set(pairs))
        open_versions = {cell[0] for cell in sight.shown} - {"all"}
        versions_in_part += 0 < len(open_versions) < len({version for version, _, _ in cells})
    assert pairs_in_part > 60
    assert versions_in_part > 20


def assert_covered(counts: list[int]) -> None:
    """Hidden cells of a line whose sum is known: none has rows, or two have, enough together."""
    full = [count for count in counts if count]
    assert not full or (len(full) >= 2 and sum(full) >= MINIMUM), counts


def test_the_attack_finds_what_one_hidden_pair_gives_away() -> None:
    cells = {("v", row, column): 30 for row in "ab" for column in "cd"}
    tables = tables_of(cells)
    one = frozenset({("v", "a", "c"), ("all", "a", "c")})
    assert Sight(cells, tables - one, tables).given_away() == one
    row = frozenset({("v", "a", "c"), ("all", "a", "c"), ("v", "a", "d"), ("all", "a", "d")})
    assert Sight(cells, tables - row, tables).given_away() == row
    block = frozenset(cell for cell in tables if "all" not in cell[1:])
    assert not Sight(cells, tables - block, tables).given_away()


def test_no_row_of_the_mart_gives_a_hidden_group_away(
    decisions: pd.DataFrame, fairness: pd.DataFrame
) -> None:
    attacked = emptied = 0
    for (model_id, period, end), told in fairness.groupby(
        ["model_id", "period", "period_end_date"]
    ):
        if (told.reason == "partial_window").any():
            assert told.row_count.isna().all()
            continue
        rows = decisions[(decisions.model_id == model_id) & (decisions.day <= end)]
        rows = rows[rows.day >= told.period_start_date.iloc[0]]
        counts = rows.fillna(dict.fromkeys(ATTRIBUTES, "(unknown)"))
        made = counts.groupby(["model_version", *ATTRIBUTES]).size()
        axes = [
            sorted(set(told.model_version) - {"all"}),
            sorted(set(told[told.attribute == "age_band"].group_value)),
            sorted(set(told[told.attribute == "gender"].group_value)),
        ]
        cells = {cell: int(made.get(cell, 0)) for cell in product(*axes)}
        is_shown = told.row_count.notna() | (told.reason == "no_data")
        shown = frozenset(as_cell(row) for row in told[is_shown].to_dict("records"))
        sight = Sight(cast("Cells", cells), shown, tables_of(cast("Cells", cells)))
        assert not sight.given_away(), (model_id, period, end)
        for attribute, place in (("age_band", 1), ("gender", 2)):
            values = sorted(axes[place])
            wholes = [
                ("all", value, "all") if place == 1 else ("all", "all", value) for value in values
            ]
            hides = hidden_cells([sight.amount(cell) for cell in wholes], MINIMUM)
            assert [cell not in shown for cell in wholes] == hides, (model_id, period, attribute)
        attacked += (told.reason == "private").any()
        # a pair of which no group is shown says so, in all its versions
        of_pairs = told[told.attribute.str.contains("&")]
        of_all = of_pairs[of_pairs.model_version == "all"]
        is_empty = of_all.reason.isin(["private", "private_table"]).all()
        assert ((of_pairs.reason == "private_table") == is_empty).all()
        emptied += is_empty
    assert attacked >= 6
    assert emptied >= 3


def test_protected_attributes_are_in_no_other_mart(demo: Path) -> None:
    columns = query(
        demo,
        "select table_name, column_name, data_type from duckdb_columns() "
        "where schema_name = 'main_marts'",
    )
    assert "mart_fairness" in set(columns.table_name)
    for mart, of_mart in columns[columns.table_name != "mart_fairness"].groupby("table_name"):
        for name in of_mart.column_name:
            assert not any(attribute in name for attribute in ATTRIBUTES), (mart, name)
        for name in of_mart[
            of_mart.column_name.str.contains("segment_name|feature|attribute")
        ].column_name:
            found = set(query(demo, f"select distinct {name} as found from {mart}").found)
            assert not found & set(ATTRIBUTES), (mart, name)
        if "segment_value" in set(of_mart.column_name):
            found = set(query(demo, f"select distinct segment_value as found from {mart}").found)
            assert not found & {"65+", "female", "male", "not_stated"}, mart


# The macros, over generated tables


@pytest.fixture(scope="module")
def macros() -> ModuleType:
    """The macros of intervals, which need nothing of dbt."""
    text = (ROOT / "macros/intervals.sql").read_text(encoding="utf-8")
    environment = jinja2.Environment(extensions=["jinja2.ext.do"])
    return cast("ModuleType", environment.from_string(text).module)


def test_intervals_are_those_of_scipy(macros: ModuleType) -> None:
    draw = np.random.default_rng(3)
    sizes = draw.integers(1, 300, (100, 2))
    counts = draw.integers(0, sizes + 1)
    counts[::10, 0] = 0
    counts[::15, 1] = sizes[::15, 1]
    shares = counts / sizes
    rows = {"p": shares[:, 0], "n": sizes[:, 0] * 1.0, "q": shares[:, 1], "m": sizes[:, 1] * 1.0}
    found = interval_rows(macros, pd.DataFrame(rows))
    pairs = [
        (int(x), int(n))
        for side in (0, 1)
        for x, n in zip(counts[:, side], sizes[:, side], strict=True)
    ]
    for row, one, other in zip(found.itertuples(), pairs[:100], pairs[100:], strict=True):
        expected = [*newcombe(one, other), *newcombe(one, other, confidence=0.975)]
        bounds = [row.difference_low, row.difference_high, row.wide_low, row.wide_high]
        np.testing.assert_allclose(bounds, expected, atol=1e-9)
        np.testing.assert_allclose([row.logarithm, row.error], log_ratio(one, other), atol=1e-9)


def interval_rows(macros: ModuleType, rows: pd.DataFrame) -> pd.DataFrame:
    """Intervals of shares p among n and q among m by the SQL of the macros."""
    one, two = macros.quantile_of_one(), macros.quantile_of_two()
    limits = ", ".join(
        f"{macros.wilson_bound(share, units, sign, quantile)} as {share}_{name}{width}"
        for share, units in (("p", "n"), ("q", "m"))
        for sign, name in (("-", "low"), ("+", "high"))
        for quantile, width in ((one, ""), (two, "_wide"))
    )

    def bound(width: str, sign: str) -> str:
        ends = [f"{share}_{end}{width}" for share in "pq" for end in ("low", "high")]
        return str(macros.newcombe_bound("p", ends[0], ends[1], "q", ends[2], ends[3], sign))

    sql = f"""
        with bounded as (select *, {limits} from rows)
        select *,
            {bound("", "-")} as difference_low, {bound("", "+")} as difference_high,
            {bound("_wide", "-")} as wide_low, {bound("_wide", "+")} as wide_high,
            {macros.log_ratio("p", "n", "q", "m")} as logarithm,
            {macros.log_ratio_error("p", "n", "q", "m")} as error
        from bounded
    """
    with duckdb.connect() as connection:
        connection.register("rows", rows)
        return connection.sql(sql).df()


CASES = [(0.3, 0.3), (0.5, 0.4), (0.1, 0.15), (0.25, 0.5), (0.8, 0.6), (0.6, 0.3)]
SIZES = [(100, 1000), (200, 200), (500, 5000)]
DRAWS = 20_000


def drawn(p: float, q: float, sizes: tuple[int, int], *, seed: int) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    n, m = sizes
    rows = {"p": draw.binomial(n, p, DRAWS) / n, "q": draw.binomial(m, q, DRAWS) / m}
    return pd.DataFrame({**rows, "n": float(n), "m": float(m)})


@pytest.mark.simulation
@pytest.mark.parametrize(("shares", "sizes"), list(product(CASES, SIZES)))
def test_differences_and_ratios_cover(
    shares: tuple[float, float], sizes: tuple[int, int], macros: ModuleType
) -> None:
    p, q = shares
    found = interval_rows(macros, drawn(p, q, sizes, seed=11))
    covers = (found.difference_low <= p - q) & (p - q <= found.difference_high)
    assert 0.93 <= covers.mean() <= 0.97
    reach = norm.ppf(0.975) * found.error
    covers = (found.logarithm - math.log(p / q)).abs() <= reach
    assert 0.93 <= covers.mean() <= 0.97


@pytest.mark.simulation
@pytest.mark.parametrize(("one", "other"), list(combinations(CASES, 2)))
def test_the_larger_of_two_differences_is_bounded(
    one: tuple[float, float], other: tuple[float, float], macros: ModuleType
) -> None:
    """The upper bound holds in 95 of 100 draws or more, and so does the lower one."""
    truth = max(abs(one[0] - one[1]), abs(other[0] - other[1]))
    sides = [
        interval_rows(macros, drawn(*shares, (200, 1000), seed=seed))
        for seed, shares in ((5, one), (6, other))
    ]
    high = np.max([np.maximum(side.wide_high, -side.wide_low) for side in sides], axis=0)
    low = np.max([np.maximum(side.wide_low, -side.wide_high) for side in sides], axis=0)
    margin = 3 * math.sqrt(0.05 * 0.95 / DRAWS)
    assert (high >= truth).mean() >= 0.95 - margin
    assert (low <= truth).mean() >= 0.95 - margin


@pytest.mark.simulation
def test_groups_at_the_bound_fail_once_in_forty(macros: ModuleType) -> None:
    """Six groups whose true ratio is the bound: one is failed in at most 2.5 % of the tables."""
    draw = np.random.default_rng(2)
    failed = 0
    tables = 4_000
    reference = draw.binomial(4_000, 0.5, tables)
    groups = draw.binomial(500, 0.4, (tables, 6))
    for base, counts in zip(reference, groups, strict=True):
        ratios = {i: log_ratio((count, 500), (base, 4_000)) for i, count in enumerate(counts)}
        failed += "fail" in verdicts(ratios).values()
    assert failed / tables <= 0.025 + 3 * math.sqrt(0.025 * 0.975 / tables)
