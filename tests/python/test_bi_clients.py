"""Clients as people have them, on the published file: what they list, and the cells they read."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import duckdb
import pytest

from building import ROOT, Project

# said of the packages themselves
pytestmark = [
    pytest.mark.filterwarnings("ignore:duckdb-engine doesn't yet support reflection on indices"),
    pytest.mark.filterwarnings("ignore:fetch_arrow_table"),
    pytest.mark.filterwarnings("ignore:The 'future.infer_string' option is deprecated"),
]

SCHEMA = "main_marts"
KINDS = {
    "VARCHAR": "text",
    "DOUBLE": "number",
    "BIGINT": "count",
    "INTEGER": "count",
    "DATE": "day",
    "TIMESTAMP": "moment",
    "BOOLEAN": "flag",
}
"""Types of DuckDB by what people call them; a client has names of its own for each."""
CELLS = """
    select model_id, metric, value, unit_count, is_beyond_noise, window_end_date
    from main_marts.mart_scorecard
    where value is not null and previous_value is not null
    order by model_id, metric, segment_name, segment_value
    limit 10
"""


class Client(Protocol):
    """A program that people read tables with."""

    def __init__(self, file: Path) -> None: ...

    def tables(self) -> set[str]:
        """The tables of the schema of marts."""

    def kinds(self, table: str) -> dict[str, str]:
        """Columns by name: one of the values of KINDS."""

    def count(self, table: str) -> int: ...

    def cells(self) -> list[tuple[Any, ...]]: ...


class Cli:
    """The command line of DuckDB (package duckdb-cli)."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def asked(self, query: str) -> list[dict[str, Any]]:
        program = Path(sysconfig.get_path("scripts")) / "duckdb"
        command = [str(program), "-readonly", "-json", str(self.file), "-c", query]
        run = subprocess.run(command, capture_output=True, text=True, check=True)
        found: list[dict[str, Any]] = json.loads(run.stdout)
        return found

    def tables(self) -> set[str]:
        query = f"select table_name from information_schema.tables where table_schema = '{SCHEMA}'"
        return {row["table_name"] for row in self.asked(query)}

    @cached_property
    def columns(self) -> list[dict[str, Any]]:
        return self.asked(
            "select table_name, column_name, data_type from information_schema.columns "
            f"where table_schema = '{SCHEMA}' order by table_name, ordinal_position"
        )

    def kinds(self, table: str) -> dict[str, str]:
        rows = [row for row in self.columns if row["table_name"] == table]
        return {row["column_name"]: KINDS[row["data_type"]] for row in rows}

    @cached_property
    def counts(self) -> dict[str, int]:
        queries = (
            f"select '{one}' as t, count(*) as n from {SCHEMA}.{one}" for one in self.tables()
        )
        return {row["t"]: row["n"] for row in self.asked(" union all ".join(queries))}

    def count(self, table: str) -> int:
        return self.counts[table]

    def cells(self) -> list[tuple[Any, ...]]:
        return [
            (*list(row.values())[:-1], date.fromisoformat(row["window_end_date"]))
            for row in self.asked(CELLS)
        ]


class Pandas:
    """Data frames, as a notebook takes them."""

    names: Mapping[str, str] = {
        "str": "text",
        "object": "text",
        "float64": "number",
        "int64": "count",
        "int32": "count",
        "datetime64": "moment",
        "bool": "flag",
        "boolean": "flag",
    }

    def __init__(self, file: Path) -> None:
        self.file = file

    def frame(self, query: str) -> Any:
        with duckdb.connect(str(self.file), read_only=True) as connection:
            return connection.execute(query).df()

    def tables(self) -> set[str]:
        frame = self.frame("show all tables")
        return set(frame[frame["schema"] == SCHEMA]["name"])

    def kinds(self, table: str) -> dict[str, str]:
        types = self.frame(f"from {SCHEMA}.{table} limit 0").dtypes
        return {name: self.names[str(kind).partition("[")[0]] for name, kind in types.items()}

    def count(self, table: str) -> int:
        return int(self.frame(f"select count(*) as n from {SCHEMA}.{table}")["n"].iloc[0])

    def cells(self) -> list[tuple[Any, ...]]:
        import pandas

        return [
            (*(None if pandas.isna(cell) else cell for cell in row[:-1]), row[-1].date())
            for row in self.frame(CELLS).itertuples(index=False, name=None)
        ]


class Alchemy:
    """SQLAlchemy with reflection (packages sqlalchemy and duckdb-engine)."""

    def __init__(self, file: Path) -> None:
        import sqlalchemy

        arguments = {"read_only": True}
        pool = sqlalchemy.pool.NullPool
        url = f"duckdb:///{file}"
        self.engine = sqlalchemy.create_engine(url, connect_args=arguments, poolclass=pool)

    @cached_property
    def reflected(self) -> Any:
        import sqlalchemy

        found = sqlalchemy.MetaData()
        found.reflect(self.engine, schema=SCHEMA)
        return found

    def table(self, name: str) -> Any:
        return self.reflected.tables[f"{SCHEMA}.{name}"]

    def tables(self) -> set[str]:
        import sqlalchemy

        return set(sqlalchemy.inspect(self.engine).get_table_names(schema=SCHEMA))

    def kinds(self, table: str) -> dict[str, str]:
        names = {**KINDS, "FLOAT": "number", "DOUBLE PRECISION": "number"}
        return {column.name: names[str(column.type)] for column in self.table(table).columns}

    def count(self, table: str) -> int:
        import sqlalchemy

        query = sqlalchemy.select(sqlalchemy.func.count()).select_from(self.table(table))
        with self.engine.connect() as connection:
            return int(connection.execute(query).scalar_one())

    def cells(self) -> list[tuple[Any, ...]]:
        import sqlalchemy

        card = self.table("mart_scorecard").columns
        names = ("model_id", "metric", "value", "unit_count", "is_beyond_noise", "window_end_date")
        order = ("model_id", "metric", "segment_name", "segment_value")
        query = (
            sqlalchemy.select(*(card[name] for name in names))
            .where(card["value"].is_not(None), card["previous_value"].is_not(None))
            .order_by(*(card[name] for name in order))
            .limit(10)
        )
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(query)]


class Ibis:
    """ibis, whose expressions become SQL."""

    names: Mapping[str, str] = {
        "string": "text",
        "float64": "number",
        "int64": "count",
        "int32": "count",
        "date": "day",
        "timestamp": "moment",
        "boolean": "flag",
    }

    def __init__(self, file: Path) -> None:
        import ibis

        self.connection = ibis.duckdb.connect(file, read_only=True)

    def tables(self) -> set[str]:
        return set(self.connection.list_tables(database=SCHEMA))

    def kinds(self, table: str) -> dict[str, str]:
        schema = self.connection.table(table, database=SCHEMA).schema()
        return {name: self.names[str(kind).partition("(")[0]] for name, kind in schema.items()}

    def count(self, table: str) -> int:
        return int(self.connection.table(table, database=SCHEMA).count().execute())

    def cells(self) -> list[tuple[Any, ...]]:
        card = self.connection.table("mart_scorecard", database=SCHEMA)
        chosen = (
            card.filter(card.value.notnull(), card.previous_value.notnull())
            .order_by("model_id", "metric", "segment_name", "segment_value")
            .limit(10)
            .select(
                *("model_id", "metric", "value", "unit_count", "is_beyond_noise"), "window_end_date"
            )
        )
        return [tuple(row.values()) for row in chosen.to_pyarrow().to_pylist()]


PAGE = (ROOT / "docs/bi.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(sh|python)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
CLIENTS: list[type[Client]] = [Cli, Pandas, Alchemy, Ibis]


@pytest.fixture(scope="module")
def file(demo: Path) -> Path:
    return demo / "published/throughline.duckdb"


@pytest.fixture(scope="module")
def expected(file: Path) -> dict[str, tuple[int, dict[str, str]]]:
    """By mart: rows, and types as DuckDB itself has them."""
    with duckdb.connect(str(file), read_only=True) as connection:
        found = {}
        for (table,) in connection.execute(
            f"select table_name from duckdb_tables() where schema_name = '{SCHEMA}'"
        ).fetchall():
            row = connection.execute(f"select count(*) from {SCHEMA}.{table}").fetchone()
            assert row
            kinds = connection.execute(f"describe {SCHEMA}.{table}").fetchall()
            found[table] = (row[0], {name: KINDS[kind] for name, kind, *_ in kinds})
        return found


@pytest.mark.parametrize("kind", CLIENTS)
def test_a_client_reads_what_is_published(
    kind: type[Client], file: Path, expected: dict[str, tuple[int, dict[str, str]]]
) -> None:
    client = kind(file)
    assert client.tables() == set(expected)
    for table, (count, kinds) in expected.items():
        # a frame has no days of their own
        as_frame = {name: "moment" if one == "day" else one for name, one in kinds.items()}
        assert client.kinds(table) == (as_frame if kind is Pandas else kinds), table
        assert client.count(table) == count, table
    with duckdb.connect(str(file), read_only=True) as connection:
        cells = connection.execute(CELLS).fetchall()
    assert client.cells() == cells
    assert len(cells) == 10


@pytest.mark.parametrize("kind", CLIENTS)
def test_clients_do_not_stop_each_other_nor_a_publication(kind: type[Client], file: Path) -> None:
    """Each opens the file for reading alone."""
    first = kind(file)
    assert first.count("mart_goals") == kind(file).count("mart_goals")
    inode = file.stat().st_ino
    copy = file.with_name("copy.duckdb")
    copy.write_bytes(file.read_bytes())
    copy.replace(file)
    assert file.stat().st_ino != inode
    assert kind(file).count("mart_goals") > 0


@pytest.mark.parametrize(("language", "block"), BLOCKS)
def test_the_page_shows_what_runs(demo_project: Project, language: str, block: str) -> None:
    program = {"sh": ["bash", "-euo", "pipefail"], "python": [sys.executable, "-W", "ignore"]}
    run = subprocess.run(
        [*program[language], "-c", block],
        cwd=demo_project.root,
        env={"PATH": f"{sysconfig.get_path('scripts')}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert len(BLOCKS) == len(CLIENTS)


def test_named_versions_are_those_that_are_tested() -> None:
    pins = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    pinned = {line.partition(" ;")[0] for line in pins}
    bi = (ROOT / "tests/bi/requirements.txt").read_text(encoding="utf-8").splitlines()
    table, _, superset = PAGE.partition("## Superset")
    named = re.findall(r"`([\w-]+==[\d.]+)`", table)
    assert len(named) > 6
    assert set(named) <= pinned
    installed = next(line for line in superset.splitlines() if line.startswith("pip install"))
    assert set(re.findall(r"[\w-]+==[\d.]+", installed)) <= set(bi)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"tests read the file with (.*?)\. `throughline", readme, re.DOTALL)
    told = re.findall(r"`([\w-]+)` ([\d.]+)", block)
    assert {f"{name}=={version}" for name, version in told} <= set(named)
    assert len(told) == 5
