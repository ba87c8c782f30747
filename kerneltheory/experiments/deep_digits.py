r"""Deep networks on digits: condition number and accuracy against weight variance and depth.

The NTK of erf networks on MNIST. In the ordered phase its bulk falls like :math:`\chi_1^l` under
any ridge, in the chaotic phase what it says of new inputs like :math:`(\chi_c/\chi_1)^l`: drawn
over both are the depths at which these have fallen so far (arXiv:1912.13053).
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.linalg import solve
from tqdm import tqdm

from kerneltheory.activations.catalogue import erf
from kerneltheory.core.figures import look, panel_title
from kerneltheory.depth.critical_line import critical_line
from kerneltheory.depth.depth_scales import generalization_depth, trainability_depth
from kerneltheory.depth.depth_spectrum import depth_spectrum
from kerneltheory.depth.depth_walk import DepthWalk
from kerneltheory.depth.pair_inputs import pairs_of
from kerneltheory.depth.phases import Phase, phase
from kerneltheory.experiments.headline import mnist_digits

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Of the critical pair whose bias variance all networks have.
CRITICAL_VARIANCE = 1.0
RIDGE = 1e-8  # of the mean diagonal of the kernel
FORGOTTEN = 1e-2  # what is left of a mean predictor


@dataclass(frozen=True)
class DeepDigits:
    r"""What was measured on digits, and the depth scales that theory predicts.

    Attributes:
        weight_variances: w, shape (w,).
        depths: hidden layers, shape (depths,).
        bias_variance: b.
        critical: the weight variance that is critical with b.
        condition_number: of the training rows, shape (w, depths).
        accuracy: on rows left out, shape (w, depths).
        error: mean square on rows left out, over that of the predictor 0, shape (w, depths).
        trainability: :math:`\xi_1 \ln 10^8`, over which the bulk falls to the ridge but for
            a factor l, shape (w,); infinite out of the ordered phase.
        generalization: :math:`\xi_* \ln 100`, over which the mean predictor falls to a hundredth
            but for a factor l, shape (w,); infinite out of the chaotic phase.
    """

    weight_variances: np.ndarray
    depths: np.ndarray
    bias_variance: float
    critical: float
    condition_number: np.ndarray
    accuracy: np.ndarray
    error: np.ndarray
    trainability: np.ndarray
    generalization: np.ndarray


def compute(
    weight_variances: np.ndarray | None = None,
    depths: np.ndarray | None = None,
    train: int = 300,
    test: int = 300,
) -> DeepDigits:
    """Regress digits on the NTK of erf networks of every weight variance and depth."""
    weights = np.geomspace(0.9, 3.6, 13) if weight_variances is None else weight_variances
    if depths is None:
        depths = np.unique(np.geomspace(1, 300, 16).round().astype(int))
    line = critical_line(erf, [CRITICAL_VARIANCE])
    critical, b = float(line.weight_variances[0]), float(line.bias_variances[0])
    images, labels = mnist_digits(train + test)
    conditions, errors, phases = [], [], []
    for w in tqdm(weights, desc="deep digits", delay=2, leave=False):
        phases.append(phase(erf, w, b))
        spectra = depth_spectrum(erf, images[:train], depths, weight_variance=w, bias_variance=b)
        conditions.append(spectra.condition_number)
        errors.append(_errors(phases[-1], images, labels, depths, train))
    trainability = [trainability_depth(p) * math.log(1 / RIDGE) for p in phases]
    generalization = [generalization_depth(p) * math.log(1 / FORGOTTEN) for p in phases]
    accuracy, error = np.moveaxis(np.array(errors), 2, 0)
    return DeepDigits(
        weights,
        depths,
        b,
        critical,
        np.array(conditions),
        accuracy,
        error,
        np.array(trainability),
        np.array(generalization),
    )


def _errors(
    found: Phase, images: np.ndarray, labels: np.ndarray, depths: np.ndarray, train: int
) -> list[tuple[float, float]]:
    """Accuracy and error on rows left out, at every depth, from one pass through depth."""
    w, b = found.weight_variance, found.bias_variance
    pairs = pairs_of(images[:, None, :], float(w), float(b), 1, False)
    assert found.chi_1 is not None  # a bounded activation has a fixed variance
    walk = DepthWalk(erf, w, b, pairs, 1, found.q_star, found.chi_1)
    errors = []
    for moment in walk.at(depths):
        kernel = pairs.matrix(moment.ratio)
        system = kernel[:train, :train] + RIDGE * np.eye(train)
        outputs = kernel[train:, :train] @ solve(system, labels[:train], assume_a="pos")
        right = outputs.argmax(axis=1) == labels[train:].argmax(axis=1)
        share = np.mean((outputs - labels[train:]) ** 2) / np.mean(labels[train:] ** 2)
        errors.append((float(right.mean()), float(share)))
    return errors


def draw(result: DeepDigits) -> "Figure":
    """Condition number, accuracy and error in color, with what theory predicts drawn over them."""
    import matplotlib.pyplot as plt

    logarithm = np.minimum(np.log10(result.condition_number), 16)
    shown = (
        ("Condition number", logarithm, "viridis", r"$\log_{10}\kappa$, at most 16"),
        ("Accuracy", result.accuracy, "cividis", "accuracy on rows left out"),
        ("Error", np.minimum(result.error, 1), "cividis_r", "squared error over that of 0"),
    )
    with look():
        figure, panels = plt.subplots(1, 3, figsize=(9.6, 3.2), sharey=True)
        for axes, letter, (title, values, colors, label) in zip(panels, "abc", shown, strict=True):
            _panel(axes, result, values, colors, label)
            panel_title(axes, letter, title)
        panels[0].set_ylabel("depth $l$")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure


def _panel(axes: "Axes", result: DeepDigits, values: np.ndarray, colors: str, label: str) -> None:
    w, depths = result.weight_variances, result.depths
    mesh = axes.pcolormesh(w, depths, values.T, cmap=colors, shading="gouraud", rasterized=True)
    axes.figure.colorbar(mesh, ax=axes, label=label)
    style: dict[str, Any] = {"color": "#D55E00", "linewidth": 1.6}
    axes.axvline(result.critical, linestyle=":", label="critical", **style)
    axes.plot(
        w, result.trainability, label=r"$\xi_1 \ln 10^8$: the bulk falls to the ridge", **style
    )
    axes.plot(
        w,
        result.generalization,
        linestyle="--",
        label=r"$\xi_* \ln 100$: the mean predictor falls",
        **style,
    )
    axes.set(xlabel="weight variance $w$", yscale="log")
    axes.set(xlim=(w[0], w[-1]), ylim=(depths[0], depths[-1]))
