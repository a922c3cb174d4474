"""A cell in the queue of a kernel that is not ours, and the right to take it back.

A queue gives nothing back. So the request names a file of this process, and the kernel runs the cell only if it can
lock that (see ``kernel_side.execute``): who has the lock first decides, the kernel or the one who takes the cell back.
When this process is gone, so is the file, and nobody runs the cell any more.
"""

from __future__ import annotations

import fcntl

from tfkernels.transfer.shared_memory.segment import Address, Segment


class CancelToken:
    """For one cell."""

    def __init__(self) -> None:
        self._segment = Segment()

    @property
    def address(self) -> Address:
        return self._segment.address

    def withdraw(self) -> bool:
        """Whether the cell has not begun, and never will."""
        try:
            fcntl.flock(self._segment.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def close(self) -> None:
        self._segment.close()
