"""What a benchmark returns: samples of one way to do one piece of work, and how they are taken."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
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
        return f"{value * 1e3:.2f} ms" if self.unit == "s" else f"{value:.2f} {self.unit}"


def measure(work: str, jobs: Mapping[str, Job], rounds: int) -> list[Row]:
    """Every round does everything once, in turn, so that a busy moment hits all; what counts are the ratios."""
    for _ in range(3):  # memory that is used again is there after the third
        for job in jobs.values():
            job()
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(rounds):
        for name, job in jobs.items():
            started = time.perf_counter()
            job()
            seconds[name].append(time.perf_counter() - started)
    return [Row(work, way, tuple(samples)) for way, samples in seconds.items()]
