"""Integers, bools, text, times: equal or not. Integers have errors as well, computed without overflow."""

from __future__ import annotations

import functools
import typing

import numpy as np

from tfkernels.comparison.dtypes import is_number
from tfkernels.comparison.result import Array, Statistics
from tfkernels.comparison.statistics.blocks import UNIT, in_one_order, map_blocks
from tfkernels.comparison.statistics.totals import Totals
from tfkernels.comparison.tolerances import Tolerance


def compare_exact(baseline: Array, other: Array, tolerance: Tolerance, equal_nan: bool) -> Statistics:
    """Statistics of two arrays of one shape; integers may be apart by the tolerance.

    With ``equal_nan`` missing times (NaT), and NaN among objects, are equal to each other.
    """
    take, order = in_one_order(baseline, other)
    numbers = is_number(baseline.dtype) and is_number(other.dtype)

    def look(span: range) -> Totals:
        totals = Totals()
        for start in range(span.start, span.stop, UNIT):
            x, y = take(start, min(start + UNIT, span.stop))
            if numbers:
                _count(totals, x, y, tolerance, start)
                continue
            differs = _differs(x, y, equal_nan)
            totals.mismatched += int(np.count_nonzero(differs))
            if totals.irreconcilable is None and differs.any():
                totals.irreconcilable = start + int(differs.argmax())
        return totals

    totals = functools.reduce(Totals.add, map_blocks(baseline.size, baseline.dtype.itemsize, look))
    found = totals.statistics(baseline, other, order, _error)
    if numbers and baseline.size:
        return found
    return Statistics(found.size, found.mismatched, first_mismatch=found.first_mismatch)


def _count(totals: Totals, x: Array, y: Array, tolerance: Tolerance, start: int) -> None:
    totals.finite += len(x)
    error = _errors(x, y)
    totals.absolute.offer(error, error.max(), start)
    totals.absolute_sums.append(float(np.add.reduce(error, dtype=np.float64)))
    magnitude = np.maximum(np.abs(x.astype(np.float64)), np.abs(y.astype(np.float64)))
    relative = error / np.maximum(magnitude, 1)
    totals.relative.offer(relative, relative.max(), start)
    totals.relative_sums.append(float(np.add.reduce(relative)))
    excess = error - tolerance.rtol * magnitude
    totals.excess.offer(excess, excess.max(), start)
    totals.mismatched += int(np.count_nonzero(excess > tolerance.atol))
    slope = (error - tolerance.atol) / np.maximum(magnitude, 1)
    totals.min_rtol = max(totals.min_rtol, float(slope.max()) * (1 + 8 * np.finfo(np.float64).eps))


def _error(x: typing.Any, y: typing.Any) -> float:
    return float(_errors(np.atleast_1d(np.asarray(x)), np.atleast_1d(np.asarray(y)))[0])


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
