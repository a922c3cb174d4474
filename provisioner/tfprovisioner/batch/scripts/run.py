"""A script on several kernels at the same time, from its start to the report on what it recorded."""

import asyncio
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfprovisioner.batch import output_dir
from tfprovisioner.batch.outcomes import Outcome
from tfprovisioner.batch.output_dir import Found
from tfprovisioner.batch.scripts.output import ScriptOutput
from tfprovisioner.batch.scripts.process import Script, execute, planned
from tfprovisioner.batch.tasks import Run
from tfprovisioner.errors import ProvisionError

if TYPE_CHECKING:
    from tfprovisioner.batch.report import Report


@dataclass(frozen=True)
class Result:
    """What the runs of a script gave."""

    found: Mapping[str, Found]
    """By ``Run.name``."""
    report: "Report | None"
    """``None`` if nothing was recorded, and nobody asked for a report."""
    page: Path | None
    """``report.html``, if the files are kept."""
    interrupted: bool

    @property
    def exit_code(self) -> int:
        if self.report is not None:
            return self.report.exit_code
        return int(any(not each.outcome.passed for each in self.found.values()))


def run(
    runs: Sequence[Run], arguments: Sequence[str], comparison: Mapping[str, Any], *,
    target: Path | None, resume: bool, workers: int | None, errors_only: bool,
) -> Result:  # fmt: skip
    """Runs a script on its kernels and shows what it prints; ``errors_only`` shows all of it on standard error.

    Without ``target``, a folder, no file is kept. Raises ``ProvisionError`` and ``UnknownKernel`` before anything
    starts.
    """
    scripts = [planned(run, arguments) for run in runs]
    with output_dir.opened(None if target is None else str(target), resume, runs) as destination:
        folder = destination.folder
        found = output_dir.ended(folder, runs) if resume else {}
        left = [each for each in scripts if not output_dir.repeats(found.get(each.run.name), each.outcome.fingerprint)]
        if len(left) < len(scripts):
            print(f"{len(scripts) - len(left)} of {len(scripts)} runs are there already.", file=sys.stderr)
        output = ScriptOutput([run.kernel for run in runs], errors_only=errors_only)
        interrupted = False
        try:
            if left:
                asyncio.run(_execute(left, folder.absolute(), output, workers or len(left)))
        except (KeyboardInterrupt, asyncio.CancelledError):
            interrupted = True
        except BrokenPipeError:
            raise  # of our own output
        except OSError as error:
            raise ProvisionError(f"Cannot write the output of the scripts to {folder}: {error.strerror}.") from error
        found = output_dir.ended(folder, runs)
        made = page = None
        if target is not None or errors_only or any(each.records for each in found.values()):
            from tfprovisioner.batch import report  # imports NumPy

            pending = [run for run in runs if run.name not in found]
            kernels = [run.kernel for run in runs]
            made = report.make(list(found.values()), folder, kernels=kernels, pending=pending, **comparison)
            page = report.write(made, folder)["report.html"] if target is not None else None
        return Result(found, made, page, interrupted)


async def _execute(scripts: Sequence[Script], folder: Path, output: ScriptOutput, workers: int) -> None:
    """Runs ``workers`` scripts at a time, and says how each one ended. An interrupt or an error cancels all.

    On an interrupt it raises ``CancelledError`` when they have ended; a second interrupt ends them at once.
    """
    this, places = asyncio.current_task(), asyncio.Semaphore(workers)
    assert this is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, this.cancel)

    async def execute_one(script: Script) -> None:
        async with places:
            outcome = await execute(script, folder, output)
            text = f"{ending(outcome)} after {outcome.seconds:.1f} s\n"
            output.of(outcome.run.kernel, "stderr").stream("stderr", text)

    tasks = [asyncio.ensure_future(execute_one(script)) for script in scripts]
    try:
        ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:  # each is cancelled once: it gives its script some time
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    for task in ended:
        task.result()  # raises its error


def ending(outcome: Outcome) -> str:
    """How a script ended: ``exit code 1``, or its signal."""
    if outcome.exit_code is None or outcome.exit_code >= 0:
        return f"exit code {outcome.exit_code}"
    return outcome.failure.message if outcome.failure else ""
