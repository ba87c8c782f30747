"""The float64 policy: numpy in float64, jax as its caller has it, and no global change."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kerneltheory.core.precision import float64_policy


@float64_policy
def third(x, *, scale=1.0):
    return {"value": scale * jnp.asarray(x) / 3, "dtype": jnp.asarray(x).dtype}


@pytest.mark.parametrize("x", [1.0, np.ones(2), np.float32(1)])
def test_numpy_computes_in_float64_and_comes_back_as_numpy(x):
    value = third(x)["value"]
    assert isinstance(value, np.ndarray)
    expected = np.float32(1) / np.float32(3) if isinstance(x, np.float32) else 1 / 3
    np.testing.assert_array_equal(value, expected)


def test_jax_keeps_its_dtype():
    value = third(jnp.ones(2))["value"]
    assert isinstance(value, jax.Array)
    assert value.dtype == jnp.float32
    with jax.enable_x64(True):
        assert third(jnp.ones(2))["value"].dtype == jnp.float64


def test_one_jax_array_among_the_arguments_decides():
    assert third(np.ones(2), scale=jnp.float32(2))["value"].dtype == jnp.float32


def test_tracers_pass_through():
    assert float(jax.jit(lambda x: third(x)["value"])(3.0)) == 1
    assert float(jax.grad(lambda x: third(x)["value"])(3.0)) == pytest.approx(1 / 3, rel=1e-6)


def test_configuration_is_left_as_it_was():
    before = jax.config.jax_enable_x64
    third(1.0)
    assert jax.config.jax_enable_x64 == before
    with pytest.raises(TypeError):
        third("no number")
    assert jax.config.jax_enable_x64 == before
