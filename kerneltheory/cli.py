"""The command line: `python -m kerneltheory reproduce`."""

import argparse
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status."""
    parser = argparse.ArgumentParser(
        prog="kerneltheory",
        description="The theory of wide networks as kernels, checked by experiment.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    reproduce = commands.add_parser(
        "reproduce", help="simulate, compare with theory, print the table and draw the figure"
    )
    reproduce.add_argument(
        "--output", default="paper_figures", help="folder for headline.png and headline.pdf"
    )
    reproduce.add_argument(
        "--scale", type=_fraction, default=1.0, help="shrink all sizes, for a quick look (0 to 1]"
    )
    options = parser.parse_args(arguments)
    try:
        return _reproduce(options.output, options.scale)
    except KeyboardInterrupt:
        print("interrupted; no figure was changed", file=sys.stderr)
        return 130


def _reproduce(output: str, scale: float) -> int:
    # Imported here so that `--help` and a wrong option answer at once.
    from pathlib import Path

    from kerneltheory.core.figures import save
    from kerneltheory.experiments.headline import compute, table
    from kerneltheory.experiments.headline_figure import draw

    result = compute(scale=scale)
    print(table(result))
    for path in save(draw(result), Path(output) / "headline.png", Path(output) / "headline.pdf"):
        print(f"wrote {path}")
    return 0


def _fraction(text: str) -> float:
    value = float(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"scale must lie in (0, 1], got {text}")
    return value
