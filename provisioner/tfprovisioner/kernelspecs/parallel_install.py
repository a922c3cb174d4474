"""Several orders at the same time: while one is downloaded another is unpacked and a third is checked."""

import os
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
    """The user stopped it. ``orders`` are those that were not carried out; nothing has changed for them."""

    def __init__(self, orders: Sequence[InstallRequest]) -> None:
        super().__init__(orders)
        self.orders = orders


def install_all(orders: Sequence[InstallRequest], tell: Callable[[InstallRequest, Outcome], None]) -> None:
    """Carries out all orders, as many at a time as there are processors, and tells the outcome of each as it comes.

    A failure does not stop the others. An interrupt (``KeyboardInterrupt``) stops all that run: raises ``Interrupted``
    when they have cleaned up.
    """
    threads = ThreadPoolExecutor(max_workers=min(len(orders), _processors()), thread_name_prefix="install")
    with reporting() as reporter_for, threads:
        untold = list(orders)
        waiting: dict[Future[Installed], InstallRequest] = {}
        try:
            for order in orders:
                try:
                    check(order)
                except (ProvisionError, TFKernelsError) as error:
                    tell(order, error)
                    untold.remove(order)
                else:
                    waiting[threads.submit(lambda order: carry_out(order, reporter_for(order.kernel)), order)] = order
            while waiting:
                done, _ = wait(waiting, return_when=FIRST_COMPLETED)
                for future in done:
                    tell(waiting[future], _outcome(future))
                    untold.remove(waiting.pop(future))
        except KeyboardInterrupt:
            subprocesses.stop()
            threads.shutdown(wait=True, cancel_futures=True)
            for future, order in waiting.items():
                if not future.cancelled() and future.exception() is None:  # it was quicker than the interrupt
                    tell(order, future.result())
                    untold.remove(order)
            raise Interrupted(untold) from None
        finally:
            subprocesses.resume()


def _outcome(future: "Future[Installed]") -> Outcome:
    try:
        return future.result()
    except (ProvisionError, TFKernelsError) as error:
        return error


def _processors() -> int:
    """Those that this process may use, which in a container or on a shared machine are fewer than there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
