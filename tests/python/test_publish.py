"""The copy for readers: what it holds, how it is swapped in, and when it is left as it was."""

from __future__ import annotations

import functools
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest
from rich.console import Console

from building import Project, query
from conftest import Company, Outcome
from throughline import build, publish, scorecard
from throughline.findings import Finding, UserError
from throughline.workspace import Workspace

Call = Callable[..., Outcome]

# holds a file open in a process of its own and answers each line of its input with a query's rows
READER = """
import sys, duckdb
with duckdb.connect(sys.argv[1], read_only=sys.argv[2] == "reads") as connection:
    print("open", flush=True)
    for line in sys.stdin:
        print(connection.execute(line).fetchall(), flush=True)
"""
KILLED = """
import os, signal, sys
from pathlib import Path
from throughline import publish
from throughline.workspace import Workspace
publish.{step} = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
publish.publish(Workspace(project=Path(sys.argv[1]), folder=Path(sys.argv[2]), chosen_by=""))
"""


@pytest.fixture
def built(demo_project: Project, tmp_path: Path) -> Workspace:
    """A workspace with the warehouse of the built demo and what its build published."""
    folder = tmp_path / "company"
    shutil.copytree(demo_project.root / "workspace/published", folder / "published")
    shutil.copy(demo_project.root / "workspace/warehouse.duckdb", folder)
    made = Workspace(project=demo_project.root, folder=folder, chosen_by="the test")
    # tests of others may have built parts of the demo since
    change(made, "truncate main_metrics.build_starts")
    return made


@contextmanager
def held(path: Path, how: str) -> Iterator[Callable[[str], str]]:
    """Another process that has a file open; gives what asks it."""
    with subprocess.Popen(
        [sys.executable, "-c", READER, str(path), how],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin
        assert process.stdout
        assert process.stdout.readline() == "open\n"

        def ask(query: str) -> str:
            assert process.stdin
            assert process.stdout
            print(query, file=process.stdin, flush=True)
            return process.stdout.readline().strip()

        yield ask
        process.stdin.close()


def change(built: Workspace, statement: str) -> None:
    with duckdb.connect(str(built.warehouse)) as connection:
        connection.execute(statement)


def rows(path: Path, query: str) -> list[Any]:
    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.execute(query).fetchall()


def files(built: Workspace) -> list[str]:
    return sorted(path.name for path in built.published.parent.iterdir())


def refusal(built: Workspace) -> str:
    with pytest.raises(UserError) as refused:
        publish.publish(built)
    return str(refused.value)


MOVE_AS_OF = (
    "update main_metrics.int_build_ledger set entry_value = '2026-07-02 00:00:00' "
    "where entry_kind = 'as_of'"
)
COUNT = "select count(*) > 100 from main_marts.mart_scorecard"
AS_OF = "select cast(as_of as varchar) from publication"


def test_a_build_publishes_the_public_models_and_nothing_else(
    built: Workspace, demo_project: Project
) -> None:
    nodes = json.loads((demo_project.root / "target/manifest.json").read_text())["nodes"].values()
    models = [node for node in nodes if node["resource_type"] == "model"]
    public = {(node["schema"], node["name"]) for node in models if node["access"] == "public"}
    marts = {(node["schema"], node["name"]) for node in models if node["fqn"][1] == "marts"}
    held_too = {
        ("main_core", "dim_models"),
        ("main_core", "dim_dates"),
        ("main_metrics", "dim_metrics"),
        ("main_lift", "fct_lift_decisions"),
    }
    assert marts | held_too <= public
    found = rows(built.published, "select schema_name, table_name from duckdb_tables()")
    assert set(found) == public | {("main", "publication")}
    assert rows(built.published, "select view_name from duckdb_views() where not internal") == []


def test_nothing_of_single_events_or_persons_is_published(built: Workspace) -> None:
    of_one = {"prediction_id", "user_id", "entity_id", "unit_id", "outcome_id", "event_id"}
    kept_back = of_one | {"response_id", "comment", "raw_row"}
    names = "select distinct column_name from duckdb_columns() where not internal"
    for place, held_too in ((built.warehouse, kept_back), (built.published, set())):
        assert kept_back & {name for (name,) in rows(place, names)} == held_too
    layers = rows(built.published, "select distinct schema_name from duckdb_tables()")
    assert {layer.removeprefix("main_") for (layer,) in layers} == {
        *("marts", "metrics", "core", "lift", "alerts", "main")
    }


def test_no_private_segment_of_an_experiment_is_published(demo: Path) -> None:
    private = query(demo, "from int_private_segments")
    assert len(private)
    keys = ["experiment_id", "segment_name", "segment_value"]
    with duckdb.connect(str(demo / "published/throughline.duckdb"), read_only=True) as copy:
        tables = copy.sql(
            "select table_schema || '.' || table_name from information_schema.columns "
            f"where column_name in {tuple(keys)} group by 1 having count(*) = 3"
        ).fetchall()
        shown = {name: copy.sql(f"from {name}").df() for (name,) in tables}
    assert len(shown) == 2
    for rows in shown.values():
        hidden = rows.merge(private[[*keys, "as_of"]], on=[*keys, "as_of"])
        assert len(hidden)
        # a margin is what the plan says
        numbers = hidden.select_dtypes("number").drop(columns="margin", errors="ignore")
        assert numbers.isna().all(axis=None)


def test_the_copy_has_the_rows_and_comments_of_the_warehouse(built: Workspace) -> None:
    publish.publish(built)
    tables = "duckdb_tables() where schema_name <> 'main' and database_name = 'copy'"
    columns = (
        "select schema_name, table_name, column_name, data_type, comment from duckdb_columns() "
        "where database_name = '{}' and (schema_name, table_name) in "
        f"(select (schema_name, table_name) from {tables}) order by all"
    )
    with duckdb.connect() as connection:
        connection.execute(f"attach '{built.warehouse}' as built (read_only)")
        connection.execute(f"attach '{built.published}' as copy (read_only)")
        found = connection.execute(f"select schema_name, table_name, comment from {tables}")
        for schema, table, comment in found.fetchall():
            name = f"{schema}.{table}"
            for one, other in (("built", "copy"), ("copy", "built")):
                difference = f"from {one}.{name} except all from {other}.{name}"
                assert connection.execute(difference).fetchall() == [], name
            assert comment.startswith("One row per "), name
        copied = connection.execute(columns.format("copy")).fetchall()
        assert copied == connection.execute(columns.format("built")).fetchall()
        assert len(copied) > 200
        assert all(comment for *_, comment in copied)
        about = connection.execute(
            "select comment from duckdb_columns() "
            "where database_name = 'copy' and table_name = 'publication'"
        ).fetchall()
        assert about
        assert all(comment for (comment,) in about)


def test_the_copy_says_which_moment_it_speaks_of(built: Workspace) -> None:
    assert rows(built.published, AS_OF) == [("2026-07-01 00:00:00",)]
    change(built, MOVE_AS_OF)
    publish.publish(built)
    assert rows(built.published, AS_OF) == [("2026-07-02 00:00:00",)]


def test_old_clients_can_open_the_copy(built: Workspace) -> None:
    # the number of the storage format, which DuckDB 1.0 wrote
    assert int.from_bytes(built.published.read_bytes()[12:20], "little") == 64


@pytest.mark.slow
@pytest.mark.parametrize(
    "is_built", [False, pytest.param(True, marks=pytest.mark.thorough)], ids=["published", "built"]
)
def test_a_reader_reads_on_through_three_builds_and_a_killed_one(
    demo_project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_built: bool
) -> None:
    """The killed one is a build; of those that end well the quicker test publishes alone."""
    folder = tmp_path / "company"
    shutil.copytree(demo_project.root / "workspace", folder)
    shutil.copytree(demo_project.root / "target", tmp_path / "target")
    monkeypatch.setenv("DBT_TARGET_PATH", str(tmp_path / "target"))
    built = Workspace(project=demo_project.root, folder=folder, chosen_by="the test")
    command = [Path(sys.executable).with_name("throughline"), "build", "--no-tests", "--verbose"]
    environment = demo_project.environment(folder) | {"DBT_TARGET_PATH": str(tmp_path / "target")}
    start = functools.partial(
        subprocess.Popen,
        command,
        cwd=demo_project.root,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )

    def is_there(day: str) -> None:
        """Another day is built and published, and whoever opens the file then sees it whole."""
        if is_built:
            settings = (folder / "vars.yml").read_text(encoding="utf-8")
            changed = re.sub("as_of: .+", f'as_of: "{day} 00:00:00"', settings)
            (folder / "vars.yml").write_text(changed, encoding="utf-8")
            with start() as process:
                said, _ = process.communicate()
            assert process.returncode == 0, said
        else:
            change(built, MOVE_AS_OF.replace("2026-07-02", day))
            change(built, "truncate main_metrics.build_starts")
            made = publish.publish(built)
            assert (made.path, made.size) == (built.published, built.published.stat().st_size)
        assert files(built) == ["throughline.duckdb"]
        sees(day)

    def sees(day: str) -> None:
        with held(built.published, "reads") as ask_anew:
            assert ask_anew(AS_OF) == f"[('{day} 00:00:00',)]"
            assert ask_anew(COUNT) == "[(True,)]"

    with held(built.published, "reads") as ask:
        for day in ("2026-07-02", "2026-07-03"):
            is_there(day)
            assert ask(AS_OF) == "[('2026-07-01 00:00:00',)]"
        with start() as dying:
            assert dying.stdout
            for line in dying.stdout:
                if "START sql table model" in line:
                    os.killpg(dying.pid, signal.SIGKILL)
                    break
        assert dying.returncode == -signal.SIGKILL
        assert "a build was begun and not finished" in refusal(built)
        sees("2026-07-03")
        is_there("2026-07-04")
        assert ask(AS_OF) == "[('2026-07-01 00:00:00',)]"
        assert ask(COUNT) == "[(True,)]"


@pytest.mark.parametrize("step", ["_copy", "_describe", "swap_in"])
def test_a_killed_publication_leaves_the_last_good_copy(built: Workspace, step: str) -> None:
    before = built.published.read_bytes()
    change(built, MOVE_AS_OF)
    command = [sys.executable, "-c", KILLED.format(step=step)]
    killed = subprocess.run([*command, str(built.project), str(built.folder)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert ".throughline.duckdb.new" in files(built)
    assert built.published.read_bytes() == before
    publish.publish(built)
    assert files(built) == ["throughline.duckdb"]
    assert rows(built.published, AS_OF) == [("2026-07-02 00:00:00",)]


def test_a_publication_that_fails_leaves_the_last_good_copy(built: Workspace) -> None:
    before = built.published.read_bytes()
    change(built, "drop table main_marts.mart_value_ledger")
    assert refusal(built) == (
        f"{built.relative}/warehouse.duckdb: cannot be published: Table with name "
        "mart_value_ledger does not exist. Build the whole: throughline build"
    )
    assert built.published.read_bytes() == before
    assert files(built) == ["throughline.duckdb"]


def test_what_a_client_wrote_is_not_replayed_into_the_next_copy(built: Workspace) -> None:
    left = built.published.with_name("throughline.duckdb.wal")
    left.write_bytes(b"of another file")
    publish.publish(built)
    assert files(built) == ["throughline.duckdb"]


def test_tables_of_several_builds_are_not_published(built: Workspace) -> None:
    before = built.published.read_bytes()
    change(built, "insert into main_metrics.build_starts values ('fct_decisions', 'x', now(), 'y')")
    assert refusal(built) == (
        f"{built.relative}: a build was begun and not finished, or only a part was built. "
        "Build the whole: throughline build"
    )
    assert built.published.read_bytes() == before


def test_a_workspace_without_a_build_is_one_line(built: Workspace) -> None:
    built.warehouse.unlink()
    where = f"{built.relative}/warehouse.duckdb"
    assert refusal(built) == f"{where}: nothing is built yet. throughline build"


def test_a_project_that_dbt_never_read_is_one_line(
    built: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DBT_TARGET_PATH", "elsewhere")
    assert refusal(built) == (
        "elsewhere/manifest.json: dbt has not written down which models are public. "
        "Let it: throughline build"
    )


def test_who_reads_the_warehouse_does_not_stop_publishing(built: Workspace) -> None:
    change(built, MOVE_AS_OF)
    with held(built.warehouse, "reads"):
        publish.publish(built)
    assert rows(built.published, AS_OF) == [("2026-07-02 00:00:00",)]


def test_who_may_write_the_warehouse_is_named(built: Workspace) -> None:
    with held(built.warehouse, "writes"):
        line = refusal(built)
    assert line.startswith(f"{built.relative}/warehouse.duckdb: in use by python")
    assert line.endswith("). Close it and run throughline publish.")


def test_one_command_publishes_at_a_time(built: Workspace) -> None:
    with publish._alone(built):
        assert refusal(built) == (
            f"{built.relative}/published: another command publishes. Wait until it ends."
        )
    publish.publish(built)


def test_a_folder_that_cannot_be_made_is_one_line(built: Workspace) -> None:
    shutil.rmtree(built.published.parent)
    built.published.parent.write_text("a file")
    assert "cannot be written: File exists" in refusal(built)


@pytest.fixture
def told(
    company: Company, throughline: Call, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., list[str]]:
    """Runs a command with a dbt that does nothing; gives the workspaces it published."""
    throughline("use", "company")
    published: list[str] = []

    def noted(found: Workspace, **_: object) -> publish.Publication:
        published.append(found.relative)
        return publish.Publication(path=found.published, relations=3, size=2_500_000, seconds=1.25)

    monkeypatch.setattr(scorecard, "show", lambda *_, **__: None)
    monkeypatch.setattr(publish, "publish", noted)

    def run(*arguments: str, faults: tuple[Finding, ...] = ()) -> list[str]:
        published.clear()
        monkeypatch.setattr(build, "run", lambda *_, **__: faults)
        ended = throughline(*arguments)
        assert ended.status == (1 if faults else 0), ended.err
        assert ("publish: 3 tables, 2.5 MB, 1.2 s\n" in ended.out) == bool(published)
        return [*published]

    return run


def test_whole_builds_of_today_publish(told: Callable[..., list[str]]) -> None:
    assert told("build") == ["company"]
    assert told("build", "--full-refresh", "--no-tests") == ["company"]
    assert told("publish") == ["company"]


def test_parts_replays_and_failed_builds_do_not_publish(told: Callable[..., list[str]]) -> None:
    assert told("build", "--no-publish") == []
    assert told("build", "--as-of", "2025-03-15") == []
    assert told("build", "--", "--select", "mart_scorecard") == []
    assert told("build", "--", "--vars", "{as_of: '2025-03-15'}") == []
    assert told("build", faults=(Finding("error", "failed", "model x", ""),)) == []


def test_readers_of_other_warehouses_read_their_marts(
    company: Company, throughline: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    throughline("use", "company")
    monkeypatch.setenv("THROUGHLINE_TARGET", "postgres")
    monkeypatch.setenv("THROUGHLINE_SCHEMA", "dev")
    assert throughline("publish").out == (
        "Nothing to publish: readers read schema dev_marts of target postgres.\n"
    )
    assert not (company.folder / "published").exists()


def test_the_scorecard_of_a_build_comes_from_the_copy(built: Workspace) -> None:
    change(built, "drop table main_marts.mart_scorecard")
    said = io.StringIO()
    console = Console(file=said, width=200)
    scorecard.show(built, console=console, is_built=True, file=built.published)
    place = f"{built.relative}/published/throughline.duckdb"
    assert f"Marts     {place}, schema main_marts\n" in said.getvalue()
    assert f"stg_rejected_rows in {built.relative}/warehouse.duckdb\n" in said.getvalue()
    assert "Conversion rate" in said.getvalue()
