"""A comparison as a matplotlib figure. Nothing else imports matplotlib, and pyplot is left alone."""

from __future__ import annotations

import functools
import io
import textwrap
from typing import Any, Callable

import numpy as np

from tfkernels.comparison.render import charts, number_format
from tfkernels.comparison.render.charts import BARS, CIRCLES, CROSSES, LINE, RED, SIDES, VIOLET, Drawing, HeatMap
from tfkernels.comparison.render.number_format import line
from tfkernels.comparison.render.part_details import facts, kinds
from tfkernels.comparison.result import Findings, Part, Sample
from tfkernels.comparison.tolerances import EXACT

try:
    import matplotlib
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.figure import Figure
except ImportError as error:
    raise ImportError("plot() needs matplotlib in this kernel. Install it: %pip install matplotlib") from error

Axes = Any
Panel = Callable[[Axes], None]

_GREY = "#7f7f7f"
_STYLE = {
    **dict.fromkeys(("figure.facecolor", "axes.facecolor", "legend.facecolor"), "none"),
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), _GREY),
    **dict.fromkeys(("legend.edgecolor", "grid.color"), _GREY),
}
"""A figure does not know the theme of its notebook. On no ground, grey is read in the light and in the dark."""

_LARGEST = 1e300
"""Axes of twice the largest float64 overflow."""


class Plot(Figure):  # type: ignore[misc,unused-ignore]
    """A figure that a notebook shows without pyplot, and once."""

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        self.savefig(file, format="png", facecolor="auto")
        return file.getvalue()


@matplotlib.rc_context(_STYLE)
def draw(findings: Findings, path: str | None = None, side: str | None = None) -> Plot:
    """The figure of one part, as ``Comparison.plot`` describes it."""
    if side is not None:
        findings = findings.against(side)
    part = _chosen(findings, path)
    panels = _panels(part, findings.baseline)
    growing = path is None and len(findings.against(part.side).parts) > 2
    columns = 1 if len(panels) == 1 and not growing else 2
    rows = -(-len(panels) // columns)
    figure = Plot(figsize=(5.0 * columns, 3.4 * rows + (3.6 if growing else 0) + 0.4), layout="constrained")
    grid = figure.add_gridspec(rows + growing, columns)
    if growing:
        _chart(figure.add_subplot(grid[0, :]), charts.growth(findings, names=True))
    for place, panel in enumerate(panels):
        axes = figure.add_subplot(grid[growing + place // columns, place % columns])
        panel(axes)
        if growing:
            _title(axes, f"{number_format.path(part.path, 32)}: {axes.get_title()}")
    others = ", ".join(line(side, 24) for side in (findings.sides[:4] if growing else [part.side]))
    whole = "" if growing else f"{number_format.path(part.path, 60)}: "
    figure.suptitle(_plain(f"{whole}{line(findings.baseline, 24)} and {others}"))
    return figure


def _chosen(findings: Findings, path: str | None) -> Part:
    parts = [part for part in findings.parts if path in (None, part.path)]
    if not parts:
        known = ", ".join(number_format.path(part.path, 60) for part in findings.parts[:10])
        raise KeyError(f"there is no part {path!r} to plot" + (f"; there are: {known}" if known else ""))

    def worst(part: Part) -> float:
        extreme = part.statistics and part.statistics.max_relative_error
        return extreme.error if extreme else -1.0

    return next((part for part in parts if not part.passed), max(parts, key=worst))


def _panels(part: Part, baseline: str) -> list[Panel]:
    found = part.statistics
    if found is None or found.sample is None:
        lines = [f"{part.verdict}: {line(part.reason, 200) or kinds(part)}"]
        lines += [f"{label}: {fact}" for label, fact in facts(part, baseline)]
        return [lambda axes: _say(axes, "\n".join(textwrap.fill(text, 56) for text in lines))]
    sample = found.sample
    none = "no differences" if np.isfinite(sample.errors).any() else "no finite pairs of values"
    panels: list[Panel] = [functools.partial(_chart, chart=chart, otherwise=none) for chart in charts.of_part(part)]
    panels.insert(1, lambda axes: _values(axes, sample, part, baseline))
    return panels


def _chart(axes: Axes, chart: Drawing | None, otherwise: str = "") -> None:
    if chart is None or (isinstance(chart, HeatMap) and chart.lost.all()):
        _say(axes, otherwise if chart is None else "NaN or infinity only")
        return
    _title(axes, chart.title)
    if isinstance(chart, HeatMap):
        shown = np.ma.masked_less(np.ma.masked_invalid(chart.exponents), chart.low)
        reds = LinearSegmentedColormap.from_list("errors", [f"{RED}1e", RED])  # as in a page
        image = axes.imshow(shown, cmap=reds, vmin=chart.low, vmax=chart.high, interpolation="nearest")
        axes.figure.colorbar(image, ax=axes, label="log10 of the absolute error")
        if chart.lost.any():
            axes.plot(*np.nonzero(chart.lost)[::-1], "s", color=VIOLET, ms=3)
        return
    for mark in chart.marks:
        if mark.kind == BARS:
            axes.bar(mark.x, mark.y, mark.size, color=mark.colour)
        elif mark.kind == LINE:
            axes.plot(mark.x, mark.y, color=mark.colour, lw=1, alpha=0.6, label=_plain(mark.label))
        elif mark.kind in (CIRCLES, CROSSES):
            axes.plot(mark.x, mark.y, "x" if mark.kind == CROSSES else "o", color=mark.colour, ms=5)
        else:
            axes.axvline(mark.x[0], color=mark.colour, ls="--", lw=1, label=_plain(mark.label))
    axes.set_xlim(chart.x.low, chart.x.high)
    axes.set_ylim(chart.y.low, chart.y.high)
    axes.set_yticks([y for y, _ in chart.y.ticks])
    axes.set_yticklabels([label for _, label in chart.y.ticks])
    axes.set_xticks([x for x, _ in chart.x.ticks])
    slanting = {"rotation": 45, "ha": "right"} if len(chart.x.ticks) > 7 else {}
    axes.set_xticklabels([_plain(label) for _, label in chart.x.ticks], fontsize="small", **slanting)
    axes.grid(axis="y", alpha=0.3)
    if axes.get_legend_handles_labels()[1]:
        axes.legend(fontsize="small")


def _values(axes: Axes, sample: Sample, part: Part, baseline: str) -> None:
    magnitude = "magnitude " if np.iscomplexobj(sample.baseline) else ""  # both have one dtype
    with np.errstate(over="ignore"):  # of longdouble
        a, b = (np.abs(side) if magnitude else side for side in (sample.baseline, sample.other))
        a, b = a.astype(np.float64), b.astype(np.float64)
    finite = np.isfinite(a) & np.isfinite(b)
    finite[finite] = np.maximum(np.abs(a[finite]), np.abs(b[finite])) < _LARGEST
    _title(axes, f"{magnitude or 'values '}side by side")
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
    for which, marker, colour, label in ((~outside, ".", SIDES[0], "within"), (outside, "x", RED, "outside")):
        if (finite & which).any():
            axes.plot(a[finite & which], b[finite & which], marker, color=colour, ms=4, label=label, rasterized=True)
    axes.set_xlabel(_plain(f"{magnitude}{line(baseline, 24)}"))
    axes.set_ylabel(_plain(f"{magnitude}{line(part.side, 24)}"))
    axes.legend(fontsize="small")


def _title(axes: Axes, title: str) -> None:
    axes.set_title(_plain(textwrap.fill(title, 48)), fontsize="medium")


def _say(axes: Axes, text: str) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.text(0.5, 0.5, _plain(text), ha="center", va="center", fontsize="small", transform=axes.transAxes)


def _plain(text: str) -> str:
    """A dollar sign would begin a formula."""
    return text.replace("$", r"\$")
