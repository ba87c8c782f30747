"""Trials on disk, one file each: a process killed at any moment leaves a file whole or none.

A directory holds `manifest.json`, written first, and `trial-<setting>-<trial>.npz`. Each is written
under a hidden name, flushed to the disk and renamed, so what bears its name is complete. Each says
what it belongs to and holds a checksum, so what was damaged or misplaced is told from what was not.
"""

import contextlib
import hashlib
import io
import json
import os
import secrets
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

FORMAT = "kerneltheory sweep 1"
MANIFEST = "manifest.json"
PARTIAL = ".partial"
_ABOUT = (
    "kerneltheory.read_sweep(directory) reads the sweep once it is finished; kerneltheory.sweep "
    "with the arguments of the specification runs what is missing. Each trial is in a file "
    "trial-<setting>-<trial>.npz that numpy.load reads; settings are (kernel, dim, seed), the last "
    "running fastest."
)
_DIGEST_LENGTH = 64

# The place of the setting in its grid, and the index of the trial.
Key = tuple[int, int]


class TrialRecord(NamedTuple):
    """What one trial measured, the seconds that it took and what it ran on."""

    arrays: dict[str, np.ndarray]
    wall_time: float
    device: str


class Records(Protocol):
    """Where trials are kept: a dict, or `TrialFiles`."""

    def __contains__(self, key: Any, /) -> bool: ...

    def __getitem__(self, key: Key, /) -> TrialRecord: ...

    def __setitem__(self, key: Key, record: TrialRecord, /) -> None: ...


def make_manifest(specification: Mapping[str, Any], versions: Mapping[str, str]) -> dict[str, Any]:
    """What a directory of trials says of itself, and a hash of that.

    Args:
        specification: all that the trials are determined by, of types that JSON has.
        versions: of what they are computed with.
    """
    manifest = {
        "format": FORMAT,
        "about": _ABOUT,
        "specification": dict(specification),
        "versions": dict(versions),
    }
    return manifest | {"hash": _manifest_hash(manifest)}


def _manifest_hash(manifest: Mapping[str, Any]) -> str:
    content = {key: value for key, value in manifest.items() if key != "hash"}
    text = json.dumps(content, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def read_manifest(directory: Path) -> dict[str, Any]:
    """The manifest of a directory of trials.

    Raises:
        ValueError: there is none, it is corrupted, or of another format.
    """
    path = directory / MANIFEST
    try:
        manifest = json.loads(path.read_bytes())
        intact = manifest["hash"] == _manifest_hash(manifest)
    except OSError as error:
        raise ValueError(
            f"directory must hold a sweep, got {directory} without a readable {MANIFEST}: {error}"
        ) from error
    except (ValueError, KeyError, TypeError):
        intact = False
    if not intact:
        raise ValueError(
            f"directory must hold a sweep as it was written, but {path} is corrupted or was "
            "changed; delete that file and call kt.sweep again with the same arguments, which "
            "writes it anew and keeps the trials"
        )
    if manifest["format"] != FORMAT:
        raise ValueError(
            f"directory must hold a sweep in the format {FORMAT!r}, got {manifest['format']!r} in "
            f"{path}; read it with the versions named there: {manifest.get('versions')}"
        )
    return manifest


class TrialFiles:
    """The trials of one sweep in a directory, as a mapping from (setting, trial) to records.

    Several processes may write the same sweep at once: trials are the same whoever runs them, and
    a name stands for one complete file or another.

    Args:
        directory: where they are.
        manifest: from `make_manifest` or `read_manifest`.
        counts: number of trials of each setting.
    """

    def __init__(self, directory: Path, manifest: Mapping[str, Any], counts: Sequence[int]) -> None:
        self.directory, self._manifest = directory, manifest
        self._key_of = {
            self._path((setting, trial)).name: (setting, trial)
            for setting, count in enumerate(counts)
            for trial in range(count)
        }

    def begin(self) -> None:
        """Make the directory ready for the trials that it lacks.

        What a killed process left half written is removed.

        Raises:
            ValueError: the directory cannot be written, or holds anything but this sweep.
        """
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            self._refuse_foreign()
            if (self.directory / MANIFEST).exists():
                self._refuse_other_manifest(read_manifest(self.directory))
            self.check()
            # Also where it is there: this shows now, not after the first trial, what fails.
            text = json.dumps(self._manifest, indent=1) + "\n"
            write_atomically(self.directory / MANIFEST, text.encode())
            _sync_directory(self.directory.parent)
        except OSError as error:
            raise ValueError(
                f"directory must be a path that can be written, got {self.directory}: {error}"
            ) from error
        for partial in self.directory.glob(f".*{PARTIAL}"):
            with contextlib.suppress(OSError):  # another run may have removed or renamed it
                partial.unlink()

    def check(self) -> None:
        """Read every file.

        Raises:
            ValueError: one is corrupted, or is none of this sweep.
        """
        self._refuse_foreign()
        for key in self._key_of.values():
            if key in self:
                self[key]

    def missing(self) -> list[Key]:
        """The trials that have no file."""
        return [key for key in self._key_of.values() if key not in self]

    def __contains__(self, key: Any) -> bool:
        return self._path(key).exists()

    def __getitem__(self, key: Key) -> TrialRecord:
        path = self._path(key)
        content = _read_sealed(path)
        owner = tuple(content.pop(name).item() for name in ("sweep", "setting", "trial"))
        if owner != (self._manifest["hash"], *key):
            raise ValueError(
                f"directory must hold one sweep, but {path} is a trial of another sweep, or another"
                " trial; delete that file and call kt.sweep again, which runs the trial again, or "
                "give another directory"
            )
        wall_time, device = content.pop("wall_time").item(), content.pop("device").item()
        return TrialRecord(content, wall_time, device)

    def __setitem__(self, key: Key, record: TrialRecord) -> None:
        setting, trial = key
        _write_sealed(
            self._path(key),
            record.arrays
            | {
                "sweep": np.array(self._manifest["hash"]),
                "setting": np.array(setting),
                "trial": np.array(trial),
                "wall_time": np.array(record.wall_time),
                "device": np.array(record.device),
            },
        )

    def _path(self, key: Key) -> Path:
        setting, trial = key
        return self.directory / f"trial-{setting:04d}-{trial:06d}.npz"

    def _refuse_foreign(self) -> None:
        for path in sorted(self.directory.iterdir()):
            if not path.name.startswith(".") and path.name not in (MANIFEST, *self._key_of):
                raise ValueError(
                    f"directory must be empty or hold this sweep, but {path} is no file of it; "
                    "move it away, or give another directory"
                )

    def _refuse_other_manifest(self, found: Mapping[str, Any]) -> None:
        for part, remedy in (
            ("specification", "give another directory, or the arguments that it was begun with"),
            ("versions", "take those, with which alone results are the same, or another directory"),
        ):
            theirs, ours = found[part], self._manifest[part]
            names = [name for name in {**theirs, **ours} if theirs.get(name) != ours.get(name)]
            if names:
                name = names[0]
                raise ValueError(
                    f"directory must be empty or hold this sweep, but {self.directory / MANIFEST} "
                    f"has another {' and '.join(names)} ({name}: {_short(theirs.get(name))} there, "
                    f"{_short(ours.get(name))} here); {remedy}"
                )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


# --- one file ---------------------------------------------------------------------------------


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file that has all of its content from the moment that it has its name.

    Raises:
        OSError: it cannot be written.
    """
    while True:
        partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}{PARTIAL}")
        with partial.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.replace(partial, path)
            break
        except FileNotFoundError:
            # Another run, which began just now, took it for what a killed one left.
            continue
    _sync_directory(path.parent)


def _sync_directory(directory: Path) -> None:
    """Bring a directory's names to the disk, where the system has a way to."""
    if os.name == "nt":
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_sealed(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write an npz archive whose comment is the hash of all bytes before it."""
    buffer = io.BytesIO()
    np.savez(buffer, **dict(arrays))  # pyright: ignore[reportArgumentType]
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.comment = bytes(_DIGEST_LENGTH)
    body = buffer.getvalue()[:-_DIGEST_LENGTH]
    write_atomically(path, body + hashlib.sha256(body).hexdigest().encode())


def _read_sealed(path: Path) -> dict[str, np.ndarray]:
    content = path.read_bytes()
    body, digest = content[:-_DIGEST_LENGTH], content[-_DIGEST_LENGTH:]
    if hashlib.sha256(body).hexdigest().encode() != digest:
        raise ValueError(
            f"directory must hold a sweep as it was written, but {path} is corrupted; delete that "
            "file and call kt.sweep again with the same arguments, which runs its trial again"
        )
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        return dict(archive.items())
