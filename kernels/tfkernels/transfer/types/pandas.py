"""pandas: frames, series, indexes and scalars; ``pandas_columns`` has what they hold.

Described by values, labels and names, so that it passes between pandas 1.1 and 3. What a pandas has no type for arrives
as what that pandas itself would have made of it: see ``pandas_columns``.
"""

import contextlib
import typing

import numpy as np
import pandas as pd

from tfkernels.transfer.types import pandas_columns
from tfkernels.transfer.types.pandas_time import Zone, describe_offset, describe_zone, offset
from tfkernels.transfer.types.registry import Kind, Parts, attributes, named

Frame = typing.Any
Index = typing.Any
Values = typing.Any


def _series_parts(series: Frame) -> Parts:
    return [
        (".array", pandas_columns.values(series)),
        (".index", series.index),
        (".name", series.name),
        (".attrs", dict(series.attrs)),
    ]


def _series(values: Values, index: typing.Any, name: typing.Any, attrs: typing.Dict[typing.Any, typing.Any]) -> Frame:
    series = pandas_columns.series(values, index)
    series.name = name
    series.attrs.update(attrs)
    return series


def _frame_parts(frame: Frame) -> Parts:
    parts: Parts = [(".index", frame.index), (".columns", frame.columns), (".attrs", dict(frame.attrs))]
    types = set(frame.dtypes)
    if len(types) == 1 and isinstance(next(iter(types)), np.dtype):
        return [*parts, (".values", frame.to_numpy())]  # one piece; if pandas holds it as one, no copy
    for position in range(frame.shape[1]):
        parts.append((f".iloc[:, {position}]", pandas_columns.values(frame.iloc[:, position])))
    return parts


def _frame(index: typing.Any, labels: typing.Any, attrs: typing.Dict[typing.Any, typing.Any], *values: Values) -> Frame:
    if len(values) == 1 and isinstance(values[0], np.ndarray) and values[0].ndim == 2:
        table = pandas_columns.fitting(values[0])
        frame = pd.DataFrame(table, index=index, dtype=table.dtype, copy=False)
    else:
        # By position, because labels may occur twice; and as series, because pandas 3 guesses at the type of arrays.
        frame = pd.DataFrame(
            {i: pandas_columns.series(v, index) for i, v in enumerate(values)}, index=index, copy=False
        )
    frame.columns = labels
    frame.attrs.update(attrs)
    return frame


def _index_parts(index: Index) -> Parts:
    timed = isinstance(index, (pd.DatetimeIndex, pd.TimedeltaIndex))
    return [
        (".array", pandas_columns.values(index)),
        (".name", index.name),
        (".freq", describe_offset(index.freq) if timed else None),
    ]


def _index(values: Values, name: typing.Any, freq: typing.Any) -> Index:
    if not isinstance(values, np.ndarray):
        index = pd.Index(values, name=name)
    else:
        values = pandas_columns.fitting(values)
        # Tuples would become a MultiIndex, and strings in pandas 3 a `str`.
        index = pd.Index(values, dtype=values.dtype, name=name, tupleize_cols=False)
    if freq is not None:
        # What is a day where clocks change is another thing in pandas 3. It leaves a frequency that does not fit out
        # when it converts times; so do we.
        with contextlib.suppress(ValueError):
            index.freq = offset(freq)
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


def _timestamp(moment: np.datetime64, zone: Zone) -> typing.Any:
    return pandas_columns.local(pd.Timestamp(pandas_columns.fitting(np.array([moment]))[0]), zone)


_BY_TYPE: typing.Dict[type, Kind] = {
    pd.DataFrame: Kind("pandas.DataFrame", _frame_parts, _frame),
    pd.Series: Kind("pandas.Series", _series_parts, _series),
    pd.Timestamp: Kind(
        "pandas.Timestamp",
        lambda t: [
            ("", t.tz_convert(None).to_datetime64() if t.tz else t.to_datetime64()),
            (".tz", describe_zone(t.tz)),
        ],
        _timestamp,
    ),
    pd.Timedelta: Kind(
        "pandas.Timedelta",
        lambda t: [("", t.to_timedelta64())],
        lambda length: pd.Timedelta(pandas_columns.fitting(np.array([length]))[0]),
    ),
    pd.Period: Kind(
        "pandas.Period",
        lambda p: [(".ordinal", p.ordinal), (".freq", describe_offset(p.freq))],
        lambda ordinal, freq: pd.Period(ordinal=ordinal, freq=offset(freq)),
    ),
    pd.Interval: Kind("pandas.Interval", attributes("left", "right", "closed"), pd.Interval),
    type(pd.NaT): Kind("pandas.NaT", attributes(), lambda: pd.NaT),
    type(pd.NA): Kind("pandas.NA", attributes(), lambda: pd.NA),
}

_FLAGGED = hasattr(pd.DataFrame, "flags")  # since pandas 1.2


def _unique(value: Frame) -> Frame:
    if _FLAGGED:
        value.flags.allows_duplicate_labels = False
    return value


_UNIQUE = Kind("pandas.unique_labels", lambda f: [("", f.set_flags(allows_duplicate_labels=True))], _unique)
"""A frame or series that does not take a label twice."""

KINDS = {**named(*_BY_TYPE.values(), _UNIQUE, _LABELS, _RANGE, _LEVELS), **pandas_columns.KINDS}


def find(value: typing.Any) -> typing.Optional[Kind]:
    if type(value) in (pd.DataFrame, pd.Series) and _FLAGGED and not value.flags.allows_duplicate_labels:
        return _UNIQUE
    return _BY_TYPE.get(type(value)) or pandas_columns.find(value) or _find_index(value)


def _find_index(value: typing.Any) -> typing.Optional[Kind]:
    if type(value) is pd.MultiIndex:
        return _LEVELS
    if type(value) is pd.RangeIndex:
        return _RANGE
    return _LABELS if isinstance(value, pd.Index) else None
