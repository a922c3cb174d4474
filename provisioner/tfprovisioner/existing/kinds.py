"""Kinds of environments: the tool that made one, and its command to add a package."""

import os
import shlex
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from uv import find_uv_bin

from tfprovisioner.conda import search
from tfprovisioner.environments import installed

PIXI = Path(".pixi") / "envs"


@dataclass(frozen=True)
class Place:
    """An environment: its folder, its interpreter, and the project that it belongs to, if one is near."""

    folder: Path
    python: Path
    project: Path


def kind(folder: Path) -> str:
    """The tool, as in ``_KINDS``; ``python`` for a whole one."""
    return _kind(folder)[0]


def installing(place: Place, names: list[str], unasked: bool = False) -> str:
    """The tool's command to add packages to an environment; with ``unasked`` one that waits for no answer."""
    found, command = _kind(place.folder)
    if found == "pixi" and place.folder.name != "default":
        command += " --feature {name}"
    if found == "poetry" and not (place.project / "pyproject.toml").is_file():
        command = _PIP  # its folder of environments does not name the project
    if found == "conda" and unasked:
        command += " --yes"
    # `python -m venv --without-pip` and uv make some that have no pip.
    sites = installed.site_packages(place.folder)
    if command == _PIP and found != "python" and not any((site / "pip").is_dir() for site in sites):
        command = _UV
    values = {
        "name": place.folder.name,
        "folder": place.folder,
        "python": place.python,
        "project": place.project,
        "conda": _conda(),
        "uv": "uv" if shutil.which("uv") else find_uv_bin(),  # the user's, else the one that came with us
    }
    return shlex.join([*(word.format(**values) for word in command.split()), *names])


def is_environment(folder: Path) -> bool:
    """Whether a folder is a virtual or a conda environment, not a whole Python."""
    return kind(folder) != "python"


def venv_settings(folder: Path) -> dict[str, str]:
    """What the ``pyvenv.cfg`` of a virtual environment says; empty for other folders."""
    try:
        lines = (folder / "pyvenv.cfg").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    pairs = (line.partition("=") for line in lines)
    return {name.strip(): value.strip() for name, _, value in pairs}


def _kind(folder: Path) -> tuple[str, str]:
    return next((name, command) for name, recognised, command in _KINDS if recognised(folder))


def _conda() -> str:
    """The program that the user has, conda's own name first."""
    found = next((name for name in ("conda", "mamba", "micromamba") if shutil.which(name)), None)
    return found or os.environ.get("CONDA_EXE") or os.environ.get("MAMBA_EXE") or "conda"


def _of_pixi_global(folder: Path) -> bool:
    """An environment of ``pixi global``: its folder looks like that of a project in the user's home."""
    home = Path(os.environ.get("PIXI_HOME") or Path.home() / ".pixi")
    return folder.parent == home / "envs" and not (home.parent / "pixi.toml").is_file()


def _is_venv(folder: Path) -> bool:
    return (folder / "pyvenv.cfg").is_file()


def _is_poetrys(folder: Path) -> bool:
    in_project = folder.name == ".venv" and (folder.parent / "poetry.lock").is_file()
    return _is_venv(folder) and (in_project or folder.parent.parts[-2:] == ("pypoetry", "virtualenvs"))


def _of_uv_project(folder: Path) -> bool:
    return folder.name == ".venv" and (folder.parent / "uv.lock").is_file()


_PIP, _UV = "{python} -m pip install", "{uv} pip install --python {python}"

_KINDS: tuple[tuple[str, Callable[[Path], bool], str], ...] = (
    # The special ones first: pixi's are conda environments, too.
    ("pixi global", _of_pixi_global, "pixi global add --environment {name}"),
    ("pixi", lambda folder: folder.parent.parts[-2:] == PIXI.parts, "pixi add --manifest-path {project}"),
    ("conda", search.is_environment, "{conda} install --prefix {folder}"),
    ("poetry", _is_poetrys, "poetry --directory {project} add --group dev"),
    ("uv project", _of_uv_project, "{uv} add --project {project} --dev"),
    ("uv", lambda folder: "uv" in venv_settings(folder), _UV),
    ("virtualenv", lambda folder: "virtualenv" in venv_settings(folder), _PIP),
    ("venv", _is_venv, _PIP),
    ("python", lambda _: True, _PIP),
)
"""The name of each kind, how it is recognised, and the command that adds packages."""
