"""Spectra of kernels and targets, level by level: the records that learning curves are made of."""

import html
import math
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from kerneltheory.core import check
from kerneltheory.core.display import shown_number
from kerneltheory.core.records import (
    Array,
    ArrayRecord,
    array_record,
    is_concrete,
    shown_rows,
    static,
)
from kerneltheory.sphere.harmonics import multiplicity

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes


# Where inputs may be; "given" are a caller's own levels.
DOMAINS = ("sphere", "circle", "hypercube", "gaussian", "given")
# Longer arrays of powers are shown by their first.
MOST_SHOWN = 8
TINY = float(np.finfo(np.float64).tiny)
MULTIPLICITIES: dict[str, Callable[[int, int], int]] = {
    "sphere": multiplicity,
    "circle": multiplicity,
    "hypercube": math.comb,
}


@array_record
class Spectrum(ArrayRecord):
    r"""Eigenvalues of a kernel, level by level, with the mass of the levels left out.

    A level is a degree k of the kernel on the sphere, or a distinct eigenvalue in general:
    $h(1) = \sum_k N_k \lambda_k + \mathrm{tail}$.

    Args:
        eigenvalues: $\lambda_k$ of one eigenfunction, shape (levels,). A negative one is for
            analysis only: `positive_definite` is then False, and learning curves refuse it.
        multiplicities: $N_k > 0$, shape (levels,).
        tail: the mass $h(1) - \sum_k N_k \lambda_k$ of the levels left out, not negative unless an
            eigenvalue is.
        logarithms: $\ln |\lambda_k|$ and $\ln N_k$, shape (2, levels), for levels whose numbers
            leave the range of floats; None where none does.
        errors: estimates of the absolute errors of the eigenvalues, shape (levels,); None where
            `relative_error` bounds them.
        dim: dimension d of the ambient space, if the levels are degrees on $S^{d-1}$.
        method: how the eigenvalues were made.
        relative_error: what is known of the relative error of each eigenvalue.
        domain: where the inputs are: "sphere", "circle", "hypercube", "gaussian" or "given".

    Raises:
        ValueError: an array is not one-dimensional, not finite or out of its range.

    The record is a jax pytree; the arrays and the tail are its leaves.

    Examples:
        >>> spectrum = Spectrum([0.5, 0.1], [1, 3], tail=0.2)
        >>> float(spectrum.trace)
        1.0
        >>> spectrum
        Spectrum: 2 levels, tail 0.2, method given
        degree  eigenvalue  multiplicity  mass
             0         0.5             1   0.5
             1         0.1             3   0.3
    """

    eigenvalues: Array
    multiplicities: Array
    tail: Array | float = 0.0
    dim: int | None = static(None)
    method: str = static("given")
    relative_error: float = static(0.0)
    logarithms: Array | None = None
    errors: Array | None = None
    domain: str = static("given")

    def __post_init__(self) -> None:
        data = (self.eigenvalues, self.multiplicities, self.tail)
        if any(value is None for value in data):
            return  # a record of axes, as jax.vmap takes them in in_axes
        for name in ("eigenvalues", "multiplicities"):
            value = getattr(self, name)
            if not isinstance(value, jax.Array):
                overflow = name == "multiplicities" and self.logarithms is not None
                object.__setattr__(self, name, _level_array(name, value, overflow=overflow))
        if not isinstance(self.tail, jax.Array):
            tail = check.finite("tail", self.tail)
            if tail.ndim:
                raise ValueError(f"tail must be a single number, got shape {tail.shape}")
            if tail < 0 and not np.any(np.asarray(self.eigenvalues) < 0):
                raise ValueError(f"tail must not be negative, got {tail}")
            object.__setattr__(self, "tail", float(tail))
        shapes = np.shape(self.eigenvalues), np.shape(self.multiplicities)
        if shapes[0] != shapes[1]:
            raise ValueError(
                "eigenvalues and multiplicities must have the same shape (levels,), "
                f"got {shapes[0]} and {shapes[1]}"
            )
        if self.dim is not None:
            object.__setattr__(self, "dim", check.integer("dim", self.dim, minimum=1))
        check.one_of("domain", self.domain, DOMAINS)
        error = check.nonnegative("relative_error", self.relative_error)
        if error.ndim:
            raise ValueError(f"relative_error must be a single number, got shape {error.shape}")
        object.__setattr__(self, "relative_error", float(error))
        for name, shape in (("logarithms", (2, *shapes[0])), ("errors", shapes[0])):
            value = getattr(self, name)
            if value is None or isinstance(value, jax.Array):
                continue
            array = np.asarray(value)
            if array.dtype.kind not in "biuf" or array.shape != shape or np.isnan(array).any():
                raise ValueError(
                    f"{name} must be None or numbers of shape {shape}, got {check.shown(value)}"
                )
            object.__setattr__(self, name, array)

    @property
    def degrees(self) -> np.ndarray:
        """The levels' numbers 0, ..., levels - 1: the degrees, on the sphere."""
        return np.arange(np.shape(self.eigenvalues)[-1])

    @property
    def positive_definite(self) -> bool:
        """Whether no eigenvalue is negative, beyond the estimate of its error if there is one."""
        if not is_concrete(self.eigenvalues):
            return True
        slack = 0.0 if self.errors is None else np.asarray(self.errors)
        return bool(np.all(np.asarray(self.eigenvalues) >= -slack))

    @property
    def level_masses(self) -> Array:
        r"""$N_k \lambda_k$, shape (levels,), also where one is below and the other above floats."""
        eigenvalues, counts = _arrays(self.eigenvalues), _arrays(self.multiplicities)
        if self.logarithms is None:
            return eigenvalues * counts
        xp = jnp if isinstance(eigenvalues, jax.Array) else np
        held = (xp.abs(eigenvalues) > TINY) & xp.isfinite(counts)
        product = eigenvalues * xp.where(held, counts, 1.0)
        logs = _arrays(self.logarithms)
        return xp.where(held, product, xp.copysign(xp.exp(logs[0] + logs[1]), eigenvalues))

    @property
    def log_eigenvalues(self) -> Array:
        r"""$\ln |\lambda_k|$, shape (levels,); minus infinity for a vanishing eigenvalue."""
        return self._logarithm(0, self.eigenvalues)

    @property
    def log_multiplicities(self) -> Array:
        r"""$\ln N_k$, shape (levels,)."""
        return self._logarithm(1, self.multiplicities)

    def _logarithm(self, row: int, numbers: Array) -> Array:
        if self.logarithms is not None:
            return _arrays(self.logarithms)[row]
        values = _arrays(numbers)
        if isinstance(values, jax.Array):
            return jnp.log(jnp.abs(values))
        with np.errstate(divide="ignore"):
            return np.log(np.abs(values))

    @property
    def exact_multiplicities(self) -> tuple[int, ...]:
        """N(d, k) as exact integers, of degrees on the sphere, the circle or the hypercube.

        Raises:
            ValueError: the levels are no degrees on one of these.
        """
        if self.dim is None or self.domain not in MULTIPLICITIES:
            raise ValueError(
                f"exact multiplicities are known for {sorted(MULTIPLICITIES)}, got a spectrum "
                f"whose domain is {self.domain!r} and dim {self.dim}"
            )
        return tuple(MULTIPLICITIES[self.domain](self.dim, int(k)) for k in self.degrees)

    @property
    def trace(self) -> Array:
        r"""$h(1) = \sum_k N_k \lambda_k + \mathrm{tail}$, the kernel on the diagonal."""
        return self.level_masses.sum(-1) + self.tail

    def _title(self) -> str:
        dim = "" if self.dim is None else f"dim {self.dim}, "
        levels = len(self.degrees)
        error = f", relative error {self.relative_error:.1e}" if self.relative_error else ""
        sign = "" if self.positive_definite else ", NOT positive definite"
        return (
            f"Spectrum: {dim}{levels} levels, tail {_tail(self)}, method {self.method}{error}{sign}"
        )

    def _table(self) -> tuple[list[str], list[list[str]]]:
        header = ["degree", "eigenvalue", "multiplicity", "mass"]
        if np.ndim(self.eigenvalues) != 1:
            return header, [[str(np.shape(self.eigenvalues)), "...", "...", "..."]]
        columns = [np.asarray(column) for column in (self.eigenvalues, self.multiplicities)] + [
            np.asarray(self.level_masses)
        ]
        logs = np.asarray(self.log_eigenvalues), np.asarray(self.log_multiplicities)
        rows = [
            ["..."] * 4
            if k is None
            else [
                str(k),
                shown_number(columns[0][k], logs[0][k]),
                shown_number(columns[1][k], logs[1][k]),
                f"{columns[2][k]:.6g}",
            ]
            for k in shown_rows(len(self.degrees))
        ]
        return header, rows

    def to_xarray(self) -> "xarray.Dataset":
        """The arrays on the axis `degree`, as an xarray.Dataset."""
        import xarray

        return xarray.Dataset(
            {
                "eigenvalues": ("degree", np.asarray(self.eigenvalues)),
                "multiplicities": ("degree", np.asarray(self.multiplicities)),
                "level_masses": ("degree", np.asarray(self.level_masses)),
                "tail": float(self.tail),
            },
            coords={"degree": self.degrees},
            attrs={
                "dim": "none" if self.dim is None else self.dim,
                "method": self.method,
                "relative_error": self.relative_error,
            },
        )

    def plot(
        self, ax: "Axes | None" = None, law: Callable[[Any], Any] | None = None, **style: Any
    ) -> "Axes":
        r"""Draw $N_k \lambda_k$ and $\lambda_k$ against the degree; as `kt.plot_spectra` does many.

        Args:
            ax: axes to draw in; a new figure if None.
            law: $\lambda_k$ as a function of an array of degrees, drawn as a dashed line.
            style: passed on to matplotlib.

        Returns:
            The axes.
        """
        from kerneltheory.spectra.plots import plot_spectrum  # as late as matplotlib itself

        return plot_spectrum(self, ax, law=law, **style)


class DegreePowers(Mapping[int, Any]):
    """An immutable, hashable mapping from degree to power; a pytree whose leaves are the powers."""

    __slots__ = ("_pairs",)

    def __init__(self, pairs: tuple[tuple[int, Any], ...]) -> None:
        self._pairs = pairs

    def __getitem__(self, degree: int) -> Any:
        return dict(self._pairs)[degree]

    def __iter__(self) -> Iterator[int]:
        return (degree for degree, _ in self._pairs)

    def __len__(self) -> int:
        return len(self._pairs)

    def __hash__(self) -> int:
        return hash(self._pairs)

    def __repr__(self) -> str:
        return repr(dict(self._pairs))

    def __reduce__(self) -> tuple[Any, ...]:
        return DegreePowers, (self._pairs,)


jax.tree_util.register_pytree_with_keys(
    DegreePowers,
    lambda powers: (
        [(jax.tree_util.DictKey(degree), power) for degree, power in powers.items()],
        tuple(powers),
    ),
    lambda degrees, powers: DegreePowers(tuple(zip(degrees, powers, strict=True))),
)


@array_record
class Target(ArrayRecord):
    r"""A target function, described by its power at each degree, and the noise of its labels.

    $y_i = f(x_i) + \varepsilon_i$ with $F_k^2$ the squared norm of the degree-k part of f and
    $\mathrm{var}(\varepsilon_i) = \sigma^2$.

    Args:
        power: a mapping {degree: $F_k^2$}, or an array aligned with the levels of a spectrum.
        noise_variance: $\sigma^2 \ge 0$ of the labels; for learning curves in theory it may be an
            array, which broadcasts with n and ridge.

    Raises:
        ValueError: a power or the noise variance is negative or not finite.

    Examples:
        >>> target = Target(power={1: 1.0, 3: 0.5}, noise_variance=0.1)
        >>> target.powers(5)
        array([0. , 1. , 0. , 0.5, 0. ])
        >>> target
        Target(power={1: 1.0, 3: 0.5}, noise_variance=0.1)
    """

    power: Any
    noise_variance: Array | float = 0.0

    def __post_init__(self) -> None:
        if self.power is None or self.noise_variance is None:
            return  # a record of axes, as jax.vmap takes them in in_axes
        if isinstance(self.power, Mapping):
            object.__setattr__(self, "power", _degree_powers(self.power))
        elif not isinstance(self.power, jax.Array):
            object.__setattr__(self, "power", _level_array("power", self.power))
        if not isinstance(self.noise_variance, jax.Array):
            noise = check.nonnegative("noise_variance", self.noise_variance)
            object.__setattr__(self, "noise_variance", noise if noise.ndim else float(noise))

    @property
    def highest_degree(self) -> int:
        """The highest degree that the target names; -1 for a target without any."""
        if isinstance(self.power, DegreePowers):
            return max(self.power, default=-1)
        return np.shape(self.power)[-1] - 1

    def powers(self, levels: int) -> Array:
        """The power of each of the first degrees, shape (levels,).

        Args:
            levels: how many, at least 1.

        Raises:
            ValueError: the target has a degree that a spectrum of so many levels does not hold.
        """
        levels = check.integer("levels", levels, minimum=1)
        mapped = isinstance(self.power, DegreePowers)
        count = self.highest_degree + 1
        if count > levels:
            raise ValueError(
                f"target degree {count - 1} is above the highest degree {levels - 1} of the "
                f"spectrum; ask for a spectrum with max_degree >= {count - 1}"
            )
        if not mapped:
            missing = levels - count
            if isinstance(self.power, jax.Array):
                return jnp.pad(self.power, (0, missing))
            return np.pad(np.asarray(self.power), (0, missing))
        values = [self.power.get(degree, 0.0) for degree in range(levels)]
        if any(isinstance(value, jax.Array) for value in values):
            return jnp.stack([jnp.asarray(value) for value in values])
        return np.array(values, dtype=np.float64)

    @property
    def single_noise_variance(self) -> float:
        """The noise variance as one number.

        Raises:
            ValueError: the target has an array of them.
        """
        if np.ndim(self.noise_variance):
            raise ValueError(
                "target must have a single noise_variance here, got an array of shape "
                f"{np.shape(self.noise_variance)}"
            )
        return float(self.noise_variance)

    @property
    def total_power(self) -> Array | float:
        r"""$\sum_k F_k^2$, the squared norm of the target."""
        if isinstance(self.power, DegreePowers):
            return sum(self.power.values(), start=0.0)
        return _arrays(self.power).sum()

    def __repr__(self) -> str:
        if not is_concrete(self):
            return "Target(traced)"
        values = self.power if isinstance(self.power, DegreePowers) else np.asarray(self.power)
        shown = repr(values if isinstance(values, DegreePowers) else values.tolist())
        if not isinstance(values, DegreePowers) and values.size > MOST_SHOWN:
            first = ", ".join(f"{value:.6g}" for value in np.ravel(values)[:3])
            shown = f"[{first}, ... ({values.shape[-1]} levels)]"
        noise = np.asarray(self.noise_variance).tolist()
        return f"Target(power={shown}, noise_variance={noise!r})"

    def _repr_html_(self) -> str:
        return f"<code>{html.escape(repr(self))}</code>"


def _level_array(name: str, value: Any, *, overflow: bool = False) -> np.ndarray:
    """A read-only copy, checked: eigenvalues may be negative, and multiplicities may overflow."""
    checked = check.finite if name == "eigenvalues" else check.nonnegative
    array = np.array(checked(name, np.where(np.isposinf(value), 1.0, value) if overflow else value))
    if overflow:
        array[np.isposinf(value)] = np.inf
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"{name} must have shape (levels,), levels >= 1, got {array.shape}")
    if name == "multiplicities" and not array.min() > 0:
        raise ValueError(f"multiplicities must be positive, got {array.min()}")
    array.flags.writeable = False
    return array


def _scalar(name: str, value: Any) -> Any:
    if isinstance(value, jax.Array):
        return value
    number = check.nonnegative(name, value)
    if number.ndim:
        raise ValueError(f"{name} must be a single number, got shape {number.shape}")
    return float(number)


def _degree_powers(power: Mapping[int, Any]) -> DegreePowers:
    pairs = (
        (check.integer("a degree in power", degree, minimum=0), _scalar(f"power[{degree}]", value))
        for degree, value in power.items()
    )
    return DegreePowers(tuple(sorted(pairs, key=lambda pair: pair[0])))


def _arrays(value: Any) -> Any:
    return value if isinstance(value, jax.Array) else np.asarray(value)


def _tail(spectrum: Spectrum) -> str:
    return f"{float(spectrum.tail):.3g}" if np.ndim(spectrum.tail) == 0 else "batched"
