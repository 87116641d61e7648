"""From estimates to decisions: one table of rules, read from the top, the first match counts.

Everything is turned so that up is good. A guardrail needs evidence to pass: what is merely not
significant is unknown.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, is_dataclass, replace
from datetime import date
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from throughline.lift.kernel import Flags
from throughline.lift.moments import TOTAL
from throughline.lift.plan import Experiment, Metric
from throughline.lift.refuse import INVALID
from throughline.lift.stakes import Stake

Primary: TypeAlias = Literal["win", "small", "flat", "open", "harm"]
Guard: TypeAlias = Literal["pass", "fail", "unknown"]
Decision: TypeAlias = Literal["ship", "hold", "roll_back", "extend", "stop_invalid"]


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What a decision about one variant rests on.

    Attributes:
        fault: reason that invalidates the experiment, else None.
        is_identified: False where arms differ by more than chance.
        primary: state of the primary metric; None where it is unavailable.
        guardrails: state of each declared guardrail.
        is_complete: every planned unit is mature, for the primary and all guardrails.
        is_fixed_horizon: the method allows one look, at the end.
        has_planned_power: the minimum detectable effect is at most the minimum effect.
        is_extended: the one extension is spent.
        costs_more: what the variant is worth in a year lies wholly below zero.
    """

    fault: str | None = None
    is_identified: bool = True
    primary: Primary | None
    guardrails: Sequence[Guard] = ()
    is_complete: bool
    is_fixed_horizon: bool
    has_planned_power: bool = False
    is_extended: bool = False
    costs_more: bool = False


@dataclass(frozen=True)
class Verdict:
    decision: Decision
    reason: str | None


@dataclass(frozen=True, kw_only=True)
class DecisionRow:
    """The decision about a variant on a day, with what it rests on.

    Attributes:
        decision_low, decision_high: interval of the primary metric, up as good, in the kind of the
            minimum effect; NaN where unavailable.
        totals, decided_on: those of the primary metric, and those that the plan names; a metric
            that is never capped has raw ones alone.
        estimate: of the primary metric, in its units and direction.
        decided_at_look: the declared look at which it was decided; it stands until the next.
        units_per_year, lift_value_amount, …, value_at_stake_high_amount: what the variant is worth
            in a year, and the interval that decides as such; NaN where unknown.
        first_plan_hash: plan_hash stored with the first decision about the experiment.
        inputs_hash: of the plan, its metrics, what is at stake and the deciding estimates of all
            variants.
    """

    experiment_id: str
    variant: str
    as_of: date
    decision: Decision
    reason: str | None
    primary_metric: str
    method: str
    totals: str
    decided_on: str
    primary_state: Primary | None
    estimate: float
    decision_low: float
    decision_high: float
    minimum_effect: float
    minimum_effect_kind: str
    guardrail_pass_count: int
    guardrail_fail_count: int
    guardrail_unknown_count: int
    units_per_year: float
    lift_value_amount: float
    serving_cost_difference_amount: float
    value_at_stake_amount: float
    value_at_stake_low_amount: float
    value_at_stake_high_amount: float
    is_serving_cost_known: bool
    is_complete: bool
    has_planned_power: bool
    is_extended: bool
    decided_at_look: date | None
    plan_hash: str
    first_plan_hash: str
    inputs_hash: str


def primary_state(low: float, high: float, *, minimum_effect: float) -> Primary | None:
    """Where an interval lies between harm, nothing and the minimum effect; None if it is NaN.

    An upper end alone is enough for harm.
    """
    if high < 0:
        return "harm"
    if np.isnan(low) or np.isnan(high):
        return None
    reaches = high >= minimum_effect
    if low > 0:
        return "win" if reaches else "small"
    return "open" if reaches else "flat"


def guardrail_states(*, passes: Flags, harms: Flags) -> NDArray[Any]:
    """State of each guardrail, texts of shape (n,); a small certain loss may be tolerated."""
    return np.where(passes, "pass", np.where(harms, "fail", "unknown")).astype(object)


def decide(evidence: Evidence) -> Verdict:
    """The decision about one variant, before variants are compared with one another."""
    primary, rails = evidence.primary, evidence.guardrails
    is_complete = evidence.is_complete
    all_pass = all(state == "pass" for state in rails)
    rules: tuple[tuple[bool, Decision, str | None], ...] = (
        (evidence.fault is not None, "stop_invalid", evidence.fault),
        (not evidence.is_identified, "hold", "not_identified"),
        ("fail" in rails, "roll_back", "guardrail_harm"),
        (primary is None and not is_complete, "extend", "not_ready"),
        (primary is None, "hold", "primary_unavailable"),
        (primary == "harm", "roll_back", "primary_harm"),
        (evidence.is_fixed_horizon and not is_complete, "extend", "before_planned_end"),
        (primary == "small", "hold", "below_minimum_effect"),
        (primary == "flat", "hold", "futile"),
        (primary == "win" and evidence.costs_more, "hold", "costs_more_than_it_brings"),
        (primary == "win" and all_pass, "ship", None),
        (primary == "win" and not is_complete, "extend", "guardrail_unknown"),
        (primary == "win", "hold", "guardrail_underpowered"),
        (not is_complete, "extend", "undecided"),
        (evidence.has_planned_power, "hold", "no_evidence_at_planned_power"),
        (not evidence.is_extended, "extend", "underpowered"),
        (True, "hold", "underpowered"),
    )
    return next(Verdict(decision, reason) for holds, decision, reason in rules if holds)


def decisions(
    estimates: Mapping[str, NDArray[Any]],
    *,
    experiments: Iterable[Experiment],
    metrics: Iterable[Metric],
    first_plan_hashes: Mapping[str, str] | None = None,
    stakes: Mapping[tuple[str, str], Stake] | None = None,
    last_verdicts: Mapping[str, Sequence[DecisionRow]] | None = None,
) -> list[DecisionRow]:
    """One decision per experiment, planned variant and day of the estimates.

    Args:
        estimates: what `table.estimate` gave.
        experiments, metrics: as given there.
        first_plan_hashes: plan_hash stored with the first decision about each experiment; where
            it differs from the plan now, nothing ships.
        stakes: what each variant could change in a year, by experiment and variant.
        last_verdicts: by experiment, the decisions at the latest look that was read on an earlier
            day. They stand until the next look is due, unless the experiment has become invalid.

    Returns:
        Decisions ordered by experiment, day and variant. Of several variants that would ship, the
        one with the largest estimate does.
    """
    cards = {card.metric: card for card in metrics}
    first, stakes, last_verdicts = first_plan_hashes or {}, stakes or {}, last_verdicts or {}
    plans = {plan.experiment_id: plan for plan in experiments}
    deciding = _deciding(estimates, plans)
    faults = _faults(estimates)
    days = sorted(faults)
    made: list[DecisionRow] = []
    for experiment, day in days:
        plan = plans[experiment]
        places = {
            variant: {m: deciding.get((experiment, day, variant, m)) for m in plan.watched}
            for variant in plan.treatments
        }
        first_plan_hash = first.get(experiment, plan.plan_hash)
        inputs_hash = _inputs_hash(
            estimates,
            [place for of_variant in places.values() for place in of_variant.values()],
            plan=plan,
            cards=[cards[name] for name in plan.watched],
            stakes=[stakes.get((experiment, variant)) for variant in plan.treatments],
            first_plan_hash=first_plan_hash,
        )
        look = plan.look_due(as_of=day, cards=cards)
        kept = {row.variant: row for row in last_verdicts.get(experiment, ())}
        read = [row.decided_at_look for row in kept.values()]
        if look is None or any(day_read is None or day_read < look for day_read in read):
            kept = {}
        is_read = not kept and faults[experiment, day] is None
        is_read &= any(
            place is not None and estimates["status"][place] in ("ok", "not_identified")
            for place in (of_variant[plan.primary_metric] for of_variant in places.values())
        )
        rows = [
            _decided(
                estimates,
                plan=plan,
                variant=variant,
                as_of=day,
                places=of_variant,
                fault=faults[experiment, day],
                cards=cards,
                stake=stakes.get((experiment, variant), Stake()),
                # what shows no estimate yet is left for the next build to read
                look=look if is_read else None,
                first_plan_hash=first_plan_hash,
                inputs_hash=inputs_hash,
            )
            for variant, of_variant in places.items()
        ]
        if faults[experiment, day] is None:
            rows = [
                replace(kept[row.variant], as_of=day) if row.variant in kept else row
                for row in rows
            ]
        if first_plan_hash != plan.plan_hash:
            rows = [
                replace(row, decision="hold", reason="plan_changed")
                if row.decision == "ship"
                else row
                for row in rows
            ]
        made += _best_ships(rows, sign=cards[plan.primary_metric].sign)
    return sorted(made, key=lambda row: (row.experiment_id, row.as_of, row.variant))


def is_deciding(
    estimates: Mapping[str, NDArray[Any]], *, experiments: Iterable[Experiment]
) -> Flags:
    """Whether a row is the one of its metric and variant by which it is judged: shape (rows,).

    It is over all units, by the planned estimator and totals; raw ones of what is never capped or
    whose cap is zero, and the plain difference of a secondary metric that the estimator cannot
    read.
    """
    plans = {plan.experiment_id: plan for plan in experiments}
    is_judged_by = np.zeros(len(estimates["metric"]), dtype=bool)
    names = ("experiment_id", "metric", "method", "totals")
    rows = [*zip(*(estimates[name].tolist() for name in names), strict=True)]
    days = estimates["as_of"].tolist()
    caps = zip(rows, days, estimates["cap_value"].tolist(), strict=True)
    is_capped = {
        (experiment, metric, day)
        for (experiment, metric, _, totals), day, cap in caps
        if totals == "capped" and cap != 0
    }
    methods = {(experiment, metric, method) for experiment, metric, method, _ in rows}
    for place in np.flatnonzero(estimates["segment_name"] == TOTAL).tolist():
        experiment, metric, method, totals = rows[place]
        plan = plans[experiment]
        wanted = plan.decides_by
        if plan.role(metric) == "secondary" and (experiment, metric, wanted) not in methods:
            wanted = "unadjusted"
        has_caps = (experiment, metric, days[place]) in is_capped
        is_judged_by[place] = method == wanted and totals == (
            plan.decided_on if has_caps else "raw"
        )
    return is_judged_by


def _deciding(
    estimates: Mapping[str, NDArray[Any]], plans: Mapping[str, Experiment]
) -> dict[tuple[str, date, str, str], int]:
    """The row that decides, by experiment, day, variant and metric."""
    places = is_deciding(estimates, experiments=plans.values())
    rows = np.flatnonzero(places & (estimates["role"] != "secondary"))
    keys = (estimates[name][rows] for name in ("experiment_id", "as_of", "variant", "metric"))
    return dict(zip(zip(*map(_listed, keys), strict=True), rows.tolist(), strict=True))


def _faults(
    estimates: Mapping[str, NDArray[Any]],
) -> dict[tuple[str, date], str | None]:
    """What invalidates each experiment on each day, whichever variant's rows say so."""
    fault_of: dict[tuple[str, date], str | None] = {}
    columns = (_listed(estimates[name]) for name in ("experiment_id", "as_of", "reason"))
    for experiment, day, reason in zip(*columns, strict=True):
        run = experiment, day
        fault_of[run] = fault_of.get(run) or (reason if reason in INVALID else None)
    return fault_of


def _listed(values: NDArray[Any]) -> list[Any]:
    """Values as Python has them, moments as dates."""
    is_moment = values.dtype.kind == "M"
    listed: list[Any] = (values.astype("datetime64[D]") if is_moment else values).tolist()
    return listed


def _decided(
    estimates: Mapping[str, NDArray[Any]],
    *,
    plan: Experiment,
    variant: str,
    as_of: date,
    places: Mapping[str, int | None],
    fault: str | None,
    cards: Mapping[str, Metric],
    stake: Stake,
    look: date | None,
    first_plan_hash: str,
    inputs_hash: str,
) -> DecisionRow:
    row = places[plan.primary_metric]

    def number(name: str) -> float:
        return np.nan if row is None else float(estimates[name][row])

    rails: list[Guard] = []
    for rail in plan.guardrails:
        place = places[rail.metric]
        rails.append("unknown" if place is None else estimates["guardrail_state"][place])
    low, high = number("decision_low"), number("decision_high")
    # what an effect per uptake is worth depends on how many more will take it up
    is_per_unit = plan.decides_by != "wald"
    gains = [cards[plan.primary_metric].sign * number("estimate")]
    gains += [number("gain_low"), number("gain_high")]
    worth, worth_low, worth_high = (stake.worth(gain) if is_per_unit else np.nan for gain in gains)
    is_confounded = row is not None and estimates["status"][row] == "not_identified"
    evidence = Evidence(
        fault=fault,
        is_identified=plan.is_identified and not is_confounded,
        primary=primary_state(low, high, minimum_effect=plan.minimum_effect),
        guardrails=rails,
        is_complete=as_of >= plan.decidable_on(cards),
        is_fixed_horizon=plan.method not in ("sequential", "group_sequential"),
        has_planned_power=number("minimum_detectable_effect") <= plan.minimum_effect,
        is_extended=plan.is_extended,
        costs_more=worth_high < stake.cost,
    )
    verdict = decide(evidence)
    return DecisionRow(
        experiment_id=plan.experiment_id,
        variant=variant,
        as_of=as_of,
        decision=verdict.decision,
        reason=verdict.reason,
        primary_metric=plan.primary_metric,
        method=plan.decides_by,
        totals=plan.decided_on if row is None else estimates["totals"][row],
        decided_on=plan.decided_on,
        primary_state=evidence.primary,
        estimate=number("estimate"),
        decision_low=low,
        decision_high=high,
        minimum_effect=plan.minimum_effect,
        minimum_effect_kind=plan.minimum_effect_kind,
        guardrail_pass_count=rails.count("pass"),
        guardrail_fail_count=rails.count("fail"),
        guardrail_unknown_count=rails.count("unknown"),
        units_per_year=stake.units_per_year,
        lift_value_amount=worth,
        serving_cost_difference_amount=stake.cost,
        value_at_stake_amount=worth - stake.cost,
        value_at_stake_low_amount=worth_low - stake.cost,
        value_at_stake_high_amount=worth_high - stake.cost,
        is_serving_cost_known=stake.is_cost_known,
        is_complete=evidence.is_complete,
        has_planned_power=evidence.has_planned_power,
        is_extended=plan.is_extended,
        decided_at_look=look,
        plan_hash=plan.plan_hash,
        first_plan_hash=first_plan_hash,
        inputs_hash=inputs_hash,
    )


def _inputs_hash(
    estimates: Mapping[str, NDArray[Any]],
    places: Sequence[int | None],
    *,
    plan: Experiment,
    cards: Sequence[Metric],
    stakes: Sequence[Stake | None],
    first_plan_hash: str,
) -> str:
    """The same for estimates as computed and as any warehouse gives them back."""
    content = {
        "plan": plan,
        "metrics": cards,
        "stakes": [
            None if stake is None else {name: _cell(value) for name, value in vars(stake).items()}
            for stake in stakes
        ],
        "first_plan_hash": first_plan_hash,
        "estimates": [
            None
            if place is None
            else {name: _cell(estimates[name][place]) for name in sorted(estimates)}
            for place in places
        ],
    }
    text = json.dumps(content, sort_keys=True, default=_told)
    return hashlib.sha256(text.encode()).hexdigest()


def _told(value: Any) -> Any:
    return vars(value) if is_dataclass(value) else str(value)


def _cell(value: Any) -> str | float | None:
    if value is None or value != value:
        return None
    if isinstance(value, str):
        return value
    if isinstance(value, np.datetime64):
        return str(value.astype("datetime64[D]"))
    return value.isoformat() if isinstance(value, date) else float(value)


def _best_ships(rows: Sequence[DecisionRow], *, sign: float) -> list[DecisionRow]:
    ships = [row for row in rows if row.decision == "ship"]
    best = max(ships, key=lambda row: (sign * row.estimate, row.variant), default=None)
    return [
        replace(row, decision="hold", reason="dominated")
        if row.decision == "ship" and row is not best
        else row
        for row in rows
    ]
