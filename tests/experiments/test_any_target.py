"""The expected error depends on a target's power by degree only, zonal or not."""

import numpy as np
import pytest
import sympy

from kerneltheory.experiments.simulate import simulate
from kerneltheory.kernels.base import T
from kerneltheory.kernels.kernel import dot_product_kernel
from kerneltheory.learning.equivalent import learning_curve
from kerneltheory.regression.ridge import KernelRidge
from kerneltheory.spectra.domains import spectrum
from kerneltheory.spectra.spectrum import Target
from kerneltheory.sphere.sampling import uniform_sphere

DIM, N, RIDGE, NOISE, TRIALS = 10, 80, 0.1, 0.1, 150
POWER = {0: 0.2, 2: 0.5, 3: 0.3}


def _target(x):
    """A constant, x_1 x_2 and x_1 x_2 x_3, each of the power above."""
    square = np.sqrt(DIM * (DIM + 2)) * x[:, 0] * x[:, 1]
    cubic = np.sqrt(DIM * (DIM + 2) * (DIM + 4)) * x[:, :3].prod(axis=1)
    parts = {0: 1.0, 2: square, 3: cubic}
    return sum(np.sqrt(power) * parts[degree] for degree, power in POWER.items())


@pytest.mark.slow
def test_products_of_coordinates_are_learned_as_zonal_functions_are():
    kernel = dot_product_kernel(sympy.exp(T))
    generator, scale = np.random.default_rng(11), np.sqrt(DIM)
    errors = []
    for _ in range(TRIALS):
        x, tests = uniform_sphere(generator, N, DIM), uniform_sphere(generator, 1000, DIM)
        labels = _target(x) + np.sqrt(NOISE) * generator.standard_normal(N)
        predicted = KernelRidge(kernel, RIDGE).fit(scale * x, labels).predict(scale * tests)
        errors.append(np.mean((predicted - _target(tests)) ** 2))
    mean, own = np.mean(errors), np.std(errors) / np.sqrt(TRIALS)
    target = Target(POWER, NOISE)
    other = simulate(kernel, target, DIM, N, RIDGE, 100, 3, progress=False)
    together = np.hypot(own, float(other.standard_errors.test_error))
    assert abs(mean - other.test_error) < 4 * together
    theory = learning_curve(spectrum(kernel, DIM, 40), target, N, RIDGE)
    assert bool(theory.valid)
    assert abs(mean / theory.test_error - 1) < max(0.01, 3 * own / mean)
