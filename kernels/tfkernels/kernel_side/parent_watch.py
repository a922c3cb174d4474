"""Ends this kernel when the process that started it is gone, however that one ended.

ipykernel's own poller of the Python 3.7 era waits for a parent with the number 1. Under a process supervisor that
adopts orphans that never comes, and the kernel lives on with the GPU's memory.
"""

import fcntl
import os
import shutil
import signal
import threading
import time
import typing

PERIOD = 0.5
"""Seconds between two looks at the parent's number."""

FOLDER = os.environ.pop("TFKERNELS_FOLDER", None)
"""The private folder that is to be deleted with this process, if another kernel started it. Not for its children."""


watching = False


def watch() -> None:
    """Starts the watching thread, if this process was started by a notebook's kernel or directly by a server."""
    owner = os.environ.get("JPY_PARENT_PID", "")
    # On Windows a process's parent number never changes; ipykernel watches a handle there instead.
    if os.name != "posix" or not owner.isdigit():
        return
    if FOLDER is not None:
        watch_folder(FOLDER, os.getpid())
    elif int(owner) == os.getppid():  # else something stands between the server and this kernel
        _start(_wait_for_parent, int(owner))


def watch_folder(folder: str, group: int) -> None:
    """Ends this process and its process group when nobody holds the lock of the private folder any more.

    The lock is that of another kernel, and goes with it. ``group`` is what that one started: its leader is this
    process, or a program that stands between.
    """
    if not watching:
        _start(_wait_for_lock, folder, group)


def _start(watcher: typing.Callable[..., None], *arguments: typing.Any) -> None:
    global watching
    watching = True
    threading.Thread(target=watcher, args=arguments, name="tfkernels-owner", daemon=True).start()


def _wait_for_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(PERIOD)
    _end(os.getpid())


def _wait_for_lock(folder: str, group: int) -> None:
    try:
        with open(os.path.join(folder, "owner")) as lock:
            fcntl.flock(lock, fcntl.LOCK_SH)
    except OSError:
        pass  # gone, and the owner with it
    while os.path.lexists(folder):  # the main thread may be making sockets in it
        shutil.rmtree(folder, ignore_errors=True)
    _end(group)


def _end(group: int) -> None:
    # Servers and workers that cells left running belong to this kernel's process group and end with it.
    if os.getpgrp() == group:
        os.killpg(group, signal.SIGKILL)
    os._exit(1)


def log_errors(folder: str) -> None:
    """Gives file descriptor 2 back to the owner's log.

    ipykernel reads it through a pipe that dies with this process, and with it what a crash said last.
    """
    log = os.open(os.path.join(folder, "stderr"), os.O_WRONLY | os.O_APPEND)
    os.dup2(log, 2)
    os.close(log)
