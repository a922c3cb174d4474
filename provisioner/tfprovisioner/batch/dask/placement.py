"""Which machine executes a run of which kernel next.

Environments are built per machine, and building one takes longer than most runs. So a kernel's runs stay where its
environment is, unless the queue there is longer than a build. Decided anew whenever a place is free: how long builds
and runs take is only known by then. Nothing of Dask here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Machine:
    """What is to be known of a machine to give it work."""

    name: str
    places: int
    """How many runs it takes at once."""
    running: int = 0
    ready: frozenset[str] = frozenset()
    """The kernels that need not be built there."""
    building: frozenset[str] = frozenset()
    """Those that a run there has built at the moment."""
    refused: frozenset[str] = frozenset()
    """Those that it cannot have."""


@dataclass(frozen=True)
class Cost:
    """What a kernel's work is estimated to take, in seconds."""

    build: float = 60.0
    run: float = 10.0


def choose(
    machines: Sequence[Machine], waiting: Mapping[str, int], costs: Mapping[str, Cost]
) -> tuple[str, Machine] | None:
    """The kernel whose run is to start next, and where; ``None`` if none should start now.

    ``waiting`` has the number of runs by kernel, those that should rather come first first. If nothing runs at all, and
    a machine with a free place has not refused all kernels, something is chosen.
    """
    options = [
        (_rank(kernel, machine, machines), kernel, machine)
        for kernel, runs in waiting.items()
        for machine in machines
        if runs
        and machine.running < machine.places
        and kernel not in machine.refused | machine.building  # a second run would only wait for the same build
        and (kernel in machine.ready or _worth_building(kernel, machines, runs, costs.get(kernel, Cost())))
    ]
    return min(options, key=lambda option: option[0])[1:] if options else None


def _worth_building(kernel: str, machines: Sequence[Machine], runs: int, cost: Cost) -> bool:
    """Whether one more machine should build a kernel: nobody else does it, or it is there before the queue is empty."""
    places = sum(machine.places for machine in machines if kernel in machine.ready | machine.building)
    return not places or cost.build < runs * cost.run / places


def _rank(kernel: str, machine: Machine, machines: Sequence[Machine]) -> tuple[bool, int, float]:
    """Smallest first: what is ready here; what the fewest machines have; on the machine that is the least busy."""
    having = sum(kernel in other.ready | other.building for other in machines)
    return kernel not in machine.ready, having, machine.running / machine.places
