"""What runs on a worker of a Dask cluster: a look at the machine, and the execution of one task.

Dask sends these functions by name, so a worker needs this package and nothing else of the client's.
"""

import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from distributed import Worker, get_worker
from distributed.core import Status

from tfkernels.errors import TFKernelsError
from tfprovisioner.batch import kernel_ref
from tfprovisioner.batch.kernel_ref import KernelRef
from tfprovisioner.batch.outcomes import Cancelled, Executed, Failure, Progress
from tfprovisioner.batch.tasks import Task
from tfprovisioner.errors import ProvisionError
from tfprovisioner.system.data_dir import home
from tfprovisioner.system.subprocesses import Children, Stopped

TOPIC = "tfkernels"
"""Dask's topic for progress. One for all batches: a scheduler keeps the last messages of each for ever."""

PERIOD = 0.2
"""Seconds between two looks at whether a run is still wanted, and between two messages about it."""


@dataclass(frozen=True)
class Facts:
    """A machine and its kernels."""

    host: str
    home: str
    """The folder with its environments."""
    memory: int
    """Free bytes."""
    ready: frozenset[str]
    """Kernels that need no build."""


@dataclass(frozen=True)
class Refused:
    """The kernel cannot be had on this machine; the run has not begun."""

    failure: Failure


def facts(wanted: Mapping[str, KernelRef]) -> Facts:
    """Takes milliseconds: Dask runs it between its own work."""
    ready = frozenset(name for name, kernel in wanted.items() if kernel_ref.ready(kernel))
    return Facts(socket.gethostname(), str(home()), free_resources()[1], ready)


def free_resources() -> tuple[int, int]:
    """Processors and free memory in bytes, as far as affinities and control groups allow."""
    import psutil
    from dask.system import CPU_COUNT
    from distributed.system import MEMORY_LIMIT

    return CPU_COUNT, min(psutil.virtual_memory().available, max(0, int(MEMORY_LIMIT) - _group_memory_in_use()))


def _group_memory_in_use() -> int:
    """Of the control group, for instance a container's; without the page cache, which it can give up."""
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
        return max(0, taken - cached)
    return 0


def carry_out(batch: str, task: Task, wanted: KernelRef, inputs: bytes | None) -> Executed | Refused | None:
    """Resolves the kernel and executes the task; ``None`` if it was cancelled."""
    from tfprovisioner.batch.execute import (
        notebook,  # papermill takes a second, in which a worker should answer its scheduler
    )

    children, cancelled, host = Children(), threading.Event(), socket.gethostname()

    def stop() -> None:
        cancelled.set()
        children.stop()

    with _Monitor(get_worker(), batch, stop) as monitor:
        try:
            with children.of_this_thread():
                spec = kernel_ref.resolve(
                    wanted,
                    lambda step: monitor.tell(
                        Progress(task.run.name, "preparing", text=f"{task.run.kernel}: {step}", host=host)
                    ),
                )
        except Stopped:
            return None
        except (ProvisionError, TFKernelsError) as error:
            return Refused(Failure(type(error).__name__, str(error)))
        monitor.tell(Progress(task.run.name, "running", text="starting the kernel", host=host))
        try:
            variables = without_nanny_variables(os.environ)
            return notebook.execute(replace(task, inputs=inputs), spec, monitor.tell, cancelled, variables)
        except Cancelled:
            return None


_monitors: "set[_Monitor]" = set()


def running(batch: str) -> int:
    """How many runs of a batch this process has not ended yet."""
    return sum(monitor.batch == batch for monitor in list(_monitors))


class _Monitor:
    """A thread beside a run: sends its progress, and stops it if nobody wants it any more.

    That is so if the client cancelled it, ended or was killed, and if this worker has lost its scheduler.
    """

    def __init__(self, worker: Worker, batch: str, stop: Callable[[], None]) -> None:
        self._worker = worker
        self._key = worker.get_current_task()
        self.batch = batch
        self._stop = stop
        self._latest: Progress | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="tfkernels-monitor", daemon=True)

    def __enter__(self) -> "_Monitor":
        _monitors.add(self)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._ended.set()
        self._thread.join()
        self._send()
        _monitors.discard(self)

    def tell(self, progress: Progress) -> None:
        """Keeps the newest for the next message: the runs of a large batch must not flood the scheduler."""
        self._latest = progress

    def _loop(self) -> None:
        stopped = False
        while not self._ended.wait(PERIOD):
            self._send()
            if not stopped and not self._is_wanted():
                stopped = True
                self._stop()

    def _is_wanted(self) -> bool:
        if self._worker.status in (Status.closing, Status.closed, Status.failed):
            return False
        # Dask cannot end a running function, but its state says that the result will be thrown away.
        entry = self._worker.state.tasks.get(self._key)
        return entry is not None and entry.state in ("executing", "long-running")

    def _send(self) -> None:
        latest, self._latest = self._latest, None
        if latest is not None:
            self._worker.log_event(TOPIC, {"batch": self.batch, "progress": asdict(latest)})


def without_nanny_variables(variables: Mapping[str, str]) -> dict[str, str]:
    """``variables`` without those that Dask's nanny sets: it allows libraries, and so kernels, one thread only."""
    import dask

    theirs: Mapping[str, Any] = dask.config.get("distributed.nanny.pre-spawn-environ", {})
    return {name: value for name, value in variables.items() if str(theirs.get(name)) != value}


def dask_setup(worker: Worker) -> None:  # noqa: ARG001 (Dask's signature)
    """Dask calls it when a worker of the private cluster starts."""
    # Ctrl-C reaches all processes of a terminal. The client handles it, and cancels the tasks. No SIG_IGN: kernels and
    # what their cells start would inherit it.
    signal.signal(signal.SIGINT, lambda *_: None)
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
