"""``tfkernels add --find``: the environments on this machine that have TensorFlow.

Only names of files are read, no interpreter is started, and the search ends after ``TIME_LIMIT`` seconds.
"""

import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from tfkernels.client import kernelspecs
from tfprovisioner.conda import search as conda_search
from tfprovisioner.environments import installed, store
from tfprovisioner.environments.installed import Package
from tfprovisioner.existing import inspect, kinds

TIME_LIMIT = 10.0
"""Seconds for the whole search."""

DEPTH = 3
"""Levels below the current folder to search."""

_NEVER = frozenset({"node_modules", "site-packages", "__pycache__", "lib", "bin", "share", "include", "proc", "sys"})


@dataclass(frozen=True)
class Candidate:
    """An environment with TensorFlow. ``kernel`` is the kernel that was made of it, if one was."""

    path: str
    kind: str
    python: str
    tensorflow: str
    ipykernel: str | None
    kernel: str | None


def search(below: Path) -> tuple[list[Candidate], bool]:
    """The environments in the usual places and below a folder, and whether there was time for all of them."""
    deadline = time.monotonic() + TIME_LIMIT
    registered = {spec.described["environment"]: spec.name for spec in reversed(kernelspecs.every())}
    found: dict[str, Candidate] = {}
    for folder in _folders(below):
        if time.monotonic() > deadline:
            return list(found.values()), False
        if str(folder) not in found and not folder.is_relative_to(store.root()):
            candidate = _candidate(folder, registered.get(str(folder)))
            if candidate is not None:
                found[candidate.path] = candidate
    return list(found.values()), True


def _candidate(folder: Path, kernel: str | None) -> Candidate | None:
    packages = installed.installed(folder)
    tensorflow, ipykernel = installed.tensorflow_of(packages), packages.get("ipykernel")
    if tensorflow is None or inspect.python_of(folder) is None:
        return None
    return Candidate(
        path=str(folder),
        kind=kinds.kind(folder),
        python=_python(folder, tensorflow),
        tensorflow=tensorflow.version,
        ipykernel=ipykernel.version if ipykernel else None,
        kernel=kernel,
    )


def _python(folder: Path, tensorflow: Package) -> str:
    """Its version, as far as files name it."""
    settings = kinds.venv_settings(folder)
    named = [settings.get("version", ""), settings.get("version_info", "")]
    named += [path.name.partition("-")[2] for path in sorted((folder / "conda-meta").glob("python-[0-9]*.json"))]
    found = (re.match(r"\d+\.\d+(\.\d+)?", text) for text in named)
    return next((match[0] for match in found if match), tensorflow.record.parent.parent.name.removeprefix("python"))


def _folders(below: Path) -> Iterator[Path]:
    """Folders that may be environments, the nearest first."""
    active = (os.environ.get("VIRTUAL_ENV"), os.environ.get("CONDA_PREFIX"))
    yield from (Path(path) for path in active if path)
    yield from _below(Path(os.path.abspath(below)), DEPTH)
    yield from conda_search.environments()
    home = Path.home()
    cache, data = platformdirs.user_cache_path(appauthor=False), platformdirs.user_data_path(appauthor=False)
    collections = [
        os.environ.get("WORKON_HOME"), home / ".virtualenvs", data / "virtualenvs",  # virtualenvwrapper, pipenv
        os.environ.get("POETRY_VIRTUALENVS_PATH"), cache / "pypoetry" / "virtualenvs",
        home / ".pixi" / "envs", data / "uv" / "tools",
        Path(os.environ.get("PYENV_ROOT") or home / ".pyenv") / "versions",
        home / "envs", home / "venvs", home / ".venvs",
    ]  # fmt: skip
    for collection in collections:
        if collection:
            yield from conda_search.folders(Path(collection))
    yield from sorted((data / "hatch" / "env" / "virtual").glob("*/*/*"))


def _below(folder: Path, depth: int) -> Iterator[Path]:
    if kinds.is_environment(folder):
        yield folder
        return
    if depth:
        for child in conda_search.folders(folder):
            if child.name not in _NEVER and not child.is_symlink():
                # Of hidden folders only environments, and pixi's, which lie two levels deeper.
                if child.name == ".pixi":
                    yield from conda_search.folders(child / "envs")
                elif not child.name.startswith(".") or kinds.is_environment(child):
                    yield from _below(child, depth - 1)
