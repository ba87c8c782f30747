"""Eigenvalue decay of deep kernels, and their derived tail laws.

NNGP and NTK of relu and erf networks with one to three hidden layers, inputs uniform on the sphere
(arXiv:2009.14397). The singularities of a relu kernel at t = 1 and t = -1 give the law of its
eigenvalues at large degree with its constants (dashed, from degree 10): the exponent, d for the NTK
and d + 2 for the NNGP, does not depend on depth, the constants do. With one hidden layer no bias
would leave every second eigenvalue zero. Kernels of erf are analytic, and their eigenvalues fall
exponentially.
"""

import numpy as np

import kerneltheory as kt
from kerneltheory.core.figures import CYCLE, panel_title
from kerneltheory.experiments.paper_figures import Claim

KINDS = {"NNGP": kt.nngp, "NTK": kt.ntk}
DEPTHS = (1, 2, 3)
QUICK = {"max_degree": 60}


def compute(dim=8, max_degree=300, bias_variance=0.1):
    degrees = np.arange(max_degree + 1)
    arrays = {"degrees": degrees, "dim": np.array(dim)}
    for kind, make in KINDS.items():
        for phi in (kt.relu, kt.erf):
            for depth in DEPTHS:
                kernel = make(phi, depth, weight_variance=2, bias_variance=bias_variance)
                name = f"{kind}, {phi.name}, depth {depth}"
                arrays[name] = kt.spectrum(kernel, dim, max_degree).eigenvalues
                if phi is kt.relu:
                    arrays[f"law of {name}"] = kt.tail_law(kernel, dim)(degrees[1:])
    return arrays


def claims(arrays):
    # The next singular terms are (1 - t) and (1 + t) times these, and their law falls as 1/k^2
    # relatively, times about d^2.
    largest = int(arrays["degrees"][-1])
    laws = [name for name in arrays if name.startswith("law of ")]
    return [
        Claim(
            f"{law.removeprefix('law of ')}: deviation from its law at degree {largest}",
            abs(arrays[law.removeprefix("law of ")][-1] / arrays[law][-1] - 1),
            (int(arrays["dim"]) / largest) ** 2,
        )
        for law in laws
    ]


def draw(arrays):
    import matplotlib.pyplot as plt

    degrees = arrays["degrees"][1:]
    figure, panels = plt.subplots(1, 2, figsize=(7.2, 3.4), sharey=True)
    for axes, letter, kind in zip(panels, "ab", KINDS, strict=True):
        for name in (name for name in arrays if name.startswith(kind)):
            depth = int(name[-1])
            line = "-" if "relu" in name else ":"
            label = name.removeprefix(f"{kind}, ")
            axes.plot(degrees, arrays[name][1:], line, color=CYCLE[depth - 1], label=label)
            if f"law of {name}" in arrays:
                law = arrays[f"law of {name}"]
                axes.plot(degrees[9:], law[9:], "--", color="0.2", linewidth=0.8, zorder=3)
        axes.plot([], [], "--", color="0.2", linewidth=0.8, label="tail laws")
        axes.set(xscale="log", yscale="log", xlabel="degree $k$", ylim=(1e-22, 1))
        panel_title(axes, letter, rf"{kind}, $d = {arrays['dim']}$")
    panels[0].set_ylabel(r"eigenvalue $\lambda_k$")
    panels[0].legend()
    return figure


if __name__ == "__main__":
    from kerneltheory.cli import main

    raise SystemExit(main(["reproduce", "eigenvalue_decay"]))
