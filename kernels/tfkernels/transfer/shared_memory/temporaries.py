"""Arrays that end as soon as they are written: their memory goes part by part meanwhile, and not at the end.

The value of an expression, as in ``tf1["x + 1"]``, has no name anywhere. Else there would be, while it is written,
three arrays for one that was sent: ``x`` there, the sum, and the sum on its way.
"""

import sys
import typing

import numpy as np

from tfkernels.transfer.shared_memory.mapping import discard

FROM = 64 * 1024 * 1024
"""Bytes. Less may be memory that the C library keeps for the next array, and that would have to be had anew."""


def only_here(buffer: typing.Any) -> bool:
    """Whether nobody else has the array whose bytes these are, all of them, so that it ends with them."""
    return _is_whole(buffer) and _references(buffer) == _ALONE


def _is_whole(buffer: typing.Any) -> bool:
    owner = buffer.base if isinstance(buffer, np.ndarray) else None
    return type(owner) is np.ndarray and owner.flags.owndata and buffer.nbytes == owner.nbytes >= FROM


def _references(buffer: typing.Any) -> int:
    return sys.getrefcount(buffer.base)


_ALONE = _references(np.empty(8).view(np.uint8))
"""How many references such an array has: Pythons count differently."""


def end(part: "np.ndarray[typing.Any, typing.Any]") -> None:
    """Gives the memory of a part back to the system. Its content is lost."""
    discard(part.__array_interface__["data"][0], part.nbytes)
