"""Widgets of another kernel in this kernel's notebook: a proxy for each comm forwards messages in both directions.

See docs/design/cells-in-other-kernels.md.
"""

from __future__ import annotations

import functools
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any, Mapping

from tfkernels.output.relay import CellRelay, Relay
from tfkernels.protocol import Message

if TYPE_CHECKING:
    from typing import Protocol  # from Python 3.8 on

    class Connection(Protocol):
        """The connection to another kernel, as far as its output uses it: see ``client.connection``."""

        ended: threading.Event

        def message(self, kind: str, content: dict[str, Any], metadata: dict[str, Any] | None = None) -> Message: ...
        def post(self, channel: str, message: Message) -> None: ...
        def remember(self, message: Message, relay: Relay) -> None: ...
        def relay_of(self, message_id: str | None) -> Relay | None: ...
        def caused(self, message: Message) -> bool: ...
        def interrupt_kernel(self) -> None: ...


# The comm targets of ipywidgets. Through the second one a reloaded page asks a kernel for all its widgets.
WIDGET, CONTROL = "jupyter.widget", "jupyter.widget.control"

ACTIVITY = "tfkernels_activity"
"""A type of message that clients do not know, and so ignore."""


class Comms:
    """The comms of a running kernel. Its methods are called in several threads."""

    def __init__(self, frontend: Frontend, connection: Connection) -> None:
        self.proxies: dict[str, ProxyComm] = {}
        self._frontend = frontend
        self._connection = connection
        self._unanswered: set[RequestRelay] = set()
        frontend.others.append(self)

    # From the kernel to the browser

    def receive(self, message: Message, relay: Relay | None) -> None:
        """Gets a comm message of the other kernel; ``relay`` shows the output of the same cell."""
        kind, content = message["header"]["msg_type"], message["content"]
        comm_id, data = content["comm_id"], content.get("data")
        if kind == "comm_open" and self._connection.caused(message):
            ProxyComm(self._frontend, comm_id, content["target_name"], [self])
        proxy = self.proxies.get(comm_id)
        if proxy is None or (kind == "comm_close" and not self._close(proxy)):
            return
        state = data.get("state") if isinstance(data, dict) else None
        if isinstance(state, dict):
            proxy.can_be_disabled = proxy.can_be_disabled or "disabled" in state
            # An ``Output`` widget catches output by the id of its parent message; the browser knows ours.
            caught = self._connection.relay_of(state.get("msg_id"))
            if isinstance(caught, CellRelay):
                data = {**data, "state": {**state, "msg_id": caught.parent["header"]["msg_id"]}}
        parent = relay.parent if isinstance(relay, CellRelay) else {}
        options = {"metadata": message["metadata"], "buffers": message["buffers"]}
        self._frontend.send(kind, {**content, "data": data}, parent, **options)

    def _close(self, proxy: ProxyComm) -> bool:
        """Whether no kernel has it open any more."""
        self.proxies.pop(proxy.comm_id, None)
        proxy.owners.remove(self)
        if not proxy.owners:
            self._frontend.manager.comms.pop(proxy.comm_id, None)
        return not proxy.owners

    # From the browser to the kernel

    def send(self, message: Message) -> None:
        """Output that it causes has the browser's message as its parent, as if this kernel had handled it."""
        forwarded = self._connection.message(message["header"]["msg_type"], message["content"], message["metadata"])
        forwarded["buffers"] = message["buffers"]
        self._connection.remember(forwarded, RequestRelay(self._frontend.kernel, message, self._unanswered))
        self._connection.post("shell", forwarded)
        if self._connection.ended.is_set():
            self.close()

    @property
    def busy(self) -> bool:
        """Whether the kernel handles a message of the browser."""
        return any(relay.begun for relay in list(self._unanswered))

    def interrupt_callback(self) -> None:
        if self.busy:
            self._connection.interrupt_kernel()

    def show_activity(self) -> None:
        self._frontend.show_activity()

    def close(self) -> None:
        """The kernel has ended. Its widgets are disabled where possible; closed ones would vanish from the notebook."""
        if self in self._frontend.others:
            self._frontend.others.remove(self)
        for relay in list(self._unanswered):
            relay.set_handled()
        for proxy in list(self.proxies.values()):
            if self._close(proxy):
                proxy.disable()


class RequestRelay(CellRelay):
    """Output that a message of the browser causes, and at its end the message that it was handled.

    Until then the browser sends no more changes of the widget; after it, an ``Output`` widget catches nothing.
    """

    def __init__(self, kernel: Any, message: Message, unanswered: set[RequestRelay]) -> None:
        """It is in ``unanswered`` until the message is handled."""
        super().__init__(kernel, {"header": message["header"]})  # without its buffers
        self.begun = False
        self._unanswered = unanswered
        unanswered.add(self)

    def handle(self, message: Message) -> None:
        if message["header"]["msg_type"] != "status":
            super().handle(message)
        elif message["content"]["execution_state"] == "idle":
            self.set_handled()
        else:
            self.begun = True

    def set_handled(self) -> None:
        try:
            self._unanswered.remove(self)
        except KeyError:  # another thread was faster
            return
        self.publish("status", {"execution_state": "idle"})


class Frontend:
    """The browser behind this notebook's kernel."""

    def __init__(self, kernel: Any) -> None:
        self.kernel = kernel
        self.manager = kernel.comm_manager
        self.others: list[Comms] = []
        """The comms of the other kernels that run."""
        self._open_here = kernel.shell_handlers["comm_open"]
        kernel.shell_handlers["comm_open"] = self._open
        # Between cells ipykernel ignores SIGINT. It sets the handler that it finds here after every message.
        if getattr(kernel, "saved_sigint_handler", None) is signal.SIG_IGN:
            kernel.saved_sigint_handler = self._interrupt

    def uninstall(self) -> None:
        """Gives the kernel its own handlers back."""
        if self.kernel.shell_handlers["comm_open"] == self._open:
            self.kernel.shell_handlers["comm_open"] = self._open_here
        if getattr(self.kernel, "saved_sigint_handler", None) == self._interrupt:
            self.kernel.saved_sigint_handler = signal.SIG_IGN

    def send(self, kind: str, content: Mapping[str, Any], parent: Message, **options: Any) -> None:
        """Sends a comm message, with metadata and buffers."""
        ident = b"comm-" + content["comm_id"].encode()
        self.kernel.session.send(self.kernel.iopub_socket, kind, content, parent=parent, ident=ident, **options)

    def show_activity(self) -> None:
        """Keeps this kernel from a server that ends idle ones. The message has no other meaning, and no parent."""
        self.kernel.session.send(self.kernel.iopub_socket, ACTIVITY, {}, ident=ACTIVITY.encode())

    def _open(self, stream: Any, ident: Any, message: Message) -> Any:
        """The browser opens a comm. Its target may be in any of the kernels that run."""
        comm_id, target = message["content"]["comm_id"], message["content"]["target_name"]
        others = list(self.others)
        proxies = [proxy for comms in others for proxy in list(comms.proxies.values())]
        if target == CONTROL and any(proxy.target_name == WIDGET for proxy in proxies):
            # One kernel's answer would be taken for all. When refused, the page asks each widget for its state.
            self.send("comm_close", {"comm_id": comm_id, "data": {}}, message)
            return None
        if target == CONTROL or target in self.manager.targets or not others:
            return self._open_here(stream, ident, message)
        ProxyComm(self, comm_id, target, others).handle_msg(message)
        return None

    def _interrupt(self, *_: Any) -> None:
        """The stop button while no cell runs: it is meant for a widget's callback in another kernel."""
        for comms in self.others:
            comms.interrupt_callback()


class ProxyComm:
    """A comm of other kernels among the comms of this one, with the interface that ipykernel uses."""

    can_be_disabled = False

    def __init__(self, frontend: Frontend, comm_id: str, target_name: str, owners: list[Comms]) -> None:
        self.comm_id = comm_id
        self.target_name = target_name
        self.owners = owners
        """One kernel; of a comm that the browser opened, all that have not refused it."""
        self._frontend = frontend
        for comms in owners:
            comms.proxies[comm_id] = self
        frontend.manager.register_comm(self)

    def handle_msg(self, message: Message) -> None:
        for comms in list(self.owners):
            comms.send(message)
        # This kernel's next message, that it is idle, must not answer one that another kernel handles.
        self._frontend.kernel.set_parent([], {})

    def handle_close(self, message: Message) -> None:
        for comms in self.owners:
            comms.proxies.pop(self.comm_id, None)
        self.handle_msg(message)

    def disable(self) -> None:
        """In the browser, when its kernel has ended."""
        if self.target_name != WIDGET:
            self._frontend.send("comm_close", {"comm_id": self.comm_id, "data": {}}, {})
        elif self.can_be_disabled:
            data = {"method": "update", "state": {"disabled": True}, "buffer_paths": []}
            self._frontend.send("comm_msg", {"comm_id": self.comm_id, "data": data}, {})


_frontend_of = functools.lru_cache(maxsize=1)(Frontend)


def release(kernel: Any) -> None:
    """Leaves a notebook's kernel as it was, unless other kernels still use it."""
    frontend = _frontend_of(kernel) if _frontend_of.cache_info().currsize else None
    if frontend is not None and not frontend.others:
        frontend.uninstall()
        _frontend_of.cache_clear()


def comms_of(connection: Connection) -> Comms | None:
    """The comms of a running kernel; ``None`` if this process is no notebook's kernel, so that no widget is visible."""
    ipython = sys.modules.get("IPython")
    kernel = getattr(ipython.get_ipython(), "kernel", None) if ipython else None
    return None if kernel is None else Comms(_frontend_of(kernel), connection)
