"""Evidence by rational functions: what it proves, and that it proves nothing false."""

import pytest
import sympy

from kerneltheory.core.errors import DerivationError
from kerneltheory.core.evidence import EqualAtRoots, Positive, RationalLimit, Root

X, Y = sympy.symbols("x y", positive=True)
Z = sympy.Symbol("z", nonnegative=True)
R = sympy.Symbol("r", real=True)

TRUE = [
    RationalLimit((X**2 + Y) / (2 * X**2 - X), X, sympy.oo, sympy.Rational(1, 2)),
    RationalLimit((X**2 - 4) / (X - 2), X, 2, 4),
    RationalLimit(X * Y / (X + Y), X, 0, 0),
    Positive((X + Y) / (1 + Z)),
    Positive(-1 / (-X - Z)),
    Positive(1 + Z),
    Root(X**2 - Y, X, sympy.sqrt(Y)),
    EqualAtRoots(X**3, X * Y, X**2 - Y, X),
    EqualAtRoots(1 / X, X / Y, X**2 - Y, X),
]
FALSE = [
    (RationalLimit(X / (1 + X), X, sympy.oo, 2), "not equal"),
    (RationalLimit(1 / X, X, 0, 0), "finite"),
    (RationalLimit(1 / (X + Y - 1), X, 0, 1 / (Y - 1)), "finite"),  # infinite at y = 1
    (RationalLimit(sympy.exp(X), X, 0, 1), "not rational"),
    (Positive(X - Y**2), "at x = 100, y = 100"),
    (Positive(Z), "no proof"),  # zero at z = 0
    (Positive(X**2 - X + 1), "no proof"),  # true, but not by its coefficients
    (Positive(R**2 + R), "no proof"),  # negative at r = -1/2
    (Root(X**2 - Y, X, sympy.sqrt(2 * Y)), "not equal"),
    (EqualAtRoots(X**3, X, X**2 - Y, X), "differ"),
    (EqualAtRoots(1 / (X - 1), 0, (X - 1) * (X - 2), X), "differ"),
    (Positive(R + 1), "no proof"),  # negative at r = -2
]


@pytest.mark.parametrize("evidence", TRUE, ids=str)
def test_true_statements_are_proved(evidence):
    assert evidence.verify(20) == "proved"


@pytest.mark.parametrize(("evidence", "message"), FALSE, ids=str)
def test_false_statements_are_refused(evidence, message):
    with pytest.raises(DerivationError, match=message):
        evidence.verify(20)
