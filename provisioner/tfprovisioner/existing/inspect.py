"""Environments that users made: where one is, and what is in it. Nothing is ever written into them."""

import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

from tfprovisioner.catalogue import pins
from tfprovisioner.environments import bounds, installed, store
from tfprovisioner.environments.bounds import Outside
from tfprovisioner.environments.run_checks import probe
from tfprovisioner.environments.store import Environment
from tfprovisioner.errors import BrokenEnvironment, NoInterpreter, UnknownEnvironment
from tfprovisioner.existing import kinds
from tfprovisioner.existing.kinds import PIXI, Place
from tfprovisioner.pythons import find as pythons
from tfprovisioner.pythons.find import Python
from tfprovisioner.requirements.request import EXISTING, Recipe

TIMEOUT = 30.0
"""Seconds for an interpreter's answer. A shim of pyenv, or a disk far away, may never answer."""

_OLDEST = [3, 6]
_USUAL = (".venv", "venv", "env", ".env")


def find(path: Path) -> Place:
    """The environment at a path: its folder, its Python, or a project that has one. Raises ``UnknownEnvironment``."""
    given = Path(os.path.abspath(path.expanduser()))  # a venv's python is a link, which must not be followed
    if not os.path.lexists(given):
        raise UnknownEnvironment(f"There is no {given}. Show the environments here with: tfkernels add --find")
    if given.is_file():
        folder = given.parent.parent if given.parent.name == "bin" else given.parent
        return Place(folder, given, _project(folder))
    inside = [given] if python_of(given) else [folder for folder in _in_project(given) if python_of(folder)]
    if len(inside) > 1:
        listed = ", ".join(map(str, inside))
        raise UnknownEnvironment(f"{given} has several environments. Name one of them: {listed}.")
    python = python_of(inside[0]) if inside else None
    if python is None:
        raise UnknownEnvironment(
            f"{given} is no Python environment: it has no interpreter (bin/python), nor a .venv or .pixi folder with "
            f"one. Show the environments here with: tfkernels add --find"
        )
    return Place(inside[0], python, _project(inside[0]) if inside[0] == given else given)


def python_of(folder: Path) -> Path | None:
    """The interpreter of an environment or an installation, if a folder is one."""
    names = ("bin/python", "bin/python3")
    return next((folder / name for name in names if (folder / name).is_file()), None)


def registered(folder: Path, python: Path) -> Place:
    """The place of an environment that is a kernel already."""
    return Place(folder, python, _project(folder))


def label(folder: Path) -> str:
    """A part for the name of an environment's kernel: its own name, or its project's."""
    named = _project(folder) if folder.name in (*_USUAL, "default") else folder
    return re.sub(r"[^a-z0-9._-]+", "-", named.name.lower()).strip("-.") or "env"


def _project(folder: Path) -> Path:
    """The folder of the project that an environment inside it belongs to."""
    return folder.parents[2] if folder.parent.parts[-2:] == PIXI.parts else folder.parent


def _in_project(project: Path) -> list[Path]:
    default = project / PIXI / "default"
    pixis = [default] if default.is_dir() else sorted((project / PIXI).glob("*"))
    folders = [folder for folder in [*(project / name for name in _USUAL), *pixis] if folder.is_dir()]
    return folders or _poetrys(project)


def _poetrys(project: Path) -> list[Path]:
    """Poetry's environment of a project, if poetry is installed."""
    poetry = shutil.which("poetry")
    if poetry is None or not (project / "pyproject.toml").is_file():
        return []
    try:
        done = subprocess.run(
            [poetry, "env", "info", "-p"],
            cwd=project, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [Path(done.stdout.strip())] if done.returncode == 0 and done.stdout.strip() else []


def examine(path: Path, install_ipykernel: bool = False) -> tuple[Environment, Path, tuple[str, ...]]:
    """An environment in which TensorFlow and ipykernel work, the folder of the package ``tensorflow``, and warnings.

    Runs an op; the environment stays as it is, bytecode included. ``install_ipykernel`` runs the command that puts
    ipykernel into it, if it has none. Raises ``UnknownEnvironment``.
    """
    place = find(path)
    if place.folder.is_relative_to(store.root()):
        raise UnknownEnvironment(
            f"{place.folder} is an environment that tfkernels made. Make another kernel of its release with: "
            f"tfkernels install RELEASE --name NAME"
        )
    asked = _ask(place.python)
    folder = Path(asked.prefix)
    python = place.python if place.python.is_relative_to(folder) else Path(asked.path)
    place = Place(folder, python, place.project)
    sites = [Path(site) for site in asked.sites]
    package = next((site / "tensorflow" for site in sites if (site / "tensorflow").is_dir()), None)
    if package is None:
        raise UnknownEnvironment(
            f"There is no TensorFlow in {folder} ({kinds.kind(folder)}, Python {asked.version}). Install one there, "
            f"for example with: {kinds.installing(place, ['tensorflow'])}. Or let tfkernels build an environment: "
            f"tfkernels install"
        )
    tensorflow = installed.tensorflow_of(installed.found_in(sites))
    if not any((site / "ipykernel").is_dir() for site in sites):
        _without_ipykernel(place, tensorflow.version if tensorflow else "", install_ipykernel)
    outside = bounds.outside(sites)
    try:
        findings = probe(python, writing=False)
    except BrokenEnvironment as error:
        known = not all(one.late for one in outside)
        remedy = f"{mending(place, outside)}. Or" if known else "Repair it there, or"
        raise UnknownEnvironment(
            f"The TensorFlow in {folder} does not work, so no kernel was made of it: {error}\n{remedy} let tfkernels "
            f"build an environment: tfkernels install"
        ) from error
    system = f"{sys.platform}-{platform.machine().lower()}"
    recipe = Recipe(findings.tensorflow, asked.minor, EXISTING, "", system)
    now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
    environment = Environment(folder, recipe, findings.python, str(python), now, 0)
    late = [one for one in outside if one.late]
    return environment, package, (mending(place, late),) if late else ()


def mending(place: Place, outside: Sequence[Outside]) -> str:
    """What is wrong with packages of an environment, and the command that mends it."""
    command = kinds.installing(place, [one.requirement for one in outside])
    return f"{'; '.join(one.sentence for one in outside)}. Fix it with: {command}"


def _ask(path: Path) -> Python:
    try:
        python = pythons.ask(path, site=True, timeout=TIMEOUT)
    except NoInterpreter as error:
        raise UnknownEnvironment(str(error)) from None
    if python.numbers < _OLDEST or python.implementation != "cpython":
        kind = f"{python.implementation} {python.version}"
        raise UnknownEnvironment(f"{path} is {kind}; kernels need CPython 3.6 or newer.")
    return python


def _without_ipykernel(place: Place, tensorflow: str, install: bool) -> None:
    limits = pins.requirements(pins.BOUNDS, tensorflow)
    names = ["ipykernel", *(limit for limit in limits if limit.startswith("ipython"))]
    command = kinds.installing(place, names, unasked=install)
    if not install:
        raise UnknownEnvironment(
            f"A kernel needs ipykernel, and there is none in {place.folder}. Install it with: {command}. Or add "
            f"--install-ipykernel, which runs that command"
        )
    print(f"running: {command}", file=sys.stderr, flush=True)
    try:
        done = subprocess.run(shlex.split(command), stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False)
    except OSError as error:
        raise UnknownEnvironment(f"{command} cannot be run: {error.strerror}. Nothing was changed.") from error
    if done.returncode:
        raise UnknownEnvironment(f"{command} failed with exit code {done.returncode}; no kernel was made.")
