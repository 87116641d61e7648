"""Fixtures: a copy of the project that costs nothing, and a small sound workspace."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest

from building import Project

ROOT = Path(__file__).resolve().parents[2]
# the demo as `make test` has just built it; the tests of it make their own where nothing is named
BUILT_DEMO = os.environ.get("BUILT_DEMO")
SHARED = (
    "dbt_project.yml",
    "profiles.yml",
    "selectors.yml",
    "requirements.txt",
    "models",
    "macros",
    "seeds",
    "tests",
    "analyses",
)


# A worker runs whole files, for their tests share what they build: those that take long go first.
LONG = (
    "contract",
    "host_commands",
    "incremental",
    "targets",
    "histories",
    "operate",
    "marts",
    "metrics",
    "demo",
    "real_logs",
    "settings",
    "deliveries",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.stem.removeprefix("test_") not in LONG)


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No choice made outside reaches a test."""
    for name in list(os.environ):
        if name.startswith(("THROUGHLINE_", "DBT_")):
            monkeypatch.delenv(name)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of its own, by links to the real one; the current folder, without a workspace."""
    root = tmp_path / "project"
    root.mkdir()
    for name in SHARED:
        (root / name).symlink_to(ROOT / name)
    monkeypatch.chdir(root)
    return root


@pytest.fixture(scope="session")
def demo_project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy of the project whose workspace is the built demo; who edits it restores it."""
    project = Project.copy(tmp_path_factory.mktemp("demo") / "project")
    workspace = project.root / "workspace"
    if BUILT_DEMO:
        shutil.copytree(ROOT / BUILT_DEMO, workspace)
    else:
        size = re.search(r"DEMO := (.+)", (ROOT / "Makefile").read_text(encoding="utf-8"))
        assert size
        for command in (["simulate", *size[1].split(), "--out", "workspace"], ["build"]):
            run = project.run(workspace, ["throughline", *command])
            assert run.status == 0, run.output
    # writes target/, which MetricFlow reads
    run = project.dbt(workspace, "parse")
    assert run.status == 0, run.output
    return project


@pytest.fixture(scope="session")
def demo(demo_project: Project) -> Path:
    """The workspace of the built demo."""
    return demo_project.root / "workspace"


@dataclass(frozen=True)
class Company:
    """A workspace that tests break in one place; it delivers the three core tables and costs."""

    project: Path
    folder: Path

    def seed(self, name: str, *rows: str) -> Path:
        """Replaces the rows of a seed and keeps its header."""
        path = self.folder / "seeds" / f"{name}.csv"
        header = path.read_text(encoding="utf-8").splitlines()[0]
        path.write_text("\n".join([header, *rows, ""]), encoding="utf-8")
        return path

    def settings(self, text: str) -> None:
        (self.folder / "vars.yml").write_text(text, encoding="utf-8")

    def raw(self, table: str, *lines: str) -> Path:
        """Replaces the files of a raw table by one CSV; the first line is its header."""
        folder = self.folder / "raw" / table
        for path in folder.iterdir():
            path.unlink()
        path = folder / "rows.csv"
        path.write_text("\n".join([*lines, ""]), encoding="utf-8")
        return path

    def parquet(self, table: str, query: str, name: str = "rows.parquet") -> Path:
        """Adds a Parquet file made by a query to a raw table."""
        path = self.folder / "raw" / table / name
        with duckdb.connect() as connection:
            connection.execute(f"copy ({query}) to '{path}' (format parquet)")
        return path

    def bytes(self) -> dict[str, bytes]:
        """Every file of the workspace but the warehouse, by relative path."""
        return {
            path.relative_to(self.folder).as_posix(): path.read_bytes()
            for path in sorted(self.folder.rglob("*"))
            if path.is_file() and path.suffix != ".duckdb"
        }


INPUTS = (
    "inputs: [prediction_logs, usage_events, business_outcomes, serving_costs]\n"
    "as_of: 2025-04-01 00:00:00\n"
)
REGISTRY = (
    "lead,Lead scoring,CRM,binary,growth,Rank leads,converted,true,gain,revenue,"
    "0.5,14,2,true,,,,,,,,ann,why",
)
SEED_ROWS: Mapping[str, Sequence[str]] = {
    "model_registry": REGISTRY,
    "unit_values": (
        "lead,tp,10,0.1,USD,2025-01-01,,ann,why",
        "lead,fp,-2,0,EUR,2025-01-01,2025-06-01,ann,why",
        "lead,fp,-3,0,EUR,2025-06-01,,ann,why",
    ),
    "exchange_rates": (
        "USD,1,2025-01-01,,ann,why",
        "EUR,1.1,2025-01-01,,ann,why",
    ),
    "metric_targets": ("precision,*,*,*,0.5,0.4,,,,,,,,2025-01-01,,ann,why",),
}
RAW: Mapping[str, Sequence[str]] = {
    "prediction_logs": (
        "prediction_id,model_id,model_version,predicted_at,entity_id,score,loaded_at",
        "p1,lead,v1,2025-03-01 10:00:00,e1,0.9,2025-03-01 11:00:00",
        "p2,lead,v1,2025-03-02 10:00:00,e2,0.2,2025-03-02 11:00:00",
    ),
    "usage_events": (
        "event_id,event_name,occurred_at,user_id,model_id,loaded_at",
        "u1,accepted,2025-03-01 12:00:00,ann,lead,2025-03-01 13:00:00",
    ),
    "business_outcomes": (
        "outcome_id,outcome_name,entity_id,outcome_label,outcome_value,currency,occurred_at,"
        "observed_at,loaded_at",
        "o1,converted,e1,true,,,2025-03-05 10:00:00,2025-03-05 10:00:00,2025-03-05 11:00:00",
        "o2,revenue,e1,,120.5,EUR,2025-03-05 10:00:00,2025-03-05 10:00:00,2025-03-05 11:00:00",
    ),
    "serving_costs": (
        "cost_id,model_id,period_start,period_end,cost_type,amount,currency,loaded_at",
        "c1,lead,2025-03-01 00:00:00,2025-04-01 00:00:00,compute,9.5,USD,2025-04-01 00:00:00",
    ),
}


@pytest.fixture
def company(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Company]:
    """A workspace in the project in which the doctor finds nothing.

    At the end each CSV file that the test has left is counted by a second reader.
    """
    from throughline import seeds, workspace

    headers = {name: spec.header for name, spec in seeds.read_specs(project).items()}
    folder = project / "company"
    workspace.create(folder, project=project, headers=headers)
    made = Company(project=project, folder=folder)
    made.settings(INPUTS)
    for name, rows in SEED_ROWS.items():
        made.seed(name, *rows)
    for table, lines in RAW.items():
        made.raw(table, *lines)
    yield made
    monkeypatch.undo()
    assert lost_records(folder / "raw") == []


def lost_records(raw: Path) -> list[str]:
    """CSV files of which DuckDB reads other records than Python, though both can read them."""
    from throughline import inputs, records

    lost = []
    with duckdb.connect() as connection:
        for path in sorted(raw.rglob("*")):
            if re.search(r"\.[ct]sv(\.gz|\.zst)?$", path.name, re.IGNORECASE) and path.is_file():
                reader = inputs.csv_reader(str(path), ending=path.name.lower())
                found = records.difference(connection, path, reader)
                if found and not records.is_empty(path) and not records.fault(path):
                    lost.append(f"{found.at(path.name)}: {found.what}")
    return lost


@dataclass(frozen=True)
class Outcome:
    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.err.splitlines()

    @property
    def report(self) -> dict[str, object]:
        loaded: dict[str, object] = json.loads(self.out)
        return loaded


@pytest.fixture
def throughline(capfd: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Runs the command line in this process and catches what it and its children print."""
    from throughline import cli

    def call(*arguments: str) -> Outcome:
        status = 0
        try:
            cli.main(arguments)
        except SystemExit as ended:
            status = int(ended.code or 0)
        captured = capfd.readouterr()
        return Outcome(status, captured.out, captured.err)

    return call


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, so that nothing is left beside the sources."""
    source, made = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(
        ROOT / "scripts", source / "scripts", ignore=shutil.ignore_patterns("*.egg-info", "*.pyc")
    )
    build = ("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", made, source)
    subprocess.run([sys.executable, "-m", "pip", "-q", *build], check=True)
    (found,) = made.glob("*.whl")
    return found


@pytest.fixture(scope="session")
def program(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program in an environment that holds the wheel; what it needs lies in the present one."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    python = folder / "bin/python"
    into = ("--python", python, "install", "--no-deps", wheel)
    subprocess.run([sys.executable, "-m", "pip", "-q", *into], check=True)
    packages = next((folder / "lib").glob("*/site-packages"))
    (packages / "needed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin/throughline"
