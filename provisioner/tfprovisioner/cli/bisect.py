"""The command ``bisect``."""

import json
import textwrap
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, BadParameter, Exit, Option

from tfprovisioner.cli import shared_options
from tfprovisioner.cli.console import INTERRUPTED, WRONG_USAGE, answering, print_json, require_extra, say
from tfprovisioner.progress import Reporter, TerminalReporter, reporting

if TYPE_CHECKING:
    from tfprovisioner.batch.bisect.search import Candidates, Search
    from tfprovisioner.batch.bisect.verdict import Criterion, Trial
    from tfprovisioner.batch.outcomes import Progress
    from tfprovisioner.batch.tasks import Task


def bisect(
    notebook: Annotated[str, Argument(help="A path, or a URL that papermill can read.")],
    good: Annotated[
        str, Option(metavar="RELEASE", help="Release with the right result: 2.3, 1.15.5, tf1. Older or newer.")
    ],
    bad: Annotated[str, Option(metavar="RELEASE", help="Release with the wrong result.")],
    record: Annotated[
        str | None,
        Option(
            metavar="NAME",
            help="Name of a recorded result. A release is good if its result agrees with the good release's.",
            show_default="the only one",
        ),
    ] = None,
    test: Annotated[
        str | None,
        Option(metavar="EXPR", help="Expression, evaluated after the last cell. A release is good where it is true."),
    ] = None,
    parameters: shared_options.Parameters = None,
    rtol: shared_options.Rtol = None,
    atol: shared_options.Atol = None,
    exactly: Annotated[
        bool, Option("--patches", help="Continue among the patch releases of the line that was found.")
    ] = False,
    output: Annotated[
        Path | None, Option("--output", "-o", metavar="DIR", help="Folder for the executed notebooks and a report.")
    ] = None,
    keep: Annotated[
        bool, Option("--keep", help="Keep the environments that are built. tfkernels gc removes them after a month.")
    ] = False,
    cell_timeout: shared_options.CellTimeout = None,
    inputs: shared_options.Inputs = None,
    as_json: shared_options.Json = False,
) -> None:
    """Find the release that changed what a notebook computes.

    By bisection, it tries the newest patch release of each line between --good and --bad. A recorded result decides
    (--record), or an expression (--test), or, if the notebook records nothing, whether it runs without an error.
    Releases that cannot be tested are skipped. Exit code: 0 one release was found, 1 none was found, 2 wrong usage.
    """
    require_extra("batch", "bisect")
    if record is not None and test is not None:
        raise BadParameter("use either --record or --test", param_hint="--test")
    if output is not None and output.is_dir() and any(output.iterdir()):
        raise BadParameter(f"{output} is not empty, and its files are not overwritten", param_hint="--output")
    candidates, expression, values = (
        _between(good, bad),
        _expression(test),
        shared_options.parse_parameters(parameters or ()),
    )
    from tfprovisioner.batch import output_dir, tasks, workdir
    from tfprovisioner.batch.bisect.runner import prepared
    from tfprovisioner.batch.bisect.verdict import Criterion

    criterion = Criterion(record, expression, rtol, atol)
    show: Callable[[str], None] = (lambda _: None) if as_json else partial(print, flush=True)
    with answering():
        conditions = tasks.Conditions(inputs or (), cell_timeout=cell_timeout)
        first = prepared(notebook, candidates.releases[0], values, conditions)
        if output is not None:
            output_dir.prepare(output, resume=False)
        with workdir.private_folder() if output is None else nullcontext(output) as folder:
            show(_plan(first.run.source, str(criterion), candidates, exactly))
            try:
                found = _search(candidates, first, criterion, folder, keep, exactly, show)
            except KeyboardInterrupt:
                kept = f" The notebooks executed until then are in {output}." if output is not None else ""
                say(f"Interrupted.{kept}{'' if keep else ' The environments that were built for it were removed.'}")
                raise Exit(INTERRUPTED) from None
            document = {"notebook": first.run.source, "criterion": str(criterion), **found.document()}
            if output is not None:
                _write(document, folder, first.run.kernel, rtol, atol)
    if as_json:
        print_json(document)
    show(_conclusion(found))
    if output is not None:
        show(f"\nThe executed notebooks and report.html: {output}")
    raise Exit(0 if found.decided else 1)


def _between(good: str, bad: str) -> "Candidates":
    from tfprovisioner.batch.bisect.search import lines
    from tfprovisioner.catalogue import releases

    with answering(WRONG_USAGE):
        first, last = releases.find(good), releases.find(bad)
    if first.version == last.version:
        raise BadParameter(f"{good} and {bad} are the same release, {first.version}", param_hint="--bad")
    return lines(first, last)


def _expression(text: str | None) -> str | None:
    if text is not None:
        try:
            compile(text, "--test", "eval")
        except SyntaxError as error:
            raise BadParameter(f"{text!r} is not an expression: {error.msg}", param_hint="--test") from None
    return text


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


def _search(
    candidates: "Candidates", first: "Task", criterion: "Criterion", folder: Path, keep: bool, exactly: bool,
    show: Callable[[str], None],
) -> "Search":  # fmt: skip
    from tfprovisioner.batch.bisect.runner import runner
    from tfprovisioner.batch.bisect.search import bisect

    show(f"{'release':<10}{'Python':<9}{'verdict':<9}{'largest error':>14}{'seconds':>9}")
    with runner(first, criterion, folder, keep) as run:

        def test(release: str) -> "Trial":
            with reporting() as reporter_for:
                trial = run(release, partial(_tell, cache(reporter_for)))
            show(_line(trial))
            return trial

        return bisect(candidates, test, exactly)


def _tell(reporter_for: Callable[[str], Reporter], progress: "Progress") -> None:
    """On a terminal every cell, in one line; elsewhere one line for each run."""
    reporter = reporter_for(progress.run)
    if progress.state == "preparing":
        reporter.step(progress.text)
    elif isinstance(reporter, TerminalReporter):
        reporter.step(f"cell {progress.cell} of {progress.cells}: {progress.text}")
    elif progress.cell == 1:
        reporter.step("running the notebook")


def _line(trial: "Trial") -> str:
    error = "" if trial.largest_error is None else f"{trial.largest_error:.1e}"
    seconds = f"{trial.seconds:.1f}" if trial.seconds else ""
    figures = f"{trial.release:<10}{trial.python:<9}{trial.verdict:<9}{error:>14}{seconds:>9}"
    reason = " ".join(trial.why.split()).partition(". ")[0]  # the other sentences say what to do
    return f"{figures}  {reason}".rstrip()


def _conclusion(found: "Search") -> str:
    if found.problem is not None:
        return f"\n{found.problem}"
    if found.between:
        answer = (
            f"The first bad release is {found.first_bad}, or one before it that could not be tested: "
            f"{', '.join(found.between)}. {found.last_good} is still good."
        )
    else:
        answer = f"{found.first_bad} is the first bad release; {found.last_good} is still good."
    return f"\n{answer}" + (f"\n\n{found.comparison}" if found.comparison is not None else "")


def _write(document: Mapping[str, Any], folder: Path, good: str, rtol: float | None, atol: float | None) -> None:
    """Writes the report on all runs, with the kernel of the good end as baseline, and the answer as ``bisect.json``."""
    from tfprovisioner.batch import report
    from tfprovisioner.batch.output_dir import read
    from tfprovisioner.system.files import replace_text

    found = read(folder)
    if found:
        report.write(report.make(found, folder, kernels=[good], rtol=rtol, atol=atol), folder)
    replace_text(folder / "bisect.json", json.dumps(document, indent=1))
