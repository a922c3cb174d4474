"""What runs on a worker of a Dask cluster: a look at the machine, and the execution of one task.

Dask sends these functions by name, so a worker needs this package and nothing else of the client's.
"""

import logging
import os
import signal
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from distributed import Worker, get_worker
from distributed.core import Status

from tfkernels.errors import TFKernelsError
from tfprovisioner.batch import kernel_ref
from tfprovisioner.batch.dask.placement import Machine
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


def machine(wanted: Mapping[str, KernelRef]) -> Machine:
    """This machine with its ``wanted`` kernels that need no build. Fast: Dask runs it between its own work."""
    host, ready = socket.gethostname(), {name for name, kernel in wanted.items() if kernel_ref.ready(kernel)}
    return Machine(f"{host}:{home()}", host=host, memory=free_resources()[1], ready=ready)


def free_resources() -> tuple[int, int]:
    """Processors and free memory in bytes, as far as affinities and control groups allow."""
    import psutil
    from dask.system import CPU_COUNT
    from distributed.system import MEMORY_LIMIT

    return CPU_COUNT, min(psutil.virtual_memory().available, max(0, int(MEMORY_LIMIT) - _group_memory_in_use()))


def _group_memory_in_use() -> int:
    """Of the control group, for instance a container's; without the page cache, which it can give up."""
    for folder, used, cache in (
        ("/sys/fs/cgroup", "memory.current", "inactive_file"),
        ("/sys/fs/cgroup/memory", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        with suppress(OSError, ValueError, KeyError):
            statistics = dict(line.split() for line in Path(folder, "memory.stat").read_text().splitlines())
            return max(0, int(Path(folder, used).read_text()) - int(statistics[cache]))
    return 0


def carry_out(batch: str, task: Task, wanted: KernelRef, inputs: bytes | None) -> Executed | Failure | None:
    """Resolves the kernel and executes the task; ``None`` if it was cancelled.

    A ``Failure`` says why the kernel cannot be had on this machine; the run has not begun.
    """
    # Papermill takes a second to import, in which a worker should answer its scheduler.
    from tfprovisioner.batch.execution import execute

    children, cancelled = Children(), threading.Event()

    def stop() -> None:
        cancelled.set()
        children.stop()

    with _monitored(batch, stop) as tell:

        def tell_step(state: str, text: str) -> None:
            tell(Progress(task.run.name, state, text=text, host=socket.gethostname()))

        try:
            with children.of_this_thread():
                spec = kernel_ref.resolve(wanted, lambda step: tell_step("preparing", f"{wanted.name}: {step}"))
            tell_step("running", "starting the kernel")
            variables = without_nanny_variables(os.environ)
            return execute(replace(task, inputs=inputs), spec, tell, cancelled, variables)
        except (Stopped, Cancelled):
            return None
        except (ProvisionError, TFKernelsError) as error:
            return Failure(type(error).__name__, str(error))


_running: set[tuple[str, str]] = set()
"""Batches and keys of the tasks that this process executes."""


def running(batch: str) -> int:
    """How many runs of a batch this process has not ended yet."""
    return sum(each == batch for each, _ in list(_running))


@contextmanager
def _monitored(batch: str, stop: Callable[[], None]) -> Iterator[Callable[[Progress], None]]:
    """A function that sends progress of the running task; the newest only, at intervals, to not flood the scheduler.

    A thread beside it calls ``stop`` if nobody wants the result any more: the client cancelled the task, ended or was
    killed, or this worker has lost its scheduler.
    """
    worker = get_worker()
    key = worker.get_current_task()
    latest: deque[Progress] = deque(maxlen=1)
    ended = threading.Event()

    def send() -> None:
        if latest:
            worker.log_event(TOPIC, {"batch": batch, "progress": asdict(latest.pop())})

    def is_wanted() -> bool:
        if worker.status in (Status.closing, Status.closed, Status.failed):
            return False
        # Dask cannot end a running function, but its state says that the result will be thrown away.
        entry = worker.state.tasks.get(key)
        return entry is not None and entry.state in ("executing", "long-running")

    def watch() -> None:
        while not ended.wait(PERIOD):
            send()
            if not is_wanted():
                stop()

    thread = threading.Thread(target=watch, name="tfkernels-monitor", daemon=True)
    _running.add((batch, key))
    thread.start()
    try:
        yield latest.append
    finally:
        ended.set()
        thread.join()
        send()
        _running.discard((batch, key))


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
