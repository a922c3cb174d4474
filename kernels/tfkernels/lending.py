"""Arrays that arrived and go on without a copy: their bytes are still in the segment that they came in.

What arrives is a private mapping. The system gives a page of it to this process alone when somebody writes to it, and
its account of pages (``/proc/self/pagemap``) tells which those are. Nobody writes to the segment as long as a mapping
looks into it. So it does not matter if somebody writes to the array after the look: that changes this process's pages,
and what goes on is the array as it was.

Only the owner of the segments lends: the other side could not tell it how long it has to keep them.
"""

from __future__ import annotations

import mmap
from typing import Any, NamedTuple

import numpy as np

from tfkernels import segments
from tfkernels.codec import ALIGNMENT
from tfkernels.pool import shared
from tfkernels.segments import Address

_OF_FILE, _SWAPPED, _PRESENT = 1 << 61, 1 << 62, 1 << 63  # of an entry in pagemap
_ENTRY = 8  # bytes


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
        mapping = _mapping(array)
        if mapping is None or array.nbytes < segments.MAP_FROM or not array.flags.forc:
            return None
        start = array.__array_interface__["data"][0]
        offset = start - np.frombuffer(mapping, np.uint8).__array_interface__["data"][0]
        # A part of what came is copied, if it is small: the other side would keep all of it, or copy more than that.
        if offset % ALIGNMENT or 4 * array.nbytes < len(mapping) or not _untouched(start, array.nbytes):
            return None
        address = shared.address(*(segments.origin(mapping) or (0, 0)))
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


def _mapping(array: np.ndarray[Any, Any]) -> mmap.mmap | None:
    base: Any = array
    while isinstance(base, np.ndarray):
        base = base.base
    return base if isinstance(base, mmap.mmap) else None


def _untouched(start: int, size: int) -> bool:
    first, end = start // mmap.PAGESIZE, -(-(start + size) // mmap.PAGESIZE)
    try:
        with open("/proc/self/pagemap", "rb", buffering=0) as file:
            file.seek(first * _ENTRY)
            content = file.read((end - first) * _ENTRY)
    except OSError:
        return False
    if len(content) != (end - first) * _ENTRY:
        return False
    states = np.frombuffer(content, np.uint64) & np.uint64(_PRESENT | _SWAPPED | _OF_FILE)
    # Never looked at, or a page of the file. One that was swapped out may be our own.
    return bool(((states == 0) | (states == np.uint64(_PRESENT | _OF_FILE))).all())
