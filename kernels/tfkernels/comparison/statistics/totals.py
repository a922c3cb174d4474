"""The totals of a pass over two arrays, and the ``Statistics`` that they make.

Totals of neighbouring stretches merge. The size of blocks and the number of cores do not change them: extremes and
counts are exact, sums are of fixed units and added without rounding.
"""

from __future__ import annotations

import math
import typing
from dataclasses import dataclass, field, replace

import numpy as np

from tfkernels.comparison.dtypes import narrower
from tfkernels.comparison.result import Array, Extreme, NonFinite, Statistics
from tfkernels.comparison.statistics import ulp


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

    def add(self, later: Largest) -> None:
        if later.value > self.value:
            self.value, self.position = later.value, later.position


@dataclass
class Totals:
    finite: int = 0
    mismatched: int = 0
    absolute: Largest = field(default_factory=Largest)
    relative: Largest = field(default_factory=Largest)
    excess: Largest = field(default_factory=Largest)  # of the error over rtol * magnitude; the least atol that passes
    min_rtol: float = 0.0
    max_ulp: int = 0
    absolute_sums: list[float] = field(default_factory=list)
    relative_sums: list[float] = field(default_factory=list)
    products: list[tuple[float, float, float]] = field(default_factory=list)  # a * a, b * b, a * b
    non_finite: list[int] = field(default_factory=lambda: [0] * 5)  # in the order of NonFinite's fields
    irreconcilable: int | None = None  # the first position of NaN or infinity against something else, or of other text

    def add(self, later: Totals) -> Totals:
        self.finite += later.finite
        self.mismatched += later.mismatched
        self.absolute.add(later.absolute)
        self.relative.add(later.relative)
        self.excess.add(later.excess)
        self.min_rtol = max(self.min_rtol, later.min_rtol)
        self.max_ulp = max(self.max_ulp, later.max_ulp)
        self.absolute_sums += later.absolute_sums
        self.relative_sums += later.relative_sums
        self.products += later.products
        self.non_finite = [one + two for one, two in zip(self.non_finite, later.non_finite)]
        if self.irreconcilable is None:
            self.irreconcilable = later.irreconcilable
        return self

    def statistics(
        self, baseline: Array, other: Array, order: typing.Any, error: typing.Callable[[Array, Array], float]
    ) -> Statistics:
        """Statistics of the arrays, whose elements were counted in ``order``; ``error`` is that of two elements."""

        def extreme(found: float, position: int) -> Extreme:
            index = tuple(int(item) for item in np.unravel_index(position, baseline.shape, order=order))
            return Extreme(found, index, baseline[index], other[index])

        def largest(found: Largest) -> Extreme | None:
            return extreme(found.value, found.position) if self.finite else None

        first_mismatch = None if self.irreconcilable is None else extreme(math.nan, self.irreconcilable)
        furthest = None
        if self.mismatched and first_mismatch is None:
            furthest = extreme(math.nan, self.excess.position)
            furthest = replace(furthest, error=error(furthest.baseline, furthest.other))
        return Statistics(
            size=int(baseline.size),
            mismatched=self.mismatched,
            max_absolute_error=largest(self.absolute),
            mean_absolute_error=self._mean(self.absolute_sums),
            max_relative_error=largest(self.relative),
            mean_relative_error=self._mean(self.relative_sums),
            max_ulp=self.max_ulp if self.finite and ulp.unit_dtype(narrower(baseline.dtype, other.dtype)) else None,
            min_rtol=self._smallest(self.min_rtol),
            min_atol=self._smallest(self.excess.value if self.finite else 0.0),
            cosine_similarity=self._cosine_similarity(),
            non_finite=NonFinite(*self.non_finite),
            first_mismatch=first_mismatch,
            furthest=furthest,
        )

    def _smallest(self, needed: float) -> float | None:
        """A tolerance that must be at least ``needed``; ``None`` if no finite one would pass."""
        return max(needed, 0.0) if self.irreconcilable is None and needed < math.inf else None

    def _mean(self, sums: list[float]) -> float | None:
        return _sum(sums) / self.finite if self.finite else None

    def _cosine_similarity(self) -> float | None:
        """``None`` if one of the arrays is zero, or the products are too large for float64."""
        aa, bb, ab = (_sum(list(sums)) for sums in zip(*self.products)) if self.products else (0.0, 0.0, 0.0)
        if not (0 < aa < math.inf and 0 < bb < math.inf and math.isfinite(ab)):
            return None
        return max(-1.0, min(1.0, ab / math.sqrt(aa) / math.sqrt(bb)))


def _sum(values: list[float]) -> float:
    """Rounded once, at the end; infinite if it is too large."""
    try:
        return math.fsum(values)
    except (OverflowError, ValueError):  # a partial sum is too large, or infinities of both signs
        return math.inf
