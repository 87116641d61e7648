"""Workspaces: which one is chosen, what its settings say, and how both reach dbt.

A workspace is a folder with raw/<table>/ files, an optional seeds/ folder and an optional vars.yml.
dbt learns of it through three environment variables, which `throughline use` also writes to .env.
"""

from __future__ import annotations

import difflib
import io
import json
import os
import re
import tempfile
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime, timezone
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import yaml
from dotenv import dotenv_values
from dotenv.parser import parse_stream

VARIABLES = ("THROUGHLINE_WORKSPACE", "THROUGHLINE_SEEDS", "THROUGHLINE_VARS")
DEFAULT_WORKSPACE = "workspace"
DEFAULT_SCHEMA = "main"
REQUIRED_INPUT = "prediction_logs"


Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Finding:
    """One fault: what is wrong, where it stands and how to fix it.

    An error stops a build; a note is of so few rows that no number moves by it.
    """

    severity: Severity
    what: str
    where: str
    fix: str

    def __str__(self) -> str:
        return " ".join(f"{self.where}: {self.what.rstrip('.')}. {self.fix}".split())


class UserError(Exception):
    """Faults the user can mend; the command line prints one line for each."""

    def __init__(self, *findings: Finding) -> None:
        super().__init__("\n".join(map(str, findings)))
        self.findings = findings


def refuse(what: str, *, where: str, fix: str) -> UserError:
    return UserError(Finding("error", what, where, fix))


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A sentence that names the nearest known name, or all of them where none is near."""
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1)
    return f"Did you mean '{near[0]}'?" if near else f"Known: {', '.join(names)}."


# The contract of the raw tables


@dataclass(frozen=True)
class Column:
    name: str
    data_type: str
    required: bool
    known_model: bool
    rejects: bool
    """Whether a bad value rejects its row; else the cell alone is missing."""


@dataclass(frozen=True)
class Table:
    name: str
    event_at: str
    """The column that says when what a row tells of happened."""
    columns: tuple[Column, ...]
    may_be_missing: bool = False
    """Whether nothing is said where no file is there: few have one, and most not from the start."""

    @property
    def column_names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)


def read_contract(project: Path) -> dict[str, Table]:
    """The raw tables by name, from models/staging/_sources.yml, in its order."""
    text = (project / "models/staging/_sources.yml").read_text(encoding="utf-8")
    tables = yaml.safe_load(text)["sources"][0]["tables"]
    return {table["name"]: _table(table) for table in tables}


def _table(table: Mapping[str, Any]) -> Table:
    def column(entry: Mapping[str, Any]) -> Column:
        meta = entry.get("config", {}).get("meta", {})
        return Column(
            name=entry["name"],
            data_type=entry["data_type"],
            required=bool(meta.get("required")),
            known_model=bool(meta.get("known_model")),
            rejects=meta.get("on_bad") != "null",
        )

    return Table(
        name=table["name"],
        event_at=table.get("config", {}).get("meta", {}).get("event_at", ""),
        columns=tuple(column(entry) for entry in table["columns"]),
        may_be_missing=bool(table.get("config", {}).get("meta", {}).get("may_be_missing")),
    )


def find_project(start: Path) -> Path:
    """The project that holds `start`, else the one this package is installed from.

    Raises UserError where neither is a Throughline project.
    """
    here = start.resolve()
    for folder in (here, *here.parents, Path(__file__).resolve().parents[2]):
        if all((folder / name).is_file() for name in PROJECT_MARKS):
            return folder
    raise refuse(
        "no Throughline project here", where=str(start), fix="Run it inside the cloned folder."
    )


PROJECT_MARKS = ("dbt_project.yml", "models/staging/_sources.yml")


# Settings


@dataclass(frozen=True)
class Setting:
    """A key of vars.yml: its meaning, an example for the template, and the check of a value.

    `check` returns the value as dbt shall see it, or raises ValueError with what is wrong.
    """

    name: str
    meaning: str
    example: str
    check: Callable[[Any], Any]


def _moment(value: Any) -> str:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip().replace("Z", "+00:00"))
        except ValueError:
            raise ValueError(f"'{value}' is not a timestamp like 2025-06-30 00:00:00") from None
    if isinstance(value, datetime):
        utc = value.astimezone(timezone.utc) if value.tzinfo else value
        return utc.replace(tzinfo=None).isoformat(sep=" ")
    if isinstance(value, date):
        return f"{value.isoformat()} 00:00:00"
    raise ValueError(f"{value!r} is not a timestamp like 2025-06-30 00:00:00")


def _names(value: Any) -> list[str]:
    if not isinstance(value, list):
        raise ValueError(f"{value!r} is not a list like [channel, device]")
    for name in value:
        if not (isinstance(name, str) and re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name)):
            raise ValueError(f"{name!r} is not a column name of letters, digits and _")
        if value.count(name) > 1:
            raise ValueError(f"'{name}' is listed twice")
    return value


def _texts(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise ValueError(f"{value!r} is not a mapping of names to texts")
    for name, text in value.items():
        if not isinstance(name, str):
            raise ValueError(f"{name!r} is not a name")
        if isinstance(text, (dict, list)) or text is None or not str(text).strip():
            raise ValueError(f"{name} is {text!r}, not a text")
    return {name: _text(text) for name, text in value.items()}


def _text(value: Any) -> str:
    # An SQL literal that YAML read as a boolean goes back as SQL writes it.
    return str(value).lower() if isinstance(value, bool) else str(value).strip()


def _mapping(value: Any) -> dict[str, dict[str, str]]:
    if not isinstance(value, dict):
        raise ValueError(f"{value!r} is not a mapping of tables to their columns")
    mapping = {}
    for table, columns in value.items():
        try:
            mapping[table] = _texts(columns)
        except ValueError as error:
            raise ValueError(f"{table}: {error}") from None
    return mapping


def _currency(value: Any) -> str:
    if not (isinstance(value, str) and re.fullmatch("[A-Z]{3}", value)):
        raise ValueError(f"{value!r} is not a currency code like USD")
    return value


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{value!r} is not a whole number of at least 1")
    return value


CREDIT_RULES = ("last", "even", "evidence")


def _severity(value: Any) -> str:
    severities = ("none", "critical", "major", "minor")
    if value not in severities:
        raise ValueError(f"must be one of {', '.join(severities)}")
    return str(value)


def _credit_rule(value: Any) -> str:
    if value not in CREDIT_RULES:
        raise ValueError(f"{value!r} is not one of {', '.join(CREDIT_RULES)}")
    return str(value)


def _share(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(f"{value!r} is not a number from 0 to 1")
    return value


def _weights(value: Any) -> dict[str, float]:
    if not isinstance(value, dict):
        raise ValueError(f"{value!r} is not a mapping of features to weights")
    _names(list(value))
    for name, weight in value.items():
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight < 1e9:
            raise ValueError(f"{name} weighs {weight!r}, which is no number of at least 0")
    return value


def _days(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{value!r} is not a whole number of days, 0 or more")
    return value


def _ratio(value: Any) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 < value <= 1:
        raise ValueError(f"{value!r} is not a number above 0 and up to 1")
    return float(value)


# As the macro `default_thresholds`; a test says so.
THRESHOLDS: Mapping[str, tuple[str, ...]] = {
    "rejected_rows": ("warn", "stop", "least"),
    "nulled_cells": ("warn",),
    "reused_keys": ("stop", "least"),
    "keys_met": ("warn", "drop", "least"),
    "arms_met": ("warn", "stop", "least"),
    "classes": ("least",),
    "event_times": ("warn", "years"),
    "days_alone": ("warn",),
}


def _thresholds(value: Any) -> dict[str, dict[str, float]]:
    if not isinstance(value, dict) or not all(isinstance(names, dict) for names in value.values()):
        raise ValueError(f"{value!r} is no mapping of checks to thresholds")
    for check, names in value.items():
        if check not in THRESHOLDS:
            raise ValueError(
                f"there are no thresholds of '{check}', but of {', '.join(THRESHOLDS)}"
            )
        for name, number in names.items():
            if name not in THRESHOLDS[check]:
                raise ValueError(f"{check} has no '{name}', but {', '.join(THRESHOLDS[check])}")
            if isinstance(number, bool) or not isinstance(number, int | float) or number < 0:
                raise ValueError(f"{check}.{name} is {number!r}, which is no number of at least 0")
    return value


JUDGING = (
    *THRESHOLDS,
    "spellings",
    "id_writings",
    "words_for_nothing",
    "environment",
    "variants",
    "unread_files",
)
"""Every check that may warn or stop."""


def _checks(value: Any) -> list[str]:
    if not isinstance(value, list):
        raise ValueError(f"{value!r} is not a list like [keys_met, feedback.reused_keys]")
    for name in value:
        if str(name).split(".")[-1] not in JUDGING:
            raise ValueError(f"'{name}' is no check: the checks are {', '.join(JUDGING)}")
    return [str(name) for name in value]


SETTINGS = (
    Setting(
        "as_of",
        "The moment the marts speak of (UTC): rows loaded later are invisible, and labels mature\n"
        "by it. Without it: now.",
        "as_of: 2025-06-30 00:00:00",
        _moment,
    ),
    Setting(
        "inputs",
        "The raw tables you deliver. Without it all but alert_actions are expected;\n"
        "only prediction_logs is always required.",
        "inputs: [prediction_logs, usage_events, business_outcomes, serving_costs]",
        _names,
    ),
    Setting(
        "sources",
        "Where a raw table is read from: a file pattern relative to this folder, or a relation of\n"
        "the warehouse. Without it: raw/<table>/**/*.parquet, *.csv and *.tsv, packed or not.",
        "sources:\n  prediction_logs: raw/scores/2025-*/*.parquet\n"
        "  serving_costs: raw/finance/costs.csv",
        _texts,
    ),
    Setting(
        "mapping",
        "Contract columns that your files name otherwise: an SQL expression over your columns.\n"
        "A column you do not map is read under its own name. In CSV files every column is text.",
        "mapping:\n  prediction_logs:\n    prediction_id: request_id\n"
        "    predicted_at: to_timestamp(try_cast(ts as bigint))\n    model_version: \"'v1'\"",
        _mapping,
    ),
    Setting(
        "segments",
        "Columns of prediction_logs by which metrics are split.",
        "segments: [channel, device, region]",
        _names,
    ),
    Setting(
        "protected_attributes",
        "Columns of prediction_logs that fairness alone may use; none of them is a segment.",
        "protected_attributes: [age_band, gender]",
        _names,
    ),
    Setting(
        "reference_groups",
        "The group that others are compared with, by protected attribute. Without it: the largest.",
        "reference_groups: {gender: male}",
        _texts,
    ),
    Setting(
        "fairness_bound",
        "The ratio to the reference group below which a group fails: four fifths by default.",
        "fairness_bound: 0.8",
        _ratio,
    ),
    Setting(
        "numeric_features",
        "Number columns of prediction_logs that are watched for drift.",
        "numeric_features: [lead_age_days]",
        _names,
    ),
    Setting(
        "categorical_features",
        "Text columns of prediction_logs that are watched for drift.",
        "categorical_features: [industry]",
        _names,
    ),
    Setting(
        "feature_importance",
        "What a feature weighs in the weighted share of features that drifted; what is not named\n"
        "weighs nothing.",
        "feature_importance: {lead_age_days: 0.7, industry: 0.3}",
        _weights,
    ),
    Setting(
        "drift_minimum",
        "The size of a drift, as PSI beyond what chance makes or as change of the missing share,\n"
        "below which no alarm is raised.",
        "drift_minimum: 0.02",
        _share,
    ),
    Setting(
        "drift_major",
        "PSI beyond what chance makes from which a drift is major.",
        "drift_major: 0.1",
        _share,
    ),
    Setting(
        "drift_minimum_count",
        "Fewer independent entities than this, in a week or its reference, are not tested for\n"
        "drift.",
        "drift_minimum_count: 100",
        _count,
    ),
    Setting(
        "new_category_maximum",
        "The share of categories that the reference lacks which is tolerated.",
        "new_category_maximum: 0.01",
        _share,
    ),
    Setting(
        "reporting_currency",
        "The currency of every amount in the marts; seeds/exchange_rates.csv leads to it.",
        "reporting_currency: USD",
        _currency,
    ),
    Setting(
        "minimum_cell",
        "A value of fewer units than this is not shown; a segment value with fewer rows shows\n"
        "nothing.",
        "minimum_cell: 20",
        _count,
    ),
    Setting(
        "regular_days",
        "Active days of 28 from which an eligible user is regular; below, the user is on trial.",
        "regular_days: 4",
        _count,
    ),
    Setting(
        "embedded_days",
        "Active days of 28 from which a model is embedded in the work of an eligible user.",
        "embedded_days: 12",
        _count,
    ),
    Setting(
        "minimum_response_rate",
        "Share of questions below which the answers to a survey are marked as those of few.",
        "minimum_response_rate: 0.2",
        _share,
    ),
    Setting(
        "exact_row_cap",
        "Up to so many judged scores of a cell and period, they are put in order one by one;\n"
        "beyond, they are ordered by their bins, and the bound of that is told.",
        "exact_row_cap: 100000",
        _count,
    ),
    Setting(
        "unit_value_tolerance",
        "Share by which each unit value may be off, for the band around what a threshold earns.",
        "unit_value_tolerance: 0.2",
        _share,
    ),
    Setting(
        "review_grace_days",
        "Days after its review_by for which a metric card is only warned of, by as_of; then the\n"
        "build stops.",
        "review_grace_days: 90",
        _days,
    ),
    Setting(
        "one_off_costs",
        "Types of cost that are not delivered for each period, so that none of them is awaited.",
        "one_off_costs: [training]",
        _names,
    ),
    Setting(
        "variable_costs",
        "Types of cost that grow with each decision: the price of a thousand more.",
        "variable_costs: [compute, tokens, human_review, support]",
        _names,
    ),
    Setting(
        "credit_rule",
        "How an outcome that is credited to several models is counted once: last, even, or\n"
        "evidence (even among the models with the best experiments).",
        "credit_rule: last",
        _credit_rule,
    ),
    Setting(
        "input_thresholds",
        "From where a check of the delivered rows warns or stops, where that is not the default.",
        "input_thresholds:\n  rejected_rows: {warn: 0.05, stop: 0.9}",
        _thresholds,
    ),
    Setting(
        "tolerated_checks",
        "Checks of the delivered rows that shall neither warn nor stop: a check, or table.check.",
        "tolerated_checks: [business_outcomes.reused_keys]",
        _checks,
    ),
    Setting(
        "alert_severity",
        "From which severity on open alerts let a test of dbt warn: critical, major or minor;\n"
        "none never does.",
        "alert_severity: critical",
        _severity,
    ),
)

COLUMN_SETTINGS = ("segments", "protected_attributes", "numeric_features", "categorical_features")
DEFAULTS: dict[str, Any] = {
    "segments": ["channel", "device", "region"],
    "protected_attributes": ["age_band", "gender"],
    "numeric_features": [],
    "categorical_features": [],
    "reporting_currency": "USD",
}


class _StrictLoader(yaml.SafeLoader):
    """YAML in which a key given twice is a fault and not a silent choice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    problem=f"'{key.value}' is given twice", problem_mark=key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


def read_settings(path: Path, *, where: str, contract: Mapping[str, Table]) -> dict[str, Any]:
    """The checked settings of a vars.yml, {} where there is none.

    Raises UserError with one finding for each fault; `where` names the file in them.
    """
    if not path.exists():
        return {}
    try:
        loaded = yaml.load(path.read_text(encoding="utf-8-sig"), Loader=_StrictLoader)
    except UnicodeDecodeError:
        raise refuse("not UTF-8 text", where=where, fix="Save it as UTF-8.") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = f", line {mark.line + 1}" if mark else ""
        raise refuse(
            f"not valid YAML: {error.problem}", where=f"{where}{line}", fix="Correct that line."
        ) from None
    except yaml.YAMLError as error:
        raise refuse(f"not valid YAML: {error}", where=where, fix="Correct it.") from None
    if loaded is None:
        return {}
    if not isinstance(loaded, dict):
        raise refuse(
            "not a mapping of settings", where=where, fix="Write lines like minimum_cell: 20."
        )
    settings, findings = _checked(loaded, where=where)
    findings += _unknown_names(settings, where=where, contract=contract)
    if findings:
        raise UserError(*findings)
    return settings


def _checked(loaded: dict[Any, Any], *, where: str) -> tuple[dict[str, Any], list[Finding]]:
    known = {setting.name: setting for setting in SETTINGS}
    settings: dict[str, Any] = {}
    findings = []
    for name, value in loaded.items():
        if name not in known:
            fix = did_you_mean(str(name), known)
            findings.append(Finding("error", f"unknown setting '{name}'", where, fix))
        elif value is not None:
            try:
                settings[name] = known[name].check(value)
            except ValueError as error:
                fix = f"Example: {' '.join(known[name].example.split())}"
                findings.append(Finding("error", f"{name}: {error}", where, fix))
    return settings, findings


def _unknown_names(
    settings: Mapping[str, Any], *, where: str, contract: Mapping[str, Table]
) -> list[Finding]:
    def finding(what: str, fix: str) -> Finding:
        return Finding("error", what, where, fix)

    findings = [
        finding(f"{name}: unknown table '{table}'", did_you_mean(str(table), contract))
        for name in ("inputs", "sources", "mapping")
        for table in settings.get(name, ())
        if table not in contract
    ]
    if REQUIRED_INPUT not in settings.get("inputs", [REQUIRED_INPUT]):
        findings.append(finding(f"inputs: lacks {REQUIRED_INPUT}", "It is always required."))
    attributes = settings.get("protected_attributes", DEFAULTS["protected_attributes"])
    findings += [
        finding(
            f"reference_groups: '{name}' is no protected attribute",
            did_you_mean(name, attributes) if attributes else "There are none.",
        )
        for name in settings.get("reference_groups", ())
        if name not in attributes
    ]
    findings += [
        finding(
            f"segments: '{name}' is a protected attribute too, which fairness alone may use",
            "Leave it out of segments or of protected_attributes.",
        )
        for name in settings.get("segments", DEFAULTS["segments"])
        if name.lower() in map(str.lower, attributes)
    ]
    for table, columns in settings.get("mapping", {}).items():
        if table not in contract:
            continue
        known = list(contract[table].column_names)
        if table == "prediction_logs":
            known += extra_columns(settings)
        findings += [
            finding(
                f"mapping: {table} has no column '{column}' in the contract",
                did_you_mean(column, known),
            )
            for column in columns
            if column not in known
        ]
    return findings


def extra_columns(settings: Mapping[str, Any]) -> list[str]:
    """Columns that the settings add to prediction_logs."""
    return [column for name in COLUMN_SETTINGS for column in settings.get(name, DEFAULTS[name])]


# The choice


@dataclass(frozen=True)
class Workspace:
    """A chosen workspace; `project` and `folder` are absolute, `chosen_by` says by what.

    `schema` is what the names of the schemas begin with; `replays` is the moment that is replayed
    beside the marts in force, as a setting writes it.
    """

    project: Path
    folder: Path
    chosen_by: str
    schema: str = DEFAULT_SCHEMA
    replays: str | None = None

    @property
    def relative(self) -> str:
        """The folder as dbt must see it: relative to the project, whatever the user wrote."""
        return Path(os.path.relpath(self.folder, self.project)).as_posix()

    @property
    def has_own_seeds(self) -> bool:
        return any((self.folder / "seeds").glob("*.csv"))

    @property
    def seeds(self) -> str:
        """The seed folder relative to the project: the workspace's, else the demo company's."""
        return f"{self.relative}/seeds" if self.has_own_seeds else "seeds"

    @property
    def warehouse(self) -> Path:
        return self.folder / "warehouse.duckdb"

    @property
    def published(self) -> Path:
        """The copy of the warehouse for readers."""
        return self.folder / "published" / "throughline.duckdb"

    @property
    def notices(self) -> Path:
        """What endpoints were told of alerts, a line of JSON for each notice."""
        return self.folder / "notices" / "alerts.jsonl"

    def replaying(self, moment: str) -> Workspace:
        """The same workspace at a moment of the past; raises UserError where it is none."""
        try:
            replays = _moment(moment)
        except ValueError as error:
            fix = "Write it like 2025-06-30 or '2025-06-30 12:00:00' (UTC)."
            raise refuse(str(error), where="--as-of", fix=fix) from None
        stamp = re.sub("[-:.]", "", replays).replace(" ", "_").removesuffix("_000000")
        own = "" if self.schema == DEFAULT_SCHEMA else f"{self.schema}_"
        return replace(self, replays=replays, schema=f"{own}as_of_{stamp}")

    @cached_property
    def contract(self) -> dict[str, Table]:
        return read_contract(self.project)

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The checked settings of vars.yml; raises UserError."""
        return read_settings(
            self.folder / "vars.yml", where=f"{self.relative}/vars.yml", contract=self.contract
        )

    def setting(self, name: str) -> Any:
        """A setting of `DEFAULTS`, as vars.yml has it or by default; raises UserError."""
        return self.settings.get(name, DEFAULTS[name])

    def environment(self) -> dict[str, str]:
        """The three variables by which dbt learns of the workspace; raises UserError."""
        values = {**self.settings, "workspace": self.relative}
        if self.replays is not None:
            values["as_of"] = self.replays
        chosen = dict(zip(VARIABLES, (self.relative, self.seeds, as_json(values)), strict=True))
        return chosen if self.replays is None else {**chosen, "THROUGHLINE_SCHEMA": self.schema}


def as_json(values: Mapping[str, Any]) -> str:
    """One line of JSON that YAML and a single-quoted .env value both read back unchanged."""
    text = json.dumps(values, ensure_ascii=False, separators=(", ", ": "))
    for character, escape in ESCAPES.items():
        text = text.replace(character, escape)
    return text


# Quotes and backslashes end or change a .env value, ${…} is interpolated there, and YAML folds the
# last four, which it holds for line breaks or unprintable.
ESCAPES = {
    "\\\\": "\\u005c",
    "'": "\\u0027",
    "$": "\\u0024",
    "\x7f": "\\u007f",
    "\x85": "\\u0085",
    "\u2028": "\\u2028",
    "\u2029": "\\u2029",
}


ARGUMENT = "argument"
"""What chose a workspace that the command at hand names."""


def at(folder: Path, *, project: Path, chosen_by: str) -> Workspace:
    """The workspace in `folder`; raises UserError where it is none or its path cannot be used."""
    workspace = Workspace(project=project, folder=folder.resolve(), chosen_by=chosen_by)
    where = workspace.relative
    if not workspace.folder.is_dir():
        what = "not a folder" if workspace.folder.exists() else "no such folder"
        by, other = f" (chosen by {chosen_by})", "choose another with throughline use DIR"
        if chosen_by == ARGUMENT:
            by, other = "", "name another"
        make = "Make it with throughline init or throughline simulate --out"
        raise refuse(what + by, where=where, fix=f"{make}, or {other}.")
    if re.search(r"[*?\[\]{}\\\n\r\"$]", where):
        raise refuse(
            "a workspace path may not hold any of * ? [ ] { } \\ $ or a double quote",
            where=where,
            fix="Rename the folder.",
        )
    if workspace.folder == project:
        raise refuse(
            "the project itself is no workspace", where=where, fix="Choose a folder of your own."
        )
    return workspace


def choose(*, project: Path, environment: Mapping[str, str]) -> Workspace:
    """The workspace named by the environment, else by .env, else the default; raises UserError."""
    written = read_env(project / ".env")
    name = VARIABLES[0]
    candidates = (
        (environment.get(name), f"the environment variable {name}"),
        (written.get(name), ".env"),
        (DEFAULT_WORKSPACE, "default"),
    )
    folder, chosen_by = next((value, by) for value, by in candidates if value)
    schema = {**written, **environment}.get("THROUGHLINE_SCHEMA", DEFAULT_SCHEMA)
    return replace(at(project / folder, project=project, chosen_by=chosen_by), schema=schema)


# .env


def read_env(path: Path) -> dict[str, str]:
    """The values of a .env as dbt reads them, {} where there is none; raises UserError."""
    try:
        return {name: value or "" for name, value in dotenv_values(path, encoding="utf-8").items()}
    except UnicodeDecodeError:
        raise refuse("not UTF-8 text", where=path.name, fix="Save it as UTF-8.") from None


def write_env(path: Path, values: Mapping[str, str]) -> None:
    """Sets `values` in a .env and keeps every other line as it stands."""
    read_env(path)
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    kept = "".join(
        binding.original.string
        for binding in parse_stream(io.StringIO(text))
        if binding.key not in values
    )
    if kept and not kept.endswith("\n"):
        kept += "\n"
    swap_in(path, kept + "".join(f"{name}={quoted(value)}\n" for name, value in values.items()))


def quoted(value: str) -> str:
    """A single-quoted .env value; `value` holds no backslash pair (see ESCAPES)."""
    return "'" + value.replace("'", "\\'") + "'"


def swap_in(path: Path, text: str) -> None:
    """Writes a file beside the old one, then takes its place: never half a file."""
    target = path.resolve()
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f"{path.name}.", suffix=".tmp")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
        temporary.chmod(target.stat().st_mode & 0o777 if target.exists() else 0o644)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def writing(place: Path, *, fix: str) -> Iterator[None]:
    """Files below `place` are written meanwhile; raises UserError where they cannot be."""
    try:
        yield
    except OSError as error:
        what = f"cannot be written: {error.strerror or error}"
        raise refuse(what, where=str(place), fix=fix) from None


def use(folder: Path, *, project: Path) -> Workspace:
    """Chooses a workspace for every later command and for plain dbt; raises UserError."""
    workspace = at(folder, project=project, chosen_by=ARGUMENT)
    write_env(project / ".env", workspace.environment())
    return workspace


# A new workspace


def create(folder: Path, *, project: Path, headers: Mapping[str, Sequence[str]]) -> Workspace:
    """An empty workspace: raw folders, seeds with their `headers`, settings template, README.

    Raises UserError where the folder holds anything but hidden files.
    """
    if folder.exists() and not folder.is_dir():
        raise refuse("a file, not a folder", where=str(folder), fix="Choose another name.")
    if folder.exists() and any(not entry.name.startswith(".") for entry in folder.iterdir()):
        raise refuse(
            "the folder is not empty",
            where=str(folder),
            fix="Choose a new folder: nothing is overwritten.",
        )
    contract = read_contract(project)
    for table in contract:
        (folder / "raw" / table).mkdir(parents=True, exist_ok=True)
    (folder / "seeds").mkdir(exist_ok=True)
    for seed, header in headers.items():
        text = ",".join(header) + "\n"
        (folder / "seeds" / f"{seed}.csv").write_text(text, encoding="utf-8", newline="")
    (folder / "vars.yml").write_text(vars_template(), encoding="utf-8")
    workspace = at(folder, project=project, chosen_by=ARGUMENT)
    (folder / "README.md").write_text(_readme(contract), encoding="utf-8")
    return workspace


def vars_template() -> str:
    """A vars.yml in which every setting is explained and commented out."""
    blocks = ["# Settings of this workspace. Remove the # before a setting to change it.\n"]
    for setting in SETTINGS:
        meaning = "".join(f"# {line}\n" for line in setting.meaning.splitlines())
        example = "".join(f"#{line}\n" for line in setting.example.splitlines())
        blocks.append(meaning + example)
    return "\n".join(blocks)


def _readme(contract: Mapping[str, Table]) -> str:
    optional = ", ".join(table for table in contract if table != REQUIRED_INPUT)
    return f"""# A Throughline workspace

1. **Deliver.** Put Parquet or CSV files into `raw/<table>/`. Required: {REQUIRED_INPUT}.
   Optional: {optional};
   list the tables you deliver under `inputs` in `vars.yml`. Other file or
   column names: see `sources` and `mapping` there.
2. **Declare.** Add a row per model to `seeds/model_registry.csv`, and to `seeds/unit_values.csv`
   what a right or wrong decision is worth. Every row has an owner and a rationale.
3. **Choose, check and build**, from the project's folder:

       throughline use <this folder>
       throughline doctor
       throughline build

`throughline doctor` names each fault with its place and its fix. Your files are only read.
"""
