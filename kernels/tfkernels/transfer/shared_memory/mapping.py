"""Segments in this process's memory, in huge pages where the system can.

Small pages (4 KiB) make a large segment slow: to map them takes as long as to copy what they hold, and what reads them
is slower, too. The system makes huge ones (2 MiB) of a memory file's if it is asked to (``MADV_COLLAPSE``, Linux 6.1
and newer), and shows them as such only at addresses that are multiples of that. Python's ``mmap`` takes no address, so
this is the C library's.
"""

import ctypes
import functools
import mmap
import os
import signal
import threading
import typing

HUGE = 2 * 1024 * 1024
"""Bytes of a huge page on x86-64, and on ARM with small pages of 4 KiB."""

_NONE, _FIXED, _DONTNEED, _COLLAPSE = 0, 0x10, 4, 25  # PROT_NONE, MAP_FIXED, MADV_… of <linux/mman.h>
_FAILED = ctypes.c_void_p(-1).value

_library = ctypes.CDLL(None, use_errno=True)
_library.mmap.restype = ctypes.c_void_p
_library.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
_library.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_library.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]


def finalizer(method: typing.Callable[..., None]) -> typing.Callable[..., None]:
    """For what takes long when an object ends: a ``KeyboardInterrupt`` in there would be printed and forgotten, so the
    interrupt comes again a moment later."""

    @functools.wraps(method)
    def run(*args: typing.Any) -> None:
        try:
            method(*args)
        except KeyboardInterrupt:
            threading.Timer(0.01, os.kill, (os.getpid(), signal.SIGINT)).start()

    return run


class Mapping:
    """The first ``size`` bytes of an open file as long as this object is there; NumPy makes an array of it.

    What is written to a ``shared`` one is the file's, else the mapping's own. Raises ``OSError`` if the system refuses.
    """

    def __init__(self, descriptor: int, size: int, shared: bool) -> None:
        pages = -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
        reserved = pages + HUGE
        beginning = _map(None, reserved, _NONE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1)
        start = -(-beginning // HUGE) * HUGE
        kind = mmap.MAP_SHARED if shared else mmap.MAP_PRIVATE
        try:
            _map(start, pages, mmap.PROT_READ | mmap.PROT_WRITE, kind | _FIXED, descriptor)
        except BaseException:
            _library.munmap(beginning, reserved)
            raise
        self._pages, self._unmap = pages, _library.munmap
        self.start = start
        """Its address, a multiple of 2 MiB."""
        self.size = size
        self.__array_interface__ = {"version": 3, "typestr": "|u1", "shape": (size,), "data": (start, False)}
        if start > beginning:
            _library.munmap(beginning, start - beginning)
        _library.munmap(start + pages, beginning + HUGE - start)

    @finalizer
    def __del__(self) -> None:
        if hasattr(self, "_unmap"):
            self._unmap(self.start, self._pages)

    def collapse(self) -> bool:
        """Makes huge pages of the file's small ones, as many as can be had: see ``huge``. Whether of all."""
        return int(_library.madvise(self.start, self._pages // HUGE * HUGE, _COLLAPSE)) == 0


def _map(address: typing.Optional[int], size: int, protection: int, kind: int, descriptor: int) -> int:
    found = _library.mmap(address, size, protection, kind, descriptor, 0)
    if found == _FAILED:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return int(found)


def discard(start: int, size: int) -> None:
    """Gives back the pages that lie within a range of memory. Nobody may need what is in them."""
    first, end = -(-start // mmap.PAGESIZE) * mmap.PAGESIZE, (start + size) // mmap.PAGESIZE * mmap.PAGESIZE
    if first < end:
        _library.madvise(first, end - first, _DONTNEED)
