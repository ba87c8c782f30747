r"""The derivation of the learning curve at n = alpha N(d, r) samples as d goes to infinity.

All of it follows from one equation at finite d,

.. math:: n = \sum_k \frac{N_k \lambda_k}{\lambda_k + \kappa} + \frac{\delta}{\kappa},

in units of :math:`N_r` and :math:`\lambda_r`: what a degree takes of the samples is a rational
function of a ratio of multiplicities, which tends to zero or to infinity.
"""

from typing import Any

import sympy

from kerneltheory.core.derivation import Derivation, Step
from kerneltheory.core.evidence import Root, identity_step, limit_step, positive_step
from kerneltheory.core.formula import Formula
from kerneltheory.learning.finite_sequence import RATE_PROBLEMS, ConvergenceRate
from kerneltheory.spectra.large_dimension import mass_steps, multiplicity_steps
from kerneltheory.spectra.summation import D, K

REFERENCE = "arXiv:2205.14846"

# Samples in units of N_r, effective ridge in units of mu_r^2, and kappa in units of lambda_r.
ALPHA, ZETA, TAU = sympy.symbols("alpha zeta tau", positive=True)
# F_r^2, F_{>r}^2 and sigma^2.
OWN, LOST, NOISE = sympy.symbols("F_r^2 F_>r^2 sigma^2", positive=True)
# The absolute ridge in units of mu_r^2, without what higher degrees add.
TRUE_RIDGE = sympy.Symbol("zeta_0", positive=True)

DISCRIMINANT = (ALPHA - 1 - ZETA) ** 2 + 4 * ALPHA * ZETA
SHIFT = (1 + ZETA - ALPHA + sympy.sqrt(DISCRIMINANT)) / (2 * ALPHA)
EQUATION = ALPHA - 1 / (1 + TAU) - ZETA / TAU

# Masses N lambda of a degree, of degree r and of all higher degrees, and what tends to zero.
_MASS, _OWN_MASS, _HIGHER, _DELTA = sympy.symbols("m m_r m_>r delta", positive=True)
_SMALL, _POWER = sympy.Symbol("epsilon", positive=True), sympy.Symbol("F_k^2", positive=True)
_T, _E0, _B = sympy.symbols("T E_0 B")


def derive_learning_curve() -> Derivation:
    """The test error of the limit of order r, in alpha, zeta, the powers and the noise."""
    steps = (
        _definition(),
        *multiplicity_steps(),
        *mass_steps(),
        *_share_steps(),
        *_shift_steps(),
        *_error_steps(),
    )
    name = "test error in the limit of high order"
    args = ALPHA, ZETA, OWN, LOST, NOISE
    return Derivation(steps, Formula(name, args, test_error(), reference=REFERENCE))


def overfitting() -> Any:
    r"""$E_0 = 1 + 1/((1 + \tau) R)$, R the root of the discriminant."""
    return 1 + 1 / ((1 + SHIFT) * sympy.sqrt(DISCRIMINANT))


def bias() -> Any:
    r"""$B = (\tau/(1 + \tau))^2 F_r^2 + F_{>r}^2$."""
    return (SHIFT / (1 + SHIFT)) ** 2 * OWN + LOST


def test_error() -> Any:
    r"""$T = E_0 (B + \sigma^2) - \sigma^2$."""
    return overfitting() * (bias() + NOISE) - NOISE


def _definition() -> Step:
    count: Any = sympy.Function("N")
    eigenvalue: Any = sympy.Function("lambda")
    kappa = sympy.Symbol("kappa")
    summand = count(K) * eigenvalue(K) / (eigenvalue(K) + kappa)
    right = sympy.Sum(summand, (K, 0, sympy.oo)) + _DELTA / kappa
    reason = "deterministic equivalent: definition of the effective ridge kappa"
    return Step(sympy.Eq(sympy.Symbol("n"), right, evaluate=False), reason)


def _share_steps() -> list[Step]:
    """What each degree takes of alpha = n/N_r, with kappa = tau lambda_r."""
    count, own_count = sympy.symbols("N_k N_r", positive=True)
    kappa = TAU * _OWN_MASS / own_count
    learnability = (_MASS / count) / (_MASS / count + kappa)
    share = count / own_count * learnability
    below, above = count / own_count, own_count / count
    in_below = _SMALL * _MASS / (_MASS + _SMALL * TAU * _OWN_MASS)
    in_above = _MASS / (TAU * _OWN_MASS + _SMALL * _MASS)
    first_order = _MASS / (TAU * _OWN_MASS)
    return [
        identity_step(
            share, in_below.subs(_SMALL, below), "share N_k q_k/N_r of degree k; m = N lambda"
        ),
        identity_step(share, in_above.subs(_SMALL, above), "the same"),
        identity_step(share.subs({_MASS: _OWN_MASS, count: own_count}), 1 / (1 + TAU), "degree r"),
        limit_step(in_below, _SMALL, 0, 0, "k < r, epsilon = N_k/N_r: takes nothing"),
        limit_step(in_below / _SMALL, _SMALL, 0, 1, "k < r: is learned, q_k = share N_r/N_k"),
        limit_step(in_above * _SMALL, _SMALL, 0, 0, "k > r, epsilon = N_r/N_k: is not learned"),
        positive_step(first_order - in_above, "k > r: takes less than m/(tau m_r)"),
        positive_step(
            _SMALL * first_order**2 - (first_order - in_above),
            "k > r: by at most epsilon (m/(tau m_r))^2, so that over all k > r it is at most "
            "N_r/N_(r+1) (h(1)/(tau m_r))^2",
        ),
    ]


def _total_share() -> Any:
    """Alpha as d grows: one degree below and the mass above stand for all, by the bounds."""
    in_below = _SMALL * _MASS / (_MASS + _SMALL * TAU * _OWN_MASS)
    in_above = _HIGHER / (TAU * _OWN_MASS) - _SMALL * (_HIGHER / (TAU * _OWN_MASS)) ** 2
    return in_below + 1 / (1 + TAU) + in_above + _DELTA / (TAU * _OWN_MASS)


def _shift_steps() -> list[Step]:
    limit = 1 / (1 + TAU) + (_DELTA + _HIGHER) / (TAU * _OWN_MASS)
    quadratic = ALPHA * TAU**2 + (ALPHA - 1 - ZETA) * TAU - ZETA
    effective = {_DELTA: ZETA * _OWN_MASS - _HIGHER}
    return [
        limit_step(
            _total_share(), _SMALL, 0, limit, "alpha: what all degrees take, between the bounds"
        ),
        identity_step(
            limit.subs(effective),
            1 / (1 + TAU) + ZETA / TAU,
            "zeta = (delta + m_>r)/m_r; masses tend to m_r = mu_r^2, m_>r = mu_>r^2",
            name=ALPHA,
        ),
        identity_step(TAU * (1 + TAU) * EQUATION, quadratic, "the same as a quadratic equation"),
        Step(
            sympy.Eq(TAU, SHIFT, evaluate=False),
            "its positive root; the other is negative, as their product is -zeta/alpha",
            Root(EQUATION, TAU, SHIFT),
        ),
        positive_step(
            (ALPHA * (1 + TAU) ** 2 - 1).subs(ALPHA, 1 / (1 + TAU) + ZETA / TAU),
            "so 1 + tau > 1/sqrt(alpha)",
        ),
    ]


def _error_steps() -> list[Step]:
    below, above = sympy.symbols("q_<r s_>r", positive=True)
    counted = _SMALL * below**2 + 1 / (1 + TAU) ** 2 + _SMALL * above**2
    learned = _MASS / (_MASS + _SMALL * TAU * _OWN_MASS)
    unlearned = TAU * _OWN_MASS / (TAU * _OWN_MASS + _SMALL * _MASS)
    residue = 1 / (1 - 1 / (ALPHA * (1 + TAU) ** 2))
    own = (TAU / (1 + TAU)) ** 2 * OWN
    at_infinity = sympy.Limit(sympy.Function("T")(D), D, sympy.oo, "-")
    quantities = ("shift", SHIFT), ("overfitting", overfitting()), ("bias", bias())
    train = (TRUE_RIDGE / (ALPHA * SHIFT)) ** 2 * overfitting() * (bias() + NOISE)
    return [
        limit_step(
            counted,
            _SMALL,
            0,
            (1 + TAU) ** -2,
            "sum of N_k q_k^2/N_r: small below r (N_k/N_r) and above r (epsilon share^2)",
        ),
        identity_step(
            residue.subs(TAU, SHIFT),
            overfitting(),
            "E_0 = 1/(1 - sum N q^2/n), and alpha (1 + tau)^2 - 1 is (1 + tau) R",
            name=_E0,
        ),
        limit_step((1 - learned) ** 2 * _POWER, _SMALL, 0, 0, "bias (1 - q_k)^2 F_k^2 for k < r"),
        limit_step(unlearned**2 * _POWER, _SMALL, 0, _POWER, "bias for k > r"),
        identity_step(own.subs(TAU, SHIFT) + LOST, bias(), "sum over all degrees", name=_B),
        identity_step(
            overfitting() * (bias() + NOISE) - NOISE,
            test_error(),
            "T = E_0 (B + sigma^2) - sigma^2",
            name=_T,
        ),
        identity_step(
            test_error() - bias(),
            (bias() + NOISE) / ((1 + SHIFT) * sympy.sqrt(DISCRIMINANT)),
            "variance T - B",
            name=sympy.Symbol("V"),
        ),
        identity_step(
            (TRUE_RIDGE / (ALPHA * SHIFT)) ** 2 * (test_error() + NOISE),
            train,
            "(delta/(n kappa))^2 (T + sigma^2), where n kappa = alpha tau mu_r^2 and "
            "zeta_0 = delta/mu_r^2",
            name=sympy.Symbol("train"),
        ),
        Step(
            sympy.Eq(at_infinity, test_error(), evaluate=False),
            "finite d compared with the limit, in balls; not a proof of it",
            ConvergenceRate(
                (("test error", test_error()), *quantities, ("train error", train)), RATE_PROBLEMS
            ),
        ),
    ]
