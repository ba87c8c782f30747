"""Kernels: of infinitely wide fully connected networks, and any function of the cosine."""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import sympy
from flint import arb, ctx
from jax.tree_util import Partial

from kerneltheory.activations.activation import Activation, activation
from kerneltheory.activations.duals import dual_class
from kerneltheory.core import check, lower
from kerneltheory.core.differentiable import replace_value
from kerneltheory.core.display import short_number
from kerneltheory.core.errors import KernelTheoryError
from kerneltheory.core.formula import Formula
from kerneltheory.kernels import half_angle, recursion
from kerneltheory.kernels.base import BITS_PER_LAYER, Kernel, T
from kerneltheory.kernels.centred import Centred
from kerneltheory.kernels.gram import gram_matrix
from kerneltheory.kernels.kinks import has_kinks, in_clipped_cosines
from kerneltheory.kernels.maps import ball_maps, check_tangent, terms_for
from kerneltheory.kernels.network import (
    homogeneous_profile,
    network_formula,
    network_functions,
    separated_functions,
    sphere_functions,
)


@dataclass(frozen=True, repr=False)
class NetworkKernel(Kernel):
    """NNGP or NTK of a fully connected network; made by `nngp` and `ntk`.

    Attributes:
        activation: the nonlinearity.
        depth: number of hidden layers; the linear output layer is included.
        weight_variance, bias_variance: exact; the same in every layer.
        tangent: True for the NTK, False for the NNGP.
    """

    activation: Activation
    depth: int
    weight_variance: sympy.Rational
    bias_variance: sympy.Rational
    tangent: bool

    def __repr__(self) -> str:
        name = "ntk" if self.tangent else "nngp"
        return (
            f"{name}({self.activation.name}, depth={self.depth}, "
            f"weight_variance={short_number(self.weight_variance)}, "
            f"bias_variance={short_number(self.bias_variance)})"
        )

    @property
    def layers(self) -> int:
        """The depth."""
        return self.depth

    @property
    def positive_definite(self) -> bool:
        """True: it is a covariance, or a sum of products of covariances."""
        return True

    @property
    def formula(self) -> Formula:
        """The kernel h as an exact Formula in t; refused where the depth makes it too large."""
        return network_formula(self)

    @property
    def profile(self) -> Any:
        """The kernel h as a function of arrays, by the recursion."""
        return network_functions(self, self._terms()[0])[0]

    @property
    def correlation_profile(self) -> Any:
        """h(t)/h(1) as a function of arrays, in units that do not grow where phi allows it."""
        if self.activation.homogeneous:
            return homogeneous_profile(self)
        return super().correlation_profile

    def gram(self, X: Any, Z: Any | None = None) -> Any:
        r"""Gram matrix for rows of any norm, with :math:`K^0 = w\,x \cdot z / d + b`.

        A large matrix of rows of one norm costs the same at every depth: its entries are a function
        of the cosine, kept as a series that was checked against balls to 8e-15 of h(1). So does one
        of rows of any norm where the dual activation is a smooth series, as of tanh: its entries
        are a sum of products, checked against the recursion to 4e-14 of the diagonal. Of kinked
        activations, the NTK of two rows an angle a apart is known to about depth * eps/a of the
        trace: a matrix product rounds their cosine.

        Args:
            X: shape (n, d); a numpy array is computed in float64, a jax array in its own dtype.
            Z: shape (m, d), or None for X.

        Returns:
            Array of shape (n, m); for Z None symmetric, its diagonal exact.

        Raises:
            ValueError: if X or Z is not a finite matrix, or a row is zero while the bias
                variance is: its correlation with other rows is then undefined. What is zero or
                infinite is the squared norm, in float64.
            KernelTheoryError: if the numbers of a numpy result leave the range of float64.
        """
        X, Z = (
            rows
            if rows is None or isinstance(rows, jax.Array)
            else _checked_rows(name, rows, zero_allowed=self.bias_variance > 0)
            for name, rows in (("X", X), ("Z", Z))
        )
        blocks = X, X if Z is None else Z
        found = None
        if all(isinstance(rows, np.ndarray) for rows in blocks):
            found = sphere_functions(self, *blocks) or separated_functions(self, *blocks)
        tile, diagonal = found or self._recursion(*blocks)
        gram = gram_matrix(tile, diagonal, X, Z)
        if isinstance(gram, np.ndarray) and not np.isfinite(gram).all():
            raise KernelTheoryError(
                f"{self} overflows or loses every digit in float64 at these rows, whose squared "
                "norms are out of its range; scale the rows, or take smaller variances"
            )
        return gram

    def tile_functions(self, X: Any, Z: Any) -> tuple[Partial, Callable[[Any], Any]]:
        """As of every kernel; of many rows of one norm an interpolant, else the recursion."""
        known = isinstance(X, np.ndarray) and isinstance(Z, np.ndarray)
        return (sphere_functions(self, X, Z) if known else None) or self._recursion(X, Z)

    def _recursion(self, *blocks: Any) -> tuple[Partial, Callable[[Any], Any]]:
        """The tile and the diagonal of rows of any norm, layer by layer."""
        known = [rows for rows in blocks if isinstance(rows, np.ndarray) and rows.size]
        return network_functions(self, self._terms(*known)[0])[1:]

    @property
    def truncation(self) -> float:
        r"""What part of :math:`E[\phi^2]` floating point leaves out in its worst layer.

        A bound of the relative error of each layer's dual where that is a Hermite series, and zero
        where it is a formula. Slow series, of kinked activations, are cut at 512 terms.
        """
        return self._terms()[1]

    def _terms(self, *blocks: np.ndarray) -> tuple[int, float]:
        """How many terms a series needs; for rows that are not known, at squared norm d."""
        norms = [float(np.max(np.einsum("ij,ij->i", x, x))) / x.shape[1] for x in blocks]
        w, b = float(self.weight_variance), float(self.bias_variance)
        # Rounded up, so that other data of the same scale need no new compilation.
        largest = 2 ** (math.ceil(4 * math.log2(w * max(norms, default=1.0) + b)) / 4)
        return terms_for(self.activation, self.depth, w, b, largest)

    def on_balls(self, cosine: Any, mean_square: Any = 1) -> Any:
        """Enclosure of h, by the recursion.

        Args:
            cosine: a real or complex ball or a power series of balls.
            mean_square: |x|^2/dim of both inputs, exact.
        """
        w, b, q, share = self.ball_parameters(mean_square)
        start = cosine * share + (1 - share)
        return recursion.covariances(
            ball_maps(self.activation), self.depth, w, b, (q, q), start, self.tangent
        )

    def at_half_angle(self, half: Centred) -> Centred:
        """Enclosure of h(cos 2a) on a complex ball, by the recursion in half angles."""
        return half_angle.layers(self, half)[0]

    def half_angle_after(self, half: Centred) -> Centred:
        """The half angle between feature vectors, from that between inputs."""
        return (
            super().half_angle_after(half) if self.tangent else half_angle.layers(self, half)[1]()
        )

    def ball_at_one(self, mean_square: Any = 1) -> arb:
        """Enclosure of h(1), with bits to spare for every layer."""
        maps = ball_maps(self.activation)
        with ctx.workprec(ctx.prec + BITS_PER_LAYER * self.depth):
            w, b, q, _ = self.ball_parameters(mean_square)
            return recursion.diagonal(maps, self.depth, w, b, q, self.tangent)

    def ball_parameters(self, mean_square: Any = 1) -> tuple[arb, arb, arb, arb]:
        """The variances w and b, that of the first preactivation, and the inputs' share in it."""
        w, b = lower.to_fmpq(self.weight_variance), lower.to_fmpq(self.bias_variance)
        signal = w * lower.to_fmpq(mean_square)
        return arb(w), arb(b), arb(signal + b), arb(signal / (signal + b))


def _checked_rows(name: str, rows: Any, *, zero_allowed: bool) -> np.ndarray:
    rows = check.finite(name, rows, ndim=2)
    with np.errstate(over="ignore", under="ignore"):
        squared = np.sum(rows * rows, axis=1)
    if not np.isfinite(squared).all():
        raise ValueError(
            f"{name} must have rows whose squared norm is finite, got {squared.max()} at index "
            f"{int(np.argmax(squared))}"
        )
    if not zero_allowed and not squared.all():
        raise ValueError(
            f"{name} must have no zero row where the bias variance is 0 or rows are normalised, "
            f"got one of squared norm 0 at index {int(np.argmin(squared))}"
        )
    return rows


@dataclass(frozen=True, repr=False)
class DotProductKernel(Kernel):
    """Any function h of the cosine; made by `dot_product_kernel`.

    Attributes:
        expression: h as a sympy expression in t.
    """

    expression: sympy.Expr

    def __repr__(self) -> str:
        return f"dot_product_kernel({self.expression})"

    @property
    def formula(self) -> Formula:
        """The formula that was given."""
        return Formula(repr(self), (T,), self.expression, sympy.Abs(T) <= 1)

    @property
    def profile(self) -> Any:
        """The kernel h as a function of arrays."""
        return _safe_profile(self)

    def gram(self, X: Any, Z: Any | None = None, *, normalize: bool = False) -> Any:
        """Gram matrix for rows of squared norm d, so that x.z/d is the cosine.

        Args:
            X: shape (n, d); a numpy array is computed in float64, a jax array in its own dtype.
            Z: shape (m, d), or None for X.
            normalize: scale the rows to squared norm d first.

        Returns:
            Array of shape (n, m); for Z None symmetric, its diagonal exactly h(1).

        Raises:
            ValueError: if a row has another norm and `normalize` is False.
        """
        if not isinstance(X, jax.Array):
            X = _scaled_rows("X", X, normalize)
        elif normalize:
            X = X * jnp.sqrt(X.shape[1] / jnp.sum(X * X, axis=1, keepdims=True))
        if Z is not None and not isinstance(Z, jax.Array):
            Z = _scaled_rows("Z", Z, normalize)
        elif Z is not None and normalize:
            Z = Z * jnp.sqrt(Z.shape[1] / jnp.sum(Z * Z, axis=1, keepdims=True))
        tile, diagonal = _dot_product_functions(self)
        return gram_matrix(tile, diagonal, X, Z)

    def on_balls(self, cosine: Any) -> Any:
        """Enclosure of h."""
        return lower.to_balls((T,), self.expression)(cosine)

    def at_half_angle(self, half: Centred) -> Centred:
        """Enclosure of h(cos 2a) on a complex ball."""
        return half.apply(*half_angle.lowered_expression(self.expression, T))

    def ball_at_one(self) -> arb:
        """Enclosure of h(1)."""
        return arb(lower.to_balls((), self.expression.subs(T, 1))())


def _scaled_rows(name: str, rows: Any, normalize: bool) -> np.ndarray:
    rows = _checked_rows(name, rows, zero_allowed=not normalize)
    squared = np.sum(rows * rows, axis=1, keepdims=True)
    if normalize:
        return rows * np.sqrt(rows.shape[1] / squared)
    if not np.allclose(squared, rows.shape[1], rtol=1e-8, atol=0):
        worst = squared.flat[np.abs(squared - rows.shape[1]).argmax()]
        raise ValueError(
            f"{name} must have rows of squared norm {rows.shape[1]} (the number of columns), got "
            f"one of {worst:.6g}; scale the data or pass normalize=True"
        )
    return rows


@functools.lru_cache(maxsize=256)
def _safe_profile(kernel: DotProductKernel) -> Any:
    function = lower.to_jax((T,), kernel.expression)

    def profile(t: Any) -> Any:
        inside = replace_value(t, jnp.clip(t, -1, 1))
        return jnp.broadcast_to(function(inside), t.shape)

    return profile


@functools.lru_cache(maxsize=256)
def _dot_product_functions(kernel: DotProductKernel) -> tuple[Any, Any]:
    profile, at_one = kernel.profile, kernel.trace

    @jax.jit
    def tile(X: Any, Z: Any) -> Any:
        return profile(X @ Z.T / X.shape[1])

    def diagonal(X: Any) -> Any:
        return jnp.full(X.shape[0], at_one, X.dtype)

    return tile, diagonal


# --- constructors -----------------------------------------------------------------------------


def nngp(phi: Any, depth: int, *, weight_variance: Any, bias_variance: Any = 0) -> NetworkKernel:
    r"""Neural network Gaussian process kernel of a wide fully connected network.

    .. math:: K^0 = w\,x \cdot z/d + b, \qquad K^l = w\,T(K^{l-1}) + b

    Args:
        phi: the activation, or a sympy expression in one symbol.
        depth: number of hidden layers, at least 1; the output layer is included.
        weight_variance: w > 0, of every layer. Numbers stay exact.
        bias_variance: b >= 0, of every layer.

    Raises:
        DerivationError: if phi grows too fast to have a dual.

    References:
        arXiv:1711.00165; conventions of arXiv:1912.02803.

    Examples:
        >>> from kerneltheory.activations.catalogue import relu
        >>> nngp(relu, 1, weight_variance=2).formula.rhs
        2*t*asin(t)/pi + t + 2*sqrt(1 - t**2)/pi
    """
    return _network(phi, depth, weight_variance, bias_variance, tangent=False)


def ntk(phi: Any, depth: int, *, weight_variance: Any, bias_variance: Any = 0) -> NetworkKernel:
    r"""Neural tangent kernel of a wide fully connected network, all parameters trained.

    .. math:: \Theta^0 = K^0, \qquad \Theta^l = K^l + w\,T'(K^{l-1})\,\Theta^{l-1}

    Args:
        phi: the activation, or a sympy expression in one symbol.
        depth: number of hidden layers, at least 1; the output layer is included.
        weight_variance: w > 0, of every layer. Numbers stay exact.
        bias_variance: b >= 0, of every layer.

    Raises:
        DerivationError: if phi grows too fast to have a dual.
        DivergentError: if phi' has an infinite second moment (steps).

    References:
        arXiv:1806.07572; NTK parametrisation of arXiv:1912.02803, with no 1/depth.

    Examples:
        >>> from kerneltheory.activations.catalogue import relu
        >>> float(ntk(relu, 3, weight_variance=2)(1.0))
        8.0
    """
    kernel = _network(phi, depth, weight_variance, bias_variance, tangent=True)
    check_tangent(kernel.activation)
    return kernel


def _network(phi: Any, depth: int, w: Any, b: Any, *, tangent: bool) -> NetworkKernel:
    depth = check.integer("depth", depth, minimum=1)
    w, b = lower.exact("weight_variance", w), lower.exact("bias_variance", b)
    if w <= 0:
        raise ValueError(f"weight_variance must be positive, got {w}")
    if b < 0:
        raise ValueError(f"bias_variance must not be negative, got {b}")
    phi = activation(phi)
    dual_class(phi)  # refuses what grows too fast
    return NetworkKernel(phi, depth, w, b, tangent)


def dot_product_kernel(expression: Any) -> DotProductKernel:
    """Kernel h(t) of the cosine t = x.z/d for inputs of squared norm d.

    Args:
        expression: a sympy expression in one symbol, with kinks and jumps at will. For regression
            it has to be positive definite on the sphere in use; its spectrum tells whether it is,
            and learning curves refuse one that is not.

    Raises:
        TypeError, ValueError: if it is not an expression in exactly one symbol, or is infinite at
            t = 1 or at a kink, or not a finite real number inside (-1, 1).
        LoweringError: if it holds a function without a numeric form.
        DerivationError: if its kinks are not found exactly.

    Examples:
        >>> t = sympy.Symbol("t")
        >>> float(dot_product_kernel(sympy.exp(t))(0.5)) == float(np.exp(0.5))
        True
        >>> dot_product_kernel(t**2 * sympy.Heaviside(t))
        dot_product_kernel(Max(0, t)**2)
    """
    if not isinstance(expression, sympy.Expr):
        raise TypeError(f"expression must be a sympy expression in one symbol, got {expression!r}")
    symbols = sorted(expression.free_symbols, key=str)
    if len(symbols) != 1:
        raise ValueError(
            f"expression must have exactly one free symbol, got {[str(s) for s in symbols]}"
        )
    expression = sympy.nsimplify(expression.subs(symbols[0], T), rational=True)
    if has_kinks(expression):
        expression = in_clipped_cosines(expression)
    lower.to_jax((T,), expression)
    lower.to_balls((T,), expression)
    if not expression.subs(T, 1).is_finite:
        raise ValueError(f"expression must be finite at t = 1, where inputs coincide: {expression}")
    _check_real(expression)
    return DotProductKernel(expression)


# Cosines of both signs, at which no kink is likely but at 0.
_SAMPLES = (0, *(sympy.Rational(sign * p, 11) for p in (1, 4, 7, 10) for sign in (-1, 1)))


def _check_real(expression: Any) -> None:
    """Refuse an expression that is complex or infinite at some cosine inside (-1, 1)."""
    for cosine in _SAMPLES:
        value = expression.subs(T, cosine)
        if value.is_real is False or value.has(sympy.nan, sympy.zoo, sympy.oo):
            raise ValueError(
                f"expression must be a finite real number for t in (-1, 1), got {expression}, "
                f"which is {value} at t = {cosine}"
            )
