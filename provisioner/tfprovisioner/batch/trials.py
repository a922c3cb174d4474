"""Testing releases one after the other: an environment for each, a run in it, and nothing left of it afterwards."""

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import nbformat

from tfkernels.kernelspecs import KernelSpec
from tfprovisioner import environments, install, kernelspec
from tfprovisioner.batch import kernels, output, records
from tfprovisioner.batch.bisection import SKIPPED
from tfprovisioner.batch.execution import execute
from tfprovisioner.batch.judging import Judge, Trial
from tfprovisioner.batch.runs import Run
from tfprovisioner.batch.tasks import Progress, Task
from tfprovisioner.errors import ProvisionError
from tfprovisioner.order import Order


@dataclass(frozen=True)
class Subject:
    """What is run on every release."""

    source: str
    """As the user named it."""
    notebook: str
    """Its JSON."""
    folder: str | None
    """Where it runs; ``None`` is a fresh one each time."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    cell_timeout: float | None = None

    def task(self, release: str, check: str | None) -> Task:
        """Its run on a release."""
        kernel = Order(release).kernel
        run = Run(f"{Path(self.source).stem}-{kernel}", self.source, kernel, self.parameters)
        fingerprint = output.fingerprint(self.notebook, {"release": release}, run, None)
        return Task(run, self.notebook, fingerprint, self.folder, cell_timeout=self.cell_timeout, check=check)


class Trials:
    """A context manager: at its end those environments go again that were built in it and that nothing else uses."""

    def __init__(
        self, subject: Subject, judge: Judge, folder: Path, tell: Callable[[Progress], None], keep: bool = False
    ) -> None:
        """``folder`` is for the executed notebooks; ``tell`` gets what is being done."""
        self._subject, self._judge, self._folder, self._tell, self._keep = subject, judge, folder, tell, keep
        self._made: list[tuple[KernelSpec, bool]] = []
        """Kernels that no Jupyter sees, and whether their environments had to be built."""

    def __enter__(self) -> "Trials":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not self._keep:
            for spec, built in self._made:
                self._remove(spec, built)

    def test(self, release: str) -> Trial:
        """Runs the notebook on a release. Raises ``SeveralRecords``, and ``ProvisionError`` if nothing can be written.

        A release that cannot be had here is skipped.
        """
        task = self._subject.task(release, self._judge.test)
        try:
            spec = self._kernel(release, task.run.name)
        except ProvisionError as error:
            return Trial(release, SKIPPED, str(error))
        executed = execute(task, spec, self._tell, threading.Event())
        path = output.write(self._folder, executed)
        notebook = nbformat.reads(executed.notebook, as_version=4)
        return self._judge.judge(release, executed, records.of_notebook(notebook, path.with_suffix(".values")))

    def _kernel(self, release: str, run: str) -> KernelSpec:
        wanted = kernels.wanted_of(Order(release))
        before, ready = set(kernels.folder().glob("*/*")), kernels.ready(wanted)
        spec = kernels.resolve(wanted, lambda step: self._tell(Progress(run, "preparing", text=step)))
        if spec.folder not in before:
            self._made.append((spec, not ready))
        return spec

    def _remove(self, spec: KernelSpec, built: bool) -> None:
        environment = Path(spec.spec["metadata"]["tfkernels"]["environment"])
        if environments.runs(environment):
            return  # somebody else has begun to use it; `tfkernels gc` takes it when nobody does
        with suppress(ProvisionError, OSError):  # as above
            if built:
                install.discard(environment, [spec])  # unless another kernel was made of it meanwhile
            else:
                kernelspec.remove(spec.folder)
            spec.folder.parent.rmdir()
