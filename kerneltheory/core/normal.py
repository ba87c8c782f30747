r"""The normal and the bivariate normal distribution as exact functions of sympy.

Standard X and Y of correlation rho; s = sqrt(1 - rho^2).

- `NormalCDF(h)`: :math:`\Phi(h) = P(X \le h)`.
- `BivariateNormalCDF(h, k, rho)`: :math:`\Phi_2 = P(X \le h, Y \le k)`.
- `ConditionalNormalCDF(h, k, rho)`: :math:`P(Y \le k \mid X = h) = \Phi((k - \rho h)/s)`.
- `BivariateExponential(h, k, rho)`: :math:`\exp(-(h^2 - 2\rho hk + k^2)/(2 s^2))`, the joint
  density at (h, k) times :math:`2\pi s`.

All are continuous up to rho = 1 and -1 but where the distribution itself jumps, and each is one
name there for what a plain expression would make 0/0. Plackett, Biometrika 41 (1954):
:math:`\partial\Phi_2/\partial\rho` is the joint density.
"""

from typing import Any

import sympy

_HALF = sympy.Rational(1, 2)


def density(h: Any) -> Any:
    """The standard normal density."""
    return sympy.exp(-(h**2) / 2) / sympy.sqrt(2 * sympy.pi)


def _tightness(rho: Any) -> Any:
    return sympy.sqrt(1 - rho**2)


def _values(function: Any) -> Any:
    """The arguments, which are numbers."""
    return function.args


class NormalCDF(sympy.Function):
    """The distribution function of a standard Gaussian."""

    nargs = 1

    @classmethod
    def eval(cls, h: Any) -> Any:
        """The values at 0 and at infinity."""
        if h.is_zero:
            return _HALF
        if h is sympy.oo or h is -sympy.oo:
            return sympy.Integer(1 if h is sympy.oo else 0)
        return None

    def fdiff(self, argindex: int = 1) -> Any:
        """The density."""
        return density(_values(self)[0])

    def _eval_is_finite(self) -> bool:
        return True

    def _eval_is_real(self) -> bool:
        return True

    def _latex(self, printer: Any) -> str:
        return rf"\Phi\left({printer._print(self.args[0])}\right)"


def _phi(h: Any) -> Any:
    return NormalCDF(h)


class _Pair(sympy.Function):
    """A function of two levels and a correlation."""

    nargs = 3
    symbol = ""

    def _eval_is_finite(self) -> bool:
        return True

    def _eval_is_real(self) -> bool:
        return True

    def _latex(self, printer: Any) -> str:
        return rf"{self.symbol}\left({', '.join(printer._print(a) for a in self.args)}\right)"


class BivariateNormalCDF(_Pair):
    """P(X <= h, Y <= k) for standard Gaussians of correlation rho."""

    symbol = r"\Phi_2"

    @classmethod
    def eval(cls, h: Any, k: Any, rho: Any) -> Any:
        """Independent variables, the ends of the correlation, and both levels at 0."""
        if rho.is_zero:
            return _phi(h) * _phi(k)
        if h.is_zero and k.is_zero:
            return sympy.Rational(1, 4) + sympy.asin(rho) / (2 * sympy.pi)
        if rho == 1:
            return _smaller(h, k)
        if rho == -1:
            gap = (h + k).is_nonnegative
            if gap is not None:
                return _phi(h) - _phi(-k) if gap else sympy.Integer(0)
        # Symmetric in its levels: one order, so that equal terms meet.
        return None if h.compare(k) <= 0 else cls(k, h, rho)

    def fdiff(self, argindex: int = 1) -> Any:
        """The density in rho, and a density times a conditional distribution in a level."""
        h, k, rho = _values(self)
        if argindex == 3:
            return BivariateExponential(h, k, rho) / (2 * sympy.pi * _tightness(rho))
        level, other = (h, k) if argindex == 1 else (k, h)
        return density(level) * ConditionalNormalCDF(level, other, rho)


def _smaller(h: Any, k: Any) -> Any:
    order = sympy.factor(h - k).is_nonnegative
    if order is None:
        return None
    return NormalCDF(k) if order else NormalCDF(h)


class ConditionalNormalCDF(_Pair):
    """P(Y <= k | X = h) for standard Gaussians of correlation rho."""

    symbol = r"\Phi_{2|1}"

    @classmethod
    def eval(cls, h: Any, k: Any, rho: Any) -> Any:
        """Independent variables, the ends of the correlation, and both levels at 0."""
        if rho.is_zero:
            return NormalCDF(k)
        if h.is_zero and k.is_zero:
            return _HALF
        if rho in (1, -1):
            gap = sympy.factor(k - rho * h)
            if gap == 0:
                return _HALF
            if gap.is_positive is not None:
                return sympy.Integer(1 if gap.is_positive else 0)
        return None

    def fdiff(self, argindex: int = 1) -> Any:
        """The chain rule on (k - rho h)/s, with the conditional density in one piece."""
        h, k, rho = _values(self)
        root = _tightness(rho)
        inner = {1: -rho / root, 2: 1 / root, 3: (rho * k - h) / root**3}[argindex]
        unit = BivariateExponential(h, k, rho) * sympy.exp(h**2 / 2) / sympy.sqrt(2 * sympy.pi)
        return unit * inner


class BivariateExponential(_Pair):
    """The joint density of standard Gaussians times 2 pi sqrt(1 - rho^2)."""

    symbol = r"e_2"

    @classmethod
    def eval(cls, h: Any, k: Any, rho: Any) -> Any:
        """Independent variables, the ends of the correlation, and both levels at 0."""
        if h.is_zero and k.is_zero:
            return sympy.Integer(1)
        if rho.is_zero:
            return sympy.exp(-(h**2 + k**2) / 2)
        if rho in (1, -1):
            gap = sympy.factor(h - rho * k)
            if gap == 0:
                return sympy.exp(-(h**2) / 2)
            if gap.is_zero is False:
                return sympy.Integer(0)
        return None if h.compare(k) <= 0 else cls(k, h, rho)

    def fdiff(self, argindex: int = 1) -> Any:
        """The derivative of the exponent."""
        h, k, rho = _values(self)
        square = 1 - rho**2
        if argindex == 3:
            return self * (h * k * (1 + rho**2) - rho * (h**2 + k**2)) / square**2
        level, other = (h, k) if argindex == 1 else (k, h)
        return self * (rho * other - level) / square


NORMAL_FUNCTIONS = (NormalCDF, BivariateNormalCDF, ConditionalNormalCDF, BivariateExponential)
