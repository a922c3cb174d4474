"""The user's own conda, mamba or micromamba, if it was asked for. It does what py-rattler does otherwise."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

from tfprovisioner.conda import channels
from tfprovisioner.conda import search as places
from tfprovisioner.conda.solve import Lacking, PackageRequest
from tfprovisioner.errors import BuildFailed
from tfprovisioner.progress import Reporter
from tfprovisioner.system import subprocesses, uv
from tfprovisioner.system.redact import redacted

_IDENTITIES = {
    # a key of `info --json`, whose it is. Other programs have these names, too.
    "micromamba version": "micromamba",
    "mamba version": "mamba",
    "mamba_version": "mamba",
    "libmamba version": "mamba",
    "conda_version": "conda",
}

_ABSENT = r"PackagesNotFound|not available from current channels|nothing provides requested|does not exist|not found"


def chosen(asked: str | None) -> Path | None:
    """The program that an order names with ``--conda-exe``, or the user with TFKERNELS_CONDA_EXE; else ``None``.

    Raises ``BuildFailed`` if there is none.
    """
    name = asked or os.environ.get("TFKERNELS_CONDA_EXE")
    if not name:
        return None
    path = shutil.which(os.path.expanduser(name))
    if path is None:
        raise BuildFailed(f"There is no program {name} (--conda-exe, TFKERNELS_CONDA_EXE). Without it none is needed.")
    return Path(path)


def identity(program: Path) -> str:
    """``conda 24.11.2``, as the program says itself. Raises ``BuildFailed`` if it is something else."""
    try:
        done = subprocess.run(
            [program, "info", "--json"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=60,
            check=False,
        )
        facts = json.loads(done.stdout)
        key = next(key for key in _IDENTITIES if key in facts)
    except (OSError, subprocess.TimeoutExpired, ValueError, TypeError, StopIteration):
        raise BuildFailed(
            f"{program} is neither conda, mamba nor micromamba: it does not answer `info --json` as they do. Name "
            f"another one with --conda-exe, or none: then none is needed."
        ) from None
    return f"{_IDENTITIES[key]} {facts[key]}"


def fill(program: Path, prefix: Path, wanted: PackageRequest, report: Reporter) -> None:
    """Solves and installs into a new prefix. Raises ``BuildFailed``, ``Lacking``."""
    if wanted.limits:
        raise BuildFailed(
            f"{program} cannot be told to limit the versions of what is not asked for ({', '.join(wanted.limits)}, of "
            f"a file of constraints). Leave that file out, or --conda-exe."
        )
    report.step(f"{identity(program)} solves and installs, with the packages of {channels.shown(wanted.channels)}")
    output = ""
    # What is bounded is what TensorFlow asks for anyway, so that installing it changes nothing else.
    for bounds in dict.fromkeys([wanted.bounds, ()]):
        code, output = _create(program, prefix, wanted.channels, (*wanted.specs, *bounds))
        if code == 0 and places.is_environment(prefix):
            return
        shutil.rmtree(prefix, ignore_errors=True)
    subject = wanted.subject
    if subject is not None and re.search(_ABSENT, output) and subject.name in output:
        raise Lacking(f"{channels.shown(wanted.channels)}: no {subject.name} {subject.version} for {subject.python}")
    tail = redacted("\n".join(output.strip().splitlines()[-12:]))
    raise BuildFailed(f"{program} could not make the environment, and nothing was changed. It said:\n{tail}")


def _create(program: Path, prefix: Path, taken: tuple[str, ...], specs: tuple[str, ...]) -> tuple[int, str]:
    command = [str(program), "create", "--yes", "--prefix", str(prefix), "--override-channels"]
    for channel in taken:
        command += ["--channel", channel]
    command += ["--strict-channel-priority", *(["--offline"] if uv.offline() else []), *specs]
    # The environment is ours: it is not to be among those that the user's program lists.
    variables = {**os.environ, "CONDA_REGISTER_ENVS": "false"}
    with subprocesses.started(command, env=variables, stderr=subprocess.STDOUT) as process:
        assert process.stdout is not None
        lines = [line.rstrip() for line in process.stdout]
    return process.returncode, "\n".join(lines)
