"""The command line: `python -m kerneltheory verify` and `python -m kerneltheory reproduce`."""

import argparse
import functools
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from kerneltheory.core.derivation import Derivation

Item = TypeVar("Item")
Result = TypeVar("Result")
# Derivations that a process takes at a time: those of one activation share most of their work.
NEIGHBOURS = 4


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
    verify.add_argument("--digits", type=_count, default=30, help="digits of each certificate")
    verify.add_argument(
        "--processes", type=_count, default=None, help="how many work at once (default: all cores)"
    )
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
            return _verify(options.digits, options.processes or os.cpu_count() or 1)
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


def _verify(digits: int, processes: int) -> int:
    from tqdm import tqdm

    from kerneltheory.registry import stated_derivations

    makers, failed = list(stated_derivations()), 0
    results = _in_processes(functools.partial(_verified, digits), makers, processes)
    for holds, line in tqdm(results, desc="verify", total=len(makers), delay=2, leave=False):
        failed += not holds
        tqdm.write(line)
    print(f"{failed} false" if failed else "every derivation holds")
    return 1 if failed else 0


def _verified(digits: int, make: Callable[[], "Derivation"]) -> tuple[bool, str]:
    """Whether a derivation holds, and the line that says so."""
    from kerneltheory.core.errors import DerivationError

    try:
        derivation = make()
        statuses = dict.fromkeys(derivation.verify(digits).statuses[1:])
    except DerivationError as error:
        return False, f"FALSE: {error}"
    line = f"{', '.join(statuses):<36}{derivation.result.name}"
    return True, f"{line:<84}{derivation.result.reference}"


def _in_processes(
    function: Callable[[Item], Result], items: list[Item], processes: int
) -> Iterator[Result]:
    """Map in the order of the items. Neighbours share what they compute, and so a process."""
    if processes == 1:
        yield from map(function, items)
        return
    # A fork would copy the threads of jax half-way through whatever they do.
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        yield from pool.map(function, items, chunksize=NEIGHBOURS)


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {text}")
    return value


def _fraction(text: str) -> float:
    value = float(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"scale must lie in (0, 1], got {text}")
    return value
