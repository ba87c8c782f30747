"""The record of a spectrum against depth: what it holds, prints, converts to and draws."""

from typing import TYPE_CHECKING, Any

import numpy as np

from kerneltheory.core.records import ArrayRecord, array_record, shown_rows, static
from kerneltheory.depth.depth_predictions import DepthPrediction, exponentials, shown_logs
from kerneltheory.depth.depth_scales import generalization_depth, phase_name, trainability_depth

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes

    from kerneltheory.depth.phases import Phase


@array_record
class DepthSpectrum(ArrayRecord):
    r"""The spectrum of a deep kernel against depth.

    Attributes:
        depths: l, shape (depths,), as all arrays here.
        log_diagonal: logarithm of the kernel's mean diagonal; eigenvalues of the chaotic NTK leave
            the range of floats.
        ratio: the mean of the kernel of two inputs, over that diagonal.
        log_lambda_max, log_lambda_bulk: logarithms of the largest eigenvalue and of the mean of the
            others.
        condition_number: the largest eigenvalue over the smallest; infinite where that is below
            the range of floats.
        mean_predictor: the largest :math:`|\Theta_* \Theta^{-1} y|/|y|` of labels of mean zero, at
            the test inputs; None without any.
        predicted: what the laws of large depth say.
        kernel, architecture: what it is the spectrum of.
        points, pixels: m, and d: how many pixels the readout averages over in all pairs.
        phase: the Phase.

    Reference: arXiv:1912.13053.

    Examples:
        >>> from kerneltheory.activations.catalogue import tanh
        >>> from kerneltheory.depth.depth_spectrum import depth_spectrum
        >>> from kerneltheory.depth.pair_inputs import EquicorrelatedPoints
        >>> points = EquicorrelatedPoints(10, 0.5)
        >>> found = depth_spectrum(tanh, points, [1, 50], weight_variance=1, bias_variance=0.5)
        >>> found.phase.name, bool(found.condition_number[1] > found.condition_number[0])
        ('ordered', True)
    """

    depths: np.ndarray
    log_diagonal: np.ndarray
    ratio: np.ndarray
    log_lambda_max: np.ndarray
    log_lambda_bulk: np.ndarray
    condition_number: np.ndarray
    mean_predictor: np.ndarray | None
    predicted: DepthPrediction
    kernel: str = static("ntk")
    architecture: str = static("fcn")
    points: int = static(0)
    pixels: int = static(1)
    phase: "Phase" = static(None)

    @property
    def lambda_max(self) -> np.ndarray:
        """The largest eigenvalue; infinite beyond the range of floats."""
        return exponentials(self.log_lambda_max)

    @property
    def lambda_bulk(self) -> np.ndarray:
        """The mean of all eigenvalues but the largest."""
        return exponentials(self.log_lambda_bulk)

    @property
    def max_learning_rate(self) -> np.ndarray:
        r"""The largest learning rate of gradient descent that is stable, 2/lambda_max.

        For the sum of squared errors over 2, :math:`f' = f - \eta \Theta (f - y)`.
        """
        return exponentials(np.log(2) - self.log_lambda_max)

    @property
    def trainability_depth(self) -> float:
        """As the function of that name says of this kernel."""
        return trainability_depth(self.phase, self.kernel)

    @property
    def generalization_depth(self) -> float:
        """As the function of that name says of this kernel."""
        return generalization_depth(self.phase, self.kernel)

    def plot(self, ax: "Axes | None" = None, **style: Any) -> "Axes":
        """Draw the condition number against depth, dots, with its law, dashed.

        A vertical line marks the trainability or the generalisation depth, where it is finite and
        in the range of depths.

        Args:
            ax: axes to draw in; a new figure if None.
            style: passed on to matplotlib for the dots, for example `color`.

        Returns:
            The axes.

        Raises:
            ValueError: if no condition number is finite.
        """
        from kerneltheory.depth.depth_plots import plot_condition_number

        return plot_condition_number(self, ax, **style)

    def to_xarray(self) -> "xarray.Dataset":
        """All arrays on the axis `depth`; predictions have names that begin with predicted_."""
        import xarray

        arrays = {name: getattr(self, name) for name in _MEASURED}
        arrays["max_learning_rate"] = self.max_learning_rate
        for name in _PREDICTED:
            arrays[f"predicted_{name}"] = getattr(self.predicted, name)
        variables = {name: ("depth", a) for name, a in arrays.items() if a is not None}
        attributes = {name: getattr(self, name) for name in ("kernel", "architecture", "points")}
        attributes |= {"pixels": self.pixels, "phase": phase_name(self.phase)}
        return xarray.Dataset(variables, coords={"depth": self.depths}, attrs=attributes)

    def _title(self) -> str:
        of = f"{self.kernel.upper()}, {self.architecture}, {self.points} inputs"
        pixels = f" of {self.pixels} pooled pixels" if self.pixels > 1 else ""
        return f"Spectrum against depth: {of}{pixels}; {phase_name(self.phase)} phase"

    def _table(self) -> tuple[list[str], list[list[str]]]:
        header = ["depth", "lambda_max", "predicted", "lambda_bulk", "predicted"]
        header += ["condition", "predicted"]
        columns = [
            *(shown_logs(a) for a in (
                self.log_lambda_max, self.predicted.log_lambda_max,
                self.log_lambda_bulk, self.predicted.log_lambda_bulk,
            )),
            *([f"{x:.5g}" for x in a]
              for a in (self.condition_number, self.predicted.condition_number)),
        ]  # fmt: skip
        if self.mean_predictor is not None:
            header += ["predictor"]
            columns.append([f"{x:.3g}" for x in self.mean_predictor])
        chosen = shown_rows(len(self.depths), 12)
        rows = [
            ["..."] * len(header)
            if row is None
            else [str(self.depths[row]), *(column[row] for column in columns)]
            for row in chosen
        ]
        return header, rows


_MEASURED = (
    "log_diagonal", "ratio", "log_lambda_max", "log_lambda_bulk", "condition_number",
    "mean_predictor",
)  # fmt: skip
_PREDICTED = ("log_lambda_max", "log_lambda_bulk", "condition_number", "predictor_rate")
