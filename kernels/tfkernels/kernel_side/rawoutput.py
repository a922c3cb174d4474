"""What programs and the C++ runtime write to file descriptor 1 itself, which ipykernel reads through a pipe.

In our own kernels ``tfkernels.kernel_side.stdout`` does that; here is what can be done in others.
"""

import os
import sys
import time
import typing

PATIENCE = 0.2
"""Seconds. A server that a cell started may write all the time."""


def settle() -> None:
    """Waits until ipykernel's thread has read the pipe. On a busy machine it comes after the end of the cell."""
    stream: typing.Any = sys.stdout
    if hasattr(stream, "settle"):
        stream.settle()
        return
    pipe: typing.Optional[int] = getattr(stream, "_fid", None)  # no public name; not there in ipykernel 5
    if pipe is None or os.name != "posix":
        return
    deadline = time.monotonic() + PATIENCE
    while unread(pipe) and time.monotonic() < deadline:
        time.sleep(0.001)


def show_once() -> None:
    """ipykernel writes what it has read to where the descriptor led before, too. In a kernel that another one started
    that is the log of its errors, which is shown as well."""
    stream: typing.Any = sys.stdout
    before: typing.Optional[int] = getattr(stream, "_original_stdstream_copy", None)  # no public name
    if before is None:
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, before)
    os.close(nowhere)
    stream.fileno = lambda: 1  # `subprocess.run(…, stdout=sys.stdout)`: it was the same


def unread(pipe: int) -> int:
    """Bytes."""
    import fcntl
    import termios

    try:
        return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)
    except OSError:
        return 0
