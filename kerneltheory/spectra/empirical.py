"""The spectrum of a kernel and the power of a target, measured on a data set."""

from typing import Any, NamedTuple

import numpy as np
from scipy import linalg

from kerneltheory.core import check
from kerneltheory.core.errors import NotPositiveDefiniteError
from kerneltheory.spectra.spectrum import Spectrum, Target


class Measured(NamedTuple):
    """What a data set tells: the spectrum of the kernel on it and the power of its labels."""

    spectrum: Spectrum
    target: Target


def empirical_spectrum(kernel: Any, X: Any, y: Any) -> Measured:
    r"""Spectrum and target of a data set, taken as the whole population.

    With the Gram matrix :math:`K = U \Lambda U^T` on all n rows, the measure that puts 1/n on each
    row has the eigenvalues and powers

    .. math:: \lambda_i = \Lambda_i / n, \qquad v_i^2 = (u_i \cdot y)^2 / n

    summed over the columns of y. The labels are taken as they are: no part of them is called
    noise, and no mean is taken off.

    Args:
        kernel: has a method `gram(X)`.
        X: rows of data, shape (n, d), n >= 2.
        y: labels, shape (n,) or (n, outputs).

    Returns:
        `Measured(spectrum, target)`: levels of multiplicity one, in falling order.

    Raises:
        ValueError: if X has fewer than two rows, y another length, or an entry is not finite.
        TypeError: if the kernel has no Gram matrix, or X or y is not a real array.
        NotPositiveDefiniteError: if an eigenvalue is negative beyond rounding.

    References:
        arXiv:2006.13198 and arXiv:2110.03922 predict learning curves from these.

    Examples:
        >>> from kerneltheory.activations.catalogue import relu
        >>> from kerneltheory.kernels.kernel import nngp
        >>> X = np.array([[1.0, 0.0], [0.0, 1.0]]) * np.sqrt(2)
        >>> measured = empirical_spectrum(nngp(relu, 1, weight_variance=2), X, [1.0, -1.0])
        >>> bool(np.isclose(measured.spectrum.trace, 2))
        True
        >>> bool(np.isclose(measured.target.total_power, 1))
        True
    """
    X = check.finite("X", X, ndim=2)
    y = check.finite("y", y)
    count = X.shape[0]
    if count < 2:
        raise ValueError(f"X must have at least two rows to have a spectrum, got shape {X.shape}")
    if y.ndim not in (1, 2) or y.shape[0] != count:
        raise ValueError(f"y must have {count} rows as X has, got shape {y.shape}")
    if not callable(getattr(kernel, "gram", None)):
        raise TypeError(f"kernel must be an object with a method gram(X), got {kernel!r}")
    gram = np.asarray(kernel.gram(X))
    values, vectors = linalg.eigh(gram, driver="evd", check_finite=False)
    rounding = count * np.finfo(float).eps * abs(values[-1])
    if values[0] < -rounding:
        raise NotPositiveDefiniteError(
            f"{kernel} is not positive definite on X: its Gram matrix has the eigenvalue "
            f"{values[0]:.6g}, negative beyond the rounding {rounding:.1g}"
        )
    projections = vectors.T @ y.reshape(count, -1)
    power = np.sum(projections**2, axis=1)[::-1] / count
    spectrum = Spectrum(
        np.maximum(values[::-1], 0.0) / count,
        np.ones(count),
        method=f"eigenvalues of the Gram matrix of {count} rows",
        relative_error=rounding / max(float(values[0]), rounding),
    )
    return Measured(spectrum, Target(power))
