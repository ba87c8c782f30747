r"""What infinitely deep networks classify by: nearest neighbour, majority, or a singular kernel.

Inputs are unit vectors in the non-negative orthant, whose cosines t are in [0, 1], labels -1 and
1, and the predictor is :math:`\operatorname{sign}(y\,K^L(X, X)^{-1} K^L(X, x))` with the NNGP
:math:`K^L = \psi^{\circ L}(t)` of `unit_dual` as L grows. In :math:`A = E[\phi]`,
:math:`A' = E[\phi']` and :math:`B' = E[\phi'^2]` at :math:`E[\phi^2] = 1`:

| | | |
|---|---|---|
| A = 0 | A' = 0 | nearest neighbour: :math:`K^L(t')/K^L(t) \to 0` for t' < t |
| A = 0 | 0 < A'^2 < 1 | singular kernel: :math:`K^L/A'^{2L} \to R(u) u^{-\alpha}` |
| A = 0 | A'^2 = 1 | unchanged: phi is linear, and :math:`K^L = t` |
| A != 0 | B' >= 1 | majority vote: :math:`K^L` of different inputs tends to one number |
| A != 0 | B' < 1 | ordered: :math:`K^L = 1 - B'^L H(t) + \dots`, which depends on the data |
"""

import dataclasses
from dataclasses import dataclass
from typing import Any

import sympy
from flint import arb

from kerneltheory.core.display import html_table
from kerneltheory.core.errors import KernelTheoryError, PrecisionError
from kerneltheory.core.prove import is_zero
from kerneltheory.depth.singular_kernel import SingularKernel
from kerneltheory.depth.unit_dual import (
    DECIDING_DIGITS,
    Number,
    UnitDual,
    ball,
    shown,
    sign,
    unit_dual,
)

NEAREST, SINGULAR, UNCHANGED = "nearest neighbour", "singular kernel", "unchanged"
MAJORITY, ORDERED = "majority vote", "ordered"
# A whole number of layers of decimals within which an exponent is tried as an integer.
_NEAR_INTEGER = 1e-9

_MEANING = {
    NEAREST: "the label of the nearest training point",
    SINGULAR: "the sign of sum_i y_i R(u_i)/u_i^alpha, u_i the distances",
    UNCHANGED: "phi is linear: the kernel is that of the inputs at every depth",
    MAJORITY: "the label of most training points, wherever the input is",
    ORDERED: "interpolation by the limit of (1 - K^L)/B'^L, which depends on the data",
}


@dataclass(frozen=True, repr=False)
class ClassifierLimit:
    r"""The classifier that deep networks of one activation tend to.

    Numbers are exact sympy expressions where these are known, else `flint.arb` balls.

    Attributes:
        dual: the normalised dual psi.
        name: "singular kernel", "nearest neighbour", "majority vote", "ordered" or "unchanged".
        mean: A = E[phi], at E[phi^2] = 1.
        mean_slope: A' = E[phi'].
        slope_at_one: B' = E[phi'^2] = psi'(1); infinite for phi that jump.
        exponent: :math:`\alpha = -2 \ln\psi'(0)/\ln\psi'(1)` of a singular kernel, else None; zero
            where phi jumps: the kernel then grows more slowly than every power.
        sphere_dimension: the s of the sphere S^s for which alpha = s, which makes the classifier
            Bayes optimal there (arXiv:2204.14126); None if alpha is no positive integer.

    Reference: arXiv:2204.14126.

    Examples:
        >>> from kerneltheory.activations.catalogue import hermite
        >>> limit = classifier_limit(hermite(3))
        >>> limit.name, limit.mean, limit.slope_at_one
        ('nearest neighbour', 0, 3)
    """

    dual: UnitDual
    name: str
    mean: Number = dataclasses.field(compare=False)
    mean_slope: Number = dataclasses.field(compare=False)
    slope_at_one: Number = dataclasses.field(compare=False)
    exponent: Number = dataclasses.field(compare=False)
    sphere_dimension: int | None = dataclasses.field(compare=False)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle what it is the limit of: balls do not pickle."""
        return _restore, (self.dual,)

    @property
    def limit_kernel(self) -> SingularKernel:
        """The limit of K^L/psi'(0)^L.

        Raises:
            KernelTheoryError: the limit is no singular kernel.
        """
        if self.name != SINGULAR:
            raise KernelTheoryError(
                f"deep kernels of {self.dual.name} have no singular limit: their limit is "
                f"{self.name}, {_MEANING[self.name]}"
            )
        return SingularKernel(self.dual)

    def classify(self, X: Any, y: Any, X_test: Any) -> Any:
        """The labels that infinitely deep networks give: `Votes`.

        Args:
            X: training rows, unit vectors with no negative entry, shape (n, d), all different.
            y: labels -1 and 1, shape (n,).
            X_test: test rows of the same kind, shape (points, d).

        Raises:
            ValueError: data outside that domain; the message says which rows.
            KernelTheoryError: phi is linear, so that depth changes nothing.

        Examples:
            >>> from kerneltheory.activations.catalogue import relu
            >>> X, y = [[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]], [1, -1, 1]
            >>> classifier_limit(relu).classify(X, y, [[0.8, 0.6]]).labels
            array([1])
        """
        from kerneltheory.depth.deep_votes import limit_votes  # it stands on this module

        return limit_votes(self, X, y, X_test)

    def _rows(self) -> list[tuple[str, str]]:
        rows = [
            ("A = E[phi]", shown(self.mean)),
            ("A' = E[phi']", shown(self.mean_slope)),
            ("B' = E[phi'^2]", shown(self.slope_at_one)),
        ]
        if self.exponent is not None:
            rows.append(("alpha", shown(self.exponent)))
            optimal = self.sphere_dimension
            rows.append(("optimal on", "no sphere" if optimal is None else f"S^{optimal}"))
        return rows

    def __repr__(self) -> str:
        title = f"{self.dual.name}: {self.name}, {_MEANING[self.name]}"
        width = max(len(name) for name, _ in self._rows())
        return "\n".join([title, *(f"{name:<{width}}  {text}" for name, text in self._rows())])

    def _repr_html_(self) -> str:
        title = f"{self.dual.name}: {self.name}, {_MEANING[self.name]}"
        return html_table(title, ["at E[phi^2] = 1", "value"], self._rows())


def classifier_limit(phi: Any) -> ClassifierLimit:
    r"""What deep networks of an activation classify by as their depth grows.

    .. math:: \operatorname{sign}\bigl(y\,K^L(X, X)^{-1} K^L(X, x)\bigr), \qquad
              K^L = \psi^{\circ L}(x \cdot z), \quad \psi = \hat\phi/\hat\phi(1)

    The class is decided by parity, by exact expressions or by balls that exclude zero, never by
    comparing floats.

    Args:
        phi: an activation, a sympy expression in one symbol, or its dual as a Formula in the
            correlation.

    Returns:
        A `ClassifierLimit`. That of a dual depends on phi up to its sign only, and on no scale.

    Raises:
        PrecisionError: it is undecided whether E[phi] or E[phi'] is zero, or B' is 1: no proof was
            found, and 60 digits do not tell.
        TypeError, ValueError: phi is neither an activation nor a dual.

    References:
        arXiv:2204.14126.

    Examples:
        >>> from kerneltheory.activations.catalogue import erf, hermite, relu
        >>> classifier_limit(erf)
        erf: singular kernel, the sign of sum_i y_i R(u_i)/u_i^alpha, u_i the distances
        A = E[phi]      0
        A' = E[phi']    sqrt(6)/(3*sqrt(asin(2/3))) = 0.9558152765
        B' = E[phi'^2]  2*sqrt(5)/(5*asin(2/3)) = 1.225700004
        alpha           0.888...
        optimal on      no sphere
        >>> [classifier_limit(phi).name for phi in (hermite(2), relu)]
        ['nearest neighbour', 'majority vote']
    """
    return _restore(unit_dual(phi))


def _restore(dual: UnitDual) -> ClassifierLimit:
    name = _class(dual)
    exponent = _exponent(dual) if name == SINGULAR else None
    return ClassifierLimit(
        dual,
        name,
        dual.mean(),
        dual.mean_slope(),
        dual.slope_at_one(),
        exponent,
        int(exponent) if exponent is not None and _is_positive_integer(exponent) else None,
    )


def _class(dual: UnitDual) -> str:
    if _decided(dual, "E[phi]", dual.mean()) == 0:
        if _decided(dual, "E[phi']", dual.mean_slope()) == 0:
            return NEAREST
        slack = 1 - dual.slope_at_zero()
        return UNCHANGED if _decided(dual, "1 - E[phi']^2", slack) == 0 else SINGULAR
    steepness = dual.slope_at_one()
    steep = steepness == sympy.oo or _decided(dual, "E[phi'^2] - 1", steepness - 1) >= 0
    return MAJORITY if steep else ORDERED


def _decided(dual: UnitDual, name: str, value: Number) -> int:
    found = sign(value)
    if found is None:
        raise PrecisionError(
            f"it is undecided whether {name} of {dual.name} at E[phi^2] = 1 is zero, and with it "
            f"what its deep networks classify by: {DECIDING_DIGITS} digits do not tell, and no "
            "proof was found; give phi by elementary functions of one piece or with a symmetry"
        )
    return found


def _exponent(dual: UnitDual) -> Number:
    """Alpha, an exact integer where psi'(0)^2 psi'(1)^alpha = 1 is proved for one."""
    rate, steepness = dual.slope_at_zero(), dual.slope_at_one()
    if steepness == sympy.oo:
        return sympy.Integer(0)
    digits = DECIDING_DIGITS
    value = -2 * ball(rate, digits).log() / ball(steepness, digits).log()
    if isinstance(rate, arb) or isinstance(steepness, arb):
        return value
    near = round(float(value.mid()))
    if abs(float(value.mid()) - near) < _NEAR_INTEGER and is_zero(rate**2 * steepness**near - 1):
        return sympy.Integer(near)
    return -2 * sympy.log(rate) / sympy.log(steepness)


def _is_positive_integer(value: Number) -> bool:
    return not isinstance(value, arb) and bool(value.is_Integer) and value > 0
