"""A quick look at a registered kernel: why it cannot start, and the command that fixes it. No program is started."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tfkernels.start_or_explain import cannot_start, installed
from tfprovisioner.environments import store
from tfprovisioner.environments.store import Environment
from tfprovisioner.kernelspecs import python_shim
from tfprovisioner.requirements.request import EXISTING


def look(argv: Sequence[str], described: Mapping[str, Any]) -> tuple[Environment | None, str | None]:
    """The environment of a kernel, and why the kernel cannot start, or ``None``.

    ``argv`` and ``described`` (``metadata.tfkernels``) are those of its ``kernel.json``. The environment is ``None`` if
    it is missing, or the user's.
    """
    try:
        return _look(argv, described)
    except OSError as error:  # another user's, for example: the other kernels are still judged
        return None, f"{error.filename} cannot be read: {error.strerror}"


def _look(argv: Sequence[str], described: Mapping[str, Any]) -> tuple[Environment | None, str | None]:
    folder = Path(described.get("environment", ""))
    if described.get("backend") == EXISTING:
        environment, problem = None, _problem_of_existing(folder, Path(described.get("package", "")))
    else:
        environment = store.read(folder)
        damage = "it does not exist" if environment is None else environment.problem()
        problem = damage and f"its environment {folder} is broken: {damage}"
    return environment, problem or _registration_problem(argv, described)


def message(display_name: str, described: Mapping[str, Any], problem: str) -> str:
    """A problem as the notebook and the server's log show it, with the command that fixes it."""
    existing = described.get("backend") == EXISTING
    action = "After repairing the environment, run" if existing else "Rebuild it with"
    return cannot_start(display_name, problem, f"{action}: {described.get('command', 'tfkernels install')}")


def _problem_of_existing(folder: Path, package: Path) -> str | None:
    if not folder.is_dir():
        return f"the environment {folder}, which you added, does not exist"
    if not package.is_dir():
        return f"TensorFlow was removed from {folder}, which you added: {package} does not exist"
    return None


def _registration_problem(argv: Sequence[str], described: Mapping[str, Any]) -> str | None:
    """Missing files that the command of a ``kernel.json`` names."""
    for program in (argv[0], python_shim.behind(argv, described)) if argv else ("",):
        if shutil.which(program) is None:
            return f"its kernel.json names the program {program!r}, which does not exist"
    for argument in argv[1:]:
        if argument.endswith(".py") and installed(argument) is None:
            return f"its kernel.json names the file {argument}, which does not exist"
    return None
