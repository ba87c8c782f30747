r"""Products of exponentials rewritten so that floating point adds exponents before it raises them.

In :math:`e^{-q}\cosh k`, :math:`e^{q/2}\,\Phi(-\sqrt q)` or :math:`e^{-x}/(1 + e^{-x})^2` a factor
overflows where the product is of order one. Each positive factor f is written :math:`e^{\log f}`
and one exponential is taken of the sum, with

.. math:: \operatorname{LogSum}(a, b, \dots) = \log(e^a + e^b + \dots), \qquad
          \cosh k = e^{\operatorname{LogSum}(k, -k)}/2, \qquad \sinh k = \tanh k \cosh k

A function of `core.normal` takes the sum as one more argument: :math:`f(\dots, s) = e^s f(\dots)`.
"""

from typing import Any

import sympy

from kerneltheory.core.normal import NORMAL_FUNCTIONS

LogSum: Any = sympy.Function("LogSum")


def combine(expression: Any) -> Any:
    """An equal expression in which no product of exponentials overflows before it is small.

    Examples:
        >>> q = sympy.Symbol("q", positive=True)
        >>> combine(sympy.exp(-q) * sympy.cosh(q))
        exp(-q + LogSum(q, -q))/2
    """
    if not expression.args:
        return expression
    rebuilt = expression.func(*map(combine, expression.args))
    if isinstance(rebuilt, sympy.log):
        logarithm = _logarithm(rebuilt.args[0])
        return rebuilt if logarithm is None else logarithm
    return _product(rebuilt) if isinstance(rebuilt, sympy.Mul | sympy.Pow) else rebuilt


def _product(product: Any) -> Any:
    exponents, others, growing, inverse = [], [], False, False
    for factor in sympy.Mul.make_args(product):
        base, power = factor.args if isinstance(factor, sympy.Pow) else (factor, sympy.Integer(1))
        logarithm = _logarithm(base) if power.is_Rational else None
        if logarithm is None:
            others.append(factor)
            continue
        exponents.append(power * logarithm)
        if isinstance(base, sympy.sinh):
            others.append(sympy.tanh(base.args[0]) ** power)
        # What is known to fall may vanish, and vanishes rightly.
        growing |= not (isinstance(base, sympy.exp) and exponents[-1].is_nonpositive)
        # The derivative of an inverse is inf/inf^2 where the factor overflows.
        inverse |= bool(power < 0)
    normal = next((f for f in others if isinstance(f, NORMAL_FUNCTIONS)), None)
    sums = [f for f in others if isinstance(f, sympy.Add) and any(map(_has_exponent, f.args))]
    met = len(exponents) + len(sums) + (normal is not None)
    if not (growing or sums) or (met < 2 and not inverse):
        return product
    if sums:
        rest = product / sums[0]
        return sympy.Add(*(_product(term * rest) for term in sums[0].args))
    total = sympy.Add(*exponents)
    if normal is None:
        return sympy.Mul(*others, sympy.exp(total))
    others.remove(normal)
    return sympy.Mul(*others, sympy.Function(type(normal).__name__)(*normal.args, total))


def _has_exponent(term: Any) -> bool:
    return any(_logarithm(factor) is not None for factor in sympy.Mul.make_args(term))


def _logarithm(base: Any) -> Any:
    """The logarithm of what positive exponentials make up (of sinh, that of cosh), or None."""
    argument: Any = base.args[0] if base.args else None
    if isinstance(base, sympy.exp):
        return argument
    if isinstance(base, sympy.cosh | sympy.sinh):
        return LogSum(argument, -argument) - sympy.log(2)
    if not isinstance(base, sympy.Add) or not base.has(sympy.exp):
        return None
    logarithms = []
    for term in base.args:
        weight, rest = term.as_independent(sympy.exp)
        if not weight.is_positive or not (rest == 1 or isinstance(rest, sympy.exp)):
            return None
        logarithms.append(sympy.log(weight) + (rest.args[0] if rest != 1 else 0))
    return LogSum(*logarithms)
