"""The rules of differentiation of the normal distribution: proved, and refuted where wrong."""

import dataclasses

import pytest
import sympy

from kerneltheory.core.derivation import Derivation
from kerneltheory.core.errors import DerivationError
from kerneltheory.core.normal import (
    BivariateNormalCDF,
    ConditionalNormalCDF,
    NormalCDF,
    density,
)
from kerneltheory.core.normal_rules import DERIVATIONS, RHO, derive_rule

NAMES = [f"{make.args[0].__name__}-{make.args[1]}" for make in DERIVATIONS]


@pytest.mark.parametrize("make", DERIVATIONS, ids=NAMES)
def test_every_rule_is_proved(make):
    assert make().verify(digits=10).statuses == ("definition", "proved")


def with_rule(derivation: Derivation, change) -> Derivation:
    """The same derivation of another rule."""
    first, last = derivation.steps
    rule = change(last.statement.rhs)
    statement = sympy.Eq(last.statement.lhs, rule, evaluate=False)
    evidence = dataclasses.replace(last.evidence, rule=rule)
    last = dataclasses.replace(last, statement=statement, evidence=evidence)
    return dataclasses.replace(derivation, steps=(first, last))


@pytest.mark.parametrize(
    ("function", "argument", "change", "refutation"),
    [
        (NormalCDF, 1, lambda rule: 2 * rule, "not equal to"),
        (BivariateNormalCDF, 1, lambda rule: -rule, "not equal to"),
        (BivariateNormalCDF, 2, lambda rule: rule * (1 + RHO), "not equal to"),
        # A primitive may differ by a constant, which its limit at -oo tells.
        (BivariateNormalCDF, 3, lambda rule: rule + 1, "is 1 and not zero"),
        (BivariateNormalCDF, 3, lambda rule: rule * sympy.sqrt(1 - RHO**2), "not equal to"),
        (ConditionalNormalCDF, 3, lambda rule: rule + density(RHO), "not equal to"),
    ],
)
def test_a_wrong_rule_is_refuted(function, argument, change, refutation):
    wrong = with_rule(derive_rule(function, argument), change)
    with pytest.raises(
        DerivationError, match=rf"step 2 of derivative of .* is false.*{refutation}"
    ):
        wrong.verify(digits=10)
