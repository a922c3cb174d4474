"""Shared memory that two processes of one user can both open, and that leaves nothing behind.

On Linux a segment is an anonymous memory file: it has no name in any folder, so when the last process that holds it
ends, however it ends, it is gone. Another process of the same user opens it as ``/proc/<pid>/fd/<number>``.
Elsewhere it is a private temporary file, removed by the side that made it.
"""

import ctypes
import errno
import mmap
import os
import stat
import tempfile
import typing

from tfkernels.errors import ExchangeError

MAP_FROM = 16 * 1024 * 1024
"""Bytes. A smaller segment is read into ordinary memory: a mapping holds a file descriptor as long as it lives."""

Address = typing.Dict[str, typing.Any]
"""How another process opens a segment: its path, and the file's device and inode, because a path of a closed segment
may lead to another file of the user by then."""


class Segment:
    """A segment of our own making. Another process opens it by its ``address`` while this one keeps it open."""

    def __init__(self) -> None:
        self._name: typing.Optional[str] = None
        self._closed = False
        try:
            anonymous = _anonymous_file()
            if anonymous is None:
                self.descriptor, self._name = tempfile.mkstemp(prefix="tfkernels-")
            else:
                self.descriptor = anonymous
        except OSError as error:
            raise ExchangeError(f"no shared memory can be made: {error.strerror}") from error
        found = os.fstat(self.descriptor)
        path = self._name or f"/proc/{os.getpid()}/fd/{self.descriptor}"
        self.address: Address = {"path": path, "device": found.st_dev, "inode": found.st_ino}

    def close(self) -> None:
        """Arrays that look into the segment stay valid: their mapping keeps the memory."""
        if not self._closed:
            self._closed = True
            os.close(self.descriptor)
            if self._name is not None:
                os.unlink(self._name)

    def __enter__(self) -> "Segment":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def _anonymous_file() -> typing.Optional[int]:
    close_on_exec = 1
    if hasattr(os, "memfd_create"):
        return os.memfd_create("tfkernels", close_on_exec)
    try:  # Python 3.7 has no os.memfd_create; the C library does
        descriptor = int(ctypes.CDLL(None).memfd_create(b"tfkernels", close_on_exec))
    except (AttributeError, OSError, TypeError):
        return None
    return descriptor if descriptor >= 0 else None


def open_segment(address: Address) -> int:
    """A file descriptor for another process's segment; no other file is ever accepted."""
    path = address["path"]
    try:
        descriptor = os.open(path, os.O_RDWR | getattr(os, "O_CLOEXEC", 0))
    except OSError as error:
        raise ExchangeError(
            f"the shared memory {path} of the other kernel cannot be opened ({error.strerror}); is its process still "
            f"there, and on this machine?"
        ) from error
    found = os.fstat(descriptor)
    same = (found.st_dev, found.st_ino) == (address["device"], address["inode"])
    if not same or not stat.S_ISREG(found.st_mode) or (hasattr(os, "geteuid") and found.st_uid != os.geteuid()):
        os.close(descriptor)
        raise ExchangeError(f"refused: {path} is not, or not any more, the shared memory that was announced")
    return descriptor


def write(descriptor: int, offset: int, data: typing.Any) -> None:
    """Copies ``data`` (anything with a byte buffer) to ``offset``.

    Written, not assigned through a mapping: if there is no room this raises, a mapping would end the process.
    """
    rest = memoryview(data).cast("B") if len(data) else memoryview(b"")
    try:
        while rest:
            done = os.pwrite(descriptor, rest, offset)
            offset += done
            rest = rest[done:]
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.ENOMEM, errno.EFBIG):
            raise ExchangeError(
                f"there is no room in shared memory for {len(rest):,} more bytes ({error.strerror}); free memory, or "
                f"pass less at a time"
            ) from error
        raise


def read(descriptor: int, size: int) -> typing.Any:
    """The first ``size`` bytes as private, writable memory; later changes of the segment's owner may show in pages
    that were not touched yet, so an owner never writes to a segment twice."""
    if os.fstat(descriptor).st_size < size:
        raise ExchangeError("the shared memory of the other kernel is shorter than announced")
    if size >= MAP_FROM:
        try:
            return mmap.mmap(descriptor, size, access=mmap.ACCESS_COPY)
        except OSError as error:
            raise ExchangeError(f"the shared memory cannot be mapped: {error.strerror}") from error
    memory = bytearray(size)
    with open(descriptor, "rb", buffering=0, closefd=False) as file:
        file.seek(0)
        if file.readinto(memory) != size:
            raise ExchangeError("the shared memory of the other kernel is shorter than announced")
    return memory
