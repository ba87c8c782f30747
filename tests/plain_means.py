"""Gaussian means by the trapezoidal rule in numpy: the other side of the tests of phases."""

import numpy as np

# For analytic functions the rule errs by about exp(-2 pi d/h), d the distance of poles.
Z = np.linspace(-14, 14, 20_001)
WEIGHTS = np.exp(-Z * Z / 2) / np.sqrt(2 * np.pi) * (28 / 20_000)


def mean_square(function, q):
    """E[function(sqrt(q) z)^2] for an array of variances."""
    values = function(np.sqrt(np.asarray(q, float))[..., None] * Z)
    return (values * values) @ WEIGHTS


def correlation(function, w, b, q, c, nodes=120):
    """(w T(q, q, c) + b)/q by a tensor rule in (u, v) = sqrt(q) (z1, c z1 + sqrt(1 - c^2) z2)."""
    z, weights = np.polynomial.hermite_e.hermegauss(nodes)
    weights = weights / np.sqrt(2 * np.pi)
    u = np.sqrt(q) * z[:, None]
    v = np.sqrt(q) * (c * z[:, None] + np.sqrt(max(1 - c * c, 0)) * z)
    return (w * weights @ (function(u) * function(v)) @ weights + b) / q
