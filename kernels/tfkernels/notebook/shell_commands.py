"""``%tfkernels install`` and ``convert``: the commands, run for the Jupyter that the notebook belongs to."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from tfkernels import debugger, env_vars
from tfkernels.client import kernelspecs
from tfkernels.errors import TFKernelsError, UsageError
from tfkernels.imports import own_imports
from tfkernels.sigint import redirected
from tfkernels.start_or_explain import JUPYTER

# ``python -m`` would import modules from the current folder.
_RUN = "import sys; sys.path = [folder for folder in sys.path if folder]; import runpy; "

# The command and its programs end with this kernel, which holds the other end of the pipe.
_WATCH = """
import os, signal, threading
pipe = os.dup(0)
os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
threading.Thread(target=lambda: (os.read(pipe, 1), os.killpg(0, signal.SIGKILL)), daemon=True).start()
"""
_COMMAND = _WATCH + _RUN + "runpy.run_module('tfprovisioner', run_name='__main__')"
_TRY = _RUN + "import tfprovisioner"


_ENDS = {3: "tfkernels convert wrote a model that differs: its output above says where it begins."}
"""Exit codes that are no failures of a command."""


def install(line: str) -> None:
    """Runs ``tfkernels install`` with the arguments of ``line``; shows its output as it comes."""
    _command("install", line)


def convert(line: str) -> None:
    """Runs ``tfkernels convert`` with the arguments of ``line``; shows its output as it comes."""
    _command("convert", line)


@debugger.kept_out()
def _command(name: str, line: str) -> None:
    words, variables = _words(f"{name} {line}"), {**env_vars.of_command(), env_vars.PARENT: str(os.getpid())}
    tried = []
    for python, options in _pythons():
        if subprocess.run([python, "-c", _TRY], env=variables, check=False, capture_output=True).returncode == 0:
            _run([python, "-c", _COMMAND, *words, *(options if name == "install" else ())], variables)
            return
        tried.append(python)
    raise TFKernelsError(
        f"Cannot {name} from this notebook: tfkernels is missing in {' and in '.join(tried)}. In a terminal, in the "
        f"environment of your Jupyter, run: pip install tfkernels, and: tfkernels {name} {line}"
    )


def _words(line: str) -> list[str]:
    """Those before the comment: a ``#`` begins one where a word begins, outside quotation marks."""
    problem = None
    for end in [*(found.start() for found in re.finditer(r"(?<!\S)#", line)), len(line)]:
        try:
            return shlex.split(line[:end])
        except ValueError as error:
            problem = error
    raise UsageError(f"Cannot read %tfkernels {line}: {problem}. Add the quotation mark.")


def _pythons() -> Iterator[tuple[str, list[str]]]:
    """Pythons that may have the command, with options to install where this notebook and its Jupyter look.

    The one that registered this TensorFlow kernel; the one that runs Jupyter, papermill or a console; this one.
    """
    parent = _parent()
    for python in (env_vars.AT_START.get(JUPYTER, ""), parent):
        if os.access(python, os.X_OK):
            beside = Path(python).parents[1] / "share" / "jupyter" / "kernels"
            yield python, [] if beside in kernelspecs.folders() else ["--user"]
    if sys.executable != parent:
        yield sys.executable, ["--user"]


def _parent() -> str:
    """The Python of the process that started this kernel, or nothing if that is not Python."""
    with own_imports():
        import psutil

    try:
        process = psutil.Process(int(env_vars.AT_START.get(env_vars.PARENT, "")))
        program: str = process.cmdline()[0]
        if os.sep in program:
            program = os.path.join(process.cwd(), program)
        found = shutil.which(program, path=process.environ().get("PATH"))
    except (psutil.Error, ValueError, IndexError):
        return ""
    return found if found and re.fullmatch(r"python[\d.]*", os.path.basename(found)) else ""


def _run(command: list[str], variables: Mapping[str, str]) -> None:
    """An interrupt is sent to the command, which says what became of the installation; a second one kills it.

    Some clients interrupt only the kernel's process, others its process group. The command is in a group of its own, so
    that it gets one in both cases.
    """
    with own_imports():
        from tfkernels.client.process import signal_group

    presses: list[bool] = []

    def stop(*_: object) -> None:
        presses.append(True)
        signal_group(process, signal.SIGINT if len(presses) == 1 else signal.SIGKILL)

    with subprocess.Popen(
        command, env=variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        encoding="utf-8", errors="replace", start_new_session=True,
    ) as process, redirected(stop):  # fmt: skip
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
        process.wait()  # before the pipe closes
    if presses:
        raise KeyboardInterrupt
    if process.returncode:
        failed = f"tfkernels {command[3]} failed: the reason is in its output above."
        raise TFKernelsError(_ENDS.get(process.returncode, failed))
