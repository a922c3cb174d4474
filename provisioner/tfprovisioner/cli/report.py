"""The command ``tfkernels report``. Words only, as in ``cli``."""

from pathlib import Path
from typing import Annotated

import typer

from tfprovisioner.cli.console import JsonOption, answering, print_json

SEVERAL = Path("tfkernels-report")
"""Where the report on several outputs goes."""


def report(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR…", help="Outputs of `tfkernels run`, or of papermill.")],
    baseline: Annotated[
        str | None,
        typer.Option(
            metavar="KERNEL",
            help="The kernel that the others are compared with.",
            show_default="as before, or the oldest",
        ),
    ] = None,
    rtol: Annotated[
        float | None, typer.Option(min=0, help="Relative tolerance of what was recorded without one.")
    ] = None,
    atol: Annotated[
        float | None, typer.Option(min=0, help="Absolute tolerance of what was recorded without one.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="DIR", help="Where it goes.", show_default=f"DIR; of several: {SEVERAL}"
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Compare what runs recorded, across kernels: report.html, report.json and junit.xml.

    Several outputs become one report; runs of one notebook, by its file name and parameters, stand in one row. Exit
    code 0 if all is fine, 1 if a run failed, 3 if all passed and results differ.
    """
    from tfprovisioner.batch import report as report_module
    from tfprovisioner.batch.output_dir import read
    from tfprovisioner.batch.report.json import earlier_order

    for folder in folders:
        if not folder.is_dir():
            raise typer.BadParameter(f"{folder} is not a folder", param_hint="DIR")
    with answering():
        found = [item for folder in dict.fromkeys(path.resolve() for path in folders) for item in read(folder)]
        if not found:
            raise typer.BadParameter("there are no executed notebooks or scripts in it", param_hint="DIR")
        target = output or (folders[0] if len(folders) == 1 else SEVERAL)
        try:
            order = earlier_order(folders)
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
