"""The kernels of this process by name, one object for each. Importing it is cheap: every kernel loads the magics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfkernels.imports import own_imports

if TYPE_CHECKING:
    from tfkernels.client.kernel import Kernel

known: dict[str, Kernel] = {}
"""Kernels by name, whether they run or not, attached ones too."""


def get(name: str) -> Kernel:
    """The kernel ``name``, the same object in every thread. Raises ``UnknownKernel``."""
    if name in known:
        return known[name]
    with own_imports():
        from tfkernels.client.kernel import Kernel

    return known.setdefault(name, Kernel(name))


def running() -> list[Kernel]:
    """The kernels that this process started or attached, and has not shut down."""
    return [kernel for kernel in list(known.values()) if kernel.started]
