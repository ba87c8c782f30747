"""Kernels as such: what every kernel of the sphere answers, whatever it is made of."""

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import jax
import numpy as np
import sympy
from flint import acb, arb, arb_series, ctx
from jax.tree_util import Partial

from kerneltheory.core import check, lower
from kerneltheory.core.differentiable import ROUNDING
from kerneltheory.core.errors import KernelTheoryError, PrecisionError
from kerneltheory.core.formula import Formula
from kerneltheory.core.records import is_concrete
from kerneltheory.kernels import half_angle
from kerneltheory.kernels.centred import Centred
from kerneltheory.kernels.gram import elementwise

T = sympy.Symbol("t", real=True)
# What a ball may lose in one layer, since it occurs more than once in the layer's formula; gelu
# with large weights loses most.
BITS_PER_LAYER = 32
ONE = Fraction(1)
# A formula of more operations is refused: it would be read by nobody and slow to evaluate.
MAX_OPERATIONS = 2000
# Digits beyond which h(1) counts as out of reach.
MOST_DIGITS = 10_000


class Kernel(ABC):
    """A positive definite function h of the cosine t between two inputs.

    Calling it gives h(t); `gram` gives Gram matrices; `formula` the exact h where it is small.
    """

    @property
    @abstractmethod
    def formula(self) -> Formula:
        """The kernel h as an exact Formula in t."""

    @abstractmethod
    def gram(self, X: Any, Z: Any | None = None) -> Any:
        """Gram matrix of the rows of X with those of Z (or of X itself)."""

    def tile_functions(self, X: Any, Z: Any) -> tuple[Partial, Callable[[Any], Any]]:
        """What gives the blocks of a Gram matrix that is too large to be kept.

        Args:
            X: all the rows, as `gram` takes them: what is computed may depend on their norms.
            Z: all the other rows, which may be X.

        Returns:
            A pytree to be called inside jit with two blocks of rows, jax arrays both; and k(x, x),
            exactly, of each row of an array.
        """
        return Partial(self.gram), jax.vmap(lambda row: self.gram(row[None])[0, 0])

    @abstractmethod
    def on_balls(self, cosine: Any) -> Any:
        """Enclosure of h at a real or complex ball, a power series or an array of balls."""

    @abstractmethod
    def ball_at_one(self) -> arb:
        """Enclosure of h(1) at flint's current precision."""

    @property
    @abstractmethod
    def profile(self) -> Any:
        """The kernel h as a function of arrays; the same function object for equal kernels."""

    @property
    def layers(self) -> int:
        """How many times a function is composed with the cosine."""
        return 1

    @property
    def positive_definite(self) -> bool:
        """Whether h is known to be positive definite in every dimension."""
        return False

    def __add__(self, other: Any) -> Any:
        """The sum of two kernels."""
        return _combinations().combine("+", self, other)

    def __mul__(self, other: Any) -> Any:
        """The product with a kernel or a positive number, which stays exact."""
        return _combinations().combine("*", self, other)

    __rmul__ = __mul__

    def __pow__(self, exponent: int) -> "Kernel":
        """The power with an exponent of at least 1."""
        count = check.integer("exponent", exponent, minimum=1)
        return _combinations().CombinedKernel("*", (self,) * count)

    def compose(self, inner: "Kernel") -> "Kernel":
        r"""This kernel on the unit feature vectors of another one.

        .. math:: h(t) = h_{\text{outer}}\bigl(h_{\text{inner}}(t) / h_{\text{inner}}(1)\bigr)

        Args:
            inner: any kernel; its `gram` says which rows the composed `gram` takes, and what
                enters this kernel are the correlations in its feature space.

        Raises:
            TypeError: if `inner` is not a kernel.

        Examples:
            >>> from kerneltheory.activations.catalogue import relu
            >>> from kerneltheory.kernels.kernel import nngp
            >>> layer = nngp(relu, 1, weight_variance=2)
            >>> deep = nngp(relu, 2, weight_variance=2)
            >>> bool(np.isclose(layer.compose(layer)(0.25), deep(0.25), rtol=1e-15))
            True
        """
        check_kernel(inner, "inner")
        return _combinations().ComposedKernel(self, inner)

    def __call__(self, t: Any) -> Any:
        """h(t) elementwise for cosines t in [-1, 1]; exact at t = 1.

        What rounding puts just outside [-1, 1], as in X @ X.T, counts as the end.

        Raises:
            ValueError: if a cosine lies outside [-1, 1] or is not finite. Inside jax
                transformations, where values are not known, the nearer end is taken.
            KernelTheoryError: if the variances leave the range of the numbers.
        """
        t = _checked_cosines(t)
        result = elementwise(self.profile, self.trace, t)
        if is_concrete(result) and not np.isfinite(result).all():
            raise KernelTheoryError(
                f"{self} leaves the range of {result.dtype} on the way to h(t): log h(1) is "
                f"{self.log_trace:.6g}; take fewer layers or smaller variances"
            )
        return result

    def correlation(self, t: Any) -> Any:
        """h(t)/h(1) elementwise for cosines t in [-1, 1]; exactly 1 at t = 1.

        Args:
            t: a numpy array or number is computed in float64, a jax array in its own dtype.

        Raises:
            ValueError: if a cosine lies outside [-1, 1] or is not finite, as in calling the kernel.
            KernelTheoryError: if h leaves the range of the numbers, as in a deep network whose
                variances grow. Networks of homogeneous activations (relu and its kin) do not.

        Examples:
            >>> from kerneltheory.activations.catalogue import relu
            >>> from kerneltheory.kernels.kernel import nngp
            >>> bool(0.99999 < nngp(relu, 3000, weight_variance=4).correlation(0.0) < 1)
            True
        """
        t = _checked_cosines(t)
        result = elementwise(self.correlation_profile, 1.0, t)
        if is_concrete(result) and not np.isfinite(result).all():
            raise _out_of_reach(self, result.dtype)
        return result

    @property
    def correlation_profile(self) -> Any:
        """h(t)/h(1) as a function of arrays; the same function object for equal kernels."""
        return _ratio_profile(self)

    @abstractmethod
    def at_half_angle(self, half: Centred) -> Centred:
        """Enclosure of h(cos 2a) on a complex ball; not finite unless it is analytic there."""

    def half_angle_after(self, half: Centred) -> Centred:
        """The half angle between feature vectors, from that between inputs; not at the poles."""
        correlation = self.at_half_angle(half) * (1 / self.ball_at_one())
        return half_angle.half_angle_of(correlation * -0.5 + 0.5)

    def enclose_at_angle(self, angle: acb) -> acb:
        """Enclosure of h(cos angle) on a complex ball, not finite unless it is analytic there."""
        return self.at_half_angle(half_angle.half_of(angle)).box

    @functools.cached_property
    def trace(self) -> float:
        """h(1), the sum of all eigenvalues with multiplicity."""
        return lower.to_float(self._sharp_at_one())

    @functools.cached_property
    def log_trace(self) -> float:
        """log h(1), which no number of layers overflows.

        Examples:
            >>> from kerneltheory.activations.catalogue import relu
            >>> from kerneltheory.kernels.kernel import nngp
            >>> kernel = nngp(relu, 3000, weight_variance=4)  # h(1) = 4 * 2^3000
            >>> round(kernel.log_trace / float(np.log(2)), 9)
            3002.0
        """
        with ctx.workdps(40):
            return lower.to_float(self._sharp_at_one().log())

    def _sharp_at_one(self) -> arb:
        """h(1) to 25 digits, whatever cancels on the way, as in gelu at large variances.

        Raises:
            PrecisionError: if that takes too many digits.
        """
        for digits in (40, 640, MOST_DIGITS):
            with ctx.workdps(digits):
                ball = self.ball_at_one()
                if lower.relative_radius(ball) < 1e-25:
                    return ball
        raise PrecisionError(f"h(1) of {self} is not enclosed sharply with {MOST_DIGITS} digits")

    def taylor_coefficients(self, count: int) -> np.ndarray:
        r"""Taylor coefficients :math:`h^{(k)}(0)/k!`, k < count, correctly rounded.

        They are the limits of :math:`N(d, k)\,\lambda_k` as d grows (arXiv:2205.14846).

        Args:
            count: how many, at least 1.

        Raises:
            TypeError, ValueError: if count is no such integer.
            KernelTheoryError: if the kernel has no Taylor series at t = 0.
        """
        count = check.integer("count", count, minimum=1)
        try:
            balls = self.taylor_balls(count, 200 + 7 * count)
            return np.array([lower.to_float(ball) for ball in balls])
        except (ValueError, ZeroDivisionError) as error:
            raise KernelTheoryError(
                f"{self} has no Taylor series at t = 0 ({error}), so it is not positive definite "
                "in all dimensions"
            ) from error

    def taylor_balls(self, count: int, bits: int, unit: Fraction = ONE) -> tuple[arb, ...]:
        """The same as balls, with bits to spare for what composing series usually loses.

        Args:
            count: how many.
            bits: the precision.
            unit: what t is measured in meanwhile. Where it is near the radius of convergence,
                coefficients are of one size, and their series are multiplied fast.
        """
        with ctx.workprec(bits + count // 16 + BITS_PER_LAYER * self.layers):
            r, power = lower.to_ball(unit), arb(1)
            old, ctx.cap = ctx.cap, count + 1
            try:
                series = self.on_balls(arb_series([0, r], prec=count))
            finally:
                ctx.cap = old
            series = series if isinstance(series, arb_series) else arb_series([series])
            found = []
            for k in range(count):
                found.append(arb(series[k]) / power)
                power *= r
            return tuple(found)

    def __str__(self) -> str:
        return repr(self)

    def _repr_latex_(self) -> str:
        from kerneltheory.kernels import display  # as late as any other drawing

        return display.latex_block(self)

    def _repr_html_(self) -> str:
        from kerneltheory.kernels import display

        return display.html_block(self)


def _checked_cosines(t: Any) -> Any:
    """Cosines in [-1, 1]; those of a traced array are not known."""
    if not isinstance(t, jax.Array):
        t = check.finite("t", t)
    if is_concrete(t) and np.size(t):
        furthest = float(np.abs(np.asarray(t)).max())
        if not furthest <= 1 + ROUNDING * float(np.finfo(t.dtype).eps):
            raise ValueError(f"t must hold cosines in [-1, 1], got one of size {furthest}")
        if furthest > 1:
            t = t.clip(-1, 1)
    return t


@functools.lru_cache(maxsize=256)
def _ratio_profile(kernel: Kernel) -> Callable[[Any], Any]:
    profile, at_one = kernel.profile, kernel.trace

    def ratio(t: Any) -> Any:
        if at_one > float(np.finfo(t.dtype).max):
            raise _out_of_reach(kernel, t.dtype)
        return profile(t) / at_one

    return ratio


def _out_of_reach(kernel: Kernel, dtype: Any) -> KernelTheoryError:
    return KernelTheoryError(
        f"the correlation of {kernel} is out of reach of {dtype}: log h(1) is "
        f"{kernel.log_trace:.6g}; take fewer layers or smaller variances, or float64"
    )


def _combinations() -> Any:
    """The module of combined kernels, which are kernels and so stand on this module."""
    from kerneltheory.kernels import combine

    return combine


def check_kernel(kernel: Any, name: str = "kernel") -> None:
    """Refuse what is not a kernel of the sphere."""
    if not isinstance(kernel, Kernel):
        raise TypeError(
            f"{name} must come from kt.nngp, kt.ntk or kt.dot_product_kernel, "
            f"got {check.shown(kernel)}"
        )
