"""A cell on its way through another kernel: waiting for its turn, running there, finished."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from tfkernels.client.signals import raising
from tfkernels.errors import CellCancelled, CellTimeout, ExchangeError, RemoteError, RemoteInterrupt
from tfkernels.output.relay import Relay, joined
from tfkernels.transfer.message import check, join

if TYPE_CHECKING:
    from tfkernels.client.connection import KernelConnection
    from tfkernels.protocol import Message
    from tfkernels.transfer.lease import SegmentLease

_END_OF_FILE = "\x04"  # what ipykernel turns back into an EOFError

LOOK = 0.5
"""Seconds between two looks while nothing comes."""


@dataclass(frozen=True)
class Plan:
    """What belongs to a cell besides its code."""

    arrival: SegmentLease | None = None
    """Where its outputs are to be written."""
    sent: ExitStack = field(default_factory=ExitStack)
    """The memory of its inputs, which is closed when it has ended."""
    needs: Sequence[Cell] = ()
    """Cells of other kernels whose outputs are inputs of this one."""
    timeout: float | None = None
    """Seconds that it may run."""
    tells: bool = True
    """Whether its failure is shown when it runs in the background."""
    remember: Callable[[int], None] = lambda size: None  # noqa: ARG005
    """Gets the size of the outputs, in bytes."""
    ended: Callable[[], None] = lambda: None
    """Is called at its end, in any thread."""
    deliver: Callable[[dict[str, Any]], None] = lambda outputs: None  # noqa: ARG005
    """Gets the outputs when they are asked for, before whoever asks."""


class Cell:
    """One cell for another kernel. A future for whoever submitted it; any thread may ask.

    Its output is shown by whoever attends to it, in that thread (see ``attend``); when nobody does, by the thread of
    the conversation, as it comes.
    """

    def __init__(self, kernel: str, request: Message, show: Relay, plan: Plan, inbox: SimpleQueue[Any] | None) -> None:
        self.kernel = kernel
        self.request = request
        self.show = show
        self.timeout = plan.timeout
        self.began: float | None = None
        self.ended: float | None = None
        self.begun = False  # whether an interrupt would reach the cell by now
        self.interrupts = 0
        self.interrupted: datetime | None = None  # the last time
        self.timed_out = False
        self.conversation: KernelConnection | None = None
        self._plan = plan
        self._inbox = inbox  # of who attends: (this, messages), then (this, None); a bare None only wakes
        self._submitted = time.monotonic()
        self._finished = threading.Event()
        self._heard_out = False  # nothing there looks at its memory any more; it may have been given up before
        self._unasked = False
        self._settling = threading.Lock()
        self._reply: dict[str, Any] = {}
        self._failure: BaseException | None = None
        self._outputs: dict[str, Any] | None = None
        self._traceback: Message | None = None  # that was shown there; probably the one that the reply brings, too

    def __repr__(self) -> str:
        now = time.monotonic()
        if self.began is None:
            ended = "cancelled" if isinstance(self._failure, CellCancelled) else "not run"
            state = ended if self.done() else f"waiting for {now - self._submitted:.1f} s"
        elif self.ended is None:
            state = f"running for {now - self.began:.1f} s"
        else:
            how = "failed" if self._problem() is not None else "done"
            state = f"{how} after {self.ended - self.began:.1f} s"
        return f"<cell in kernel {self.kernel}, {state}: {self.title}>"

    @property
    def id(self) -> str:
        return str(self.request["header"]["msg_id"])

    @property
    def title(self) -> str:
        """The first line of its code."""
        lines = [line for line in self.request["content"]["code"].splitlines() if line.strip()]
        return lines[0].strip()[:60] if lines else ""

    @property
    def takes_values(self) -> bool:
        exchange = self.request["metadata"]["tfkernels"]
        return bool(exchange["inputs"] or exchange["outputs"])

    @property
    def last_resort(self) -> str:
        """What another press of the stop button does when the first had no effect."""
        return self.conversation.process.last_resort if self.conversation is not None else ""

    @property
    def reachable(self) -> bool:
        """Whether its kernel has started."""
        return self.conversation is None or self.conversation.ready.is_set()

    def done(self) -> bool:
        """Whether it has ended, in whatever way."""
        return self._finished.is_set()

    def result(self, timeout: float | None = None) -> dict[str, Any]:
        """Its outputs, a dict by name. Waits at most ``timeout`` seconds; then ``TimeoutError``, and it runs on.

        Raises what the cell raised (``RemoteError``), ``ExchangeError``, ``KernelDied``, ``CellCancelled``,
        ``CellTimeout``.
        """
        problem = self.exception(timeout)
        if problem is not None:
            raise problem
        with self._settling:
            if self._outputs is None:
                self._outputs = self._plan.arrival.unpack() if self._plan.arrival is not None else {}
                self._close_arrival()
                self._plan.deliver(self._outputs)
            return self._outputs

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """What ``result`` would raise, or ``None``. Waits like it."""
        if not self._finished.wait(timeout):
            raise TimeoutError(f"{self!r} has not ended within {timeout} s; it goes on")
        return self._problem()

    def cancel(self) -> bool:
        """Drops it if it waits for its turn, interrupts it if it runs. ``False`` if it has ended already."""
        if self.done():
            return False
        self.interrupt()
        return True

    def interrupt(self) -> None:
        if self.conversation is not None:
            self.conversation.interrupt(self)

    def kill(self) -> None:
        """Ends the kernel that it runs in."""
        if self.conversation is not None:
            self.conversation.kill()

    # What the conversation tells it

    def receive(self, messages: list[Message]) -> None:
        inbox = self._inbox
        if inbox is not None:
            inbox.put((self, messages))
        else:
            self.handle(messages)

    def ready(self) -> bool:
        """Whether it can be sent: the other kernels have delivered what it needs."""
        return all(need.done() for need in self._plan.needs)

    def load(self) -> None:
        """Takes along what other kernels delivered. Raises what kept them from it."""
        sent = [need.ship() for need in self._plan.needs]
        if sent:
            inputs = self.request["metadata"]["tfkernels"]
            parts = [check(shipment.descriptor) for shipment in sent]
            inputs["inputs"] = join(([inputs["inputs"]] if inputs["inputs"] else []) + parts)

    def finish(self, reply: dict[str, Any] | None = None, failure: BaseException | None = None) -> None:
        """It has been heard out, or will never be answered: nothing there looks at its memory any more."""
        self.ended = time.monotonic()
        self._plan.sent.close()
        for need in self._plan.needs:
            need.close()
        if not self._finished.is_set():  # it may have been given up
            self._reply = reply or {}
            self._failure = self._failure or failure
            self._take(self._plan.arrival)
        self._heard_out = True
        if self._unasked or self._problem() is not None:
            self._close_arrival()
        if not self._finished.is_set():
            self._tell()

    def give_up(self) -> None:
        """It ran longer than it may, and does not react. It is heard out by the conversation's thread."""
        self._failure = CellTimeout.ignored(self.kernel, self.timeout or 0)
        self._tell()
        self._inbox = None
        self.show = self.show.afterwards()

    def leave(self) -> None:
        """Its kernel, which is not ours, will not run it, or runs on with it and may write to its memory."""
        if self._plan.arrival is not None:
            self._plan.arrival.abandon()
        if self.begun:
            text = f"it was left behind in kernel {self.kernel}, and may run on there"
            self.finish({"status": "error", "ename": "KeyboardInterrupt", "evalue": text, "traceback": [text]})
        else:
            self.finish(failure=CellCancelled(f"the cell waited for kernel {self.kernel}, and was not run"))

    def _take(self, arrival: SegmentLease | None) -> None:
        if self._failure is None and arrival is not None and self._reply["status"] == "ok":
            try:
                arrival.accept(check(self._reply.get("tfkernels")))
                self._plan.remember(arrival.size)
            except ExchangeError as error:
                self._failure = error

    def _tell(self) -> None:
        inbox = self._inbox
        if inbox is None:
            self._show_end()
        self._finished.set()
        if inbox is not None:
            inbox.put((self, None))
        self._plan.ended()

    def ship(self) -> SegmentLease:
        """The outputs as they arrived, for another kernel."""
        problem = self.exception()
        if problem is not None:
            raise problem
        assert self._plan.arrival is not None
        return self._plan.arrival

    def close(self) -> None:
        """Nobody will ask for its outputs: they go when it has ended."""
        self._unasked = True
        if self._heard_out:
            self._close_arrival()

    def _close_arrival(self) -> None:
        if self._plan.arrival is not None:
            self._plan.arrival.close()

    def _problem(self) -> BaseException | None:
        if self._failure is not None or not self._reply:
            return self._failure
        reply, attended = self._reply, self._inbox is not None
        traceback = reply.get("traceback", ())
        if self.timed_out:
            self._failure = CellTimeout.stopped(self.kernel, self.timeout or 0, traceback)
        elif reply["status"] == "ok":
            return None
        elif reply.get("exchange_failed"):
            self._failure = ExchangeError(reply["evalue"])
        elif self.interrupts and attended:
            self._failure = RemoteInterrupt(f"the cell in kernel {self.kernel} was interrupted", traceback)
        elif self.interrupts:
            self._failure = CellCancelled(f"the cell in kernel {self.kernel} was interrupted")
        else:
            ename = reply.get("ename", reply["status"])
            self._failure = RemoteError(self.kernel, ename, reply.get("evalue", ""), traceback)
        return self._failure

    # What is shown

    def handle(self, messages: list[Message]) -> bool:
        """Shows messages, in the thread of whoever attends. Whether the user pressed stop instead of answering.

        If something here fails meanwhile (a display, a closed standard output), the cell is interrupted and heard out
        before the error goes on: a cell that runs unheard would write to memory that is somebody else's by then.
        """
        stopped = False
        for message in joined(messages):
            try:
                self._show(message)
            except KeyboardInterrupt:
                stopped = True
            except BaseException as error:
                if self._inbox is not None and not isinstance(error, Exception):
                    raise  # a ``SystemExit``, to whoever attends; the conversation's thread must not end by it
                self._failure = self._failure or error
                self.interrupt()
        return stopped

    def _show(self, message: Message) -> None:
        assert self.conversation is not None
        kind = message["header"]["msg_type"]
        # What comes after it tells that it did not end the cell; matplotlib's figures, and what we read from file
        # descriptor 2 ourselves, come after the one that did, too.
        if kind != "display_data" and "msg_id" in message["header"]:
            self._show_traceback()
        if kind == "error":
            self._traceback = message
        elif kind == "input_request" and self._stopped_since(message):
            pass  # the kernel does not wait for an answer any more
        elif kind == "input_request":
            answer = self._ask(message["content"]) if self._inbox is not None else _END_OF_FILE
            self.conversation.post("stdin", self.conversation.message("input_reply", {"value": answer}))
        elif kind.startswith("comm_"):
            self.conversation.on_comm(message)
        elif self._failure is None or self.done():
            self.show.handle(message)

    def _show_traceback(self) -> None:
        message, self._traceback = self._traceback, None
        if message is not None:
            self.show.handle(message)

    def _stopped_since(self, message: Message) -> bool:
        """Several kernels ask one after another, and the stop button is for all of them."""
        return self.interrupted is not None and message["header"]["date"] < self.interrupted

    def _ask(self, question: dict[str, Any]) -> str:
        try:
            with raising():
                return self.show.ask(question["prompt"], question["password"])
        except EOFError:
            return _END_OF_FILE

    def _show_end(self) -> None:
        try:
            self.show_last()
            problem = self._problem()
            if problem is not None and self._plan.tells:
                self.show.error(problem)
        except BaseException as error:  # noqa: BLE001 (`result` raises it)
            self._failure = self._failure or error

    def show_last(self) -> None:
        """What a native cell shows at its end: a traceback that did not end it, help in the pager."""
        if self._reply.get("status") == "ok":
            self._show_traceback()
        for payload in self._reply.get("payload", ()):
            if payload.get("source") == "page":
                self.show.stream("stdout", payload["data"].get("text/plain", "") + "\n")

    def detach(self) -> None:
        """Nobody attends any more, nor will ask. It is interrupted, and heard out by the conversation's thread."""
        if self._inbox is not None:
            self.show = self.show.afterwards()
            self._inbox = None
            self.close()
            self.interrupt()
