"""Large degree and large dimension: laws against certificates, exact masses and the literature."""

import dataclasses
import itertools
import math

import numpy as np
import problems
import pytest
import sympy
from flint import arb, ctx

from kerneltheory.activations.catalogue import erf, gelu, hard_tanh, relu, step, tanh
from kerneltheory.core.errors import DerivationError, KernelTheoryError
from kerneltheory.kernels.kernel import dot_product_kernel, nngp, ntk
from kerneltheory.spectra.domains import certified_spectrum, spectrum
from kerneltheory.spectra.exact import eigenvalue
from kerneltheory.spectra.expansion import (
    ManyDegrees,
    RationalSeries,
    derive_eigenvalue_expansion,
    derive_general_expansion,
    eigenvalue_expansion,
)
from kerneltheory.spectra.lemmas import DISTANCES
from kerneltheory.spectra.local_series import at_end, at_zero, kernel_series, written_out
from kerneltheory.spectra.summation import D, K
from kerneltheory.spectra.tail_derivation import (
    LocalExpansion,
    TailCertificate,
    derive_tail_law,
)
from kerneltheory.spectra.tail_law import tail_law
from kerneltheory.sphere.harmonics import multiplicity

t = sympy.Symbol("t", real=True)
d = sympy.Symbol("d")
R = sympy.Rational
LAPLACE = dot_product_kernel(sympy.exp(-sympy.sqrt(2 - 2 * t)))


def leading_coefficients(law):
    return law.nu, sympy.simplify(law.c_plus), sympy.simplify(law.c_minus)


# --- singularities ----------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_relu_networks_at_one(depth):
    """With 1 - c = s^2, one layer of relu maps c to c + (2 sqrt 2 / (3 pi)) s^3 + O(s^4).

    So the NNGP collects depth such terms; the slopes of the layers, 1 - (sqrt 2/pi) s, multiply,
    and Theta has sum_l l = depth (depth + 1)/2 of them (arXiv:2009.14397 states the powers).
    """
    root = sympy.sqrt(2)
    covariance = tail_law(nngp(relu, depth, weight_variance=2), d)
    assert (covariance.nu, covariance.c_plus) == (R(3, 2), 4 * root * depth / (3 * sympy.pi))
    tangent = tail_law(ntk(relu, depth, weight_variance=2), d)
    assert tangent.nu == R(1, 2)
    assert sympy.expand(tangent.c_plus + root * depth * (depth + 1) / sympy.pi) == 0
    assert tangent.exponent == d


def test_relu_networks_at_minus_one():
    one, two = (tail_law(ntk(relu, depth, weight_variance=2), d) for depth in (1, 2))
    assert one.c_minus == one.c_plus
    assert one.odd_constant == 0
    # At t = -1 the second layer is at c = 0, where its slope is 1/2 and its covariance smooth.
    assert sympy.simplify(two.c_minus - one.c_minus / 2) == 0
    biased = tail_law(ntk(relu, 2, weight_variance=2, bias_variance=1), d)
    assert biased.c_minus == 0  # t = -1 is inside the domain of the first layer


def test_steps_make_roots_of_roots():
    law = tail_law(nngp(step, 3, weight_variance=2), d)
    assert law.nu == R(1, 8)
    # A layer maps 1 - c to sqrt(2 (1 - c)) / pi.
    size = (sympy.sqrt(2) / sympy.pi) ** (1 + R(1, 2) + R(1, 4))
    assert float(-law.c_plus / size) == pytest.approx(1, rel=1e-14)


def test_dot_product_kernels_and_combinations():
    assert leading_coefficients(tail_law(LAPLACE, d)) == (R(1, 2), -sympy.sqrt(2), 0)
    powers = dot_product_kernel(3 - (1 - t) ** R(1, 3) + 2 * (1 + t) ** R(1, 3))
    assert leading_coefficients(tail_law(powers, d)) == (R(1, 3), -1, 2)
    layer = nngp(relu, 1, weight_variance=2)
    composed, deep = (
        tail_law(kernel, d, terms=2)
        for kernel in (layer.compose(layer), nngp(relu, 2, weight_variance=2))
    )
    for first, second in zip(composed.singularities, deep.singularities, strict=True):
        assert 2 * sympy.expand(first.c_plus) == 2 * sympy.expand(second.c_plus)
    product = tail_law(layer * LAPLACE, d)
    assert leading_coefficients(product) == (R(1, 2), -2 * sympy.sqrt(2), 0)
    both = tail_law(layer * 2 + LAPLACE, d, terms=2)
    assert [s.nu for s in both.singularities] == [R(1, 2), R(3, 2)]


@pytest.mark.parametrize(
    "kernel",
    [
        ntk(erf, 3, weight_variance=2),
        nngp(gelu, 2, weight_variance=2, bias_variance=R(1, 10)),
        dot_product_kernel(sympy.exp(4 * t)),
        dot_product_kernel((1 + t) ** 3),
    ],
    ids=repr,
)
def test_analytic_kernels_have_no_power_law(kernel):
    law = tail_law(kernel, 5)
    assert (law.nu, law.exponent, law.formula, law.tail_mass) == (None, sympy.oo, None, None)
    assert law.even_constant == law.odd_constant == 0
    assert "faster than any power" in str(law)
    with pytest.raises(KernelTheoryError, match="faster than any power"):
        derive_tail_law(kernel, 5)


def test_local_series_are_the_kernel():
    kernel = ntk(relu, 2, weight_variance=2, bias_variance=R(1, 2))
    taylor = dict(kernel_series(kernel, at_zero(4)).terms)
    found = [float(written_out(taylor[sympy.Integer(n)])) for n in range(4)]
    np.testing.assert_allclose(found, kernel.taylor_coefficients(4), rtol=1e-14)
    with ctx.workdps(60):
        s = arb("1e-5")
        series = kernel_series(LAPLACE, at_end(1, 8))
        total = sum((arb(str(sympy.N(c, 50))) * s ** int(e) for e, c in series.terms), arb(0))
        assert abs(total - LAPLACE.on_balls(1 - s * s)) < s ** int(series.order)


# --- laws against eigenvalues -------------------------------------------------------------------


def distances(law, values, degrees):
    return [abs(v / float(law.formula(k)) - 1) for v, k in zip(values, degrees, strict=True)]


@pytest.mark.parametrize("dim", [2, 3, 6])
def test_law_and_its_expansion_for_the_laplace_kernel(dim):
    """The next exponent is 3/2, so one term errs by O(k^-2) and three by O(k^-6)."""
    exact = eigenvalue(LAPLACE, K, dim)
    degrees = [20, 40, 80, 160]
    values = [float(exact.certified(degree).mid()) for degree in degrees]
    one, three = (tail_law(LAPLACE, dim, terms=terms) for terms in (1, 3))
    first, third = (distances(law, values, degrees) for law in (one, three))
    assert first[-1] < 1e-3
    for law, order in ((first, 2), (third, 6)):
        for before, after in itertools.pairwise(law):
            if before > 1e-12:
                assert before / after > 0.8 * 2**order


@pytest.mark.parametrize(
    ("kernel", "dim"),
    [
        (ntk(relu, 3, weight_variance=2), 3),
        (nngp(relu, 2, weight_variance=2), 4),
        (nngp(relu, 1, weight_variance=2) * LAPLACE, 3),
    ],
    ids=repr,
)
def test_law_against_certified_eigenvalues(kernel, dim):
    law = tail_law(kernel, dim, terms=2)
    balls = certified_spectrum(kernel, dim, 61, digits=10).eigenvalues
    for parity in (0, 1):
        degrees = [15 - parity, 31 - parity, 61 - parity]
        found = distances(law, [float(balls[degree].mid()) for degree in degrees], degrees)
        assert found[-1] < 3e-3
        assert found[0] > 2.5 * found[1] > 2.5**2 * found[2]
    power = float(law.even_constant) * 1000.0 ** -float(law.exponent)
    assert float(law.formula(1000)) == pytest.approx(power, rel=0.02)


@pytest.mark.parametrize("dim", [2, 3, 8])
def test_mass_of_the_tail(dim):
    """Closed sums of N lambda above a degree: for one pure power they are exact."""
    nu = R(1, 2)
    pure = dot_product_kernel(2 - (1 - t) ** nu)
    law, exact = tail_law(pure, dim), eigenvalue(pure, K, dim)
    with ctx.workdps(30):
        total = sum((multiplicity(dim, i) * exact.certified(i) for i in range(12)), arb(0))
        assert (2 - total).overlaps(law.tail_mass.certified(11))
    # Both ends: h(-1) = 1 has half the alternating masses.
    both = dot_product_kernel(4 - (1 - t) ** nu - (1 + t) ** nu / 2)
    law = tail_law(both, dim)
    exact = eigenvalue(both, K, dim)
    for top in (21, 22):
        below = sum(float(multiplicity(dim, i) * exact.certified(i).mid()) for i in range(top + 1))
        left = 4 - math.sqrt(2) / 2 - below
        assert float(law.tail_mass(top)) == pytest.approx(left, rel=dim / 4 / top**2)


def test_mass_of_the_tail_of_a_network():
    kernel, dim = ntk(relu, 2, weight_variance=2), 3
    tail = float(certified_spectrum(kernel, dim, 40, digits=10).tail.mid())
    errors = [abs(float(tail_law(kernel, dim, terms=n).tail_mass(40)) / tail - 1) for n in (1, 2)]
    assert errors[0] < 1e-2
    assert errors[1] < errors[0] / 3


def test_refusals():
    for kernel in (nngp(tanh, 1, weight_variance=1), nngp(hard_tanh, 1, weight_variance=1)):
        with pytest.raises(KernelTheoryError, match="local expansion"):
            tail_law(kernel, 3)
    with pytest.raises(ValueError, match="terms must be an integer of at least 1, got 0"):
        tail_law(LAPLACE, 3, terms=0)
    with pytest.raises(ValueError, match="dim must be an integer of at least 2, got 1"):
        tail_law(LAPLACE, 1)
    with pytest.raises(KernelTheoryError, match="no singular term"):
        tail_law(dot_product_kernel(sympy.cosh(sympy.sqrt(2 - 2 * t))), 3)


def test_planted_laws_are_refuted():
    derivation = derive_tail_law(LAPLACE, 3)
    assert derivation.verify(digits=12).statuses[:3] == (*["certified to 12 digits"] * 2, "proved")
    law = tail_law(LAPLACE, 3)
    wrong_constant = dataclasses.replace(law.formula, rhs=law.formula.rhs * R(11, 10))
    other_power = dataclasses.replace(
        law.formula, rhs=DISTANCES.eigenvalue(sympy.Integer(3), K).subs({D: 3}).expression
    )
    for formula in (wrong_constant, other_power):
        planted = dataclasses.replace(law, formula=formula)
        with pytest.raises(DerivationError, match="do not approach it"):
            TailCertificate(planted, formula.rhs).verify(12)
    evidence = derivation.steps[0].evidence
    assert isinstance(evidence, LocalExpansion)
    lost = tuple((e, c * (1 + R(1, 10**6)) if e == R(1, 2) else c) for e, c in evidence.terms)
    with pytest.raises(DerivationError, match="the expansion at t = 1 is off by"):
        dataclasses.replace(evidence, terms=lost).verify(12)


# --- large dimension ----------------------------------------------------------------------------


@pytest.mark.parametrize("degree", range(4))
@pytest.mark.parametrize(
    "kernel",
    [dot_product_kernel(sympy.exp(2 * t)), nngp(gelu, 1, weight_variance=2), problems.ARC_COSINE_1],
    ids=str,
)
def test_expansion_in_large_dimension(kernel, degree):
    kernel = kernel if hasattr(kernel, "formula") else dot_product_kernel(kernel)
    order = 3
    series, exact = eigenvalue_expansion(kernel, degree, order), eigenvalue(kernel, degree, D)
    errors = []
    with ctx.workdps(60):
        for dim in (10**4, 10**5):
            mass = multiplicity(dim, degree) * exact.certified(dim, digits=45)
            errors.append(abs(mass - series.certified(dim, digits=45)))
        largest = max(map(abs, kernel.taylor_coefficients(degree + 10)))
        # The first term left out, a_{k+8} (k + 8)!/(k! 4! 2^4) / d^4 and its like.
        bound = 100 * (degree + 8) ** 8 / 384 * largest
        assert errors[0] < bound * arb(10) ** -16
        assert errors[1] < bound * arb(10) ** -20


def test_general_expansion_is_that_of_the_theory():
    k = sympy.Symbol("k", integer=True, nonnegative=True)
    derivation = derive_general_expansion(2)
    assert derivation.verify().statuses == ("proved", "proved")
    a0, a1, a2 = derivation.result.args[2:]
    first = (k + 1) * (k + 2) / 2 * a1 - k * (k - 1) / 2 * a0
    second = (
        (k + 1) * (k + 2) * (k + 3) * (k + 4) / 8 * a2
        - k * (k + 1) * (k + 2) * (k + 3) / 4 * a1
        + k * (k - 1) * (k - 2) * (k + 5) / 8 * a0
    )
    expected = a0 + first / D + second / D**2
    assert sympy.expand(derivation.result.rhs - expected) == 0
    evidence = derivation.steps[-1].evidence
    assert isinstance(evidence, ManyDegrees)
    with pytest.raises(DerivationError, match="differs from"):
        dataclasses.replace(evidence, claimed=evidence.claimed + K * a1 / D**2).verify(10)


def test_derivation_of_an_expansion():
    derivation = derive_eigenvalue_expansion(nngp(relu, 2, weight_variance=2), 1, 1, d)
    assert set(derivation.verify().statuses) == {"proved"}
    step = derivation.steps[1].evidence
    assert isinstance(step, RationalSeries)
    with pytest.raises(DerivationError, match=r"by a term of order d\^-1"):
        dataclasses.replace(step, claimed=step.claimed + 1 / D).verify(10)
    kernel = nngp(relu, 2, weight_variance=2)
    series = eigenvalue_expansion(kernel, 0, 1, d)
    assert float(series.coefficients[0]) == pytest.approx(kernel.taylor_coefficients(1)[0])
    assert str(series).endswith("+ O(d**(-2))")
    assert series.remainder == sympy.Order(1 / d**2, (d, sympy.oo))
    with pytest.raises(TypeError, match="dim must be a sympy symbol, got 3"):
        eigenvalue_expansion(kernel, 0, 1, 3)  # pyright: ignore


def test_derivation_where_the_kernel_vanishes_at_one_end():
    kernel = dot_product_kernel((1 + t) ** 3 * (3 - sympy.sqrt(1 - t)))
    statuses = derive_tail_law(kernel, 4).verify(digits=8).statuses
    assert statuses[:2] == ("certified to 8 digits",) * 2


def test_a_law_is_drawn_over_its_spectrum():
    kernel = ntk(relu, 1, weight_variance=2)
    law = tail_law(kernel, 5)
    # C k^-5 of even degrees, exactly; odd ones vanish and have no place on a logarithmic axis.
    np.testing.assert_array_equal(law([41, 43]), 0)
    assert law(40) == pytest.approx(float(law.even_constant) * 40.0**-5, rel=0.2)
    axes = spectrum(kernel, 5, 40).plot(law=law)
    drawn = [line for line in axes.lines if line.get_gid() == "law"]
    assert len(drawn) == 2
    assert all(np.all(np.asarray(line.get_xdata()) % 2 == 0) for line in drawn)
    with pytest.raises(ValueError, match="dim must be a number"):
        tail_law(kernel, sympy.Symbol("d"))(3)
