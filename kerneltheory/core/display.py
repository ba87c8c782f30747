"""How mathematics and tables are shown: LaTeX, one line of text, and HTML that escapes its cells.

Derivations write the expectation as a function E and the dual activation as a function T. Both
print here as a reader writes them: brackets around what is averaged, and derivatives of T without
its arguments.
"""

import html
import math
import sys
from collections.abc import Iterable
from typing import Any

import sympy
from sympy.core.function import AppliedUndef
from sympy.printing.latex import LatexPrinter
from sympy.printing.str import StrPrinter


class _Latex(LatexPrinter):
    def _print_Function(self, expr: Any, exp: Any = None) -> str:
        if not _is_expectation(expr):
            return super()._print_Function(expr, exp)
        power = "" if exp is None else f"^{{{exp}}}"
        return rf"\mathbb{{E}}{power}\left[{self._print(expr.args[0])}\right]"

    def _print_Heaviside(self, expr: Any, exp: Any = None) -> str:
        step = rf"H\left({self._print(expr.args[0])}\right)"
        return step if exp is None else rf"{step}^{{{exp}}}"

    def _print_Derivative(self, expr: Any) -> str:
        if not isinstance(expr.expr, AppliedUndef):
            return super()._print_Derivative(expr)
        total = sum(int(count) for _, count in expr.variable_count)
        below = " ".join(
            rf"\partial {_to_the(self._print(symbol), count)}"
            for symbol, count in expr.variable_count
        )
        above = _to_the(r"\partial", total)
        return rf"\frac{{{above} {self._print(_name(expr.expr))}}}{{{below}}}"

    def _print_Subs(self, expr: Any) -> str:
        inside = _name(expr.expr) if isinstance(expr.expr, AppliedUndef) else expr.expr
        return rf"\left. {self._print(inside)} \right|_{{{_points(self._print, expr)}}}"


class _Text(StrPrinter):
    def _print_Function(self, expr: Any) -> str:
        if not _is_expectation(expr):
            return super()._print_Function(expr)
        return f"E[{self._print(expr.args[0])}]"

    def _print_Relational(self, expr: Any) -> str:
        if not isinstance(expr, sympy.Eq):
            return super()._print_Relational(expr)
        return f"{self._print(expr.lhs)} = {self._print(expr.rhs)}"

    def _print_Derivative(self, expr: Any) -> str:
        if not isinstance(expr.expr, AppliedUndef):
            return super()._print_Derivative(expr)
        total = sum(int(count) for _, count in expr.variable_count)
        below = " ".join(f"d{symbol}{_caret(count)}" for symbol, count in expr.variable_count)
        return f"d{_caret(total)}{' ' if total > 1 else ''}{_name(expr.expr)}/{below}"

    def _print_Subs(self, expr: Any) -> str:
        inside = _name(expr.expr) if isinstance(expr.expr, AppliedUndef) else expr.expr
        return f"{self._print(inside)}|({_points(self._print, expr)})"


def _is_expectation(expr: Any) -> bool:
    return isinstance(expr, AppliedUndef) and type(expr).__name__ == "E" and len(expr.args) == 1


def _name(function: Any) -> sympy.Symbol:
    return sympy.Symbol(type(function).__name__)


def _to_the(base: str, count: Any) -> str:
    return base if count == 1 else f"{base}^{{{count}}}"


def _caret(count: Any) -> str:
    return "" if count == 1 else f"^{count}"


def _points(show: Any, expr: Any) -> str:
    pairs = zip(expr.variables, expr.point, strict=True)
    return ", ".join(f"{show(symbol)} = {show(value)}" for symbol, value in pairs)


def latex(expression: Any) -> str:
    r"""LaTeX of a sympy object, with \\mathbb{E} and derivatives of unnamed functions kept short.

    Examples:
        >>> k, u = sympy.symbols("k12 u")
        >>> print(latex(sympy.Derivative(sympy.Function("T")(k), (k, 2))))
        \frac{\partial^{2} T}{\partial k_{12}^{2}}
        >>> print(latex(sympy.Function("E")(u)))
        \mathbb{E}\left[u\right]
    """
    return _Latex({"inv_trig_style": "full"}).doprint(expression)


def text(expression: Any) -> str:
    """One line of text for a sympy object.

    Examples:
        >>> k, u = sympy.symbols("k12 u")
        >>> slope = sympy.Derivative(sympy.Function("T")(k), (k, 2))
        >>> print(text(sympy.Eq(slope, sympy.Function("E")(u**2), evaluate=False)))
        d^2 T/dk12^2 = E[u**2]
    """
    return _Text().doprint(expression)


def short_number(number: Any) -> str:
    """A rational that came from a float prints as that float, which stands for it exactly."""
    return repr(float(number)) if _from_float(number) else str(number)


def _from_float(number: Any) -> bool:
    if not isinstance(number, sympy.Rational) or number.q <= 1024:
        return False
    return sympy.Rational(float(number)) == number


def short_numbers(expression: Any) -> Any:
    """An expression to be shown, in which every rational that came from a float is that float.

    Examples:
        >>> u = sympy.Symbol("u")
        >>> print(text(short_numbers(1 - sympy.Rational(0.1) * sympy.sin(u))))
        -0.1*sin(u) + 1
    """
    return expression.replace(_from_float, _as_printed)


def _as_printed(number: sympy.Rational) -> sympy.Expr:
    shown = sympy.Symbol(repr(abs(float(number))), positive=True)
    return -shown if number < 0 else shown  # pyright: ignore


def shown_number(number: float, logarithm: float, digits: int = 6) -> str:
    """The leading digits of a number; from its logarithm where floats do not hold it."""
    tiny = sys.float_info.min
    if (abs(number) > tiny and math.isfinite(number)) or logarithm == -math.inf:
        return f"{number:.{digits}g}"
    exponent, rest = divmod(logarithm / math.log(10), 1)
    sign = "-" if math.copysign(1, number) < 0 else ""
    return f"{sign}{10**rest:.{digits}g}e{int(exponent):+d}"


def html_table(title: str, header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """An HTML table under a title; every cell is escaped, and notebooks typeset $...$ in it.

    Examples:
        >>> "<td>&lt;3&gt;</td>" in html_table("pair", ["p"], [["<3>"]])
        True
    """
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in header)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return (
        f"<p>{html.escape(title)}</p>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )
