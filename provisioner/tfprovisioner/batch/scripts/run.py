"""A script on several kernels at the same time, from its beginning to the comparison of what it recorded."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from tfkernels.client import runtime_dir
from tfprovisioner.batch import destinations, output_dir
from tfprovisioner.batch.notebooks import INTERRUPTED
from tfprovisioner.batch.outcomes import Outcome
from tfprovisioner.batch.output_dir import Found
from tfprovisioner.batch.runs import Run
from tfprovisioner.batch.scripts import loop
from tfprovisioner.batch.scripts.output import Screen
from tfprovisioner.batch.scripts.script import planned
from tfprovisioner.cli.console import print_json, print_table


def run(
    runs: Sequence[Run],
    arguments: Sequence[str],
    *,
    target: Path | None,
    resume: bool,
    workers: int | None,
    comparison: Mapping[str, Any],
    as_json: bool,
) -> int:
    """Runs a script on its kernels, shows what it prints, and says what came out. Returns the exit code.

    Without ``target``, a folder, nothing is kept. Raises ``ProvisionError`` and ``UnknownKernel`` before anything is
    started.
    """
    scripts = planned(runs, arguments)
    with _opened(target, resume, runs) as folder:
        done = _passed(output_dir.read(folder)) if resume else {}
        left = [script for script in scripts if done.get(script.run.name) != script.fingerprint]
        if len(left) < len(scripts):
            print(f"{len(scripts) - len(left)} of {len(scripts)} runs are there already.", file=sys.stderr)
        screen = Screen([run.kernel for run in runs], errors_only=as_json)
        left = [replace(script, variables={**script.variables, **screen.variables()}) for script in left]
        interrupted = False
        try:
            loop.run(left, folder, screen, lambda outcome: _tell(outcome, screen), workers)
        except KeyboardInterrupt:
            interrupted = True
        found = [each for each in output_dir.read(folder) if each.outcome.run in runs]
        _summarise(runs, found)
        code = _conclude(runs, found, folder, comparison, kept=target is not None, as_json=as_json)
        if interrupted:
            again = f" Run the rest with the same command and --resume --output {target}" if target else ""
            print(f"Interrupted; all scripts have ended.{again}", file=sys.stderr)
            return INTERRUPTED
        return code


@contextmanager
def _opened(target: Path | None, resume: bool, runs: Sequence[Run]) -> Iterator[Path]:
    if target is not None:
        with destinations.opened(str(target), resume, runs) as destination:
            yield destination.folder
        return
    folder = runtime_dir.make()  # what a command that was killed leaves is swept by the next
    try:
        yield folder
    finally:
        runtime_dir.remove(folder)


def _passed(found: Sequence[Found]) -> dict[str, str]:
    return {each.outcome.run.name: each.outcome.fingerprint for each in found if each.outcome.passed}


def _tell(outcome: Outcome, screen: Screen) -> None:
    screen.of(outcome.run.kernel, "stderr").stream("stderr", f"{_result(outcome)} after {outcome.seconds:.1f} s\n")


def _result(outcome: Outcome) -> str:
    if outcome.exit_code is None or outcome.exit_code >= 0:
        return f"exit code {outcome.exit_code}"
    return outcome.failure.message if outcome.failure else ""


def _summarise(runs: Sequence[Run], found: Sequence[Found]) -> None:
    by_name = {each.outcome.run.name: each for each in found}
    rows = []
    for run in runs:
        each = by_name.get(run.name)
        if each is None:
            rows.append((run.kernel, "", "", "not ended", "", ""))
        else:
            made = each.outcome
            exited = str(made.exit_code) if made.exit_code is not None and made.exit_code >= 0 else _result(made)
            recorded = str(len(each.records) or "")
            rows.append((run.kernel, made.tensorflow, made.python, exited, f"{made.seconds:.1f} s", recorded))
    print_table(("kernel", "TensorFlow", "Python", "exit code", "time", "recorded"), rows, errors=True)


def _conclude(
    runs: Sequence[Run], found: Sequence[Found], folder: Path, comparison: Mapping[str, Any], *, kept: bool,
    as_json: bool,
) -> int:  # fmt: skip
    """The report, if there is anything to compare or to keep. Returns the exit code."""
    if not kept and not as_json and not any(each.records for each in found):
        return int(any(not each.outcome.passed for each in found))
    from tfprovisioner.batch import report  # imports NumPy

    there = {each.outcome.run.name for each in found}
    pending = [run for run in runs if run.name not in there]
    made = report.make(found, kernels=[run.kernel for run in runs], pending=pending, **comparison)
    written = report.write(made, folder) if kept else {}
    if as_json:
        print_json(report.document(made, folder))
    elif any(each.records for each in found):
        print(report.text(made))
    if written:
        print(f"The report: {written['report.html']}", file=sys.stderr)
    return made.exit_code
