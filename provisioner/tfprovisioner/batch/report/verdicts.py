"""Comparison of recorded values with the baseline's, one pair in memory at a time.

Each tolerance, rtol and atol by itself, comes from the baseline's record, else from the other record, else from the
command line, else it is ``compare``'s default for the dtype.
"""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tfkernels.comparison import Comparison, compare
from tfkernels.comparison.contents import describe
from tfkernels.comparison.render import number_format, part_details
from tfkernels.comparison.render.html import fragment
from tfkernels.comparison.render.overview import headline
from tfkernels.comparison.result import CLOSE, DIFFERENT, EQUAL, EXTRA, MISSING, Part, plain
from tfkernels.errors import TFKernelsError
from tfprovisioner.batch.output_dir import Found
from tfprovisioner.batch.recorded import Record
from tfprovisioner.batch.report.model import AGREEING, NOT_COMPARED, UNREADABLE, Entry, Key, View
from tfprovisioner.errors import ProvisionError

MAX_PARTS = 500
"""Parts of a compound value that are kept; those that failed first."""

VALUE_ERRORS = (
    TFKernelsError, ProvisionError, OSError, MemoryError, ArithmeticError,
    AttributeError, LookupError, RecursionError, TypeError, ValueError, ImportError,
)  # fmt: skip
"""What values of unknown origin can raise when they are read or compared."""

_NO_FIGURES: Entry = {"largest_error": None, "least_tolerance": None, "comparison": None, "parts_left_out": 0}


@dataclass(frozen=True)
class _Read:
    """A record, with its value if it could be read."""

    record: Record
    value: Any
    glance: str
    """The value in a few characters."""
    problem: str = ""
    """Why it cannot be read."""


class Comparer:
    """Collects the comparisons of all cases."""

    def __init__(self, baseline: str, rtol: float | None, atol: float | None) -> None:
        self._baseline = baseline
        self._rtol, self._atol = rtol, atol
        self.entries: list[Entry] = []
        """``comparisons`` of ``report.json``."""
        self.views: dict[Key, View] = {}
        """Of values that were compared and are not equal."""

    def compare_case(self, case: str, runs: Mapping[str, Found]) -> dict[str, dict[str, str]]:
        """Compares every recorded name; ``runs`` by side, in the order of the columns.

        Returns each recorded value in a few characters, by side and name.
        """
        records = {(side, record.name): record for side, run in runs.items() for record in run.records}
        glances: dict[str, dict[str, str]] = {side: {} for side in runs}
        for name in dict.fromkeys(name for _, name in records):
            ours = read = _read(records.get((self._baseline, name)))
            for side, of_side in glances.items():
                if side != self._baseline:
                    read = _read(records.get((side, name)))
                    self._add((case, name, side), runs, ours, read)
                if read is not None:
                    of_side[name] = read.glance
        return glances

    def _add(self, key: Key, runs: Mapping[str, Found], ours: _Read | None, theirs: _Read | None) -> None:
        case, name, side = key
        figures = _NO_FIGURES
        if ours is None and theirs is None:
            return
        if ours is None or theirs is None:
            verdict, reason = self._one_sided(side, runs, lost=theirs is None)
        elif ours.problem or theirs.problem:
            problems = {self._baseline: ours.problem, side: theirs.problem}
            verdict, reason = UNREADABLE, "; ".join(f"{who}: {why}" for who, why in problems.items() if why)
        else:
            verdict, reason, figures = self._compared(key, ours, theirs)
        entry: Entry = {"case": case, "name": name, "side": side, "verdict": verdict}
        entry["passed"] = None if verdict == NOT_COMPARED else verdict in AGREEING
        entry["reason"] = number_format.line(reason, 2000)
        entry["value"] = theirs.glance if theirs is not None else ""
        self.entries.append({**entry, **figures})

    def _one_sided(self, side: str, runs: Mapping[str, Found], lost: bool) -> tuple[str, str]:
        """Verdict and reason if only the baseline has the value (``lost``), or only the other side."""
        baseline = self._baseline
        if baseline not in runs:
            return NOT_COMPARED, f"{baseline}, the baseline, has no run of this case"
        whose = "the" if lost else f"{baseline}'s"
        if not runs[side if lost else baseline].outcome.passed:
            return NOT_COMPARED, f"{whose} run failed before it recorded this"
        return (MISSING, f"only {baseline} recorded it") if lost else (EXTRA, f"{baseline} did not record it")

    def _compared(self, key: Key, ours: _Read, theirs: _Read) -> tuple[str, str, Entry]:
        """Verdict, reason and figures of two values."""
        rtol = _first(ours.record.rtol, theirs.record.rtol, self._rtol)
        atol = _first(ours.record.atol, theirs.record.atol, self._atol)
        try:
            found = compare(ours.value, theirs.value, rtol=rtol, atol=atol, names=(self._baseline, key[2]))
            equal = all(part.verdict == EQUAL for part in found.parts)
            if not equal:
                self.views[key] = View(fragment(found), "" if found.passed else repr(found))
        except VALUE_ERRORS as error:
            return UNREADABLE, f"could not be compared: {number_format.line(explained(error))}", _NO_FIGURES
        kept = _excerpt(found)
        figures = {
            "largest_error": plain(largest_error(found.parts)),
            "least_tolerance": _least_tolerance(found),
            "comparison": kept.to_dict(),
            "parts_left_out": len(found.parts) - len(kept.parts),
        }
        return EQUAL if equal else CLOSE if found.passed else DIFFERENT, headline(found), figures


def _first(*given: float | None) -> float | None:
    return next((each for each in given if each is not None), None)


def largest_error(parts: Sequence[Part]) -> float | None:
    """The largest absolute error among finite numbers."""
    return max((error for error in map(part_details.largest_error, parts) if error is not None), default=None)


def _least_tolerance(found: Comparison) -> str | None:
    """The smallest single setting with which all parts would pass: ``"rtol 0.3"``; ``None`` if none would."""

    def largest(name: str) -> float | None:
        statistics = [part.statistics for part in found.failed]
        least = [getattr(each, name) if each is not None and each.mismatched else None for each in statistics]
        known = [each for each in least if each is not None]
        return max(known) if known and len(known) == len(least) else None

    return part_details.least_tolerance(largest("min_rtol"), largest("min_atol"))


def _excerpt(found: Comparison) -> Comparison:
    if len(found.parts) <= MAX_PARTS:
        return found
    by_need = sorted(range(len(found.parts)), key=lambda place: found.parts[place].passed)  # stable
    return replace(found, parts=tuple(found.parts[place] for place in sorted(by_need[:MAX_PARTS])))


def _read(record: Record | None) -> _Read | None:
    if record is None:
        return None
    try:
        value = record.value()
    except VALUE_ERRORS as error:
        problem = number_format.line(explained(error).replace(f"{record.file.parent.parent}{os.sep}", ""))
        return _Read(record, None, record.summary, problem)
    return _Read(record, value, _glance(value))


def explained(error: Exception) -> str:
    """Why a value cannot be read or compared; ``error`` is one of ``VALUE_ERRORS``."""
    known = isinstance(error, (TFKernelsError, ProvisionError))
    return str(error) if known and str(error) else f"{type(error).__name__}: {error}"


def _glance(value: Any) -> str:
    if isinstance(value, (np.generic, np.ndarray)) and value.ndim == 0 and value.dtype.names is None:
        value = value.item()
    if isinstance(value, float):
        return f"{value:.6g}" if math.isfinite(value) else str(value)
    return number_format.line(describe(value), 60)
