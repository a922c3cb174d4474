"""Errors of floats and complex numbers, in one pass over both arrays.

Blocks without NaN and infinity, and these are nearly all, take the short way with memory that is used again.
"""

from __future__ import annotations

import math
import typing
from dataclasses import replace

import numpy as np

from tfkernels.comparison.dtypes import DType, narrower, working
from tfkernels.comparison.result import Extreme, NonFinite, Statistics
from tfkernels.comparison.statistics import ulp
from tfkernels.comparison.statistics.blocks import UNIT, in_one_order, in_stretches, index_of, slicer
from tfkernels.comparison.statistics.totals import Largest, Tally
from tfkernels.comparison.tolerances import Tolerance

Array = typing.Any


def compare_floats(baseline: Array, other: Array, tolerance: Tolerance, equal_nan: bool) -> Statistics:
    """Statistics of two arrays of numbers, of one shape; they are computed in ``dtypes.working``."""
    first, second, order = in_one_order(baseline, other)
    take_first, take_second = slicer(first), slicer(second)
    number = working(first.dtype, second.dtype)

    def look(span: range) -> Tally:
        with np.errstate(all="ignore"):  # what overflows shows as infinity, what underflows as zero
            unit = narrower(first.dtype, second.dtype)
            errors = Errors(number, unit, tolerance, equal_nan, min(span.step, first.size))
            for start in span:
                stop = min(start + span.step, span.stop)
                errors.look(take_first(start, stop), take_second(start, stop), start)
        return errors.tally

    tally = Tally()
    for part in in_stretches(first.size, number.itemsize, look):
        tally.add(part)

    def extreme(error: float, position: int) -> Extreme:
        index = index_of(position, baseline.shape, order)
        return Extreme(error, index, baseline[index], other[index])

    def largest(found: Largest) -> Extreme | None:
        return extreme(found.value, found.position) if tally.finite else None

    def furthest(position: int) -> Extreme:
        found = extreme(math.nan, position)
        with np.errstate(all="ignore"):
            error = np.abs(np.asarray(found.baseline).astype(number) - np.asarray(found.other).astype(number))
        return replace(found, error=float(error))

    first_mismatch = None if tally.irreconcilable is None else extreme(math.nan, tally.irreconcilable)
    return Statistics(
        size=int(baseline.size),
        mismatched=tally.mismatched,
        max_absolute_error=largest(tally.absolute),
        mean_absolute_error=tally.mean(tally.absolute_sums),
        max_relative_error=largest(tally.relative),
        mean_relative_error=tally.mean(tally.relative_sums),
        max_ulp=tally.max_ulp if tally.finite and ulp.unit_dtype(narrower(first.dtype, second.dtype)) else None,
        min_rtol=tally.smallest(tally.min_rtol),
        min_atol=tally.smallest(tally.excess.value if tally.finite else 0.0),
        cosine_similarity=tally.cosine_similarity(),
        non_finite=NonFinite(*tally.non_finite),
        first_mismatch=first_mismatch,
        furthest=furthest(tally.excess.position) if tally.mismatched and first_mismatch is None else None,
    )


class Errors:
    """One way through a stretch of two arrays, with the memory that it needs."""

    def __init__(self, number: DType, unit: DType, tolerance: Tolerance, equal_nan: bool, length: int) -> None:
        self.tally = Tally()
        self._number, self._unit, self._tolerance, self._equal_nan = number, unit, tolerance, equal_nan
        real = np.empty(0, number).real.dtype
        self._rtol, self._atol = np.array([tolerance.rtol, tolerance.atol]).astype(real)
        self._least, self._eps = np.nextafter(real.type(0), real.type(1)), float(np.finfo(real).eps)
        # Below the absolute tolerance a relative error says nothing: 0 and 1e-30 differ by 100 %.
        self._floor = max(self._atol, np.finfo(real).tiny)
        self._error, self._magnitude, self._scratch = (np.empty(length, real) for _ in range(3))

    def look(self, x: Array, y: Array, start: int) -> None:
        """At one block, whose first element has the flat index ``start``."""
        a, b = x.astype(self._number, copy=False), y.astype(self._number, copy=False)
        error = self._absolute_errors(a, b)
        if np.isfinite(error.max()):
            self._finite(x, y, a, b, error, start)
            return
        for low in range(0, len(a), UNIT):
            part = slice(low, low + UNIT)
            self._careful(x[part], y[part], a[part], b[part], start + low)

    def _absolute_errors(self, a: Array, b: Array) -> Array:
        if self._number.kind == "c":
            return np.abs(a - b)
        error = np.subtract(a, b, out=self._error[: len(a)])
        return np.abs(error, out=error)

    def _magnitudes(self, a: Array, b: Array) -> Array:
        magnitude = np.abs(a, out=self._magnitude[: len(a)])
        return np.maximum(magnitude, np.abs(b, out=self._scratch[: len(a)]), out=magnitude)

    def _careful(self, x: Array, y: Array, a: Array, b: Array, start: int) -> None:
        """At a unit of elements, some of which may be NaN or infinite, or too far apart for their dtype."""
        finite = np.isfinite(a) & np.isfinite(b)
        rest = np.flatnonzero(~finite)
        if len(rest):
            self._not_finite(a[rest], b[rest], rest + start)
        near = np.isfinite(self._absolute_errors(a, b))
        where = np.flatnonzero(finite & near)
        if len(where):
            x_, y_, a_, b_ = (values[where] for values in (x, y, a, b))
            self._finite(x_, y_, a_, b_, self._absolute_errors(a_, b_), where + start)
        far = np.flatnonzero(finite & ~near)
        if len(far):
            number = np.promote_types(self._number, np.longdouble)
            wide = Errors(number, self._unit, self._tolerance, self._equal_nan, len(far))
            wide.tally = self.tally
            a_, b_ = a[far].astype(number), b[far].astype(number)
            wide._finite(x[far], y[far], a_, b_, wide._absolute_errors(a_, b_), far + start)

    def _not_finite(self, a: Array, b: Array, positions: Array) -> None:
        nan_a, nan_b, same = np.isnan(a), np.isnan(b), a == b
        kinds = [nan_a & nan_b, nan_a & ~nan_b, nan_b & ~nan_a, same, ~(nan_a | nan_b | same)]
        counts = [int(np.count_nonzero(kind)) for kind in kinds]
        fine = same | kinds[0] if self._equal_nan else same
        tally = self.tally
        tally.non_finite = [one + two for one, two in zip(tally.non_finite, counts)]
        tally.mismatched += int(np.count_nonzero(~fine))
        if tally.irreconcilable is None and not fine.all():
            tally.irreconcilable = int(positions[np.flatnonzero(~fine)[0]])

    def _finite(self, x: Array, y: Array, a: Array, b: Array, error: Array, positions: int | Array) -> None:
        """At finite elements: ``x`` and ``y`` as they are, ``a`` and ``b`` in the working dtype."""
        tally, scratch = self.tally, self._scratch[: len(a)]
        tally.finite += len(a)
        largest = error.max()
        tally.absolute.offer(error, largest, positions)
        magnitude = self._magnitudes(a, b)
        excess = np.multiply(magnitude, self._rtol, out=scratch)
        np.subtract(error, excess, out=excess)
        if not np.isfinite(largest):  # beyond the widest dtype: infinite against infinite is no agreement
            excess[np.isnan(excess)] = np.inf
        most = excess.max()
        tally.excess.offer(excess, most, positions)
        if most > self._atol:
            tally.mismatched += int(np.count_nonzero(excess > self._atol))
        if largest > self._atol:
            slope = np.subtract(error, self._atol, out=scratch)
            np.divide(slope, np.maximum(magnitude, self._least, out=magnitude), out=slope)
            # Rounded up, so that it does pass.
            tally.min_rtol = max(tally.min_rtol, float(slope.max()) * (1 + 8 * self._eps))
        relative = np.divide(error, np.maximum(magnitude, self._floor, out=magnitude), out=scratch)
        tally.relative.offer(relative, relative.max(), positions)
        for low in range(0, len(a), UNIT):
            part = slice(low, low + UNIT)
            tally.absolute_sums.append(float(np.add.reduce(error[part])))
            tally.relative_sums.append(float(np.add.reduce(relative[part])))
            tally.products.append(_products(a[part], b[part]))
        self._ulps(x, y)

    def _ulps(self, x: Array, y: Array) -> None:
        real = ulp.unit_dtype(self._unit)
        if real is not None:
            x, y = (np.ascontiguousarray(values.astype(self._unit, copy=False)).view(real) for values in (x, y))
            fits = real.itemsize == self._scratch.itemsize and len(x) <= len(self._scratch)
            found = ulp.distances(x, y, self._scratch[: len(x)] if fits else None)
            self.tally.max_ulp = max(self.tally.max_ulp, int(found.max()))


def _products(a: Array, b: Array) -> tuple[float, float, float]:
    if a.dtype.kind == "c":
        a, b = (np.ascontiguousarray(values).view(values.real.dtype) for values in (a, b))
    aa, bb, ab = float(a.dot(a)), float(b.dot(b)), float(a.dot(b))
    if a.dtype.itemsize == 4 and not (1e-25 < aa < math.inf and 1e-25 < bb < math.inf):  # too small or large to square
        a, b = a.astype(np.float64), b.astype(np.float64)
        aa, bb, ab = float(a.dot(a)), float(b.dot(b)), float(a.dot(b))
    return aa, bb, ab
