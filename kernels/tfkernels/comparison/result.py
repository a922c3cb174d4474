"""What a comparison found, as frozen data: a ``Part`` for each array or plain value, and ``Findings`` with all parts.

Renderers take ``Findings``; users get a ``Comparison``, which adds the ways to show them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any, TypeVar

import numpy as np

from tfkernels.comparison.tolerances import Tolerance
from tfkernels.diagnosis.finding import Finding

Array = Any  # np.ndarray; NumPy 1.18 has no generic form of it

EQUAL, CLOSE, DIFFERENT, MISSING, EXTRA = "equal", "close", "different", "missing", "extra"


@dataclass(frozen=True)
class Extreme:
    """The element where an error is largest: the error, the element's index, and both of its values."""

    error: float
    index: tuple[int, ...]
    baseline: Any
    other: Any


@dataclass(frozen=True)
class NonFinite:
    """How many elements are NaN or infinite, and on which side."""

    nan_in_both: int = 0
    nan_in_baseline: int = 0
    nan_in_other: int = 0
    infinite_and_equal: int = 0
    infinite_and_different: int = 0

    @property
    def any(self) -> bool:
        return any(getattr(self, item.name) for item in fields(self))


@dataclass(frozen=True)
class Sample:
    """Elements from all over two arrays, at most ``statistics.sample.SIZE``, for medians and plots.

    ``baseline`` and ``other`` are 1-D, of one length, in the arrays' own dtypes; ``errors`` are the absolute errors and
    ``ulps`` the distances in units in the last place, where both values are finite. ``complete`` says that it is all.
    """

    baseline: Array
    other: Array
    errors: Array
    ulps: Array | None
    complete: bool

    @property
    def scale(self) -> float:
        """The largest finite magnitude on both sides; 1 for a single number, which has no scale but itself."""
        if len(self.baseline) == 1:
            return 1.0
        with np.errstate(over="ignore"):  # of complex numbers
            sizes = np.abs(np.concatenate([self.baseline, self.other]))
        return float(np.max(sizes, where=np.isfinite(sizes), initial=0.0))


@dataclass(frozen=True)
class Statistics:
    """Numbers on two arrays of one shape. ``None`` where the dtype has no such number.

    * Errors are of the pairs in which both values are finite; relative ones are of the larger magnitude, and of no
      less than atol.
    * ``mismatched`` counts elements outside the tolerance, and NaN or infinity on one side only.
    * ``max_ulp`` is exact, ``median_ulp`` is that of ``sample``.
    * ``min_rtol`` is the smallest rtol that would pass with the given atol, ``min_atol`` the smallest atol.
    * ``top_k`` maps each k to the share of rows in which both sides have the same k largest values, in any order.
    * ``first_mismatch`` is the first element that differs without an error (NaN or infinity against something else,
      text), ``furthest`` the one furthest outside the tolerance.
    * ``picture`` is the absolute error of image-like arrays, its largest values pooled to at most 64 x 64.
    """

    size: int
    mismatched: int
    max_absolute_error: Extreme | None = None
    mean_absolute_error: float | None = None
    max_relative_error: Extreme | None = None
    mean_relative_error: float | None = None
    max_ulp: int | None = None
    median_ulp: float | None = None
    min_rtol: float | None = None
    min_atol: float | None = None
    cosine_similarity: float | None = None
    non_finite: NonFinite = field(default_factory=NonFinite)
    first_mismatch: Extreme | None = None
    furthest: Extreme | None = None
    top_k: dict[int, float] = field(default_factory=dict)
    sample: Sample | None = field(default=None, repr=False, compare=False)
    picture: Array | None = field(default=None, repr=False, compare=False)

    @property
    def mismatched_share(self) -> float:
        """Between 0 and 1."""
        return self.mismatched / self.size if self.size else 0.0

    @property
    def worst(self) -> Extreme | None:
        """The element to look at first: the first mismatch that has no error (NaN, text), else the mismatch furthest
        outside the tolerance, else the largest absolute error."""
        return self.first_mismatch or self.furthest or self.max_absolute_error


@dataclass(frozen=True)
class Part:
    """One array or plain value under its path, on the baseline's side and on another's.

    ``verdict`` is ``"equal"`` (every element), ``"close"`` (within the tolerance), ``"different"``, ``"missing"`` (only
    the baseline has it) or ``"extra"`` (only the other side has it). ``baseline`` and ``other`` describe the two:
    ``"float32 (3, 4)"``, or a plain value itself. ``reason`` says why it did not pass, ``notes`` what differs besides.
    ``by_itself``: whether it differs although everything before it is the baseline's, ``""`` if nothing tells it.
    """

    path: str
    side: str
    verdict: str
    baseline: str = ""
    other: str = ""
    reason: str = ""
    notes: tuple[str, ...] = ()
    tolerance: Tolerance | None = None
    statistics: Statistics | None = None
    by_itself: str = ""

    @property
    def passed(self) -> bool:
        return self.verdict in (EQUAL, CLOSE)


def size_of(part: Part) -> str:
    """The verdict, and how far a part differs as a share of its largest element."""
    found = part.statistics
    if part.verdict == EQUAL or found is None or found.max_absolute_error is None or found.sample is None:
        return part.verdict
    return f"{part.verdict} {found.max_absolute_error.error / (found.sample.scale or 1.0):.1e}"


F = TypeVar("F", bound="Findings")


@dataclass(frozen=True, repr=False)
class Findings:
    """The parts of two or more values in the baseline's order: one ``Part`` for each path and side."""

    baseline: str
    sides: tuple[str, ...]
    parts: tuple[Part, ...]
    findings: tuple[Finding, ...] = ()
    """Of training traces: why they differ, all that is independent, in the order of computation."""
    notes: tuple[str, ...] = ()
    """Of training traces: what could not be compared."""

    @property
    def finding(self) -> Finding | None:
        """Of training traces: the first of ``findings``, if there is one."""
        return next(iter(self.findings), None)

    @property
    def passed(self) -> bool:
        return all(part.passed for part in self.parts) and not self.findings

    @property
    def failed(self) -> tuple[Part, ...]:
        """The parts that did not pass, in order."""
        return tuple(part for part in self.parts if not part.passed)

    def against(self: F, side: str) -> F:
        """The comparison of the baseline with one side only. Raises ``KeyError`` if there is no such side."""
        if side not in self.sides:
            raise KeyError(f"{side!r} is not one of the sides: {', '.join(self.sides)}")
        parts = tuple(part for part in self.parts if part.side == side)
        return replace(self, sides=(side,), parts=parts, findings=tuple(f for f in self.findings if f.side == side))

    def to_dict(self) -> dict[str, Any]:
        """What a ``repr`` shows (no samples and pictures), in JSON's own types; NaN and infinity become text."""
        return {
            "passed": self.passed,
            "baseline": self.baseline,
            "sides": list(self.sides),
            "finding": plain(self.finding),
            "findings": plain(self.findings),
            "notes": plain(self.notes),
            "parts": [plain(part) for part in self.parts],
        }


def plain(value: Any) -> Any:
    """The same in JSON's own types; NaN and infinity become text."""
    if is_dataclass(value):
        found = {item.name: plain(getattr(value, item.name)) for item in fields(value) if item.repr}
        if isinstance(value, Part):
            found["passed"] = value.passed
        if isinstance(value, Statistics):
            found["mismatched_share"] = value.mismatched_share
        return found
    if isinstance(value, (tuple, list)):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.generic):
        number = issubclass(type(value), (np.number, np.bool_)) and not isinstance(value, np.timedelta64)
        value = value.item() if number and type(value.item()) is not type(value) else str(value)
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return repr(value)
