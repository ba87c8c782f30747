"""Simulated learning curves against exact formulas, theory and themselves."""

import pickle

import jax
import numpy as np
import pytest
import sympy
from numpy.testing import assert_array_equal
from scipy.stats import f as f_distribution

from kerneltheory.activations.catalogue import erf, relu
from kerneltheory.core.errors import PrecisionError
from kerneltheory.experiments.compare import compare
from kerneltheory.experiments.points import broadcast_points
from kerneltheory.experiments.runs import assemble, run_trial, run_trials
from kerneltheory.experiments.simulate import LEFT_OUT, simulate, sphere_problem
from kerneltheory.experiments.statistics import TrialTable
from kerneltheory.experiments.trial import DrawnTrial
from kerneltheory.kernels.kernel import dot_product_kernel, nngp, ntk
from kerneltheory.learning.equivalent import learning_curve
from kerneltheory.regression.nested import NestedRegression
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


@pytest.mark.parametrize(
    ("make", "phi"), [(ntk, relu), pytest.param(nngp, erf, marks=pytest.mark.slow)]
)
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
    problem = sphere_problem(kernel, target, 3, [n], ridge, 4, 0)
    assert len(problem.spectrum.degrees) > 8
    trial = DrawnTrial(problem, np.random.default_rng(0))
    nested = NestedRegression(trial._gram(), trial.labels[:, 0], ridge)
    points = uniform_sphere(np.random.default_rng(1), 40000, 3)
    _, part = gegenbauer_sequence(3, points[:, 0], 1)
    predictions = nested.predictions(kernel(np.clip(trial.x @ points.T, -1, 1)), [n])[0]
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
    table = TrialTable(broadcast_points([1, 2], 0.1, [0.0], counts))
    for trial in range(max(counts)):
        active = sum(count > trial for count in counts)
        table.add(trial, {name: rng.standard_normal(active) for name in (*table.values, "bias")})
    (curve,) = table.learning_curves("test")
    for index, count in enumerate(counts):
        for name in ("bias", "variance"):
            mean, error = _brute_force(table, name, index, count)
            assert getattr(curve, name)[index] == pytest.approx(mean, rel=1e-12)
            assert getattr(curve.standard_errors, name)[index] == pytest.approx(error, rel=1e-12)
        trials = table.values["gcv"][:count, index]
        assert curve.gcv[index] == pytest.approx(trials.mean(), rel=1e-12)
        expected = trials.std(ddof=1) / np.sqrt(count)
        assert curve.standard_errors.gcv[index] == pytest.approx(expected, rel=1e-12)


# --- many points, targets and noises in one pass -----------------------------------------------


ROUNDING = 1e-9  # 1e4 eps of the condition number 30 e / 0.05 in three steps


@pytest.mark.parametrize("labels", ["averaged", "drawn"])
def test_one_pass_over_ridges_noises_and_targets_is_many_separate_calls(labels):
    n, ridges, noises = [30, 2, 11], [0.5, 0.05], [0.3, 0.0, 0.1]
    first = Target({1: 0.7, 3: 0.3}, np.array(noises)[:, None, None])
    second = Target({0: 0.1, 2: 1.0}, 0.2)
    grid = {"ridge": np.array(ridges)[:, None], "labels": labels, "seed": 4}
    curves = run(n, target=(first, second), **grid)
    assert [curve.shape for curve in curves] == [(3, 2, 3), (2, 3)]
    assert [np.shape(curve.trials) for curve in curves] == [(3, 2, 3), (2, 3)]
    for curve, target in zip(curves, (first, second), strict=True):
        for index in np.ndindex(curve.shape):
            noise = np.broadcast_to(target.noise_variance, curve.shape)[index]
            alone = Target(target.power, float(noise))
            # All 30 samples, of which the draw of the noise comes after.
            other = run([n[index[-1]], 30], target=alone, **(grid | {"ridge": ridges[index[-2]]}))
            for one, two in ((curve, other), (curve.standard_errors, other.standard_errors)):
                for field in FIELDS:
                    expected = getattr(two, field)[0]
                    scale = abs(expected) + 1
                    assert abs(getattr(one, field)[index] - expected) < ROUNDING * scale
            assert (curve.n[index], curve.ridge[index]) == (n[index[-1]], ridges[index[-2]])
            assert curve.noise_variance[index] == noise


def test_parameters_that_go_together_are_their_own_points():
    n, ridge = np.array([4, 12, 30]), np.array([0.4, 0.2, 0.1])
    noise = np.array([0.0, 0.1, 0.2])
    curve = run(n, ridge=ridge, target=Target({1: 1.0}, noise), labels="drawn")
    whole = run(n, ridge=ridge[:, None], target=Target({1: 1.0}, 0.2), labels="drawn")
    assert curve.shape == (3,)
    np.testing.assert_allclose(curve.test_error[2], whole.test_error[2, 2], rtol=ROUNDING)
    comparison = compare(
        learning_curve(spectrum(EXPONENTIAL, 5, 24), Target({1: 1.0}, noise), n, ridge), curve
    )
    assert comparison["test_error"].z.shape == (3,)


@pytest.mark.parametrize("labels", [pytest.param("averaged", marks=pytest.mark.slow), "drawn"])
def test_a_grid_of_ridges_and_noises_agrees_with_theory(labels):
    target = Target({1: 0.5, 2: 0.5}, noise_variance=np.array([0.1, 1.0])[:, None, None])
    kernel = ntk(relu, 1, weight_variance=2)
    n, ridge = [40, 100, 250], [[0.02], [2.0]]
    curve = run(n, kernel=kernel, target=target, dim=16, ridge=ridge, trials=10, labels=labels)
    theory = learning_curve(spectrum(kernel, 16, 24), target, n, ridge)
    comparison = compare(theory, curve)
    # Theory is 0.3% off at dim 30 and 3% at dim 6; 2% lies between. 36 points beyond 5 standard
    # errors of 9 degrees of freedom: at most one run in 40, were none of them correlated.
    for field in ("test_error", "bias", "variance"):
        assert comparison[field].fraction_within(5.0, 0.02) == 1


def test_one_sample_has_the_exact_errors_at_every_ridge_and_noise():
    ridge, noise = np.array([0.0, 0.3, 2.0])[:, None], np.array([0.0, 0.5])
    target = Target({1: 0.7, 2: 0.3}, noise)
    curve = run(np.array([1, 1]), ridge=ridge, target=target, trials=4)
    levels = spectrum(EXPONENTIAL, 5, 24)
    powers, values, r = target.powers(25), levels.eigenvalues, np.e + ridge
    squares = np.sum(levels.level_masses * values)
    exact = 1 - 2 * np.sum(values * powers) / r + (1 + noise) * squares / r**2
    np.testing.assert_allclose(curve.test_error, exact, rtol=1e-14)


# --- trials one by one -------------------------------------------------------------------------


@pytest.mark.parametrize("labels", ["averaged", "drawn"])
def test_trials_run_alone_and_in_any_order_give_the_same_bits(labels):
    arguments = (EXPONENTIAL, (TARGET, Target({2: 1.0}, [0.1, 0.3])), 5)
    arguments += ([20, 40], [[0.1], [1.0]], [5, 4], 8)
    problem = pickle.loads(pickle.dumps(sphere_problem(*arguments, labels=labels)))
    files = {index: pickle.dumps(run_trial(problem, index)) for index in (3, 0, 4, 2, 1)}
    curves = assemble(problem, ((index, pickle.loads(file)) for index, file in files.items()))
    expected = simulate(*arguments, labels=labels, progress=False)
    assert curves == expected


def test_a_trial_that_lacks_something_is_refused():
    problem = sphere_problem(EXPONENTIAL, TARGET, 5, [2, 5], 0.1, 4, 0)
    trials = dict(run_trials(problem, range(4)))
    with pytest.raises(ValueError, match=r"every trial must be entered, \[2\] are not"):
        assemble(problem, ((i, trials[i]) for i in (0, 1, 3)))
    del trials[2]["bias"]
    with pytest.raises(ValueError, match=r"trial 2 must hold bias of shape \(2,\), got None"):
        assemble(problem, trials.items())
    trials[2]["bias"] = np.ones(3)
    with pytest.raises(ValueError, match=r"trial 2 must hold bias of shape \(2,\), got \(3,\)"):
        assemble(problem, trials.items())


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
        ({"n": 0}, ValueError, "n must hold integers of at least 1, got 0"),
        ({"n": []}, ValueError, "n must hold at least one"),
        ({"n": 2.5}, TypeError, "n must hold integers"),
        ({"n": "5"}, TypeError, "n must hold integers"),
        ({"ridge": -0.1}, ValueError, "ridge must not be negative, got -0.1"),
        ({"ridge": np.nan}, ValueError, "ridge must be finite"),
        (
            {"ridge": [0.1, 0.2, 0.3]},
            ValueError,
            r"n and ridge .* must broadcast.*\(2,\) and \(3,\)",
        ),
        ({"ridge": []}, ValueError, "ridge must hold at least one number"),
        (
            {"target": Target({1: 1.0}, [0.1, 0.2, 0.3])},
            ValueError,
            "noise_variance must broadcast",
        ),
        ({"target": []}, TypeError, "target must be a Target or a list of at least one"),
        ({"target": [TARGET, 1.0]}, TypeError, "target must be a Target or a list"),
        ({"ridge": "0.1"}, TypeError, "ridge must be a real array"),
        ({"ridge": 1j}, TypeError, "ridge must be a real array"),
        ({"dim": 1}, ValueError, "dim must be an integer of at least 2, got 1"),
        ({"dim": 5.0}, TypeError, "dim must be an integer"),
        ({"trials": 3}, ValueError, "trials must hold integers of at least 4, got 3"),
        (
            {"trials": [6, 5, 4]},
            ValueError,
            r"trials must be one integer or an array .*shape \(2,\)",
        ),
        ({"trials": [[6], [5]]}, ValueError, "trials must be one integer or an array"),
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
