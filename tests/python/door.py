"""A sound company in CSV files, and its staging and facts built again and again in one process.

dbt compiles the project once; what a test changes in the files is then read by the same SQL.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import yaml

from building import ROOT, WITHOUT_TESTS, Project, experiment, seed_row

AS_OF = datetime(2026, 6, 1)
NUMBERS = {
    "main_metrics.fct_metrics": "metric <> 'rejected_row_share'",
    "main_core.fct_costs": "true",
    "main_core.fct_releases": "true",
    "main_core.dim_annotations": "true",
    "main_lift.fct_moments": "true",
}
"""What every mart is made of, and which rows of it: how much was refused may differ."""
CONTRACT = yaml.safe_load((ROOT / "models/staging/_sources.yml").read_text(encoding="utf-8"))


def columns_with(*rules: str) -> set[tuple[str, str]]:
    """The columns of the contract that have one of some rules."""
    return {
        (table["name"], column["name"])
        for table in CONTRACT["sources"][0]["tables"]
        for column in table["columns"]
        if set(rules) & set(column["config"].get("meta", {}))
    }


PROSE = columns_with("is_prose")
"""Columns of free text: what is written there is nobody's number."""
BOUNDED = columns_with("at_least", "above")
"""Columns of numbers that are never negative."""


def user_of(number: int) -> str:
    """Some ids are whole numbers, some have letters: programs bend the ones, people the others."""
    return (str(700 + number), f"u{700 + number}", f"U{700 + number}")[number % 3]


def prediction_of(number: int) -> str:
    return (str(10_000 + number), f"p{10_000 + number}", f"P{10_000 + number}")[number // 4 % 3]


def company(seed: int = 11) -> dict[str, pd.DataFrame]:
    """The ten raw tables of two models, as texts, without a fault: some 1,000 rows."""
    draw = random.Random(seed)
    start = datetime(2026, 3, 1)
    frames: dict[str, list[dict[str, Any]]] = {}

    def at(moment: datetime) -> str:
        return f"{moment:%Y-%m-%d %H:%M:%S}"

    def add(table: str, moment: datetime, **cells: Any) -> None:
        loaded = {"loaded_at": at(moment + timedelta(hours=2))}
        frames.setdefault(table, []).append(cells | loaded)

    users = [user_of(number) for number in range(60)]
    for number in range(300):
        is_lead = number % 3 != 0
        moment = start + timedelta(hours=5 * number, minutes=draw.randrange(200))
        user = draw.choice(users)
        prediction = prediction_of(number)
        entity = f"ent{number % 90:03d}"
        add(
            "prediction_logs",
            moment,
            prediction_id=prediction,
            model_id="lead" if is_lead else "price",
            model_version="v1" if number < 150 else "v2",
            predicted_at=at(moment),
            entity_id=entity,
            user_id=user,
            score=f"{draw.random():.4f}" if is_lead else "",
            predicted_label="",
            predicted_value="" if is_lead else f"{draw.uniform(50, 150):.2f}",
            list_id=f"list{number // 5:03d}",
            rank_position=str(number % 5 + 1),
            decision_threshold="0.5",
            propensity="0.5",
            feature_set_version="f1",
            environment="prod",
            latency_ms=f"{draw.uniform(10, 90):.1f}",
            status_code="200",
            error_type="",
            sampling_fraction="1",
            channel=draw.choice(["web", "shop"]),
            device=draw.choice(["phone", "desk"]),
            region=draw.choice(["north", "south"]),
            age_band=draw.choice(["18-39", "40-64"]),
            gender=draw.choice(["f", "m"]),
        )
        if number % 2 == 0:
            for name in ("exposed", draw.choice(["accepted", "rejected", "dismissed"])):
                add(
                    "usage_events",
                    moment + timedelta(minutes=20),
                    event_id=f"ev{number}{name[0]}",
                    event_name=name,
                    occurred_at=at(moment + timedelta(minutes=20 if name == "exposed" else 30)),
                    user_id=user,
                    model_id="lead" if is_lead else "price",
                    prediction_id=prediction,
                    entity_id=entity,
                    session_id=f"s{number}",
                    surface="inbox",
                    device="desk",
                    final_decision="",
                    override_reason="",
                    is_passive="false",
                    duration_ms=f"{draw.uniform(100, 900):.0f}",
                )
        happened = moment + timedelta(days=2, hours=draw.randrange(20))
        if is_lead and number % 4 != 1:
            link = (
                {"prediction_id": prediction, "entity_id": "", "user_id": user}
                if number % 4 == 0
                else {"prediction_id": "", "entity_id": entity, "user_id": user}
            )
            add(
                "business_outcomes",
                happened,
                outcome_id=f"o{number}",
                outcome_name="converted",
                **link,
                outcome_label=draw.choice(["true", "false"]),
                outcome_value="",
                currency="",
                occurred_at=at(happened),
                observed_at=at(happened + timedelta(hours=1)),
                status="final",
            )
            add(
                "business_outcomes",
                happened,
                outcome_id=f"r{number}",
                outcome_name="revenue",
                **link,
                outcome_label="",
                outcome_value=f"{draw.uniform(10, 99):.2f}",
                currency=draw.choice(["USD", "EUR"]),
                occurred_at=at(happened),
                observed_at=at(happened + timedelta(hours=1)),
                status="final",
            )
        elif not is_lead:
            add(
                "business_outcomes",
                happened,
                outcome_id=f"p{number}",
                outcome_name="sold_for",
                prediction_id=prediction,
                entity_id="",
                user_id="",
                outcome_label="",
                outcome_value=f"{draw.uniform(50, 150):.2f}",
                currency="",
                occurred_at=at(happened),
                observed_at=at(happened + timedelta(hours=1)),
                status="final",
            )
    for number, user in enumerate(users):
        add(
            "eligible_users",
            start,
            user_id=user,
            model_id="lead",
            eligible_from=at(start),
            eligible_to=at(start + timedelta(days=60)) if number % 2 else "",
            team=draw.choice(["sales", "service"]),
            role="agent",
        )
        assigned = start + timedelta(days=10, hours=number)
        add(
            "experiment_assignments",
            assigned,
            experiment_id="trial",
            unit_id=user,
            variant=("control", "treatment")[number % 2],
            assigned_at=at(assigned),
            first_exposed_at=at(assigned + timedelta(hours=1)),
            cluster_id="",
            covariate=f"{draw.uniform(0, 9):.2f}",
        )
        asked = start + timedelta(days=number, hours=9)
        add(
            "feedback",
            asked,
            response_id=f"f{number}",
            survey_type=("nps", "csat")[number % 2],
            asked_at=at(asked),
            responded_at=at(asked + timedelta(minutes=30)),
            score=str(draw.randint(0, 10)) if number % 2 == 0 else str(draw.randint(1, 5)),
            scale_min=("0", "1")[number % 2],
            scale_max=("10", "5")[number % 2],
            comment="",
            model_id="lead",
            prediction_id=prediction_of(3 * number + 1),
            user_id=user,
        )
    for number in range(24):
        moment = start + timedelta(days=3 * number)
        add(
            "model_releases",
            moment,
            release_id=f"rel{number}",
            model_id=("lead", "price")[number % 2],
            model_version=f"v{number // 2}",
            event_type="deployed",
            event_at=at(moment),
            planned_at=at(moment - timedelta(hours=4)),
            trigger="schedule",
            reason="",
            expected_effect="",
            feature_set_version="f1",
            approver="Ann",
            is_automated="true",
        )
        add(
            "serving_costs",
            moment + timedelta(days=3),
            cost_id=f"c{number}",
            model_id="lead",
            model_version=("", "v1")[number % 2],
            period_start=at(moment),
            period_end=at(moment + timedelta(days=3)),
            cost_type=("compute", "storage")[number % 2],
            amount=f"{draw.uniform(5, 20):.2f}",
            currency=("USD", "EUR")[number % 2],
            quantity="3",
            unit="hours",
        )
        add(
            "kpi_annotations",
            moment,
            annotation_id=f"a{number}",
            effective_from=at(moment),
            effective_to=at(moment + timedelta(days=1)),
            scope="all",
            kind="campaign",
            title=f"Campaign {number}",
            author="Ann",
            link="",
            excludes_from_causal="false",
        )
        add(
            "alert_actions",
            moment,
            action_id=f"x{number}",
            alert_key="recall_floor:lead",
            acted_at=at(moment),
            action=("acknowledged", "closed")[number % 2],
            acted_by="Ann",
            snoozed_until="",
            note="",
        )
    return {table: pd.DataFrame(rows, dtype=str) for table, rows in frames.items()}


SEEDS: Mapping[str, tuple[Mapping[str, str], ...]] = {
    "model_registry": (
        {
            "model_id": "lead",
            "model_name": "Leads",
            "product": "CRM",
            "task": "binary",
            "team": "growth",
            "charter": "Rank leads",
            "label_outcome": "converted",
            "positive_label": "true",
            "amount_outcome": "revenue",
            "decision_threshold": "0.5",
            "horizon_days": "14",
            "label_delay_days": "2",
            "negative_on_absence": "true",
        },
        {
            "model_id": "price",
            "model_name": "Prices",
            "product": "Shop",
            "task": "regression",
            "team": "growth",
            "charter": "Price cars",
            "label_outcome": "sold_for",
            "horizon_days": "14",
            "label_delay_days": "2",
            "negative_on_absence": "false",
        },
    ),
    "unit_values": tuple(
        {
            "model_id": "lead",
            "cell": cell,
            "fixed_amount": amount,
            "amount_coefficient": "0.1",
            "currency": "USD",
            "valid_from": "2025-01-01",
        }
        for cell, amount in (("tp", "10"), ("fp", "-2"), ("fn", "-1"), ("tn", "0"))
    ),
    "alert_rules": (
        {
            "rule_id": "recall_floor",
            "tier": "technical",
            "metric": "recall",
            "model_id": "*",
            "condition": "value < floor",
            "consecutive_days": "3",
            "cooldown_days": "7",
            "corrective_action": "retrain",
            "sla_hours": "24",
        },
    ),
    "exchange_rates": (
        {"currency": "USD", "rate": "1", "valid_from": "2025-01-01"},
        {"currency": "EUR", "rate": "1.1", "valid_from": "2025-01-01"},
    ),
}


def write_seeds(folder: Path) -> None:
    """The governed configuration of the company, laid over the headers that are there."""
    for seed, rows in SEEDS.items():
        path = folder / "seeds" / f"{seed}.csv"
        header = path.read_text(encoding="utf-8").splitlines()[0]
        lines = [seed_row(seed, **row, owner="Ann", rationale="why") for row in rows]
        path.write_text("\n".join([header, *lines, ""]), encoding="utf-8")
    path = folder / "seeds" / "experiments.csv"
    header = path.read_text(encoding="utf-8").splitlines()[0]
    plan = experiment(
        "trial", model_id="lead", start_date="2026-03-10", planned_end_date="2026-04-10"
    )
    path.write_text("\n".join([header, plan, ""]), encoding="utf-8")


def deliver(folder: Path, frames: Mapping[str, pd.DataFrame]) -> None:
    """Writes each table as one CSV in place of its files."""
    for table, frame in frames.items():
        place = folder / "raw" / table
        place.mkdir(parents=True, exist_ok=True)
        for path in place.iterdir():
            path.unlink()
        frame.to_csv(place / "rows.csv", index=False)


@dataclass(frozen=True)
class Door:
    """The compiled SQL of staging and facts, in the order in which it runs."""

    root: Path
    folder: Path
    statements: tuple[tuple[str, str], ...]

    @classmethod
    def compile(cls, project: Project, folder: Path) -> Door:
        """Builds the workspace once, and keeps the SQL that made it from its raw tables."""
        select = [
            "--select",
            "+path:models/config",
            "+fct_input_checks",
            *(f"+{name.split('.')[1]}" for name in NUMBERS),
        ]
        run = project.dbt(folder, "build", *WITHOUT_TESTS, *select)
        assert run.status == 0, run.output
        manifest = json.loads((project.root / "target/manifest.json").read_text(encoding="utf-8"))
        nodes = {
            name: node
            for name, node in manifest["nodes"].items()
            if node["resource_type"] == "model" and node.get("compiled_code")
        }
        parents = {
            name: set(node["depends_on"]["nodes"]) & set(nodes) for name, node in nodes.items()
        }
        statements = []
        for name in TopologicalSorter(parents).static_order():
            node = nodes[name]
            kind = "view" if node["config"]["materialized"] == "view" else "table"
            created = f"create {kind} {node['relation_name']} as {node['compiled_code']}"
            statements.append((node["name"], created))
        return cls(project.root, folder, tuple(statements))

    def run(self) -> duckdb.DuckDBPyConnection:
        """Reads the files as they are now; facts and checks stand in the database `warehouse`."""
        connection = duckdb.connect()
        connection.execute("set TimeZone = 'UTC'; set threads = 1")
        connection.execute("attach ':memory:' as warehouse; use warehouse")
        for layer in ("config", "staging", "core", "metrics", "lift", "marts"):
            connection.execute(f"create schema main_{layer}")
        connection.execute(f"attach '{self.folder}/warehouse.duckdb' as built (read_only)")
        seeds = (
            "from duckdb_tables() where database_name = 'built' and schema_name = 'main_config'"
            " and not starts_with(table_name, 'cfg_')"
        )
        for (name,) in connection.sql(f"select table_name {seeds}").fetchall():
            connection.execute(f"create table main_config.{name} as from built.main_config.{name}")
        connection.execute(
            "create table main_metrics.deliveries as "
            "select split_part(file, '/', -1) as file_name, "
            f"substr(file, {len(self.relative) + 2}) as delivery, 'now' as fingerprint, "
            "true as is_new, false as is_replaced, split_part(file, '/', -2) as table_name "
            f"from glob('{self.relative}/raw/*/*')"
        )
        for name, statement in self.statements:
            try:
                connection.execute(statement)
            except duckdb.Error as error:
                raise AssertionError(f"{name}: {error}") from None
        return connection

    @property
    def relative(self) -> str:
        return self.folder.relative_to(self.root).as_posix()
