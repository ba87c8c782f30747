"""Wrong steps planted in true derivations: each is named, with what refutes it.

A derivation can lie in what it shows, in what it verifies, and in how it verifies it. One part of
a true derivation is replaced at a time; the rest, the result included, stays true.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import sympy
from flint import arb, ctx

from kerneltheory.activations import certificate, expectation, series
from kerneltheory.activations.activation import Activation, X
from kerneltheory.activations.catalogue import CATALOGUE, erf, gelu, relu
from kerneltheory.activations.certificate import (
    DistributionalDerivative,
    HermiteCertificate,
    expected_product,
    times_power,
)
from kerneltheory.activations.derive import RepeatedIntegral, derive_dual
from kerneltheory.activations.duals import covariance_dual, dual_class
from kerneltheory.activations.gaussian import K12, Q1, Q2, mean
from kerneltheory.activations.hermite import certified_hermite_coefficients, hermite_coefficients
from kerneltheory.activations.terms import Terms, elementary_terms
from kerneltheory.core.derivation import Derivation, Identity, Step
from kerneltheory.core.errors import DerivationError
from kerneltheory.core.prove import is_half_power

RELU_ERF = Activation("relu + erf", sympy.Max(0, X) + sympy.erf(X))
RELU_STEP = Activation("relu + step", sympy.Max(0, X) + sympy.Heaviside(X))
POINT = r"at q1 = \S+, q2 = \S+, k12 = \S+, the formula gives"
# Computer algebra refutes at values of the symbols in alphabetical order.
ALGEBRA = r"at (k12 = \S+, )?q1 = \S+, q2 = \S+, .* not equal to"
DEGREE = r"at n = \d, E\[he_n\(z\) f\(z\)\] for f = .* is"


def numbered(derivation: Derivation, reason: str, which: int = 0) -> int:
    """Index of a step, by its reason."""
    return [i for i, step in enumerate(derivation.steps) if step.reason.startswith(reason)][which]


def planted(derivation: Derivation, index: int, **changes: Any) -> Derivation:
    """The derivation with one step changed."""
    steps = list(derivation.steps)
    steps[index] = dataclasses.replace(steps[index], **changes)
    return dataclasses.replace(derivation, steps=tuple(steps))


def restated(step: Step, change: Callable[[Any], Any]) -> Any:
    """The step's equation with another right-hand side."""
    assert isinstance(step.statement, sympy.Eq)
    return sympy.Eq(step.statement.lhs, change(step.statement.rhs), evaluate=False)


def wrong_display(phi: Activation, reason: str, change: Callable[[Any], Any], which: int = 0):
    """Change what is shown and leave the evidence."""
    derivation = derive_dual(phi)
    index = numbered(derivation, reason, which)
    step = derivation.steps[index]
    return planted(derivation, index, statement=restated(step, change)), index


def wrong_integral(phi: Activation, change: Callable[[Any], Any], reason: str = "Gaussian"):
    """Change a formula that a Hermite series certifies, shown and verified alike."""
    derivation = derive_dual(phi)
    index = numbered(derivation, reason)
    step = derivation.steps[index]
    assert isinstance(step.evidence, HermiteCertificate)
    formula = dataclasses.replace(
        step.evidence.formula, rhs=change(covariance_dual(phi, step.evidence.derivative).rhs)
    )
    evidence = dataclasses.replace(step.evidence, formula=formula)
    statement = restated(step, lambda _: formula.rhs)
    return planted(derivation, index, statement=statement, evidence=evidence), index


def wrong_derivative(phi: Activation, change: Callable[[Terms], Terms]):
    """Change phi^(m) in Price's step, shown and verified alike."""
    derivation = derive_dual(phi)
    index = numbered(derivation, "Price")
    evidence = derivation.steps[index].evidence
    assert isinstance(evidence, DistributionalDerivative)
    evidence = dataclasses.replace(evidence, terms=change(evidence.terms))
    statement = restated(
        derivation.steps[index], lambda _: expected_product(evidence.terms.expression)
    )
    return planted(derivation, index, statement=statement, evidence=evidence), index


def wrong_boundary(phi: Activation, order: int, change: Callable[[Any], Any]):
    """Change E[phi^(j)(u)] E[phi^(j)(v)], shown and verified alike."""
    derivation = derive_dual(phi)
    index = numbered(derivation, "u and v are independent", order)
    evidence = derivation.steps[index].evidence
    assert isinstance(evidence, Identity)
    wrong = Identity(evidence.left, change(evidence.right))
    statement = restated(derivation.steps[index], change)
    return planted(derivation, index, statement=statement, evidence=wrong), index


def wrong_cauchy(phi: Activation, **changes: Callable[[Any], Any]):
    """Change a part of Cauchy's formula; what is shown follows its right-hand side."""
    derivation = derive_dual(phi)
    index = numbered(derivation, "Cauchy")
    evidence = derivation.steps[index].evidence
    assert isinstance(evidence, RepeatedIntegral)
    parts = {name: change(getattr(evidence, name)) for name, change in changes.items()}
    evidence = dataclasses.replace(evidence, **parts)
    statement = restated(derivation.steps[index], lambda _: evidence.rhs)
    return planted(derivation, index, statement=statement, evidence=evidence), index


def without_singular(terms: Terms) -> Terms:
    return dataclasses.replace(terms, singular=())


def without_first(terms: Terms) -> Terms:
    return dataclasses.replace(terms, smooth=terms.smooth[1:])


def doubled(terms: Terms) -> Terms:
    smooth = tuple(dataclasses.replace(t, coefficient=2 * t.coefficient) for t in terms.smooth)
    return Terms(smooth, tuple((order, 2 * c) for order, c in terms.singular))


def taylor(phi: Activation, count: int) -> Callable[[Any], Any]:
    """The first terms of the series in k12, which are those of the Hermite series."""
    return lambda rhs: sympy.Add(
        *(
            covariance_dual(phi, n).rhs.subs(K12, 0) * K12**n / sympy.factorial(n)
            for n in range(count)
        )
    )


def with_radicand(change: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Change what is under a root."""
    return lambda rhs: rhs.replace(is_half_power, lambda node: change(node.base) ** node.exp)


PLANTED: dict[str, tuple[Callable[[], tuple[Derivation, int]], str]] = {
    "dropped factor 1/(2 pi) of a Gaussian integral": (
        lambda: wrong_integral(relu, lambda rhs: 2 * sympy.pi * rhs),
        POINT,
    ),
    "sign of a Gaussian integral": (lambda: wrong_integral(erf, lambda rhs: -rhs), POINT),
    "radicand with a wrong coefficient": (
        lambda: wrong_integral(erf, lambda rhs: rhs.subs(K12, K12 / 2)),
        POINT,
    ),
    "radicand with the opposite sign": (
        lambda: wrong_integral(erf, with_radicand(lambda radicand: -radicand)),
        r"at q1 = \S+, q2 = \S+, k12 = \S+ the formula is not a real number",
    ),
    "radicand without the product of the variances": (
        lambda: wrong_integral(erf, with_radicand(lambda radicand: radicand - 4 * Q1 * Q2)),
        POINT,
    ),
    "shown factor of a Gaussian integral": (
        lambda: wrong_display(gelu, "Gaussian", lambda rhs: rhs / 2),
        ALGEBRA,
    ),
    "derivative of phi with a lost factor": (lambda: wrong_derivative(gelu, doubled), DEGREE),
    "derivative of phi with a lost smooth term": (
        lambda: wrong_derivative(gelu, without_first),
        DEGREE,
    ),
    "derivative of phi without its delta": (
        lambda: wrong_derivative(RELU_ERF, without_singular),
        DEGREE,
    ),
    "derivative of phi without the derivative of a delta": (
        lambda: wrong_derivative(
            RELU_STEP, lambda terms: dataclasses.replace(terms, singular=terms.singular[:1])
        ),
        "at n = 1, ",
    ),
    "sign of the derivative of a delta": (
        lambda: wrong_derivative(
            RELU_STEP,
            lambda terms: dataclasses.replace(
                terms, singular=tuple((order, (-1) ** order * c) for order, c in terms.singular)
            ),
        ),
        "at n = 1, ",
    ),
    "derivative of phi of another order": (
        lambda: wrong_derivative(erf, Terms.differentiate),
        DEGREE,
    ),
    "shown derivative of phi": (
        lambda: wrong_display(relu, "Price", lambda rhs: 4 * rhs),
        r"4\*E\[DiracDelta\(u\)\*DiracDelta\(v\)\] is stated and E\[DiracDelta",
    ),
    "boundary constant": (
        lambda: wrong_boundary(relu, 1, lambda value: value * 2),
        "at any point, 1/4 is not equal to 1/2",
    ),
    "boundary value without a root": (
        lambda: wrong_boundary(relu, 0, lambda value: value.subs(Q2, Q2**2)),
        ALGEBRA,
    ),
    "shown boundary value": (
        lambda: wrong_display(relu, "u and v", lambda value: 2 * value),
        ALGEBRA,
    ),
    "c_0 in Cauchy's formula": (
        lambda: wrong_cauchy(relu, rhs=lambda rhs: rhs + sympy.sqrt(Q1 * Q2) / (2 * sympy.pi)),
        ALGEBRA,
    ),
    "c_1 in Cauchy's formula": (
        lambda: wrong_cauchy(relu, rhs=lambda rhs: rhs + K12 / 4),
        "1/2 is not equal to 1/4",
    ),
    "factorial of c_2 in Cauchy's formula": (
        lambda: wrong_cauchy(CATALOGUE[6], rhs=lambda rhs: rhs + K12**2 / 2),
        "not equal to",
    ),
    "weight (k - s)^(m-1)/(m-1)! without its factorial": (
        lambda: wrong_cauchy(CATALOGUE[6], rhs=lambda rhs: 2 * rhs - taylor(CATALOGUE[6], 3)(rhs)),
        ALGEBRA,
    ),
    "integrand of Cauchy's formula": (
        lambda: wrong_cauchy(erf, integrand=lambda value: value * Q1),
        ALGEBRA,
    ),
    "shown result": (
        lambda: wrong_display(erf, "Cauchy", lambda rhs: rhs.subs(K12, K12 / 2)),
        ALGEBRA,
    ),
    "truncated series as a closed form": (
        lambda: wrong_integral(erf, taylor(erf, 6), "Hermite"),
        POINT,
    ),
    "truncated series shown beside a certificate of the closed form": (
        lambda: wrong_display(erf, "Hermite", taylor(erf, 6)),
        ALGEBRA,
    ),
}


def test_there_are_at_least_twelve():
    assert len(PLANTED) >= 12


@pytest.mark.parametrize("name", PLANTED)
def test_planted_step_is_named_with_what_refutes_it(name):
    make, refutation = PLANTED[name]
    derivation, index = make()
    with pytest.raises(DerivationError, match=refutation) as caught:
        derivation.verify(digits=8)
    assert str(caught.value).startswith(f"step {index + 1} of covariance dual of ")


@pytest.mark.parametrize("phi", [relu, erf, gelu, RELU_ERF, RELU_STEP], ids=str)
def test_without_a_plant_they_hold(phi):
    assert derive_dual(phi).verify(digits=8).statuses[1] == "certified to 8 digits"


# --- certificates that are none ---------------------------------------------------------------


def fresh(phi: Activation, name: str) -> Activation:
    """The same function under another name, which no cache has seen."""
    return dataclasses.replace(phi, name=f"{phi.name} with {name}")


def cut_without_bound(monkeypatch, cut: int) -> None:
    monkeypatch.setattr(expectation, "_cut", lambda digits: arb(cut))
    monkeypatch.setattr(expectation, "_tail", lambda *args, **options: arb(0))


# relu is x/2 + |x|/2: its coefficients of these degrees are zero.
ODD = range(3, 64, 2)


def test_coefficients_that_vanish_are_enclosed():
    coefficients, _ = certified_hermite_coefficients(relu, sympy.Integer(1), 64, 30)
    assert all(coefficients[n].contains(0) for n in ODD)


def test_cut_at_fourteen_without_a_bound_is_no_certificate(monkeypatch):
    cut_without_bound(monkeypatch, 14)
    phi = fresh(relu, "a cut at 14")
    coefficients, _ = certified_hermite_coefficients(phi, sympy.Integer(1), 64, 30)
    # Balls that look like certificates, of numbers that are not the coefficients: at high degrees
    # they are off by far more than the accuracy that was asked for.
    assert all(coefficients[n].rad() < 1e-30 for n in ODD)
    wrong = [coefficients[n] for n in ODD if not coefficients[n].contains(0)]
    assert len(wrong) > len(ODD) // 2
    assert max(ball.abs_lower() for ball in wrong) > 1e-25
    with pytest.raises(DerivationError, match=r"^step 2 of .*Price.*: at n = \d, "):
        derive_dual(phi).verify(30)


def test_early_cut_without_a_bound_is_caught_by_every_derivation(monkeypatch):
    cut_without_bound(monkeypatch, 5)
    with pytest.raises(DerivationError, match=r"^step 2 of .*Price.*: at n = 0, "):
        derive_dual(fresh(relu, "a cut at 5")).verify(8)


def test_early_cut_with_its_bound_claims_too_little_and_is_refused(monkeypatch):
    monkeypatch.setattr(expectation, "_cut", lambda digits: arb(5))
    with pytest.raises(DerivationError, match="at n = 0 the enclosures are too wide to certify 8"):
        derive_dual(fresh(relu, "an honest cut at 5")).verify(8)


@pytest.mark.parametrize(
    ("mass", "refutation"), [(False, POINT), (True, r"too wide to certify 8 digits")]
)
def test_truncated_series_needs_its_missing_mass(monkeypatch, mass, refutation):
    monkeypatch.setattr(certificate, "series_length", lambda digits: 8)
    if not mass:
        monkeypatch.setattr(series, "plus_minus", lambda radius: arb(0))
    with pytest.raises(DerivationError, match=rf"^step \d of .*{refutation}"):
        derive_dual(fresh(erf, f"a short series, {mass}")).verify(8)


# --- Stein's lemma -----------------------------------------------------------------------------


@pytest.mark.parametrize("order", range(4))
@pytest.mark.parametrize("power", range(5))
def test_powers_times_derivatives_of_the_delta(order, power):
    """E[z^k delta^(j)(z)] = (-1)^j (z^k p(z))^(j) at 0, with the Gaussian density p."""
    z = sympy.Symbol("z", real=True)
    density = sympy.exp(-(z**2) / 2) / sympy.sqrt(2 * sympy.pi)
    expected = (-1) ** order * sympy.diff(z**power * density, z, order).subs(z, 0)
    delta = Terms((), ((order, sympy.Integer(1)),))
    found = mean(times_power(delta, power), sympy.Integer(1))
    assert sympy.simplify(found - expected) == 0


ELEMENTARY = [phi for phi in CATALOGUE if dual_class(phi).name == "elementary"]


@pytest.mark.parametrize("phi", ELEMENTARY, ids=lambda phi: phi.name)
def test_every_derivative_obeys_stein(phi):
    terms = elementary_terms(phi)
    for order in range(3):
        evidence = DistributionalDerivative(phi, terms, order)
        assert evidence.verify(10) == "certified to 10 digits"
        terms = terms.differentiate()


def test_exact_coefficients_are_in_the_balls():
    exact = hermite_coefficients(RELU_STEP, 6)
    balls, _ = certified_hermite_coefficients(RELU_STEP, sympy.Integer(1), 6, 20)
    with ctx.workdps(30):
        for value, ball in zip(exact, balls, strict=True):
            assert abs(ball - arb(str(sympy.N(value, 28)))).abs_upper() < 1e-19
