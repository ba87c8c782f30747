"""Figures of spectra: what is drawn is what the spectrum holds, and what is left out shows."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from kerneltheory.spectra.plots import plot_spectra, plot_spectrum
from kerneltheory.spectra.power_law import power_law_spectrum
from kerneltheory.spectra.spectrum import Spectrum

SPECTRUM = Spectrum([0.5, 0.2, 0.1, 0.0, 1e-3], [1, 3, 5, 7, 9], dim=3)


def lines(axes, name):
    return [line for line in axes.lines if line.get_gid() == name]


def legend(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_masses_and_eigenvalues_are_drawn_on_logarithmic_axes():
    axes = plot_spectrum(SPECTRUM, label="mine")
    assert (axes.get_xscale(), axes.get_yscale()) == ("symlog", "log")
    ((masses,), (values,)) = lines(axes, "masses"), lines(axes, "eigenvalues")
    np.testing.assert_array_equal(masses.get_xdata(), [0, 1, 2, 4])
    np.testing.assert_allclose(masses.get_ydata(), [0.5, 0.6, 0.5, 9e-3], rtol=1e-15)
    np.testing.assert_array_equal(values.get_ydata(), [0.5, 0.2, 0.1, 1e-3])
    assert axes.get_xlabel() == "degree $k$"
    assert legend(axes) == ["mine", r"$N_k \lambda_k$", r"$\lambda_k$", r"$\lambda_k = 0$"]


def test_zeros_are_crosses_on_the_frame():
    axes = plot_spectrum(SPECTRUM)
    (crosses,) = lines(axes, "zeros")
    np.testing.assert_array_equal(crosses.get_xdata(), [3])
    assert crosses.get_transform() == axes.get_xaxis_transform()
    assert not lines(plot_spectrum(Spectrum([1.0, 0.5], [1, 3])), "zeros")


def test_tail_law_is_drawn_for_large_degrees():
    k = np.arange(101)
    counts = 2.0 * k + 1
    spectrum = Spectrum((1.0 + k) ** -3, counts, dim=3)
    axes = plot_spectrum(spectrum, law=lambda k: k**-3.0)
    masses, values = lines(axes, "law")
    places = values.get_xdata()
    assert (places[0], places[-1]) == (10, 100)
    np.testing.assert_allclose(values.get_ydata(), places**-3.0)
    np.testing.assert_allclose(masses.get_ydata(), (2 * places + 1) * places**-3.0)
    assert "tail law" in legend(axes)
    assert not lines(axes, "masses")[0].get_marker()  # too many for dots


def test_single_eigenvalues_are_counted_from_one_and_drawn_once():
    axes = plot_spectrum(power_law_spectrum(2, 50))
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    (line,) = axes.lines
    slope = np.diff(np.log(line.get_ydata())) / np.diff(np.log(line.get_xdata()))
    np.testing.assert_allclose(slope, -2, rtol=1e-12)
    assert axes.get_xlabel() == "eigenvalue $i$"
    assert axes.get_legend() is None


def test_several_spectra_share_axes_and_differ_in_colour():
    _, (left, right) = plt.subplots(1, 2)
    spectra = {"a": SPECTRUM, "b": Spectrum([1.0, 0.1], [1, 2])}
    assert plot_spectra(spectra, right, laws={"a": lambda k: 1 / k}) is right
    assert not left.lines
    first, second = lines(right, "masses")
    assert first.get_color() != second.get_color()
    assert first.get_color() == lines(right, "eigenvalues")[0].get_color()
    assert legend(right)[:2] == ["a", "b"]
    plot_spectrum(SPECTRUM, right, label="c")
    assert len({line.get_color() for line in lines(right, "masses")}) == 3


def test_what_underflows_is_left_out_but_no_zero():
    jump = plot_spectrum(Spectrum([1.0, 5e-324], [1, 10**9]), color="red", marker="s")
    assert not lines(jump, "zeros")
    (masses,) = lines(jump, "masses")
    assert (masses.get_color(), masses.get_marker()) == ("red", "s")


def test_drawing_leaves_the_settings_alone():
    before = dict(plt.rcParams)
    plot_spectrum(SPECTRUM).figure.canvas.draw()
    assert dict(plt.rcParams) == before


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plot_spectra({}), "spectra must name at least one"),
        (lambda: plot_spectra({"a": SPECTRUM}, laws={"b": abs}), "every law one of them"),
        (lambda: plot_spectrum(Spectrum([0.0], [1])), "must have positive eigenvalues"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
