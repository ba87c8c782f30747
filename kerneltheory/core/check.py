"""Checks of arguments: each names the argument, what was given and what is accepted."""

import operator
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

# Longer texts of what was given are left out of messages.
LONGEST = 120


def shown(value: Any) -> str:
    """What was given: its text where that is short, else its type."""
    text = repr(value)
    return text if len(text) <= LONGEST and "\n" not in text else type(value).__name__


def instance(name: str, value: Any, kind: type) -> None:
    """Refuse what is not a record of this kind."""
    if not isinstance(value, kind):
        article = "an" if kind.__name__[0] in "AEIOU" else "a"
        raise TypeError(f"{name} must be {article} {kind.__name__}, got {shown(value)}")


def one_of(name: str, value: Any, options: Iterable[str]) -> str:
    """Return `value` if it is one of some names."""
    names = list(options)
    if not isinstance(value, str) or value not in names:
        raise ValueError(f"{name} must be one of {', '.join(names)}, got {shown(value)}")
    return value


def flag(name: str, value: Any) -> bool:
    """Return `value` as a bool; a text would be true whatever it says."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False, got {shown(value)}")
    return bool(value)


def integer(name: str, value: Any, *, minimum: int) -> int:
    """Return `value` as an int of at least `minimum`."""
    try:
        result = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer of at least {minimum}, got {value!r}") from None
    if isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be an integer of at least {minimum}, got {value!r}")
    if result < minimum:
        raise ValueError(f"{name} must be an integer of at least {minimum}, got {result}")
    return result


def integers(name: str, value: Any, *, minimum: int) -> np.ndarray:
    """Return `value` as an integer array with entries of at least `minimum`."""
    array = np.asarray(value)
    if array.size == 0:
        raise ValueError(f"{name} must hold at least one integer, got an empty array")
    if not np.issubdtype(array.dtype, np.integer):
        raise TypeError(f"{name} must hold integers of at least {minimum}, got {value!r}")
    if array.min() < minimum:
        raise ValueError(f"{name} must hold integers of at least {minimum}, got {array.min()}")
    # Differences of unsigned integers would wrap around.
    return array.astype(np.int64)


def finite(name: str, value: Any, *, ndim: int | None = None) -> np.ndarray:
    """Return `value` as a finite float64 array, of `ndim` dimensions if that is given."""
    try:
        given = np.asarray(value)
        if given.dtype.kind in "cSUmM":  # numpy would drop imaginary parts and read strings
            raise TypeError
        array = given.astype(np.float64, copy=False)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a real array, got {type(value).__name__}") from None
    if ndim is not None and array.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} dimensions, got shape {array.shape}")
    if not np.isfinite(array).all():
        bad = int(np.size(array) - np.isfinite(array).sum())
        raise ValueError(f"{name} must be finite, got {bad} entries that are NaN or infinite")
    return array


def rows(name: str, value: Any) -> np.ndarray:
    """Return `value` as a finite float64 matrix of at least one row and one column."""
    matrix = finite(name, value, ndim=2)
    if matrix.size == 0:
        raise ValueError(
            f"{name} must have at least one row and one column, got shape {matrix.shape}"
        )
    return matrix


def nonnegative(name: str, value: Any) -> np.ndarray:
    """Return `value` as a finite float64 array with no negative entry."""
    array = finite(name, value)
    if array.size and array.min() < 0:
        raise ValueError(f"{name} must not be negative, got {array.min()}")
    return array


def positive(name: str, value: Any) -> np.ndarray:
    """Return `value` as a finite float64 array, not empty, with positive entries only."""
    array = finite(name, value)
    if array.size == 0 or not array.min() > 0:
        lowest = array.min() if array.size else "an empty array"
        raise ValueError(f"{name} must be positive, got {lowest}")
    return array


def values(name: str, function: Callable[[Any], Any], points: np.ndarray) -> np.ndarray:
    """The finite real values of a caller's function, one for each point of an array."""
    result = finite(name, function(points))
    if result.shape != points.shape:
        raise ValueError(
            f"{name} must keep the shape of its argument {points.shape}, got {result.shape}"
        )
    return result


def broadcastable(**values: Any) -> None:
    """Refuse named arrays that are empty or whose shapes do not broadcast, traced or not."""
    shapes = [np.shape(value) for value in values.values()]
    for name, shape in zip(values, shapes, strict=True):
        if 0 in shape:
            raise ValueError(f"{name} must hold at least one number, got shape {shape}")
    try:
        np.broadcast_shapes(*shapes)
    except ValueError:
        names, given = " and ".join(values), " and ".join(map(str, shapes))
        raise ValueError(f"{names} must broadcast, got shapes {given}") from None
