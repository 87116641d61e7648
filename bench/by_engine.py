"""Times a full build of one company on DuckDB, Postgres and Spark, and says where the time goes.

Spark has two executors, which are processes of their own. Each server gets the raw files first.
`python bench/by_engine.py [PREDICTIONS ...]`, with tests/engines on the path, in the environment of
`make test-engines`. An engine that is missing is left out and named.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from measuring import ROOT, SCRATCH
from rich.console import Console
from rich.table import Table

import engines
from engines import Engine
from throughline.simulate import simulate
from throughline.workspace import Workspace

SIZES = (1_000_000,)
DAYS = 120
SLOWEST = 10
# spark-defaults.conf of the tests is for little data: here compiling pays
SPARK_SETTINGS = {
    "spark.master": "local-cluster[2,1,2048]",
    "spark.executor.memory": "2g",
    "spark.driver.memory": "4g",
    "spark.driver.extraJavaOptions": "-XX:+UseSerialGC",
    "spark.sql.shuffle.partitions": "4",
    "spark.sql.adaptive.enabled": "true",
    "spark.sql.codegen.wholeStage": "true",
    "spark.sql.codegen.factoryMode": "FALLBACK",
}


@contextmanager
def duckdb(folder: Path) -> Iterator[Engine]:
    yield Engine("duckdb", {}, folder / "dbt")


def spark(folder: Path) -> AbstractContextManager[Engine]:
    return engines.spark(folder, settings=SPARK_SETTINGS)


STARTERS: Mapping[str, Callable[[Path], AbstractContextManager[Engine]]] = {
    "duckdb": duckdb,
    "postgres": engines.postgres,
    "spark": spark,
}


def bench(engine: Engine, workspace: Workspace, *, console: Console) -> None:
    """Prints the seconds of loading and building, and those of the slowest models."""
    start = time.perf_counter()
    if engine.name != "duckdb":
        engines.bring(engine, workspace)
    loaded = time.perf_counter()
    seconds = engines.dbt(
        engine, workspace, *("build", "--exclude-resource-type", "test", "unit_test")
    )
    built = time.perf_counter()
    table = Table(title=f"{engine.name}: the slowest {SLOWEST} models", title_justify="left")
    table.add_column("")
    for heading in ("s", "share"):
        table.add_column(heading, justify="right")
    slowest = sorted(seconds, key=lambda name: -seconds[name])[:SLOWEST]
    for name in slowest:
        share = seconds[name] / sum(seconds.values())
        table.add_row(name, f"{seconds[name]:.1f}", f"{share:.0%}")
    console.print(table)
    console.print(
        f"load {loaded - start:.0f} s, build {built - loaded:.0f} s; "
        f"{len(seconds)} seeds, models and hooks took {sum(seconds.values()):.0f} s together"
    )


def main(sizes: Sequence[int]) -> None:
    os.chdir(ROOT)
    console = Console()
    for size in sizes:
        scratch = SCRATCH / f"by_engine_{size}"
        shutil.rmtree(scratch, ignore_errors=True)
        simulate(out=scratch / "company", predictions=size, days=DAYS, seed=7)
        console.rule(f"{size:,} predictions, {DAYS} days")
        for name, start in STARTERS.items():
            try:
                with start(scratch / name) as engine:
                    bench(engine, engines.chosen(scratch / "company"), console=console)
            except engines.MissingEngineError as error:
                console.print(f"{name} is left out: {error}", style="bold red")


if __name__ == "__main__":
    main([int(argument) for argument in sys.argv[1:]] or SIZES)
