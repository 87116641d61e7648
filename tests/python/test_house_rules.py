"""The project keeps its house rules, and each rule finds what breaks it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

import house_rules
from building import ROOT, Project
from house_rules import RULES, House


@dataclass(frozen=True)
class Breach:
    """An edit of a copy of the project, and what its rule says of it."""

    rule: str
    path: str
    old: str
    new: str
    said: str


BREACHES = (
    Breach(
        "grain_is_said_and_tested",
        "models/core/dim_models.sql",
        "-- One row per governed model.",
        "-- One row per model.",
        "dim_models: the description does not open with the first line of the model",
    ),
    Breach(
        "grain_is_said_and_tested",
        "models/core/fct_usage.sql",
        "-- One row per",
        "-- Rows of",
        "fct_usage: the first line is not '-- One row per …'",
    ),
    Breach(
        "grain_is_said_and_tested",
        "models/staging/stg_rejected_rows.yml",
        "without_key",
        "key",
        "stg_rejected_rows: no grain or unique test, and no meta without_key that says why",
    ),
    Breach(
        "one_yml_per_model",
        "models/core/dim_dates.yml",
        "models:\n",
        "macros: []\nmodels:\n",
        "dim_dates: its yml also holds macros",
    ),
    Breach(
        "one_yml_per_model",
        "models/core/dim_models.yml",
        "models:\n",
        "models:\n  - name: stray\n",
        "dim_models: its yml also holds stray",
    ),
    Breach(
        "one_yml_per_model",
        "models/core/stray.sql",
        "",
        "-- One row per governed model.\nselect * from {{ ref('fct_metrics') }}\n",
        "stray: not described in models/core/stray.yml",
    ),
    Breach(
        "layers_point_one_way",
        "models/core/stray.sql",
        "",
        "",
        "stray: core may not read fct_metrics of metrics",
    ),
    Breach(
        "layers_point_one_way",
        "models/core/dim_annotations.sql",
        "{{ ref('stg_kpi_annotations') }}",
        "{{ source('raw', 'kpi_annotations') }}",
        "dim_annotations: reads a source, which staging alone may",
    ),
    Breach(
        "marts_read_no_staging",
        "models/marts/overview/mart_metric_timeline.sql",
        "ref('dim_annotations')",
        "ref('stg_kpi_annotations')",
        "mart_metric_timeline: a mart reads stg_kpi_annotations of staging",
    ),
    Breach(
        "dialect_stays_with_the_warehouses",
        "models/metrics/fct_bricks.sql",
        "select * from stacked",
        "{# target.type in a comment is none #}\nselect *, 1::int as one from stacked",
        "models/metrics/fct_bricks.sql:28: :: belongs into macros/warehouses",
    ),
    Breach(
        "dialect_stays_with_the_warehouses",
        "macros/metrics.sql",
        "",
        "{% macro asked() %}{{ run_query('select 1') }}{{ target.type }}{% endmacro %}\n",
        "macros/metrics.sql:1: run_query belongs into macros/warehouses",
    ),
    Breach(
        "dialect_stays_with_the_warehouses",
        "macros/metrics.sql",
        "",
        "",
        "macros/metrics.sql:1: target.type belongs into macros/warehouses",
    ),
    Breach(
        "dialect_stays_with_the_warehouses",
        "macros/power.sql",
        "",
        "{% macro counted(name) %}{# rows_of('') #}{{ rows_of('select 1')[0] }}{% endmacro %}\n",
        "macros/power.sql:1: counted asks the warehouse by rows_of, not in ASKS",
    ),
    Breach(
        "dialect_stays_with_the_warehouses",
        "models/core/dim_dates.sql",
        "select * from",
        "{% set there = load_relation(ref('stg_feedback')) %}\nselect * from",
        "models/core/dim_dates.sql:99: a model asks the warehouse by load_relation, not in ASKS",
    ),
    Breach(
        "dialect_stays_with_the_warehouses",
        "macros/builds.sql",
        "rows_of(",
        "rows_off(",
        "ASKS names as_of_span, which does not ask the warehouse",
    ),
    Breach(
        "marts_read_values",
        "models/marts/overview/mart_metric_months.sql",
        "ref('fct_metric_values')",
        "ref('fct_metrics')",
        "mart_metric_months: reads sums of fct_metrics, not fct_metric_values",
    ),
    Breach(
        "contract_changes_are_told",
        "models/marts/overview/mart_scorecard.yml",
        "      - name: next_step\n",
        "      - name: what_next\n",
        "mart_scorecard: next_step changed, and no row of CHANGELOG's [Unreleased] names it",
    ),
    Breach(
        "contract_changes_are_told",
        "models/marts/overview/mart_scorecard.yml",
        "",
        "",
        "mart_scorecard: what_next changed, and no row of CHANGELOG's [Unreleased] names it",
    ),
    Breach(
        "contract_changes_are_told",
        "models/marts/overview/mart_metric_timeline.yml",
        "Value of the day; NULL where not ready.\n        data_type: double",
        "Value of the day; NULL where not ready.\n        data_type: bigint",
        "mart_metric_timeline: value changed, and no row of CHANGELOG's [Unreleased] names it",
    ),
    Breach(
        "marts_stand_by_question",
        "dbt_project.yml",
        "+group: drivers",
        "+group: credit",
        "mart_kpi_links: stands in drivers and belongs to group credit",
    ),
    Breach(
        "marts_stand_by_question",
        "models/marts/value/mart_more.sql",
        "",
        "{{ config(contract={'enforced': false}) }}\nselect 1 as one\n",
        "value: holds 7 marts, at most 6 fit a question",
    ),
)


def parsed(project: Project) -> House:
    run = project.dbt(project.root / "workspace", "parse")
    assert run.status == 0, run.output
    return house_rules.read(project.root, manifest=project.root / "target" / "manifest.json")


def copied(root: Path) -> Project:
    """A copy whose macros, tests and change log may be edited too."""
    project = Project.copy(root)
    for name in ("macros", "tests"):
        (root / name).unlink()
        shutil.copytree(ROOT / name, root / name)
    shutil.copy(ROOT / "CHANGELOG.md", root)
    return project


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    return parsed(copied(tmp_path_factory.mktemp("sound") / "project"))


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> House:
    """One copy with every breach in it."""
    project = copied(tmp_path_factory.mktemp("broken") / "project")
    for breach in BREACHES:
        path = project.root / breach.path
        text = path.read_text() if path.exists() else ""
        assert breach.old in text, breach
        path.write_text(text.replace(breach.old, breach.new, 1))
    return parsed(project)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_project_keeps_the_rule(house: House, rule: house_rules.Rule) -> None:
    assert list(rule(house)) == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_rule_finds_what_breaks_it(broken: House, rule: house_rules.Rule) -> None:
    said = {breach.said for breach in BREACHES if breach.rule == rule.__name__}
    assert said
    assert said <= set(rule(broken))


def told_of(house: House) -> list[str]:
    return list(house_rules.contract_changes_are_told(house))


def test_a_contract_change_passes_once_the_change_log_names_it(house: House) -> None:
    grown = {mart: {**columns, "gone": "double"} for mart, columns in house.released.items()}
    silent = House(
        root=house.root, manifest=house.manifest, changelog="## [Unreleased]\n", released=grown
    )
    assert {mart for mart in grown if any(mart in line for line in told_of(silent))} == set(grown)
    rows = "".join(f"| `{mart}` | `gone` left | none |\n" for mart in grown)
    told = House(
        root=house.root,
        manifest=house.manifest,
        changelog=f"## [Unreleased]\n{rows}\n## [0.1.0]\n",
        released=grown,
    )
    assert not any("gone" in line for line in told_of(told))


def test_every_layer_has_a_selector(house: House) -> None:
    selectors = yaml.safe_load((ROOT / "selectors.yml").read_text())["selectors"]
    layers = {path.name for path in (ROOT / "models").iterdir() if path.is_dir()}
    parts_of_a_build = {"before_lift", "after_lift"}
    assert {selector["name"] for selector in selectors} == layers | parts_of_a_build
    assert all(selector["description"] for selector in selectors)
