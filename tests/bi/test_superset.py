"""The archive of `throughline export superset` in a Superset that holds other things already."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any

import duckdb
import pytest

import browser
import server
from server import Superset

BI = Path(__file__).resolve().parents[2] / ".build/bi"
ARCHIVE, MARTS = BI / "superset.zip", BI / "throughline.duckdb"
PICTURE = BI / "dashboard.png"
TIMELINE = """
    select metric_date, model_id, value_28d from main_marts.mart_metric_timeline
    where metric = '{}' and segment_name = 'all' and value_28d is not null
"""
CELLS = """
    from main_marts.mart_metric_months
    where segment_name = 'all' and model_version = 'all' and value is not null
"""
CHARTS = {
    "Where each model stands": """
        select
            model_name, label, unit, value, previous_value, target, status, not_ready_reason, owner,
            next_step
        from main_marts.mart_scorecard where segment_name = 'all' and role = 'headline'
    """,
    "Net value by month": """
        select month_start_date, model_name, net_value_amount from main_marts.mart_value_ledger
        where net_value_amount is not null
    """,
    "Cost by month": """
        select month_start_date, model_name, cost_amount from main_marts.mart_costs
        where cost_type = 'all' and cost_amount is not null
    """,
    "Open alerts": """
        select
            severity, model_id, metric, status, opened_date, value, bound, cause, owner,
            corrective_action
        from main_marts.mart_alerts
    """,
    "Experiments: what to do": """
        select
            experiment_id, variant, model_id, decision, reason, primary_metric, estimate,
            value_at_stake_amount, value_at_stake_low_amount, value_at_stake_high_amount, owner
        from main_marts.mart_experiment_decisions
    """,
    "Acceptance rate, 28 days": TIMELINE.format("acceptance_rate"),
    "Precision, 28 days": TIMELINE.format("precision"),
    "Ranking quality (ROC AUC), 28 days": """
        select period_end_date, model_id, roc_auc from main_marts.mart_model_quality
        where period = '28d' and model_version = 'all' and segment_name = 'all'
            and roc_auc is not null
    """,
    "Governed metrics by month": f"""
        select
            model_id, month_start_date,
            max(value) filter (metric = 'precision'),
            max(value) filter (metric = 'acceptance_rate'),
            max(value) filter (metric = 'adoption_rate'),
            max(value) filter (metric = 'conversion_rate'),
            max(value) filter (metric = 'cost_per_prediction'),
            max(value) filter (metric = 'value_of_decisions')
        {CELLS} and metric in (
            'precision', 'acceptance_rate', 'adoption_rate', 'conversion_rate',
            'cost_per_prediction', 'value_of_decisions'
        )
        group by all
    """,
    "Goals": """
        select
            level, model_id, metric, segment_value, status, outlook, value, target, attainment, due,
            owner
        from main_marts.mart_goals where is_latest
    """,
}


@dataclass(frozen=True)
class Imported:
    """A server, and what it held before the archive came."""

    superset: Superset
    home: Path
    other: int


@pytest.fixture(scope="session")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Imported]:
    home = tmp_path_factory.mktemp("superset") / "home"
    server.prepare(home)
    with duckdb.connect(str(home / "other.duckdb")) as connection:
        connection.execute("create table visits as select 41 as visit_count")
    with server.serving(home) as superset:
        uri = f"duckdb:///{home}/other.duckdb"
        body: dict[str, Any] = {"database_name": "Other", "sqlalchemy_uri": uri}
        database = superset.call("POST", "/api/v1/database/", body)["id"]
        body = {"database": database, "schema": "main", "table_name": "visits"}
        other = superset.call("POST", "/api/v1/dataset/", body)["id"]
        superset.bring(ARCHIVE.read_bytes())
        yield Imported(superset, home, other)


def asked(query: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(MARTS), read_only=True) as connection:
        return connection.execute(query).fetchall()


def plain(cell: Any, expected: Any) -> Any:
    """A cell as the file has it: the API writes days as milliseconds."""
    if isinstance(expected, date) and cell is not None:
        return datetime.fromtimestamp(cell / 1000, tz=timezone.utc).date()
    return cell


def differences(rows: list[dict[str, Any]], expected: list[tuple[Any, ...]]) -> list[str]:
    """Cells that are not those of the file, in whatever order the rows come."""
    kinds = [
        next((cell for cell in column if cell is not None), None)
        for column in zip(*expected, strict=True)
    ]
    found = [
        tuple(plain(cell, kind) for cell, kind in zip(row.values(), kinds, strict=True))
        for row in rows
    ]
    if len(found) != len(expected):
        return [f"{len(found)} rows instead of {len(expected)}"]
    pairs = zip(sorted(found, key=repr_of), sorted(expected, key=repr_of), strict=True)
    return [f"{one} is not {other}" for one, other in pairs if not same(one, other)]


def repr_of(row: tuple[Any, ...]) -> str:
    return repr([f"{cell:.9g}" if isinstance(cell, float) else str(cell) for cell in row])


def same(row: tuple[Any, ...], expected: tuple[Any, ...]) -> bool:
    return all(
        one == pytest.approx(other, rel=1e-12) if isinstance(other, float) else one == other
        for one, other in zip(row, expected, strict=True)
    )


def data(imported: Imported, title: str) -> list[dict[str, Any]]:
    """What a chart shows, by the query that came with it."""
    (chart,) = (one for one in imported.superset.all("chart") if one["slice_name"] == title)
    answer = imported.superset.call("GET", f"/api/v1/chart/{chart['id']}/data/")
    rows: list[dict[str, Any]] = answer["result"][0]["data"]
    return rows


def test_every_chart_has_its_query_here(imported: Imported) -> None:
    assert {chart["slice_name"] for chart in imported.superset.all("chart")} == set(CHARTS)


@pytest.mark.parametrize("title", CHARTS)
def test_a_chart_shows_the_cells_of_its_mart(imported: Imported, title: str) -> None:
    expected = asked(CHARTS[title])
    assert expected
    assert differences(data(imported, title), expected) == []


def test_a_cell_that_is_another_would_be_seen(imported: Imported) -> None:
    expected = asked(CHARTS["Net value by month"])
    rows = data(imported, "Net value by month")
    rows[0]["net_value"] *= 1 + 1e-9
    (said,) = differences(rows, expected)
    assert "is not" in said
    assert differences(rows[1:], expected) == [f"{len(rows) - 1} rows instead of {len(rows)}"]


def governed(imported: Imported, columns: list[str]) -> list[dict[str, Any]]:
    """All metrics of the cards by some columns of the months."""
    found = imported.superset.all("dataset")
    (months,) = (one for one in found if one["table_name"] == "mart_metric_months")
    dataset = imported.superset.call("GET", f"/api/v1/dataset/{months['id']}")["result"]
    metrics = [metric["metric_name"] for metric in dataset["metrics"]]
    assert len(metrics) > 40
    query = {"columns": columns, "metrics": metrics, "row_limit": 1000}
    source = {"id": months["id"], "type": "table"}
    body = {"datasource": source, "queries": [query], "result_type": "full"}
    rows: list[dict[str, Any]] = imported.superset.call("POST", "/api/v1/chart/data", body)[
        "result"
    ][0]["data"]
    return rows


def test_metrics_of_the_cards_are_the_values_of_the_mart(imported: Imported) -> None:
    query = f"select model_id, month_start_date, metric, value {CELLS}"
    cells = {(model, month, metric): value for model, month, metric, value in asked(query)}
    shown: dict[tuple[Any, ...], float] = {}
    metrics: set[str] = set()
    for row in governed(imported, ["model_id", "month_start_date"]):
        key = (row.pop("model_id"), plain(row.pop("month_start_date"), date.min))
        metrics |= set(row)
        shown |= {(*key, metric): value for metric, value in row.items() if value is not None}
    expected = {key: value for key, value in cells.items() if key[2] in metrics}
    assert shown == pytest.approx(expected, rel=1e-12)
    assert len(shown) > 300


def test_metrics_of_the_cards_roll_up_as_sums_divided_by_sums(imported: Imported) -> None:
    query = f"""
        select model_id, metric, sum(numerator) / coalesce(nullif(sum(denominator), 0), 1) {CELLS}
        group by all
    """
    sums = {(model, metric): value for model, metric, value in asked(query)}
    shown: dict[tuple[Any, ...], float] = {}
    metrics: set[str] = set()
    for row in governed(imported, ["model_id"]):
        model = row.pop("model_id")
        metrics |= set(row)
        shown |= {(model, metric): value for metric, value in row.items() if value is not None}
    expected = {key: value for key, value in sums.items() if key[1] in metrics}
    assert shown == pytest.approx(expected, rel=1e-12)


def test_what_was_there_stays_and_a_second_import_adds_nothing(imported: Imported) -> None:
    before = {kind: len(imported.superset.all(kind)) for kind in ("dataset", "chart", "dashboard")}
    assert before["dashboard"] == 1
    imported.superset.bring(ARCHIVE.read_bytes())
    assert {kind: len(imported.superset.all(kind)) for kind in before} == before
    query = {"columns": ["visit_count"], "row_limit": 10}
    source = {"id": imported.other, "type": "table"}
    body = {"datasource": source, "queries": [query], "result_type": "full"}
    answer = imported.superset.call("POST", "/api/v1/chart/data", body)
    assert answer["result"][0]["data"] == [{"visit_count": 41}]


def test_a_new_publication_is_read_without_a_restart(imported: Imported) -> None:
    old, new = BI / "old.duckdb", BI / "new.duckdb"
    for copy in (old, new):
        shutil.copy(MARTS, copy)
    with duckdb.connect(str(new)) as connection:
        connection.execute("update main_marts.mart_goals set owner = 'Somebody else'")
    assert {row["owner"] for row in data(imported, "Goals")} != {"Somebody else"}
    new.replace(MARTS)
    try:
        assert {row["owner"] for row in data(imported, "Goals")} == {"Somebody else"}
    finally:
        old.replace(MARTS)


def test_nobody_writes_into_the_file(imported: Imported) -> None:
    found = imported.superset.all("database")
    (ours,) = (one["id"] for one in found if one["database_name"] == "Throughline")
    body = {"database_id": ours, "sql": "drop table main_marts.mart_goals", "runAsync": False}
    with pytest.raises(AssertionError, match=r"DML|read-only|not allowed"):
        imported.superset.call("POST", "/api/v1/sqllab/execute/", body)
    assert asked("select count(*) > 0 from main_marts.mart_goals") == [(True,)]


def test_the_dashboard_is_drawn(imported: Imported) -> None:
    """Kept for a look; what it says is held against the marts above."""
    if browser.program() is None:
        pytest.skip("NO PICTURE: Chromium is not installed (apt-get install chromium fonts-dejavu)")
    (dashboard,) = imported.superset.all("dashboard")
    charts = imported.superset.call("GET", f"/api/v1/dashboard/{dashboard['id']}/charts")["result"]
    assert {chart["slice_name"] for chart in charts} == set(CHARTS)
    PICTURE.unlink(missing_ok=True)
    with server.serving(imported.home, to_all=True) as open_to_all:
        url = f"{open_to_all.url}/superset/dashboard/{dashboard['id']}/?standalone=1"
        browser.shoot(f"{url}&expand_filters=0", PICTURE, width=1400, height=4000)
    assert PICTURE.stat().st_size > 200_000
