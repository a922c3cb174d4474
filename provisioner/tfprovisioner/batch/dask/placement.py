"""Where the next run starts. Pure decisions, nothing of Dask; see docs/design/batch.md for why Dask does not make them.

Building an environment takes longer than most runs. So a kernel's runs stay on the machines that have its environment,
unless the queue there takes longer than a build elsewhere.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Options:
    """How a batch is distributed."""

    workers: int | None = None
    """Runs at once at most; ``None`` is as many as fit."""
    memory: int = 2_000_000_000
    """Bytes that one run needs: TensorFlow itself and a small model."""
    scheduler: str | None = None
    """Address of the user's Dask scheduler; ``None`` is a private cluster on this machine."""
    retries: int = 2
    """Repetitions of a run whose worker died."""
    dashboard: bool = False
    """Whether the private cluster has Dask's page."""


@dataclass
class Machine:
    """A machine of the cluster, and what it does for this batch."""

    name: str
    """Of the host and of the folder with its environments."""
    places: int = 0
    """Runs at once."""
    running: int = 0
    ready: set[str] = field(default_factory=set)
    """Kernels that need no build there."""
    building: set[str] = field(default_factory=set)
    """Kernels that a run is building there now."""
    refused: set[str] = field(default_factory=set)
    """Kernels that it cannot have."""
    workers: dict[str, int] = field(default_factory=dict)
    """Threads by the address of the worker."""
    host: str = ""
    memory: int = 0
    """Bytes that were free before the batch."""


@dataclass(frozen=True)
class Cost:
    """Estimated seconds of a kernel's work."""

    build: float = 60.0
    run: float = 10.0


def places(processors: int, memory: int, need: int) -> int:
    """How many runs that need ``need`` bytes each go at the same time, with ``memory`` bytes free; at least one."""
    return max(1, min(processors, memory // max(1, need)))


def choose(
    machines: Iterable[Machine], waiting: Mapping[str, int], costs: Mapping[str, Cost]
) -> tuple[str, Machine] | None:
    """The kernel whose run starts next, and the machine; ``None`` if none should start now.

    ``waiting`` is the number of runs by kernel. If nothing runs at all, and a machine with a free place has not refused
    all kernels, something is chosen.
    """
    there = list(machines)
    options = [
        (_rank(kernel, machine, there), kernel, machine)
        for kernel, runs in waiting.items()
        for machine in there
        if runs
        and machine.running < machine.places
        and kernel not in machine.refused | machine.building  # a second run would only wait for the same build
        and (kernel in machine.ready or _worth_building(kernel, there, runs, costs.get(kernel, Cost())))
    ]
    return min(options, key=lambda option: option[0])[1:] if options else None


def _worth_building(kernel: str, machines: Sequence[Machine], runs: int, cost: Cost) -> bool:
    """Whether one more machine should build a kernel: no other has it, or the build ends before the queue does."""
    served = sum(machine.places for machine in machines if kernel in machine.ready | machine.building)
    return not served or cost.build < runs * cost.run / served


def _rank(kernel: str, machine: Machine, machines: Sequence[Machine]) -> tuple[bool, int, float]:
    """The smallest is best: a kernel that is ready here; one that few machines have; the machine that is least busy."""
    having = sum(kernel in other.ready | other.building for other in machines)
    return kernel not in machine.ready, having, machine.running / machine.places
