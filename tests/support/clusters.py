"""A Dask scheduler and workers as a user starts them: processes of their own, on the loopback interface."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support.processes import ended
from tests.support.waiting import DEADLINE, eventually


def _start(
    program: str, place: Path, arguments: Sequence[str], variables: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    quiet = {"DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False"}  # it samples stacks a hundred times a second
    with (place / "log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.dask_{program}", "--scheduler-file", str(place / "scheduler.json"),
             "--host", "127.0.0.1", *arguments],
            stdout=log, stderr=log, cwd=place, env={**os.environ, **quiet, **variables},
        )  # fmt: skip


@contextmanager
def scheduler_process(place: Path, *arguments: str, **variables: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """The process and its address; ``place`` is where it leaves that for workers."""
    process = _start("scheduler", place, ["--port", "0", "--no-dashboard", *arguments], variables)
    file = place / "scheduler.json"
    with ended(process):
        try:
            yield process, eventually(lambda: _address(file))
        finally:
            process.terminate()
            process.wait(DEADLINE)


def _address(file: Path) -> str | None:
    """What a scheduler wrote. It creates the file first, and writes then."""
    try:
        return str(json.loads(file.read_text())["address"])
    except (FileNotFoundError, json.JSONDecodeError):
        return None


@contextmanager
def scheduler(place: Path) -> Iterator[str]:
    """Its address."""
    with scheduler_process(place) as (_, address):
        yield address


@contextmanager
def worker(place: Path, name: str, *arguments: str, **variables: str) -> Iterator[subprocess.Popen[bytes]]:
    """A worker that runs one thing at a time, and has no environments but its own: those in ``place/name``."""
    home = {"TFKERNELS_HOME": str(place / name), "JUPYTER_DATA_DIR": str(place / f"{name}-jupyter")}
    options = ["--nthreads", "1", "--no-dashboard", "--name", name, "--local-directory", str(place / "dask")]
    process = _start("worker", place, [*options, *arguments], {**home, **variables})
    with ended(process):
        try:
            yield process
        finally:
            process.terminate()
            process.wait(DEADLINE)
