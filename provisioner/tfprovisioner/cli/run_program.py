"""The command ``exec``: any program in a kernel's environment, in place of this one."""

import os
import shutil
import signal
import sys
from typing import Annotated, NoReturn

import typer

from tfkernels.client import kernelspecs
from tfprovisioner.cli.console import answering
from tfprovisioner.errors import ProvisionError
from tfprovisioner.kernelspecs import run_env

NOT_FOUND, NOT_STARTED, NO_ENVIRONMENT = 127, 126, 125
"""Exit codes as of ``env`` and ``timeout``, so that they are told from the program's own."""


class ProgramNotStarted(ProvisionError):
    """There is no such program, or it is one that the system cannot start."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


def execute(
    name: Annotated[str, typer.Argument(help="A kernel: tf1, or any other Python kernel of this machine.")],
    command: Annotated[list[str], typer.Argument(help="A program and its arguments.", metavar="-- COMMAND …")],
) -> None:
    """Run a program in a kernel's environment: tfkernels exec tf1 -- python model.py

    Its terminal, standard input, signals and exit code are the program's own. Exit code 125: the environment cannot be
    used; 126: the program cannot be started; 127: there is none of that name.
    """
    words = command[1:] if command[0] == "--" else command
    if not words:
        raise typer.BadParameter("say what to run: tfkernels exec tf1 -- python model.py", param_hint="COMMAND")
    with answering(NO_ENVIRONMENT):
        variables = run_env.variables(kernelspecs.get(name))
    try:
        replace_process(name, words, variables)
    except ProgramNotStarted as error:
        with answering(error.code):
            raise


def replace_process(kernel: str, command: list[str], variables: dict[str, str]) -> NoReturn:
    """Becomes the program: no wrapper is between it and its terminal or its parent. Raises ``ProgramNotStarted``."""
    sys.stdout.flush()
    sys.stderr.flush()
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, and what is ignored stays so
        signal.signal(number, signal.SIG_DFL)
    program = command[0]
    try:
        os.execvpe(program, [_named(program, variables), *command[1:]], variables)  # noqa: S606 (that is what it is for)
    except FileNotFoundError as error:
        if shutil.which(program, path=variables["PATH"]):
            raise ProgramNotStarted(
                f"{program} cannot be started: the interpreter that its first line names is not there.", NOT_STARTED
            ) from error
        raise ProgramNotStarted(
            f"there is no program {program!r} in the environment of kernel {kernel}, nor elsewhere on PATH. What a "
            f"Python package brings is had with: tfkernels exec {kernel} -- pip install PACKAGE",
            NOT_FOUND,
        ) from error
    except OSError as error:
        raise ProgramNotStarted(f"{program} cannot be started: {error.strerror}.", NOT_STARTED) from error


def _named(program: str, variables: dict[str, str]) -> str:
    """What a program is told that it is called: those of the environment by their paths.

    Who deletes environments looks there, and may be another user, who sees nothing else of this process.
    """
    found = shutil.which(program, path=variables["PATH"])
    own = variables["PATH"].partition(os.pathsep)[0]
    return found if found is not None and os.path.dirname(found) == own else program
