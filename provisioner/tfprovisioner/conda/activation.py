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

_OF_THE_SHELL = frozenset({"_", "PWD", "OLDPWD", "SHLVL", "BASH_FUNC_which%%"})


@dataclass(frozen=True)
class Activation:
    """``variables`` to set, and ``path``: the folders to put before those of PATH."""

    variables: dict[str, str]
    path: tuple[str, ...]


def activation(prefix: Path) -> Activation:
    """What activating ``prefix`` does; nothing if it is no conda environment.

    The scripts of its packages in ``etc/conda/activate.d`` are run, once, as conda would. Raises
    ``BrokenEnvironment``.
    """
    if not search.is_environment(prefix):
        return Activation({}, ())
    before = env_vars.cleaned(os.environ)
    if os.name == "nt":  # what its scripts do there is not looked at
        folders = (prefix, *(prefix / name for name in ("Library/mingw-w64/bin", "Library/usr/bin", "Library/bin")))
        path = [str(folder) for folder in (*folders, prefix / "Scripts", prefix / "bin")]
        after = {**before, "CONDA_PREFIX": str(prefix), "PATH": os.pathsep.join([*path, before.get("PATH", "")])}
    else:
        after = _after(prefix, before)
    own = after.get("PATH", "").split(os.pathsep)
    rest = before.get("PATH", "").split(os.pathsep)
    changed = {
        name: value
        for name, value in after.items()
        if before.get(name) != value and name not in _OF_THE_SHELL and name != "PATH"
    }
    # An environment without a name is called by its path.
    return Activation(
        {**changed, "CONDA_DEFAULT_ENV": str(prefix)}, tuple(folder for folder in own if folder not in rest)
    )


def _after(prefix: Path, before: dict[str, str]) -> dict[str, str]:
    try:
        own = _own_variables(prefix)
    except (OSError, ValueError, AttributeError) as error:
        raise BrokenEnvironment(f"the conda environment {prefix} cannot be activated: {error}") from None
    path = os.pathsep.join([str(prefix / "bin"), before.get("PATH", "")])
    script = "\n".join(f". {shlex.quote(str(file))}" for file in sorted(prefix.glob("etc/conda/activate.d/*.sh")))
    shell = [shutil.which("bash") or "/bin/sh", *(["--noprofile", "--norc"] if shutil.which("bash") else [])]
    try:
        done = subprocess.run(
            [*shell, "-c", f"{{ :\n{script}\n}} >&2; exec env -0"],
            env={**before, "CONDA_SHLVL": "1", "CONDA_PREFIX": str(prefix), "PATH": path, **own},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TIMEOUT,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise BrokenEnvironment(f"the scripts that activate {prefix} do not end well: {error}") from None
    pairs = (part.partition("=") for part in os.fsdecode(done.stdout).split("\0") if part)
    return {name: value for name, _, value in pairs}


def _own_variables(prefix: Path) -> dict[str, str]:
    """Variables that packages, and then the user with ``conda env config vars set``, gave to an environment."""
    found: dict[str, str | None] = {}
    for file in sorted(prefix.glob("etc/conda/env_vars.d/*.json")):
        found.update(json.loads(file.read_text(encoding="utf-8")))
    state = prefix / "conda-meta" / "state"
    if state.is_file():
        found.update(json.loads(state.read_text(encoding="utf-8")).get("env_vars", {}))
    return {name: str(value) for name, value in found.items() if value not in (None, "***unset***")}
