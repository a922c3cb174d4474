"""Widgets of another kernel in the notebook of this one: their messages go on, in both directions.

The two halves of a widget, in a kernel and in the browser, talk through a *comm*. The browser knows the notebook's
kernel only. So this kernel has a stand-in for each comm of the other one: what the browser sends to it goes on to the
other kernel, and what that one sends goes on to the browser in this kernel's name.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Callable

from tfkernels.output.frontend import WIDGET, Frontend, ProxyComm
from tfkernels.output.relay import CellRelay, Relay

if TYPE_CHECKING:
    from tfkernels.client.connection import KernelConnection
    from tfkernels.protocol import Message


class Unseen:
    """The comms of a running kernel where nobody sees widgets: this process is no notebook's kernel."""

    def arrived(self, message: Message, show: Relay | None) -> None:
        """A comm message of the other kernel; ``show`` is where the output of the same cell goes."""

    def ended(self) -> None:
        """The other kernel is gone."""


def here(conversation: KernelConnection) -> Unseen:
    """The comms of one running kernel, as far as this process can show them."""
    ipython = sys.modules.get("IPython")
    kernel = getattr(ipython.get_ipython(), "kernel", None) if ipython else None
    return Unseen() if kernel is None else Comms(Frontend.of(kernel), conversation)


class Comms(Unseen):
    """The comms of one running kernel. Its methods are called in several threads."""

    def __init__(self, frontend: Frontend, conversation: KernelConnection) -> None:
        self._frontend = frontend
        self._conversation = conversation
        self._open: dict[str, ProxyComm] = {}
        self._unanswered: dict[str, Reaction] = {}
        frontend.others.append(self)

    # From there to the browser

    def arrived(self, message: Message, show: Relay | None) -> None:
        kind, content = message["header"]["msg_type"], message["content"]
        comm_id = content["comm_id"]
        if kind == "comm_open" and self._conversation.caused(message):
            self.add(ProxyComm(self._frontend, comm_id, content["target_name"], [self]))
        stand_in = self._open.get(comm_id)
        if stand_in is None or (kind == "comm_close" and not self._close(stand_in)):
            return
        stand_in.note(content.get("data"))
        parent = show.parent if isinstance(show, CellRelay) else {}
        content = {**content, "data": self._named_as_here(content.get("data"))}
        self._frontend.send(kind, content, parent, message["metadata"], message["buffers"])

    def add(self, stand_in: ProxyComm) -> None:
        self._open[stand_in.comm_id] = stand_in
        self._frontend.manager.register_comm(stand_in)

    def _close(self, stand_in: ProxyComm) -> bool:
        """Whether nobody has it open any more."""
        self.forget(stand_in)
        stand_in.owners.remove(self)
        if stand_in.owners:
            return False
        self._frontend.manager.comms.pop(stand_in.comm_id, None)
        return True

    def _named_as_here(self, data: Any) -> Any:
        """An ``Output`` widget catches what has a certain message as its parent; in the browser it is another one."""
        state = data.get("state") if isinstance(data, dict) else None
        if not isinstance(state, dict):
            return data
        place = self._conversation.place(state.get("msg_id"))
        if not isinstance(place, CellRelay):
            return data
        return {**data, "state": {**state, "msg_id": place.parent["header"]["msg_id"]}}

    # From the browser to there

    @property
    def have_widgets(self) -> bool:
        return any(stand_in.target_name == WIDGET for stand_in in list(self._open.values()))

    @property
    def busy(self) -> bool:
        """Whether something that the browser sent is being handled there."""
        return any(reaction.begun for reaction in list(self._unanswered.values()))

    def interrupt(self) -> None:
        self._conversation.interrupt_kernel()

    def open(self, stand_in: ProxyComm, message: Message) -> None:
        """The browser opens a comm."""
        self.add(stand_in)
        self.send(message)

    def send(self, message: Message) -> None:
        """What comes because of it has the browser's message as its parent, as if this kernel had handled it."""
        onward = self._conversation.message(message["header"]["msg_type"], message["content"], message["metadata"])
        onward["buffers"] = message["buffers"]
        identity = onward["header"]["msg_id"]
        reaction = Reaction(self._frontend.kernel, message, lambda: self._unanswered.pop(identity, None) is not None)
        self._unanswered[identity] = reaction
        self._conversation.post("shell", onward, reaction)
        if self._conversation.ended.is_set():
            self.ended()

    def forget(self, stand_in: ProxyComm) -> None:
        self._open.pop(stand_in.comm_id, None)

    # The end

    def ended(self) -> None:
        """What widgets show stays, and what can be switched off is: closed ones would vanish from the notebook."""
        if self in self._frontend.others:
            self._frontend.others.remove(self)
        for reaction in list(self._unanswered.values()):
            reaction.handled()
        for stand_in in list(self._open.values()):
            if self._close(stand_in):
                stand_in.switch_off()


class Reaction(CellRelay):
    """What comes because of a message of the browser, and at its end that it was handled.

    The browser sends no more changes of a widget until it has heard that, and an ``Output`` widget catches nothing
    after it.
    """

    def __init__(self, kernel: Any, message: Message, first: Callable[[], bool]) -> None:
        super().__init__(kernel, {"header": message["header"]})  # not with its buffers
        self.begun = False
        self._first = first

    def handle(self, message: Message) -> None:
        if message["header"]["msg_type"] != "status":
            super().handle(message)
        elif message["content"]["execution_state"] == "idle":
            self.handled()
        else:
            self.begun = True

    def handled(self) -> None:
        if self._first():
            self.publish("status", {"execution_state": "idle"})
