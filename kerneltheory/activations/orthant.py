r"""Expectations of activations with steps and erf anywhere: truncated bivariate normal moments.

A step at s is the event x > s, and erf(g x + h) = 2 P(x + e > -h/g) - 1 with an independent
Gaussian e of variance 1/(2 g^2). A product of two terms is then a moment of (u, v), under a
Gaussian that decay and tilt have changed, on a quadrant of two correlated variables. Stein's lemma
reduces moments to the distribution functions of `core.normal`.
"""

import functools
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import sympy

from kerneltheory.activations.activation import Activation
from kerneltheory.activations.gaussian import K12, Q1, Q2, tilted_law
from kerneltheory.activations.pieces import X
from kerneltheory.activations.terms import Smooth, Terms, marked_terms
from kerneltheory.core.errors import DerivationError
from kerneltheory.core.normal import (
    BivariateExponential,
    BivariateNormalCDF,
    ConditionalNormalCDF,
    NormalCDF,
    density,
)

ZERO, ONE = sympy.Integer(0), sympy.Integer(1)
# Roots of the variances and the correlation: in these every covariance is a polynomial.
_R1, _R2 = sympy.symbols("r1 r2", positive=True)
_C = sympy.Symbol("c", real=True)


@dataclass(frozen=True)
class Event:
    """The event orientation * (x + e - location) > 0, where e has variance `noise`."""

    location: sympy.Expr
    noise: sympy.Expr
    orientation: int


@dataclass(frozen=True)
class Atom:
    """coefficient * x^power * exp(-decay x^2 + tilt x) on an event, or on the whole line."""

    coefficient: sympy.Expr
    power: int
    decay: sympy.Expr
    tilt: sympy.Expr
    event: Event | None

    @property
    def expression(self) -> sympy.Expr:
        """The atom as an expression in x."""
        value = self.coefficient * X**self.power
        value *= sympy.exp(-self.decay * X**2 + self.tilt * X)
        if self.event is None:
            return value
        distance = self.event.orientation * (X - self.event.location)
        if self.event.noise == 0:
            return value * sympy.Heaviside(distance)
        return value * (1 + sympy.erf(distance / sympy.sqrt(2 * self.event.noise))) / 2


def atoms(terms: Terms) -> tuple[Atom, ...]:
    """Smooth terms as atoms whose events point to where they are small.

    An event points away from 0, and an exponential is kept where it falls: sums of atoms then lose
    no digits to cancellation between large parts.
    """
    total: dict[tuple, sympy.Expr] = defaultdict(lambda: ZERO)
    for term in terms.smooth:
        key = term.power, term.decay, term.tilt
        if term.is_pure:
            total[*key, None] += term.coefficient
            continue
        weight = term.coefficient
        if isinstance(term.mark, sympy.erf):
            total[*key, None] -= weight
            weight = 2 * weight
        event = _event(term)
        total[*key, event] += event.orientation * weight
        if event.orientation < 0:
            total[*key, None] += weight
    return tuple(Atom(sympy.expand(c), *key) for key, c in total.items() if sympy.expand(c) != 0)


def _event(term: Smooth) -> Event:
    noise = ZERO
    if isinstance(term.mark, sympy.erf):
        noise = 1 / (2 * sympy.Poly(term.mark.args[0], X).coeff_monomial(X) ** 2)
    falls = term.tilt if term.tilt != 0 else -term.location
    return Event(term.location, noise, -1 if falls.is_positive else 1)


@functools.lru_cache(maxsize=512)
def orthant_dual(phi: Activation, derivative: int) -> sympy.Expr:
    """The n-th derivative of T with respect to k12, by distribution functions.

    By Price's theorem the expectation of derivatives of phi, as long as these have no deltas; from
    there on the derivative of that.

    Raises:
        DerivationError: if phi is no finite sum of terms that have such expectations.
    """
    terms, done = marked_terms(phi), 0
    _refuse_waves(terms, phi)
    while done < derivative:
        try:
            following = terms.differentiate()
        except DerivationError:
            break
        if following.singular:
            break
        terms, done = following, done + 1
    return sympy.diff(orthant_expectation(terms), K12, derivative - done)


def _refuse_waves(terms: Terms, phi: Activation) -> None:
    """Refuse waves with steps, whose levels would be complex."""
    if any(term.tilt.has(sympy.I) for term in terms.smooth):
        raise DerivationError(
            f"{phi.name} has waves together with steps or erf: its dual is a bivariate normal "
            "distribution at complex levels, for which there is no form here"
        )


def orthant_expectation(terms: Terms) -> sympy.Expr:
    """E[terms(u) terms(v)] in (q1, q2, k12) by normal and bivariate normal distributions."""
    found = atoms(terms)
    total = _gathered(_pair(first, second) for first in found for second in found)
    back = {_R1: sympy.sqrt(Q1), _R2: sympy.sqrt(Q2), _C: K12 / sympy.sqrt(Q1 * Q2)}
    return total.subs(back, simultaneous=True)


def _gathered(summands: Iterable[sympy.Expr]) -> sympy.Expr:
    """Add, with one rational coefficient for each product of transcendental factors and roots."""
    coefficients: dict[sympy.Expr, sympy.Expr] = defaultdict(lambda: ZERO)
    for summand in summands:
        for part in sympy.Add.make_args(_expanded(summand)):
            key, rest = ONE, ONE
            for factor in sympy.Mul.make_args(part):
                if factor.is_number or factor.is_rational_function(_R1, _R2, _C):
                    rest *= factor
                else:
                    key *= factor
            coefficients[key] += rest
    return sympy.Add(*(sympy.factor(rest) * key for key, rest in coefficients.items()))


def _expanded(summand: sympy.Expr) -> sympy.Expr:
    """Products multiplied out, but nothing inside a function or a denominator."""
    while True:
        # Without `deep` the factors of what comes out are sums again.
        parts = sympy.Add.make_args(summand)
        expanded = sympy.Add(
            *(sympy.expand(p, deep=False, power_exp=False, power_base=False) for p in parts)
        )
        if expanded == summand:
            return expanded
        summand = expanded


# --- one pair of atoms ------------------------------------------------------------------------


@dataclass(frozen=True)
class _Law:
    """Means and covariances of (u, v, first event's variable, second event's variable)."""

    mean: tuple[Any, ...]
    covariance: tuple[tuple[Any, ...], ...]


@functools.lru_cache(maxsize=4096)
def _pair(first: Atom, second: Atom) -> sympy.Expr:
    tilted = tilted_law(first, second, _R1**2, _R2**2, _C * _R1 * _R2)
    uu, uv, vv = tilted.covariance
    rows = ((uu, uv), (uv, vv))
    means = tuple(map(sympy.cancel, tilted.means))
    noises = [atom.event.noise if atom.event else ZERO for atom in (first, second)]
    covariance = tuple(
        tuple(
            sympy.cancel(rows[i % 2][j % 2] + (noises[i % 2] if i == j and i > 1 else 0))
            for j in range(4)
        )
        for i in range(4)
    )
    law = _Law(means + means, covariance)
    moment = _moment((first.power, second.power), law, (first.event, second.event))
    weight = first.coefficient * second.coefficient / sympy.sqrt(tilted.radicand)
    return weight * sympy.exp(tilted.exponent) * moment


def _moment(powers: tuple[int, int], law: _Law, events: tuple[Event | None, Event | None]) -> Any:
    """E[u^i v^j on both events]."""

    def edges(axis: int, lower: tuple[int, int]) -> Any:
        return sum(
            event.orientation * _edge(axis, lower, law, events, index)
            for index, event in enumerate(events)
            if event is not None
        )

    return _stein(powers, law.mean, law.covariance, _probability(law, events), edges)


def _stein(
    powers: tuple[int, int], means: Any, cov: Any, base: Any, edges: Callable[..., Any]
) -> Any:
    """E[u^i v^j f] by Stein's lemma, E[(u - m) g] = sum of covariances times E[dg].

    Args:
        powers: i and j.
        means: of u and v.
        cov: their covariances.
        base: E[f].
        edges: what the edges of f add, as a function of the axis and of the powers that are left.
    """
    if powers == (0, 0):
        return base
    axis = 0 if powers[0] else 1
    lower = _lowered(powers, axis)
    total = means[axis] * _stein(lower, means, cov, base, edges) + edges(axis, lower)
    for other in (0, 1):
        if lower[other]:
            rest = _stein(_lowered(lower, other), means, cov, base, edges)
            total += cov[axis][other] * lower[other] * rest
    return total


def _lowered(powers: tuple[int, int], axis: int) -> tuple[int, int]:
    return powers[0] - (axis == 0), powers[1] - (axis == 1)


def _level(law: _Law, event: Event, index: int) -> Any:
    """The standardised distance by which the mean is inside an event."""
    spread = sympy.sqrt(law.covariance[2 + index][2 + index])
    return event.orientation * sympy.cancel(law.mean[2 + index] - event.location) / spread


def _correlation(law: _Law, events: Any) -> Any:
    """Between the two events' variables, each counted in the direction of its event."""
    cov = law.covariance
    sign = events[0].orientation * events[1].orientation
    return sign * cov[2][3] / (sympy.sqrt(cov[2][2]) * sympy.sqrt(cov[3][3]))


def _probability(law: _Law, events: Any) -> Any:
    levels = [_level(law, e, n) for n, e in enumerate(events) if e is not None]
    if len(levels) < 2:
        return NormalCDF(levels[0]) if levels else ONE
    return BivariateNormalCDF(*levels, _correlation(law, events))


def _edge(axis: int, powers: tuple[int, int], law: _Law, events: Any, index: int) -> Any:
    """What Stein's lemma leaves at the edge of an event: its density times a conditional moment."""
    cov, edge = law.covariance, 2 + index
    weight = cov[axis][edge] / sympy.sqrt(cov[edge][edge])
    means = tuple(_given(law, events[index], index, n) for n in (0, 1))
    residuals = tuple(tuple(_residual(law, edge, m, n) for n in (0, 1)) for m in (0, 1))
    if events[1 - index] is None:
        base = density(_level(law, events[index], index))
        return weight * _stein(powers, means, residuals, base, lambda *_: 0)
    inside = _Inside(law, events, index)

    def corner(axis: int, lower: tuple[int, int]) -> Any:
        residual = _residual(law, edge, axis, inside.other)
        return inside.edge(residual) * _corner_moment(lower, law, events)

    return weight * _stein(powers, means, residuals, inside.probability, corner)


def _given(law: _Law, event: Any, index: int, n: int) -> Any:
    """E[coordinate n | the event's variable is at the event's edge]."""
    edge = 2 + index
    slope = law.covariance[n][edge] / law.covariance[edge][edge]
    return sympy.cancel(law.mean[n] + slope * (event.location - law.mean[edge]))


def _residual(law: _Law, edge: int, m: int, n: int) -> Any:
    cov = law.covariance
    return sympy.cancel(cov[m][n] - cov[m][edge] * cov[edge][n] / cov[edge][edge])


class _Inside:
    """The other event, given that one variable is at its edge."""

    def __init__(self, law: _Law, events: Any, index: int) -> None:
        self.other = 3 - index
        self.orientation = events[1 - index].orientation
        levels = [_level(law, event, n) for n, event in enumerate(events)]
        self.here, self.there = levels[index], levels[1 - index]
        self.rho = _correlation(law, events)
        self.spread = sympy.sqrt(law.covariance[self.other][self.other])

    @property
    def probability(self) -> Any:
        """The density at the edge times the probability of the other event there."""
        return density(self.here) * ConditionalNormalCDF(self.here, self.there, self.rho)

    def edge(self, residual: Any) -> Any:
        """The joint density at the corner times a covariance, which vanishes like 1 - rho^2."""
        square = 1 - self.rho**2
        ratio = sympy.cancel(sympy.together(residual / sympy.expand(square)))
        corner = BivariateExponential(self.here, self.there, self.rho) / (2 * sympy.pi)
        return self.orientation * ratio * sympy.sqrt(square) * corner / self.spread


def _corner_moment(powers: tuple[int, int], law: _Law, events: Any) -> Any:
    """E[u^i v^j | both variables at their edges], which are u and v unless the events are noisy."""
    (a, b), (c, d) = (row[2:] for row in law.covariance[2:])
    determinant = sympy.cancel(a * d - b * c)
    inverse = ((d, -b), (-c, a))
    gaps = [event.location - law.mean[2 + n] for n, event in enumerate(events)]
    rows = law.covariance
    gains = [
        [sum(rows[m][2 + n] * inverse[n][p] for n in (0, 1)) / determinant for p in (0, 1)]
        for m in (0, 1)
    ]
    means = [law.mean[m] + sum(gains[m][p] * gaps[p] for p in (0, 1)) for m in (0, 1)]
    cov = [
        [rows[m][n] - sum(gains[m][p] * rows[2 + p][n] for p in (0, 1)) for n in (0, 1)]
        for m in (0, 1)
    ]
    means = [sympy.cancel(value) for value in means]
    cov = [[sympy.cancel(value) for value in row] for row in cov]
    return _stein(powers, means, cov, ONE, lambda *_: 0)
