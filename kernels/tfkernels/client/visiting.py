"""The conversation with a kernel that is not ours, whose own notebook uses it at the same time."""

from __future__ import annotations

import time

from tfkernels.client.cell import Cell
from tfkernels.client.connection import KernelConnection
from tfkernels.client.process import PATIENCE
from tfkernels.client.tickets import CancelToken
from tfkernels.protocol import Message


class AttachedConnection(KernelConnection):
    """Nothing but our own cells is ever interrupted, and the kernel is left and never ended."""

    engaged = False
    """Whether it works for its own notebook, or did so when it was last heard of."""

    _ticket: CancelToken | None = None
    _leaving = 0.0

    def interrupt(self, call: Cell) -> None:
        """A cell that waits there for one of the kernel's own notebook is taken back."""
        with self._lock:
            waits = call is self._current and not call.begun
            if waits and (self._ticket is None or self._ticket.withdraw()):
                self._leave(call)
                return
        super().interrupt(call)

    def kill(self) -> None:
        """The cell is left alone."""
        with self._lock:
            if self._current is not None:
                self._leave(self._current)

    def close(self, how: str = "left") -> None:
        """The cell that runs there has a moment to end."""
        self._leaving = time.monotonic() + PATIENCE
        super().close(how)

    def _leave(self, call: Cell) -> None:
        self._drop_current()
        call.leave()

    # The thread

    def _stop_current(self, call: Cell) -> None:
        self.interrupt(call)

    def _goes_on(self) -> bool:
        return super()._goes_on() or (self._current is not None and time.monotonic() < self._leaving)

    def _ends_kernel(self) -> bool:
        if self._current is not None:
            self._leave(self._current)
        return False

    def _hand_over(self, call: Cell) -> None:
        if self._ticket is None and not self.unreachable:
            self._ticket = CancelToken()
            call.request["metadata"]["tfkernels"]["ticket"] = self._ticket.address
        super()._hand_over(call)
        call.began = None  # it waits for its turn

    def _drop_current(self) -> None:
        super()._drop_current()
        ticket, self._ticket = self._ticket, None
        if ticket is not None:
            ticket.close()

    def _note(self, call: Cell, channel: str, message: Message) -> bool:
        """When a cell of its own notebook fails, a kernel drops all that waits behind."""
        if channel == "shell" and message["content"]["status"] == "aborted" and not call.begun:
            call.request = self.message("execute_request", call.request["content"], call.request["metadata"])
            self._hand_over(call)
            return True
        return super()._note(call, channel, message)

    def _overhear(self, message: Message) -> None:
        """It works for its own notebook, or was started anew behind the same sockets."""
        if message["header"]["msg_type"] == "status":
            state = message["content"]["execution_state"]
            if message["parent_header"].get("session") != self._session.session:
                self.engaged = state == "busy"
            if state == "starting":
                raise self._died()
