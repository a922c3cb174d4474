"""Runs the notebook on one release after the other, each in an environment of its own."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from tfkernels.client.kernelspecs import KernelSpec
from tfprovisioner.batch import kernel_ref, output_dir, tasks
from tfprovisioner.batch.bisect.verdict import SKIPPED, Criterion, Trial
from tfprovisioner.batch.execution import execute
from tfprovisioner.batch.kernel_ref import KernelRef
from tfprovisioner.batch.outcomes import Progress
from tfprovisioner.batch.tasks import Conditions, Task
from tfprovisioner.environments import store
from tfprovisioner.errors import ProvisionError
from tfprovisioner.kernelspecs import install
from tfprovisioner.kernelspecs import write as kernelspec
from tfprovisioner.requirements.request import InstallRequest
from tfprovisioner.system import data_dir

Runner = Callable[[str, Callable[[Progress], None]], Trial]
"""Gets a release, and what to call with the progress of its run."""


def prepared(source: str, release: str, parameters: Mapping[str, Any], conditions: Conditions) -> Task:
    """The run of a notebook on a release. Raises ``BadSource``."""
    wanted = _wanted(release)
    (task,) = tasks.load(tasks.expand([source], [wanted.name], parameters), {wanted.name: wanted}, conditions)
    return task


def _wanted(release: str) -> KernelRef:
    """The kernel that ``tfkernels install`` would make; none needs to be registered."""
    return kernel_ref.wanted_of(InstallRequest(release))


@contextmanager
def runner(first: Task, criterion: Criterion, folder: Path, keep: bool = False) -> Iterator[Runner]:
    """A function that runs the notebook on a release; it skips a release that cannot be had here.

    ``first`` is the run on any release, ``folder`` is for the executed notebooks. The function raises
    ``SeveralRecords``, and ``ProvisionError`` if nothing can be written. At the end, the environments are deleted that
    were built here and that nothing else uses.
    """
    made: list[tuple[KernelSpec, bool]] = []  # kernels that no Jupyter sees, and whether their environments were built

    def test(release: str, tell: Callable[[Progress], None]) -> Trial:
        wanted = _wanted(release)
        (run,) = tasks.expand([first.run.source], [wanted.name], first.run.parameters)
        fingerprint = tasks.fingerprint(first.notebook, asdict(wanted), run, first.inputs)
        task = replace(first, run=run, fingerprint=fingerprint, check=criterion.test)
        there = set(data_dir.batch_kernels().glob("*/*"))
        try:
            ready = kernel_ref.ready(wanted)
            spec = kernel_ref.resolve(wanted, lambda step: tell(Progress(run.name, "preparing", text=step)))
        except ProvisionError as error:
            return Trial(release, SKIPPED, str(error))
        if spec.folder not in there:
            made.append((spec, not ready))
        executed = execute(task, spec, tell, threading.Event())
        return criterion.decide(release, executed, output_dir.write(folder, executed).records)

    try:
        yield test
    finally:
        for spec, built in () if keep else made:
            _remove(spec, built)


def _remove(spec: KernelSpec, built: bool) -> None:
    environment = Path(spec.described["environment"])
    if store.runs(environment):
        return  # another process uses it now; `tfkernels gc` deletes it later
    with suppress(ProvisionError, OSError):  # as above
        if built:
            install.discard(environment, [spec])  # unless another kernel was made of it meanwhile
        else:
            kernelspec.remove(spec.folder)
        spec.folder.parent.rmdir()
