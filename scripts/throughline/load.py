"""Brings a workspace's raw files to the warehouse of the active target.

DuckDB reads the files, as it does for a build on DuckDB itself, so that every target sees the same
columns and texts; a server gets each table as delivered, in schema `raw`. A table is loaded beside
the one in force and takes its place at the end. It carries the hash of the files it was made from:
files with the same content are not loaded again.
"""

from __future__ import annotations

import hashlib
import secrets
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb

from throughline import inputs, sql, warehouse
from throughline.contract import Table
from throughline.findings import UserError, refuse
from throughline.inputs import Input
from throughline.warehouse import Warehouse
from throughline.workspace import Workspace

# Changes when the same files would be loaded otherwise.
FORM = b"3"
MARK = "throughline load"
POSTGRES_TYPES = {
    "BOOLEAN": "boolean",
    "TINYINT": "smallint",
    "SMALLINT": "smallint",
    "UTINYINT": "smallint",
    "INTEGER": "integer",
    "USMALLINT": "integer",
    "BIGINT": "bigint",
    "UINTEGER": "bigint",
    "UBIGINT": "numeric(20)",
    "HUGEINT": "numeric(39)",
    "FLOAT": "real",
    "DOUBLE": "double precision",
    "DATE": "date",
    "TIMESTAMP": "timestamp",
    "TIMESTAMP_S": "timestamp",
    "TIMESTAMP_MS": "timestamp",
    "TIMESTAMP_NS": "timestamp",
    "TIMESTAMP WITH TIME ZONE": "timestamptz",
}
# What Spark takes from Parquet as it is; any other type reaches it as text.
SPARK_TYPES = {
    *("BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "FLOAT", "DOUBLE", "VARCHAR", "DATE"),
    *("TIMESTAMP", "TIMESTAMP WITH TIME ZONE"),
}


@dataclass(frozen=True)
class Loaded:
    """What became of a raw table; `rows` is None where its files had not changed."""

    table: str
    rows: int | None


def load(workspace: Workspace) -> Iterator[Loaded]:
    """Loads the tables of `inputs` that stand in files, one after another; raises UserError."""
    sources = workspace.settings.get("sources", {})
    tables = [
        workspace.contract[name]
        for name in workspace.settings.get("inputs", workspace.contract)
        if inputs.is_file_pattern(sources.get(name, "raw/"))
    ]
    with warehouse.connect(workspace) as target, duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        loaders: dict[str, type[_Postgres | _Spark]] = {"postgres": _Postgres, "spark": _Spark}
        loader = loaders.get(target.kind)
        if loader is None:
            what = f"cannot load into {target.kind}"
            fix = "Map each raw table to a relation in the setting sources."
            raise refuse(what, where=f"target {target.kind}", fix=fix)
        for table in tables:
            try:
                yield _load(loader(target, connection, workspace), workspace, table)
            except UserError as error:
                # a table that may be missing has none
                if error.findings:
                    raise


def _load(loader: _Postgres | _Spark, workspace: Workspace, table: Table) -> Loaded:
    delivered, _ = inputs.open_input(loader.connection, workspace, table)
    fingerprint = _fingerprint(delivered)
    try:
        if loader.fingerprint(table.name) == fingerprint:
            return Loaded(table.name, None)
        return Loaded(table.name, loader.load(table.name, delivered, fingerprint))
    except UserError:
        raise
    except duckdb.Error as error:
        what, fix = sql.reason(error), "Correct the file and load again."
        raise refuse(what, where=delivered.where, fix=fix) from None
    except Exception as error:  # every driver has errors of its own
        what = f"raw.{table.name} cannot be loaded: {_first_line(error)}"
        fix = "The table in force stays as it was. Correct it and load again."
        raise refuse(what, where=delivered.where, fix=fix) from None


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), repr(error))


def _fingerprint(delivered: Input) -> str:
    """Of the content of all files, in order, whatever their names and dates."""
    digest = hashlib.sha256(FORM)
    for file in delivered.files:
        digest.update(Path(file).suffix.encode())
        with Path(file).open("rb") as content:
            while block := content.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


@dataclass(frozen=True)
class _Loader:
    target: Warehouse
    connection: duckdb.DuckDBPyConnection
    workspace: Workspace

    def columns(self, delivered: Input) -> list[tuple[str, str]]:
        rows = self.connection.execute(f"describe select * from {delivered.relation}").fetchall()
        return [(name, type_) for name, type_, *_ in rows]


class _Postgres(_Loader):
    """One transaction for each table; the fingerprint is the comment of the table."""

    def fingerprint(self, table: str) -> str | None:
        """Raises UserError where the table was made by someone else."""
        with self.target.handle, self.target.handle.cursor() as cursor:
            query = "select to_regclass(%s), obj_description(to_regclass(%s))"
            cursor.execute(query, [f"raw.{table}"] * 2)
            found, comment = cursor.fetchone()
        if found and not (comment or "").startswith(MARK):
            fix = f"Drop it, or name it under sources.{table} in vars.yml to build from it."
            raise refuse("was not made by throughline load", where=f"raw.{table}", fix=fix)
        return str(comment).removeprefix(f"{MARK} ") if found else None

    def load(self, table: str, delivered: Input, fingerprint: str) -> int:
        columns, selected = [], []
        for name, type_ in self.columns(delivered):
            known = type_ if type_.startswith("DECIMAL") else POSTGRES_TYPES.get(type_)
            quoted = '"' + name.replace('"', '""') + '"'
            # Unquoted SQL finds names in lower case.
            columns.append(f"{quoted.lower()} {known or 'text'}")
            # COPY would round nanoseconds up, where a build on DuckDB cuts them off.
            form = {"timestamp": "timestamp", None: "varchar"}.get(known)
            selected.append(f"cast({quoted} as {form})" if form else quoted)
        with self.target.handle, self.target.handle.cursor() as cursor:
            warehouse.hold_writing(cursor, self.target.schema)
            cursor.execute("create schema if not exists raw")
            cursor.execute(f"drop table if exists raw.{table}__new")
            cursor.execute(f"create table raw.{table}__new ({', '.join(columns)})")
            query = f"select {', '.join(selected)} from {delivered.relation}"
            rows = warehouse.copy_to_postgres(self.connection, query, cursor, f"raw.{table}__new")
            drop = f"drop table if exists raw.{table}"
            warehouse.once_free(cursor, f"raw.{table}", drop)
            cursor.execute(f"alter table raw.{table}__new rename to {table}")
            cursor.execute(f"comment on table raw.{table} is '{MARK} {fingerprint}'")
            cursor.execute(f"analyze raw.{table}")
        return rows


class _Spark(_Loader):
    """`raw.<table>` is a view of the table that holds the files; replacing a view is one step."""

    def fingerprint(self, table: str) -> str | None:
        if not self._exists(table):
            return None
        properties = self.target.query(f"show tblproperties raw.{table}")
        found = {row["key"]: row["value"] for row in properties}
        if MARK not in found:
            fix = f"Drop it, or name it under sources.{table} in vars.yml to build from it."
            raise refuse("was not made by throughline load", where=f"raw.{table}", fix=fix)
        return str(found[MARK])

    def _exists(self, table: str) -> bool:
        self.target.execute("create schema if not exists raw")
        return bool(self.target.query(f"show tables in raw like '{table}'"))

    def load(self, table: str, delivered: Input, fingerprint: str) -> int:
        selected = []
        for name, type_ in self.columns(delivered):
            quoted = '"' + name.replace('"', '""') + '"'
            is_known = type_ in SPARK_TYPES or type_.startswith("DECIMAL")
            selected.append(quoted if is_known else f"cast({quoted} as varchar) as {quoted}")
        # Never the same name: Spark takes none whose folder a killed load has left.
        made = f"{table}__{secrets.token_hex(6)}"
        earlier = [
            row["tableName"] for row in self.target.query(f"show tables in raw like '{table}__*'")
        ]
        # The cluster reads the file, so it lies where the raw files lie.
        with tempfile.TemporaryDirectory(prefix=".load-", dir=self.workspace.folder) as folder:
            Path(folder).chmod(0o755)
            path = f"{folder}/{table}.parquet"
            query = f"select {', '.join(selected)} from {delivered.relation}"
            self.connection.execute(f"copy ({query}) to '{path}' (format parquet)")
            source = f"select * from parquet.`file://{path}`"
            self.target.execute(f"create table raw.{made} using parquet as {source}")
        self.target.execute(
            f"create or replace view raw.{table} tblproperties ('{MARK}' = '{fingerprint}') "
            f"as select * from raw.{made}"
        )
        for old in earlier:
            self.target.execute(f"drop table if exists raw.{old}")
        (row,) = self.target.query(f"select count(*) as row_count from raw.{table}")
        return int(row["row_count"])
