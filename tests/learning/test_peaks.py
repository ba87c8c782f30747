"""Peaks against a dense scan of the learning curve."""

import jax
import matplotlib.pyplot as plt
import numpy as np
import pytest

from kerneltheory.core.errors import PrecisionError
from kerneltheory.learning.equivalent import learning_curve
from kerneltheory.learning.peaks import peaks
from kerneltheory.spectra.spectrum import Spectrum, Target

THREE = Spectrum([1.0, 0.003, 1e-6], [3, 40, 1000], tail=1e-5)
POWERS = Target([1.0, 0.5, 0.2], 0.1)


def _scanned(spectrum, target, ridge, samples):
    errors = learning_curve(spectrum, target, samples, ridge).test_error
    inner = (errors[1:-1] > errors[:-2]) & (errors[1:-1] > errors[2:])
    index = np.flatnonzero(inner) + 1
    return samples[index], errors[index]


@pytest.mark.parametrize("ridge", [1e-6, 1e-3, 0.05, 1.0])
@pytest.mark.parametrize("noise", [0.0, 0.1, 3.0])
def test_peaks_are_those_of_a_dense_scan(ridge, noise):
    target = Target(POWERS.power, noise)
    found = peaks(THREE, target, ridge)
    samples = np.geomspace(1, 1e6, 60_001)
    where, heights = _scanned(THREE, target, ridge, samples)
    inside = (found.n > 1.001) & (found.n < 9e5)
    # A scan knows a place to its spacing, and a height to the square of that.
    np.testing.assert_allclose(found.n[inside], where, rtol=2 * 13.9 / 60_000)
    np.testing.assert_allclose(found.test_error[inside], heights, rtol=1e-3)
    assert (found.test_error[inside] >= heights * (1 - 1e-12)).all()
    assert (found.valley < found.test_error).all()


def test_each_small_ridge_has_a_peak_at_each_count_of_modes():
    sharp = Spectrum([1.0, 1e-5, 1e-10], [30, 40, 1000])
    found = peaks(sharp, POWERS, 1e-20)
    np.testing.assert_array_equal(found.levels, [0, 1, 2])
    # A peak stands where its level is all but learned, within one part in 30.
    np.testing.assert_allclose(found.n, [30, 70, 1070], rtol=1 / 30)
    assert found.exist.all()


def test_a_large_ridge_has_no_peak():
    found = peaks(THREE, POWERS, 100.0)
    assert found.n.size == 0
    assert not found.exist.any()
    assert "0 of" in repr(found)


def test_without_ridge_and_tail_the_last_peak_is_infinite():
    found = peaks(Spectrum([1.0, 1e-4], [10, 90]), Target([1.0, 1.0], 0.1), 0.0)
    assert found.n[-1] == pytest.approx(100, rel=1e-12)
    assert np.isinf(found.test_error[-1])
    # Without noise there is nothing to magnify.
    calm = peaks(Spectrum([1.0], [10]), Target([1.0]), 0.0)
    assert calm.n.size == 0


def test_levels_that_the_kernel_lacks_have_no_peak():
    odd = Spectrum([1.0, 1e-3, 0.0, 1e-6], [1, 20, 200, 1500], tail=1e-6)
    found = peaks(odd, Target([0.0, 1.0, 1.0, 1.0], 0.1), 1e-9)
    assert found.exist.tolist()[2] is False
    assert {1, 3} <= set(found.levels.tolist())


@pytest.mark.parametrize(
    ("ridge", "message"),
    [(-1.0, "ridge must not be negative"), ([1.0], "ridge must have 0 dimensions")],
)
def test_bad_ridges_are_named(ridge, message):
    with pytest.raises(ValueError, match=message):
        peaks(THREE, POWERS, ridge)


def test_levels_in_any_order_and_below_floats_are_counted():
    found = peaks(Spectrum([0.01, 1.0], [100, 10]), Target([1.0, 1.0], 0.1), 1e-3)
    assert found.levels.tolist() == [1, 0]
    assert found.exist.tolist() == [True, True]
    tiny = peaks(Spectrum([1.0, 1e-310], [100, 1e5]), Target([1.0], 0.1), 0.0)
    assert tiny.levels.tolist() == [0, 1]
    np.testing.assert_allclose(tiny.n, [100, 100100])
    assert set(tiny.to_xarray().sizes) == {"peak", "degree"}


def test_peaks_refuse_what_has_none_by_name():
    target = Target([1.0], 0.1)
    with pytest.raises(ValueError, match="spectrum must have a positive eigenvalue"):
        peaks(Spectrum([0.0], [3]), target, 0.0)
    with pytest.raises(PrecisionError, match="max_degree above 0"):
        peaks(Spectrum([1.0], [1], tail=1.0, dim=30), target, 0.0)
    assert peaks(Spectrum([1.0], [3]), target, 1e308).n.size == 0
    with pytest.raises(TypeError, match="not traceable"):
        jax.jit(lambda ridge: peaks(THREE, POWERS, ridge).n)(0.1)


def test_a_figure_marks_the_peaks():
    axes = peaks(Spectrum([1.0, 1e-4], [10, 90]), Target([1.0, 1.0], 0.1), 0.0).plot()
    assert [text.get_text() for text in axes.texts] == ["0", "1"]
    plt.close(axes.figure)


def test_a_level_of_few_modes_after_one_of_many_has_its_own_peak():
    found = peaks(Spectrum([1.0, 1e-3], [10**6, 10]), Target([1.0, 1.0], 0.1), 1e-6)
    # All modes are learned there: the last are those of level 1.
    assert found.n == pytest.approx([10**6 + 10], rel=1e-6)
    assert found.levels.tolist() == [1]


def test_no_level_has_two_peaks():
    # At the first peak 49 modes are not quite half learned, next to 24,321 of the next level.
    spectrum = Spectrum([1.66e-2, 5.41e-4, 4.23e-5], [49, 24321, 143])
    found = peaks(spectrum, Target([0.0, 1.0, 1.0]), 1e-5)
    assert found.levels.tolist() == [0, 1]
    assert found.exist.tolist()[:2] == [True, True]
