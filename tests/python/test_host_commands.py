"""The command line in a dbt project of the user's that has installed Throughline."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from building import ROOT
from conftest import RAW, SEED_ROWS, Outcome
from throughline import host, host_checks, seeds
from throughline.findings import UserError
from throughline.project import find_project

pytestmark = pytest.mark.slow

Call = Callable[..., Outcome]
TABLES = {
    "prediction_logs": "my_predictions",
    "usage_events": "my_usage",
    "business_outcomes": "my_outcomes",
    "serving_costs": "my_costs",
}
GOVERNED = {
    "model_registry": "my_registry",
    "unit_values": "my_values",
    "exchange_rates": "my_rates",
}
PROJECT: Mapping[str, Any] = {
    "name": "shop",
    "profile": "shop",
    "flags": {
        "require_ref_searches_node_package_before_root": True,
        "send_anonymous_usage_stats": False,
    },
    "dispatch": [{"macro_namespace": "dbt", "search_order": ["shop", "throughline", "dbt"]}],
    "vars": {
        "throughline": {
            "as_of": "2025-04-01 00:00:00",
            "minimum_cell": 1,
            "sources": {table: f"ref('{model}')" for table, model in TABLES.items()},
            "governed": {table: f"ref('{seed}')" for table, seed in GOVERNED.items()},
        }
    },
}
WAREHOUSE = {"type": "duckdb", "path": "shop.duckdb", "settings": {"TimeZone": "UTC"}}
PROFILES = {
    "shop": {
        "target": "dev",
        "outputs": {
            "dev": WAREHOUSE | {"schema": "analytics"},
            "other": WAREHOUSE | {"schema": "elsewhere", "path": "other.duckdb"},
        },
    }
}


def write(path: Path, described: object) -> None:
    path.write_text(yaml.safe_dump(described, sort_keys=False))


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop whose models hold the raw tables, with our package in packages.yml."""
    root = tmp_path_factory.mktemp("company") / "shop"
    for folder in ("models", "seeds"):
        (root / folder).mkdir(parents=True)
    write(root / "dbt_project.yml", PROJECT)
    write(root / "profiles.yml", PROFILES)
    write(root / "packages.yml", {"packages": [{"local": str(ROOT)}]})
    for table, model in TABLES.items():
        (root / f"seeds/raw_{model}.csv").write_text("\n".join([*RAW[table], ""]))
        (root / f"models/{model}.sql").write_text(f"select * from {{{{ ref('raw_{model}') }}}}\n")
    for table, seed in GOVERNED.items():
        header = ",".join(seeds.read_specs(ROOT)[table].header)
        (root / f"seeds/{seed}.csv").write_text("\n".join([header, *SEED_ROWS[table], ""]))
    dbt = Path(sys.executable).with_name("dbt")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DBT_")}
    subprocess.run([dbt, "--quiet", "deps"], cwd=root, env=kept, check=True)
    return root


@pytest.fixture
def shop(installed: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, in an environment with variables of a workspace that is nowhere."""
    monkeypatch.chdir(installed)
    monkeypatch.setenv("THROUGHLINE_WORKSPACE", "nowhere")
    monkeypatch.setenv("THROUGHLINE_VARS", "{minimum_cell: 999, workspace: nowhere}")
    monkeypatch.setenv("THROUGHLINE_TARGET", "postgres")
    return installed


def findings(project: Mapping[str, Any]) -> list[str]:
    return [str(finding) for finding in host_checks.check_described(project)]


# Which project


def test_a_host_is_found_from_below(shop: Path) -> None:
    assert find_project(shop / "models") == shop
    # our own project lies within it, where it is installed
    assert find_project(shop / "dbt_packages/throughline/models") == ROOT


def test_exports_name_the_relations_of_the_host(shop: Path, throughline: Call) -> None:
    for name, file in (
        ("superset", "superset.zip"),
        ("osi", "throughline.osi.json"),
        ("datahub", "throughline.datahub.json"),
    ):
        ended = throughline("export", name)
        assert (ended.status, ended.out) == (0, f"Wrote target/{file}.\n"), ended.err
    with zipfile.ZipFile(shop / "target/superset.zip") as bundle:
        assets = {name: yaml.safe_load(bundle.read(name)) for name in bundle.namelist()}
    datasets = [file for name, file in assets.items() if "/datasets/" in name]
    assert {dataset["schema"] for dataset in datasets} == {"analytics_throughline_marts"}
    database = assets["throughline/databases/throughline.yaml"]
    published = shop / "throughline/dev/published/throughline.duckdb"
    assert database["sqlalchemy_uri"] == f"duckdb:///{published.resolve()}"
    document = json.loads((shop / "target/throughline.osi.json").read_text(encoding="utf-8"))
    (model,) = document["semantic_model"]
    assert model["name"] == "shop"
    assert all(
        'analytics_throughline_core"."' in dataset["source"] for dataset in model["datasets"]
    )


def test_a_project_without_our_package_is_refused(tmp_path: Path, throughline: Call) -> None:
    write(tmp_path / "dbt_project.yml", {"name": "shop"})
    with pytest.raises(UserError, match="Throughline is not installed"):
        find_project(tmp_path)
    ended = throughline("--project-dir", str(tmp_path), "scorecard")
    assert (ended.status, ended.lines) == (
        1,
        [
            f"error {tmp_path}: Throughline is not installed in this dbt project. Name it in "
            "packages.yml and run dbt deps."
        ],
    )


@pytest.mark.parametrize(
    ("command", "fix"),
    [
        (("use", "x"), "Set vars: throughline: in dbt_project.yml; throughline init shows how."),
        (("load",), "Map your models by vars: throughline: sources: in dbt_project.yml."),
        (("simulate", "--out", "x"), "Run it in a clone of Throughline."),
    ],
)
def test_what_a_host_has_no_use_for_says_so(
    shop: Path, throughline: Call, command: tuple[str, ...], fix: str
) -> None:
    ended = throughline(*command)
    assert (ended.status, ended.lines) == (
        1,
        [f"error {command[0]}: your dbt project takes the place of a workspace. {fix}"],
    )
    assert not (shop / "x").exists()


def test_a_replay_is_refused(shop: Path, throughline: Call) -> None:
    ended = throughline("scorecard", "--as-of", "2025-03-01")
    assert ended.status == 1
    assert ended.lines[0].startswith("error --as-of: a host has no replays.")


# What its dbt_project.yml must say


def test_what_init_prints_is_what_the_doctor_asks_for(shop: Path, throughline: Call) -> None:
    before = (shop / "dbt_project.yml").read_bytes()
    ended = throughline("init")
    assert ended.status == 0
    printed = yaml.safe_load(ended.out)
    assert findings(printed | {"name": "shop"}) == []
    assert printed["dispatch"][0]["search_order"] == ["shop", "throughline", "dbt"]
    assert (shop / "dbt_project.yml").read_bytes() == before


@pytest.mark.parametrize(
    ("key", "line"),
    [
        (
            "flags",
            "dbt_project.yml: a model of yours may take the place of ours. Set flags: "
            "require_ref_searches_node_package_before_root: true.",
        ),
        (
            "dispatch",
            "dbt_project.yml: dbt does not find our macros of warehouses. Add to dispatch: "
            "{macro_namespace: dbt, search_order: [shop, throughline, dbt]}.",
        ),
    ],
)
def test_each_line_that_is_missing_is_named(key: str, line: str) -> None:
    assert findings(PROJECT) == []
    assert findings({name: value for name, value in PROJECT.items() if name != key}) == [line]


def test_a_profile_of_our_name_and_a_metric_that_is_disabled_are_named() -> None:
    off: Mapping[str, Any] = {
        "throughline": {"metrics": {"recall": {"+enabled": False}, "nps": {"+enabled": True}}}
    }
    assert findings({**PROJECT, "metrics": off, "profile": "throughline"}) == [
        "dbt_project.yml: profile: a profile called throughline is that of our own project. "
        "Call it otherwise, here and in profiles.yml.",
        "dbt_project.yml: metrics: throughline: metrics: recall: saved queries and exposures of "
        "ours name the metric, so dbt could read none. Take it out; metrics that you do without: "
        "vars: throughline: metrics_off.",
    ]


def test_versions_that_do_not_fit_are_named(
    installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed = ["dbt-core<1.13,>=1.12", "numpy>=2", "rich>=14", "dbt-spark>=1; extra == 'spark'"]
    monkeypatch.setattr(metadata, "requires", lambda _: needed)

    def version(name: str) -> str:
        if name == "rich":
            raise metadata.PackageNotFoundError
        return {"dbt-core": "1.13.1", "numpy": "2.4", "throughline": "0.0.9"}[name]

    found = host_checks.check_versions(host.at(installed), installed=version)
    assert list(map(str, found)) == [
        'versions: dbt-core is 1.13.1, needed is <1.13,>=1.12. pip install "dbt-core<1.13,>=1.12"',
        'versions: rich is not installed, needed is >=14. pip install "rich>=14"',
        "versions: the command line is 0.0.9, the dbt package is 0.1.0. Install both of one "
        "version: pip install throughline==0.1.0",
    ]


# A built one


@pytest.fixture(scope="module")
def built(installed: Path, program: Path) -> Path:
    """The shop after a build by the command line of the wheel, from a folder below it."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    outside = {"THROUGHLINE_WORKSPACE": "nowhere", "THROUGHLINE_TARGET": "postgres", "PATH": path}
    (installed / ".env").write_text("THROUGHLINE_VARS='{minimum_cell: 999}'\n")
    done = subprocess.run(
        [program, "build"],
        cwd=installed / "models",
        env=os.environ | outside,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "publish: " in done.stdout
    assert "Lead scoring" in done.stdout
    return installed


def test_a_build_makes_the_models_above_ours_and_publishes(built: Path) -> None:
    with duckdb.connect(str(built / "shop.duckdb"), read_only=True) as connection:
        (rows,) = connection.execute("select count(*) from analytics.my_predictions").fetchall()
    assert rows == (2,)
    with duckdb.connect(str(built / "throughline/dev/published/throughline.duckdb")) as connection:
        schemas = connection.execute(
            "select distinct table_schema from information_schema.tables order by 1"
        ).fetchall()
        marts = "analytics_throughline_marts"
        (decisions,) = connection.execute(
            f"select sum(decision_count) from {marts}.mart_value_ledger where model_id = 'lead'"
        ).fetchall()
    assert (marts,) in schemas
    assert decisions == (2,)


def test_unit_tests_of_ours_are_off(built: Path) -> None:
    manifest = json.loads((built / "target/manifest.json").read_text())
    assert manifest["unit_tests"] == {}


def test_settings_are_those_of_the_project(built: Path, shop: Path, throughline: Call) -> None:
    """And not of the environment or .env, which name others."""
    with duckdb.connect(str(built / "shop.duckdb"), read_only=True) as connection:
        (moment,) = connection.execute(
            "select entry_value from analytics_throughline_metrics.int_build_ledger "
            "where entry_kind = 'as_of'"
        ).fetchall()
    assert moment[0].startswith("2025-04-01")
    ended = throughline("scorecard", "--json")
    assert ended.status == 0, ended.err
    assert ended.report["as_of"] == "2025-04-01"


def test_commands_read_what_was_built(built: Path, shop: Path, throughline: Call) -> None:
    assert throughline("alerts").out == "No alert is open.\n"
    assert throughline("lift").out == "No experiment has units yet: nothing to compute.\n"
    printed = throughline("sql", "precision").out
    assert "analytics_throughline_core" in printed
    healthy = throughline("doctor", "--json")
    assert (healthy.status, healthy.report["findings"]) == (0, []), healthy.out


def test_the_docs_have_the_cards_of_our_metrics_and_the_models_of_the_host(
    built: Path, shop: Path, throughline: Call
) -> None:
    ended = throughline("docs")
    assert ended.status == 0, ended.err
    page = (built / "target/static_index.html").read_text(encoding="utf-8")
    manifest = json.loads((built / "target/manifest.json").read_text(encoding="utf-8"))
    told = manifest["metrics"]["metric.throughline.precision"]["description"]
    assert "`true_positives / positive_decisions`" in told
    assert json.dumps(told, ensure_ascii=False).replace("<", "\\u003c") in page
    assert "model.shop.my_predictions" in page


def test_another_target_is_another_warehouse(built: Path, shop: Path, throughline: Call) -> None:
    ended = throughline("--target", "other", "scorecard")
    assert ended.status == 1
    assert ended.lines == [
        "error other.duckdb: the scorecard is not built: dim_models is not there. throughline build"
    ]


def test_the_doctor_says_what_is_not_there(built: Path, shop: Path, throughline: Call) -> None:
    text = (shop / "dbt_project.yml").read_text()
    write(
        shop / "models/sources.yml", {"sources": [{"name": "lake", "tables": [{"name": "seen"}]}]}
    )
    try:
        changed = text.replace("ref('my_usage')", "source('lake', 'seen')")
        (shop / "dbt_project.yml").write_text(changed)
        ended = throughline("doctor")
    finally:
        (shop / "dbt_project.yml").write_text(text)
        (shop / "models/sources.yml").unlink()
    assert ended.lines == [
        "error vars: throughline: sources.usage_events: source('lake', 'seen') is not in the "
        "warehouse. Deliver lake.seen, or correct the source."
    ]
    assert ended.status == 1


def test_the_doctor_names_governed_rows_that_break_a_rule(
    built: Path, shop: Path, throughline: Call
) -> None:
    table = "analytics_throughline_config.cfg_model_registry"
    wrong = "set task = 'bynary', label_delay_days = -1 where model_id = 'lead'"
    kept = "create table analytics.kept as select * from"
    restored = f"truncate {table}; insert into {table} from analytics.kept"
    with duckdb.connect(str(built / "shop.duckdb")) as connection:
        connection.execute(f"{kept} {table}; update {table} {wrong}")
    try:
        ended = throughline("doctor")
    finally:
        with duckdb.connect(str(built / "shop.duckdb")) as connection:
            connection.execute(f"{restored}; drop table analytics.kept")
    assert ended.status == 1
    found = [line for line in ended.lines if "my_registry" in line]
    assert "error ref('my_registry'), lead, column task: 'bynary' is not allowed." in found[0]
