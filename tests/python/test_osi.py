"""The document of Open Semantic Interchange: what it says of metrics, and what its SQL gives."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import duckdb
import pytest
import sqlglot
from metricflow.converters.models import OSIDocument
from metricflow.converters.osi_to_msi import OSIToMSIConverter
from sqlglot import exp

from building import Project
from conftest import Company, Outcome
from throughline.exports import osi
from throughline.workspace import Workspace

Json = dict[str, Any]
Call = Callable[..., Outcome]
MONTHS = """
    select metric, model_id, month_start_date, value from main_marts.mart_metric_months
    where segment_name = 'all' and model_version = 'all' and value is not null
"""


@pytest.fixture(scope="module")
def built(demo_project: Project) -> Workspace:
    folder = demo_project.root / "workspace"
    return Workspace(project=demo_project.root, folder=folder, chosen_by="the test")


@pytest.fixture(scope="module")
def document(built: Workspace) -> Json:
    found: Json = json.loads(osi.export(built))
    return found


@pytest.fixture(scope="module")
def manifest(built: Workspace) -> Json:
    found: Json = json.loads((built.artefacts / "manifest.json").read_text(encoding="utf-8"))
    return found


def expressions(document: Json) -> dict[str, str]:
    (model,) = document["semantic_model"]
    return {
        metric["name"]: metric["expression"]["dialects"][0]["expression"]
        for metric in model["metrics"]
    }


def said(metric: Json) -> Json:
    (extension,) = metric["custom_extensions"]
    found: Json = json.loads(extension["data"])["throughline"]
    return found


def value(connection: duckdb.DuckDBPyConnection, expression: str) -> Any:
    row = connection.execute(f"select {expression}").fetchone()
    assert row
    return row[0]


def with_sums(expression: str, number: int) -> str:
    """The expression as if each of its sums were a number."""
    tree = sqlglot.parse_one(f"({expression})")
    for aggregate in list(tree.find_all(exp.AggFunc)):
        aggregate.replace(exp.Literal.number(number))
    return tree.sql()


def over_datasets(expression: str, sources: dict[str, str], within: dict[str, str]) -> str:
    """The expression with each sum taken over the one dataset that its columns name."""
    tree = sqlglot.parse_one(f"({expression})")
    for aggregate in list(tree.find_all(exp.AggFunc)):
        (home,) = {column.table for column in aggregate.find_all(exp.Column)}
        query = f"(select {aggregate.sql()} from {sources[home]} as {home} where {within[home]})"
        aggregate.replace(sqlglot.parse_one(query))
    return tree.sql()


def test_each_expression_gives_the_value_of_the_mart(
    built: Workspace, document: Json, manifest: Json
) -> None:
    """Over the relations that it names, for each model and month that the mart gives a value."""
    (model,) = document["semantic_model"]
    sources = {dataset["name"]: dataset["source"] for dataset in model["datasets"]}
    dates = {}
    for semantic in manifest["semantic_models"].values():
        fields = {one["name"]: one["expr"] or one["name"] for one in semantic["dimensions"]}
        dates[semantic["name"]] = fields[semantic["defaults"]["agg_time_dimension"]]
    told = expressions(document)
    compared: dict[str, int] = {}
    with duckdb.connect(str(built.warehouse), read_only=True) as connection:
        for metric, model_id, month, expected in connection.execute(MONTHS).fetchall():
            if metric in told:
                within = {
                    home: f"{home}.model_id = '{model_id}' "
                    f"and date_trunc('month', {home}.{column}) = date '{month}'"
                    for home, column in dates.items()
                }
                found = value(connection, over_datasets(told[metric], sources, within))
                assert found == pytest.approx(expected, rel=1e-9), (metric, model_id, month)
                compared[metric] = compared.get(metric, 0) + 1
    assert len(compared) > 30
    assert {"cost_to_serve", "revenue_per_active_user_day", "credited_revenue"} <= set(compared)


def test_nothing_counted_gives_null(built: Workspace, document: Json) -> None:
    """And dbt's own document does not, so that the test can fail."""
    theirs = json.loads((built.artefacts / "osi_document.json").read_text(encoding="utf-8"))
    with duckdb.connect() as connection:
        ratios = 0
        for name, expression in expressions(document).items():
            has_ratio = "/" in expression
            ratios += has_ratio
            found = value(connection, with_sums(expression, 0))
            assert found is None if has_ratio else found == 0, name
            if has_ratio:
                assert value(connection, with_sums(expressions(theirs)[name], 0)) is not None
    assert ratios > 40


@pytest.mark.parametrize(
    ("written", "zeros"),
    [
        ("a / b", "b"),
        ("(a) / (b)", "b"),
        ("a / (b / c)", "bc"),
        ("a / (b / (c / d))", "bcd"),
        ("a / b / c", "bc"),
        ("(a + b / c) / (d - c)", "c"),
        ("a / NULLIF(b, 0) + c / d", "bd"),
        ("a / NULLIF(b, 7)", "b"),
        ("a % b", "b"),
        ("case when a > 0 then a / b end", "b"),
    ],
)
def test_divisions_within_divisions_are_guarded(written: str, zeros: str) -> None:
    guarded = osi.guarded(sqlglot.parse_one(written)).sql()
    numbers = {"a": 8, "b": 4, "c": 2, "d": 3}

    def given(expression: str, **changed: int) -> Any:
        values = {**numbers, **changed}.items()
        columns = ", ".join(f"{number} as {name}" for name, number in values)
        with duckdb.connect() as connection:
            row = connection.execute(f"select {expression} from (select {columns})").fetchone()
        assert row
        return row[0]

    assert given(guarded) == pytest.approx(given(written))
    for name in zeros:
        assert given(guarded, **{name: 0}) is None, (guarded, name)
    again = sqlglot.parse_one(guarded)
    assert osi.guarded(again.copy()).sql() == again.sql()


def test_a_number_is_no_divisor_to_guard() -> None:
    assert osi.guarded(sqlglot.parse_one("a / 2")).sql() == "CAST(a AS DOUBLE PRECISION) / 2"
    guarded = "CAST(a AS DOUBLE PRECISION) / NULLIF(0, 0)"
    assert osi.guarded(sqlglot.parse_one("a / 0")).sql() == guarded


def test_extensions_say_what_the_cards_say(document: Json, manifest: Json) -> None:
    cards = {one["name"]: one["config"]["meta"] for one in manifest["metrics"].values()}
    (model,) = document["semantic_model"]
    governed = 0
    for metric in model["metrics"]:
        card, told = cards[metric["name"]], said(metric)
        assert told.get("owner") == card.get("owner")
        assert told.get("unit") == card.get("unit")
        assert told.get("tier") == card.get("tier")
        assert told.get("direction") == card.get("direction")
        assert told.get("reason") == card.get("rationale")
        assert told.get("next_step") == card.get("so_what")
        governed += "unit" in told
    assert governed > 50
    ratio = next(one for one in model["metrics"] if one["name"] == "cost_to_serve")
    assert said(ratio)["datasets"] == ["costs", "usage"]


def test_a_number_that_is_no_sum_is_left_out(built: Workspace, document: Json) -> None:
    """dbt sums the checks of customers where the mart counts each customer once."""
    theirs = json.loads((built.artefacts / "osi_document.json").read_text(encoding="utf-8"))
    assert set(expressions(theirs)) - set(expressions(document)) == {
        *("churn_rate", "retained_customers")
    }


def test_every_column_names_its_dataset(document: Json) -> None:
    (model,) = document["semantic_model"]
    homes = {dataset["name"] for dataset in model["datasets"]}
    for metric in model["metrics"]:
        tree = sqlglot.parse_one(metric["expression"]["dialects"][0]["expression"])
        named = {column.table for column in tree.find_all(exp.Column)}
        assert named <= homes
        assert named == set(said(metric)["datasets"])


def test_another_reader_takes_it(document: Json) -> None:
    """MetricFlow's own: the model of the specification, and back to its metrics."""
    read = OSIDocument.parse_obj(document)
    names = {metric.name for metric in OSIToMSIConverter().convert(read).output.metrics}
    assert {"precision", "cost_to_serve", "credited_revenue"} <= names


def test_our_schema_refuses_what_it_does_not_know(document: Json) -> None:
    assert list(osi.problems(document)) == []
    schema = osi.own_schema()
    assert "own" in schema["title"]
    assert "not an official" in schema["description"]

    def broken(change: Callable[[Json], object]) -> list[str]:
        copy = json.loads(json.dumps(document))
        change(copy)
        return list(osi.problems(copy))

    def without_owner(copy: Json) -> None:
        metric = copy["semantic_model"][0]["metrics"][0]
        told = said(metric)
        del told["owner"]
        metric["custom_extensions"][0]["data"] = json.dumps({"throughline": told})

    assert broken(lambda copy: copy.update(version="9"))
    assert broken(lambda copy: copy["semantic_model"][0]["metrics"][0].pop("expression"))
    assert broken(lambda copy: copy["semantic_model"][0]["metrics"][0].update(colour="red"))
    assert broken(lambda copy: copy["semantic_model"][0].update(datasets=[]))
    assert broken(without_owner) == ["$: 'owner' is a dependency of 'unit'"]


def test_the_command_writes_the_document(
    company: Company, throughline: Call, built: Workspace
) -> None:
    throughline("use", "company")
    missing = throughline("export", "osi").err
    assert missing.startswith("error target/osi_document.json: dbt has not written it.")
    target = company.project / "target"
    target.mkdir(exist_ok=True)
    for name in ("manifest.json", "osi_document.json"):
        (target / name).write_bytes((built.artefacts / name).read_bytes())
    assert throughline("export", "osi").out == "Wrote target/throughline.osi.json.\n"
    written = (target / "throughline.osi.json").read_text(encoding="utf-8")
    assert written == osi.export(built)
