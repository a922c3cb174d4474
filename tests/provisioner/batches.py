"""Batches as tests start them: tasks of a few cells on the kernel ``python3``, which starts in a second."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import nbformat
import psutil
from nbformat.v4 import new_code_cell, new_notebook

from tests.notebooks import text
from tfprovisioner.batch import cluster
from tfprovisioner.batch.cluster import Options, Started
from tfprovisioner.batch.kernels import Wanted, wanted
from tfprovisioner.batch.runs import Run
from tfprovisioner.batch.tasks import Executed, Progress, Task

KERNEL = "python3"

PATIENCE = 60.0
"""Seconds after which something that should happen will not."""


def task(name: str, *cells: str, folder: Path | None = None, kernel: str = KERNEL, inputs: bytes | None = None) -> Task:
    notebook = nbformat.writes(new_notebook(cells=[new_code_cell(cell) for cell in cells]))
    return Task(Run(name, "nb.ipynb", kernel), notebook, "fingerprint", None if folder is None else str(folder), inputs)


def printed(executed: Executed) -> str:
    """What the cells printed."""
    cells = nbformat.reads(executed.notebook, as_version=4).cells
    return "".join(text(cell.outputs) for cell in cells)


def lasting(place: Path, name: str, times: int = 1_000_000) -> str:
    """A cell that leaves the number of its kernel's process in ``name.1``, and never ends; the next try in ``name.2``,
    and so on. After so many ``times`` it ends at once."""
    return (
        "import os, time\n"
        f"number = next(n for n in range(1, 99) if not os.path.exists(f'{place}/{name}.{{n}}'))\n"
        f"open('{place}/{name}~', 'w').write(str(os.getpid()))\n"
        f"os.rename('{place}/{name}~', f'{place}/{name}.{{number}}')\n"
        f"time.sleep(600 if number <= {times} else 0)"
    )


def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def pid(file: Path) -> int:
    until(file.exists, f"no kernel has written {file}")
    return int(file.read_text())


def gone(number: int) -> bool:
    """Whether a process has ended; one that only waits for its parent to notice has."""
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(number).status() == psutil.STATUS_ZOMBIE
    return True


@contextmanager
def engine(
    runs: int, told: list[Progress], options: Options, kernels: Sequence[Wanted] | None = None
) -> Iterator[Started]:
    names = {each.name: each for each in kernels or [wanted(KERNEL)]}
    with cluster.started(options, names, runs, told.append) as started:
        yield started


def notes(told: Sequence[Progress]) -> str:
    return "\n".join(progress.text for progress in told if progress.state == "note")
