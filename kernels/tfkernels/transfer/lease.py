"""Lease of a pooled segment that holds one message, on its way to other kernels or from one.

The segment goes back to the pool when its lease is closed and no cell retains it.
"""

import os
import threading
import typing

from tfkernels.transfer import message
from tfkernels.transfer.shared_memory.forwarding import ForwardedArrays
from tfkernels.transfer.shared_memory.pool import shared
from tfkernels.transfer.shared_memory.segment import Address, Segment

_lock = threading.Lock()


def _after_fork() -> None:
    global _lock  # another thread may have held it, and the child has no such thread
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):  # from Python 3.7 on
    os.register_at_fork(after_in_child=_after_fork)  # novm


class SegmentLease:
    """A message in a segment of its own. Arrays that were unpacked from it stay valid after ``close``."""

    reusable = False
    """Whether the cell that it was made for may write its outputs into the segment once nothing uses the inputs."""

    _segment: typing.Optional[Segment] = None
    """Until it goes back to the pool."""

    def __init__(self, size: int = 0, writer: str = "") -> None:
        """``writer`` is the name of the kernel that writes to it, or empty for this process."""
        self._reused: typing.List[SegmentLease] = []
        self._closed = False
        self._users = 0
        self._forwarded: typing.Optional[ForwardedArrays] = None
        self.descriptor: typing.Optional[message.Descriptor] = None
        self._segment = shared.take(size, writer)

    def __del__(self) -> None:
        """Puts back outputs that were dropped. No kernel writes to them: a cell that runs keeps its lease."""
        if self._segment is not None:
            shared.dropped.append(self._segment)

    @property
    def segment(self) -> Segment:
        assert self._segment is not None
        return self._segment

    @property
    def address(self) -> Address:
        return self.segment.address

    @property
    def size(self) -> int:
        """Bytes of the message."""
        assert self.descriptor is not None
        return sum(part["buffers"] + part["skeleton"] for part in self.descriptor["parts"])

    def write(self, values: message.ValueMessage) -> None:
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

    def accept(self, descriptor: message.Descriptor) -> None:
        """Takes over what a cell has written, with the segment that it wrote to."""
        for lease in self._reused:
            if [part["segment"] for part in descriptor["parts"]] == [lease.address]:
                self._segment = lease.exchange(self.segment)
        self._release_reused()
        self.descriptor = descriptor

    def exchange(self, segment: Segment) -> Segment:
        mine, self._segment = self.segment, segment
        return mine

    def _release_reused(self) -> None:
        reused, self._reused = self._reused, []
        for lease in reused:
            lease.release()

    def unpack(self) -> typing.Dict[str, typing.Any]:
        assert self.descriptor is not None
        return message.unpack(self.descriptor)

    def close(self) -> None:
        """Lets the pool use the segment again, once no cell retains it and no array uses it."""
        with _lock:
            self._closed = True
            segment = self._take_unused()
        self.descriptor = None
        self._release_reused()
        if segment is not None:
            shared.put(segment)

    def discard(self) -> None:
        """Closes it while a kernel may still write to the segment, so that no request gets that again."""
        reused, self._reused = self._reused, []
        for lease in reused:
            lease.discard()
        with _lock:
            self._closed = True
            segment, self._segment, self._forwarded = self._segment, None, None
        self.descriptor = None
        if segment is not None:
            shared.discard(segment)

    def _take_unused(self) -> typing.Optional[Segment]:
        """The segment, once, if it is closed and no cell retains it. Needs the lock."""
        if not self._closed or self._users:
            return None
        segment, self._segment, self._forwarded = self._segment, None, None
        return segment

    def retain(self) -> None:
        """Keeps the segment while a cell may use it, even after ``close``; ``release`` ends that."""
        with _lock:
            self._users += 1

    def release(self) -> None:
        with _lock:
            self._users -= 1
            segment = self._take_unused()
        if segment is not None:
            shared.put(segment)

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


def encode(values: typing.Mapping[str, typing.Any]) -> message.ValueMessage:
    """Values checked and encoded, not yet written; arrays that arrived and are unmodified are forwarded."""
    return message.ValueMessage(values, ForwardedArrays())


def write(values: message.ValueMessage) -> SegmentLease:
    """Takes a segment from this process's pool and writes encoded values into it."""
    lease = SegmentLease(values.size)
    try:
        lease.write(values)
    except BaseException:
        lease.close()
        raise
    return lease
