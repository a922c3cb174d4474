"""Pool of shared-memory segments, kept for the next value: writing into memory that is there is a plain copy.

The kernel that calls others owns the segments of both directions, so that nothing is left if the other one dies. A
segment is *taken* for a request and *put* back afterwards. It is used again when no array uses it any more. It is freed
when it was idle for a while, or when the idle ones exceed the limit. See docs/design/shared-memory.md.
"""

import atexit
import collections
import os
import re
import threading
import time
import typing
import weakref

from tfkernels.errors import UsageError
from tfkernels.transfer.shared_memory import limits, reader, writer
from tfkernels.transfer.shared_memory.mapping_cache import idle_seconds
from tfkernels.transfer.shared_memory.segment import MIN_MAPPED_BYTES, Address, Segment, mappings_keep_locks

DEFAULT_LIMIT_SHARE = 0.25
"""The limit as a share of the machine's memory, unless ``TFKERNELS_POOL`` is set."""

MAX_SEGMENTS = 64
"""Each holds a file descriptor."""


class PoolStats(typing.NamedTuple):
    """What a pool holds at one moment."""

    taken: typing.List[Segment]
    """Segments that requests have."""
    kept: typing.List[Segment]
    """Segments that were put back; the one used last is the last."""
    idle: typing.List[Segment]
    """Kept segments that no array uses."""
    idle_bytes: int
    limit: int
    """How many bytes may be idle."""


class Pool:
    """Segments that wait for their next use. ``limit`` (bytes that may lie idle) and ``idle`` (seconds until an idle
    segment is freed) can be set at any time. Threads may share it; a forked child begins with none."""

    def __init__(self, limit: typing.Optional[int] = None, idle: typing.Optional[float] = None) -> None:
        self._limit = limit
        self._idle = idle
        self.dropped: typing.Deque[Segment] = collections.deque()
        """Where finalizers put segments back: these run in the middle of anything, and must not wait for a lock."""
        self._forget()

    def _forget(self) -> None:
        self.dropped.clear()
        self._taken: weakref.WeakSet[Segment] = weakref.WeakSet()
        self._kept: typing.List[Segment] = []  # the one used last is the last
        self._idle_since: typing.Dict[Segment, float] = {}
        self._writers: weakref.WeakKeyDictionary[Segment, str] = weakref.WeakKeyDictionary()
        self._changed = threading.Condition()
        self._thread: typing.Optional[threading.Thread] = None

    @property
    def limit(self) -> int:
        if self._limit is None:  # not at import: a setting that cannot be read must not keep a kernel from starting
            text = os.environ.get("TFKERNELS_POOL")
            self._limit = parse_size(text) if text else int(limits.total() * DEFAULT_LIMIT_SHARE)
        return self._limit

    @limit.setter
    def limit(self, size: int) -> None:
        self._limit = size

    @property
    def idle(self) -> float:
        if self._idle is None:
            try:
                self._idle = idle_seconds()
            except ValueError as error:
                raise UsageError(f"{error}. Write a number of seconds, such as 60.") from None
        return self._idle

    @idle.setter
    def idle(self, seconds: float) -> None:
        self._idle = seconds

    def take(self, size: int, writer: str = "") -> Segment:
        """A segment that holds ``size`` bytes already, if there is one and it is not much larger; else a new one.

        Prefers one that ``writer`` (a kernel's name, empty for this process) had last: it has it mapped.
        """
        with self._changed:
            segment = self._find(size, writer)
            self._taken.add(segment)
            self._writers[segment] = writer
            self._start_watch()
            return segment

    def _find(self, size: int, writer_name: str) -> Segment:
        idle = self._tidy()
        fitting = [segment for segment in reversed(idle) if size <= segment.size <= max(2 * size, MIN_MAPPED_BYTES)]
        if fitting:
            best = min(fitting, key=lambda segment: (self._writers.get(segment) != writer_name, segment.size))
            self._remove(best)
            return best
        if size > writer.MIN_CHECKED_BYTES and size > limits.available():
            self._free(idle)
        return Segment()

    def put(self, segment: Segment) -> None:
        """Takes a segment back. No other process may open it any more for the request that it was taken for."""
        with self._changed:
            self._keep(segment)
            self._tidy()
            self._start_watch()

    def _keep(self, segment: Segment) -> None:
        self._taken.discard(segment)
        if segment.named or segment.inherited or len(self._kept) >= MAX_SEGMENTS or not mappings_keep_locks():
            self._close(segment)
        else:
            self._kept.append(segment)

    def discard(self, segment: Segment) -> None:
        """Closes a taken segment that another process may still write to, so that no request gets it again."""
        with self._changed:
            self._close(segment)

    def address(self, device: int, inode: int) -> typing.Optional[Address]:
        """How another process opens a segment of this pool, even one that arrays use."""
        with self._changed:
            for segment in [*self._kept, *self._taken]:
                known = segment.address
                if (known["device"], known["inode"]) == (device, inode) and not segment.is_lost():
                    return known
            return None

    def stats(self) -> PoolStats:
        """What the pool holds now. Frees what was idle for too long first."""
        with self._changed:
            idle = self._tidy()
            return PoolStats(
                list(self._taken), list(self._kept), idle, sum(segment.size for segment in idle), self.limit
            )

    def close(self) -> None:
        """Frees the idle segments, and closes the rest; arrays that use them keep their memory."""
        with self._changed:
            self._free(self._tidy())
            for segment in list(self._kept):
                self._remove(segment)
                self._close(segment)
            self._changed.notify()

    def _tidy(self) -> typing.List[Segment]:
        """Frees segments that are idle for too long or exceed the limit, the oldest first; returns the idle ones."""
        while self.dropped:
            self._keep(self.dropped.popleft())
        limit, max_idle, now = self.limit, self.idle, time.monotonic()
        idle = []
        for segment in list(self._kept):
            if segment.is_lost():
                self._remove(segment)
                _unmap(segment)
            elif segment.is_busy():
                self._idle_since.pop(segment, None)
            else:
                self._idle_since.setdefault(segment, now)
                idle.append(segment)
        total = sum(segment.size for segment in idle)
        for segment in list(idle):
            if total > limit or now - self._idle_since[segment] >= max_idle:
                total -= segment.size
                idle.remove(segment)
                self._free([segment])
        return idle

    def _remove(self, segment: Segment) -> None:
        self._kept.remove(segment)
        self._idle_since.pop(segment, None)

    def _free(self, idle: typing.List[Segment]) -> None:
        for segment in idle:
            self._remove(segment)
            _unmap(segment)
            segment.free()

    def _close(self, segment: Segment) -> None:
        self._taken.discard(segment)
        _unmap(segment)
        segment.close()

    def _start_watch(self) -> None:
        if (self._kept or self._taken) and self._thread is None:
            self._thread = threading.Thread(target=self._watch, name="tfkernels-pool", daemon=True)
            self._thread.start()

    def _watch(self) -> None:
        """Tidies now and then while there is a segment. Without it, memory would be freed only at the next request."""
        with self._changed:
            try:
                while self._kept or self._taken or self.dropped:
                    self._changed.wait(min(max(self.idle / 4, 0.05), 1.0))
                    self._tidy()
            finally:
                self._thread = None

    def disown(self) -> None:
        """Forgets the segments and the thread in a forked child: they are its parent's."""
        segments = self._kept
        self._forget()
        for segment in segments:
            segment.close()


def _unmap(segment: Segment) -> None:
    identity = (segment.address["device"], segment.address["inode"])
    writer.cache.take(identity)
    reader.forget(identity)


def parse_size(text: str) -> int:
    """Bytes, from ``2G``, ``512M``, ``1.5 GiB``, ``0``; a factor of 1024 from letter to letter."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d*)?)\s*([kmgt]?)(?:i?b)?\s*", text.lower())
    if found is None:
        raise UsageError(f"TFKERNELS_POOL is {text!r}. Write a number of bytes, such as 2G, 512M or 0.")
    return int(float(found.group(1)) * 1024 ** " kmgt".index(found.group(2) or " "))


shared = Pool()
"""This process's pool."""

atexit.register(shared.close)
if hasattr(os, "register_at_fork"):  # from Python 3.7 on
    os.register_at_fork(after_in_child=shared.disown)  # novm


def set_memory_limit(size: int) -> None:
    """Sets how many bytes of idle shared memory this process keeps for the next values."""
    shared.limit = size
