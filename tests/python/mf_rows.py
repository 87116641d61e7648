"""Answers metric queries with MetricFlow, many in one process: reads and writes JSON."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from typing import Any

from dbt_metricflow.cli.cli_configuration import CLIConfiguration
from metricflow.engine.metricflow_engine import MetricFlowQueryRequest


def day(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def main() -> None:
    """Reads a list of queries and writes a list of rows for each.

    A query is {"metrics": [...], "group_by": [...]} or {"saved_query": name}; the first may say its
    "first" and "last" day.
    """
    queries = json.load(sys.stdin)
    configuration = CLIConfiguration()
    configuration.setup(configure_file_logging=False)
    answers: list[list[dict[str, Any]]] = []
    for query in queries:
        request = MetricFlowQueryRequest.create(
            saved_query_name=query.get("saved_query"),
            metric_names=query.get("metrics"),
            group_by_names=query.get("group_by"),
            time_constraint_start=day(query.get("first")),
            time_constraint_end=day(query.get("last")),
        )
        table = configuration.mf.query(request).result_df
        if table is None:
            raise RuntimeError(f"MetricFlow gave no rows for {query}")
        answers.append([dict(zip(table.column_names, row, strict=True)) for row in table.rows])
    print("ANSWERS " + json.dumps(answers, default=str))


if __name__ == "__main__":
    main()
