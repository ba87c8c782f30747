"""The record of certified eigenvalues, in any domain."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from flint import arb, ctx

from kerneltheory.core import lower
from kerneltheory.core.display import html_table
from kerneltheory.spectra.spectrum import Spectrum

# Eigenvalues, exact multiplicities, what the levels left out add up to, and the method.
Levels = tuple[tuple[arb, ...], tuple[int, ...], arb, str]
# Of logarithms: beyond, floats are denormal, zero or infinite.
LOG_RANGE = 700.0


@dataclass(frozen=True)
class CertifiedSpectrum:
    """Balls that contain the eigenvalues of a kernel, level by level.

    Attributes:
        eigenvalues: one ball for each degree; an exact zero where a proof was found.
        multiplicities: of each level, exact.
        tail: ball around what the levels left out add up to, h(1) - sum N lambda on the sphere.
        dim: d.
        digits: the relative accuracy of every ball that is not an exact zero.
        method: how they were enclosed.
        domain: where the inputs are.

    Examples:
        >>> from kerneltheory.activations.catalogue import relu
        >>> from kerneltheory.kernels.kernel import nngp
        >>> from kerneltheory.spectra.domains import certified_spectrum
        >>> found = certified_spectrum(nngp(relu, 1, weight_variance=2), 3, 2)
        >>> found.eigenvalues[0].overlaps(arb(3) / 4), found.multiplicities
        (True, (1, 3, 5))
    """

    eigenvalues: tuple[arb, ...]
    multiplicities: tuple[int, ...]
    tail: arb
    dim: int
    digits: int
    method: str
    domain: str = "sphere"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the balls as exact integers."""
        balls = tuple(map(lower.ball_to_integers, (*self.eigenvalues, self.tail)))
        others = self.multiplicities, self.dim, self.digits, self.method, self.domain
        return _restore, (balls, *others)

    def round(self) -> Spectrum:
        """The float64 Spectrum of the midpoints, with logarithms where floats do not hold them."""
        counts = list(map(arb, self.multiplicities))
        logs = np.stack([logarithms(self.eigenvalues), logarithms(counts)])
        extremes = np.abs(logs[np.isfinite(logs)]).max(initial=0.0)
        negative = any(ball < 0 for ball in self.eigenvalues)
        tail = lower.to_float(self.tail)
        return Spectrum(
            np.array(list(map(lower.to_float, self.eigenvalues))),
            np.array(list(map(lower.to_float, counts))),
            tail=tail if negative else max(tail, 0.0),
            dim=self.dim,
            method=f"{self.method}, certified",
            relative_error=10.0**-self.digits + np.finfo(float).eps,
            logarithms=logs if extremes > LOG_RANGE else None,
            domain=self.domain,
        )

    @property
    def _title(self) -> str:
        return (
            f"CertifiedSpectrum: {self.domain}, dim {self.dim}, {len(self.eigenvalues)} levels, "
            f"{self.digits} digits, method {self.method}"
        )

    def _repr_html_(self) -> str:
        pairs = zip(self.multiplicities, self.eigenvalues, strict=True)
        rows = [
            (str(degree), str(count), ball.str(self.digits))
            for degree, (count, ball) in enumerate(pairs)
        ]
        above = (f"above {len(rows) - 1}", "", f"{self.tail.str(self.digits)} in all")
        return html_table(self._title, ("degree", "multiplicity", "eigenvalue"), [*rows, above])

    def __str__(self) -> str:
        rows = [self._title, f"{'degree':>6}  {'multiplicity':>14}  eigenvalue"]
        pairs = zip(self.multiplicities, self.eigenvalues, strict=True)
        for degree, (count, ball) in enumerate(pairs):
            rows.append(f"{degree:>6}  {count:>14}  {ball.str(self.digits)}")
        return "\n".join(rows)

    __repr__ = __str__


def logarithms(balls: Sequence[arb]) -> np.ndarray:
    """ln |x| of each ball's midpoint as a float, which those of huge numbers are."""
    with ctx.workprec(128):
        return np.array(
            [-np.inf if ball.is_zero() else lower.to_float(abs(ball).log()) for ball in balls]
        )


def left_out(total: arb, counts: Iterable[int], balls: Iterable[arb]) -> arb:
    """What the known levels leave of the sum of all: total - sum N lambda."""
    return total - sum((n * ball for n, ball in zip(counts, balls, strict=True)), arb(0))


def _restore(balls: tuple[Any, ...], *others: Any) -> CertifiedSpectrum:
    *eigenvalues, tail = map(lower.ball_from_integers, balls)
    return CertifiedSpectrum(tuple(eigenvalues), others[0], tail, *others[1:])
