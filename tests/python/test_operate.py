"""Every command of docs/operate.md runs, in its order, on a company of its own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import duckdb
import pytest
import yaml

from building import ROOT
from throughline.simulate import simulate

PAGE = ROOT / "docs/operate.md"
TEXT = PAGE.read_text(encoding="utf-8")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
BLOCKS = FENCE.findall(TEXT)
AS_ANN = ("-c", "user.name=Ann", "-c", "user.email=ann@example.com")
# tests/engines runs its commands
ON_POSTGRES = "THROUGHLINE_TARGET=postgres"


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of the project beside a folder of older files, whose workspace is not built."""
    home = tmp_path_factory.mktemp("operate")
    origin, here = home / "origin", home / "throughline"
    names = git(ROOT, "ls-files", "-z").split("\0")
    for name in filter(lambda name: (ROOT / name).is_file(), names):
        (origin / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, origin / name)
    git(origin, "init", "--quiet", "--initial-branch", "main")
    git(origin, "add", ".")
    git(origin, *AS_ANN, "commit", "-qm", "One")
    git(home, "clone", "--quiet", str(origin), str(here))
    # the environment of these tests, which make finds to be newer than what it was made from
    assert (Path(sys.prefix) / ".installed").exists()
    (here / ".venv").symlink_to(Path(sys.prefix))
    for name in ("requirements.txt", "pyproject.toml", "scripts/setup_venv"):
        os.utime(here / name, (0, 0))
    simulate(out=here / "my_company", predictions=2_000, days=60, seed=7)
    if not (here / "my_company/seeds").exists():
        shutil.copytree(ROOT / "seeds", here / "my_company/seeds")
    (home / "backfill").mkdir()
    (here / "my_company/raw/prediction_logs/fraud_detection.parquet").rename(
        home / "backfill/fraud_detection.parquet"
    )
    return here


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=folder, check=True, capture_output=True, text=True
    ).stdout


def run(clone: Path, commands: str) -> str:
    """Runs commands as a shell in the clone would, with nothing chosen outside."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands],
        cwd=clone,
        env={"PATH": path, "HOME": os.environ["HOME"], "DBT_SEND_ANONYMOUS_USAGE_STATS": "false"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{commands}\n{done.stdout[-4000:]}\n{done.stderr[-2000:]}"
    return done.stdout


def test_links_resolve() -> None:
    for text, link in re.findall(r"\[([^\]]+)\]\(([^)]+)\)", TEXT):
        path, _, anchor = link.partition("#")
        if "://" in path:
            place = urlsplit(path)
            assert place.scheme == "https", path
            assert re.fullmatch(r"([a-z0-9-]+\.)+[a-z]+", place.netloc), path
            assert "example" not in place.netloc, path
            continue
        page = (PAGE.parent / path).resolve() if path else PAGE
        headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
        anchors = {re.sub(r"[^\w -]", "", name.lower()).replace(" ", "-") for name in headings}
        assert not anchor or anchor in anchors, text


@pytest.mark.thorough
def test_every_command_runs(clone: Path) -> None:
    left = [commands for _, commands in BLOCKS]

    def follow(heading: str, place: int = 0, *, later: bool = False) -> str:
        """Runs a block of a section; `later`, without what cron's build does as well."""
        section = re.split(rf"^#+ {heading}$", TEXT, flags=re.MULTILINE)[1]
        kind, commands = FENCE.findall(re.split(r"^#+ ", section, flags=re.MULTILINE)[0])[place]
        left.remove(commands)
        if kind == "cron":
            commands = re.sub(r"^(\S+ +){5}", "", commands).replace("/srv/throughline", str(clone))
        if kind == "yaml":
            (job,) = yaml.safe_load(commands)["jobs"].values()
            commands = "\n".join(step["run"] for step in job["steps"] if "run" in step)
        if later:
            assert commands.endswith("\nthroughline build\n")
            commands = re.sub(r"^throughline (doctor|build)\n", "", commands, flags=re.MULTILINE)
        return run(clone, commands.replace("throughline build", "throughline build --no-tests"))

    def rows(query: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(clone / "my_company/warehouse.duckdb"), read_only=True) as file:
            return file.sql(query).fetchall()

    run(clone, "throughline use my_company && throughline doctor")
    follow("GitHub Actions")
    assert (clone / "my_company/published/throughline.duckdb").exists()

    follow("Slim CI")
    scorecard = clone / "models/marts/overview/mart_scorecard.sql"
    metrics = clone / "models/metrics/_metrics.yml"
    scorecard.write_text(scorecard.read_text() + "-- changed\n")
    changed = metrics.read_text().replace("brick_positive_decisions", "brick_decisions", 1)
    metrics.write_text(changed)
    follow("Slim CI", 1)
    tables = "select table_name from duckdb_tables() where starts_with(schema_name, 'pr_7_')"
    made = {name for (name,) in rows(tables)}
    # what is compiled from metrics was not looked at
    assert "mart_scorecard" in made
    assert made.isdisjoint({"fct_metrics", "dim_metrics", "mart_metric_timeline"})
    git(clone, "checkout", "models")
    follow("Slim CI", 2)
    assert rows(tables) == []

    assert "precision" in follow("Replay").lower()

    decisions = "select count(*) from main_core.fct_decisions"
    measured = "from main_marts.mart_metric_catalog where metric = 'nps'"
    before = rows(decisions)
    assert rows(measured)
    (clone.parent / "origin/CHANGELOG.md").write_text("A new release")
    git(clone.parent / "origin", *AS_ANN, "commit", "-qam", "Two")
    for heading in ("Backfill", "Add a model", "Retire a metric", "Upgrade"):
        follow(heading, later=True)
    follow("cron")
    assert rows(decisions) > before
    assert rows("from main_core.dim_models where model_id = 'churn_risk'")
    assert rows(measured) == []
    assert (clone / "CHANGELOG.md").read_text() == "A new release"
    assert [ON_POSTGRES in commands for commands in left] == [True]
