"""Values in a segment of this process, on their way to other kernels or from one."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from tfkernels.transfer import message
from tfkernels.transfer.shared_memory.forwarding import Loan
from tfkernels.transfer.shared_memory.pool import shared
from tfkernels.transfer.shared_memory.segment import Address, Segment

_changing = threading.Lock()


def _after_fork() -> None:
    global _changing  # another thread may have had it, and there is no such thread in the child
    _changing = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class SegmentLease:
    """A parcel in a segment that is this shipment's own until it is closed. Whoever has arrays out of it keeps them."""

    lendable = False
    """Whether it was made for one cell: that may write its outputs into the memory when it has let go of the inputs."""

    _segment: Segment | None = None
    """Until it is given back."""

    def __init__(self, size: int = 0, writer: str = "") -> None:
        self._borrowed: list[SegmentLease] = []
        self._closed = False
        self._holders = 0
        self._loan: Loan | None = None
        self.descriptor: message.Descriptor | None = None
        self._segment = shared.take(size, writer)

    def __del__(self) -> None:
        """Of outputs that nobody can ask for any more. Nobody writes to them: a cell that runs keeps its shipment."""
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
        """Bytes of the parcel."""
        assert self.descriptor is not None
        return sum(part["buffers"] + part["skeleton"] for part in self.descriptor["parts"])

    def pack(self, packed: message.ValueMessage) -> SegmentLease:
        self._loan = packed.loan
        self.descriptor = packed.write(self.segment.descriptor, self.address)
        return self

    def borrow(self, sent: Sequence[SegmentLease]) -> list[Address]:
        """The memory that may be written to instead of this shipment's own: that of inputs which came with the cell.

        Large inputs that a cell lets go of, or adds to in place, make room for its outputs: nobody looks into their
        memory any more. Else both would be there at the same time.

        There is never more memory than for what the user keeps: with ``x`` and ``y`` there and ``y`` here, three arrays
        for one that was sent. ``y`` there cannot lie in the pages of ``y`` here: NumPy made it elsewhere, and views,
        tensors and other libraries hold its address. To bind its name to a new array in the segment would be seen by
        none of them, would lose what a thread writes meanwhile, and would come after the peak: until the last byte is
        written both have to be whole, because an exchange that fails must leave ``y`` as it was.
        """
        self._borrowed = [shipment for shipment in sent if shipment.lendable]
        for lender in self._borrowed:
            lender.hold()
        return [lender.address for lender in self._borrowed]

    def accept(self, descriptor: message.Descriptor) -> None:
        """Takes over what a cell has written, and with it the memory that it was written to."""
        for lender in self._borrowed:
            if [part["segment"] for part in descriptor["parts"]] == [lender.address]:
                self._segment = lender.swap(self.segment)
        self._give_back()
        self.descriptor = descriptor

    def swap(self, segment: Segment) -> Segment:
        mine, self._segment = self.segment, segment
        return mine

    def _give_back(self) -> None:
        lenders, self._borrowed = self._borrowed, []
        for lender in lenders:
            lender.let_go()

    def unpack(self) -> dict[str, Any]:
        assert self.descriptor is not None
        return message.unpack(self.descriptor)

    def close(self) -> None:
        """The segment can be used for other values as soon as no cell waits for it and no array looks into it."""
        with _changing:
            self._closed = True
            segment = self._unneeded()
        self.descriptor = None
        self._give_back()
        if segment is not None:
            shared.put(segment)

    def abandon(self) -> None:
        """Instead of ``close``, while somebody may still write to it: nobody else ever gets the segment."""
        lenders, self._borrowed = self._borrowed, []
        for lender in lenders:
            lender.abandon()
        with _changing:
            self._closed = True
            segment, self._segment, self._loan = self._segment, None, None
        self.descriptor = None
        if segment is not None:
            shared.discard(segment)

    def _unneeded(self) -> Segment | None:
        """The segment, once, when it is closed and no cell waits for it. Under the lock."""
        if not self._closed or self._holders:
            return None
        segment, self._segment, self._loan = self._segment, None, None
        return segment

    @contextmanager
    def held(self) -> Iterator[SegmentLease]:
        """While a cell may still read it, also when its maker has closed it."""
        self.hold()
        try:
            yield self
        finally:
            self.let_go()

    def hold(self) -> None:
        with _changing:
            self._holders += 1

    def let_go(self) -> None:
        with _changing:
            self._holders -= 1
            segment = self._unneeded()
        if segment is not None:
            shared.put(segment)

    def __enter__(self) -> SegmentLease:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def pack(values: Mapping[str, Any]) -> SegmentLease:
    """Writes values once, to be sent to several kernels::

        with tfkernels.pack({"images": images}) as packed:
            tf1.run(code, inputs=packed)
            tf2.run(code, inputs=packed)

    They are those of the moment of packing. Raises ``ExchangeError`` if one of them cannot travel.
    """
    return write(message.ValueMessage(values, Loan()))


def write(packed: message.ValueMessage) -> SegmentLease:
    """Takes a segment of this process and writes encoded values into it."""
    lease = SegmentLease(packed.size)
    try:
        return lease.pack(packed)
    except BaseException:
        lease.close()
        raise
