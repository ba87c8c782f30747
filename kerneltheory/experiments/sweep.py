"""Simulations over a grid, kept trial by trial, so that a killed run goes on where it was."""

import dataclasses
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal

import jax
import numpy as np
import scipy
from tqdm import tqdm

from kerneltheory import __version__
from kerneltheory.experiments.grid import Grid, make_grid, named_kernels
from kerneltheory.experiments.runs import run_trials
from kerneltheory.experiments.store import (
    Records,
    TrialFiles,
    TrialRecord,
    make_manifest,
    read_manifest,
)
from kerneltheory.experiments.trial import SphereProblem
from kerneltheory.kernels.base import Kernel
from kerneltheory.spectra.spectrum import Target

if TYPE_CHECKING:
    import xarray

VERSIONS = {
    "kerneltheory": __version__,
    "jax": jax.__version__,
    "numpy": np.__version__,
    "scipy": scipy.__version__,
    "python": platform.python_version(),
}


def sweep(
    kernel: Kernel | Sequence[Kernel] | Mapping[str, Kernel],
    target: Target,
    dim: int | Sequence[int],
    n: Any,
    ridge: Any,
    trials: Any,
    seed: int | Sequence[int],
    *,
    labels: Literal["averaged", "drawn"] = "averaged",
    directory: str | os.PathLike[str] | None = None,
    progress: bool = True,
) -> "xarray.Dataset":
    """Simulate kernel ridge regression at every point of a grid, as `simulate` does at each.

    One pass over the trials of each (kernel, dim, seed) serves all n, ridges and noise variances.
    Points of one pass are correlated; different seeds are independent.

    In a directory each trial is written to a file of its own as soon as it is done. After a kill,
    at whatever moment, the same call runs the trials that are missing, and the result is that of a
    run that was not killed, bit for bit on one machine with one number of threads, but for the
    attributes `wall_time` and `device`. Another process may run the same sweep in the same
    directory at the same time: the trials are the same, so that neither harms the other.

    Args:
        kernel: one or several, as those of `simulate`; a mapping gives them names, which else are
            their texts.
        target: powers by degree; its noise variance is a number or a list.
        dim: d >= 2, one or several.
        n: number of samples, one or several; or a mapping from every dim to as many numbers.
        ridge: absolute ridge >= 0, one or several.
        trials: number of trials, at least 4; an array gives each n its own, or broadcasts to
            (noise variance, ridge, n).
        seed: a non-negative integer, one or several.
        labels: "averaged" or "drawn", as in `simulate`.
        directory: where trials are kept. It is made, must be empty, or hold this sweep. None keeps
            them in memory.
        progress: whether to show a progress bar over all trials (after two seconds).

    Returns:
        An xarray.Dataset of test_error, bias, variance, train_error, gcv and leave_one_out and
        their standard errors, `<field>_standard_error`, on the axes (kernel, dim, seed,
        noise_variance, ridge, n), all of them there also where there is one value. Where n is not
        the same at every dim, the last axis is `place`, and n a coordinate on (dim, place). Its
        attributes hold the specification (as JSON) and its hash, which is also that of the
        versions, the versions, the device and the seconds that the trials took; all can be written
        by `to_netcdf`.

    Raises:
        ValueError, TypeError: if an argument is out of its range; if the directory cannot be
            written, or holds another sweep, one of other versions, a foreign or a corrupted file,
            which the message names. All this is said before the run. Hidden files are let be.
        NotPositiveDefiniteError: if a Gram matrix is not positive definite beyond rounding; the
            trials before it are kept.
        PrecisionError: as in `simulate`.

    Examples:
        >>> import tempfile
        >>> from kerneltheory.activations.catalogue import erf, relu
        >>> from kerneltheory.kernels.kernel import nngp
        >>> kernels = {"relu": nngp(relu, 1, weight_variance=2),
        ...            "erf": nngp(erf, 1, weight_variance=2)}
        >>> target = Target({1: 1.0}, noise_variance=[0.0, 0.5])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     result = sweep(kernels, target, dim=5, n=[2, 8], ridge=[0.1, 1.0], trials=4,
        ...                    seed=0, directory=folder)
        ...     again = read_sweep(folder)
        >>> dict(result.sizes)
        {'kernel': 2, 'dim': 1, 'seed': 1, 'noise_variance': 2, 'ridge': 2, 'n': 2}
        >>> again.identical(result)
        True
        >>> errors = result.test_error.squeeze().sel(kernel="relu", ridge=0.1, noise_variance=0)
        >>> bool(errors.sel(n=8) < errors.sel(n=2))
        True
    """
    kernels = named_kernels(kernel)
    grid = make_grid(kernels, target, dim, n, ridge, trials, seed, labels)
    problems = grid.problems(kernels)
    manifest = make_manifest(dataclasses.asdict(grid), VERSIONS)
    records: Records = {}
    if directory is not None:
        records = TrialFiles(_path(directory), manifest, grid.counts)
        records.begin()
    _run(problems, records, progress=progress)
    return grid.dataset(records, _provenance(manifest))


def read_sweep(directory: str | os.PathLike[str]) -> "xarray.Dataset":
    """Read the finished sweep that `sweep` kept in a directory.

    Args:
        directory: that of the sweep.

    Returns:
        The xarray.Dataset that `sweep` returned, or would have.

    Raises:
        TypeError: if it is no path.
        ValueError: if it holds no sweep, or one with trials missing, or a foreign or a corrupted
            file; the message names it.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     read_sweep(folder)
        Traceback (most recent call last):
        ValueError: directory must hold a sweep, got ... without a readable manifest.json: ...
    """
    path = _path(directory)
    manifest = read_manifest(path)
    grid = Grid(**manifest["specification"])
    files = TrialFiles(path, manifest, grid.counts)
    files.check()
    missing = files.missing()
    if missing:
        raise ValueError(
            f"directory must hold a finished sweep, but {len(missing)} of {sum(grid.counts)} "
            f"trials are missing in {path}; kt.sweep with the arguments in its manifest.json runs "
            "them"
        )
    return grid.dataset(files, _provenance(manifest))


def _path(directory: Any) -> Path:
    if not isinstance(directory, str | os.PathLike):
        raise TypeError(f"directory must be a path, got {directory!r}")
    return Path(directory)


def _run(problems: Sequence[SphereProblem], records: Records, *, progress: bool) -> None:
    """Run the trials that are missing."""
    counts = [problem.points.trials for problem in problems]
    keys = [[(place, trial) for trial in range(count)] for place, count in enumerate(counts)]
    held = sum(key in records for row in keys for key in row)
    device = _device()
    with tqdm(
        total=sum(counts), initial=held, desc="sweep", delay=2, disable=not progress, leave=False
    ) as bar:
        for place, problem in enumerate(problems):
            # Asked just before each: another process may have run it meanwhile.
            missing = (trial for _, trial in keys[place] if (place, trial) not in records)
            start = perf_counter()
            for trial, arrays in run_trials(problem, missing):
                records[place, trial] = TrialRecord(arrays, perf_counter() - start, device)
                bar.update()
                start = perf_counter()


def _device() -> str:
    """What arrays are computed on."""
    device = jax.devices()[0]
    return ", ".join(dict.fromkeys([device.platform, device.device_kind, platform.machine()]))


def _provenance(manifest: Mapping[str, Any]) -> dict[str, str]:
    """The attributes that say what a dataset is made of."""
    versions = {f"{name}_version": version for name, version in manifest["versions"].items()}
    return {"specification_hash": manifest["hash"], **versions}
