"""Processes of releases that take steps of a conversion: ``tfkernels.conversion.steps``, in a kernel."""

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from tfkernels.client.kernel import Kernel
from tfkernels.client.kernelspecs import KernelSpec
from tfkernels.errors import CellTimeout, KernelDied, TFKernelsError
from tfkernels.transfer import segment_pool
from tfkernels.transfer.segment_pool import pack
from tfprovisioner.conversion import kernels
from tfprovisioner.conversion.kernels import Wanted

T = TypeVar("T")

Tell = Callable[[str, str], None]
"""Gets a release and what is done with it."""

_STEP = "from tfkernels.conversion import steps; _answer = None; _answer = steps.answer(_step, globals().pop('_given'))"


class StepFailed(TFKernelsError):
    """A step could not be taken. ``layer`` stands in the way, if it is known, and ``advice`` would help."""

    def __init__(self, message: str, layer: str = "", advice: str = "", details: str = "") -> None:
        super().__init__(message)
        self.layer = layer
        self.advice = advice
        self.details = details
        """The traceback of an error that is not ours."""


class TookTooLong(StepFailed):
    """A step had not ended at its time limit."""


class ReleaseProcess:
    """One process of a release."""

    def __init__(self, spec: KernelSpec) -> None:
        self.kernel = Kernel(spec.name, spec)
        self.release = str(spec.described["tensorflow"])
        self.seconds = 0.0
        self.printed: list[str] = []

    def __str__(self) -> str:
        return f"TensorFlow {self.release}"

    def begin(self) -> None:
        """Starts it, and imports TensorFlow in the background."""
        self.kernel.submit("import tensorflow", show=self._keep, store_history=False)

    def call(self, step: str, timeout: float | None = None, **arguments: Any) -> Any:
        """The result of a step. Raises ``StepFailed``."""
        return self.hand_over(step, lambda: None, timeout, **arguments)

    def hand_over(self, step: str, forget: Callable[[], None], timeout: float | None = None, **arguments: Any) -> Any:
        """The same. ``forget`` is called as soon as the arguments are in shared memory: they can be large."""
        try:
            with pack({"_step": step, "_given": arguments}) as packed:
                forget()
                answer = self.kernel.run(
                    _STEP, inputs=packed, outputs={"answer": "_answer"}, timeout=timeout, store_history=False,
                    show=self._keep,
                )["answer"]  # fmt: skip
        except CellTimeout as error:
            advice = "Allow more time with --timeout SECONDS."
            raise TookTooLong(f"{self} took longer than {timeout:g} s for it.", advice=advice) from error
        except KernelDied as error:
            raise StepFailed(f"The process of {self} died: {error}", details="".join(self.printed)) from error
        self.seconds += answer["seconds"]
        failed = answer.get("failed")
        if failed:
            message = failed["message"] if failed["known"] else f"{failed['kind']}: {failed['message']}"
            raise StepFailed(message, failed["layer"], failed["advice"], failed["traceback"])
        return answer["result"]

    def end(self) -> None:
        self.kernel.shutdown()

    def _keep(self, output: Any) -> None:
        """What it prints is of interest only if it dies."""
        if output.get("output_type") == "stream":
            self.printed = [*self.printed[-20:], str(output["text"])]


class Processes:
    """Starts processes for one conversion; each ends when it is not needed any more."""

    keeps_loaded = False
    """Whether ``once`` keeps what was loaded for another conversion."""

    def __init__(self) -> None:
        self._running: list[ReleaseProcess] = []

    def begin(self, wanted: Wanted, role: str, tell: Tell) -> ReleaseProcess:  # noqa: ARG002 (for others of this kind)
        """A process with this role in the conversion: ``old``, ``new`` or ``proof``. Raises ``ProvisionError``."""
        process = ReleaseProcess(kernels.get(wanted, lambda step: tell(wanted.release, step)))
        self._running.append(process)
        process.begin()
        return process

    def end(self, process: ReleaseProcess) -> None:
        """The conversion needs the process no more."""
        process.end()
        self._running.remove(process)

    def once(self, key: Hashable, make: Callable[[], T]) -> T:  # noqa: ARG002 (for others of this kind)
        """What ``make`` returns. Who converts a file for several releases keeps it under the key."""
        return make()

    def end_all(self) -> None:
        for process in list(self._running):
            self.end(process)


@contextmanager
def started() -> Iterator[Processes]:
    """Processes that have all ended afterwards. Meanwhile shared memory is freed at once: a model passes only once."""
    processes, before = Processes(), segment_pool.shared.limit
    segment_pool.set_memory_limit(0)
    try:
        yield processes
    finally:
        segment_pool.set_memory_limit(before)
        processes.end_all()
