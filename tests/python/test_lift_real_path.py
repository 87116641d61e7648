"""Thousands of experiments from events to decisions, by `make test-simulation`.

All share one company: experiments draw their units anew from its customers, so that they are
independent given its events. A customer's decisions come twice, months apart, the second time with
scores higher by a known amount; a treatment with an effect is one whose units were exposed then.
Arms drawn without replacement from such customers differ by S²(1/n + 1/n), as the estimator
assumes.
"""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest

from building import Project, experiment, query, seed_row
from throughline import seeds

pytestmark = pytest.mark.simulation

EXPERIMENTS = 12_000
CUSTOMERS = 3_000
UNITS_OF_NULL, UNITS_OF_EFFECT = 100, 500
EFFECT = 0.02


@pytest.fixture(scope="module")
def decided(tmp_path_factory: pytest.TempPathFactory) -> Path:
    project = Project.copy(tmp_path_factory.mktemp("path") / "project")
    workspace = project.root / "workspace"
    rng = np.random.default_rng(20)
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        tell_events(connection, workspace, rng)
        tell_assignments(connection, workspace, rng)
    declare(project, workspace)
    run = project.run(
        workspace,
        [
            *("dbt", "--quiet", "build", "--select", "+fct_moments", "+fct_lift_estimates"),
            *("+fct_lift_decisions", "+fct_lift_splits", "--exclude-resource-type", "test"),
            *("--exclude-resource-type", "unit_test"),
        ],
    )
    assert run.status == 0, run.output
    lift = project.run(workspace, ["throughline", "lift", "--json"])
    assert lift.status == 0, lift.output[-2000:]
    return workspace


def tell_events(
    connection: duckdb.DuckDBPyConnection, workspace: Path, rng: np.random.Generator
) -> None:
    """One to three decisions of each customer in January, and again in March."""
    count = rng.integers(1, 4, CUSTOMERS)
    customer = np.repeat(np.arange(CUSTOMERS), count)
    taste = rng.gamma(2.0, 0.06, CUSTOMERS)
    score = np.clip(taste[customer] + rng.gamma(2.0, 0.03, len(customer)), 0, 0.95)
    events = pd.DataFrame({"customer": customer, "score": score})
    events["number"] = np.arange(len(events))
    folder = workspace / "raw" / "prediction_logs"
    folder.mkdir(parents=True)
    connection.execute(
        f"""
        copy (
            select month || '-' || number as prediction_id, 'ranker' as model_id,
                'v1' as model_version,
                make_timestamp(2026, month, 2 + (number % 5)::int, 9, 0, 0) as predicted_at,
                'c' || customer as entity_id, 'c' || customer as user_id,
                score + if(month = 3, {EFFECT}, 0) as score, predicted_at as loaded_at
            from events cross join (values (1), (3)) as months(month)
        ) to '{folder}/rows.parquet' (format parquet)
        """
    )


def tell_assignments(
    connection: duckdb.DuckDBPyConnection, workspace: Path, rng: np.random.Generator
) -> None:
    folder = workspace / "raw" / "experiment_assignments"
    folder.mkdir(parents=True)
    for name, units in (("null", UNITS_OF_NULL), ("effect", UNITS_OF_EFFECT)):
        drawn = rng.permuted(
            np.tile(np.arange(CUSTOMERS, dtype=np.int16), (EXPERIMENTS, 1)), axis=1
        )[:, : 2 * units]
        chosen = {"customer": np.ascontiguousarray(drawn).ravel()}
        connection.register("chosen", chosen)
        connection.execute(
            f"""
            copy (
                select '{name}' || number // {2 * units} as experiment_id,
                    'c' || customer as unit_id,
                    if(number % {2 * units} < {units}, 'control', 'treatment') as variant,
                    case when '{name}' = 'effect' and variant = 'treatment'
                        then timestamp '2026-03-01' else timestamp '2026-01-01' end as assigned_at,
                    assigned_at as loaded_at
                from (select customer, row_number() over () - 1 as number from chosen)
            ) to '{folder}/{name}.parquet' (format parquet)
            """
        )
        connection.unregister("chosen")


def declare(project: Project, workspace: Path) -> None:
    specs = seeds.read_specs(project.root)
    folder = workspace / "seeds"
    folder.mkdir()
    for name, spec in specs.items():
        (folder / f"{name}.csv").write_text(",".join(spec.header) + "\n")
    with (folder / "model_registry.csv").open("a") as file:
        row = {"model_id": "ranker", "model_name": "Ranker", "product": "Shop", "task": "ranking"}
        row |= {"team": "a", "charter": "b", "horizon_days": "7", "label_delay_days": "1"}
        row |= {"label_outcome": "sold", "negative_on_absence": "true", "owner": "a"}
        file.write(seed_row("model_registry", **row, rationale="b") + "\n")
    plan = {
        "model_id": "ranker",
        "start_date": "2026-01-01",
        "planned_end_date": "2026-03-02",
        "window_days": "10",
        "covariate_days": "",
        "primary_metric": "deal_score",
        "minimum_effect": "1e-9",
        "minimum_effect_kind": "absolute",
    }
    with (folder / "experiments.csv").open("a") as file:
        for name in ("null", "effect"):
            for number in range(EXPERIMENTS):
                file.write(experiment(f"{name}{number}", **plan) + "\n")
    (workspace / "vars.yml").write_text(
        "as_of: '2026-06-01'\ninputs: [prediction_logs, experiment_assignments]\n"
        "segments: []\nprotected_attributes: []\n"
    )


def test_equal_arms_are_told_apart_as_often_as_alpha_says(decided: Path) -> None:
    rows = query(
        decided,
        "select p_value, decision from fct_lift_estimates inner join fct_lift_decisions "
        "using (experiment_id) where experiment_id like 'null%' and fct_lift_estimates.method = "
        "'unadjusted'",
    )
    assert len(rows) == EXPERIMENTS
    assert 0.042 < (rows.p_value < 0.05).mean() < 0.058
    assert 0.019 < (rows.decision == "ship").mean() < 0.031


def test_intervals_hold_the_effect_as_often_as_they_say(decided: Path) -> None:
    rows = query(
        decided,
        "select * from fct_lift_estimates where experiment_id like 'effect%' "
        "and method = 'unadjusted' and status = 'ok'",
    )
    assert len(rows) == EXPERIMENTS
    assert rows.unit_count_control.min() >= 500
    assert 0.94 < rows.ci_low.lt(EFFECT).mul(rows.ci_high.gt(EFFECT)).mean() < 0.96
    assert abs(rows.estimate.mean() - EFFECT) < 5 * rows.estimate.std() / np.sqrt(EXPERIMENTS)
