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
from typing import Any

from tfkernels.client.channels import Channels
from tfkernels.errors import KernelStartError
from tfkernels.kernel_side import inject
from tfkernels.protocol import PROTOCOL, VALUES_FORMAT, VALUES_KEY, Message
from tfkernels.transfer.shared_memory.segment import Segment

# Seconds
START_TIMEOUT = 180.0  # from launch to the first answer: a kernel that has ended is noticed at once
POLL_INTERVAL = 0.2  # between two looks whether the kernel lives
ECHO_TIMEOUT = 1.0  # from the reply of a request to the messages that it published

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


def run(channels: Channels) -> str:
    """Returns the reason why values cannot be passed, or nothing. Raises ``KernelStartError``, ``Cancelled``."""
    process = channels.process
    if process.owned:
        _wait_until_ready(channels)
    unreachable = _set_up(channels) if process.needs_setup else ""
    process.new_stderr()  # messages of the start are no output of the first cell
    return unreachable


def _wait_until_ready(channels: Channels) -> None:
    """Until a request is answered *and* its echo arrives on iopub: before that, output would be lost."""
    deadline = time.monotonic() + START_TIMEOUT
    answered = listening = takes_values = False
    while not (answered and listening):
        channels.post("shell", channels.message("kernel_info_request", {}))
        until = time.monotonic() + POLL_INTERVAL
        while time.monotonic() < until and not (answered and listening):
            for channel, message in _receive(channels, until - time.monotonic()):
                if channel == "shell":
                    answered = True
                    takes_values = message["content"].get(VALUES_KEY) == VALUES_FORMAT
                listening = listening or channel == "iopub"
        _check_time(channels, deadline)
    # No further requests meanwhile: with 1,000 on their way, both threads of a kernel wait for each other for ever.
    while not channels.can_be_asked(POLL_INTERVAL):
        _receive(channels, 0)
        _check_time(channels, deadline)
    if takes_values:
        channels.open_short_way()


def _check_time(channels: Channels, deadline: float) -> None:
    if time.monotonic() > deadline:
        raise KernelStartError.no_answer(channels.name, START_TIMEOUT, channels.process.start_hint)


def _receive(channels: Channels, timeout: float) -> list[tuple[str, Message]]:
    received = channels.receive(max(0.0, timeout))
    if channels.closing:
        raise Cancelled
    if not channels.process.alive():
        raise KernelStartError.ended(channels.name, channels.process.crash_report(), channels.process.start_hint)
    return received


def _set_up(channels: Channels) -> str:
    """Prepares a kernel that our launcher did not start for values. Returns why they cannot be passed."""
    send_package = _needs_package(channels.name, _ask(channels, _QUESTIONS))
    with Segment() as segment:
        order = json.dumps({"segment": segment.address, "owned": channels.process.parent_watch()})
        expression = _PREPARE.format(order=order)
        if send_package:
            content = base64.b64encode(inject.pack()).decode("ascii")
            expression = _SEND.format(source=inject.source(), content=content, prepare=expression)
        reply = _ask(channels, {"info": expression})
    answer = _value(reply, "info")
    if isinstance(answer, str):
        info = json.loads(answer)
    else:
        error = reply.get("user_expressions", {}).get("info", reply)
        info = {"problem": f"{error.get('ename', 'it did not answer')} {error.get('evalue', '')}".strip()}
    if "problem" in info:
        raise KernelStartError.unusable(channels.name, info["problem"])
    channels.process.identify(info["pid"], reachable=not info["unreachable"])
    return str(info["unreachable"])


def _needs_package(kernel: str, reply: dict[str, Any]) -> bool:
    """Raises ``KernelStartError`` for a kernel that cannot be set up."""
    python, protocol = _value(reply, "python"), _value(reply, "protocol")
    if not isinstance(python, tuple):
        problem = "it does not answer as a Python kernel does"
    elif python < OLDEST_PYTHON:
        versions = ".".join(map(str, python)), ".".join(map(str, OLDEST_PYTHON))
        problem = f"it runs Python {versions[0]}; {versions[1]} is the oldest"
    elif _value(reply, "ipykernel") is not True:
        problem = "it is a Python kernel of another kind than ipykernel"
    elif protocol is None and reply["user_expressions"]["protocol"]["status"] == "ok":
        return True
    elif protocol == PROTOCOL:
        return False
    else:
        problem = "it has imported another version of tfkernels. Restart it, or upgrade the older one"
    raise KernelStartError.unusable(kernel, problem)


def _ask(channels: Channels, expressions: dict[str, str]) -> dict[str, Any]:
    """The reply to a silent request, when its echo has arrived on iopub, too.

    An attached kernel may be busy for as long as its notebook likes; it only has to live.
    """
    flags = {"silent": True, "store_history": False, "allow_stdin": False, "stop_on_error": False}
    while True:
        request = channels.message("execute_request", {"code": "", "user_expressions": expressions, **flags})
        channels.post("shell", request)
        until = time.monotonic() + START_TIMEOUT if channels.process.owned else math.inf
        reply: dict[str, Any] | None = None
        echo = False
        while time.monotonic() < until and not (reply and echo):
            for channel, message in _receive(channels, POLL_INTERVAL):
                if message["parent_header"].get("msg_id") != request["header"]["msg_id"]:
                    continue
                if channel == "shell":
                    reply, until = message["content"], time.monotonic() + ECHO_TIMEOUT
                echo = echo or channel == "iopub"
        if reply is None:
            raise KernelStartError.no_answer(channels.name, START_TIMEOUT, channels.process.start_hint)
        if echo and reply["status"] != "aborted":  # a cell of its own notebook failed: all that waited is aborted
            return reply


def _value(reply: dict[str, Any], name: str) -> Any:
    """The plain value of a user expression; ``None`` if there is none."""
    found = reply.get("user_expressions", {}).get(name, {})
    try:
        return ast.literal_eval(found["data"]["text/plain"])
    except (KeyError, TypeError, ValueError, SyntaxError):
        return None
