"""The contract of the raw tables, as models/staging/_sources.yml has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

REQUIRED_INPUT = "prediction_logs"


@dataclass(frozen=True)
class Column:
    name: str
    data_type: str
    required: bool
    known_model: bool
    rejects: bool
    """Whether a bad value rejects its row; else the cell alone is missing."""


@dataclass(frozen=True)
class Table:
    name: str
    event_at: str
    """The column that says when what a row tells of happened."""
    columns: tuple[Column, ...]
    may_be_missing: bool = False
    """Whether nothing is said where no file is there: few have one, and most not from the start."""

    @property
    def column_names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)


def read_contract(project: Path) -> dict[str, Table]:
    """The raw tables by name, from models/staging/_sources.yml, in its order."""
    text = (project / "models/staging/_sources.yml").read_text(encoding="utf-8")
    tables = yaml.safe_load(text)["sources"][0]["tables"]
    return {table["name"]: _table(table) for table in tables}


def _table(table: Mapping[str, Any]) -> Table:
    def column(entry: Mapping[str, Any]) -> Column:
        meta = entry.get("config", {}).get("meta", {})
        return Column(
            name=entry["name"],
            data_type=entry["data_type"],
            required=bool(meta.get("required")),
            known_model=bool(meta.get("known_model")),
            rejects=meta.get("on_bad") != "null",
        )

    return Table(
        name=table["name"],
        event_at=table.get("config", {}).get("meta", {}).get("event_at", ""),
        columns=tuple(column(entry) for entry in table["columns"]),
        may_be_missing=bool(table.get("config", {}).get("meta", {}).get("may_be_missing")),
    )
