"""The deterministic equivalent against its defining equation, its limits and simulation."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from kerneltheory.core.errors import DivergentError
from kerneltheory.learning.equivalent import effective_ridge, learning_curve, lowest_ridge
from kerneltheory.spectra.spectrum import Spectrum, Target

EPS = np.finfo(float).eps
SPECTRUM = Spectrum([1.0, 0.1, 0.003], [1, 20, 200], tail=0.0)
TARGET = Target({0: 0.3, 1: 1.0, 2: 0.5}, noise_variance=0.2)
RANK = 221


def _random_problem(generator):
    levels = generator.choice([1, 3, 8])
    eigenvalues = 10.0 ** generator.uniform(-8, 2, levels)
    multiplicities = generator.integers(1, 1000, levels)
    tail = generator.choice([0.0, 10.0 ** generator.uniform(-8, 2)])
    ridge = generator.choice([0.0, 10.0 ** generator.uniform(-12, 2)])
    samples = 10.0 ** generator.uniform(-1, 4)
    if tail == ridge == 0:
        samples = multiplicities.sum() * generator.uniform(0.001, 0.999)
    return Spectrum(eigenvalues, multiplicities, tail=tail), samples, ridge


def _bisected(spectrum, samples, ridge):
    """Kappa to 30 digits, from the defining equation, by bisection of log kappa."""
    levels = [
        (mpmath.mpf(float(value)), int(count))
        for value, count in zip(spectrum.eigenvalues, spectrum.multiplicities, strict=True)
    ]
    constant = mpmath.mpf(spectrum.tail) + mpmath.mpf(float(ridge))
    low, high = mpmath.mpf(-200), mpmath.mpf(30)
    for _ in range(110):
        middle = (low + high) / 2
        kappa = mpmath.exp(middle)
        counted = sum(n * value / (value + kappa) for value, n in levels) + constant / kappa
        low, high = (middle, high) if counted > samples else (low, middle)
    return float(mpmath.exp(low))


def test_effective_ridge_solves_its_equation_to_rounding():
    generator = np.random.default_rng(0)
    for _ in range(50):
        spectrum, samples, ridge = _random_problem(generator)
        with mpmath.workdps(40):
            exact = _bisected(spectrum, samples, ridge)
        curve = learning_curve(spectrum, Target([1.0]), samples, ridge)
        # d ln kappa/d ln n = -E0: a sum over levels rounds n by as many eps, E0 magnifies that.
        bound = (len(spectrum.degrees) + 8) * EPS * curve.overfitting
        assert curve.kappa == pytest.approx(exact, rel=bound)


def _exact_test_error(spectrum, target, samples, ridge):
    """T to 650 digits, and how many relative changes of n it magnifies: its condition number.

    Sharp peaks need as many digits: at n = rank kappa is the root of the ridge.
    """
    with mpmath.workdps(650):
        values = [mpmath.mpf(float(x)) for x in spectrum.eigenvalues]
        counts = [int(x) for x in spectrum.multiplicities]
        total = mpmath.mpf(float(spectrum.tail)) + mpmath.mpf(float(ridge))
        n, noise = mpmath.mpf(float(samples)), mpmath.mpf(target.noise_variance)
        kappa = (sum(map(mpmath.fmul, values, counts)) + total) / n
        while True:  # Newton's steps descend to the root, as G is convex
            shares = [(x / (x + kappa), kappa / (x + kappa)) for x in values]
            width = sum(c * q * u for c, (q, u) in zip(counts, shares, strict=True))
            slope = n - sum(c * q * q for c, (q, _) in zip(counts, shares, strict=True))
            step = (kappa * width + total) / slope
            if kappa - step < kappa * mpmath.mpf(10) ** -300:
                break
            kappa = step
        overfitting = n / (width + total / kappa)
        bias = sum(u * u * p for (_, u), p in zip(shares, map(float, target.power), strict=True))
        decay = sum(c * q * q * u for c, (q, u) in zip(counts, shares, strict=True))
        condition = overfitting * (1 + 2 * decay * overfitting / n)
        return overfitting * (bias + noise) - noise, float(condition)


def _extreme_problem(generator):
    levels = generator.choice([1, 6])
    eigenvalues = 10.0 ** -np.sort(generator.uniform(0, 300, levels))
    counts = np.round(10.0 ** generator.uniform(0, 4, levels))
    spectrum = Spectrum(eigenvalues, counts, tail=generator.choice([0.0, 1e-250, 1e-6]))
    ridge = generator.choice([0.0, 1e-280, 1e-12, 1e3])
    plateau = generator.choice(np.cumsum(counts)) + generator.choice([-0.5, 0.0, 3.0])
    samples = generator.choice([plateau, 10.0 ** generator.uniform(0, 9)])
    if spectrum.tail == ridge == 0 and samples >= counts.sum():
        samples = counts.sum() - 0.5
    return spectrum, Target(generator.random(levels), generator.choice([0.0, 0.1])), samples, ridge


def test_errors_of_spectra_over_the_range_of_floats():
    generator = np.random.default_rng(7)
    for _ in range(60):
        spectrum, target, samples, ridge = _extreme_problem(generator)
        exact, condition = _exact_test_error(spectrum, target, samples, ridge)
        found = float(learning_curve(spectrum, target, samples, ridge).test_error)
        if exact > 1e-290:  # smaller ones underflow
            assert abs(found / exact - 1) < 1e-12 * condition
        assert np.isfinite(found)


def test_errors_of_levels_add_up():
    generator = np.random.default_rng(8)
    for _ in range(20):
        spectrum, samples, ridge = _random_problem(generator)
        curve = learning_curve(
            spectrum, Target(generator.random(len(spectrum.degrees)), 0.3), [samples, 1.0], ridge
        )
        magnified = 100 * EPS * np.asarray(curve.overfitting)
        assert (np.abs(curve.degree_errors.sum(-1) / curve.test_error - 1) < magnified).all()


def test_noise_broadcasts_with_samples_and_ridges():
    noise = np.array([0.0, 0.1, 1.0])
    target = Target(TARGET.power, noise[:, None, None])
    many = learning_curve(SPECTRUM, target, np.array([[10.0], [50.0]]), np.array([0.1, 1.0]))
    assert many.test_error.shape == (3, 2, 2)
    one = learning_curve(SPECTRUM, Target(TARGET.power, 0.1), 50.0, 1.0)
    assert many.test_error[1, 1, 1] == one.test_error


@pytest.mark.slow
def test_likelihood_and_posterior_variance_of_gaussian_features():
    """log p(y), the mean of k - k'(K + ridge)^{-1} k and of the fit, with Gaussian features."""
    generator = np.random.default_rng(5)
    eigenvalues, counts = np.array([1.0, 0.05]), np.array([40, 200])
    scale = np.repeat(eigenvalues, counts)
    power, noise, n, ridge = np.array([1.0, 0.5]), 0.2, 120, 3.0
    amplitudes = np.repeat(power / counts, counts)
    likelihoods, variances = [], []
    for _ in range(100):
        features = generator.standard_normal((n, scale.size))
        gram = (features * scale) @ features.T + ridge * np.eye(n)
        inverse = np.linalg.inv(gram)
        labels = (features * amplitudes) @ features.T + noise * np.eye(n)
        determinant = np.linalg.slogdet(gram)[1]
        likelihoods.append(-0.5 * (np.sum(inverse * labels) + determinant + n * np.log(2 * np.pi)))
        explained = scale**2 * np.einsum("ij,ij->j", features, inverse @ features)
        variances.append(scale.sum() - explained.sum())
    curve = learning_curve(Spectrum(eigenvalues, counts), Target(power, noise), n, ridge)
    for measured, stated in (
        (likelihoods, curve.log_marginal_likelihood),
        (variances, curve.posterior_variance),
    ):
        error = np.std(measured) / np.sqrt(len(measured))
        # The equivalent itself is off by a relative 1/n: it does not know n from n + 1.
        assert abs(np.mean(measured) - stated) < 4 * error + abs(stated) / n
    np.testing.assert_allclose(curve.posterior_variance, n * curve.kappa - ridge, rtol=1e-12)


def test_likelihood_is_the_integral_of_its_slope_in_the_ridge():
    """d ln p/d ridge = (y'M^2 y - tr M)/2 with tr M = 1/kappa, y'M^2 y = n train/ridge^2."""
    with jax.enable_x64(True):
        ridge = jnp.float64(0.7)
        slope = jax.grad(
            lambda r: learning_curve(SPECTRUM, TARGET, 60.0, r).log_marginal_likelihood
        )
        curve = learning_curve(SPECTRUM, TARGET, 60.0, ridge)
        expected = (60.0 * curve.train_error / ridge**2 - 1 / curve.kappa) / 2
        np.testing.assert_allclose(slope(ridge), expected, rtol=1e-11)


def test_effective_ridge_at_the_peak_is_the_root_of_the_ridge():
    ridge = np.array([1e-12, 1e-20, 1e-100, 1e-250])
    expected = np.sqrt(ridge / np.sum(SPECTRUM.multiplicities / SPECTRUM.eigenvalues))
    # The next order is kappa times S2/S1 < kappa/lambda_min.
    kappa = effective_ridge(SPECTRUM, RANK, ridge)
    deviation = np.abs(kappa / expected - 1)
    assert (deviation < expected / 0.003 + 50 * EPS).all()


def test_without_ridge_and_above_the_rank_all_is_learned():
    samples = np.array([222.0, 300, 5000])
    curve = learning_curve(SPECTRUM, TARGET, samples, 0.0)
    np.testing.assert_array_equal(curve.kappa, 0)
    np.testing.assert_array_equal(curve.bias, 0)
    # Three roundings or so in each.
    np.testing.assert_allclose(curve.overfitting, samples / (samples - RANK), rtol=8 * EPS)
    np.testing.assert_allclose(curve.test_error, 0.2 * RANK / (samples - RANK), rtol=8 * EPS)
    np.testing.assert_allclose(curve.train_error, 0.2 * (samples - RANK) / samples, rtol=8 * EPS)


def test_a_level_that_the_kernel_lacks_is_never_learned():
    spectrum = Spectrum([1.0, 0.0], [10, 50])
    curve = learning_curve(spectrum, Target([1.0, 0.25]), 30, 0.0)
    # Rank 10: E0 = 30/20, and the power 0.25 stays, as noise: T = 1.5 * 0.25.
    assert curve.bias == 0.25
    assert curve.test_error == pytest.approx(0.375, rel=8 * EPS)
    np.testing.assert_array_equal(curve.learnability, [1, 0])


def test_without_samples_nothing_is_learned():
    samples = 1e-6
    curve = learning_curve(SPECTRUM, TARGET, samples, 0.1)
    # q <= n lambda/h(1) <= n and E0 - 1 <= n to first order.
    bound = 2 * samples * 1.8 + samples * (1.8 + 0.2)
    assert abs(curve.test_error - 1.8) < bound


def test_one_level_is_the_law_of_marchenko_and_pastur():
    features = 300.0
    for alpha, zeta in [(0.3, 0.2), (1.0, 0.05), (1.0, 2.0), (4.0, 0.5)]:
        # With x = 1 + alpha + 2 sqrt(alpha) cos(phi) the density is analytic and periodic: the
        # trapezoidal rule of 4000 points is exact to rounding for all zeta here.
        angles = (np.arange(4000) + 0.5) * np.pi / 4000
        points = 1 + alpha + 2 * np.sqrt(alpha) * np.cos(angles)
        weights = 4 * np.sin(angles) ** 2 / (2 * points) / 4000
        atom = max(0.0, 1 - 1 / alpha)
        stieltjes = np.sum(weights / (points + zeta)) + atom / zeta
        squared = np.sum(weights / (points + zeta) ** 2) + atom / zeta**2
        spectrum = Spectrum([1 / features], [features])
        curve = learning_curve(spectrum, Target([1.0]), alpha * features, zeta)
        # tr (K + delta)^-1 = 1/kappa and tr (K + delta)^-2 = E0/(n kappa^2).
        n = alpha * features
        assert n * stieltjes == pytest.approx(1 / curve.kappa, rel=1e-10)
        assert n * squared == pytest.approx(curve.overfitting / (n * curve.kappa**2), rel=1e-10)


def test_parts_add_up():
    generator = np.random.default_rng(1)
    for _ in range(30):
        spectrum, samples, ridge = _random_problem(generator)
        power = generator.random(len(spectrum.degrees))
        curve = learning_curve(spectrum, Target(power, 0.3), samples, ridge)
        learned = np.asarray(curve.learnability)
        close = {"rtol": 40 * EPS}  # tens of operations, none of which cancels
        np.testing.assert_allclose(curve.bias + curve.variance, curve.test_error, **close)
        np.testing.assert_allclose(
            curve.variance_from_sampling + curve.variance_from_noise, curve.variance, **close
        )
        np.testing.assert_allclose(curve.test_error + 0.3, curve.gcv, **close)
        np.testing.assert_allclose(curve.overfitting * curve.bias, curve.conditional_bias, **close)
        factor = ridge / (samples * curve.kappa)
        np.testing.assert_allclose(curve.train_error, factor**2 * curve.gcv, **close)
        # n and the sum N q^2 are subtracted here, so rounding is magnified by E0.
        gamma = np.sum(spectrum.multiplicities * learned**2) / samples
        magnified = 40 * EPS * float(curve.overfitting)
        np.testing.assert_allclose(1 / (1 - gamma), curve.overfitting, rtol=magnified)


def test_simulated_regression_agrees():
    """A linear Gaussian model, averaged exactly over target and noise given the samples."""
    generator = np.random.default_rng(2)
    eigenvalues, counts = np.array([1.0, 0.1]), np.array([50, 150])
    samples, ridge, noise, trials = 100, 2.5, 0.2, 100
    scale = np.repeat(eigenvalues, counts)
    power = np.repeat(np.array([1.0, 0.5]) / counts, counts)
    measured = []
    for _ in range(trials):
        features = generator.standard_normal((samples, scale.size))
        inverse = np.linalg.inv((features * scale) @ features.T + ridge * np.eye(samples))
        hat = scale[:, None] * (features.T @ inverse)
        residual = np.eye(scale.size) - hat @ features
        outside = inverse @ features
        measured.append(
            [
                np.sum(residual**2 * power) + noise * np.sum(hat**2),
                ridge**2 * (np.sum(outside**2 * power) + noise * np.sum(inverse**2)) / samples,
                np.sum(residual**2 * power),
                1 - np.diag(residual)[:50].mean(),
                1 - np.diag(residual)[50:].mean(),
            ]
        )
    curve = learning_curve(Spectrum(eigenvalues, counts), Target([1.0, 0.5], noise), samples, ridge)
    theory = [curve.test_error, curve.train_error, curve.conditional_bias, *curve.learnability]
    mean, error = np.mean(measured, 0), np.std(measured, 0, ddof=1) / np.sqrt(trials)
    # Four standard errors, and the equivalent's own correction of relative order 1/n.
    assert (np.abs(mean - theory) < 4 * error + np.array(theory) / samples).all()


def _log_error(point):
    """Of the logarithms of three eigenvalues, of n and of the ridge."""
    point = jnp.exp(point)
    spectrum = Spectrum(point[:3], SPECTRUM.multiplicities, 0.01)
    return jnp.log(learning_curve(spectrum, TARGET, point[3], point[4]).test_error)


@pytest.mark.slow
def test_derivatives_of_first_and_second_order():
    with jax.enable_x64(True):
        point = jnp.log(jnp.array([*SPECTRUM.eigenvalues, 50.0, 0.05]))
        gradient = jax.jit(jax.grad(_log_error))
        hessian = jax.jit(jax.hessian(_log_error))(point)
        moved = [(point + 1e-4 * unit, point - 1e-4 * unit) for unit in jnp.eye(5)]
        value = jax.jit(_log_error)
        slopes = [(value(right) - value(left)) / 2e-4 for right, left in moved]
        curvatures = [(gradient(right) - gradient(left)) / 2e-4 for right, left in moved]
        # In logarithms all derivatives are of order one or less: central differences of step 1e-4
        # truncate 1e-8 and round eps/1e-4 = 2e-12.
        np.testing.assert_allclose(gradient(point), slopes, atol=1e-7)
        np.testing.assert_allclose(hessian, curvatures, atol=1e-7)
        np.testing.assert_allclose(hessian, hessian.T, atol=1e-12)


def test_effective_ridge_and_overfitting_are_tied_by_a_derivative():
    with jax.enable_x64(True):
        for ridge, samples in ((0.1, 30.0), (0.0, 30.0), (0.0, 300.0)):
            slope = jax.grad(lambda r, n=samples: effective_ridge(SPECTRUM, n, r))(ridge)
            curve = learning_curve(SPECTRUM, TARGET, samples, ridge)
            # d kappa/d delta = E0/n, from differentiating the defining equation.
            assert slope == pytest.approx(float(curve.overfitting) / samples, rel=100 * EPS)


def test_transformations_of_jax_agree_with_plain_calls():
    samples, ridge = np.array([10.0, 100, 1000]), 0.3
    plain = learning_curve(SPECTRUM, TARGET, samples, ridge)
    assert plain.test_error.dtype == np.float64
    assert isinstance(plain.test_error, np.ndarray)
    with jax.enable_x64(True):
        jitted = jax.jit(learning_curve)(SPECTRUM, TARGET, samples, ridge)
        mapped = jax.vmap(lambda n: learning_curve(SPECTRUM, TARGET, n, ridge))(samples)
    for other in (jitted, mapped):
        np.testing.assert_allclose(other.test_error, plain.test_error, rtol=40 * EPS)


def test_float32_stays_float32():
    curve = learning_curve(SPECTRUM, TARGET, jnp.float32(50), jnp.float32(0.3))
    assert {leaf.dtype for leaf in jax.tree.leaves(curve)} == {jnp.dtype("float32")}
    exact = learning_curve(SPECTRUM, TARGET, 50, np.float32(0.3))
    bound = 40 * float(np.finfo(np.float32).eps * exact.overfitting)
    assert float(curve.test_error) == pytest.approx(float(exact.test_error), rel=bound)


def test_results_do_not_depend_on_their_neighbours():
    samples = np.geomspace(1, 1e4, 50)
    together = effective_ridge(SPECTRUM, samples, 0.1)
    alone = [effective_ridge(SPECTRUM, n, 0.1) for n in samples[::10]]
    np.testing.assert_allclose(together[::10], alone, rtol=20 * EPS)


def test_shapes_broadcast():
    curve = learning_curve(SPECTRUM, TARGET, np.arange(1, 4), np.ones((2, 1)))
    assert curve.test_error.shape == curve.n.shape == curve.ridge.shape == (2, 3)
    assert curve.learnability.shape == (2, 3, 3)


@pytest.mark.slow
def test_many_levels_and_points_fit_into_memory():
    spectrum = Spectrum(np.arange(1, 5001) ** -1.5, np.ones(5000), tail=1e-3)
    target, samples = Target(np.ones(5000)), np.geomspace(1, 1e5, 4096)
    with jax.enable_x64(True):
        compiled = jax.jit(learning_curve).lower(spectrum, target, samples, 0.1).compile()
    memory = compiled.memory_analysis()
    assert memory.temp_size_in_bytes + memory.output_size_in_bytes < 1e8


def test_infinite_variance_is_refused():
    with pytest.raises(DivergentError, match="n = 221 equals the rank of the kernel 221"):
        learning_curve(SPECTRUM, TARGET, [100, 221], 0.0)
    assert effective_ridge(SPECTRUM, RANK, 0.0) == 0
    with jax.enable_x64(True):
        assert jax.jit(learning_curve)(SPECTRUM, TARGET, 221.0, 0.0).overfitting == np.inf


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"n": 0}, ValueError, "n must be positive"),
        ({"n": [10, -1]}, ValueError, "n must be positive"),
        ({"n": []}, ValueError, "n must be positive"),
        ({"n": np.inf}, ValueError, "n must be finite"),
        ({"n": "many"}, TypeError, "n must be a real array"),
        ({"ridge": -10.0}, ValueError, "ridge must be above -0"),
        ({"ridge": np.nan}, ValueError, "ridge must be finite"),
        ({"ridge": []}, ValueError, "ridge must hold"),
        ({"n": [1, 2, 3], "ridge": [1, 2]}, ValueError, "n and ridge must broadcast"),
        ({"spectrum": [1.0]}, TypeError, "spectrum must be a Spectrum"),
        ({"target": {1: 1.0}}, TypeError, "target must be a Target"),
        ({"target": Target({9: 1.0})}, ValueError, "target degree 9 is above the highest degree 2"),
    ],
)
def test_bad_arguments_are_named(changes, error, message):
    arguments = {"spectrum": SPECTRUM, "target": TARGET, "n": 10, "ridge": 0.1} | changes
    with pytest.raises(error, match=message):
        learning_curve(**arguments)


def test_the_slope_of_the_lowest_ridge_is_the_effective_ridge_there():
    # The envelope theorem: at the edge d(kappa (n - sum N q))/d kappa = 0.
    with jax.enable_x64(True):
        spectrum = Spectrum([1.0, 0.01], [10, 100])
        slope = jax.grad(lambda n: lowest_ridge(spectrum, n))(20.0)
        step = (lowest_ridge(spectrum, 20.001) - lowest_ridge(spectrum, 19.999)) / 0.002
        assert slope == pytest.approx(float(step), rel=1e-6)


def test_without_noise_the_peak_is_finite():
    spectrum, target = Spectrum([1.0, 0.5], [1, 10]), Target([1.0, 0.1])
    errors = learning_curve(spectrum, target, np.arange(9, 14), 0.0).test_error
    np.testing.assert_array_equal(errors[2:], 0)
    near = learning_curve(spectrum, target, 11, [1e-20, 1e-30]).test_error
    assert (near < [1e-8, 1e-13]).all()
