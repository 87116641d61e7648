"""An attack on the segments of experiments: what is hidden does not follow from what is shown."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest
import yaml
from numpy.typing import NDArray

from building import ROOT, Project

DAY = pd.Timestamp("2026-03-02")
MINIMUM = 20
TABLES = 300
MARTS = ("mart_experiments", "mart_experiment_splits")
Counts = NDArray[np.int64]
"""Row units by metric, arm and segment value; the first metric counts all that were exposed."""


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    project = Project.copy(tmp_path_factory.mktemp("private") / "project")
    (project.root / "workspace").mkdir()
    names = ("int_private_segments", *MARTS)
    command = ("--quiet", "compile", "--no-introspect", "--select", *names)
    run = project.dbt(project.root / "workspace", *command)
    assert run.status == 0, run.output
    folder = project.root / "target/compiled/throughline/models"
    return {name: next(folder.rglob(f"{name}.sql")).read_text() for name in names}


@pytest.fixture
def warehouse(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute(
            f"attach '{tmp_path}/warehouse.duckdb' as warehouse; "
            "create schema warehouse.main_config; create schema warehouse.main_lift"
        )
        yield connection


def drawn(rng: np.random.Generator) -> Counts:
    """Small and large values, some empty in an arm; one of two metrics drops some of the units."""
    arms, values = rng.integers(2, 4), rng.integers(2, 7)
    size = np.exp(rng.uniform(0, 7, values)) * (rng.random(values) > 0.1)
    exposed = rng.poisson(size, (arms, values)) * (rng.random((arms, values)) > 0.05)
    return np.stack([exposed, rng.binomial(exposed, rng.choice([0.3, 1.0]))])


def rows_of(name: str, counts: Counts) -> tuple[list[Any], list[Any], list[Any]]:
    """What lift writes of such units: estimates, splits and decisions. A mean is 1 + its count."""
    _, arms, values = counts.shape
    key = {"experiment_id": name, "as_of": DAY}
    estimates, splits = [], []
    for value in range(-1, values):
        place = {
            "segment_name": "all" if value < 0 else "region",
            "segment_value": "all" if value < 0 else f"v{value}",
        }
        of_value = counts.sum(axis=2) if value < 0 else counts[:, :, value]
        for metric, (control, *treated) in enumerate(of_value.tolist()):
            for number, treatment in enumerate(treated, 1):
                row = {"variant": f"t{number}", "control_variant": "c", "metric": f"m{metric}"}
                row |= {"method": "unadjusted", "totals": "raw", "status": "ok"}
                row |= {"unit_count_control": control, "unit_count_treatment": treatment}
                row |= {"mean_control": 1 + control, "mean_treatment": 1 + treatment}
                estimates.append({**key, **place, **row})
        exposed = of_value[0].tolist()
        split = {
            "row_count": sum(exposed),
            "variant_counts": ";".join(map(str, exposed)),
            "smallest_count": min((n for n in exposed if n), default=0),
            "has_every_variant": all(exposed),
        }
        splits.append({**key, **place, **split})
    made = [{**key, "variant": f"t{number}"} for number in range(1, arms)]
    return estimates, splits, made


def fill(connection: duckdb.DuckDBPyConnection, tables: dict[str, Counts]) -> None:
    parts = [rows_of(name, counts) for name, counts in tables.items()]
    names = ("fct_lift_estimates", "fct_lift_splits", "fct_lift_decisions")
    for name, rows in zip(names, zip(*parts, strict=True), strict=True):
        (model,) = yaml.safe_load((ROOT / f"models/lift/{name}.yml").read_text())["models"]
        columns = ", ".join(f"{of['name']} {of['data_type']}" for of in model["columns"])
        connection.execute(f"create table warehouse.main_lift.{name} ({columns})")
        frame = pd.DataFrame([row for part in rows for row in part])
        connection.register("frame", frame)
        connection.execute(f"insert into warehouse.main_lift.{name} by name from frame")
        connection.unregister("frame")
    plans = pd.DataFrame({"experiment_id": list(tables), "expected_split": ""})
    connection.register("plans", plans)
    connection.execute("create table warehouse.main_config.cfg_experiments as from plans")


def is_determined(shown: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which values of an arm follow linearly from those that are shown and from their total."""
    known = np.vstack([np.eye(len(shown))[shown], np.ones(len(shown))])
    rank = np.linalg.matrix_rank(known)
    return np.array(
        [np.linalg.matrix_rank(np.vstack([known, unit])) == rank for unit in np.eye(len(shown))]
    )


def test_no_hidden_segment_follows_from_what_is_shown(
    compiled: dict[str, str], warehouse: duckdb.DuckDBPyConnection
) -> None:
    rng = np.random.default_rng(8)
    tables = {f"e{number}": drawn(rng) for number in range(TABLES)}
    fill(warehouse, tables)
    hidden_sql = compiled["int_private_segments"]
    warehouse.execute(f"create table warehouse.main_lift.int_private_segments as ({hidden_sql})")
    marts = {name: warehouse.sql(compiled[name]).df() for name in MARTS}
    is_private = warehouse.sql("from warehouse.main_lift.int_private_segments").df()
    hidden_by_name = is_private.groupby("experiment_id").segment_value.agg(set).to_dict()
    counts_seen = {"none": 0, "some": 0, "all": 0}
    for name, counts in tables.items():
        values = [f"v{number}" for number in range(counts.shape[2])]
        hidden = np.array([value in hidden_by_name.get(name, set()) for value in values])
        shown = {
            mart: set(rows[rows.experiment_id.eq(name) & rows[what].notna()].segment_value)
            for mart, what, rows in (
                ("estimates", "mean_control", marts["mart_experiments"]),
                ("splits", "row_count", marts["mart_experiment_splits"]),
            )
        }
        visible = {value for value, gone in zip(values, hidden, strict=True) if not gone}
        assert shown["estimates"] - {"all"} == shown["splits"] - {"all"} == visible, name
        arms = counts.reshape(-1, len(values))
        is_small = ((arms > 0) & (arms < MINIMUM)).any(axis=0)
        assert hidden[is_small].all(), name
        # an empty value alone hides nothing
        assert is_small.any() == hidden.any(), name
        counts_seen["all" if hidden.all() else "some" if hidden.any() else "none"] += 1
        for arm in arms:
            if not hidden.any() or hidden.all() or not arm.any():
                continue
            assert not (is_determined(~hidden) & hidden).any(), name
            assert (arm[hidden] > 0).sum() >= 2, name
            assert arm[hidden].sum() >= MINIMUM, name
    assert min(counts_seen.values()) > TABLES / 20, counts_seen


def test_a_hidden_row_shows_no_number_at_all(
    compiled: dict[str, str], warehouse: duckdb.DuckDBPyConnection
) -> None:
    counts = np.array([[[500, 400, 11], [500, 400, 11]]])
    fill(warehouse, {"e": counts})
    for name in ("fct_lift_estimates", "fct_lift_splits"):
        numbers = warehouse.sql(
            "select column_name from duckdb_columns() where table_name = "
            f"'{name}' and data_type in ('DOUBLE', 'BIGINT', 'INTEGER')"
        ).fetchall()
        assert len(numbers) >= 4
        for (column,) in numbers:
            if not column.startswith(("unit_count", "cluster_count", "smallest_count")):
                warehouse.execute(f"update warehouse.main_lift.{name} set {column} = 7")
    warehouse.execute(
        "create table warehouse.main_lift.int_private_segments as "
        f"({compiled['int_private_segments']})"
    )
    for mart in MARTS:
        rows = warehouse.sql(compiled[mart]).df().set_index("segment_value")
        numbers = rows.select_dtypes("number").columns.difference(["margin"])
        assert rows.loc[["v1", "v2"], numbers].isna().all(axis=None), mart
        assert rows.loc[["all", "v0"], numbers].notna().any(axis=None), mart
