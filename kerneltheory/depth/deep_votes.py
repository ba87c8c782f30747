r"""Classification by networks of any depth, and by their limit, with a proof of every sign.

.. math:: f(x) = y\,K^L(X, X)^{-1} K^L(X, x), \qquad K^L = \psi^{\circ L}(\cos(x, z))

Deep kernels are far below or next to 1 at all but equal inputs, and systems as ill-conditioned as
:math:`\psi'(1)^{-L}`: everything is computed in balls, whose exponents do not underflow, with as
many bits as the signs take.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from flint import arb, arb_mat, ctx, fmpq, fmpq_mat

from kerneltheory.activations.activation import Activation
from kerneltheory.activations.duals import dual_class
from kerneltheory.core import check, lower
from kerneltheory.core.enclose import interval
from kerneltheory.core.errors import KernelTheoryError, PrecisionError
from kerneltheory.core.records import Array, ArrayRecord, array_record, shown_rows, static
from kerneltheory.depth.classifiers import (
    MAJORITY,
    NEAREST,
    SINGULAR,
    UNCHANGED,
    ClassifierLimit,
    classifier_limit,
)
from kerneltheory.depth.unit_dual import UnitDual, ball, sign

# Bits after which a sign counts as a tie; series reach no more than a few dozen digits.
MOST_BITS, MOST_BITS_OF_SERIES = 8192, 192
# By how many roundings the norm of a row may differ from 1.
NORM_ROUNDING = 64


@array_record
class Votes(ArrayRecord):
    """Labels of test points, each the sign of a predictor that was enclosed.

    Attributes:
        labels: -1 or 1, shape (points,); 0 at a tie, where the predictor is zero or not told from
            zero by thousands of bits.
        log_sizes: ln |f| of the predictor, shape (points,); minus infinity at ties.
        method: whose votes they are.
    """

    labels: Array
    log_sizes: Array
    method: str = static("")

    def _title(self) -> str:
        return f"Votes: {self.method}"

    def _table(self) -> tuple[list[str], list[list[str]]]:
        rows = [
            ["..."] * 3
            if i is None
            else [str(i), str(int(self.labels[i])), f"{self.log_sizes[i]:.6g}"]
            for i in shown_rows(len(self.labels))
        ]
        return ["point", "label", "ln |f|"], rows


def deep_votes(phi: Any, X: Any, y: Any, X_test: Any, depth: int) -> Votes:
    r"""Labels that kernel regression without a ridge gives with the NNGP of a deep network.

    The network has `depth` hidden layers of :math:`\phi/\sqrt{E[\phi^2]}`, unit weight variance and
    no biases, so that its kernel is 1 for equal inputs in every layer.

    Args:
        phi: an activation, an expression in one symbol or a dual, as `kt.classifier_limit` takes.
        X: training rows, unit vectors with no negative entry, shape (n, d).
        y: labels -1 and 1, shape (n,).
        X_test: test rows of the same kind, shape (points, d).
        depth: number of hidden layers, at least 1.

    Raises:
        ValueError: rows are not unit vectors or have negative entries, two training rows are equal
            or a label is neither -1 nor 1; the message says which.
        PrecisionError: the system is not solved with the allowed number of bits.

    References:
        arXiv:2204.14126.

    Examples:
        >>> from kerneltheory.activations.catalogue import hermite
        >>> X = np.array([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]])
        >>> deep_votes(hermite(2), X, [1, -1, 1], [[0.8, 0.6]], depth=40).labels
        array([-1])
    """
    dual = classifier_limit(phi).dual
    data = _checked(X, y, X_test)
    depth = check.integer("depth", depth, minimum=1)

    def predictor() -> list[arb]:
        def deep(cosine: arb) -> arb:
            for _ in range(depth):
                cosine = dual(cosine)
            return cosine

        kernel = _Cached(deep, arb(1), dual)
        return data.interpolate(kernel)

    return _votes(predictor, dual, f"{dual.name}, depth {depth}")


def limit_votes(limit: ClassifierLimit, X: Any, y: Any, X_test: Any) -> Votes:
    """Labels that the limit of infinite depth gives: see `ClassifierLimit.classify`."""
    data, dual, name = _checked(X, y, X_test), limit.dual, limit.name
    if name == UNCHANGED:
        raise KernelTheoryError(
            f"{dual.name} is linear: networks of every depth classify as linear regression does"
        )
    rules: dict[str, Callable[[], list[arb]]] = {
        NEAREST: data.nearest,
        MAJORITY: data.majority,
        SINGULAR: lambda: data.weighted(_koenigs(limit)),
    }
    rule = rules.get(name, lambda: data.interpolate_centred(_Cached(_variogram(dual), arb(0))))
    return _votes(rule, dual, f"{dual.name}, infinite depth: {name}")


def _votes(predictor: Callable[[], list[arb]], dual: UnitDual, method: str) -> Votes:
    """The signs, with more bits while some are not decided."""
    source = dual.source
    slow = isinstance(source, Activation) and dual_class(source).name != "elementary"
    most, bits = MOST_BITS_OF_SERIES if slow else MOST_BITS, 128
    found: list[arb] | None = None
    while bits <= most:
        with ctx.workprec(bits):
            try:
                found = predictor()
            except ZeroDivisionError:  # the balls of a matrix hold a singular one
                found = None
        if found is not None and all(value.is_zero() or sign(value) for value in found):
            break
        bits *= 2
    if found is None or not all(value.is_finite() for value in found):
        raise PrecisionError(
            f"the system of {method} is not solved with {most} bits; take fewer layers, or points "
            "that are further apart"
        )
    labels = np.array([0 if value.is_zero() else sign(value) or 0 for value in found])
    with np.errstate(divide="ignore"):
        logs = [lower.to_float(abs(value).log()) if sign(value) else -np.inf for value in found]
    return Votes(labels, np.array(logs), method)


# --- the data ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Data:
    """Squared cosines of training points with each other and with test points, exact."""

    labels: tuple[int, ...]
    train: tuple[tuple[fmpq, ...], ...]
    test: tuple[tuple[fmpq, ...], ...]

    def interpolate(self, kernel: Callable[[fmpq], arb]) -> list[arb]:
        """Y K^-1 k of every test point."""
        matrix = arb_mat([[kernel(entry) for entry in row] for row in self.train])
        weights = matrix.solve(arb_mat([[label] for label in self.labels]))
        return [_dot(weights.entries(), map(kernel, row)) for row in self.test]

    def interpolate_centred(self, kernel: Callable[[fmpq], arb]) -> list[arb]:
        """The limit of y K^-1 k for K = 1 - eps H: mu - H c, where c adds up to 0."""
        count = len(self.labels)
        rows = [[*(-kernel(entry) for entry in row), arb(1)] for row in self.train]
        matrix = arb_mat([*rows, [*[arb(1)] * count, arb(0)]])
        *weights, mean = matrix.solve(arb_mat([[v] for v in (*self.labels, 0)])).entries()
        return [mean - _dot(weights, map(kernel, row)) for row in self.test]

    def weighted(self, kernel: Callable[[fmpq], arb]) -> list[arb]:
        """The sum of y_i Q(t_i); the label of an equal training point, where Q is infinite."""
        return [
            arb(self.labels[row.index(fmpq(1))])
            if fmpq(1) in row
            else _dot(map(arb, self.labels), map(kernel, row))
            for row in self.test
        ]

    def nearest(self) -> list[arb]:
        """The labels of the training points at the largest cosine; none is at a right angle."""
        found = []
        for row in self.test:
            largest = max(row)
            pairs = zip(self.labels, row, strict=True)
            found.append(arb(sum(label for label, t in pairs if t == largest and largest)))
        return found

    def majority(self) -> list[arb]:
        """The sum of all labels; the label of an equal training point, which is interpolated."""
        total = arb(sum(self.labels))
        return [
            arb(self.labels[row.index(fmpq(1))]) if fmpq(1) in row else total for row in self.test
        ]


def _dot(left: Any, right: Any) -> arb:
    return sum((a * b for a, b in zip(left, right, strict=True)), arb(0))


class _Cached:
    """A kernel as a function of the exact squared cosine, with its value at 1 put in exactly."""

    def __init__(
        self, kernel: Callable[[arb], arb], at_one: arb, dual: UnitDual | None = None
    ) -> None:
        self.kernel, self.known = kernel, {fmpq(1): at_one}
        if dual is not None and sign(dual.mean()) == 0:
            self.known[fmpq(0)] = arb(0)

    def __call__(self, squared: fmpq) -> arb:
        if squared not in self.known:
            self.known[squared] = self.kernel(arb(squared).sqrt())
        return self.known[squared]


def _koenigs(limit: ClassifierLimit) -> Callable[[fmpq], arb]:
    kernel = limit.limit_kernel
    digits = max(10, int(ctx.dps) // 3)
    return _Cached(lambda cosine: kernel.certified(cosine, digits), arb(0), limit.dual)


def _variogram(dual: UnitDual) -> Callable[[arb], arb]:
    r"""The limit H of (1 - K^L)/m^L in the ordered phase, m = psi'(1) < 1.

    With g = 1 - K^L and :math:`m g - \psi''(1) g^2/2 \le 1 - \psi(1 - g) \le m g`,
    :math:`(g/m^L) (1 - \psi''(1) g/(2 m (1 - m))) \le H \le g/m^L` at every layer.
    """
    digits = int(ctx.dps)
    slope, curvature = ball(dual.slope_at_one(digits), digits), dual.curvature_at_one(digits)
    if curvature is None:
        raise PrecisionError(
            f"psi''(1) is infinite for {dual.name}, so that no bound of its limit in the ordered "
            "phase is known here; use deep_votes at a large depth"
        )

    def value(cosine: arb) -> arb:
        layers = 0
        while True:
            gap = 1 - cosine
            lost = curvature * gap / (2 * slope * (1 - slope))
            # Half of the bits remain where 1 - K^L cancels.
            if not lost > arb(2) ** (-ctx.prec // 2):
                return gap / slope**layers * interval(1 - lost, arb(1))
            cosine, layers = dual(cosine), layers + 1

    return value


def _checked(X: Any, y: Any, X_test: Any) -> _Data:
    X, X_test = _orthant_rows("X", X), _orthant_rows("X_test", X_test)
    labels = check.finite("y", y, ndim=1)
    if labels.shape != X.shape[:1]:
        raise ValueError(f"y must have one label a row of X, {X.shape[0]}, got {labels.shape}")
    if not np.isin(labels, (-1, 1)).all():
        wrong = np.flatnonzero(~np.isin(labels, (-1, 1)))
        raise ValueError(f"y must hold labels -1 and 1, got others at {wrong[:10].tolist()}")
    if X.shape[1] != X_test.shape[1]:
        raise ValueError(
            f"X_test must have as many columns as X, {X.shape[1]}, got {X_test.shape[1]}"
        )
    train = _squared_cosines(X, X)
    for i, row in enumerate(train):
        if fmpq(1) in (row[:i]):
            raise ValueError(f"X must have different rows, got equal ones: {row.index(1)} and {i}")
    return _Data(tuple(map(int, labels)), train, _squared_cosines(X_test, X))


def _orthant_rows(name: str, value: Any) -> np.ndarray:
    rows = check.rows(name, value)
    negative = np.flatnonzero((rows < 0).any(axis=1))
    if len(negative):
        raise ValueError(
            f"{name} must have rows in the non-negative orthant, got negative entries in rows "
            f"{_some(negative)}"
        )
    norms = np.sqrt(np.sum(rows * rows, axis=1))
    slack = NORM_ROUNDING * np.finfo(float).eps * rows.shape[1] ** 0.5
    far = np.flatnonzero(np.abs(norms - 1) > slack)
    if len(far):
        raise ValueError(
            f"{name} must have rows of norm 1, got others in rows {_some(far)}, the first of norm "
            f"{norms[far[0]]:.6g}; divide each row by its norm"
        )
    return rows


def _some(indices: np.ndarray) -> str:
    shown = ", ".join(map(str, indices[:10]))
    return shown if len(indices) <= 10 else f"{shown}, ... ({len(indices)} in all)"


def _squared_cosines(rows: np.ndarray, columns: np.ndarray) -> tuple[tuple[fmpq, ...], ...]:
    """(x.z)^2/(|x|^2 |z|^2) of the numbers that the floats are."""
    left, right = (
        fmpq_mat([[lower.to_fmpq(float(entry)) for entry in row] for row in matrix])
        for matrix in (rows, columns)
    )
    products: Sequence[Sequence[fmpq]] = (left * right.transpose()).tolist()
    norms = [
        [sum((entry * entry for entry in row), fmpq(0)) for row in matrix.tolist()]
        for matrix in (left, right)
    ]
    return tuple(
        tuple(product * product / (a * b) for product, b in zip(row, norms[1], strict=True))
        for row, a in zip(products, norms[0], strict=True)
    )
