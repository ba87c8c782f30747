"""Where the deterministic equivalent can be trusted: simulations against `LearningCurve.validity`.

Draws validity.png and validity.pdf beside this file from the simulations in validity.csv, and makes
those of the grid that the table lacks (all of them take about an hour on two cores).
"""

from pathlib import Path

from kerneltheory.core.figures import save
from kerneltheory.experiments.judgement import measure, report
from kerneltheory.experiments.validity_grid import Point, figure, grid, judged, simulated

HERE = Path(__file__).parent


def main() -> None:
    found = judged(measure(HERE / "validity.csv", grid(), simulated, Point))
    report(found)
    save(figure(found), HERE / "validity.png", HERE / "validity.pdf")


if __name__ == "__main__":
    main()
