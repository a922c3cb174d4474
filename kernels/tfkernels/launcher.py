"""Starts a TensorFlow environment's kernel: ``<environment>/bin/python <this file> -f <connection file>``.

Run by path, from where the distribution is installed: so a kernel always runs the installed code, also after an
upgrade, and of all that lies beside this package only the package itself can be imported in the kernel.
"""

import importlib
import os
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


if __name__ == "__main__":
    _import_package_alone()
    from tfkernels import owner

    owner.watch()  # before the imports that take a second, in which the owner may end

    try:
        from tfkernels.kernelapp import main
    except ModuleNotFoundError as error:  # on standard error, which clients show; for a cell there is no kernel
        command = os.environ.get("TFKERNELS_KERNEL_COMMAND", "tfkernels install")
        sys.exit(
            f"The kernel cannot start: {error}. Its environment {sys.prefix} is damaged. Make it anew with: {command}"
        )

    main()
