"""Gram matrices of random points have the levels of the spectrum, N-fold, and its bias.

Nothing here but the kernel's Gram matrix and numpy meets the eigenvalues under test.
"""

import numpy as np
import pytest
import sympy

from kerneltheory.activations.catalogue import relu
from kerneltheory.kernels.kernel import dot_product_kernel, nngp, ntk
from kerneltheory.spectra.domains import spectrum
from kerneltheory.spectra.empirical import sampling_bias

T = sympy.Symbol("t", real=True)
CASES = (
    (ntk(relu, 2, weight_variance=2), 8, (1, 8, 35)),
    (nngp(relu, 1, weight_variance=2), 6, (1, 6, 20)),
    (dot_product_kernel(sympy.exp(2 * T)), 5, (1, 5, 14)),
)
ROWS, TRIALS = 400, 8


def points(generator, rows, dim):
    """Rows of squared norm d, of uniform direction."""
    x = generator.standard_normal((rows, dim))
    return x * np.sqrt(dim) / np.linalg.norm(x, axis=1, keepdims=True)


def gram_eigenvalues(kernel, dim, rows, trials):
    generator = np.random.default_rng(7)
    grams = (np.asarray(kernel.gram(points(generator, rows, dim))) for _ in range(trials))
    return np.array([np.linalg.eigvalsh(gram)[::-1] / rows for gram in grams])


@pytest.mark.slow
@pytest.mark.parametrize(("kernel", "dim", "counts"), CASES, ids=lambda case: str(case))
def test_gram_matrices_have_the_levels_of_the_spectrum(kernel, dim, counts):
    truth = spectrum(kernel, dim, 6)
    bias = sampling_bias(truth, ROWS)
    found = gram_eigenvalues(kernel, dim, ROWS, TRIALS)
    ends = np.cumsum([0, *counts])
    seen = False
    for k, count in enumerate(counts):
        exact, level = truth.eigenvalues[k], found[:, ends[k] : ends[k + 1]]
        means = level.mean(axis=1)
        error = means.std(ddof=1) / np.sqrt(TRIALS)
        # The next order of perturbation theory: the bias once more, relative to the eigenvalue
        # and by what the N eigenfunctions of the level share, and those above it.
        higher = (bias[k] / exact + ends[k + 1] / ROWS) * bias[k]
        assert abs(means.mean() - exact - bias[k]) < 4 * error + higher
        seen |= abs(means.mean() - exact) > 4 * error + higher
        # The levels spread: E |E'E/n - 1|^2 = N (N - 1)/n for features with sum e_i^2 = N. Other
        # levels mix in, by their share of the samples, and 4 standard errors of a chi-square.
        if count > 1:
            spread = ((level - means[:, None]) ** 2).mean() / exact**2 * ROWS / (count - 1)
            freedom = TRIALS * (count * (count + 1) / 2 - 1)
            assert abs(spread - 1) < 4 * np.sqrt(2 / freedom) + 3 * ends[k + 1] / ROWS
        # Exactly N of them: the next eigenvalue belongs to the next level.
        assert np.all(level[:, -1] > found[:, ends[k + 1]] * 1.2)
    assert seen  # without the bias the means would be wrong
