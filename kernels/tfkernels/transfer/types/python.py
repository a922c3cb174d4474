"""Python's own small types, and named tuples."""

import collections
import datetime
import decimal
import fractions
import functools
import pathlib
import types
import typing
import uuid

from tfkernels.errors import ExchangeError
from tfkernels.imports import own_imports
from tfkernels.transfer.types.registry import Kind, Parts, attributes, named

_DATE = ("year", "month", "day")
_TIME = ("hour", "minute", "second", "microsecond", "tzinfo", "fold")

_BY_TYPE: typing.Dict[type, Kind] = {
    range: Kind("python.range", attributes("start", "stop", "step"), range),
    slice: Kind("python.slice", attributes("start", "stop", "step"), slice),
    type(Ellipsis): Kind("python.Ellipsis", attributes(), lambda: Ellipsis),
    datetime.date: Kind("python.date", attributes(*_DATE), datetime.date),
    datetime.time: Kind("python.time", attributes(*_TIME), lambda *parts: datetime.time(*parts[:5], fold=parts[5])),
    datetime.datetime: Kind(
        "python.datetime",
        attributes(*_DATE, *_TIME),
        lambda *parts: datetime.datetime(*parts[:8], fold=parts[8]),
    ),
    datetime.timedelta: Kind("python.timedelta", attributes("days", "seconds", "microseconds"), datetime.timedelta),
    datetime.timezone: Kind(
        "python.timezone",
        lambda zone: [("", zone.utcoffset(None)), ("", zone.tzname(None))],
        lambda offset, name: _timezone(offset, name),
    ),
    decimal.Decimal: Kind("python.Decimal", lambda value: [("", str(value))], decimal.Decimal),
    fractions.Fraction: Kind("python.Fraction", attributes("numerator", "denominator"), fractions.Fraction),
    uuid.UUID: Kind("python.UUID", attributes("int"), lambda number: uuid.UUID(int=number)),
    pathlib.PosixPath: Kind("python.PosixPath", lambda path: [("", str(path))], pathlib.PosixPath),
    pathlib.PurePosixPath: Kind("python.PurePosixPath", lambda path: [("", str(path))], pathlib.PurePosixPath),
    collections.Counter: Kind("python.Counter", lambda counter: [("", dict(counter))], collections.Counter),
    collections.deque: Kind("python.deque", lambda d: [("", list(d)), (".maxlen", d.maxlen)], collections.deque),
    types.SimpleNamespace: Kind(
        "python.SimpleNamespace",
        lambda value: [("." + name, part) for name, part in vars(value).items()] + [("", tuple(vars(value)))],
        lambda *parts: types.SimpleNamespace(**dict(zip(parts[-1], parts))),
    ),
}


def _timezone(offset: datetime.timedelta, name: str) -> datetime.timezone:
    for usual in (datetime.timezone.utc, datetime.timezone(offset)):
        if (usual.utcoffset(None), usual.tzname(None)) == (offset, name):
            return usual
    return datetime.timezone(offset, name)


@functools.lru_cache(maxsize=1000)
def tuple_class(name: str, fields: typing.Tuple[str, ...]) -> typing.Any:
    """One class per name and fields, so that what arrives together is of one type."""
    # Fields that are no names were renamed when the class was made, and here they are to keep that.
    make: typing.Any = collections.namedtuple  # noqa: PYI024 (the types of the fields are not known)
    cls = make(name, fields, rename=True)
    if cls._fields != fields:
        raise ValueError(f"a named tuple cannot have the fields {fields}")
    return cls


def _fields(value: typing.Any) -> Parts:
    cls = type(value)
    parts = [("." + name, item) for name, item in zip(cls._fields, value)]
    return [("", cls.__name__), ("", tuple(cls._fields)), *parts]


def _zone_info(name: str) -> typing.Any:
    try:
        with own_imports():
            from zoneinfo import ZoneInfo  # novm
    except ImportError:
        raise ExchangeError(
            f"A time in the zone {name} arrived, and this Python has no zoneinfo (it came with 3.9). Pass the time in "
            f"UTC: value.astimezone(datetime.timezone.utc)."
        ) from None
    return ZoneInfo(name)


_NAMED_TUPLE = Kind("python.namedtuple", _fields, lambda name, fields, *items: tuple_class(name, fields)(*items))
_ZONE_INFO = Kind("python.ZoneInfo", attributes("key"), _zone_info)

KINDS = named(*_BY_TYPE.values(), _NAMED_TUPLE, _ZONE_INFO)


def find(value: typing.Any) -> typing.Optional[Kind]:
    if type(value) in _BY_TYPE:
        return _BY_TYPE[type(value)]
    if type(value).__module__.partition(".")[0] == "zoneinfo" and getattr(value, "key", None):
        return _ZONE_INFO
    if isinstance(value, tuple) and isinstance(getattr(value, "_fields", None), tuple):
        return _NAMED_TUPLE
    return None
