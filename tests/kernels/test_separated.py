"""Sums of products for rows of any norm, against closed forms, quadrature and the recursion."""

import jax
import laws
import mpmath as mp
import numpy as np
import problems
import pytest
import sympy

from kerneltheory.activations.activation import X as VARIABLE
from kerneltheory.activations.catalogue import elu, erf, gelu, hard_tanh, relu, swish, tanh
from kerneltheory.activations.series import derivative_of
from kerneltheory.kernels import gram, network
from kerneltheory.kernels.kernel import nngp, ntk
from kerneltheory.kernels.separated import TOLERANCE, separate

_, ERF, _ = problems.KNOWN_DUALS


def exponential(q1, q2, c):
    """Of rows x and z, exp(x.z): in log q and in c an entire function."""
    return np.exp(np.sqrt(q1 * q2) * c)


@pytest.fixture
def rows(rng):
    """Of unlike norms, with a pair of equal, of opposite and of parallel rows."""
    rows = rng.standard_normal((20, 3))
    return np.vstack([rows, rows[0], -rows[1], 1.2 * rows[2]])


@pytest.mark.parametrize("products", [20, gram.PRODUCTS])
def test_the_sum_is_the_function_that_it_was_made_from(products, rows, monkeypatch):
    monkeypatch.setattr(gram, "PRODUCTS", products)
    q = np.mean(rows * rows, axis=1)
    found = separate(exponential, np.exp, q.min(), q.max())
    assert found.error < TOLERANCE
    tile, diagonal = gram.separated_tile, gram.separated_diagonal
    with jax.enable_x64(True):
        values = np.asarray(tile(found.ranks, found.parts, 1.0, 0.0, rows, rows))
        ends = np.asarray(diagonal(found.parts, 1.0, 0.0, rows))
    scale = np.exp((q[:, None] + q) / 2)
    assert np.all(np.abs(values - np.exp(rows @ rows.T / 3)) < TOLERANCE * scale)
    np.testing.assert_allclose(ends, np.exp(q), rtol=TOLERANCE)


@pytest.mark.parametrize(
    ("pair", "high"),
    [
        pytest.param(lambda q1, q2, c: np.abs(c) + 0 * (q1 + q2), 2.0, id="a kink in c"),
        pytest.param(lambda q1, q2, c: c * np.minimum(q1, q2), 2.0, id="a kink in q"),
        pytest.param(exponential, 2.0**20, id="infinite values"),
        # T_512 is -1 at all 256 nodes.
        pytest.param(
            lambda q1, q2, c: 2 + np.cos(512 * np.arccos(c)) + 0 * (q1 + q2), 2.0, id="an alias"
        ),
    ],
)
def test_what_has_no_short_sum_is_refused(pair, high):
    with np.errstate(over="ignore", invalid="ignore"):
        assert separate(pair, lambda q: pair(q, q, np.ones_like(q)), 1.0, high) is None


@pytest.mark.parametrize("make", [nngp, ntk])
def test_the_sum_of_a_network_against_its_recursion_at_thirty_digits(make):
    kernel = make(erf, 3, weight_variance=2, bias_variance=sympy.Rational(1, 10))
    found = network.network_separated(kernel, 0.5, 4.0)
    q, c = np.array([0.5, 0.7, 2.3, 4.0]), np.array([-1, -0.6, 0, 0.9, 1 - 2.0**-30, 1])
    values, d = found.on_grid(q, c)
    with mp.workdps(30):
        w, b = mp.mpf(2), mp.mpf(1) / 10

        def truth(q1, q2, c):
            k = mp.mpf(c) * mp.sqrt(mp.mpf(q1) * mp.mpf(q2))
            known = problems.network_kernel(ERF, 3, w, b, q1, q2, k, tangent=kernel.tangent)
            return float(mp.re(known))

        exact = np.array([[[truth(x, z, y) for y in c] for z in q] for x in q])
        ends = np.array([truth(x, x, 1.0) for x in q])
    # The recursion in float64, of three layers, is the sum's own truth.
    np.testing.assert_allclose(d, ends, rtol=2 * TOLERANCE)
    root = np.sqrt(ends)
    np.testing.assert_allclose(values, exact / root[:, None, None] / root[:, None], atol=1e-13)


def by_quadrature(phi):
    def expectation(function):
        of_arrays = sympy.lambdify(VARIABLE, function.expression, ["scipy", "numpy"])
        return lambda *c: problems.gaussian_expectation(of_arrays, *map(float, c))[0]

    value, slope = map(expectation, (phi, derivative_of(phi)))
    return problems.KnownDual(phi, value, slope, "the definition")


@pytest.mark.parametrize(
    ("phi", "make"),
    [
        pytest.param(swish, nngp, marks=pytest.mark.kin),
        pytest.param(tanh, ntk, marks=pytest.mark.slow),
        pytest.param(tanh, nngp, marks=pytest.mark.kin),
        pytest.param(swish, ntk, marks=pytest.mark.kin),
    ],
    ids=lambda value: getattr(value, "name", None) or value.__name__,
)
def test_gram_matrices_of_any_norm_against_the_definition(phi, make, rows, monkeypatch):
    monkeypatch.setattr(network, "ENTRIES", 1)
    w, b, depth = 1.5, 0.25, 2
    kernel = make(phi, depth, weight_variance=w, bias_variance=b)
    assert network.separated_functions(kernel, rows, rows) is not None
    found = kernel.gram(rows)
    first, known = w * rows @ rows.T / 3 + b, by_quadrature(phi)
    scale = np.sqrt(np.outer(np.diag(found), np.diag(found)))
    for i, j in ((0, 0), (0, 20), (1, 21), (2, 22), (5, 3), (7, 11)):
        start = first[i, i], first[j, j], first[i, j]
        truth = problems.network_kernel(known, depth, w, b, *start, tangent=kernel.tangent)
        assert abs(found[i, j] - truth) < 1e-12 * scale[i, j]
    np.testing.assert_allclose(kernel.gram(rows, rows), found, atol=TOLERANCE * scale.max())
    laws.gram_is_positive_semidefinite(kernel, rows)
    np.testing.assert_array_equal(found, found.T)
    # A few rows have no sum, and take the recursion.
    monkeypatch.setattr(network, "ENTRIES", 2**18)
    np.testing.assert_array_less(np.abs(kernel.gram(rows) - found) / scale, 2 * TOLERANCE)


def test_rows_of_one_scale_share_one_sum(rows, monkeypatch):
    monkeypatch.setattr(network, "ENTRIES", 1)
    kernel = nngp(tanh, 2, weight_variance=1, bias_variance=0.5)
    network.network_separated.cache_clear()
    for scale in (1.0, 1.001):
        tile, _ = network.separated_functions(kernel, scale * rows, rows)
        low, high = map(float, tile.args[1][-1])
        q = 0.5 + np.mean((scale * rows) ** 2, axis=1)
        assert low <= q.min() < 2 ** (1 / network.STEPS) * low
        assert high >= q.max() > high / 2 ** (1 / network.STEPS)
    assert network.network_separated.cache_info().misses == 1


@pytest.mark.parametrize(
    ("kernel", "factor"),
    [
        pytest.param(nngp(gelu, 3, weight_variance=2), 1, id="formulas cost as little"),
        pytest.param(ntk(relu, 3, weight_variance=2), 1, id="homogeneous"),
        pytest.param(ntk(hard_tanh, 1, weight_variance=2), 1, id="a kink"),
        pytest.param(nngp(tanh, 1, weight_variance=2), 1e6, id="norms too far apart"),
        pytest.param(nngp(tanh, 1, weight_variance=2), 1e200, id="an infinite norm"),
        pytest.param(nngp(tanh, 1, weight_variance=2), 0, id="a zero norm"),
    ],
)
def test_other_kernels_take_the_recursion(kernel, factor, rows, monkeypatch):
    monkeypatch.setattr(network, "ENTRIES", 1)
    scaled = np.where(np.arange(len(rows))[:, None] == 0, factor * rows, rows)
    with np.errstate(over="ignore"):
        assert network.separated_functions(kernel, scaled, rows) is None


@pytest.mark.slow
def test_a_slope_with_kinks_has_no_short_sum():
    assert network.network_separated(nngp(elu, 1, weight_variance=2), 1.0, 4.0) is None
