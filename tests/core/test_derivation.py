"""Proofs prove, refutations refute with a point, and derivations name the step that is false."""

import pickle

import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st

from kerneltheory.core.derivation import Definition, Derivation, Evidence, Identity, Step
from kerneltheory.core.errors import DerivationError
from kerneltheory.core.formula import Formula
from kerneltheory.core.prove import counterexample, is_zero

p, q = sympy.symbols("p q", positive=True)
r = sympy.Symbol("r", real=True)


@pytest.mark.parametrize(
    "zero",
    [
        1 / (sympy.sqrt(p) - 1) - (sympy.sqrt(p) + 1) / (p - 1),
        sympy.sqrt(p * q) - sympy.sqrt(p) * sympy.sqrt(q),
        sympy.sqrt(4 * p * q - 4 * r**2) - 2 * sympy.sqrt(p * q - r**2),
        sympy.sqrt(p / q) - sympy.sqrt(p * q) / q,
        (p * q - r**2) ** sympy.Rational(-3, 2) * (p * q - r**2) - 1 / sympy.sqrt(p * q - r**2),
        sympy.diff(sympy.asin(r / sympy.sqrt(p * q)), r) - 1 / sympy.sqrt(p * q - r**2),
        sympy.asin(r / sympy.sqrt(p)) * sympy.sqrt(p) * sympy.sqrt(q)
        - sympy.asin(r / sympy.sqrt(p)) * sympy.sqrt(p * q),
    ],
    ids=str,
)
def test_identities_are_proved(zero):
    assert is_zero(zero)


@pytest.mark.parametrize(
    "nonzero",
    [
        sympy.sqrt(p) - p,
        # |r + 1| is not r + 1 at r = -2.
        sympy.sqrt(sympy.expand((r + 1) ** 2)) - (r + 1),
        # At r = 0 both sides are +-sqrt(12), with opposite signs, and no radicand is negative.
        sympy.sqrt((r - 1) * (r - 2)) * sympy.sqrt((r - 2) * (r - 3))
        - (r - 2) * sympy.sqrt((r - 1) * (r - 3)),
        sympy.asin(r / sympy.sqrt(p)) * sympy.sqrt(p) - sympy.sqrt(p),
        sympy.pi - sympy.Rational(22, 7),
    ],
    ids=str,
)
def test_nothing_false_is_proved(nonzero):
    assert not is_zero(nonzero)


@given(st.integers(-3, 3), st.integers(-3, 3), st.integers(1, 5), st.integers(1, 5))
def test_proof_agrees_with_numbers(a, b, m, n):
    expression = a * sympy.sqrt(m * p) + b * sympy.sqrt(n * p)
    truth = a * a * m == b * b * n and (a * b < 0 or a == b == 0)
    assert is_zero(expression) == truth


def test_counterexample_is_a_point_where_the_difference_is_not_zero():
    difference = sympy.sqrt(p) - p * r
    point = counterexample(difference)
    assert point is not None
    assert set(point) == {p, r}
    assert abs(sympy.N(difference.subs(point), 30)) > 1e-20
    assert counterexample(sympy.sqrt(p) ** 2 - p) is None


def derivation(*evidence: Evidence) -> Derivation:
    """Each step states what its evidence is about."""
    steps = [
        Step(sympy.Eq(q, (*e.about(), p)[0], evaluate=False), f"reason {i}", e)
        for i, e in enumerate(evidence)
    ]
    return Derivation(tuple(steps), Formula("claim", (p,), p))


def test_statuses_tell_proof_from_definition():
    found = derivation(Definition(), Identity(p + p, 2 * p)).verify(digits=5)
    assert found.statuses == ("definition", "proved")
    assert "proved" in str(found)
    assert "reason 1" in str(found)


class Certified(Evidence):
    def verify(self, digits):
        return f"certified to {digits} digits"


def test_false_step_is_named_with_the_point_that_refutes_it():
    claim = derivation(Definition(), Identity(p, p), Identity(p**2, p))
    with pytest.raises(DerivationError, match=r"step 3 of claim is false \(reason 2\): at p = \d"):
        claim.verify()


def test_statement_must_be_what_was_verified():
    def step(stated):
        return Step(sympy.Eq(q, stated, evaluate=False), "claim", Identity(p + r, r + p))

    assert step(p + r).verify(10) == "proved"
    assert step(p * (p + r) / p).verify(10) == "proved"  # another form of the same
    with pytest.raises(DerivationError, match=r"at r = \S+, p - r is not equal to p \+ r"):
        step(p - r).verify(10)
    with pytest.raises(DerivationError, match=r"E\[p\] is stated and p \+ r was verified"):
        step(sympy.Function("E")(p)).verify(10)


def test_refutation_without_symbols_needs_no_point():
    with pytest.raises(DerivationError, match="at any point, 1/4 is not equal to 1/2"):
        Identity(sympy.Rational(1, 4), sympy.Rational(1, 2)).verify(10)


def test_missing_proof_is_not_called_a_refutation():
    true_but_hard = Identity(sympy.sin(r) ** 2 + sympy.cos(r) ** 2, sympy.Integer(1))
    with pytest.raises(DerivationError, match="no proof was found"):
        true_but_hard.verify(10)


def test_displays_and_pickle():
    claim = derivation(Definition(), Identity(p, p))
    assert "[reason 1]" in str(claim)
    assert r"\begin{aligned}" in claim._repr_latex_()
    assert str(claim).startswith("q = p")
    assert pickle.loads(pickle.dumps(claim)) == claim


def test_verification_is_a_table_in_html():
    first = Step(sympy.Eq(q, p, evaluate=False), "definition")
    second = Step(sympy.Lt(p, q), "order <of p>, & q", Identity(p, p))
    table = Derivation((first, second), Formula("a < b", (p,), p)).verify(5)._repr_html_()
    assert "<p>a &lt; b</p>" in table
    assert "<td>$q = p$</td>" in table
    assert "<td>$p &lt; q$</td>" in table
    assert "<td>order &lt;of p&gt;, &amp; q</td><td>proved</td>" in table
    assert table.count("<tr>") == 3
