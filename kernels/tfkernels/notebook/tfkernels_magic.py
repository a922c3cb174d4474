"""``%tfkernels``: lists, restarts, stops, interrupts and attaches the other kernels of a notebook."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from IPython import get_ipython
from IPython.core.magic_arguments import argument, magic_arguments

from tfkernels import env_vars, log
from tfkernels.client import discovery, kernels_by_name, kernelspecs
from tfkernels.errors import TFKernelsError, UnknownKernel, UsageError
from tfkernels.imports import own_imports
from tfkernels.kernel_side import parent_watch
from tfkernels.notebook import made_on
from tfkernels.notebook.magic_arguments import parse
from tfkernels.notebook.shell_commands import convert, install

if TYPE_CHECKING:
    from tfkernels.client.kernel import Kernel

_METHODS = {"restart": "restart", "stop": "shutdown", "interrupt": "interrupt"}
"""Methods of ``Kernel`` by the actions that they are."""

_COMMANDS = {"install": install, "convert": convert}
"""Actions that are commands of the shell: all that follows is theirs."""

ACTIONS = ("list", *_METHODS, "attach", *_COMMANDS, "log", "settings")


@magic_arguments("tfkernels")
@argument("action", choices=ACTIONS, nargs="?", default="list", help="what to do")
@argument(
    "names",
    nargs="*",
    help="kernels; without any: all that run. To attach: the connection file, or the beginning of the id, of a kernel "
    "that runs already, another notebook's say; without any: which there are. For install and convert: "
    "the arguments of that command. For log: debug, info, warning or off",
)
@argument("--as", dest="alias", metavar="NAME", help="what the magic of an attached kernel is called")
def manage(line: str) -> None:
    """Lists and controls the kernels that this notebook started or attached."""
    action, rest = (*line.split(None, 1), "", "")[:2]
    if action in _COMMANDS:
        _COMMANDS[action](rest)
        return
    arguments = parse(manage, line)
    action, names = arguments.action, arguments.names
    if action == "attach":
        _attach(names, arguments.alias)
    elif action == "log":
        _log(names)
    elif action == "settings":
        print(settings())
    else:
        every = [kernel for kernel in kernels_by_name.running() if kernel.owned or action != "restart"]
        for kernel in [kernels_by_name.get(name) for name in names] or every:
            if action in _METHODS:
                getattr(kernel, _METHODS[action])()
        print(table({*names} or {*kernelspecs.find(), *(kernel.name for kernel in kernels_by_name.running())}))
        if action == "list" and not names:
            remark = made_on.remark(get_ipython().user_ns)
            if remark:
                print(remark)


def _attach(kernels: list[str], alias: str | None) -> None:
    if not kernels:
        print(discovery.listed(discovery.candidates()) or "No other kernel of yours runs.")
        return
    if alias is not None and len(kernels) > 1:
        raise UsageError("--as NAME is for one kernel. Attach the others in lines of their own.")
    shell = get_ipython()
    if alias is not None and alias not in kernels_by_name.known and alias in shell.magics_manager.magics["cell"]:
        raise UsageError(f"There is a magic %%{alias} already. Choose another name: --as NAME")
    with own_imports():
        from tfkernels.client.attach import attach

    for kernel in kernels:
        attached = attach(kernel, alias)
        print(f"{attached}, used with {attached.magic}", attached.remark, sep="; " if attached.remark else "")


def _log(words: list[str]) -> None:
    """Shows the last lines of the log, or sets its level."""
    if not words:
        print("\n".join(log.recent()) or "The log is empty. Record every message from now on: %tfkernels log debug")
    elif words == ["off"]:
        log.disable()
    elif len(words) == 1 and words[0] in log.LEVELS:
        print(f"Log: {log.enable(words[0])}. Show its last lines: %tfkernels log. End it: %tfkernels log off")
    else:
        raise UsageError(f"%tfkernels log takes one of {', '.join(log.LEVELS)}, off, or nothing.")


def settings() -> str:
    """A table of the environment variables of tfkernels."""
    return _aligned([("variable", "value", "meaning"), *(setting[:3] for setting in env_vars.current())])


def table(names: set[str]) -> str:
    """One line for each kernel."""
    if not names:
        return "No kernels are registered. Install the two usual ones with: %tfkernels install"
    ours = kernelspecs.find()
    rows = [("kernel", "TensorFlow", "state", "process", "memory", "cell", "since")]
    for name in sorted(names):
        kernel = kernels_by_name.known.get(name)
        title = kernel.title if kernel is not None else ""
        release = ours[name].spec["metadata"]["tfkernels"]["tensorflow"] if name in ours else title
        if name == env_vars.AT_START.get(env_vars.KERNEL):
            rows.append(
                (name, release, "runs this cell", str(os.getpid()), _memory(os.getpid(), children=False), "", "")
            )
            if kernel is None:
                continue  # nothing has used a second process of it
        rows.append((name, release, *_columns(kernel)))
    return _aligned(rows)


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths)) for row in rows]
    return "\n".join(line.rstrip() for line in lines)


def _columns(kernel: Kernel | None) -> tuple[str, str, str, str, str]:
    if kernel is None or not kernel.started:
        return "not running", "", "", "", ""
    cell, waiting = kernel.current, len(kernel.waiting)
    title = cell.title if cell is not None else ""
    if waiting:
        title += f" (and {waiting} waiting)" if title else f"({waiting} waiting)"
    since = f"{time.monotonic() - cell.began:.0f} s" if cell is not None and cell.began is not None else ""
    pid = kernel.pid  # unknown until an attached kernel has answered
    return kernel.state, str(pid or ""), _memory(pid) if pid else "", title, since


def _memory(pid: int, children: bool = True) -> str:
    with own_imports():
        import psutil

    try:
        process = psutil.Process(pid)
        used = sum(
            each.memory_info().rss for each in [process, *(process.children(recursive=True) if children else ())]
        )
    except psutil.Error:
        return ""
    return f"{used / 2**20:,.0f} MB"


def start_early() -> None:
    """Starts the kernels named in ``TFKERNELS_START`` (``tf1,tf2``), without waiting for them.

    A kernel that another one started starts none: it got the same variable.
    """
    if parent_watch.FOLDER is not None:
        return
    for name in os.environ.get("TFKERNELS_START", "").replace(",", " ").split():
        try:
            kernels_by_name.get(name).begin()
        except UnknownKernel as error:
            print(f"TFKERNELS_START: {error}", file=sys.stderr)
        except TFKernelsError as error:  # the first cell that uses it raises the same
            print(f"TFKERNELS_START: kernel {name} could not be started: {error}", file=sys.stderr)
