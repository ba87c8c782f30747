"""The float64 policy: the only place that decides the precision of array code.

jax computes in float32 unless it is told otherwise. The package never flips the global switch.
A function under `float64_policy` looks at its array arguments: when none is a jax array it
computes inside `jax.enable_x64(True)` and hands numpy float64 arrays back; when any is a jax
array or a tracer, the caller's configuration and dtype are kept.
"""

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import jax
import numpy as np

P = ParamSpec("P")
R = TypeVar("R")


def float64_policy(function: Callable[P, R]) -> Callable[P, R]:
    """Compute in float64 for numpy arguments, as the caller does for jax arguments.

    Examples:
        >>> import jax.numpy as jnp, numpy as np
        >>> half = float64_policy(lambda x: jnp.asarray(x) / 2)
        >>> half(np.ones(1)).dtype, half(jnp.ones(1)).dtype
        (dtype('float64'), dtype('float32'))
    """

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        if any(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves((args, kwargs))):
            return function(*args, **kwargs)
        with jax.enable_x64(True):
            result = function(*args, **kwargs)
        return jax.tree.map(_to_numpy, result)

    return wrapper


def _to_numpy(leaf: Any) -> Any:
    return np.asarray(leaf) if isinstance(leaf, jax.Array) else leaf
