"""The command ``exec``: runs any program in a kernel's environment. (A module cannot be named ``exec``.)"""

import os
import shutil
import signal
import sys
from typing import Annotated, NoReturn

from typer import Argument, BadParameter, Exit

from tfprovisioner.cli.console import answering, complain

NOT_FOUND, NOT_STARTED, NO_ENVIRONMENT = 127, 126, 125
"""Exit codes, as of ``env`` and ``timeout``: different from the program's own."""


def execute(
    name: Annotated[str, Argument(help="A kernel: tf1, or any other Python kernel of this machine.")],
    command: Annotated[list[str], Argument(help="A program and its arguments.", metavar="-- COMMAND …")],
) -> None:
    """Run a program in a kernel's environment.

    Example: tfkernels exec tf1 -- python model.py

    The program gets the terminal, standard input and signals, and its exit code is returned. Exit code 125: the
    environment cannot be used; 126: the program cannot be started; 127: the program was not found.
    """
    from tfkernels.client import kernelspecs
    from tfprovisioner.kernelspecs import run_env

    words = command[1:] if command[0] == "--" else command
    if not words:
        raise BadParameter("name a program: tfkernels exec tf1 -- python model.py", param_hint="COMMAND")
    with answering(NO_ENVIRONMENT):
        variables = run_env.variables(kernelspecs.get(name))
    _replace_process(name, words, variables)


def _replace_process(kernel: str, command: list[str], variables: dict[str, str]) -> NoReturn:
    """Replaces this process with the program: no wrapper stays."""
    sys.stdout.flush()
    sys.stderr.flush()
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, and the program would inherit that
        signal.signal(number, signal.SIG_DFL)
    program = command[0]
    try:
        os.execvpe(program, [_named(program, variables), *command[1:]], variables)  # noqa: S606 (the purpose)
    except OSError as error:
        code, problem = NOT_STARTED, f"{program} cannot be started: {error.strerror}."
        if isinstance(error, FileNotFoundError) and shutil.which(program, path=variables["PATH"]):
            problem = f"{program} cannot be started: the interpreter in its first line does not exist."
        elif isinstance(error, FileNotFoundError):
            code = NOT_FOUND
            problem = (
                f"{program!r} was not found: neither in the environment of kernel {kernel}, nor elsewhere on PATH. "
                f"Install the Python package that brings it with: tfkernels exec {kernel} -- pip install PACKAGE"
            )
    complain(problem)
    raise Exit(code)


def _named(program: str, variables: dict[str, str]) -> str:
    """The program's ``argv[0]``: the full path if it lies in the environment.

    ``gc`` of another user, which can read nothing else of this process, sees there that the environment is in use.
    """
    found = shutil.which(program, path=variables["PATH"])
    own = variables["PATH"].partition(os.pathsep)[0]
    return found if found is not None and os.path.dirname(found) == own else program
