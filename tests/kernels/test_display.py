"""A kernel shows what it is: its formula where that is short, else its recursion."""

import pytest
import sympy
from matplotlib.mathtext import MathTextParser

from kerneltheory.activations.activation import Activation, X
from kerneltheory.activations.catalogue import CATALOGUE, erf, gelu, relu
from kerneltheory.kernels.display import Equation, describe
from kerneltheory.kernels.kernel import NetworkKernel, dot_product_kernel, nngp, ntk

t = sympy.Symbol("t")
SHALLOW = nngp(relu, 1, weight_variance=2)
DEEP = ntk(relu, 3, weight_variance=2)
EXP = dot_product_kernel(sympy.exp(t))
# No dual in closed form: nothing but its name and definition can be shown.
TANH = NetworkKernel(
    Activation("tanh", sympy.tanh(X)), 2, sympy.Integer(1), sympy.Rational(1, 10), True
)


def equations(kernel) -> dict[str, str]:
    return {line.left: line.right for line in describe(kernel, "h") if isinstance(line, Equation)}


def test_short_formula_is_shown():
    text = SHALLOW._repr_html_()
    assert "NNGP of a fully connected network: relu, 1 hidden layer, w = 2, b = 0" in text
    assert r"h(t) = \frac{2 t \arcsin{\left(t \right)}}{\pi} + t" in text
    assert "K^{l}" not in text


def test_deep_network_shows_its_recursion():
    shown = equations(DEEP)
    assert shown["K^{0}"] == r"w \, t + b"
    assert shown["K^{l}"] == r"w \, T(K^{l-1}) + b"
    assert shown[r"\Theta^{l}"].startswith(r"K^{l} + w \, T'(K^{l-1}) \, \Theta^{l-1}")
    assert shown["h(t)"] == r"\Theta^{3}"
    assert r"\arcsin{\left(\frac{k}{q} \right)}" in shown["T(k)"]
    assert "NTK of a fully connected network: relu, 3 hidden layers, w = 2" in DEEP._repr_html_()


def test_nngp_has_no_tangent_recursion():
    shown = equations(nngp(gelu, 4, weight_variance=2, bias_variance=0.1))
    assert not any("Theta" in part for line in shown.items() for part in line)
    assert shown["h(t)"] == "K^{4}"


def test_exact_parameters_are_shown_as_they_were_given():
    assert "b = 0.1<" in nngp(gelu, 4, weight_variance=2, bias_variance=0.1)._repr_html_()


def test_dual_without_a_closed_form_is_named():
    shown = equations(TANH)
    assert shown["T(k)"].startswith(r"\mathbb{E}\left[\phi(u) \, \phi(v)\right]")
    assert shown[r"\phi(x)"] == r"\tanh{\left(x \right)}"
    assert "tanh, 2 hidden layers, w = 1, b = 1/10" in TANH._repr_html_()


def test_dual_too_long_to_read_is_named():
    shown = equations(nngp(CATALOGUE[-1], 1, weight_variance=1))
    assert shown["T(k)"].startswith(r"\mathbb{E}")


def test_combined_kernels_show_their_parts():
    shown = equations(2 * (SHALLOW + EXP))
    assert shown["h(t)"] == r"2 \, \left(h_{1}(t) + h_{2}(t)\right)"
    assert shown["h_{2}(t)"] == "e^{t}"
    assert "arcsin" in shown["h_{1}(t)"]
    assert equations(SHALLOW * EXP)["h(t)"] == r"h_{1}(t) \, h_{2}(t)"
    assert equations(EXP * 3)["h(t)"] == r"3 \, h_{1}(t)"
    assert list(equations(EXP**2)) == ["h(t)", "h_{1}(t)"]  # equal parts are shown once


def test_composed_kernels_show_both():
    shown = equations(EXP.compose(TANH))
    assert shown["h(t)"] == r"h_{1}\left(h_{2}(t) / h_{2}(1)\right)"
    assert shown["h_{1}(t)"] == "e^{t}"
    assert shown["h_{2}(t)"] == r"\Theta^{2}"


@pytest.mark.parametrize(
    "kernel",
    [SHALLOW, DEEP, TANH, EXP, SHALLOW + DEEP, EXP.compose(TANH) * nngp(erf, 2, weight_variance=1)],
    ids=repr,
)
def test_every_line_is_well_formed(kernel):
    parser = MathTextParser("path")
    for left, right in equations(kernel).items():
        assert parser.parse(f"${left} = {right}$").width > 0
    block = kernel._repr_latex_()
    assert block.startswith("$$\\begin{aligned}")
    assert block.count("{") == block.count("}")
    assert kernel._repr_html_().count("<p>") == len(describe(kernel, "h"))


def test_names_are_escaped():
    phi = Activation("a<b & c_1^2", sympy.tanh(X))
    kernel = NetworkKernel(phi, 2, sympy.Integer(1), sympy.Integer(0), False)
    assert "a&lt;b &amp; c_1^2, 2 hidden layers" in kernel._repr_html_()
    assert r"a<b \& c\_1\^{}2, 2 hidden layers" in kernel._repr_latex_()
