"""What activating a conda environment does, as variables: a kernel has them from its start, without a wrapper."""

import json
import os
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tfkernels import env_vars
from tfprovisioner.conda import search
from tfprovisioner.errors import BrokenEnvironment

TIMEOUT = 30.0
"""Seconds, for all the scripts in an environment's ``activate.d``."""

_OF_THE_SHELL = frozenset({"_", "PATH", "PWD", "OLDPWD", "SHLVL", "BASH_FUNC_which%%"})


@dataclass(frozen=True)
class Activation:
    """``variables`` to set, and ``path``: the folders to put before those of PATH."""

    variables: dict[str, str]
    path: tuple[str, ...]


def activation(prefix: Path) -> Activation:
    """What activating ``prefix`` does; nothing if it is no conda environment.

    Runs the scripts of its packages in ``etc/conda/activate.d``, as conda would. Raises ``BrokenEnvironment``.
    """
    if not search.is_environment(prefix):
        return Activation({}, ())
    before = env_vars.cleaned(os.environ)
    variables = {**before, **_recorded_variables(prefix), "CONDA_PREFIX": str(prefix), "CONDA_SHLVL": "1"}
    variables["PATH"] = os.pathsep.join([str(prefix / "bin"), *filter(None, [before.get("PATH")])])
    sourced = [f". {shlex.quote(str(path))}" for path in sorted((prefix / "etc/conda/activate.d").glob("*.sh"))]
    script = "\n".join(["{ :", *sourced, "} >&2; exec env -0"])
    shell = [bash, "--noprofile", "--norc"] if (bash := shutil.which("bash")) else ["/bin/sh"]
    try:
        done = subprocess.run(
            [*shell, "-c", script],
            env=variables, stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        raise BrokenEnvironment(f"the scripts that activate {prefix} do not end well: {error}") from None
    pairs = (part.partition("=") for part in os.fsdecode(done.stdout).split("\0") if part)
    after = {name: value for name, _, value in pairs}
    old_path = before.get("PATH", "").split(os.pathsep)
    path = [folder for folder in after.get("PATH", "").split(os.pathsep) if folder not in old_path]
    changed = {name: value for name, value in after.items() if before.get(name) != value and name not in _OF_THE_SHELL}
    # An environment without a name is called by its path.
    return Activation({**changed, "CONDA_DEFAULT_ENV": str(prefix)}, tuple(path))


def _recorded_variables(prefix: Path) -> dict[str, str]:
    """The variables of its packages (``etc/conda/env_vars.d``) and of ``conda env config vars set``."""
    found: dict[str, str] = {}
    for path in (*sorted((prefix / "etc/conda/env_vars.d").glob("*.json")), prefix / "conda-meta" / "state"):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            found.update(content.get("env_vars", {}) if path.name == "state" else content)
        except FileNotFoundError:
            continue
        except (OSError, ValueError, AttributeError, TypeError) as error:
            raise BrokenEnvironment(f"the conda environment {prefix} cannot be activated: {path}: {error}") from None
    return {name: str(value) for name, value in found.items() if value != "***unset***"}
