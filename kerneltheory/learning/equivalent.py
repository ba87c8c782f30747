"""Learning curves of kernel ridge regression at finite dimension: the deterministic equivalent.

The random Gram matrix of n samples is replaced by one number, the effective ridge, at which the
learnability of every level, and with it all errors, follow in closed form (arXiv:2006.13198,
arXiv:2110.03922; for the sphere in high dimension arXiv:2205.14846).
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kerneltheory.core import check
from kerneltheory.core.errors import PrecisionError
from kerneltheory.core.precision import float64_policy
from kerneltheory.core.records import Array, is_concrete, positive, working_dtype
from kerneltheory.learning.curve import LearningCurve
from kerneltheory.learning.levels import (
    Levels,
    bias,
    dimension,
    effective_ridge_at,
    levels_of,
    lowest_ridge_at,
    map_points,
    spread,
    surplus,
    variance_dimension,
)
from kerneltheory.learning.risk import errors_from, product, refuse_divergence
from kerneltheory.spectra.spectrum import Spectrum, Target

# Domains whose eigenfunctions of one degree are no harmonics of a sphere.
FEATURES_OF_PRODUCTS = ("hypercube", "gaussian")
MOST_PADDING = 512
# Where levels are few, compilation takes longer than so many points.
LEAST_POINTS, FEW_LEVELS = 16, 1024
UNDERFLOW = 2**20
# Levels left out of a spectrum act as ridge. Beyond this share of the variance they would not.
MAX_TRUNCATION = 0.01


@float64_policy
def effective_ridge(spectrum: Spectrum, n: Any, ridge: Any) -> Array:
    r"""Return the effective ridge of kernel ridge regression with n samples.

    $\kappa > 0$ solves
    $n = \sum_k N_k \lambda_k/(\lambda_k + \kappa) + (\delta + \mathrm{tail})/\kappa$.
    Without ridge and tail it is 0 from n = total multiplicity of the positive eigenvalues on.

    Args:
        spectrum: the levels of the kernel.
        n: number of samples, real > 0, any shape.
        ridge: absolute ridge $\delta$, above `lowest_ridge`, broadcasts with n.

    Returns:
        $\kappa$, of the shape to which n and ridge broadcast. It is differentiable in all
        arguments, to any order. Of two roots at a negative ridge it is the larger.

    Raises:
        ValueError: n is not positive, or the ridge is below the most negative one.

    Reference: arXiv:2110.03922, arXiv:2006.13198.

    Examples:
        >>> spectrum = Spectrum([1.0], [100], tail=0.0)
        >>> round(float(effective_ridge(spectrum, n=50, ridge=0.0)), 12)  # 50 = 100/(1 + kappa)
        1.0
    """
    levels, points, shape = problem(spectrum, n, ridge)
    return shaped(_effective_ridges(levels, *points[:2]), shape)


@float64_policy
def lowest_ridge(spectrum: Spectrum, n: Any) -> Array:
    r"""Return the most negative ridge at which the Gram matrix stays positive definite.

    It is minus the lower edge of the spectrum of the Gram matrix in the deterministic equivalent,
    $$\delta_{min} = -\kappa^* \sum_k N_k q_k^* (1 - q_k^*) - \mathrm{tail}, \qquad
      \sum_k N_k (q_k^*)^2 = n,$$
    and -tail from n = total multiplicity on. The test error diverges on the way to it.

    Args:
        spectrum: the levels of the kernel.
        n: number of samples, real > 0, any shape.

    Returns:
        $\delta_{min} \le 0$, of the shape of n.

    Raises:
        ValueError: n is not positive.

    Reference: arXiv:2208.00256 for negative ridges; arXiv:2110.03922 for the equation.

    Examples:
        >>> features = Spectrum([1 / 100], [100])  # the law of Marchenko and Pastur
        >>> round(float(lowest_ridge(features, n=25)), 12)  # -(1 - sqrt(1/4))^2
        -0.25
    """
    levels, points, shape = problem(spectrum, n)
    return shaped(_lowest_ridges(levels, points[0]), shape)


@float64_policy
def learning_curve(spectrum: Spectrum, target: Target, n: Any, ridge: Any) -> LearningCurve:
    r"""Return the errors of kernel ridge regression that the deterministic equivalent predicts.

    With the effective ridge $\kappa$ and the learnabilities $q_k = \lambda_k/(\lambda_k+\kappa)$,
    $$E_0 = \frac{n}{n - \sum_k N_k q_k^2}, \quad B = \sum_k (1-q_k)^2 F_k^2, \quad
      T + \sigma^2 = E_0 (B + \sigma^2), \quad
      \mathrm{train} = \Big(\frac{\delta}{n\kappa}\Big)^2 (T + \sigma^2).$$
    Generalised cross-validation, the estimator KARE (which equals it) and leave-one-out all tend
    to $T + \sigma^2$. The mean posterior variance of the Gaussian process whose noise is the ridge
    tends to $n\kappa - \delta$, and its log marginal likelihood of the labels to
    $$-\tfrac12\Big[\sum_k \frac{F_k^2}{\lambda_k+\kappa} + \frac{\sigma^2}{\kappa}
      + \sum_k N_k \ln\Big(1 + \frac{\lambda_k}{\kappa}\Big) + n \ln (n \kappa)
      + \frac{\delta + \mathrm{tail}}{\kappa} - n + n \ln 2\pi\Big].$$

    Args:
        spectrum: the levels of the kernel.
        target: power of the target at the levels of the spectrum, and the label noise.
        n: number of samples, real > 0, any shape.
        ridge: absolute ridge $\delta$; it may be negative, above `lowest_ridge`.

    Returns:
        The curve; its arrays have the shape to which n, ridge and the noise variance broadcast.
        They are numpy float64 arrays, unless an argument holds jax arrays: then they have that
        dtype. All are differentiable in all arguments. Its `validity` estimates how far the
        equivalent itself is off at every point, `valid` says where that is below one part in 100.

    Raises:
        ValueError: n is not positive, the ridge is below the most negative one, or the target has
            power at a level that the spectrum does not hold.
        NotPositiveDefiniteError: the spectrum has a negative eigenvalue.
        DivergentError: ridge and tail are zero and n is the total multiplicity, where the
            variance is infinite. Under jit, where values are not known, it is infinity instead.
        PrecisionError: the spectrum of a kernel on the sphere stops at a degree that n samples
            begin to learn (`truncation_share` is above 1%); under jit it is not checked.

    Reference: arXiv:2006.13198, arXiv:2110.03922, arXiv:2205.14846.

    Examples:
        >>> spectrum = Spectrum([1.0], [100])
        >>> curve = learning_curve(spectrum, Target({0: 1.0}), n=np.array([25, 50]), ridge=0.0)
        >>> curve.test_error
        array([0.75, 0.5 ])
    """
    check_target(target)
    levels, points, shape = problem(spectrum, n, ridge, target)
    power = jnp.asarray(target.powers(len(spectrum.degrees)), levels.eigenvalues.dtype)
    aligned = levels.aligned(power)
    lost = points[2] + jnp.sum(jnp.where(levels.eigenvalues > 0, 0, aligned))
    refuse_divergence(points[0], levels.rank, points[1] + levels.tail, lost)
    flat = _errors(levels, aligned, *points)
    refuse_truncation(spectrum, flat["kappa"], points)
    dim = None if spectrum.domain in FEATURES_OF_PRODUCTS else spectrum.dim
    labels = {"dim": dim, "method": "deterministic equivalent"}
    return curve_of(levels, power, points, flat, shape, **labels)


def curve_of(
    levels: Levels, power: Any, points: Any, flat: Any, shape: tuple[int, ...], **labels: Any
) -> LearningCurve:
    """The record of the errors at flat points (n, ridge, noise), in the shape asked for.

    It holds the levels of the target's power, and not those that only fill up a length.
    """
    n, ridge, noise = (shaped(value, shape) for value in points)
    return LearningCurve(
        n=n,
        ridge=ridge,
        noise_variance=noise,
        eigenvalues=levels.eigenvalues[: power.size],
        level_masses=levels.masses[: power.size],
        power=power,
        **{name: shaped(value, shape) for name, value in flat.items()},
        **labels,
    )


def check_target(target: Any) -> None:
    """Refuse what is no Target."""
    if not isinstance(target, Target):
        raise TypeError(f"target must be a Target, got {type(target).__name__}")


def problem(
    spectrum: Spectrum, n: Any, ridge: Any = 0.0, target: Target | None = None
) -> tuple[Levels, tuple[jax.Array, ...], tuple[int, ...]]:
    """Check the arguments; the levels, the flat points (n, ridge, noise), and their shape."""
    check_spectrum(spectrum)
    positive("n", n)
    noise = 0.0 if target is None else target.noise_variance
    if is_concrete(ridge) and check.finite("ridge", ridge).size == 0:
        raise ValueError("ridge must hold at least one number, got an empty array")
    check.broadcastable(n=n, ridge=ridge)
    if np.ndim(noise):
        check.broadcastable(n=n, ridge=ridge, noise_variance=noise)
    dtype = working_dtype(spectrum, n, ridge, target)
    levels = levels_of(spectrum, dtype)
    points, shape = flat_points(levels, n, ridge, noise, dtype=dtype)
    refuse_overflow("n", levels, points[0], points[1])
    _refuse_ridge(spectrum, levels, points)
    return levels, points, shape


def refuse_overflow(name: str, levels: Levels, count: jax.Array, ridge: jax.Array) -> None:
    """Refuse numbers of samples so small that the effective ridge (h(1) + ridge)/n is no float.

    Args:
        name: of the argument.
        levels: of the spectrum.
        count: number of samples, or of features.
        ridge: broadcasts with it.

    Raises:
        ValueError: naming the least number that is accepted.
    """
    if not is_concrete(levels, count, ridge):
        return
    limits = np.finfo(count.dtype)
    scale = np.asarray(levels.trace, float) / 2 + np.abs(np.asarray(ridge, float)) / 2
    # With a factor of 2 for sums on the way. Products underflow well above the least normal number.
    least = np.maximum(4 * (scale / float(limits.max)), UNDERFLOW * float(limits.tiny))
    low = np.asarray(count, float) < least
    if low.any():
        worst = int(np.flatnonzero(low)[0])
        raise ValueError(
            f"{name} must be at least {np.broadcast_to(least, low.shape)[worst]:.3g} here, where "
            f"the effective ridge leaves the range of floats, got {float(count[worst]):g}"
        )


def check_spectrum(spectrum: Any) -> None:
    """Refuse what is no Spectrum."""
    if not isinstance(spectrum, Spectrum):
        raise TypeError(
            f"spectrum must be a Spectrum, got {type(spectrum).__name__}; a kernel's is "
            "kt.spectrum(kernel, dim, max_degree), a certified one's is .round()"
        )


def _refuse_ridge(spectrum: Spectrum, levels: Levels, points: tuple[jax.Array, ...]) -> None:
    """Refuse ridges at which the Gram matrix is not positive definite."""
    if not is_concrete(spectrum, points) or not np.any(np.asarray(points[1]) < 0):
        return
    n, ridge = (np.asarray(point) for point in points[:2])
    lowest = np.asarray(_lowest_ridges(levels, points[0]))
    # With more samples than modes the limit itself is regression without ridge on the modes.
    edge = (ridge == lowest) & (n < float(levels.rank))
    below = (ridge < 0) & ((ridge < lowest) | edge)
    if below.any():
        worst = int(np.flatnonzero(below)[0])
        raise ValueError(
            f"ridge must be above {lowest[worst] + 0.0:.6g} at n = {n[worst]:g}, where the least "
            f"eigenvalue of K + ridge I vanishes, got {ridge[worst]:g}"
        )


def truncation_share(spectrum: Spectrum, kappa: Any) -> np.ndarray:
    r"""Return the share in the variance of the degrees that a spectrum leaves out, about.

    A level's share is that of $N_k q_k^2$. Above the last degree $\lambda_k$ is at most about the
    last (of two, since every other one may vanish), so that what is left out adds at most
    $\mathrm{tail}\,\lambda_{\mathrm{last}}/\kappa^2$ to $\sum_k N_k q_k^2$.

    Args:
        spectrum: the levels of a kernel on the sphere, by degree.
        kappa: effective ridge, any shape.

    Returns:
        The ratio of the two, of the shape of kappa.

    Examples:
        >>> short = Spectrum([1.0, 0.1, 0.01], [1, 3, 5], tail=0.02)
        >>> truncation_share(short, kappa=np.array([0.01, 10.0])) > 0.01
        array([ True, False])
    """
    kappa = np.asarray(kappa, dtype=np.float64)[..., None]
    eigenvalues = np.asarray(spectrum.eigenvalues, dtype=np.float64)
    # All in units of kappa^2, since kappa may be zero.
    unlearned = kappa / np.maximum(eigenvalues + kappa, np.finfo(float).tiny)
    held = np.sum(np.asarray(spectrum.level_masses) * eigenvalues * unlearned**2, axis=-1)
    left_out = float(spectrum.tail) * eigenvalues[-2:].max()
    return left_out / np.maximum(held, np.finfo(float).tiny)


def refuse_truncation(spectrum: Spectrum, kappa: Any, points: tuple[jax.Array, ...]) -> None:
    """Refuse effective ridges at points (n, ridge) that learn more than a spectrum holds."""
    if not is_concrete(spectrum, kappa, points) or spectrum.dim is None:
        return
    shares = truncation_share(spectrum, kappa)
    if shares.max() > MAX_TRUNCATION:
        worst = int(shares.argmax())
        highest = len(spectrum.degrees) - 1
        raise PrecisionError(
            f"the spectrum stops at degree {highest}, but n = {float(points[0][worst]):g} samples "
            f"at ridge {float(points[1][worst]):g} begin to learn higher degrees, which it takes "
            f"for a mere ridge; ask kt.spectrum for max_degree above {highest}"
        )


def flat_points(
    levels: Levels, *values: Any, dtype: Any
) -> tuple[tuple[jax.Array, ...], tuple[int, ...]]:
    """Arrays flattened to their common shape, and that shape.

    Their last entry is repeated up to a power of two, from 16 on where levels are few: jax compiles
    once for many numbers of points.
    """
    shape = np.broadcast_shapes(*map(np.shape, values))
    size = math.prod(shape)
    length = min(2 ** (size - 1).bit_length(), size + MOST_PADDING)
    if levels.eigenvalues.size <= FEW_LEVELS:
        length = max(length, LEAST_POINTS)
    flat = (jnp.broadcast_to(jnp.asarray(x, dtype), shape).ravel() for x in values)
    return tuple(jnp.pad(x, (0, length - size), mode="edge") for x in flat), shape


def shaped(flat: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """The values at flat points, in the shape that they came from."""
    return flat[: math.prod(shape)].reshape(shape)


def errors_at(
    levels: Levels, power: jax.Array, kappa: jax.Array, point: tuple[jax.Array, ...]
) -> dict[str, jax.Array]:
    """All errors at one point (n, ridge, noise) from its effective ridge."""
    n, ridge, noise = point
    positive = kappa > 0
    divisor = jnp.where(positive, kappa, 1)
    left = surplus(levels, kappa, n)
    ridge_term = jnp.where(positive, (ridge + levels.tail) / divisor, left)
    true_ridge_term = jnp.where(positive, ridge / divisor, left)
    excess = variance_dimension(levels, kappa) / (spread(levels, kappa) + ridge_term)
    errors = errors_from(bias(levels, power, kappa), excess, noise)
    effective = dimension(levels, kappa)
    return errors | {
        "kappa": kappa,
        "train_error": product(errors["gcv"], (true_ridge_term / n) ** 2),
        "effective_dimension": effective,
        "posterior_variance": kappa * effective + levels.tail,
        "log_marginal_likelihood": _log_marginal_likelihood(levels, power, kappa, point),
    }


def _log_marginal_likelihood(
    levels: Levels, power: jax.Array, kappa: jax.Array, point: tuple[jax.Array, ...]
) -> jax.Array:
    n, ridge, noise = point
    positive = kappa > 0
    kappa = jnp.where(positive, kappa, 1)
    known = levels.eigenvalues > kappa
    large = jnp.where(known, levels.eigenvalues, kappa)
    small = jnp.where(known, kappa, levels.eigenvalues) / large
    # N ln(1 + lambda/kappa); a level that is not learned may have more modes than floats count.
    counted = jnp.where(known, levels.multiplicities, 0)
    shape = jnp.where(small > 0, jnp.log1p(small) / jnp.where(small > 0, small, 1), 1)
    per_level = jnp.where(
        known,
        counted * (jnp.log(large) - jnp.log(kappa) + jnp.log1p(small)),
        levels.masses / kappa * shape,
    )
    determinant = jnp.sum(per_level) + n * jnp.log(n * kappa) + (ridge + levels.tail) / kappa - n
    fit = jnp.sum(power / (levels.eigenvalues + kappa)) + noise / kappa
    likelihood = -0.5 * (fit + determinant + n * jnp.log(2 * jnp.pi))
    return jnp.where(positive, likelihood, -jnp.inf)


def _errors_at_point(power: jax.Array) -> Any:
    def errors(levels: Levels, n: Any, ridge: Any, noise: Any) -> dict[str, jax.Array]:
        return errors_at(levels, power, effective_ridge_at(levels, n, ridge), (n, ridge, noise))

    return errors


@jax.jit
def _effective_ridges(levels: Levels, n: jax.Array, ridge: jax.Array) -> jax.Array:
    return map_points(effective_ridge_at, levels, n, ridge)


@jax.jit
def _lowest_ridges(levels: Levels, n: jax.Array) -> jax.Array:
    return map_points(lowest_ridge_at, levels, n)


@jax.jit
def _errors(levels: Levels, power: jax.Array, *points: jax.Array) -> dict[str, jax.Array]:
    return map_points(_errors_at_point(power), levels, *points)
