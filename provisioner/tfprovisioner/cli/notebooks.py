"""The commands ``lock``, ``pin``, ``unpin`` and ``open``: the kernel that a file or a notebook asks for."""

from typing import Annotated

from typer import Argument

from tfprovisioner.cli.console import answering, say


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
