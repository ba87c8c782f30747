"""h(t)/h(1) and log h(1), where h(1) itself is beyond every float."""

import jax
import jax.numpy as jnp
import numpy as np
import problems
import pytest
import sympy
from flint import arb, ctx

from kerneltheory.activations.activation import activation
from kerneltheory.activations.catalogue import (
    absolute,
    erf,
    gelu,
    leaky_relu,
    monomial,
    rectified_monomial,
    relu,
    sign,
    step,
    two_slope,
)
from kerneltheory.core.errors import KernelTheoryError
from kerneltheory.kernels import recursion
from kerneltheory.kernels.kernel import dot_product_kernel, nngp, ntk
from kerneltheory.kernels.maps import ball_maps

TENTH = sympy.Rational(1, 10)
COSINES = np.array([-0.9, -0.3, 0.0, 0.5, 0.99, 1.0])
x = sympy.Symbol("x", real=True)
HOMOGENEOUS = [
    relu,
    absolute,
    leaky_relu(TENTH),
    two_slope(-1, 3),
    monomial(1),
    rectified_monomial(1),
    activation(sympy.Max(x / 10, x)),
    activation(sympy.sqrt(x**2)),
]
OTHERS = [
    erf,
    gelu,
    sign,
    step,
    monomial(2),
    rectified_monomial(2),
    activation(sympy.Max(x, 1)),
    activation(x * sympy.Heaviside(x - 1)),
]


@pytest.mark.parametrize("phi", HOMOGENEOUS, ids=lambda phi: phi.name)
def test_two_lines_that_meet_at_zero_are_homogeneous(phi):
    assert phi.homogeneous


@pytest.mark.parametrize("phi", OTHERS, ids=lambda phi: phi.name)
def test_others_are_not_homogeneous(phi):
    assert not phi.homogeneous


SHALLOW = [
    make(phi, 3, weight_variance=w, bias_variance=b)
    for make in (nngp, ntk)
    for phi, w, b in [
        (relu, 4, 0),
        (relu, 1, TENTH),
        (leaky_relu(TENTH), 3, TENTH),
        (absolute, 1, 2),
        (erf, 2, TENTH),
        (problems.gelu, 2, 0),
    ]
]


@pytest.mark.parametrize("kernel", SHALLOW, ids=repr)
def test_correlation_is_the_kernel_over_its_value_at_one(kernel):
    found = kernel.correlation(COSINES)
    np.testing.assert_allclose(found, kernel(COSINES) / kernel.trace, rtol=1e-13)
    assert found[-1] == 1
    assert kernel.log_trace == pytest.approx(np.log(kernel.trace), abs=1e-15)


@pytest.mark.slow
@pytest.mark.parametrize("kernel", SHALLOW[1::5], ids=repr)
def test_gradients_are_those_of_the_kernel(kernel):
    with jax.enable_x64(True):
        slope = float(jax.grad(kernel.correlation)(0.3))
        expected = float(jax.grad(kernel)(0.3)) / kernel.trace
    assert slope == pytest.approx(expected, rel=1e-12)


def test_correlations_in_balls_enclose_those_of_the_plain_recursion():
    kernel = ntk(relu, 5, weight_variance=3, bias_variance=TENTH)
    with ctx.workdps(40):
        bias, cosine = arb(1) / 31, arb(3) / 10
        gap = 30 * (1 - cosine) / 31
        ratio = recursion.correlations(ball_maps(relu), 5, arb(3), bias, arb(1), gap, True)
        assert ratio.overlaps(kernel.on_balls(cosine) / kernel.ball_at_one())
        assert ratio.rad() < 1e-30


def test_sums_and_functions_of_the_cosine_have_correlations_too():
    t = sympy.Symbol("t")
    kernel = dot_product_kernel(sympy.exp(t)) + nngp(relu, 1, weight_variance=2)
    np.testing.assert_allclose(kernel.correlation(COSINES), kernel(COSINES) / (np.e + 2))
    assert kernel.log_trace == pytest.approx(np.log(np.e + 2), rel=1e-15)


# --- a thousand layers, each of which doubles the variance -------------------------------------

DEPTH = 1000
POINTS = [-1.0, 0.0, 0.9999]


def bracket(cosine, rounding, side, tangent):
    """The recursion of relu (Cho and Saul) in correlations, moved to one side in every layer.

    A correlation is rounded after a few operations. The angle, and with it the slope, has then an
    error of rounding/sin(angle); in the correlation itself that of the sine cancels.
    """
    c = theta = cosine
    for _ in range(DEPTH):
        angle = np.arccos(c)
        lost = rounding / max(np.sin(angle), np.sqrt(rounding)) / np.pi
        slope = 1 - angle / np.pi
        c = (np.sin(angle) + (np.pi - angle) * c) / np.pi
        c = np.clip(c + 2 * side * rounding, -1, 1)
        theta = c + min(slope + side * lost, 1) * theta
    return theta / (DEPTH + 1) if tangent else c


@pytest.mark.slow
@pytest.mark.parametrize("make", [nngp, ntk])
def test_a_thousand_growing_layers_against_balls(make):
    kernel = make(relu, DEPTH, weight_variance=4)
    single = kernel.correlation(jnp.asarray(POINTS, jnp.float32))
    assert single.dtype == jnp.float32
    double = kernel.correlation(np.array(POINTS))
    with ctx.workprec(8000):
        top = kernel.ball_at_one()
        certified = [float((kernel.on_balls(arb(point)) / top).mid()) for point in POINTS]
    for values, rounding in ((single, 2.0**-24), (double, 2.0**-53)):
        for value, truth, point in zip(values, certified, POINTS, strict=True):
            low, high = (bracket(point, rounding, side, kernel.tangent) for side in (-1, 1))
            assert low < truth < high
            assert low < value < high
    assert kernel.correlation(1.0) == 1
    assert kernel.correlation(jnp.float32(1)) == 1


def test_logarithm_of_a_trace_that_is_no_float():
    # Theta(1) = (depth + 1) K(1), and K(1) = w (w/2)^depth.
    for depth in (10, 3000):
        expected = np.log(4) + depth * np.log(2)
        kernel = nngp(relu, depth, weight_variance=4)
        assert kernel.log_trace == pytest.approx(expected, rel=1e-15)
        kernel = ntk(relu, depth, weight_variance=4)
        assert kernel.log_trace == pytest.approx(expected + np.log(depth + 1), rel=1e-15)


def test_shrinking_variances_do_not_vanish():
    # (1/4)^2000 is no float64; the correlations are those of any other weight variance.
    small, other = (nngp(relu, 2000, weight_variance=w) for w in (0.5, 2))
    np.testing.assert_array_equal(small.correlation(COSINES), other.correlation(COSINES))
    assert small.log_trace == pytest.approx(np.log(0.5) - 2000 * np.log(4), rel=1e-15)


def test_correlation_under_jit_in_float32():
    kernel = ntk(relu, 300, weight_variance=4)
    found = jax.jit(kernel.correlation)(jnp.asarray(COSINES, jnp.float32))
    assert found.dtype == jnp.float32
    np.testing.assert_array_equal(found, kernel.correlation(jnp.asarray(COSINES, jnp.float32)))


@pytest.mark.slow
def test_others_that_overflow_are_refused():
    # gelu(u) is about max(u, 0) at large variances, which grow by w/2 = 4 in every layer.
    kernel = nngp(problems.gelu, 200, weight_variance=8)
    assert kernel.log_trace == pytest.approx(200 * np.log(4) + np.log(8), rel=0.01)
    with pytest.raises(KernelTheoryError, match=r"out of reach of float64: log h\(1\) is 27"):
        kernel.correlation(0.5)
    # Within float64, beyond float32.
    kernel = nngp(problems.gelu, 80, weight_variance=8)
    assert 0 < kernel.correlation(0.5) < 1
    with pytest.raises(KernelTheoryError, match=r"of reach of float32.* or float64"):
        kernel.correlation(jnp.float32(0.5))
    with pytest.raises(KernelTheoryError, match=r"of reach of float32"):
        jax.jit(kernel.correlation)(jnp.float32(0.5))


def test_trace_survives_cancellation_at_large_variances():
    # Each layer of gelu's formula cancels more of a variance of 4^80, and 40 digits were NaN.
    kernel = nngp(problems.gelu, 80, weight_variance=8)
    assert kernel.trace == pytest.approx(float(kernel.correlation(1.0) * kernel(1 - 1e-15)))


def test_cosines_are_checked():
    with pytest.raises(ValueError, match=r"t must hold cosines in \[-1, 1\], got one of size 2"):
        nngp(relu, 1, weight_variance=2).correlation(2.0)
