"""Ctrl-C and the stop button while a cell runs elsewhere."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

INTERRUPT_GRACE = 5.0
"""Seconds that a cell has to react to an interrupt before another one ends its kernel."""


@contextmanager
def redirected(action: Callable[[], None]) -> Iterator[None]:
    """SIGINT calls ``action`` instead of raising ``KeyboardInterrupt`` in the middle of whatever runs here.

    An exception between the receipt of a message and its handling would lose the message. Only the main thread may
    set signal handlers; in another one nothing changes, and SIGINT does not arrive there either.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handler(*_: Any) -> None:
        action()

    previous = signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)


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


@contextmanager
def raising() -> Iterator[None]:
    """SIGINT raises ``KeyboardInterrupt`` again, while this thread waits for the user."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
