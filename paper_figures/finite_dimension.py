"""The limit of high dimension, and how fast it is reached.

With n = alpha N(d, r) samples and d to infinity the test error has a limit, in which degrees below
r are learned, degrees above are ridge and noise, and degree r obeys the law of Marchenko and Pastur
(arXiv:2205.14846): for r = 1 and 2 (grey), with the theory of finite dimension (lines) and
simulated regression (dots with standard errors). What separates finite dimension from the limit
falls as 1/d (c), at first for the samples that lower degrees take, a share N(d, <r)/(alpha N(d, r))
of all: with these counted in the same closed form less is left, of the same order.
"""

import numpy as np
import sympy

import kerneltheory as kt
from kerneltheory.core.figures import COLORS, CYCLE, dots, panel_title, plain_log_ticks
from kerneltheory.experiments.paper_figures import Claim

ORDERS = (1, 2)
DIMS = {1: (10, 20, 40, 80, 160), 2: (10, 20, 40)}
LARGE = tuple(10 * 2**i for i in range(10))
KERNEL = kt.dot_product_kernel(sympy.exp(-(1 - sympy.Symbol("t", real=True)) / 4))
TARGET = kt.Target({1: 0.5, 2: 0.3, 3: 0.2}, noise_variance=0.1)
RIDGE, SEED, MAX_DEGREE = 1e-2, 3, 12
QUICK = {"largest": 420, "trials": 30}


def compute(alpha=0.5, largest=1100, trials=240):
    grid = np.geomspace(0.2, 3, 200)
    arrays = {"alpha": np.array(alpha), "grid": grid, "large": np.array(LARGE)}
    for order in ORDERS:
        limit = kt.high_order_curve(KERNEL, TARGET, order, grid, RIDGE)
        arrays[f"{order}: limit"] = limit.test_error
        for dim in DIMS[order]:
            arrays |= _finite(order, dim, grid, largest, trials)
        spectra = [kt.spectrum(KERNEL, dim, MAX_DEGREE) for dim in LARGE]
        modes = [spectrum.multiplicities for spectrum in spectra]
        arrays[f"{order}: lower"] = np.array([m[:order].sum() / m[order] for m in modes])
        errors = [
            kt.learning_curve(spectrum, TARGET, alpha * m[order], RIDGE).test_error
            for spectrum, m in zip(spectra, modes, strict=True)
        ]
        counted = [
            kt.high_order_curve(
                KERNEL, TARGET, order, alpha, RIDGE, dim=dim, counting="finite"
            ).test_error
            for dim in LARGE
        ]
        at = kt.high_order_curve(KERNEL, TARGET, order, alpha, RIDGE).test_error
        arrays[f"{order}: deviation"] = np.abs(np.array(errors) / at - 1)
        arrays[f"{order}: deviation, counted"] = np.abs(np.array(errors) / counted - 1)
    return arrays


def _finite(order, dim, grid, largest, trials):
    spectrum = kt.spectrum(KERNEL, dim, MAX_DEGREE)
    modes = spectrum.multiplicities[order]
    points = np.unique(np.round(modes * np.array([0.25, 0.35, 0.5, 0.7, 1, 1.4, 2, 2.8])))
    points = points[(points >= 5) & (points <= largest)].astype(int)
    n = np.unique([*grid * modes, *points])
    theory = kt.learning_curve(spectrum, TARGET, n, RIDGE)
    count = max(8, int(trials * min(1, 20 / points[-1])))
    runs = kt.simulate(KERNEL, TARGET, dim, points, RIDGE, count, SEED, progress=False)
    arrays = {
        "alpha": n / modes,
        "theory": theory.test_error,
        "error of theory": theory.validity * theory.test_error,
        "simulated alpha": points / modes,
        "simulated": runs.test_error,
        "standard errors": runs.standard_errors.test_error,
    }
    return {f"{order}, {dim}: {key}": value for key, value in arrays.items()}


def claims(arrays):
    alpha, dims = float(arrays["alpha"]), arrays["large"]
    found = []
    for order in ORDERS:
        # The expansion is one in N_<r/(alpha N_r), of order 1/d: its second term changes the
        # exponent between two dimensions by so much.
        deviations = arrays[f"{order}: deviation"]
        exponent = np.log2(deviations[-2] / deviations[-1])
        found.append(
            Claim(
                f"order {order}: exponent of 1/d between d = {dims[-2]} and {dims[-1]}, less 1",
                abs(exponent - 1),
                arrays[f"{order}: lower"][-2] / alpha,
            )
        )
        counted = arrays[f"{order}: deviation, counted"]
        left = np.max(counted[1:] / deviations[1:])
        words = f"order {order}: deviation with lower degrees counted, over that of the limit"
        found.append(Claim(words, left, 1))
        ends = _deviation(arrays, order, DIMS[order][0]), _deviation(arrays, order, _last(order))
        ratio = (ends[1][0] + 3 * ends[1][1]) / (ends[0][0] - 3 * ends[0][1])
        words = (
            f"order {order}, alpha {alpha}: simulated deviation at d = {_last(order)} over that at"
        )
        # Twice what 1/d tells: higher orders in 1/d count at the smaller dimension.
        bound = 2 * DIMS[order][0] / _last(order)
        found.append(Claim(f"{words} {DIMS[order][0]}, by 3 standard errors", ratio, bound))
        found += [_agreement(arrays, order, dim) for dim in DIMS[order]]
    return found


def _last(order):
    return DIMS[order][-1]


def _deviation(arrays, order, dim):
    """Of the simulation from the limit at alpha, relatively, and its standard error."""
    own = f"{order}, {dim}: "
    place = np.argmin(np.abs(arrays[f"{own}simulated alpha"] - arrays["alpha"]))
    alpha = arrays[f"{own}simulated alpha"][place]
    limit = np.interp(np.log(alpha), np.log(arrays["grid"]), arrays[f"{order}: limit"])
    deviation = abs(arrays[f"{own}simulated"][place] / limit - 1)
    return deviation, arrays[f"{own}standard errors"][place] / limit


def _agreement(arrays, order, dim):
    own = f"{order}, {dim}: "
    inside = np.isin(arrays[f"{own}alpha"], arrays[f"{own}simulated alpha"])
    return Claim.of_agreement(
        f"order {order}, d = {dim}",
        arrays[f"{own}simulated"],
        arrays[f"{own}theory"][inside],
        arrays[f"{own}standard errors"],
        arrays[f"{own}error of theory"][inside],
    )


def draw(arrays):
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 3, figsize=(10, 3.6))
    for axes, letter, order in zip(panels, "ab", ORDERS, strict=False):
        limit = arrays[f"{order}: limit"]
        axes.plot(arrays["grid"], limit, color=COLORS["limit"], linewidth=3, label="limit")
        for color, dim in zip(CYCLE, DIMS[order], strict=False):
            own = f"{order}, {dim}: "
            axes.plot(
                arrays[f"{own}alpha"],
                arrays[f"{own}theory"],
                color=color,
                linewidth=1,
                label=f"$d = {dim}$",
            )
            dots(
                axes,
                arrays[f"{own}simulated alpha"],
                arrays[f"{own}simulated"],
                arrays[f"{own}standard errors"],
                color=color,
            )
        axes.set(xscale="log", yscale="log", xlabel=rf"$\alpha = n/N(d, {order})$")
        plain_log_ticks(axes)
        axes.legend(loc="lower left")
        panel_title(axes, letter, f"order {order}")
    panels[0].set_ylabel("test error")
    _draw_rate(panels[2], arrays)
    return figure


def _draw_rate(axes, arrays):
    dims = arrays["large"]
    for color, order in zip(CYCLE, ORDERS, strict=False):
        axes.plot(dims, arrays[f"{order}: deviation"], color=color, label=f"order {order}")
        counted = arrays[f"{order}: deviation, counted"]
        label = f"order {order}, lower degrees counted"
        axes.plot(dims[1:], counted[1:], "--", color=color, linewidth=1, label=label)
        points = np.array([_deviation(arrays, order, dim) for dim in DIMS[order]])
        dots(axes, DIMS[order], points[:, 0], points[:, 1], color=color, markersize=3.5)
    axes.plot(dims, 1.5 / dims, ":", color="0.4", linewidth=1, label="$1/d$")
    axes.set(xscale="log", yscale="log", xlabel="dimension $d$", ylim=(3e-9, 2))
    axes.set_ylabel(rf"relative deviation at $\alpha = {float(arrays['alpha'])}$")
    axes.legend(loc="lower left")
    panel_title(axes, "c", "deviation from the limit")


if __name__ == "__main__":
    from kerneltheory.cli import main

    raise SystemExit(main(["reproduce", "finite_dimension"]))
