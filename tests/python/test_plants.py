"""Plants in twenty companies, each found where it was planted and hardly anywhere else.

By plain pandas over the raw files, with the rules that the marts of the demo are held against.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import plain_pandas
from building import ROOT
from test_fairness import log_ratio, verdicts
from throughline.simulate import simulate

pytestmark = pytest.mark.simulation
AS_OF = pd.Timestamp("2026-07-01")
COLUMNS = [
    *("model_id", "entity_id", "day", "predicted_at", "state", "cell", "is_yes", "score"),
    *("latency_ms", "gender", "age_band", "amount"),
]


@pytest.fixture(scope="module")
def twenty_companies(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Workspaces that differ by chance alone; never built."""
    folders = [tmp_path_factory.mktemp("company") for _ in range(20)]
    for seed, folder in enumerate(folders):
        simulate(out=folder, predictions=60_000, days=120, seed=seed)
    return folders


@pytest.fixture(scope="module")
def companies(twenty_companies: list[Path]) -> list[pd.DataFrame]:
    """The decisions of each."""
    found = []
    for folder in twenty_companies:
        raw = plain_pandas.read_raw(folder)
        company = plain_pandas.Company(
            raw=raw, seeds=ROOT / "seeds", as_of=f"{AS_OF:%Y-%m-%d}", segments=[]
        )
        rows = company.decisions
        found.append(rows.loc[rows.day < AS_OF, COLUMNS])
    return found


@pytest.fixture(scope="module")
def plants(twenty_companies: list[Path]) -> dict[str, dict[str, str]]:
    """They are the same in every company."""
    truth = json.loads((twenty_companies[0] / "truth.json").read_text(encoding="utf-8"))
    return dict(truth["plants"])


def allowed(judged: int, rate: float) -> int:
    return int(stats.binom.ppf(0.99, judged, rate))


def test_a_release_that_loses_calibration_is_found_in_its_week(
    companies: list[pd.DataFrame], plants: dict[str, dict[str, str]]
) -> None:
    """A week whose scores are surer than those of all days before, by Welch's test at 1 %.

    What is compared is the part of a decision in Spiegelhalter's z.
    """
    plant = plants["lost_calibration"]
    released = pd.Timestamp(plant["starts_at"]).normalize()
    found, wrong, judged = 0, 0, 0
    for decisions in companies:
        is_judged = (decisions.model_id == plant["model_id"]) & (decisions.state == "matured")
        # a lead that was scored twice would count its label twice
        rows = decisions[is_judged].sort_values("predicted_at").drop_duplicates("entity_id")
        part = (rows.is_yes.astype(float) - rows.score) * (1 - 2 * rows.score)
        week = (rows.day - released).dt.days // 7
        for number in sorted(week[week <= 0].unique())[1:]:
            test = stats.ttest_ind(
                part[week == number],
                part[week < number],
                equal_var=False,
                alternative="greater",
            )
            is_alarm = test.pvalue < 0.01
            found += is_alarm and number == 0
            wrong += is_alarm and number < 0
            judged += number < 0
    assert judged > 50
    assert wrong <= allowed(judged, 0.01)
    assert found >= 18


def test_a_group_that_is_missed_fails_and_others_pass(
    companies: list[pd.DataFrame], twenty_companies: list[Path]
) -> None:
    truth = json.loads((twenty_companies[0] / "truth.json").read_text(encoding="utf-8"))
    missed = (truth["missed_group"]["model_id"], truth["missed_group"]["missed"])
    planted = {missed, (truth["groups"]["model_id"], truth["groups"]["treated_worse"])}
    found, wrong, judged = 0, 0, 0
    for decisions in companies:
        for model_id in ("lead_scoring", "fraud_detection"):
            own = decisions[decisions.model_id == model_id]
            positives = own[own.cell.isin(["tp", "fn"])]
            for attribute in ("gender", "age_band"):
                largest = own[attribute].value_counts().index[0]
                hits = (positives.cell == "tp").groupby(positives[attribute]).agg(["sum", "size"])
                hits = hits[hits["size"] >= 20].astype(float)
                rates = {group: (row["sum"], row["size"]) for group, row in hits.iterrows()}
                told = verdicts(
                    {
                        group: log_ratio(rate, rates[largest])
                        for group, rate in rates.items()
                        if group != largest
                    }
                )
                for group, verdict in told.items():
                    found += verdict == "fail" and (model_id, group) == missed
                    wrong += verdict == "fail" and (model_id, group) not in planted
                    judged += (model_id, group) not in planted
    assert judged > 60
    assert wrong <= allowed(judged, 0.025)
    assert found >= 18


def test_a_threshold_that_is_not_the_best_is_found(
    companies: list[pd.DataFrame], twenty_companies: list[Path]
) -> None:
    """Some better threshold earns more beyond noise, and the best lies where it was planted."""
    truth = json.loads((twenty_companies[0] / "truth.json").read_text(encoding="utf-8"))
    model_id, in_force, planted = (
        truth["bad_threshold"][name] for name in ("model_id", "in_force", "better")
    )
    prices = plain_pandas.read_seed(ROOT / "seeds", "unit_values")
    prices = prices[prices.model_id == model_id].set_index("cell")
    found = []
    for decisions in companies:
        rows = decisions[(decisions.model_id == model_id) & (decisions.state == "matured")]
        rows = rows[rows.score.notna()]
        amount = rows.amount.fillna(0)
        worth = {
            cell: price.fixed_amount + price.amount_coefficient * amount
            for cell, price in prices.astype({"fixed_amount": float}).iterrows()
        }
        is_yes = rows.is_yes.astype(bool)
        spared = (worth["fn"] - worth["tp"]).where(is_yes, worth["tn"] - worth["fp"])
        # as many thresholds as the warehouse has bins, and as dense where scores are high
        shares = [*np.linspace(0, 1, 51), *np.linspace(0.9, 1, 26), *np.linspace(0.99, 1, 26)]
        thresholds = np.unique(np.quantile(rows.score, shares, method="inverted_cdf"))
        quantile = stats.norm.ppf(1 - 0.05 / (2 * len(thresholds)))
        # where nothing is found, the threshold in force stays
        best = (0.0, in_force)
        for threshold in thresholds:
            between = rows.score.between(*sorted([threshold, in_force]), inclusive="left")
            gain = spared[between].sum() * (1 if threshold > in_force else -1)
            if gain > quantile * np.sqrt((spared[between] ** 2).sum()):
                best = max(best, (gain, threshold))
        found.append(best[1])
    assert sum(in_force < threshold < planted + 0.06 for threshold in found) >= 17
