"""Every jitted function that a user reaches lowers for cpu, cuda and tpu; no device is needed.

In float32, which is what a TPU has. `tests/kernels/test_gram.py` does the same for `gram`.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

import kerneltheory as kt
from kerneltheory.experiments import trial
from kerneltheory.regression import conjugate_gradient, gram_product, preconditioners
from kerneltheory.regression.mesh import solver_mesh

ROWS, DIM, RANK = 512, 5, 6
KERNEL = kt.ntk(kt.relu, 1, weight_variance=2, bias_variance=1)
MESH = solver_mesh(None, "rows")
SPECTRUM = kt.Spectrum([1.0, 0.1, 0.01], [1, 5, 14], tail=0.02)
TARGET = kt.Target({0: 1.0, 1: 1.0}, noise_variance=0.1)


def array(*shape):
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def tiles():
    tile, _ = KERNEL.tile_functions(np.ones((2, DIM)), np.ones((2, DIM)))
    return gram_product.GramTiles(tile, array(ROWS, DIM), array(ROWS, DIM), array(ROWS))


def system():
    inverse = preconditioners.Preconditioner(array(ROWS, RANK), array())
    return conjugate_gradient.System(tiles(), array(), inverse, array(ROWS, 1))


def state():
    vectors, numbers = [array(ROWS, 2)] * 3, [array(2)] * 2
    active = jax.ShapeDtypeStruct((2,), bool)
    return conjugate_gradient.State(*vectors, *numbers, active, array(2), array(2))


def curve(function, *fields):
    """Some fields of a curve as a function of n and the ridge."""

    def values(n, ridge):
        result = function(n, ridge)
        return tuple(getattr(result, field) for field in fields) if fields else result

    return values, (array(3), array(3))


vectors, on_mesh = array(ROWS, 2), functools.partial(functools.partial, mesh=MESH)
FUNCTIONS = {
    "gram_product": (
        on_mesh(gram_product.shared_product, axis="rows", sizes=True),
        (tiles(), vectors, jax.ShapeDtypeStruct((1, 2), jnp.int32)),
    ),
    "harmonic_factor": (
        on_mesh(preconditioners.harmonic_factor, degrees=(0, 1, 2, 3), count=500),
        (array(ROWS, DIM), array(4)),
    ),
    "pivoted_cholesky": (
        on_mesh(preconditioners.pivoted_cholesky, count=500),
        (tiles(), array(RANK)),
    ),
    "whiten": (on_mesh(preconditioners.whiten), (array(ROWS, RANK), array())),
    "start": (on_mesh(conjugate_gradient.start), (system(), vectors, vectors, array(2))),
    "step": (on_mesh(conjugate_gradient.step), (system(), state(), vectors, array(2))),
    "residual": (on_mesh(conjugate_gradient.residual_of), (system(), *[vectors] * 4)),
    "kernel": (lambda cosines: KERNEL(cosines), (array(4),)),
    "kernel.correlation": (KERNEL.correlation, (array(4),)),
    "dual": (kt.dual(kt.relu), (array(4),)),
    "covariance_dual": (kt.covariance_dual(kt.relu), (array(4), array(4), array(4))),
    "harmonic_basis": (functools.partial(kt.harmonic_basis, 3), (array(4, DIM),)),
    "zonal_harmonic": (functools.partial(kt.zonal_harmonic, 3), (array(DIM), array(4, DIM))),
    "zonal_sum": (functools.partial(trial._clenshaw, 5), (array(4), array(9, 5), array(7, 5))),
    "effective_ridge": curve(functools.partial(kt.effective_ridge, SPECTRUM)),
    "lowest_ridge": curve(lambda n, ridge: kt.lowest_ridge(SPECTRUM, n)),
    "learning_curve": curve(
        functools.partial(kt.learning_curve, SPECTRUM, TARGET),
        "test_error",
        "train_error",
        "leave_one_out",
    ),
    "random_feature_curve": curve(
        lambda n, ridge: kt.random_feature_curve(SPECTRUM, TARGET, n, 10.0, ridge), "test_error"
    ),
    "high_order_curve": curve(
        functools.partial(kt.high_order_curve, KERNEL, TARGET, 1), "test_error"
    ),
    "multiscale_curve": curve(
        functools.partial(kt.multiscale_curve, KERNEL, TARGET, 5, max_order=2), "test_error"
    ),
    "optimal_ridge": curve(lambda n, ridge: kt.optimal_ridge(SPECTRUM, TARGET, n), "ridge"),
    "marchenko_pastur_density": (lambda x: kt.marchenko_pastur_density(x, 0.5), (array(3),)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function_lowers_for_every_platform(name):
    function, arguments = FUNCTIONS[name]
    platforms = ("cpu", "cuda", "tpu")
    exported = export.export(jax.jit(function), platforms=platforms)(*arguments)
    assert exported.platforms == platforms
    floats = [out.dtype for out in exported.out_avals if jnp.issubdtype(out.dtype, jnp.floating)]
    assert floats
    assert set(floats) == {np.dtype(np.float32)}
