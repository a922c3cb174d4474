"""Ctrl-C and the stop button while a cell runs elsewhere."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ContextManager

INTERRUPT_GRACE = 5.0
"""Seconds that a cell has to react to an interrupt before another one ends its kernel."""


@contextmanager
def _handled_by(handler: Any) -> Iterator[None]:
    """Only the main thread may set signal handlers; in another one nothing changes, and SIGINT does not arrive."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)


def redirected(action: Callable[[], None]) -> ContextManager[None]:
    """SIGINT calls ``action`` instead of raising ``KeyboardInterrupt`` in the middle of the code here.

    An exception between the receipt of a message and its handling would lose the message.
    """
    return _handled_by(lambda *_: action())


def raising() -> ContextManager[None]:
    """SIGINT raises ``KeyboardInterrupt`` again, while this thread waits for the user."""
    return _handled_by(signal.default_int_handler)


@contextmanager
def postponed() -> Iterator[None]:
    """SIGINT takes effect at the end: a process that is being started is not lost."""
    pressed: list[bool] = []
    try:
        with redirected(lambda: pressed.append(True)):
            yield
    finally:
        if pressed:
            os.kill(os.getpid(), signal.SIGINT)
