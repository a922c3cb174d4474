"""Watch of the parent process: the kernel ends when the process that started it is gone, however that one ended.

See docs/design/kernel-side.md.
"""

import fcntl
import os
import shutil
import signal
import time
import typing

from tfkernels import debugger

POLL_INTERVAL = 0.5  # seconds between two looks at the parent's number
DELETION_TIMEOUT = 5.0  # seconds that the deletion of the folder may take: one on a dead network disk never ends

FOLDER = os.environ.pop("TFKERNELS_FOLDER", None)
"""The private folder that is deleted with this process, if another kernel started it. Not for its children."""

watching = False


def watch() -> None:
    """Starts the watch, if a notebook's kernel started this process, or a server did so directly."""
    parent = os.getppid()
    if FOLDER is not None:
        watch_folder(FOLDER, os.getpid())
    elif os.environ.get("JPY_PARENT_PID") == str(parent):  # else another program is between the server and this kernel
        _start(_wait_for_parent, parent)


def watch_folder(folder: str, group: int) -> None:
    """Ends this process and its process ``group`` when the lock of the private folder is free.

    The kernel that started the group holds the lock. The group's leader is this process, or a program in between.
    """
    if not watching:
        _start(_wait_for_lock, folder, group)


def _start(watcher: typing.Callable[..., None], *arguments: typing.Any) -> None:
    global watching
    watching = True
    debugger.untraced_thread("owner", watcher, *arguments).start()


def _wait_for_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(POLL_INTERVAL)
    _end(os.getpid())


def _wait_for_lock(folder: str, group: int) -> None:
    try:
        with open(os.path.join(folder, "owner")) as lock:
            fcntl.flock(lock, fcntl.LOCK_SH)
    except OSError:
        pass  # gone, and the owner with it
    try:
        deletion = debugger.untraced_thread("deletion", _delete, folder)
        deletion.start()
        deletion.join(DELETION_TIMEOUT)
    finally:  # at the limit of threads there is no deletion
        _end(group)


def _delete(folder: str) -> None:
    while os.path.lexists(folder):  # the main thread may be making sockets in it
        shutil.rmtree(folder, ignore_errors=True)
        time.sleep(0.01)


def _end(group: int) -> None:
    # Servers and workers that cells left running belong to this kernel's process group and end with it.
    if os.getpgrp() == group:
        os.killpg(group, signal.SIGKILL)
    os._exit(1)
