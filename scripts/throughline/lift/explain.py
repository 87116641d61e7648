"""The arithmetic of one estimate, as lines that a reader can compute again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations_with_replacement
from typing import Any

import numpy as np

from throughline.lift.comparisons import compare, with_absent
from throughline.lift.decide import is_deciding
from throughline.lift.moments import VARIABLES, Table, read
from throughline.lift.plan import Experiment, Metric
from throughline.lift.sequential import always_valid

MEANING = {"y": "numerator", "d": "denominator", "x": "y before exposure", "w": "d before exposure"}
SIDES = ("c", "t")
"""Control and treatment."""


@dataclass
class Sheet:
    """Named numbers in the order in which they are computed."""

    values: dict[str, float] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)

    def say(self, name: str, value: float, how: str) -> float:
        value = float(value)
        number = repr(value).removesuffix(".0")
        self.values[name] = value
        self.lines.append(f"{name:<16} = {number:<24} {how}".rstrip())
        return value


def explain(
    moments: Table,
    estimates: Mapping[str, Any],
    *,
    plan: Experiment,
    metric: str,
    experiments: Sequence[Experiment],
    metrics: Sequence[Metric],
) -> Iterator[list[str]]:
    """The deciding estimate of each variant over all units, block by block.

    Args:
        moments, estimates: what `table.estimate` took and gave.
        plan: the experiment; `metric`: one of its metrics.
        experiments, metrics: as given to `table.estimate`.

    Yields:
        Lines `name = value how`, numbers in full, after a heading; c is the control, t the variant.
    """
    table = with_absent(read(moments), experiments=experiments)
    rows = compare(table, experiments=experiments, metrics=metrics)
    fits = is_deciding(estimates, experiments=experiments)
    fits &= (estimates["experiment_id"] == plan.experiment_id) & (estimates["metric"] == metric)
    for place in np.flatnonzero(fits).tolist():
        row = {name: values[place] for name, values in estimates.items()}
        sides = {
            side: {name: values[index] for name, values in table.items()}
            for side, index in zip(SIDES, (rows.control[place], rows.treatment[place]), strict=True)
            if index >= 0
        }
        yield [*_heading(row, sides), *_arithmetic(row, sides, plan=plan)]


def _heading(row: Mapping[str, Any], sides: Mapping[str, Mapping[str, Any]]) -> list[str]:
    treatment = sides["t"]
    day = row["as_of"].astype("datetime64[D]")
    status = row["status"] + (f" ({row['reason']})" if row["reason"] else "")
    return [
        f"{row['experiment_id']} / {row['metric']}: {row['variant']} (t) against "
        f"{row['control_variant']} (c), {row['role']}, as of {day}",
        f"estimator {row['method']} on {row['totals']} totals, days {treatment['window_from']} to "
        f"{treatment['window_to']}, definition {row['definition_hash']}, status {status}",
    ]


def _arithmetic(
    row: Mapping[str, Any], sides: Mapping[str, Mapping[str, Any]], *, plan: Experiment
) -> list[str]:
    sheet = Sheet()
    method = row["method"]
    is_ratio = sides["t"]["pair_role"] == "denominator"
    used = ["y", *(["d"] if is_ratio or method == "wald" else [])]
    if method in ("cuped", "did"):
        used += ["x", *(["w"] if is_ratio else [])]
    for side, moments in sides.items():
        _arm(sheet, side, moments, used)
    if row["status"] not in ("ok", "not_identified"):
        return [*sheet.lines, f"no estimate: {row['reason']}"]
    if method == "wald":
        _per_uptake(sheet, used)
    else:
        _difference(sheet, used, method=method, is_ratio=is_ratio)
    _intervals(sheet, row, plan=plan)
    return sheet.lines


def _arm(sheet: Sheet, side: str, moments: Mapping[str, Any], used: Sequence[str]) -> None:
    """The sums of one arm, its means, and what its units scatter about them."""
    units = sheet.say(f"n_{side}", moments["n_units"], "units")
    rows = sheet.say(f"g_{side}", moments["n_rows"], "independent row units: units, or clusters")
    is_clustered = rows != units
    away = {}
    for name in used:
        k = sheet.say(f"k_{name}_{side}", moments[f"k_{name}"], "constant taken off each unit")
        total = sheet.say(f"s_{name}_{side}", moments[f"s_{name}"], f"sum of {name} - k")
        away[name] = total / units
        sheet.say(f"{name}_{side}", k + away[name], f"mean {MEANING[name]}: k + s / n")
    if is_clustered:
        for name in ("m", *used):
            what = "units" if name == "m" else f"{name} - k"
            how = f"sum over clusters of units times {what}"
            sheet.say(f"s_m{name}_{side}", moments[f"s_m{name}"], how)
    for one, two in combinations_with_replacement(_ordered(used), 2):
        pair = one + two
        raw = sheet.say(f"s_{pair}_{side}", moments[f"s_{pair}"], f"sum of ({one} - k) ({two} - k)")
        scatter = raw + away[one] * away[two] * moments["s_mm"]
        scatter -= away[one] * moments[f"s_m{two}"] + away[two] * moments[f"s_m{one}"]
        how = f"about the means: s_{pair} - s_{one} s_{two} / n"
        if is_clustered:
            how = f"about the means: s_{pair} - a s_m{two} - b s_m{one} + a b s_mm, "
            how += f"a = s_{one} / n, b = s_{two} / n"
        sheet.say(f"S_{pair}_{side}", scatter, how)


def _ordered(names: Iterable[str]) -> list[str]:
    return sorted(names, key=VARIABLES.index)


def _covariance(
    at: Mapping[str, float], side: str, one: Mapping[str, float], two: Mapping[str, float]
) -> float:
    """Of two weighted sums of the means of an arm."""
    rows = at[f"g_{side}"]
    scatter = sum(
        weight * other * at[f"S_{''.join(_ordered((a, b)))}_{side}"]
        for a, weight in one.items()
        for b, other in two.items()
    )
    return rows / (rows - 1) * scatter / at[f"n_{side}"] ** 2


def _difference(sheet: Sheet, used: Sequence[str], *, method: str, is_ratio: bool) -> None:
    at = sheet.values
    names = {
        "Y": ("y", "d" if is_ratio else None),
        "X": ("x", "w" if is_ratio else None),
    }
    # Without a pre-period denominator there is no pre-period ratio to adjust by.
    has_twin = "x" in used and not (is_ratio and 0.0 in (at["w_c"], at["w_t"]))
    levels = ["Y", *(["X"] if has_twin else [])]
    for side in SIDES:
        for level in levels:
            top, bottom = names[level]
            value = at[f"{top}_{side}"] / (at[f"{bottom}_{side}"] if bottom else 1.0)
            how = f"{top}_{side} / {bottom}_{side}" if bottom else f"{top}_{side}"
            sheet.say(f"{level}_{side}", value, how)
    theta = 1.0
    if method == "cuped" and has_twin:
        theta = sheet.say("theta", *_theta(at, is_ratio=is_ratio))
    estimate = at["Y_t"] - at["Y_c"]
    how = "Y_t - Y_c"
    if has_twin:
        estimate -= theta * (at["X_t"] - at["X_c"])
        how += " - theta (X_t - X_c)" if method == "cuped" else " - (X_t - X_c)"
    for side in SIDES:
        weights = _weights(at, side, theta=theta if has_twin else None, is_ratio=is_ratio)
        for name, weight in weights.items():
            sheet.say(f"w_{name}_{side}", weight, f"how far the level moves with {name}_{side}")
        sheet.say(
            f"var_{side}",
            _covariance(at, side, weights, weights),
            "g / (g - 1) / n^2 times the sum over all a, b of w_a w_b S_ab",
        )
    sheet.say("estimate", estimate, how)


def _weights(
    at: Mapping[str, float], side: str, *, theta: float | None, is_ratio: bool
) -> dict[str, float]:
    if not is_ratio:
        return {"y": 1.0, **({} if theta is None else {"x": -theta})}
    weights = {"y": 1 / at[f"d_{side}"], "d": -at[f"Y_{side}"] / at[f"d_{side}"]}
    if theta is not None:
        weights |= {
            "x": -theta / at[f"w_{side}"],
            "w": theta * at[f"X_{side}"] / at[f"w_{side}"],
        }
    return weights


def _theta(at: Mapping[str, float], *, is_ratio: bool) -> tuple[float, str]:
    if not is_ratio:
        own = at["S_xx_c"] + at["S_xx_t"]
        how = "(S_yx_c + S_yx_t) / (S_xx_c + S_xx_t)"
        return ((at["S_yx_c"] + at["S_yx_t"]) / own if own > 0 else 0.0), how
    n_c, n_t = at["n_c"], at["n_t"]
    pooled = {a: (n_c * at[f"{a}_c"] + n_t * at[f"{a}_t"]) / (n_c + n_t) for a in "ydxw"}

    def joint(a: str, b: str) -> float:
        pair = "".join(_ordered((a, b)))
        gaps = (at[f"{a}_t"] - at[f"{a}_c"]) * (at[f"{b}_t"] - at[f"{b}_c"])
        return at[f"S_{pair}_c"] + at[f"S_{pair}_t"] + n_c * n_t / (n_c + n_t) * gaps

    y = {"y": 1 / pooled["d"], "d": -pooled["y"] / pooled["d"] ** 2}
    x = {"x": 1 / pooled["w"], "w": -pooled["x"] / pooled["w"] ** 2}
    cross = sum(p * q * joint(a, b) for a, p in y.items() for b, q in x.items())
    own = sum(p * q * joint(a, b) for a, p in x.items() for b, q in x.items())
    how = (
        "slope of y/d on x/w over both arms, linearised at the pooled means: "
        "sum u_a v_b J_ab / sum v_a v_b J_ab, u = (1/d, -y/d^2), v = (1/w, -x/w^2), "
        "J_ab = S_ab_c + S_ab_t + n_c n_t / (n_c + n_t) (a_t - a_c) (b_t - b_c)"
    )
    return (cross / own if own > 0 else 0.0), how


def _per_uptake(sheet: Sheet, used: Sequence[str]) -> None:
    at = sheet.values
    turn = -1.0 if at["d_t"] < at["d_c"] else 1.0
    delta = sheet.say("delta", turn * (at["y_t"] - at["y_c"]), "y_t - y_c, turned as base is")
    base = sheet.say("base", turn * (at["d_t"] - at["d_c"]), "d_t - d_c, turned so that it rises")
    both = {
        pair: sheet.say(
            f"V_{pair}",
            sum(_covariance(at, side, {pair[0]: 1.0}, {pair[1]: 1.0}) for side in SIDES),
            f"g / (g - 1) S_{pair} / n^2, both arms added",
        )
        for pair in ("yy", "yd", "dd")
    }
    for side in SIDES:
        value = _covariance(at, side, {"y": 1.0}, {"y": 1.0})
        sheet.say(f"var_{side}", value, "g / (g - 1) S_yy / n^2")
    effect = sheet.say("estimate", delta / base, "delta / base")
    variance = (both["yy"] - 2 * effect * both["yd"] + effect**2 * both["dd"]) / base**2
    how = "sqrt(V_yy - 2 estimate V_yd + estimate^2 V_dd) / base"
    sheet.say("std_error", np.sqrt(variance), how)
    sheet.say("first_stage_f", base**2 / both["dd"], "base^2 / V_dd")


def _intervals(sheet: Sheet, row: Mapping[str, Any], *, plan: Experiment) -> None:
    at = sheet.values
    is_wald = row["method"] == "wald"
    if not is_wald:
        sheet.say("std_error", np.sqrt(at["var_c"] + at["var_t"]), "sqrt(var_c + var_t)")
    total = at["var_c"] + at["var_t"]
    freedom = total**2 / (at["var_c"] ** 2 / (at["g_c"] - 1) + at["var_t"] ** 2 / (at["g_t"] - 1))
    how = "(var_c + var_t)^2 / (var_c^2 / (g_c - 1) + var_t^2 / (g_t - 1))"
    sheet.say("df", freedom, how)
    critical = sheet.say(
        "critical",
        _quantile(freedom, plan.alpha / 2),
        f"t quantile at 1 - alpha / 2, alpha = {plan.alpha}",
    )
    if np.isnan(row["p_value"]):
        sheet.lines.append(f"no interval of a fixed horizon: {row['reason']}")
    elif is_wald:
        how = "all r with |delta - r base| within critical standard errors (Fieller)"
        sheet.say("ci_low", row["ci_low"], f"{row['ci_shape']}: {how}")
        sheet.say("ci_high", row["ci_high"], "")
    else:
        reach = critical * at["std_error"]
        sheet.say("ci_low", at["estimate"] - reach, "estimate - critical std_error")
        sheet.say("ci_high", at["estimate"] + reach, "estimate + critical std_error")
        sheet.say("p_value", row["p_value"], "P(|T| > |estimate / std_error|) at df")
    if not is_wald and not (plan.method == "group_sequential" and not plan.is_extended):
        count = np.array([at["g_c"] + at["g_t"]])
        wide = always_valid(
            rows=count,
            planned=np.array([float(plan.expected_units)]),
            alpha=np.array([plan.alpha]),
        )[0]
        how = (
            "sqrt((q + 1) / q ln((q + 1) / alpha^2)), q = g rho^2, g = g_c + g_t, rho^2 = "
            f"(-2 ln alpha + ln(1 - 2 ln alpha)) / {plan.expected_units}"
        )
        sheet.say("any_time", wide, how)
        reach = wide * at["std_error"]
        sheet.say("sequential_low", at["estimate"] - reach, "estimate - any_time std_error")
        sheet.say("sequential_high", at["estimate"] + reach, "estimate + any_time std_error")
    for name, how in (
        ("relative_lift", "estimate / |control level|"),
        ("relative_ci_low", "Fieller, with the noise of the control level"),
        ("relative_ci_high", ""),
        ("margin", "tolerated loss, as declared"),
        ("ni_bound", "lower one-sided bound of the loss, up as good"),
        ("decision_low", "interval that decides, up as good, in the kind of the minimum effect"),
        ("decision_high", f"minimum effect {plan.minimum_effect} {plan.minimum_effect_kind}"),
    ):
        if not np.isnan(row[name]):
            sheet.say(name, row[name], how)


def _quantile(freedom: float, tail: float) -> float:
    from throughline.lift import kernel

    return float(kernel.quantile(np.array([freedom]), tail=tail)[0])
