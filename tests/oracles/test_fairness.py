"""Rates and their gaps between groups against fairlearn, on random decisions."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import duckdb
import jinja2
import numpy as np
import pandas as pd
import pytest
from fairlearn.metrics import (
    MetricFrame,
    demographic_parity_difference,
    demographic_parity_ratio,
    equalized_odds_difference,
    false_negative_rate,
    false_positive_rate,
    selection_rate,
    true_positive_rate,
)
from sklearn.metrics import precision_score
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

ROOT = Path(__file__).resolve().parents[2]
SETS = 200


@pytest.fixture(scope="module")
def macros() -> ModuleType:
    files = [ROOT / "macros" / name for name in ("fairness.sql", "intervals.sql")]
    text = "\n".join(path.read_text(encoding="utf-8") for path in files)
    environment = jinja2.Environment(extensions=["jinja2.ext.do"])
    # a macro of dbt ends by raising what it returns
    environment.globals["return"] = _return
    environment.globals["safe_ratio"] = lambda part, whole: f"({part}) / nullif({whole}, 0)"
    return cast("ModuleType", environment.from_string(text).module)


class _Returned(Exception):  # noqa: N818
    pass


def _return(value: Any) -> None:
    raise _Returned(value)


def rates_of(macros: ModuleType) -> list[dict[str, str]]:
    try:
        macros.group_rates()
    except _Returned as returned:
        return cast("list[dict[str, str]]", returned.args[0])
    raise AssertionError("group_rates returns nothing")


def sums_of(macros: ModuleType) -> dict[str, str]:
    try:
        macros.group_sums()
    except _Returned as returned:
        return cast("dict[str, str]", returned.args[0])
    raise AssertionError("group_sums returns nothing")


def decisions(seed: int) -> pd.DataFrame:
    """Judged decisions of a few groups: weights, rare positives and one class now and then."""
    draw = np.random.default_rng(seed)
    n = int(draw.integers(40, 400))
    prevalence = draw.choice([0.0, 0.03, 0.3, 0.6, 1.0], p=[0.05, 0.25, 0.4, 0.25, 0.05])
    is_positive = draw.random(n) < prevalence
    is_selected = draw.random(n) < draw.uniform(0.05, 0.95)
    return pd.DataFrame(
        {
            "grp": draw.choice(list("abcd")[: draw.integers(2, 5)], n),
            "is_positive": is_positive,
            "is_selected": is_selected,
            "sampling_weight": draw.choice([1.0, 2.0, 10.0], n) if seed % 2 else 1.0,
            "score": np.round(draw.random(n), 2),
        }
    )


def by_group(rows: pd.DataFrame, macros: ModuleType) -> pd.DataFrame:
    """The rates of each group by the SQL of the fact and of the rates."""
    cells = ", ".join(
        f"case when is_selected = {yes} and is_positive = {truth} then sampling_weight else 0 end"
        f" as {name}_count"
        for name, yes, truth in (
            ("true_positive", "true", "true"),
            ("false_positive", "true", "false"),
            ("false_negative", "false", "true"),
            ("true_negative", "false", "false"),
        )
    )
    sums = ", ".join(f"sum({sql}) as {name}" for name, sql in sums_of(macros).items())
    shares = ", ".join(
        f"({rate['part']}) / nullif({rate['whole']}, 0) as {rate['name']}"
        for rate in rates_of(macros)
    )
    sql = f"""
        with decided as (
            select *, {cells}, 0 as excluded_positive_count, sampling_weight as matured_count,
                case when is_positive then sampling_weight else 0 end as actual_positive_count,
                case when is_selected then if(is_positive, 'tp', 'fp')
                    else if(is_positive, 'fn', 'tn') end as confusion_cell
            from rows
        ),
        summed as (select grp, {sums} from decided group by grp)
        select grp, {shares}, score_sum / scored_count as mean_score from summed order by grp
    """
    with duckdb.connect() as connection:
        connection.register("rows", rows)
        return connection.sql(sql).df().set_index("grp")


@pytest.mark.parametrize("seed", range(SETS))
def test_rates_and_gaps_equal_fairlearn(seed: int, macros: ModuleType) -> None:
    rows = decisions(seed)
    ours = by_group(rows, macros)
    weights = {"sample_weight": rows.sampling_weight}
    metrics = {
        "selection_rate": selection_rate,
        "true_positive_rate": true_positive_rate,
        "false_positive_rate": false_positive_rate,
        "false_negative_rate": false_negative_rate,
        "precision": lambda y_true, y_pred, sample_weight: precision_score(
            y_true, y_pred, sample_weight=sample_weight, zero_division=np.nan
        ),
    }
    frame = MetricFrame(
        metrics=metrics,
        y_true=rows.is_positive.astype(int),
        y_pred=rows.is_selected.astype(int),
        sensitive_features=rows.grp,
        sample_params=dict.fromkeys(metrics, weights),
    )
    for name in metrics:
        theirs = frame.by_group[name].astype(float)
        known = ours[name].notna()
        # where a group has no such decision, fairlearn says 0 and we say nothing
        assert (theirs[~known].fillna(0) == 0).all(), name
        np.testing.assert_allclose(ours[name][known], theirs[known], rtol=1e-9, atol=1e-12)
    arguments: dict[str, Any] = {"sensitive_features": rows.grp, **weights}
    truth, called = rows.is_positive.astype(int), rows.is_selected.astype(int)
    gap = ours.selection_rate.max() - ours.selection_rate.min()
    assert demographic_parity_difference(truth, called, **arguments) == pytest.approx(gap, abs=1e-9)
    if ours.selection_rate.max() > 0:
        ratio = ours.selection_rate.min() / ours.selection_rate.max()
        theirs = demographic_parity_ratio(truth, called, **arguments)
        assert theirs == pytest.approx(ratio, abs=1e-9)
    if ours[["true_positive_rate", "false_positive_rate"]].notna().all().all():
        gaps = [
            ours[name].max() - ours[name].min()
            for name in ("true_positive_rate", "false_positive_rate")
        ]
        theirs = equalized_odds_difference(truth, called, **arguments)
        assert theirs == pytest.approx(max(gaps), abs=1e-9)


def test_intervals_equal_statsmodels(macros: ModuleType) -> None:
    draw = np.random.default_rng(5)
    for n, m in draw.integers(5, 500, (60, 2)):
        x, y = int(draw.integers(0, n + 1)), int(draw.integers(0, m + 1))
        quantile = macros.quantile_of_one()
        shares = {"p": (repr(x / float(n)), f"{n}.0"), "q": (repr(y / float(m)), f"{m}.0")}
        limits = ", ".join(
            f"{macros.wilson_bound(share, size, sign, quantile)} as {name}_{end}"
            for name, (share, size) in shares.items()
            for sign, end in (("-", "low"), ("+", "high"))
        )
        ends = ["p_low", "p_high", repr(float(y / m)), "q_low", "q_high"]
        bounds = ", ".join(
            str(macros.newcombe_bound(repr(float(x / n)), *ends, sign)) for sign in "-+"
        )
        with duckdb.connect() as connection:
            limit_row = connection.sql(f"select {limits}").fetchone()
            bound_row = connection.sql(
                f"select {bounds} from (select {limits}) as limits"
            ).fetchone()
        assert limit_row is not None
        assert bound_row is not None
        theirs = [
            *proportion_confint(x, n, method="wilson"),
            *proportion_confint(y, m, method="wilson"),
        ]
        np.testing.assert_allclose(limit_row, theirs, atol=1e-9)
        newcombe = confint_proportions_2indep(x, n, y, m, method="newcomb", compare="diff")
        np.testing.assert_allclose(bound_row, newcombe, atol=1e-9)


def test_the_macros_are_named_as_the_models_call_them() -> None:
    """The tests above read the macros themselves; the models must call the same ones."""
    called = "\n".join(
        path.read_text() for path in (ROOT / "models/quality").glob("int_group_*.sql")
    )
    for name in ("wilson_bound", "newcombe_bound", "log_ratio", "group_rates"):
        assert re.search(rf"\b{name}\(", called), name
