"""Integers, bools, text, times: equal or not. Integers have errors as well, computed without overflow."""

from __future__ import annotations

import math
import typing

import numpy as np

from tfkernels.comparison.blocks import UNIT, in_one_order, in_stretches, index_of, slicer
from tfkernels.comparison.dtypes import is_number
from tfkernels.comparison.results import Extreme, Statistics
from tfkernels.comparison.tally import Tally

Array = typing.Any


def compare_exact(baseline: Array, other: Array, equal_nan: bool) -> Statistics:
    """Statistics of two arrays of one shape whose elements are the same or not. Missing times (NaT), and NaN among
    objects, are equal to each other with ``equal_nan``."""
    first, second, order = in_one_order(baseline, other)
    take_first, take_second = slicer(first), slicer(second)
    numbers = is_number(first.dtype) and is_number(second.dtype)

    def look(span: range) -> Tally:
        tally = Tally()
        for start in range(span.start, span.stop, UNIT):
            stop = min(start + UNIT, span.stop)
            x, y = take_first(start, stop), take_second(start, stop)
            if numbers:
                error = _errors(x, y)
                tally.absolute.offer(error, error.max(), start)
                tally.absolute_sums.append(float(np.add.reduce(error, dtype=np.float64)))
                differs = error != 0
            else:
                differs = _differs(x, y, equal_nan)
            tally.finite += len(x)
            tally.mismatched += int(np.count_nonzero(differs))
            if tally.irreconcilable is None and differs.any():
                tally.irreconcilable = start + int(differs.argmax())
        return tally

    tally = Tally()
    for part in in_stretches(first.size, max(first.dtype.itemsize, 1), look):
        tally.add(part)

    def extreme(error: float, position: int | None) -> Extreme | None:
        if position is None or not baseline.size:
            return None
        index = index_of(position, baseline.shape, order)
        return Extreme(error, index, baseline[index], other[index])

    if not numbers:
        first_mismatch = extreme(math.nan, tally.irreconcilable)
        return Statistics(int(baseline.size), tally.mismatched, first_mismatch=first_mismatch)
    return Statistics(
        size=int(baseline.size),
        mismatched=tally.mismatched,
        max_absolute_error=extreme(tally.absolute.value, tally.absolute.position),
        mean_absolute_error=tally.mean(tally.absolute_sums),
    )


def _errors(x: Array, y: Array) -> Array:
    """The absolute differences of integers or bools, unsigned and exact."""
    if x.dtype.kind == y.dtype.kind == "b":
        return (x != y).view(np.uint8)
    x, y = (values if values.dtype.kind in "biu" else values.astype(np.int64) for values in (x, y))  # int4 and the like
    common = np.result_type(x, y)
    if common.kind == "f":  # uint64 and a signed one: nothing else of NumPy's holds both
        return np.abs(x.astype(object) - y.astype(object)).astype(np.float64)
    x, y = x.astype(common, copy=False), y.astype(common, copy=False)
    with np.errstate(over="ignore"):  # it wraps around to the right unsigned number
        return np.where(x > y, x - y, y - x).view(f"u{common.itemsize}")


def _differs(x: Array, y: Array, equal_nan: bool) -> Array:
    if x.dtype.hasobject or y.dtype.hasobject:
        return np.fromiter((not _same(*pair, equal_nan) for pair in zip(x, y)), bool, len(x))
    differs = np.asarray(x != y)
    if equal_nan and x.dtype.kind in "mM" and y.dtype.kind in "mM":
        differs &= ~(np.isnat(x) & np.isnat(y))
    return differs


def _same(x: typing.Any, y: typing.Any, equal_nan: bool) -> bool:
    if x is y:
        return bool(equal_nan or x == x)  # NaN is not equal to itself
    if isinstance(x, float) and isinstance(y, float) and x != x and y != y:
        return equal_nan
    return type(x) is type(y) and bool(x == y)
