"""pandas: what a column consists of, which is a NumPy array or one of pandas' own.

Where this pandas is older than the sender's: `str` columns of pandas 3 become object columns with NaN, as this pandas
holds its strings; times in s, ms or us become ns, if they fit; ``Float64`` before pandas 1.2 is refused.
"""

import contextlib
import datetime
import typing

import numpy as np
import pandas as pd

from tfkernels.errors import ExchangeError, NotPortable
from tfkernels.transfer.types.pandas_time import Zone, describe_offset, describe_zone, offset
from tfkernels.transfer.types.registry import Kind, Parts, named

Values = typing.Any
"""A NumPy array or one of pandas' own."""


def values(series: typing.Any) -> Values:
    """What a series or an index holds. A new object each time: pandas shares arrays between copies of a frame and
    keeps count of it, so they must not arrive as one array."""
    if isinstance(series.dtype, np.dtype):
        return series.to_numpy().view()
    return series.array.view()


def series(held: Values, index: typing.Any) -> typing.Any:
    """A series of exactly these values; without ``dtype`` pandas would guess at objects."""
    if isinstance(held, np.ndarray):
        held = fitting(held)
        return pd.Series(held, index=index, dtype=held.dtype, copy=False)
    return pd.Series(held, index=index, copy=False)


def fitting(array: "np.ndarray[typing.Any, typing.Any]") -> "np.ndarray[typing.Any, typing.Any]":
    """The array with its times in a unit that this pandas has. Raises ``ExchangeError`` if they do not fit."""
    if array.dtype.kind not in "mM" or array.dtype.str.endswith("[ns]") or int(pd.__version__.split(".")[0]) >= 2:
        return array
    nanoseconds = int(np.ones(1, "m8" + array.dtype.str[3:]).astype("m8[ns]").view("i8")[0])
    steps = array.view("i8")
    limit = (2**63 - 1) // nanoseconds
    if not ((steps == np.iinfo("i8").min) | (np.abs(steps) <= limit)).all():
        raise ExchangeError(
            f"{array.dtype} values arrived, and pandas {pd.__version__} here holds times in nanoseconds only: from "
            f"1677 to 2262, and differences up to 292 years. Pass times within, or a NumPy array."
        )
    return array.astype(array.dtype.str[:2] + "8[ns]")


def _nullable(name: str) -> typing.Iterator[Kind]:
    cls = getattr(pd.arrays, name, None)
    if cls is None:
        return
    known: typing.Any = cls

    def parts(array: Values) -> Parts:
        plain = np.dtype(bool) if name == "BooleanArray" else array.dtype.numpy_dtype
        return [("", array.to_numpy(plain, na_value=plain.type(0))), (".isna()", array.isna())]

    yield Kind("pandas." + name, parts, lambda plain, missing: known(plain, missing))


def _strings_parts(array: Values) -> Parts:
    missing = getattr(array.dtype, "na_value", pd.NA)
    return [
        ("", array.to_numpy(object)),
        (".dtype.storage", getattr(array.dtype, "storage", "python")),
        (".dtype.na_value", "NA" if missing is pd.NA else "NaN"),
    ]


def _strings(objects: Values, storage: str, missing: str) -> Values:
    try:
        dtype = _string_dtype(storage, missing)
    except ImportError:
        return _strings(objects, "python", missing)  # pyarrow is missing: the same values, held otherwise
    return objects if dtype is None else pd.array(objects, dtype=dtype)


def _string_dtype(storage: str, missing: str) -> typing.Any:
    """``None`` where this pandas has no strings with NaN."""
    if missing != "NaN":
        try:
            return pd.StringDtype(storage)
        except TypeError:  # before pandas 1.3 there is no choice
            return pd.StringDtype()
    with contextlib.suppress(TypeError):  # before pandas 2.3
        return pd.StringDtype("pyarrow" if storage == _EARLY else storage, na_value=np.nan)
    with contextlib.suppress(TypeError, ValueError):  # before 2.1
        return pd.StringDtype(_EARLY) if storage == _EARLY else None
    return None


_EARLY = "pyarrow_numpy"
"""What pandas 2.1 and 2.2 call Arrow's strings with NaN."""


def _datetimes_parts(array: Values) -> Parts:
    zone = getattr(array.dtype, "tz", None)
    naive = pd.DatetimeIndex(array)
    return [("", (naive if zone is None else naive.tz_convert(None)).to_numpy()), (".tz", describe_zone(zone))]


def _datetimes(moments: Values, zone: Zone) -> Values:
    return local(pd.DatetimeIndex(fitting(moments)), zone).array


def local(moments: typing.Any, zone: Zone) -> typing.Any:
    """Times in UTC as times in ``zone``, which becomes the object that this pandas makes of it."""
    if zone is None:
        return moments
    known: typing.Any = zone
    if not isinstance(zone, str):
        offset = datetime.timedelta(seconds=zone)
        known = datetime.timezone(offset)
        if offset % datetime.timedelta(minutes=1) == datetime.timedelta(0):
            known = pd.Timestamp(datetime.datetime(2020, 1, 1, tzinfo=known).isoformat()).tz
    return moments.tz_localize("UTC").tz_convert(known)


_BY_DTYPE = {
    pd.CategoricalDtype: Kind(
        "pandas.Categorical",
        lambda c: [(".codes", np.array(c.codes)), (".categories", c.categories), (".ordered", bool(c.ordered))],
        lambda codes, categories, ordered: pd.Categorical.from_codes(codes, categories, ordered=ordered),
    ),
    pd.PeriodDtype: Kind(
        "pandas.PeriodArray",
        lambda p: [(".asi8", p.asi8.view()), (".freq", describe_offset(p.dtype.freq))],
        lambda ordinals, freq: pd.arrays.PeriodArray(ordinals, dtype=pd.PeriodDtype(offset(freq))),
    ),
    pd.IntervalDtype: Kind(
        "pandas.IntervalArray",
        lambda i: [(".left", pd.Index(i.left)), (".right", pd.Index(i.right)), (".closed", i.closed)],
        pd.arrays.IntervalArray.from_arrays,
    ),
    pd.SparseDtype: Kind(
        "pandas.SparseArray",
        lambda s: [("", np.asarray(s)), (".fill_value", s.fill_value), (".kind", s.kind)],
        lambda dense, fill, kind: pd.arrays.SparseArray(
            dense, fill_value=fill, kind=kind, dtype=pd.SparseDtype(dense.dtype, fill)
        ),
    ),
    pd.StringDtype: Kind("pandas.StringArray", _strings_parts, _strings),
}
_BY_TYPE = {
    pd.arrays.DatetimeArray: Kind("pandas.DatetimeArray", _datetimes_parts, _datetimes),
    pd.arrays.TimedeltaArray: Kind(
        "pandas.TimedeltaArray",
        lambda t: [("", t.to_numpy().view())],
        lambda lengths: pd.TimedeltaIndex(fitting(lengths)).array,
    ),
    # NumpyExtensionArray since 2.1, PandasArray before
    type(pd.Series([0]).array): Kind(
        "pandas.NumpyExtensionArray", lambda a: [("", a.to_numpy().view())], lambda array: series(array, None).array
    ),
}
_NULLABLE = {
    getattr(pd.arrays, kind.name.partition(".")[2]): kind
    for name in ("IntegerArray", "FloatingArray", "BooleanArray")
    for kind in _nullable(name)
}

KINDS = named(*_BY_DTYPE.values(), *_BY_TYPE.values(), *_NULLABLE.values())


def find(value: typing.Any) -> typing.Optional[Kind]:
    if not isinstance(value, pd.api.extensions.ExtensionArray):
        return None
    kind = _BY_TYPE.get(type(value)) or _NULLABLE.get(type(value)) or _BY_DTYPE.get(type(value.dtype))
    if kind is None:
        raise NotPortable(
            f"pandas values of dtype {value.dtype} cannot be passed. Convert them, for example with .astype(object)."
        )
    return kind
