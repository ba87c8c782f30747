"""Infinitely deep classifiers: nearest neighbour, majority vote, or Bayes optimal.

Inputs on a quarter of the circle, labels -1 on a fifth of it and 1 elsewhere, of which a tenth is
flipped, so that no classifier has an error below p = 0.1. Infinitely deep networks vote with one of
three weights (arXiv:2204.14126): the nearest neighbour's alone, all alike, or, where E[phi] = 0 and
0 < p_1 = E[phi']^2 < 1, a singular kernel R(u)/u^alpha of the distance u. (a) Kernels of 20 layers
(dots) and their limits, of scaled_erf(20) and of the optimal activations for the circle and the
sphere; next to u = 0 more layers are needed. (b, c) The error of votes by them, simulated (dots
with two standard errors), and what a theory of sums of heavy-tailed votes, derived in the script,
says without a fitted parameter (lines). It tends to the Bayes error if alpha is the dimension of
the sphere, here 1, though as slowly as 1/log n. Votes of a larger alpha count few neighbours: their
error tends to p + (1 - 2p) P(S < 0) with S a strictly stable variable of index 1/alpha and skewness
1 - 2p, which joins Bayes to the nearest neighbour. Votes of a small alpha count inputs that are far
away, and outvote the minority.
"""

from itertools import pairwise

import numpy as np
from scipy.special import gamma, ndtr
from scipy.stats import binom

import kerneltheory as kt
from kerneltheory.core.figures import CYCLE, panel_title
from kerneltheory.experiments.paper_figures import Claim

QUARTER = np.pi / 2
FLIPPED = 0.1  # the Bayes error p
MINORITY = (0.4 * QUARTER, 0.6 * QUARTER)
ENDS = np.array([0, *MINORITY, QUARTER])
ACTIVATIONS = {
    "scaled_erf(20)": kt.scaled_erf(20),
    "optimal_activation(1)": kt.optimal_activation(1),
    "he_1 + he_5": kt.hermite(1).expression + kt.hermite(5).expression,
    "optimal_activation(2)": kt.optimal_activation(2),
    "optimal_activation(3)": kt.optimal_activation(3),
}
SHOWN = ("scaled_erf(20)", "optimal_activation(1)", "optimal_activation(2)")
NEAREST, MAJORITY = "nearest neighbour", "majority vote"
RULES = (*ACTIVATIONS, NEAREST, MAJORITY)
LAYERS = 20  # of the deep kernels
QUICK = {"activations": list(SHOWN[1:]), "trials": 100, "nodes": 80, "sizes": [101, 401]}


def compute(
    activations=tuple(ACTIVATIONS),
    sizes=(31, 101, 301, 1001),
    trials=400,
    tests=40,
    nodes=160,
    seed=0,
):
    limits = {name: kt.classifier_limit(ACTIVATIONS[name]) for name in activations}
    tables = {name: Table(limit, nodes) for name, limit in limits.items()}
    arrays = {"sizes": np.array(sizes), "disagreement": _against_balls(tables, limits, seed)}
    for name, limit in limits.items():
        arrays[f"{name}: alpha"] = np.array(float(limit.exponent))
        arrays[f"{name}: kernel"] = np.stack([tables[name].distances, tables[name].factors])
        arrays[f"{name}: deep"] = _deep_kernel(name, limit)
        arrays[f"{name}: slope"] = _slope(limit)
    for rule, errors in _simulate(tables, sizes, trials, tests, seed).items():
        arrays[f"{rule}: error"] = errors.mean(axis=0)
        arrays[f"{rule}: standard error"] = errors.std(axis=0, ddof=1) / np.sqrt(trials)
    arrays["dense sizes"] = np.unique(np.geomspace(31, sizes[-1], 24).astype(int) // 2 * 2 + 1)
    for rule in (*activations, NEAREST, MAJORITY):
        for key, values in (("theory", sizes), ("line", arrays["dense sizes"])):
            arrays[f"{rule}: {key}"] = np.array([expected(rule, tables, n) for n in values])
        if rule in tables:
            arrays[f"{rule}: far"] = np.array(mean_error(tables[rule], FAR))
    return arrays


FAR = 10**6  # a number of inputs at which only the limit is left


class Table:
    """Q of a limit at some angles, by R, which is interpolated in the log of the angle."""

    def __init__(self, limit, nodes):
        near, far = np.geomspace(1e-6, 0.1, nodes // 2), np.linspace(0.1, QUARTER, nodes // 2)
        self.alpha = float(limit.exponent)
        self.angles = np.concatenate([near, far[1:-1]])
        self.distances = 2 * np.sin(self.angles / 2)
        factor = limit.limit_kernel.factor
        self.factors = np.array([float(factor(float(u), 8).mid()) for u in self.distances])

    def __call__(self, angle):
        """Q at an angle."""
        factor = np.interp(np.log(angle), np.log(self.angles), self.factors)
        return factor * (2 * np.sin(angle / 2)) ** -self.alpha


def _deep_kernel(name, limit):
    """The kernel of a deep network over psi'(0)^layers, its limit, and a bound of their ratio.

    Duals are iterated with each layer at unit variance: of polynomials it is an unstable one.
    """
    rate, dual = float(limit.mean_slope) ** 2, kt.dual(ACTIVATIONS[name])
    cosines = np.cos(np.geomspace(1e-3, 1.5, 7))
    deep = cosines
    for _ in range(LAYERS):
        deep = dual(deep) / dual(1.0)
    certified = limit.limit_kernel.certified
    exact = np.array([float(certified(float(t), 12).mid()) for t in cosines])
    bound = np.exp(deep / (rate * (1 - deep)))
    return np.array([np.sqrt(2 - 2 * cosines), deep / rate**LAYERS, exact, bound])


def _slope(limit):
    """Of ln R in ln u, over one period of its oscillation, at small distances."""
    period = np.sqrt(float(limit.slope_at_one))
    u = 1e-5
    near, next_to_it = (float(limit.limit_kernel.factor(v, 12).mid()) for v in (u, u * period))
    return np.array(np.log(next_to_it / near) / np.log(period))


# --- simulated --------------------------------------------------------------------------------


def _truth(angle):
    return np.where((angle > MINORITY[0]) & (angle < MINORITY[1]), -1, 1)


def _simulate(tables, sizes, trials, tests, seed):
    """Errors given the data and the test points, of shape (trials, sizes), by rule.

    Errors of a vote are p, or 1 - p where it differs from the truth.
    """
    rules = (*tables, NEAREST, MAJORITY)
    errors = {rule: np.empty((trials, len(sizes))) for rule in rules}
    last = np.array(sizes) - 1
    for trial, child in enumerate(np.random.SeedSequence(seed).spawn(trials)):
        rng = np.random.default_rng(child)
        angles, points = rng.uniform(0, QUARTER, sizes[-1]), rng.uniform(0, QUARTER, tests)
        labels = _truth(angles) * np.where(rng.uniform(size=sizes[-1]) < FLIPPED, -1, 1)
        apart = np.abs(points[:, None] - angles)
        votes = {
            name: np.cumsum(labels * table(apart), axis=1)[:, last]
            for name, table in tables.items()
        }
        votes[NEAREST] = np.stack([labels[np.argmin(apart[:, :n], axis=1)] for n in sizes], axis=1)
        votes[MAJORITY] = np.broadcast_to(np.cumsum(labels)[last], (tests, len(sizes)))
        for rule, sums in votes.items():
            wrong = np.sign(sums) != _truth(points)[:, None]
            errors[rule][trial] = FLIPPED + (1 - 2 * FLIPPED) * wrong.mean(axis=0)
    return errors


def _against_balls(tables, limits, seed):
    """How many votes of the tables differ from those whose signs are proved."""
    rng = np.random.default_rng(seed)
    angles, points = rng.uniform(0, QUARTER, 9), rng.uniform(0, QUARTER, 8)
    labels = rng.choice([-1, 1], 9)
    X, X_test = (np.stack([np.cos(a), np.sin(a)], axis=1) for a in (angles, points))
    different = 0
    for name, limit in limits.items():
        sums = tables[name](np.abs(points[:, None] - angles)) @ labels
        different += int(np.sum(np.sign(sums) != limit.classify(X, labels, X_test).labels))
    return np.array(different)


# --- theory -----------------------------------------------------------------------------------
#
# A vote sums n independent terms s y Q(|x - z|), s the truth at x. As |x - z| -> 0 the kernel is
# R/|x - z|^alpha on both sides, where z has the density 2/pi, so that with a = 1/alpha
#
#   1 - E exp(i theta s y Q) = (4/pi) (R theta)^a Gamma(1 - a) [cos(pi a/2) - i b sin(pi a/2)]
#                              - i b theta D + O(theta^2),       b = 1 - 2 p,
#
# with D the finite part of E[s f(z) Q], f the truth. At alpha = 1 the sine and D have poles that
# cancel. P(S < 0) is Gil-Pelaez' integral of the n-th power. Where alpha < 1/2, E[Q^2] is finite,
# and the sum is nearly Gaussian.


def expected(rule, tables, n):
    """The mean error of a rule for n inputs."""
    p, jumps = FLIPPED, len(MINORITY)
    if rule == MAJORITY:
        share = (ENDS[2] - ENDS[1]) / QUARTER
        positive = share * p + (1 - share) * (1 - p)
        lost = binom.cdf(n // 2, n, positive)  # P(the majority is -1), n odd
        return lost * positive + (1 - lost) * (1 - positive)
    if rule == NEAREST:
        # At a distance h from a jump it is across with probability exp(-4 n h/pi)/2.
        return 2 * p * (1 - p) + (1 - 2 * p) ** 2 * jumps / (2 * n)
    return mean_error(tables[rule], n)


def mean_error(table, n):
    """The error of a vote with weights Q among n inputs, to leading orders in 1/n."""
    x, weights = _nodes()
    wrong = _wrong(table, n, x)
    return FLIPPED + (1 - 2 * FLIPPED) * float(weights @ wrong)


def limit_error(alpha):
    """For n -> infinity and alpha > 1: a strictly stable variable of index 1/alpha is negative."""
    index, skewness = 1 / alpha, 1 - 2 * FLIPPED
    angle = np.arctan(skewness * np.tan(np.pi * index / 2))
    return FLIPPED + (1 - 2 * FLIPPED) * (0.5 - angle / (np.pi * index))


def _nodes(count=48):
    """Test points and their weights; closer where the truth jumps."""
    t, w = np.polynomial.legendre.leggauss(count)
    share, measure = (
        (1 - np.cos(np.pi * (t + 1) / 2)) / 2,
        w * np.pi / 4 * np.sin(np.pi * (t + 1) / 2),
    )
    pairs = list(pairwise(ENDS))
    x = np.concatenate([low + (high - low) * share for low, high in pairs])
    return x, np.concatenate([(high - low) / QUARTER * measure for low, high in pairs])


def _wrong(table, n, x):
    """P(S < 0) at every x."""
    alpha = table.alpha
    # R is taken to be constant next to x, where the nearest neighbour is and oscillations are seen
    # by few.
    kept = table.angles > min(1 / n, 0.01)
    angles, factors = table.angles[kept], table.factors[kept]
    b = 1 - 2 * FLIPPED
    kernel = factors / factors[0] * table.distances[kept] ** -alpha
    drift = b * _finite_part(angles, kernel, alpha, x, signed=True)
    square = _finite_part(angles, kernel**2, 2 * alpha, x, signed=False)
    if alpha < 0.5:
        return ndtr(-np.sqrt(n) * drift / np.sqrt(square - drift**2))
    theta = np.exp(np.linspace(-40, 12, 4001))[:, None] / n**alpha
    if alpha == 1:
        real, odd = 2 * theta, (4 / np.pi) * theta * (1 - np.euler_gamma - np.log(theta))
    else:
        size = (4 / np.pi) * theta ** (1 / alpha) * gamma(1 - 1 / alpha)
        real, odd = size * np.cos(np.pi / (2 * alpha)), size * np.sin(np.pi / (2 * alpha))
    integrand = np.exp(-n * real) * np.sin(n * (b * odd + theta * drift))
    step = np.log(theta[1, 0] / theta[0, 0])
    return 0.5 - step * integrand.sum(axis=0) / np.pi


def _finite_part(angles, values, power, x, signed):
    """Of E[values(|x - z|)], times the truth at x and z if signed; values ~ 1/|x - z|^power."""
    excess = values - angles**-power
    steps = np.diff(angles) * (excess[1:] + excess[:-1]) / 2
    total = np.concatenate([[0], np.cumsum(steps)])

    def up_to(distance):
        plain = np.log(distance) if power == 1 else distance ** (1 - power) / (1 - power)
        return plain + np.interp(distance, angles, total)

    result = 0.0
    for low, high, truth in zip(ENDS[:-1], ENDS[1:], (1, -1, 1), strict=True):
        inside = (low < x) & (x < high)
        near, far = np.minimum(abs(x - low), abs(x - high)), np.maximum(abs(x - low), abs(x - high))
        here = np.where(inside, up_to(near) + up_to(far), up_to(far) - up_to(near))
        result = result + (truth * _truth(x) if signed else 1) * here
    return result * 2 / np.pi


# --- what it shows ----------------------------------------------------------------------------


def claims(arrays):
    result = [
        Claim("votes that differ from those whose signs are proved", arrays["disagreement"], 0)
    ]
    for rule in _rules(arrays):
        result.append(_against_theory(arrays, rule))
    for name in _activations(arrays):
        alpha = float(arrays[f"{name}: alpha"])
        distance, deep, exact, ratio = arrays[f"{name}: deep"]
        # Cosines next to 1 are rounded, and so 1e-16 of them is lost of u^2/2.
        slack = alpha * 1e-15 / distance**2 + 1e-11
        off = np.maximum(deep / exact - 1, exact / deep / ratio - 1) / slack
        result += [
            Claim(
                f"{name}: how far {LAYERS} layers leave the bounds of the limit, over rounding",
                off.max(),
                1,
            ),
            # R is periodic in ln u but for terms of order u^2.
            Claim(
                f"{name}: distance of the slope of the kernel from -alpha",
                abs(float(arrays[f"{name}: slope"])),
                1e-8,
            ),
        ]
        if alpha >= 2:
            found = abs(float(arrays[f"{name}: far"]) - limit_error(alpha))
            result.append(Claim(f"{name}: theory at n = {FAR} less its limit", found, 100 / FAR))
    return result


def _activations(arrays):
    return [name for name in ACTIVATIONS if f"{name}: alpha" in arrays]


def _rules(arrays):
    return [rule for rule in RULES if f"{rule}: error" in arrays]


def _against_theory(arrays, rule):
    """Theory leaves out terms of order 1/n, but for the nearest neighbour and the majority."""
    n = arrays["sizes"]
    kept = n > 100
    off = np.abs(arrays[f"{rule}: error"] - arrays[f"{rule}: theory"])[kept]
    bound = 4 * arrays[f"{rule}: standard error"][kept]
    if rule in ACTIVATIONS:
        bound = bound + (1 - 2 * FLIPPED) * len(MINORITY) / n[kept]
    return Claim(
        f"{rule}: distance of its error from theory, over its bound", (off / bound).max(), 1
    )


COLOR = dict(zip((*ACTIVATIONS, NEAREST), CYCLE, strict=True)) | {MAJORITY: "0.35"}


def draw(arrays):
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 3, figsize=(10, 3.7))
    _draw_kernels(panels[0], arrays)
    _draw_errors(panels[1], arrays)
    _draw_limits(panels[2], arrays)
    return figure


def _draw_kernels(axes, arrays):
    for name in filter(SHOWN.__contains__, _activations(arrays)):
        alpha, color = float(arrays[f"{name}: alpha"]), COLOR[name]
        distances, factors = arrays[f"{name}: kernel"]
        shown = distances > 5e-4
        u = distances[shown]
        axes.loglog(u, (factors * distances**-alpha)[shown], "-", color=color)
        axes.loglog(u, factors[0] * u**-alpha, "--", color="0.2", linewidth=0.8)
        distance, deep = arrays[f"{name}: deep"][:2]
        axes.plot(distance, deep, "o", color=color, markersize=4, label=rf"$\alpha = {alpha:.3g}$")
    axes.plot([], [], "--", color="0.2", linewidth=0.8, label=r"$\propto u^{-\alpha}$")
    axes.set(xlabel="distance $u$", ylabel="kernel $K^L / p_1^L$")
    axes.legend(loc="upper right")
    panel_title(axes, "a", f"kernels of {LAYERS} layers, and limits")


def _draw_errors(axes, arrays):
    n, dense = arrays["sizes"], arrays["dense sizes"]
    for rule in _rules(arrays):
        if rule in ACTIVATIONS and rule not in SHOWN:
            continue
        label = rf"$\alpha = {arrays[f'{rule}: alpha']:.3g}$" if rule in ACTIVATIONS else rule
        axes.plot(dense, arrays[f"{rule}: line"], "-", color=COLOR[rule])
        spread = 2 * arrays[f"{rule}: standard error"]
        axes.errorbar(
            n, arrays[f"{rule}: error"], spread, fmt="o", color=COLOR[rule], markersize=4,
            elinewidth=1, label=label,
        )  # fmt: skip
    axes.axhline(FLIPPED, color="0.6", linestyle=":", label="Bayes")
    axes.set(xscale="log", xlabel="inputs $n$", ylabel="probability of error", ylim=(0.09, None))
    axes.legend(loc="upper center", ncols=2)
    axes.set_ylim(0.09, 0.4)
    panel_title(axes, "b", "error of the votes")


def _draw_limits(axes, arrays):
    alphas = np.linspace(1.001, 3.4, 200)
    axes.plot(alphas, limit_error(alphas), "-", color="0.2", label=r"$n \to \infty$, $\alpha > 1$")
    lines = {NEAREST: 2 * FLIPPED * (1 - FLIPPED), "Bayes": FLIPPED}
    lines[MAJORITY] = float(arrays[f"{MAJORITY}: theory"][-1])
    for rule, level in lines.items():
        axes.axhline(level, color=COLOR.get(rule, "0.6"), linestyle=":", linewidth=1)
        axes.text(3.4, level, rule, ha="right", va="bottom", fontsize=7.5, color="0.3")
    for name in _activations(arrays):
        alpha, color = float(arrays[f"{name}: alpha"]), COLOR[name]
        spread = 2 * arrays[f"{name}: standard error"][-1]
        axes.errorbar(
            alpha, arrays[f"{name}: error"][-1], spread, fmt="o", color=color, markersize=4
        )
        axes.plot(alpha, arrays[f"{name}: theory"][-1], "_", color="0.2", markersize=12)
    n = int(arrays["sizes"][-1])
    axes.plot([], [], "_", color="0.2", markersize=12, label=f"theory, $n = {n}$")
    axes.plot([], [], "o", color="0.5", markersize=4, label=f"simulated, $n = {n}$")
    axes.set(xlabel=r"exponent $\alpha$", xlim=(0, 3.45), ylim=(0.09, 0.4))
    axes.legend(loc="upper right")
    panel_title(axes, "c", "error against exponent")


if __name__ == "__main__":
    from kerneltheory.cli import main

    raise SystemExit(main(["reproduce", "singular_classifiers"]))
