"""The universality classes of many activations side by side."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kerneltheory.activations import catalogue
from kerneltheory.activations.activation import activation
from kerneltheory.core import check
from kerneltheory.core.display import html_table
from kerneltheory.depth.critical_point import critical_point
from kerneltheory.depth.critical_record import SCALE_INVARIANT, CriticalPoint

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# The named activations whose mean squares do not grow exponentially.
ACTIVATIONS = (
    catalogue.relu,
    catalogue.absolute,
    catalogue.erf,
    catalogue.sin,
    catalogue.tanh,
    catalogue.arctan,
    catalogue.softsign,
    catalogue.elu,
    catalogue.selu,
    catalogue.gelu,
    catalogue.swish,
    catalogue.mish,
    catalogue.hard_tanh,
    catalogue.sigmoid,
    catalogue.softplus,
    catalogue.cos,
    catalogue.step,
)
COLUMNS = {
    "weight_variance": "w",
    "bias_variance": "b",
    "variance": "K*",
    "p_par": "p_par",
    "p_perp": "p_perp",
    "vertex_slope": "V/(l K^2)",
    "tangent_limit": "Theta",
}


@dataclass(frozen=True, repr=False)
class UniversalityTable:
    """Critical points of several activations; prints and draws as a table.

    Attributes:
        points: one for each activation, in the order given.

    Reference: arXiv:2106.10165, chapter 5.

    Examples:
        >>> from kerneltheory.activations.catalogue import relu, tanh
        >>> table = universality_table([relu, tanh])
        >>> len(table), table["tanh"].universality
        (2, 'K* = 0')
    """

    points: tuple[CriticalPoint, ...]

    def __iter__(self) -> Iterator[CriticalPoint]:
        """The critical points in order."""
        return iter(self.points)

    def __len__(self) -> int:
        """How many activations there are."""
        return len(self.points)

    def __getitem__(self, name: str) -> CriticalPoint:
        """The critical point of the activation of a name."""
        for point in self.points:
            if point.activation.name == name:
                return point
        raise KeyError(f"{name!r} is none of {[p.activation.name for p in self.points]}")

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Header and rows of the table, as text."""
        header = ["activation", "class", *COLUMNS.values()]
        return header, [_row(point) for point in self.points]

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Draw the table, with a colour for each class, and return the axes.

        Args:
            ax: axes to draw in; a new figure if None.
        """
        from kerneltheory.depth.effective_plots import plot_universality

        return plot_universality(self, ax)

    def __repr__(self) -> str:
        header, rows = self.table()
        widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in (header, *rows)
        ]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return html_table("Universality classes", *self.table())


def _row(point: CriticalPoint) -> list[str]:
    cells = [point.activation.name, point.universality]
    for name in COLUMNS:
        exact, value = point.exact(name), getattr(point, name)
        if value is None:
            anything = name == "variance" and point.universality == SCALE_INVARIANT
            cells.append("any" if anything else "")
        else:
            short = exact is not None and len(str(exact)) <= 5
            cells.append(str(exact) if short else f"{value:.8g}")
    return cells


def universality_table(
    activations: Iterable[Any] | None = None, *, digits: Any = 10
) -> UniversalityTable:
    """The universality class, critical point and exponents of several activations.

    Args:
        activations: activations or sympy expressions in one symbol; by default those of the
            catalogue that are in common use.
        digits: how many significant digits are certified.

    Returns:
        A UniversalityTable of what `critical_point` finds for each.

    Raises:
        TypeError: they are no list of activations.
        ValueError: there is no activation.
        DerivationError: one grows too fast for Gaussian inputs.

    Reference: arXiv:2106.10165, chapter 5.

    Examples:
        >>> from kerneltheory.activations.catalogue import relu, softplus, tanh
        >>> universality_table([relu, tanh, softplus])
        activation  class            w  b  K*   p_par  p_perp  V/(l K^2)  Theta
        relu        scale-invariant  2  0  any  0      0       5
        tanh        K* = 0           1  0  0    2      1       2/3        1/2
        softplus    none
    """
    digits = check.integer("digits", digits, minimum=1)
    if activations is not None and (
        isinstance(activations, str) or not isinstance(activations, Iterable)
    ):
        raise TypeError(
            f"activations must be a list of activations, got {check.shown(activations)}"
        )
    chosen = ACTIVATIONS if activations is None else tuple(map(activation, activations))
    if not chosen:
        raise ValueError("activations must hold at least one activation, got none")
    return UniversalityTable(tuple(critical_point(phi, digits=digits) for phi in chosen))
