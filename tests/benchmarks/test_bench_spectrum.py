"""Spectra of 200 degrees, beside mpmath's adaptive quadrature of one eigenvalue to 15 digits.

The baseline is one degree of 201: read 201 times the ratio of minima. What is kept from call to
call are nodes, values and Taylor coefficients; the spectra themselves are computed anew. Cold
starts are fresh processes that import all that is needed and make one call, beside one that only
imports; `extra_info` of the saved benchmark has the processor time of the call.
"""

import subprocess
import sys

import mpmath as mp
import pytest
import sympy

from kerneltheory.activations.catalogue import erf, gelu, relu
from kerneltheory.kernels.base import T
from kerneltheory.kernels.kernel import dot_product_kernel, nngp, ntk
from kerneltheory.spectra import domains
from kerneltheory.spectra.domains import certified_spectrum, spectrum

DEGREES, ROUNDS = 200, 5
KERNELS = [
    ntk(relu, 1, weight_variance=2),
    ntk(relu, 3, weight_variance=2),
    ntk(erf, 3, weight_variance=2),
    nngp(gelu, 1, weight_variance=2),
    dot_product_kernel(sympy.exp(-sympy.sqrt(2 - 2 * T))),
    dot_product_kernel(sympy.exp((T - 1) / sympy.Rational(9, 100))),
]
by_dim = pytest.mark.parametrize("dim", [3, 100, 10**6])


def anew(function, *arguments):
    domains._certified.cache_clear()
    return function(*arguments)


@by_dim
@pytest.mark.parametrize("kernel", KERNELS, ids=repr)
def test_spectrum(benchmark, kernel, dim):
    benchmark.group = f"dim {dim}"
    benchmark.pedantic(
        anew, (spectrum, kernel, dim, DEGREES), rounds=ROUNDS, iterations=1, warmup_rounds=1
    )


@pytest.mark.parametrize("kernel", KERNELS[:2], ids=repr)
def test_thirty_certified_digits(benchmark, kernel):
    benchmark.group = "certified, dim 100"
    benchmark.pedantic(
        anew, (certified_spectrum, kernel, 100, DEGREES), rounds=1, iterations=1, warmup_rounds=0
    )


COLD_KERNELS = {
    "imports": "None",
    "ntk(relu, 1)": "kt.ntk(kt.relu, 1, weight_variance=2)",
    "ntk(relu, 3)": "kt.ntk(kt.relu, 3, weight_variance=2)",
    "ntk(erf, 3)": "kt.ntk(kt.erf, 3, weight_variance=2)",
    "ntk(gelu, 3)": "kt.ntk(kt.gelu, 3, weight_variance=2)",
    "Laplace": "kt.dot_product_kernel(sympy.exp(-sympy.sqrt(2 - 2 * t)))",
}
COLD_START = """
import sys, time
import flint, jax, scipy.special, sympy
import kerneltheory as kt
t, spectrum = sympy.Symbol("t"), kt.spectrum
kernel = eval(sys.argv[1])
start = time.process_time()
if kernel is not None:
    spectrum(kernel, int(sys.argv[2]), int(sys.argv[3]))
print(time.process_time() - start)
"""


@pytest.mark.parametrize("dim", [3, 100])
@pytest.mark.parametrize("name", COLD_KERNELS)
def test_cold_start(benchmark, name, dim):
    command = [sys.executable, "-c", COLD_START, COLD_KERNELS[name], str(dim), str(DEGREES)]
    seconds = []

    def run():
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        seconds.append(float(done.stdout))

    benchmark.group = f"cold start, dim {dim}"
    benchmark.pedantic(run, rounds=2, iterations=1)
    benchmark.extra_info["seconds of the first call"] = min(seconds)


@by_dim
def test_mpmath_for_one_degree(benchmark, dim):
    """The relu NTK of one layer at degree 50, where floats have no digit left at dim 100."""
    degree = 50

    def arc_cosine(c):
        return (mp.sqrt(1 - c * c) + 2 * c * (mp.pi - mp.acos(c))) / mp.pi

    def run():
        # As many digits as N(d, k) takes away, and 15 more.
        digits = int(mp.log10(mp.binomial(degree + dim - 2, degree))) + 20
        with mp.workdps(digits):
            half = mp.mpf(dim) / 2
            if dim > 2:
                scale = mp.gegenbauer(degree, half - 1, 1)
            constant = mp.gamma(half) / (mp.sqrt(mp.pi) * mp.gamma(half - mp.mpf(1) / 2))

            def integrand(theta):
                c = mp.cos(theta)
                p = mp.gegenbauer(degree, half - 1, c) / scale
                return arc_cosine(c) * p * mp.sin(theta) ** (dim - 2)

            width = 8 / mp.sqrt(dim)
            middle = mp.pi / 2
            ends = [max(mp.mpf(0), middle - width), middle, min(mp.pi, middle + width)]
            return constant * mp.quad(integrand, ends)

    benchmark.group = f"dim {dim}"
    benchmark.pedantic(run, rounds=1, iterations=1)
