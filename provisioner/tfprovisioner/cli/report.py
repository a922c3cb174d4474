"""The command ``report``."""

from pathlib import Path
from typing import Annotated

import typer

from tfprovisioner.cli.console import answering, print_json, require_batch
from tfprovisioner.cli.options import AtolOption, JsonOption, RtolOption

SEVERAL = Path("tfkernels-report")
"""Folder of a report on several outputs."""


def report(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR…", help="Outputs of `tfkernels run`, or of papermill.")],
    baseline: Annotated[
        str | None,
        typer.Option(
            metavar="KERNEL",
            help="Kernel that the others are compared with.",
            show_default="as in the batch, or the oldest",
        ),
    ] = None,
    rtol: RtolOption = None,
    atol: AtolOption = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="DIR", help="Folder of the report.", show_default=f"DIR; for several: {SEVERAL}"
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Compare recorded results across kernels. Writes report.html, report.json and junit.xml.

    Several outputs become one report, with one row for each notebook and its parameters. Exit code: 0 all results
    agree, 1 a run failed, 3 all runs passed and results differ.
    """
    require_batch("report")
    from tfprovisioner.batch import report as report_module
    from tfprovisioner.batch.output_dir import read

    for folder in folders:
        if not folder.is_dir():
            raise typer.BadParameter(f"{folder} is not a folder", param_hint="DIR")
    with answering():
        found = [item for folder in dict.fromkeys(path.resolve() for path in folders) for item in read(folder)]
        if not found:
            raise typer.BadParameter("it has no executed notebooks or scripts", param_hint="DIR")
        target = output or (folders[0] if len(folders) == 1 else SEVERAL)
        try:
            order = report_module.earlier_order(folders)
            made = report_module.make(found, target, baseline=baseline, kernels=order, rtol=rtol, atol=atol)
        except report_module.UnknownBaseline as error:
            raise typer.BadParameter(str(error), param_hint="--baseline") from None
        written = report_module.write(made, target)
    if as_json:
        print_json(made.document)
    else:
        print(report_module.text(made))
        print(f"\nThe report: {written['report.html']}")
    raise typer.Exit(made.exit_code)
