"""What happens on a worker of a Dask cluster: looking at the machine, and carrying out one task.

These functions are sent by name, so a worker needs this package and nothing else of the client's.
"""

import logging
import os
import signal
import socket
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from distributed import Worker, get_worker
from distributed.core import Status

from tfkernels.errors import TFKernelsError
from tfprovisioner.batch import kernel_ref
from tfprovisioner.batch.dask.capacity import Resources, resources
from tfprovisioner.batch.kernel_ref import KernelRef
from tfprovisioner.batch.outcomes import Failure
from tfprovisioner.batch.tasks import Cancelled, Executed, Progress, Task
from tfprovisioner.errors import ProvisionError
from tfprovisioner.system.data_dir import home
from tfprovisioner.system.subprocesses import Children, Stopped

TOPIC = "tfkernels"
"""Under which workers tell what they do. One for all batches: a scheduler keeps the last messages of each for ever."""

PERIOD = 0.2
"""Seconds between two looks at whether a run is still wanted, and between two messages about it."""


@dataclass(frozen=True)
class Facts:
    """What a machine is and has."""

    host: str
    home: str
    """The folder with its environments. Workers that share host and folder are on one machine."""
    resources: Resources
    ready: frozenset[str]
    """The kernels that need not be built."""


@dataclass(frozen=True)
class Refused:
    """A run that was not begun, because its kernel cannot be had here."""

    failure: Failure


def facts(wanted: Mapping[str, KernelRef]) -> Facts:
    """Looks at this machine. Takes milliseconds: Dask runs it between its own work."""
    ready = frozenset(name for name, kernel in wanted.items() if kernel_ref.ready(kernel))
    return Facts(socket.gethostname(), str(home()), resources(), ready)


def carry_out(batch: str, task: Task, wanted: KernelRef, inputs: bytes | None) -> Executed | Refused | None:
    """Has the kernel and executes the task; ``None`` if nobody waits for it any more."""
    from tfprovisioner.batch.execute import (
        notebook,  # papermill takes a second, in which a worker should answer its scheduler
    )

    worker = get_worker()
    children, cancelled = Children(), threading.Event()

    def stop() -> None:
        cancelled.set()
        children.stop()

    with _Attention(worker, batch, stop) as attention:
        try:
            with children.of_this_thread():
                spec = kernel_ref.resolve(wanted, lambda text: attention.tell(_preparing(task, text)))
        except Stopped:
            return None
        except (ProvisionError, TFKernelsError) as error:
            return Refused(Failure(type(error).__name__, str(error)))
        attention.tell(Progress(task.run.name, "running", text="starting the kernel", host=socket.gethostname()))
        try:
            variables = without_nanny_variables(os.environ)
            return notebook.execute(replace(task, inputs=inputs), spec, attention.tell, cancelled, variables)
        except Cancelled:
            return None


def _preparing(task: Task, text: str) -> Progress:
    return Progress(task.run.name, "preparing", text=f"{task.run.kernel}: {text}", host=socket.gethostname())


_running: Counter[str] = Counter()
_guard = threading.Lock()


def running(batch: str) -> int:
    """How many runs of a batch this process has not ended yet."""
    return _running[batch]


class _Attention:
    """Looks after a run from a thread beside it: tells how far it is, and notices that nobody wants it any more.

    That is so when the client cancelled it, ended or was killed; and when this worker has lost its scheduler.
    """

    def __init__(self, worker: Worker, batch: str, stop: Callable[[], None]) -> None:
        self._worker = worker
        self._key = worker.get_current_task()
        self._batch = batch
        self._stop = stop
        self._latest: Progress | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._attend, name="tfkernels-attention", daemon=True)

    def __enter__(self) -> "_Attention":
        with _guard:
            _running[self._batch] += 1
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._ended.set()
        self._thread.join()
        self._send()
        with _guard:
            _running[self._batch] -= 1

    def tell(self, progress: Progress) -> None:
        """Keeps the newest, which is sent soon: a scheduler must not drown in what a hundred notebooks say."""
        self._latest = progress

    def _attend(self) -> None:
        stopped = False
        while not self._ended.wait(PERIOD):
            self._send()
            if not stopped and not self._is_wanted():
                stopped = True
                self._stop()

    def _is_wanted(self) -> bool:
        if self._worker.status in (Status.closing, Status.closed, Status.failed):
            return False
        # Dask does not end a running function, but its book says that the result will be thrown away.
        entry = self._worker.state.tasks.get(self._key)
        return entry is not None and entry.state in ("executing", "long-running")

    def _send(self) -> None:
        latest, self._latest = self._latest, None
        if latest is not None:
            self._worker.log_event(TOPIC, {"batch": self._batch, "progress": asdict(latest)})


def without_nanny_variables(variables: Mapping[str, str]) -> dict[str, str]:
    """``variables`` without those that Dask's nanny sets for its workers.

    It allows libraries one thread only, which is right for a task in a worker, and not for a kernel of its own.
    """
    import dask

    theirs: Mapping[str, Any] = dask.config.get("distributed.nanny.pre-spawn-environ", {})
    return {name: value for name, value in variables.items() if str(theirs.get(name)) != value}


def dask_setup(worker: Worker) -> None:  # noqa: ARG001 (what Dask calls)
    """Called by Dask in the workers of an embedded cluster when they start."""
    # Ctrl-C reaches all processes of a terminal. It is the client's to handle, which tells us what to end. No
    # SIG_IGN: that would be inherited by kernels, and by what their cells start.
    signal.signal(signal.SIGINT, lambda *_: None)
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # see ``embedded.cluster``
