"""Time zones, by name or by their distance from UTC; the objects differ between Pythons and pandas releases."""

import typing

from tfkernels.errors import ExchangeError, NotPortable

Zone = typing.Union[None, str, float]
"""None, a name of the time zone database, or seconds east of UTC."""


def describe(zone: typing.Any) -> Zone:
    """Raises ``NotPortable`` for a zone that has no name."""
    if zone is None:
        return None
    name = getattr(zone, "key", None) or getattr(zone, "zone", None)  # zoneinfo's, pytz's
    if isinstance(name, str):
        return name
    offset = zone.utcoffset(None)
    if offset is None:
        raise NotPortable(f"time zone {zone!r} has no name; convert to a zone of zoneinfo, or to UTC")
    return float(offset.total_seconds()) or "UTC"


def named_zone(name: str) -> typing.Any:
    try:
        from zoneinfo import ZoneInfo
    except ImportError:
        raise ExchangeError(
            f"a time in the zone {name} arrived, and this Python has no zoneinfo (it came with 3.9); pass the time in "
            f"UTC: value.astimezone(datetime.timezone.utc)"
        ) from None
    return ZoneInfo(name)
