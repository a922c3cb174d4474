"""How soon a cell here hears what happened there: a death, the stop button; and two kernels that work side by side."""

from __future__ import annotations

import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import tfkernels
from tests.benchmarks.rows import Job, Row, measure
from tfkernels.client.kernel import Kernel
from tfkernels.errors import KernelDied

ROUNDS = 3

STAMP = "import time, pathlib; pathlib.Path({path!r}).write_text(repr(time.time())); "

DEATHS = {
    "os._exit(3)": "import os; os._exit(3)",
    "kill -9": "import os; os.kill(os.getpid(), 9)",
    "segmentation fault": "import ctypes; ctypes.string_at(0)",
}

STOPPED = {
    "time.sleep": "import time; time.sleep(60)",
    "a loop": "while True: pass",
    "await": "import asyncio; await asyncio.sleep(60)",
    "!sleep": "!sleep 60",
}

NAP = 2.0
"""Seconds."""


def death(kernel: Kernel, code: str, path: Path) -> float:
    """Seconds from the last thing that it did until the error is here."""
    try:
        kernel.run(STAMP.format(path=str(path)) + code)
    except KernelDied:
        return time.time() - float(path.read_text())
    raise AssertionError(f"kernel {kernel.name} survived {code}")


def stop(kernel: Kernel, code: str) -> float:
    """Seconds from the stop button until the cell here has ended."""
    pressed: list[float] = []
    timers: list[threading.Timer] = []

    def press() -> None:
        pressed.append(time.time())
        os.kill(os.getpid(), signal.SIGINT)

    def seen(_: object) -> None:
        if not timers:
            timers.append(threading.Timer(0.3, press))
            timers[0].start()

    with suppress(KeyboardInterrupt):  # a shell command that is stopped does not fail its cell
        kernel.run("print('begun', flush=True)\n" + code, show=seen)
    return time.time() - pressed[0]


def alone(kernels: list[Kernel]) -> None:
    kernels[0].run(f"import time; time.sleep({NAP})")


def each(kernels: list[Kernel]) -> None:
    tfkernels.each(kernels, f"import time; time.sleep({NAP})")


def in_background(kernels: list[Kernel]) -> None:
    for call in [kernel.submit(f"import time; time.sleep({NAP})") for kernel in kernels]:
        call.result()


def run() -> Iterator[list[Row]]:
    kernels = [tfkernels.kernel(name) for name in ("tf1", "tf2")]
    jobs: dict[str, Job] = {
        "one kernel": partial(alone, kernels),
        "%%each tf1 tf2": partial(each, kernels),
        "tf1 and tf2 in the background": partial(in_background, kernels),
    }
    yield measure(f"a cell of {NAP:g} s", jobs, 2, warm=1)
    with tempfile.TemporaryDirectory() as folder:
        for kernel in kernels:
            work = f"stop button until the cell here ends, {kernel.name}"
            yield [Row(work, way, tuple(stop(kernel, code) for _ in range(ROUNDS))) for way, code in STOPPED.items()]
            work, path = f"death until the error is here, {kernel.name}", Path(folder) / kernel.name
            yield [
                Row(work, way, tuple(death(kernel, code, path) for _ in range(ROUNDS))) for way, code in DEATHS.items()
            ]
