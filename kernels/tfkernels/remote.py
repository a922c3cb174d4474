"""Another kernel of this process: started at first use, spoken to one cell at a time, ended with this process."""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

from tfkernels import kernelspecs, relay
from tfkernels.channels import Channels, Message
from tfkernels.errors import ExchangeError, KernelDied, KernelStartError, RemoteError, RemoteInterrupt
from tfkernels.interrupts import raising, redirected
from tfkernels.parcel import check, join
from tfkernels.process import KernelProcess
from tfkernels.shipments import Reference, Shipment, loaded

START_TIMEOUT = 60.0
"""Seconds from launch to the first answer."""

REACTION = 5.0
"""Seconds that a cell has to react to an interrupt before another one ends its kernel."""

LOOK = 0.5
"""Seconds between two looks whether a silent kernel is still alive."""


class RemoteKernel:
    """A registered kernel that this process starts and owns. Safe to share between threads; cells run in turn."""

    def __init__(self, name: str) -> None:
        self.spec = kernelspecs.get(name)
        self.name = name
        self._process: KernelProcess | None = None
        self._channels: Channels | None = None
        self._turn = threading.RLock()
        self._interrupts = 0
        self._interrupted = 0.0  # when the first of them was
        self._warned = False
        self._sizes: dict[tuple[str, ...], int] = {}  # of the last outputs, by their expressions

    def __repr__(self) -> str:
        state = f"running, process {self.pid}" if self._alive() else "ended by itself" if self.pid else "not running"
        return f"<kernel {self.name}: {self.spec.spec.get('display_name', '')}, {state}>"

    def __enter__(self) -> RemoteKernel:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.shutdown()

    @property
    def pid(self) -> int | None:
        """The process id of the running kernel, or ``None``."""
        return self._process.pid if self._process is not None else None

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
        inputs: Mapping[str, Any] | Shipment | None = None,
        outputs: Mapping[str, str] | None = None,
        store_history: bool = True,
        show: relay.Relay | None = None,
    ) -> dict[str, Any]:
        """Runs a cell there and returns its outputs, a dict by name.

        ``inputs`` are bound there before it runs, by name: values, references to values of other kernels, or what
        ``tfkernels.pack`` made. ``outputs`` are expressions evaluated there after it, by the name they get here. What
        the cell prints and displays goes to ``show``.

        Raises ``RemoteError`` if the cell does, ``ExchangeError`` if a value cannot travel (then nothing is bound),
        ``KernelDied`` if the kernel's process ends (the next cell gets a fresh one), ``KernelStartError``.
        """
        show = show or relay.here()
        with loaded(inputs, show) as sent, self._arrival(outputs) as arrival:
            self._execute(code, sent, outputs or {}, arrival, store_history, show)
            return arrival.unpack() if arrival is not None else {}

    def ship(self, outputs: Mapping[str, str], show: relay.Relay) -> Shipment:
        """The values of expressions there, for another kernel; nothing of them is looked at here."""
        arrival = self._arrival(outputs)
        assert isinstance(arrival, Shipment)
        try:
            self._execute("", [], outputs, arrival, False, show)
        except BaseException:
            arrival.close()
            raise
        return arrival

    def _arrival(self, outputs: Mapping[str, str] | None) -> Shipment | nullcontext[None]:
        """Where outputs are to be written. They are probably as large as last time."""
        return Shipment(self._sizes.get(tuple(outputs.values()), 0), self.name) if outputs else nullcontext()

    def _execute(
        self,
        code: str,
        sent: list[Shipment],
        outputs: Mapping[str, str],
        arrival: Shipment | None,
        store_history: bool,
        show: relay.Relay,
    ) -> None:
        """Both directions' segments are ours: nothing is left if the other side dies."""
        exchange = {
            "inputs": join(check(shipment.descriptor) for shipment in sent) if sent else None,
            "outputs": dict(outputs),
            "segment": arrival.address if arrival is not None else None,
        }
        content = {
            "code": code,
            "silent": False,
            "store_history": store_history,
            "user_expressions": {},
            "allow_stdin": show.can_ask,
            # One request at a time: there is no queue to abort, and aborting would swallow the next cell.
            "stop_on_error": False,
        }
        with self._turn:
            channels = self.start()
            self._interrupts, self._warned = 0, False
            with redirected(self._on_interrupt):
                request = channels.send(channels.shell, "execute_request", content, {"tfkernels": exchange})
                try:
                    reply = self._converse(channels, request, show)
                except BaseException as error:
                    for shipment in [*sent, arrival]:
                        if shipment is not None and not isinstance(error, KernelDied):
                            shipment.unheard = True
                    raise
                self._raise_if_failed(reply)
        if arrival is not None:
            arrival.descriptor = check(reply.get("tfkernels"))
            if len(self._sizes) > 1000:  # a name is used again and again, an index rarely
                self._sizes.clear()
            self._sizes[tuple(outputs.values())] = arrival.size

    def _converse(self, channels: Channels, request: str, show: relay.Relay) -> dict[str, Any]:
        """Relays everything that belongs to ``request`` until it is answered and the kernel is idle again.

        If something here fails meanwhile (a display, a closed standard output), the cell is interrupted and heard out
        before the error goes on: a cell that runs unheard would write to memory that is somebody else's by then.
        """
        reply: dict[str, Any] | None = None
        failure: BaseException | None = None
        idle = False
        while reply is None or not idle:
            messages = channels.receive(LOOK)
            if not messages and not self._alive():
                raise self._died()
            try:
                self._look_at_interrupts()
                self._show_stderr(show)
                for socket, message in messages:
                    if message["parent_header"].get("msg_id") != request:
                        continue
                    if socket is channels.shell:
                        reply = message["content"]
                    elif message["header"]["msg_type"] == "status":
                        idle = message["content"]["execution_state"] == "idle"
                    elif failure is None:
                        self._relay(channels, message, show)
            except Exception as error:  # noqa: BLE001 (it is raised below)
                failure = failure or error
                self.interrupt()
        self._show_stderr(show)
        if failure is not None:
            raise failure
        return reply

    def _relay(self, channels: Channels, message: Message, show: relay.Relay) -> None:
        if message["header"]["msg_type"] == "input_request":
            self._answer(channels, message, show)
        else:
            show.handle(message)

    def _answer(self, channels: Channels, question: Message, show: relay.Relay) -> None:
        content = question["content"]
        try:
            with raising():
                answer = show.ask(content["prompt"], content["password"])
        except EOFError:
            answer = "\x04"  # what ipykernel turns back into an EOFError
        except KeyboardInterrupt:
            self._on_interrupt()  # it ends the waiting there
            return
        channels.send(channels.stdin, "input_reply", {"value": answer})

    def _show_stderr(self, show: relay.Relay) -> None:
        """What TensorFlow's C++ runtime and child processes wrote to the file descriptor itself."""
        text = self._process.new_stderr() if self._process is not None else ""
        if text:
            show.stream("stderr", text)

    def _look_at_interrupts(self) -> None:
        if self._interrupts == 1 and not self._warned and time.monotonic() - self._interrupted > REACTION:
            self._warned = True
            print(
                f"kernel {self.name} does not react to the interrupt; another one ends it, and its variables are lost",
                file=sys.stderr,
            )

    def _raise_if_failed(self, reply: dict[str, Any]) -> None:
        for payload in reply.get("payload", ()):
            if payload.get("source") == "page":  # help that a native cell shows in the pager
                print(payload["data"].get("text/plain", ""))
        if reply["status"] == "ok":
            return
        if reply.get("exchange_failed"):
            raise ExchangeError(reply["evalue"])
        if self._interrupts:
            raise RemoteInterrupt(f"the cell in kernel {self.name} was interrupted", reply.get("traceback", ()))
        raise RemoteError(
            self.name, reply.get("ename", reply["status"]), reply.get("evalue", ""), reply.get("traceback", ())
        )

    def start(self) -> Channels:
        """Starts the kernel if it does not run. Raises ``KernelDied`` once if it has ended since it was last used."""
        with self._turn:
            if self._process is not None and not self._alive():
                raise self._died("It ended before this cell, which was not run. ")
            if self._channels is None:
                self.spec = kernelspecs.get(self.name)  # the environment may have been rebuilt since
                self._interrupts = 0
                with redirected(self._on_interrupt):
                    self._process = KernelProcess(self.spec)
                    try:
                        self._channels = Channels(self._process.connection)
                        self._wait_until_ready(self._channels)
                    except BaseException:
                        self._end()
                        raise
            return self._channels

    def _wait_until_ready(self, channels: Channels) -> None:
        """Until a request is answered *and* its echo arrives on iopub: before that, output would be lost."""
        assert self._process is not None
        deadline = time.monotonic() + START_TIMEOUT
        answered = listening = False
        while not (answered and listening and channels.can_be_asked()):
            channels.send(channels.shell, "kernel_info_request", {})
            for socket, _ in channels.receive(0.2):
                answered = answered or socket is channels.shell
                listening = listening or socket is channels.iopub
            if self._interrupts:
                raise KeyboardInterrupt(f"while kernel {self.name} started; it was ended")
            if not self._process.alive():
                raise KernelStartError(
                    f"kernel {self.name} did not start: its process {self._process.obituary()}\nFind the cause with: "
                    f"tfkernels doctor {self.name}"
                )
            if time.monotonic() > deadline:
                raise KernelStartError(
                    f"kernel {self.name} did not answer within {START_TIMEOUT:.0f} s of its start. The machine may be "
                    f"very busy; otherwise find the cause with: tfkernels doctor {self.name}"
                )
        self._process.new_stderr()  # what was said at the start is no output of the first cell

    def _alive(self) -> bool:
        return self._process is not None and self._process.alive()

    def _died(self, when: str = "") -> KernelDied:
        assert self._process is not None
        obituary = self._process.obituary()
        self._end()
        return KernelDied(
            f"the process of kernel {self.name} {obituary}\n{when}Its variables are gone. The next cell that uses "
            f"{self.name} starts a fresh one: run the cells that define what you need again."
        )

    def interrupt(self) -> None:
        """Interrupts what runs there, as the stop button does; for another thread than the one in ``run``."""
        if self._process is not None:
            self._process.interrupt()

    def _on_interrupt(self) -> None:
        """The user interrupted the cell that waits here; again, after it had time to react, ends the kernel."""
        now = time.monotonic()
        if self._interrupts == 0:
            self._interrupted = now
        self._interrupts += 1
        if self._process is not None:
            self._process.kill() if now - self._interrupted > REACTION else self._process.interrupt()

    def shutdown(self) -> None:
        """Ends the kernel, what runs in it, and everything it left running. It starts again when it is next used."""
        if not self._turn.acquire(blocking=False):
            if self._process is not None:
                self._process.kill()  # another thread waits for a cell: that ends with KernelDied
            self._turn.acquire()
        try:
            if self._alive() and self._channels is not None:
                self._channels.send(self._channels.control, "shutdown_request", {"restart": False})
            self._end()
        finally:
            self._turn.release()

    def restart(self) -> None:
        """A fresh process; its variables are gone."""
        with self._turn:
            self.shutdown()
            self.start()

    def _end(self) -> None:
        process, channels = self._process, self._channels
        self._process = self._channels = None
        if process is not None:
            process.close()
        if channels is not None:
            channels.close()


_shared: dict[str, RemoteKernel] = {}
_owner = os.getpid()


def shared(name: str) -> RemoteKernel:
    """This process's kernel ``name``."""
    if name not in _shared:
        _shared[name] = RemoteKernel(name)
    return _shared[name]


def running() -> list[RemoteKernel]:
    """The kernels that this process started and has not shut down."""
    return [kernel for kernel in _shared.values() if kernel.pid is not None]


@atexit.register
def shutdown_all() -> None:
    """Ends all of them. Not in a forked child: they belong to the process that started them."""
    if os.getpid() == _owner:
        for kernel in running():
            kernel.shutdown()
