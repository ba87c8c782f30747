r"""Balls around the functions of `core.normal`.

With x = -h, y = -k, :math:`\Phi_2(h, k; \rho) = P(X > x, Y > y)` is the measure of a corner. Seen
from the origin it is a sum over its two sides (Owen, Ann. Math. Stat. 27 (1956)),

.. math:: \Phi_2 = [x < 0, y < 0] + F(x, (y - \rho x)/s) + F(y, (x - \rho y)/s),
          \qquad F(x, g) = \frac1{2\pi} \int_g^\infty \frac{x\,e^{-(x^2 + w^2)/2}}{x^2 + w^2}\,dw,

and F is Owen's T up to normal distributions, an integral over [0, a] with |a| <= 1.
"""

import functools
from typing import Any

from flint import acb, arb, arb_series, ctx

from kerneltheory.core.enclose import integrate


def normal_cdf(h: Any) -> Any:
    """The distribution function, by erfc, which keeps the lower tail's relative accuracy."""
    root = arb(2).sqrt()
    return (-h / root).erfc() / 2


def bivariate_exponential(h: Any, k: Any, rho: Any) -> Any:
    """exp(-(h^2 - 2 rho h k + k^2)/(2 (1 - rho^2))), in a form that is sharp near rho = 1, -1."""
    if float(_middle(rho).real) < 0:
        k, rho = -k, -rho
    gap = h - k
    exponent = h * k / (1 + rho)
    square = (1 - rho) * (1 + rho)
    if not (isinstance(gap, arb) and gap.is_zero()):
        exponent = exponent + gap * gap / (2 * square)
    return (-exponent).exp()


def conditional_normal_cdf(h: Any, k: Any, rho: Any) -> Any:
    """Phi((k - rho h) / sqrt(1 - rho^2)), sharp near rho = 1 and -1."""
    return normal_cdf(_distance(h, k, rho))


def _distance(h: Any, k: Any, rho: Any) -> Any:
    """(k - rho h)/sqrt(1 - rho^2) = ((k - h) + (1 - rho) h)/sqrt(1 - rho^2)."""
    if float(_middle(rho).real) < 0:
        return _distance(-h, k, -rho)
    gap, root = k - h, _root((1 - rho) * (1 + rho))
    scaled = h * _root((1 - rho) / (1 + rho))
    return scaled if isinstance(gap, arb) and gap.is_zero() else gap / root + scaled


def _root(value: Any) -> Any:
    return value.sqrt(analytic=True) if isinstance(value, acb) else value.sqrt()


def _middle(value: Any) -> Any:
    """A point in the middle, real or complex; of a series, its constant term's."""
    if isinstance(value, arb_series):
        value = value[0] if len(value) else arb(0)
    value = value if isinstance(value, acb) else acb(value)
    return value.mid()


def bivariate_normal_cdf(h: Any, k: Any, rho: Any) -> Any:
    """Ball, complex ball or series around P(X <= h, Y <= k)."""
    arguments = (h, k, rho)
    if any(isinstance(a, arb_series) for a in arguments):
        return _series(*(a if isinstance(a, arb_series) else arb_series([a]) for a in arguments))
    if any(isinstance(a, acb) for a in arguments):
        return _complex(*(acb(a) for a in arguments))
    return _real(*(arb(a) for a in arguments))


# --- real balls -------------------------------------------------------------------------------


def _real(h: arb, k: arb, rho: arb) -> arb:
    """The value at the midpoints and, for balls that are not points, the mean value form."""
    value = _at_point(*(a.mid() for a in (h, k, rho)))
    if all(a.is_exact() for a in (h, k, rho)):
        return value
    slopes = _gradient(h, k, rho)
    return value + sum(
        (slope * (a - a.mid()) for slope, a in zip(slopes, (h, k, rho), strict=True)), arb(0)
    )


def _at_point(h: arb, k: arb, rho: arb) -> arb:
    if h.is_zero() and k.is_zero():
        return arb(1) / 4 + rho.asin() / (2 * arb.pi())
    x, y = -h, -k
    inside = x.mid() < 0 and y.mid() < 0
    return inside + _side(x, -_distance(h, k, rho)) + _side(y, -_distance(k, h, rho))


def _side(x: arb, g: arb) -> arb:
    """F(x, g), odd in x; across g = 0 it is completed by the whole line."""
    if x.mid() < 0:
        return -_side(-x, g)
    if g.mid() < 0:
        return normal_cdf(-x) - _side(x, -g)
    if g.mid() <= x.mid():
        return normal_cdf(-x) / 2 - _owens_t(x, g / x)
    return _owens_t(g, x / g) - normal_cdf(-g) * (arb(1) / 2 - normal_cdf(-x))


def _owens_t(h: arb, a: arb) -> arb:
    r""":math:`T(h, a) = \frac1{2\pi}\int_0^a e^{-h^2(1 + w^2)/2}/(1 + w^2)\,dw`, 0 <= a <= 1."""
    if a.is_zero() or not (a.is_finite() and h.is_finite()):
        return arb(0) if a.is_zero() else arb("nan")
    square = h * h / 2
    if square > 8 * ctx.prec + 2000:
        # Far below all that it is added to: 0 <= T <= a exp(-h^2/2)/(2 pi) says enough.
        return arb(0).union(a * (-square).exp())
    (value,) = integrate(
        lambda w: [(-square * (1 + w * w)).exp() / (1 + w * w)],
        functools.partial(_owens_bound, square),
        arb(0),
        a,
        arb(2) ** (-ctx.prec) * (-square).exp().abs_upper(),
    )
    return value / (2 * arb.pi())


def _owens_bound(square: arb, w: acb) -> arb:
    denominator = 1 + w * w
    value = (-square * denominator).exp() / denominator
    return arb(value.abs_upper()) if value.is_finite() else arb("inf")


# --- complex balls and series: from a real point, along the gradient --------------------------


def _gradient(h: Any, k: Any, rho: Any) -> tuple[Any, Any, Any]:
    """The partial derivatives in h, k and rho, which are elementary."""
    scale = 1 / (2 * arb.pi()).sqrt()
    by_h = (-h * h / 2).exp() * scale * conditional_normal_cdf(h, k, rho)
    by_k = (-k * k / 2).exp() * scale * conditional_normal_cdf(k, h, rho)
    root = _root((1 - rho) * (1 + rho))
    by_rho = bivariate_exponential(h, k, rho) / (2 * arb.pi())
    inverse = arb_series([1]) / root if isinstance(root, arb_series) else 1 / root
    return by_h, by_k, by_rho * inverse


def _series(h: arb_series, k: arb_series, rho: arb_series) -> arb_series:
    middle = _real(*(s[0] for s in (h, k, rho)))
    slopes = _gradient(h, k, rho)
    total = arb_series([0])
    for slope, argument in zip(slopes, (h, k, rho), strict=True):
        total = total + slope * argument.derivative()
    return total.integral() + middle


def _complex(h: acb, k: acb, rho: acb) -> acb:
    """The mean value form around the midpoint; there, the gradient along a line from the reals."""
    start = [a.mid().real for a in (h, k, rho)]
    step = [a.mid() - s for a, s in zip((h, k, rho), start, strict=True)]

    def along(z: acb, _: Any) -> acb:
        slopes = _gradient(*(s + z * d for s, d in zip(start, step, strict=True)))
        return sum((a * d for a, d in zip(slopes, step, strict=True)), acb(0))

    value = acb(_real(*start))
    if not value.is_finite():  # nothing to continue: an integral would be divided for long
        return acb("nan")
    if any(not d.is_zero() for d in step):
        value += acb.integral(along, 0, 1)
    spread = sum(
        (a * (b - b.mid()) for a, b in zip(_gradient(h, k, rho), (h, k, rho), strict=True)), acb(0)
    )
    return value + spread
