"""Forwarding of arrays that arrived: they go on without a copy, in the segment that they came in.

That holds while no page of theirs was written to. Later writes do not matter: they change pages of this process only.
Only the owner of segments forwards, because the other side cannot tell it how long to keep them.
"""

import typing

from tfkernels.protocol import ALIGNMENT
from tfkernels.transfer.dtypes import Array
from tfkernels.transfer.shared_memory import reader
from tfkernels.transfer.shared_memory.mapping import is_unmodified
from tfkernels.transfer.shared_memory.pool import shared
from tfkernels.transfer.shared_memory.segment import MIN_MAPPED_BYTES, Address

_Ranges = typing.List[typing.Tuple[int, int]]


class ForwardedArrays:
    """The arrays of one message that lie in segments already. It keeps them alive."""

    def __init__(self) -> None:
        self._segments: typing.List[typing.Tuple[Address, _Ranges]] = []
        self._arrays: typing.List[Array] = []

    @property
    def segments(self) -> typing.List[typing.Tuple[Address, int]]:
        """The segments that the other side maps, each with the number of bytes. One may occur several times."""
        return [(address, max(end for _, end in ranges)) for address, ranges in self._segments]

    def find(self, array: Array) -> typing.Optional[typing.Tuple[int, int]]:
        """Offset and number of the segment, of an array that is as it arrived; else ``None``."""
        received = reader.find_received(array)
        if received is None or array.nbytes < MIN_MAPPED_BYTES or not array.flags.forc:
            return None
        start = array.__array_interface__["data"][0]
        offset = start - received.start
        # A small part of it is copied: the other side would keep all of it, or copy more than that.
        if offset % ALIGNMENT or 4 * array.nbytes < received.size or not is_unmodified(start, array.nbytes):
            return None
        address = shared.address(*received.segment)
        if address is None:
            return None
        self._arrays.append(array)
        return offset, self._number(address, offset, offset + array.nbytes)

    def _number(self, address: Address, start: int, end: int) -> int:
        """The number of a mapping without overlap: views of one array are separate arrays on the other side."""
        for number, (known, ranges) in enumerate(self._segments):
            if known == address and all(end <= first or last <= start for first, last in ranges):
                ranges.append((start, end))
                return number
        self._segments.append((address, [(start, end)]))
        return len(self._segments) - 1
