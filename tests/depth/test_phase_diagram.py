"""Phase diagrams: against certified phases at single points, limits, and bad input."""

import matplotlib as mpl
import numpy as np
import pytest
import sympy

import kerneltheory as kt

NAMES = ("q_star", "c_star", "chi_1", "chi_c")


def _assert_certified(phi, diagram, places):
    """Single points by balls; errors of correlations are amplified by the edge of chaos."""
    for i, j in places:
        w, b = float(diagram.weight_variances[i]), float(diagram.bias_variances[j])
        exact = kt.phase(phi, w, b, input_variance=diagram.input_variance)
        error = diagram.relative_error[i, j]
        assert abs(diagram.q_star[i, j] - exact.q_star) <= error * exact.q_star
        allowed = (10 * error + 1e-13) * (1 + 1 / max(abs(1 - exact.chi_1), 1e-16))
        for name in NAMES[1:]:
            value = getattr(exact, name)
            if np.isfinite(value):
                assert abs(getattr(diagram, name)[i, j] - value) <= allowed, name


@pytest.fixture(scope="module")
def of_tanh():
    return kt.phase_diagram(kt.tanh, np.linspace(0.5, 4, 15), np.linspace(0, 0.5, 6))


def test_tanh_agrees_with_certified_phases(of_tanh):
    _assert_certified(kt.tanh, of_tanh, [(0, 0), (9, 0), (2, 3), (14, 2)])
    assert (of_tanh.c_star[of_tanh.ordered] == 1).all()
    assert (of_tanh.c_star[of_tanh.chaotic] < 1).all()


def test_the_boundary_separates_the_phases(of_tanh):
    """At each bias the critical weight variance lies between the last ordered and first chaotic."""
    line = of_tanh.boundary
    for j, b in enumerate(of_tanh.bias_variances[1:], start=1):
        critical = np.interp(b, line.bias_variances, line.weight_variances)
        w = of_tanh.weight_variances
        assert (of_tanh.ordered[:, j] == (w < critical)).all()
        assert (of_tanh.chaotic[:, j] == (w > critical)).all()


def test_nothing_is_nan(of_tanh):
    for diagram in (
        of_tanh,
        kt.phase_diagram(kt.exp, [0.05, 0.1, 1.0], [0.0, 0.01]),
        kt.phase_diagram(kt.relu, [1.0, 2.0, 3.0], [0.0, 1.0]),
    ):
        data = diagram.to_xarray()
        assert not any(bool(data[name].isnull().any()) for name in data.data_vars)


def test_relu_diverges_above_two():
    diagram = kt.phase_diagram(kt.relu, [1.0, 2.0, 3.0], [0.0, 1.0], input_variance=2.0)
    np.testing.assert_array_equal(diagram.q_star, [[0, 2], [4, np.inf], [np.inf, np.inf]])
    np.testing.assert_array_equal(diagram.chi_1, [[0.5, 0.5], [1, 1], [1.5, 1.5]])
    np.testing.assert_array_equal(diagram.diverges, np.isinf(diagram.q_star))
    assert diagram.xi_1[1, 0] == np.inf


def test_several_fixed_variances_are_told():
    """q = w exp(2q) has two roots for w < 1/(2e) = 0.184, else none."""
    weights = np.array([0.05, 0.15, 0.18, 0.19, 0.5])
    for start, reached in ((1.0, True), (40.0, False)):
        diagram = kt.phase_diagram(kt.exp, weights, [0.0], input_variance=start)
        np.testing.assert_array_equal(diagram.fixed_points[:, 0], [2, 2, 2, 0, 0])
        assert (np.isfinite(diagram.q_star[:3, 0]) == reached).all() or not reached
        assert diagram.diverges[3:].all()
    assert "several" in repr(diagram)


def test_a_jump_is_chaotic_everywhere():
    diagram = kt.phase_diagram(kt.sign, [0.5, 2.0], [0.0, 0.25])
    assert diagram.chaotic.all()
    assert diagram.boundary is None
    np.testing.assert_allclose(diagram.chi_c[:, 0], 2 / np.pi, rtol=1e-13)
    _assert_certified(kt.sign, diagram, [(0, 1), (1, 1)])


def test_it_draws_and_converts(of_tanh):
    mpl.use("agg")
    axes = of_tanh.plot(depths=(3, 6, 12))
    assert any(line.get_gid() == "critical line" for line in axes.lines)
    assert {text.get_text() for text in axes.texts} >= {"ordered", "chaotic"}
    assert of_tanh.to_xarray()["xi_c"].dims == ("weight_variance", "bias_variance")
    with pytest.raises(ValueError, match="depths must ascend"):
        of_tanh.plot(depths=(6, 3))
    with pytest.raises(ValueError, match="two or more"):
        kt.phase_diagram(kt.relu, [1.0], [0.0, 1.0]).plot()


def test_bad_grids_are_named():
    with pytest.raises(ValueError, match="weight_variances must be positive"):
        kt.phase_diagram(kt.tanh, [0.0, 1.0], [0.0])
    with pytest.raises(ValueError, match="bias_variances must not be negative"):
        kt.phase_diagram(kt.tanh, [1.0], [-0.1])
    with pytest.raises(ValueError, match="weight_variances must have 1 dimensions"):
        kt.phase_diagram(kt.tanh, 1.0, [0.1])
    with pytest.raises(ValueError, match="bias_variances"):
        kt.phase_diagram(kt.tanh, [1.0], [])


@pytest.mark.slow
@pytest.mark.parametrize(
    "phi",
    ["cos", *(pytest.param(name, marks=pytest.mark.kin) for name in ("softplus", "hard_tanh"))],
)
def test_other_classes_agree_with_certified_phases(phi):
    phi = getattr(kt, phi)
    diagram = kt.phase_diagram(phi, [0.4, 1.2, 1.9], [0.125, 0.5])
    _assert_certified(phi, diagram, [(0, 0), (1, 1), (2, 0)])


def test_chi_1_of_a_wave_on_a_line_that_diverges():
    """E[phi'^2] = 1 + E[sin(2u)^2] = (3 - exp(-8q))/2 tends to 3/2, and E[phi^2]/q to 1."""
    x = sympy.Symbol("x")
    diagram = kt.phase_diagram(x + sympy.sin(x) ** 2, [1.5, 2.0], [0.1, 1.0])
    assert np.isinf(diagram.q_star).all()
    np.testing.assert_allclose(diagram.chi_1, [[2.25, 2.25], [3.0, 3.0]], rtol=1e-14)
