"""The command ``convert``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Exit, Option

from tfprovisioner.cli import shared_options
from tfprovisioner.cli.console import INTERRUPTED, answering, print_json, require_extra, say, terminated_as_interrupted

if TYPE_CHECKING:
    from collections.abc import Callable

    from tfprovisioner.progress import Reporter

_PROOF, _CODE, _GRAPHS = "Proof", "Code that the model needs", "TensorFlow 1 graphs and SavedModels"
"""Groups of options, in the order of the help page."""


def convert(
    file: Annotated[
        Path, Argument(metavar="MODEL", help="A saved model: .h5, .keras, a SavedModel, a checkpoint, a .pb.")
    ],
    to: Annotated[
        str, Option(metavar="RELEASE", help="Release that the new file is for: tf2, 2.21, or the name of a kernel.")
    ],
    output: Annotated[
        Path | None,
        Option("--output", "-o", metavar="FILE", help="The new file.", show_default="MODEL-RELEASE, in this folder"),
    ] = None,
    source: Annotated[
        str | None,
        Option("--from", metavar="RELEASE", help="Release that loads MODEL.", show_default="the one that wrote it"),
    ] = None,
    model: Annotated[
        str | None,
        Option(
            metavar="FILE.py:FUNCTION", help="Your function that builds the model, if MODEL has weights alone. "
            "A JSON file of model.to_json() does, too.", rich_help_panel=_CODE,
        ),
    ] = None,
    overwrite: Annotated[bool, Option("--overwrite", help="Replace the new file if it exists.")] = False,
    no_report: Annotated[
        bool, Option("--no-report", help="Do not write the report's page and JSON beside the new file.")
    ] = False,
    as_json: shared_options.Json = False,
    inputs: Annotated[
        Path | None,
        Option(
            metavar="FILE.npz", help="Inputs that both releases compute with.", show_default="drawn for the model",
            rich_help_panel=_PROOF,
        ),
    ] = None,
    rtol: Annotated[
        float | None,
        Option(min=0, metavar="NUMBER", help="Relative tolerance.", show_default="1e-5", rich_help_panel=_PROOF),
    ] = None,
    atol: Annotated[
        float | None,
        Option(
            min=0, metavar="NUMBER", help="Absolute tolerance.", show_default="1e-5 of the largest value",
            rich_help_panel=_PROOF,
        ),
    ] = None,
    custom_objects: Annotated[
        Path | None,
        Option(
            metavar="FILE.py", help="Your module with the model's own layers and functions. Both releases import it.",
            rich_help_panel=_CODE,
        ),
    ] = None,
    trust: Annotated[
        bool,
        Option(
            "--trust",
            help="Run code that is in MODEL, such as that of a Lambda, in the old release's process.",
            rich_help_panel=_CODE,
        ),
    ] = False,
    as_graph: Annotated[
        bool,
        Option(
            "--as-graph", help="Wrap the graph of a SavedModel, even if a Keras model is in it.",
            rich_help_panel=_GRAPHS,
        ),
    ] = False,
    signature: Annotated[
        str | None,
        Option(metavar="NAME", help="Signature of a SavedModel.", show_default="the only one, or serving_default",
               rich_help_panel=_GRAPHS),
    ] = None,
    tags: Annotated[
        str | None,
        Option(metavar="TAG,TAG", help="Tags of a SavedModel's graph.", show_default="serve", rich_help_panel=_GRAPHS),
    ] = None,
    outputs: Annotated[
        list[str] | None,
        Option(metavar="NODE", help="Output of a graph without a signature; repeatable.", rich_help_panel=_GRAPHS),
    ] = None,
    rules: Annotated[
        Path | None,
        Option("--map", metavar="FILE.toml", help="Rules for names: which weight becomes which of --model.",
               rich_help_panel=_GRAPHS),
    ] = None,
    ema: Annotated[
        bool, Option("--ema", help="Take the moving averages of the weights.", rich_help_panel=_GRAPHS)
    ] = False,
    timeout: Annotated[
        float,
        Option(
            min=1, metavar="SECONDS", help="Time limit for loading MODEL, and for each run of it.",
            rich_help_panel=_CODE,
        ),
    ] = 300,
) -> None:  # fmt: skip
    """Convert a saved model to another release, and compare both.

    The old file is loaded in a release that can load it, and the model is rebuilt and saved in the new one. Both run on
    the same inputs, and all layers are compared. Missing environments are built. Exit code: 0 equal within the
    tolerance, 1 not converted, 2 wrong usage, 3 converted but different.
    """
    require_extra("models", "convert")
    from dataclasses import replace

    from tfprovisioner.conversion import report
    from tfprovisioner.conversion.convert import convert as carry_out
    from tfprovisioner.conversion.convert import default_output
    from tfprovisioner.conversion.process import started
    from tfprovisioner.conversion.request import Request
    from tfprovisioner.progress import reporting

    with answering():
        request = Request(
            file, to, output or Path(), source, as_graph, custom_objects, model, rules, ema,
            signature, tuple(filter(None, (tags or "").split(","))), tuple(outputs or ()), inputs, rtol, atol, trust,
            timeout, overwrite,
        )  # fmt: skip
        request = request if output else replace(request, output=default_output(request))
        try:
            with terminated_as_interrupted(), reporting() as reporter_for, started() as processes:
                result = carry_out(request, processes, _teller(reporter_for))
        except KeyboardInterrupt:
            say(f"Interrupted. {request.output} was not written.")
            raise Exit(INTERRUPTED) from None
        page = None if no_report or result.output is None else report.write(result, result.output)
    if as_json:
        print_json(report.document(result))
    else:
        print(report.text(result))
        if page is not None:
            print(f"\nThe report: {page}")
    raise Exit(result.exit_code)


def _teller(reporter_for: "Callable[[str], Reporter]") -> "Callable[[str, str], None]":
    """What gets a release and what it does, and shows it: one line for each release on a terminal."""
    reporters: dict[str, Reporter] = {}

    def tell(release: str, text: str) -> None:
        if release not in reporters:
            reporters[release] = reporter_for(release)
        reporters[release].step(text)

    return tell
