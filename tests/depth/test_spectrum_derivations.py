"""The table of large depth as derivations: they hold, end where they should, and can fail."""

import dataclasses

import pytest
import sympy

from kerneltheory.core.errors import DerivationError
from kerneltheory.depth import critical_derivations, spectrum_derivations
from kerneltheory.depth.depth_laws import KERNELS, KINDS, LAWS, PHASES

ALL = (*critical_derivations.DERIVATIONS, *spectrum_derivations.DERIVATIONS)
d, m, ell, q = sympy.symbols("d m l q", positive=True)
chi_1, chi_12, chi_c, c_star = sympy.symbols("chi_1 chi_12 chi_c c_star", positive=True)
# The condition numbers of Xiao, Pennington, Schoenholz (arXiv:1912.13053), tables 1 and 2.
LITERATURE = {
    "derive_critical_ntk_table_smooth": (m * d + 2) / 2,
    "derive_critical_ntk_table_kinked": (m * d + 3) / 3,
    "derive_critical_nngp_table_smooth": m * d * q * chi_12 * ell / 2,
    "derive_chaotic_nngp": 1 + m * d * c_star / (1 - c_star),
    "derive_chaotic_ntk": 1 + m * d * c_star / (1 - chi_c) * (chi_1 - 1) / (chi_1 ** (ell + 1) - 1),
}


@pytest.mark.parametrize("derive", ALL, ids=lambda derive: derive.__name__)
def test_every_step_is_proved(derive):
    assert set(derive().verify().statuses) == {"proved"}


@pytest.mark.parametrize("name", LITERATURE)
def test_they_end_in_the_table_of_the_literature(name):
    result = getattr(spectrum_derivations, name)().result.rhs
    assert sympy.simplify(result - LITERATURE[name]) == 0


def test_the_gap_of_relu_is_that_of_the_literature():
    result = critical_derivations.derive_relu_gap().result.rhs
    assert sympy.simplify(result - 9 * sympy.pi**2 / (2 * ell**2)) == 0


@pytest.mark.parametrize("derive", ALL, ids=lambda derive: derive.__name__)
def test_another_result_is_refused(derive):
    """Each last step states the result: twice the result is false."""
    last = derive().steps[-1]
    wrong = sympy.Eq(last.statement.lhs, 2 * last.statement.rhs, evaluate=False)
    with pytest.raises(DerivationError, match="is not equal to"):
        dataclasses.replace(last, statement=wrong).verify(30)


def test_there_is_a_law_for_every_entry():
    assert set(LAWS) == {(k, p, kind) for k in KERNELS for p in PHASES for kind in KINDS}
