"""The contract at the door: what is staged, what is refused and why, and what stops a build."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from building import NO_UNIT_TESTS, ROOT, WITHOUT_TESTS, Project, query
from throughline import seeds, workspace

Row = dict[str, str]

SOURCES = yaml.safe_load((ROOT / "models/staging/_sources.yml").read_text())["sources"][0]
CONTRACT: dict[str, dict[str, Any]] = {table["name"]: table for table in SOURCES["tables"]}
AS_OF = "2025-07-01 00:00:00"
SEED_ROWS = {
    "model_registry": [
        "lead,Lead,CRM,binary,Team,Why,converted,true,gain,revenue,0.5,14,2,true,,,,,,,,ann,why",
        "offer,Offer,Shop,ranking,Team,Why,taken,,,,0,7,1,true,,,,,,,,ann,why",
    ],
    "exchange_rates": [
        "EUR,1.1,2025-01-01,2025-05-01,ann,why",
        "EUR,1.2,2025-05-01,2025-06-01,ann,why",
    ],
}


def meta(column: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = column.get("config", {}).get("meta", {})
    return found


def columns(table: str) -> list[str]:
    return [column["name"] for column in CONTRACT[table]["columns"]]


def required(table: str) -> list[str]:
    return [c["name"] for c in CONTRACT[table]["columns"] if meta(c).get("required")]


def staged_columns(table: str) -> list[str]:
    """Those of the contract, each followed by the last moment at which it can have been."""
    return [
        name
        for column in CONTRACT[table]["columns"]
        for name in [column["name"], meta(column).get("latest")]
        if name
    ]


def key(table: str) -> list[str]:
    found: list[str] = CONTRACT[table]["config"]["meta"]["key"]
    return found


def make(project: Project, name: str, *, settings: Mapping[str, Any]) -> Path:
    """A workspace with two models, and euros until June; the raw folders are empty."""
    folder = (project.root / name).resolve()
    headers = {name: spec.header for name, spec in seeds.read_specs(project.root).items()}
    workspace.create(folder, project=project.root, headers=headers)
    for seed, rows in SEED_ROWS.items():
        with (folder / "seeds" / f"{seed}.csv").open("a", encoding="utf-8") as file:
            file.writelines(f"{row}\n" for row in rows)
    (folder / "vars.yml").write_text(yaml.safe_dump({"as_of": AS_OF, **settings}))
    return folder


def write_csv(path: Path, rows: Sequence[Mapping[str, str]], *, encoding: str = "utf-8") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    header = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.DictWriter(file, header, restval="")
        writer.writeheader()
        writer.writerows(rows)


def copy_to(path: Path, select: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        kind = "parquet" if path.suffix == ".parquet" else "csv, header"
        connection.execute(f"copy ({select}) to '{path}' (format {kind})")


def user_files(*folders: Path) -> dict[Path, bytes]:
    """Every file but the warehouse and what is in a project."""
    return {
        path: path.read_bytes()
        for folder in folders
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and not path.name.startswith("warehouse.duckdb")
        and "project" not in path.relative_to(folder).parts
    }


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project deep down, so that the path to a workspace may lead further up than dbt expects."""
    return Project.copy(tmp_path_factory.mktemp("contract") / "of/many/folders/project")


# Every row of one delivery, and what shall become of it

STAGED, SUPERSEDED, INVISIBLE = "staged", "superseded", "not yet visible"
GOOD: dict[str, Row] = {
    "prediction_logs": {
        "prediction_id": "p",
        "model_id": "lead",
        "model_version": "v1",
        "predicted_at": "2025-03-01 10:00:00",
        "entity_id": "e",
        "loaded_at": "2025-03-01 11:00:00",
    },
    "usage_events": {
        "event_id": "u",
        "event_name": "accepted",
        "occurred_at": "2025-03-01 12:00:00",
        "user_id": "ann",
        "model_id": "lead",
        "loaded_at": "2025-03-01 13:00:00",
    },
    "business_outcomes": {
        "outcome_id": "o",
        "outcome_name": "converted",
        "entity_id": "e",
        "outcome_label": "true",
        "occurred_at": "2025-03-05 10:00:00",
        "observed_at": "2025-03-05 10:00:00",
        "loaded_at": "2025-03-05 11:00:00",
    },
    "eligible_users": {
        "user_id": "w",
        "model_id": "lead",
        "eligible_from": "2025-03-01 00:00:00",
        "loaded_at": "2025-03-01 11:00:00",
    },
    "experiment_assignments": {
        "experiment_id": "x",
        "unit_id": "e",
        "variant": "control",
        "assigned_at": "2025-03-01 09:00:00",
        "loaded_at": "2025-03-01 11:00:00",
    },
    "feedback": {
        "response_id": "f",
        "survey_type": "csat",
        "asked_at": "2025-03-01 12:00:00",
        "model_id": "lead",
        "loaded_at": "2025-03-01 13:00:00",
    },
    "model_releases": {
        "release_id": "r",
        "model_id": "lead",
        "model_version": "v1",
        "event_type": "deployed",
        "event_at": "2025-02-01 12:00:00",
        "loaded_at": "2025-02-01 13:00:00",
    },
    "serving_costs": {
        "cost_id": "c",
        "model_id": "lead",
        "period_start": "2025-03-01 00:00:00",
        "period_end": "2025-04-01 00:00:00",
        "cost_type": "compute",
        "amount": "9.5",
        "currency": "USD",
        "loaded_at": "2025-04-01 01:00:00",
    },
    "kpi_annotations": {
        "annotation_id": "a",
        "effective_from": "2025-03-03 00:00:00",
        "scope": "all",
        "kind": "holiday",
        "title": "Carnival",
        "loaded_at": "2025-03-03 01:00:00",
    },
    "alert_actions": {
        "action_id": "a",
        "alert_key": "recall_floor:lead",
        "acted_at": "2025-03-03 09:00:00",
        "action": "acknowledged",
        "snoozed_until": "2025-03-09 00:00:00",
        "loaded_at": "2025-03-03 10:00:00",
    },
}


@dataclass(frozen=True)
class Nulled:
    """The row stays, and its bad cell is NULL, with these lines."""

    lines: tuple[str, ...]


Fate = str | Nulled


def nulled(*lines: str) -> Nulled:
    return Nulled(lines)


TEXT = "Said \"no, never\";\r\nthen: naïve 漢字 🎉, 'quoted' | tab\there"
UNLINKED = "prediction_id, entity_id and user_id are all missing"
BARE = "outcome_label and outcome_value are both missing"
NO_RATE = "currency has no rate in exchange_rates on that day"
NO_RATE_FROM = "currency has no rate in exchange_rates on {}"
# A change to a good row, and what becomes of the row.
CHANGES: dict[str, list[tuple[Row, Fate]]] = {
    "prediction_logs": [
        ({"model_id": "churn"}, "model_id is not in model_registry"),
        ({"model_id": "Lead"}, "model_id is not in model_registry"),
        ({"model_id": " lead"}, STAGED),
        ({"entity_id": "   "}, "entity_id is missing"),
        ({"predicted_at": "yesterday"}, "predicted_at is not a timestamp"),
        ({"predicted_at": "2025-02-30 10:00:00"}, "predicted_at is not a timestamp"),
        ({"predicted_at": "01.03.2025"}, "predicted_at is not a timestamp"),
        ({"predicted_at": "1740823200"}, "predicted_at is not a timestamp"),
        ({"predicted_at": "1850-03-01"}, "predicted_at is outside the years 1900 to 2199"),
        ({"predicted_at": "infinity"}, "predicted_at is not a timestamp"),
        ({"predicted_at": "2025-03-01 10:00:00 Europe/Berlin"}, "predicted_at is not a timestamp"),
        ({"loaded_at": "soon"}, "loaded_at is not a timestamp"),
        ({"score": "high"}, "score is not a number"),
        ({"score": "0,5"}, "score is not a number"),
        ({"score": "NaN"}, STAGED),
        ({"score": "-inf"}, "score is not a finite number"),
        ({"score": "1e999"}, "score is not a finite number"),
        ({"score": "1.2"}, "score is outside 0 to 1 for a binary model"),
        ({"score": "-0.1"}, "score is outside 0 to 1 for a binary model"),
        ({"score": "1.2", "model_id": "offer"}, STAGED),
        ({"score": "1"}, STAGED),
        ({"score": " 5e-1 "}, STAGED),
        ({"predicted_value": "infinity"}, "predicted_value is not a finite number"),
        ({"rank_position": "1.7"}, nulled("rank_position is not a whole number: 1.7")),
        ({"rank_position": "first"}, nulled("rank_position is not a whole number: first")),
        ({"rank_position": "0"}, nulled("rank_position is below 1: 0")),
        ({"rank_position": "3.0"}, STAGED),
        ({"propensity": "0"}, nulled("propensity is not above 0: 0.0")),
        ({"propensity": "1.4"}, nulled("propensity is above 1: 1.4")),
        ({"propensity": "1e-6"}, STAGED),
        ({"sampling_fraction": "0"}, "sampling_fraction is not above 0"),
        ({"sampling_fraction": "2"}, "sampling_fraction is above 1"),
        ({"latency_ms": "-5"}, nulled("latency_ms is below 0: -5.0")),
        ({"status_code": "OK"}, nulled("status_code is not a whole number: OK")),
        (
            {"latency_ms": "-1", "status_code": "OK", "propensity": "2"},
            nulled(
                "status_code is not a whole number: OK",
                "propensity is above 1: 2.0",
                "latency_ms is below 0: -1.0",
            ),
        ),
        # what breaks the row comes before what is missing from it
        ({"latency_ms": "-1", "score": "high"}, "score is not a number"),
        ({"user_id": "", "score": "", "predicted_label": "", "channel": ""}, STAGED),
        ({"user_id": TEXT, "channel": TEXT}, STAGED),
        ({"predicted_at": "2025-03-01T10:00:00Z"}, STAGED),
        ({"predicted_at": "2025-03-01"}, STAGED),
    ],
    "usage_events": [
        ({"event_name": "clicked"}, "event_name is not one of {one_of}"),
        ({"event_name": "Accepted"}, "event_name is not one of {one_of}"),
        ({"event_name": "accepted "}, STAGED),
        ({"model_id": "churn"}, "model_id is not in model_registry"),
        ({"occurred_at": "25:61"}, "occurred_at is not a timestamp"),
        ({"is_passive": "maybe"}, "is_passive is not true or false"),
        ({"is_passive": "2"}, "is_passive is not true or false"),
        ({"is_passive": "t"}, STAGED),
        ({"is_passive": "1"}, STAGED),
        ({"is_passive": "FALSE"}, STAGED),
        ({"duration_ms": "-1"}, nulled("duration_ms is below 0: -1.0")),
        ({"duration_ms": "1s"}, nulled("duration_ms is not a number: 1s")),
    ],
    "business_outcomes": [
        ({"entity_id": ""}, UNLINKED),
        ({"entity_id": "", "user_id": "ann"}, STAGED),
        ({"outcome_label": ""}, BARE),
        ({"outcome_label": "", "outcome_value": "0"}, STAGED),
        ({"outcome_value": "ten"}, "outcome_value is not a number"),
        ({"observed_at": "2025-03-05 09:59:59"}, "observed_at is before occurred_at"),
        ({"observed_at": "2025-03-05T10:30:00+02:00"}, "observed_at is before occurred_at"),
        ({"observed_at": "2025-03-05 00:00:00"}, "observed_at is before occurred_at"),
        ({"observed_at": "2025-03-04"}, "observed_at is before occurred_at"),
        # without a time of day it was known by the end of the day
        ({"observed_at": "2025-03-05"}, STAGED),
        ({"outcome_label": "", "outcome_value": "NaN"}, BARE),
        ({"outcome_value": "NaN"}, STAGED),
        ({"outcome_label": " True "}, STAGED),
        ({"outcome_label": "YES"}, STAGED),
        ({"outcome_label": "1.0"}, STAGED),
        ({"outcome_label": "-2.00"}, STAGED),
        ({"outcome_label": "1.10"}, STAGED),
        ({"outcome_label": "Fraud"}, STAGED),
        ({"status": "maybe"}, "status is not one of {one_of}"),
        ({"outcome_value": "5", "currency": "GBP"}, NO_RATE),
        ({"outcome_value": "5", "currency": "eur"}, NO_RATE),
        ({"outcome_value": "5", "currency": "EUR"}, STAGED),
        # a label is no amount: its currency needs no rate
        ({"currency": "GBP"}, STAGED),
        (
            {
                "outcome_value": "5",
                "currency": "EUR",
                "occurred_at": "2025-06-01",
                "observed_at": "2025-06-01",
            },
            NO_RATE,
        ),
        ({"currency": "EUR", "occurred_at": ""}, "occurred_at is missing"),
    ],
    "eligible_users": [
        ({"model_id": "churn"}, "model_id is not in model_registry"),
        ({"eligible_to": "2025-02-28"}, "eligible_to is before eligible_from"),
        ({"eligible_to": "2025-03-01"}, STAGED),
        ({"eligible_to": "never"}, "eligible_to is not a timestamp"),
    ],
    "experiment_assignments": [
        ({"first_exposed_at": "2025-03-01 08:00:00"}, "first_exposed_at is before assigned_at"),
        ({"first_exposed_at": "2025-02-28"}, "first_exposed_at is before assigned_at"),
        ({"first_exposed_at": "2025-03-01"}, STAGED),
        ({"covariate": "NaN"}, STAGED),
    ],
    "feedback": [
        ({"score": "9", "scale_min": "1", "scale_max": "5"}, "score is outside its scale"),
        ({"score": "0", "scale_min": "1", "scale_max": "5"}, "score is outside its scale"),
        ({"score": "5", "scale_min": "1", "scale_max": "5", "comment": TEXT}, STAGED),
        (
            {"survey_type": "nps", "score": "5", "scale_min": "1", "scale_max": "5"},
            "nps is asked on a scale other than 0 to 10",
        ),
        ({"survey_type": "nps", "score": "5", "scale_min": "0", "scale_max": "10"}, STAGED),
        ({"survey_type": "mood"}, "survey_type is not one of {one_of}"),
        ({"responded_at": "2025-03-01 11:00:00"}, "responded_at is before asked_at"),
        ({"responded_at": "2025-02-28"}, "responded_at is before asked_at"),
        ({"responded_at": "2025-03-01"}, STAGED),
        ({"responded_at": "tomorrow"}, nulled("responded_at is not a timestamp: tomorrow")),
        ({"model_id": "churn"}, "model_id is not in model_registry"),
    ],
    "model_releases": [
        ({"event_type": "went_live"}, "event_type is not one of {one_of}"),
        ({"event_at": "31/06/2025"}, "event_at is not a timestamp"),
        ({"is_automated": "robot"}, nulled("is_automated is not true or false: robot")),
        (
            {"planned_at": "0099-01-01"},
            nulled("planned_at is outside the years 1900 to 2199: 0099-01-01 00:00:00"),
        ),
    ],
    "serving_costs": [
        ({"amount": "ten"}, "amount is not a number"),
        ({"amount": "-10"}, STAGED),
        ({"cost_type": "coffee"}, "cost_type is not one of {one_of}"),
        ({"period_end": "2025-03-01"}, "period_end is not after period_start"),
        ({"currency": "GBP"}, NO_RATE),
        # two rates follow one another until June
        ({"currency": "EUR", "period_end": "2025-06-01"}, STAGED),
        ({"currency": "EUR", "period_end": "2026-01-01"}, NO_RATE_FROM.format("2025-06-01")),
    ],
    "kpi_annotations": [
        ({"effective_to": "2025-03-02"}, "effective_to is before effective_from"),
        ({"effective_from": "some day"}, "effective_from is not a timestamp"),
        ({"excludes_from_causal": "-"}, nulled("excludes_from_causal is not true or false: -")),
    ],
    "alert_actions": [
        ({"action": "ignored"}, "action is not one of {one_of}"),
        ({"action": "snoozed", "snoozed_until": ""}, "a snooze without snoozed_until"),
        ({"snoozed_until": "soon"}, "snoozed_until is not a timestamp"),
        ({"alert_key": " "}, "alert_key is missing"),
    ],
}

IN_WORDS = {
    "integer": "a whole number",
    "double": "a number",
    "timestamp": "a timestamp",
    "boolean": "true or false",
}
# As programs write them where there is no value.
WORDS = (
    *("nan", "NaN", "None", "NaT", "null", "NULL", "nil", "NA", "n/a", "#N/A", "<NA>", r"\N"),
    " nan ",
)
# A good outcome has one link and nothing but a label.
ONLY = {
    ("business_outcomes", "entity_id"): UNLINKED,
    ("business_outcomes", "outcome_label"): BARE,
}


def takes_words_for_nothing(column: Mapping[str, Any]) -> bool:
    """Texts may say NA of a region and None of a class."""
    name: str = column["name"]
    return column["data_type"] != "string" or name.endswith("_id")


def fate_of_bad(column: Mapping[str, Any], *faults: tuple[str, str]) -> Fate:
    """What is wrong with a cell, and its value as it is said: all of it, or the first rule."""
    lines = [f"{column['name']} {words}" for words, _ in faults]
    if meta(column)["on_bad"] == "reject":
        return lines[0]
    return nulled(*(f"{line}: {value}" for line, (_, value) in zip(lines, faults, strict=True)))


def out_of_range(column: Mapping[str, Any], number: float) -> Fate:
    rules = meta(column)
    said = str(int(number)) if column["data_type"] == "integer" else str(number)
    faults = {
        "is not a finite number": abs(number) == float("inf"),
        f"is below {rules.get('at_least')}": number < rules.get("at_least", number),
        f"is not above {rules.get('above')}": "above" in rules and number <= rules["above"],
        f"is above {rules.get('at_most')}": number > rules.get("at_most", number),
    }
    return fate_of_bad(column, *((words, said) for words, holds in faults.items() if holds))


def ruled(table: str, column: Mapping[str, Any]) -> list[tuple[Row, Fate]]:
    """What the contract says of one column, whichever it is."""
    name, kind, rules = column["name"], column["data_type"], meta(column)
    cases: dict[str, Fate] = {}
    missing = f"{name} is missing" if rules.get("required") else ONLY.get((table, name), STAGED)
    cases[""] = cases["  "] = missing
    if takes_words_for_nothing(column):
        cases |= dict.fromkeys(WORDS, missing)
    if kind != "string":
        unread = f"is not {IN_WORDS[kind]}"
        cases["?"] = fate_of_bad(column, (unread, "?"))
        # of a long value the beginning is told, in one line
        cases[f"one\r\ntwo{60 * '.'}"] = fate_of_bad(column, (unread, f"one  two{52 * '.'}"))
        good = GOOD[table].get(name) or {"boolean": "TRUE", "integer": "1"}.get(kind)
        cases |= {f" {good} ": STAGED} if good else {}
    if kind in ("double", "integer"):
        cases["1_000"] = fate_of_bad(column, (f"is not {IN_WORDS[kind]}", "1_000"))
    if kind == "integer":
        cases["1.5"] = fate_of_bad(column, ("is not a whole number", "1.5"))
    if kind == "double":
        cases |= {text: out_of_range(column, float(text)) for text in ("inf", "-inf")}
    if kind == "timestamp":
        outside = "is outside the years 1900 to 2199"
        cases["1899-12-31"] = fate_of_bad(column, (outside, "1899-12-31 00:00:00"))
        for day in ("2200-01-01", "9999-12-31"):
            cases[day] = (
                STAGED
                if "open_end" in rules
                else INVISIBLE
                if name == "loaded_at"
                else fate_of_bad(column, (outside, f"{day} 00:00:00"))
            )
    if "at_least" in rules:
        below = rules["at_least"] - 1
        cases[str(below)] = out_of_range(column, float(below))
    if "above" in rules:
        cases[str(rules["above"])] = out_of_range(column, float(rules["above"]))
    if "at_most" in rules:
        cases[str(rules["at_most"] + 1)] = out_of_range(column, float(rules["at_most"] + 1))
    if "one_of" in rules:
        listed = f"is not one of {', '.join(rules['one_of'])}"
        cases |= {text: fate_of_bad(column, (listed, text)) for text in ("?", "None")}
        cases |= {f" {value} ": STAGED for value in rules["one_of"]}
    elif rules.get("known_model"):
        cases["?"], cases[" lead "] = "model_id is not in model_registry", STAGED
    elif kind == "string" and "amount" not in rules and name != key(table)[0]:
        cases |= {" A few words ": STAGED, TEXT: STAGED}
        cases |= {} if takes_words_for_nothing(column) else {"None": STAGED, "NA": STAGED}
    return [({name: text}, fate) for text, fate in cases.items()]


LATER, LATEST, TOO_LATE = "2025-03-10", "2025-03-20", "2025-07-01 00:00:01"
# Copies of one row each, by what they show, in the order they are delivered.
COPIES: dict[str, list[tuple[Row, str]]] = {
    "twice": [({}, STAGED), ({}, SUPERSEDED)],
    "the_latest_wins": [
        ({"score": "0.1", "loaded_at": LATER}, SUPERSEDED),
        ({"score": "0.2", "loaded_at": LATEST}, STAGED),
        ({"score": "0.3"}, SUPERSEDED),
    ],
    "ties_go_to_larger_values": [
        ({"model_version": "v1", "score": "0.9"}, SUPERSEDED),
        ({"model_version": "v2", "score": "0.1"}, STAGED),
    ],
    "ties_put_nulls_last": [
        ({"user_id": "", "score": "0.9"}, SUPERSEDED),
        ({"user_id": "a", "score": "0.1"}, STAGED),
    ],
    "a_copy_moves_the_event": [
        ({"predicted_at": "2025-03-01"}, SUPERSEDED),
        ({"predicted_at": "2025-03-08", "loaded_at": LATER}, STAGED),
    ],
    "a_broken_copy_displaces_nothing": [
        ({"score": "0.4"}, STAGED),
        ({"score": "4", "loaded_at": LATER}, "score is outside 0 to 1 for a binary model"),
    ],
    "an_invisible_copy_displaces_nothing": [
        ({"score": "0.4"}, STAGED),
        ({"score": "0.6", "loaded_at": TOO_LATE}, INVISIBLE),
    ],
    "visible_from_as_of": [({"loaded_at": AS_OF}, STAGED)],
    "invisible": [({"loaded_at": TOO_LATE}, INVISIBLE)],
    "invisible_and_broken": [({"score": "4", "loaded_at": TOO_LATE}, INVISIBLE)],
    "invisible_by_zone": [({"loaded_at": "2025-06-30T23:30:00-02:00"}, INVISIBLE)],
}


@dataclass(frozen=True)
class Delivered:
    """A row, a name by which it is found again, and what shall become of it."""

    table: str
    name: str
    row: Row
    fate: str
    lines: tuple[str, ...] = ()

    @property
    def is_refused(self) -> bool:
        return self.fate not in (STAGED, SUPERSEDED, INVISIBLE)


def delivered_rows() -> list[Delivered]:
    rows: list[Delivered] = []
    for table, good in GOOD.items():
        own = key(table)[0]
        allowed = {
            c["name"]: ", ".join(meta(c).get("one_of", [])) for c in CONTRACT[table]["columns"]
        }
        cases = [case for column in CONTRACT[table]["columns"] for case in ruled(table, column)]
        for change, fate in [({}, STAGED), *cases, *CHANGES[table]]:
            name = f"{table} {len(rows)}"
            row = {**good, own: name, **change}
            if isinstance(fate, Nulled):
                rows.append(Delivered(table, name, row, STAGED, fate.lines))
            else:
                reason = fate.replace("{one_of}", allowed.get(next(iter(change), ""), ""))
                rows.append(Delivered(table, name, row, reason))
    for shown, copies in COPIES.items():
        for number, (change, fate) in enumerate(copies):
            row = {**GOOD["prediction_logs"], "prediction_id": shown, **change}
            rows.append(Delivered("prediction_logs", f"{shown} {number}", row, fate))
    taken_back = {"outcome_id": "taken back", "status": "reversed", "loaded_at": LATER}
    outcome = {**GOOD["business_outcomes"], "outcome_id": "taken back"}
    rows.append(Delivered("business_outcomes", "first", outcome, SUPERSEDED))
    rows.append(Delivered("business_outcomes", "second", {**outcome, **taken_back}, STAGED))
    return rows


DELIVERED = delivered_rows()
# More rows than a reader looks at to guess how a file is quoted.
PLAIN = 25_000


@pytest.fixture(scope="module")
def broken(project: Project) -> Path:
    """A full build of a delivery that holds every kind of broken row."""
    # more than half of most tables is refused, which by itself would stop what is made of them
    lenient = {"input_thresholds": {"rejected_rows": {"stop": 1}}}
    folder = make(project, "broken", settings=lenient)
    for table in CONTRACT:
        rows = [{"row name": d.name, **d.row} for d in DELIVERED if d.table == table]
        if table == "feedback":
            plain = [{**GOOD[table], "response_id": f"plain {n}"} for n in range(PLAIN)]
            rows = [*plain, *rows]
        # A byte order mark and Windows line ends, as a spreadsheet writes them.
        write_csv(folder / "raw" / table / "rows.csv", rows, encoding="utf-8-sig")
    files = user_files(folder)
    for select in (NO_UNIT_TESTS, ("--select", "+path:models/staging")):
        run = project.build(folder, *select)
        assert run.status == 0, run.output
    assert user_files(folder) == files
    return folder


def test_every_rule_of_the_contract_is_broken() -> None:
    kinds = {(d.table, d.fate) for d in DELIVERED if d.is_refused}
    assert len(kinds) > 80
    assert {table for table, _ in kinds} == set(CONTRACT)
    said = {(d.table, line.split(" ")[0]) for d in DELIVERED for line in d.lines}
    said |= {(table, reason.split(" ")[0]) for table, reason in kinds}
    for table, rules in CONTRACT.items():
        for column in rules["columns"]:
            may_be_bad = column["data_type"] != "string" or set(meta(column)) - {
                *("on_bad", "is_label", "is_prose")
            }
            assert not may_be_bad or (table, column["name"]) in said
        for check in rules["config"]["meta"].get("checks", []):
            assert (table, check["reason"]) in kinds


def test_every_broken_row_is_kept_with_its_reason(broken: Path) -> None:
    rejected = query(broken, "select table_name, raw_row, reason from stg_rejected_rows")
    names = rejected.raw_row.map(lambda text: json.loads(text)["row name"])
    found = sorted(zip(rejected.table_name, names, rejected.reason, strict=True))
    assert found == sorted((d.table, d.name, d.fate) for d in DELIVERED if d.is_refused)


def test_a_rejected_row_is_kept_as_delivered(broken: Path) -> None:
    rejected = query(
        broken, "select raw_row from stg_rejected_rows where reason = 'score is not a number'"
    )
    kept = {row["row name"]: row for row in map(json.loads, rejected.raw_row)}
    for case in DELIVERED:
        if case.fate == "score is not a number":
            cells = {name: value for name, value in kept[case.name].items() if value is not None}
            assert cells == {"row name": case.name, **case.row}


def test_a_rejected_row_names_its_key(broken: Path) -> None:
    keys = query(broken, "select table_name, row_key, reason from stg_rejected_rows")
    nameless = keys[keys.reason == "prediction_id is missing"].row_key
    assert len(nameless) > 1
    assert nameless.isna().all()
    stays = keys[(keys.table_name == "eligible_users") & (keys.reason == "loaded_at is missing")]
    assert len(stays) > 1
    for stay in stays.row_key:
        assert re.fullmatch(r"eligible_users \d+ \| lead \| 2025-03-01 00:00:00", stay)


def text_read(column: Mapping[str, Any], text: str) -> str:
    """A text as it is kept: trimmed, and a label in its one form."""
    kept = text.strip(" ")
    if meta(column).get("is_label"):
        kept = kept.lower() if kept.lower() in ("true", "false", "yes", "no") else kept
        kept = kept.split(".")[0] if re.fullmatch(r"-?\d+\.0+", kept) else kept
    return kept


def value_read(column: Mapping[str, Any], text: str) -> object:
    """What a good cell says, by the rules of the contract."""
    kept = text_read(column, text)
    if not kept or (takes_words_for_nothing(column) and text in WORDS):
        return None
    if column["data_type"] == "timestamp":
        moment = datetime.fromisoformat(kept)
        if moment.tzinfo:
            moment = moment.astimezone(timezone.utc).replace(tzinfo=None)
        if moment.year < 2200:
            return moment
        return None if meta(column)["open_end"] == "missing" else datetime(2199, 12, 31)
    if column["data_type"] == "boolean":
        return {"true": True, "t": True, "1": True, "false": False}[kept.lower()]
    if column["data_type"] in ("double", "integer"):
        return float(kept)
    return kept


def latest_read(value: object, text: str) -> object:
    """The last moment of a day that was delivered without a time."""
    if isinstance(value, datetime) and ":" not in text:
        return value + timedelta(days=1, microseconds=-1)
    return value


def row_read(case: Delivered) -> dict[str, object]:
    """A row that is staged: its bad cells are NULL."""
    bad = {line.split(" ")[0] for line in case.lines}
    values: dict[str, object] = {}
    for column in CONTRACT[case.table]["columns"]:
        name = column["name"]
        text = "" if name in bad else case.row.get(name, "")
        values[name] = value_read(column, text)
        if "latest" in meta(column):
            values[meta(column)["latest"]] = latest_read(values[name], text)
    return values


@pytest.mark.parametrize("table", CONTRACT)
def test_good_neighbours_are_staged(broken: Path, table: str) -> None:
    own = key(table)[0]
    with duckdb.connect(str(broken / "warehouse.duckdb"), read_only=True) as warehouse:
        names = ", ".join(staged_columns(table))
        kept = f"from main_staging.stg_{table} where {own} not like 'plain %'"
        found = warehouse.sql(f"select {names} {kept}").fetchall()
    rows = {row[0]: row for row in found}
    assert len(rows) == len(found)
    expected = [row_read(d) for d in DELIVERED if d.table == table and d.fate == STAGED]
    assert set(rows) == {row[own] for row in expected}
    for row in expected:
        assert dict(zip(staged_columns(table), rows[str(row[own])], strict=True)) == row


@pytest.mark.parametrize("table", CONTRACT)
def test_a_cell_that_is_set_to_null_is_told(broken: Path, table: str) -> None:
    told = query(
        broken,
        f"select {key(table)[0]} as name, nulled_cells from chk_{table} "
        "where reject_reason is null and nulled_cells is not null",
    )
    found = {
        name: set(lines.splitlines())
        for name, lines in zip(told.name, told.nulled_cells, strict=True)
    }
    assert len(found) == len(told)
    assert found == {d.name: set(d.lines) for d in DELIVERED if d.table == table and d.lines}


def fates(table: str) -> Counter[str]:
    """How many delivered rows of a table end where."""
    counted = Counter("rejected" if d.is_refused else d.fate for d in DELIVERED if d.table == table)
    counted[STAGED] += PLAIN if table == "feedback" else 0
    return counted


def test_every_delivered_row_is_in_exactly_one_place(broken: Path) -> None:
    rejected = Counter(query(broken, "select table_name from stg_rejected_rows").table_name)
    for table in CONTRACT:
        expected = fates(table)
        checked = query(
            broken,
            "select reject_reason is null as is_kept, count(*) as n, sum(copy_count) as copies "
            f"from chk_{table} group by all",
        ).set_index("is_kept")
        kept, refused = checked.loc[True], checked.loc[False]
        staged = query(broken, f"select count(*) as n from stg_{table}").n[0]
        assert kept.n == staged == expected[STAGED]
        assert refused.n == refused.copies == rejected[table] == expected["rejected"]
        assert kept.copies - kept.n == expected[SUPERSEDED]
        with (broken / "raw" / table / "rows.csv").open(encoding="utf-8-sig", newline="") as file:
            delivered = sum(1 for _ in csv.DictReader(file))
        assert delivered == kept.copies + refused.n + expected[INVISIBLE]


def test_the_door_counts_what_became_of_every_row(broken: Path) -> None:
    counted = query(
        broken,
        "select table_name, check_name, detail, sum(affected_count)::int as n "
        "from fct_input_checks group by all",
    ).set_index(["table_name", "check_name", "detail"])["n"]
    for table in CONTRACT:
        expected = fates(table)
        places = {
            "kept_rows": expected[STAGED],
            "superseded_copies": expected[SUPERSEDED],
            "rejected_rows": expected["rejected"],
            "invisible_rows": expected[INVISIBLE],
            "delivered_rows": expected.total(),
        }
        assert {name: counted[table, name, ""] for name in places} == places
        cases = [d for d in DELIVERED if d.table == table]
        reasons = Counter(d.fate for d in cases if d.is_refused)
        nulls = Counter(line.split(": ")[0] for d in cases for line in d.lines)
        for check, details in (("rejected_rows", reasons), ("nulled_cells", nulls)):
            of_check = counted[table].get(check)
            said = {} if of_check is None else of_check.drop("", errors="ignore").to_dict()
            assert said == dict(details)


def test_the_winning_copy_is_the_one_staged(broken: Path) -> None:
    staged = query(
        broken,
        "select *, cast(predicted_at as varchar) as moment from stg_prediction_logs",
    ).set_index("prediction_id")
    assert staged.score["the_latest_wins"] == 0.2
    assert staged.model_version["ties_go_to_larger_values"] == "v2"
    assert staged.user_id["ties_put_nulls_last"] == "a"
    assert staged.moment["a_copy_moves_the_event"] == "2025-03-08 00:00:00"
    assert staged.score["a_broken_copy_displaces_nothing"] == 0.4
    assert staged.score["an_invisible_copy_displaces_nothing"] == 0.4


def test_a_retraction_takes_the_label_back(broken: Path) -> None:
    outcome = query(
        broken, "select status from stg_business_outcomes where outcome_id = 'taken back'"
    )
    assert list(outcome.status) == ["reversed"]
    counted = query(
        broken, "select outcome_count from fct_outcomes where outcome_id = 'taken back'"
    )
    assert set(counted.outcome_count) == {0}


# One delivery in many forms

ROWS = 4
# Not required by themselves, but an outcome needs one of its keys, and a label or a value.
NEEDED = {"business_outcomes": ("user_id", "outcome_label")}


def literal(table: str, column: Mapping[str, Any], position: int, number: int) -> str:
    """A valid SQL value of the column's type; the last row holds required values alone."""
    name, rules = column["name"], meta(column)
    if number == ROWS - 1 and not rules.get("required") and name not in NEEDED.get(table, ()):
        return "null"
    if column["data_type"] == "timestamp":
        return f"timestamp '2025-03-0{number + 1} {position:02}:30:00'"
    if column["data_type"] == "double":
        return {"scale_min": "0.0::double", "scale_max": "10.0::double"}.get(
            name, f"(1 / {number + 1}.0)::double"
        )
    if column["data_type"] == "integer":
        return f"{number + 1}::int"
    if column["data_type"] == "boolean":
        return str(number % 2 == 0).lower()
    if rules.get("known_model"):
        return "'lead'"
    if "one_of" in rules:
        return f"'{rules['one_of'][number]}'"
    return "'EUR'" if name == "currency" else f"'{name}, {number}'"


def select(table: str, number: int, *, reverse: bool = False, required_only: bool = False) -> str:
    listed = [
        f"{literal(table, column, position, number)} as {column['name']}"
        for position, column in enumerate(CONTRACT[table]["columns"])
        if meta(column).get("required")
        or not required_only
        or literal(table, column, position, number) != "null"
    ]
    return "select " + ", ".join(reversed(listed) if reverse else listed)


def as_text(table: str, number: int, *, moment: str) -> str:
    """The same row, every value a text; `moment` writes a timestamp named {}."""
    texts = [
        f"{moment.format(c['name'])} as {c['name']}"
        if c["data_type"] == "timestamp"
        else f"{c['name']}::varchar as {c['name']}"
        for c in CONTRACT[table]["columns"]
    ]
    return f"select {', '.join(texts)} from ({select(table, number)})"


def deliver_parquet(raw: Path, table: str) -> None:
    whole = " union all ".join(select(table, number) for number in range(ROWS))
    copy_to(raw / table / "rows.parquet", whole)


def deliver_csv(raw: Path, table: str) -> None:
    whole = " union all ".join(select(table, number) for number in range(ROWS))
    copy_to(raw / table / "rows.csv", whole)


def deliver_patchwork(raw: Path, table: str) -> None:
    """Typed, text and CSV files in dated folders, each with columns, order and case of its own."""
    upper = ", ".join(f"{name} as {name.upper()}" for name in reversed(columns(table)))
    folder = raw / table
    copy_to(folder / "dt=2025-03-01/a.parquet", f"select {upper} from ({select(table, 0)})")
    berlin = "strftime({} + interval 2 hour, '%Y-%m-%dT%H:%M:%S+02:00')"
    copy_to(
        folder / "dt=2025-03-02/hour=1/b.csv",
        f"select 'new' as \"someone's extra\", * from ({as_text(table, 1, moment=berlin)})",
    )
    zulu = "strftime({}, '%Y-%m-%dT%H:%M:%SZ')"
    copy_to(folder / "text.parquet", as_text(table, 2, moment=zulu))
    copy_to(folder / "d.csv", select(table, ROWS - 1, reverse=True, required_only=True))


def staged_rows(
    project: Project, folder: Path, deliver: Callable[[Path, str], None]
) -> dict[str, list[tuple[Any, ...]]]:
    """Everything staged after the raw files were replaced by a delivery of that form."""
    shutil.rmtree(folder / "raw")
    for table in CONTRACT:
        deliver(folder / "raw", table)
    models = ("--select", "+path:models/staging", *WITHOUT_TESTS)
    run = project.build(folder, *models)
    assert run.status == 0, run.output
    with duckdb.connect(str(folder / "warehouse.duckdb"), read_only=True) as warehouse:
        warehouse.execute("use main_staging")
        assert warehouse.sql("select reason from stg_rejected_rows").fetchall() == []
        return {
            table: warehouse.sql(f"select * from stg_{table} order by all").fetchall()
            for table in CONTRACT
        }


@pytest.mark.slow
def test_the_form_of_a_delivery_does_not_matter(project: Project) -> None:
    folder = make(project, "forms", settings={"segments": ["own_segment"]})
    forms = (deliver_parquet, deliver_csv, deliver_patchwork)
    parquet, text, patchwork = (staged_rows(project, folder, form) for form in forms)
    assert {len(rows) for rows in parquet.values()} == {ROWS}
    assert text == parquet
    assert patchwork == parquet


# Names that are not ours

CORE = ["prediction_logs", "usage_events", "business_outcomes"]
FOREIGN: dict[str, Any] = {
    "inputs": [*CORE, "feedback", "kpi_annotations"],
    "segments": ["plan", "country"],
    "protected_attributes": ["cohort"],
    "numeric_features": ["age"],
    "categorical_features": ["never_delivered"],
    "mapping": {
        "prediction_logs": {
            "prediction_id": '"Request ID"',
            "model_id": "'lead'",
            "model_version": "'v' || 2",
            "predicted_at": '"Scored At"',
            "entity_id": "customer",
            "score": '"P(yes)"',
            "country": "upper(land)",
            "cohort": "case when age < 30 then 'young' else 'it''s old' end",
            "loaded_at": "batch",
        },
        "usage_events": {
            "event_id": "request || '/' || ts",
            "event_name": "case kind when 'click' then 'accepted' else 'exposed' end",
            "occurred_at": "epoch_ms(cast(ts as bigint))",
            "user_id": "agent",
            "model_id": "'lead'",
            "prediction_id": "request",
            "loaded_at": "epoch_ms(cast(ts as bigint))",
        },
        "business_outcomes": {
            "outcome_id": "deal",
            "outcome_name": "'converted'",
            "prediction_id": "deal",
            "outcome_label": "won",
            "outcome_value": "amount",
            "currency": "'EUR'",
            "occurred_at": "closed",
            "observed_at": "closed + interval 1 day",
            "loaded_at": "closed + interval 1 day",
        },
    },
}
SCORED = """
    create schema exports;
    create table exports.scored as
    select *, date '2025-03-02' as batch from (values
        (1, timestamptz '2025-03-01 01:30:00+02', 0.9::double, 77, 'pro', 'de', 25, 'x'),
        (2, timestamptz '2025-03-01 12:00:00Z', 0.2, 78, null, 'fr', 40, null),
        (3, timestamptz '2025-03-01 12:00:00Z', 'inf', 79, 'pro', 'fr', 41, 'z'),
        (4, timestamptz '2025-03-01 12:00:00Z', 'nan', 80, 'pro', 'fr', 42, 'z')
    ) as rows(
        "Request ID", "Scored At", "P(yes)", customer, plan, land, age, "the customer's ""tier""\"
    )"""


@pytest.fixture(scope="module")
def foreign(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A full build from a relation, a file pattern and an absolute path, far from the project."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    sources = {
        "prediction_logs": "exports.scored",
        "usage_events": "logs/*/clicks-*.csv",
        "business_outcomes": f"{elsewhere}/crm.parquet",
    }
    outside = project.root.parents[3]
    folder = make(project, "../../../../foreign", settings={**FOREIGN, "sources": sources})
    with duckdb.connect(str(folder / "warehouse.duckdb")) as warehouse:
        warehouse.execute(SCORED)
    clicks = {"request": "1", "kind": "click", "ts": "1740830400000", "agent": "ann"}
    write_csv(folder / "logs/2025/clicks-1.csv", [clicks])
    write_csv(
        folder / "logs/2025/clicks-2.csv",
        [{"agent": "bob", **clicks, "kind": "seen", "request": "2"}],
    )
    write_csv(folder / "logs/2025/views.csv", [{"unrelated": "1"}])
    copy_to(
        elsewhere / "crm.parquet",
        "select 1 as deal, true as won, 10.5::decimal(9, 2) as amount, date '2025-03-04' as closed",
    )
    copy_to(
        folder / "raw/kpi_annotations/epochs.parquet",
        "select 'a' as annotation_id, 1740830400::bigint as effective_from, 'all' as scope, "
        "'holiday' as kind, 'Carnival' as title, timestamp '2025-03-02' as loaded_at",
    )
    (folder / "raw/feedback/header.csv").write_text(",".join(required("feedback")))
    files = user_files(outside, elsewhere)
    run = project.build(folder, *NO_UNIT_TESTS)
    assert run.status == 0, run.output
    assert user_files(outside, elsewhere) == files
    return folder


@pytest.mark.slow
def test_foreign_names_are_read_through_sources_and_mapping(foreign: Path) -> None:
    staged = query(
        foreign,
        """
        select
            prediction_id, model_id, model_version, cast(predicted_at as varchar) as predicted_at,
            entity_id, coalesce(cast(score as varchar), 'none') as score,
            cast(loaded_at as varchar) as loaded_at,
            coalesce(plan, 'none') as plan, country, cohort, age,
            coalesce(never_delivered, user_id) is null as is_absent
        from stg_prediction_logs order by prediction_id
        """,
    )
    assert staged.to_dict("list") == {
        "prediction_id": ["1", "2", "4"],
        "model_id": ["lead"] * 3,
        "model_version": ["v2"] * 3,
        "predicted_at": ["2025-02-28 23:30:00", "2025-03-01 12:00:00", "2025-03-01 12:00:00"],
        "entity_id": ["77", "78", "80"],
        # a NaN of a typed column is missing too
        "score": ["0.9", "0.2", "none"],
        "loaded_at": ["2025-03-02 00:00:00"] * 3,
        "plan": ["pro", "none", "pro"],
        "country": ["DE", "FR", "FR"],
        "cohort": ["young", "it's old", "it's old"],
        "age": [25.0, 40.0, 42.0],
        "is_absent": [True] * 3,
    }
    dated = query(
        foreign,
        "select outcome_label, cast(occurred_by as varchar) as occurred_by, "
        "cast(observed_by as varchar) as observed_by from stg_business_outcomes",
    )
    # a date counts for the whole day, a moment at midnight for itself
    assert dated.to_numpy().tolist() == [
        ["true", "2025-03-04 23:59:59.999999", "2025-03-05 00:00:00"]
    ]
    usage = query(
        foreign,
        "select event_id, event_name, cast(occurred_at as varchar) as moment from stg_usage_events "
        "order by event_id",
    )
    assert usage.to_numpy().tolist() == [
        ["1/1740830400000", "accepted", "2025-03-01 12:00:00"],
        ["2/1740830400000", "exposed", "2025-03-01 12:00:00"],
    ]


@pytest.mark.slow
def test_a_row_under_foreign_names_is_refused_as_delivered(foreign: Path) -> None:
    rejected = query(
        foreign, "select row_key, reason, raw_row from stg_rejected_rows order by row_key"
    )
    assert list(rejected.row_key) == ["3", "a"]
    assert list(rejected.reason) == [
        "score is not a finite number",
        "effective_from is not a timestamp",
    ]
    assert json.loads(rejected.raw_row[0]) == {
        "request id": "3",
        "scored at": "2025-03-01 12:00:00+00",
        "p(yes)": "inf",
        "customer": "79",
        "plan": "pro",
        "land": "fr",
        "age": "41",
        "batch": "2025-03-02",
        'the customer\'s "tier"': "z",
    }


@pytest.mark.slow
def test_foreign_rows_reach_the_metrics_by_their_own_segments(foreign: Path) -> None:
    cells = query(
        foreign,
        "select prediction_id, confusion_cell, user_action, credited_amount from fct_decisions "
        "order by prediction_id",
    )
    # a decision without a score is neither right nor wrong, and nobody was shown it
    assert cells.confusion_cell.fillna("none").tolist() == ["tp", "tn", "none"]
    assert cells.user_action.tolist() == ["accepted", "ignored", "not_shown"]
    segments = query(
        foreign,
        "select segment_name, segment_value, numerator / denominator as value from fct_metrics "
        "where metric = 'acceptance_rate' and segment_name <> 'all' order by all",
    )
    assert segments.to_numpy().tolist() == [
        ["country", "DE", 1.0],
        ["country", "FR", 0.0],
        ["plan", "(unknown)", 0.0],
        ["plan", "pro", 1.0],
    ]


@pytest.mark.slow
def test_a_table_without_rows_or_left_out_of_inputs_is_empty(foreign: Path) -> None:
    for table in set(CONTRACT) - set(CORE):
        staged = query(foreign, f"select * from stg_{table}")
        assert staged.empty
        assert list(staged.columns) == staged_columns(table)


# What is late

FRESH = dict.fromkeys(CORE, "2025-06-30 12:00:00")
STALE = {"prediction_logs": "2025-06-27 12:00:00", "usage_events": "2025-06-20 12:00:00"}


def late(project: Project, name: str, arrivals: Mapping[str, str]) -> tuple[int, dict[str, str]]:
    """The status of `dbt source freshness` and its verdicts on files that nothing was built of.

    Every table also holds a row that is not visible yet; a table without an arrival only that.
    """
    mapping = {"prediction_logs": {"loaded_at": "arrived"}}
    folder = make(project, name, settings={"inputs": CORE, "mapping": mapping})
    for table in CORE:
        column = "arrived" if table in mapping else "loaded_at"
        moments = [TOO_LATE, *([arrivals[table]] if table in arrivals else [])]
        rows = [{**GOOD[table], "loaded_at": "", column: moment} for moment in moments]
        write_csv(folder / "raw" / table / "rows.csv", rows)
    files = user_files(folder)
    run = project.dbt(folder, "source", "freshness")
    assert user_files(folder) == files
    results = json.loads((project.root / "target" / "sources.json").read_text())["results"]
    return run.status, {row["unique_id"].split(".")[-1]: row["status"] for row in results}


def test_a_fresh_delivery_passes_at_as_of(project: Project) -> None:
    status, verdicts = late(project, "fresh", FRESH)
    assert status == 0
    assert set(verdicts.values()) == {"pass"}
    # a table left out of inputs is not awaited, and releases come when there are some
    assert {*CORE, "serving_costs"} <= set(verdicts)
    assert "model_releases" not in verdicts


def test_a_stale_delivery_is_warned_of_then_fails(project: Project) -> None:
    status, verdicts = late(project, "stale", STALE)
    assert status == 1
    assert verdicts["prediction_logs"] == "warn"
    assert verdicts["usage_events"] == "error"
    assert verdicts["business_outcomes"] == "error"
    assert verdicts["serving_costs"] == "pass"


# What stops a build

HOOKS: list[str] = yaml.safe_load((ROOT / "dbt_project.yml").read_text())["on-run-start"]
# The hook that looks at the workspace: those after it may take for granted what it has seen.
LOOKS = HOOKS.index("{{ check_workspace() }}")
TABLES = "The raw tables are " + ", ".join(CONTRACT) + "."
# By what is wrong: settings that differ, variables that differ, what dbt says.
STOPS: dict[str, tuple[dict[str, Any], Row, str]] = {
    "a required column is missing": (
        {"sources": {"prediction_logs": "odd/no_entity.csv"}},
        {},
        "raw table prediction_logs has no column entity_id, which is required. It has "
        "prediction_id, model_id, model_version, predicted_at, loaded_at. "
        "Map it: setting mapping.prediction_logs.entity_id.",
    ),
    "a file is empty": (
        {"sources": {"usage_events": "odd/empty.csv"}},
        {},
        "raw table usage_events has no column event_id, which is required. It has column0. "
        "Map it: setting mapping.usage_events.event_id.",
    ),
    "the one required table has no files": (
        {"sources": {"prediction_logs": "odd/*.parquet"}},
        {},
        "raw table prediction_logs has no files in stops/odd/*.parquet. Put .parquet or .csv files "
        "there, map it in the setting sources.",
    ),
    "an optional table has no files": (
        {"inputs": [*CORE, "feedback"]},
        {},
        "raw table feedback has no files in stops/raw/feedback. Put .parquet or .csv files there, "
        "map it in the setting sources, or leave it out of the setting inputs.",
    ),
    "inputs names an unknown table": (
        {"inputs": [*CORE, "costs"]},
        {},
        f"setting inputs names costs, which is no raw table. {TABLES}",
    ),
    "inputs lacks the required table": (
        {"inputs": ["feedback"]},
        {},
        "setting inputs lacks prediction_logs, which is always required.",
    ),
    "a segment is a protected attribute": (
        {"segments": ["channel", "Gender"]},
        {},
        "setting segments names Gender, a protected attribute too, which fairness alone may use. "
        "Leave it out of segments or of protected_attributes.",
    ),
    "mapping names an unknown table": (
        {"mapping": {"predictions": {"score": "p"}}},
        {},
        f"setting mapping names predictions, which is no raw table. {TABLES}",
    ),
    "the settings are those of another workspace": (
        {"workspace": "other"},
        {},
        "THROUGHLINE_WORKSPACE is stops but the settings in THROUGHLINE_VARS are those of other. "
        "Run `throughline use stops`.",
    ),
    "the settings are not set": (
        {},
        {"THROUGHLINE_VARS": "{}"},
        "THROUGHLINE_WORKSPACE is stops but the settings in THROUGHLINE_VARS are not set. "
        "Run `throughline use stops`.",
    ),
    "the seed folder is an absolute path": (
        {},
        {"THROUGHLINE_SEEDS": "FOLDER/seeds"},
        "THROUGHLINE_SEEDS is an absolute path: with it dbt would write over your seeds. "
        "Give it relative to the project, or run `throughline use`.",
    ),
    "the workspace is an absolute path": (
        {},
        {"THROUGHLINE_WORKSPACE": "FOLDER"},
        "THROUGHLINE_WORKSPACE is the absolute path FOLDER: with it dbt would write over your "
        "seeds. Give it relative to the project, or run `throughline use FOLDER`.",
    ),
}


@dataclass(frozen=True)
class Stopped:
    folder: Path
    outputs: dict[str, str]


@pytest.fixture(scope="module")
def stopped(project: Project) -> Stopped:
    """Sound files, and what dbt says when each thing in turn is wrong."""
    settings = {"inputs": CORE}
    folder = make(project, "stops", settings=settings)
    for table in CORE:
        write_csv(folder / "raw" / table / "rows.csv", [GOOD[table]])
    lacking = {name: text for name, text in GOOD["prediction_logs"].items() if name != "entity_id"}
    write_csv(folder / "odd/no_entity.csv", [lacking])
    write_csv(folder / "odd/churn.csv", [{**GOOD["prediction_logs"], "model_id": "churn"}])
    (folder / "odd/empty.csv").touch()
    files = user_files(folder)
    sound = json.loads(project.environment(folder)["THROUGHLINE_VARS"])
    outputs = {}
    for fault, (changed, variables, _) in STOPS.items():
        environment = {"THROUGHLINE_VARS": json.dumps({**sound, **changed})} | {
            name: text.replace("FOLDER", str(folder)) for name, text in variables.items()
        }
        outputs[fault] = project.dbt(folder, "build", **environment).output
    assert user_files(folder) == files
    return Stopped(folder, outputs)


@pytest.mark.parametrize("fault", STOPS)
def test_a_build_stops_with_one_line_when(stopped: Stopped, fault: str) -> None:
    lines = [line.strip() for line in stopped.outputs[fault].splitlines()]
    errors = [number for number, line in enumerate(lines) if "Error in operation" in line]
    said = [(lines[number], lines[number + 1]) for number in errors]
    looked = f"Compilation Error in operation throughline-on-run-start-{LOOKS} (./dbt_project.yml)"
    assert set(said) == {(looked, STOPS[fault][2].replace("FOLDER", str(stopped.folder)))}


def test_nothing_is_built_when_a_build_stops(stopped: Stopped) -> None:
    with duckdb.connect(str(stopped.folder / "warehouse.duckdb")) as warehouse:
        assert warehouse.sql("show all tables").fetchall() == []


def test_a_log_without_a_known_model_stops_the_build(project: Project, stopped: Stopped) -> None:
    sources = {"prediction_logs": "odd/churn.csv"}
    (stopped.folder / "vars.yml").write_text(yaml.safe_dump({"inputs": CORE, "sources": sources}))
    run = project.build(stopped.folder, *NO_UNIT_TESTS)
    assert run.status == 1
    assert "has_known_models_stg_prediction_logs_prediction_logs" in run.output
    with duckdb.connect(str(stopped.folder / "warehouse.duckdb")) as warehouse:
        built = {row[2] for row in warehouse.sql("show all tables").fetchall()}
    assert "stg_prediction_logs" in built
    # what the door found out is shown, and nothing is made of the log
    numbers = {name for name in built if name.startswith(("fct_decisions", "fct_metrics", "mart_"))}
    assert numbers == {"mart_input_health"}
