"""Builds a workspace on a Spark that is elsewhere, prints every difference to a build on DuckDB.

`python tests/engines/elsewhere.py cluster|connect FOLDER WORKSPACE`; the workspace is built on
DuckDB already. A process of its own, because a process has one kind of session for life.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import engines
import parity
from engines import Engine

STARTERS: Mapping[str, Callable[[Path], AbstractContextManager[Engine]]] = {
    "cluster": engines.spark_cluster,
    "connect": engines.spark_connect,
}


def main(place: str, folder: str, company: str) -> int:
    workspace = engines.chosen(Path(company))
    with STARTERS[place](Path(folder)) as engine:
        engines.bring(engine, workspace)
        engines.dbt(engine, workspace, *("build", "--exclude-resource-type", "test", "unit_test"))
        engines.lift(engine, workspace)
        read = functools.partial(engines.read_spark, engine)
        found = list(parity.differences(workspace.warehouse, read))
    print("\n".join(found))
    return len(found)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
