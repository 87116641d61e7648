"""Checks of a workspace before dbt runs: versions, settings, seeds and raw files.

Each check returns findings that name the place and the fix. Raw files are only read, in the way
that the macro `raw_relation` reads them.
"""

from __future__ import annotations

import csv
import gzip
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

import duckdb
import yaml
from packaging.requirements import Requirement

from throughline import build, seeds
from throughline.seeds import SeedFile
from throughline.workspace import (
    COLUMN_SETTINGS,
    DEFAULTS,
    REQUIRED_INPUT,
    VARIABLES,
    Column,
    Finding,
    Table,
    UserError,
    Workspace,
    did_you_mean,
    extra_columns,
    read_env,
)

PINNED = ("dbt-core", "dbt-duckdb", "dbt-metricflow", "duckdb")
SAMPLE_ROWS = 100_000
# Single broken rows are what stg_rejected_rows is for; more than this share is a broken delivery.
TOLERATED_SHARE = 0.01


def check(workspace: Workspace, *, target: str = "duckdb") -> list[Finding]:
    """Every fault of the workspace, errors first.

    `target` is the dbt target; raw tables of another warehouse than DuckDB are not looked at.
    """
    findings = check_versions(workspace.project) + check_folder(workspace)
    try:
        settings = workspace.settings
    except UserError as error:
        return findings + list(error.findings)
    findings += check_env(workspace)
    files, seed_findings = check_seeds(workspace)
    findings += seed_findings
    if target == "duckdb":
        locked = lock_fault(workspace.warehouse, where=f"{workspace.relative}/warehouse.duckdb")
        findings += [replace(locked, severity="warning")] if locked else []
        findings += check_inputs(workspace, settings=settings, files=files)
    return sorted(findings, key=lambda finding: finding.severity)


def check_metrics(workspace: Workspace) -> list[Finding]:
    """Every fault of the metrics, their targets, links and rules, errors first.

    dbt reads the metric definitions and renders the rules that need both them and the seeds, so
    that each rule is written once; raises UserError where dbt cannot read the project.
    """
    files, findings = check_seeds(workspace)
    rules = build.read_rules(workspace)
    findings += [Finding(**problem) for problem in rules["problems"]]
    specs = seeds.read_specs(workspace.project)
    for rule in rules["rules"]:
        findings += seeds.failing(files, specs, **rule)
    return sorted(findings, key=lambda finding: finding.severity)


# Versions and folder


def check_versions(
    project: Path,
    *,
    python: tuple[int, int] = sys.version_info[:2],
    installed: Callable[[str], str] = version,
) -> list[Finding]:
    """The running Python and the installed packages against the pins."""
    findings = []
    if not (3, 10) <= python <= (3, 13):
        what = "Python {}.{} is not supported".format(*python)
        fix = "Use Python 3.10 to 3.13: make clean setup PYTHON=python3.12"
        findings.append(Finding("error", what, "versions", fix))
    pins = {}
    for line in (project / "requirements.txt").read_text(encoding="utf-8").splitlines():
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate():
            pins[requirement.name] = str(requirement.specifier).removeprefix("==")
    for name in PINNED:
        findings += _version_findings(name, pinned=pins[name], installed=installed)
    return findings


def _version_findings(name: str, *, pinned: str, installed: Callable[[str], str]) -> list[Finding]:
    fix = "Install the pinned versions: make setup"
    try:
        found = installed(name)
    except PackageNotFoundError:
        return [Finding("error", f"{name} is not installed", "versions", fix)]
    if found == pinned:
        return []
    is_near = found.split(".")[:2] == pinned.split(".")[:2]
    what = f"{name} is {found}, pinned is {pinned}"
    return [Finding("warning" if is_near else "error", what, "versions", fix)]


def check_folder(workspace: Workspace) -> list[Finding]:
    """A build writes the warehouse into the workspace."""
    if os.access(workspace.folder, os.W_OK | os.X_OK):
        return []
    fix = f"The build writes warehouse.duckdb there: chmod u+wx {workspace.relative}"
    return [Finding("error", "folder is not writable", workspace.relative, fix)]


def check_env(workspace: Workspace) -> list[Finding]:
    """Plain dbt reads .env, which may be older than vars.yml."""
    written = read_env(workspace.project / ".env")
    if written.get(VARIABLES[0]) != workspace.relative:
        return []
    if all(written.get(name) == value for name, value in workspace.environment().items()):
        return []
    fix = "Plain dbt would use the old ones: throughline use " + workspace.relative
    return [Finding("warning", "older than the settings or seeds of the workspace", ".env", fix)]


def lock_fault(warehouse: Path, *, where: str) -> Finding | None:
    """Why a build could not write the warehouse, if so."""
    if not warehouse.exists():
        return None
    try:
        duckdb.connect(str(warehouse)).close()
    except duckdb.Error as error:
        message = " ".join(str(error).split())
        holder = re.search(r"held in (.*?) \(PID (\d+)\)", message)
        if holder:
            program, process = Path(holder[1]).name, holder[2]
            what = f"in use by {program} (process {process})"
            return Finding("error", what, where, "Close it and try again.")
        if "lock" in message:
            return Finding("error", "in use by another process", where, "Close it and try again.")
        what = f"cannot be opened: {_first_sentence(message)}"
        return Finding("error", what, where, "Remove it: the build makes it anew.")
    return None


# Seeds


def check_seeds(workspace: Workspace) -> tuple[dict[str, SeedFile], list[Finding]]:
    """The seeds in force, by name, and their faults."""
    folder = workspace.project / workspace.seeds
    specs = seeds.read_specs(workspace.project)
    files: dict[str, SeedFile] = {}
    findings: list[Finding] = []
    for name, spec in specs.items():
        where = f"{workspace.seeds}/{name}.csv"
        file, faults = seeds.read_seed(folder / f"{name}.csv", where=where, header=spec.header)
        files[name] = file
        findings += faults + seeds.check_values(file, spec)
    registry = files["model_registry"]
    if registry.is_whole and not registry.rows:
        findings.append(Finding("error", "no model", registry.where, "Add a row per model."))
    for path in sorted(folder.glob("*.csv")):
        if path.stem not in specs:
            fix = did_you_mean(path.stem, specs)
            where = f"{workspace.seeds}/{path.name}"
            findings.append(Finding("warning", "unknown seed, nothing reads it", where, fix))
    findings += seeds.check_references(
        files,
        specs,
        reporting_currency=_reporting_currency(workspace),
        known={"metric": metrics(workspace.project), "segment": _segments(workspace)},
    )
    return files, findings


def metrics(project: Path) -> set[str]:
    """The names of all metrics that the project's YAML defines."""
    names = set()
    for path in sorted((project / "models").rglob("*.yml")):
        text = path.read_text(encoding="utf-8")
        if re.search("^metrics:", text, re.MULTILINE):
            names |= {metric["name"] for metric in yaml.safe_load(text)["metrics"] or ()}
    return names


def _segments(workspace: Workspace) -> list[str]:
    segments: list[str] = workspace.settings.get("segments", DEFAULTS["segments"])
    return segments


def _reporting_currency(workspace: Workspace) -> str:
    return str(workspace.settings.get("reporting_currency", "USD"))


# Raw tables


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


def check_inputs(
    workspace: Workspace, *, settings: Mapping[str, Any], files: Mapping[str, SeedFile]
) -> list[Finding]:
    """Faults of the delivered raw tables against the contract, the settings and the seeds."""
    findings: list[Finding] = []
    inputs: dict[str, Input] = {}
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        for name in settings.get("inputs", workspace.contract):
            try:
                found, faults = open_input(connection, workspace, workspace.contract[name])
                faults += check_rows(
                    connection, found, settings=settings, project=workspace.project
                )
            except UserError as error:
                findings += error.findings
                continue
            findings += faults
            if not any(fault.severity == "error" for fault in faults):
                inputs[name] = found
        for delivered in inputs.values():
            findings += check_models(connection, delivered, registry=files["model_registry"])
            findings += check_environment(connection, delivered)
        findings += check_labels(
            connection, inputs.get("business_outcomes"), registry=files["model_registry"]
        )
        rates = files["exchange_rates"]
        known = seeds.values_of(rates, "currency") | {_reporting_currency(workspace)}
        for name in ("business_outcomes", "serving_costs") if rates.is_whole else ():
            if name in inputs:
                findings += check_currencies(connection, inputs[name], known=known)
    return findings


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
        name.lower(): type_ for name, type_ in _describe(connection, f"select * from {relation}")
    }
    expressions, findings = _expressions(
        connection, workspace, table, relation=relation, delivered=delivered, where=where
    )
    return Input(table, where, relation, is_typed, expressions), findings


def is_file_pattern(source: str) -> bool:
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


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _parquet(path: str) -> str:
    return f"read_parquet({_literal(path)}, union_by_name = true, hive_partitioning = false)"


def _csv(path: str, *, header: str = "true") -> str:
    options = (
        f"all_varchar = true, header = {header}, quote = '\"', escape = '\"',"
        " union_by_name = true, hive_partitioning = false"
    )
    return f"read_csv({_literal(path)}, {options})"


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
        delivered = _describe(connection, f"select * from {reader(pattern)}")
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
            columns = _describe(connection, f"select * from {reader(file)}")
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
        header = _row(connection, f"select * from {_csv(file, header='false')} limit 1")
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
            name = _literal(str(workspace.warehouse))
            connection.execute(f"attach if not exists {name} as warehouse (read_only)")
            connection.execute("use warehouse")
        _describe(connection, f"select * from {source}")
    except duckdb.Error as error:
        raise UserError(Finding("error", reason(error), where, fix)) from None
    return source


def _describe(connection: duckdb.DuckDBPyConnection, query: str) -> list[tuple[str, str]]:
    return [(row[0], row[1]) for row in connection.execute(f"describe {query}").fetchall()]


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
            _describe(connection, f"select 1 from {relation} where ({expression}) is null")
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


def cast(expression: str, data_type: str) -> str:
    """A contract value or NULL, as the macro `safe_cast_to` reads it."""
    if data_type == "string":
        text = f"cast({expression} as varchar)"
        return f"case when trim({text}) <> '' then {text} end"
    if data_type == "timestamp":
        return f"cast(try_cast({expression} as timestamptz) as timestamp)"
    if data_type == "integer":
        number = f"try_cast({expression} as double)"
        return f"case when {number} = floor({number}) then try_cast({number} as bigint) end"
    return f"try_cast({expression} as {data_type})"


def check_rows(
    connection: duckdb.DuckDBPyConnection,
    delivered: Input,
    *,
    settings: Mapping[str, Any],
    project: Path,
) -> list[Finding]:
    """Values that are missing or not of their type; the share says whether it is an error.

    Raises UserError where a row cannot be read.
    """
    columns = {
        column.name: column
        for column in delivered.table.columns
        if column.name in delivered.expressions
    }
    counts = ["count(*)"]
    for name, column in columns.items():
        filled = cast(delivered.expressions[name], "string")
        value = cast(delivered.expressions[name], column.data_type)
        counts += [
            f"count({filled})",
            f"count({value})",
            f"any_value({filled}) filter (where {value} is null)",
        ]
    try:
        rows, *profile = _row(connection, f"select {', '.join(counts)} from {delivered.sample}")
    except duckdb.Error as error:
        where = _file_of(error, project=project) or delivered.where
        fix = "Correct the file, or the mapping in vars.yml."
        raise UserError(Finding("error", reason(error), where, fix)) from None
    if rows == 0:
        name = delivered.table.name
        severity: Literal["error", "warning"] = "error" if name == REQUIRED_INPUT else "warning"
        return [Finding(severity, f"{name} has no rows", delivered.where, "Deliver rows.")]
    findings = []
    for index, column in enumerate(columns.values()):
        filled, parsed, example = profile[3 * index : 3 * index + 3]
        findings += _value_findings(
            column, delivered, rows=rows, filled=filled, parsed=parsed, example=example
        )
    return findings + _visible(connection, delivered, as_of=settings.get("as_of"))


def _value_findings(
    column: Column, delivered: Input, *, rows: int, filled: int, parsed: int, example: str | None
) -> list[Finding]:
    place = f"{delivered.where}, column {column.name}"
    key = f"mapping.{delivered.table.name}.{column.name}"
    fix = f"Correct it, or convert it under {key} in vars.yml."
    if column.data_type == "timestamp" and example and example.isdigit():
        fix = f"Convert it: {key}: epoch_ms(cast({column.name} as bigint)) in vars.yml."
    findings = []
    if column.required and rows - filled > TOLERATED_SHARE * rows:
        severity: Literal["error", "warning"] = "error" if filled == 0 else "warning"
        what = f"required, but empty in {rows - filled:,} of {rows:,} rows"
        findings.append(Finding(severity, what, place, fix))
    if filled - parsed > TOLERATED_SHARE * filled:
        severity = "error" if parsed == 0 and column.required else "warning"
        what = f"{filled - parsed:,} of {filled:,} values are no {column.data_type}: '{example}'"
        findings.append(Finding(severity, what, place, fix))
    return findings


def _visible(
    connection: duckdb.DuckDBPyConnection, delivered: Input, *, as_of: str | None
) -> list[Finding]:
    if "loaded_at" not in delivered.expressions:
        return []
    moment = as_of or f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M:%S}"
    loaded = cast(delivered.expressions["loaded_at"], "timestamp")
    (earliest,) = _row(connection, f"select min({loaded}) from {delivered.relation}")
    if earliest is None or str(earliest) <= moment:
        return []
    what = f"no row is visible: the earliest was loaded at {earliest}, after as_of {moment}"
    place = f"{delivered.where}, column loaded_at"
    required = delivered.table.name == REQUIRED_INPUT
    fix = "Correct as_of in vars.yml, or loaded_at."
    return [Finding("error" if required else "warning", what, place, fix)]


def check_models(
    connection: duckdb.DuckDBPyConnection, delivered: Input, *, registry: SeedFile
) -> list[Finding]:
    """A table must hold a row of a registered model."""
    column = next((column.name for column in delivered.table.columns if column.known_model), None)
    if column is None or not registry.is_whole or not registry.rows:
        return []
    counts = _values(connection, delivered, column)
    if not counts:
        return []
    known = seeds.values_of(registry, "model_id")
    unknown = {model: count for model, count in counts.items() if model not in known}
    place = f"{delivered.where}, column {column}"
    fix = f"Add the model to {registry.where}, or map {column} in vars.yml."
    found = _some(unknown)
    if len(unknown) == len(counts):
        return [Finding("error", f"no row of a known model (found: {found})", place, fix)]
    if sum(unknown.values()) > TOLERATED_SHARE * sum(counts.values()):
        what = f"{sum(unknown.values()):,} rows of unknown models are rejected: {found}"
        return [Finding("warning", what, place, fix)]
    return []


def check_environment(connection: duckdb.DuckDBPyConnection, delivered: Input) -> list[Finding]:
    """Only decisions in production count; a log without any would leave every mart empty."""
    if delivered.table.name != REQUIRED_INPUT or "environment" not in delivered.expressions:
        return []
    text = cast(delivered.expressions["environment"], "string")
    query = f"select coalesce({text}, 'prod'), count(*) from {delivered.relation} group by 1"
    counts = dict(connection.execute(f"{query} order by 2 desc, 1").fetchall())
    if not counts or "prod" in counts:
        return []
    fix = f"Map it: mapping.{delivered.table.name}.environment in vars.yml; only prod counts."
    place = f"{delivered.where}, column environment"
    return [Finding("error", f"no row is in prod (found: {_some(counts)})", place, fix)]


def check_labels(
    connection: duckdb.DuckDBPyConnection, outcomes: Input | None, *, registry: SeedFile
) -> list[Finding]:
    """Registered outcomes and labels that no delivered outcome has: performance would be empty."""
    if outcomes is None:
        return []
    label = outcomes.expressions.get("outcome_label", "null")
    name = outcomes.expressions["outcome_name"]
    labels: dict[str, dict[str, int]] = {}
    query = f"""
        select {cast(name, "string")}, coalesce({cast(label, "string")}, ''), count(*)
        from {outcomes.relation} group by 1, 2 order by 3 desc, 1, 2"""
    for outcome, value, count in connection.execute(query).fetchall():
        labels.setdefault(str(outcome), {})[value] = count
    findings = []
    for row in registry.rows:
        place = f"{registry.where}, row {row.number}, column"
        for column in ("label_outcome", "amount_outcome"):
            outcome = row.values[column]
            if outcome and outcome not in labels:
                what = f"no delivered outcome is named '{outcome}' (found: {_some(labels)})"
                fix = "Correct it, or deliver such outcomes."
                findings.append(Finding("warning", what, f"{place} {column}", fix))
        positive, found = row.values["positive_label"], labels.get(row.values["label_outcome"], {})
        if positive and found and positive not in found:
            what = f"no '{row.values['label_outcome']}' has the label '{positive}'"
            place = f"{place} positive_label"
            fix = "Correct it: upper and lower case count."
            findings.append(Finding("warning", f"{what} (found: {_some(found)})", place, fix))
    return findings


def check_currencies(
    connection: duckdb.DuckDBPyConnection, delivered: Input, *, known: set[str]
) -> list[Finding]:
    """Amounts in a currency without a rate are refused by the build, never added."""
    if "currency" not in delivered.expressions:
        return []
    counts = _values(connection, delivered, "currency")
    refused = {currency: count for currency, count in counts.items() if currency not in known}
    if not refused:
        return []
    what = f"no exchange rate for {_some(refused)}: {sum(refused.values()):,} amounts are refused"
    place = f"{delivered.where}, column currency"
    return [Finding("warning", what, place, "Add the currency to exchange_rates.csv.")]


def _values(connection: duckdb.DuckDBPyConnection, delivered: Input, column: str) -> dict[str, int]:
    """The values of a text column and their row counts, most frequent first."""
    value = cast(delivered.expressions[column], "string")
    query = f"select {value}, count(*) from {delivered.relation} group by 1 order by 2 desc, 1"
    rows = connection.execute(query).fetchall()
    return {text: count for text, count in rows if text is not None}


def _row(connection: duckdb.DuckDBPyConnection, query: str) -> tuple[Any, ...]:
    row = connection.execute(query).fetchone()
    assert row is not None
    return tuple(row)


def _some(names: Iterable[str]) -> str:
    listed = [f"'{name}'" for name in names]
    return ", ".join(listed[:5]) + (", …" if len(listed) > 5 else "")


def reason(error: duckdb.Error) -> str:
    """The telling part of a DuckDB message, on one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = _first_sentence(lines[0].split("Error: ", 1)[-1])
    line = re.search(r"CSV Error on Line: (\d+)", str(error))
    if line:
        cause = next((one for one in lines[1:] if not one.startswith("Original Line")), text)
        return f"row {line[1]}: {_first_sentence(cause)}"
    return text


def _file_of(error: duckdb.Error, *, project: Path) -> str | None:
    """The file that a CSV error names, relative to the project."""
    found = re.search(r"^\s*file = (.+)$", str(error), re.MULTILINE)
    return os.path.relpath(found[1], project) if found else None


def _first_sentence(text: str) -> str:
    return re.split(r"[.!](?:\s|$)", text, maxsplit=1)[0].strip()
