"""Script that stands for a kernel's Python in ``kernel.json``: it becomes that Python, or says why it cannot.

Clients without our provisioner run it. Its first line of output, and the kernel that explains, come from
``tfkernels.start_or_explain``. On Windows ``kernel.json`` names the Python itself. See docs/design/kernelspecs.md.
"""

import json
import os
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tfkernels.start_or_explain import JUPYTER, PROBLEM

NAME = "python"
"""Of the script in a kernelspec folder; by this name clients recognise Python kernels."""

PYTHON = "TFKERNELS_KERNEL_PYTHON"
"""Variable with the Python of a ``kernel.json``; the script may be older, and name another one."""

INTERPRETER = "interpreter"
"""Under ``metadata.tfkernels``: the Python that the script stands for."""

_SHELL = "/bin/sh"
_MADE_BY = "# The kernel was made by: "


def text(python: str, start: str, other: str, own: Iterable[str], problem: str, command: str) -> str:
    """The script that stands for ``python``.

    ``start`` is the file that kernels are started with. If ``python`` is gone, the Python ``other`` runs it, without
    the kernel's variables ``own``, to explain the ``problem``. ``command`` is the one that makes the kernel.
    """
    # An odd name would end the shell.
    unwanted = [name for name in (JUPYTER, *own) if re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII)]
    python, start, other, problem = map(shlex.quote, (python, start, other, problem))
    return f"""\
#!{_SHELL}
# The Python of a kernel, for Jupyter's clients. If it is gone, the kernel's cells say so. Written by tfkernels.
{_MADE_BY}{json.dumps(command)}
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
    """Whether the script can be executed; its file system may be mounted ``noexec``."""
    return os.access(script, os.X_OK) and os.access(_SHELL, os.X_OK)


def made_by(script: Path) -> str:
    """The command that makes the kernel of a script; empty if the script is gone, or does not say so."""
    try:
        found = re.search(rf"(?m)^{_MADE_BY}(.*)$", script.read_text(encoding="utf-8"))
        return str(json.loads(found[1])) if found else ""
    except (OSError, ValueError):
        return ""


def behind(argv: Sequence[str], described: Mapping[str, Any]) -> str:
    """The Python of a kernel of ours; ``described`` is its ``metadata.tfkernels``."""
    return str(described.get(INTERPRETER) or argv[0])
