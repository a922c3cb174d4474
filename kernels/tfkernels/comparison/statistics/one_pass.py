"""One pass over two arrays: a block at a time, in one order of elements, on several cores.

Extremes and counts are exact, sums are of fixed units and added without rounding. So neither the size of blocks nor the
number of cores changes a result. See docs/design/comparison.md.
"""

from __future__ import annotations

import math
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Callable, Iterable, cast

import numpy as np

from tfkernels.comparison.result import Array, Extreme, NonFinite, Statistics

UNIT = 1 << 16
"""Elements that are added up in one go. Blocks are whole units."""

BLOCK = 1 << 19
"""Bytes of one array in a block. A handful of temporary arrays of this size stay in the cache."""

CORES = 4
"""At most; beyond, Python's interpreter lock takes what another core gives."""

PARALLEL_FROM = 1 << 22
"""Bytes. A smaller array is done before a second thread has started."""


@dataclass
class Largest:
    """The largest number so far, and where it was first."""

    value: float = -math.inf
    position: int = 0

    def offer(self, values: Array, largest: float, positions: int | Array) -> None:
        """``largest`` is the maximum of ``values``; ``positions`` is where the first of them is, or each of them."""
        if largest > self.value:
            found = int(values.argmax())
            self.value = float(largest)
            self.position = positions + found if isinstance(positions, int) else int(positions[found])


@dataclass
class Totals:
    """Of some neighbouring blocks. Positions are flat indices in the order of the pass."""

    finite: int = 0
    mismatched: int = 0
    absolute: Largest = field(default_factory=Largest)
    relative: Largest = field(default_factory=Largest)
    excess: Largest = field(default_factory=Largest)  # of the error over rtol * magnitude; the least atol that passes
    min_rtol: float = 0.0
    max_ulp: int | None = None
    absolute_sums: list[float] = field(default_factory=list)
    relative_sums: list[float] = field(default_factory=list)
    products: list[tuple[float, float, float]] = field(default_factory=list)  # a * a, b * b, a * b
    non_finite: list[int] = field(default_factory=lambda: [0] * 5)  # in the order of NonFinite's fields
    irreconcilable: int | None = None  # the first position of NaN or infinity against something else, or of other text


Look = Callable[[Array, Array, int], None]
"""Adds a block of both arrays to totals; the number is the position of its first element."""


def one_pass(baseline: Array, other: Array, itemsize: int, begin: Callable[[Totals, int], Look]) -> Statistics:
    """Statistics of two arrays of one shape.

    ``begin`` makes the look at blocks of at most so many elements; ``itemsize`` is what it works in, in bytes.
    """
    size = baseline.size
    first, second, order = baseline, other, cast(Any, "C")
    if not first.flags.c_contiguous and first.flags.f_contiguous and second.flags.f_contiguous:
        first, second, order = first.T, second.T, "F"
    take_first, take_second = _slicer(first), _slicer(second)
    block = max(BLOCK // max(itemsize, 1) // UNIT, 1) * UNIT

    def look_at(blocks: range) -> Totals:
        totals = Totals()
        look = begin(totals, min(blocks.step, size))
        with np.errstate(all="ignore"):  # what overflows shows as infinity, what underflows as zero
            for start in blocks:
                stop = min(start + blocks.step, blocks.stop)
                look(take_first(start, stop), take_second(start, stop), start)
        return totals

    def extreme(error: float, position: int) -> Extreme:
        index = tuple(int(item) for item in np.unravel_index(position, baseline.shape, order=order))
        return Extreme(error, index, baseline[index], other[index])

    def error(position: int) -> Extreme:
        return extreme(look_at(range(position, position + 1)).absolute.value, position)

    cores = min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, CORES)
    if cores == 1 or size * itemsize < PARALLEL_FROM:
        found = [look_at(range(0, size, block))]
    else:
        stretch = -(-size // (cores * 4 * block)) * block
        with ThreadPoolExecutor(cores) as threads:
            stretches = [range(start, min(start + stretch, size), block) for start in range(0, size, stretch)]
            found = list(threads.map(look_at, stretches))
    return _statistics(found, size, extreme, error)


def _slicer(array: Array) -> Callable[[int, int], Array]:
    """Elements that are adjacent in memory are not copied."""
    if array.flags.c_contiguous:
        flat = array.reshape(-1)
        return lambda start, stop: flat[start:stop]
    return lambda start, stop: array.flat[start:stop]  # anew each time: an iterator is not for several threads


def _statistics(
    found: list[Totals],
    size: int,
    extreme: Callable[[float, int], Extreme],
    error: Callable[[int], Extreme],
) -> Statistics:
    finite = sum(each.finite for each in found)
    mismatched = sum(each.mismatched for each in found)
    absolute, relative, excess = (
        max(largest, key=lambda each: each.value)  # of equal ones the first
        for largest in zip(*((each.absolute, each.relative, each.excess) for each in found))
    )
    first_mismatch = next((each.irreconcilable for each in found if each.irreconcilable is not None), None)

    def mean(sums: Iterable[list[float]]) -> float | None:
        return _sum(one for each in sums for one in each) / finite if finite else None

    def smallest(needed: float) -> float | None:
        """A tolerance that must be at least ``needed``; ``None`` if no finite one would pass."""
        return max(needed, 0.0) if first_mismatch is None and needed < math.inf else None

    return Statistics(
        size=size,
        mismatched=mismatched,
        max_absolute_error=extreme(absolute.value, absolute.position) if finite else None,
        mean_absolute_error=mean(each.absolute_sums for each in found),
        max_relative_error=extreme(relative.value, relative.position) if finite else None,
        mean_relative_error=mean(each.relative_sums for each in found),
        max_ulp=max((each.max_ulp for each in found if each.max_ulp is not None), default=None),
        min_rtol=smallest(max(each.min_rtol for each in found)),
        min_atol=smallest(excess.value),
        cosine_similarity=_cosine_similarity([products for each in found for products in each.products]),
        non_finite=NonFinite(*(sum(counts) for counts in zip(*(each.non_finite for each in found)))),
        first_mismatch=None if first_mismatch is None else extreme(math.nan, first_mismatch),
        furthest=error(excess.position) if mismatched and first_mismatch is None else None,
    )


def _cosine_similarity(products: list[tuple[float, float, float]]) -> float | None:
    """``None`` if one of the arrays is zero, or the products are too large for float64."""
    aa, bb, ab = (_sum(column) for column in zip(*products)) if products else (0.0, 0.0, 0.0)
    if not (0 < aa < math.inf and 0 < bb < math.inf and math.isfinite(ab)):
        return None
    return max(-1.0, min(1.0, ab / math.sqrt(aa) / math.sqrt(bb)))


def _sum(values: Iterable[float]) -> float:
    """Rounded once, at the end; infinite if it is too large."""
    try:
        return math.fsum(values)
    except (OverflowError, ValueError):  # a partial sum is too large, or infinities of both signs
        return math.inf
