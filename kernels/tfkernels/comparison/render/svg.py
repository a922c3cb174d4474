"""Small charts as SVG, and a heat map as PNG, to stand in a page: no scripts, no fonts, no colours of a theme.

Text and axes have the colour of the text around them; the rest has colours that stand out from white and from black.
"""

from __future__ import annotations

import base64
import html
import math
import struct
import typing
import zlib

import numpy as np

from tfkernels.comparison.render import number_format
from tfkernels.comparison.result import Part, Sample

BLUE, RED, VIOLET = "#3d85c6", "#d9534f", "#9557c7"
POINTS = 200
"""Of a chart along the order; the largest error of neighbours stands for them if there are more."""

_BINS = 24
_LEVELS = 14
_DECADES = 8
"""Of a heat map. What is smaller than the largest error by more is as good as nothing."""

Ticks = typing.List[typing.Tuple[float, str]]


def error_histogram(sample: Sample) -> str:
    """How many elements have which absolute error, both on log scales. Empty if there is no error."""
    errors = _positive(sample.errors)
    if not errors.size:
        return ""
    logs = np.log10(errors)
    low, high = math.floor(logs.min()), math.floor(logs.max()) + 1
    decade = max(_BINS // (high - low), 1)  # bars
    counts, _ = np.histogram(logs, bins=min(decade * (high - low), 4 * _BINS), range=(low, high))
    each = len(counts) / (high - low)
    ticks = [((power - low) * each, f"1e{power}") for power in _some(low, high)]
    said = f"absolute errors from {number_format.number(errors.min())} to {number_format.number(errors.max())}"
    return _bars(counts, len(sample.errors) - len(errors), ticks, f"Histogram of {said}")


def ulp_histogram(sample: Sample) -> str:
    """How many elements are how many units in the last place apart, both on log scales. Empty if none are."""
    if sample.ulps is None:
        return ""
    distances = _positive(sample.ulps)
    if not distances.size:
        return ""
    counts = np.bincount(np.frexp(distances)[1] - 1)  # the power of two below
    ticks = [(float(power), str(2**power) if power < 14 else f"2^{power}") for power in _some(0, len(counts))]
    said = f"Histogram of ULP distances up to {number_format.count(float(distances.max()))}"
    return _bars(counts, len(sample.ulps) - len(distances), ticks, said)


def _positive(values: typing.Any) -> typing.Any:
    values = np.asarray(values).astype(np.float64)
    values = values[np.isfinite(values)]
    return values[values > 0]


def _some(low: int, high: int) -> range:
    """Some five whole numbers from ``low`` to ``high``."""
    return range(low, high + 1, max(math.ceil((high - low) / 5), 1))


def _bars(counts: typing.Any, zeros: int, ticks: Ticks, said: str) -> str:
    left, zero, base, height, width = 34, 38, 84, 72, 172
    start = 68 if zeros else 42
    top = math.log10(max(counts.max(), zeros)) + 0.4  # a single element is seen, too

    def bar(x: float, wide: float, count: int) -> str:
        high = (math.log10(count) + 0.4) / top * height
        return f"M{x:.1f} {base}v-{high:.1f}h{wide:.1f}v{high:.1f}z"

    step = width / len(counts)
    thick = max(step - 1, step * 0.7)
    shapes = [bar(start + place * step, thick, int(count)) for place, count in enumerate(counts) if count]
    parts = []
    for power in range(math.floor(top - 0.4) + 1):
        y = base - (power + 0.4) / top * height
        parts.append(_grid(f"M{left} {y:.1f}H{start + width}") + _text(left - 3, y + 3, _short(10**power), "end"))
    parts.append(f'<path fill="{BLUE}" d="{"".join(shapes)}"/>')
    if zeros:
        parts.append(f'<path fill="{BLUE}" fill-opacity=".55" d="{bar(zero, 12, zeros)}"/>{_text(zero + 6, 97, "0")}')
    parts.append(_axis(f"M{left} {base}H{start + width}"))
    parts += [_text(start + place * step, 97, label) for place, label in ticks]
    return _svg(258, 102, said, "".join(parts))


def _short(count: int) -> str:
    return f"{count // 1000}k" if count >= 1000 else str(count)


def growth(parts: typing.Sequence[Part], name: str) -> str:
    """The largest absolute error of each part, in order: circles pass, crosses do not, the first of them is named.
    Above all is what has no error (missing, NaN, another shape), below all what has none."""
    errors = [_largest_error(part) for part in parts]
    measured = [error for error in errors if error is not None and error > 0]
    low = math.floor(math.log10(min(measured))) if measured else -1
    high = math.floor(math.log10(max(measured))) + 1 if measured else 0
    left, right, top, base, zero = 44, 552, 30, 140, 158
    apart = (right - left) / max(len(parts) - 1, 1)

    def height(error: float | None) -> float:
        if error is None:
            return top - 10
        return base - (math.log10(error) - low) / (high - low) * (base - top) if error else zero

    shown = _strongest(parts, errors)
    circles, crosses, line, before = [], [], [], None
    for place in shown:
        x, y, passed = left + place * apart, height(errors[place]), parts[place].passed
        if passed and errors[place] is None:
            continue  # equal text, and the like
        circles += [f"M{x - 3:.1f} {y:.1f}a3 3 0 1 0 6 0a3 3 0 1 0-6 0"] if passed else []
        crosses += [] if passed else [f"M{x - 3.5:.1f} {y - 3.5:.1f}l7 7m0-7l-7 7"]
        if errors[place]:
            line.append(f"{'L' if before else 'M'}{x:.1f} {y:.1f}")
        before = errors[place]
    drawn = [_grid(f"M{left} {height(10.0**power):.1f}H{right}") for power in _some(low, high)]
    drawn += [_text(left - 8, height(10.0**power) + 3, f"1e{power}", "end") for power in _some(low, high)]
    drawn.append(_grid(f"M{left} {zero}H{right}") + _text(left - 8, zero + 3, "0", "end"))
    first = next((place for place, part in enumerate(parts) if not part.passed), None)
    if first is not None:
        x = left + first * apart
        anchor = "start" if x < 200 else "end" if x > 400 else "middle"
        drawn.append(f'<path stroke="{RED}" stroke-dasharray="4 3" d="M{x:.1f} 14V{zero}"/>')
        drawn.append(_text(x, 10, f"first: {number_format.path(parts[first].path, 40)}", anchor))
    drawn.append(f'<path fill="none" stroke="{BLUE}" stroke-opacity=".5" d="{"".join(line)}"/>')
    drawn.append(f'<path fill="{BLUE}" d="{"".join(circles)}"/>')
    drawn.append(f'<path fill="none" stroke="{RED}" stroke-width="2" d="{"".join(crosses)}"/>')
    drawn.append(_text(left, 174, "1") + _text(right, 174, f"{len(parts):,}"))
    failed = sum(not part.passed for part in parts)
    said = f"Largest absolute error of {len(parts):,} parts in order, against {name}; {failed:,} differ"
    return _svg(572, 178, said, "".join(drawn))


def _largest_error(part: Part) -> float | None:
    """``None`` if there is no number, or one that does not tell why it failed."""
    found = part.statistics
    if found is None or found.max_absolute_error is None or found.first_mismatch is not None:
        return None
    error = float(found.max_absolute_error.error)
    return error if math.isfinite(error) else None


def _strongest(parts: typing.Sequence[Part], errors: list[float | None]) -> list[int]:
    """Places of at most ``POINTS`` parts: of neighbours one that failed, or else the one with the largest error."""
    group = -(-len(parts) // POINTS)

    def strength(place: int) -> tuple[bool, float]:
        error = errors[place]
        return not parts[place].passed, math.inf if error is None else error

    return [max(range(at, min(at + group, len(parts))), key=strength) for at in range(0, len(parts), group)]


def heat_map(picture: typing.Any) -> str:
    """Where the errors are, as an image: the stronger the larger, on a log scale; violet is NaN or infinity."""
    picture = np.asarray(picture).astype(np.float64)
    finite = np.isfinite(picture)
    picture[~finite] = 0
    levels = np.where(finite, 0, _LEVELS + 1).astype(np.uint8)
    there = picture > 0
    if there.any():
        logs = np.log10(picture[there])
        high = logs.max()
        low = min(max(logs.min(), high - _DECADES), high - 1)  # noise of one size looks like it
        levels[there] = np.where(logs < low, 0, 1 + np.round((logs - low) / (high - low) * (_LEVELS - 1)))
    height, width = picture.shape
    scale = max(1, 128 // max(height, width))
    data = base64.b64encode(_png(levels)).decode("ascii")
    said = f"Heat map of the absolute errors, {height} by {width}, at most {number_format.number(float(picture.max()))}"
    return (
        f'<img src="data:image/png;base64,{data}" width="{width * scale}" height="{height * scale}" '
        f'alt="{html.escape(said)}" title="{html.escape(said)}"/>'
    )


def _png(levels: typing.Any) -> bytes:
    """Four bits a pixel: 0 is transparent, the others are ever less so; the last is the colour of NaN."""
    height, width = levels.shape
    even = np.zeros((height, width + width % 2), np.uint8)
    even[:, :width] = levels
    rows = np.zeros((height, 1 + even.shape[1] // 2), np.uint8)  # each begins with a byte that says: not filtered
    rows[:, 1:] = even[:, ::2] << 4 | even[:, 1::2]
    palette = bytes.fromhex(RED[1:]) * (_LEVELS + 1) + bytes.fromhex(VIOLET[1:])
    opacity = bytes([0, *(30 + 225 * level // (_LEVELS - 1) for level in range(_LEVELS)), 255])
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 4, 3, 0, 0, 0)),
        (b"PLTE", palette),
        (b"tRNS", opacity),
        (b"IDAT", zlib.compress(rows.tobytes(), 9)),
        (b"IEND", b""),
    ]
    body = (
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)


def _svg(width: int, height: int, said: str, content: str) -> str:
    said = html.escape(said)
    return (
        f'<svg role="img" aria-label="{said}" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'font-size="10" fill="currentColor"><title>{said}</title> {content}</svg>'
    )


def _text(x: float, y: float, text: str, anchor: str = "middle") -> str:
    # The blank counts where SVG is not shown, in a notebook that is not trusted: there the texts stand in a row.
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{html.escape(text)}</text> '


def _axis(path: str) -> str:
    return f'<path stroke="currentColor" d="{path}"/>'


def _grid(path: str) -> str:
    return f'<path stroke="currentColor" stroke-opacity=".2" d="{path}"/>'
