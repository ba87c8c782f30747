"""Condition numbers of deep kernels in the three phases, and their laws.

Condition numbers of the NTK and the NNGP against depth, for fully-connected networks and for
convolutional ones whose readout flattens the pixels or averages over all of them
(arXiv:1912.13053). In the ordered phase they grow as exp(l / xi): networks much deeper than xi
cannot be trained. On the edge of chaos that of the NTK tends to a number, (m d + 2)/2 of m inputs
and d pooled pixels for erf and (m d + 3)/3 for relu, whereas that of the NNGP grows as l, of relu
as l^2. In the chaotic phase both tend to what the fixed correlation sets, the NTK's to 1. Markers
are measured on random inputs of the fixed variance, by the recursion through all layers; lines are
the laws, which have no fitted parameter: the inputs set the amplitude in the ordered phase. The
lower row shows how far the two are apart: corrections are of order 1/l for the ordered NTK and
log(l)/l on the edge of chaos, with the derived coefficient for the NNGP of erf, and exponentially
small elsewhere.
"""

import numpy as np
import sympy

import kerneltheory as kt
from kerneltheory.core.figures import CYCLE, panel_title, plain_log_ticks
from kerneltheory.experiments.paper_figures import Claim

KERNELS = ("ntk", "nngp")
ARCHITECTURES = ("fcn", "cnn_flatten", "cnn_pooled")
PANELS = ("ordered", "critical", "chaotic")
NAMES = {"fcn": "dense", "cnn_flatten": "CNN, flattened", "cnn_pooled": "CNN, pooled"}
# Colour, marker and its size, of erf by architecture and of relu.
STYLES = {
    "fcn": (CYCLE[0], "o", 5),
    "cnn_flatten": (CYCLE[1], "x", 4),
    "cnn_pooled": (CYCLE[2], "s", 3.5),
    "relu": (CYCLE[3], "^", 3.5),
}
QUICK = {"pixels": 3, "deepest": 5000, "count": 9, "architectures": ["fcn"]}


def compute(
    inputs=6, pixels=4, channels=16, deepest=20_000, count=28, architectures=ARCHITECTURES, seed=0
):
    images = np.random.default_rng(seed).normal(size=(inputs, pixels, channels))
    images *= np.sqrt(channels) / np.linalg.norm(images, axis=-1, keepdims=True)
    edge = kt.critical_line(kt.erf, [1])
    w, b = float(edge.weight_variances[0]), float(edge.bias_variances[0])
    networks = {
        "ordered": (kt.erf, 1, 0.5, 1000, architectures),
        "critical": (kt.erf, w, b, deepest, architectures),
        "chaotic": (kt.erf, 4, 0.5, 100, architectures),
        "critical relu": (kt.relu, 2, 0, deepest, ["fcn"]),
    }
    arrays = {"inputs": np.array(inputs), "pixels": np.array(pixels)}
    for name, (phi, weight, bias, last, chosen) in networks.items():
        depths = np.unique(np.geomspace(1, last, count).round().astype(int))
        phase = kt.phase(phi, weight, bias)
        settled = images * np.sqrt((phase.q_star - bias) / weight)  # at the fixed variance
        arrays[f"{name}: depths"] = depths
        arrays[f"{name}: xi_1, chi_c"] = np.array([phase.xi_1, phase.chi_c])
        for kernel in KERNELS:
            for architecture in chosen:
                found = kt.depth_spectrum(
                    phi,
                    settled.reshape(inputs, -1) if architecture == "fcn" else settled,
                    depths,
                    weight_variance=weight,
                    bias_variance=bias,
                    kernel=kernel,
                    architecture=architecture,
                )
                arrays[f"{name}, {kernel}, {architecture}"] = found.condition_number
                law = found.predicted.condition_number
                arrays[f"law of {name}, {kernel}, {architecture}"] = law
    return arrays | {"coefficient": np.array(log_coefficient(w))}


def log_coefficient(weight_variance):
    """Of log(l)/l in the deviation of the critical NNGP of erf from its law, at q* = 1.

    What a layer leaves of g = 1 - c is g - a g^2 + b g^3, so that 1/g = a l + (a - b/a) log l.
    """
    correlation = sympy.Symbol("c")
    dual = kt.covariance_dual(kt.erf)
    layer = dual.rhs.subs(dict(zip(dual.args, (1, 1, correlation), strict=True)))
    second, third = (
        weight_variance * float(layer.diff(correlation, n).subs(correlation, 1)) for n in (2, 3)
    )
    a, b = second / 2, third / 6
    return 1 - b / a**2


def deviation(arrays, label):
    return arrays[label] / arrays[f"law of {label}"] - 1


def labels(arrays, start):
    return [label for label in arrays if label.startswith(f"{start}, ")]


def claims(arrays):
    return [*_laws(arrays), *_limits(arrays), _growth(arrays), _log_correction(arrays)]


def _laws(arrays):
    """Measured and predicted at the largest depth."""
    points = float(arrays["inputs"] * arrays["pixels"])
    for label in [label for name in (*PANELS, "critical relu") for label in labels(arrays, name)]:
        name = label.partition(",")[0]
        last = int(arrays[f"{name}: depths"][-1])
        # What differs from c*, which is 1 in the ordered phase, falls as chi_c^l, and the
        # eigenvalues see at most m d times that.
        rest = float(arrays[f"{name}: xi_1, chi_c"][1]) ** last
        exponential = name == "chaotic" or label.startswith("ordered, nngp")
        bound = points * rest + 1e-12 if exponential else 0.01
        found = abs(deviation(arrays, label)[-1])
        yield Claim(f"{label}: deviation from its law at depth {last}", found, bound)


def _limits(arrays):
    """The numbers of the paper that the critical NTK tends to."""
    m, d = int(arrays["inputs"]), int(arrays["pixels"])
    limits = {
        "critical, ntk, fcn": (m + 2) / 2,
        "critical, ntk, cnn_pooled": (m * d + 2) / 2,
        "critical relu, ntk, fcn": (m + 3) / 3,
    }
    for label, limit in limits.items():
        if label not in arrays:  # of the quick version
            continue
        found = abs(arrays[label][-1] / limit - 1)
        yield Claim(f"{label}: deviation from {limit:g}", found, 0.01)


def _growth(arrays):
    """Between depths at which all but the exponential has settled to rounding: past 20 xi_1."""
    depths, numbers = arrays["ordered: depths"], arrays["ordered, nngp, fcn"]
    xi = arrays["ordered: xi_1, chi_c"][0]
    first = int(np.argmax(depths > 20 * xi))
    rate = np.log(numbers[-1] / numbers[first]) / (depths[-1] - depths[first])
    found = abs(rate * xi - 1)
    return Claim("ordered, nngp, fcn: growth per layer times xi_1, deviation from 1", found, 1e-10)


def _log_correction(arrays):
    """From two depths, so that what is of order 1/l cancels; of order (log l)^2/l is left."""
    depth, found = arrays["critical: depths"], deviation(arrays, "critical, nngp, fcn")
    first = int(np.argmax(depth > depth[-1] / 20))
    rest = depth * found
    measured = (rest[-1] - rest[first]) / np.log(depth[-1] / depth[first])
    coefficient = float(arrays["coefficient"])
    return Claim(
        "critical, nngp, fcn: coefficient of log(l)/l in the deviation, relative error",
        abs(measured / coefficient - 1),
        coefficient**2 * np.log(depth[first]) ** 2 / depth[first],
    )


def draw(arrays):
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(3, 3, figsize=(8.6, 7.4))
    for column, name in enumerate(PANELS):
        for row, kernel in enumerate(KERNELS):
            axes = panels[row, column]
            _condition_numbers(axes, arrays, name, kernel)
            panel_title(axes, "abcdef"[3 * row + column], f"{kernel.upper()}, {name}")
        _deviations(panels[2, column], arrays, name)
        panel_title(panels[2, column], "ghi"[column], f"distance from law, {name}")
    for axes in panels[:2, 0]:
        axes.set_ylabel(r"condition number $\kappa$")
    panels[2, 0].set_ylabel(r"$|\kappa\,/\,$law$\;-\;1|$")
    panels[0, 0].plot([], [], "-", color="0.2", linewidth=0.8, label="laws")
    panels[0, 0].legend(loc="upper left")
    panels[0, 1].legend(loc="center right", bbox_to_anchor=(1, 0.62))
    return figure


def _style(label):
    key = "relu" if "relu" in label else label.rpartition(", ")[2]
    color, marker, size = STYLES[key]
    return key, {"color": color, "marker": marker, "markersize": size, "fillstyle": "none"}


def _shown(arrays, name):
    return [label for start in (name, f"{name} relu") for label in labels(arrays, start)]


def _condition_numbers(axes, arrays, name, kernel):
    last = {"ordered": 40, "critical": np.inf, "chaotic": 30}[name]
    for label in [label for label in _shown(arrays, name) if f", {kernel}, " in label]:
        depths = arrays[f"{label.partition(',')[0]}: depths"]
        kept = depths <= last
        key, style = _style(label)
        text = {"ordered": NAMES.get(key), "critical": "dense, relu" if key == "relu" else None}
        axes.plot(
            depths[kept], arrays[label][kept], linestyle="none", label=text.get(name), **style
        )
        law = arrays[f"law of {label}"][kept]
        axes.plot(depths[kept], law, "-", color="0.2", linewidth=0.8, zorder=1)
    axes.set(xlabel="depth $l$", yscale="log")
    if name == "critical":
        axes.set(xscale="log")
    if name != "ordered" and (name, kernel) != ("critical", "nngp"):
        plain_log_ticks(axes)
        axes.yaxis.set_major_formatter("{x:g}")


def _deviations(axes, arrays, name):
    axes.set(xlabel="depth $l$", yscale="log", xscale="linear" if name == "chaotic" else "log")
    for label in _shown(arrays, name):
        _, style = _style(label)
        depths = arrays[f"{label.partition(',')[0]}: depths"]
        found = np.abs(deviation(arrays, label))
        line = "-" if ", ntk, " in label else ":"
        axes.plot(depths, found, linestyle=line, linewidth=0.8, **(style | {"markersize": 3}))
    axes.set_ylim(1e-10 if name != "critical" else 1e-4)
    axes.plot([], [], "-", color="0.2", linewidth=0.8, label="NTK")
    axes.plot([], [], ":", color="0.2", linewidth=0.8, label="NNGP")
    if name == "critical":
        depths = arrays["critical: depths"]
        deep = depths[depths > 20]
        law = np.abs(arrays["coefficient"]) * np.log(deep) / deep
        axes.plot(deep, law, "--", color="0.2", linewidth=1.0, label=r"$a \log(l)/l$, NNGP of erf")
    axes.legend(loc="lower left" if name == "critical" else "upper right")


if __name__ == "__main__":
    from kerneltheory.cli import main

    raise SystemExit(main(["reproduce", "condition_numbers"]))
