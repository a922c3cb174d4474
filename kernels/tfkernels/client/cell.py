"""Future of one cell in another kernel: it waits for its turn, runs there, and ends."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Mapping

from tfkernels import log, protocol
from tfkernels.errors import CellCancelled, CellTimeout, ExchangeError, RemoteError, RemoteInterrupt
from tfkernels.output.relay import Relay
from tfkernels.protocol import Message
from tfkernels.transfer.encoder import join
from tfkernels.transfer.segment_pool import SegmentLease

if TYPE_CHECKING:
    from typing import Protocol
else:
    Protocol = object  # Python 3.7 has none


REMEMBERED_SIZES = 1000
"""Number of outputs whose size is remembered. A name is used again and again, an index rarely."""

_sizes: dict[tuple[str, ...], int] = {}
"""Bytes of the last outputs, by the name of the kernel and the expressions."""

_log = log.logger("client.cell")


class Connection(Protocol):
    """The connection to a cell's kernel, as far as the cell and its caller use it."""

    name: str
    ready: threading.Event
    second_interrupt: str
    """The effect of a second interrupt, when the first had none."""

    def message(self, kind: str, content: dict[str, Any], metadata: dict[str, Any] | None = None) -> Message: ...
    def submit(self, cell: Cell) -> None: ...
    def interrupt(self, cell: Cell) -> None: ...
    def kill(self) -> None: ...

    def show(self, cell: Cell, messages: list[Message]) -> bool:
        """Shows output of the cell. Returns whether the user pressed stop instead of answering a question."""


class Cell:
    """One cell for another kernel, with the interface of a future. Any thread may call it.

    The thread that waits for it shows its output (see ``run_in_foreground``); in the background, the thread of the
    connection.
    """

    def __init__(
        self,
        connection: Connection,
        magic: str,
        code: str,
        relay: Relay,
        *,
        inputs: Sequence[SegmentLease] = (),
        outputs: Mapping[str, str] | None = None,
        needs: Sequence[Cell] = (),
        timeout: float | None = None,
        store_history: bool = True,
        shows_failure: bool = True,
        on_end: Callable[[], None] | None = None,
        on_result: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        """Memory of both directions belongs to this process: nothing is left if the kernel dies.

        Args:
            connection: where ``submit`` will send it.
            magic: what users write before a cell for that kernel.
            code: its source.
            relay: shows its output.
            inputs: memory that is held until the cell has ended.
            outputs: expressions that are evaluated after it, by name.
            needs: cells of other kernels whose outputs are inputs of this one.
            timeout: seconds that it may run.
            store_history: whether it is a numbered cell there.
            shows_failure: whether its failure is shown if it runs in the background.
            on_end: is called at its end, in any thread.
            on_result: gets the outputs when ``result`` is first called, before the caller.
        """
        self.connection = connection
        self.kernel = connection.name
        self.code = code
        self.relay = relay
        self.inbox: SimpleQueue[Any] | None = None
        """Queue of the thread that waits: ``(cell, messages)``, at the end ``(cell, None)``. ``None``: background."""
        self.timeout = timeout
        self.shows_failure = shows_failure
        self.began: float | None = None
        self.ended: float | None = None
        self.running = False
        """Whether its code runs, so that an interrupt reaches it."""
        self.interrupts = 0
        self.interrupted_at: datetime | None = None
        self.timed_out = False
        self.reply: dict[str, Any] = {}
        self.failure: BaseException | None = None
        self.held_traceback: Message | None = None
        """The error that probably ended the cell: it is shown only if the reply has another one, or none."""
        self._needs = needs
        self._on_end, self._on_result = on_end, on_result
        self._submitted = time.monotonic()
        self._done = threading.Event()
        self._dropped = False
        self._unpacking = threading.Lock()
        self._values: dict[str, Any] | None = None
        descriptor = join(lease.descriptor for lease in inputs) if inputs else None
        expressions = dict(outputs or {})
        self._size_key = (self.kernel, *expressions.values())
        self._outputs = SegmentLease(_sizes.get(self._size_key, 0), self.kernel) if expressions else None
        self._held = [*inputs, *([self._outputs] if self._outputs is not None else [])]
        """Memory that the kernel may use until the cell has ended."""
        for lease in self._held:
            lease.retain()
        content = {
            "code": code,
            "silent": False,
            "store_history": store_history,
            "user_expressions": {},
            "allow_stdin": relay.can_ask,
            # There is no queue to abort: aborting would swallow the next cell.
            "stop_on_error": False,
        }
        exchange = {
            "format": protocol.REQUEST_FORMAT,
            "kernel": self.kernel,
            "magic": magic,
            "inputs": descriptor,
            "outputs": expressions,
            "segment": self._outputs.address if self._outputs is not None else None,
            "reuse_input_segments": self._outputs.reuse(inputs) if self._outputs is not None else [],
        }
        self.request = connection.message("execute_request", content, {"tfkernels": exchange})
        self._log_size("with inputs", inputs)

    def __repr__(self) -> str:
        now = time.monotonic()
        if self.began is None:
            end = "cancelled" if isinstance(self.failure, CellCancelled) else "not run"
            state = end if self.done() else f"waiting for {now - self._submitted:.1f} s"
        elif self.ended is None:
            state = f"running for {now - self.began:.1f} s"
        else:
            state = f"{'done' if self.failure is None else 'failed'} after {self.ended - self.began:.1f} s"
        return f"<cell in kernel {self.kernel}, {state}: {self.title}>"

    @property
    def id(self) -> str:
        return str(self.request["header"]["msg_id"])

    @property
    def title(self) -> str:
        """The first line of its code."""
        return self.code.strip().partition("\n")[0].strip()[:60]

    @property
    def has_values(self) -> bool:
        exchange = self.request["metadata"]["tfkernels"]
        return bool(exchange["inputs"] or exchange["outputs"])

    # The caller's side

    def submit(self, inbox: SimpleQueue[Any] | None = None) -> None:
        """Queues the cell; ``inbox`` is that of the thread that will show its output."""
        self.inbox = inbox
        self.connection.submit(self)

    def done(self) -> bool:
        """Whether it has ended, with success or not."""
        return self._done.is_set()

    def result(self, timeout: float | None = None) -> dict[str, Any]:
        """Its outputs, a dict by name. Waits at most ``timeout`` seconds; then ``TimeoutError``, and it runs on.

        Raises what the cell raised (``RemoteError``), ``ExchangeError``, ``KernelDied``, ``CellCancelled``,
        ``CellTimeout``.
        """
        problem = self.exception(timeout)
        if problem is not None:
            raise problem
        with self._unpacking:
            if self._values is None:
                self._values = self._outputs.unpack() if self._outputs is not None else {}
                self.drop()
                if self._on_result is not None:
                    self._on_result(self._values)
            return self._values

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """The error that ``result`` would raise, or ``None``. Waits like it."""
        if not self._done.wait(timeout):
            raise TimeoutError(f"{self!r} has not ended within {timeout} s. It runs on.")
        return self.failure

    def memory(self) -> SegmentLease:
        """Its outputs in shared memory, for another kernel. Waits, and raises, like ``result``."""
        problem = self.exception()
        if problem is not None:
            raise problem
        assert self._outputs is not None
        return self._outputs

    def cancel(self) -> bool:
        """Drops it if it waits for its turn, interrupts it if it runs. ``False`` if it has ended already."""
        if self.done():
            return False
        self.interrupt()
        return True

    def interrupt(self) -> None:
        self.connection.interrupt(self)

    def drop(self) -> None:
        """Frees its outputs, at the latest when it has ended: ``result`` will not be called."""
        self._dropped = True
        if self._outputs is not None and not self._held:
            self._outputs.close()

    def detach(self) -> None:
        """Interrupts it and leaves the rest of its output to the thread of the connection."""
        if self.inbox is not None:
            self.relay = self.relay.afterwards()
            self.inbox = None
            self.drop()
            self.interrupt()

    # The connection's side

    def can_run(self) -> bool:
        """Whether the cells of other kernels that it needs have ended."""
        return all(need.done() for need in self._needs)

    def add_needed_inputs(self) -> None:
        """Adds the outputs of the cells that it needs to the request. Raises what they raised."""
        if self._needs:
            exchange = self.request["metadata"]["tfkernels"]
            mine = [exchange["inputs"]] if exchange["inputs"] else []
            exchange["inputs"] = join([*mine, *(need.memory().descriptor for need in self._needs)])

    def finish(self, reply: dict[str, Any] | None = None, failure: BaseException | None = None) -> None:
        """Ends the cell, with its reply or an error. The kernel does not use its memory any more."""
        self.ended = time.monotonic()
        for need in self._needs:
            need.drop()
        given_up = self.done()
        if not given_up:
            self.reply = reply or {}
            self.failure = self.failure or failure or self._failure_in_reply()
            self._accept_outputs()
        for lease in self._held:
            lease.release()
        self._held.clear()
        if self._dropped or self.failure is not None:
            self.drop()
        if not given_up:
            self._set_done()

    def give_up(self) -> None:
        """Fails a cell that ignores the interrupt at its time limit. ``finish`` follows when the kernel replies."""
        self.failure = CellTimeout.ignored(self.kernel, self.timeout or 0)
        self._set_done()
        self.inbox = None
        self.relay = self.relay.afterwards()

    def abandon(self) -> None:
        """Ends a cell in an attached kernel, which may run it further and write to its memory."""
        if self._outputs is not None:
            self._outputs.discard()
        if self.running:
            text = f"The cell was left in kernel {self.kernel}, where it may run on."
            self.finish({"status": "error", "ename": "KeyboardInterrupt", "evalue": text, "traceback": [text]})
        else:
            self.finish(failure=CellCancelled.before_start(self.kernel))

    def _accept_outputs(self) -> None:
        if self.failure is None and self._outputs is not None:
            try:
                self._outputs.accept(self.reply.get("tfkernels"))
            except ExchangeError as error:
                self.failure = error
                return
            self._log_size("has outputs", [self._outputs])
            if len(_sizes) > REMEMBERED_SIZES:
                _sizes.clear()
            _sizes[self._size_key] = self._outputs.size

    def _log_size(self, what: str, leases: Sequence[SegmentLease]) -> None:
        if _log.isEnabledFor(logging.DEBUG):
            size = sum(lease.size for lease in leases)
            _log.debug("%s: cell %s %s of %d bytes", self.kernel, log.short_id(self.id), what, size)

    def _set_done(self) -> None:
        inbox = self.inbox
        if inbox is None:
            try:
                self.show_end()
                if self.failure is not None and self.shows_failure:
                    self.relay.error(self.failure)
            except BaseException as error:  # noqa: BLE001 (`result` raises it)
                self.failure = self.failure or error
        self._done.set()
        if inbox is not None:
            inbox.put((self, None))
        if self._on_end is not None:
            self._on_end()

    def show_held_traceback(self) -> None:
        message, self.held_traceback = self.held_traceback, None
        if message is not None:
            self.relay.handle(message)

    def show_end(self) -> None:
        """Shows a traceback that did not end the cell, and help in the pager."""
        held, raised = self.held_traceback, self.reply
        if held is not None and any(held["content"].get(key) != raised.get(key) for key in ("ename", "evalue")):
            self.show_held_traceback()
        for payload in self.reply.get("payload", ()):
            if payload.get("source") == "page":
                self.relay.stream("stdout", payload["data"].get("text/plain", "") + "\n")

    def _failure_in_reply(self) -> BaseException | None:
        reply = self.reply
        traceback = reply.get("traceback", ())
        if self.timed_out:
            return CellTimeout.stopped(self.kernel, self.timeout or 0, traceback)
        if reply["status"] == "ok":
            return None
        if reply.get("exchange_failed"):
            return ExchangeError(reply["evalue"])
        if self.interrupts and self.inbox is not None:
            return RemoteInterrupt(f"The cell in kernel {self.kernel} was interrupted.", traceback)
        if self.interrupts:
            return CellCancelled.interrupted(self.kernel)
        return RemoteError(self.kernel, reply.get("ename", reply["status"]), reply.get("evalue", ""), traceback)
