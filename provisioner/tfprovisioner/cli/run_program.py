"""The command ``exec``: runs any program in a kernel's environment. (A module cannot be named ``exec``.)"""

import os
import shutil
import signal
import sys
from typing import Annotated, NoReturn

import typer

from tfprovisioner.cli.console import answering
from tfprovisioner.errors import ProvisionError

NOT_FOUND, NOT_STARTED, NO_ENVIRONMENT = 127, 126, 125
"""Exit codes, as of ``env`` and ``timeout``: different from the program's own."""


class ProgramNotStarted(ProvisionError):
    """The program was not found, or the system cannot start it."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


def execute(
    name: Annotated[str, typer.Argument(help="A kernel: tf1, or any other Python kernel of this machine.")],
    command: Annotated[list[str], typer.Argument(help="A program and its arguments.", metavar="-- COMMAND …")],
) -> None:
    """Run a program in a kernel's environment: tfkernels exec tf1 -- python model.py

    The program gets the terminal, standard input and signals, and its exit code is returned. Exit code 125: the
    environment cannot be used; 126: the program cannot be started; 127: the program was not found.
    """
    from tfkernels.client import kernelspecs
    from tfprovisioner.kernelspecs import run_env

    words = command[1:] if command[0] == "--" else command
    if not words:
        raise typer.BadParameter("name a program: tfkernels exec tf1 -- python model.py", param_hint="COMMAND")
    with answering(NO_ENVIRONMENT):
        variables = run_env.variables(kernelspecs.get(name))
    try:
        replace_process(name, words, variables)
    except ProgramNotStarted as error:
        with answering(error.code):
            raise


def replace_process(kernel: str, command: list[str], variables: dict[str, str]) -> NoReturn:
    """Replaces this process with the program: no wrapper stays. Raises ``ProgramNotStarted``."""
    sys.stdout.flush()
    sys.stderr.flush()
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, and the program would inherit that
        signal.signal(number, signal.SIG_DFL)
    program = command[0]
    try:
        os.execvpe(program, [_named(program, variables), *command[1:]], variables)  # noqa: S606 (the purpose)
    except FileNotFoundError as error:
        if shutil.which(program, path=variables["PATH"]):
            raise ProgramNotStarted(
                f"{program} cannot be started: the interpreter in its first line does not exist.", NOT_STARTED
            ) from error
        raise ProgramNotStarted(
            f"{program!r} was not found: neither in the environment of kernel {kernel}, nor elsewhere on PATH. Install "
            f"the Python package that brings it with: tfkernels exec {kernel} -- pip install PACKAGE",
            NOT_FOUND,
        ) from error
    except OSError as error:
        raise ProgramNotStarted(f"{program} cannot be started: {error.strerror}.", NOT_STARTED) from error


def _named(program: str, variables: dict[str, str]) -> str:
    """The program's ``argv[0]``: the full path if it lies in the environment.

    ``gc`` of another user, which can read nothing else of this process, sees there that the environment is in use.
    """
    found = shutil.which(program, path=variables["PATH"])
    own = variables["PATH"].partition(os.pathsep)[0]
    return found if found is not None and os.path.dirname(found) == own else program
