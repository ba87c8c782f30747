r"""The limit of deep kernels whose activation has mean zero: a kernel that is singular at t = 1.

With :math:`\psi(t) = \sum_{n \ge 1} p_n t^n`, :math:`0 < p_1 < 1`, the iterates
:math:`x_L = \psi^{\circ L}(t)` fall to 0 for t < 1, and Koenigs' function

.. math:: Q(t) = \lim_{L \to \infty} \frac{x_L}{p_1^L}, \qquad Q(\psi(t)) = p_1 Q(t)

is finite. Since :math:`p_1 t \le \psi(t) \le t\,(p_1 + (1 - p_1) t)`, every L gives bounds:

.. math:: \frac{x_L}{p_1^L} \le Q(t) \le \frac{x_L}{p_1^L} \exp\frac{x_L}{p_1 (1 - x_L)} .

At t = 1, with :math:`m = \psi'(1) > 1`, Poincare's function
:math:`\varphi(m s) = \psi(\varphi(s))`, :math:`\varphi'(0) = -1`, gives
:math:`Q(\varphi(s)) = s^{-\alpha/2} P(\ln s/\ln m)` with P of period 1 and
:math:`\alpha = -2 \ln p_1/\ln m`: in the distance :math:`u = \sqrt{2 - 2t}`

.. math:: Q = R(u)\,u^{-\alpha}, \qquad R(u) \sim 2^{\alpha/2} P\Bigl(\frac{\ln(u^2/2)}{\ln m}\Bigr)

is a power law with a log-periodic factor, in general not constant.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import sympy
from flint import arb, ctx

from kerneltheory.core import check, lower
from kerneltheory.core.enclose import interval
from kerneltheory.core.errors import DivergentError, PrecisionError
from kerneltheory.core.figures import CYCLE, axes_or_new, plain_log_ticks
from kerneltheory.depth.unit_dual import UnitDual, ball

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Binary digits beyond which a value counts as out of reach, and layers that are never exceeded.
MOST_BITS, MOST_LAYERS = 20_000, 200_000


class Bounds(NamedTuple):
    """A lower and an upper bound."""

    low: float
    high: float


@dataclass(frozen=True)
class SingularKernel:
    r"""Koenigs' function Q of a dual activation with psi(0) = 0 < psi'(0) < 1, in balls.

    Made by `kt.classifier_limit`, as its `limit_kernel`. Calling it gives Q(t) as floats.

    Attributes:
        dual: the map psi.

    References:
        Karlin and McGregor, Trans. Am. Math. Soc. 132 (1968); arXiv:2204.14126.

    Examples:
        >>> from kerneltheory.activations.catalogue import sin
        >>> from kerneltheory.depth.classifiers import classifier_limit
        >>> kernel = classifier_limit(sin).limit_kernel
        >>> kernel.certified(sympy.Rational(1, 2), digits=12).str(10)
        '[0.5945756027 +/- ...]'
    """

    dual: UnitDual

    def certified(self, cosine: Any, digits: int = 20) -> arb:
        """A ball around Q(t).

        Args:
            cosine: t in [0, 1), an exact number or a ball.
            digits: relative accuracy that the ball reaches, but where t itself is a ball.

        Raises:
            ValueError: t is not in [0, 1).
            PrecisionError: the accuracy was not reached, as of kinked series next to t = 1.
        """
        digits = check.integer("digits", digits, minimum=1)
        if not isinstance(cosine, arb):
            cosine = lower.exact("cosine", cosine)
            if not 0 <= cosine < 1:
                raise ValueError(f"cosine must be in [0, 1), where Q is finite, got {cosine}")
            if cosine == 0:
                return arb(0)
        return self._value(cosine, digits)

    def __call__(self, cosine: Any) -> Any:
        """Q(t) elementwise, to float64, at cosines in [0, 1)."""
        values = check.finite("cosine", cosine)
        found = [lower.to_float(self.certified(float(t), 17)) for t in values.ravel()]
        return np.array(found).reshape(values.shape) if values.ndim else found[0]

    def _value(self, cosine: Any, digits: int) -> arb:
        bits = 64 + 4 * digits
        while bits <= MOST_BITS:
            with ctx.workprec(bits):
                start = cosine if isinstance(cosine, arb) else lower.to_ball(cosine)
                found = self._enclosed(start, digits)
            if found is not None and lower.relative_radius(found) < 10.0**-digits:
                return found
            if found is not None and isinstance(cosine, arb):
                return found
            bits *= 2
        raise PrecisionError(
            f"the limit kernel of {self.dual.name} is not enclosed to {digits} digits at "
            f"t = {cosine}; ask for fewer digits or take t further from 1"
        )

    def _enclosed(self, x: arb, digits: int) -> arb | None:
        """Bounds at the first layer at which they are close; None if the balls grew too wide."""
        rate = ball(self.dual.slope_at_zero(int(ctx.dps)), int(ctx.dps))
        small = arb(10) ** -(digits + 1) * rate
        for layers in range(MOST_LAYERS):
            if not (x.is_finite() and x >= 0 and x < 1):
                return None
            if x < small:
                excess = (x / (rate * (1 - x))).exp()
                return x / rate**layers * interval(arb(1), excess)
            x = self.dual(x)
        return None

    def factor(self, distance: Any, digits: int = 20) -> arb:
        r"""A ball around :math:`R(u) = Q(1 - u^2/2)\,u^\alpha`.

        Args:
            distance: u in (0, sqrt(2)], an exact number.
            digits: relative accuracy.

        Raises:
            ValueError: u is not in that range.
            DivergentError: phi jumps, so that Q grows more slowly than every power.
        """
        u = lower.exact("distance", distance)
        if not 0 < u**2 <= 2 or u < 0:
            raise ValueError(f"distance must be in (0, sqrt(2)], got {u}")
        value = self.certified(1 - u**2 / 2, digits + 2)
        with ctx.workdps(digits + 15):
            return value * (self._exponent(digits + 15) * lower.to_ball(u).log()).exp()

    def limit_factor(self, phase: Any, digits: int = 15) -> arb:
        r"""A ball around the limit of R along the distances with ln(u^2/2)/ln m = phase - j.

        .. math:: 2^{\alpha/2}\,s^{\alpha/2}\,Q(\varphi(s)), \qquad s = m^{\text{phase}}

        It has period 1 in the phase. Since phi is the Laplace transform of a law with mean 1 and
        second moment :math:`c = \psi''(1)/(m^2 - m)`, :math:`1 - s \le \varphi(s) \le 1 - s +
        c s^2/2`: started so at :math:`s/m^j`, j layers lead to :math:`\varphi(s)`.

        Args:
            phase: any exact number.
            digits: relative accuracy.

        Raises:
            DivergentError: psi''(1) is infinite, as for phi with kinks; `factor` holds there.
            PrecisionError: the accuracy was not reached.
        """
        phase = lower.exact("phase", phase)
        steepness = lower.to_float(self._at_one(digits)[0])
        layers = math.ceil((digits + 3) * math.log(10) / math.log(steepness)) + 2
        # What the first ball lacks grows by psi'(1) in a layer.
        bits = 64 + 4 * digits + math.ceil(layers * math.log2(steepness))
        with ctx.workprec(bits):
            found = self._limit_factor(lower.to_ball(phase - sympy.floor(phase)), layers, digits)
        if found is None or not lower.relative_radius(found) < 10.0**-digits:
            raise PrecisionError(
                f"the log-periodic factor of {self.dual.name} is not enclosed to {digits} digits"
            )
        return found

    def _limit_factor(self, phase: arb, layers: int, digits: int) -> arb | None:
        steepness, curvature = self._at_one(int(ctx.dps))
        scale = (phase * steepness.log()).exp()
        start = scale / steepness**layers
        second = curvature / (steepness * (steepness - 1))
        x = 1 - start + interval(arb(0), start**2 * second / 2)
        for _ in range(layers):
            x = self.dual(x)
        found = self._enclosed(x, digits + 1)
        half = self._exponent(int(ctx.dps)) / 2
        return None if found is None else found * (half * (2 * scale).log()).exp()

    def limit_bounds(self, cells: int = 64) -> "Bounds":
        r"""Certified bounds of the limit of R at every phase; not sharp.

        :math:`Q(\varphi(s))` falls with s and :math:`s^{\alpha/2}` grows, so that the values at
        the ends of a cell of phases bound all between them.

        Args:
            cells: into how many the period is cut; the bounds are wider than the values by
                :math:`p_1^{-1/\text{cells}}` on either side.
        """
        cells = check.integer("cells", cells, minimum=1)
        with ctx.workdps(20):
            rate = ball(self.dual.slope_at_zero(20), 20)
            step = rate ** (arb(1) / cells)  # of s^(alpha/2), from the right end to the left
            values = [self.limit_factor(sympy.Rational(i, cells), 10) for i in range(cells)]
            low = min(lower.to_float((value * step).lower()) for value in values)
            return Bounds(low, max(lower.to_float((value / step).upper()) for value in values))

    def variation(self, points: int = 16, digits: int = 15) -> arb:
        """Peak to peak of the log-periodic limit of R over its mean, measured at some phases.

        The ball holds the errors of the values; what lies between the phases is not in it.

        Args:
            points: how many equidistant phases of the period.
            digits: relative accuracy of the values: of smaller variations the ball holds zero.

        Examples:
            >>> from kerneltheory.depth.optimal_activations import optimal_activation
            >>> from kerneltheory.depth.classifiers import classifier_limit
            >>> limit = classifier_limit(optimal_activation(1)).limit_kernel
            >>> 0.0013 < limit.variation(8) < 0.0014
            True
        """
        points = check.integer("points", points, minimum=2)
        phases = (sympy.Rational(i, points) for i in range(points))
        with ctx.workdps(digits + 10):
            values = sorted(
                (self.limit_factor(phase, digits) for phase in phases),
                key=lambda value: float(value.mid()),
            )
            return (values[-1] - values[0]) * points / sum(values, arb(0))

    def _at_one(self, digits: int) -> tuple[arb, arb]:
        curvature = self.dual.curvature_at_one(digits)
        if curvature is None:
            raise DivergentError(
                f"psi''(1) is infinite for {self.dual.name}, so that no bound of the limit of R is "
                "known here; `factor` gives R at any distance"
            )
        return ball(self.dual.slope_at_one(digits), digits), curvature

    def _exponent(self, digits: int) -> arb:
        steepness = self.dual.slope_at_one(digits)
        if steepness == sympy.oo:
            raise DivergentError(
                f"{self.dual.name} jumps: psi'(1) is infinite, and the limit kernel grows more "
                "slowly than every power of the distance"
            )
        rate = ball(self.dual.slope_at_zero(digits), digits)
        return -2 * rate.log() / ball(steepness, digits).log()

    def plot(self, ax: "Axes | None" = None, periods: int = 4, points: int = 24) -> "Axes":
        """Draw R(u) over the last factors of sqrt(m) in u below sqrt(2), and return the axes.

        Args:
            ax: axes to draw in; a new figure if None.
            periods: how many factors of sqrt(m), at least 1.
            points: in each, at least 2.

        Raises:
            TypeError, ValueError: periods or points are no such integers.
        """
        periods = check.integer("periods", periods, minimum=1)
        points = check.integer("points", points, minimum=2)
        axes = axes_or_new(ax)
        steepness = lower.to_float(ball(self.dual.slope_at_one(17), 17))
        steps = np.arange(periods * points + 1) / points
        distances = math.sqrt(2) * (1 - 1e-15) * steepness ** (-steps / 2)
        values = [lower.to_float(self.factor(float(u), 10)) for u in distances]
        axes.semilogx(distances, values, color=CYCLE[0], label=self.dual.name, gid="factor")
        plain_log_ticks(axes)
        axes.set_xlabel("distance $u = |x - z|$")
        axes.set_ylabel(r"$R(u) = u^\alpha \, \lim K^L/\hat\phi'(0)^L$")
        axes.legend()
        return axes
