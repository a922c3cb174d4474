"""Requests for values in the kernel that is called, and what their replies say of output."""

from __future__ import annotations

import json
import socket
import threading
from types import SimpleNamespace
from typing import Any

import pytest
from jupyter_client.session import Session

from tfkernels import protocol
from tfkernels.client.channels import Channels
from tfkernels.kernel_side import values


class CalledKernel:
    """A kernel that answers every request with "ok"."""

    def __init__(self, prints: bool) -> None:
        self.session = Session(key=b"0" * 32)
        self.calls: list[str] = []
        self.iopub_socket: Any = SimpleNamespace(send_multipart=lambda *_, **__: self.calls.append("published"))
        self.tfkernels = SimpleNamespace(exchange_values=self._exchange)
        self._prints = prints

    def _exchange(self) -> dict[str, Any]:
        if self._prints:
            self.session.send(self.iopub_socket, "stream", {"name": "stdout", "text": "said"})
        self.calls.append("exchanged")
        return {"status": "ok"}

    def set_parent(self, idents: list[bytes], message: dict[str, Any]) -> None:
        self.calls.append(f"parent {message['header']['msg_id']} of {idents}")


@pytest.mark.parametrize("prints", [False, True])
def test_a_reply_says_whether_output_was_published(prints: bool) -> None:
    kernel = CalledKernel(prints)
    request = {"header": {"msg_id": "1", "session": "me"}}
    assert values.answer(kernel, request) == {"status": "ok", "shown": prints}
    assert kernel.calls == ["parent 1 of [b'me']", *(["published"] if prints else []), "exchanged"]


def test_a_kernel_in_another_event_loop_says_so() -> None:
    assert values.are_read(SimpleNamespace())
    assert values.are_read(SimpleNamespace(eventloop=None))
    assert not values.are_read(SimpleNamespace(eventloop=print))


def test_a_large_reply_is_whole_despite_a_time_limit() -> None:
    content = json.dumps({"parent_header": {}, "content": {"evalue": "x" * 5_000_000}}).encode()
    connection = {"key": "0" * 32, "signature_scheme": "hmac-sha256"}
    channels = Channels("tf1", SimpleNamespace(connection=connection))  # type: ignore[arg-type]
    kernel, channels._values = socket.socketpair()
    channels._values.settimeout(60)  # as after socket.setdefaulttimeout
    sender = threading.Thread(target=kernel.sendall, args=[protocol.VALUES_LENGTH.pack(len(content)) + content])
    sender.start()
    try:
        reply = channels._receive_values()
    finally:
        channels.close_channels()
        sender.join()
        kernel.close()
    assert reply is not None
    assert len(reply["content"]["evalue"]) == 5_000_000
