"""How far a pass over two arrays has come. Tallies of neighbouring stretches merge into one.

Neither the size of the blocks nor the number of cores changes what they say: extremes and counts are exact, and sums
are of fixed units, added without rounding.
"""

from __future__ import annotations

import math
import typing
from dataclasses import dataclass, field


@dataclass
class Largest:
    """The largest number so far, and where it was first."""

    value: float = -math.inf
    position: int = 0

    def offer(self, values: typing.Any, largest: float, positions: typing.Any) -> None:
        """``largest`` is the maximum of ``values``; ``positions`` is where the first of them is, or each of them."""
        if largest > self.value:
            found = int(values.argmax())
            self.value = float(largest)
            self.position = positions + found if isinstance(positions, int) else int(positions[found])

    def add(self, later: Largest) -> None:
        if later.value > self.value:
            self.value, self.position = later.value, later.position


@dataclass
class Tally:
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
    irreconcilable: int | None = None  # where NaN or infinity stands against something else for the first time

    def add(self, later: Tally) -> None:
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

    def smallest(self, needed: float) -> float | None:
        """A tolerance that must be at least ``needed``; ``None`` if no finite one would pass."""
        return max(needed, 0.0) if self.irreconcilable is None and needed < math.inf else None

    def mean(self, sums: list[float]) -> float | None:
        return _sum(sums) / self.finite if self.finite else None

    def cosine_similarity(self) -> float | None:
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
