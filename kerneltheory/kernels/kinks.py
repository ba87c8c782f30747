r"""Functions of the cosine with kinks and jumps, in the one form that arrays and balls evaluate.

With the breaks b_1 < b_2 < ... in (-1, 1) and the pieces h_0, h_1, ... between them,

.. math:: h(t) = h_0(\min(t, b_1)) + \sum_i \Bigl[h_i(t_i) - h_i(b_i)
          + \bigl(h_i(b_i) - h_{i-1}(b_i)\bigr) H(t - b_i)\Bigr], \qquad
          t_i = \max(b_i, \min(t, b_{i+1})),

where no piece is taken outside its interval, in which alone it need be real.
"""

from typing import Any

import sympy

from kerneltheory.activations.pieces import SWITCHES, Pieces, X, pieces
from kerneltheory.kernels.base import T


def has_kinks(expression: Any) -> bool:
    """Whether a maximum, absolute value, sign, step or case depends on the cosine."""
    return any(node.has(T) for node in expression.atoms(*SWITCHES))


def pieces_of(expression: Any) -> Pieces:
    """A function of the cosine on (-1, 1), cut at its kinks and jumps; the pieces are in `X`.

    Raises:
        DerivationError: if they are not found exactly.
    """
    inside = [
        (low, part)
        for low, high, part in pieces(expression.subs(T, X)).intervals
        if low < 1 and high > -1
    ]
    return Pieces(tuple(low for low, _ in inside[1:]), tuple(part for _, part in inside))


def in_clipped_cosines(expression: Any) -> Any:
    """An equal function that switches by maxima, minima and steps only.

    Raises:
        ValueError: if it is infinite at a break.
        DerivationError: if the breaks are not found exactly.

    Examples:
        >>> in_clipped_cosines(T**2 * sympy.Heaviside(T)), in_clipped_cosines(sympy.Abs(T))
        (Max(0, t)**2, Max(0, t) - Min(0, t))
    """
    if expression.is_Add:
        parts = (in_clipped_cosines(e) if has_kinks(e) else e for e in expression.args)
        return sympy.Add(*parts)
    split = pieces_of(expression)
    total: Any = 0
    before: Any = None
    for low, high, part in split.intervals:
        inside = T if high == sympy.oo else sympy.Min(T, high)
        if before is None:
            total = part.subs(X, inside)
        else:
            sides: Any = [sympy.expand(piece.subs(X, low)) for piece in (before, part)]
            left, right = sides
            if not (left.is_finite and right.is_finite):
                raise ValueError(f"expression must be finite at t = {low}, got {expression}")
            total += part.subs(X, sympy.Max(low, inside)) - right
            total += sympy.expand(right - left) * sympy.Heaviside(T - low)
        before = part
    return total
