"""Quiet means unchanged: a corrupted delivery leaves every fact as it was, or the door names it.

The corpus is every kind of corruption that fits the type of a column, times every column of the
contract, so that a new column is covered by itself.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

import door
import duckdb
import pandas as pd
import pytest
from building import ROOT, Project
from throughline import seeds
from throughline.workspace import Column, create, read_contract

Cell = Callable[[str], str]
COUNTS = ("delivered_rows", "kept_rows", "superseded_copies", "invisible_rows")


def moment(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%d %H:%M:%S")


def moved(**by: int) -> Cell:
    return lambda text: f"{moment(text) + timedelta(**by):%Y-%m-%d %H:%M:%S}"


def formed(form: str) -> Cell:
    return lambda text: f"{moment(text):{form}}"


def constant(text: str) -> Cell:
    return lambda _: text


EPOCH = {
    f"epoch in {unit}": (lambda factor: lambda text: str(seconds(text) * factor))(factor)
    for unit, factor in (("seconds", 1), ("milliseconds", 1000), ("microseconds", 10**6))
}


def seconds(text: str) -> int:
    return int(moment(text).replace(tzinfo=timezone.utc).timestamp())


WORDS: Mapping[str, Cell] = {word: constant(word) for word in ("nan", "None", "NULL", "NaT", "")}
WRITINGS: Mapping[str, Cell] = {
    "capitals": str.upper,
    "a blank before": lambda text: f" {text}",
    "a blank after": lambda text: f"{text} ",
}
KINDS: Mapping[str, Mapping[str, Cell]] = {
    "id": {
        "as a floating point number": lambda text: f"{text}.0",
        **WRITINGS,
        **WORDS,
    },
    "name": {**WRITINGS, **WORDS},
    "double": {
        "a decimal comma": lambda text: f"{text}5".replace(".", "") + ",5",
        "a unit": lambda text: f"{text} EUR",
        "minus one": constant("-1"),
        "infinity": constant("inf"),
        "more digits": lambda text: f"{text}0" if "." in text else f"{text}.0",
        "a blank before": lambda text: f" {text}",
        **WORDS,
    },
    "integer": {"a fraction": constant("1.7"), "with .0": lambda text: f"{text}.0", **WORDS},
    "boolean": {
        "a word": constant("maybe"),
        "capitals": str.upper,
        "one letter": lambda text: text[0],
        **WORDS,
    },
    "timestamp": {
        "day first": formed("%d/%m/%Y %H:%M"),
        "month first": formed("%m/%d/%Y %I:%M %p"),
        "a date without a time": formed("%Y-%m-%d"),
        "without seconds": formed("%Y-%m-%d %H:%M"),
        "with T and Z": formed("%Y-%m-%dT%H:%M:%SZ"),
        "with an offset": formed("%Y-%m-%d %H:%M:%S+00:00"),
        "the end of time": constant("9999-12-31"),
        "the beginning of time": constant("0001-01-01 00:00:00"),
        "twenty years early": moved(days=-7305),
        "three years late": moved(days=1096),
        **EPOCH,
        **WORDS,
    },
}


@dataclass(frozen=True)
class Corruption:
    table: str
    column: str
    kind: str
    change: Cell

    def __str__(self) -> str:
        return f"{self.table}.{self.column}: {self.kind or 'empty'}"

    def apply(self, frame: pd.DataFrame) -> pd.DataFrame:
        """A third of the filled cells of the column, and at least 20 where there are as many."""
        changed = frame.copy()
        filled = [row for row, text in enumerate(frame[self.column]) if text]
        for row in filled[:: max(1, min(3, len(filled) // 20))]:
            changed.loc[row, self.column] = self.change(frame.loc[row, self.column])
        return changed


def kind_of(column: Column) -> str:
    if column.data_type != "string":
        return column.data_type
    return "id" if column.name.endswith("_id") else "name"


def corruptions(frames: Mapping[str, pd.DataFrame]) -> Iterator[Corruption]:
    for name, table in read_contract(ROOT).items():
        for column in table.columns:
            if (name, column.name) in door.PROSE or not frames[name][column.name].astype(
                bool
            ).any():
                continue
            for kind, change in KINDS[kind_of(column)].items():
                yield Corruption(name, column.name, kind, change)


FRAMES = door.company()
CORPUS = list(corruptions(FRAMES))


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Iterator[door.Door]:
    project = Project.copy(tmp_path_factory.mktemp("door") / "project")
    folder = project.root / "company"
    headers = {name: spec.header for name, spec in seeds.read_specs(ROOT).items()}
    create(folder, project=project.root, headers=headers)
    door.write_seeds(folder)
    (folder / "vars.yml").write_text("as_of: '2026-06-01 00:00:00'\n", encoding="utf-8")
    door.deliver(folder, FRAMES)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project.root)
        yield door.Door.compile(project, folder)


def differs(built: duckdb.DuckDBPyConnection) -> list[str]:
    """The facts that are not those of the sound company."""
    unlike = []
    for fact in door.FACTS:
        columns = [
            f"round({name}, 9)" if kind == "DOUBLE" else f'"{name}"'
            for name, kind, *_ in built.sql(f"describe main_core.{fact}").fetchall()
        ]
        sides = [
            f"select {', '.join(columns)} from {side}.main_core.{fact}"
            for side in ("warehouse", "built")
        ]
        for one, other in (sides, sides[::-1]):
            if built.sql(f"{one} except all {other} limit 1").fetchall():
                unlike.append(fact)
                break
    return unlike


def named(built: duckdb.DuckDBPyConnection, corruption: Corruption) -> list[tuple[str, ...]]:
    """What the door says of the corrupted column, with place and fix."""
    return built.execute(
        "select check_name, detail, status, example, fix from main_core.fct_input_checks "
        "where status in ('warn', 'stop') and table_name = $1 and fix <> '' "
        "and (contains(detail, $2) or contains(fix, $2) or contains(coalesce(example, ''), $2))",
        [corruption.table, corruption.column],
    ).fetchall()


def test_the_sound_company_is_quiet(sound: door.Door) -> None:
    built = sound.run()
    loud = "from main_core.fct_input_checks where status <> 'ok'"
    assert built.sql(loud).fetchall() == []
    assert differs(built) == []


@pytest.mark.parametrize("corruption", CORPUS, ids=str)
def test_a_corruption_changes_nothing_or_is_named(sound: door.Door, corruption: Corruption) -> None:
    frame = corruption.apply(FRAMES[corruption.table])
    path = sound.folder / "raw" / corruption.table / "rows.csv"
    before = path.read_bytes()
    try:
        frame.to_csv(path, index=False)
        built = sound.run()
    finally:
        path.write_bytes(before)
    unlike = differs(built)
    if unlike:
        assert named(built, corruption), f"{unlike} differ, and nothing says why"
