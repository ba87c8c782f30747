"""Gram matrices: symmetric, exact on the diagonal, right for rows of any norm, traced by jax."""

import jax
import jax.numpy as jnp
import laws
import mpmath as mp
import numpy as np
import problems
import pytest
import sympy
from jax import export

from kerneltheory.activations.catalogue import erf, relu, tanh
from kerneltheory.kernels.kernel import dot_product_kernel, nngp, ntk
from kerneltheory.sphere.sampling import uniform_sphere

t = sympy.Symbol("t", real=True)
RELU, ERF, _ = problems.KNOWN_DUALS
TENTH = sympy.Rational(1, 10)
KERNELS = [
    nngp(relu, 1, weight_variance=2),
    ntk(relu, 3, weight_variance=2),
    ntk(erf, 2, weight_variance=2, bias_variance=TENTH),
    nngp(erf, 12, weight_variance=4),
    dot_product_kernel(sympy.exp(t)),
    dot_product_kernel(sympy.exp(-sympy.sqrt(2 - 2 * t))),
]
NETWORKS = KERNELS[:4]


def on_sphere(rng, count, dim=5):
    return np.sqrt(dim) * uniform_sphere(rng, count, dim)


@pytest.mark.parametrize("kernel", KERNELS, ids=repr)
def test_laws_on_the_sphere(kernel, rng, monkeypatch):
    monkeypatch.setattr("kerneltheory.kernels.gram.TILE", 16)
    X = on_sphere(rng, 37)
    laws.gram_is_symmetric_with_exact_diagonal(kernel, X, kernel.trace)
    laws.gram_is_positive_semidefinite(kernel, X)


@pytest.mark.parametrize("kernel", KERNELS, ids=repr)
def test_gram_on_the_sphere_is_the_kernel_of_the_cosines(kernel, rng):
    X = on_sphere(rng, 20)
    # Cosines differ by a few eps; the slopes of these kernels are below 1e3 away from 1.
    cosines = np.clip(X @ X.T / 5, -1, 1)
    np.fill_diagonal(cosines, 1)
    np.testing.assert_allclose(kernel.gram(X), kernel(cosines), atol=1e-12 * kernel.trace)


@pytest.mark.parametrize("tile", [7, 8, 1024])
def test_tiles_do_not_show(tile, rng, monkeypatch):
    kernel, X = KERNELS[1], rng.standard_normal((17, 4))
    Z = rng.standard_normal((9, 4))
    whole, other = kernel.gram(X), kernel.gram(X, Z)
    monkeypatch.setattr("kerneltheory.kernels.gram.TILE", tile)
    # Products of other shapes may be summed in another order: a few eps.
    np.testing.assert_allclose(kernel.gram(X), whole, rtol=1e-13, atol=0)
    np.testing.assert_allclose(kernel.gram(X, Z), other, rtol=1e-13, atol=0)
    assert other.shape == (17, 9)


@pytest.mark.parametrize(("known", "b"), [(RELU, 0), (ERF, TENTH)], ids=["relu", "erf"])
@pytest.mark.parametrize("make", [nngp, ntk])
def test_rows_of_any_norm_against_the_recursion_at_fifty_digits(known, b, make, rng):
    X = rng.standard_normal((4, 3)) * np.array([[0.1], [1], [3], [20]])
    kernel = make(known.phi, 3, weight_variance=2, bias_variance=b)
    gram = kernel.gram(X)
    with mp.workdps(50):
        bias = mp.mpf(sympy.Rational(b).p) / sympy.Rational(b).q
        rows = [[mp.mpf(x) for x in row] for row in X.tolist()]

        def first(x, z):
            return 2 * sum(a * c for a, c in zip(x, z, strict=True)) / 3 + bias

        for i, x in enumerate(rows):
            for j, z in enumerate(rows):
                q1, q2, k = first(x, x), first(z, z), first(x, z)
                truth = mp.re(
                    problems.network_kernel(known, 3, 2, bias, q1, q2, k, tangent=kernel.tangent)
                )
                scale = np.sqrt(gram[i, i] * gram[j, j])
                assert abs(gram[i, j] - truth) < 1e-13 * scale


@pytest.mark.parametrize(
    ("known", "kernel"), list(zip([RELU, RELU, ERF, ERF], NETWORKS, strict=True))
)
def test_diagonal_of_rows_of_any_norm_is_exact(known, kernel, rng):
    X = rng.standard_normal((9, 3)) * np.geomspace(1e-2, 1e2, 9)[:, None]
    squared = 2 * np.sum(X * X, axis=1) / 3
    diagonal = []
    with mp.workdps(60):
        w, b = (mp.mpf(v.p) / v.q for v in (kernel.weight_variance, kernel.bias_variance))
        for row in X.tolist():
            q = w * sum(mp.mpf(x) ** 2 for x in row) / 3 + b
            value = problems.network_kernel(
                known, kernel.depth, w, b, q, q, q, tangent=kernel.tangent
            )
            diagonal.append(float(mp.re(value)))
    # T(q, q, 1) of erf is an asin whose condition number is sqrt(q).
    gram = kernel.gram(X)
    error = 8 * kernel.layers * np.finfo(float).eps * (1 + np.sqrt(squared))
    assert np.all(np.abs(np.diag(gram) / diagonal - 1) < error)
    np.testing.assert_array_equal(gram, gram.T)


@pytest.mark.parametrize("kernel", NETWORKS, ids=repr)
def test_duplicate_rows_have_the_diagonal_value(kernel, rng):
    X = rng.standard_normal((5, 30))
    gram = kernel.gram(np.vstack([X, X]))
    np.testing.assert_allclose(gram[:5, 5:].diagonal(), gram.diagonal()[:5], rtol=1e-14)
    np.testing.assert_allclose(kernel.gram(X, X).diagonal(), gram.diagonal()[:5], rtol=1e-14)


def test_deep_chaotic_diagonal_is_exact(rng):
    kernel = nngp(erf, 300, weight_variance=sympy.Rational(9, 4))
    gram = kernel.gram(rng.standard_normal((4, 3)))
    with mp.workdps(30):
        q = mp.findroot(lambda q: mp.mpf(9) / 4 * ERF.value(q, q, q) - q, 1)
    # The fixed point q* of the variance; c* = 0 for an odd phi without bias.
    np.testing.assert_allclose(np.diag(gram), float(q), rtol=1e-14)
    np.testing.assert_allclose(gram - np.diag(np.diag(gram)), 0, atol=1e-6)


def test_growing_relu_neither_overflows_nor_loses_the_diagonal(rng):
    # K = (3/2)^depth K^0 on the diagonal, since w E relu(u)^2 = 3 q / 2.
    kernel = nngp(relu, 300, weight_variance=3)
    X = rng.standard_normal((3, 4))
    gram = kernel.gram(X)
    expected = 1.5**300 * 3 * np.sum(X * X, axis=1) / 4
    np.testing.assert_allclose(np.diag(gram), expected, rtol=300 * 2**-51)
    assert np.isfinite(gram).all()


@pytest.mark.parametrize("kernel", KERNELS, ids=repr)
def test_jax_arrays_keep_their_dtype(kernel, rng):
    X = on_sphere(rng, 40)
    gram = kernel.gram(jnp.asarray(X))
    assert isinstance(gram, jax.Array)
    assert gram.dtype == jnp.float32
    np.testing.assert_array_equal(gram, gram.T)
    np.testing.assert_allclose(np.diag(gram), kernel.trace, rtol=1e-5)
    assert isinstance(kernel.gram(X), np.ndarray)
    assert kernel.gram(X).dtype == np.float64


def test_jax_transforms(rng):
    kernel = ntk(erf, 1, weight_variance=2)
    with jax.enable_x64(True):
        X, Z = jnp.asarray(rng.standard_normal((4, 3))), jnp.asarray(rng.standard_normal((2, 3)))
        direct = kernel.gram(X, Z)
        np.testing.assert_allclose(jax.jit(kernel.gram)(X, Z), direct, rtol=1e-13)
        one = jax.vmap(lambda x: kernel.gram(x[None], Z)[0])(X)
        np.testing.assert_allclose(one, direct, rtol=1e-13)


def test_gradient_of_a_gram_matrix_with_its_diagonal(rng):
    # The derivative of sqrt(1 - c^2) is infinite on the diagonal, and must not get out.
    function = jax.jit(jax.value_and_grad(lambda Y: nngp(relu, 1, weight_variance=2).gram(Y).sum()))
    with jax.enable_x64(True):
        X, shift = rng.standard_normal((4, 3)), np.zeros((4, 3))
        shift[1, 2] = 1e-5
        gradient = np.asarray(function(jnp.asarray(X))[1])
        up, down = (float(function(jnp.asarray(X + s))[0]) for s in (shift, -shift))
    # Central differences: step^2 = 1e-10 of the third derivative, rounding 1e-16 / 1e-5.
    assert gradient[1, 2] == pytest.approx((up - down) / 2e-5, rel=1e-7, abs=1e-7)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("kernel", NETWORKS, ids=repr)
@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([[1.0, np.nan]], "X must be finite, got 1 entries"),
        ([[np.inf, 1.0]], "X must be finite"),
        ([1.0, 2.0], "X must have 2 dimensions"),
        ([[1e200, 1.0]], "X must have rows whose squared norm is finite"),
    ],
)
def test_bad_rows_are_named(kernel, rows, message):
    with pytest.raises(ValueError, match=message):
        kernel.gram(rows)


def test_text_is_no_matrix():
    with pytest.raises(TypeError, match="X must be a real array"):
        KERNELS[0].gram([["a", "b"]])


@pytest.mark.parametrize("rows", [[[1.0, 1.0], [0.0, 0.0]], [[1.0, 1.0], [1e-170, 0.0]]])
def test_zero_rows_have_no_correlation_without_bias(rows):
    with pytest.raises(ValueError, match=r"X must have no zero row .* at index 1"):
        nngp(relu, 1, weight_variance=2).gram(rows)
    with pytest.raises(ValueError, match="Z must have no zero row"):
        nngp(relu, 1, weight_variance=2).gram(rows[:1], rows)
    biased = nngp(erf, 1, weight_variance=2, bias_variance=1).gram(rows)
    # The zero row has K^0 = b = 1 with itself: 2 T(1, 1, 1) + 1.
    assert biased[1, 1] == pytest.approx(2 * float(ERF.value(1, 1, 1)) + 1, rel=1e-14)


def test_widths_must_agree(rng):
    for convert in (np.asarray, jnp.asarray):
        with pytest.raises(ValueError, match="Z must have 3 columns as X has, got shape"):
            KERNELS[0].gram(convert(np.ones((2, 3))), convert(np.ones((2, 4))))
        with pytest.raises(ValueError, match="X must have 2 dimensions, got shape"):
            KERNELS[0].gram(convert(np.ones(3)))


def test_dot_product_kernel_wants_rows_on_the_sphere(rng):
    kernel, X = dot_product_kernel(t**2 + t), rng.standard_normal((6, 4))
    with pytest.raises(ValueError, match=r"X must have rows of squared norm 4 .* normalize=True"):
        kernel.gram(X)
    with pytest.raises(ValueError, match="Z must have rows of squared norm 4"):
        kernel.gram(np.full((1, 4), 1.0), X)
    with pytest.raises(ValueError, match=r"no zero row .* index 0"):
        kernel.gram(np.zeros((1, 4)), normalize=True)
    unit = X / np.linalg.norm(X, axis=1, keepdims=True)
    cosines = unit @ unit.T
    np.testing.assert_allclose(
        kernel.gram(X, normalize=True), cosines**2 + cosines, rtol=0, atol=1e-14
    )
    np.testing.assert_allclose(
        kernel.gram(jnp.asarray(X), normalize=True), cosines**2 + cosines, rtol=0, atol=1e-5
    )


def test_no_rows_give_an_empty_matrix():
    assert KERNELS[0].gram(np.zeros((0, 3))).shape == (0, 0)


@pytest.mark.parametrize("platform", ["cpu", "cuda", "tpu"])
def test_gram_matrix_lowers_for_every_platform(platform):
    """Lowering needs no device; float32, since tpu has no float64."""
    kernel = ntk(erf, 3, weight_variance=2, bias_variance=1)
    rows = jax.ShapeDtypeStruct((8, 5), jnp.float32)
    exported = export.export(jax.jit(kernel.gram), platforms=[platform])(rows)
    assert exported.platforms == (platform,)
    assert exported.out_avals[0].shape == (8, 8)


@problems.by_name()
def test_equal_rows_of_two_blocks_have_the_diagonal(phi):
    """What compilation rounds apart must not count as different inputs."""
    rows = np.random.default_rng(11).standard_normal((6, 3))
    kernel = nngp(phi, 1, weight_variance=0.3)
    diagonal = np.diag(kernel.gram(rows))
    # A series leaves its truncation out, between rows and not on the diagonal.
    np.testing.assert_allclose(
        np.diag(kernel.gram(rows, rows.copy())), diagonal, rtol=1e-7 + 10 * kernel.truncation
    )


def test_lists_of_rows_are_the_arrays_they_stand_for(rng):
    # Of a series: how many terms it takes depends on the largest norm, whatever holds the rows.
    rows = 20 * rng.standard_normal((3, 2))
    rows[1] = 1.001 * rows[0]  # close rows feel the last terms
    kernel = nngp(tanh, 1, weight_variance=1)
    assert kernel._terms(rows) > kernel._terms()
    np.testing.assert_array_equal(kernel.gram(rows.tolist()), kernel.gram(rows))
