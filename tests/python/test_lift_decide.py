"""The decision table, over every combination of its inputs and from moments to the decision."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from itertools import product
from typing import Any

import numpy as np
import pytest
from scipy import stats

from lift_cases import moments_row, table_of
from test_lift_table import INSTRUMENT, METRICS, PLAN, normal, pair, trending
from throughline.lift.decide import (
    DecisionRow,
    Evidence,
    Guard,
    Primary,
    decide,
    decisions,
    guardrail_states,
    primary_state,
)
from throughline.lift.plan import Experiment, Guardrail
from throughline.lift.stakes import Stake
from throughline.lift.table import estimate

PRIMARIES: tuple[Primary | None, ...] = ("win", "small", "flat", "open", "harm", None)
RAILS: dict[str, tuple[Guard, ...]] = {
    "none": (),
    "pass": ("pass", "pass"),
    "unknown": ("pass", "unknown"),
    "fail": ("unknown", "fail", "pass"),
}
# primary, guardrails, complete, horizon, planned power, extended, costs more than it brings:
# `*` is any, `a|b` is either.
TABLE = """
*      fail      * *          * * *  roll_back guardrail_harm
-      *         n *          * * *  extend    not_ready
-      *         y *          * * *  hold      primary_unavailable
harm   *         * *          * * *  roll_back primary_harm
*      *         n fixed      * * *  extend    before_planned_end
small  *         * *          * * *  hold      below_minimum_effect
flat   *         * *          * * *  hold      futile
win    *         * *          * * y  hold      costs_more_than_it_brings
win    none|pass * *          * * *  ship      -
win    unknown   n *          * * *  extend    guardrail_unknown
win    unknown   y *          * * *  hold      guardrail_underpowered
open   *         n sequential * * *  extend    undecided
open   *         y *          y * *  hold      no_evidence_at_planned_power
open   *         y *          n n *  extend    underpowered
open   *         y *          n y *  hold      underpowered
"""
RULES = [line.split() for line in TABLE.strip().splitlines()]
EITHER = (False, True)
EVERY = list(product(PRIMARIES, RAILS, EITHER, ("fixed", "sequential"), EITHER, EITHER, EITHER))


def wanted(state: Sequence[str]) -> tuple[str, str | None]:
    for *pattern, decision, reason in RULES:
        if all(p == "*" or s in p.split("|") for p, s in zip(pattern, state, strict=True)):
            return decision, None if reason == "-" else reason
    raise AssertionError(state)


def evidence(state: tuple[Any, ...], **more: Any) -> Evidence:
    primary, rails, is_complete, horizon, has_power, is_extended, costs_more = state
    return Evidence(
        primary=primary,
        guardrails=RAILS[rails],
        is_complete=is_complete,
        is_fixed_horizon=horizon == "fixed",
        has_planned_power=has_power,
        is_extended=is_extended,
        costs_more=costs_more,
        **more,
    )


def written(state: tuple[Any, ...]) -> list[str]:
    words = {None: "-", True: "y", False: "n"}
    return [words.get(value, value) for value in state]


def test_every_combination_has_the_outcome_of_its_first_rule() -> None:
    assert len(EVERY) == 6 * 4 * 2**5
    found: Counter[tuple[str, str | None]] = Counter()
    for state in EVERY:
        verdict = decide(evidence(state))
        outcome = (verdict.decision, verdict.reason)
        assert outcome == wanted(written(state)), state
        found[outcome] += 1
    # No rule is dead.
    assert set(found) == {(d, None if r == "-" else r) for *_, d, r in RULES}


@pytest.mark.parametrize(
    "fault", ["srm", "multi_exposure", "pre_period_imbalance", "masked_window"]
)
def test_an_invalid_experiment_stops_whatever_it_shows(fault: str) -> None:
    for state in EVERY:
        verdict = decide(evidence(state, fault=fault, is_identified=False))
        assert (verdict.decision, verdict.reason) == ("stop_invalid", fault)


def test_what_is_not_identified_holds_whatever_it_shows() -> None:
    for state in EVERY:
        verdict = decide(evidence(state, is_identified=False))
        assert (verdict.decision, verdict.reason) == ("hold", "not_identified")


def test_only_a_win_with_every_guardrail_passed_ships() -> None:
    for state in EVERY:
        if decide(evidence(state)).decision == "ship":
            assert state[0] == "win"
            assert state[1] in ("none", "pass")
            assert not state[-1]


@pytest.mark.parametrize(
    ("low", "high", "state"),
    [
        (0.1, 0.5, "win"),
        (0.1, 0.3, "win"),
        (0.1, 0.29, "small"),
        (0.0, 0.29, "flat"),
        (-0.1, 0.0, "flat"),
        (0.0, 0.3, "open"),
        (-0.1, 0.4, "open"),
        (-0.2, -0.1, "harm"),
        (np.nan, 0.3, None),
        (np.nan, -0.1, "harm"),
        (0.1, np.nan, None),
    ],
)
def test_states_of_the_primary(low: float, high: float, state: Primary | None) -> None:
    assert primary_state(low, high, minimum_effect=0.3) == state


def test_states_of_guardrails() -> None:
    found = guardrail_states(
        passes=np.array([True, False, False, True]), harms=np.array([False, False, True, True])
    )
    # A small certain loss within the margin passes.
    assert found.tolist() == ["pass", "unknown", "fail", "pass"]


GUARDED = replace(PLAN, guardrails=(Guardrail(metric="latency", margin=0.05, kind="relative"),))


def decided(
    *rows: dict[str, Any], plan: Experiment = PLAN, stored: str | None = None, **options: Any
) -> list[DecisionRow]:
    found = estimate(table_of(rows), experiments=[plan], metrics=METRICS, **options)
    hashes = {plan.experiment_id: stored} if stored else {}
    return decisions(found, experiments=[plan], metrics=METRICS, first_plan_hashes=hashes)


def outcome(*rows: dict[str, Any], **options: Any) -> tuple[str, str | None]:
    (row,) = decided(*rows, **options)
    return row.decision, row.reason


ABSOLUTE = replace(PLAN, minimum_effect=0.5, minimum_effect_kind="absolute")


@pytest.mark.parametrize(
    ("rows", "options", "wanted"),
    [
        (pair(0.6), {}, ("ship", None)),
        (pair(-0.6), {}, ("roll_back", "primary_harm")),
        (pair(0.25), {}, ("hold", "below_minimum_effect")),
        (pair(0.0), {}, ("hold", "futile")),
        (pair(0.3, n=100), {}, ("extend", "underpowered")),
        (pair(0.6, as_of="2026-06-01"), {}, ("extend", "before_planned_end")),
        (pair(-0.9, as_of="2026-06-01"), {}, ("roll_back", "primary_harm")),
        (pair(n=5, as_of="2026-06-01"), {}, ("extend", "not_ready")),
        (pair(n=5), {}, ("hold", "primary_unavailable")),
        (pair(0.6), {"masked": ["trial"]}, ("stop_invalid", "masked_window")),
        ([normal("control"), normal("treatment", n=1400)], {}, ("stop_invalid", "srm")),
        (pair(0.6), {"plan": replace(PLAN, comparison="before_after")}, ("hold", "not_identified")),
        (pair(0.6), {"plan": ABSOLUTE}, ("ship", None)),
        (pair(0.6), {"stored": "another"}, ("hold", "plan_changed")),
        (pair(0.0), {"stored": "another"}, ("hold", "futile")),
    ],
)
def test_from_moments_to_decision(
    rows: list[dict[str, Any]], options: dict[str, Any], wanted: tuple[str, str | None]
) -> None:
    assert outcome(*rows, **options) == wanted


@pytest.mark.parametrize(
    ("lift", "sd", "day", "wanted"),
    [
        (0.0, 2.0, "2026-07-01", ("ship", None)),
        (0.8, 2.0, "2026-07-01", ("roll_back", "guardrail_harm")),
        (0.3, 6.0, "2026-07-01", ("hold", "guardrail_underpowered")),
    ],
)
def test_guardrails_hold_a_win_until_they_have_evidence(
    lift: float, sd: float, day: str, wanted: tuple[str, str | None]
) -> None:
    rows = [*pair(0.6, as_of=day), *pair(lift, sd=sd, metric="latency", as_of=day)]
    assert outcome(*rows, plan=GUARDED) == wanted


def test_a_guardrail_without_moments_is_unknown() -> None:
    (row,) = decided(*pair(0.6), plan=GUARDED)
    assert (row.decision, row.reason) == ("hold", "guardrail_underpowered")
    assert row.guardrail_unknown_count == 1


def test_a_guardrail_that_is_not_identified_is_no_evidence() -> None:
    plan = replace(GUARDED, method="did")
    rows = [trending(0.2, variant="control", level=9), trending(0.2, variant="treatment", level=12)]
    rows[1] = {**rows[1], "s_y": rows[1]["s_y"] + 1200, "s_my": rows[1]["s_my"] + 1200}
    rows[1]["s_yy"] += 2 * 3 * (rows[1]["s_y"] - 1200) + 9 * 400
    rows[1]["s_yx"] += 3 * rows[1]["s_x"]
    rows[1]["s_ye"] += 3 * rows[1]["s_e"]
    for trend in (0.8, -0.8):
        apart = [
            {**trending(0.2, variant="control", level=9), "metric": "latency"},
            {**trending(trend, variant="treatment", level=12), "metric": "latency"},
        ]
        (row,) = decided(*rows, *apart, plan=plan)
        assert row.primary_state == "win"
        assert (row.decision, row.reason) == ("hold", "guardrail_underpowered")


def test_what_cannot_be_identified_holds_without_a_primary_too() -> None:
    unmatched = replace(GUARDED, comparison="unmatched")
    harmed = pair(0.8, metric="latency")
    apart = [normal("control"), normal("treatment", x=11.0)]
    assert outcome(*apart, *harmed, plan=unmatched) == ("hold", "not_identified")
    before_after = replace(PLAN, comparison="before_after")
    rows = pair(n=5, as_of="2026-05-20")
    assert outcome(*rows, plan=before_after) == ("hold", "not_identified")


def test_harm_is_known_where_no_lift_is() -> None:
    near_zero = [normal("control", mean=0.1), normal("treatment", mean=-2.0)]
    (row,) = decided(*near_zero)
    assert (row.decision, row.reason) == ("roll_back", "primary_harm")
    assert np.isnan(row.decision_low)
    assert row.decision_high < 0
    gain = [normal("control", mean=0.1), normal("treatment", mean=2.0)]
    assert outcome(*gain) == ("hold", "primary_unavailable")
    for sign, wanted in ((1, ("roll_back", "guardrail_harm")), (-1, ("ship", None))):
        rails = [
            normal("control", mean=0.1, metric="latency"),
            normal("treatment", mean=0.1 + sign * 2, metric="latency"),
        ]
        assert outcome(*pair(0.6), *rails, plan=GUARDED) == wanted


def test_what_is_never_capped_is_judged_by_raw_totals() -> None:
    plan = replace(GUARDED, decided_on="capped")
    capped = [*pair(0.6), *pair(0.6, totals="capped", cap_value=30.0)]
    assert outcome(*capped, *pair(0.0, metric="latency"), plan=plan) == ("ship", None)
    harmed = outcome(*capped, *pair(0.8, metric="latency"), plan=plan)
    assert harmed == ("roll_back", "guardrail_harm")
    (row,) = decided(*pair(0.6), plan=replace(PLAN, decided_on="capped"))
    assert (row.decision, row.totals) == ("ship", "raw")
    (row,) = decided(*pair(0.0), *pair(0.6, totals="capped", cap_value=30.0), plan=plan)
    assert (row.primary_state, row.totals) == ("win", "capped")


def test_where_the_cap_is_zero_the_raw_totals_decide() -> None:
    plan = replace(GUARDED, decided_on="capped")
    nothing = [
        moments_row(
            variant=name, n_rows=1000, n_units=1000, s_mm=1000, totals="capped", cap_value=0
        )
        for name in ("control", "treatment")
    ]
    rails = [*pair(0.0, metric="latency"), *({**row, "metric": "latency"} for row in nothing)]
    rows = [*pair(0.6), *nothing, *rails]
    found = estimate(table_of(rows), experiments=[plan], metrics=METRICS)
    is_capped = found["totals"] == "capped"
    assert set(found["reason"][is_capped]) == {"cap_is_zero"}
    assert set(found["status"][is_capped]) == {"refused"}
    (row,) = decided(*rows, plan=plan)
    assert (row.decision, row.totals, row.decided_on) == ("ship", "raw", "capped")
    # each day goes by the cap that it had
    earlier = [*pair(0.0, as_of="2026-06-20"), *pair(0.6, totals="capped", cap_value=9)]
    days = [{**row, "as_of": "2026-06-20"} for row in earlier]
    plan = replace(plan, guardrails=())
    before, after = decided(*days, *pair(0.6), *nothing, plan=plan)
    assert (before.primary_state, before.totals) == ("win", "capped")
    assert (after.primary_state, after.totals) == ("win", "raw")


def test_a_planned_variant_without_units_stops_the_experiment() -> None:
    stopped = ("stop_invalid", "srm")
    assert outcome(normal("control"), normal("Treatment", mean=11)) == stopped
    three = replace(PLAN, expected_split=(("control", 0.4), ("a", 0.3), ("b", 0.3)))
    found = decided(normal("control"), normal("a", mean=11), plan=three)
    assert [(row.variant, row.decision, row.reason) for row in found] == [
        ("a", *stopped),
        ("b", *stopped),
    ]
    assert outcome(normal("control")) == stopped
    # Those of groups that were not randomised may still come, or show no more than the plan does.
    apart = replace(PLAN, comparison="unmatched")
    assert outcome(normal("control"), plan=apart) == ("hold", "not_identified")
    did = replace(PLAN, method="did")
    assert outcome(normal("control"), plan=did) == ("hold", "primary_unavailable")


def test_a_guardrail_that_still_waits_keeps_the_experiment_open() -> None:
    slow = tuple(
        replace(card, known_after="label") if card.metric == "latency" else card for card in METRICS
    )
    plan = replace(GUARDED, method="sequential", label_days=30)
    rows = [*pair(1.0), *pair(0.3, sd=6.0, metric="latency")]
    found = estimate(table_of(rows), experiments=[plan], metrics=slow)
    (row,) = decisions(found, experiments=[plan], metrics=slow)
    assert (row.decision, row.reason) == ("extend", "guardrail_unknown")


def test_a_sequential_plan_may_ship_early() -> None:
    plan = replace(PLAN, method="sequential")
    assert outcome(*pair(1.0, as_of="2026-05-20"), plan=plan) == ("ship", None)
    assert outcome(*pair(0.2, n=300, as_of="2026-05-20"), plan=plan) == ("extend", "undecided")


def test_planned_power_ends_an_open_experiment() -> None:
    # The standard error is 0.9 % of the control level, so 80 % power reaches down to 2.5 %.
    plan = replace(PLAN, minimum_effect=0.0285, covariate_days=0)
    rows = pair(0.15)
    assert outcome(*rows, plan=plan) == ("hold", "no_evidence_at_planned_power")
    weaker = replace(plan, minimum_effect=0.024)
    assert outcome(*rows, plan=weaker) == ("extend", "underpowered")
    spent = replace(weaker, extended_end_date=date(2026, 6, 5))
    assert outcome(*rows, plan=spent) == ("hold", "underpowered")


def test_of_several_winners_the_largest_ships() -> None:
    split = (("control", 0.25), ("a", 0.25), ("b", 0.25), ("c", 0.25), ("stray", 0.0))
    plan = replace(PLAN, expected_split=split)
    lifts = {"a": 0.8, "b": 1.0, "c": 0.0, "stray": 9.0}
    rows = [normal("control"), *(normal(name, mean=10 + lift) for name, lift in lifts.items())]
    found = {row.variant: (row.decision, row.reason) for row in decided(*rows, plan=plan)}
    assert found == {
        "a": ("hold", "dominated"),
        "b": ("ship", None),
        "c": ("hold", "futile"),
    }


def test_where_less_is_better_the_largest_fall_ships() -> None:
    split = (("control", 0.4), ("a", 0.3), ("b", 0.3))
    plan = replace(PLAN, expected_split=split, primary_metric="latency")
    rows = [
        normal("control", n=1200, metric="latency"),
        normal("a", n=900, mean=9.0, metric="latency"),
        normal("b", n=900, mean=8.5, metric="latency"),
    ]
    found = {row.variant: row.decision for row in decided(*rows, plan=plan)}
    assert found == {"a": "hold", "b": "ship"}
    (_, best) = decided(*rows, plan=plan)
    assert best.estimate == pytest.approx(-1.5)
    assert best.decision_low > 0


def test_each_day_has_its_decision() -> None:
    rows = [*pair(0.6, as_of="2026-06-01"), *pair(0.6)]
    found = [(str(row.as_of), row.decision) for row in decided(*rows)]
    assert found == [("2026-06-01", "extend"), ("2026-07-01", "ship")]


def at_stake(*rows: dict[str, Any], stake: Stake, plan: Experiment = PLAN) -> list[DecisionRow]:
    found = estimate(table_of(rows), experiments=[plan], metrics=METRICS)
    names = [variant for variant, _ in plan.expected_split]
    return decisions(
        found,
        experiments=[plan],
        metrics=METRICS,
        stakes={("trial", variant): stake for variant in names},
    )


def test_value_at_stake_is_the_deciding_interval_in_money() -> None:
    """At the level that decides: two variants share alpha, and a lift is turned into an amount."""
    split = (("control", 1 / 3), ("a", 1 / 3), ("b", 1 / 3))
    plan = replace(PLAN, expected_split=split, covariate_days=0)
    rows = [normal("control"), normal("a", mean=10.6), normal("b", mean=10.01)]
    stake = Stake(units_per_year=100, unit_value=3, serving_cost_difference=-5)
    for row in at_stake(*rows, stake=stake, plan=plan):
        error = np.sqrt(2 * 4 / 1000)
        level = {"a": 0.05 / 2, "b": 0.05}[row.variant]
        reach = stats.t.ppf(1 - level / 2, 1998) * error
        gain = {"a": 0.6, "b": 0.01}[row.variant]
        assert row.lift_value_amount == pytest.approx(300 * gain)
        wanted = [300 * (gain + side * reach) + 5 for side in (-1, 0, 1)]
        assert [
            row.value_at_stake_low_amount,
            row.value_at_stake_amount,
            row.value_at_stake_high_amount,
        ] == pytest.approx(wanted, rel=1e-9)


def test_value_at_stake_is_turned_where_less_is_better() -> None:
    plan = replace(PLAN, primary_metric="latency")
    rows = pair(-1.0, metric="latency")
    (row,) = at_stake(*rows, stake=Stake(units_per_year=10, unit_value=2), plan=plan)
    assert row.lift_value_amount == pytest.approx(20)
    assert 0 < row.value_at_stake_low_amount < 20 < row.value_at_stake_high_amount
    assert (row.serving_cost_difference_amount, row.is_serving_cost_known) == (0, False)


def test_what_is_not_known_has_no_value_at_stake() -> None:
    for stake in (Stake(), Stake(units_per_year=10), Stake(units_per_year=10, unit_value=np.nan)):
        (row,) = at_stake(*pair(0.6), stake=stake)
        assert row.decision == "ship"
        assert np.isnan(row.value_at_stake_amount)
    offer = replace(PLAN, **INSTRUMENT)
    rows = [
        normal(variant, mean=mean, pair_role="uptake", s_d=taken, s_md=taken, s_dd=taken)
        for variant, mean, taken in (("control", 10.0, 100.0), ("treatment", 10.6, 600.0))
    ]
    # what an effect per uptake is worth depends on how many more take it up
    (row,) = at_stake(*rows, stake=Stake(units_per_year=10, unit_value=2), plan=offer)
    assert np.isfinite(row.estimate)
    assert np.isnan(row.value_at_stake_amount)


def test_only_a_value_wholly_below_zero_holds_a_win() -> None:
    (row,) = at_stake(*pair(0.6), stake=Stake(units_per_year=100, unit_value=1))
    high = row.value_at_stake_high_amount
    for cost, outcome_ in ((0.99 * high, "ship"), (1.01 * high, "hold")):
        stake = Stake(units_per_year=100, unit_value=1, serving_cost_difference=cost)
        (row,) = at_stake(*pair(0.6), stake=stake)
        assert row.decision == outcome_
    assert row.reason == "costs_more_than_it_brings"
