"""Starts a TensorFlow environment's kernel: ``<environment>/bin/python <this file> -f <connection file>``.

Run by path, from where the distribution is installed: so a kernel always runs the installed code, also after an
upgrade, and of all that lies beside this package only the package itself can be imported in the kernel.
"""

import importlib
import os
import shlex
import sys


def _import_package_alone() -> None:
    folder = os.path.dirname(os.path.abspath(__file__))
    # Python put this file's folder first on the path; a kernel wants the notebook's folder, which IPython adds.
    if os.path.abspath(sys.path[0] or os.curdir) == folder:
        del sys.path[0]
    alone = os.path.join(folder, "alone")
    sys.path.insert(0, alone)
    importlib.import_module("tfkernels")
    sys.path.remove(alone)


def _broken(error: Exception) -> str:
    """The message where the kernel's own packages fail, or where this package was uninstalled meanwhile."""
    from tfkernels.start_or_explain import cannot_start, missing

    if not os.path.exists(__file__):
        return missing(__file__)
    command = os.environ.get("TFKERNELS_KERNEL_COMMAND", "tfkernels install")
    if command.startswith("tfkernels add"):
        remedy = (
            f"Repair it, for example with: {shlex.quote(sys.executable)} -m pip install --force-reinstall ipykernel"
        )
    else:
        remedy = f"Rebuild it with: {command} --rebuild"  # a quick look finds no damage, so install alone keeps it
    cause = f"its environment {sys.prefix} is damaged: ipykernel fails with {type(error).__name__}: {error}"
    return cannot_start(os.environ.get("TFKERNELS_KERNEL", ""), cause, remedy)


if __name__ == "__main__":
    _import_package_alone()
    from tfkernels.kernel_side import parent_watch
    from tfkernels.start_or_explain import explain_elsewhere

    parent_watch.watch()  # before the imports that take a second, in which the owner may end

    streams = os.dup(1), os.dup(2)  # ipykernel puts pipes in their place, which end with this program
    try:
        from tfkernels.kernel_side import app
    except Exception as error:  # noqa: BLE001 (what a broken package raises is its own affair)
        explain_elsewhere(_broken(error))
    try:
        app.main()
    except Exception as error:
        if not app.is_damage(error):
            raise
        for number, stream in enumerate(streams, 1):
            os.dup2(stream, number)
        explain_elsewhere(_broken(error))
