"""Regression with tangent kernels of any depth, all depths from one pass through the layers."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import solve

from kerneltheory.activations.activation import Activation
from kerneltheory.depth.depth_walk import DepthWalk
from kerneltheory.depth.pair_inputs import pairs_of
from kerneltheory.depth.phases import phase


class DeepErrors(NamedTuple):
    """How well rows left out are predicted, at every depth.

    Attributes:
        accuracy: share of them whose largest output is that of their largest label, (depths,).
        error: mean square, over that of the predictor 0, (depths,).
    """

    accuracy: np.ndarray
    error: np.ndarray


def deep_regression(
    phi: Activation,
    X: np.ndarray,
    y: np.ndarray,
    depths: Sequence[int] | np.ndarray,
    train: int,
    *,
    weight_variance: Any,
    bias_variance: Any,
    ridge: float,
) -> DeepErrors:
    """Learn the first rows with the NTK of every depth, and predict the others.

    The kernel is taken over its diagonal, and stays accurate where it is nearly constant.

    Args:
        phi: an activation whose variance has a fixed point, as that of a bounded one.
        X: rows of one norm, (M, features).
        y: labels, (M, outputs).
        depths: numbers of hidden layers, rising.
        train: number of rows to learn from.
        weight_variance: w.
        bias_variance: b.
        ridge: in units of the diagonal of the kernel.

    Examples:
        >>> from kerneltheory.activations.catalogue import erf
        >>> X = np.array([[1.0, 0.0], [0.8, 0.6], [0.6, 0.8], [0.0, 1.0]]) * np.sqrt(2)
        >>> y = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [1.0, 0.0]])
        >>> variances = {"weight_variance": 2.0, "bias_variance": 0.1}
        >>> found = deep_regression(erf, X, y, [1, 9], 3, ridge=1e-8, **variances)
        >>> found.accuracy
        array([0., 0.])
    """
    found = phase(phi, weight_variance, bias_variance)
    pairs = pairs_of(X[:, None, :], float(weight_variance), float(bias_variance), 1, False)
    assert found.chi_1 is not None  # a variance that has a fixed point has a slope there
    walk = DepthWalk(phi, weight_variance, bias_variance, pairs, 1, found.q_star, found.chi_1)
    errors = []
    for moment in walk.at(np.asarray(depths)):
        kernel = pairs.matrix(moment.ratio)
        system = kernel[:train, :train] + ridge * np.eye(train)
        outputs = kernel[train:, :train] @ solve(system, y[:train], assume_a="pos")
        right = outputs.argmax(axis=1) == y[train:].argmax(axis=1)
        errors.append((right.mean(), np.mean((outputs - y[train:]) ** 2)))
    accuracy, error = np.array(errors).T
    return DeepErrors(accuracy, error / np.mean(y[train:] ** 2))
