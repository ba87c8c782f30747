"""What a bias-free relu network cannot learn: odd degrees above one.

Since relu(u) - relu(-u) = u, the tangent kernel of one hidden layer without bias is linear plus
even: its eigenvalues of degree 3, 5, 7, ... are exactly zero (a; arXiv:2205.14846 has the learning
curves). A target with power in degree 3 is never learned (b): the error descends at degrees 1 and
2, and stays above that power for ever, for every draw of the samples. To the regression degree 3 is
noise: its test error is that of labels with so much more noise instead, plus that power (c). A bias
or one more layer brings the odd degrees back, and with them the descent at N(d, <=3) samples.
Theory in lines, simulated regression in dots with standard
errors; the squares are shifted by 4 parts in 100.
"""

import numpy as np

import kerneltheory as kt
from kerneltheory.core.figures import CYCLE, dots, panel_title, plain_log_ticks
from kerneltheory.experiments.paper_figures import Claim

KERNELS = {
    "no bias": kt.ntk(kt.relu, 1, weight_variance=2),
    "with bias": kt.ntk(kt.relu, 1, weight_variance=2, bias_variance=1),
    "two layers": kt.ntk(kt.relu, 2, weight_variance=2),
}
POWER, NOISE = {1: 0.3, 2: 0.2, 3: 0.5}, 0.01
TARGET = kt.Target(POWER, noise_variance=NOISE)
STAND_IN = kt.Target(POWER | {3: 0.0}, noise_variance=NOISE + POWER[3])
RIDGE, SEED = 1e-3, 4
QUICK = {"largest": 120, "sizes": 6, "trials": 8}


def compute(dim=10, largest=1000, sizes=16, trials=12, max_degree=40):
    points = np.unique(np.round(np.geomspace(6, largest, sizes))).astype(int)
    n = np.unique([*np.geomspace(4, largest, 200), *points])
    odd = [kt.eigenvalue(KERNELS["no bias"], degree, dim).rhs for degree in range(3, 16, 2)]
    modes = kt.spectrum(KERNELS["no bias"], dim, max_degree).multiplicities
    arrays = {
        "dim": np.array(dim),
        "harmonics": modes[:4].cumsum(),
        "n": n,
        "points": points,
        "nonzero": np.array(sum(value != 0 for value in odd)),
    }
    for name, kernel in KERNELS.items():
        spectrum = kt.spectrum(kernel, dim, max_degree)
        targets = {"": TARGET} | ({", noise instead": STAND_IN} if name == "no bias" else {})
        runs = kt.simulate(
            kernel, list(targets.values()), dim, points, RIDGE, trials, SEED, progress=False
        )
        arrays[f"{name}: eigenvalues"] = spectrum.eigenvalues
        for (kind, target), run in zip(targets.items(), runs, strict=True):
            theory = kt.learning_curve(spectrum, target, n, RIDGE)
            own = f"{name}{kind}: "
            arrays |= {
                f"{own}theory": theory.test_error,
                f"{own}error of theory": np.maximum(theory.validity, 0.005) * theory.test_error,
                f"{own}simulated": run.test_error,
                f"{own}standard errors": run.standard_errors.test_error,
            }
    return arrays


def claims(arrays):
    lost = POWER[3]
    found = [
        Claim("no bias: exact eigenvalues of degree 3, 5, ..., 15 not zero", arrays["nonzero"], 0),
        # The predictor has no part of degree 3, whatever the samples are.
        Claim(
            "no bias: power of degree 3 over the least simulated test error",
            lost / arrays["no bias: simulated"].min(),
            1,
        ),
        Claim(
            "no bias: degree 3 against as much noise, theory, relatively",
            np.max(
                np.abs(
                    (arrays["no bias, noise instead: theory"] + lost) / arrays["no bias: theory"]
                    - 1
                )
            ),
            1e-12,
        ),
    ]
    gap = arrays["no bias, noise instead: simulated"] + lost - arrays["no bias: simulated"]
    allowed = _allowed("no bias, noise instead", arrays) + _allowed("no bias", arrays)
    words = (
        "no bias: degree 3 against as much noise, simulated, over 5 standard errors and twice its"
    )
    found.append(Claim(f"{words} estimated error", np.max(np.abs(gap) / allowed), 1))
    last = arrays["points"][-1]
    for name in KERNELS:
        simulated, errors = (arrays[f"{name}: {kind}"] for kind in ("simulated", "standard errors"))
        theory, off = (_at_points(name, kind, arrays) for kind in ("theory", "error of theory"))
        found.append(Claim.of_agreement(name, simulated, theory, errors, off))
        if name != "no bias" and last > arrays["harmonics"][3]:
            final = arrays[f"{name}: simulated"][-1] + 5 * arrays[f"{name}: standard errors"][-1]
            words = f"{name}: simulated error at n = {last}, plus 5 standard errors, over the power"
            found.append(Claim(f"{words} of degree 3", final / lost, 1))
    return found


def _theory(name, arrays):
    return arrays[f"{name}: theory"]


def _at_points(name, field, arrays):
    return arrays[f"{name}: {field}"][np.isin(arrays["n"], arrays["points"])]


def _allowed(name, arrays):
    errors = arrays[f"{name}: standard errors"]
    return 5 * errors + 2 * _at_points(name, "error of theory", arrays)


def draw(arrays):
    import matplotlib.pyplot as plt

    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(10, 3.5))
    _draw_eigenvalues(left, arrays)
    for color, name in zip(CYCLE, KERNELS, strict=False):
        _draw(middle, arrays, name, color, name)
    _draw(right, arrays, "no bias", CYCLE[0], "degree 3 in the target", POWER[3])
    dots(
        right,
        arrays["points"] * 1.04,
        arrays["no bias, noise instead: simulated"],
        arrays["no bias, noise instead: standard errors"],
        color=CYCLE[3],
        fmt="s",
        label="as much noise instead",
    )
    middle.axhline(POWER[3], color="0.4", linestyle=":", linewidth=1)
    middle.annotate("power of degree 3", (4.2, POWER[3] * 0.93), va="top", fontsize=7.5)
    for degree in (1, 2, 3):
        place = arrays["harmonics"][degree]
        for axes in (middle, right):
            if place < arrays["n"][-1]:
                axes.axvline(place, color="0.88", linewidth=0.8, zorder=0)
    for axes in (middle, right):
        axes.set(xscale="log", yscale="log", xlabel="samples $n$")
        plain_log_ticks(axes)
        axes.legend(loc="lower left")
    middle.set_ylabel("test error")
    right.set_ylabel("test error less the power of degree 3")
    panel_title(middle, "b", "no descent at degree 3")
    panel_title(right, "c", "degree 3 acts as noise")
    return figure


def _draw_eigenvalues(axes, arrays):
    for color, name in zip(CYCLE, KERNELS, strict=False):
        values = arrays[f"{name}: eigenvalues"][1:20]
        degrees = np.arange(1, len(values) + 1)
        seen = values > 0
        axes.plot(degrees[seen], values[seen], "o", color=color, markersize=3.5, label=name)
    axes.set(yscale="log", xlabel="degree $k$", ylabel=r"eigenvalue $\lambda_k$")
    axes.set_xticks(range(1, 20, 2))
    axes.legend()
    panel_title(axes, "a", rf"relu NTK, $d = {int(arrays['dim'])}$")


def _draw(axes, arrays, name, color, label, less=0.0):
    axes.plot(arrays["n"], arrays[f"{name}: theory"] - less, color=color, label=label)
    dots(
        axes,
        arrays["points"],
        arrays[f"{name}: simulated"] - less,
        arrays[f"{name}: standard errors"],
        color=color,
    )


if __name__ == "__main__":
    from kerneltheory.cli import main

    raise SystemExit(main(["reproduce", "absent_odd_peaks"]))
