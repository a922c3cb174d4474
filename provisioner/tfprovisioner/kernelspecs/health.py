"""What a quick look at a registered kernel finds wrong. Nothing is started: a launch must answer at once."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tfkernels.start import installed
from tfprovisioner.environments import store
from tfprovisioner.environments.request import EXISTING
from tfprovisioner.environments.store import Environment
from tfprovisioner.kernelspecs import python_shim


def environment_of(described: Mapping[str, Any]) -> Environment | None:
    """The environment of ours that a kernel points to; ``None`` if it is missing, or the user's.

    ``described`` is what its ``kernel.json`` says under ``metadata.tfkernels``.
    """
    theirs = described.get("backend") == EXISTING
    return None if theirs else store.load(Path(described.get("environment", "")))


def problem(argv: Sequence[str], described: Mapping[str, Any], environment: Environment | None) -> str | None:
    """What is wrong with a kernel whose environment is ``environment_of`` it, or ``None``."""
    return _environment_problem(described, environment) or _registration_problem(argv, described)


def _environment_problem(described: Mapping[str, Any], environment: Environment | None) -> str | None:
    folder = Path(described.get("environment", ""))
    if described.get("backend") == EXISTING:
        return _existing_problem(folder, Path(described.get("package", "")))
    trouble = "it is not there any more" if environment is None else environment.problem()
    return trouble and f"its environment {folder} is broken: {trouble}"


def _existing_problem(folder: Path, package: Path) -> str | None:
    if not folder.is_dir():
        return f"the environment {folder}, which you added, is not there any more"
    if not package.is_dir():
        return f"TensorFlow is no longer in {folder}, which you added: {package} is gone"
    return None


def _registration_problem(argv: Sequence[str], described: Mapping[str, Any]) -> str | None:
    """What is wrong with how a kernel is started: the files that ``argv`` names."""
    for program in (argv[0], python_shim.behind(argv, described)) if argv else ("",):
        if shutil.which(program) is None:
            return f"its kernel.json names the program {program!r}, which is not there"
    for argument in argv[1:]:
        if argument.endswith(".py") and installed(argument) is None:
            return f"what its kernel.json starts is not there any more: {argument}"
    return None


def told(display_name: str, described: Mapping[str, Any], trouble: str) -> str:
    """A problem as the notebook and the server's log show it, with the command that mends it."""
    return f"The kernel {display_name} cannot start: {trouble}. {remedy(described)}; then restart the kernel."


def remedy(described: Mapping[str, Any]) -> str:
    theirs = described.get("backend") == EXISTING
    mended = "When it is whole again, register it with" if theirs else "Make it anew with"
    return f"{mended}: {described.get('command', 'tfkernels install')}"
