"""The tool that made an environment, and its command to add a package."""

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
    """The tool, as in ``_RECOGNISED``; ``python`` for a whole one."""
    return next((name for name, recognised in _RECOGNISED if recognised(folder)), "python")


def installing(place: Place, names: list[str], unasked: bool = False) -> str:
    """The tool's command to add packages to an environment; with ``unasked`` one that waits for no answer."""
    found = kind(place.folder)
    return shlex.join([*_COMMANDS[found](place), *(["--yes"] if unasked and found == "conda" else []), *names])


def is_environment(folder: Path) -> bool:
    """Whether a folder is a virtual or a conda environment, not a whole Python."""
    return kind(folder) != "python"


def _names_itself(folder: Path, tool: str) -> bool:
    """Whether a tool named itself in ``pyvenv.cfg``."""
    try:
        lines = (folder / "pyvenv.cfg").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    return any(line.partition("=")[0].strip() == tool for line in lines)


def _poetrys(folder: Path) -> bool:
    if not (folder / "pyvenv.cfg").is_file():
        return False
    return folder.parent.parts[-2:] == ("pypoetry", "virtualenvs") or (
        folder.name == ".venv" and (folder.parent / "poetry.lock").is_file()
    )


def _of_pixi_global(folder: Path) -> bool:
    """An environment of ``pixi global``: its folder looks like that of a project in the user's home."""
    home = Path(os.environ.get("PIXI_HOME") or Path.home() / ".pixi")
    project = home.parent / "pixi.toml"
    return folder.parent == home / "envs" and not project.is_file()


# The special ones first: pixi's are conda environments, too.
_RECOGNISED: tuple[tuple[str, Callable[[Path], bool]], ...] = (
    ("pixi global", _of_pixi_global),
    ("pixi", lambda folder: folder.parent.parts[-2:] == PIXI.parts),
    ("conda", search.is_environment),
    ("poetry", _poetrys),
    ("uv project", lambda folder: folder.name == ".venv" and (folder.parent / "uv.lock").is_file()),
    ("uv", lambda folder: _names_itself(folder, "uv")),
    ("virtualenv", lambda folder: _names_itself(folder, "virtualenv")),
    ("venv", lambda folder: (folder / "pyvenv.cfg").is_file()),
)


def _uv_program() -> str:
    """The user's uv, else the one that came with us."""
    return "uv" if shutil.which("uv") else find_uv_bin()


def _pip(place: Place) -> list[str]:
    """pip, if the environment has one; ``python -m venv --without-pip`` and uv make some that have none."""
    if any((site / "pip").is_dir() for site in installed.site_packages(place.folder)):
        return [str(place.python), "-m", "pip", "install"]
    return _uv(place)


def _uv(place: Place) -> list[str]:
    return [_uv_program(), "pip", "install", "--python", str(place.python)]


def _conda(place: Place) -> list[str]:
    """The program that the user has, conda's own name first."""
    found = next((name for name in ("conda", "mamba", "micromamba") if shutil.which(name)), "conda")
    own = os.environ.get("CONDA_EXE") or os.environ.get("MAMBA_EXE")
    return [own if own and not shutil.which(found) else found, "install", "--prefix", str(place.folder)]


def _pixis(place: Place) -> list[str]:
    feature = [] if place.folder.name == "default" else ["--feature", place.folder.name]
    return ["pixi", "add", "--manifest-path", str(place.project), *feature]


def _poetry(place: Place) -> list[str]:
    """poetry's own command where the project is known; its folder of environments does not name it."""
    if (place.project / "pyproject.toml").is_file():
        return ["poetry", "--directory", str(place.project), "add", "--group", "dev"]
    return _pip(place)


_COMMANDS: dict[str, Callable[[Place], list[str]]] = {
    "pixi global": lambda place: ["pixi", "global", "add", "--environment", place.folder.name],
    "pixi": _pixis,
    "conda": _conda,
    "poetry": _poetry,
    "uv project": lambda place: [_uv_program(), "add", "--project", str(place.project), "--dev"],
    "uv": _uv,
    "virtualenv": _pip,
    "venv": _pip,
    "python": lambda place: [str(place.python), "-m", "pip", "install"],
}
