"""Arrays that arrived and go on without a copy: their bytes are still in the segment that they came in.

What arrives is a private mapping: who writes to it gets pages of his own, and ``pages`` tells which. Nobody
writes to the segment as long as a mapping looks into it. So it does not matter if somebody writes to the array after
the look: that changes this process's pages, and what goes on is the array as it was.

Only the owner of the segments lends: the other side could not tell it how long it has to keep them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tfkernels.transfer.codec import ALIGNMENT
from tfkernels.transfer.shared_memory import pages, reader
from tfkernels.transfer.shared_memory.pool import shared
from tfkernels.transfer.shared_memory.segment import MAP_FROM, Address


class Loan:
    """What the arrays of one parcel lie in already. It keeps that as it is for as long as it lives."""

    def __init__(self) -> None:
        self._mappings: list[_Lent] = []
        self._arrays: list[np.ndarray[Any, Any]] = []

    @property
    def segments(self) -> list[tuple[Address, int]]:
        """Those to be mapped on the other side, each with the number of bytes. One may occur several times."""
        return [(lent.address, max(end for _, end in lent.ranges)) for lent in self._mappings]

    def find(self, array: np.ndarray[Any, Any]) -> tuple[int, int] | None:
        """The offset in its segment, and the number of that, of an array that is as it arrived; else ``None``."""
        came = reader.of(array)
        if came is None or array.nbytes < MAP_FROM or not array.flags.forc:
            return None
        start = array.__array_interface__["data"][0]
        offset = start - came.start
        # A part of what came is copied, if it is small: the other side would keep all of it, or copy more than that.
        if offset % ALIGNMENT or 4 * array.nbytes < came.size or not pages.untouched(start, array.nbytes):
            return None
        address = shared.address(*came.segment)
        if address is None:
            return None
        self._arrays.append(array)
        return offset, self._number(address, offset, offset + array.nbytes)

    def _number(self, address: Address, start: int, end: int) -> int:
        """Views of one array are arrays of their own there, so what overlaps gets another mapping."""
        for number, lent in enumerate(self._mappings):
            if lent.address == address and all(end <= first or last <= start for first, last in lent.ranges):
                lent.ranges.append((start, end))
                return number
        self._mappings.append(_Lent(address, [(start, end)]))
        return len(self._mappings) - 1


class _Lent(NamedTuple):
    address: Address
    ranges: list[tuple[int, int]]
