r"""One regression at many ridges: a record of what the training labels tell at each of them."""

from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from kerneltheory.core import check
from kerneltheory.core.records import Array, ArrayRecord, array_record, shown_rows, static

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes

ERRORS = ("train_error", "leave_one_out", "generalized_cross_validation")
_MEASURES = (*ERRORS, "log_marginal_likelihood")


@array_record
class RidgePath(ArrayRecord):
    r"""Kernel ridge regression on the same samples at several ridges.

    With :math:`M = (K + \delta I)^{-1}` and :math:`a = M y` at each ridge :math:`\delta`. Where
    :math:`K + \delta I` is singular to rounding, what is said is the limit of a vanishing ridge:
    the predictor of minimum norm among those of least squares.

    Args:
        ridges: the ridges, (ridges,), in the order that was asked for.
        coefficients: a, (ridges, n), and (ridges, n, outputs) with several outputs, as has every
            field below.
        train_error: mean squared residual on the labels, :math:`\delta^2 |a|^2/n`, (ridges,).
        leave_one_out: mean over j of :math:`(a_j/M_{jj})^2`, the squared error on each label of
            the regression on the others, exactly.
        generalized_cross_validation: :math:`(|a|^2/n) / (\operatorname{tr} M/n)^2`, called gcv in
            a `LearningCurve`.
        log_marginal_likelihood: :math:`\log p(y)` with the ridge as the variance of the noise,
            :math:`-(y'My - \log\det M + n\log 2\pi)/2`. Where :math:`K + \delta I` is singular it
            is infinite: :math:`-\infty` for labels that contradict each other, else
            :math:`\infty`.
        ranks: how many eigenvalues of :math:`K + \delta I` are above rounding, (ridges,).
        method: how the systems were solved.

    References:
        Golub, Heath and Wahba, Technometrics 21 (1979) 215; Rasmussen and Williams, Gaussian
        Processes for Machine Learning (2006), (2.30).

    Examples:
        >>> from kerneltheory.regression.systems import ridge_path
        >>> ridge_path([[2.0, 1.0], [1.0, 2.0]], [1.0, 2.0], [0.0, 1.0])
        RidgePath: 2 samples, 2 ridges, best by leave-one-out: 0
        ridge  train error  leave one out  generalized cross validation  log marginal likelihood
            0            0          1.125                         1.125                 -3.38718
            1     0.203125        1.44444                       1.44444                  -3.5651
    """

    ridges: Array
    coefficients: Array
    train_error: Array
    leave_one_out: Array
    generalized_cross_validation: Array
    log_marginal_likelihood: Array
    ranks: Array
    method: str = static("one eigendecomposition")

    @property
    def best_ridge(self) -> float:
        """The ridge of least leave-one-out error, averaged over outputs."""
        return float(np.asarray(self.ridges)[self._best])

    @property
    def _best(self) -> int:
        return int(np.argmin(_over_outputs(self.leave_one_out)))

    def predictions(self, cross_gram: Any) -> Any:
        """Return the predictions at test points with every ridge.

        Args:
            cross_gram: kernel between samples and test points, (n, tests).

        Returns:
            (ridges, tests), and (ridges, tests, outputs) with several outputs.

        Raises:
            ValueError, TypeError: `cross_gram` is not finite or has not n rows.
        """
        is_jax = isinstance(cross_gram, jax.Array)
        cross = cross_gram if is_jax else check.finite("cross_gram", cross_gram, ndim=2)
        samples = self.coefficients.shape[1]
        if cross.ndim != 2 or len(cross) != samples:
            raise ValueError(f"cross_gram must have shape ({samples}, tests), got {cross.shape}")
        if self.coefficients.ndim == 2:
            return self.coefficients @ cross
        return cross.T @ self.coefficients

    def plot(self, ax: "Axes | None" = None, **style: Any) -> "Axes":
        """Draw training error, leave-one-out and cross-validation against the ridge.

        The least leave-one-out error is marked. Several outputs are averaged.

        Args:
            ax: axes to draw in; a new figure if None.
            style: passed on to matplotlib for the lines.

        Returns:
            The axes.
        """
        from kerneltheory.core.figures import CYCLE, PEAK, axes_or_new

        axes = axes_or_new(ax)
        ridges = np.asarray(self.ridges)
        order = np.argsort(ridges)
        for color, name in zip(CYCLE, ERRORS, strict=False):
            error = _over_outputs(getattr(self, name))
            options: dict[str, Any] = {"color": color, "label": name.replace("_", " ")} | style
            axes.plot(ridges[order], error[order], **options)
        lowest = _over_outputs(self.leave_one_out)[self._best]
        marked: dict[str, Any] = PEAK | {"color": CYCLE[1], "gid": "best"}
        axes.plot([self.best_ridge], [lowest], **marked)
        # Up to the smallest ridge the axis is linear if zero needs a place on it.
        positive = ridges[ridges > 0]
        if positive.size == ridges.size:
            axes.set_xscale("log")
        elif positive.size:
            axes.set_xscale("symlog", linthresh=float(positive.min()))
        axes.set(yscale="log", xlabel=r"ridge $\delta$", ylabel="mean squared error")
        axes.legend()
        return axes

    def to_xarray(self) -> "xarray.Dataset":
        """The measures on the axis `ridge`, coefficients on `ridge` and `sample`, and `output`."""
        import xarray

        outputs = ("output",) * (self.coefficients.ndim - 2)
        variables: dict[str, Any] = {
            name: (("ridge", *outputs), np.asarray(getattr(self, name))) for name in _MEASURES
        }
        variables["coefficients"] = ("ridge", "sample", *outputs), np.asarray(self.coefficients)
        variables["ranks"] = ("ridge",), np.asarray(self.ranks)
        coordinates = {"ridge": np.asarray(self.ridges)}
        return xarray.Dataset(variables, coords=coordinates, attrs={"method": self.method})

    def _title(self) -> str:
        shape = self.coefficients.shape
        outputs = f", mean of {shape[2]} outputs" if len(shape) == 3 else ""
        return (
            f"RidgePath: {shape[1]} samples, {shape[0]} ridges{outputs}, "
            f"best by leave-one-out: {self.best_ridge:.6g}"
        )

    def _table(self) -> tuple[list[str], list[list[str]]]:
        errors = [_over_outputs(getattr(self, name)) for name in ERRORS]
        columns = [self.ridges, *errors, _joint(self.log_marginal_likelihood)]
        rows = [
            ["..." if row is None else f"{float(column[row]):.6g}" for column in columns]
            for row in shown_rows(len(self.ridges))
        ]
        return ["ridge", *(name.replace("_", " ") for name in _MEASURES)], rows


def _over_outputs(values: Any) -> np.ndarray:
    array = np.asarray(values)
    return array.reshape(len(array), -1).mean(axis=1)


def _joint(likelihood: Any) -> np.ndarray:
    """The sum over outputs, which are independent; what is impossible for one is so for all."""
    array = np.asarray(likelihood)
    each = array.reshape(len(array), -1)
    impossible = each.min(axis=1) == -np.inf
    return np.where(impossible, -np.inf, np.where(impossible[:, None], 0, each).sum(axis=1))
