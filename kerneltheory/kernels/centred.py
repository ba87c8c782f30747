r"""Centred forms: enclosures on a complex ball that stay sharp where a function is nearly flat.

Enclosing cos on a ball of radius r loses r where theta r is the truth, and layer upon layer that
grows geometrically. The mean value form f(m) + f'(ball)(ball - m) keeps to the derivative of the
whole composition.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flint import acb


@dataclass(frozen=True)
class Centred:
    """A function on a ball: its value at the midpoint, its slope on the ball, ball - midpoint."""

    middle: acb
    slope: acb
    reach: acb

    @property
    def box(self) -> acb:
        """Enclosure of all values on the ball."""
        return self.middle + self.slope * self.reach

    def apply(self, function: Callable[[acb], Any], derivative: Callable[[acb], Any]) -> "Centred":
        """Compose with an analytic function (not finite where it is not proved analytic)."""
        slope = acb(derivative(self.box)) * self.slope
        return Centred(acb(function(self.middle)), slope, self.reach)

    def __mul__(self, other: Any) -> "Centred":
        if isinstance(other, Centred):
            slope = self.slope * other.box + self.box * other.slope
            return Centred(self.middle * other.middle, slope, self.reach)
        return Centred(self.middle * other, self.slope * other, self.reach)

    __rmul__ = __mul__

    def __add__(self, other: Any) -> "Centred":
        if isinstance(other, Centred):
            return Centred(self.middle + other.middle, self.slope + other.slope, self.reach)
        return Centred(self.middle + other, self.slope, self.reach)

    __radd__ = __add__
