"""Scaling laws of learning curves where spectrum and target are powers.

Eigenvalues i^-a and powers i^-b of a target make learning curves that are powers of the number of
samples: with beta = min(2a, b - 1) the exponent is beta without ridge and noise, beta/(1 + beta)
at the best ridge with noise, and others at a fixed ridge (arXiv:2105.15004). Theory in lines,
regression on Gaussian modes in dots with standard errors, derived powers through the last point
dashed (a); slopes of the theory between n and 2 n, and the derived exponents (b). What a fraction
of the error is left on the training set at the best ridge depends on the noise over the error
without ridge and noise, and no more; interpolation is optimal up to a threshold of it, and never
where b < a (c; arXiv:2311.14646). Below the threshold the best ridge is negative, and the ratio of
best ridge to n kappa, whose size is the fitting ratio, continues below zero (thin).
"""

import math

import numpy as np

import kerneltheory as kt
from kerneltheory.core.figures import CYCLE, dots, panel_title
from kerneltheory.experiments.paper_figures import Claim

A, B, NOISE, FIXED = 2.0, 3.0, 0.3, 1.0
PAIRS = ((2.0, 3.0), (1.5, 2.5), (2.0, 1.5))
# Name: ridge, decay of the ridge, and whether there is noise.
LAWS = {
    "no ridge, no noise": (0.0, math.inf, False),
    "ridge 1, no noise": (FIXED, 0, False),
    "best ridge, noise": (None, "optimal", True),
    "ridge 1, noise": (FIXED, 0, True),
    "no ridge, noise": (0.0, math.inf, True),
}
SEED = 6
QUICK = {
    "trials": 12,
    "points": (16, 64),
    "octaves": 4,
    "ratio_samples": 64,
    "noises": 20,
    "modes": 600,
    "levels": 1000,
}


def compute(
    trials=60,
    points=(16, 32, 64, 128, 256),
    octaves=6,
    ratio_samples=128,
    noises=40,
    modes=2000,
    levels=5000,
):
    n = 16 * 2.0 ** np.arange(0, octaves + 0.01, 0.25)
    arrays = {"n": n, "points": np.array(points), "ratio samples": np.array(ratio_samples)}
    for law, (name, (ridge, _, noisy)) in enumerate(LAWS.items()):
        noise = NOISE * noisy
        theory, lost = _theory(A, B, noise, n, ridge, levels)
        at = np.searchsorted(n, points)
        draws = [
            _simulated(A, B, noise, size, own, modes, trials, [SEED, law])
            for size, own in zip(points, theory.ridge[at], strict=True)
        ]
        errors = np.array([errors for errors, _ in draws])
        arrays |= {
            f"{name}: theory": theory.test_error + lost,
            f"{name}: bias": theory.bias + lost,
            f"{name}: learned": theory.effective_dimension,
            f"{name}: at points": theory.test_error[at] + lost,
            f"{name}: error of theory": (theory.validity * (theory.test_error + lost))[at],
            f"{name}: simulated": errors.mean(axis=1),
            f"{name}: standard errors": errors.std(axis=1, ddof=1) / np.sqrt(trials),
        }
    for a, b in PAIRS:
        arrays |= _ratios(a, b, ratio_samples, noises, levels, modes, trials)
    return arrays


def _problem(a, b, noise, levels):
    """Levels that are left out of the target are not learned: they are noise, and error."""
    lost = float(kt.power_law_spectrum(b, levels).tail)
    target = kt.power_law_target(b, levels, noise_variance=noise + lost)
    return kt.power_law_spectrum(a, levels), target, lost


def _theory(a, b, noise, n, ridge, levels):
    """The curve, and the error that it leaves out; at the best ridge if that is None."""
    spectrum, target, lost = _problem(a, b, noise, levels)
    if ridge is None:
        return kt.optimal_ridge(spectrum, target, n), lost
    return kt.learning_curve(spectrum, target, n, ridge), lost


def _simulated(a, b, noise, n, ridge, modes, trials, seed):
    """Test and training errors of regression on Gaussian modes, each of shape (trials,)."""
    spectrum, target, lost = _problem(a, b, noise, modes)
    scale, coefficients = np.asarray(spectrum.eigenvalues), np.sqrt(target.powers(modes))
    found = np.empty((2, trials))
    for trial in range(trials):
        generator = np.random.default_rng([*seed, n, trial])
        phi = generator.standard_normal((n, modes))
        deviation = np.sqrt(np.asarray(target.noise_variance))
        labels = phi @ coefficients + deviation * generator.standard_normal(n)
        gram = (phi * scale) @ phi.T + (ridge + float(spectrum.tail)) * np.eye(n)
        dual = np.linalg.solve(gram, labels)
        residual = coefficients - scale * (phi.T @ dual)
        found[:, trial] = residual @ residual + lost, np.mean((ridge * dual) ** 2)
    return found


def _ratios(a, b, n, noises, levels, modes, trials):
    """The ratio of best ridge to n kappa, against the noise over the error without any."""
    own = f"{a:g}, {b:g}: "
    bare, lost = _theory(a, b, 0.0, float(n), 0.0, levels)
    unit = float(bare.test_error) + lost
    chosen = np.array([0.1, 1.0, 3.0, 10.0])
    noise = np.unique([*np.geomspace(0.03, 30, noises), *chosen])
    at = np.searchsorted(noise, chosen)
    curve, _ = _theory(a, b, noise * unit, float(n), None, levels)
    ratio = curve.ridge / (n * curve.kappa)
    arrays = {
        "noise": noise,
        "chosen": chosen,
        f"{own}theory": ratio,
        f"{own}at chosen": np.maximum(ratio[at], 0),
        f"{own}limit": kt.ScalingExponents(a, b).optimal_fitting_ratio(noise),
    }
    ratios = np.empty((len(chosen), 2))
    for row, (share, ridge) in enumerate(zip(chosen, curve.ridge[at], strict=True)):
        seed = [SEED, 100 + row, int(10 * a), int(10 * b)]
        errors, train = _simulated(a, b, share * unit, n, max(ridge, 0.0), modes, trials, seed)
        whole = errors + share * unit
        measured = np.sqrt(train.mean() / whole.mean())
        # Of the logarithm of a ratio of means, halved by the root.
        spread = train / max(train.mean(), 1e-300) - whole / whole.mean()
        ratios[row] = measured, measured * spread.std(ddof=1) / 2 / np.sqrt(trials)
    return arrays | {f"{own}simulated": ratios[:, 0], f"{own}standard errors": ratios[:, 1]}


def claims(arrays):
    found = [_exponent(arrays, name) for name in LAWS]
    for name in LAWS:
        fields = ("simulated", "at points", "standard errors", "error of theory")
        found.append(Claim.of_agreement(name, *(arrays[f"{name}: {field}"] for field in fields)))
    n = int(arrays["ratio samples"])
    for a, b in PAIRS:
        own = f"{a:g}, {b:g}: "
        theory, limit = np.maximum(arrays[f"{own}theory"], 0), arrays[f"{own}limit"]
        # Sums over modes differ from integrals by half a mode in n, and where the largest modes
        # count by n^-(2a + 1 - b).
        words = f"a = {a:g}, b = {b:g}: fitting ratio at n = {n} against that of many samples"
        bound = n ** -min(1, 2 * a + 1 - b)
        found.append(Claim(words, np.max(np.abs(theory - limit)), bound))
        gap = np.abs(arrays[f"{own}simulated"] - arrays[f"{own}at chosen"])
        worst = np.max(gap - 5 * arrays[f"{own}standard errors"])
        words = f"a = {a:g}, b = {b:g}: simulated fitting ratio against theory, less 5 standard"
        # That of Gaussian modes is of order 1/n.
        found.append(Claim(f"{words} errors", worst, 1 / n))
        found.append(_threshold(arrays, a, b))
    return found


def _exponent(arrays, name):
    """The slope between the last n and half of it."""
    ridge, decay, noisy = LAWS[name]
    laws = kt.ScalingExponents(A, B)
    n, theory = arrays["n"], arrays[f"{name}: theory"]
    half = np.flatnonzero(np.isclose(n, n[-1] / 2))[0]
    slope = np.log2(theory[half] / theory[-1])
    expected = laws.test_error_decay(decay, noisy=noisy)
    # Sums of modes differ from powers by half a mode of those learned; where the ridge counts, the
    # samples are more than these only by a factor 1 - learned/n. Bias and variance have exponents
    # of their own, of which the smaller one is that of the error.
    learned = arrays[f"{name}: learned"][half]
    correction = 1 / learned + (learned / n[half] if ridge != 0 else 0.0)
    own_decay = laws.optimal_ridge_decay(noisy=noisy) if decay == "optimal" else decay
    faster = laws.bias_decay(own_decay) - expected
    share = faster * arrays[f"{name}: bias"][half] / theory[half]
    words = f"{name}: slope from n = {n[half]:g} to {n[-1]:g} against the exponent {expected:.3g}"
    bound = laws.interpolation_decay * correction + share
    return Claim(words, abs(slope - expected), bound)


def _threshold(arrays, a, b):
    """Where the best ridge changes its sign."""
    noise, ratios = arrays["noise"], arrays[f"{a:g}, {b:g}: theory"]
    threshold = max((b - a) / (a * (a - 1)), 0.0)
    wrong = np.sum((ratios < 0) != (noise < threshold))
    words = f"a = {a:g}, b = {b:g}: noises of {len(noise)} on the wrong side of the threshold"
    # One step of the grid.
    return Claim(f"{words} {threshold:.3g}", wrong, 1 if threshold else 0)


def draw(arrays):
    import matplotlib.pyplot as plt

    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(10.5, 3.8))
    n, laws = arrays["n"], kt.ScalingExponents(A, B)
    steps = n[:-4] * np.sqrt(2)
    for color, (name, (_, decay, noisy)) in zip(CYCLE, LAWS.items(), strict=False):
        theory = arrays[f"{name}: theory"]
        exponent = laws.test_error_decay(decay, noisy=noisy)
        left.plot(n, theory, color=color, label=name)
        power = theory[-1] * (n / n[-1]) ** -exponent
        left.plot(n, power, "--", color=color, linewidth=0.8, alpha=0.7)
        _dots(left, arrays["points"], arrays, f"{name}: ", color)
        slopes = np.log2(theory[:-4] / theory[4:])
        middle.plot(steps, slopes, color=color)
        middle.axhline(exponent, color=color, linestyle="--", linewidth=0.8)
    left.set(xscale="log", yscale="log", xlabel="samples $n$", ylabel="test error", ylim=(1e-6, 4))
    left.legend(loc="lower left")
    panel_title(left, "a", rf"$a = {A:g}$, $b = {B:g}$, noise $\sigma^2 = {NOISE:g}$ or none")
    middle.set(
        xlim=left.get_xlim(),
        xscale="log",
        xlabel="samples $n$",
        ylabel="slope of the error",
        ylim=(-0.08, 2.15),
    )
    panel_title(middle, "b", "slopes and derived exponents")
    _draw_ratios(right, arrays)
    return figure


def _draw_ratios(axes, arrays):
    n = int(arrays["ratio samples"])
    for color, (a, b) in zip(CYCLE, PAIRS, strict=False):
        own = f"{a:g}, {b:g}: "
        axes.plot(
            arrays["noise"], arrays[f"{own}limit"], color=color, label=f"$a = {a:g}$, $b = {b:g}$"
        )
        negative = np.where(arrays[f"{own}theory"] < 0, arrays[f"{own}theory"], np.nan)
        axes.plot(arrays["noise"], negative, color=color, linewidth=0.7)
        _dots(axes, arrays["chosen"], arrays, own, color)
    axes.axhline(0, color="0.6", linewidth=0.8, zorder=0)
    axes.set(xscale="log", xlabel="noise over error without noise and ridge")
    axes.set_ylabel("fitting ratio at the best ridge")
    axes.legend(loc="lower right")
    panel_title(axes, "c", f"many samples, and $n = {n}$")


def _dots(axes, x, arrays, own, color):
    dots(axes, x, arrays[f"{own}simulated"], arrays[f"{own}standard errors"], color=color)


if __name__ == "__main__":
    from kerneltheory.cli import main

    raise SystemExit(main(["reproduce", "power_laws"]))
