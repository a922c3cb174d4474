"""Testing releases one after the other: an environment for each, a run in it, and nothing left of it afterwards."""

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from types import TracebackType
from typing import Any

import nbformat

from tfkernels.client.kernelspecs import KernelSpec
from tfprovisioner.batch import kernel_ref, loading, output_dir, recorded
from tfprovisioner.batch.bisect.search import SKIPPED
from tfprovisioner.batch.bisect.verdict import Judge, Trial
from tfprovisioner.batch.execute.notebook import execute
from tfprovisioner.batch.kernel_ref import KernelRef
from tfprovisioner.batch.loading import Conditions
from tfprovisioner.batch.runs import Run, expand
from tfprovisioner.batch.tasks import Progress, Task
from tfprovisioner.environments import store
from tfprovisioner.environments.request import InstallRequest
from tfprovisioner.errors import ProvisionError
from tfprovisioner.kernelspecs import install
from tfprovisioner.kernelspecs import write as kernelspec


def prepared(source: str, release: str, parameters: Mapping[str, Any], conditions: Conditions) -> Task:
    """The run of a notebook on a release. Raises ``BadSource``."""
    wanted = _wanted(release)
    (task,) = loading.tasks([_run(source, wanted, parameters)], {wanted.name: wanted}, conditions)
    return task


def _wanted(release: str) -> KernelRef:
    """Its kernel as ``tfkernels install`` makes it; none needs to be registered."""
    return kernel_ref.wanted_of(InstallRequest(release))


def _run(source: str, wanted: KernelRef, parameters: Mapping[str, Any]) -> Run:
    (run,) = expand([source], [wanted.name], parameters)
    return run


class Trials:
    """A context manager: at its end those environments go again that were built in it and that nothing else uses."""

    def __init__(
        self, first: Task, judge: Judge, folder: Path, tell: Callable[[Progress], None], keep: bool = False
    ) -> None:
        """``first`` is the run on any of the releases; those on the others are made from it.

        ``folder`` is for the executed notebooks. ``tell`` gets what is being done.
        """
        self._first, self._judge, self._folder, self._tell, self._keep = first, judge, folder, tell, keep
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
        wanted = _wanted(release)
        task = self._task(wanted)
        try:
            spec = self._kernel(wanted, task.run.name)
        except ProvisionError as error:
            return Trial(release, SKIPPED, str(error))
        executed = execute(task, spec, self._tell, threading.Event())
        path = output_dir.write(self._folder, executed)
        notebook = nbformat.reads(executed.notebook, as_version=4)
        return self._judge.judge(release, executed, recorded.of_notebook(notebook, path.with_suffix(".values")))

    def _task(self, wanted: KernelRef) -> Task:
        first = self._first
        run = _run(first.run.source, wanted, first.run.parameters)
        fingerprint = output_dir.fingerprint(first.notebook, asdict(wanted), run, first.inputs)
        return replace(first, run=run, fingerprint=fingerprint, check=self._judge.test)

    def _kernel(self, wanted: KernelRef, run: str) -> KernelSpec:
        before, ready = set(kernel_ref.folder().glob("*/*")), kernel_ref.ready(wanted)
        spec = kernel_ref.resolve(wanted, lambda step: self._tell(Progress(run, "preparing", text=step)))
        if spec.folder not in before:
            self._made.append((spec, not ready))
        return spec

    def _remove(self, spec: KernelSpec, built: bool) -> None:
        environment = Path(spec.spec["metadata"]["tfkernels"]["environment"])
        if store.runs(environment):
            return  # somebody else has begun to use it; `tfkernels gc` takes it when nobody does
        with suppress(ProvisionError, OSError):  # as above
            if built:
                install.discard(environment, [spec])  # unless another kernel was made of it meanwhile
            else:
                kernelspec.remove(spec.folder)
            spec.folder.parent.rmdir()
