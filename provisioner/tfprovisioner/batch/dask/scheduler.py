"""Giving the tasks of a batch to the workers of a Dask cluster, and getting back what came of them."""

import queue
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

import distributed

from tfprovisioner.batch.dask import placement, worker
from tfprovisioner.batch.dask.hosts import Machines
from tfprovisioner.batch.dask.placement import Cost, Machine
from tfprovisioner.batch.dask.worker import Refused
from tfprovisioner.batch.kernel_ref import KernelRef
from tfprovisioner.batch.outcomes import Failure
from tfprovisioner.batch.tasks import Executed, Progress, Task
from tfprovisioner.errors import ProvisionError

LOOK = 1.0
"""Seconds between two looks at which workers are there."""

FETCH = 60.0
"""Seconds after which it is looked whether the worker that has a result is still there."""

PATIENCE = 120.0
"""Seconds without any worker after which a batch is given up."""

END = 15.0
"""Seconds that workers have for ending their kernels when a batch is stopped."""


@dataclass(frozen=True)
class Turn:
    """A task that waits. ``number`` is which try it will be; ``left`` where the worker of the last one died."""

    task: Task
    number: int = 1
    left: str = ""


@dataclass(eq=False)
class Attempt:
    """A task that a worker has."""

    turn: Turn
    machine: str
    host: str
    address: str
    begun: float
    future: Any = None
    prepared: bool = False
    """Whether the kernel is there."""
    delivered: bool = False
    """Whether what came of it is here; the worker may die then."""

    @property
    def kernel(self) -> str:
        return self.turn.task.run.kernel


class Dispatcher:
    """Executes the tasks of one batch on a cluster. The engine that ``tasks.Engine`` describes."""

    def __init__(
        self,
        client: Any,
        machines: Machines,
        wanted: Mapping[str, KernelRef],
        retries: int,
        tell: Callable[[Progress], None],
        limit: int | None = None,
    ) -> None:
        """``limit`` is how many runs at once there may be on all machines together."""
        self._client = client
        self._machines = machines
        self._wanted = wanted
        self._retries = retries
        self._tell = tell
        self._limit = limit
        self._batch = uuid.uuid4().hex
        self._waiting: dict[str, deque[Turn]] = {}
        self._running: dict[str, Attempt] = {}
        self._events: queue.SimpleQueue[Progress | tuple[Attempt, Any]] = queue.SimpleQueue()
        self._inputs: dict[str, Any] = {}
        self._costs: dict[str, Cost] = {}
        self._refusals: dict[str, Failure] = {}
        self._fetching = ThreadPoolExecutor(2, "tfkernels-fetch")
        self._looked = 0.0
        self._seen = time.monotonic()
        self._client.subscribe_topic(worker.TOPIC, self._hear)

    def run(self, tasks: Sequence[Task]) -> Iterator[Executed]:
        """Yields what came of each task, as it comes. Raises ``ProvisionError`` if the cluster is lost."""
        for task in tasks:
            self._waiting.setdefault(task.run.kernel, deque()).append(Turn(task))
        try:
            while self._running or any(self._waiting.values()):
                yield from self._look()
                yield from self._hopeless()
                self._start()
                with suppress(queue.Empty):
                    yield from self._handle(self._events.get(timeout=LOOK))
                for _ in range(self._events.qsize()):  # not until it is empty: many runs tell much
                    yield from self._handle(self._events.get())
        finally:
            self.stop()

    def stop(self) -> None:
        """Ends all kernels that still run, everywhere; waits for that, but not for ever."""
        self._waiting.clear()
        attempts, self._running = list(self._running.values()), {}
        if self._client.status == "running":  # else the connection is lost, and workers know it by that
            with suppress(OSError):
                if attempts:
                    self._client.cancel([attempt.future for attempt in attempts])
                deadline = time.monotonic() + END
                while attempts and self._busy() and time.monotonic() < deadline:
                    time.sleep(worker.PERIOD)
        self._inputs.clear()
        self._fetching.shutdown(wait=False, cancel_futures=True)

    def _busy(self) -> bool:
        return any(self._client.run(worker.running, self._batch, on_error="ignore").values())

    def _look(self) -> Iterator[Executed]:
        """Notices which workers came and went."""
        lost = "The connection to the scheduler was lost. What has finished is kept; with --resume the rest is run."
        if self._client.status != "running":
            raise ProvisionError(lost)
        if time.monotonic() - self._looked < LOOK:
            return
        try:
            self._machines.look()
        except OSError as error:
            raise ProvisionError(lost) from error
        self._machines.check()
        self._looked = time.monotonic()
        for attempt in list(self._running.values()):
            if not attempt.delivered and not self._machines.has(attempt.address):
                yield from self._died(attempt)
        if self._machines.all({}, {}):
            self._seen = time.monotonic()
        elif time.monotonic() - self._seen > PATIENCE:
            raise ProvisionError(
                f"No worker has come for {PATIENCE:.0f} s. What has finished is kept; with --resume the rest is run."
            )

    def _start(self) -> None:
        """Gives tasks to workers until nothing more fits or is worth it."""
        while self._limit is None or len(self._running) < self._limit:
            waiting = {kernel: len(turns) for kernel, turns in self._waiting.items() if turns}
            chosen = placement.choose(self._states(), waiting, self._costs)
            if chosen is None:
                return
            kernel, machine = chosen
            self._submit(self._waiting[kernel].popleft(), machine)

    def _states(self) -> list[Machine]:
        running = Counter(attempt.machine for attempt in self._running.values())
        building: dict[str, set[str]] = {}
        for attempt in self._running.values():
            if not attempt.prepared:
                building.setdefault(attempt.machine, set()).add(attempt.kernel)
        return self._machines.all(running, {name: frozenset(kernels) for name, kernels in building.items()})

    def _submit(self, turn: Turn, machine: Machine) -> None:
        site = self._machines.site(machine.name)
        busy = Counter(attempt.address for attempt in self._running.values())
        address = min(site.threads, key=lambda address: busy[address] / site.threads[address])
        run = turn.task.run
        attempt = Attempt(turn, machine.name, site.facts.host, address, time.monotonic())
        if turn.left:
            again = f"its worker on {turn.left} died; again on {attempt.host} ({turn.number} of {self._retries + 1})"
            self._tell(Progress(run.name, "note", text=again, host=attempt.host))
        attempt.future = self._client.submit(
            worker.carry_out,
            self._batch,
            replace(turn.task, inputs=None, attempt=turn.number),
            self._wanted[run.kernel],
            self._travelling(turn.task.inputs),
            key=f"{run.name}-{self._batch[:8]}-{turn.number}-{uuid.uuid4().hex[:8]}",
            workers=[address],
            pure=False,
        )
        self._running[run.name] = attempt
        attempt.future.add_done_callback(lambda _: self._arrived(attempt))

    def _travelling(self, inputs: bytes | None) -> Any:
        """The files that runs have in common: a task of its own, so that they travel once to each worker, and again if
        one is lost."""
        if inputs is None:
            return None
        name = sha256(inputs).hexdigest()
        if name not in self._inputs:
            self._inputs[name] = self._client.submit(bytes, inputs, key=f"inputs-{self._batch[:8]}-{name[:16]}")
        return self._inputs[name]

    def _hear(self, event: tuple[float, Any]) -> None:
        _, message = event
        if message.get("batch") == self._batch:
            self._events.put(Progress(**message["progress"]))

    def _arrived(self, attempt: Attempt) -> None:
        if self._running.get(attempt.turn.task.run.name) is attempt:  # else it was given up, and that is why
            self._fetching.submit(self._fetch, attempt)

    def _fetch(self, attempt: Attempt) -> None:
        try:
            result = attempt.future.result(timeout=FETCH)
            attempt.delivered = True
        except Exception as error:  # noqa: BLE001 (whatever it is, it is about this run)
            result = error
        self._events.put((attempt, result))

    def _handle(self, event: Progress | tuple[Attempt, Any]) -> Iterator[Executed]:
        if isinstance(event, Progress):
            self._progress(event)
            return
        attempt, result = event
        if self._running.get(attempt.turn.task.run.name) is not attempt:
            return  # it was given up
        match result:
            case Executed():
                self._ready(attempt)
                self._note_run(attempt.kernel, result.outcome.seconds)
                yield from self._ended(attempt, result)
            case Refused():
                # Another machine may have the kernel.
                self._machines.site(attempt.machine).refused.add(attempt.kernel)
                self._refusals[attempt.kernel] = result.failure
                self._again(attempt, attempt.turn)
            case None | distributed.KilledWorker():
                yield from self._died(attempt)
            case _:
                self._looked = 0.0
                yield from self._look()  # which finds out whether the worker has gone
                if self._running.get(attempt.turn.task.run.name) is not attempt:
                    return
                if isinstance(result, (TimeoutError, distributed.TimeoutError)):  # two classes in Python 3.10
                    self._arrived(attempt)
                else:
                    yield from self._ended(attempt, _failed(attempt.turn, type(result).__name__, str(result)))

    def _progress(self, progress: Progress) -> None:
        attempt = self._running.get(progress.run)
        if attempt is not None and progress.state != "preparing":
            self._ready(attempt)
        self._tell(progress)

    def _ready(self, attempt: Attempt) -> None:
        site = self._machines.site(attempt.machine)
        if not attempt.prepared and attempt.kernel not in site.ready:
            cost = self._costs.get(attempt.kernel, Cost())
            self._costs[attempt.kernel] = replace(cost, build=time.monotonic() - attempt.begun)
        attempt.prepared = True
        site.ready.add(attempt.kernel)

    def _note_run(self, kernel: str, seconds: float) -> None:
        cost = self._costs.get(kernel)
        self._costs[kernel] = Cost(run=seconds) if cost is None else replace(cost, run=(cost.run + seconds) / 2)

    def _ended(self, attempt: Attempt, executed: Executed) -> Iterator[Executed]:
        del self._running[attempt.turn.task.run.name]
        attempt.future.release()
        yield executed

    def _hopeless(self) -> Iterator[Executed]:
        """The runs of kernels that no machine can have."""
        machines = self._states()
        for kernel, failure in self._refusals.items():
            turns = self._waiting[kernel]
            while turns and machines and all(kernel in machine.refused for machine in machines):
                yield _failed(turns.popleft(), failure.kind, failure.message)

    def _died(self, attempt: Attempt) -> Iterator[Executed]:
        turn = attempt.turn
        if turn.number <= self._retries:
            self._again(attempt, replace(turn, number=turn.number + 1, left=attempt.host))
            return
        times = "once" if turn.number == 1 else f"{turn.number} times"
        message = (
            f"The worker that executed it died {times}, the last time on {attempt.host}. If its memory ran out, let "
            f"fewer run at once with --memory or --workers; --retries sets how often a run is tried again."
        )
        yield from self._ended(attempt, _failed(turn, "WorkerDied", message))

    def _again(self, attempt: Attempt, turn: Turn) -> None:
        del self._running[turn.task.run.name]
        self._client.cancel([attempt.future])
        self._waiting[attempt.kernel].appendleft(turn)


def _failed(turn: Turn, kind: str, message: str) -> Executed:
    from tfprovisioner.batch.execute import notebook  # papermill takes a second to import

    return notebook.not_started(replace(turn.task, attempt=turn.number), Failure(kind, message))
