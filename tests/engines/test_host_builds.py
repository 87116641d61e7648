"""A project that installs the package: from nothing, on top, and as one clean build has it."""

from __future__ import annotations

import functools
import json
import shutil
from collections.abc import Mapping
from contextlib import closing
from typing import Any

import duckdb
import pytest

import engines
import hosts
import parity
from hosts import Host
from test_engines import SCRATCH, required


@functools.cache
def clean() -> Host:
    """The second state of the shop in one build, on DuckDB."""
    host = hosts.install(SCRATCH / "host_clean")
    host.restate_registry()
    host.dbt("build", variables=hosts.LATER)
    return host


@pytest.fixture(scope="module")
def first() -> Host:
    """The shop's first build on DuckDB, from nothing."""
    host = hosts.install(SCRATCH / "host_duckdb")
    host.dbt("build")
    return host


def rows(host: Host, sql: str) -> list[tuple[Any, ...]]:
    with closing(duckdb.connect(host.folder / "target/warehouse.duckdb", read_only=True)) as held:
        return held.execute(sql).fetchall()


def read_duckdb(host: Host, schema: str, name: str, types: Mapping[str, str]) -> str:
    path = host.folder / f"target/{schema}.{name}.parquet"
    rows(host, f"copy (select * from {schema}.{name}) to '{path}' (format parquet)")
    return f"read_parquet('{path}')"


def test_a_metric_of_the_host_is_governed_like_ours(first: Host) -> None:
    in_scorecard = rows(
        first,
        f"select value, window_start_date, window_end_date from {hosts.OURS}_marts.mart_scorecard"
        " where metric = 'order_value'",
    )
    assert len(in_scorecard) == 1
    value, start, end = in_scorecard[0]
    plain = rows(
        first,
        "select sum(amount) / count(*) from shop_marts.fct_orders"
        f" where ordered_date between date '{start}' and date '{end}'",
    )
    assert value == pytest.approx(plain[0][0], rel=1e-12)
    catalog = f"select owner, lineage from {hosts.OURS}_marts.mart_metric_catalog where metric = "
    owner, lineage = rows(first, f"{catalog}'order_value'")[0]
    assert owner == "Shop Analytics"
    assert lineage == "shop.fct_orders > fct_bricks > fct_metrics"
    assert rows(first, f"{catalog}'precision'")[0][0] == "Shop Analytics"


def test_a_metric_that_is_off_is_nowhere(first: Host) -> None:
    for relation in ("metrics.dim_metrics", "metrics.fct_metrics", "marts.mart_metric_catalog"):
        assert rows(first, f"select 1 from {hosts.OURS}_{relation} where metric = 'recall'") == []


def test_what_a_host_does_not_map_is_empty_and_typed(first: Host) -> None:
    assert rows(first, f"select * from {hosts.OURS}_config.cfg_alert_rules") == []
    described = dict(
        row[:2] for row in rows(first, f"describe {hosts.OURS}_config.cfg_exchange_rates")
    )
    assert described["rate"] == "DOUBLE"
    assert described["valid_from"] == "DATE"


def test_models_of_the_host_alone_run_without_us(first: Host) -> None:
    said = first.dbt("build", "--select", "dim_dates")
    assert "input prediction_logs" not in said


def test_the_freshness_of_the_host_is_measured_and_ours_is_not(first: Host) -> None:
    said = first.dbt("source", "freshness")
    assert "WARN" not in said
    assert "ERROR" not in said
    assert "of platform.invoices" in said


def test_deliveries_restatements_and_governed_rows_on_top_equal_one_build(first: Host) -> None:
    first.restate_registry()
    first.dbt("build", variables=hosts.LATER)
    read = functools.partial(read_duckdb, first)
    reference = clean().folder / "target/warehouse.duckdb"
    assert list(parity.differences(reference, read, schema=hosts.OURS)) == []


def test_an_experiment_reads_a_metric_of_the_host(first: Host) -> None:
    """The shop's pictures add 6 to what the orders of one half of the customers are worth."""
    said = json.loads(first.throughline("lift", "--json"))
    experiment = said["experiments"][0]
    assert experiment["experiment_id"] == "bigger_pictures"
    estimate = next(row for row in experiment["estimates"] if row["metric"] == "order_value")
    plain = dict(
        rows(
            first,
            "select splits.variant, sum(amount) / count(*) from shop_marts.fct_orders as orders"
            " inner join shop.splits on orders.user_id = splits.unit_id"
            " where ordered_at >= splits.first_exposed_at"
            " and ordered_at < splits.first_exposed_at + interval 14 days group by 1",
        )
    )
    assert estimate["mean_control"] == pytest.approx(plain["control"], rel=1e-12)
    assert estimate["mean_treatment"] == pytest.approx(plain["treatment"], rel=1e-12)
    assert said["experiments"][0]["decisions"][0]["decision"] == "ship"


def test_a_host_on_postgres_equals_that_on_duckdb() -> None:
    with required(), engines.postgres(SCRATCH / "host_server") as engine:
        engine.folder.mkdir(parents=True, exist_ok=True)
        host = hosts.install(
            SCRATCH / "host_postgres", {**engine.variables, "SHOP_TARGET": "postgres"}
        )
        check_equals_duckdb(host, functools.partial(engines.read_postgres, engine))


@pytest.mark.thorough
def test_a_host_on_spark_equals_that_on_duckdb() -> None:
    """Each command is a process of its own, so the session is that of a server."""
    folder = SCRATCH / "host_spark"
    shutil.rmtree(folder, ignore_errors=True)
    with required(), engines.spark_connect(folder / "server") as engine:
        host = hosts.install(folder / "shop", {**engine.variables, "SHOP_TARGET": "spark"})
        check_equals_duckdb(host, functools.partial(engines.read_spark, engine))


def check_equals_duckdb(host: Host, read: parity.Reader) -> None:
    """Built from nothing and on top, the host equals one clean build; its commands read it."""
    host.dbt("build")
    host.restate_registry()
    host.dbt("build", variables=hosts.LATER)
    reference = clean().folder / "target/warehouse.duckdb"
    assert list(parity.differences(reference, read, schema=hosts.OURS)) == []
    check_commands(host)


def check_commands(host: Host) -> None:
    """The command line computes lift of the built host and reads it there."""
    assert "all is well" in host.throughline("doctor")
    assert json.loads(host.throughline("lift", "--json"))["experiments"]
    host.throughline("build", "--no-tests", "--", "--select", "fct_lift_decisions+")
    (trial,) = json.loads(host.throughline("scorecard", "--json"))["experiments"]
    assert (trial["experiment_id"], trial["decision"]) == ("bigger_pictures", "ship")
    assert host.throughline("publish").startswith("Nothing to publish: readers read schema shop_")
