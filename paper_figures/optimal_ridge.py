"""The best ridge, which may be negative, and the error at it.

The levels of a kernel that are not learned act as a ridge already, and for labels with little noise
as too large a one: the best ridge of exp(-|x - z|) on the sphere is negative (a; arXiv:2009.14397,
arXiv:2208.00256), down towards the most negative one at which the Gram matrix is still positive
definite (grey). At one n the error against the ridge (b): theory in lines, regression on drawn
samples in dots with standard errors, triangles at the best ridge. Where all features are alike, as
those of a linear kernel, it is noise over power at each n, and the error at it falls
monotonically, while without ridge it has a peak at as many samples as features (c): at the best
ridge there is no double descent (arXiv:2003.01897).
"""

import numpy as np
import sympy

import kerneltheory as kt
from kerneltheory.core.figures import CYCLE, dots, panel_title, plain_log_ticks
from kerneltheory.experiments.paper_figures import Claim

T = sympy.Symbol("t", real=True)
KERNEL = kt.dot_product_kernel(sympy.exp(-sympy.sqrt(2 - 2 * T)))
LINEAR, LINEAR_DIM = kt.dot_product_kernel(T), 60
POWER = {1: 0.9, 2: 0.1}
NOISES = (0.0, 0.1, 0.3)
SMALL_RIDGE, SEED, MAX_DEGREE = 1e-3, 5, 30
QUICK = {"trials": 12, "tests": 400, "linear_trials": 16}


def compute(dim=20, samples=150, trials=100, tests=1000, linear_trials=60):
    n = np.unique([*np.round(np.geomspace(8, 1000, 200)), samples])
    at = np.flatnonzero(n == samples)[0]
    spectrum = kt.spectrum(KERNEL, dim, MAX_DEGREE)
    lowest = kt.lowest_ridge(spectrum, n)
    arrays = {"n": n, "lowest": lowest, "samples": np.array(samples), "dim": np.array(dim)}
    for noise in NOISES:
        best = kt.optimal_ridge(spectrum, kt.Target(POWER, noise), n)
        arrays |= {
            f"{noise}: best": best.ridge,
            f"{noise}: error at best": best.test_error,
            f"{noise}: minimum": np.array([best.ridge[at], best.test_error[at]]),
        }
    arrays |= _at_one_size(spectrum, samples, float(lowest[at]), trials, tests)
    return arrays | _isotropic(linear_trials)


def _at_one_size(spectrum, samples, edge, trials, tests):
    """Error against ridge at one n, the ridges in units of the most negative one."""
    # Closer to the edge single draws, whose least eigenvalue is less, make means of heavy tails.
    ridges = np.array([0.8, 0.7, 0.6, 0.4, 0.2, 0, -0.3, -0.7, -1.2]) * edge
    grid = np.linspace(0.985 * edge, ridges[-1] * 1.05, 200)
    arrays = {"ridges": ridges, "grid": grid}
    measured = _simulate(int(spectrum.dim), samples, ridges, trials, tests)
    for noise, errors in zip(NOISES, measured, strict=True):
        target = kt.Target(POWER, noise)
        at = kt.learning_curve(spectrum, target, samples, ridges)
        nearest = int(np.argmin(at.test_error))
        gain = errors[:, ridges == 0][:, 0] - errors[:, nearest]
        arrays |= {
            f"{noise}: theory": kt.learning_curve(spectrum, target, samples, grid).test_error,
            f"{noise}: at ridges": at.test_error,
            f"{noise}: error of theory": at.validity * at.test_error,
            f"{noise}: simulated": errors.mean(axis=0),
            f"{noise}: standard errors": _standard_error(errors),
            f"{noise}: gain": np.array([gain.mean(), _standard_error(gain)]),
        }
    return arrays


def _standard_error(values):
    return values.std(axis=0, ddof=1) / np.sqrt(len(values))


def _simulate(dim, samples, ridges, trials, tests):
    """Test errors, shape (noises, trials, ridges): one eigendecomposition serves all ridges.

    `kt.simulate` and `kt.KernelRidge` refuse a negative ridge, for which no solver is safe.
    """
    errors = np.empty((len(NOISES), trials, len(ridges)))
    for trial in range(trials):
        generator = np.random.default_rng([SEED, trial])
        x, z = (_uniform(generator, count, dim) for count in (samples, tests))
        pole = generator.standard_normal(dim)
        noise = generator.standard_normal(samples)
        f, g = (
            sum(np.sqrt(power) * kt.zonal_harmonic(k, pole, rows) for k, power in POWER.items())
            for rows in (x, z)
        )
        values, vectors = np.linalg.eigh(KERNEL.gram(x))
        cross = KERNEL.gram(z, x) @ vectors
        for row, variance in enumerate(NOISES):
            labels = vectors.T @ (f + np.sqrt(variance) * noise)
            predicted = cross @ (labels[:, None] / (values[:, None] + ridges))
            errors[row, trial] = np.mean((predicted - g[:, None]) ** 2, axis=0)
    return errors


def _uniform(generator, count, dim):
    x = generator.standard_normal((count, dim))
    return x * np.sqrt(dim) / np.linalg.norm(x, axis=1, keepdims=True)


def _isotropic(trials):
    noise = NOISES[-1]
    target = kt.Target({1: 1.0}, noise)
    spectrum = kt.spectrum(LINEAR, LINEAR_DIM, 1)
    points = np.unique(np.round(LINEAR_DIM * np.array([0.2, 0.4, 0.7, 1, 1.4, 2, 4]))).astype(int)
    n = np.unique([*np.geomspace(10, 5 * LINEAR_DIM, 200), *points])
    best = kt.optimal_ridge(spectrum, target, n)
    arrays = {"linear: n": n, "linear: best": best.ridge, "linear: points": points}
    for name, ridge in (("best", noise), ("small", SMALL_RIDGE)):
        theory = kt.learning_curve(spectrum, target, n, ridge)
        runs = kt.simulate(LINEAR, target, LINEAR_DIM, points, ridge, trials, SEED, progress=False)
        arrays |= {
            f"linear, {name}: theory": theory.test_error,
            f"linear, {name}: error of theory": theory.validity * theory.test_error,
            f"linear, {name}: simulated": runs.test_error,
            f"linear, {name}: standard errors": runs.standard_errors.test_error,
        }
    return arrays


def claims(arrays):
    n, at = arrays["n"], arrays["ridges"]
    free = arrays["0.0: best"]
    found = [
        Claim("without noise: largest best ridge, over h(1)", free.max(), 0),
        Claim(
            "without noise: most negative ridge over the best", np.max(free / arrays["lowest"]), 1
        ),
    ]
    for noise in NOISES:
        error = arrays[f"{noise}: error at best"]
        rise = np.max(np.diff(error) / error[1:])
        words = f"noise {noise:g}: rise of the error at the best ridge, n = {n[0]:g} to {n[-1]:g}"
        found.append(Claim(words, rise, 1e-12))
        lowest = arrays[f"{noise}: minimum"][1] / arrays[f"{noise}: theory"].min()
        words = f"noise {noise:g}: error at the best ridge over the least of all ridges drawn"
        found.append(Claim(words, lowest, 1 + 1e-12))
        where = f"noise {noise:g}, n = {arrays['samples']}"
        found.append(_agreement(where, arrays, f"{noise}: ", "at ridges"))
    mean, error = arrays["0.0: gain"]
    best = at[np.argmin(arrays["0.0: at ridges"])]
    words = f"without noise: simulated error at ridge {best:.2g} less that at ridge 0"
    found.append(Claim(f"{words}, plus 5 standard errors", 5 * error - mean, 0))
    noise = NOISES[-1]
    off = np.max(np.abs(arrays["linear: best"] / noise - 1))
    # The minimum is halved to rounding in its slope, whose terms are of the order of the error.
    found.append(Claim("linear kernel: best ridge against noise over power", off, 1e-9))
    inside = np.isin(arrays["linear: n"], arrays["linear: points"])
    for name in ("best", "small"):
        where = f"linear kernel at the {name} ridge"
        found.append(_agreement(where, arrays, f"linear, {name}: ", "theory", inside))
    simulated = arrays["linear, best: simulated"]
    errors = arrays["linear, best: standard errors"]
    rise = np.max(np.diff(simulated) - 3 * np.hypot(errors[1:], errors[:-1]))
    found.append(
        Claim("linear kernel: simulated rise at the best ridge, less 3 standard errors", rise, 0)
    )
    return found


def _agreement(where, arrays, own, theory, inside=...):
    return Claim.of_agreement(
        where,
        arrays[f"{own}simulated"],
        arrays[f"{own}{theory}"][inside],
        arrays[f"{own}standard errors"],
        arrays[f"{own}error of theory"][inside],
    )


def draw(arrays):
    import matplotlib.pyplot as plt

    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(10, 3.5))
    n = arrays["n"]
    for color, noise in zip(CYCLE, NOISES, strict=False):
        left.plot(n, arrays[f"{noise}: best"], color=color, label=rf"$\sigma^2 = {noise:g}$")
        middle.plot(arrays["grid"], arrays[f"{noise}: theory"], color=color)
        _dots(middle, arrays["ridges"], arrays, f"{noise}: ", color)
        middle.plot(*arrays[f"{noise}: minimum"], "v", color=color, markersize=7, mfc="white")
    left.fill_between(n, arrays["lowest"], -1, color="0.9", linewidth=0)
    left.axhline(0, color="0.6", linewidth=0.8)
    left.axvline(arrays["samples"], color="0.8", linewidth=0.8, linestyle=":")
    left.set(xscale="log", xlabel="samples $n$", ylabel=r"best ridge $\delta$", ylim=(-0.7, 0.2))
    left.annotate("not positive definite", (0.03, 0.02), xycoords="axes fraction", fontsize=7.5)
    left.legend(loc="upper left")
    panel_title(left, "a", rf"$e^{{-|x - z|}}$, $d = {int(arrays['dim'])}$")
    middle.axvline(0, color="0.6", linewidth=0.8)
    middle.set(yscale="log", xlabel=r"ridge $\delta$", ylabel="test error")
    plain_log_ticks(middle)
    panel_title(middle, "b", f"$n = {int(arrays['samples'])}$")
    names = {"best": rf"best ridge, $\delta = \sigma^2 = {NOISES[-1]}$"}
    names["small"] = rf"$\delta = {SMALL_RIDGE}$"
    for color, (name, label) in zip(CYCLE, names.items(), strict=False):
        own = f"linear, {name}: "
        right.plot(arrays["linear: n"], arrays[f"{own}theory"], color=color, label=label)
        _dots(right, arrays["linear: points"], arrays, own, color)
    right.axvline(LINEAR_DIM, color="0.85", linewidth=0.8, zorder=0)
    right.set(xscale="log", yscale="log", xlabel="samples $n$", ylabel="test error")
    plain_log_ticks(right)
    right.legend(loc="lower left")
    panel_title(right, "c", f"linear kernel, $d = {LINEAR_DIM}$")
    return figure


def _dots(axes, x, arrays, own, color):
    dots(axes, x, arrays[f"{own}simulated"], arrays[f"{own}standard errors"], color=color)


if __name__ == "__main__":
    from kerneltheory.cli import main

    raise SystemExit(main(["reproduce", "optimal_ridge"]))
