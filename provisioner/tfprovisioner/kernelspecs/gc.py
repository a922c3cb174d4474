"""``tfkernels gc``: removes environments and tools that nothing uses. See docs/design/kernelspecs.md."""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tfprovisioner.conda import rattler_folder
from tfprovisioner.environments import pytest_packages, store
from tfprovisioner.errors import ProvisionError
from tfprovisioner.kernelspecs import write
from tfprovisioner.pythons import from_conda
from tfprovisioner.system import data_dir, locking
from tfprovisioner.system.built_folders import BuiltFolders

_KEPT = 30 * 24 * 3600.0
"""Seconds after its last use that a batch's kernel is kept."""

UNPACKED_BUNDLES = BuiltFolders("bundles", "manifest.json")
"""Bundles that are installed from. None of these folders is kept."""

_Found = Iterator[tuple[Path, str, Callable[[Path], None]]]
"""Garbage, why it is garbage, and how to delete it. Each is locked until the next one is asked for."""


@dataclass(frozen=True)
class Garbage:
    """A folder or file that nothing uses. ``size`` is in bytes, ``freed`` without the files that uv's cache keeps."""

    path: str
    why: str
    size: int
    freed: int
    stays: str = ""
    """Why it could not be removed."""


def collect(dry_run: bool = False) -> list[Garbage]:
    """Removes, or only finds, all garbage. Folders that are being built or used stay.

    An environment is used if a kernel of any Jupyter points to it, or if a batch used it within the last month.
    Raises ``ProvisionError`` if the data folder cannot be written.
    """
    found: list[Garbage] = []
    try:
        for search in (_environments, _kernelspecs, _pythons, _rattler, _pytest, _bundles, _locks):
            gone = {Path(item.path) for item in found if not item.stays}
            for path, why, delete in search(gone):
                size, freed, stays = store.size(path), store.size(path, shared=False), ""
                try:
                    if not dry_run:
                        delete(path)
                except OSError as error:  # the others are still deleted
                    stays = f"{error.strerror} ({error.filename})"
                found.append(Garbage(str(path), why, size, freed, stays))
    except OSError as error:
        raise ProvisionError(
            f"The data folder {data_dir.home()} cannot be cleaned up: {error.strerror} ({error.filename}). Make it "
            f"writable and run the same command again."
        ) from error
    return found


def _environments(_gone: set[Path]) -> _Found:
    for folder in sorted(path for path in store.root().glob("*") if path.is_dir()):
        with suppress(TimeoutError), locking.lock(folder.name).acquire(timeout=0):
            try:
                if store.kernels_of(folder, besides=_stale()) or store.runs(folder):
                    continue
                why = "an unfinished build" if store.read(folder) is None else "no kernel points to it"
            except PermissionError:  # another user's: nobody can know here that it is not used
                continue
            yield folder, why, store.delete


def _kernelspecs(_gone: set[Path]) -> _Found:
    """Kernels that batches registered for themselves."""
    for folder in _stale():
        with suppress(TimeoutError), locking.lock(folder.parent.name).acquire(timeout=0):
            if folder in _stale():
                yield folder, "no batch used this kernel for a month", write.remove
                with suppress(OSError):  # another kernel of the same environment is there
                    folder.parent.rmdir()


def _stale() -> list[Path]:
    found = sorted(data_dir.batch_kernels().glob("*/*/kernel.json"))
    return [path.parent for path in found if path.stat().st_mtime < time.time() - _KEPT]


def _pythons(gone: set[Path]) -> _Found:
    """Pythons from conda that only removed environments used."""
    for folder in from_conda.unused(gone):
        yield folder, "a Python that no environment uses", from_conda.delete


def _rattler(gone: set[Path]) -> _Found:
    """py-rattler, if no environment here was made by it, and its older versions."""
    for path in rattler_folder.FOLDERS.every():
        with suppress(TimeoutError), locking.lock(path.name).acquire(timeout=0):
            # In the lock: who waits for it to use py-rattler has made the folder that is to be filled.
            environments = [store.load(folder) for folder in store.root().glob("*") if folder not in gone]
            building = None in environments or any(python not in gone for python in from_conda.FOLDERS.every())
            needed = building or any(found is not None and found.recipe.backend == "conda" for found in environments)
            if not needed or path != rattler_folder.current():
                yield path, "no environment here needs it", rattler_folder.delete


def _pytest(gone: set[Path]) -> _Found:
    """pytest for environments that do not exist, or that nobody tested in for a month."""
    folders = pytest_packages.FOLDERS
    for folder in folders.every():
        with suppress(TimeoutError), locking.lock(folder.name).acquire(timeout=0):
            environment = pytest_packages.environment_of(folder)
            if environment is None:
                yield folder, "an unfinished build", folders.delete
            elif environment in gone or not environment.is_dir():
                yield folder, "pytest of an environment that is gone", folders.delete
            elif (folder / folders.record).stat().st_mtime < time.time() - _KEPT:
                yield folder, "nobody tested in its environment for a month", folders.delete


def _bundles(_gone: set[Path]) -> _Found:
    for folder in UNPACKED_BUNDLES.every():
        with suppress(TimeoutError), locking.lock(folder.name).acquire(timeout=0):
            yield folder, "an installation from a bundle was killed", UNPACKED_BUNDLES.delete


def _locks(gone: set[Path]) -> _Found:
    """Lock files of folders that do not exist, or would be removed."""
    built_folders = (UNPACKED_BUNDLES, pytest_packages.FOLDERS)
    roots = (store.root(), from_conda.root(), rattler_folder.root(), *(one.root() for one in built_folders))
    for path in sorted(locking.folder().glob("*.lock")):
        with suppress(TimeoutError), locking.lock(path.stem).acquire(timeout=0):
            built = [found for folder in roots for found in folder.glob(f"{path.stem}*") if found.is_dir()]
            if gone.issuperset(built):
                yield path, "a lock that no process holds", Path.unlink  # who waits for it checks that it still exists
