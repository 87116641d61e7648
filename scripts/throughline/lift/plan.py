"""What was declared before the data: experiments, their metrics, margins and looks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Literal, TypeAlias, cast, get_args

Method: TypeAlias = Literal["fixed", "sequential", "group_sequential", "did", "instrument"]
Comparison: TypeAlias = Literal["randomised", "before_after", "unmatched"]
Kind: TypeAlias = Literal["relative", "absolute"]
Direction: TypeAlias = Literal["up", "down"]
Totals: TypeAlias = Literal["raw", "capped"]
Role: TypeAlias = Literal["primary", "guardrail", "secondary"]

DEFAULT_PLANNED_ROWS = 5_000


class PlanError(ValueError):
    """What makes a declared experiment unusable, in one line that names it."""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """What the kernel needs of a metric's card.

    Attributes:
        direction: which way is good.
        horizon_days: days that its bricks need after the window until their values are known.
    """

    metric: str
    direction: Direction = "up"
    horizon_days: int = 0


@dataclass(frozen=True, kw_only=True)
class Guardrail:
    """A metric that may not be worse than the control by more than `margin` (>= 0)."""

    metric: str
    margin: float
    kind: Kind


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One experiment as declared: a row of the seed `experiments`.

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
        planned_rows: units (clusters, where clustered) over both arms at which the confidence
            sequence is tightest.
        look_dates: days of the looks of a group-sequential plan, before the final one.
        decided_on: totals by which it is decided.
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
    planned_rows: int = DEFAULT_PLANNED_ROWS
    look_dates: tuple[date, ...] = ()
    extended_end_date: date | None = None
    decided_on: Totals = "raw"

    def __post_init__(self) -> None:
        checks = {
            "minimum_effect must be above 0": self.minimum_effect > 0,
            "alpha must lie between 0 and 1": 0 < self.alpha < 1,
            "power must lie between 0 and 1": 0 < self.power < 1,
            "planned_rows must be above 0": self.planned_rows > 0,
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
    def from_row(cls, row: Mapping[str, Any]) -> Experiment:
        """An experiment from a row of the seed, its cells as text or typed; NULL is empty.

        `guardrail_metrics` reads `metric:margin:kind;…`, `expected_split` reads
        `variant:share;…`, `secondary_metrics` and `look_dates` are separated by `;`. Columns that
        are absent have the defaults of the class.

        Raises:
            PlanError: a cell that does not read so, or a plan that contradicts itself.
        """
        cells = {
            name: "" if value is None or value != value else str(value).strip()
            for name, value in row.items()
        }
        who = f"experiment {cells.get('experiment_id', '')}"
        given: dict[str, Any] = {}
        try:
            for name, read in _READERS.items():
                if cells.get(name):
                    given[_ATTRIBUTES.get(name, name)] = read(cells[name])
        except ValueError as error:
            raise PlanError(f"{who}: {name} '{cells[name]}' cannot be read: {error}") from None
        try:
            return cls(**given)
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
    def is_randomised(self) -> bool:
        return self.comparison == "randomised" and self.method != "did"

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

    def complete_on(self, *, horizon_days: int) -> date:
        """The first day on which every planned unit is mature."""
        end = self.extended_end_date or self.planned_end_date
        return end + timedelta(days=self.window_days + horizon_days)

    def information(self, *, as_of: date, horizon_days: int) -> tuple[float, ...]:
        """Planned shares of information at the looks up to `as_of`; empty between looks.

        Units enter evenly and mature after window and horizon, so the share of the enrolment
        period that a look can speak of is its information. The final look is the day on which
        every planned unit is mature.
        """
        lag = timedelta(days=self.window_days + horizon_days)
        final = self.planned_end_date + lag
        length = (self.planned_end_date - self.start_date).days
        looks = [look for look in self.look_dates if self.start_date + lag < look < final]
        if as_of < final and as_of not in looks:
            return ()
        done = [look for look in looks if look <= as_of] + ([final] if as_of >= final else [])
        return tuple((look - lag - self.start_date).days / length for look in done)


def _pairs(cell: str) -> tuple[tuple[str, float], ...]:
    parts = [part.rsplit(":", 1) for part in cell.split(";")]
    return tuple((variant.strip(), float(share)) for variant, share in parts)


def _guardrails(cell: str) -> tuple[Guardrail, ...]:
    parts = [part.strip().split(":") for part in cell.split(";")]
    rails = []
    for metric, margin, kind in parts:
        if kind not in get_args(Kind):
            raise ValueError(f"{kind} is neither relative nor absolute")
        rails.append(Guardrail(metric=metric, margin=float(margin), kind=cast(Kind, kind)))
    return tuple(rails)


def _date(cell: str) -> date:
    return date.fromisoformat(cell[:10])


def _list(cell: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in cell.split(";") if part.strip())


def _whole(cell: str) -> int:
    number = float(cell)
    if number != int(number):
        raise ValueError("not a whole number")
    return int(number)


_ATTRIBUTES = {"guardrail_metrics": "guardrails"}
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
    "guardrail_metrics": _guardrails,
    "alpha": float,
    "power": float,
    "comparison": str,
    "planned_rows": _whole,
    "look_dates": lambda cell: tuple(map(_date, _list(cell))),
    "extended_end_date": _date,
    "decided_on": str,
}
_REQUIRED = tuple(_READERS)[:10]
