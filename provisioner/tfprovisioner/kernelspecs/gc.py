"""``tfkernels gc``: takes away what no kernel points to and nothing runs from."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from filelock import Timeout

from tfkernels.client import kernelspecs
from tfprovisioner.conda import rattler_folder
from tfprovisioner.environments import store
from tfprovisioner.errors import ProvisionError
from tfprovisioner.kernelspecs import write
from tfprovisioner.pythons import from_conda
from tfprovisioner.system import data_dir

_KEPT = 30 * 24 * 3600.0
"""Seconds for which a batch's kernel is kept after its last use: to build it again would take minutes."""


@dataclass(frozen=True)
class Garbage:
    """One thing that nobody needs. ``size`` is in bytes, ``freed`` what other names in uv's cache do not keep."""

    path: str
    why: str
    size: int
    freed: int
    stays: str = ""
    """Why it could not be removed."""


def collect(dry_run: bool = False) -> list[Garbage]:
    """Removes, or only finds, all of it. What is being built or used at the moment stays.

    Environments count as used if any Jupyter's kernel points to them, this one's or another's, or if a batch that ran
    here had them made and used them within the last month. Raises ``ProvisionError`` where nothing can be locked.
    """
    try:
        return _collect(dry_run)
    except OSError as error:
        raise ProvisionError(
            f"The data folder {data_dir.home()} cannot be cleaned up: {error.strerror} ({error.filename}). Make it "
            f"writable and run the same command again."
        ) from error


def _collect(dry_run: bool) -> list[Garbage]:
    found = [*_environments(dry_run), *_kernelspecs(dry_run)]
    found += _pythons(dry_run, _paths(found))
    found += _rattler(dry_run, _paths(found))
    return [*found, *_locks(dry_run, _paths(found))]


def _kernelspecs(dry_run: bool) -> Iterator[Garbage]:
    """Those that batches made for themselves."""
    for folder in _stale():
        lock = store.lock(folder.parent.name)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            continue
        try:
            if folder in _stale():
                item = _garbage(folder, "no batch has used this kernel for a month")
                yield item if dry_run else _without(item, write.remove)
                if not dry_run:
                    with suppress(OSError):  # the same environment has another one
                        folder.parent.rmdir()
        finally:
            lock.release()


def _stale() -> list[Path]:
    found = sorted(data_dir.batch_kernels().glob("*/*/kernel.json"))
    return [path.parent for path in found if path.stat().st_mtime < time.time() - _KEPT]


def _environments(dry_run: bool) -> Iterator[Garbage]:
    pointed = {Path(spec.spec["metadata"]["tfkernels"]["environment"]) for spec in kernelspecs.find().values()}
    for folder in sorted(path for path in store.root().glob("*") if path.is_dir()):
        lock = store.lock(folder.name)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            continue  # somebody builds or removes it
        try:
            if folder in pointed or {*store.kernels_of(folder)} - {*_stale()} or store.runs(folder):
                continue
            whole = store.load(folder) is not None
            why = "no kernel points to it" if whole else "a build that did not finish"
            item = _garbage(folder, why)
            yield item if dry_run else _without(item, store.delete)
        finally:
            lock.release()


def _pythons(dry_run: bool, without: set[Path]) -> Iterator[Garbage]:
    """Pythons from conda; environments that are gone, or would be, need theirs no more."""
    found = {folder: _garbage(folder, "a Python that no environment uses") for folder in from_conda.unused(without)}
    gone = list(found) if dry_run else from_conda.sweep()
    yield from (found[folder] for folder in gone if folder in found)


def _rattler(dry_run: bool, without: set[Path]) -> Iterator[Garbage]:
    """py-rattler, if nothing here was made by it, and older versions of it."""
    environments = (store.load(folder) for folder in store.root().glob("*") if folder not in without)
    needed = any(path not in without for path in from_conda.root().glob("*.build-*")) or any(
        environment is not None and environment.recipe.backend == "conda" for environment in environments
    )
    found = {folder: _garbage(folder, "no environment here needs it") for folder in rattler_folder.unused(needed)}
    yield from (found[folder] for folder in (found if dry_run else rattler_folder.delete(list(found))))


def _garbage(folder: Path, why: str) -> Garbage:
    return Garbage(str(folder), why, store.size(folder), store.size(folder, shared=False))


def _without(item: Garbage, remove: Callable[[Path], None]) -> Garbage:
    """One thing that cannot be removed is told, and the others are removed all the same."""
    try:
        remove(Path(item.path))
    except OSError as error:
        return replace(item, stays=f"{error.strerror} ({error.filename})")
    return item


def _paths(found: Iterable[Garbage]) -> set[Path]:
    return {Path(item.path) for item in found if not item.stays}


def _locks(dry_run: bool, without: set[Path]) -> Iterator[Garbage]:
    """Lock files of what is not there, or would not be."""
    for path in sorted(data_dir.locks().glob("*.lock")):
        lock = store.lock(path.stem)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            continue
        try:
            folders = (store.root(), from_conda.root(), rattler_folder.root())
            built = [found for folder in folders for found in folder.glob(f"{path.stem}*") if found.is_dir()]
            if without.issuperset(built):
                if not dry_run:
                    with suppress(OSError):  # Windows deletes no file that is open
                        path.unlink()  # who waits for this one looks whether it is still there, and makes a new one
                yield Garbage(str(path), "a lock that nobody holds", 0, 0)
        finally:
            lock.release()
