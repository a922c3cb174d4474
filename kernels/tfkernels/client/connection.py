"""The thread that talks to one running kernel: owns the sockets, gives each message to the cell it belongs to."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import OrderedDict, deque
from datetime import datetime, timezone
from queue import Empty, SimpleQueue
from typing import Any

from jupyter_client.session import Session

from tfkernels.client import deadlines
from tfkernels.client.cell import LOOK, Cell
from tfkernels.client.channels import Channels, Doorbell, Received
from tfkernels.client.handshake import Closed, Opening
from tfkernels.client.process import Process
from tfkernels.errors import CellCancelled, ExchangeError, KernelDied, TFKernelsError
from tfkernels.output import widgets
from tfkernels.output.relay import Relay, joined
from tfkernels.protocol import Message

ANSWER = 2.0
"""Seconds that the reply to a cell may come later than the message that the kernel is idle again."""

END = 10.0
"""Seconds that the thread has to end in."""

REMEMBERED = 500
"""Cells whose output is still shown under them when it comes after their end, from threads that they started."""


class KernelConnection:
    """One process of a kernel, from its start to its end. Cells run there one at a time, in the order of submission.

    Owns the process and a thread. Methods may be called from any thread, unless they say otherwise.
    """

    def __init__(self, name: str, process: Process, greeting: str = "") -> None:
        """``greeting`` is what the first cell is told on standard error."""
        self.process = process
        self._greeting = greeting
        self.ready = threading.Event()
        self.ended = threading.Event()
        self.failure: TFKernelsError | None = None
        """Why it ended by itself, and whether somebody has been told."""
        self.told = False
        self.unreachable = ""
        """Why values cannot be passed; mostly nothing."""
        self._obituary = ""
        self._name = name
        self._session = Session(
            key=process.connection["key"].encode(),
            signature_scheme=process.connection["signature_scheme"],
            username="tfkernels",
        )
        self._lock = threading.RLock()
        self._doorbell = Doorbell()
        self._outbox: deque[tuple[str, Message]] = deque()
        self._waiting: deque[Cell] = deque()
        self._current: Cell | None = None
        self._last = ""  # the id of the cell that ran last
        self._reply: dict[str, Any] | None = None
        self._idle_since: float | None = None
        self._asked: dict[str, SimpleQueue[dict[str, Any]]] = {}
        self._places: OrderedDict[str, Relay] = OrderedDict()
        self._comms = widgets.here(self)
        self.closing, self._how = False, ""
        self._thread = threading.Thread(target=self._main, name=f"tfkernels-{name}", daemon=True)
        self._thread.start()

    # For everybody

    @property
    def current(self) -> Cell | None:
        """The cell that runs there now."""
        return self._current

    @property
    def waiting(self) -> list[Cell]:
        """The cells that wait for their turn."""
        return list(self._waiting)

    def message(self, kind: str, content: dict[str, Any], metadata: dict[str, Any] | None = None) -> Message:
        with self._lock:  # numbers its messages
            made: Message = self._session.msg(kind, content, metadata=metadata)
        return made

    def submit(self, call: Cell) -> None:
        call.conversation = self
        with self._lock:
            if not self.ended.is_set():
                self._waiting.append(call)
                self._doorbell.ring()
                return
        call.finish(failure=self.failed())

    def interrupt(self, call: Cell) -> None:
        """Drops a cell that waits; interrupts it if it runs, as soon as that would reach it."""
        with self._lock:
            if call in self._waiting:
                self._waiting.remove(call)
                if not self.ready.is_set() and not self._waiting:  # it was starting for nobody else
                    self.closing = True
                    self._doorbell.ring()
                call.finish(failure=CellCancelled(f"the cell waited for kernel {self._name}, and was not run"))
            elif call is self._current:
                call.interrupts += 1
                if call.begun:
                    self._interrupt(call)

    def _interrupt(self, call: Cell) -> None:
        call.interrupted = datetime.now(timezone.utc)
        self.interrupt_kernel()
        self._doorbell.ring()

    def interrupt_kernel(self) -> None:
        """Interrupts what runs there, be it a cell or a widget's callback."""
        if self.process.by_message:
            self.post("control", self.message("interrupt_request", {}))
        else:
            self.process.interrupt()

    def wake(self) -> None:
        """Something that a cell waits for may have come."""
        self._doorbell.ring()

    def kill(self) -> None:
        self.process.kill()
        self._doorbell.ring()

    def post(self, channel: str, message: Message, show: Relay | None = None) -> None:
        """Sends a message at once, also while a cell runs. ``show`` gets what comes with it as a parent."""
        with self._lock:
            if show is not None:
                self._remember(message, show)
            self._outbox.append((channel, message))
            self._doorbell.ring()

    def place(self, identity: str | None) -> Relay | None:
        """Where what comes because of one of our messages is shown."""
        return self._places.get(identity or "")

    def caused(self, message: Message) -> bool:
        """Whether it comes because of one of our messages, not of another client's."""
        return bool(message["parent_header"].get("session", self._session.session) == self._session.session)

    def on_comm(self, message: Message) -> None:
        """A message of a widget there. In the thread that shows the cell it belongs to, in order with its output."""
        self._comms.arrived(message, self.place(message["parent_header"].get("msg_id")))

    def request(self, message: Message, timeout: float, channel: str = "shell") -> dict[str, Any]:
        """Sends a message and returns the content of the reply. Not in the conversation's own thread.

        Raises ``TimeoutError`` if it does not come in time, ``KernelDied`` if it never will.
        """
        assert threading.current_thread() is not self._thread, "it would wait for itself"
        answer: SimpleQueue[dict[str, Any]] = SimpleQueue()
        identity = message["header"]["msg_id"]
        self._asked[identity] = answer
        try:
            self.post(channel, message)
            deadline = time.monotonic() + timeout
            while True:
                try:
                    return answer.get(timeout=max(0, min(LOOK, deadline - time.monotonic())))
                except Empty:
                    if self.ended.is_set():
                        raise self.failed() from None
                    if time.monotonic() >= deadline:
                        kind = message["header"]["msg_type"]
                        raise TimeoutError(f"no reply to {kind} from kernel {self._name} in {timeout} s") from None
        finally:
            del self._asked[identity]

    def close(self, how: str = "shut down") -> None:
        """Ends the kernel and the thread. A cell that runs there ends with ``KernelDied``, which says ``how``."""
        with self._lock:
            self.closing, self._how = True, how
            if self._current is not None:
                self._stop_current(self._current)
            self._doorbell.ring()
        if threading.current_thread() is not self._thread:
            self._thread.join(END)
        if not self.ended.is_set():
            self.process.kill()  # the thread is stuck in showing something

    def _stop_current(self, call: Cell) -> None:  # noqa: ARG002 (another kind of conversation wants it)
        self.process.kill()

    # The thread

    def _main(self) -> None:
        failure: TFKernelsError | None = None
        try:
            channels = Channels(self.process.connection, self._session, self._doorbell)
            try:
                opening = Opening(self._name, self.process, channels, self.message, lambda: self.closing)
                self.unreachable = opening.open()
                self.ready.set()
                self._converse(channels)
            finally:
                channels.close()
        except Closed:
            pass
        except TFKernelsError as error:
            failure = error
        except BaseException as error:  # noqa: BLE001 (whoever waits has to hear of it)
            self.process.kill()
            failure = KernelDied(f"the conversation with kernel {self._name} broke off ({error!r}); it was ended")
        self._end(failure)

    def _end(self, failure: TFKernelsError | None) -> None:
        self.process.close()
        with self._lock:
            self.failure = failure
            self.ended.set()
            calls = [*([self._current] if self._current else []), *self._waiting]
            self._waiting.clear()
            self._drop_current()
        self.ready.set()
        for call in calls:
            call.finish(failure=self.failed(ran=call.began is not None))
        with contextlib.suppress(Exception):  # at this process's end nobody is there to be told
            self._comms.ended()
        self._doorbell.close()

    def failed(self, ran: bool = False) -> TFKernelsError:
        """What a cell is told that did not come to its end."""
        self.told = True
        if self.failure is None:
            when = "while the cell ran, and the cell ended with it" if ran else "before the cell, which was not run"
            return KernelDied(f"kernel {self._name} was {self._how or 'shut down'} {when}")
        if ran or not self._obituary:
            return self.failure
        return self._died("It ended before this cell, which was not run. ")

    def _died(self, when: str = "") -> KernelDied:
        self._obituary = self._obituary or self.process.obituary()
        return KernelDied.of(self._name, self._obituary, self.process.afterwards, when)

    def _converse(self, channels: Channels) -> None:
        while self._goes_on():
            self._send(channels)
            arrived = channels.receive(self._look_at_clock())
            self._show_stderr()
            if not arrived and not self.closing and not self.process.alive():
                raise self._died()
            self._sort(arrived)
            self._look_for_end()
        if self._ends_kernel():
            channels.send("control", self.message("shutdown_request", {"restart": False}))

    def _goes_on(self) -> bool:
        return not self.closing

    def _ends_kernel(self) -> bool:
        """Whether it shall end by itself; where a cell runs, it is killed."""
        return self._current is None

    def _send(self, channels: Channels) -> None:
        with self._lock:
            while self._current is None and self._waiting and self._waiting[0].ready() and not self.closing:
                self._next(self._waiting.popleft())
            while self._outbox:
                channels.send(*self._outbox.popleft())

    def _next(self, call: Cell) -> None:
        """It is a cell's turn."""
        try:
            call.load()
            if self.unreachable and call.takes_values:
                raise ExchangeError(
                    f"kernel {self._name} runs elsewhere ({self.unreachable}), and values travel in shared memory: on "
                    f"one machine, between processes of one user. Cells without values do run there."
                )
        except Exception as error:  # noqa: BLE001 (`result` raises it)
            call.finish(failure=error)
            return
        self._current, self._last = call, call.id
        self._hand_over(call)
        if self._greeting:
            call.receive([self._stderr(self._greeting, call.id)])
            self._greeting = ""

    def _hand_over(self, call: Cell) -> None:
        self._reply, self._idle_since = None, None
        call.began = time.monotonic()
        self._remember(call.request, call.show.afterwards())
        self._outbox.append(("shell", call.request))

    def _drop_current(self) -> None:
        with self._lock:
            self._current = None

    def _look_at_clock(self) -> float:
        """Seconds until the next look."""
        call = self._current
        if call is None or call.done():
            return LOOK
        return min(deadlines.nudge(call, self.process), deadlines.limit(call, self.interrupt))

    def _remember(self, request: Message, show: Relay) -> None:
        self._places[request["header"]["msg_id"]] = show
        while len(self._places) > REMEMBERED:
            self._places.popitem(last=False)

    def _sort(self, arrived: list[Received]) -> None:
        mine: list[Message] = []
        late: list[Message] = []
        current = self._current
        for channel, message in arrived:
            parent = message["parent_header"].get("msg_id")
            if current is not None and parent == current.id:
                if not self._note(current, channel, message):
                    mine.append(message)
            elif channel == "iopub":
                self._overhear(message)
                late.append(message)
            else:
                answer = self._asked.get(parent)
                if answer is not None:
                    answer.put(message["content"])
        if mine and current is not None:
            current.receive(mine)
        for message in joined(late):
            self._show_late(message)

    def _note(self, call: Cell, channel: str, message: Message) -> bool:
        """Whether a message tells how far the cell is, and no more."""
        kind = message["header"]["msg_type"]
        if channel == "shell":
            self._reply = message["content"]
        elif kind == "execute_input":
            self._begun(call)
        elif kind == "status" and message["content"]["execution_state"] == "idle":
            self._idle_since = time.monotonic()
        return channel == "shell" or kind in ("status", "execute_input")

    def _overhear(self, message: Message) -> None:
        """A message that is not of the cell that runs."""

    def _begun(self, call: Cell) -> None:
        """Until now the kernel would have ignored an interrupt."""
        with self._lock:
            call.begun = True
            call.began = call.began or time.monotonic()
            if call.interrupts:
                self._interrupt(call)

    def _look_for_end(self) -> None:
        call = self._current
        if call is None or self._idle_since is None:
            return
        if self._reply is None:  # an interrupt between the cell and its reply makes ipykernel send none
            if time.monotonic() - self._idle_since < ANSWER:
                return
            self._reply = {"status": "error", "ename": "KeyboardInterrupt", "evalue": "", "traceback": []}
        self._show_stderr()
        self._drop_current()
        call.finish(self._reply)

    def _show_stderr(self) -> None:
        """What TensorFlow's C++ runtime and child processes wrote to the file descriptor itself."""
        text = self.process.new_stderr()
        if not text:
            return
        if self._current is not None:
            self._current.receive([self._stderr(text, self._current.id)])
        else:
            self._show_late(self._stderr(text, self._last))

    def _stderr(self, text: str, parent: str) -> Message:
        return {
            "header": {"msg_type": "stream"},
            "parent_header": {"msg_id": parent},
            "content": {"name": "stderr", "text": text},
        }

    def _show_late(self, message: Message) -> None:
        """Output of a cell that has ended, or a message of a widget."""
        kind = message["header"]["msg_type"]
        with contextlib.suppress(BaseException):  # nobody is there whom a failing display would be of use to
            if kind.startswith("comm_"):
                self.on_comm(message)
                return
            place = self.place(message["parent_header"].get("msg_id"))
            if place is not None:
                place.handle(message)
