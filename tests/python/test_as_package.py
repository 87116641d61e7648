"""Relations of ours are found by our name, in whatever project they stand."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from building import ROOT, Project

# one model for each way in which macros look something up: sources, saved queries, metrics, models
LOOKED_UP = ("chk_feedback", "mart_metric_months", "fct_metrics", "int_touched_keys")
COMPILE = ("compile", "--no-introspect", "--select", *LOOKED_UP)
HOST = """\
name: host
version: 0.1.0
profile: throughline
"""

# a measure and a metric of the names of our bricks
SALES = """\
semantic_models:
  - name: sales
    model: ref('sales')
    defaults: {agg_time_dimension: sold_at}
    entities: [{name: sale, type: primary, expr: sale_id}]
    dimensions: [{name: sold_at, type: time, type_params: {time_granularity: day}}]
    measures: [{name: decisions, agg: sum, expr: n, create_metric: true}]
metrics:
  - name: revenue
    label: Revenue
    type: simple
    type_params: {measure: decisions}
"""


@pytest.fixture
def own(tmp_path: Path) -> Project:
    project = Project.copy(tmp_path / "own")
    (project.root / "workspace").mkdir()
    (project.root / "workspace/vars.yml").write_text("as_of: 2026-07-01 00:00:00\n")
    return project


@pytest.fixture
def host(own: Project, tmp_path: Path) -> Path:
    """A project of another name that installs ours."""
    root = tmp_path / "host"
    (root / "workspace").mkdir(parents=True)
    (root / "dbt_project.yml").write_text(HOST)
    (root / "packages.yml").write_text(f"packages: [local: {own.root}]\n")
    shutil.copy(own.root / "profiles.yml", root)
    (root / "models").mkdir()
    (root / "models/sales.sql").write_text("select 1 as sale_id, current_date as sold_at, 1 as n")
    (root / "models/sales.yml").write_text(SALES)
    run(own, "deps", folder=root)
    return root


def run(own: Project, *arguments: str, folder: Path, status: int = 0) -> str:
    """Runs dbt in a folder with the settings of our workspace."""
    done = subprocess.run(
        [Path(sys.executable).with_name("dbt"), "--no-use-colors", *arguments],
        cwd=folder,
        env=own.environment(own.root / "workspace"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, done.stdout
    return done.stdout


def test_a_project_that_installs_us_compiles_the_same_sql(own: Project, host: Path) -> None:
    found = []
    for folder in (own.root, host):
        run(own, *COMPILE, folder=folder)
        compiled = (folder / "target/compiled/throughline/models").rglob("*.sql")
        found.append({path.stem: path.read_text() for path in compiled if path.stem in LOOKED_UP})
    assert found[0].keys() == set(LOOKED_UP)
    assert found[1] == found[0]


def test_a_governed_metric_of_the_same_name_is_named(own: Project, host: Path) -> None:
    """As the README has it."""
    metrics = host / "models/sales.yml"
    metrics.write_text(metrics.read_text().replace("- name: revenue", "- name: precision"))
    said = run(own, "parse", folder=host, status=2)
    told = (
        "Can't use name `precision` for a SemanticManifestNodeType.METRIC when it was already used"
    )
    assert told in said
    assert told in " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
