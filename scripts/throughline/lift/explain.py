"""The arithmetic of one estimate, as lines that a reader can compute again."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import combinations_with_replacement
from typing import Any

import numpy as np

from throughline.lift import kernel
from throughline.lift.comparisons import with_absent
from throughline.lift.decide import is_deciding
from throughline.lift.moments import TOTAL, VARIABLES, Table, read
from throughline.lift.plan import Experiment, Metric
from throughline.lift.table import workings

MEANING = {
    "y": "numerator",
    "d": "denominator",
    "x": "y before exposure",
    "w": "d before exposure",
    "c": "given covariate",
}
NAMES = {"X": "", "C": "_given"}
"""What the slope on a level before exposure is called, after theta and pull."""
SIDES = ("c", "t")
"""Control and treatment."""
_UNSURE = "for a_critical <= 0 does not tell whether more took it up"
SETS = {
    "interval": "ci_low to ci_high",
    "complement": f"all but ci_low to ci_high, {_UNSURE}",
    "line": f"all, {_UNSURE}",
}
"""Confidence sets of an effect per uptake by `ci_shape`."""
Row = Mapping[str, Any]


@dataclass
class Sheet:
    """Named numbers in the order in which they are computed."""

    values: dict[str, float] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)

    def say(self, name: str, value: float, how: str) -> float:
        """Adds a number, unless it is none."""
        value = float(value)
        if np.isnan(value):
            return value
        number = repr(value).removesuffix(".0")
        self.values[name] = value
        self.lines.append(f"{name:<22} = {number:<24} {how}".rstrip())
        return value


@dataclass(frozen=True, kw_only=True)
class Case:
    """A row of `table.workings` and what it was made from.

    Attributes:
        sides: moments by side; the control is missing where there is none.
        p_by_variant: what Holm's step goes by, over the planned variants.
    """

    row: Row
    sides: Mapping[str, Row]
    plan: Experiment
    card: Metric
    p_by_variant: Mapping[str, float]

    @property
    def is_ratio(self) -> bool:
        return bool(self.sides["t"]["pair_role"] == "denominator")

    @property
    def is_wald(self) -> bool:
        return bool(self.row["method"] == "wald")


def explain(
    moments: Table,
    *,
    plan: Experiment,
    metric: str,
    experiments: Sequence[Experiment],
    metrics: Sequence[Metric],
    masked: Collection[str] = (),
    looks_read: Mapping[str, date] | None = None,
) -> Iterator[list[str]]:
    """The deciding estimate of each variant over all units, block by block.

    Args:
        moments, experiments, metrics, masked, looks_read: as of `table.estimate`.
        plan: the experiment; `metric`: one of its metrics.

    Yields:
        Lines `name = value how`, numbers in full, after a heading; c is the control, t the variant.
    """
    table = with_absent(read(moments), experiments=experiments)
    computed = workings(
        moments, experiments=experiments, metrics=metrics, masked=masked, looks_read=looks_read
    )
    fits = is_deciding(computed, experiments=experiments)
    fits &= (computed["experiment_id"] == plan.experiment_id) & (computed["metric"] == metric)
    rows = [
        {name: values[place] for name, values in computed.items()} for place in np.flatnonzero(fits)
    ]
    if not rows:
        yield [f"{plan.experiment_id} / {metric}", f"no estimate: no row by {plan.decides_by}"]
    for row in rows:
        case = Case(
            row=row,
            sides=_sides(table, row),
            plan=plan,
            card=next(card for card in metrics if card.metric == metric),
            p_by_variant={
                other["variant"]: float(other["deciding_p"])
                for other in rows
                if other["as_of"] == row["as_of"] and not np.isnan(other["deciding_p"])
            },
        )
        yield [*_heading(case), *_arithmetic(case)]


def _sides(table: Table, row: Row) -> dict[str, Row]:
    """The moments that a row was made from."""
    fits = (table["pair_role"] == "uptake") == (row["method"] == "wald")
    fits &= table["segment_name"] == TOTAL
    for name in ("experiment_id", "metric", "totals", "as_of"):
        fits &= table[name] == row[name]
    variants = {"c": row["control_variant"], "t": row["variant"]}
    return {
        side: {name: values[place] for name, values in table.items()}
        for side, variant in variants.items()
        for place in np.flatnonzero(fits & (table["variant"] == variant))
    }


def _heading(case: Case) -> list[str]:
    row, treatment = case.row, case.sides["t"]
    first, end, day = (
        str(day)[:10] for day in (treatment["window_from"], treatment["window_to"], row["as_of"])
    )
    status = row["status"] + (f" ({row['reason']})" if row["reason"] else "")
    return [
        f"{row['experiment_id']} / {row['metric']}: {row['variant']} (t) against "
        f"{row['control_variant']} (c), {row['role']}, as of {day}",
        f"estimator {row['method']} on {row['totals']} totals, days {first} to {end}, "
        f"definition {row['definition_hash']}, status {status}",
    ]


def _arithmetic(case: Case) -> list[str]:
    sheet = Sheet()
    method = case.row["method"]
    used = ["y", *(["d"] if case.is_ratio or case.is_wald else [])]
    if method in ("cuped", "did"):
        used += ["x", *(["w"] if case.is_ratio else [])]
    if method == "cuped" and any(moments["s_cc"] for moments in case.sides.values()):
        used += ["c"]
    for side, moments in case.sides.items():
        _arm(sheet, side, moments, used)
    if case.row["status"] not in ("ok", "not_identified"):
        return [*sheet.lines, f"no estimate: {case.row['reason']}"]
    if case.is_wald:
        _per_uptake(sheet, used)
    else:
        _difference(sheet, used, method=method, is_ratio=case.is_ratio)
    _fixed(sheet, case)
    _sequential(sheet, case)
    _guardrail(sheet, case)
    _decision(sheet, case)
    return sheet.lines


def _arm(sheet: Sheet, side: str, moments: Mapping[str, Any], used: Sequence[str]) -> None:
    """The sums of one arm, its means, and what its units scatter about them."""
    units = sheet.say(f"n_{side}", moments["n_units"], "units")
    rows = sheet.say(f"g_{side}", moments["n_rows"], "independent row units: units, or clusters")
    if not units:
        return
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
    """The effect, the level that a relative lift divides by, and how both vary together."""
    at = sheet.values
    names = {
        "Y": ("y", "d" if is_ratio else None),
        "X": ("x", "w" if is_ratio else None),
    }
    # Without a pre-period denominator there is no pre-period ratio to adjust by.
    has_twin = "x" in used and not (is_ratio and 0.0 in (at["w_c"], at["w_t"]))
    names |= {"C": ("c", None)} if "c" in used else {}
    levels = ["Y", *(["X"] if has_twin else []), *(["C"] if "c" in used else [])]
    for side in SIDES:
        for level in levels:
            top, bottom = names[level]
            value = at[f"{top}_{side}"] / (at[f"{bottom}_{side}"] if bottom else 1.0)
            how = f"{top}_{side} / {bottom}_{side}" if bottom else f"{top}_{side}"
            sheet.say(f"{level}_{side}", value, how)
    slopes = dict.fromkeys(levels[1:], 1.0)
    pulls = dict(slopes)
    if method == "cuped":
        share = at["n_t"] / (at["n_c"] + at["n_t"])
        for level, name, value, how in _slopes(at, levels[1:], is_ratio=is_ratio):
            slopes[level] = sheet.say(f"theta{name}", value, how)
            pulls[level] = sheet.say(f"pull{name}", value * share, f"theta{name} n_t / (n_c + n_t)")

    def gap(*, sign: str, factor: str) -> str:
        """What the levels before exposure take part with."""
        parts = []
        for level in slopes:
            times = f"{factor}{NAMES[level]} " if method == "cuped" else ""
            parts.append(f" {sign} {times}({level}_t - {level}_c)")
        return "".join(parts)

    moves = {
        side: _weights(at, side, y=1.0, slopes=slopes, sign=-1.0, is_ratio=is_ratio)
        for side in SIDES
    }
    of_base = {
        "c": _weights(at, "c", y=1.0, slopes=pulls, sign=-1.0, is_ratio=is_ratio),
        "t": _weights(at, "t", y=0.0, slopes=pulls, sign=1.0, is_ratio=is_ratio),
    }
    for side in SIDES:
        for name, weight in moves[side].items():
            sheet.say(f"w_{name}_{side}", weight, f"how far the level moves with {name}_{side}")
        sheet.say(
            f"var_{side}",
            _covariance(at, side, moves[side], moves[side]),
            "g / (g - 1) / n^2 times the sum over all a, b of w_a w_b S_ab",
        )
    change = {level: at[f"{level}_t"] - at[f"{level}_c"] for level in slopes}
    known = sum(slope * change[level] for level, slope in slopes.items())
    how = f"Y_t - Y_c{gap(sign='-', factor='theta')}"
    sheet.say("estimate", at["Y_t"] - at["Y_c"] - known, how)
    sheet.say("var_delta", at["var_c"] + at["var_t"], "var_c + var_t")
    sheet.say("std_error", np.sqrt(at["var_delta"]), "sqrt(var_delta)")

    control = at["Y_c"] + sum(pull * change[level] for level, pull in pulls.items())
    # A lift is a share of the size of the level, so that it has the sign of the effect.
    turn = -1.0 if control < 0 else 1.0
    pulled = gap(sign="+", factor="pull")
    has_twin = bool(slopes)
    sheet.say("base", turn * control, f"size of the control level, Y_c{pulled}")
    for side in SIDES if has_twin else ():
        for name, weight in of_base[side].items():
            sheet.say(f"v_{name}_{side}", weight, f"how far that level moves with {name}_{side}")
    both = "both arms added: g / (g - 1) / n^2 times the sum over all a, b of "
    var_base = sum(_covariance(at, side, of_base[side], of_base[side]) for side in SIDES)
    sheet.say("var_base", var_base, f"{both}v_a v_b S_ab" if has_twin else "var_c")
    cov = _covariance(at, "t", moves["t"], of_base["t"])
    cov -= _covariance(at, "c", moves["c"], of_base["c"])
    how = f"{both}w_a v_b S_ab, with -w_a for the control" if has_twin else "-var_c"
    sheet.say("cov", turn * cov, f"-({how})" if turn < 0 else how)


def _weights(
    at: Mapping[str, float],
    side: str,
    *,
    y: float,
    slopes: Mapping[str, float],
    sign: float,
    is_ratio: bool,
) -> dict[str, float]:
    """How `y` times the level, and the levels before by their slopes, move with an arm's means."""
    weights: dict[str, float] = {}
    for level, times in {"Y": y, **{name: sign * slope for name, slope in slopes.items()}}.items():
        if level == "C":
            weights["c"] = times
        elif times:
            top, bottom = {"Y": ("y", "d"), "X": ("x", "w")}[level]
            unit = at[f"{bottom}_{side}"] if is_ratio else 1.0
            weights[top] = times / unit
            if is_ratio:
                weights[bottom] = -times * at[f"{level}_{side}"] / unit
    return weights


def _slopes(
    at: Mapping[str, float], levels: Sequence[str], *, is_ratio: bool
) -> Iterator[tuple[str, str, float, str]]:
    """Slope of the outcome on each level before exposure, beside the others: its name, how."""
    n_c, n_t = at["n_c"], at["n_t"]
    pooled = {
        a: (n_c * at[f"{a}_c"] + n_t * at[f"{a}_t"]) / (n_c + n_t)
        for a in "ydxwc"
        if f"{a}_c" in at
    }

    def joint(a: str, b: str) -> float:
        pair = "".join(_ordered((a, b)))
        total = at[f"S_{pair}_c"] + at[f"S_{pair}_t"]
        if is_ratio:
            gaps = (at[f"{a}_t"] - at[f"{a}_c"]) * (at[f"{b}_t"] - at[f"{b}_c"])
            total += n_c * n_t / (n_c + n_t) * gaps
        return total

    def linear(top: str, bottom: str) -> dict[str, float]:
        if not is_ratio:
            return {top: 1.0}
        return {top: 1 / pooled[bottom], bottom: -pooled[top] / pooled[bottom] ** 2}

    gradients = {"Y": linear("y", "d"), "C": {"c": 1.0}}
    gradients |= {"X": linear("x", "w")} if "X" in levels else {}

    def product(one: str, two: str) -> float:
        return sum(
            p * q * joint(a, b)
            for a, p in gradients[one].items()
            for b, q in gradients[two].items()
        )

    own = [level for level in levels if product(level, level) > 0]
    size = {level: np.sqrt(product(level, level)) for level in own}
    matrix = [[product(one, two) / size[one] / size[two] for two in own] for one in own]
    sides = [product("Y", level) / size[level] for level in own]
    solved = np.linalg.lstsq(np.array(matrix).reshape(len(own), -1), sides, rcond=1e-10)[0]
    slopes = {level: slope / size[level] for level, slope in zip(own, solved, strict=True)}
    how = "(S_yx_c + S_yx_t) / (S_xx_c + S_xx_t)"
    if is_ratio:
        how = (
            "slope of y/d on x/w over both arms, linearised at the pooled means: "
            "sum u_a v_b J_ab / sum v_a v_b J_ab, u = (1/d, -y/d^2), v = (1/w, -x/w^2), "
            "J_ab = S_ab_c + S_ab_t + n_c n_t / (n_c + n_t) (a_t - a_c) (b_t - b_c)"
        )
    if len(levels) > 1:
        how = "solves the sums of products of x and c, "
        how += "as J_ab of both arms with the linearised ratios" if is_ratio else "S_ab_c + S_ab_t"
    elif levels == ["C"]:
        how = how.replace("x/w", "c").replace("x", "c")
    for level in levels:
        yield level, NAMES[level], float(slopes.get(level, 0.0)), how


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


def _fixed(sheet: Sheet, case: Case) -> None:
    """What holds at the one look of a fixed horizon, and the lift."""
    row = case.row
    how = "(var_c + var_t)^2 / (var_c^2 / (g_c - 1) + var_t^2 / (g_t - 1))"
    sheet.say("df", row["degrees_of_freedom"], how)
    alpha = sheet.say("alpha", case.plan.alpha, "as declared")
    freedom = np.array([row["degrees_of_freedom"]])
    critical = kernel.quantile(freedom, tail=alpha / 2)[0]
    sheet.say("critical", critical, "t quantile at 1 - alpha / 2, df")
    if np.isnan(row["p_value"]):
        sheet.lines.append(f"no interval of a fixed horizon: {row['reason']}")
    else:
        _ends(sheet, case, "critical", "ci_low", "ci_high", is_of_base=case.is_wald)
        if case.is_wald:
            sheet.lines.append(f"effects per uptake that are not excluded: {SETS[row['ci_shape']]}")
        sheet.say("p_value", row["p_value"], f"P(|T| > |{_statistic(case)}|) at df")
    sheet.say("relative_lift", row["relative_lift"], "estimate / base")
    if row["relative_reason"]:
        sheet.lines.append(f"no relative lift: {row['relative_reason']}")
    elif not np.isnan(row["relative_ci_low"]):
        columns = ("relative_ci_low", "relative_ci_high")
        _ends(sheet, case, "critical", *columns, is_of_base=True)


def _sequential(sheet: Sheet, case: Case) -> None:
    """What holds at every look, or at those declared."""
    if not case.plan.has_looks:
        surprise = -2 * np.log(case.plan.alpha)
        planned = case.plan.expected_units
        rows = sheet.values["g_c"] + sheet.values["g_t"]
        how = f"(g_c + g_t) (-2 ln alpha + ln(1 - 2 ln alpha)) / {planned}, the expected units"
        sheet.say("q", rows * (surprise + np.log(surprise + 1)) / planned, how)
    elif np.isnan(case.row["sequential_critical"]):
        sheet.lines.append("no sequential interval: no look is due that was not read before")
        return
    _critical(sheet, case, "sequential_critical", level="alpha", is_sequential=True)
    columns = ("sequential_ci_low", "sequential_ci_high")
    _ends(sheet, case, "sequential_critical", *columns, is_of_base=case.is_wald)


def _guardrail(sheet: Sheet, case: Case) -> None:
    row, at, rail = case.row, sheet.values, case.plan.guardrail(case.card.metric)
    if rail is None:
        return
    if case.is_wald and rail.kind == "relative":
        sheet.lines.append("guardrail unknown: an effect per uptake is a share of no level")
        return
    is_of_base = (rail.kind == "relative") != case.is_wald
    effect, variance, of_base, both = _names(case)
    margin = sheet.say("margin", rail.margin, f"tolerated loss, {rail.kind}")
    above = case.card.sign * at[effect] + margin * (at["base"] if is_of_base else 1.0)
    how = f"{_good(case)} + margin{' base' if is_of_base else ''}"
    sheet.say("above_margin", above, how)
    squared, how = at[variance], variance
    if is_of_base:
        squared += 2 * margin * case.card.sign * at[both] + margin**2 * at[of_base]
        sign = "-" if case.card.sign < 0 else "+"
        how += f" {sign} 2 margin {both} + margin^2 {of_base}"
    sheet.say("above_error", np.sqrt(squared), f"sqrt({how})")
    if not np.isnan(row["p_non_inferiority"]):
        _critical(sheet, case, "ni_critical", level="(2 alpha)", is_sequential=False)
        _ends(sheet, case, "ni_critical", "ni_bound", is_of_base=is_of_base, is_turned=True)
        how = "P(T > above_margin / above_error) at df"
        sheet.say("p_non_inferiority", row["p_non_inferiority"], how)
    _critical(sheet, case, "sequential_ni_critical", level="(2 alpha)", is_sequential=True)
    columns = ("sequential_ni_bound",)
    _ends(sheet, case, "sequential_ni_critical", *columns, is_of_base=is_of_base, is_turned=True)
    is_sequential = bool(row["decides_sequentially"])
    level = f"(alpha / {len(case.plan.guardrails)})"
    _critical(sheet, case, "harm_critical", level=level, is_sequential=is_sequential)
    _ends(sheet, case, "harm_critical", "harm_high", is_of_base=is_of_base, is_turned=True)
    reach = "sequential_ni_critical" if is_sequential else "ni_critical"
    rule = f"pass is above_margin > {reach} above_error, fail is harm_high < 0 without that"
    if row["status"] != "ok":
        rule = f"it is {row['status']}"
    sheet.lines.append(f"guardrail {row['guardrail_state']}: {rule}")


def _decision(sheet: Sheet, case: Case) -> None:
    """The interval of the primary metric, up as good, in the kind of the minimum effect."""
    row, plan, count = case.row, case.plan, len(case.p_by_variant)
    is_sequential = bool(row["decides_sequentially"])
    if np.isnan(row["decision_critical"]):
        return
    how = "alpha"
    if count > 1 and plan.has_looks:
        how = f"alpha / {count}: variants share it evenly"
    elif count > 1:
        for variant, p in case.p_by_variant.items():
            own = "p_value"
            if is_sequential:
                own = f"exp(min(0, ln(q + 1) / 2 - ({_statistic(case)})^2 / 2 q / (q + 1)))"
            sheet.say(f"p_{variant}", p, own if variant == row["variant"] else f"of {variant}")
        share = plan.alpha / row["decision_level"]
        how = f"alpha / {share:.0f}: the step of Holm for these p"
    sheet.say("decision_level", row["decision_level"], how)
    level = "decision_level"
    _critical(sheet, case, "decision_critical", level=level, is_sequential=is_sequential)
    is_relative = plan.minimum_effect_kind == "relative"
    columns = ("decision_low", "decision_high")
    is_of_base = is_relative != case.is_wald
    _ends(sheet, case, "decision_critical", *columns, is_of_base=is_of_base, is_turned=True)
    if is_relative:
        columns = ("gain_low", "gain_high")
        _ends(sheet, case, "decision_critical", *columns, is_of_base=case.is_wald, is_turned=True)
    kind = f"{plan.minimum_effect_kind}, up as good"
    sheet.lines.append(f"minimum effect {plan.minimum_effect} {kind}")


def _critical(sheet: Sheet, case: Case, name: str, *, level: str, is_sequential: bool) -> None:
    """How many standard errors an interval reaches that errs at `level`, two-sided."""
    how = f"t quantile at 1 - {level} / 2, df"
    if is_sequential:
        how = f"sqrt((q + 1) / q ln((q + 1) / {level}^2))"
    if is_sequential and case.plan.has_looks:
        shares = case.plan.information(
            as_of=case.row["as_of"].astype("datetime64[D]").item(),
            horizon_days=case.plan.horizon_days(case.card),
        )
        told = ", ".join(f"{share:.6g}" for share in shares)
        how = f"Lan-DeMets bound, spending {level} as O'Brien-Fleming, at information {told}"
    sheet.say(name, case.row[name], how)


def _ends(
    sheet: Sheet,
    case: Case,
    critical: str,
    *columns: str,
    is_of_base: bool,
    is_turned: bool = False,
) -> None:
    """Ends of an interval by their formula: plain, or after Fieller as a share of the base.

    Args:
        critical: the number that says how many standard errors it reaches.
        columns: ends, low ones unless they end in `high`.
        is_turned: up is good.
    """
    at = sheet.values
    if critical not in at:
        return
    turns = is_turned and case.card.sign < 0
    reach = f"{critical} std_error"
    formula = {"low": f"estimate - {reach}", "high": f"estimate + {reach}"}
    if is_of_base:
        effect, variance, of_base, both = _names(case)
        z2 = at[critical] ** 2
        a, b, c = (f"{name}_{critical}" for name in "abc")
        sheet.say(a, at["base"] ** 2 - z2 * at[of_base], f"base^2 - {critical}^2 {of_base}")
        how = f"{effect} base - {critical}^2 {both}"
        sheet.say(b, at[effect] * at["base"] - z2 * at[both], how)
        sheet.say(c, at[effect] ** 2 - z2 * at[variance], f"{effect}^2 - {critical}^2 {variance}")
        roots = f"of ({b} -+ sqrt({b}^2 - {a} {c})) / {a}"
        formula = {"low": f"the lower {roots}", "high": f"the upper {roots}"}
        if at[a] <= 0 and not case.is_wald:
            # Of a level too near zero to be divided by, harm is known all the same.
            least = f"({_good(case)} + {reach}) / (base + {critical} sqrt({of_base}))"
            formula, turns = {"high": least}, False
    for column in columns:
        side = "high" if column.endswith("high") else "low"
        if turns:
            side = "low" if side == "high" else "high"
        how = formula.get(side, "")
        sheet.say(column, case.row[column], f"-({how})" if turns else how)


def _names(case: Case) -> tuple[str, str, str, str]:
    """What the effect, its variance, that of the base and their covariance are called."""
    if case.is_wald:
        return "delta", "V_yy", "V_dd", "V_yd"
    return "estimate", "var_delta", "var_base", "cov"


def _good(case: Case) -> str:
    return f"{'-' if case.card.sign < 0 else ''}{_names(case)[0]}"


def _statistic(case: Case) -> str:
    return "delta / sqrt(V_yy)" if case.is_wald else "estimate / std_error"
