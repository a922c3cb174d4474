"""What a benchmark returns: samples of one way to do one piece of work, and how they are taken."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

Job = Callable[[], object]


@dataclass(frozen=True)
class Row:
    """Samples in seconds (``unit`` "s"), or another quantity whose unit is named."""

    work: str
    way: str
    samples: tuple[float, ...]
    unit: str = "s"

    @property
    def median(self) -> float:
        return statistics.median(self.samples)

    def shown(self, value: float) -> str:
        if self.unit == "s" and value < 10:
            return f"{value * 1e3:.2f} ms"
        return f"{value:.2f} {self.unit}"


def measure(work: str, jobs: Mapping[str, Job], rounds: int, warm: int = 3, seldom: Collection[str] = ()) -> list[Row]:
    """Every round does everything once, in turn, so that a busy moment hits all; what counts are the ratios.

    ``warm`` rounds are not counted: memory that is used again is there after the third. What takes part ``seldom``,
    since it is slow and there for comparison, does so in the first and in every third round.
    """
    for number in range(warm):
        for name, job in jobs.items():
            if number == 0 or name not in seldom:
                job()
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for number in range(rounds):
        for name, job in jobs.items():
            if number % 3 and name in seldom:
                continue
            started = time.perf_counter()
            job()
            seconds[name].append(time.perf_counter() - started)
    return [Row(work, way, tuple(samples)) for way, samples in seconds.items()]
