"""What was declared before the data: experiments, their metrics, margins and looks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Literal, TypeAlias, get_args

Method: TypeAlias = Literal["fixed", "sequential", "group_sequential", "did", "instrument"]
Comparison: TypeAlias = Literal["randomised", "before_after", "unmatched"]
Kind: TypeAlias = Literal["relative", "absolute"]
Direction: TypeAlias = Literal["up", "down", "zero"]
KnownAfter: TypeAlias = Literal["event", "outcome", "label"]
Totals: TypeAlias = Literal["raw", "capped"]
Role: TypeAlias = Literal["primary", "guardrail", "secondary"]

DEFAULT_EXPECTED_UNITS = 5_000


class PlanError(ValueError):
    """What makes a declared experiment unusable, in one line that names it."""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """What the kernel needs of a metric's card.

    Attributes:
        direction: which way is good; what should be near zero is estimated and decides nothing.
        known_after: what its bricks wait for: the event itself, reported outcomes, or labels.
    """

    metric: str
    direction: Direction = "up"
    known_after: KnownAfter = "event"

    @property
    def sign(self) -> float:
        """What turns an effect so that up is good."""
        return -1.0 if self.direction == "down" else 1.0


@dataclass(frozen=True, kw_only=True)
class Guardrail:
    """A metric that may not be worse than the control by more than `margin` (>= 0)."""

    metric: str
    margin: float
    kind: Kind


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One experiment as declared: a row of the seed `experiments` with its guardrails.

    Attributes:
        expected_split: planned share of each variant; a variant of share 0 is a stray.
        planned_end_date: the day after the last on which units enter.
        extended_end_date: the same once the one extension is granted, else None.
        window_days, covariate_days: days after and before exposure that count.
        comparison: how units came into variants; all but `randomised` can never ship, unless
            the method is `did`.
        minimum_effect: smallest effect worth shipping, > 0; a share of the control level or in
            units of the metric.
        alpha: two-sided error rate.
        expected_units: units (clusters, where clustered) over both arms at which the confidence
            sequence is tightest.
        look_dates: days of the looks of a group-sequential plan, before the final one.
        decided_on: totals by which it is decided.
        uptake_metric: what an instrument moves; its effect is read per unit of it.
        outcome_days, label_days: days after an event until its outcomes are reported, and until
            its label has matured, of the experiment's model.
    """

    experiment_id: str
    control_variant: str
    expected_split: tuple[tuple[str, float], ...]
    start_date: date
    planned_end_date: date
    window_days: int
    method: Method
    primary_metric: str
    minimum_effect: float
    minimum_effect_kind: Kind
    covariate_days: int = 0
    secondary_metrics: tuple[str, ...] = ()
    guardrails: tuple[Guardrail, ...] = ()
    alpha: float = 0.05
    power: float = 0.8
    comparison: Comparison = "randomised"
    expected_units: int = DEFAULT_EXPECTED_UNITS
    look_dates: tuple[date, ...] = ()
    extended_end_date: date | None = None
    decided_on: Totals = "raw"
    uptake_metric: str | None = None
    outcome_days: int = 0
    label_days: int = 0

    def __post_init__(self) -> None:
        checks = {
            "minimum_effect must be above 0": self.minimum_effect > 0,
            "alpha must lie between 0 and 1": 0 < self.alpha < 1,
            "power must lie between 0 and 1": 0 < self.power < 1,
            "expected_units must be above 0": self.expected_units > 0,
            "planned_end_date must be after start_date": self.planned_end_date > self.start_date,
            "extended_end_date must be after planned_end_date": self.extended_end_date is None
            or self.extended_end_date > self.planned_end_date,
            "margins must not be negative": all(rail.margin >= 0 for rail in self.guardrails),
            "a guardrail stands twice": len({rail.metric for rail in self.guardrails})
            == len(self.guardrails),
            "the primary metric is also a guardrail": self.primary_metric
            not in {rail.metric for rail in self.guardrails},
            "group_sequential needs look_dates in order": self.method != "group_sequential"
            or (bool(self.look_dates) and list(self.look_dates) == sorted(set(self.look_dates))),
            "did needs covariate_days equal to window_days": self.method != "did"
            or self.covariate_days == self.window_days,
            "instrument needs an absolute minimum_effect": self.method != "instrument"
            or self.minimum_effect_kind == "absolute",
            "instrument needs an uptake_metric": self.method != "instrument"
            or self.uptake_metric is not None,
        }
        for name, allowed in (
            ("method", Method),
            ("comparison", Comparison),
            ("minimum_effect_kind", Kind),
            ("decided_on", Totals),
        ):
            known = get_args(allowed)
            checks[f"{name} must be one of {', '.join(known)}"] = getattr(self, name) in known
        for what, holds in checks.items():
            if not holds:
                raise PlanError(f"experiment {self.experiment_id}: {what}")

    @classmethod
    def from_row(
        cls,
        row: Mapping[str, Any],
        *,
        guardrails: Iterable[Mapping[str, Any]] = (),
        outcome_days: int = 0,
        label_days: int = 0,
    ) -> Experiment:
        """An experiment from its row of the seed, the cells as text or typed; NULL is empty.

        `expected_split` reads `variant:share;…`, `secondary_metrics` and `look_dates` are
        separated by `;`. Cells that are empty or absent have the defaults of the class.

        Args:
            row: of the seed `experiments`.
            guardrails: rows of the seed `experiment_guardrails` that name the experiment.
            outcome_days, label_days: as in the class, from the registry of models.

        Raises:
            PlanError: a cell that does not read so, or a plan that contradicts itself.
        """
        cells = _cells(row)
        who = f"experiment {cells.get('experiment_id', '')}"
        given = _given(cells, _READERS, who=who)
        rails = []
        for rail in map(_cells, guardrails):
            whose = f"{who}: guardrail {rail.get('metric', '')}"
            read = _given(rail, _GUARDRAIL_READERS, who=whose)
            if missing := [name for name in _GUARDRAIL_READERS if name not in read]:
                raise PlanError(f"{whose}: {', '.join(missing)} missing")
            if read["margin_kind"] not in get_args(Kind):
                raise PlanError(f"{whose}: margin_kind must be one of {', '.join(get_args(Kind))}")
            rails.append(
                Guardrail(metric=read["metric"], margin=read["margin"], kind=read["margin_kind"])
            )
        try:
            return cls(
                **given,
                guardrails=tuple(rails),
                outcome_days=outcome_days,
                label_days=label_days,
            )
        except TypeError:
            missing = [name for name in _REQUIRED if name not in given]
            raise PlanError(f"{who}: {', '.join(missing)} missing") from None

    @property
    def is_extended(self) -> bool:
        return self.extended_end_date is not None

    @property
    def watched(self) -> tuple[str, ...]:
        """Metrics that a decision reads: the primary and the guardrails."""
        return (self.primary_metric, *(rail.metric for rail in self.guardrails))

    @property
    def has_looks(self) -> bool:
        """Whether bounds at declared looks hold. They spend all of alpha by the planned end; an
        extension goes on as a confidence sequence."""
        return self.method == "group_sequential" and not self.is_extended

    @property
    def is_randomised(self) -> bool:
        return self.comparison == "randomised" and self.method != "did"

    @property
    def is_identified(self) -> bool:
        """Whether its arms can tell what the treatment does, by chance or by parallel trends."""
        return self.is_randomised or (self.method == "did" and self.comparison != "before_after")

    @property
    def treatments(self) -> tuple[str, ...]:
        """The planned variants but the control."""
        return tuple(
            variant
            for variant, share in self.expected_split
            if share > 0 and variant != self.control_variant
        )

    @property
    def decides_by(self) -> str:
        """The estimator whose rows decide: known beforehand, not chosen by its result."""
        special = {"did": "did", "instrument": "wald"}
        return special.get(self.method, "cuped" if self.covariate_days else "unadjusted")

    @property
    def plan_hash(self) -> str:
        """Changes when the primary metric, a margin or alpha does."""
        rails = sorted((rail.metric, rail.margin, rail.kind) for rail in self.guardrails)
        content = json.dumps([self.primary_metric, rails, self.alpha])
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    def role(self, metric: str) -> Role:
        if metric == self.primary_metric:
            return "primary"
        return "guardrail" if self.guardrail(metric) else "secondary"

    def guardrail(self, metric: str) -> Guardrail | None:
        return next((rail for rail in self.guardrails if rail.metric == metric), None)

    def horizon_days(self, metric: Metric) -> int:
        """Days after the window until the values of a metric are known."""
        return {"event": 0, "outcome": self.outcome_days, "label": self.label_days}[
            metric.known_after
        ]

    def complete_on(self, *, horizon_days: int) -> date:
        """The first day on which every planned unit is mature."""
        end = self.extended_end_date or self.planned_end_date
        return end + timedelta(days=self.window_days + horizon_days)

    def decidable_on(self, cards: Mapping[str, Metric]) -> date:
        """The first day on which every planned unit is mature for all that a decision reads."""
        horizons = [self.horizon_days(cards[name]) for name in self.watched]
        return self.complete_on(horizon_days=max(horizons))

    def look_due(self, *, as_of: date, cards: Mapping[str, Metric]) -> date | None:
        """The latest look that has come by a day; None before the first, and without looks.

        Beside the declared ones it is a look when every planned unit is mature for a metric that
        the decision reads.
        """
        if not self.has_looks:
            return None
        horizons = {self.horizon_days(cards[name]) for name in self.watched}
        lag = timedelta(days=self.window_days + self.horizon_days(cards[self.primary_metric]))
        looks = [look for look in self.look_dates if look > self.start_date + lag]
        looks += [self.complete_on(horizon_days=horizon) for horizon in horizons]
        return max((look for look in looks if look <= as_of), default=None)

    def information(self, *, as_of: date, horizon_days: int) -> tuple[float, ...]:
        """Planned shares of information at the looks up to `as_of`; empty before the first.

        Units enter evenly and mature after window and horizon, so the share of the enrolment
        period that a look can speak of is its information. The final look is the day on which
        every planned unit is mature.
        """
        lag = timedelta(days=self.window_days + horizon_days)
        final = self.planned_end_date + lag
        length = (self.planned_end_date - self.start_date).days
        done = [
            look
            for look in self.look_dates
            if self.start_date + lag < look < final and look <= as_of
        ]
        done += [final] if as_of >= final else []
        return tuple((look - lag - self.start_date).days / length for look in done)


def _cells(row: Mapping[str, Any]) -> dict[str, str]:
    return {
        name: "" if value is None or value != value else str(value).strip()
        for name, value in row.items()
    }


def _given(cells: Mapping[str, str], readers: Mapping[str, Any], *, who: str) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for name, read in readers.items():
        if cells.get(name):
            try:
                given[name] = read(cells[name])
            except ValueError as error:
                what = f"{name} '{cells[name]}' cannot be read: {error}"
                raise PlanError(f"{who}: {what}") from None
    return given


def _pairs(cell: str) -> tuple[tuple[str, float], ...]:
    parts = [part.rsplit(":", 1) for part in cell.split(";")]
    return tuple((variant.strip(), float(share)) for variant, share in parts)


def _date(cell: str) -> date:
    return date.fromisoformat(cell[:10])


def _list(cell: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in cell.split(";") if part.strip())


def _whole(cell: str) -> int:
    number = float(cell)
    if number != int(number):
        raise ValueError("not a whole number")
    return int(number)


_READERS: Mapping[str, Any] = {
    "experiment_id": str,
    "control_variant": str,
    "expected_split": _pairs,
    "start_date": _date,
    "planned_end_date": _date,
    "window_days": _whole,
    "method": str,
    "primary_metric": str,
    "minimum_effect": float,
    "minimum_effect_kind": str,
    "covariate_days": _whole,
    "secondary_metrics": _list,
    "alpha": float,
    "power": float,
    "comparison": str,
    "expected_units": _whole,
    "look_dates": lambda cell: tuple(map(_date, _list(cell))),
    "extended_end_date": _date,
    "decided_on": str,
    "uptake_metric": str,
}
_GUARDRAIL_READERS: Mapping[str, Any] = {"metric": str, "margin": float, "margin_kind": str}
_REQUIRED = tuple(_READERS)[:10]
