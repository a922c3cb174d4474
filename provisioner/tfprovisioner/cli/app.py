"""The command ``tfkernels``. Only words and tables here; the work is done by the modules it calls."""

import sys
from dataclasses import asdict, replace
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

import tfkernels
from tfkernels import log
from tfkernels.client import kernelspecs
from tfprovisioner.catalogue import releases as catalogue
from tfprovisioner.cli import bisect as bisect_command
from tfprovisioner.cli import maintain, run_program
from tfprovisioner.cli import report as reporting
from tfprovisioner.cli import run as batch_command
from tfprovisioner.cli.console import NO_KERNELS, JsonOption, answering, complain, megabytes, print_json, print_table
from tfprovisioner.environments import requirements as requirement_files
from tfprovisioner.environments.request import InstallRequest, lasting
from tfprovisioner.kernelspecs import install as install_module
from tfprovisioner.kernelspecs import listing, parallel_install
from tfprovisioner.system import uv
from tfprovisioner.system.command_log import record_commands

app = typer.Typer(
    help="Every TensorFlow release as a Jupyter kernel of its own.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)


class Backend(str, Enum):
    """What ``--backend`` takes: the names in ``build.BACKENDS``."""

    uv = "uv"
    conda = "conda"


@app.command()
def install(
    releases: Annotated[
        list[str] | None,
        typer.Argument(help="tf1, tf2, a release line (2.21) or an exact release (1.15.5).", show_default="tf1 tf2"),
    ] = None,
    name: Annotated[str | None, typer.Option(help="The kernel's name, if it is not to be the release's.")] = None,
    user: Annotated[
        bool, typer.Option("--user", help="For all Jupyters of this user, not only the one this is installed in.")
    ] = False,
    rebuild: Annotated[
        bool,
        typer.Option("--rebuild", help="Build the environment anew, even if it looks whole. Running kernels go on."),
    ] = False,
    extras: Annotated[
        list[str] | None,
        typer.Option("--with", help="A package that the environment is to have, too ('matplotlib<3.5'); repeatable."),
    ] = None,
    requirements: Annotated[
        list[Path] | None, typer.Option(help="A file of such packages, as pip reads them; repeatable.")
    ] = None,
    without: Annotated[
        list[str] | None, typer.Option(help="A package that the kernel was made with and is to lose; repeatable.")
    ] = None,
    gpu: Annotated[
        bool | None,
        typer.Option(
            "--gpu/--no-gpu", help="With CUDA's libraries, for NVIDIA GPUs (Linux x86-64).", show_default=False
        ),
    ] = None,
    devices: Annotated[
        str | None,
        typer.Option(metavar="0,1", help="The GPUs that the kernel sees, numbered as by nvidia-smi; all; none."),
    ] = None,
    index: Annotated[
        str | None, typer.Option(metavar="URL", help="Take packages from this index instead of PyPI; never recorded.")
    ] = None,
    find_links: Annotated[
        list[Path] | None, typer.Option(metavar="DIR", help="A folder of wheels to take packages from; repeatable.")
    ] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Use what is in uv's cache and in --find-links, and no network.")
    ] = False,
    python: Annotated[
        str | None,
        typer.Option(
            metavar="VERSION|PATH",
            help="The Python to use. Without it, or again with `usual`, the best one is found or fetched.",
        ),
    ] = None,
    backend: Annotated[
        Backend | None,
        typer.Option(help="uv: wheels from the package index. conda: packages of conda channels.", show_default="uv"),
    ] = None,
    channels: Annotated[
        list[str] | None,
        typer.Option(
            "--channel",
            help="A conda channel, by name or address, for the conda backend and for Pythons that uv does not have; "
            "repeatable, the first one goes first. `defaults` is used only if named: its terms restrict companies.",
            show_default="conda-forge",
        ),
    ] = None,
    conda_exe: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="Your own conda, mamba or micromamba, in place of the `usual` one."),
    ] = None,
) -> None:
    """Build environments and register their kernels. What is there already is left as it is.

    A kernel stays as it was made, with its packages, backend, Python, channels and GPUs, but for what is asked for now.
    """
    requests = releases or ["tf1", "tf2"]
    if name and len(requests) != 1:
        raise typer.BadParameter("--name goes with exactly one release")
    with answering():
        uv.set_sources(index, find_links or (), offline)
        wanted = (*(line for path in requirements or () for line in requirement_files.read(path)), *(extras or ()))
    first = InstallRequest(
        requests[0], name, user, rebuild, backend and backend.value, wanted, without=tuple(without or ()),
        python=lasting(python), channels=tuple(channels or ()), conda=lasting(conda_exe),
        gpu=gpu, devices=devices,
    )  # fmt: skip
    asked = [replace(first, release=request) for request in requests]
    orders = list({order.kernel: order for order in asked}.values())
    failures = []

    def tell(order: InstallRequest, outcome: parallel_install.Outcome) -> None:
        if isinstance(outcome, Exception):
            failures.append(outcome)
            complain(outcome, f"{order.kernel}: " if len(orders) > 1 else "")
        else:
            _print_installed(outcome)

    try:
        parallel_install.install_all(orders, tell)
    except parallel_install.Interrupted as interrupted:
        for order in interrupted.orders:
            print(f"{order.kernel}: interrupted. Nothing has changed; `{order.command}` starts again.", file=sys.stderr)
        raise typer.Exit(130) from None
    if failures:
        raise typer.Exit(1)


def _print_installed(done: install_module.Installed) -> None:
    state = (
        "installed" if done.built else "registered, its environment was there" if done.registered else "already there"
    )
    made = done.environment
    print(
        f"{done.name}: {state}. TensorFlow {made.recipe.tensorflow}, Python {made.python_version}, "
        f"{megabytes(made.size)}. Kernel: {done.kernelspec}",
        flush=True,
    )
    if done.extras:
        kept = f" (kept: {', '.join(done.kept)}; --without leaves one out)" if done.kept else ""
        print(f"{done.name}: with {', '.join(done.extras)}{kept}", flush=True)
    if done.choices:
        print(f"{done.name}: as it was made: {' '.join(done.choices)}", flush=True)
    if made.recipe.backend == "uv":
        caution = catalogue.caution(catalogue.find(made.recipe.tensorflow), made.recipe.python)
        if caution:
            print(f"{done.name}: {caution}", file=sys.stderr)


@app.command("list")
def list_kernels(as_json: JsonOption = False) -> None:
    """The kernels, with release, Python, backend, size and state."""
    rows = listing.kernels()
    if as_json:
        print_json([asdict(row) for row in rows])
    elif rows:
        print_table(
            ("name", "TensorFlow", "Python", "backend", "size", "state"),
            [(row.name, row.tensorflow, row.python, row.backend, megabytes(row.size), row.state) for row in rows],
        )
    else:
        print(NO_KERNELS)


@app.command()
def releases(as_json: JsonOption = False) -> None:
    """Every TensorFlow release known, with the Python it needs and whether it can be had here."""
    rows = listing.releases()
    if as_json:
        print_json([asdict(row) for row in rows])
    else:
        print_table(
            ("release", "released", "Python", "here"),
            [(row.release, row.released or "", ", ".join(row.pythons), row.here) for row in rows],
        )


app.command()(maintain.add)
app.command()(maintain.doctor)
app.command()(maintain.gc)
# What follows the kernel's name is the program's, its options too.
app.command("exec", context_settings={"allow_interspersed_args": False})(run_program.execute)
app.command(cls=batch_command.WithArguments)(batch_command.run)
app.command()(reporting.report)
app.command(cls=batch_command.WithArguments)(bisect_command.bisect)


@app.command()
def remove(names: Annotated[list[str], typer.Argument(help="Kernels.")]) -> None:
    """Delete kernels together with their environments. An environment that you added stays."""
    with answering():
        for name in names:  # all of them are looked up before the first is deleted
            kernelspecs.get(name)
        for name in names:
            for removed in install_module.remove(name):
                for folder in removed.kernelspecs:
                    print(f"{name}: removed {folder}")
                print(f"{name}: removed {removed.environment}" if removed.environment else f"{name}: {removed.stays}")


@app.command()
def demo(
    output: Annotated[
        Path | None, typer.Option(help="Where the executed notebook goes.", show_default="in the data folder")
    ] = None,
) -> None:
    """Run the main job: one notebook, two TensorFlow releases, the same weights, and how far they agree."""
    from tfprovisioner.cli import demo as demo_module  # papermill takes a second to import

    with answering():
        target, comparison = demo_module.run(output, lambda text: print(text, file=sys.stderr, flush=True))
    print(comparison)
    print("\nWhy the last digits differ, and why some results differ in all of them, is what the notebook explains.")
    print(f"The executed notebook: {target}")


def _version(wanted: bool) -> None:
    if wanted:
        print(tfkernels.__version__)
        raise typer.Exit


@app.callback()
def main(
    _asked: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Every TensorFlow release as a Jupyter kernel of its own."""
    log.show_on_stderr()
    record_commands()
