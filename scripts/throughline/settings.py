"""The settings of a vars.yml: what each means, and the check of its value."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any

import yaml

from throughline.contract import REQUIRED_INPUT, Table
from throughline.findings import Finding, UserError, did_you_mean, refuse


@dataclass(frozen=True)
class Setting:
    """A key of vars.yml: its meaning, an example for the template, and the check of a value.

    `check` returns the value as dbt shall see it, or raises ValueError with what is wrong.
    """

    name: str
    meaning: str
    example: str
    check: Callable[[Any], Any]


def moment_text(value: Any) -> str:
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
        moment_text,
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
        "metrics_off",
        "Governed metrics that you do without: no mart has them, and they count for no product.",
        "metrics_off: [customer_effort]",
        _names,
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


def vars_template() -> str:
    """A vars.yml in which every setting is explained and commented out."""
    blocks = ["# Settings of this workspace. Remove the # before a setting to change it.\n"]
    for setting in SETTINGS:
        meaning = "".join(f"# {line}\n" for line in setting.meaning.splitlines())
        example = "".join(f"#{line}\n" for line in setting.example.splitlines())
        blocks.append(meaning + example)
    return "\n".join(blocks)
