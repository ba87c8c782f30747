r"""Special functions of real balls: what closed forms of eigenvalues are made of.

They enclose, also where sympy's function has a pole: 1/Gamma is entire and exactly zero at 0, -1,
-2, ..., so a product with Gamma in its denominator has its exact zeros.
"""

from typing import Any

import sympy
from flint import acb, arb


class Gamma(sympy.Function):
    """Gamma of a number too large to be written out, which sympy's own function would do."""

    nargs = 1

    def _latex(self, printer: Any, exp: Any = None) -> str:
        power = "" if exp is None else f"^{{{exp}}}"
        return rf"\Gamma{power}\left({printer.doprint(self.args[0])}\right)"


class Power(sympy.Function):
    """A power of numbers that is too large to be multiplied out, which sympy would do."""

    nargs = 2

    def _sympystr(self, printer: Any) -> str:
        base, exponent = self.args
        return f"{printer.parenthesize(base, 60)}**{printer.parenthesize(exponent, 60)}"

    def _latex(self, printer: Any, exp: Any = None) -> str:
        base, exponent = self.args
        total = exponent if exp is None else exponent * sympy.sympify(exp)
        return rf"\left({printer.doprint(base)}\right)^{{{printer.doprint(total)}}}"


class ReciprocalGamma(sympy.Function):
    """1/Gamma, which stays one node so that its zeros are not lost in a division."""

    nargs = 1


def separate_reciprocals(expression: sympy.Expr) -> Any:
    """Write every Gamma in a denominator as a reciprocal Gamma function.

    Examples:
        >>> x = sympy.Symbol("x")
        >>> separate_reciprocals(x / sympy.gamma(x) ** 2)
        x*ReciprocalGamma(x)**2
    """

    def is_reciprocal(node: Any) -> bool:
        return node.is_Pow and isinstance(node.base, sympy.gamma | Gamma) and node.exp.is_negative

    def replace(node: Any) -> Any:
        return ReciprocalGamma(node.base.args[0]) ** -node.exp

    return expression.replace(is_reciprocal, replace)


def _gamma(x: arb) -> arb:
    return x.gamma()


def _reciprocal_gamma(x: arb) -> arb:
    return x.rgamma()


def _bessel_i(order: arb, x: arb) -> arb:
    return x.bessel_i(order)


def _bessel_j(order: arb, x: arb) -> arb:
    return x.bessel_j(order)


# By the names of sympy's functions and of those above.
SPECIAL = {
    "gamma": _gamma,
    "Gamma": _gamma,
    "ReciprocalGamma": _reciprocal_gamma,
    "besseli": _bessel_i,
    "besselj": _bessel_j,
    "Power": lambda base, exponent: general_power(base, exponent),
}


def hypergeometric(upper: list[Any], lower: list[Any], x: arb) -> arb:
    """The generalised hypergeometric series; not finite where it does not converge."""
    return x.hypgeom(upper, lower)


def general_power(base: Any, exponent: Any) -> Any:
    """A power whose exponent is not a constant; that of a negative base needs an exact integer."""
    if not isinstance(base, arb):
        log = base.log(analytic=True) if isinstance(base, acb) else base.log()
        return (exponent * log).exp()
    if base > 0:
        return (exponent * base.log()).exp()
    if base < 0 and isinstance(exponent, arb) and exponent.is_exact() and exponent.is_integer():
        return (-base) ** exponent * exponent.cos_pi()
    return arb("nan")
