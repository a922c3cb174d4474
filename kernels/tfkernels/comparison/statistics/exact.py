"""Integers, bools, text, times: equal or not. Integers have errors as well, computed without overflow."""

from __future__ import annotations

import math
import typing

import numpy as np

from tfkernels.comparison.dtypes import is_number
from tfkernels.comparison.result import Extreme, Statistics
from tfkernels.comparison.statistics.blocks import UNIT, in_one_order, in_stretches, index_of, slicer
from tfkernels.comparison.statistics.totals import Tally
from tfkernels.comparison.tolerances import Tolerance

Array = typing.Any


def compare_exact(baseline: Array, other: Array, tolerance: Tolerance, equal_nan: bool) -> Statistics:
    """Statistics of two arrays of one shape whose elements are the same or not; integers may be apart by the
    tolerance. Missing times (NaT), and NaN among objects, are equal to each other with ``equal_nan``."""
    first, second, order = in_one_order(baseline, other)
    take_first, take_second = slicer(first), slicer(second)
    numbers = is_number(first.dtype) and is_number(second.dtype)

    def look(span: range) -> Tally:
        tally = Tally()
        for start in range(span.start, span.stop, UNIT):
            stop = min(start + UNIT, span.stop)
            x, y = take_first(start, stop), take_second(start, stop)
            tally.finite += len(x)
            if numbers:
                _count(tally, x, y, tolerance, start)
                continue
            differs = _differs(x, y, equal_nan)
            tally.mismatched += int(np.count_nonzero(differs))
            if tally.irreconcilable is None and differs.any():
                tally.irreconcilable = start + int(differs.argmax())
        return tally

    tally = Tally()
    for part in in_stretches(first.size, max(first.dtype.itemsize, 1), look):
        tally.add(part)

    def extreme(error: float, position: int) -> Extreme:
        index = index_of(position, baseline.shape, order)
        return Extreme(error, index, baseline[index], other[index])

    if not numbers or not baseline.size:
        first_mismatch = None if tally.irreconcilable is None else extreme(math.nan, tally.irreconcilable)
        return Statistics(int(baseline.size), tally.mismatched, first_mismatch=first_mismatch)
    furthest = tally.excess.position
    return Statistics(
        size=int(baseline.size),
        mismatched=tally.mismatched,
        max_absolute_error=extreme(tally.absolute.value, tally.absolute.position),
        mean_absolute_error=tally.mean(tally.absolute_sums),
        max_relative_error=extreme(tally.relative.value, tally.relative.position),
        mean_relative_error=tally.mean(tally.relative_sums),
        min_rtol=tally.smallest(tally.min_rtol),
        min_atol=tally.smallest(tally.excess.value),
        furthest=extreme(_apart(baseline, other, index_of(furthest, baseline.shape, order)), furthest)
        if tally.mismatched
        else None,
    )


def _count(tally: Tally, x: Array, y: Array, tolerance: Tolerance, start: int) -> None:
    error = _errors(x, y)
    tally.absolute.offer(error, error.max(), start)
    tally.absolute_sums.append(float(np.add.reduce(error, dtype=np.float64)))
    magnitude = np.maximum(np.abs(x.astype(np.float64)), np.abs(y.astype(np.float64)))
    relative = error / np.maximum(magnitude, 1)
    tally.relative.offer(relative, relative.max(), start)
    tally.relative_sums.append(float(np.add.reduce(relative)))
    excess = error - tolerance.rtol * magnitude
    tally.excess.offer(excess, excess.max(), start)
    tally.mismatched += int(np.count_nonzero(excess > tolerance.atol))
    slope = (error - tolerance.atol) / np.maximum(magnitude, 1)
    tally.min_rtol = max(tally.min_rtol, float(slope.max()) * (1 + 8 * np.finfo(np.float64).eps))


def _apart(baseline: Array, other: Array, index: tuple[int, ...]) -> float:
    return float(_errors(*(np.atleast_1d(np.asarray(array[index])) for array in (baseline, other)))[0])


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
    if x.dtype.hasobject or y.dtype.hasobject or x.dtype.kind != y.dtype.kind or x.dtype.kind not in "SUmMV":
        return np.fromiter((not same(*pair, equal_nan) for pair in zip(x.tolist(), y.tolist())), bool, len(x))
    if x.dtype.kind == "V" and x.dtype != y.dtype:
        return np.ones(len(x), bool)
    differs = np.asarray(x != y)
    if equal_nan and x.dtype.kind in "mM":
        differs &= ~(np.isnat(x) & np.isnat(y))
    return differs


def same(x: typing.Any, y: typing.Any, equal_nan: bool = True) -> bool:
    """Of two plain values, whatever their classes think of ``==``."""
    if isinstance(x, np.ndarray) or isinstance(y, np.ndarray):
        return False  # an array against text, say; NumPy 1.18 would warn
    try:
        if x is y:
            return bool(equal_nan or x == x)  # NaN is not equal to itself
        return bool(x == y) or bool(equal_nan and x != x and y != y)
    except Exception:  # noqa: BLE001 (a class whose == is something else, or has no truth: pandas' NA, arrays of others)
        return bool(x is y and equal_nan)
