"""Double descent of random features, and why more is better.

Ridge regression on p random relu neurons with n samples of the sphere. Almost without ridge the
test error has a peak at p = n (a, theory; arXiv:1908.05355), on the way to which more samples hurt,
and more features do. At one n the theory (lines) meets simulated neurons (dots with standard
errors, b): the peak grows as the square root of one over the ridge; at the best ridge there is
none. At the best ridge neither more features nor more samples ever hurt (c; arXiv:2311.14646), and
infinitely many features, which are the kernel, are best (dotted).
"""

import numpy as np

import kerneltheory as kt
from kerneltheory.core.figures import CYCLE, dots, panel_title, plain_log_ticks
from kerneltheory.experiments.paper_figures import Claim

DIM, MAX_DEGREE = 10, 30
KERNEL = kt.nngp(kt.relu, 1, weight_variance=1)
POWER = {1: 0.6, 2: 0.4}
TARGET = kt.Target(POWER, noise_variance=0.1)
SMALL, SMALLER, MEDIUM = 1e-6, 1e-8, 1e-3
SIZES = (32, 128, 512)
SEED = 7
QUICK = {"side": 12, "trials": 10, "tests": 300, "factors": (0.25, 1, 3)}


def compute(side=48, trials=40, tests=1500, factors=(0.125, 0.25, 0.5, 0.75, 1, 1.5, 2, 4, 8)):
    spectrum = kt.spectrum(KERNEL, DIM, MAX_DEGREE)
    grid = np.geomspace(10, 1000, side)
    middle = SIZES[1]
    points = np.round(middle * np.array(factors)).astype(int)
    p = np.unique([*np.geomspace(8, 20000, 240), *points])
    at = np.searchsorted(p, points)
    arrays = {"grid": grid, "features": p, "points": points}
    arrays["map"] = _curve(spectrum, grid, grid[:, None], SMALL).test_error
    arrays["map at best"] = kt.optimal_ridge(spectrum, TARGET, grid, grid[:, None]).test_error
    peaks = [_curve(spectrum, middle, p, ridge) for ridge in (SMALL, SMALLER)]
    arrays["heights"] = np.array([curve.test_error[p == middle][0] for curve in peaks])
    arrays["factor"] = peaks[0].overfitting[p == middle][0]
    for ridge in (SMALL, MEDIUM):
        curve = _curve(spectrum, middle, p, ridge)
        arrays |= _with_runs(f"{ridge}: ", curve, at, trials, tests)
    for n in SIZES:
        curve = kt.optimal_ridge(spectrum, TARGET, n, p)
        arrays |= _with_runs(f"best, {n}: ", curve, at, trials, tests)
    kernel = kt.optimal_ridge(spectrum, TARGET, np.array(SIZES)).test_error
    return arrays | {f"best, {n}: kernel": error for n, error in zip(SIZES, kernel, strict=True)}


def _curve(spectrum, n, p, ridge):
    return kt.random_feature_curve(spectrum, TARGET, n, p, ridge)


def _with_runs(own, curve, at, trials, tests):
    """The curve, and simulations at some of its points."""
    settings = zip(curve.n[at], curve.features[at], curve.ridge[at], strict=True)
    errors = np.array([_simulated(int(n), int(p), r, trials, tests) for n, p, r in settings])
    return {
        f"{own}theory": curve.test_error,
        f"{own}at points": curve.test_error[at],
        f"{own}error of theory": (curve.validity * curve.test_error)[at],
        f"{own}simulated": errors.mean(axis=1),
        f"{own}standard errors": errors.std(axis=1, ddof=1) / np.sqrt(trials),
    }


def _simulated(n, p, ridge, trials, tests):
    """Test errors of regression on neurons with uniform directions, shape (trials,)."""
    errors = np.empty(trials)
    for trial in range(trials):
        generator = np.random.default_rng([SEED, n, p, trial])
        x, z, weights = (_directions(generator, count) for count in (n, tests, p))
        pole = generator.standard_normal(DIM)
        f, g = (
            sum(np.sqrt(power) * kt.zonal_harmonic(k, pole, rows) for k, power in POWER.items())
            for rows in (x, z)
        )
        labels = f + np.sqrt(TARGET.noise_variance) * generator.standard_normal(n)
        phi, psi = (np.maximum(np.sqrt(DIM / p) * rows @ weights.T, 0) for rows in (x, z))
        # Of the singular values, so that a small ridge is not lost in their squares.
        left, values, right = np.linalg.svd(phi, full_matrices=False)
        fitted = right.T @ (values / (values**2 + ridge) * (left.T @ labels))
        errors[trial] = np.mean((psi @ fitted - g) ** 2)
    return errors


def _directions(generator, count):
    x = generator.standard_normal((count, DIM))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def claims(arrays):
    p, n = arrays["features"], SIZES[1]
    top = p[np.argmax(arrays[f"{SMALL}: theory"])]
    heights = arrays["heights"]
    expected = np.sqrt(SMALL / SMALLER)
    # T + noise is E_0 times what is finite at the peak, and E_0 there the root of one over the
    # ridge up to corrections of the order 1/E_0.
    noise = float(TARGET.noise_variance)
    growth = (heights[1] + noise) / (heights[0] + noise)
    found = [
        Claim(f"n = {n}, ridge {SMALL:g}: peak in p, distance from p = n", abs(top - n), 0),
        Claim(
            f"peak at ridge {SMALLER:g} over that at {SMALL:g}, against {expected:g}, relatively",
            abs(growth / expected - 1),
            1 / float(arrays["factor"]),
        ),
    ]
    best = arrays["map at best"]
    for axis, name in enumerate(("features", "samples")):
        rise = np.max(np.diff(best, axis=axis)) / best.max()
        found.append(Claim(f"best ridge: rise of the error with more {name}", rise, 1e-12))
    for size in SIZES:
        kernel = arrays[f"best, {size}: kernel"]
        least = kernel / arrays[f"best, {size}: theory"].min()
        words = f"best ridge, n = {size}: error of the kernel over that of features"
        found.append(Claim(words, least, 1 + 1e-12))
        # What features add to the variance is of order 1/p.
        gaps = arrays[f"best, {size}: theory"] - kernel
        exponent = -np.log(gaps[-1] / gaps[-30]) / np.log(p[-1] / p[-30])
        words = f"best ridge, n = {size}: exponent of the approach to the kernel in 1/p, less 1"
        found.append(Claim(words, abs(exponent - 1), size / p[-30]))
        simulated = arrays[f"best, {size}: simulated"]
        errors = arrays[f"best, {size}: standard errors"]
        rise = np.max(np.diff(simulated) - 3 * np.hypot(errors[1:], errors[:-1]))
        words = f"best ridge, n = {size}: simulated rise with more features, less 3 standard errors"
        found.append(Claim(words, rise, 0))
    settings = {f"{ridge}": f"n = {n}, ridge {ridge:g}" for ridge in (SMALL, MEDIUM)}
    settings |= {f"best, {size}": f"n = {size}, best ridge" for size in SIZES}
    for own, where in settings.items():
        fields = ("simulated", "at points", "standard errors", "error of theory")
        found.append(Claim.of_agreement(where, *(arrays[f"{own}: {field}"] for field in fields)))
    return found


def draw(arrays):
    import matplotlib.pyplot as plt
    from matplotlib.colors import LogNorm

    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(10.5, 3.7))
    grid, p, points = arrays["grid"], arrays["features"], arrays["points"]
    mesh = left.pcolormesh(
        grid, grid, arrays["map"], norm=LogNorm(0.1, 10), cmap="viridis", rasterized=True
    )
    bar = figure.colorbar(mesh, ax=left, extend="both")
    bar.ax.set_title("test error", fontsize=7.5)
    left.axvline(SIZES[1], color="white", linewidth=0.8, linestyle=":")
    left.set(xscale="log", yscale="log", xlabel="samples $n$", ylabel="features $p$")
    panel_title(left, "a", rf"ridge $10^{{-6}}$, $d = {DIM}$")
    lines = {f"{SMALL}": r"$\delta = 10^{-6}$", f"{MEDIUM}": r"$\delta = 10^{-3}$"}
    lines[f"best, {SIZES[1]}"] = "best ridge"
    for color, (own, label) in zip(CYCLE, lines.items(), strict=False):
        _draw(middle, p, points, arrays, own, color, label)
    middle.axvline(SIZES[1], color="0.85", linewidth=0.8, zorder=0)
    middle.set_ylim(0.06, 30)
    panel_title(middle, "b", f"$n = {SIZES[1]}$")
    for color, size in zip(CYCLE, SIZES, strict=False):
        _draw(right, p, points, arrays, f"best, {size}", color, f"$n = {size}$")
        right.axhline(arrays[f"best, {size}: kernel"], color=color, linestyle=":", linewidth=1)
    panel_title(right, "c", "best ridge")
    for axes in (middle, right):
        axes.set(xscale="log", yscale="log", xlabel="features $p$", ylabel="test error")
        axes.legend(loc="upper right")
        plain_log_ticks(axes)
    return figure


def _draw(axes, p, points, arrays, own, color, label):
    axes.plot(p, arrays[f"{own}: theory"], color=color, label=label)
    dots(axes, points, arrays[f"{own}: simulated"], arrays[f"{own}: standard errors"], color=color)


if __name__ == "__main__":
    from kerneltheory.cli import main

    raise SystemExit(main(["reproduce", "random_features"]))
