"""The command line as tests call it, and what is to be found in a test's data folder afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

program = ["-m", "tfprovisioner"]
"""The command ``tfkernels``, for a Python. A fixture may change it."""

_WITH_A_LOCK = """
import sys
from pathlib import Path
from tfprovisioner.cli.app import app
from tfprovisioner.environments import bytecode
from tfprovisioner.resolution import resolve

with open(sys.argv.pop(1)) as file:
    text = file.read()
resolve.lock = lambda *arguments: text
more, own = Path(sys.argv.pop(1)), bytecode.givers
bytecode.givers = lambda: [*own(), *more.glob("*")]
app(prog_name="tfkernels")
"""


def with_a_lock(path: Path, givers: Path) -> list[str]:
    """The program ``tfkernels``, but with the lock in a file for every release, and compiled modules of environments in
    a folder."""
    return ["-c", _WITH_A_LOCK, str(path), str(givers)]


def command(*arguments: str) -> list[str]:
    return [sys.executable, *program, *arguments]


def tfkernels(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), env={**os.environ, **variables}, capture_output=True, text=True, check=False
    )


def in_a_mount(script: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs a script that mounts file systems, which nobody else sees."""
    unshared = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--mount"]
    if subprocess.run([*unshared, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this system lets nobody mount a small file system")
    return subprocess.run(
        [*unshared, "sh", "-c", script], env={**os.environ, **variables}, capture_output=True, text=True, check=False
    )


def built(place: Path) -> list[Path]:
    """The records of whole environments."""
    return sorted((place / "home" / "environments").glob("*/environment.json"))


def left(place: Path) -> list[Path]:
    """What lies beside whole environments."""
    return [path for path in (place / "home" / "environments").glob("*") if not (path / "environment.json").exists()]


def nothing_is_there(place: Path) -> bool:
    """Whether an installation that failed has left no environment, whole or not, and no kernel."""
    environments = place / "home" / "environments"
    return not list(environments.glob("*")) and not (place / "jupyter" / "kernels").exists()
