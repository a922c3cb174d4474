"""Where the Python for an order comes from: found here, else from uv, else from conda-forge."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tfprovisioner.catalogue.releases import Release
from tfprovisioner.environments.request import InstallRequest
from tfprovisioner.errors import NoInterpreter
from tfprovisioner.pythons import find as survey
from tfprovisioner.pythons import from_conda
from tfprovisioner.system import uv

_UV_HAS_FROM = (3, 8)  # uv has no older interpreters to download

Source = Literal["found", "uv", "conda"]


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


def find(order: InstallRequest, release: Release) -> Interpreter:
    """The best interpreter for an order: of the preferred versions the first that is here, else one to fetch.

    Raises ``NoInterpreter`` with what was looked for and the ways to get one.
    """
    if order.backend == "conda":
        return _of_the_channels(order, release)
    if order.python_path:
        return _named(order.python_path, release)
    wanted = minors(order, release)
    for minor in wanted:
        for python in survey.pythons(minor):
            if python.minor == minor and _fits(python.version, order.python):
                return Interpreter(python.version, Path(python.path))
    exact = order.python if order.python and order.python.count(".") == 2 else None
    forbidden = uv.forbidden()
    for minor in wanted:
        if _numbers(minor) >= _UV_HAS_FROM and forbidden is None:
            return Interpreter(exact or minor, None, "uv")
    for minor in wanted:
        if from_conda.available(minor, order.channels):
            return Interpreter(exact or minor, None, "conda")
    raise NoInterpreter(_none_at_all(release, wanted, forbidden or "nothing has one"))


def minors(order: InstallRequest, release: Release) -> tuple[str, ...]:
    """The versions that an order allows, the preferred first; of a named interpreter its own.

    Raises ``NoInterpreter`` if the release runs on none of them.
    """
    if order.python_path and order.backend != "conda":
        return (_named(order.python_path, release).minor,)
    wanted = tuple(minor for minor in release.pythons if _fits(minor, order.python and _cut(order.python)))
    if not wanted:
        raise NoInterpreter(f"{_no_wheels(release, f'Python {order.python}')}")
    return wanted


def _named(name: str, release: Release) -> Interpreter:
    """The interpreter that a user named, or the one in the folder of the environment."""
    path = Path(name)
    if path.is_dir():
        path = path / "bin" / "python"
    if not path.is_file():
        raise NoInterpreter(f"There is no Python at {path}. Name another one with --python, or none to have one found.")
    try:
        python = survey.ask(path)
    except NoInterpreter as error:
        raise NoInterpreter(f"{error} Name another one with --python, or none to have one found.") from None
    objection = python.objection()
    if objection:
        raise NoInterpreter(f"{path} cannot be used: {objection}. Name another one with --python.")
    if python.minor not in release.pythons:
        raise NoInterpreter(_no_wheels(release, f"Python {python.version} ({path})"))
    return Interpreter(python.version, Path(python.path))


def _of_the_channels(order: InstallRequest, release: Release) -> Interpreter:
    if order.python_path:
        raise NoInterpreter(
            f"The conda backend takes Python from its channels, so {order.python} cannot be used. Give a version, "
            f"--python {release.pythons[0]}, or leave --backend conda out."
        )
    minor = minors(order, release)[0]
    return Interpreter(order.python if order.python and order.python.count(".") == 2 else minor, None, "conda")


def _no_wheels(release: Release, what: str) -> str:
    return (
        f"TensorFlow {release.version} has no wheels for {what}; it has for Python {', '.join(release.pythons)}. "
        f"Choose one of these: --python {release.pythons[0]}"
    )


def _none_at_all(release: Release, wanted: tuple[str, ...], forbidden: str) -> str:
    first = wanted[0]
    return (
        f"TensorFlow {release.version} needs Python {' or '.join(wanted)}, and there is none on this machine: neither "
        f"on PATH, nor from pyenv, asdf, rye, uv, conda, Homebrew or the system; and none may be fetched, neither by "
        f"uv nor from conda-forge, because {forbidden}. Allow that, or install one, for example with `pyenv install "
        f"{first}` or `conda create -n python{first} python={first}`, or name one with --python, or take all of it "
        f"from conda with --backend conda; then run the same command again."
    )


def _fits(version: str, wanted: str | None) -> bool:
    """``3.7.16`` fits ``3.7``; ``3.10`` does not fit ``3.1``."""
    return not wanted or version == wanted or version.startswith(f"{wanted}.")


def _cut(version: str) -> str:
    return ".".join(version.split(".")[:2])


def _numbers(minor: str) -> tuple[int, int]:
    first, second = re.findall(r"\d+", minor)[:2]
    return int(first), int(second)
