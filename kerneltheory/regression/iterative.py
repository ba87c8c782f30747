"""Kernel ridge regression where the Gram matrix does not fit: iterative, on one device or many."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from tqdm import tqdm

from kerneltheory.core import check
from kerneltheory.core.display import html_table
from kerneltheory.kernels.base import Kernel
from kerneltheory.regression import preconditioners
from kerneltheory.regression.conjugate_gradient import System, solve
from kerneltheory.regression.factor import finite_labels, scalar_ridge
from kerneltheory.regression.gram_product import (
    checked_rows,
    gram_product,
    make_tiles,
    pad,
    summation_error,
)
from kerneltheory.regression.mesh import (
    check_axis,
    place,
    solver_mesh,
    working_precision,
)

# A bound on rounding is at least this many times its unit relative to the labels.
LEAST_ROUNDING = 1.9


@dataclass(frozen=True, eq=False)
class IterativeSolution:
    """Coefficients (K + ridge I)^{-1} y that conjugate gradients found, and how far they are off.

    Attributes:
        kernel: the kernel.
        X: the samples, (n, d).
        coefficients: of the shape of y.
        ridge: the absolute ridge.
        iterations: how many products with the Gram matrix the recursion took.
        residual_bound: a bound of |y - (K + ridge I) a| / |y| of every output, rounding included;
            K are the entries as the kernel computes them in this precision.
        history: the same ratio as the recursion knew it, before it and after each iteration,
            (iterations + 1, outputs).
        tolerance: what was asked for.
        preconditioner: in words.
        precision: "float64" or "float32".
        devices: how many shared the products.

    Examples:
        >>> from kerneltheory.activations.catalogue import relu
        >>> from kerneltheory.kernels.kernel import nngp
        >>> X = np.array([[1.0, 1.0], [1.0, -1.0]])  # K is ((2, 2/pi), (2/pi, 2))
        >>> kernel = nngp(relu, 1, weight_variance=2)
        >>> found = solve_iteratively(kernel, X, [1.0, 1.0], ridge=1.0)
        >>> bool(np.allclose(found.coefficients, 1 / (3 + 2 / np.pi)))
        True
    """

    kernel: Kernel
    X: Any
    coefficients: Any
    ridge: float
    iterations: int
    residual_bound: np.ndarray
    history: np.ndarray
    tolerance: float
    preconditioner: str
    precision: str
    devices: int

    def predict(self, Z: Any, *, mesh: Mesh | None = None, axis: str = "rows") -> Any:
        """Return the predictions K(Z, X) a at test points, (tests,) or (tests, outputs), by tiles.

        Args:
            Z: test points, (tests, d).
            mesh: devices that share the rows of tiles, or None for the first device.
            axis: the axis of the mesh along which they do.

        Raises:
            As `gram_product`.
        """
        return gram_product(self.kernel, Z, self.coefficients, self.X, mesh=mesh, axis=axis)

    def _rows(self) -> list[list[str]]:
        n, outputs = len(self.X), self.history.shape[1]
        return [
            ["kernel", repr(self.kernel)],
            ["samples, outputs", f"{n}, {outputs}"],
            ["ridge", f"{self.ridge:.6g}"],
            ["preconditioner", self.preconditioner],
            ["iterations", str(self.iterations)],
            ["relative residual", f"at most {self.residual_bound.max():.2g}"],
            ["computed in", f"{self.precision}, on {self.devices} device(s)"],
        ]

    def __repr__(self) -> str:
        lines = (f"  {name:<18} {value}" for name, value in self._rows())
        return "\n".join([f"{type(self).__name__}:", *lines])

    def _repr_html_(self) -> str:
        return html_table(type(self).__name__, ["", ""], self._rows())


def solve_iteratively(
    kernel: Kernel,
    X: Any,
    y: Any,
    ridge: float,
    *,
    tolerance: float = 1e-8,
    preconditioner: str = "auto",
    rank: int | None = None,
    seed: int = 0,
    max_iterations: int = 1000,
    mesh: Mesh | None = None,
    axis: str = "rows",
    progress: bool = False,
) -> IterativeSolution:
    r"""Solve (K + ridge I) a = y by preconditioned conjugate gradients, K never stored.

    Tiles of K are computed anew for every product. Memory is O(n): the samples, and
    n (rank + about 10 outputs) numbers on every device. It stops when
    :math:`|y - (K + \text{ridge}) a| \le \text{tolerance}\,|y|` is certain for every output: the
    residual is computed from a, and its own rounding is bounded by
    :math:`\gamma\,\bigl|\,|K||a| + \text{ridge}\,|a| + |y|\,\bigr|`, with :math:`\gamma` about 30
    units of rounding.

    Args:
        kernel: any kernel of the package.
        X: samples, (n, d). numpy is computed in float64, jax in its own dtype; on a device without
            float64 numpy is computed in float32, with a warning.
        y: labels, (n,) or (n, outputs).
        ridge: absolute ridge, not negative.
        tolerance: of the relative residual. float32 bears 1e-5 at best.
        preconditioner: "harmonics" (degrees up to 3, of rows uniform on a sphere), "cholesky" (a
            randomly pivoted partial factor, of any rows), "none", or "auto": harmonics if the
            second moments of rows are those of a uniform sphere, else the factor.
        rank: the most columns it may have; by default n/4 harmonics, or a factor of 4 sqrt(n).
        seed: of the pivots.
        max_iterations: how many products at most.
        mesh: devices that share the rows of tiles (`jax.make_mesh`), or None for the first device.
            In several processes each calls this function with the same arguments. The result is
            the same on any number of devices of a kind, to the bit.
        axis: the axis of the mesh along which they share.
        progress: whether a bar shows the residual.

    Returns:
        The solution, which predicts and tells how it was found. Its arrays are numpy arrays, but
        jax arrays where an argument was one.

    Raises:
        ValueError, TypeError: if an argument is not finite, has the wrong shape, type or name, if
            the mesh has no such axis, or if the precision cannot bear the tolerance.
        PrecisionError: if the tolerance was not reached; it says what was, and why.
        NotPositiveDefiniteError: if K + ridge I has a negative eigenvalue beyond rounding.

    References:
        arXiv:2207.06503 and arXiv:2304.12465 for the Cholesky factor; Saad, Iterative Methods for
        Sparse Linear Systems (2003), for conjugate gradients.

    Examples:
        >>> from kerneltheory.activations.catalogue import relu
        >>> from kerneltheory.kernels.kernel import nngp
        >>> from kerneltheory.sphere.sampling import uniform_sphere
        >>> X = uniform_sphere(np.random.default_rng(0), 60, 5)
        >>> kernel = nngp(relu, 1, weight_variance=2)
        >>> found = solve_iteratively(kernel, X, X[:, 0], ridge=0.01)
        >>> exact = np.linalg.solve(kernel.gram(X) + 0.01 * np.eye(60), X[:, 0])
        >>> bool(np.allclose(found.coefficients, exact, rtol=0, atol=1e-6))
        True
    """
    mesh = solver_mesh(mesh, axis)
    dtype = working_precision(mesh, X, y)
    samples = checked_rows(kernel, X)
    labels = finite_labels(y, len(samples))
    ridge = scalar_ridge(ridge)
    tolerance = _checked_tolerance(tolerance, len(samples), dtype)
    max_iterations = check.integer("max_iterations", max_iterations, minimum=1)
    rank = None if rank is None else check.integer("rank", rank, minimum=1)
    seed = check.integer("seed", seed, minimum=0)
    name = preconditioners.choose(preconditioner, samples, rank)
    bar = tqdm(desc="iterations", delay=2, disable=not progress, leave=False)

    def tell(iteration: int, residual: float) -> None:
        bar.update(iteration - bar.n)
        bar.set_postfix_str(f"residual {residual:.1e}", refresh=False)

    # An exact power of two: squares then neither overflow nor underflow.
    unit = 2.0 ** (int(np.frexp(np.abs(labels).max())[1]) - 1)
    with bar, jax.enable_x64(dtype == np.float64):
        tiles = make_tiles(kernel, samples, mesh, dtype)
        count = len(tiles.rows)
        inverse, words = preconditioners.build(
            name, kernel, samples, tiles, ridge, mesh=mesh, rank=rank, seed=seed
        )
        is_sample = pad(np.ones((len(samples), 1)), count)
        system = System(tiles, place(mesh, ridge, dtype), inverse, place(mesh, is_sample, dtype))
        columns = pad(labels.reshape(len(samples), -1) / unit, count)
        outcome = solve(system, columns, tolerance, max_iterations, mesh=mesh, axis=axis, tell=tell)
        coefficients = outcome.solution[: len(samples)].reshape(labels.shape) * unit
        of_jax = isinstance(X, jax.Array) or isinstance(y, jax.Array)
        # A caller who writes into X later must not move the solution.
        kept = X if isinstance(X, jax.Array) else samples.copy()
        return IterativeSolution(
            kernel=kernel,
            X=kept,
            coefficients=jnp.asarray(coefficients, dtype) if of_jax else coefficients,
            ridge=ridge,
            iterations=outcome.iterations,
            residual_bound=outcome.bound,
            history=outcome.history,
            tolerance=tolerance,
            preconditioner=words,
            precision=str(dtype),
            devices=mesh.shape[axis],
        )


def _checked_tolerance(tolerance: Any, count: int, dtype: Any) -> float:
    tolerance = float(check.positive("tolerance", check.finite("tolerance", tolerance, ndim=0)))
    least = LEAST_ROUNDING * summation_error(count, dtype)
    if not least <= tolerance < 1:
        raise ValueError(
            f"tolerance must be at least {least:.1e}, which rounding in {dtype} may come to, and "
            f"below 1, got {tolerance:.1e}"
        )
    return tolerance


def solve_trials(
    kernel: Kernel,
    X: Any,
    y: Any,
    ridge: float,
    *,
    mesh: Mesh,
    trial_axis: str = "trials",
    axis: str = "rows",
    progress: bool = False,
    **options: Any,
) -> list[IterativeSolution | None]:
    """Solve independent problems, each on its own devices, all at the same time.

    Trial t runs on row t mod T of a mesh with axes (trials, rows) of T rows, as `solve_iteratively`
    would run it alone on those devices, with the same result to the bit.

    Args:
        kernel: any kernel of the package.
        X: samples of each trial: (trials, n, d), or a sequence of matrices.
        y: labels of each trial: (trials, n), (trials, n, outputs), or a sequence.
        ridge: absolute ridge.
        mesh: the devices; axes besides the two are not used.
        trial_axis: the axis along which trials are shared out.
        axis: the axis along which the devices of a trial share its rows of tiles.
        progress: whether a bar counts the trials.
        options: of `solve_iteratively`.

    Returns:
        One solution a trial. In several processes each process has those of its own devices, and
        None for the others.

    Raises:
        As `solve_iteratively`; ValueError if there are not as many labels as trials.

    Reference: as `solve_iteratively`.

    Examples:
        >>> from kerneltheory.activations.catalogue import relu
        >>> from kerneltheory.kernels.kernel import nngp
        >>> mesh = Mesh(np.array(jax.devices()[:1]).reshape(1, 1), ("trials", "rows"))
        >>> kernel, X = nngp(relu, 1, weight_variance=2), np.array([[1.0, 1.0], [1.0, -1.0]])
        >>> first, second = solve_trials(kernel, [X, X], [[1.0, 1.0], [2.0, 2.0]], 1.0, mesh=mesh)
        >>> bool(np.allclose(second.coefficients, 2 * first.coefficients))
        True
    """
    for name in (trial_axis, axis):
        check_axis(mesh, name)
    for name, value in (("X", X), ("y", y)):
        if not hasattr(value, "__len__"):
            raise TypeError(f"{name} must hold arrays, one a trial, got {check.shown(value)}")
    if len(X) != len(y) or len(X) == 0:
        raise ValueError(f"y must have labels for {len(X)} trials as X has, got {len(y)}")
    places = [mesh.axis_names.index(name) for name in (trial_axis, axis)]
    grid = np.moveaxis(mesh.devices, places, (0, 1))
    grid = grid.reshape(*grid.shape[:2], -1)[:, :, 0]
    bar = tqdm(total=len(X), desc="trials", delay=2, disable=not progress, leave=False)
    solutions: list[IterativeSolution | None] = [None] * len(X)

    def run(first: int) -> None:
        if not any(device.process_index == jax.process_index() for device in grid[first]):
            return
        own = Mesh(grid[first], (axis,))
        for trial in range(first, len(X), len(grid)):
            solutions[trial] = solve_iteratively(
                kernel, X[trial], y[trial], ridge, mesh=own, axis=axis, **options
            )
            bar.update()

    with bar, ThreadPoolExecutor(len(grid)) as pool:
        list(pool.map(run, range(len(grid))))
    return solutions
