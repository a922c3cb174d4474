"""Reader of segments: copy-on-write views that keep the segment busy, or copies of little.

A view is a private mapping with a lock beside it (see ``segment``). When its last array is gone, the lock ends, and the
mapping is cached for the next value in the same segment, unless it was written to. See docs/design/shared-memory.md.
"""

import fcntl
import mmap
import os
import resource
import sys
import typing
import weakref

import numpy as np

from tfkernels.errors import ExchangeError
from tfkernels.protocol import ALIGNMENT
from tfkernels.sigint import finalizer, postponed
from tfkernels.transfer.shared_memory.mapping import Mapping, is_fully_modified, is_unmodified
from tfkernels.transfer.shared_memory.segment import (
    MIN_MAPPED_BYTES,
    Address,
    Identity,
    MappingCache,
    huge_pages_tracked,
    identity,
    is_busy,
    is_sealed,
    mappings_keep_locks,
    open_segment,
)

MAX_DESCRIPTOR_SHARE = 0.5
"""Of the descriptors that this process may have. When more are in use, nothing is mapped: the rest is the user's."""

cache = MappingCache()
"""Mappings that no array uses."""


class Received:
    """The first ``size`` bytes of a mapping, as long as an array uses them."""

    reusable = False
    """Whether the mapping is cached after its last array."""

    def __init__(self, mapping: Mapping, segment: Identity, size: int) -> None:
        self.segment = segment
        self.start = mapping.start
        self.size = size
        self._mapping = mapping
        self._lock = _lock(mapping.descriptor)
        self.__array_interface__ = {**mapping.__array_interface__, "shape": (size,)}
        self.reference = weakref.ref(self, _in_use.discard)
        _in_use.add(self.reference)
        self.reusable = True

    @finalizer
    def __del__(self) -> None:
        # At the end of the process, the system frees it.
        if self.reusable and not sys.is_finalizing() and is_unmodified(self.start, self.size):
            self._lock.close()
            cache.put(self.segment, self._mapping)

    def unlock(self) -> None:
        """Makes the segment free. Call it if ``is_detached``: arrays keep the private pages."""
        self.reusable = False
        _in_use.discard(self.reference)
        self._lock.close()

    @property
    def is_detached(self) -> bool:
        """Whether no array reads the segment any more, because all pages were written to (``x += 1``)."""
        return (
            is_fully_modified(self.start, 1)  # most often the first page is enough
            and is_fully_modified(self.start, self.size)
            and huge_pages_tracked() is not False
        )


_in_use: "typing.Set[weakref.ref[Received]]" = set()
"""No ``WeakSet``: one that another thread adds to cannot be iterated over."""


def _lock(descriptor: int) -> mmap.mmap:
    """A small mapping that keeps the segment busy until it is closed, also in forked children that have a copy.

    It keeps its own open file, and that keeps its lock, even if a daemon closes all descriptors.
    """
    opened = os.open(f"/proc/self/fd/{descriptor}", os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return mmap.mmap(opened, mmap.PAGESIZE, access=mmap.ACCESS_READ)
    finally:
        os.close(opened)


@postponed()
def read(address: Address, size: int, more: int = 0) -> typing.Tuple[typing.Any, typing.Any]:
    """The first ``size`` bytes of another process's segment as a private, writable array, and the ``more`` behind them.

    The array is a view if it is much of a sealed segment, else a copy; it begins at a multiple of ``ALIGNMENT``.
    Raises ``ExchangeError`` if there are fewer bytes.
    """
    segment = identity(address)
    known = cache.take(segment) if size >= MIN_MAPPED_BYTES else None
    descriptor = open_segment(address) if known is None else known.descriptor
    try:
        whole = os.fstat(descriptor).st_size
        if size < 0 or more < 0 or whole < size + more:
            raise _too_short()
        rest = _copied(descriptor, size, more)
        # A small part is copied out, so that it does not keep the whole from being used again.
        received = None
        if size >= max(MIN_MAPPED_BYTES, whole // 4):
            received = _receive(descriptor, known, segment, size, whole)
        return _copied(descriptor, 0, size) if received is None else np.asarray(received), rest
    finally:
        if known is None:
            os.close(descriptor)


def _receive(
    descriptor: int, mapping: typing.Optional[Mapping], segment: Identity, size: int, whole: int
) -> typing.Optional[Received]:
    try:
        if mapping is None or mapping.size < size:
            limit = MAX_DESCRIPTOR_SHARE * resource.getrlimit(resource.RLIMIT_NOFILE)[0]
            if descriptor >= limit or not is_sealed(descriptor):  # a new descriptor is the lowest free one
                return None
            mapping = Mapping(descriptor, whole, shared=False)
        return Received(mapping, segment, size)
    except OSError:
        return None  # no descriptor is left for it, or no locks here: copy


def _copied(descriptor: int, offset: int, size: int) -> typing.Any:
    memory: np.ndarray[typing.Any, typing.Any] = np.empty(size + ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    memory = memory[start : start + size]
    with open(descriptor, "rb", buffering=0, closefd=False) as file:
        file.seek(offset)
        done = 0
        while done < size:  # Linux reads at most 2 GiB at once
            count = file.readinto(memory[done:].data)
            if not count:
                raise _too_short()
            done += count
    return memory


def _too_short() -> ExchangeError:
    return ExchangeError("The other kernel's shared memory is shorter than announced. Run the cell again.")


def forget(segment: Identity) -> None:
    """Drops the mappings of a segment in which no further value comes."""
    cache.take(segment)
    for received in _received_from(segment):
        received.reusable = False


def _received_from(segment: Identity) -> typing.List[Received]:
    found = [reference() for reference in list(_in_use)]
    return [received for received in found if received is not None and received.segment == segment]


def views() -> int:
    """How many views of segments arrays use now."""
    return len(_in_use)


def find_received(array: typing.Any) -> typing.Optional[Received]:
    """The view of a segment that an array lies in, if it arrived and still reads the segment."""
    while isinstance(array, np.ndarray):
        array = array.base
    return array if isinstance(array, Received) and array.reference in _in_use else None


@postponed()
def can_be_overwritten(address: Address, size: int) -> bool:
    """Whether another process's segment has so many bytes of memory and no array needs its content."""
    here = _received_from(identity(address))
    if not mappings_keep_locks() or not all(received.is_detached for received in here):
        return False
    descriptor = open_segment(address)
    try:
        if os.fstat(descriptor).st_blocks * 512 < size:
            return False
        for received in here:
            received.unlock()
        return not is_busy(descriptor)
    finally:
        os.close(descriptor)
