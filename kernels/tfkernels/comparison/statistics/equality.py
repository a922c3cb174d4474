"""Text, times and objects: equal or not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from tfkernels.comparison.result import Array, Statistics
from tfkernels.comparison.statistics.one_pass import Look, Totals, one_pass


def compare_others(baseline: Array, other: Array, equal_nan: bool) -> Statistics:
    """Statistics of two arrays of one shape that are no numbers.

    With ``equal_nan`` missing times (NaT), and NaN among objects, are equal to each other.
    """

    def begin(totals: Totals, _: int) -> Look:
        def look(x: Array, y: Array, start: int) -> None:
            differs = _differs(x, y, equal_nan)
            totals.mismatched += int(np.count_nonzero(differs))
            if totals.irreconcilable is None and differs.any():
                totals.irreconcilable = start + int(differs.argmax())

        return look

    return replace(one_pass(baseline, other, baseline.dtype.itemsize, begin), min_rtol=None, min_atol=None)


def _differs(x: Array, y: Array, equal_nan: bool) -> Array:
    if x.dtype.hasobject or y.dtype.hasobject or x.dtype.kind != y.dtype.kind or x.dtype.kind not in "SUmMV":
        return np.fromiter((not same(*pair, equal_nan) for pair in zip(x.tolist(), y.tolist())), bool, len(x))
    if x.dtype.kind == "V" and x.dtype != y.dtype:
        return np.ones(len(x), bool)
    differs = np.asarray(x != y)
    if equal_nan and x.dtype.kind in "mM":
        differs &= ~(np.isnat(x) & np.isnat(y))
    return differs


def same(x: Any, y: Any, equal_nan: bool = True) -> bool:
    """Of two plain values, whatever their classes think of ``==``."""
    if isinstance(x, np.ndarray) or isinstance(y, np.ndarray):
        return False  # an array against text, say; NumPy 1.18 would warn
    try:
        if x is y:
            return bool(equal_nan or x == x)  # NaN is not equal to itself
        return bool(x == y) or bool(equal_nan and x != x and y != y)
    except Exception:  # noqa: BLE001 (a class whose == is something else, or has no truth: pandas' NA, arrays of others)
        return bool(x is y and equal_nan)
