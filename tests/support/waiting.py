"""Waiting for what another thread or process does."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

POLL_INTERVAL = 0.02
"""Seconds."""


def eventually(condition: Callable[[], T | None], timeout: float = 60, interval: float = POLL_INTERVAL) -> T:
    """The first true value of a condition, which is asked again and again for so many seconds."""
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not in {timeout} s; the last value was {value!r}"
        time.sleep(interval)
    return value
