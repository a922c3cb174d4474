"""The command ``install``."""

import sys
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tfprovisioner.cli.console import answering, complain, megabytes
from tfprovisioner.cli.options import UserOption

if TYPE_CHECKING:
    from tfprovisioner.environments.request import InstallRequest
    from tfprovisioner.kernelspecs.install import Installed
    from tfprovisioner.kernelspecs.parallel_install import Outcome


class Backend(str, Enum):
    """The values of ``--backend``: the names in ``build.BACKENDS``."""

    uv = "uv"
    conda = "conda"


def install(
    releases: Annotated[
        list[str] | None,
        typer.Argument(help="tf1, tf2, a release line (2.21) or an exact release (1.15.5).", show_default="tf1 tf2"),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the kernel.", show_default="the release's, like tf2.11")
    ] = None,
    user: UserOption = False,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Build the environment again, even if it works. Running kernels continue.")
    ] = False,
    extras: Annotated[
        list[str] | None, typer.Option("--with", help="Add a package ('matplotlib<3.5'); repeatable.")
    ] = None,
    requirements: Annotated[
        list[Path] | None, typer.Option(help="Add the packages of a file, as pip reads it; repeatable.")
    ] = None,
    without: Annotated[
        list[str] | None, typer.Option(help="Remove a package that you added with --with; repeatable.")
    ] = None,
    gpu: Annotated[
        bool | None,
        typer.Option(
            "--gpu/--no-gpu", help="Add CUDA's libraries, for NVIDIA GPUs (Linux x86-64).", show_default=False
        ),
    ] = None,
    devices: Annotated[
        str | None,
        typer.Option(metavar="0,1", help="GPUs that the kernel sees: numbers as in nvidia-smi, all, or none."),
    ] = None,
    index: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Get packages from this index instead of PyPI. The URL is not stored."),
    ] = None,
    find_links: Annotated[
        list[Path] | None,
        typer.Option(metavar="DIR", help="Also get packages from this folder of wheels; repeatable."),
    ] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Use uv's cache and --find-links only, no network.")
    ] = False,
    python: Annotated[
        str | None,
        typer.Option(
            metavar="VERSION|PATH",
            help="Python of the environment. `usual`, or none: the best one is found or downloaded.",
        ),
    ] = None,
    backend: Annotated[
        Backend | None,
        typer.Option(help="uv: wheels from the package index. conda: packages from conda channels.", show_default="uv"),
    ] = None,
    channels: Annotated[
        list[str] | None,
        typer.Option(
            "--channel",
            help="Conda channel, by name or URL; repeatable, the first has priority. The conda backend uses it, and "
            "Pythons that uv does not have. `defaults` is used only if you name it: its terms restrict companies.",
            show_default="conda-forge",
        ),
    ] = None,
    conda_exe: Annotated[
        str | None, typer.Option(metavar="PATH", help="Your own conda, mamba or micromamba. `usual`: none.")
    ] = None,
) -> None:
    """Build environments and register their kernels. Kernels that exist already are kept.

    Options you leave out keep the values of the last install.
    """
    from tfprovisioner.environments import requirements as files
    from tfprovisioner.environments.request import InstallRequest, lasting
    from tfprovisioner.kernelspecs import parallel_install
    from tfprovisioner.system import uv

    named = releases or ["tf1", "tf2"]
    if name and len(named) != 1:
        raise typer.BadParameter("--name needs exactly one release")
    with answering():
        uv.set_sources(index, find_links or (), offline)
        wanted = (*(line for path in requirements or () for line in files.read(path)), *(extras or ()))
    first = InstallRequest(
        named[0], name, user, rebuild, backend and backend.value, wanted, without=tuple(without or ()),
        python=lasting(python), channels=tuple(channels or ()), conda=lasting(conda_exe),
        gpu=gpu, devices=devices,
    )  # fmt: skip
    asked = [replace(first, release=release) for release in named]
    requests = list({request.kernel: request for request in asked}.values())
    failures = []

    def report(request: "InstallRequest", outcome: "Outcome") -> None:
        if isinstance(outcome, Exception):
            failures.append(outcome)
            complain(outcome, f"{request.kernel}: " if len(requests) > 1 else "")
        else:
            _print_installed(outcome)

    try:
        parallel_install.install_all(requests, report)
    except parallel_install.Interrupted as interrupted:
        for request in interrupted.requests:
            print(f"{request.kernel}: interrupted, nothing changed. Again: {request.command}", file=sys.stderr)
        raise typer.Exit(130) from None
    if failures:
        raise typer.Exit(1)


def _print_installed(done: "Installed") -> None:
    from tfprovisioner.catalogue import releases

    state = "installed" if done.built else "registered, environment reused" if done.registered else "already there"
    made = done.environment
    print(
        f"{done.name}: {state}. TensorFlow {made.recipe.tensorflow}, Python {made.python_version}, "
        f"{megabytes(made.size)}. Kernel: {done.kernelspec}",
        flush=True,
    )
    if done.extras:
        kept = f" (kept: {', '.join(done.kept)}; --without removes a package)" if done.kept else ""
        print(f"{done.name}: with {', '.join(done.extras)}{kept}", flush=True)
    if done.choices:
        print(f"{done.name}: as in the last install: {' '.join(done.choices)}", flush=True)
    if made.recipe.backend == "uv":
        caution = releases.caution(releases.find(made.recipe.tensorflow), made.recipe.python)
        if caution:
            print(f"{done.name}: {caution}", file=sys.stderr)
