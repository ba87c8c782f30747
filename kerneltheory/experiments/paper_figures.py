"""The scripts of `paper_figures/`: what they compute is kept in a file, judged, and drawn.

A script is a module with, in this order,

- a docstring, whose first line is the title and whose rest names the paper and says what is drawn;
- `QUICK`, the parameters that make it take seconds, for tests and for a quick look;
- `compute(**parameters)`, whose defaults are the figure's parameters, and which returns arrays;
- `claims(arrays)`, what the figure shows, each claim measured against its bound;
- where it has one, `table(arrays)`, what is printed besides;
- `draw(arrays)`, the figure.

It uses public names of the package only, so that it shows how to use them. What was computed is
kept beside the figure as `NAME.npz`, with the parameters and the hash of the script as far as it
computes, and is computed again when either has changed (or on request, when the package has).
"""

import hashlib
import inspect
import io
import json
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from kerneltheory.core import check
from kerneltheory.core.figures import look, save
from kerneltheory.experiments.store import write_atomically
from kerneltheory.learning.curve import LearningCurve, StandardErrors

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Arrays = Mapping[str, np.ndarray]
RECORD = "record"  # the array that holds parameters and hash as JSON
ERRORS = "standard_errors."  # how the names of these begin
README_HEAD = """\
# Figures

Each figure is one script: `compute` makes its numbers, `claims` measures what it shows, `draw`
draws it. `make figures` computes and draws all of them; `python -m kerneltheory reproduce NAME`
one of them, and `--quick` a small version in seconds. The numbers are kept beside each figure in
`NAME.npz` with the parameters that they belong to; they are computed again when these, or the
script, have changed, or when `--fresh` is given.

This file is written by `make figures`. A claim holds if what was measured is at most its bound.
"""


@dataclass(frozen=True)
class Claim:
    """Something that a figure shows: a number that was measured, and its bound.

    Args:
        statement: what is claimed, in words that make the number plain.
        measured: what was found, a deviation say.
        bound: what it may be at most.
    """

    statement: str
    measured: float
    bound: float

    @classmethod
    def of_agreement(
        cls, of: str, simulated: Any, theory: Any, standard_errors: Any, error_of_theory: Any
    ) -> "Claim":
        """That simulation is where theory says, at the worst of its points.

        Args:
            of: what is simulated.
            simulated: its values, (points,).
            theory: the values of theory there.
            standard_errors: of the simulation, of which 5 are allowed.
            error_of_theory: as theory estimates it (`validity`, not relatively): twice that is.
        """
        allowed = 5 * standard_errors + 2 * error_of_theory
        worst = float(np.max(np.abs(simulated - theory) / allowed))
        words = "simulation against theory, over 5 standard errors and twice its estimated error"
        return cls(f"{of}: {words}", worst, 1)

    @property
    def holds(self) -> bool:
        """Whether what was measured is at most the bound."""
        return bool(self.measured <= self.bound)

    def __str__(self) -> str:
        relation = "at most" if self.holds else "NOT at most"
        return f"{self.statement}: {self.measured:.3g}, {relation} {self.bound:.3g}"


@dataclass(frozen=True)
class Reproduced:
    """A figure that was reproduced.

    Attributes:
        arrays: its numbers.
        claims: what it shows, and whether that holds.
        figure: the figure of matplotlib.
        seconds: that computing the numbers took; 0 if they were kept.
    """

    arrays: Arrays
    claims: Sequence[Claim]
    figure: "Figure"
    seconds: float


class PaperFigure:
    """A script of `paper_figures/`.

    Args:
        name: of the script, without its ending.

    Raises:
        ValueError: there is no such script.
    """

    def __init__(self, name: str) -> None:
        self.name = check.one_of("name", name, names())
        self._path = scripts() / f"{name}.py"
        self._source = self._path.read_text(encoding="utf-8")

    @property
    def module(self) -> ModuleType:
        """The script, imported once."""
        return _module(self._path, self._source)

    @property
    def title(self) -> str:
        """The first line of its docstring."""
        return (self.module.__doc__ or "").partition("\n")[0].removesuffix(".")

    def table(self, arrays: Arrays) -> str:
        """What is printed besides the claims; empty for most figures."""
        return self.module.table(arrays) if hasattr(self.module, "table") else ""

    @property
    def text(self) -> str:
        """The rest of its docstring."""
        return inspect.cleandoc((self.module.__doc__ or "").partition("\n")[2])

    def parameters(self, quick: bool = False) -> dict[str, Any]:
        """The parameters of the figure, or of a version that takes seconds."""
        known = inspect.signature(self.module.compute).parameters.values()
        return {p.name: p.default for p in known} | (self.module.QUICK if quick else {})

    def reproduce(
        self, folder: Path | None = None, *, quick: bool = False, fresh: bool = False
    ) -> Reproduced:
        """Compute what is not kept, judge it and draw it.

        Args:
            folder: where NAME.npz, NAME.png and NAME.pdf are kept and written; nowhere if None.
            quick: whether to take the parameters of the quick version.
            fresh: whether to compute also what is kept.
        """
        parameters = self.parameters(quick)
        record = self._record(parameters)
        kept = None if folder is None else folder / f"{self.name}.npz"
        arrays = None if kept is None or fresh else _read(kept, record)
        seconds = 0.0
        if arrays is None:
            start = time.perf_counter()
            arrays = self.module.compute(**parameters)
            seconds = time.perf_counter() - start
            if kept is not None:
                _write(kept, record, arrays)
        claims, figure = self.module.claims(arrays), self.draw(arrays)
        if folder is not None:
            save(figure, folder / f"{self.name}.png", folder / f"{self.name}.pdf")
        return Reproduced(arrays, claims, figure, seconds)

    def draw(self, arrays: Arrays) -> "Figure":
        """The figure, in the package's look."""
        with look():
            figure = self.module.draw(arrays)
            figure.draw_without_rendering()  # text is laid out while the look is in force
        return figure

    def kept(self, folder: Path) -> Arrays | None:
        """The numbers in a folder, if they are those of the figure's parameters and code."""
        return _read(folder / f"{self.name}.npz", self._record(self.parameters()))

    def _record(self, parameters: Mapping[str, Any]) -> str:
        # How a figure is drawn, and what is claimed of it, leave its numbers as they are.
        code = self._source.partition("\ndef claims(")[0]
        code = code.partition('"""')[2].partition('"""')[2]  # nor does the text
        digest = hashlib.sha256(code.encode()).hexdigest()
        return json.dumps({"parameters": parameters, "code": digest}, sort_keys=True)


def scripts() -> Path:
    """The folder of the scripts: inside an installed package, beside it in its source tree."""
    package = Path(__file__).parent.parent
    inside = package / "paper_figures"
    return inside if inside.is_dir() else package.parent / "paper_figures"


def names() -> list[str]:
    """The names of all figures, that of the first page first."""
    found = (path.stem for path in scripts().glob("*.py"))
    return sorted(found, key=lambda name: (name != "headline", name))


@cache
def _module(path: Path, source: str) -> ModuleType:
    """A script, run once as it is: a file that has changed since is another."""
    module = ModuleType(f"paper_figures_{path.stem}")
    module.__file__ = str(path)
    exec(compile(source, path, "exec"), vars(module))
    return module


# --- numbers in a file ------------------------------------------------------------------------


def _read(path: Path, record: str) -> Arrays | None:
    """The arrays of a file that belongs to a record; None if there is none."""
    if not path.exists():
        return None
    with np.load(path, allow_pickle=False) as archive:
        arrays = dict(archive.items())
    return arrays if arrays.pop(RECORD).item() == record else None


def _write(path: Path, record: str, arrays: Arrays) -> None:
    content = io.BytesIO()
    np.savez_compressed(content, **{RECORD: np.array(record), **arrays})  # pyright: ignore
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, content.getvalue())


def curve_arrays(
    name: str, curve: LearningCurve, fields: Collection[str] | None = None
) -> dict[str, np.ndarray]:
    """The fields of a learning curve as arrays `NAME.field`, from which `curve_of` makes it again.

    Args:
        name: of the curve.
        curve: the curve.
        fields: which fields to keep besides n, alpha and the method, with their standard errors;
            all of them if None.

    Examples:
        >>> curve = LearningCurve(n=np.array([10, 20]), test_error=np.array([0.5, 0.25]))
        >>> arrays = curve_arrays("theory", curve)
        >>> sorted(arrays)
        ['theory.method', 'theory.n', 'theory.test_error']
        >>> curve_of("theory", arrays) == curve
        True
    """
    kept = None if fields is None else {"n", "alpha", "method", *fields}
    return {
        f"{name}.{key}": np.asarray(value)
        for key, value in _items(curve)
        if kept is None or key.removeprefix(ERRORS) in kept
    }


def _items(record: Any) -> Iterator[tuple[str, Any]]:
    for field in fields(record):
        value = getattr(record, field.name)
        if isinstance(value, StandardErrors):
            yield from ((f"{ERRORS}{key}", error) for key, error in _items(value))
        elif value is not None:
            yield field.name, value


def curve_of(name: str, arrays: Arrays) -> LearningCurve:
    """The learning curve that `curve_arrays` turned into arrays of this name."""
    found: dict[str, Any] = {
        key.removeprefix(f"{name}."): value
        for key, value in arrays.items()
        if key.startswith(f"{name}.")
    }
    plain = {key: value.item() for key, value in found.items() if value.dtype.kind == "U"}
    plain |= {key: found[key].item() for key in ("dim",) if key in found}
    errors = {k.removeprefix(ERRORS): v for k, v in found.items() if k.startswith(ERRORS)}
    own: dict[str, Any] = {k: v for k, v in found.items() if not k.startswith(ERRORS)} | plain
    return LearningCurve(**own, standard_errors=StandardErrors(**errors) if errors else None)


# --- the text beside them ---------------------------------------------------------------------


def readme(folder: Path) -> str:
    """The README of the figures in a folder, from their scripts and what is kept of them.

    Raises:
        ValueError: the numbers of a figure are not there, or not of its present code.
    """
    parts = [README_HEAD]
    for name in names():
        figure = PaperFigure(name)
        arrays = figure.kept(folder)
        if arrays is None:
            raise ValueError(
                f"folder must hold the numbers of every figure, but {folder / name}.npz is not "
                f"there or is out of date; run `python -m kerneltheory reproduce {name}`"
            )
        claims = [_row(claim) for claim in figure.module.claims(arrays)]
        table = ["| claim | measured | bound |", "|---|---|---|", *claims]
        parts += [f"## {figure.title}\n", f"![{figure.title}]({name}.png)\n", f"{figure.text}\n"]
        parts += [*table, ""]
    return "\n".join(parts).rstrip() + "\n"


def _row(claim: Claim) -> str:
    return f"| {claim.statement} | {claim.measured:.3g} | {claim.bound:.3g} |"
