"""The value codec: what arrives is the same type, dtype, byte order, shape and bits, and shares nothing.

Runs under the test suite's own Python, and (``test_old_pythons.py``) under TensorFlow's old ones: no newer syntax here.
"""

import collections
import json
import struct
import typing

import hypothesis.extra.numpy as npst
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tfkernels.codec import ALIGNMENT, MAX_DEPTH, VIEW_FROM, Decoder, Encoder
from tfkernels.errors import ExchangeError, NotPortable

settings.register_profile("kernels", deadline=None, suppress_health_check=list(HealthCheck))
settings.load_profile("kernels")


def travel(value: typing.Any) -> typing.Any:
    """Through the skeleton as text and the buffers as bytes, as between two processes."""
    encoder = Encoder()
    text = json.dumps(encoder.encode(value))
    memory = bytearray(encoder.size)
    for offset, buffer in encoder.buffers:
        assert offset % ALIGNMENT == 0
        memory[offset : offset + len(buffer)] = bytes(buffer)
    return Decoder(memory).decode(json.loads(text))


def bits(array: typing.Any) -> typing.Any:
    """An array's bytes, field by field: what lies in the padding between the fields of a record is no value."""
    if array.dtype.names is None:
        raw = array.tobytes()
        if array.dtype in (np.longdouble, np.clongdouble) and np.dtype(np.longdouble).itemsize == 16:
            return [raw[start : start + 10] for start in range(0, len(raw), 16)]  # the rest is padding too
        return raw
    return [bits(array[name]) for name in array.dtype.names]


def assert_same(there: typing.Any, here: typing.Any) -> None:
    """Type by type and bit by bit."""
    assert type(there) is type(here)
    if isinstance(here, np.ndarray):
        assert there.dtype == here.dtype
        assert there.dtype.str == here.dtype.str
        assert there.shape == here.shape
        assert there.flags.writeable
        if here.dtype == object:
            for one, other in zip(there.ravel().tolist(), here.ravel().tolist()):
                assert_same(one, other)
        else:
            assert bits(there) == bits(here)
            if here.flags.f_contiguous:
                assert there.flags.f_contiguous
    elif isinstance(here, np.generic):
        assert there.dtype == here.dtype
        assert bits(np.asarray(there)) == bits(np.asarray(here))
    elif isinstance(here, (float, complex)):
        assert struct.pack(">dd", there.real, there.imag) == struct.pack(">dd", here.real, here.imag)
    elif isinstance(here, dict):
        for (key, one), (other_key, other) in zip(there.items(), here.items()):
            assert_same(key, other_key)
            assert_same(one, other)
        assert len(there) == len(here)
    elif isinstance(here, (list, tuple)):
        assert len(there) == len(here)
        for one, other in zip(there, here):
            assert_same(one, other)
    else:
        assert there == here


plain_dtypes = st.one_of(
    npst.boolean_dtypes(),
    npst.integer_dtypes(endianness="?"),
    npst.unsigned_integer_dtypes(endianness="?"),
    npst.floating_dtypes(endianness="?", sizes=(16, 32, 64)),
    npst.complex_number_dtypes(endianness="?"),
    npst.datetime64_dtypes(endianness="?"),
    npst.timedelta64_dtypes(endianness="?"),
    npst.byte_string_dtypes(min_len=1),
    npst.unicode_string_dtypes(endianness="?", min_len=1),
    st.sampled_from([np.dtype("longdouble"), np.dtype("V7"), np.dtype("S0"), np.dtype("U0")]),
)
record_dtypes = st.builds(
    lambda parts, align: np.dtype([(f"f{i}", part) for i, part in enumerate(parts)], align=align),
    st.lists(plain_dtypes.filter(lambda dtype: dtype.itemsize > 0), min_size=1, max_size=4),
    st.booleans(),
)
shapes = npst.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=4)


@st.composite
def arrays(draw: typing.Any) -> typing.Any:
    """Any dtype, from random bits (NaN payloads, padding of all kinds); C, Fortran, strided, reversed."""
    dtype = draw(st.one_of(plain_dtypes, record_dtypes))
    shape = draw(shapes)
    array = np.zeros(shape, dtype)
    if array.nbytes and dtype.kind not in "US":  # random bits are no valid text
        size = array.nbytes
        bits = draw(st.binary(min_size=size, max_size=size))
        array = np.frombuffer(bytearray(bits), dtype).reshape(shape) if dtype.kind != "b" else array
    layout = draw(st.sampled_from(["C", "F", "reversed", "strided"]))
    if layout == "F":
        return np.asfortranarray(array).reshape(shape, order="F")
    if layout == "reversed":
        return array[..., ::-1] if array.ndim else array
    if layout == "strided":
        return np.repeat(array, 2, axis=-1)[..., ::2] if array.ndim else array
    return array


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=-(2**300), max_value=2**300),
    st.floats(),
    st.complex_numbers(),
    st.text(st.characters()),  # lone surrogates included
    st.binary(),
    st.sampled_from([np.float16(0.1), np.int8(-3), np.bool_(True), np.complex64(1j), np.datetime64("2020-01-01", "D")]),
    st.sampled_from([np.str_("a\0b\0"), np.bytes_(b"a\0b\0"), np.float64("nan"), np.longdouble(1) / 3]),
)
keys = st.one_of(st.none(), st.booleans(), st.integers(), st.text(), st.binary(), st.tuples(st.integers(), st.text()))
values = st.recursive(
    st.one_of(scalars, arrays(), st.builds(bytearray, st.binary())),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.tuples(inner, inner),
        st.dictionaries(keys, inner, max_size=4),
        st.builds(collections.OrderedDict, st.lists(st.tuples(keys, inner), max_size=3)),
        st.sets(keys),
        st.frozensets(keys),
    ),
    max_leaves=8,
)


@given(values)
def test_arrives_exactly(value: typing.Any) -> None:
    assert_same(travel(value), value)


@given(arrays())
def test_any_array_arrives_exactly(array: typing.Any) -> None:
    assert_same(travel(array), array)


@given(npst.arrays(object, shapes, elements=st.one_of(st.text(), st.none(), st.binary()), fill=st.nothing()))
def test_object_arrays_of_strings(array: typing.Any) -> None:
    assert_same(travel(array), array)


@pytest.mark.parametrize("text", ["", "ä€😀", "a\0b", "\ud800"])
def test_unicode_arrays(text: typing.Any) -> None:
    assert_same(travel(np.array([text, "x"], dtype=">U3")), np.array([text, "x"], dtype=">U3"))


def test_structured_dtypes_keep_offsets_titles_alignment_and_subarrays() -> None:
    dtype = np.dtype(
        {
            "names": ["a", "b"],
            "formats": [np.dtype((">i2", (2, 3))), np.dtype([("x", "f4"), ("y", "M8[ns]")], align=True)],
            "offsets": [3, 40],
            "titles": [None, "the b"],
            "itemsize": 70,
        }
    )
    array = np.zeros((2, 2), dtype)
    array["a"] = np.arange(24).reshape(2, 2, 2, 3)
    there = travel(array)
    assert there.dtype == dtype
    assert there.dtype.fields["b"][1:] == (40, "the b")
    assert there.dtype["b"].isalignedstruct
    assert (there["a"] == array["a"]).all()
    assert (there["the b"] == array["b"]).all()


def test_sharing_nothing() -> None:
    array = np.arange(VIEW_FROM, dtype="f8")
    there = travel([array, array[:20_000]])
    there[0][:] = 0
    there[1][:] = 7
    assert array[5] == 5
    there[0][0] = 1
    assert there[1].base is None, "a small array must not keep a large one's memory"


@given(st.integers(min_value=0, max_value=2**63), st.integers(min_value=0, max_value=255))
def test_nan_payloads(payload: typing.Any, sign: typing.Any) -> None:
    bits = np.array([0x7FF0000000000001 | payload >> 1 | (sign & 1) << 63], "u8")
    assert travel(bits.view("f8")).view("u8")[0] == bits[0]


class Unportable:
    pass


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"dense": [1, 2, Unportable()]}, "['dense'][2]"),
        ((np.ones(2), {3: Unportable}), "[1][3]"),
        (np.array([None, Unportable()]), "[1]"),
        ({"m": np.ma.masked_array([1], [True])}, "['m']"),
        ([np.zeros(1, [("a", "O")])], "[0]"),
        ([1, range(3)], "[1]"),
    ],
)
def test_the_error_says_which_part(value: typing.Any, path: typing.Any) -> None:
    with pytest.raises(NotPortable) as caught:
        travel(value)
    assert caught.value.path == path
    assert len(str(caught.value)) > len(path) + 20, "and why"


def test_registered_dtypes_are_refused_not_passed_as_raw_bytes() -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes", reason="only where TensorFlow's own dtypes are installed")
    with pytest.raises(NotPortable, match="bfloat16"):
        travel(np.ones(2, ml_dtypes.bfloat16))


def test_cycles_and_depth_have_an_end() -> None:
    cycle: typing.List[typing.Any] = []
    cycle.append({"again": cycle})
    with pytest.raises(NotPortable, match="contains itself"):
        travel(cycle)
    array = np.empty(1, object)
    array[0] = array
    with pytest.raises(NotPortable, match="contains itself"):
        travel(array)
    deep: typing.List[typing.Any] = []
    for _ in range(MAX_DEPTH):
        deep = [deep]
    with pytest.raises(NotPortable, match="nested deeper"):
        travel(deep)
    assert travel(deep[0]) == deep[0]
    twice = [1]
    assert travel([twice, twice]) == [[1], [1]], "the same list twice is no cycle"


@pytest.mark.parametrize(
    "node",
    [
        ["pickle", "gASVCg=="],
        ["array", "|O", [1], "C", 0],
        [
            "array",
            {"names": ["a"], "formats": ["|O"], "offsets": [0], "titles": [None], "itemsize": 8, "aligned": False},
            [1],
            "C",
            0,
        ],
        ["array", "<f8", [1000], "C", 0],
        ["array", "<f8", [1], "C", 10**9],
        ["array", "<f8", [-1], "C", 0],
        ["array", "nonsense", [1], "C", 0],
        ["bytes", 0, 1000],
        ["int"],
        ["float", "00"],
        ["dict", "a"],
        {"a": 1},
        [],
        [["list"]],
    ],
)
def test_damaged_or_hostile_skeletons_are_refused(node: typing.Any) -> None:
    with pytest.raises(ExchangeError):
        Decoder(bytearray(64)).decode(node)
