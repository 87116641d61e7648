"""Builds a workspace with dbt in a copy of the project, as a user would."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd

from throughline import seeds
from throughline.workspace import Workspace

ROOT = Path(__file__).resolve().parents[2]
# what dbt has read of the project, for later copies; by the variables dbt_project.yml asks for
PARSED: dict[tuple[str, str], bytes] = {}
# unit tests know nothing of a workspace, and `make test` has run them
NO_UNIT_TESTS = ("--exclude-resource-type", "unit_test")
# what a row of seeds/experiments.csv says unless a test says otherwise
TRIAL = {
    "hypothesis": "It helps",
    "unit_type": "user",
    "control_variant": "control",
    "expected_split": "control:0.5;treatment:0.5",
    "start_date": "2026-04-06",
    "planned_end_date": "2026-05-04",
    "window_days": "14",
    "covariate_days": "14",
    "method": "fixed",
    "primary_metric": "conversion_rate",
    "minimum_effect": "0.05",
    "minimum_effect_kind": "relative",
    "alpha": "0.05",
    "power": "0.8",
    "owner": "Ann",
    "rationale": "why",
}
LINKED = (
    *("profiles.yml", "selectors.yml", "requirements.txt"),
    *("macros", "seeds", "tests", "analyses"),
)


def seed_row(seed: str, **cells: str) -> str:
    """A line of a seed; what is not named is empty."""
    return ",".join(cells.get(column, "") for column in _specs()[seed].header)


def experiment(name: str, **cells: str) -> str:
    """A line of seeds/experiments.csv."""
    return seed_row("experiments", **TRIAL | {"experiment_id": name} | cells)


@cache
def _specs() -> dict[str, seeds.Seed]:
    return seeds.read_specs(ROOT)


@dataclass(frozen=True)
class Run:
    status: int
    output: str


@dataclass(frozen=True)
class Project:
    """A copy of the project with its own models, target folder and workspaces."""

    root: Path

    @classmethod
    def copy(cls, root: Path) -> Project:
        root.mkdir(parents=True)
        for name in LINKED:
            (root / name).symlink_to(ROOT / name)
        shutil.copy(ROOT / "dbt_project.yml", root)
        shutil.copytree(ROOT / "models", root / "models")
        return cls(root)

    def run(
        self, workspace: Path, program: Sequence[str], *, standard_input: str | None = None
    ) -> Run:
        """Runs a program of this environment, e.g. ["dbt", "build"], on a workspace."""
        chosen = Workspace(project=self.root, folder=workspace, chosen_by="the test")
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("THROUGHLINE_", "DBT_"))
        }
        environment |= chosen.environment() | {
            "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
            "DBT_LOG_LEVEL_FILE": "none",
        }
        executable = Path(sys.executable).with_name(program[0])
        done = subprocess.run(
            [executable, *program[1:]],
            cwd=self.root,
            env=environment,
            input=standard_input,
            capture_output=True,
            text=True,
            check=False,
        )
        return Run(done.returncode, done.stdout + done.stderr)

    def build(self, workspace: Path, *arguments: str) -> Run:
        parsed = self.root / "target/partial_parse.msgpack"
        chosen = Workspace(project=self.root, folder=workspace, chosen_by="the test")
        key = (chosen.relative, chosen.seeds)
        if key in PARSED and not parsed.exists():
            parsed.parent.mkdir(exist_ok=True)
            parsed.write_bytes(PARSED[key])
        run = self.run(workspace, ["dbt", "--no-use-colors", "build", *arguments])
        if key not in PARSED and parsed.exists():
            PARSED[key] = parsed.read_bytes()
        return run

    def metricflow(self, workspace: Path, queries: list[dict[str, Any]]) -> list[pd.DataFrame]:
        """MetricFlow's answers to queries, each as tests/python/mf_rows.py reads it."""
        script = Path(__file__).with_name("mf_rows.py")
        run = self.run(workspace, ["python", str(script)], standard_input=json.dumps(queries))
        answers = [line for line in run.output.splitlines() if line.startswith("ANSWERS ")]
        assert answers, run.output
        return [pd.DataFrame(rows) for rows in json.loads(answers[0].removeprefix("ANSWERS "))]


def query(workspace: Path, sql: str) -> pd.DataFrame:
    """Rows of the built warehouse; the schemas are on the search path."""
    with duckdb.connect(str(workspace / "warehouse.duckdb"), read_only=True) as connection:
        connection.execute("set timezone = 'UTC'")
        schemas = connection.sql(
            "select distinct schema_name from duckdb_schemas() where schema_name like 'main_%'"
        )
        names = ",".join(name for (name,) in schemas.fetchall())
        connection.execute(f"set search_path = '{names}'")
        return connection.sql(sql).df()


SUMS = ["numerator", "denominator", "excluded_count"]
CELL = ["metric", "metric_date", "model_id", "model_version", "segment_name", "segment_value"]


def assert_waist_is(workspace: Path, plain: pd.DataFrame) -> None:
    """Holds every sum of fct_metrics against the same cells computed elsewhere, both ways.

    A cell whose sums are all zero is as good as none.
    """
    built = query(workspace, f"select {', '.join(CELL + SUMS)} from fct_metrics")
    built = built[(built[SUMS].fillna(0) != 0).any(axis=1)]
    sides = [side.astype({"metric_date": "datetime64[us]"}) for side in (plain, built)]
    both = sides[0].merge(
        sides[1], on=CELL, how="outer", suffixes=("_plain", "_built"), indicator=True
    )
    assert set(both["_merge"]) <= {"both"}, both[both["_merge"] != "both"].head(20).to_string()
    for column in SUMS:
        one, other = both[f"{column}_plain"], both[f"{column}_built"]
        is_close = np.isclose(one, other, rtol=1e-9, atol=1e-9, equal_nan=True)
        assert is_close.all(), both[~is_close].head(20).to_string()
