"""Every entry of the catalogue in float64 against certified values, and by finite networks."""

import functools
import itertools
from dataclasses import replace

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import problems
import pytest
import sympy
from flint import arb, ctx

from kerneltheory.activations.activation import X, activation
from kerneltheory.activations.catalogue import (
    absolute,
    gabor,
    gelu,
    leaky_relu,
    mish,
    relu,
    sigmoid,
    sin,
    softplus,
    step,
    swish,
)
from kerneltheory.activations.duals import dual_class
from kerneltheory.activations.growth import growth
from kerneltheory.activations.series import derivative_of, to_arrays
from kerneltheory.core.errors import DivergentError, KernelTheoryError
from kerneltheory.kernels import recursion
from kerneltheory.kernels.kernel import nngp, ntk
from kerneltheory.kernels.maps import ball_maps, is_series, numeric_maps, terms_for

by_name = problems.by_name()
POINTS, DEPTHS = 200, (1, 2, 3, 5, 30)


def covariances(phi, rng):
    """Random (q1, q2, c), some of them near c = 1 and c = -1 and at the ends.

    Each variance of a series costs an integration, so few are shared by many points.
    """
    q1, q2 = 2.0 ** rng.uniform(-3, 2, (2, POINTS))
    if is_series(phi):
        few = 2.0 ** rng.uniform(-3, 1, 2)
        q1, q2 = rng.choice(few, (2, POINTS))
    c = rng.uniform(-0.99, 0.99, POINTS)
    c[:20] = 1 - 10.0 ** rng.uniform(-14, -2, 20)
    c[20:40] = -c[:20]
    return q1, q2, c


def on_a_grid(function):
    """Symmetric about 0, so fine that no oscillation of the catalogue escapes."""
    return sympy.lambdify(X, function.expression, ["scipy", "numpy"])(np.linspace(-20, 20, 999))


def has_no_zero(function, c):
    """Where E[f(u) f(v)] > 0 for f >= 0: for c >= 0, and at c = -1 too if f(x) f(-x) is not 0."""
    values = on_a_grid(function)
    if np.any(values < 0):
        return np.zeros_like(c, dtype=bool)
    return (c >= 0) | np.any(values * np.flip(values))


@by_name
def test_dual_and_slope_agree_with_balls(phi, rng):
    q1, q2, c = covariances(phi, rng)
    terms, missing = terms_for(phi, 1, 1.0, 0.0, float(max(q1.max(), q2.max())))
    floats, balls = numeric_maps(phi, terms), ball_maps(phi)
    functions = {"value": phi, "slope": derivative_of(phi)}
    diagonals = {"value": floats.variance, "slope": floats.variance_slope}
    for name, function in functions.items():
        if function is None:
            continue
        with jax.enable_x64(True):
            found = np.asarray(jax.jit(getattr(floats, name))(*map(jnp.asarray, (q1, q2, c))))
            ends = [np.asarray(diagonals[name](jnp.asarray(q))) for q in (q1, q2)]
        scale = np.broadcast_to(np.sqrt(ends[0] * ends[1]), c.shape)
        with ctx.workdps(15 if is_series(phi) else 40):
            truth = [
                getattr(balls, name)(*map(arb, point)) for point in zip(q1, q2, c, strict=True)
            ]
        middle = np.array([float(ball.mid()) for ball in truth])
        error = np.abs(found - middle) / scale
        # What the ball and the floats leave out of a series; n a_n^2 falls one power slower.
        stated = np.array([float(ball.rad()) for ball in truth]) / scale
        stated = stated + missing * (1 if name == "value" else terms)
        assert np.all(error[40:] < 1e-12 + stated[40:])
        assert np.all(error[:40] < 1e-9 + stated[:40])
        where = has_no_zero(function, c)
        size = middle[where] / scale[where]
        relative, stated = error[where] / size, stated[where] / size
        limits = np.where(np.arange(len(c)) < 40, 1e-9, 1e-11)[where]
        assert np.all(relative < limits + stated)


def any_number_of(count, layer, state):
    """Repeat a layer a number of times that is known only when it runs: compiled once."""

    def body(_, state):
        new = layer(state)
        return tuple(
            None if n is None else jnp.broadcast_to(jnp.asarray(n, o.dtype), o.shape)
            for n, o in zip(new, state, strict=True)
        )

    return jax.lax.fori_loop(0, count, body, state)


def by_quadrature(phi):
    """The dual and its slope as the expectations that define them; kinks may be at 0."""

    def expectation(function):
        of_arrays = sympy.lambdify(X, function.expression, ["scipy", "numpy"])
        return functools.cache(lambda *c: problems.gaussian_expectation(of_arrays, *c)[0])

    value, slope = map(expectation, (phi, derivative_of(phi) or phi))
    return problems.KnownDual(phi, value, slope, "the definition")


@by_name
def test_kernels_of_every_depth_agree_with_balls(phi):
    grows = growth(phi)
    elementary = dual_class(phi).name == "elementary"
    linear = grows.rate == 0 and max(grows.sizes) <= 1
    w, b = (1.0 if linear else 2.0**-6), 0.25
    t = np.array([-0.9, 0.5, 0.95])
    terms, missing = terms_for(phi, 3, w, b, w + b)
    # In balls a series costs an integration a layer, so that quadrature tells of greater depths;
    # with polynomials c comes closer to 1 than balls tell.
    depths = DEPTHS[: (1 if missing > 1e-12 else 3) if is_series(phi) else 5 if linear else 4]
    if not elementary:
        depths = depths[::2]
    # A sum of the bias and of products of what has no zero.
    positive = all(np.all(on_a_grid(f) >= 0) for f in (phi, derivative_of(phi) or phi))
    floats, balls = replace(numeric_maps(phi, terms), repeat=any_number_of), ball_maps(phi)
    # Quadrature is at the last cosine, which is the hardest.
    known, start = by_quadrature(phi), (w + b, w + b, w * t[-1] + b)
    for tangent in (False, True):
        if tangent and derivative_of(phi) is None:
            with pytest.raises(DivergentError, match="NTK"):
                ntk(phi, 1, weight_variance=w)
            continue

        @jax.jit
        def run(depth, gap, tangent=tangent):
            q = jnp.full_like(gap, w + b)
            return recursion.from_gap(floats, depth, w, b, (q, q), gap, tangent)

        def at_depth(depth, run=run):
            with jax.enable_x64(True):
                return np.asarray(run(depth, jnp.asarray(w / (w + b) * (1 - t))))

        for depth in depths:
            kernel = (ntk if tangent else nngp)(phi, depth, weight_variance=w, bias_variance=b)
            found = at_depth(depth)
            # Balls lose digits in every layer.
            with ctx.workdps(15 if is_series(phi) else 40 + (2 if elementary else 1) * depth):
                truth = [kernel.on_balls(arb(float(cosine))) for cosine in t]
                at_one = recursion.diagonal(balls, depth, arb(w), arb(b), arb(w + b), tangent)
                scale = float(at_one.mid())
            left_out = max(float(ball.rad()) for ball in truth) / scale + depth * missing * (
                terms if tangent else 1
            )
            error = np.abs(found - [float(ball.mid()) for ball in truth]) / scale
            assert np.all(error < 1e-12 + left_out), (kernel, error)
            if positive:
                assert np.all(error * scale / found < 1e-11 + left_out * scale / found)
        for depth in (5, 30) if is_series(phi) else ():
            truth = problems.network_kernel(known, depth, w, b, *start, tangent=tangent)
            left_out = depth * missing * (terms if tangent else 1)
            scale = problems.network_kernel(known, depth, w, b, *3 * (w + b,), tangent=tangent)
            error = abs(at_depth(depth)[-1] - truth) / scale
            assert error < 1e-12 * max(1, depth / 5) + left_out, (phi.name, depth, tangent)


@pytest.mark.parametrize(
    ("phi", "w"),
    [(relu, 1.0), (leaky_relu(0.25), 0.75), (absolute, 0.5)],
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_tangent_kernels_of_kinks_keep_their_digits_where_inputs_meet(phi, w):
    """T' is a line in the angle, which a rounded c knows to eps/angle: 1e-8 in the last layers."""
    depth, t = 50, np.array([0.5, 1 - 2.0**-20])
    kernel = ntk(phi, depth, weight_variance=w, bias_variance=0.25)
    with ctx.workdps(40 + 16 * depth):
        truth = [kernel.on_balls(arb(cosine)) for cosine in t]
    assert max(ball.rad() for ball in truth) < 1e-16
    found = kernel(t)
    assert np.all(np.abs(found - [float(b.mid()) for b in truth]) < 1e-14 * depth * kernel.trace)


QUARTER = sympy.Rational(1, 4)
RELU, _, ABSOLUTE = problems.KNOWN_DUALS
# x/4 for x < 0 and x for x > 0 is (5 x + 3 |x|)/8, the product of whose parts averages to 0.
LEAKY = problems.KnownDual(
    leaky_relu(QUARTER),
    lambda q1, q2, k: (25 * k + 9 * ABSOLUTE.value(q1, q2, k)) / 64,
    lambda q1, q2, k: (25 + 9 * ABSOLUTE.slope(q1, q2, k)) / 64,
    "a sum of a line and an absolute value",
)


@pytest.mark.parametrize(
    ("known", "w"),
    [(RELU, 1), (RELU, 0.5), (LEAKY, 1), (ABSOLUTE, 0.5)],
    ids=lambda value: getattr(getattr(value, "phi", value), "name", str(value)),
)
def test_deep_tangent_kernels_of_kinks_for_rows_of_any_norm(known, w, rng):
    """All rows come together in an ordered phase, by layers in which c would be rounded."""
    depth, b, dim = 30, 0.25, 5
    rows = rng.standard_normal((4, dim)) * np.array([[0.1], [1], [3], [20]])
    rows = np.vstack([rows, rows[1] + 1e-2 * rng.standard_normal(dim), 2 * rows[1]])
    gram = ntk(known.phi, depth, weight_variance=w, bias_variance=b).gram(rows)
    scale = np.sqrt(np.outer(gram.diagonal(), gram.diagonal()))
    with mp.workdps(50):
        exact = [[mp.mpf(entry) for entry in row] for row in rows.tolist()]
        first = [[w * mp.fdot(x, z) / dim + b for z in exact] for x in exact]
        for i, j in itertools.combinations(range(len(rows)), 2):
            start = first[i][i], first[j][j], first[i][j]
            truth = mp.re(problems.network_kernel(known, depth, w, b, *start, tangent=True))
            assert abs(gram[i, j] - truth) < 1e-12 * scale[i, j]


# A factor of order exp(q) meets one of exp(-q): waves and exponentials on both half lines.
ON_HALF_LINES = pytest.param(activation(sympy.exp(-sympy.Abs(X))), marks=pytest.mark.slow)
LARGE = [sin, gabor(0.5, 2), ON_HALF_LINES]


@pytest.mark.parametrize("phi", LARGE, ids=lambda phi: phi.name)
@pytest.mark.parametrize(("dtype", "q"), [(np.float64, 800.0), (np.float32, 160.0)])
def test_no_factor_overflows_where_the_product_does_not(phi, dtype, q):
    """An exponent of size q is rounded by eps q, and so is the product, relatively."""
    floats, balls = numeric_maps(phi), ball_maps(phi)
    point = q, 0.75 * q, 0.984375
    for name, at_one in (("value", "variance"), ("slope", "variance_slope")):
        with jax.enable_x64(dtype is np.float64):
            found = float(jax.jit(getattr(floats, name))(*(jnp.asarray(a, dtype) for a in point)))
            scale = float(getattr(floats, at_one)(jnp.asarray(q, dtype)))
        with ctx.workdps(400):
            truth = arb(getattr(balls, name)(*map(arb, point)))
        assert truth.rad() < 1e-20 * scale
        assert abs(found - float(truth.mid())) < 4 * np.finfo(dtype).eps * q * abs(scale)


ERF_TIMES_SQUARE = activation(X**2 * sympy.erf(X))


@pytest.mark.slow
@pytest.mark.parametrize("gap", [1e-3, 1e-6, 1e-9, 1e-12])
@pytest.mark.parametrize("sign", [1, -1])
def test_powers_of_a_large_variance_do_not_cancel_where_inputs_meet(gap, sign):
    """Here terms of size q^10 leave q^5: written in (1 - c)(1 + c) they have one sign."""
    floats, balls = numeric_maps(ERF_TIMES_SQUARE), ball_maps(ERF_TIMES_SQUARE)
    for q1, q2 in ((700.0, 700.0), (700.0, 650.0)):
        for name, at_one in (("value", "variance"), ("slope", "variance_slope")):
            c = sign * (1 - gap)
            with jax.enable_x64(True):
                found = float(getattr(floats, name)(*map(jnp.asarray, (q1, q2, c))))
                ends = [float(getattr(floats, at_one)(jnp.asarray(q))) for q in (q1, q2)]
            with ctx.workdps(60):
                truth = arb(getattr(balls, name)(*map(arb, (q1, q2, c))))
            scale = np.sqrt(np.prod(ends))
            assert truth.rad() < 1e-20 * scale
            # The condition number of the asin in it is sqrt(q).
            assert abs(found - float(truth.mid())) < 64 * np.finfo(float).eps * np.sqrt(q1) * scale


@pytest.mark.slow
def test_variances_that_leave_the_floats_on_the_way_are_refused():
    """The sums in gelu's formula hold squares of a variance that here reaches 4^160."""
    kernel = nngp(gelu, 160, weight_variance=8)
    assert np.isfinite(kernel.trace)
    with pytest.raises(KernelTheoryError, match="leaves the range of float64"):
        kernel(0.5)


@pytest.mark.parametrize("phi", [sigmoid, swish, softplus, mish], ids=lambda phi: phi.name)
def test_functions_of_series_and_their_slopes_are_finite_everywhere(phi):
    """Each tends to 0 or grows like x at both ends; so do slopes, to 0 or 1."""
    x = jnp.array([-1e4, -100.0, 100.0, 1e4], jnp.float32)
    values, slopes = to_arrays(phi)(x), to_arrays(derivative_of(phi))(x)
    grows = phi is not sigmoid
    np.testing.assert_allclose(values, [0, 0, *((100, 1e4) if grows else (1, 1))], atol=1e-5)
    np.testing.assert_allclose(slopes, [0, 0, *((1, 1) if grows else (0, 0))], atol=1e-5)


@by_name
def test_finite_networks_have_these_kernels(phi, rng):
    """One hidden layer is exact on average at any width, for inputs of any norm."""
    dim, width, trials, w, b = 3, 32, 2000, 0.5, 0.25
    inputs = rng.standard_normal((2, dim))
    function = sympy.lambdify(X, phi.expression, ["scipy", "numpy"])
    weights = rng.standard_normal((trials, width, dim)) * np.sqrt(w / dim)
    shift = rng.standard_normal((trials, width, 1)) * np.sqrt(b)
    pre = weights @ inputs.T + shift
    hidden = np.broadcast_to(function(pre), pre.shape)
    first = w * inputs @ inputs.T / dim + b
    samples = {nngp: w * np.einsum("tni,tnj->tij", hidden, hidden) / width + b}
    slope = derivative_of(phi)
    if slope is not None:
        tangent = np.broadcast_to(
            sympy.lambdify(X, slope.expression, ["scipy", "numpy"])(pre), pre.shape
        )
        through = w * np.einsum("tni,tnj->tij", tangent, tangent) / width * first
        samples[ntk] = samples[nngp] + through
    for make, values in samples.items():
        gram = make(phi, 1, weight_variance=w, bias_variance=b).gram(inputs)
        error = values.std(axis=0) / np.sqrt(trials)
        # phi' of a step function counts as constant on each side: its error is none.
        assert np.all(np.abs(values.mean(axis=0) - gram) <= 4 * error + 1e-12 * gram.max())


def test_step_has_no_tangent_kernel():
    assert derivative_of(step) is None
