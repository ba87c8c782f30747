"""Dual activations: the literature's formulas, quadrature of the definition, and refuted errors."""

import dataclasses

import mpmath as mp
import numpy as np
import problems
import pytest
import sympy
from flint import arb, ctx
from scipy.special import erf as numeric_erf

from kerneltheory.activations import price
from kerneltheory.activations.activation import Activation, X, activation
from kerneltheory.activations.catalogue import erf, relu
from kerneltheory.activations.certificate import HermiteCertificate
from kerneltheory.activations.derive import derive_dual
from kerneltheory.activations.duals import RHO, covariance_dual, dual
from kerneltheory.activations.gaussian import K12, Q1, Q2
from kerneltheory.core.derivation import Derivation, Identity, Step
from kerneltheory.core.errors import DerivationError, LoweringError
from kerneltheory.core.formula import Formula
from kerneltheory.core.prove import is_zero

COVARIANCES = [(1, 1, 0.3), (0.5, 2.0, -0.9), (3.0, 0.25, 0.1), (1.0, 1.0, -0.99)]


def test_relu_dual_is_the_arc_cosine_kernel():
    # Cho and Saul (2009) with pi - acos(rho) = pi/2 + asin(rho).
    angle = sympy.pi / 2 + sympy.asin(RHO)
    assert is_zero(dual(relu).rhs - (sympy.sqrt(1 - RHO**2) + RHO * angle) / (2 * sympy.pi))
    assert is_zero(dual(relu, derivative=1).rhs - angle / (2 * sympy.pi))
    assert is_zero(dual(relu, derivative=2).rhs - 1 / (2 * sympy.pi * sympy.sqrt(1 - RHO**2)))


def test_erf_dual_is_that_of_williams():
    scale = sympy.sqrt((1 + 2 * Q1) * (1 + 2 * Q2))
    assert is_zero(covariance_dual(erf).rhs - 2 * sympy.asin(2 * K12 / scale) / sympy.pi)
    radicand = (1 + 2 * Q1) * (1 + 2 * Q2) - 4 * K12**2
    assert is_zero(covariance_dual(erf, 1).rhs - 4 / (sympy.pi * sympy.sqrt(radicand)))


@pytest.mark.parametrize("known", problems.KNOWN_DUALS, ids=lambda known: known.phi.name)
@pytest.mark.parametrize("covariance", COVARIANCES)
def test_general_covariance_is_that_of_the_literature(known, covariance):
    exact = [sympy.Rational(str(value)) for value in covariance]
    with mp.workdps(45), ctx.workdps(45):
        numbers = [mp.mpf(value.p) / value.q for value in exact]
        for order, truth in ((0, known.value(*numbers)), (1, known.slope(*numbers))):
            ball = covariance_dual(known.phi, order).certified(*exact, digits=35)
            assert abs(ball - arb(mp.nstr(truth, 42))).abs_upper() < 1e-34


NUMERIC = {
    problems.gelu: lambda x: x * (1 + numeric_erf(x / np.sqrt(2))) / 2,
    problems.absolute: np.abs,
    problems.sign: np.sign,
    problems.cubic: lambda x: x**3 - 2 * x,
    problems.relu_plus_erf: lambda x: np.maximum(x, 0) + numeric_erf(x),
    activation(sympy.Max(0, X) ** 2): lambda x: np.maximum(x, 0) ** 2,
    activation(sympy.exp(-(X**2)) * X**2): lambda x: x**2 * np.exp(-(x**2)),
    activation(sympy.erf(-2 * X) + 1): lambda x: 1 - numeric_erf(2 * x),
}


@pytest.mark.parametrize("phi", NUMERIC, ids=lambda phi: phi.name)
@pytest.mark.parametrize("covariance", COVARIANCES[:3])
def test_dual_is_the_expectation_that_defines_it(phi, covariance):
    truth, error = problems.gaussian_expectation(NUMERIC[phi], *covariance)
    # The change from a coarser rule bounds the error; sums of 29,000 terms round.
    assert float(covariance_dual(phi)(*covariance)) == pytest.approx(
        truth, abs=error + 1e-12 * max(1, abs(truth))
    )


@pytest.mark.parametrize("phi", [relu, erf, problems.gelu], ids=lambda phi: phi.name)
def test_dual_by_monte_carlo(phi, rng):
    q1, q2, k = 1.5, 0.75, -0.5
    sample = rng.multivariate_normal([0, 0], [[q1, k], [k, q2]], 100_000).T
    functions = {relu: lambda x: np.maximum(x, 0), erf: numeric_erf} | NUMERIC
    products = functions[phi](sample[0]) * functions[phi](sample[1])
    error = products.std() / np.sqrt(products.size)
    assert abs(products.mean() - float(covariance_dual(phi)(q1, q2, k))) < 4 * error


@pytest.mark.parametrize("phi", [relu, erf, problems.gelu, problems.relu_plus_erf], ids=str)
def test_derivatives_of_the_dual_are_duals_of_the_derivative(phi):
    # Price's theorem, with both sides made by the engine in different ways.
    ball = covariance_dual(phi).diff(K12).certified(1, 2, sympy.Rational(1, 2), digits=25)
    other = covariance_dual(phi, 1).certified(1, 2, sympy.Rational(1, 2), digits=25)
    assert (ball - other).abs_upper() < 1e-24


def test_polynomial_duals_are_isserlis_moments():
    # E u^3 v^3 = 9 k + 6 k^3 at unit variance; E u^2 v^2 = 1 + 2 k^2.
    assert sympy.expand(dual(X**3).rhs - 9 * RHO - 6 * RHO**3) == 0
    assert sympy.expand(covariance_dual(X**2).rhs - Q1 * Q2 - 2 * K12**2) == 0
    assert sympy.expand(covariance_dual(X**2, 3).rhs) == 0


def test_step_has_a_dual_whose_derivative_diverges_on_the_diagonal():
    assert is_zero(dual(problems.step).rhs - (sympy.pi / 2 + sympy.asin(RHO)) / (2 * sympy.pi))
    slope = dual(problems.step, derivative=1).rhs
    assert is_zero(slope - 1 / (2 * sympy.pi * sympy.sqrt(1 - RHO**2)))


def test_derivative_at_the_end_of_the_domain_is_exact():
    # jax differentiates sqrt(1 - rho^2) to NaN there; the exact derivative is E[phi'^2] = 1/2.
    assert float(dual(relu, derivative=1)(1.0)) == 0.5
    assert float(dual(relu, derivative=1)(-1.0)) == 0


# --- verification -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "phi",
    [relu, erf, problems.gelu, problems.absolute, problems.cubic, problems.relu_plus_erf],
    ids=lambda phi: phi.name,
)
def test_derivation_verifies(phi):
    statuses = derive_dual(phi).verify(digits=12).statuses
    assert statuses[0] == "definition"
    assert statuses[-1] == "certified to 12 digits"
    assert set(statuses) == {"definition", "proved", "certified to 12 digits"}


def test_derivation_of_relu_verifies_to_thirty_digits():
    assert derive_dual(relu).verify().statuses[-1] == "certified to 30 digits"


def certificate(phi: Activation, rhs: sympy.Expr, order: int = 0) -> Derivation:
    formula = Formula("planted", (Q1, Q2, K12), rhs)
    step = Step(
        sympy.Eq(K12, rhs, evaluate=False), "claim", HermiteCertificate(phi, formula, order)
    )
    return Derivation((step,), formula)


PLANTED = {
    "dropped factor": (relu, covariance_dual(relu).rhs / 2, 0),
    "sign": (erf, -covariance_dual(erf).rhs, 0),
    "boundary constant": (relu, covariance_dual(relu).rhs + sympy.Rational(1, 10**9), 0),
    "slope at zero": (relu, covariance_dual(relu).rhs + K12 / 10**9, 0),
    "derivative of another order": (erf, covariance_dual(erf, 2).rhs, 1),
    "unit variance only": (
        relu,
        covariance_dual(relu).rhs / sympy.sqrt(Q1 * Q2),
        0,
    ),
    "asymmetric in the variances": (
        erf,
        covariance_dual(erf).rhs.subs({Q1: Q1**2 / Q2}, simultaneous=True),
        0,
    ),
    "scale of erf": (erf, 2 * sympy.asin(K12 / sympy.sqrt((1 + Q1) * (1 + Q2))) / sympy.pi, 0),
}


@pytest.mark.parametrize("name", PLANTED)
def test_planted_formula_is_refuted_at_a_point(name):
    where = (
        r"step 1 of planted is false \(claim\): at q1 = .*, q2 = .*, k12 = .*, the formula gives"
    )
    with pytest.raises(DerivationError, match=where):
        certificate(*PLANTED[name]).verify(digits=12)


def fresh(phi: Activation, name: str) -> Activation:
    """The same function under another name, which no cache has seen."""
    return dataclasses.replace(phi, name=f"{phi.name} with {name}")


def test_engine_without_boundary_terms_is_caught(monkeypatch):
    monkeypatch.setattr(price, "mean", lambda terms, variance: sympy.Integer(0))
    with pytest.raises(DerivationError, match=r"step \d of covariance dual .* is false"):
        derive_dual(fresh(relu, "no boundary")).verify(10)


def test_engine_with_a_wrong_integral_is_caught_by_algebra_at_a_point(monkeypatch):
    right = price.repeated_integral

    def wrong(*arguments):
        powers, rest = right(*arguments)
        return powers, rest * (1 + K12)

    monkeypatch.setattr(price, "repeated_integral", wrong)
    phi = fresh(problems.absolute, "a wrong integral")
    derivation = derive_dual(phi)
    kept = tuple(s for s in derivation.steps if not isinstance(s.evidence, HermiteCertificate))
    without_series = dataclasses.replace(derivation, steps=kept)
    with pytest.raises(DerivationError, match=r"Cauchy.*: at k12 = .*, q1 = .*, q2 = .* not equal"):
        without_series.verify(10)


def test_engine_with_a_wrong_gaussian_integral_is_caught_by_the_series(monkeypatch):
    right = price.pair_expectation

    def wrong(terms):
        sums = right(terms)
        for radical in sums:
            radical.coefficients = {key: 2 * c for key, c in radical.coefficients.items()}
        return sums

    monkeypatch.setattr(price, "pair_expectation", wrong)
    with pytest.raises(DerivationError, match=r"step 3 .*Isserlis.*: at q1 = 1, q2 = 1, k12 ="):
        derive_dual(fresh(relu, "wrong pairs")).verify(10)


def test_wrong_boundary_value_is_refuted():
    steps = list(derive_dual(relu).steps)
    index = next(i for i, s in enumerate(steps) if isinstance(s.evidence, Identity))
    evidence = steps[index].evidence
    assert isinstance(evidence, Identity)
    wrong = Identity(evidence.left, 2 * evidence.right)
    steps[index] = dataclasses.replace(steps[index], evidence=wrong)
    with pytest.raises(DerivationError, match=rf"step {index + 1} .*independent.*: at q1 = "):
        Derivation(tuple(steps), covariance_dual(relu)).verify(10)


def test_points_are_in_the_domain_and_not_all_of_unit_variance():
    points = HermiteCertificate(relu, covariance_dual(relu)).points()
    assert any(q1 != 1 and q1 != q2 for q1, q2, _ in points)
    assert all(4 * k12**2 <= q1 * q2 for q1, q2, k12 in points)


def test_derivation_displays():
    text = str(derive_dual(relu))
    assert "Price's theorem" in text
    assert r"\delta\left(u\right)" in derive_dual(relu)._repr_latex_()


# --- what is refused --------------------------------------------------------------------------


@pytest.mark.parametrize("function", [dual, covariance_dual, derive_dual])
@pytest.mark.parametrize(
    ("phi", "error", "message"),
    [
        (sympy.besseli(0, X), DerivationError, r"its part besseli\(0, Abs\(x\)\) is none of"),
        (sympy.Function("f")(X), DerivationError, r"no bound is known of how f\(x\) grows"),
        (sympy.exp(X**2 / 2), DerivationError, "grows too fast"),
        (1 / X, DerivationError, "no bound is known of how 1/x grows"),
        (sympy.sqrt(X), ValueError, r"phi must be real .*, which is .* at x = -1/3"),
        (sympy.I * X, ValueError, r"phi must be real"),
        (sympy.sqrt(X + 4), ValueError, r"phi must be real .* at x = -100/3"),
        (
            sympy.Max(0, X**3 - 3 * X + 1),
            DerivationError,
            r"only \[\] were found",
        ),
        (sympy.Abs(X**5 - X - 1), DerivationError, "were found exactly"),
        (sympy.Max(0, sympy.sin(X)), DerivationError, "only the roots of polynomials"),
        (X * sympy.Symbol("a"), ValueError, r"phi must have exactly one free symbol, got \['a'"),
        (sympy.Integer(2), ValueError, r"phi must have exactly one free symbol, got \[\]"),
        ("relu", TypeError, "phi must be an Activation or a sympy expression .* got str"),
        (np.tanh, TypeError, "phi must be an Activation or a sympy expression"),
        (2.0, TypeError, "phi must be an Activation or a sympy expression"),
    ],
    ids=str,
)
def test_what_has_no_dual_is_refused(function, phi, error, message):
    with pytest.raises(error, match=message):
        function(phi)


def test_order_of_the_derivative_is_checked():
    with pytest.raises(ValueError, match="derivative must be an integer of at least 0"):
        dual(relu, derivative=-1)
    with pytest.raises(TypeError, match="derivative must be an integer"):
        covariance_dual(relu, derivative=0.5)


def test_symbol_of_the_caller_does_not_matter():
    u, v = sympy.symbols("u v")
    assert dual(sympy.erf(u)).rhs == dual(sympy.erf(v)).rhs == dual(erf).rhs


def test_numeric_forms_are_known_to_every_dual():
    for phi in (relu, erf, problems.gelu, problems.relu_plus_erf):
        try:
            covariance_dual(phi)(1.0, 1.0, 0.5)
        except LoweringError as error:  # pragma: no cover
            pytest.fail(str(error))


def test_activation_record():
    assert activation(relu) is relu
    assert [phi.parity for phi in (relu, erf, problems.absolute, problems.cubic)] == [0, -1, 1, -1]
    assert str(activation(X**2, name="square")) == "square: x -> x**2"
    assert "erf" in erf._repr_latex_()
