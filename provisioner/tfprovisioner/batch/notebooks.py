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
from tfprovisioner.batch.output_dir import Destination
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
    return [task.run for task in (_remaining(plan, Path(plan.target)) if local else plan.tasks)]


def _remaining(plan: Plan, folder: Path) -> list[Task]:
    """Without the runs of an earlier batch that would give the same again."""
    passed = output_dir.passed(folder)
    return [task for task in plan.tasks if passed.get(task.run.name) != task.fingerprint]


def run(plan: Plan, options: Options, comparison: Mapping[str, Any], say: Callable[[str], None]) -> Result:
    """Executes the runs, writes their files and the report.

    ``comparison`` are options of ``report.make``; ``say`` gets trouble with the report's files. Raises ``OutputTaken``
    before anything starts, and ``ProvisionError`` if the batch ended without any file.
    """
    with output_dir.opened(plan.target, plan.resume, plan.runs) as destination:
        left = _remaining(plan, destination.folder) if plan.resume else list(plan.tasks)
        interrupted, failure = False, None
        try:
            with live_table.showing(plan.runs, len(plan.tasks) - len(left)) as show:
                if len(left) < len(plan.tasks):
                    show.say(f"{len(plan.tasks) - len(left)} of {len(plan.tasks)} runs are there already.")
                for source, names in tasks.unknown_parameters(plan.tasks).items():
                    show.say(f"{source} does not mention {', '.join(names)}; the parameters are set all the same.")
                for executed in _executed(left, plan, options, show):
                    destination.publish(output_dir.write(destination.folder, executed), show.say)
                    show.ended(executed.outcome)
        except KeyboardInterrupt:
            interrupted = True
        except ProvisionError as error:
            failure = error
            if not any(destination.folder.iterdir()):
                raise
        try:
            made, page = _write_report(destination, plan, comparison, say)
        except ProvisionError as error:
            raise (failure or error) from None  # a full disk, for example, fails twice
        return Result(made, page, interrupted, failure, destination.resume_options)


def _executed(left: Sequence[Task], plan: Plan, options: Options, show: live_table.Display) -> Iterator[Executed]:
    if left:
        show.say("Starting the workers …" if options.scheduler is None else f"Connecting to {options.scheduler} …")
        with cluster.started(options, plan.kernels, len(left), show.tell) as engine:
            show.say(engine.described + (f"; Dask's page: {engine.dashboard}" if engine.dashboard else ""))
            yield from engine.run(left)


def _write_report(
    destination: Destination, plan: Plan, comparison: Mapping[str, Any], say: Callable[[str], None]
) -> tuple[Report, str]:
    there = {each.outcome.run.name: each for each in output_dir.read(destination.folder)}
    found = [there[run.name] for run in plan.runs if run.name in there]  # in the order of the command line
    pending = [run for run in plan.runs if run.name not in there]
    made = report.make(found, destination.folder, kernels=list(plan.kernels), pending=pending, **comparison)
    places = {name: destination.publish(path, say) for name, path in report.write(made, destination.folder).items()}
    return made, places["report.html"]
