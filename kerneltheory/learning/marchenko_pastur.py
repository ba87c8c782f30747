r"""The law of Marchenko and Pastur: regression on one level with as many samples as features.

The matrix is $M = Y Y^T/N$, with $n = \alpha N$ rows Y of N features of unit variance: the Gram
matrix of one degree over $\mu_r^2 = N_r \lambda_r$.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kerneltheory.core import check
from kerneltheory.core.precision import float64_policy
from kerneltheory.core.records import Array, is_concrete, positive, real_array, working_dtype


@float64_policy
def marchenko_pastur_density(x: Any, alpha: Any) -> Array:
    r"""Return the density of the eigenvalues of $Y Y^T/N$ for $n = \alpha N$ samples.

    $$\rho(x) = \frac{\sqrt{(x_+ - x)(x - x_-)}}{2\pi\alpha x}, \qquad
      x_\pm = (1 \pm \sqrt\alpha)^2,$$
    between the edges, and 0 outside; all n eigenvalues count, so that for $\alpha > 1$ a mass
    $1 - 1/\alpha$ at $x = 0$ is not in the density.

    Args:
        x: eigenvalue, any shape.
        alpha: samples in units of the number of features, > 0, broadcasts with x.

    Returns:
        The density, of the shape to which x and alpha broadcast; at x = 0 and alpha = 1, where it
        grows without bound, infinity.

    Raises:
        ValueError: alpha is not positive, or x is not finite.

    Reference: Marchenko and Pastur, Math. USSR Sb. 1 (1967).

    Examples:
        >>> x = np.array([0.2, 1.0, 4.0])  # the edges are 0.25 and 2.25
        >>> marchenko_pastur_density(x, 0.25).round(6)
        array([0.      , 0.616404, 0.      ])
    """
    positive("alpha", alpha)
    x = real_array("x", x)
    check.broadcastable(x=x, alpha=alpha)
    dtype = working_dtype(x, alpha)
    x, alpha = jnp.asarray(x, dtype), jnp.asarray(alpha, dtype)
    product = (_upper_edge(alpha) - x) * (x - lower_edge(alpha))
    inside = (product > 0) & (x > 0)
    divisor = jnp.where(inside, 2 * jnp.pi * alpha * x, 1)
    density = jnp.sqrt(jnp.where(inside, product, 0)) / divisor
    return jnp.where((x == 0) & (alpha == 1), jnp.inf, density)


@float64_policy
def marchenko_pastur_shift(alpha: Any, zeta: Any) -> Array:
    r"""Return $\tau = \kappa/\lambda$ of ridge regression on one level with $\alpha N$ samples.

    $\tau \ge 0$ is the root of $\alpha = 1/(1+\tau) + \zeta/\tau$ with
    $1 + \tau \ge 1/\sqrt\alpha$; $s = 1/(\alpha \tau)$ is the Stieltjes transform at $-\zeta$ of
    the law of Marchenko and Pastur, $s = 1/(\zeta + 1/(1 + \alpha s))$. At $\zeta = 0$ it is
    $(1-\alpha)/\alpha$ for $\alpha < 1$, and 0 otherwise.

    Args:
        alpha: samples in units of the multiplicity, > 0, any shape.
        zeta: ridge in units of the level's mass $N \lambda$, broadcasts with alpha. It may be
            negative down to `least_effective_ridge(alpha)`.

    Raises:
        ValueError: alpha is not positive or zeta is too negative.

    Reference: arXiv:2205.14846.

    Examples:
        >>> tau = marchenko_pastur_shift(0.5, 0.25)
        >>> round(float(1 / (1 + tau) + 0.25 / tau), 12)
        0.5
    """
    positive("alpha", alpha)
    if is_concrete(alpha, zeta):
        given = check.finite("zeta", zeta)
        check.broadcastable(alpha=alpha, zeta=zeta)
        least = np.asarray(least_effective_ridge(alpha))
        if np.any(given < least):
            raise ValueError(
                f"zeta must be at least -(1 - sqrt(alpha))^2 for alpha < 1 and 0 otherwise, "
                f"got {given.tolist()}, and not at least {least.tolist()}"
            )
    dtype = working_dtype(alpha, zeta)
    alpha, zeta = jnp.asarray(alpha, dtype), jnp.asarray(zeta, dtype)
    slope, root = alpha - 1 - zeta, discriminant_root(alpha, zeta)
    divisor = jnp.where(slope > 0, slope + root, 1)
    return jnp.where(slope > 0, 2 * zeta / divisor, (root - slope) / (2 * alpha))


@float64_policy
def least_effective_ridge(alpha: Any) -> Array:
    r"""Return the most negative ridge, in units of $N\lambda$: minus the least eigenvalue of M.

    $-(1 - \sqrt\alpha)^2$ for $\alpha < 1$, and 0 from there on, where M has the eigenvalue 0.

    Args:
        alpha: samples in units of the number of features, > 0, any shape.

    Raises:
        ValueError: alpha is not positive.

    Reference: arXiv:2205.14846.

    Examples:
        >>> least_effective_ridge([0.25, 4.0])
        array([-0.25,  0.  ])
    """
    positive("alpha", alpha)
    return _least(jnp.asarray(alpha, working_dtype(alpha)))


def lower_edge(alpha: jax.Array) -> jax.Array:
    """(1 - sqrt alpha)^2, without cancellation."""
    return ((1 - alpha) / (1 + jnp.sqrt(alpha))) ** 2


def discriminant_root(alpha: jax.Array, zeta: jax.Array) -> jax.Array:
    """Root of (alpha - 1 - zeta)^2 + 4 alpha zeta, of the quadratic equation for tau.

    As a product of the distances from the edges it has no cancellation for a negative zeta either.
    NaN for a zeta that is too negative.
    """
    # Two roots, since the product of the distances may overflow.
    lower = jnp.where(zeta >= _least(alpha), zeta + lower_edge(alpha), jnp.nan)
    return jnp.sqrt(lower) * jnp.sqrt(zeta + _upper_edge(alpha))


def _least(alpha: jax.Array) -> jax.Array:
    return jnp.where(alpha < 1, -lower_edge(alpha), jnp.zeros_like(alpha))


def _upper_edge(alpha: jax.Array) -> jax.Array:
    return (1 + jnp.sqrt(alpha)) ** 2
