"""LaTeX, text and tables: the pieces that a reader looks for, and LaTeX that a parser accepts."""

import problems
import pytest
import sympy
from matplotlib.mathtext import MathTextParser

from kerneltheory.activations.derive import derive_dual
from kerneltheory.activations.duals import covariance_dual, dual
from kerneltheory.core.display import html_table, latex, text

k, q = sympy.symbols("k12 q1")
u = sympy.Symbol("u", real=True)
T = sympy.Function("T")(q, k)
E = sympy.Function("E")


def balanced(source: str) -> bool:
    """Whether braces match, escaped ones aside, and so do \\left and \\right."""
    depth = 0
    bare = source.replace(r"\{", "").replace(r"\}", "")
    for character in bare:
        depth += {"{": 1, "}": -1}.get(character, 0)
        if depth < 0:
            return False
    return depth == 0 and bare.count(r"\left") - bare.count(r"\leftarrow") == bare.count(r"\right")


@pytest.mark.parametrize(
    ("expression", "in_latex", "in_text"),
    [
        (E(u**2), r"\mathbb{E}\left[u^{2}\right]", "E[u**2]"),
        (2 * E(u), r"2 \mathbb{E}\left[u\right]", "2*E[u]"),
        (E(u) ** 2, r"\mathbb{E}^{2}\left[u\right]", "E[u]**2"),
        (T, r"T{\left(q_{1},k_{12} \right)}", "T(q1, k12)"),
        (sympy.Derivative(T, k), r"\frac{\partial T}{\partial k_{12}}", "dT/dk12"),
        (
            sympy.Derivative(T, (k, 2), q),
            r"\frac{\partial^{3} T}{\partial k_{12}^{2} \partial q_{1}}",
            "d^3 T/dk12^2 dq1",
        ),
        (
            sympy.Subs(sympy.Derivative(T, (k, 2)), k, 0),
            r"\left. \frac{\partial^{2} T}{\partial k_{12}^{2}} \right|_{k_{12} = 0}",
            "d^2 T/dk12^2|(k12 = 0)",
        ),
        (sympy.Subs(T, k, 0), r"\left. T \right|_{k_{12} = 0}", "T|(k12 = 0)"),
        (sympy.Heaviside(u), r"H\left(u\right)", "Heaviside(u)"),
        (sympy.Heaviside(u) * u, r"u H\left(u\right)", "u*Heaviside(u)"),
        (sympy.asin(u), r"\arcsin{\left(u \right)}", "asin(u)"),
        (sympy.Eq(q, E(u), evaluate=False), r"q_{1} = \mathbb{E}\left[u\right]", "q1 = E[u]"),
        (q < k, "q_{1} < k_{12}", "q1 < k12"),
    ],
    ids=str,
)
def test_mathematics_reads_as_it_is_written(expression, in_latex, in_text):
    assert latex(expression) == in_latex
    assert text(expression) == in_text


@problems.by_name()
def test_latex_of_every_dual_is_parsed(phi):
    parser = MathTextParser("path")
    for formula in (covariance_dual(phi), covariance_dual(phi, 1), dual(phi)):
        assert balanced(formula.latex)
        assert parser.parse(f"${formula.latex}$").width > 0
    for step in derive_dual(phi).steps:
        if isinstance(step.statement, sympy.Eq):
            assert parser.parse(f"${latex(step.statement.lhs)}$").width > 0
    assert balanced(derive_dual(phi)._repr_latex_())


def test_parser_and_braces_can_fail():
    with pytest.raises(ValueError, match="Expected"):
        MathTextParser("path").parse(r"$\frac{1}{$")
    assert not balanced("{}}{")
    assert not balanced(r"\left( 1")


def test_table_escapes_every_cell():
    table = html_table("a & b", ["<h>"], [["<1>", '"2"'], ["3", "4"]])
    assert table.startswith("<p>a &amp; b</p><table>")
    assert "<th>&lt;h&gt;</th>" in table
    assert "<td>&lt;1&gt;</td><td>&quot;2&quot;</td>" in table
    assert table.count("<tr>") == 3
