r"""The line between order and chaos: weights and biases at which chi_1 is one.

At a fixed point q both conditions are linear in the variances of weights and biases,

.. math:: w = 1/E[\phi'(\sqrt q z)^2], \qquad b = q - w\,E[\phi(\sqrt q z)^2],

so q itself is the parameter of the line (arXiv:1606.05340).
"""

from collections.abc import Sequence
from dataclasses import field
from typing import Any

import numpy as np
import sympy
from flint import arb, ctx

from kerneltheory.activations.activation import Activation, activation
from kerneltheory.core import check, lower
from kerneltheory.core.errors import DivergentError
from kerneltheory.core.formula import Formula
from kerneltheory.core.records import ArrayRecord, array_record, shown_rows, static
from kerneltheory.depth.moment_tables import mean_square
from kerneltheory.depth.moments import VARIANCE, closed_moment, derivative, moment


@array_record
class CriticalLine(ArrayRecord):
    """Pairs of variances with chi_1 = 1, by the fixed variance q* at which they have it.

    Attributes:
        variances: q*, shape (points,).
        weight_variances: w, shape (points,).
        bias_variances: b, shape (points,); where it is negative no network has this q*.
        activation: phi.
        enclosures: balls of w and b at every point as integers, where digits were asked for.

    Reference: arXiv:1611.01232.

    Examples:
        >>> from kerneltheory.activations.catalogue import erf
        >>> line = critical_line(erf, [1.0, 2.0])  # E[phi'^2] = 4/(pi sqrt(1 + 4 q))
        >>> bool(np.allclose(line.weight_variances, np.pi * np.sqrt([5, 9]) / 4, rtol=1e-13))
        True
    """

    variances: np.ndarray
    weight_variances: np.ndarray
    bias_variances: np.ndarray
    activation: Activation = field(metadata={"static": True})
    enclosures: tuple = static(())

    @property
    def admissible(self) -> np.ndarray:
        """Where the bias variance is not negative."""
        return self.bias_variances >= 0

    @property
    def balls(self) -> list[tuple[arb, arb]]:
        """Certified w and b at every point.

        Raises:
            ValueError: if the line was computed without `digits`.
        """
        if not self.enclosures:
            raise ValueError("digits must be given to critical_line for certified values, got None")
        pair = lower.ball_from_integers
        return [(pair(w), pair(b)) for w, b in self.enclosures]

    @property
    def formulas(self) -> tuple[Formula, Formula] | None:
        """W and b as exact functions of q where the dual is elementary, else None.

        Examples:
            >>> from kerneltheory.activations.catalogue import erf
            >>> weight, bias = critical_line(erf, [0.5]).formulas
            >>> print(weight)
            critical weight variance of erf(q) = pi*sqrt(4*q + 1)/4
        """
        square, slope = (closed_moment(self.activation, order) for order in (0, 1))
        if square is None or slope is None:
            return None
        sides: Any = (1 / slope, VARIANCE - square / slope)
        names = ("weight", "bias")
        return tuple(  # pyright: ignore[reportReturnType]
            Formula(f"critical {name} variance of {self.activation.name}", (VARIANCE,), side)
            for name, side in zip(names, sides, strict=True)
        )

    def to_xarray(self) -> Any:
        """An xarray Dataset over the fixed variance."""
        import xarray as xr

        columns = {
            name: ("variance", np.asarray(getattr(self, name + "s")))
            for name in ("weight_variance", "bias_variance")
        }
        return xr.Dataset(columns, coords={"variance": np.asarray(self.variances)})

    def _title(self) -> str:
        return f"Critical line of {self.activation.name}: chi_1 = 1 at the fixed variance q*"

    def _table(self) -> tuple[list[str], list[list[str]]]:
        columns = (self.variances, self.weight_variances, self.bias_variances)
        rows = [
            ["..."] * 3 if i is None else [f"{column[i]:.6g}" for column in columns]
            for i in shown_rows(len(self.variances))
        ]
        return ["q*", "weight variance", "bias variance"], rows


def critical_line(
    phi: Any, variances: Sequence[Any] | np.ndarray, digits: int | None = None
) -> CriticalLine:
    r"""The variances of weights and biases on the edge of chaos, as functions of q*.

    .. math:: w = 1/E[\phi'(\sqrt q z)^2], \qquad b = q - w\,E[\phi(\sqrt q z)^2]

    Float64 values have relative errors of about 1e-14, b to the scale of q: it is a difference.

    Args:
        phi: an activation or a sympy expression in one symbol.
        variances: q > 0, shape (points,), real numbers.
        digits: if given, balls of this relative accuracy (b: relative to q) are computed too, at
            the exact values of the variances.

    Raises:
        TypeError, ValueError: if a variance is not a positive number, or there is none.
        DivergentError: if phi jumps: then chi_1 is infinite.

    References:
        arXiv:1606.05340, arXiv:1611.01232.

    Examples:
        >>> from kerneltheory.activations.catalogue import tanh
        >>> line = critical_line(tanh, [0.5, 1.0], digits=20)
        >>> line
        Critical line of tanh: chi_1 = 1 at the fixed variance q*
         q*  weight variance  bias variance
        0.5          1.68798      0.0380412
          1           2.1533       0.150965
        >>> line.balls[1][0].str(20)
        '[2.1533026489027900328 +/- ...]'
    """
    phi = activation(phi)
    listed = list(variances) if np.ndim(variances) == 1 else variances
    exact = [lower.exact("variances", q) for q in listed] if isinstance(listed, list) else None
    numbers = check.positive("variances", np.array([float(q) for q in exact]) if exact else listed)
    if exact is None:
        raise ValueError(f"variances must have one axis, got shape {numbers.shape}")
    if derivative(phi, 1) is None:
        raise DivergentError(
            f"chi_1 of {phi.name} is infinite: phi jumps, so that E[phi'^2] diverges at every "
            "variance; its phase is chaotic, and it has no critical line"
        )
    weights = 1 / mean_square(phi, 1, numbers)
    biases = numbers - weights * mean_square(phi, 0, numbers)
    enclosures: tuple = ()
    if digits is not None:
        digits = check.integer("digits", digits, minimum=1)
        enclosures = tuple(_certified(phi, q, digits) for q in exact)
    return CriticalLine(numbers, weights, biases, phi, enclosures)


def _certified(phi: Activation, q: sympy.Rational, digits: int) -> tuple[Any, Any]:
    with ctx.workdps(digits + 15):
        weight = 1 / moment(phi, 1, q, digits + 5)
        bias = lower.to_ball(q) - weight * moment(phi, 0, q, digits + 5)
        return lower.ball_to_integers(weight), lower.ball_to_integers(bias)
