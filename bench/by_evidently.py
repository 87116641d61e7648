"""Times Evidently's presets of drift and classification beside our models of the same subjects.

Reads the newest million decisions of the workspace that bench/bench.py leaves, with the same number
before them as their reference, and the seconds that our models took there. Runs in an environment
of its own: `make bench`. `python bench/by_evidently.py [PREDICTIONS]`.
"""

from __future__ import annotations

import json
import sys
import time

import duckdb
from evidently import BinaryClassification, DataDefinition, Dataset, Report
from evidently.presets import ClassificationPreset, DataDriftPreset
from measuring import SCRATCH

PREDICTIONS = 10_000_000
ROWS = 1_000_000
OURS = ("quality/", "marts/quality/")
"""Folders of models that hold drift and quality, and fairness, latency and thresholds besides."""
NUMBERS = ["score", "company_size", "days_since_contact", "payment_amount"]
WORDS = ["industry", "merchant_category", "offer_category"]
DECISIONS = """
    select
        {features},
        cast(decisions.confusion_cell in ('tp', 'fp') as integer) as prediction,
        cast(decisions.confusion_cell in ('tp', 'fn') as integer) as target
    from main_core.fct_decisions as decisions
    inner join main_staging.stg_prediction_logs as logs using (prediction_id)
    where decisions.confusion_cell is not null and decisions.score between 0 and 1
    order by decisions.predicted_at desc
    limit {count} offset {skipped}
"""


def main(predictions: int) -> None:
    folder = SCRATCH / str(predictions)
    features = ", ".join(f"logs.{name}" for name in (*NUMBERS, *WORDS))
    with duckdb.connect(str(folder / "warehouse.duckdb"), read_only=True) as connection:
        current, reference = (
            connection.sql(DECISIONS.format(features=features, count=ROWS, skipped=skipped)).df()
            for skipped in (0, ROWS)
        )
    definition = DataDefinition(
        numerical_columns=NUMBERS,
        categorical_columns=[*WORDS, "prediction", "target"],
        classification=[
            BinaryClassification(
                target="target", prediction_labels="prediction", prediction_probas="score"
            )
        ],
    )
    start = time.perf_counter()
    sides = (Dataset.from_pandas(side, data_definition=definition) for side in (current, reference))
    Report([DataDriftPreset(), ClassificationPreset()]).run(*sides).dict()
    theirs = len(current) / (time.perf_counter() - start)
    seconds = json.loads((folder / "seconds.json").read_text(encoding="utf-8"))
    taken = sum(took for name, took in seconds.items() if name.startswith(OURS))
    ours = predictions / taken
    print(
        f"quality and drift, rows per second: ours {ours:,.0f} ({predictions:,} in {taken:.1f} s, "
        f"every day, version and segment), Evidently {theirs:,.0f} ({len(current):,}, one period "
        f"against {len(reference):,}); {ours / theirs:.0f} times as many"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else PREDICTIONS)
