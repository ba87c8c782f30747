"""Gram matrices of 2000 rows of dimension 64, each in a group with plain elementwise numpy.

Read the ratios of minima to the baseline, the same recursion written out with numpy's arccos and
arcsin. On the sphere a Gram matrix is one function of the cosine, at a cost that no depth changes;
rows of any norm take the recursion, compiled, or for a series a sum of products.
"""

import time

import numpy as np
import pytest

from kerneltheory.activations.catalogue import (
    elu,
    erf,
    gelu,
    hard_tanh,
    relu,
    softsign,
    swish,
    tanh,
)
from kerneltheory.kernels import network
from kerneltheory.kernels.kernel import nngp, ntk
from kerneltheory.sphere.sampling import uniform_sphere

SIZE, DIM, ROUNDS = 2000, 64, 5
KERNELS = [
    make(phi, depth, weight_variance=2)
    for phi, depth in ((relu, 3), (erf, 20))
    for make in (nngp, ntk)
]


def relu_layer(q, cosine, tangent):
    """E[phi phi] and E[phi' phi'], Cho and Saul (2009)."""
    angle = np.arccos(cosine)
    value = np.sqrt(np.outer(q, q)) * (np.sin(angle) + (np.pi - angle) * cosine) / (2 * np.pi)
    return value, (np.pi - angle) / (2 * np.pi) if tangent else None


def erf_layer(q, cosine, tangent):
    """The same, Williams (1996)."""
    covariance = 2 * np.sqrt(np.outer(q, q)) * cosine
    size = np.outer(1 + 2 * q, 1 + 2 * q)
    value = 2 / np.pi * np.arcsin(covariance / np.sqrt(size))
    return value, 4 / np.pi / np.sqrt(size - covariance * covariance) if tangent else None


def plain_gram(kernel, X):
    """The recursion of arXiv:1806.07572 on whole matrices, diagonal included."""
    w, layer = float(kernel.weight_variance), relu_layer if kernel.activation is relu else erf_layer
    theta = covariance = w * (X @ X.T) / DIM
    for _ in range(kernel.depth):
        q = np.diag(covariance)
        cosine = np.clip(covariance / np.sqrt(np.outer(q, q)), -1, 1)
        value, slope = layer(q, cosine, kernel.tangent)
        covariance = w * value
        if kernel.tangent:
            theta = covariance + w * slope * theta
    return theta if kernel.tangent else covariance


@pytest.fixture(scope="module")
def rows():
    generator = np.random.default_rng(2026)
    sphere = np.sqrt(DIM) * uniform_sphere(generator, SIZE, DIM)
    return {"sphere": sphere, "any norm": generator.standard_normal((SIZE, DIM))}


def measure(benchmark, function):
    return benchmark.pedantic(function, rounds=ROUNDS, warmup_rounds=1)


@pytest.mark.parametrize("place", ["sphere", "any norm"])
@pytest.mark.parametrize("kernel", KERNELS, ids=repr)
def test_baseline_plain_numpy(benchmark, rows, kernel, place):
    benchmark.group = f"{kernel}, {place}"
    assert np.isfinite(measure(benchmark, lambda: plain_gram(kernel, rows[place]))).all()


@pytest.mark.parametrize("place", ["sphere", "any norm"])
@pytest.mark.parametrize("kernel", KERNELS, ids=repr)
def test_gram_matrix(benchmark, rows, kernel, place):
    benchmark.group = f"{kernel}, {place}"
    X = rows[place]
    assert (network.sphere_functions(kernel, X, X) is not None) == (place == "sphere")
    gram = measure(benchmark, lambda: kernel.gram(X))
    # Rounding a cosine by a few eps moves the infinite slope of relu's NTK at one by their root.
    expected = plain_gram(kernel, X)
    scale = np.sqrt(np.outer(np.diag(gram), np.diag(gram)))
    np.fill_diagonal(expected, np.diag(gram))
    np.testing.assert_allclose(gram / scale, expected / scale, atol=1e-11, rtol=0)


@pytest.mark.parametrize("kernel", KERNELS, ids=repr)
def test_building_the_interpolant(benchmark, kernel):
    benchmark.group = "interpolants, built once for a kernel"
    build = network.network_interpolant.__wrapped__
    assert measure(benchmark, lambda: build(kernel, 1.0)) is not None


EVERY_CLASS = [
    *(("sphere", phi) for phi in (relu, tanh, softsign, hard_tanh, elu)),
    *(("any norm", phi) for phi in (relu, tanh, gelu, swish, softsign)),
]


@pytest.mark.parametrize(("place", "phi"), EVERY_CLASS, ids=str)
@pytest.mark.parametrize("make", [nngp, ntk])
def test_activations_of_every_class(benchmark, rows, make, place, phi):
    """The baseline of each group is relu: tanh is to stay within twice its time."""
    benchmark.group = f"{make.__name__} of depth 3, {place}"
    kernel = make(phi, 3, weight_variance=2)
    assert np.isfinite(measure(benchmark, lambda: kernel.gram(rows[place]))).all()


@pytest.mark.parametrize("make", [nngp, ntk])
def test_tanh_within_twice_relu_for_rows_of_any_norm(rows, make):
    """In turns, so that what else the machine does meets both; each at its best."""
    kernels = [make(phi, 3, weight_variance=2) for phi in (relu, tanh)]
    seconds = np.empty((ROUNDS + 1, 2))
    for turn in seconds:
        for index, kernel in enumerate(kernels):
            start = time.process_time()
            kernel.gram(rows["any norm"])
            turn[index] = time.process_time() - start
    of_relu, of_tanh = seconds[1:].min(axis=0)
    assert of_tanh < 2 * of_relu
