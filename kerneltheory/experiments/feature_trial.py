r"""Random features of which the mean kernel is known, and exact errors of regression on them.

With the design :math:`\Phi_{ij} = \varphi_j(x_i)/\sqrt p` the weights of the features are
:math:`A y` with :math:`A = \Phi^T (\Phi \Phi^T + \delta)^{-1}`. Averaged over isotropic targets,
noise and test points, given samples and features, the test error is

.. math:: T = |f|^2 - 2\,\mathrm{tr}(A C^T) + \mathrm{tr}(A (S + \sigma^2 I) A^T G),

with the covariance S of the values of the target at the samples, the inner products G of the
features, and C of both. On the sphere a feature :math:`r\,\phi(\sqrt d\, w \cdot x)` has the
coefficients :math:`c_k = E[\phi(\sqrt d\, t) P_k(t)]`, and over uniform directions w

.. math:: \lambda_k = c_k^2, \quad S = \sum_k F_k^2 P_k(XX^T), \quad
          C = \frac{r}{\sqrt p} \sum_k F_k^2 c_k P_k(WX^T), \quad
          G = \frac{r r^T}{p} \circ h(WW^T):

the inner product of two features is the mean kernel h of their directions, since their roles are
those of two samples.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from kerneltheory.spectra.spectrum import Spectrum, Target
from kerneltheory.sphere.harmonics import multiplicity
from kerneltheory.sphere.polynomials import gegenbauer_sequence
from kerneltheory.sphere.quadrature import cosine_quadrature
from kerneltheory.sphere.sampling import uniform_sphere


class Draw(NamedTuple):
    """Samples and features: Phi (n, p), S (n, n), G (p, p) and C (p, n)."""

    design: np.ndarray
    labels: np.ndarray
    features: np.ndarray
    overlap: np.ndarray


@dataclass(frozen=True)
class GaussianFeatures:
    """Linear features of Gaussian modes, with Gaussian coefficients of the spectrum's variance."""

    spectrum: Spectrum

    def draw(self, generator: np.random.Generator, n: int, p: int, power: np.ndarray) -> Draw:
        """Draw n samples and p features; `power` is that of the levels."""
        counts = np.asarray(self.spectrum.multiplicities).astype(int)
        scale, shares = (
            np.repeat(values, counts)
            for values in (np.sqrt(self.spectrum.eigenvalues), power / counts)
        )
        inputs = generator.standard_normal((n, scale.size))
        maps = scale * generator.standard_normal((p, scale.size)) / np.sqrt(p)
        weighted = inputs * shares
        return Draw(inputs @ maps.T, weighted @ inputs.T, maps @ maps.T, maps @ weighted.T)


@dataclass(frozen=True)
class Neurons:
    """Features of an activation on the sphere; directions uniform, of Gaussian weights or not.

    Attributes:
        dim: d.
        activation: phi.
        kernel: h, the mean kernel, as a function of the cosine.
        spectrum: of h.
        coefficients: the first c_k.
        gaussian: whether weights have random lengths r too, with mean square 1; only for a phi
            that is positively homogeneous, of which each length is a factor.
    """

    dim: int
    activation: Callable[[np.ndarray], np.ndarray]
    kernel: Callable[[np.ndarray], np.ndarray]
    spectrum: Spectrum
    coefficients: np.ndarray
    gaussian: bool = False

    def draw(self, generator: np.random.Generator, n: int, p: int, power: np.ndarray) -> Draw:
        """Draw n samples and p features; `power` is that of the degrees."""
        x, w = (uniform_sphere(generator, count, self.dim) for count in (n, p))
        lengths = np.ones((p, 1))
        if self.gaussian:
            lengths = np.sqrt(generator.chisquare(self.dim, (p, 1)) / self.dim)
        lengths /= np.sqrt(p)
        power = np.trim_zeros(power, "b")
        cosines = np.clip(w @ w.T, -1.0, 1.0)
        np.fill_diagonal(cosines, 1.0)
        return Draw(
            self.activation(np.sqrt(self.dim) * (x @ w.T)) * lengths.T,
            zonal_sum(self.dim, power, x @ x.T),
            lengths * self.kernel(cosines) * lengths.T,
            lengths * zonal_sum(self.dim, power * self.coefficients[: power.size], w @ x.T),
        )


def smooth_neurons(dim: int, activation: Callable[[np.ndarray], np.ndarray], last: int) -> Neurons:
    """Features of a smooth activation with uniform directions, by quadrature up to a degree."""
    cosines, weights = cosine_quadrature(dim, 4 * last)
    values = activation(np.sqrt(dim) * cosines) * weights
    zonal = gegenbauer_sequence(dim, cosines, last)
    coefficients = np.array([values @ row for row in zonal])
    counts = np.array([float(multiplicity(dim, degree)) for degree in range(last + 1)])
    spectrum = Spectrum(coefficients**2, counts, dim=dim, domain="sphere")

    def kernel(t: np.ndarray) -> np.ndarray:
        return zonal_sum(dim, counts * coefficients**2, t)

    return Neurons(dim, activation, kernel, spectrum, coefficients)


def zonal_sum(dim: int, weights: np.ndarray, cosines: np.ndarray) -> np.ndarray:
    """The sum of weights[k] P_k."""
    parts = gegenbauer_sequence(dim, cosines, len(weights) - 1)
    terms = (weight * part for weight, part in zip(weights, parts, strict=True))
    return sum(terms, np.zeros_like(cosines))


def errors_of(draw: Draw, target: Target, ridges: Any, noises: Any) -> np.ndarray:
    """The test error at every ridge and noise variance, shape (ridges, noises).

    With A = Phi' U (s + ridge)^{-1} U' for the eigenvectors U of Phi Phi', or from those of
    Phi' Phi if there are fewer features than samples, one decomposition serves all ridges.
    """
    design, labels, features, overlap = draw
    few = design.shape[1] < design.shape[0]
    gram = design.T @ design if few else design @ design.T
    eigenvalues, vectors = np.linalg.eigh(gram)
    other = (design if few else design.T) @ vectors  # Phi V, or Phi' U
    if few:
        own, mapped, crossed = other.T @ labels @ other, vectors.T @ features @ vectors, overlap.T
        noisy = np.maximum(eigenvalues, 0)
    else:
        own, mapped, crossed = vectors.T @ labels @ vectors, other.T @ features @ other, overlap
        noisy = np.ones(eigenvalues.shape)
    linear = np.einsum("ij,ij->j", other, crossed @ vectors)
    quadratic, diagonal = own * mapped, noisy * np.diag(mapped)
    inverse = 1 / (np.maximum(eigenvalues, 0) + np.asarray(ridges)[:, None])
    fixed = np.einsum("ri,ij,rj->r", inverse, quadratic, inverse) - 2 * inverse @ linear
    return float(target.total_power) + fixed[:, None] + np.outer(inverse**2 @ diagonal, noises)
