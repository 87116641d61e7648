"""What a lift is worth in a year, beyond what serving the variant costs more."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Stake:
    """What one variant could change in a year.

    Attributes:
        units_per_year: units of a year that the lift would reach, or the denominator of a ratio.
        unit_value: what one more of the primary metric is worth; NaN where that is unknown.
        serving_cost_difference: what serving the variant's versions to all would cost more a year
            than serving those of the control; NaN where costs do not name the versions.

    Amounts are in the reporting currency.
    """

    units_per_year: float = np.nan
    unit_value: float = np.nan
    serving_cost_difference: float = np.nan

    @property
    def is_cost_known(self) -> bool:
        return not np.isnan(self.serving_cost_difference)

    @property
    def cost(self) -> float:
        """What is taken off: nothing where the difference is unknown."""
        return self.serving_cost_difference if self.is_cost_known else 0.0

    def worth(self, gain: float) -> float:
        """A gain per unit, up as good, as an amount of a year; NaN where either is unknown."""
        return gain * self.units_per_year * self.unit_value
