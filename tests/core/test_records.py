"""What records of arrays share."""

import copy
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kerneltheory.core.records import (
    Array,
    ArrayRecord,
    array_record,
    is_concrete,
    shown_rows,
    static,
    working_dtype,
)


@array_record
class Pair(ArrayRecord):
    first: Array | None = None
    second: Array | float = 0.0
    label: str = static("none")

    def __post_init__(self):
        if self.first is not None and np.min(self.first) < 0:
            raise ValueError("first must not be negative")

    def _table(self):
        return ["n", "value"], [["1", "10"], ["200", "<3>"]]


def test_equality_is_by_value_structure_and_static_fields():
    pair = Pair(np.array([1.0, 2.0]), 3.0, "a")
    assert pair == Pair(jnp.array([1.0, 2.0]), 3, "a")
    assert hash(pair) == hash(Pair(jnp.array([1.0, 2.0]), 3, "a"))
    for other in (
        Pair(np.array([1.0, 2.5]), 3.0, "a"),
        Pair(np.array([1.0, 2.0]), 3.0, "b"),
        Pair(None, 3.0, "a"),
        Pair(np.array([[1.0, 2.0]]), 3.0, "a"),
        (np.array([1.0, 2.0]), 3.0, "a"),
    ):
        assert pair != other
    assert len({pair, copy.deepcopy(pair), pickle.loads(pickle.dumps(pair))}) == 1


def test_a_record_is_frozen():
    with pytest.raises(AttributeError):
        Pair().second = 1.0


def test_jax_sees_the_arrays_and_keeps_the_rest():
    pair = Pair(jnp.array([1.0, 2.0]), jnp.array(3.0), "a")
    doubled = jax.jit(lambda p: jax.tree.map(lambda x: 2 * x, p))(pair)
    assert doubled == Pair(np.array([2.0, 4.0]), 6.0, "a")
    paths = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(pair)]
    assert paths == [".first", ".second"]


def test_a_gradient_is_a_record_and_is_not_checked():
    gradient = jax.grad(lambda p: -jnp.sum(p.first) * p.second)(
        Pair(jnp.array([1.0, 2.0]), jnp.array(3.0))
    )
    np.testing.assert_array_equal(gradient.first, [-3, -3])
    assert float(gradient.second) == -3
    with pytest.raises(ValueError, match="first must not be negative"):
        Pair(np.array([-1.0]))


def test_the_table_is_aligned_and_escaped():
    pair = Pair()
    assert repr(pair).splitlines() == ["Pair", "  n  value", "  1     10", "200    <3>"]
    assert "<td>&lt;3&gt;</td>" in pair._repr_html_()
    assert pair._repr_html_().count("<tr>") == 3


def test_a_traced_record_says_so():
    seen = []

    @jax.jit
    def look_at(pair):
        seen.extend([repr(pair), pair._repr_html_(), is_concrete(pair), is_concrete(1.0, None)])
        return pair.second

    look_at(Pair(jnp.ones(2), 1.0))
    assert seen == ["Pair(traced)", "<p>Pair(traced)</p>", False, True]


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ((np.ones(1),), np.float32),
        ((jnp.ones(1, jnp.float16),), np.float16),
        ((jnp.ones(1, jnp.float16), jnp.ones(1)), np.float32),
        ((jnp.ones(1, int), 2.0, None), np.float32),
        ((Pair(jnp.ones(1, jnp.float16), 1.0),), np.float16),
    ],
)
def test_the_working_dtype_is_that_of_real_jax_arrays(values, dtype):
    assert working_dtype(*values) == dtype


def test_the_working_dtype_without_jax_arrays_is_the_configured_one():
    with jax.enable_x64(True):
        assert working_dtype(1.0, np.float32(1)) == np.float64


@pytest.mark.parametrize("count", range(12))
def test_a_short_table_shows_the_first_rows_and_the_last(count):
    rows = shown_rows(count)
    assert len(rows) == min(count, 8)
    shown = [row for row in rows if row is not None]
    assert shown == sorted(set(shown))
    if count:
        assert (shown[0], shown[-1]) == (0, count - 1)
    assert (None in rows) == (count > 8)
    assert shown_rows(count, limit=20) == list(range(count))
