r"""Derivations of the effective theory: criticality, its exponents, and finite width.

Expansions in 1/n are polynomials of their small quantities, so that computer algebra compares
coefficients.
"""

import functools
from typing import Any

import sympy

from kerneltheory.activations.activation import Activation
from kerneltheory.activations.catalogue import gelu
from kerneltheory.activations.gaussian import double_factorial, mean
from kerneltheory.activations.pieces import X
from kerneltheory.activations.terms import elementary_terms
from kerneltheory.core import check
from kerneltheory.core.derivation import Derivation, Step
from kerneltheory.core.evidence import Root, identity_step, limit_step
from kerneltheory.core.formula import Formula
from kerneltheory.depth.exponent_derivations import (
    LAYER,
    REFERENCE,
    K,
    W,
    derive_exponents,
    derive_kinked_exponents,
    stated,
)

WIDTH = sympy.Symbol("n", positive=True)
B = sympy.Symbol("b", nonnegative=True)
_V, _G, _CHI, _C = sympy.symbols("V G chi_par c", positive=True)
_PHI: Any = sympy.Function("phi")(X)
_E: Any = sympy.Function("E")


# --- susceptibilities -------------------------------------------------------------------------


def derive_susceptibilities() -> Derivation:
    r""":math:`\chi_\parallel = \chi_\perp + w E[\phi\phi'']`, by the heat equation."""
    density = sympy.exp(-(X**2) / (2 * K)) / sympy.sqrt(2 * sympy.pi * K)
    p: Any = sympy.Function("p")(X, K)
    parallel, across, curved = sympy.symbols("chi_par chi_perp M", real=True)
    slope, bend = sympy.diff(_PHI, X), sympy.diff(_PHI, X, 2)
    steps = (
        stated(p, density, "definition: the density of a preactivation z of variance K"),
        identity_step(
            sympy.diff(density, K), sympy.diff(density, X, 2) / 2,
            "the heat equation", sympy.Derivative(p, K),
        ),
        identity_step(
            sympy.diff(density, K), (X**2 - K) / (2 * K**2) * density,
            "so chi_par = w dE[phi^2]/dK = w/(2 K^2) E[phi^2 (z^2 - K)]", sympy.Derivative(p, K),
        ),
        identity_step(
            sympy.diff(density, K, 2) / 2, (X**4 - 6 * K * X**2 + 3 * K**2) / (8 * K**4) * density,
            "the second derivative", sympy.Derivative(p, (K, 2)) / 2,
        ),
        identity_step(
            sympy.diff(_PHI**2, X, 2) / 2, slope**2 + _PHI * bend,
            "by parts, E[phi^2] has the derivative E[(phi^2)'']/2 in K",
            sympy.Derivative(_PHI**2, (X, 2)) / 2,
        ),
        stated(parallel, across + W * curved, "with chi_perp = w E[phi'^2], M = E[phi phi'']"),
    )  # fmt: skip
    result = across + W * curved
    formula = Formula("chi_par", (across, W, curved), result, sympy.true, REFERENCE)
    return Derivation(steps, formula)


# --- finite width -----------------------------------------------------------------------------


def derive_four_point_vertex() -> Derivation:
    r"""The recursions of G and V, and the kurtosis of an output, to first order in 1/n."""
    delta = sympy.Symbol("delta", real=True)
    g0, bend, c0, c1, c2 = sympy.symbols("g_0 g_2 c_0 c_1 c_2", positive=True)
    following, spread, fourth = sympy.symbols("K' c M_4", positive=True)
    g = g0 + _CHI * delta + bend * delta**2 / 2
    c = c0 + c1 * delta + c2 * delta**2 / 2
    average, second = _averaged(g, delta), _averaged(g**2, delta)
    variance = second - average**2 + _averaged(c, delta) * W**2 / WIDTH
    gaussian = double_factorial(4)
    steps = (
        stated(
            sympy.Symbol("Khat'"), W / WIDTH * sympy.Symbol("sum phi(z_i)^2") + B,
            "definition: given Khat = K + delta, the n preactivations z_i are independent "
            "Gaussians of variance Khat; E[delta] = G/n, E[delta^2] = V/n, higher moments O(1/n^2)",
        ),
        stated(
            sympy.Function("g")(K), W * _E(_PHI**2) + B,
            "definition: the mean given Khat; g' = chi_par, g_2 = g''",
        ),
        stated(
            spread, _E(_PHI**4) - _E(_PHI**2) ** 2,
            "definition: the variance of one phi^2; that of Khat' given Khat is w^2 c/n",
        ),
        limit_step(average, WIDTH, sympy.oo, g0, "infinite width: K' = g(K)"),
        limit_step(
            WIDTH * (average - g0), WIDTH, sympy.oo, _CHI * _G + bend / 2 * _V,
            "the mean: G' = chi_par G + (g''/2) V",
        ),
        limit_step(
            WIDTH * variance, WIDTH, sympy.oo, _CHI**2 * _V + W**2 * c0,
            "the law of total variance: V' = chi_par^2 V + w^2 c(K)",
        ),
        identity_step(
            gaussian * (following**2 + fourth) - 3 * following**2, 3 * fourth,
            "an output is Gaussian given Khat, so E[z^4] - 3 E[z^2]^2 = 3 Var(Khat), for a Khat of "
            "mean K' and variance M_4 = V/n",
            _E(sympy.Symbol("z") ** 4) - 3 * _E(sympy.Symbol("z") ** 2) ** 2,
        ),
    )  # fmt: skip
    result = _CHI**2 * _V + W**2 * c0
    return Derivation(
        steps, Formula("four-point vertex", (_CHI, _V, W, c0), result, sympy.true, REFERENCE)
    )


def _averaged(polynomial: Any, delta: sympy.Symbol) -> Any:
    """The mean of a polynomial in delta, to first order in 1/n."""
    moments = {0: sympy.Integer(1), 1: _G / WIDTH, 2: _V / WIDTH}
    terms = sympy.Poly(polynomial, delta).terms()
    return sum(c * moments.get(power, sympy.Integer(0)) for (power,), c in terms)


# --- scale invariance -------------------------------------------------------------------------


def derive_scale_invariant() -> Derivation:
    r"""V of two lines that meet at 0, at every width: :math:`V/K^2 = n[(1 + c/n)^l - 1]`."""
    a, b = sympy.symbols("a_minus a_plus", positive=True)
    squares, fourths = (a**2 + b**2) / 2, (a**4 + b**4) / 2
    density = sympy.exp(-(X**2) / (2 * K)) / sympy.sqrt(2 * sympy.pi * K)
    power = sympy.Symbol("j", positive=True)
    moment: Any = sympy.Function("r")
    grown, epsilon = 1 + _C / WIDTH, sympy.Symbol("epsilon")
    first, second = (double_factorial(j) * A for j, A in ((2, squares), (4, fourths)))
    result = WIDTH * (grown**LAYER - 1)
    x = sympy.Symbol("x", positive=True)
    density = density.subs(X, x)
    steps = (
        stated(
            _PHI, sympy.Symbol("a_pm") * X,
            "definition: phi(x) = a_plus x for x > 0 and a_minus x for x < 0; A_j the mean of "
            "|a|^j over both",
        ),
        identity_step(
            x**power * density,
            (power - 1) * K * x ** (power - 2) * density
            - K * sympy.diff(x ** (power - 1) * density, x),
            "by parts, moments on half a line rise by (j - 1) K: E[phi^j] = (j - 1)!! A_j K^(j/2)",
        ),
        identity_step(
            W * first * K - K, (W - 2 / (a**2 + b**2)) * first * K,
            "so K' = K at w = 1/A_2, and Khat' = Khat times a mean of n independent phi(u)^2/A_2",
        ),
        identity_step(
            second / first**2 - 1, 6 * (a**4 + b**4) / (a**2 + b**2) ** 2 - 1,
            "of one, the variance c = 3 A_4/A_2^2 - 1", _C,
        ),
        identity_step(
            grown * grown**LAYER, grown ** (LAYER + 1),
            "E[Khat^2]/K^2 grows by 1 + c/n in each layer, exactly", moment(LAYER + 1),
        ),
        stated(_V / K**2, result, "n Var(Khat)/K^2"),
        identity_step(
            sympy.diff((1 + _C * epsilon) ** LAYER, epsilon).subs(epsilon, 0), _C * LAYER,
            "to first order in 1/n = epsilon", _V / K**2,
        ),
    )  # fmt: skip
    args = (_C, WIDTH, LAYER)
    return Derivation(
        steps, Formula("V/K^2 at scale invariance", args, result, sympy.true, REFERENCE)
    )


# --- a half-stable point in closed form -------------------------------------------------------


def derive_gelu_point() -> Derivation:
    r"""The half-stable point of gelu, :math:`K^* = (3 + \sqrt{17})/2`, exactly."""
    variance = (3 + sympy.sqrt(17)) / 2
    product = gelu.expression * sympy.diff(gelu.expression, X, 2)
    curved = _mean_of(product)
    polynomial = 2 + 3 * K - K**2
    scale = sympy.simplify(curved / polynomial)
    steps = (
        identity_step(
            curved, polynomial * scale,
            "chi_par - chi_perp = w E[phi phi''], by Gaussian moments; all factors but one are "
            "positive", _E(product),
        ),
        Step(
            sympy.Eq(K, variance, evaluate=False),
            "the polynomial's one positive root, since the product of both is negative",
            Root(polynomial, K, variance),
        ),
    )  # fmt: skip
    return Derivation(steps, Formula("K* of gelu", (), variance, sympy.true, REFERENCE))


def _mean_of(expression: Any) -> Any:
    terms = elementary_terms(Activation("product", sympy.expand(expression)))
    return sympy.simplify(mean(terms, K))


RESULTS = {
    "susceptibilities": derive_susceptibilities,
    "four-point vertex": derive_four_point_vertex,
    "scale invariance": derive_scale_invariant,
    "exponents": derive_exponents,
    "exponents at a kink": derive_kinked_exponents,
    "gelu": derive_gelu_point,
}


def derive_effective_theory(result: str = "four-point vertex") -> Derivation:
    r"""The derivation of a result of the effective theory of deep networks.

    - "susceptibilities": $\chi_\parallel = \chi_\perp + w E[\phi\phi'']$, so that both are 1 where
      a Gaussian mean vanishes.
    - "four-point vertex": $V' = \chi_\parallel^2 V + w^2 (E[\phi^4] - E[\phi^2]^2)$, with the
      correction G of the mean and the kurtosis $3V/n$ of an output.
    - "scale invariance": $V/K^2 = n[(1 + c/n)^l - 1]$ at every width.
    - "exponents": of the class $K^* = 0$, $K \sim 1/(-a_1 l)$, $p_\parallel = 2$,
      $p_\perp = b_1/a_1$, $\Theta \to -1/b_1$, $V/(l K^2) \to 2/3$ and $G/(l K) \to -1/3$.
    - "exponents at a kink": of a phi whose second derivative jumps at 0, $K \sim 4/(a l)^2$,
      $p_\parallel = 3$, $p_\perp = 2$, $V/(l K^2) \to 2/3$.
    - "gelu": its half-stable point in closed form.

    Args:
        result: which; its Formula is the `result` of the derivation.

    Raises:
        ValueError: the result is none of these.

    Reference: arXiv:2106.10165.

    Examples:
        >>> print(derive_effective_theory("gelu").result)
        K* of gelu = 3/2 + sqrt(17)/2
        >>> sorted(set(derive_effective_theory("exponents").verify().statuses))
        ['definition', 'proved']
    """
    return RESULTS[check.one_of("result", result, RESULTS)]()


DERIVATIONS = tuple(functools.partial(derive_effective_theory, name) for name in RESULTS)
