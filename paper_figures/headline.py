"""Learning curves of kernel regression: theory against simulation, on the sphere and on data.

Kernel ridge regression with up to 4,096 samples (arXiv:2205.14846). Lines are theory, dots are
simulated regression with standard errors over independent trials, and no parameter is fitted.

A: the kernel exp(-(1 - t)/10) on the sphere. The test error peaks where n passes the number of
harmonics of degree at most 1, 2, 3: 25, 324 and 2900. Dashed: the limits n ~ d^r of order r = 1, 2,
3. B: the NTK and NNGP kernels of relu and erf networks with one and three hidden layers. Targets
have degrees 1 to 3 and noise. Below n = 16 theory, which is one of many samples, is visibly off.

C: 5,000 MNIST digits and the NTK of a relu network with three hidden layers. Spectrum and target
are measured on the digits; the regression learns random subsets and is tested on the rest. The
theory of independent samples predicts the error on all digits; the theory for subsets contains that
the rows left out have 1/(1 - n/M) times that error, n of M rows having been learned. It takes the
eigenvectors of the Gram matrix for generic. Those of the smallest eigenvalues are not: they are
concentrated on few odd digits that no others resemble and whose labels the rest cannot tell, so
that at the largest n the error stays above theory.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import sympy
from scipy.stats import t as student

import kerneltheory as kt
from kerneltheory.core.figures import COLORS, CYCLE, panel_title
from kerneltheory.experiments.compare import draw_curves
from kerneltheory.experiments.digits import mnist_digits
from kerneltheory.experiments.paper_figures import Claim, curve_arrays, curve_of

DIM, MAX_DEGREE, MIN_TRIALS, SEED = 24, 24, 4, 2026
MIN_COMPARED = 16  # the theory is one of many samples
TARGET = kt.Target({1: 0.5, 2: 0.3, 3: 0.2}, noise_variance=0.1)
HARMONICS = {1: 25, 2: 324, 3: 2900}  # of degree at most 1, 2, 3 on the sphere of R^24
# Its higher degrees are weak enough for three peaks to show.
GAUSSIAN = kt.dot_product_kernel(sympy.exp(-(1 - sympy.Symbol("t", real=True)) / 10))
SPHERE, DATA = "A: exp(-(1-t)/10)", "C: MNIST, NTK relu, depth 3"
NETWORKS = {
    f"B: {make.__name__.upper()} {phi.name}, depth {depth}": (make, phi, depth)
    for make in (kt.ntk, kt.nngp)
    for phi in (kt.relu, kt.erf)
    for depth in (1, 3)
}
FIELDS = ("test_error", "bias", "variance")
BEYOND = "relatively and beyond noise"
QUICK = {"scale": 0.01}


def compute(scale=1.0):
    """All simulations; the scale shrinks the largest n, the data set and the trials."""
    return sphere(scale) | networks(scale) | data(scale)


def sphere(scale):
    largest, ridge = max(64, int(4096 * scale)), 1e-6
    levels = kt.spectrum(GAUSSIAN, DIM, MAX_DEGREE)
    sizes = sphere_sizes(largest)
    # Fluctuations fall with n: few trials suffice beyond n = 400.
    trials = np.where(sizes <= 400, number_of_trials(40, scale), MIN_TRIALS)
    arrays = both(
        SPHERE,
        kt.learning_curve(levels, TARGET, np.arange(1, largest + 1), ridge),
        kt.simulate(GAUSSIAN, TARGET, DIM, sizes, ridge, trials, SEED),
    )
    alpha = np.geomspace(0.1, 10, 200)
    for order in HARMONICS:  # the limit from a tenth of its peak to ten times it
        limit = kt.high_order_curve(GAUSSIAN, TARGET, order, alpha, ridge, dim=DIM)
        arrays |= curve_arrays(f"limit {order}", limit, ("test_error",))
    return arrays


def sphere_sizes(largest):
    """150 log-spaced sizes and every n within 5% of a maximum of the theory."""
    parts = [np.round(np.geomspace(1, largest, 150)).astype(int)]
    parts += [np.arange(int(np.ceil(0.95 * p)), int(1.05 * p) + 1) for p in (25, 323, 2841)]
    sizes = np.unique(np.concatenate(parts))
    return sizes[sizes <= largest]


def networks(scale):
    sizes = np.unique(np.round(np.geomspace(1, max(64, int(1024 * scale)), 40)).astype(int))
    trials = np.where(sizes <= 400, number_of_trials(16, scale), number_of_trials(5, scale))
    ridge, arrays = 1e-3, {}
    for name, (make, phi, depth) in NETWORKS.items():
        kernel = make(phi, depth, weight_variance=2, bias_variance=sympy.Rational(1, 10))
        arrays |= both(
            name,
            kt.learning_curve(kt.spectrum(kernel, DIM, MAX_DEGREE), TARGET, sizes, ridge),
            kt.simulate(kernel, TARGET, DIM, sizes, ridge, trials, SEED),
        )
    return arrays


def data(scale):
    rows, ridge = max(120, int(5000 * scale)), 1e-2
    images, labels = mnist_digits(rows)
    kernel = kt.ntk(kt.relu, 3, weight_variance=2)
    measured = kt.empirical_spectrum(kernel, images, labels)
    sizes, dense = (
        np.unique(np.round(np.geomspace(10, 4 * rows // 5, count)).astype(int))
        for count in (30, 120)
    )
    trials = number_of_trials(10, scale)
    simulated = kt.simulate_subsets(kernel.gram(images), labels, sizes, ridge, trials, SEED)
    n = np.union1d(sizes, dense)
    subsets = kt.subset_learning_curve(*measured, n, ridge)
    independent = kt.learning_curve(*measured, n, ridge)
    kept = curve_arrays(f"{DATA}, independent samples", independent, ("test_error",))
    return kept | both(DATA, subsets, simulated) | {"rows": np.array(rows)}


def number_of_trials(full, scale):
    return max(MIN_TRIALS, round(full * scale))


def both(name, theory, simulated):
    return curve_arrays(f"{name}, theory", theory, FIELDS) | curve_arrays(
        f"{name}, simulated", simulated, (*FIELDS, "trials")
    )


def claims(arrays):
    return [
        *agreement("A", [SPHERE], arrays),
        *agreement("B, of all kernels", NETWORKS, arrays),
        *(claim for one in peaks(arrays) for claim in peak_claims(one)),
        *data_claims(arrays),
    ]


def agreement(title, names, arrays):
    comparisons = [kt.compare(*pair(name, arrays), min_n=MIN_COMPARED) for name in names]
    for field, bound in (("test_error", 0.01), ("variance", 0.02)):
        words = f"the {field.replace('_', ' ')} from n = {MIN_COMPARED} on"
        largest = max(beyond_noise(one, field, MIN_COMPARED).max() for one in comparisons)
        yield Claim(f"{title}: deviation of {words}, {BEYOND}", largest, bound)


def beyond_noise(comparison, field, min_n=1):
    """Relative deviations beyond as many standard errors as 1 in 400 exceed, of few trials too."""
    simulated = comparison.simulated
    trials = np.broadcast_to(simulated.trials, simulated.shape)[simulated.n >= min_n]
    return comparison[field].beyond(student.isf(1 / 800, trials - 1))


def data_claims(arrays):
    subsets, simulated = pair(DATA, arrays)
    independent = curve_of(f"{DATA}, independent samples", arrays)
    own, other = (kt.compare(curve, simulated) for curve in (subsets, independent))
    rows, n = int(arrays["rows"]), simulated.n
    # Deviations as logarithms, of which the factor 1/(1 - n/M) is a term.
    deviations = [np.log1p(one["test_error"].relative) for one in (own, other)]
    left = np.abs(deviations[0] / deviations[1])
    return [
        Claim(
            f"C: deviation from the theory for subsets up to n = {rows // 10}, {BEYOND}",
            beyond_noise(own, "test_error")[n <= rows / 10].max(),
            0.01,
        ),
        Claim(
            f"C: share of the deviation from independent samples, from n = {rows // 5}, that the "
            "theory for subsets leaves",
            left[n >= rows / 5].max(),
            0.2,
        ),
        Claim(
            f"C: simulated error over the theory for subsets at n = {n[-1]}, less one",
            own["test_error"].relative[-1],
            0.3,
        ),
    ]


def pair(name, arrays):
    """Theory and simulation of a name."""
    return tuple(curve_of(f"{name}, {kind}", arrays) for kind in ("theory", "simulated"))


class Peak(NamedTuple):
    """A local maximum of the test error near the number of harmonics up to one degree."""

    order: int
    theory: int
    simulated: int
    theory_height: float
    height: float
    standard_error: float


def peak_claims(peak):
    harmonics = HARMONICS[peak.order]
    deviation = abs(peak.height / peak.theory_height - 1)
    noise = 3 * peak.standard_error / peak.theory_height
    return [
        # At finite d all is off its limit by terms of order 1/d.
        Claim(
            f"A: peak {peak.order} of theory, relatively to {harmonics} harmonics",
            abs(peak.theory / harmonics - 1),
            1 / DIM,
        ),
        Claim(
            f"A: simulated peak {peak.order}, relatively to that of theory",
            abs(peak.simulated / peak.theory - 1),
            0.03 + 1 / peak.theory,  # and one sample
        ),
        Claim(
            f"A: height of simulated peak {peak.order}, relatively, beyond 3 standard errors",
            max(0, deviation - noise),
            0.01,
        ),
    ]


def peaks(arrays):
    """The maxima of panel A, as far as its n reach."""
    theory, simulated = pair(SPHERE, arrays)
    return [
        peak(order, theory, simulated)
        for order, harmonics in HARMONICS.items()
        if harmonics <= theory.n[-1]
    ]


def peak(order, theory, simulated):
    def top(curve):
        near = np.flatnonzero(np.abs(np.log(curve.n / HARMONICS[order])) < 0.5)
        return near[np.argmax(curve.test_error[near])]

    own, its = top(theory), top(simulated)
    return Peak(
        order,
        int(theory.n[own]),
        int(simulated.n[its]),
        float(theory.test_error[own]),
        float(simulated.test_error[its]),
        float(simulated.standard_error("test_error")[its]),
    )


def table(arrays):
    """Deviations of simulation from theory for every curve, and the peaks of panel A."""
    independent = curve_of(f"{DATA}, independent samples", arrays)
    subsets, simulated = pair(DATA, arrays)
    rows = [
        (name, kt.compare(*pair(name, arrays), min_n=MIN_COMPARED)) for name in (SPHERE, *NETWORKS)
    ]
    rows += [
        (f"{DATA}, {kind}", of_test_error(kt.compare(theory, simulated)))
        for kind, theory in (("independent samples", independent), ("subsets", subsets))
    ]
    lines = []
    for name, comparison in rows:
        header, *deviations = str(comparison).splitlines()
        lines += [] if lines else [f"{'':<50}{header}"]
        lines += [f"{name:<50}{row}" for row in deviations]
    lines += ["", f"{'peak':>4}{'harmonics':>11}{'theory':>8}{'simulated':>11}{'height':>17}"]
    for one in peaks(arrays):
        height = f"{one.height:.4f} ± {one.standard_error:.4f}"
        harmonics = HARMONICS[one.order]
        lines.append(f"{one.order:>4}{harmonics:>11}{one.theory:>8}{one.simulated:>11}{height:>17}")
    return "\n".join([*lines, ""])


def of_test_error(comparison):
    """The row of the test error: panel C shows no other."""
    return replace(comparison, deviations=(("test_error", comparison["test_error"]),))


def draw(arrays):
    import matplotlib.pyplot as plt

    figure = plt.figure(figsize=(10, 7.6))
    grid = figure.add_gridspec(2, 3, height_ratios=[1.1, 1])
    draw_sphere(figure.add_subplot(grid[0, :]), arrays)
    for column, kind in enumerate(("NTK", "NNGP")):
        draw_networks(figure.add_subplot(grid[1, column]), kind, arrays)
    draw_data(figure.add_subplot(grid[1, 2]), arrays)
    return figure


def draw_sphere(axes, arrays):
    theory, simulated = pair(SPHERE, arrays)
    draw_curves(axes, theory, simulated, FIELDS)
    largest = theory.n[-1]
    for order in HARMONICS:
        limit = curve_of(f"limit {order}", arrays)
        shown = (limit.n >= 1) & (limit.n <= largest)
        style = {"color": COLORS["limit"], "linewidth": 1, "zorder": 1}
        label = "test error, limits of order 1, 2, 3" if order == 1 else None
        axes.plot(limit.n[shown], limit.test_error[shown], "--", label=label, **style)
    for one in peaks(arrays):
        harmonics = HARMONICS[one.order]
        axes.axvline(harmonics, color="0.85", linewidth=0.8, zorder=0)
        axes.annotate(
            f"peak at n = {one.theory}\n{harmonics} harmonics\nof degree ≤ {one.order}",
            (one.theory, one.theory_height),
            (0, 12),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=7.5,
        )
    axes.set(xlim=(0.95, largest * 1.08), ylim=(0.003, 8))
    axes.legend(loc="lower left")
    title = "theory (lines) and simulation (dots, with standard errors)"
    panel_title(axes, "A", f"Kernel exp(-(1 - t)/10) on the sphere, d = {DIM}: {title}")


def draw_networks(axes, kind, arrays):
    names = [name for name in NETWORKS if f" {kind} " in name]
    styles = {"test_error": ("-", 1.2, 2.6), "bias": (":", 0.8, 1.6), "variance": ("--", 0.8, 1.6)}
    for color, name in zip(CYCLE, names, strict=False):
        theory, simulated = pair(name, arrays)
        for field, (line, width, size) in styles.items():
            label = name.split(f"{kind} ")[1] if field == "test_error" else None
            values = getattr(theory, field)
            axes.plot(theory.n, values, line, color=color, linewidth=width, label=label)
            draw_dots(axes, simulated, field, color=color, elinewidth=0.7, markersize=size)
    for field, (line, *_) in styles.items():
        axes.plot([], [], line, color="0.4", linewidth=1, label=field.replace("_", " "))
    axes.set(xscale="log", yscale="log", xlabel="samples $n$", ylabel="error", ylim=(0.004, 2))
    axes.legend(loc="lower left", ncols=2, fontsize=6.5, columnspacing=1, handlelength=1.8)
    panel_title(axes, "B" if kind == "NTK" else "", f"{kind} of wide networks, d = {DIM}")


def draw_dots(axes, curve, field, **style):
    values, errors = getattr(curve, field), curve.standard_error(field)
    axes.errorbar(curve.n, values, yerr=errors, fmt="o", markeredgewidth=0, **style)


def draw_data(axes, arrays):
    subsets, simulated = pair(DATA, arrays)
    independent = curve_of(f"{DATA}, independent samples", arrays)
    for curve, line, color, label in (
        (subsets, "-", COLORS["test_error"], "theory, subsets of a finite set"),
        (independent, "--", COLORS["limit"], "theory, independent samples"),
    ):
        axes.plot(curve.n, curve.test_error, line, color=color, label=label)
    style = {"color": COLORS["variance"], "markersize": 2.6, "elinewidth": 0.8}
    draw_dots(axes, simulated, "test_error", label="regression on random subsets", **style)
    axes.set(xscale="log", yscale="log", xlabel="samples $n$", ylabel="error on rows left out")
    axes.legend(loc="lower left")
    panel_title(axes, "C", f"{arrays['rows']} MNIST digits, relu NTK")


if __name__ == "__main__":
    from kerneltheory.cli import main

    raise SystemExit(main(["reproduce", "headline"]))
