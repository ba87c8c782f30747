"""Where curves of random features can be trusted: simulations against their estimate.

The deterministic equivalent of regression on random features (arXiv:2311.14646), and the estimate
`LearningCurve.validity` of its error: the size of the first correction to it, which is derived.
Neurons of five activations on the sphere in 10, 20 and 30 dimensions and Gaussian features, ridges
from 1e-6 to 1, with noise and without; a point is accepted if the estimate is below 1% (filled),
and agrees if simulation is within 1% or three standard errors. Points without agreement are mostly
peaks without ridge, at as many features as samples. The simulations are in `feature_validity.csv`:
delete it, or some of its lines, and they are made again (all take about ten minutes on two cores).
"""

from pathlib import Path

import numpy as np

from kerneltheory.experiments.feature_grid import MODELS, Point, figure, grid, judged, simulated
from kerneltheory.experiments.judgement import columns, measure, report, rows, summary
from kerneltheory.experiments.paper_figures import Claim

TABLE = Path(__file__).with_suffix(".csv")
QUICK = {"names": ["erf", "power"]}


def compute(names=tuple(MODELS)):
    settings = [setting for setting in grid() if setting[0] in names]
    return columns(judged(measure(TABLE, settings, simulated, Point)))


def claims(arrays):
    found = rows(arrays, Point)
    shares = summary(found)
    usual = [
        one.valid and one.agrees for one in found if one.point.dim >= 20 and one.point.ridge >= 0.1
    ]
    wrong = [abs(one.deviation) for one in found if one.valid and not one.agrees]
    accepted = [one.relative_standard_error for one in found if one.valid]
    return [
        Claim("share of the accepted points that do not agree", shares["false acceptance"], 0.03),
        Claim(
            "share of the agreeing points that are not accepted",
            np.mean([not one.valid for one in found if one.agrees]),
            0.1,
        ),
        Claim(
            "share of points with d of at least 20 and ridges of at least 0.1 that are not "
            "accepted or do not agree",
            1 - np.mean(usual),
            0,
        ),
        Claim(
            "largest relative deviation of an accepted point that does not agree",
            max(wrong, default=0),
            0.015,
        ),
        Claim(
            "relative standard error that 99 in 100 simulations of accepted points are below",
            np.quantile(accepted, 0.99),
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

    raise SystemExit(main(["reproduce", "feature_validity"]))
