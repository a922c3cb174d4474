"""Writer of bytes into segments: ``pwrite`` into a fresh one, a copy through a cached mapping into a used one.

``pwrite`` raises if memory is missing, where a store through a mapping would end the process. Once all pages are there,
none can be missing, and the copy is more than twice as fast. See docs/design/shared-memory.md.
"""

import contextlib
import errno
import mmap
import os
import sys
import threading
import typing
from _thread import start_new_thread

import numpy as np

from tfkernels.errors import ExchangeError
from tfkernels.sigint import postponed
from tfkernels.transfer.shared_memory import limits
from tfkernels.transfer.shared_memory.mapping import HUGE_PAGE, Mapping, release_pages
from tfkernels.transfer.shared_memory.segment import (
    Address,
    MappingCache,
    huge_pages_tracked,
    identity,
    is_sealed,
    open_segment,
)

Pieces = typing.Sequence[typing.Tuple[int, typing.Any]]
"""Buffers of bytes with their offsets, ascending."""

MIN_COPY_BYTES = 256 * 1024
"""For less, a mapping is not worth its upkeep."""

MIN_THREADED_BYTES = 8 * 1024 * 1024
"""From here on several threads copy: one does not saturate the memory."""

MIN_CHECKED_BYTES = 64 * 1024 * 1024
"""For more fresh memory, ask first whether it is free: Linux promises it all and then ends a process."""

MIN_RELEASED_BYTES = 64 * 1024 * 1024
"""Smaller arrays may be memory that the C library keeps for the next array."""

_PART_BYTES = 4 * 1024 * 1024
"""What a thread copies at once. Halves of 1 GB take a third longer: one thread is done before the other."""

_MAX_JOINED_BYTES = 256 * 1024
_PADDING = bytes(4096)

cache = MappingCache()
"""Mappings for writing."""


def write(descriptor: int, pieces: Pieces, temporary: typing.Collection[int] = ()) -> None:
    """Puts the pieces into the open segment. Raises ``ExchangeError`` if there is no room.

    The memory of pieces at a ``temporary`` offset is released as they are written (see ``is_temporary``).
    """
    end = max((offset + len(data) for offset, data in pieces), default=0)
    found = os.fstat(descriptor)
    missing = end - found.st_blocks * 512
    if missing <= 0 and MIN_COPY_BYTES <= end <= found.st_size and is_sealed(descriptor):
        target = _mapping(descriptor, found)
        if target is not None:
            _copy(target, _parts(pieces, temporary), end)
            return
    if missing > MIN_CHECKED_BYTES and missing > limits.available():
        raise _no_room(missing, "not enough memory is free")
    try:
        whole = -(-end // mmap.PAGESIZE) * mmap.PAGESIZE  # so that a few bytes more need no new mapping
        if found.st_size < whole:
            os.ftruncate(descriptor, whole)
        for part in _parts(pieces, temporary):
            _write(descriptor, part.offset, part.data)
            part.release()
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.ENOMEM, errno.EFBIG, errno.EDQUOT):
            raise _no_room(end, str(error.strerror)) from error
        raise


class _Part(typing.NamedTuple):
    offset: int
    data: typing.Any
    temporary: bool

    def release(self) -> None:
        if self.temporary:
            release_pages(self.data.__array_interface__["data"][0], self.data.nbytes)


def _parts(pieces: Pieces, temporary: typing.Collection[int]) -> typing.Iterator[_Part]:
    """Parts that end at multiples of their size: a huge page of which a part is given back has to be split."""
    for offset, data in _gather(pieces):
        content: np.ndarray[typing.Any, typing.Any] = np.frombuffer(data, np.uint8)
        start, end = 0, -content.ctypes.data % _PART_BYTES or _PART_BYTES
        while start < len(data):
            yield _Part(offset + start, content[start:end], offset in temporary)
            start, end = end, end + _PART_BYTES


def _gather(pieces: Pieces) -> typing.Iterator[typing.Tuple[int, typing.Any]]:
    """Small neighbours together: a system call, or a NumPy operation, costs more than their bytes."""
    run, start = bytearray(), 0
    for offset, data in pieces:
        size = len(data)
        if run and offset + size - start > _MAX_JOINED_BYTES:
            yield start, run
            run = bytearray()
        if size > _MAX_JOINED_BYTES:
            yield offset, data
            continue
        if not run:
            start = offset
        run += _PADDING[: offset - start - len(run)]
        run += memoryview(data)  # of an array, NumPy would add the numbers
    if run:
        yield start, run


def _write(descriptor: int, offset: int, data: typing.Any) -> None:
    rest = memoryview(data)
    while rest:
        done = os.pwrite(descriptor, rest, offset)
        offset += done
        rest = rest[done:]


def _no_room(size: int, why: str) -> ExchangeError:
    return ExchangeError(
        f"There is no room in shared memory for {size:,} more bytes: {why}. Free memory, or pass less at a time."
    )


def _copy(target: typing.Any, parts: typing.Iterator[_Part], end: int) -> None:
    count = min(4, _processors()) if end >= MIN_THREADED_BYTES else 1
    if count > 1:
        _SharedCopy(target, parts).run(count)
    for part in parts:  # all of them where no thread could be started
        _copy_part(target, part)


class _SharedCopy:
    """A copy that several threads share. The one that calls only waits: an interrupt comes nowhere else, so the account
    of the others is exact, and none is copying any more when ``run`` returns or raises."""

    def __init__(self, target: typing.Any, parts: typing.Iterator[_Part]) -> None:
        self._target, self._parts = target, parts
        self._lock = threading.RLock()  # taken by itself: an interrupt in Condition's `__enter__` would leave it locked
        self._turn = threading.Condition(self._lock)
        self._copying = 0
        self._over = False
        self._problems: typing.List[BaseException] = []

    def run(self, count: int) -> None:
        """Leaves the parts to the caller if there is no thread to be had."""
        started = 0
        while True:
            try:
                while started < count and not self._over:
                    start_new_thread(self._copy, ())  # a ``Thread`` would wait until it runs, longer than a part takes
                    started += 1
                with self._lock:
                    self._turn.wait_for(lambda: self._over and not self._copying)
                break
            except RuntimeError:  # no more are to be had
                if not started:
                    break
                count = started
            except BaseException as error:  # noqa: BLE001 (an interrupt: it is raised below)
                self._problems.append(error)
                self._over = True  # the last thread may be there or not; if it is, it takes nothing
        if self._problems:
            raise self._problems[0]

    def _copy(self) -> None:
        with self._lock:
            self._copying += 1
        try:
            while not self._over:
                with self._lock:
                    part = next(self._parts, None)
                if part is None:
                    break
                _copy_part(self._target, part)
        except BaseException as error:  # noqa: BLE001 (too little memory: ``run`` raises it)
            self._problems.append(error)
        with self._lock:
            self._over = True
            self._copying -= 1
            if not self._copying:  # not before: it would take a processor from those that copy
                self._turn.notify_all()


def _copy_part(target: typing.Any, part: _Part) -> None:
    target[part.offset : part.offset + len(part.data)] = part.data
    part.release()


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _mapping(descriptor: int, found: os.stat_result) -> typing.Any:
    """All of the segment as an array that writes to it."""
    segment = (found.st_dev, found.st_ino)
    target = cache.take(segment)
    if target is None or target.size < found.st_size:
        try:
            target = Mapping(descriptor, found.st_size, shared=True)
        except OSError:
            return None  # no descriptor is left for it
        if target.size >= HUGE_PAGE and huge_pages_tracked():
            target.collapse()  # now, and not when it is written for the first time: not all are used again
    cache.put(segment, target)
    return np.asarray(target)


@contextlib.contextmanager
def open_for_writing(address: Address) -> typing.Iterator[int]:
    """A descriptor for another process's segment, to be written to."""
    target = cache.take(identity(address))
    if target is not None:
        cache.put(identity(address), target)
        yield target.descriptor
        return
    opened: typing.List[int] = []
    try:
        with postponed():
            opened.append(open_segment(address))
        yield opened[0]
    finally:
        for descriptor in opened:
            os.close(descriptor)


def is_temporary(buffer: typing.Any) -> bool:
    """Whether a large array has no other reference, as the value of ``tf1["x + 1"]``: it ends once it is written."""
    return _is_whole(buffer) and _references(buffer) == _ONLY_REFERENCE


def _is_whole(buffer: typing.Any) -> bool:
    owner = buffer.base if isinstance(buffer, np.ndarray) else None
    return type(owner) is np.ndarray and owner.flags.owndata and buffer.nbytes == owner.nbytes >= MIN_RELEASED_BYTES


def _references(buffer: typing.Any) -> int:
    return sys.getrefcount(buffer.base)


_ONLY_REFERENCE = _references(np.empty(8).view(np.uint8))
"""How many references such an array has: Pythons count differently."""
