"""The figures of a comparison, as SVG and PNG here and with matplotlib in the kernels."""

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

from tests.support.comparisons import IMAGES, assert_harmless, layers
from tfkernels.client.kernel import Kernel
from tfkernels.comparison import compare
from tfkernels.comparison.render import charts, svg
from tfkernels.comparison.render.charts import Chart


def drawn(chart: Chart | None) -> ET.Element:
    assert chart is not None
    root = ET.fromstring(svg.draw(chart, 572, 178))  # noqa: S314 (our own)
    assert root.get("role") == "img"
    assert root.get("aria-label") == root.findtext("title")
    return root


def test_histograms_say_what_they_show() -> None:
    sample = compare(IMAGES, IMAGES + np.float32(1e-3)).parts[0].statistics
    assert sample is not None
    assert sample.sample is not None
    assert "absolute errors from 0.00" in (drawn(charts.error_histogram(sample.sample)).get("aria-label") or "")
    assert "ULP distances from " in (drawn(charts.ulp_histogram(sample.sample)).get("aria-label") or "")
    same = compare(IMAGES, IMAGES).parts[0].statistics
    assert same is not None
    assert same.sample is not None
    assert charts.error_histogram(same.sample) is charts.ulp_histogram(same.sample) is None


def test_growth_marks_what_failed_by_shape_and_names_the_first() -> None:
    found = drawn(charts.growth(layers(10, (4, 7))))
    assert "first: layer_4" in [text.text for text in found.iter("text")]
    marks = [path.get("d") or "" for path in found.iter("path")]
    assert sum(mark.count("l7 7m0-7l-7 7") for mark in marks) == 2
    assert sum(mark.count("a3 3 0 1 0 6 0") for mark in marks) == 8
    assert "10 parts in order, against tf2; 2 differ" in (found.get("aria-label") or "")


def test_growth_of_many_parts_keeps_every_kind() -> None:
    many = svg.draw(charts.growth(layers(10_000, (6_001,))), 572, 178)
    assert len(many) < 20_000
    assert "l7 7m0-7l-7 7" in many
    drawn(charts.growth(compare(["a", "b", None], ["a", "c", None])))  # nothing has an error


def pixels(picture: Any) -> Any:
    """The levels in a heat map's PNG."""
    heat = charts.heat_map(picture)
    assert heat is not None
    match = re.search('base64,([^"]+)"', svg.draw_heat_map(heat))
    assert match
    data = base64.b64decode(match[1])
    width, height, depth, kind = struct.unpack(">IIBB", data[16:26])
    assert (depth, kind) == (4, 3)
    start = data.index(b"IDAT") + 4
    rows = np.frombuffer(zlib.decompress(data[start:]), np.uint8).reshape(height, -1)[:, 1:]
    return np.stack([rows >> 4, rows & 15], axis=-1).reshape(height, -1)[:, :width]


def test_heat_map_is_strong_where_the_errors_are() -> None:
    picture = np.zeros((9, 13), "float32")
    picture[2, 3], picture[4, 5], picture[6, 7] = 1.0, 1e-3, np.nan
    levels = pixels(picture)
    assert levels.shape == (9, 13)
    assert levels[2, 3] == 14
    assert levels[4, 5] == 1
    assert levels[6, 7] == 15
    assert np.count_nonzero(levels) == 3
    for edge in (np.full((8, 8), np.inf), np.full((8, 8), 5e-324)):
        pixels(edge)
    assert charts.heat_map(np.zeros((8, 8))) is None


def test_figure_without_matplotlib_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "tfkernels.comparison.render.plot", raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match="!pip install matplotlib"):
        layers(3).plot()


EVERYWHERE = r"""
import sys, warnings
import numpy as np
from tfkernels.comparison import compare

theirs = sys.modules.pop("matplotlib.pyplot", None)  # Keras 3 imports it where it finds it
image = np.arange(400, dtype="float32").reshape(20, 20)
holes = image.copy(); holes[3, 4] = np.nan; holes[5, 6] = np.inf
CASES = {
    "differences": (image, image + np.float32(0.5)),
    "none": (image, image),
    "holes": (image, holes),
    "nan only": (np.full((8, 8), np.nan), np.zeros((8, 8))),
    "integers": (np.arange(9), np.arange(9) // 2),
    "bools": (np.array([True, False]), np.array([True, True])),
    "complex": (image * 1j, image * (1j + 1e-3)),
    "half": (image.astype("float16"), (image + 1).astype("float16")),
    "empty": (np.zeros((0, 3)), np.zeros((0, 3))),
    "shapes": (np.zeros(3), np.zeros(4)),
    "text": ("one", "two"),
    "texts": (np.array(["a", "b"]), np.array(["a", "c"])),
    "tiny and huge": (np.array([5e-324, 1.7e308, 1]), np.array([0, -1.7e308, 1])),
    "layers": ({"$\\frac{": image, "<b>": image, "c": 1.0, "d": "x"}, {"$\\frac{": image, "<b>": image + 1, "d": "y"}),
}
shown = {}
with warnings.catch_warnings():
    warnings.simplefilter("error")
    for name, (one, two) in CASES.items():
        found = compare(one, two, names=("$a", "b$"))
        figure = found.plot()
        shown[name] = [repr(found), found._repr_html_(), len(figure.axes), figure._repr_png_()[:8]]
    several = compare({"a": [image, image, 1], "b": [image, image, 2], "c": [image, image + 1, 1]})
    picture = several.plot(side="c")._repr_png_()[:8]
    shown["several"] = [repr(several), several._repr_html_(), len(several.plot().axes), picture]
    parts = compare(*CASES["layers"]).plot("['<b>']").axes
    try:
        compare(1, 2).plot("z")
    except KeyError as error:
        unknown = str(error)
pyplot = "matplotlib.pyplot" in sys.modules
if theirs is not None:
    sys.modules["matplotlib.pyplot"] = theirs
"""


@pytest.mark.timeout(240)
def test_everything_is_shown_in_both_kernels(remote: Kernel) -> None:
    remote.run(EVERYWHERE)
    shown: dict[str, Any] = remote["shown"]
    for text, page, _, picture in shown.values():
        assert all(len(line) <= 120 for line in text.split("\n"))
        assert_harmless(page)
        assert picture == b"\x89PNG\r\n\x1a\n"
    axes = {name: count for name, (_, _, count, _) in shown.items()}
    assert axes["differences"] == 5  # errors, values, ULPs, heat map and its scale
    assert axes["integers"] == 2
    assert axes["text"] == axes["shapes"] == 1  # said in words
    assert axes["layers"] == 1 + axes["differences"]  # how they grow, and the first difference
    assert remote["len(parts)"] == axes["differences"]
    assert remote["unknown"] == "\"there is no part 'z' to plot; there are: value\""
    assert remote["pyplot"] is False
