"""pandas: frames, series and indexes, what their columns consist of, scalars, frequencies and time zones.

Described by values, labels and names, so that it passes between pandas 1.1 and 3. What a pandas has no type for arrives
as what that pandas itself would have made of it: `str` columns of pandas 3 become object columns with NaN, as an older
one holds its strings; times in s, ms or us become ns, if they fit; ``Float64`` before pandas 1.2 is refused.
"""

import contextlib
import datetime
import typing

import numpy as np
import pandas as pd

from tfkernels.errors import ExchangeError, NotPortable
from tfkernels.transfer.types.registry import Kind, Parts, attributes, named

Frame = typing.Any
"""A frame or a series."""
Values = typing.Any
"""What a column consists of: a NumPy array or one of pandas' own."""
Zone = typing.Union[None, str, float]
"""None, a name of the time zone database, or seconds east of UTC."""

# Frames, series and indexes


def _values(series: typing.Any) -> Values:
    """What a series or an index holds. A new object each time: pandas shares arrays between copies of a frame and
    keeps count of it, so they must not arrive as one array."""
    return (series.to_numpy() if isinstance(series.dtype, np.dtype) else series.array).view()


def _column(values: Values, index: typing.Any) -> Frame:
    """A series of exactly these values; without ``dtype`` pandas would guess at objects."""
    if isinstance(values, np.ndarray):
        values = _fitting(values)
        return pd.Series(values, index=index, dtype=values.dtype, copy=False)
    return pd.Series(values, index=index, copy=False)


def _series_parts(series: Frame) -> Parts:
    return [(".array", _values(series)), *attributes("index", "name")(series), (".attrs", dict(series.attrs))]


def _series(values: Values, index: typing.Any, name: typing.Any, attrs: typing.Dict[typing.Any, typing.Any]) -> Frame:
    series = _column(values, index)
    series.name = name
    series.attrs.update(attrs)
    return series


def _frame_parts(frame: Frame) -> Parts:
    parts: Parts = [*attributes("index", "columns")(frame), (".attrs", dict(frame.attrs))]
    types = set(frame.dtypes)
    if len(types) == 1 and isinstance(next(iter(types)), np.dtype):
        return [*parts, (".values", frame.to_numpy())]  # one piece; if pandas holds it as one, no copy
    return [*parts, *((f".iloc[:, {i}]", _values(frame.iloc[:, i])) for i in range(frame.shape[1]))]


def _frame(index: typing.Any, labels: typing.Any, attrs: typing.Dict[typing.Any, typing.Any], *values: Values) -> Frame:
    if len(values) == 1 and isinstance(values[0], np.ndarray) and values[0].ndim == 2:
        table = _fitting(values[0])
        frame = pd.DataFrame(table, index=index, dtype=table.dtype, copy=False)
    else:
        # By position, because labels may occur twice; and as series, because pandas 3 guesses at the type of arrays.
        frame = pd.DataFrame({i: _column(each, index) for i, each in enumerate(values)}, index=index, copy=False)
    frame.columns = labels
    frame.attrs.update(attrs)
    return frame


_FLAGGED = hasattr(pd.DataFrame, "flags")  # since pandas 1.2


def _unique(value: Frame) -> Frame:
    if _FLAGGED:
        value.flags.allows_duplicate_labels = False
    return value


_UNIQUE = Kind("pandas.unique_labels", lambda f: [("", f.set_flags(allows_duplicate_labels=True))], _unique)
"""A frame or series that does not take a label twice."""


def _index_parts(index: typing.Any) -> Parts:
    timed = isinstance(index, (pd.DatetimeIndex, pd.TimedeltaIndex))
    return [(".array", _values(index)), (".name", index.name), (".freq", _describe(index.freq) if timed else None)]


def _index(values: Values, name: typing.Any, freq: typing.Any) -> typing.Any:
    if isinstance(values, np.ndarray):
        values = _fitting(values)
        # Tuples would become a MultiIndex, and strings in pandas 3 a `str`.
        index = pd.Index(values, dtype=values.dtype, name=name, tupleize_cols=False)
    else:
        index = pd.Index(values, name=name)
    if freq is not None:
        # What is a day where clocks change is another thing in pandas 3. It leaves a frequency that does not fit out
        # when it converts times; so do we.
        with contextlib.suppress(ValueError):
            index.freq = _offset(freq)
    return index


_LABELS = Kind("pandas.Index", _index_parts, _index)
_RANGE = Kind(
    "pandas.RangeIndex",
    attributes("start", "stop", "step", "name"),
    lambda start, stop, step, name: pd.RangeIndex(start, stop, step, name=name),
)
_LEVELS = Kind(
    "pandas.MultiIndex",
    lambda index: [
        (".levels", [level.rename(None) for level in index.levels]),
        (".codes", [np.array(codes) for codes in index.codes]),
        (".names", list(index.names)),
    ],
    lambda levels, codes, names: pd.MultiIndex(levels=levels, codes=codes, names=names),
)

# Times


def _fitting(array: "np.ndarray[typing.Any, typing.Any]") -> "np.ndarray[typing.Any, typing.Any]":
    """The array with its times in a unit that this pandas has. Raises ``ExchangeError`` if they do not fit."""
    unit = array.dtype.str[3:]
    if array.dtype.kind not in "mM" or unit == "[ns]" or int(pd.__version__.split(".")[0]) >= 2:
        return array
    nanoseconds = int(np.ones(1, "m8" + unit).astype("m8[ns]").view("i8")[0])
    steps = array.view("i8")
    limit = (2**63 - 1) // nanoseconds
    if not ((steps == np.iinfo("i8").min) | (np.abs(steps) <= limit)).all():
        raise ExchangeError(
            f"{array.dtype} values arrived, and pandas {pd.__version__} here holds times in nanoseconds only: from "
            f"1677 to 2262, and differences up to 292 years. Pass times within, or a NumPy array."
        )
    return array.astype(array.dtype.str[:2] + "8[ns]")


# Names of frequencies ("M", "ME") changed with pandas 2.2, those of their classes did not.
# fmt: off
_OFFSETS = frozenset({
    "BQuarterBegin", "BQuarterEnd", "BYearBegin", "BYearEnd", "BusinessDay", "BusinessHour", "BusinessMonthBegin",
    "BusinessMonthEnd", "CustomBusinessDay", "CustomBusinessHour", "CustomBusinessMonthBegin",
    "CustomBusinessMonthEnd", "DateOffset", "Day", "Easter", "FY5253", "FY5253Quarter", "Hour", "LastWeekOfMonth",
    "Micro", "Milli", "Minute", "MonthBegin", "MonthEnd", "Nano", "QuarterBegin", "QuarterEnd", "Second",
    "SemiMonthBegin", "SemiMonthEnd", "Week", "WeekOfMonth", "YearBegin", "YearEnd",
})
# fmt: on


def _describe(offset: typing.Any) -> typing.Any:
    """``None``, or name of the class, count, whether to normalize, and further arguments."""
    if offset is None:
        return None
    # NumPy's calendar is made of the weekmask and the holidays, which are there too.
    options = {name: value for name, value in offset.kwds.items() if type(value) is not np.busdaycalendar}
    return [type(offset).__name__, int(offset.n), bool(offset.normalize), options]


def _offset(described: typing.Any) -> typing.Any:
    name, count, normalize, options = described
    if name not in _OFFSETS or not hasattr(pd.offsets, name):
        raise ExchangeError(
            f"The frequency {name} arrived, and pandas {pd.__version__} here has none. Set freq to None."
        )
    return getattr(pd.offsets, name)(count, normalize=normalize, **options)


def _zone(zone: typing.Any) -> Zone:
    """Objects of zones differ between Pythons and pandas releases. Raises ``NotPortable`` for one without a name."""
    if zone is None:
        return None
    name = getattr(zone, "key", None) or getattr(zone, "zone", None)  # zoneinfo's, pytz's
    if isinstance(name, str):
        return name
    offset = zone.utcoffset(None)
    if offset is None:
        raise NotPortable(f"time zone {zone!r} has no name. Convert to a zone of zoneinfo, or to UTC.")
    return float(offset.total_seconds()) or "UTC"


def _local(moments: typing.Any, zone: Zone) -> typing.Any:
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


def _datetimes_parts(array: Values) -> Parts:
    zone = getattr(array.dtype, "tz", None)
    naive = pd.DatetimeIndex(array)
    return [("", (naive if zone is None else naive.tz_convert(None)).to_numpy()), (".tz", _zone(zone))]


def _first(scalar: typing.Any) -> typing.Any:
    """A time of NumPy in a unit that this pandas has."""
    return _fitting(np.array([scalar]))[0]


# Columns


def _nullable(name: str) -> Kind:
    known = getattr(pd.arrays, name)

    def parts(array: Values) -> Parts:
        plain = np.dtype(bool) if name == "BooleanArray" else array.dtype.numpy_dtype
        return [("", array.to_numpy(plain, na_value=plain.type(0))), (".isna()", array.isna())]

    return Kind("pandas." + name, parts, lambda plain, missing: known(plain, missing))


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

_BY_DTYPE = {
    pd.CategoricalDtype: Kind(
        "pandas.Categorical",
        lambda c: [(".codes", np.array(c.codes)), (".categories", c.categories), (".ordered", bool(c.ordered))],
        lambda codes, categories, ordered: pd.Categorical.from_codes(codes, categories, ordered=ordered),
    ),
    pd.PeriodDtype: Kind(
        "pandas.PeriodArray",
        lambda p: [(".asi8", p.asi8.view()), (".freq", _describe(p.dtype.freq))],
        lambda ordinals, freq: pd.arrays.PeriodArray(ordinals, dtype=pd.PeriodDtype(_offset(freq))),
    ),
    pd.IntervalDtype: Kind(
        "pandas.IntervalArray",
        lambda i: [(".left", pd.Index(i.left)), (".right", pd.Index(i.right)), (".closed", i.closed)],
        pd.arrays.IntervalArray.from_arrays,
    ),
    pd.SparseDtype: Kind(
        "pandas.SparseArray",
        lambda s: [("", np.asarray(s)), *attributes("fill_value", "kind")(s)],
        lambda dense, fill, kind: pd.arrays.SparseArray(
            dense, fill_value=fill, kind=kind, dtype=pd.SparseDtype(dense.dtype, fill)
        ),
    ),
    pd.StringDtype: Kind("pandas.StringArray", _strings_parts, _strings),
}

# Of columns, frames and scalars
_BY_TYPE: typing.Dict[type, Kind] = {
    pd.DataFrame: Kind("pandas.DataFrame", _frame_parts, _frame),
    pd.Series: Kind("pandas.Series", _series_parts, _series),
    pd.MultiIndex: _LEVELS,
    pd.RangeIndex: _RANGE,
    pd.arrays.DatetimeArray: Kind(
        "pandas.DatetimeArray",
        _datetimes_parts,
        lambda moments, zone: _local(pd.DatetimeIndex(_fitting(moments)), zone).array,
    ),
    pd.arrays.TimedeltaArray: Kind(
        "pandas.TimedeltaArray",
        lambda t: [("", t.to_numpy().view())],
        lambda lengths: pd.TimedeltaIndex(_fitting(lengths)).array,
    ),
    # NumpyExtensionArray since 2.1, PandasArray before
    type(pd.Series([0]).array): Kind(
        "pandas.NumpyExtensionArray", lambda a: [("", a.to_numpy().view())], lambda array: _column(array, None).array
    ),
    **{
        getattr(pd.arrays, name): _nullable(name)
        for name in ("IntegerArray", "FloatingArray", "BooleanArray")
        if hasattr(pd.arrays, name)
    },
    pd.Timestamp: Kind(
        "pandas.Timestamp",
        lambda t: [("", (t.tz_convert(None) if t.tz else t).to_datetime64()), (".tz", _zone(t.tz))],
        lambda moment, zone: _local(pd.Timestamp(_first(moment)), zone),
    ),
    pd.Timedelta: Kind(
        "pandas.Timedelta", lambda t: [("", t.to_timedelta64())], lambda length: pd.Timedelta(_first(length))
    ),
    pd.Period: Kind(
        "pandas.Period",
        lambda p: [(".ordinal", p.ordinal), (".freq", _describe(p.freq))],
        lambda ordinal, freq: pd.Period(ordinal=ordinal, freq=_offset(freq)),
    ),
    pd.Interval: Kind("pandas.Interval", attributes("left", "right", "closed"), pd.Interval),
    type(pd.NaT): Kind("pandas.NaT", attributes(), lambda: pd.NaT),
    type(pd.NA): Kind("pandas.NA", attributes(), lambda: pd.NA),
}

KINDS = named(*_BY_TYPE.values(), *_BY_DTYPE.values(), _UNIQUE, _LABELS)


def find(value: typing.Any) -> typing.Optional[Kind]:
    if type(value) in (pd.DataFrame, pd.Series) and _FLAGGED and not value.flags.allows_duplicate_labels:
        return _UNIQUE
    found = _BY_TYPE.get(type(value))
    if found is not None or not isinstance(value, pd.api.extensions.ExtensionArray):
        return found or (_LABELS if isinstance(value, pd.Index) else None)
    if type(value.dtype) not in _BY_DTYPE:
        raise NotPortable(
            f"pandas values of dtype {value.dtype} cannot be passed. Convert them, for example with .astype(object)."
        )
    return _BY_DTYPE[type(value.dtype)]
