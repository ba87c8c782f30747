r"""The errors that follow from bias, noise and the overfitting factor, alike in every theory.

.. math:: T + \sigma^2 = E_0 (B + \sigma^2)
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kerneltheory.core.errors import DivergentError
from kerneltheory.core.records import is_concrete


def product(infinite: Any, factor: Any) -> jax.Array:
    """The product, which is zero for a vanishing factor also where the other one diverges."""
    return jnp.where(factor > 0, infinite * factor, 0)


def errors_from(bias: jax.Array, excess: jax.Array, noise: jax.Array) -> dict[str, jax.Array]:
    """The fields of a learning curve that bias, E_0 - 1 and noise variance determine."""
    sampling, from_noise = product(excess, bias), product(excess, noise)
    gcv = bias + noise + product(excess, bias + noise)
    return {
        "test_error": bias + sampling + from_noise,
        "bias": bias,
        "variance": sampling + from_noise,
        "variance_from_sampling": sampling,
        "variance_from_noise": from_noise,
        "conditional_bias": bias + sampling,
        "overfitting": 1 + excess,
        "gcv": gcv,
        "leave_one_out": gcv,
    }


def refuse_divergence(n: Any, rank: Any, total_ridge: Any, magnified: Any) -> None:
    """Refuse points without ridge at which the variance is infinite: as many samples as modes.

    Args:
        n: number of samples.
        rank: of the kernel, which broadcasts with n.
        total_ridge: ridge and tail.
        magnified: the noise variance and the power that the kernel cannot fit, which an infinite
            factor multiplies.

    Raises:
        DivergentError: naming the first such n.
    """
    if not is_concrete(n, rank, total_ridge, magnified):
        return
    values = np.broadcast_arrays(*map(np.asarray, (n, rank, total_ridge, magnified)))
    n, rank, total_ridge, magnified = (value.ravel() for value in values)
    found = np.flatnonzero((n == rank) & (total_ridge == 0) & (magnified > 0))
    if found.size:
        raise DivergentError(
            f"n = {n[found[0]]:g} equals the rank of the kernel {rank[found[0]]:g}, where without "
            "any ridge the variance is infinite; take a ridge > 0 or another n"
        )
