"""Two large arrays a block at a time, in one order of elements, on several cores. See docs/design/comparison.md."""

from __future__ import annotations

import os
import typing
from concurrent.futures import ThreadPoolExecutor

from tfkernels.comparison.result import Array

UNIT = 1 << 16
"""Elements that are added up in one go. Blocks are whole units, so that their size has no influence on any result."""

BLOCK = 1 << 19
"""Bytes of one array in a block. A handful of temporary arrays of this size stay in the cache."""

CORES = 4
"""At most; beyond, Python's interpreter lock takes what another core gives."""

PARALLEL_FROM = 1 << 22
"""Bytes. A smaller array is done before a second thread has started."""

T = typing.TypeVar("T")
Take = typing.Callable[[int, int], typing.Tuple[Array, Array]]


def in_one_order(first: Array, second: Array) -> tuple[Take, typing.Any]:
    """A function from start and stop to the elements between in both arrays, and the order that they are in: C or F.

    Elements that are adjacent in memory are not copied.
    """
    order = "C"
    if not first.flags.c_contiguous and first.flags.f_contiguous and second.flags.f_contiguous:
        first, second, order = first.T, second.T, "F"
    take_first, take_second = _slicer(first), _slicer(second)
    return lambda start, stop: (take_first(start, stop), take_second(start, stop)), order


def _slicer(array: Array) -> typing.Callable[[int, int], Array]:
    if array.flags.c_contiguous:
        flat = array.reshape(-1)
        return lambda start, stop: flat[start:stop]
    return lambda start, stop: array.flat[start:stop]  # anew each time: an iterator is not for several threads


def map_blocks(size: int, itemsize: int, look: typing.Callable[[range], T]) -> list[T]:
    """The results of ``look``, in order; it is called once or, on several cores, several times.

    It gets the starts of blocks: a range whose step is the length of a block and whose stop is an end of elements.
    """
    block = max(BLOCK // max(itemsize, 1) // UNIT, 1) * UNIT
    cores = min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, CORES)
    if cores == 1 or size * itemsize < PARALLEL_FROM:
        return [look(range(0, size, block))]
    stretch = -(-size // (cores * 4 * block)) * block
    with ThreadPoolExecutor(cores) as threads:
        return list(threads.map(look, [range(lo, min(lo + stretch, size), block) for lo in range(0, size, stretch)]))
