"""Critical values that stay valid while data accumulate, in standard errors of the estimate.

Two ways: a confidence sequence, valid at every look whatever their number, and group-sequential
bounds, valid at looks declared beforehand.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy import special

from throughline.lift.moments import Array

NODES = 160
HALVINGS = 80


def _rho_squared(*, planned: Array, alpha: Array) -> Array:
    """The mixture's scale that makes the sequence tightest at `planned` row units."""
    surprise = -2 * np.log(alpha)
    return np.asarray((surprise + np.log(surprise + 1)) / planned)


def always_valid(*, rows: Array, planned: Array, alpha: Array, level: Array | None = None) -> Array:
    """Critical value of the asymptotic confidence sequence.

    Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas (2021), Time-uniform central limit theory.

    Args:
        rows: (n,) row units over both arms so far.
        planned: (n,) row units at which the sequence is to be tightest.
        alpha: (n,) two-sided error rate of the plan, for which the sequence is tuned.
        level: (n,) error rate of this interval; alpha unless given.

    Returns:
        (n,) half-width in standard errors; infinite before the first row unit.
    """
    growth = rows * _rho_squared(planned=planned, alpha=alpha)
    spent = alpha if level is None else level
    with np.errstate(divide="ignore", invalid="ignore"):
        squared = (growth + 1) / growth * np.log((growth + 1) / spent**2)
    return np.where(growth > 0, np.sqrt(np.maximum(squared, 0.0)), np.inf)


def always_valid_p(*, statistic: Array, rows: Array, planned: Array, alpha: Array) -> Array:
    """The smallest level at which the sequence's interval leaves zero out.

    Args:
        statistic: (n,) estimate over standard error.
        rows, planned, alpha: as in `always_valid`.
    """
    growth = rows * _rho_squared(planned=planned, alpha=alpha)
    exponent = np.log(growth + 1) / 2 - statistic**2 / 2 * growth / (growth + 1)
    return np.exp(np.minimum(exponent, 0.0))


@lru_cache(maxsize=1024)
def lan_demets(*, information: tuple[float, ...], alpha: float) -> tuple[float, ...]:
    """Two-sided group-sequential bounds with spending of the O'Brien-Fleming type.

    Each side spends 2 - 2 Phi(z(1 - alpha/4) / sqrt(t)) by information t, after Lan, DeMets (1983),
    Discrete sequential boundaries for clinical trials. The density of the score that has not
    crossed yet is carried from look to look by Gauss-Legendre quadrature (Armitage, McPherson,
    Rowe 1969).

    Args:
        information: increasing shares of the planned information, in (0, 1].
        alpha: two-sided error rate.

    Returns:
        A bound of |z| per look; infinite where less than a double can hold is spent.

    Raises:
        ValueError: information does not increase within (0, 1].
    """
    if any(b <= a for a, b in zip((0.0, *information), information, strict=False)) or (
        information and information[-1] > 1
    ):
        raise ValueError(f"information must increase within (0, 1], is {information}")
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    z = -special.ndtri(alpha / 4)
    bounds: list[float] = []
    spent, before = 0.0, 0.0
    score, mass = np.zeros(1), np.ones(1)
    for now in information:
        target = 4 * special.ndtr(-z / np.sqrt(now))
        step = np.sqrt(now - before)
        bound = _bound(score, mass, step=step, scale=np.sqrt(now), increment=target - spent)
        bounds.append(bound)
        spent, before = target, now
        edge = min(bound, 40.0) * np.sqrt(now)
        grid = nodes * edge
        density = np.exp(-(((grid[:, None] - score) / step) ** 2) / 2) @ mass
        mass = weights * edge * density / (step * np.sqrt(2 * np.pi))
        score = grid
    return tuple(bounds)


def _bound(score: Array, mass: Array, *, step: float, scale: float, increment: float) -> float:
    """The z that a score, continuing from `score` with `mass`, crosses with prob. `increment`."""
    low, high = 0.0, 40.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        edge = middle * scale
        tails = special.ndtr((score - edge) / step) + special.ndtr((-score - edge) / step)
        low, high = (middle, high) if tails @ mass > increment else (low, middle)
    return np.inf if high == 40.0 else low
