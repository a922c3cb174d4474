"""The charts of a comparison as data: ``svg`` draws them in a page, ``plot`` with matplotlib.

Scales are linear: on a logarithmic one, positions are exponents, so that neither 5e-324 nor 1.7e308 is lost.
"""

from __future__ import annotations

import math
from typing import Any, Callable, NamedTuple, Sequence, Union

import numpy as np

from tfkernels.comparison.render import number_format
from tfkernels.comparison.render.part_details import largest_error
from tfkernels.comparison.result import Array, Findings, Part, Sample

RED, VIOLET = "#d9534f", "#9557c7"
SIDES = ("#3d85c6", "#ff7f0e", "#2ca02c", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f", "#bcbd22", "#17becf")
"""The colours of sides; they stand out from white and from black."""
POINTS = 200
"""Points of a chart along the order. The largest error of neighbours stands for them if there are more parts."""
NAMES = 24
"""Parts that have their names on the axis."""
BINS = 40
"""Bars of a histogram of errors, about."""
FEWEST = 5
"""Bars for which a histogram has room, at least. One that fills it would be a block."""
DECADES = 8
"""Of a heat map, below its largest error; smaller errors are not shown."""

BARS, LINE, CIRCLES, CROSSES, RULE = "bars", "line", "circles", "crosses", "rule"


class Axis(NamedTuple):
    low: float
    high: float
    ticks: Sequence[tuple[float, str]]


class Mark(NamedTuple):
    """``x`` has the middles of bars, ``size`` is their width. A line is interrupted where ``y`` is NaN."""

    kind: str
    x: Array
    y: Array = ()
    colour: str = SIDES[0]
    label: str = ""
    size: float = 1.0


class Chart(NamedTuple):
    """``description`` is for those who do not see it; ``size`` is that in a page, in pixels."""

    title: str
    description: str
    x: Axis
    y: Axis
    marks: Sequence[Mark]
    size: tuple[int, int]


class HeatMap(NamedTuple):
    """``exponents`` of the errors of each pixel, NaN without one; ``lost`` where an error is NaN or infinite."""

    title: str
    description: str
    exponents: Array
    lost: Array
    low: float
    high: float


Drawing = Union[Chart, HeatMap]


def of_part(part: Part) -> list[Drawing | None]:
    """How many elements have which absolute error, and which ULP distance, and where in an image the errors are: those
    that the values have. ``None`` instead of one in which nothing is to be seen."""
    found = part.statistics
    if found is None or found.sample is None:
        return []
    errors, ulps = found.sample.errors, found.sample.ulps
    drawn: list[Drawing | None] = [_histogram("absolute error", found.sample, errors, np.log10, BINS, "1e{}".format)]
    if ulps is not None:
        drawn.append(_histogram("ULP distance", found.sample, ulps, np.log2, 1, "2^{}".format))
    if found.picture is not None:
        drawn.append(_heat_map(found.picture))
    return drawn


def _histogram(
    name: str,
    sample: Sample,
    values: Array,
    log: Callable[[Array], Array],
    bins: int,
    label: Callable[[int], str],
) -> Chart | None:
    """On log scales."""
    with np.errstate(over="ignore"):  # of longdouble
        values = np.asarray(values).astype(np.float64)
    values = values[np.isfinite(values)]
    above = values[values > 0]
    if not above.size:
        return None
    logs = log(above)
    low, high = math.floor(logs.min()), math.floor(logs.max()) + 1
    fewest = -(-FEWEST // bins)
    if high - low < fewest:
        low = max(low - (fewest - high + low) // 2, 0)
        high = low + fewest
    span, zeros = high - low, values.size - above.size
    counts, _ = np.histogram(logs, bins=min(span * max(bins // span, 1), 4 * BINS), range=(low, high))
    step = span / len(counts)
    marks = [Mark(BARS, low + step * (np.arange(len(counts)) + 0.5), _height(counts), size=0.85 * step)]
    ticks = [(power, label(power)) for power in _spread(low, high)]
    if zeros:
        zero = low - 0.14 * span
        marks.append(Mark(BARS, [zero], [_height(zeros)], size=0.07 * span))
        ticks.insert(0, (zero, "0"))
    most = max(int(counts.max()), zeros)
    powers = [10**power for power in range(len(str(most))) if 2 * 10**power <= most]
    heights = [(_height(count), number_format.count(count)) for count in [*powers, most]]
    some = "" if sample.complete else f", of {len(sample.baseline):,} elements from all over"
    return Chart(
        f"elements by {name}{some}",
        f"Histogram of {name}s from {number_format.number(above.min())} to {number_format.number(above.max())}",
        Axis(low - (0.2 if zeros else 0.04) * span, high, ticks),
        Axis(0, _height(most), heights),
        marks,
        (258, 102),
    )


def _height(count: Any) -> Any:
    """On a log scale on which a single element is seen, too."""
    return np.where(np.greater(count, 0), np.log10(np.maximum(count, 1)) + 0.4, 0)


def _spread(low: int, high: int) -> range:
    """Some five whole numbers from ``low`` to ``high``."""
    return range(low, high + 1, max(math.ceil((high - low) / 5), 1))


def growth(findings: Findings, names: bool = False) -> Chart:
    """The largest absolute error of each part in order, a line for each side.

    At the top is what has no number (missing, NaN, another shape), at the bottom what has no error. With ``names`` a
    few parts have their names on the axis.
    """
    lines = [findings.against(side).parts for side in findings.sides]
    sides = [number_format.line(side, 24) for side in findings.sides]
    measured = [error for error in map(_plotted_error, findings.parts) if error]
    low = math.floor(math.log10(min(measured))) if measured else -1
    high = math.floor(math.log10(max(measured))) + 1 if measured else 0
    zero, unknown, edge = low - 0.15 * (high - low), high + 0.1 * (high - low), 0.05 * (high - low)
    marks = []
    for number, (side, parts) in enumerate(zip(sides, lines)):
        strongest = [(place, parts[place], _plotted_error(parts[place])) for place in _strongest(parts)]
        shown = [(place, part, error) for place, part, error in strongest if error is not None or not part.passed]
        x = np.array([place + 1 for place, _, _ in shown])
        y = np.array([unknown if error is None else math.log10(error) if error else zero for _, _, error in shown])
        line = np.where([bool(error) for _, _, error in shown], y, math.nan)
        passed = np.array([part.passed for _, part, _ in shown], dtype=bool)
        colour = SIDES[number % len(SIDES)]
        marks.append(Mark(LINE, x, line, colour, side))
        marks += [Mark(CIRCLES, x[passed], y[passed], colour), Mark(CROSSES, x[~passed], y[~passed], RED)]
    longest = max(lines, key=len)
    first = next((place for place, part in enumerate(longest) if not part.passed), None)
    if first is not None and len(lines) == 1:
        marks.append(Mark(RULE, [first + 1], colour=RED, label=f"first: {number_format.path(longest[first].path, 40)}"))
    ticks: list[tuple[float, str]] = [(1, "1"), (len(longest), f"{len(longest):,}")]
    if names and len(longest) <= NAMES:
        ticks = [(place + 1, number_format.path(part.path, 24)) for place, part in enumerate(longest)]
    failed = sum(not part.passed for part in findings.parts)
    return Chart(
        f"largest absolute error of {', '.join(sides[:4])} along the order: circles pass, crosses differ",
        f"Largest absolute error of {len(longest):,} parts in order, against {', '.join(sides[:4])}; {failed:,} differ",
        Axis(0.5, len(longest) + 0.5, ticks),
        Axis(zero - edge, unknown + edge, [(zero, "0"), *((power, f"1e{power}") for power in _spread(low, high))]),
        marks,
        (572, 178),
    )


def _plotted_error(part: Part) -> float | None:
    """``None`` if there is no number, or one that does not tell why it failed."""
    failed = part.statistics is not None and part.statistics.first_mismatch is not None
    error = None if failed else largest_error(part)
    return error if error is not None and math.isfinite(error) else None


def _strongest(parts: Sequence[Part]) -> list[int]:
    """Places of at most ``POINTS`` parts: of neighbours one that failed, or else the one with the largest error."""
    group = -(-len(parts) // POINTS)

    def strength(place: int) -> tuple[bool, float]:
        error = _plotted_error(parts[place])
        return not parts[place].passed, math.inf if error is None else error

    return [max(range(at, min(at + group, len(parts))), key=strength) for at in range(0, len(parts), group)]


def _heat_map(picture: Any) -> HeatMap | None:
    """Where in an image the errors are, on a log scale. ``None`` if there are none."""
    picture = np.asarray(picture).astype(np.float64)
    lost = ~np.isfinite(picture)
    picture[lost] = 0
    there = picture > 0
    if not there.any() and not lost.any():
        return None
    exponents = np.full(picture.shape, math.nan)
    exponents[there] = np.log10(picture[there])
    found = exponents[there] if there.any() else np.zeros(1)
    high = float(found.max())
    low = min(max(float(found.min()), high - DECADES), high - 1)  # noise of one size looks like it
    size = " by ".join(map(str, picture.shape))
    return HeatMap(
        f"where: largest error of each pixel, log scale{'; violet: NaN or infinity' if lost.any() else ''}",
        f"Heat map of the absolute errors, {size}, at most {number_format.number(float(picture.max()))}",
        exponents,
        lost,
        low,
        high,
    )
