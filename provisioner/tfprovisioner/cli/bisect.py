"""The command ``bisect``."""

import json
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tfprovisioner.cli.console import WRONG_USAGE, answering, complain, print_json, require_batch
from tfprovisioner.cli.options import (
    AtolOption,
    CellTimeoutOption,
    InputsOption,
    JsonOption,
    ParametersOption,
    RtolOption,
    parse_parameters,
)
from tfprovisioner.errors import UnknownRelease
from tfprovisioner.progress import Reporter, TerminalReporter, reporting

if TYPE_CHECKING:
    from tfprovisioner.batch.bisect.driver import Bisected
    from tfprovisioner.batch.bisect.releases import Candidates
    from tfprovisioner.batch.bisect.verdict import Trial
    from tfprovisioner.batch.outcomes import Progress
    from tfprovisioner.catalogue.releases import Release


def bisect(
    notebook: Annotated[str, typer.Argument(help="A path, or a URL that papermill can read.")],
    good: Annotated[
        str, typer.Option(metavar="RELEASE", help="Release with the right result: 2.3, 1.15.5, tf1. Older or newer.")
    ],
    bad: Annotated[str, typer.Option(metavar="RELEASE", help="Release with the wrong result.")],
    record: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Name of a recorded result. A release is good if its result agrees with the good release's.",
            show_default="the only one",
        ),
    ] = None,
    test: Annotated[
        str | None,
        typer.Option(
            metavar="EXPR", help="Expression, evaluated after the last cell. A release is good where it is true."
        ),
    ] = None,
    parameters: ParametersOption = None,
    rtol: RtolOption = None,
    atol: AtolOption = None,
    exactly: Annotated[
        bool, typer.Option("--patches", help="Continue among the patch releases of the line that was found.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="DIR", help="Folder for the executed notebooks and a report."),
    ] = None,
    keep: Annotated[
        bool,
        typer.Option("--keep", help="Keep the environments that are built. tfkernels gc removes them after a month."),
    ] = False,
    cell_timeout: CellTimeoutOption = None,
    inputs: InputsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find the release that changed what a notebook computes, by bisection.

    It tries the newest patch release of each line between --good and --bad. A recorded result decides (--record), or an
    expression (--test), or, if the notebook records nothing, whether it runs without an error. Releases that cannot
    be tested are skipped. Exit code: 0 one release was found, 1 none was found, 2 wrong usage.
    """
    require_batch("bisect")
    if record is not None and test is not None:
        raise typer.BadParameter("use either --record or --test", param_hint="--test")
    _check_output(output)
    candidates = _between(good, bad)
    from tfprovisioner.batch import remote_paths, tasks
    from tfprovisioner.batch.bisect.driver import bisect as search
    from tfprovisioner.batch.bisect.runner import ReleaseRunner, prepared
    from tfprovisioner.batch.bisect.verdict import Criterion, SeveralRecords

    try:
        values = parse_parameters(parameters or ())
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="-p") from None
    criterion = Criterion(record, _expression(test), rtol, atol)
    say: Callable[[str], None] = (lambda _: None) if as_json else _say
    with answering():
        try:
            first = prepared(
                notebook, candidates.releases[0], values, tasks.Conditions(inputs or (), cell_timeout=cell_timeout)
            )
        except (tasks.BadSource, remote_paths.AddressFailed) as error:
            raise typer.BadParameter(str(error), param_hint="NOTEBOOK") from None
        with _kept(output) as folder:
            say(_plan(first.run.source, str(criterion), candidates, exactly))
            say(_HEADING)
            try:
                with _showing() as show, ReleaseRunner(first, criterion, folder, show, keep) as runner:
                    found = search(candidates, runner.test, lambda trial: say(_line(trial)), exactly)
            except SeveralRecords as error:
                complain(error)
                raise typer.Exit(WRONG_USAGE) from None
            except KeyboardInterrupt:
                print(_interrupted(output, keep), file=sys.stderr)
                raise typer.Exit(130) from None
            document = {"notebook": first.run.source, "criterion": str(criterion), **found.document()}
            if output is not None:
                _write(document, candidates, folder, rtol, atol)
    if as_json:
        print_json(document)
    else:
        say(_conclusion(found))
        if output is not None:
            say(f"\nThe executed notebooks and report.html: {output}")
    raise typer.Exit(0 if found.decided else 1)


def _check_output(output: Path | None) -> None:
    if output is not None and output.is_dir() and any(output.iterdir()):
        raise typer.BadParameter(f"{output} is not empty, and its files are not overwritten", param_hint="--output")


def _between(good: str, bad: str) -> "Candidates":
    from tfprovisioner.batch.bisect.releases import lines

    first, last = _release(good, "--good"), _release(bad, "--bad")
    if first.version == last.version:
        raise typer.BadParameter(f"{good} and {bad} are the same release, {first.version}", param_hint="--bad")
    return lines(first, last)


def _release(request: str, option: str) -> "Release":
    from tfprovisioner.catalogue import releases

    try:
        return releases.find(request)
    except UnknownRelease as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


def _expression(text: str | None) -> str | None:
    if text is not None:
        try:
            compile(text, "--test", "eval")
        except SyntaxError as error:
            raise typer.BadParameter(f"{text!r} is not an expression: {error.msg}", param_hint="--test") from None
    return text


@contextmanager
def _kept(output: Path | None) -> Iterator[Path]:
    """The folder of the executed notebooks: the user's, or a temporary one."""
    from tfprovisioner.batch.output_dir import prepare
    from tfprovisioner.batch.workdir import private_folder

    if output is None:
        with private_folder() as folder:
            yield folder
    else:
        prepare(output, resume=False)
        yield output


@contextmanager
def _showing() -> "Iterator[_Shown]":
    with reporting() as reporter_for:
        yield _Shown(reporter_for)


class _Shown:
    """Progress of the runs: on a terminal every cell, in one line; elsewhere one line for each run."""

    def __init__(self, reporter_for: Callable[[str], Reporter]) -> None:
        self._reporter_for = reporter_for
        self._run = ""
        self._reporter: Reporter | None = None

    def __call__(self, progress: "Progress") -> None:
        if self._reporter is None or progress.run != self._run:
            self.end()
            self._run, self._reporter = progress.run, self._reporter_for(progress.run)
        if progress.state == "preparing":
            self._reporter.step(progress.text)
        elif isinstance(self._reporter, TerminalReporter):
            self._reporter.step(f"cell {progress.cell} of {progress.cells}: {progress.text}")
        elif progress.cell == 1:
            self._reporter.step("running the notebook")

    def end(self) -> None:
        if self._reporter is not None:
            self._reporter.end()
        self._reporter = None


def _say(text: str) -> None:
    print(text, flush=True)


def _plan(notebook: str, criterion: str, candidates: "Candidates", exactly: bool) -> str:
    from tfprovisioner.batch.bisect.search import most_steps

    good, *_, bad = candidates.releases
    count = len(candidates.releases)
    runs = f"at most {most_steps(count)} are run, and one more for each that cannot be tested"
    paragraphs = [
        f"{notebook}: from {good} (good) to {bad} (bad). Criterion: {criterion}.",
        f"{count} releases, of which {runs}: {', '.join(candidates.releases)}",
        *(f"Left out: {release}, {why}." for release, why in candidates.left_out.items()),
        *(["Then the patch releases between the last good one and the first bad one."] if exactly else []),
    ]
    return "\n".join([*(textwrap.fill(line, 120) for line in paragraphs), ""])


_HEADING = f"{'release':<10}{'Python':<9}{'verdict':<9}{'largest error':>14}{'seconds':>9}"


def _line(trial: "Trial") -> str:
    error = "" if trial.largest_error is None else f"{trial.largest_error:.1e}"
    seconds = f"{trial.seconds:.1f}" if trial.seconds else ""
    figures = f"{trial.release:<10}{trial.python:<9}{trial.verdict:<9}{error:>14}{seconds:>9}"
    return f"{figures}  {_sentence(trial.why)}".rstrip()


def _sentence(text: str) -> str:
    """The first sentence of a message: the others say what to do."""
    return " ".join(text.split()).partition(". ")[0]


def _conclusion(found: "Bisected") -> str:
    search = found.search
    if found.problem is not None:
        return f"\n{found.problem}"
    if search.between:
        answer = (
            f"The first bad release is {search.first_bad}, or one before it that could not be tested: "
            f"{', '.join(search.between)}. {search.last_good} is still good."
        )
    else:
        answer = f"{search.first_bad} is the first bad release; {search.last_good} is still good."
    difference = found.comparison
    return f"\n{answer}" + (f"\n\n{difference}" if difference is not None else "")


def _interrupted(output: Path | None, keep: bool) -> str:
    kept = f" The notebooks executed until then are in {output}." if output is not None else ""
    gone = "" if keep else " The environments that were built for it were removed."
    return f"Interrupted.{kept}{gone}"


def _write(
    document: dict[str, Any], candidates: "Candidates", folder: Path, rtol: float | None, atol: float | None
) -> None:
    """Writes the report on all runs, and the answer as ``bisect.json``."""
    from packaging.version import Version

    from tfprovisioner.batch import report
    from tfprovisioner.batch.output_dir import read
    from tfprovisioner.system.files import replace_text

    found = {item.outcome.tensorflow: item for item in read(folder)}
    ordered = [found[release].outcome.run.kernel for release in sorted(found, key=lambda name: Version(name or "0"))]
    if found:
        baseline = found[candidates.releases[0]].outcome.run.kernel if candidates.releases[0] in found else None
        made = report.make(list(found.values()), folder, baseline=baseline, kernels=ordered, rtol=rtol, atol=atol)
        report.write(made, folder)
    replace_text(folder / "bisect.json", json.dumps(document, indent=1))
