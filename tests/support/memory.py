"""Shared memory and descriptors of this process."""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Iterator
from typing import Any

from tfkernels.transfer.decoder import unpack
from tfkernels.transfer.encoder import ValueMessage
from tfkernels.transfer.shared_memory.segment import Segment


def send(values: dict[str, Any], segment: Segment) -> dict[str, Any]:
    """Values, written to a segment and read from it again."""
    return unpack(ValueMessage(values).write(segment.descriptor, segment.address))


def descriptors() -> int:
    """How many files this process has open."""
    return len(os.listdir("/proc/self/fd"))


def open_files() -> list[str]:
    """What the descriptors of this process lead to."""
    found = []
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # the listing's own
            found.append(os.readlink(f"/proc/self/fd/{number}"))
    return found


def open_segments() -> int:
    """Descriptors of shared memory. Others come and go with the sockets of kernels."""
    return sum("memfd:tfkernels" in path for path in open_files())


@contextlib.contextmanager
def limited(kind: int, value: int) -> Iterator[None]:
    """A limit of the system for this process."""
    limits = resource.getrlimit(kind)
    resource.setrlimit(kind, (value, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(kind, limits)
