"""What programs and the C++ runtime write to file descriptor 1 itself, which ipykernel reads through a pipe."""

import os
import sys
import time
import typing

PATIENCE = 0.2
"""Seconds. A server that a cell started may write all the time."""


def settle() -> None:
    """Waits until ipykernel's thread has read the pipe. On a busy machine it comes after the end of the cell."""
    pipe: typing.Optional[int] = getattr(sys.stdout, "_fid", None)  # no public name; not there in ipykernel 5
    if pipe is None or os.name != "posix":
        return
    deadline = time.monotonic() + PATIENCE
    while _unread(pipe) and time.monotonic() < deadline:
        time.sleep(0.001)


def _unread(pipe: int) -> int:
    """Bytes."""
    import fcntl
    import termios

    try:
        return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)
    except OSError:
        return 0
