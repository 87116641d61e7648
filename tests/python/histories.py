"""A few small companies, the deliveries of their raw rows, and builds of them."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import pandas as pd

import plain_pandas
from building import ROOT, Project, assert_waist_is, experiment, seed_row
from plain_adoption import Adoption, assert_users_are
from plain_values import Values, assert_values_are
from throughline import seeds
from throughline.contract import read_contract

Row = Mapping[str, object]

# these say how a build came about, so they differ by intention
OF_THE_MECHANISM = (
    *("deliveries", "int_touched_", "int_build_ledger", "build_starts"),
    *("fct_metric_definitions", "int_mapped_deliveries"),
)
FEATURES = ("channel", "age_band", "size", "industry")
"""What SETTINGS names of prediction_logs beside the contract."""
COLUMNS: Mapping[str, Sequence[str]] = {
    name: [*table.column_names, *(FEATURES if name == "prediction_logs" else ())]
    for name, table in read_contract(ROOT).items()
}
MINIMUM_CELL = 2
SETTINGS = (
    f"inputs: [{', '.join(COLUMNS)}]\nsegments: [channel]\nprotected_attributes: [age_band]\n"
    "numeric_features: [size]\ncategorical_features: [industry]\n"
    f"minimum_cell: {MINIMUM_CELL}\n"
)


def seed_rows(*, companies: int, horizon_days: int, euro: float) -> dict[str, list[str]]:
    """Each company has a model of each task of its own."""
    registry, values, experiments = [], [], []
    for number in range(companies):
        registry += [
            f"lead{number},Lead,CRM {number},binary,team,charter,sold,true,gain,revenue,0.5,"
            f"{horizon_days},1,true,,,true,false,15,,,ann,why",
            f"eta{number},Eta,CRM {number},regression,team,charter,arrived,,neutral,,,"
            "2,0,false,,,,,,,,ann,why",
            f"offer{number},Offer,CRM {number},ranking,team,charter,taken,,gain,,0,"
            "2,0,true,,,,,,,,ann,why",
            f"kind{number},Kind,CRM {number},multiclass,team,charter,sorted,,neutral,,,"
            "2,1,false,,,,,,,,ann,why",
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
    rules = [
        seed_row(
            "alert_rules",
            **{"rule_id": f"low{number}", "model_id": f"lead{number}", "metric": "error_rate"},
            **{"tier": "technical", "condition": "value > 0.1", "sla_hours": "24"},
            **{"consecutive_days": "1", "cooldown_days": "2", "corrective_action": "retrain"},
            **{"playbook": "look", "owner": "ann", "rationale": "why"},
        )
        for number in range(companies)
    ]
    return {
        "model_registry": registry,
        "unit_values": values,
        "exchange_rates": rates,
        "experiments": experiments,
        "alert_rules": rules,
        "survey_themes": ["speed,slow,,ann,why", "price,dear,,ann,why"],
    }


@dataclass
class Builder:
    """Copies of the project that differ in seeds or metrics, beside workspaces."""

    root: Path
    companies: int
    projects: dict[str, Project] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._make("as it is", horizon_days=3, euro=1.2)
        self._make("other seeds", horizon_days=4, euro=1.3)
        self._make("another metric", horizon_days=3, euro=1.2)
        yml = self.root / "another metric" / "models" / "core" / "fct_usage.yml"
        text = yml.read_text()
        assert "expr: active_day_count" in text
        yml.write_text(text.replace("expr: active_day_count", "expr: 2 * active_day_count"))

    def _make(self, variant: str, *, horizon_days: int, euro: float) -> None:
        project = Project.without_comments(self.root / variant)
        self.projects[variant] = project
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
        """Builds and tests the data; raises AssertionError with dbt's words when that fails."""
        self.projects[variant].build_soundly(
            workspace, *arguments, as_of=as_of, THROUGHLINE_SEEDS="seeds"
        )


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
            if not name.startswith(OF_THE_MECHANISM):
                frame = connection.sql(f"select * from {layer}.{name}").df()
                # of results down to the last bit, which follows the order of sums
                frame = frame.drop(columns="inputs_hash", errors="ignore")
                # keys first: a last bit may move what is rounded to the other side of a row
                keys_first = sorted(frame.columns, key=lambda column: frame[column].dtype == float)
                found[name] = frame.sort_values(by=keys_first, key=_sortable)
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


def assert_equals_pandas(folder: Path, *, seeds: Path, as_of: str) -> None:
    """The sums, the values and the users of every metric from the raw files alone, in pandas."""
    raw = {table: plain_pandas.read_table(folder / "raw" / table) for table in COLUMNS}
    company = plain_pandas.Company(raw=raw, seeds=seeds, as_of=as_of, segments=["channel"])
    assert_waist_is(folder, company.metrics())
    values = Values(company, project=ROOT, seeds=seeds, minimum_cell=MINIMUM_CELL)
    assert_values_are(folder, values.table())
    assert_users_are(folder, Adoption(company))


def copied(folder: Path) -> Path:
    """The same raw rows in a workspace that was never built."""
    copy = folder.with_name(f"{folder.name}_from_nothing")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("warehouse.duckdb*"))
    return copy
