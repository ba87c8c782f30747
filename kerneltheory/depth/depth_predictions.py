"""What the laws of large depth say of a spectrum, in numbers."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from kerneltheory.core.display import shown_number
from kerneltheory.core.records import ArrayRecord, array_record, shown_rows
from kerneltheory.depth.depth_laws import LAWS, DepthLaw
from kerneltheory.depth.depth_walk import log_growth


@array_record
class DepthPrediction(ArrayRecord):
    """What the laws of large depth say; arrays aligned with the depths.

    Attributes:
        log_lambda_max, log_lambda_bulk: logarithms of the largest eigenvalue and of the mean of
            the others.
        condition_number: the largest eigenvalue over the smallest.
        predictor_rate: how the mean predictor of labels of mean zero scales with depth; its
            constant is set by the data.
    """

    log_lambda_max: np.ndarray
    log_lambda_bulk: np.ndarray
    condition_number: np.ndarray
    predictor_rate: np.ndarray

    def _title(self) -> str:
        return "Laws of large depth, of a spectrum against depth"

    def _table(self) -> tuple[list[str], list[list[str]]]:
        columns = [
            *map(shown_logs, (self.log_lambda_max, self.log_lambda_bulk)),
            *([f"{x:.5g}" for x in a] for a in (self.condition_number, self.predictor_rate)),
        ]
        rows = shown_rows(len(columns[0]), 12)
        header = ["lambda_max", "lambda_bulk", "condition", "predictor rate"]
        return header, [["..." if i is None else c[i] for c in columns] for i in rows]


def shown_logs(logarithms: np.ndarray) -> list[str]:
    """Numbers of any size from their logarithms, as tables show them."""
    numbers = exponentials(logarithms)
    return [
        shown_number(float(x), float(log), 5) for x, log in zip(numbers, logarithms, strict=True)
    ]


def exponentials(logarithms: np.ndarray) -> np.ndarray:
    """Numbers from their logarithms, infinite beyond the range of floats."""
    with np.errstate(over="ignore"):
        return np.exp(np.asarray(logarithms))


@dataclass(frozen=True)
class DeepNumbers:
    """What the laws take besides the depth.

    Attributes:
        variance: q*.
        chi_1, chi_12, chi_c, c_star: of the phase; chi_12 is infinite for an activation with a
            kink.
        kink: the slope a of a kink.
        amplitudes: C (or C') of the mean of all eigenvalues but the largest, and of the smallest,
            in the ordered phase.
    """

    variance: float
    chi_1: float
    chi_12: float
    chi_c: float
    c_star: float
    kink: float
    amplitudes: tuple[float, float] = (1.0, 1.0)

    def at(self, law: Any, depths: np.ndarray, amplitude: float = 1.0) -> np.ndarray:
        """A law's expression at every depth."""
        # A law names one of chi_12 and the slope of a kink.
        smooth = 1.0 if math.isinf(self.chi_12) else self.chi_12
        kink = self.kink if self.kink > 0 else 1.0
        numbers = self.variance, self.chi_1, smooth, self.chi_c, self.c_star, kink, amplitude
        formula = DepthLaw.formula("law of large depth", law)
        with np.errstate(over="ignore", under="ignore"):
            values = np.asarray(formula(depths.astype(float), *numbers), dtype=float)
        return np.broadcast_to(values, depths.shape)


def predict(
    kernel: str, phase_name: str, numbers: DeepNumbers, depths: np.ndarray, pixels: int,
    norms: np.ndarray,
) -> DepthPrediction:  # fmt: skip
    r"""The spectrum that the laws predict.

    Args:
        kernel: "ntk" or "nngp".
        phase_name: "ordered", "critical" or "chaotic".
        numbers: of the phase, and the amplitudes that the data set.
        depths: shape (depths,).
        pixels: d, how many a readout averages over in all pairs.
        norms: roots of the variances of the inputs over the root of q*; all one but for
            homogeneous activations, whose variances stay what they are.
    """
    law = LAWS[kernel, phase_name, "kinked" if math.isinf(numbers.chi_12) else "smooth"]
    log_same = math.log(numbers.variance) + (
        log_growth(numbers.chi_1, depths, 1.0) if kernel == "ntk" else np.zeros(depths.shape)
    )
    rate = numbers.at(law.predictor, depths)
    if phase_name == "ordered":
        bulk, least = (numbers.at(law.lacking, depths, c) for c in numbers.amplitudes)
        largest = np.full(depths.shape, float(len(norms)))
    else:
        lacking, ratio = numbers.at(law.lacking, depths), numbers.at(law.ratio, depths)
        largest, bulk, least = _equicorrelated(lacking / pixels, ratio, norms)
    with np.errstate(divide="ignore"):
        log_bulk, log_max = np.log(bulk), np.log(largest)
        condition = largest / least
    return DepthPrediction(log_same + log_max, log_same + log_bulk, condition, rate)


def _equicorrelated(
    own: np.ndarray, ratio: np.ndarray, norms: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The largest eigenvalue, the mean of the others and the smallest of own D^2 + ratio u u'."""
    if np.ptp(norms) == 0:
        return own + len(norms) * ratio, own, own
    found = np.array(
        [
            np.linalg.eigvalsh(a * np.diag(norms**2) + r * np.outer(norms, norms))
            for a, r in zip(own, ratio, strict=True)
        ]
    )
    return found[:, -1], found[:, :-1].mean(axis=1), found[:, 0]
