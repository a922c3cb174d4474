"""Parallel installation of several kernels: one is downloaded while another is unpacked."""

import os
import sysconfig
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from tfkernels.errors import TFKernelsError
from tfprovisioner.environments.request import InstallRequest
from tfprovisioner.errors import ProvisionError
from tfprovisioner.kernelspecs.install import Installed, carry_out, check
from tfprovisioner.progress import reporting
from tfprovisioner.system import subprocesses

Outcome = Installed | ProvisionError | TFKernelsError


class Interrupted(Exception):
    """The user pressed Ctrl-C. ``requests`` are those that were not carried out; nothing has changed for them."""

    def __init__(self, requests: Sequence[InstallRequest]) -> None:
        super().__init__(requests)
        self.requests = requests


def install_all(requests: Sequence[InstallRequest], report: Callable[[InstallRequest, Outcome], None]) -> None:
    """Installs all, as many at a time as there are processors; ``report`` gets the outcome of each as it comes.

    A failure does not stop the others. An interrupt stops all; raises ``Interrupted`` when they have cleaned up.
    """
    # Python 3.11 and older set these up without a lock, and each thread needs them to find uv.
    sysconfig.get_config_vars()
    threads = ThreadPoolExecutor(max_workers=min(len(requests), _processors()), thread_name_prefix="install")
    with reporting() as reporter_for, threads:
        pending = list(requests)
        waiting: dict[Future[Installed], InstallRequest] = {}
        try:
            for request in requests:
                try:
                    checked = check(request)
                except (ProvisionError, TFKernelsError) as error:
                    report(request, error)
                    pending.remove(request)
                else:
                    future = threads.submit(lambda one: carry_out(one, reporter_for(one.request.kernel)), checked)
                    waiting[future] = request
            while waiting:
                done, _ = wait(waiting, return_when=FIRST_COMPLETED)
                for future in done:
                    report(waiting[future], _outcome(future))
                    pending.remove(waiting.pop(future))
        except KeyboardInterrupt:
            subprocesses.stop()
            threads.shutdown(wait=True, cancel_futures=True)
            for future, request in waiting.items():
                if not future.cancelled() and future.exception() is None:  # it ended before the interrupt
                    report(request, future.result())
                    pending.remove(request)
            raise Interrupted(pending) from None
        finally:
            subprocesses.resume()


def _outcome(future: "Future[Installed]") -> Outcome:
    try:
        return future.result()
    except (ProvisionError, TFKernelsError) as error:
        return error


def _processors() -> int:
    """Those that this process may use: in containers fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
