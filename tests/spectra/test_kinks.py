"""Functions of the cosine with kinks and jumps: quadrature, Parseval, proofs, zeros, refusals."""

import dataclasses

import mpmath as mp
import numpy as np
import pytest
import sympy
from flint import acb, arb, ctx

from kerneltheory.activations.catalogue import rectified_monomial, relu, step
from kerneltheory.core.errors import DerivationError, KernelTheoryError, PrecisionError
from kerneltheory.kernels.kernel import dot_product_kernel, nngp
from kerneltheory.learning.equivalent import learning_curve
from kerneltheory.spectra.closed_forms import RectifiedPower
from kerneltheory.spectra.derive_exact import LinearCombination, derive_eigenvalue
from kerneltheory.spectra.domains import certified_spectrum, spectrum
from kerneltheory.spectra.enclosure import BY_PIECES, sphere_levels
from kerneltheory.spectra.exact import eigenvalue
from kerneltheory.spectra.spectrum import Target
from kerneltheory.spectra.tail_law import tail_law

t = sympy.Symbol("t", real=True)
k, d = sympy.symbols("k d")
R = sympy.Rational
H = sympy.Heaviside

# With a function of one mpf; (1/2) at a jump does not matter.
CLOSED = {
    "t_+^0": (H(t), lambda x: mp.mpf(x > 0)),
    "t_+": (sympy.Max(t, 0), lambda x: max(x, mp.mpf(0))),
    "t_+^2": (sympy.Max(t, 0) ** 2, lambda x: max(x, mp.mpf(0)) ** 2),
    "t_+^(1/2)": (sympy.sqrt(t) * H(t), lambda x: mp.sqrt(max(x, mp.mpf(0)))),
    "t_+^(7/3)": (sympy.Max(t, 0) ** R(7, 3), lambda x: max(x, mp.mpf(0)) ** (mp.mpf(7) / 3)),
    "t t_+": (t * sympy.Max(t, 0), lambda x: x * max(x, mp.mpf(0))),
    "|t|^3": (sympy.Abs(t) ** 3, lambda x: abs(x) ** 3),
    "sign": (sympy.sign(t), mp.sign),
    "t^2 H - H + t": (t**2 * H(t) - H(t) + t, lambda x: (x * x - 1) * (x > 0) + x),
    "exp + t_+": (sympy.exp(t) + sympy.Max(t, 0), lambda x: mp.exp(x) + max(x, mp.mpf(0))),
}
WITH_KIN = [
    pytest.param(name, marks=pytest.mark.kin if place % 2 else ())
    for place, name in enumerate(CLOSED)
]
PIECEWISE = {
    "(t - 1/2)_+": (sympy.Max(t - R(1, 2), 0), lambda x: max(x - mp.mpf(1) / 2, mp.mpf(0)), [0.5]),
    "t_+ exp": (sympy.Max(t, 0) * sympy.exp(t), lambda x: max(x, mp.mpf(0)) * mp.exp(x), [0]),
    "two breaks": (
        sympy.Max(-R(1, 4), sympy.Min(R(1, 2), t)),
        lambda x: max(-mp.mpf(1) / 4, min(mp.mpf(1) / 2, x)),
        [-0.25, 0.5],
    ),
    "cases": (
        sympy.Piecewise((t**2, t < -R(1, 4)), (2 + t, True)),
        lambda x: x * x if x < -mp.mpf(1) / 4 else 2 + x,
        [-0.25],
    ),
}


def by_quadrature(h, dim, degree, breaks=(0,)):
    """The integral of Funk and Hecke over [-1, 1] in the angle, cut at the breaks."""
    with mp.workdps(30):
        half = mp.mpf(dim) / 2
        constant = mp.gamma(half) / (mp.sqrt(mp.pi) * mp.gamma(half - mp.mpf(1) / 2))

        def integrand(angle):
            x = mp.cos(angle)
            if dim == 2:
                return h(x) * mp.cos(degree * angle)
            scale = mp.gegenbauer(degree, half - 1, 1)
            return h(x) * mp.gegenbauer(degree, half - 1, x) / scale * mp.sin(angle) ** (dim - 2)

        ends = [mp.mpf(0), *(mp.acos(b) for b in sorted(breaks, reverse=True)), mp.pi]
        return constant * mp.quad(integrand, ends)


def holds(ball, value):
    """Whether the ball is within 1e-15 of the quadrature, relative or absolute."""
    return abs(mp.mpf(ball.mid().str(25, radius=False)) - value) < 1e-15 * (1 + abs(value))


# --- numbers ----------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", WITH_KIN)
def test_closed_forms_against_quadrature(name):
    expression, h = CLOSED[name]
    kernel = dot_product_kernel(expression)
    assert not kernel.positive_definite
    both = eigenvalue(kernel, k, d)
    for dim in (2, 3, 8):
        with ctx.workdps(30):
            for degree in (0, 1, 2, 3, 4, 7):
                truth = by_quadrature(h, dim, degree)
                forms = both.substitute({d: dim}), eigenvalue(kernel, k, dim)
                balls = [form.certified(degree) for form in forms]
                balls.append(eigenvalue(kernel, degree, dim).certified())
                balls.append(eigenvalue(kernel, degree, d).certified(dim))
                for ball in balls:
                    assert holds(ball, truth), (dim, degree)


@pytest.mark.parametrize("name", PIECEWISE)
@pytest.mark.parametrize("dim", [2, 3, 8])
def test_pieces_against_quadrature(name, dim):
    expression, h, breaks = PIECEWISE[name]
    found = certified_spectrum(dot_product_kernel(expression), dim, 7, digits=20)
    assert found.method == "adaptive quadrature between kinks"
    for degree in (0, 1, 2, 7):
        assert holds(found.eigenvalues[degree], by_quadrature(h, dim, degree, breaks)), degree


@pytest.mark.parametrize("name", [name for name in CLOSED if "/" not in name])
@pytest.mark.parametrize("dim", [2, 5, 100])
def test_closed_forms_against_pieces(name, dim):
    kernel = dot_product_kernel(CLOSED[name][0])
    found = certified_spectrum(kernel, dim, 40, digits=25)
    assert found.method == "closed form"
    for a, b in zip(
        found.eigenvalues, sphere_levels(kernel, dim, 40, 25, [BY_PIECES])[0], strict=True
    ):
        assert a.overlaps(b)
        assert a.is_zero() == b.is_zero()


@pytest.mark.parametrize("power", [0, R(1, 2), 1, 2, 3], ids=str)
@pytest.mark.parametrize("dim", [2, 3, 10])
def test_parseval(power, dim):
    """E h^2 = sum N lambda^2 is half of E t^2a = Gamma(d/2) Gamma(a + 1/2)/sqrt(pi)/Gamma(a + d/2).

    N lambda^2 falls as k^-2a-2 at every other degree (or less: at every one), so that the rest
    beyond K is about K/(2a + 1) times a term.
    """
    kernel = dot_product_kernel(t**power * H(t))
    found = spectrum(kernel, dim, 800)
    with mp.workdps(20):
        a, half = mp.mpf(float(power)), mp.mpf(dim) / 2
        square = mp.gamma(half) * mp.gamma(a + mp.mpf(1) / 2) / mp.gamma(a + half)
        square = float(square / mp.sqrt(mp.pi) / 2)
    terms = np.asarray(found.level_masses) * found.eigenvalues
    rest = terms[-20:].mean() * 800 / (2 * float(a) + 1)
    assert square - terms.sum() == pytest.approx(rest, rel=0.05, abs=1e-13 * square)


def test_rational_numbers():
    """By hand at d = 3, where P_k is Legendre's: half the integral of t^a P_k over [0, 1]."""
    for a in (0, 1, 2):
        kernel = dot_product_kernel(sympy.Max(t, 0) ** a if a else H(t))
        for degree in range(7):
            by_hand = sympy.integrate(t**a * sympy.legendre(degree, t), (t, 0, 1)) / 2
            assert eigenvalue(kernel, degree, 3).rhs == by_hand


def test_spellings_are_one_kernel():
    spellings = (
        t * sympy.Max(t, 0),
        t**2 * H(t),
        sympy.Piecewise((0, t < 0), (t**2, True)),
        t * (t + sympy.Abs(t)) / 2,
    )
    assert len({dot_product_kernel(expression) for expression in spellings}) == 1


def test_arrays_and_balls_agree_with_the_function():
    points = np.linspace(-1, 1, 41)
    for expression, h in [*CLOSED.values(), *((e, h) for e, h, _ in PIECEWISE.values())]:
        kernel = dot_product_kernel(expression)
        away = points[~np.isin(points, [0.0, 0.5, -0.25])]
        expected = [float(h(mp.mpf(x))) for x in away]
        # A few operations, each rounded, on numbers of at most 4.
        np.testing.assert_allclose(kernel(away), expected, rtol=0, atol=4e-15)
        for x, value in zip(away, expected, strict=True):
            assert abs(float(arb(kernel.on_balls(arb(x))).mid()) - value) < 1e-14
        wide = arb(kernel.on_balls(arb(0, 0.25)))
        assert not wide.is_finite() or wide.contains(arb(kernel.on_balls(arb(0.125))))


# --- zeros and signs --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "zeros"),
    [
        (H(t), {2, 4, 6, 8}),
        (sympy.Max(t, 0), {3, 5, 7}),
        (sympy.Max(t, 0) ** 2, {4, 6, 8}),
        (sympy.sign(t), {0, 2, 4, 6, 8}),
        (sympy.Abs(t), {1, 3, 5, 7}),
        (sympy.sqrt(t) * H(t), set()),
        (t**2 * H(t) - H(t) + t, {4, 6, 8}),
    ],
    ids=str,
)
def test_zeros_are_exact(expression, zeros):
    kernel = dot_product_kernel(expression)
    for dim in (2, 3, 100):
        balls = certified_spectrum(kernel, dim, 8).eigenvalues
        assert {i for i, ball in enumerate(balls) if ball.is_zero()} == zeros
        formula = eigenvalue(kernel, k, dim)
        assert {i for i in range(9) if formula.certified(i).is_zero()} == zeros
    assert all((eigenvalue(kernel, i, d).rhs == 0) == (i in zeros) for i in range(9))


def test_spectra_are_flagged_and_refused():
    found = spectrum(dot_product_kernel(sympy.Max(t, 0)), 5, 20)
    assert not found.positive_definite
    assert "NOT positive definite" in str(found)
    with pytest.raises(KernelTheoryError, match="positive definite"):
        learning_curve(found, Target({1: 1.0}), 10, ridge=0.1)
    features = spectrum(nngp(relu, 1, weight_variance=2), 5, 20)
    assert features.positive_definite
    # lambda_k of the kernel of relu features is 2 w d lambda_k(t_+)^2, here with w = 2.
    np.testing.assert_allclose(
        features.eigenvalues, 4 * 5 * np.square(found.eigenvalues), rtol=4e-16 * 4
    )


# --- combinations and other domains -----------------------------------------------------------


def test_sums_and_products_of_kernels():
    kinked, smooth = dot_product_kernel(sympy.Max(t, 0)), dot_product_kernel(1 + t)
    for combined, single in (
        (kinked + smooth, sympy.Max(t, 0) + 1 + t),
        (kinked * smooth, sympy.Max(t, 0) * (1 + t)),
        (3 * kinked, 3 * sympy.Max(t, 0)),
        (kinked**2, sympy.Max(t, 0) ** 2),
        (smooth.compose(kinked), 1 + sympy.Max(t, 0)),
    ):
        found = certified_spectrum(combined, 5, 8)
        expected = certified_spectrum(dot_product_kernel(single), 5, 8)
        for a, b in zip(found.eigenvalues, expected.eigenvalues, strict=True):
            assert a.overlaps(b)
            assert a.is_zero() == b.is_zero()


def test_sums_have_no_poles_in_the_degree():
    """1/Gamma(1 - k/2) over (k - 2) is 0/0 at k = 2, where the sum is not."""
    layers = [nngp(phi, 1, weight_variance=1) for phi in (step, rectified_monomial(2))]
    powers = [dot_product_kernel(sympy.Max(t, 0) ** a if a else H(t)) for a in (0, 2, 4)]
    for first, second in (layers, layers[::-1], powers[:2], powers[1::-1], powers[::2]):
        form = eigenvalue(first + second, k, d)
        for degree in range(8):
            parts = [eigenvalue(part, degree, 7).certified() for part in (first, second)]
            ball = form.certified(degree, 7)
            assert ball.overlaps(parts[0] + parts[1])
            assert ball.is_zero() == all(part.is_zero() for part in parts)


def test_hypercube():
    """On two coordinates the cosine is 1, 0 or -1 with weights 1/4, 1/2, 1/4."""
    found = certified_spectrum(dot_product_kernel(sympy.Max(t, 0)), 2, 2, domain="hypercube")
    for ball in found.eigenvalues:
        assert ball.overlaps(arb(1) / 4)
    jump = certified_spectrum(dot_product_kernel(H(t)), 2, 1, domain="hypercube")
    assert jump.eigenvalues[0].overlaps(arb(1) / 2)  # H(0) = 1/2


def test_what_needs_a_taylor_series_says_that_there_is_none():
    kernel = dot_product_kernel(sympy.Max(t, 0))
    with pytest.raises(KernelTheoryError, match="has no Taylor series at t = 0"):
        kernel.taylor_coefficients(3)
    with pytest.raises(KernelTheoryError):
        tail_law(kernel, 3)
    with pytest.raises(KernelTheoryError):
        certified_spectrum(kernel, 5, 3, domain="gaussian")


def test_complex_balls_with_a_kink_are_not_finite():
    kernel = dot_product_kernel(sympy.Max(t, 0) + H(t))
    assert not acb(kernel.on_balls(acb(arb(0, 0.1), 0.1))).is_finite()
    assert acb(kernel.on_balls(acb(arb(0.5, 0.1), 0.1))).is_finite()
    assert not kernel.enclose_at_angle(acb(arb.pi() / 2 + arb(0, 0.1))).is_finite()


def test_singular_pieces_without_a_closed_form_say_so():
    with pytest.raises(PrecisionError, match=r"which is no power.*the piece"):
        certified_spectrum(dot_product_kernel(sympy.sqrt(sympy.Max(t, 0)) * sympy.exp(t)), 3, 2)


# --- derivations ------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", WITH_KIN)
def test_derivations(name):
    kernel = dot_product_kernel(CLOSED[name][0])
    last = "certified to 12 digits" if "exp" in name else "proved"
    for degree, dim in ((k, d), (3, d), (k, 5), (4, 5)):
        statuses = derive_eigenvalue(kernel, degree, dim).verify(digits=12).statuses
        assert statuses[0] == "definition"
        assert set(statuses[1:-1]) == {"proved"}
        assert statuses[-1] == last


def test_planted_errors_are_found():
    derivation = derive_eigenvalue(dot_product_kernel(t**2 * H(t) - H(t) + t), k, d)
    evidence = derivation.steps[-1].evidence
    assert isinstance(evidence, LinearCombination)
    assert evidence.verify(10) == "proved"
    low, general = evidence.formula.rhs.args
    for cases, message in (
        ((low, (2 * general[0], True)), "at degree k"),
        (((low[0] + 1, low[1]), general), "at degree 1"),
        ((general,), "at degree 1"),
    ):
        rhs = sympy.Piecewise(*cases)
        formula = dataclasses.replace(evidence.formula, rhs=rhs)
        with pytest.raises(DerivationError, match=message):
            dataclasses.replace(evidence, formula=formula).verify(10)
    parts = (*evidence.parts, RectifiedPower(sympy.Integer(1), R(1, 2)))
    with pytest.raises(DerivationError, match="the formula is wrong by"):
        dataclasses.replace(evidence, parts=parts).verify(10)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        (sympy.Max(t - R(1, 2), 0), "kinks or jumps other than at t = 0"),
        (sympy.Max(t, 0) * sympy.exp(t), "changes at t = 0 by .*, which is no power"),
    ],
    ids=str,
)
def test_no_closed_form(expression, message):
    with pytest.raises(DerivationError, match=message):
        eigenvalue(dot_product_kernel(expression), k, d)
