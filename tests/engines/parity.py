"""Compares every relation of a build on DuckDB with the same relation of another engine.

Rows are put side by side in the order of their exact columns, which hold the grain. Keys, texts,
dates, counts and decimals must be equal, doubles to 1e-9 of the larger.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb

# what tells how a build came about: files on DuckDB, days of arrival elsewhere
OF_THE_MECHANISM = (
    *("deliveries", "int_touched_", "int_build_ledger", "build_starts"),
    "int_mapped_deliveries",
    "fct_metric_definitions",
)
# of results down to the last bit, in which engines may differ
HASHES_OF_RESULTS = {"inputs_hash", "edges_hash"}
LAYERS = ("config", "staging", "core", "quality", "use", "metrics", "alerts", "lift", "marts")
# How another engine's relation is read: schema, name, types by column -> SQL to select from.
Reader = Callable[[str, str, dict[str, str]], str]


def differences(reference: Path, read: Reader, *, schema: str = "main") -> Iterator[str]:
    """One line for each relation that differs, with the first row that does."""
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        # views name the database after its file
        connection.execute(f"attach '{reference}' as warehouse (read_only)")
        connection.create_function("canonical", canonical, ["VARCHAR"], "VARCHAR")
        names = connection.execute(
            "select table_schema, table_name from information_schema.tables "
            "where table_catalog = 'warehouse' and starts_with(table_schema, $1) order by all",
            [f"{schema}_"],
        ).fetchall()
        assert {place for place, _ in names} == {f"{schema}_{layer}" for layer in LAYERS}
        for place, name in names:
            if name.startswith(OF_THE_MECHANISM):
                continue
            found = _difference(connection, place, name, read)
            if found:
                yield f"{place}.{name}: {found}"


def _difference(
    connection: duckdb.DuckDBPyConnection, schema: str, name: str, read: Reader
) -> str | None:
    described = connection.execute(f"describe warehouse.{schema}.{name}").fetchall()
    types = {column: type_ for column, type_, *_ in described}
    source = read(schema, name, types)
    columns = [row[0] for row in connection.execute(f"describe select * from {source}").fetchall()]
    if columns != list(types):
        return f"columns {sorted(set(columns) ^ set(types)) or columns}"
    exact = [
        column
        for column, type_ in types.items()
        if type_ != "DOUBLE" and column not in HASHES_OF_RESULTS
    ]
    selected = ", ".join(_comparable(column, type_) for column, type_ in types.items())
    order = ", ".join(f'"{column}"' for column in sorted(types, key=lambda name: name not in exact))
    for side, relation in (("ours", f"warehouse.{schema}.{name}"), ("theirs", source)):
        connection.execute(
            f"create or replace temp table {side}_rows as "
            f"select row_number() over (order by {order}) as nth, * "
            f"from (select {selected} from {relation})"
        )
    counts = [
        connection.execute(f"select count(*) from {side}_rows").fetchone()
        for side in ("ours", "theirs")
    ]
    if counts[0] != counts[1]:
        return f"{counts[0]} rows here, {counts[1]} there"
    for column, type_ in types.items():
        if column in HASHES_OF_RESULTS:
            continue
        one, other = f'ours_rows."{column}"', f'theirs_rows."{column}"'
        differs = f"{one} is distinct from {other}"
        if type_ == "DOUBLE":
            # what cancels out is zero but for the order of its sums
            tolerated = f"greatest(1e-9 * greatest(abs({one}), abs({other})), 1e-12)"
            differs += f" and not coalesce(abs({one} - {other}) <= {tolerated}, false)"
        row = connection.execute(
            f"select {one}, {other}, ours_rows.* from ours_rows "
            f"inner join theirs_rows using (nth) where {differs} limit 1"
        ).fetchone()
        if row:
            return f"{column} is {row[0]!r} here, {row[1]!r} there, in {row[2:]}"
    return None


def _comparable(column: str, type_: str) -> str:
    if column == "raw_row":
        return 'canonical("raw_row") as "raw_row"'
    return f'cast("{column}" as {type_}) as "{column}"'


def canonical(row: str) -> str:
    """A raw row as JSON whose numbers and UTC times are written alike, with names in one case."""
    values = json.loads(row)
    return json.dumps({key.lower(): _alike(values[key]) for key in sorted(values, key=str.lower)})


def _alike(value: str | None) -> str | None:
    try:
        return repr(float(value or ""))
    except ValueError:
        return re.sub(r"(:\d\d(?:\.\d+)?)\+00$", r"\1", value or "") or value
