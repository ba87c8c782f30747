r"""The deterministic equivalent in balls at growing d, and how fast it approaches its limit.

At each d the effective ridge is enclosed by a change of sign of a decreasing function, with all
degrees of the kernel: of those that are left out it is known that
:math:`N_k \lambda_k \le \mathrm{tail}`, and therefore that :math:`\lambda_k \le
\mathrm{tail}/N_{K+1}`.
"""

import functools
import itertools
from dataclasses import dataclass
from typing import Any

import sympy
from flint import arb, ctx

from kerneltheory.activations import catalogue
from kerneltheory.core import lower
from kerneltheory.core.derivation import Evidence
from kerneltheory.core.errors import DerivationError
from kerneltheory.kernels.base import Kernel, T
from kerneltheory.kernels.kernel import dot_product_kernel, nngp, ntk
from kerneltheory.spectra.certified import CertifiedSpectrum
from kerneltheory.spectra.domains import certified_spectrum
from kerneltheory.sphere.harmonics import multiplicity

DIMENSIONS = tuple(10**p for p in range(2, 7))
# Degrees kept above the order. The digits of the balls; differences are about 1/d of the values.
MORE_DEGREES, DIGITS = 4, 60
NOISE_VARIANCE = sympy.Rational(1, 10)
# Of d times the difference, what changes from d to 10 d is c/d + O(1/d^2) and so shrinks tenfold.
SHRINKING, SECOND_ORDER = arb("0.2"), 1000


@dataclass(frozen=True)
class LimitProblem:
    """A kernel ridge regression at n = alpha N(d, r) samples, with exact parameters.

    Attributes:
        kernel: positive definite in all dimensions.
        order: r.
        alpha, ridge: exact.
        power: of the target, by degree, exact.
        noise_variance: exact.
    """

    kernel: Kernel
    order: int
    alpha: Any
    ridge: Any
    power: tuple[Any, ...] = (1, 1, 1, 1, 1)
    noise_variance: Any = NOISE_VARIANCE

    def limit_arguments(self) -> dict[str, arb]:
        """What the closed forms of the limit take, by the names of their symbols."""
        taylor = self.kernel.taylor_balls(self.order + 1, 300)
        excess = self.kernel.ball_at_one() - sum(taylor, arb(0))
        lost = sum(self.power[self.order + 1 :], sympy.S.Zero)
        lost += sum(p for p, a in zip(self.power, taylor[:-1], strict=False) if a.contains(0))
        return {
            "alpha": lower.to_ball(self.alpha),
            "zeta": (lower.to_ball(self.ridge) + excess) / taylor[-1],
            "zeta_0": lower.to_ball(self.ridge) / taylor[-1],
            "F_r^2": lower.to_ball(self.power[self.order]),
            "F_>r^2": lower.to_ball(lost),
            "sigma^2": lower.to_ball(self.noise_variance),
        }

    def at_dimension(self, dim: int) -> dict[str, arb]:
        """The same quantities as the limit, enclosed at finite d."""
        last = self.order + MORE_DEGREES
        levels = certified_spectrum(self.kernel, dim, last, DIGITS)
        samples = lower.to_ball(self.alpha) * levels.multiplicities[self.order]
        kappa = _effective_ridge(levels, samples, lower.to_ball(self.ridge))
        learned = [value / (value + kappa) for value in levels.eigenvalues]
        counted = sum(
            (n * q**2 for n, q in zip(levels.multiplicities, learned, strict=True)), arb(0)
        )
        counted += (levels.tail**2 / kappa**2 / multiplicity(dim, last + 1)).union(arb(0))
        overfitting = 1 / (1 - counted / samples)
        bias = sum(
            ((1 - q) ** 2 * lower.to_ball(p) for q, p in zip(learned, self.power, strict=False)),
            arb(0),
        )
        noise = lower.to_ball(self.noise_variance)
        labels_error = overfitting * (bias + noise)
        return {
            "shift": kappa / levels.eigenvalues[self.order],
            "overfitting": overfitting,
            "bias": bias,
            "test error": labels_error - noise,
            "train error": (lower.to_ball(self.ridge) / (samples * kappa)) ** 2 * labels_error,
        }


@dataclass(frozen=True)
class ConvergenceRate(Evidence):
    """Finite-d values of the deterministic equivalent approach closed forms as 1/d.

    Not a proof of the limit: d times the difference is enclosed at d = 10^2, ..., 10^6 in several
    problems, and found to converge: each change is less than a fifth of the one before, up to
    O(1/d^2).

    Attributes:
        claims: pairs of a quantity of `LimitProblem.at_dimension` and its limit.
        problems: where they are compared.
    """

    claims: tuple[tuple[str, Any], ...]
    problems: tuple[LimitProblem, ...]

    def verify(self, digits: int) -> str:
        """Compare all quantities in all problems."""
        largest = arb(0)
        with ctx.workdps(DIGITS):
            for problem in self.problems:
                for name, scaled in self._scaled(problem).items():
                    _check_convergent(name, problem, scaled)
                    largest = largest.max(abs(scaled[-1]))
        return f"certified: within {float(largest.upper()):.2g}/d at d = 10^2 to 10^6"

    def about(self) -> tuple[Any, ...]:
        """The closed forms."""
        return tuple(formula for _, formula in self.claims)

    def _scaled(self, problem: LimitProblem) -> dict[str, list[arb]]:
        """D times the relative difference at each d."""
        arguments = problem.limit_arguments()
        finite = [enclosed_sequence(problem, dim) for dim in DIMENSIONS]
        result = {}
        for name, formula in self.claims:
            symbols = tuple(sorted(formula.free_symbols, key=str))
            limit = arb(lower.to_balls(symbols, formula)(*(arguments[str(s)] for s in symbols)))
            pairs = zip(DIMENSIONS, finite, strict=True)
            result[name] = [dim * (values[name] / limit - 1) for dim, values in pairs]
        return result


@functools.lru_cache(maxsize=256)
def enclosed_sequence(problem: LimitProblem, dim: int) -> dict[str, arb]:
    """`problem.at_dimension(dim)`, computed once."""
    with ctx.workdps(DIGITS):
        return problem.at_dimension(dim)


def _check_convergent(name: str, problem: LimitProblem, scaled: list[arb]) -> None:
    changes = [abs(after - before) for before, after in itertools.pairwise(scaled)]
    for dim, (before, after) in zip(DIMENSIONS, itertools.pairwise(changes), strict=False):
        if not after < SHRINKING * before + arb(SECOND_ORDER) / dim**2:
            shown = ", ".join(value.str(4, radius=False) for value in scaled)
            raise DerivationError(
                f"{name} of {problem.kernel} at alpha = {problem.alpha}, order {problem.order}: d "
                f"times the difference to the limit is {shown} at d = 10^2, ..., 10^6, which does "
                "not converge as 1/d"
            )


def _effective_ridge(levels: CertifiedSpectrum, samples: arb, ridge: arb) -> arb:
    """A ball around the root of n = sum N lambda/(lambda + kappa) + ridge/kappa, by bisection."""
    highest = levels.tail / multiplicity(levels.dim, len(levels.eigenvalues))

    def excess(kappa: arb) -> arb:
        left_out = (levels.tail / (highest + kappa)).union(levels.tail / kappa)
        pairs = zip(levels.multiplicities, levels.eigenvalues, strict=True)
        kept = sum((n * value / (value + kappa) for n, value in pairs), arb(0))
        return kept + left_out + ridge / kappa - samples

    masses = zip(levels.multiplicities, levels.eigenvalues, strict=True)
    # There all that is counted is at most total/kappa.
    high = (sum((n * value for n, value in masses), levels.tail + ridge) * 2 / samples).mid()
    low = high
    while not excess(low) > 0:
        low /= 16
    while True:
        middle = ((low + high) / 2).mid() if low * 4 > high else (low * high).sqrt().mid()
        value = excess(middle)
        if value > 0:
            low = middle
        elif value < 0:
            high = middle
        else:
            return low.union(high)


_EXPONENTIAL = dot_product_kernel(sympy.exp(T))
_FOURTH_POWER = dot_product_kernel((1 + T) ** 4)
_HALF, _TENTH = sympy.Rational(1, 2), sympy.Rational(1, 10)
# One kernel with exact eigenvalues, entire ones, and networks with singular ends; the last has no
# degree 3, so that the power there is lost.
RATE_PROBLEMS = (
    LimitProblem(_EXPONENTIAL, 1, _HALF, _TENTH),
    LimitProblem(_EXPONENTIAL, 2, sympy.Integer(2), _TENTH),
    LimitProblem(_EXPONENTIAL, 3, _HALF, 2 * _TENTH),
    LimitProblem(_FOURTH_POWER, 2, _HALF, _TENTH),
    LimitProblem(_FOURTH_POWER, 3, sympy.Integer(2), _TENTH),
    LimitProblem(nngp(catalogue.erf, 2, weight_variance=2, bias_variance=1), 2, _HALF, _TENTH),
    LimitProblem(ntk(catalogue.relu, 1, weight_variance=2), 4, sympy.Integer(2), _TENTH),
)
