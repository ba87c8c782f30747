"""The spectrum measured on a data set."""

import numpy as np
import pytest
import sympy
from numpy.testing import assert_allclose, assert_array_equal

from kerneltheory.activations.catalogue import relu
from kerneltheory.core.errors import NotPositiveDefiniteError
from kerneltheory.kernels.kernel import dot_product_kernel, ntk
from kerneltheory.spectra.empirical import empirical_spectrum, sampling_bias
from kerneltheory.spectra.spectrum import Spectrum

EPS = np.finfo(float).eps
# Small, so that LAPACK stays on one thread: the tests share cores with each other.
ROWS = 90
KERNEL = ntk(relu, 2, weight_variance=2, bias_variance=sympy.Rational(1, 10))


class Given:
    """A kernel that returns one matrix whatever the data."""

    def __init__(self, matrix):
        self.matrix = np.asarray(matrix, float)

    def gram(self, X, Z=None):
        return self.matrix


@pytest.fixture(scope="module")
def digits():
    from sklearn.datasets import load_digits

    images, classes = load_digits(return_X_y=True)
    return images[:ROWS], np.eye(10)[classes[:ROWS]]


def test_the_trace_is_the_mean_diagonal_and_powers_add_up_to_the_labels(digits):
    images, labels = digits
    measured = empirical_spectrum(KERNEL, images, labels)
    gram = KERNEL.gram(images)
    # Each of ROWS eigenvalues is off by up to ROWS eps of the largest.
    assert measured.spectrum.trace == pytest.approx(np.diag(gram).mean(), rel=ROWS**2 * EPS)
    assert measured.target.total_power == pytest.approx(1.0, rel=ROWS**2 * EPS)
    assert measured.target.noise_variance == 0
    assert_array_equal(measured.spectrum.multiplicities, 1)
    assert np.all(np.diff(measured.spectrum.eigenvalues) <= 0)


def test_eigenvalues_and_powers_are_the_moments_of_the_gram_matrix(digits):
    """Traces of K^j and forms y'K^j y fix both, and need no eigenvectors."""
    images, labels = digits
    measured = empirical_spectrum(KERNEL, images, labels)
    scaled = KERNEL.gram(images) / ROWS
    values, power = measured.spectrum.eigenvalues, measured.target.powers(ROWS)
    product = np.eye(ROWS)
    for exponent in range(1, 5):
        product = product @ scaled
        bound = ROWS**2 * exponent * EPS
        assert np.sum(values**exponent) == pytest.approx(np.trace(product), rel=bound)
        form = np.einsum("ij,ij->", labels, product @ labels) / ROWS
        assert power @ values**exponent == pytest.approx(form, rel=bound)


def test_noise_in_the_labels_adds_its_share_to_every_power(digits, rng):
    images, _ = digits
    trials, variance = 4000, 0.25
    noise = np.sqrt(variance) * rng.standard_normal((ROWS, trials))
    power = empirical_spectrum(KERNEL, images, noise).target.powers(ROWS) / trials
    # Each is a chi-square of `trials` degrees of freedom; 4.5 standard errors for 90 of them.
    assert_allclose(power, variance / ROWS, rtol=4.5 * np.sqrt(2 / trials))


def test_bias_of_two_levels_is_that_of_perturbation_theory():
    # (lambda_k/n) N_l lambda_l/(lambda_k - lambda_l): 0.8 and -0.2 times 5/(n * 0.6), and the tail.
    found = sampling_bias(Spectrum([0.8, 0.2], [1, 5], tail=3.0), 10**6)
    expected = np.array([5 * 0.8 * 0.2 / 0.6 + 3, -0.8 * 0.2 / 0.6 + 3]) / 10**6
    # The next order is the coupling over the square of the gap: (0.16/0.36) 6/2 parts in n.
    assert_allclose(found, expected, rtol=4e-6)


def test_bias_keeps_the_trace_and_is_bounded_where_levels_meet(rng):
    values, counts = rng.uniform(0.1, 1, 40), rng.integers(1, 9, 40)
    values[3] = values[7]
    bias = sampling_bias(Spectrum(values, counts), 50)
    # Masses move between levels; sampling changes the trace by nothing on average.
    assert bias @ counts == pytest.approx(0, abs=40 * 9 * EPS)
    # A level is not moved further than sqrt(2 N_l lambda_k lambda_l/n) by another.
    assert np.all(np.abs(bias) <= np.sqrt(2 * counts * np.outer(values, values) / 50).sum(axis=1))
    assert_array_equal(
        sampling_bias(Spectrum([1.0, 1.0, 0.0], [2, 3, 4], tail=0.5), 10), [0.05, 0.05, 0]
    )


def test_measured_bias_is_that_of_its_own_spectrum(digits):
    measured = empirical_spectrum(KERNEL, *digits)
    assert_array_equal(measured.bias, sampling_bias(measured.spectrum, ROWS))
    assert measured.bias[0] > 0
    with pytest.raises(ValueError, match="n must be an integer of at least 1"):
        sampling_bias(measured.spectrum, 0)


def test_several_outputs_add_their_powers(digits):
    images, labels = digits
    together = empirical_spectrum(KERNEL, images, labels).target.powers(ROWS)
    parts = [empirical_spectrum(KERNEL, images, column).target.powers(ROWS) for column in labels.T]
    assert_allclose(together, np.sum(parts, axis=0), rtol=0, atol=ROWS * EPS)


def test_by_hand():
    # [[2, 1], [1, 2]] has the eigenvalues 3 and 1 on (1, 1) and (1, -1), over sqrt 2.
    measured = empirical_spectrum(Given([[2, 1], [1, 2]]), np.zeros((2, 1)), [3.0, 1.0])
    assert_allclose(measured.spectrum.eigenvalues, [1.5, 0.5], rtol=8 * EPS)
    assert_allclose(measured.target.powers(2), [4, 1], rtol=16 * EPS)


def test_a_matrix_that_the_kernel_keeps_is_left_as_it_was(rng):
    points = rng.standard_normal((20, 30))
    for order in "CF":
        kernel = Given(points @ points.T)
        kernel.matrix = np.array(kernel.matrix, order=order)
        before = kernel.matrix.copy()
        empirical_spectrum(kernel, points, np.ones(20))
        assert_array_equal(kernel.matrix, before)


def test_eigenvalues_that_are_zero_do_not_come_out_negative(rng):
    points = rng.standard_normal((30, 4))
    measured = empirical_spectrum(Given(points @ points.T), points, np.ones(30))
    assert measured.spectrum.eigenvalues.min() >= 0
    assert np.all(measured.spectrum.eigenvalues[4:] < 30 * EPS * measured.spectrum.eigenvalues[0])
    assert measured.spectrum.relative_error == 1


def test_a_negative_kernel_is_named(digits):
    t = sympy.Symbol("t")
    images, labels = digits
    rows = images / np.linalg.norm(images, axis=1, keepdims=True) * np.sqrt(images.shape[1])
    with pytest.raises(
        NotPositiveDefiniteError, match=r"dot_product_kernel\(-t\) is not .* eigenvalue -\d"
    ):
        empirical_spectrum(dot_product_kernel(-t), rows, labels)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"X": np.ones((1, 3)), "y": [1.0]}, ValueError, "X must have at least two rows"),
        ({"X": np.ones(3)}, ValueError, "X must have 2 dimensions"),
        ({"X": [[1.0, np.nan]] * 3}, ValueError, "X must be finite, got 3 entries"),
        ({"X": [["a"], ["b"]]}, TypeError, "X must be a real array"),
        ({"y": np.ones(2)}, ValueError, r"y must have 3 rows as X has, got shape \(2,\)"),
        ({"y": np.ones((3, 1, 1))}, ValueError, "y must have 3 rows"),
        ({"y": 1.0}, ValueError, "y must have 3 rows"),
        ({"y": [1.0, np.inf, 1.0]}, ValueError, "y must be finite"),
        ({"y": [1j, 1, 1]}, TypeError, "y must be a real array"),
        ({"kernel": np.exp}, TypeError, "kernel must be an object with a method gram"),
    ],
)
def test_bad_arguments_are_named(arguments, error, message):
    given = {"kernel": KERNEL, "X": np.eye(3), "y": np.ones(3)} | arguments
    with pytest.raises(error, match=message):
        empirical_spectrum(**given)
