"""Simulated learning curves against exact formulas, theory and themselves."""

import jax
import numpy as np
import pytest
import sympy
from numpy.testing import assert_array_equal
from scipy.stats import f as f_distribution

from kerneltheory.activations.catalogue import erf, relu
from kerneltheory.core.errors import PrecisionError
from kerneltheory.experiments.compare import compare
from kerneltheory.experiments.simulate import LEFT_OUT, _problem, simulate
from kerneltheory.experiments.statistics import TrialTable
from kerneltheory.experiments.trial import DrawnTrial
from kerneltheory.kernels.kernel import dot_product_kernel, nngp, ntk
from kerneltheory.learning.equivalent import learning_curve
from kerneltheory.spectra.domains import spectrum
from kerneltheory.spectra.spectrum import Target
from kerneltheory.sphere.harmonics import multiplicity
from kerneltheory.sphere.polynomials import gegenbauer_sequence
from kerneltheory.sphere.sampling import uniform_sphere

T = sympy.Symbol("t", real=True)
EXPONENTIAL = dot_product_kernel(sympy.exp(T))
TARGET = Target({1: 0.7, 2: 0.3}, noise_variance=0.2)
FIELDS = ("test_error", "bias", "variance", "train_error", "gcv", "leave_one_out")


def run(n, *, kernel=EXPONENTIAL, target=TARGET, dim=5, ridge=0.1, trials=6, seed=0, **options):
    return simulate(kernel, target, dim, n, ridge, trials, seed, progress=False, **options)


# --- one sample: exact formulas of the mean over samples -------------------------------------


@pytest.mark.parametrize(("dim", "ridge"), [(2, 0.0), (5, 0.1), (40, 2.0)])
def test_one_sample_has_the_exact_errors(dim, ridge):
    curve = run(1, dim=dim, ridge=ridge, trials=400)
    levels = spectrum(EXPONENTIAL, dim, 24)
    powers, values = TARGET.powers(25), levels.eigenvalues
    r = np.e + ridge
    squares = np.sum(levels.level_masses * values)
    test_error = 1 - 2 * np.sum(values * powers) / r + (1 + 0.2) * squares / r**2
    # Averaged labels leave nothing of a single sample to chance: r and three sums are rounded.
    assert curve.test_error == pytest.approx(test_error, rel=1e-14)
    bias = np.sum(powers * (1 - values / r) ** 2)
    assert abs(curve.bias - bias) < 4 * curve.standard_errors.bias
    assert abs(curve.variance - (test_error - bias)) < 4 * curve.standard_errors.variance
    # One sample left out is predicted by none; its label has power 1 and noise 0.2.
    assert abs(curve.leave_one_out - 1.2) < 4 * curve.standard_errors.leave_one_out


def test_without_target_and_noise_there_is_no_error():
    curve = run([1, 30], target=Target({1: 0.0}))
    for field in FIELDS:
        assert_array_equal(getattr(curve, field), 0)


# --- against theory ----------------------------------------------------------------------------


@pytest.mark.parametrize(("make", "phi"), [(ntk, relu), (nngp, erf)])
def test_theory_predicts_the_simulation_at_dim_24(make, phi):
    kernel = make(phi, 1, weight_variance=2, bias_variance=sympy.Rational(1, 10))
    target = Target({1: 0.5, 2: 0.3, 3: 0.2}, noise_variance=0.1)
    n = [16, 25, 60, 150]
    simulated = run(n, kernel=kernel, target=target, dim=24, ridge=1e-3, trials=12)
    theory = learning_curve(spectrum(kernel, 24, 24), target, n, 1e-3)
    comparison = compare(theory, simulated)
    # Theory itself is 0.2-0.3% off at dim 30 and 3% at dim 6; 1.5% lies between, near 24.
    for field in ("test_error", "bias", "variance"):
        assert comparison[field].fraction_within(3.0, 0.015) == 1
    noise = np.asarray(theory.test_error) + 0.1
    for estimate in ("gcv", "leave_one_out"):
        error = getattr(simulated.standard_errors, estimate)
        deviation = np.abs(getattr(simulated, estimate) - noise)
        # Both estimate the error of fewer samples than n: by 1/n, to leading order.
        assert np.all(deviation < 3.5 * error + 2 * noise / np.array(n))


def test_drawn_and_averaged_labels_have_one_mean():
    n = [1, 4, 20, 60]
    averaged = run(n, trials=60, seed=1)
    drawn = run(n, trials=60, seed=2, labels="drawn")
    for field in ("test_error", "bias", "variance"):
        difference = getattr(averaged, field) - getattr(drawn, field)
        error = np.hypot(
            getattr(averaged.standard_errors, field), getattr(drawn.standard_errors, field)
        )
        assert np.all(np.abs(difference) < 4 * error)
    # Averaging is for this: most of the scatter is that of labels.
    assert np.all(averaged.standard_errors.test_error < drawn.standard_errors.test_error)


def test_the_same_samples_and_labels_whichever_way_errors_are_taken():
    averaged, drawn = run([3, 30]), run([3, 30], labels="drawn")
    for field in ("train_error", "gcv", "leave_one_out"):
        assert_array_equal(getattr(averaged, field), getattr(drawn, field))


# --- degrees -----------------------------------------------------------------------------------


# In low dimension a kernel that is not smooth learns many degrees.
CUSP = dot_product_kernel(sympy.Rational(3, 2) - sympy.sqrt(1 - T))


def test_degrees_are_added_until_those_left_out_do_not_matter(monkeypatch):
    # Far fewer than the usual 24, which would do for these few samples.
    monkeypatch.setattr("kerneltheory.experiments.simulate.MAX_DEGREE", 2)
    kernel, n, ridge = CUSP, 20, 1e-2
    target = Target({1: 1.0}, noise_variance=0.1)
    problem, _ = _problem(kernel, target, 3, [n], ridge, 4)
    assert len(problem.spectrum.degrees) > 8
    trial = DrawnTrial(problem, np.random.default_rng(0))
    points = uniform_sphere(np.random.default_rng(1), 40000, 3)
    _, part = gegenbauer_sequence(3, points[:, 0], 1)
    predictions = trial.regression.predictions(kernel(np.clip(trial.x @ points.T, -1, 1)), [n])[0]
    errors = (predictions - np.sqrt(multiplicity(3, 1)) * part) ** 2
    bound = 4 * errors.std() / np.sqrt(errors.size) + LEFT_OUT * errors.mean()
    assert abs(trial.measured()["test_error"][0] - errors.mean()) < bound


def test_errors_that_would_be_cut_off_are_refused(monkeypatch):
    monkeypatch.setattr("kerneltheory.experiments.simulate.MAX_DEGREE", 6)
    monkeypatch.setattr("kerneltheory.experiments.simulate.HIGHEST_DEGREE", 8)
    # 500 samples of S^1 resolve about 250 degrees.
    with pytest.raises(PrecisionError, match=r"n = 500 at dim 2 .* beyond degree 8.*smaller n"):
        run([10, 500], kernel=CUSP, dim=2, ridge=1e-6)


def test_a_target_of_high_degree_is_all_error_for_few_samples():
    curve = run([1, 10], target=Target({30: 1.0}), dim=4, trials=4)
    # exp(t) holds degree 30 with 1e-40: no predictor overlaps with it, and labels act as noise.
    assert np.all(curve.test_error > 1)
    np.testing.assert_allclose(curve.bias, 1, atol=0.5)


# --- standard errors ---------------------------------------------------------------------------


def _tables(curves):
    for field in FIELDS:
        means = np.array([getattr(curve, field) for curve in curves])
        errors = np.array([getattr(curve.standard_errors, field) for curve in curves])
        yield field, means.var(axis=0, ddof=1) / np.mean(errors**2, axis=0)


def test_standard_errors_are_the_spread_of_repeated_simulations():
    repeats, trials = 40, 8
    curves = [run([2, 10, 30], trials=trials, seed=seed) for seed in range(repeats)]
    # The ratio of two estimates of one variance has the F distribution for normal values; the
    # skewness of squared errors widens it, for which a probability of 1e-5 leaves room.
    degrees = (repeats - 1, repeats * (trials - 1))
    low, high = f_distribution.ppf([1e-5, 1 - 1e-5], *degrees)
    for field, ratio in _tables(curves):
        # A jackknife over the trials of pairs counts twice what is peculiar to a pair (Efron and
        # Stein 1981): it is never too small, and at most sqrt 2 too large.
        paired = field in ("bias", "variance")
        assert np.all(ratio < high), field
        assert np.all(ratio > (low / 2 if paired else low)), field


def _brute_force(table, name, index, count):
    trials, pairs = table.values["test_error"][:count, index], table.pairs[: count - 1, index]

    def estimate(kept):
        bias = np.mean([pairs[i] for i in range(count - 1) if i in kept and i + 1 in kept])
        return bias if name == "bias" else np.mean([trials[i] for i in kept]) - bias

    everyone = list(range(count))
    left_out = [estimate([i for i in everyone if i != left]) for left in everyone]
    spread = np.sum((left_out - np.mean(left_out)) ** 2)
    return estimate(everyone), np.sqrt((count - 1) / count * spread)


@pytest.mark.parametrize("counts", [(9, 9), (7, 4), (4, 4)])
def test_the_jackknife_leaves_each_trial_out_of_every_pair(counts, rng):
    counts = np.array(counts)
    table = TrialTable(np.array([1, 2]), counts)
    for trial in range(counts.max()):
        active = counts > trial
        values = {name: rng.standard_normal(active.sum()) for name in table.values}
        table.add(trial, active, values)
        if trial:
            table.add_pair(trial, active, rng.standard_normal(active.sum()))
    curve = table.learning_curve(0.1, "test", (2,))
    for index, count in enumerate(counts):
        for name in ("bias", "variance"):
            mean, error = _brute_force(table, name, index, count)
            assert getattr(curve, name)[index] == pytest.approx(mean, rel=1e-12)
            assert getattr(curve.standard_errors, name)[index] == pytest.approx(error, rel=1e-12)
        trials = table.values["gcv"][:count, index]
        assert curve.gcv[index] == pytest.approx(trials.mean(), rel=1e-12)
        expected = trials.std(ddof=1) / np.sqrt(count)
        assert curve.standard_errors.gcv[index] == pytest.approx(expected, rel=1e-12)


# --- reproducibility, shapes, arguments --------------------------------------------------------


def test_one_seed_gives_the_same_bits_and_another_seed_others():
    first, again, other = run([2, 30]), run([2, 30]), run([2, 30], seed=1)
    assert first == again
    assert np.all(first.test_error != other.test_error)


def test_a_number_of_trials_for_each_size():
    curve = run([2, 10, 40], trials=[9, 9, 4])
    assert_array_equal(curve.trials, [9, 9, 4])
    # The first trials are those of a run with fewer: only the sums may run in another order.
    few = run([2, 10, 40], trials=4)
    assert curve.test_error[2] == pytest.approx(few.test_error[2], rel=1e-12)
    assert curve.bias[2] == pytest.approx(few.bias[2], rel=1e-12)
    many = run([2, 10], trials=9)
    np.testing.assert_allclose(curve.test_error[:2], many.test_error, rtol=1e-12)


def test_a_single_size_gives_numbers():
    curve = run(7)
    for field in FIELDS:
        assert np.shape(getattr(curve, field)) == ()
        assert np.shape(getattr(curve.standard_errors, field)) == ()
    assert curve.n == 7
    assert curve.test_error == pytest.approx(float(run([7]).test_error[0]), rel=1e-14)


def test_test_error_is_bias_and_variance():
    curve = run([2, 30])
    np.testing.assert_allclose(curve.test_error, curve.bias + curve.variance, rtol=1e-13)


def test_settings_of_jax_and_numpy_are_left_alone():
    before = np.geterr(), jax.config.jax_enable_x64, jax.numpy.ones(1).dtype
    run([2, 10])
    assert before == (np.geterr(), jax.config.jax_enable_x64, jax.numpy.ones(1).dtype)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"n": [10, 5]}, ValueError, "n must be .* in rising order"),
        ({"n": np.array([10, 5], np.uint8)}, ValueError, "n must be .* in rising order"),
        ({"n": [5, 5]}, ValueError, "n must be .* in rising order"),
        ({"n": [[5, 6]]}, ValueError, "n must be .* in rising order"),
        ({"n": 0}, ValueError, "n must hold integers of at least 1, got 0"),
        ({"n": []}, ValueError, "n must hold at least one"),
        ({"n": 2.5}, TypeError, "n must hold integers"),
        ({"n": "5"}, TypeError, "n must hold integers"),
        ({"ridge": -0.1}, ValueError, "ridge must not be negative, got -0.1"),
        ({"ridge": np.nan}, ValueError, "ridge must be finite"),
        ({"ridge": [0.1, 0.2]}, ValueError, "ridge must have 0 dimensions"),
        ({"ridge": "0.1"}, TypeError, "ridge must be a real array"),
        ({"ridge": 1j}, TypeError, "ridge must be a real array"),
        ({"dim": 1}, ValueError, "dim must be an integer of at least 2, got 1"),
        ({"dim": 5.0}, TypeError, "dim must be an integer"),
        ({"trials": 3}, ValueError, "trials must hold integers of at least 4, got 3"),
        ({"trials": [5, 6], "n": [1, 2]}, ValueError, "trials must be one integer or one for each"),
        ({"trials": [6, 5, 4], "n": [1, 2]}, ValueError, "trials must be one integer or one for"),
        ({"trials": 5.5}, TypeError, "trials must hold integers"),
        ({"seed": -1}, ValueError, "seed must be an integer of at least 0"),
        ({"seed": None}, TypeError, "seed must be an integer"),
        ({"labels": "random"}, ValueError, 'labels must be "averaged" or "drawn"'),
        ({"kernel": np.exp}, TypeError, "kernel must come from"),
        ({"target": {1: 1.0}}, TypeError, "target must be a Target"),
    ],
)
def test_bad_arguments_are_named(arguments, error, message):
    with pytest.raises(error, match=message):
        run(**({"n": [5, 10]} | arguments))
