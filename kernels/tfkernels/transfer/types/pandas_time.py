"""pandas: frequencies, by class and arguments, and time zones, by name or distance from UTC.

Names of frequencies ("M", "ME") changed with pandas 2.2; objects of zones differ between Pythons and pandas releases.
"""

import typing

import numpy as np
import pandas as pd

from tfkernels.errors import ExchangeError, NotPortable

Offset = typing.Any

# fmt: off
_CLASSES = frozenset({
    "BQuarterBegin", "BQuarterEnd", "BYearBegin", "BYearEnd", "BusinessDay", "BusinessHour", "BusinessMonthBegin",
    "BusinessMonthEnd", "CustomBusinessDay", "CustomBusinessHour", "CustomBusinessMonthBegin",
    "CustomBusinessMonthEnd", "DateOffset", "Day", "Easter", "FY5253", "FY5253Quarter", "Hour", "LastWeekOfMonth",
    "Micro", "Milli", "Minute", "MonthBegin", "MonthEnd", "Nano", "QuarterBegin", "QuarterEnd", "Second",
    "SemiMonthBegin", "SemiMonthEnd", "Week", "WeekOfMonth", "YearBegin", "YearEnd",
})
# fmt: on


def describe_offset(offset: Offset) -> typing.Any:
    """``None``, or name of the class, count, whether to normalize, and further arguments."""
    if offset is None:
        return None
    # NumPy's calendar is made of the weekmask and the holidays, which are there too.
    options = {name: value for name, value in offset.kwds.items() if type(value) is not np.busdaycalendar}
    return [type(offset).__name__, int(offset.n), bool(offset.normalize), options]


def offset(described: typing.Any) -> Offset:
    if described is None:
        return None
    name, count, normalize, options = described
    if name not in _CLASSES or not hasattr(pd.offsets, name):
        raise ExchangeError(
            f"The frequency {name} arrived, and pandas {pd.__version__} here has none. Set freq to None."
        )
    return getattr(pd.offsets, name)(count, normalize=normalize, **options)


Zone = typing.Union[None, str, float]
"""None, a name of the time zone database, or seconds east of UTC."""


def describe_zone(zone: typing.Any) -> Zone:
    """Raises ``NotPortable`` for a zone that has no name."""
    if zone is None:
        return None
    name = getattr(zone, "key", None) or getattr(zone, "zone", None)  # zoneinfo's, pytz's
    if isinstance(name, str):
        return name
    offset = zone.utcoffset(None)
    if offset is None:
        raise NotPortable(f"time zone {zone!r} has no name. Convert to a zone of zoneinfo, or to UTC.")
    return float(offset.total_seconds()) or "UTC"
