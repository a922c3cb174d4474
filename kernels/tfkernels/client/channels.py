"""Sockets to a kernel, with Jupyter's ``Session``. See docs/design/cells-in-other-kernels.md."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
from typing import Any, NamedTuple

import zmq
from jupyter_client.session import Session

from tfkernels import log
from tfkernels.client.discovery import endpoint, secure
from tfkernels.protocol import Message

_log = log.logger("client.channels")

BATCH_SIZE = 200
"""Messages of one channel that are received together: enough to join lines that a cell printed one by one, and few
enough that a question or an interrupt does not wait behind them."""


class Received(NamedTuple):
    channel: str
    message: Message


class Channels:
    """The client's ends of a kernel's shell, iopub, stdin and control channels. One thread makes and uses them.

    Every message to the kernel passes ``send``, and every message from it ``receive``.
    """

    def __init__(self, kernel: str, connection: dict[str, Any], session: Session, doorbell: Doorbell) -> None:
        """``kernel`` is the name that the log uses."""
        self._kernel = kernel
        self._session = session
        self._doorbell = doorbell
        self._context = zmq.Context()
        # In the order in which messages are handled: a cell's output before the reply that ends it.
        self._sockets = {
            "iopub": self._connect(zmq.SUB, connection, "iopub_port"),
            "stdin": self._connect(zmq.DEALER, connection, "stdin_port", immediate=True),
            "control": self._connect(zmq.DEALER, connection, "control_port"),
            "shell": self._connect(zmq.DEALER, connection, "shell_port"),
        }
        self._sockets["iopub"].subscribe(b"")
        self._poller = zmq.Poller()
        self._poller.register(doorbell.fileno(), zmq.POLLIN)
        for end in self._sockets.values():
            self._poller.register(end, zmq.POLLIN)

    def _connect(self, kind: int, connection: dict[str, Any], port: str, immediate: bool = False) -> zmq.Socket[bytes]:
        end = self._context.socket(kind)
        end.linger = 0
        # Output that is not read yet waits in memory; by default zmq drops it at 1,000 messages.
        end.set_hwm(0)
        # A kernel's replies are routed by identity; stdin must have the one of shell.
        end.identity = self._session.bsession
        end.immediate = immediate
        secure(end, connection)
        end.connect(endpoint(connection, port))
        return end

    def send(self, channel: str, message: Message) -> None:
        if _log.isEnabledFor(logging.DEBUG):
            _log.debug("%s < %s %s", self._kernel, channel, summary(message))
        self._session.send(self._sockets[channel], message)

    def receive(self, timeout: float) -> list[Received]:
        """The messages that have arrived; none after ``timeout`` seconds of silence, or when the doorbell rings."""
        ready = dict(self._poller.poll(int(timeout * 1000)))
        if self._doorbell.fileno() in ready:
            self._doorbell.clear()
        received = []
        for channel, end in self._sockets.items():
            for _ in range(BATCH_SIZE if end in ready else 0):
                _, message = self._session.recv(end, mode=zmq.NOBLOCK)
                if message is None:
                    break
                if _log.isEnabledFor(logging.DEBUG):
                    _log.debug("%s > %s %s", self._kernel, channel, summary(message))
                received.append(Received(channel, message))
        return received

    def can_be_asked(self) -> bool:
        """Whether the stdin channel is connected; the kernel drops a question that comes before."""
        return bool(self._sockets["stdin"].poll(0, zmq.POLLOUT))

    def close(self) -> None:
        self._context.destroy(linger=0)


def summary(message: Message) -> str:
    """A message in one line for the log: its kind, ids, state and size. No value, no code, no output."""
    content, header = message["content"], message["header"]
    parent = message["parent_header"].get("msg_id", "")
    words = [header["msg_type"], log.short_id(header["msg_id"])]
    words += [f"of {log.short_id(parent)}"] if parent else []
    words += [content[key] for key in ("execution_state", "status", "ename") if isinstance(content.get(key), str)]
    words.append(f"{len(json.dumps(content, default=repr)):,} bytes")
    return " ".join(words)


class Doorbell:
    """Wakes the thread that waits for messages. Any thread may ring."""

    def __init__(self) -> None:
        self._inside, self._outside = socket.socketpair()
        for end in (self._inside, self._outside):
            end.setblocking(False)

    def fileno(self) -> int:
        return self._inside.fileno()

    def ring(self) -> None:
        with contextlib.suppress(OSError):  # it is ringing already, or is closed
            self._outside.send(b"\0")

    def clear(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._inside.recv(4096)

    def close(self) -> None:
        self._inside.close()
        self._outside.close()
