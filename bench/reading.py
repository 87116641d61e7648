"""Times what people read: fifty queries of a BI tool on the published file, and the boards.

Beside them stand the same questions to the facts of the warehouse, by the query that a metric is
made of, and to `mf query`. Boards are drawn of this workspace and of one with thirty models.
`python bench/reading.py [PREDICTIONS]`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import duckdb
import numpy as np
from measuring import ROOT, SCRATCH
from rich.console import Console
from rich.table import Table

import companies
from throughline import boards, metric_query, publish
from throughline.workspace import Workspace

PREDICTIONS = 10_000_000
DAYS = 120
REPEATS = 20
LIMIT_MS = 50.0
ASKED = ("precision", "recall", "acceptance_rate", "value_of_decisions", "cost_to_serve")
"""Metrics that are asked of the marts, of the facts and of MetricFlow."""
FEATURES = [
    *("mart_models", "mart_scorecard", "mart_scorecard_pillars", "mart_metric_catalog"),
    *("mart_alerts", "mart_goals", "mart_review_calendar", "mart_learning_log"),
    *("mart_experiment_decisions", "mart_releases", "mart_costs", "mart_value_ledger"),
]
"""Marts that a tool opens whole."""


def questions(models: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Fifty queries as a dashboard asks them: a name and the SQL."""
    for mart in FEATURES:
        yield f"{mart}, whole", f"select * from {mart}"
    for metric in ASKED:
        one = f"metric = '{metric}' and segment_name = 'all'"
        yield (
            f"{metric}, daily by model",
            f"""
            select metric_date, model_id, value_28d from mart_metric_timeline
            where {one} order by metric_date""",
        )
        yield (
            f"{metric}, months by model",
            f"""
            select month_start_date, model_id, value from mart_metric_months
            where {one} and model_version = 'all' order by 1, 2""",
        )
        yield (
            f"{metric}, by region",
            f"""
            select month_start_date, segment_value, value from mart_metric_months
            where metric = '{metric}' and segment_name = 'region' and model_version = 'all'""",
        )
        yield (
            f"{metric}, last month's worst",
            f"""
            select * from mart_metric_months where metric = '{metric}' and value is not null
            order by month_start_date desc, value limit 20""",
        )
    for model in models[:2]:
        of = f"model_id = '{model}'"
        for mart in (
            *("mart_scorecard", "mart_drift", "mart_fairness", "mart_calibration"),
            *("mart_threshold_curve", "mart_latency", "mart_causal_chain", "mart_model_quality"),
            "mart_adoption",
        ):
            yield f"{mart} of {model}", f"select * from {mart} where {of} order by all limit 1000"


def milliseconds(run: Callable[[], object]) -> float:
    """The 95th percentile of repeats, in milliseconds."""
    taken = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        run()
        taken.append((time.perf_counter() - start) * 1000)
    return float(np.percentile(taken, 95))


def built(predictions: int) -> Workspace:
    """The workspace that bench/bench.py leaves, or a new one."""
    folder = SCRATCH / str(predictions)
    workspace = Workspace(project=ROOT, folder=folder, chosen_by="bench")
    throughline = str(Path(sys.executable).with_name("throughline"))
    environment = {**os.environ, "THROUGHLINE_WORKSPACE": workspace.relative}
    if not workspace.warehouse.exists():
        size = ["--predictions", str(predictions), "--days", str(DAYS), "--seed", "7"]
        command = [throughline, "simulate", *size, "--out", str(folder)]
        subprocess.run(command, env=environment, cwd=ROOT, check=True)
        command = [throughline, "build", "--no-tests", "--quiet"]
        subprocess.run(command, env=environment, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    if not workspace.published.exists():
        publish.publish(workspace)
    return workspace


def main(predictions: int) -> None:
    os.chdir(ROOT)
    # where bench/bench.py lets dbt write
    os.environ |= {"DBT_TARGET_PATH": ".build/bench/target", "DBT_LOG_PATH": ".build/bench/logs"}
    console = Console()
    workspace = built(predictions)
    marts = duckdb.connect(str(workspace.published), read_only=True)
    marts.execute("use main_marts")
    models = [name for (name,) in marts.execute("select model_id from mart_models").fetchall()]
    asked = dict(questions(sorted(models)))
    assert len(asked) == 50, len(asked)
    took = {
        name: milliseconds(lambda sql=sql: marts.execute(sql).fetchall())  # type: ignore[misc]
        for name, sql in asked.items()
    }
    slow = {name: ms for name, ms in took.items() if ms > LIMIT_MS}
    size = workspace.published.stat().st_size / 1e6
    console.print(f"{predictions:,} predictions: the published file has {size:,.0f} MB.")
    console.print(
        f"50 queries, p95 of {REPEATS}: median {np.median(list(took.values())):.1f} ms, slowest "
        f"{max(took.values()):.1f} ms; {len(slow)} above {LIMIT_MS:.0f} ms {slow or ''}"
    )
    table = Table("28 days of", "mart ms", "facts ms", "mf query s")
    last = metric_query.last_complete_day(workspace)
    sqls = metric_query.queries(workspace, metrics=ASKED, model_id=None, last_date=last)
    with duckdb.connect(str(workspace.warehouse), read_only=True) as facts:
        for metric, sql in sqls.items():
            on_mart = f"""
                select model_id, value_28d from mart_metric_timeline
                where metric = '{metric}' and segment_name = 'all' and metric_date = '{last}'"""
            mart = milliseconds(lambda sql=on_mart: marts.execute(sql).fetchall())  # type: ignore[misc]
            fact = milliseconds(lambda sql=sql: facts.execute(sql).fetchall())  # type: ignore[misc]
            table.add_row(metric, f"{mart:.1f}", f"{fact:.1f}", "")
    throughline = str(Path(sys.executable).with_name("throughline"))
    environment = {**os.environ, "THROUGHLINE_WORKSPACE": workspace.relative}
    # MetricFlow looks for what dbt wrote down in target/, whatever the variable says
    del environment["DBT_TARGET_PATH"]
    parse = [throughline, "exec", "--", "dbt", "--quiet", "parse"]
    subprocess.run(parse, env=environment, check=True)
    start = time.perf_counter()
    group = "metric_time__month"
    command = [throughline, "exec", "--", "mf", "query", "--metrics", ASKED[0], "--group-by", group]
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    table.add_row(f"{ASKED[0]}, by month", "", "", f"{time.perf_counter() - start:.1f}")
    console.print(table)
    marts.close()
    if shutil.which(boards.PROGRAM) or (ROOT / ".build" / "boards-venv").exists():
        inputs = "inputs: [prediction_logs, business_outcomes]\n"
        many = companies.fresh("bench", companies.MANY, settings=inputs)
        companies.throughline(many, "build", "--no-tests")
        of_many = Workspace(project=ROOT, folder=many, chosen_by="bench")
        for count, drawn_of in ((len(models), workspace), (len(companies.MANY), of_many)):
            start = time.perf_counter()
            drawn = boards.render(drawn_of, with_pdf=False)
            console.print(f"Boards of {count} models: {drawn}, {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else PREDICTIONS)
