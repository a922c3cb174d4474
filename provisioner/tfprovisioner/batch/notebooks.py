"""A batch of notebooks from its beginning to its report."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tfprovisioner.batch import destinations, live_table, loading, output_dir, remote_paths, report
from tfprovisioner.batch.dask import cluster
from tfprovisioner.batch.dask.cluster import Options
from tfprovisioner.batch.destinations import Destination
from tfprovisioner.batch.kernel_ref import KernelRef, wanted
from tfprovisioner.batch.loading import Conditions
from tfprovisioner.batch.outcomes import Outcome
from tfprovisioner.batch.runs import Run
from tfprovisioner.batch.tasks import Executed, Task
from tfprovisioner.cli.console import print_json
from tfprovisioner.errors import ProvisionError

INTERRUPTED = 130
"""The exit code after Ctrl-C, as shells have it."""


@dataclass(frozen=True)
class Plan:
    """A batch of which all is read, and nothing started."""

    tasks: Sequence[Task]
    kernels: Mapping[str, KernelRef]
    target: str
    """A folder, or an address that papermill writes to."""
    resume: bool

    @property
    def runs(self) -> list[Run]:
        return [task.run for task in self.tasks]


def planned(runs: Sequence[Run], target: str, resume: bool, conditions: Conditions) -> Plan:
    """Looks at the kernels and reads the notebooks. Raises ``BadSource`` and ``UnknownKernel``."""
    kernels = {name: wanted(name) for name in dict.fromkeys(run.kernel for run in runs)}
    remote = remote_paths.is_address(target)
    return Plan(loading.tasks(runs, kernels, replace(conditions, inline=remote)), kernels, target, resume)


def left(plan: Plan) -> list[Run]:
    """The runs that there are to execute; an address is not looked at."""
    there = plan.resume and not remote_paths.is_address(plan.target) and Path(plan.target).is_dir()
    done = _finished(Path(plan.target), plan.tasks) if there else {}
    return [run for run in plan.runs if run.name not in done]


def run(plan: Plan, *, options: Options, comparison: Mapping[str, Any], as_json: bool) -> int:
    """Executes the runs, writes their files and the report, says on standard output what came out.

    Returns the exit code. Raises ``OutputTaken`` before anything is started, and ``ProvisionError`` if it could not
    be gone on with; what had finished by then is kept.
    """
    with destinations.opened(plan.target, plan.resume, plan.runs) as destination:
        done = _finished(destination.folder, plan.tasks) if plan.resume else {}
        stopped: KeyboardInterrupt | ProvisionError | None = None
        with live_table.showing(plan.runs, len(done)) as show:
            _announce(show, plan, done)
            try:
                for executed in _executed(
                    [task for task in plan.tasks if task.run.name not in done], plan, options, show
                ):
                    destination.put(output_dir.write(destination.folder, executed), show.say)
                    show.ended(executed.outcome)
            except (KeyboardInterrupt, ProvisionError) as error:
                stopped = error
        if isinstance(stopped, ProvisionError):
            if any(destination.folder.iterdir()):
                with suppress(ProvisionError):  # the disk is full, and that is told already
                    _conclude(destination, plan, comparison, as_json)
            raise stopped
        code = _conclude(destination, plan, comparison, as_json)
        if stopped is not None:
            again = f"Run the rest with the same command and {destination.again}"
            print(f"Interrupted; what had finished is kept. {again}", file=sys.stderr)
            return INTERRUPTED
        return code


def _executed(tasks: Sequence[Task], plan: Plan, options: Options, show: live_table.Lines) -> Iterator[Executed]:
    if not tasks:
        return
    show.say("Starting the workers …" if options.scheduler is None else f"Connecting to {options.scheduler} …")
    with cluster.started(options, plan.kernels, len(tasks), show.tell) as engine:
        show.say(engine.described + (f"; Dask's page: {engine.dashboard}" if engine.dashboard else ""))
        yield from engine.run(tasks)


def _announce(show: live_table.Lines, plan: Plan, done: Mapping[str, Outcome]) -> None:
    if done:
        show.say(f"{len(done)} of {len(plan.tasks)} runs are there already and stay as they are.")
    for source, names in loading.unknown_parameters(plan.tasks).items():
        show.say(f"{source} does not mention {', '.join(names)}; the parameters are set all the same.")


def _finished(folder: Path, tasks: Sequence[Task]) -> dict[str, Outcome]:
    """The runs of an earlier batch in the folder that would give the same again."""
    wanted = {task.run.name: task.fingerprint for task in tasks}
    return {
        found.outcome.run.name: found.outcome
        for found in output_dir.read(folder)
        if found.outcome.passed and wanted.get(found.outcome.run.name) == found.outcome.fingerprint
    }


def _conclude(destination: Destination, plan: Plan, comparison: Mapping[str, Any], as_json: bool) -> int:
    there = {each.outcome.run.name: each for each in output_dir.read(destination.folder)}
    found = [there[run.name] for run in plan.runs if run.name in there]  # in the order of the command line
    pending = [run for run in plan.runs if run.name not in there]
    made = report.make(found, kernels=list(plan.kernels), pending=pending, **comparison)
    written = report.write(made, destination.folder)
    places = {name: destination.put(path, _complain) for name, path in written.items()}
    if as_json:
        print_json(report.document(made, destination.folder))
    else:
        print(report.text(made))
        print(f"\nThe report: {places['report.html']}")
    return made.exit_code


def _complain(text: str) -> None:
    print(text, file=sys.stderr)
