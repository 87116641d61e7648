"""Times a new day with late rows on top of a history, against a full build of the same rows.

For each length of history: simulate one day more, keep back the last day and one in a hundred of
the rows of the 30 days before it, build, deliver them, build again, then all at once. Beside the
times stand the rows read from tables, as DuckDB counts, those of raw files and those computed anew.
`python bench/increments.py [DAYS ...]`; BENCH_PREDICTIONS_A_DAY makes smaller days.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import duckdb
import yaml
from measuring import ROOT, SCRATCH, Measure, measure
from rich.console import Console
from rich.table import Table

from throughline.dbt_process import environment
from throughline.simulate import simulate
from throughline.workspace import Workspace

HISTORIES = (10, 30, 100, 300)
PREDICTIONS_A_DAY = int(os.environ.get("BENCH_PREDICTIONS_A_DAY", "100000"))
LATE_DAYS = 30
# the simulation makes no shorter one
SHORTEST = 14
# the key that decides which rows come late, so that copies of a row stay together
KEYS = {
    "prediction_logs": "prediction_id",
    "usage_events": "event_id",
    "business_outcomes": "outcome_id",
}
# what tells the touched rows of a fact, and where they stand
FACTS = {
    "fct_decisions": ("prediction_id", "touched_key", "int_touched_decisions"),
    "int_outcome_links": ("outcome_id", "touched_key", "int_touched_keys"),
    "fct_outcomes": ("outcome_id", "touched_key", "int_touched_keys"),
    "fct_usage": ("usage_date", "touched_date", "int_touched_usage_dates"),
}
# DuckDB writes what it measured of each query to the log of the build
COUNTING = {
    "enable_profiling": "no_output",
    "profiling_coverage": "all",
    "logging_storage": "stdout",
    "logging_mode": "enable_selected",
    "enabled_log_types": "Metrics",
    "enable_logging": True,
}


def hold_back(folder: Path, *, days: int) -> str:
    """Parts each large raw table in what came on the last day and what in the `days` before it.

    Rows that came earlier are left out. Returns the last day.
    """
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'; set memory_limit = '4GB'")
        predictions = folder / "raw" / "prediction_logs"
        last = connection.execute(
            f"select max(predicted_at)::date from '{predictions}/*.parquet'"
        ).fetchone()
        assert last is not None
        day = f"timestamp '{last[0]}'"
        for table, key in KEYS.items():
            raw = folder / "raw" / table
            is_new = (
                f"loaded_at >= {day} or (loaded_at >= {day} - interval {LATE_DAYS} day "
                f"and hash({key}) % 100 = 0)"
            )
            is_earlier = f"loaded_at < {day} - interval {days} day"
            kept_back = folder / "kept_back" / table
            kept_back.mkdir(parents=True)
            for path in sorted(raw.glob("*.parquet")):
                connection.execute(
                    f"copy (select * replace (greatest(loaded_at, {day}) as loaded_at) "
                    f"from '{path}' where {is_new}) to '{kept_back}/new_{path.name}'"
                )
                connection.execute(
                    f"copy (select * from '{path}' "
                    f"where not coalesce({is_new} or {is_earlier}, false)) "
                    f"to '{folder}/{path.name}.part' (format parquet)"
                )
                (folder / f"{path.name}.part").replace(path)
    return str(last[0])


def deliver(folder: Path) -> None:
    for path in sorted((folder / "kept_back").rglob("*.parquet")):
        path.rename(folder / "raw" / path.parent.name / path.name)


def raw_row_counts(folder: Path) -> tuple[int, int]:
    """Rows of the raw files that the last build had not seen, and of all."""
    with duckdb.connect(str(folder / "warehouse.duckdb"), read_only=True) as connection:
        deliveries = connection.execute(
            "select delivery from main_metrics.deliveries where is_new"
        ).fetchall()
        unseen = total = 0
        for path in (folder / "raw").rglob("*.parquet"):
            counted = connection.execute(f"select count(*) from '{path}'").fetchone()
            assert counted is not None
            is_new = (path.relative_to(folder).as_posix(),) in deliveries
            total, unseen = total + counted[0], unseen + is_new * counted[0]
    return unseen, total


def row_counts(warehouse: Path) -> tuple[int, int]:
    """Rows of the facts that were computed anew, and all rows of the facts."""
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        touched = total = 0
        for fact, (column, touched_column, touched_in) in FACTS.items():
            counted = connection.execute(
                f"select count(*), count(*) filter (where {column} in (select {touched_column} "
                f"from main_core.{touched_in} where relation_name = '{fact}')) "
                f"from main_core.{fact}"
            ).fetchone()
            assert counted is not None
            total, touched = total + counted[0], touched + counted[1]
    return touched, total


def counting_profiles() -> Path:
    """A folder with the project's profile, in which DuckDB counts."""
    profiles = yaml.safe_load((ROOT / "profiles.yml").read_text())
    profiles["throughline"]["outputs"]["duckdb"]["settings"] |= COUNTING
    folder = SCRATCH / "profiles"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "profiles.yml").write_text(yaml.safe_dump(profiles))
    return folder


def rows_read(log: Path) -> int:
    """Rows that the scans of tables read.

    Left out are queries that read raw files: of those DuckDB counts all rows, skipped or not.
    """
    read = counted = 0
    for line in log.read_text().splitlines():
        if "'metric': QUERY_NAME" in line:
            counted = 1
        if "read_parquet(" in line or "read_csv(" in line:
            counted = 0
        if found := re.search(r"'metric': CUMULATIVE_ROWS_SCANNED, 'value': (\d+)", line):
            read += counted * int(found[1])
    return read


def bench(days: int, *, console: Console) -> None:
    folder = SCRATCH / f"history_{days}"
    shutil.rmtree(folder, ignore_errors=True)
    simulated = max(days + 1, SHORTEST)
    simulate(out=folder, predictions=PREDICTIONS_A_DAY * simulated, days=simulated, seed=7)
    workspace = Workspace(project=ROOT, folder=folder, chosen_by="bench")
    last_day = hold_back(folder, days=days)
    profiles = counting_profiles()
    dbt = str(Path(sys.executable).with_name("dbt"))
    dbt_environment = environment(workspace) | {
        "DBT_TARGET_PATH": str(SCRATCH / "target"),
        "DBT_LOG_PATH": str(SCRATCH / "logs"),
    }

    def build(name: str, *arguments: str, as_of: str) -> Measure:
        return measure(
            [
                *(dbt, "build", "--exclude-resource-type", "test", "unit_test"),
                *("--vars", f"{{as_of: '{as_of}'}}", "--profiles-dir", str(profiles), *arguments),
            ],
            environment=dbt_environment,
            log=folder / f"{name}.log",
        )

    as_of = str(workspace.settings["as_of"])
    start_up = measure(
        [dbt, "build", "--select", "model_registry", "--exclude-resource-type", "test"],
        environment=dbt_environment,
        log=folder / "start.log",
    )
    build("history", as_of=f"{last_day} 00:00:00")
    deliver(folder)
    new_day = build("new_day", as_of=as_of)
    unseen, delivered = raw_row_counts(folder)
    touched, total = row_counts(folder / "warehouse.duckdb")
    full = build("full", "--full-refresh", as_of=as_of)
    share = (new_day.wall - start_up.wall) / full.wall
    share_of_work = (new_day.processor - start_up.processor) / full.processor
    table = Table(
        title=f"{days} days of history and a new one, {PREDICTIONS_A_DAY:,} predictions a day",
        title_justify="left",
    )
    for heading in ("", "wall s", "CPU s", "peak GB", "rows read"):
        table.add_column(heading, justify="right" if heading else "left")
    for name, one, log in (
        ("dbt start-up", start_up, "start"),
        ("new day", new_day, "new_day"),
        ("full build", full, "full"),
    ):
        read = rows_read(folder / f"{log}.log")
        table.add_row(
            name, f"{one.wall:.1f}", f"{one.processor:.1f}", f"{one.memory:.1f}", f"{read:,}"
        )
    console.print(table)
    console.print(
        f"new day without start-up: {share:.1%} of a full build, {share_of_work:.1%} of its CPU; "
        f"raw rows in new files {unseen:,} of {delivered:,}; "
        f"facts recomputed {touched:,} of {total:,} rows"
    )


def main(histories: Sequence[int]) -> None:
    os.chdir(ROOT)
    SCRATCH.mkdir(parents=True, exist_ok=True)
    console = Console()
    for days in histories:
        bench(days, console=console)


if __name__ == "__main__":
    main([int(argument) for argument in sys.argv[1:]] or HISTORIES)
