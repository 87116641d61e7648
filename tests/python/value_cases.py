"""A workspace of numbers that read wrong where one looks at sums alone: a case to a model."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd

from building import Project, seed_row
from throughline import seeds, workspace

Row = Mapping[str, object]

AS_OF = "2026-06-15 00:00:00"
MINIMUM_CELL = 5
COLUMNS: Mapping[str, str] = {
    "prediction_logs": "prediction_id model_id model_version predicted_at entity_id score channel "
    "role",
    "business_outcomes": "outcome_id outcome_name prediction_id entity_id outcome_label "
    "outcome_value occurred_at observed_at",
    "usage_events": "event_id event_name occurred_at user_id model_id",
    "eligible_users": "user_id model_id eligible_from eligible_to role",
    "feedback": "response_id survey_type asked_at score scale_min scale_max model_id",
    "model_releases": "release_id model_id model_version event_type event_at",
    "serving_costs": "cost_id model_id period_start period_end cost_type amount currency",
}
SETTINGS = f"""as_of: {AS_OF}
minimum_cell: {MINIMUM_CELL}
segments: [channel, role]
protected_attributes: []
inputs: [{", ".join(COLUMNS)}]
"""
# by model: what its label is called, and what else its row of the registry says
MODELS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    # costs of 10 a day come to the end of May, and a licence is paid for the year that follows
    "billed": ("revenue", {"amount_outcome": "revenue", "negative_on_absence": "true"}),
    # that licence alone
    "licensed": ("revenue", {"amount_outcome": "revenue"}),
    # an invoice in another currency, whose rate doubles
    "converted": ("revenue", {}),
    # half of the decisions ever get a label
    "half": ("sold", {"horizon_days": "7"}),
    # no label has ever come, though none means a negative
    "unlabelled": ("fraud", {"negative_on_absence": "true", "label_is": "harm"}),
    # thirty customers are asked after each week, and half of them leave at the fourth
    "churning": ("churned", {"positive_label": "true", "horizon_days": "40", "label_is": "harm"}),
    # thirty deployments in December, of which nothing is heard until May
    "deployed": ("sold", {}),
}
# names of this company's own, each of which comes once for each decision on some days
KINDS = {
    "asked_for_help": "ticket",
    "began": "activation",
    "hours_of_review": "review_hours",
    "renewed_contract": "renewal",
    "energy_saved": "quantity",
    "liked": "other",
}
DAYS = [f"{day:%Y-%m-%d}" for day in pd.date_range("2026-05-01", "2026-06-14")]
CHECKS = ("2026-05-08", "2026-05-15", "2026-05-22", "2026-05-29", "2026-06-05")
CUSTOMERS = range(30)
OWNED = {"valid_from": "2025-01-01", "owner": "Ann", "rationale": "why"}


def make(project: Project) -> Path:
    """Writes the workspace."""
    folder = project.root / "cases"
    specs = seeds.read_specs(project.root)
    headers = {name: spec.header for name, spec in specs.items()}
    workspace.create(folder, project=project.root, headers=headers)
    (folder / "vars.yml").write_text(SETTINGS)
    for seed, lines in seed_lines().items():
        with (folder / f"seeds/{seed}.csv").open("a") as file:
            file.writelines(f"{line}\n" for line in lines)
    rows = {
        "prediction_logs": predictions(),
        "business_outcomes": outcomes(),
        "usage_events": usage(),
        "eligible_users": users(),
        "feedback": answers(),
        "model_releases": releases(),
        "serving_costs": costs(),
    }
    for table, columns in COLUMNS.items():
        names = [*columns.split(), "loaded_at"]
        with (folder / f"raw/{table}/rows.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=names, restval="")
            writer.writeheader()
            writer.writerows({"loaded_at": "2026-06-14 23:00:00", **row} for row in rows[table])
    return folder


def seed_lines() -> Mapping[str, Sequence[str]]:
    registry = [
        seed_row(
            "model_registry",
            **{
                "model_id": model_id,
                "model_name": model_id,
                "product": "CRM",
                "task": "binary",
                "team": "growth",
                "charter": "Rank",
                "label_outcome": label,
                "label_is": "gain",
                "decision_threshold": "0.5",
                "horizon_days": "3",
                "label_delay_days": "0",
                "negative_on_absence": "false",
                "owner": "Ann",
                "rationale": "why",
                **others,
            },
        )
        for model_id, (label, others) in MODELS.items()
    ]
    values = [
        seed_row("unit_values", model_id=model_id, cell=cell, currency="USD", **worth, **OWNED)
        for model_id, cell, worth in (
            ("half", "tp", {"fixed_amount": "10", "amount_coefficient": "0"}),
            ("billed", "tp", {"fixed_amount": "0", "amount_coefficient": "1"}),
            ("billed", "fp", {"fixed_amount": "-1", "amount_coefficient": "0"}),
        )
    ]
    rates = [
        seed_row("exchange_rates", **{**OWNED, "currency": "USD", "rate": "1"}),
        seed_row(
            "exchange_rates",
            **{**OWNED, "currency": "EUR", "rate": "1", "valid_to": "2026-05-16"},
        ),
        seed_row(
            "exchange_rates",
            **{**OWNED, "currency": "EUR", "rate": "2", "valid_from": "2026-05-16"},
        ),
        seed_row(
            "exchange_rates",
            **{**OWNED, "currency": "CHF", "rate": "1", "valid_to": "2026-05-16"},
        ),
    ]
    kinds = [
        seed_row("outcome_kinds", outcome_name=name, kind=kind, owner="Ann", rationale="why")
        for name, kind in KINDS.items()
    ]
    return {
        "model_registry": registry,
        "unit_values": values,
        "exchange_rates": rates,
        "outcome_kinds": kinds,
    }


def predictions() -> Iterator[Row]:
    """Ten a day of each model, about thirty entities in turn; of customers one each."""
    for model_id in MODELS:
        for place, day in enumerate(DAYS):
            for n in range(10):
                customer = (place * 10 + n) % 30
                if model_id == "churning" and place > 2:
                    continue
                yield {
                    "prediction_id": f"{model_id}-{day}-{n}",
                    "model_id": model_id,
                    "model_version": "v2" if day >= "2026-06-01" else "v1",
                    "predicted_at": f"{day} 10:00:00",
                    "entity_id": f"e{customer}",
                    "score": "0.9",
                    # one a day is of no channel, and from June one of another
                    "role": "chief" if n % 4 == 3 else "rep",
                    "channel": {0: "", 1: "shop" if day >= "2026-06-01" else "web"}.get(n, "web"),
                }


def outcomes() -> Iterator[Row]:
    """Revenue on the last day, labels of every other decision, checks of customers."""
    for n in CUSTOMERS:
        yield outcome(f"r{n}", "revenue", day=DAYS[-1], entity_id=f"e{n}", outcome_value="100")
        for week, day in enumerate(CHECKS):
            has_left = week >= 3 and n < 15
            label = "true" if has_left else "false"
            # customers are known by the decision about them
            named = f"churning-{DAYS[n // 10]}-{n % 10}"
            row = outcome(f"c{n}-{week}", "churned", day=day, prediction_id=named)
            yield {**row, "entity_id": f"e{n}", "outcome_label": label}
    for place, name in enumerate(KINDS):
        # hours of review come daily and stop after a month
        for day in DAYS[:30] if name == "hours_of_review" else DAYS[place::3]:
            for n in range(8):
                label = "true" if n % 3 else "false"
                row = outcome(f"{name}-{day}-{n}", name, day=day, outcome_label=label)
                yield {**row, "prediction_id": f"billed-{day}-{n}", "outcome_value": f"{n / 4}"}
    # of those that are pending none has come
    for place, day in enumerate(DAYS[:-7]):
        for n in range(5):
            named = f"half-{day}-{n}"
            yield outcome(f"s{day}-{n}", "sold", day=DAYS[place + 1], prediction_id=named)


def outcome(outcome_id: str, name: str, *, day: str, **others: str) -> Row:
    moment = f"{day} 12:00:00"
    said = {"occurred_at": moment, "observed_at": moment, "outcome_label": "yes"}
    return {"outcome_id": outcome_id, "outcome_name": name, **said, **others}


def users() -> Iterator[Row]:
    """Eight reps, of whom one becomes the third chief in June, and a guest of three days."""
    for n in range(10):
        role = "rep" if n < 8 else "chief"
        until = "2026-06-01 00:00:00" if n == 0 else ""
        yield user(n, role, start="2026-05-01", eligible_to=until)
    yield user(0, "chief", start="2026-06-01")
    yield user(10, "guest", start="2026-05-20", eligible_to="2026-05-23 00:00:00")


def user(n: int, role: str, *, start: str, **others: str) -> Row:
    named = {"user_id": f"u{n}", "model_id": "billed", "role": role}
    return {**named, "eligible_from": f"{start} 00:00:00", **others}


def usage() -> Iterator[Row]:
    """Everybody on the list works every other day, and somebody who is not on it."""
    for place, day in enumerate(DAYS):
        for n in (*range(place % 2, 11, 2), 12):
            yield {
                "event_id": f"{day}-{n}",
                "event_name": "task_completed" if n % 3 else "viewed",
                "occurred_at": f"{day} 11:00:00",
                "user_id": f"u{n}",
                "model_id": "billed",
            }


def answers() -> Iterator[Row]:
    """Thirty say 5, on a scale of 1 to 5, of which ten are asked that scale with the question."""
    for survey in ("nps", "csat"):
        for n in range(30):
            has_scale = survey == "nps" or n < 10
            yield {
                "response_id": f"{survey}{n}",
                "survey_type": survey,
                "asked_at": "2026-06-10 10:00:00",
                "score": "5",
                "scale_min": "1" if has_scale else "",
                "scale_max": "5" if has_scale else "",
                "model_id": "deployed",
            }


def releases() -> Iterator[Row]:
    for n in range(30):
        yield {
            "release_id": f"d{n}",
            "model_id": "deployed",
            "model_version": "v1",
            "event_type": "deployed",
            "event_at": "2025-12-01 10:00:00",
        }


def costs() -> Iterator[Row]:
    may, june, year = ("2026-05-01", "2026-06-01", "2027-06-01")
    for cost_id, model_id, start, end, cost_type, amount, currency in (
        ("a", "billed", may, june, "compute", "310", "USD"),
        ("b", "billed", june, year, "licence", "3650", "USD"),
        ("c", "licensed", june, year, "licence", "3650", "USD"),
        ("d", "converted", may, "2026-05-31", "compute", "300", "EUR"),
        # its rate ends within the period
        ("e", "converted", may, "2026-05-31", "tokens", "300", "CHF"),
    ):
        yield {
            "cost_id": cost_id,
            "model_id": model_id,
            "period_start": f"{start} 00:00:00",
            "period_end": f"{end} 00:00:00",
            "cost_type": cost_type,
            "amount": amount,
            "currency": currency,
        }
