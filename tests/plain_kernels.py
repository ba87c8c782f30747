"""Kernels for tests of regression that owe nothing to the package's own."""

import numpy as np


class Gaussian:
    """exp(-|x - z|^2 / 2), of length scale 1."""

    def gram(self, X, Z=None):
        Z = X if Z is None else Z
        return np.exp(-((X[:, None] - Z[None]) ** 2).sum(-1) / 2)


class Linear:
    def gram(self, X, Z=None):
        return X @ (X if Z is None else Z).T


class Cubic:
    """(1 + x.z)^3, of numpy or of jax as the rows are."""

    def gram(self, X, Z=None):
        return (1 + X @ (X if Z is None else Z).T) ** 3


class Given:
    """A Gram matrix whose rows are known by their indices."""

    def __init__(self, matrix):
        self.matrix = np.asarray(matrix, np.float64)

    def gram(self, X, Z=None):
        rows, columns = (np.ravel(v).astype(int) for v in (X, X if Z is None else Z))
        return self.matrix[np.ix_(rows, columns)]

    def rows(self):
        return np.arange(len(self.matrix), dtype=float)[:, None]
