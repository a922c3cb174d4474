"""Which pages of a private mapping are still the file's, and which are this process's own, because it wrote to them.

The system keeps that account in ``/proc/self/pagemap``.
"""

import mmap
import sys
import typing

_ENTRY = 8  # bytes
_STATE = slice(7 if sys.byteorder == "little" else 0, None, _ENTRY)
"""Of the entries' bytes, those with the state."""


def _bytes(*states: int) -> bytes:
    return bytes(byte for byte in range(256) if byte >> 5 in states)


# The state's bits say, from the left: present, swapped, of a file. A page of the file that was swapped out, or never
# looked at, has none of them; one that the system is just moving to other memory has the last two.
_OF_FILE = _bytes(0b000, 0b101, 0b011)
_OWN = _bytes(0b100, 0b010)


def untouched(start: int, size: int) -> bool:
    """Whether nobody has written to ``size`` bytes at an address. ``False`` where that cannot be known."""
    return _all_are(_OF_FILE, start, size)


def own(start: int, size: int) -> bool:
    """Whether every page of them was written to: the mapping does not look into its file any more, nor ever will."""
    return _all_are(_OWN, start, size)


def _all_are(states: bytes, start: int, size: int) -> bool:
    found = _states(start, size)
    return found is not None and not found.translate(None, states)


def _states(start: int, size: int) -> typing.Optional[bytes]:
    first, end = start // mmap.PAGESIZE, -(-(start + size) // mmap.PAGESIZE)
    try:
        with open("/proc/self/pagemap", "rb", buffering=0) as file:
            file.seek(first * _ENTRY)
            content = file.read((end - first) * _ENTRY)
    except OSError:
        return None
    return content[_STATE] if len(content) == (end - first) * _ENTRY else None
