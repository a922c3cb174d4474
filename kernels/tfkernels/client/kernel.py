"""Another kernel of this process: started at first use, ended with this process."""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from queue import SimpleQueue
from typing import Any, Mapping

from tfkernels import protocol
from tfkernels.client import kernelspecs
from tfkernels.client.cell import LOOK, Cell, Plan
from tfkernels.client.connection import END, KernelConnection
from tfkernels.client.inputs import Inputs, Reference, loaded, split_references
from tfkernels.client.process import KernelProcess, Process
from tfkernels.client.signals import postponed, redirected
from tfkernels.client.wait import attend, stoppable
from tfkernels.errors import KernelDied
from tfkernels.output import relay
from tfkernels.transfer.lease import SegmentLease
from tfkernels.transfer.message import check, join


def _nowhere(_: dict[str, Any]) -> None:
    pass


class Kernel:
    """A kernel of this machine that this process starts and owns. Safe to share between threads; cells run in turn."""

    owned = True
    """Whether it ends with this process."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._look_up()
        self._conversation: KernelConnection | None = None
        self._starting = threading.RLock()
        self._sizes: dict[tuple[str, ...], int] = {}  # of the last outputs, by their expressions
        _made.add(self)

    def __repr__(self) -> str:
        state = "ended by itself" if self.started else "not running"
        if self._alive():
            state = f"running, process {self.pid}" if self.pid else "running"
        return f"<kernel {self.name}: {self.title}, {state}>"

    def _look_up(self) -> None:
        """Before each start: its environment may have been rebuilt since. Raises ``UnknownKernel``."""
        self.spec = kernelspecs.get(self.name)

    @property
    def title(self) -> str:
        """What the picker shows."""
        return str(self.spec.spec.get("display_name", ""))

    @property
    def magic(self) -> str:
        """What begins a cell for it."""
        return self.spec.magic

    def __enter__(self) -> Kernel:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.shutdown()

    @property
    def _process(self) -> Process | None:
        return self._conversation.process if self._conversation is not None else None

    def _alive(self) -> bool:
        return self._conversation is not None and not self._conversation.ended.is_set()

    @property
    def pid(self) -> int | None:
        """The process id of the running kernel, or ``None``."""
        return self._process.pid if self._process is not None else None

    @property
    def started(self) -> bool:
        """Whether it runs, or has ended by itself."""
        return self._conversation is not None

    @property
    def busy(self) -> bool:
        """Whether a cell runs there, or waits for its turn."""
        return self.current is not None or bool(self.waiting)

    @property
    def current(self) -> Cell | None:
        """The cell that runs there."""
        return self._conversation.current if self._conversation is not None else None

    @property
    def waiting(self) -> list[Cell]:
        """The cells that wait for their turn there."""
        return self._conversation.waiting if self._conversation is not None else []

    @property
    def state(self) -> str:
        """In one word or a few."""
        talk = self._conversation
        if talk is None:
            return "not running"
        if talk.ended.is_set():
            return "ended by itself"
        return "starting" if not talk.ready.is_set() else "busy" if self.busy else "idle"

    def __setitem__(self, name: str, value: Any) -> None:
        """Binds a value to a name there. Raises ``ExchangeError`` if it cannot travel."""
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
        show: relay.Show = None,
    ) -> dict[str, Any]:
        """Runs a cell there and returns its outputs, a dict by name.

        ``inputs`` are bound there before it runs, by name: values, references to values of other kernels, or what
        ``tfkernels.pack`` made. ``outputs`` are expressions evaluated there after it, by the name they get here. After
        ``timeout`` seconds it is interrupted. What the cell prints and displays appears here, or goes to ``show``: a
        relay, or a function that gets every output as a notebook would store it.

        Raises ``RemoteError`` if the cell does, ``ExchangeError`` if a value cannot travel (then nothing is bound),
        ``CellTimeout``, ``KernelDied`` if the kernel's process ends (the next cell gets a fresh one),
        ``KernelStartError``.
        """
        place = relay.of(show)
        inbox: SimpleQueue[Any] = SimpleQueue()
        with ExitStack() as stack:
            sent = stack.enter_context(loaded(inputs, place))
            with stoppable(inbox) as stop:
                call = self._submit(code, sent, outputs, place, Plan(sent=stack, timeout=timeout), inbox, store_history)
                attend([call], inbox, stop)
        return call.result()

    def submit(
        self,
        code: str,
        *,
        inputs: Inputs = None,
        outputs: Mapping[str, str] | None = None,
        timeout: float | None = None,
        store_history: bool = True,
        show: relay.Show = None,
        deliver: Callable[[dict[str, Any]], None] | None = None,
    ) -> Cell:
        """Like ``run``, in the background: returns at once, with a handle that is asked for its ``result()``.

        Cells run there one at a time, in the order in which they were submitted. Values that go there are those of
        this moment; references are evaluated when their kernel has done what it was given before. What the cell prints
        goes to ``show``, in another thread; in a notebook, under the cell that this was called in. ``deliver`` gets the
        outputs when somebody asks for them first.
        """
        place = relay.of(show).afterwards()
        needs: list[Cell] = []
        with ExitStack() as stack:
            here, elsewhere = split_references(inputs)
            sent = stack.enter_context(loaded(here, place))
            talk = self._talk()
            for kernel, names in elsewhere.items():
                needs.append(kernel._ship_later(names, place, talk.wake))  # noqa: SLF001 (another one of ours)
            plan = Plan(sent=stack, needs=needs, timeout=timeout, deliver=deliver or _nowhere)
            call = None
            try:
                with postponed():
                    call = self._submit(code, sent, outputs, place, plan, None, store_history)
            except KeyboardInterrupt:
                if call is not None:
                    call.cancel()
                raise
            return call

    def _ship_later(self, outputs: Mapping[str, str], show: relay.Relay, ended: Callable[[], None]) -> Cell:
        return self._submit("", [], outputs, show, Plan(tells=False, ended=ended), None, False)

    def ship(self, outputs: Mapping[str, str], show: relay.Relay) -> SegmentLease:
        """The values of expressions there, for another kernel; nothing of them is looked at here."""
        inbox: SimpleQueue[Any] = SimpleQueue()
        with stoppable(inbox) as stop:
            call = self._submit("", [], outputs, show, Plan(), inbox, False)
            attend([call], inbox, stop)
        return call.ship()

    def call(
        self,
        code: str,
        sent: Sequence[SegmentLease],
        outputs: Mapping[str, str] | None,
        show: relay.Relay,
        inbox: SimpleQueue[Any],
        timeout: float | None,
    ) -> Cell:
        """A cell that whoever owns the ``inbox`` has to attend to."""
        with ExitStack() as stack:
            for shipment in sent:
                stack.enter_context(shipment.held())
            return self._submit(code, sent, outputs, show, Plan(sent=stack, timeout=timeout), inbox, True)

    def _submit(
        self,
        code: str,
        sent: Sequence[SegmentLease],
        outputs: Mapping[str, str] | None,
        show: relay.Relay,
        plan: Plan,
        inbox: SimpleQueue[Any] | None,
        store_history: bool,
    ) -> Cell:
        """Both directions' segments are ours: nothing is left if the other side dies."""
        expressions = dict(outputs or {})
        # Outputs are probably as large as last time.
        size = self._sizes.get(tuple(expressions.values()), 0)
        arrival = SegmentLease(size, self.name) if expressions else None
        exchange = {
            "format": protocol.FORMAT,
            "kernel": self.name,
            "magic": self.magic,
            "inputs": join(check(shipment.descriptor) for shipment in sent) if sent else None,
            "outputs": expressions,
            "segment": arrival.address if arrival is not None else None,
            "instead": arrival.borrow(sent) if arrival is not None else [],
        }
        content = {
            "code": code,
            "silent": False,
            "store_history": store_history,
            "user_expressions": {},
            "allow_stdin": inbox is not None and show.can_ask,
            # One request at a time: there is no queue to abort, and aborting would swallow the next cell.
            "stop_on_error": False,
        }
        talk = self._talk()
        request = talk.message("execute_request", content, {"tfkernels": exchange})
        kept = replace(
            plan, sent=plan.sent.pop_all(), arrival=arrival, remember=lambda size: self._keep(expressions, size)
        )
        call = Cell(self.name, request, show, kept, inbox)
        talk.submit(call)
        return call

    def _keep(self, outputs: Mapping[str, str], size: int) -> None:
        if len(self._sizes) > 1000:  # a name is used again and again, an index rarely
            self._sizes.clear()
        self._sizes[tuple(outputs.values())] = size

    # What is no cell

    def request(self, kind: str, content: dict[str, Any], timeout: float) -> dict[str, Any]:
        """Sends a request, such as ``complete_request``, at once, and returns the content of its reply.

        A kernel answers when the cell that runs there has ended: see ``busy``. Raises ``TimeoutError``, ``KernelDied``.
        """
        talk = self._running()
        return talk.request(talk.message(kind, content), timeout)

    def _running(self) -> KernelConnection:
        with self._starting:
            return self._conversation or self._talk()

    # Its life

    def begin(self) -> None:
        """Starts the kernel, if it does not run, without waiting for it."""
        self._talk()

    def start(self) -> None:
        """Starts the kernel if it does not run, and waits until it can be used."""
        pressed: list[bool] = []
        with redirected(lambda: pressed.append(True)):
            talk = self._talk()
            while not talk.ready.wait(LOOK / 10) and not pressed:
                pass
        if pressed and not talk.ready.is_set():
            self.shutdown()
            raise KeyboardInterrupt(f"while kernel {self.name} started; it was ended")
        if talk.failure is not None:
            self._conversation = None
            raise talk.failed()

    def _talk(self) -> KernelConnection:
        """The conversation with the running kernel, or with one that is just started.

        Raises ``KernelDied`` once if it has ended since it was last used and nobody knows.
        """
        with postponed(), self._starting:
            talk, greeting = self._conversation, ""
            if talk is not None and (talk.closing or not talk.process.alive()):
                talk.ended.wait(END)  # it is about to notice
            if talk is not None and talk.ended.is_set():
                self._conversation = None
                if isinstance(talk.failure, KernelDied):
                    if not talk.told:
                        raise talk.failed()
                    greeting = f"kernel {self.name} is a fresh one: the variables of the one that ended are gone\n"
            if self._conversation is None:
                self._look_up()
                self._conversation = self._begin(greeting)
            return self._conversation

    def _begin(self, greeting: str) -> KernelConnection:
        return KernelConnection(self.name, KernelProcess(self.spec), greeting)

    def interrupt(self) -> None:
        """Interrupts what runs there, as the stop button does."""
        talk = self._conversation
        current = talk.current if talk is not None else None
        if current is not None:
            current.interrupt()

    def shutdown(self) -> None:
        """Ends the kernel, what runs in it, and everything it left running. It starts again when it is next used."""
        with postponed():
            talk = self._part()
            if talk is not None:
                talk.close()

    def restart(self) -> None:
        """A fresh process; its variables are gone, and so are cells that run or wait there: they end with an error."""
        with postponed():
            talk = self._part()
            if talk is not None:
                talk.close("restarted")
        self.start()

    def _part(self) -> KernelConnection | None:
        with self._starting:
            talk, self._conversation = self._conversation, None
        return talk

    def forget(self) -> None:
        """In a forked child: the kernel is the parent's, and so is the thread."""
        _parents.append(self._conversation)
        self._conversation = None
        self._starting = threading.RLock()


_parents: list[KernelConnection | None] = []
"""In a forked child, the conversations of its parent: never collected, since they would end what is not theirs."""


_made: weakref.WeakSet[Kernel] = weakref.WeakSet()
known: dict[str, Kernel] = {}
"""This process's kernels by name, whether they run or not."""


def shared(name: str) -> Kernel:
    """This process's kernel ``name``."""
    if name not in known:
        known[name] = Kernel(name)
    return known[name]


def running() -> list[Kernel]:
    """The kernels that this process started or attached, and has not shut down."""
    return [kernel for kernel in known.values() if kernel.started]


@atexit.register
def shutdown_all() -> None:
    """Ends the kernels that this process started."""
    for kernel in list(_made):
        kernel.shutdown()


def _forget_all() -> None:
    for kernel in _made:
        kernel.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
