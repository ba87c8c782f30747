"""Products without a matrix and the solver on them, against dense algebra and exact numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy

import kerneltheory as kt
from kerneltheory.regression import mesh as mesh_module
from kerneltheory.regression.conjugate_gradient import System, certified_residual
from kerneltheory.regression.gram_product import (
    make_tiles,
    pad,
    product_and_size,
    shared_product,
    summation_error,
)
from kerneltheory.regression.mesh import place, solver_mesh, working_precision
from kerneltheory.sphere.sampling import uniform_sphere

t = sympy.Symbol("t")
DIM = 6
RELU = kt.ntk(kt.relu, 1, weight_variance=2, bias_variance=1)
KERNELS = {
    "network": RELU,
    "network of a series": kt.nngp(kt.tanh, 1, weight_variance=3),
    "dot product": kt.dot_product_kernel(sympy.exp(t)),
    "sum": RELU + kt.nngp(kt.erf, 2, weight_variance=1),
    "composition": kt.dot_product_kernel(t**3).compose(kt.nngp(kt.relu, 1, weight_variance=1)),
}


def sphere(rng, count, dim=DIM):
    return np.sqrt(dim) * uniform_sphere(rng, count, dim)


def exact_problem(rng, count):
    """Rows of signs and a polynomial kernel: every entry of K is a dyadic rational, exactly."""
    X = rng.choice([-1.0, 1.0], (count, 16))
    cosines = X @ X.T / 16
    return kt.dot_product_kernel(t + t**2 / 2), X, cosines + cosines**2 / 2


# --- products -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("network", 530),  # enough for an interpolant, and two rows of tiles
        pytest.param("dot product", 20, marks=pytest.mark.kin),
        pytest.param("composition", 20, marks=pytest.mark.kin),
        pytest.param("sum", 530, marks=pytest.mark.kin),
        pytest.param("network of a series", 530, marks=pytest.mark.slow),
    ],
)
def test_product_is_that_of_the_gram_matrix(name, count, rng):
    kernel, X, Z = KERNELS[name], sphere(rng, count), sphere(rng, 14)
    V = np.stack([rng.standard_normal(count), np.arange(count) == 7], axis=1)
    # Entries may differ by what `gram` promises of them, 8e-15 of h(1).
    allowed = 2e-14 * kernel.trace * np.abs(V).sum(axis=0).max()
    np.testing.assert_allclose(
        kt.gram_product(kernel, X, V), kernel.gram(X) @ V, rtol=0, atol=allowed
    )
    np.testing.assert_allclose(
        kt.gram_product(kernel, Z, V, X), kernel.gram(Z, X) @ V, rtol=0, atol=allowed
    )
    # The tangent kernel of relu falls from its diagonal with an infinite slope.
    assert kt.gram_product(kernel, X, V)[7, 1] == kernel.gram(X)[7, 7]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["network of a series", "sum"])
def test_rows_may_have_any_norm_where_the_kernel_takes_them(name, rng):
    """A series needs more terms for long rows than the sphere does."""
    kernel, X = KERNELS[name], 3 * rng.standard_normal((40, DIM))
    V = rng.standard_normal(40)
    gram = kernel.gram(X)
    allowed = 1e-13 * np.abs(gram).max() * np.abs(V).sum()
    np.testing.assert_allclose(kt.gram_product(kernel, X, V), gram @ V, rtol=0, atol=allowed)


@pytest.mark.parametrize("dtype", [np.float32, pytest.param(np.float64, marks=pytest.mark.slow)])
def test_rounding_of_a_product_is_within_its_bound(dtype, rng):
    kernel, X, gram = exact_problem(rng, 700)
    V = rng.standard_normal((700, 3)).astype(dtype)
    mesh = solver_mesh(None, "rows")
    with jax.enable_x64(dtype == np.float64):
        tiles = make_tiles(kernel, X, mesh, dtype)
        vectors = place(mesh, pad(V, len(tiles.columns)))
        values, sizes = product_and_size(tiles, vectors, mesh=mesh, axis="rows")
    exact = gram.astype(np.longdouble) @ V.astype(np.longdouble)
    unit = summation_error(len(tiles.columns), dtype)
    bound = unit * (np.abs(gram) @ np.abs(V.astype(np.float64)))
    np.testing.assert_array_less(np.abs(np.asarray(values)[:700] - exact), bound)
    np.testing.assert_allclose(np.asarray(sizes)[:700] * unit, bound, rtol=1e-4)
    assert unit < 30 * np.finfo(dtype).eps / 2  # far from the 700 of a sum term by term


def test_memory_is_linear_in_the_number_of_samples():
    """What the compiled product needs besides its arguments; the matrix would take 137 GB."""

    def bytes_for(count):
        with jax.enable_x64(True):
            mesh = solver_mesh(None, "rows")
            tiles = make_tiles(RELU, sphere(np.random.default_rng(0), 512, 20), mesh, np.float64)
            rows = jax.ShapeDtypeStruct((count, 20), np.float64)
            tiles = tiles._replace(
                rows=rows, columns=rows, diagonal=jax.ShapeDtypeStruct((count,), np.float64)
            )
            vectors = jax.ShapeDtypeStruct((count, 2), np.float64)
            bounds = jax.ShapeDtypeStruct((1, 2), np.int32)
            lowered = shared_product.lower(
                tiles, vectors, bounds, mesh=mesh, axis="rows", sizes=False
            )
            return lowered.compile().memory_analysis().temp_size_in_bytes

    small, large = bytes_for(2**16), bytes_for(2**17)
    assert large <= 2.1 * small
    assert large < 2**17 * 8 * 60  # sixty numbers a row, of the 131,072 of the matrix


# --- the solver -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "preconditioner", ["auto", "cholesky", pytest.param("none", marks=pytest.mark.slow)]
)
def test_solution_is_that_of_the_dense_system(preconditioner, rng):
    X, ridge = sphere(rng, 100), 1e-3
    y = rng.standard_normal((100, 1))
    found = kt.solve_iteratively(RELU, X, y, ridge, preconditioner=preconditioner, tolerance=1e-10)
    system = RELU.gram(X) + ridge * np.eye(100)
    # |a - a*| <= |r| / (least eigenvalue), which is above the ridge.
    error = np.linalg.norm(found.coefficients - np.linalg.solve(system, y), axis=0)
    assert np.all(error <= 1.1e-10 * np.linalg.norm(y, axis=0) / ridge)
    assert np.all(found.residual_bound <= 1e-10)
    assert found.history.shape == (found.iterations + 1, 1)


@pytest.mark.slow
def test_outputs_are_solved_each_by_itself(rng):
    X, y = sphere(rng, 100), rng.standard_normal((100, 3))
    y[:, 1] = 0
    found = kt.solve_iteratively(RELU, X, y, 1e-2, tolerance=1e-10)
    assert not found.coefficients[:, 1].any()
    for column in (0, 2):
        alone = kt.solve_iteratively(RELU, X, y[:, column], 1e-2, tolerance=1e-10)
        error = np.linalg.norm(found.coefficients[:, column] - alone.coefficients)
        assert error <= 2.2e-10 * np.linalg.norm(y[:, column]) / 1e-2
    Z = sphere(rng, 7)
    np.testing.assert_allclose(
        found.predict(Z), RELU.gram(Z, X) @ found.coefficients, rtol=0, atol=1e-11
    )


def test_vector_of_labels_gives_a_vector(rng):
    X = sphere(rng, 100)
    found = kt.solve_iteratively(RELU, X, X[:, 0], 0.1)
    assert found.coefficients.shape == (100,)
    assert found.predict(X[:2]).shape == (2,)
    assert "at most" in repr(found)
    assert "harmonics of degree 0, 1: 7 columns" in repr(found)
    assert "<table>" in found._repr_html_()


def test_bound_holds_the_true_residual(rng):
    """At the solution to all digits nothing but rounding is left, and the bound holds that."""
    kernel, X, gram = exact_problem(rng, 400)
    y, ridge = rng.standard_normal((400, 1)), 2.0**-10
    solution = np.linalg.solve(gram + ridge * np.eye(400), y)
    mesh = solver_mesh(None, "rows")
    with jax.enable_x64(True):
        tiles = make_tiles(kernel, X, mesh, np.float64)
        count = len(tiles.rows)
        mask = place(mesh, pad(np.ones((400, 1)), count))
        system = System(tiles, place(mesh, ridge), None, mask)
        a, labels = (place(mesh, pad(part, count)) for part in (solution, y))
        residual, bounds = certified_residual(system, a, labels, mesh=mesh, axis="rows")
    wide = [part.astype(np.longdouble) for part in (gram, solution, y)]
    true = wide[2] - wide[0] @ wide[1] - np.longdouble(ridge) * wide[1]
    off = np.abs(np.asarray(residual)[:400] - true)
    assert off.max() > 0
    np.testing.assert_array_less(off, np.asarray(bounds)[:400])
    assert not np.asarray(bounds)[400:].any()


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_labels_of_any_size_scale_the_solution(scale, rng):
    X = sphere(rng, 100)
    one, other = (kt.solve_iteratively(RELU, X, c * X[:, 0], 0.1) for c in (1.0, scale))
    assert one.iterations == other.iterations
    np.testing.assert_allclose(other.coefficients / scale, one.coefficients, rtol=1e-6)


def test_float32_refuses_what_it_cannot_bear(rng):
    X = jnp.asarray(sphere(rng, 200), jnp.float32)
    # 16 + 3 + 1 roundings: chunks, pairs of chunks, pairs of tiles; twice |y|, nearly.
    with pytest.raises(ValueError, match=r"tolerance must be at least 2\.3e-06, .* in float32"):
        kt.solve_iteratively(RELU, X, X[:, 0], 1.0)


@pytest.mark.slow
def test_float32_says_so_and_reaches_what_it_bears(rng):
    X = sphere(rng, 200)
    y = X[:, 0] * X[:, 1]
    found = kt.solve_iteratively(
        RELU, jnp.asarray(X, jnp.float32), jnp.asarray(y, jnp.float32), 1.0, tolerance=1e-3
    )
    assert found.coefficients.dtype == jnp.float32
    assert "float32" in repr(found)
    residual = y - (RELU.gram(X) + np.eye(200)) @ np.asarray(found.coefficients, float)
    # Rows in float32 move each entry of K by about eps times its slope, far below this.
    assert np.linalg.norm(residual) <= 1.5e-3 * np.linalg.norm(y)


@pytest.mark.slow
def test_devices_without_float64_compute_in_float32_and_say_so(rng, monkeypatch):
    monkeypatch.setattr(mesh_module, "WITHOUT_FLOAT64", frozenset({"cpu"}))
    X = sphere(rng, 200)
    with pytest.warns(UserWarning, match="'cpu' have no float64: computing in float32"):
        found = kt.solve_iteratively(RELU, X, X[:, 0], 1.0, tolerance=1e-3)
    assert found.precision == "float32"
    assert found.coefficients.dtype == np.float32
    with (
        pytest.warns(UserWarning, match="float32"),
        pytest.raises(ValueError, match="tolerance must be at least"),
    ):
        kt.solve_iteratively(RELU, X, X[:, 0], 1.0)
    assert working_precision(solver_mesh(None, "rows"), jnp.ones(2)) == np.float32


@pytest.mark.slow
def test_harmonics_need_at_most_a_fifth_of_the_iterations():
    """The problem of the benchmark, n = 30,000, at less of its size."""
    rng = np.random.default_rng(5)
    kernel, X = kt.ntk(kt.relu, 1, weight_variance=2), sphere(rng, 2048, 20)
    y, ridge = kt.zonal_harmonic(3, rng.standard_normal(20), X), 1e-3 * kernel.trace
    found = kt.solve_iteratively(kernel, X, y, ridge)
    assert "harmonics of degree 0, 1, 2: 230 columns" in repr(found)
    with pytest.raises(kt.PrecisionError, match=r"after \d+ iterations, not below the tolerance"):
        kt.solve_iteratively(
            kernel, X, y, ridge, preconditioner="none", max_iterations=5 * found.iterations
        )


# --- what is refused ------------------------------------------------------------------------------


def test_what_cannot_be_reached_is_said(rng):
    X = sphere(rng, 100)
    noise = rng.standard_normal(100)
    with pytest.raises(kt.PrecisionError, match="rounding in float64 alone may be"):
        # Rounding comes to |K||a|/|y| units of 2e-15 or so, and that ratio is well above 3.
        kt.solve_iteratively(RELU, X, noise, 1e-3, tolerance=1e-14)
    with pytest.raises(kt.PrecisionError, match="after 3 iterations, not below"):
        kt.solve_iteratively(RELU, X, noise, 1e-3, max_iterations=3)


@pytest.mark.slow
def test_kernel_that_is_not_positive_definite_is_refused(rng):
    kernel = kt.dot_product_kernel(t**2 - t)
    X = sphere(rng, 100)
    with pytest.raises(kt.NotPositiveDefiniteError, match="negative eigenvalue"):
        kt.solve_iteratively(kernel, X, X[:, 0], 1e-3, preconditioner="none")


def bad(**changes):
    X = sphere(np.random.default_rng(1), 10)
    return {"kernel": RELU, "X": X, "y": X[:, 0], "ridge": 0.1} | changes


X10 = sphere(np.random.default_rng(1), 10)
MESH = jax.make_mesh((1,), ("columns",), devices=jax.devices()[:1])


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"X": np.full((3, 2), np.nan)}, ValueError, "X must be finite, got 6 entries"),
        ({"X": jnp.full((3, 2), jnp.nan)}, ValueError, "X must be finite, got 6 entries"),
        ({"X": np.ones(3)}, ValueError, "X must have 2 dimensions"),
        ({"X": np.ones((0, 3))}, ValueError, "X must have at least one row"),
        ({"y": np.ones(9)}, ValueError, r"y must have shape \(10,\) or \(10, outputs\)"),
        ({"y": np.ones((10, 2, 2))}, ValueError, "y must have shape"),
        ({"y": np.full(10, np.inf)}, ValueError, "y must be finite"),
        ({"ridge": -1.0}, ValueError, "ridge must not be negative"),
        ({"tolerance": 1e-16}, ValueError, r"tolerance must be at least .* in float64"),
        ({"tolerance": 2.0}, ValueError, "below 1, got 2"),
        ({"preconditioner": "jacobi"}, ValueError, r"must be one of \['auto', .*got 'jacobi'"),
        ({"preconditioner": "harmonics", "X": X10 * X10[:, :1]}, ValueError, "rows of one norm"),
        ({"rank": 0}, ValueError, "rank must be an integer of at least 1"),
        ({"max_iterations": 0}, ValueError, "max_iterations must be"),
        ({"seed": -1}, ValueError, "seed must be"),
        ({"mesh": MESH}, ValueError, r"mesh must have an axis 'rows', got the axes \['columns'\]"),
        ({"mesh": 8}, TypeError, "mesh must be a jax.sharding.Mesh"),
        ({"kernel": abs}, TypeError, "kernel must come from"),
        ({"kernel": KERNELS["dot product"], "X": 2 * X10}, ValueError, "squared norm"),
    ],
)
def test_bad_input_is_named(changes, error, message):
    with pytest.raises(error, match=message):
        kt.solve_iteratively(**bad(**changes))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((X10, np.ones(9)), r"V must have shape \(10,\)"),
        ((X10, np.ones(10), X10[:, :3]), "Z must have 6 columns"),
        ((X10, np.full(10, np.nan)), "V must be finite"),
        ((X10, np.ones(3), np.ones((0, 6))), "Z must have at least one row"),
    ],
)
def test_bad_input_of_a_product_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        kt.gram_product(RELU, *arguments)


def test_trials_need_their_axes_and_labels():
    with pytest.raises(ValueError, match=r"an axis 'trials', got the axes \['columns'\]"):
        kt.solve_trials(RELU, [X10], [X10[:, 0]], 0.1, mesh=MESH)
    mesh = jax.make_mesh((1, 1), ("trials", "rows"), devices=jax.devices()[:1])
    with pytest.raises(ValueError, match="y must have labels for 1 trials as X has, got 2"):
        kt.solve_trials(RELU, [X10], [X10[:, 0]] * 2, 0.1, mesh=mesh)


def test_tracing_is_refused():
    with pytest.raises(TypeError, match="not traced by jax"):
        jax.jit(lambda X: kt.gram_product(RELU, X, np.ones(10)))(X10)
