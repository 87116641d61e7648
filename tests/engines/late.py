"""Parts the raw rows of a simulated company into deliveries that come late and twice."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import duckdb

# table -> the column that decides which of its rows come late
TABLES = {
    "prediction_logs": "prediction_id",
    "usage_events": "event_id",
    "business_outcomes": "outcome_id",
    "eligible_users": "user_id",
    "serving_costs": "cost_id",
}


def part(folder: Path, *, moments: Sequence[str]) -> Iterator[Callable[[], None]]:
    """One function for each moment that delivers what has arrived by then and not before.

    Of every delivery a few rows are held back and arrive with the next; the last brings all that
    is left and copies of rows of the first.
    """
    with duckdb.connect() as connection:
        for table, key in TABLES.items():
            raw = folder / "raw" / table
            connection.execute(
                f"create table {table} as select *, hash(loaded_at, {key}) % 1000 as lot "
                f"from read_parquet('{raw}/*.parquet', union_by_name = true)"
            )
            for path in raw.glob("*.parquet"):
                path.unlink()
        connection.execute(f"attach '{folder}/parts.duckdb' as parts")
        for table in TABLES:
            connection.execute(f"create table parts.{table} as from {table}")
    ends = ["1900-01-01", *moments[:-1], "2200-01-01"]
    for number in range(len(moments)):
        yield functools.partial(_deliver, folder, number=number, ends=ends)


def _deliver(folder: Path, *, number: int, ends: Sequence[str]) -> None:
    def arrived(place: int) -> str:
        first, end = ends[place], ends[place + 1]
        return f"(loaded_at >= timestamp '{first}' and loaded_at < timestamp '{end}')"

    is_first, is_last = number == 0, number == len(ends) - 2
    chosen = arrived(number) if is_last else f"{arrived(number)} and lot >= 30"
    chosen += " or loaded_at is null" if is_first else f" or lot < 30 and {arrived(number - 1)}"
    chosen += " or lot between 500 and 510" if is_last else ""
    arrives = f"if(lot < 30, greatest(loaded_at, timestamp '{ends[number]}'), loaded_at)"
    with duckdb.connect(str(folder / "parts.duckdb"), read_only=True) as connection:
        for table in TABLES:
            connection.execute(
                f"copy (select * exclude (lot) replace ({arrives} as loaded_at) "
                f"from {table} where {chosen}) "
                f"to '{folder}/raw/{table}/delivery_{number}.parquet'"
            )


def mend(folder: Path) -> None:
    """Rewrites an early delivery with one value changed, and as many rows as before."""
    path = folder / "raw/business_outcomes/delivery_0.parquet"
    mended = path.with_suffix(".part")
    with duckdb.connect() as connection:
        connection.execute(
            f"copy (select * replace (if(outcome_id = (select min(outcome_id) from '{path}'), "
            f"coalesce(outcome_value, 0) + 7, outcome_value) as outcome_value) from '{path}') "
            f"to '{mended}' (format parquet)"
        )
    mended.replace(path)
