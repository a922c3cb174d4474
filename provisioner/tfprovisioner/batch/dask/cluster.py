"""The engine of a batch: tasks on the workers of a Dask cluster, a private one on this machine or the user's.

Imports nothing heavy: ``start_worker_server`` is called while the rest is imported.
"""

import importlib.util
import logging
import multiprocessing
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from multiprocessing import forkserver
from typing import TYPE_CHECKING, Any

from tfprovisioner.batch.dask.placement import Options
from tfprovisioner.batch.workdir import private_folder
from tfprovisioner.errors import ProvisionError

if TYPE_CHECKING:
    from tfprovisioner.batch.dask.scheduler import Dispatcher
    from tfprovisioner.batch.kernel_ref import KernelRef
    from tfprovisioner.batch.outcomes import Progress

CONNECT_TIMEOUT = 20.0
"""Seconds for a scheduler's answer."""

_WORKER = "tfprovisioner.batch.dask.worker"

_SETTINGS = {
    # Workers fork from a server process that has imported everything: a new one starts in a tenth of a second.
    "distributed.worker.multiprocessing-method": "forkserver",
    "distributed.worker.profile.enabled": False,  # it samples stacks a hundred times a second
    # One thread for OpenMP and others is right for tasks inside of workers. Ours are kernels, which would inherit it.
    "distributed.nanny.pre-spawn-environ": {},
    "distributed.scheduler.work-stealing": False,  # a task runs where we put it
}

_NO_PAGES: dict[str, list[str]] = {"distributed.scheduler.http.routes": [], "distributed.worker.http.routes": []}
"""Dask's pages have no login, and every user of this machine reaches the loopback interface."""


def start_worker_server(*modules: str) -> None:
    """Starts the process that workers fork from, once; returns at once. It imports ``modules`` too.

    Python runs it with ``-c``, so that the current folder is on its path: a file ``socket.py`` there would be imported
    instead of the standard library's. Hence another current folder, for that moment.
    """
    context = multiprocessing.get_context("forkserver")
    first = "tfprovisioner.system.skipped_imports"
    context.set_forkserver_preload([first, _WORKER, "tfprovisioner.batch.execution", *modules])
    here = os.getcwd()
    try:
        os.chdir("/")
        forkserver.ensure_running()
    finally:
        os.chdir(here)


@contextmanager
def started(
    options: Options, wanted: "Mapping[str, KernelRef]", runs: int, tell: "Callable[[Progress], None]"
) -> "Iterator[Dispatcher]":
    """An engine for ``runs`` runs on the ``wanted`` kernels, by their names.

    The start and the iteration over results call ``tell``. No kernel outlives the context. Raises ``ProvisionError``.
    """
    opened = _private_cluster(options, runs) if options.scheduler is None else _connected(options.scheduler)
    with opened as (client, dashboard):
        from tfprovisioner.batch.dask.hosts import Hosts
        from tfprovisioner.batch.dask.scheduler import Dispatcher
        from tfprovisioner.batch.outcomes import Progress

        def say(text: str) -> None:
            tell(Progress("", "note", text=text))

        need = 1 if options.scheduler is None else options.memory  # here the number of workers respects it already
        hosts = Hosts(client, wanted, need, say)
        hosts.update()
        say(hosts.described(options.scheduler) + (f"; Dask's page: {dashboard}" if dashboard else ""))
        dispatcher = Dispatcher(client, hosts, options, tell)
        try:
            yield dispatcher
        finally:
            dispatcher.stop()


@contextmanager
def _private_cluster(options: Options, runs: int) -> Iterator[tuple[Any, str]]:
    """A ``distributed.LocalCluster`` of processes that run one task each.

    Who can talk to a Dask scheduler or worker can run any code through it. So all of it is on the loopback interface
    and accepts only connections with a certificate of a key that this process makes.
    """
    _check_semaphores()
    start_worker_server()
    import dask
    import distributed.utils
    from distributed import Client, LocalCluster
    from distributed.security import Security

    from tfprovisioner.batch.dask.placement import places
    from tfprovisioner.batch.dask.worker import free_resources

    # Dask would set what the server process imports again, and import pandas for that: it takes a second longer.
    distributed.utils._forkserver_preload_set = True  # noqa: SLF001 (there is no public name)

    workers = options.workers or places(*free_resources(), options.memory)
    settings = _SETTINGS if options.dashboard else {**_SETTINGS, **_NO_PAGES}
    # Dask keeps a folder for each worker; elsewhere they would stay in the current one.
    with private_folder() as folder, dask.config.set({**settings, "temporary-directory": str(folder)}):
        try:
            cluster = LocalCluster(
                n_workers=min(workers, max(1, runs)),
                threads_per_worker=1,
                host="127.0.0.1",
                protocol="tls://",
                security=Security.temporary(),
                dashboard_address="127.0.0.1:0",
                scheduler_kwargs={"dashboard": options.dashboard},
                memory_limit=0,  # of the worker, which hardly needs any; its kernel is another process
                local_directory=str(folder),
                preload=[_WORKER],
                env=dict(os.environ),  # the server process may be older than a change
                # Dask logs about itself. The batch says what matters: a worker that died, a run that failed.
                silence_logs=logging.CRITICAL,
            )
        except (OSError, RuntimeError) as error:
            raise ProvisionError(f"Cannot start the workers of the batch: {str(error).rstrip('.')}.") from error
        with cluster, _silent(), Client(cluster, set_as_default=False) as client:
            yield client, _dashboard(cluster) if options.dashboard else ""


def _check_semaphores() -> None:
    """Raises ``ProvisionError`` where Dask's workers would end at their start, without a word."""
    try:
        multiprocessing.get_context("forkserver").Lock()
    except OSError as error:
        raise ProvisionError(
            f"Cannot start the workers of the batch: no semaphore can be made in /dev/shm: {error.strerror}. Make that "
            f"a folder that everybody can write to (mount a tmpfs there)."
        ) from error


def _dashboard(cluster: Any) -> str:
    """The address of Dask's page about a cluster. The live page needs bokeh; the plain one does not."""
    link = str(cluster.dashboard_link)
    return link if importlib.util.find_spec("bokeh") else link.replace("/status", "/info/main/workers.html")


@contextmanager
def _connected(address: str) -> Iterator[tuple[Any, str]]:
    """A client of the user's scheduler. For ``tls://`` Dask's configuration says where certificates and keys are."""
    from distributed import Client
    from distributed.versions import VersionMismatchWarning

    try:
        with warnings.catch_warnings():
            # It is about packages that tasks do not use. ``hosts`` checks the version of tfkernels.
            warnings.simplefilter("ignore", VersionMismatchWarning)
            _check_encryption(address)
            client = Client(address, timeout=CONNECT_TIMEOUT, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise ProvisionError(
            f"Cannot reach a Dask scheduler at {address}: {error}. Start one with: dask scheduler; or omit --scheduler "
            f"to run on this machine. Certificates for tls:// are set in Dask's configuration (distributed.comm)."
        ) from error
    with _silent(), client:
        shown = "dashboard" in client.scheduler_info()["services"]
        yield client, client.dashboard_link if shown else ""


def _check_encryption(address: str) -> None:
    """Raises ``ValueError`` if Dask's configuration does not fit the address: Dask would notice it too late.

    It leaves a client that waits for its end, and prints a traceback.
    """
    from distributed.security import Security

    security, encrypted = Security(), address.startswith(("tls://", "wss://"))
    if encrypted and security.get_connection_args("client").get("ssl_context") is None:
        raise ValueError("Dask's configuration names no certificate for clients (distributed.comm.tls.client)")
    if security.require_encryption and not encrypted:
        raise ValueError("Dask's configuration requires encryption, so the address has to begin with tls://")


@contextmanager
def _silent() -> Iterator[None]:
    """Without the log of Dask's client on standard error: the batch says itself that the connection is lost."""
    from distributed.utils import silence_logging_cmgr

    with silence_logging_cmgr(logging.CRITICAL), silence_logging_cmgr(logging.CRITICAL, root="distributed.client"):
        yield
