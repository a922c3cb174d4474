"""Batches as tests start them: tasks of a few cells on the kernel ``python3``, which starts in a second."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_notebook

from tests.support.notebooks import text
from tests.support.processes import ended
from tests.support.waiting import eventually
from tfprovisioner.batch.dask import cluster
from tfprovisioner.batch.dask.placement import Options
from tfprovisioner.batch.dask.scheduler import Dispatcher
from tfprovisioner.batch.kernel_ref import KernelRef, wanted
from tfprovisioner.batch.outcomes import Executed, Progress
from tfprovisioner.batch.tasks import Run, Task

KERNEL = "python3"


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
        f"time.sleep(1000 if number <= {times} else 0)"
    )


def wait_for(file: Path, place: Path, name: str) -> str:
    """A cell that leaves its number, too, and ends when ``file`` is there."""
    return f"{lasting(place, name, 0)}\nwhile not os.path.exists({str(file)!r}): time.sleep(0.1)"


_CLIENT = """
import sys
from pathlib import Path
from tests.support.batches import engine, lasting, task
from tfprovisioner.batch.dask.placement import Options

if __name__ == "__main__":
    place = Path(sys.argv[1])
    tasks = [task(name, lasting(place, name)) for name in ("one", "other")]
    with engine(2, [], Options(workers=2, scheduler=sys.argv[2] if sys.argv[2:] else None)) as started:
        list(started.run(tasks))
"""


def started_client(place: Path, *arguments: str) -> AbstractContextManager[subprocess.Popen[str]]:
    """A process that executes two runs which last for ever; ``arguments`` may be a scheduler's address."""
    (place / "client.py").write_text(_CLIENT)
    return ended(subprocess.Popen(
        [sys.executable, "client.py", str(place), *arguments], cwd=place, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}, start_new_session=True,
    ))  # fmt: skip


def pid(file: Path) -> int:
    eventually(file.exists)
    return int(file.read_text())


@contextmanager
def engine(
    runs: int, told: list[Progress], options: Options, kernels: Sequence[KernelRef] | None = None
) -> Iterator[Dispatcher]:
    names = {each.name: each for each in kernels or [wanted(KERNEL)]}
    with cluster.started(options, names, runs, told.append) as started:
        yield started


def notes(told: Sequence[Progress]) -> str:
    return "\n".join(f"{progress.run}: {progress.text}" for progress in told if progress.state == "note")
