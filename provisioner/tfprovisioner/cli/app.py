"""The command ``tfkernels``: its subcommands, and the short ones: ``list``, ``releases``, ``remove``, ``demo``.

The modules here parse options and print. Each command imports what does the work when it runs.
"""

import tfprovisioner.system.skipped_imports  # noqa: F401, I001 (before nbformat)

import os
from pathlib import Path
from typing import Annotated

from typer import Argument, Exit, Option, Typer

import tfkernels
from tfprovisioner.cli import (
    bisect,
    bundle,
    convert,
    inspect,
    install,
    maintain,
    notebooks,
    run,
    run_program,
    shared_options,
    stubs,
)
from tfprovisioner.cli.console import (
    NO_KERNELS,
    WRONG_USAGE,
    answering,
    complain,
    megabytes,
    print_json,
    print_table,
    say,
)
from tfprovisioner.cli.help_pages import KERNELS, NOTEBOOKS, FirstPage, GroupedOptions

app = Typer(
    cls=FirstPage,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: rich's takes four times as long
    context_settings={"max_content_width": 120},
)

app.command(cls=GroupedOptions, rich_help_panel=KERNELS)(install.install)


@app.command("list", rich_help_panel=KERNELS)
def list_kernels(as_json: shared_options.Json = False) -> None:
    """Show the kernels, with release, Python, backend, size and state."""
    from tfprovisioner.kernelspecs import listing

    rows = listing.kernels()
    if as_json:
        print_json(rows)
    elif rows:
        print_table(
            ("name", "TensorFlow", "Python", "backend", "size", "state"),
            [(row.name, row.tensorflow, row.python, row.backend, megabytes(row.size), row.state) for row in rows],
        )
    else:
        print(NO_KERNELS)


@app.command(rich_help_panel=KERNELS)
def releases(as_json: shared_options.Json = False) -> None:
    """Show every TensorFlow release, its Pythons, and which fit here."""
    from tfprovisioner.kernelspecs import listing

    rows = listing.releases()
    if as_json:
        print_json(rows)
    else:
        print_table(
            ("release", "released", "Python", "here"),
            [(row.release, row.released or "", ", ".join(row.pythons), row.here) for row in rows],
        )


app.command(rich_help_panel=KERNELS)(bundle.bundle)
app.command(rich_help_panel=KERNELS)(maintain.add)
app.command(rich_help_panel=KERNELS)(maintain.doctor)


@app.command(rich_help_panel=KERNELS)
def remove(names: Annotated[list[str], Argument(help="Kernels.")]) -> None:
    """Delete kernels and their environments. Environments that you added stay."""
    from tfprovisioner.kernelspecs import install, write

    with answering():
        for name in names:  # all names are checked before the first kernel is deleted
            write.registered(name)
        for name in names:
            for removed in install.remove(name):
                for folder in removed.kernelspecs:
                    print(f"{name}: removed {folder}")
                print(f"{name}: removed {removed.environment}" if removed.environment else f"{name}: {removed.stays}")


app.command(rich_help_panel=KERNELS)(maintain.gc)
app.command(rich_help_panel=KERNELS)(notebooks.lock)

app.command("open", rich_help_panel=NOTEBOOKS, cls=shared_options.WithArguments)(notebooks.open_notebook)
app.command(rich_help_panel=NOTEBOOKS)(notebooks.pin)
app.command(rich_help_panel=NOTEBOOKS)(notebooks.unpin)
app.command(rich_help_panel=NOTEBOOKS, cls=shared_options.WithArguments)(run.run)
app.command(rich_help_panel=NOTEBOOKS)(run.report)
app.command(rich_help_panel=NOTEBOOKS, cls=shared_options.WithArguments)(bisect.bisect)
app.command(rich_help_panel=NOTEBOOKS)(stubs.stubs)
app.command(rich_help_panel=NOTEBOOKS)(inspect.inspect)
app.command(cls=GroupedOptions, rich_help_panel=NOTEBOOKS)(convert.convert)
# Options after the kernel's name are the program's.
app.command("exec", rich_help_panel=NOTEBOOKS, context_settings={"allow_interspersed_args": False})(run_program.execute)


@app.command(rich_help_panel=NOTEBOOKS)
def demo(
    output: Annotated[
        Path | None,
        Option(
            "--output", "-o", metavar="DIR", help="Folder of the executed notebook.", show_default="the data folder"
        ),
    ] = None,
) -> None:
    """Run the example notebook: one model on two TensorFlow releases.

    Both have the same weights. It shows how far they agree.
    """
    from tfprovisioner.cli import demo

    with answering():
        target, comparison = demo.run(output, say)
    print(comparison)
    print("\nThe notebook explains why the last digits differ, and why some results differ in every digit.")
    print(f"The executed notebook: {target}")


def _version(wanted: bool) -> None:
    if wanted:
        print(tfkernels.__version__)
        raise Exit


@app.callback()
def main(
    _asked: Annotated[
        bool, Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Every TensorFlow release as a Jupyter kernel of its own."""
    from tfkernels import log
    from tfprovisioner.system.subprocesses import record_commands

    if os.path.expanduser("~") == "~":
        complain(f"The home folder is unknown: HOME is not set, and user {os.getuid()} has no account here. Set HOME.")
        raise Exit(WRONG_USAGE)
    log.show_on_stderr()
    record_commands()
