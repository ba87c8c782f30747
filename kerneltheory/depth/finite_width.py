r"""Networks of finite width: how far the kernel of one input fluctuates, to first order in 1/n.

With n neurons in every hidden layer the preactivations of a layer are independent Gaussians once
the layer before is given, and all have the random variance

.. math:: \hat K' = \frac wn \sum_{i=1}^n \phi(z_i)^2 + b, \qquad z_i \sim N(0, \hat K).

With :math:`E[\hat K] = K + G/n` and :math:`\mathrm{Var}(\hat K) = V/n`, to leading order,

.. math:: K' &= w E[\phi^2] + b \\
          G' &= \chi_\parallel G + \frac{w}{8 K^4} E[\phi^2 (z^4 - 6 K z^2 + 3 K^2)]\,V \\
          V' &= \chi_\parallel^2 V + w^2 (E[\phi^4] - E[\phi^2]^2),

and an output, whose moments are those of a Gaussian of variance :math:`\hat K`, has the connected
moment :math:`E[z^4] - 3 E[z^2]^2 = 3 V/n`. Everything is carried relative to K, so that nothing
underflows before K does.
"""

import functools
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from kerneltheory.activations.activation import Activation, activation
from kerneltheory.activations.growth import growth
from kerneltheory.activations.series import derivative_of, to_arrays
from kerneltheory.core import check
from kerneltheory.core.errors import DivergentError, PrecisionError
from kerneltheory.core.hermite_arrays import PiecewiseFunction, coefficients, mean_square
from kerneltheory.core.precision import float64_policy
from kerneltheory.core.records import Array, ArrayRecord, array_record, shown_rows, static

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes


@array_record
class FiniteWidth(ArrayRecord):
    r"""Moments of the kernel of one input in networks of finite width, layer by layer.

    Entry i of an array is behind i hidden layers: 0 at the first preactivations, whose variance
    does not fluctuate, and `depth` at the output.

    Attributes:
        variance: K, the variance at infinite width; shape (depth + 1,), as all arrays.
        mean_shift: G/K.
        vertex: :math:`V/K^2`; the four-point vertex V is n times the variance of :math:`\hat K`.
        chi_par: :math:`\chi_\parallel` at K.
        chi_perp: :math:`\chi_\perp` at K; infinite where phi jumps.
        width: n.
        activation_name: phi.
        exact: whether `vertex` and `mean_shift` hold all orders in 1/n: of two lines that meet at
            0, as relu.

    Reference: arXiv:2106.10165, chapters 4 and 5.

    Examples:
        >>> from kerneltheory.activations.catalogue import relu
        >>> deep = finite_width(relu, 3, 100, weight_variance=2, variance=1)
        >>> deep.exact, deep.vertex.round(6)  # 100 (1.05^l - 1)
        (True, array([ 0.    ,  5.    , 10.25  , 15.7625]))
    """

    variance: Array
    mean_shift: Array
    vertex: Array
    chi_par: Array
    chi_perp: Array
    width: int = static(1)
    activation_name: str = static("")
    exact: bool = static(False)

    @property
    def depth(self) -> int:
        """The number of hidden layers."""
        return len(self.variance) - 1

    @property
    def mean(self) -> Any:
        r""":math:`E[\hat K] = K + G/n`."""
        return self.variance * (1 + self.mean_shift / self.width)

    @property
    def mean_correction(self) -> Any:
        """G, n times what finite width adds to the mean."""
        return self.variance * self.mean_shift

    @property
    def four_point(self) -> Any:
        r"""V, n times the variance of :math:`\hat K`."""
        return self.variance**2 * self.vertex

    @property
    def depth_to_width(self) -> Any:
        r""":math:`V/(n K^2)`, the relative variance of :math:`\hat K`.

        At criticality it is the depth over the width, times a constant. The first order in 1/n
        needs it to be small.
        """
        return self.vertex / self.width

    @property
    def excess_kurtosis(self) -> Any:
        """E[z^4]/E[z^2]^2 - 3 = 3 V/(n K^2) of the preactivations, 0 for a Gaussian."""
        return 3 * self.depth_to_width

    @property
    def parallel_perturbation(self) -> Any:
        r"""The product of all :math:`\chi_\parallel` before: how dK has grown since the input."""
        return _products(self.chi_par)

    @property
    def perpendicular_perturbation(self) -> Any:
        r"""The product of all :math:`\chi_\perp` before: how a small squared distance has grown."""
        return _products(self.chi_perp)

    def to_xarray(self) -> "xarray.Dataset":
        """The arrays on the axis `layer`, which counts the hidden layers behind."""
        import xarray

        names = ("variance", "mean_shift", "vertex", "chi_par", "chi_perp")
        columns = {name: ("layer", np.asarray(getattr(self, name))) for name in names}
        return xarray.Dataset(columns, {"layer": np.arange(self.depth + 1)}, {"width": self.width})

    def plot(self, ax: "Axes | None" = None, **style: Any) -> "Axes":
        """Draw the relative variance of the kernel against the layer, and return the axes.

        Args:
            ax: axes to draw in; a new figure if None.
            style: passed on to matplotlib for the line.
        """
        from kerneltheory.depth.effective_plots import plot_finite_width

        return plot_finite_width(self, ax, **style)

    def _title(self) -> str:
        order = "exact" if self.exact else "to first order in 1/n"
        return f"FiniteWidth of {self.activation_name}, width n = {self.width}, {order}"

    def _table(self) -> tuple[list[str], list[list[str]]]:
        header = ["layer", "K", "chi_par", "chi_perp", "G/(n K)", "V/(n K^2)"]
        rows = []
        for i in shown_rows(self.depth + 1):
            if i is None:
                rows.append(["..."] * len(header))
                continue
            shift, ratio = self.mean_shift[i] / self.width, self.depth_to_width[i]
            numbers = (self.variance[i], self.chi_par[i], self.chi_perp[i], shift, ratio)
            rows.append([str(i), *(f"{float(number):.6g}" for number in numbers)])
        return header, rows


def _products(factors: Any) -> Any:
    return np.concatenate([[1.0], np.cumprod(np.asarray(factors)[:-1])])


def finite_width(
    phi: Any,
    depth: Any,
    width: Any,
    *,
    weight_variance: Any,
    bias_variance: Any = 0,
    variance: Any,
) -> FiniteWidth:
    r"""Mean and variance of the kernel of one input in networks of n neurons a layer.

    Args:
        phi: an activation or a sympy expression in one symbol.
        depth: the number of hidden layers, at least 1.
        width: n, the number of neurons in each, at least 1. Weights have the variance w/n.
        weight_variance: w >= 0.
        bias_variance: b >= 0.
        variance: K > 0 of the first preactivations, w |x|^2/dim + b.

    Returns:
        A FiniteWidth, in float64. Of two lines that meet at 0 it is exact at every width: there
        :math:`V/K^2 = n[(1 + c/n)^l - 1]` after l layers without bias, with
        :math:`c = E[\phi^4]/E[\phi^2]^2 - 1`.

    Raises:
        ValueError: an argument is out of its range.
        DerivationError: phi grows too fast for Gaussian inputs.
        DivergentError: variances leave the range of float64.
        PrecisionError: phi grows exponentially, and K has become so large that the quadrature
            does not reach what counts.

    Reference: arXiv:2106.10165, chapters 4 and 5.

    Examples:
        >>> from kerneltheory.activations.catalogue import relu
        >>> deep = finite_width(relu, 3, 100, weight_variance=2, variance=1)
        >>> deep
        FiniteWidth of relu, width n = 100, exact
        layer  K  chi_par  chi_perp  G/(n K)  V/(n K^2)
            0  1        1         1        0          0
            1  1        1         1        0       0.05
            2  1        1         1        0     0.1025
            3  1        1         1        0   0.157625
        >>> bool(np.isclose(deep.excess_kurtosis[-1], 3 * (1.05**3 - 1)))
        True
    """
    phi = activation(phi)
    depth = check.integer("depth", depth, minimum=1)
    width = check.integer("width", width, minimum=1)
    given = {"weight_variance": weight_variance, "bias_variance": bias_variance}
    w, b = (float(check.nonnegative(n, check.finite(n, v, ndim=0))) for n, v in given.items())
    K = float(check.positive("variance", check.finite("variance", variance, ndim=0)))
    rate = float(growth(phi).rate)
    derivative = derivative_of(phi)
    functions = to_arrays(phi), None if derivative is None else to_arrays(derivative)
    spread = 1 / width if phi.homogeneous else 0.0
    columns = _layers(functions, depth, w, b, K, spread)
    _check_range(phi, columns, rate)
    return FiniteWidth(*columns, width=width, activation_name=phi.name, exact=phi.homogeneous)


def _check_range(phi: Activation, columns: Any, rate: float) -> None:
    variances = columns[0]
    beyond = ~(variances < 1 / rate**2) if rate else np.zeros(1, bool)
    if beyond.any():
        layer = int(np.argmax(beyond))
        raise PrecisionError(
            f"{phi.name} grows like exp({rate:g} |x|), and its fourth moment at the variance "
            f"{variances[layer]:.3g}, behind {layer} hidden layers, is beyond the quadrature"
        )
    bad = ~(np.isfinite(variances) & (variances > 0))
    if bad.any():
        layer = int(np.argmax(bad))
        fate = "vanishes" if variances[layer] == 0 else "diverges"
        raise DivergentError(
            f"the variance of {phi.name} {fate}: float64 does not hold it behind {layer} hidden "
            f"layers; it was {variances[layer - 1]:.3g} one layer before"
        )
    for name, column in zip(("G/K", "V/K^2"), columns[1:3], strict=True):
        if not np.isfinite(column).all():
            raise DivergentError(
                f"{name} of {phi.name} diverges: float64 does not hold it behind "
                f"{int(np.argmax(~np.isfinite(column)))} hidden layers"
            )


@float64_policy
def _layers(functions: Any, depth: int, w: float, b: float, variance: float, spread: float) -> Any:
    """K, G/K, V/K^2, chi_par and chi_perp behind 0 to `depth` layers."""
    start = tuple(map(jnp.asarray, (variance, 0.0, 0.0)))
    return _scanned(functions, depth, *map(jnp.asarray, (w, b, spread)), start)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _scanned(functions: Any, depth: int, w: Any, b: Any, spread: Any, start: Any) -> Any:
    def layer(state: Any, _: Any) -> Any:
        K, shift, vertex = state
        square, parallel, bend, fourth, slope = _moments(functions, K)
        chi_par, following = w * parallel, w * K * square + b
        ratio = K / following
        excess = fourth - square**2
        bend = jnp.where(spread > 0, 0, bend)  # a line in K has none, but for rounding
        # spread = 1/n where excess/square^2 is the same at every variance, and 0 elsewhere.
        kept = chi_par**2 + spread * w**2 * excess
        moved = (
            following,
            ratio * (chi_par * shift + w * bend * vertex),
            ratio**2 * (kept * vertex + w**2 * excess),
        )
        return moved, (*state, chi_par, w * slope)

    return jax.lax.scan(layer, start, None, length=depth + 1)[1]


def _moments(functions: Any, K: Any) -> tuple[Any, ...]:
    r"""Moments of psi = phi/sqrt(K), by he_n, the normalised Hermite polynomials of u = z/sqrt(K).

    Returns:
        :math:`E[\psi^2]`; the first derivative of :math:`E[\phi^2]` in K,
        :math:`E[\psi^2 he_2]/\sqrt2`; K/2 times the second, :math:`\sqrt{24}\,E[\psi^2 he_4]/8`;
        :math:`E[\psi^4]`; :math:`E[\phi'^2]`.
    """
    phi, derivative = functions
    root = jnp.sqrt(K)
    squares = tuple(functools.partial(_scaled_square, f, root) for f in phi.functions)
    square = PiecewiseFunction(phi.breaks, squares)
    means = coefficients(square, K, 5)
    slope = jnp.asarray(jnp.inf) if derivative is None else mean_square(derivative, K)
    parallel, bend = means[2] / np.sqrt(2.0), means[4] * np.sqrt(24.0) / 8
    return means[0], parallel, bend, mean_square(square, K), slope


def _scaled_square(function: Any, root: Any, x: Any) -> Any:
    return (function(x) / root) ** 2


def susceptibilities(phi: Activation, variances: Any) -> tuple[np.ndarray, np.ndarray]:
    r""":math:`\chi_\parallel/w` and :math:`\chi_\perp/w` at an array of variances, in float64."""
    derivative = derivative_of(phi)
    functions = to_arrays(phi), None if derivative is None else to_arrays(derivative)
    return _susceptibilities(functions, check.positive("variances", variances))


@float64_policy
def _susceptibilities(functions: Any, variances: Any) -> Any:
    def at(K: Any) -> Any:
        _, parallel, _, _, slope = _moments(functions, K)
        return parallel, slope

    return jax.vmap(at)(jnp.asarray(variances))
