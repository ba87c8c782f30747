"""Where the equivalent of random features can be trusted: simulations against its `validity`.

Draws feature_validity.png and feature_validity.pdf beside this file from the simulations in
feature_validity.csv, and makes those of the grid that the table lacks (all of them take about
ten minutes on two cores).
"""

from pathlib import Path

from kerneltheory.core.figures import save
from kerneltheory.experiments.feature_grid import Point, figure, grid, judged, simulated
from kerneltheory.experiments.judgement import measure, report

HERE = Path(__file__).parent


def main() -> None:
    found = judged(measure(HERE / "feature_validity.csv", grid(), simulated, Point))
    report(found)
    save(figure(found), HERE / "feature_validity.png", HERE / "feature_validity.pdf")


if __name__ == "__main__":
    main()
