"""Checks of the delivered raw tables against the contract, the settings and the seeds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal

import duckdb

from throughline import seeds
from throughline.inputs import Input, open_input
from throughline.seeds import SeedFile
from throughline.sql import cast, file_of, one_row, reason
from throughline.workspace import REQUIRED_INPUT, Column, Finding, UserError, Workspace

# Single broken rows are what stg_rejected_rows is for; more than this share is a broken delivery.
TOLERATED_SHARE = 0.01


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
        if "experiment_assignments" in inputs:
            findings += check_experiments(
                connection, inputs["experiment_assignments"], declared=files["experiments"]
            )
        rates = files["exchange_rates"]
        known = seeds.values_of(rates, "currency") | {workspace.setting("reporting_currency")}
        for name in ("business_outcomes", "serving_costs") if rates.is_whole else ():
            if name in inputs:
                findings += check_currencies(connection, inputs[name], known=known)
    return findings


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
        rows, *profile = one_row(connection, f"select {', '.join(counts)} from {delivered.sample}")
    except duckdb.Error as error:
        where = file_of(error, project=project) or delivered.where
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
    (earliest,) = one_row(connection, f"select min({loaded}) from {delivered.relation}")
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
