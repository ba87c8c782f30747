"""The record of a learning curve: what theory predicts and what a simulation measures."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from kerneltheory.core import check
from kerneltheory.core.records import Array, ArrayRecord, array_record, is_concrete, static
from kerneltheory.learning import display
from kerneltheory.learning.validity import (
    TOLERANCE,
    counts,
    equivalent_error,
    first_correction,
    shares,
)

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes

MEASURES = (
    "test_error",
    "bias",
    "variance",
    "train_error",
    "gcv",
    "leave_one_out",
    "conditional_bias",
    "variance_from_sampling",
    "variance_from_noise",
    "variance_from_features",
    "overfitting",
    "kappa",
    "effective_dimension",
    "posterior_variance",
    "log_marginal_likelihood",
)
# What a curve may be a function of; the first that varies along an axis of it names the axis.
PARAMETERS = ("n", "alpha", "features", "time", "ridge", "noise_variance")


@array_record
class StandardErrors(ArrayRecord):
    """Standard errors of the measured fields of a learning curve, across trials.

    Every field has the shape of the curve's field of the same name, or is None where that was
    not measured.
    """

    test_error: Array | None = None
    bias: Array | None = None
    variance: Array | None = None
    train_error: Array | None = None
    gcv: Array | None = None
    leave_one_out: Array | None = None

    def _table(self) -> tuple[list[str], list[list[str]]]:
        values = ((name, getattr(self, name, None)) for name in MEASURES)
        return display.rows_of([(k, np.asarray(v), None) for k, v in values if v is not None])


@array_record
class LearningCurve(ArrayRecord):
    r"""Errors of kernel ridge regression against the number of samples and the ridge.

    With $y_i = f(x_i) + \varepsilon_i$, $\sigma^2 = \mathrm{var}(\varepsilon)$ and $\hat f$ the
    predictor: test error $T = E|\hat f - f|^2$, against the noise-free target;
    bias $|E \hat f - f|^2$; $T = \mathrm{bias} + \mathrm{variance}$.

    All arrays have the shape to which n and the ridge broadcast, except `eigenvalues`. A field
    that was not predicted or measured is None.

    Args:
        n: number of samples.
        features: number of random features; None for the kernel itself.
        ridge: absolute ridge $\delta$ of $(K + \delta I)$.
        test_error: T.
        bias: of the predictor averaged over samples and noise.
        variance: T - bias.
        train_error: mean squared residual on the noisy labels.
        kappa: effective ridge.
        eigenvalues: of the levels, shape (levels,), in the unit of `kappa`.
        overfitting: $E_0$, the factor by which test error plus noise exceeds what
            regression on the average kernel would give: $T + \sigma^2 = E_0 (B + \sigma^2)$
            (with random features, $B + \mathrm{variance\_from\_features}$ in place of B).
        variance_from_sampling: the part of the variance there is without noise.
        variance_from_noise: the part proportional to $\sigma^2$.
        variance_from_features: of regression on random features, the variance of the predictor
            averaged over samples and noise; else None.
        conditional_bias: bias of the predictor averaged over the noise only, the samples (and
            random features) being given; the mean of this is bias + variance_from_sampling
            (+ variance_from_features).
        gcv: generalised cross-validation, which estimates $T + \sigma^2$.
        leave_one_out: leave-one-out error, which estimates $T + \sigma^2$.
        effective_dimension: $\sum_k N_k q_k$.
        posterior_variance: of the Gaussian process whose noise is the ridge, its mean over inputs.
        log_marginal_likelihood: of the labels under that process.
        noise_variance: $\sigma^2$, as an array.
        level_masses: $N_k \lambda_k$ of the levels, shape (levels,).
        power: $F_k^2$ of the levels, shape (levels,).
        signs: of the coefficients of the activation, shape (levels,), of random features.
        time: training time of gradient flow, where it is not run to its end.
        alpha: samples in units of the multiplicity of a degree, where the limit of high
            dimension was taken.
        standard_errors: of the measured fields, where trials were made.
        trials: number of trials, or one number for each entry.
        dim: d, of a spectrum on the sphere.
        method: what made the curve.
        error: what is known of its error.

    Raises:
        TypeError, ValueError: a field is no real array, or does not broadcast with the others.

    Examples:
        >>> LearningCurve(n=np.array([10, 20]), ridge=np.array([0.1, 0.1]),
        ...               test_error=np.array([0.5, 0.25]), bias=np.array([0.25, 0.125]),
        ...               variance=np.array([0.25, 0.125]), method="example")
        LearningCurve: example, ridge 0.1
         n  test error   bias  variance
        10         0.5   0.25      0.25
        20        0.25  0.125     0.125
    """

    n: Array | None = None
    features: Array | None = None
    ridge: Array | None = None
    test_error: Array | None = None
    bias: Array | None = None
    variance: Array | None = None
    train_error: Array | None = None
    kappa: Array | None = None
    eigenvalues: Array | None = None
    overfitting: Array | None = None
    variance_from_sampling: Array | None = None
    variance_from_noise: Array | None = None
    variance_from_features: Array | None = None
    conditional_bias: Array | None = None
    gcv: Array | None = None
    leave_one_out: Array | None = None
    effective_dimension: Array | None = None
    posterior_variance: Array | None = None
    log_marginal_likelihood: Array | None = None
    noise_variance: Array | None = None
    level_masses: Array | None = None
    power: Array | None = None
    signs: Array | None = None
    time: Array | None = None
    alpha: Array | None = None
    standard_errors: StandardErrors | None = None
    trials: Array | int | None = None
    dim: int | None = static(None)
    method: str = static("given")
    error: str | None = static(None)

    def __post_init__(self) -> None:
        fields = {name: getattr(self, name) for name in (*PARAMETERS, *MEASURES)}
        given = {name: value for name, value in fields.items() if value is not None}
        for name, value in given.items():
            if isinstance(value, list | tuple):
                given[name] = np.asarray(value)
                object.__setattr__(self, name, given[name])
            if not isinstance(value, jax.Array) and np.asarray(value).dtype.kind not in "biuf":
                raise TypeError(f"{name} must be a real array, got {check.shown(value)}")
        odd = {name: value for name, value in given.items() if np.ndim(value)}
        check.broadcastable(**odd)

    @property
    def learnability(self) -> Array | None:
        r"""$q_k = \lambda_k/(\lambda_k + \kappa)$, shape of the curve + (levels,).

        A level that the kernel does not have is not learned: $q_k = 0$ for $\lambda_k = 0$.
        """
        if self.eigenvalues is None or self.kappa is None:
            return None
        return shares(self.eigenvalues, self.kappa)[0]

    @property
    def kare(self) -> Array | None:
        r"""The kernel alignment risk estimator, the same number as generalised cross-validation.

        It is $(a^T a/n)/(\mathrm{tr} M/n)^2$ with $M = (K + \delta)^{-1}$ and $a = M y$.

        Reference: arXiv:2006.09796.
        """
        return self.gcv

    @property
    def degree_errors(self) -> Array | None:
        r"""The part of the test error at each level, shape of the curve + (levels,).

        $$T_k = (1-q_k)^2 F_k^2 + \frac{T + \sigma^2}{n} N_k q_k^2, \qquad \sum_k T_k = T.$$

        None where it is not known: for a curve of random features, or without a spectrum.
        """
        needed = (self.kappa, self.eigenvalues, self.power, self.level_masses)
        needed += (self.n, self.test_error, self.noise_variance)
        if self.features is not None or any(value is None for value in needed):
            return None
        learned, unlearned = shares(self.eigenvalues, self.kappa)
        counted = counts(self.level_masses, self.eigenvalues, self.kappa)
        noisy = (np.asarray(self.test_error) + np.asarray(self.noise_variance))[..., None]
        weights = counted / np.asarray(self.n)[..., None] * learned
        # What is not learned adds nothing, also where the test error is infinite.
        from_samples = np.multiply(
            noisy, weights, out=np.zeros_like(weights), where=np.greater(weights, 0)
        )
        return unlearned**2 * np.asarray(self.power) + from_samples

    @property
    def validity(self) -> np.ndarray | None:
        """Estimated relative error of the deterministic equivalent's test error at every point.

        None for what is no such curve. `learning.validity` says what it rests on.
        """
        if not is_concrete(self):
            return None
        return equivalent_error(self)

    @property
    def valid(self) -> np.ndarray | None:
        """Where `validity` is below one part in 100."""
        estimate = self.validity
        return None if estimate is None else estimate < TOLERANCE

    @property
    def correction(self) -> np.ndarray | None:
        """The first correction to the test error of random features, relatively, at every point.

        `test_error * (1 + correction)` is off by about `correction_error`, infinity where nothing
        is known. None for other curves. `learning.feature_validity` derives it.
        """
        found = first_correction(self) if is_concrete(self) else None
        return None if found is None else found[0]

    @property
    def correction_error(self) -> np.ndarray | None:
        """Estimated relative error of the corrected test error of random features."""
        found = first_correction(self) if is_concrete(self) else None
        return None if found is None else found[1]

    def measured(self) -> Iterator[tuple[str, np.ndarray]]:
        """The names and values of the fields that are not None."""
        for name in MEASURES:
            value = getattr(self, name)
            if value is not None:
                yield name, np.asarray(value)

    def standard_error(self, name: str) -> np.ndarray | None:
        """The standard error of a field, or None where it was not measured.

        Args:
            name: of a field that trials measure, as "test_error".

        Raises:
            ValueError: it is no such field.
        """
        check.one_of("name", name, (*MEASURES, "kare"))
        value = getattr(self.standard_errors, name, None)
        return None if value is None else np.asarray(value)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the curve: what its parameters and fields broadcast to."""
        values = (getattr(self, name) for name in (*PARAMETERS, *MEASURES))
        return np.broadcast_shapes(*(np.shape(value) for value in values if value is not None))

    def parameters(self) -> dict[str, np.ndarray]:
        """What the curve is a function of, each in its shape: of `PARAMETERS` those it has."""
        given = ((name, getattr(self, name)) for name in PARAMETERS)
        return {k: np.broadcast_to(np.asarray(v), self.shape) for k, v in given if v is not None}

    def _title(self) -> str:
        return display.title(self)

    def _table(self) -> tuple[list[str], list[list[str]]]:
        return display.table(self)

    def to_xarray(self) -> "xarray.Dataset":
        """The fields on axes named after what varies along them, as an xarray.Dataset.

        The parameters n, alpha, features, time, ridge and noise variance are coordinates. The
        first of them that varies along an axis, and along no other, names it; others that vary
        with it, as the best ridge does with n, are coordinates on it. An axis along which none
        varies is called axis_0, axis_1 and so on; what is known of levels has the axis `degree`.
        Standard errors are variables named `<field>_standard_error`.
        """
        return display.dataset(self)

    def plot(
        self,
        ax: "Axes | None" = None,
        fields: str | Iterable[str] | None = None,
        **style: Any,
    ) -> "Axes":
        """Draw fields against n (or alpha) and return the axes.

        Where n does not vary, the axis is the first that does of features, training time, ridge
        and noise variance. An axis is logarithmic where its values are positive, else linear; that
        of a parameter which is 0 somewhere and spans decades is linear up to the least above 0.

        Theory is drawn as lines; a field that has standard errors as dots with error bars. A
        curve with several ridges, say, besides several n is drawn as one line for each ridge.
        A triangle marks each visible peak that the test error of theory has among its points.

        Args:
            ax: axes to draw in; a new figure if None.
            fields: name of a field, or names; by default test error, bias and variance, of which
                those that are None are left out.
            style: passed on to matplotlib.

        Raises:
            ValueError: a name is not that of a field of the curve, or the field is None.
        """
        from kerneltheory.learning.plots import plot_fields  # as late as matplotlib itself

        return plot_fields(self, ax, fields, **style)

    def plot_degrees(self, ax: "Axes | None" = None, most: int = 7, **style: Any) -> "Axes":
        """Draw the test error against n as stacked areas, one a level, and return the axes.

        Where n does not vary, the axis is that of `plot`.

        Args:
            ax: axes to draw in; a new figure if None.
            most: how many levels have an area of their own; the others, and those that never
                have one part in 100 of the error, share one.
            style: passed on to matplotlib.

        Raises:
            ValueError: the curve has no errors by level, or no single axis.
        """
        from kerneltheory.learning.plots import plot_degrees

        return plot_degrees(self, ax, most, **style)

    def plot_learnability(self, ax: "Axes | None" = None, **style: Any) -> "Axes":
        """Draw the learnability of each level against n as a heat map and return the axes.

        Levels above the last of which one part in 100 is learned are left out. Where n does not
        vary, the axis is that of `plot`.

        Args:
            ax: axes to draw in; a new figure if None.
            style: passed on to matplotlib.

        Raises:
            ValueError: the curve has no learnabilities, or no single axis.
        """
        from kerneltheory.learning.plots import plot_learnability

        return plot_learnability(self, ax, **style)
