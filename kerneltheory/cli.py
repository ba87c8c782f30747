"""The command line: `python -m kerneltheory verify` and `python -m kerneltheory reproduce`."""

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
    verify = commands.add_parser(
        "verify", help="verify every derivation that the package states, and print its status"
    )
    verify.add_argument("--digits", type=_digits, default=30, help="digits of each certificate")
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
        if options.command == "verify":
            return _verify(options.digits)
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


def _verify(digits: int) -> int:
    from tqdm import tqdm

    from kerneltheory.core.errors import DerivationError
    from kerneltheory.registry import stated_derivations

    failed = 0
    for make in tqdm(list(stated_derivations()), desc="verify", delay=2, leave=False):
        try:
            derivation = make()
            statuses = dict.fromkeys(derivation.verify(digits).statuses[1:])
            line = f"{', '.join(statuses):<36}{derivation.result.name}"
            tqdm.write(f"{line:<84}{derivation.result.reference}")
        except DerivationError as error:
            failed += 1
            tqdm.write(f"FALSE: {error}")
    print(f"{failed} false" if failed else "every derivation holds")
    return 1 if failed else 0


def _digits(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"digits must be at least 1, got {text}")
    return value


def _fraction(text: str) -> float:
    value = float(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"scale must lie in (0, 1], got {text}")
    return value
