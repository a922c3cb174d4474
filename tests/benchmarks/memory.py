"""The most memory that an exchange of 1 GB takes beyond what there was: both processes' own, and shared memory."""

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
from tfkernels.pool import shared
from tfkernels.remote import RemoteKernel


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


def run() -> Iterator[list[Row]]:
    array = np.ones(250_000_000, np.float32)
    size = array.nbytes / 1024
    rows = [
        Row("1 GB, most memory", "here", (peak(lambda: local(array), lambda: used([os.getpid()])) / size,), "x array")
    ]
    for name in ("tf1", "tf2"):
        kernel = tfkernels.kernel(name)

        def exchange(kernel: RemoteKernel = kernel) -> None:
            back = kernel.run("y = x + 1; del x", inputs={"x": array}, outputs={"y": "y"})["y"]
            back.sum()

        kernel.run("import numpy as np; x = y = 0", inputs={"x": np.ones(10)}, outputs={"y": "x"})
        kernel.run("x = y = 0")
        shared.close()
        start = used([os.getpid(), kernel.pid])
        most = peak(exchange, partial(used, [os.getpid(), kernel.pid]))
        rows.append(Row("1 GB, most memory", f"tfkernels, {name}", (most / size,), "x array"))
        kernel.run("del y")
        idle, shared.idle = shared.idle, 0.2
        time.sleep(2)
        shared.idle = idle
        rows.append(
            Row(
                "1 GB, most memory",
                f"after del, {name}",
                ((used([os.getpid(), kernel.pid]) - start) / size,),
                "x array",
            )
        )
    yield rows
