r"""Spectra of deep kernels against depth: measured by the recursion, and predicted.

One pass through depth serves all depths that are asked. The kernels of networks:
:math:`K' = w A(T(K)) + b`, :math:`\Theta' = K' + w A(T'(K)\,\Theta)`, with A the average over a
circular window of pixels, and a readout that averages over equal pixels (flatten) or over all
pairs of pixels (global average pooling).
"""

import math
from typing import Any

import numpy as np

from kerneltheory.activations.activation import Activation, activation
from kerneltheory.core import check, lower
from kerneltheory.core.display import short_number
from kerneltheory.core.errors import DivergentError, KernelTheoryError
from kerneltheory.depth.angle_map import angle_map, is_kinked
from kerneltheory.depth.depth_predictions import DeepNumbers, predict
from kerneltheory.depth.depth_record import DepthSpectrum
from kerneltheory.depth.depth_scales import check_kernel, phase_name
from kerneltheory.depth.depth_walk import DepthWalk, Moment
from kerneltheory.depth.nearly_constant import NearlyConstant
from kerneltheory.depth.pair_inputs import EquicorrelatedPoints, Pairs, equal_pairs, pairs_of
from kerneltheory.depth.phases import Phase, phase

ARCHITECTURES = ("fcn", "cnn_flatten", "cnn_pooled")
# Gaps from which on the law of the ordered phase is exact to rounding.
LINEAR = 1e-24


def depth_spectrum(
    phi: Any,
    inputs: Any,
    depths: Any,
    *,
    weight_variance: Any,
    bias_variance: Any,
    kernel: str = "ntk",
    architecture: str = "fcn",
    window: int = 3,
    test_inputs: Any | None = None,
) -> DepthSpectrum:
    r"""The spectrum of a deep kernel against depth, measured and predicted.

    The largest eigenvalue, the mean of the others (the bulk), the condition number and, with test
    inputs, the mean predictor :math:`\Theta_* \Theta^{-1} y` for labels of mean zero. Gaps 1 - c
    and what the kernel lacks of a constant are carried with their relative accuracy, so that
    depth 10^6 is no harder than depth 10, in every phase. Of inputs of unequal norms the layers
    in which variances settle round 1 - c to some 1e-15, unless phi is homogeneous without bias.

    The predictions hold for l -> infinity. In the ordered phase their amplitude is set by the data
    and taken from the gaps. Those of the chaotic NTK's eigenvalues take inputs at the fixed
    variance: from elsewhere :math:`p_{aa}` has another constant, and the same rate.

    Args:
        phi: an activation or a sympy expression in one symbol.
        inputs: rows, shape (m, dim), for "fcn"; shape (m, pixels, channels) for the others. Or
            `EquicorrelatedPoints`, which are at the fixed variance.
        depths: numbers of hidden layers, at least 1, increasing.
        weight_variance: w of every layer.
        bias_variance: b of every layer.
        kernel: "ntk" or "nngp".
        architecture: "fcn", "cnn_flatten" or "cnn_pooled", these with circular windows on a line
            of pixels.
        window: how many pixels a convolution averages over.
        test_inputs: further inputs, of the same shape but for their number, for the mean predictor.

    Returns:
        A DepthSpectrum.

    Raises:
        ValueError: for depths that are not increasing and positive, fewer than two inputs, inputs
            that are not finite, coincide, or vanish where b = 0; another kernel or architecture, or
            a window wider than the pixels.
        KernelTheoryError: if phi has no fixed variance there, or these inputs do not tend to it.
        PrecisionError: if inputs of unequal norms come so close in an ordered phase, before their
            variances settle, that rounding hides what tells them apart; or if test inputs are given
            and what tells inputs apart has left the range of floats.
        DivergentError: if phi jumps, so that the slope of its correlation map is infinite.

    Reference: arXiv:1912.13053.

    Examples:
        >>> import kerneltheory as kt
        >>> points = kt.EquicorrelatedPoints(10, correlation=0.5)
        >>> found = kt.depth_spectrum(
        ...     kt.relu, points, [10, 1000, 100_000], weight_variance=2, bias_variance=0)
        >>> found.condition_number.round(3), found.predicted.condition_number.round(3)
        (array([6.961, 4.401, 4.334]), array([4.333, 4.333, 4.333]))
    """
    phi = activation(phi)
    check_kernel(kernel)
    w = lower.exact("weight_variance", weight_variance)
    b = lower.exact("bias_variance", bias_variance)
    depths = _depths(depths)
    check.one_of("architecture", architecture, ARCHITECTURES)
    window = check.integer("window", window, minimum=1)
    found = phase(phi, w, b, input_variance=_mean_square(inputs))
    if found.chi_1 == math.inf:
        raise DivergentError(
            f"the slope of the correlation map of {phi.name} is infinite at 1, since phi jumps: "
            "its kernels have no spectrum against depth here; take an activation without jumps"
        )
    q_star = _fixed_variance(phi, found, w, b)
    pooled = architecture == "cnn_pooled"
    if isinstance(inputs, EquicorrelatedPoints):
        if test_inputs is not None:
            raise ValueError("test_inputs must be None for points of one correlation, to all of "
                             "which they would be as close: their mean predictor is 0")  # fmt: skip
        if architecture == "fcn" and inputs.pixels != 1:
            raise ValueError(f"inputs must have 1 pixel for fcn, got {inputs.pixels}")
        pairs = equal_pairs(inputs, 1.0 if q_star is None else q_star)
        pixels, count, window = (inputs.pixels if pooled else 1), inputs.count, 1
    else:
        train = _data("inputs", inputs, architecture, least=2)
        window = _window(window, train.shape[1], architecture)
        pairs = _pairs(train, test_inputs, architecture, (float(w), float(b)), window)
        pixels, count = (train.shape[1] if pooled else 1), len(train)
    reader = _Reader(kernel, pairs, count, pixels, isinstance(inputs, EquicorrelatedPoints))

    def walk() -> DepthWalk:
        return DepthWalk(phi, w, b, pairs, window, q_star, _chi_1(found))

    walked = walk()
    measured = [reader.measure(moment) for moment in walked.at(depths)]
    numbers = _numbers(phi, w, found, walked.q if q_star is None else q_star)
    if phase_name(found) == "ordered":
        numbers = _with_amplitudes(numbers, walk(), reader)
    norms = walked.norms[:1].repeat(count) if reader.equal else walked.norms[:count]
    columns = [np.array(column) for column in zip(*measured, strict=True)]
    return DepthSpectrum(
        depths, *columns[:5],
        mean_predictor=None if test_inputs is None else columns[5],
        predicted=predict(kernel, phase_name(found), numbers, depths, pixels, norms),
        kernel=kernel, architecture=architecture, points=count, pixels=pixels, phase=found,
    )  # fmt: skip


def _mean_square(inputs: Any) -> Any:
    """What selects among several fixed variances; 1 for points, which are at one of them."""
    if isinstance(inputs, EquicorrelatedPoints):
        return 1
    array = check.finite("inputs", inputs)
    return float(np.mean(array * array)) if array.any() else 1


def _depths(depths: Any) -> np.ndarray:
    array = check.integers("depths", np.atleast_1d(np.asarray(depths)), minimum=1)
    if array.ndim != 1 or (np.diff(array) <= 0).any():
        raise ValueError(f"depths must be an increasing sequence of integers, got {depths!r}")
    return array


def _data(name: str, value: Any, architecture: str, least: int) -> np.ndarray:
    """Inputs as an array of shape (inputs, pixels, channels)."""
    array = check.finite(name, value, ndim=2 if architecture == "fcn" else 3)
    if array.size == 0 or len(array) < least:
        raise ValueError(f"{name} must hold at least {least} inputs, got shape {array.shape}")
    return array[:, None, :] if architecture == "fcn" else array


def _window(window: int, pixels: int, architecture: str) -> int:
    if architecture == "fcn":
        return 1
    if window > pixels:
        raise ValueError(f"window must be at most the {pixels} pixels, got {window}")
    return window


def _pairs(
    train: np.ndarray, test: Any, architecture: str, parameters: tuple[float, float], window: int
) -> Pairs:
    """All pairs of inputs, those to be predicted last."""
    X = train
    if test is not None:
        others = _data("test_inputs", test, architecture, least=1)
        if others.shape[1:] != train.shape[1:]:
            raise ValueError(
                f"test_inputs must have the shape of inputs but for their number, "
                f"{train.shape[1:]}, got {others.shape[1:]}"
            )
        X = np.concatenate([train, others])
    w, b = parameters
    pooled = architecture == "cnn_pooled"
    with np.errstate(all="ignore"):
        pairs = pairs_of(X, w, b, window, pooled)
    empty = np.flatnonzero(~(pairs.variances > 0).all(axis=1))
    if empty.size:
        raise ValueError(
            f"inputs must have a positive norm in every window where bias_variance is 0, got zeros "
            f"in {empty.tolist()}"
        )
    gap = pairs.matrix(pairs.gap)[: len(train), : len(train)]
    own = np.diag(gap)
    same = np.argwhere(np.triu(gap - (own[:, None] + own) / 2 <= 0, 1))
    if same.size:
        raise ValueError(
            f"inputs must be different after the first layer, got the same in rows "
            f"{same[0].tolist()}: their kernel is singular at every depth"
        )
    return pairs


def _fixed_variance(phi: Activation, found: Phase, w: Any, b: Any) -> float | None:
    """q*; None where every variance is fixed: of homogeneous phi at w E[phi^2] = 1 without bias."""
    if phi.homogeneous and b == 0 and phase_name(found) == "critical":
        return None
    if found.q_star is None or not found.q_star > 0:
        raise KernelTheoryError(
            f"{phi.name} has no positive fixed variance at weight_variance = {short_number(w)}, "
            f"bias_variance = {short_number(b)} ({found.name}): its kernels tend to 0 or grow "
            "without bound; take variances of which kt.phase gives a positive q_star"
        )
    return float(found.q_star)


def _chi_1(found: Phase) -> float:
    """Of a critical phase exactly one."""
    return 1.0 if phase_name(found) == "critical" else _known(found.chi_1)


def _known(number: float | None) -> float:
    """A field that a phase with a fixed variance has."""
    assert number is not None
    return float(number)


def _numbers(phi: Activation, w: Any, found: Phase, q: float) -> DeepNumbers:
    kink = 0.0
    if is_kinked(phi):
        kink = angle_map(phi, w, 1.0 if phi.homogeneous else q).first
    return DeepNumbers(
        q, _chi_1(found), _known(found.chi_12), _known(found.chi_c), _known(found.c_star), kink
    )


def _with_amplitudes(numbers: DeepNumbers, walk: DepthWalk, reader: "_Reader") -> DeepNumbers:
    """The amplitudes of the ordered phase, from gaps so small that each layer multiplies them."""
    depth, moment = 1, None
    while moment is None or moment.gap.max() > LINEAR:
        moment = next(walk.at(np.array([depth])))
        depth *= 2
    kinked = reader.kernel == "ntk" and math.isinf(numbers.chi_12)
    values = np.sqrt(2 * moment.gap) if kinked else moment.gap
    scale = moment.depth * math.log(numbers.chi_1) / (2 if kinked else 1)
    bulk = reader.bulk(values)
    amplitudes = tuple(np.exp(np.log([bulk.mean(), bulk.min()]) - scale).tolist())
    return DeepNumbers(**{**vars(numbers), "amplitudes": amplitudes})


class _Reader:
    """From the state of the pairs to the spectrum of the training inputs' kernel."""

    def __init__(self, kernel: str, pairs: Pairs, count: int, pixels: int, equal: bool):
        self.kernel, self.pairs, self.count, self.pixels = kernel, pairs, count, pixels
        self.equal = equal

    def bulk(self, values: np.ndarray) -> np.ndarray:
        """Eigenvalues but the largest of a constant minus the values, where these are small."""
        if self.equal:
            return np.array([values[1, 0, 0] / self.pixels])
        W = self.pairs.matrix(values)[: self.count, : self.count]
        return NearlyConstant(np.ones(self.count), W).eigenvalues[:-1]

    def measure(self, moment: Moment) -> tuple[float, ...]:
        """log p, mean ratio, log lambda_max, log lambda_bulk, condition number, predictor."""
        if self.kernel == "ntk":
            log_scale, lacking, ratio = moment.log_tangent, moment.lacking, moment.ratio
        else:
            log_scale, lacking, ratio = moment.log_variance, moment.gap, 1 - moment.gap
        if self.equal:
            eigenvalues, others, predictor = self._equal(lacking, ratio), ratio[1, 0, 0], 0.0
            diagonal = ratio[0, 0, 0] / self.pixels + (1 - 1 / self.pixels) * others
        else:
            S, R = self.pairs.matrix(lacking), self.pairs.matrix(ratio)
            u, m = moment.norms, self.count
            eigenvalues, predictor = _spectrum(u, S, R, m)
            scaled = (R * np.outer(u, u))[:m, :m]
            diagonal = float(np.diag(scaled).mean())
            others = float((scaled.sum() - np.trace(scaled)) / (m * (m - 1)))
        with np.errstate(divide="ignore", over="ignore"):
            largest, bulk = np.log(eigenvalues[-1]), np.log(eigenvalues[:-1].mean())
            condition = eigenvalues[-1] / eigenvalues[0]
        return (
            log_scale + math.log(diagonal), others / diagonal,
            log_scale + largest, log_scale + bulk, condition, predictor,
        )  # fmt: skip

    def _equal(self, lacking: np.ndarray, ratio: np.ndarray) -> np.ndarray:
        own = float(lacking[1, 0, 0]) / self.pixels
        return np.array([own, own + self.count * float(ratio[1, 0, 0])])


def _spectrum(u: np.ndarray, S: np.ndarray, R: np.ndarray, m: int) -> tuple[np.ndarray, float]:
    """Eigenvalues of the training inputs' kernel, and the size of the mean predictor."""
    outer = np.outer(u, u)
    if S[:m, :m].max() < 0.5:
        matrix = NearlyConstant(u[:m], (outer * S)[:m, :m])
        eigenvalues = matrix.eigenvalues
        predictor = matrix.mean_predictor(u[m:], (outer * S)[m:, :m]) if len(u) > m else None
    else:
        full = (outer * R)[:m, :m]
        eigenvalues = np.linalg.eigvalsh(full)
        predictor = np.linalg.solve(full, (outer * R)[:m, m:]).T if len(u) > m else None
    if predictor is None:
        return eigenvalues, 0.0
    centred = predictor - predictor.mean(axis=1, keepdims=True)
    return eigenvalues, float(np.linalg.norm(centred, 2))
