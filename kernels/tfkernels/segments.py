"""Shared memory that two processes of one user can both open, and that leaves nothing behind.

On Linux a segment is an anonymous memory file: it has no name in any folder, so when the last process that holds it
ends, however it ends, it is gone. Another process of the same user opens it as ``/proc/<pid>/fd/<number>``. It is
sealed against shrinking: whoever maps it cannot be ended by a truncation.

A segment is *busy* as long as memory anywhere looks into it. The operating system keeps that account: a receiver takes
a shared lock (``flock``) on its own opening of the segment before it maps it. The mapping keeps the opening, and with
it the lock, until it is gone in every process that has it: after ``del``, a kernel's restart, SIGKILL; a forked
child's copy counts too.

Where the system makes no such file, or forbids it, a segment is a private temporary file, read and never mapped. It
loses its name at once where ``/proc`` leads to it; elsewhere the side that made it removes it.
"""

import contextlib
import ctypes
import errno
import fcntl
import functools
import mmap
import os
import resource
import stat
import tempfile
import typing
import weakref

import numpy as np

from tfkernels import pages
from tfkernels.errors import ExchangeError

MAP_FROM = 256 * 1024
"""Bytes. Less is read into ordinary memory: a mapping holds a file descriptor as long as it lives."""

MAP_WHILE = 0.5
"""Of the descriptors that this process may have: when more are in use, nothing is mapped. The rest is the user's."""

_ADD_SEALS, _GET_SEALS, _SEAL_SHRINK = 1033, 1034, 2  # of <linux/fcntl.h>; the fcntl module has them from 3.8 on
_CLOSE_ON_EXEC, _ALLOW_SEALING = 1, 2  # of memfd_create
_KEEP_SIZE, _PUNCH_HOLE = 1, 2  # of fallocate
_ALIGNMENT = 64

Address = typing.Dict[str, typing.Any]
"""How another process opens a segment: its path, and the file's device and inode, because a path of a closed segment
may lead to another file of the user by then."""


class Segment:
    """A segment of our own making. Another process opens it by its ``address`` while this one keeps it open."""

    def __init__(self) -> None:
        self._name: typing.Optional[str] = None  # until it is closed
        self._closed = True
        try:
            anonymous = _anonymous_file()
            self.named = anonymous is None
            """Whether it takes room in a folder instead of memory."""
            if anonymous is None:
                self.descriptor, self._name = tempfile.mkstemp(prefix="tfkernels-")
            else:
                self.descriptor = anonymous
        except OSError as error:
            raise _cannot_be_opened("no shared memory can be made", error) from error
        self._closed = False
        self._maker = os.getpid()
        found = os.fstat(self.descriptor)
        path = f"/proc/{os.getpid()}/fd/{self.descriptor}"
        if self._name is not None and not _leads_to(path, found):
            path = self._name
        elif self._name is not None:  # a killed process leaves nothing
            os.unlink(self._name)
            self._name = None
        self.address: Address = {"path": path, "device": found.st_dev, "inode": found.st_ino}

    @property
    def inherited(self) -> bool:
        """Whether this process is a forked child of the one that it belongs to."""
        return os.getpid() != self._maker

    @property
    def size(self) -> int:
        """Bytes of memory that it takes."""
        return os.fstat(self.descriptor).st_blocks * 512

    def lost(self) -> bool:
        """Whether somebody closed the descriptor, as daemons do with all of them: its number may be a file of the
        user's by now, and must never be written or closed."""
        try:
            found = os.fstat(self.descriptor)
        except OSError:
            self._closed = True
            return True
        if (found.st_dev, found.st_ino) != (self.address["device"], self.address["inode"]):
            self._closed = True
        return self._closed

    def busy(self) -> bool:
        """Whether memory of any process looks into it."""
        return _busy(self.descriptor)

    def give_back(self) -> None:
        """Frees the memory of a segment that is not busy, also where a writer still has it mapped; closes it."""
        if not self._closed and not self.named:
            _punch(self.descriptor)
        self.close()

    def close(self) -> None:
        """Arrays that look into the segment stay valid: their mapping keeps the memory."""
        if not self._closed:
            self._closed = True
            os.close(self.descriptor)
            if self._name is not None and not self.inherited:
                os.unlink(self._name)

    __del__ = close

    def __enter__(self) -> "Segment":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def _anonymous_file() -> typing.Optional[int]:
    """A memory file's descriptor, or ``None`` where the system makes none: it has no such thing (or it cannot be
    sealed), a filter of system calls forbids it (EPERM), or a setting does (``vm.memfd_noexec``: EACCES)."""
    try:
        descriptor = _memory_file(_CLOSE_ON_EXEC | _ALLOW_SEALING)
    except (AttributeError, OSError, TypeError) as error:
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
    if hasattr(os, "memfd_create"):
        return os.memfd_create("tfkernels", flags)
    # Python 3.7 has no os.memfd_create; the C library does
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = int(libc.memfd_create(b"tfkernels", flags))
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return descriptor


def _leads_to(path: str, file: os.stat_result) -> bool:
    """Whether that path is a way to the open file, as it is on Linux also when the file has no name."""
    try:
        found = os.stat(path)
    except OSError:
        return False
    return (found.st_dev, found.st_ino) == (file.st_dev, file.st_ino)


def sealed(descriptor: int) -> bool:
    """Whether nobody can make the segment shorter, so that memory that looks into it stays there."""
    try:
        return bool(fcntl.fcntl(descriptor, _GET_SEALS) & _SEAL_SHRINK)
    except OSError:
        return False


def _punch(descriptor: int) -> None:
    try:
        pages = -(-os.fstat(descriptor).st_size // mmap.PAGESIZE)  # part of a page would stay
        length = ctypes.c_int64(pages * mmap.PAGESIZE)
        ctypes.CDLL(None).fallocate64(descriptor, _KEEP_SIZE | _PUNCH_HOLE, ctypes.c_int64(0), length)
    except (AttributeError, OSError, TypeError):
        pass  # then the memory is free when the last writer's mapping is gone


def open_segment(address: Address) -> int:
    """A file descriptor for another process's segment; no other file is ever accepted."""
    path, announced = address["path"], (address["device"], address["inode"])
    try:
        descriptor = os.open(path, os.O_RDWR | getattr(os, "O_CLOEXEC", 0))
    except OSError as error:
        raise _cannot_be_opened(
            f"the shared memory {path} of the other kernel cannot be opened", error, "is its process still there, and "
            "on this machine?"
        ) from error  # fmt: skip
    found = os.fstat(descriptor)
    same = (found.st_dev, found.st_ino) == announced
    if not same or not stat.S_ISREG(found.st_mode) or (hasattr(os, "geteuid") and found.st_uid != os.geteuid()):
        os.close(descriptor)
        raise ExchangeError(f"refused: {path} is not, or not any more, the shared memory that was announced")
    return descriptor


def _cannot_be_opened(what: str, error: OSError, otherwise: str = "") -> ExchangeError:
    if error.errno in (errno.EMFILE, errno.ENFILE):
        kernel = os.environ.get("TFKERNELS_KERNEL", "")
        who = f"kernel {kernel}" if kernel else "this process"
        otherwise = f"{who} has too many files open: close some, or raise the limit (ulimit -n)"
    return ExchangeError(f"{what} ({error.strerror}); {otherwise}" if otherwise else f"{what}: {error.strerror}")


def read(descriptor: int, size: int) -> typing.Any:
    """The first ``size`` bytes as private, writable memory at a multiple of 64.

    Much of a sealed segment is mapped (copy-on-write) and not copied; the lock that tells its owner so goes with the
    mapping. Pre-populating the mapping was measured to gain nothing: the system maps the pages around a fault along.
    """
    found = os.fstat(descriptor)
    if found.st_size < size:
        raise ExchangeError("the shared memory of the other kernel is shorter than announced")
    # A small part is copied out, so that it does not keep the whole from being used again.
    plenty = descriptor < MAP_WHILE * resource.getrlimit(resource.RLIMIT_NOFILE)[0]  # it is the lowest free number
    if size >= max(MAP_FROM, found.st_size // 4) and plenty and sealed(descriptor):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            mapping = mmap.mmap(descriptor, size, access=mmap.ACCESS_COPY)
        except OSError:
            pass  # no descriptor is left for a mapping, or no locks here: copy
        else:
            _origins[mapping] = (found.st_dev, found.st_ino)
            if hasattr(os, "register_at_fork"):  # from Python 3.7 on
                _unshared.add(mapping)
            return mapping
    memory: np.ndarray[typing.Any, typing.Any] = np.empty(size + _ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % _ALIGNMENT
    memory = memory[start : start + size]
    with open(descriptor, "rb", buffering=0, closefd=False) as file:
        file.seek(0)
        done = 0
        while done < size:
            count = file.readinto(memory[done:].data)
            if not count:
                raise ExchangeError("the shared memory of the other kernel is shorter than announced")
            done += count
    return memory


_origins: "weakref.WeakKeyDictionary[mmap.mmap, typing.Tuple[int, int]]" = weakref.WeakKeyDictionary()
_unshared: "weakref.WeakSet[mmap.mmap]" = weakref.WeakSet()
"""Mappings that no forked child has, too. It may need what this process does not."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_unshared.clear)


def place(mapping: mmap.mmap) -> typing.Optional[typing.Tuple[int, int, int]]:
    """Device and inode of the segment that ``read`` made a mapping of, and the mapping's address."""
    identity = _origins.get(mapping)
    return None if identity is None else (*identity, _start(mapping))


def read_bytes(descriptor: int, size: int, offset: int) -> bytes:
    """``size`` bytes from ``offset`` on. Raises ``ExchangeError`` if there are fewer."""
    if offset < 0 or not 0 <= size <= os.fstat(descriptor).st_size - offset:
        raise ExchangeError("the shared memory of the other kernel is shorter than announced")
    found = os.pread(descriptor, size, offset)
    while len(found) < size:  # Linux reads at most 2 GiB at once
        more = os.pread(descriptor, size - len(found), offset + len(found))
        if not more:
            raise ExchangeError("the shared memory of the other kernel is shorter than announced")
        found += more
    return found


def has_room(address: Address, size: int) -> bool:
    """Whether another process's segment has so many bytes of memory, and nothing looks into it."""
    descriptor = open_segment(address)
    try:
        enough = os.fstat(descriptor).st_blocks * 512 >= size
        return enough and locks_last() and (not _busy(descriptor) or (_let_go(address) and not _busy(descriptor)))
    finally:
        os.close(descriptor)


def _let_go(address: Address) -> bool:
    """Whether no array here needs a segment, because every page of what it came in was written to (``x += 1``). Then
    its mappings stay, without their locks."""
    identity = (address["device"], address["inode"])
    mappings = [mapping for mapping, origin in list(_origins.items()) if origin == identity]
    if not mappings or not all(_unneeded(mapping) for mapping in mappings):
        return False
    for mapping in mappings:
        del _origins[mapping]
    for name in os.listdir("/proc/self/fd"):  # a mapping keeps its opening, and does not tell which
        with contextlib.suppress(OSError):
            found = os.fstat(int(name))
            if (found.st_dev, found.st_ino) == identity:
                fcntl.flock(int(name), fcntl.LOCK_UN)
    return True


def _unneeded(mapping: mmap.mmap) -> bool:
    return mapping in _unshared and pages.own(_start(mapping), len(mapping))


def _start(mapping: mmap.mmap) -> int:
    return int(np.frombuffer(mapping, np.uint8).__array_interface__["data"][0])


def _busy(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    except OSError:
        return True
    return False


@functools.lru_cache(maxsize=None)
def locks_last() -> bool:
    """Whether this system keeps a lock as long as the mapping, as Linux does; an emulation of it may not."""
    with Segment() as probe:
        os.pwrite(probe.descriptor, bytes(mmap.PAGESIZE), 0)
        if not sealed(probe.descriptor):
            return True  # nothing is ever mapped here
        descriptor = open_segment(probe.address)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            mapping = mmap.mmap(descriptor, mmap.PAGESIZE, access=mmap.ACCESS_COPY)
        except OSError:
            return False
        finally:
            os.close(descriptor)
        lasted = probe.busy()
        mapping.close()
        return lasted and not probe.busy()
