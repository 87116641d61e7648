"""A few small companies, the deliveries of their raw rows, and builds of them in this process."""

from __future__ import annotations

import csv
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pandas as pd
from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.cli.main import dbtRunner
from dbt.contracts.graph.manifest import Manifest

import plain_pandas
from building import Project, experiment
from throughline import build, seeds
from throughline.workspace import Workspace

Row = Mapping[str, object]

# projects that were read, by folder
MANIFESTS: dict[Path, Manifest] = {}

WITHOUT_TESTS = ("--exclude-resource-type", "test", "--exclude-resource-type", "unit_test")
# these say how a build came about, so they differ by intention
OF_THE_MECHANISM = {
    "int_deliveries",
    "int_touched_rows",
    "int_touched_keys",
    "int_touched_dates",
    "int_touched_units",
    "int_build_ledger",
    "build_starts",
}
COLUMNS: Mapping[str, Sequence[str]] = {
    "prediction_logs": [
        "prediction_id",
        "model_id",
        "model_version",
        "predicted_at",
        "entity_id",
        "user_id",
        "score",
        "predicted_value",
        "environment",
        "sampling_fraction",
        "channel",
        "loaded_at",
    ],
    "usage_events": [
        "event_id",
        "event_name",
        "occurred_at",
        "user_id",
        "model_id",
        "prediction_id",
        "is_passive",
        "loaded_at",
    ],
    "business_outcomes": [
        "outcome_id",
        "outcome_name",
        "prediction_id",
        "entity_id",
        "user_id",
        "outcome_label",
        "outcome_value",
        "currency",
        "occurred_at",
        "observed_at",
        "status",
        "loaded_at",
    ],
    "eligible_users": ["user_id", "model_id", "eligible_from", "eligible_to", "team", "loaded_at"],
    "feedback": [
        "response_id",
        "survey_type",
        "asked_at",
        "score",
        "scale_min",
        "scale_max",
        "model_id",
        "prediction_id",
        "loaded_at",
    ],
    "serving_costs": [
        "cost_id",
        "model_id",
        "model_version",
        "period_start",
        "period_end",
        "cost_type",
        "amount",
        "currency",
        "loaded_at",
    ],
    "model_releases": (
        ["release_id", "model_id", "model_version", "event_type", "event_at", "loaded_at"]
    ),
    "experiment_assignments": [
        "experiment_id",
        "unit_id",
        "variant",
        "assigned_at",
        "first_exposed_at",
        "cluster_id",
        "covariate",
        "loaded_at",
    ],
}
SETTINGS = f"inputs: [{', '.join(COLUMNS)}]\nsegments: [channel]\nprotected_attributes: []\n"


def seed_rows(*, companies: int, horizon_days: int, euro: float) -> dict[str, list[str]]:
    """Each company has a binary and a regression model of its own."""
    registry, values, experiments = [], [], []
    for number in range(companies):
        registry += [
            f"lead{number},Lead,CRM {number},binary,team,charter,sold,true,revenue,0.5,"
            f"{horizon_days},1,true,,,ann,why",
            f"eta{number},Eta,CRM {number},regression,team,charter,arrived,,,,2,0,false,,,ann,why",
        ]
        values += [
            f"lead{number},tp,10,0.1,USD,2025-01-01,,ann,why",
            f"lead{number},fp,-2,0,EUR,2025-01-01,,ann,why",
        ]
        for unit, window in (("user", 3), ("entity", horizon_days), ("prediction", 2)):
            more = ";adoption_rate;csat" if unit == "user" else ""
            trial = experiment(
                f"of_{unit}{number}",
                model_id=f"lead{number}",
                unit_type=unit,
                control_variant="a",
                expected_split="a:0.5;b:0.5",
                start_date="2026-01-02",
                planned_end_date="2026-01-12",
                window_days=str(window),
                covariate_days="0" if unit == "prediction" else "3",
                secondary_metrics="credited_revenue" + more,
                minimum_effect="0.1",
            )
            experiments.append(trial)
    rates = [
        "USD,1,2025-01-01,,ann,why",
        "EUR,1.1,2025-01-01,2026-01-06,ann,why",
        f"EUR,{euro},2026-01-06,,ann,why",
    ]
    return {
        "model_registry": registry,
        "unit_values": values,
        "exchange_rates": rates,
        "experiments": experiments,
    }


@dataclass
class Builder:
    """Copies of the project that differ in seeds or metrics, beside workspaces."""

    root: Path
    companies: int

    def __post_init__(self) -> None:
        self._make("as it is", horizon_days=3, euro=1.2)
        self._make("other seeds", horizon_days=4, euro=1.3)
        self._make("another metric", horizon_days=3, euro=1.2)
        yml = self.root / "another metric" / "models" / "core" / "fct_usage.yml"
        text = yml.read_text()
        assert "expr: active_day_count" in text
        yml.write_text(text.replace("expr: active_day_count", "expr: 2 * active_day_count"))

    def _make(self, variant: str, *, horizon_days: int, euro: float) -> None:
        project = without_comments(self.root / variant)
        (project.root / "seeds").unlink()
        (project.root / "seeds").mkdir()
        rows = seed_rows(companies=self.companies, horizon_days=horizon_days, euro=euro)
        for name, spec in seeds.read_specs(project.root).items():
            text = "\n".join([",".join(spec.header), *rows.get(name, []), ""])
            (project.root / "seeds" / f"{name}.csv").write_text(text)

    def build(
        self,
        workspace: Path,
        *,
        as_of: str,
        variant: str = "as it is",
        arguments: Sequence[str] = (),
    ) -> None:
        """Builds without tests; raises AssertionError with dbt's words when it fails."""
        run_here(
            self.root / variant,
            workspace,
            *("build", "--vars", f"{{as_of: '{as_of}'}}", *WITHOUT_TESTS, *arguments),
            THROUGHLINE_SEEDS="seeds",
        )


def without_comments(root: Path) -> Project:
    """A copy of the project; a tenth of a build goes into the comments of columns."""
    project = Project.copy(root)
    described = project.root / "dbt_project.yml"
    text = described.read_text()
    assert "+persist_docs: " in text
    described.write_text(re.sub(r" +\+persist_docs: .*\n", "", text))
    return project


def run_here(project: Path, workspace: Path, *arguments: str, **variables: str) -> list[str]:
    """Runs dbt in this process, which reads a project but once; the ids of what was run.

    Raises AssertionError with dbt's words when it fails.
    """
    chosen = Workspace(project=project, folder=workspace, chosen_by="a history")
    values = {**build.environment(chosen), **variables}
    common = ["--quiet", "--no-write-json", "--no-partial-parse", "--log-level-file", "none"]
    with build.within(values), inside(project):
        if project not in MANIFESTS:
            parsed = dbtRunner().invoke([*common, "parse"])
            assert parsed.success, parsed.exception
            assert isinstance(parsed.result, Manifest)
            MANIFESTS[project] = parsed.result
        # of what the builds before remembered in it, nothing holds for this one
        MANIFESTS[project].build_flat_graph()
        done = dbtRunner(manifest=MANIFESTS[project]).invoke([*common, *arguments])
    # dbt keeps the file open, and the comparison opens it otherwise
    DuckDBConnectionManager.close_all_connections()  # type: ignore[no-untyped-call]
    results = getattr(done.result, "results", [])
    said = [result.message for result in results]
    assert done.success, done.exception or [words for words in said if words]
    return [result.node.unique_id for result in results]


@contextmanager
def inside(folder: Path) -> Iterator[None]:
    kept = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(kept)


def make(folder: Path) -> None:
    """A workspace without rows."""
    folder.mkdir()
    (folder / "vars.yml").write_text(SETTINGS)
    for table in COLUMNS:
        (folder / "raw" / table).mkdir(parents=True)
        deliver(folder, table, "header", [])


def deliver(folder: Path, table: str, name: str, rows: Sequence[Row]) -> Path:
    """Writes rows of a raw table as one CSV file."""
    path = folder / "raw" / table / f"{name}.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=COLUMNS[table], restval="")
        writer.writeheader()
        writer.writerows(rows)
    return path


def relations(folder: Path, *, schema: str = "main") -> dict[str, pd.DataFrame]:
    """Every relation of a warehouse whose schema begins so, its rows in one order."""
    found = {}
    with duckdb.connect(str(folder / "warehouse.duckdb"), read_only=True) as connection:
        connection.execute("set timezone = 'UTC'")
        names = connection.execute(
            "select table_schema, table_name from information_schema.tables "
            "where starts_with(table_schema, ?) and not ends_with(table_schema, '_config') "
            "order by all",
            [f"{schema}_"],
        ).fetchall()
        for layer, name in names:
            if name not in OF_THE_MECHANISM:
                frame = connection.sql(f"select * from {layer}.{name}").df()
                # of results down to the last bit, which follows the order of sums
                frame = frame.drop(columns="inputs_hash", errors="ignore")
                found[name] = frame.sort_values(by=list(frame.columns), key=_sortable)
    return {name: frame.reset_index(drop=True) for name, frame in found.items()}


def _sortable(column: pd.Series) -> pd.Series:
    return column.round(6) if column.dtype == float else column.astype(str)


def differences(one: Path, other: Path, *, schema: str = "main") -> list[str]:
    """What differs between two warehouses; doubles may by 1e-9 of their size.

    `schema` is what the schemas of the first begin with.
    """
    found = []
    first, second = relations(one, schema=schema), relations(other)
    if first.keys() != second.keys():
        found.append(f"relations: {sorted(first.keys() ^ second.keys())}")
    for name in sorted(first.keys() & second.keys()):
        try:
            pd.testing.assert_frame_equal(first[name], second[name], rtol=1e-9, atol=1e-12)
        except AssertionError as error:
            found.append(f"{name}: {' '.join(str(error).split())}")
    return found


def plain_metrics(folder: Path, *, seeds: Path, as_of: str) -> pd.DataFrame:
    """The sums of every metric from the raw files alone, in pandas."""
    raw = {table: plain_pandas.read_table(folder / "raw" / table) for table in COLUMNS}
    company = plain_pandas.Company(raw=raw, seeds=seeds, as_of=as_of, segments=["channel"])
    return company.metrics()


def copied(folder: Path) -> Path:
    """The same raw rows in a workspace that was never built."""
    copy = folder.with_name(f"{folder.name}_from_nothing")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("warehouse.duckdb*"))
    return copy
