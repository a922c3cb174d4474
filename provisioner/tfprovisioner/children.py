"""The programs that threads of this process wait for, so that one interrupt ends all of them."""

import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any


class Stopped(BaseException):
    """Raised where a program was waited for when ``stop`` was called. No ``Exception``: it is nobody's to handle."""


_running: set["subprocess.Popen[str]"] = set()
_stopped = threading.Event()
_guard = threading.Lock()


@contextmanager
def started(arguments: Sequence[object], **options: Any) -> Iterator["subprocess.Popen[str]"]:
    """A program that is waited for when the context ends, and killed if that is by an exception.

    It reads nothing and writes text; ``options`` are more of ``subprocess.Popen``. Raises ``OSError``, ``Stopped``.
    """
    with _guard:  # it is either among those that ``stop`` ends, or not started
        check()
        process = subprocess.Popen(
            [str(argument) for argument in arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            errors="replace",
            **options,
        )
        _running.add(process)
    try:
        with process:
            try:
                yield process
            except BaseException:
                process.kill()
                raise
    finally:
        with _guard:
            _running.discard(process)
    check()


def check() -> None:
    """Raises ``Stopped`` after ``stop``. Whoever waits for something else calls it now and then."""
    if _stopped.is_set():
        raise Stopped


def stop() -> None:
    """Kills all programs. Their threads get ``Stopped``, also if they try to start another one."""
    with _guard:
        _stopped.set()
        for process in _running:
            process.kill()


def resume() -> None:
    """Lets programs be started again, after the threads of the stopped ones have ended."""
    _stopped.clear()
