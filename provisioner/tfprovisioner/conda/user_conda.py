"""The user's own conda, mamba or micromamba, if it was asked for. It does what py-rattler does otherwise."""

import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from tfprovisioner.conda import channels, search
from tfprovisioner.conda.channels import PackageRequest
from tfprovisioner.errors import BuildFailed, PackageNotInChannels
from tfprovisioner.progress import Reporter
from tfprovisioner.system import subprocesses, uv
from tfprovisioner.system.redact import redacted

_VERSIONS = ("micromamba version", "mamba version", "mamba_version", "libmamba version", "conda_version")
"""Keys of ``info --json`` that begin with the program's name. Other programs call themselves conda, too."""

_ABSENT = r"PackagesNotFound|not available from current channels|nothing provides requested|does not exist|not found"


def chosen(asked: str | None) -> Path | None:
    """The program of ``--conda-exe`` or TFKERNELS_CONDA_EXE, or ``None``. Raises ``BuildFailed`` if it is missing."""
    name = asked or os.environ.get("TFKERNELS_CONDA_EXE")
    if not name:
        return None
    path = shutil.which(os.path.expanduser(name))
    if path is None:
        raise BuildFailed(
            f"{name} was not found (--conda-exe, TFKERNELS_CONDA_EXE). Correct it, or omit it: none is needed."
        )
    return Path(path)


def identity(program: Path) -> str:
    """``conda 24.11.2``, as the program itself says. Raises ``BuildFailed`` if it is another program."""
    try:
        done = subprocess.run(
            [program, "info", "--json"],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=60, check=False,
        )  # fmt: skip
        facts = json.loads(done.stdout)
        key = next(key for key in _VERSIONS if key in facts)
    except (OSError, subprocess.TimeoutExpired, ValueError, TypeError, StopIteration):
        raise BuildFailed(
            f"{program} is neither conda, mamba nor micromamba: it does not answer `info --json` as they do. Correct "
            f"--conda-exe, or omit it: tfkernels needs no conda."
        ) from None
    return f"{re.split('[ _]', key)[0].removeprefix('lib')} {facts[key]}"


def install(program: Path, prefix: Path, request: PackageRequest, report: Reporter) -> None:
    """Solves and installs into a new prefix. Raises ``BuildFailed``, ``PackageNotInChannels``."""
    _solved(program, ["--prefix", prefix], request, report)


def planned(program: Path, request: PackageRequest, report: Reporter) -> list[dict[str, Any]]:
    """The packages that ``install`` would install. Raises as it does."""
    with tempfile.TemporaryDirectory() as scratch:
        prefix = Path(scratch, "prefix")
        output = _solved(program, ["--dry-run", "--json", "--prefix", prefix], request, report)
    try:
        actions = json.loads(output[output.index("{") :])["actions"]
        fetched = {one["name"]: one for one in actions.get("FETCH", ())}
        return [
            {
                "name": one["name"],
                "version": one["version"],
                "url": one.get("url") or fetched.get(one["name"], {}).get("url"),
                "size": one.get("size") or fetched.get(one["name"], {}).get("size"),
            }
            for one in actions["LINK"]
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise BuildFailed(f"{program} did not say what it would install. Omit --conda-exe.") from error


def _solved(program: Path, options: list[object], request: PackageRequest, report: Reporter) -> str:
    """Runs ``create`` with ``options``, of which the last one is the prefix, and returns its output."""
    prefix = Path(str(options[-1]))
    if request.limits:
        raise BuildFailed(
            f"{program} cannot limit the versions of packages that are not asked for ({', '.join(request.limits)}, of "
            f"a file of constraints). Omit that file, or --conda-exe."
        )
    names = channels.shown(request.channels)
    report.step(f"{identity(program)} solves and installs, with the packages of {names}")
    command = [program, "create", "--yes", *options, "--override-channels"]
    command += [word for channel in request.channels for word in ("--channel", channel)]
    command += ["--strict-channel-priority", *(["--offline"] if uv.offline() else []), *request.specs]
    # The environment is ours: the user's program does not list it.
    variables = {**os.environ, "CONDA_REGISTER_ENVS": "false"}
    output = ""
    # TensorFlow asks for the bounded packages anyway, so that installing them changes nothing else.
    for bounds in dict.fromkeys([request.bounds, ()]):
        shutil.rmtree(prefix, ignore_errors=True)  # some do not want even an empty folder, others leave half a one
        with subprocesses.started([*command, *bounds], env=variables, stderr=subprocess.STDOUT) as process:
            output, _ = process.communicate()
        if process.returncode == 0 and ("--dry-run" in options or search.is_environment(prefix)):
            return output
    if request.tensorflow is not None and re.search(_ABSENT, output) and "tensorflow" in output:
        raise PackageNotInChannels(f"{names}: no tensorflow {' for '.join(request.tensorflow)}")
    tail = redacted("\n".join(output.strip().splitlines()[-12:]))
    raise BuildFailed(f"{program} could not make the environment, and nothing was changed. Its last lines:\n{tail}")
