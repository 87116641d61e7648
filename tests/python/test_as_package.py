"""Relations of ours are found by our name, in whatever project they stand."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from building import Project

# one model for each way in which macros look something up: sources, saved queries, metrics, models
LOOKED_UP = ("chk_feedback", "mart_what_does_it_cost", "fct_metrics", "int_touched_keys")
COMPILE = ("compile", "--no-introspect", "--select", *LOOKED_UP)
HOST = """\
name: host
version: 0.1.0
profile: throughline
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
    run(own, "deps", folder=root)
    return root


def run(own: Project, *arguments: str, folder: Path) -> str:
    """Runs dbt in a folder with the settings of our workspace."""
    done = subprocess.run(
        [Path(sys.executable).with_name("dbt"), "--no-use-colors", *arguments],
        cwd=folder,
        env=own.environment(own.root / "workspace"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_a_project_that_installs_us_compiles_the_same_sql(own: Project, host: Path) -> None:
    found = []
    for folder in (own.root, host):
        run(own, *COMPILE, folder=folder)
        compiled = (folder / "target/compiled/throughline/models").rglob("*.sql")
        found.append({path.stem: path.read_text() for path in compiled if path.stem in LOOKED_UP})
    assert found[0].keys() == set(LOOKED_UP)
    assert found[1] == found[0]
