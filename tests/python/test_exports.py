"""What other tools are given: archives for Superset, and what stands in them."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from building import Project
from conftest import Company, Outcome
from throughline.exports import datahub, superset
from throughline.workspace import Workspace

Call = Callable[..., Outcome]
Json = dict[str, Any]


@pytest.fixture
def built(demo_project: Project) -> Workspace:
    folder = demo_project.root / "workspace"
    return Workspace(project=demo_project.root, folder=folder, chosen_by="the test")


def contents(archive: bytes) -> dict[str, Json]:
    with zipfile.ZipFile(io.BytesIO(archive)) as bundle:
        return {
            name.removeprefix("throughline/"): yaml.safe_load(bundle.read(name))
            for name in bundle.namelist()
        }


def of_kind(archive: bytes, kind: str) -> list[Json]:
    return [file for path, file in contents(archive).items() if path.startswith(f"{kind}/")]


def test_the_archive_is_the_same_byte_by_byte(built: Workspace) -> None:
    first = superset.export(built)
    assert superset.export(built) == first
    other = superset.export(built, name="Another company")
    uuids = [
        {file["uuid"] for path, file in contents(archive).items() if path != "metadata.yaml"}
        for archive in (first, other)
    ]
    assert len(uuids[0]) == len(contents(first)) - 1
    assert uuids[0].isdisjoint(uuids[1])


def test_datasets_have_the_columns_of_the_published_marts(built: Workspace) -> None:
    with duckdb.connect(str(built.published), read_only=True) as connection:
        for dataset in of_kind(superset.export(built), "datasets"):
            place = f"{dataset['schema']}.{dataset['table_name']}"
            found = connection.execute(f"describe {place}").fetchall()
            told = [(column["column_name"], column["type"]) for column in dataset["columns"]]
            assert told == [(name, data_type) for name, data_type, *_ in found]
            assert all(column["description"] for column in dataset["columns"])


def test_charts_name_what_their_datasets_have(built: Workspace) -> None:
    archive = superset.export(built)
    datasets = {dataset["uuid"]: dataset for dataset in of_kind(archive, "datasets")}
    charts = of_kind(archive, "charts")
    assert 6 <= len(charts) <= 10
    for chart in charts:
        dataset = datasets[chart["dataset_uuid"]]
        columns = {column["column_name"] for column in dataset["columns"]}
        metrics = {metric["metric_name"] for metric in dataset["metrics"]}
        (query,) = json.loads(chart["query_context"])["queries"]
        used = [name if isinstance(name, str) else name["label"] for name in query["columns"]]
        used += [one["col"] for one in query["filters"]] + [name for name, _ in query["orderby"]]
        assert set(used) <= columns
        assert set(query.get("metrics", ())) <= metrics
    (dashboard,) = of_kind(archive, "dashboards")
    placed = [one for one in dashboard["position"].values() if isinstance(one, dict)]
    shown = {one["meta"]["uuid"] for one in placed if one["type"] == "CHART"}
    assert shown == {chart["uuid"] for chart in charts}


def test_each_model_has_one_colour_in_all_charts(built: Workspace) -> None:
    (dashboard,) = of_kind(superset.export(built), "dashboards")
    colours = dashboard["metadata"]["label_colors"]
    with duckdb.connect(str(built.published), read_only=True) as connection:
        models = connection.execute("select model_id, model_name from main_core.dim_models")
        pairs = [(colours[model], colours[name]) for model, name in models.fetchall()]
    assert len({one for one, _ in pairs}) == len(pairs) > 1
    assert all(one == other for one, other in pairs)


def test_metrics_of_the_cards_give_the_values_of_the_mart(built: Workspace) -> None:
    """By model and month each is the cell that the mart holds, withheld ones too."""
    (months,) = (
        dataset
        for dataset in of_kind(superset.export(built), "datasets")
        if dataset["table_name"] == "mart_metric_months"
    )
    compared = 0
    with duckdb.connect(str(built.published), read_only=True) as connection:
        for metric in months["metrics"]:
            by = "select model_id, month_start_date, {} from main_marts.mart_metric_months"
            found = connection.execute(f"{by.format(metric['expression'])} group by all").fetchall()
            cells = connection.execute(
                f"{by.format('value')} where metric = $1 and segment_name = 'all' "
                "and model_version = 'all' and value is not null",
                [metric["metric_name"]],
            ).fetchall()
            known = {(model, month): value for model, month, value in found if value is not None}
            expected = {(model, month): value for model, month, value in cells}
            assert known == pytest.approx(expected, rel=1e-12), metric["metric_name"]
            compared += len(known)
    assert compared > 300


def test_the_file_of_duckdb_is_opened_for_reading(built: Workspace) -> None:
    (database,) = of_kind(superset.export(built), "databases")
    assert database["sqlalchemy_uri"] == f"duckdb:///{built.published.resolve()}"
    assert database["extra"]["engine_params"] == {"connect_args": {"read_only": True}}
    uri = "postgresql+psycopg2://bi_reader@db/analytics"
    (database,) = of_kind(superset.export(built, uri=uri), "databases")
    assert database["sqlalchemy_uri"] == uri
    assert database["extra"]["engine_params"] == {}


def test_the_catalogue_has_every_published_table_and_governed_metric(built: Workspace) -> None:
    proposals = json.loads(datahub.export(built))
    found = {(one["entityUrn"], one["aspectName"]): one["aspect"]["json"] for one in proposals}
    assert len(found) == len(proposals)
    with duckdb.connect(str(built.published), read_only=True) as connection:
        tables = connection.execute(
            "select schema_name || '.' || table_name from duckdb_tables() "
            "where table_name <> 'publication'"
        ).fetchall()
        for (place,) in tables:
            urn = f"urn:li:dataset:(urn:li:dataPlatform:duckdb,{place},PROD)"
            columns = connection.execute(f"describe {place}").fetchall()
            fields = found[urn, "schemaMetadata"]["fields"]
            assert [field["fieldPath"] for field in fields] == [name for name, *_ in columns]
            assert found[urn, "datasetProperties"]["description"]
            if "_marts." in place:
                (owner,) = found[urn, "ownership"]["owners"]
                assert found[owner["owner"], "corpGroupInfo"]["displayName"]
        metrics = connection.execute(
            "select metric, label, owner, unit, tier, direction, so_what, rationale "
            "from main_metrics.dim_metrics"
        ).fetchall()
    assert len(tables) == sum(name == "datasetProperties" for _, name in found)
    assert len(metrics) == sum(name == "glossaryTermInfo" for _, name in found)
    for metric, label, owned_by, unit, tier, direction, next_step, reason in metrics:
        urn = f"urn:li:glossaryTerm:throughline.{metric}"
        told, said = (
            found[urn, "glossaryTermInfo"],
            found[urn, "glossaryTermInfo"]["customProperties"],
        )
        assert told["name"] == label
        (owner,) = found[urn, "ownership"]["owners"]
        assert found[owner["owner"], "corpGroupInfo"]["displayName"] == owned_by
        named = [said[key] for key in ("unit", "tier", "direction", "next_step", "reason")]
        assert named == [unit, tier, direction, next_step, reason]
    assert datahub.export(built) == json.dumps(proposals, indent=1, ensure_ascii=False) + "\n"


def test_an_export_is_written_where_it_is_asked_for(
    company: Company, throughline: Call, demo_project: Project, tmp_path: Path
) -> None:
    throughline("use", "company")
    target = company.project / "target"
    ended = throughline("export", "superset")
    assert ended.status == 1
    assert ended.err == (
        "error target/manifest.json: dbt has not written it. "
        "Let it: throughline exec -- dbt parse\n"
    )
    target.mkdir(exist_ok=True)
    (target / "manifest.json").write_bytes(
        (demo_project.root / "target/manifest.json").read_bytes()
    )
    assert throughline("export", "superset").out == "Wrote target/superset.zip.\n"
    out = tmp_path / "elsewhere.zip"
    assert throughline("export", "superset", "--out", str(out)).out == f"Wrote {out}.\n"
    assert out.read_bytes() == (target / "superset.zip").read_bytes()
    refused = throughline("export", "superset", "--out", str(tmp_path / "no" / "folder.zip"))
    assert "cannot be written: No such file or directory" in refused.err


def test_a_server_needs_its_address(
    company: Company, throughline: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    throughline("use", "company")
    monkeypatch.setenv("THROUGHLINE_TARGET", "postgres")
    assert throughline("export", "superset").err == (
        "error target postgres: how Superset reaches the warehouse is not known. "
        "Name it: --uri postgresql+psycopg2://bi_reader@host/database\n"
    )
