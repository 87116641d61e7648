"""Workspaces whose boards are looked at, and what is known of them."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

ROOT = Path(__file__).resolve().parents[2]
SCRATCH = ROOT / ".build" / "boards"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ 7 * 7 }} {% raw %}",
    "../../etc/passwd",
    "[link](javascript:alert(1))",
    "_under_ *star* `tick`",
    "'; drop table mart_models; --",
    "2025.4",
    "007",
    "模型 ü",
    "A",
    "a",
)
"""Names that a page could take for something else than a name."""
MANY = (*HOSTILE, *(f"model_{number:02}" for number in range(30 - len(HOSTILE))))


def throughline(workspace: Path, *arguments: str) -> str:
    """What the command prints; fails the test where it does not succeed."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("THROUGHLINE_", "PYTHON", "DBT_"))
    }
    environment |= {
        "THROUGHLINE_WORKSPACE": str(workspace.relative_to(ROOT)),
        "DBT_TARGET_PATH": str((SCRATCH / "target").relative_to(ROOT)),
        "DBT_LOG_PATH": str((SCRATCH / "logs").relative_to(ROOT)),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    }
    finished = subprocess.run(
        [ROOT / ".venv" / "bin" / "throughline", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


def rows(workspace: Path, sql: str) -> list[tuple[Any, ...]]:
    """Rows of the published file, as any client reads it."""
    published = workspace / "published" / "throughline.duckdb"
    with duckdb.connect(str(published), read_only=True) as connection:
        connection.execute("use main_marts")
        return connection.execute(sql).fetchall()


def fresh(name: str, models: Sequence[str], *, settings: str) -> Path:
    """A workspace with forty predictions of each model over forty days, half of which come true."""
    workspace = SCRATCH / name
    shutil.rmtree(workspace, ignore_errors=True)
    throughline(workspace, "init", str(workspace))
    with (workspace / "vars.yml").open("a") as file:
        file.write(f'\nas_of: "2026-05-01 00:00:00"\nsegments: []\nminimum_cell: 5\n{settings}')
    registry = workspace / "seeds" / "model_registry.csv"
    columns = registry.read_text().splitlines()[0].split(",")
    with registry.open("a", newline="") as file:
        for model in models:
            row = {
                **{"model_id": model, "model_name": model, "task": "binary", "team": model},
                **{"product": "Shop", "charter": model, "label_outcome": "bought"},
                **{"positive_label": "true", "label_is": "gain", "decision_threshold": "0.5"},
                **{"horizon_days": "3", "label_delay_days": "0", "negative_on_absence": "true"},
                **{"score_is_probability": "true", "owner": model, "rationale": "Tried."},
            }
            csv.writer(file, lineterminator="\n").writerow(
                [row.get(column, "") for column in columns]
            )
    predictions, outcomes = [], []
    start = datetime(2026, 3, 1, 12)
    for number, model in enumerate(models):
        for day in range(40):
            at = start + timedelta(days=day)
            key, score = f"p{number}-{day}", (day * 7 % 20) / 20
            label = str(score >= 0.5).lower()
            predictions.append([key, model, "2025.4", at, f"e{key}", score, label, at])
            if day % 2:
                seen = at + timedelta(days=1)
                outcomes.append([f"o{key}", "bought", key, "true", seen, seen, seen])
    given = ("prediction_id", "model_id", "model_version", "predicted_at", "entity_id", "score")
    written(workspace, "prediction_logs", (*given, "predicted_label", "loaded_at"), predictions)
    told = ("outcome_id", "outcome_name", "prediction_id", "outcome_label", "occurred_at")
    if "business_outcomes" in settings:
        written(workspace, "business_outcomes", (*told, "observed_at", "loaded_at"), outcomes)
    return workspace


def written(
    workspace: Path, table: str, columns: Sequence[str], content: list[list[object]]
) -> None:
    folder = workspace / "raw" / table
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{table}.csv").open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([columns, *content])
