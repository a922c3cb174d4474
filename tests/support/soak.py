"""Many cells in two kernels, interrupted and killed at random moments: ``make soak``.

``python -m tests.support.soak [CELLS INTERRUPTS KILLS [SEED]]`` prints what happened, and fails if an output was lost
or misplaced, a value was wrong, a cell was stuck, or a process, a thread, a descriptor, a file or memory is left.
"""

from __future__ import annotations

import gc
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil

import tfkernels
from tests.support.waiting import eventually
from tfkernels.client.cell import Cell
from tfkernels.client.connection import KernelConnection
from tfkernels.client.kernel import Kernel, shutdown_all
from tfkernels.errors import CellCancelled, CellsFailed, KernelDied, KernelStartError
from tfkernels.transfer.segment_pool import Pool, PooledSegment
from tfkernels.transfer.segment_pool import shared as pool
from tfkernels.transfer.shared_memory.mapping import Mapping
from tfkernels.transfer.shared_memory.segment import Segment

NAMES = ("tf1", "tf2")

STUCK = 60.0
"""Seconds that no cell may take: the longest sleeps for a tenth of a second."""

LINES = 5

CELL = f"""
import time
import numpy as np
for line in range({LINES}):
    print({{number}}, line, flush={{flush}})
    time.sleep({{pause}})
total = values.sum() + {{number}}
mixed = {{{{
    "floats": values[::2] * {{number}},
    "rest": [
        np.full(len(values), {{number}} % 256, "u1"), {{{{"ä": np.arange(7), "b": None}}}}, "ä" * 1000, b"x" * 1000
    ],
}}}}
{{then}}
"""

OUTPUTS = {"total": "total", "mixed": "mixed"}

SIZES = [10, 10, 100_000, 100_000, 1_000_000]
"""Of the input, in numbers of eight bytes. Half as much comes back, and an eighth more."""

SLACK = {"memory": 64 * 2**20}
"""What may be more afterwards: the C library gives freed memory back when it likes."""


@dataclass
class Report:
    """What happened."""

    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    slowest: float = 0.0

    def __str__(self) -> str:
        counted = ", ".join(f"{count} {what}" for what, count in sorted(self.counts.items()))
        return "\n".join([f"{counted}; the slowest cell took {self.slowest:.1f} s", *self.wrong])


@dataclass(frozen=True)
class Footprint:
    """What this process has and must not have more of afterwards."""

    children: int
    threads: int
    descriptors: int
    folders: int
    memory: int
    """Bytes of its own."""
    shared: int
    """Bytes of shared memory, in files that it has open or mapped."""

    @classmethod
    def now(cls) -> Footprint:
        gc.collect()
        children = psutil.Process().children(recursive=True)
        return cls(
            len([child for child in children if child.status() != psutil.STATUS_ZOMBIE]),
            threading.active_count(),
            len(os.listdir("/proc/self/fd")),
            len(list(Path(tempfile.gettempdir()).glob("tfkernels-*/connection.json"))),
            _status("RssAnon"),
            sum(size for _, size in _memory_files().values()),
        )

    def exceeds(self, other: Footprint) -> bool:
        mine, others = vars(self), vars(other)
        return any(mine[what] > others[what] + SLACK.get(what, 0) for what in mine)


def _status(field: str) -> int:
    """Bytes."""
    return int(Path("/proc/self/status").read_text().split(f"{field}:")[1].split()[0]) * 1024


def _memory_files() -> dict[int, tuple[list[int], int]]:
    """The descriptors and the bytes of each, by inode. What is mapped is open, too: mappings have their own."""
    found: dict[int, tuple[list[int], int]] = {}
    for link in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the listing's own
            if "memfd:tfkernels" in os.readlink(link):
                file = link.stat()
                descriptors, _ = found.get(file.st_ino, ([], 0))
                found[file.st_ino] = [*descriptors, int(link.name)], file.st_blocks * 512
    return found


def _holders(descriptors: list[int]) -> str:
    """The objects that keep a memory file open, and the kinds of what keeps those."""
    owners = [
        each
        for each in gc.get_objects()
        if isinstance(each, (Segment, Mapping)) and getattr(each, "descriptor", -1) in descriptors
    ]
    held = []
    for owner in owners:
        users = {type(each).__name__ for each in gc.get_referrers(owner) if each is not owners}
        held.append(f"a {type(owner).__name__} of {sorted(users)}")
    return " and ".join(held) or "no object"


@dataclass(frozen=True)
class Load:
    """What goes there with a cell, and comes back."""

    number: int
    size: int
    lets_go: bool
    """Whether the cell drops its input: large outputs then take its place."""

    def code(self, flush: bool, pause: float) -> str:
        return CELL.format(number=self.number, flush=flush, pause=pause, then="del values" if self.lets_go else "")

    def inputs(self) -> dict[str, Any]:
        return {"values": np.ones(self.size)}

    def wrong(self, got: dict[str, Any]) -> str | None:
        """They are written to, as a user may: nobody else may see that."""
        floats, (small, words, *rest) = got["mixed"]["floats"], got["mixed"]["rest"]
        fits = (
            got["total"] == self.size + self.number
            and np.array_equal(floats, np.full(self.size // 2, float(self.number)))
            and np.array_equal(small, np.full(self.size, self.number % 256, "u1"))
            and np.array_equal(words["ä"], np.arange(7))
            and (words["b"], rest) == (None, ["ä" * 1000, b"x" * 1000])
        )
        floats[:] = small[:] = 0
        return None if fits else f"{self} returned {got}"


class Output:
    """The lines that one cell printed, in whatever thread they came."""

    def __init__(self) -> None:
        self.text = ""

    def __call__(self, output: dict[str, Any]) -> None:
        if output["output_type"] == "stream" and output["name"] == "stdout":
            self.text += output["text"]

    def wrong(self, number: int, whole: bool) -> str | None:
        """The output of an interrupted cell may end early, but nothing is missing before its end."""
        expected = "".join(f"{number} {line}\n" for line in range(LINES))
        fits = self.text == expected if whole else expected.startswith(self.text)
        return None if fits else f"cell {number} printed {self.text!r}"


def _processes() -> dict[str, int | None]:
    """Of the kernels, those that have ended included, until the next cell starts another."""
    return {name: tfkernels.kernel(name).pid for name in NAMES}


class Soak:
    def __init__(self, seed: int) -> None:
        self.report = Report()
        self._random = random.Random(seed)  # noqa: S311 (nothing secret)
        self._inside = False
        self._number = -1
        self._users: dict[int, int] = {}
        """The last cell that took a segment, by inode."""
        self._killed: set[int] = set()
        self._kills = Counter[str]()
        self._background: list[tuple[Load, Cell, Output]] = []

    def run(self, cells: int, interrupts: int, kills: int) -> Report:
        disturbances: list[Callable[[Kernel], None] | None] = [self._interrupt] * interrupts + [self._kill] * kills
        disturbances += [None] * (cells - len(disturbances))
        self._random.shuffle(disturbances)
        previous = signal.signal(signal.SIGINT, self._on_interrupt)
        take, pool.take = pool.take, self._take  # type: ignore[method-assign]  # to note the cells
        try:
            for number, disturb in enumerate(disturbances):
                self._cell(number, disturb)
            self._settle(-1)
        finally:
            signal.signal(signal.SIGINT, previous)
            pool.take = take  # type: ignore[method-assign]
        return self.report

    def _take(self, size: int, kernel: str = "") -> PooledSegment:
        segment = Pool.take(pool, size, kernel)
        self._users[segment.address["inode"]] = self._number
        return segment

    def left(self) -> Iterator[str]:
        """The memory that is still open: of which cell, and who holds it."""
        for inode, (descriptors, size) in _memory_files().items():
            cell = self._users.get(inode, "none")
            yield f"{size:,} bytes of cell {cell}: descriptors {descriptors} are held by {_holders(descriptors)}"

    def _cell(self, number: int, disturb: Callable[[Kernel], None] | None) -> None:
        self._number = number
        kernel = tfkernels.kernel(self._random.choice(NAMES))
        way = self._random.choices([self._foreground, self._in_background, self._in_both], [6, 3, 1])[0]
        load = Load(number, self._random.choice(SIZES), self._random.random() < 0.5)
        code = load.code(self._random.random() < 0.5, self._random.choice([0, 0, 0.001, 0.02]))
        delay = self._random.choice([0.0, 0.005, 0.02, 0.1]) * self._random.random()
        started = time.monotonic()
        with self._disturbed(disturb, kernel, delay):
            self._inside = True
            way(kernel, load, code)
            self.report.counts["cells that ended well"] += 1
        took = time.monotonic() - started
        self.report.slowest = max(self.report.slowest, took)
        if took > STUCK:
            self.report.wrong.append(f"cell {number} took {took:.0f} s")
        if len(self._background) > self._random.randrange(6):
            self._settle(number)

    @contextmanager
    def _disturbed(self, disturb: Callable[[Kernel], None] | None, kernel: Kernel, delay: float) -> Iterator[None]:
        """A cell during which, or soon after which, something may happen from another thread."""
        ended = threading.Event()

        def wait_and_disturb() -> None:
            ended.wait(delay)
            if disturb is not None:
                disturb(kernel)

        gremlin = threading.Thread(target=wait_and_disturb)
        before, kills = _processes(), self._kills.copy()
        try:
            gremlin.start()
            yield
        except KeyboardInterrupt:
            self.report.counts["interrupted cells"] += 1
        except (KernelDied, KernelStartError) as error:
            self._inside = False
            gremlin.join()
            self._check_death(kernel.name, error, before, kills)
        except CellsFailed as error:
            self._inside = False
            gremlin.join()
            for name, each in error.errors.items():
                self._check_death(name, each, before, kills)
        finally:
            self._inside = False
            ended.set()
            gremlin.join()

    def _check_death(self, name: str, error: BaseException, before: dict[str, int | None], kills: Counter[str]) -> None:
        """A cell may fail with its kernel, while that starts, too: but only if it was us who killed it.

        Either it was killed since the cell was submitted, or it was the one that had been killed by then.
        """
        self.report.counts["cells that died"] += 1
        killed = self._kills[name] > kills[name] or before[name] in self._killed
        if not isinstance(error, (KernelDied, KernelStartError)) or not killed:
            self.report.wrong.append(f"not because of us: {error!r}")

    def _foreground(self, kernel: Kernel, load: Load, code: str) -> None:
        output, whole = Output(), False
        try:
            got = kernel.run(code, inputs=load.inputs(), outputs=OUTPUTS, show=output)
            whole = True
            self._look_at(load, got)
        finally:
            self._check(load.number, output, whole)

    def _in_background(self, kernel: Kernel, load: Load, code: str) -> None:
        output = Output()
        call = kernel.submit(code, inputs=load.inputs(), outputs=OUTPUTS, show=output)
        self._background.append((load, call, output))

    def _in_both(self, _: Kernel, load: Load, code: str) -> None:
        outputs = tfkernels.each(NAMES, code, inputs=load.inputs(), outputs=OUTPUTS, show=Output())
        for name in NAMES:
            self._look_at(load, {output: values[name] for output, values in outputs.items()})

    def _look_at(self, load: Load, got: dict[str, Any]) -> None:
        wrong = load.wrong(got)
        if wrong is not None:
            self.report.wrong.append(wrong)

    def _settle(self, number: int) -> None:
        """Asks for the results of the cells in the background, now and then before they have ended."""
        for load, call, output in self._background:
            if self._random.random() < 0.1:
                call.cancel()
            problem = None
            try:
                problem = call.exception(STUCK)
            except TimeoutError:
                self.report.wrong.append(f"{load} in the background was stuck at cell {number}: {call}")
                call.connection.kill()
            connection = call.connection
            assert isinstance(connection, KernelConnection)
            killed = isinstance(problem, (KernelDied, KernelStartError)) and connection.process.pid in self._killed
            if problem is not None and not killed and not isinstance(problem, CellCancelled):
                self.report.wrong.append(f"{load} in the background: {problem!r}")
            if call.done() and problem is None and self._random.random() < 0.8:  # others are never asked for
                self._look_at(load, call.result())
            self._check(load.number, output, whole=problem is None)
            self.report.counts["background cells"] += 1
        self._background.clear()

    def _check(self, number: int, output: Output, whole: bool) -> None:
        wrong = output.wrong(number, whole)
        if wrong is not None:
            self.report.wrong.append(wrong)

    def _on_interrupt(self, *_: object) -> None:
        if self._inside:
            raise KeyboardInterrupt
        self.report.counts["interrupts between cells"] += 1

    def _interrupt(self, _: Kernel) -> None:
        self.report.counts["interrupts"] += 1
        os.kill(os.getpid(), signal.SIGINT)

    def _kill(self, kernel: Kernel) -> None:
        self.report.counts["kills"] += 1
        pid = kernel.pid
        if pid is not None:
            try:
                os.kill(pid, signal.SIGKILL)
                self._killed.add(pid)
                self._kills[kernel.name] += 1
            except ProcessLookupError:
                self.report.counts["kills of a dead one"] += 1


def run(cells: int, interrupts: int, kills: int, seed: int) -> Report:
    """Ends all kernels of this process, before and after."""
    shutdown_all()
    pool.close()
    for name in NAMES:
        with tfkernels.kernel(name) as kernel:
            kernel["x"] = 1
    pool.close()
    before = Footprint.now()
    soak = Soak(seed)
    report = soak.run(cells, interrupts, kills)
    shutdown_all()
    pool.close()
    try:
        eventually(lambda: not Footprint.now().exceeds(before))
    except AssertionError:
        report.wrong.append(f"left behind: {before} before, {Footprint.now()} after")
        report.wrong += soak.left()
    return report


if __name__ == "__main__":
    numbers = [int(word) for word in sys.argv[1:]]
    chosen = numbers[3] if len(numbers) > 3 else random.randrange(10**6)  # noqa: S311 (nothing secret)
    begun = time.monotonic()
    print(f"seed {chosen}", flush=True)
    cells, interrupts, kills = numbers[:3] or (2000, 200, 50)
    result = run(cells, interrupts, kills, chosen)
    print(f"{result}\n{time.monotonic() - begun:.0f} s")
    sys.exit(bool(result.wrong))
