"""The first messages to a kernel, until it takes cells.

A kernel of ours only has to answer. Another kernel gets two silent requests before its first cell: the first asks for
its Python and ipykernel, the second prepares it for values, and brings this package along if it is missing there.
Nothing appears in its namespace, its history or on its disk.
"""

from __future__ import annotations

import ast
import base64
import json
import math
import time
from collections.abc import Callable
from typing import Any

from tfkernels.client.channels import Channels
from tfkernels.client.process import KernelInfo, Process
from tfkernels.errors import KernelStartError
from tfkernels.kernel_side import inject
from tfkernels.protocol import PROTOCOL, Message
from tfkernels.transfer.shared_memory.segment import Segment

START_TIMEOUT = 60.0
"""Seconds from launch to the first answer."""

POLL_INTERVAL = 0.2
"""Seconds between two looks whether the kernel lives."""

ECHO_TIMEOUT = 1.0
"""Seconds from the reply of a request to the messages that it published."""

OLDEST_PYTHON = (3, 6)
"""The oldest Python of a kernel that takes cells."""

# Python 2 understands these, too. An installed package that is not imported yet gives way to the one that is sent.
_QUESTIONS = {
    "python": "__import__('sys').version_info[:2]",
    "ipykernel": "'ipykernel' in __import__('sys').modules",
    "protocol": (
        "__import__('importlib').import_module('tfkernels.protocol').PROTOCOL "
        "if 'tfkernels' in __import__('sys').modules else None"
    ),
}
_PREPARE = "__import__('importlib').import_module('tfkernels.kernel_side.inject').prepare({order!r})"
_SEND = (
    "(lambda scope: (exec({source!r}, scope), "
    "scope['install'](__import__('base64').b64decode({content!r})), {prepare}))"
    "({{'__name__': 'tfkernels.kernel_side.inject'}})[-1]"
)


class Cancelled(Exception):
    """The connection is closed before the kernel is ready."""


class Handshake:
    """Runs in the thread that owns the channels."""

    def __init__(
        self,
        name: str,
        process: Process,
        channels: Channels,
        message: Callable[[str, dict[str, Any]], Message],
        cancelled: Callable[[], bool],
    ) -> None:
        """``message`` makes a message of a kind and a content; ``cancelled`` says whether to give up."""
        self._name = name
        self._process = process
        self._channels = channels
        self._message = message
        self._cancelled = cancelled

    def run(self) -> str:
        """Returns the reason why values cannot be passed, or nothing. Raises ``KernelStartError``, ``Cancelled``."""
        if self._process.owned:
            self._wait_until_ready()
        unreachable = self._set_up() if self._process.needs_setup else ""
        self._process.new_stderr()  # messages of the start are no output of the first cell
        return unreachable

    def _wait_until_ready(self) -> None:
        """Until a request is answered *and* its echo arrives on iopub: before that, output would be lost."""
        deadline = time.monotonic() + START_TIMEOUT
        answered = listening = False
        while not (answered and listening and self._channels.can_be_asked()):
            self._channels.send("shell", self._message("kernel_info_request", {}))
            until = time.monotonic() + POLL_INTERVAL
            while time.monotonic() < until and not (answered and listening):
                for channel, _ in self._channels.receive(max(0.0, until - time.monotonic())):
                    answered = answered or channel == "shell"
                    listening = listening or channel == "iopub"
                self._check_alive()
            if time.monotonic() > deadline:
                raise KernelStartError.no_answer(self._name, START_TIMEOUT, self._process.start_hint)

    def _check_alive(self) -> None:
        if self._cancelled():
            raise Cancelled
        if not self._process.alive():
            raise KernelStartError.ended(self._name, self._process.crash_report(), self._process.start_hint)

    def _set_up(self) -> str:
        """Prepares a kernel that our launcher did not start for values. Returns why they cannot be passed."""
        send_package = self._needs_package(self._ask(_QUESTIONS))
        with Segment() as segment:
            order = json.dumps({"segment": segment.address, "owned": self._process.parent_watch()})
            expression = _PREPARE.format(order=order)
            if send_package:
                content = base64.b64encode(inject.pack()).decode("ascii")
                expression = _SEND.format(source=inject.source(), content=content, prepare=expression)
            reply = self._ask({"info": expression})
        info = self._info(reply)
        self._process.set_info(info)
        return info.unreachable

    def _needs_package(self, reply: dict[str, Any]) -> bool:
        """Raises ``KernelStartError`` for a kernel that cannot be set up."""
        python = _value(reply, "python")
        if not isinstance(python, tuple):
            raise KernelStartError.unusable(self._name, "it does not answer as a Python kernel does")
        if python < OLDEST_PYTHON:
            versions = ".".join(map(str, python)), ".".join(map(str, OLDEST_PYTHON))
            raise KernelStartError.unusable(self._name, f"it runs Python {versions[0]}; {versions[1]} is the oldest")
        if _value(reply, "ipykernel") is not True:
            raise KernelStartError.unusable(self._name, "it is a Python kernel of another kind than ipykernel")
        protocol = _value(reply, "protocol")
        if protocol is None and reply["user_expressions"]["protocol"]["status"] == "ok":
            return True
        if protocol != PROTOCOL:
            why = "it has imported another version of tfkernels. Restart it, or upgrade the older one"
            raise KernelStartError.unusable(self._name, why)
        return False

    def _info(self, reply: dict[str, Any]) -> KernelInfo:
        answer = _value(reply, "info")
        if not isinstance(answer, str):
            error = reply.get("user_expressions", {}).get("info", reply)
            why = f"{error.get('ename', 'it did not answer')} {error.get('evalue', '')}".strip()
            raise KernelStartError.unusable(self._name, why)
        found = json.loads(answer)
        if "problem" in found:
            raise KernelStartError.unusable(self._name, found["problem"])
        return KernelInfo(found["pid"], found["python"], found["unreachable"])

    def _ask(self, expressions: dict[str, str]) -> dict[str, Any]:
        """The reply to a silent request, when its echo has arrived on iopub, too.

        An attached kernel may be busy for as long as its notebook likes; it only has to live.
        """
        flags = {"silent": True, "store_history": False, "allow_stdin": False, "stop_on_error": False}
        content = {"code": "", "user_expressions": expressions, **flags}
        while True:
            request = self._message("execute_request", content)
            self._channels.send("shell", request)
            until = time.monotonic() + START_TIMEOUT if self._process.owned else math.inf
            reply: dict[str, Any] | None = None
            echo = False
            while time.monotonic() < until and not (reply and echo):
                for channel, message in self._channels.receive(POLL_INTERVAL):
                    if message["parent_header"].get("msg_id") != request["header"]["msg_id"]:
                        continue
                    if channel == "shell":
                        reply, until = message["content"], time.monotonic() + ECHO_TIMEOUT
                    echo = echo or channel == "iopub"
                self._check_alive()
            if reply is None:
                raise KernelStartError.no_answer(self._name, START_TIMEOUT, self._process.start_hint)
            if echo and reply["status"] != "aborted":  # a cell of its own notebook failed: all that waited is aborted
                return reply


def _value(reply: dict[str, Any], name: str) -> Any:
    """The plain value of a user expression; ``None`` if there is none."""
    found = reply.get("user_expressions", {}).get(name, {})
    try:
        return ast.literal_eval(found["data"]["text/plain"])
    except (KeyError, TypeError, ValueError, SyntaxError):
        return None
