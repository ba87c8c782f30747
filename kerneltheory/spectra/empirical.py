"""The spectrum of a kernel and the power of a target, measured on a data set."""

from typing import Any, NamedTuple

import numpy as np
from scipy import linalg

from kerneltheory.core import check
from kerneltheory.core.errors import NotPositiveDefiniteError
from kerneltheory.spectra.spectrum import Spectrum, Target

BLOCK = 512


class Measured(NamedTuple):
    """What a data set tells: the spectrum of the kernel on it and the power of its labels."""

    spectrum: Spectrum
    target: Target

    def __repr__(self) -> str:
        return f"{self.spectrum!r}\n{self._power()}"

    def _repr_html_(self) -> str:
        return f"{self.spectrum._repr_html_()}<p>{self._power()}</p>"

    def _power(self) -> str:
        return (
            f"Target: power {float(self.target.total_power):.6g} in all, in "
            f"{len(self.target.power)} levels"
        )

    @property
    def bias(self) -> np.ndarray:
        """By how much each eigenvalue is too large, as one of the population of the rows.

        `sampling_bias` with the measured eigenvalues in place of the true ones: of use where it is
        small against the eigenvalue, and for sums over close eigenvalues rather than for each.
        """
        return sampling_bias(self.spectrum, len(self.spectrum.degrees))


def empirical_spectrum(kernel: Any, X: Any, y: Any) -> Measured:
    r"""Spectrum and target of a data set, taken as the whole population.

    With the Gram matrix :math:`K = U \Lambda U^T` on all n rows, the measure that puts 1/n on each
    row has the eigenvalues and powers

    .. math:: \lambda_i = \Lambda_i / n, \qquad v_i^2 = (u_i \cdot y)^2 / n

    summed over the columns of y. The labels are taken as they are: no part of them is called
    noise, and no mean is taken off.

    As estimates for the population that the rows were drawn from, these are biased: the largest m
    eigenvalues add up to too much for every m, on average, and to leading order in 1/n each is off
    by what `sampling_bias` gives, `.bias` of the result. All that lies far below an eigenvalue
    lifts it by its mass over n. An eigenvalue of multiplicity N spreads over about
    :math:`\lambda (1 \pm \sqrt{N/n})^2`. Noise of variance :math:`\sigma^2` in the labels adds
    :math:`\sigma^2/n` to each power.

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


def sampling_bias(spectrum: Spectrum, n: int) -> np.ndarray:
    r"""Expected bias of the eigenvalues of the Gram matrix of n random rows, divided by n.

    Second-order perturbation of the sample covariance of the features
    :math:`\sqrt{\lambda_i}\,e_i(x)` around its mean: the mean of the :math:`N_k` sample eigenvalues
    of level k is :math:`\lambda_k` and

    .. math:: \frac{\lambda_k}{n} \sum_{l \ne k} \frac{N_l \lambda_l}{\lambda_k - \lambda_l}
              + \frac{\mathrm{tail}}{n} + O(n^{-2})

    exactly where :math:`\sum_{i \in k} e_i(x)^2 = N_k` for every x, as on the sphere, the circle
    and the hypercube, otherwise as far as the squares of eigenfunctions are uncorrelated. It is the
    leading order where the levels down to k have far fewer than n eigenfunctions. Levels that the
    sampling mixes, :math:`(\lambda_k - \lambda_l)^2 \lesssim \lambda_k \lambda_l (N_k + N_l)/n`,
    repel each other as two levels do, by a bounded amount.

    Args:
        spectrum: of the population, with its tail.
        n: number of rows.

    Returns:
        The bias of each level, shape (levels,); zero for a level whose eigenvalue is zero.

    Raises:
        TypeError, ValueError: if it is no Spectrum, or n is no integer of at least 1.

    References:
        Lawley, Tests of significance for the latent roots of covariance and correlation matrices
        (1956), for the covariance of Gaussian features.

    Examples:
        >>> float(sampling_bias(Spectrum([1.0, 0.1], [1, 5], tail=0.3), 1000)[0])
        0.0008...
    """
    check.instance("spectrum", spectrum, Spectrum)
    n = check.integer("n", n, minimum=1)
    values = np.asarray(spectrum.eigenvalues, np.float64)
    counts = np.asarray(spectrum.multiplicities, np.float64)
    shifts = np.zeros_like(values)
    for start in range(0, len(values), BLOCK):
        here = slice(start, start + BLOCK)
        gap = values[here, None] - values
        coupling = values[here, None] * values / n
        mixing = np.sqrt(gap**2 + 2 * coupling * (counts[here, None] + counts))
        # Where the gap is zero the sign is, and two equal levels do not move each other.
        below = np.where(mixing > 0, np.abs(gap) + mixing, 1.0)
        shifts[here] = (np.sign(gap) * 2 * coupling / below) @ counts
    return np.where(values > 0, shifts + float(spectrum.tail) / n, 0.0)
