"""A quick look at a registered kernel: why it cannot start, and the command that fixes it. No program is started."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tfkernels.start import cannot_start, installed
from tfprovisioner.environments import store
from tfprovisioner.environments.request import EXISTING
from tfprovisioner.environments.store import Environment
from tfprovisioner.kernelspecs import python_shim


def environment_of(described: Mapping[str, Any]) -> Environment | None:
    """The environment that tfkernels built for a kernel; ``None`` if it is missing, or the user's.

    ``described`` is ``metadata.tfkernels`` of its ``kernel.json``, here and below.
    """
    existing = described.get("backend") == EXISTING
    return None if existing else store.load(Path(described.get("environment", "")))


def problem(argv: Sequence[str], described: Mapping[str, Any], environment: Environment | None) -> str | None:
    """Why a kernel cannot start, or ``None``. ``environment`` is ``environment_of`` it."""
    return _environment_problem(described, environment) or _registration_problem(argv, described)


def message(display_name: str, described: Mapping[str, Any], problem: str) -> str:
    """A problem as the notebook and the server's log show it, with the command that fixes it."""
    return cannot_start(display_name, problem, remedy(described))


def remedy(described: Mapping[str, Any]) -> str:
    existing = described.get("backend") == EXISTING
    action = "After repairing the environment, run" if existing else "Rebuild it with"
    return f"{action}: {described.get('command', 'tfkernels install')}"


def _environment_problem(described: Mapping[str, Any], environment: Environment | None) -> str | None:
    folder = Path(described.get("environment", ""))
    if described.get("backend") != EXISTING:
        damage = "it does not exist" if environment is None else environment.problem()
        return damage and f"its environment {folder} is broken: {damage}"
    if not folder.is_dir():
        return f"the environment {folder}, which you added, does not exist"
    package = Path(described.get("package", ""))
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
