"""The codec, for values of pandas and scipy: what arrives is the same type, values and labels.

Runs under the test suite's own Python, and (``test_old_pythons.py``) under TensorFlow's old ones: no newer syntax here.
"""

import typing

import hypothesis.extra.numpy as npst
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.support import specimens
from tests.support.specimens import assert_same as assert_same
from tests.unit.test_encoding import keys, scalars, travel

pd = specimens.pd

ZONES = ["UTC", "Europe/Berlin", "Asia/Kolkata", "-03:30"]


def several(rows: typing.Any, elements: typing.Any) -> typing.Any:
    return st.lists(elements, min_size=rows, max_size=rows)


def plain(rows: typing.Any) -> typing.Any:
    """Columns of NumPy's dtypes that pandas leaves as they are, from random bits; NaN payloads and NaT included."""
    codes = st.sampled_from(["i1", "<u8", ">f4", "f8", "c8", "M8[ns]", "m8[ns]"])
    raw = st.binary(min_size=16 * rows, max_size=16 * rows)
    return st.builds(lambda bits, code: np.frombuffer(bytearray(bits), code)[:rows], raw, codes)


def objects(rows: typing.Any) -> typing.Any:
    """Of any text and number; without a look into what is nested."""
    mixed = several(rows, st.one_of(st.text(), st.none(), st.integers()))
    return mixed.map(lambda items: np.array([None, *items], object)[1:])


def nullable(rows: typing.Any) -> typing.Any:
    """Numbers, bools and strings of pandas' own dtypes, some of them missing."""

    def of(dtype: typing.Any, elements: typing.Any) -> typing.Any:
        return several(rows, st.one_of(st.none(), elements)).map(lambda items: pd.array(items, dtype=dtype))

    found = [of("boolean", st.booleans()), of("string", st.text())]
    found += [of(name, st.integers(min_value=0, max_value=127)) for name in ("Int8", "UInt16", "Int64", "UInt64")]
    if hasattr(pd.arrays, "FloatingArray"):
        found.append(of("Float32", st.floats(width=32, allow_nan=False)))
    if int(pd.__version__.split(".")[0]) >= 3:
        found.append(of("str", st.text()))
    return st.one_of(found)


def moments(rows: typing.Any) -> typing.Any:
    """Times in a zone; with a name of the database or without one."""
    nanoseconds = st.one_of(st.integers(min_value=-(2**61), max_value=2**61), st.just(-(2**63)))
    return st.builds(
        lambda steps, zone: pd.DatetimeIndex(np.array(steps, "i8").view("M8[ns]")).tz_localize("UTC").tz_convert(zone),
        several(rows, nanoseconds),
        st.sampled_from([zone if zone[0] != "-" else pd.Timestamp("2020-01-01T00:00" + zone).tz for zone in ZONES]),
    )


def categories(rows: typing.Any) -> typing.Any:
    """Of texts, numbers or times, more of them than there are rows or none; codes for what is missing."""
    kinds = st.one_of(
        st.lists(st.text(), unique=True, max_size=4).map(lambda items: pd.Index(items, dtype=object)),
        st.lists(st.integers(min_value=-9, max_value=9), unique=True, max_size=4).map(
            lambda i: pd.Index(i, dtype="i8")
        ),
        moments(2).filter(lambda index: index.is_unique and not index.hasnans),
    )

    def of(labels: typing.Any) -> typing.Any:
        codes = several(rows, st.integers(min_value=-1, max_value=len(labels) - 1))
        return st.builds(lambda c, o: pd.Categorical.from_codes(np.array(c, "i1"), labels, o), codes, st.booleans())

    return kinds.flatmap(of)


def columns(rows: typing.Any) -> typing.Any:
    return st.one_of(plain(rows), objects(rows), nullable(rows), moments(rows), categories(rows))


def labels(rows: typing.Any) -> typing.Any:
    """Every kind of index, of any name; labels may occur twice."""
    texts = several(rows, st.text()).map(lambda items: pd.Index(items, dtype=object))
    numbers = several(rows, st.floats()).map(lambda items: pd.Index(items, dtype="f8"))
    levels = st.builds(lambda one, other: pd.MultiIndex.from_arrays([one, other], names=["k", None]), texts, numbers)
    found = st.one_of(
        texts,
        numbers,
        levels if rows else st.nothing(),
        st.builds(lambda start, step: pd.RangeIndex(start, start + rows * step, step), st.integers(-9, 9), st.just(3)),
        moments(rows),
        categories(rows).map(pd.CategoricalIndex),
        st.just(pd.IntervalIndex.from_breaks(np.arange(rows + 1.0), closed="left")),
        st.just(pd.period_range("2020-02", periods=rows, freq="D")),
        st.just(pd.TimedeltaIndex(np.arange(rows).astype("m8[ns]"))),
    )
    return st.builds(lambda index, name: index if index.nlevels > 1 else index.rename(name), found, keys)


@st.composite
def frames(draw: typing.Any) -> typing.Any:
    rows = draw(st.integers(min_value=0, max_value=4))
    index = draw(labels(rows))
    held = draw(st.lists(columns(rows), max_size=4))
    series = [pd.Series(c, index=index, dtype=c.dtype if isinstance(c, np.ndarray) else None) for c in held]
    frame = pd.DataFrame(dict(enumerate(series)), index=index)
    frame.columns = draw(labels(len(held)))
    frame.attrs.update(draw(st.dictionaries(st.text(), scalars, max_size=1)))
    return frame


if pd is not None:

    @given(frames())
    def test_any_frame_arrives_exactly(frame: typing.Any) -> None:
        assert_same(travel(frame), frame)
        for position in range(frame.shape[1]):
            assert_same(travel(frame.iloc[:, position]), frame.iloc[:, position])

    @given(st.integers(min_value=0, max_value=4).flatmap(labels))
    def test_any_index_arrives_exactly(index: typing.Any) -> None:
        assert_same(travel(index), index)


if specimens.sp is not None:

    @given(
        npst.arrays(st.sampled_from(["i1", "f4", "f8", "c16"]), npst.array_shapes(min_dims=2, max_dims=2, max_side=5)),
        st.sampled_from(["csr", "csc", "coo", "bsr", "dia", "lil", "dok"]),
    )
    def test_any_sparse_matrix_arrives_exactly(dense: typing.Any, form: typing.Any) -> None:
        matrix = specimens.sp.coo_matrix(dense).asformat(form)
        assert_same(travel(matrix), matrix)
