"""Checks of the delivered raw tables against the contract, the settings and the seeds."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import duckdb

from throughline import dbt_events, dbt_process, records, seeds
from throughline.contract import REQUIRED_INPUT
from throughline.files import as_json
from throughline.findings import Finding, Severity, UserError
from throughline.inputs import (
    SAMPLE_ROWS,
    Input,
    csv_faults,
    csv_reader,
    open_input,
    unread_files,
)
from throughline.seeds import SeedFile
from throughline.sql import cast, file_of, given, literal, one_row, reason, relation
from throughline.workspace import VARIABLES, Workspace

# A share of rows that a delivery may break and still be read: each is named, the share is not.
TOLERATED_SHARE = 0.01
TOLERATED_ROWS = 20
# The second reader counts so many bytes of each raw table, and of a larger file this many rows.
COUNTED_BYTES = 64_000_000
COMPARED_ROWS = 100_000
# Outcomes whose kind their name says, as the macro `outcome_kind` has it.
NAMED_KINDS = {"revenue", "churned", "opportunity"}
# A table of more rows is judged by its first ones.
JUDGED_ROWS = 1_000_000
# How far from the dates of other tables, and from as_of, a date is taken for a fault.
FAR = timedelta(days=5 * 365)
MONTH = timedelta(days=30)
SETTINGS = VARIABLES[2]
# In which the middle of a column of times must lie.
SOUND_YEARS = (datetime(1980, 1, 1), datetime(2200, 1, 1))


@dataclass(frozen=True)
class Times:
    """The first, the middle and the last of a column of times; None where none can be read."""

    first: datetime | None
    middle: datetime | None
    last: datetime | None


@dataclass(frozen=True)
class Seen:
    """What the doctor saw of a raw table, with the times of each of its columns of times."""

    delivered: Input
    rows: int
    times: Mapping[str, Times]

    def of(self, column: str) -> Times:
        return self.times.get(column, Times(None, None, None))

    @property
    def event(self) -> Times:
        return self.of(self.delivered.table.event_at)

    def as_record(self) -> dict[str, str | int | None]:
        def told(moment: datetime | None) -> str | None:
            return None if moment is None else f"{moment:%Y-%m-%d %H:%M:%S}"

        return {
            "table": self.delivered.table.name,
            "files": len(self.delivered.files),
            "rows": self.rows,
            "first_event": told(self.event.first),
            "last_event": told(self.event.last),
            "last_arrival": told(self.of("loaded_at").last),
        }


def summary(tables: Sequence[Seen]) -> list[str]:
    """A line per raw table: files, rows, first and last event, last arrival."""
    if not tables:
        return []
    records_ = [seen.as_record() for seen in tables]
    head = [name.replace("_", " ") for name in records_[0]]
    lines = [head]
    for record in records_:
        values = record.values()
        lines.append([f"{v:,}" if isinstance(v, int) else v or "none" for v in values])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [
        "  ".join(
            text.rjust(width) if at in (1, 2) else text.ljust(width)
            for at, (text, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]


@dataclass(frozen=True)
class Moment:
    """The moment the marts speak of, and whether a setting or a replay says so."""

    at: datetime
    is_set: bool


def check_inputs(
    workspace: Workspace,
    *,
    settings: Mapping[str, Any],
    files: Mapping[str, SeedFile],
    is_full: bool = False,
) -> tuple[list[Finding], list[Seen]]:
    """Faults of the delivered raw tables against the contract, the settings and the seeds.

    With `is_full` the second reader counts the records of files; what was seen comes with them.
    """
    findings: list[Finding] = []
    tables: dict[str, Seen] = {}
    moment = as_of(workspace, settings)
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        for name in settings.get("inputs", workspace.contract):
            try:
                found, faults = open_input(connection, workspace, workspace.contract[name])
                findings += faults
                findings += check_rows(connection, found, workspace=workspace)
                seen = look(connection, found)
                if is_full:
                    findings += check_records(connection, seen, workspace=workspace)
            except UserError as error:
                findings += error.findings
                continue
            wrong_units = check_units(connection, seen)
            findings += wrong_units or check_visible(seen, moment=moment)
            if not any(fault.severity == "error" for fault in faults + wrong_units):
                tables[name] = seen
        findings += unread_files(connection, workspace)
        findings += check_spans(connection, list(tables.values()), moment=moment)
        inputs = {name: seen.delivered for name, seen in tables.items()}
        for delivered in inputs.values():
            findings += check_models(connection, delivered, registry=files["model_registry"])
            findings += check_environment(connection, delivered)
        findings += check_labels(
            connection,
            inputs.get("business_outcomes"),
            registry=files["model_registry"],
            kinds=seeds.values_of(files["outcome_kinds"], "outcome_name"),
        )
        if "experiment_assignments" in inputs:
            findings += check_experiments(
                connection, inputs["experiment_assignments"], declared=files["experiments"]
            )
        rates = files["exchange_rates"]
        known = seeds.values_of(rates, "currency") | {workspace.setting("reporting_currency")}
        for name in ("business_outcomes", "serving_costs") if rates.is_whole else ():
            if name in inputs:
                findings += check_currencies(connection, inputs[name], known=known)
    return findings, list(tables.values())


def as_of(workspace: Workspace, settings: Mapping[str, Any]) -> Moment:
    given = workspace.replays or settings.get("as_of")
    now = datetime.now(timezone.utc).replace(microsecond=0, tzinfo=None)
    return Moment(datetime.fromisoformat(given) if given else now, is_set=given is not None)


def severity(broken: int, rows: int, *, rejects: bool = True) -> Severity:
    """Of so many bad values, by the defaults of the build; that no row is sound is an error."""
    is_few = broken < TOLERATED_ROWS
    if not rejects:
        return "note" if broken <= TOLERATED_SHARE * rows else "warning"
    if broken == rows or (broken > rows / 2 and not is_few):
        return "error"
    return "note" if broken <= (rows / 2 if is_few else TOLERATED_SHARE * rows) else "warning"


def check_delivered(
    workspace: Workspace, tables: Sequence[Seen], *, variables: Mapping[str, str]
) -> list[Finding]:
    """What a build would say of the rows, by its own SQL in a scratch; raises UserError.

    Of large tables the first rows are looked at, which cannot tell what keys meet.
    """
    is_large = max(seen.rows for seen in tables) > JUDGED_ROWS
    limit = SAMPLE_ROWS if is_large else None
    copied = with_relations(workspace, tables, variables=variables, rows=limit)
    rows = _read_input_checks(workspace, variables=copied, rows=limit)
    if is_large:
        rows = [row for row in rows if row["check_name"] not in ("keys_met", "arms_met")]
    return judged(rows, tables)


def judged(rows: Sequence[Mapping[str, Any]], tables: Sequence[Seen]) -> list[Finding]:
    """What rows of fct_input_checks say of the raw tables."""
    findings = []
    for seen in tables:
        own = [row for row in rows if row["table_name"] == seen.delivered.table.name]
        findings += _judged(own, where=seen.delivered.where)
    return findings


def with_relations(
    workspace: Workspace,
    tables: Sequence[Seen],
    *,
    variables: Mapping[str, str],
    rows: int | None,
) -> Mapping[str, str]:
    """Copies raw tables that are relations of the warehouse, or their first `rows`, to a scratch.

    Returns the variables of the scratch by which dbt reads the copies.
    """
    relations = [seen.delivered for seen in tables if not seen.delivered.files]
    if not relations:
        return variables
    limit = "" if rows is None else f" limit {rows}"
    settings = json.loads(variables[SETTINGS])
    with duckdb.connect(variables["THROUGHLINE_SCRATCH"]) as connection:
        connection.execute("set TimeZone = 'UTC'; create schema delivered")
        (scratch,) = one_row(connection, "select current_database()")
        if workspace.warehouse.exists():
            warehouse = literal(str(workspace.warehouse))
            connection.execute(f"attach {warehouse} as warehouse (read_only); use warehouse")
        for delivered in relations:
            copy = f"delivered.{delivered.table.name}"
            query = f"select * from {delivered.relation}{limit}"
            connection.execute(f"create table {scratch}.{copy} as {query}")
            settings["sources"][delivered.table.name] = copy
    return {**variables, SETTINGS: as_json(settings)}


def _judged(rows: Sequence[Mapping[str, Any]], *, where: str) -> list[Finding]:
    """The checks of a raw table that warn or stop, and its few bad rows and cells as notes."""
    kinds: dict[str, Severity] = {"stop": "error", "warn": "warning"}
    findings = []
    for row in rows:
        share = f"{row['affected_count']:,} of {row['checked_count']:,}"
        if row["check_name"] == "rejected_rows":
            if row["detail"] == "" and row["affected_count"]:
                reasons = ", ".join(_reasons(rows)[:10])
                what = f"{share} rows are rejected: {reasons}"
                findings.append(Finding(kinds.get(row["status"], "note"), what, where, row["fix"]))
        elif row["status"] in kinds or (row["check_name"] == "nulled_cells" and row["detail"]):
            detail = f", {row['detail']}" if row["detail"] else ""
            example = f", e.g. {row['example']}" if row["example"] else ""
            what = (
                f"{row['check_name'].replace('_', ' ')}{_model_of(row)}{detail}: {share}{example}"
            )
            findings.append(Finding(kinds.get(row["status"], "note"), what, where, row["fix"]))
    return findings


def _reasons(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Why rows were rejected, the most frequent first; a reason of one model names it."""
    parts: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        if row["check_name"] == "rejected_rows" and row["detail"]:
            parts.setdefault(row["detail"], []).append(row)
    told = []
    for detail, of_models in parts.items():
        count = sum(part["affected_count"] for part in of_models)
        model = _model_of(of_models[0]) if len(of_models) == 1 else ""
        example = f", e.g. '{of_models[0]['example']}'" if of_models[0]["example"] else ""
        told.append((count, f"{detail} ({count:,}{model}{example})"))
    return [words for _, words in sorted(told, key=lambda pair: -pair[0])]


def _model_of(row: Mapping[str, Any]) -> str:
    return "" if row["model_id"] in ("(all)", "(none)") else f" of {row['model_id']}"


# Files and their records


def check_records(
    connection: duckdb.DuckDBPyConnection, seen: Seen, *, workspace: Workspace
) -> list[Finding]:
    """Files of which DuckDB reads another number of records than a second reader counts."""
    findings = []
    if seen.delivered.parquet and not seen.delivered.csv:
        footers = "select sum(num_rows) from parquet_file_metadata(?)"
        (noted,) = connection.execute(footers, [list(seen.delivered.parquet)]).fetchone() or (0,)
        if noted != seen.rows:
            what = f"{seen.rows:,} rows are read, but the footers of its files tell of {noted:,}"
            fix = "Write the files again: one of them is damaged."
            findings.append(Finding("error", what, seen.delivered.where, fix))
    left = COUNTED_BYTES
    for file in seen.delivered.csv:
        if "://" in file or left <= 0:
            continue
        size = Path(file).stat().st_size
        reader = csv_reader(file, ending=file.lower())
        limit = None if size <= left else COMPARED_ROWS
        difference = records.difference(connection, Path(file), reader, limit=limit)
        left -= size
        if difference:
            where = os.path.relpath(file, workspace.project)
            known = records.fault(Path(file))
            if known and known.is_harmless:
                continue
            fix = known.fix if known else difference.fix
            findings.append(Finding("error", difference.what, difference.at(where), fix))
    return findings


# Values and times


def asked(
    connection: duckdb.DuckDBPyConnection, delivered: Input, query: str, *, workspace: Workspace
) -> tuple[Any, ...]:
    """The one row of a query over a raw table; raises UserError where a row cannot be read."""
    try:
        return one_row(connection, query)
    except duckdb.Error as error:
        told = csv_faults(workspace, delivered.csv)
        if told:
            raise UserError(*told) from None
        where = file_of(error, project=workspace.project) or delivered.where
        fix = "Correct the file, or the mapping in vars.yml."
        raise UserError(Finding("error", reason(error), where, fix)) from None


def look(connection: duckdb.DuckDBPyConnection, delivered: Input) -> Seen:
    """Counts the rows of a raw table and reads the span of its times."""
    names = [
        column.name
        for column in delivered.table.columns
        if column.data_type == "timestamp" and column.name in delivered.expressions
    ]
    parts = ["count(*)"]
    for name in names:
        value = cast(delivered.expressions[name], "timestamp")
        # years that Python has
        within = f"least(greatest({value}, timestamp '0001-01-02'), timestamp '9999-12-31')"
        value = f"case when {value} is not null then {within} end"
        parts += [f"min({value})", f"approx_quantile({value}, 0.5)", f"max({value})"]
    rows, *found = one_row(connection, f"select {', '.join(parts)} from {delivered.relation}")
    spans = {name: Times(*found[3 * at : 3 * at + 3]) for at, name in enumerate(names)}
    return Seen(delivered, rows, spans)


def check_rows(
    connection: duckdb.DuckDBPyConnection, delivered: Input, *, workspace: Workspace
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
        is_text = column.data_type == "string" and not name.endswith("_id")
        expression = delivered.expressions[name]
        filled = cast(expression, "string") if is_text else given(expression)
        value = filled if column.data_type == "string" else cast(expression, column.data_type)
        counts += [
            f"count({filled})",
            f"count({value})",
            f"any_value({filled}) filter (where {value} is null)",
        ]
    query = f"select {', '.join(counts)} from {delivered.sample}"
    rows, *profile = asked(connection, delivered, query, workspace=workspace)
    if rows == 0:
        name = delivered.table.name
        severe: Severity = "error" if name == REQUIRED_INPUT else "warning"
        return [Finding(severe, f"{name} has no rows", delivered.where, "Deliver rows.")]
    findings = []
    for index, column in enumerate(columns.values()):
        filled, parsed, example = profile[3 * index : 3 * index + 3]
        place = f"{delivered.where}, column {column.name}"
        key = f"mapping.{delivered.table.name}.{column.name}"
        if column.required and filled < rows:
            what = f"required, but empty in {rows - filled:,} of {rows:,} rows"
            fix = f"Correct it, or convert it under {key} in vars.yml."
            findings.append(Finding(severity(rows - filled, rows), what, place, fix))
        if parsed < filled:
            what = f"{filled - parsed:,} of {filled:,} values are no {column.data_type}"
            fix = f"Correct it, or convert it under {key} in vars.yml."
            if column.data_type == "timestamp":
                is_alone = parsed == 0
                fix = proposal(connection, delivered, column.name, is_alone=is_alone) or fix
            severe = severity(filled - parsed, filled, rejects=column.rejects)
            findings.append(Finding(severe, f"{what}: '{example}'", place, fix))
    return findings


# A moment of the years 2001 to 2286 in each unit, and how DuckDB reads it as UTC.
UNITS = (
    ("seconds", r"\d{10}(\.\d*)?", "to_timestamp(try_cast({} as double))"),
    ("milliseconds", r"\d{13}(\.\d*)?", "epoch_ms(try_cast({} as bigint))"),
    ("microseconds", r"\d{16}(\.\d*)?", "make_timestamp(try_cast({} as bigint))"),
    ("nanoseconds", r"\d{19}", "make_timestamp_ns(try_cast({} as bigint))"),
)
DAYS = ("%Y%m%d", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y-%d-%m")
CLOCKS = ("", " %H:%M", " %H:%M:%S", "%H%M", "%H%M%S", "T%H:%M:%S", " %I:%M %p", " %I:%M:%S %p")


def proposal(
    connection: duckdb.DuckDBPyConnection, delivered: Input, column: str, *, is_alone: bool
) -> str | None:
    """How a mapping can read the times that are none as they stand; None where it is not clear.

    `is_alone` says that no value can be read as it stands, so that none must go on being read.
    """
    expression = delivered.expressions[column]
    text, value = cast(expression, "string"), cast(expression, "timestamp")
    bare = column if delivered.is_own(column) else expression
    unread = (
        f"select distinct {text} as text from {delivered.sample} "
        f"where {value} is null and {text} is not null limit 1000"
    )

    def converted(form: str, *, goes_on: bool = not is_alone) -> str:
        form = f"coalesce(try_cast({bare} as timestamptz), {form})" if goes_on else form
        return f"mapping.{delivered.table.name}.{column}: {form} in vars.yml."

    unit = unit_of(connection, unread)
    if unit:
        name, form = unit
        return f"They are {name}. Convert them: {converted(form.format(bare))}"
    forms = [f"{day}{clock}" for day in DAYS for clock in CLOCKS]
    whole = [f"count(try_strptime(text, '{form}')) = count(*)" for form in forms]
    fits = one_row(connection, f"select {', '.join(whole)} from ({unread})")
    fitting = [
        f"try_strptime({bare}, '{form}')" for form, fit in zip(forms, fits, strict=True) if fit
    ]
    if len(fitting) != 1:
        return f"Convert them: {' or '.join(map(converted, fitting))}" if fitting else None
    if "'%Y-%d-%m" in fitting[0]:
        # What is read as it stands, such as 2025-03-04, has them swapped too.
        told = converted(fitting[0], goes_on=False)
        return f"Day and month are swapped, also where both are below 13. Convert them: {told}"
    return f"Convert them: {converted(fitting[0])}"


def unit_of(connection: duckdb.DuckDBPyConnection, texts: str) -> tuple[str, str] | None:
    """The unit that a query of texts counts in, by their digits, and how it is converted."""
    for name, digits, form in UNITS:
        query = f"select bool_and(regexp_full_match(text, '{digits}')) from ({texts})"
        if one_row(connection, query) == (True,):
            return name, form
    return None


def check_visible(seen: Seen, *, moment: Moment) -> list[Finding]:
    """Rows that are loaded after as_of are not seen, and marts end long before a late one."""
    if seen.rows == 0:
        return []
    delivered, loaded = seen.delivered, seen.of("loaded_at")
    is_required = delivered.table.name == REQUIRED_INPUT
    if loaded.first is not None and loaded.first > moment.at:
        what = (
            f"no row is visible: the earliest was loaded at {loaded.first}, after as_of {moment.at}"
        )
        place = f"{delivered.where}, column loaded_at"
        fix = "Correct as_of in vars.yml, or loaded_at."
        return [Finding("error" if is_required else "warning", what, place, fix)]
    last = seen.event.last
    if is_required and last is not None and moment.at - last > MONTH:
        days = (moment.at - last).days
        said = (
            f"as_of {moment.at}" if moment.is_set else "as_of, which is now where no setting says,"
        )
        what = f"{said} lies {days:,} days past the last prediction, of {last}"
        fix = "Set as_of in vars.yml to the day after it, or deliver what came since."
        place = f"{delivered.where}, column {delivered.table.event_at}"
        return [Finding("warning", what, place, fix)]
    return []


CONVERSION = re.compile(
    r"(to_timestamp|epoch_ms|make_timestamp(?:_ms|_ns)?)\s*\(\s*((?:try_)?cast\s*\((.+?)\s+as\s+\w+\)|\w+)\s*\)",
    re.IGNORECASE,
)


def check_units(connection: duckdb.DuckDBPyConnection, seen: Seen) -> list[Finding]:
    """Times that were read in a wrong unit: a thousand times too small they lie in 1970."""
    findings = []
    for name, times in seen.times.items():
        if times.middle is None or SOUND_YEARS[0] <= times.middle < SOUND_YEARS[1]:
            continue
        delivered = seen.delivered
        about = f"{times.middle:%Y-%m-%d %H:%M:%S}"
        what = f"half of its times lie about {about}: they are read in a wrong unit"
        fix = "Convert them by the unit they have."
        used = CONVERSION.fullmatch(delivered.expressions[name].strip())
        if used:
            bare = used[3] or used[2]
            text = cast(bare, "string")
            texts = f"select {text} as text from {delivered.sample} where {text} is not null"
            unit = unit_of(connection, texts)
            if unit:
                key = f"mapping.{delivered.table.name}.{name}"
                fix = (
                    f"They are {unit[0]}. Convert them: {key}: {unit[1].format(bare)} in vars.yml."
                )
        is_required = any(
            column.required for column in delivered.table.columns if column.name == name
        )
        place = f"{delivered.where}, column {name}"
        findings.append(Finding("error" if is_required else "warning", what, place, fix))
    return findings


def check_spans(
    connection: duckdb.DuckDBPyConnection, tables: Sequence[Seen], *, moment: Moment
) -> list[Finding]:
    """Events and arrivals years away from those of every other table and from as_of."""
    findings = []
    for seen in tables:
        others = [
            other.event.middle for other in tables if other is not seen and other.event.middle
        ]
        known = others + ([moment.at] if moment.is_set else [])
        if not known:
            continue
        first, last = min(known) - FAR, max(known) + FAR
        for name in dict.fromkeys((seen.delivered.table.event_at, "loaded_at")):
            times = seen.of(name)
            if (
                times.first is None
                or times.last is None
                or first <= times.first <= times.last <= last
            ):
                continue
            value = cast(seen.delivered.expressions[name], "timestamp")
            query = (
                f"select count(*), any_value(value) from (select {value} as value "
                f"from {seen.delivered.relation}) where value not between ? and ?"
            )
            count, example = connection.execute(query, [first, last]).fetchone() or (0, None)
            what = f"{count:,} of {seen.rows:,} times lie far from those of the other tables"
            place = f"{seen.delivered.where}, column {name}"
            span = f"{min(known):%Y-%m-%d} to {max(known):%Y-%m-%d}"
            fix = "Correct them, or convert them by their unit in vars.yml."
            findings.append(Finding("warning", f"{what} ({span}), e.g. {example}", place, fix))
    return findings


# Rows against settings and seeds


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
    if not unknown:
        return []
    broken = sum(unknown.values())
    what = f"{broken:,} rows of unknown models are rejected: {found}"
    return [Finding(severity(broken, sum(counts.values())), what, place, fix)]


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
    connection: duckdb.DuckDBPyConnection,
    outcomes: Input | None,
    *,
    registry: SeedFile,
    kinds: set[str],
) -> list[Finding]:
    """Registered outcomes and labels that no delivered outcome has: performance would be empty.

    So would revenue, credit and cohorts be, if nobody says that an amount is money.
    """
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
        amount = row.values["amount_outcome"]
        if amount in labels and amount not in kinds | NAMED_KINDS:
            what = f"nothing says whether '{amount}' is money: it counts as no revenue"
            fix = "Add it to outcome_kinds.csv, as money, or as other where it is a loss."
            findings.append(Finding("warning", what, f"{place} amount_outcome", fix))
        positive, found = row.values["positive_label"], labels.get(row.values["label_outcome"], {})
        if positive and found and _label(positive) not in map(_label, found):
            what = f"no '{row.values['label_outcome']}' has the label '{positive}'"
            place = f"{place} positive_label"
            fix = "Correct it: upper and lower case count."
            findings.append(Finding("warning", f"{what} (found: {_some(found)})", place, fix))
    return findings


def _label(text: str) -> str:
    """The one form of a label, as the macro `normal_label` writes it."""
    if text.lower() in ("true", "false", "yes", "no"):
        return text.lower()
    return re.sub(r"^(-?[0-9]+)\.0+$", r"\1", text)


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
    broken = sum(refused.values())
    what = f"no exchange rate for {_some(refused)}: {broken:,} amounts are refused"
    place = f"{delivered.where}, column currency"
    severe = severity(broken, sum(counts.values()))
    fix = "Add the currency to exchange_rates.csv."
    return [Finding("note" if severe == "note" else "warning", what, place, fix)]


def check_experiments(
    connection: duckdb.DuckDBPyConnection, delivered: Input, *, declared: SeedFile
) -> list[Finding]:
    """Assignments to an experiment that nobody declared harm nothing, and are not read."""
    counts = _values(connection, delivered, "experiment_id")
    known = seeds.values_of(declared, "experiment_id")
    ignored = {experiment: count for experiment, count in counts.items() if experiment not in known}
    if not ignored or not declared.is_whole:
        return []
    what = f"{sum(ignored.values()):,} assignments of undeclared experiments: {_some(ignored)}"
    place = f"{delivered.where}, column experiment_id"
    return [Finding("warning", what, place, f"Declare them in {declared.where} to have them read.")]


def _values(connection: duckdb.DuckDBPyConnection, delivered: Input, column: str) -> dict[str, int]:
    """The values of a text column and their row counts, most frequent first."""
    value = cast(delivered.expressions[column], "string")
    query = f"select {value}, count(*) from {delivered.relation} group by 1 order by 2 desc, 1"
    rows = connection.execute(query).fetchall()
    return {text: count for text, count in rows if text is not None}


def _some(names: Iterable[str]) -> str:
    listed = [f"'{name}'" for name in names]
    return ", ".join(listed[:5]) + (", …" if len(listed) > 5 else "")


def _read_input_checks(
    workspace: Workspace, *, variables: Mapping[str, str], rows: int | None
) -> list[dict[str, Any]]:
    """The rows of fct_input_checks, built in a scratch of the first `rows` of each raw table.

    Raises UserError where dbt cannot build it.
    """
    seen = dbt_events.Run()
    looked_at = ("--vars", json.dumps({"rows_looked_at": rows})) if rows else ()
    arguments = (
        *("--no-use-colors", "--log-format", "json", "build", "--select", "+fct_input_checks"),
        *("--exclude-resource-type", "test", "--exclude-resource-type", "unit_test", *looked_at),
    )
    for line in dbt_process.captured(workspace, arguments, variables=variables).splitlines():
        seen.take(line)
    try:
        with duckdb.connect(variables["THROUGHLINE_SCRATCH"], read_only=True) as connection:
            cursor = connection.execute(
                f"from {relation(f'{workspace.schema}_core', 'fct_input_checks')}"
            )
            columns = [column[0] for column in cursor.description or ()]
            return [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]
    except duckdb.Error:
        raise UserError(*dbt_events.shown(seen)) from None
