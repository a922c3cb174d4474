"""Errors of numbers, in one pass over both arrays.

Nearly all blocks have no NaN and no infinity. They take the short way, with memory that is used again.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from tfkernels.comparison.dtype_precision import DType, precision, working
from tfkernels.comparison.result import Array, Statistics
from tfkernels.comparison.statistics import ulp
from tfkernels.comparison.statistics.one_pass import UNIT, Totals, one_pass
from tfkernels.comparison.tolerances import Tolerance


def compare_numbers(baseline: Array, other: Array, tolerance: Tolerance, equal_nan: bool) -> Statistics:
    """Statistics of two arrays of numbers, of one shape.

    Floats and complex numbers are computed in ``dtypes.working``. The errors of integers and bools are exact, and then
    float64.
    """
    exact = precision(baseline.dtype) is None and precision(other.dtype) is None
    number = np.dtype(np.float64) if exact else working(baseline.dtype, other.dtype)
    begin = functools.partial(Errors, number, exact, tolerance, equal_nan)
    return one_pass(baseline, other, number.itemsize, begin)


class Errors:
    """A look at blocks of at most ``length`` elements, with the memory that it needs."""

    def __init__(
        self, number: DType, exact: bool, tolerance: Tolerance, equal_nan: bool, totals: Totals, length: int
    ) -> None:
        self._totals, self._number, self._exact = totals, number, exact
        self._tolerance, self._equal_nan = tolerance, equal_nan
        real = np.empty(0, number).real.dtype
        self._rtol, self._atol = np.array([tolerance.rtol, tolerance.atol]).astype(real)
        self._eps = float(np.finfo(real).eps)
        # Below the absolute tolerance a relative error says nothing: 0 and 1e-30 differ by 100 %.
        self._floor = real.type(1) if exact else max(self._atol, np.finfo(real).tiny)
        self._least = real.type(1) if exact else np.nextafter(real.type(0), real.type(1))
        self._error, self._magnitude, self._scratch = (np.empty(length, real) for _ in range(3))

    def __call__(self, x: Array, y: Array, start: int) -> None:
        a, b = x.astype(self._number, copy=False), y.astype(self._number, copy=False)
        error = _integer_errors(x, y).astype(self._number) if self._exact else self._absolute_errors(a, b)
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
            wide = Errors(number, False, self._tolerance, self._equal_nan, self._totals, len(far))
            a_, b_ = a[far].astype(number), b[far].astype(number)
            wide._finite(x[far], y[far], a_, b_, wide._absolute_errors(a_, b_), far + start)

    def _not_finite(self, a: Array, b: Array, positions: Array) -> None:
        nan_a, nan_b, same = np.isnan(a), np.isnan(b), a == b
        kinds = [nan_a & nan_b, nan_a & ~nan_b, nan_b & ~nan_a, same, ~(nan_a | nan_b | same)]
        counts = [int(np.count_nonzero(kind)) for kind in kinds]
        fine = same | kinds[0] if self._equal_nan else same
        totals = self._totals
        totals.non_finite = [one + two for one, two in zip(totals.non_finite, counts)]
        totals.mismatched += int(np.count_nonzero(~fine))
        if totals.irreconcilable is None and not fine.all():
            totals.irreconcilable = int(positions[np.flatnonzero(~fine)[0]])

    def _finite(self, x: Array, y: Array, a: Array, b: Array, error: Array, positions: int | Array) -> None:
        """At finite elements: ``x`` and ``y`` as they are, ``a`` and ``b`` in the working dtype."""
        totals, scratch = self._totals, self._scratch[: len(a)]
        totals.finite += len(a)
        largest = error.max()
        totals.absolute.offer(error, largest, positions)
        magnitude = np.abs(a, out=self._magnitude[: len(a)])
        np.maximum(magnitude, np.abs(b, out=scratch), out=magnitude)
        excess = np.multiply(magnitude, self._rtol, out=scratch)
        np.subtract(error, excess, out=excess)
        if not np.isfinite(largest):  # beyond the widest dtype: infinite against infinite is no agreement
            excess[np.isnan(excess)] = np.inf
        most = excess.max()
        totals.excess.offer(excess, most, positions)
        if most > self._atol:
            totals.mismatched += int(np.count_nonzero(excess > self._atol))
        if largest > self._atol:
            slope = np.subtract(error, self._atol, out=scratch)
            np.divide(slope, np.maximum(magnitude, self._least, out=magnitude), out=slope)
            # Rounded up, so that it does pass.
            totals.min_rtol = max(totals.min_rtol, float(slope.max()) * (1 + 8 * self._eps))
        relative = np.divide(error, np.maximum(magnitude, self._floor, out=magnitude), out=scratch)
        totals.relative.offer(relative, relative.max(), positions)
        for low in range(0, len(a), UNIT):
            part = slice(low, low + UNIT)
            totals.absolute_sums.append(float(np.add.reduce(error[part])))
            totals.relative_sums.append(float(np.add.reduce(relative[part])))
            if not self._exact:
                totals.products.append(_products(a[part], b[part]))
        ulps = ulp.distances(x, y, scratch)
        if ulps is not None:
            totals.max_ulp = max(totals.max_ulp or 0, int(ulps.max()))


def _integer_errors(x: Array, y: Array) -> Array:
    """The absolute differences of integers or bools, unsigned and exact."""
    if x.dtype.kind == y.dtype.kind == "b":
        return (x != y).view(np.uint8)
    x, y = (values if values.dtype.kind in "biu" else values.astype(np.int64) for values in (x, y))  # int4 and the like
    common = np.result_type(x, y)
    if common.kind == "f":  # uint64 and a signed one: nothing else of NumPy's holds both
        return np.abs(x.astype(object) - y.astype(object))
    x, y = x.astype(common, copy=False), y.astype(common, copy=False)
    with np.errstate(over="ignore"):  # it wraps around to the right unsigned number
        return np.where(x > y, x - y, y - x).view(f"u{common.itemsize}")


def _products(a: Array, b: Array) -> tuple[float, float, float]:
    if a.dtype.kind == "c":
        a, b = (np.ascontiguousarray(values).view(values.real.dtype) for values in (a, b))
    aa, bb, ab = float(a.dot(a)), float(b.dot(b)), float(a.dot(b))
    if a.dtype.itemsize == 4 and not (1e-25 < aa < math.inf and 1e-25 < bb < math.inf):  # too small or large to square
        a, b = a.astype(np.float64), b.astype(np.float64)
        aa, bb, ab = float(a.dot(a)), float(b.dot(b)), float(a.dot(b))
    return aa, bb, ab
