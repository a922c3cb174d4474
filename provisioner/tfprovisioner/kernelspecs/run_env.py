"""A kernel's environment for any program: the interpreter and the variables that its kernel has, without the kernel."""

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
"""On an import path this folder adds ``tfkernels``, and nothing else."""


def python(spec: KernelSpec) -> str:
    """The interpreter of a kernel's environment. Raises ``BrokenEnvironment`` with what the kernel itself would say."""
    program = spec.command("")[0] if spec.spec.get("argv") else ""
    if spec.ours:
        described = spec.spec["metadata"]["tfkernels"]
        trouble = health.problem(spec.spec["argv"], described, health.environment_of(described))
        if trouble is not None:
            raise BrokenEnvironment(f"kernel {spec.name} cannot be used: {trouble}. {health.remedy(described)}")
        program = python_shim.behind([program], described)
    if not re.fullmatch(r"pypy.*|python[\d.]*t?(\.exe)?", os.path.basename(program)):
        raise BrokenEnvironment(
            f"kernel {spec.name} is started by the program {program!r}, which is not a Python, so its environment is "
            f"not known. If it is a folder with a Python, make a kernel of it with: tfkernels add PATH"
        )
    found = shutil.which(program)
    if found is None:
        raise BrokenEnvironment(
            f"kernel {spec.name} names the program {program!r}, which does not exist. {spec.rebuild_hint}"
        )
    return os.path.abspath(found)


def variables(spec: KernelSpec) -> dict[str, str]:
    """All variables of a program that runs in a kernel's environment; ``tfkernels`` can be imported in its Python.

    Those of this process without what belongs to other environments, with those of the kernelspec, and with the
    environment's programs first on PATH. Raises ``BrokenEnvironment``.
    """
    interpreter = python(spec)
    folder = Path(interpreter).parents[1]
    venv = str(folder) if (folder / "pyvenv.cfg").exists() else None
    active = env_vars.activated(spec.environment(env_vars.cleaned(os.environ)), interpreter, venv)
    # What a kernelspec puts there is meant for this environment.
    active["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ALONE), active.get("PYTHONPATH"))))
    return active
