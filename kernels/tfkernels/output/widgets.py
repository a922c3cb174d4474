"""Widgets of another kernel in this kernel's notebook: a proxy for each comm forwards messages in both directions.

See docs/design/cells-in-other-kernels.md.
"""

from __future__ import annotations

import signal
import sys
import threading
from typing import TYPE_CHECKING, Any, Callable, Mapping

from tfkernels.output.relay import CellRelay, Relay
from tfkernels.protocol import Message

if TYPE_CHECKING:
    from typing import Protocol
else:
    Protocol = object  # Python 3.7 has none

WIDGET = "jupyter.widget"
CONTROL = "jupyter.widget.control"
"""The comm targets of ipywidgets. Through the second one a reloaded page asks a kernel for all its widgets."""


class Connection(Protocol):
    """The connection to another kernel, as far as its output uses it."""

    ended: threading.Event

    def message(self, kind: str, content: dict[str, Any], metadata: dict[str, Any] | None = None) -> Message: ...

    def post(self, channel: str, message: Message) -> None: ...

    def remember(self, message: Message, relay: Relay) -> None:
        """Output that a message of ours causes goes to ``relay``."""

    def relay_of(self, message_id: str | None) -> Relay | None:
        """Where output that a message of ours causes is shown."""

    def caused(self, message: Message) -> bool:
        """Whether one of our messages caused it, not another client's."""

    def interrupt_kernel(self) -> None: ...


def comms_of(connection: Connection) -> Comms | None:
    """The comms of a running kernel; ``None`` if this process is no notebook's kernel, so that no widget is visible."""
    ipython = sys.modules.get("IPython")
    kernel = getattr(ipython.get_ipython(), "kernel", None) if ipython else None
    return None if kernel is None else Comms(Frontend.of(kernel), connection)


class Comms:
    """The comms of a running kernel. Its methods are called in several threads."""

    def __init__(self, frontend: Frontend, connection: Connection) -> None:
        self._frontend = frontend
        self._connection = connection
        self._proxies: dict[str, ProxyComm] = {}
        self._unanswered: dict[str, RequestRelay] = {}
        frontend.others.append(self)

    # From the kernel to the browser

    def receive(self, message: Message, relay: Relay | None) -> None:
        """Gets a comm message of the other kernel; ``relay`` shows the output of the same cell."""
        kind, content = message["header"]["msg_type"], message["content"]
        comm_id = content["comm_id"]
        if kind == "comm_open" and self._connection.caused(message):
            self._add(ProxyComm(self._frontend, comm_id, content["target_name"], [self]))
        proxy = self._proxies.get(comm_id)
        if proxy is None or (kind == "comm_close" and not self._close(proxy)):
            return
        proxy.note_state(content.get("data"))
        parent = relay.parent if isinstance(relay, CellRelay) else {}
        content = {**content, "data": self._with_parent_of_here(content.get("data"))}
        self._frontend.send(kind, content, parent, message["metadata"], message["buffers"])

    def _add(self, proxy: ProxyComm) -> None:
        self._proxies[proxy.comm_id] = proxy
        self._frontend.manager.register_comm(proxy)

    def _close(self, proxy: ProxyComm) -> bool:
        """Whether no kernel has it open any more."""
        self.forget(proxy)
        proxy.owners.remove(self)
        if proxy.owners:
            return False
        self._frontend.manager.comms.pop(proxy.comm_id, None)
        return True

    def _with_parent_of_here(self, data: Any) -> Any:
        """An ``Output`` widget catches output by the id of its parent message; the browser knows ours."""
        state = data.get("state") if isinstance(data, dict) else None
        if not isinstance(state, dict):
            return data
        relay = self._connection.relay_of(state.get("msg_id"))
        if not isinstance(relay, CellRelay):
            return data
        return {**data, "state": {**state, "msg_id": relay.parent["header"]["msg_id"]}}

    # From the browser to the kernel

    @property
    def have_widgets(self) -> bool:
        return any(proxy.target_name == WIDGET for proxy in list(self._proxies.values()))

    @property
    def busy(self) -> bool:
        """Whether the kernel handles a message of the browser."""
        return any(relay.begun for relay in list(self._unanswered.values()))

    def interrupt(self) -> None:
        self._connection.interrupt_kernel()

    def open(self, proxy: ProxyComm, message: Message) -> None:
        """The browser opens a comm."""
        self._add(proxy)
        self.send(message)

    def send(self, message: Message) -> None:
        """Output that it causes has the browser's message as its parent, as if this kernel had handled it."""
        forwarded = self._connection.message(message["header"]["msg_type"], message["content"], message["metadata"])
        forwarded["buffers"] = message["buffers"]
        message_id = forwarded["header"]["msg_id"]
        relay = RequestRelay(self._frontend.kernel, message, lambda: self._unanswered.pop(message_id, None) is not None)
        self._unanswered[message_id] = relay
        self._connection.remember(forwarded, relay)
        self._connection.post("shell", forwarded)
        if self._connection.ended.is_set():
            self.close()

    def forget(self, proxy: ProxyComm) -> None:
        self._proxies.pop(proxy.comm_id, None)

    def close(self) -> None:
        """The kernel has ended. Its widgets are disabled where possible; closed ones would vanish from the notebook."""
        if self in self._frontend.others:
            self._frontend.others.remove(self)
        for relay in list(self._unanswered.values()):
            relay.set_handled()
        for proxy in list(self._proxies.values()):
            if self._close(proxy):
                proxy.disable()


class RequestRelay(CellRelay):
    """Output that a message of the browser causes, and at its end the message that it was handled.

    Until then the browser sends no more changes of the widget; after it, an ``Output`` widget catches nothing.
    """

    def __init__(self, kernel: Any, message: Message, take: Callable[[], bool]) -> None:
        """``take`` says, once, that the message is still unanswered."""
        super().__init__(kernel, {"header": message["header"]})  # without its buffers
        self.begun = False
        self._take = take

    def handle(self, message: Message) -> None:
        if message["header"]["msg_type"] != "status":
            super().handle(message)
        elif message["content"]["execution_state"] == "idle":
            self.set_handled()
        else:
            self.begun = True

    def set_handled(self) -> None:
        if self._take():
            self.publish("status", {"execution_state": "idle"})


class Frontend:
    """The browser behind this notebook's kernel. One for the process."""

    _only: Frontend | None = None

    @classmethod
    def of(cls, kernel: Any) -> Frontend:
        if cls._only is None or cls._only.kernel is not kernel:
            cls._only = cls(kernel)
        return cls._only

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

    def send(
        self,
        kind: str,
        content: Mapping[str, Any],
        parent: Message,
        metadata: Mapping[str, Any] | None = None,
        buffers: list[Any] | None = None,
    ) -> None:
        self.kernel.session.send(
            self.kernel.iopub_socket,
            kind,
            content,
            parent=parent,
            ident=b"comm-" + content["comm_id"].encode(),
            metadata=metadata,
            buffers=buffers,
        )

    def release_parent(self) -> None:
        """Keeps this kernel's next message, that it is idle, from answering a message that another kernel handles."""
        self.kernel.set_parent([], {})

    def _open(self, stream: Any, ident: Any, message: Message) -> Any:
        """The browser opens a comm. Its target may be in any of the kernels that run."""
        content = message["content"]
        target, others = content["target_name"], list(self.others)
        if target == CONTROL and any(comms.have_widgets for comms in others):
            # One kernel's answer would be taken for all. When refused, the page asks each widget for its state.
            self.send("comm_close", {"comm_id": content["comm_id"], "data": {}}, message)
        elif target == CONTROL or target in self.manager.targets or not others:
            return self._open_here(stream, ident, message)
        else:
            proxy = ProxyComm(self, content["comm_id"], target, others)
            for comms in others:
                comms.open(proxy, message)
            self.release_parent()
        return None

    def _interrupt(self, *_: Any) -> None:
        """The stop button while no cell runs: it is meant for a widget's callback in another kernel."""
        for comms in self.others:
            if comms.busy:
                comms.interrupt()


class ProxyComm:
    """A comm of other kernels among the comms of this one, with the interface that ipykernel uses."""

    def __init__(self, frontend: Frontend, comm_id: str, target_name: str, owners: list[Comms]) -> None:
        self.comm_id = comm_id
        self.target_name = target_name
        self.owners = owners
        """One kernel; of a comm that the browser opened, all that have not refused it."""
        self._frontend = frontend
        self._can_be_disabled = False

    def note_state(self, data: Any) -> None:
        state = data.get("state") if isinstance(data, dict) else None
        self._can_be_disabled = self._can_be_disabled or "disabled" in (state or ())

    def handle_msg(self, message: Message) -> None:
        for comms in list(self.owners):
            comms.send(message)
        self._frontend.release_parent()

    def handle_close(self, message: Message) -> None:
        for comms in self.owners:
            comms.forget(self)
        self.handle_msg(message)

    def disable(self) -> None:
        """In the browser, when its kernel has ended."""
        if self.target_name != WIDGET:
            self._frontend.send("comm_close", {"comm_id": self.comm_id, "data": {}}, {})
        elif self._can_be_disabled:
            data = {"method": "update", "state": {"disabled": True}, "buffer_paths": []}
            self._frontend.send("comm_msg", {"comm_id": self.comm_id, "data": data}, {})
