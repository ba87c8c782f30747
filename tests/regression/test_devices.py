"""The same numbers to the bit on one device, on eight, and in two processes."""

import os
import socket
import subprocess
import sys

import numpy as np
import pytest

# What every process of these tests begins with; one process has as many devices as it is told.
PROBLEM = """
import sys
import jax
import jax.numpy as jnp
import numpy as np
import kerneltheory as kt
from kerneltheory.sphere.sampling import uniform_sphere

def mesh(count):
    return jax.make_mesh((count,), ("rows",), devices=jax.devices()[:count])

# Three rows of tiles, the last one not full: eight devices have unequal shares.
X = np.sqrt(6) * uniform_sphere(np.random.default_rng(0), 1100, 6)
y = np.stack([X[:, 0] * X[:, 1], np.sin(X[:, 2])], axis=1)
kernel = kt.ntk(kt.relu, 1, weight_variance=2, bias_variance=1)

def numbers(found):
    return [np.asarray(part) for part in (found.coefficients, found.history, found.residual_bound)]
"""
ILL_CONDITIONED = """
def solved(mesh):
    return numbers(kt.solve_iteratively(kernel, X, y, 1e-10, tolerance=1e-4, mesh=mesh))
"""
ON_FEWER_COLUMNS = """
def solved(mesh):
    return numbers(
        kt.solve_iteratively(
            kernel, X, y, 1e-3, tolerance=1e-6, preconditioner="cholesky", rank=60, mesh=mesh
        )
    )
"""
SINGLE_PRECISION = """
def solved(mesh):
    arrays = jnp.asarray(X, jnp.float32), jnp.asarray(y, jnp.float32)
    return numbers(kt.solve_iteratively(kernel, *arrays, 1.0, tolerance=3e-3, mesh=mesh))
"""
COMPARE = """
first, *others = [solved(None)] + [solved(mesh(int(count))) for count in sys.argv[1:]]
assert np.isfinite(first[0]).all() and np.abs(first[0]).max() > 0
for other in others:
    for one, two in zip(first, other):
        np.testing.assert_array_equal(one, two)
print("equal", first[0].dtype, len(first[1]) - 1)
"""
TRIALS = """
Xs, ys = [X, -X[::-1], X[:700]], [y, y, y[:700, 0]]
grid = jax.make_mesh((2, 4), ("trials", "rows"), devices=jax.devices())
found = kt.solve_trials(kernel, Xs, ys, 1e-2, tolerance=1e-5, mesh=grid)
for solution, rows, labels in zip(found, Xs, ys):
    alone = kt.solve_iteratively(kernel, rows, labels, 1e-2, tolerance=1e-5)
    assert (alone.devices, solution.devices) == (1, 4)
    for one, two in zip(numbers(alone), numbers(solution)):
        np.testing.assert_array_equal(one, two)
points = kt.gram_product(kernel, X[:600], y, X, mesh=mesh(8))
np.testing.assert_array_equal(points, kt.gram_product(kernel, X[:600], y, X))
print("equal", len(found))
"""
TWO_PROCESSES = """
rank, address, path = int(sys.argv[1]), sys.argv[2], sys.argv[3]
jax.config.update("jax_cpu_collectives_implementation", "gloo")
jax.distributed.initialize(address, num_processes=2, process_id=rank)
assert jax.process_count() == 2 and jax.device_count() == 2 and jax.local_device_count() == 1
together = solved(mesh(2))
np.savez(f"{path}/{rank}.npz", *together)
if rank == 0:
    np.savez(f"{path}/alone.npz", *solved(None))
"""


def start(code: str, *arguments: str, devices: int) -> subprocess.Popen:
    flags = f"--xla_force_host_platform_device_count={devices}"
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"},
    )


def output(process: subprocess.Popen) -> str:
    printed, errors = process.communicate(timeout=500)
    assert process.returncode == 0, errors
    return printed


@pytest.mark.slow
@pytest.mark.parametrize(
    "case",
    [
        ILL_CONDITIONED + COMPARE,
        pytest.param(ON_FEWER_COLUMNS + COMPARE, marks=pytest.mark.kin),
        pytest.param(SINGLE_PRECISION + COMPARE, marks=pytest.mark.kin),
        TRIALS,
    ],
    ids=["ill-conditioned", "cholesky", "float32", "trials"],
)
def test_same_bits_on_one_two_and_eight_devices(case):
    assert output(start(PROBLEM + case, "2", "8", devices=8)).startswith("equal")


@pytest.mark.slow
def test_same_bits_in_two_processes(tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    code = PROBLEM + ILL_CONDITIONED + TWO_PROCESSES
    processes = [start(code, str(rank), address, str(tmp_path), devices=1) for rank in range(2)]
    for process in processes:
        output(process)
    results = [np.load(tmp_path / f"{name}.npz") for name in ("alone", "0", "1")]
    for name in results[0].files:
        for other in results[1:]:
            np.testing.assert_array_equal(results[0][name], other[name])
