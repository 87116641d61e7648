"""Numbers of every task, from raw rows to mart_model_quality, against scikit-learn.

Two hundred random sets of each task, with ties, weights, rows without a label, one class and rare
positives. Numbers a and b agree where |a - b| <= 1e-9 max(1, |b|).
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest
import sklearn.metrics as sk

ROOT = Path(__file__).resolve().parents[2]
SETS = 200
FIRST_DAY, AS_OF = "2026-05-01", "2026-05-12 00:00:00"
# the labels of this day are still to come, but for those that say that all before were delivered
LAST_DAY = "2026-05-11"
TASKS = ("binary", "ranking", "regression", "multiclass")
SETTINGS = f"""\
as_of: "{AS_OF}"
inputs: [prediction_logs, business_outcomes]
segments: []
protected_attributes: []
minimum_cell: 1
"""


def weights(draw: np.random.Generator, n: int, seed: int) -> np.ndarray:
    return draw.choice([1.0, 2.0, 8.0], n) if seed % 3 else np.ones(n)


def without_some(draw: np.random.Generator, labels: np.ndarray) -> pd.Series:
    """Labels of which a tenth never comes."""
    return pd.Series(labels, dtype=object).mask(draw.uniform(size=len(labels)) < 0.1)


def binary(seed: int) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    n = int(draw.integers(40, 300))
    share = draw.choice([0.5, 0.2, 0.02]) if seed % 10 else float(seed % 20 == 0)
    is_positive = draw.uniform(size=n) < share
    score = draw.beta(1 + 2 * is_positive, 3 - 2 * is_positive)
    # scores that many share, also the threshold itself
    score = np.round(score, seed % 3 + 1)
    if seed % 25 == 7:
        score[:] = 0.5
    return pd.DataFrame(
        {
            "score": score,
            "outcome_label": without_some(draw, np.where(is_positive, "yes", "no")),
            "weight": weights(draw, n, seed),
        }
    )


def ranking(seed: int) -> pd.DataFrame:
    """Lists of one to fourteen items; of some lists nothing is wanted."""
    draw = np.random.default_rng(1_000 + seed)
    lengths = draw.integers(1, 15, int(draw.integers(10, 30)))
    list_id = np.repeat(np.arange(len(lengths)), lengths)
    share = draw.choice([0.4, 0.1]) if seed % 10 else float(seed % 20 == 0)
    is_wanted = draw.uniform(size=len(list_id)) < share
    return pd.DataFrame(
        {
            "list_id": list_id,
            "rank_position": np.concatenate([draw.permutation(n) + 1 for n in lengths]),
            # nobody takes what is not wanted
            "outcome_label": pd.Series(is_wanted).map({True: "yes", False: None}),
            "weight": weights(draw, len(lengths), seed)[list_id],
        }
    )


def regression(seed: int) -> pd.DataFrame:
    draw = np.random.default_rng(2_000 + seed)
    n = int(draw.integers(40, 300))
    # sums of squares lose twice the digits that a mean has before its spread
    actual = np.round(draw.normal(draw.choice([0, 50, 1_000]), 20, n), seed % 3)
    if seed % 10 == 0:
        actual[:] = seed % 20
    return pd.DataFrame(
        {
            "predicted_value": np.round(actual + draw.normal(draw.choice([0, 8]), 10, n), 1),
            "outcome_value": without_some(draw, actual),
            "weight": weights(draw, n, seed),
        }
    )


def multiclass(seed: int) -> pd.DataFrame:
    """Some classes are never predicted, others never occur."""
    draw = np.random.default_rng(3_000 + seed)
    n = int(draw.integers(40, 300))
    occurring = list("abcdef")[: 1 if seed % 10 == 0 else int(draw.integers(2, 7))]
    actual = draw.choice(occurring, n, p=draw.dirichlet(np.ones(len(occurring))))
    is_right = draw.uniform(size=n) < draw.uniform(0.2, 1)
    return pd.DataFrame(
        {
            "predicted_label": np.where(is_right, actual, draw.choice(list("bcdefg"), n)),
            "outcome_label": without_some(draw, actual),
            "weight": weights(draw, n, seed),
        }
    )


MAKERS: dict[str, Callable[[int], pd.DataFrame]] = {
    "binary": binary,
    "ranking": ranking,
    "regression": regression,
    "multiclass": multiclass,
}


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    """Every decision of every set, with what became of it."""
    made = [
        MAKERS[task](seed).assign(task=task, model_id=f"{task}_{seed:03}")
        for task in TASKS
        for seed in range(SETS)
    ]
    found = pd.concat(made, ignore_index=True)
    # a list is of one moment
    moment = found.list_id.fillna(pd.Series(found.index % 1_000, index=found.index))
    at = pd.Timestamp(FIRST_DAY) + pd.to_timedelta(moment.astype(int) % 10, "D")
    ids = [f"p{number}" for number in found.index]
    return found.assign(prediction_id=ids, predicted_at=at)


@pytest.fixture(scope="module")
def built(rows: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """What the mart says of all days of each set."""
    folder = tmp_path_factory.mktemp("tasks") / "workspace"
    write_workspace(folder, rows)
    command = ["throughline", "exec", "--", "dbt", "--quiet", "build", "--select"]
    excluded = ["--exclude-resource-type", "test", "--exclude-resource-type", "unit_test"]
    places = {
        "THROUGHLINE_WORKSPACE": str(folder),
        "DBT_TARGET_PATH": str(folder.parent / "target"),
        "DBT_LOG_PATH": str(folder.parent / "logs"),
    }
    environment = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [ROOT / ".venv/bin" / command[0], *command[1:], "+mart_model_quality", *excluded],
        cwd=ROOT,
        env=environment | places,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    with duckdb.connect(str(folder / "warehouse.duckdb"), read_only=True) as connection:
        mart = connection.sql(
            "from main_marts.mart_model_quality where period = 'all' and model_version = 'all'"
        ).df()
    return mart.set_index("model_id")


def write_workspace(folder: Path, rows: pd.DataFrame) -> None:
    (folder / "seeds").mkdir(parents=True)
    (folder / "vars.yml").write_text(SETTINGS)
    models = rows.drop_duplicates("model_id")
    is_called = models.task.isin(["binary", "ranking"])
    registry = models[["model_id", "task"]].assign(
        **dict.fromkeys(["model_name", "product", "team", "charter", "owner", "rationale"], "any"),
        label_outcome="seen",
        positive_label=is_called.map({True: "yes", False: ""}),
        label_is="neutral",
        decision_threshold=(models.task == "binary").map({True: "0.5", False: ""}),
        horizon_days=1,
        label_delay_days=0,
        negative_on_absence=models.task == "ranking",
        score_is_probability=models.task == "binary",
    )
    for path in (ROOT / "seeds").glob("*.csv"):
        header = pd.read_csv(path, nrows=0)
        frame = registry if path.stem == "model_registry" else header
        frame.reindex(columns=header.columns).to_csv(folder / "seeds" / path.name, index=False)
    last = models.assign(
        prediction_id="last-" + models.model_id,
        list_id=models.list_id.mask(models.task == "ranking", 99),
        predicted_at=pd.Timestamp(LAST_DAY),
        outcome_label="yes",
        outcome_value=models.outcome_value.mask(models.task == "regression", 1),
    )
    rows = pd.concat([rows, last], ignore_index=True)
    logs = rows.assign(
        model_version="1",
        entity_id=rows.prediction_id,
        sampling_fraction=1 / rows.weight,
        loaded_at=rows.predicted_at,
    )
    known_at = rows.predicted_at + pd.Timedelta(hours=1)
    outcomes = rows.assign(
        outcome_id="o" + rows.prediction_id,
        outcome_name="seen",
        entity_id=rows.prediction_id,
        occurred_at=known_at,
        observed_at=known_at,
        status="final",
        loaded_at=known_at,
    )[rows.outcome_label.notna() | rows.outcome_value.notna()]
    for name, frame in (("prediction_logs", logs), ("business_outcomes", outcomes)):
        (folder / "raw" / name).mkdir(parents=True)
        frame.drop(columns=["task", "weight"]).to_csv(
            folder / "raw" / name / "rows.csv", index=False
        )


def judged(rows: pd.DataFrame, task: str) -> Iterator[tuple[str, pd.DataFrame]]:
    of = rows[rows.task == task]
    known = of[of.outcome_label.notna() | of.outcome_value.notna() | (task == "ranking")]
    yield from ((str(model_id), found) for model_id, found in known.groupby("model_id"))


def same(found: float, wanted: float) -> None:
    """What is undefined is NULL in the mart and no number in `wanted`."""
    is_same = abs(found - wanted) <= 1e-9 * max(1.0, abs(wanted))
    assert is_same or (np.isnan(found) and np.isnan(wanted)), (found, wanted)


def test_every_set_is_told(rows: pd.DataFrame, built: pd.DataFrame) -> None:
    assert len(built) == len(TASKS) * SETS
    plain = rows.groupby("model_id").weight.sum()
    counted = built.matured_count + built.unlabelled_count
    assert np.allclose(counted.sort_index(), plain.sort_index(), rtol=1e-9)


def test_decisions_equal_scikit_learn(rows: pd.DataFrame, built: pd.DataFrame) -> None:
    undefined = 0
    for model_id, of in judged(rows, "binary"):
        cell, w = built.loc[model_id], of.weight
        y, called = of.outcome_label == "yes", of.score >= 0.5
        same(cell.accuracy, sk.accuracy_score(y, called, sample_weight=w))
        same(cell.brier_score, sk.brier_score_loss(y, of.score, sample_weight=w))
        more = {"sample_weight": w, "zero_division": np.nan}
        two_sided = y.nunique() == called.nunique() == 2
        wanted = {
            "precision": sk.precision_score(y, called, **more),
            "recall": sk.recall_score(y, called, **more),
            "f1": sk.f1_score(y, called, **more),
            "false_positive_rate": 1 - sk.recall_score(y, called, pos_label=False, **more),
            # zero over zero, of which scikit-learn makes 0
            "mcc": sk.matthews_corrcoef(y, called, sample_weight=w) if two_sided else np.nan,
        }
        for name, number in wanted.items():
            same(cell[name], number)
            undefined += bool(np.isnan(number))
    assert undefined > SETS / 10


def test_lists_equal_scikit_learn(rows: pd.DataFrame, built: pd.DataFrame) -> None:
    unwanted = 0
    for model_id, of in judged(rows, "ranking"):
        cell = built.loc[model_id]
        gains, first_places, hits, list_weights, has_wanted = [], [], [], [], []
        for _, items in of.groupby("list_id"):
            # an item that is never wanted at the end: scikit-learn refuses lists of one
            places = np.append(items.rank_position, items.rank_position.max() + 1)
            wanted = np.append(items.outcome_label.notna(), False)
            is_first = wanted & (places == places[wanted].min(initial=places.max()))
            gains.append(sk.ndcg_score([wanted], [-places], k=10))
            hits.append(sk.ndcg_score([wanted], [-places], k=1))
            # the precision at the first that is wanted, of which there is one
            first_places.append(
                sk.label_ranking_average_precision_score([is_first], [-places])
                if wanted.any()
                else 0.0
            )
            list_weights.append(items.weight.iloc[0])
            has_wanted.append(bool(wanted.any()))
        same(cell.mrr, np.average(first_places, weights=list_weights))
        same(cell.hit_rate_at_1, np.average(hits, weights=list_weights))
        unwanted += len(has_wanted) - sum(has_wanted)
        # a list of which nothing is wanted has no best order
        of_wanted = np.array(list_weights) * has_wanted
        same(cell.ndcg_at_10, np.average(gains, weights=of_wanted) if of_wanted.any() else np.nan)
    assert unwanted > SETS


def test_forecasts_equal_scikit_learn(rows: pd.DataFrame, built: pd.DataFrame) -> None:
    for model_id, of in judged(rows, "regression"):
        cell, w = built.loc[model_id], of.weight
        y, p = of.outcome_value.astype(float), of.predicted_value
        error = sk.mean_absolute_error(y, p, sample_weight=w)
        same(cell.mae, error)
        same(cell.rmse, sk.root_mean_squared_error(y, p, sample_weight=w))
        same(cell.bias, np.average(p - y, weights=w))
        size = sk.mean_absolute_error(y, 0 * y, sample_weight=w)
        same(cell.wape, error / size if size else np.nan)
        # a constant has nothing to explain
        r2 = sk.r2_score(y, p, sample_weight=w) if y.nunique() > 1 else np.nan
        same(cell.r2, r2)


def test_classes_equal_scikit_learn(rows: pd.DataFrame, built: pd.DataFrame) -> None:
    for model_id, of in judged(rows, "multiclass"):
        cell, y, p = built.loc[model_id], of.outcome_label, of.predicted_label
        same(cell.accuracy, sk.accuracy_score(y, p, sample_weight=of.weight))
        same(cell.macro_f1, sk.f1_score(y, p, average="macro", sample_weight=of.weight))
