"""The command ``run``."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tfkernels.errors import UnknownKernel
from tfprovisioner.cli.console import (
    WRONG_USAGE,
    answering,
    complain,
    print_json,
    print_table,
    require_batch,
)
from tfprovisioner.cli.options import (
    AFTER,
    AtolOption,
    BaselineOption,
    CellTimeoutOption,
    InputsOption,
    JsonOption,
    ParametersOption,
    RtolOption,
    parse_grid,
    parse_parameters,
    parse_size,
)
from tfprovisioner.errors import Unusable

if TYPE_CHECKING:
    from tfprovisioner.batch.scripts.run import Result
    from tfprovisioner.batch.tasks import Run

INTERRUPTED = 130
"""Exit code, as in shells."""


def run(
    context: typer.Context,
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="NOTEBOOK…|SCRIPT", help="Paths, or URLs that papermill can read. Words after -- go to a script."
        ),
    ],
    kernels: Annotated[list[str], typer.Option("--kernel", "-k", help="Kernel to run on; repeatable.")],
    parameters: ParametersOption = None,
    grid: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=V1,V2", help="Parameter with several values. All combinations run; repeatable."),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            help="Output folder.",
            show_default="tfkernels-runs/<date and time>",
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue the batch in the output folder: only missing and failed runs.")
    ] = False,
    baseline: BaselineOption = None,
    rtol: RtolOption = None,
    atol: AtolOption = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Maximum number of runs at the same time.", show_default="as many as fit")
    ] = None,
    memory: Annotated[str, typer.Option(help="Memory of one run. It limits how many run at the same time.")] = "2GB",
    cell_timeout: CellTimeoutOption = None,
    inputs: InputsOption = None,
    scheduler: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Dask cluster to run on. Its workers need tfkernels[batch] only."),
    ] = None,
    retries: Annotated[int, typer.Option(min=0, help="How often a run is repeated after its worker died.")] = 2,
    dashboard: Annotated[
        bool,
        typer.Option("--dashboard", help="Show Dask's page of the batch. Every user of this machine can open it."),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print the runs.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Run notebooks, or one script, on several kernels and compare their recorded results.

    Writes the executed notebooks, report.html, report.json and junit.xml. A run that fails does not stop the others.
    Exit code: 0 all results agree, 1 a run failed, 2 wrong usage, 3 results differ.
    """
    require_batch("run")
    scripts = [source for source in sources if source.endswith(".py")]
    if scripts and len(sources) > 1:
        raise typer.BadParameter("a script runs alone, without notebooks or other scripts", param_hint="SCRIPT")
    arguments: list[str] = context.meta.get(AFTER, [])
    if arguments and not scripts:
        raise typer.BadParameter("words after -- are for scripts; a notebook has parameters (-p)", param_hint="--")
    comparison = {"baseline": baseline, "rtol": rtol, "atol": atol}
    with answering():
        try:
            if scripts:
                for value, option in (
                    (parameters, "-p"), (grid, "--grid"), (inputs, "--input"), (scheduler, "--scheduler"),
                    (cell_timeout, "--cell-timeout"),
                ):  # fmt: skip
                    if value:
                        raise typer.BadParameter("only for notebooks; a script gets words after --", param_hint=option)
                code = _script(
                    sources[0], kernels, arguments, output, resume, dry_run, as_json,
                    workers=workers, comparison=comparison,
                )  # fmt: skip
            else:
                code = _notebooks(
                    sources, kernels, parameters or (), grid or (), output, resume, dry_run, as_json,
                    comparison=comparison, memory=memory,
                    engine={"workers": workers, "scheduler": scheduler, "retries": retries, "dashboard": dashboard},
                    conditions={"cell_timeout": cell_timeout, "inputs": tuple(inputs or ())},
                )  # fmt: skip
        except (UnknownKernel, Unusable) as error:
            complain(error)
            code = WRONG_USAGE
    raise typer.Exit(code)


def _script(
    source: str, kernels: list[str], arguments: list[str], output: str | None, resume: bool, dry_run: bool,
    as_json: bool, *, workers: int | None, comparison: dict[str, Any],
) -> int:  # fmt: skip
    from tfprovisioner.batch.scripts import process
    from tfprovisioner.batch.scripts import run as scripts
    from tfprovisioner.batch.tasks import expand

    _check(kernels, comparison, output, resume)
    runs = expand([source], kernels)
    if dry_run:
        process.planned(runs, arguments)  # raises if it cannot be run
        return _print_plan(runs, as_json)
    target = None if output is None else Path(output)
    result = scripts.run(
        runs, arguments, comparison, target=target, resume=resume, workers=workers, errors_only=as_json
    )
    _print_scripts(runs, result)
    if result.report is not None and as_json:
        print_json(result.report.document)
    elif result.report is not None and any(each.records for each in result.found.values()):
        from tfprovisioner.batch import report

        print(report.text(result.report))
    if result.page is not None:
        print(f"The report: {result.page}", file=sys.stderr)
    if result.interrupted:
        again = f" Run the rest with the same command and --resume --output {target}" if target else ""
        print(f"Interrupted; all scripts have ended.{again}", file=sys.stderr)
        return INTERRUPTED
    return result.exit_code


def _print_scripts(runs: "Sequence[Run]", result: "Result") -> None:
    from tfprovisioner.batch.scripts.run import ending

    rows = []
    for run in runs:
        found = result.found.get(run.name)
        if found is None:
            rows.append((run.kernel, "", "", "not ended", "", ""))
        else:
            outcome = found.outcome
            how, seconds = ending(outcome).removeprefix("exit code "), f"{outcome.seconds:.1f} s"
            rows.append((run.kernel, outcome.tensorflow, outcome.python, how, seconds, str(len(found.records) or "")))
    print_table(("kernel", "TensorFlow", "Python", "exit code", "time", "recorded"), rows, errors=True)


def _print_plan(runs: "Sequence[Run]", as_json: bool) -> int:
    if as_json:
        print_json([run.to_json() for run in runs])
    else:
        for run in runs:
            print(f"{run.name}: {run.source} on {run.kernel} {json.dumps(dict(run.parameters))}")
    return 0


def _check(kernels: list[str], comparison: dict[str, Any], output: str | None, resume: bool) -> None:
    if comparison["baseline"] is not None and comparison["baseline"] not in kernels:
        raise typer.BadParameter("it is not one of the kernels (-k)", param_hint="--baseline")
    if resume and output is None:
        raise typer.BadParameter("name the folder to continue in: --output DIR", param_hint="--resume")


def _notebooks(
    sources: list[str], kernels: list[str], parameters: Sequence[str], grid: Sequence[str], output: str | None,
    resume: bool, dry_run: bool, as_json: bool, *,
    comparison: dict[str, Any], engine: dict[str, Any], memory: str, conditions: dict[str, Any],
) -> int:  # fmt: skip
    from tfprovisioner.batch.dask import cluster

    if engine["scheduler"] is None and not dry_run:
        cluster.start_worker_server("tfprovisioner.cli.app")  # first: it works while this process imports papermill

    from tfprovisioner.batch import notebooks, report, tasks
    from tfprovisioner.batch.dask.placement import Options
    from tfprovisioner.batch.output_dir import default_folder

    try:
        set_to = parse_parameters(parameters)
        values, options = parse_grid(grid), Options(memory=parse_size(memory), **engine)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="-p, --grid, --memory") from None
    _check(kernels, comparison, output, resume)
    runs = tasks.expand(sources, kernels, set_to, values)
    shared = tasks.Conditions(apart=options.scheduler is not None, **conditions)
    plan = notebooks.planned(runs, output or str(default_folder()), resume, shared)
    if dry_run:
        return _print_plan(notebooks.remaining(plan), as_json)
    result = notebooks.run(plan, options, comparison, lambda text: print(text, file=sys.stderr))
    if as_json:
        print_json(result.report.document)
    else:
        print(report.text(result.report))
        print(f"\nThe report: {result.page}")
    if result.failure is not None:
        raise result.failure
    if result.interrupted:
        again = f"Run the rest with the same command and {result.resume_options}"
        print(f"Interrupted; finished runs are kept. {again}", file=sys.stderr)
        return INTERRUPTED
    return result.report.exit_code
