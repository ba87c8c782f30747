"""What print and Jupyter show of a record: short, with its parameters, and well-formed."""

import functools
from html.parser import HTMLParser

import numpy as np
import pytest
import sympy

import kerneltheory as kt

RELU = kt.nngp(kt.relu, 1, weight_variance=2)
X = np.random.default_rng(0).standard_normal((30, 3))


@functools.cache
def model():
    return kt.KernelRidge(RELU, 0.1).fit(X, X[:, 0])


RECORDS = {
    "activation": lambda: kt.leaky_relu(0.1),
    "dual": lambda: kt.dual(kt.relu),
    "series": lambda: kt.dual(kt.tanh),
    "verification": lambda: kt.derive_dual(kt.relu).verify(5),
    "kernel": lambda: kt.ntk(kt.leaky_relu(0.1), 3, weight_variance=0.3),
    "eigenvalue": lambda: kt.eigenvalue(RELU, 2, 20),
    "spectrum": lambda: kt.spectrum(RELU, 5, 12),
    "certified": lambda: kt.certified_spectrum(RELU, 5, 4),
    "target": lambda: kt.power_law_target(2, 1000),
    "measured": lambda: kt.empirical_spectrum(RELU, X, X[:, 0]),
    "decomposition": lambda: kt.decompose(X[:, 0], X, 3),
    "tail law": lambda: kt.tail_law(kt.ntk(kt.relu, 4, weight_variance=2), 8),
    "phase": lambda: kt.phase(kt.relu, 2),
    "diagram": lambda: kt.phase_diagram(kt.relu, [1.0, 3.0], [0.0]),
    "critical line": lambda: kt.critical_line(kt.erf, np.linspace(0.1, 3, 50)),
    "critical point": lambda: kt.critical_point(kt.relu),
    "universality": lambda: kt.universality_table([kt.relu]),
    "finite width": lambda: kt.finite_width(kt.relu, 99, 50, weight_variance=2, variance=1),
    "classifier": lambda: kt.classifier_limit(kt.erf),
    "curve": lambda: kt.LearningCurve(n=np.arange(1, 60), test_error=1 / np.arange(1, 60)),
    "exponents": lambda: kt.ScalingExponents(2.0, 3.0),
    "path": lambda: model().ridge_path([0.1, 1.0]),
    "model": model,
}


@functools.cache
def record_of(name):
    return RECORDS[name]()


class Balance(HTMLParser):
    """The tags that are open, and those that close what is not."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


@pytest.mark.parametrize("name", RECORDS)
def test_text_is_short(name):
    lines = str(record_of(name)).splitlines()
    assert 1 <= len(lines) <= 20
    assert max(map(len, lines)) <= 200
    # No address of an object, no fraction that stands for a float.
    assert " at 0x" not in str(record_of(name))
    assert "3602879701896397" not in str(record_of(name))


@pytest.mark.parametrize("name", RECORDS)
def test_html_is_well_formed_and_latex_is_short(name):
    record = record_of(name)
    if hasattr(record, "_repr_html_"):
        parser = Balance()
        parser.feed(record._repr_html_())
        assert not parser.open
        assert not parser.wrong
    if hasattr(record, "_repr_latex_"):
        assert len(record._repr_latex_()) < 1000


def test_numbers_that_are_no_arguments_are_in_the_name():
    k, d = sympy.symbols("k d")
    assert str(kt.eigenvalue(RELU, 2, 3)) == f"eigenvalue of {RELU} at degree 2, dim 3 = 3/64"
    assert str(kt.eigenvalue(RELU, 3, d)) == f"eigenvalue of {RELU} at degree 3(d) = 0"
    assert str(kt.eigenvalue(RELU, k, d)).startswith(f"eigenvalue of {RELU}(k, d) = ")


def test_long_constants_are_shown_by_their_leading_digits():
    law = record_of("tail law")
    value = sympy.N(law.odd_constant, 30)
    shown = str(law).splitlines()[1].split(", ")[1].split(" ")[0]
    assert abs(sympy.Float(shown, 30) / value - 1) < sympy.Float("1e-14")
    # Short ones stay exact: l (l + 1) sqrt(2)/pi at depth l.
    assert "c_plus = -20*sqrt(2)/pi" in str(law)


def test_help_of_a_constant_is_about_the_constant():
    assert "Max(0, x)" in kt.relu.__doc__
    assert kt.leaky_relu(-0.1).__doc__.startswith("The activation leaky_relu(-0.1): x -> -0.1*x")
