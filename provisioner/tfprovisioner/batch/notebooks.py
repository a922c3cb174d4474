"""A batch of notebooks from its start to its report. Prints progress on standard error; ``cli.run`` prints the rest."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tfprovisioner.batch import live_table, output_dir, remote_paths, report, tasks
from tfprovisioner.batch.dask import cluster
from tfprovisioner.batch.dask.placement import Options
from tfprovisioner.batch.kernel_ref import KernelRef, wanted
from tfprovisioner.batch.outcomes import Executed
from tfprovisioner.batch.output_dir import Found
from tfprovisioner.batch.report import Report
from tfprovisioner.batch.tasks import Conditions, Run, Task
from tfprovisioner.errors import ProvisionError


@dataclass(frozen=True)
class Plan:
    """A batch: everything is read, nothing is started."""

    tasks: Sequence[Task]
    kernels: Mapping[str, KernelRef]
    target: str
    """A folder, or an address that papermill writes to."""
    resume: bool

    @property
    def runs(self) -> list[Run]:
        return [task.run for task in self.tasks]


@dataclass(frozen=True)
class Result:
    """The report on a batch, and where its files are."""

    report: Report
    page: str
    """The path or address of ``report.html``."""
    interrupted: bool
    failure: ProvisionError | None
    """What ended the batch before its last run."""
    resume_options: str
    """The options that run the rest."""


def planned(runs: Sequence[Run], target: str, resume: bool, conditions: Conditions) -> Plan:
    """Looks up the kernels and reads the notebooks. Raises ``BadSource`` and ``UnknownKernel``."""
    kernels = {name: wanted(name) for name in dict.fromkeys(run.kernel for run in runs)}
    inline = remote_paths.is_address(target)
    return Plan(tasks.load(runs, kernels, replace(conditions, inline=inline)), kernels, target, resume)


def remaining(plan: Plan) -> list[Run]:
    """The runs to execute. Does not look at an address."""
    local = plan.resume and not remote_paths.is_address(plan.target) and Path(plan.target).is_dir()
    found = output_dir.ended(Path(plan.target), plan.runs) if local else {}
    return [task.run for task in _remaining(plan, found)]


def _remaining(plan: Plan, found: Mapping[str, Found]) -> list[Task]:
    """Without the runs of an earlier batch that would give the same again."""
    return [task for task in plan.tasks if not output_dir.repeats(found.get(task.run.name), task.fingerprint)]


def run(plan: Plan, options: Options, comparison: Mapping[str, Any], say: Callable[[str], None]) -> Result:
    """Executes the runs, writes their files and the report.

    ``comparison`` are options of ``report.make``; ``say`` gets trouble with the report's files. Raises ``OutputTaken``
    before anything starts, and ``ProvisionError`` if the batch ended without any file.
    """
    with output_dir.opened(plan.target, plan.resume, plan.runs) as destination:
        folder = destination.folder
        found = output_dir.ended(folder, plan.runs) if plan.resume else {}
        left = _remaining(plan, found)
        interrupted, failure = False, None
        try:
            with live_table.showing(plan.runs, len(plan.tasks) - len(left)) as show:
                if len(left) < len(plan.tasks):
                    show.say(f"{len(plan.tasks) - len(left)} of {len(plan.tasks)} runs are there already.")
                for source, names in tasks.unknown_parameters(plan.tasks).items():
                    show.say(f"{source} does not mention {', '.join(names)}; the parameters are set all the same.")
                for executed in _executed(left, plan, options, show):
                    written = output_dir.write(folder, executed)
                    found[executed.outcome.run.name] = written
                    destination.publish(written.path, show.say)
                    show.ended(executed.outcome)
        except KeyboardInterrupt:
            interrupted = True
        except ProvisionError as error:
            failure = error
        if failure is not None and not found:
            raise failure
        try:
            done = [found[run.name] for run in plan.runs if run.name in found]
            pending = [run for run in plan.runs if run.name not in found]
            made = report.make(done, folder, kernels=list(plan.kernels), pending=pending, **comparison)
            places = {name: destination.publish(path, say) for name, path in report.write(made, folder).items()}
        except ProvisionError as error:
            raise (failure or error) from None  # a full disk, for example, fails twice
        return Result(made, places["report.html"], interrupted, failure, destination.resume_options)


def _executed(left: Sequence[Task], plan: Plan, options: Options, show: live_table.Display) -> Iterator[Executed]:
    if left:
        show.say("Starting the workers …" if options.scheduler is None else f"Connecting to {options.scheduler} …")
        with cluster.started(options, plan.kernels, len(left), show.tell) as engine:
            yield from engine.run(left)
