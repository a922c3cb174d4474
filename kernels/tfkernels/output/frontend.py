"""The browser behind this notebook's kernel, as far as other kernels' widgets want something of it."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any, Mapping

if TYPE_CHECKING:
    from tfkernels.output.widgets import Comms
    from tfkernels.protocol import Message

WIDGET = "jupyter.widget"
CONTROL = "jupyter.widget.control"
"""The comm targets of ipywidgets. Through the second one a reloaded page asks a kernel for all its widgets."""


class Frontend:
    """One for the process."""

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
        # Between cells ipykernel ignores the stop button. It sets what it finds here again after every message.
        if getattr(kernel, "saved_sigint_handler", None) is signal.SIG_IGN:
            kernel.saved_sigint_handler = self._stop

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

    def tell_later(self) -> None:
        """This kernel is through with a message, another one not yet: what this kernel says now, that it is idle again,
        must not be an answer to that message."""
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
            stand_in = ProxyComm(self, content["comm_id"], target, others)
            for comms in others:
                comms.open(stand_in, message)
            self.tell_later()
        return None

    def _stop(self, *_: Any) -> None:
        """The stop button while no cell runs: for what a widget is doing in another kernel."""
        for comms in self.others:
            if comms.busy:
                comms.interrupt()


class ProxyComm:
    """A comm of other kernels among the comms of this one, with all that ipykernel wants of it."""

    def __init__(self, frontend: Frontend, comm_id: str, target_name: str, owners: list[Comms]) -> None:
        self.comm_id = comm_id
        self.target_name = target_name
        self.owners = owners
        """One kernel; of a comm that the browser opened, all that have not refused it."""
        self._frontend = frontend
        self._has_switch = False

    def note(self, data: Any) -> None:
        state = data.get("state") if isinstance(data, dict) else None
        self._has_switch = self._has_switch or "disabled" in (state or ())

    def handle_msg(self, message: Message) -> None:
        for comms in list(self.owners):
            comms.send(message)
        self._frontend.tell_later()

    def handle_close(self, message: Message) -> None:
        for comms in self.owners:
            comms.forget(self)
        self.handle_msg(message)

    def switch_off(self) -> None:
        """In the browser, when its kernel is gone."""
        if self.target_name != WIDGET:
            self._frontend.send("comm_close", {"comm_id": self.comm_id, "data": {}}, {})
        elif self._has_switch:
            data = {"method": "update", "state": {"disabled": True}, "buffer_paths": []}
            self._frontend.send("comm_msg", {"comm_id": self.comm_id, "data": data}, {})
