"""One part of a comparison in words: the figures in its row of a table, and all that is known of it."""

from __future__ import annotations

from tfkernels.comparison.render import number_format
from tfkernels.comparison.result import CLOSE, EQUAL, Extreme, NonFinite, Part, Statistics
from tfkernels.comparison.tolerances import EXACT, Tolerance

NOTES = 4
"""Notes on one part, at most."""

FIGURES = ("max absolute", "max relative", "max ULP", "mismatched", "would pass")


def kinds(part: Part, between: str = " / ") -> str:
    """What both sides are: once, if they are alike."""
    one, two = number_format.line(part.baseline, 80), number_format.line(part.other, 80)
    return one if one == two else between.join(filter(None, (one, two)))


def figures(part: Part) -> list[str]:
    """A cell for each of ``FIGURES``; empty without statistics."""
    found = part.statistics
    if found is None:
        return [""] * len(FIGURES)
    extremes = found.max_absolute_error, found.max_relative_error
    share = f" ({number_format.share(found.mismatched, found.size)})" if found.mismatched else ""
    return [
        *(number_format.number(None if extreme is None else extreme.error) for extreme in extremes),
        number_format.ABSENT if found.max_ulp is None else number_format.count(found.max_ulp),
        f"{number_format.count(found.mismatched)}/{number_format.count(found.size)}{share}",
        would_pass(part, short=True),
    ]


def largest_error(part: Part) -> float | None:
    """Absolute, and of finite numbers. ``None`` if there are none."""
    extreme = None if part.statistics is None else part.statistics.max_absolute_error
    return None if extreme is None else float(extreme.error)


def mismatched(found: Statistics) -> str:
    share = number_format.share(found.mismatched, found.size)
    return f"{number_format.count(found.mismatched)} of {number_format.count(found.size)} elements ({share})"


def facts(part: Part, baseline: str) -> list[tuple[str, str]]:
    """Labels and texts of everything that is known of a part, the most telling first."""
    names = number_format.line(baseline, 24), number_format.line(part.side, 24)
    known = [] if part.statistics is None else _measured(part, part.statistics, names)
    if part.statistics is None and part.baseline != part.other:
        known = [(name, number_format.line(value, 200)) for name, value in zip(names, (part.baseline, part.other))]
    if part.verdict == EQUAL:
        known = [fact for fact in known if fact[0] in ("values", "NaN, infinity", "same top k")]
    known += [("note", number_format.line(note, 200)) for note in part.notes[:NOTES]]
    if len(part.notes) > NOTES:
        known.append(("note", f"… and {len(part.notes) - NOTES} more"))
    return [(label, text) for label, text in known if text]


def _measured(part: Part, found: Statistics, names: tuple[str, str]) -> list[tuple[str, str]]:
    several, tolerance = found.size > 1, str(part.tolerance or EXACT)
    absolute, relative, furthest = found.max_absolute_error, found.max_relative_error, found.furthest
    place = None if absolute is None else absolute.index
    if relative is not None and not relative.error:
        relative = None
    if furthest is not None and furthest.index == place:
        furthest = None  # it is the largest error, which follows
    ulps = found.max_ulp and number_format.count(found.max_ulp)
    if ulps and found.median_ulp not in (None, found.max_ulp):
        ulps = f"at most {ulps}, median {number_format.count(found.median_ulp)}"
    cosine = found.cosine_similarity
    return [
        ("values", kinds(part)),
        ("mismatched", f"{mismatched(found)}, tolerance {tolerance}" if several else ""),
        ("tolerance", "" if several else tolerance),
        ("first mismatch", _place(found.first_mismatch, names)),
        ("furthest out", _place(furthest, names)),
        ("absolute error", _error(absolute, found.mean_absolute_error, names)),
        ("relative error", _error(relative, found.mean_relative_error, names, place)),
        ("ULP distance", ulps or ""),
        ("NaN, infinity", _non_finite(found.non_finite, names)),
        ("would pass", would_pass(part)),
        ("needed", needed(part)),
        ("cosine", f"{cosine:.5f}" if cosine is not None and several else ""),
        ("same top k", ", ".join(f"top {k} in {100 * share:.4g}% of rows" for k, share in sorted(found.top_k.items()))),
    ]


def _place(extreme: Extreme | None, names: tuple[str, str]) -> str:
    """Where it is, and both values."""
    if extreme is None:
        return ""
    one, two = number_format.pair(extreme.baseline, extreme.other)
    where = f"[{', '.join(map(str, extreme.index))}]: " if extreme.index else ""
    return f"{where}{one} in {names[0]}, {two} in {names[1]}"


def _error(
    extreme: Extreme | None, mean: float | None, names: tuple[str, str], known: tuple[int, ...] | None = None
) -> str:
    """``known`` is a place that was described already."""
    if extreme is None:
        return ""
    if not extreme.error:
        return "none"
    most = number_format.number(extreme.error)
    if not extreme.index:
        return most if extreme.index == known else f"{most}: {_place(extreme, names)}"
    worst = "there, too" if extreme.index == known else f"at {_place(extreme, names)}"
    return f"at most {most}, mean {number_format.number(mean)}; worst {worst}"


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
    """The smallest tolerances with which a part that failed would pass, each with the other one as it was given."""
    found, given = part.statistics, part.tolerance
    if found is None or given is None or part.passed:
        return ""
    rtol, atol = found.min_rtol, found.min_atol
    if rtol is None and atol is None and found.non_finite.any:
        return "none" if short else "no tolerance, because of NaN or infinity"
    return least_tolerance(rtol, atol) or "" if short else _options(rtol, atol, given)


def needed(part: Part) -> str:
    """The same of a part that passed. If ``atol`` was enough by itself: how much of it."""
    found, given = part.statistics, part.tolerance
    if found is None or given is None or part.verdict != CLOSE:
        return ""
    if found.min_rtol:
        return _options(found.min_rtol, found.min_atol or None, given)
    return _options(None, largest_error(part), Tolerance(0.0, given.atol))


def _options(rtol: float | None, atol: float | None, given: Tolerance) -> str:
    options = (("rtol", rtol, f"atol={number_format.at_least(given.atol)}"),
               ("atol", atol, f"rtol={number_format.at_least(given.rtol)}"))  # fmt: skip
    return ", or ".join(
        f"{name}={number_format.at_least(least)} with {rest}" for name, least, rest in options if least is not None
    )


def least_tolerance(rtol: float | None, atol: float | None) -> str | None:
    """The better of two settings, either of which would pass: ``"rtol 0.03"``."""
    if rtol is not None and (rtol < 0.1 or atol is None):  # more only says that values near zero differ
        return f"rtol {number_format.at_least(rtol)}"
    return None if atol is None else f"atol {number_format.at_least(atol)}"
