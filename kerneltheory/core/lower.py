"""The only translation between arithmetics: exact sympy expressions to balls and to arrays.

An expression is translated once and kept in a cache, so the same expression always gives the
same function (jax then compiles it once). What has no counterpart is refused here, at
translation, and not when the function is first called.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
import sympy
from flint import acb, arb, arb_series, fmpq

from kerneltheory.core import normal_arrays, normal_balls, special_balls, switches
from kerneltheory.core.errors import LoweringError
from kerneltheory.core.exponents import combine

# The functions that both translations know. sympy's jax printer would print others and fail
# only when they are called.
NUMERIC_FUNCTIONS = frozenset(
    {"sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh"}
    | {"exp", "log", "erf"}
)
# The functions of `core.normal`, in both arithmetics.
_NORMAL = {
    "NormalCDF": (normal_arrays.normal_cdf, normal_balls.normal_cdf),
    "BivariateNormalCDF": (normal_arrays.bivariate_normal_cdf, normal_balls.bivariate_normal_cdf),
    "ConditionalNormalCDF": (
        normal_arrays.conditional_normal_cdf,
        normal_balls.conditional_normal_cdf,
    ),
    "BivariateExponential": (
        normal_arrays.bivariate_exponential,
        normal_balls.bivariate_exponential,
    ),
}
_ON_BALLS = special_balls.SPECIAL | switches.ON_BALLS
KNOWN_FUNCTIONS = NUMERIC_FUNCTIONS | set(_NORMAL) | {"Max", "Min", "Heaviside"}


def exact(name: str, value: Any) -> Any:
    """Return a parameter as the exact rational number that it is; floats are not rounded.

    Examples:
        >>> exact("weight_variance", 2), exact("weight_variance", 0.5)
        (2, 1/2)
    """
    if isinstance(value, sympy.Rational):
        return value
    if isinstance(value, sympy.Float):
        return sympy.Rational(value)
    if isinstance(value, sympy.Expr) and value.is_number and value.is_real:
        raise TypeError(
            f"{name} must be an int, a float, a Fraction or a rational of sympy, got {value}; "
            f"float({value}) is the nearest float"
        )
    try:
        if isinstance(value, str | bool):
            raise TypeError
        # A numpy scalar, or an array of one number and no axes.
        scalar = isinstance(value, np.generic) or (isinstance(value, np.ndarray) and not value.ndim)
        number: Any = value.item() if scalar else value  # pyright: ignore
        fraction = Fraction(number)
    except (TypeError, ValueError, OverflowError):
        raise TypeError(f"{name} must be a finite real number, got {value!r}") from None
    return sympy.Rational(fraction.numerator, fraction.denominator)


def to_fmpq(value: Any) -> fmpq:
    """The flint rational equal to an exact number."""
    if isinstance(value, sympy.Rational):
        return fmpq(int(value.p), int(value.q))
    fraction = Fraction(value)
    return fmpq(fraction.numerator, fraction.denominator)


def to_ball(value: Any) -> arb:
    """The ball around an exact number, rational or not, at flint's precision."""
    if isinstance(value, sympy.Expr) and not value.is_Rational:
        return arb(1) * to_balls((), value)()
    return arb(to_fmpq(value))


# --- exact -> numeric -------------------------------------------------------------------------


@functools.lru_cache(maxsize=4096)
def to_jax(args: tuple[sympy.Symbol, ...], rhs: sympy.Expr) -> Callable[..., Any]:
    """A function of arrays, made of jax.numpy calls, that evaluates `rhs` elementwise."""
    for node in sympy.preorder_traversal(rhs):
        if isinstance(node, sympy.Piecewise):
            continue
        if isinstance(node, sympy.Function) and type(node).__name__ not in KNOWN_FUNCTIONS:
            raise LoweringError(
                f"{type(node).__name__} has no numeric form; known are "
                f"{', '.join(sorted(NUMERIC_FUNCTIONS))}"
            )
    _check_symbols(args, rhs)
    rhs = switches.for_arrays(_spread(combine(rhs)))
    on_arrays = {name: function for name, (function, _) in _NORMAL.items()} | switches.ON_ARRAYS
    on_arrays["erf"] = normal_arrays.erf  # sympy would print the scalar one of `math`
    on_arrays["LogSum"] = normal_arrays.log_sum
    # Integers beyond 2^53 do not enter jax; what they stand for there is a double anyway.
    large = {r: sympy.Float(r, 20) for r in rhs.atoms(sympy.Rational) if _is_large(r)}
    return sympy.lambdify(args, rhs.xreplace(large), modules=[on_arrays, "jax"], cse=True)


def _is_large(number: Any) -> bool:
    return number.is_Rational and max(abs(number.p), number.q) > 2**53


def _spread(rhs: Any) -> Any:
    """Multiply large fractions into sums: n (a + b)/m may overflow float32 where n a/m does not."""

    def into_sum(product: Any) -> Any:
        total = next(f for f in product.args if isinstance(f, sympy.Add))
        number = product.args[0]
        return sympy.Add(*(number * term for term in total.args)) * (product / number / total)

    return rhs.replace(
        lambda node: (
            isinstance(node, sympy.Mul)
            and _is_large(node.args[0])
            and any(isinstance(f, sympy.Add) for f in node.args)
        ),
        into_sum,
    )


# --- exact -> certified -----------------------------------------------------------------------


def entry_by_entry(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function of balls as a function of arrays of balls, too, which numpy knows as objects."""

    def wrapper(*values: Any) -> Any:
        if any(isinstance(value, np.ndarray) for value in values):
            return np.frompyfunc(function, len(values), 1)(*values)
        return function(*values)

    return wrapper


@functools.lru_cache(maxsize=4096)
def to_balls(
    args: tuple[sympy.Symbol, ...], rhs: sympy.Expr | tuple[sympy.Expr, ...]
) -> Callable[..., Any]:
    """A function of real balls, complex balls or ball power series that encloses `rhs`.

    Several expressions make one function with a tuple of values, which share what they have in
    common. On complex balls the result is an enclosure of an analytic function or not finite: a
    ball that meets a branch cut gives NaN. Precision is flint's current one. Arrays of balls, of
    dtype object, are taken entry by entry; what depends on other arguments only is computed once.
    """
    together = rhs if isinstance(rhs, tuple) else (rhs,)
    for part in together:
        _check_symbols(args, part)
    separated = [special_balls.separate_reciprocals(part) for part in together]
    replacements, reduced = sympy.cse(separated, symbols=sympy.numbered_symbols("_t"))
    namespace: dict[str, Any] = {
        "_power": entry_by_entry(_power),
        "_root": entry_by_entry(_root),
        "_inverse_root": entry_by_entry(_inverse_root),
        "_constant": _constant,
        "_fmpq": fmpq,
    }
    emitter = _Emitter({symbol: f"_a{i}" for i, symbol in enumerate(args)}, namespace)
    for symbol, value in replacements:
        emitter.names[symbol] = emitter.line(emitter.emit(value))
    results = [emitter.emit(part) for part in reduced]
    result = f"({', '.join(results)})" if isinstance(rhs, tuple) else results[0]
    header = f"def _enclosure({', '.join(f'_a{i}' for i in range(len(args)))}):"
    source = "\n".join([header, *emitter.lines, f"    return {result}"])
    exec(source, namespace)
    return namespace["_enclosure"]


@dataclass
class _Emitter:
    """Writes Python source for expressions; constants stay exact until the call.

    Attributes:
        names: of the nodes that are known.
        namespace: what the source calls.
        lines: of the source, each an assignment to a name.
    """

    names: dict[Any, str]
    namespace: dict[str, Any]
    lines: list[str] = field(default_factory=list)

    def line(self, source: str) -> str:
        """Assign the value of an expression to a new name."""
        name = f"_c{len(self.lines)}"
        self.lines.append(f"    {name} = {source}")
        return name

    def call(self, name: str, function: Callable[..., Any], arguments: Sequence[str]) -> str:
        """Source for a function of balls, which the source then knows by its name."""
        self.namespace[f"_{name}"] = entry_by_entry(function)
        return f"_{name}({', '.join(arguments)})"

    def root(self, name: str, base: Any) -> str:
        """The name of a node's square root or its inverse, taken once for all its powers."""
        key = (name, base)
        if key not in self.names:
            self.names[key] = self.line(f"_{name}({self.emit(base)})")
        return self.names[key]

    def emit(self, node: Any) -> str:
        """Source for one node."""
        if node in self.names:
            return self.names[node]
        if isinstance(node, sympy.Rational):
            return f"_fmpq({hex(node.p)}, {hex(node.q)})"  # str() refuses thousands of digits
        if isinstance(node, sympy.NumberSymbol):
            if node is not sympy.pi and node is not sympy.E:
                raise LoweringError(
                    f"the constant {node} has no ball form here; known are pi and E"
                )
            return f"_constant({str(node)!r})"
        if isinstance(node, sympy.Float):
            raise LoweringError(f"{node} is a rounded number; formulas hold exact constants only")
        if isinstance(node, sympy.hyper):
            above = len(node.ap)
            parts = [self.emit(part) for part in (*node.ap, *node.bq, node.argument)]
            return self.call(f"hyper_{above}", functools.partial(_hypergeometric, above), parts)
        exponent: Any = node.exp if isinstance(node, sympy.Pow) else None
        if isinstance(exponent, sympy.Rational) and exponent.q == 2:
            name = "root" if exponent > 0 else "inverse_root"
            return f"_power({self.root(name, node.base)}, {abs(exponent.p)}, 1)"
        parts = [self.emit(argument) for argument in node.args]
        if isinstance(node, sympy.Add):
            return f"({' + '.join(parts)})"
        if isinstance(node, sympy.Mul):
            return f"({' * '.join(parts)})"
        if isinstance(exponent, sympy.Rational):
            return f"_power({parts[0]}, {exponent.p}, {exponent.q})"
        if isinstance(node, sympy.Pow):
            general_power = functools.partial(_normal, special_balls.general_power)
            return self.call("general_power", general_power, parts)
        name = type(node).__name__
        if name in NUMERIC_FUNCTIONS:
            return self.call(name, functools.partial(_function, name), parts)
        if name in _NORMAL:
            return self.call(name, functools.partial(_normal, _NORMAL[name][1]), parts)
        if name in _ON_BALLS:
            return self.call(name, functools.partial(_normal, _ON_BALLS[name]), parts)
        raise LoweringError(
            f"{node} has no ball form; known functions are {sorted(NUMERIC_FUNCTIONS)}"
        )


def _constant(name: str) -> arb:
    return arb.pi() if name == "pi" else arb(1).exp()


def _power(base: Any, numerator: int, denominator: int) -> Any:
    """Base ** (numerator/denominator), analytic on complex balls."""
    if isinstance(base, fmpq):
        base = arb(base)
    if denominator == 1:
        result = _whole_power(base, abs(numerator))
    elif isinstance(base, arb) and base.is_zero() and numerator > 0:
        return base
    else:
        result = (_function("log", base) * fmpq(abs(numerator), denominator)).exp()
    if numerator > 0:
        return result
    return arb_series([1]) / result if isinstance(result, arb_series) else 1 / result


def _whole_power(base: Any, exponent: int) -> Any:
    """Base ** exponent for exponent > 0.

    By products: powers of real balls and of their series are NaN in python-flint where the ball
    holds zero.
    """
    if exponent == 1:
        return base
    if isinstance(base, acb):
        return base**exponent
    half = _whole_power(base, exponent // 2)
    return half * half * base if exponent % 2 else half * half


def _root(base: Any) -> Any:
    return square_root(arb(base) if isinstance(base, fmpq) else base)


def _inverse_root(base: Any) -> Any:
    if isinstance(base, arb_series):
        return base.rsqrt()
    return 1 / _root(base)


def square_root(value: Any) -> Any:
    """Square root; NaN on a complex ball that meets the branch cut."""
    return value.sqrt(analytic=True) if isinstance(value, acb) else value.sqrt()


def _function(name: str, value: Any) -> Any:
    if isinstance(value, fmpq):
        value = arb(value)
    if isinstance(value, acb):
        if name == "log":
            return value.log(analytic=True)
        # asin and acos are cut along the reals beyond -1 and 1, where 1 - z^2 is negative; atan
        # and asinh along the imaginary axis beyond -i and i, where 1 + z^2 is.
        signs = {"asin": -1, "acos": -1, "atan": 1, "asinh": 1}
        square = signs[name] * value * value if name in signs else None
        if square is not None and not (1 + square).sqrt(analytic=True).is_finite():
            return acb("nan")
    if isinstance(value, arb_series) and name in ("sinh", "cosh", "tanh"):
        up, down = value.exp(), (-value).exp()
        odd, even = (up - down) / 2, (up + down) / 2
        return {"sinh": odd, "cosh": even, "tanh": odd / even}[name]
    if isinstance(value, arb_series) and name == "asinh":
        return value[0].asinh() + (value.derivative() / (1 + value * value).sqrt()).integral()
    return getattr(value, name)()


def _normal(function: Callable[..., Any], *values: Any) -> Any:
    return function(*(arb(v) if isinstance(v, fmpq) else v for v in values))


def _hypergeometric(above: int, *values: Any) -> Any:
    """Of so many upper parameters, then the lower ones, then the argument."""
    *parameters, x = (arb(v) if isinstance(v, fmpq) else v for v in values)
    return special_balls.hypergeometric(parameters[:above], parameters[above:], x)


def _check_symbols(args: Sequence[sympy.Symbol], rhs: sympy.Expr) -> None:
    free = rhs.free_symbols - set(args)
    if free:
        raise LoweringError(
            f"the expression has free symbols {sorted(map(str, free))} besides its arguments "
            f"{[str(a) for a in args]}; substitute numbers for them first"
        )


# --- certified -> numeric ---------------------------------------------------------------------


def to_float(ball: arb) -> float:
    """The float64 nearest to a ball's midpoint."""
    return float(ball.mid())


def ball_to_integers(ball: arb) -> tuple[tuple[int, int], tuple[int, int]]:
    """Mantissas and binary exponents of midpoint and radius, exactly: a ball does not pickle."""
    (m, e), (r, f) = ball.mid().man_exp(), ball.rad().man_exp()
    return (int(m), int(e)), (int(r), int(f))


def ball_from_integers(integers: tuple[tuple[int, int], tuple[int, int]]) -> arb:
    """The ball that `ball_to_integers` took apart."""
    return arb(*integers)


def relative_radius(ball: arb) -> float:
    """Radius over the smallest magnitude in the ball, zero for an exact zero."""
    if ball.is_zero():
        return 0.0
    lower = ball.abs_lower()
    return float((ball.rad() / lower).upper()) if lower > 0 else float("inf")
