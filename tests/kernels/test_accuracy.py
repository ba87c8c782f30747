"""Every entry of the catalogue in float64 against certified values, and by finite networks."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy
from flint import arb, ctx

from kerneltheory.activations.activation import X
from kerneltheory.activations.catalogue import CATALOGUE, step
from kerneltheory.activations.duals import dual_class
from kerneltheory.activations.growth import growth
from kerneltheory.activations.series import derivative_of
from kerneltheory.core.errors import DivergentError
from kerneltheory.kernels import recursion
from kerneltheory.kernels.kernel import nngp, ntk
from kerneltheory.kernels.maps import ball_maps, is_series, numeric_maps, terms_for

by_name = pytest.mark.parametrize("phi", CATALOGUE, ids=lambda phi: phi.name)
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


@by_name
def test_dual_and_slope_agree_with_balls(phi, rng):
    q1, q2, c = covariances(phi, rng)
    terms, missing = terms_for(phi, 1, 1.0, 0.0, float(max(q1.max(), q2.max())))
    floats, balls = numeric_maps(phi, terms), ball_maps(phi)
    orders = ["value"] if derivative_of(phi) is None else ["value", "slope"]
    diagonals = {"value": floats.variance, "slope": floats.variance_slope}
    for name in orders:
        with jax.enable_x64(True):
            found = np.asarray(jax.jit(getattr(floats, name))(*map(jnp.asarray, (q1, q2, c))))
            ends = [np.asarray(diagonals[name](jnp.asarray(q))) for q in (q1, q2)]
        scale = np.sqrt(ends[0] * ends[1])
        with ctx.workdps(15 if is_series(phi) else 40):
            truth = [
                getattr(balls, name)(*map(arb, point)) for point in zip(q1, q2, c, strict=True)
            ]
        error = np.abs(found - [float(ball.mid()) for ball in truth]) / scale
        # What the ball and the floats leave out of a series; n a_n^2 falls one power slower.
        stated = np.array([float(ball.rad()) for ball in truth]) / scale
        stated = stated + missing * (1 if name == "value" else terms)
        assert np.all(error[40:] < 1e-12 + stated[40:])
        assert np.all(error[:40] < 1e-9 + stated[:40])


def any_number_of(count, layer, state):
    """Repeat a layer a number of times that is known only when it runs: compiled once."""

    def body(_, state):
        new = layer(state)
        return tuple(
            None if n is None else jnp.broadcast_to(jnp.asarray(n, o.dtype), o.shape)
            for n, o in zip(new, state, strict=True)
        )

    return jax.lax.fori_loop(0, count, body, state)


@by_name
def test_kernels_of_every_depth_agree_with_balls(phi):
    grows = growth(phi)
    elementary = dual_class(phi).name == "elementary"
    linear = grows.rate == 0 and max(grows.sizes) <= 1
    w, b = (1.0 if linear else 2.0**-6), 0.25
    t = np.array([-0.9, 0.5, 0.95])
    terms, missing = terms_for(phi, 3, w, b, w + b)
    # A series costs an integration a layer; with polynomials c comes closer to 1 than balls tell.
    depths = DEPTHS[: (1 if missing > 1e-12 else 3) if is_series(phi) else 5 if linear else 4]
    floats = replace(numeric_maps(phi, terms), repeat=any_number_of)
    for tangent in (False, True):
        if tangent and derivative_of(phi) is None:
            with pytest.raises(DivergentError, match="NTK"):
                ntk(phi, 1, weight_variance=w)
            continue

        @jax.jit
        def run(depth, c, tangent=tangent):
            q = jnp.full_like(c, w + b)
            return recursion.covariances(floats, depth, w, b, (q, q), c, tangent)

        for depth in depths:
            kernel = (ntk if tangent else nngp)(phi, depth, weight_variance=w, bias_variance=b)
            with jax.enable_x64(True):
                found = np.asarray(run(depth, jnp.asarray((w * t + b) / (w + b))))
            # Balls lose digits in every layer.
            with ctx.workdps(15 if is_series(phi) else 40 + (2 if elementary else 1) * depth):
                truth = [kernel.on_balls(arb(float(cosine))) for cosine in t]
                scale = float(kernel.ball_at_one().mid())
            left_out = max(float(ball.rad()) for ball in truth) / scale + depth * missing * (
                terms if tangent else 1
            )
            error = np.abs(found - [float(ball.mid()) for ball in truth]) / scale
            # Rounding c moves the slope of a kinked phi by eps / sqrt(1 - c^2), in every layer.
            assert np.all(error < 1e-12 * max(1, depth / 5) + left_out), (kernel, error)


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
