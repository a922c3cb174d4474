"""What time does to a cell that runs: its limit is over, an interrupt has not taken effect yet."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone

from tfkernels.client import signals
from tfkernels.client.cell import LOOK, Cell
from tfkernels.client.process import Process

NUDGED = timedelta(seconds=1)
"""After an interrupt."""

NUDGE = 0.1
"""Seconds."""


def nudge(call: Cell, process: Process) -> float:
    """Sees to it that an interrupt takes effect. Seconds until the next look."""
    if call.interrupted is None or datetime.now(timezone.utc) - call.interrupted > NUDGED:
        return LOOK
    process.nudge()
    return NUDGE


def limit(call: Cell, interrupt: Callable[[Cell], None]) -> float:
    """Interrupts a cell that ran for too long, gives it up when it does not react. Seconds until the next look."""
    if call.timeout is None or call.began is None:
        return LOOK
    left = call.began + call.timeout - time.monotonic() + (signals.REACTION if call.timed_out else 0)
    if left <= 0 and not call.timed_out:
        call.timed_out = True
        interrupt(call)
    elif left <= 0:
        call.give_up()
    return min(LOOK, max(left, 0.001))
