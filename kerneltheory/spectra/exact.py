r"""Eigenvalues of dot-product kernels on S^{d-1} in closed form, for symbolic degree and dimension.

.. math:: \lambda_k = E[h(t)\,P_k(t)]

A kernel is taken apart into a polynomial, series in t or in the distance :math:`\sqrt{2 - 2t}` with
hypergeometric coefficients, and networks of homogeneous activations; each part has a closed form.
"""

import dataclasses
import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy
from flint import arb, ctx
from sympy.core.relational import Relational

from kerneltheory.activations.terms import ONE, STEP, marked_terms
from kerneltheory.core import check, lower
from kerneltheory.core.errors import (
    DerivationError,
    DivergentError,
    KernelTheoryError,
    PrecisionError,
)
from kerneltheory.core.formula import Formula
from kerneltheory.kernels.base import Kernel, T, check_kernel
from kerneltheory.kernels.combine import CombinedKernel
from kerneltheory.kernels.kernel import NetworkKernel
from kerneltheory.spectra.closed_forms import (
    Features,
    OddDistance,
    Part,
    Powers,
    RectifiedPower,
    SeriesPart,
)
from kerneltheory.spectra.function_parts import function_parts
from kerneltheory.spectra.gamma_products import gamma_product
from kerneltheory.spectra.lemmas import RODRIGUES
from kerneltheory.spectra.summation import ClosedForm, D, K, Term, add, elementary

MOST_BITS = 20_000


@dataclass(frozen=True)
class EigenvalueFormula(Formula):
    """An eigenvalue as a Formula in the degree and the dimension, or the one that is a symbol.

    Degrees are integers of at least 0 and dimensions numbers of at least 2. Where a Gamma function
    in a denominator has a pole the eigenvalue is zero; so it is evaluated, exactly. Where the form
    depends on the degree it is a Piecewise expression.

    Attributes:
        degree: the symbol of the degree, or None if that is a number.
        dim: the symbol of the dimension, or None if that is a number.
    """

    degree: sympy.Symbol | None = None
    dim: sympy.Symbol | None = None

    def __call__(self, *values: Any) -> Any:
        """The float64 numbers nearest to the values, elementwise on arrays that broadcast."""
        self._check_count(values)
        rows = np.broadcast_arrays(*values) if values else [np.zeros(())]
        points = zip(*(np.ravel(row) for row in rows), strict=True) if values else [()]
        found = [self._to_float(point) for point in points]
        return np.array(found).reshape(rows[0].shape)

    def _to_float(self, point: tuple[Any, ...]) -> float:
        ball = self.certified(*point, digits=20)
        value = lower.to_float(ball)
        if (value == 0 and not ball.is_zero()) or np.isinf(value):
            raise PrecisionError(
                f"{self.name} is {ball.str(5)} at {point}, out of the range of float64; use "
                "`certified`"
            )
        return value

    def certified(self, *values: Any, digits: int = 30) -> arb:
        """A ball of relative radius below 10^-digits, or an exact zero.

        Args:
            values: of the degree and the dimension, of which are symbols: exact numbers.
            digits: at least 1.

        Raises:
            ValueError: if the values are outside the domain.
            PrecisionError: if cancellation takes too many digits.
        """
        self._check_count(values)
        digits = check.integer("digits", digits, minimum=1)
        point = dict(zip(self.args, map(self._number, self.args, values), strict=True))
        if not self._holds_at(point):
            raise ValueError(self._outside(values))
        function = lower.to_balls(self.args, self._branch(point))
        bits = 64 + int(3.4 * digits)
        while bits < MOST_BITS:
            with ctx.workprec(bits):
                ball = arb(1) * function(*(lower.to_ball(point[a]) for a in self.args))
                if lower.relative_radius(ball) < 10.0**-digits:
                    return ball
            bits *= 2
        raise PrecisionError(f"{self.name} was not enclosed to {digits} digits at {values}")

    def substitute(self, values: dict[sympy.Symbol, Any]) -> "EigenvalueFormula":
        """The formula with some arguments replaced by exact values.

        Args:
            values: the values, by argument.

        Raises:
            TypeError, ValueError: if it is no mapping, or one of its keys is no argument.
        """
        plain = super().substitute(values)
        kept = {"args": plain.args, "rhs": plain.rhs, "domain": plain.domain}
        for name in ("degree", "dim"):
            if getattr(self, name) in values:
                kept[name] = None
        return dataclasses.replace(self, **kept)

    def _number(self, symbol: sympy.Symbol, value: Any) -> Any:
        number = lower.exact(str(symbol), value)
        if symbol == self.degree:
            if not number.is_Integer or number < 0:
                raise ValueError(f"{symbol} must be an integer of at least 0, got {value}")
        elif number < 2:
            raise ValueError(f"{symbol} must be at least 2, got {value}")
        return number


def eigenvalue(kernel: Kernel, degree: Any, dim: Any) -> EigenvalueFormula:
    r"""Eigenvalue of a dot-product kernel on S^{d-1} in closed form.

    .. math:: \lambda_k = E[h(t)\,P_k(t)], \qquad
              t \sim (1 - t^2)^{(d-3)/2} \text{ on } [-1, 1]

    Args:
        kernel: one whose Taylor coefficients at t = 0, or coefficients in powers of the distance
            :math:`\sqrt{2 - 2t}`, are hypergeometric, or a sum of such: polynomials, exponentials,
            Gaussians, powers of 1 - t and 1 + t, Laplace, rectified powers :math:`t_+^a`, networks
            of one hidden layer of relu and its kin, erf, sin, cos, exp, gelu without bias. It need
            not be positive definite.
        degree: k >= 0, an integer or a symbol.
        dim: d >= 2, an integer or a symbol.

    Returns:
        A Formula in what is a symbol, degree first. If both are integers it has no arguments, and
        its `rhs` is the number. Zeros by parity are exactly zero.

    Raises:
        DerivationError: if no closed form is found; `certified_spectrum` may enclose it.
        DivergentError: if the integral is infinite, for kernels that are infinite at t = -1.

    References:
        Mueller, Spherical Harmonics (1966); Bach, arXiv:1412.8690 (rectified powers).

    Examples:
        >>> from kerneltheory.activations.catalogue import relu
        >>> from kerneltheory.kernels.kernel import dot_product_kernel, nngp
        >>> k, d = sympy.symbols("k d")
        >>> layer = nngp(relu, 1, weight_variance=2)
        >>> eigenvalue(layer, k, d).rhs
        d*gamma(d/2)**2/(4*gamma(3/2 - k/2)**2*gamma(d/2 + k/2 + 1/2)**2)
        >>> eigenvalue(layer, 2, 3).rhs, eigenvalue(layer, 3, d).rhs
        (3/64, 0)
        >>> eigenvalue(dot_product_kernel(sympy.exp(k)), 0, 3).rhs
        sinh(1)
        >>> rectified = dot_product_kernel(sympy.Max(k, 0))
        >>> [eigenvalue(rectified, degree, 3).rhs for degree in range(5)]
        [1/4, 1/6, 1/16, 0, -1/96]
    """
    check_kernel(kernel)
    degree = argument("degree", degree, 0)
    dim = argument("dim", dim, 2)
    if degree == dim and not degree.is_number:
        raise ValueError(f"degree and dim must be two symbols, got {degree} twice")
    return _eigenvalue(kernel, degree, dim)


def argument(name: str, value: Any, minimum: int) -> Any:
    """A degree or dimension that was given: an exact integer or a symbol."""
    if isinstance(value, sympy.Symbol):
        return value
    if isinstance(value, sympy.Expr) and not value.is_Integer:
        raise TypeError(f"{name} must be an integer or a sympy symbol, got {value!r}")
    return sympy.Integer(check.integer(name, value, minimum=minimum))


@functools.lru_cache(maxsize=512)
def _eigenvalue(kernel: Kernel, degree: Any, dim: Any) -> EigenvalueFormula:
    parts = kernel_parts(kernel)
    inner = D if dim.is_Symbol else dim
    if degree.is_Symbol:
        rhs, conditions = _in_all_degrees(parts, inner)
    else:
        form = _total(parts, degree, int(degree) % 2, inner)
        rhs, conditions = elementary(form.expression), form.positive
    names = {K: degree, D: dim}
    args = tuple(symbol for symbol in (degree, dim) if symbol.is_Symbol)
    domain = _domain(kernel, degree, dim, [c.subs(names) for c in conditions])
    return EigenvalueFormula(
        _name(kernel, degree, dim), args, sympy.sympify(rhs).xreplace(names), domain, RODRIGUES,
        degree if degree.is_Symbol else None, dim if dim.is_Symbol else None,
    )  # fmt: skip


def _name(kernel: Kernel, degree: Any, dim: Any) -> str:
    """What it is the eigenvalue of, with the numbers that are not arguments."""
    at = {"degree": degree, "dim": dim}
    numbers = ", ".join(f"{name} {value}" for name, value in at.items() if not value.is_Symbol)
    return f"eigenvalue of {kernel}" + (f" at {numbers}" if numbers else "")


def _domain(kernel: Kernel, degree: Any, dim: Any, conditions: list[Any]) -> Any:
    """What the symbols have to obey."""
    relations = []
    if degree.is_Symbol:
        relations.append(sympy.Ge(degree, 0))
    if dim.is_Symbol:
        relations.append(sympy.Ge(dim, 2))
    for condition in conditions:
        # All are of the form (d + constant) / 2 > 0, or numbers.
        needed: Any = sympy.Gt(condition, 0)
        if needed == sympy.false:
            raise DivergentError(f"the eigenvalues of {kernel} are infinite at dim = {dim}")
        if isinstance(needed, Relational) and not _holds_from_two(condition, degree, dim):
            relations.append(needed)
    return sympy.And(*relations)


def _holds_from_two(condition: Any, degree: Any, dim: Any) -> bool:
    least = condition.subs({degree: 0, dim: 2})
    slopes = [sympy.diff(condition, symbol) for symbol in condition.free_symbols]
    return bool(least > 0) and all(bool(slope >= 0) for slope in slopes)


def _total(parts: tuple[Part, ...], k: Any, parity: int, d: Any) -> ClosedForm:
    return add([part.eigenvalue(k, parity, d) for part in parts])


def _in_all_degrees(parts: tuple[Part, ...], d: Any) -> tuple[Any, tuple[Any, ...]]:
    """One expression for all degrees, or one for each parity with exceptions at low degrees."""
    even, odd = (_total(parts, K, parity, d) for parity in (0, 1))
    regular = max(part.regular_from for part in parts)
    branches: list[tuple[Any, Any]] = []
    for degree in range(regular):
        k = sympy.Integer(degree)
        exact = _total(parts, k, degree % 2, d)
        if not _agrees((even, odd)[degree % 2], k, exact):
            branches.append((elementary(exact.expression), sympy.Eq(K, k)))
    generic: list[tuple[Any, Any]] = [(odd.expression, sympy.true)]
    if even.expression != odd.expression:
        generic.insert(0, (even.expression, sympy.Eq(sympy.Mod(K, 2), 0)))
    conditions = tuple(dict.fromkeys((*even.positive, *odd.positive)))
    branches += generic
    return branches[0][0] if len(branches) == 1 else sympy.Piecewise(*branches), conditions


def _agrees(form: ClosedForm, k: Any, exact: ClosedForm) -> bool:
    """Whether the form for all degrees holds at an exceptional one too."""
    try:
        found = form.subs({K: k})
    except ZeroDivisionError:
        return False
    if found.expression.has(sympy.nan, sympy.zoo):
        return False
    negative = (Term(gamma_product(-1) * t.product, t.function) for t in exact.terms)
    return not add([found, ClosedForm(tuple(negative))]).terms


# --- kernels ----------------------------------------------------------------------------------


def kernel_parts(kernel: Kernel) -> tuple[Part, ...]:
    """The parts of a kernel whose eigenvalues have closed forms.

    Raises:
        DerivationError: if there is a part that has none.
    """
    return _kernel_parts(kernel)


@functools.lru_cache(maxsize=256)
def _kernel_parts(kernel: Kernel) -> tuple[Part, ...]:
    if isinstance(kernel, CombinedKernel) and (kernel.symbol == "+" or len(kernel.parts) == 1):
        return tuple(
            _scaled(part, kernel.scale)
            for summand in kernel.parts
            for part in kernel_parts(summand)
        )
    features = _features(kernel) if isinstance(kernel, NetworkKernel) else None
    if features is not None:
        return (features,)
    try:
        return _parts_of_formula(kernel)
    except KernelTheoryError as error:
        raise DerivationError(
            f"{kernel} has no closed eigenvalue here: {error}; certified_spectrum may enclose its "
            "eigenvalues"
        ) from error


def _parts_of_formula(kernel: Kernel) -> tuple[Part, ...]:
    function: Any = kernel.formula.rhs
    if kernel.layers > 1 and not function.is_polynomial(T):
        raise DerivationError("functions are composed in it")
    return tuple(function_parts(function)) or (Powers(sympy.Integer(0)),)


def _scaled(part: Part, factor: Any) -> Part:
    if isinstance(part, Powers):
        return Powers(factor * part.polynomial)
    if isinstance(part, OddDistance | RectifiedPower):
        return dataclasses.replace(part, coefficient=factor * part.coefficient)
    if isinstance(part, SeriesPart):
        return SeriesPart(factor * part.function, part.coefficients.scaled(factor))
    assert isinstance(part, Features)
    return dataclasses.replace(part, scale=factor * part.scale)


def _features(kernel: NetworkKernel) -> Features | None:
    """The kernel as one of homogeneous features, if it is."""
    if kernel.depth > 1 or kernel.bias_variance != 0:
        return None
    try:
        terms = marked_terms(kernel.activation).smooth
    except DerivationError:
        return None
    straight: Any = sympy.Integer(0)
    rectified: Any = sympy.Integer(0)
    for term in terms:
        if term.decay != 0 or term.tilt != 0 or term.mark not in (ONE, STEP):
            return None
        if term.mark == STEP:
            rectified += term.coefficient
        else:
            straight += term.coefficient
    powers = {term.power for term in terms}
    if rectified == 0 or len(powers) != 1:
        return None
    return Features(straight, rectified, powers.pop(), kernel.weight_variance, kernel.tangent)
