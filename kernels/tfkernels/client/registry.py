"""The kernels of this process by name, one object for each."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tfkernels.client.kernel import Kernel

known: dict[str, Kernel] = {}
"""Kernels by name, whether they run or not, attached ones too."""

_lock = threading.RLock()


def get(name: str) -> Kernel:
    """The kernel ``name``, the same object in every thread. Raises ``UnknownKernel``."""
    from tfkernels.client.kernel import Kernel  # it imports NumPy, and magics are loaded in each kernel at its start

    with _lock:
        if name not in known:
            known[name] = Kernel(name)
        return known[name]


def add(kernel: Kernel) -> None:
    """Registers an attached kernel, instead of one of the same name."""
    with _lock:
        known[kernel.name] = kernel


def running() -> list[Kernel]:
    """The kernels that this process started or attached, and has not shut down."""
    return [kernel for kernel in list(known.values()) if kernel.started]


def _after_fork() -> None:
    """In the child: the thread that held the lock does not exist."""
    global _lock
    _lock = threading.RLock()


os.register_at_fork(after_in_child=_after_fork)
