"""Sums, products, multiples and powers of kernels: values, Gram matrices, enclosures, spectra."""

import pickle

import numpy as np
import pytest
import sympy
from flint import arb, ctx

from kerneltheory.activations.catalogue import erf, relu
from kerneltheory.kernels.kernel import dot_product_kernel, nngp, ntk
from kerneltheory.spectra.domains import certified_spectrum, spectrum

t = sympy.Symbol("t")
NTK = ntk(relu, 1, weight_variance=2)
NNGP = nngp(erf, 2, weight_variance=2, bias_variance=1)
CUBIC = dot_product_kernel((1 + t) ** 3)


def test_values_are_combined_values():
    cosines = np.array([-1, -0.4, 0.0, 0.7, 1])
    np.testing.assert_allclose((NTK + NNGP)(cosines), NTK(cosines) + NNGP(cosines), rtol=1e-15)
    np.testing.assert_allclose((NTK * CUBIC)(cosines), NTK(cosines) * CUBIC(cosines), rtol=1e-14)
    np.testing.assert_allclose((0.25 * NTK)(cosines), NTK(cosines) / 4, rtol=1e-15)
    np.testing.assert_allclose((NNGP**3)(cosines), NNGP(cosines) ** 3, rtol=1e-14)


def test_gram_matrices_are_combined_entry_by_entry():
    rows = np.random.default_rng(0).standard_normal((6, 4))
    found = (3 * (NTK + NNGP)).gram(rows)
    np.testing.assert_allclose(found, 3 * (NTK.gram(rows) + NNGP.gram(rows)), rtol=1e-15)
    assert np.linalg.eigvalsh((NTK * NNGP).gram(rows))[0] > 0  # Schur's product theorem
    assert (NTK * NNGP).gram(rows, rows[:2]).shape == (6, 2)


@pytest.mark.parametrize("kernel", [NTK + NNGP, NTK * CUBIC, 2 * NNGP, NTK**2], ids=repr)
def test_arithmetics_agree(kernel):
    with ctx.workdps(40):
        for value in (-0.5, 0.25, 0.875):
            ball = float(kernel.on_balls(arb(value)).mid())
            assert float(kernel(value)) == pytest.approx(ball, rel=1e-13)
            assert float(kernel.formula(value)) == pytest.approx(ball, rel=1e-13)


def test_spectrum_is_linear():
    """Eigenvalues of a sum are sums, of a multiple multiples."""
    combined = certified_spectrum(0.5 * (NTK + NNGP), 7, 6, digits=15)
    parts = [certified_spectrum(kernel, 7, 6, digits=20) for kernel in (NTK, NNGP)]
    for ball, first, second in zip(
        combined.eigenvalues, *(p.eigenvalues for p in parts), strict=True
    ):
        assert ball.overlaps((first + second) / 2)


def test_eigenvalue_of_a_product_with_the_linear_kernel():
    """lambda_0(t h) = lambda_1(h) in every dimension."""
    linear = dot_product_kernel(t)
    for dim in (3, 24):
        product = spectrum(NNGP * linear, dim, 0).eigenvalues[0]
        assert product == pytest.approx(spectrum(NNGP, dim, 1).eigenvalues[1], rel=1e-14)


def test_trace_pickling_equality_and_text():
    kernel = 2 * (NTK + NNGP)
    assert kernel.trace == pytest.approx(2 * (NTK.trace + NNGP.trace), rel=1e-15)
    assert pickle.loads(pickle.dumps(kernel)) == kernel
    assert hash(kernel) == hash(2 * (NTK + NNGP))
    assert repr(kernel).startswith("2 * (ntk(relu")


@pytest.mark.parametrize("factor", [0, -1])
def test_factors_must_be_positive(factor):
    with pytest.raises(ValueError, match="positive numbers only"):
        factor * NTK


def test_what_is_no_kernel_is_refused():
    with pytest.raises(TypeError):
        NTK + 1
    with pytest.raises(TypeError):
        NTK * "a"
    with pytest.raises(ValueError, match="exponent"):
        NTK**0
