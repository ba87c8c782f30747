"""Learning curves of kernel ridge regression at finite dimension: the deterministic equivalent.

The random Gram matrix of n samples is replaced by one number, the effective ridge, at which the
learnability of every level, and with it all errors, follow in closed form (arXiv:2006.13198,
arXiv:2110.03922; for the sphere in high dimension arXiv:2205.14846).
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kerneltheory.core import check
from kerneltheory.core.errors import DivergentError, NotPositiveDefiniteError, PrecisionError
from kerneltheory.core.precision import float64_policy
from kerneltheory.core.records import Array, is_concrete, working_dtype
from kerneltheory.learning.curve import LearningCurve
from kerneltheory.spectra.spectrum import Spectrum, Target

# Entries of a (points, levels) block that is worked on at once: a few MB in float64.
BLOCK_ENTRIES = 2**18
# Newton steps near n = total multiplicity with a tiny ridge only halve the distance to the root
# until kappa ~ sqrt(ridge); this many halvings cover the range of float64. Usual is about ten.
MAX_STEPS = 1100

ERROR = "0.3% of the test error at dim 30, 3% at dim 6"
# Levels left out of a spectrum act as ridge. Beyond this share of the variance they would not.
MAX_TRUNCATION = 0.01


class _Levels(NamedTuple):
    """A spectrum in one dtype; masses are multiplied before any rounding to float32."""

    eigenvalues: jax.Array
    multiplicities: jax.Array
    masses: jax.Array
    tail: jax.Array


class _Errors(NamedTuple):
    kappa: jax.Array
    overfitting: jax.Array
    bias: jax.Array
    variance_from_sampling: jax.Array
    variance_from_noise: jax.Array
    gcv: jax.Array
    train_error: jax.Array


@float64_policy
def effective_ridge(spectrum: Spectrum, n: Any, ridge: Any) -> Array:
    r"""Return the effective ridge of kernel ridge regression with n samples.

    $\kappa > 0$ solves
    $n = \sum_k N_k \lambda_k/(\lambda_k + \kappa) + (\delta + \mathrm{tail})/\kappa$.
    Without ridge and tail it is 0 from n = total multiplicity of the positive eigenvalues on.

    Args:
        spectrum: the levels of the kernel.
        n: number of samples, real > 0, any shape.
        ridge: absolute ridge $\delta \ge 0$, of a shape that broadcasts with n.

    Returns:
        $\kappa$, of the shape to which n and ridge broadcast. It is differentiable in all
        arguments, to any order.

    Raises:
        ValueError: n is not positive, or the ridge is negative.

    Reference: arXiv:2110.03922, arXiv:2006.13198.

    Examples:
        >>> spectrum = Spectrum([1.0], [100], tail=0.0)
        >>> round(float(effective_ridge(spectrum, n=50, ridge=0.0)), 12)  # 50 = 100/(1 + kappa)
        1.0
    """
    n, ridge = _problem(spectrum, n, ridge)
    levels, points, shape = _arrays(spectrum, n, ridge)
    return _effective_ridges(levels, *points).reshape(shape)


@float64_policy
def learning_curve(spectrum: Spectrum, target: Target, n: Any, ridge: Any) -> LearningCurve:
    r"""Return the errors of kernel ridge regression that the deterministic equivalent predicts.

    With the effective ridge $\kappa$ and the learnabilities $q_k = \lambda_k/(\lambda_k+\kappa)$,
    $$E_0 = \frac{n}{n - \sum_k N_k q_k^2}, \quad B = \sum_k (1-q_k)^2 F_k^2, \quad
      T + \sigma^2 = E_0 (B + \sigma^2), \quad
      \mathrm{train} = \Big(\frac{\delta}{n\kappa}\Big)^2 (T + \sigma^2).$$

    Args:
        spectrum: the levels of the kernel.
        target: power of the target at the levels of the spectrum, and the label noise.
        n: number of samples, real > 0, any shape.
        ridge: absolute ridge $\delta \ge 0$, of a shape that broadcasts with n.

    Returns:
        The curve; its arrays have the shape to which n and ridge broadcast. They are numpy
        float64 arrays, unless an argument holds jax arrays: then they have that dtype.

    Raises:
        ValueError: n is not positive, the ridge is negative, or the target has power at a
            level that the spectrum does not hold.
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
    n, ridge = _problem(spectrum, n, ridge)
    if not isinstance(target, Target):
        raise TypeError(f"target must be a Target, got {type(target).__name__}")
    power = target.powers(len(spectrum.degrees))
    _refuse_divergence(spectrum, n, ridge)
    levels, points, shape = _arrays(spectrum, n, ridge, target)
    dtype = levels.eigenvalues.dtype
    noise = jnp.asarray(target.noise_variance, dtype)
    flat = _errors(levels, jnp.asarray(power, dtype), noise, *points)
    _refuse_truncation(spectrum, flat.kappa, points)
    errors = _Errors(*(value.reshape(shape) for value in flat))
    sampling, from_noise = errors.variance_from_sampling, errors.variance_from_noise
    return LearningCurve(
        n=points[0].reshape(shape),
        ridge=points[1].reshape(shape),
        test_error=errors.bias + sampling + from_noise,
        bias=errors.bias,
        variance=sampling + from_noise,
        train_error=errors.train_error,
        kappa=errors.kappa,
        eigenvalues=levels.eigenvalues,
        overfitting=errors.overfitting,
        variance_from_sampling=sampling,
        variance_from_noise=from_noise,
        conditional_bias=errors.bias + sampling,
        gcv=errors.gcv,
        method="deterministic equivalent",
        error=ERROR,
    )


def _problem(spectrum: Spectrum, n: Any, ridge: Any) -> tuple[Any, Any]:
    """Check the arguments that do not depend on the target."""
    if not isinstance(spectrum, Spectrum):
        raise TypeError(
            f"spectrum must be a Spectrum, got {type(spectrum).__name__}; a kernel's is "
            "kt.spectrum(kernel, dim, max_degree), a certified one's is .round()"
        )
    if is_concrete(n):
        values = check.finite("n", n)
        if values.size == 0 or values.min() <= 0:
            lowest = values.min() if values.size else "an empty array"
            raise ValueError(f"n must be a positive number of samples, got {lowest}")
    if is_concrete(ridge) and check.nonnegative("ridge", ridge).size == 0:
        raise ValueError("ridge must hold at least one number, got an empty array")
    check.broadcastable("n", n, "ridge", ridge)
    return n, ridge


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


def _refuse_truncation(spectrum: Spectrum, kappa: Any, points: tuple[Any, Any]) -> None:
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


def _refuse_divergence(spectrum: Spectrum, n: Any, ridge: Any) -> None:
    if not is_concrete(spectrum, n, ridge) or float(spectrum.tail) > 0:
        return
    eigenvalues, multiplicities = map(np.asarray, (spectrum.eigenvalues, spectrum.multiplicities))
    rank = multiplicities[eigenvalues > 0].sum()
    if np.any((np.asarray(n) == rank) & (np.asarray(ridge) == 0)):
        raise DivergentError(
            f"n = {rank:g} equals the total multiplicity {rank:g} of the spectrum, and ridge and "
            "tail are zero: the variance is infinite there; take a ridge > 0 or another n"
        )


def _arrays(
    spectrum: Spectrum, n: Any, ridge: Any, target: Target | None = None
) -> tuple[_Levels, tuple[jax.Array, jax.Array], tuple[int, ...]]:
    """The spectrum and the flattened points (n, ridge) in the one dtype of the computation."""
    if is_concrete(spectrum) and np.any(np.asarray(spectrum.eigenvalues) < 0):
        worst = int(np.argmin(np.asarray(spectrum.eigenvalues)))
        raise NotPositiveDefiniteError(
            "spectrum must not have negative eigenvalues, got "
            f"{float(spectrum.eigenvalues[worst]):.6g} at degree {worst}: kernel ridge regression "
            "has no learning curve for a kernel that is not positive definite"
        )
    dtype = working_dtype(spectrum, n, ridge, target)
    fields = spectrum.eigenvalues, spectrum.multiplicities, spectrum.level_masses, spectrum.tail
    levels = _Levels(*(jnp.asarray(field, dtype) for field in fields))
    shape = np.broadcast_shapes(np.shape(n), np.shape(ridge))
    points = (jnp.broadcast_to(jnp.asarray(x, dtype), shape).ravel() for x in (n, ridge))
    return levels, tuple(points), shape  # pyright: ignore[reportReturnType]


def _denominators(levels: _Levels, kappa: jax.Array) -> jax.Array:
    # Only a level with eigenvalue 0 at kappa = 0 has no denominator; nothing of it is learned.
    total = levels.eigenvalues + kappa
    return jnp.where(total > 0, total, 1)


def _unlearned(levels: _Levels, kappa: jax.Array) -> jax.Array:
    """1 - q of every level."""
    total = levels.eigenvalues + kappa
    return jnp.where(total > 0, kappa / _denominators(levels, kappa), 1)


def _surplus(levels: _Levels, kappa: jax.Array, n: jax.Array) -> jax.Array:
    """Return n - sum N q, which is (ridge + tail)/kappa at the root.

    Well-learned levels are counted as N - N (1 - q), so that n - N is exact and neither a small
    ridge at n = total multiplicity nor a plateau between two levels is lost to rounding.
    """
    denominators = _denominators(levels, kappa)
    learned = levels.eigenvalues > kappa
    counted = jnp.where(learned, levels.multiplicities, 0)
    missing = jnp.sum(counted * (kappa / denominators))
    rest = jnp.sum(jnp.where(learned, 0, levels.masses / denominators))
    return (n - jnp.sum(counted)) + (missing - rest)


def _spread(levels: _Levels, kappa: jax.Array) -> jax.Array:
    """Return sum N q (1 - q)."""
    denominators = _denominators(levels, kappa)
    return jnp.sum((levels.masses / denominators) * (kappa / denominators))


def _newton(levels: _Levels, n: jax.Array, ridge: jax.Array) -> jax.Array:
    """The root of G = kappa (n - sum N q) - ridge - tail, convex and increasing, from the right.

    The Newton step is written as the ratio of two sums of positive terms. A point stops when its
    step no longer descends, so the result does not depend on the points solved beside it.
    """
    total_ridge = ridge + levels.tail
    rank = jnp.sum(jnp.where(levels.eigenvalues > 0, levels.multiplicities, 0))
    interpolates_exactly = (total_ridge == 0) & (n >= rank)
    start = jnp.where(interpolates_exactly, 0, (jnp.sum(levels.masses) + total_ridge) / n)
    tolerance = 2 * jnp.finfo(start.dtype).eps

    def descends(state: tuple[jax.Array, jax.Array, jax.Array]) -> jax.Array:
        return state[1] & (state[2] < MAX_STEPS)

    def step(state: tuple[jax.Array, jax.Array, jax.Array]) -> Any:
        kappa, _, steps = state
        spread = _spread(levels, kappa)
        slope = _surplus(levels, kappa, n) + spread
        updated = (kappa * spread + total_ridge) / slope
        active = updated < kappa * (1 - tolerance)
        return jnp.where(active, updated, kappa), active, steps + 1

    return jax.lax.while_loop(descends, step, (start, ~interpolates_exactly, jnp.int32(0)))[0]


def _effective_ridge(levels: _Levels, n: jax.Array, ridge: jax.Array) -> jax.Array:
    def equation(kappa: jax.Array) -> jax.Array:
        return kappa * _surplus(levels, kappa, n) - (ridge + levels.tail)

    # No stop_gradient in the solver: inside lax.map it makes second derivatives wrong.
    return jax.lax.custom_root(
        equation,
        jnp.zeros_like(n),
        lambda _, __: _newton(levels, n, ridge),
        lambda linear, value: value / linear(jnp.ones_like(value)),
    )


def _errors_at_point(
    levels: _Levels, power: jax.Array, noise: jax.Array, n: jax.Array, ridge: jax.Array
) -> _Errors:
    kappa = _effective_ridge(levels, n, ridge)
    positive = kappa > 0
    divisor = jnp.where(positive, kappa, 1)
    surplus = _surplus(levels, kappa, n)
    ridge_term = jnp.where(positive, (ridge + levels.tail) / divisor, surplus)
    true_ridge_term = jnp.where(positive, ridge / divisor, surplus)
    denominators = _denominators(levels, kappa)
    learned = (levels.masses / denominators) * (levels.eigenvalues / denominators)
    excess = jnp.sum(learned) / (_spread(levels, kappa) + ridge_term)
    bias = jnp.sum(_unlearned(levels, kappa) ** 2 * power)
    gcv = (1 + excess) * (bias + noise)
    return _Errors(
        kappa=kappa,
        overfitting=1 + excess,
        bias=bias,
        variance_from_sampling=excess * bias,
        variance_from_noise=excess * noise,
        gcv=gcv,
        train_error=(true_ridge_term / n) ** 2 * gcv,
    )


def _map_points(function: Any, levels: _Levels, n: jax.Array, ridge: jax.Array) -> Any:
    batch = max(1, min(n.size, BLOCK_ENTRIES // levels.eigenvalues.size))
    return jax.lax.map(lambda point: function(*point), (n, ridge), batch_size=batch)


@jax.jit
def _effective_ridges(levels: _Levels, n: jax.Array, ridge: jax.Array) -> jax.Array:
    return _map_points(lambda *point: _effective_ridge(levels, *point), levels, n, ridge)


@jax.jit
def _errors(
    levels: _Levels, power: jax.Array, noise: jax.Array, n: jax.Array, ridge: jax.Array
) -> _Errors:
    return _map_points(
        lambda *point: _errors_at_point(levels, power, noise, *point), levels, n, ridge
    )
