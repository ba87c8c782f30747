"""Phase diagrams: fixed points, slopes and depth scales over a grid of two variances."""

from dataclasses import field
from typing import TYPE_CHECKING, Any

import numpy as np

from kerneltheory.activations.activation import Activation, activation
from kerneltheory.core import check, lower
from kerneltheory.core.records import ArrayRecord, array_record
from kerneltheory.depth.asymptotes import asymptotes
from kerneltheory.depth.correlation_grid import chaotic_correlations
from kerneltheory.depth.critical_line import CriticalLine, critical_line
from kerneltheory.depth.depth_scales import CRITICAL
from kerneltheory.depth.moments import derivative, moment
from kerneltheory.depth.near_zero import at_zero
from kerneltheory.depth.variance_grid import fixed_variances, moments_for

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROUNDING = 1e-14  # of tables and quadrature
_BOUNDARY_POINTS = 400
_LARGE, _DIGITS = 2**12, 15
_FIELDS = ("q_star", "c_star", "chi_1", "chi_c", "xi_1", "xi_c", "xi_star", "relative_error")


@array_record
class PhaseDiagram(ArrayRecord):
    r"""Phases over a grid; every array has the shape (weight variances, bias variances).

    Attributes:
        weight_variances: w, shape (weights,).
        bias_variances: b, shape (biases,).
        q_star: the variance that inputs tend to; infinite where it diverges.
        c_star: the correlation that inputs tend to; 1 in the ordered phase, at q* = 0 and where
            the variance diverges.
        chi_1: slope of the correlation map at 1: above one is chaos. Where the variance diverges,
            its limit, which is infinite where phi exceeds every line; of a phi that stays near
            lines without approaching them, as x + sin x, its value at variance 4096.
        chi_c: slope at c*.
        xi_1, xi_c, xi_star: depth scales :math:`1/|\ln\chi_1|`, :math:`-1/\ln\chi_c` and
            :math:`1/(\ln\chi_1 - \ln\chi_c)`, infinite where they have no finite value.
        fixed_points: how many fixed variances there are, unstable ones included. Two that lie
            within a fifth of an octave are not told apart, nor from none.
        relative_error: of q*: rounding over :math:`|1 - dq'/dq|`.
        boundary: the pairs with chi_1 = 1 and b >= 0, or None where phi has none.
        activation: phi.
        input_variance: mean square of an input's entries, which selects among fixed points.

    Reference: arXiv:1611.01232.

    Examples:
        >>> from kerneltheory.activations.catalogue import tanh
        >>> diagram = phase_diagram(tanh, [0.5, 2.5], [0.0])
        >>> diagram.ordered.ravel(), diagram.chaotic.ravel()
        (array([ True, False]), array([False,  True]))
    """

    weight_variances: np.ndarray
    bias_variances: np.ndarray
    q_star: np.ndarray
    c_star: np.ndarray
    chi_1: np.ndarray
    chi_c: np.ndarray
    xi_1: np.ndarray
    xi_c: np.ndarray
    xi_star: np.ndarray
    fixed_points: np.ndarray
    relative_error: np.ndarray
    boundary: CriticalLine | None
    activation: Activation = field(metadata={"static": True})
    input_variance: float = field(metadata={"static": True})

    @property
    def chaotic(self) -> np.ndarray:
        """Where chi_1 > 1 at a finite q*."""
        return (self.chi_1 > 1 + CRITICAL) & np.isfinite(self.q_star)

    @property
    def ordered(self) -> np.ndarray:
        """Where chi_1 < 1 at a finite q*."""
        return (self.chi_1 < 1 - CRITICAL) & np.isfinite(self.q_star)

    @property
    def diverges(self) -> np.ndarray:
        """Where the variance grows without bound."""
        return ~np.isfinite(self.q_star)

    def to_xarray(self) -> Any:
        """An xarray Dataset over weight_variance and bias_variance."""
        import xarray as xr

        axes = ("weight_variance", "bias_variance")
        names = (*_FIELDS, "fixed_points", "ordered", "chaotic", "diverges")
        return xr.Dataset(
            {name: (axes, np.asarray(getattr(self, name))) for name in names},
            coords={axes[0]: self.weight_variances, axes[1]: self.bias_variances},
            attrs={"activation": self.activation.name, "input_variance": self.input_variance},
        )

    def plot(self, ax: "Axes | None" = None, depths: Any = (5, 10, 20, 50)) -> "Axes":
        r"""Draw the phases, the critical line and contours of the depth scale; return the axes.

        Args:
            ax: axes to draw in; a new figure if None.
            depths: the layers :math:`\xi_c` at which contours are drawn, ascending.

        Raises:
            ValueError: there are fewer than two values on an axis, or something does not ascend.
        """
        from kerneltheory.depth.phase_plots import plot_phases

        return plot_phases(self, ax, depths)

    def _title(self) -> str:
        shape = " x ".join(map(str, np.shape(self.q_star)))
        return f"Phase diagram of {self.activation.name}, {shape} weight and bias variances"

    def _table(self) -> tuple[list[str], list[list[str]]]:
        several = self.fixed_points > 1 + (self.bias_variances == 0)
        masks = {
            "ordered": self.ordered,
            "critical": ~(self.ordered | self.chaotic | self.diverges),
            "chaotic": self.chaotic,
            "divergent": self.diverges,
            "with several fixed variances": several,
        }
        return ["phase", "points"], [[name, str(int(m.sum()))] for name, m in masks.items()]


def phase_diagram(
    phi: Any, weight_variances: Any, bias_variances: Any, *, input_variance: float = 1.0
) -> PhaseDiagram:
    r"""Phases of an activation over a grid of weight and bias variances, in float64.

    .. math:: q^* = w\,E[\phi(\sqrt{q^*} z)^2] + b, \qquad \chi_1 = w\,E[\phi'(\sqrt{q^*} z)^2],
              \qquad q^* c^* = w\,T(q^*, q^*, c^*) + b, \qquad \chi_c = w\,T'(q^*, q^*, c^*)

    as in `phase`, which certifies single points. The error of q* is estimated, not bounded:
    `relative_error`.

    Args:
        phi: an activation or a sympy expression in one symbol.
        weight_variances: w > 0, shape (weights,).
        bias_variances: b >= 0, shape (biases,).
        input_variance: mean square of an input's entries; of several fixed points the one is taken
            that w input_variance + b is led to.

    Raises:
        TypeError: if a variance is not a real number.
        ValueError: if a weight or input variance is not positive, a bias variance is negative, or
            an array is empty or has not one axis.

    References:
        arXiv:1606.05340, arXiv:1611.01232, arXiv:1912.13053.

    Examples:
        >>> from kerneltheory.activations.catalogue import tanh
        >>> diagram = phase_diagram(tanh, [0.5, 1.5, 2.5], [0.0, 0.05])
        >>> diagram
        Phase diagram of tanh, 3 x 2 weight and bias variances
                               phase  points
                             ordered       3
                            critical       0
                             chaotic       3
                           divergent       0
        with several fixed variances       0
    """
    phi = activation(phi)
    weights = check.finite("weight_variances", weight_variances, ndim=1)
    biases = check.finite("bias_variances", bias_variances, ndim=1)
    check.positive("weight_variances", weights)
    if not check.nonnegative("bias_variances", biases).size:
        raise ValueError("bias_variances must hold at least one number, got an empty array")
    start = float(
        check.positive("input_variance", check.finite("input_variance", input_variance, ndim=0))
    )
    shape = (weights.size, biases.size)
    w, b = (np.broadcast_to(a, shape).ravel() for a in (weights[:, None], biases))
    q, chi_1, count, error = _variances(phi, w, b, w * start + b)
    c, chi_c = np.ones(w.size), chi_1.copy()
    chaos = (chi_1 > 1 + CRITICAL) & np.isfinite(q)
    c[chaos], chi_c[chaos] = chaotic_correlations(phi, w[chaos], q[chaos], chi_1[chaos])
    columns = (q, c, chi_1, chi_c, *_depth_scales(chi_1, chi_c, chaos), count, error)
    names = (*_FIELDS[:-1], "fixed_points", _FIELDS[-1])
    arrays = {n: column.reshape(shape) for n, column in zip(names, columns, strict=True)}
    return PhaseDiagram(
        weight_variances=weights,
        bias_variances=biases,
        **arrays,  # pyright: ignore[reportArgumentType]
        boundary=_boundary(phi, q),
        activation=phi,
        input_variance=start,
    )


def _variances(phi: Activation, w: Any, b: Any, first: Any) -> tuple[np.ndarray, ...]:
    """q*, chi_1, the number of fixed points and the error of q*."""
    if phi.homogeneous:
        return _of_homogeneous(phi, w, b, first)
    moments = moments_for(phi, b)
    vanishes = at_zero(phi)[0] == 0
    q, count = fixed_variances(moments, w, b, first, vanishes)
    finite = np.isfinite(q)
    inside = np.where(finite & (q > 0), q, 1.0)
    steep = derivative(phi, 1) is None
    chi_1 = np.full(q.shape, np.inf) if steep else w * moments(1, inside)[0]
    slope = w * moments(0, inside)[1]
    at_zero_slope = w * float(at_zero(phi)[1]) if vanishes else np.zeros_like(w)
    chi_1, slope = (np.where(q == 0, at_zero_slope, part) for part in (chi_1, slope))
    chi_1 = np.where(finite, chi_1, _limit(phi, w))
    with np.errstate(divide="ignore"):
        error = np.where(finite & (q > 0), ROUNDING / np.abs(1 - slope), 0.0)
    return q, chi_1, count, error


def _limit(phi: Activation, w: np.ndarray) -> np.ndarray:
    """Chi_1 at infinite variance; at a large one if phi only stays near its lines, as x + sin x."""
    lines = asymptotes(phi)
    if lines is None:
        return np.full(w.shape, np.inf)
    if lines.strays:
        return w * lower.to_float(moment(phi, 1, _LARGE, _DIGITS))
    return w * float(lines.rate)


def _of_homogeneous(phi: Activation, w: Any, b: Any, first: Any) -> tuple[np.ndarray, ...]:
    """E[phi^2] = a q: q* = b/(1 - wa) where wa < 1; at wa = 1 every q is fixed without bias."""
    rate = w * float(at_zero(phi)[1])
    same = (np.abs(rate - 1) <= CRITICAL) & (b == 0)
    ordered = (rate < 1) & ~same
    q = np.where(same, first, np.where(ordered, b / np.where(ordered, 1 - rate, 1), np.inf))
    with np.errstate(divide="ignore"):
        error = np.where(ordered, ROUNDING / np.abs(1 - rate), 0.0)
    # Where every variance is fixed one is counted: that of the inputs.
    count = np.where(same | ordered | (b == 0), 1, 0)
    return q, rate, count, error


def _depth_scales(chi_1: Any, chi_c: Any, chaos: np.ndarray) -> tuple[np.ndarray, ...]:
    with np.errstate(divide="ignore"):
        first, second = np.log(chi_1), np.log(chi_c)
        critical = np.abs(chi_1 - 1) <= CRITICAL
        xi_1 = np.where(critical, np.inf, 1 / np.abs(first))
        xi_c = np.where(critical, np.inf, 1 / np.abs(second))
        apart = np.where(chaos, first - np.where(chaos, second, 0), 1.0)
        return xi_1, xi_c, np.where(chaos, 1 / apart, np.inf)


def _boundary(phi: Activation, q: np.ndarray) -> CriticalLine | None:
    """The critical line over the variances of a diagram; None where phi jumps or b < 0 on it."""
    finite = q[np.isfinite(q) & (q > 0)]
    if derivative(phi, 1) is None or not finite.size or phi.homogeneous:
        return None
    # From far below the grid's least variance, so that the line is seen to reach b = 0.
    low, high = min(float(finite.min()), 1e-4), float(finite.max()) * 2
    line = critical_line(phi, np.geomspace(low, high, _BOUNDARY_POINTS))
    kept = line.admissible & np.isfinite(line.weight_variances)
    if not kept.any():
        return None
    return CriticalLine(
        line.variances[kept], line.weight_variances[kept], line.bias_variances[kept], phi
    )
