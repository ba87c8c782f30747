r"""Centred forms: enclosures on a complex ball that stay sharp where a function is nearly flat.

The correlation of two close inputs is 1 - theta^2/2; enclosing cos on a ball of radius r loses r
where theta r is the truth, and 1 - c is needed with relative accuracy by the branch point at
c = 1. The mean value form f(m) + f'(ball)(ball - m) has it.
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

    def __mul__(self, factor: Any) -> Any:
        if isinstance(factor, acb):
            return self.box * factor
        return Centred(self.middle * factor, self.slope * factor, self.reach)

    __rmul__ = __mul__

    def __truediv__(self, divisor: Any) -> "Centred":
        return Centred(self.middle / divisor, self.slope / divisor, self.reach)

    def __add__(self, other: Any) -> Any:
        if isinstance(other, acb):
            return self.box + other
        return Centred(self.middle + other, self.slope, self.reach)

    __radd__ = __add__


def centred_cosine(angle: acb) -> Centred:
    """Cos on a complex ball."""
    middle = angle.mid()
    return Centred(middle.cos(), -angle.sin(), angle - middle)
