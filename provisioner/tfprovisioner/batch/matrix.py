"""A batch of notebooks from its beginning to its report."""

import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from tfprovisioner.batch import addresses, cluster, display, loading, output, report
from tfprovisioner.batch.cluster import Options
from tfprovisioner.batch.kernels import Wanted, wanted
from tfprovisioner.batch.loading import Conditions
from tfprovisioner.batch.outcomes import Outcome
from tfprovisioner.batch.runs import Run
from tfprovisioner.batch.tasks import Executed, Task
from tfprovisioner.terminal import print_json

INTERRUPTED = 130
"""The exit code after Ctrl-C, as shells have it."""


def run(
    runs: Sequence[Run],
    *,
    target: str,
    resume: bool,
    conditions: Conditions,
    options: Options,
    comparison: Mapping[str, Any],
    as_json: bool,
) -> int:
    """Executes the runs, writes their files and the report, says on standard output what came out.

    ``target`` is a folder, or an address that papermill writes to. Returns the exit code. Raises ``ProvisionError``,
    and ``UnknownKernel``, before anything is started.
    """
    kernels: dict[str, Wanted] = {name: wanted(name) for name in dict.fromkeys(run.kernel for run in runs)}
    remote = addresses.is_address(target)
    tasks = loading.tasks(runs, kernels, replace(conditions, inline=remote))
    with _opened(target, resume, runs) as folder:
        done = _finished(folder, tasks) if resume else {}
        left = [task for task in tasks if task.run.name not in done]
        interrupted = False
        with display.showing(runs, len(done)) as show:
            _announce(show, runs, tasks, done)
            try:
                if left:
                    for executed in _executed(left, kernels, options, show):
                        path = output.write(folder, executed)
                        if remote:
                            addresses.publish(path, target)
                        show.ended(executed.outcome)
            except KeyboardInterrupt:
                interrupted = True
        code = _conclude(folder, runs, target, comparison, as_json)
        if interrupted:
            again = "" if remote else f" Run the rest with the same command and --resume --output {folder}"
            print(f"Interrupted; what had finished is kept.{again}", file=sys.stderr)
            return INTERRUPTED
        return code


def _executed(
    tasks: Sequence[Task], kernels: Mapping[str, Wanted], options: Options, show: display.Lines
) -> Iterator[Executed]:
    with cluster.started(options, kernels, len(tasks), show.tell) as engine:
        show.say(engine.described + (f"; Dask's page: {engine.dashboard}" if engine.dashboard else ""))
        yield from engine.run(tasks)


def _announce(show: display.Lines, runs: Sequence[Run], tasks: Sequence[Task], done: Mapping[str, Outcome]) -> None:
    if done:
        show.say(f"{len(done)} of {len(runs)} runs are there already and stay as they are.")
    for source, names in loading.unknown_parameters(runs, tasks).items():
        show.say(f"{source} does not mention {', '.join(names)}; the parameters are set all the same.")


def _finished(folder: Path, tasks: Sequence[Task]) -> dict[str, Outcome]:
    """The runs of an earlier batch in the folder that would give the same again."""
    wanted = {task.run.name: task.fingerprint for task in tasks}
    return {
        found.outcome.run.name: found.outcome
        for found in output.read(folder)
        if found.outcome.passed and wanted.get(found.outcome.run.name) == found.outcome.fingerprint
    }


@contextmanager
def _opened(target: str, resume: bool, runs: Sequence[Run]) -> Iterator[Path]:
    """The folder to write to; for an address a private one, with what is there already if that is to be resumed."""
    if not addresses.is_address(target):
        output.prepare(Path(target), resume)
        yield Path(target)
        return
    with tempfile.TemporaryDirectory(prefix="tfkernels-") as name:
        folder = Path(name)
        for run in runs if resume else ():
            try:
                text = addresses.read(f"{target.rstrip('/')}/{run.name}.ipynb")
            except addresses.AddressFailed:
                continue  # it has not run
            (folder / f"{run.name}.ipynb").write_text(text, encoding="utf-8")
        yield folder


def _conclude(folder: Path, runs: Sequence[Run], target: str, comparison: Mapping[str, Any], as_json: bool) -> int:
    there = {each.outcome.run.name: each for each in output.read(folder)}
    found = [there[run.name] for run in runs if run.name in there]  # in the order of the command line
    pending = [run for run in runs if run.name not in there]
    made = report.make(found, kernels=list(dict.fromkeys(run.kernel for run in runs)), pending=pending, **comparison)
    written = report.write(made, folder)
    page: str | Path = written["report.html"]
    if addresses.is_address(target):
        page = _published(written, target)
    if as_json:
        print_json(report.document(made, folder))
    else:
        print(report.text(made))
        print(f"\nThe report: {page}")
    return made.exit_code


def _published(written: Mapping[str, Path], address: str) -> str | Path:
    """Copies the report to an address, and what that does not take (http: all but JSON) to here. Returns the page's."""
    places: dict[str, str | Path] = {}
    for name, path in written.items():
        try:
            addresses.publish(path, address)
            places[name] = f"{address.rstrip('/')}/{name}"
        except addresses.AddressFailed as error:
            here = default()
            here.mkdir(parents=True, exist_ok=True)
            places[name] = shutil.copy(path, here / name)
            print(f"{error} It is here instead: {places[name]}", file=sys.stderr)
    return places["report.html"]


def default() -> Path:
    """The folder for a batch without ``--output``."""
    return Path("tfkernels-runs") / datetime.now().astimezone().strftime("%Y-%m-%d-%H%M%S")
