"""The command ``report``."""

from pathlib import Path
from typing import Annotated

from typer import Argument, BadParameter, Exit, Option

from tfprovisioner.cli import options
from tfprovisioner.cli.console import answering, print_report, require_batch

SEVERAL = Path("tfkernels-report")
"""Folder of a report on several outputs."""


def report(
    folders: Annotated[list[Path], Argument(metavar="DIR…", help="Outputs of `tfkernels run`, or of papermill.")],
    baseline: options.Baseline = None,
    rtol: options.Rtol = None,
    atol: options.Atol = None,
    output: Annotated[
        Path | None,
        Option(
            "--output", "-o", metavar="DIR", help="Folder of the report.", show_default=f"DIR; for several: {SEVERAL}"
        ),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Compare recorded results across kernels. Writes report.html, report.json and junit.xml.

    Several outputs become one report, with one row for each notebook and its parameters. Exit code: 0 all results
    agree, 1 a run failed, 3 all runs passed and results differ.
    """
    require_batch("report")
    from tfprovisioner.batch import report as reports
    from tfprovisioner.batch.output_dir import read

    for folder in folders:
        if not folder.is_dir():
            raise BadParameter(f"{folder} is not a folder", param_hint="DIR")
    with answering():
        found = [item for folder in dict.fromkeys(path.resolve() for path in folders) for item in read(folder)]
        if not found:
            raise BadParameter("it has no executed notebooks or scripts", param_hint="DIR")
        target = output or (folders[0] if len(folders) == 1 else SEVERAL)
        order = reports.earlier_order(folders)
        made = reports.make(found, target, baseline=baseline, kernels=order, rtol=rtol, atol=atol)
        written = reports.write(made, target)
    print_report(made, as_json, written["report.html"])
    raise Exit(made.exit_code)
