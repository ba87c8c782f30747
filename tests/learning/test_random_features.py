"""Random features against their equations in many digits, their limits and simulation."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from kerneltheory.core.errors import (
    DivergentError,
    NotPositiveDefiniteError,
    PrecisionError,
)
from kerneltheory.learning.equivalent import learning_curve
from kerneltheory.learning.random_features import random_feature_curve
from kerneltheory.spectra.power_law import power_law_spectrum, power_law_target
from kerneltheory.spectra.spectrum import Spectrum, Target

EPS = np.finfo(float).eps
SPECTRUM = Spectrum([1.0, 0.1, 0.003], [1, 20, 200], tail=0.0)
TARGET = Target({0: 0.3, 1: 1.0, 2: 0.5}, noise_variance=0.2)
RANK = 221


def _reference(spectrum, power, n, features, ridge, noise):
    """Gamma, T + noise and the training error as arXiv:2311.14646 states them, and a condition.

    By bisection in ln gamma on the branch z < min(n, p). The condition number is that of gamma
    to relative changes of n, p, the ridge and the sums.
    """
    levels = [
        (mpmath.mpf(float(value)), int(count))
        for value, count in zip(spectrum.eigenvalues, spectrum.multiplicities, strict=True)
    ]
    tail, n, p, delta = (mpmath.mpf(float(x)) for x in (spectrum.tail, n, features, ridge))

    def z(gamma):
        return sum(count * value / (value + gamma) for value, count in levels) + tail / gamma

    low, high = mpmath.mpf(-1700), mpmath.mpf(100)
    for _ in range(450):
        middle = (low + high) / 2
        gamma = mpmath.exp(middle)
        total = z(gamma)
        above = total < min(n, p) and gamma * (n - total) * (p - total) / p > delta
        low, high = (low, middle) if above else (middle, high)
    gamma = mpmath.exp(high)
    total = z(gamma)
    squares = sum(count * (value / (value + gamma)) ** 2 for value, count in levels)
    kappa = gamma * (p - total) / p
    numerator = mpmath.mpf(noise) + sum(
        (gamma / (value + gamma) - kappa * value / (value + gamma) ** 2 * p / (p - squares)) * own
        for (value, _), own in zip(levels, map(mpmath.mpf, power), strict=True)
    )
    denominator = 1 - (squares * (p - 2 * total) + total**2) / (n * (p - squares))
    error = numerator / denominator
    a, b, slope = n - total, p - total, total - squares
    condition = 1 + (n * b + p * a + a * b + total * (a + b)) / (a * b + slope * (a + b))
    return gamma, error, ((n - total) / n) ** 2 * error, float(condition)


def _random_problem(generator):
    """Eigenvalues down to 1e-300; features as many as samples, nearly so, or any number."""
    levels, span = generator.choice([1, 3, 8]), generator.choice([3, 30, 300])
    eigenvalues = 10.0 ** -np.sort(generator.uniform(0, span, levels))
    tail = generator.choice([0.0, 10.0 ** -generator.uniform(0, span)])
    spectrum = Spectrum(eigenvalues, generator.integers(1, 1000, levels), tail=tail)
    n = 10 ** generator.uniform(0, 3.5)
    near = n * (1 + 10 ** generator.uniform(-9, -1))
    features = generator.choice([10 ** generator.uniform(0, 3.5), n, near])
    ridge = generator.choice([0.0, 10.0 ** -generator.uniform(0, span + 2)])
    rank = np.inf if tail else spectrum.multiplicities.sum()
    if ridge == 0 and (n == features or min(n, features) >= rank):
        ridge = 1e-3
    if n == features:  # the gaps are the root of the ridge, which 120 digits must hold
        ridge = max(ridge, 1e-60 * eigenvalues[0])
    return spectrum, generator.random(levels), n, features, ridge


@pytest.mark.slow
def test_errors_agree_with_their_equations_in_120_digits():
    generator = np.random.default_rng(0)
    for _ in range(60):
        spectrum, power, n, features, ridge = _random_problem(generator)
        curve = random_feature_curve(spectrum, Target(power, 0.1), n, features, ridge)
        with mpmath.workdps(120):
            gamma, error, train, condition = _reference(spectrum, power, n, features, ridge, 0.1)
        # Sums over levels round n and p by as many eps, and tens of operations follow.
        bound = (len(spectrum.degrees) + 40) * EPS * condition
        assert curve.kappa == pytest.approx(float(gamma), rel=bound, abs=1e-320)
        assert curve.gcv == pytest.approx(float(error), rel=bound)
        # Without ridge the last digits of the reference stand for zero.
        assert curve.train_error == pytest.approx(float(train), rel=bound, abs=1e-200)


@pytest.mark.slow
def test_infinitely_many_features_are_the_kernel():
    n, ridge = np.array([3.0, 30, 150, 400]), np.array([[0.0], [1e-4], [0.3]])
    kernel = learning_curve(SPECTRUM, TARGET, n, ridge)
    for features, scale in ((1e6, 1e-6), (1e14, 1e-14)):
        curve = random_feature_curve(SPECTRUM, TARGET, n, features, ridge)
        for name in ("test_error", "bias", "kappa", "overfitting", "variance", "conditional_bias"):
            exact, value = getattr(kernel, name), getattr(curve, name)
            # First order in 1/p: z/p shifts n by z <= n of p, which E0^2 magnifies at most.
            bound = 4 * n * scale * kernel.overfitting**2 + 100 * EPS * kernel.overfitting
            assert (np.abs(value - exact) <= bound * np.maximum(exact, 1)).all(), name


@pytest.mark.slow
def test_infinitely_many_samples_learn_all_that_features_can():
    features = np.array([3.0, 30, 150])
    curve = random_feature_curve(SPECTRUM, TARGET, 1e14, features, 0.1)
    # E0 = 1, a predictor with p features at the gamma of p = sum q: T = sum (1 - q) F^2.
    gamma = learning_curve(SPECTRUM, TARGET, features, 0.0).kappa
    left = gamma[:, None] / (SPECTRUM.eigenvalues + gamma[:, None])
    assert curve.kappa == pytest.approx(gamma, rel=1e-10)
    assert curve.test_error == pytest.approx(left @ TARGET.powers(3), rel=1e-10)
    assert curve.train_error == pytest.approx(curve.gcv, rel=1e-10)


def test_without_ridge_both_orders_of_samples_and_features():
    few = random_feature_curve(SPECTRUM, TARGET, 60, 40, 0.0)
    many = random_feature_curve(SPECTRUM, TARGET, 40, 60, 0.0)
    assert few.kappa == many.kappa == learning_curve(SPECTRUM, TARGET, 40, 0.0).kappa
    assert few.overfitting == pytest.approx(60 / 20, rel=8 * EPS)
    assert few.train_error == pytest.approx(few.gcv / 9, rel=8 * EPS)
    assert many.train_error == 0


def test_more_features_and_samples_than_the_rank_learn_all():
    n, features = np.array([222.0, 300, 5000]), np.array([[221.0], [222], [300], [10**4]])
    curve = random_feature_curve(SPECTRUM, TARGET, n, features, 0.0)
    np.testing.assert_array_equal(curve.kappa, 0)
    np.testing.assert_array_equal(curve.bias + curve.variance_from_features, 0)
    expected = np.broadcast_to(0.2 * RANK / (n - RANK), (4, 3))
    np.testing.assert_allclose(curve.test_error, expected, rtol=8 * EPS)


def test_a_level_that_the_kernel_lacks_is_never_learned():
    curve = random_feature_curve(Spectrum([1.0, 0.0], [10, 50]), Target([1.0, 0.25]), 30, 20, 0.0)
    # Rank 10: E0 = 30/20, and the power 0.25 stays, as noise.
    assert curve.test_error == pytest.approx(0.375, rel=8 * EPS)


def test_double_descent_peaks_at_as_many_features_as_samples():
    features = 50.0
    n = features * np.exp(np.linspace(-0.5, 0.5, 1001))
    for ridge in (1e-6, 1e-8):
        curve = random_feature_curve(SPECTRUM, TARGET, n, features, ridge)
        # E0 = n/sqrt((n - p)^2 + 4 p ridge/gamma) at a small ridge, times what varies on the
        # scale of n: the peak moves by the square of its width, and corrections are of its order.
        width = np.sqrt(4 * ridge / (curve.kappa[500] * features))
        top = np.argmax(curve.test_error)
        assert abs(np.log(n[top] / features)) < 4 * width**2 + 0.001
        assert curve.overfitting[500] == pytest.approx(1 / width, rel=2 * width)
        assert not np.any(np.diff(curve.test_error[:400]) < 0)
        assert not np.any(np.diff(curve.test_error[600:]) > 0)


def _fit(F, X, y, ridge):
    """The weights on the modes of the predictor, without ridge that of the least norm."""
    design, (n, features) = X @ F.T, (X.shape[0], F.shape[0])
    if ridge == 0 and features < n:
        return F.T @ np.linalg.solve(design.T @ design, design.T @ y)
    return F.T @ (design.T @ np.linalg.solve(design @ design.T + ridge * np.eye(n), y))


def _trial(generator, scale, power, sizes, noise):
    """Errors of regression on Gaussian features, twice on the same and once on other features."""
    n, features, ridge = sizes
    vector = np.sqrt(power) * generator.choice([-1, 1], scale.size)
    maps, other_maps = (
        np.sqrt(scale / features) * generator.standard_normal((features, scale.size))
        for _ in range(2)
    )
    inputs, other_inputs = (generator.standard_normal((n, scale.size)) for _ in range(2))
    labels = inputs @ vector + np.sqrt(noise) * generator.standard_normal(n)
    first = _fit(maps, inputs, inputs @ vector, ridge) - vector
    second = _fit(maps, other_inputs, other_inputs @ vector, ridge) - vector
    other = _fit(other_maps, other_inputs, other_inputs @ vector, ridge) - vector
    noisy = _fit(maps, inputs, labels, ridge) - vector
    residual = inputs @ (noisy + vector) - labels
    bias = first @ other
    return noisy @ noisy, bias, first @ second - bias, first @ first, residual @ residual / n


@pytest.mark.slow
@pytest.mark.parametrize("sizes", [(100, 160, 0.0), (160, 100, 0.0), (80, 80, 0.5)])
def test_simulated_regression_agrees(sizes):
    generator = np.random.default_rng(3)
    scale, power = np.arange(1.0, 301) ** -1.3, np.arange(1.0, 301) ** -1.5
    trials = [_trial(generator, scale, power, sizes, 0.1) for _ in range(60)]
    mean, error = np.mean(trials, 0), np.std(trials, 0, ddof=1) / np.sqrt(60)
    curve = random_feature_curve(Spectrum(scale, np.ones(300)), Target(power, 0.1), *sizes)
    theory = np.array(
        [
            curve.test_error,
            curve.bias,
            curve.variance_from_features,
            curve.conditional_bias,
            curve.train_error,
        ]
    )
    # Four standard errors, and the equivalent's own correction of relative order 1/n + 1/p.
    corrections = curve.overfitting * (1 / sizes[0] + 1 / sizes[1])
    assert (np.abs(mean - theory) <= 4 * error + corrections * theory + 1e-18).all()


def test_parts_add_up():
    curve = random_feature_curve(SPECTRUM, TARGET, np.array([10.0, 90, 500]), 80, [[0.0], [0.2]])
    close = {"rtol": 40 * EPS}
    parts = curve.variance_from_features + curve.variance_from_sampling + curve.variance_from_noise
    np.testing.assert_allclose(parts, curve.variance, **close)
    np.testing.assert_allclose(curve.bias + curve.variance, curve.test_error, **close)
    np.testing.assert_allclose(curve.test_error + 0.2, curve.gcv, **close)
    data = curve.bias + curve.variance_from_features
    np.testing.assert_allclose(curve.overfitting * data, curve.conditional_bias, **close)
    assert curve.degree_errors is None


def _log_error(point):
    """Of the logarithms of three eigenvalues, of n, features and the ridge."""
    point = jnp.exp(point)
    spectrum = Spectrum(point[:3], SPECTRUM.multiplicities, 0.01)
    return jnp.log(random_feature_curve(spectrum, TARGET, *point[3:]).test_error)


@pytest.mark.kin
def test_derivatives_of_first_and_second_order():
    with jax.enable_x64(True):
        point = jnp.log(jnp.array([*SPECTRUM.eigenvalues, 50.0, 70.0, 0.05]))
        gradient, value = jax.jit(jax.grad(_log_error)), jax.jit(_log_error)
        moved = [(point + 1e-4 * unit, point - 1e-4 * unit) for unit in jnp.eye(6)]
        slopes = [(value(right) - value(left)) / 2e-4 for right, left in moved]
        # In logarithms third derivatives are of order one: truncation of 1e-8 times them.
        np.testing.assert_allclose(gradient(point), slopes, atol=1e-7)
        direction = jnp.array([0.3, -0.5, 0.4, 0.6, -0.2, 0.3])
        curvature = jax.jvp(jax.grad(_log_error), (point,), (direction,))[1]
        sides = (gradient(point + sign * 1e-4 * direction) for sign in (1, -1))
        np.testing.assert_allclose(curvature, (next(sides) - next(sides)) / 2e-4, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(("n", "features"), [(50.0, 80.0), (80.0, 50.0), (400.0, 300.0)])
def test_derivative_at_no_ridge_is_one_sided_limit(n, features):
    def error(ridge):
        return random_feature_curve(SPECTRUM, TARGET, n, features, ridge).test_error

    with jax.enable_x64(True):
        slope, step = float(jax.grad(error)(0.0)), 1e-6
        # Three-point forward difference: truncation of order step^2 f'''.
        values = [float(error(k * step)) for k in range(3)]
        difference = (4 * values[1] - 3 * values[0] - values[2]) / (2 * step)
    assert slope == pytest.approx(difference, rel=1e-4)


@pytest.mark.slow
def test_transformations_of_jax_agree_with_plain_calls():
    n, ridge = np.array([10.0, 100, 1000]), 0.3
    plain = random_feature_curve(SPECTRUM, TARGET, n, 70, ridge)
    assert isinstance(plain.test_error, np.ndarray)
    assert plain.test_error.dtype == np.float64
    with jax.enable_x64(True):
        jitted = jax.jit(random_feature_curve)(SPECTRUM, TARGET, n, 70, ridge)
        mapped = jax.vmap(lambda x: random_feature_curve(SPECTRUM, TARGET, x, 70, ridge))(n)
    for other in (jitted, mapped):
        np.testing.assert_allclose(other.test_error, plain.test_error, rtol=40 * EPS)
    single = random_feature_curve(SPECTRUM, TARGET, jnp.float32(50), jnp.float32(70), 0.3)
    assert single.test_error.dtype == jnp.float32
    bound = 40 * float(np.finfo(np.float32).eps) * float(single.overfitting)
    exact = random_feature_curve(SPECTRUM, TARGET, 50, 70, 0.3)
    assert float(single.test_error) == pytest.approx(float(exact.test_error), rel=bound)


def test_all_arguments_broadcast():
    target = Target(TARGET.power, np.array([0.0, 0.2])[:, None, None, None])
    n, features, ridge = np.arange(1.0, 4), np.ones((5, 1)) * 7, np.ones((4, 1, 1))
    curve = random_feature_curve(SPECTRUM, target, n, features, ridge)
    assert curve.test_error.shape == curve.n.shape == curve.features.shape == (2, 4, 5, 3)


def test_records_name_the_axis_of_features():
    curve = random_feature_curve(SPECTRUM, TARGET, np.array([10.0, 20]), [[30.0], [40], [50]], 0.1)
    data = curve.to_xarray()
    assert data.test_error.dims == ("features", "n")
    np.testing.assert_array_equal(data.features, [30, 40, 50])
    assert "features" in repr(curve).splitlines()[1]
    labels = [line.get_label() for line in curve.plot(fields=("bias",)).lines]
    assert labels == ["bias, features 30", "bias, features 40", "bias, features 50"]


def test_infinite_variance_is_refused():
    for n, features in ((30, 30), (RANK, 1000)):
        with pytest.raises(DivergentError, match=f"n = {n} equals the rank of the kernel"):
            random_feature_curve(SPECTRUM, TARGET, [7, n], features, 0.0)
        with jax.enable_x64(True):
            curve = jax.jit(random_feature_curve)(SPECTRUM, TARGET, float(n), features, 0.0)
        assert np.asarray(curve.test_error) == np.asarray(curve.gcv) == np.inf
        assert np.asarray(curve.train_error) == 0
    assert np.isfinite(random_feature_curve(SPECTRUM, TARGET, 300, 300, 0.0).test_error)
    with pytest.raises(DivergentError):
        random_feature_curve(Spectrum([1.0], [10], tail=0.1), Target([1.0]), 50, 50, 0)


def test_a_spectrum_that_stops_too_early_is_refused():
    short = Spectrum([1.0, 0.1, 0.01], [1, 3, 5], tail=0.02, dim=3, domain="sphere")
    with pytest.raises(PrecisionError, match="stops at degree 2"):
        random_feature_curve(short, TARGET, 100, 200, 0.0)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"n": 0}, ValueError, "n must be positive"),
        ({"features": [10, -1]}, ValueError, "features must be positive"),
        ({"features": np.inf}, ValueError, "features must be finite"),
        ({"features": "many"}, TypeError, "features must be a real array"),
        ({"ridge": -1e-9}, ValueError, "ridge must not be negative"),
        ({"ridge": []}, ValueError, "ridge must hold"),
        ({"n": [1, 2, 3], "features": [1, 2]}, ValueError, "n and features and ridge must broad"),
        ({"spectrum": [1.0]}, TypeError, "spectrum must be a Spectrum"),
        ({"spectrum": Spectrum([1, -1], [1, 1])}, NotPositiveDefiniteError, "at degree 1"),
        ({"target": {1: 1.0}}, TypeError, "target must be a Target"),
        ({"target": Target({9: 1.0})}, ValueError, "target degree 9 is above the highest degree 2"),
        ({"target": Target([1], np.ones(2)), "n": np.ones(3)}, ValueError, "noise_variance must"),
    ],
)
def test_bad_arguments_are_named(changes, error, message):
    arguments = {"spectrum": SPECTRUM, "target": TARGET, "n": 10, "features": 20, "ridge": 0.1}
    with pytest.raises(error, match=message):
        random_feature_curve(**(arguments | changes))


def test_many_modes_agree_with_few_levels():
    modes = Spectrum(np.repeat(SPECTRUM.eigenvalues, [1, 20, 200]), np.ones(RANK))
    power = np.repeat(TARGET.powers(3) / SPECTRUM.multiplicities, [1, 20, 200])
    n, features, ridge = np.geomspace(1, 500, 7), 77.0, [[0.0], [0.01]]
    one = random_feature_curve(modes, Target(power, 0.2), n, features, ridge)
    other = random_feature_curve(SPECTRUM, TARGET, n, features, ridge)
    np.testing.assert_allclose(one.test_error, other.test_error, rtol=1e-11)


def test_overfitting_of_power_laws_is_their_exponent_plus_that_of_features():
    """For n << modes, E0 = n (b + s)/(s b) at s = n/a: a + 1 at p = 2 n, in place of a."""
    spectrum, target = power_law_spectrum(2, 20000), power_law_target(2.5, 20000)
    curve = random_feature_curve(spectrum, target, 100, 200, 0.0)
    # The sum of q (1 - q) is n/a with a correction of relative order 1/n.
    assert curve.overfitting == pytest.approx(3, rel=2 / 100)


def test_any_number_of_features_is_a_float():
    spectrum, target = Spectrum([1.0, 0.01], [10, 100], tail=0.1), Target([1.0, 1.0], 0.1)
    n = np.array([1.0, 50.0, 1e4])
    many = random_feature_curve(spectrum, target, n, 1e300, 0.1)
    kernel = learning_curve(spectrum, target, n, 0.1)
    np.testing.assert_allclose(many.test_error, kernel.test_error, rtol=1e-12)
    np.testing.assert_allclose(many.train_error, kernel.train_error, rtol=1e-12)


def test_without_noise_as_many_samples_as_modes_learn_all():
    curve = random_feature_curve(Spectrum([1.0], [100]), Target([1.0]), 100.0, 200.0, 0.0)
    assert curve.test_error == 0
