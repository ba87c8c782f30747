"""The parts of a function of the cosine whose eigenvalues have closed forms."""

import functools
from typing import Any

import sympy

from kerneltheory.activations.pieces import X
from kerneltheory.core.errors import DerivationError
from kerneltheory.kernels.base import T
from kerneltheory.kernels.kinks import has_kinks, pieces_of
from kerneltheory.spectra.closed_forms import (
    DISTANCE,
    OddDistance,
    Part,
    Powers,
    RectifiedPower,
    SeriesPart,
)
from kerneltheory.spectra.hypergeometric import Series, hypergeometric_series
from kerneltheory.spectra.summation import K

# The cosine right of t = 0, where its powers are real.
_POSITIVE = sympy.Symbol("t", positive=True)


def function_parts(function: Any) -> list[Part]:
    """The parts of a function of t.

    Raises:
        DerivationError: naming what has no hypergeometric series in t or in the distance.
    """
    function, parts = _rectified(function)
    polynomial, groups = _groups(function)
    parts += [Powers(polynomial)] if polynomial != 0 else []
    for factor, summands in groups:
        parts += _group_parts(factor, summands)
    return parts


def _rectified(function: Any) -> tuple[Any, list[Part]]:
    """The function left of a kink at t = 0, and the rectified powers it differs by on the right."""
    if not has_kinks(function):
        return function, []
    split = pieces_of(function)
    if split.breaks != (0,):
        raise DerivationError(f"{function} has kinks or jumps other than at t = 0")
    left, right = (sympy.expand(piece.subs(X, _POSITIVE)) for piece in split.expressions)
    parts: list[Part] = []
    for summand in sympy.Add.make_args(sympy.expand(right - left)):
        coefficient, rest = summand.as_independent(_POSITIVE, as_Add=False)
        power = rest.as_base_exp()[1] if rest != 1 else sympy.Integer(0)
        if rest != _POSITIVE**power or not power.is_Rational or power < 0:
            raise DerivationError(f"{function} changes at t = 0 by {summand}, which is no power")
        parts.append(RectifiedPower(coefficient, power))
    return split.expressions[0].subs(X, T), parts


def _groups(function: Any) -> tuple[Any, list[tuple[Any, list[Any]]]]:
    """The polynomial in t, and the other summands by what their constants have in common."""
    expanded = _expanded(function)
    polynomial: Any = sympy.Integer(0)
    groups: list[tuple[Any, list[Any]]] = []
    for summand in sympy.Add.make_args(expanded):
        if summand.is_polynomial(T):
            polynomial += summand
            continue
        factored: Any = sympy.factor(summand)
        constant, rest = factored.as_independent(T, as_Add=False)
        for factor, members in groups:
            ratio = sympy.radsimp(constant / factor)
            if ratio.is_Rational:
                members.append(ratio * rest)
                break
        else:
            groups.append((constant, [rest]))
    return polynomial, groups


def _expanded(function: Any) -> Any:
    """A sum of products, arcs from asin only (acos has a constant), shifts taken out."""
    function = function.replace(sympy.acos, lambda u: sympy.pi / 2 - sympy.asin(u))
    return sympy.expand(function, trig=bool(function.atoms(*_WAVES)))


_WAVES = (sympy.sin, sympy.cos, sympy.sinh, sympy.cosh)


def _group_parts(factor: Any, summands: list[Any]) -> list[Part]:
    """The parts of a group as a whole or, failing that, of its members."""
    whole = _series_parts(factor, sympy.Add(*summands))
    if whole is not None:
        return whole
    parts: list[Part] = []
    for summand in summands:
        found = _series_parts(factor, summand) if len(summands) > 1 else None
        if found is None:
            raise DerivationError(
                f"{summand} is a series with hypergeometric coefficients that converges on the "
                "sphere neither in t nor in the distance sqrt(2 - 2t)"
            )
        parts += found
    return parts


@functools.lru_cache(maxsize=512)
def _series_parts(factor: Any, function: Any) -> list[Part] | None:
    """The parts in powers of t or else of the distance, if the sums have closed forms."""
    in_distance = sympy.expand(function.subs(T, 1 - DISTANCE**2 / 2))
    for candidate, variable in ((function, T), (in_distance, DISTANCE)):
        series = hypergeometric_series(candidate, variable)
        if series is None:
            continue
        parts = _parts_of_series(factor, series)
        try:
            for part in parts:
                for parity in (0, 1):
                    part.eigenvalue(K, parity)
        except DerivationError:
            continue
        return parts
    return None


def _parts_of_series(factor: Any, series: Series) -> list[Part]:
    x = series.variable
    parts: list[Part] = []
    if series.polynomial != 0:
        parts += _polynomial_parts(factor * series.polynomial, x)
    parts += [SeriesPart(factor * series.rest, c.scaled(factor)) for c in series.classes]
    return parts


def _polynomial_parts(polynomial: Any, x: Any) -> list[Part]:
    if x == T:
        return [Powers(sympy.expand(polynomial))]
    even: Any = sympy.Integer(0)
    parts: list[Part] = []
    for (n,), coefficient in sympy.Poly(polynomial, x).terms():
        if n % 2:
            parts.append(OddDistance(coefficient, n))
        else:
            even += coefficient * (2 - 2 * T) ** (n // 2)
    return [Powers(sympy.expand(even)), *parts] if even != 0 else parts
