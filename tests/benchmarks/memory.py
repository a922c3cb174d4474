"""The most memory that an exchange of 1 GB takes beyond what there was: both processes' own, and shared memory.

Counted are the private pages of both processes and the shared memory of the whole machine, from before the cell, when
``x`` is here, until its result was summed. So what the cell makes counts as well. One that adds in place (``x += 1``)
or lets go of its input leaves two arrays, one there and one here, and they are the peak; one that keeps its input has
three arrays of its user's own, and again nothing besides. See docs/design/shared-memory.md for why it is not less.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

import tfkernels
from tests.benchmarks.arrays import local
from tests.benchmarks.rows import Job, Row
from tfkernels.client.kernel import Kernel
from tfkernels.transfer.segment_pool import shared


def used(pids: list[int | None]) -> int:
    """Kilobytes. The shared memory is the whole machine's: nobody else should use much meanwhile."""
    own = [Path(f"/proc/{pid}/status").read_text() for pid in pids]
    numbers = [re.findall(r"RssAnon:\s*(\d+)", text)[0] for text in own]
    numbers += re.findall(r"Shmem:\s*(\d+)", Path("/proc/meminfo").read_text())
    return sum(map(int, numbers))


def peak(job: Job, now: Callable[[], int]) -> int:
    """Kilobytes more than before, at most."""
    before, most, done = now(), 0, threading.Event()

    def look() -> None:
        nonlocal most
        while not done.is_set():
            most = max(most, now())
            time.sleep(0.002)

    thread = threading.Thread(target=look)
    thread.start()
    job()
    done.set()
    thread.join()
    return most - before


CELLS = (
    ("x += 1", "x", "x there, x here"),
    ("", "x + 1", "x there, x + 1 here"),
    ("y = x + 1; del x", "y", "y there, y here"),
    ("y = x + 1", "y", "x and y there, y here"),
)
"""Each with its result, and what is kept of it."""


def exchange(kernel: Kernel, array: np.ndarray, code: str, result: str) -> None:
    kernel.run(code, inputs={"x": array}, outputs={"back": result})["back"].sum()


def wait_until_idle() -> None:
    """Until the pool has given back what it can, as it does by itself; ten seconds at most."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if not shared.stats().kept:
            return
        time.sleep(0.1)


def run() -> Iterator[list[Row]]:
    array = np.ones(250_000_000, np.float32)
    size = array.nbytes / 1024
    rows = [
        Row("1 GB, most memory", "here", (peak(lambda: local(array), lambda: used([os.getpid()])) / size,), "x array")
    ]
    for name in ("tf1", "tf2"):
        kernel = tfkernels.kernel(name)
        kernel.start()
        now = partial(used, [os.getpid(), kernel.pid])
        for code, result, kept in CELLS:
            kernel.run("import numpy as np; x = y = 0", inputs={"x": np.ones(10)}, outputs={"y": "x"})
            kernel.run("x = y = 0")
            shared.close()
            start = now()
            most = peak(partial(exchange, kernel, array, code, result), now)
            rows.append(Row("1 GB, most memory", f"{name}: {kept}", (most / size,), "x array"))
            kernel.run("x = y = 0")
            idle, shared.idle = shared.idle, 0.2
            wait_until_idle()
            shared.idle = idle
            rows.append(Row("1 GB, most memory", f"{name}: {kept}, after del", ((now() - start) / size,), "x array"))
    yield rows
