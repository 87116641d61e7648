"""Goals of the company against sums over its decisions, and the tree that they form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from building import query


@pytest.fixture(scope="module")
def goals(demo: Path) -> pd.DataFrame:
    return query(demo, "select * from mart_goals order by period_end_date, goal_id")


def test_values_of_goals_are_sums_of_the_decisions_they_cover(
    demo: Path, goals: pd.DataFrame
) -> None:
    decisions = query(
        demo, "select model_id, channel, decision_date, value_amount from fct_decisions"
    )
    money = goals[(goals.metric == "value_of_decisions") & goals.value.notna()]
    assert len(money) > 12
    for goal in money.itertuples():
        inside = decisions.decision_date.between(goal.period_start_date, goal.period_end_date)
        if goal.model_id == "(all)":
            inside &= decisions.model_id != "demand_forecast"
        else:
            inside &= decisions.model_id == goal.model_id
        if goal.segment_name == "channel":
            inside &= decisions.channel == goal.segment_value
        plain = decisions.value_amount[inside].sum()
        assert goal.value == pytest.approx(plain, rel=1e-9), goal


def test_parts_and_what_is_missing_sum_to_the_goal_above(goals: pd.DataFrame) -> None:
    money = goals[goals.contribution_kind == "part"]
    given = money.groupby(["parent_goal_id", "period_end_date"]).contribution.sum()
    above = goals.set_index(["goal_id", "period_end_date"]).loc[list(given.index)]
    ready = above.value.notna().to_numpy()
    assert ready.sum() > 4
    np.testing.assert_allclose(
        (given.to_numpy() + above.missing_value.to_numpy())[ready],
        above.value.to_numpy()[ready],
        rtol=1e-9,
    )
    # the models divide the company, two of four channels do not divide sales
    latest = goals[goals.is_latest].set_index("goal_id")
    assert latest.missing_value["worth_of_models"] == pytest.approx(0, abs=1e-6)
    assert latest.missing_value["sales_value"] > 1000


def test_weighted_goals_sum_to_the_composite(goals: pd.DataFrame) -> None:
    latest = goals[goals.is_latest].set_index("goal_id")
    weighted = latest[latest.contribution_kind == "weighted"]
    assert set(weighted.parent_goal_id) == {"sales_value"}
    way = (weighted.value - weighted.baseline) / (weighted.target - weighted.baseline)
    assert weighted.attainment.to_numpy() == pytest.approx(way.clip(0, 1).to_numpy(), rel=1e-9)
    sales = latest.loc["sales_value"]
    assert sales.composite_attainment == pytest.approx(
        np.average(way.clip(0, 1), weights=weighted.weight), rel=1e-9
    )
    assert sales.composite_attainment == pytest.approx(weighted.contribution.sum(), rel=1e-9)
    assert sales.missing_weight == 0
