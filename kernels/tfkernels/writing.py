"""Bytes into a segment: written where memory may be missing, copied where it cannot.

Writing raises if there is no room; a store through a mapping would end the process. But once every page is there,
nothing can be missing, and a copy through a mapping that stays is more than twice as fast as a write. So a fresh
segment is written, and one that is used again is copied into.
"""

import collections
import errno
import mmap
import os
import threading
import typing

import numpy as np

from tfkernels import memory
from tfkernels.errors import ExchangeError
from tfkernels.segments import sealed

Pieces = typing.Sequence[typing.Tuple[int, typing.Any]]
"""Buffers of bytes with their offsets, ascending."""

COPY_FROM = 256 * 1024
"""Bytes. For less, a mapping is not worth its upkeep."""

SPLIT_FROM = 16 * 1024 * 1024
"""Bytes. From here on several threads copy: one does not saturate the memory."""

MAPPINGS = 8
"""How many segments stay mapped for writing."""

CHECKED_FROM = 64 * 1024 * 1024
"""Bytes. More fresh memory than this is asked for first: Linux promises it all and then ends a process."""

_GATHERED = 256 * 1024
_PADDING = bytes(4096)

_mappings: "collections.OrderedDict[typing.Tuple[int, int], typing.Any]" = collections.OrderedDict()
_lock = threading.Lock()


def write(descriptor: int, pieces: Pieces) -> None:
    """Puts the pieces into the open segment. Raises ``ExchangeError`` if there is no room."""
    end = max((offset + len(data) for offset, data in pieces), default=0)
    found = os.fstat(descriptor)
    missing = end - found.st_blocks * 512
    if missing <= 0 and COPY_FROM <= end <= found.st_size and sealed(descriptor):
        target = _mapping(descriptor, found)
        if target is not None:
            _copy(target, list(_gather(pieces)), end)
            return
    if missing > CHECKED_FROM and missing > memory.available():
        raise _no_room(missing, "not enough memory is free")
    try:
        whole = -(-end // mmap.PAGESIZE) * mmap.PAGESIZE  # so that a few bytes more need no new mapping
        if found.st_size < whole:
            os.ftruncate(descriptor, whole)
        for offset, data in _gather(pieces):
            _write(descriptor, offset, data)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.ENOMEM, errno.EFBIG, errno.EDQUOT):
            raise _no_room(end, str(error.strerror)) from error
        raise


def _write(descriptor: int, offset: int, data: typing.Any) -> None:
    rest = memoryview(data)
    while rest:
        done = os.pwrite(descriptor, rest, offset)
        offset += done
        rest = rest[done:]


def _no_room(size: int, why: str) -> ExchangeError:
    return ExchangeError(
        f"there is no room in shared memory for {size:,} more bytes ({why}); free memory, or pass less at a time"
    )


def _gather(pieces: Pieces) -> typing.Iterator[typing.Tuple[int, typing.Any]]:
    """Small neighbours together: a system call, or a NumPy operation, costs more than their bytes."""
    run, start, end = bytearray(), 0, 0
    for offset, data in pieces:
        size = len(data)
        if run and offset + size - start > _GATHERED:
            yield start, run
            run = bytearray()
        if size > _GATHERED:
            yield offset, data
            continue
        if not run:
            start = end = offset
        run += _PADDING[: offset - end]
        run += memoryview(data)  # of an array, NumPy would add the numbers
        end = offset + size
    if run:
        yield start, run


def _copy(target: typing.Any, pieces: Pieces, end: int) -> None:
    """One range of the target per thread, and none is left running when this returns."""
    count = min(4, _processors()) if end >= SPLIT_FROM else 1
    edges = [end * number // count for number in range(count + 1)]
    ranges = list(zip(edges[:-1], edges[1:]))
    threads = [threading.Thread(target=_copy_range, args=(target, pieces, *edge)) for edge in ranges[1:]]
    for thread in threads:
        thread.start()
    interrupted: typing.Optional[KeyboardInterrupt] = None
    try:
        _copy_range(target, pieces, *ranges[0])
    except KeyboardInterrupt as error:
        interrupted = error
    while any(thread.is_alive() for thread in threads):
        try:
            for thread in threads:
                thread.join()
        except KeyboardInterrupt as error:
            interrupted = error
    if interrupted is not None:
        raise interrupted


def _copy_range(target: typing.Any, pieces: Pieces, low: int, high: int) -> None:
    for offset, data in pieces:
        start, stop = max(low, offset), min(high, offset + len(data))
        if start < stop:
            target[start:stop] = np.frombuffer(data, np.uint8)[start - offset : stop - offset]


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _mapping(descriptor: int, found: os.stat_result) -> typing.Any:
    """All of the segment as an array that writes to it; kept, since most of a first copy is mapping the pages."""
    key = (found.st_dev, found.st_ino)  # of a file that exists as long as it is mapped: nobody else gets the number
    with _lock:
        target = _mappings.pop(key, None)
        if target is None or len(target) < found.st_size:
            try:
                target = np.frombuffer(mmap.mmap(descriptor, found.st_size), np.uint8)
            except OSError:
                return None  # no descriptor is left for it
        _mappings[key] = target
        while len(_mappings) > MAPPINGS:
            _mappings.popitem(last=False)
        return target


def forget(device: int, inode: int) -> None:
    """Lets go of a segment that will not be written again."""
    with _lock:
        _mappings.pop((device, inode), None)


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()
    _mappings.clear()  # they would keep the parent's memory


if hasattr(os, "register_at_fork"):  # from Python 3.7 on
    os.register_at_fork(after_in_child=_after_fork)
