"""The commands ``lock``, ``pin``, ``unpin`` and ``open``, and ``install`` of notebooks: kernels that files ask for."""

import importlib.util
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, BadParameter, Context, Exit, Option

from tfprovisioner.cli import install_output, shared_options
from tfprovisioner.cli.carry_out import carry_out
from tfprovisioner.cli.console import answering, complain, confirmed, say

if TYPE_CHECKING:
    from tfprovisioner.notebook_metadata.wanted_kernel import WantedKernel
    from tfprovisioner.requirements.request import InstallRequest

_Notebooks = Annotated[list[Path], Argument(metavar="NOTEBOOK…", help="Notebooks.")]

_SERVERS = ("notebook", "jupyterlab")
"""Modules that start a Jupyter with a notebook, in the order in which they are tried."""

_START = """
import runpy, sys
sys.path[:] = filter(None, sys.path)
del sys.argv[0]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""
"""As ``-m``, which would import modules of the present folder: it may have come with the notebook."""


def lock(kernel: Annotated[str, Argument(help="Kernel.")]) -> None:
    """Print every package of a kernel, with versions and hashes.

    Make the same kernel elsewhere with: tfkernels install --lock FILE
    """
    from tfprovisioner.kernelspecs import locks

    with answering():
        found, environment = locks.of_kernel(kernel)
        print(found.file(), end="")
        for change in locks.changes(environment):
            say(f"{kernel}: not in the lock: {change}")


def pin(
    notebooks: _Notebooks,
    kernel: Annotated[
        str | None, Option("--kernel", "-k", help="Kernel.", show_default="the one that the notebook opens on")
    ] = None,
) -> None:
    """Write into notebooks which kernel they need.

    Everybody can then get the same kernel, with the same packages: tfkernels install NOTEBOOK
    """
    from tfprovisioner.notebook_metadata import pinning

    with answering():
        for path in notebooks:
            pinned = pinning.pin(path, kernel)
            size = f", {len(pinned.lock) / 1e3:.0f} kB" if pinned.lock else ""
            print(f"{path}: pinned to {pinned.title}{size}")
            for change in pinned.changes:
                say(f"{path}: warning: not in the pin: {change}. Install it with --with instead, and pin again")


def unpin(notebooks: _Notebooks) -> None:
    """Delete from notebooks which kernel they need."""
    from tfprovisioner.notebook_metadata import pinning

    with answering():
        for path in notebooks:
            print(f"{path}: {'unpinned' if pinning.unpin(path) else 'it was not pinned'}")


def install(
    paths: Sequence[Path], template: "InstallRequest", yes: bool, dry_run: bool = False, as_json: bool = False
) -> None:
    """Makes the kernels that notebooks want, after a question. Exits if one failed or the answer is no."""
    from tfprovisioner.notebook_metadata import wanted_kernel
    from tfprovisioner.notebook_metadata.notebook_file import read

    with answering(failed=install_output.failure if as_json else None):
        found = wanted_kernel.wanted_by_all([read(path) for path in paths], template)
    if dry_run:
        _carry_out(found, dry_run, as_json)
        return
    _ensure(found, yes, as_json=as_json)
    for wanted in found:
        if not wanted.opens:
            path = wanted.notebook.quoted
            say(f"{path} opens on another kernel. Choose {wanted.name} in the notebook, or run: tfkernels open {path}")


def _ensure(found: "Sequence[WantedKernel]", yes: bool, question: str = "", as_json: bool = False) -> None:
    """Shows what notebooks want, asks once, and builds what is missing."""
    missing = [wanted for wanted in found if not wanted.ready]
    for wanted in found:
        there = "" if wanted in missing else ", which is there"
        say(f"{wanted.notebook.path} wants {wanted.description}. Kernel: {wanted.name}{there}")
    if missing or question:
        names = ", ".join(dict.fromkeys(wanted.name for wanted in missing))
        install = f"Install {names}" if missing else ""
        if not confirmed(f"{' and '.join(filter(None, (install, question)))}?", yes):
            say("Nothing was changed.")
            raise Exit(1)
    if missing or as_json:
        _carry_out(found if as_json else missing, as_json=as_json)


def _carry_out(found: "Sequence[WantedKernel]", dry_run: bool = False, as_json: bool = False) -> None:
    """Installs what notebooks want, or plans it. Kernels of environments that users added are there."""
    ours = [wanted for wanted in found if not (wanted.ready and wanted.added)]
    there = {wanted.name: install_output.added(wanted.added) for wanted in found if wanted.ready and wanted.added}
    if not as_json:
        for name in there:
            print(f"{name}: {there[name]['state']}")
    again = {wanted.name: wanted.command for wanted in ours}
    requests = list({wanted.name: wanted.request for wanted in ours}.values())
    carry_out(requests, dry_run, as_json, again=again, there=list(there.values()))


def open_notebook(
    context: Context,
    notebook: Annotated[Path, Argument(help="Notebook. Words after -- go to Jupyter.")],
    lab: Annotated[bool, Option("--lab", help="Open it in JupyterLab, even if Jupyter Notebook is installed.")] = False,
    user: shared_options.User = False,
    only_binary: shared_options.OnlyBinary = None,
    yes: shared_options.Yes = False,
) -> None:
    """Open a notebook on the kernel that it needs.

    A missing kernel is installed, after a question. Nothing of the notebook is executed before you run a cell.
    """
    from tfprovisioner.requirements.request import InstallRequest

    modules = ["jupyterlab"] if lab else list(_SERVERS)
    server = next((name for name in modules if importlib.util.find_spec(name) is not None), None)
    if server is None:
        complain(f"Cannot open {notebook}: {' or '.join(modules)} is not installed. Run: pip install jupyterlab.")
        raise Exit(1)
    provide(notebook, InstallRequest("", user=user, only_binary=only_binary), yes)
    words: list[str] = context.meta.get(shared_options.AFTER, [])
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-c", _START, server, str(notebook), *words])  # noqa: S606 (no shell)


def provide(path: Path, template: "InstallRequest", yes: bool = False) -> None:
    """Installs the kernel that a notebook wants, and has Jupyter open the notebook on it; all after one question."""
    from tfprovisioner.notebook_metadata import pinning, wanted_kernel
    from tfprovisioner.notebook_metadata.notebook_file import read

    with answering():
        wanted = wanted_kernel.wanted(read(path), template)
    change = "" if wanted.opens else f"set the kernel of {path} to {wanted.name}"
    _ensure([wanted], yes, change)
    with answering():
        if change:
            pinning.set_kernel(path, wanted.name)


def refuse_options(chosen: Mapping[str, object]) -> None:
    """Raises ``BadParameter`` for options that say which packages: a notebook says that itself."""
    one = next((option for option, value in chosen.items() if value), None)
    if one is not None:
        raise BadParameter("a notebook says itself which packages it needs", param_hint=one)
