"""A Formula means the same in exact, certified and numeric arithmetic."""

import copy
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy

from kerneltheory.core.errors import LoweringError
from kerneltheory.core.formula import Formula

t = sympy.Symbol("t", real=True)
s = sympy.Symbol("s", positive=True)
ROOT = Formula("root", (t, s), t * sympy.sqrt(s), s > 0, "by hand")


def test_call_keeps_the_order_of_arguments_and_broadcasts():
    values = ROOT(np.array([1.0, 2.0])[:, None], np.array([4.0, 9.0]))
    np.testing.assert_array_equal(values, [[2, 3], [4, 6]])
    assert values.dtype == np.float64


def test_jax_arrays_keep_their_dtype_and_are_traced():
    assert ROOT(jnp.float32(2), jnp.float32(9)).dtype == jnp.float32
    slope = jax.jit(jax.grad(ROOT, argnums=1))(jnp.float32(2), jnp.float32(4))
    assert float(slope) == 0.5  # d(t sqrt s)/ds = t / (2 sqrt s)


def test_certified_value_contains_the_truth_to_the_digits_asked():
    ball = ROOT.certified(1, 2, digits=50)
    assert (ball * ball).contains(2)
    assert ball.rad() < 1e-50


def test_floats_are_the_numbers_that_they_are():
    tenth = Formula("t", (t,), t).certified(0.1, digits=60)
    assert tenth.contains(sympy_fraction(0.1))
    assert not tenth.contains(sympy_fraction("1/10"))


def sympy_fraction(value):
    from fractions import Fraction

    from flint import fmpq

    fraction = Fraction(value)
    return fmpq(fraction.numerator, fraction.denominator)


def test_derivative_and_substitution_are_exact():
    assert ROOT.diff(s).rhs == t / (2 * sympy.sqrt(s))
    assert ROOT.diff(t, 2).rhs == 0
    fixed = ROOT.substitute({s: sympy.Integer(9)})
    assert (fixed.args, fixed.rhs, fixed.domain) == ((t,), 3 * t, sympy.true)


def test_wrong_number_of_values_names_the_arguments():
    with pytest.raises(TypeError, match=r"root takes 2 values \(t, s\), got \(1,\)"):
        ROOT(1)
    with pytest.raises(TypeError, match="root takes 2 values"):
        ROOT.certified(1, 2, 3)


def test_every_symbol_is_an_argument():
    with pytest.raises(ValueError, match=r"rhs has symbols \['s'\] that args do not name"):
        Formula("unbound", (t,), s + t)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "1", None])
def test_certified_refuses_what_is_no_number_and_names_the_argument(value):
    with pytest.raises(TypeError, match="t must be a finite real number"):
        ROOT.certified(value, 2)


def test_copies_displays_and_hash():
    for other in (pickle.loads(pickle.dumps(ROOT)), copy.deepcopy(ROOT)):
        assert other == ROOT
        assert hash(other) == hash(ROOT)
    assert str(ROOT) == "root(t, s) = sqrt(s)*t"
    assert ROOT.latex == r"\sqrt{s} t"
    assert ROOT._repr_latex_().startswith("$")


def test_function_without_a_numeric_form_is_refused_before_any_number_is_seen():
    bessel = Formula("bessel", (t,), sympy.besseli(0, t))
    with pytest.raises(LoweringError, match="besseli has no numeric form"):
        bessel(1.0)
    with pytest.raises(LoweringError, match="has no ball form"):
        bessel.certified(1)
