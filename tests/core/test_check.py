"""Every refusal names the argument, what was given and what is accepted."""

from fractions import Fraction

import jax.numpy as jnp
import numpy as np
import pytest
import sympy

from kerneltheory.core import check


@pytest.mark.parametrize("value", [3, np.int8(3), np.uint64(3), sympy.Integer(3), np.array(3)])
def test_integers_of_any_kind_become_int(value):
    assert check.integer("dim", value, minimum=3) == 3
    assert type(check.integer("dim", value, minimum=3)) is int


@pytest.mark.parametrize("value", [3.0, "3", None, True, np.True_, [3], Fraction(3), 3j])
def test_what_is_no_integer(value):
    with pytest.raises(TypeError, match=r"dim must be an integer of at least 2, got"):
        check.integer("dim", value, minimum=2)


def test_an_integer_that_is_too_small():
    with pytest.raises(ValueError, match=r"dim must be an integer of at least 2, got 1"):
        check.integer("dim", 1, minimum=2)


@pytest.mark.parametrize("value", [[3, 1], (3, 1), np.array([3, 1], np.uint8), jnp.array([3, 1])])
def test_arrays_of_integers_are_signed(value):
    array = check.integers("n", value, minimum=1)
    np.testing.assert_array_equal(array, [3, 1])
    # Unsigned, this difference would be 254.
    assert np.diff(array)[0] == -2


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        ([1.0], TypeError, "n must hold integers of at least 1, got"),
        ("1", TypeError, "n must hold integers"),
        (None, TypeError, "n must hold integers"),
        ([True], TypeError, "n must hold integers"),
        ([2**70], TypeError, "n must hold integers"),
        ([], ValueError, "n must hold at least one integer, got an empty array"),
        ([3, 0], ValueError, "n must hold integers of at least 1, got 0"),
    ],
)
def test_what_holds_no_such_integers(value, error, message):
    with pytest.raises(error, match=message):
        check.integers("n", value, minimum=1)


@pytest.mark.parametrize(
    "value", [0.5, [0.5], Fraction(1, 2), sympy.Rational(1, 2), np.float32(0.5), jnp.array(0.5)]
)
def test_real_numbers_of_any_kind_become_float64(value):
    array = check.finite("x", value)
    assert array.dtype == np.float64
    assert np.all(array == 0.5)


def test_a_float64_array_is_not_copied():
    array = np.ones(3)
    assert check.finite("x", array) is array


@pytest.mark.parametrize(
    "value",
    ["0.5", ["1"], b"1", 1j, np.ones(2) * 1j, [[1], [1, 2]], object(), sympy.Symbol("t"), {1: 1.0}],
)
def test_what_is_no_real_array(value):
    with pytest.raises(TypeError, match=r"x must be a real array, got \w+"):
        check.finite("x", value)


@pytest.mark.parametrize(
    ("value", "count"), [(np.nan, 1), ([1, np.inf, np.nan], 2), (None, 1), ([[1, None]], 1)]
)
def test_entries_that_are_not_finite_are_counted(value, count):
    with pytest.raises(ValueError, match=f"x must be finite, got {count} entries"):
        check.finite("x", value)


def test_the_number_of_dimensions():
    assert check.finite("x", [[1.0]], ndim=2).shape == (1, 1)
    with pytest.raises(ValueError, match=r"x must have 2 dimensions, got shape \(1,\)"):
        check.finite("x", [1.0], ndim=2)


def test_negative_numbers():
    assert check.nonnegative("x", [0.0, 1.0]).min() == 0
    assert check.nonnegative("x", []).size == 0
    with pytest.raises(ValueError, match=r"x must not be negative, got -2\.0"):
        check.nonnegative("x", [1.0, -2.0])
