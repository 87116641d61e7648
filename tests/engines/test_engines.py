"""The same workspace gives the same relations on every engine."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import duckdb
import pytest
import sqlglot
from sqlglot import exp

import awkward
import engines
import late
import parity
from engines import ROOT, Engine
from throughline import boards, cli, dbt_process, publish, simulate, warehouse
from throughline.exports import osi
from throughline.findings import UserError
from throughline.workspace import Workspace

SCRATCH = ROOT / ".build/engines"
READERS: dict[str, Callable[..., str]] = {
    "postgres": engines.read_postgres,
    "spark": engines.read_spark,
}
STARTERS = {"postgres": engines.postgres, "spark": engines.spark}


@pytest.fixture(scope="session", params=["postgres", "spark"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    folder = SCRATCH / request.param
    shutil.rmtree(folder, ignore_errors=True)
    with required(), STARTERS[request.param](folder) as started:
        yield started


@contextmanager
def required() -> Iterator[None]:
    """Where an engine is missing: a skip that says so, in CI a failure."""
    try:
        yield
    except engines.MissingEngineError as error:
        if os.environ.get("CI") or os.environ.get("THROUGHLINE_REQUIRE_ENGINES"):
            pytest.fail(str(error))
        pytest.skip(str(error))


@functools.cache
def built(case: str) -> Workspace:
    """A workspace built on DuckDB, once for all engines."""
    folder = SCRATCH / case
    shutil.rmtree(folder, ignore_errors=True)
    if case == "demo":
        simulate.simulate(out=folder, predictions=20_000, days=120, seed=7)
    else:
        awkward.make(folder)
    made = engines.chosen(folder)
    on_duckdb(made, "dbt", "build", *NO_TESTS)
    on_duckdb(made, "throughline", "lift")
    on_duckdb(made, "dbt", "build", "--selector", "after_lift", *NO_TESTS)
    return made


def on_duckdb(made: Workspace, program: str, *arguments: str) -> None:
    reference = Engine("duckdb", {}, SCRATCH / "duckdb")
    # A process of its own: DuckDB holds the file for as long as its process lives.
    done = subprocess.run(
        [dbt_process.program(program), *arguments],
        cwd=ROOT,
        env=reference.environment(made),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


NO_UNIT_TESTS = ("--exclude-resource-type", "unit_test")
NO_TESTS = ("--exclude-resource-type", "test", *NO_UNIT_TESTS)


# Spark meets a simulated company in the builds on top of one another
@pytest.mark.parametrize(
    ("engine", "case"),
    [
        pytest.param("postgres", "demo", marks=pytest.mark.thorough),
        ("postgres", "awkward"),
        ("spark", "awkward"),
    ],
    indirect=["engine"],
)
def test_every_relation_equals_that_of_duckdb(engine: Engine, case: str) -> None:
    workspace = built(case)
    first = engines.bring(engine, workspace)
    assert all(rows is not None for rows in first.values())
    assert all(rows is None for rows in engines.bring(engine, workspace).values())
    # The unit tests do not depend on the workspace; data tests take Spark long, and run with the
    # second delivery.
    form = NO_TESTS if engine.name == "spark" else NO_UNIT_TESTS if case == "awkward" else ()
    engines.dbt(engine, workspace, "build", *form)
    engines.lift(engine, workspace)
    read = functools.partial(READERS[engine.name], engine)
    assert list(parity.differences(workspace.warehouse, read)) == []
    if case == "awkward":
        assert_variance_is_exact(workspace, read)
        assert_boards_read_what_the_server_holds(engine, workspace)
    if engine.name == "postgres":
        assert_the_planner_knows_every_table(engine)


def assert_boards_read_what_the_server_holds(engine: Engine, workspace: Workspace) -> None:
    """In a file of DuckDB, which is taken while they are drawn."""
    scratch = engine.folder / "boards"
    scratch.mkdir()
    with (
        dbt_process.within(engine.environment(workspace)),
        boards.project(workspace, boards.FORMS[:1], scratch) as (_, planned),
    ):
        assert {board.kind for board in planned} == {*boards.KEYS, "overview", "alerts"}
    with duckdb.connect(str(scratch / workspace.published.name)) as taken:
        taken.execute(f"export database '{scratch / 'marts'}' (format parquet)")
    files = {file.stem.removeprefix("main_marts_"): file for file in scratch.rglob("*.parquet")}
    assert {"mart_models", "mart_metric_timeline", "mart_drift"} <= set(files)

    def read(schema: str, name: str, _: dict[str, str]) -> str:
        return f"read_parquet('{files[name]}')" if name in files else f"warehouse.{schema}.{name}"

    assert list(parity.differences(workspace.warehouse, read)) == []


MARTS = ("mart_one", "mart_two")
STAND_IN = """
    create schema taken_metrics; create schema taken_marts;
    create table taken_metrics.build_starts (relation_name text);
    create table taken_marts.mart_one as select 1 as number, 'a' as word, cast(null as date) as day;
    create table taken_marts.mart_two as select 2 as number, 'b' as word, date '2026-07-01' as day;
"""
REPLACE = """
    insert into taken_metrics.build_starts values ('fct_metrics');
    create table taken_marts.fresh as select 7 as number, 'new' as word, current_date as day;
    alter table taken_marts.mart_two rename to old;
    alter table taken_marts.fresh rename to mart_two;
    drop table taken_marts.old;
"""


@pytest.fixture
def stand_in(engine: Engine, tmp_path: Path) -> Iterator[tuple[Workspace, Callable[[str], None]]]:
    """A workspace whose server holds two marts, and what runs statements there beside it."""

    def beside(statements: str) -> None:
        with engines.connect(engine, user="owner") as owner, owner.cursor() as cursor:
            cursor.execute("set lock_timeout = '100ms'")
            cursor.execute(statements)

    (tmp_path / "company").mkdir()
    chosen = dataclasses.replace(engines.chosen(tmp_path / "company"), schema="taken")
    beside(STAND_IN)
    try:
        with dbt_process.within({**engine.environment(chosen), "THROUGHLINE_SCHEMA": "taken"}):
            yield chosen, beside
    finally:
        beside("drop schema taken_metrics cascade; drop schema taken_marts cascade")


def before_the_second_mart(monkeypatch: pytest.MonkeyPatch, act: Callable[[], None]) -> None:
    """Something that happens while marts of a server are taken."""
    write_csv = warehouse.Warehouse.write_csv

    def beside(server: Any, layer: str, name: str, file: Path, *, null: str) -> dict[str, str]:
        if name == MARTS[1]:
            act()
        return write_csv(server, layer, name, file, null=null)

    monkeypatch.setattr(warehouse.Warehouse, "write_csv", beside)


@pytest.mark.parametrize("engine", ["postgres"], indirect=True)
def test_no_mart_is_replaced_while_a_server_is_read(
    stand_in: tuple[Workspace, Callable[[str], None]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A name leads to the table that has it now, in which an older snapshot sees no rows."""
    import psycopg2

    workspace, beside = stand_in
    waited = []

    def replace() -> None:
        try:
            beside(REPLACE)
        except psycopg2.errors.LockNotAvailable:
            waited.append(True)

    before_the_second_mart(monkeypatch, replace)
    publish.take(workspace, marts=MARTS, file=tmp_path / "taken.duckdb")
    with duckdb.connect(str(tmp_path / "taken.duckdb")) as taken:
        rows = "select number, word, cast(day as varchar) from taken_marts.{}"
        assert taken.execute(rows.format("mart_one")).fetchall() == [(1, "a", None)]
        assert taken.execute(rows.format("mart_two")).fetchall() == [(2, "b", "2026-07-01")]
    assert waited
    assert sorted(path.name for path in tmp_path.iterdir()) == ["company", "taken.duckdb"]
    # marts are built after what forgets that a build has begun
    with (
        warehouse.sole_writer(workspace),
        pytest.raises(UserError, match=r"taken_\* are in use by owner \(throughline, process"),
    ):
        publish.take(workspace, marts=MARTS, file=tmp_path / "again.duckdb")
    beside(REPLACE)
    with pytest.raises(UserError, match="a build was begun and not finished"):
        publish.take(workspace, marts=MARTS, file=tmp_path / "again.duckdb")


@pytest.mark.parametrize("engine", ["postgres"], indirect=True)
def test_what_keeps_a_server_from_being_read_is_one_line(
    stand_in: tuple[Workspace, Callable[[str], None]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    workspace, beside = stand_in

    def told() -> str:
        with pytest.raises(UserError) as raised:
            publish.take(workspace, marts=MARTS, file=tmp_path / "taken.duckdb")
        (finding,) = raised.value.findings
        return str(finding)

    beside(
        "create role of_marts login; grant select on all tables in schema taken_marts to of_marts"
    )
    try:
        monkeypatch.setenv("PGUSER", "of_marts")
        assert told().startswith(
            "target postgres: build_starts is not built, or this role may not read it. "
        )
        beside("grant select on taken_metrics.build_starts to of_marts")
        assert told().startswith(
            "target postgres: cannot be read: permission denied for schema taken_metrics. "
        )
        monkeypatch.setenv("PGUSER", "owner")
        end = (
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'dbt'"
        )
        before_the_second_mart(monkeypatch, lambda: beside(end))
        lost = "(terminating connection|server closed the connection) .+"
        assert re.fullmatch(f"target postgres: cannot be read: {lost}", told())
    finally:
        beside("drop owned by of_marts; drop role of_marts")


def assert_the_planner_knows_every_table(engine: Engine) -> None:
    """Joins of a million rows were planned as if the tables just made were empty."""
    with engines.connect(engine, user="owner") as owner, owner.cursor() as cursor:
        cursor.execute(
            "select relname from pg_class inner join pg_namespace n on n.oid = relnamespace "
            "where relkind = 'r' and nspname ~ '^main_' and nspname <> 'main_config' "
            "and reltuples < 0 and relname not in ('build_starts', 'deliveries')"
        )
        assert cursor.fetchall() == []


def assert_variance_is_exact(workspace: Workspace, read: parity.Reader) -> None:
    """The variance of amounts about 1e8, from moments, against fractions of the amounts."""
    texts = ("experiment_id", "metric", "segment_name", "totals", "variant")
    types = {
        "n_units": "BIGINT",
        "s_y": "DOUBLE",
        "s_yy": "DOUBLE",
        **dict.fromkeys(texts, "VARCHAR"),
    }
    with duckdb.connect() as connection:
        connection.execute(f"attach '{workspace.warehouse}' as ours (read_only)")
        source = read("main_lift", "fct_moments", types)
        moments = connection.execute(
            f"select variant, n_units, s_y, s_yy from {source} where experiment_id = 'large' "
            "and metric = 'credited_revenue' and segment_name = 'all' and totals = 'raw' "
            "order by variant"
        ).fetchall()
        amounts = connection.execute(
            "select variant, list(credited_amount) from ours.main_core.fct_outcomes "
            "inner join ours.main_core.fct_assignments on entity_id = unit_id "
            "group by variant order by variant"
        ).fetchall()
    assert [variant for variant, *_ in moments] == ["a", "b", "stray"]
    for (_, n, total, squares), (_, values) in zip(moments[:2], amounts[:2], strict=True):
        assert n == len(values)
        fractions = [Fraction(value) for value in values]
        mean = sum(fractions) / n
        exact = sum((value - mean) ** 2 for value in fractions) / (n - 1)
        assert (squares - total**2 / n) / (n - 1) == pytest.approx(float(exact), rel=1e-9)


# the last goes back in time
MOMENTS = ("2026-06-10 12:00:00", "2026-06-25 00:00:00", "2026-06-24 06:00:00")


def test_a_second_delivery_gives_what_it_gives_on_duckdb(engine: Engine) -> None:
    """With late rows and copies of earlier ones."""
    grown(engine, moments=MOMENTS[:2])


@pytest.mark.thorough
def test_builds_on_top_of_others_equal_those_of_duckdb(engine: Engine) -> None:
    """Three deliveries, then a replay beside the marts in force."""
    made = grown(engine, moments=MOMENTS)
    read = functools.partial(READERS[engine.name], engine)
    if engine.name == "postgres":
        late.mend(made.folder)
        deliver(engine, made, moment=MOMENTS[-1])
    replayed = made.replaying(MOMENTS[0])
    on_duckdb(replayed, "dbt", "build", *NO_TESTS)
    engines.dbt(engine, replayed, "build", *NO_TESTS)
    assert list(parity.differences(made.warehouse, read, schema=replayed.schema)) == []
    assert list(parity.differences(made.warehouse, read)) == []


def grown(engine: Engine, *, moments: Sequence[str]) -> Workspace:
    """A company built after each of its deliveries, on DuckDB and on the engine."""
    folder = SCRATCH / f"late_{engine.name}"
    shutil.rmtree(folder, ignore_errors=True)
    simulate.simulate(out=folder, predictions=3_000, days=60, seed=7)
    made = engines.chosen(folder)
    for moment, arrive in zip(moments, late.part(folder, moments=moments), strict=True):
        arrive()
        deliver(engine, made, moment=moment, is_first=moment == moments[0])
        if engine.name == "spark" and moment != moments[-1] and moment != moments[0]:
            remake_in_part(engine, made)
    return made


def deliver(engine: Engine, made: Workspace, *, moment: str, is_first: bool = False) -> None:
    """Builds what has arrived; what stands on top of other builds with every data test."""
    as_of = ("--vars", f"{{as_of: '{moment}'}}")
    # what the tests before have left is another company's
    form = (*NO_TESTS, "--full-refresh") if is_first else NO_UNIT_TESTS
    on_duckdb(made, "dbt", "build", *NO_TESTS, *as_of)
    engines.bring(engine, made)
    engines.dbt(engine, made, "build", *form, *as_of)
    read = functools.partial(READERS[engine.name], engine)
    assert list(parity.differences(made.warehouse, read)) == [], moment


def remake_in_part(engine: Engine, made: Workspace) -> None:
    """Leaves a fact as a build does that is killed while it fills it, for the next to fill.

    A part of the project leaves the ledger as the last whole build wrote it.
    """
    from pyspark.sql import SparkSession

    session = SparkSession.builder.getOrCreate()
    seen = session.table("main_metrics.int_build_ledger").count()
    parts = ("dim_dates", "fct_decisions", "int_build_ledger")
    engines.dbt(engine, made, "run", "--full-refresh", "--select", *parts)
    assert session.table("main_metrics.int_build_ledger").count() == seen > 0
    session.sql("truncate table main_core.fct_decisions")


@pytest.mark.thorough
@pytest.mark.parametrize("place", ["cluster", "connect"])
def test_every_relation_equals_that_of_duckdb_where_spark_is_elsewhere(place: str) -> None:
    with required():
        engines.find_spark()
    workspace = built("awkward")
    folder = SCRATCH / place
    shutil.rmtree(folder, ignore_errors=True)
    program = Path(__file__).with_name("elsewhere.py")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", program, place, folder, workspace.folder],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.thorough
def test_a_spark_that_was_killed_while_it_wrote_a_table_writes_it_again() -> None:
    """With a catalog on disk. Spark refuses a name whose folder it finds without a table."""
    folder = SCRATCH / "killed"
    shutil.rmtree(folder, ignore_errors=True)
    awkward.make(folder / "company")
    with required(), engines.spark(folder) as engine:
        workspace = engines.chosen(folder / "company")
        environment = engine.environment(workspace) | {"THROUGHLINE_SPARK_CATALOG": "hive"}
    written = Path(engine.variables["THROUGHLINE_SPARK_WAREHOUSE"]) / "main_metrics.db/dim_metrics"
    run = [dbt_process.program("dbt"), "run", "--select", "dim_metrics"]
    with (folder / "log").open("w") as log:
        start = functools.partial(
            subprocess.Popen, cwd=ROOT, env=environment, stdout=log, stderr=log, text=True
        )
        with start([dbt_process.program("throughline"), "load"]) as loading:
            pass
        with start(run, start_new_session=True) as killed:
            while killed.poll() is None and not any(written.glob("*")):
                time.sleep(0.001)
            os.killpg(killed.pid, signal.SIGKILL)
        with start(run) as again:
            pass
    codes = [process.returncode for process in (loading, killed, again)]
    assert codes == [0, -signal.SIGKILL, 0], (folder / "log").read_text()


@pytest.mark.parametrize("engine", ["postgres"], indirect=True)
def test_a_reader_reads_the_marts_and_nothing_else(engine: Engine) -> None:
    """Also where names must be quoted."""
    import psycopg2

    workspace = built("awkward")
    engines.bring(engine, workspace)
    with engines.connect(engine, user="owner") as owner, owner.cursor() as cursor:
        cursor.execute('create role "BI_Team" login')
    variables = {"THROUGHLINE_READER": "BI_Team", "THROUGHLINE_SCHEMA": "Sales-EU"}
    reading = dataclasses.replace(engine, variables={**engine.variables, **variables})
    engines.dbt(reading, workspace, "build", *NO_TESTS)
    engines.lift(reading, workspace)
    with dbt_process.within(reading.environment(workspace)):
        relations = {"mart_experiment_decisions": "marts"}
        assert warehouse.read(workspace, relations)["mart_experiment_decisions"]
    with engines.connect(engine, user="BI_Team") as reader, reader.cursor() as cursor:
        cursor.execute('select count(*) from "Sales-EU_marts".mart_scorecard')
        assert cursor.fetchone()[0] > 0
        for relation in (
            '"Sales-EU_metrics".fct_metrics',
            '"Sales-EU_core".dim_models',
            "raw.prediction_logs",
        ):
            cursor.execute("savepoint before")
            with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                cursor.execute(f"select 1 from {relation}")
            cursor.execute("rollback to before")
    assert_reflected(reading, as_role="BI_Team", schema="Sales-EU_marts")
    with dbt_process.within(reading.environment(workspace)):
        assert_runs(reading, json.loads(osi.export(workspace)))


def assert_reflected(engine: Engine, *, as_role: str, schema: str) -> None:
    """A BI tool that asks the server what there is finds the marts, their columns and comments."""
    import sqlalchemy

    place = {name: engine.variables[f"PG{name}"] for name in ("HOST", "PORT", "DATABASE")}
    url = sqlalchemy.URL.create(
        "postgresql+psycopg2",
        username=as_role,
        host=place["HOST"],
        port=int(place["PORT"]),
        database=place["DATABASE"],
    )
    reader = sqlalchemy.create_engine(url, poolclass=sqlalchemy.pool.NullPool)
    found = sqlalchemy.inspect(reader)
    with engines.connect(engine, user="owner") as owner, owner.cursor() as cursor:
        cursor.execute("select tablename from pg_tables where schemaname = %s", [schema])
        tables = {name for (name,) in cursor.fetchall()}
        cursor.execute(f'select value from "{schema}".mart_scorecard')
        values = Counter(value for (value,) in cursor.fetchall())
    assert "mart_scorecard" in tables
    assert set(found.get_table_names(schema=schema)) == tables
    card = sqlalchemy.Table(
        "mart_scorecard", sqlalchemy.MetaData(), schema=schema, autoload_with=reader
    )
    kinds = {column.name: str(column.type) for column in card.columns}
    assert {name: kinds[name] for name in ("label", "value", "unit_count", "due")} == {
        "label": "TEXT",
        "value": "DOUBLE PRECISION",
        "unit_count": "BIGINT",
        "due": "DATE",
    }
    assert all(column.comment for column in card.columns)
    with reader.connect() as connection:
        rows = connection.execute(sqlalchemy.select(card.columns["value"])).scalars().all()
    assert Counter(rows) == values
    assert any(value is not None for value in rows)


def assert_runs(engine: Engine, document: dict[str, Any]) -> None:
    """Each sum of the exported metrics over its dataset, and shares that are no whole numbers."""
    (model,) = document["semantic_model"]
    sources = {dataset["name"]: dataset["source"] for dataset in model["datasets"]}
    found: dict[str, float | None] = {}
    with engines.connect(engine, user="owner") as owner, owner.cursor() as cursor:
        for metric in model["metrics"]:
            (said,) = metric["expression"]["dialects"]
            tree = sqlglot.parse_one(f"({said['expression']})", dialect="postgres")
            for total in list(tree.find_all(exp.AggFunc)):
                (home,) = {column.table for column in total.find_all(exp.Column)}
                total.replace(exp.var(f"(select {total.sql()} from {sources[home]} as {home})"))
            cursor.execute(f"select {tree.sql(dialect='postgres')}")
            (found[metric["name"]],) = cursor.fetchone()
    assert 0 < (found["conversion_rate"] or 0) < 1
    assert len(found) > 100


@pytest.mark.parametrize("engine", ["postgres"], indirect=True)
def test_a_second_writer_is_told_who_the_first_is(
    engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace = built("awkward")

    def call(*arguments: str, schema: str = "main") -> tuple[bool, str]:
        variables = {**engine.environment(workspace), "THROUGHLINE_SCHEMA": schema}
        with dbt_process.within(variables), pytest.raises(SystemExit) as ended:
            cli.main(arguments)
        return not ended.value.code, capsys.readouterr().err

    with dbt_process.within(engine.environment(workspace)), warehouse.sole_writer(workspace):
        for command in ("build", "load", "lift"):
            succeeded, said = call(command)
            assert not succeeded
            assert re.fullmatch(
                r"error target postgres: schemas main_\* are in use by owner \(throughline, "
                rf"process {os.getpid()} on .+; server process \d+\) since [\d-]+ [\d:]+ UTC\. "
                r"Wait until it ends, or end it there\.",
                said.splitlines()[-1],
            )
        assert call("load", schema="other") == (True, "")
    assert call("load") == (True, "")


@pytest.mark.parametrize("engine", ["postgres"], indirect=True)
def test_a_load_takes_what_changed_and_leaves_what_is_in_force_where_it_fails(
    engine: Engine, tmp_path: Path
) -> None:
    awkward.make(tmp_path / "company")
    workspace = engines.chosen(tmp_path / "company")
    engines.bring(engine, workspace)

    feedback = workspace.folder / "raw/feedback/rows.csv"
    header = "response_id,survey_type,asked_at,model_id,loaded_at"
    feedback.write_text(f"{header}\nr1,nps,2024-03-01 00:00:00,bin,2024-03-01 00:00:00\n")
    changed = {name: rows for name, rows in engines.bring(engine, workspace).items() if rows}
    assert changed == {"feedback": 1}

    # Postgres has no text with this character.
    with duckdb.connect() as connection:
        connection.execute(
            f"copy (select chr(0) as response_id, 'nps' as survey_type, timestamp '2024-03-01' as "
            f"asked_at, 'bin' as model_id, timestamp '2024-03-01' as loaded_at) "
            f"to '{feedback.with_name('more.parquet')}'"
        )
    with pytest.raises(UserError, match=r"raw\.feedback cannot be loaded: invalid byte sequence"):
        engines.bring(engine, workspace)
    with engines.connect(engine, user="owner") as owner, owner.cursor() as cursor:
        cursor.execute("select response_id from raw.feedback")
        assert cursor.fetchall() == [("r1",)]

        cursor.execute("drop table raw.feedback; create table raw.feedback (mine text)")
        owner.commit()
        with pytest.raises(UserError, match=r"raw\.feedback: was not made by throughline load"):
            engines.bring(engine, workspace)
        cursor.execute("drop table raw.feedback")


@pytest.mark.parametrize("engine", ["postgres"], indirect=True)
def test_a_workspace_moves_as_the_recipe_says(engine: Engine) -> None:
    page = (ROOT / "docs/operate.md").read_text(encoding="utf-8")
    (commands,) = re.findall(
        r"^```sh\n(export THROUGHLINE_TARGET=postgres.*?)^```$", page, re.DOTALL | re.MULTILINE
    )
    for named, here in (("PGHOST=db", "PGHOST"), ("PGDATABASE=analytics", "PGDATABASE")):
        assert named in commands
        commands = commands.replace(named, f"{here}={engine.variables[here]}")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euc", commands.replace("throughline build", "throughline build --no-tests")],
        cwd=ROOT,
        env=engine.environment(built("awkward")) | {"PATH": path, "THROUGHLINE_SCHEMA": "moved"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    with engines.connect(engine, user="owner") as owner, owner.cursor() as cursor:
        cursor.execute("select count(*) from moved_marts.mart_scorecard")
        assert cursor.fetchone() > (0,)


def test_a_difference_is_told(tmp_path: Path) -> None:
    warehouse = tmp_path / "warehouse.duckdb"
    with duckdb.connect(str(warehouse)) as connection:
        for layer in parity.LAYERS:
            connection.execute(f"create schema main_{layer}; create table main_{layer}.t as {SAME}")
    assert list(parity.differences(warehouse, lambda *_: f"({NEAR})")) == []
    for other, told in OTHERS.items():
        found = list(parity.differences(warehouse, lambda *_, other=other: f"({other})"))
        assert len(found) == len(parity.LAYERS)
        assert told in found[0]


SAME = "select 'a' as id, 1.0::double as number, 2 as count union all select 'b', null, 3"
NEAR = SAME.replace("1.0::", "1.0000000001::")
OTHERS = {
    SAME.replace("1.0::", "1.00000001::"): "number is 1.0 here",
    SAME.replace("null", "0"): "number is None here",
    SAME.replace("3", "4"): "count is 3 here, 4 there",
    f"{SAME} union all select 'c', 1, 1": "(2,) rows here, (3,) there",
    SAME.replace("as id", "as key"): "columns ['id', 'key']",
}
