"""The engine of ``tfkernels run``: tasks on the workers of a Dask cluster, one here or one that runs elsewhere.

Dask carries: it connects the machines, moves tasks and results, and notices when a worker or a client is gone. Which
run starts where and when is decided here, one by one as places get free (see ``placement``): a task given to Dask is
for one worker and begins there at once. So a worker that dies takes no more with it than what it was executing, no
machine has more runs than fit into its memory, and who tries again how often does not depend on a scheduler's settings.
"""

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tfprovisioner.batch.dask import embedded
from tfprovisioner.batch.dask.capacity import NEED, fitting, resources
from tfprovisioner.batch.kernel_ref import KernelRef
from tfprovisioner.batch.tasks import Engine, Executed, Progress, Task
from tfprovisioner.errors import ProvisionError

CONNECT = 20.0
"""Seconds that a scheduler has to answer."""


@dataclass(frozen=True)
class Options:
    """How a batch is spread."""

    workers: int | None = None
    """How many runs at once at most; ``None`` is as many as fit."""
    memory: int = NEED
    """Bytes that one run needs."""
    scheduler: str | None = None
    """The address of a Dask scheduler; ``None`` is a cluster of our own, on this machine."""
    retries: int = 2
    """How often a run whose worker died is tried again."""


@dataclass(frozen=True)
class Started:
    """An engine that can be used, and what to tell of it."""

    engine: Engine
    scheduler: str
    """Its address."""
    described: str
    """``2 runs at once on this machine``."""
    dashboard: str
    """The address of Dask's page; empty if there is none."""

    def run(self, tasks: Sequence[Task]) -> Iterator[Executed]:
        return self.engine.run(tasks)


@contextmanager
def started(
    options: Options, wanted: Mapping[str, KernelRef], runs: int, tell: Callable[[Progress], None]
) -> Iterator[Started]:
    """An engine for ``runs`` runs on the ``wanted`` kernels, by their names.

    ``tell`` is called in the thread that iterates over the results. Raises ``ProvisionError``. Whatever ends the
    context, no kernel of the batch is left anywhere.
    """
    opened = _embedded(options, runs) if options.scheduler is None else _connected(options.scheduler)
    with opened as (client, dashboard):
        from tfprovisioner.batch.dask.hosts import Machines
        from tfprovisioner.batch.dask.scheduler import Dispatcher

        def say(text: str) -> None:
            tell(Progress("", "note", text=text))

        need = 1 if options.scheduler is None else options.memory  # here it decided how many workers there are
        machines = Machines(client, wanted, need, say)
        machines.look()
        machines.check()
        dispatcher = Dispatcher(client, machines, wanted, options.retries, tell, options.workers)
        try:
            yield Started(dispatcher, client.scheduler.address, machines.described(options.scheduler), dashboard)
        finally:
            dispatcher.stop()


@contextmanager
def _embedded(options: Options, runs: int) -> Iterator[tuple[Any, str]]:
    embedded.prepare()
    workers = options.workers or fitting(resources(), options.memory, runs)
    with embedded.cluster(min(workers, max(1, runs))) as cluster:
        from distributed import Client

        with _quiet(), Client(cluster, set_as_default=False) as client:
            yield client, embedded.dashboard(cluster)


@contextmanager
def _connected(address: str) -> Iterator[tuple[Any, str]]:
    """A client of a scheduler. For ``tls://`` Dask's own configuration says where certificates and keys are."""
    from distributed import Client
    from distributed.versions import VersionMismatchWarning

    try:
        with warnings.catch_warnings():
            # A table of packages that tasks do not use. What matters is the version of tfkernels, and that is checked.
            warnings.simplefilter("ignore", VersionMismatchWarning)
            client = Client(address, timeout=CONNECT, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise ProvisionError(
            f"No Dask scheduler answers at {address}: {error}. Start one with: dask scheduler; or leave --scheduler "
            f"away, to run on this machine. Certificates for tls:// are set in Dask's configuration (distributed.comm)."
        ) from error
    with _quiet(), client:
        shown = "dashboard" in client.scheduler_info()["services"]
        yield client, client.dashboard_link if shown else ""


@contextmanager
def _quiet() -> Iterator[None]:
    """What Dask's client logs on standard error is about its connection; if that is lost, we say what it means."""
    from distributed.utils import silence_logging_cmgr

    with silence_logging_cmgr(logging.CRITICAL), silence_logging_cmgr(logging.CRITICAL, root="distributed.client"):
        yield
