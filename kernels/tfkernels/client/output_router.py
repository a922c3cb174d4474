"""Output of one kernel on its way to the relays: of the cell that runs, of cells that have ended, of widgets."""

from __future__ import annotations

import contextlib
import signal
import time
from typing import Any

from jupyter_client.jsonutil import parse_date

from tfkernels import protocol
from tfkernels.client.cell import Cell
from tfkernels.output import widgets
from tfkernels.output.relay import Relay, joined
from tfkernels.protocol import Message
from tfkernels.sigint import redirected

ACTIVITY_INTERVAL = 5.0
"""Seconds. A server may end kernels that are idle for longer than that."""

_END_OF_FILE = "\x04"  # ipykernel turns it into an EOFError


class OutputRouter:
    """Shows the messages of a kernel in the thread that waits for the cell, or in that of the connection."""

    def __init__(self, connection: widgets.Connection) -> None:
        self._connection = connection
        self._comms = widgets.comms_of(connection)
        self._activity_due = 0.0

    def deliver(self, cell: Cell, messages: list[Message]) -> None:
        """Hands messages of the cell that runs to the thread that shows them."""
        inbox = cell.inbox
        if inbox is not None:
            inbox.put((cell, messages))
        else:
            self.show(cell, messages)

    def show(self, cell: Cell, messages: list[Message]) -> bool:
        """Returns whether the user pressed stop instead of answering a question.

        An error in this process, such as a closed standard output, fails the cell and interrupts it. It still waits for
        the reply: until then the kernel writes to the cell's memory.
        """
        stopped = False
        for message in joined(messages):
            try:
                self._show(cell, message)
            except KeyboardInterrupt:
                stopped = True
            except BaseException as error:
                if cell.inbox is not None and not isinstance(error, Exception):
                    raise  # a SystemExit ends the program; it must not end the thread of the connection
                cell.failure = cell.failure or error
                cell.interrupt()
        return stopped

    def _show(self, cell: Cell, message: Message) -> None:
        kind = message["header"]["msg_type"]
        if kind == "error" and message["metadata"].get(protocol.ENDS_CELL):
            cell.show_held_traceback()
            cell.held_traceback = message
        elif kind == "input_request":
            self._answer(cell, message)
        elif kind.startswith("comm_") or cell.failure is None or cell.done():
            self._pass_on(message, cell.relay)

    def _pass_on(self, message: Message, relay: Relay | None) -> None:
        if not message["header"]["msg_type"].startswith("comm_"):
            if relay is not None:
                relay.handle(message)
        elif self._comms is not None:
            self._comms.receive(message, self._connection.relay_of(message["parent_header"].get("msg_id")))

    def _answer(self, cell: Cell, request: Message) -> None:
        """Asks the user. After an interrupt, the kernel does not wait for the answer any more."""
        asked: Any = parse_date(request["header"]["date"])
        if cell.interrupted_at is not None and asked < cell.interrupted_at:
            return
        answer = _END_OF_FILE
        if cell.inbox is not None:
            content: dict[str, Any] = request["content"]
            with contextlib.suppress(EOFError), redirected(signal.default_int_handler):  # it raises again meanwhile
                answer = cell.relay.ask(content["prompt"], content["password"])
        self._connection.post("stdin", self._connection.message("input_reply", {"value": answer}))

    def show_late(self, messages: list[Message]) -> None:
        """Output of cells that have ended, and messages of widgets. A display that fails has nobody to raise in."""
        for message in joined(messages):
            with contextlib.suppress(BaseException):
                self._pass_on(message, self._connection.relay_of(message["parent_header"].get("msg_id")))

    def show_activity(self, cell: Cell | None) -> None:
        """Shows now and then that this notebook is in use, although its own kernel is idle: another one works for it.

        ``cell`` is the one that runs there.
        """
        works = cell is not None and cell.inbox is None
        if self._comms is not None and (works or self._comms.busy) and time.monotonic() >= self._activity_due:
            self._activity_due = time.monotonic() + ACTIVITY_INTERVAL
            self._comms.show_activity()

    def close(self) -> None:
        if self._comms is not None:
            with contextlib.suppress(Exception):  # when this process ends, the notebook may be gone already
                self._comms.close()
