r"""Proof that a linear differential operator annihilates a function, by rational arithmetic.

Roots, arcs, exponentials and the like become generators of a field of rational functions that is
closed under :math:`\theta = x\,d/dx`: for a root, :math:`\theta\,p^{a} = a\,x\,(p'/p)\,p^{a}`, so
powers of roots do not pile up. Then :math:`\theta^i f` is exact and stays small.
"""

from typing import Any

import sympy
from sympy.polys.fields import FracField


class Tower:
    """The field of rational functions in x, in the generators that f brings and in constants."""

    def __init__(self, functions: tuple[Any, ...], x: Any):
        self._x = x
        self._names: dict[Any, Any] = {}
        self._roots: dict[Any, tuple[Any, int]] = {}
        self._thetas: dict[Any, Any] = {}
        self.named = tuple(map(self._named, functions))
        pending = [name for name in self._names.values() if name not in self._thetas]
        while pending:
            for name in pending:
                self._thetas.setdefault(name, sympy.Integer(0))
                self._thetas[name] = self._theta_of(name)
            pending = [name for name in self._names.values() if name not in self._thetas]
        generators = [x, *self._thetas]
        self.field = FracField(generators, sympy.QQ, sympy.lex)
        self._derivatives = {
            self.field(generator): self.field.from_expr(theta)
            for generator, theta in zip(generators, [x, *self._thetas.values()], strict=True)
        }

    def element(self, expression: Any) -> Any:
        """A rational function of what has been named, as an element of the field."""
        return self.field.from_expr(self._named(sympy.sympify(expression)))

    def theta(self, element: Any) -> Any:
        """X times the derivative."""
        return sum(
            (element.diff(generator) * image for generator, image in self._derivatives.items()),
            self.field(0),
        )

    def is_zero(self, element: Any) -> bool:
        """Whether an element is proved to vanish; powers of roots are reduced."""
        numerator: Any = sympy.expand(element.numer.as_expr())
        for name, (power, order) in self._roots.items():
            numerator = sympy.rem(numerator, name**order - power, name)
        back = {name: node for node, name in self._names.items() if not node.has(self._x)}
        numerator = sympy.fraction(sympy.together(numerator))[0]
        return sympy.expand(sympy.expand(numerator).xreplace(back)) == 0

    def _named(self, node: Any) -> Any:
        """Replace what is not rational in x by names, once for each."""
        if node == self._x or node.is_Rational or node in self._thetas:
            return node
        if node.is_Add or node.is_Mul:
            return node.func(*map(self._named, node.args))
        if node.is_Pow and node.exp.is_Integer:
            return self._named(node.base) ** node.exp
        if node.is_Pow and node.exp.is_Rational and node.has(self._x):
            return self._root(node)
        return self._name(node)

    def _name(self, node: Any) -> Any:
        return self._names.setdefault(node, sympy.Dummy(f"g{len(self._names)}"))

    def _root(self, node: Any) -> Any:
        """A root of a primitive polynomial, so that roots of its multiples are the same one."""
        content, base = sympy.Integer(1), node.base
        if base.is_polynomial(self._x):
            polynomial = sympy.Poly(base, self._x)
            if all(c.is_Rational for c in polynomial.coeffs()):
                content, polynomial = polynomial.primitive()
                base = polynomial.as_expr()
        whole = sympy.floor(node.exp)
        part = node.exp - whole
        name = self._name(base**part)
        named = self._named(base)
        self._roots[name] = named**part.p, part.q
        return self._named(content**node.exp) * named**whole * name

    def _theta_of(self, name: Any) -> Any:
        (node,) = [node for node, given in self._names.items() if given == name]
        if not node.has(self._x):
            return sympy.Integer(0)
        if name in self._roots:
            slope = self._named(self._x * sympy.diff(node.base, self._x))
            return node.exp * slope / self._named(node.base) * name
        return self._named(self._x * sympy.diff(node, self._x))


def operator_vanishes(terms: tuple[tuple[Any, Any], ...], function: Any, rest: Any, x: Any) -> bool:
    r"""Whether :math:`\sum_i c_i(x)\,p_i(\theta) f = r` is proved.

    Args:
        terms: pairs of a factor in x and a polynomial in one symbol, which stands for theta.
        function: f.
        rest: r.
        x: the variable.

    Examples:
        >>> x, n = sympy.symbols("x n")
        >>> operator_vanishes(((1, n**2 - n), (-(x**2), n**0)), sympy.sinh(x), 0, x)
        True
        >>> operator_vanishes(((1, n**2), (-(x**2), n**0)), sympy.sinh(x), 0, x)
        False
    """
    factors = tuple(sympy.sympify(factor) for factor, _ in terms)
    tower = Tower((function, sympy.sympify(rest), *factors), x)
    total = -tower.element(rest)
    polynomials = [_coefficients(polynomial) for _, polynomial in terms]
    weights = [tower.element(factor) for factor in factors]
    power = tower.element(function)
    for i in range(max(map(len, polynomials))):
        if i:
            power = tower.theta(power)
        for weight, coefficients in zip(weights, polynomials, strict=True):
            if i < len(coefficients):
                total += weight * tower.field.from_expr(coefficients[i]) * power
    return tower.is_zero(total)


def _coefficients(polynomial: Any) -> list[Any]:
    """From the lowest power on."""
    symbols = sorted(sympy.sympify(polynomial).free_symbols, key=str)
    if not symbols:
        return [sympy.sympify(polynomial)]
    return sympy.Poly(polynomial, symbols[0]).all_coeffs()[::-1]
