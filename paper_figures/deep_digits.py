r"""Condition number and accuracy of deep networks on digits, with the predicted depth scales.

The NTK of erf networks on MNIST, with a ridge of 1e-8 of its diagonal (arXiv:1912.13053). In the
ordered phase (weight variance w left of the dotted line) the bulk of its spectrum falls like
chi_1^l under any ridge: the full line is the depth at which it has fallen to the ridge, but for a
factor l, and regression fails beyond. In the chaotic phase what the kernel says of new inputs falls
like (chi_c/chi_1)^l: the dashed line is the depth at which that has fallen to a hundredth, and
beyond it nothing is predicted while the condition number becomes 1.
"""

import math

import numpy as np

import kerneltheory as kt
from kerneltheory.core.figures import panel_title
from kerneltheory.experiments.deep_regression import deep_regression
from kerneltheory.experiments.digits import mnist_digits
from kerneltheory.experiments.paper_figures import Claim

CRITICAL_VARIANCE = 1.0  # of the critical pair whose bias variance all networks have
RIDGE = 1e-8  # of the diagonal of the kernel
FORGOTTEN = 1e-2  # what is left of a mean predictor
EPS = 1e-10  # rounding of outputs, that of the kernel over the ridge
QUICK = {"weights": 3, "depths": 6, "rows": 200}


def compute(weights=13, depths=16, rows=600):
    line = kt.critical_line(kt.erf, [CRITICAL_VARIANCE])
    critical, b = float(line.weight_variances[0]), float(line.bias_variances[0])
    images, labels = mnist_digits(rows)
    train = rows // 2
    w = np.geomspace(0.9, 3.6, weights)
    layers = np.unique(np.geomspace(1, 300, depths).round().astype(int))
    conditions, regressions, phases = [], [], []
    for weight in w:
        network = {"weight_variance": weight, "bias_variance": b}
        phases.append(kt.phase(kt.erf, weight, b))
        conditions.append(
            kt.depth_spectrum(kt.erf, images[:train], layers, **network).condition_number
        )
        regressions.append(
            deep_regression(kt.erf, images, labels, layers, train, ridge=RIDGE, **network)
        )
    return {
        "weight variances": w,
        "depths": layers,
        "train": np.array(train),
        "critical": np.array(critical),
        "chi_1": np.array([one.chi_1 for one in phases]),
        "chi_c": np.array([one.chi_c for one in phases]),
        "condition number": np.array(conditions),
        "accuracy": np.array([one.accuracy for one in regressions]),
        "error": np.array([one.error for one in regressions]),
        # Infinite out of the ordered phase, and out of the chaotic phase.
        "trainability": scales(kt.trainability_depth, phases, RIDGE),
        "generalization": scales(kt.generalization_depth, phases, FORGOTTEN),
    }


def scales(scale, phases, left):
    return np.array([scale(one) for one in phases]) * math.log(1 / left)


def claims(arrays):
    train, chi_1, chi_c = (arrays[name][..., None] for name in ("train", "chi_1", "chi_c"))
    depth, accuracy, error = (arrays[name] for name in ("depths", "accuracy", "error"))
    condition, predicted = arrays["condition number"], 1 - error
    bulk, mean = chi_1**depth, (chi_c / chi_1) ** depth
    trained, forgotten = (
        depth / arrays[name][:, None] for name in ("trainability", "generalization")
    )
    share = accuracy[:, :1]
    scatter = np.sqrt(share * (1 - share) * 2 / train)
    first = (trained > 0) & (trained <= 1 / 2)
    return [
        Claim(
            "ordered phase, up to half of the depth: fall of the accuracy below that of one hidden "
            "layer, in standard errors",
            np.max(((share - accuracy) / scatter)[first]),
            3,
        ),
        # The bulk is l chi_1^l, and l times the ridge at the depth.
        Claim(
            "ordered phase, from the depth on: 1/(ridge l) over the condition number",
            np.max((1 / (RIDGE * depth * condition))[trained >= 1]),
            1,
        ),
        Claim(
            "ordered phase, from twice the depth on: what is predicted, over n l chi_1^l/ridge",
            np.max((np.abs(predicted) / (train * depth * bulk / RIDGE + EPS))[trained >= 2]),
            1,
        ),
        # By then the bulk is below the rounding of the kernel, and all outputs are one.
        Claim(
            "ordered phase, from three times the depth on: accuracy",
            np.max(accuracy[trained >= 3]),
            float(0.1 + 3 * np.sqrt(0.09 / arrays["train"])),
        ),
        Claim(
            "chaotic phase, from twice the depth on: what is predicted, over n l (chi_c/chi_1)^l",
            np.max((np.abs(predicted) / (train * depth * mean + EPS))[forgotten >= 2]),
            1,
        ),
        condition_claim(arrays),
    ]


def condition_claim(arrays):
    """In the chaotic phase a kernel of equal entries r off the diagonal, which falls as chi_1^l."""
    excess, found = arrays["condition number"] - 1, []
    for i, start in enumerate(arrays["generalization"]):
        law = np.flatnonzero((arrays["depths"] >= start) & (excess[i] > 1e-9))
        depths, r = arrays["depths"][law], excess[i, law] / (excess[i, law] + arrays["train"])
        error = np.abs(np.diff(np.log(r)) + np.diff(depths) * np.log(arrays["chi_1"][i]))
        found += [*(error / (depths * arrays["chi_c"][i] ** depths)[:-1])]
    statement = (
        "chaotic phase, from the depth on: fall of the condition number to 1 against chi_1^l"
    )
    return Claim(f"{statement}, in units of the next order, l chi_c^l", max(found), 1)


def draw(arrays):
    import matplotlib.pyplot as plt

    logarithm = np.minimum(np.log10(arrays["condition number"]), 16)
    shown = (
        ("Condition number", logarithm, "viridis", r"$\log_{10}\kappa$, at most 16"),
        ("Accuracy", arrays["accuracy"], "cividis", "accuracy on rows left out"),
        ("Error", np.minimum(arrays["error"], 1), "cividis_r", "squared error over that of 0"),
    )
    figure, panels = plt.subplots(1, 3, figsize=(9.6, 3.2), sharey=True)
    for axes, letter, (title, values, colors, label) in zip(panels, "abc", shown, strict=True):
        draw_panel(axes, arrays, values, colors, label)
        panel_title(axes, letter, title)
    panels[0].set_ylabel("depth $l$")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure


def draw_panel(axes, arrays, values, colors, label):
    w, depths = arrays["weight variances"], arrays["depths"]
    mesh = axes.pcolormesh(w, depths, values.T, cmap=colors, shading="gouraud", rasterized=True)
    axes.figure.colorbar(mesh, ax=axes, label=label)
    style = {"color": "#D55E00", "linewidth": 1.6}
    axes.axvline(arrays["critical"], linestyle=":", label="critical", **style)
    bulk, mean = r"$\xi_1 \ln 10^8$: the bulk falls to the ridge", r"$\xi_* \ln 100$: the mean"
    axes.plot(w, arrays["trainability"], label=bulk, **style)
    axes.plot(w, arrays["generalization"], "--", label=f"{mean} predictor falls", **style)
    axes.set(xlabel="weight variance $w$", yscale="log")
    axes.set(xlim=(w[0], w[-1]), ylim=(depths[0], depths[-1]))


if __name__ == "__main__":
    from kerneltheory.cli import main

    raise SystemExit(main(["reproduce", "deep_digits"]))
