"""What dbt's documentation tells a reviewer of the demo."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import duckdb
import pytest

from building import ROOT, Project

pytestmark = pytest.mark.slow

MOST = 15
"""Raw tables and models that a metric is made of."""
MORE = {
    # costs are shared out by decisions, so they stand on all that decisions do
    "cost_to_serve": 23,
    "cost_per_prediction": 19,
    "cost_per_accepted_prediction": 19,
    # two facts
    "revenue_per_active_user_day": 20,
    "revenue_per_decision": 17,
    # every raw table
    "rejected_row_share": 24,
    # lists are made of decisions
    "ndcg_at_10": 16,
    "mean_reciprocal_rank": 16,
    "hit_rate_at_1": 16,
}
Json = dict[str, Any]


@pytest.fixture(scope="module")
def target(demo_project: Project, demo: Path) -> Path:
    """The folder of the artefacts, after `throughline docs`."""
    addresses = ["--boards-url", "https://bi.acme.io/ml/", "--mail-domain", "acme.io"]
    run = demo_project.run(demo, ["throughline", "docs", *addresses])
    assert run.status == 0, run.output
    return demo_project.root / "target"


@pytest.fixture(scope="module")
def manifest(target: Path) -> Json:
    found: Json = json.loads((target / "manifest.json").read_text(encoding="utf-8"))
    return found


def named(nodes: Json) -> Json:
    return {node["name"]: node for node in nodes.values()}


def test_the_overview_names_every_mart() -> None:
    overview = (ROOT / "models/_overview.md").read_text(encoding="utf-8")
    marts = {path.stem for path in (ROOT / "models/marts").rglob("*.sql")}
    assert marts
    assert set(re.findall(r"`(mart_\w+)`", overview)) == marts


def test_a_description_says_what_the_catalog_of_metrics_says(manifest: Json, demo: Path) -> None:
    asked = "formula_in_words, unit, unit_of_count, direction, owner, approver, so_what"
    with duckdb.connect(str(demo / "warehouse.duckdb"), read_only=True) as warehouse:
        rows = warehouse.sql(
            f"select metric, formula, cast(review_by as varchar), {asked} "
            "from main_metrics.dim_metrics"
        ).fetchall()
    metrics, models = named(manifest["metrics"]), named(manifest["nodes"])
    assert rows
    for metric, formula, *facts in rows:
        computed_in = formula.removeprefix("computed in ")
        told = (metrics[metric] if formula == computed_in else models[computed_in])["description"]
        assert f"`{computed_in}`" in told
        assert [fact for fact in facts if fact not in told] == []


def test_a_brick_names_its_column_and_fact(manifest: Json) -> None:
    told = named(manifest["metrics"])["brick_true_positives"]["description"]
    assert "sum of `true_positive_count` over `fct_decisions`" in told


def test_raw_columns_have_the_types_of_their_contract(target: Path, manifest: Json) -> None:
    sources = json.loads((target / "catalog.json").read_text(encoding="utf-8"))["sources"]
    assert len(manifest["sources"]) == 10
    for key, source in manifest["sources"].items():
        types = {name: column["type"] for name, column in sources[key]["columns"].items()}
        assert types == {name: column["data_type"] for name, column in source["columns"].items()}


def test_every_metric_and_mart_is_read_by_somebody_who_can_be_asked(manifest: Json) -> None:
    read = set()
    for exposure in manifest["exposures"].values():
        kinds = {node.split(".")[0] for node in exposure["depends_on"]["nodes"]}
        assert kinds == {"model", "metric"}, exposure["name"]
        assert exposure["owner"]["email"].endswith("@acme.io")
        assert exposure["url"].startswith("https://bi.acme.io/ml/")
        read |= set(exposure["depends_on"]["nodes"])
    governed = {
        key for key, node in manifest["metrics"].items() if "unit" in node["config"]["meta"]
    }
    assert governed <= read


def test_nobody_is_sent_to_an_address_that_was_never_given(
    demo_project: Project, demo: Path
) -> None:
    asked = ["--resource-type", "exposure", "--output", "json", "--output-keys", "name url owner"]
    run = demo_project.run(demo, ["throughline", "exec", "--", "dbt", "--quiet", "ls", *asked])
    told = [json.loads(line) for line in run.output.splitlines() if line.startswith("{")]
    assert len(told) > 20, run.output
    for exposure in told:
        assert exposure["owner"]["name"]
        assert not exposure.get("url")
        assert not exposure["owner"].get("email")


def test_few_nodes_stand_above_a_metric(manifest: Json) -> None:
    marked = {key for key, node in manifest["nodes"].items() if "bookkeeping" in node["tags"]}
    assert marked
    found = {}
    for key, metric in manifest["metrics"].items():
        above: set[str] = set()
        ways = [key]
        while ways:
            parents = set(manifest["parent_map"][ways.pop()]) - above - marked
            above |= parents
            ways += parents
        made_of = {node for node in above if node.startswith(("model.", "source."))}
        if "unit" in metric["config"]["meta"] and len(made_of) > MOST:
            found[metric["name"]] = len(made_of)
    assert {name: count for name, count in found.items() if count > MORE.get(name, MOST)} == {}
    assert found.keys() == MORE.keys()
