r"""The functions of `core.normal` on arrays, with exact derivatives and relative accuracy.

The corner's measure as in `core.normal_balls`. Near the origin F is Owen's T; away from it

.. math:: F(x, g) = \frac{e^{-(x^2 + g^2)/2}}{2\pi} \int_0^\infty e^{-gw - w^2/2}
          \frac{x\,dw}{x^2 + (g + w)^2}, \qquad g \ge 0,

holds the tail's relative accuracy. Both by fixed Gauss-Legendre rules.

Each function f(..., s) is :math:`e^s f(\dots)`, where the exponential may overflow while the
product does not; without s it is f.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import erf, log_ndtr, ndtr

NEAR = 1.5
_FAR_NODES, _FAR_WEIGHTS = np.polynomial.legendre.leggauss(32)
_NEAR_NODES, _NEAR_WEIGHTS = np.polynomial.legendre.leggauss(16)
_FAR = ((_FAR_NODES + 1) / 2, _FAR_WEIGHTS / 2)
_NEAR = ((_NEAR_NODES + 1) / 2, _NEAR_WEIGHTS / 2)
# A distance that counts as infinite, small enough to be squared in float32.
_INFINITE = 1e15
# Of the asymptotic series of log Phi, which is used below -20 in float64 and -10 in float32.
_ORDER = 10


def log_sum(*exponents: Any) -> Any:
    """log(exp(a) + exp(b) + ...)."""
    return functools.reduce(jnp.logaddexp, exponents)


def normal_cdf(h: Any, s: Any = None) -> Any:
    """The distribution function of a standard Gaussian."""
    h = jnp.asarray(h, jnp.result_type(h, float))
    return ndtr(h) if s is None else jnp.exp(s + log_ndtr(h, _ORDER))


def _scaled(value: Any, s: Any) -> Any:
    """exp(s) times a value, zero where the value is."""
    return value if s is None else jnp.where(value == 0, 0, jnp.exp(s) * value)


def _exp(exponent: Any, s: Any) -> Any:
    return jnp.exp(exponent if s is None else s + exponent)


def _gap(h: Any, k: Any) -> Any:
    """h - k, zero where only rounding tells the two apart: compiled code may round them apart."""
    gap = h - k
    rounding = 8 * jnp.finfo(jnp.result_type(gap, float)).eps
    return jnp.where(jnp.abs(gap) <= rounding * (jnp.abs(h) + jnp.abs(k)), 0, gap)


def _distance(h: Any, k: Any, rho: Any) -> Any:
    """(k - rho h)/sqrt(1 - rho^2) without cancellation at rho = 1 or -1; 0/0 counts as 0."""
    sign = jnp.where(rho < 0, -1.0, 1.0).astype(jnp.result_type(rho))
    h, rho = sign * h, sign * rho
    gap, square = _gap(k, h), (1 - rho) * (1 + rho)
    root = jnp.sqrt(jnp.where(square > 0, square, 1))
    scaled = h * jnp.sqrt(jnp.maximum(1 - rho, 0) / (1 + rho))
    at_end = jnp.sign(gap) * _INFINITE
    inside = jnp.clip(gap / root + scaled, -_INFINITE, _INFINITE)
    return jnp.where(square > 0, inside, at_end)


def _conditional(h: Any, k: Any, rho: Any, s: Any = None) -> Any:
    return normal_cdf(_distance(h, k, rho), s)


def _exponential(h: Any, k: Any, rho: Any, s: Any = None) -> Any:
    """exp(-(h - k)^2/(2 (1 - rho^2)) - h k/(1 + rho)), and its mirror image for rho < 0."""
    sign = jnp.where(rho < 0, -1.0, 1.0).astype(jnp.result_type(rho))
    k, rho = sign * k, sign * rho
    gap, square = _gap(h, k), (1 - rho) * (1 + rho)
    spread = gap * gap / jnp.where(square > 0, 2 * square, 1)
    spread = jnp.where(square > 0, spread, jnp.where(gap == 0, 0.0, jnp.inf))
    return _exp(-spread - h * k / (1 + rho), s)


def _corner(h: Any, k: Any, rho: Any, s: Any = None) -> Any:
    x, y = -h, -k
    inside = jnp.where((x < 0) & (y < 0), 1.0, 0.0).astype(jnp.result_type(x))
    # Both sides at once: one piece of code to compile instead of two.
    distances = jnp.stack([-_distance(h, k, rho), -_distance(k, h, rho)])
    total = _scaled(inside, s) + jnp.sum(_side(jnp.stack([x, y]), distances, s), axis=0)
    # At the origin both sides vanish, and the angle of the corner is left (Sheppard 1899).
    origin = _scaled(0.25 + jnp.arcsin(jnp.clip(rho, -1, 1)) / (2 * jnp.pi), s)
    # Rounding may leave a measure outside [0, 1] by its own size.
    return jnp.where((h == 0) & (k == 0), origin, jnp.clip(total, 0, _scaled(1.0, s)))


def _side(x: Any, g: Any, s: Any) -> Any:
    """F(x, g): odd in x, and completed by the whole line where g < 0."""
    sign = jnp.where(x < 0, -1.0, 1.0).astype(jnp.result_type(x))
    size, distance = jnp.abs(x), jnp.abs(g)
    near = size * size + distance * distance < NEAR * NEAR
    value = jnp.where(near, _scaled(_near(size, distance), s), _far(size, distance, s))
    return sign * jnp.where(g < 0, normal_cdf(-size, s) - value, value)


def _near(x: Any, g: Any) -> Any:
    """By Owen's T of a slope in [0, 1]."""
    larger, smaller = jnp.maximum(x, g), jnp.minimum(x, g)
    a = smaller / jnp.where(larger > 0, larger, 1)
    square = larger * larger / 2

    def integrand(u: Any) -> Any:
        spread = 1 + (a * u) ** 2
        return jnp.exp(-square * spread) / spread

    owen = a * _rule(integrand, _NEAR, a) / (2 * jnp.pi)
    return jnp.where(g <= x, ndtr(-x) / 2 - owen, owen - ndtr(-g) * (0.5 - ndtr(-x)))


def _far(x: Any, g: Any, s: Any) -> Any:
    """By the scaled integral, up to where its weight is below rounding; w = W v^2."""
    reach = 80 / (g + jnp.sqrt(g * g + 80))

    def integrand(v: Any) -> Any:
        w = reach * v * v
        return 2 * v * jnp.exp(-w * (g + w / 2)) / (x * x + (g + w) ** 2)

    value = x * reach * _rule(integrand, _FAR, x) / (2 * jnp.pi)
    return _exp(-(x * x + g * g) / 2, s) * value


def _rule(integrand: Any, rule: Any, like: Any) -> Any:
    """A quadrature rule as a loop: unrolled, a deep kernel would take minutes to compile."""
    nodes, weights = (jnp.asarray(part, like.dtype) for part in rule)

    def add(n: Any, total: Any) -> Any:
        return total + weights[n] * integrand(nodes[n])

    return jax.lax.fori_loop(0, nodes.size, add, jnp.zeros_like(like))


def _with_gradient(function: Any, gradient: Any) -> Any:
    """A function of arrays (h, k, rho), or also s, whose partial derivatives are given.

    Infinite ones count as 0.
    """

    def evaluate(*arguments: Any) -> Any:
        # Levels may be plain integers, which have no tangents: all become arrays first.
        dtype = jnp.result_type(*arguments, float)
        return differentiable(*jnp.broadcast_arrays(*(jnp.asarray(a, dtype) for a in arguments)))

    def derive(primals: Any, tangents: Any) -> Any:
        value = differentiable(*primals)
        slopes = (*gradient(*primals), value)[: len(primals)]
        change = sum(
            jnp.where(jnp.isfinite(slope), slope, 0) * tangent
            for slope, tangent in zip(slopes, tangents, strict=True)
        )
        return value, change

    # jax would fill a default in and take it for an argument.
    differentiable = jax.custom_jvp(lambda *arguments: function(*arguments))
    differentiable.defjvp(derive)
    return evaluate


def _density(h: Any, s: Any = None) -> Any:
    return _exp(-h * h / 2, s) / np.sqrt(2 * np.pi)


def _corner_gradient(h: Any, k: Any, rho: Any, s: Any = None) -> Any:
    by_rho = _exponential(h, k, rho, s) / (2 * np.pi * jnp.sqrt((1 - rho) * (1 + rho)))
    by_h = _density(h, s) * _conditional(h, k, rho)
    by_k = _density(k, s) * _conditional(k, h, rho)
    return by_h, by_k, by_rho


def _conditional_gradient(h: Any, k: Any, rho: Any, s: Any = None) -> Any:
    root = jnp.sqrt((1 - rho) * (1 + rho))
    unit = _density(_distance(h, k, rho), s)
    return -rho / root * unit, unit / root, (rho * k - h) / root**3 * unit


def _exponential_gradient(h: Any, k: Any, rho: Any, s: Any = None) -> Any:
    square = (1 - rho) * (1 + rho)
    value = _exponential(h, k, rho, s)
    by_rho = value * (h * k * (1 + rho * rho) - rho * (h * h + k * k)) / square**2
    return value * (rho * k - h) / square, value * (rho * h - k) / square, by_rho


bivariate_normal_cdf = _with_gradient(_corner, _corner_gradient)
conditional_normal_cdf = _with_gradient(_conditional, _conditional_gradient)
bivariate_exponential = _with_gradient(_exponential, _exponential_gradient)

__all__ = [
    "bivariate_exponential",
    "bivariate_normal_cdf",
    "conditional_normal_cdf",
    "erf",
    "log_sum",
    "normal_cdf",
]
