"""Mappings of segments at aligned addresses, their huge pages, and which of their pages were written to.

Python's ``mmap`` takes no address, so this is the C library's. See docs/design/shared-memory.md.
"""

import ctypes
import mmap
import os
import sys
import typing

from tfkernels.sigint import finalizer, postponed

HUGE_PAGE = 2 * 1024 * 1024
"""Bytes of a huge page on x86-64, and on ARM with small pages of 4 KiB."""

_NO_ACCESS, _FIXED, _DONTNEED, _COLLAPSE = 0, 0x10, 4, 25  # PROT_NONE, MAP_FIXED, MADV_… of <linux/mman.h>
_FAILED = ctypes.c_void_p(-1).value

_library = ctypes.CDLL(None, use_errno=True)
_library.mmap.restype = ctypes.c_void_p
_library.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
_library.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_library.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]


class Mapping:
    """The first ``size`` bytes of an open file, mapped as long as this object lives; NumPy makes an array of it.

    Writes to a ``shared`` one go to the file, else to private pages. It has a ``descriptor`` of the file of its own.
    Raises ``OSError`` if the system refuses.
    """

    start = 0
    """Its address, a multiple of 2 MiB."""
    descriptor = -1

    @postponed()
    def __init__(self, descriptor: int, size: int, shared: bool) -> None:
        self._unmap = _library.munmap
        self._pages = -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
        self.size = size
        reserved = self._pages + HUGE_PAGE
        beginning = _map(None, reserved, _NO_ACCESS, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1)
        start = -(-beginning // HUGE_PAGE) * HUGE_PAGE
        kind = mmap.MAP_SHARED if shared else mmap.MAP_PRIVATE
        try:
            _map(start, self._pages, mmap.PROT_READ | mmap.PROT_WRITE, kind | _FIXED, descriptor)
        except BaseException:
            self._unmap(beginning, reserved)
            raise
        self.start = start
        self._unmap(beginning, start - beginning)
        self._unmap(start + self._pages, beginning + HUGE_PAGE - start)
        self.descriptor = os.dup(descriptor)
        self.__array_interface__ = {"version": 3, "typestr": "|u1", "shape": (size,), "data": (start, False)}

    @finalizer
    def __del__(self) -> None:
        try:
            if self.start:
                self._unmap(self.start, self._pages)
        finally:
            if self.descriptor >= 0:
                os.close(self.descriptor)

    def collapse(self) -> bool:
        """Turns the file's small pages into huge ones, as many as there are; whether all."""
        return int(_library.madvise(self.start, self._pages // HUGE_PAGE * HUGE_PAGE, _COLLAPSE)) == 0


def _map(address: typing.Optional[int], size: int, protection: int, kind: int, descriptor: int) -> int:
    found = _library.mmap(address, size, protection, kind, descriptor, 0)
    if found == _FAILED:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return int(found)


def release_pages(start: int, size: int) -> None:
    """Returns the whole pages in a range of private memory to the system; their content is lost."""
    first, end = -(-start // mmap.PAGESIZE) * mmap.PAGESIZE, (start + size) // mmap.PAGESIZE * mmap.PAGESIZE
    if first < end:
        _library.madvise(first, end - first, _DONTNEED)


# The system's account of each page, in /proc/self/pagemap
_ENTRY_BYTES = 8
_STATE_BYTES = slice(7 if sys.byteorder == "little" else 0, None, _ENTRY_BYTES)
"""Which bytes of the entries hold the state."""


def _state_bytes(*states: int) -> bytes:
    return bytes(byte for byte in range(256) if byte >> 5 in states)


# The state's bits are, from the left: present, swapped, of a file. A page of the file that was swapped out or never
# read has none of them; one that the system is just moving to other memory has the last two.
_UNMODIFIED = _state_bytes(0b000, 0b101, 0b011)
_MODIFIED = _state_bytes(0b100, 0b010)


def is_unmodified(start: int, size: int) -> bool:
    """Whether ``size`` bytes of a private mapping were never written to; ``False`` where the system does not say."""
    return _all_are(_UNMODIFIED, start, size)


def is_fully_modified(start: int, size: int) -> bool:
    """Whether every page was written to, so that the mapping never reads its file again."""
    return _all_are(_MODIFIED, start, size)


def _all_are(states: bytes, start: int, size: int) -> bool:
    found = _page_states(start, size)
    return found is not None and not found.translate(None, states)


def _page_states(start: int, size: int) -> typing.Optional[bytes]:
    first, end = start // mmap.PAGESIZE, -(-(start + size) // mmap.PAGESIZE)
    try:
        with open("/proc/self/pagemap", "rb", buffering=0) as file:
            file.seek(first * _ENTRY_BYTES)
            content = file.read((end - first) * _ENTRY_BYTES)
    except OSError:
        return None
    return content[_STATE_BYTES] if len(content) == (end - first) * _ENTRY_BYTES else None
