"""Times lift from unit totals to written estimates, beside tea-tasting over the same unit totals.

Ten million units, three means and two ratios, each with its pre-period twin as covariate.
tea-tasting runs in the environment of the oracles and reads the same table by ibis.
Each is timed the second time. Then lift alone, over the moments of many segment values.
`python bench/lift.py [UNITS]`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import duckdb
from measuring import ROOT, SCRATCH, Measure, measure
from rich.console import Console
from rich.table import Table

from throughline import dbt_process, seeds
from throughline.workspace import Workspace

UNITS = 10_000_000
MOMENTS = 100_000
# metric -> its bricks; none is capped, which tea-tasting would not do
METRICS = {
    "value_of_decisions": ("decision_value",),
    "pipeline_value": ("pipeline_amount",),
    "retained_customers": ("retained_customers_counted",),
    "acceptance_rate": ("accepted_decisions", "shown_decisions"),
    "view_rate": ("viewed_decisions", "shown_decisions"),
}
BRICKS = sorted({brick for bricks in METRICS.values() for brick in bricks})
STEPS = ("int_unit_constants", "int_metric_caps", "fct_moments")


def make(folder: Path) -> Workspace:
    """A workspace that declares the experiment and has no rows; built, so that all is there."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "seeds").mkdir(parents=True)
    specs = seeds.read_specs(ROOT)
    row = {
        **{"experiment_id": "trial", "model_id": "ranker", "hypothesis": "why"},
        **{"unit_type": "user", "control_variant": "a", "expected_split": "a:0.5;b:0.5"},
        **{"start_date": "2026-01-01", "planned_end_date": "2026-01-15", "window_days": "7"},
        **{"covariate_days": "7", "method": "fixed", "primary_metric": next(iter(METRICS))},
        **{"secondary_metrics": ";".join(list(METRICS)[1:]), "minimum_effect": "0.01"},
        **{"minimum_effect_kind": "relative", "alpha": "0.05", "power": "0.8"},
        **{"owner": "ann", "rationale": "why"},
    }
    model = {
        **{"model_id": "ranker", "model_name": "Ranker", "product": "Shop", "task": "ranking"},
        **{"team": "a", "charter": "b", "label_outcome": "sold", "horizon_days": "7"},
        **{"label_delay_days": "1", "negative_on_absence": "true", "owner": "a"},
        **{"rationale": "b"},
    }
    rows = {"experiments": row, "model_registry": model}
    for name, spec in specs.items():
        lines = [",".join(spec.header)]
        if name in rows:
            lines.append(",".join(rows[name].get(column, "") for column in spec.header))
        (folder / "seeds" / f"{name}.csv").write_text("\n".join([*lines, ""]))
    raw = folder / "raw" / "prediction_logs"
    raw.mkdir(parents=True)
    (raw / "rows.csv").write_text(
        "prediction_id,model_id,model_version,predicted_at,entity_id,loaded_at\n"
        "p,ranker,v1,2026-01-01,e,2026-01-01\n"
    )
    (folder / "vars.yml").write_text(
        "as_of: 2026-06-01 00:00:00\ninputs: [prediction_logs]\nsegments: []\n"
        "protected_attributes: []\n"
    )
    return Workspace(project=ROOT, folder=folder, chosen_by="bench")


def fill(warehouse: Path, units: int) -> None:
    """Unit totals with pre-period twins that explain half of the variance."""
    columns = []
    for number, brick in enumerate(BRICKS, start=1):
        before = f"ln(1 / (1e-9 + hash(n, {number}) / 2.0 ** 64)) * 10"
        columns += [
            f"({before}) + ln(1 / (1e-9 + hash(n, {number} + 99) / 2.0 ** 64)) * 10 as {brick}",
            f"{before} as {brick}_before",
            f"({before}) / 2 as {brick}_just_before",
        ]
    with duckdb.connect(str(warehouse), config={"memory_limit": "4GB"}) as connection:
        connection.execute("set preserve_insertion_order = false")
        described = connection.execute("describe main_lift.fct_unit_totals").fetchall()
        connection.execute(
            f"""
            insert into main_lift.fct_unit_totals by name
            select 'trial' as experiment_id, 'unit-' || n as unit_id,
                if(hash(n, -1) % 2 = 0, 'a', 'b') as variant, {", ".join(columns)},
                1 as variant_number, false as is_multi_exposed, false as is_late,
                false as is_cluster_shared, cast(exposed_at as date) as assigned_date, exposed_at,
                exposed_at + interval 7 day as event_known_at,
                exposed_at + interval 8 day as outcome_known_at,
                exposed_at + interval 15 day as label_known_at
            from (
                select
                    n,
                    timestamp '2026-01-01' + to_seconds(n * 86400 * 14 // {units}) as exposed_at
                from range({units}) as units(n)
            )
            """
        )
        assert set(BRICKS) <= {name for name, *_ in described}


def ours(workspace: Workspace) -> dict[str, float]:
    """Seconds of each step; dbt starts before the clock does, as ibis is imported before its."""
    compiled = SCRATCH / "target/compiled/throughline/models/lift"
    seconds = {}
    with duckdb.connect(str(workspace.warehouse), config={"memory_limit": "4GB"}) as connection:
        connection.execute("set timezone = 'UTC'; set preserve_insertion_order = false")
        # the second time, when the table lies in memory for both
        for name in (*STEPS, *STEPS):
            query = (compiled / f"{name}.sql").read_text()
            start = time.perf_counter()
            connection.execute(f"create or replace table main_lift.{name} as {query}")
            seconds[name] = time.perf_counter() - start
    from throughline.lift import run
    from throughline.warehouse import connect

    with connect(workspace) as warehouse:
        start = time.perf_counter()
        inputs = run.gather(warehouse)
        assert inputs is not None
        run.write(warehouse, run.compute(inputs), workspace=workspace)
        seconds["throughline lift"] = time.perf_counter() - start
    return seconds


THEIRS = """
import json, sys, time
start = time.perf_counter()
import ibis, tea_tasting as tt
imported = time.perf_counter() - start
connection = ibis.duckdb.connect(sys.argv[1], read_only=True, memory_limit="4GB")
units = connection.table("fct_unit_totals", database="main_lift")
def metric(above, below=None):
    if below is None:
        return tt.Mean(above, above + "_before")
    return tt.RatioOfMeans(above, below, above + "_before", below + "_before")
metrics = {name: metric(*bricks) for name, bricks in json.loads(sys.argv[2]).items()}
experiment = tt.Experiment(metrics, variant="variant")
experiment.analyze(units, control="a")
start = time.perf_counter()
result = experiment.analyze(units, control="a")
seconds = time.perf_counter() - start
found = result.to_dicts()
effects = {row["metric"]: [row["effect_size"], row["effect_size_ci_lower"]] for row in found}
print(json.dumps({"imported": imported, "analyzed": seconds, "effects": effects}))
"""


ALONE = """
import json, resource, sys, time
def memory():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
start = time.perf_counter()
from pathlib import Path
from throughline.lift import run
from throughline.warehouse import connect
from throughline.workspace import Workspace
imported = time.perf_counter() - start
workspace = Workspace(project=Path.cwd(), folder=Path(sys.argv[1]), chosen_by="bench")
with connect(workspace) as warehouse:
    run.gather(warehouse)
    inputs = run.gather(warehouse)
    before = memory()
    seconds = -time.process_time()
    results = run.compute(inputs)
    seconds += time.process_time()
rows = len(inputs.moments["metric"])
found = {"imported": imported, "rows": rows, "seconds": seconds, "megabytes": memory() - before}
print(json.dumps(found))
"""


def alone(workspace: Workspace, rows: int) -> dict[str, float]:
    """Seconds of processor and megabytes to make estimates of so many rows of moments."""
    with duckdb.connect(str(workspace.warehouse)) as connection:
        connection.execute(
            "insert into main_lift.fct_moments "
            "select fct_moments.* replace ("
            "'region' as segment_name, 'region ' || nth as segment_value) "
            "from main_lift.fct_moments, "
            f"range({rows} // (select count(*) from main_lift.fct_moments) - 1) as numbers(nth)"
        )
    done = subprocess.run(
        [sys.executable, "-c", ALONE, str(workspace.folder)],
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


@dataclass(frozen=True)
class Theirs:
    """Seconds to import and to analyze, and by metric the effect and the start of its interval."""

    imported: float
    analyzed: float
    effects: dict[str, list[float]]


def theirs(workspace: Workspace) -> Theirs:
    python = ROOT / ".build/oracles/bin/python"
    arguments = [str(workspace.warehouse), json.dumps(METRICS)]
    done = subprocess.run(
        [python, "-c", THEIRS, *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"tea-tasting failed, run `make test-oracles` once: {done.stderr}")
    return Theirs(**json.loads(done.stdout.splitlines()[-1]))


def main(units: int) -> None:
    os.chdir(ROOT)
    SCRATCH.mkdir(parents=True, exist_ok=True)
    console = Console()
    workspace = make(SCRATCH / "lift")
    environment = dbt_process.environment(workspace) | {
        "DBT_TARGET_PATH": str(SCRATCH / "target"),
        "DBT_LOG_PATH": str(SCRATCH / "logs"),
    }
    dbt = str(Path(sys.executable).with_name("dbt"))
    tests = ("--exclude-resource-type", "test", "unit_test")
    log = workspace.folder / "build.log"
    built: Measure = measure([dbt, "build", *tests], environment=environment, log=log)
    fill(workspace.warehouse, units)
    # which columns moments shift is asked of the constants when dbt compiles
    for command in (["run", "--select", "int_unit_constants"], ["compile", "-s", "fct_moments"]):
        measure([dbt, *command], environment=environment, log=log)
    table = Table(title=f"{units:,} units, five metrics with covariates", title_justify="left")
    table.add_column("")
    table.add_column("seconds", justify="right")
    found = ours(workspace)
    for name, seconds in found.items():
        table.add_row(name, f"{seconds:.2f}")
    table.add_row("ours", f"{sum(found.values()):.2f}")
    other = theirs(workspace)
    table.add_row("tea-tasting, without its import", f"{other.analyzed:.2f}")
    table.add_row("tea-tasting, with it", f"{other.imported + other.analyzed:.2f}")
    console.print(table)
    console.print(f"an empty build, to start from: {built.wall:.0f} s")
    agree(workspace, other.effects, console=console)
    found = alone(workspace, MOMENTS)
    console.print(
        f"{found['rows']:,.0f} rows of moments: {found['seconds']:.2f} s of processor, "
        f"{found['megabytes']:.0f} MB more; import of lift {found['imported']:.2f} s"
    )


def agree(workspace: Workspace, effects: dict[str, list[float]], *, console: Console) -> None:
    with duckdb.connect(str(workspace.warehouse), read_only=True) as connection:
        rows = connection.execute(
            "select metric, std_error, estimate, ci_low from main_lift.fct_lift_estimates "
            "where method = 'cuped' and totals = 'raw'"
        ).fetchall()
    assert len(rows) == len(METRICS)
    gaps = [
        max(abs(a - b) for a, b in zip(row, effects[name], strict=True)) / std_error
        for name, std_error, *row in rows
    ]
    console.print(f"largest gap between the two answers: {max(gaps):.1e} standard errors")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else UNITS)
