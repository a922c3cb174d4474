"""Verdicts, figures and facts of a comparison in words, for text and HTML."""

from __future__ import annotations

import typing

from tfkernels.comparison.render import number_format
from tfkernels.comparison.render.rows import Row, differ, first, passes, rows
from tfkernels.comparison.result import CLOSE, EQUAL, EXTRA, MISSING, Extreme, Findings, NonFinite, Part
from tfkernels.comparison.tolerances import EXACT

Fact = typing.Tuple[str, str]
"""A label, and its text."""

NOTES = 4
"""Notes on one part, at most."""


def headline(findings: Findings) -> str:
    """The verdict in one sentence."""
    everything = rows(findings)
    if not everything:
        return f"{_names(findings)} agree: they are empty"
    if len(findings.sides) > 1:
        return _of_several(findings, everything)
    if len(everything) == 1:
        return _of_one(findings, first(everything[0]))
    failed = findings.failed
    if not failed:
        equal = sum(part.verdict == EQUAL for part in findings.parts)
        close = len(findings.parts) - equal
        how = "all of them equal" if not close else f"{equal:,} equal, {close:,} within the tolerance"
        return f"all {len(everything):,} parts agree between {_names(findings)}: {how}"
    return (
        f"{len(failed):,} of {len(everything):,} parts {differ(len(failed))} between "
        f"{_names(findings)}; the first is {number_format.path(failed[0].path, 48)}"
    )


def _names(findings: Findings) -> str:
    names = [number_format.line(name, 24) for name in (findings.baseline, *findings.sides)]
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) < 6 else f"{names[0]} and {len(names) - 1} others"


def _of_one(findings: Findings, part: Part) -> str:
    names = _names(findings)
    where = "" if part.path == "value" else f"{number_format.path(part.path, 40)}: "
    found = part.statistics
    if part.verdict == CLOSE:
        return f"{where}{names} agree within {part.tolerance}"
    if part.passed:
        every = f" in all {number_format.count(found.size)} elements" if found is not None and found.size > 1 else ""
        return f"{where}{names} are equal{every}"
    if part.verdict in (MISSING, EXTRA):
        return f"{where}{number_format.line(part.reason) or part.verdict}"
    if found is None:
        return f"{where}{names} differ: {kinds(part, ' against ')}"
    if not found.mismatched:
        return f"{where}{names} differ: {number_format.line(part.reason)}"
    return f"{where}{names} differ" + (f" in {_mismatched(part)}" if found.size > 1 else "")


def _of_several(findings: Findings, everything: list[Row]) -> str:
    failed = sum(not passes(row) for row in everything)
    baseline = number_format.line(findings.baseline, 24)
    if not failed:
        what = f"all {len(everything):,} parts agree" if len(everything) > 1 else "all sides agree"
        return f"{what} between {_names(findings)}"
    differing = []
    for side in findings.sides:
        places = [place for place, row in enumerate(everything) if side in row and not row[side].passed]
        if places and len(everything) > 1:
            path = number_format.path(everything[places[0]][side].path, 32)
            differing.append(f"{len(places):,} in {number_format.line(side, 24)} (first {path})")
        elif places:
            differing.append(number_format.line(side, 24))
    named = ", ".join(differing[:4]) + (f", and {len(differing) - 4} more sides" if len(differing) > 4 else "")
    if len(everything) == 1:
        return f"{len(differing)} of {len(findings.sides)} sides {differ(len(differing))} from {baseline}: {named}"
    return f"{failed:,} of {len(everything):,} parts {differ(failed)} from {baseline}: {named}"


def _mismatched(part: Part) -> str:
    found = part.statistics
    assert found is not None
    share = number_format.share(found.mismatched, found.size)
    return f"{number_format.count(found.mismatched)} of {number_format.count(found.size)} elements ({share})"


def kinds(part: Part, between: str = " / ") -> str:
    """What both sides are: once, if they are alike."""
    one, two = number_format.line(part.baseline, 80), number_format.line(part.other, 80)
    return one if one == two else between.join(filter(None, (one, two)))


FIGURES = ("max absolute", "max relative", "max ULP", "mismatched", "would pass")


def figures(part: Part) -> list[str]:
    """A cell for each of ``FIGURES``; empty without statistics."""
    found = part.statistics
    if found is None:
        return [""] * len(FIGURES)
    extremes = found.max_absolute_error, found.max_relative_error
    mismatched = f"{number_format.count(found.mismatched)}/{number_format.count(found.size)}"
    return [
        *(number_format.ABSENT if extreme is None else number_format.number(extreme.error) for extreme in extremes),
        number_format.ABSENT if found.max_ulp is None else number_format.count(found.max_ulp),
        f"{mismatched} ({number_format.share(found.mismatched, found.size)})" if found.mismatched else mismatched,
        would_pass(part, short=True),
    ]


def figure(part: Part) -> str:
    """The one figure of a part, if there is room for one only: the largest absolute error."""
    extreme = None if part.statistics is None else part.statistics.max_absolute_error
    return number_format.number(extreme.error) if extreme is not None and extreme.error else ""


def facts(part: Part, baseline: str) -> list[Fact]:
    """Everything that is known of a part, the most telling first."""
    names = number_format.line(baseline, 24), number_format.line(part.side, 24)
    found = part.statistics
    known: list[tuple[str, str | None]] = []
    if found is not None:
        absolute, relative = found.max_absolute_error, found.max_relative_error
        same_place = absolute is not None and relative is not None and absolute.index == relative.index
        furthest = found.furthest
        if furthest is not None and absolute is not None and furthest.index == absolute.index:
            furthest = None  # it is the largest error, which follows
        tolerance = str(part.tolerance or EXACT)
        known = [
            ("values", kinds(part)),
            ("mismatched", f"{_mismatched(part)}, tolerance {tolerance}")
            if found.size > 1
            else ("tolerance", tolerance),
            ("first mismatch", _place(found.first_mismatch, names)),
            ("furthest out", _place(furthest, names)),
            ("absolute error", _error(absolute, found.mean_absolute_error, names)),
            (
                "relative error",
                _error(relative, found.mean_relative_error, names, same_place) if relative and relative.error else None,
            ),
            ("ULP distance", _ulps(found.max_ulp, found.median_ulp)),
            ("NaN, infinity", _non_finite(found.non_finite, names)),
            ("would pass", would_pass(part)),
            (
                "cosine",
                f"{found.cosine_similarity:.5f}" if found.cosine_similarity is not None and found.size > 1 else None,
            ),
            (
                "same top k",
                ", ".join(f"top {k} in {100 * share:.4g}% of rows" for k, share in sorted(found.top_k.items())),
            ),
        ]
        if part.verdict == EQUAL:
            known = [fact for fact in known if fact[0] in ("values", "NaN, infinity", "same top k")]
    elif part.baseline != part.other:
        known = [(name, number_format.line(value, 200)) for name, value in zip(names, (part.baseline, part.other))]
    known += [("note", number_format.line(note, 200)) for note in part.notes[:NOTES]]
    if len(part.notes) > NOTES:
        known.append(("note", f"… and {len(part.notes) - NOTES} more"))
    return [(label, text) for label, text in known if text]


def _place(extreme: Extreme | None, names: tuple[str, str]) -> str | None:
    """Where it is, and both values."""
    if extreme is None:
        return None
    one, two = number_format.pair(extreme.baseline, extreme.other)
    where = f"{number_format.index(extreme.index)}: " if extreme.index else ""
    return f"{where}{one} in {names[0]}, {two} in {names[1]}"


def _error(extreme: Extreme | None, mean: float | None, names: tuple[str, str], same_place: bool = False) -> str | None:
    if extreme is None:
        return None
    if not extreme.error:
        return "none"
    most = number_format.number(extreme.error)
    if not extreme.index:
        return most if same_place else f"{most}: {_place(extreme, names)}"
    worst = "there, too" if same_place else f"at {_place(extreme, names)}"
    return f"at most {most}, mean {number_format.number(mean)}; worst {worst}"


def _ulps(largest: int | None, median: float | None) -> str | None:
    if not largest:
        return None
    if median is None or median == largest:
        return number_format.count(largest)
    return f"at most {number_format.count(largest)}, median {number_format.count(median)}"


def _non_finite(found: NonFinite, names: tuple[str, str]) -> str:
    counts = [
        (found.nan_in_baseline, f"NaN in {names[0]} only"),
        (found.nan_in_other, f"NaN in {names[1]} only"),
        (found.nan_in_both, "NaN in both"),
        (found.infinite_and_different, "infinite and different"),
        (found.infinite_and_equal, "infinite and equal"),
    ]
    return ", ".join(f"{number_format.count(number)} {what}" for number, what in counts if number)


def would_pass(part: Part, short: bool = False) -> str:
    """The smallest tolerances, each with the other one as it was given."""
    found, given = part.statistics, part.tolerance
    if found is None or given is None or part.verdict == EQUAL or (short and part.passed):
        return ""
    if found.min_rtol is None and found.min_atol is None:
        if not found.non_finite.any or part.passed:
            return ""
        return "none" if short else "no tolerance, because of NaN or infinity"
    options = []
    if found.min_rtol is not None:
        options.append(("rtol", number_format.at_least(found.min_rtol), f"atol={number_format.at_least(given.atol)}"))
    if found.min_atol is not None:
        options.append(("atol", number_format.at_least(found.min_atol), f"rtol={number_format.at_least(given.rtol)}"))
    if short:  # an rtol of 10 % and more says nothing but that values near zero differ
        name, value, _ = options[-1 if found.min_rtol is None or found.min_rtol >= 0.1 else 0]
        return f"{name} {value}"
    return ", or ".join(f"{name}={value} with {rest}" for name, value, rest in options)
