"""Progress of long steps on standard error: a bar for each kernel on a terminal, plain lines elsewhere."""

import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tfkernels.env_vars import parse_size

if TYPE_CHECKING:
    from rich.progress import Progress


class Reporter:
    """Plain lines that begin with the kernel's name."""

    def __init__(self, kernel: str) -> None:
        self._kernel = kernel
        self.notes: list[str] = []
        self._started = time.monotonic()

    def step(self, text: str) -> None:
        """A new step of the work begins."""
        print(f"{self._kernel}: {text} ({time.monotonic() - self._started:.0f} s)", file=sys.stderr, flush=True)

    def note(self, text: str) -> None:
        """A text that stays on the screen when all is done."""
        self.notes.append(text)
        self.step(text)

    def uv_says(self, line: str) -> None:
        """A line of uv's output."""
        if "falling back to full copy" in line:
            self.step("copying: uv's cache (UV_CACHE_DIR) and the environments (TFKERNELS_HOME) cannot share files")
        building = re.match(r"\s*Building (\S+?)(?:==| @ )(\S+)", line)
        if building:
            self.step(f"building {building[1]} {building[2]} from source")

    def end(self) -> None:
        """No step follows."""

    def fetched(self, size: int, total: int | None = None) -> None:
        """``size`` bytes of the step's ``total`` have arrived."""


class SilentReporter(Reporter):
    """Of one try among many."""

    def step(self, text: str) -> None:
        pass


class TerminalReporter(Reporter):
    """One live line: the step, a bar of the megabytes that uv has fetched, the time."""

    def __init__(self, kernel: str, progress: "Progress") -> None:
        super().__init__(kernel)
        self._progress = progress
        self._task = progress.add_task(kernel, total=None)
        self._sizes: dict[str, int] = {}
        self._fetched = 0

    def step(self, text: str) -> None:
        self._progress.update(self._task, description=f"{self._kernel}: {text}", total=None, completed=0)

    def note(self, text: str) -> None:
        self.notes.append(text)
        self._progress.console.print(f"{self._kernel}: {text}", markup=False, highlight=False, soft_wrap=True)

    def uv_says(self, line: str) -> None:
        super().uv_says(line)
        announced = re.match(r"\s*Downloading (\S+) \(([\d.]+[KMG]iB)\)", line)
        fetched = re.match(r"\s*Downloaded (\S+)", line)
        if announced:
            self._sizes[announced[1]] = parse_size(announced[2])
        elif fetched:
            self._fetched += self._sizes.get(fetched[1], 0)
        if announced or fetched:
            self.fetched(self._fetched, sum(self._sizes.values()))

    def end(self) -> None:
        self._progress.remove_task(self._task)

    def fetched(self, size: int, total: int | None = None) -> None:
        self._progress.update(self._task, total=total, completed=size)


@contextmanager
def reporting() -> Iterator[Callable[[str], Reporter]]:
    """A function that makes a kernel's reporter, of the kind that fits standard error."""
    if not sys.stderr.isatty():
        yield Reporter
        return
    # Only here: to import them takes a quarter of the start of a command.
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (SpinnerColumn(), TimeElapsedColumn(), BarColumn(20), TextColumn("{task.description}"))
    # What is printed meanwhile goes above the bars, if it is for the same screen.
    with Progress(*columns, console=console, transient=True, redirect_stdout=sys.stdout.isatty()) as progress:
        yield lambda kernel: TerminalReporter(kernel, progress)
