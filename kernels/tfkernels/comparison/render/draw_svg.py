"""Charts as SVG, and a heat map as PNG, to stand in a page: no scripts, no fonts, no colours of a theme.

Text and axes have the colour of the text around them.
"""

from __future__ import annotations

import base64
import html
import math
import struct
import zlib
from typing import Any, Callable

import numpy as np

from tfkernels.comparison.render.charts import BARS, CIRCLES, CROSSES, LINE, RED, VIOLET, Drawing, HeatMap, Mark

_LEVELS = 14
"""Opacities of a heat map."""

Scale = Callable[[float], float]


def draw(chart: Drawing) -> str:
    """An ``<svg>``, or an ``<img>`` of a heat map."""
    if isinstance(chart, HeatMap):
        return _heat_map(chart)
    width, height = chart.size
    left, right, top, base = 44, width - 20, 18, height - 18

    def across(x: float) -> float:
        return left + (x - chart.x.low) / (chart.x.high - chart.x.low) * (right - left)

    def up(y: float) -> float:
        return base - (y - chart.y.low) / (chart.y.high - chart.y.low) * (base - top)

    drawn = []
    for y, label in chart.y.ticks:
        drawn.append(f'<path stroke="currentColor" stroke-opacity=".2" d="M{left} {up(y):.1f}H{right}"/>')
        drawn.append(_text(left - 6, up(y) + 3, label, "end"))
    drawn += [_mark(mark, across, up, base) for mark in chart.marks]
    drawn.append(f'<path stroke="currentColor" d="M{left} {base}H{right}"/>')
    drawn += [_text(across(x), height - 5, label) for x, label in chart.x.ticks]
    description = html.escape(chart.description)
    return (
        f'<svg role="img" aria-label="{description}" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'font-size="10" fill="currentColor"><title>{description}</title> {"".join(drawn)}</svg>'
    )


def _mark(mark: Mark, across: Scale, up: Scale, base: int) -> str:
    points = [(across(x), up(y)) for x, y in zip(mark.x, mark.y)]
    if mark.kind == BARS:
        half = (across(mark.size) - across(0)) / 2
        bars = (f"M{x - half:.1f} {base}V{y:.1f}h{2 * half:.1f}V{base}z" for x, y in points if y < base)
        return f'<path fill="{mark.colour}" d="{"".join(bars)}"/>'
    if mark.kind == LINE:
        runs = "".join("M" if math.isnan(y) else f"{x:.1f} {y:.1f}L" for x, y in points).split("M")
        path = "".join(f"M{run[:-1]}" for run in runs if run)
        return f'<path fill="none" stroke="{mark.colour}" stroke-opacity=".5" d="{path}"/>'
    if mark.kind in (CIRCLES, CROSSES):
        shape = "m-3.5-3.5l7 7m0-7l-7 7" if mark.kind == CROSSES else "m-3 0a3 3 0 1 0 6 0a3 3 0 1 0-6 0"
        path = "".join(f"M{x:.1f} {y:.1f}{shape}" for x, y in points)
        fill = mark.colour if mark.kind == CIRCLES else "none"
        return f'<path fill="{fill}" stroke="{mark.colour}" stroke-width="2" d="{path}"/>'
    x = across(mark.x[0])
    anchor = "start" if x < 200 else "end" if x > 400 else "middle"
    line = f'<path stroke="{mark.colour}" stroke-dasharray="4 3" d="M{x:.1f} 14V{base}"/>'
    return line + _text(x, 10, mark.label, anchor)


def _text(x: float, y: float, text: str, anchor: str = "middle") -> str:
    # The blank counts where SVG is not shown, in a notebook that is not trusted: there the texts stand in a row.
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{html.escape(text)}</text> '


def _heat_map(heat: HeatMap) -> str:
    """The stronger the larger the error; violet is NaN or infinity."""
    with np.errstate(invalid="ignore"):
        share = (heat.exponents - heat.low) / (heat.high - heat.low)
        levels = np.where(share >= 0, 1 + np.round(np.nan_to_num(share) * (_LEVELS - 1)), 0)
    levels = np.where(heat.lost, _LEVELS + 1, levels).astype(np.uint8)
    height, width = levels.shape
    scale = max(1, 128 // max(height, width))
    data = base64.b64encode(_png(levels)).decode("ascii")
    description = html.escape(heat.description)
    return (
        f'<img src="data:image/png;base64,{data}" width="{width * scale}" height="{height * scale}" '
        f'alt="{description}" title="{description}"/>'
    )


def _png(levels: Any) -> bytes:
    """A byte for each pixel: 0 is transparent, the others are ever less so; the last is the colour of NaN."""
    height, width = levels.shape
    rows = np.pad(levels, ((0, 0), (1, 0)), "constant")  # each begins with a byte that says: not filtered
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
        (b"PLTE", bytes.fromhex(RED[1:]) * (_LEVELS + 1) + bytes.fromhex(VIOLET[1:])),
        (b"tRNS", bytes([0, *(30 + 225 * level // (_LEVELS - 1) for level in range(_LEVELS)), 255])),
        (b"IDAT", zlib.compress(rows.tobytes(), 9)),
        (b"IEND", b""),
    )
    body = (
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)
