"""Phase diagrams of deep networks, and the depth that signals reach.

Order and chaos of tanh, erf and relu networks over the variances of weights and biases
(arXiv:1611.01232, arXiv:1912.13053, arXiv:2106.10165). Upper row: the edge of chaos, where the
slope chi_1 of the correlation map at coincident inputs is one, and contours of xi_c, the layers in
which correlations settle, which diverges there from both sides. Relu has no chaotic phase: above
w = 2 its variances diverge. Lower row: along the dotted lines, chi_1, the correlation c* that
inputs tend to, and xi_c, lines from the fixed points and dots from the kernel recursion itself; and
how the edge of chaos leaves b = 0, by a cubic law with the same constant for tanh and for erf.
"""

import mpmath
import numpy as np
import sympy
from scipy.optimize import brentq

import kerneltheory as kt
from kerneltheory.core.figures import COLORS, CYCLE, panel_title
from kerneltheory.experiments.paper_figures import Claim

ACTIVATIONS = {"tanh": kt.tanh, "erf": kt.erf, "relu": kt.relu}
ODD = ("tanh", "erf")
COLOR = dict(zip(ACTIVATIONS, CYCLE, strict=False))
PLACES = {"ordered": (0.85, 0.4), "chaotic": (3.45, 0.05), "divergent": (3, 0.4)}
SECTION = 0.1  # the bias variance of the sections
FIELDS = (
    "q_star", "c_star", "chi_1", "chi_c", "xi_1", "xi_c", "xi_star", "fixed_points",
    "relative_error",
)  # fmt: skip
SECTIONS = ("w", "c_star", "chi_c", "chi_12", "q_star", "layers", "gap", "rate")
# The slope of phi at 0 and phi'''/phi' there: phi' is 1/cosh(x)^2 and 2 exp(-x^2)/sqrt(pi).
AT_ZERO = {"tanh": (1.0, -2.0), "erf": (2 / np.sqrt(np.pi), -2.0)}
STARTS = np.geomspace(1e-3, 1, 13)  # fixed variances next to b = 0
CHECKED = (sympy.Rational(1, 4), 1, 3)  # fixed variances
QUICK = {"activations": ["erf"], "grid": [10, 6], "sections": 2, "digits": 20}


def compute(
    activations=tuple(ACTIVATIONS), grid=(40, 30), sections=14, largest=(4.0, 0.6), digits=30
):
    weights = np.linspace(0.4, largest[0], grid[0])
    biases = np.linspace(0, np.sqrt(largest[1]), grid[1]) ** 2  # denser where the edge begins
    arrays = {"weights": weights, "biases": biases, "digits": np.array(digits)}
    for name in activations:
        phi = ACTIVATIONS[name]
        diagram = kt.phase_diagram(phi, weights, biases)
        arrays |= {f"{name}: {field}": getattr(diagram, field) for field in FIELDS}
        if diagram.boundary is not None:
            arrays |= _line_arrays(f"{name}: edge", diagram.boundary)
        fine = kt.phase_diagram(phi, np.linspace(0.4, largest[0], 181), [SECTION])
        for field in ("chi_1", "c_star", "xi_c"):
            arrays[f"{name}: line, {field}"] = np.where(
                fine.diverges, np.inf, getattr(fine, field)
            )[:, 0]
        arrays[f"{name}: line, w"] = fine.weight_variances
        below = 1.98 if name == "relu" else largest[0]
        arrays |= _section(name, phi, np.linspace(0.45, below, sections))
    for name in filter(ODD.__contains__, activations):
        arrays |= _line_arrays(f"{name}: start", kt.critical_line(ACTIVATIONS[name], STARTS))
        arrays[f"{name}: disagreement"] = _against_quadrature(name, digits)
        arrays[f"{name}: chi_1 on the edge"] = _on_the_edge(ACTIVATIONS[name])
    if "tanh" in activations:
        arrays["tanh: published"] = np.array(_bias_at(kt.tanh, 1.05))
    return arrays


def _names(arrays):
    return [name for name in ACTIVATIONS if f"{name}: q_star" in arrays]


def _line_arrays(name, line):
    return {
        f"{name}, q": line.variances,
        f"{name}, w": line.weight_variances,
        f"{name}, b": line.bias_variances,
    }


def _section(name, phi, weights):
    """The phases of a section, and c and the rate at which it settles, from the recursion."""
    found = {key: [] for key in ("c_star", "chi_c", "chi_12", "q_star", "layers")}
    measured = []
    for w in weights:
        phase = kt.phase(phi, float(w), SECTION)
        layers = int(9 * phase.xi_c) + 6
        deep = kt.depth_spectrum(
            phi,
            kt.EquicorrelatedPoints(2, correlation=0),
            [layers, layers + 1, layers + 2],
            weight_variance=float(w),
            bias_variance=SECTION,
            kernel="nngp",
        )
        # Of two points the other eigenvalue is K_aa - K_ab.
        gaps = np.exp(deep.log_lambda_bulk - deep.log_diagonal)
        measured.append([gaps[0], (gaps[2] - gaps[1]) / (gaps[1] - gaps[0])])
        for key, values in found.items():
            values.append(layers if key == "layers" else float(getattr(phase, key)))
    arrays = {f"{name}: section, {key}": np.array(values) for key, values in found.items()}
    gap, rate = np.array(measured).T
    return arrays | {
        f"{name}: section, w": weights,
        f"{name}: section, gap": gap,
        f"{name}: section, rate": rate,
    }


def _against_quadrature(name, digits):
    """The largest relative difference between certified points of the edge and other routes."""
    balls = kt.critical_line(ACTIVATIONS[name], CHECKED, digits=digits).balls
    worst = mpmath.mpf(0)
    with mpmath.workdps(digits + 10):
        for q, pair in zip(CHECKED, balls, strict=True):
            expected = _edge_by(name, mpmath.mpf(str(sympy.N(q, digits + 10))))
            for ball, other in zip(pair, expected, strict=True):
                value = mpmath.mpf(ball.mid().str(digits + 10, radius=False))
                worst = max(worst, abs(value - other))
    return np.array(float(worst))


def _edge_by(name, q):
    """Tanh by a plain quadrature, erf in closed form."""
    if name == "erf":
        w = mpmath.pi * mpmath.sqrt(1 + 4 * q) / 4
        return w, q - w * 2 / mpmath.pi * mpmath.asin(2 * q / (1 + 2 * q))

    def mean(function):
        root = mpmath.sqrt(q)
        ends = [0, 1, 2, 4, 8, 16]
        return 2 * mpmath.quad(lambda z: mpmath.npdf(z) * function(root * z), ends)

    w = 1 / mean(lambda x: mpmath.sech(x) ** 4)
    return w, q - w * mean(lambda x: mpmath.tanh(x) ** 2)


def _on_the_edge(phi):
    """Chi_1 - 1 of the phases, which find q* by themselves, at pairs on the edge."""
    line = kt.critical_line(phi, CHECKED)
    pairs = zip(line.weight_variances, line.bias_variances, strict=True)
    return np.array([kt.phase(phi, float(w), float(b)).chi_1 - 1 for w, b in pairs])


def _bias_at(phi, weight):
    """The bias variance of the edge at a weight variance."""
    q = brentq(
        lambda q: kt.critical_line(phi, [q]).weight_variances[0] - weight, 1e-3, 1, xtol=1e-15
    )
    return kt.critical_line(phi, [q]).bias_variances[0]


def cubic_law(name, weights):
    r"""b = (w - w0)^3 / (3 |r| w0^3) next to b = 0, w0 = 1/phi'(0)^2, r = phi'''(0)/phi'(0).

    Of odd phi, w E[phi'^2] = 1 gives w/w0 = 1 - r q + ..., and b = q - w E[phi^2] = r^2 q^3/3 + ...
    The fifth derivative drops out of both.
    """
    slope, ratio = AT_ZERO[name]
    return (weights * slope**2 - 1) ** 3 / (3 * abs(ratio))


def claims(arrays):
    result = []
    digits = int(arrays["digits"])
    for name in filter(ODD.__contains__, _names(arrays)):
        other = {"tanh": "a plain quadrature", "erf": "its closed form"}[name]
        result += [
            Claim(
                f"{name}: distance of certified points of the edge from {other}",
                float(arrays[f"{name}: disagreement"]),
                10.0 ** (2 - digits),
            ),
            Claim(
                f"{name}: |chi_1 - 1| at points of the edge, with q* found anew",
                np.abs(arrays[f"{name}: chi_1 on the edge"]).max(),
                1e-13,
            ),
            _cubic(arrays, name),
        ]
    for name in _names(arrays):
        result += _settling(arrays, name)
    if "tanh: published" in arrays:
        published = "tanh: distance of the edge at w = 1.05 from b = 2.01e-5 (arXiv:1806.05393)"
        found = abs(float(arrays["tanh: published"]) - 2.01e-5)
        result.append(Claim(published, found, 0.005e-5))
    return result + (_relu(arrays) if "relu" in _names(arrays) else [])


def _relu(arrays):
    """Exactly known: chi_1 = w/2, and q* = b/(1 - w/2) up to w = 2."""
    chi_1, q, w = arrays["relu: chi_1"], arrays["relu: q_star"][:, 1:], arrays["weights"][:, None]
    wrong = float(np.sum(np.isfinite(q) != (w < 2)))
    return [
        Claim("relu: largest |chi_1 - w/2|", np.abs(chi_1 - w / 2).max(), 1e-15),
        Claim("relu: points with b > 0 that diverge at w < 2, or do not above", wrong, 0),
    ]


def _cubic(arrays, name):
    """The next term of b is q times smaller, with a coefficient of order 1."""
    q, w, b = (arrays[f"{name}: start, {key}"][0] for key in "qwb")
    found = abs(b / cubic_law(name, w) - 1)
    return Claim(f"{name}: deviation of the edge at q* = {q:g} from the cubic law", found, 10 * q)


def _settling(arrays, name):
    """The correlation map is convex, which bounds both what is left and its rate."""
    get = {key: arrays[f"{name}: section, {key}"] for key in SECTIONS}
    left = np.abs(1 - get["gap"] - get["c_star"])
    # From c = 0 the distance to c* falls by at most chi_c in a layer.
    bound = get["chi_c"] ** get["layers"] * get["c_star"] + 1e-14
    # The rate is the slope somewhere between c and c*, and the slope's derivative at 1 is the
    # largest; of relu the slope is chi_1 - w angle/(2 pi).
    if name == "relu":
        steepness = get["w"] * np.arccos(1 - get["gap"]) / (2 * np.pi)
    else:
        steepness = get["q_star"] * get["chi_12"] * left
    off = np.abs(get["rate"] - get["chi_c"])
    yield Claim(f"{name}: |c - c*| after 9 xi_c layers, over its bound", (left / bound).max(), 1)
    yield Claim(f"{name}: |rate - chi_c| there, over its bound", (off / steepness).max(), 1)


def draw(arrays):
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(2, 3, figsize=(9.6, 5.8))
    for axes, letter, name in zip(panels[0], "abc", _names(arrays), strict=False):
        depths = (5, 10, 20) if name == "relu" else (5, 10, 20, 50)
        _diagram(arrays, name).plot(axes, depths)
        axes.axhline(SECTION, color="0.4", linestyle=":", linewidth=1)
        if name == "relu":
            axes.axvline(2, color=COLORS["variance"], label=r"$\chi_1 = 1$")
        axes.legend(loc="upper left")
        axes.set_title("")
        for text in axes.texts:  # names of phases, away from the contours
            text.set_position(PLACES.get(text.get_text(), text.get_position()))
        panel_title(axes, letter, rf"{name}: phases, and $\xi_c$ in layers")
    for name in _names(arrays):
        _draw_section(panels[1], arrays, name)
    for axes in panels[0, len(_names(arrays)) :]:  # of the quick version
        axes.set_axis_off()
    _draw_start(panels[1, 2], arrays)
    panels[1, 0].set(xlabel="weight variance $w$", ylim=(0, 1.6), ylabel=r"$\chi_1$ and $c^*$")
    panels[1, 1].set(xlabel="weight variance $w$", ylabel=r"depth scale $\xi_c$ in layers")
    panels[1, 1].set(yscale="log", ylim=(0.5, 1000))
    panel_title(panels[1, 0], "d", rf"$b = {SECTION}$: $\chi_1$ (dashed), $c^*$")
    panel_title(panels[1, 1], "e", rf"$b = {SECTION}$: depth scale")
    panel_title(panels[1, 2], "f", "the edge of chaos next to $b = 0$")
    panels[1, 1].legend(loc="upper right")
    return figure


def _diagram(arrays, name):
    line = None
    if f"{name}: edge, q" in arrays:
        line = kt.CriticalLine(
            *(arrays[f"{name}: edge, {key}"] for key in "qwb"), ACTIVATIONS[name]
        )
    return kt.PhaseDiagram(
        arrays["weights"],
        arrays["biases"],
        *(arrays[f"{name}: {field}"] for field in FIELDS),
        boundary=line,
        activation=ACTIVATIONS[name],
        input_variance=1.0,
    )


def _draw_section(panels, arrays, name):
    color = COLOR[name]
    line = {key: arrays[f"{name}: line, {key}"] for key in ("w", "chi_1", "c_star", "xi_c")}
    measured = {"marker": "o", "markersize": 3.5, "linestyle": "none", "color": color}
    w = arrays[f"{name}: section, w"]
    panels[0].plot(line["w"], line["chi_1"], "--", color=color, linewidth=1)
    panels[0].plot(line["w"], line["c_star"], "-", color=color)
    panels[0].plot(w, 1 - arrays[f"{name}: section, gap"], **measured)
    panels[1].plot(line["w"], line["xi_c"], "-", color=color)
    panels[1].plot(w, -1 / np.log(arrays[f"{name}: section, rate"]), label=name, **measured)


def _draw_start(axes, arrays):
    for name in filter(ODD.__contains__, _names(arrays)):
        marker, color = {"tanh": "o", "erf": "s"}[name], COLOR[name]
        w, b = (arrays[f"{name}: start, {key}"] for key in "wb")
        excess = w * AT_ZERO[name][0] ** 2 - 1
        axes.loglog(excess, b, marker, color=color, markersize=4, fillstyle="none", label=name)
    law = cubic_law("tanh", 1 + excess)
    axes.loglog(excess, law, "-", color="0.2", linewidth=0.8, zorder=1, label="cubic law")
    axes.set(xlabel="$w/w_0 - 1$", ylabel="bias variance $b$")
    axes.legend(loc="upper left")


if __name__ == "__main__":
    from kerneltheory.cli import main

    raise SystemExit(main(["reproduce", "phase_diagrams"]))
