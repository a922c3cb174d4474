"""``tfkernels gc``: removes environments and tools that nothing uses. See docs/design/kernelspecs.md."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
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
"""Seconds after its last use that a batch's kernel is kept."""


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


@contextmanager
def _lock_if_free(name: str) -> Iterator[bool]:
    """Whether the lock was free; if another process holds it, the folder is being built or removed."""
    lock = store.lock(name)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def _kernelspecs(dry_run: bool) -> Iterator[Garbage]:
    """Kernels that batches registered for themselves."""
    for folder in _stale():
        with _lock_if_free(folder.parent.name) as free:
            if free and folder in _stale():
                item = _garbage(folder, "no batch used this kernel for a month")
                yield item if dry_run else _without(item, write.remove)
                if not dry_run:
                    with suppress(OSError):  # another kernel of the same environment is there
                        folder.parent.rmdir()


def _stale() -> list[Path]:
    found = sorted(data_dir.batch_kernels().glob("*/*/kernel.json"))
    return [path.parent for path in found if path.stat().st_mtime < time.time() - _KEPT]


def _environments(dry_run: bool) -> Iterator[Garbage]:
    pointed = {Path(spec.spec["metadata"]["tfkernels"]["environment"]) for spec in kernelspecs.find().values()}
    for folder in sorted(path for path in store.root().glob("*") if path.is_dir()):
        with _lock_if_free(folder.name) as free:
            if not free or folder in pointed or {*store.kernels_of(folder)} - {*_stale()} or store.runs(folder):
                continue
            why = "no kernel points to it" if store.load(folder) is not None else "an unfinished build"
            item = _garbage(folder, why)
            yield item if dry_run else _without(item, store.delete)


def _pythons(dry_run: bool, without: set[Path]) -> Iterator[Garbage]:
    """Pythons from conda that only removed environments (``without``) used."""
    found = {folder: _garbage(folder, "a Python that no environment uses") for folder in from_conda.unused(without)}
    gone = list(found) if dry_run else from_conda.sweep()
    yield from (found[folder] for folder in gone if folder in found)


def _rattler(dry_run: bool, without: set[Path]) -> Iterator[Garbage]:
    """py-rattler, if no environment here was made by it, and its older versions."""
    environments = [store.load(folder) for folder in store.root().glob("*") if folder not in without]
    building = any(path not in without for path in from_conda.root().glob("*.build-*")) or None in environments
    needed = building or any(found is not None and found.recipe.backend == "conda" for found in environments)
    found = [_garbage(folder, "no environment here needs it") for folder in rattler_folder.unused(needed)]
    if dry_run or not found:
        yield from found
        return
    with rattler_folder.lock_if_free() as free:
        yield from (_without(item, rattler_folder.delete) for item in found if free)


def _garbage(folder: Path, why: str) -> Garbage:
    return Garbage(str(folder), why, store.size(folder), store.size(folder, shared=False))


def _without(item: Garbage, remove: Callable[[Path], None]) -> Garbage:
    """Removes one thing; an error is stored in it, so that the others are still removed."""
    try:
        remove(Path(item.path))
    except OSError as error:
        return replace(item, stays=f"{error.strerror} ({error.filename})")
    return item


def _paths(found: Iterable[Garbage]) -> set[Path]:
    return {Path(item.path) for item in found if not item.stays}


def _locks(dry_run: bool, without: set[Path]) -> Iterator[Garbage]:
    """Lock files of folders that do not exist, or would be removed."""
    roots = (store.root(), from_conda.root(), rattler_folder.root())
    for path in sorted(data_dir.locks().glob("*.lock")):
        with _lock_if_free(path.stem) as free:
            built = [found for folder in roots for found in folder.glob(f"{path.stem}*") if found.is_dir()]
            if free and without.issuperset(built):
                if not dry_run:
                    path.unlink(missing_ok=True)  # a process that waits for it checks that it still exists
                yield Garbage(str(path), "a lock that no process holds", 0, 0)
