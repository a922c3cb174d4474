"""Which pages of a private mapping are still the file's, and which are this process's own, because it wrote to them.

The system keeps that account in ``/proc/self/pagemap``. It takes 10 ms to read it for 1 GB.
"""

import mmap
import typing

import numpy as np

_OF_FILE, _SWAPPED, _PRESENT = (np.uint64(1 << bit) for bit in (61, 62, 63))  # of an entry
_ENTRY = 8  # bytes


def untouched(start: int, size: int) -> bool:
    """Whether nobody has written to ``size`` bytes at an address. ``False`` where that cannot be known."""
    states = _states(start, size)
    if states is None:
        return False
    # Never looked at, or a page of the file. One that was swapped out is our own.
    return bool(((states == 0) | (states == _PRESENT | _OF_FILE)).all())


def own(start: int, size: int) -> bool:
    """Whether every page of them was written to: the mapping does not look into its file any more, nor ever will."""
    states = _states(start, size)
    if states is None:
        return False
    return bool(((states == _PRESENT) | (states & _SWAPPED != 0)).all())


def _states(start: int, size: int) -> "typing.Optional[np.ndarray[typing.Any, typing.Any]]":
    first, end = start // mmap.PAGESIZE, -(-(start + size) // mmap.PAGESIZE)
    try:
        with open("/proc/self/pagemap", "rb", buffering=0) as file:
            file.seek(first * _ENTRY)
            content = file.read((end - first) * _ENTRY)
    except OSError:
        return None
    if len(content) != (end - first) * _ENTRY:
        return None
    states: np.ndarray[typing.Any, typing.Any] = np.frombuffer(content, np.uint64)
    return states & (_PRESENT | _SWAPPED | _OF_FILE)
