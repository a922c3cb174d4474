"""``tfkernels doctor --fix``: runs the command that a diagnosis names, and looks again."""

import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from tfkernels.client import kernelspecs
from tfkernels.errors import UnknownKernel
from tfprovisioner.environments import drift, store
from tfprovisioner.environments.drift import Drift
from tfprovisioner.kernelspecs import doctor
from tfprovisioner.kernelspecs.doctor import Diagnosis


def mend(sick: Diagnosis) -> Diagnosis:
    """The diagnosis after the remedy was tried. Its progress and its words go to standard error.

    What had been added to an environment by hand is not in the one that was built instead: it is told, with a command.
    """
    words = shlex.split(sick.remedy or "")
    # The words come from a kernel.json, which anybody may have written.
    if words[:2] not in (["tfkernels", "install"], ["tfkernels", "add"]) or "RELEASE" in words:
        return sick
    before = _drift(sick.name)
    # A process of its own: it is exactly what a user would type.
    command = [sys.executable, "-m", "tfprovisioner", *words[1:]]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False)
    after = replace(doctor.examine(sick.name), mended=sick.remedy)
    lost = [added for added in before.added if added not in _drift(sick.name).added]
    if lost and done.returncode == 0:
        again = shlex.join([*(word for word in words if word != "--rebuild"), *_with(lost)])
        told = f"added by hand before, and not in the new environment: {', '.join(lost)}. Bring it back with: {again}"
        after = replace(after, notes=(*after.notes, told))
    return after


def _with(requirements: list[str]) -> list[str]:
    return [word for requirement in requirements for word in ("--with", requirement)]


def _drift(name: str) -> Drift:
    try:
        described = kernelspecs.get(name).spec["metadata"]["tfkernels"]
    except UnknownKernel:
        return Drift()
    environment = store.load(Path(described["environment"]))
    return Drift() if environment is None else drift.of(environment)
