"""Waiting for what another thread or process does."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

POLL_INTERVAL = 0.02
"""Seconds."""

DEADLINE = 240.0
"""Seconds that any one thing in a test may take on a slow and busy machine. A test that passes never waits for it."""


def eventually(condition: Callable[[], T | None]) -> T:
    """The first true value of a condition, which is asked again and again until the deadline."""
    deadline = time.monotonic() + DEADLINE
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not in {DEADLINE:.0f} s; the last value was {value!r}"
        time.sleep(POLL_INTERVAL)
    return value
