"""What a point of a metric is worth, and value beyond what was there before."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import compiled
import plain_pandas
from building import ROOT, query

CHAIN = ("fct_policy_days", "mart_value_over_baseline")
MONTHLY = 365.25 / 12 / 28
FIRST_DAY, LAST_DAY = pd.Timestamp("2026-05-01"), pd.Timestamp("2026-05-31")
# fixed amount and coefficient by cell
VALUES: Mapping[str, tuple[float, float]] = {
    "tp": (-6.0, 0.9),
    "fp": (-9.0, 0.0),
    "fn": (-15.0, -1.0),
    "tn": (0.0, 0.0),
}


@pytest.fixture(scope="module")
def company(demo: Path) -> plain_pandas.Company:
    return plain_pandas.Company(
        raw=plain_pandas.read_raw(demo),
        seeds=ROOT / "seeds",
        as_of="2026-07-01",
        segments=["channel", "device", "region"],
    )


@pytest.fixture(scope="module")
def effects(demo: Path) -> pd.DataFrame:
    return query(demo, "from mart_metric_effect").set_index(["model_id", "metric"])


def test_precision_and_recall_follow_from_the_unit_values(
    company: plain_pandas.Company, effects: pd.DataFrame
) -> None:
    found = effects.loc["lead_scoring"]
    judged_through = found.loc["precision"].period_end_date
    rows = company.decisions
    rows = rows[(rows.model_id == "lead_scoring") & (rows.day <= judged_through)]
    rows = rows[rows.cell.notna() & rows.value.notna()]
    mean = rows.groupby("cell").value.mean()
    newest = rows[rows.day > judged_through - pd.Timedelta(28, "D")]
    selected = newest.cell.isin(["tp", "fp"]).sum() * MONTHLY
    positive = newest.cell.isin(["tp", "fn"]).sum() * MONTHLY
    per_swap = mean["tp"] - mean["fp"] + mean["tn"] - mean["fn"]
    missed = rows[rows.cell == "fn"]
    as_found = company._values(missed.assign(cell="tp"))
    per_find = (as_found - missed.value).mean()
    for metric, volume, value, largest in (
        ("precision", selected, per_swap, mean.abs().max()),
        ("recall", positive, per_find, max(abs(as_found.mean()), abs(mean["fn"]))),
    ):
        row = found.loc[metric]
        assert row.basis == "unit_values"
        assert row.monthly_volume == pytest.approx(volume, rel=1e-9)
        assert row.effect_monthly_amount == pytest.approx(0.01 * volume * value, rel=1e-9)
        band = 0.01 * volume * largest * 0.2
        assert row.effect_high_amount - row.effect_monthly_amount == pytest.approx(band, rel=1e-9)


def test_links_and_costs_are_plain_products(demo: Path, effects: pd.DataFrame) -> None:
    values = query(
        demo,
        "from fct_metric_values where period = '28d' and model_version = 'all'"
        " and segment_name = 'all' and status = 'ready'",
    ).sort_values("period_end_date")
    newest = values.drop_duplicates(["model_id", "metric"], keep="last")
    newest = newest.set_index(["model_id", "metric"])
    links = pd.read_csv(ROOT / "seeds" / "kpi_links.csv").set_index(
        ["model_id", "from_metric", "to_metric"]
    )
    row = effects.loc[("lead_scoring", "acceptance_rate")]
    assert row.path == "acceptance_rate > conversion_rate > revenue_per_active_user_day"
    ends = [
        links.loc[("lead_scoring", *pair), ["expected_low", "expected_high"]].to_numpy(float)
        for pair in (
            ("acceptance_rate", "conversion_rate"),
            ("conversion_rate", "revenue_per_active_user_day"),
        )
    ]
    volume = newest.loc[("lead_scoring", "revenue_per_active_user_day")].denominator * MONTHLY
    wanted = 0.01 * ends[0].mean() * ends[1].mean() * volume
    assert row.basis == "declared_links"
    assert row.effect_monthly_amount == pytest.approx(wanted, rel=1e-9)
    assert row.effect_low_amount == pytest.approx(0.01 * ends[0][0] * ends[1][0] * volume, rel=1e-9)
    for model_id in ("fraud_detection", "demand_forecast"):
        cost = effects.loc[(model_id, "cost_per_prediction")]
        decisions = newest.loc[(model_id, "cost_per_prediction")].denominator * MONTHLY
        assert (cost.change, cost.basis) == (-0.01, "volume")
        assert cost.effect_monthly_amount == pytest.approx(0.01 * decisions, rel=1e-9)
    adoption = effects.loc[("lead_scoring", "adoption_rate")]
    assert adoption.path.startswith("adoption_rate > acceptance_rate > conversion_rate")
    assert (effects.reason.notna() == effects.effect_monthly_amount.isna()).all()
    assert (effects.assumption.isna() == effects.reason.notna()).all()


def test_the_demo_stands_beside_what_was_there_before(
    demo: Path, company: plain_pandas.Company
) -> None:
    found = query(demo, "from mart_value_over_baseline")
    rows = company.decisions
    rows = rows[(rows.model_id == "fraud_detection") & rows.cell.notna()]
    let_pass = rows.assign(cell=rows.cell.map({"tp": "fn", "fp": "tn", "fn": "fn", "tn": "tn"}))
    before = company._values(let_pass)
    compared = 0
    # the first month is not whole
    fraud = found[(found.model_id == "fraud_detection") & (found.reason != "partial_window")]
    for row in fraud.itertuples():
        of = rows.day.between(row.period_start_date, row.period_end_date)
        gain = (rows.value - before)[of]
        assert row.model_value_amount == pytest.approx(rows.value[of].sum(), rel=1e-9)
        assert row.gain_amount == pytest.approx(gain.sum(), rel=1e-9)
        half = 1.959963984540054 * gain.std() * np.sqrt(len(gain))
        assert row.gain_high_amount - row.gain_amount == pytest.approx(half, rel=1e-9)
        compared += 1
    assert compared >= 2
    reasons = found[found.period == "all"].set_index("model_id").reason
    assert reasons["lead_scoring"] == "outcome_not_observed"
    assert reasons["next_best_offer"] == "no_baseline"


def decisions_of(seed: int) -> pd.DataFrame:
    """Alerts with amounts, what an old rule said of them, and what an expert did."""
    rng = np.random.default_rng(seed)
    n = 2_000
    is_case, is_selected = rng.uniform(size=n) < 0.2, rng.uniform(size=n) < 0.3
    amount = np.where(is_case, rng.lognormal(3, 1, n), 0.0)
    weight = rng.choice([1.0, 4.0], n)
    cell = np.select(
        [is_case & is_selected, is_selected, is_case], ["tp", "fp", "fn"], default="tn"
    )
    rule = rng.choice(["yes", "no", "unclear"], n, p=[0.3, 0.6, 0.1])
    return pd.DataFrame(
        {
            "model_id": "m",
            "confusion_cell": cell,
            "sampling_weight": weight,
            "value_amount": weight * worth(cell, amount),
            "credited_amount": weight * amount,
            "user_action": rng.choice(["accepted", "overridden", "not_shown"], n),
            "final_decision": rng.choice(["true", "false"], n),
            "baseline_decision": rule,
            "amount": amount,
            "decision_date": FIRST_DAY + pd.to_timedelta(rng.integers(0, 31, n), "D"),
        }
    )


def worth(cell: np.ndarray, amount: np.ndarray) -> np.ndarray:
    fixed = pd.Series(cell).map({name: value[0] for name, value in VALUES.items()})
    share = pd.Series(cell).map({name: value[1] for name, value in VALUES.items()})
    worth_of: np.ndarray = (fixed + share * amount).to_numpy(float)
    return worth_of


def baseline_of(
    decisions: pd.DataFrame,
    policy: str | None,
    *,
    depends: bool = False,
    cells: tuple[str, ...] = ("tp", "fp", "fn", "tn"),
) -> pd.Series:
    keys = {"model_id": ["m"], "period": "all"}
    ends = {"period_start_date": FIRST_DAY, "period_end_date": LAST_DAY}
    given = {
        "fct_decisions": decisions.drop(columns="amount"),
        "dim_models": pd.DataFrame(
            {
                "model_id": ["m"],
                "positive_label": "true",
                "baseline_policy": pd.Series([policy], dtype="string"),
                "baseline_column": "rule",
                "outcome_depends_on_action": depends,
            }
        ),
        "dim_dates": pd.DataFrame({"date_day": pd.date_range(FIRST_DAY, LAST_DAY)}),
        "cfg_unit_values": pd.DataFrame(
            {
                "model_id": "m",
                "cell": cells,
                "fixed_amount": [VALUES[cell][0] for cell in cells],
                "amount_coefficient": [VALUES[cell][1] for cell in cells],
                "currency": "USD",
                "valid_from": FIRST_DAY,
                "valid_to": pd.NaT,
            }
        ),
        "cfg_exchange_rates": pd.DataFrame(
            {"currency": ["USD"], "rate": 1.0, "valid_from": FIRST_DAY, "valid_to": pd.NaT}
        ),
        "int_judged_periods": pd.DataFrame(keys | ends),
        "fct_metric_values": pd.DataFrame(
            keys
            | ends
            | {
                "metric": "value_of_decisions",
                "model_version": "all",
                "segment_name": "all",
                "reason": pd.Series([None], dtype="string"),
            }
        ),
    }
    return compiled.run(given, *CHAIN)["mart_value_over_baseline"].iloc[0]


@pytest.mark.parametrize("policy", ["all", "none", "column", "expert"])
def test_every_policy_is_valued_on_the_same_decisions(policy: str) -> None:
    rows = decisions_of(1)
    says = {
        "all": np.ones(len(rows), dtype=object),
        "none": np.zeros(len(rows), dtype=object),
        "column": rows.baseline_decision.map({"yes": 1, "no": 0}).to_numpy(object),
        "expert": rows.final_decision.map({"true": 1, "false": 0}).to_numpy(object),
    }[policy]
    known = pd.notna(says)
    is_case = rows.confusion_cell.isin(["tp", "fn"])
    cell = np.select([is_case & (says == 1), says == 1, is_case], ["tp", "fp", "fn"], default="tn")
    before = (rows.sampling_weight * worth(cell, rows.amount.to_numpy()))[known]
    gain = rows.value_amount[known] - before
    found = baseline_of(rows, policy)
    assert found.baseline_policy == policy
    assert pd.isna(found.reason)
    assert found.compared_count == rows.sampling_weight[known].sum()
    assert found.judged_count == rows.sampling_weight.sum()
    is_selected = rows.confusion_cell.isin(["tp", "fp"])
    assert found.changed_count == rows.sampling_weight[known & (says != is_selected)].sum()
    assert found.baseline_value_amount == pytest.approx(before.sum(), rel=1e-9)
    assert found.gain_amount == pytest.approx(gain.sum(), rel=1e-9)


def test_what_a_baseline_cannot_know_has_a_reason() -> None:
    rows = decisions_of(2)
    assert baseline_of(rows, None).reason == "no_baseline"
    assert baseline_of(rows, "all", depends=True).reason == "outcome_not_observed"
    assert (
        baseline_of(rows.assign(baseline_decision=None), "column").reason == "baseline_not_logged"
    )
    # nothing tells what a case is worth that is let pass
    kept = rows[rows.confusion_cell != "fn"]
    assert baseline_of(kept, "none", cells=("tp", "fp", "tn")).reason == "cell_not_valued"
    # an expert who speaks of what was overridden alone
    biased = rows.assign(
        final_decision=rows.final_decision.where(rows.user_action == "overridden", None)
    )
    assert baseline_of(biased, "expert").reason == "expert_not_sampled"
    same = rows.assign(
        baseline_decision=np.where(rows.confusion_cell.isin(["tp", "fp"]), "yes", "no")
    )
    found = baseline_of(same, "column", depends=True)
    assert (found.changed_count, found.gain_amount) == (0, 0)
