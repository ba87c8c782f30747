r"""Products of Gamma functions times a rational factor, reduced without heuristics.

.. math:: R \prod_i \Gamma(x_i)^{e_i}

Arguments that differ by an integer are merged by :math:`\Gamma(x + 1) = x\,\Gamma(x)`, and those
that differ by a half by the duplication formula. That is all that eigenvalues need, and it takes
milliseconds where general simplification takes seconds.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import sympy

from kerneltheory.core.special_balls import Gamma, Power

# Gamma functions of numbers beyond this stay as they are: their values have thousands of digits.
LARGEST_ARGUMENT = 400
# Ratios of Gamma functions of symbols are written as products of at most about as many factors.
LARGEST_PRODUCT = 24


@dataclass(frozen=True)
class GammaProduct:
    """factor * prod Gamma(argument)^exponent; made by `gamma_product`, always reduced.

    Attributes:
        factor: rational in degree and dimension, times constants and powers.
        gammas: pairs of an argument and a non-zero exponent, no two arguments an integer apart.
    """

    factor: Any
    gammas: tuple[tuple[Any, int], ...] = ()

    def __mul__(self, other: "GammaProduct") -> "GammaProduct":
        total: dict[Any, int] = defaultdict(int)
        for argument, exponent in (*self.gammas, *other.gammas):
            total[argument] += exponent
        return _reduced(self.factor * other.factor, total)

    def __pow__(self, exponent: int) -> "GammaProduct":
        """An integer power."""
        gammas = {argument: exponent * count for argument, count in self.gammas}
        return _reduced(self.factor**exponent, gammas)

    def subs(self, values: Mapping[Any, Any]) -> "GammaProduct":
        """Put in values and reduce again.

        Raises:
            ZeroDivisionError: if a Gamma function has a pole there.
        """
        total: dict[Any, int] = defaultdict(int)
        for argument, exponent in self.gammas:
            total[argument.subs(values, simultaneous=True)] += exponent
        return _reduced(_powers_kept(self.factor, values), total)

    @property
    def expression(self) -> Any:
        """The product as a sympy expression; numbers of moderate size are evaluated."""
        powers = []
        for argument, exponent in self.gammas:
            large = argument.is_number and abs(argument) > LARGEST_ARGUMENT
            value: Any = Gamma(argument) if large else sympy.gamma(argument)
            powers.append(value**exponent)
        # All at once: sympy would multiply a number out over the terms of a sum.
        split = self.factor.as_content_primitive() if self.factor.is_Add else (self.factor,)
        parts = [part for factor in split for part in sympy.Mul.make_args(factor)]
        return sympy.Mul(*parts, *powers)


def gamma_product(
    factor: Any = 1, above: Iterable[Any] = (), below: Iterable[Any] = ()
) -> GammaProduct:
    """The reduced product of a factor, Gamma functions above and Gamma functions below.

    Examples:
        >>> x = sympy.Symbol("x")
        >>> gamma_product(1, [x + 2], [x]).expression
        x*(x + 1)
        >>> gamma_product(1, [x, x + sympy.Rational(1, 2)], [2 * x]).expression
        2**(1 - 2*x)*sqrt(pi)
    """
    total: dict[Any, int] = defaultdict(int)
    for argument in above:
        total[sympy.sympify(argument)] += 1
    for argument in below:
        total[sympy.sympify(argument)] -= 1
    return _reduced(sympy.sympify(factor), total)


def from_expression(expression: Any) -> GammaProduct:
    """The reduced product that an expression is, if it is one.

    Examples:
        >>> x = sympy.Symbol("x")
        >>> from_expression(sympy.gamma(x + 1) / sympy.gamma(x)).expression
        x
    """
    factor: Any = sympy.Integer(1)
    gammas: dict[Any, int] = defaultdict(int)
    for part in sympy.Mul.make_args(expression):
        base, exponent = part.as_base_exp()
        if isinstance(base, sympy.gamma) and exponent.is_Integer:
            gammas[base.args[0]] += int(exponent)
        else:
            factor *= part
    return _reduced(factor, gammas)


def combine(products: Iterable[GammaProduct]) -> list[GammaProduct]:
    """Add products whose ratio is rational; what is left has no common Gamma functions.

    Examples:
        >>> x = sympy.Symbol("x")
        >>> [p.expression for p in combine([gamma_product(1, [x]), gamma_product(1, [x + 1])])]
        [(x + 1)*gamma(x)]
    """
    sums: list[GammaProduct] = []
    for product in products:
        for i, other in enumerate(sums):
            ratio = product * other**-1 if other.factor != 0 else None
            if ratio is not None and not ratio.gammas:
                sums[i] = _sum(other, product, ratio.factor)
                break
        else:
            sums.append(product)
    return [product for product in sums if product.factor != 0]


def _sum(first: GammaProduct, second: GammaProduct, ratio: Any) -> GammaProduct:
    """The sum of two products, from the ratio of the second to the first.

    It stands over the Gamma functions of the one that leaves no zero in a denominator: with x = 1,
    1/Gamma(x) + 1/Gamma(x - 1) is x/Gamma(x), but 1/((x - 1) Gamma(x - 1)) has 0 times infinity.
    """
    if _may_vanish(sympy.fraction(sympy.together(ratio))[1]):
        first, ratio = second, 1 / ratio
    return GammaProduct(_tidy(first.factor * (1 + ratio)), first.gammas)


def _may_vanish(denominator: Any) -> bool:
    """Whether a linear factor in one symbol has a root that the symbol may be."""
    factored: Any = sympy.factor(denominator)
    for factor in sympy.Mul.make_args(factored):
        base = factor.as_base_exp()[0]
        if len(base.free_symbols) != 1 or not base.is_polynomial():
            continue
        (symbol,) = base.free_symbols
        polynomial: Any = sympy.Poly(base, symbol)
        if polynomial.degree() == 1:
            slope, constant = polynomial.all_coeffs()
            root = -constant / slope
            if root > 0 or (root == 0 and not symbol.is_positive):
                return True
    return False


def _reduced(factor: Any, gammas: Mapping[Any, int]) -> GammaProduct:
    """Apply the recurrence, then duplication, then the values at numbers."""
    families: dict[Any, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for argument, exponent in gammas.items():
        root, shift = _split(argument)
        families[root][shift] += exponent
    reduced: dict[Any, int] = {}
    for root, shifts in families.items():
        for near in _clusters(shifts, LARGEST_ARGUMENT if root.is_number else LARGEST_PRODUCT):
            part, base, exponent = _merge(root, near)
            factor *= part
            if exponent:
                reduced[base] = exponent
    for base in list(reduced):
        factor *= _duplicate(reduced, base)
    halved = _halved(reduced)
    if halved is not None:
        return _reduced(factor * halved, reduced)
    for base in [base for base in reduced if base.is_number]:
        if abs(base) <= LARGEST_ARGUMENT:
            factor *= _value(base, reduced.pop(base))
    ordered = sorted(((b, e) for b, e in reduced.items() if e), key=lambda pair: str(pair[0]))
    return GammaProduct(_tidy(factor), tuple(ordered))


def _tidy(factor: Any) -> Any:
    if factor.has(Power):
        factor = _merged_powers(factor)
    if factor.is_number:
        return factor
    return sympy.powsimp(sympy.factor(sympy.powsimp(factor)), combine="base", force=True)


def _merged_powers(factor: Any) -> Any:
    """One power for each base among the factors."""
    exponents: dict[Any, Any] = defaultdict(int)
    rest: Any = sympy.Integer(1)
    for part in sympy.Mul.make_args(factor):
        power, count = part.as_base_exp()
        if isinstance(power, Power):
            exponents[power.args[0]] += count * power.args[1]
        else:
            rest *= part
    return sympy.Mul(rest, *(number_power(base, e) for base, e in exponents.items()))


def _split(argument: Any) -> tuple[Any, int]:
    """The argument as root + integer, its root the same for all that are an integer apart."""
    argument = sympy.expand(argument)
    constant, _ = argument.as_coeff_Add()
    if not constant.is_Rational:
        return argument, 0
    shift = int(sympy.floor(constant))
    return argument - shift, shift


def _powers_kept(factor: Any, values: Mapping[Any, Any]) -> Any:
    """Put in values, but for powers of numbers that would have thousands of digits."""
    # Held while the rest is substituted, since values may name the symbols that they replace.
    held: dict[Any, Any] = {}

    def hold(node: Any) -> Any:
        base, exponent = node.as_base_exp()
        dummy = sympy.Dummy("power")
        held[dummy] = number_power(base, exponent.subs(values, simultaneous=True))
        return dummy

    def is_power(node: Any) -> bool:
        return node.is_Pow and node.base.is_number and not node.exp.is_number

    return factor.replace(is_power, hold).subs(values, simultaneous=True).xreplace(held)


def number_power(base: Any, exponent: Any) -> Any:
    """A power of a number, kept as it is where it would be a number of thousands of digits."""
    constant, rest = sympy.expand(exponent).as_coeff_Add()
    if abs(constant) > LARGEST_ARGUMENT:
        return Power(base, constant) * base**rest
    return base**exponent


def _clusters(shifts: Mapping[int, int], gap: int) -> list[dict[int, int]]:
    """Shifts in groups without large gaps, whose ratios would have too many digits or factors."""
    groups: list[dict[int, int]] = []
    last = None
    for shift in sorted(shifts):
        if last is None or shift - last > gap:
            groups.append({})
        groups[-1][shift] = shifts[shift]
        last = shift
    return groups


def _merge(root: Any, shifts: Mapping[int, int]) -> tuple[Any, Any, int]:
    """Factors that relate all to one argument of the family, that argument and its exponent.

    Of those on the side of the total, it is the one that leaves a polynomial on that side: below,
    the largest, so that 1/Gamma has only the zeros that it must have; above, the smallest.
    """
    total = sum(shifts.values())
    used = {shift: exponent for shift, exponent in shifts.items() if exponent}
    if not used:
        return sympy.Integer(1), root, 0
    same = [shift for shift, e in used.items() if e * total > 0] or list(used)
    base = min(same) if total > 0 else max(same)
    factor: Any = sympy.Integer(1)
    for shift, exponent in used.items():
        if shift > base:
            factor *= _rising(root + base, shift - base) ** exponent
        elif shift < base:
            factor *= _rising(root + shift, base - shift) ** -exponent
    return factor, root + base, total


def _rising(argument: Any, count: int) -> Any:
    return sympy.Mul(*(argument + i for i in range(count)))


def _duplicate(gammas: dict[Any, int], base: Any) -> Any:
    r"""Merge with the argument half above: Gamma(x) Gamma(x + 1/2) = 2^{1-2x} sqrt(pi) Gamma(2x).

    If the partner is an integer away from x + 1/2, the recurrence moves it there first.
    """
    half = sympy.Rational(1, 2)
    exponent = gammas.get(base, 0)
    simpler = not base.is_number or base.q % 4 == 0
    if not exponent or not simpler:
        return sympy.Integer(1)
    for partner in list(gammas):
        distance = sympy.expand(partner - base) - half
        count = gammas.get(partner, 0)
        near = distance.is_Integer and 0 <= distance <= LARGEST_ARGUMENT
        if partner == base or not near or count * exponent <= 0:
            continue
        common = min(abs(count), abs(exponent)) * (1 if count > 0 else -1)
        gammas[base] -= common
        gammas[partner] -= common
        double = sympy.expand(2 * base)
        gammas[double] = gammas.get(double, 0) + common
        moved = _rising(base + half, int(distance))
        scale = number_power(sympy.Integer(2), common * (1 - double))
        return (moved * sympy.sqrt(sympy.pi)) ** common * scale
    return sympy.Integer(1)


def _halved(gammas: dict[Any, int]) -> Any:
    """Undo a duplication where half of it cancels; None if there is none to undo."""
    half = sympy.Rational(1, 2)
    for double, exponent in list(gammas.items()):
        if double.is_number or not exponent:
            continue
        low = sympy.expand(double / 2)
        for other, count in gammas.items():
            twice = 2 * sympy.expand(other - low)
            near = twice.is_Integer and abs(twice) <= LARGEST_ARGUMENT
            if near and count * exponent < 0:
                del gammas[double]
                for argument in (low, low + half):
                    gammas[argument] = gammas.get(argument, 0) + exponent
                scale = number_power(sympy.Integer(2), exponent * (double - 1))
                return scale * sympy.pi ** sympy.Rational(-exponent, 2)
    return None


def _value(argument: Any, exponent: int) -> Any:
    if argument.is_Integer and argument <= 0:
        if exponent > 0:
            raise ZeroDivisionError(f"Gamma has a pole at {argument}")
        return sympy.Integer(0)
    return sympy.gamma(argument) ** exponent
