"""The SQL that models of the demo compile to, as tests/compiled keeps it for review."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

import duckdb
import pandas as pd

# what the compiler of metrics makes, the door of a raw table with few columns, and the models of
# scores, of changes and of releases, which tests run over tables of their own
MODELS = (
    *("fct_bricks", "fct_metrics", "chk_feedback"),
    *("int_score_edges", "fct_score_bins", "int_exact_score_shapes", "int_score_periods"),
    *("int_judged_periods", "int_score_bin_periods", "int_threshold_curves"),
    *("int_version_predecessors", "int_version_pairs", "int_version_comparisons"),
    *("int_override_periods", "mart_override_regret"),
    *("fct_chain_days", "int_chain_links", "mart_causal_chain"),
    *("int_kpi_associations", "mart_kpi_links"),
    *("fct_policy_days", "mart_value_over_baseline", "mart_metric_effect"),
    *("int_metric_changes", "int_movement_parts", "int_weekly_changes", "int_metric_pairs"),
    "mart_experiment_backlog",
    *("int_version_values", "mart_release_gates", "mart_forecast_grades"),
    *("fct_alert_history", "mart_alerts"),
)
# as if nothing were built yet: else the same commit compiles to other SQL by what stands there
COMMAND = ("compile", "--full-refresh", "--select", *MODELS)
KEPT = Path(__file__).resolve().parents[1] / "compiled"
ENDING = ".sql.txt"


def read(target: Path, *, workspace: str) -> dict[str, str]:
    """Compiled SQL by model, from a target folder of dbt; `workspace` is the folder dbt knew."""
    return {
        name: plain(path.read_text(encoding="utf-8"), workspace=workspace)
        for name in MODELS
        for path in (target / "compiled").rglob(f"{name}.sql")
    }


def plain(text: str, *, workspace: str) -> str:
    """The same SQL without blanks that Jinja leaves, in a workspace of the usual name."""
    lines = [line.rstrip() for line in text.replace(f"'{workspace}/", "'workspace/").splitlines()]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip() + "\n"


def kept() -> dict[str, str]:
    """Not as .sql: dbt would take such files below tests/ for tests."""
    found = KEPT.glob(f"*{ENDING}")
    return {path.name.removesuffix(ENDING): path.read_text(encoding="utf-8") for path in found}


def run(given: Mapping[str, pd.DataFrame], *chain: str) -> dict[str, pd.DataFrame]:
    """What some models make of tables, each also of those before it, in a DuckDB of its own.

    Columns that are named as days become dates, and those of objects texts, also empty ones.
    """
    made = {}
    with duckdb.connect() as connection:
        for name, frame in given.items():
            connection.register("given", frame)
            ends = ("_date", "_day", "_from", "_to", "_through", "as_of")
            casts = {column: "date" for column in frame if str(column).endswith(ends)}
            for column in frame.select_dtypes(["object", "string"]):
                casts.setdefault(column, "varchar")
            columns = [f"cast({column} as {kind}) as {column}" for column, kind in casts.items()]
            select = f"* replace ({', '.join(columns)})" if columns else "*"
            connection.execute(f"create table {name} as select {select} from given")
        texts = kept()
        for name in chain:
            sql = re.sub(r'"\w+"\."\w+"\."(\w+)"', r"\1", texts[name])
            connection.execute(f"create table {name} as {sql}")
            made[name] = connection.sql(f"from {name}").df()
    return made


def write(found: Mapping[str, str]) -> None:
    KEPT.mkdir(exist_ok=True)
    for path in KEPT.iterdir():
        path.unlink()
    for name, text in found.items():
        (KEPT / f"{name}{ENDING}").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    # make compiled, by throughline exec, which names the workspace and the target folder
    subprocess.run(["dbt", "--quiet", *COMMAND], check=True, stdout=subprocess.DEVNULL)
    chosen = os.environ["THROUGHLINE_WORKSPACE"]
    write(read(Path(os.environ["DBT_TARGET_PATH"]), workspace=chosen))
