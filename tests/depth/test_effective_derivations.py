"""The derivations of the effective theory are proved, and say what the numbers say."""

import pytest
import sympy

import kerneltheory as kt
from kerneltheory.core import lower
from kerneltheory.depth.effective_derivations import RESULTS


@pytest.mark.parametrize("result", RESULTS)
def test_every_step_is_proved(result):
    derivation = kt.derive_effective_theory(result)
    statuses = derivation.verify().statuses
    assert set(statuses) <= {"proved", "definition"}
    assert "proved" in statuses
    assert derivation._repr_latex_()


def test_the_formula_of_gelu_is_its_certified_point():
    formula = kt.derive_effective_theory("gelu").result
    point = kt.critical_point(kt.gelu, digits=30)
    assert formula.certified(digits=30).overlaps(point.certified("variance"))


def test_exponents_follow_from_the_derivatives_at_zero():
    p_perp = kt.derive_effective_theory("exponents").result
    # Of x exp(x^2 ...): s = (2, 1, -3), a_1 = -3/2 + 3/16, b_1 = -3/2 + 1/4.
    assert p_perp(2.0, 1.0, -3.0) == pytest.approx((-3 / 2 + 1 / 4) / (-3 / 2 + 3 / 16))
    with pytest.raises(ValueError, match="not a real number"):
        p_perp(1.0, 2.0, 0.0)  # a_1 > 0 repels


def test_the_drift_at_a_kink_is_that_of_softsign():
    drift = kt.derive_effective_theory("exponents at a kink").result
    point = kt.critical_point(kt.softsign)
    # x - x|x| + ...: slopes 1 and second derivatives 2 and -2.
    values = dict(zip(drift.args, (1, 1, 2, -2), strict=True))
    assert sympy.simplify(drift.rhs.subs(values) - point.exact("drift")) == 0


def test_scale_invariance_is_what_finite_width_computes():
    formula = kt.derive_effective_theory("scale invariance").result
    record = kt.finite_width(kt.relu, 9, 13, weight_variance=2, variance=1)
    exact = formula.certified(5, 13, 9, digits=20)
    assert record.vertex[-1] == pytest.approx(lower.to_float(exact), rel=1e-13)


def test_an_unknown_result_is_refused():
    with pytest.raises(ValueError, match="result must be one of susceptibilities"):
        kt.derive_effective_theory("kurtosis")
