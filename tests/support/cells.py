"""Cells of other kernels that run, do not react, or ask; and the stop button, pressed at the right moment."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

from tests.support.waiting import eventually
from tfkernels.client.kernel import Kernel
from tfkernels.output import relay

SLEEP = "import time; time.sleep(1000)"


class Answering(relay.Relay):
    can_ask = True

    def ask(self, prompt: str, password: bool) -> str:
        return f"{prompt}{password}"


def stubborn(marker: Path) -> str:
    """A cell that catches every interrupt, and leaves a file when it has begun."""
    begin = f"open({str(marker)!r}, 'w').close()"
    return f"while True:\n    try:\n        {begin}; {SLEEP}\n    except KeyboardInterrupt:\n        pass"


def begun(*kernels: Kernel) -> bool:
    """Whether an interrupt reaches the code of a cell in each kernel."""
    cells = [kernel.current for kernel in kernels]
    return all(cell is not None and cell.running for cell in cells)


def interrupt_when(*conditions: Callable[[], object]) -> None:
    """Presses the stop button of this process when the first condition holds, again when the second does, …"""

    def press() -> None:
        for condition in conditions:
            eventually(condition)
            os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=press, name="presses the stop button", daemon=True).start()
