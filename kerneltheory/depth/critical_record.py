"""The record of a critical initialisation: quantities as floats, exact numbers and balls."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sympy
from flint import arb, ctx

from kerneltheory.activations.activation import Activation
from kerneltheory.core import check, lower
from kerneltheory.core.display import html_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SCALE_INVARIANT, AT_ZERO, HALF_STABLE, NONE = "scale-invariant", "K* = 0", "half-stable", "none"
ON_LINE = "critical line"
# Exact numbers that take more characters are shown as decimals only.
LONGEST_FORM = 40
# The quantities of a critical point, with what the table calls them.
QUANTITIES = {
    "weight_variance": "weight variance w",
    "bias_variance": "bias variance b",
    "variance": "K*",
    "chi_par": "chi_par",
    "chi_perp": "chi_perp",
    "order": "order m",
    "drift": "drift a",
    "perpendicular_drift": "drift of chi_perp",
    "p_par": "p_par",
    "p_perp": "p_perp",
    "vertex_slope": "V/(l K^2)",
    "tangent_limit": "Theta",
}


@dataclass(frozen=True, repr=False)
class CriticalPoint:
    r"""A critical initialisation of an activation, or why there is none.

    Every quantity is an attribute: a float64, or None where it has no value. `exact` gives it as
    a sympy number where it is known exactly, and `certified` as a ball.

    Attributes:
        activation: phi.
        universality: "scale-invariant", "K* = 0", "half-stable", "none"; "critical line" where a
            variance was asked for and only :math:`\chi_\perp` is 1.
        reason: what decided it.
        digits: how many significant digits are certified.
        values: what is known of each quantity: its name, and a sympy number or a ball as the
            integers of `core.lower.ball_to_integers`.

    The quantities:

    - `weight_variance`, `bias_variance`, `variance`: w, b and :math:`K^*`, which is None where
      every variance is one.
    - `chi_par`, `chi_perp`: at that point; enclosed independently of each other.
    - `order`, `drift`, `perpendicular_drift`: m, a and :math:`b_\perp` as above.
    - `p_par`, `p_perp`: perturbations decay as these powers of the depth. Half-stable points
      attract from the side where drift times :math:`K - K^*` is negative, and the exponents hold
      there.
    - `vertex_slope`: the limit of :math:`V/(l K^2)` for the four-point vertex V of
      :func:`finite_width`, the depth-to-width ratio's factor. At a half-stable point it is that of
      an input of exactly :math:`K^*`; what approaches the point has a fifth of it.
    - `tangent_limit`: the limit of the tangent kernel :math:`\Theta` on the diagonal, where it has
      a finite one; without it :math:`\Theta` grows with the depth.

    Reference: arXiv:2106.10165, chapter 5.

    Examples:
        >>> from kerneltheory.activations.catalogue import relu
        >>> from kerneltheory.depth.critical_point import critical_point
        >>> point = critical_point(relu)
        >>> point.universality, point.weight_variance, point.exact("vertex_slope")
        ('scale-invariant', 2.0, 5)
    """

    activation: Activation
    universality: str
    reason: str
    digits: int
    values: tuple[tuple[str, Any], ...] = ()

    def __getattr__(self, name: str) -> float | None:
        """A quantity as float64, None where it has no value."""
        if name not in QUANTITIES:
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        with ctx.workdps(self.digits + 10):
            ball = self.certified(name)
            return None if ball is None else lower.to_float(ball)

    def exact(self, name: str) -> Any:
        """A quantity as a sympy number; None where it is only enclosed or has no value.

        Args:
            name: of the quantity, as "weight_variance".

        Raises:
            ValueError: there is none of that name.
        """
        value = dict(self.values).get(_known(name))
        return None if isinstance(value, tuple) else value

    def certified(self, name: str) -> arb | None:
        """A ball that contains a quantity; None where it has no value.

        Args:
            name: of the quantity, as "weight_variance".

        Raises:
            ValueError: there is none of that name.
        """
        value = dict(self.values).get(_known(name))
        if isinstance(value, tuple):
            return lower.ball_from_integers(value)
        with ctx.workdps(self.digits + 10):
            return None if value is None else lower.to_ball(value)

    def _rows(self) -> list[list[str]]:
        rows = []
        for name, label in QUANTITIES.items():
            ball, exact = self.certified(name), self.exact(name)
            if ball is not None:
                form = "" if exact is None else str(exact)
                number = ball.str(self.digits, radius=False)
                rows.append([label, number, form if len(form) <= LONGEST_FORM else ""])
            elif name == "variance" and self.universality == SCALE_INVARIANT:
                rows.append([label, "any", ""])
        return rows

    def plot(self, ax: "Axes | None" = None, variances: Any = None, **style: Any) -> "Axes":
        """Draw both susceptibilities against the variance, at the critical weight variance.

        Args:
            ax: axes to draw in; a new figure if None.
            variances: at which they are drawn; from 1/100 to 100 by default.
            style: passed on to matplotlib.
        """
        from kerneltheory.depth.effective_plots import plot_critical_point

        return plot_critical_point(self, ax, variances, **style)

    def __repr__(self) -> str:
        rows = self._rows()
        widths = [max((len(row[i]) for row in rows), default=0) for i in (0, 1)]
        lines = [f"  {a:<{widths[0]}}  {b:<{widths[1]}}  {c}".rstrip() for a, b, c in rows]
        return "\n".join([self._title(), *lines])

    def _title(self) -> str:
        return f"CriticalPoint of {self.activation.name}: {self.universality} ({self.reason})"

    def _repr_html_(self) -> str:
        return html_table(self._title(), ["quantity", "value", "exactly"], self._rows())


def _known(name: str) -> str:
    return check.one_of("name", name, QUANTITIES)


def critical_record(
    phi: Activation, universality: str, reason: str, digits: int, values: dict[str, Any]
) -> CriticalPoint:
    """The record of quantities that are balls or exact numbers."""
    kept = tuple(
        (name, lower.ball_to_integers(v) if isinstance(v, arb) else sympy.sympify(v))
        for name, v in values.items()
    )
    return CriticalPoint(phi, universality, reason, digits, kept)
