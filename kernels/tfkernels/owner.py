"""Ends this kernel when the process that started it is gone, however that one ended.

ipykernel's own poller of the Python 3.7 era waits for a parent with the number 1. Under a process supervisor that
adopts orphans that never comes, and the kernel lives on with the GPU's memory.
"""

import os
import shutil
import signal
import threading
import time

PERIOD = 0.5
"""Seconds between two looks."""


FOLDER = os.environ.pop("TFKERNELS_FOLDER", None)
"""The private folder that is to be deleted with this process, if another kernel started it. Not for its children."""


watching = False


def watch() -> None:
    """Starts the watching thread, if this process is a direct child of its owner."""
    global watching
    owner = os.environ.get("JPY_PARENT_PID", "")
    # On Windows a process's parent number never changes; ipykernel watches a handle there instead.
    if os.name != "posix" or not owner.isdigit():
        return
    if FOLDER is None and int(owner) != os.getppid():
        return  # something stands between the server and this kernel
    # Where another kernel started this one nothing does: a different parent means that the owner is gone already.
    watching = True
    threading.Thread(target=_watch, args=(int(owner),), name="tfkernels-owner", daemon=True).start()


def _watch(owner: int) -> None:
    while os.getppid() == owner:
        time.sleep(PERIOD)
    while FOLDER and os.path.lexists(FOLDER):  # the main thread may be making sockets in it
        shutil.rmtree(FOLDER, ignore_errors=True)
    # Servers and workers that cells left running belong to this kernel's process group and end with it.
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(1)
