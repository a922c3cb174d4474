"""A cell on its way through another kernel: waiting for its turn, running there, finished."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from tfkernels.errors import CellCancelled, ExchangeError, RemoteError, RemoteInterrupt
from tfkernels.interrupts import raising, redirected
from tfkernels.parcel import check
from tfkernels.relay import Relay, joined

if TYPE_CHECKING:
    from tfkernels.channels import Message
    from tfkernels.conversation import Conversation
    from tfkernels.shipments import Shipment

REACTION = 5.0
"""Seconds that a cell has to react to an interrupt before another one ends its kernel."""

LOOK = 0.5
"""Seconds between two looks while nothing comes."""


class Call:
    """One cell for another kernel. A future for whoever submitted it; any thread may ask.

    Its output is shown by whoever attends to it, in that thread (see ``attend``); when nobody does, by the thread of
    the conversation, as it comes.
    """

    def __init__(
        self,
        kernel: str,
        request: Message,
        show: Relay,
        arrival: Shipment | None,
        sent: ExitStack,
        remember: Callable[[int], None],
        inbox: SimpleQueue[Any] | None,
    ) -> None:
        self.kernel = kernel
        self.request = request
        self.show = show
        self.began: float | None = None
        self.ended: float | None = None
        self.begun = False  # whether an interrupt would reach the cell by now
        self.interrupts = 0
        self.conversation: Conversation | None = None
        self._arrival = arrival
        self._sent = sent
        self._remember = remember
        self._inbox = inbox  # of who attends: (this, messages), then (this, None); a bare None only wakes
        self._submitted = time.monotonic()
        self._finished = threading.Event()
        self._settling = threading.Lock()
        self._reply: dict[str, Any] = {}
        self._failure: BaseException | None = None
        self._outputs: dict[str, Any] | None = None

    def __repr__(self) -> str:
        now = time.monotonic()
        if self.began is None:
            state = "cancelled" if self.done() else f"waiting for {now - self._submitted:.1f} s"
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

    def done(self) -> bool:
        """Whether it has ended, in whatever way."""
        return self._finished.is_set()

    def result(self, timeout: float | None = None) -> dict[str, Any]:
        """Its outputs, a dict by name. Waits at most ``timeout`` seconds; then ``TimeoutError``, and it runs on.

        Raises what the cell raised (``RemoteError``), ``ExchangeError``, ``KernelDied``, ``CellCancelled``.
        """
        problem = self.exception(timeout)
        if problem is not None:
            raise problem
        with self._settling:
            if self._outputs is None:
                self._outputs = self._arrival.unpack() if self._arrival is not None else {}
                self._close_arrival()
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

    def finish(self, reply: dict[str, Any] | None = None, failure: BaseException | None = None) -> None:
        """It has been heard out, or will never be answered: nothing there looks at its memory any more."""
        self.ended = time.monotonic()
        self._sent.close()
        self._reply = reply or {}
        self._failure = self._failure or failure
        if self._failure is None and self._arrival is not None and self._reply["status"] == "ok":
            try:
                self._arrival.descriptor = check(self._reply.get("tfkernels"))
                self._remember(self._arrival.size)
            except ExchangeError as error:
                self._failure = error
        if self._problem() is not None:
            self._close_arrival()
        inbox = self._inbox
        if inbox is None:
            self._show_end()
        self._finished.set()
        if inbox is not None:
            inbox.put((self, None))

    def _close_arrival(self) -> None:
        if self._arrival is not None:
            self._arrival.close()

    def ship(self) -> Shipment:
        """The outputs as they arrived, for another kernel."""
        problem = self.exception()
        if problem is not None:
            raise problem
        assert self._arrival is not None
        return self._arrival

    def _problem(self) -> BaseException | None:
        if self._failure is not None or not self._reply or self._reply["status"] == "ok":
            return self._failure
        reply, attended = self._reply, self._inbox is not None
        ename, evalue = reply.get("ename", reply["status"]), reply.get("evalue", "")
        traceback = reply.get("traceback", ())
        if reply.get("exchange_failed"):
            self._failure = ExchangeError(evalue)
        elif self.interrupts and attended:
            self._failure = RemoteInterrupt(f"the cell in kernel {self.kernel} was interrupted", traceback)
        elif self.interrupts:
            self._failure = CellCancelled(f"the cell in kernel {self.kernel} was interrupted")
        else:
            self._failure = RemoteError(self.kernel, ename, evalue, traceback)
        return self._failure

    # What is shown

    def handle(self, messages: list[Message]) -> None:
        """Shows messages, in the thread of whoever attends.

        If something here fails meanwhile (a display, a closed standard output), the cell is interrupted and heard out
        before the error goes on: a cell that runs unheard would write to memory that is somebody else's by then.
        """
        for message in joined(messages):
            try:
                if message["header"]["msg_type"] == "input_request":
                    self._answer(message["content"])
                elif message["header"]["msg_type"].startswith("comm_"):
                    assert self.conversation is not None
                    self.conversation.on_comm(message)
                elif self._failure is None:
                    self.show.handle(message)
            except Exception as error:  # noqa: BLE001 (`result` raises it)
                self._failure = self._failure or error
                self.interrupt()

    def _show_end(self) -> None:
        try:
            self.show_pages()
            problem = self._problem()
            if problem is not None:
                self.show.error(problem)
        except Exception as error:  # noqa: BLE001 (`result` raises it)
            self._failure = self._failure or error

    def show_pages(self) -> None:
        """Help that a native cell shows in the pager."""
        for payload in self._reply.get("payload", ()):
            if payload.get("source") == "page":
                self.show.stream("stdout", payload["data"].get("text/plain", "") + "\n")

    def _answer(self, question: dict[str, Any]) -> None:
        assert self.conversation is not None
        if self._inbox is None:
            answer = "\x04"
        else:
            try:
                with raising():
                    answer = self.show.ask(question["prompt"], question["password"])
            except EOFError:
                answer = "\x04"  # what ipykernel turns back into an EOFError
            except KeyboardInterrupt:
                self.interrupt()  # it ends the waiting there
                return
        self.conversation.post("stdin", self.conversation.message("input_reply", {"value": answer}))

    def detach(self) -> None:
        """Nobody attends any more. It is interrupted, and heard out by the conversation's thread."""
        self.show = self.show.afterwards()
        self._inbox = None
        self.interrupt()


class _Stop:
    """How often the user pressed the stop button, and what is still to be done about it."""

    def __init__(self) -> None:
        self.presses = self.seen = 0
        self.first = 0.0
        self.warned = False

    def press(self) -> None:
        if self.presses == 0:
            self.first = time.monotonic()
        self.presses += 1

    def act(self, calls: Sequence[Call]) -> None:
        late = self.presses > 0 and time.monotonic() - self.first > REACTION
        if self.seen < self.presses:
            self.seen = self.presses
            for call in calls:
                call.kill() if late else call.interrupt()
        elif late and not self.warned:
            self.warned = True
            for call in calls:
                call.show.stream(
                    "stderr",
                    f"kernel {call.kernel} does not react to the interrupt; another one ends it, and its variables "
                    "are lost\n",
                )


def attend(calls: Sequence[Call], inbox: SimpleQueue[Any]) -> None:
    """Shows in this thread, in order, what comes into the ``inbox`` that the calls share, until all have ended.

    The stop button reaches all of them. Look at each one's ``result`` afterwards.
    """
    running = list(calls)
    stop = _Stop()

    def press() -> None:  # in a signal handler: no lock may be wanted here
        stop.press()
        inbox.put(None)

    with redirected(press):
        try:
            while running:
                stop.act(running)
                for call, messages in _next(inbox):
                    if messages is not None:
                        call.handle(messages)
                    else:
                        running.remove(call)
                        call.show_pages()
        except BaseException:
            for call in running:
                call.detach()
            raise


def _next(inbox: SimpleQueue[Any]) -> list[tuple[Call, list[Message] | None]]:
    """What is there, at least one thing unless nothing comes; the messages of one call together."""
    items: list[tuple[Call, list[Message] | None]] = []
    try:
        item = inbox.get(timeout=LOOK)
        while item is not None:
            call, messages = item
            if messages is not None and items and items[-1][0] is call and items[-1][1] is not None:
                items[-1] = (call, items[-1][1] + messages)
            else:
                items.append(item)
            item = inbox.get_nowait()
    except Empty:
        pass
    return items
