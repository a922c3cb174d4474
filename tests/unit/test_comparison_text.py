"""A comparison as text: the verdict first, then where and by how much, in bounded lines."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.comparisons import IMAGES, NAMES, by_hand, layers, words_of
from tfkernels.comparison import Comparison, NonFinite, Statistics, compare
from tfkernels.comparison.render import number_format


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
        (
            lambda: compare({"tf1": [1], **{f"tf2.{minor}": [minor] for minor in range(14)}}),
            "13 of 14 sides differ from tf1: 2.0, 2.2-2.13",
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
    shown = number_format.pair(np.float32(one), np.float32(two))
    assert (shown[0] != shown[1]) or one == two


def test_values_of_two_dtypes_show_that_they_differ() -> None:
    assert number_format.pair(np.float32(0.1), np.float64(0.1)) == ("0.10000000149011612", "0.1")
    assert number_format.pair(1, True) == ("1", "True")
    assert number_format.pair("1", np.str_("1 ")) == ("'1'", "'1 '")


def test_long_text_is_cut_to_where_it_differs() -> None:
    one, two = number_format.pair("a" * 9000 + "b" + "c" * 9000, "a" * 9000 + "d" + "c" * 9000)
    assert len(one) <= number_format.LONGEST
    assert one != two
    assert one[0] == one[-1] == "…"


@given(st.floats(min_value=0, allow_nan=False, allow_infinity=False))
def test_tolerance_that_is_shown_would_pass(needed: float) -> None:
    shown = float(number_format.at_least(needed))
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


@pytest.mark.parametrize(
    ("given", "needed"),
    [
        ({}, "atol=1.53e-05 with rtol=0"),  # atol by itself is enough
        ({"rtol": 0, "atol": 1e-2}, "atol=1.53e-05 with rtol=0"),
        ({"rtol": 1e-3, "atol": 0}, "rtol=3.82e-06 with atol=0"),
        ({"rtol": 1e-3, "atol": 1e-5}, "rtol=1.32e-06 with atol=1e-05"),
        ({"rtol": 3e-6, "atol": 1e-5}, "rtol=1.32e-06 with atol=1e-05, or atol=3.26e-06 with rtol=3e-06"),
    ],
)
def test_passed_result_says_what_it_needed(given: dict[str, Any], needed: str) -> None:
    one = np.array([1, 2, 4], "float32")
    two = one * np.float32(1 + 2**-18)
    found = compare(one, two, **given)
    assert found.passed
    assert re.search(rf"^needed +{re.escape(needed)}$", repr(found), re.MULTILINE)
    assert f"needed {needed}" in words_of(found._repr_html_())
    for option in needed.split(", or "):
        (name, least), (other, rest) = (each.split("=") for each in option.split(" with "))
        tolerances: dict[str, Any] = {name: float(least), other: float(rest)}
        assert compare(one, two, **tolerances).passed
        assert not compare(one, two, **{**tolerances, name: float(least) * 0.98}).passed


@pytest.mark.parametrize("count", [3, 300])
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


def test_assertion_carries_the_report() -> None:
    with pytest.raises(AssertionError, match="1 of 3 parts differs between tf1 and tf2; the first is layer_1"):
        layers(3, (1,)).assert_close()
