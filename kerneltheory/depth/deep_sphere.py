r"""Eigenvalues of deep kernels on the sphere, by degree and depth.

At every depth they are enclosed by `kt.certified_spectrum`; at large depth those of a fixed degree
follow the laws of `degree_laws`. Degree by degree :math:`k^{-d-2\nu+1}` at large k, the tail, keeps
its exponent at every depth: if :math:`1 - F(1-g) = m g - c g^\nu + \dots`, the singular term of
F(F(1 - g)) is :math:`c\,(m + m^\nu) g^\nu`, of the same power.
"""

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from kerneltheory.core import check
from kerneltheory.core.errors import KernelTheoryError
from kerneltheory.core.figures import axes_or_new, plain_log_ticks
from kerneltheory.core.records import Array, ArrayRecord, array_record, static
from kerneltheory.depth.degree_laws import DegreeLaw, constant_limit, degree_law
from kerneltheory.depth.phases import CRITICAL, Phase, phase
from kerneltheory.kernels.kernel import NetworkKernel, nngp, ntk
from kerneltheory.spectra.domains import spectrum
from kerneltheory.spectra.tail_law import tail_law

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@array_record
class DepthProfile(ArrayRecord):
    r"""Eigenvalues of a network's kernel on S^{d-1}, of each degree at several depths.

    Attributes:
        depths: numbers of hidden layers, ascending, shape (depths,).
        eigenvalues: :math:`\lambda_k`, shape (depths, degrees), with full relative accuracy.
        multiplicities: N(d, k), shape (degrees,).
        tails: what all higher degrees add up to, shape (depths,).
        kernel: the network of the greatest depth.
        dim: d.
        phase: of the network.
    """

    depths: Array
    eigenvalues: Array
    multiplicities: Array
    tails: Array
    kernel: NetworkKernel | None = static(None)
    dim: int = static(2)
    phase: Phase | None = static(None)

    @property
    def law(self) -> DegreeLaw:
        """The law in the depth of each eigenvalue of a degree k >= 1 that does not vanish.

        Raises:
            KernelTheoryError: the variance diverges or tends to zero.
        """
        assert self.phase is not None
        assert self.kernel is not None
        return degree_law(self.phase, self.dim, self.kernel.tangent)

    @property
    def constant_limit(self) -> np.ndarray | None:
        """What the eigenvalue of degree 0 tends to at each depth; None where spikes add to it.

        Raises:
            KernelTheoryError: the variance diverges or tends to zero.
        """
        assert self.phase is not None
        assert self.kernel is not None
        return constant_limit(self.phase, self.dim, self.kernel.tangent, self.depths)

    def _law(self) -> DegreeLaw | None:
        try:
            return self.law
        except KernelTheoryError:
            return None

    @property
    def prefactors(self) -> np.ndarray:
        """Eigenvalues of degrees k >= 1 over the law with constant 1, shape (depths, degrees - 1).

        They tend to the constants of the law.
        """
        return np.asarray(self.eigenvalues)[:, 1:] / self.law(self.depths)[:, None]

    @property
    def tail_exponent(self) -> Any:
        r"""The p of :math:`\lambda_k \sim k^{-p}`, the same at every depth; infinite if analytic.

        Raises:
            KernelTheoryError: as `kt.tail_law`, if no exact expansion is known.
        """
        assert self.kernel is not None
        return tail_law(_at_depth(self.kernel, 1), self.dim).exponent

    def _title(self) -> str:
        law, name = self._law(), "" if self.phase is None else self.phase.name
        stated = "none, the variance does not settle" if law is None else str(law)
        return f"DepthProfile: {self.kernel}, dim {self.dim}, {name}; law for k >= 1: {stated}"

    def _table(self) -> tuple[list[str], list[list[str]]]:
        count = min(np.shape(self.eigenvalues)[-1], 6)
        header = ["depth", *(f"lambda_{k}" for k in range(count)), "above"]
        above = np.asarray(self.tails) + np.sum(
            np.asarray(self.eigenvalues)[:, count:] * np.asarray(self.multiplicities)[count:], -1
        )
        pairs = zip(self.depths, np.asarray(self.eigenvalues), above, strict=True)
        return header, [
            [str(depth), *(f"{value:.6g}" for value in row[:count]), f"{rest:.6g}"]
            for depth, row, rest in pairs
        ]

    def to_xarray(self) -> Any:
        """The arrays on the axes `depth` and `degree`, as an xarray.Dataset."""
        import xarray

        return xarray.Dataset(
            {
                "eigenvalues": (("depth", "degree"), np.asarray(self.eigenvalues)),
                "multiplicities": ("degree", np.asarray(self.multiplicities)),
                "tails": ("depth", np.asarray(self.tails)),
            },
            coords={
                "depth": np.asarray(self.depths),
                "degree": np.arange(np.shape(self.eigenvalues)[-1]),
            },
            attrs={"kernel": str(self.kernel), "dim": self.dim},
        )

    def plot(self, ax: "Axes | None" = None, against: str = "depth") -> "Axes":
        """Draw the eigenvalues, and return the axes.

        Args:
            ax: axes to draw in; a new figure if None.
            against: "depth", a line for each degree, dashed the law through the deepest point; or
                "degree", a line for each depth.

        Raises:
            ValueError: `against` is neither.
        """
        if against not in ("depth", "degree"):
            raise ValueError(f'against must be "depth" or "degree", got {against!r}')
        axes = axes_or_new(ax)
        axes.set_yscale("log")
        axes.set_ylabel(r"$\lambda_k$")
        (self._plot_degrees if against == "depth" else self._plot_depths)(axes)
        axes.set_xlabel("depth $l$" if against == "depth" else "degree $k$")
        plain_log_ticks(axes)
        axes.legend(fontsize="small", frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
        return axes

    def _plot_degrees(self, axes: "Axes") -> None:
        depths, values = np.asarray(self.depths), np.asarray(self.eigenvalues)
        found = self._law()
        law = None if found is None else found(depths)
        if self.phase is not None and self.phase.name == CRITICAL:
            axes.set_xscale("log")
        for k, (row, color) in enumerate(zip(values.T, _shades(values.shape[1]), strict=True)):
            own = row > 0
            if not own.any():
                continue
            axes.plot(depths[own], row[own], "o-", markersize=3, color=color, label=f"$k = {k}$")
            if k and law is not None:
                last = row[-1] * law / law[-1]
                axes.plot(depths, last, "--", color=color, linewidth=0.8, gid="law")

    def _plot_depths(self, axes: "Axes") -> None:
        rows = zip(self.depths, self.eigenvalues, _shades(len(self.depths)), strict=True)
        for depth, row, color in rows:
            shown = np.flatnonzero(np.asarray(row) > 0)
            axes.plot(
                shown, np.asarray(row)[shown], "o-", markersize=3,
                color=color, label=f"$l = {depth}$",
            )  # fmt: skip


def _shades(count: int) -> np.ndarray:
    """Colors in an order that the eye can follow."""
    import matplotlib as mpl

    return mpl.colormaps["viridis"](np.linspace(0, 0.92, count))


def depth_profile(
    phi: Any,
    dim: int,
    max_degree: int,
    depths: Any,
    *,
    weight_variance: Any,
    bias_variance: Any = 0,
    tangent: bool = False,
) -> DepthProfile:
    r"""How the eigenvalues of a fully connected network's kernel on S^{d-1} change with depth.

    Args:
        phi: an activation or a sympy expression in one symbol.
        dim: d >= 2, of the inputs.
        max_degree: the highest degree, at least 1.
        depths: numbers of hidden layers, ascending, each at least 1.
        weight_variance: w > 0, of every layer.
        bias_variance: b >= 0, of every layer.
        tangent: of the NTK instead of the NNGP.

    Returns:
        A `DepthProfile`, whose `law` says how each eigenvalue of a fixed degree falls or grows.

    Raises:
        ValueError: depths are not ascending, or a number is out of its range.
        PrecisionError: as `kt.spectrum`, where an eigenvalue is not enclosed.

    Examples:
        >>> from kerneltheory.activations.catalogue import erf
        >>> profile = depth_profile(erf, 4, 2, [4, 16], weight_variance=1, bias_variance=0.5)
        >>> profile.phase.name, profile.law.part
        ('ordered', 'bulk')
        >>> bool(np.isclose(profile.eigenvalues[1, 0], profile.constant_limit[1], rtol=1e-3))
        True
    """
    layers = check.integers("depths", depths, minimum=1)
    if layers.ndim != 1 or (np.diff(layers) <= 0).any():
        raise ValueError(f"depths must be a list of ascending integers, got {depths!r}")
    max_degree = check.integer("max_degree", max_degree, minimum=1)
    make = functools.partial(
        ntk if check.flag("tangent", tangent) else nngp, phi,
        weight_variance=weight_variance, bias_variance=bias_variance,
    )  # fmt: skip
    deepest = make(int(layers[-1]))
    found_phase = phase(phi, weight_variance, bias_variance)
    found = [spectrum(make(int(depth)), dim, max_degree) for depth in layers]
    return DepthProfile(
        layers,
        np.stack([one.eigenvalues for one in found]),
        np.asarray(found[0].multiplicities),
        np.array([float(one.tail) for one in found]),
        kernel=deepest,
        dim=int(dim),
        phase=found_phase,
    )


def _at_depth(kernel: NetworkKernel, depth: int) -> NetworkKernel:
    make = ntk if kernel.tangent else nngp
    w, b = kernel.weight_variance, kernel.bias_variance
    return make(kernel.activation, depth, weight_variance=w, bias_variance=b)
