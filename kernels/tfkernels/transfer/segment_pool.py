"""Pool of shared-memory segments, kept for the next value: writing into memory that is there is a plain copy.

The kernel that calls others owns the segments of both directions, so that nothing is left if the other one dies. A
message, on its way to other kernels or from one, has the *lease* of a segment. The segment goes back to the pool when
its lease is closed and no cell retains it. It is used again when no array uses it any more. It is freed when it was
idle for a while, or when the idle ones exceed the limit. See docs/design/shared-memory.md.
"""

import atexit
import collections
import os
import threading
import time
import typing
import weakref

from tfkernels import debugger, env_vars
from tfkernels.errors import UsageError
from tfkernels.transfer import decoder
from tfkernels.transfer.dtype_encoding import Array
from tfkernels.transfer.encoder import Descriptor, ValueMessage, check
from tfkernels.transfer.shared_memory import limits, reader, writer
from tfkernels.transfer.shared_memory.segment import (
    MIN_MAPPED_BYTES,
    Address,
    Identity,
    Segment,
    identity,
    idle_seconds,
    mappings_keep_locks,
)

DEFAULT_LIMIT_SHARE = 0.25
"""The limit as a share of the machine's memory, unless ``TFKERNELS_POOL`` is set."""

MAX_SEGMENTS = 64
"""Each holds a file descriptor."""


class PooledSegment(Segment):
    """A segment of a pool, which notes this about it."""

    kernel = ""
    """The kernel that wrote to it last, and has it mapped; empty for this process."""
    idle_since: typing.Optional[float] = None


class PoolStats(typing.NamedTuple):
    """What a pool holds at one moment."""

    taken: typing.List[PooledSegment]
    """Segments that requests have."""
    kept: typing.List[PooledSegment]
    """Segments that were put back; the one used last is the last."""
    idle: typing.List[PooledSegment]
    """Kept segments that no array uses."""


class Pool:
    """Segments that wait for their next use. Threads may share it; a forked child begins with none."""

    limit: int
    """Bytes that may lie idle. It can be set at any time."""
    idle: float
    """Seconds until an idle segment is freed. It can be set at any time."""

    def __init__(self, **settings: float) -> None:
        """The settings are ``limit`` and ``idle``. The environment variables say what is left out."""
        vars(self).update(settings)
        self.dropped: typing.Deque[PooledSegment] = collections.deque()
        """Where finalizers put segments back: these run in the middle of anything, and must not wait for a lock."""
        self._forget()

    def __getattr__(self, name: str) -> typing.Any:
        """Reads a setting. Not at import: one that cannot be read must not keep a kernel from starting."""
        if name not in _SETTINGS:
            raise AttributeError(name)
        setattr(self, name, _SETTINGS[name]())
        return getattr(self, name)

    def _forget(self) -> None:
        self.dropped.clear()
        self._taken: weakref.WeakSet[PooledSegment] = weakref.WeakSet()
        self._kept: typing.List[PooledSegment] = []  # the one used last is the last
        self._thread: typing.Optional[threading.Thread] = None
        self.lock = threading.RLock()
        """Of the pool and of its leases. An interrupt in the ``__enter__`` of a ``Condition`` would leave it locked."""
        self._changed = threading.Condition(self.lock)

    def take(self, size: int, kernel: str = "") -> PooledSegment:
        """A segment that holds ``size`` bytes already, if there is one and it is not much larger; else a new one.

        Prefers one that ``kernel`` (empty for this process) wrote to last: it has it mapped.
        """
        with self.lock:
            idle = self._tidy()
            fitting = [segment for segment in reversed(idle) if size <= segment.size <= max(2 * size, MIN_MAPPED_BYTES)]
            if fitting:
                found = min(fitting, key=lambda segment: (segment.kernel != kernel, segment.size))
                self._kept.remove(found)
            else:
                if size > writer.MIN_CHECKED_BYTES and size > limits.available():
                    for segment in idle:
                        self._end(segment, free=True)
                found = PooledSegment()
            found.kernel, found.idle_since = kernel, None
            self._taken.add(found)
            self._start_watch()
            return found

    def put(self, segment: PooledSegment) -> None:
        """Takes a segment back. No other process may open it any more for the request that it was taken for."""
        with self.lock:
            self._keep(segment)
            self._tidy()
            self._start_watch()

    def _keep(self, segment: PooledSegment) -> None:
        if segment.named or segment.inherited or len(self._kept) >= MAX_SEGMENTS or not mappings_keep_locks():
            self._end(segment)
        else:
            self._taken.discard(segment)
            self._kept.append(segment)

    def discard(self, segment: PooledSegment) -> None:
        """Closes a taken segment that another process may still write to, so that no request gets it again."""
        with self.lock:
            self._end(segment)

    def address(self, segment: Identity) -> typing.Optional[Address]:
        """How another process opens a segment of this pool, even one that arrays use."""
        with self.lock:
            for each in [*self._kept, *self._taken]:
                if identity(each.address) == segment and not each.is_lost():
                    return each.address
            return None

    def stats(self) -> PoolStats:
        """What the pool holds now. Frees what was idle for too long first."""
        with self.lock:
            idle = self._tidy()
            return PoolStats(list(self._taken), list(self._kept), idle)

    def close(self) -> None:
        """Frees the idle segments, and closes the rest; arrays that use them keep their memory."""
        with self.lock:
            idle = self._tidy()
            for segment in list(self._kept):
                self._end(segment, free=segment in idle)
            self._changed.notify()

    def _tidy(self) -> typing.List[PooledSegment]:
        """Frees segments that are idle for too long or exceed the limit, the oldest first; returns the idle ones."""
        while self.dropped:
            self._keep(self.dropped.popleft())
        limit, max_idle, now = self.limit, self.idle, time.monotonic()
        sizes = {}
        for segment in list(self._kept):
            if segment.is_lost():
                self._end(segment)
            elif segment.is_busy():
                segment.idle_since = None
            else:
                segment.idle_since = segment.idle_since or now
                sizes[segment] = segment.size
        for segment in list(sizes):
            if sum(sizes.values()) > limit or now - (segment.idle_since or now) >= max_idle:
                del sizes[segment]
                self._end(segment, free=True)
        return list(sizes)

    def _end(self, segment: PooledSegment, free: bool = False) -> None:
        """Closes a segment for good, and everything that is mapped of it for the next value."""
        self._taken.discard(segment)
        if segment in self._kept:
            self._kept.remove(segment)
        writer.cache.take(identity(segment.address))
        reader.forget(identity(segment.address))
        (segment.free if free else segment.close)()

    def _start_watch(self) -> None:
        if (self._kept or self._taken) and self._thread is None:
            self._thread = debugger.untraced_thread("pool", self._watch)
            self._thread.start()

    def _watch(self) -> None:
        """Tidies now and then while there is a segment. Without it, memory would be freed only at the next request."""
        with self.lock:
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


def _limit() -> int:
    text = os.environ.get(env_vars.POOL)
    try:
        return env_vars.parse_size(text) if text else int(limits.total() * DEFAULT_LIMIT_SHARE)
    except ValueError as error:
        raise UsageError(f"{env_vars.POOL}: {error}") from None


_SETTINGS: typing.Dict[str, typing.Callable[[], float]] = {"limit": _limit, "idle": idle_seconds}

shared = Pool()
"""This process's pool."""

atexit.register(shared.close)
if hasattr(os, "register_at_fork"):  # from Python 3.7 on
    os.register_at_fork(after_in_child=shared.disown)  # novm


def set_memory_limit(size: int) -> None:
    """Sets how many bytes of idle shared memory this process keeps for the next values."""
    shared.limit = size


class SegmentLease:
    """A message in a segment of its own. Arrays that were unpacked from it stay valid after ``close``."""

    reusable = False
    """Whether the cell that it was made for may write its outputs into the segment once nothing uses the inputs."""

    segment: typing.Optional[PooledSegment] = None
    """Until it goes back to the pool."""

    descriptor: typing.Optional[Descriptor] = None
    """Of the message, once it is written and until the lease is closed."""

    def __init__(self, size: int = 0, kernel: str = "") -> None:
        """``kernel`` is the name of the one that writes to it, or empty for this process."""
        self._reused: typing.List[SegmentLease] = []
        self._closed = False
        self._users = 0
        self._forwarded: typing.List[Array] = []
        self.segment = shared.take(size, kernel)

    def __del__(self) -> None:
        """Puts back outputs that were dropped. No kernel writes to them: a cell that runs keeps its lease."""
        if self.segment is not None:
            shared.dropped.append(self.segment)

    @property
    def address(self) -> Address:
        assert self.segment is not None
        return self.segment.address

    @property
    def size(self) -> int:
        """Bytes of the message."""
        assert self.descriptor is not None
        return sum(part["buffers"] + part["skeleton"] for part in self.descriptor["parts"])

    def write(self, values: ValueMessage) -> None:
        assert self.segment is not None
        self._forwarded = values.forwarded
        self.descriptor = values.write(self.segment.descriptor, self.address)

    def reuse(self, inputs: typing.Iterable["SegmentLease"]) -> typing.List[Address]:
        """The segments of a cell's inputs that its outputs may be written to in place of this one's.

        Large inputs that a cell drops, or changes in place, make room for its outputs: else both would be there at the
        same time. See docs/design/shared-memory.md for why there is not less memory than that.
        """
        self._reused = [lease for lease in inputs if lease.reusable]
        for lease in self._reused:
            lease.retain()
        return [lease.address for lease in self._reused]

    def accept(self, descriptor: typing.Optional[Descriptor]) -> None:
        """Takes over what a cell has written, with the segment that it wrote to. Raises ``ExchangeError``."""
        descriptor = check(descriptor)
        for lease in self._reused:
            if [part["segment"] for part in descriptor["parts"]] == [lease.address]:
                self.segment, lease.segment = lease.segment, self.segment
        self._release_reused()
        self.descriptor = descriptor

    def unpack(self) -> typing.Dict[str, typing.Any]:
        assert self.descriptor is not None
        return decoder.unpack(self.descriptor)

    def close(self) -> None:
        """Lets the pool use the segment again, once no cell retains it and no array uses it."""
        self.descriptor = None
        with shared.lock:
            self._closed = True
            self._put_unused()
        self._release_reused()

    def discard(self) -> None:
        """Closes it while a kernel may still write to the segment, so that no request gets that again."""
        self.descriptor = None
        reused, self._reused = self._reused, []
        for lease in reused:
            lease.discard()
        with shared.lock:
            self._closed = True
            self._give_back(shared.discard)

    def retain(self) -> None:
        """Keeps the segment while a cell may use it, even after ``close``; ``release`` ends that."""
        with shared.lock:
            self._users += 1

    def release(self) -> None:
        with shared.lock:
            self._users -= 1
            self._put_unused()

    def _release_reused(self) -> None:
        reused, self._reused = self._reused, []
        for lease in reused:
            lease.release()

    def _put_unused(self) -> None:
        if self._closed and not self._users:
            self._give_back(shared.put)

    def _give_back(self, take: typing.Callable[[PooledSegment], None]) -> None:
        """Once. Needs the lock."""
        segment, self.segment, self._forwarded = self.segment, None, []
        if segment is not None:
            take(segment)

    def __enter__(self) -> "SegmentLease":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def pack(values: typing.Mapping[str, typing.Any]) -> SegmentLease:
    """Writes values once, to be sent to several kernels::

        with tfkernels.pack({"images": images}) as packed:
            tf1.run(code, inputs=packed)
            tf2.run(code, inputs=packed)

    Later changes of the values are not sent. Raises ``ExchangeError`` if one of them cannot be passed.
    """
    return write(encode(values))


def encode(values: typing.Mapping[str, typing.Any]) -> ValueMessage:
    """Values checked and encoded, not yet written; arrays that arrived and are unmodified are forwarded."""
    return ValueMessage(values, shared.address)


def write(values: ValueMessage) -> SegmentLease:
    """Takes a segment from this process's pool and writes encoded values into it."""
    lease = SegmentLease(values.size)
    try:
        lease.write(values)
    except BaseException:
        lease.close()
        raise
    return lease
