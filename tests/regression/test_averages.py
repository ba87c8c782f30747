"""Traces on every prefix against dense inverses."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from kerneltheory.regression.averages import congruence, prefix_block_sums, prefix_traces
from kerneltheory.regression.nested import NestedRegression

EPS = np.finfo(float).eps
RIDGE = 0.5


def system(rng, size):
    points = rng.standard_normal((size, size))
    return points @ points.T / size


def factor(gram):
    """The inverse of the Cholesky factor."""
    return NestedRegression(gram, np.ones(len(gram)), RIDGE).inverse_factor


def inverse(gram, n):
    return np.linalg.inv(gram[:n, :n] + RIDGE * np.eye(n))


# 256 is the width of a panel.
@pytest.mark.parametrize("size", [1, 5, 255, 256, 257, 520])
def test_block_sums_at_every_prefix(rng, size):
    first, second = rng.standard_normal((2, size, size))
    sums = prefix_block_sums(first, second)
    expected = np.diagonal((first * second).cumsum(axis=0).cumsum(axis=1))
    # Sums of size^2 terms of order one, in any order: size^2 eps, times their root mean square.
    assert_allclose(sums, expected, rtol=0, atol=4 * size**2 * EPS)


def test_block_sums_of_any_memory_order(rng):
    first, second = rng.standard_normal((2, 300, 300))
    expected = prefix_block_sums(first, second)
    for one in (first, np.asfortranarray(first)):
        for other in (second, np.asfortranarray(second)):
            assert_allclose(prefix_block_sums(one, other), expected, rtol=0, atol=300**2 * EPS)


@pytest.mark.parametrize("order", ["C", "F"])
def test_congruence_is_the_product_with_the_inverse_factors(rng, order):
    first, second = system(rng, 30), system(rng, 40)
    matrix = rng.standard_normal((30, 30))
    lower = np.linalg.inv(np.linalg.cholesky(first + RIDGE * np.eye(30)))
    right = np.linalg.inv(np.linalg.cholesky(second + RIDGE * np.eye(40)))[:30, :30]
    expected = lower @ matrix @ right.T
    given = np.array(matrix, order=order)
    actual = congruence(factor(first), given, factor(second))
    # The condition number is about 4.5/0.5, and norms of the factors at most 1/sqrt(0.5).
    assert_allclose(actual, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("symmetric", [False, True])
def test_traces_of_one_training_set(rng, symmetric):
    gram, matrix = system(rng, 30), rng.standard_normal((30, 30))
    matrix = matrix + matrix.T if symmetric else matrix
    traces = prefix_traces(factor(gram), matrix.copy())
    expected = [np.trace(inverse(gram, n) @ matrix[:n, :n]) for n in range(1, 31)]
    assert_allclose(traces, expected, rtol=0, atol=1e-12)


def test_traces_of_two_matrices_and_one_training_set(rng):
    gram = system(rng, 30)
    labels, form = system(rng, 30), system(rng, 30)
    nested = factor(gram)
    sums = prefix_block_sums(
        congruence(nested, labels.copy(), nested), congruence(nested, form.copy(), nested)
    )
    for n in (1, 2, 17, 30):
        m = inverse(gram, n)
        expected = np.trace(m @ labels[:n, :n] @ m @ form[:n, :n])
        assert sums[n - 1] == pytest.approx(expected, rel=1e-12)


def test_traces_of_two_matrices_and_two_training_sets(rng):
    """Neither matrix is symmetric: they stand between two sets of samples."""
    one, other = system(rng, 30), system(rng, 45)
    labels, form = rng.standard_normal((2, 30, 30))
    first, second = factor(one), factor(other)
    sums = prefix_block_sums(
        congruence(first, labels.copy(), second), congruence(first, form.copy(), second)
    )
    for n in (1, 2, 17, 30):
        product = inverse(one, n) @ labels[:n, :n] @ inverse(other, n) @ form[:n, :n].T
        assert sums[n - 1] == pytest.approx(np.trace(product), rel=1e-11, abs=1e-12)
