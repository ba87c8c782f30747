"""A Derivation: a chain of steps from a definition to a Formula, each of which can be verified."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

import sympy

from kerneltheory.core.errors import DerivationError
from kerneltheory.core.prove import counterexample, is_zero


class Evidence(ABC):
    """Why a step is true: something that can be checked again."""

    @abstractmethod
    def verify(self, digits: int) -> str:
        """Say `proved` or `certified to N digits`, or raise DerivationError with the reason."""


@dataclass(frozen=True)
class Definition(Evidence):
    """A step that introduces a name and so has nothing to check."""

    def verify(self, digits: int) -> str:
        """Say that there is nothing to check."""
        return "definition"


@dataclass(frozen=True)
class Identity(Evidence):
    """Both sides are equal because computer algebra reduces their difference to zero."""

    left: sympy.Expr
    right: sympy.Expr

    def verify(self, digits: int) -> str:
        """Prove that the sides are equal, or name a point at which they differ."""
        if is_zero(self.left - self.right):
            return "proved"
        point = counterexample(self.left - self.right)
        if point is None:
            raise DerivationError(f"no proof was found that {self.left} is equal to {self.right}")
        where = ", ".join(f"{symbol} = {value}" for symbol, value in point.items())
        raise DerivationError(f"at {where}, {self.left} is not equal to {self.right}")


@dataclass(frozen=True)
class AllOf(Evidence):
    """Several pieces of evidence that are all needed."""

    parts: tuple[Evidence, ...]

    def verify(self, digits: int) -> str:
        """Verify every part."""
        statuses = [part.verify(digits) for part in self.parts]
        certified = [s for s in statuses if s.startswith("certified")]
        return certified[0] if certified else "proved"


@dataclass(frozen=True)
class Step:
    """One line of a derivation: what is stated, the theorem it follows from, and the evidence."""

    statement: sympy.Basic
    reason: str
    evidence: Evidence = field(default_factory=Definition)


@dataclass(frozen=True, repr=False)
class Derivation:
    """A chain of steps that ends in a Formula, or in a series where there is none.

    `verify` checks every step again. It renders in Jupyter as an aligned block with the reason
    beside each line.
    """

    steps: tuple[Step, ...]
    result: Any

    def verify(self, digits: int = 30) -> "Verification":
        """Check every step.

        Args:
            digits: how many digits a certificate must give.

        Raises:
            DerivationError: naming the first step that is false and what refutes it.
        """
        statuses = []
        for number, step in enumerate(self.steps, start=1):
            try:
                statuses.append(step.evidence.verify(digits))
            except DerivationError as error:
                raise DerivationError(
                    f"step {number} of {self.result.name} is false ({step.reason}): {error}"
                ) from error
        return Verification(self, tuple(statuses))

    def __str__(self) -> str:
        width = max(len(str(step.statement)) for step in self.steps)
        width = min(width, 100)
        return "\n".join(f"{s.statement!s:<{width}}   [{s.reason}]" for s in self.steps)

    __repr__ = __str__

    def _repr_latex_(self) -> str:
        lines = [rf"{_aligned(step.statement)} && \text{{{step.reason}}}" for step in self.steps]
        body = " \\\\\n".join(lines)
        return f"$$\\begin{{aligned}}\n{body}\n\\end{{aligned}}$$"


def _aligned(statement: sympy.Basic) -> str:
    if isinstance(statement, sympy.Eq):
        return f"{sympy.latex(statement.lhs)} &= {sympy.latex(statement.rhs)}"
    return f"& {sympy.latex(statement)}"


@dataclass(frozen=True, repr=False)
class Verification:
    """What `Derivation.verify` found: the status of every step."""

    derivation: Derivation
    statuses: tuple[str, ...]

    def __str__(self) -> str:
        pairs = zip(self.derivation.steps, self.statuses, strict=True)
        return "\n".join(f"{status:<28} {step.reason}" for step, status in pairs)

    __repr__ = __str__
