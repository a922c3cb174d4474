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
from tfkernels.transfer.shared_memory import limits
from tfkernels.transfer.shared_memory.mapping import MappedSegment, release_pages, use_huge_pages
from tfkernels.transfer.shared_memory.mapping_cache import MappingCache
from tfkernels.transfer.shared_memory.segment import Address, is_sealed, open_segment

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

if hasattr(os, "register_at_fork"):  # from Python 3.7 on
    os.register_at_fork(after_in_child=cache.clear)  # novm (mappings keep the memory of the parent)


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
    for offset, data in _gather(pieces):
        content: np.ndarray[typing.Any, typing.Any] = np.frombuffer(data, np.uint8)
        first = -content.ctypes.data % _PART_BYTES  # a huge page of which a part is given back has to be split
        for start, end in _ranges(first, len(data)):
            yield _Part(offset + start, content[start:end], offset in temporary)


def _ranges(first: int, size: int) -> typing.Iterator[typing.Tuple[int, int]]:
    """From 0 to ``size``, in steps that end at ``first`` and at each part after it."""
    start, end = 0, first or _PART_BYTES
    while start < size:
        yield start, min(end, size)
        start, end = end, end + _PART_BYTES


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


def _gather(pieces: Pieces) -> typing.Iterator[typing.Tuple[int, typing.Any]]:
    """Small neighbours together: a system call, or a NumPy operation, costs more than their bytes."""
    run, start, end = bytearray(), 0, 0
    for offset, data in pieces:
        size = len(data)
        if run and offset + size - start > _MAX_JOINED_BYTES:
            yield start, run
            run = bytearray()
        if size > _MAX_JOINED_BYTES:
            yield offset, data
            continue
        if not run:
            start = end = offset
        run += _PADDING[: offset - end]
        run += memoryview(data)  # of an array, NumPy would add the numbers
        end = offset + size
    if run:
        yield start, run


def _copy(target: typing.Any, parts: typing.Iterator[_Part], end: int) -> None:
    count = min(4, _processors()) if end >= MIN_THREADED_BYTES else 1
    if count > 1:
        shared = _Shared(target, parts)
        if shared.start(count):
            shared.wait()
            return
    for part in parts:
        _copy_part(target, part)


class _Shared:
    """A copy that several threads share. This one only waits: an interrupt comes nowhere else, so the account of the
    others is exact, and none is copying any more when ``wait`` returns or raises."""

    def __init__(self, target: typing.Any, parts: typing.Iterator[_Part]) -> None:
        self._target, self._parts = target, parts
        self._turn = threading.Condition()
        self._copying = 0
        self._over = False
        self._problems: typing.List[BaseException] = []

    def start(self, count: int) -> bool:
        """Whether there is a thread at least."""
        started = 0
        try:
            for _ in range(count):
                start_new_thread(self._work, ())  # a ``Thread`` would wait until it runs, longer than a part takes
                started += 1
        except RuntimeError:  # no more are to be had
            pass
        except BaseException as error:  # noqa: BLE001 (an interrupt: ``wait`` raises it)
            self._problems.append(error)
            self._over = True  # the last thread may be there or not; if it is, it takes nothing
            return True
        return started > 0

    def _work(self) -> None:
        part = self._next(0)
        while part is not None:
            try:
                _copy_part(self._target, part)
            except BaseException as error:  # noqa: BLE001 (``wait`` raises it)
                self._problems.append(error)
            part = self._next(1)

    def _next(self, done: int) -> typing.Optional[_Part]:
        with self._turn:
            self._copying -= done
            part = None
            if not self._problems:
                try:
                    part = next(self._parts, None)
                except BaseException as error:  # noqa: BLE001 (too little memory: ``wait`` raises it)
                    self._problems.append(error)
            self._copying += part is not None
            self._over = self._over or part is None
            if self._over and not self._copying:  # not before: it would take a processor from those that copy
                self._turn.notify_all()
            return part

    def wait(self) -> None:
        while True:
            try:
                with self._turn:
                    while self._copying or not self._over:
                        self._turn.wait()
                break
            except BaseException as error:  # noqa: BLE001 (an interrupt: it is raised below)
                self._problems.append(error)
        if self._problems:
            raise self._problems[0]


def _copy_part(target: typing.Any, part: _Part) -> None:
    target[part.offset : part.offset + len(part.data)] = part.data
    part.release()


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _mapping(descriptor: int, found: os.stat_result) -> typing.Any:
    """All of the segment as an array that writes to it."""
    segment = (found.st_dev, found.st_ino)
    target = cache.take(segment)
    if target is None or target.mapping.size < found.st_size:
        try:
            target = MappedSegment(descriptor, found.st_size, shared=True)
        except OSError:
            return None  # no descriptor is left for it
        use_huge_pages(target.mapping)  # now, and not when it is written for the first time: not all are used again
    cache.put(segment, target)
    return np.asarray(target.mapping)


@contextlib.contextmanager
def open_for_writing(address: Address) -> typing.Iterator[int]:
    """A descriptor for another process's segment, to be written to."""
    segment = (address["device"], address["inode"])
    target = cache.take(segment)
    if target is not None:
        cache.put(segment, target)
        yield target.descriptor
        return
    descriptor = open_segment(address)
    try:
        yield descriptor
    finally:
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
