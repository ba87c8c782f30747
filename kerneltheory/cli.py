"""The command line: `python -m kerneltheory verify` and `python -m kerneltheory reproduce`."""

import argparse
import functools
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from kerneltheory.core.derivation import Derivation
    from kerneltheory.experiments.paper_figures import PaperFigure

Item = TypeVar("Item")
Result = TypeVar("Result")


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
    reproduce = commands.add_parser(
        "reproduce",
        help="make figures: simulate, compare with theory, print what they show, draw them",
    )
    reproduce.add_argument(
        "names",
        metavar="NAME",
        nargs="*",
        default=["headline"],
        help="figures to make (default: headline), or 'all'; 'list' only prints their names",
    )
    reproduce.add_argument(
        "--output",
        type=Path,
        help="folder for NAME.png, NAME.pdf and NAME.npz, the numbers "
        "(default: paper_figures, or with --quick paper_figures/quick)",
    )
    reproduce.add_argument(
        "--fresh", action="store_true", help="compute again the numbers that are kept in the folder"
    )
    reproduce.add_argument(
        "--quick", action="store_true", help="small sizes, for a look that takes seconds"
    )
    for command in (verify, reproduce):
        command.add_argument(
            "--processes", type=_count, help="how many work at once (default: all cores)"
        )
    options = parser.parse_args(arguments)
    processes = options.processes or os.cpu_count() or 1
    try:
        if options.command == "verify":
            return _verify(options.digits, processes)
        folder = options.output or Path("paper_figures", *(["quick"] if options.quick else []))
        how = {"quick": options.quick, "fresh": options.fresh}
        return _reproduce(options.names, folder, processes, how)
    except KeyboardInterrupt:
        print("interrupted; what was being written is as it was", file=sys.stderr)
        return 130


def _reproduce(wanted: Sequence[str], folder: Path, processes: int, how: Mapping[str, bool]) -> int:
    # Imported here so that `--help` and a wrong option answer at once.
    from kerneltheory.experiments.paper_figures import PaperFigure, names, readme, scripts

    if "list" in wanted:
        print(*(f"{name:<24}{PaperFigure(name).title}" for name in names()), sep="\n")
        return 0
    try:
        figures = [PaperFigure(name) for name in (names() if "all" in wanted else wanted)]
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    processes, holds = min(processes, len(figures)), True
    if processes > 1:  # they share the cores: threads of BLAS beside them would only wait
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    make = functools.partial(_reproduced, folder, how)
    for held, text in _in_processes(make, figures, processes):
        print(text, flush=True)
        holds &= held
    if "all" in wanted and not how["quick"] and folder.resolve() == scripts():
        (folder / "README.md").write_text(readme(folder), encoding="utf-8")
    return 0 if holds else 1


def _reproduced(folder: Path, how: Mapping[str, bool], figure: "PaperFigure") -> tuple[bool, str]:
    """Make a figure: whether what it shows holds, and the text that says so."""
    made = figure.reproduce(folder, **how)
    took = f"computed in {made.seconds:.0f} s" if made.seconds else "kept; --fresh computes them"
    lines = [f"{figure.name}: {figure.title}", *filter(None, [figure.table(made.arrays)])]
    wrote = f"wrote {folder / figure.name}.png and .pdf"
    lines += [*map(str, made.claims), f"numbers {took}; {wrote}", ""]
    return all(claim.holds for claim in made.claims), "\n".join(lines)


def _verify(digits: int, processes: int) -> int:
    from tqdm import tqdm

    from kerneltheory.registry import stated_derivations

    makers, failed = list(stated_derivations()), 0
    verified = functools.partial(_verified, digits)
    # Neighbours, of one activation mostly, share what they compute, and so a process.
    results = _in_processes(verified, makers, processes, neighbours=4)
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
    function: Callable[[Item], Result], items: list[Item], processes: int, neighbours: int = 1
) -> Iterator[Result]:
    """Map in the order of the items, so many neighbours in one process."""
    if processes == 1:
        yield from map(function, items)
        return
    # A fork would copy the threads of jax half-way through whatever they do.
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        yield from pool.map(function, items, chunksize=neighbours)


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {text}")
    return value
