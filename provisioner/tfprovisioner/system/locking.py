"""Locks between programs: the first one does the work, and the others wait for it."""

import contextlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from tfprovisioner.errors import ProvisionError
from tfprovisioner.system import data_dir, subprocesses


def folder() -> Path:
    """The folder of the lock files; made if it is missing."""
    locks = data_dir.home() / "locks"
    locks.mkdir(parents=True, exist_ok=True)
    return locks


def lock(name: str) -> FileLock:
    """The lock to hold while folders ``name`` or ``name.build-…`` change; the system frees it when its holder dies."""
    return FileLock(folder() / f"{name.partition('.build-')[0]}.lock")


@contextmanager
def held(name: str, waiting: Callable[[], None]) -> Iterator[None]:
    """Holds a lock; calls ``waiting`` first if another program has it. Raises ``Stopped`` as ``subprocesses`` do.

    Raises ``ProvisionError`` on a disk without locks: two builds at once would be in each other's way.
    """
    mine = lock(name)
    try:
        mine.acquire(timeout=0)
    except OSError as error:
        if not isinstance(error, TimeoutError):
            raise ProvisionError(
                f"{mine.lock_file} cannot be locked: {error.strerror}. Choose a data folder on another disk with the "
                f"variable TFKERNELS_HOME."
            ) from error
        waiting()
        while not mine.is_locked:
            subprocesses.check()
            with contextlib.suppress(TimeoutError):
                mine.acquire(timeout=0.5)
    try:
        yield
    finally:
        mine.release()
