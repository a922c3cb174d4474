"""Child processes that threads wait for, so that one interrupt ends all of them."""

import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any


class Stopped(BaseException):
    """Raised in threads that wait for a program when ``stop`` is called. No ``Exception``: nothing handles it."""


class Children:
    """The programs of some threads, which can be ended without those of others."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[str]] = set()
        self._stopped = threading.Event()
        self._guard = threading.Lock()

    @contextmanager
    def of_this_thread(self) -> Iterator[None]:
        """Programs that this thread starts in the context are among them."""
        token = _own.set(self)
        try:
            yield
        finally:
            _own.reset(token)

    @contextmanager
    def started(self, arguments: Sequence[object], **options: Any) -> Iterator["subprocess.Popen[str]"]:
        with self._guard:  # it is either among those that ``stop`` ends, or not started
            self.check()
            process = subprocess.Popen(
                [str(argument) for argument in arguments],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, errors="replace", **options,
            )  # fmt: skip
            self._running.add(process)
        try:
            with process:
                try:
                    yield process
                except BaseException:
                    process.kill()
                    raise
        finally:
            with self._guard:
                self._running.discard(process)
        self.check()

    def check(self) -> None:
        if self._stopped.is_set():
            raise Stopped

    def stop(self) -> None:
        """Kills all programs. Their threads get ``Stopped``, also if they try to start another one."""
        with self._guard:
            self._stopped.set()
            for process in self._running:
                process.kill()

    def resume(self) -> None:
        """Lets programs be started again, after the threads of the stopped ones have ended."""
        self._stopped.clear()


_every = Children()
_own: ContextVar[Children] = ContextVar("children", default=_every)


@contextmanager
def started(arguments: Sequence[object], **options: Any) -> Iterator["subprocess.Popen[str]"]:
    """A program that is waited for when the context ends, or killed if an exception ends it.

    It reads nothing and writes text. Do not read two pipes one after the other: use ``communicate``, or a file for one
    of them. ``options`` are those of ``subprocess.Popen``. Raises ``OSError``, ``Stopped``.
    """
    with _own.get().started(arguments, **options) as process:
        yield process


def check() -> None:
    """Raises ``Stopped`` after ``stop``. Call it in loops that wait for something else."""
    _own.get().check()


stop, resume = _every.stop, _every.resume
"""For all threads that have no ``Children`` of their own."""
