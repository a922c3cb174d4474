"""What arrived: memory that looks into a segment, as arrays see it, and what is known of it.

It is a private mapping, copy-on-write, with a lock beside it that tells the segment's owner that it is busy (see
``shared_memory.segment``). When the last array is gone, so is the lock, and the mapping stays for the next value
that comes in the same segment, unless somebody wrote to it: what was not written to shows what the segment holds by
then. Mapping anew costs 0.1 s for 1 GB, as much as a copy. So those that stay are populated as far as they were looked
at; a new one is not: that was measured to save a tenth, of those who look at everything.
"""

import fcntl
import mmap
import os
import resource
import typing
import weakref

import numpy as np

from tfkernels.errors import ExchangeError
from tfkernels.transfer.shared_memory import huge, pages
from tfkernels.transfer.shared_memory.mapping import Mapping, finalizer
from tfkernels.transfer.shared_memory.mapping_cache import Identity, Kept
from tfkernels.transfer.shared_memory.segment import MAP_FROM, Address, busy, locks_last, open_segment, sealed

MAP_WHILE = 0.5
"""Of the descriptors that this process may have: when more are in use, nothing is mapped. The rest is the user's."""

_ALIGNMENT = 64

kept = Kept()
"""Mappings that no array looks into."""


class _Opened:
    """An opening of a segment, and a mapping of all of it. Closed when it is collected."""

    def __init__(self, descriptor: int, size: int) -> None:
        self.mapping = Mapping(descriptor, size, shared=False)
        self.descriptor = os.dup(descriptor)

    def lock(self) -> mmap.mmap:
        """What keeps the segment busy until it is closed, also in every forked child that has a copy: a small mapping
        keeps its opening, and that its lock, whoever forks, and whatever a daemon closes."""
        opening = os.open(f"/proc/self/fd/{self.descriptor}", os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(opening, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return mmap.mmap(opening, mmap.PAGESIZE, access=mmap.ACCESS_READ)
        finally:
            os.close(opening)

    def __del__(self) -> None:
        if hasattr(self, "descriptor"):
            os.close(self.descriptor)


class Received:
    """The first ``size`` bytes of a mapping, as long as an array looks into them."""

    def __init__(self, opened: _Opened, lock: mmap.mmap, segment: Identity, size: int) -> None:
        self.segment = segment
        self.start = opened.mapping.start
        self.size = size
        self._opened, self._lock = opened, lock
        self.__array_interface__ = {**opened.mapping.__array_interface__, "shape": (size,)}
        self._end = weakref.finalize(self, _keep, opened, lock, segment, size)
        self._end.atexit = False  # the system does it
        self.reference = weakref.ref(self, _looking.discard)
        _looking.add(self.reference)

    def not_again(self) -> None:
        """The mapping ends with the last array."""
        self._end.detach()

    def let_go(self) -> None:
        """When every page was written to: arrays stay as they are, and the segment is not busy for them."""
        self.not_again()
        _looking.discard(self.reference)
        self._lock.close()

    @property
    def needless(self) -> bool:
        """Whether no array here needs the segment, because all of its own pages were written to (``x += 1``)."""
        # Most often the first page tells.
        return pages.own(self.start, 1) and pages.own(self.start, self.size) and huge.are_told() is not False


_looking: "typing.Set[weakref.ref[Received]]" = set()
"""No ``WeakSet``: one that another thread adds to cannot be iterated over."""


@finalizer
def _keep(opened: _Opened, lock: mmap.mmap, segment: Identity, size: int) -> None:
    if pages.untouched(opened.mapping.start, size):
        lock.close()
        kept.put(segment, opened)


if hasattr(os, "register_at_fork"):  # from Python 3.7 on
    os.register_at_fork(after_in_child=kept.clear)  # they would keep the parent's memory


def read(address: Address, size: int, more: int = 0) -> typing.Tuple[typing.Any, bytes]:
    """The first ``size`` bytes of another process's segment as private, writable memory at a multiple of 64 (an array),
    and the ``more`` bytes behind them. Raises ``ExchangeError`` if there are fewer.

    Much of a sealed segment is looked into, and not copied.
    """
    segment = (address["device"], address["inode"])
    known: typing.Optional[_Opened] = kept.take(segment) if size >= MAP_FROM else None
    descriptor = open_segment(address) if known is None else known.descriptor
    try:
        found = os.fstat(descriptor)
        if size < 0 or more < 0 or found.st_size < size + more:
            raise _too_short()
        rest = _bytes(descriptor, more, size)
        # A small part is copied out, so that it does not keep the whole from being used again.
        if size >= max(MAP_FROM, found.st_size // 4):
            looked = _look(descriptor, known, segment, size, found.st_size)
            if looked is not None:
                return np.asarray(looked), rest
        return _copied(descriptor, size), rest
    finally:
        if known is None:
            os.close(descriptor)


def _look(
    descriptor: int, opened: typing.Optional[_Opened], segment: Identity, size: int, whole: int
) -> typing.Optional[Received]:
    try:
        if opened is None or opened.mapping.size < size:
            plenty = descriptor < MAP_WHILE * resource.getrlimit(resource.RLIMIT_NOFILE)[0]  # it is the lowest free one
            if not plenty or not sealed(descriptor):
                return None
            opened = _Opened(descriptor, whole)
        return Received(opened, opened.lock(), segment, size)
    except OSError:
        return None  # no descriptor is left for it, or no locks here: copy


def _copied(descriptor: int, size: int) -> typing.Any:
    memory: np.ndarray[typing.Any, typing.Any] = np.empty(size + _ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % _ALIGNMENT
    memory = memory[start : start + size]
    with open(descriptor, "rb", buffering=0, closefd=False) as file:
        file.seek(0)
        done = 0
        while done < size:
            count = file.readinto(memory[done:].data)
            if not count:
                raise _too_short()
            done += count
    return memory


def _bytes(descriptor: int, size: int, offset: int) -> bytes:
    found = os.pread(descriptor, size, offset)
    while len(found) < size:  # Linux reads at most 2 GiB at once
        more = os.pread(descriptor, size - len(found), offset + len(found))
        if not more:
            raise _too_short()
        found += more
    return found


def _too_short() -> ExchangeError:
    return ExchangeError("the shared memory of the other kernel is shorter than announced")


def forget(segment: Identity) -> None:
    """Nothing will come in it any more."""
    kept.take(segment)
    for each in _all_of(segment):
        each.not_again()


def _all_of(segment: Identity) -> typing.List[Received]:
    found = [reference() for reference in list(_looking)]
    return [each for each in found if each is not None and each.segment == segment]


def looking() -> bool:
    """Whether any array looks into a segment."""
    return bool(_looking)


def of(array: typing.Any) -> typing.Optional[Received]:
    """What an array looks into, if it arrived and needs the segment."""
    while isinstance(array, np.ndarray):
        array = array.base
    return array if isinstance(array, Received) and array.reference in _looking else None


def has_room(address: Address, size: int) -> bool:
    """Whether another process's segment has so many bytes of memory, and nothing needs it."""
    here = _all_of((address["device"], address["inode"]))
    if not locks_last() or not all(each.needless for each in here):
        return False
    descriptor = open_segment(address)
    try:
        if os.fstat(descriptor).st_blocks * 512 < size:
            return False
        for each in here:
            each.let_go()
        return not busy(descriptor)
    finally:
        os.close(descriptor)
