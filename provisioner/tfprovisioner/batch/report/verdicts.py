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
from tfkernels.comparison.render import number_format
from tfkernels.comparison.render.html import fragment
from tfkernels.comparison.render.wording import headline
from tfkernels.comparison.result import CLOSE, DIFFERENT, EQUAL, EXTRA, MISSING, Part
from tfkernels.errors import TFKernelsError
from tfprovisioner.batch.recorded import Record
from tfprovisioner.batch.report.cases import PlacedRun
from tfprovisioner.batch.report.json import Entry, plain
from tfprovisioner.errors import ProvisionError

UNREADABLE, NOT_COMPARED = "unreadable", "not compared"
AGREEING = (EQUAL, CLOSE)
DIFFERING = (DIFFERENT, MISSING, EXTRA, UNREADABLE)
"""An unreadable value counts as a difference: nobody can know that it agrees."""

MAX_PARTS = 500
"""Parts of a compound value that are kept; those that failed first."""

_READ_ERRORS = (
    TFKernelsError, ProvisionError, OSError, MemoryError, ArithmeticError,
    AttributeError, LookupError, RecursionError, TypeError, ValueError, ImportError,
)  # fmt: skip
"""What values of unknown origin can raise when they are read or compared."""

Key = tuple[str, str, str]
"""Case, name of the record, and side."""


@dataclass(frozen=True)
class View:
    """A whole comparison, rendered."""

    html: str
    text: str


class Comparer:
    """Collects the comparisons of all cases."""

    def __init__(self, baseline: str, rtol: float | None, atol: float | None) -> None:
        self._baseline = baseline
        self._rtol, self._atol = rtol, atol
        self.entries: list[Entry] = []
        """``comparisons`` of ``report.json``."""
        self.values: dict[Key, str] = {}
        """Each recorded value in a few characters."""
        self.views: dict[Key, View] = {}
        """Of values that were compared and are not equal."""

    def compare_case(self, case: str, runs: Mapping[str, PlacedRun]) -> None:
        """Compares every recorded name; ``runs`` by side, in the order of the columns."""
        records = {side: run.records for side, run in runs.items()}
        for name in dict.fromkeys(name for of_run in records.values() for name in of_run):
            ours = records.get(self._baseline, {}).get(name)
            first, first_problem = self._read((case, name, self._baseline), ours)
            for side, run in runs.items():
                if side == self._baseline:
                    continue
                key, theirs = (case, name, side), records[side].get(name)
                value, problem = self._read(key, theirs)
                if ours is None or theirs is None:
                    self._add_one_sided(key, runs.get(self._baseline), run, theirs)
                elif first_problem or problem:
                    problems = [
                        f"{who}: {why}" for who, why in ((self._baseline, first_problem), (side, problem)) if why
                    ]
                    self._add(key, UNREADABLE, "; ".join(problems))
                else:
                    self._compare(key, first, value, ours, theirs)

    def _read(self, key: Key, record: Record | None) -> tuple[Any, str]:
        """The value, or why it cannot be read."""
        if record is None:
            return None, ""
        try:
            value = record.value()
        except _READ_ERRORS as error:
            self.values[key] = record.summary
            return None, number_format.line(_text(error).replace(f"{record.file.parent.parent}{os.sep}", ""))
        self.values[key] = _glance(value)
        return value, ""

    def _add(self, key: Key, verdict: str, reason: str, **facts: Any) -> None:
        case, name, side = key
        self.entries.append(
            {
                "case": case,
                "name": name,
                "side": side,
                "verdict": verdict,
                "passed": None if verdict == NOT_COMPARED else verdict in AGREEING,
                "reason": number_format.line(reason, 2000),
                "value": self.values.get(key, ""),
                "largest_error": None,
                "least_tolerance": None,
                "comparison": None,
                "parts_left_out": 0,
                **facts,
            }
        )

    def _add_one_sided(self, key: Key, base: PlacedRun | None, run: PlacedRun, theirs: Record | None) -> None:
        baseline = self._baseline
        if theirs is None and (base is None or key[1] not in base.records):
            return
        if base is None:
            self._add(key, NOT_COMPARED, f"{baseline}, the baseline, has no run of this case")
        elif theirs is not None and base.found.outcome.passed:
            self._add(key, EXTRA, f"{baseline} did not record it")
        elif theirs is not None:
            self._add(key, NOT_COMPARED, f"{baseline}'s run failed before it recorded this")
        elif run.found.outcome.passed:
            self._add(key, MISSING, f"only {baseline} recorded it")
        else:
            self._add(key, NOT_COMPARED, "the run failed before it recorded this")

    def _compare(self, key: Key, first: Any, value: Any, ours: Record, theirs: Record) -> None:
        rtol = next((given for given in (ours.rtol, theirs.rtol, self._rtol) if given is not None), None)
        atol = next((given for given in (ours.atol, theirs.atol, self._atol) if given is not None), None)
        try:
            found = compare(first, value, rtol=rtol, atol=atol, names=(self._baseline, key[2]))
            equal = all(part.verdict == EQUAL for part in found.parts)
            view = None if equal else View(fragment(found), "" if found.passed else repr(found))
        except _READ_ERRORS as error:
            self._add(key, UNREADABLE, f"could not be compared: {number_format.line(_text(error))}")
            return
        if view is not None:
            self.views[key] = view
        kept = _excerpt(found)
        self._add(
            key,
            EQUAL if equal else CLOSE if found.passed else DIFFERENT,
            headline(found),
            largest_error=plain(largest_error(found.parts)),
            least_tolerance=_least_tolerance(found),
            comparison=kept.to_dict(),
            parts_left_out=len(found.parts) - len(kept.parts),
        )


def largest_error(parts: Sequence[Part]) -> float | None:
    """The largest absolute error among finite numbers."""
    extremes = [part.statistics.max_absolute_error for part in parts if part.statistics is not None]
    return max((float(extreme.error) for extreme in extremes if extreme is not None), default=None)


def _least_tolerance(found: Comparison) -> str | None:
    """The smallest single setting with which all parts would pass: ``"rtol 0.3"``; ``None`` if none would."""

    def largest(name: str) -> float | None:
        statistics = [part.statistics for part in found.failed]
        least = [getattr(each, name) if each is not None and each.mismatched else None for each in statistics]
        known = [each for each in least if each is not None]
        return max(known) if known and len(known) == len(least) else None

    rtol, atol = largest("min_rtol"), largest("min_atol")
    # an rtol of 10 % and more only says that values near zero differ
    if rtol is not None and (rtol < 0.1 or atol is None):
        return f"rtol {number_format.at_least(rtol)}"
    return None if atol is None else f"atol {number_format.at_least(atol)}"


def _excerpt(found: Comparison) -> Comparison:
    if len(found.parts) <= MAX_PARTS:
        return found
    by_need = sorted(range(len(found.parts)), key=lambda place: found.parts[place].passed)  # stable
    return replace(found, parts=tuple(found.parts[place] for place in sorted(by_need[:MAX_PARTS])))


def _text(error: Exception) -> str:
    known = isinstance(error, (TFKernelsError, ProvisionError))
    return str(error) if known and str(error) else f"{type(error).__name__}: {error}"


def _glance(value: Any) -> str:
    if isinstance(value, (np.generic, np.ndarray)) and value.ndim == 0 and value.dtype.names is None:
        value = value.item()
    if isinstance(value, float):
        return f"{value:.6g}" if math.isfinite(value) else str(value)
    return number_format.line(describe(value), 60)
