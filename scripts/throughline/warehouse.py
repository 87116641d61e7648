"""The warehouse of the active target, through dbt's own connection.

So profiles.yml alone says where it is.
"""

from __future__ import annotations

import contextlib
import csv
import io
import itertools
import os
import re
import socket
import tempfile
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import duckdb

from throughline import dbt_events, dbt_process, places, sql
from throughline.findings import UserError, refuse
from throughline.host import Host
from throughline.workspace import Workspace

if TYPE_CHECKING:
    from numpy.typing import NDArray

Columns: TypeAlias = "dict[str, NDArray[Any]]"
"""Columns by name, all of one length; NULL is NaN in a column of doubles, else None."""

BLOCK = 10_000
"""Rows fetched at a time, so that a large table is not held twice."""

# What keeps other commands out, and what all who write hold: see the macro hold_writing.
LOCK = "throughline"
WRITES = "throughline writes"
LOCK_HOLDER = "THROUGHLINE_LOCK"
"""The variable that tells dbt and lift which process of the server holds the lock for them."""

# Since when is only told to the same user and to those who may see all.
SESSION = """
    pid, usename || ' (' || coalesce(nullif(application_name, ''), 'unnamed')
        || '; server process ' || pid || ')'
        || coalesce(' since ' || to_char({began}, 'YYYY-MM-DD HH24:MI UTC'), '')
"""
HOLDER_OF_LOCK = f"""
    select {SESSION.format(began="backend_start")}
    from pg_locks
    inner join pg_stat_activity using (pid)
    where locktype = 'advisory' and granted and objsubid = 2
        and pg_locks.database = (select oid from pg_database where datname = current_database())
        and classid = cast(hashtext(%s) as oid)
        and objid = cast(hashtext(%s) as oid)
"""
HOLDER_OF_RELATION = f"""
    select {SESSION.format(began="xact_start")}
    from pg_locks
    inner join pg_stat_activity using (pid)
    where granted and relation = to_regclass(%s) and pid <> pg_backend_pid()
"""
LOCK_NOT_AVAILABLE = "55P03"


@dataclass(frozen=True)
class Warehouse:
    """An open connection; `kind` is the type of dbt adapter, such as postgres or spark.

    The names of schemas begin with `schema`, but in a host, which says where a relation is.
    """

    kind: str
    schema: str
    adapter: Any
    host: Host | None = field(default=None, kw_only=True)

    def place(self, layer: str, name: str) -> tuple[str, str]:
        """Schema and name of a relation of a layer."""
        return self.host.place(layer, name) if self.host else (f"{self.schema}_{layer}", name)

    def execute(self, sql: str) -> None:
        self.adapter.execute(sql)

    def query(self, sql: str) -> list[dict[str, Any]]:
        _, table = self.adapter.execute(sql, fetch=True)
        return [dict(row) for row in table.rows]

    def relation(self, layer: str, name: str) -> str:
        quote = "`" if self.kind == "spark" else '"'
        return sql.relation(*self.place(layer, name), quote=quote)

    def has(self, layer: str, name: str) -> bool:
        return self.holds(*self.place(layer, name))

    def holds(self, schema: str, name: str) -> bool:
        if self.kind == "spark":
            is_there = bool(self.query(f"show schemas like '{schema}'"))
            return is_there and bool(self.query(f"show tables in {schema} like '{name}'"))
        found = self.columns(
            "select table_name from information_schema.tables "
            f"where table_schema = '{schema}' and table_name = '{name}'"
        )
        return len(found["table_name"]) > 0

    def columns(self, sql: str) -> Columns:
        """The rows of a query as arrays, by the driver's own cursor: `query` is for few rows."""
        # Most commands do without numpy.
        import numpy as np

        cursor = self.handle.cursor()
        cursor.execute(sql)
        if self.kind == "duckdb":
            return {name: _plain(values) for name, values in cursor.fetchnumpy().items()}
        names = [column[0] for column in cursor.description]
        parts = [
            [as_column(values) for values in zip(*block, strict=True)]
            for block in _blocks(cursor)
            if block
        ]
        empty = [np.empty(0, dtype=object) for _ in names]
        return {
            name: _typed(np.concatenate(values))
            for name, values in zip(names, zip(*(parts or [empty]), strict=True), strict=True)
        }

    def texts(self, layer: str, name: str, columns: Sequence[str]) -> list[dict[str, str]]:
        """The rows of a small relation in the letters of a CSV file: NULL is the empty text."""
        kind = "string" if self.kind == "spark" else "varchar"
        cast = ", ".join(f"cast({column} as {kind}) as {column}" for column in columns)
        found = self.columns(f"select {cast} from {self.relation(layer, name)}")
        rows = zip(*(found[column] for column in columns), strict=True)
        return [dict(zip(columns, (value or "" for value in row), strict=True)) for row in rows]

    def see_one_moment(self, relations: Collection[str]) -> None:
        """All later queries see these relations as they are now, and no build replaces one.

        Where the server cannot, each query sees its own moment. Raises UserError that names a
        command that writes there.
        """
        if self.kind == "postgres":
            self.handle.rollback()
            self.handle.set_session(isolation_level="repeatable read", autocommit=False)
            cursor = self.handle.cursor()
            # A name leads to what has it now, whatever the transaction sees: of a table that was
            # replaced since, to one without rows. So none may be; a lock is no query yet.
            cursor.execute(f"lock table {', '.join(relations)} in access share mode")
            holder = _holder(cursor, HOLDER_OF_LOCK, [LOCK, self.schema])
            if holder:
                raise _in_use(self.schema, holder)

    def write_csv(self, layer: str, name: str, file: Path, *, null: str) -> dict[str, str]:
        """Writes the rows of a relation without a header, all quoted, with a text for NULL.

        Returns:
            The types of its columns as the server calls them, in order.

        Raises:
            UserError: where the server tells of no columns.
        """
        relation = self.relation(layer, name)
        told = f"describe {relation}"
        if self.kind == "postgres":
            told = f"""
                select attname, format_type(atttypid, atttypmod) from pg_attribute
                where attrelid = to_regclass('{relation}') and attnum > 0 and not attisdropped
                order by attnum
            """
        cursor = self.handle.cursor()
        cursor.execute(told)
        # Spark goes on with partitions, after a line without a name
        columns = itertools.takewhile(lambda row: row[0] and row[0][0] != "#", cursor.fetchall())
        types = {row[0]: row[1] for row in columns}
        if not types:
            fix = "Wait until the build that replaces it ends, and try again."
            raise refuse("has no columns", where=f"target {self.kind}, {relation}", fix=fix)
        # Spark's own moments are in the zone of this machine
        cells = [
            f"cast({column} as string)" if (self.kind, kind) == ("spark", "timestamp") else column
            for column, kind in types.items()
        ]
        # one of Spark keeps the rows of its first query, one of Postgres without a name fetches all
        cursor = self.handle.cursor(name) if self.kind == "postgres" else self.handle.cursor()
        cursor.execute(f"select {', '.join(cells)} from {relation}")
        with file.open("w", encoding="utf-8", newline="") as rows:
            writer = csv.writer(rows, quoting=csv.QUOTE_ALL, lineterminator="\n")
            for block in _blocks(cursor):
                writer.writerows([null if cell is None else cell for cell in row] for row in block)
        return types

    def replace_days(
        self,
        layer: str,
        tables: Mapping[str, Columns],
        *,
        days: Iterable[date],
        folder: Path,
        whole: Collection[str] = (),
    ) -> None:
        """Replaces all rows of the given days, in all the tables or in none.

        Spark has no transaction over several tables: there each table changes as a whole, in order.

        Args:
            layer: of the tables.
            tables: rows by the name of an existing table, each with the column `as_of`; other
                columns of the table become NULL.
            days: values of `as_of`.
            folder: where a cluster of Spark can read a file.
            whole: columns of doubles that hold whole numbers.
        """
        texts = [f"date '{day.isoformat()}'" for day in sorted(set(days))]
        named = {self.relation(layer, name): columns for name, columns in tables.items()}
        if self.kind == "duckdb":
            self._replace_here(named, texts, whole)
        elif self.kind == "postgres":
            self._replace_on_postgres(named, texts, whole)
        else:
            self._replace_on_spark(named, texts, whole, folder)

    def _replace_here(
        self, tables: Mapping[str, Columns], days: list[str], whole: Collection[str]
    ) -> None:
        cursor = self.handle.cursor()
        # In the order they come, rows go to the file as they fill a block; else all wait in memory.
        cursor.execute("set threads = 1")
        cursor.execute("begin transaction")
        try:
            for relation, columns in tables.items():
                query = _register(cursor, columns, whole)
                cursor.execute(f"delete from {relation} where as_of in ({', '.join(days)})")
                cursor.execute(f"insert into {relation} by name {query}")
                cursor.unregister("written")
            cursor.execute("commit")
        except BaseException:
            # A commit that failed has ended the transaction, and what it said must come through.
            with contextlib.suppress(duckdb.Error):
                cursor.execute("rollback")
            raise
        finally:
            with contextlib.suppress(duckdb.Error):
                cursor.execute("reset threads")

    def _replace_on_postgres(
        self, tables: Mapping[str, Columns], days: list[str], whole: Collection[str]
    ) -> None:
        with self.handle, self.handle.cursor() as cursor, duckdb.connect() as local:
            hold_writing(cursor, self.schema)
            for relation, columns in tables.items():
                query = _register(local, columns, whole)
                cursor.execute(f"delete from {relation} where as_of in ({', '.join(days)})")
                copy_to_postgres(local, query, cursor, relation, list(columns))

    def _replace_on_spark(
        self,
        tables: Mapping[str, Columns],
        days: list[str],
        whole: Collection[str],
        folder: Path,
    ) -> None:
        with (
            tempfile.TemporaryDirectory(prefix=".lift-", dir=folder) as shared,
            duckdb.connect() as local,
        ):
            Path(shared).chmod(0o755)
            for number, columns in enumerate(tables.values()):
                query = _register(local, columns, whole)
                local.execute(f"copy ({query}) to '{shared}/{number}.parquet' (format parquet)")
            for number, (relation, columns) in enumerate(tables.items()):
                names = ", ".join(name for name in columns if name != "as_of")
                source = f"parquet.`file://{Path(shared).resolve()}/{number}.parquet`"
                for day in days:
                    self.execute(
                        f"insert overwrite table {relation} partition (as_of = {day}) ({names}) "
                        f"select {names} from {source} where as_of = {day}"
                    )

    @property
    def handle(self) -> Any:
        """The driver's own connection."""
        return self.adapter.connections.get_thread_connection().handle


def _blocks(cursor: Any) -> Iterable[list[tuple[Any, ...]]]:
    """The rows of a query, some at a time where the driver can.

    A cursor of Postgres without a name has fetched all of them by then.
    """
    if hasattr(cursor, "fetchmany"):
        return iter(lambda: cursor.fetchmany(BLOCK), [])
    return [cursor.fetchall()]


def copy_to_postgres(
    source: duckdb.DuckDBPyConnection,
    query: str,
    cursor: Any,
    relation: str,
    columns: Iterable[str] = (),
) -> int:
    """Streams a query of DuckDB into a table of Postgres through a pipe: nothing is stored between.

    Args:
        columns: of the table, in the order of the query; all of them unless given.

    Returns:
        The number of rows.
    """
    read_end, write_end = os.pipe()
    faults: list[duckdb.Error] = []

    def write() -> None:
        options = "format csv, header false, nullstr '\\N', use_tmp_file false"
        try:
            source.execute(f"copy ({query}) to '/dev/fd/{write_end}' ({options})")
        except duckdb.Error as error:
            faults.append(error)
        finally:
            os.close(write_end)

    writer = threading.Thread(target=write)
    writer.start()
    names = ", ".join(columns)
    try:
        with os.fdopen(read_end, "rb") as stream:
            into = f"{relation} ({names})" if names else relation
            command = f"copy {into} from stdin (format csv, null '\\N')"
            cursor.copy_expert(command, stream, size=1 << 16)
    finally:
        writer.join()
    if faults:
        raise faults[0]
    return int(cursor.rowcount)


def _register(connection: Any, columns: Columns, whole: Collection[str]) -> str:
    """A query of columns in the types of the table they go to; NaN and None are NULL in it."""
    # Objects are texts; DuckDB would look for their type, and stumble where all are missing.
    connection.execute("set pandas_analyze_sample = 0")
    connection.register("written", columns)
    types = {"as_of": "date"} | dict.fromkeys(whole, "bigint")
    casts = [f"cast({name} as {types[name]}) as {name}" for name in columns if name in types]
    return f"select * replace ({', '.join(casts)}) from written"


def _plain(values: Any) -> NDArray[Any]:
    """A column of DuckDB, which masks NULL, as `Columns` has it."""
    import numpy as np

    mask = np.ma.getmaskarray(values)
    if values.dtype.kind == "f":
        return np.asarray(np.ma.filled(values, np.nan) if mask.any() else values)
    if mask.any():
        values = np.where(mask, np.array(None), np.asarray(values).astype(object))
    if values.dtype == object:
        # The same text in many rows is one object: less to hold, quicker to compare.
        known: dict[Any, Any] = {}
        values = np.fromiter((known.setdefault(text, text) for text in values), object, len(values))
    return np.asarray(values)


def _typed(values: NDArray[Any]) -> NDArray[Any]:
    """Objects that are doubles and None as doubles."""
    kinds = {type(value) for value in values} if values.dtype == object else set()
    return values.astype(float) if float in kinds and kinds <= {float, type(None)} else values


def as_column(values: Sequence[Any]) -> NDArray[Any]:
    """Values as `Columns` has them: numbers and truths by type, all else as objects."""
    import numpy as np

    found = np.array(values)
    return found if found.dtype.kind in "fiub" else np.array(values, dtype=object)


def compiled(workspace: Workspace, name: str) -> str:
    """The query of a model or analysis for the active target; raises UserError."""
    with dbt_process.inside(workspace):
        from dbt.cli.main import dbtRunner

        with contextlib.redirect_stdout(io.StringIO()) as said:
            answer = dbtRunner().invoke(["--no-use-colors", "compile", "--select", name])
    results: list[Any] = list(getattr(answer.result, "results", ()))
    if not answer.success or len(results) != 1:
        what = str(answer.exception or dbt_events.telling(said.getvalue()))
        raise _fault(workspace, what, where=name, fix="See logs/dbt.log.")
    return str(results[0].node.compiled_code)


@contextlib.contextmanager
def connect(workspace: Workspace) -> Iterator[Warehouse]:
    """Opens the active target; raises UserError where dbt cannot connect to it."""
    with dbt_process.inside(workspace):
        # dbt takes seconds to import, and most commands do without it here.
        from dbt.adapters.factory import FACTORY
        from dbt.cli.main import dbtRunner

        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            answer = dbtRunner().invoke(["--no-use-colors", "debug", "--connection"])
        if not answer.success:
            is_unwritten = isinstance(answer.exception, OSError)
            if is_unwritten and (unwritten := places.check_folders(workspace)):
                raise UserError(*unwritten)
            raise _fault(
                workspace,
                _said_to_be_wrong(said.getvalue()) or str(answer.exception),
                where=f"target {workspace.target}",
                fix="Start the server, or correct the variables that profiles.yml reads.",
            )
        adapters: Iterable[Any] = FACTORY.adapters.values()
        (adapter,) = adapters
        try:
            with adapter.connection_named("throughline"):
                schema = adapter.config.credentials.schema
                within = workspace if isinstance(workspace, Host) else None
                yield Warehouse(adapter.type(), schema, adapter, host=within)
        finally:
            adapter.cleanup_connections()
            if adapter.type() == "duckdb":
                # The adapter keeps the file open, and so locked for other processes.
                adapter.connections.env().close()


@contextlib.contextmanager
def sole_writer(workspace: Workspace) -> Iterator[None]:
    """Keeps other writers out of the schemas of a target on Postgres for as long as it lasts.

    DuckDB locks its file itself, a session of Spark here would shut out the one of dbt, and a host
    orders its runs itself. Raises UserError that names who writes there already: another command,
    or what a killed one has left.
    """
    if workspace.is_host or workspace.kind != "postgres":
        yield
        return
    with connect(workspace) as found:
        schema, handle = found.schema, found.handle
        # dbt forgets the connection and leaves it open; each run of dbt has others.
        found.adapter.connections.clear_thread_connection()
    with contextlib.closing(handle), handle.cursor() as cursor:
        handle.rollback()
        handle.autocommit = True
        settings = {
            "application_name": f"throughline, process {os.getpid()} on {socket.gethostname()}",
            # it is idle for as long as dbt builds, and its loss would end the build
            "idle_session_timeout": "0",
            "tcp_keepalives_idle": "60",
        }
        for name, value in settings.items():
            cursor.execute("select set_config(%s, %s, false)", [name, value])
        key = [LOCK, schema]
        cursor.execute("select pg_try_advisory_lock(hashtext(%s), hashtext(%s))", key)
        (is_ours,) = cursor.fetchone()
        holder = _holder(cursor, HOLDER_OF_LOCK, [WRITES if is_ours else LOCK, schema])
        if not is_ours or holder:
            raise _in_use(schema, holder)
        with dbt_process.within({LOCK_HOLDER: str(handle.get_backend_pid())}):
            yield


def hold_writing(cursor: Any, schema: str) -> None:
    """Lets a transaction on Postgres write as the macro of this name does; raises UserError."""
    key = [WRITES, schema]
    cursor.execute("select pg_advisory_xact_lock_shared(hashtext(%s), hashtext(%s))", key)
    holder = _holder(cursor, HOLDER_OF_LOCK, [LOCK, schema])
    ours = os.environ.get(LOCK_HOLDER)
    if ours and (holder is None or holder[0] != int(ours)):
        what = f"the lock of this build is lost: server process {ours} has ended"
        fix = "See the log of the server for who ended it, and build again: nothing is lost."
        raise refuse(what, where="target postgres", fix=fix)
    if holder and not ours:
        raise _in_use(schema, holder)


def once_free(cursor: Any, relation: str, statement: str) -> None:
    """A statement on Postgres that must have a relation for itself, as the macro of this name.

    Raises UserError that names who holds it, after lock_timeout.
    """
    cursor.execute("select current_setting('lock_timeout')")
    (patience,) = cursor.fetchone()
    cursor.execute("select extract(epoch from cast(%s as interval))", [patience])
    (seconds,) = cursor.fetchone()
    ends = time.monotonic() + float(seconds or "inf")
    while True:
        cursor.execute("savepoint waiting; set local lock_timeout = '100ms'")
        try:
            cursor.execute(statement)
        except Exception as error:
            if getattr(error, "pgcode", None) != LOCK_NOT_AVAILABLE:
                raise
            cursor.execute("rollback to savepoint waiting")
        else:
            break
        if time.monotonic() > ends:
            _, holder = _holder(cursor, HOLDER_OF_RELATION, [relation]) or (0, "another session")
            fix = "End that transaction, or raise THROUGHLINE_LOCK_TIMEOUT, and try again."
            raise refuse(f"held for more than {patience} by {holder}", where=relation, fix=fix)
        time.sleep(0.2)


def _holder(cursor: Any, query: str, values: list[str]) -> tuple[int, str] | None:
    """The first session that a query of holders finds: its process and who it is."""
    cursor.execute(query, values)
    row = cursor.fetchone()
    return row and (int(row[0]), str(row[1]))


def _in_use(schema: str, holder: tuple[int, str] | None) -> UserError:
    who = holder[1] if holder else "one that has just ended"
    what, fix = f"schemas {schema}_* are in use by {who}", "Wait until it ends, or end it there."
    return refuse(what, where="target postgres", fix=fix)


def read(workspace: Workspace, relations: Mapping[str, str]) -> dict[str, list[dict[str, Any]]]:
    """The rows of relations of the active target, by name; `relations` says the layer of each.

    Raises LookupError with what cannot be read.
    """
    from dbt_common.exceptions import DbtBaseException

    found: dict[str, list[dict[str, Any]]] = {}
    try:
        with connect(workspace) as target:
            for name, layer in relations.items():
                found[name] = target.query(f"select * from {target.relation(layer, name)}")
    except (DbtBaseException, UserError):
        missing = next(name for name in relations if name not in found)
        raise LookupError(missing) from None
    return found


def _fault(workspace: Workspace, what: str, *, where: str, fix: str) -> UserError:
    """What keeps dbt from the warehouse; of a file that it may not open, why."""
    is_closed = re.search("lock on file|Permission denied|Read-only file system", what)
    if is_closed and (locked := places.lock_fault(workspace)):
        return UserError(locked)
    return refuse(what, where=where, fix=fix)


def _said_to_be_wrong(output: str) -> str:
    """What `dbt debug` says is wrong, on one line."""
    text = re.sub(r"(?m)^\d\d:\d\d:\d\d +", "", dbt_events.plain(output))
    headers = r"(?m)^.*(?:failed|following reason|Encountered an error):\n|^\s*>"
    said, *_ = re.split(headers, text)[-1].split("Check your database credentials")
    return dbt_events.telling(said)
