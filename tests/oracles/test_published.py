"""Answers published on data that Python packages carry, through the whole table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pytest
from causaldata import cps_mixtape, nsw_mixtape, thornton_hiv
from linearmodels.datasets import card

from lift_cases import MEAN, Numbers, arms_of, raw_row, table_of
from throughline.lift import kernel
from throughline.lift.decide import decisions
from throughline.lift.plan import Experiment, Metric
from throughline.lift.table import estimate

PLAN = Experiment(
    experiment_id="trial",
    control_variant="control",
    expected_split=(("control", 260.0), ("treatment", 185.0)),
    start_date=date(2026, 5, 1),
    planned_end_date=date(2026, 6, 1),
    window_days=14,
    method="fixed",
    primary_metric="revenue",
    minimum_effect=500.0,
    minimum_effect_kind="absolute",
)
METRICS = (Metric(metric="revenue"),)


def by_arm(
    data: Mapping[str, Numbers], treated: Numbers, *, cluster: Any = None, **key: Any
) -> list[dict[str, Any]]:
    rows = []
    for variant, part in (("control", treated == 0), ("treatment", treated == 1)):
        arm = {name: values[part] for name, values in data.items()}
        groups = None if cluster is None else cluster[part]
        rows.append(raw_row(arm, cluster=groups, variant=variant, **key))
    return rows


def only(rows: list[dict[str, Any]], plan: Experiment, method: str) -> dict[str, Any]:
    found = estimate(table_of(rows), experiments=[plan], metrics=METRICS)
    (place,) = np.flatnonzero(found["method"] == method)
    (decision,) = decisions(found, experiments=[plan], metrics=METRICS)
    return {**{name: values[place] for name, values in found.items()}, "decision": decision}


def decimal(values: Any) -> Numbers:
    """Single-precision numbers as the decimals that they were read from."""
    return np.array([float(str(value)) for value in np.asarray(values)])


def test_training_programme_in_its_trial() -> None:
    """LaLonde (1986), in the sample of Dehejia and Wahba (1999): 1,794 dollars, se 671."""
    people = nsw_mixtape.load_pandas().data
    rows = by_arm({"y": decimal(people.re78)}, people.treat.to_numpy())
    found = only(rows, PLAN, "unadjusted")
    assert found["estimate"] == pytest.approx(1794.342404, abs=5e-7)
    assert found["std_error"] == pytest.approx(670.9965, abs=5e-4)
    assert found["status"] == "ok"


def test_training_programme_against_a_survey_can_never_ship() -> None:
    people, survey = (frame.load_pandas().data for frame in (nsw_mixtape, cps_mixtape))
    treated = people[people.treat == 1]
    earned = np.concatenate([decimal(treated.re78), decimal(survey.re78)])
    group = np.concatenate([np.ones(len(treated)), np.zeros(len(survey))])
    plan = replace(PLAN, comparison="unmatched")
    found = only(by_arm({"y": earned}, group), plan, "unadjusted")
    assert found["estimate"] == pytest.approx(-8497.516, abs=5e-4)
    assert (found["status"], found["reason"]) == ("not_identified", "unmatched")
    decision = found["decision"]
    assert (decision.decision, decision.reason) == ("hold", "not_identified")


def test_returns_to_schooling_by_distance_to_college() -> None:
    """Card (1995), the Wald estimate without controls, variances over n - 1."""
    men = card.load()
    data = {"y": men.lwage.to_numpy(float), "d": men.educ.to_numpy(float)}
    near = men.nearc4.to_numpy()
    plan = replace(
        PLAN,
        method="instrument",
        uptake_metric="uptake",
        expected_split=(("control", 957.0), ("treatment", 2053.0)),
    )
    found = only(by_arm(data, near, pair_role="uptake"), plan, "wald")
    assert found["estimate"] == pytest.approx(0.188062609, abs=5e-10)
    assert found["std_error"] == pytest.approx(0.026145173, abs=5e-10)
    assert found["ci_shape"] == "interval"
    assert found["ci_low"] < found["estimate"] < found["ci_high"]


def test_villages_in_both_arms_are_refused() -> None:
    """Thornton (2008): people were randomised, so 107 of 119 villages hold both arms."""
    people = thornton_hiv.load_pandas().data.dropna(subset=["any", "got"])
    everyone = by_arm({"y": people.got.to_numpy(float)}, people["any"].to_numpy())
    people = people.dropna(subset="villnum")
    treated, village = people["any"].to_numpy(), people.villnum.to_numpy()
    shared = set(village[treated == 1]) & set(village[treated == 0])
    assert (len(shared), len(set(village))) == (107, 119)
    rows = by_arm({"y": people.got.to_numpy(float)}, treated, cluster=village)
    assert only(rows, PLAN, "unadjusted")["reason"] != "cluster_in_two_variants"
    counted = [{**row, "n_clusters_shared": len(shared)} for row in rows]
    found = only(counted, replace(PLAN, expected_split=split_of(rows)), "unadjusted")
    assert (found["status"], found["reason"]) == ("refused", "cluster_in_two_variants")
    assert np.isnan(found["estimate"])
    # What is refused is the error: the difference itself is the published 0.45.
    difference = kernel.unadjusted(*arms_of(*everyone), is_ratio=MEAN).delta
    assert difference[0] == pytest.approx(0.450552, abs=5e-7)


def split_of(rows: list[dict[str, Any]]) -> tuple[tuple[str, float], ...]:
    return tuple((row["variant"], float(row["n_rows"])) for row in rows)
