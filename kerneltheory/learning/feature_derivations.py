r"""The derivation of the learning curve of random features from two equivalents of regression.

Regression on p features is kernel regression with a random kernel. Its n samples meet that kernel,
at the effective ridge :math:`\kappa`; its features are samples of the mean kernel, at the ridge
:math:`p\kappa` and the effective ridge :math:`\gamma`. Both have the effective dimension z.
"""

from typing import Any

import sympy

from kerneltheory.core.derivation import Derivation, Step
from kerneltheory.core.evidence import Root, identity_step, limit_step, positive_step
from kerneltheory.core.formula import Formula

REFERENCE = "arXiv:2311.14646, arXiv:2006.13198"

# Samples, features, z and s = -dz/d ln gamma; what z leaves of n and of p.
SAMPLES, FEATURES, DIMENSION, SLOPE = sympy.symbols("n p z s", positive=True)
A, B = sympy.symbols("a b", positive=True)
# sum (1-q)^2 F^2, sum q (1-q) F^2 and sigma^2.
OWN, MIXED, NOISE = sympy.symbols("B C sigma^2", positive=True)
GAMMA, KAPPA, DELTA = sympy.symbols("gamma kappa delta", positive=True)

_COUNT, _VALUE, _TAIL = sympy.symbols("N lambda tail", positive=True)
_E0, _T, _TRAIN = sympy.symbols("E_0 T train")
_Z: Any = sympy.Function("z")(GAMMA)
_LEARNED, _LEFT = _VALUE / (_VALUE + GAMMA), GAMMA / (_VALUE + GAMMA)
_IN_GAPS = {SAMPLES: A + DIMENSION, FEATURES: B + DIMENSION}
_KAPPA = GAMMA * (FEATURES - DIMENSION) / FEATURES
_DELTA = GAMMA * (SAMPLES - DIMENSION) * (FEATURES - DIMENSION) / FEATURES
# n/E_0 and the share s/(b + s).
_WIDTH, _SHARE = A + B * SLOPE / (B + SLOPE), SLOPE / (B + SLOPE)


def derive_random_features() -> Derivation:
    """The test error of regression on random features, in n, p, z, s and sums over the target."""
    gaps = {A: SAMPLES - DIMENSION, B: FEATURES - DIMENSION}
    result = (SAMPLES / _WIDTH * (OWN + _SHARE * MIXED + NOISE) - NOISE).subs(gaps)
    steps = (
        *_ridge_steps(),
        *_overfitting_steps(),
        *_bias_steps(),
        identity_step(
            (OWN + _SHARE.subs(gaps) * MIXED + NOISE) / _published_inverse() - NOISE,
            result,
            "T + sigma^2 = E_0 (B + s/(b + s) C + sigma^2), C = sum q (1-q) F^2",
            _T,
        ),
        *_ends(),
    )
    args = SAMPLES, FEATURES, DIMENSION, SLOPE, OWN, MIXED, NOISE
    domain = sympy.And(DIMENSION < SAMPLES, DIMENSION < FEATURES)
    return Derivation(
        steps, Formula("test error of random features", args, result, domain, REFERENCE)
    )


def _ridge_steps() -> list[Step]:
    level = _COUNT * _LEARNED + _TAIL / GAMMA
    slope = _COUNT * _LEARNED * _LEFT + _TAIL / GAMMA
    rise = A * B + SLOPE * (A + B)
    return [
        Step(
            sympy.Eq(SAMPLES, DIMENSION + DELTA / KAPPA, evaluate=False),
            "definition: n samples of the kernel of the features, z its effective dimension",
        ),
        Step(
            sympy.Eq(FEATURES, DIMENSION + FEATURES * KAPPA / GAMMA, evaluate=False),
            "definition: p samples of the mean kernel at the ridge p kappa; gamma their "
            "effective ridge, z(gamma) = sum N lambda/(lambda + gamma) + tail/gamma",
        ),
        Step(
            sympy.Eq(KAPPA, _KAPPA, evaluate=False),
            "the second",
            Root(FEATURES - DIMENSION - FEATURES * KAPPA / GAMMA, KAPPA, _KAPPA),
        ),
        Step(
            sympy.Eq(DELTA, _DELTA, evaluate=False),
            "with it, the first",
            Root(SAMPLES - DIMENSION - DELTA / _KAPPA, DELTA, _DELTA),
        ),
        identity_step(
            -GAMMA * sympy.diff(level, GAMMA), slope, "of each level, with q = lambda/(lambda + "
            "gamma): N q (1 - q), and tail/gamma", SLOPE,
        ),
        identity_step(
            _along(_KAPPA), (_KAPPA * (B + SLOPE) / B).subs(_IN_GAPS),
            "d kappa/d ln gamma, with a = n - z and b = p - z", _derivative("kappa"),
        ),
        identity_step(
            _along(_DELTA), (_DELTA * rise / (A * B)).subs(_IN_GAPS),
            "d delta/d ln gamma", _derivative("delta"),
        ),
        positive_step(rise / (A * B), "so that each ridge has one gamma with a > 0 and b > 0"),
        limit_step(_KAPPA, FEATURES, sympy.oo, GAMMA, "infinitely many features"),
        limit_step(
            _DELTA, FEATURES, sympy.oo, GAMMA * (SAMPLES - DIMENSION),
            "the equation of kernel regression",
        ),
    ]  # fmt: skip


def _overfitting_steps() -> list[Step]:
    return [
        identity_step(
            _LEARNED - _LEARNED * _LEFT, _LEARNED**2,
            "sum N q^2 = z - s, so that n/E_0 = n - z + s = d delta/d kappa for delta = kappa "
            "(n - z) in kernel regression",
            sympy.Symbol("q") ** 2,
        ),
        identity_step(
            _along(_DELTA) / _along(_KAPPA), _WIDTH,
            "the same derivative here, where the kernel is that of the features",
            SAMPLES / _E0,
        ),
        identity_step(
            (SAMPLES * _published_inverse()).subs(_IN_GAPS), _WIDTH,
            "as published: 1 - (Q (p - 2z) + z^2)/(n (p - Q)), Q = sum N q^2 = z - s",
            SAMPLES / _E0,
        ),
    ]  # fmt: skip


def _published_inverse() -> Any:
    """1/E_0 as the reference has it."""
    squares = DIMENSION - SLOPE
    numerator = squares * (FEATURES - 2 * DIMENSION) + DIMENSION**2
    return 1 - numerator / (SAMPLES * (FEATURES - squares))


def _bias_steps() -> list[Step]:
    error = sympy.Symbol("F^2", positive=True)
    kept = _LEFT * _LEFT + _SHARE * _LEARNED * _LEFT
    # d ln gamma/d ln kappa is b/(b + s).
    moved = _LEFT - B / (B + SLOPE) * GAMMA * sympy.diff(_LEFT, GAMMA)
    squares = DIMENSION - SLOPE
    published = _LEFT - _KAPPA * _VALUE / (_VALUE + GAMMA) ** 2 * FEATURES / (FEATURES - squares)
    return [
        Step(
            sympy.Eq(sympy.Symbol("G"), sympy.Function("G")(KAPPA), evaluate=False),
            "definition: G = kappa <f, (K + kappa)^-1 f> with K of the features tends to "
            "sum (1-q) F^2; the error given the features and all x is -kappa^2 d(G/kappa)/d kappa",
        ),
        identity_step(
            error * moved, error * kept,
            "of each mode, (1-q)^2 F^2 + s/(b + s) q (1-q) F^2: bias, and variance from features",
            sympy.Symbol("G") - KAPPA * sympy.Derivative(sympy.Function("G")(KAPPA), KAPPA),
        ),
        identity_step(
            published.subs(_IN_GAPS), kept,
            "as published: gamma/(lambda + gamma) - kappa lambda/(lambda + gamma)^2 p/(p - Q)",
        ),
    ]  # fmt: skip


def _ends() -> list[Step]:
    """The training error, no ridge on both sides of n = p, and infinitely many features."""
    ridge, label = (_DELTA.subs(_IN_GAPS), _T + NOISE)
    ratio = (DELTA / (SAMPLES * KAPPA)) ** 2
    inserted = ratio.subs({DELTA: _DELTA, KAPPA: _KAPPA}, simultaneous=True)
    return [
        identity_step(
            inserted * label, ((SAMPLES - DIMENSION) / SAMPLES) ** 2 * label,
            "(delta/(n kappa))^2 (T + sigma^2)", _TRAIN,
        ),
        limit_step(ridge, A, 0, 0, "n < p without ridge: z = n, training error 0"),
        limit_step(
            _WIDTH, A, 0, B * SLOPE / (B + SLOPE), "n/E_0 there, with b = p - n"
        ),
        limit_step(ridge, B, 0, 0, "p < n without ridge: z = p, kappa = 0"),
        limit_step(_WIDTH, B, 0, A, "n/E_0 there, n - p; train = ((n - p)/n)^2 (T + sigma^2)"),
        limit_step(_WIDTH, B, sympy.oo, A + SLOPE, "infinitely many features: n - sum N q^2"),
        limit_step(_SHARE, B, sympy.oo, 0, "and no variance from them"),
    ]  # fmt: skip


def _along(expression: Any) -> Any:
    """The derivative in ln gamma, of which z falls at the rate s; in the gaps a and b."""
    moving = expression.subs(DIMENSION, _Z)
    slope = GAMMA * sympy.diff(moving, GAMMA)
    fixed = slope.subs(sympy.Derivative(_Z, GAMMA), -SLOPE / GAMMA).subs(_Z, DIMENSION)
    return fixed.subs(_IN_GAPS)


def _derivative(name: str) -> Any:
    return GAMMA * sympy.Derivative(sympy.Function(name)(GAMMA), GAMMA)


DERIVATIONS = (derive_random_features,)
