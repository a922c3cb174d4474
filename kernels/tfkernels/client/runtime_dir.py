"""Private folders for the sockets of other kernels."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import socket
import tempfile
import time
from pathlib import Path
from typing import Iterator

import zmq

_PREFIX = "tfkernels-"
_LOCK = "owner"
_LOCKED_AFTER = 60.0  # seconds; the owner of a younger folder may not have locked it yet
_locks: dict[Path, int] = {}


def make() -> Path:
    """A new folder, mode 700, in the first place that holds sockets and locks, with a path short enough for a socket's.

    It is locked as long as this process lives. Folders whose owner was killed are deleted at the same time.
    Raises ``OSError``.
    """
    problems: list[OSError] = []
    for base in dict.fromkeys(filter(None, _places())):
        try:
            return _made(base)
        except OSError as error:
            problems.append(error)
    raise problems[0]


def _places() -> Iterator[str]:
    with contextlib.suppress(FileNotFoundError):  # neither TMPDIR nor the system's places can be written
        yield tempfile.gettempdir()
    yield os.environ.get("XDG_RUNTIME_DIR", "")
    yield "/tmp"  # noqa: S108 (mode 700 inside)


def _made(base: str) -> Path:
    """The folder in one place. Raises ``OSError`` if it does not do: it is full, or on a network disk without locks."""
    if len(os.fsencode(f"{base}/{_PREFIX}12345678/s-5")) >= zmq.IPC_PATH_MAX_LEN:
        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), base)
    _sweep(Path(base))
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=base))
    try:
        _locks[folder] = os.open(folder / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(_locks[folder], fcntl.LOCK_EX | fcntl.LOCK_NB)
        with socket.socket(socket.AF_UNIX) as trial:
            trial.bind(f"{folder}/s-0")
        os.unlink(folder / "s-0")
    except BaseException:
        remove(folder)
        raise
    return folder


def remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    if folder in _locks:
        os.close(_locks.pop(folder))


def _disown() -> None:
    """After a fork: the child is not the owner, and its copy of the descriptor would keep the lock."""
    for descriptor in _locks.values():
        os.close(descriptor)
    _locks.clear()


os.register_at_fork(after_in_child=_disown)


def _sweep(base: Path) -> None:
    for folder in base.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):  # another user's, just being deleted, or its owner lives
            found = folder.stat()
            if found.st_uid == os.geteuid() and time.time() - found.st_mtime >= _LOCKED_AFTER:
                with (folder / _LOCK).open("r+") as lock:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(folder, ignore_errors=True)
