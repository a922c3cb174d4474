"""Huge pages for segments, if all that is asked about them later is answered as it is of small ones."""

import functools
import os
import typing

import numpy as np

from tfkernels.errors import ExchangeError
from tfkernels.transfer.shared_memory import pages
from tfkernels.transfer.shared_memory.mapping import HUGE, Mapping
from tfkernels.transfer.shared_memory.segment import Segment


def collapse(mapping: Mapping) -> None:
    """Makes huge pages of a segment's small ones, as many as can be had."""
    if mapping.size >= HUGE and are_told():
        mapping.collapse()


def are_told() -> typing.Optional[bool]:
    """Whether the account in ``pages`` tells a file's huge pages from those that a process has written to.

    Linux before 6.11, and not every 6.1 and 6.6, says of both that they are there and not whose. ``None`` as long as no
    huge page is to be had.
    """
    try:
        return _told()
    except (OSError, ExchangeError):
        return None


@functools.lru_cache(maxsize=None)
def _told() -> bool:
    with Segment() as probe:
        os.pwrite(probe.descriptor, b"x" * HUGE, 0)
        if not Mapping(probe.descriptor, HUGE, shared=True).collapse():
            raise OSError("no huge pages")
        private = Mapping(probe.descriptor, HUGE, shared=False)
        np.asarray(private)[0].item()  # now it is there
        return not pages.own(private.start, HUGE)
