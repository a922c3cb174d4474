"""Questions to another kernel while the user types: answered at once, or not at all."""

from __future__ import annotations

from typing import Any

from tfkernels.client import kernel as remote
from tfkernels.client import kernelspecs
from tfkernels.errors import TFKernelsError

PATIENCE = 1.0
"""Seconds. Answers take milliseconds; the first of a TensorFlow 1 loads modules that it had put off."""


def is_kernel(name: str) -> bool:
    """Whether the name is one of a magic's."""
    found = remote.known.get(name)
    return found.magic == f"%%{name}" if found is not None else name in kernelspecs.find()


def ask(kernel: str, kind: str, content: dict[str, Any]) -> dict[str, Any] | None:
    """The content of the reply; ``None`` if the kernel does not run, is busy, or does not answer in time."""
    found = remote.known.get(kernel)
    if found is None or found.state != "idle":
        return None
    try:
        reply = found.request(kind, content, PATIENCE)
    except (TFKernelsError, TimeoutError):
        return None
    return reply if reply.get("status") == "ok" else None
