"""Raw tables as delivered: their files, columns and mapped expressions.

Files are only read, in the way that the macro `raw_relation` reads them.
"""

from __future__ import annotations

import csv
import gzip
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from throughline.sql import describe, literal, one_row, reason
from throughline.workspace import (
    COLUMN_SETTINGS,
    REQUIRED_INPUT,
    Column,
    Finding,
    Table,
    UserError,
    Workspace,
    extra_columns,
)

SAMPLE_ROWS = 100_000


@dataclass(frozen=True)
class Input:
    """A raw table as delivered: `relation` is SQL to select from, `expressions` one SQL expression
    for each contract column that is delivered or mapped."""

    table: Table
    where: str
    relation: str
    is_typed: bool
    expressions: Mapping[str, str]

    @property
    def sample(self) -> str:
        """Typed files are sampled; text files are read whole, because only that finds bad rows."""
        limit = f" limit {SAMPLE_ROWS}" if self.is_typed else ""
        return f"(select * from {self.relation}{limit}) as delivered"


def open_input(
    connection: duckdb.DuckDBPyConnection, workspace: Workspace, table: Table
) -> tuple[Input, list[Finding]]:
    """A raw table with the expressions of its contract columns; raises UserError."""
    source = workspace.settings.get("sources", {}).get(table.name)
    where = f"{workspace.relative}/{source or f'raw/{table.name}'}"
    if source and not is_file_pattern(source):
        where = f"relation {source} ({table.name})"
        relation, is_typed = _warehouse_relation(connection, workspace, source, where=where), True
    else:
        relation, is_typed = _file_relation(connection, workspace, table, source, where=where)
    relation = f"{relation} as delivered"
    delivered = {
        name.lower(): type_ for name, type_ in describe(connection, f"select * from {relation}")
    }
    expressions, findings = _expressions(
        connection, workspace, table, relation=relation, delivered=delivered, where=where
    )
    return Input(table, where, relation, is_typed, expressions), findings


def is_file_pattern(source: str) -> bool:
    """As the macro `is_file_pattern`, and .json, so that it is refused as what it is."""
    return "/" in source or re.search(r"\.(parquet|csv|csv\.gz|json)$", source) is not None


def _file_relation(
    connection: duckdb.DuckDBPyConnection,
    workspace: Workspace,
    table: Table,
    source: str | None,
    *,
    where: str,
) -> tuple[str, bool]:
    patterns = (
        [source] if source else [f"raw/{table.name}/**/*.{end}" for end in ("parquet", "csv")]
    )
    readers = []
    for pattern in patterns:
        if pattern.endswith((".json", ".jsonl", ".ndjson", ".xlsx", ".avro")):
            what = f"{table.name} cannot be read from {Path(pattern).suffix} files"
            raise UserError(Finding("error", what, where, "Deliver Parquet or CSV."))
        is_absolute = pattern.startswith("/") or "://" in pattern
        path = pattern if is_absolute else f"{workspace.folder}/{pattern}"
        files = [pattern] if "://" in pattern else _glob(connection, path)
        reader = _parquet if ".parquet" in pattern else _csv
        if files:
            _check_files(connection, workspace, files, pattern=path, reader=reader)
            readers.append(reader(path))
    if not readers:
        raise UserError(_nothing_found(workspace, table, source, where=where))
    relation = " union all by name ".join(f"select * from {reader}" for reader in readers)
    return f"({relation})", all(reader.startswith("read_parquet") for reader in readers)


def _glob(connection: duckdb.DuckDBPyConnection, path: str) -> list[str]:
    rows = connection.execute("select file from glob(?) order by file", [path]).fetchall()
    return [file for (file,) in rows]


def _parquet(path: str) -> str:
    return f"read_parquet({literal(path)}, union_by_name = true, hive_partitioning = false)"


def _csv(path: str, *, header: str = "true") -> str:
    options = (
        f"all_varchar = true, header = {header}, quote = '\"', escape = '\"',"
        " union_by_name = true, hive_partitioning = false"
    )
    return f"read_csv({literal(path)}, {options})"


def _check_files(
    connection: duckdb.DuckDBPyConnection,
    workspace: Workspace,
    files: Iterable[str],
    *,
    pattern: str,
    reader: Callable[[str], str],
) -> None:
    """Raises UserError with the first file that cannot be opened, or told into columns."""
    try:
        delivered = describe(connection, f"select * from {reader(pattern)}")
        if reader is _parquet:
            return
        if not any(_delimiter(name) for name, _ in delivered):
            if _is_renamed(name for name, _ in delivered):
                _check_headers(connection, workspace, files)
            return
        fault = None
    except duckdb.Error as error:
        fault = error
    for file in files:
        where = os.path.relpath(file, workspace.project)
        try:
            columns = describe(connection, f"select * from {reader(file)}")
        except duckdb.Error as error:
            kind = "Parquet" if reader is _parquet else "CSV"
            what = f"not readable as {kind}: {reason(error)}"
            fix = "Correct and deliver the file again, or move it out of the folder."
            raise UserError(Finding("error", what, where, fix)) from None
        delimiter = _delimiter(columns[0][0]) if len(columns) == 1 else None
        if reader is _csv and delimiter:
            # DuckDB takes a file for one column when its rows do not agree on more.
            what = _ragged(file, delimiter=delimiter)
            fix = "Put a cell that holds the delimiter into double quotes; leave none out."
            raise UserError(Finding("error", what, where, fix))
    if fault:
        where = os.path.relpath(pattern, workspace.project)
        fix = "Give a column the same type in every file."
        raise UserError(Finding("error", reason(fault), where, fix))


def _is_renamed(names: Iterable[str]) -> bool:
    """Whether a name may be the second of its kind: DuckDB reads id, id as id, id_1."""
    known = {name.lower() for name in names}
    return any(re.sub("_[0-9]+$", "", name) in known - {name} for name in known)


def _check_headers(
    connection: duckdb.DuckDBPyConnection, workspace: Workspace, files: Iterable[str]
) -> None:
    """Raises UserError with the first file whose header names a column twice."""
    for file in files:
        header = one_row(connection, f"select * from {_csv(file, header='false')} limit 1")
        names = [str(name).lower() for name in header]
        where = os.path.relpath(file, workspace.project)
        fix = "Rename or remove one: only the first would be read."
        twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
        if twice:
            what = "column {} stands twice in the header"
            raise UserError(*(Finding("error", what.format(name), where, fix) for name in twice))


def _delimiter(name: str) -> str | None:
    """The delimiter in a column name, where a header was not told into columns."""
    return next((delimiter for delimiter in ",;\t|" if delimiter in name), None)


def _ragged(file: str, *, delimiter: str) -> str:
    open_text = gzip.open if file.endswith(".gz") else open
    with open_text(file, "rt", encoding="utf-8", errors="replace", newline="") as lines:
        rows = csv.reader(lines, delimiter=delimiter)
        width = len(next(rows))
        for row in rows:
            if row and len(row) != width:
                return f"row {rows.line_num} has {len(row)} cells, but the header has {width}"
    return f"not readable as CSV with the delimiter {delimiter!r}"


def _nothing_found(
    workspace: Workspace, table: Table, source: str | None, *, where: str
) -> Finding:
    folder = workspace.folder / "raw" / table.name
    others = sorted(
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    )
    found = f" (found: {', '.join(others[:3])})" if others and not source else ""
    fix = "Put files there or name their place under sources in vars.yml"
    if table.name != REQUIRED_INPUT:
        fix += ", or leave the table out of inputs"
    what = f"no Parquet or CSV file for {table.name}{found}"
    return Finding("error", what, where, f"{fix}.")


def _warehouse_relation(
    connection: duckdb.DuckDBPyConnection, workspace: Workspace, source: str, *, where: str
) -> str:
    fix = "Correct sources in vars.yml; a file pattern holds a / or ends in .parquet or .csv."
    try:
        if workspace.warehouse.exists():
            name = literal(str(workspace.warehouse))
            connection.execute(f"attach if not exists {name} as warehouse (read_only)")
            connection.execute("use warehouse")
        describe(connection, f"select * from {source}")
    except duckdb.Error as error:
        raise UserError(Finding("error", reason(error), where, fix)) from None
    return source


def _expressions(
    connection: duckdb.DuckDBPyConnection,
    workspace: Workspace,
    table: Table,
    *,
    relation: str,
    delivered: Mapping[str, str],
    where: str,
) -> tuple[dict[str, str], list[Finding]]:
    """Compiles each mapped or delivered contract column, and names the required ones that lack."""
    settings = workspace.settings
    mapping = settings.get("mapping", {}).get(table.name, {})
    extra = extra_columns(settings) if table.name == "prediction_logs" else []
    expressions, findings = {}, []
    for column in (*table.column_names, *extra):
        place = f"{where}, column {column}"
        if column not in mapping and column not in delivered:
            continue
        expression = mapping.get(column) or f'"{column}"'
        try:
            # a select would take an aggregate and fail later, among the other columns
            describe(connection, f"select 1 from {relation} where ({expression}) is null")
        except duckdb.Error as error:
            what = f"mapping '{expression}' does not compile: {reason(error)}"
            if re.search("cannot contain (aggregates|window functions)", what):
                kind = "an aggregate or window function, not a value of one row"
                what = f"mapping '{expression}' is {kind}"
            fix = f"Correct mapping.{table.name}.{column} in vars.yml."
            findings.append(Finding("error", what, place, fix))
            continue
        expressions[column] = expression
    found = ", ".join(delivered)
    for column in _missing(table.columns, mapping=mapping, delivered=delivered):
        what = f"required column {column} is missing (found: {found})"
        fix = f"Deliver it, or map it under mapping.{table.name}.{column} in vars.yml."
        findings.append(Finding("error", what, where, fix))
    if table.name == "prediction_logs":
        findings += _missing_extras(
            settings, mapping=mapping, delivered=delivered, where=f"{workspace.relative}/vars.yml"
        )
    return expressions, findings


def _missing(
    columns: Iterable[Column], *, mapping: Mapping[str, str], delivered: Mapping[str, str]
) -> list[str]:
    return [
        column.name
        for column in columns
        if column.required and column.name not in mapping and column.name not in delivered
    ]


def _missing_extras(
    settings: Mapping[str, Any],
    *,
    mapping: Mapping[str, str],
    delivered: Mapping[str, str],
    where: str,
) -> list[Finding]:
    """Columns that vars.yml names but prediction_logs lacks; defaults may be absent in silence."""
    return [
        Finding(
            "warning",
            f"{setting}: prediction_logs has no column {column}",
            where,
            f"Deliver it, map it, or take it out of {setting}.",
        )
        for setting in COLUMN_SETTINGS
        for column in settings.get(setting, ())
        if column not in mapping and column.lower() not in delivered
    ]
