"""One pass through depth: the state of all pairs at every depth that is asked.

Inputs of unequal variances are first brought, layer by layer, to where their variances have
settled; those of one variance follow it with a table of the layer at each of its values; from the
fixed variance on one compiled loop of one table takes any number of layers.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kerneltheory.activations.activation import Activation
from kerneltheory.core.errors import KernelTheoryError, PrecisionError
from kerneltheory.depth.angle_map import AngleMap, angle_map
from kerneltheory.depth.pair_inputs import Pairs, one_variance
from kerneltheory.depth.pair_recursion import (
    LayerParts,
    PairState,
    UnequalState,
    layers,
    unequal_layer,
)
from kerneltheory.kernels.maps import numeric_maps, terms_for

# Relative changes of the variance in a layer below this are rounding.
SETTLED = 4 * np.finfo(float).eps
# Gaps below this have lost too many digits to layers of unequal variances, each of which rounds
# them to a few units of 2^-53.
COARSE = 1e-9


def log_growth(chi_1: float, layers: Any, share: float) -> Any:
    r"""log of p after some layers over p before, where q stays and is `share` of p.

    .. math:: p_n = \chi_1^n p_0 + q\,\frac{\chi_1^n - 1}{\chi_1 - 1}
    """
    if chi_1 == 1:
        return np.log1p(share * layers)
    exponent = layers * math.log(chi_1)
    if chi_1 < 1:
        return np.log(np.exp(exponent) + share * np.expm1(exponent) / (chi_1 - 1))
    return exponent + np.log1p(-share * np.expm1(-exponent) / (chi_1 - 1))


@dataclass(frozen=True, eq=False)
class Moment:
    """The kernels at one depth, over the diagonal of a reference input.

    Attributes:
        depth: the number of hidden layers.
        log_variance, log_tangent: logarithms of q and p of the reference.
        gap, lacking, ratio: 1 - K/q, 1 - Theta/p and Theta/p of every pair, in units of the norms.
        norms: root of the variance of every input over that of the reference.
    """

    depth: int
    log_variance: float
    log_tangent: float
    gap: np.ndarray
    lacking: np.ndarray
    ratio: np.ndarray
    norms: np.ndarray


class DepthWalk:
    """A network of one activation that takes pairs through depth.

    Args:
        phi: the activation.
        weight_variance: w, exact.
        bias_variance: b, exact.
        pairs: where it starts.
        window: width of the circular window.
        q_star: the fixed variance; None where every variance is fixed.
        chi_1: the slope there.
    """

    def __init__(
        self,
        phi: Activation,
        weight_variance: Any,
        bias_variance: Any,
        pairs: Pairs,
        window: int,
        q_star: float | None,
        chi_1: float,
    ):
        self.phi, self.exact_weight = phi, weight_variance
        self.w, self.b = float(weight_variance), float(bias_variance)
        self.pairs, self.window, self.q_star, self.chi_1 = pairs, window, q_star, chi_1
        largest = max(float(pairs.variances.max()), q_star or 0.0)
        terms, _ = terms_for(phi, 1, self.w, self.b, largest)
        self.maps = numeric_maps(phi, terms)
        self.depth, self.norms = 0, np.ones(pairs.inputs)

    def at(self, depths: np.ndarray) -> Iterator[Moment]:
        """The state at every depth, which increase; further calls go on from the last."""
        with jax.enable_x64(True):
            for depth in depths:
                yield self._moment(int(depth))

    def _moment(self, depth: int) -> Moment:
        if self.depth == 0:
            self._start()
        while self.depth < depth and not self._settled:
            self._step()
        if self.depth < depth:
            fixed, count, before = self._fixed_map(), depth - self.depth, self.state
            self.state = layers(before, self._parts(fixed, 1.0), count, self.power, self.window)
            # The sum of many logarithms would collect their rounding.
            grown = log_growth(fixed.chi_1, count, float(before.share))
            self.state = self.state._replace(log_tangent=before.log_tangent + grown)
            self.depth = depth
        if self.unequal is not None:
            return self._unequal_moment()
        gap, lacking, ratio = (np.asarray(part) for part in self.state[:3])
        log_tangent = float(self.state.log_tangent)
        return Moment(depth, math.log(self.q), log_tangent, gap, lacking, ratio, self.norms)

    def _start(self) -> None:
        """The first preactivations, where K = Theta."""
        pairs, q = self.pairs, self.pairs.variances
        self.power = 2
        # Of a homogeneous phi without bias the norms of the inputs stay what they are.
        free = self.q_star is None
        self.unequal: UnequalState | None = None
        if one_variance(q) or (free and all(map(one_variance, q))):
            self._equal(q, jnp.asarray(pairs.gap), jnp.asarray(1 - pairs.gap), 1.0)
            return
        self._set_variance(q)
        root = np.sqrt(q[pairs.first] * q[pairs.second])
        tangent = root * (1 - pairs.gap)
        self.unequal = UnequalState(*map(jnp.asarray, (q, pairs.gap, tangent)))
        self._settled = False

    def _equal(self, q: np.ndarray, gap: Any, theta: Any, growth: float) -> None:
        """Go on with one variance: theta is Theta over the root of both variances."""
        self._set_variance(q)
        ratio = theta / growth
        lacking = gap if self.depth == 0 else 1 - ratio
        share, log_tangent = 1 / growth, math.log(self.q * growth)
        self.state = PairState(gap, lacking, ratio, jnp.asarray(share), jnp.asarray(log_tangent))
        self.unequal = None
        self._settled = self.q_star is None or self._near(self.q, self.q_star)

    def _set_variance(self, q: np.ndarray) -> None:
        """That of the reference; averages over pixels keep the means of a free variance."""
        of_inputs = q.mean(axis=1)
        if self.q_star is None:
            self.q = float(of_inputs[0])
            self.norms = np.sqrt(of_inputs / self.q)
        else:
            self.q = float(of_inputs.mean())

    @staticmethod
    def _near(q: float, other: float) -> bool:
        return abs(q / other - 1) <= SETTLED

    def _step(self) -> None:
        """One layer while variances move."""
        self.depth += 1
        if self.unequal is not None:
            self._unequal_step(self.unequal)
            return
        following = self.w * float(self.maps.variance(jnp.asarray(self.q))) + self.b
        if not math.isfinite(following):
            raise KernelTheoryError(f"variances diverge at layer {self.depth} from {self.q:g}")
        parts = self._parts(self._map(self.q), following / self.q)
        self.state = layers(self.state, parts, 1, self.power, self.window)
        self._settled = self._near(following, self.q)
        self.q = following
        if self._settled:
            self._check_fixed()

    def _check_fixed(self) -> None:
        assert self.q_star is not None  # else it was settled from the start
        if abs(self.q / self.q_star - 1) > 1e-6:
            raise KernelTheoryError(
                f"the variances of these inputs tend to {self.q:.6g} and not to q* = "
                f"{self.q_star:.6g} of the phase; bring the inputs to another norm"
            )
        self.q = self.q_star

    def _unequal_step(self, state: UnequalState) -> None:
        indices = (
            tuple(map(jnp.asarray, self.pairs.first)),
            tuple(map(jnp.asarray, self.pairs.second)),
        )
        state = unequal_layer(self.maps, state, *indices, (self.w, self.b), self.window)
        self.unequal = state
        q = np.asarray(state.variances)
        if not np.isfinite(q).all():
            raise KernelTheoryError(f"variances diverge at layer {self.depth}; scale the inputs")
        if self.q_star is None:
            settled = all(np.ptp(row) <= SETTLED * row.max() for row in q)
        else:
            settled = bool(np.abs(q / self.q_star - 1).max() <= 2 * SETTLED)
        if settled:
            self._check_apart(np.asarray(state.gap))
            theta = self._normalised(state)
            self._equal(q, state.gap, theta, float(theta.max()))
            self._settled = True

    def _normalised(self, state: UnequalState) -> Any:
        q = np.asarray(state.variances)
        return state.tangent / np.sqrt(q[self.pairs.first] * q[self.pairs.second])

    def _check_apart(self, gap: np.ndarray) -> None:
        apart = gap[self.pairs.gap > 0]
        if apart.min() < COARSE:
            raise PrecisionError(
                f"inputs of unequal norms come within {apart.min():.1e} of correlation 1 before "
                f"their variances settle, at layer {self.depth}: what tells them apart is lost to "
                "rounding; bring the inputs to one norm"
            )

    def _unequal_moment(self) -> Moment:
        state = self.unequal
        assert state is not None
        q, theta = np.asarray(state.variances), np.asarray(state.tangent)
        mean, top = float(q.mean()), float(theta.max())
        root = np.sqrt(q[self.pairs.first] * q[self.pairs.second])
        K = root * (1 - np.asarray(state.gap))
        return Moment(
            self.depth, math.log(mean), math.log(top),
            1 - K / mean, 1 - theta / top, theta / top, np.ones(self.pairs.inputs),
        )  # fmt: skip

    def _fixed_map(self) -> AngleMap:
        return self._map(self.q if self.q_star is None else self.q_star, self.chi_1)

    def _map(self, q: float, chi_1: float | None = None) -> AngleMap:
        # Of a homogeneous phi the map is the same at every variance.
        return angle_map(self.phi, self.exact_weight, 1.0 if self.phi.homogeneous else q, chi_1)

    def _parts(self, layer: AngleMap, growth: float) -> LayerParts:
        self.power = layer.power
        return LayerParts(jnp.asarray(layer.chi_1), jnp.asarray(layer.series), jnp.asarray(growth))
