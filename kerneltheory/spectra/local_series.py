r"""Kernels as series at one cosine, exactly: at t = 0, and in fractional powers at t = 1 and -1.

A series is a sum of :math:`c_e s^e` with rational exponents e and exact coefficients, up to an
order. Kernels take it in place of their cosine, so a network's series is composed layer by layer,
as its values are. At a branch point, asin and roots of what vanishes give fractional powers.
"""

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import sympy
from flint import arb, ctx

from kerneltheory.core import lower
from kerneltheory.core.errors import KernelTheoryError
from kerneltheory.kernels import recursion
from kerneltheory.kernels.base import Kernel, T
from kerneltheory.kernels.combine import CombinedKernel, ComposedKernel
from kerneltheory.kernels.kernel import NetworkKernel
from kerneltheory.kernels.maps import is_series, symbolic_maps

ZERO, ONE, HALF = sympy.S.Zero, sympy.S.One, sympy.S.Half
BITS = 300


@dataclass(frozen=True)
class LocalSeries:
    """sum of terms[e] s^e + O(s^order); the variable s has no name.

    Attributes:
        terms: pairs of an exponent and a coefficient that is not zero, in order.
        order: exponents from here on are not known.
        branched: whether a root or an arc had a branch point there.
    """

    terms: tuple[tuple[Any, Any], ...]
    order: Any
    branched: bool = False

    @property
    def valuation(self) -> Any:
        """The first exponent; the order if there is none."""
        return self.terms[0][0] if self.terms else self.order

    @property
    def constant(self) -> Any:
        """The coefficient of s^0."""
        return dict(self.terms).get(ZERO, ZERO)

    def __add__(self, other: Any) -> "LocalSeries":
        other = self._like(other)
        order = min(self.order, other.order)
        return _collected((*self.terms, *other.terms), order, self.branched or other.branched)

    __radd__ = __add__

    def __neg__(self) -> "LocalSeries":
        return self * -1

    def __sub__(self, other: Any) -> "LocalSeries":
        return self + -1 * self._like(other)

    def __rsub__(self, other: Any) -> "LocalSeries":
        return -1 * self + other

    def __mul__(self, other: Any) -> "LocalSeries":
        other = self._like(other)
        order = min(self.order + other.valuation, other.order + self.valuation)
        products = ((e + f, a * b) for e, a in self.terms for f, b in other.terms if e + f < order)
        return _collected(products, order, self.branched or other.branched)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> "LocalSeries":
        if isinstance(other, LocalSeries):
            return self * other.power(-ONE)
        return self * (ONE / other)

    def __rtruediv__(self, other: Any) -> "LocalSeries":
        return self.power(-ONE) * other

    def power(self, exponent: Any) -> "LocalSeries":
        """A rational power, by the binomial series around the first term."""
        if not self.terms:
            if exponent > 0:
                branched = self.branched or not exponent.is_Integer
                return LocalSeries((), self.order * exponent, branched)
            raise KernelTheoryError("the order of a local expansion is too low to divide by it")
        first, leading = self.terms[0]
        if not exponent.is_Integer and not _is_positive(leading):
            raise KernelTheoryError(f"a root of {leading} occurs in a local expansion")
        rest = _collected(
            ((e - first, c / leading) for e, c in self.terms[1:]), self.order - first, False
        )
        unit = rest.compose(lambda i: sympy.binomial(exponent, i))
        scale = leading**exponent
        shifted = ((e + first * exponent, scale * c) for e, c in unit.terms)
        branched = self.branched or (first != 0 and not exponent.is_Integer)
        return _collected(shifted, unit.order + first * exponent, branched)

    def compose(self, coefficient: Callable[[int], Any]) -> "LocalSeries":
        """The sum of coefficient(i) times the i-th power of this series, which is small."""
        if self.terms and self.valuation <= 0:
            raise KernelTheoryError("a local expansion is composed with one that is not small")
        total = self._like(coefficient(0))
        power, i = self._like(ONE), 0
        while self.terms and (i + 1) * self.valuation < self.order:
            i += 1
            power = power * self
            total = total + coefficient(i) * power
        branched = total.branched or self.branched
        return LocalSeries(total.terms, min(total.order, self.order), branched)

    def _like(self, value: Any) -> "LocalSeries":
        if isinstance(value, LocalSeries):
            return value
        # Exact numbers are known to every order.
        return _collected(((ZERO, sympy.sympify(value)),), sympy.oo, False)


def _collected(terms: Iterable[tuple[Any, Any]], order: Any, branched: bool) -> LocalSeries:
    sums: dict[Any, Any] = {}
    for exponent, coefficient in terms:
        if exponent < order:
            sums[exponent] = sums.get(exponent, ZERO) + coefficient
    kept = [(e, sympy.expand(sums[e])) for e in sorted(sums)]
    terms = tuple((e, _named(c, LARGE)) for e, c in kept if not _is_zero(c))
    return LocalSeries(terms, order, branched)


@functools.lru_cache(maxsize=4096)
def _is_zero(number: Any) -> bool:
    """Whether an exact number is zero; proved either way."""
    if number.is_Rational:
        return number == 0
    if not _ball(number).contains(0):
        return False
    if sympy.simplify(written_out(number)) == 0:
        return True
    raise KernelTheoryError(f"it was not decided whether {number} is zero")


@functools.lru_cache(maxsize=4096)
def _is_positive(number: Any) -> bool:
    return bool(_ball(number) > 0)


@functools.lru_cache(maxsize=4096)
def _ball(number: Any) -> arb:
    names = tuple(sorted(number.free_symbols, key=str))
    with ctx.workprec(BITS):
        balls = [_ball(_MEANING[name]) for name in names]
        return arb(1) * lower.to_balls(names, number)(*balls)


# --- numbers with names -----------------------------------------------------------------------

# What the names of large numbers stand for: numbers, in earlier names.
_MEANING: dict[Any, Any] = {}
# A number of more operations gets a name, between layers and inside them; one of more than the
# last is rounded in the end.
SHORT, LARGE, LONG = 24, 150, 1000


@functools.lru_cache(maxsize=4096)
def _named(number: Any, limit: int = SHORT) -> Any:
    """A name for a large exact number: inside the next layers it would be repeated many times."""
    if sympy.count_ops(number) <= limit:
        return number
    name = sympy.Dummy("c", positive=True) if _is_positive(number) else sympy.Dummy("c", real=True)
    _MEANING[name] = number
    return name


def written_out(number: Any) -> Any:
    """The number without names; one too large to write out as the rational closest to its ball."""
    operations = dict.fromkeys(_MEANING, 0)

    def size(value: Any) -> int:
        for name in value.free_symbols:
            operations[name] = operations[name] or size(_MEANING[name])
        return sympy.count_ops(value) + sum(
            value.count(name) * operations[name] for name in value.free_symbols
        )

    if size(number) > LONG:
        mantissa, exponent = _ball(number).mid().man_exp()
        return sympy.Integer(int(mantissa)) * sympy.Integer(2) ** int(exponent)
    while number.free_symbols:
        number = number.xreplace({name: _MEANING[name] for name in number.free_symbols})
    return number


# --- expressions ------------------------------------------------------------------------------


def expression_series(expression: Any, values: Mapping[Any, LocalSeries]) -> Any:
    """An expression with series in place of symbols; a number if it holds none of them."""
    known: dict[Any, Any] = dict(values)

    def value(node: Any) -> Any:
        if node not in known:
            known[node] = _node_series(node, value) if node.has(*values) else node
        return known[node]

    return value(expression)


def _node_series(node: Any, value: Callable[[Any], Any]) -> Any:
    if node.is_Add:
        return functools.reduce(lambda a, b: a + b, map(value, node.args))
    if node.is_Mul:
        return functools.reduce(lambda a, b: a * b, map(value, node.args))
    if node.is_Pow and node.exp.is_Rational:
        return value(node.base).power(node.exp)
    if isinstance(node, sympy.acos):
        return sympy.pi / 2 - _arc_sine(value(node.args[0]))
    if isinstance(node, sympy.asin):
        return _arc_sine(value(node.args[0]))
    if isinstance(node, _ANALYTIC):
        return _analytic(type(node), value(node.args[0]))
    raise KernelTheoryError(f"{type(node).__name__} has no local expansion here")


# Analytic wherever they are real; log and atan have their branch points elsewhere.
_ANALYTIC = (
    sympy.exp, sympy.sin, sympy.cos, sympy.sinh, sympy.cosh, sympy.tanh, sympy.tan, sympy.atan,
    sympy.log, sympy.erf,
)  # fmt: skip


def _analytic(function: Any, argument: LocalSeries) -> LocalSeries:
    """Taylor's series at the constant term."""
    return (argument - argument.constant).compose(_taylor_at(function, argument.constant))


def _taylor_at(function: Any, place: Any) -> Callable[[int], Any]:
    variable = sympy.Dummy("x", real=True)
    derivatives = [function(variable)]

    def coefficient(i: int) -> Any:
        while len(derivatives) <= i:
            derivatives.append(sympy.diff(derivatives[-1], variable))
        return derivatives[i].subs(variable, place) / sympy.factorial(i)

    return coefficient


def _through_end(expression: Any, symbol: Any, argument: LocalSeries) -> Any:
    """An expression of one series; at 1 and -1 as a series in the root of what is missing.

    Singular terms that cancel in the expression then do so before the argument is put in, whose
    order is kept.
    """
    end = argument.constant
    if end not in (1, -1):
        return expression_series(expression, {symbol: argument})
    series = _end_series(expression, symbol, int(end), argument.order)
    missing = 1 - end * argument
    if not missing.terms:
        first = min((e for e, _ in series.terms if e > 0), default=series.order)
        order = min(first, series.order) * missing.order / 2
        known = tuple((e, c) for e, c in series.terms if e == 0)
        return LocalSeries(known, order, series.branched or argument.branched)
    total = LocalSeries((), series.order * missing.valuation / 2, series.branched)
    for exponent, coefficient in series.terms:
        total = total + (coefficient * missing.power(exponent / 2) if exponent else coefficient)
    return LocalSeries(total.terms, total.order, series.branched or argument.branched)


@functools.lru_cache(maxsize=512)
def _end_series(expression: Any, symbol: Any, end: int, order: Any) -> LocalSeries:
    found = expression_series(expression, {symbol: at_end(end, order + 1)})
    return found if isinstance(found, LocalSeries) else at_end(end, order) * 0 + found


def _arc_sine(argument: LocalSeries) -> LocalSeries:
    r"""asin(1 - u) = pi/2 - 2 asin(sqrt(u/2)), which has a branch point at u = 0."""
    place = argument.constant
    for sign in (1, -1):
        if place == sign:
            half = ((1 - sign * argument) / 2).power(HALF)
            small = half.compose(_taylor_at(sympy.asin, ZERO))
            return sign * (sympy.pi / 2 - 2 * small)
    return _analytic(sympy.asin, argument)


# --- kernels ----------------------------------------------------------------------------------


def kernel_series(kernel: Kernel, cosine: LocalSeries) -> LocalSeries:
    """The kernel at a cosine that is a series.

    Raises:
        KernelTheoryError: if a function in it has no exact expansion there.

    Examples:
        >>> from kerneltheory.kernels.kernel import dot_product_kernel
        >>> near_one = at_end(1, 3)
        >>> series = kernel_series(dot_product_kernel(sympy.exp(-sympy.sqrt(2 - 2 * T))), near_one)
        >>> dict(series.terms)[ONE]
        -sqrt(2)
    """
    if isinstance(kernel, CombinedKernel):
        parts = [kernel_series(part, cosine) for part in kernel.parts]
        joined = functools.reduce(lambda a, b: a + b if kernel.symbol == "+" else a * b, parts)
        return sympy.sympify(kernel.scale) * joined
    if isinstance(kernel, ComposedKernel):
        inner = kernel_series(kernel.inner, cosine)
        at_one = kernel_series(kernel.inner, at_end(1, 1)).constant
        return kernel_series(kernel.outer, _correlation(inner / at_one))
    if isinstance(kernel, NetworkKernel):
        return _network_series(kernel, cosine)
    found = expression_series(kernel.formula.rhs, {T: cosine})
    return found if isinstance(found, LocalSeries) else cosine * 0 + found


def at_end(sign: int, order: Any) -> LocalSeries:
    """The cosine t = sign (1 - s^2), up to s^order."""
    terms = ((ZERO, sympy.Integer(sign)), (sympy.Integer(2), sympy.Integer(-sign)))
    return _collected(terms, sympy.sympify(order), False)


def at_zero(order: int) -> LocalSeries:
    """The cosine t = s, up to s^order."""
    return LocalSeries(((ONE, ONE),), sympy.Integer(order))


def _correlation(series: LocalSeries) -> LocalSeries:
    """A correlation that tends to 1 or -1 has exactly that constant term."""
    for end in (1, -1):
        if _is_zero(sympy.expand(series.constant - end)):
            rest = [(e, c) for e, c in series.terms if e != 0]
            return LocalSeries(((ZERO, sympy.Integer(end)), *rest), series.order, series.branched)
    return series


def _network_series(kernel: NetworkKernel, cosine: LocalSeries) -> LocalSeries:
    if is_series(kernel.activation):
        raise KernelTheoryError(
            f"the dual of {kernel.activation.name} is a series without a formula, so the local "
            f"expansion of {kernel} is not known"
        )
    maps, c = symbolic_maps(kernel.activation), sympy.Symbol("c", real=True)
    w, b = kernel.weight_variance, kernel.bias_variance

    def lifted(function: Callable[..., Any]) -> Callable[..., Any]:
        def on_series(q1: Any, q2: Any, correlation: LocalSeries) -> Any:
            return _through_end(function(q1, q2, c), c, correlation)

        return on_series

    q = w + b
    start = _correlation((w * cosine + b) / q)
    at_one = start.constant == 1

    def correlation(series: LocalSeries) -> LocalSeries:
        """One stays one; anything else is between the ends."""
        terms = tuple((e, _named(c)) for e, c in series.terms)
        if at_one:
            terms = ((ZERO, ONE), *((e, c) for e, c in terms if e != 0))
        return LocalSeries(terms, series.order, series.branched)

    on_series = recursion.LayerMaps(
        lifted(maps.value),
        lifted(maps.slope) if kernel.tangent else maps.slope,
        lambda q: _named(maps.variance(q)),
        maps.variance_slope,
        maps.root,
        correlation,
    )
    return recursion.covariances(on_series, kernel.depth, w, b, (q, q), start, kernel.tangent)
