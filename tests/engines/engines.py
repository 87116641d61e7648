"""The engines: how each is started, what a command needs to reach it, and how its rows are read."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from throughline import dbt_process, load, workspace
from throughline.workspace import Workspace

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent


NOTHING: Mapping[str, str] = {}


class MissingEngineError(Exception):
    """The engine cannot be started on this machine."""


@dataclass(frozen=True)
class Engine:
    """A running engine; `variables` lead every command to it, `folder` is its own to write in."""

    name: str
    variables: Mapping[str, str]
    folder: Path

    def environment(self, chosen: Workspace) -> dict[str, str]:
        places = {
            "DBT_TARGET_PATH": str(self.folder / "target"),
            "DBT_LOG_PATH": str(self.folder / "logs"),
            "PYTHONWARNINGS": "ignore",
        }
        return {
            **dbt_process.environment(chosen),
            "THROUGHLINE_TARGET": self.name,
            **places,
            **self.variables,
        }


def dbt(engine: Engine, chosen: Workspace, *arguments: str) -> dict[str, float]:
    """Runs dbt in this process, so that the session of Spark lives on; asserts that it succeeds.

    Returns how many seconds each node took, by its name.
    """
    from dbt.cli.main import dbtRunner

    with dbt_process.within(engine.environment(chosen)):
        answer = dbtRunner().invoke(["--quiet", "--no-use-colors", *arguments])
    results = getattr(answer.result, "results", ())
    failed = [
        f"{result.node.name}: {result.message}"
        for result in results
        if result.status in ("error", "fail")
    ]
    assert answer.success, "\n".join(failed) or answer.exception
    return {result.node.name: result.execution_time for result in results}


def lift(engine: Engine, chosen: Workspace) -> None:
    """Computes lift on the engine, and builds what is made from it."""
    from throughline.lift import run

    with dbt_process.within(engine.environment(chosen)):
        assert run.refresh(chosen) is not None
    dbt(engine, chosen, "build", "--selector", "after_lift", "--exclude-resource-type", "test")


def bring(engine: Engine, chosen: Workspace) -> dict[str, int | None]:
    """Loads the raw tables: rows by table, None where the files had not changed."""
    with dbt_process.within(engine.environment(chosen)):
        return {loaded.table: loaded.rows for loaded in load.load(chosen)}


def chosen(folder: Path) -> Workspace:
    return workspace.at(folder, project=ROOT, chosen_by="the test")


# Postgres


@contextmanager
def postgres(folder: Path) -> Iterator[Engine]:
    """A server of its own, on a free port, as a user who is not root."""
    binaries = _postgres_binaries()
    is_root = os.getuid() == 0
    # sockets have short names, and another user cannot reach every folder
    place = Path(tempfile.mkdtemp(prefix="throughline-"))
    data = place / "data"
    if is_root:
        shutil.chown(place, "nobody", "nogroup")
    port = _free_port()
    options = (
        f"-p {port} -k {place} -c listen_addresses=127.0.0.1 -c fsync=off"
        " -c full_page_writes=off -c timezone=Europe/Zurich"
    )

    def run(program: str, *arguments: str) -> None:
        with (place / "commands.log").open("a") as log:
            subprocess.run(
                [binaries / program, *arguments],
                check=True,
                stdout=log,
                stderr=log,
                cwd=place,
                user="nobody" if is_root else None,
                group="nogroup" if is_root else None,
                extra_groups=[] if is_root else None,
            )

    (place / "commands.log").touch()
    run(
        "initdb",
        "-D",
        str(data),
        "-U",
        "owner",
        "-A",
        "trust",
        "-E",
        "UTF8",
        "--locale=C.UTF-8",
        "-N",
    )
    run("pg_ctl", "-D", str(data), "-w", "-l", str(place / "server.log"), "-o", options, "start")
    try:
        variables = {
            "PGHOST": "127.0.0.1",
            "PGPORT": str(port),
            "PGUSER": "owner",
            "PGDATABASE": "postgres",
        }
        yield Engine("postgres", variables, folder / "dbt")
    finally:
        run("pg_ctl", "-D", str(data), "-m", "immediate", "stop")
        shutil.rmtree(place)


def _postgres_binaries() -> Path:
    """The newest installed server: PATH, Debian's place, or the package pgserver."""
    on_path = shutil.which("initdb")
    if on_path:
        return Path(on_path).parent
    debian = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3])
    )
    if debian:
        return debian[-1].parent
    try:
        import pgserver
    except ImportError:
        raise MissingEngineError("no Postgres server: install postgresql-15 or pgserver") from None
    return Path(pgserver.__file__).parent / "pginstall/bin"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def connect(engine: Engine, *, user: str) -> Any:
    """A connection of psycopg2, as another client than dbt has it."""
    import psycopg2

    host, port = engine.variables["PGHOST"], engine.variables["PGPORT"]
    return psycopg2.connect(host=host, port=port, user=user, dbname="postgres")


def read_postgres(engine: Engine, schema: str, name: str, types: Mapping[str, str]) -> str:
    path = engine.folder / f"{schema}.{name}.csv"
    with connect(engine, user="owner") as connection, connection.cursor() as cursor:
        query = f"select * from {schema}.{name}"
        with path.open("wb") as file:
            command = f"copy ({query}) to stdout (format csv, header, null '\\N')"
            cursor.copy_expert(command, file)
    header = path.read_text(encoding="utf-8").splitlines()[0].split(",")
    columns = ", ".join(f"'{column}': '{types.get(column, 'VARCHAR')}'" for column in header)
    options = (
        "header = true, nullstr = '\\N', allow_quoted_nulls = false, auto_detect = false,"
        " delim = ',', quote = '\"', escape = '\"', new_line = '\\n'"
    )
    return f"read_csv('{path}', columns = {{{columns}}}, {options})"


# Spark


@contextmanager
def spark(folder: Path, *, settings: Mapping[str, str] = NOTHING) -> Iterator[Engine]:
    """A session in this process, its catalog in memory, its tables as Parquet files in `folder`.

    `settings` go before those of spark-defaults.conf. A process has one kind of session for life.
    """
    variables = _spark_variables(folder, settings)
    yield Engine("spark", variables, folder / "dbt")
    from pyspark.sql import SparkSession

    session = SparkSession.getActiveSession()
    if session:
        session.stop()


def spark_cluster(
    folder: Path, *, settings: Mapping[str, str] = NOTHING
) -> AbstractContextManager[Engine]:
    """The same with two executors of one core and 1 GB, which are processes of their own."""
    return spark(folder, settings={"spark.master": "local-cluster[2,1,1024]", **settings})


@contextmanager
def spark_connect(folder: Path) -> Iterator[Engine]:
    """A server of Spark Connect, on a free port; this process is a client without Java."""
    port = _free_port()
    variables = _spark_variables(
        folder,
        {
            "spark.sql.catalogImplementation": "in-memory",
            "spark.sql.warehouse.dir": str(folder / "tables"),
            "spark.sql.constraintPropagation.enabled": "false",
            "spark.connect.grpc.binding.address": "127.0.0.1",
            "spark.connect.grpc.binding.port": str(port),
        },
    )
    submit = find_spark() / "bin/spark-submit"
    log = folder / "server.log"
    with (
        log.open("w") as output,
        subprocess.Popen(
            [
                *(submit, "--class", "org.apache.spark.sql.connect.service.SparkConnectServer"),
                "spark-internal",
            ],
            env={**os.environ, **variables},
            stdout=output,
            stderr=output,
        ) as server,
    ):
        try:
            _await(server, port, log)
            address = f"sc://127.0.0.1:{port}"
            yield Engine("spark", {**variables, "SPARK_REMOTE": address}, folder / "dbt")
            from pyspark.sql import SparkSession

            # else the client, at its end, asks for a server that is gone
            SparkSession.builder.remote(address).getOrCreate().stop()
        finally:
            server.terminate()


def find_spark() -> Path:
    """The folder of Spark; raises MissingEngineError without it or without Java."""
    try:
        import pyspark
    except ImportError:
        raise MissingEngineError("no pyspark: install tests/engines/requirements.txt") from None
    if not shutil.which("java"):
        raise MissingEngineError("no Java: Spark needs 17 or later")
    return Path(pyspark.__file__).parent


def _spark_variables(folder: Path, settings: Mapping[str, str]) -> dict[str, str]:
    find_spark()
    conf = folder / "conf"
    conf.mkdir(parents=True)
    text = (HERE / "spark-defaults.conf").read_text(encoding="utf-8")
    # of a setting that stands twice the last one holds
    text += "".join(f"{name} {value}\n" for name, value in settings.items())
    (conf / "spark-defaults.conf").write_text(text, encoding="utf-8")
    return {
        "SPARK_CONF_DIR": str(conf),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "THROUGHLINE_SPARK_CATALOG": "in-memory",
        "THROUGHLINE_SPARK_WAREHOUSE": str(folder / "tables"),
    }


def _await(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Returns when the server listens; raises AssertionError with its log after two minutes."""
    end = time.monotonic() + 120
    while server.poll() is None and time.monotonic() < end:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.5)
    raise AssertionError(f"Spark Connect did not start: {log.read_text()[-2000:]}")


def read_spark(engine: Engine, schema: str, name: str, types: Mapping[str, str]) -> str:
    folder = Path(engine.variables["THROUGHLINE_SPARK_WAREHOUSE"]) / f"{schema}.db" / name
    if not folder.exists():
        folder = engine.folder / "views" / f"{schema}.{name}"
        rows = _session(engine).table(f"{schema}.{name}")
        rows.write.mode("overwrite").parquet(str(folder))
    if any(folder.glob("**/*.parquet")):
        # the column of a partition stands in its folder's name, and last
        names = ", ".join(f'"{name}"' for name in types)
        partitions = ", ".join(
            f"'{name}': {type_}" for name, type_ in types.items() if any(folder.glob(f"{name}=*"))
        )
        hive = f", hive_partitioning = true, hive_types = {{{partitions}}}" if partitions else ""
        return f"(select {names} from read_parquet('{folder}/**/*.parquet'{hive}))"
    # Spark writes no file where there is no row.
    columns = ", ".join(f'cast(null as {type_}) as "{column}"' for column, type_ in types.items())
    return f"(select {columns} where false)"


def _session(engine: Engine) -> Any:
    from pyspark.sql import SparkSession

    remote = engine.variables.get("SPARK_REMOTE")
    return (SparkSession.builder.remote(remote) if remote else SparkSession.builder).getOrCreate()
