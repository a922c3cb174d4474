"""A Dask cluster inside this process and its children, for the time of one batch."""

import importlib.util
import logging
import multiprocessing
import os
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import forkserver
from typing import Any

from tfkernels.client import runtime_dir
from tfprovisioner.errors import ProvisionError

_WORKER = "tfprovisioner.batch.dask.worker"

_IMPORTED = ("tfprovisioner.batch.execute.notebook", "tfprovisioner.cli.app")
"""What workers need besides: for the runs, and because they import the program that they were started by."""

_SETTINGS = {
    # A server process imports all that workers need once, beside this process, and forks: a worker, also one in the
    # place of one that was killed, is there in a tenth of a second and shares the memory of what is imported.
    "distributed.worker.multiprocessing-method": "forkserver",
    "distributed.worker.profile.enabled": False,  # samples stacks a hundred times a second, for a page nobody needs
    # One thread for OpenMP and others, for tasks inside of workers. Ours are kernels, and those would inherit it.
    "distributed.nanny.pre-spawn-environ": {},
    "distributed.scheduler.work-stealing": False,  # we say what runs where
}


def prepare() -> None:
    """Begins to import what workers need, in the process that they will be forked from. Returns at once."""
    multiprocessing.get_context("forkserver").set_forkserver_preload([_WORKER, *_IMPORTED])
    forkserver.ensure_running()


@contextmanager
def cluster(workers: int) -> Iterator[Any]:
    """A ``distributed.LocalCluster`` of processes that run one thing at a time each.

    Whoever can talk to a Dask scheduler or worker can run any code through it. So all of it is on the loopback
    interface, where others who use this machine are, too, and speaks TLS with a key that only this process and its
    children have: connections without a certificate of that key are refused. The dashboard shows, and does nothing.
    """
    prepare()
    import dask
    import distributed.utils
    from distributed import LocalCluster
    from distributed.security import Security

    # What the server process imports is said already. Dask would say it again, and import pandas for that.
    distributed.utils._forkserver_preload_set = True  # noqa: SLF001 (without it, it takes a second longer)

    folder = runtime_dir.make()  # Dask keeps a folder for each worker; elsewhere they would stay in the current one
    try:
        with dask.config.set({**_SETTINGS, "temporary-directory": str(folder)}):
            try:
                made = LocalCluster(
                    n_workers=workers,
                    threads_per_worker=1,
                    host="127.0.0.1",
                    protocol="tls://",
                    security=Security.temporary(),
                    dashboard_address="127.0.0.1:0",
                    memory_limit=0,  # of the worker, which hardly needs any; its kernel is another process
                    local_directory=str(folder),
                    preload=[_WORKER],
                    env=dict(os.environ),  # the server process that workers are forked from may be older than a change
                    # Each of its messages is about Dask. What matters to who runs a batch we tell ourselves: a worker
                    # that died, a run that failed; and what does not start raises.
                    silence_logs=logging.CRITICAL,
                )
            except (OSError, RuntimeError) as error:
                raise ProvisionError(f"The workers of the batch could not be started: {error}") from error
            with made:
                yield made
    finally:
        runtime_dir.remove(folder)


def dashboard(made: Any) -> str:
    """The address of the page about a cluster. The live one needs bokeh, which nobody has to have for a batch."""
    link = str(made.dashboard_link)
    return link if importlib.util.find_spec("bokeh") else link.replace("/status", "/info/main/workers.html")
