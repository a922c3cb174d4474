"""Files that are whole or not there: written at once, and on the disk before something that refers to them."""

import contextlib
import ctypes
import os
import shutil
import stat
import sys
from pathlib import Path

import psutil


def replace_text(path: Path, text: str) -> None:
    """Writes a file so that readers see the old content or the new one, never a part."""
    replace_bytes(path, text.encode("utf-8"))


def replace_bytes(path: Path, content: bytes, executable: bool = False, like: Path | None = None) -> None:
    """The same for files that are no text, for programs, and with the permissions of the file ``like``."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            if executable:
                with contextlib.suppress(OSError):  # some file systems have no modes
                    temporary.chmod(0o755)
            if like is not None:
                shutil.copymode(like, temporary)
            file.flush()
            os.fsync(file.fileno())  # else a power cut may leave the new name with nothing in it
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def cause(error: OSError) -> str:
    """What the system said, and of which file, if it says that."""
    return f"{error.strerror or error}" + (f" ({error.filename})" if error.filename else "")


def closed_to_others(path: Path) -> Path | None:
    """The first folder on the way to a file, or the file, that lets in only its owner and group; links are followed."""
    end = Path(os.path.realpath(path))

    def closed(part: Path) -> bool:
        mode = part.stat().st_mode
        return not mode & (stat.S_IXOTH if stat.S_ISDIR(mode) else stat.S_IROTH)

    return next(filter(closed, (*reversed(end.parents), end)), None)


def tidy(folder: Path) -> None:
    """Deletes what ``replace_bytes`` left in a folder when it was killed."""
    for path in folder.glob(".*"):
        writer = path.suffix[1:]
        if writer.isdigit() and not psutil.pid_exists(int(writer)):
            path.unlink(missing_ok=True)


def flush(folder: Path) -> None:
    """Returns when everything that was written to the file system of ``folder`` is on its disk. Raises ``OSError``.

    One call for the whole file system, because an environment has ten thousand files.
    """
    if not sys.platform.startswith("linux"):
        os.sync()
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        library = ctypes.CDLL(None, use_errno=True)
        if library.syncfs(descriptor):  # where os.sync() would wait for all other disks, too
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(folder))
    finally:
        os.close(descriptor)
