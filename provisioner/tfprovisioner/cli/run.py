"""The commands ``run`` and ``report``."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, BadParameter, Context, Exit, Option

from tfkernels.errors import UnknownKernel
from tfprovisioner.cli import shared_options
from tfprovisioner.cli.console import INTERRUPTED, answering, print_json, print_table, require_extra, say
from tfprovisioner.errors import BadNotebook

if TYPE_CHECKING:
    from tfprovisioner.batch.report import Report
    from tfprovisioner.batch.scripts.run import Result
    from tfprovisioner.batch.tasks import Run

SEVERAL = Path("tfkernels-report")
"""Folder of a report on several outputs."""


def run(
    context: Context,
    sources: Annotated[
        list[str],
        Argument(metavar="NOTEBOOK…|SCRIPT", help="Paths, or URLs for papermill. Words after -- go to a script."),
    ],
    kernels: Annotated[
        list[str] | None,
        Option(
            "--kernel",
            "-k",
            help="Kernel to run on; repeatable.",
            show_default="for a notebook, the one it was pinned to or run on",
        ),
    ] = None,
    parameters: shared_options.Parameters = None,
    grid: Annotated[
        list[str] | None,
        Option(metavar="NAME=V1,V2", help="Parameter with several values. All combinations run; repeatable."),
    ] = None,
    output: Annotated[
        str | None,
        Option("--output", "-o", metavar="DIR", help="Output folder.", show_default="tfkernels-runs/<date and time>"),
    ] = None,
    resume: Annotated[
        bool, Option("--resume", help="Continue the batch in the output folder: only missing and failed runs.")
    ] = False,
    baseline: shared_options.Baseline = None,
    rtol: shared_options.Rtol = None,
    atol: shared_options.Atol = None,
    workers: Annotated[
        int | None, Option(min=1, help="Maximum number of runs at the same time.", show_default="as many as fit")
    ] = None,
    memory: Annotated[str, Option(help="Memory of one run. It limits how many run at the same time.")] = "2GB",
    cell_timeout: shared_options.CellTimeout = None,
    inputs: shared_options.Inputs = None,
    scheduler: Annotated[
        str | None, Option(metavar="ADDRESS", help="Dask cluster to run on. Its workers need tfkernels[batch] only.")
    ] = None,
    retries: Annotated[int, Option(min=0, help="How often a run is repeated after its worker died.")] = 2,
    dashboard: Annotated[
        bool, Option("--dashboard", help="Show Dask's page of the batch. Every user of this machine can open it.")
    ] = False,
    dry_run: shared_options.DryRun = False,
    as_json: shared_options.Json = False,
) -> None:
    """Run notebooks, or one script, on several kernels.

    Compares their recorded results, and writes the executed notebooks, report.html, report.json and junit.xml. A run
    that fails does not stop the others. Exit code: 0 all results agree, 1 a run failed, 2 wrong usage, 3 results
    differ.
    """
    require_extra("batch", "run")
    script = next((source for source in sources if source.endswith(".py")), None)
    if script is not None and len(sources) > 1:
        raise BadParameter("a script runs alone, without notebooks or other scripts", param_hint="SCRIPT")
    arguments: list[str] = context.meta.get(shared_options.AFTER, [])
    if arguments and script is None:
        raise BadParameter("words after -- are for scripts; a notebook has parameters (-p)", param_hint="--")
    for_notebooks = {
        "-p": parameters, "--grid": grid, "--input": inputs, "--scheduler": scheduler, "--cell-timeout": cell_timeout,
    }  # fmt: skip
    misplaced = [option for option, value in for_notebooks.items() if value and script is not None]
    if misplaced:
        raise BadParameter("only for notebooks; a script gets words after --", param_hint=misplaced[0])
    if not kernels and script is not None:
        raise BadParameter("name a kernel for the script", param_hint="-k")
    if baseline is not None and kernels and baseline not in kernels:
        raise BadParameter("it is not one of the kernels (-k)", param_hint="--baseline")
    if resume and output is None:
        raise BadParameter("name the folder to continue in: --output DIR", param_hint="--resume")
    comparison = {"baseline": baseline, "rtol": rtol, "atol": atol}
    with answering(1, UnknownKernel, BadNotebook):
        if script is not None:
            target = None if output is None else Path(output)
            code = _script(script, kernels or (), arguments, comparison, target, resume, workers, dry_run, as_json)
        else:
            values = {
                "parameters": shared_options.parse_parameters(parameters or ()),
                "grid": shared_options.parse_grid(grid or ()),
            }
            engine = {"workers": workers, "scheduler": scheduler, "retries": retries, "dashboard": dashboard}
            engine["memory"] = memory
            conditions = {"cell_timeout": cell_timeout, "inputs": inputs or (), "apart": scheduler is not None}
            code = _notebooks(
                sources, kernels or (), values, comparison, engine, conditions, output, resume, dry_run, as_json
            )
    raise Exit(code)


def _script(
    source: str, kernels: Sequence[str], arguments: Sequence[str], comparison: Mapping[str, Any], target: Path | None,
    resume: bool, workers: int | None, dry_run: bool, as_json: bool,
) -> int:  # fmt: skip
    from tfprovisioner.batch.scripts import process
    from tfprovisioner.batch.scripts import run as scripts
    from tfprovisioner.batch.tasks import expand

    runs = expand([source], kernels)
    if dry_run:
        for run in runs:
            process.planned(run, arguments)  # raises if it cannot be run
        return _print_plan(runs, as_json)
    result = scripts.run(
        runs, arguments, comparison, target=target, resume=resume, workers=workers, errors_only=as_json
    )
    print_table(
        ("kernel", "TensorFlow", "Python", "exit code", "time", "recorded"),
        [(run.kernel, *_ending(result, run)) for run in runs],
        errors=True,
    )
    if result.report is not None and (as_json or any(each.records for each in result.found.values())):
        _print_report(result.report, as_json)
    if result.page is not None:
        say(f"The report: {result.page}")
    if result.interrupted:
        again = f" Run the rest with the same command and --resume --output {target}" if target else ""
        say(f"Interrupted; all scripts have ended.{again}")
        return INTERRUPTED
    return result.exit_code


def _ending(result: "Result", run: "Run") -> tuple[str, str, str, str, str]:
    from tfprovisioner.batch.scripts.run import ending

    found = result.found.get(run.name)
    if found is None:
        return "", "", "not ended", "", ""
    outcome, recorded = found.outcome, str(len(found.records) or "")
    how = ending(outcome).removeprefix("exit code ")
    return outcome.tensorflow, outcome.python, how, f"{outcome.seconds:.1f} s", recorded


def _notebooks(
    sources: Sequence[str], kernels: Sequence[str], values: Mapping[str, Any], comparison: Mapping[str, Any],
    engine: Mapping[str, Any], conditions: Mapping[str, Any], output: str | None,
    resume: bool, dry_run: bool, as_json: bool,
) -> int:  # fmt: skip
    from tfprovisioner.batch.dask import cluster

    if engine["scheduler"] is None and not dry_run:
        cluster.start_worker_server("tfprovisioner.cli.app")  # first: it works while this process imports papermill

    from tfprovisioner.batch import notebooks, tasks
    from tfprovisioner.batch.dask.placement import Options
    from tfprovisioner.batch.output_dir import default_folder

    placed = Options(**{**engine, "memory": shared_options.parse_memory(engine["memory"])})
    own = {} if kernels else {source: _kernel_of(source) for source in sources}
    runs = tasks.expand(sources, kernels or list(own.values()), **values)
    runs = [run for run in runs if kernels or run.kernel == own[run.source]]
    plan = notebooks.planned(runs, output or str(default_folder()), resume, tasks.Conditions(**conditions))
    if dry_run:
        return _print_plan(notebooks.remaining(plan), as_json)
    result = notebooks.run(plan, placed, comparison, say)
    _print_report(result.report, as_json, result.page)
    if result.failure is not None:
        raise result.failure
    if result.interrupted:
        again = f"Run the rest with the same command and {result.resume_options}"
        say(f"Interrupted; finished runs are kept. {again}")
        return INTERRUPTED
    return result.report.exit_code


def _kernel_of(source: str) -> str:
    """The registered kernel that a notebook was pinned to or run on. Raises ``ProvisionError``."""
    from tfprovisioner.batch import remote_paths
    from tfprovisioner.notebook_metadata import wanted_kernel
    from tfprovisioner.notebook_metadata.notebook_file import read

    if remote_paths.is_address(source):
        raise BadParameter("name the kernel for a notebook at an address", param_hint="-k")
    return wanted_kernel.registered(read(Path(source)))


def _print_plan(runs: "Sequence[Run]", as_json: bool) -> int:
    if as_json:
        print_json(list(runs))
    else:
        for run in runs:
            print(f"{run.name}: {run.source} on {run.kernel} {json.dumps(dict(run.parameters))}")
    return 0


def report(
    folders: Annotated[
        list[Path],
        Argument(exists=True, file_okay=False, metavar="DIR…", help="Outputs of `tfkernels run`, or of papermill."),
    ],
    baseline: shared_options.Baseline = None,
    rtol: shared_options.Rtol = None,
    atol: shared_options.Atol = None,
    output: Annotated[
        Path | None,
        Option(
            "--output", "-o", metavar="DIR", help="Folder of the report.", show_default=f"DIR; for several: {SEVERAL}"
        ),
    ] = None,
    as_json: shared_options.Json = False,
) -> None:
    """Compare recorded results across kernels. Writes report.html, report.json and junit.xml.

    Several outputs become one report, with one row for each notebook and its parameters. Exit code: 0 all results
    agree, 1 a run failed, 3 all runs passed and results differ.
    """
    require_extra("batch", "report")
    from tfprovisioner.batch import report as reports
    from tfprovisioner.batch.output_dir import read

    with answering():
        found = [item for folder in dict.fromkeys(path.resolve() for path in folders) for item in read(folder)]
        if not found:
            raise BadParameter("it has no executed notebooks or scripts", param_hint="DIR")
        target = output or (folders[0] if len(folders) == 1 else SEVERAL)
        order = reports.earlier_order(folders)
        made = reports.make(found, target, baseline=baseline, kernels=order, rtol=rtol, atol=atol)
        written = reports.write(made, target)
    _print_report(made, as_json, written["report.html"])
    raise Exit(made.exit_code)


def _print_report(report: "Report", as_json: bool, page: object = None) -> None:
    """``page`` is where ``report.html`` is."""
    from tfkernels.comparison.render.text import WIDTH
    from tfprovisioner.batch.report import text

    if as_json:
        print_json(report.document)
        return
    print(text(report, shutil.get_terminal_size((WIDTH, 0)).columns))
    if page is not None:
        print(f"\nThe report: {page}")
