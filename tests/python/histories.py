"""Delivery histories of a small company, and builds of them in one process."""

from __future__ import annotations

import csv
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import pandas as pd
from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.cli.main import dbtRunner
from dbt.contracts.graph.manifest import Manifest

from throughline import seeds
from throughline.workspace import Workspace

WITHOUT_TESTS = ("--exclude-resource-type", "test", "--exclude-resource-type", "unit_test")
Row = Mapping[str, object]

SETTINGS = "inputs: [{inputs}]\nsegments: [channel]\nprotected_attributes: []\n"
TABLES = (
    "prediction_logs",
    "usage_events",
    "business_outcomes",
    "eligible_users",
    "feedback",
    "serving_costs",
    "model_releases",
)
SEEDS: Mapping[str, Sequence[str]] = {
    "model_registry": (
        "lead,Lead,CRM,binary,team,charter,sold,true,revenue,0.5,3,1,true,,,ann,why",
        "eta,Eta,CRM,regression,team,charter,arrived,,,,2,0,false,,,ann,why",
    ),
    "unit_values": ("lead,tp,10,0.1,USD,2025-01-01,,ann,why", "lead,fp,-2,0,EUR,2025-01-01,,ann,why"),
    "exchange_rates": (
        "USD,1,2025-01-01,,ann,why",
        "EUR,1.1,2025-01-01,2026-01-06,ann,why",
        "EUR,1.2,2026-01-06,,ann,why",
    ),
    "metric_targets": (),
    "kpi_links": (),
    "alert_rules": (),
    "experiments": (),
}
# what differs between a build from nothing and one on top of others, by intention
OF_THE_MECHANISM = ("int_deliveries", "int_touched_rows", "int_touched_dates", "int_build_ledger", "build_starts")


@dataclass
class Builder:
    """dbt in this process, on workspaces inside one project; the project is parsed once."""

    project: Path
    manifest: Manifest | None = field(default=None, init=False)

    def forget(self) -> None:
        """The next build parses the project again, since its files have changed."""
        self.manifest = None

    def build(self, workspace: Path, *, as_of: str, arguments: Sequence[str] = ()) -> None:
        """Builds without tests; raises AssertionError with dbt's words when it fails."""
        chosen = Workspace(project=self.project, folder=workspace, chosen_by="a history")
        variables = f"{{as_of: '{as_of}'}}"
        command = ["--quiet", "build", "--vars", variables, *WITHOUT_TESTS, *arguments]
        with environment(chosen.environment()), inside(self.project):
            if self.manifest is None:
                parsed = dbtRunner().invoke(["--quiet", "parse", "--no-partial-parse"])
                assert parsed.success, parsed.exception
                assert isinstance(parsed.result, Manifest)
                self.manifest = parsed.result
            done = dbtRunner(manifest=self.manifest).invoke(command)
        DuckDBConnectionManager.close_all_connections()
        assert done.success, done.exception or [
            result.message for result in done.result if result.message  # type: ignore[union-attr]
        ]


@contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    kept = dict(os.environ)
    os.environ.update(values, DBT_SEND_ANONYMOUS_USAGE_STATS="false")
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(kept)


@contextmanager
def inside(folder: Path) -> Iterator[None]:
    kept = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(kept)


def make(folder: Path, *, project: Path) -> None:
    """An empty workspace of the small company."""
    headers = {name: spec.header for name, spec in seeds.read_specs(project).items()}
    (folder / "seeds").mkdir(parents=True)
    for name, rows in SEEDS.items():
        text = "\n".join([",".join(headers[name]), *rows, ""])
        (folder / "seeds" / f"{name}.csv").write_text(text)
    for table in TABLES:
        (folder / "raw" / table).mkdir(parents=True)


def settle(folder: Path) -> None:
    """Names in vars.yml the raw tables that have files."""
    present = [table for table in TABLES if any((folder / "raw" / table).iterdir())]
    (folder / "vars.yml").write_text(SETTINGS.format(inputs=", ".join(present)))


def deliver(folder: Path, table: str, name: str, rows: Sequence[Row]) -> Path:
    """Writes rows of a raw table as one CSV file."""
    path = folder / "raw" / table / f"{name}.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def relations(folder: Path) -> dict[str, pd.DataFrame]:
    """Every relation of a warehouse, its rows in one order."""
    found = {}
    with duckdb.connect(str(folder / "warehouse.duckdb"), read_only=True) as connection:
        connection.execute("set timezone = 'UTC'")
        names = connection.execute(
            "select table_schema, table_name from information_schema.tables "
            "where table_schema <> 'main_config' order by all"
        ).fetchall()
        for schema, name in names:
            if name not in OF_THE_MECHANISM:
                frame = connection.sql(f"select * from {schema}.{name}").df()
                found[name] = frame.sort_values(
                    by=list(frame.columns),
                    key=lambda column: column.round(6) if column.dtype == float else column.astype(str),
                ).reset_index(drop=True)
    return found


def differences(one: Path, other: Path) -> list[str]:
    """What differs between two warehouses; doubles may by 1e-9 of their size."""
    found = []
    first, second = relations(one), relations(other)
    if first.keys() != second.keys():
        found.append(f"relations: {sorted(first.keys() ^ second.keys())}")
    for name in sorted(first.keys() & second.keys()):
        try:
            pd.testing.assert_frame_equal(first[name], second[name], rtol=1e-9, atol=1e-12)
        except AssertionError as error:
            found.append(f"{name}: {' '.join(str(error).split())}\n{first[name]}\n{second[name]}")
    return found


def rebuilt(folder: Path, *, builder: Builder, as_of: str, arguments: Sequence[str] = ()) -> Path:
    """A copy of a workspace, built from nothing."""
    copy = folder.with_name(f"{folder.name}_from_nothing")
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir()
    for name in ("raw", "seeds"):
        shutil.copytree(folder / name, copy / name)
    shutil.copy(folder / "vars.yml", copy)
    builder.build(copy, as_of=as_of, arguments=arguments)
    return copy
