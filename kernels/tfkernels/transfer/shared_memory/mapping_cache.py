"""Cache of mappings of segments, least recently used first: most of what a new one costs is mapping the pages."""

import collections
import math
import os
import time
import typing

if typing.TYPE_CHECKING:  # it needs NumPy
    from tfkernels.transfer.shared_memory.mapping import MappedSegment

MAX_MAPPINGS = 8

DEFAULT_IDLE_SECONDS = 60.0
"""Used unless ``TFKERNELS_POOL_IDLE`` is set."""

Identity = typing.Tuple[int, int]
"""Device and inode of a segment. As long as a mapping of it stays, no other file gets them."""

_Used = typing.Tuple[float, "MappedSegment"]
"""A mapping with the time of its last use."""


def idle_seconds() -> float:
    """Time from the last use of memory to its release. Raises ``ValueError`` for a bad ``TFKERNELS_POOL_IDLE``."""
    text = os.environ.get("TFKERNELS_POOL_IDLE") or str(DEFAULT_IDLE_SECONDS)
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not seconds >= 0:
        raise ValueError(f"TFKERNELS_POOL_IDLE is {text!r}")
    return seconds


class MappingCache:
    """Keeps the mappings that were used last.

    It must not use a lock: finalizers of arrays call ``put`` in the middle of anything. Each step is atomic in CPython.
    """

    def __init__(self) -> None:
        self._mappings: collections.OrderedDict[Identity, _Used] = collections.OrderedDict()
        self.clear = self._mappings.clear

    def __len__(self) -> int:
        return len(self._mappings)

    def put(self, segment: Identity, mapping: "MappedSegment") -> None:
        self._mappings.pop(segment, None)
        self._mappings[segment] = (time.monotonic(), mapping)
        while len(self._mappings) > MAX_MAPPINGS:
            self._pop_oldest()

    def take(self, segment: Identity) -> typing.Optional["MappedSegment"]:
        """Removes and returns the mapping of a segment; ``None`` if there is none."""
        found = self._mappings.pop(segment, None)
        return None if found is None else found[1]

    def expire(self, seconds: float) -> None:
        """Drops mappings that were not used for so long."""
        limit = time.monotonic() - seconds
        while True:
            segment, (used, mapping) = self._pop_oldest()
            if mapping is None or used > limit:
                break
        if mapping is not None:
            self._mappings[segment] = (used, mapping)
            self._mappings.move_to_end(segment, last=False)

    def _pop_oldest(self) -> typing.Tuple[Identity, typing.Tuple[float, typing.Optional["MappedSegment"]]]:
        try:
            return self._mappings.popitem(last=False)
        except KeyError:  # another thread was faster
            return (0, 0), (float("inf"), None)
