"""The published copy: the tables for readers in a file of their own, swapped in as a whole.

DuckDB lets one process write a file, and none read it meanwhile. So readers get another file than
the one that builds write. Who holds the old copy open goes on reading it.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb

from throughline import __version__, dbt_events, places, sql
from throughline.files import locked, writing
from throughline.findings import Finding, UserError, refuse
from throughline.host import Host
from throughline.progress import Begin, ignored
from throughline.workspace import Workspace

STORAGE = "v1.0.0"
"""The version of DuckDB from which on clients can open the file."""
PACKAGE = "throughline"
"""The dbt package whose models are published."""
ABOUT = "publication"
"""The table that says what the file holds; in schema main, where a client looks first."""
TAKEN = """
    header = false, auto_detect = false, delim = ',', quote = '"', escape = '"', new_line = '\\n',
    max_line_size = 16000000
"""
"""How a file of rows from a server is read."""
MEMORY_LIMIT = "4GB"
"""Of DuckDB where nothing else is said, as in profiles.yml."""
FIX = "Make the folder writable and run throughline publish; the copy before this one still stands."


@dataclass(frozen=True, kw_only=True)
class Relation:
    """A table or view of the warehouse that is published."""

    schema: str
    name: str


@dataclass(frozen=True, kw_only=True)
class Publication:
    """A copy that was swapped in: its size in bytes, and the seconds that it took to make."""

    path: Path
    relations: int
    size: int
    seconds: float

    def __str__(self) -> str:
        size = f"{self.size / 1e6:,.1f} MB"
        return f"{self.relations} tables, {size}, {self.seconds:.1f} s"


def publish(workspace: Workspace, *, begin: Begin = ignored) -> Publication:
    """Copies the public relations of the last finished build and swaps the copy in.

    Raises UserError where there is none, where a build has begun since, or where the warehouse or
    the folder cannot be opened; the copy before this one then still stands.
    """
    started = time.monotonic()
    relations = public(workspace)
    with writing(workspace.published.parent, fix=FIX), _alone(workspace) as fresh:
        try:
            with duckdb.connect() as connection:
                _attach(connection, workspace, fresh)
                _check_finished(connection, workspace)
                for relation in relations:
                    begin(relation.name)
                    _copy(connection, relation)
                begin("writing the file")
                _describe(connection, workspace)
                connection.execute("checkpoint copy")
        except duckdb.Error as error:
            raise _fault(workspace, error) from None
        size = fresh.stat().st_size
        swap_in(fresh, workspace.published)
    seconds = time.monotonic() - started
    return Publication(
        path=workspace.published, relations=len(relations), size=size, seconds=seconds
    )


def take(workspace: Workspace, *, marts: Collection[str], file: Path) -> None:
    """Writes marts of a server into a new file of DuckDB, as the last finished build left them.

    For who reads such a file alone. Raises UserError where nothing is built or may be read, where a
    build has begun since, or where the server cannot be reached or fails.
    """
    folder, null = file.parent, f"no value {uuid.uuid4()}"
    # all of them first: a build that replaces a mart waits for as long as the server is read
    types = _written(workspace, marts, folder, null=null)
    with duckdb.connect(str(file)) as connection:
        for mart in marts:
            rows = folder / f"{mart}.csv"
            schema, name = workspace.place("marts", mart)
            connection.execute(f"create schema if not exists {sql.quoted(schema)}")
            connection.execute(
                f"create table {sql.relation(schema, name)} as from read_csv(?, columns = ?, "
                f"nullstr = ?, {TAKEN})",
                [str(rows), types[mart], null],
            )
            rows.unlink()


def _written(
    workspace: Workspace, marts: Collection[str], folder: Path, *, null: str
) -> dict[str, dict[str, str]]:
    """Writes marts of a server into files <mart>.csv; returns the types of their columns."""
    # dbt takes seconds to import, and a copy of a file does without it
    from throughline import warehouse

    read = [("metrics", "build_starts"), *(("marts", mart) for mart in marts)]
    with warehouse.connect(workspace) as server, _in_one_line(workspace):
        for layer, name in read:
            if not server.has(layer, name):
                what = f"{name} is not built, or this role may not read it"
                fix = "Build it: throughline build. Or come as a role that may read it."
                raise refuse(what, where=f"target {workspace.target}", fix=fix)
        starts, *_ = relations = [server.relation(layer, name) for layer, name in read]

        def check_finished() -> None:
            if server.query(f"select 1 as begun from {starts}"):
                raise _unfinished(workspace)

        server.see_one_moment(relations)
        check_finished()
        types = {
            mart: server.write_csv("marts", mart, folder / f"{mart}.csv", null=null)
            for mart in marts
        }
        # where each query sees its own moment, a build may have begun meanwhile
        check_finished()
    return types


@contextmanager
def _in_one_line(workspace: Workspace) -> Iterator[None]:
    """What the driver of a server raises, of a kind of its own for each, as a UserError."""
    try:
        yield
    except (UserError, OSError):
        raise
    except Exception as error:
        what = dbt_events.telling(str(error)) or type(error).__name__
        fix = dbt_events.advised(str(error)) or "Mend that on the server and try again."
        where = f"target {workspace.target}"
        raise refuse(f"cannot be read: {what}", where=where, fix=fix) from error


def notes(workspace: Workspace) -> Iterator[Finding]:
    """Says so where the copy is older than what stands in the warehouse."""
    copy, built = workspace.published, workspace.warehouse
    if workspace.replays or not workspace.is_in_file or not copy.exists():
        return
    if built.exists() and built.stat().st_mtime_ns > copy.stat().st_mtime_ns:
        what = "older than the warehouse, which was written since"
        fix = "To show what is built last: throughline publish"
        yield Finding("note", what, workspace.shown(copy), fix)


def public(workspace: Workspace) -> list[Relation]:
    """The relations for readers: our models that dbt wrote down as `access: public`.

    Raises UserError where it wrote down nothing.
    """
    if isinstance(workspace, Host):
        return [
            Relation(schema=place["schema"], name=place["identifier"])
            for place in workspace.told["relations"].values()
            if place["is_public"]
        ]
    path = workspace.artefacts / "manifest.json"
    try:
        nodes = json.loads(path.read_text(encoding="utf-8"))["nodes"]
    except (FileNotFoundError, ValueError):
        what = "dbt has not written down which models are public"
        raise refuse(what, where=workspace.shown(path), fix="Let it: throughline build") from None
    found = [
        Relation(schema=f"{workspace.schema}_{node['config']['schema']}", name=node["alias"])
        for node in nodes.values()
        if (node["resource_type"], node["package_name"]) == ("model", PACKAGE)
        and node["access"] == "public"
    ]
    return sorted(found, key=lambda relation: (relation.schema, relation.name))


@contextmanager
def _alone(workspace: Workspace) -> Iterator[Path]:
    """A path beside the published file for a new one, for one process at a time.

    What a killed process left there is removed first.
    """
    folder = workspace.published.parent
    folder.mkdir(parents=True, exist_ok=True)
    fresh = folder / f".{workspace.published.name}.new"
    with locked(folder, does="publishes", where=workspace.shown(folder)):
        try:
            _remove(fresh)
            yield fresh
        finally:
            _remove(fresh)


def swap_in(fresh: Path, target: Path) -> None:
    """Puts a new file in the place of the old one; who has that open reads on in it."""
    # what a client wrote into the old file and DuckDB would replay into the new one
    _wal(target).unlink(missing_ok=True)
    fresh.replace(target)


def _remove(path: Path) -> None:
    for left in (path, _wal(path)):
        left.unlink(missing_ok=True)


def _wal(path: Path) -> Path:
    return path.with_name(f"{path.name}.wal")


def _attach(connection: duckdb.DuckDBPyConnection, workspace: Workspace, fresh: Path) -> None:
    """The warehouse, for reading alone, so that others may read it meanwhile, and the new file."""
    memory = workspace.variable("THROUGHLINE_MEMORY_LIMIT") or MEMORY_LIMIT
    connection.execute(f"set memory_limit = {sql.literal(memory)}")
    connection.execute("set preserve_insertion_order = false")
    connection.execute("set timezone = 'UTC'")
    connection.execute(f"attach {sql.literal(str(workspace.warehouse))} as built (read_only)")
    options = f"storage_version {sql.literal(STORAGE)}"
    connection.execute(f"attach {sql.literal(str(fresh))} as copy ({options})")


def _check_finished(connection: duckdb.DuckDBPyConnection, workspace: Workspace) -> None:
    """Stops where tables of several builds may stand side by side."""
    starts = sql.relation(*workspace.place("metrics", "build_starts"))
    (begun,) = sql.one_row(connection, f"select count(*) from built.{starts}")
    if begun:
        raise _unfinished(workspace)


def _unfinished(workspace: Workspace) -> UserError:
    what = "a build was begun and not finished, or only a part was built"
    return refuse(what, where=workspace.name, fix="Build the whole: throughline build")


def _copy(connection: duckdb.DuckDBPyConnection, relation: Relation) -> None:
    """A table with the rows and the comments of a relation of the warehouse."""
    place = sql.relation(relation.schema, relation.name)
    connection.execute(f"create schema if not exists copy.{sql.quoted(relation.schema)}")
    connection.execute(f"create table copy.{place} as from built.{place}")
    of_it = "database_name = 'built' and schema_name = $1 and {}_name = $2 and comment is not null"
    key = [relation.schema, relation.name]
    comments = connection.execute(
        f"select comment from duckdb_tables() where {of_it.format('table')} "
        f"union all select comment from duckdb_views() where {of_it.format('view')}",
        key,
    ).fetchall()
    for (text,) in comments:
        connection.execute(f"comment on table copy.{place} is {sql.literal(text)}")
    columns = connection.execute(
        f"select column_name, comment from duckdb_columns() where {of_it.format('table')}", key
    ).fetchall()
    for name, text in columns:
        column = f"copy.{place}.{sql.quoted(name)}"
        connection.execute(f"comment on column {column} is {sql.literal(text)}")


def _describe(connection: duckdb.DuckDBPyConnection, workspace: Workspace) -> None:
    """The table that says which moment the copy speaks of."""
    ledger = sql.relation(*workspace.place("metrics", "int_build_ledger"))
    connection.execute(f"""
        create table copy.main.{ABOUT} as
        select
            cast(entry_value as timestamp) as as_of,
            date_trunc('second', cast(current_timestamp as timestamp)) as published_at,
            {sql.literal(__version__)} as throughline_version
        from built.{ledger}
        where entry_kind = 'as_of'
    """)
    about = f"copy.main.{ABOUT}"
    connection.execute(f"comment on table {about} is 'One row: what this file is a copy of.'")
    for column, text in (
        ("as_of", "The moment that the tables speak of (UTC)."),
        ("published_at", "When this file was made (UTC)."),
        ("throughline_version", "The version of Throughline that made it."),
    ):
        connection.execute(f"comment on column {about}.{column} is {sql.literal(text)}")


def _fault(workspace: Workspace, error: duckdb.Error) -> UserError:
    """What keeps the copy from being made."""
    where = workspace.shown(workspace.warehouse)
    if not workspace.warehouse.exists():
        return refuse("nothing is built yet", where=where, fix="throughline build")
    if dbt_events.DISK_IS_FULL in str(error):
        fix = "Make room and run throughline publish."
        return refuse("the disk is full", where=workspace.name, fix=fix)
    if "lock on file" in str(error) and (locked := places.lock_fault(workspace)):
        fix = "Close it and run throughline publish."
        return UserError(replace(locked, fix=fix))
    fix = "Build the whole: throughline build"
    return refuse(f"cannot be published: {sql.reason(error)}", where=where, fix=fix)
