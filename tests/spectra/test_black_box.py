"""Spectra of functions known by their values: the errors they state, and what is refused."""

import numpy as np
import pytest
import sympy

from kerneltheory.kernels.base import T
from kerneltheory.kernels.kernel import dot_product_kernel, nngp
from kerneltheory.spectra.black_box import black_box_spectrum
from kerneltheory.spectra.domains import certified_spectrum, spectrum


def values(expression):
    """A plain function of an array, which knows nothing of its expression."""
    return sympy.lambdify(T, expression, "numpy")


ANALYTIC = (sympy.exp(T), sympy.exp((T - 1) / sympy.Rational(9, 100)), (1 + T) ** 3, 1 / (2 - T))
ROUGH = {
    "Laplace": (dot_product_kernel(sympy.exp(-sympy.sqrt(2 - 2 * T))), None),
    "arc-cosine": (nngp(sympy.Max(T, 0), 1, weight_variance=2), None),
    "kink": (dot_product_kernel(sympy.Max(T, 0)), lambda t: np.maximum(t, 0)),
    "jump": (dot_product_kernel(sympy.Heaviside(T)), lambda t: (t > 0) + (t == 0) / 2),
    "kink off the equator": (
        dot_product_kernel(sympy.Max(T - sympy.Rational(3, 10), 0) ** 2),
        lambda t: np.maximum(t - 0.3, 0) ** 2,
    ),
}
dims = pytest.mark.parametrize("dim", [2, 3, 5, 30, 344])


def check_errors(found, kernel, dim):
    """Every eigenvalue is as near to the certified one as the spectrum says."""
    top = len(found.degrees) - 1
    expected = certified_spectrum(kernel, dim, top, digits=20).round()
    assert np.all(np.abs(found.eigenvalues - expected.eigenvalues) <= found.errors)
    np.testing.assert_allclose(found.multiplicities, expected.multiplicities, rtol=1e-15)


@dims
@pytest.mark.parametrize("expression", ANALYTIC, ids=str)
def test_errors_are_bounds_for_analytic_functions(expression, dim):
    found = spectrum(values(expression), dim, 20)
    kernel = dot_product_kernel(expression)
    check_errors(found, kernel, dim)
    # Rounding of 2 (4 + k) eps on the largest term, |h| <= h(1), and on the rule's weights.
    assert found.errors.max() < 1e-12 * kernel.trace
    assert found.positive_definite


@dims
@pytest.mark.parametrize("name", ROUGH)
def test_errors_are_bounds_for_kinks_and_jumps(name, dim):
    kernel, function = ROUGH[name]
    found = spectrum(function or (lambda t: np.asarray(kernel(t))), dim, 20)
    check_errors(found, kernel, dim)
    # Where h is rough at the poles only, the rule in the angle does not see it; elsewhere the
    # error falls with the nodes, of which there are 2048 (2^20 on the circle).
    assert found.errors.max() < (1e-9 if function is None else 1e-2) * kernel.trace


def test_what_is_noise_is_in_the_tail():
    found = spectrum(values(sympy.exp(T)), 30, 40)
    known = np.abs(found.eigenvalues) > found.errors
    masses = np.asarray(found.level_masses)
    assert not known.all()
    assert found.tail >= 0
    # Relative to h(1), as rounding is.
    assert abs(masses[known].sum() + found.tail - np.exp(1)) < 1e-12 * np.exp(1)


def test_the_circle_has_its_own_rule():
    circle, sphere = (spectrum(np.exp, 2, 5, domain=name) for name in ("circle", "sphere"))
    assert (circle.domain, sphere.domain) == ("circle", "sphere")
    assert circle.method.startswith("trapezoid rule")
    assert np.array_equal(circle.eigenvalues, sphere.eigenvalues)
    assert spectrum(np.exp, 3, 5).method.startswith("Gauss-Legendre")


def test_multiplicities_beyond_floats_have_logarithms():
    found = black_box_spectrum(np.exp, 10**4, 150)
    assert np.isinf(found.multiplicities).any()
    assert np.isfinite(found.log_multiplicities).all()


@dims
@pytest.mark.parametrize(
    ("function", "error", "message"),
    [
        (lambda t: t[1:], ValueError, "kernel must keep the shape"),
        (lambda t: t[:, None], ValueError, "kernel must keep the shape"),
        (lambda t: 1.0, ValueError, "kernel must keep the shape"),
        (lambda t: t * np.nan, ValueError, "kernel must be finite"),
        (lambda t: np.where(t > 0.5, np.inf, t), ValueError, "kernel must be finite"),
        (lambda t: t + 1j, TypeError, "kernel must be a real array"),
        (lambda t: np.array(["a"] * len(t)), TypeError, "kernel must be a real array"),
        (lambda t: {}, TypeError, "kernel must be a real array"),
    ],
)
def test_bad_functions_are_refused(function, error, message, dim):
    with pytest.raises(error, match=message):
        spectrum(function, dim, 4)


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="max_degree must be"):
        spectrum(np.exp, 3, -1)
    with pytest.raises(ValueError, match="dim must be 2"):
        spectrum(np.exp, 3, 2, domain="circle")
    with pytest.raises(TypeError, match="kernel must come from"):
        spectrum(np.exp, 3, 2, domain="hypercube")
