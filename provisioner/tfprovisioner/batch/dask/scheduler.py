"""Submits the tasks of a batch to Dask's workers, one by one as places become free, and collects the results.

Each task that Dask gets is for one worker, and starts there at once. See docs/design/batch.md.
"""

import asyncio
import queue
import time
import uuid
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import distributed

from tfprovisioner.batch.dask import worker
from tfprovisioner.batch.dask.hosts import Hosts
from tfprovisioner.batch.dask.placement import Cost, Machine, Options, choose
from tfprovisioner.batch.outcomes import Executed, Failure, Progress
from tfprovisioner.batch.tasks import Task
from tfprovisioner.errors import ProvisionError

UPDATE_INTERVAL = 1.0
"""Seconds between two looks at which workers are there."""

WORKER_TIMEOUT = 600.0
"""Seconds without any worker, after which the batch ends. On a busy machine a worker needs minutes to start."""

STOP_TIMEOUT = 15.0
"""Seconds that workers have to end their kernels when a batch stops."""

_LOST = "The connection to the scheduler was lost. Finished runs are kept; run the rest with --resume."


@dataclass(eq=False)
class Attempt:
    """A task that a worker executes."""

    task: Task
    machine: Machine
    address: str
    started: float
    future: Any
    """Dask's. It is done when the worker has ended the task."""
    arriving: "Future[Executed | Failure | None]"
    """It is done when the result is here; the worker may die then."""

    @property
    def kernel(self) -> str:
        return self.task.run.kernel


class Dispatcher:
    """Executes the tasks of one batch: ``run`` them, and ``stop`` in any case."""

    def __init__(self, client: Any, hosts: Hosts, options: Options, tell: Callable[[Progress], None]) -> None:
        self._client = client
        self._hosts = hosts
        self._options = options
        self._tell = tell
        self._batch = uuid.uuid4().hex
        self._waiting: defaultdict[str, deque[Task]] = defaultdict(deque)
        """By kernel."""
        self._running: dict[str, Attempt] = {}
        """By the name of the run."""
        self._events: queue.SimpleQueue[Progress | Attempt] = queue.SimpleQueue()
        """Progress, and attempts whose results are here."""
        self._inputs: dict[str, Any] = {}
        self._costs: defaultdict[str, Cost] = defaultdict(Cost)
        self._refusals: dict[str, Failure] = {}
        self._updated = 0.0
        self._workers_seen = time.monotonic()
        self._client.subscribe_topic(worker.TOPIC, self._receive_progress)

    def run(self, tasks: Sequence[Task]) -> Iterator[Executed]:
        """Yields the results as they come. Raises ``ProvisionError`` if the cluster is lost."""
        for task in tasks:
            self._waiting[task.run.kernel].append(task)
        while self._running or any(self._waiting.values()):
            yield from self._update()
            yield from self._fail_refused()
            self._start()
            with suppress(queue.Empty):
                yield from self._handle(self._events.get(timeout=UPDATE_INTERVAL))
            for _ in range(self._events.qsize()):  # not until it is empty: many runs send much
                yield from self._handle(self._events.get())

    def stop(self) -> None:
        """Ends the kernels that still run, everywhere; waits for that for ``STOP_TIMEOUT`` at most."""
        futures = [attempt.future for attempt in self._running.values()]
        self._running.clear()
        if futures and self._client.status == "running":  # else the workers notice that they lost the scheduler
            with suppress(OSError):
                self._client.cancel(futures)
                deadline = time.monotonic() + STOP_TIMEOUT
                while time.monotonic() < deadline and any(
                    self._client.run(worker.running, self._batch, on_error="ignore").values()
                ):
                    time.sleep(worker.PERIOD)
        self._inputs.clear()

    def _update(self) -> Iterator[Executed]:
        """Notices workers that came and went."""
        if self._client.status != "running":
            raise ProvisionError(_LOST)
        if time.monotonic() - self._updated < UPDATE_INTERVAL:
            return
        try:
            self._hosts.update()
        except OSError as error:
            raise ProvisionError(_LOST) from error
        self._updated = time.monotonic()
        for attempt in list(self._running.values()):
            if not attempt.arriving.done() and not self._hosts.has(attempt.address):
                yield from self._retry(attempt)
        if self._hosts.machines:
            self._workers_seen = time.monotonic()
        elif time.monotonic() - self._workers_seen > WORKER_TIMEOUT:
            raise ProvisionError(
                f"No worker came for {WORKER_TIMEOUT:.0f} s. Finished runs are kept; run the rest with --resume."
            )

    def _start(self) -> None:
        """Submits tasks until nothing more fits or is worth it."""
        while self._options.workers is None or len(self._running) < self._options.workers:
            waiting = {kernel: len(tasks) for kernel, tasks in self._waiting.items()}
            chosen = choose(self._hosts.machines, waiting, self._costs)
            if chosen is None:
                return
            kernel, machine = chosen
            self._submit(self._waiting[kernel].popleft(), machine)

    def _submit(self, task: Task, machine: Machine) -> None:
        busy = Counter(attempt.address for attempt in self._running.values())
        address = min(machine.workers, key=lambda address: busy[address] / machine.workers[address])
        run, inputs = task.run, task.inputs
        if inputs is not None:  # one task for equal inputs: they travel once to each worker, and again if they are lost
            inputs = self._client.submit(bytes, inputs)
            self._inputs[inputs.key] = inputs
        future = self._client.submit(
            worker.carry_out,
            self._batch,
            replace(task, inputs=None),
            self._hosts.wanted[run.kernel],
            inputs,
            key=f"{run.name}-{self._batch[:8]}-{task.attempt}-{uuid.uuid4().hex[:8]}",
            workers=[address],
        )
        # In the client's own loop: a slow result keeps nothing else waiting.
        gathering = self._client.gather(future, asynchronous=True)
        arriving = asyncio.run_coroutine_threadsafe(gathering, self._client.loop.asyncio_loop)
        attempt = Attempt(task, machine, address, time.monotonic(), future, arriving)
        machine.running += 1
        if run.kernel not in machine.ready:
            machine.building.add(run.kernel)
        self._running[run.name] = attempt
        arriving.add_done_callback(lambda _: self._events.put(attempt))

    def _receive_progress(self, event: tuple[float, Any]) -> None:
        _, message = event
        if message.get("batch") == self._batch:
            self._events.put(Progress(**message["progress"]))

    def _handle(self, event: Progress | Attempt) -> Iterator[Executed]:
        if isinstance(event, Progress):
            running = self._running.get(event.run)
            if running is not None and event.state != "preparing":
                self._note_prepared(running)
            self._tell(event)
            return
        attempt = event
        if self._running.get(attempt.task.run.name) is not attempt:
            return  # it was given up
        try:
            result = attempt.arriving.result()
        except distributed.KilledWorker:
            result = None
        except (Exception, CancelledError) as error:  # noqa: BLE001 (Dask passes on whatever the task raised)
            self._updated = 0.0
            yield from self._update()  # which finds out whether the worker or the scheduler has gone
            if self._hosts.has(attempt.address):
                self._end(attempt)
                yield _failed(attempt.task, type(error).__name__, str(error))
            else:
                yield from self._retry(attempt)
            return
        match result:
            case Executed():
                self._note_prepared(attempt)
                cost = self._costs[attempt.kernel]
                self._costs[attempt.kernel] = replace(cost, run=(cost.run + result.outcome.seconds) / 2)
                self._end(attempt)
                yield result
            case Failure():
                attempt.machine.refused.add(attempt.kernel)
                attempt.machine.ready.discard(attempt.kernel)
                self._refusals[attempt.kernel] = result
                self._end(attempt)
                self._waiting[attempt.kernel].appendleft(attempt.task)  # another machine may have the kernel
            case None:
                yield from self._retry(attempt)

    def _note_prepared(self, attempt: Attempt) -> None:
        if attempt.kernel not in attempt.machine.ready:
            attempt.machine.ready.add(attempt.kernel)
            attempt.machine.building.discard(attempt.kernel)
            took = time.monotonic() - attempt.started
            self._costs[attempt.kernel] = replace(self._costs[attempt.kernel], build=took)

    def _end(self, attempt: Attempt) -> None:
        del self._running[attempt.task.run.name]
        attempt.machine.running -= 1
        attempt.machine.building.discard(attempt.kernel)
        attempt.future.release()

    def _fail_refused(self) -> Iterator[Executed]:
        """The runs of kernels that no machine can have."""
        machines = self._hosts.machines
        for kernel, failure in self._refusals.items():
            tasks = self._waiting[kernel]
            while tasks and machines and all(kernel in machine.refused for machine in machines):
                yield _failed(tasks.popleft(), failure.kind, failure.message)

    def _retry(self, attempt: Attempt) -> Iterator[Executed]:
        """Its worker died."""
        self._client.cancel([attempt.future])
        self._end(attempt)
        task, host = attempt.task, attempt.machine.host
        if task.attempt <= self._options.retries:
            text = f"its worker on {host} died; it starts again ({task.attempt + 1} of {self._options.retries + 1})"
            self._tell(Progress(task.run.name, "note", text=text, host=host))
            self._waiting[attempt.kernel].appendleft(replace(task, attempt=task.attempt + 1))
            return
        times = "once" if task.attempt == 1 else f"{task.attempt} times"
        message = (
            f"Its worker died {times}, the last time on {host}. If the memory ran out, let fewer run at once with "
            f"--memory or --workers; --retries sets how often a run is tried again."
        )
        yield _failed(task, "WorkerDied", message)


def _failed(task: Task, kind: str, message: str) -> Executed:
    from tfprovisioner.batch.execution import not_started  # papermill takes a second to import

    return not_started(task, Failure(kind, message))
