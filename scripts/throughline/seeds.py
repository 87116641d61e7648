"""Checks of the governed configuration: the seed files of a workspace.

dbt reads the same files; these checks come first because they can name the row, column and fix.
"""

from __future__ import annotations

import csv
import difflib
import io
import math
import re
from codecs import BOM_UTF8
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import yaml

from throughline.findings import Finding, did_you_mean


@dataclass(frozen=True)
class Reference:
    """What a column names: metrics or segments, or one of `also`; several where `separator`."""

    kind: str
    also: tuple[str, ...]
    separator: str | None

    def names(self, value: str) -> list[str]:
        return value.split(self.separator) if self.separator else [value]


REFERENCES = {"known_metrics": "metric", "known_segments": "segment"}


@dataclass(frozen=True)
class Parent:
    """The seed and its column that declare what a column names, or one of `also`."""

    seed: str
    column: str
    also: tuple[str, ...]


@dataclass(frozen=True)
class Seed:
    """What the rows of a seed must be, as models/config/cfg_<seed>.yml declares and dbt tests it.

    `types` and `descriptions` hold every column in its order; `key` identifies a row, within its
    validity where `has_validity`; `rules` maps a column to SQL expressions that must not be false.
    """

    name: str
    types: Mapping[str, str]
    descriptions: Mapping[str, str]
    key: tuple[str, ...]
    has_validity: bool
    required: frozenset[str]
    allowed: Mapping[str, tuple[str, ...]]
    rules: Mapping[str, tuple[str, ...]]
    references: Mapping[str, Reference]
    parents: Mapping[str, Parent]

    @property
    def header(self) -> tuple[str, ...]:
        return tuple(self.types)


def read_specs(project: Path) -> dict[str, Seed]:
    """Every seed by name."""
    specs = {}
    for path in sorted((project / "models/config").glob("*.yml")):
        for entry in yaml.safe_load(path.read_text(encoding="utf-8")).get("models", ()):
            spec = _spec(entry)
            specs[spec.name] = spec
    return specs


def _spec(entry: Mapping[str, Any]) -> Seed:
    tests = {column["name"]: list(_tests(column)) for column in entry["columns"]}
    table_tests = dict(_tests(entry))
    key = tuple(table_tests["grain"]["arguments"]["columns"])
    return Seed(
        name=without_prefix(entry["name"]),
        types=entry["config"]["meta"]["column_types"],
        descriptions={column["name"]: column["description"] for column in entry["columns"]},
        key=tuple(column for column in key if column != "valid_from"),
        has_validity="no_overlap" in table_tests,
        required=frozenset(key)
        | {column for column, found in tests.items() if "not_null" in dict(found)},
        allowed={
            column: tuple(dict(found)["accepted_values"]["arguments"]["values"])
            for column, found in tests.items()
            if "accepted_values" in dict(found)
        },
        rules={
            column: tuple(
                body["arguments"]["expression"] for test, body in found if test == "holds"
            )
            for column, found in tests.items()
        },
        references={
            column: Reference(
                kind=REFERENCES[test],
                also=tuple(body.get("arguments", {}).get("also", ())),
                separator=body.get("arguments", {}).get("separator"),
            )
            for column, found in tests.items()
            for test, body in found
            if test in REFERENCES
        },
        parents={
            column: _parent(body)
            for column, found in tests.items()
            for test, body in found
            if test == "relationships"
        },
    )


def without_prefix(governed: str) -> str:
    """The seed that fills a governed table, a model of models/config."""
    return governed.removeprefix("cfg_")


def _parent(relationship: Mapping[str, Any]) -> Parent:
    return Parent(
        seed=re.sub(r"ref\('cfg_(\w+)'\)", r"\1", relationship["arguments"]["to"]),
        column=relationship["arguments"]["field"],
        also=tuple(re.findall(r"'([^']+)'", relationship.get("config", {}).get("where", ""))),
    )


def _tests(entry: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for test in entry.get("data_tests", ()):
        yield from test.items() if isinstance(test, dict) else ((test, {}),)


@dataclass(frozen=True)
class Row:
    number: int
    """Line of the file, the header being 1, as an editor shows it."""
    values: Mapping[str, str]
    name: str = ""
    """What a row is called that stands in no file, and so has no line."""

    @property
    def place(self) -> str:
        return self.name or f"row {self.number}"


@dataclass(frozen=True)
class SeedFile:
    name: str
    where: str
    rows: tuple[Row, ...]
    is_whole: bool
    """False where the file or its header could not be read, so that its rows say nothing."""


def read_seed(path: Path, *, where: str, header: tuple[str, ...]) -> tuple[SeedFile, list[Finding]]:
    """The rows of a seed and the faults of its form: encoding, delimiter, header, cells per row."""
    findings: list[Finding] = []

    def error(what: str, fix: str, place: str = where) -> None:
        findings.append(Finding("error", what, place, fix))

    def unreadable() -> tuple[SeedFile, list[Finding]]:
        return SeedFile(path.stem, where, (), is_whole=False), findings

    if not path.is_file():
        error("missing", f"Add it; this header is enough: {','.join(header)}")
        return unreadable()
    content = path.read_bytes()
    has_mark = content.startswith(BOM_UTF8)
    content = content.removeprefix(BOM_UTF8)
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as fault:
        line = content[: fault.start].count(b"\n") + 1
        error("not UTF-8 text", "Save it as UTF-8.", f"{where}, row {line}")
        return unreadable()
    try:
        lines = list(_lines(text))
    except csv.Error as fault:
        line, cause = fault.args
        fix = "Correct the quotes or line ends."
        error(f"not readable as CSV: {cause}", fix, f"{where}, row {line}")
        return unreadable()
    if not lines:
        error("empty", f"Its first line must be the header: {','.join(header)}")
        return unreadable()
    columns = lines[0][1]
    if columns[0].startswith("sep="):
        error("its first line is Excel's sep=, not the header", "Remove that line.")
        return unreadable()
    for delimiter, name in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
        if len(columns) == 1 and delimiter in columns[0]:
            mark = "starts with a byte order mark, and " if has_mark else ""
            save = "Save it as UTF-8 without BOM, and separate them by commas."
            fix = save if has_mark else "Separate them by commas."
            error(f"{mark}columns are separated by {name}", fix)
            return unreadable()
    if has_mark:
        error("starts with a byte order mark", "Save it as UTF-8 without BOM.")
    content_faults = len(findings)
    _check_header(columns, header=header, error=error)
    for number, cells in lines[1:]:
        if len(cells) != len(columns):
            error(
                f"{len(cells)} cells, but the header has {len(columns)}",
                "Put a cell that holds a comma into double quotes; leave no comma out.",
                f"{where}, row {number}",
            )
        elif not any(cells):
            error("every cell is empty", "Remove the row.", f"{where}, row {number}")
    if len(findings) > content_faults:
        return unreadable()
    rows = tuple(Row(number, dict(zip(columns, cells, strict=True))) for number, cells in lines[1:])
    return SeedFile(path.stem, where, rows, is_whole=True), findings


def _lines(text: str) -> Iterator[tuple[int, list[str]]]:
    """The cells of each row with its first line; a fault is raised with that line too."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    first = 1
    try:
        for cells in reader:
            if cells:
                yield first, cells
            first = reader.line_num + 1
    except csv.Error as fault:
        raise csv.Error(first, fault) from None


def _check_header(
    columns: list[str], *, header: tuple[str, ...], error: Callable[[str, str], None]
) -> None:
    if "" in columns:
        error("a column of the header has no name", "Remove the column, or name it.")
        return
    twice = [column for column in dict.fromkeys(columns) if columns.count(column) > 1]
    for column in twice:
        error(f"column {column} stands twice in the header", "Keep one.")
    missing = [column for column in header if column not in columns]
    for column in dict.fromkeys(columns):
        if column not in header:
            near = difflib.get_close_matches(column.lower(), missing, n=1)
            missing = [name for name in missing if name not in near]
            error(f"unknown column '{column}'", did_you_mean(column.lower(), near or header))
    if missing and not twice:
        error(f"column {', '.join(missing)} missing", f"Header: {','.join(header)}")


def check_values(seed: SeedFile, spec: Seed) -> list[Finding]:
    """Faults of single cells, broken rules, duplicate keys and overlapping validity."""
    findings = []
    for row in seed.rows:
        faults = [
            Finding("error", what, f"{seed.where}, {row.place}, column {column}", fix)
            for column, value in row.values.items()
            for what, fix in _cell_faults(value, column=column, spec=spec)
        ]
        findings += faults or _broken_rules(row, seed=seed, spec=spec)
    return findings + _duplicates(seed, spec)


def _cell_faults(value: str, *, column: str, spec: Seed) -> Iterator[tuple[str, str]]:
    if not value:
        if column in spec.required:
            yield "empty", "Fill it in."
    elif value != value.strip():
        yield f"'{value}' has a space at its start or end", "Remove it."
    elif column in spec.allowed and value not in spec.allowed[column]:
        yield f"'{value}' is not allowed", did_you_mean(value, spec.allowed[column])
    elif column == "currency" and not re.fullmatch("[A-Z]{3}", value):
        yield f"'{value}' is not a currency code", "Write it like USD."
    else:
        check = CHECKS.get(spec.types[column])
        if check and (fault := check(value)):
            yield f"'{value}' {fault[0]}", fault[1]


def _broken_rules(row: Row, *, seed: SeedFile, spec: Seed) -> list[Finding]:
    typed = ", ".join(
        f"try_cast(nullif(?, '') as {type_}) as {column}" for column, type_ in spec.types.items()
    )
    findings = []
    for column, rules in spec.rules.items():
        for rule in rules:
            query = f"select ({rule}) is not false from (select {typed})"
            values = [row.values[name] for name in spec.types]
            if duckdb.execute(query, values).fetchall() != [(True,)]:
                place = f"{seed.where}, {row.place}, column {column}"
                what = f"'{row.values[column]}' breaks the rule {rule}"
                fix = f"Correct it: {spec.descriptions[column]}"
                findings.append(Finding("error", what, place, fix))
    return findings


def _duplicates(seed: SeedFile, spec: Seed) -> list[Finding]:
    """A key may stand twice only with validities (from inclusive, to exclusive) that are apart."""
    findings = []
    earlier: dict[tuple[str, ...], list[Row]] = {}
    for row in seed.rows:
        key = tuple(row.values[column] for column in spec.key)
        rivals = [other for other in earlier.get(key, ()) if _overlap(row, other)]
        earlier.setdefault(key, []).append(row)
        if not rivals:
            continue
        name = ", ".join(f"{column} {value}" for column, value in zip(spec.key, key, strict=True))
        relation = "valid at the same time" if spec.has_validity else "same key"
        what = f"{relation} as {rivals[0].place} ({name})"
        fix = "Keep one."
        if row.values.get("valid_from") != rivals[0].values.get("valid_from"):
            fix = "End the earlier row: valid_to is the first day on which it no longer holds."
        findings.append(Finding("error", what, f"{seed.where}, {row.place}", fix))
    return findings


def _overlap(one: Row, two: Row) -> bool:
    def span(row: Row) -> tuple[str, str]:
        # ISO dates sort as text; a seed without validity always holds.
        return row.values.get("valid_from", ""), row.values.get("valid_to", "") or "9999-12-31"

    (from_one, to_one), (from_two, to_two) = span(one), span(two)
    return from_one < to_two and from_two < to_one


def check_references(
    files: Mapping[str, SeedFile],
    specs: Mapping[str, Seed],
    *,
    reporting_currency: str,
    known: Mapping[str, Collection[str]],
) -> list[Finding]:
    """Names of other seeds' rows, currencies, metrics and segments that nothing declares.

    `known` holds the declared names of each kind of reference.
    """
    findings = []
    rates = files["exchange_rates"]
    currencies = values_of(rates, "currency") | {reporting_currency}
    for name, seed in files.items():
        declared = {
            column: values_of(files[parent.seed], parent.column) | {*parent.also}
            for column, parent in specs[name].parents.items()
            if files[parent.seed].is_whole
        }
        for row in seed.rows:
            place = f"{seed.where}, {row.place}, column"
            currency = row.values.get("currency")
            for column, allowed in declared.items():
                value, parent = row.values[column], specs[name].parents[column]
                if value and value not in allowed:
                    what = f"unknown {parent.column.removesuffix('_id')} '{value}'"
                    fix = f"Declare it in {parent.seed}. {did_you_mean(value, sorted(allowed))}"
                    findings.append(Finding("error", what, f"{place} {column}", fix))
            if rates.is_whole and currency and currency not in currencies:
                what = f"no exchange rate for '{currency}' to {reporting_currency}"
                fix = f"Add it to {Path(rates.where).name}."
                findings.append(Finding("error", what, f"{place} currency", fix))
            for column, reference in specs[name].references.items():
                names = sorted({*known[reference.kind], *reference.also})
                findings += [
                    Finding(
                        "error",
                        f"no {reference.kind} '{unknown}'",
                        f"{place} {column}",
                        did_you_mean(unknown, names),
                    )
                    for unknown in reference.names(row.values[column])
                    if row.values[column] and unknown not in names
                ]
    return findings


def failing(
    files: Mapping[str, SeedFile],
    specs: Mapping[str, Seed],
    *,
    seed: str,
    column: str | None,
    query: str,
) -> list[Finding]:
    """The rows of a rule: a query of seeds by name that gives `what` and `fix` of each fault.

    A row that carries `file_row` is named by it, and by the `column` that the rule stands on.
    """
    with duckdb.connect() as connection:
        for name, file in files.items():
            _load(connection, file, specs[name])
        cursor = connection.execute(query)
        names = [described[0] for described in cursor.description or ()]
        rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    where = files[seed].where
    places = {row.number: row.place for row in files[seed].rows}
    in_column = f", column {column}" if column else ""
    return [
        Finding(
            "error",
            row["what"],
            f"{where}, {places[row['file_row']]}{in_column}" if "file_row" in row else where,
            row["fix"],
        )
        for row in sorted(rows, key=lambda row: (row.get("file_row", 0), row["what"]))
    ]


def _load(connection: duckdb.DuckDBPyConnection, file: SeedFile, spec: Seed) -> None:
    """A seed as a table in its types; a cell that has no value in its type is NULL."""
    typed = "".join(f", {column} {type_}" for column, type_ in spec.types.items())
    connection.execute(f'create table "{file.name}" (file_row integer{typed})')
    casts = "".join(f", try_cast(nullif(?, '') as {type_})" for type_ in spec.types.values())
    for row in file.rows:
        values = [row.number, *(row.values[column] for column in spec.types)]
        connection.execute(f'insert into "{file.name}" select ?{casts}', values)


def values_of(seed: SeedFile, column: str) -> set[str]:
    return {row.values[column] for row in seed.rows if row.values.get(column)}


# Faults of a typed cell: what is wrong, how to mend it

Fault = tuple[str, str]


def _date_fault(value: str) -> Fault | None:
    try:
        date.fromisoformat(value if re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", value) else "")
    except ValueError:
        return "is not a date", "Write it as YYYY-MM-DD."
    return None


def _number_fault(value: str) -> Fault | None:
    if "," in value:
        return "holds a comma", "Write the decimal point as . and no thousands separator."
    is_number = re.fullmatch(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?", value)
    if is_number and math.isfinite(float(value)):
        return None
    return "is not a number", "Write it like 12.5."


def _integer_fault(value: str) -> Fault | None:
    if not re.fullmatch("-?[0-9]+", value):
        return "is not a whole number", "Write it like 14."
    if abs(int(value)) >= 2**31:
        return "is out of range", "Write a number of at most nine digits."
    return None


def _boolean_fault(value: str) -> Fault | None:
    if value.lower() in ("true", "false"):
        return None
    return "is not a boolean", "Write true or false."


CHECKS: Mapping[str, Callable[[str], Fault | None]] = {
    "date": _date_fault,
    "double": _number_fault,
    "integer": _integer_fault,
    "boolean": _boolean_fault,
}
