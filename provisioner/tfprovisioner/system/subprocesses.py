"""Child processes that threads wait for, so that one interrupt ends all of them; and the log of all programs."""

import functools
import os
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from tfkernels import log
from tfprovisioner.system.redact import redacted

_LONGEST = 1000
"""Characters of a command in the log. Programs that are handed over as text are longer."""


class Stopped(BaseException):
    """Raised in threads that wait for a program when ``stop`` is called. No ``Exception``: nothing handles it."""


class Children:
    """The programs of some threads, which can be ended without those of others."""

    def __init__(self) -> None:
        self.running: set[subprocess.Popen[str]] = set()
        self.guard = threading.Lock()
        self._stopped = threading.Event()

    @contextmanager
    def of_this_thread(self) -> Iterator[None]:
        """Programs that this thread starts in the context are among them."""
        token = _own.set(self)
        try:
            yield
        finally:
            _own.reset(token)

    def check(self) -> None:
        if self._stopped.is_set():
            raise Stopped

    def stop(self) -> None:
        """Kills all programs. Their threads get ``Stopped``, also if they try to start another one."""
        with self.guard:
            self._stopped.set()
            for process in self.running:
                process.kill()

    def resume(self) -> None:
        """Lets programs be started again, after the threads of the stopped ones have ended."""
        self._stopped.clear()


_every = Children()
_own: ContextVar[Children] = ContextVar("children", default=_every)
stop, resume = _every.stop, _every.resume
"""For all threads that have no ``Children`` of their own."""


@contextmanager
def started(arguments: Sequence[object], **options: Any) -> Iterator["subprocess.Popen[str]"]:
    """A program that is waited for when the context ends, or killed if an exception ends it.

    It reads nothing and writes text. Do not read two pipes one after the other: use ``communicate``, or a file for one
    of them. ``options`` are those of ``subprocess.Popen``. Raises ``OSError``, ``Stopped``.
    """
    children = _own.get()
    with children.guard:  # it is either among those that ``stop`` ends, or not started
        children.check()
        process = subprocess.Popen(
            [str(argument) for argument in arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, errors="replace", **options,
        )  # fmt: skip
        children.running.add(process)
    try:
        with process:
            try:
                yield process
            except BaseException:
                process.kill()
                raise
    finally:
        with children.guard:
            children.running.discard(process)
    children.check()


def check() -> None:
    """Raises ``Stopped`` after ``stop``. Call it in loops that wait for something else."""
    _own.get().check()


@functools.cache
def record_commands() -> None:
    """From now on each program that this process starts is in the log, without secrets.

    An audit hook sees all of them, those of libraries included. It cannot be removed: only the command line calls this.
    """
    logger = log.logger("commands")

    def note(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "subprocess.Popen":
            _, words, folder, _ = arguments
            words = words if isinstance(words, (list, tuple)) else [words]
            where = f" (in {os.fsdecode(folder)})" if folder else ""
            command = redacted(shlex.join(os.fsdecode(word) for word in words)).replace("\n", "\\n")
            logger.info("run: %s%s", command[:_LONGEST], where)

    sys.addaudithook(note)
