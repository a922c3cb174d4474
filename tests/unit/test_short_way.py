"""Requests for values in the kernel that is called, and what their replies say of output."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from jupyter_client.session import Session

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
