"""Processes that tests start, and how to see that they have ended."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import AnyStr

import psutil


@contextmanager
def ended(process: subprocess.Popen[AnyStr]) -> Iterator[subprocess.Popen[AnyStr]]:
    """Ends a process and closes its pipes, also if the test fails: what it left would make later tests fail."""
    with process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def started(command: list[str], lines: int) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """A process, and the first lines that it prints."""
    with ended(subprocess.Popen(command, stdout=subprocess.PIPE, text=True)) as process:
        assert process.stdout is not None
        yield process, [process.stdout.readline().strip() for _ in range(lines)]


def alive(pid: int) -> bool:
    """Whether a process runs. One that only waits for its parent to notice its end does not."""
    with suppress(psutil.NoSuchProcess):
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    return False


def gone(pids: Iterable[int], folders: Iterable[Path]) -> bool:
    return not any(map(alive, pids)) and not any(folder.exists() for folder in folders)


def parse(lines: list[str]) -> tuple[list[int], list[Path]]:
    words = [line.split() for line in lines]
    return [int(number) for word in words for number in word[:2]], [Path(word[2]) for word in words]
