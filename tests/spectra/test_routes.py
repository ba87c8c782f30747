"""The routes to eigenvalues on the sphere against each other, and sums over all degrees."""

import functools
from collections.abc import Callable

import mpmath as mp
import numpy as np
import pytest
import sympy
from flint import acb, arb, ctx

from kerneltheory.activations.catalogue import erf, gelu, relu, tanh
from kerneltheory.core.errors import PrecisionError
from kerneltheory.core.lower import to_ball
from kerneltheory.kernels.base import T
from kerneltheory.kernels.half_angle import in_half_angle
from kerneltheory.kernels.kernel import dot_product_kernel, nngp, ntk
from kerneltheory.spectra import angle, cover, panels, power_series, rules
from kerneltheory.spectra.domains import certified_spectrum, spectrum
from kerneltheory.sphere.polynomials import gegenbauer

EXPONENTIAL = dot_product_kernel(sympy.exp(T))
LAPLACE = dot_product_kernel(sympy.exp(-sympy.sqrt(2 - 2 * T)))
DEEP = [
    ntk(relu, 3, weight_variance=2),
    nngp(erf, 3, weight_variance=2),
    ntk(gelu, 3, weight_variance=2, bias_variance=0.1),
]
all_kernels = pytest.mark.parametrize("kernel", [*DEEP, LAPLACE], ids=repr)


@all_kernels
@pytest.mark.parametrize(("dim", "top"), [(100, 20), (400, 60)])
def test_the_rule_in_the_angle_and_the_power_series_agree(kernel, dim, top):
    digits, zeros = 20, set(range(0, top + 1, 2)) if kernel == DEEP[1] else set()
    series = power_series.by_power_series(kernel, dim, top, digits, zeros)
    with ctx.workdps(30):
        smallest = min(float(abs(ball).log()) for ball in series if not ball.is_zero())
        tolerance = arb(smallest - 60).exp()
        rule = angle.by_angle(kernel, dim, top, tolerance)
        for k, (a, b) in enumerate(zip(series, rule, strict=True)):
            assert a.overlaps(b), (k, a, b)
            assert b.rad() < tolerance


def test_cosines_at_the_nodes_are_enclosed():
    """With errors that grow like the square of the degree, times those of the nodes."""
    bits = 128
    rule = rules.Rule(angle._nodes_of, (64,), bits)
    near, far = rules._cosines(rule, 61)
    step, table = len(near), far.tolist()
    rows = {a: list(row) for a, row in enumerate(near)}
    rows |= {g * step: [entries[g] for entries in table] for g in range(far.ncols())}
    assert 61 - step < max(rows) <= 61
    with ctx.workprec(4 * bits):
        angles = [cosine.mid().acos() for cosine, _, _ in rule.nodes]
        worst = max(float(cosine.rad()) for cosine, _, _ in rule.nodes) + 2.0**-bits
        for m, row in rows.items():
            for theta, value in zip(angles, row, strict=True):
                assert value.contains((m * theta).cos().mid())
                assert float(value.rad()) < 4 * worst * (m * m + 1)


@pytest.mark.parametrize("top", [0, 1, 2, 9, 61])
def test_moments_are_sums_over_the_nodes(top, rng):
    """Those of few cosines give those of all, up to the highest degree and no further."""
    rule = rules.Rule(angle._nodes_of, (24,), 128)
    halves = [np.array(list(map(arb, row)), object) for row in rng.normal(size=(2, 12))]
    with ctx.workprec(128):
        moments = rules._moments(halves, *rules._cosines(rule, top), top)
    assert len(moments) == top + 1
    with ctx.workprec(256):
        angles = [cosine.acos() for cosine, _, _ in rule.nodes]
        for m, moment in enumerate(moments):
            terms = (v * (m * a).cos() for v, a in zip(halves[m % 2], angles, strict=True))
            assert moment.overlaps(sum(terms, arb(0)))
            assert moment.rad() < arb(2) ** -100


@pytest.mark.parametrize("dim", [3, 7, 50])
def test_polynomials_are_combinations_of_cosines(dim):
    top = 9
    with ctx.workprec(200):
        theta = arb(7) / 10
        halves = rules._combinations(dim, top, 200)
        for k in range(top + 1):
            row = halves[k % 2].tolist()[k // 2]
            total = sum((c * ((2 * i + k % 2) * theta).cos() for i, c in enumerate(row)), arb(0))
            assert total.overlaps(gegenbauer(dim, k, theta.cos(), convert=to_ball))
            assert total.rad() < arb(2) ** -180


@pytest.mark.parametrize("dim", [2, 3, 100])
@pytest.mark.parametrize("kernel", [nngp(erf, 1, weight_variance=2), EXPONENTIAL], ids=repr)
def test_bounds_of_the_rest_of_a_power_series(kernel, dim):
    """Above what the next terms add up to, and by less than a few digits where those count."""
    known, all_terms = 300, 900
    with ctx.workprec(2000):
        terms = kernel.taylor_balls(all_terms, 2000)
    with ctx.workprec(400):
        rest = power_series._Rest(kernel, dim, terms[:known])
        for k in (1, 21, 121):
            weights = [arb(1)]
            for i in range(k):
                weights[0] *= arb(i + 1) / (2 * i + dim)
            for j, n in enumerate(range(k, all_terms - 2, 2)):
                weights.append(weights[j] * (n + 1) * (n + 2) / (2 * (j + 1) * (n + k + dim)))
            for j in (0, 15, 40, 80):
                later = range(j, (all_terms - k) // 2)
                truth = sum((terms[k + 2 * i] * weights[i] for i in later), arb(0))
                bound = rest.bound(k, j, weights[j])
                assert truth < bound
                falls = (k + 2 * j + 1) ** 2 < 2 * (j + 1) * (k + 2 * j + dim)
                assert not falls or bound < 1e6 * truth


def test_where_power_series_are_proved_to_converge():
    """Singular at t = 5/4 (asin), 3/2 (gelu: q = 2, so (1 + q)/q) and 1 (relu)."""
    for phi, singular in ((erf, 5 / 4), (gelu, 3 / 2)):
        radius = power_series.largest_radius(nngp(phi, 1, weight_variance=2))
        assert 1 + (singular - 1) / 2 < radius < singular
    assert power_series.largest_radius(DEEP[0]) == 1
    assert not power_series._is_analytic_between(nngp(erf, 1, weight_variance=2), 1.0, 1.3)


@all_kernels
@pytest.mark.parametrize("dim", [2, 3, 8])
def test_the_rule_in_the_angle_and_the_panels_agree(kernel, dim):
    with ctx.workdps(40):
        tolerance = arb("1e-20")
        rule, rough = (f(kernel, dim, 8, tolerance) for f in (angle.by_angle, panels.by_panels))
        for a, b in zip(rule, rough, strict=True):
            assert a.overlaps(b)
            assert a.rad() < tolerance
            assert b.rad() < tolerance


def test_deep_networks_of_many_degrees_against_quadrature_at_high_precision():
    """A different integrator, arithmetic and polynomial, at a degree that floats cannot reach."""
    kernel, dim, degree = nngp(relu, 2, weight_variance=2), 30, 60
    found = spectrum(kernel, dim, degree).eigenvalues[degree]

    def layer(c):
        return (mp.sqrt(1 - c * c) + c * (mp.pi - mp.acos(c))) / mp.pi

    with mp.workdps(60):
        half = mp.mpf(dim) / 2
        constant = mp.gamma(half) / (mp.sqrt(mp.pi) * mp.gamma(half - mp.mpf(1) / 2))
        scale = mp.gegenbauer(degree, half - 1, 1)

        def integrand(theta):
            c = mp.cos(theta)
            h = 2 * layer(layer(c))
            return h * mp.gegenbauer(degree, half - 1, c) / scale * mp.sin(theta) ** (dim - 2)

        truth = constant * mp.quad(integrand, mp.linspace(0, mp.pi, 9), maxdegree=7)
    assert found == pytest.approx(float(truth), rel=1e-14)


@pytest.mark.slow
@pytest.mark.parametrize("kernel", [ntk(relu, 1, weight_variance=2), DEEP[0], LAPLACE], ids=repr)
@pytest.mark.parametrize("dim", [3, 100])
def test_parseval(kernel, dim):
    """E h^2 = sum N lambda^2: degrees beyond K add at most lambda_K times their mass."""
    found = certified_spectrum(kernel, dim, 120, digits=20)
    square = certified_spectrum(kernel * kernel, dim, 0, digits=20).eigenvalues[0]
    with ctx.workdps(30):
        pairs = zip(found.multiplicities, found.eigenvalues, strict=True)
        known = sum((n * ball**2 for n, ball in pairs), arb(0))
        rest = found.tail * functools.reduce(arb.max, found.eigenvalues[-2:])
        assert not known > square
        assert not square > known + rest
        assert known.rad() + square.rad() < square * arb("1e-18")


@pytest.mark.parametrize("dim", [3, 8])
@pytest.mark.parametrize("rate", [sympy.Rational(1, 100), 1, sympy.Rational(100, 9)])
def test_the_expansion_sums_to_the_kernel(rate, dim):
    """sum N lambda_k P_k(t) = h(t); 80 degrees leave out less than rounding for these kernels."""
    kernel = dot_product_kernel(sympy.exp(rate * (T - 1)))
    found = spectrum(kernel, dim, 80)
    t = np.linspace(-1, 1, 9)
    total = sum(m * gegenbauer(dim, k, t) for k, m in enumerate(np.asarray(found.level_masses)))
    # |P_k| <= 1: each term is rounded k times at most, and the masses add up to h(1) = 1.
    np.testing.assert_allclose(total, kernel(t), rtol=0, atol=80 * np.finfo(float).eps)


@pytest.mark.parametrize("dim", [2, 100, 1000, 10**6])
@pytest.mark.parametrize(
    "kernel",
    [
        nngp(relu, 1, weight_variance=2),
        nngp(gelu, 1, weight_variance=2, bias_variance=0.1),
        DEEP[0],
        dot_product_kernel(sympy.exp((T - 1) / sympy.Rational(9, 100))),
        LAPLACE,
    ],
    ids=repr,
)
def test_two_hundred_degrees_at_every_dimension(kernel, dim):
    """lambda_k(t h) = [(k+d-2) lambda_{k+1}(h) + k lambda_{k-1}(h)] / (2k+d-2), of another run."""
    found = certified_spectrum(kernel, dim, 200, digits=17)
    degrees = np.array([0, 1, 50, 123, 199])
    times_t = certified_spectrum(kernel * dot_product_kernel(T), dim, 199, digits=17)
    with ctx.workdps(40):
        for k in map(int, degrees):
            above = (k + dim - 2) * found.eigenvalues[k + 1]
            below = k * found.eigenvalues[k - 1] if k else arb(0)
            # At d = 2 the recurrence starts at P_1 = t: lambda_0(t h) = lambda_1(h) for every d.
            truth = (above + below) / (2 * k + dim - 2) if k else found.eigenvalues[1]
            assert truth.overlaps(times_t.eigenvalues[k]), (k, truth, times_t.eigenvalues[k])
    rounded = found.round()
    masses = np.asarray(rounded.level_masses)
    assert np.isfinite(masses).all()
    # 201 terms, each rounded to 1e-12 at worst where it comes from logarithms.
    assert abs(masses.sum() + float(rounded.tail) - kernel.trace) < 1e-12 * kernel.trace


@pytest.mark.parametrize("phi", [relu, erf, gelu], ids=lambda phi: phi.name)
@pytest.mark.parametrize("dim", [2, 24, 1000])
def test_networks_of_five_layers_are_certified(phi, dim):
    kernel = ntk(phi, 5, weight_variance=2 if phi is relu else 1, bias_variance=0.05)
    found = certified_spectrum(kernel, dim, 10, digits=25)
    longer = certified_spectrum(kernel, dim, 14, digits=12)
    for a, b in zip(found.eigenvalues, longer.eigenvalues, strict=False):
        assert a > 0
        assert a.overlaps(b)
        assert a.rad() < a * arb(10) ** -25


@pytest.mark.slow
def test_a_series_kernel_is_certified_where_its_power_series_converges():
    kernel, dim = nngp(tanh, 1, weight_variance=1), 1000
    found = certified_spectrum(kernel, dim, 1, digits=5)
    assert found.method == "power series at t = 0"
    assert found.eigenvalues[0].is_zero()
    generator = np.random.default_rng(3)
    t = generator.standard_normal((2, 5 * 10**4))
    # E[h(t) t] with t of the density (1 - t^2)^((d-3)/2): the first coordinate of a unit vector.
    chi = generator.chisquare(dim - 1, t.shape)
    cosines = t / np.sqrt(t**2 + chi)
    sample = np.asarray(kernel(cosines)) * cosines
    error = sample.std() / np.sqrt(sample.size)
    assert abs(sample.mean() - float(found.eigenvalues[1])) < 4 * error


# --- what the certificates rest on -------------------------------------------------------------


@all_kernels
def test_enclosures_in_the_angle_hold_values_and_poles(kernel):
    with ctx.workprec(100):
        for middle, reach in ((0.0, 0.01), (0.02, 0.03), (1.0, 0.01), (3.14, 0.02), (2.9, 0.01)):
            ball = acb(arb(middle, reach), arb(0, reach))
            found = kernel.enclose_at_angle(ball)
            assert found.is_finite(), middle
            for shift in (-0.9, 0.05, 0.7):
                theta = arb(middle + shift * reach)
                assert found.contains(acb(kernel.on_balls(theta.cos()))) or theta < 0


def test_analytic_continuation_beyond_the_pole():
    """The arc-cosine kernel in the angle is 2 (sin + (pi - x) cos)/pi, also at negative angles."""
    kernel = nngp(relu, 1, weight_variance=2)
    x = acb(-0.1, 0.2)
    truth = 2 * (x.sin() + (acb.pi() - x) * x.cos()) / acb.pi()
    found = kernel.enclose_at_angle(acb(arb(-0.1, 1e-9), arb(0.2, 1e-9)))
    assert found.contains(truth)


def test_singularities_are_not_covered():
    """asin(0.8 cos theta) has branch points at cos theta = 1.25, Im theta = log 2."""
    kernel = nngp(erf, 1, weight_variance=2)
    assert angle.largest_value(kernel, angle.ELLIPSES[-1]) is not None
    assert angle.largest_value(kernel, angle.ELLIPSES[0]) is None  # its half height is 1.18
    assert power_series.largest_on_disc(kernel, 2) is None
    assert power_series.largest_on_disc(dot_product_kernel(1 / (3 - T)), 2) is not None
    assert power_series.largest_on_disc(dot_product_kernel(1 / (3 - T)), 8) is None


def test_bounds_are_bounds():
    found = power_series.largest_on_disc(dot_product_kernel(sympy.exp(T)), 2)
    assert float(np.exp(2)) <= float(found) < 2 * float(np.exp(2 * np.sqrt(2)))
    pole = cover.cover(lambda z: 1 / (z - 3), 0.0, 1.0, 1.0, lambda x, y: x * x + y * y <= 1)
    assert 0.5 <= float(pole) < 2
    assert cover.cover(lambda z: 1 / z, 0.0, 1.0, 1.0, lambda x, y: x * x + y * y <= 1) is None


@pytest.mark.parametrize("rho", [angle.ELLIPSES[0], angle.ELLIPSES[4]])
def test_bounds_on_ellipses_hold_within_the_unit_disc_and_beyond(rho):
    """2 (sin + (pi - x) cos)/pi on the ellipse; in the disc it is at most h(1) = 2."""
    bound = float(angle.largest_value(nngp(relu, 1, weight_variance=2), rho))
    major, minor = angle._axes(rho)
    turn = np.linspace(0, 2 * np.pi, 400)
    z = np.pi / 2 + major * np.cos(turn) + 1j * minor * np.sin(turn)
    values = np.abs(2 * (np.sin(z) + (np.pi - z) * np.cos(z)) / np.pi)
    assert max(values.max(), 2) <= bound < 8 * values.max()
    # Beyond the poles, where |cos| is small again, the angle leads to another branch.
    in_disc = (np.abs(np.cos(z)) <= 1) & (z.real >= 0) & (z.real <= np.pi)
    assert in_disc.any() or rho == angle.ELLIPSES[0]
    assert (values[in_disc] <= 2).all()


def test_what_is_known_of_a_region_is_not_covered():
    """1/(z^2 + 1/100) has its poles in the part that is known, and is below 25/6 beyond it."""

    def function(z: acb) -> acb:
        return 1 / (z * z + arb("0.01"))

    def within(radius: float) -> Callable[[float, float], bool]:
        return lambda x, y: x * x + y * y <= radius**2

    assert cover.cover(function, 0.0, 1.0, 1.0, within(1)) is None
    for bound, ratio, low, high in ((1000, 0.5, 1000, 1001), (1, 8.0, 25 / 6, 1000)):
        known = within(0.5), arb(bound)
        found = cover.cover(function, 0.0, 1.0, 1.0, within(1), ratio, known=known)
        assert low <= float(found) < high


def test_half_angles_resolve_roots_and_arcs():
    a = sympy.Symbol("a", positive=True)
    for expression in (
        sympy.sqrt(1 - T**2) * (1 - T) ** sympy.Rational(3, 2) + sympy.acos(-T) / sympy.sqrt(3 + T),
        T * sympy.asin(T) + sympy.asin(T / 2) + (2 - 2 * T) ** sympy.Rational(-1, 2),
    ):
        form = in_half_angle(expression, T)
        for value in (0.1, 0.7, 1.4):
            expected = expression.subs(T, sympy.cos(2 * sympy.Float(value, 30)))
            assert abs(form.subs(a, value) - expected.evalf(20)) < 1e-13


@pytest.mark.slow
def test_rough_kernels_say_so():
    with pytest.raises(PrecisionError, match="adaptive quadrature"):
        certified_spectrum(dot_product_kernel(2 + sympy.asin(sympy.sin(3 * T))), 3, 2, digits=5)
