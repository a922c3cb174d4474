"""Mappings of segments that stay for the next use, since most of what a first one costs is mapping the pages."""

import collections
import math
import os
import time
import typing

MOST = 8
"""Mappings of one kind."""

IDLE = 60.0
"""Seconds, unless ``TFKERNELS_POOL_IDLE`` says otherwise."""

Identity = typing.Tuple[int, int]
"""Device and inode of a segment. As long as a mapping of it stays, no other file gets them."""


def idle() -> float:
    """Seconds after its last use until memory is given back. Raises ``ValueError`` if the setting cannot be read."""
    text = os.environ.get("TFKERNELS_POOL_IDLE") or str(IDLE)
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not seconds >= 0:
        raise ValueError(f"TFKERNELS_POOL_IDLE is {text!r}")
    return seconds


class Kept:
    """The mappings that were used last.

    It needs no lock, and may not have one: mappings come when an array is gone, which may be in the middle of anything.
    Each step is one that CPython does at once.
    """

    def __init__(self) -> None:
        self._kept: collections.OrderedDict[Identity, typing.Tuple[float, typing.Any]] = collections.OrderedDict()
        self.clear = self._kept.clear

    def __len__(self) -> int:
        return len(self._kept)

    def put(self, segment: Identity, mapping: typing.Any) -> None:
        self._kept.pop(segment, None)
        self._kept[segment] = (time.monotonic(), mapping)
        while len(self._kept) > MOST:
            self._pop_oldest()

    def take(self, segment: Identity) -> typing.Any:
        """The mapping of a segment, which is not kept from now on; ``None`` if there is none."""
        return self._kept.pop(segment, (0, None))[1]

    def expire(self, seconds: float) -> None:
        """Lets go of what was not used for so long."""
        limit = time.monotonic() - seconds
        while True:
            segment, (used, mapping) = self._pop_oldest()
            if mapping is None or used > limit:
                break
        if mapping is not None:
            self._kept[segment] = (used, mapping)
            self._kept.move_to_end(segment, last=False)

    def _pop_oldest(self) -> typing.Tuple[Identity, typing.Tuple[float, typing.Any]]:
        try:
            return self._kept.popitem(last=False)
        except KeyError:  # another thread was faster
            return (0, 0), (float("inf"), None)
