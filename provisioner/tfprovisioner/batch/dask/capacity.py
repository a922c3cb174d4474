"""How many runs fit on a machine at once: TensorFlow needs what it needs, and a machine that swaps is lost."""

from dataclasses import dataclass

NEED = 2_000_000_000
"""Bytes that a run is taken to need if nobody says it: TensorFlow itself and a small model."""


@dataclass(frozen=True)
class Resources:
    """What this process, and all that it starts, may use."""

    processors: int
    memory: int
    """Bytes that are free, or could be at once."""


def fitting(have: Resources, need: int, runs: int) -> int:
    """How many of ``runs`` runs that need ``need`` bytes each are best executed at the same time; at least one."""
    return max(1, min(have.processors, have.memory // max(1, need), runs))


def resources() -> Resources:
    """Of this machine: the processors that the affinity and the control group allow, and its free memory."""
    import psutil
    from dask.system import CPU_COUNT  # knows affinities and the quotas of both versions of control groups

    return Resources(CPU_COUNT, min(psutil.virtual_memory().available, _group_memory()))


def _group_memory() -> int:
    """What the control group, a container's for instance, has left of its memory. What is only cached is free."""
    from distributed.system import MEMORY_LIMIT

    for used, statistics, cache in (
        ("/sys/fs/cgroup/memory.current", "/sys/fs/cgroup/memory.stat", "inactive_file"),
        ("/sys/fs/cgroup/memory/memory.usage_in_bytes", "/sys/fs/cgroup/memory/memory.stat", "total_inactive_file"),
    ):
        try:
            with open(used) as file:
                taken = int(file.read())
            with open(statistics) as file:
                cached = next((int(line.split()[1]) for line in file if line.split()[0] == cache), 0)
        except (OSError, ValueError):
            continue
        return max(0, int(MEMORY_LIMIT) - max(0, taken - cached))
    return int(MEMORY_LIMIT)
