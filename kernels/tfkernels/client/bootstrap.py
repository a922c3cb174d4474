"""What is asked of a kernel that was not started by our launcher, before its first cell: two silent requests.

The first finds out what it is. The second makes it take values along; this package goes with it, if it is not there.
Nothing appears in its namespace, its history or on its disk.
"""

from __future__ import annotations

import ast
import base64
import json
from typing import Any, NamedTuple

from tfkernels.errors import KernelStartError
from tfkernels.kernel_side import archive
from tfkernels.kernel_side.inject import PROTOCOL
from tfkernels.transfer.shared_memory.segment import Address

OLDEST = (3, 6)
"""The oldest Python that can be the other side of a magic."""

# Written so that Python 2 understands them. The package is looked for where it is imported: one that is installed and
# not imported gives way to the one that is sent.
_QUESTIONS = {
    "python": "__import__('sys').version_info[:2]",
    "ipykernel": "'ipykernel' in __import__('sys').modules",
    "protocol": (
        "__import__('importlib').import_module('tfkernels.kernel_side.inject').PROTOCOL "
        "if 'tfkernels' in __import__('sys').modules else None"
    ),
}

_SETTLE = "__import__('importlib').import_module('tfkernels.kernel_side.inject').settle({order!r})"
_SEND = (
    "(lambda scope: (exec({source!r}, scope), "
    "scope['install'](__import__('base64').b64decode({content!r})), {settle}))"
    "({{'__name__': 'tfkernels.kernel_side.archive'}})[-1]"
)


class Facts(NamedTuple):
    """What a kernel said about itself."""

    pid: int
    python: str
    unreachable: str
    """Why it cannot open memory of this process; empty if it can."""


def questions() -> dict[str, Any]:
    """The content of the first request, of the kind ``execute_request``."""
    return _request(_QUESTIONS)


def wants_package(kernel: str, reply: dict[str, Any]) -> bool:
    """Whether the package has to go along with the second request. Raises ``KernelStartError`` if there is no way."""
    python = _answer(reply, "python")
    if not isinstance(python, tuple):
        raise _refused(kernel, "it does not answer as a Python kernel does")
    if python < OLDEST:
        raise _refused(kernel, f"it runs on Python {python[0]}.{python[1]}, and {OLDEST[0]}.{OLDEST[1]} is the oldest")
    if _answer(reply, "ipykernel") is not True:
        raise _refused(kernel, "it is a Python kernel of another kind than ipykernel")
    answer = reply["user_expressions"]["protocol"]
    if answer["status"] == "ok" and _answer(reply, "protocol") is None:
        return True
    if _answer(reply, "protocol") != PROTOCOL:
        raise _refused(kernel, "another version of tfkernels was imported there; restart it, or upgrade the older one")
    return False


def order(send: bool, segment: Address, owned: dict[str, Any] | None) -> dict[str, Any]:
    """The content of the second request; ``send`` the package along. See ``tfkernels.kernel_side.inject.settle``."""
    expression = _SETTLE.format(order=json.dumps({"segment": segment, "owned": owned}))
    if send:
        content = base64.b64encode(archive.pack()).decode("ascii")
        expression = _SEND.format(source=archive.source(), content=content, settle=expression)
    return _request({"facts": expression})


def facts(kernel: str, reply: dict[str, Any]) -> Facts:
    """What it said to the second request. Raises ``KernelStartError`` if it cannot do what is wanted."""
    answer = _answer(reply, "facts")
    if not isinstance(answer, str):
        found = reply.get("user_expressions", {}).get("facts", reply)
        raise _refused(kernel, f"{found.get('ename', 'it did not answer')} {found.get('evalue', '')}".strip())
    found = json.loads(answer)
    if "problem" in found:
        raise _refused(kernel, found["problem"])
    return Facts(found["pid"], found["python"], found["unreachable"])


def _request(expressions: dict[str, str]) -> dict[str, Any]:
    return {
        "code": "",
        "silent": True,
        "store_history": False,
        "user_expressions": expressions,
        "allow_stdin": False,
        "stop_on_error": False,
    }


def _answer(reply: dict[str, Any], name: str) -> Any:
    """The value of an expression, a plain one; ``None`` if there is none."""
    found = reply.get("user_expressions", {}).get(name, {})
    try:
        return ast.literal_eval(found["data"]["text/plain"])
    except (KeyError, TypeError, ValueError, SyntaxError):
        return None


def _refused(kernel: str, why: str) -> KernelStartError:
    return KernelStartError(f"kernel {kernel} cannot be used from here: {why}")
