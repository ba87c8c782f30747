"""The headline figure. `make reproduce` runs it; so does `python paper_figures/headline.py`.

compute() -> arrays, draw(arrays) -> Figure: both are part of the package, since tests use them.
"""

from pathlib import Path

from kerneltheory.cli import main
from kerneltheory.experiments.headline import compute
from kerneltheory.experiments.headline_figure import draw

__all__ = ["compute", "draw"]

if __name__ == "__main__":
    raise SystemExit(main(["reproduce", "--output", str(Path(__file__).parent)]))
