"""Kernels that another program started, such as another notebook's. They are used from here and never ended."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import time

import psutil

from tfkernels.client import discovery, kernels_by_name, kernelspecs
from tfkernels.client.cell import Cell
from tfkernels.client.connection import KernelConnection
from tfkernels.client.kernel import Kernel
from tfkernels.client.process import EXIT_TIMEOUT, Process
from tfkernels.errors import UnknownKernel, UsageError
from tfkernels.protocol import Message
from tfkernels.transfer.shared_memory.segment import Segment

# Seconds
ANSWER_TIMEOUT = 3.0  # that ``attach`` waits for an answer
HEARTBEAT_TIMEOUT = 5.0  # without a heartbeat, after which a kernel on another machine counts as dead

_MAGIC_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")


def attach(kernel: str | os.PathLike[str], name: str | None = None) -> AttachedKernel:
    """A running kernel, by its connection file, its id, or the beginning of that.

    ``name`` is the name of its magic, and its name in ``tfkernels.kernel``. Raises ``UnknownKernel`` if no such kernel
    runs, ``UsageError`` if the name is taken, or the kernel is this notebook's own.
    """
    found = discovery.find(os.fspath(kernel))
    if discovery.own() == found.file:
        raise UsageError("Cannot attach this notebook's own kernel. Its cells need no magic.")
    name = name or f"{_plain(found.kernel)}-{_plain(found.id)[:4]}"
    if not _MAGIC_NAME.fullmatch(name):
        raise UsageError(f"{name!r} cannot be a magic's name. Use letters, digits and . _ -")
    known = kernels_by_name.known.get(name)
    if isinstance(known, AttachedKernel) and known.running.file == found.file:
        known.check()
        return known
    free = known is None or (isinstance(known, AttachedKernel) and not known.started)
    if not free or name in kernelspecs.find():
        raise UsageError(f"There is a kernel {name!r} already. Choose another name: --as NAME, or name=…")
    attached = AttachedKernel(name, found)
    attached.check()
    kernels_by_name.known[name] = attached
    return attached


def _plain(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._]+", "", text) or "kernel"


class AttachedKernel(Kernel):
    """A kernel that another program started. Its variables are those of its own notebook.

    While its own notebook runs a cell, ours waits there, and an interrupt takes it back.
    """

    owned = False

    def __init__(self, name: str, kernel: discovery.Running) -> None:
        self.running = kernel
        super().__init__(name)

    def _look_up(self) -> None:
        try:
            self.running = discovery.find(str(self.running.file))
        except UnknownKernel as error:
            raise UnknownKernel(
                f"Cannot use kernel {self.name}: the kernel of {self.running.file} runs no more. List the running ones "
                "with: %tfkernels attach"
            ) from error
        self.title = f"attached to {self.running.kernel} {self.running.notebook}".rstrip() + f", {self.running.id}"
        self.magic = f"%%{self.name}"

    def _open(self, notice: str) -> KernelConnection:
        return AttachedConnection(self.name, AttachedProcess(self.running), notice)

    def check(self) -> None:
        """Raises if the kernel answers that it cannot be used. A busy one does not answer now."""
        connection = self._begin_alive()
        if connection.ready.wait(ANSWER_TIMEOUT) and connection.failure is not None:
            self._connection = None
            raise connection.failure_of()

    @property
    def remark(self) -> str:
        """A limit that the user has to know, or nothing."""
        if self.state == "starting":
            return "its own notebook runs a cell; yours wait for it"
        why = self._connection.unreachable if self._connection is not None else ""
        return f"no values can be passed: it runs {why}" if why else ""

    def restart(self) -> None:
        """Raises ``UsageError``: the user of its own notebook would lose the variables."""
        raise UsageError(f"Kernel {self.name} was not started here. Restart it in its own notebook.")


class AttachedProcess(Process):
    """A process that is observed only."""

    start_hint = "Look at its own notebook."
    after_end = "If its notebook restarted it, the next cell runs in the new one."
    second_interrupt = "stop waiting; its cell may run on"

    def __init__(self, kernel: discovery.Running) -> None:
        self._kernel = kernel
        self._observed: psutil.Process | None = None  # if it is one of this machine
        self.connection = kernel.connection
        self.folder = kernel.file.parent

    def identify(self, pid: int, reachable: bool) -> None:
        """The number of a process means something on this machine only."""
        self.pid = pid
        if reachable:
            with contextlib.suppress(psutil.NoSuchProcess):  # then its heart does not beat, either
                self._observed = psutil.Process(pid)

    def alive(self) -> bool:
        """Whether it is the same process as before; on another machine, whether its heart beats."""
        if self._observed is None:
            return bool(discovery.alive([self._kernel], HEARTBEAT_TIMEOUT))
        with contextlib.suppress(psutil.NoSuchProcess):
            return self._observed.is_running() and self._observed.status() != psutil.STATUS_ZOMBIE
        return False

    def send_signal(self, number: int) -> None:
        """Its owner's notebook decides about it."""

    def close(self) -> None:
        """Nothing here belongs to this process."""

    def crash_report(self) -> str:
        return "has ended, or was restarted by its own notebook."


class CancelToken(Segment):
    """File that the kernel has to lock before it runs a cell of ours (see ``kernel_side.execute``)."""

    def cancel(self) -> bool:
        """Whether the cell has not begun, and never will."""
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True


class AttachedConnection(KernelConnection):
    """Connection to an attached kernel: only our own cells are interrupted, and the kernel is never ended."""

    runs_other_cell = False
    """Whether it ran a cell of its own notebook when it last reported."""

    _token: CancelToken | None = None
    _close_deadline = 0.0

    @property
    def busy(self) -> bool:
        return super().busy or self.runs_other_cell

    def interrupt(self, cell: Cell) -> None:
        """Takes back a cell that waits there behind one of the kernel's own notebook."""
        with self._lock:
            waits = cell is self.current and not cell.running
            if waits and (self._token is None or self._token.cancel()):
                self._abandon(cell)
                return
        super().interrupt(cell)

    def kill(self) -> None:
        """Leaves the cell in the kernel."""
        with self._lock:
            if self.current is not None:
                self._abandon(self.current)

    def close(self, end: str = "left") -> None:  # noqa: ARG002 (an attached kernel is only ever left)
        self._close_deadline = time.monotonic() + EXIT_TIMEOUT
        super().close("left")

    def _abandon(self, cell: Cell) -> None:
        self._release_current()
        cell.abandon()

    # The thread

    def _stop(self, cell: Cell) -> None:
        self.interrupt(cell)

    def _end_kernel(self) -> None:
        """Gives the cell that runs there a moment to end."""
        while self.current is not None and time.monotonic() < self._close_deadline:
            self._exchange()
        self.kill()

    def _send_cell(self, cell: Cell) -> None:
        if self._token is None and not self.unreachable:
            self._token = CancelToken()
            cell.request["metadata"]["tfkernels"]["cancel_token"] = self._token.address
        super()._send_cell(cell)
        cell.began = None  # it waits for its turn there

    def _release_current(self) -> None:
        super()._release_current()
        token, self._token = self._token, None
        if token is not None:
            token.close()

    def _note_progress(self, cell: Cell, channel: str, message: Message) -> bool:
        """Sends a cell again that the kernel dropped because a cell of its own notebook failed."""
        if channel == "shell" and message["content"]["status"] == "aborted" and not cell.running:
            cell.request = self.message("execute_request", cell.request["content"], cell.request["metadata"])
            self._send_cell(cell)
            return True
        return super()._note_progress(cell, channel, message)

    def _note_other(self, message: Message) -> None:
        """Notes whether it works for its own notebook; raises if it was restarted behind the same sockets."""
        if message["header"]["msg_type"] == "status":
            state = message["content"]["execution_state"]
            if message["parent_header"].get("session") != self._session.session:
                self.runs_other_cell = state == "busy"
            if state == "starting":
                raise self._died()
