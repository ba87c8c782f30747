"""Closed eigenvalues: against certificates, quadrature and literature; zeros; planted errors."""

import dataclasses
import math
import re

import mpmath as mp
import numpy as np
import problems
import pytest
import sympy
from flint import arb, ctx

from kerneltheory.activations.catalogue import (
    cos,
    erf,
    exp,
    gaussian,
    gelu,
    leaky_relu,
    monomial,
    rectified_monomial,
    relu,
    sin,
    step,
    tanh,
)
from kerneltheory.core.derivation import Derivation
from kerneltheory.core.errors import DerivationError, DivergentError, PrecisionError
from kerneltheory.kernels.kernel import dot_product_kernel, nngp, ntk
from kerneltheory.spectra.closed_forms import rectified_eigenvalue
from kerneltheory.spectra.derive_exact import SpectrumCertificate, SummandRatio, derive_eigenvalue
from kerneltheory.spectra.domains import certified_spectrum
from kerneltheory.spectra.exact import eigenvalue
from kerneltheory.spectra.hypergeometric import DifferentialEquation, N, hypergeometric_series
from kerneltheory.spectra.lemmas import DISTANCES, POWERS, DegreeInduction
from kerneltheory.spectra.summation import D, K

t = sympy.Symbol("t", real=True)
k, d = sympy.symbols("k d")
R = sympy.Rational
DISTANCE = sympy.sqrt(2 - 2 * t)

# All of these are enclosed fast.
ENTIRE = (
    dot_product_kernel(sympy.exp(2 * t)),
    dot_product_kernel(sympy.exp(-(1 - t) / R(9, 100))),
    dot_product_kernel(sympy.exp(2 * t) * (1 + t + t**2)),
    dot_product_kernel(sympy.exp(sympy.sqrt(3) * t)),
    dot_product_kernel(1 / (2 - t)),
    dot_product_kernel(2**t + sympy.exp(t**2)),
    nngp(erf, 1, weight_variance=2),
    ntk(erf, 1, weight_variance=R(1, 2)),
    nngp(sin, 1, weight_variance=2),
    ntk(cos, 1, weight_variance=1, bias_variance=1),
    nngp(exp, 1, weight_variance=R(1, 2), bias_variance=2),
    ntk(gaussian(2), 1, weight_variance=1),
    nngp(gelu, 1, weight_variance=2),
    ntk(gelu, 1, weight_variance=1),
    nngp(monomial(3), 1, weight_variance=1, bias_variance=1),
)
# Singular at an end, where enclosing takes longer.
SINGULAR = (
    dot_product_kernel(sympy.exp(-2 * DISTANCE)),
    dot_product_kernel((3 + DISTANCE) * sympy.exp(-DISTANCE)),
    dot_product_kernel(2 - (1 - t) ** R(1, 3) + t * (2 + t)),
    ntk(leaky_relu(R(1, 5)), 1, weight_variance=R(3, 2)),
    ntk(rectified_monomial(2), 1, weight_variance=1),
    2 * nngp(relu, 1, weight_variance=2) + nngp(step, 1, weight_variance=1) * R(1, 3),
    nngp(relu, 1, weight_variance=2) * dot_product_kernel(t),
)


def agrees(kernel, dim, degrees, digits=10):
    """The formula in both symbols, and that at numbers, are in the certified balls."""
    formula = eigenvalue(kernel, k, d)
    expected = certified_spectrum(kernel, dim, max(degrees), digits=digits).eigenvalues
    for degree in degrees:
        ball = formula.certified(degree, dim, digits=20)
        assert ball.overlaps(expected[degree]), degree
        assert ball.is_zero() == expected[degree].is_zero()
    number = eigenvalue(kernel, max(degrees), dim)
    assert number.args == ()
    assert number.certified(digits=20).overlaps(expected[max(degrees)])


@pytest.mark.parametrize("kernel", ENTIRE, ids=repr)
def test_smooth_kernels_agree_with_certified_spectra(kernel):
    for dim, degrees in ((2, range(5)), (3, (0, 1, 8, 9)), (5, range(4)), (100, (0, 1, 7))):
        agrees(kernel, dim, degrees)


@pytest.mark.slow
@pytest.mark.parametrize("kernel", SINGULAR, ids=repr)
def test_singular_kernels_agree_with_certified_spectra(kernel):
    for dim, degrees in ((5, (0, 1, 2, 3, 4, 5)), (100, (0, 1, 2, 3))):
        agrees(kernel, dim, degrees)


def test_circle():
    for kernel in (ntk(relu, 1, weight_variance=2), dot_product_kernel(sympy.exp(-DISTANCE))):
        agrees(kernel, 2, range(5), digits=8)


@pytest.mark.parametrize("known", problems.KNOWN_SPECTRA, ids=lambda known: known.name)
def test_closed_forms_of_the_literature(known):
    formula = eigenvalue(dot_product_kernel(known.h), k, d)
    with mp.workdps(60), ctx.workdps(60):
        for dim in (2, 3, 5, 24, 1000, 10**6):
            for degree in (0, 1, 2, 3, 4, 5, 20, 61):
                value = known.eigenvalue(dim, degree)
                expected = arb(mp.nstr(value, 55)) * arb(1, 1e-50)
                assert formula.certified(degree, dim, digits=30).overlaps(expected)


def test_by_quadrature():
    dim = 5
    density = mp.gamma(mp.mpf(dim) / 2) / (mp.sqrt(mp.pi) * mp.gamma(mp.mpf(dim - 1) / 2))
    for kernel, h in (
        (ntk(erf, 1, weight_variance=2), lambda x: erf_tangent(x)),
        (dot_product_kernel(sympy.exp(-DISTANCE)), lambda x: mp.exp(-mp.sqrt(2 - 2 * x))),
    ):
        for degree in (1, 4, 5):
            with mp.workdps(25):
                top = mp.gegenbauer(degree, mp.mpf(dim - 2) / 2, 1)

                def integrand(x, degree=degree, h=h, top=top):
                    p = mp.gegenbauer(degree, mp.mpf(dim - 2) / 2, x) / top
                    return h(x) * p * (1 - x * x) ** (mp.mpf(dim - 3) / 2)

                # In s with x = 1 - s^2 there is no branch point at x = 1.
                expected = density * mp.quad(
                    lambda s: 2 * s * integrand(1 - s * s), [0, 0.7, mp.sqrt(2)]
                )
                found = float(eigenvalue(kernel, degree, dim)())
            assert found == pytest.approx(float(expected), rel=1e-13, abs=1e-17)


def erf_tangent(x):
    """Williams (1996) for weight variance 2: K0 = 2 x, w = 2."""
    value = 2 * mp.asin(4 * x / 5) / mp.pi
    slope = 4 / mp.pi / mp.sqrt(25 - 16 * x * x)
    return 2 * value + 2 * slope * 2 * x


# --- what it looks like -----------------------------------------------------------------------


def test_rational_numbers_and_readable_forms():
    layer = nngp(relu, 1, weight_variance=2)
    expected = [R(3, 4), R(1, 3), R(3, 64), 0, R(1, 768)]
    assert [eigenvalue(layer, degree, 3).rhs for degree in range(5)] == expected
    assert eigenvalue(layer, 1, d).rhs == 1 / (2 * d) * 2
    assert eigenvalue(dot_product_kernel(sympy.exp(t)), 1, 3).rhs == sympy.cosh(1) - sympy.sinh(1)
    assert eigenvalue(dot_product_kernel((1 + t) ** R(5, 2)), 0, 3).rhs == 8 * sympy.sqrt(2) / 7
    # Funk-Hecke at d = 3: half the integral of exp(2 t) P_1.
    both = eigenvalue(dot_product_kernel(sympy.exp(2 * t)), 1, 3).rhs
    by_hand = sympy.integrate(t * sympy.exp(2 * t), (t, -1, 1)) / 2
    assert sympy.simplify((both - by_hand).rewrite(sympy.exp)) == 0


def test_formula_of_the_literature_symbol_by_symbol():
    rectified = rectified_eigenvalue(1, K).expression
    scale = eigenvalue(nngp(relu, 1, weight_variance=2), K, D).rhs / rectified**2
    assert sympy.simplify(scale) == 4 * D
    # exp(a t): Gamma(d/2) (2/a)^(d/2 - 1) I_{k + d/2 - 1}(a).
    found = eigenvalue(dot_product_kernel(sympy.exp(3 * t)), K, D).rhs
    bessel = sympy.gamma(D / 2) * R(2, 3) ** (D / 2 - 1) * sympy.besseli(K + D / 2 - 1, 3)
    assert sympy.simplify(found / bessel) == 1


def test_large_numbers_are_not_written_out():
    kernel = dot_product_kernel(sympy.exp(-DISTANCE))
    number = eigenvalue(kernel, 200, 10**6)
    assert len(str(number.rhs)) < 2000
    both = eigenvalue(kernel, k, d).certified(200, 10**6)
    assert number.certified().overlaps(both)
    assert both < arb("1e-800")
    with pytest.raises(PrecisionError, match="out of the range of float64"):
        number()


def test_call_is_elementwise_and_rounds_correctly():
    formula = eigenvalue(ntk(relu, 1, weight_variance=2), k, d)
    found = formula(np.arange(4)[:, None], np.array([3, 10, 1000]))
    assert found.shape == (4, 3)
    assert found[1, 0] == float(formula.substitute({d: 3}).certified(1).mid())
    assert not found[3].any()
    assert formula.substitute({k: 2}).args == (d,)


# --- exact zeros ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kernel", "zeros"),
    [
        (nngp(relu, 1, weight_variance=2), (3, 5, 7, 101)),
        (ntk(relu, 1, weight_variance=2), (3, 5, 7, 101)),
        (dot_product_kernel(problems.ARC_COSINE_1), (3, 5, 7, 101)),
        (nngp(step, 1, weight_variance=1), (2, 4, 100)),
        (nngp(erf, 1, weight_variance=2), (0, 2, 4, 100)),
        (ntk(sin, 1, weight_variance=2), (0, 2, 4, 100)),
        (nngp(problems.absolute, 1, weight_variance=1), (1, 3, 5, 101)),
        (dot_product_kernel((1 + t) ** 3), (4, 5, 100)),
    ],
    ids=repr,
)
def test_zeros_are_exact(kernel, zeros):
    for degree in zeros:
        assert eigenvalue(kernel, degree, 7).rhs == 0
        assert eigenvalue(kernel, degree, d).rhs == 0
        for dim in (2, 7, 1000):
            assert eigenvalue(kernel, k, d).certified(degree, dim).is_zero()
            assert eigenvalue(kernel, k, dim).certified(degree).is_zero()
    nonzero = next(i for i in range(4) if i not in zeros)
    assert eigenvalue(kernel, nonzero, 7).rhs != 0


# --- derivations ------------------------------------------------------------------------------


def test_steps_of_a_derivation():
    derivation = derive_eigenvalue(dot_product_kernel(sympy.exp(-DISTANCE)), k, d)
    statuses = derivation.verify(digits=12).statuses
    assert statuses == ("definition", *["proved"] * 4, "certified to 12 digits")
    assert "Funk and Hecke" in str(derivation)
    numbers = derive_eigenvalue(nngp(gelu, 1, weight_variance=2), 4, 3)
    assert numbers.verify(digits=12).statuses[-1] == "certified to 12 digits"


def changed(derivation: Derivation, index: int, **parts) -> Derivation:
    """The derivation with parts of one step's evidence changed, shown and verified alike."""
    steps = list(derivation.steps)
    evidence = dataclasses.replace(steps[index].evidence, **parts)
    shown = evidence.about()[0]
    statement = sympy.Eq(steps[index].statement.lhs, shown, evaluate=False)
    steps[index] = dataclasses.replace(steps[index], statement=statement, evidence=evidence)
    return dataclasses.replace(derivation, steps=tuple(steps))


def planted_errors():
    smooth = derive_eigenvalue(nngp(erf, 1, weight_variance=2), k, d)
    laplace = derive_eigenvalue(dot_product_kernel(sympy.exp(-DISTANCE)), k, d)
    lemma, equation, ratio, last = (smooth.steps[i].evidence for i in (1, 2, 3, -1))
    assert isinstance(lemma, DegreeInduction)
    assert isinstance(equation, DifferentialEquation)
    assert isinstance(ratio, SummandRatio)
    assert isinstance(last, SpectrumCertificate)
    yield changed(smooth, 1, formula=2 * lemma.formula), 2, "is not the Beta integral"
    wrong = lemma.formula * sympy.gamma(N + K + D) / sympy.gamma(N + D)
    yield changed(smooth, 1, formula=wrong), 2, "violate the recurrence"
    far = laplace.steps[1].evidence.formula * (1 + K * N)
    yield changed(laplace, 1, formula=far), 2, "violate the recurrence"
    for parts, message in (
        ({"constant": R(4, 5)}, "no proof was found"),
        ({"upper": (0, 1)}, "no proof was found"),
        ({"first": 2 * equation.coefficients.first}, "the coefficient of t"),
        ({"start": 3}, "coefficient"),
    ):
        coefficients = dataclasses.replace(equation.coefficients, **parts)
        yield changed(smooth, 2, coefficients=coefficients), 3, message
    yield changed(smooth, 3, ratio=ratio.ratio * 2), 4, "the summands have the ratio"
    for factor in (1 + sympy.Integer(10) ** -9, -1, sympy.gamma(d) / sympy.gamma(d + 1)):
        rhs = sympy.Piecewise(*((factor * e, c) for e, c in last.formula.rhs.args))
        formula = dataclasses.replace(last.formula, rhs=rhs)
        yield changed(smooth, -1, formula=formula), 5, "at degree 1 and dim = 3 the formula gives"
    unseen = sympy.Piecewise((sympy.Integer(1), sympy.Eq(k, 4)), *last.formula.rhs.args)
    formula = dataclasses.replace(last.formula, rhs=unseen)
    yield changed(smooth, -1, formula=formula), 5, "at degree 4"
    # What is shown is not what is verified.
    for index in (1, 3, 4):
        step = smooth.steps[index]
        statement = sympy.Eq(step.statement.lhs, 2 * step.statement.rhs, evaluate=False)
        steps = list(smooth.steps)
        steps[index] = dataclasses.replace(step, statement=statement)
        yield dataclasses.replace(smooth, steps=tuple(steps)), index + 1, "not equal|was verified"


def test_planted_steps_are_named():
    smooth = derive_eigenvalue(nngp(erf, 1, weight_variance=2), k, d)
    assert smooth.verify(digits=6).statuses[-1] == "certified to 6 digits"
    for derivation, number, message in planted_errors():
        with pytest.raises(DerivationError, match=message) as caught:
            derivation.verify(digits=6)
        assert str(caught.value).startswith(f"step {number} of eigenvalue of nngp(erf") or str(
            caught.value
        ).startswith(f"step {number} of eigenvalue of dot_product_kernel(exp")


@pytest.mark.parametrize("family", [POWERS, DISTANCES])
def test_induction_is_not_fooled_by_the_wrong_family(family):
    other = POWERS if family is DISTANCES else DISTANCES
    with pytest.raises(DerivationError):
        DegreeInduction(family.eigenvalue(N, K).expression, other).verify(10)


def test_series_are_found_only_where_they_are_hypergeometric():
    assert hypergeometric_series(sympy.asin(t), t) is not None
    assert hypergeometric_series(sympy.asin((1 + t) / 2), t) is None
    assert hypergeometric_series(sympy.sqrt(2 - t) * sympy.sqrt(3 - t), t) is None
    broken = hypergeometric_series(sympy.log(2 - t), t)
    assert broken is not None
    assert broken.polynomial == sympy.log(2)
    coefficients = broken.classes[0]
    for n in range(1, 6):
        assert coefficients.value(n) == -R(1, n) / 2**n


# --- bad input --------------------------------------------------------------------------------


def test_refusals():
    layer = nngp(relu, 1, weight_variance=2)
    with pytest.raises(TypeError, match="kernel must come from"):
        eigenvalue(sympy.exp(t), 1, 3)  # pyright: ignore
    with pytest.raises(ValueError, match="degree must be an integer of at least 0, got -1"):
        eigenvalue(layer, -1, 3)
    with pytest.raises(ValueError, match="dim must be an integer of at least 2, got 1"):
        eigenvalue(layer, 1, 1)
    with pytest.raises(TypeError, match="dim must be an integer or a sympy symbol, got 5/2"):
        eigenvalue(layer, 1, R(5, 2))
    with pytest.raises(ValueError, match="must be two symbols, got k twice"):
        eigenvalue(layer, k, k)
    formula = eigenvalue(layer, k, d)
    with pytest.raises(ValueError, match=r"k must be an integer of at least 0, got 1\.5"):
        formula(1.5, 3)
    with pytest.raises(ValueError, match="d must be at least 2, got 1"):
        formula(1, 1)
    with pytest.raises(TypeError, match="takes 2 values"):
        formula(1)


@pytest.mark.parametrize(
    "kernel",
    [
        nngp(relu, 1, weight_variance=2, bias_variance=1),
        ntk(relu, 2, weight_variance=2),
        ntk(relu, 5, weight_variance=2, bias_variance=1),  # a formula too large to write down
        nngp(tanh, 1, weight_variance=2),
        dot_product_kernel(sympy.sqrt(2 - t) * sympy.sqrt(3 - t)),
    ],
    ids=repr,
)
def test_kernels_without_a_closed_form_are_refused(kernel):
    told = re.escape(f"{kernel} has no closed eigenvalue here: ") + ".*; certified_spectrum may"
    with pytest.raises(DerivationError, match=told):
        eigenvalue(kernel, k, d)


def test_kernels_that_are_infinite_at_an_end():
    with pytest.raises(ValueError, match="must be finite at t = 1"):
        dot_product_kernel((1 - t) ** R(-1, 4))
    # At t = -1 it depends on the dimension whether the integral is finite.
    kernel = dot_product_kernel((1 + t) ** R(-3, 4))
    with pytest.raises(DivergentError, match="infinite at dim = 2"):
        eigenvalue(kernel, 1, 2)
    formula = eigenvalue(kernel, 0, d)
    assert formula.domain != sympy.Ge(d, 2)
    with pytest.raises(ValueError, match="holds for"):
        formula.certified(2)
    # At d = 3: half the integral of (1 + t)^(-3/4).
    assert math.isclose(formula(3), 2 * 2 ** (1 / 4), rel_tol=1e-15)
