"""The first messages to a kernel."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from tfkernels.client import handshake


class SlowStdin:
    """Stand-in for channels to a kernel that answers at once, and whose stdin channel is connected late."""

    name = "tf1"
    closing = False
    process = SimpleNamespace(owned=True, needs_setup=False, alive=lambda: True, new_stderr=lambda: "")

    def __init__(self) -> None:
        self.requests = self.looks = 0

    def message(self, kind: str, content: dict[str, Any]) -> str:
        return kind

    def post(self, channel: str, message: str) -> None:
        self.requests += 1

    def receive(self, timeout: float) -> list[tuple[str, dict[str, Any]]]:
        return [("shell", {"content": {}}), ("iopub", {"content": {}})]

    def can_be_asked(self, timeout: float) -> bool:
        self.looks += 1
        return self.looks > 2_000


def test_a_late_stdin_channel_brings_no_further_requests() -> None:
    """A kernel with 1,000 requests on their way and 1,000 replies stands still for ever."""
    channels: Any = SlowStdin()
    assert handshake.run(channels) == ""
    assert channels.requests == 1
    assert channels.looks == 2_001
