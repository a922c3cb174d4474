"""One at a time: what several programs want to make is made by the first, and the others wait for it."""

import contextlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from filelock import FileLock

from tfprovisioner.system import subprocesses


@contextmanager
def held(lock: FileLock, waiting: Callable[[], None]) -> Iterator[None]:
    """Holds a lock; calls ``waiting`` first if another has it. Raises ``Stopped`` if this thread's work is given up."""
    try:
        lock.acquire(timeout=0)
    except TimeoutError:
        waiting()
        _wait(lock)
    try:
        yield
    finally:
        lock.release()


def _wait(lock: FileLock) -> None:
    while True:
        subprocesses.check()
        with contextlib.suppress(TimeoutError):
            lock.acquire(timeout=0.5)
            return
