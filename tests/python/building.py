"""Builds workspaces with dbt in copies of the project: in this process, which reads each once."""

from __future__ import annotations

import gc
import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import coverage
import duckdb
import numpy as np
import pandas as pd
from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.cli.main import dbtRunner
from dbt.contracts.graph.manifest import Manifest
from dbt.contracts.graph.nodes import GenericTestNode, SingularTestNode

from throughline import seeds
from throughline.workspace import Workspace

ROOT = Path(__file__).resolve().parents[2]
# what dbt wrote down of the project, for later copies; by the variables dbt_project.yml asks for
PARSED: dict[tuple[str, str], bytes] = {}
# what it holds of a project in memory, with the state of the files it was read from
MANIFESTS: dict[tuple[Path, str], tuple[Mapping[Path, int], Manifest]] = {}
TESTS: dict[tuple[Path, str, str], tuple[Manifest, list[DataTest]]] = {}
QUIET = {"DBT_SEND_ANONYMOUS_USAGE_STATS": "false", "DBT_LOG_LEVEL_FILE": "none"}
# `make test` runs the unit tests, which know nothing of a workspace
NO_UNIT_TESTS = ("--exclude-resource-type", "unit_test")
WITHOUT_TESTS = (*NO_UNIT_TESTS, "--exclude-resource-type", "test")
# the moment that compiled tests hold until they are run as of another
SOME_MOMENT = "2001-02-03 04:05:06"
# what a row of seeds/experiments.csv says unless a test says otherwise
TRIAL = {
    "hypothesis": "It helps",
    "unit_type": "user",
    "control_variant": "control",
    "expected_split": "control:0.5;treatment:0.5",
    "start_date": "2026-04-06",
    "planned_end_date": "2026-05-04",
    "window_days": "14",
    "covariate_days": "14",
    "method": "fixed",
    "primary_metric": "conversion_rate",
    "minimum_effect": "0.05",
    "minimum_effect_kind": "relative",
    "alpha": "0.05",
    "power": "0.8",
    "owner": "Ann",
    "rationale": "why",
}
LINKED = (
    *("profiles.yml", "selectors.yml", "requirements.txt"),
    *("macros", "seeds", "tests", "analyses"),
)


def seed_row(seed: str, **cells: str) -> str:
    """A line of a seed; what is not named is empty."""
    return ",".join(cells.get(column, "") for column in _specs()[seed].header)


def experiment(name: str, **cells: str) -> str:
    """A line of seeds/experiments.csv."""
    return seed_row("experiments", **TRIAL | {"experiment_id": name} | cells)


@cache
def _specs() -> dict[str, seeds.Seed]:
    return seeds.read_specs(ROOT)


@dataclass(frozen=True)
class Run:
    """How a command ended and what it said; of dbt also the nodes that went well.

    `printed` is what a program of its own process said without errors and notes.
    """

    status: int
    output: str
    well: frozenset[str] = frozenset()
    printed: str = ""


@dataclass(frozen=True)
class DataTest:
    """A test of the project; without SQL where that hangs on the raw files."""

    name: str
    reads: frozenset[str]
    sql: str | None


@dataclass(frozen=True)
class Project:
    """A copy of the project with its own models, target folder and workspaces."""

    root: Path

    @classmethod
    def copy(cls, root: Path) -> Project:
        root.mkdir(parents=True)
        for name in LINKED:
            (root / name).symlink_to(ROOT / name)
        shutil.copy(ROOT / "dbt_project.yml", root)
        shutil.copytree(ROOT / "models", root / "models")
        return cls(root)

    @classmethod
    def without_comments(cls, root: Path) -> Project:
        """A copy that writes no comments of columns, which take a tenth of a build."""
        made = cls.copy(root)
        described = made.root / "dbt_project.yml"
        text = described.read_text()
        assert "+persist_docs: " in text
        described.write_text(re.sub(r" +\+persist_docs: .*\n", "", text))
        return made

    def run(
        self, workspace: Path, program: Sequence[str], *, standard_input: str | None = None
    ) -> Run:
        """Runs a program of this environment on a workspace, in a process of its own."""
        executable = Path(sys.executable).with_name(program[0])
        done = subprocess.run(
            [executable, *program[1:]],
            cwd=self.root,
            env=self.environment(workspace),
            input=standard_input,
            capture_output=True,
            text=True,
            check=False,
        )
        return Run(done.returncode, done.stdout + done.stderr, printed=done.stdout)

    def environment(self, workspace: Path) -> dict[str, str]:
        """The variables of a command on a workspace, and none that were chosen outside."""
        chosen = Workspace(project=self.root, folder=workspace, chosen_by="the test")
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("THROUGHLINE_", "DBT_"))
        }
        return kept | chosen.environment() | QUIET

    def build(self, workspace: Path, *arguments: str) -> Run:
        return self.dbt(workspace, "--no-write-json", "build", *arguments)

    def dbt(self, workspace: Path, *arguments: str, **variables: str) -> Run:
        """Runs dbt on a workspace, in this process."""
        said = io.StringIO()
        environment = self.environment(workspace) | variables
        with alone(self.root, environment), redirect_stdout(said), redirect_stderr(said):
            # where the project cannot be read, dbt says so a second time
            done = dbtRunner(manifest=self._read(environment)).invoke(
                ["--no-use-colors", *arguments]
            )
        results = getattr(done.result, "results", ())
        well = {result.node.unique_id for result in results if result.status in ("success", "pass")}
        status = 0 if done.success else 2 if done.exception else 1
        return Run(status, said.getvalue(), frozenset(well))

    def build_soundly(self, workspace: Path, *arguments: str, as_of: str, **variables: str) -> None:
        """Builds as of a moment, then runs every data test of what was built; all must succeed.

        They are those that `dbt build` runs between the models, in a fifth of its time.
        """
        moment = ("--vars", f"{{as_of: '{as_of}'}}")
        quiet = ("--quiet", "--no-write-json")
        chosen = (*moment, *WITHOUT_TESTS, *arguments)
        run = self.dbt(workspace, *quiet, "build", *chosen, **variables)
        assert run.status == 0, run.output
        tests = [test for test in self._tests(workspace, **variables) if test.reads <= run.well]
        failed = []
        with duckdb.connect(str(workspace / "warehouse.duckdb"), read_only=True) as connection:
            connection.execute("set timezone = 'UTC'")
            for test in tests:
                sql = (test.sql or "select 1 where false").replace(SOME_MOMENT, as_of)
                rows = connection.execute(f"select * from ({sql}) limit 3").fetchall()
                failed += [f"{test.name}: {rows}"] if rows else []
        assert not failed, failed
        names = [test.name for test in tests if test.sql is None]
        if names:
            run = self.dbt(workspace, *quiet, "test", *moment, "--select", *names, **variables)
            assert run.status == 0, run.output

    def _read(self, environment: Mapping[str, str]) -> Manifest | None:
        """What dbt reads of the project, once for each state of its files and folder of seeds.

        Settings hold when a node is compiled, which comes later.
        """
        state = {
            path: path.stat().st_mtime_ns
            for name in ("dbt_project.yml", "models", "macros", "tests")
            for path in [self.root / name, *(self.root / name).rglob("*")]
        }
        key = (self.root, environment["THROUGHLINE_SEEDS"])
        if key not in MANIFESTS or MANIFESTS[key][0] != state:
            before = (environment["THROUGHLINE_WORKSPACE"], environment["THROUGHLINE_SEEDS"])
            parsed = self.root / "target/partial_parse.msgpack"
            if before in PARSED and not parsed.exists():
                parsed.parent.mkdir(exist_ok=True)
                parsed.write_bytes(PARSED[before])
            done = dbtRunner().invoke(["--quiet", "--no-use-colors", "parse"])
            if not isinstance(done.result, Manifest):
                return None
            PARSED.setdefault(before, parsed.read_bytes())
            MANIFESTS[key] = state, done.result
        found = MANIFESTS[key][1]
        # of what the builds before remembered in it, nothing holds for the next
        found.build_flat_graph()
        return found

    def _tests(self, workspace: Path, **variables: str) -> list[DataTest]:
        """The data tests that can fail a build, compiled once for the project and the settings."""
        environment = self.environment(workspace) | variables
        settings = json.loads(environment["THROUGHLINE_VARS"])
        kept = {name: settings[name] for name in sorted(settings.keys() - {"workspace", "as_of"})}
        read = (self.root, environment["THROUGHLINE_SEEDS"])
        key, manifest = (*read, json.dumps(kept)), MANIFESTS[read][1]
        if key in TESTS and TESTS[key][0] is manifest:
            return TESTS[key][1]
        command = ["--quiet", "--no-write-json", "compile", "--vars", f"{{as_of: '{SOME_MOMENT}'}}"]
        of_models = ("--select", "test_type:data", "--exclude", "source:*+1")
        with alone(self.root, environment):
            done = dbtRunner(manifest=self._read(environment)).invoke(
                [*command, *of_models, "--indirect-selection", "empty"]
            )
        assert done.success, done.exception
        results: Any = done.result
        compiled = {result.node.unique_id: result.node.compiled_code for result in results}
        tests = []
        for node in manifest.nodes.values():
            if isinstance(node, GenericTestNode | SingularTestNode):
                judged = node.config.severity.lower(), node.config.fail_calc, node.config.error_if
                if judged == ("warn", "count(*)", "!= 0"):
                    continue
                assert judged == ("error", "count(*)", "!= 0"), node.name
                reads = {name for name in node.depends_on.nodes if not name.startswith("source.")}
                sql = compiled.get(node.unique_id)
                tests.append(DataTest(name=node.name, reads=frozenset(reads), sql=sql))
        TESTS[key] = manifest, tests
        return tests

    def metricflow(self, workspace: Path, queries: list[dict[str, Any]]) -> list[pd.DataFrame]:
        """MetricFlow's answers to queries, each as tests/python/mf_rows.py reads it."""
        script = Path(__file__).with_name("mf_rows.py")
        run = self.run(workspace, ["python", str(script)], standard_input=json.dumps(queries))
        answers = [line for line in run.output.splitlines() if line.startswith("ANSWERS ")]
        assert answers, run.output
        return [pd.DataFrame(rows) for rows in json.loads(answers[0].removeprefix("ANSWERS "))]


@contextmanager
def alone(folder: Path, environment: Mapping[str, str]) -> Iterator[None]:
    """A folder and variables for a dbt in this process; those that were there come back."""
    variables, place = dict(os.environ), Path.cwd()
    # tracing dbt would double its time
    measured = coverage.Coverage.current()
    if measured:
        measured.stop()
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    # what dbt makes lives as long as its run: looking for garbage among it costs an eighth
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        # dbt keeps the warehouse open, and others open it otherwise
        DuckDBConnectionManager.close_all_connections()  # type: ignore[no-untyped-call]
        os.chdir(place)
        os.environ.clear()
        os.environ.update(variables)
        if measured:
            measured.start()


def query(workspace: Path, sql: str) -> pd.DataFrame:
    """Rows of the built warehouse; the schemas are on the search path."""
    with duckdb.connect(str(workspace / "warehouse.duckdb"), read_only=True) as connection:
        connection.execute("set timezone = 'UTC'")
        schemas = connection.sql(
            "select distinct schema_name from duckdb_schemas() where schema_name like 'main_%'"
        )
        names = ",".join(name for (name,) in schemas.fetchall())
        connection.execute(f"set search_path = '{names}'")
        return connection.sql(sql).df()


SUMS = ["numerator", "denominator", "excluded_count"]
CELL = ["metric", "metric_date", "model_id", "model_version", "segment_name", "segment_value"]


def assert_waist_is(workspace: Path, plain: pd.DataFrame) -> None:
    """Holds every sum of fct_metrics against the same cells computed elsewhere, both ways.

    A cell whose sums are all zero is as good as none. Shapes have no sums.
    """
    built = query(workspace, f"select {', '.join(CELL + SUMS)} from fct_metrics where is_additive")
    sides = [
        side[(side[SUMS].fillna(0) != 0).any(axis=1)].astype({"metric_date": "datetime64[us]"})
        for side in (plain, built)
    ]
    both = sides[0].merge(
        sides[1], on=CELL, how="outer", suffixes=("_plain", "_built"), indicator=True
    )
    assert set(both["_merge"]) <= {"both"}, both[both["_merge"] != "both"].head(20).to_string()
    for column in SUMS:
        one, other = both[f"{column}_plain"], both[f"{column}_built"]
        is_close = np.isclose(one, other, rtol=1e-9, atol=1e-9, equal_nan=True)
        assert is_close.all(), both[~is_close].head(20).to_string()
