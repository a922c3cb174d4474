"""One value of every kind that travels, and when two of them are the same.

Also runs inside the kernels of every Python and library release that the tests use: no syntax newer than Python 3.6,
and only what is imported there. A name that begins with "new" is of a type that older releases of its library lack.
"""

import collections
import datetime
import decimal
import fractions
import importlib
import pathlib
import struct
import types
import typing
import uuid

import numpy as np


def _if_there(module: str) -> typing.Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        return None


pd = _if_there("pandas")
sp = _if_there("scipy.sparse")
ml_dtypes = _if_there("ml_dtypes")

Specimens = typing.Dict[str, typing.Any]


class Point(typing.NamedTuple):
    x: typing.Any
    y: typing.Any


Renamed: typing.Any = collections.namedtuple("Renamed", ["x", "a b", "class", "x"], rename=True)  # noqa: PYI024
Masked: typing.Any = np.ma.MaskedArray


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
    if isinstance(here, tuple) and hasattr(here, "_fields"):  # the class of a named tuple is made where it arrives
        assert (type(there).__name__, there._fields) == (type(here).__name__, here._fields)
    else:
        assert type(there) is type(here), f"{type(there)} instead of {type(here)}"
    if here is np.ma.masked:
        assert there is here
    elif isinstance(here, np.ma.MaskedArray):
        assert_same(np.asarray(there.data), np.asarray(here.data))
        assert_same(np.ma.getmask(there), np.ma.getmask(here))
        assert_same(np.asarray(there.fill_value), np.asarray(here.fill_value))
        assert there.hardmask == here.hardmask
    elif isinstance(here, np.ndarray):
        _assert_same_array(there, here)
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
    elif isinstance(here, (list, tuple, collections.deque)):
        assert len(there) == len(here)
        for one, other in zip(there, here):
            assert_same(one, other)
    elif _library(here) == "scipy":
        _assert_same_sparse(there, here)
    elif _library(here) == "pandas":
        _assert_same_pandas(there, here)
    elif _library(here) == "tensorflow":
        for name in ("values", "row_splits", "indices", "dense_shape", "shape"):
            assert_same(_attribute(there, name), _attribute(here, name))
    else:
        assert not isinstance(here, decimal.Decimal) or str(there) == str(here)
        assert isinstance(here, decimal.Decimal) or there == here  # a Decimal may be a NaN, which equals nothing


def _library(value: typing.Any) -> str:
    return type(value).__module__.partition(".")[0]


def _assert_same_array(there: typing.Any, here: typing.Any) -> None:
    assert there.dtype == here.dtype, f"{there.dtype} instead of {here.dtype}"
    assert there.dtype.str == here.dtype.str
    assert there.dtype.type is here.dtype.type
    assert there.dtype.isalignedstruct == here.dtype.isalignedstruct
    assert there.shape == here.shape
    assert there.flags.writeable
    if here.dtype.hasobject and here.dtype.names is None:
        for one, other in zip(there.ravel().tolist(), here.ravel().tolist()):
            assert_same(one, other)
    else:
        assert bits(there) == bits(here)
        if here.flags.f_contiguous and here.nbytes:  # without bytes, NumPy's flags say nothing
            assert there.flags.f_contiguous


def _assert_same_sparse(there: typing.Any, here: typing.Any) -> None:
    assert there.shape == here.shape
    assert there.dtype == here.dtype
    for name in ("data", "indices", "indptr", "row", "col", "coords", "offsets", "rows"):
        if hasattr(here, name) and not callable(getattr(here, name)):
            assert_same(getattr(there, name), getattr(here, name))
    assert_same(there.toarray(), here.toarray())
    assert_same(there.T.toarray(), here.T.toarray())


def _assert_same_pandas(there: typing.Any, here: typing.Any) -> None:
    if hasattr(here, "flags") and isinstance(here, (pd.DataFrame, pd.Series)):
        assert there.flags == here.flags
    if isinstance(here, pd.DataFrame):
        assert_same(there.columns, here.columns)
        assert_same(there.index, here.index)
        assert_same(there.attrs, here.attrs)
        for position in range(here.shape[1]):
            assert_same(there.iloc[:, position], here.iloc[:, position])
        if here.size:
            there.iloc[0, 0] = there.iloc[0, 0]  # it is writable
    elif isinstance(here, pd.Series):
        assert_same(there.name, here.name)
        assert_same(there.index, here.index)
        assert_same(there.attrs, here.attrs)
        _assert_same_values(there, here)
    elif isinstance(here, pd.MultiIndex):
        assert_same(list(there.names), list(here.names))
        assert_same(list(there.levels), list(here.levels))
        assert_same([np.array(codes) for codes in there.codes], [np.array(codes) for codes in here.codes])
    elif isinstance(here, pd.Index):
        assert_same(there.name, here.name)
        assert getattr(there, "freq", None) == getattr(here, "freq", None)
        _assert_same_values(there, here)
    elif isinstance(here, pd.api.extensions.ExtensionArray):
        _assert_same_values(there, here)
    elif here is pd.NaT or here is pd.NA:
        assert there is here
    else:
        assert there == here
        assert str(there) == str(here)
        assert getattr(there, "unit", None) == getattr(here, "unit", None)
        assert str(getattr(there, "tz", None)) == str(getattr(here, "tz", None))


def _assert_same_values(there: typing.Any, here: typing.Any) -> None:
    assert there.dtype == here.dtype, f"{there.dtype!r} instead of {here.dtype!r}"
    assert str(there.dtype) == str(here.dtype)
    if isinstance(here.dtype, np.dtype):
        assert_same(np.array(there), np.array(here))
    else:
        assert_same(type(there), type(here))
        assert_same(list(there), list(here))
        assert_same(np.array(there.isna()), np.array(here.isna()))
    if isinstance(here.dtype, pd.CategoricalDtype):
        assert_same(there.dtype.categories, here.dtype.categories)
        assert there.dtype.ordered == here.dtype.ordered


def _attribute(tensor: typing.Any, name: str) -> typing.Any:
    value: typing.Any = getattr(tensor, name, None)
    if name == "shape":
        return str(value)  # TensorFlow 1 has a class for each dimension
    return value.numpy() if callable(getattr(value, "numpy", None)) else value


def plain() -> Specimens:
    """Of Python itself."""
    return {
        "none": None,
        "numbers": [True, 7, -(2**63), 2**80, -0.0, float("inf"), 1 + 2j],
        "payload": struct.unpack(">d", b"\x7f\xf8\0\0\0\0\0\7")[0],
        "text": ["", "ä😀\0", "\ud800", b"\0x", bytearray(b"y")],
        "nested": {"k": (1, [2, {"k": {3}}], frozenset([4])), ("a", 1): collections.OrderedDict([("z", 1), ("a", 2)])},
        "weights": collections.OrderedDict(
            dense=[np.arange(6.0).reshape(2, 3), np.zeros(3, "f4")], lstm=[np.ones((2, 8))]
        ),
        "ranges": [range(1, 10, 3), slice(None, 3), slice("a", 2, None), Ellipsis],
        "times": [
            datetime.date(2020, 2, 29),
            datetime.time(1, 2, 3, 4, fold=1),
            datetime.datetime(2020, 1, 1, 12, 30, 0, 5),
            datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc),
            datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=-3, minutes=-30))),
            datetime.timezone(datetime.timedelta(hours=1), "X"),
            datetime.timedelta(-1, 2, 3),
        ],
        "exact": [decimal.Decimal("1.10"), decimal.Decimal("-sNaN123"), fractions.Fraction(-3, 7)],
        "things": [uuid.UUID(int=5), pathlib.PosixPath("/a b"), pathlib.PurePosixPath("c"), types.SimpleNamespace(a=1)],
        "collections": [collections.Counter("aab"), collections.deque([1, [2]], 5), Point(1, [2.0])],
        "renamed": Renamed(1, [2.0], None, "y"),
    }


def arrays() -> Specimens:
    """Of NumPy."""
    masked = Masked([1.5, np.nan, 3], mask=[0, 1, 0], fill_value=-1, dtype=">f4")
    masked[1:].harden_mask()
    found = {
        "strided": np.arange(24.0).reshape(2, 3, 4)[:, ::2].T,
        "fortran": np.asfortranarray(np.ones((300, 400), ">f4")),
        "empty": np.zeros((0, 3), "c16"),
        "0-d": np.array(5, "u1"),
        "payload": np.array([0x7FF8000000000007, 0xFFF0000000000001], "u8").view("f8"),
        "half": np.array([1, np.inf], ">f2"),
        "moments": np.array(["2020-01-01T00:00:00.000000001", "NaT"], ">M8[ns]"),
        "spans": np.array([5, "NaT"], "m8[h]"),
        "fixed": [np.array(["ä", "bc"], ">U2"), np.array([b"a\0", b"bc"], "S2"), np.zeros(2, "V3")],
        "record": np.array([((1, 2), "x")], np.dtype([("a", "<i2", (2,)), ("b", ">U1")], align=True)),
        "recarray": np.rec.array([(1, 2.0)], dtype=[("a", "i4"), ("b", ">f8")]),
        "records": np.asarray(np.rec.array([(1, 2.0)], dtype=[("a", "i4"), ("b", ">f8")])),
        "object": np.array([None, "ä\ud800", 1.5, [1]], object),
        "texts": np.array([["ä", "", "a\0b"], [None, None, np.nan]], object, order="F"),
        "scalars": [np.float16(0.1), np.bool_(True), np.str_("a\0"), np.bytes_(b"a\0"), np.datetime64("2020", "D")],
        "masked": [masked, Masked(["a"], fill_value="?"), Masked([1, 2]), np.ma.masked],
        "masked record": Masked([(1, 2.0)], mask=[(0, 1)], dtype=[("a", "i4"), ("b", "f8")]),
        "masked objects": Masked([None, 2], mask=[0, 1], dtype=object),
        "matrix": np.eye(3).view(np.matrix),
        "dtypes": [np.dtype(">f4"), np.dtype([("a", "i4")], align=True)],
    }
    if hasattr(np, "dtypes") and hasattr(np.dtypes, "StringDType"):
        found["new strings"] = np.array(["a", "ä" * 50], "T")
        found["new strings or None"] = np.array(["a", None], np.dtypes.StringDType(na_object=None))
    return found


def registered_dtypes() -> typing.List[typing.Any]:
    """Those of ml_dtypes: bfloat16, float8_…, int4, …."""
    found = [getattr(ml_dtypes, name) for name in dir(ml_dtypes)]
    return [dtype for dtype in found if isinstance(dtype, type) and issubclass(dtype, np.generic)]


def registered(dtype: typing.Any) -> Specimens:
    """Of one of these dtypes."""
    array = np.arange(96, dtype="u1").view(dtype)
    return {
        "array": array,
        "fortran": np.asfortranarray(array[:12].reshape(3, 4)),
        "scalar": array[1],
        "record": np.zeros(2, [("a", dtype), ("b", "f4")]),
        "dtype": np.dtype(dtype),
    }


def frames() -> Specimens:
    """Of pandas."""
    moments = np.array(["2020-03-28T12:00", "2020-03-29T12:00", "NaT"], "M8[ns]")
    days = pd.DatetimeIndex(moments[:2], freq="D")
    berlin = pd.DatetimeIndex(moments).tz_localize("Europe/Berlin")
    objects = pd.Index(["a", "b", "b"], dtype=object)
    kinds = pd.CategoricalDtype(pd.Index(["low", "high"], dtype=object), ordered=True)
    columns = {
        "float": pd.Series([1.5, np.nan, -0.0], dtype=">f4"),
        "bool": pd.Series([True, False, True]),
        "moment": pd.Series(moments),
        "zone": pd.Series(berlin),
        "offset": pd.Series(pd.DatetimeIndex(moments).tz_localize(pd.Timestamp("2020-01-01T00:00+02:00").tz)),
        "span": pd.Series(np.array([1, "NaT", 3], "m8[ns]")),
        "ordered": pd.Series(pd.Categorical.from_codes([1, -1, 0], dtype=kinds)),
        "unordered": pd.Series(pd.Categorical.from_codes([1, -1, 0], pd.Index([3, 5]))),
        "nullable": pd.Series([1, None, 2**62 + 1], dtype="Int64"),
        "nullable small": pd.Series([1, None, 3], dtype="UInt8"),
        "nullable bool": pd.Series([True, None, False], dtype="boolean"),
        "string": pd.Series(["ä", None, ""], dtype="string"),
        "object": pd.Series(["ä", None, np.nan], dtype=object),
        "mixed": pd.Series([1, pd.NA, pd.NaT], dtype=object),
        "period": pd.Series(pd.PeriodIndex(["2020Q1", "NaT", "2021Q4"], freq="Q-DEC")),
        "interval": pd.Series(pd.IntervalIndex.from_tuples([(0, 1), np.nan, (2, 5)], closed="left")),
        "sparse": pd.Series(pd.arrays.SparseArray([0, 0, 7], fill_value=0)),
        "complex": pd.Series([1j, 2, 3], dtype="c8"),
    }
    table = pd.DataFrame(dict(columns))
    table.columns = pd.Index(list(columns), dtype=object, name="kind")
    twice = pd.DataFrame(np.arange(6.0).reshape(2, 3), columns=pd.Index(["a", "b", "a"], dtype=object))
    twice.attrs["unit"] = {"a": "m"}
    local = pd.DatetimeIndex(["2020-03-28", "2020-03-29", "2020-03-30"], dtype="M8[ns, Europe/Berlin]", freq="D")
    named = pd.Series(np.arange(3, dtype="i2"), index=pd.Index([3, 1, 3], name=("i", 1)), name=0)
    named.attrs["source"] = "x"
    levels = pd.MultiIndex.from_arrays([objects, pd.Index([1, 2, 1])], names=["k", None])
    found = {
        "frame": table,
        "frame of one type": twice,
        "frame of objects": pd.DataFrame([["a", 1], [None, 2.5]], columns=pd.RangeIndex(2), dtype=object),
        "frame of nothing": pd.DataFrame(index=pd.RangeIndex(3), columns=pd.RangeIndex(0)),
        "frame of no rows": pd.DataFrame(index=pd.RangeIndex(0), columns=objects),
        "frame by levels": pd.DataFrame(np.eye(3), index=levels, columns=levels),
        "frame with duplicate labels": pd.DataFrame({"a": [1, 2], "b": [1.5, 2]}, index=pd.Index([7, 7])).set_axis(
            objects[:2], axis=1
        ),
        "series": named,
        "empty series": pd.Series([], dtype="f8"),
        "labels": [objects, pd.Index([1, 2], dtype="i8"), pd.Index([0.5]), pd.RangeIndex(2, 9, 3, name="r")],
        "tuples": pd.Index([(1, 2), (3, 4)], tupleize_cols=False),
        "levels": levels,
        "times": [days, days.tz_localize("UTC"), berlin.tz_convert("Asia/Kolkata"), local.rename("n")],
        "month ends": pd.DatetimeIndex(np.array(["2020-01-31", "2020-02-29"], "M8[ns]"), freq=pd.offsets.MonthEnd()),
        "spans": pd.TimedeltaIndex(np.array([0, 2], "m8[h]").astype("m8[ns]"), freq=pd.offsets.Hour(2)),
        "frequencies": [
            pd.DatetimeIndex(np.array(["2020-01-01", "2020-01-03"], "M8[ns]"), freq=freq)
            for freq in (pd.offsets.CustomBusinessDay(holidays=["2020-01-02"]), pd.DateOffset(days=2))
        ],
        "intervals of times": pd.IntervalIndex.from_breaks(pd.DatetimeIndex(moments[:2]).tz_localize("UTC")),
        "levels with gaps": pd.MultiIndex.from_arrays([pd.Index(["a", None], dtype=object), days], names=["x", "x"]),
        "categories of intervals": pd.Series(pd.Categorical.from_codes([0, -1], pd.interval_range(0, 2))),
        "lists in cells": pd.DataFrame({"a": [[1], [2, None]], "b": [np.arange(2), np.arange(3)]}).set_axis(
            objects[:2], axis=1
        ),
        "categories": pd.CategoricalIndex(pd.Categorical.from_codes([1, -1, 0], dtype=kinds), name="c"),
        "intervals": pd.IntervalIndex.from_breaks(np.array([0.0, 1, 2]), name="i"),
        "periods": [pd.period_range("2020", periods=3, freq=pd.offsets.YearEnd()), pd.PeriodIndex(["2020"], freq="2D")],
        "of pandas": [pd.NaT, pd.NA, pd.Period("2020-05", "M"), pd.Interval(1, 2.5, "both"), pd.Timedelta(5)],
        "moment": [pd.Timestamp("2020-01-01T00:00:00.000000001"), pd.Timestamp(1, unit="ns", tz="Asia/Kolkata")],
        "rows": list(pd.DataFrame({"a": [1, 2], "b c": [1.5, 2]}).itertuples()),
        "columns alone": [column.array for column in columns.values()],
    }
    if hasattr(pd.arrays, "FloatingArray"):
        found["new floating"] = pd.arrays.FloatingArray(np.array([1, np.nan]), np.array([True, False]))
    if int(pd.__version__.split(".")[0]) >= 2:
        found["new small labels"] = pd.Index([1, 2], dtype="i1")
    if hasattr(twice, "set_flags"):
        unique = [named[1:], pd.DataFrame(np.eye(2, dtype="f4"))]
        found["new unique labels"] = [one.set_flags(allows_duplicate_labels=False) for one in unique]
    if _if_there("pyarrow") and pd.__version__.startswith(("2.1.", "2.2.")):
        arrow = ["string[pyarrow]", "string[pyarrow_numpy]"]
        found["new strings of Arrow"] = [pd.Series(["ä", None], pd.Index(["a", "b"], dtype=t), dtype=t) for t in arrow]
    return found


def matrices() -> Specimens:
    """Of scipy.sparse."""
    dense = np.array([[0, 1.5, 0, 0], [2, 0, 0, 0], [0, 0, 0, 0], [0, 0, 3, 0]], "f4")
    found = {}
    forms = ["csr", "csc", "coo", "bsr", "dia", "lil", "dok"]
    for name in [form + "_matrix" for form in forms] + [form + "_array" for form in forms]:
        if hasattr(sp, name):
            found[("new " if "array" in name else "") + name] = getattr(sp, name)(dense)
    wide = sp.csr_matrix(dense)
    wide.indices, wide.indptr = wide.indices.astype("i8"), wide.indptr.astype("i8")
    found["64-bit indices"] = wide
    found["explicit zeros, duplicates"] = sp.coo_matrix(([1, 0, 2], ([0, 1, 0], [0, 0, 0])), shape=(2, 2), dtype="i1")
    found["blocks"] = sp.bsr_matrix(np.kron(np.eye(2), np.ones((2, 3), "c8")), blocksize=(2, 3))
    found["empty"] = sp.csc_matrix((0, 3), dtype=bool)
    if hasattr(sp, "coo_array") and hasattr(sp.coo_array, "coords"):
        found["new cube"] = sp.coo_array(np.eye(3).reshape(3, 3, 1))
        found["new vector"] = sp.csr_array(np.array([1.0, 0, 2]))
    return found


def tensors() -> Specimens:
    """Of TensorFlow: what is one where it executes eagerly, and what a session gives where it does not."""
    import tensorflow as tf

    v1 = tf.compat.v1
    splits = np.array([0, 2, 2, 3])
    ragged = v1.ragged.RaggedTensorValue(np.array([1, 2, 3], "i4"), splits)
    indices, shape = np.array([[0, 1], [2, 0]]), np.array([3, 2])
    found = {
        "ragged value": ragged,
        "ragged value of two levels": v1.ragged.RaggedTensorValue(ragged, np.array([0, 1, 3], "i4").astype("i8")),
        "ragged value of texts": v1.ragged.RaggedTensorValue(np.array([b"a", b"", b"bc"], object), splits.astype("i4")),
        "sparse value": v1.SparseTensorValue(indices, np.array([1.5, 2], "f4"), shape),
        "sparse value of texts": v1.SparseTensorValue(indices, np.array([b"a", b"bc"], object), shape),
    }
    if tf.executing_eagerly():
        found["ragged"] = tf.ragged.constant([[1, 2], [], [3]])
        found["ragged of two levels"] = tf.ragged.constant([[[1.5], []], [[2.5, 3]]])
        if hasattr(tf.RaggedTensor, "from_uniform_row_length"):
            found["ragged of rows of one length"] = tf.RaggedTensor.from_uniform_row_length([[1, 2], [3, 4]], 2)
        found["ragged of short splits"] = tf.ragged.constant([[[1.5], []], [[2.5]]], row_splits_dtype=tf.int32)
        found["ragged of texts"] = tf.ragged.constant([["a", "bc"], [], ["ä"]])
        found["sparse of texts"] = tf.SparseTensor(indices, ["a", "bc"], shape)
        found["sparse"] = tf.SparseTensor(indices, np.array([1.5, 2], "f4"), shape)
        found["slices"] = tf.IndexedSlices(tf.constant([[1.0]]), tf.constant([2]), tf.constant([3, 1]))
    return found


def all_here() -> Specimens:
    """Every one that needs no TensorFlow, by library and name."""
    groups = {"plain": plain(), "arrays": arrays()}
    if pd is not None:
        groups["pandas"] = frames()
    if sp is not None:
        groups["scipy"] = matrices()
    if ml_dtypes is not None:
        groups["ml_dtypes"] = {"new " + dtype.__name__: registered(dtype) for dtype in registered_dtypes()}
    return {group + ": " + name: value for group, found in groups.items() for name, value in found.items()}
