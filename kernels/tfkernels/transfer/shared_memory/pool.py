"""The segments of this process, kept for the next value: writing into memory that is there is a plain copy.

The side that calls another kernel owns the segments of both directions, so that nothing is left if the other one dies.
A pool on each side would be twice the idle memory under two limits, in processes that restart and are killed more often
than the notebook's, and a segment that one kernel has let go could not serve the next: what goes there and what comes
back are of the same sizes.
A segment is *taken* for a request and *put* back when that is answered; until then no other request gets it. It is
used again when no array looks into it any more (see ``segment``), and given back to the system when it has
been idle for a while, or when the idle ones together are more than the pool's limit. One whose taker was collected is
*dropped*, and found at the next look.
"""

from __future__ import annotations

import atexit
import os
import re
import threading
import time
import weakref
from collections import deque

from tfkernels.errors import UsageError
from tfkernels.transfer.shared_memory import limits as memory
from tfkernels.transfer.shared_memory import reader
from tfkernels.transfer.shared_memory import writer as writing
from tfkernels.transfer.shared_memory.mapping_cache import idle
from tfkernels.transfer.shared_memory.segment import MAP_FROM, Address, Segment, locks_last

SHARE = 0.25
"""Of the machine's memory, the limit unless ``TFKERNELS_POOL`` says otherwise."""

MOST = 64
"""Segments. Each holds a file descriptor."""


class Pool:
    """Segments that wait for their next use. ``limit`` (bytes that may lie idle) and ``idle`` (seconds until an idle
    segment is given back) can be set at any time. Safe to share between threads; a forked child begins with none."""

    def __init__(self, limit: int | None = None, idle: float | None = None) -> None:
        self._limit = limit
        self._idle = idle
        self.dropped: deque[Segment] = deque()
        """Instead of ``put``, for a finalizer: that runs in the middle of anything, and may want no lock."""
        self._forget()

    def _forget(self) -> None:
        self.dropped.clear()
        self._taken: weakref.WeakSet[Segment] = weakref.WeakSet()
        self._kept: list[Segment] = []  # the one used last is the last
        self._idle_since: dict[Segment, float] = {}
        self._writers: weakref.WeakKeyDictionary[Segment, str] = weakref.WeakKeyDictionary()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    @property
    def limit(self) -> int:
        if self._limit is None:  # not at import: a setting that cannot be read must not keep a kernel from starting
            text = os.environ.get("TFKERNELS_POOL")
            self._limit = parse_size(text) if text else int(memory.total() * SHARE)
        return self._limit

    @limit.setter
    def limit(self, size: int) -> None:
        self._limit = size

    @property
    def idle(self) -> float:
        if self._idle is None:
            try:
                self._idle = idle()
            except ValueError as error:
                raise UsageError(f"{error}; write a number of seconds, such as 60") from None
        return self._idle

    @idle.setter
    def idle(self, seconds: float) -> None:
        self._idle = seconds

    def take(self, size: int, writer: str = "") -> Segment:
        """A segment that holds ``size`` bytes already, if there is one and it would not be wasted; else a new one.

        Rather one that the same writer (a kernel's name, or none for this process) had last: it has it mapped.
        """
        with self._changed:
            segment = self._find(size, writer)
            self._taken.add(segment)
            self._writers[segment] = writer
            self._keep_watch()
            return segment

    def _find(self, size: int, writer: str) -> Segment:
        idle = self._look()
        fitting = [segment for segment in reversed(idle) if size <= segment.size <= max(2 * size, MAP_FROM)]
        if fitting:
            best = min(fitting, key=lambda segment: (self._writers.get(segment) != writer, segment.size))
            self._drop(best)
            return best
        if size > writing.CHECKED_FROM and size > memory.available():
            self._give_back(idle)
        return Segment()

    def put(self, segment: Segment) -> None:
        """Takes a segment back. Nobody may open it any more because of the request that it was taken for."""
        with self._changed:
            self._keep(segment)
            self._look()
            self._keep_watch()

    def _keep(self, segment: Segment) -> None:
        self._taken.discard(segment)
        if segment.named or segment.inherited or len(self._kept) >= MOST or not locks_last():
            self._discard(segment)
        else:
            self._kept.append(segment)

    def discard(self, segment: Segment) -> None:
        """Instead of ``put``, for a segment that somebody may still write to."""
        with self._changed:
            self._discard(segment)

    def address(self, device: int, inode: int) -> Address | None:
        """How another process opens a segment of this pool, also one that arrays look into."""
        with self._changed:
            for segment in [*self._kept, *self._taken]:
                known = segment.address
                if (known["device"], known["inode"]) == (device, inode) and not segment.lost():
                    return known
            return None

    @property
    def held(self) -> int:
        """Bytes in segments that nothing looks into."""
        with self._changed:
            return sum(segment.size for segment in self._look())

    def close(self) -> None:
        """Gives back what is idle and forgets the rest, which the arrays that look into it keep."""
        with self._changed:
            self._give_back(self._look())
            for segment in list(self._kept):
                self._drop(segment)
                self._discard(segment)
            self._changed.notify()

    def _look(self) -> list[Segment]:
        """Who is idle now. Gives back those that are so for too long or that are too many; the oldest first."""
        while self.dropped:
            self._keep(self.dropped.popleft())
        limit, patience, now = self.limit, self.idle, time.monotonic()
        idle = []
        for segment in list(self._kept):
            if segment.lost():
                self._drop(segment)
                _unmap(segment)
            elif segment.busy():
                self._idle_since.pop(segment, None)
            else:
                self._idle_since.setdefault(segment, now)
                idle.append(segment)
        held = sum(segment.size for segment in idle)
        for segment in list(idle):
            if held > limit or now - self._idle_since[segment] >= patience:
                held -= segment.size
                idle.remove(segment)
                self._give_back([segment])
        return idle

    def _drop(self, segment: Segment) -> None:
        self._kept.remove(segment)
        self._idle_since.pop(segment, None)

    def _give_back(self, idle: list[Segment]) -> None:
        for segment in idle:
            self._drop(segment)
            _unmap(segment)
            segment.give_back()

    def _discard(self, segment: Segment) -> None:
        self._taken.discard(segment)
        _unmap(segment)
        segment.close()

    def _keep_watch(self) -> None:
        if (self._kept or self._taken) and self._thread is None:
            self._thread = threading.Thread(target=self._watch, name="tfkernels-pool", daemon=True)
            self._thread.start()

    def _watch(self) -> None:
        """Looks now and then as long as there is something to look at. Without it, memory would come back only at the
        next exchange."""
        with self._changed:
            try:
                while self._kept or self._taken or self.dropped:
                    self._changed.wait(min(max(self.idle / 4, 0.05), 1.0))
                    self._look()
            finally:
                self._thread = None

    def disown(self) -> None:
        """After a fork: the segments are the parent's, and so is the thread."""
        segments = self._kept
        self._forget()
        for segment in segments:
            segment.close()


def _unmap(segment: Segment) -> None:
    identity = (segment.address["device"], segment.address["inode"])
    writing.kept.take(identity)
    reader.forget(identity)


def parse_size(text: str) -> int:
    """Bytes, from ``2G``, ``512M``, ``1.5 GiB``, ``0``; a factor of 1024 from letter to letter."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d*)?)\s*([kmgt]?)(?:i?b)?\s*", text.lower())
    if found is None:
        raise UsageError(f"TFKERNELS_POOL is {text!r}; write a number of bytes, such as 2G, 512M or 0")
    return int(float(found[1]) * 1024 ** " kmgt".index(found[2] or " "))


shared = Pool()
"""This process's pool."""

atexit.register(shared.close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=shared.disown)
