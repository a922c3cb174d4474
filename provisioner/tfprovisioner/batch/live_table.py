"""Progress of a batch on standard error: a live table on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from tfprovisioner.batch.outcomes import Outcome, Progress, duration
from tfprovisioner.batch.tasks import Run

LINE_INTERVAL = 30.0
"""Seconds between two plain lines about the cells of one run."""


class Display:
    """With ``live``, running runs are at the bottom of the screen, with a line of counts; ended runs scroll up."""

    def __init__(self, runs: Sequence[Run], done: int = 0, live: Live | None = None) -> None:
        """``done`` of the runs have ended before."""
        self._total = len(runs)
        self._ended = done
        self._failed = 0
        self._live = live
        self._running: dict[str, tuple[Progress, float]] = {}
        """By run: its progress, and the time of its start, or of its last plain line."""

    def say(self, text: str) -> None:
        if self._live is None:
            print(text, file=sys.stderr, flush=True)
        else:
            self._live.console.print(Text(text), soft_wrap=True)

    def tell(self, progress: Progress) -> None:
        run, now = progress.run, time.monotonic()
        if progress.state == "note":
            self._running.pop(run, None)
            self.say(f"{run}: {progress.text}" if run else progress.text)
            return
        last, since = self._running.get(run, (None, now))
        if self._live is not None:
            self._running[run] = progress, since
            return
        new_step = last is None or progress.state != last.state or progress.state == "preparing"
        if new_step or now - since > LINE_INTERVAL:
            self._running[run] = progress, now
            where = f" on {progress.host}" if progress.host else ""
            cell = f"cell {progress.cell} of {progress.cells}: " if progress.cells else ""
            self.say(f"{run}: " + f"{progress.state}{where}, {cell}{progress.text}".rstrip(", "))

    def ended(self, outcome: Outcome) -> None:
        """A run has ended, and its files are written."""
        self._running.pop(outcome.run.name, None)
        self._ended += 1
        self._failed += not outcome.passed
        result = f"{outcome.run.name}: {_result(outcome)}"
        if self._live is None:
            self.say(f"[{self._ended}/{self._total}] {result}")
        else:
            mark = Text("✓ ", "green") if outcome.passed else Text("✗ ", "red")
            self._live.console.print(mark + Text(result), soft_wrap=True)

    def __rich__(self) -> Group:
        table = Table(box=None, pad_edge=False, show_header=False)
        for width in (None, None, 7):
            table.add_column(no_wrap=True, max_width=width, overflow="ellipsis")
        table.add_column(no_wrap=True, ratio=1, overflow="ellipsis")
        height = max(3, self._live.console.height - 6) if self._live else 0
        for progress, since in list(self._running.values())[:height]:
            cell = f"{progress.cell}/{progress.cells}" if progress.cells else ""
            table.add_row(progress.run, duration(time.monotonic() - since), cell, Text(progress.text, "dim"))
        waiting = self._total - self._ended - len(self._running)
        counts = [f"{self._ended} of {self._total} ended", f"{len(self._running)} running", f"{waiting} waiting"]
        if self._failed:
            counts.insert(1, f"{self._failed} failed")
        return Group(table, Text(", ".join(counts), "bold"))


@contextmanager
def showing(runs: Sequence[Run], done: int) -> Iterator[Display]:
    """A table or lines, as standard error is."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield Display(runs, done)
        return
    with Live(console=console, refresh_per_second=4, transient=True, redirect_stdout=False) as live:
        display = Display(runs, done, live)
        live.update(display)
        yield display


def _result(outcome: Outcome) -> str:
    took = f" ({duration(outcome.seconds)})"
    if outcome.failure is None:
        return f"passed{took}"
    where = "" if outcome.failure.cell is None else f"cell {outcome.failure.cell + 1}: "
    lines = outcome.failure.message.strip().splitlines() or [""]
    return f"failed{took}: {where}{outcome.failure.kind}: {lines[0][:200]}"
