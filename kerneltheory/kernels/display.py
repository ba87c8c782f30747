r"""How a kernel is shown: what it is, and its formula or, where that is large, its recursion."""

import functools
import html
import re
from dataclasses import dataclass
from typing import Any

import sympy

from kerneltheory.activations.activation import Activation
from kerneltheory.activations.duals import covariance_dual
from kerneltheory.activations.gaussian import K12, Q1, Q2
from kerneltheory.core.display import latex, short_number
from kerneltheory.core.errors import KernelTheoryError
from kerneltheory.core.formula import Formula
from kerneltheory.kernels.base import Kernel
from kerneltheory.kernels.combine import CombinedKernel, ComposedKernel
from kerneltheory.kernels.kernel import DotProductKernel, NetworkKernel

# A formula of more operations than this is too long to read.
READABLE = 60


@dataclass(frozen=True)
class Heading:
    """A line of words."""

    words: str


@dataclass(frozen=True)
class Equation:
    """A line of mathematics, both sides in LaTeX."""

    left: str
    right: str


Lines = list[Heading | Equation]


def latex_block(kernel: Kernel) -> str:
    """An aligned block: headings and equations."""
    rows = [
        rf"& \text{{{_escaped(line.words)}}}"
        if isinstance(line, Heading)
        else f"{line.left} &= {line.right}"
        for line in describe(kernel, "h")
    ]
    body = " \\\\\n".join(rows)
    return f"$$\\begin{{aligned}}\n{body}\n\\end{{aligned}}$$"


def html_block(kernel: Kernel) -> str:
    """A paragraph for each line; notebooks typeset what stands between dollar signs."""
    texts = (
        line.words if isinstance(line, Heading) else rf"$\displaystyle {line.left} = {line.right}$"
        for line in describe(kernel, "h")
    )
    return "".join(f"<p>{html.escape(text)}</p>" for text in texts)


def _escaped(words: str) -> str:
    r"""Words as they stand inside \text{}."""
    return re.sub(r"([_&%#$^{}])", r"\\\1", words).replace(r"\^", r"\^{}")


# --- what each kernel says of itself ----------------------------------------------------------


@functools.singledispatch
def describe(kernel: Kernel, name: str) -> Lines:
    """The lines that show a kernel under a name; a kernel of an unknown class has its formula."""
    try:
        rhs = kernel.formula.rhs
    except KernelTheoryError:
        return [Heading(repr(kernel))]
    return [Heading(repr(kernel)), Equation(f"{name}(t)", latex(rhs))]


@describe.register
def _(kernel: DotProductKernel, name: str) -> Lines:
    return [Heading("Dot-product kernel"), Equation(f"{name}(t)", latex(kernel.expression))]


@describe.register
def _(kernel: NetworkKernel, name: str) -> Lines:
    title = "NTK" if kernel.tangent else "NNGP"
    layers = f"{kernel.depth} hidden layer{'s' if kernel.depth > 1 else ''}"
    heading = Heading(
        f"{title} of a fully connected network: {kernel.activation.name}, {layers}, "
        f"w = {short_number(kernel.weight_variance)}, b = {short_number(kernel.bias_variance)}"
    )
    dual = _dual(kernel.activation)
    if dual is not None and kernel.depth * sympy.count_ops(dual) <= READABLE:
        try:
            rhs = kernel.formula.rhs
            if sympy.count_ops(rhs) <= READABLE:
                return [heading, Equation(f"{name}(t)", latex(rhs))]
        except KernelTheoryError:  # too large after all
            pass
    return [heading, *_recursion(kernel, name), *_dual_lines(kernel.activation, dual)]


@describe.register
def _(kernel: CombinedKernel, name: str) -> Lines:
    names = {part: _part(name, i) for i, part in enumerate(dict.fromkeys(kernel.parts), start=1)}
    joined = (" + " if kernel.symbol == "+" else r" \, ").join(
        f"{names[part]}(t)" for part in kernel.parts
    )
    kind = "Multiple of a kernel"
    if len(kernel.parts) > 1:
        kind = "Sum of kernels" if kernel.symbol == "+" else "Product of kernels"
        joined = joined if kernel.scale == 1 else rf"\left({joined}\right)"
    factor = "" if kernel.scale == 1 else rf"{latex(kernel.scale)} \, "
    lines: Lines = [Heading(kind), Equation(f"{name}(t)", factor + joined)]
    return [*lines, *(line for part in names for line in describe(part, names[part]))]


@describe.register
def _(kernel: ComposedKernel, name: str) -> Lines:
    outer, inner = _part(name, 1), _part(name, 2)
    return [
        Heading("Composition of kernels"),
        Equation(f"{name}(t)", rf"{outer}\left({inner}(t) / {inner}(1)\right)"),
        *describe(kernel.outer, outer),
        *describe(kernel.inner, inner),
    ]


def _part(name: str, number: int) -> str:
    """The name of a part: h_{1} of h, h_{1,2} of h_{1}."""
    return f"{name[:-1]},{number}}}" if name.endswith("}") else f"{name}_{{{number}}}"


def _recursion(kernel: NetworkKernel, name: str) -> Lines:
    lines: Lines = [
        Equation("K^{0}", r"w \, t + b"),
        Equation("K^{l}", r"w \, T(K^{l-1}) + b"),
    ]
    if kernel.tangent:
        slope = r"K^{l} + w \, T'(K^{l-1}) \, \Theta^{l-1}"
        lines += [
            Equation(r"\Theta^{0}", "K^{0}"),
            Equation(r"\Theta^{l}", rf"{slope}, \quad T' = \partial T / \partial k"),
        ]
    state = r"\Theta" if kernel.tangent else "K"
    return [*lines, Equation(f"{name}(t)", f"{state}^{{{kernel.depth}}}")]


@functools.lru_cache(maxsize=256)
def _dual(phi: Activation) -> Any:
    """T at equal variances q, as an expression in q and k; None if it has no closed form."""
    try:
        formula: Any = covariance_dual(phi)
    except KernelTheoryError:
        return None
    if not isinstance(formula, Formula):
        return None
    variance, covariance = sympy.Symbol("q", positive=True), sympy.Symbol("k", real=True)
    return formula.rhs.subs({Q1: variance, Q2: variance, K12: covariance})


def _dual_lines(phi: Activation, dual: Any) -> Lines:
    expectation = Equation("T(k)", r"\mathbb{E}\left[\phi(u) \, \phi(v)\right]")
    variance = r"\operatorname{Var}(u) = \operatorname{Var}(v) = q, \; \operatorname{Cov}(u, v) = k"
    lines: Lines = [Equation(r"\phi(x)", latex(phi.expression))]
    if dual is None or sympy.count_ops(dual) > READABLE:
        lines.append(Equation(expectation.left, rf"{expectation.right}, \quad {variance}"))
    else:
        lines.append(Equation("T(k)", latex(dual)))
    return [*lines, Equation("q", r"\left. K^{l-1} \right|_{t = 1}")]
