"""An array to another process, plus one there, back, and summed: beside the same done here, and beside peers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np

import tfkernels
from tests.benchmarks import peers
from tests.benchmarks.cells import bare, bare_client
from tests.benchmarks.rows import Job, Row, measure
from tfkernels.client.kernel import Kernel

SIZES = {1: 100, 10: 20, 100: 20, 1000: 15}
"""Megabytes, and rounds."""


def local(array: np.ndarray) -> float:
    return float((array + 1).sum())


def exchange(kernel: Kernel, array: np.ndarray) -> float:
    """Nobody keeps the sum there: this is also what ``tests.benchmarks.memory`` has the peak of."""
    back = kernel.run("", inputs={"x": array}, outputs={"y": "x + 1"})["y"]
    return float(back.sum())


def exchange_by_cell(kernel: Kernel, array: np.ndarray) -> float:
    """As users write it who go on with ``y`` there."""
    back = kernel.run("y = x + 1", inputs={"x": array}, outputs={"y": "y"})["y"]
    return float(back.sum())


def exchange_by_assignments(kernel: Kernel, array: np.ndarray) -> float:
    kernel["x"] = array
    return float(kernel["x + 1"].sum())


def run() -> Iterator[list[Row]]:
    tf1, tf2 = tfkernels.kernel("tf1"), tfkernels.kernel("tf2")
    with ExitStack() as stack:
        Path("build").mkdir(exist_ok=True)
        ways: dict[str, Callable[[np.ndarray], object]] = {
            "here": local,
            "tfkernels, tf1": partial(exchange, tf1),
            "tfkernels, tf2": partial(exchange, tf2),
            "tfkernels, tf1, y = x + 1 as a cell": partial(exchange_by_cell, tf1),
            "tfkernels, tf2, y = x + 1 as a cell": partial(exchange_by_cell, tf2),
            "tfkernels, tf1, two assignments": partial(exchange_by_assignments, tf1),
            "tfkernels, tf2, two assignments": partial(exchange_by_assignments, tf2),
            "np.save, np.load in /dev/shm, tf2": peers.files(tf2, Path("/dev/shm")),
            "np.save, np.load on disk, tf2": peers.files(tf2, Path("build").absolute()),
            "Appose, own Python": stack.enter_context(peers.over_appose()),
            "ipyparallel, own Python": stack.enter_context(peers.over_ipyparallel()),
            "execnet, own Python": stack.enter_context(peers.over_execnet()),
        }
        tf1.start()
        tf2.start()
        clients = {"tf1": bare_client(tf1), "tf2": bare_client(tf2)}
        for megabytes, rounds in SIZES.items():
            array = np.ones(megabytes * 250_000, np.float32)
            jobs: dict[str, Job] = {way: partial(job, array) for way, job in ways.items()}
            if megabytes == 1:  # beside such a request, the work itself is nothing
                jobs |= {f"bare execute, {name}": partial(bare, client) for name, client in clients.items()}
                jobs["base64 in code, tf2"] = partial(peers.text(tf2), array)
            peer = [way for way in jobs if not way.startswith(("here", "tfkernels", "bare"))]
            yield measure(f"{megabytes} MB there, + 1, back, summed", jobs, rounds, seldom=peer)
        for client in clients.values():
            client.stop_channels()
