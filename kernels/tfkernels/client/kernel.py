"""Another kernel of this process: it starts at first use, and ends with this process, not with a fork of it."""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Mapping, NamedTuple, Union

from tfkernels.client import kernelspecs
from tfkernels.client.cell import Cell
from tfkernels.client.connection import THREAD_END_TIMEOUT, KernelConnection
from tfkernels.client.process import KernelProcess
from tfkernels.client.stop_button import run_in_foreground
from tfkernels.errors import KernelDied
from tfkernels.output.relay import Relay, Show, relay_for
from tfkernels.sigint import postponed, redirected
from tfkernels.transfer.segment_pool import SegmentLease, encode, write

START_POLL_INTERVAL = 0.05  # seconds between two looks whether the user pressed stop, in ``Kernel.start``
RESTART_NOTICE = "Kernel {name} is a fresh one: the variables of the one that ended are gone\n"

Inputs = Union[Mapping[str, Any], SegmentLease, None]
"""Values of this process and references by name, or the result of ``tfkernels.pack``."""

instances: weakref.WeakSet[Kernel] = weakref.WeakSet()
"""All kernels of this process, also those that no name leads to."""

_of_the_parent: list[KernelConnection | None] = []
"""In a forked child, the connections of its parent: never collected, since they would end the parent's kernels."""


class Kernel:
    """A kernel of this machine that this process starts and owns. Threads can share it; cells run in turn."""

    owned = True
    """Whether it ends with this process."""

    def __init__(self, name: str, spec: kernelspecs.KernelSpec | None = None) -> None:
        """``spec`` is for a kernel that is registered nowhere."""
        self.name = name
        self._unregistered = spec
        self._look_up()
        self._connection: KernelConnection | None = None
        self._starting = threading.RLock()
        instances.add(self)

    def __repr__(self) -> str:
        state = self.state
        if state in ("starting", "busy", "idle"):
            state = f"running, process {self.pid}" if self.pid else "running"
        return f"<kernel {self.name}: {self.title}, {state}>"

    def _look_up(self) -> None:
        """Before each start: its environment may have been rebuilt since. Raises ``UnknownKernel``."""
        self.spec = self._unregistered or kernelspecs.get(self.name)
        self.title = str(self.spec.spec.get("display_name", ""))  # in Jupyter's picker
        self.magic = self.spec.magic  # the beginning of a cell for it

    def __enter__(self) -> Kernel:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.shutdown()

    @property
    def pid(self) -> int | None:
        """The process id of the running kernel, or ``None``."""
        return self._connection.process.pid if self._connection is not None else None

    @property
    def started(self) -> bool:
        """Whether it runs, or has ended by itself."""
        return self._connection is not None

    @property
    def busy(self) -> bool:
        """Whether a cell runs there, an attached kernel's own too, or waits for its turn."""
        return self._connection is not None and self._connection.busy

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
            return "not running" if connection.failure is None else "ended by itself"
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
        options: dict[str, Any] = {"outputs": outputs, "timeout": timeout, "store_history": store_history}
        with loaded(inputs, relay, [self]) as (leases, connections):
            [cell] = run_in_foreground(
                Cell(connection, self.magic, code, relay, inputs=leases, **options) for connection in connections
            )
        try:
            return cell.result()
        finally:
            cell.drop()  # the traceback of a value that cannot be bound here would keep the memory

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
        options: dict[str, Any] = {"outputs": outputs, "timeout": timeout, "store_history": store_history}
        values, references = _split(inputs)
        with loaded(values, relay, [self]) as (leases, [connection]):
            cells: list[Cell] = []
            try:
                with postponed():
                    for kernel, names in references.items():
                        cells.append(kernel.evaluation(names, relay, shows_failure=False, on_end=connection.wake))
                    options.update(inputs=leases, needs=tuple(cells), on_result=deliver)
                    cells.append(Cell(connection, self.magic, code, relay, **options))
                    for cell in cells:
                        cell.submit()
            except BaseException:
                for cell in cells:
                    cell.drop()
                    cell.cancel()
                raise
            return cells[-1]

    def evaluation(self, expressions: Mapping[str, str], relay: Relay, **options: Any) -> Cell:
        """A cell whose only outputs are inputs of another kernel. It is not submitted yet."""
        return Cell(self.begin(), self.magic, "", relay, outputs=expressions, store_history=False, **options)

    def request(self, kind: str, content: dict[str, Any], timeout: float) -> dict[str, Any]:
        """Sends a request, such as ``complete_request``, at once, and returns the content of its reply.

        A kernel answers when the cell that runs there has ended: see ``busy``. Raises ``TimeoutError``, ``KernelDied``.
        """
        connection = self._connection or self.begin()
        return connection.request(connection.message(kind, content), timeout)

    # Start and end

    def start(self) -> None:
        """Starts the kernel if it does not run, and waits until it can be used."""
        pressed: list[bool] = []
        with redirected(lambda *_: pressed.append(True)):
            connection = self._begin_alive()
            while not connection.ready.wait(START_POLL_INTERVAL) and not pressed:
                pass
        if pressed and not connection.ready.is_set():
            self.shutdown()
            raise KeyboardInterrupt(f"Kernel {self.name} was ended: you interrupted its start.")
        if connection.failure is not None:
            self._connection = None
            raise connection.failure_of()

    def begin(self) -> KernelConnection:
        """Starts the kernel, if it does not run, without waiting for it.

        Raises ``KernelDied`` once if it has ended since its last use and no cell has reported that.
        """
        with postponed(), self._starting:
            connection, notice = self._connection, ""
            if connection is not None and connection.closing:
                connection.ended.wait(THREAD_END_TIMEOUT)  # its thread is about to end
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

    def _begin_alive(self) -> KernelConnection:
        """Like ``begin``, but notices an end of this moment. A cell need not: it fails with ``KernelDied`` then."""
        if self._connection is not None:
            self._connection.notice_end()
        return self.begin()

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


class Reference(NamedTuple):
    """An expression of one kernel as an input of another. See ``Kernel.reference``."""

    kernel: Kernel
    expression: str


@contextmanager
def loaded(
    inputs: Inputs, relay: Relay, kernels: Sequence[Kernel]
) -> Iterator[tuple[list[SegmentLease], list[KernelConnection]]]:
    """Inputs in shared memory, one segment for each kernel they come from, and the ``kernels`` that get them, started.

    A cell that is made meanwhile holds the memory until it has ended. Raises ``ExchangeError`` before any kernel is
    started or asked, if a value cannot be passed. A kernel that cannot start takes no memory.
    """
    values, references = _split(inputs)
    packed = encode(values) if values and not isinstance(values, SegmentLease) else None
    connections = [kernel.begin() for kernel in kernels]
    if isinstance(values, SegmentLease):
        yield [values], connections  # the caller of ``pack`` closes it
        return
    with ExitStack() as stack:
        leases = []
        for kernel, expressions in references.items():
            [cell] = run_in_foreground(kernel.evaluation(names, relay) for names in [expressions])
            leases.append(stack.enter_context(cell.memory()))
        if packed is not None:
            leases.append(stack.enter_context(write(packed)))
        for lease in leases:
            lease.reusable = True
        yield leases, connections


def _split(inputs: Inputs) -> tuple[Mapping[str, Any] | SegmentLease, dict[Kernel, dict[str, str]]]:
    """The values of this process, and the expressions of each other kernel."""
    if isinstance(inputs, SegmentLease):
        return inputs, {}
    values = {name: value for name, value in (inputs or {}).items() if not isinstance(value, Reference)}
    expressions: dict[Kernel, dict[str, str]] = {}
    for name, value in (inputs or {}).items():
        if isinstance(value, Reference):
            expressions.setdefault(value.kernel, {})[name] = value.expression
    return values, expressions


@atexit.register
def shutdown_all() -> None:
    """Ends the kernels that this process started."""
    for kernel in list(instances):
        kernel.shutdown()


def _forget_all() -> None:
    for kernel in instances:
        kernel.forget()


os.register_at_fork(after_in_child=_forget_all)
