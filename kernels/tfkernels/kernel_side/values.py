"""Short way for requests without code: inputs are bound and expressions evaluated, without IPython's cell around it.

There is no history, no hook of a cell, and no message that the kernel is busy. The requests come through a socket that
the main thread reads between other requests. ``protocol`` has the format. See docs/design/short-way.md.
Python 3.6 and newer, ipykernel 5 to 7.
"""

import contextlib
import json
import os
import socket
import sys
import threading
import typing

from tfkernels import protocol
from tfkernels.kernel_side import stdout


def are_read(kernel: typing.Any) -> bool:
    """Whether the kernel reads its socket at once: it does unless another event loop, such as Qt's, waits in its."""
    return getattr(kernel, "eventloop", None) is None


class Server:
    """The socket of one kernel, in the private folder of the process that started it, which is the only client."""

    def __init__(self, kernel: typing.Any, folder: str) -> None:
        self._kernel = kernel
        self._cells = 0
        self._client: typing.Optional[socket.socket] = None
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(os.path.join(folder, protocol.VALUES_SOCKET))
        self._listener.listen(1)
        kernel.io_loop.add_handler(self._listener, self._accept, kernel.io_loop.READ)

    def _accept(self, *_: typing.Any) -> None:
        self._kernel.io_loop.remove_handler(self._listener)
        self._client, _ = self._listener.accept()
        self._client.settimeout(None)  # a start-up file may have set a default
        self._listener.close()
        if not self._cells:
            self._listen()

    def _listen(self) -> None:
        self._kernel.io_loop.add_handler(self._client, self._read, self._kernel.io_loop.READ)

    def pause(self) -> None:
        """A request on the shell channel begins: one that awaits must not have others in its middle."""
        if threading.current_thread() is not threading.main_thread():
            return  # a subshell runs it
        self._cells += 1
        if self._cells == 1 and self._client is not None:
            self._kernel.io_loop.remove_handler(self._client)

    def resume(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        self._cells -= 1
        if not self._cells and self._client is not None:
            self._listen()

    def _read(self, *_: typing.Any) -> None:
        client = typing.cast(socket.socket, self._client)
        length = protocol.read_exactly(client, protocol.VALUES_LENGTH.size)
        if not length:
            self._kernel.io_loop.remove_handler(client)
            self._client = None
            client.close()
            return
        content = protocol.read_exactly(client, protocol.VALUES_LENGTH.unpack(length)[0])
        message = {"parent_header": {}, "buffers": [], **json.loads(content.decode("utf-8"))}
        reply = answer(self._kernel, message)
        packed = json.dumps({"parent_header": message["header"], "content": reply}).encode("ascii")
        client.sendall(protocol.VALUES_LENGTH.pack(len(packed)) + packed)
        if reply["shown"]:
            kernel, status = self._kernel, {"execution_state": "idle"}
            kernel.session.send(kernel.iopub_socket, "status", status, parent=message, ident=b"status")


def answer(kernel: typing.Any, message: typing.Dict[str, typing.Any]) -> typing.Dict[str, typing.Any]:
    """The content of the reply. What an expression shows or asks belongs to the request."""
    client = message["header"]["session"].encode("ascii")  # its identity on the stdin channel
    kernel.set_parent([client], message)
    sent = kernel.session.message_count
    reply: typing.Dict[str, typing.Any] = kernel.tfkernels.exchange_values()
    stdout.drain()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # a cell may have put anything there
            stream.flush()
    reply["shown"] = kernel.session.message_count != sent
    return reply
