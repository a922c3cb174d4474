"""The figures of a comparison, as SVG, PNG and with matplotlib."""

from __future__ import annotations

import base64
import re
import struct
import sys
import xml.etree.ElementTree as ET
import zlib
from typing import Any

import numpy as np
import pytest

from tests.support.comparisons import IMAGES, layers, only, random
from tfkernels.comparison import compare
from tfkernels.comparison.render import charts, draw_svg
from tfkernels.comparison.render.charts import Chart, HeatMap


def drawn(chart: Chart) -> ET.Element:
    root = ET.fromstring(draw_svg.draw(chart))  # noqa: S314 (our own)
    assert root.get("role") == "img"
    assert root.get("aria-label") == root.findtext("title")
    return root


def test_histograms_say_what_they_show() -> None:
    errors, ulps, _ = charts.of_part(only(IMAGES, IMAGES + np.float32(1e-3)))
    assert isinstance(errors, Chart)
    assert isinstance(ulps, Chart)
    assert "absolute errors from 0.00" in (drawn(errors).get("aria-label") or "")
    assert "ULP distances from " in (drawn(ulps).get("aria-label") or "")
    assert charts.of_part(only(IMAGES, IMAGES)) == [None, None, None]


def test_few_values_are_bars_with_whole_counts() -> None:
    for error in (np.float32(0.5), np.float32(2**-20)):
        few = np.array([1, 2, 3, 4], "float32")
        _, ulps = charts.of_part(only(few, few + error * np.array([0, 0, 1, 1], "float32")))
        assert isinstance(ulps, Chart)
        bars = ulps.marks[0]
        assert bars.size <= (ulps.x.high - ulps.x.low) / 5
        assert ulps.x.low <= min(bars.x) < max(bars.x) <= ulps.x.high
        assert [label for _, label in ulps.y.ticks] == ["1", "2"]
    errors, *_ = charts.of_part(only(np.zeros(2345), np.repeat([1.0, 0.2], [2000, 345])))
    assert isinstance(errors, Chart)
    assert [label for _, label in errors.y.ticks] == ["1", "10", "100", "1,000", "2,000"]


def test_figure_is_readable_on_every_ground() -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    noise = IMAGES[0] + np.float32(1e-3) * random.normal(size=IMAGES[0].shape).astype("float32")
    for found in (layers(30, (4, 7)), compare(IMAGES[0], noise), compare(1, "text")):
        canvas = FigureCanvasAgg(found.plot())
        canvas.draw()
        pixels = np.asarray(canvas.buffer_rgba()).reshape(-1, 4).astype(int)
        opaque = pixels[pixels[:, 3] > 127, :3]
        assert (pixels[:, 3] == 0).mean() > 0.4
        assert len(opaque) > 1000
        assert opaque.max(axis=1).min() > 100, "nothing is black"
        assert opaque.min(axis=1).max() < 190, "nothing is white"


def test_errors_beyond_float64_are_left_out() -> None:
    wide = np.array([1, 2], np.longdouble) * (np.finfo(np.longdouble).max / 4)
    compare(wide, wide * 0)._repr_html_()


def test_growth_marks_failures_and_names_the_first() -> None:
    found = drawn(charts.growth(layers(10, (4, 7))))
    assert "first: layer_4" in [text.text for text in found.iter("text")]
    marks = [path.get("d") or "" for path in found.iter("path")]
    assert sum(mark.count("l7 7m0-7l-7 7") for mark in marks) == 2
    assert sum(mark.count("a3 3 0 1 0 6 0") for mark in marks) == 8
    assert "10 parts in order, against tf2; 2 differ" in (found.get("aria-label") or "")


def test_growth_of_many_parts_keeps_every_kind() -> None:
    many = draw_svg.draw(charts.growth(layers(3_000, (1_801,))))
    assert len(many) < 20_000
    assert "l7 7m0-7l-7 7" in many
    drawn(charts.growth(compare(["a", "b", None], ["a", "c", None])))  # nothing has an error


def pixels(errors: Any) -> Any:
    """The levels in the PNG of an image's errors."""
    image, wrong = np.zeros_like(errors), errors
    heat = charts.of_part(only(image, wrong))[-1]
    assert isinstance(heat, HeatMap)
    match = re.search('base64,([^"]+)"', draw_svg.draw(heat))
    assert match
    data = base64.b64decode(match[1])
    width, height, depth, kind = struct.unpack(">IIBB", data[16:26])
    assert (depth, kind) == (8, 3)
    rows = np.frombuffer(zlib.decompress(data[data.index(b"IDAT") + 4 :]), np.uint8).reshape(height, 1 + width)
    assert not rows[:, 0].any()  # no row is filtered
    return rows[:, 1:]


def test_heat_map_is_strong_where_the_errors_are() -> None:
    picture = np.zeros((9, 13), "float32")
    picture[2, 3], picture[4, 5], picture[6, 7] = 1.0, 1e-3, np.nan
    levels = pixels(picture)
    assert levels.shape == (9, 13)
    assert levels[2, 3] == 14
    assert levels[4, 5] == 1
    assert levels[6, 7] == 15
    assert np.count_nonzero(levels) == 3
    for edge in (np.full((8, 8), np.inf), np.full((8, 8), 1e-45, "float32")):
        pixels(edge)


def test_figure_without_matplotlib_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "tfkernels.comparison.render.draw_matplotlib", raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match="%pip install matplotlib"):
        layers(3).plot()
