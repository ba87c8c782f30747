"""Where learning curves can be trusted: simulations against their estimate of their own error.

The deterministic equivalent (arXiv:2006.13198) holds for many samples in many dimensions.
`LearningCurve.validity` estimates how far its test error is off at each point. Kernels of five
kinds, ridges from 1e-6 to 1, with noise and without, 5 to 2,500 samples in 10, 20 and 30
dimensions; a point is accepted if the estimate is below 1% (filled), and agrees if simulation is
within 1% or three standard errors. The simulations are in `validity.csv`: delete it, or some of its
lines, and they are made again (all of them take about an hour on two cores).
"""

from pathlib import Path

import numpy as np

from kerneltheory.experiments.judgement import columns, measure, report, rows, summary
from kerneltheory.experiments.paper_figures import Claim
from kerneltheory.experiments.validity_grid import KERNELS, Point, figure, grid, judged, simulated

TABLE = Path(__file__).with_suffix(".csv")
QUICK = {"kernels": ["gauss"]}


def compute(kernels=tuple(KERNELS)):
    settings = [setting for setting in grid() if setting[1] in kernels]
    return columns(judged(measure(TABLE, settings, simulated, Point)))


def claims(arrays):
    found = rows(arrays, Point)
    shares = summary(found)
    usual = [
        one.valid
        for one in found
        if one.point.dim >= 20 and one.point.n >= 16 and one.point.ridge >= 1e-3
    ]
    wrong = [abs(one.deviation) for one in found if one.valid and not one.agrees]
    return [
        Claim("share of the accepted points that do not agree", shares["false acceptance"], 0.05),
        Claim("share of points that are not accepted", 1 - shares["accepted"], 0.2),
        Claim(
            "the same for d of at least 20, n of at least 16 and ridges of at least 0.001",
            1 - np.mean(usual),
            0,
        ),
        Claim(
            "largest relative deviation of an accepted point that does not agree",
            max(wrong, default=0),
            0.04,
        ),
        Claim(
            "relative standard error that 98 in 100 simulations are below",
            np.quantile(arrays["relative_standard_error"], 0.98),
            0.01,
        ),
    ]


def table(arrays):
    """How many points there are and agree, and every point that is accepted and does not."""
    return report(rows(arrays, Point))


def draw(arrays):
    return figure(rows(arrays, Point))


if __name__ == "__main__":
    from kerneltheory.cli import main

    raise SystemExit(main(["reproduce", "validity"]))
