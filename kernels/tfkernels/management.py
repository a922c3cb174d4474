"""``%tfkernels``: looks after the other kernels of a notebook."""

from __future__ import annotations

import os
import sys
import time

from IPython.core.magic_arguments import argument, magic_arguments

from tfkernels import kernelspecs, owner
from tfkernels.errors import TFKernelsError, UnknownKernel
from tfkernels.options import parse
from tfkernels.remote import RemoteKernel, running, shared

ACTIONS = {
    "restart": RemoteKernel.restart,
    "stop": RemoteKernel.shutdown,
    "interrupt": RemoteKernel.interrupt,
}


@magic_arguments("%tfkernels")
@argument("action", choices=["list", *ACTIONS], nargs="?", default="list", help="what to do")
@argument("names", nargs="*", help="kernels; without any: all that run")
def look_after(line: str) -> None:
    """Looks after the kernels that this notebook started."""
    arguments = parse(look_after, line)
    for kernel in [shared(name) for name in arguments.names] or running():
        if arguments.action in ACTIONS:
            ACTIONS[arguments.action](kernel)
    if not kernelspecs.find():
        print("No kernels are registered. Make the two usual ones with: tfkernels install")
        return
    print(table(sorted(set(arguments.names) or kernelspecs.find())))


def table(names: list[str]) -> str:
    """One line for each kernel."""
    known = kernelspecs.find()
    started = {kernel.name: kernel for kernel in running()}
    rows = [("kernel", "TensorFlow", "state", "process", "memory", "cell", "since")]
    for name in names:
        release = known[name].spec["metadata"]["tfkernels"]["tensorflow"] if name in known else ""
        rows.append((name, release, *_columns(started.get(name))))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)) for row in rows]
    return "\n".join(line.rstrip() for line in lines)


def _columns(kernel: RemoteKernel | None) -> tuple[str, str, str, str, str]:
    if kernel is None:
        return "not running", "", "", "", ""
    state, call = kernel.state, kernel.current
    title, since = (call.title, call.began) if call is not None else ("", None)
    waiting = len(kernel.waiting)
    if waiting:
        title += f" (and {waiting} waiting)" if title else f"({waiting} waiting)"
    for_so_long = f"{time.monotonic() - since:.0f} s" if since is not None else ""
    return state, str(kernel.pid), _memory(kernel.pid), title, for_so_long


def _memory(pid: int | None) -> str:
    """Of a process and the ones that it started."""
    import psutil

    try:
        process = psutil.Process(pid)
        used = sum(each.memory_info().rss for each in [process, *process.children(recursive=True)])
    except psutil.Error:
        return ""
    return f"{used / 2**20:,.0f} MB"


def start_early() -> None:
    """Starts the kernels named in ``TFKERNELS_START`` (``tf1,tf2``), without waiting for them.

    A kernel that another one started starts none: it got the same variable.
    """
    if owner.FOLDER is not None:
        return
    for name in os.environ.get("TFKERNELS_START", "").replace(",", " ").split():
        try:
            shared(name).begin()
        except UnknownKernel as error:
            print(f"TFKERNELS_START: {error}", file=sys.stderr)
        except TFKernelsError as error:  # the first cell that uses it raises the same
            print(f"TFKERNELS_START: kernel {name} could not be started: {error}", file=sys.stderr)
