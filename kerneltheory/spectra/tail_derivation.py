"""The derivation of a tail law: expansions at both ends, eigenvalues, and what certifies them."""

import functools
import itertools
import math
from dataclasses import dataclass
from typing import Any

import sympy
from flint import arb, ctx

from kerneltheory.activations import catalogue
from kerneltheory.core import lower
from kerneltheory.core.derivation import Derivation, Evidence, Step
from kerneltheory.core.errors import DerivationError, KernelTheoryError
from kerneltheory.core.formula import Formula
from kerneltheory.kernels.base import Kernel, T
from kerneltheory.kernels.kernel import nngp, ntk
from kerneltheory.spectra.closed_forms import distance_eigenvalue
from kerneltheory.spectra.domains import certified_spectrum
from kerneltheory.spectra.exact import EigenvalueFormula
from kerneltheory.spectra.lemmas import DISTANCES, lemma
from kerneltheory.spectra.local_series import at_end, kernel_series, written_out
from kerneltheory.spectra.summation import D, K
from kerneltheory.spectra.tail_law import TailLaw, tail_law

# Degrees at which the law is compared with enclosed eigenvalues, and in which dimensions.
DEGREES, DIMENSIONS = (12, 24, 48), (3,)


@dataclass(frozen=True)
class LocalExpansion(Evidence):
    """A kernel has an expansion at one end: what is left without it is small there, in balls.

    Attributes:
        kernel: the kernel.
        end: 1 or -1.
        terms: pairs of an exponent of 1 - |t| and a coefficient.
        order: the exponent of what is left out.
    """

    kernel: Kernel
    end: int
    terms: tuple[tuple[Any, Any], ...]
    order: Any

    def verify(self, digits: int) -> str:
        """Evaluate the kernel so close to the end that each term stands out by many digits."""
        largest = max((abs(float(c)) for _, c in self.terms), default=1.0)
        last = max((float(e) for e, _ in self.terms), default=0.0)
        gap = float(self.order) - last
        # At 1 - |t| = 10^-depth the next term is smaller than the last by depth * gap digits.
        depth = math.ceil((digits + 5) / gap)
        with ctx.workdps(math.ceil(depth * (float(self.order) + 2)) + 40):
            x = arb(10) ** -depth
            left = arb(self.kernel.on_balls(self.end * (1 - x)))
            for exponent, coefficient in self.terms:
                left -= lower.to_balls((), coefficient)() * x ** lower.to_ball(exponent)
            allowed = arb(10) ** -digits * arb(largest) * x ** arb(last)
            if not abs(left) < allowed:
                raise DerivationError(
                    f"at 1 - |t| = 10^-{depth} the expansion at t = {self.end} is off by "
                    f"{left.str(5)}"
                )
        return f"certified to {digits} digits"


@dataclass(frozen=True)
class TailCertificate(Evidence):
    """The enclosed eigenvalues approach the law as the degree doubles, for both parities.

    Attributes:
        law: the claim.
        shown: the expression that is stated.
    """

    law: TailLaw
    shown: Any

    def verify(self, digits: int) -> str:
        """Compare at growing degrees; the distance has to shrink at least as fast as 1/k."""
        dims = DIMENSIONS if self.law.dim.is_Symbol else (int(self.law.dim),)
        worst = max(self._distance(dim) for dim in dims)
        return f"certified: within {worst:.1g} at degree {DEGREES[-1]}"

    def about(self) -> tuple[Any, ...]:
        """The law."""
        return (self.shown,)

    def _distance(self, dim: int) -> float:
        found = certified_spectrum(self.law.kernel, dim, DEGREES[-1] + 1, digits=15)
        last = 0.0
        for parity in (0, 1):
            distances = [self._at(dim, k + parity, found.eigenvalues[k + parity]) for k in DEGREES]
            for before, after in itertools.pairwise(distances):
                if not (after < 1e-12 or after < 0.75 * before):
                    raise DerivationError(
                        f"in dim = {dim} the eigenvalues of degrees {DEGREES} are off the law by "
                        f"{distances}, and do not approach it"
                    )
            last = max(last, distances[-1], 1e-15)
        return last

    def _at(self, dim: int, k: int, ball: arb) -> float:
        """Distance to the law, over the law without the signs."""
        assert self.law.formula is not None
        point = (k, dim) if self.law.dim.is_Symbol else (k,)
        claim = self.law.formula.certified(*point, digits=15)
        leading = self.law.singularities[0]
        size = abs(leading.c_plus) + abs(leading.c_minus)
        scale = Formula("scale", (), sympy.sympify(size)).certified(digits=15)
        with ctx.workdps(40):
            power = EigenvalueFormula(
                "power", (K, D), distance_eigenvalue(2 * leading.nu, K).expression, sympy.true, "",
                K, D,
            ).certified(k, dim, digits=15)  # fmt: skip
            power *= arb(2) ** -lower.to_ball(leading.nu) * scale
            return float(abs((ball - claim) / power).upper())


def derive_tail_law(kernel: Kernel, dim: Any, terms: int = 1) -> Derivation:
    """The derivation of `tail_law(kernel, dim)`: expansions at both ends, eigenvalue, comparison.

    Args:
        kernel: as in `tail_law`.
        dim: as in `tail_law`.
        terms: as in `tail_law`.

    Raises:
        KernelTheoryError: as in `tail_law`, or if there is no power law to derive.

    Examples:
        >>> from kerneltheory.activations.catalogue import relu
        >>> from kerneltheory.kernels.kernel import nngp
        >>> derivation = derive_tail_law(nngp(relu, 1, weight_variance=2), 5)
        >>> derivation.verify(digits=10).statuses[:2]
        ('certified to 10 digits', 'certified to 10 digits')
    """
    law = tail_law(kernel, dim, terms)
    if law.formula is None:
        raise KernelTheoryError(f"the eigenvalues of {kernel} decay faster than any power")
    steps = [_expansion_step(law, end) for end in (1, -1)]
    left = sympy.Function("lambda")(*law.formula.args)
    statement = sympy.Eq(left, law.formula.rhs, evaluate=False)
    reason = "Darboux's method: the most singular terms have the largest coefficients"
    last = Step(statement, reason, TailCertificate(law, law.formula.rhs))
    return Derivation((*steps, lemma(DISTANCES), last), law.formula)


def _expansion_step(law: TailLaw, end: int) -> Step:
    """The expansion at one end, up to the last singular term of the law."""
    nu = law.singularities[-1].nu
    order = 3
    series = kernel_series(law.kernel, at_end(end, order))
    while series.order <= 2 * nu:
        order += 1
        series = kernel_series(law.kernel, at_end(end, order))
    kept = [(e / 2, written_out(c)) for e, c in series.terms if e <= 2 * nu]
    rest = min((e / 2 for e, _ in series.terms if e > 2 * nu), default=series.order / 2)
    distance = 1 - end * T
    rhs = sympy.Add(*(c * distance**e for e, c in kept))
    left = sympy.Function("h")(T)
    statement = sympy.Eq(left, rhs, evaluate=False)
    reason = f"expansion at t = {end}, layer by layer; up to O((1 - |t|)^({rest}))"
    evidence = LocalExpansion(law.kernel, end, tuple(kept), rest)
    return Step(statement, reason, evidence)


DERIVATIONS = tuple(
    functools.partial(derive_tail_law, make(catalogue.relu, depth, weight_variance=2), D)
    for make, depth in ((nngp, 1), (ntk, 1), (nngp, 2), (ntk, 3))
)
