"""What help() shows: every public name says what it does, takes and refuses, and shows it."""

import inspect
import re
from collections.abc import Iterator
from typing import Any

import pytest

import kerneltheory as kt
from kerneltheory.activations.activation import Activation
from kerneltheory.activations.series import HermiteSeries
from kerneltheory.core.derivation import Derivation, Verification
from kerneltheory.core.formula import Formula
from kerneltheory.depth.deep_sphere import DepthProfile
from kerneltheory.depth.deep_votes import Votes
from kerneltheory.depth.singular_kernel import SingularKernel
from kerneltheory.experiments.compare import Comparison
from kerneltheory.kernels.kernel import DotProductKernel, NetworkKernel
from kerneltheory.learning.curve import StandardErrors
from kerneltheory.spectra.certified import CertifiedSpectrum
from kerneltheory.spectra.decomposition import Decomposition
from kerneltheory.spectra.empirical import Measured
from kerneltheory.spectra.exact import EigenvalueFormula
from kerneltheory.spectra.expansion import DimensionSeries

FUNCTIONS = [name for name in kt.__all__ if inspect.isfunction(getattr(kt, name))]
CLASSES = [name for name in kt.__all__ if inspect.isclass(getattr(kt, name))]
CONSTANTS = [name for name in kt.__all__ if name not in {*FUNCTIONS, *CLASSES}]
# What functions return without being public names themselves. Of kernels the methods for users: the
# others are the recursion in the other arithmetics, which spectra and regression call.
RETURNED = (
    Activation, HermiteSeries, Derivation, Verification, Formula, DepthProfile, Votes,
    SingularKernel, Comparison, StandardErrors, CertifiedSpectrum, Decomposition, Measured,
    EigenvalueFormula, DimensionSeries,
)  # fmt: skip
OF_KERNELS = [
    (kind, name)
    for kind in (NetworkKernel, DotProductKernel)
    for name in ("gram", "compose", "correlation", "taylor_coefficients")
]


def parameters(function: Any) -> list[str]:
    """The names of what a caller gives."""
    return [name for name in inspect.signature(function).parameters if name not in ("self", "cls")]


def section(text: str, title: str) -> str:
    """The indented lines below a title of a docstring in Google style; empty without one."""
    found = re.search(rf"^{title}:\n((?:[ \t]+.*\n?|\n)*)", text, re.MULTILINE)
    return found[1] if found else ""


def undocumented(text: str, names: list[str]) -> list[str]:
    """Those of the names that neither the arguments nor the attributes explain."""
    told = section(text, "Args") + section(text, "Attributes")
    return [name for name in names if not re.search(rf"^ +(.*, )?{name}(, .*)?: ", told, re.M)]


def methods() -> Iterator[tuple[str, Any]]:
    """The public methods of the public classes and of the records that functions return."""
    for kind in [getattr(kt, name) for name in CLASSES] + list(RETURNED):
        for name, method in inspect.getmembers(kind, inspect.isfunction):
            if not name.startswith("_") and method.__module__.startswith("kerneltheory"):
                yield f"{kind.__name__}.{name}", method
    for kind, name in OF_KERNELS:
        yield f"{kind.__name__}.{name}", getattr(kind, name)


METHODS = dict(methods())


def test_sections_are_found():
    text = "F.\n\nArgs:\n    a: one\n        more.\n    b, c: two.\n\nRaises:\n    E: if.\n"
    assert undocumented(text, ["a", "b", "c", "d"]) == ["d"]
    assert section(text, "Raises").strip() == "E: if."
    assert section(text, "Examples") == ""


@pytest.mark.parametrize("name", FUNCTIONS + CLASSES)
def test_public_name_begins_with_a_sentence_and_has_an_example(name):
    text = inspect.getdoc(getattr(kt, name)) or ""
    first = text.split("\n\n")[0]
    assert re.fullmatch(r".+[.:]", first.replace("\n", " ")), first
    assert ">>> " in section(text, "Examples")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function_explains_every_argument_and_what_it_refuses(name):
    function = getattr(kt, name)
    text = inspect.getdoc(function) or ""
    assert not undocumented(text, parameters(function))
    assert section(text, "Raises").strip()


@pytest.mark.parametrize("name", CLASSES)
def test_class_explains_every_field(name):
    kind = getattr(kt, name)
    text = inspect.getdoc(kind) or ""
    names = [] if issubclass(kind, Exception) else parameters(kind)
    # Fields may also be explained one by one in words, as quantities of a list.
    assert all(f"`{field}`" in text for field in undocumented(text, names))


@pytest.mark.parametrize("name", METHODS)
def test_method_is_documented_with_its_arguments(name):
    text = inspect.getdoc(METHODS[name]) or ""
    assert text.strip()
    assert not undocumented(text, parameters(METHODS[name]))


@pytest.mark.parametrize("name", CONSTANTS)
def test_constant_says_what_it_is(name):
    constant = getattr(kt, name)
    assert constant.__doc__.startswith(f"The activation {name}: x -> ")
    assert constant.reference in constant.__doc__
