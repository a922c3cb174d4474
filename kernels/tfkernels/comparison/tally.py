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

    value: float = -1.0
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
    min_rtol: float = 0.0
    min_atol: float = 0.0
    max_ulp: int = 0
    absolute_sums: list[float] = field(default_factory=list)
    relative_sums: list[float] = field(default_factory=list)
    products: list[tuple[float, float, float]] = field(default_factory=list)  # a * a, a * d, d * d
    non_finite: list[int] = field(default_factory=lambda: [0] * 5)  # in the order of NonFinite's fields
    irreconcilable: int | None = None  # where NaN or infinity stands against something else for the first time

    def add(self, later: Tally) -> None:
        self.finite += later.finite
        self.mismatched += later.mismatched
        self.absolute.add(later.absolute)
        self.relative.add(later.relative)
        self.min_rtol = max(self.min_rtol, later.min_rtol)
        self.min_atol = max(self.min_atol, later.min_atol)
        self.max_ulp = max(self.max_ulp, later.max_ulp)
        self.absolute_sums += later.absolute_sums
        self.relative_sums += later.relative_sums
        self.products += later.products
        self.non_finite = [one + two for one, two in zip(self.non_finite, later.non_finite)]
        if self.irreconcilable is None:
            self.irreconcilable = later.irreconcilable

    def mean(self, sums: list[float]) -> float | None:
        return math.fsum(sums) / self.finite if self.finite else None

    def cosine_similarity(self) -> float | None:
        """``None`` if one of the arrays is zero, or the products are too large for their dtype.

        From a, and d = a - b, rather than from b: float32 sums give the cosine of nearly parallel arrays to 7 digits
        only, but its distance from 1 as well if it comes from d.
        """
        aa, ad, dd = (math.fsum(sums) for sums in zip(*self.products)) if self.products else (0.0, 0.0, 0.0)
        bb = aa - 2 * ad + dd
        if not (0 < aa < math.inf and 0 < bb < math.inf):
            return None
        cosine = max(-1.0, min(1.0, (aa - ad) / (math.sqrt(aa) * math.sqrt(bb))))
        squared_sine = (dd / aa - (ad / aa) * (ad / aa)) * (aa / bb)
        if abs(cosine) < 0.7 or not math.isfinite(squared_sine):
            return cosine
        return math.copysign(math.sqrt(1 - min(max(squared_sine, 0.0), 1.0)), cosine)
