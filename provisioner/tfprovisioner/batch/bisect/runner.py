"""Runs the notebook on one release after the other, each in an environment of its own."""

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from types import TracebackType
from typing import Any

import nbformat

from tfkernels.client.kernelspecs import KernelSpec
from tfprovisioner.batch import kernel_ref, output_dir, recorded, tasks
from tfprovisioner.batch.bisect.search import SKIPPED
from tfprovisioner.batch.bisect.verdict import Criterion, Trial
from tfprovisioner.batch.execute.notebook import execute
from tfprovisioner.batch.kernel_ref import KernelRef
from tfprovisioner.batch.outcomes import Progress
from tfprovisioner.batch.tasks import Conditions, Task
from tfprovisioner.environments import store
from tfprovisioner.environments.request import InstallRequest
from tfprovisioner.errors import ProvisionError
from tfprovisioner.kernelspecs import install
from tfprovisioner.kernelspecs import write as kernelspec
from tfprovisioner.system import data_dir


def prepared(source: str, release: str, parameters: Mapping[str, Any], conditions: Conditions) -> Task:
    """The run of a notebook on a release. Raises ``BadSource``."""
    wanted = _wanted(release)
    (task,) = tasks.load(tasks.expand([source], [wanted.name], parameters), {wanted.name: wanted}, conditions)
    return task


def _wanted(release: str) -> KernelRef:
    """The kernel that ``tfkernels install`` would make; none needs to be registered."""
    return kernel_ref.wanted_of(InstallRequest(release))


class ReleaseRunner:
    """Context manager: at its end it deletes the environments that it built and that nothing else uses."""

    def __init__(
        self, first: Task, criterion: Criterion, folder: Path, tell: Callable[[Progress], None], keep: bool = False
    ) -> None:
        """``first`` is the run on any release, ``folder`` is for the executed notebooks."""
        self._first, self._criterion, self._folder, self._tell, self._keep = first, criterion, folder, tell, keep
        self._made: list[tuple[KernelSpec, bool]] = []
        """Kernels that no Jupyter sees, and whether their environments had to be built."""

    def __enter__(self) -> "ReleaseRunner":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not self._keep:
            for spec, built in self._made:
                self._remove(spec, built)

    def test(self, release: str) -> Trial:
        """Runs the notebook on a release; skips a release that cannot be had here.

        Raises ``SeveralRecords``, and ``ProvisionError`` if nothing can be written.
        """
        wanted, first = _wanted(release), self._first
        (run,) = tasks.expand([first.run.source], [wanted.name], first.run.parameters)
        fingerprint = tasks.fingerprint(first.notebook, asdict(wanted), run, first.inputs)
        task = replace(first, run=run, fingerprint=fingerprint, check=self._criterion.test)
        try:
            spec = self._kernel(wanted, run.name)
        except ProvisionError as error:
            return Trial(release, SKIPPED, str(error))
        executed = execute(task, spec, self._tell, threading.Event())
        path = output_dir.write(self._folder, executed)
        notebook = nbformat.reads(executed.notebook, as_version=4)
        return self._criterion.decide(release, executed, recorded.of_notebook(notebook, path.with_suffix(".values")))

    def _kernel(self, wanted: KernelRef, run: str) -> KernelSpec:
        before, ready = set(data_dir.batch_kernels().glob("*/*")), kernel_ref.ready(wanted)
        spec = kernel_ref.resolve(wanted, lambda step: self._tell(Progress(run, "preparing", text=step)))
        if spec.folder not in before:
            self._made.append((spec, not ready))
        return spec

    def _remove(self, spec: KernelSpec, built: bool) -> None:
        environment = Path(spec.spec["metadata"]["tfkernels"]["environment"])
        if store.runs(environment):
            return  # another process uses it now; `tfkernels gc` deletes it later
        with suppress(ProvisionError, OSError):  # as above
            if built:
                install.discard(environment, [spec])  # unless another kernel was made of it meanwhile
            else:
                kernelspec.remove(spec.folder)
            spec.folder.parent.rmdir()
