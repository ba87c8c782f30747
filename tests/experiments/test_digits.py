"""Digits as inputs on a sphere, with one column of labels for each class."""

import numpy as np
import pytest

from kerneltheory.experiments.digits import mnist_digits, small_digits


@pytest.mark.parametrize(
    ("load", "dim", "rows"), [(mnist_digits, 784, 5000), (small_digits, 64, 1797)]
)
def test_digits_lie_on_a_sphere_with_labels_that_sum_to_zero(load, dim, rows):
    images, labels = load()
    assert images.shape == (rows, dim)
    np.testing.assert_allclose(np.sum(images**2, axis=1), dim, rtol=1e-12)
    np.testing.assert_allclose(labels.sum(axis=1), 0, atol=1e-12)
    assert set(np.unique(labels)) == {-0.1, 0.9}
    # Fewer are the first of them.
    few = load(30)
    np.testing.assert_array_equal(few[0], images[:30])
    np.testing.assert_array_equal(few[1], labels[:30])


def test_classes_of_mnist_come_in_turn():
    """Of 30 rows three are of each class."""
    np.testing.assert_allclose(mnist_digits(30)[1].sum(axis=0), 30 * -0.1 + 3, atol=1e-12)
