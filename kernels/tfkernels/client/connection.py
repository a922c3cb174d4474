"""Connection to one running kernel: a thread owns the sockets and gives each message to the cell it belongs to."""

from __future__ import annotations

import signal
import threading
import time
from collections import OrderedDict, deque
from datetime import datetime, timedelta, timezone
from queue import Empty, SimpleQueue
from typing import Any

from tfkernels import debugger, protocol
from tfkernels.client import handshake, stop_button
from tfkernels.client.cell import Cell
from tfkernels.client.channels import Channels
from tfkernels.client.output_router import OutputRouter
from tfkernels.client.process import Process
from tfkernels.errors import CellCancelled, ExchangeError, KernelDied, KernelStartError, TFKernelsError
from tfkernels.output.relay import Relay
from tfkernels.protocol import Message

REMEMBERED_CELLS = 500  # whose late output, from threads that they started, is still shown under them

# Seconds
POLL_INTERVAL = 0.5  # between two looks whether the kernel lives, while it is silent
REPLY_TIMEOUT = 2.0  # from the message that the kernel is idle again to the reply of its cell
THREAD_END_TIMEOUT = 10.0  # that the thread has to end in
WAKE_FOR = timedelta(seconds=1)  # after an interrupt, in which system calls of the kernel are ended
WAKE_INTERVAL = 0.1  # between two signals that end a system call


class KernelConnection(Channels):
    """One process of a kernel, from its start to its end. Cells run there one at a time, in the order of submission.

    Owns the process and a thread. Methods may be called from any thread, unless they say otherwise.
    """

    def __init__(self, name: str, process: Process, notice: str = "") -> None:
        """``notice`` is shown on standard error before the output of the first cell."""
        super().__init__(name, process)
        self.second_interrupt = process.second_interrupt
        self.ready = threading.Event()
        self.ended = threading.Event()
        self.failure: TFKernelsError | None = None
        """The reason why it ended by itself."""
        self.failure_reported = False
        self.unreachable = ""
        """The reason why values cannot be passed, or nothing."""
        self.waiting: deque[Cell] = deque()
        """The cells that wait for their turn."""
        self.current: Cell | None = None
        """The cell that runs there."""
        self._notice = notice
        self._crash_report = ""
        self._end = "shut down"
        self._reply: dict[str, Any] | None = None
        self._idle_since: float | None = None
        self._nudged = False
        self._requests: dict[str, SimpleQueue[dict[str, Any] | None]] = {}  # replies, or ``None`` at the end
        self._output = OutputRouter(self)
        self.show = self._output.show
        self._relays: OrderedDict[str, Relay] = OrderedDict()  # by the id of the message that caused the output
        self._last_cell = ""  # id of the one that began last
        self._thread = debugger.untraced_thread(name, self._main)
        try:
            self._thread.start()
        except RuntimeError as error:  # the system allows no more
            self._finish(KernelStartError.no_resource(name, error))

    @property
    def busy(self) -> bool:
        return self.current is not None or bool(self.waiting)

    # Cells

    def submit(self, cell: Cell) -> None:
        with self._lock:
            if not self.ended.is_set():
                self.waiting.append(cell)
                self.wake()
                return
        cell.finish(failure=self.failure_of(cell))

    def interrupt(self, cell: Cell) -> None:
        """Drops a cell that waits; interrupts one that runs, as soon as an interrupt reaches its code."""
        with self._lock:
            if cell in self.waiting:
                self.waiting.remove(cell)
                if not self.ready.is_set() and not self.waiting:  # no other cell needs the kernel that starts
                    self.closing = True
                    self.wake()
                cell.finish(failure=CellCancelled.before_start(self.name))
            elif cell is self.current:
                cell.interrupts += 1
                if cell.running:
                    self._interrupt(cell)

    def _interrupt(self, cell: Cell) -> None:
        cell.interrupted_at = datetime.now(timezone.utc)
        self.interrupt_kernel()
        self.wake()

    def interrupt_kernel(self) -> None:
        """Interrupts the code that runs there, of a cell or of a widget's callback."""
        if self.process.interrupt_by_message:
            self.post("control", self.message("interrupt_request", {}))
        else:
            self.process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        """Begins the end of the kernel: its cell ignored an interrupt."""
        self._begin_end("ended by your repeated interrupt")

    def close(self, end: str = "shut down") -> None:
        """Ends the kernel and the thread. A cell that runs fails with ``KernelDied``: the kernel "was ``end``"."""
        self._begin_end(end)
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join(THREAD_END_TIMEOUT)
        if not self.ended.is_set():
            self.process.send_signal(signal.SIGKILL)  # the thread hangs in showing output

    def _begin_end(self, end: str) -> None:
        with self._lock:
            self.closing, self._end = True, end
            if self.current is not None:
                self._stop(self.current)
            self.wake()

    def notice_end(self) -> None:
        """If the process has ended, waits until the thread has noticed that too."""
        if not self.process.alive():
            self.ended.wait(THREAD_END_TIMEOUT)

    def failure_of(self, cell: Cell | None = None) -> TFKernelsError:
        """The error of a cell that did not end by itself, or of a request."""
        ran = cell is not None and cell.began is not None
        self.failure_reported = True
        if self.failure is None:
            return KernelDied.ended(self.name, self._end, ran)
        if ran or not self._crash_report:
            return self.failure
        return self._died(before_cell=True)

    def _died(self, before_cell: bool = False) -> KernelDied:
        self._crash_report = self._crash_report or self.process.crash_report()
        return KernelDied.crashed(self.name, self._crash_report, self.process.after_end, before_cell)

    # Messages

    def remember(self, message: Message, relay: Relay) -> None:
        """Output that this message causes, and that belongs to no running cell, goes to ``relay``."""
        self._relays[message["header"]["msg_id"]] = relay
        while len(self._relays) > REMEMBERED_CELLS:
            self._relays.popitem(last=False)

    def relay_of(self, message_id: str | None) -> Relay | None:
        return self._relays.get(message_id or "")

    def request(self, message: Message, timeout: float, channel: str = "shell") -> dict[str, Any]:
        """Sends a message and returns the content of the reply. Not in the thread of the connection.

        Raises ``TimeoutError`` if it does not come in time, ``KernelDied`` if it never will.
        """
        assert threading.current_thread() is not self._thread, "it would wait for itself"
        replies = self._requests[message["header"]["msg_id"]] = SimpleQueue()
        try:
            self.post(channel, message)
            reply = None if self.ended.is_set() else replies.get(timeout=timeout)
        except Empty:
            kind = message["header"]["msg_type"]
            raise TimeoutError(f"No reply to {kind} from kernel {self.name} in {timeout} s.") from None
        finally:
            del self._requests[message["header"]["msg_id"]]
        if reply is None:
            raise self.failure_of()
        return reply

    # The thread

    def _main(self) -> None:
        failure: TFKernelsError | None = None
        try:
            self.open_channels()
            self.unreachable = handshake.run(self)
            self.ready.set()
            while not self.closing:
                self._exchange()
            self._end_kernel()
        except handshake.Cancelled:
            pass
        except TFKernelsError as error:
            failure = error
        except BaseException as error:  # noqa: BLE001 (the cells that wait have to get it)
            self.process.send_signal(signal.SIGKILL)
            failure = KernelDied.connection_failed(self.name, error)
        self._finish(failure)

    def _finish(self, failure: TFKernelsError | None) -> None:
        self.close_channels()
        self.process.close()
        with self._lock:
            self.failure = failure
            self.ended.set()
            cells = [*([self.current] if self.current else []), *self.waiting]
            self.waiting.clear()
            self._release_current()
        self.ready.set()
        for cell in cells:
            cell.finish(failure=self.failure_of(cell))
        for replies in list(self._requests.values()):
            replies.put(None)
        self._output.close()

    def _exchange(self) -> None:
        """Starts the cell that is due, waits for messages, and handles them."""
        if self.waiting and self.current is None and not self.closing and not self.process.alive():
            raise self._died()  # before the cell is sent: it has not run
        with self._lock:
            while self.current is None and self.waiting and self.waiting[0].can_run() and not self.closing:
                self._start_cell(self.waiting.popleft())
        self._output.show_activity(self.current)
        received = self.receive(self._check_times())
        self._show_stderr(self.process.new_stderr())
        if not received and not self.closing and not self.process.alive():
            raise self._died()
        self._sort(received)
        self._finish_cell()

    def _end_kernel(self) -> None:
        """Asks an idle kernel to end by itself; one that runs a cell is killed."""
        if self.current is None:
            self.post("control", self.message("shutdown_request", {"restart": False}))
            self.flush()

    def _stop(self, cell: Cell) -> None:  # noqa: ARG002 (AttachedConnection interrupts only the cell)
        self.process.send_signal(signal.SIGKILL)

    def _start_cell(self, cell: Cell) -> None:
        try:
            cell.add_needed_inputs()
            if self.unreachable and cell.has_values:
                raise ExchangeError.unreachable(self.name, self.unreachable)
        except Exception as error:  # noqa: BLE001 (`result` raises it)
            cell.finish(failure=error)
            return
        self.current = cell
        self._send_cell(cell)
        if self._notice:
            self._show_stderr(self._notice)
            self._notice = ""

    def _send_cell(self, cell: Cell) -> None:
        self._reply, self._idle_since, self._nudged = None, None, False
        cell.began = time.monotonic()
        self._last_cell = cell.id
        self.remember(cell.request, cell.relay.afterwards())
        if self.short_way and not cell.code.strip():
            cell.request["header"]["msg_type"] = protocol.VALUES_REQUEST
            cell.running = True  # no message says so
            self._outbox.append(("values", cell.request))
        else:
            self._outbox.append(("shell", cell.request))

    def _release_current(self) -> None:
        with self._lock:  # an interrupt that is just being sent is meant for this cell
            self.current = None

    def _check_times(self) -> float:
        """Looks after interrupts and the time limit. Returns the seconds until the next look."""
        cell = self.current
        if cell is None or cell.done():
            return POLL_INTERVAL
        interval = POLL_INTERVAL
        takes_short_way = cell.request["header"]["msg_type"] == protocol.VALUES_REQUEST
        if takes_short_way and not self._nudged and cell.began and time.monotonic() - cell.began > POLL_INTERVAL:
            self._nudged = True  # another client may have begun an event loop there, which a message interrupts
            self.post("shell", self.message("kernel_info_request", {}))
        if cell.interrupted_at is not None and datetime.now(timezone.utc) - cell.interrupted_at <= WAKE_FOR:
            self.process.send_signal(signal.SIGURG)  # a second SIGINT would hit code that cleans up
            interval = WAKE_INTERVAL
        elif cell.interrupted_at is not None and takes_short_way:
            self._interrupt(cell)  # its begin is not known: the first may have come before, without effect
        if cell.timeout is None or cell.began is None:
            return interval
        grace = stop_button.INTERRUPT_GRACE if cell.timed_out else 0
        left = cell.began + cell.timeout + grace - time.monotonic()
        if left <= 0 and not cell.timed_out:
            cell.timed_out = True
            self.interrupt(cell)
        elif left <= 0:
            cell.give_up()
        return min(interval, max(left, 0.001))

    def _sort(self, received: list[tuple[str, Message]]) -> None:
        mine: list[Message] = []
        late: list[Message] = []
        cell = self.current
        for channel, message in received:
            parent = message["parent_header"].get("msg_id")
            if cell is not None and parent == cell.id:
                if not self._note_progress(cell, channel, message):
                    mine.append(message)
            elif channel == "iopub":
                self._note_other(message)
                late.append(message)
            else:
                replies = self._requests.get(parent)
                if replies is not None:
                    replies.put(message["content"])
        if mine and cell is not None:
            self._output.deliver(cell, mine)
        if late:
            self._output.show_late(late)

    def _note_progress(self, cell: Cell, channel: str, message: Message) -> bool:
        """Whether a message only says how far the cell is."""
        kind = message["header"]["msg_type"]
        if channel in ("shell", "values"):
            self._reply = message["content"]
            self.short_way = self.short_way_open and self._reply.get("values_read", self.short_way)
            if not self._reply.get("shown", True):  # no message that the kernel is idle will come
                self._idle_since = time.monotonic()
        elif kind == "execute_input":
            with self._lock:
                cell.running = True
                cell.began = cell.began or time.monotonic()
                if cell.interrupts:  # it came earlier: until now the kernel would have ignored it
                    self._interrupt(cell)
        elif kind == "status" and message["content"]["execution_state"] == "idle":
            self._idle_since = time.monotonic()
        return channel in ("shell", "values") or kind in ("status", "execute_input")

    def _note_other(self, message: Message) -> None:
        """Gets the messages that do not belong to the cell that runs."""

    def _finish_cell(self) -> None:
        cell = self.current
        if cell is None or self._idle_since is None:
            return
        if self._reply is None:  # ipykernel sends none after an interrupt between the cell and its reply
            if time.monotonic() - self._idle_since < REPLY_TIMEOUT:
                return
            self._reply = {"status": "error", "ename": "KeyboardInterrupt", "evalue": "", "traceback": []}
        self._show_stderr(self.process.new_stderr(self._reply.get("notes_dropped")))
        self._release_current()
        cell.finish(self._reply)

    def _show_stderr(self, text: str) -> None:
        """Text that TensorFlow's C++ runtime and child processes wrote to file descriptor 2."""
        if not text:
            return
        message = {
            "header": {"msg_type": "stream"},
            "parent_header": {"msg_id": self._last_cell},
            "content": {"name": "stderr", "text": text},
        }
        if self.current is not None:
            self._output.deliver(self.current, [message])
        else:
            self._output.show_late([message])
