r"""Learning curves on real data, from the measured spectrum, and where they fail.

Kernel ridge regression on random subsets of digits, tested on the rows left out (arXiv:2006.13198).
Theory knows the eigenvalues of the Gram matrix of all M rows and the labels along its
eigenvectors, and takes these for generic; no parameter is fitted. Above the errors, below by how
much theory is off.

When all rows but one are learned both sides are known exactly (triangles): there theory becomes
generalised cross-validation on all rows, and the error of regression is leave-one-out. They differ
because the eigenvectors are not generic and the diagonal of the inverse Gram matrix not constant.
Up to there theory is off by less than the share n/M of that: by little while n is a small part of
M, and at nine tenths of all rows regression errs by 20 to 50% more than theory says.
"""

import numpy as np
import sympy
from scipy.stats import t as student

import kerneltheory as kt
from kerneltheory.core.figures import CYCLE, panel_title, plain_log_ticks
from kerneltheory.experiments.digits import mnist_digits, small_digits
from kerneltheory.experiments.paper_figures import Claim, curve_arrays, curve_of

T = sympy.Symbol("t", real=True)
KERNELS = {
    "NTK relu, depth 1": kt.ntk(kt.relu, 1, weight_variance=2),
    "NTK relu, depth 3": kt.ntk(kt.relu, 3, weight_variance=2),
    "NNGP erf, depth 2": kt.nngp(kt.erf, 2, weight_variance=2, bias_variance=sympy.Rational(1, 10)),
    "Laplace": kt.dot_product_kernel(sympy.exp(-sympy.sqrt(2 - 2 * T))),
}
DATA = {"MNIST": mnist_digits, "digits of 8 x 8 pixels": small_digits}
RIDGE, SEED, SMALLEST = 1e-2, 1, 10
LAST = 1e-3  # of a row, that theory has not learned at the end
QUICK = {"rows": 200, "trials": 8, "kernels": ["NTK relu, depth 1"]}


def compute(rows=1500, trials=10, sizes=14, kernels=tuple(KERNELS)):
    n = np.unique(np.geomspace(SMALLEST, 0.9 * rows, sizes).round().astype(int))
    dense = np.union1d(n, np.geomspace(SMALLEST, 0.9 * rows, 60).round().astype(int))
    arrays = {"rows": np.array(rows), "kernels": np.array(kernels)}
    for data, load in DATA.items():
        images, labels = load(rows)
        for kernel in kernels:
            arrays |= learn(f"{data}, {kernel}", KERNELS[kernel], images, labels, n, dense, trials)
    return arrays


def learn(name, kernel, images, labels, n, dense, trials):
    spectrum, target = kt.empirical_spectrum(kernel, images, labels)
    theory = kt.subset_learning_curve(spectrum, target, dense, RIDGE)
    last = kt.subset_learning_curve(spectrum, target, len(images) - LAST, RIDGE)
    simulated = kt.simulate_on_data(kernel, images, labels, n, RIDGE, trials=trials, seed=SEED)
    model = kt.KernelRidge(kernel, RIDGE).fit(images, labels)
    return (
        curve_arrays(f"{name}, theory", theory, ("test_error",))
        | curve_arrays(f"{name}, simulated", simulated, ("test_error", "trials"))
        | {
            f"{name}, theory at the end": np.asarray(last.test_error),
            f"{name}, leave one out": np.sum(model.leave_one_out()),
            f"{name}, cross-validation": np.sum(model.generalized_cross_validation()),
        }
    )


def claims(arrays):
    rows, kernels = int(arrays["rows"]), arrays["kernels"].tolist()
    found = []
    for data in DATA:
        curves = [Compared(f"{data}, {kernel}", arrays) for kernel in kernels]
        few = max(one.beyond[one.n <= rows / 10].max() for one in curves)
        worst = max(np.max(one.beyond / (1 / one.n + one.n / rows * one.gap)) for one in curves)
        limit = max(abs(one.end - 1) for one in curves)
        found += [
            Claim(
                f"{data}: deviation up to n = {rows // 10}, relatively and beyond noise", few, 0.02
            ),
            Claim(
                f"{data}: deviation beyond noise at any n, over 1/n + (n/M)(leave-one-out over "
                "cross-validation, less one)",
                worst,
                1,
            ),
            # What theory at n adds to its limit is of relative order M - n at most.
            Claim(
                f"{data}: theory without the last {LAST:g} of a row, over generalised "
                "cross-validation, less one",
                limit,
                LAST,
            ),
        ]
    return found


class Compared:
    """Theory and simulation of one kernel on one data set, and what is known at the end."""

    def __init__(self, name, arrays):
        self.theory, self.simulated = (
            curve_of(f"{name}, {kind}", arrays) for kind in ("theory", "simulated")
        )
        self.n = self.simulated.n
        self.comparison = kt.compare(self.theory, self.simulated)["test_error"]
        # As many standard errors as 1 in 400 exceed, of few trials too.
        noise = student.isf(1 / 800, self.simulated.trials - 1)
        self.beyond = self.comparison.beyond(noise)
        known = arrays[f"{name}, cross-validation"]
        self.gap = float(arrays[f"{name}, leave one out"] / known) - 1
        self.end = float(arrays[f"{name}, theory at the end"] / known)


def draw(arrays):
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(
        2, 2, figsize=(7.6, 5.4), sharex=True, sharey="row", height_ratios=[1.5, 1]
    )
    for column, (above, below), data in zip("ab", panels.T, DATA, strict=True):
        for color, kernel in zip(CYCLE, arrays["kernels"].tolist(), strict=False):
            draw_curve(above, below, Compared(f"{data}, {kernel}", arrays), color, kernel, arrays)
        above.set(xscale="log", yscale="log")
        below.axhline(0, color="0.6", linewidth=0.8, zorder=0)
        below.set(xlabel="samples $n$")
        plain_log_ticks(above)
        panel_title(above, column, f"{arrays['rows']} {TITLES[data]}")
    panels[0, 0].set_ylabel("error on rows left out")
    panels[1, 0].set_ylabel("simulation over theory,\nless one (%)")
    panels[0, 0].legend(loc="lower left")
    panels[1, 0].plot([], [], "v", color="0.4", markersize=4, label="exact, all rows but one")
    panels[1, 0].legend(loc="upper left")
    return figure


TITLES = {"MNIST": "MNIST digits", "digits of 8 x 8 pixels": "digits of 8 × 8 pixels"}


def draw_curve(above, below, one, color, kernel, arrays):
    style = {"color": color, "fmt": "o", "markersize": 2.8, "elinewidth": 0.8, "markeredgewidth": 0}
    above.plot(one.theory.n, one.theory.test_error, color=color, label=kernel)
    error = one.simulated.standard_error("test_error")
    above.errorbar(one.n, one.simulated.test_error, yerr=error, **style)
    relative = 100 * one.comparison.relative
    below.errorbar(one.n, relative, yerr=np.abs(relative / one.comparison.z), **style)
    below.plot(int(arrays["rows"]) - 1, 100 * one.gap, "v", color=color, markersize=4)


if __name__ == "__main__":
    from kerneltheory.cli import main

    raise SystemExit(main(["reproduce", "real_data"]))
