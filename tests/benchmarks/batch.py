"""40 small notebooks by ``tfkernels run``, beside a shell that calls papermill's command for each, two at a time.

The notebooks import no TensorFlow: what counts is what a run costs beyond its cells. Beside both, the least that it can
take: jupyter_client starts a kernel, has it execute the cell and ends it, two at a time as well.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
from jupyter_client.manager import start_new_kernel
from nbformat.v4 import new_code_cell, new_notebook

from tests.benchmarks.cells import bare
from tests.benchmarks.rows import Row

NOTEBOOKS = 40
AT_ONCE = 2

CODE = "total = sum(i * i for i in range(1000))\nprint(total)"

PAPERMILL = f"{sys.executable} -m papermill"


def run() -> Iterator[list[Row]]:
    for kernel in ("python3", "tf2"):
        with tempfile.TemporaryDirectory() as folder:
            yield from rows(kernel, Path(folder))


def rows(kernel: str, folder: Path) -> Iterator[list[Row]]:
    ways: dict[str, Callable[[str, Path, Path], None]] = {
        f"papermill, xargs -P {AT_ONCE}": shell,
        f"tfkernels run --workers {AT_ONCE}": ours,
        "a bare kernel each": floor,
    }
    inputs = folder / "in"
    inputs.mkdir()
    for number in range(NOTEBOOKS):
        nbformat.write(notebook(kernel), inputs / f"small{number}.ipynb")
    seconds = {}  # one round: it consists of many
    for number, (way, job) in enumerate(ways.items()):
        started = time.perf_counter()
        job(kernel, inputs, folder / f"out{number}")
        seconds[way] = time.perf_counter() - started
    yield [Row(f"{NOTEBOOKS} notebooks on {kernel}", way, (taken,)) for way, taken in seconds.items()]
    least = seconds.pop("a bare kernel each")
    work = f"of these, a run beyond its kernel, {kernel}"
    yield [Row(work, way, ((taken - least) * AT_ONCE / NOTEBOOKS,)) for way, taken in seconds.items()]


def notebook(kernel: str) -> nbformat.NotebookNode:
    spec = {"name": kernel, "display_name": kernel, "language": "python"}
    return new_notebook(cells=[new_code_cell(CODE)], metadata={"kernelspec": spec})


def shell(kernel: str, inputs: Path, outputs: Path) -> None:
    outputs.mkdir()
    each = f"{PAPERMILL} --no-progress-bar -k {kernel} {{}} {outputs}/{{}}"
    _do(["sh", "-c", f"ls | xargs -P {AT_ONCE} -I {{}} {each}"], inputs)
    assert len(list(outputs.iterdir())) == NOTEBOOKS


def ours(kernel: str, inputs: Path, outputs: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "tfprovisioner",
        "run",
        "-k",
        kernel,
        "--workers",
        str(AT_ONCE),
        "-o",
        str(outputs),
    ]
    _do([*command, *(path.name for path in sorted(inputs.iterdir()))], inputs)
    assert len(list(outputs.glob("*.ipynb"))) == NOTEBOOKS


def floor(kernel: str, _inputs: Path, _outputs: Path) -> None:
    with ThreadPoolExecutor(AT_ONCE) as lanes:
        list(lanes.map(_once, [kernel] * NOTEBOOKS))


def _once(kernel: str) -> None:
    manager, client = start_new_kernel(kernel_name=kernel, stderr=subprocess.DEVNULL)
    try:
        bare(client, CODE)
    finally:
        client.stop_channels()
        manager.shutdown_kernel()


def _do(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command[:5]}: {done.stderr}")
