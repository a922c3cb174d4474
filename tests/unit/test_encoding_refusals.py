"""What the codec refuses: parts that cannot travel, libraries that are missing, too much, and damaged or hostile forms.

Runs under the test suite's own Python, and (``test_old_pythons.py``) under TensorFlow's old ones: no newer syntax here.
"""

import collections
import enum
import typing

import numpy as np
import pytest

from tests.support import specimens
from tests.support.specimens import assert_same as assert_same
from tests.unit.test_encoding import decoded, travel
from tfkernels.errors import ExchangeError, NotPortable
from tfkernels.protocol import MAX_DEPTH, MAX_PARTS


class Unportable:
    pass


class Level(enum.IntEnum):
    LOW = 1


Records: typing.Any = type("Records", (np.ndarray,), {})


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"dense": [1, 2, Unportable()]}, "['dense'][2]"),
        ((np.ones(2), {3: Unportable}), "[1][3]"),
        (np.array([None, Unportable()]), "[1]"),
        (np.array([["a", "b"], ["c", Unportable()]]), "[1, 1]"),
        (np.array([[1, 2], [3, Unportable()]]).T, "[1, 1]"),
        ({"m": np.zeros(1).view(Records)}, "['m']"),
        ([np.zeros(1, [("a", "O")])], "[0]"),
        ([1, {"level": Level.LOW}], "[1]['level']"),
        ((1, collections.defaultdict(int)), "[1]"),
        (specimens.Point(1, [Unportable()]), ".y[0]"),
        (specimens.Masked([Unportable()]), ".data[0]"),
    ],
)
def test_the_error_says_which_part(value: typing.Any, path: typing.Any) -> None:
    with pytest.raises(NotPortable) as caught:
        travel(value)
    assert caught.value.path == path
    assert len(str(caught.value)) > len(path) + 20, "and why"


def test_cycles_depth_and_count_have_an_end() -> None:
    cycle: list[typing.Any] = []
    cycle.append({"again": cycle})
    with pytest.raises(NotPortable, match="contains itself"):
        travel(cycle)
    array = np.empty(1, object)
    array[0] = array
    with pytest.raises(NotPortable, match="contains itself"):
        travel(array)
    deep: list[typing.Any] = []
    for _ in range(MAX_DEPTH):
        deep = [deep]
    with pytest.raises(NotPortable, match="nested deeper"):
        travel(deep)
    assert travel(deep[0]) == deep[0]
    with pytest.raises(NotPortable, match=r"^\[1\]: .* 10,000,000 parts"):
        travel([1, [None] * MAX_PARTS])
    wide: typing.Any = [1]
    for _ in range(MAX_DEPTH // 2):
        wide = [wide, wide]
    there = travel(wide)
    assert there[0] is there[1], "2 ** 50 paths lead to its end, and each list travels once"


@pytest.mark.parametrize(
    "node",
    [
        ["pickle", "gASVCg=="],
        ["array", "|O", [1], "C", 0],
        [
            "array",
            {
                "names": ["a"],
                "formats": ["|O"],
                "offsets": [0],
                "titles": [None],
                "itemsize": 8,
                "aligned": False,
                "record": False,
            },
            [1],
            "C",
            0,
        ],
        ["array", "<f8", [1000], "C", 0],
        ["array", "<f8", [1], "C", 10**9],
        ["array", "<f8", [-1], "C", 0],
        ["array", "<f8", [0, 2**62], "C", 0],
        ["array", {"type": "longlong", "str": "longlong"}, [1], "C", 0],
        ["array", "nonsense", [1], "C", 0],
        ["array", "f4,(2,3)i4", [1], "C", 0],
        ["array", "float32", [1], "C", 0],
        ["bytes", 0, 1000],
        ["int"],
        ["same", 0],
        ["same", -1],
        ["list", ["same", 0]],
        ["texts", [2], "C", 0, 2, 0],
        ["texts", [1], "C", 0, 2, 8],
        ["kind", "os.system", "true"],
        ["kind", "numpy.load", "x"],
        ["kind", "pandas.read_pickle", "x"],
        ["kind", "python.range", "a", 1, 2],
        ["kind", "python.namedtuple", "import os", ["tuple", "a"], 1],
        ["kind", "python.namedtuple", "Row", ["tuple", "a", "b c"], 1, 2],
        ["kind", "python.namedtuple", "Row", ["tuple", "a", "a"], 1, 2],
        ["float", "00"],
        ["dict", "a"],
        {"a": 1},
        [],
        [["list"]],
    ],
)
def test_damaged_or_hostile_skeletons_are_refused(node: typing.Any) -> None:
    with pytest.raises(ExchangeError):
        decoded(node)


@pytest.mark.parametrize(
    "form",
    [
        ["<f4", [2], "C", 2, 56],
        ["<f4", [2], "C", 2, -8],
        ["<f4", [2], "C", -2, 0],
        ["<f4", [-2], "C", 2, 0],
        ["<f4", [2**40, 2**40], "C", 2**40, 0],
        ["<f4", [0], "C", 2**60, 0],
        ["|S0", [], "C", 2**60, 0],
        ["|O", [2], "C", 2, 0],
        ["<f4", ["2"], "C", 2, 0],
        ["<f4", [2], "C", 2],
        "<f4",
        None,
    ],
)
def test_damaged_or_hostile_forms_are_refused(form: typing.Any) -> None:
    with pytest.raises(ExchangeError):
        decoded(None, [form])


def test_no_more_of_a_form_than_there_are() -> None:
    forms = [["<f4", [2], "C", 2, 0], ["<f4", [], "C", 1, 0]]
    good = ["list", [0], [1], [0]]
    assert_same(decoded(good, forms), [np.zeros(2, "f4"), np.float32(0), np.zeros(2, "f4")])
    for node in ([0], [1], [2], [-3], [True], [0.0]):
        with pytest.raises(ExchangeError):
            decoded([*good, node], forms)
