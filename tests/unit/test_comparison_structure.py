"""The comparison: which parts belong together, under which path, by which tolerance, and who may ask for what.

Runs under the test suite's own Python, and (``test_old_pythons.py``) under TensorFlow 1.15's with its NumPy.
"""

import json
import math
import sys
import typing
from collections import OrderedDict, deque
from decimal import Decimal
from types import SimpleNamespace

import numpy as np
import pytest

from tests.support.comparisons import only
from tfkernels.comparison import DEFAULTS, compare
from tfkernels.errors import UsageError


def test_nested_values_have_readable_paths() -> None:
    class Point(typing.NamedTuple):
        x: typing.Any
        y: typing.Any

    a = {"weights": OrderedDict(conv1=[1.0, 2.0]), "conv/b:0": 1, "a b": 2, 3: (True,), "p": Point(1, {"k": b"x"})}
    b = {"weights": {"conv1": [1.0, 2.5]}, "conv/b:0": 1, "a b": 2, 3: (True,), "p": Point(1, {"k": b"x"})}
    found = compare(a, b)
    paths = ["weights['conv1'][0]", "weights['conv1'][1]", "conv/b:0", "['a b']", "[3][0]", "p.x", "p.y['k']"]
    assert [part.path for part in found.parts] == paths
    assert found.first_difference is not None
    assert found.first_difference.path == "weights['conv1'][1]"
    assert found.parts[0].notes == ("OrderedDict against dict",)
    assert not found
    assert [part.path for part in found.failed] == ["weights['conv1'][1]"]
    assert compare({np.int64(1): 2.0}, {1: 2.0}).passed
    two = {float("nan"): 1, float("inf") - float("inf"): 2}
    assert len(compare(two, two).parts) == 2
    assert compare(1, 1).parts[0].path == "value"
    assert compare([1], [1]).parts[0].path == "[0]"


def test_missing_and_extra_parts_are_differences() -> None:
    found = compare({"a": 1, "b": np.ones(3)}, {"a": 1, "c": {"d": 1}})
    assert [(part.path, part.verdict) for part in found.parts] == [("a", "equal"), ("b", "missing"), ("c", "extra")]
    assert found.parts[1].baseline == "float64 (3,)"
    assert found.parts[2].other == "dict of 1"
    assert [part.verdict for part in compare([1, 2], [1]).parts] == ["equal", "missing"]
    assert [part.verdict for part in compare({1, 2}, {2, 3}).parts] == ["missing", "equal", "extra"]


def test_equal_keys_of_several_types_are_one_part() -> None:
    assert compare({1, 2}, {1.0, 2.0}).passed
    assert compare({1: 5.0, 2.5: 6.0}, {1.0: 5.0, np.float64(2.5): 6.0}).passed
    assert [part.path for part in compare({1: 5.0}, {1.0: 6.0}).parts] == ["[1]"]
    assert [part.verdict for part in compare({1, 2}, {1.0, 2.5}).parts] == ["equal", "missing", "extra"]
    assert compare({1e300, math.inf}, {1e300, math.inf}).passed


def test_kinds_and_shapes_that_do_not_fit() -> None:
    assert only(np.ones((3, 1)), np.ones(3)).reason == "shape (3, 1) against (3,)"
    assert only({"a": 1}, {"a": [1]}).reason == "they are of different kinds"
    assert only("x", np.ones(3)).verdict == "different"
    assert only(np.array(["x"]), np.array([1])).verdict == "different"
    assert only([[1], [1, 2]], np.ones(2)).verdict == "different"
    assert only({}, {}).verdict == "equal"
    assert only(None, None).verdict == "equal"
    assert only(..., ...).verdict == "equal"
    assert only(Decimal("nan"), Decimal("nan")).passed
    assert not only(Decimal("nan"), Decimal("nan"), equal_nan=False).passed
    assert [part.path for part in compare(deque([1.0]), deque([1.0 + 1e-9])).parts] == ["[0]"]
    assert compare(SimpleNamespace(x=np.ones(3)), SimpleNamespace(x=np.ones(3))).parts[0].path == ".x"
    assert only(2**70, 2**70).verdict == "equal"
    assert only(2**70, 1).verdict == "different"
    assert "differ" in repr(compare(10**5000, 10**5000 + 1))
    assert only("a", np.str_("a")).verdict == "equal"


def test_a_list_of_numbers_against_an_array() -> None:
    part = only([1.0, 2.0], np.array([1, 2.00001], np.float32))
    assert part.verdict == "close"
    assert part.notes[0] == "list against ndarray"
    assert only(["a", "b"], np.array(["a", "b"])).passed
    assert not only(np.array([1.5, 2.0]), ["1.5", "2"]).passed, "text is no number"
    assert not only(np.array([1.0, np.nan]), [1.0, None]).passed, "nothing is no number"


def test_dtype_differences_are_noted_or_fail() -> None:
    a, b = np.array([0.1, 0.2]), np.array([0.1, 0.2], np.float32)
    part = only(a, b)
    assert part.verdict == "close"
    assert part.notes == ("float64 against float32",)
    assert part.tolerance.rtol == DEFAULTS["float32"], "the less precise one's"
    assert only(np.float16(0.1234), float(np.float32(0.1234))).passed
    assert part.statistics.max_ulp == 0, "in units of the less precise one"
    failed = only(a, b, check_dtype=True)
    assert not failed.passed
    assert failed.reason == "float64 against float32"
    assert only(1, 1.0).notes == ("int against float",)


def test_text_times_and_records_are_exact() -> None:
    a = np.array(["ab", "cd"])
    assert only(a, a.copy()).passed
    found = only(a, np.array(["ab", "ce"])).statistics
    assert found.mismatched == 1
    assert (found.worst.index, found.worst.other) == ((1,), "ce")
    days = np.array(["2020-01-01", "NaT"], "M8[D]")
    assert only(days, days.copy()).passed
    assert not only(days, days.copy(), equal_nan=False).passed
    objects = np.array(["a", None, 1.5, float("nan")], object)
    assert only(objects, np.array(["a", None, 1.5, float("nan")], object)).passed
    assert only(objects, np.array(["a", None, 1, float("nan")], object)).statistics.mismatched == 1, "1.5 and 1"
    assert only(np.array([b"a"], object), np.array([b"a"])).passed
    assert only(np.array([b"a", b"b"]), np.array(["c", "d"])).statistics.mismatched == 2
    assert not only(np.array([1], "M8[D]"), np.array([1], "m8[D]")).passed
    record = np.array([(1, 2.0)], [("n", "i4"), ("x", "f4")])
    other = record.copy()
    other["x"] += 1
    assert [part.path for part in compare(record[0], other[0]).failed] == ["['x']"]
    assert [(part.path, part.passed) for part in compare(record, other).parts] == [("['n']", True), ("['x']", False)]
    nested = np.empty(2, object)
    nested[:] = [np.ones(2), {"k": 1}]
    assert [part.path for part in compare(nested, nested).parts] == ["[0]", "[1]['k']"]
    masked = np.ma.masked_array([1.0, 2.0], [False, True])
    assert compare(masked, np.ma.masked_array([1.0, 99.0], [False, True])).passed
    assert not compare(masked, np.ma.masked_array([1.0, 2.0])).passed


def test_tolerances_by_patterns_of_paths() -> None:
    a = {"conv": {"kernel": np.ones(2), "bias": np.ones(2)}, "n": 10}
    b = {"conv": {"kernel": np.ones(2) * 1.001, "bias": np.ones(2) * 1.1}, "n": 11}
    found = compare(a, b, rtol={"conv['bias']": 0.2, "conv*": 0.01})
    assert [part.passed for part in found.parts] == [True, True, False]
    assert found.parts[0].tolerance is not None
    assert found.parts[0].tolerance.rtol == 0.01
    assert found.parts[0].tolerance.atol == pytest.approx(1.001 * DEFAULTS["float64"])
    assert not compare(a, b, rtol={"conv['bia?']": 0.2}).parts[0].passed
    assert compare(a, b, rtol=0.2, atol={"n": 1}).passed, "a pattern names integers, too"
    assert not compare(a, b, rtol=0.2, atol={"*": 1}).passed, "but not the pattern of everything"
    assert not compare(a, b, rtol=0.2, atol=1).passed, "a number for everything does not"


@pytest.mark.parametrize("wrong", [-1, math.nan, math.inf, "1e-5", {"*": -1}])
def test_tolerances_that_are_none(wrong: typing.Any) -> None:
    with pytest.raises(UsageError, match="a tolerance is a number from 0 on"):
        compare(1.0, 1.0, rtol=wrong)


def test_several_sides_against_a_baseline() -> None:
    values = {"tf1": [1.0, 2.0], "tf2": [1.0, 2.5], "tf2.11": [1.0, 2.0, 3.0]}
    found = compare(values)
    assert found.baseline == "tf1"
    assert found.sides == ("tf2", "tf2.11")
    assert [(part.path, part.side, part.passed) for part in found.parts] == [
        ("[0]", "tf2", True),
        ("[0]", "tf2.11", True),
        ("[1]", "tf2", False),
        ("[1]", "tf2.11", True),
        ("[2]", "tf2.11", False),
    ]
    assert found.against("tf2.11").first_difference is not None
    assert found.against("tf2.11").failed[0].path == "[2]"
    assert compare(values, baseline="tf2").sides == ("tf1", "tf2.11")
    with pytest.raises(KeyError, match="not one of the sides"):
        found.against("tf3")


def test_wrong_usage() -> None:
    with pytest.raises(UsageError, match="needs two values"):
        compare([1, 2])
    with pytest.raises(UsageError, match="not one of the values"):
        compare(1, 1, baseline="tf1")
    with pytest.raises(UsageError, match="two different names"):
        compare(1, 1, names="ab")
    with pytest.raises(UsageError, match="same name"):
        compare({1: 5, "1": 6})
    with pytest.raises(UsageError, match=r"x: a builtins.generator has no value by itself"):
        compare({"x": (n for n in [1])}, {"x": (n for n in [1])})
    for k in ("5", 2.0, -1, True):
        with pytest.raises(UsageError, match="a number of classes from 1 on"):
            compare(np.ones(3), np.ones(3), top_k=typing.cast(int, k))
    endless: list[typing.Any] = []
    endless.append(endless)
    with pytest.raises(UsageError, match="does it contain itself"):
        compare(endless, endless)


def test_assert_close_and_exports() -> None:
    a = {"x": np.array([1.0, np.nan]), "s": "t", "i": np.array([1], np.uint64), "n": 2**70}
    found = compare(a, {**a, "x": np.array([2.0, 3.0])}, names=("tf1", "tf2"))
    found.against("tf2")
    compare(a, a).assert_close()
    with pytest.raises(AssertionError, match="x"):
        found.assert_close()
    plain = json.loads(found.to_json())
    assert plain == found.to_dict()
    assert plain["passed"] is False
    assert plain["parts"][0]["statistics"]["first_mismatch"]["error"] == "nan"
    assert plain["parts"][0]["statistics"]["max_absolute_error"] == {
        "error": 1.0, "index": [0], "baseline": 1.0, "other": 2.0,
    }  # fmt: skip


def test_to_json_writes_a_file(tmp_path: typing.Any) -> None:
    found = compare({"ä": 1.5}, {"ä": 1.5})
    text = found.to_json(tmp_path / "found.json")
    assert (tmp_path / "found.json").read_text(encoding="utf-8") == text + "\n"


def test_to_dataframe_without_pandas_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="%pip install pandas"):
        compare(1, 1).to_dataframe()
