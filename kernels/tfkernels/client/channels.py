"""Sockets to a kernel, with Jupyter's ``Session``. See docs/design/cells-in-other-kernels.md."""

from __future__ import annotations

import contextlib
import hmac
import json
import logging
import socket
import threading
from collections import deque
from typing import Any

import zmq
from jupyter_client.session import DELIM, Session

from tfkernels import log, protocol
from tfkernels.client import discovery
from tfkernels.client.process import Process
from tfkernels.protocol import Message

_log = log.logger("client.channels")

BATCH_SIZE = 200
"""Messages of one channel that are received together: enough to join lines that a cell printed one by one, and few
enough that a question or an interrupt does not wait behind them."""


class Channels:
    """The client's ends of the shell, iopub, stdin and control channels of a kernel's process.

    One thread opens them, receives, and closes them; any thread may call the other methods. Every message to the kernel
    and from it passes ``receive``.
    """

    def __init__(self, name: str, process: Process) -> None:
        self.name = name
        self.process = process
        self.closing = False
        """Whether the thread has to end."""
        self.short_way = False
        """Whether requests without code take the short way (see ``protocol``)."""
        self.short_way_open = False
        self._values: socket.socket | None = None
        self._session = Session(
            key=process.connection["key"].encode(),
            signature_scheme=process.connection["signature_scheme"],
            username="tfkernels",
        )
        self._context = zmq.Context()
        self._lock = threading.RLock()
        self._outbox: deque[tuple[str, Message]] = deque()
        self._bell, self._rope = socket.socketpair()
        for end in (self._bell, self._rope):
            end.setblocking(False)

    # In any thread

    def message(self, kind: str, content: dict[str, Any], metadata: dict[str, Any] | None = None) -> Message:
        with self._lock:  # the session numbers its messages
            message: Message = self._session.msg(kind, content, metadata=metadata)
        return message

    def caused(self, message: Message) -> bool:
        """Whether one of our messages caused it, not another client's."""
        return bool(message["parent_header"].get("session", self._session.session) == self._session.session)

    def post(self, channel: str, message: Message) -> None:
        """Sends a message at once, also while a cell runs."""
        self._outbox.append((channel, message))
        self.wake()

    def wake(self) -> None:
        """Makes the thread look at once: an event has come that a cell may wait for."""
        with contextlib.suppress(OSError):  # it has been woken already, or has ended
            self._rope.send(b"\0")

    # In the thread of the connection

    def open_channels(self) -> None:
        # In the order in which messages are handled: a cell's output before the reply that ends it.
        self._sockets = {
            "iopub": self._connect(zmq.SUB, "iopub_port"),
            "stdin": self._connect(zmq.DEALER, "stdin_port", immediate=True),
            "control": self._connect(zmq.DEALER, "control_port"),
            "shell": self._connect(zmq.DEALER, "shell_port"),
        }
        self._sockets["iopub"].subscribe(b"")
        self._poller = zmq.Poller()
        for end in (self._bell.fileno(), *self._sockets.values()):
            self._poller.register(end, zmq.POLLIN)

    def _connect(self, kind: int, port: str, immediate: bool = False) -> zmq.Socket[bytes]:
        end = self._context.socket(kind)
        end.linger = 0
        # Output that is not read yet waits in memory; by default zmq drops it at 1,000 messages.
        end.set_hwm(0)
        # A kernel's replies are routed by identity; stdin must have the one of shell.
        end.identity = self._session.bsession
        end.immediate = immediate
        discovery.connect(end, self.process.connection, port)
        return end

    def receive(self, timeout: float) -> list[tuple[str, Message]]:
        """Sends what is posted, and returns the messages that have arrived, with the names of their channels.

        There are none after ``timeout`` seconds of silence, or when another thread wakes this one.
        """
        self.flush()
        ready = dict(self._poller.poll(int(timeout * 1000)))
        if self._bell.fileno() in ready:
            self._bell.recv(4096)
        received = []
        if self._values is not None and self._values.fileno() in ready:
            reply = self._receive_values()
            if reply is not None:
                self._log_message(">", "values", reply)
                received.append(("values", reply))
        for channel, end in self._sockets.items():
            for _ in range(BATCH_SIZE if end in ready else 0):
                try:
                    message = self._read(end.recv_multipart(zmq.NOBLOCK))
                except zmq.Again:
                    break
                self._log_message(">", channel, message)
                received.append((channel, message))
        return received

    def flush(self) -> None:
        """Sends what is posted."""
        while self._outbox:
            channel, message = self._outbox.popleft()
            self._log_message("<", channel, message)
            if message["header"]["msg_type"] == protocol.VALUES_REQUEST:
                self._send_values(message)
            else:
                self._session.send(self._sockets[channel], message)

    def open_short_way(self) -> None:
        """Connects to the socket for requests without code."""
        self._values = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._values.settimeout(None)  # a notebook may have set a default
        self._values.connect(str(self.process.folder / protocol.VALUES_SOCKET))
        self._poller.register(self._values.fileno(), zmq.POLLIN)
        self.short_way = self.short_way_open = True

    def _send_values(self, message: Message) -> None:
        assert self._values is not None
        packed = self._session.pack({key: message[key] for key in ("header", "metadata", "content")})
        with contextlib.suppress(OSError):  # its process has ended, which is noticed at once
            self._values.sendall(protocol.VALUES_LENGTH.pack(len(packed)) + packed)

    def _receive_values(self) -> Message | None:
        assert self._values is not None
        with contextlib.suppress(OSError):
            length = protocol.read_exactly(self._values, protocol.VALUES_LENGTH.size)
            if length:
                packed = protocol.read_exactly(self._values, protocol.VALUES_LENGTH.unpack(length)[0])
                header = {"msg_type": protocol.VALUES_REPLY, "msg_id": ""}
                return {"header": header, "metadata": {}, "buffers": [], **json.loads(packed)}
        self.short_way = self.short_way_open = False  # its process has ended
        self._poller.unregister(self._values.fileno())
        return None

    def _read(self, frames: list[bytes]) -> Message:
        """A message from its frames. Raises ``ValueError`` if it is not signed with the kernel's key.

        Not by ``Session``: that turns each date into an object, which takes half of the time of a small value.
        """
        start = frames.index(DELIM) + 1
        signature, *parts = frames[start : start + 5]
        if not hmac.compare_digest(signature, self._session.sign(parts)):
            raise ValueError(f"a message of kernel {self.name} has a wrong signature")
        names = ("header", "parent_header", "metadata", "content")
        message: Message = dict(zip(names, map(json.loads, parts)))
        message["buffers"] = [memoryview(frame) for frame in frames[start + 5 :]]
        return message

    def can_be_asked(self, timeout: float) -> bool:
        """Whether the stdin channel is connected within ``timeout`` seconds; the kernel drops a question before."""
        return bool(self._sockets["stdin"].poll(int(timeout * 1000), zmq.POLLOUT))

    def close_channels(self) -> None:
        self._context.destroy(linger=0)
        if self._values is not None:
            self._values.close()
        self._bell.close()
        self._rope.close()

    def _log_message(self, direction: str, channel: str, message: Message) -> None:
        """One line: kind, ids, state and size. No value, no code, no output."""
        if not _log.isEnabledFor(logging.DEBUG):
            return
        content, header = message["content"], message["header"]
        parent = message["parent_header"].get("msg_id", "")
        words = [header["msg_type"], log.short_id(header["msg_id"])]
        words += [f"of {log.short_id(parent)}"] if parent else []
        words += [content[key] for key in ("execution_state", "status", "ename") if isinstance(content.get(key), str)]
        words.append(f"{len(json.dumps(content, default=repr)):,} bytes")
        _log.debug("%s %s %s %s", self.name, direction, channel, " ".join(words))
