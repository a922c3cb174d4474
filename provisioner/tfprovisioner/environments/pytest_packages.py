"""pytest beside an environment: a folder with pytest, and with what else the environment lacks for the tests.

Nothing is installed into the environment. Its own packages are constraints, so each is used in one version only.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from tfprovisioner.environments import installed
from tfprovisioner.errors import BuildFailed, ProvisionError
from tfprovisioner.progress import Reporter
from tfprovisioner.requirements.lines import name_of
from tfprovisioner.system import data_dir, locking, uv
from tfprovisioner.system.built_folders import BuiltFolders

FOLDERS = BuiltFolders("pytest", "packages.json")

_PYTEST = "pytest>=7"
"""7.0 is the newest for Python 3.6; older ones lack what the plugin needs."""


def folder(python: str, requirements: Sequence[str], report: Reporter) -> Path:
    """The folder for the import path of an environment. It is made once, and again if the environment changes.

    ``python`` is the environment's interpreter; ``requirements`` are packages beside pytest. Raises ``ProvisionError``.
    """
    environment = Path(python).parents[1]
    there = {package.name: package.version for package in installed.installed(environment).values()}
    wanted = [_PYTEST, *requirements]
    content = json.dumps([str(environment), sorted(there.items()), wanted])
    name = f"pytest-{hashlib.sha256(content.encode()).hexdigest()[:16]}"
    found = FOLDERS.newest(name)
    if found is None:
        try:
            data_dir.home().mkdir(parents=True, exist_ok=True)
            with locking.held(name, lambda: report.step("waiting for another program that gets pytest")):
                found = FOLDERS.newest(name) or _made(name, python, there, wanted, report)
        except OSError as error:
            raise ProvisionError(
                f"Cannot get pytest for {environment}: the data folder {data_dir.home()} cannot be written "
                f"({error.strerror}). Choose another one with the variable TFKERNELS_HOME."
            ) from error
    with contextlib.suppress(OSError):  # somebody else's data folder
        os.utime(found / FOLDERS.record)  # its last use: see kernelspecs/gc
    return found


def _made(name: str, python: str, there: dict[str, str], wanted: list[str], report: Reporter) -> Path:
    report.step("getting pytest")
    with FOLDERS.built(name) as made:
        asked, pins, lock = made / "requirements.in", made / "constraints.txt", made / "requirements.txt"
        asked.write_text("\n".join(wanted), encoding="utf-8")
        pins.write_text("\n".join(_pins(there)), encoding="utf-8")
        options = ["--python", python, "--no-build", "--quiet"]
        try:
            uv.run(
                ["pip", "compile", str(asked), "--constraint", str(pins), "--output-file", str(lock), "--no-header",
                 "--no-annotate", *options], made, report.uv_says,
            )  # fmt: skip
            lines = [line for line in lock.read_text(encoding="utf-8").splitlines() if line.strip()]
            lacking = [line for line in lines if canonicalize_name(name_of(line)) not in there]
            lock.write_text("\n".join(lacking), encoding="utf-8")
            packages = made / "packages"
            packages.mkdir()
            if lacking:
                uv.run(
                    ["pip", "install", "--target", str(packages), "--no-deps", "--requirements", str(lock), *options],
                    made, report.uv_says,
                )  # fmt: skip
        except BuildFailed as error:
            asked_for = ", ".join(wanted)
            raise ProvisionError(f"Cannot get the packages for the tests ({asked_for}): {error}") from error
        FOLDERS.complete(made, {"environment": str(Path(python).parents[1]), "packages": lacking})
        return made


def _pins(there: dict[str, str]) -> list[str]:
    """Each package that the environment has, in its version."""
    pins = []
    for name, version in sorted(there.items()):
        try:
            pins.append(f"{name}=={Version(version.replace('_', '+', 1))}")
        except InvalidVersion:
            continue
    return pins


def environment_of(made: Path) -> Path | None:
    """The environment that a folder is for; ``None`` if it is incomplete."""
    try:
        return Path(json.loads((made / FOLDERS.record).read_text(encoding="utf-8"))["environment"])
    except (OSError, ValueError, KeyError):
        return None
