r"""Gram matrices that are a product u u' but for a small part, without loss of that part.

A deep kernel is :math:`\Theta_{ij} = p\,(u_i u_j - W_{ij})`, where W may be smaller than rounding
of u u'. In a basis that begins with u its largest eigenvalue and the others are apart,

.. math:: \begin{pmatrix} \alpha & v^\top \\ v & B \end{pmatrix}, \qquad
    \alpha = |u|^2 - \hat u^\top W \hat u, \quad v = -Q^\top W \hat u, \quad B = -Q^\top W Q
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg import eigh

from kerneltheory.core.errors import PrecisionError

# Below this size of W over u u' the other eigenvalues are those of a block: the error is its cube.
SMALL = 1e-5
# Floats below it have fewer digits than others.
SMALLEST = float(np.finfo(np.float64).tiny / np.finfo(np.float64).eps)


@dataclass(frozen=True, eq=False)
class NearlyConstant:
    """The matrix u u' - W.

    Attributes:
        u: positive, shape (m,).
        W: symmetric, shape (m, m).
    """

    u: np.ndarray
    W: np.ndarray

    @cached_property
    def _blocks(self) -> tuple[np.ndarray, float, np.ndarray, np.ndarray]:
        """The basis Q of what is orthogonal to u, and alpha, v, B."""
        unit = self.u / np.linalg.norm(self.u)
        basis = np.linalg.qr(unit[:, None], mode="complete")[0][:, 1:]
        image = self.W @ unit
        alpha = float(self.u @ self.u - unit @ image)
        return basis, alpha, -basis.T @ image, -basis.T @ self.W @ basis

    @cached_property
    def eigenvalues(self) -> np.ndarray:
        r"""In ascending order, with the relative accuracy of W where that is small.

        Where W is small, :math:`\lambda` solves :math:`B y - v v^\top y/(\alpha - \lambda)
        = \lambda y`, and :math:`1/(\alpha - \lambda) = 1/\alpha + \lambda/\alpha^2` up to the
        square of :math:`\lambda/\alpha`.
        """
        _, alpha, v, B = self._blocks
        full = np.linalg.eigvalsh(np.outer(self.u, self.u) - self.W)
        if not np.abs(self.W).max() < SMALL * (self.u @ self.u):
            return full
        outer, ones = np.outer(v, v) / alpha, np.eye(len(v))
        others = np.asarray(eigh(B - outer, ones + outer / alpha, eigvals_only=True))
        return np.append(others, full[-1])

    def mean_predictor(self, u_test: np.ndarray, W_test: np.ndarray) -> np.ndarray:
        r"""The matrix :math:`\Theta_* \Theta^{-1}` for test rows :math:`u_* u' - W_*`.

        By elimination of the blocks: the inverse of the matrix itself would lose what is small.

        Returns:
            shape (test rows, m).

        Raises:
            PrecisionError: if W has left the range in which floats have all their digits.
        """
        basis, alpha, v, B = self._blocks
        scale = np.abs(B).max()
        if not scale > SMALLEST:
            raise PrecisionError(
                f"the mean predictor is lost: inputs differ by {scale:.1g} of their kernel, "
                "below the range of floats; ask for smaller depths"
            )
        unit = self.u / np.linalg.norm(self.u)
        along = u_test * np.linalg.norm(self.u) - W_test @ unit
        across = -W_test @ basis
        across, inside = across - np.outer(along, v) / alpha, B - np.outer(v, v) / alpha
        inner = (across / scale) @ np.linalg.inv(inside / scale)
        return inner @ basis.T + np.outer((along - inner @ v) / alpha, unit)
