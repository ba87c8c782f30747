"""Multiplicities and masses at large dimension, and planted errors in what is said of them."""

import dataclasses

import pytest
import sympy

from kerneltheory.core.errors import DerivationError
from kerneltheory.spectra.gamma_products import gamma_product
from kerneltheory.spectra.large_dimension import (
    GammaRatio,
    MultiplicityRatio,
    mass_steps,
    multiplicity_steps,
)
from kerneltheory.spectra.summation import D, K

STEPS = [*multiplicity_steps(), *mass_steps()]


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.reason)
def test_steps_are_proved(step):
    assert step.verify(20) == "proved"


# An inequality is its own evidence.
EQUATIONS = [step for step in STEPS if isinstance(step.statement, sympy.Eq)]


@pytest.mark.parametrize("step", EQUATIONS, ids=lambda step: step.reason)
def test_a_step_that_states_something_else_is_caught(step):
    wrong = sympy.Eq(step.statement.lhs, step.statement.rhs * 2 + 1, evaluate=False)
    with pytest.raises(DerivationError):
        dataclasses.replace(step, statement=wrong).verify(20)


def test_wrong_ratios_are_caught():
    ratio = multiplicity_steps()[0].statement.rhs
    with pytest.raises(DerivationError, match="not equal"):
        MultiplicityRatio(ratio * (D + K) / (D + K + 1)).verify(20)
    with pytest.raises(DerivationError, match="not rational"):
        GammaRatio(gamma_product(1, [D]), gamma_product(1, [D / 3]), D).verify(20)


def test_values_may_name_the_symbols_that_they_replace():
    # 2^-(k+1), not 2^-(k+2)
    product = gamma_product(sympy.Integer(2) ** -K).subs({K: K + 1})
    assert sympy.simplify(product.factor / sympy.Integer(2) ** (-K - 1)) == 1
