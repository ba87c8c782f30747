r"""Learning curves on random subsets of a finite data set, drawn without replacement.

The deterministic equivalent of arXiv:2006.13198 takes samples as independent draws from the
population. Subsets of M rows are not: none repeats. Where the eigenvectors of the Gram matrix are
generic (asymptotically free of the choice of rows) the compressed resolvent obeys

.. math:: E[\Pi^T (K_{SS} + \delta)^{-1} \Pi] = (K + \eta)^{-1}, \qquad
          n = \sum_i \frac{\Lambda_i + \delta}{\Lambda_i + \eta}

with :math:`\Lambda_i` the eigenvalues of K: the ridgeless equation of independent samples for the
eigenvalues :math:`\lambda_i + \delta/M`, since on a finite set a ridge is a multiple of the
identity added to the kernel. Averaged over the whole set the ridgeless error is
:math:`E_0 B`, as for independent samples; the n rows of the subset contribute none of it, so the
other rows have

.. math:: T_{\text{held out}} = \frac{E_0 B}{1 - n/M}.

The average over subsets of the predictor on the whole set is a mixture of the labels, with weight
n/M, and of its average on rows left out. Hence the bias there is :math:`B/(1 - n/M)^2`.
"""

from typing import Any

import numpy as np

from kerneltheory.core import check
from kerneltheory.learning.curve import LearningCurve
from kerneltheory.learning.equivalent import check_spectrum, check_target, learning_curve
from kerneltheory.spectra.spectrum import Spectrum, Target


def subset_learning_curve(spectrum: Spectrum, target: Target, n: Any, ridge: Any) -> LearningCurve:
    r"""Error on the rows left out, of regression on n rows of a data set drawn at random.

    Args:
        spectrum: measured on the whole data set of M rows, as `empirical_spectrum` gives it.
        target: measured with it; it has no label noise.
        n: number of rows in the subset, 0 < n < M, any shape.
        ridge: absolute ridge >= 0, one number.

    Returns:
        A LearningCurve whose test_error is that on the M - n other rows, whose bias is that of
        the predictor of a row averaged over the subsets without it, and whose kappa belongs to
        the eigenvalues without the ridge.

    Raises:
        ValueError, TypeError: if an argument is out of its range, the spectrum has a tail or the
            target has label noise; the message names it.

    Examples:
        >>> whole = Spectrum(np.array([0.3, 0.2, 0.1, 0.0]), np.ones(4))
        >>> labels = Target(np.array([1.0, 0.0, 0.0, 0.0]))
        >>> curve = subset_learning_curve(whole, labels, np.array([1.0, 2.0, 3.0]), ridge=0.1)
        >>> bool(np.all(np.diff(curve.test_error) < 0))
        True
    """
    check_spectrum(spectrum)
    check_target(target)
    rows = float(np.sum(spectrum.multiplicities))
    n = check.finite("n", n)
    if n.size == 0 or n.min() <= 0 or n.max() >= rows:
        raise ValueError(f"n must lie between 0 and the number of rows {rows:g}, got {n}")
    if target.single_noise_variance > 0:
        raise ValueError(
            "target must have no noise_variance: the labels of a data set are what they are, got "
            f"{target.noise_variance}"
        )
    if float(spectrum.tail) > 0:
        raise ValueError(f"spectrum must hold every row, and so no tail, got {spectrum.tail}")
    ridge = float(check.nonnegative("ridge", check.finite("ridge", ridge, ndim=0)))
    shifted = Spectrum(np.asarray(spectrum.eigenvalues) + ridge / rows, spectrum.multiplicities)
    curve = learning_curve(shifted, target, n, 0.0)
    left_out = 1 - n / rows
    test_error, bias = curve.test_error / left_out, curve.bias / left_out**2
    return LearningCurve(
        n=n,
        ridge=np.full(n.shape, ridge),
        test_error=test_error,
        bias=bias,
        variance=test_error - bias,
        kappa=curve.kappa + ridge / rows,
        eigenvalues=spectrum.eigenvalues,
        overfitting=curve.overfitting * left_out,
        method=f"deterministic equivalent for subsets of {rows:g} rows",
    )
