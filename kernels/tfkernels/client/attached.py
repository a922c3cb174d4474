"""A kernel that another program started, as far as it can be looked at from here. It is never ended from here."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import zmq

from tfkernels.client.bootstrap import Facts
from tfkernels.client.discovery import Running, endpoint, secure

SILENCE = 5.0
"""Seconds without a heartbeat after which a kernel on another machine is taken for dead."""


class AttachedProcess:
    """Stands where a ``KernelProcess`` does for a kernel of our own."""

    owned = False
    invited = True
    by_message = True

    def __init__(self, kernel: Running) -> None:
        self.connection = kernel.connection
        self.folder = kernel.file.parent
        self.pid: int | None = None
        self._began: str | None = None
        self._lock = threading.Lock()
        self._context = zmq.Context()
        self._heart = self._context.socket(zmq.DEALER)
        self._heart.linger = 0
        secure(self._heart, self.connection)
        self._heart.connect(endpoint(self.connection, "hb_port"))
        self._heart.send_multipart([b"", b"ping"])
        self._heard = self._looked = time.monotonic()

    def meet(self, facts: Facts) -> None:
        """What it said about itself. The number of a process means something on this machine only."""
        self.pid = facts.pid
        self._began = None if facts.unreachable else _began(facts.pid)

    def alive(self) -> bool:
        """Whether its process is the same as ever, or, on another machine, its heart beats."""
        if self._began is not None and self.pid is not None:
            return _began(self.pid) == self._began
        with self._lock:
            return not self._context.closed and self._beats(time.monotonic())

    def _beats(self, now: float) -> bool:
        heard = False
        while self._heart.poll(0):
            self._heart.recv_multipart()
            heard = True
        if heard or now - self._looked > SILENCE:  # nobody looked for so long that its silence means nothing
            self._heard = now
            self._heart.send_multipart([b"", b"ping"])
        self._looked = now
        return now - self._heard < SILENCE

    def order(self) -> None:
        """Nothing of it is ours."""

    def new_stderr(self) -> str:
        """Its log belongs to whoever started it."""
        return ""

    def interrupt(self) -> None:
        """Done by a message."""

    def nudge(self) -> None:
        """No signals for what is not ours."""

    def kill(self) -> None:
        """Not ours to do."""

    def close(self) -> None:
        with self._lock:
            self._context.destroy(linger=0)

    def obituary(self) -> str:
        return "has ended, or was restarted; it was not ours."

    remedy = "look at its own notebook"
    last_resort = "leaves it alone with the cell, which may run on"

    @property
    def afterwards(self) -> str:
        """What happens after its end."""
        return "If its notebook has restarted it, the next cell runs in the new one."


def _began(pid: int) -> str | None:
    """When the process began, as the system counts; ``None`` if it is not there any more."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if state in "ZX" else fields[18]
    except OSError:
        pass
    if os.path.isdir("/proc/self"):
        return None
    try:
        os.kill(pid, 0)
    except OSError:
        return None
    return "some time ago"
