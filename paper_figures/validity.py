"""Where the deterministic equivalent can be trusted: simulations against `LearningCurve.validity`.

Draws validity.png and validity.pdf beside this file from the simulations in validity.csv, and makes
those of the grid that the table lacks (all of them take about an hour on two cores).
"""

from pathlib import Path

from kerneltheory.core.figures import save
from kerneltheory.experiments.validity_grid import draw, judge, measure, summary

HERE = Path(__file__).parent


def main() -> None:
    judged = judge(measure(HERE / "validity.csv"))
    print(dict(summary(judged)))
    for one in judged:
        if one.valid and not one.agrees:
            print(one.point, f"off by {one.deviation:+.2%}, estimated {one.validity:.2%}")
    save(draw(judged), HERE / "validity.png", HERE / "validity.pdf")


if __name__ == "__main__":
    main()
