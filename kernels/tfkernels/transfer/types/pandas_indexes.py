"""pandas: the labels of rows and columns."""

import contextlib
import typing

import numpy as np
import pandas as pd

from tfkernels.transfer.types import pandas_columns
from tfkernels.transfer.types.kind import Kind, Parts, attributes, named
from tfkernels.transfer.types.pandas_time import describe_offset, offset

Index = typing.Any


def _parts(index: Index) -> Parts:
    timed = isinstance(index, (pd.DatetimeIndex, pd.TimedeltaIndex))
    return [
        (".array", pandas_columns.values(index)),
        (".name", index.name),
        (".freq", describe_offset(index.freq) if timed else None),
    ]


def _index(values: pandas_columns.Values, name: typing.Any, freq: typing.Any) -> Index:
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


_LABELS = Kind("pandas.Index", _parts, _index)
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

KINDS = named(_LABELS, _RANGE, _LEVELS)


def find(value: typing.Any) -> typing.Optional[Kind]:
    if type(value) is pd.MultiIndex:
        return _LEVELS
    if type(value) is pd.RangeIndex:
        return _RANGE
    return _LABELS if isinstance(value, pd.Index) else None
