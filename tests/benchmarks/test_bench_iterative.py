"""Regression without a Gram matrix: 30,000 samples on the sphere, and one product on more devices.

Each part runs in a process of its own, which prints what it used. Read from the large system: the
relative residual, at most 1e-8; the peak memory, under 2 GiB. The iterations with harmonics are at
most a fifth of those without, which a smaller system shows in less time. The devices of the
scaling table are threads of the same cores: a table of a real machine needs real devices.
"""

import json
import os
import subprocess
import sys

LARGE = """
import json, resource, sys
import numpy as np
import kerneltheory as kt
from kerneltheory.sphere.sampling import uniform_sphere

size, preconditioner = int(sys.argv[1]), sys.argv[2]
rng = np.random.default_rng(0)
X = np.sqrt(20) * uniform_sphere(rng, size, 20)
kernel = kt.ntk(kt.relu, 1, weight_variance=2)
y = kt.zonal_harmonic(3, rng.standard_normal(20), X)
found = kt.solve_iteratively(
    kernel, X, y, 1e-3 * kernel.trace, preconditioner=preconditioner, progress=True
)
usage = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({
    "preconditioner": found.preconditioner,
    "iterations": found.iterations,
    "residual": float(found.residual_bound.max()),
    "CPU seconds": usage.ru_utime + usage.ru_stime,
    "peak MiB": usage.ru_maxrss / 1024,
}))
"""
SCALING = """
import json, sys, time
import jax
import numpy as np
import kerneltheory as kt
from kerneltheory.sphere.sampling import uniform_sphere

rng = np.random.default_rng(0)
X = np.sqrt(20) * uniform_sphere(rng, 8192, 20)
kernel, V = kt.ntk(kt.relu, 1, weight_variance=2), rng.standard_normal(8192)
seconds, results = {}, []
for count in (1, 2, 4, 8):
    mesh = jax.make_mesh((count,), ("rows",), devices=jax.devices()[:count])
    kt.gram_product(kernel, X, V, mesh=mesh)
    times = []
    for _ in range(5):
        start = time.perf_counter()
        results.append(kt.gram_product(kernel, X, V, mesh=mesh))
        times.append(time.perf_counter() - start)
    seconds[count] = min(times)
assert all(np.array_equal(results[0], other) for other in results)
print(json.dumps(seconds))
"""


def run(code: str, *arguments: str, devices: int = 1) -> dict:
    flags = f"--xla_force_host_platform_device_count={devices}"
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env={**os.environ, "XLA_FLAGS": flags},
    )
    return json.loads(done.stdout)


def once(benchmark, *arguments, **options):
    result = benchmark.pedantic(run, args=arguments, kwargs=options, rounds=1)
    benchmark.extra_info.update(result)
    print(result)
    return result


def test_thirty_thousand_samples(benchmark):
    result = once(benchmark, LARGE, "30000", "harmonics")
    assert result["residual"] <= 1e-8
    assert result["peak MiB"] < 2048


def test_iterations_with_and_without_harmonics(benchmark):
    plain = run(LARGE, "6000", "none")
    preconditioned = once(benchmark, LARGE, "6000", "harmonics")
    print(plain)
    assert preconditioned["iterations"] <= plain["iterations"] / 5


def test_strong_scaling_of_a_product(benchmark):
    once(benchmark, SCALING, devices=8)
