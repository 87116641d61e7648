"""What dbt 2 makes of the project: it hands over no metrics, and builds up to the facts."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence

import duckdb
import pytest

from building import ROOT, Project, Run

HOME = ROOT / ".build/dbt2"
# a unit test of an incremental model wants that to stand; rules of seeds ask for metrics
TO_CORE = (
    *("build", "--indirect-selection", "buildable", "--exclude-resource-type", "unit_test"),
    *("--exclude", "tag:rule", "test_name:known_metrics"),
    *("--select", "+path:models/staging", "+path:models/core"),
)
# what a build writes down of itself
OF_THE_BUILD = ("int_touched_", "stg_arrivals")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy of the project with one company in two workspaces, not built."""
    made = Project.copy(tmp_path_factory.mktemp("dbt2") / "project")
    size = ("--predictions", "6000", "--days", "90", "--seed", "7")
    run = made.run(made.root / "mine", ["throughline", "simulate", *size, "--out", "mine"])
    assert run.status == 0, run.output
    shutil.copytree(made.root / "mine", made.root / "theirs")
    return made


def dbt2(project: Project, workspace: str, arguments: Sequence[str]) -> Run:
    """Runs dbt 2 with a target folder of its own, since it reads another's state."""
    drivers = str(HOME / "drivers")
    variables = {
        "ADBC_DRIVER_PATH": drivers,
        "LD_LIBRARY_PATH": drivers,
        "DBT_LOG_LEVEL_FILE": "off",
    }
    done = subprocess.run(
        [HOME / "bin/dbt", *arguments, "--target-path", project.root / "target2"],
        cwd=project.root,
        env=project.environment(project.root / workspace) | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    return Run(done.returncode, done.stdout + done.stderr)


def test_it_reads_the_project(project: Project) -> None:
    run = dbt2(project, "mine", ["parse"])
    assert run.status == 0, run.output
    said = re.findall(r"\[(?:warning|error)\][^\n]*", run.output)
    # it would have metrics written in another form, which breaks packages in the dbt of today
    assert ["SemanticModelDeprecated" in line for line in said] == [True]


def test_it_makes_no_empty_waist(project: Project) -> None:
    run = dbt2(project, "mine", ["build"])
    assert run.status != 0
    (said,) = re.findall(r"\[error\][^\n]*: (dbt [^\n]*)\n", run.output)
    assert "hands over no metrics" in said
    assert "Build with dbt 1.12" in said
    with duckdb.connect(str(project.root / "mine/warehouse.duckdb")) as warehouse:
        made = warehouse.sql("select table_name from duckdb_tables()").fetchall()
    assert ("fct_bricks",) not in made


def test_it_builds_the_same_facts(project: Project) -> None:
    run = dbt2(project, "mine", TO_CORE)
    assert run.status == 0, run.output
    run = project.dbt(project.root / "theirs", *TO_CORE)
    assert run.status == 0, run.output
    tables = "from duckdb_tables() where schema_name in ('main_core', 'main_staging')"
    with duckdb.connect(str(project.root / "mine/warehouse.duckdb")) as warehouse:
        warehouse.execute(f"attach '{project.root / 'theirs/warehouse.duckdb'}' as theirs")
        names = [
            f"{schema}.{name}"
            for schema, name in warehouse.sql(
                f"select schema_name, table_name {tables} and database_name = 'warehouse'"
            ).fetchall()
            if not name.startswith(OF_THE_BUILD)
        ]
        assert {"main_core.fct_decisions", "main_core.fct_usage"} <= set(names)
        differing = [name for name in names if differs(warehouse, name)]
    assert differing == []


def differs(warehouse: duckdb.DuckDBPyConnection, name: str) -> bool:
    """Whether two builds gave a table other rows, but for the order of sums of doubles."""
    columns = ", ".join(
        f'round("{column}", 6)' if kind == "DOUBLE" else f'"{column}"'
        for column, kind, *_ in warehouse.sql(f"describe {name}").fetchall()
    )
    ours, theirs = f"select {columns} from {name}", f"select {columns} from theirs.{name}"
    return bool(
        warehouse.sql(
            f"({ours} except all {theirs}) union all ({theirs} except all {ours})"
        ).fetchall()
    )
