"""A comparison as a matplotlib figure. Nothing else imports matplotlib, and pyplot is left alone."""

from __future__ import annotations

import io
import math
import textwrap
import typing

import numpy as np

from tfkernels.comparison.render import number_format
from tfkernels.comparison.render.wording import facts, kinds
from tfkernels.comparison.result import Findings, Part, Sample
from tfkernels.comparison.tolerances import EXACT

try:
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator
except ImportError as error:
    raise ImportError(
        "plot() needs matplotlib in this kernel; install it there with: !pip install matplotlib"
    ) from error

Axes = typing.Any
Panel = typing.Callable[[Axes], None]

_BINS = 40
_LARGEST = 1e300
"""Axes of twice the largest float64 overflow."""
_NAMED = 24
"""So many parts have their names on the axis."""


class Plot(Figure):  # type: ignore[misc,unused-ignore]
    """A figure that a notebook shows without pyplot, and once."""

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        self.savefig(file, format="png")
        return file.getvalue()


def draw(comparison: Findings, path: str | None = None, side: str | None = None) -> Plot:
    """The figure of one part; without ``path``, of the first that did not pass, below the growth of the errors along
    the order if there are more than two parts. Raises ``KeyError`` for an unknown path or side."""
    if side is not None:
        comparison = comparison.against(side)
    part = _chosen(comparison, path)
    panels = _panels(part, comparison.baseline)
    growing = path is None and len(comparison.against(part.side).parts) > 2
    columns = 1 if len(panels) == 1 and not growing else 2
    rows = -(-len(panels) // columns)
    figure = Plot(figsize=(5.0 * columns, 3.4 * rows + (3.6 if growing else 0) + 0.4), layout="constrained")
    grid = figure.add_gridspec(rows + growing, columns)
    if growing:
        _growth(figure.add_subplot(grid[0, :]), comparison)
    for place, panel in enumerate(panels):
        axes = figure.add_subplot(grid[growing + place // columns, place % columns])
        panel(axes)
        if growing:
            axes.set_title(_plain(f"{number_format.path(part.path, 32)}: ") + axes.get_title(), fontsize="medium")
    others = _name(part.side) if not growing else ", ".join(map(_name, comparison.sides[:4]))
    whole = "" if growing else f"{number_format.path(part.path, 60)}: "
    figure.suptitle(_plain(f"{whole}{_name(comparison.baseline)} and {others}"))
    return figure


def _chosen(comparison: Findings, path: str | None) -> Part:
    parts = [part for part in comparison.parts if path in (None, part.path)]
    if not parts:
        known = ", ".join(number_format.path(part.path, 60) for part in comparison.parts[:10])
        raise KeyError(f"there is no part {path!r} to plot" + (f"; there are: {known}" if known else ""))

    def worst(part: Part) -> float:
        extreme = part.statistics and part.statistics.max_relative_error
        return extreme.error if extreme else -1.0

    return next((part for part in parts if not part.passed), max(parts, key=worst))


def _panels(part: Part, baseline: str) -> list[Panel]:
    found = part.statistics
    if found is None or found.sample is None:
        told = facts(part, baseline)
        lines = [
            f"{part.verdict}: {number_format.line(part.reason, 200) or kinds(part)}",
            *(f"{a}: {b}" for a, b in told),
        ]
        return [lambda axes: _say(axes, "\n".join(textwrap.fill(line, 56) for line in lines))]
    sample, picture = found.sample, found.picture
    panels: list[Panel] = [lambda axes: _errors(axes, sample), lambda axes: _values(axes, sample, part, baseline)]
    if sample.ulps is not None:
        panels.append(lambda axes: _ulps(axes, sample))
    if picture is not None:
        panels.append(lambda axes: _picture(axes, np.asarray(picture).astype(np.float64)))
    return panels


def _errors(axes: Axes, sample: Sample) -> None:
    axes.set_title("absolute errors")
    _histogram(axes, sample.errors, np.log10, _BINS, "log10 of the absolute error")


def _ulps(axes: Axes, sample: Sample) -> None:
    axes.set_title("distances in units in the last place")
    _histogram(axes, sample.ulps, np.log2, 0, "log2 of the ULP distance")


def _histogram(axes: Axes, values: typing.Any, log: typing.Any, bars: int, label: str) -> None:
    values = np.asarray(values).astype(np.float64)
    values = values[np.isfinite(values)]
    above = values[values > 0]
    if not above.size:
        _say(axes, "no differences" if values.size else "no finite pairs of values")
        return
    logs = log(above)
    low, high = math.floor(logs.min()), math.floor(logs.max()) + 1
    axes.hist(logs, bins=(high - low) * max(bars // (high - low), 1), range=(low, high), color="C0")
    axes.set_yscale("log")  # one outlier among thousands is seen
    axes.set_ylim(bottom=0.5)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.set_xlabel(label)
    zeros = values.size - above.size
    axes.set_ylabel(f"elements ({zeros:,} more are equal)" if zeros else "elements")


def _values(axes: Axes, sample: Sample, part: Part, baseline: str) -> None:
    a, b = (_real(values) for values in (sample.baseline, sample.other))
    finite = np.isfinite(a) & np.isfinite(b)
    finite[finite] = np.maximum(np.abs(a[finite]), np.abs(b[finite])) < _LARGEST
    magnitude = "magnitude " if np.iscomplexobj(sample.baseline) or np.iscomplexobj(sample.other) else ""
    axes.set_title(f"{magnitude or 'values '}side by side")
    if not finite.any():
        _say(axes, "no finite pairs of values")
        return
    low, high = min(a[finite].min(), b[finite].min()), max(a[finite].max(), b[finite].max())
    ends = np.linspace(low, high, 201)  # the band is not straight about zero
    tolerance = part.tolerance or EXACT
    with np.errstate(over="ignore", invalid="ignore"):
        apart = np.abs(sample.baseline - sample.other) if magnitude else np.abs(a - b)
        outside = ~(apart <= tolerance.atol + tolerance.rtol * np.maximum(np.abs(a), np.abs(b)))
    if tolerance != EXACT:
        band = tolerance.atol + tolerance.rtol * np.abs(ends)
        axes.fill_between(ends, ends - band, ends + band, color="C2", alpha=0.3, lw=0, label="tolerance")
    axes.plot(ends, ends, color="0.5", lw=1, label="equal")
    for which, marker, color, label in ((~outside, ".", "C0", "within"), (outside, "x", "C3", "outside")):
        if (finite & which).any():
            axes.plot(a[finite & which], b[finite & which], marker, color=color, ms=4, label=label, rasterized=True)
    axes.set_xlabel(_plain(f"{magnitude}{_name(baseline)}"))
    axes.set_ylabel(_plain(f"{magnitude}{_name(part.side)}"))
    axes.legend(fontsize="small")


def _real(values: typing.Any) -> typing.Any:
    values = np.asarray(values)
    return np.abs(values).astype(np.float64) if np.iscomplexobj(values) else values.astype(np.float64)


def _picture(axes: Axes, picture: typing.Any) -> None:
    axes.set_title("where the errors are")
    lost = ~np.isfinite(picture)
    above = np.where(lost, 0, picture) > 0
    if not above.any():
        _say(axes, "NaN or infinity only" if lost.any() else "no differences")
        return
    largest = picture[above].max()
    smallest = max(picture[above].min(), largest * 1e-8)
    norm = LogNorm(smallest, largest) if 10 * smallest < largest else None
    there = np.ma.masked_array(np.where(lost, 0, picture), ~above)
    image = axes.imshow(there, norm=norm, cmap="magma_r", interpolation="nearest")
    axes.figure.colorbar(image, ax=axes, label="absolute error")
    if lost.any():
        axes.plot(*np.nonzero(lost)[::-1], "s", color="C9", ms=3, label="NaN or infinity")
        axes.legend(fontsize="small")


def _growth(axes: Axes, comparison: Findings) -> None:
    """The largest absolute error of each part; at the lower edge what has none, at the upper what has no number."""
    edges = axes.get_xaxis_transform()
    longest: tuple[Part, ...] = ()
    for number, side in enumerate(comparison.sides):
        parts = comparison.against(side).parts
        longest = max(longest, parts, key=len)
        color = f"C{number % 10 if number < 3 else (number + 1) % 10}"  # C3 is the red of what failed
        errors = np.array([_error(part) for part in parts], dtype=np.float64)
        failed = np.array([not part.passed for part in parts], dtype=bool)
        places = np.arange(1, len(parts) + 1)
        above = errors > 0
        axes.plot(places[above], errors[above], color=color, lw=1, alpha=0.6, label=_plain(_name(side)))
        for which, marker, shade in ((~failed, "o", color), (failed, "x", "C3")):
            axes.plot(places[above & which], errors[above & which], marker, color=shade, ms=5)
            none = which & (errors == 0)
            axes.plot(places[none], np.full(none.sum(), 0.02), marker, color=shade, ms=4, transform=edges)
        lost = failed & (errors < 0)
        axes.plot(places[lost], np.full(lost.sum(), 0.98), "x", color="C3", ms=5, transform=edges)
    first = next((place for place, part in enumerate(longest) if not part.passed), None)
    if first is not None and len(comparison.sides) == 1:
        name = _plain(number_format.path(longest[first].path, 40))
        axes.axvline(first + 1, color="C3", ls="--", lw=1, label=f"first difference: {name}")
    axes.set_yscale("log")
    axes.set_xlim(0.5, len(longest) + 0.5)
    axes.set_title("largest absolute error along the order (x: does not pass)")
    axes.legend(fontsize="small")
    if len(longest) <= _NAMED:
        names = [_plain(number_format.path(part.path, 24)) for part in longest]
        axes.set_xticks(np.arange(1, len(longest) + 1))
        axes.set_xticklabels(names, rotation=45, ha="right", fontsize="small")


def _error(part: Part) -> float:
    """Negative if there is no number, or one that does not tell why it failed."""
    found = part.statistics
    if found is None or found.first_mismatch is not None or found.max_absolute_error is None:
        return -1.0
    error = float(found.max_absolute_error.error)
    return error if math.isfinite(error) else -1.0


def _say(axes: Axes, text: str) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.text(0.5, 0.5, _plain(text), ha="center", va="center", fontsize="small", transform=axes.transAxes)


def _name(name: str) -> str:
    return number_format.line(name, 24)


def _plain(text: str) -> str:
    """A dollar sign would begin a formula."""
    return text.replace("$", r"\$")
