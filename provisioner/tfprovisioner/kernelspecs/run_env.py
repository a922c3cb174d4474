"""A kernel's environment for any program: the interpreter and the variables that its kernel has."""

import os
import re
import shutil
from pathlib import Path

import tfkernels
from tfkernels import env_vars
from tfkernels.client.kernelspecs import KernelSpec
from tfprovisioner.errors import BrokenEnvironment
from tfprovisioner.kernelspecs import health, python_shim

ALONE = Path(tfkernels.__file__).with_name("alone")
"""A folder for import paths; it adds ``tfkernels`` only."""


def python(spec: KernelSpec) -> str:
    """The interpreter of a kernel's environment. Raises ``BrokenEnvironment``, with the kernel's own message."""
    program = spec.command("")[0] if spec.spec.get("argv") else ""
    if spec.ours:
        _, problem = health.look(spec.spec["argv"], spec.described)
        if problem is not None:
            raise BrokenEnvironment(health.message(spec.name, spec.described, problem))
        program = python_shim.behind([program], spec.described)
    if not re.fullmatch(r"pypy.*|python[\d.]*t?(\.exe)?", os.path.basename(program)):
        raise BrokenEnvironment(
            f"kernel {spec.name} is started by the program {program!r}, which is not a Python, so its environment is "
            f"unknown. If the environment is a folder with a Python, add it with: tfkernels add PATH"
        )
    found = shutil.which(program)
    if found is None:
        raise BrokenEnvironment(
            f"kernel {spec.name} names the program {program!r}, which does not exist. {spec.rebuild_hint}"
        )
    return os.path.abspath(found)


def variables(spec: KernelSpec) -> dict[str, str]:
    """All variables for a program in a kernel's environment. ``tfkernels`` can be imported there.

    They are the kernel's; PATH begins with the environment's programs. Raises ``BrokenEnvironment``.
    """
    interpreter = python(spec)
    folder = Path(interpreter).parents[1]
    venv = str(folder) if (folder / "pyvenv.cfg").exists() else None
    active = env_vars.activated(spec.environment(os.environ), interpreter, venv)
    # A kernelspec's own PYTHONPATH is meant for this environment.
    active["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ALONE), active.get("PYTHONPATH"))))
    return active
