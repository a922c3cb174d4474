"""Waiting for a lock: the first program does the work, and the others wait for it."""

import contextlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from filelock import FileLock

from tfprovisioner.system import subprocesses


@contextmanager
def held(lock: FileLock, waiting: Callable[[], None]) -> Iterator[None]:
    """Holds a lock; calls ``waiting`` first if another program has it. Raises ``Stopped`` as ``subprocesses`` do."""
    try:
        lock.acquire(timeout=0)
    except TimeoutError:
        waiting()
        while not lock.is_locked:
            subprocesses.check()
            with contextlib.suppress(TimeoutError):
                lock.acquire(timeout=0.5)
    try:
        yield
    finally:
        lock.release()
