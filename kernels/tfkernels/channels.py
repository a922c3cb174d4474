"""The sockets to a kernel, spoken to with Jupyter's own ``Session``.

Not ``BlockingKernelClient``: up to jupyter_client 7 its blocking calls patch the running event loop (nest_asyncio),
which loses cells in the kernel that we live in; and a plain socket costs less per cell.
"""

from __future__ import annotations

from typing import Any, Dict

import zmq
from jupyter_client.session import Session

Message = Dict[str, Any]
"""A Jupyter message: header, parent_header, metadata, content, buffers."""


class Channels:
    """The client's ends of a kernel's shell, iopub, stdin and control channels."""

    def __init__(self, connection: dict[str, Any]) -> None:
        self.session = Session(
            key=connection["key"].encode(), signature_scheme=connection["signature_scheme"], username="tfkernels"
        )
        self._context = zmq.Context()
        self.shell = self._connect(zmq.DEALER, connection, "shell_port")
        self.stdin = self._connect(zmq.DEALER, connection, "stdin_port", immediate=True)
        self.control = self._connect(zmq.DEALER, connection, "control_port")
        self.iopub = self._connect(zmq.SUB, connection, "iopub_port")
        self.iopub.subscribe(b"")
        self._poller = zmq.Poller()
        for socket in (self.iopub, self.stdin, self.shell):
            self._poller.register(socket, zmq.POLLIN)

    def _connect(self, kind: int, connection: dict[str, Any], port: str, immediate: bool = False) -> zmq.Socket[bytes]:
        socket = self._context.socket(kind)
        socket.linger = 0
        # Output that nobody has read yet waits in memory instead of being thrown away at 1,000 messages.
        socket.set_hwm(0)
        # A kernel's replies are routed by identity; stdin must have the one of shell.
        socket.identity = self.session.bsession
        socket.immediate = immediate
        separator = "-" if connection["transport"] == "ipc" else ":"
        socket.connect(f"{connection['transport']}://{connection['ip']}{separator}{connection[port]}")
        return socket

    def send(
        self, socket: zmq.Socket[bytes], kind: str, content: dict[str, Any], metadata: dict[str, Any] | None = None
    ) -> str:
        """Sends a request and returns its id."""
        message = self.session.send(socket, kind, content=content, metadata=metadata)
        assert message is not None  # it is for a forked child, and that has no kernel
        return str(message["header"]["msg_id"])

    def receive(self, timeout: float) -> list[tuple[zmq.Socket[bytes], Message]]:
        """What has arrived on iopub, stdin and shell, in that order; empty after ``timeout`` seconds of silence."""
        ready = dict(self._poller.poll(int(timeout * 1000)))
        messages = []
        for socket in (self.iopub, self.stdin, self.shell):
            if socket in ready:
                _, message = self.session.recv(socket, mode=zmq.NOBLOCK)
                if message is not None:
                    messages.append((socket, message))
        return messages

    def can_be_asked(self) -> bool:
        """Whether the stdin channel stands; a question that comes before is thrown away by the kernel."""
        return bool(self.stdin.poll(0, zmq.POLLOUT))

    def close(self) -> None:
        self._context.destroy(linger=0)
