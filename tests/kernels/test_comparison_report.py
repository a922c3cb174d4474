"""How a comparison shows itself: as text, as HTML, and as figures, in this Python and in the kernels."""

from __future__ import annotations

import base64
import re
import struct
import sys
import xml.etree.ElementTree as ET
import zlib
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfkernels.comparison import Comparison, Extreme, NonFinite, Part, Statistics, Tolerance, charts, compare, formats
from tfkernels.remote import RemoteKernel

NAMES = ("tf1", "tf2")
TOLERANCE = Tolerance(1e-5, 1e-6)
HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "a&b</style></svg>",
    "$x$ {y} \x1b[31m\n\u202e",
]

random = np.random.RandomState(0)
IMAGES = random.normal(size=(4, 64, 64, 3)).astype("float32")


def layers(count: int, wrong: tuple[int, ...] = (), name: str = "layer_{}") -> Comparison:
    """Of so many arrays, some of which differ."""
    one = {name.format(place): np.array([place % 10, 1], "float32") for place in range(count)}
    two = {key: value + np.float32(1e-2) * (place in wrong) for place, (key, value) in enumerate(one.items())}
    return compare(one, two, names=NAMES)


def by_hand(**given: Any) -> Comparison:
    """Of one part."""
    part = Part(**{"path": "x", "side": "tf2", "verdict": "different", "tolerance": TOLERANCE, **given})
    return Comparison("tf1", ("tf2",), (part,))


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (lambda: layers(14, (3, 9)), "2 of 14 parts differ between tf1 and tf2; the first is layer_3"),
        (lambda: layers(14, (3,)), "1 of 14 parts differs between tf1 and tf2; the first is layer_3"),
        (lambda: layers(14), "all 14 parts agree between tf1 and tf2: all of them equal"),
        (lambda: compare(np.arange(4), np.arange(4), names=NAMES), "tf1 and tf2 are equal in all 4 elements"),
        (lambda: compare(np.arange(4), np.arange(4) // 2, names=NAMES), "tf1 and tf2 differ in 3 of 4 elements (75%)"),
        (lambda: compare(1.0, 1.0000001, names=NAMES), "tf1 and tf2 agree within rtol=1e-05, atol=1e-05"),
        (
            lambda: compare(np.zeros(3), np.zeros(4), names=NAMES),
            "tf1 and tf2 differ: float64 (3,) against float64 (4,)",
        ),
        (lambda: compare({"tf1": 1, "tf2": 1, "tf3": 2}), "1 of 2 sides differs from tf1: tf3"),
        (
            lambda: compare({"tf1": [1, 2], "tf2": [1, 2], "tf3": [1, 3]}),
            "1 of 2 parts differs from tf1: 1 in tf3 (first [1])",
        ),
        (lambda: compare({"tf1": [1, 2], "tf2": [1, 2], "tf3": [1, 2]}), "all 2 parts agree between tf1, tf2 and tf3"),
        (lambda: Comparison("tf1", ("tf2",), ()), "tf1 and tf2 agree: they are empty"),
        (lambda: by_hand(verdict="missing", reason="only the baseline has it"), "x: only the baseline has it"),
    ],
)
def test_first_line_says_the_verdict(make: Callable[[], Comparison], line: str) -> None:
    found = make()
    assert repr(found).splitlines()[0] == line
    assert words_of(found._repr_html_()).startswith(("✓ passed " if found.passed else "✗ failed ") + line)


def words_of(page: str) -> str:
    """The text of a page, as it is read."""
    return re.sub(r"\s+", " ", "".join(Parsed(page).text)).strip()


def test_failed_part_says_where_and_by_how_much() -> None:
    one = np.ones((2, 3), "float32")
    two = one.copy()
    two[1, 2] += 2**-10
    text = repr(compare(one, two, names=NAMES, atol=1e-6))
    assert "1 of 6 elements (17%), tolerance rtol=1e-05, atol=1e-06" in text
    assert "worst at [1, 2]: 1.0 in tf1, 1.0009766 in tf2" in text
    assert re.search(r"ULP distance +at most 8,192, median 0\n", text)
    assert re.search(r"would pass +rtol=0\.000\d+ with atol=1e-06, or atol=0\.000\d+ with rtol=1e-05", text)


def test_nan_and_infinity_are_counted_by_side() -> None:
    one = np.array([0, np.nan, np.nan, np.inf, np.inf], "float32")
    two = np.array([np.nan, 0, np.nan, np.inf, -np.inf], "float32")
    found = compare(one, two, names=NAMES)
    assert (
        "1 NaN in tf1 only, 1 NaN in tf2 only, 1 NaN in both, 1 infinite and different, 1 infinite and equal"
        in repr(found)
    )
    assert "first mismatch  [0]: 0.0 in tf1, nan in tf2" in repr(found)
    assert "no tolerance, because of NaN or infinity" in repr(found)


def test_what_is_known_by_hand_is_told() -> None:
    statistics = Statistics(10, 1, cosine_similarity=0.5, top_k={1: 0.975, 5: 1.0}, non_finite=NonFinite(nan_in_both=2))
    found = by_hand(statistics=statistics, notes=("float32 against float64",))
    for shown in (re.sub(" +", " ", repr(found)), words_of(found._repr_html_())):
        for fact in (
            "top 1 in 97.5% of rows, top 5 in 100% of rows",
            "2 NaN in both",
            "float32 against float64",
            "0.50000",
        ):
            assert fact in shown


@given(*[st.floats(width=32, allow_nan=False)] * 2)
def test_values_have_enough_digits_to_differ(one: float, two: float) -> None:
    shown = formats.pair(np.float32(one), np.float32(two))
    assert (shown[0] != shown[1]) or one == two


def test_values_of_two_dtypes_show_that_they_differ() -> None:
    assert formats.pair(np.float32(0.1), np.float64(0.1)) == ("0.10000000149011612", "0.1")
    assert formats.pair(1, True) == ("1", "True")
    assert formats.pair("1", np.str_("1 ")) == ("'1'", "'1 '")


def test_long_text_is_cut_to_where_it_differs() -> None:
    one, two = formats.pair("a" * 9000 + "b" + "c" * 9000, "a" * 9000 + "d" + "c" * 9000)
    assert len(one) <= formats.LONGEST
    assert one != two
    assert one[0] == one[-1] == "…"


@given(st.floats(min_value=0, allow_nan=False, allow_infinity=False))
def test_tolerance_that_is_shown_would_pass(needed: float) -> None:
    shown = float(formats.at_least(needed))
    assert shown >= needed
    assert shown <= needed * 1.01 + 1e-320


def test_tolerance_copied_from_the_report_does_pass() -> None:
    one = IMAGES
    two = one * np.float32(1 + 1.2345678e-3)
    match = re.search(r"rtol=(\S+) with atol=1e-06, or atol=(\S+) with", repr(compare(one, two, atol=1e-6)))
    assert match
    assert compare(one, two, rtol=float(match[1]), atol=1e-6).passed
    assert compare(one, two, atol=float(match[2]), rtol=1e-5).passed
    assert not compare(one, two, rtol=float(match[1]) * 0.98, atol=1e-6).passed


@pytest.mark.parametrize("count", [3, 1000])
@pytest.mark.parametrize(
    "name", ["layer_{}", "model/" + "block/" * 60 + "{}", *(f"{hostile}{{}}" for hostile in ["\x1b[2J\n"])]
)
def test_text_is_bounded(count: int, name: str) -> None:
    for wrong in ((), (1,), tuple(range(count))):
        lines = repr(layers(count, wrong, name)).split("\n")
        assert len(lines) < 150
        for line in lines:
            assert len(line) <= 120
            assert line.isprintable()


def test_columns_are_aligned() -> None:
    lines = repr(layers(12, (3,))).splitlines()
    head, body = lines[2], lines[3:15]
    assert [line.split()[:2] for line in body[2:4]] == [["layer_2", "equal"], ["layer_3", "DIFFERENT"]]
    for title in ("max abs", "max ULP", "mismatched"):
        end = head.index(title) + len(title)
        assert all(
            line[end - 1] != " " and line[end : end + 2].strip() == ""
            for line in body
            if "(" not in line[end - 6 : end]
        )


def test_neighbours_of_the_first_difference_are_shown() -> None:
    for shown in (repr(layers(1000, (500, 990))), words_of(layers(1000, (500, 990))._repr_html_())):
        for there in ("layer_499", "layer_500", "layer_501", "layer_990", "more that pass"):
            assert there in shown
        for not_there in ("layer_300", "layer_980"):
            assert not_there not in shown


def test_rows_that_are_left_out_are_counted() -> None:
    text = repr(layers(1000, tuple(range(300, 1000))))
    assert "… 300 more that pass" in text
    assert "… 660 more that differ" in text
    assert "… 697 more that differ; .failed has them all" in text


class Parsed(HTMLParser):
    """What a browser makes of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag != "img":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open and "title" not in self.open:
            self.text.append(data if "svg" not in self.open else "")
        if self.open and self.open[-1] in ("dt", "dd", "th", "td", "p", "code", "span"):
            self.text.append(" " if self.open[-1] != "span" else "")


ELEMENTS = frozenset(
    {
        "div",
        "style",
        "p",
        "span",
        "b",
        "code",
        "img",
        "svg",
        "title",
        "path",
        "text",
        "figure",
        "figcaption",
        "dl",
        "dt",
    }
    | {"dd", "table", "thead", "tbody", "tr", "th", "td", "details", "summary"}
)
ATTRIBUTES = frozenset(
    {"class", "aria-hidden", "aria-label", "role", "scope", "colspan", "open", "title", "alt", "src", "width", "height"}
    | {"viewbox", "font-size", "fill", "fill-opacity", "d", "x", "y", "text-anchor", "stroke", "stroke-opacity"}
    | {"stroke-width", "stroke-dasharray"}
)


def assert_harmless(page: str) -> None:
    found = Parsed(page)
    assert not found.open
    assert set(found.tags) <= ELEMENTS
    for name, value in found.attributes:
        assert name in ATTRIBUTES
        assert name != "src" or value.startswith("data:image/png;base64,")
    assert page.count("<style>") == 1
    style = page[page.index("<style>") : page.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    assert page.isprintable()


hostile = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=30))


@settings(max_examples=30, deadline=None)
@given(*[hostile] * 4)
def test_page_is_harmless_whatever_it_shows(path: str, value: str, name: str, note: str) -> None:
    statistics = Statistics(2, 1, first_mismatch=Extreme(np.nan, (0,), value, value + name))
    shown = Part(path, name, "different", value, value + "x", reason=note, notes=(note,), statistics=statistics)
    plain = Part(path + "2", name, "different", value, value + "x", reason=note)
    for parts in ([shown], [plain], [shown, plain, Part(path + "3", name, "equal", value, value)]):
        found = Comparison(value, (name,), tuple(parts))
        assert_harmless(found._repr_html_())
        assert all(line.isprintable() and len(line) <= 120 for line in repr(found).split("\n"))
    several = Comparison(value, (name, name + "2"), (shown, plain))
    assert_harmless(several._repr_html_())


def test_page_shows_hostile_names_as_they_are() -> None:
    one = dict.fromkeys(HOSTILE, 1)
    page = compare(one, dict.fromkeys(HOSTILE, 2), names=("<i>a</i>", "<b>b"))._repr_html_()
    assert_harmless(page)
    for text in ("<script>alert(1)</script>", "between <i>a</i> and <b>b"):
        assert text in words_of(page)


def test_nothing_leaks_into_the_notebook() -> None:
    page = layers(3, (1,))._repr_html_()
    style = page[page.index("<style>") + 7 : page.index("</style>")]
    selectors = re.findall(r"([^{}]+)\{[^{}]*\}", re.sub(r"@container[^{]*\{", "", style))
    assert len(selectors) > 20
    for selector in selectors:
        assert all(one.strip().startswith(".tfk.tfk.tfk") for one in selector.split(","))
    assert "mathjax_ignore" in page  # a dollar sign in a name begins no formula


def test_verdicts_are_words_and_rows_open() -> None:
    one = {"same": 1, "near": 1.0, "far": 1.0, "gone": 1}
    page = compare(one, {"same": 1, "near": 1.0000001, "far": 2.0, "new": 1}, names=NAMES)._repr_html_()
    shown = words_of(page)
    for verdict in ("= equal", "≈ close", "≠ different", "− missing", "+ extra"):
        assert verdict in shown
    assert page.count("<details") >= 4
    assert page.count("<details open>") == 1  # of the first difference
    assert page.count('scope="col"') == 8


def test_pages_are_small() -> None:
    noise = random.normal(size=IMAGES.shape).astype("float32") * np.float32(1e-3)
    assert len(compare(IMAGES, IMAGES + noise)._repr_html_().encode()) < 15_000
    for wrong in ((), (500,), range(1000)):
        assert len(layers(1000, tuple(wrong), "block/" * 60 + "{}")._repr_html_().encode()) < 300_000
    one = {f"layer_{place}": IMAGES[:1] for place in range(200)}
    assert len(compare(one, {key: value + noise[:1] for key, value in one.items()})._repr_html_().encode()) < 300_000


def test_several_sides_are_columns() -> None:
    one = dict.fromkeys("abc", np.array([1, 2], "float32"))
    values = {
        "tf1": one,
        "tf2": one,
        **{f"tf2.{minor}": {**one, "b": np.array([1, minor], "float32")} for minor in range(3, 9)},
    }
    found = compare(values)
    lines = repr(found).split("\n\n")[1].splitlines()
    assert lines[0].split() == ["tf2", "tf2.3", "tf2.4", "tf2.5"]
    assert lines[2].split() == ["b", "float32", "(2,)", "equal", "DIFFERENT", "1", "DIFFERENT", "2", "DIFFERENT", "3"]
    assert "b in tf2.3" in repr(found).splitlines()
    page = found._repr_html_()
    assert_harmless(page)
    assert page.count('scope="col"') == 2 + 7
    assert page.count("<svg") > 4


def svg(chart: str) -> ET.Element:
    root = ET.fromstring(chart)  # noqa: S314 (our own)
    assert root.get("role") == "img"
    assert root.get("aria-label") == root.findtext("title")
    return root


def test_histograms_say_what_they_show() -> None:
    sample = compare(IMAGES, IMAGES + np.float32(1e-3)).parts[0].statistics
    assert sample is not None
    assert sample.sample is not None
    assert "absolute errors from 0.00" in (svg(charts.error_histogram(sample.sample)).get("aria-label") or "")
    assert "ULP distances up to" in (svg(charts.ulp_histogram(sample.sample)).get("aria-label") or "")
    same = compare(IMAGES, IMAGES).parts[0].statistics
    assert same is not None
    assert same.sample is not None
    assert charts.error_histogram(same.sample) == charts.ulp_histogram(same.sample) == ""


def test_growth_marks_what_failed_by_shape_and_names_the_first() -> None:
    drawn = charts.growth(layers(10, (4, 7)).parts, "tf2")
    texts = [text.text for text in svg(drawn).iter("text")]
    assert "first: layer_4" in texts
    marks = [path.get("d") or "" for path in svg(drawn).iter("path")]
    assert sum(mark.count("l7 7m0-7l-7 7") for mark in marks) == 2
    assert sum(mark.count("a3 3 0 1 0 6 0") for mark in marks) == 8
    assert "10 parts in order, against tf2; 2 differ" in (svg(drawn).get("aria-label") or "")


def test_growth_of_many_parts_keeps_every_kind() -> None:
    drawn = charts.growth(layers(10_000, (6_001,)).parts, "tf2")
    assert len(drawn) < 20_000
    assert "l7 7m0-7l-7 7" in drawn
    svg(charts.growth(compare(["a", "b", None], ["a", "c", None]).parts, "b"))  # nothing has an error


def pixels(chart: str) -> Any:
    """The levels in a heat map's PNG."""
    match = re.search('base64,([^"]+)"', chart)
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
    levels = pixels(charts.heat_map(picture))
    assert levels.shape == (9, 13)
    assert levels[2, 3] == 14
    assert levels[4, 5] == 1
    assert levels[6, 7] == 15
    assert np.count_nonzero(levels) == 3
    for edge in (np.zeros((8, 8)), np.full((8, 8), np.inf), np.full((8, 8), 5e-324)):
        pixels(charts.heat_map(edge))


def test_assertion_carries_the_report() -> None:
    with pytest.raises(AssertionError, match="1 of 3 parts differs between tf1 and tf2; the first is layer_1"):
        layers(3, (1,)).assert_close()


def test_figure_without_matplotlib_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "tfkernels.comparison.figures", raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib.colors", None)
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
def test_everything_is_shown_in_both_kernels(remote: RemoteKernel) -> None:
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
