"""The program that a ``kernel.json`` names: a script that becomes the environment's Python, or says that it is gone.

A client without our provisioner (VS Code, a Jupyter that has no tfkernels) runs what ``argv`` says. If that were
``<environment>/bin/python``, one that is gone would be the client's own error, and no cell could name the command that
mends it. So a script of the shell stands in. It becomes the environment's Python, by that one's path and with all
arguments: no process stays between, and who takes the first word of ``argv`` for the kernel's Python can use it as one.
Where that Python is gone, it becomes the one that registered the kernel, to explain it (see ``tfkernels.start``).

Some shells (dash) do not hand on variables whose names are none of a shell's (``a.b``, bash's exported functions).

Not on Windows, where ``kernel.json`` names the Python itself, as it does where scripts cannot be executed.
"""

import os
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tfkernels.start import JUPYTER, KERNELS_OWN, PROBLEM

NAME = "python"
"""Of the script in a kernelspec folder: clients tell Python kernels by it."""

PYTHON = "TFKERNELS_KERNEL_PYTHON"
"""The variable with the Python that a ``kernel.json`` means. The script was written before, perhaps for another one."""

INTERPRETER = "interpreter"
"""Under ``metadata.tfkernels``: the Python that the script stands for."""

_SHELL = "/bin/sh"


def text(python: str, start: str, other: str, own: Iterable[str], problem: str) -> str:
    """The script that stands for ``python``.

    ``start`` is the file that kernels are started with. ``other`` is the Python that runs it to tell the ``problem``,
    without the variables ``own``, which are the kernel's.
    """
    # An odd name would end the shell.
    unwanted = [name for name in (*KERNELS_OWN, JUPYTER, *own) if re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII)]
    python, start, other, problem = map(shlex.quote, (python, start, other, problem))
    return f"""\
#!{_SHELL}
# The Python of a kernel, for Jupyter's clients. Where it is gone, the kernel's cells say so. Written by tfkernels.
if [ "${{1-}}" = {start} ] && [ -x "${{{PYTHON}-}}" ]; then
    exec "${PYTHON}" "$@"
fi
if [ -x {python} ]; then
    exec {python} "$@"
fi
printf '%s\\n' {problem} >&2
if [ "${{1-}}" = {start} ] && [ "$#" -gt 1 ] && [ -x {other} ]; then
    shift 2
    unset {" ".join(unwanted)}
    {PROBLEM}={problem}
    export {PROBLEM}
    exec {other} {start} "$@"
fi
exit 127
"""


def works(script: Path) -> bool:
    """Whether a script that was written can be executed: its file system may be mounted without that."""
    return os.access(script, os.X_OK) and os.access(_SHELL, os.X_OK)


def behind(argv: Sequence[str], described: Mapping[str, Any]) -> str:
    """The Python that a kernel of ours runs on; ``described`` is what it has under ``metadata.tfkernels``."""
    return str(described.get(INTERPRETER) or argv[0])
