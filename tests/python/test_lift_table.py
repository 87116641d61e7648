"""The whole table: which rows there are, what they refuse, when they may be read."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Any, get_args

import duckdb
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from lift_cases import WORKED, moments_row, raw_row, table_of, worked_row
from throughline.lift.comparisons import compare
from throughline.lift.moments import MomentsError, read
from throughline.lift.multiplicity import benjamini_hochberg, holm
from throughline.lift.plan import (
    Comparison,
    Experiment,
    Guardrail,
    KnownAfter,
    Metric,
    PlanError,
)
from throughline.lift.refuse import sample_ratios
from throughline.lift.sequential import always_valid, lan_demets
from throughline.lift.table import COLUMNS, FIXED_HORIZON, estimate, heterogeneity, spans_values

PLAN = Experiment(
    experiment_id="trial",
    control_variant="control",
    expected_split=(("control", 0.5), ("treatment", 0.5)),
    start_date=date(2026, 5, 1),
    planned_end_date=date(2026, 6, 1),
    window_days=14,
    covariate_days=14,
    method="fixed",
    primary_metric="revenue",
    minimum_effect=0.05,
    minimum_effect_kind="relative",
)
METRICS = (
    Metric(metric="revenue"),
    Metric(metric="orders"),
    Metric(metric="visits"),
    Metric(metric="latency", direction="down"),
)
INSTRUMENT: Mapping[str, Any] = {
    "method": "instrument",
    "uptake_metric": "orders",
    "minimum_effect_kind": "absolute",
    "covariate_days": 0,
}
Row = Mapping[str, Any]


def normal(
    variant: str, *, n: int = 1000, mean: float = 10.0, sd: float = 2.0, x: float = 10.0, **key: Any
) -> dict[str, Any]:
    """Moments of `n` units about zero; x has the spread of y and half its variance explained."""
    xx, yx = (n - 1) * sd**2, (n - 1) * sd**2 * 0.5
    return moments_row(
        variant=variant, n_rows=n, n_units=n, s_mm=n,
        s_y=n * mean, s_my=n * mean, s_yy=(n - 1) * sd**2 + n * mean**2,
        s_x=n * x, s_mx=n * x, s_xx=xx + n * x**2, s_yx=yx + n * mean * x, **key,
    )  # fmt: skip


def pair(lift: float = 0.5, *, treatment: Row | None = None, **key: Any) -> list[dict[str, Any]]:
    return [
        normal("control", **key),
        {**normal("treatment", mean=10 + lift, **key), **(treatment or {})},
    ]


def run(*rows: Row, plan: Experiment = PLAN, **options: Any) -> dict[str, NDArray[Any]]:
    return estimate(table_of(rows), experiments=[plan], metrics=METRICS, **options)


def one(estimates: Mapping[str, NDArray[Any]], **wanted: str) -> dict[str, Any]:
    """The one row with these values."""
    names = {"method": "unadjusted", **wanted}
    fits = np.all([estimates[name] == value for name, value in names.items()], axis=0)
    (place,) = np.flatnonzero(fits)
    return {name: values[place] for name, values in estimates.items()}


def test_estimates_of_the_worked_case() -> None:
    rows = [worked_row(variant, pair_role="denominator") for variant in WORKED]
    found = one(run(*rows), method="cuped")
    assert found["estimate"] == pytest.approx(20.6535768733, abs=5e-11)
    assert found["p_value"] == pytest.approx(1.45076755832e-10, rel=1e-11)
    assert (found["unit_count_control"], found["unit_count_treatment"]) == (2000, 2100)
    assert np.isnan(found["cluster_count_control"])
    assert found["mean_control"] == pytest.approx(1904480 / 7908)
    assert found["mean_treatment"] == pytest.approx(2188005 / 8359)
    assert (found["status"], found["reason"]) == ("ok", None)
    plain = one(run(*rows))
    saved = 1 - (found["std_error"] / plain["std_error"]) ** 2
    assert found["variance_reduction"] == pytest.approx(saved, rel=1e-12)
    assert np.isnan(plain["variance_reduction"])


def test_columns_and_key() -> None:
    rows = pair() + pair(metric="orders", segment_name="region", segment_value="north")
    found = run(*rows, *pair(totals="capped", cap_value=30.0))
    assert tuple(found) == COLUMNS
    keys = list(zip(*(found[name] for name in COLUMNS[:8]), strict=True))
    assert len(set(keys)) == len(keys) == 9
    assert set(found["cap_value"][found["totals"] == "capped"]) == {30.0}


def test_methods_follow_the_plan() -> None:
    assert run(*pair())["method"].tolist() == ["unadjusted", "cuped", "lin"]
    without = replace(PLAN, covariate_days=0)
    assert run(*pair(), plan=without)["method"].tolist() == ["unadjusted"]
    given = [{**row, "s_cc": 3000.0} for row in pair()]
    assert run(*given, plan=without)["method"].tolist() == ["unadjusted", "lin"]
    did = replace(PLAN, method="did")
    assert run(*pair(), plan=did)["method"].tolist() == ["unadjusted", "did"]
    offer = replace(PLAN, **INSTRUMENT)
    rows = [*pair(), *pair(pair_role="uptake")]
    assert run(*rows, plan=offer)["method"].tolist() == ["unadjusted", "wald"]


def test_any_order_and_any_reader_give_the_same_bytes() -> None:
    rows = [
        row
        for metric in ("revenue", "orders", "visits")
        for value in ("all", "north", "south")
        for row in pair(
            0.1 * len(metric), metric=metric,
            segment_name="all" if value == "all" else "region", segment_value=value,
        )
    ]  # fmt: skip
    wanted = run(*rows)
    shuffled = [rows[place] for place in np.random.default_rng(1).permutation(len(rows))]
    frame = pd.DataFrame(shuffled).astype({"as_of": "datetime64[us]"})
    fetched = duckdb.sql("select * replace (as_of::date as as_of) from frame").fetchnumpy()
    for table in (table_of(shuffled), frame, fetched):
        found = estimate(table, experiments=[PLAN], metrics=METRICS)
        for name in COLUMNS:
            same = [repr(value) for value in wanted[name].tolist()]
            assert [repr(value) for value in found[name].tolist()] == same, name


def test_estimates_are_rows_with_nulls_for_a_warehouse() -> None:
    found = run(*pair(as_of="2026-06-01"))
    query = "select as_of::date, ci_low, reason, unit_count_control from found limit 1"
    assert duckdb.sql(query).fetchall() == [(date(2026, 6, 1), None, "before_planned_end", 1000)]
    assert found["estimate"].dtype == np.float64


def test_no_moments_give_no_estimates() -> None:
    empty = {name: values[:0] for name, values in table_of(pair()).items()}
    found = estimate(empty, experiments=[PLAN], metrics=METRICS)
    assert {len(values) for values in found.values()} == {0}


REFUSED: dict[str, tuple[str, list[dict[str, Any]], dict[str, Any]]] = {
    "srm": ("refused", [normal("control"), normal("treatment", n=1300)], {}),
    "multi_exposure": ("refused", [{**row, "n_multi": 11} for row in pair()], {}),
    "pre_period_imbalance": ("refused", pair(treatment={"s_x": 10400.0, "s_mx": 10400.0}), {}),
    "masked_window": ("refused", pair(), {"masked": {"trial"}}),
    "cluster_in_two_variants": (
        "refused",
        pair(treatment={"n_clusters_shared": 1}),
        {},
    ),
    "users_repeat": ("refused", [{**row, "n_users_repeated": 2} for row in pair()], {}),
    "immature": (
        "not_ready",
        [moments_row(variant=name, n_immature=500) for name in ("control", "treatment")],
        {},
    ),
    "too_few_units": ("not_ready", pair(n=9), {}),
    "no_denominator": ("not_ready", pair(pair_role="denominator"), {}),
    "precision_lost": ("refused", pair(sd=0.001), {}),
    "zero_variance": (
        "refused",
        [raw_row({"y": np.full(50, v)}, variant=n) for n, v in (("control", 0), ("treatment", 1))],
        {},
    ),
    "low_overlap": (
        "refused",
        [normal("control"), normal("treatment", x=11.0)],
        {"plan": replace(PLAN, comparison="unmatched")},
    ),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_is_refused_has_a_reason_and_no_estimate(reason: str) -> None:
    status, rows, options = REFUSED[reason]
    found = one(run(*rows, **options), method="cuped")
    assert (found["status"], found["reason"]) == (status, reason)
    for name in ("estimate", "std_error", "relative_lift", "sequential_ci_low", *FIXED_HORIZON):
        assert found[name] is None or np.isnan(found[name]), name
    assert one(run(*pair()), method="cuped")["status"] == "ok"


def test_a_given_covariate_takes_part_in_the_balance() -> None:
    """Two arms of 200 whose covariates are ten apart differ in all that the covariate says."""
    plan = replace(PLAN, covariate_days=0)
    units = np.arange(200)
    rows = [
        raw_row(
            {"y": (100 + units % 7 + arm).astype(float), "c": units / 200 + 10 * arm}, variant=name
        )
        for arm, name in enumerate(("control", "treatment"))
    ]
    assert set(run(*rows, plan=plan)["reason"]) == {"pre_period_imbalance"}
    alike = [{**row, "k_c": 0.0 if row["variant"] == "control" else -10.0} for row in rows]
    assert one(run(*alike, plan=plan))["status"] == "ok"
    apart = replace(plan, comparison="unmatched")
    assert one(run(*rows, plan=apart), method="lin")["reason"] == "low_overlap"


def test_one_fault_refuses_the_whole_experiment() -> None:
    rows = pair(treatment={"s_x": 10400.0, "s_mx": 10400.0}) + pair(metric="orders")
    assert set(run(*rows)["reason"]) == {"pre_period_imbalance"}
    # That of a secondary metric does not.
    rows = pair() + pair(metric="orders", treatment={"s_x": 10400.0, "s_mx": 10400.0})
    assert set(run(*rows)["status"]) == {"ok"}


def test_the_smallest_multi_exposure_is_counted_but_tolerated() -> None:
    found = one(run(*({**row, "n_multi": 10, "n_late": 3, "n_immature": 2} for row in pair())))
    assert found["status"] == "ok"
    names = ("excluded_multi_count", "excluded_late_count", "excluded_immature_count")
    assert [found[name] for name in names] == [20, 6, 4]


def test_the_split_counts_what_was_exposed() -> None:
    rows = [normal("control", n=900), normal("treatment", n=1300)]
    immature = [normal("control", n=900, n_immature=420), rows[1]]
    assert one(run(*rows))["reason"] == "srm"
    assert one(run(*immature))["status"] == "ok"
    # A metric that drops missing values has fewer units in one arm for a reason of its own.
    dropped = [{**row, "n_exposed": 1400} for row in rows]
    assert one(run(*dropped))["status"] == "ok"
    split = sample_ratios(read(table_of(dropped)), experiments=[PLAN])
    assert split["variant_counts"].tolist() == ["control:1400;treatment:1400"]


@pytest.mark.parametrize("mature", [0, 5])
def test_the_split_of_clusters_counts_clusters_also_before_any_is_mature(mature: int) -> None:
    plan = replace(PLAN, covariate_days=0)

    def clustered(variant: str, units: int, clusters: int) -> dict[str, Any]:
        counts: Row = {"n_immature": units - 50 * mature, "n_exposed": clusters}
        y = np.random.default_rng(6).normal(10, 1, 50 * mature)
        return raw_row({"y": y}, cluster=np.arange(len(y)) // 50, variant=variant, **counts)

    found = one(run(clustered("control", 1000, 20), clustered("treatment", 1300, 21), plan=plan))
    assert (found["status"], found["reason"]) == ("not_ready", "immature")
    uneven = run(clustered("control", 5000, 60), clustered("treatment", 5000, 140), plan=plan)
    assert one(uneven)["reason"] == "srm"


def test_the_share_in_several_variants_is_of_units() -> None:
    rows = [
        moments_row(variant=name, n_immature=1000, n_exposed=20, n_multi=10)
        for name in ("control", "treatment")
    ]
    split = sample_ratios(read(table_of(rows)), experiments=[PLAN])
    assert split["multi_share"].tolist() == [20 / 2020]


def test_a_stray_variant_takes_no_part_in_the_split() -> None:
    stray = replace(PLAN, expected_split=(*PLAN.expected_split, ("old", 0.0)))
    found = run(*pair(), normal("old", n=50), plan=stray)
    assert one(found, variant="treatment")["status"] == "ok"


def test_splits_of_segments_are_shown_and_refuse_nothing() -> None:
    north = [
        normal("control", n=100, segment_name="region", segment_value="north"),
        normal("treatment", n=300, segment_name="region", segment_value="north"),
    ]
    table = table_of([*pair(), *north])
    found = sample_ratios(read(table), experiments=[PLAN])
    assert found["segment_value"].tolist() == ["all", "north"]
    assert found["row_count"].tolist() == [2000, 400]
    assert found["p_value"][0] == 1
    assert found["p_value"][1] < 1e-20
    assert set(run(*pair(), *north)["status"]) == {"ok"}


@pytest.mark.parametrize("comparison", ["before_after", "unmatched"])
def test_what_is_not_randomised_is_shown_but_not_identified(comparison: Comparison) -> None:
    plan = replace(PLAN, comparison=comparison)
    # Neither the split nor the pre-period of such groups has to agree.
    found = run(normal("control", n=4000), normal("treatment", mean=9, x=14), plan=plan)
    plain = one(found)
    assert (plain["status"], plain["reason"]) == ("not_identified", comparison)
    assert plain["estimate"] == pytest.approx(-1)
    assert plain["ci_high"] < 0


def trending(trend: float, *, n: int = 400, variant: str, level: float) -> dict[str, Any]:
    rng = np.random.default_rng(int(level))
    early, late = rng.normal(level, 1, n), rng.normal(level + trend, 1, n)
    return raw_row(
        {"y": early + late + rng.normal(2 * trend, 1, n), "x": early + late, "e": late},
        cluster=np.arange(n),
        variant=variant,
        constants={"y": 16.0, "x": 16.0, "e": 8.0},
    )


def test_differences_in_differences_need_parallel_pre_trends() -> None:
    plan = replace(PLAN, method="did", comparison="unmatched")
    control = trending(0.2, variant="control", level=9)
    alike = one(run(control, trending(0.2, variant="treatment", level=12), plan=plan), method="did")
    assert (alike["status"], alike["reason"]) == ("ok", None)
    assert alike["pre_trend_p_value"] > 0.05
    apart = one(run(control, trending(0.8, variant="treatment", level=12), plan=plan), method="did")
    assert (apart["status"], apart["reason"]) == ("not_identified", "pre_trend")
    assert np.isfinite(apart["estimate"])


def test_differences_in_differences_need_ten_groups_per_arm() -> None:
    plan = replace(PLAN, method="did")
    rng = np.random.default_rng(3)

    def grouped(variant: str, groups: int) -> dict[str, Any]:
        x = rng.normal(10, 1, 500)
        data = {"y": x + rng.normal(0, 1, 500), "x": x, "e": x / 2 + rng.normal(0, 1, 500)}
        return raw_row(data, cluster=np.arange(500) % groups, variant=variant)

    found = one(run(grouped("control", 30), grouped("treatment", 9), plan=plan), method="did")
    assert (found["status"], found["reason"]) == ("refused", "too_few_units")
    assert found["cluster_count_treatment"] == 9
    found = one(run(grouped("control", 30), grouped("treatment", 10), plan=plan), method="did")
    assert found["status"] == "ok"


@pytest.mark.parametrize(
    ("comparison", "status", "reason"),
    [
        ("randomised", "ok", None),
        ("unmatched", "not_identified", "unmatched"),
        ("before_after", "not_identified", "before_after"),
    ],
)
def test_parallel_trends_identify_no_difference_of_levels(
    comparison: Comparison, status: str, reason: str | None
) -> None:
    plan = replace(PLAN, method="did", comparison=comparison)
    rows = [trending(0.2, variant="control", level=9), trending(0.2, variant="treatment", level=12)]
    naive = one(run(*rows, plan=plan))
    assert (naive["status"], naive["reason"]) == (status, reason)
    assert naive["estimate"] > 5
    change = one(run(*rows, plan=plan), method="did")
    assert (change["status"] == "ok") == (comparison != "before_after")


@pytest.mark.parametrize("alone", ["control", "treatment"])
def test_differences_in_differences_need_the_group_of_each_unit(alone: str) -> None:
    """Units of two regions would each time tell them apart by what happened to the regions."""
    plan = replace(PLAN, method="did", comparison="unmatched")
    rows = [trending(0.2, variant="control", level=9), trending(0.2, variant="treatment", level=12)]
    assert one(run(*rows, plan=plan), method="did")["status"] == "ok"
    rows = [{**row, "n_unclustered": 1.0} if row["variant"] == alone else row for row in rows]
    found = one(run(*rows, plan=plan), method="did")
    assert (found["status"], found["reason"]) == ("refused", "needs_cluster_id")
    assert np.isnan(found["estimate"])


def test_an_effect_per_uptake_has_a_set_and_no_relative_lift() -> None:
    rng = np.random.default_rng(4)
    plan = replace(PLAN, **INSTRUMENT)

    def offered(variant: str, uptake: float) -> dict[str, Any]:
        d = (rng.random(1000) < uptake).astype(float)
        data = {"y": 2 * d + rng.normal(0, 1, 1000), "d": d}
        return raw_row(data, variant=variant, pair_role="uptake")

    strong = one(run(offered("control", 0.1), offered("treatment", 0.5), plan=plan), method="wald")
    assert strong["ci_shape"] == "interval"
    assert strong["ci_low"] < 2 < strong["ci_high"]
    assert strong["first_stage_f"] > 100
    assert (strong["relative_reason"], strong["status"]) == ("no_control_level", "ok")
    assert np.isnan(strong["relative_lift"])
    nobody = offered("control", 0.3)
    weak = one(run(nobody, {**nobody, "variant": "treatment"}, plan=plan), method="wald")
    assert weak["ci_shape"] == "line"
    assert np.isnan(weak["decision_low"])


def test_before_the_planned_end_only_the_sequence_speaks() -> None:
    found = one(run(*pair(as_of="2026-06-14")))
    assert (found["status"], found["reason"]) == ("ok", "before_planned_end")
    for name in FIXED_HORIZON:
        assert found[name] is None or np.isnan(found[name]), name
    assert found["estimate"] == pytest.approx(0.5)
    critical = always_valid(
        rows=np.array([2000.0]), planned=np.array([5000.0]), alpha=np.array([0.05])
    )[0]
    assert found["sequential_ci_low"] == pytest.approx(0.5 - critical * found["std_error"])
    last = one(run(*pair(as_of="2026-06-15")))
    assert last["reason"] is None
    assert last["ci_low"] > last["sequential_ci_low"]


def test_a_metric_waits_for_its_horizon() -> None:
    slow = (replace(METRICS[0], known_after="label"), *METRICS[1:])
    plan = replace(PLAN, label_days=5)
    for day, reason in (("2026-06-19", "before_planned_end"), ("2026-06-20", None)):
        table = table_of(pair(as_of=day))
        found = one(estimate(table, experiments=[plan], metrics=slow))
        assert found["reason"] == reason


def test_after_an_extension_only_the_sequence_counts() -> None:
    plan = replace(PLAN, extended_end_date=date(2026, 6, 10))
    found = one(run(*pair(as_of="2026-06-30"), plan=plan))
    assert (found["status"], found["reason"]) == ("ok", "after_extension")
    assert np.isnan(found["p_value"])
    assert found["decision_low"] > 0
    early = one(run(*pair(as_of="2026-06-20"), plan=plan))
    assert early["reason"] == "before_planned_end"
    ends = [early["gain_low"], early["gain_high"]]
    assert ends == pytest.approx([early["sequential_ci_low"], early["sequential_ci_high"]])
    absolute = replace(plan, minimum_effect_kind="absolute")
    for row in (one(run(*pair(as_of=day), plan=absolute)) for day in ("2026-06-20", "2026-06-30")):
        assert row["decision_low"] == pytest.approx(row["sequential_ci_low"], rel=1e-12)


def test_group_sequential_bounds_hold_at_declared_looks_alone() -> None:
    looks = (date(2026, 5, 22), date(2026, 6, 5))
    plan = replace(PLAN, method="group_sequential", look_dates=looks)
    shares = (7 / 31, 21 / 31)
    for day, information in (("2026-05-22", shares[:1]), ("2026-06-05", shares)):
        found = one(run(*pair(as_of=day), plan=plan))
        bound = lan_demets(information=information, alpha=0.05)[-1]
        assert found["sequential_ci_high"] == pytest.approx(0.5 + bound * found["std_error"])
    # the first build on or after its date reads a look, by what was planned for that date
    late = one(run(*pair(as_of="2026-05-23"), plan=plan))
    bound = lan_demets(information=shares[:1], alpha=0.05)[-1]
    assert late["sequential_ci_high"] == pytest.approx(0.5 + bound * late["std_error"])
    between = one(
        run(*pair(as_of="2026-05-23"), plan=plan, looks_read={"trial": date(2026, 5, 22)})
    )
    assert np.isnan(between["sequential_ci_high"])
    assert np.isnan(between["decision_low"])
    final = one(run(*pair(as_of="2026-06-15"), plan=plan))
    bound = lan_demets(information=(*shares, 1.0), alpha=0.05)[-1]
    assert final["sequential_ci_high"] == pytest.approx(0.5 + bound * final["std_error"])


def test_all_that_a_decision_reads_is_read_at_each_look() -> None:
    """A guardrail that waits longer has its last look later, and then the primary is read again."""
    slow = tuple(
        replace(card, known_after="label") if card.metric == "latency" else card for card in METRICS
    )
    plan = replace(
        PLAN,
        method="group_sequential",
        # before the first unit is mature: no look
        look_dates=(date(2026, 5, 15), date(2026, 5, 22)),
        guardrails=(Guardrail(metric="latency", margin=0.05, kind="relative"),),
        label_days=5,
    )
    cards = {card.metric: card for card in slow}
    due = {
        day: plan.look_due(as_of=date.fromisoformat(day), cards=cards)
        for day in ("2026-05-15", "2026-05-22", "2026-06-14", "2026-06-15", "2026-06-20")
    }
    assert [str(look) for look in due.values()] == [
        "None", "2026-05-22", "2026-05-22", "2026-06-15", "2026-06-20",
    ]  # fmt: skip
    rows = [*pair(as_of="2026-06-20"), *pair(metric="latency", as_of="2026-06-20")]
    found = estimate(
        table_of(rows), experiments=[plan], metrics=slow, looks_read={"trial": date(2026, 6, 15)}
    )
    assert np.isfinite(found["sequential_ci_low"]).all()
    extended = replace(plan, extended_end_date=date(2026, 6, 10))
    assert extended.look_due(as_of=date(2026, 6, 20), cards=cards) is None


def test_variants_share_alpha_at_declared_looks() -> None:
    split = (("control", 0.4), ("a", 0.3), ("b", 0.3))
    plan = replace(
        PLAN,
        method="group_sequential",
        look_dates=(date(2026, 5, 22),),
        expected_split=split,
        minimum_effect_kind="absolute",
    )
    key: dict[str, Any] = {"as_of": "2026-05-22"}
    winner, other = normal("a", n=900, mean=13, **key), normal("b", n=900, **key)
    # That one variant is far ahead gives the other no larger share.
    found = one(run(normal("control", n=1200, **key), winner, other, plan=plan), variant="b")
    bound = lan_demets(information=(7 / 31,), alpha=0.025)[0]
    assert found["decision_high"] == pytest.approx(bound * found["std_error"])


def test_a_look_speaks_of_units_that_are_mature_for_the_metric() -> None:
    plan = replace(PLAN, method="group_sequential", look_dates=(date(2026, 5, 22),), outcome_days=3)
    slow = (replace(METRICS[0], known_after="outcome"), *METRICS[1:])
    table = table_of(pair(as_of="2026-05-22"))
    found = one(estimate(table, experiments=[plan], metrics=slow))
    bound = lan_demets(information=(4 / 31,), alpha=0.05)[0]
    assert found["sequential_ci_high"] == pytest.approx(0.5 + bound * found["std_error"])


def test_what_the_covariate_or_the_denominator_explains_wholly_has_no_variance() -> None:
    rng = np.random.default_rng(7)
    copied, ratio = [], []
    for variant in ("control", "treatment"):
        x = rng.normal(3.3, 1.1, 70)
        copied.append(raw_row({"y": x, "x": x}, variant=variant))
        d = rng.uniform(1, 3, 70)
        ratio.append(raw_row({"y": 2.7 * d, "d": d}, variant=variant, pair_role="denominator"))
    for row in (
        one(run(*copied), method="cuped"),
        one(run(*copied), method="lin"),
        one(run(*ratio)),
    ):
        assert (row["status"], row["reason"]) == ("refused", "zero_variance")
    assert one(run(*copied))["status"] == "ok"


def test_an_effect_per_uptake_has_no_share_for_a_relative_margin() -> None:
    rng = np.random.default_rng(8)
    plan = replace(GUARDED, **INSTRUMENT)
    rows = []
    for variant, uptake in (("control", 0.1), ("treatment", 0.6)):
        d = (rng.random(2000) < uptake).astype(float)
        data = {"y": rng.normal(10, 0.5, 2000), "d": d}
        for metric in ("revenue", "latency", "visits"):
            rows.append(raw_row(data, variant=variant, metric=metric, pair_role="uptake"))
    found = run(*rows, plan=plan)
    states = {m: one(found, metric=m, method="wald") for m in ("latency", "visits")}
    assert states["latency"]["guardrail_state"] == "unknown"
    assert np.isnan(states["latency"]["p_non_inferiority"])
    assert states["visits"]["guardrail_state"] == "pass"
    assert states["visits"]["p_non_inferiority"] < 0.05


def test_zero_control_level_leaves_the_row_ok() -> None:
    found = one(run(normal("control", mean=0), normal("treatment", mean=0.3)))
    assert (found["status"], found["relative_reason"]) == ("ok", "control_level_near_zero")
    assert np.isnan(found["relative_lift"])
    assert found["p_value"] < 0.01


GUARDED = replace(
    PLAN,
    guardrails=(
        Guardrail(metric="latency", margin=0.05, kind="relative"),
        Guardrail(metric="visits", margin=0.5, kind="absolute"),
    ),
)


@pytest.mark.parametrize(
    ("metric", "lift", "sd", "state"),
    [
        ("latency", 0.1, 2.0, "pass"),
        ("latency", -0.5, 2.0, "pass"),
        ("latency", 0.6, 2.0, "fail"),
        ("latency", 0.4, 4.0, "unknown"),
        ("visits", 0.0, 2.0, "pass"),
        ("visits", -0.6, 2.0, "fail"),
        ("visits", -0.1, 8.0, "unknown"),
    ],
)
def test_a_guardrail_passes_by_evidence_alone(
    metric: str, lift: float, sd: float, state: str
) -> None:
    rows = [*pair(), *pair(lift, sd=sd, metric=metric)]
    found = one(run(*rows, plan=GUARDED), metric=metric)
    assert found["guardrail_state"] == state
    assert (found["p_non_inferiority"] < 0.05) == (state == "pass")
    assert (found["ni_bound"] > -found["margin"]) == (state == "pass")
    assert found["role"] == "guardrail"
    # What is merely not significantly bad does not pass.
    if state == "unknown":
        assert found["p_value"] > 0.05 / 2


def test_less_is_better_where_the_card_says_so() -> None:
    found = one(run(*pair(-0.5), *pair(-0.5, metric="latency")), metric="latency")
    assert found["estimate"] == pytest.approx(-0.5)
    assert found["chance_to_win"] > 0.99
    assert found["expected_loss"] < 1e-3


def test_families_of_tests() -> None:
    split = (("control", 0.25), ("a", 0.25), ("b", 0.25), ("c", 0.25))
    lifts = {"a": 0.2, "b": 0.15, "c": 0.25}
    plan = replace(PLAN, expected_split=split, covariate_days=0)
    rows: list[dict[str, Any]] = []
    for metric, scale in (("revenue", 1.0), ("orders", 0.8), ("visits", 1.2)):
        rows.append(normal("control", metric=metric))
        rows += [normal(v, mean=10 + scale * lift, metric=metric) for v, lift in lifts.items()]
    for value, scale in (("north", 0.5), ("south", 1.5)):
        key: dict[str, Any] = {"segment_name": "region", "segment_value": value}
        rows.append(normal("control", **key))
        rows += [normal(v, mean=10 + scale * lift, **key) for v, lift in lifts.items()]
    found = run(*rows, plan=plan)
    total = found["segment_name"] == "all"
    primary = found["role"] == "primary"
    for members, adjust in (
        (primary & total, holm),
        (~primary & total, benjamini_hochberg),
        (primary & ~total, benjamini_hochberg),
    ):
        p = found["p_value"][members].astype(float)
        wanted = adjust(p, np.zeros(len(p), dtype=np.int64))
        assert found["p_value_adjusted"][members].tolist() == wanted.tolist()
    # The interval that decides leaves zero out just where Holm rejects.
    decided = found["decision_low"][primary & total] > 0
    assert decided.tolist() == (found["p_value_adjusted"][primary & total] <= 0.05).tolist()
    assert decided.any()
    assert not decided.all()
    # It exists for every variant, whatever the adjusted p-value.
    none = run(*(normal(variant) for variant in dict(split)), plan=plan)
    assert set(none["p_value_adjusted"]) == {1.0}
    assert (none["decision_low"] < 0).all()
    assert (none["decision_high"] > 0).all()


def test_strays_take_no_part_in_what_is_concluded_of_others() -> None:
    plan = replace(PLAN, expected_split=(*PLAN.expected_split, ("old", 0.0)))
    stray = normal("old", n=50, x=13.0)
    alone, beside = run(*pair(0.2)), run(*pair(0.2), stray, plan=plan)
    one_alone = one(alone, method="cuped", variant="treatment")
    one_beside = one(beside, method="cuped", variant="treatment")
    for name in ("p_value", "p_value_adjusted", "decision_low", "decision_high", "status"):
        assert one_beside[name] == one_alone[name], name
    own = one(beside, method="cuped", variant="old")
    assert np.isfinite(own["estimate"])
    assert np.isnan(own["p_value_adjusted"])


def test_what_is_not_due_yet_takes_no_part_in_a_family() -> None:
    slow = (*METRICS[:2], replace(METRICS[2], known_after="label"), METRICS[3])
    plan = replace(PLAN, label_days=90)
    table = table_of([*pair(0.2, metric="orders"), *pair(0.0, metric="visits")])
    found = estimate(table, experiments=[plan], metrics=slow)
    due = one(found, metric="orders")
    assert due["p_value_adjusted"] == due["p_value"] < 0.05
    assert np.isnan(one(found, metric="visits")["p_value_adjusted"])


def region(value: str, lift: float) -> list[dict[str, Any]]:
    return pair(lift, n=500, segment_name="region", segment_value=value)


def differences(*rows: Row) -> dict[str, Any]:
    """Whether the unadjusted effect differs between regions."""
    table = read(table_of(rows))
    compared = compare(table, experiments=[PLAN], metrics=METRICS)
    spans = spans_values(table)
    spans = spans[compared.control] | spans[compared.treatment]
    return one(heterogeneity(run(*rows), spans=spans))


def test_effects_that_differ_between_segments() -> None:
    row = differences(*pair(), *region("north", 0.1), *region("south", 0.9))
    errors = 2 * 4 / 500
    assert row["q"] == pytest.approx(2 * 0.4**2 / errors, rel=1e-9)
    assert (row["degrees_of_freedom"], row["value_count"]) == (1, 2)
    assert row["p_value"] < 0.01
    estimates = run(*pair(), *region("north", 0.1), *region("south", 0.9))
    for value, p in (("all", np.nan), ("north", row["p_value"]), ("south", row["p_value"])):
        shown = one(estimates, segment_value=value)["heterogeneity_p_value"]
        assert shown == pytest.approx(p, nan_ok=True)
    single = differences(*pair(), *region("north", 0.1))
    assert (single["reason"], single["value_count"]) == ("too_few_values", 1)


def clusters_in_regions(variant: str, *, spanning: int, west: int = 0) -> list[dict[str, Any]]:
    """A hundred clusters of four units: the first in the west, the last in north and south."""
    cluster, y = np.arange(400) // 4, np.random.default_rng(5).normal(10, 1, 400)
    is_north = (cluster < 60) ^ ((cluster >= 100 - spanning) & (np.arange(400) % 2 == 0))
    place = np.where(cluster < west, "west", np.where(is_north, "north", "south"))
    rows = [raw_row({"y": y}, cluster=cluster, variant=variant)]
    for value in np.unique(place):
        part = place == value
        key: dict[str, Any] = {"segment_name": "region", "segment_value": value}
        rows.append(raw_row({"y": y[part]}, cluster=cluster[part], variant=variant, **key))
    return rows


@pytest.mark.parametrize("spanning", [0, 5, 100])
def test_clusters_that_span_segments_are_refused(spanning: int) -> None:
    arms = [clusters_in_regions(v, spanning=spanning) for v in ("control", "treatment")]
    row = differences(*arms[0], *arms[1])
    assert row["reason"] == ("clusters_span_segments" if spanning else None)
    shown = one(run(*arms[0], *arms[1]), segment_value="north")["heterogeneity_p_value"]
    assert np.isnan(shown) == np.isnan(row["p_value"]) == (spanning > 0)


@pytest.mark.parametrize("alone", ["control", "treatment"])
@pytest.mark.parametrize("spans", ["control", "treatment"])
def test_values_of_one_arm_hide_no_cluster_that_spans(spans: str, alone: str) -> None:
    """With units in the west, an arm has fewer clusters where the other one is."""
    arms = [
        clusters_in_regions(v, spanning=5 * (v == spans), west=20 * (v == alone))
        for v in ("control", "treatment")
    ]
    assert differences(*arms[0], *arms[1])["reason"] == "clusters_span_segments"
    shown = one(run(*arms[0], *arms[1]), segment_value="north")["heterogeneity_p_value"]
    assert np.isnan(shown)


def test_a_row_without_control_is_not_ready() -> None:
    found = one(run(normal("treatment")))
    assert found["status"] != "ok"
    assert (found["unit_count_control"], np.isnan(found["mean_control"])) == (0, True)


def test_a_planned_variant_without_units_says_why_it_has_no_estimate() -> None:
    split = (("control", 0.4), ("a", 0.3), ("b", 0.3), ("old", 0.0))
    plan = replace(PLAN, expected_split=split)
    rows = [*pair(), *pair(metric="orders"), *region("north", 0.1)]
    controls = [row for row in rows if row["variant"] == "control"]
    found = run(*controls, {**normal("a"), "as_of": "2026-06-30"}, plan=plan)
    assert set(found["status"]) == {"refused"}
    assert set(found["reason"]) == {"srm"}
    days = [str(day)[:10] for day in found["as_of"]]
    assert sorted({*zip(days, found["variant"], found["metric"], strict=True)}) == [
        ("2026-06-30", "a", "revenue"),
        ("2026-06-30", "b", "revenue"),
        ("2026-07-01", "a", "orders"),
        ("2026-07-01", "a", "revenue"),
        ("2026-07-01", "b", "orders"),
        ("2026-07-01", "b", "revenue"),
    ]
    row = one(found, variant="b", metric="orders")
    assert (row["unit_count_control"], row["unit_count_treatment"]) == (1000, 0)
    assert (row["mean_control"], np.isnan(row["mean_treatment"])) == (10, True)
    waiting = replace(plan, comparison="unmatched")
    assert set(run(*controls, plan=waiting)["reason"]) == {"too_few_units"}


def test_missing_values_do_not_count_as_units() -> None:
    """Half the rows without a value: the interval is that of the other half."""
    rng = np.random.default_rng(6)
    values = [rng.normal(0, 1, 2000), rng.normal(0.1, 1, 2000)]
    halves = [
        raw_row({"y": y[:1000]}, variant=variant)
        for variant, y in zip(("control", "treatment"), values, strict=True)
    ]
    found = one(run(*halves))
    wanted = np.sqrt(sum(y[:1000].var(ddof=1) for y in values) / 1000)
    assert found["std_error"] == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("name", ["cap_value", "window_from", "window_to", "definition_hash"])
def test_arms_must_share_their_definition(name: str) -> None:
    rows = pair(treatment={name: 5.0 if name == "cap_value" else "other"})
    with pytest.raises(MomentsError, match=f"{name} differs between trial / treatment"):
        run(*rows)


@pytest.mark.parametrize("name", ["experiment_id", "metric"])
def test_what_is_not_declared_is_named(name: str) -> None:
    with pytest.raises(MomentsError, match=f"{name} of moments is not declared: other"):
        run(*({**row, name: "other"} for row in pair()))


def test_a_plan_is_read_from_its_row() -> None:
    row = {
        "experiment_id": "trial", "control_variant": "control",
        "expected_split": "control:0.5;treatment:0.5", "start_date": "2026-05-01",
        "planned_end_date": date(2026, 6, 1), "window_days": 14, "covariate_days": "14",
        "method": "fixed", "primary_metric": "revenue", "secondary_metrics": "",
        "minimum_effect": "0.05", "minimum_effect_kind": "relative", "alpha": None,
        "owner": "Ann",
    }  # fmt: skip
    rails: list[Row] = [
        {"metric": "latency", "margin": "0.05", "margin_kind": "relative", "owner": "Ann"},
        {"metric": "visits", "margin": 0.5, "margin_kind": "absolute"},
    ]
    assert Experiment.from_row(row, guardrails=rails) == GUARDED
    waiting = Experiment.from_row(row, outcome_days=2, label_days=9)
    assert [
        waiting.horizon_days(Metric(metric="m", known_after=known_after))
        for known_after in get_args(KnownAfter)
    ] == [0, 2, 9]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"minimum_effect": "0"}, "minimum_effect must be above 0"),
        ({"method": "bayes"}, "method must be one of fixed"),
        ({"method": "group_sequential"}, "needs look_dates"),
        ({"method": "did", "covariate_days": "7"}, "covariate_days equal to window_days"),
        ({"window_days": "a week"}, "window_days 'a week' cannot be read"),
        ({"window_days": ""}, "window_days missing"),
        ({"method": "instrument"}, "needs an uptake_metric"),
    ],
)
def test_a_plan_that_contradicts_itself_is_named(change: Row, said: str) -> None:
    row = {
        "experiment_id": "trial", "control_variant": "control",
        "expected_split": "control:0.5;treatment:0.5", "start_date": "2026-05-01",
        "planned_end_date": "2026-06-01", "window_days": "14", "method": "fixed",
        "primary_metric": "revenue", "minimum_effect": "1", "minimum_effect_kind": "absolute",
    }  # fmt: skip
    with pytest.raises(PlanError, match=f"experiment trial: .*{said}"):
        Experiment.from_row({**row, **change})


@pytest.mark.parametrize(
    ("rails", "said"),
    [
        (["visits,1,twice"], "guardrail visits: margin_kind must be one of relative, absolute"),
        (["visits,much,relative"], "guardrail visits: margin 'much' cannot be read"),
        (["visits,,relative"], "guardrail visits: margin missing"),
        (["revenue,1,absolute"], "the primary metric is also a guardrail"),
        (["visits,1,absolute", "visits,2,absolute"], "a guardrail stands twice"),
        (["visits,-1,absolute"], "margins must not be negative"),
    ],
)
def test_a_guardrail_that_cannot_be_kept_is_named(rails: list[str], said: str) -> None:
    names = ("metric", "margin", "margin_kind")
    rows = [dict(zip(names, rail.split(","), strict=True)) for rail in rails]
    plan = {
        "experiment_id": "trial", "control_variant": "control",
        "expected_split": "control:0.5;treatment:0.5", "start_date": "2026-05-01",
        "planned_end_date": "2026-06-01", "window_days": "14", "method": "fixed",
        "primary_metric": "revenue", "minimum_effect": "1", "minimum_effect_kind": "absolute",
    }  # fmt: skip
    with pytest.raises(PlanError, match=f"experiment trial: {said}"):
        Experiment.from_row(plan, guardrails=rows)


def test_what_should_be_near_zero_is_estimated_and_decides_nothing() -> None:
    cards = (*METRICS[:2], replace(METRICS[2], direction="zero"), METRICS[3])
    table = table_of([*pair(), *pair(metric="visits")])
    found = estimate(table, experiments=[PLAN], metrics=cards)
    usual, neutral = one(found, metric="revenue"), one(found, metric="visits")
    assert (neutral["direction"], neutral["role"]) == ("zero", "secondary")
    assert neutral["estimate"] == usual["estimate"]
    assert neutral["ci_low"] == usual["ci_low"]
    assert np.isnan([neutral["chance_to_win"], neutral["expected_loss"]]).all()
    assert not np.isnan([usual["chance_to_win"], usual["expected_loss"]]).any()
    for plan in (replace(PLAN, primary_metric="visits"), GUARDED):
        with pytest.raises(MomentsError, match="neither way is good: visits"):
            estimate(table, experiments=[plan], metrics=cards)


def test_the_plan_hash_follows_primary_margins_and_alpha() -> None:
    changes: list[dict[str, Any]] = [
        {"primary_metric": "orders"},
        {"alpha": 0.1},
        {"guardrails": ()},
        {"guardrails": (Guardrail(metric="latency", margin=0.1, kind="relative"),)},
    ]
    hashes = {replace(GUARDED, **change).plan_hash for change in changes}
    assert len(hashes | {GUARDED.plan_hash}) == 5
    assert replace(GUARDED, extended_end_date=date(2026, 7, 1)).plan_hash == GUARDED.plan_hash


def test_importing_leaves_the_large_statistics_package_alone() -> None:
    script = (
        "import sys; import throughline.lift.table, throughline.lift.decide;"
        "print([name for name in sys.modules if name.startswith(('scipy.stats', 'pandas'))])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "[]"
