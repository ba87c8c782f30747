"""Sweeps: the numbers of `simulate` on named axes, and files that survive what happens to runs."""

import json
import multiprocessing
import os
import signal
import stat
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import sympy
import xarray
from tqdm import tqdm

from kerneltheory.activations.activation import activation
from kerneltheory.activations.catalogue import relu
from kerneltheory.experiments import store
from kerneltheory.experiments import sweep as module
from kerneltheory.experiments.grid import definition
from kerneltheory.experiments.simulate import simulate
from kerneltheory.experiments.sweep import read_sweep, sweep
from kerneltheory.kernels.kernel import dot_product_kernel, nngp
from kerneltheory.spectra.spectrum import Target

T = sympy.Symbol("t", real=True)
EXPONENTIAL, GAUSSIAN = dot_product_kernel(sympy.exp(T)), dot_product_kernel(sympy.exp(3 * T - 3))
FIELDS = ("test_error", "bias", "variance", "train_error", "gcv", "leave_one_out")
SMALL = {
    "kernel": EXPONENTIAL,
    "target": Target({1: 1.0}, 0.1),
    "dim": 3,
    "n": [2, 4],
    "ridge": 0.1,
    "trials": 5,
    "seed": 0,
    "labels": "drawn",
    "progress": False,
}


def run(directory=None, **changes):
    return sweep(**(SMALL | changes), directory=directory)


def assert_same_but_for_the_run(first, second):
    told = [result.attrs.copy() for result in (first, second)]
    for attributes in told:
        del attributes["wall_time"], attributes["device"]
    assert told[0] == told[1]
    xarray.testing.assert_identical(first.drop_attrs(), second.drop_attrs())


def stamps(directory):
    """The names of the trial files, with what changes if one is written again."""
    return {p.name: (p.stat().st_ino, p.stat().st_mtime_ns) for p in directory.glob("trial-*")}


# --- the numbers ---------------------------------------------------------------------------------


@pytest.mark.slow
def test_every_curve_of_a_grid_is_that_of_simulate_to_the_bit():
    kernels, dims, seeds = {"e": EXPONENTIAL, "g": GAUSSIAN}, [3, 5], [4, 0]
    n, ridges, noises, trials = [4, 2], [1.0, 0.1], [0.0, 0.3, 0.1], [4, 5]
    target = Target({1: 0.7, 2: 0.3}, noises)
    told = {"labels": "drawn", "progress": False}
    result = sweep(kernels, target, dims, n, ridges, trials, seeds, **told)
    axes = ("kernel", "dim", "seed", "noise_variance", "ridge", "n")
    for name, kernel in kernels.items():
        for dim in dims:
            for seed in seeds:
                grid = Target(target.power, np.array(noises)[:, None, None])
                column = np.array(ridges)[:, None]
                curve = simulate(kernel, grid, dim, n, column, trials, seed, **told)
                own = result.sel(kernel=name, dim=dim, seed=seed)
                for field in FIELDS:
                    assert result[field].dims == axes
                    np.testing.assert_array_equal(own[field], getattr(curve, field))
                    error = own[f"{field}_standard_error"]
                    np.testing.assert_array_equal(error, curve.standard_error(field))
    assert result.ridge.values.tolist() == ridges
    assert result.noise_variance.values.tolist() == noises
    assert result.n.values.tolist() == n
    assert result.trials.sel(n=2).values.tolist() == [[5, 5]] * 3
    assert not any(np.isnan(variable).any() for variable in result.data_vars.values())


def test_n_may_differ_between_dims_without_holes():
    result = run(dim=[3, 5], n={5: [5, 15], 3: [3, 9]})
    assert result.test_error.dims[-1] == "place"
    assert result.n.dims == ("dim", "place")
    assert result.n.values.tolist() == [[3, 9], [5, 15]]
    for dim, n in ((3, [3, 9]), (5, [5, 15])):
        own = run(dim=dim, n=n).test_error.values
        np.testing.assert_array_equal(result.test_error.sel(dim=[dim]), own)
    assert run(dim=[3, 5], n={3: [2, 4], 5: [2, 4]}).test_error.dims[-1] == "n"


def test_attributes_say_what_a_result_is_made_of():
    first, other = run(), run(seed=1)
    told = json.loads(first.attrs["specification"])
    assert told["seed"] == [0]
    assert list(told["kernel"]) == first.kernel.values.tolist() == [str(EXPONENTIAL)]
    assert first.attrs["specification_hash"] != other.attrs["specification_hash"]
    assert first.attrs["wall_time"] > 0
    for name in ("kerneltheory", "jax", "numpy", "scipy"):
        assert first.attrs[f"{name}_version"] == __import__(name).__version__


def test_a_result_can_be_exported_as_netcdf(tmp_path):
    result = run(kernel={"e": EXPONENTIAL, "g": GAUSSIAN}, dim=[3, 5], n={3: [2, 4], 5: [3, 5]})
    result.to_netcdf(tmp_path / "sweep.nc", engine="scipy")
    again = xarray.load_dataset(tmp_path / "sweep.nc", engine="scipy")
    xarray.testing.assert_equal(result, again)
    assert again.attrs == result.attrs


def test_equal_kernels_have_one_definition_and_others_another():
    cubes = [activation(X**3, "phi") for X in (sympy.Symbol("x"), sympy.Symbol("u"))]
    first, second = (nngp(phi, 1, weight_variance=2) for phi in cubes)
    other = nngp(activation(sympy.Symbol("x") ** 2, "phi"), 1, weight_variance=2)
    assert definition(first) == definition(second)
    assert str(first) == str(other)
    assert definition(first) != definition(other)
    near = [nngp(relu, 1, weight_variance=w) for w in (1.1, np.nextafter(1.1, 2))]
    assert definition(near[0]) != definition(near[1])
    combined = (first + EXPONENTIAL) * 2
    assert definition(combined) != definition(first + EXPONENTIAL)
    assert definition(combined.compose(first)) != definition(first.compose(combined))
    with pytest.raises(TypeError, match="got object in it"):
        definition((object(),))


# --- files ---------------------------------------------------------------------------------------


def test_a_directory_holds_the_sweep_and_is_read_back(tmp_path):
    folder = tmp_path / "new" / "sweep"
    kept = run(folder, dim=[3, 5])
    assert len(stamps(folder)) == 10
    assert_same_but_for_the_run(kept, run(dim=[3, 5]))
    assert read_sweep(str(folder)).identical(kept)
    before = stamps(folder)
    assert run(folder, dim=[3, 5]).identical(kept)
    assert stamps(folder) == before
    with np.load(folder / "trial-0001-000003.npz") as trial:
        assert trial["test_error"].shape == (2,)


def test_only_missing_trials_run_again(tmp_path):
    whole = run(tmp_path, dim=[3, 5])
    for name in ("trial-0000-000000", "trial-0000-000003", "trial-0001-000004"):
        (tmp_path / f"{name}.npz").unlink()
    with pytest.raises(ValueError, match=r"finished sweep, but 3 of 10 trials are missing in .*"):
        read_sweep(tmp_path)
    before = stamps(tmp_path)
    assert_same_but_for_the_run(run(tmp_path, dim=[3, 5]), whole)
    after = stamps(tmp_path)
    assert len(after) == 10
    assert before.items() <= after.items()


def test_the_progress_bar_counts_the_trials_of_all_settings_and_of_earlier_runs(
    tmp_path, monkeypatch
):
    bars = []

    class Bar(tqdm):
        def __init__(self, **options):
            super().__init__(**options)
            bars.append(self)

    monkeypatch.setattr(module, "tqdm", Bar)
    run(tmp_path, dim=[3, 5], progress=True)
    for trial in range(3):
        (tmp_path / f"trial-0001-00000{trial}.npz").unlink()
    run(tmp_path, dim=[3, 5], progress=True)
    assert [(bar.initial, bar.n, bar.total) for bar in bars] == [(0, 10, 10), (7, 10, 10)]


class Killed(BaseException):
    """What no code of the package catches."""


class MortalSystem:
    """The system calls of a write, of which one is the last; a write may end in the middle."""

    name, O_RDONLY = os.name, os.O_RDONLY

    def __init__(self, calls: int) -> None:
        self.calls = calls

    def _count(self):
        self.calls -= 1
        if self.calls < 0:
            raise Killed

    def fsync(self, file):
        if self.calls == 0 and stat.S_ISREG(os.fstat(file).st_mode):
            os.ftruncate(file, 100)  # the rest never reached the disk
        self._count()
        os.fsync(file)

    def replace(self, old, new):
        self._count()
        os.replace(old, new)

    def open(self, *args):
        self._count()
        return os.open(*args)

    close = staticmethod(os.close)


def test_a_kill_at_any_step_of_any_write_loses_and_repeats_nothing(tmp_path, monkeypatch):
    whole, calls, kills = run(trials=4), 0, 0
    # Four calls for each of five files, and two for the parent directory after the manifest.
    while True:
        folder = tmp_path / str(calls)
        with monkeypatch.context() as patch:
            patch.setattr(store, "os", MortalSystem(calls))
            try:
                run(folder, trials=4)
                break
            except Killed:
                kills += 1
        before = stamps(folder)
        assert len(before) == max(0, (calls - 4) // 4)
        assert_same_but_for_the_run(run(folder, trials=4), whole)
        assert before.items() <= stamps(folder).items()
        assert sorted(os.listdir(folder)) == sorted([*stamps(folder), "manifest.json"])
        calls += 1
    assert kills == 22


def test_two_runs_in_one_directory_do_no_harm(tmp_path, monkeypatch):
    run_trials, others = module.run_trials, []

    def overtaken(problem, indices):
        for index, arrays in run_trials(problem, indices):
            if index == 1:
                with monkeypatch.context() as patch:
                    patch.setattr(module, "run_trials", run_trials)
                    others.append(run(tmp_path))
            yield index, arrays

    monkeypatch.setattr(module, "run_trials", overtaken)
    result = run(tmp_path)
    assert_same_but_for_the_run(result, others[0])
    assert_same_but_for_the_run(read_sweep(tmp_path), run())


def test_a_run_that_begins_may_remove_what_another_is_writing(tmp_path, monkeypatch):
    removed = []

    def replace(old, new):
        if not removed:
            removed.append(old)
            os.unlink(old)
        os.replace(old, new)

    calls = {name: getattr(os, name) for name in ("fsync", "open", "close", "name", "O_RDONLY")}
    monkeypatch.setattr(store, "os", SimpleNamespace(replace=replace, **calls))
    store.write_atomically(tmp_path / "file", b"content")
    assert removed
    assert os.listdir(tmp_path) == ["file"]
    assert (tmp_path / "file").read_bytes() == b"content"
    monkeypatch.undo()
    with pytest.raises(FileNotFoundError):
        store.write_atomically(tmp_path / "gone" / "file", b"content")


# --- what is refused -----------------------------------------------------------------------------


def refused(folder, message, **changes):
    """Both refuse it, and touch nothing."""
    before = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    with pytest.raises(ValueError, match=message):
        run(folder, **changes)
    if not changes:
        with pytest.raises(ValueError, match=message):
            read_sweep(folder)
    assert before == {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n": [2, 5]}, r"manifest.json has another n \(n: \[\[2, 4\]\] there, \[\[2, 5\]\] here"),
        ({"seed": [0, 1]}, "has another seed .*give another directory, or the arguments"),
        ({"trials": 6, "ridge": 0.2}, "has another ridge and trials"),
        ({"kernel": {str(EXPONENTIAL): GAUSSIAN}}, "has another kernel"),
        ({"target": Target({2: 1.0}, 0.1)}, "has another power"),
        ({"target": Target({1: 1.0}, 0.2)}, "has another noise_variance"),
        ({"labels": "averaged"}, "has another labels"),
    ],
)
def test_another_specification_is_refused(tmp_path, change, message):
    run(tmp_path)
    refused(tmp_path, message, **change)


def test_other_versions_are_refused_by_a_run_and_read(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setitem(module.VERSIONS, "jax", "0.0.1")
        kept = run(tmp_path)
    with pytest.raises(ValueError, match=r"has another jax \(jax: '0.0.1' there, .* take those"):
        run(tmp_path)
    assert read_sweep(tmp_path).identical(kept)
    assert kept.attrs["jax_version"] == "0.0.1"


def test_a_flipped_bit_or_a_cut_anywhere_in_a_trial_is_found(tmp_path):
    run(tmp_path)
    path = tmp_path / "trial-0000-000002.npz"
    content = path.read_bytes()
    for place in range(0, len(content), 7):
        damaged = bytearray(content)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=rf"{path} is corrupted"):
            store._read_sealed(path)
        path.write_bytes(content[:place])
        with pytest.raises(ValueError, match=rf"{path} is corrupted"):
            store._read_sealed(path)
    refused(tmp_path, rf"{path} is corrupted; delete that file and call kt.sweep again")
    path.unlink()
    assert_same_but_for_the_run(run(tmp_path), run())


def test_a_trial_under_another_name_or_of_another_sweep_is_refused(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    run(one)
    run(other, seed=1)
    path = one / "trial-0000-000003.npz"
    for source in (one / "trial-0000-000002.npz", other / path.name):
        path.write_bytes(source.read_bytes())
        refused(one, f"{path} is a trial of another sweep, or another trial; delete that file")


@pytest.mark.parametrize("name", ["notes.txt", "trial-0000-000005.npz", "trial-0000-000001.npy"])
def test_a_foreign_file_is_refused(tmp_path, name):
    run(tmp_path)
    (tmp_path / name).write_text("mine")
    refused(tmp_path, f"but {tmp_path / name} is no file of it; move it away, or give another")


def test_a_folder_of_somebody_else_stays_as_it_is(tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    refused(tmp_path, "thesis.tex is no file of it", trials=6)
    assert os.listdir(tmp_path) == ["thesis.tex"]


def test_a_changed_manifest_is_refused_and_can_be_written_anew(tmp_path):
    kept = run(tmp_path)
    path = tmp_path / "manifest.json"
    content = path.read_text()
    for damaged in (content.replace("0.1", "0.2"), content[:-9], "[]", "{}", "\0"):
        path.write_text(damaged)
        refused(tmp_path, f"{path} is corrupted or was changed; delete that file and call")
    path.unlink()
    assert run(tmp_path).identical(kept)
    manifest = json.loads(content) | {"format": "kerneltheory sweep 0"}
    path.write_text(json.dumps(manifest | {"hash": store._manifest_hash(manifest)}))
    refused(tmp_path, "in the format 'kerneltheory sweep 1', got 'kerneltheory sweep 0'")


def test_a_directory_that_cannot_be_written_is_said_before_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "run_trials", None)  # to call it would be another error
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "sweep"):
        with pytest.raises(ValueError, match=f"directory must be a path that can be .*{place}"):
            run(place)
    system = MortalSystem(10**9)
    monkeypatch.setattr(system, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space")))
    monkeypatch.setattr(store, "os", system)
    for _ in range(2):  # the second time with a manifest's leftover
        with pytest.raises(ValueError, match=r"can be written, .*No space"):
            run(tmp_path / "full")


def test_nothing_to_read_is_refused(tmp_path):
    for place in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(ValueError, match=rf"must hold a sweep, got {place} without a readable"):
            read_sweep(place)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"kernel": []}, ValueError, "kernel must be at least one kernel"),
        ({"kernel": [EXPONENTIAL, np.exp]}, TypeError, "kernel must come from"),
        ({"kernel": {1: EXPONENTIAL}}, TypeError, "mapping from strings, got the name 1"),
        ({"kernel": [EXPONENTIAL] * 2}, ValueError, "kernels of different names"),
        ({"target": {1: 1.0}}, TypeError, "target must be a Target"),
        ({"target": Target({1: 1.0}, [0.1, 0.1])}, ValueError, "noise_variance must hold diff"),
        ({"target": Target({1: 1.0}, [[0.1]])}, ValueError, "noise_variance must be one value or"),
        ({"dim": [3, 1]}, ValueError, "dim must hold integers of at least 2, got 1"),
        ({"dim": 3.0}, TypeError, "dim must hold integers"),
        ({"dim": [3, 3]}, ValueError, r"dim must hold different values, got \[3, 3\]"),
        ({"n": [0, 3]}, ValueError, "n must hold integers of at least 1"),
        ({"n": [2.5]}, TypeError, "n must hold integers"),
        ({"n": [[2, 3]]}, ValueError, r"n must be one value or a list of them, got shape \(1, 2\)"),
        ({"n": [2, 2]}, ValueError, "n must hold different values"),
        ({"n": {4: [2]}}, ValueError, r"n must have the keys \[3\] where it is a mapping, got"),
        (
            {"n": {3: [2], 5: [2, 3]}, "dim": [3, 5]},
            ValueError,
            "n must hold as many numbers at every dim, .* got 1 at dim 3, 2 at dim 5",
        ),
        ({"ridge": [-1.0]}, ValueError, "ridge must not be negative"),
        ({"ridge": []}, ValueError, "ridge must be one value or a list"),
        ({"ridge": [np.nan]}, ValueError, "ridge must be finite"),
        ({"trials": 3}, ValueError, "trials must hold integers of at least 4"),
        ({"trials": [4, 5, 6]}, ValueError, "trials must be one integer or an array that broad"),
        ({"seed": -1}, ValueError, "seed must be an integer of at least 0"),
        ({"seed": None}, TypeError, "seed must be an integer"),
        ({"seed": []}, ValueError, "seed must be one value or a list"),
        ({"seed": [1, 1]}, ValueError, "seed must hold different values"),
        ({"seed": 2**63}, ValueError, r"seed must be an integer of at most 2\^63 - 1"),
        ({"labels": "random"}, ValueError, 'labels must be "averaged" or "drawn"'),
        ({"directory": 3}, TypeError, "directory must be a path, got 3"),
    ],
)
def test_bad_arguments_are_named_before_anything_is_written(tmp_path, arguments, error, message):
    folder = tmp_path / "sweep"
    with pytest.raises(error, match=message):
        run(**({"directory": folder} | arguments))
    assert not folder.exists()


# --- SIGKILL -------------------------------------------------------------------------------------


@pytest.mark.kin
def test_twenty_kills_at_random_moments_change_nothing(tmp_path):
    kernels = {"e": EXPONENTIAL, "g": GAUSSIAN}
    arguments = SMALL | {"kernel": kernels, "n": [5, 30], "trials": 200}
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["kerneltheory.experiments.sweep"])
    random = np.random.default_rng(0)
    for _ in range(20):
        before = stamps(tmp_path)
        more = int(random.integers(0, 5))
        child = context.Process(target=sweep, kwargs=arguments | {"directory": tmp_path})
        child.start()
        deadline = time.monotonic() + 120
        while len(list(tmp_path.glob("trial-*"))) < len(before) + more:
            assert child.is_alive()
            assert time.monotonic() < deadline
            time.sleep(0.001)
        time.sleep(random.uniform(0, 0.02 if more else 1.0))
        child.kill()
        child.join()
        assert child.exitcode == -signal.SIGKILL
        assert before.items() <= stamps(tmp_path).items()
    kept = stamps(tmp_path)
    assert 20 < len(kept) < 400
    resumed = sweep(**arguments, directory=tmp_path)
    assert kept.items() <= stamps(tmp_path).items()
    assert_same_but_for_the_run(resumed, sweep(**arguments))
    assert sorted(os.listdir(tmp_path)) == sorted([*stamps(tmp_path), "manifest.json"])


@pytest.mark.slow
def test_two_processes_in_one_directory_agree(tmp_path):
    arguments = SMALL | {"trials": 100, "directory": tmp_path}
    context = multiprocessing.get_context("forkserver")
    children = [context.Process(target=sweep, kwargs=arguments) for _ in range(2)]
    for child in children:
        child.start()
    for child in children:
        child.join()
        assert child.exitcode == 0
    assert_same_but_for_the_run(read_sweep(tmp_path), run(trials=100))
    assert {Path(name).suffix for name in os.listdir(tmp_path)} == {".npz", ".json"}
