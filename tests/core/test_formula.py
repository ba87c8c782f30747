"""A Formula means the same in exact, certified and numeric arithmetic."""

import copy
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy

from kerneltheory.activations.catalogue import (
    absolute,
    elu,
    erf,
    exp,
    gaussian,
    gelu,
    relu,
    sign,
    sin,
    step,
)
from kerneltheory.activations.duals import covariance_dual, dual
from kerneltheory.activations.series import derivative_of
from kerneltheory.core.errors import LoweringError, PrecisionError
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
    airy = Formula("airy", (t,), sympy.airyai(t))
    with pytest.raises(LoweringError, match="airyai has no numeric form"):
        airy(1.0)
    with pytest.raises(LoweringError, match="has no ball form"):
        airy.certified(1)


# Kinks, jumps, smooth ones and waves. Of distribution functions, one: outside of compiled code
# each value of theirs takes a second.
CLOSED = (relu, absolute, step, sign, erf, gelu, sin, exp, gaussian())


@pytest.mark.parametrize("phi", CLOSED, ids=lambda phi: phi.name)
def test_gradient_of_a_dual_is_the_next_dual_up_to_the_ends(phi):
    first, second = dual(phi), dual(phi, 1)
    ends = np.array([-1.0, -0.3, 0.0, 0.7, 1.0])
    with jax.enable_x64(True):
        slopes = np.asarray(jax.vmap(jax.grad(first))(jnp.asarray(ends)))
    if derivative_of(phi) is None:
        # The slope of sign and step is 1/sqrt(1 - rho^2) times a positive number (Sheppard 1899).
        assert slopes[0] == slopes[-1] == np.inf
        ends, slopes = ends[1:-1], slopes[1:-1]
    truth = [float(second.certified(rho).mid()) for rho in ends]
    np.testing.assert_allclose(slopes, truth, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("phi", CLOSED, ids=lambda phi: phi.name)
def test_covariance_duals_hold_at_equal_and_opposite_inputs_however_rounded(phi):
    """E phi(u)^2 and E phi(u) phi(-u), at variances of which q q and k^2 round apart."""
    q = np.linspace(0.1, 3, 20)
    general = covariance_dual(phi)
    for end in (1, -1):
        truth = [float(general.certified(v, v, end * v).mid()) for v in q[:3].tolist()]
        found = general(q, q, end * q)
        scale = general(q, q, q)
        np.testing.assert_allclose(found[:3] / scale[:3], truth / scale[:3], rtol=0, atol=1e-14)
        assert np.all(np.abs(found) <= scale * (1 + 1e-14))
        # Outside by rounding of the caller is at the end, too.
        np.testing.assert_allclose(general(q, q, end * q * (1 + 2**-49)), found, rtol=1e-12)


@pytest.mark.parametrize("phi", [relu, erf, gelu], ids=lambda phi: phi.name)
def test_values_outside_the_domain_are_refused_even_where_the_expression_is_real(phi):
    for rho in (1.1, -1 - 1e-12, np.array([0.5, 2.0]), jnp.float32(1.001)):
        with pytest.raises(ValueError, match=f"dual of {phi.name} is not a real number"):
            dual(phi)(rho)
    assert dual(phi)(1 + 2.0**-49) == dual(phi)(1.0)
    for values in ((1.0, 4.0, 2.01), (-1.0, 1.0, 0.0), (1.0, np.array([4.0, 1.0]), -2.0)):
        with pytest.raises(ValueError, match=r"covariance dual of .* is not a real number"):
            covariance_dual(phi)(*values)
    # Inside a transformation no value is known: the answer is no number there.
    assert np.isnan(jax.jit(dual(phi))(1.1))


def test_certified_takes_the_digits_that_cancellation_costs():
    """E relu and E elu differ by at most 1, so T of elu is T of relu within O(sqrt q)."""
    q = 200
    ball, other = (covariance_dual(phi).certified(q, 2 * q, q, digits=30) for phi in (elu, relu))
    assert ball.rad() < 1e-30 * ball
    # |elu - relu| < 1: |E elu elu' - E relu relu'| < E |relu| + E |relu'| + 1.
    assert abs(ball - other) < (q / (2 * np.pi)) ** 0.5 + (2 * q / (2 * np.pi)) ** 0.5 + 1
    with pytest.raises(PrecisionError, match="is not enclosed to 30 digits with 600 digits"):
        covariance_dual(elu).certified(10**6, 10**6, 10**5)
