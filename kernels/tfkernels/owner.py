"""Ends this kernel when the process that started it is gone, however that one ended.

ipykernel's own poller of the Python 3.7 era waits for a parent with the number 1. Under a process supervisor that
adopts orphans that never comes, and the kernel lives on with the GPU's memory.
"""

import os
import shutil
import signal
import threading
import time
import typing

PERIOD = 0.5
"""Seconds between two looks."""


def watch() -> bool:
    """Starts the watching thread, if this process knows its owner and is its direct child; says whether it did."""
    owner = os.environ.get("JPY_PARENT_PID", "")
    # On Windows a process's parent number never changes; ipykernel watches a handle there instead.
    if os.name != "posix" or not owner.isdigit() or int(owner) != os.getppid():
        return False
    arguments = (int(owner), os.environ.get("TFKERNELS_FOLDER"))
    threading.Thread(target=_watch, args=arguments, name="tfkernels-owner", daemon=True).start()
    return True


def _watch(owner: int, folder: typing.Optional[str]) -> None:
    while os.getppid() == owner:
        time.sleep(PERIOD)
    if folder:
        shutil.rmtree(folder, ignore_errors=True)
    # Servers and workers that cells left running belong to this kernel's process group and end with it.
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(1)
