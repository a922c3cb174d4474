"""Another kernel of this process: it starts at first use, and ends with this process, not with a fork of it."""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any, Mapping

from tfkernels import log, protocol
from tfkernels.client import kernelspecs
from tfkernels.client.cell import Cell
from tfkernels.client.connection import THREAD_END_TIMEOUT, KernelConnection
from tfkernels.client.inputs import Inputs, Reference, loaded, split_references
from tfkernels.client.process import KernelProcess, Process
from tfkernels.client.signals import postponed, redirected
from tfkernels.client.wait import run_in_foreground
from tfkernels.errors import KernelDied
from tfkernels.output.relay import Relay, Show, relay_for
from tfkernels.transfer.lease import SegmentLease
from tfkernels.transfer.message import check, join

START_POLL_INTERVAL = 0.05
"""Seconds between two looks whether the user pressed stop, in ``Kernel.start``."""

REMEMBERED_SIZES = 1000
"""Number of outputs whose size is remembered. A name is used again and again, an index rarely."""

RESTART_NOTICE = "Kernel {name} is a fresh one: the variables of the one that ended are gone\n"

instances: weakref.WeakSet[Kernel] = weakref.WeakSet()
"""All kernels of this process, also those that no name leads to."""

_of_the_parent: list[KernelConnection | None] = []
"""In a forked child, the connections of its parent: never collected, since they would end the parent's kernels."""


_log = log.logger("client.kernel")


class Kernel:
    """A kernel of this machine that this process starts and owns. Threads can share it; cells run in turn."""

    owned = True
    """Whether it ends with this process."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._look_up()
        self._connection: KernelConnection | None = None
        self._starting = threading.RLock()
        self._sizes: dict[tuple[str, ...], int] = {}  # of the last outputs, by their expressions
        instances.add(self)

    def __repr__(self) -> str:
        state = "ended by itself" if self.started else "not running"
        if self._connection is not None and not self._connection.ended.is_set():
            state = f"running, process {self.pid}" if self.pid else "running"
        return f"<kernel {self.name}: {self.title}, {state}>"

    def _look_up(self) -> None:
        """Before each start: its environment may have been rebuilt since. Raises ``UnknownKernel``."""
        self.spec = kernelspecs.get(self.name)
        self.title = str(self.spec.spec.get("display_name", ""))  # in Jupyter's picker
        self.magic = self.spec.magic  # the beginning of a cell for it

    def __enter__(self) -> Kernel:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.shutdown()

    @property
    def _process(self) -> Process | None:
        return self._connection.process if self._connection is not None else None

    @property
    def pid(self) -> int | None:
        """The process id of the running kernel, or ``None``."""
        return self._process.pid if self._process is not None else None

    @property
    def started(self) -> bool:
        """Whether it runs, or has ended by itself."""
        return self._connection is not None

    @property
    def busy(self) -> bool:
        """Whether a cell runs there, or waits for its turn."""
        return self.current is not None or bool(self.waiting)

    @property
    def current(self) -> Cell | None:
        """The cell that runs there."""
        return self._connection.current if self._connection is not None else None

    @property
    def waiting(self) -> list[Cell]:
        """The cells that wait for their turn there."""
        return list(self._connection.waiting) if self._connection is not None else []

    @property
    def state(self) -> str:
        """``not running``, ``starting``, ``busy``, ``idle`` or ``ended by itself``."""
        connection = self._connection
        if connection is None:
            return "not running"
        if connection.ended.is_set():
            return "ended by itself"
        return "starting" if not connection.ready.is_set() else "busy" if self.busy else "idle"

    # Cells

    def __setitem__(self, name: str, value: Any) -> None:
        """Binds a value to a name there. Raises ``ExchangeError`` if it cannot be passed."""
        self.run("", inputs={name: value}, store_history=False)

    def __getitem__(self, expression: str) -> Any:
        """The value of an expression there, as a value here."""
        return self.run("", outputs={"value": expression}, store_history=False)["value"]

    def reference(self, expression: str) -> Reference:
        """An expression's value as an input of another kernel: ``tf2.run(code, inputs={"w": tf1.reference("w")})``.

        It is evaluated when that runs, and its memory goes from kernel to kernel; this process never looks into it.
        """
        return Reference(self, expression)

    def run(
        self,
        code: str,
        *,
        inputs: Inputs = None,
        outputs: Mapping[str, str] | None = None,
        timeout: float | None = None,
        store_history: bool = True,
        show: Show = None,
    ) -> dict[str, Any]:
        """Runs a cell there and returns its outputs, a dict by name.

        ``inputs`` are bound there before it runs, by name: values, references to values of other kernels, or the result
        of ``tfkernels.pack``. ``outputs`` are expressions evaluated there after it, by the name they get here. After
        ``timeout`` seconds it is interrupted. Its output appears here, or goes to ``show``: a relay, or a function that
        gets every output as a notebook would store it.

        Raises ``RemoteError`` if the cell does, ``ExchangeError`` if a value cannot be passed (then nothing is bound),
        ``CellTimeout``, ``KernelDied`` (the next cell gets a fresh kernel), ``KernelStartError``.
        """
        relay = relay_for(show)
        self.begin()  # before memory is taken: a kernel that cannot start takes none
        with loaded(inputs, relay) as leases:
            [cell] = run_in_foreground(
                self.make_cell(code, leases, outputs, relay, timeout=timeout, store_history=store_history)
                for _ in range(1)  # made after the stop button is redirected, so that no interrupt loses its memory
            )
        return cell.result()

    def submit(
        self,
        code: str,
        *,
        inputs: Inputs = None,
        outputs: Mapping[str, str] | None = None,
        timeout: float | None = None,
        store_history: bool = True,
        show: Show = None,
        deliver: Callable[[dict[str, Any]], None] | None = None,
    ) -> Cell:
        """Like ``run``, in the background: returns at once, with a future whose ``result()`` has the outputs.

        Cells run there one at a time, in the order in which they were submitted. Values that go there are those of
        this moment; references are evaluated when their kernel has run its earlier cells. Output goes to ``show``, in
        another thread; in a notebook, under the cell that this was called in. ``deliver`` gets the outputs when
        ``result`` is first called.
        """
        relay = relay_for(show).afterwards()
        self.begin()
        values, references = split_references(inputs)
        with loaded(values, relay) as leases:
            submitted: list[Cell] = []
            try:
                with postponed():
                    for kernel, expressions in references.items():
                        submitted.append(kernel.evaluate_later(expressions, relay, self._connect().wake))
                    options: dict[str, Any] = {"timeout": timeout, "store_history": store_history, "on_result": deliver}
                    needs = tuple(submitted)
                    cell = self.make_cell(code, leases, outputs, relay, foreground=False, needs=needs, **options)
                    cell.submit()
                    submitted.append(cell)
            except BaseException:
                for cell in submitted:
                    cell.drop()
                    cell.cancel()
                raise
            return cell

    def evaluate(self, expressions: Mapping[str, str], relay: Relay) -> SegmentLease:
        """The values of expressions in shared memory, for another kernel."""
        [cell] = run_in_foreground(self.make_cell("", [], expressions, relay, store_history=False) for _ in range(1))
        return cell.memory()

    def evaluate_later(self, expressions: Mapping[str, str], relay: Relay, wake: Callable[[], None]) -> Cell:
        """A queued cell that evaluates expressions for another kernel, and calls ``wake`` at its end."""
        options: dict[str, Any] = {"store_history": False, "shows_failure": False, "on_end": wake}
        cell = self.make_cell("", [], expressions, relay, foreground=False, **options)
        cell.submit()
        return cell

    def make_cell(
        self,
        code: str,
        inputs: Sequence[SegmentLease],
        outputs: Mapping[str, str] | None,
        relay: Relay,
        *,
        foreground: bool = True,
        store_history: bool = True,
        **options: Any,
    ) -> Cell:
        """A cell that is not submitted yet. ``options`` are those of ``Cell``.

        Memory of both directions belongs to this process: nothing is left if the kernel dies.
        """
        connection = self._connect()
        expressions = dict(outputs or {})
        descriptor = join(check(lease.descriptor) for lease in inputs) if inputs else None
        last_size = self._sizes.get(tuple(expressions.values()), 0)
        memory = SegmentLease(last_size, self.name) if expressions else None
        try:
            content = {
                "code": code,
                "silent": False,
                "store_history": store_history,
                "user_expressions": {},
                "allow_stdin": foreground and relay.can_ask,
                # There is no queue to abort: aborting would swallow the next cell.
                "stop_on_error": False,
            }
            exchange = {
                "format": protocol.REQUEST_FORMAT,
                "kernel": self.name,
                "magic": self.magic,
                "inputs": descriptor,
                "outputs": expressions,
                "segment": memory.address if memory is not None else None,
                "reuse_input_segments": memory.reuse(inputs) if memory is not None else [],
            }
            options["on_size"] = lambda size: self._remember_size(expressions, size)
            request = connection.message("execute_request", content, {"tfkernels": exchange})
            size, cell_id = sum(lease.size for lease in inputs), log.short_id(request["header"]["msg_id"])
            _log.debug("%s: cell %s with inputs of %d bytes", self.name, cell_id, size)
            return Cell(connection, request, relay, inputs=inputs, outputs=memory, **options)
        except BaseException:
            if memory is not None:
                memory.close()
            raise

    def _remember_size(self, outputs: Mapping[str, str], size: int) -> None:
        if len(self._sizes) > REMEMBERED_SIZES:
            self._sizes.clear()
        self._sizes[tuple(outputs.values())] = size

    def request(self, kind: str, content: dict[str, Any], timeout: float) -> dict[str, Any]:
        """Sends a request, such as ``complete_request``, at once, and returns the content of its reply.

        A kernel answers when the cell that runs there has ended: see ``busy``. Raises ``TimeoutError``, ``KernelDied``.
        """
        with self._starting:
            connection = self._connection or self._connect()
        return connection.request(connection.message(kind, content), timeout)

    # Start and end

    def begin(self) -> None:
        """Starts the kernel, if it does not run, without waiting for it."""
        self._connect()

    def start(self) -> None:
        """Starts the kernel if it does not run, and waits until it can be used."""
        pressed: list[bool] = []
        with redirected(lambda: pressed.append(True)):
            connection = self._connect()
            while not connection.ready.wait(START_POLL_INTERVAL) and not pressed:
                pass
        if pressed and not connection.ready.is_set():
            self.shutdown()
            raise KeyboardInterrupt(f"Kernel {self.name} was ended: you interrupted its start.")
        if connection.failure is not None:
            self._connection = None
            raise connection.failure_of()

    def _connect(self) -> KernelConnection:
        """The connection to the running kernel, or to one that is just started.

        Raises ``KernelDied`` once if it has ended since its last use and no cell has reported that.
        """
        with postponed(), self._starting:
            connection, notice = self._connection, ""
            if connection is not None and (connection.closing or not connection.process.alive()):
                connection.ended.wait(THREAD_END_TIMEOUT)  # its thread is about to notice
            if connection is not None and connection.ended.is_set():
                self._connection = None
                if isinstance(connection.failure, KernelDied):
                    if not connection.failure_reported:
                        raise connection.failure_of()
                    notice = RESTART_NOTICE.format(name=self.name)
            if self._connection is None:
                self._look_up()
                self._connection = self._open(notice)
            return self._connection

    def _open(self, notice: str) -> KernelConnection:
        return KernelConnection(self.name, KernelProcess(self.spec), notice)

    def interrupt(self) -> None:
        """Interrupts the cell that runs there, as the stop button does."""
        current = self.current
        if current is not None:
            current.interrupt()

    def shutdown(self) -> None:
        """Ends the kernel, its cell, and all its children. It starts again when it is next used."""
        self._close("shut down")

    def restart(self) -> None:
        """Starts a fresh process. Its variables are lost; cells that run or wait there end with an error."""
        self._close("restarted")
        self.start()

    def _close(self, end: str) -> None:
        with postponed():
            with self._starting:
                connection, self._connection = self._connection, None
            if connection is not None:
                connection.close(end)

    def forget(self) -> None:
        """In a forked child: the kernel is the parent's, and so is the thread."""
        _of_the_parent.append(self._connection)
        self._connection = None
        self._starting = threading.RLock()


@atexit.register
def shutdown_all() -> None:
    """Ends the kernels that this process started."""
    for kernel in list(instances):
        kernel.shutdown()


def _forget_all() -> None:
    for kernel in instances:
        kernel.forget()


os.register_at_fork(after_in_child=_forget_all)
