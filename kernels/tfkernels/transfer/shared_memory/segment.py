"""Segment: shared memory that two processes of one user can open, and that leaves nothing behind.

On Linux it is an anonymous memory file, sealed against shrinking; another process opens it as ``/proc/<pid>/fd/<n>``.
Elsewhere it is a private temporary file, which is read and never mapped.

A segment is *busy* as long as a mapping anywhere uses it. The receiver takes a shared lock (``flock``) on its own open
file before it maps; the mapping keeps the file open, and with it the lock. Both sides keep mappings for the next value
in the same segment: most of what a new one costs is mapping the pages. See docs/design/shared-memory.md.
"""

import contextlib
import ctypes
import errno
import fcntl
import functools
import mmap
import os
import stat
import tempfile
import time
import typing

from tfkernels.errors import ExchangeError, UsageError
from tfkernels.sigint import finalizer, postponed
from tfkernels.transfer.shared_memory.mapping import HUGE_PAGE, Mapping, is_fully_modified

MIN_MAPPED_BYTES = 256 * 1024
"""Less is read into ordinary memory: a mapping holds a file descriptor as long as it lives."""

MAX_MAPPINGS = 8
"""Kept for reading, and as many for writing."""

DEFAULT_IDLE_SECONDS = 60.0
"""Used unless ``TFKERNELS_POOL_IDLE`` is set."""

_ADD_SEALS, _GET_SEALS, _SEAL_SHRINK = 1033, 1034, 2  # of <linux/fcntl.h>; the fcntl module has them from 3.8 on
_CLOSE_ON_EXEC, _ALLOW_SEALING = 1, 2  # of memfd_create
_KEEP_SIZE, _PUNCH_HOLE = 1, 2  # of fallocate

_library = ctypes.CDLL(None, use_errno=True)

Address = typing.Dict[str, typing.Any]
"""How another process opens a segment: ``path``, and ``device`` and ``inode`` of the file, because the path of a closed
segment may lead to another file of the user by then."""

Identity = typing.Tuple[int, int]
"""Device and inode of a segment. As long as a mapping of it stays, no other file gets them."""


class Segment:
    """A segment made by this process. Others open it by its ``address`` while this one keeps it open."""

    _closed = True

    @postponed()
    def __init__(self) -> None:
        self._name: typing.Optional[str] = None  # until it is closed
        try:
            anonymous = _anonymous_file()
            self.named = anonymous is None
            """Whether it is a file in a folder instead of memory."""
            if anonymous is None:
                self.descriptor, self._name = tempfile.mkstemp(prefix="tfkernels-")
            else:
                self.descriptor = anonymous
        except OSError as error:
            raise _cannot_open("Cannot make shared memory", error) from error
        self._closed = False
        self._maker = os.getpid()
        found = os.fstat(self.descriptor)
        path = f"/proc/{self._maker}/fd/{self.descriptor}"
        if self._name is not None and not _leads_to(path, found):
            path = self._name
        elif self._name is not None:  # a killed process leaves nothing
            os.unlink(self._name)
            self._name = None
        self.address: Address = {"path": path, "device": found.st_dev, "inode": found.st_ino}

    @property
    def inherited(self) -> bool:
        """Whether this process is a forked child of the one that made it."""
        return os.getpid() != self._maker

    @property
    def size(self) -> int:
        """Bytes of memory that it takes up."""
        return os.fstat(self.descriptor).st_blocks * 512

    def is_lost(self) -> bool:
        """Whether other code closed the descriptor, as daemons do with all of them.

        Its number may be a file of the user's by now, so it must never be written or closed.
        """
        try:
            found = os.fstat(self.descriptor)
            self._closed = self._closed or identity(self.address) != (found.st_dev, found.st_ino)
        except OSError:
            self._closed = True
        return self._closed

    def is_busy(self) -> bool:
        """Whether a mapping of any process uses it."""
        return is_busy(self.descriptor)

    def free(self) -> None:
        """Closes a segment that is not busy, and frees its memory even if a writer still has it mapped."""
        if not self._closed and not self.named:
            _punch(self.descriptor)
        self.close()

    def close(self) -> None:
        """Closes it. Arrays in it stay valid: their mapping keeps the memory."""
        if not self._closed:
            self._closed = True
            os.close(self.descriptor)
            if self._name is not None and not self.inherited:
                os.unlink(self._name)

    __del__ = finalizer(close)

    def __enter__(self) -> "Segment":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def _anonymous_file() -> typing.Optional[int]:
    """A memory file's descriptor, or ``None`` where the system makes none: it has no such thing (or it cannot be
    sealed), a filter of system calls forbids it (EPERM), or a setting does (``vm.memfd_noexec``: EACCES)."""
    try:
        descriptor = _memory_file(_CLOSE_ON_EXEC | _ALLOW_SEALING)
    except (AttributeError, OSError) as error:
        if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
            raise
        return None
    try:
        fcntl.fcntl(descriptor, _ADD_SEALS, _SEAL_SHRINK)
        os.fchmod(descriptor, 0o600)  # it is 777; so far nothing but the way through /proc keeps others out
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _memory_file(flags: int) -> int:
    """By the C library: Python has it from 3.8 on, and not in every build."""
    descriptor = int(_library.memfd_create(b"tfkernels", flags))
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return descriptor


def _leads_to(path: str, file: os.stat_result) -> bool:
    """Whether the path opens that file. On Linux it does even when the file has no name."""
    try:
        return os.path.samestat(os.stat(path), file)
    except OSError:
        return False


def _punch(descriptor: int) -> None:
    pages = -(-os.fstat(descriptor).st_size // mmap.PAGESIZE)  # part of a page would stay
    length = ctypes.c_int64(pages * mmap.PAGESIZE)
    with contextlib.suppress(AttributeError):  # then the memory is free when the last writer's mapping is gone
        _library.fallocate64(descriptor, _KEEP_SIZE | _PUNCH_HOLE, ctypes.c_int64(0), length)


def identity(address: Address) -> Identity:
    return address["device"], address["inode"]


def open_segment(address: Address) -> int:
    """A descriptor of another process's segment. Raises ``ExchangeError`` if the path leads to any other file."""
    path, announced = address["path"], identity(address)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise _cannot_open(
            f"Cannot open the other kernel's shared memory {path}", error,
            "Check that its process still runs, on this machine."
        ) from error  # fmt: skip
    found = os.fstat(descriptor)
    same = (found.st_dev, found.st_ino) == announced
    if not same or not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
        os.close(descriptor)
        raise ExchangeError(f"The other kernel's shared memory {path} is gone or was replaced. Run the cell again.")
    return descriptor


def _cannot_open(failed: str, error: OSError, remedy: str = "") -> ExchangeError:
    cause = error.strerror
    if error.errno in (errno.EMFILE, errno.ENFILE):
        kernel = os.environ.get("TFKERNELS_KERNEL", "")
        cause = f"{f'kernel {kernel}' if kernel else 'this process'} has too many files open"
        remedy = "Close some, or raise the limit (ulimit -n)."
    return ExchangeError(f"{failed}: {cause}. {remedy}".rstrip())


def is_sealed(descriptor: int) -> bool:
    """Whether no process can shorten the segment, so that it is safe to map."""
    try:
        return bool(fcntl.fcntl(descriptor, _GET_SEALS) & _SEAL_SHRINK)
    except OSError:
        return False


def is_busy(descriptor: int) -> bool:
    """Whether a mapping of any process uses an open segment."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    except OSError:
        return True
    return False


class MappingCache:
    """Keeps the mappings of segments that were used last. A forked child begins with none.

    It must not use a lock: finalizers of arrays call ``put`` in the middle of anything. Each step is atomic in CPython.
    """

    def __init__(self) -> None:
        self._mappings: typing.Dict[Identity, typing.Tuple[float, Mapping]] = {}  # the one used last is the last
        self.clear = self._mappings.clear
        if hasattr(os, "register_at_fork"):  # from Python 3.7 on
            os.register_at_fork(after_in_child=self.clear)  # novm (mappings keep the memory of the parent)

    def __len__(self) -> int:
        return len(self._mappings)

    def put(self, segment: Identity, mapping: Mapping) -> None:
        self._mappings.pop(segment, None)
        self._mappings[segment] = (time.monotonic(), mapping)
        for oldest in list(self._mappings)[:-MAX_MAPPINGS]:
            self.take(oldest)

    def take(self, segment: Identity) -> typing.Optional[Mapping]:
        """Removes and returns the mapping of a segment; ``None`` if there is none."""
        return self._mappings.pop(segment, (0.0, None))[1]

    def expire(self, seconds: float) -> None:
        """Drops mappings that were not used for so long."""
        limit = time.monotonic() - seconds
        for segment in list(self._mappings):
            used, _ = self._mappings.get(segment, (limit, None))
            if used <= limit:
                self.take(segment)


def idle_seconds() -> float:
    """Time from the last use of memory to its release. Raises ``UsageError`` for a bad ``TFKERNELS_POOL_IDLE``."""
    text = os.environ.get("TFKERNELS_POOL_IDLE") or str(DEFAULT_IDLE_SECONDS)
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if not seconds >= 0:
        raise UsageError(f"TFKERNELS_POOL_IDLE is {text!r}. Write a number of seconds, such as 60.")
    return seconds


@functools.lru_cache(maxsize=None)
@postponed()
def mappings_keep_locks() -> bool:
    """Whether a mapping keeps the lock of its file, as on Linux; an emulation of it may not."""
    with Segment() as probe:
        os.pwrite(probe.descriptor, bytes(mmap.PAGESIZE), 0)
        if not is_sealed(probe.descriptor):
            return True  # segments are never mapped here
        descriptor = open_segment(probe.address)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            mapping = mmap.mmap(descriptor, mmap.PAGESIZE, access=mmap.ACCESS_COPY)
        except OSError:
            return False
        finally:
            os.close(descriptor)
        kept = probe.is_busy()
        mapping.close()
        return kept and not probe.is_busy()


def huge_pages_tracked() -> typing.Optional[bool]:
    """Whether the system tells a file's huge pages from pages that a process wrote to; ``None`` without huge pages.

    Linux before 6.11, and not every 6.1 and 6.6, says of both only that they are there.
    """
    try:
        return _huge_pages_tracked()
    except (OSError, ExchangeError):
        return None


@functools.lru_cache(maxsize=None)
def _huge_pages_tracked() -> bool:
    with Segment() as probe:
        os.pwrite(probe.descriptor, b"x" * HUGE_PAGE, 0)
        if not Mapping(probe.descriptor, HUGE_PAGE, shared=True).collapse():
            raise OSError("no huge pages")
        private = Mapping(probe.descriptor, HUGE_PAGE, shared=False)
        ctypes.string_at(private.start, 1)  # now it is there
        return not is_fully_modified(private.start, HUGE_PAGE)
