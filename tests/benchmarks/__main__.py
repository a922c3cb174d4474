"""``make bench``: what a cell and an array cost, beside their peers, in one run on one machine.

Each round measures everything once, in turn, so that a busy moment hits all; what counts are the ratios of the medians.
Prints a table and writes build/bench.json.
"""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from IPython.core.interactiveshell import InteractiveShell
from jupyter_client.blocking.client import BlockingKernelClient
from rich.console import Console
from rich.table import Table

import tfkernels
from tfkernels.remote import RemoteKernel

Job = Callable[[], object]


def local(array: np.ndarray) -> float:
    return float((array + 1).sum())


def exchange(kernel: RemoteKernel, array: np.ndarray) -> float:
    back = kernel.run("y = x + 1", inputs={"x": array}, outputs={"y": "y"})["y"]
    return float(back.sum())


def saved(kernel: RemoteKernel, array: np.ndarray, folder: Path) -> float:
    """What people do today: np.save, run, np.load, through memory-backed files."""
    there, back = folder / f"there-{os.getpid()}.npy", folder / f"back-{os.getpid()}.npy"
    try:
        np.save(there, array)
        kernel.run(f"import numpy as np\nnp.save({str(back)!r}, np.load({str(there)!r}) + 1)")
        return float(np.load(back).sum())
    finally:
        there.unlink(missing_ok=True)
        back.unlink(missing_ok=True)


def bare_client(kernel: RemoteKernel) -> BlockingKernelClient:
    assert kernel._process is not None
    client = BlockingKernelClient()
    client.load_connection_file(str(kernel._process.folder / "connection.json"))
    client.start_channels()
    client.wait_for_ready(timeout=60)
    return client


def bare(client: BlockingKernelClient) -> None:
    """A request, and waiting for both its reply and the kernel's idle message."""
    request = client.execute("pass")
    while True:
        message = client.get_iopub_msg(timeout=30)
        mine = message["parent_header"].get("msg_id") == request
        if mine and message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
            break
    while client.get_shell_msg(timeout=30)["parent_header"].get("msg_id") != request:
        pass


def measure(jobs: dict[str, Job], rounds: int) -> dict[str, list[float]]:
    """Seconds per round, for each job."""
    for job in jobs.values():
        job()
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(rounds):
        for name, job in jobs.items():
            started = time.perf_counter()
            job()
            seconds[name].append(time.perf_counter() - started)
    return seconds


def main() -> None:
    results: dict[str, dict[str, list[float]]] = {}
    shell = InteractiveShell.instance()
    shell.run_line_magic("load_ext", "tfkernels")
    for name in ("tf1", "tf2"):
        kernel = tfkernels.kernel(name)
        kernel.start()
        client = bare_client(kernel)
        jobs: dict[str, Job] = {
            "bare execute": partial(bare, client),
            f"%%{name} pass": partial(shell.run_cell_magic, name, "", "pass"),
        }
        results[f"a cell in {name}"] = measure(jobs, 200)
        client.stop_channels()
        for megabytes, rounds in ((1, 30), (100, 10), (1000, 5)):
            array = np.ones(megabytes * 250_000, np.float32)
            results[f"{megabytes} MB to {name}, + 1, back, summed"] = measure(
                {
                    "local": partial(local, array),
                    "tfkernels": partial(exchange, kernel, array),
                    "np.save, np.load in /dev/shm": partial(saved, kernel, array, Path("/dev/shm")),
                },
                rounds,
            )
    show(results)


def show(results: dict[str, dict[str, list[float]]]) -> None:
    table = Table("work", "way", "median", "min - max", "ratio", box=None)
    for work, seconds in results.items():
        first = statistics.median(next(iter(seconds.values())))
        for way, samples in seconds.items():
            median = statistics.median(samples)
            spread = f"{min(samples) * 1e3:.2f} - {max(samples) * 1e3:.2f} ms"
            table.add_row(work, way, f"{median * 1e3:.2f} ms", spread, f"{median / first:.2f}")
    Console(width=120).print(table)
    target = Path("build") / "bench.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(results, indent=1))
    print(f"seconds of every round: {target}")


if __name__ == "__main__":
    main()
