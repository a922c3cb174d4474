"""Where the Python of an environment comes from: found here, else from uv, else from conda-forge."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tfprovisioner.catalogue.releases import Release
from tfprovisioner.errors import NoInterpreter
from tfprovisioner.pythons import find, from_conda
from tfprovisioner.system import uv

UV_HAS_FROM = (3, 8)
"""uv has no older interpreters to download."""

Source = Literal["found", "uv", "conda", "bundle"]


@dataclass(frozen=True)
class Interpreter:
    """A CPython on this machine (``path``), or one that will be fetched."""

    version: str
    """``3.13.0``; ``3.13`` if it is still to be fetched and any patch will do."""
    path: Path | None
    source: Source = "found"

    @property
    def minor(self) -> str:
        return ".".join(self.version.split(".")[:2])


def is_version(text: str) -> bool:
    """Whether ``--python`` got a version, and not a path."""
    return re.fullmatch(r"\d+(\.\d+){0,2}", text) is not None


def choose(
    release: Release, asked: str | None = None, channels: tuple[str, ...] = (), of_channels: bool = False
) -> Interpreter:
    """The best interpreter for a release: of the preferred versions the first that is here, else one to fetch.

    ``asked`` is a version or a path. ``of_channels``: the Python comes from conda's ``channels``, as all else does.
    Raises ``NoInterpreter`` with the places that were searched and the ways to get one.
    """
    if asked is not None and not is_version(asked):
        if of_channels:
            raise NoInterpreter(
                f"{asked} cannot be used: the conda backend takes Python from its channels. Give a version, "
                f"--python {release.pythons[0]}, or omit --backend conda."
            )
        return _named(asked, release)
    candidates = minors(release, asked)
    exact = asked if asked is not None and asked.count(".") == 2 else None
    if of_channels:
        return Interpreter(exact or candidates[0], None, "conda")
    for minor in candidates:
        for python in find.pythons(minor):
            if python.minor == minor and _fits(python.version, asked):
                return Interpreter(python.version, Path(python.path))
    forbidden = uv.forbidden()
    of_uv = [minor for minor in candidates if tuple(map(int, minor.split("."))) >= UV_HAS_FROM]
    if of_uv and forbidden is None:
        return Interpreter(exact or of_uv[0], None, "uv")
    for minor in candidates:
        if from_conda.available(minor, channels):
            return Interpreter(exact or minor, None, "conda")
    first, why = candidates[0], forbidden or "nothing has one"
    raise NoInterpreter(
        f"TensorFlow {release.version} needs Python {' or '.join(candidates)}, and there is none on this machine: not "
        f"on PATH, nor from pyenv, asdf, rye, uv, conda, Homebrew or the system. None may be fetched, neither by "
        f"uv nor from conda-forge, because {why}. Allow that, or install one, for example with `pyenv install "
        f"{first}` or `conda create -n python{first} python={first}`, or give one with --python, or take everything "
        f"from conda with --backend conda; then run the same command again."
    )


def minors(release: Release, asked: str | None = None) -> tuple[str, ...]:
    """The minor versions that a release runs on and ``asked`` allows, the preferred first; of a path its own.

    Raises ``NoInterpreter`` if there is none.
    """
    if asked is not None and not is_version(asked):
        return (_named(asked, release).minor,)
    line = ".".join((asked or "").split(".")[:2])
    allowed = tuple(minor for minor in release.pythons if _fits(minor, line))
    if not allowed:
        raise NoInterpreter(_no_wheels(release, f"Python {asked}"))
    return allowed


def _named(name: str, release: Release) -> Interpreter:
    """The interpreter at a path, or the one in the folder of an environment."""
    path = Path(name) / "bin" / "python" if Path(name).is_dir() else Path(name)
    if not path.is_file():
        raise NoInterpreter(f"There is no Python at {name}. Correct --python, or omit it to have one found.")
    try:
        python = find.ask(path)
    except NoInterpreter as error:
        raise NoInterpreter(f"{error} Correct --python, or omit it to have one found.") from None
    objection = python.objection()
    if objection:
        raise NoInterpreter(f"{path} cannot be used: {objection}. Give another one with --python.")
    if python.minor not in release.pythons:
        raise NoInterpreter(_no_wheels(release, f"Python {python.version} ({path})"))
    return Interpreter(python.version, Path(python.path))


def _no_wheels(release: Release, python: str) -> str:
    return (
        f"TensorFlow {release.version} has no wheels for {python}; it has for Python {', '.join(release.pythons)}. "
        f"Choose one of these: --python {release.pythons[0]}"
    )


def _fits(version: str, asked: str | None) -> bool:
    """``3.7.16`` fits ``3.7``; ``3.10`` does not fit ``3.1``."""
    return not asked or version == asked or version.startswith(f"{asked}.")
