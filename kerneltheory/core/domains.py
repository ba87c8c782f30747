"""Whether floating point values are in the domain of a formula, up to rounding."""

from typing import Any

import numpy as np
import sympy

from kerneltheory.core.differentiable import ROUNDING


def holds(domain: Any, args: tuple[sympy.Symbol, ...], values: tuple[Any, ...]) -> bool:
    """Whether all values satisfy an inequality, or a conjunction of some, up to 64 roundings.

    Positive symbols stand for positive values; a condition of another kind is not checked.

    Examples:
        >>> t = sympy.Symbol("t", real=True)
        >>> [holds(sympy.Abs(t) <= 1, (t,), (value,)) for value in (1.0, 1 + 2**-52, 1.1)]
        [True, True, False]
    """
    arrays = [np.asarray(value) for value in values]
    if any(s.is_positive and (a < 0).any() for s, a in zip(args, arrays, strict=True)):
        return False
    return all(_satisfied(part, args, arrays) for part in sympy.And.make_args(domain))


def _satisfied(part: Any, args: tuple[sympy.Symbol, ...], arrays: list[np.ndarray]) -> bool:
    if not isinstance(part, sympy.Le | sympy.Lt | sympy.Ge | sympy.Gt):
        return True
    sides: Any = part.args if isinstance(part, sympy.Le | sympy.Lt) else part.args[::-1]
    small, large = (np.asarray(sympy.lambdify(args, side, "numpy")(*arrays)) for side in sides)
    eps = max(np.finfo(np.result_type(a, np.float16)).eps for a in arrays)
    return bool((small - large <= ROUNDING * eps * np.maximum(np.abs(small), np.abs(large))).all())
