"""What each run recorded against what the baseline's run recorded, one pair of values in memory at a time.

Tolerances are, each of the two by itself: what was given with the record, since who recorded a value knows it; else
that of the command line; else ``compare``'s default for the dtype. Of two records that say different things the
baseline's counts.
"""

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tfkernels.comparison import Comparison, Part, compare
from tfkernels.comparison.contents import describe
from tfkernels.comparison.render import number_format
from tfkernels.comparison.render.html import fragment
from tfkernels.comparison.render.wording import headline
from tfkernels.comparison.result import CLOSE, DIFFERENT, EQUAL, EXTRA, MISSING
from tfkernels.errors import TFKernelsError
from tfprovisioner.batch.recorded import Record
from tfprovisioner.batch.report.cases import Placed
from tfprovisioner.errors import ProvisionError

UNREADABLE, NOT_COMPARED = "unreadable", "not compared"

PARTS = 500
"""So many parts of a compound value are kept; those that failed first."""

_UNREADABLE = (
    TFKernelsError, ProvisionError, OSError, MemoryError, ArithmeticError,
    AttributeError, LookupError, RecursionError, TypeError, ValueError, ImportError,
)  # fmt: skip
"""What values that come from somewhere else can raise when they are read or compared."""


@dataclass(frozen=True)
class Verdict:
    """One recorded name of one run, compared with the baseline's run of the same case."""

    case: str
    name: str
    side: str
    state: str
    """``"equal"``, ``"close"``, ``"different"``, ``"missing"`` (only the baseline has it), ``"extra"`` (only this run
    has it), ``"unreadable"`` (one of the two values), ``"not compared"`` (one of the two runs gave no value)."""
    reason: str = ""
    """In a sentence; of values that were compared, where and how much they differ."""
    error: float | None = None
    """The largest absolute error among finite numbers."""
    least_tolerance: str = ""
    """The smallest tolerance that would: ``"rtol 0.3"``. Empty if it passed, or if none would."""
    value: str = ""
    """The value itself if it is one number or a short text, else its dtype and shape, or size."""
    sha256: str = ""
    comparison: Comparison | None = None
    """Without samples and pictures, and at most ``PARTS`` parts of it."""
    left_out: int = 0
    """Parts that are not in ``comparison``."""
    view: str = ""
    """The whole comparison as HTML."""

    @property
    def agrees(self) -> bool:
        return self.state in (EQUAL, CLOSE)

    @property
    def differs(self) -> bool:
        """Also if it cannot be known whether it does: that is not fine."""
        return self.state in (DIFFERENT, MISSING, EXTRA, UNREADABLE)


@dataclass(frozen=True)
class Result:
    """A row: one recorded name of one case, on all sides."""

    case: str
    name: str
    values: Mapping[str, str]
    """By side, what was recorded, in a few characters."""
    verdicts: Mapping[str, Verdict]
    """By side; the baseline has none, nor has a side where nothing was expected."""

    @property
    def compared(self) -> bool:
        """On one side at least."""
        return any(verdict.state != NOT_COMPARED for verdict in self.verdicts.values())

    @property
    def differs(self) -> bool:
        """On one side at least."""
        return any(verdict.differs for verdict in self.verdicts.values())


def judge(
    placed: Sequence[Placed], sides: Sequence[str], rtol: float | None = None, atol: float | None = None
) -> Iterator[Result]:
    """Every recorded name of every case, in the order in which the runs recorded them; ``sides[0]`` is the baseline."""
    for case in dict.fromkeys(item.case for item in placed):
        runs = {item.side: item for item in placed if item.case == case}
        runs = {side: runs[side] for side in sides if side in runs}
        records = {side: item.records for side, item in runs.items()}
        for name in dict.fromkeys(name for those in records.values() for name in those):
            yield _result(case, name, sides[0], runs, records, (rtol, atol))


def _result(
    case: str,
    name: str,
    baseline: str,
    runs: Mapping[str, Placed],
    records: Mapping[str, Mapping[str, Record]],
    asked: tuple[float | None, float | None],
) -> Result:
    ours = records.get(baseline, {}).get(name)
    first, unreadable = _read(ours)
    values = {} if ours is None else {baseline: _glance(first) if not unreadable else ours.summary}
    verdicts = {}
    for side, run in runs.items():
        if side == baseline:
            continue
        theirs = records[side].get(name)
        value, problem = _read(theirs)
        if theirs is not None:
            values[side] = _glance(value) if not problem else theirs.summary
        verdict = Verdict(case, name, side, "", value=values.get(side, ""), sha256=theirs.sha256 if theirs else "")
        if ours is None or theirs is None:
            state, reason = _one_sided(baseline, runs.get(baseline), run, ours, theirs)
            verdict = replace(verdict, state=state, reason=reason)
        elif unreadable or problem:
            said = [f"{where}: {why}" for where, why in ((baseline, unreadable), (side, problem)) if why]
            verdict = replace(verdict, state=UNREADABLE, reason="; ".join(said))
        else:
            verdict = _compared(verdict, baseline, first, value, _tolerances(ours, theirs, asked))
        if verdict.state:
            verdicts[side] = verdict
    return Result(case, name, values, verdicts)


def _read(record: Record | None) -> tuple[Any, str]:
    """The value, and why there is none."""
    if record is None:
        return None, ""
    try:
        return record.value(), ""
    except _UNREADABLE as error:
        return None, number_format.line(_said(error).replace(f"{record.file.parent.parent}{os.sep}", ""))


def _said(error: Exception) -> str:
    known = isinstance(error, (TFKernelsError, ProvisionError))
    return str(error) if known and str(error) else f"{type(error).__name__}: {error}"


def _one_sided(
    baseline: str, base: Placed | None, run: Placed, ours: Record | None, theirs: Record | None
) -> tuple[str, str]:
    """State and reason if not both have the value."""
    if theirs is not None:
        if base is None:
            return NOT_COMPARED, f"{baseline}, the baseline, has no run of this"
        if not base.found.outcome.passed:
            return NOT_COMPARED, f"{baseline}'s run failed before it recorded this"
        return EXTRA, f"{baseline} did not record it"
    if ours is None:
        return "", ""
    if not run.found.outcome.passed:
        return NOT_COMPARED, "the run failed before it recorded this"
    return MISSING, f"only {baseline} recorded it"


def _tolerances(ours: Record, theirs: Record, asked: tuple[Any, Any]) -> tuple[Any, Any]:
    rtol, atol = (
        next((setting for setting in settings if setting is not None), None)
        for settings in ((ours.rtol, theirs.rtol, asked[0]), (ours.atol, theirs.atol, asked[1]))
    )
    return rtol, atol


def _compared(verdict: Verdict, baseline: str, ours: Any, theirs: Any, tolerances: tuple[Any, Any]) -> Verdict:
    rtol, atol = tolerances
    try:
        found = compare(ours, theirs, rtol=rtol, atol=atol, names=(baseline, verdict.side))
        view = fragment(found)
    except _UNREADABLE as error:
        return replace(verdict, state=UNREADABLE, reason=f"could not be compared: {number_format.line(_said(error))}")
    kept = _kept(found)
    return replace(
        verdict,
        state=_state(found),
        reason=headline(found),
        error=_largest(found.parts),
        least_tolerance=_least_tolerance(found),
        comparison=kept,
        left_out=len(found.parts) - len(kept.parts),
        view=view,
    )


def _state(found: Comparison) -> str:
    if not found.passed:
        return DIFFERENT
    return EQUAL if all(part.verdict == EQUAL for part in found.parts) else CLOSE


def _largest(parts: Sequence[Part]) -> float | None:
    extremes = [part.statistics.max_absolute_error for part in parts if part.statistics is not None]
    return max((float(extreme.error) for extreme in extremes if extreme is not None), default=None)


def _least_tolerance(found: Comparison) -> str:
    """One setting for all parts, the other one as it was."""
    failed = [part.statistics for part in found.failed]
    rtol, atol = (
        _largest_of([getattr(one, name) if one is not None and one.mismatched else None for one in failed])
        for name in ("min_rtol", "min_atol")
    )
    # an rtol of 10 % and more says nothing but that values near zero differ
    if rtol is not None and (rtol < 0.1 or atol is None):
        return f"rtol {number_format.at_least(rtol)}"
    return "" if atol is None else f"atol {number_format.at_least(atol)}"


def _largest_of(least: Sequence[float | None]) -> float | None:
    """``None`` if one of them is."""
    known = [one for one in least if one is not None]
    return max(known) if known and len(known) == len(least) else None


def _kept(found: Comparison) -> Comparison:
    """What is small of it."""
    parts = found.parts
    if len(parts) > PARTS:
        chosen = set(sorted(range(len(parts)), key=lambda place: parts[place].passed)[:PARTS])  # stable
        parts = tuple(part for place, part in enumerate(parts) if place in chosen)
    return replace(found, parts=tuple(map(_without_sample, parts)))


def _without_sample(part: Part) -> Part:
    if part.statistics is None:
        return part
    return replace(part, statistics=replace(part.statistics, sample=None, picture=None))


def _glance(value: Any) -> str:
    if isinstance(value, (np.generic, np.ndarray)) and value.ndim == 0 and value.dtype.names is None:
        value = value.item()
    if isinstance(value, float):
        return f"{value:.6g}" if math.isfinite(value) else str(value)
    return number_format.line(describe(value), 60)
