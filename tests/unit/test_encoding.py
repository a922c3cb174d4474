"""The value codec: what arrives is the same type, dtype, byte order, shape and bits, and shares nothing.

What it refuses is in ``test_encoding_refusals.py``; dtypes and pandas' values have files of their own.

Runs under the test suite's own Python, and (``test_old_pythons.py``) under TensorFlow's old ones: no newer syntax here.
"""

import collections
import datetime
import json
import typing

import hypothesis.extra.numpy as npst
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import specimens
from tests.support.specimens import assert_same as assert_same
from tfkernels.protocol import ALIGNMENT, HEADER_BYTES, MESSAGE_FORMAT, MIN_VIEW_BYTES
from tfkernels.transfer.decoder import from_bytes
from tfkernels.transfer.encoder import MAX_NON_STRINGS, Encoder, ValueMessage

# A masked array of records of half floats gets a default fill value that is too large for them, and NumPy says so.
pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")


def travel(value: typing.Any) -> typing.Any:
    """Through the skeleton as text and the buffers as bytes, as between two processes."""
    content = bytes(ValueMessage({"": value}).to_bytes())
    return from_bytes(content)[""]


def decoded(node: typing.Any, forms: typing.Sequence[typing.Any] = ()) -> typing.Any:
    """The value of a node that somebody wrote by hand, with 64 bytes of memory."""
    skeleton = json.dumps({"forms": forms, "views": 0, "values": {"": node}}).encode()
    header = f"tfkernels values {MESSAGE_FORMAT} 64 {len(skeleton)}".ljust(HEADER_BYTES - 1).encode() + b"\n"
    return from_bytes(header + bytes(64) + skeleton)[""]


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
registered_dtypes = st.sampled_from([np.dtype(dtype) for dtype in specimens.registered_dtypes()] or [np.dtype("f4")])
record_dtypes = st.builds(
    lambda parts, align: np.dtype([(f"f{i}", part) for i, part in enumerate(parts)], align=align),
    st.lists(plain_dtypes.filter(lambda dtype: dtype.itemsize > 0), min_size=1, max_size=4),
    st.booleans(),
)
dtypes = st.one_of(plain_dtypes, record_dtypes)
shapes = npst.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=4)


@st.composite
def arrays(draw: typing.Any, dtypes: typing.Any = dtypes) -> typing.Any:
    """Any dtype, from random bits (NaN payloads, padding of all kinds); C, Fortran, strided, reversed."""
    dtype = draw(dtypes)
    shape = draw(shapes)
    array: typing.Any = np.zeros(shape, dtype) if dtype.itemsize else np.ndarray(shape, dtype)
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
small = st.one_of(
    st.decimals(),
    st.fractions(),
    st.uuids(),
    st.datetimes(timezones=st.sampled_from([None, datetime.timezone.utc])),
    st.timedeltas(),
    st.times(),
    st.builds(slice, st.integers(), st.none()),
    st.builds(range, st.integers(), st.integers()),
)
texts = npst.arrays(object, shapes, elements=st.one_of(st.text(st.characters()), st.just(None)), fill=st.nothing())
masked = arrays().map(lambda array: specimens.Masked(array, mask=np.ma.make_mask_none(array.shape, array.dtype)))
keys = st.one_of(st.none(), st.booleans(), st.integers(), st.text(), st.binary(), st.tuples(st.integers(), st.text()))
registered = arrays(registered_dtypes)


@st.composite
def large_arrays(draw: typing.Any) -> typing.Any:
    """Some that are looked at where they arrived, and some that are just too small for that."""
    dtype = draw(st.sampled_from([np.dtype(code) for code in ("u1", ">f4", "c16", "M8[s]", "S7", "V3")]))
    rows = max(1, MIN_VIEW_BYTES // dtype.itemsize // 4 + draw(st.integers(min_value=-1, max_value=30)))
    bits = np.random.RandomState(draw(st.integers(min_value=0, max_value=9))).bytes(rows * 4 * dtype.itemsize)
    array = np.frombuffer(bytearray(bits), dtype).reshape(rows, 4)
    return draw(st.sampled_from([array, array.T, array[::-1], array[:, :3], array.reshape(-1)]))


def strings() -> typing.Any:
    """Arrays of NumPy 2's strings, where NumPy has them: any text, all that may stand for what is missing."""
    options = [{}, {"coerce": False}, {"na_object": None}, {"na_object": np.nan}, {"na_object": "missing"}]
    if not hasattr(np, "dtypes") or not hasattr(np.dtypes, "StringDType"):
        return st.nothing()
    return st.builds(
        lambda texts, lost, chosen: _strings(texts, lost, np.dtypes.StringDType(**chosen)),
        npst.arrays(object, shapes, elements=st.text(), fill=st.nothing()),
        st.booleans(),
        st.sampled_from(options),
    )


def _strings(texts: typing.Any, lost: typing.Any, dtype: typing.Any) -> typing.Any:
    array = texts.astype(dtype)
    if lost and array.size and hasattr(dtype, "na_object"):
        array.flat[0] = dtype.na_object
    return array


values = st.recursive(
    st.one_of(scalars, arrays(), registered, strings(), st.builds(bytearray, st.binary()), small, texts, masked),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.tuples(inner, inner),
        st.builds(specimens.Point, inner, inner),
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


@given(st.lists(large_arrays(), min_size=1, max_size=4))
def test_any_large_array_arrives_exactly(here: typing.Any) -> None:
    assert_same(travel(here), here)


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
    array = np.arange(MIN_VIEW_BYTES, dtype="f8")
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


@pytest.mark.parametrize("name", sorted(specimens.all_here()))
def test_every_kind_arrives_exactly(name: typing.Any) -> None:
    value = specimens.all_here()[name]
    assert_same(travel(value), value)


@given(st.lists(values, min_size=1, max_size=3), st.lists(st.integers(min_value=0, max_value=2), max_size=6))
def test_one_object_arrives_as_one_object(pool: typing.Any, picks: typing.Any) -> None:
    here = [pool[pick % len(pool)] for pick in picks]
    there = travel({"first": here[:1], "all": here})
    assert_same(there["all"], here)
    for i, one in enumerate(here):
        for j, other in enumerate(here):
            if isinstance(one, (list, dict, bytearray, np.ndarray)):
                assert (there["all"][i] is there["all"][j]) == (one is other)
        if i == 0 and isinstance(one, (list, dict, bytearray, np.ndarray)):
            assert there["first"][0] is there["all"][0]


def test_the_same_array_travels_once() -> None:
    array = np.zeros(10**5)
    encoder = Encoder()
    encoder.encode([array, {"again": array}, (array,)])
    assert encoder.size == array.nbytes
    encoder.encode([b"x", b"y"])
    assert [offset % ALIGNMENT for offset, _ in encoder.buffers] == [0, 0, 0]
    there = travel([array, array[1:], array[1:]])
    there[1][:] = 1
    assert not there[0].any(), "views of one array arrive as arrays of their own"
    assert not there[2].any()


def test_small_arrays_travel_together_and_arrive_apart() -> None:
    twice = np.full((2, 3), 7, "f4")
    here = [
        {"kernel": np.full((2, 3), n, "f4"), "bias": np.full(3, n, "i8"), "step": np.float32(n)} for n in range(500)
    ]
    here += [{"same": twice, "again": twice, "turned": np.arange(6.0).reshape(2, 3).T, "other": np.ones((3, 2), ">f4")}]
    encoder = Encoder()
    node = encoder.encode(here)
    assert len(encoder.buffers) == 1, "the one of another byte order"
    assert len(encoder.forms()) == 4
    assert len(json.dumps(node)) < 500 * 80
    there = travel(here)
    assert_same(there, here)
    assert there[-1]["same"] is there[-1]["again"]
    for part in there:
        for value in part.values():
            if isinstance(value, np.ndarray):
                assert value.flags.owndata
                assert value.flags.writeable
    there[3]["kernel"][:] = -1
    assert_same(there[4], here[4])


def test_scalars_and_0d_arrays_stay_apart() -> None:
    for here in ([np.float32(1), np.array(2, "f4")], [np.array(2, "f4"), np.float32(1)]):
        assert_same(travel(here), here)


def test_a_few_other_objects_among_many_texts() -> None:
    others: typing.List[typing.Any] = [[], np.nan, None, {}]
    array = np.array([None] * 100, object)
    array[:] = ["a", "ä\ud800", "", "b"] * 25
    array[:80:20] = others
    there = travel(array.reshape(4, 25).T)
    assert_same(there, array.reshape(4, 25).T)
    encoder = Encoder()
    assert len(json.dumps(encoder.encode(array))) < 150
    many = np.array([str(i) if i % 2 else [i] for i in range(2 * MAX_NON_STRINGS + 10)] + [None], object)
    assert_same(travel(many), many)
