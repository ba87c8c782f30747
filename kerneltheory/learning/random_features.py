r"""Learning curves of ridge regression on random features, at finite numbers of everything.

With p features drawn at random the kernel is itself random: its mean has the given spectrum. Two
effective ridges describe the two draws, of samples and of features (arXiv:2311.14646). All follows
from the :math:`\gamma` that acts on the mean kernel, with :math:`q_k = \lambda_k/(\lambda_k +
\gamma)`, through the positive numbers

.. math:: z = \sum N q + \mathrm{tail}/\gamma, \quad s = \sum N q (1-q) + \mathrm{tail}/\gamma,
          \quad a = n - z, \quad b = p - z.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kerneltheory.core import check
from kerneltheory.core.precision import float64_policy
from kerneltheory.core.records import is_concrete, positive, working_dtype
from kerneltheory.learning.curve import LearningCurve
from kerneltheory.learning.equivalent import (
    FEATURES_OF_PRODUCTS,
    check_spectrum,
    check_target,
    curve_of,
    flat_points,
    refuse_overflow,
    refuse_truncation,
    shaped,
)
from kerneltheory.learning.levels import (
    MAX_STEPS,
    Levels,
    bias,
    dimension,
    learned,
    levels_of,
    map_points,
    spread,
    surplus,
    unlearned,
    variance_dimension,
)
from kerneltheory.learning.risk import errors_from, product, refuse_divergence
from kerneltheory.spectra.spectrum import Spectrum, Target


class Gaps(NamedTuple):
    """What the sums leave of the two numbers: a = n - z, b = p - z, and s, the slope of z."""

    samples: jax.Array
    features: jax.Array
    slope: jax.Array

    @property
    def share(self) -> jax.Array:
        """s/(b + s): 0 with infinitely many features, 1 at their fewest."""
        total = self.features + self.slope
        return jnp.where(total > 0, self.slope / jnp.where(total > 0, total, 1), 0)


@float64_policy
def random_feature_curve(
    spectrum: Spectrum, target: Target, n: Any, features: Any, ridge: Any, *, signs: Any = None
) -> LearningCurve:
    r"""Return the errors of ridge regression on p random features of a kernel.

    The predictor is kernel ridge regression with $\hat K(x, x') = \frac1p \sum_{j \le p}
    \varphi_j(x) \varphi_j(x')$, whose mean over independent draws of $\varphi_j$ is the kernel of
    the spectrum. The effective ridge $\gamma > 0$ of the mean kernel solves
    $$\delta = \gamma\, (n - z)(p - z)/p, \qquad z < \min(n, p).$$
    With $s = \sum_k N_k q_k (1-q_k) + \mathrm{tail}/\gamma$ and $b = p - z$,
    $$B = \sum_k (1-q_k)^2 F_k^2, \quad
      V_{\text{features}} = \frac{s}{b + s} \sum_k q_k (1-q_k) F_k^2, \quad
      \frac{n}{E_0} = n - z + \frac{b\, s}{b + s},$$
    $$T + \sigma^2 = E_0 (B + V_{\text{features}} + \sigma^2), \quad
      \mathrm{train} = \Big(\frac{n - z}{n}\Big)^2 (T + \sigma^2).$$
    Generalised cross-validation and leave-one-out tend to $T + \sigma^2$. Without ridge, $\gamma$
    is that of kernel regression with $\min(n, p)$ samples, and T diverges at n = p: double
    descent. With a small ridge the peak stays there, with $E_0 = \sqrt{p \gamma/\delta}/2$.

    Args:
        spectrum: the levels of the mean kernel.
        target: power of the target at the levels of the spectrum, and the label noise.
        n: number of samples, real > 0, any shape.
        features: number p of random features, real > 0, any shape.
        ridge: absolute ridge $\delta \ge 0$, any shape; `optimal_ridge` gives the best one.
        signs: of the coefficients $E[\varphi(\sqrt d\, t) P_k(t)]$ of an activation on the sphere,
            shape (levels,), or these coefficients, of which the spectrum holds the squares. Only
            `validity` and `correction` ask for them. Without them those of degrees 0, 1 and 2
            pass for positive, and higher degrees for Gaussian features, as those of sign 0 do.

    Returns:
        The curve; its arrays have the shape to which n, features, ridge and the noise variance
        broadcast. Its kappa is $\gamma$, so that its learnabilities are those of the mean
        predictor. Its bias is that of the predictor averaged over samples, noise and features,
        its variance_from_features that of the predictor averaged over samples and noise, and its
        conditional bias that of the predictor averaged over the noise. All are differentiable in
        all arguments. Its `validity` estimates how far the equivalent itself is off at every
        point, `valid` says where that is below one part in 100, and `test_error *
        (1 + correction)` is what its first correction makes of it.

    Raises:
        ValueError: n or features is not positive, the ridge is negative, the target has power at
            a level that the spectrum does not hold, or the signs are not one for each level.
        NotPositiveDefiniteError: the spectrum has a negative eigenvalue.
        DivergentError: the ridge is zero and n equals the rank of the kernel, the smaller one of
            the number of features and the total multiplicity: the variance is infinite. Under
            jit, where values are not known, it is infinity instead.
        PrecisionError: as for `learning_curve`, the spectrum stops at a degree that is learned.

    Reference: arXiv:2311.14646 (its $\gamma$ is kappa here; its $\kappa$ is $\delta/(n - z)$).

    Examples:
        >>> spectrum = Spectrum([1.0], [100])
        >>> curve = random_feature_curve(spectrum, Target({0: 1.0}), 25, [50, 100], ridge=0.0)
        >>> curve.test_error  # 1 - n/M, times 1 + n/(p - n) for the draw of features
        array([1.5, 1. ])
    """
    check_target(target)
    check_spectrum(spectrum)
    signs = _checked_signs(signs, spectrum)
    _check_points(n, features, ridge, target.noise_variance)
    dtype = working_dtype(spectrum, n, features, ridge, target)
    levels = levels_of(spectrum, dtype)
    points, shape = flat_points(levels, n, features, ridge, target.noise_variance, dtype=dtype)
    refuse_overflow("n", levels, points[0], points[2])
    refuse_overflow("features", levels, points[1], points[2])
    power = jnp.asarray(target.powers(len(spectrum.degrees)), dtype)
    aligned = levels.aligned(power)
    _refuse_divergence(levels, aligned, points)
    flat = _errors(levels, aligned, *points)
    refuse_truncation(spectrum, flat["kappa"], (points[0], points[2]))
    return curve_of(
        levels,
        power,
        (points[0], points[2], points[3]),
        flat,
        shape,
        features=shaped(points[1], shape),
        signs=signs,
        dim=None if spectrum.domain in FEATURES_OF_PRODUCTS else spectrum.dim,
        method="deterministic equivalent of random features",
    )


def _checked_signs(signs: Any, spectrum: Spectrum) -> Any:
    if signs is None:
        return None
    count = len(spectrum.degrees)
    if check.finite("signs", signs).shape != (count,):
        given = np.shape(signs)
        raise ValueError(f"signs must hold one number for each of {count} levels, got {given}")
    return np.sign(signs)


def _check_points(n: Any, features: Any, ridge: Any, noise: Any) -> None:
    positive("n", n)
    positive("features", features)
    if is_concrete(ridge) and check.nonnegative("ridge", ridge).size == 0:
        raise ValueError("ridge must hold at least one number, got an empty array")
    check.broadcastable(n=n, features=features, ridge=ridge)
    if np.ndim(noise):
        check.broadcastable(n=n, features=features, ridge=ridge, noise_variance=noise)


def _refuse_divergence(levels: Levels, power: jax.Array, points: tuple[jax.Array, ...]) -> None:
    n, features, ridge, noise = points
    total = jnp.where(levels.tail > 0, jnp.inf, levels.rank)
    # Fewer features than modes do not fit the target either.
    unfitted = (levels.eigenvalues == 0) | (features[:, None] < total)
    lost = noise + jnp.sum(jnp.where(unfitted, power, 0), axis=1)
    refuse_divergence(n, jnp.minimum(features, total), ridge, lost)


def gaps_at(levels: Levels, gamma: jax.Array, n: jax.Array, features: jax.Array) -> Gaps:
    """Return a, b and s; the larger of a and b is the smaller one plus |n - p|, which is exact."""
    tail = levels.tail / jnp.where(gamma > 0, gamma, 1)
    small = surplus(levels, gamma, jnp.minimum(n, features)) - tail
    return _gaps(small, n, features, spread(levels, gamma) + tail)


def _gaps(small: jax.Array, n: jax.Array, features: jax.Array, slope: jax.Array) -> Gaps:
    difference = features - n
    return Gaps(small + jnp.maximum(-difference, 0), small + jnp.maximum(difference, 0), slope)


def _newton(levels: Levels, n: jax.Array, features: jax.Array, ridge: jax.Array) -> jax.Array:
    r"""The root of F = g a b/p - ridge at which a and b are positive, from the right.

    Let h = g z, which is concave. Then
    :math:`p F'' = -h'' (a + b) + \frac2g (h' - z)^2 \ge 0` where a and b are not negative, and F
    rises there: Newton's steps descend to the root from any point above it. The start solves the
    same equation with h(1) in place of h <= h(1). A step is the ratio of two sums of positive
    terms, and a point stops when its step no longer descends.

    Without ridge the larger one of a and b drops out: what is left is the equation of kernel
    regression with min(n, p) samples, whose root is simple also at n = p.
    """
    fewer, more = jnp.minimum(n, features), jnp.maximum(n, features)
    interpolates_exactly = (ridge + levels.tail == 0) & (fewer >= levels.rank)
    inverse = jnp.where(ridge > 0, 1 / more, 0)
    scaled = ridge * jnp.minimum(features / n, 1)
    # With x = h(1)/g the start solves (1 - x/n)(1 - x/p) = x ridge/(n h(1)), without cancellation.
    per_sample, per_feature = levels.trace / n, levels.trace / features
    half = (per_sample + per_feature + ridge / n) / 2
    apart = jnp.sqrt(per_sample) - jnp.sqrt(per_feature)
    together = jnp.sqrt(per_sample) + jnp.sqrt(per_feature)
    root = jnp.sqrt(apart**2 + ridge / n) * jnp.sqrt(together**2 + ridge / n) / 2
    start = jnp.where(interpolates_exactly, 0, half + root)
    tolerance = 2 * jnp.finfo(start.dtype).eps

    def descends(state: tuple[jax.Array, jax.Array, jax.Array]) -> jax.Array:
        return state[1] & (state[2] < MAX_STEPS)

    def step(state: tuple[jax.Array, jax.Array, jax.Array]) -> Any:
        gamma, _, steps = state
        tail = levels.tail / gamma
        small, slope = surplus(levels, gamma, fewer) - tail, spread(levels, gamma) + tail
        # The larger one of a and b, over max(n, p).
        ratio = jnp.where(ridge > 0, (small + (more - fewer)) * inverse, 1)
        weight = slope * (ratio + small * inverse)
        updated = (gamma * weight + scaled) / (small * ratio + weight)
        active = (updated > 0) & (updated < gamma * (1 - tolerance))
        return jnp.where(active, updated, gamma), active, steps + 1

    return jax.lax.while_loop(descends, step, (start, ~interpolates_exactly, jnp.int32(0)))[0]


def mean_ridge_at(levels: Levels, n: jax.Array, features: jax.Array, ridge: jax.Array) -> jax.Array:
    """Return gamma at one point, differentiable through the equation that defines it."""

    def equation(gamma: jax.Array) -> jax.Array:
        gaps = gaps_at(levels, gamma, n, features)
        return gamma * gaps.samples * (gaps.features / features) - ridge

    return jax.lax.custom_root(
        equation,
        jnp.zeros_like(n),
        lambda _, __: _newton(levels, n, features, ridge),
        lambda linear, value: value / linear(jnp.ones_like(value)),
    )


def _gaps_of_root(levels: Levels, gamma: jax.Array, n: Any, features: Any, ridge: Any) -> Gaps:
    """The gaps at the root, from their difference p - n and their product ridge p/gamma.

    Neither is rounded against n: without ridge the smaller one is 0 and the other one |n - p|.
    """
    direct = gaps_at(levels, gamma, n, features)
    # In units of the larger one of n and p, whose square may overflow.
    unit = jnp.maximum(n, features)
    area = ridge / jnp.where(gamma > 0, gamma, 1) * (features / unit) / unit
    difference = jnp.abs(features - n) / unit
    total = jnp.sqrt(difference**2 + 4 * area) + difference
    small = 2 * unit * area / jnp.where(total > 0, total, 1)
    small = jnp.where(gamma > 0, small, jnp.minimum(direct.samples, direct.features))
    return _gaps(small, n, features, direct.slope)


def feature_errors_at(
    levels: Levels, power: jax.Array, gamma: jax.Array, gaps: Gaps, n: jax.Array, noise: jax.Array
) -> dict[str, jax.Array]:
    """All errors at one point, from gamma and the gaps there."""
    share, other = gaps.share, 1 - gaps.share
    counted = dimension(levels, gamma)
    tail = levels.tail / jnp.where(gamma > 0, gamma, 1)
    fitted = variance_dimension(levels, gamma) * other + (counted + tail) * share
    excess = fitted / (gaps.samples + gaps.features * share)
    left = unlearned(levels, gamma)
    own = bias(levels, power, gamma)
    from_features = share * jnp.sum(learned(levels, gamma) * left * power)
    errors = errors_from(own + from_features, excess, noise)
    return errors | {
        "kappa": gamma,
        "bias": own,
        "variance": from_features + errors["variance"],
        "variance_from_features": from_features,
        "train_error": product(errors["gcv"], (gaps.samples / n) ** 2),
        "effective_dimension": counted,
    }


def _errors_at_point(power: jax.Array) -> Any:
    def errors(
        levels: Levels, n: Any, features: Any, ridge: Any, noise: Any
    ) -> dict[str, jax.Array]:
        gamma = mean_ridge_at(levels, n, features, ridge)
        gaps = _gaps_of_root(levels, gamma, n, features, ridge)
        return feature_errors_at(levels, power, gamma, gaps, n, noise)

    return errors


@jax.jit
def _errors(levels: Levels, power: jax.Array, *points: jax.Array) -> dict[str, jax.Array]:
    return map_points(_errors_at_point(power), levels, *points)
