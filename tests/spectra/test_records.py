"""Spectrum and Target: what they hold, what they refuse, and that jax sees through them."""

import copy
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kerneltheory.spectra.spectrum import Spectrum, Target


def _spectrum():
    return Spectrum([0.5, 0.1, 0.0], [1, 3, 5], tail=0.2, dim=3, method="by hand")


def test_spectrum_adds_up_to_the_diagonal_of_the_kernel():
    spectrum = _spectrum()
    # 1 * 0.5 + 3 * 0.1 + 0.2 = 1, with one rounding for each of three operations.
    assert spectrum.trace == pytest.approx(1.0, rel=3 * np.finfo(float).eps)
    np.testing.assert_array_equal(spectrum.degrees, [0, 1, 2])
    assert spectrum.log_eigenvalues[2] == -np.inf
    assert spectrum.eigenvalues.dtype == np.float64


def test_spectrum_does_not_share_memory_with_its_input():
    eigenvalues = np.ones(2)
    spectrum = Spectrum(eigenvalues, [1, 1])
    eigenvalues[0] = 5
    assert spectrum.eigenvalues[0] == 1
    with pytest.raises(ValueError, match="read-only"):
        spectrum.eigenvalues[0] = 5


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([1.0, np.nan], [1, 1]), ValueError, "eigenvalues must be finite"),
        (([1.0, 1.0], [1, 0]), ValueError, "multiplicities must be positive"),
        (([1.0, 1.0], [1, 1, 1]), ValueError, "eigenvalues and multiplicities must have the same"),
        (([[1.0]], [[1]]), ValueError, "eigenvalues must have shape"),
        ((1.0, 1.0), ValueError, "eigenvalues must have shape"),
        (([], []), ValueError, "eigenvalues must have shape"),
        (("ab", [1]), TypeError, "eigenvalues must be a real array"),
        (([1.0], [1], -0.5), ValueError, "tail must not be negative"),
        (([1.0], [1], [0.5]), ValueError, "tail must be a single number"),
        (([1.0], [1], 0.0, 2.5), TypeError, "dim must be an integer"),
    ],
)
def test_spectrum_refuses_what_is_none(arguments, error, message):
    with pytest.raises(error, match=message):
        Spectrum(*arguments)


@pytest.mark.parametrize(
    "record", [_spectrum(), Target({1: 1.0, 3: 0.5}, 0.1), Target([0.0, 1.0], 0.1)]
)
def test_records_copy_pickle_compare_and_display(record):
    for other in (pickle.loads(pickle.dumps(record)), copy.deepcopy(record)):
        assert other == record
        assert hash(other) == hash(record)
    assert record != Target({0: 7.0})
    assert type(record).__name__ in repr(record)
    assert record._repr_html_().startswith("<")
    leaves, structure = jax.tree.flatten(record)
    assert jax.tree.unflatten(structure, leaves) == record
    jax.tree.map(lambda _: object(), record)  # jax rebuilds records from anything


def test_target_representation_round_trips():
    for target in (Target({1: 1.0, 3: 0.5}, 0.1), Target([0.0, 1.0])):
        assert eval(repr(target)) == target


def test_jax_sees_through_a_spectrum():
    gradient = jax.grad(lambda spectrum: spectrum.trace)(_spectrum())
    np.testing.assert_array_equal(gradient.eigenvalues, [1, 3, 5])  # d h(1)/d lambda = N
    assert float(gradient.tail) == 1
    negative = jax.tree.map(lambda leaf: -np.asarray(leaf), gradient)
    assert negative.eigenvalues[0] == -1  # a cotangent need not be a spectrum
    batch = jax.tree.map(
        lambda leaf: jnp.stack([leaf, 2 * leaf]), jax.tree.map(jnp.asarray, negative)
    )
    np.testing.assert_array_equal(jax.vmap(lambda s: s.tail)(batch), [-1, -2])
    axes = Spectrum(0, None, None, dim=3, method="by hand")
    rates = jnp.ones((2, 3))
    mixed = Spectrum(rates, jnp.ones((2, 3)), 0.0, dim=3, method="by hand")
    assert jax.vmap(lambda s: s.eigenvalues.sum(), in_axes=(axes,))(mixed).shape == (2,)
    shown = []
    jax.jit(lambda spectrum: shown.append(repr(spectrum)))(_spectrum())
    assert shown == ["Spectrum(traced)"]


def test_spectrum_as_dataset_and_figure():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("agg")
    dataset = _spectrum().to_xarray()
    np.testing.assert_array_equal(dataset["multiplicities"].sel(degree=1), 3)
    axes = _spectrum().plot()
    np.testing.assert_array_equal(axes.lines[0].get_xdata(), [0, 1])  # the zero level is left out
    matplotlib.pyplot.close(axes.figure)


def test_target_powers_and_the_degree_it_lacks():
    target = Target({7: 2.0, 1: 1.0}, noise_variance=0.5)
    np.testing.assert_array_equal(target.powers(8), [0, 1, 0, 0, 0, 0, 0, 2])
    assert target.power[7] == 2.0
    assert target.total_power == 3.0
    message = (
        "target degree 7 is above the highest degree 4 of the spectrum; "
        "ask for a spectrum with max_degree >= 7"
    )
    with pytest.raises(ValueError, match=message):
        target.powers(5)
    with pytest.raises(ValueError, match="target degree 2"):
        Target([1.0, 2.0, 3.0]).powers(2)
    np.testing.assert_array_equal(Target([1.0, 2.0]).powers(3), [1, 2, 0])


@pytest.mark.parametrize(
    ("power", "noise", "error", "message"),
    [
        ({1: -1.0}, 0.0, ValueError, "power.*must not be negative"),
        ({1: np.inf}, 0.0, ValueError, "power.*must be finite"),
        ({-1: 1.0}, 0.0, ValueError, "degree in power must be"),
        ({0.5: 1.0}, 0.0, TypeError, "degree in power must be"),
        ([-1.0], 0.0, ValueError, "power must not be negative"),
        ([1.0], -1.0, ValueError, "noise_variance must not be negative"),
        ([1.0], [-1.0], ValueError, "noise_variance must not be negative"),
    ],
)
def test_target_refuses_what_is_none(power, noise, error, message):
    with pytest.raises(error, match=message):
        Target(power, noise)


def test_jax_sees_through_a_target():
    gradient = jax.grad(lambda target: target.powers(3)[2] * target.noise_variance)(
        Target({2: 3.0}, 5.0)
    )
    assert float(gradient.power[2]) == 5  # d (F^2 sigma^2)/d F^2
    assert float(gradient.noise_variance) == 3
