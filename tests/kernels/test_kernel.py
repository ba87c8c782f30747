"""Kernels of networks: closed forms, the plain recursion at 50 digits, and finite networks."""

import itertools
import math
from fractions import Fraction

import jax
import jax.numpy as jnp
import laws
import mpmath as mp
import numpy as np
import problems
import pytest
import sympy
from flint import arb, ctx, fmpq

from kerneltheory.activations.catalogue import erf, relu
from kerneltheory.core.errors import (
    DerivationError,
    DivergentError,
    KernelTheoryError,
    LoweringError,
)
from kerneltheory.kernels.kernel import dot_product_kernel, nngp, ntk

t = sympy.Symbol("t", real=True)
RELU, ERF, ABS = problems.KNOWN_DUALS
TENTH = sympy.Rational(1, 10)

# (what the literature knows of phi, weight variance, bias variance)
SETTINGS = [
    (RELU, sympy.Integer(2), sympy.Integer(0)),
    (RELU, sympy.Rational(3, 2), TENTH),
    (ERF, sympy.Rational(9, 4), sympy.Integer(0)),
    (ERF, sympy.Rational(1, 2), TENTH),
    (ABS, sympy.Integer(1), sympy.Integer(0)),
]
COSINES = ["-1", "-0.9", "-0.5", "-0.1", "0", "0.3", "0.7", "0.99", "0.999999", "1"]


def kernels(depths):
    for known, w, b in SETTINGS:
        for depth in depths:
            for make in (nngp, ntk):
                yield known, make(known.phi, depth, weight_variance=w, bias_variance=b)


def setting_name(value):
    return value.phi.name if isinstance(value, problems.KnownDual) else repr(value)


def truth(known, kernel, cosine):
    w, b = (mp.mpf(v.p) / v.q for v in (kernel.weight_variance, kernel.bias_variance))
    q = w + b
    return problems.network_kernel(
        known, kernel.depth, w, b, q, q, w * cosine + b, tangent=kernel.tangent
    )


def test_relu_kernels_of_one_hidden_layer_are_the_literatures():
    h1, h0 = problems.ARC_COSINE_1, problems.ARC_COSINE_0
    expected = {
        nngp(relu, 1, weight_variance=2): 2 * h1,
        ntk(relu, 1, weight_variance=2): 2 * (h1 + t * h0),
    }
    for kernel, h in expected.items():
        for point in (-1, sympy.Rational(-1, 3), 0, sympy.Rational(4, 5), 1):
            difference = (kernel.formula.rhs - h).subs(t, point)
            assert abs(sympy.N(difference, 30)) < 1e-28


@pytest.mark.parametrize(("known", "kernel"), list(kernels([1, 3])), ids=setting_name)
def test_values_are_those_of_the_recursion_at_fifty_digits(known, kernel):
    with mp.workdps(50):
        # Where acos has an argument that rounding made larger than one, the truth is real.
        points = [mp.mpf(float(c)) for c in COSINES]
        expected = [float(mp.re(truth(known, kernel, point))) for point in points]
        steps = [float(mp.re(truth(known, kernel, p * (1 - mp.mpf(2) ** -52)))) for p in points]
        scale = float(mp.re(truth(known, kernel, mp.mpf(1))))
    values = kernel(np.array([float(c) for c in COSINES]))
    # Relative to h(1), and what rounding the correlation in each layer must change: `steps`
    # moves the cosine by eps, which counts where h is steep. At 1 the kernel is exact.
    moved = 4 * kernel.depth * np.abs(np.subtract(steps, expected))
    moved[-1] = 0
    assert np.all(np.abs(values - expected) < 1e-13 * scale + moved)
    assert values[-1] == pytest.approx(scale, rel=1e-15)
    assert kernel.trace == pytest.approx(scale, rel=1e-15)


ALL = [
    *[kernel for _, kernel in kernels([1])],
    nngp(relu, 2, weight_variance=2),
    ntk(erf, 2, weight_variance=2, bias_variance=TENTH),
    nngp(problems.gelu, 1, weight_variance=2),
    ntk(problems.relu_plus_erf, 1, weight_variance=1, bias_variance=TENTH),
    nngp(problems.step, 1, weight_variance=2),
    dot_product_kernel(sympy.exp(t)),
    dot_product_kernel(sympy.exp(-sympy.sqrt(2 - 2 * t))),
    dot_product_kernel((1 + t) ** 3),
]


@pytest.mark.parametrize("kernel", ALL, ids=repr)
def test_formula_balls_and_floats_are_one_function(kernel):
    laws.arithmetics_agree(kernel, [sympy.Rational(n, 7) for n in (-6, -2, 0, 3, 6)])


@pytest.mark.parametrize("kernel", ALL, ids=repr)
def test_kernels_survive_copies(kernel):
    laws.survives_copies(kernel)


@pytest.mark.parametrize("kernel", ALL, ids=repr)
def test_taylor_coefficients_are_those_of_the_formula(kernel):
    with mp.workdps(40):
        function = sympy.lambdify(t, kernel.formula.rhs, "mpmath")
        expected = [float(mp.re(c)) for c in mp.taylor(function, 0, 7)]
    scale = kernel.trace
    np.testing.assert_allclose(
        kernel.taylor_coefficients(8), expected, rtol=1e-14, atol=1e-14 * scale
    )


def test_taylor_coefficients_of_a_deep_network_by_mpmath():
    kernel = ntk(relu, 3, weight_variance=2)
    with mp.workdps(60):
        expected = mp.taylor(lambda x: truth(RELU, kernel, x), 0, 9)
    np.testing.assert_allclose(
        kernel.taylor_coefficients(10), [float(mp.re(c)) for c in expected], rtol=1e-14
    )


@pytest.mark.parametrize("unit", [Fraction(5, 4), Fraction(1, 3), Fraction(64)])
def test_taylor_balls_do_not_depend_on_the_unit_of_t(unit):
    """1/n! and, of asin(4 t/5), (4/5)^n C(n - 1, (n - 1)/2) 2^(1 - n)/n at odd n."""
    exponential = dot_product_kernel(sympy.exp(t)).taylor_balls(40, 200, unit)
    arc = nngp(erf, 1, weight_variance=2).taylor_balls(40, 200, unit)
    with ctx.workprec(300):
        for n in range(40):
            assert exponential[n].overlaps(1 / arb(n).fac())
            odd = fmpq(4, 5) ** n * math.comb(n - 1, n // 2) / (2 ** (n - 1) * n) if n % 2 else 0
            assert arc[n].overlaps(4 / arb.pi() * odd)
            assert exponential[n].rad() < exponential[n] * arb(2) ** -150
            assert arc[n].rad() <= abs(arc[n]) * arb(2) ** -150 or not n % 2


def test_taylor_coefficients_of_known_series():
    np.testing.assert_allclose(
        dot_product_kernel(sympy.exp(2 * t)).taylor_coefficients(20),
        [2.0**n / float(sympy.factorial(n)) for n in range(20)],
        rtol=2**-52,
    )
    # asin has only odd powers: exact zeros, since series of balls keep them.
    assert nngp(erf, 3, weight_variance=2).taylor_coefficients(5)[[0, 2, 4]].tolist() == [0] * 3


def test_depth_is_a_loop_and_deep_kernels_are_exact_on_the_diagonal():
    # Chaotic erf, chi_1 > 1: raw covariances lose the diagonal at depth 300.
    known, w = ERF, sympy.Rational(9, 4)
    kernel = nngp(erf, 300, weight_variance=w)
    with mp.workdps(120):  # rounding grows like chi_1^depth, about 1e29
        value = truth(known, kernel, mp.mpf(1))
    assert kernel.trace == pytest.approx(float(value), rel=1e-15)
    assert float(kernel(1.0)) == kernel.trace
    deep = ntk(relu, 300, weight_variance=2)
    # Critical relu: Theta(1) = w (depth + 1), by induction.
    assert deep.trace == 602.0
    assert float(deep(1.0)) == 602.0


def test_formula_of_a_deep_network_is_refused_before_it_grows():
    # Each layer multiplies the size of the expression: at depth 300 it would not fit on a disk.
    kernel = ntk(relu, 300, weight_variance=2)
    with pytest.raises(KernelTheoryError, match=r"operations at layer \d, .* call the kernel"):
        _ = kernel.formula


def test_deep_correlation_reaches_its_fixed_point():
    # Ordered erf: every pair of inputs becomes equal, c* = 1 at a rate chi_1 < 1.
    kernel = nngp(erf, 60, weight_variance=sympy.Rational(1, 2), bias_variance=1)
    values = kernel(np.array([-1.0, 0.0, 0.5]))
    np.testing.assert_allclose(values, kernel.trace, rtol=1e-12)


def test_depth_composes():
    # One more layer on top of a given kernel: the recursion by hand, from the package's values.
    shallow, deep = (nngp(relu, depth, weight_variance=2) for depth in (1, 2))
    cosine = shallow(0.3) / shallow.trace
    with mp.workdps(30):
        value = 2 * RELU.value(2, 2, 2 * mp.mpf(float(cosine)))
    assert float(deep(0.3)) == pytest.approx(float(value), rel=1e-14)


@pytest.mark.parametrize(
    "kernel", [nngp(relu, 2, weight_variance=2), ntk(erf, 2, weight_variance=1)], ids=repr
)
def test_derivatives_by_jax_at_generic_points(kernel):
    point, step = 0.3, 1e-4
    with jax.enable_x64(True):
        slope = float(jax.grad(kernel)(jnp.asarray(point)))
        assert float(jax.jit(kernel)(jnp.asarray(point))) == pytest.approx(
            float(kernel(point)), rel=1e-14
        )
        batch = jax.vmap(kernel)(jnp.linspace(-0.9, 0.9, 5))
    np.testing.assert_allclose(batch, kernel(np.linspace(-0.9, 0.9, 5)), rtol=1e-13)
    exact = kernel.formula.diff(t)(point)
    assert slope == pytest.approx(float(exact), rel=1e-12)
    # Central differences err by step^2/6 times the third derivative, here below 10.
    central = (kernel(point + step) - kernel(point - step)) / (2 * step)
    assert slope == pytest.approx(float(central), abs=10 * step**2)


def test_float32_in_float32_out():
    values = ntk(relu, 3, weight_variance=2)(jnp.linspace(-1, 1, 9))
    assert values.dtype == jnp.float32
    np.testing.assert_allclose(
        values, ntk(relu, 3, weight_variance=2)(np.linspace(-1, 1, 9)), rtol=0, atol=8e-5
    )  # at t near -1 the angle has an error sqrt(eps) = 3e-4 times slopes below 1/4


def finite_network(rng, widths, inputs, w, b, phi, slope):
    """One random network in the NTK parametrisation: outputs and the Gram matrix of gradients."""
    x = inputs
    layers, pre = [], []
    for fan_in, fan_out in itertools.pairwise(widths):
        W, B = rng.standard_normal((fan_in, fan_out)), rng.standard_normal(fan_out)
        layers.append(W)
        z = np.sqrt(w / fan_in) * x @ W + np.sqrt(b) * B
        pre.append((x, z))
        x = phi(z)
    outputs = pre[-1][1]
    back = np.ones((len(inputs), 1))
    tangent = np.zeros((len(inputs), len(inputs)))
    for index in range(len(layers) - 1, -1, -1):
        x, _ = pre[index]
        tangent += (back @ back.T) * (w / x.shape[1] * x @ x.T + b)
        if index:
            through = np.sqrt(w / x.shape[1]) * back @ layers[index].T
            back = through * slope(pre[index - 1][1])
    return outputs[:, 0], tangent


@pytest.mark.parametrize(("phi", "depth", "b"), [(relu, 1, 0.0), (relu, 2, 0.25), (erf, 2, 0.25)])
def test_finite_networks_have_these_kernels_on_average(phi, depth, b, rng):
    from scipy.special import erf as numeric_erf

    dim, width, trials, w = 4, 64, 1500, 2.0
    functions = {
        relu: (lambda z: np.maximum(z, 0), lambda z: (z > 0).astype(float)),
        erf: (numeric_erf, lambda z: 2 / np.sqrt(np.pi) * np.exp(-z * z)),
    }[phi]
    X = rng.standard_normal((3, dim))
    widths = [dim, *[width] * depth, 1]
    draws = [finite_network(rng, widths, X, w, b, *functions) for _ in range(trials)]
    outputs = np.array([np.outer(f, f) for f, _ in draws])
    tangents = np.array([theta for _, theta in draws])
    for make, samples in ((nngp, outputs), (ntk, tangents)):
        gram = make(phi, depth, weight_variance=w, bias_variance=b).gram(X)
        error = samples.std(axis=0) / np.sqrt(trials)
        # One hidden layer is exact on average at any width; beyond it the mean moves by
        # O(depth / width) of the kernel's scale.
        shift = 0 if depth == 1 else 2 * depth / width * np.diag(gram).max()
        assert np.all(np.abs(samples.mean(axis=0) - gram) < 4 * error + shift)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: nngp(relu, 0, weight_variance=1), ValueError, "depth must be an integer"),
        (lambda: nngp(relu, 1.0, weight_variance=1), TypeError, "depth must be an integer"),
        (lambda: ntk(relu, 1, weight_variance=0), ValueError, "weight_variance must be positive"),
        (lambda: ntk(relu, 1, weight_variance="2"), TypeError, "weight_variance must be a finite"),
        (lambda: ntk(relu, 1, weight_variance=np.nan), TypeError, "weight_variance must be a"),
        (
            lambda: ntk(relu, 1, weight_variance=1, bias_variance=-1),
            ValueError,
            "bias_variance must not be negative, got -1",
        ),
        (lambda: ntk(problems.step, 1, weight_variance=1), DivergentError, "use kt.nngp"),
        (lambda: ntk(problems.sign, 2, weight_variance=1), DivergentError, "diverges"),
        (lambda: dot_product_kernel("t"), TypeError, "expression must be a sympy expression"),
        (lambda: dot_product_kernel(sympy.S(2)), ValueError, "exactly one free symbol"),
        (lambda: dot_product_kernel(t * sympy.Symbol("a")), ValueError, r"\['a', 't'\]"),
        (lambda: dot_product_kernel(sympy.besseli(0, t)), LoweringError, "besseli has no numeric"),
        (
            lambda: dot_product_kernel(sympy.Heaviside(t) / t),
            ValueError,
            "expression must be finite at t = 0",
        ),
        (
            lambda: dot_product_kernel(sympy.Max(0, sympy.sin(3 * t))),
            DerivationError,
            "only the roots of polynomials",
        ),
        (lambda: nngp(relu, 1, weight_variance=2)(1.5), ValueError, r"t must hold cosines .* 1.5"),
        (lambda: nngp(relu, 1, weight_variance=2)(np.nan), ValueError, "t must be finite"),
        (lambda: nngp(relu, 1, weight_variance=2).taylor_coefficients(0), ValueError, "count"),
    ],
)
def test_bad_arguments_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_parameters_stay_exact():
    kernel = nngp(relu, 1, weight_variance=0.1)
    assert kernel.weight_variance == sympy.Rational(0.1)
    assert kernel == nngp(relu, 1, weight_variance=np.float64(0.1), bias_variance=0)
    assert kernel != ntk(relu, 1, weight_variance=0.1)


def test_representations():
    kernel = ntk(relu, 3, weight_variance=2)
    assert repr(kernel) == "ntk(relu, depth=3, weight_variance=2, bias_variance=0)"
    assert str(kernel) == repr(kernel)
    smooth = dot_product_kernel(sympy.exp(t) / 3)
    assert eval(repr(smooth), {"dot_product_kernel": dot_product_kernel, "exp": sympy.exp, "t": t})
    assert dot_product_kernel(sympy.exp(sympy.Symbol("u"))) == dot_product_kernel(sympy.exp(t))


# --- derivatives ------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [1, pytest.param(3, marks=pytest.mark.slow)])
@pytest.mark.parametrize("phi", [relu, erf], ids=lambda phi: phi.name)
@pytest.mark.parametrize("make", [nngp, ntk])
def test_gradient_is_the_exact_derivative(make, phi, depth):
    kernel = make(phi, depth, weight_variance=2)
    exact = kernel.formula.diff(kernel.formula.args[0])
    with jax.enable_x64(True):
        for t in (-0.75, 0.25, 0.875):
            expected = float(exact.certified(t, digits=20).mid())
            assert float(jax.grad(kernel)(t)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("depth", [1, 2, pytest.param(5, marks=pytest.mark.slow)])
def test_gradient_at_coincident_inputs(depth):
    """dK/dt = w^(L+1) prod T'(q, q, q): each relu layer at w = 2 gives w T' = 1, and dK0/dt = 2."""
    with jax.enable_x64(True):
        slope = float(jax.grad(nngp(relu, depth, weight_variance=2))(1.0))
        assert slope == pytest.approx(2, rel=1e-14)
        # The slope of relu's NTK is infinite there, a cone in the inputs: no NaN comes out.
        assert np.isfinite(jax.grad(ntk(relu, depth, weight_variance=2))(1.0))


@pytest.mark.slow
def test_gradient_through_a_gram_matrix_with_repeated_rows_is_finite_and_symmetric():
    rows = np.random.default_rng(3).standard_normal((4, 3))
    rows[1] = rows[0]
    kernel = ntk(relu, 3, weight_variance=2)
    with jax.enable_x64(True):
        found = jax.grad(lambda X: jax.numpy.sum(kernel.gram(X) ** 2))(jax.numpy.asarray(rows))
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found[0], found[1], rtol=1e-12)
