"""Two large arrays a stretch at a time, in one order of elements, on several cores."""

from __future__ import annotations

import os
import typing
from concurrent.futures import ThreadPoolExecutor

import numpy as np

UNIT = 1 << 16
"""Elements that are added up in one go. Sums are made of whole units, whatever the block size, so that it has no
influence on any result."""

BLOCK = 1 << 19
"""Bytes of one array that are looked at in one go. A handful of temporary arrays of this size stay in the cache."""

CORES = 4
"""At most so many: beyond, Python's interpreter lock takes what another core gives."""

PARALLEL_FROM = 1 << 22
"""Bytes. A smaller array is done before a second thread has started."""

T = typing.TypeVar("T")


def in_one_order(first: typing.Any, second: typing.Any) -> typing.Any:
    """Both arrays as they are, or both transposed: so that elements follow each other in memory if they do in both."""
    if not first.flags.c_contiguous and first.flags.f_contiguous and second.flags.f_contiguous:
        return first.T, second.T, "F"
    return first, second, "C"


def slicer(array: typing.Any) -> typing.Callable[[int, int], typing.Any]:
    """A function from start and stop to the elements between, in C order; they are not copied if they are adjacent."""
    if array.flags.c_contiguous:
        flat = array.reshape(-1)
        return lambda start, stop: flat[start:stop]
    return lambda start, stop: array.flat[start:stop]


def in_stretches(size: int, itemsize: int, look: typing.Callable[[range], T]) -> list[T]:
    """Calls ``look`` with the starts of the blocks (a range whose step is the block's length and whose stop is an end
    of elements), one or several times on several cores; the results in order."""
    block = max(BLOCK // max(itemsize, 1) // UNIT, 1) * UNIT
    cores = min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, CORES)
    if cores == 1 or size * itemsize < PARALLEL_FROM:
        return [look(range(0, size, block))]
    stretch = -(-size // (cores * 4 * block)) * block
    with ThreadPoolExecutor(cores) as threads:
        return list(threads.map(look, [range(lo, min(lo + stretch, size), block) for lo in range(0, size, stretch)]))


def index_of(position: int, shape: tuple[int, ...], order: typing.Any) -> tuple[int, ...]:
    """The index of the element at a place in the order of the blocks."""
    return tuple(int(item) for item in np.unravel_index(position, shape, order=order))
