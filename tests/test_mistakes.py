"""A mistake made on purpose in each public function: what the error names and accepts.

Every error is raised at the call, of a type that its docstring names, and its message names the
argument and what was given.
"""

import inspect
import math

import matplotlib
import numpy as np
import pytest
import sympy

import kerneltheory as kt

matplotlib.use("agg")

t, u = sympy.symbols("t u")
RELU = kt.nngp(kt.relu, 1, weight_variance=2)
EXP = kt.dot_product_kernel(sympy.exp(t))
LEVELS = kt.Spectrum([0.5, 0.1], [1, 5], tail=0.5)
TARGET = kt.Target({1: 1.0}, noise_variance=0.1)
CURVE = kt.LearningCurve(n=[1, 2], test_error=[1.0, 0.5])
X = np.arange(12.0).reshape(6, 2) + 1
Y = X[:, 0]
NETWORK = {"weight_variance": 2, "bias_variance": 0}
FROM = "kernel must come from kt.nngp, kt.ntk or kt.dot_product_kernel, got"
PHI = "phi must be an Activation or a sympy expression in one symbol, got"
SPECTRUM = "spectrum must be a Spectrum, got NetworkKernel; a kernel's is kt.spectrum"

# Of each public function and class: the arguments of a call, and what its error says.
MISTAKES = {
    "ScalingExponents": [((0.5,), {}, "capacity_exponent must be above 1")],
    "activation": [
        (("relu",), {}, f"{PHI} str 'relu'"),
        ((u * t,), {}, "phi must have exactly one free symbol, got ['t', 'u']"),
        ((sympy.sqrt(u),), {}, "phi must be real on the real line, got sqrt(x)"),
        ((u, 3), {}, "name must be a short text or None, got 3"),
    ],
    "capacity_exponent": [((kt.relu, 5), {}, FROM), ((RELU, 1), {}, "dim must be an integer")],
    "certified_spectrum": [
        ((RELU, 1, 3), {}, "dim must be an integer of at least 2, got 1"),
        ((RELU, 5, 3), {"digits": "30"}, "digits must be an integer of at least 1, got '30'"),
        ((RELU, 5, 3), {"domain": ["sphere"]}, "domain must be one of sphere, circle, hypercube"),
    ],
    "classifier_limit": [((RELU,), {}, PHI)],
    "compare": [
        ((LEVELS, CURVE), {}, "theory must be a LearningCurve, got Spectrum"),
        ((CURVE, CURVE), {}, "simulated must have standard_errors, got a curve without"),
    ],
    "cosine": [((0,), {}, "frequency must not be zero, got 0")],
    "covariance_dual": [((RELU,), {}, PHI), ((kt.relu, -1), {}, "derivative must be an integer")],
    "critical_line": [
        ((kt.tanh, [-1]), {}, "variances must be positive, got -1"),
        ((kt.step, [1.0]), {}, "chi_1 of step is infinite: phi jumps"),
    ],
    "critical_point": [((kt.tanh,), {"variance": "a"}, "variance must be a finite real number")],
    "decompose": [((Y[:3], X, 2), {}, "f must give one value for each of 6 rows, got (3,)")],
    "decompose_zonal": [((kt.relu, 3, 2), {}, "g must be a sympy expression in one symbol")],
    "deep_votes": [
        ((kt.relu, np.eye(2), [1, 2], np.eye(2), 4), {}, "y must hold labels -1 and 1, got others"),
        ((kt.relu, -np.eye(2), [1, -1], np.eye(2), 4), {}, "X must have rows in the non-negative"),
    ],
    "depth_profile": [
        ((kt.erf, 4, 2, [4, 3]), NETWORK, "depths must be a list of ascending integers"),
        ((kt.erf, 4, 2, [4]), NETWORK | {"tangent": "no"}, "tangent must be True or False"),
    ],
    "depth_spectrum": [
        ((kt.relu, X, [3, 2]), NETWORK, "depths must be an increasing sequence of integers"),
        ((kt.relu, X, [3]), NETWORK | {"window": 0}, "window must be an integer of at least 1"),
        ((kt.relu, X, [3]), NETWORK | {"architecture": "rnn"}, "architecture must be one of fcn"),
        ((kt.step, X, [3]), NETWORK, "slope of the correlation map of step is infinite"),
        (
            (kt.relu, X, [3]),
            {"weight_variance": sympy.sqrt(2), "bias_variance": 0},
            "weight_variance must be an int, a float, a Fraction or a rational of sympy, got sqrt",
        ),
    ],
    "derive_dual": [((kt.relu, 0.5), {}, "derivative must be an integer of at least 0, got 0.5")],
    "derive_effective_theory": [((["gelu"],), {}, "result must be one of susceptibilities")],
    "derive_eigenvalue": [((RELU, -1, 5), {}, "degree must be an integer of at least 0, got -1")],
    "derive_eigenvalue_expansion": [((RELU, 1, -1), {}, "order must be an integer of at least 0")],
    "derive_high_order_curve": [((3,), {}, "result must be one of learning curve, peak height")],
    "derive_tail_law": [((EXP, 5), {}, "decay faster than any power")],
    "dot_product_kernel": [
        (("exp(t)",), {}, "expression must be a sympy expression in one symbol, got 'exp(t)'"),
        ((1 / (1 - t),), {}, "expression must be finite at t = 1"),
        ((sympy.sqrt(t),), {}, "expression must be a finite real number for t in (-1, 1), got sqr"),
        ((sympy.log(t),), {}, "got log(t), which is zoo at t = 0"),
    ],
    "dual": [((kt.leaky_relu,), {}, PHI), ((sympy.exp(u**2),), {}, "exp(x**2) grows too fast")],
    "dual_class": [((3,), {}, f"{PHI} int 3")],
    "effective_ridge": [
        ((RELU, 10, 0.1), {}, SPECTRUM),
        ((LEVELS, [1, 2, 3], [1, 2]), {}, "n and ridge must broadcast, got shapes (3,) and (2,)"),
    ],
    "eigenvalue": [
        ((RELU, 1.5, 10), {}, "degree must be an integer of at least 0, got 1.5"),
        ((RELU, 2, 1), {}, "dim must be an integer of at least 2, got 1"),
        ((kt.relu, 2, 10), {}, FROM),
    ],
    "eigenvalue_expansion": [((RELU, 1, 2), {"dim": 10}, "dim must be a sympy symbol, got 10")],
    "empirical_spectrum": [((RELU, X, Y[:3]), {}, "y must have 6 rows as X has, got shape (3,)")],
    "explore": [((3,), {}, "draw must be a function that returns a figure, got 3")],
    "exponential": [((0,), {}, "rate must not be zero, got 0")],
    "finite_width": [
        ((kt.relu, 3.5, 10), NETWORK | {"variance": 1}, "depth must be an integer of at least 1"),
        ((kt.relu, 3, 10), NETWORK | {"variance": 0}, "variance must be positive, got 0"),
    ],
    "gabor": [((-1, 1), {}, "decay must be positive, got -1")],
    "gaussian": [((math.nan,), {}, "decay must be a finite real number, got nan")],
    "generalization_depth": [((3,), {}, "phase must be a Phase, got 3")],
    "gradient_flow_curve": [((LEVELS, TARGET, 10, -1), {}, "time must not be negative, got -1")],
    "gram_product": [
        ((RELU, X, Y[:3]), {}, "V must have shape (6,) or (6, outputs), got (3,)"),
        ((RELU, X, Y), {"axis": 3}, "axis must be the name of an axis of the mesh, got 3"),
    ],
    "harmonic_basis": [((2, X[0]), {}, "X must have 2 dimensions, got shape (2,)")],
    "hermite": [((0,), {}, "degree must be an integer of at least 1, got 0")],
    "hermite_coefficients": [((kt.relu, 2.5), {}, "count must be an integer of at least 1")],
    "high_order_curve": [
        ((LEVELS, TARGET, 1, 1.0, 0.1), {}, "with Taylor coefficients, got Spectrum"),
        ((EXP, TARGET, 0, 1.0, 0.1), {}, "order must be an integer of at least 1, got 0"),
        ((EXP, TARGET, 1, 1.0, []), {}, "ridge must hold at least one number, got shape (0,)"),
    ],
    "leaky_relu": [(("0.1",), {}, "slope must be a finite real number, got '0.1'")],
    "learning_curve": [
        ((RELU, TARGET, 10, 0.1), {}, SPECTRUM),
        ((LEVELS, {1: 1.0}, 10, 0.1), {}, "target must be a Target, got dict"),
        ((LEVELS, TARGET, math.nan, 0.1), {}, "n must be finite, got 1 entries that are NaN"),
        ((LEVELS, TARGET, 10, -100), {}, "ridge must be above"),
    ],
    "lowest_ridge": [((LEVELS, 0), {}, "n must be positive, got 0")],
    "marchenko_pastur_density": [((1.0, -1), {}, "alpha must be positive, got -1")],
    "monomial": [((2.0,), {}, "power must be an integer of at least 1, got 2.0")],
    "multiscale_curve": [
        ((LEVELS, TARGET, 10, 5, 0.1), {}, "with Taylor coefficients, got Spectrum"),
        ((EXP, TARGET, 10, 5, []), {}, "ridge must hold at least one number, got shape (0,)"),
    ],
    "nngp": [
        ((kt.relu, 0), NETWORK, "depth must be an integer of at least 1, got 0"),
        ((RELU, 1), NETWORK, PHI),
        ((kt.relu, 1), {"weight_variance": -2}, "weight_variance must be positive, got -2"),
    ],
    "ntk": [((kt.step, 1), NETWORK, "the NTK of step diverges: .*use kt.nngp")],
    "optimal_activation": [((1.5,), {}, "sphere_dimension must be an integer of at least 1")],
    "optimal_frequency": [((1,), {}, "sphere_dimension must be an integer of at least 2, got 1")],
    "optimal_ridge": [((LEVELS, TARGET, 10), {"features": -1}, "features must be positive")],
    "optimal_stopping": [((TARGET, LEVELS, 10), {}, "spectrum must be a Spectrum, got Target")],
    "peaks": [((LEVELS, TARGET, [0.1, 0.2]), {}, "ridge must have 0 dimensions, got shape (2,)")],
    "phase": [
        ((kt.tanh, -1), {}, "weight_variance must be positive, got -1"),
        ((u * sympy.cos(u), 1), {}, "neither stays near a line nor exceeds it"),
    ],
    "phase_diagram": [((kt.tanh, 1.0, [0]), {}, "weight_variances must have 1 dimensions")],
    "plot_spectra": [
        (([LEVELS],), {}, "spectra must be a mapping by name, got list"),
        (({"a": RELU},), {}, "a spectrum to draw must be a Spectrum, got nngp"),
        (({"a": LEVELS},), {"laws": {"a": 3}}, "the law of a must be a function of the degree"),
        (({"a": LEVELS},), {"ax": 3}, "ax must be an Axes, got 3"),
    ],
    "polynomial": [(([1, 2],), {}, "coefficients must be a finite real number, got [1, 2]")],
    "power_law_spectrum": [
        ((1, 10), {}, "exponent must be above 1, where the sum is finite, got 1"),
        ((2, 10), {"normalized": "yes"}, "normalized must be True or False, got 'yes'"),
    ],
    "power_law_target": [((2, -1), {}, "levels must be an integer of at least 1, got -1")],
    "random_feature_curve": [
        ((LEVELS, TARGET, 10, 0, 0.1), {}, "features must be positive, got 0"),
        ((LEVELS, TARGET, 10, 20, 0.1), {"signs": [1]}, "signs must hold one number for each of 2"),
    ],
    "rbf_feature": [((0,), {}, "gamma must be positive, got 0")],
    "read_sweep": [(("no such place",), {}, "directory must hold a sweep, got no such place")],
    "rectified_monomial": [((-1,), {}, "power must be an integer of at least 0, got -1")],
    "sampling_bias": [
        ((RELU, 10), {}, "spectrum must be a Spectrum, got nngp"),
        ((LEVELS, 0), {}, "n must be an integer of at least 1, got 0"),
    ],
    "scaled_erf": [((0,), {}, "scale must not be zero, got 0")],
    "scaling_exponents": [((LEVELS, TARGET), {"fit": "all"}, 'fit must be "levels" or "tails"')],
    "simulate": [
        ((kt.relu, TARGET, 5, 10, 0.1), {"trials": 4, "seed": 0}, FROM),
        ((RELU, TARGET, 5, 10.5, 0.1), {"trials": 4, "seed": 0}, "n must hold integers of at lea"),
        ((RELU, TARGET, 5, 10, 0.1), {"trials": 1, "seed": 0}, "trials must hold integers of at l"),
    ],
    "simulate_on_data": [((RELU, X, Y[:3], 3, 0.1), {"trials": 4, "seed": 0}, "y must have shape")],
    "simulate_subsets": [((X, Y, 3, 0.1), {"trials": 4, "seed": 0}, "gram must be a square matri")],
    "sine": [((1, "p"), {}, "phase must be a finite real number, got 'p'")],
    "solve_iteratively": [
        ((RELU, X, Y, -1), {}, "ridge must not be negative, got -1"),
        ((RELU, X, Y, 1), {"preconditioner": "none of them"}, "preconditioner must be one of"),
    ],
    "solve_trials": [((RELU, X, Y, 1), {"mesh": 3}, "mesh must be a jax.sharding.Mesh")],
    "spectrum": [
        ((kt.relu, 10, 4), {}, FROM),
        ((RELU, 10, 4.0), {}, "max_degree must be an integer of at least 0, got 4.0"),
        ((RELU, 10, 4), {"domain": "circle"}, 'dim must be 2 where domain is "circle", got 10'),
    ],
    "subset_learning_curve": [((LEVELS, TARGET, 100, 0.1), {}, "n must lie between 0 and the num")],
    "sweep": [((RELU, 3, 5, 10, 0.1), {"trials": 4, "seed": 0}, "target must be a Target, got")],
    "tail_law": [((RELU, 5), {"terms": 0}, "terms must be an integer of at least 1, got 0")],
    "trainability_depth": [
        (("ordered",), {}, "phase must be a Phase, got 'ordered'"),
        ((kt.phase(kt.relu, 3),), {}, "relu has no fixed variance at weight_variance = 3"),
    ],
    "two_slope": [((0, 0), {}, "negative and positive must not both be zero")],
    "universality_table": [
        ((kt.relu,), {}, "activations must be a list of activations, got Activation"),
        (([],), {}, "activations must hold at least one activation, got none"),
    ],
    "zonal_harmonic": [((2, X, X), {}, "pole must have shape (2,) as a row of X, got (6, 2)")],
    # Records that a user makes.
    "EquicorrelatedPoints": [((10, 1.5), {}, "correlation must be in [-0.111, 1)")],
    "LearningCurve": [
        ((), {"n": "a"}, "n must be a real array, got 'a'"),
        ((), {"n": [1, 2], "bias": [1, 2, 3]}, "n and bias must broadcast, got shapes (2,) and"),
    ],
    "Spectrum": [
        (([1, 2], [1]), {}, "eigenvalues and multiplicities must have the same shape"),
        (([1.0], [1]), {"domain": "torus"}, "domain must be one of sphere, circle, hypercube"),
        (([1.0], [1]), {"errors": [0.1, 0.2]}, "errors must be None or numbers of shape (1,)"),
        (([1.0], [1]), {"logarithms": "a"}, "logarithms must be None or numbers of shape (2, 1)"),
        (([1.0], [1]), {"relative_error": [0.1]}, "relative_error must be a single number"),
    ],
    "Target": [
        (({1: -1.0},), {}, "power[1] must not be negative, got -1"),
        (([1.0], "a"), {}, "noise_variance must be a real array, got str"),
    ],
}
CASES = [(name, *case) for name, cases in MISTAKES.items() for case in cases]
LAW = kt.tail_law(RELU, 5)
DUAL = kt.dual(kt.relu)
# Of methods of what functions return.
METHODS = [
    (lambda: DUAL(2.0), "dual of relu is not a real number at (rho) = (2.0,)"),
    (lambda: DUAL.diff("rho2"), "argument must be of the arguments rho of dual of relu"),
    (lambda: DUAL.diff(DUAL.args[0], 0), "order must be an integer of at least 1, got 0"),
    (lambda: DUAL.substitute({u: 1}), "values must be of the arguments rho of dual of relu"),
    (lambda: DUAL.substitute(u), "values must be a mapping {argument: value}, got u"),
    (lambda: kt.dual(kt.tanh).diff(u, 1), "argument must be rho, got u"),
    (lambda: kt.derive_dual(kt.relu).verify(0), "digits must be an integer of at least 1, got 0"),
    (lambda: LAW("a"), "degree must be a real array, got str"),
    (lambda: LAW(2.5), "degree must hold integers of at least 0, got 2.5"),
    (lambda: kt.tail_law(EXP, 5)(3), "there is no law to evaluate: dot_product_kernel(exp(t))"),
    (lambda: kt.tail_law(RELU, u)(3), "dim must be a number for a law to evaluate, got u"),
    (lambda: CURVE.standard_error("errors"), "name must be one of test_error, bias"),
    (lambda: CURVE.plot_degrees(most=0), "most must be an integer of at least 1, got 0"),
    (lambda: CURVE.plot(ax=3), "ax must be an Axes, got 3"),
    (lambda: kt.KernelRidge(kt.relu, 1).fit(X, Y), "kernel must be an object with a method gram"),
    (lambda: RELU.gram(X[0]), "X must have 2 dimensions, got shape (2,)"),
    (lambda: RELU.compose(kt.relu), "inner must come from kt.nngp, kt.ntk"),
    (lambda: kt.phase(kt.relu, 2).ball("q"), "name must be one of"),
]  # fmt: skip


def check(call, message: str) -> None:
    """Refused with a message, from our own code."""
    with pytest.raises((ValueError, TypeError, kt.KernelTheoryError)) as caught:
        call()
    assert message.split(".*")[0] in str(caught.value)
    assert message.split(".*")[-1] in str(caught.value)
    assert "/kerneltheory/" in caught.traceback[-1].path.as_posix()


def test_every_public_function_is_among_them():
    functions = {name for name in kt.__all__ if inspect.isfunction(getattr(kt, name))}
    assert not functions - set(MISTAKES)


@pytest.mark.parametrize(("name", "given", "named", "message"), CASES)
def test_a_mistake_is_named(name, given, named, message):
    check(lambda: getattr(kt, name)(*given, **named), message)


@pytest.mark.parametrize(("call", "message"), METHODS)
def test_a_mistake_in_a_method_is_named(call, message):
    check(call, message)


def test_a_bound_that_leaves_nothing_to_compare():
    errors = kt.simulate(RELU, TARGET, 5, [4], 0.1, trials=4, seed=0)
    check(lambda: kt.compare(errors, errors, min_n=5), "min_n must not leave out all of the")
    check(lambda: kt.compare(errors, errors, min_n="a"), "min_n must be a real array, got str")
