"""Progress of long steps: a bar on a terminal, plain lines elsewhere. Always on standard error."""

import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

_SIZES = {"KiB": 1 / 1024, "MiB": 1.0, "GiB": 1024.0}


class Reporter:
    """Plain lines, for logs."""

    def __init__(self, kernel: str) -> None:
        self._kernel = kernel
        self._started = time.monotonic()

    def step(self, text: str) -> None:
        """A new step of the work begins."""
        print(f"{self._kernel}: {text} ({time.monotonic() - self._started:.0f} s)", file=sys.stderr, flush=True)

    def uv_says(self, line: str) -> None:
        """A line of uv's output."""


class TerminalReporter(Reporter):
    """One live line: the step, a bar of the megabytes that uv has fetched, the time."""

    def __init__(self, kernel: str, progress: Progress) -> None:
        super().__init__(kernel)
        self._progress = progress
        self._task = progress.add_task(kernel, total=None)
        self._sizes: dict[str, float] = {}
        self._fetched = 0.0

    def step(self, text: str) -> None:
        self._progress.update(self._task, description=f"{self._kernel}: {text}", total=None, completed=0)

    def uv_says(self, line: str) -> None:
        announced = re.match(r"\s*Downloading (\S+) \(([\d.]+)([KMG]iB)\)", line)
        fetched = re.match(r"\s*Downloaded (\S+)", line)
        if announced:
            self._sizes[announced[1]] = float(announced[2]) * _SIZES[announced[3]]
        elif fetched:
            self._fetched += self._sizes.get(fetched[1], 0.0)
        if announced or fetched:
            self._progress.update(self._task, total=sum(self._sizes.values()), completed=self._fetched)


@contextmanager
def reporting(kernel: str) -> Iterator[Reporter]:
    """The reporter that fits standard error, for the time that one kernel is made."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield Reporter(kernel)
        return
    columns = (SpinnerColumn(), TimeElapsedColumn(), BarColumn(20), TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=True) as progress:
        yield TerminalReporter(kernel, progress)
