"""The contract at the door: what is staged, what is refused and why, and what stops a build."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
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
        "lead,Lead,CRM,binary,Team,Why,converted,true,revenue,0.5,14,2,true,,,ann,why",
        "offer,Offer,Shop,ranking,Team,Why,taken,,,0,7,1,true,,,ann,why",
    ],
    "exchange_rates": ["EUR,1.1,2025-01-01,2025-06-01,ann,why"],
}


def meta(column: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = column.get("config", {}).get("meta", {})
    return found


def columns(table: str) -> list[str]:
    return [column["name"] for column in CONTRACT[table]["columns"]]


def required(table: str) -> list[str]:
    return [c["name"] for c in CONTRACT[table]["columns"] if meta(c).get("required")]


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
}

TEXT = "Said \"no, never\";\r\nthen: naïve 漢字 🎉, 'quoted' | tab\there"
NO_RATE = "currency has no rate in exchange_rates on that day"
# A change to a good row, and what becomes of the row.
CHANGES: dict[str, list[tuple[Row, str]]] = {
    "prediction_logs": [
        ({"model_id": "churn"}, "model_id is not in model_registry"),
        ({"model_id": "Lead"}, "model_id is not in model_registry"),
        ({"model_id": " lead"}, "model_id is not in model_registry"),
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
        ({"score": "NaN"}, "score is not a finite number"),
        ({"score": "-inf"}, "score is not a finite number"),
        ({"score": "1e999"}, "score is not a finite number"),
        ({"score": "1.2"}, "score is outside 0 to 1 for a binary model"),
        ({"score": "-0.1"}, "score is outside 0 to 1 for a binary model"),
        ({"score": "1.2", "model_id": "offer"}, STAGED),
        ({"score": "1"}, STAGED),
        ({"score": " 5e-1 "}, STAGED),
        ({"predicted_value": "infinity"}, "predicted_value is not a finite number"),
        ({"rank_position": "1.7"}, "rank_position is not a whole number"),
        ({"rank_position": "first"}, "rank_position is not a whole number"),
        ({"rank_position": "0"}, "rank_position is below 1"),
        ({"rank_position": "3.0"}, STAGED),
        ({"propensity": "0"}, "propensity is not above 0"),
        ({"propensity": "1.4"}, "propensity is above 1"),
        ({"propensity": "1e-6"}, STAGED),
        ({"sampling_fraction": "0"}, "sampling_fraction is not above 0"),
        ({"sampling_fraction": "2"}, "sampling_fraction is above 1"),
        ({"latency_ms": "-5"}, "latency_ms is below 0"),
        ({"status_code": "OK"}, "status_code is not a whole number"),
        ({"user_id": "", "score": "", "predicted_label": "", "channel": ""}, STAGED),
        ({"user_id": TEXT, "channel": TEXT}, STAGED),
        ({"predicted_at": "2025-03-01T10:00:00Z"}, STAGED),
        ({"predicted_at": "2025-03-01"}, STAGED),
    ],
    "usage_events": [
        ({"event_name": "clicked"}, "event_name is not one of {one_of}"),
        ({"event_name": "Accepted"}, "event_name is not one of {one_of}"),
        ({"event_name": "accepted "}, "event_name is not one of {one_of}"),
        ({"model_id": "churn"}, "model_id is not in model_registry"),
        ({"occurred_at": "25:61"}, "occurred_at is not a timestamp"),
        ({"is_passive": "maybe"}, "is_passive is not true or false"),
        ({"is_passive": "2"}, "is_passive is not true or false"),
        ({"is_passive": "t"}, STAGED),
        ({"is_passive": "1"}, STAGED),
        ({"is_passive": "FALSE"}, STAGED),
        ({"duration_ms": "-1"}, "duration_ms is below 0"),
        ({"duration_ms": "1s"}, "duration_ms is not a number"),
    ],
    "business_outcomes": [
        ({"entity_id": ""}, "prediction_id, entity_id and user_id are all missing"),
        ({"entity_id": "", "user_id": "ann"}, STAGED),
        ({"outcome_label": ""}, "outcome_label and outcome_value are both missing"),
        ({"outcome_label": "", "outcome_value": "0"}, STAGED),
        ({"outcome_value": "ten"}, "outcome_value is not a number"),
        ({"observed_at": "2025-03-05 09:59:59"}, "observed_at is before occurred_at"),
        ({"observed_at": "2025-03-05T10:30:00+02:00"}, "observed_at is before occurred_at"),
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
        ({"covariate": "NaN"}, "covariate is not a finite number"),
    ],
    "feedback": [
        ({"score": "9", "scale_min": "1", "scale_max": "5"}, "score is outside its scale"),
        ({"score": "0", "scale_min": "1", "scale_max": "5"}, "score is outside its scale"),
        ({"score": "5", "scale_min": "1", "scale_max": "5", "comment": TEXT}, STAGED),
        ({"survey_type": "mood"}, "survey_type is not one of {one_of}"),
        ({"responded_at": "2025-03-01 11:00:00"}, "responded_at is before asked_at"),
        ({"model_id": "churn"}, "model_id is not in model_registry"),
    ],
    "model_releases": [
        ({"event_type": "went_live"}, "event_type is not one of {one_of}"),
        ({"event_at": "31/06/2025"}, "event_at is not a timestamp"),
        ({"is_automated": "robot"}, "is_automated is not true or false"),
        ({"planned_at": "0099-01-01"}, "planned_at is outside the years 1900 to 2199"),
    ],
    "serving_costs": [
        ({"amount": "ten"}, "amount is not a number"),
        ({"amount": "-10"}, STAGED),
        ({"cost_type": "coffee"}, "cost_type is not one of {one_of}"),
        ({"period_end": "2025-03-01"}, "period_end is not after period_start"),
        ({"currency": "GBP"}, NO_RATE),
    ],
    "kpi_annotations": [
        ({"effective_to": "2025-03-02"}, "effective_to is before effective_from"),
        ({"effective_from": "some day"}, "effective_from is not a timestamp"),
        ({"excludes_from_causal": "-"}, "excludes_from_causal is not true or false"),
    ],
}

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
        missing: list[tuple[Row, str]] = [({c: ""}, f"{c} is missing") for c in required(table)]
        for change, fate in [({}, STAGED), *missing, *CHANGES[table]]:
            name = f"{table} {len(rows)}"
            reason = fate.replace("{one_of}", allowed.get(next(iter(change), ""), ""))
            rows.append(Delivered(table, name, {**good, own: name, **change}, reason))
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
    folder = make(project, "broken", settings={})
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


def test_there_are_thirty_kinds_of_broken_rows() -> None:
    kinds = {(d.table, d.fate) for d in DELIVERED if d.is_refused}
    assert len(kinds) > 80
    assert {table for table, _ in kinds} == set(CONTRACT)


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
    assert nameless.isna().tolist() == [True]
    stays = keys[(keys.table_name == "eligible_users") & (keys.reason == "loaded_at is missing")]
    (stay,) = stays.row_key
    assert re.fullmatch(r"eligible_users \d+ \| lead \| 2025-03-01 00:00:00", stay)


@pytest.mark.parametrize("table", CONTRACT)
def test_good_neighbours_are_staged(broken: Path, table: str) -> None:
    staged = query(broken, f"select * from stg_{table}")
    expected = [d.row for d in DELIVERED if d.table == table and d.fate == STAGED]
    found = staged[~staged[key(table)[0]].str.startswith("plain ")]
    assert sorted(found[key(table)[0]]) == sorted(row[key(table)[0]] for row in expected)
    texts = [c["name"] for c in CONTRACT[table]["columns"] if c["data_type"] == "string"]
    by_key = found.set_index(key(table)[0])
    for row in expected:
        for column in texts[1:]:
            value = by_key.at[row[key(table)[0]], column]
            assert (None if pd.isna(value) else value) == (row.get(column) or None)


def test_every_delivered_row_is_in_exactly_one_place(broken: Path) -> None:
    rejected = Counter(query(broken, "select table_name from stg_rejected_rows").table_name)
    for table in CONTRACT:
        fates = Counter(
            "rejected" if d.is_refused else d.fate for d in DELIVERED if d.table == table
        )
        fates[STAGED] += PLAIN if table == "feedback" else 0
        staged = query(broken, f"select count(*) as n from stg_{table}").n[0]
        assert (staged, rejected[table]) == (fates[STAGED], fates["rejected"])
        with (broken / "raw" / table / "rows.csv").open(encoding="utf-8-sig", newline="") as file:
            delivered = sum(1 for _ in csv.DictReader(file))
        left = fates[SUPERSEDED] + fates[INVISIBLE]
        assert delivered == staged + rejected[table] + left


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
        return {"scale_min": "0.0::double", "scale_max": "1.0::double"}.get(
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
        (3, timestamptz '2025-03-01 12:00:00Z', 'nan', 79, 'pro', 'fr', 41, 'z')
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


def test_foreign_names_are_read_through_sources_and_mapping(foreign: Path) -> None:
    staged = query(
        foreign,
        """
        select
            prediction_id, model_id, model_version, cast(predicted_at as varchar) as predicted_at,
            entity_id, score, cast(loaded_at as varchar) as loaded_at,
            coalesce(plan, 'none') as plan, country, cohort, age,
            coalesce(never_delivered, user_id) is null as is_absent
        from stg_prediction_logs order by prediction_id
        """,
    )
    assert staged.to_dict("list") == {
        "prediction_id": ["1", "2"],
        "model_id": ["lead", "lead"],
        "model_version": ["v2", "v2"],
        "predicted_at": ["2025-02-28 23:30:00", "2025-03-01 12:00:00"],
        "entity_id": ["77", "78"],
        "score": [0.9, 0.2],
        "loaded_at": ["2025-03-02 00:00:00", "2025-03-02 00:00:00"],
        "plan": ["pro", "none"],
        "country": ["DE", "FR"],
        "cohort": ["young", "it's old"],
        "age": [25.0, 40.0],
        "is_absent": [True, True],
    }
    usage = query(
        foreign,
        "select event_id, event_name, cast(occurred_at as varchar) as moment from stg_usage_events "
        "order by event_id",
    )
    assert usage.to_numpy().tolist() == [
        ["1/1740830400000", "accepted", "2025-03-01 12:00:00"],
        ["2/1740830400000", "exposed", "2025-03-01 12:00:00"],
    ]


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
        "p(yes)": "nan",
        "customer": "79",
        "plan": "pro",
        "land": "fr",
        "age": "41",
        "batch": "2025-03-02",
        'the customer\'s "tier"': "z",
    }


def test_foreign_rows_reach_the_metrics_by_their_own_segments(foreign: Path) -> None:
    cells = query(
        foreign,
        "select prediction_id, confusion_cell, user_action, credited_amount from fct_decisions "
        "order by prediction_id",
    )
    assert cells.confusion_cell.tolist() == ["tp", "tn"]
    assert cells.user_action.tolist() == ["accepted", "ignored"]
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


def test_a_table_without_rows_or_left_out_of_inputs_is_empty(foreign: Path) -> None:
    for table in set(CONTRACT) - set(CORE):
        staged = query(foreign, f"select * from stg_{table}")
        assert staged.empty
        assert list(staged.columns) == columns(table)


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
    said = lines[
        lines.index("Compilation Error in operation throughline-on-run-start-0 (./dbt_project.yml)")
        + 1
    ]
    assert said == STOPS[fault][2].replace("FOLDER", str(stopped.folder))


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
        built = {
            row[0] for row in warehouse.sql("select table_name from duckdb_tables()").fetchall()
        }
    assert "stg_prediction_logs" in built
    assert not any(name.startswith(("fct_decisions", "fct_metrics", "mart_")) for name in built)
