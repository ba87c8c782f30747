"""The record of a learning curve: what theory predicts and what a simulation measures."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from kerneltheory.core.records import (
    Array,
    ArrayRecord,
    array_record,
    is_concrete,
    shown_rows,
    static,
)
from kerneltheory.learning.validity import TOLERANCE, equivalent_error

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
        names = [name for name in MEASURES if getattr(self, name, None) is not None]
        columns = [np.ravel(getattr(self, name)) for name in names]
        count = len(columns[0]) if columns else 0
        rows = [
            [_cell(column, index) for column in columns] for index in shown_rows(count) if names
        ]
        return [words(name) for name in names], rows


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
        time: training time of gradient flow, where it is not run to its end.
        alpha: samples in units of the multiplicity of a degree, where the limit of high
            dimension was taken.
        standard_errors: of the measured fields, where trials were made.
        trials: number of trials, or one number for each entry.
        dim: d, of a spectrum on the sphere.
        method: what made the curve.
        error: what is known of its error.

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
    time: Array | None = None
    alpha: Array | None = None
    standard_errors: StandardErrors | None = None
    trials: Array | int | None = None
    dim: int | None = static(None)
    method: str = static("given")
    error: str | None = static(None)

    @property
    def learnability(self) -> Array | None:
        r"""$q_k = \lambda_k/(\lambda_k + \kappa)$, shape of the curve + (levels,).

        A level that the kernel does not have is not learned: $q_k = 0$ for $\lambda_k = 0$.
        """
        if self.eigenvalues is None or self.kappa is None:
            return None
        kappa, eigenvalues = np.asarray(self.kappa)[..., None], np.asarray(self.eigenvalues)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(eigenvalues > 0, 1 / (1 + kappa / eigenvalues), 0.0)

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
        learned = self.learnability
        if (
            learned is None
            or self.features is not None
            or self.power is None
            or self.level_masses is None
        ):
            return None
        assert self.test_error is not None
        noisy = np.asarray(self.test_error) + np.asarray(self.noise_variance)
        total = np.asarray(self.kappa)[..., None] + np.asarray(self.eigenvalues)
        counted = np.asarray(self.level_masses) / np.where(total > 0, total, 1)
        from_samples = (noisy / np.asarray(self.n))[..., None] * counted * learned
        return (1 - learned) ** 2 * np.asarray(self.power) + from_samples

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

    def measured(self) -> Iterator[tuple[str, np.ndarray]]:
        """The names and values of the fields that are not None."""
        for name in MEASURES:
            value = getattr(self, name)
            if value is not None:
                yield name, np.asarray(value)

    def standard_error(self, name: str) -> np.ndarray | None:
        """The standard error of a field, or None where it has none."""
        value = getattr(self.standard_errors, name, None)
        return None if value is None else np.asarray(value)

    def samples(self) -> tuple[str, np.ndarray]:
        """The axis of the curve: n where that is known, else alpha, in the curve's shape."""
        name = "alpha" if self.n is None else "n"
        shape = next((value.shape for _, value in self.measured()), ())
        value = getattr(self, name)
        return name, np.broadcast_to(np.nan if value is None else np.asarray(value), shape)

    def ridges(self) -> np.ndarray:
        """The ridge in the curve's shape."""
        shape = self.samples()[1].shape
        return np.broadcast_to(0.0 if self.ridge is None else np.asarray(self.ridge), shape)

    def parameters(self) -> dict[str, np.ndarray]:
        """What a curve is a function of beside its axis: features, training time and ridge."""
        shape = self.samples()[1].shape
        given = {"features": self.features, "time": self.time, "ridge": self.ridges()}
        return {k: np.broadcast_to(v, shape) for k, v in given.items() if v is not None}

    def _title(self) -> str:
        ridges = np.unique(self.ridges())
        single = self.ridge is not None and ridges.size == 1
        ridge = f", ridge {ridges[0]:.6g}" if single else ""
        trials = "" if self.trials is None else f", {_range(np.asarray(self.trials))} trials"
        valid = self.valid
        count = "" if valid is None else f"valid at {int(valid.sum())} of {valid.size} points"
        error = f" ({self.error or count})" if self.error or count else ""
        return f"LearningCurve: {self.method}{ridge}{trials}{error}"

    def _table(self) -> tuple[list[str], list[list[str]]]:
        name, samples = self.samples()
        columns = [(name, samples, None)]
        columns += [
            (key, value, None)
            for key, value in self.parameters().items()
            if np.unique(value).size > 1
        ]
        columns += [
            (field, value, self.standard_error(field))
            for field, value in self.measured()
            if field in ("test_error", "bias", "variance")
        ]
        rows = [
            [_cell(np.ravel(value), row, error) for _, value, error in columns]
            for row in shown_rows(samples.size)
        ]
        return [words(header) for header, _, _ in columns], rows

    def to_xarray(self) -> "xarray.Dataset":
        """The measured fields on the axes `n` (or `alpha`), `features` and `ridge`.

        Returns an xarray.Dataset. An axis along which none or several of these vary is called
        axis_0, axis_1 and so on. Standard errors are variables named `<field>_standard_error`.
        """
        import xarray

        name, samples = self.samples()
        parameters = {name: samples, **self.parameters()}
        axes = _axis_names(parameters)
        variables: dict[str, Any] = {field: (axes, value) for field, value in self.measured()}
        for field, _ in self.measured():
            error = self.standard_error(field)
            if error is not None:
                variables[f"{field}_standard_error"] = (axes, error)
        learnability = self.learnability
        if learnability is not None:
            variables["learnability"] = ((*axes, "degree"), learnability)
        coordinates: dict[str, Any] = {}
        for key, value in parameters.items():
            along = key if key in axes else axes
            coordinates[key] = (along, _along(value, axes.index(key)) if key in axes else value)
        validity = self.validity
        if validity is not None:
            variables["validity"] = (axes, validity)
        attributes = {"method": self.method, "error": self.error or ""}
        if self.trials is not None:
            variables["trials"] = (axes, np.broadcast_to(np.asarray(self.trials), samples.shape))
        return xarray.Dataset(variables, coords=coordinates, attrs=attributes)

    def plot(
        self,
        ax: "Axes | None" = None,
        fields: tuple[str, ...] = ("test_error", "bias", "variance"),
        **style: Any,
    ) -> "Axes":
        """Draw fields against n (or alpha) on logarithmic axes and return the axes.

        Theory is drawn as lines; a field that has standard errors as dots with error bars. A
        curve with several ridges, or numbers of random features, is drawn as one line for each.
        A triangle marks each peak that the test error of theory has among the points drawn.

        Args:
            ax: axes to draw in; a new figure if None.
            fields: names of the fields; those that are None are left out.
            style: passed on to matplotlib.

        Raises:
            ValueError: a name is not that of a field of the curve.
        """
        from kerneltheory.learning.plots import plot_fields  # as late as matplotlib itself

        return plot_fields(self, ax, fields, **style)

    def plot_degrees(self, ax: "Axes | None" = None, most: int = 7, **style: Any) -> "Axes":
        """Draw the test error against n as stacked areas, one a level, and return the axes.

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

        Levels above the last of which one part in 100 is learned are left out.

        Args:
            ax: axes to draw in; a new figure if None.
            style: passed on to matplotlib.

        Raises:
            ValueError: the curve has no learnabilities, or no single axis.
        """
        from kerneltheory.learning.plots import plot_learnability

        return plot_learnability(self, ax, **style)


def _range(counts: np.ndarray) -> str:
    low, high = counts.min(), counts.max()
    return f"{low}" if low == high else f"{low}-{high}"


def words(name: str) -> str:
    """The name of a field as words."""
    return name.replace("_", " ")


def _cell(column: np.ndarray, row: int | None, error: np.ndarray | None = None) -> str:
    if row is None:
        return "..."
    if error is None:
        return f"{column[row]:.6g}"
    return f"{column[row]:.4g} ± {np.ravel(error)[row]:.1g}"


def varying(value: np.ndarray) -> set[int]:
    """The axes along which the entries are not all equal."""
    return {
        axis
        for axis in range(value.ndim)
        if value.shape[axis] > 1 and not (value == np.take(value, [0], axis)).all()
    }


def _axis_names(parameters: dict[str, np.ndarray]) -> tuple[str, ...]:
    """Name an axis after the parameter that varies along it, if it is one and has no other."""
    name, samples = next(iter(parameters.items()))
    along = {key: varying(value) for key, value in parameters.items()}
    names = [f"axis_{axis}" for axis in range(samples.ndim)]
    for key, own in along.items():
        others = set().union(*(axes for other, axes in along.items() if other != key))
        if len(own) == 1 and not own & others:
            names[min(own)] = key
    if names == ["axis_0"] and not any(axes for key, axes in along.items() if key != name):
        names = [name]
    return tuple(names)


def _along(value: np.ndarray, axis: int) -> np.ndarray:
    return np.moveaxis(value, axis, -1).reshape(-1, value.shape[axis])[0]
