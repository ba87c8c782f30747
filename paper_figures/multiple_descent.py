"""Multiple descent of kernel regression.

Test error against the number of samples, uniform on the sphere, with peaks at N(d, <=k), the number
of harmonics up to degree k (arXiv:2205.14846): theory (lines) and simulated regression (dots with
standard errors). At the k-th peak degrees below k have been learned, degree k is fitted with as
many samples as it has harmonics, and higher degrees act as noise and as a ridge, which is zeta in
units of the eigenvalue of degree k. A kernel whose coefficients fall fast has small zeta at each
degree and three peaks; ridge removes them one after the other, the last one first (a). They are
peaks of the variance; the bias only falls (b). The last level of a polynomial has no higher degrees
to act as ridge, so that its peak rises without bound as the ridge falls (c). Higher degrees of a
relu network are too strong for any peak: its error descends in steps (d). Near sharp peaks the
theory is off by a few parts in 100 at d = 12, as it estimates itself.
"""

import numpy as np
import sympy

import kerneltheory as kt
from kerneltheory.core.figures import COLORS, CYCLE, dots, panel_title, plain_log_ticks
from kerneltheory.experiments.paper_figures import Claim

FIELDS = ("test_error", "bias", "variance")
T = sympy.Symbol("t", real=True)
KERNELS = {
    "exp": kt.dot_product_kernel(sympy.exp(-(1 - T) / 10)),
    "polynomial": kt.dot_product_kernel((1 + T / 4) ** 2),
    "relu NTK": kt.ntk(kt.relu, 1, weight_variance=2, bias_variance=sympy.Rational(1, 10)),
}
RIDGES = {"exp": (1e-6, 1e-3, 0.1), "polynomial": (1e-4, 0.1), "relu NTK": (1e-3,)}
TARGET = kt.Target({1: 0.5, 2: 0.3, 3: 0.2}, noise_variance=0.1)
SEED = 1
QUICK = {"largest": 150, "sizes": 8, "trials": 8}


def compute(dim=12, largest=800, sizes=24, trials=12):
    points = np.unique(np.round(np.geomspace(4, largest, sizes)))
    one = kt.dot_product_kernel(sympy.exp(T))
    counts = kt.spectrum(one, dim, 3).multiplicities
    arrays = {"dim": np.array(dim), "harmonics": counts.cumsum()}
    for name, kernel in KERNELS.items():
        spectrum = kt.spectrum(kernel, dim, 24)
        found = kt.peaks(spectrum, TARGET, RIDGES[name][0])
        seen = (found.levels > 0) & (found.n < largest)
        at = np.unique([*points, *np.round(found.n[seen])]).astype(int)
        n = np.unique([*np.round(np.geomspace(3, largest, 220)), *at])
        masses = kernel.taylor_coefficients(4)
        ridge_of_higher = np.maximum(kernel.trace - np.cumsum(masses), 0)
        arrays |= {
            f"{name}: degrees": found.levels[seen],
            f"{name}: peaks": found.n[seen],
            f"{name}: zeta": (RIDGES[name][0] + ridge_of_higher[1:]) / np.maximum(masses[1:], 1e-9),
        }
        for ridge in RIDGES[name]:
            theory = kt.learning_curve(spectrum, TARGET, n, ridge)
            runs = kt.simulate(kernel, TARGET, dim, at, ridge, trials, SEED, progress=False)
            own = f"{name}, {ridge:g}"
            arrays |= {
                f"{own}: n": n,
                f"{own}: theory": _fields(theory),
                f"{own}: error of theory": theory.validity * theory.test_error,
                f"{own}: simulated n": at,
                f"{own}: simulated": _fields(runs),
                f"{own}: standard errors": _fields(runs.standard_errors),
            }
    return arrays


def _fields(curve):
    return np.array([getattr(curve, field) for field in FIELDS])


def claims(arrays):
    found = []
    for name, ridges in RIDGES.items():
        found += [_peak_claim(arrays, name, *peak) for peak in _peaks(arrays, name)]
        for ridge in ridges:
            own = f"{name}, {ridge:g}"
            where = f"{name} at ridge {ridge:g}"
            found += [_agreement(arrays, own, where, field) for field in FIELDS]
            bias = arrays[f"{own}: theory"][1]
            rise = np.max(np.diff(bias) / bias[1:])
            found.append(Claim(f"{where}: the bias never rises with n", rise, 1e-12))
    for name, expected in (("exp", 3), ("polynomial", 2), ("relu NTK", 0)):
        visible = min(expected, 2 + (arrays["exp, 0.1: n"][-1] > 500))
        missing = abs(len(arrays[f"{name}: peaks"]) - visible)
        found.append(Claim(f"{name}: peaks besides the {visible} expected", missing, 0))
    first = arrays["exp, 1e-06: simulated"][0], arrays["exp, 1e-06: standard errors"][0]
    points = arrays["exp, 1e-06: simulated n"]
    for degree, place in _peaks(arrays, "exp"):
        top = np.argmin(np.abs(points - place))
        before = (points < place) & (points > place / 4)
        low = np.flatnonzero(before)[np.argmin(first[0][before])]
        rise = (first[0][low] + 3 * first[1][low]) / (first[0][top] - 3 * first[1][top])
        found.append(
            Claim(
                f"exp: simulated valley before peak {degree} over its height, by 3 standard errors",
                rise,
                1,
            )
        )
    return found


def _peaks(arrays, name):
    return list(zip(arrays[f"{name}: degrees"].tolist(), arrays[f"{name}: peaks"], strict=True))


def _peak_claim(arrays, name, degree, place):
    # In alpha = n/N(d, k), near 1, the peak is that of u/(1 + u^2) at alpha - 1 = sqrt(zeta)
    # (1/u - u): its width is of order sqrt(zeta), and corrections of dimension are of order 1/d.
    dim = int(arrays["dim"])
    harmonics = int(arrays["harmonics"][degree])
    return Claim(
        f"{name}: peak of degree {degree}, distance from {harmonics} harmonics, relatively",
        abs(place / harmonics - 1),
        float(np.sqrt(arrays[f"{name}: zeta"][degree - 1]) + 1 / dim),
    )


def _agreement(arrays, own, where, field):
    row = FIELDS.index(field)
    inside = np.isin(arrays[f"{own}: n"], arrays[f"{own}: simulated n"])
    return Claim.of_agreement(
        f"{where}, {field.replace('_', ' ')}",
        arrays[f"{own}: simulated"][row],
        arrays[f"{own}: theory"][row][inside],
        arrays[f"{own}: standard errors"][row],
        arrays[f"{own}: error of theory"][inside],
    )


def draw(arrays):
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(2, 2, figsize=(8.6, 6.4), sharex=True)
    panels = panels.ravel()
    exponential = r"$e^{-(1-t)/10}$"
    titles = (
        f"{exponential}: three peaks",
        rf"{exponential}, $\delta = 10^{{-6}}$: peaks of the variance",
        r"$(1 + t/4)^2$: the last peak is unbounded",
        r"relu NTK, $\delta = 10^{-3}$: steps without peaks",
    )
    for axes, letter, title in zip(panels, "abcd", titles, strict=True):
        for degree in (1, 2, 3):
            place = arrays["harmonics"][degree]
            if place < arrays["exp, 0.1: n"][-1]:
                axes.axvline(place, color="0.85", linewidth=0.8, zorder=0)
        axes.set(xscale="log", yscale="log")
        panel_title(axes, letter, title)
    for axes, name in ((panels[0], "exp"), (panels[2], "polynomial")):
        for color, ridge in zip(CYCLE, RIDGES[name], strict=False):
            _draw(axes, arrays, f"{name}, {ridge:g}", 0, color, f"ridge {ridge:g}")
    for axes, own in ((panels[1], "exp, 1e-06"), (panels[3], "relu NTK, 0.001")):
        for row, field in enumerate(FIELDS):
            _draw(axes, arrays, own, row, COLORS[field], field.replace("_", " "))
    for axes in panels:
        plain_log_ticks(axes)
        axes.legend(loc="lower left")
    for axes in panels[2:]:
        axes.set_xlabel("samples $n$")
    for axes in panels[::2]:
        axes.set_ylabel("error")
    return figure


def _draw(axes, arrays, own, row, color, label):
    axes.plot(arrays[f"{own}: n"], arrays[f"{own}: theory"][row], color=color, label=label)
    dots(
        axes,
        arrays[f"{own}: simulated n"],
        arrays[f"{own}: simulated"][row],
        arrays[f"{own}: standard errors"][row],
        color=color,
    )


if __name__ == "__main__":
    from kerneltheory.cli import main

    raise SystemExit(main(["reproduce", "multiple_descent"]))
