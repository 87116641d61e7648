"""Raw tables as delivered: their files, columns and mapped expressions.

Files are only read, in the way that the macro `raw_relation` reads them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

import duckdb

from throughline import records
from throughline.contract import REQUIRED_INPUT, Column, Table
from throughline.findings import Finding, UserError
from throughline.settings import COLUMN_SETTINGS, extra_columns
from throughline.sql import describe, literal, reason
from throughline.workspace import Workspace

SAMPLE_ROWS = 100_000
# What is read below the folder of a raw table; the macro `file_patterns` has the same list.
PATTERNS = (
    "**/*.[pP][aA][rR][qQ][uU][eE][tT]",
    "**/*.[cCtT][sS][vV]",
    "**/*.[cCtT][sS][vV].[gG][zZ]",
    "**/*.[cCtT][sS][vV].[zZ][sS][tT]",
)
# What may stand beside them, and how to have it read; the first that fits.
OTHER_KINDS = (
    (r"\.(json|jsonl|ndjson|avro|orc|arrow|feather)(\.\w+)?$", "Deliver Parquet or CSV."),
    (r"\.(xlsx?|xlsm|ods|numbers)$", "Save it as CSV in UTF-8."),
    (r"\.(bz2|xz|zip|7z|tar|tgz|Z|lz4|snappy|gz|zst)$", "Unpack it; CSV may be packed by gzip."),
    (r"\.(parq|pq)$", "Rename it to end in .parquet."),
    ("", "Rename it to end in .csv or .tsv if it is one, else move it out of the folder."),
)
TABLE_FORMATS = {"_delta_log/*": "Delta", "metadata/*.avro": "Iceberg", ".hoodie/*": "Hudi"}


@dataclass(frozen=True)
class Input:
    """A raw table as delivered: `relation` is SQL to select from, `expressions` one SQL expression
    for each contract column that is delivered or mapped."""

    table: Table
    where: str
    relation: str
    parquet: tuple[str, ...]
    csv: tuple[str, ...]
    is_typed: bool
    expressions: Mapping[str, str]

    def is_own(self, column: str) -> bool:
        """Whether a contract column is read under its own name, not by a mapping."""
        return self.expressions[column] == f'"{column}"'

    @property
    def files(self) -> tuple[str, ...]:
        return self.parquet + self.csv

    @property
    def sample(self) -> str:
        """Typed files are sampled; text files are read whole, because only that finds bad rows."""
        limit = f" limit {SAMPLE_ROWS}" if self.is_typed else ""
        return f"(select * from {self.relation}{limit}) as delivered"


def open_input(
    connection: duckdb.DuckDBPyConnection, workspace: Workspace, table: Table
) -> tuple[Input, list[Finding]]:
    """A raw table with the expressions of its contract columns; raises UserError.

    Of a table that may be missing, and is, the error has no findings.
    """
    source = workspace.settings.get("sources", {}).get(table.name)
    where = f"{workspace.relative}/{source or f'raw/{table.name}'}"
    findings: list[Finding] = []
    readers: Mapping[str, list[str]] = {}
    if source and not is_file_pattern(source):
        where = f"relation {source} ({table.name})"
        relation, is_typed = _warehouse_relation(connection, workspace, source, where=where), True
    else:
        if found := table_format(connection, workspace, table.name, source):
            raise UserError(found)
        readers = _readers(connection, workspace, table, source, where=where)
        findings = _check_files(connection, workspace, readers, where=where)
        relation = " union all by name ".join(f"select * from {reader}" for reader in readers)
        relation, is_typed = f"({relation})", all(map(_is_parquet, readers))
    relation = f"{relation} as delivered"
    delivered = {
        name.lower(): type_ for name, type_ in describe(connection, f"select * from {relation}")
    }
    expressions, faults = _expressions(
        connection, workspace, table, relation=relation, delivered=delivered, where=where
    )
    parquet = [file for reader, files in readers.items() if _is_parquet(reader) for file in files]
    csv = [file for reader, files in readers.items() if not _is_parquet(reader) for file in files]
    opened = Input(table, where, relation, tuple(parquet), tuple(csv), is_typed, expressions)
    return opened, findings + faults


def is_file_pattern(source: str) -> bool:
    """As the macro `is_file_pattern`, and .json, so that it is refused as what it is."""
    ending = r"\.(parquet|[ct]sv(\.(gz|zst))?|json)$"
    return "/" in source or re.search(ending, source, re.IGNORECASE) is not None


def patterns(table: str, source: str | None) -> tuple[str, ...]:
    """The file patterns of a raw table as the settings write them; none for a relation."""
    if source:
        return (source,) if is_file_pattern(source) else ()
    return tuple(f"raw/{table}/{pattern}" for pattern in PATTERNS)


def located(workspace: Workspace, pattern: str) -> str:
    is_absolute = pattern.startswith("/") or "://" in pattern
    return pattern if is_absolute else f"{workspace.folder}/{pattern}"


def _readers(
    connection: duckdb.DuckDBPyConnection,
    workspace: Workspace,
    table: Table,
    source: str | None,
    *,
    where: str,
) -> dict[str, list[str]]:
    """SQL that reads a raw table, a function for each of its patterns, with the files of it."""
    readers = {}
    for pattern in patterns(table.name, source):
        if re.search(r"\.(json|jsonl|ndjson|xlsx|avro)$", pattern, re.IGNORECASE):
            what = f"{table.name} cannot be read from {Path(pattern).suffix} files"
            raise UserError(Finding("error", what, where, "Deliver Parquet or CSV."))
        path = located(workspace, pattern)
        files = [pattern] if "://" in pattern else glob(connection, path)
        if files:
            readers[_reader(pattern, path)] = files
    if not readers and table.may_be_missing and not source:
        raise UserError()
    if not readers:
        raise UserError(_nothing_found(table, where=where))
    return readers


def glob(connection: duckdb.DuckDBPyConnection, path: str) -> list[str]:
    rows = connection.execute("select file from glob(?) order by file", [path]).fetchall()
    return [file for (file,) in rows]


def _reader(pattern: str, path: str) -> str:
    """A function of DuckDB that reads `path`, a file or a pattern, by the endings of `pattern`."""
    ending = re.sub(r"\[(.).\]", r"\1", pattern).lower()
    return parquet_reader(path) if ".parquet" in ending else csv_reader(path, ending=ending)


def parquet_reader(path: str) -> str:
    return f"read_parquet({literal(path)}, union_by_name = true, hive_partitioning = false)"


def csv_reader(path: str, *, ending: str) -> str:
    packed = {".gz": "gzip", ".zst": "zstd"}.get(Path(ending).suffix, "none")
    # All but the delimiter is fixed: DuckDB would take # for a comment, and skip first rows that
    # are wider than the header.
    options = (
        "all_varchar = true, header = true, skip = 0, comment = '', quote = '\"', escape = '\"',"
        f" compression = '{packed}', union_by_name = true, hive_partitioning = false"
    )
    return f"read_csv({literal(path)}, {options})"


def _is_parquet(reader: str) -> bool:
    return reader.startswith("read_parquet")


def _check_files(
    connection: duckdb.DuckDBPyConnection,
    workspace: Workspace,
    readers: Mapping[str, list[str]],
    *,
    where: str,
) -> list[Finding]:
    """Files that are empty; raises UserError with those that cannot be read, or not as meant."""
    empty: list[Finding] = []
    faults: list[Finding] = []
    for reader, files in readers.items():
        for file in files:
            if "://" in file:
                continue
            place = os.path.relpath(file, workspace.project)
            if Path(file).stat().st_size < 1000 and records.is_empty(Path(file)):
                fix = "Deliver it again, or remove it."
                empty.append(Finding("warning", "empty file", place, fix))
            elif not _is_parquet(reader) and (fault := records.header_fault(Path(file))):
                faults.append(_finding(fault, workspace, file))
    if any(fault.severity == "error" for fault in faults):
        raise UserError(*faults)
    if len(empty) == sum(map(len, readers.values())):
        raise UserError(*(replace(finding, severity="error") for finding in empty))
    for reader, files in readers.items():
        try:
            columns = [name for name, _ in describe(connection, f"select * from {reader}")]
        except duckdb.Error as error:
            raise UserError(_unreadable(connection, workspace, reader, files, error)) from None
        if not _is_parquet(reader) and any(map(_delimiter, columns)):
            # DuckDB takes a file for one column when its rows do not agree on more.
            found = csv_faults(workspace, files)
            if found:
                raise UserError(*found)
    return empty + faults


def csv_faults(workspace: Workspace, files: Iterable[str]) -> list[Finding]:
    """Why CSV files are not read, as far as the second reader sees it."""
    return [
        _finding(fault, workspace, file)
        for file in files
        if "://" not in file and (fault := records.fault(Path(file)))
    ]


def _finding(fault: records.Fault, workspace: Workspace, file: str) -> Finding:
    where = os.path.relpath(file, workspace.project)
    severity: Literal["error", "warning"] = "warning" if fault.is_harmless else "error"
    return Finding(severity, fault.what, fault.at(where), fault.fix)


def _unreadable(
    connection: duckdb.DuckDBPyConnection,
    workspace: Workspace,
    reader: str,
    files: Iterable[str],
    error: duckdb.Error,
) -> Finding:
    """The first file of a reader that cannot be opened, or that they do not go together."""
    kind = "Parquet" if _is_parquet(reader) else "CSV"
    for file in files:
        where = os.path.relpath(file, workspace.project)
        try:
            one = (
                parquet_reader(file) if kind == "Parquet" else csv_reader(file, ending=file.lower())
            )
            describe(connection, f"select * from {one}")
        except duckdb.Error as cause:
            told = csv_faults(workspace, [file]) if kind == "CSV" else []
            if told:
                return told[0]
            what = f"not readable as {kind}: {reason(cause)}"
            fix = "Correct and deliver the file again, or move it out of the folder."
            return Finding("error", what, where, fix)
    where = os.path.relpath(reader.split("'")[1], workspace.project)
    return Finding("error", reason(error), where, "Give a column the same type in every file.")


def _delimiter(name: str) -> str | None:
    """The delimiter in a column name, where a header was not told into columns."""
    return next((delimiter for delimiter in records.DELIMITERS if delimiter in name), None)


def _nothing_found(table: Table, *, where: str) -> Finding:
    fix = "Put files there or name their place under sources in vars.yml"
    if table.name != REQUIRED_INPUT:
        fix += ", or leave the table out of inputs"
    return Finding("error", f"no Parquet or CSV file for {table.name}", where, f"{fix}.")


# Files that are not read


def watched_folders(table: str, source: str | None) -> list[str]:
    """The folders whose files belong to a raw table, as the settings write them, each with its /.

    Its own and, where `sources` has a pattern, what stands before the first wildcard.
    """
    own = f"raw/{table}/"
    folders = [own] if not source or source.startswith(own) else []
    if source and patterns(table, source) and "://" not in source and re.search(r"[*?\[]", source):
        start = (re.match(r"([^*?\[]*/)?", source) or [""])[0]
        if start and not start.startswith(own):
            folders.append(start)
    return folders


def table_format(
    connection: duckdb.DuckDBPyConnection, workspace: Workspace, table: str, source: str | None
) -> Finding | None:
    """A folder of Delta, Iceberg or Hudi: its files also hold rows that are deleted."""
    for folder in watched_folders(table, source):
        for log, name in TABLE_FORMATS.items():
            if glob(connection, located(workspace, f"{folder}**/{log}")):
                what = f"{table} is a {name} table, whose files also hold rows that are deleted"
                fix = "Export its rows as Parquet, or name a relation that reads it in sources."
                where = os.path.relpath(located(workspace, folder), workspace.project)
                return Finding("error", what, where, fix)
    return None


def files_left(workspace: Workspace) -> list[Finding]:
    """As `unread_files`, where no connection is open."""
    with duckdb.connect() as connection:
        return unread_files(connection, workspace)


def unread_files(connection: duckdb.DuckDBPyConnection, workspace: Workspace) -> list[Finding]:
    """Files in the folders of the raw tables that none is read from, by kind; hidden ones aside."""
    sources = workspace.settings.get("sources", {})
    inputs = workspace.settings.get("inputs", workspace.contract)
    read = {
        file
        for table in inputs
        for pattern in patterns(table, sources.get(table))
        if "://" not in pattern
        for file in glob(connection, located(workspace, pattern))
    }

    def left(folder: str) -> list[str]:
        names = _files_below(workspace, folder)
        return [name for name in names if located(workspace, folder + name) not in read]

    findings = []
    for table in inputs:
        others = tuple(f"raw/{other}/" for other in workspace.contract if other != table)
        for folder in watched_folders(table, sources.get(table)):
            names = [name for name in left(folder) if not (folder + name).startswith(others)]
            where = os.path.relpath(located(workspace, folder), workspace.project)
            findings += _unread(names, where=where, is_chosen=folder != f"raw/{table}/")
    for table in workspace.contract:
        names = [] if table in inputs else left(f"raw/{table}/")
        if names:
            what = f"{_files(names)} not read, since inputs lacks {table}: {_listed(names)}"
            where = f"{workspace.relative}/raw/{table}"
            findings.append(Finding("warning", what, where, "Add it to inputs in vars.yml."))
    return findings


def _files_below(workspace: Workspace, folder: str) -> list[str]:
    """The names of the files below a folder that are not hidden, links followed."""
    top = Path(located(workspace, folder))
    names: list[str] = []
    for place, folders, files in os.walk(top, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith((".", "_"))]
        shown = [name for name in files if not name.startswith((".", "_"))]
        names += [(Path(place) / name).relative_to(top).as_posix() for name in shown]
    return sorted(names)


def _unread(names: Iterable[str], *, where: str, is_chosen: bool) -> list[Finding]:
    by_fix: dict[str, list[str]] = {}
    for name in names:
        endings = (pattern.removeprefix("**") for pattern in PATTERNS)
        is_readable = any(fnmatchcase(f"/{name}", ending) for ending in endings)
        if is_readable and is_chosen:
            fix = "Widen the pattern under sources in vars.yml, or move them out of the folder."
        elif is_readable:
            fix = "DuckDB follows no link to a folder: put the files themselves there."
        else:
            fix = next(fix for kind, fix in OTHER_KINDS if re.search(kind, name, re.IGNORECASE))
        by_fix.setdefault(fix, []).append(name)
    return [
        Finding("warning", f"{_files(found)} not read: {_listed(found)}", where, fix)
        for fix, found in by_fix.items()
    ]


def _files(names: Collection[str]) -> str:
    return "1 file is" if len(names) == 1 else f"{len(names):,} files are"


def _listed(names: Collection[str]) -> str:
    return ", ".join(list(names)[:3]) + (", …" if len(names) > 3 else "")


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
