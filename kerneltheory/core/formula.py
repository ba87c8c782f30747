"""A Formula: an exact right-hand side with its ordered arguments, domain and reference."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jax.numpy as jnp
import numpy as np
import sympy
from flint import arb, ctx

from kerneltheory.core import check, domains, lower
from kerneltheory.core.differentiable import inside
from kerneltheory.core.display import latex
from kerneltheory.core.errors import PrecisionError
from kerneltheory.core.precision import float64_policy
from kerneltheory.core.records import is_concrete, real_array

# Digits beyond which an enclosure counts as out of reach: integrals then take minutes.
MOST_DIGITS = 600


@dataclass(frozen=True)
class Formula:
    """An exact expression in named arguments, evaluated to any precision.

    Attributes:
        name: what it is, in a few words.
        args: the arguments, in the order in which a call takes them.
        rhs: the exact right-hand side.
        domain: where it holds, as an inequality or a condition in the arguments.
        reference: where it is from.

    Calling it evaluates in floating point (float64 for numpy input); `certified` gives a ball.

    Examples:
        >>> t = sympy.Symbol("t", real=True)
        >>> square = Formula("square", (t,), t**2)
        >>> float(square(3.0)), square.certified(sympy.Rational(1, 3), digits=5).str(5)
        (9.0, '[0.11111 +/- 1.12e-6]')
    """

    name: str
    args: tuple[sympy.Symbol, ...]
    rhs: sympy.Expr
    domain: sympy.Basic = field(default=sympy.true)
    reference: str = ""

    def __post_init__(self) -> None:
        free = self.rhs.free_symbols - set(self.args)
        if free:
            raise ValueError(f"rhs has symbols {sorted(map(str, free))} that args do not name")

    def __call__(self, *values: Any) -> Any:
        """Evaluate elementwise on real numbers or arrays that broadcast.

        What rounding puts just outside the domain counts as its boundary.

        Raises:
            ValueError: if a value is outside the domain, where the formula is not a real number.
                Inside jax transformations, where values are not known, the result is NaN instead
                if it is not real.
        """
        self._check_count(values)
        arrays = tuple(map(real_array, map(str, self.args), values))
        if is_concrete(*arrays) and not domains.holds(self.domain, self.args, arrays):
            raise ValueError(self._outside(values))
        result = _evaluate(self._on_arrays(), *arrays)
        if is_concrete(result) and np.isnan(np.asarray(result)).any():
            raise ValueError(self._outside(values))
        return result

    def _on_arrays(self) -> Callable[..., Any]:
        """The formula as a function of arrays; cosines are clipped to where rounding put them."""
        function = lower.to_jax(self.args, self.rhs)
        if self.domain not in [sympy.Abs(argument) <= 1 for argument in self.args[:1]]:
            return function
        return lambda cosine, *others: function(inside(cosine), *others)

    def certified(self, *values: Any, digits: int = 30) -> arb:
        """A ball that contains the value at exact numbers (rationals, floats, balls).

        The ball is narrower than it prints: `.str(30)` shows 30 digits.

        Args:
            values: of the arguments, in their order.
            digits: at least 1.

        Raises:
            ValueError: if the values are outside the domain.
            PrecisionError: if cancellation takes more than 600 digits, as at huge variances.
        """
        self._check_count(values)
        digits = check.integer("digits", digits, minimum=1)
        exact = None
        if not any(isinstance(value, arb) for value in values):
            exact = dict(zip(self.args, map(lower.exact, map(str, self.args), values), strict=True))
            if not self._holds_at(exact):
                raise ValueError(self._outside(values))
        ball = self._enclosed(values, digits + 10) if exact is None else self._sharp(exact, digits)
        if ball.is_nan():
            raise ValueError(self._outside(values))
        return ball

    def _sharp(self, point: dict[sympy.Symbol, Any], digits: int) -> arb:
        """The ball at exact numbers, by as many digits as cancellation takes."""
        working = digits + 10
        while True:
            ball = self._enclosed(tuple(point.values()), working)
            if ball.is_nan():
                with ctx.workdps(working):
                    ball = self._at_exact(point)
            lost = _lost_digits(ball, digits)
            if lost <= 0:
                return ball
            if working == MOST_DIGITS:
                raise PrecisionError(
                    f"{self.name} at {tuple(point.values())} is not enclosed to {digits} digits "
                    f"with {MOST_DIGITS} digits: exponentials far apart cancel there"
                )
            working = min(MOST_DIGITS, 2 * working + lost)

    def _enclosed(self, values: tuple[Any, ...], working: int) -> arb:
        with ctx.workdps(working):
            balls = [
                _ball(argument, value) for argument, value in zip(self.args, values, strict=True)
            ]
            rhs = self._branch(dict(zip(self.args, values, strict=True)))
            return arb(1) * lower.to_balls(self.args, rhs)(*balls)

    def _branch(self, point: dict[sympy.Symbol, Any]) -> Any:
        """The right-hand side, or the branch of it that holds at exact numbers."""
        if not isinstance(self.rhs, sympy.Piecewise) or any(
            isinstance(value, arb) for value in point.values()
        ):
            return self.rhs
        exact = {symbol: lower.exact(str(symbol), value) for symbol, value in point.items()}
        branches: Any = self.rhs.args
        return next(rhs for rhs, holds in branches if holds.subs(exact) == sympy.true)

    def _holds_at(self, point: dict[sympy.Symbol, Any]) -> bool:
        """Whether exact numbers are in the domain; outside an expression may still have a value."""
        domain: Any = self.domain
        negative = any(symbol.is_positive and value < 0 for symbol, value in point.items())
        return not negative and domain.subs(point, simultaneous=True) != sympy.false

    def _at_exact(self, point: dict[sympy.Symbol, Any]) -> arb:
        """Put exact numbers in first: at an end of the domain, roots then cancel."""
        rhs: Any = self.rhs
        rhs = rhs.subs(point, simultaneous=True)
        undefined = rhs.has(sympy.nan, sympy.zoo, sympy.I)
        return arb("nan") if undefined else lower.to_ball(rhs)

    def _outside(self, values: tuple[Any, ...]) -> str:
        arguments = ", ".join(map(str, self.args))
        return (
            f"{self.name} is not a real number at ({arguments}) = {values}; it holds for "
            f"{self.domain}, and has no finite form where a variance is zero"
        )

    def diff(self, argument: sympy.Symbol, order: int = 1) -> "Formula":
        """The exact derivative with respect to one argument.

        Args:
            argument: one of `args`.
            order: of the derivative, at least 1.

        Raises:
            TypeError, ValueError: if it is none of the arguments, or the order is no such integer.
        """
        order = check.integer("order", order, minimum=1)
        self._check_known("argument", [argument])
        name = f"d^{order}/d{argument}^{order} of {self.name}"
        derivative = sympy.diff(self.rhs, argument, order)
        return Formula(name, self.args, derivative, self.domain, self.reference)

    def substitute(self, values: dict[sympy.Symbol, Any]) -> "Formula":
        """The formula with some arguments replaced by exact values.

        Args:
            values: the values, by argument.

        Raises:
            TypeError, ValueError: if it is no mapping, or one of its keys is no argument.
        """
        if not isinstance(values, Mapping):
            raise TypeError(f"values must be a mapping {{argument: value}}, got {values!r}")
        self._check_known("values", values)
        kept = tuple(argument for argument in self.args if argument not in values)
        rhs: Any = self.rhs
        domain: Any = self.domain
        return Formula(self.name, kept, rhs.subs(values), domain.subs(values), self.reference)

    @property
    def latex(self) -> str:
        """The right-hand side in LaTeX."""
        return latex(self.rhs)

    def __str__(self) -> str:
        return f"{self.name}{_listed(map(str, self.args))} = {self.rhs}"

    def _repr_latex_(self) -> str:
        arguments = _listed(map(latex, self.args))
        return rf"$\displaystyle \text{{{self.name}}}{arguments} = {self.latex}$"

    def _check_known(self, name: str, given: Iterable[Any]) -> None:
        unknown = [argument for argument in given if argument not in self.args]
        if unknown:
            raise ValueError(
                f"{name} must be of the arguments {', '.join(map(str, self.args))} of {self.name}, "
                f"as sympy symbols, got {', '.join(map(repr, unknown))}"
            )

    def _check_count(self, values: tuple[Any, ...]) -> None:
        if len(values) != len(self.args):
            names = ", ".join(map(str, self.args))
            raise TypeError(f"{self.name} takes {len(self.args)} values ({names}), got {values!r}")


def _listed(arguments: Iterable[str]) -> str:
    """The arguments in brackets; nothing of a number, which has none."""
    listed = ", ".join(arguments)
    return f"({listed})" if listed else ""


def _lost_digits(ball: arb, digits: int) -> int:
    """By how many digits a ball misses its accuracy: relative, or absolute around zero."""
    if ball.is_nan() or ball.is_exact():
        return 0
    size = ball.abs_upper() if not ball.contains(0) else arb(1)
    return math.ceil(float((ball.rad() / size).log() / arb(10).log()) + digits)


@float64_policy
def _evaluate(function: Any, *values: Any) -> Any:
    return jnp.asarray(function(*(jnp.asarray(value) for value in values)))


def _ball(argument: sympy.Symbol, value: Any) -> arb:
    if isinstance(value, arb):
        return value
    return lower.to_ball(lower.exact(str(argument), value))
