"""Comparisons whose reports the tests look at, and how a page is read."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import numpy as np

from tfkernels.comparison import Comparison, Part, Tolerance, compare

NAMES = ("tf1", "tf2")
TOLERANCE = Tolerance(1e-5, 1e-6)

random = np.random.RandomState(0)
IMAGES = random.normal(size=(4, 64, 64, 3)).astype("float32")


def layers(count: int, wrong: tuple[int, ...] = (), name: str = "layer_{}") -> Comparison:
    """Of so many arrays, some of which differ."""
    one = {name.format(place): np.array([place % 10, 1], "float32") for place in range(count)}
    two = {key: value + np.float32(1e-2) * (place in wrong) for place, (key, value) in enumerate(one.items())}
    return compare(one, two, names=NAMES)


def only(a: Any, b: Any, **options: Any) -> Any:
    """The comparison of what has one part."""
    (part,) = compare(a, b, **options).parts
    return part


def by_hand(**given: Any) -> Comparison:
    """Of one part."""
    part = Part(**{"path": "x", "side": "tf2", "verdict": "different", "tolerance": TOLERANCE, **given})
    return Comparison("tf1", ("tf2",), (part,))


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


def words_of(page: str) -> str:
    """The text of a page, as it is read."""
    return re.sub(r"\s+", " ", "".join(Parsed(page).text)).strip()


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
