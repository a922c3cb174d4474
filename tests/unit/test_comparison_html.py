"""A comparison as a page: small, readable without colours, and harmless whatever it shows."""

from __future__ import annotations

import re

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.comparisons import IMAGES, NAMES, assert_harmless, layers, random, words_of
from tfkernels.comparison import Comparison, Extreme, Part, Statistics, compare

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "a&b</style></svg>",
    "$x$ {y} \x1b[31m\n\u202e",
]


hostile = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=30))


@settings(max_examples=30)
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


def several(minors: int) -> Comparison:
    """``b`` differs from tf2.3 on."""
    one = dict.fromkeys("abc", np.array([1, 2], "float32"))
    later = {f"tf2.{minor}": {**one, "b": np.array([1, min(minor, 5)], "float32")} for minor in range(minors)}
    return compare({"tf1.15": one, **later}, baseline="tf1.15")


def test_several_sides_are_columns() -> None:
    found = several(4)
    lines = repr(found).split("\n\n")[1].splitlines()
    assert lines[0].split() == ["tf2.0", "tf2.1", "tf2.2", "tf2.3"]
    assert lines[2].split()[3:] == ["DIFFERENT", "2", "DIFFERENT", "1", "equal", "DIFFERENT", "1"]
    assert "b in tf2.0" in repr(found).splitlines()
    page = found._repr_html_()
    assert_harmless(page)
    assert page.count('scope="col"') == 2 + 4
    assert page.count("<svg") > 4


def test_many_sides_stand_by_their_verdicts() -> None:
    found = several(22)
    lines = repr(found).split("\n\n")
    assert lines[0] == "1 of 3 parts differs from tf1.15: 1 in 2.0, 2.1, 2.3-2.21 (first b)"
    assert lines[1].splitlines() == [
        "a  equal 2.0-2.21", "b  DIFFERENT 2.0, 2.1, 2.3-2.21: up to 3; equal 2.2", "c  equal 2.0-2.21",
    ]  # fmt: skip
    titles = [block.splitlines()[0] for block in lines[2:]]
    assert titles == ["b in 2.0", "b in 2.1", "b in 2.3", "… 2 more that differ; .failed has them all"]
    page = found._repr_html_()
    assert_harmless(page)
    assert page.count('scope="col"') == 3
    assert page.count("along the order:") == 2, "a side that differs, and one that does not"
    assert "≠ different 2.0, 2.1, 2.3-2.21: up to 3" in words_of(page)
    assert page.count("<dt>cosine</dt>") == 5  # 2.5 to 2.21 have the same figures
