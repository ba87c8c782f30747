"""A Derivation: a chain of steps from a definition to a Formula, each of which can be verified."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

import sympy
from sympy.core.function import AppliedUndef

from kerneltheory.core import check
from kerneltheory.core.display import html_table, latex, text
from kerneltheory.core.errors import DerivationError
from kerneltheory.core.prove import counterexample, is_zero


class Evidence(ABC):
    """Why a step is true: something that can be checked again."""

    @abstractmethod
    def verify(self, digits: int) -> str:
        """Say `proved` or `certified to N digits`, or raise DerivationError with the reason."""

    def about(self) -> tuple[sympy.Expr, ...]:
        """The expressions, any of which a statement may give on its right; none if all may do."""
        return ()


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
        # Without symbols every point refutes it.
        place = ", ".join(f"{symbol} = {value}" for symbol, value in point.items()) or "any point"
        raise DerivationError(f"at {place}, {self.left} is not equal to {self.right}")

    def about(self) -> tuple[sympy.Expr, ...]:
        """Both sides."""
        return self.left, self.right


@dataclass(frozen=True)
class Step:
    """One line of a derivation: what is stated, the theorem it follows from, and the evidence."""

    statement: sympy.Basic
    reason: str
    evidence: Evidence = field(default_factory=Definition)

    def verify(self, digits: int) -> str:
        """Verify the evidence, and that it is evidence of the equation that is stated.

        Raises:
            DerivationError: with the reason.
        """
        status = self.evidence.verify(digits)
        found = self.evidence.about()
        if isinstance(self.statement, sympy.Eq) and found and self.statement.rhs not in found:
            self._compare(self.statement.rhs, found[-1], digits)
        return status

    @staticmethod
    def _compare(stated: Any, found: Any, digits: int) -> None:
        """Refuse a statement of something else, at a point where that has values."""
        if any(side.has(AppliedUndef, sympy.Piecewise) for side in (stated, found)):
            raise DerivationError(f"{text(stated)} is stated and {text(found)} was verified")
        Identity(stated, found).verify(digits)


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
            digits: how many digits a certificate must give, at least 1.

        Raises:
            TypeError, ValueError: if digits is no such integer.
            DerivationError: naming the first step that is false and what refutes it.
        """
        digits = check.integer("digits", digits, minimum=1)
        statuses = []
        for number, step in enumerate(self.steps, start=1):
            try:
                statuses.append(step.verify(digits))
            except DerivationError as error:
                raise DerivationError(
                    f"step {number} of {self.result.name} is false ({step.reason}): {error}"
                ) from error
        return Verification(self, tuple(statuses))

    def __str__(self) -> str:
        statements = [text(step.statement) for step in self.steps]
        width = min(max(map(len, statements)), 100)
        lines = zip(statements, self.steps, strict=True)
        return "\n".join(f"{line:<{width}}   [{step.reason}]" for line, step in lines)

    __repr__ = __str__

    def _repr_latex_(self) -> str:
        lines = [rf"{_aligned(step.statement)} && \text{{{step.reason}}}" for step in self.steps]
        body = " \\\\\n".join(lines)
        return f"$$\\begin{{aligned}}\n{body}\n\\end{{aligned}}$$"


def _aligned(statement: sympy.Basic) -> str:
    if isinstance(statement, sympy.Eq):
        return f"{latex(statement.lhs)} &= {latex(statement.rhs)}"
    return f"& {latex(statement)}"


@dataclass(frozen=True, repr=False)
class Verification:
    """What `Derivation.verify` found: the status of every step."""

    derivation: Derivation
    statuses: tuple[str, ...]

    def __str__(self) -> str:
        pairs = zip(self.derivation.steps, self.statuses, strict=True)
        return "\n".join(f"{status:<28} {step.reason}" for step, status in pairs)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        pairs = zip(self.derivation.steps, self.statuses, strict=True)
        rows = [
            (str(number), f"${latex(step.statement)}$", step.reason, status)
            for number, (step, status) in enumerate(pairs, start=1)
        ]
        header = ("step", "statement", "reason", "status")
        return html_table(self.derivation.result.name, header, rows)
