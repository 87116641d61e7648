"""Times a full build against the least work that could give the same bricks.

For each size: simulate, full `dbt build` without tests, the same again, and bench/lower_bound.sql,
a script written by hand that reads the same raw files. Below stands how long each folder of models
took, and the ten slowest models. `python bench/bench.py [PREDICTIONS ...]`.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from measuring import ROOT, SCRATCH, Measure, measure
from rich.console import Console
from rich.table import Table

from throughline.dbt_process import environment
from throughline.simulate import simulate
from throughline.workspace import Workspace

SIZES = (1_000_000, 10_000_000)
DAYS = 120
LOWER_BOUND = """
import sys, duckdb
raw, as_of, warehouse = sys.argv[1:]
connection = duckdb.connect(warehouse, config={"storage_compatibility_version": "v1.3.0"})
connection.execute("set timezone = 'UTC'")
connection.execute("set preserve_insertion_order = false")
connection.execute("set memory_limit = '4GB'")
connection.execute("set variable raw = ?", [raw])
connection.execute("set variable as_of = ?::timestamp", [as_of])
connection.execute(open("bench/lower_bound.sql").read())
"""


def bench(predictions: int) -> tuple[dict[str, Measure], Mapping[str, float]]:
    """The measures of one size, in the order they are run, and the seconds of each model.

    Models are built one after another, so that their seconds add up.
    """
    folder = SCRATCH / str(predictions)
    shutil.rmtree(folder, ignore_errors=True)
    start = time.perf_counter()
    simulate(out=folder, predictions=predictions, days=DAYS, seed=7)
    simulated = time.perf_counter() - start
    workspace = Workspace(project=ROOT, folder=folder, chosen_by="bench")
    dbt_environment = environment(workspace) | {
        "DBT_TARGET_PATH": str(SCRATCH / "target"),
        "DBT_LOG_PATH": str(SCRATCH / "logs"),
    }
    python = sys.executable
    dbt = str(Path(python).with_name("dbt"))
    build = [dbt, "build", "--exclude-resource-type", "test", "unit_test"]
    as_of = workspace.settings["as_of"]
    measures = {
        "simulate": Measure(simulated, float("nan"), float("nan")),
        "dbt start-up": measure(
            [dbt, "build", "--select", "model_registry", "--exclude-resource-type", "test"],
            environment=dbt_environment,
            log=folder / "start.log",
        ),
        "full build": measure(build, environment=dbt_environment, log=folder / "build.log"),
    }
    seconds = seconds_by_model(SCRATCH / "target/run_results.json")
    (folder / "seconds.json").write_text(json.dumps(seconds), encoding="utf-8")
    measures["repeated build"] = measure(
        build, environment=dbt_environment, log=folder / "again.log"
    )
    measures["lower bound"] = measure(
        [python, "-c", LOWER_BOUND, str(folder / "raw"), as_of, str(folder / "bound.duckdb")],
        environment=dbt_environment,
        log=folder / "bound.log",
    )
    return measures, seconds


def seconds_by_model(results: Path) -> dict[str, float]:
    """How long each model took, by its path below models/."""
    paths = {path.stem: path for path in (ROOT / "models").rglob("*.sql")}
    return {
        str(paths[name].relative_to(ROOT / "models").with_suffix("")): row["execution_time"]
        for row in json.loads(results.read_text(encoding="utf-8"))["results"]
        if (name := row["unique_id"].split(".")[-1]) in paths
    }


def main(sizes: Sequence[int]) -> None:
    os.chdir(ROOT)
    SCRATCH.mkdir(parents=True, exist_ok=True)
    console = Console()
    for size in sizes:
        measures, seconds = bench(size)
        table = Table(title=f"{size:,} predictions, {DAYS} days", title_justify="left")
        for heading in ("", "wall s", "CPU s", "peak GB"):
            table.add_column(heading, justify="right" if heading else "left")
        for name, one in measures.items():
            numbers = (one.wall, one.processor, one.memory)
            table.add_row(name, *("" if n != n else f"{n:.1f}" for n in numbers))
        console.print(table)
        start_up, bound = measures["dbt start-up"], measures["lower bound"]
        for name in ("full build", "repeated build"):
            ratio = (measures[name].wall - start_up.wall) / bound.wall
            console.print(f"{name} without start-up: {ratio:.1f} times the lower bound")
        folders: dict[str, float] = defaultdict(float)
        for model, took in seconds.items():
            folders[str(Path(model).parent)] += took
        slowest = sorted(seconds.items(), key=lambda row: -row[1])[:10]
        for title, rows in (
            ("folders of models", sorted(folders.items(), key=lambda row: -row[1])),
            ("the ten slowest models", slowest),
        ):
            console.print(f"{title}: " + ", ".join(f"{name} {took:.1f} s" for name, took in rows))
    print(f"Left in {SCRATCH.relative_to(ROOT)}: remove with `make clean`.")


if __name__ == "__main__":
    main([int(argument) for argument in sys.argv[1:]] or SIZES)
