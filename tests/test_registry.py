"""Every formula that the package states is the result of a derivation that can be verified."""

import functools
import importlib
import pkgutil
import types
from collections.abc import Iterable

import pytest
import sympy

import kerneltheory
from kerneltheory import cli, registry
from kerneltheory.activations.catalogue import CATALOGUE, erf, relu
from kerneltheory.activations.derive import derive_dual
from kerneltheory.activations.derive_coefficients import N
from kerneltheory.activations.duals import RHO, covariance_dual, dual, dual_class
from kerneltheory.activations.gaussian import K12, Q1, Q2
from kerneltheory.activations.hermite import hermite_coefficients
from kerneltheory.activations.series import HermiteSeries
from kerneltheory.core import normal
from kerneltheory.core.derivation import Derivation, Identity, Step
from kerneltheory.core.formula import Formula
from kerneltheory.registry import stated_derivations


@functools.cache
def stated_results() -> tuple[Formula | HermiteSeries, ...]:
    return tuple(make().result for make in stated_derivations())


def modules() -> Iterable[types.ModuleType]:
    for found in pkgutil.walk_packages(kerneltheory.__path__, "kerneltheory."):
        if not found.name.endswith("__main__"):
            yield importlib.import_module(found.name)


def formulas_in(value: object) -> Iterable[Formula]:
    """Return a Formula, or those in a container; functions make formulas, they hold none."""
    if isinstance(value, Formula):
        yield value
    elif isinstance(value, dict):
        yield from formulas_in(tuple(value.values()))
    elif isinstance(value, list | tuple | set | frozenset):
        for item in value:
            yield from formulas_in(item)


def unstated(searched: Iterable[types.ModuleType]) -> list[str]:
    """Name the formulas of modules that no stated derivation ends in."""
    return [
        f"{module.__name__}.{name}"
        for module in searched
        for name, value in vars(module).items()
        for formula in formulas_in(value)
        if formula not in stated_results()
    ]


def test_every_formula_of_a_module_is_derived():
    assert unstated(modules()) == []


def test_a_formula_without_a_derivation_is_found():
    fake = types.ModuleType("fake")
    fake.derived = covariance_dual(relu)
    assert unstated([fake]) == []
    fake.CLAIM = Formula("claim", (RHO,), RHO**2)
    fake.TABLE = {"wrong": (covariance_dual(erf), dual(erf))}
    assert unstated([fake]) == ["fake.CLAIM", "fake.TABLE"]


@pytest.mark.parametrize("phi", CATALOGUE, ids=lambda phi: phi.name)
def test_duals_of_the_catalogue_are_derived(phi):
    """T, T' and T'' are results of derivations, and the duals their values at q = 1."""
    for order in range(3):
        result = covariance_dual(phi, order)
        assert result in stated_results()
        if isinstance(result, HermiteSeries):
            assert dual(phi, order) == HermiteSeries(phi, order, unit=True)
        else:
            assert dual(phi, order).rhs == result.rhs.subs({Q1: 1, Q2: 1, K12: RHO})


def test_closed_forms_of_hermite_coefficients_are_derived():
    closed = [phi for phi in CATALOGUE if dual_class(phi).name == "elementary"]
    stated = {result.name: result for result in stated_results()}
    for phi in closed:
        assert f"Hermite coefficients of {phi.name}" in stated
    assert stated["Hermite coefficients of erf"].rhs == hermite_coefficients(erf, N)


def test_every_rule_of_the_normal_distribution_is_derived():
    """Whatever class of `core.normal` states its derivatives, all of them are results."""
    arguments = sympy.symbols("h k rho", real=True)
    rules = [
        (function, index)
        for function in vars(normal).values()
        if isinstance(function, type) and "fdiff" in vars(function)
        for index in range(1, 1 + max(function.nargs))
    ]
    assert len(rules) == 10
    for function, index in rules:
        named = function(*arguments[: max(function.nargs)])
        assert named.fdiff(index) in [getattr(result, "rhs", None) for result in stated_results()]


def test_every_derivation_is_stated_once():
    results = stated_results()
    assert len({result.name for result in results}) == len(results)
    assert all(result.reference for result in results)


# --- the command that verifies them -----------------------------------------------------------


def planted() -> Derivation:
    claim = Formula("planted claim", (Q1,), 2 * Q1)
    statement = sympy.Eq(sympy.Symbol("T"), claim.rhs, evaluate=False)
    steps = (Step(statement, "definition"), Step(statement, "wishful", Identity(Q1, claim.rhs)))
    return Derivation(steps, claim)


def stating(*makers):
    return lambda: iter(makers)


RELU, ERF = functools.partial(derive_dual, relu), functools.partial(derive_dual, erf)


@pytest.mark.parametrize("processes", ["1", "2"])
def test_command_verifies_the_registry(monkeypatch, capsys, processes):
    monkeypatch.setattr(registry, "stated_derivations", stating(RELU, ERF))
    assert cli.main(["verify", "--digits", "8", "--processes", processes]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("certified to 8 digits, proved")
    assert "covariance dual of relu" in lines[0]
    assert "Price" in lines[0]
    assert lines[-1] == "every derivation holds"


def test_command_fails_where_one_derivation_is_false(monkeypatch, capsys):
    monkeypatch.setattr(registry, "stated_derivations", stating(RELU, planted, ERF))
    assert cli.main(["verify", "--digits", "8", "--processes", "1"]) == 1
    lines = capsys.readouterr().out.splitlines()
    false = [line for line in lines if line.startswith("FALSE:")]
    assert len(false) == 1
    assert "step 2 of planted claim is false (wishful): at q1 = " in false[0]
    assert "covariance dual of erf" in lines[-2]  # what comes after it is still verified
    assert lines[-1] == "1 false"
