"""What has to be on the disk before something else is: after a power cut the later of two files may be the only one."""

import ctypes
import os
import sys
from pathlib import Path


def flush(folder: Path) -> None:
    """Returns when everything that was written to the file system of ``folder`` is on its disk.

    One call for the whole file system, because an environment has ten thousand files. Raises ``OSError``.
    """
    if not sys.platform.startswith("linux"):
        if hasattr(os, "sync"):
            os.sync()
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        library = ctypes.CDLL(None, use_errno=True)
        if library.syncfs(descriptor):  # where os.sync() would wait for all other disks, too
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(folder))
    finally:
        os.close(descriptor)
