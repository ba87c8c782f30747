r"""The derivation of what `validity` rests on: a fourth moment, and how T follows a ridge.

To first order the hat matrix has the entry w between two samples. Products of two different
entries average to nothing unless each index pairs off; the equivalent sums the chains in which no
two samples meet twice, and the first that it lacks is the sum of the :math:`w^4`.
"""

from typing import Any

import sympy

from kerneltheory.core.derivation import Derivation, Step
from kerneltheory.core.evidence import identity_step, limit_step
from kerneltheory.core.formula import Formula
from kerneltheory.spectra.summation import D
from kerneltheory.sphere.harmonics import multiplicity

REFERENCE = "Isserlis' theorem; the equivalent of arXiv:2006.13198"

SAMPLES, SQUARES, QUARTERS = sympy.symbols("n sum_N_q^2 sum_N_q^4", positive=True)
KAPPA, NOISE = sympy.symbols("kappa sigma^2", positive=True)

_VALUES = sympy.symbols("lambda_1 lambda_2", positive=True)
_COUNTS = sympy.symbols("N_1 N_2", positive=True)
_POWERS = sympy.symbols("F_1^2 F_2^2", positive=True)


def derive_fourth_moment() -> Derivation:
    """The number n E[w^4] of Gaussian features, with what it stands for and what follows it."""
    result = 3 * (SQUARES**2 + 2 * QUARTERS) / SAMPLES**3
    steps = (*_chain_steps(), *_gaussian_steps(result), *_harmonic_steps(), *_slope_steps())
    args = SAMPLES, SQUARES, QUARTERS
    return Derivation(
        steps, Formula("fourth moment of the hat matrix", args, result, reference=REFERENCE)
    )


def _chain_steps() -> list[Step]:
    """Closed chains of four entries, in a matrix of four samples, of which no chain has more."""
    size = 4
    entry = sympy.Symbol("w")
    symbols = {
        (i, j): sympy.Symbol(f"w_{i + 1}{j + 1}") for i in range(size) for j in range(i + 1, size)
    }
    matrix = sympy.Matrix(
        size, size, lambda i, j: symbols[min(i, j), max(i, j)] if i != j else sympy.S.Zero
    )
    squared = matrix * matrix
    places = range(size)
    rings = sum(
        (
            matrix[i, j] * matrix[j, k] * matrix[k, m] * matrix[m, i]
            for i in places for j in places for k in places for m in places
            if len({i, j, k, m}) == size
        ),
        sympy.S.Zero,
    )  # fmt: skip
    forks = 2 * sum(
        (
            matrix[i, j] ** 2 * matrix[i, k] ** 2
            for i in places for j in places for k in places
            if len({i, j, k}) == 3
        ),
        sympy.S.Zero,
    )  # fmt: skip
    returns = sum((matrix[i, j] ** 4 for i in places for j in places), sympy.S.Zero)
    trace = sympy.Symbol("tr") * entry**4
    return [
        identity_step(
            sympy.expand((squared * squared).trace()), sympy.expand(rings + forks + returns),
            "rings i j k m, forks i j i k, and what the equivalent lacks, chains that return: "
            "n (n - 1) of them, n E[w^4] for each sample", trace,
        ),
    ]  # fmt: skip


def _gaussian_steps(result: Any) -> list[Step]:
    """E[w^4] for w = sum q x z/n, given z, then over z, with two modes that stand for all."""
    first, second = sympy.symbols("q_1 q_2", positive=True)
    x, y = sympy.symbols("z_1 z_2", real=True)
    variance = (first**2 * x**2 + second**2 * y**2) / SAMPLES**2
    total = (first**2 + second**2, first**4 + second**4)
    stated = (3 * total[0] ** 2 + 6 * total[1]) / SAMPLES**4
    return [
        identity_step(
            _gaussian(sympy.expand(variance), (x, y)), total[0] / SAMPLES**2,
            "w = sum q x z/n is Gaussian given z; E[w^2], of which n E[w^2] = sum N q^2/n",
            sympy.Symbol("E[w^2]"),
        ),
        identity_step(
            _gaussian(sympy.expand(3 * variance**2), (x, y)), stated,
            "three times its squared variance, averaged over z by Isserlis", sympy.Symbol("E[w^4]"),
        ),
        identity_step(
            SAMPLES * stated, result.subs({SQUARES: total[0], QUARTERS: total[1]}),
            "n E[w^4]", sympy.Symbol("m"),
        ),
        identity_step(
            SAMPLES * (3 * SQUARES**2 + 6 * QUARTERS) / SAMPLES**4, result,
            "with sums over all modes in place of those over the two", sympy.Symbol("m"),
        ),
    ]  # fmt: skip


def _gaussian(polynomial: Any, variables: tuple[Any, ...]) -> Any:
    """The expectation over independent standard normal variables."""
    total = sympy.S.Zero
    for powers, coefficient in sympy.Poly(polynomial, *variables).terms():
        moments = (sympy.factorial2(k - 1) if k % 2 == 0 else sympy.S.Zero for k in powers)
        total += coefficient * sympy.prod(moments)
    return total


def _harmonic_steps() -> list[Step]:
    """The kurtosis of N P_k(t), the kernel of the harmonics of one degree, in high dimension."""
    t = sympy.Symbol("t", real=True)
    previous, cosine = (sympy.Poly(x, t, domain=sympy.QQ.frac_field(D)) for x in (1, t))
    current, steps = cosine, []
    for degree, limit in ((1, 3), (2, 15), (3, 93)):
        # E[(N P_k)^2] = N, so that N^2 E[P_k^4] is E[w^4]/E[w^2]^2.
        fourth = multiplicity(D, degree) ** 2 * _over_cosines(current**4)
        reason = f"E[w^4]/E[w^2]^2 of harmonics of degree {degree}, N^2 E[P_{degree}^4]"
        steps.append(limit_step(sympy.cancel(fourth), D, sympy.oo, limit, reason))
        following = (2 * degree + D - 2) * cosine * current - degree * previous
        previous, current = current, following * (1 / (degree + D - 2))
    return steps


def _over_cosines(polynomial: sympy.Poly) -> Any:
    """The expectation over the cosine t: E[t^2m] = (2m - 1)!!/(d (d + 2) ... (d + 2m - 2))."""
    total = sympy.S.Zero
    for (power,), coefficient in polynomial.terms():
        if power % 2 == 0:
            below = sympy.prod(D + 2 * j for j in range(power // 2))
            total += coefficient * sympy.factorial2(power - 1) / below
    return sympy.together(total)


def _slope_steps() -> list[Step]:
    """How T follows a shift of kappa at fixed n, and one of the sum of the squares alone."""
    learned = [value / (value + KAPPA) for value in _VALUES]
    squares = sum(n * q**2 for n, q in zip(_COUNTS, learned, strict=True))
    overfitting = SAMPLES / (SAMPLES - squares)
    bias = sum((1 - q) ** 2 * f for q, f in zip(learned, _POWERS, strict=True))
    noisy = overfitting * (bias + NOISE)
    rise = 2 * sum(q * (1 - q) ** 2 * f for q, f in zip(learned, _POWERS, strict=True))
    fall = 2 * sum(n * q**2 * (1 - q) for n, q in zip(_COUNTS, learned, strict=True)) / SAMPLES
    share = sympy.Symbol("g", positive=True)
    excess = 1 / (1 - share)
    return [
        identity_step(
            KAPPA * sympy.diff(noisy, KAPPA), overfitting * (rise - noisy * fall),
            "E_0 (2 sum q (1-q)^2 F^2 - (T + sigma^2) 2 sum N q^2 (1-q)/n), of two levels",
            KAPPA * sympy.Derivative(sympy.Function("T")(KAPPA), KAPPA),
        ),
        identity_step(
            share * sympy.diff(excess, share) / excess, excess - 1,
            "E_0 = 1/(1 - g): a relative change of g = sum N q^2/n changes T + sigma^2 by E_0 - 1 "
            "times it",
        ),
    ]  # fmt: skip


DERIVATIONS = (derive_fourth_moment,)
