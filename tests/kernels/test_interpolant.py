"""The fast path on the sphere: as good as the recursion, used only where it may be."""

import jax.numpy as jnp
import laws
import numpy as np
import problems
import pytest
import sympy
from flint import arb, ctx

from kerneltheory.activations.catalogue import erf, relu
from kerneltheory.core.errors import KernelTheoryError
from kerneltheory.kernels import interpolant, network
from kerneltheory.kernels.kernel import nngp, ntk
from kerneltheory.sphere.sampling import uniform_sphere

EPS = float(np.finfo(float).eps)
TENTH = sympy.Rational(1, 10)
DIM = 6
SETTINGS = [
    *[(phi, depth, 2, 0) for phi in (relu, erf, problems.gelu) for depth in (1, 3, 20)],
    *[(phi, 3, 2, TENTH) for phi in (relu, erf, problems.gelu)],
    (erf, 12, 4, 0),
]
KERNELS = [
    make(phi, depth, weight_variance=w, bias_variance=b)
    for phi, depth, w, b in SETTINGS
    for make in (nngp, ntk)
]


@pytest.fixture
def always(monkeypatch):
    """The fast path for matrices of any size."""
    monkeypatch.setattr(network, "ENTRIES", 0)
    monkeypatch.setattr(network, "ENTRIES_OF_OTHER_NORM", 0)


def close_and_far_rows(rng, mean_square=1.0):
    """Rows of one norm: far, coincident, opposite, and at angles down to 1e-6."""
    rows = uniform_sphere(rng, 8, DIM)
    steps = np.geomspace(1e-6, 1e-1, 6)[:, None] * uniform_sphere(rng, 6, DIM)
    rows = np.vstack([rows, rows[:1], -rows[:1], rows[0] + steps, steps - rows[0]])
    rows *= np.sqrt(mean_square * DIM) / np.linalg.norm(rows, axis=1, keepdims=True)
    assert network._common_mean_square(rows, rows) is not None
    return rows


def exact_cosine(x, z):
    def dot(u, v):
        return sum((arb(a) * arb(b) for a, b in zip(u, v, strict=True)), arb(0))

    return dot(x, z) / (dot(x, x) * dot(z, z)).sqrt()


def truth(kernel, x, z, mean_square):
    """h at the cosine of two rows, and what 16 eps in that cosine change, by balls.

    A product of six terms and two norms are rounded about as often.
    """
    with ctx.workprec(200 + 32 * kernel.depth):
        top = kernel.ball_at_one(mean_square)

        def value(cosine):
            # A ball about 1 or -1 leaves the domain of h.
            inside = 1 - arb(2) ** -70
            if cosine > inside:
                return top
            return kernel.on_balls(cosine.max(-inside), mean_square)

        cosine = exact_cosine(x, z)
        here = value(cosine)
        moved = sum(abs(value(cosine + step * 16 * EPS) - here) for step in (-1, 1))
        return float(here.mid()), float(moved.mid())


def assert_certified(kernel, gram, X, Z, pairs, mean_square):
    scale = float(kernel.ball_at_one(mean_square).mid())
    for i, j in pairs:
        expected, moved = truth(kernel, X[i], Z[j], mean_square)
        assert abs(gram[i, j] - expected) < 1e-13 * scale + moved


@pytest.mark.slow
@pytest.mark.parametrize("kernel", KERNELS, ids=repr)
def test_gram_matrix_is_the_certified_one(kernel, rng, always):
    X = close_and_far_rows(rng)
    assert network.sphere_functions(kernel, X, X) is not None
    gram = kernel.gram(X)
    pairs = [(0, j) for j in range(1, len(X))] + [(1, 2), (3, 4)]
    assert_certified(kernel, gram, X, X, pairs, 1)
    laws.gram_is_symmetric_with_exact_diagonal(kernel, X, kernel.trace)
    laws.gram_is_positive_semidefinite(kernel, X)


@pytest.mark.parametrize("mean_square", [0.04, 2.3])
@pytest.mark.parametrize(
    "kernel",
    [
        ntk(relu, 3, weight_variance=2, bias_variance=TENTH),
        nngp(erf, 3, weight_variance=3, bias_variance=TENTH),
        pytest.param(ntk(erf, 12, weight_variance=4), marks=pytest.mark.slow),
    ],
    ids=repr,
)
def test_rows_of_another_common_norm_and_other_rows(kernel, mean_square, rng, always):
    X = close_and_far_rows(rng, mean_square)
    Z = X[::-2].copy()
    assert network.sphere_functions(kernel, X, Z) is not None
    gram = kernel.gram(X, Z)
    assert gram.shape == (len(X), len(Z))
    assert_certified(kernel, gram, X, Z, [(0, j) for j in range(len(Z))], mean_square)
    assert_certified(kernel, kernel.gram(X), X, X, [(0, j) for j in range(1, 12)], mean_square)


def test_cosines_that_rounding_cannot_tell_from_one_count_as_one(rng, always):
    kernel = ntk(relu, 3, weight_variance=2)
    X = np.sqrt(30) * uniform_sphere(rng, 40, 30)
    np.testing.assert_allclose(kernel.gram(X, X).diagonal(), kernel.trace, rtol=1e-14)


@pytest.mark.parametrize("kernel", KERNELS[::5], ids=repr)
def test_interpolant_holds_between_its_nodes(kernel, rng):
    found = network.network_interpolant(kernel, 1.0)
    assert found is not None
    assert found.error < interpolant.TOLERANCE
    assert found.coefficients.shape[1] <= 128
    points = np.concatenate([rng.uniform(-1, 1, 40), 1 - rng.uniform(0, 1, 20) ** 8])
    with ctx.workprec(200 + 32 * kernel.depth):
        expected = [float(arb(kernel.on_balls(arb(t))).mid()) for t in points]
    error = np.abs(found(points) - expected).max()
    assert error < interpolant.TOLERANCE * kernel.trace


def test_parity_survives_and_cosines_are_clipped():
    found = network.network_interpolant(nngp(erf, 3, weight_variance=2), 1.0)
    assert found is not None
    values = found(np.array([-1 - 4 * EPS, -1, -0.5, 0.5, 1, 1 + 4 * EPS]))
    np.testing.assert_allclose(values, -values[::-1], rtol=1e-14)
    assert values[-2] == values[-1] == found.at_one


# --- where the recursion is run instead --------------------------------------------------------


def by_recursion(kernel, X, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(network, "ENTRIES", np.inf)
        return kernel.gram(X)


def test_rows_of_different_norms_take_the_recursion(rng, always, monkeypatch):
    kernel = ntk(erf, 3, weight_variance=2, bias_variance=TENTH)
    X = close_and_far_rows(rng)
    X[3] *= 1 + 1e-12
    assert network.sphere_functions(kernel, X, X) is None
    assert network.sphere_functions(kernel, X[:3], X[3:]) is None
    assert network.sphere_functions(kernel, X[:3], X[:3]) is not None
    np.testing.assert_array_equal(kernel.gram(X), by_recursion(kernel, X, monkeypatch))


def test_kernels_without_an_interpolant(rng, always, monkeypatch):
    # asin within asin: a root of a root of 1 - t, analytic in no power of the angle at hand.
    kernel = nngp(problems.sign, 3, weight_variance=2)
    X = close_and_far_rows(rng)
    assert network.network_interpolant(kernel, 1.0) is None
    assert network.sphere_functions(kernel, X, X) is None
    np.testing.assert_array_equal(kernel.gram(X), by_recursion(kernel, X, monkeypatch))


def test_kernel_that_no_float_holds_is_refused(rng, always):
    # h(1) = 4 * 32^250.
    kernel = nngp(relu, 250, weight_variance=64)
    assert network.network_interpolant(kernel, 1.0) is None
    with pytest.raises(KernelTheoryError, match="overflows or loses every digit"):
        kernel.gram(close_and_far_rows(rng))


@pytest.mark.parametrize(
    "function",
    [
        lambda cosine: arb("nan"),
        lambda cosine: arb(0.5, 0.1),  # no bits make it smaller
        lambda cosine: abs(cosine - arb(3) / 10),
    ],
    ids=["not finite", "never exact", "a kink"],
)
def test_functions_without_an_interpolant(function):
    assert interpolant.interpolate(function, arb(1), 512) is None


def test_an_interpolant_that_fails_its_check_is_refused():
    """A spike at angles below all nodes of the probe: the coefficients do not see it."""

    def spiky(cosine):
        return cosine + 1 / (1 + (1 - cosine) * arb(2) ** 42)

    kept = interpolant.interpolate(lambda cosine: cosine, arb(1), 512)
    assert kept is not None
    assert kept.error < 1e-15
    assert interpolant.interpolate(spiky, arb(2), 512) is None


def test_small_matrices_and_jax_arrays_build_nothing(rng, monkeypatch):
    def build(*_):
        raise AssertionError("an interpolant was asked for")

    monkeypatch.setattr(network, "network_interpolant", build)
    kernel = ntk(relu, 3, weight_variance=2)
    X = close_and_far_rows(rng)
    kernel.gram(X)
    monkeypatch.setattr(network, "ENTRIES", 0)
    kernel.gram(2 * X)
    kernel.gram(jnp.asarray(X))
    for usual in (X, X / np.sqrt(DIM)):
        with pytest.raises(AssertionError, match="asked for"):
            kernel.gram(usual)


def test_rows_of_zeros_take_the_recursion(always):
    kernel = nngp(erf, 1, weight_variance=2, bias_variance=1)
    # K^0 = b = 1 for each pair, and 2 T(1, 1, 1) + 1 by Williams (1996).
    expected = 2 * 2 / np.pi * np.arcsin(2 / 3) + 1
    np.testing.assert_allclose(kernel.gram(np.zeros((3, DIM))), expected, rtol=1e-14)
