"""The first exchange of messages with a kernel, until it can be given a cell."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

from tfkernels.client import bootstrap
from tfkernels.client.channels import Channels
from tfkernels.client.process import Process
from tfkernels.errors import KernelStartError
from tfkernels.protocol import Message
from tfkernels.transfer.shared_memory.segment import Segment

START_TIMEOUT = 60.0
"""Seconds from launch to the first answer."""

LOOK = 0.2
"""Seconds between two looks whether the kernel is still there."""

ECHO = 1.0
"""Seconds that what a request made the kernel publish may come later than the reply."""


class Closed(Exception):
    """Nobody wants to talk to the kernel any more."""


class Opening:
    """Belongs to the thread that has the channels. ``message`` makes a message; ``closed`` says whether to give up."""

    def __init__(
        self,
        name: str,
        process: Process,
        channels: Channels,
        message: Callable[[str, dict[str, Any]], Message],
        closed: Callable[[], bool],
    ) -> None:
        self._name = name
        self._process = process
        self._channels = channels
        self._message = message
        self._closed = closed

    def open(self) -> str:
        """Returns why values cannot be passed, or nothing. Raises ``KernelStartError``, ``Closed``."""
        if self._process.owned:
            self._wait_until_ready()
        unreachable = self._invite() if self._process.invited else ""
        self._process.new_stderr()  # what was said at the start is no output of the first cell
        return unreachable

    def _wait_until_ready(self) -> None:
        """Until a request is answered *and* its echo arrives on iopub: before that, output would be lost."""
        deadline = time.monotonic() + START_TIMEOUT
        answered = listening = False
        while not (answered and listening and self._channels.can_be_asked()):
            self._channels.send("shell", self._message("kernel_info_request", {}))
            until = time.monotonic() + LOOK
            while time.monotonic() < until and not (answered and listening):
                for channel, _ in self._channels.receive(max(0.0, until - time.monotonic())):
                    answered = answered or channel == "shell"
                    listening = listening or channel == "iopub"
                self._look()
            if time.monotonic() > deadline:
                raise KernelStartError(
                    f"kernel {self._name} did not answer within {START_TIMEOUT:.0f} s of its start. The machine may "
                    f"be very busy; otherwise {self._process.remedy}"
                )

    def _look(self) -> None:
        if self._closed():
            raise Closed
        if not self._process.alive():
            raise KernelStartError(
                f"kernel {self._name} did not start: its process {self._process.obituary()}\nTo mend that, "
                f"{self._process.remedy}"
            )

    def _invite(self) -> str:
        """Makes a kernel that our launcher did not start take values along."""
        send = bootstrap.wants_package(self._name, self._ask(bootstrap.questions()))
        with Segment() as segment:
            reply = self._ask(bootstrap.order(send, segment.address, self._process.order()))
        facts = bootstrap.facts(self._name, reply)
        self._process.meet(facts)
        return facts.unreachable

    def _ask(self, content: dict[str, Any]) -> dict[str, Any]:
        """The reply to a silent request, when its echo has arrived on iopub, too.

        A kernel that is not ours may be busy as long as its user likes; it is only looked whether it is still there.
        """
        while True:
            request = self._message("execute_request", content)
            self._channels.send("shell", request)
            until = time.monotonic() + START_TIMEOUT if self._process.owned else math.inf
            reply: dict[str, Any] | None = None
            echo = False
            while time.monotonic() < until and not (reply and echo):
                for channel, message in self._channels.receive(LOOK):
                    if message["parent_header"].get("msg_id") != request["header"]["msg_id"]:
                        continue
                    if channel == "shell":
                        reply, until = message["content"], time.monotonic() + ECHO
                    echo = echo or channel == "iopub"
                self._look()
            if reply is None:
                raise KernelStartError(f"kernel {self._name} does not answer; {self._process.remedy}")
            if echo and reply["status"] != "aborted":  # as all that waits is, when a cell of its own notebook fails
                return reply
