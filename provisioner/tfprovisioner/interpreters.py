"""Where the Python for a release comes from."""

import functools
import os
from dataclasses import dataclass
from pathlib import Path

import findpython

from tfprovisioner.catalogue import Release
from tfprovisioner.errors import NoInterpreter

_DOWNLOADABLE_FROM = (3, 8)  # uv has no older interpreters to download


@dataclass(frozen=True)
class Interpreter:
    """A CPython on this machine, or (``path`` is ``None``) one that uv will download."""

    version: str
    """``3.13.0``, or ``3.13`` if it is still to be downloaded."""
    path: Path | None

    @property
    def minor(self) -> str:
        return ".".join(self.version.split(".")[:2])


def find(release: Release) -> Interpreter:
    """The best interpreter for a release: of the preferred versions the first that is here, else a download.

    Raises ``NoInterpreter`` with what was looked for and the ways to get one.
    """
    for minor in release.pythons:
        found = installed(minor)
        if found is not None:
            return found
    for minor in release.pythons:
        if _numbers(minor) >= _DOWNLOADABLE_FROM and os.environ.get("UV_PYTHON_DOWNLOADS") != "never":
            return Interpreter(minor, None)
    wanted = " or ".join(release.pythons)
    raise NoInterpreter(
        f"TensorFlow {release.version} needs Python {wanted}, and there is none on this machine: neither on PATH, nor "
        f"from pyenv, asdf, rye, uv or the system; and versions before 3.8 cannot be downloaded by uv. Install one, "
        f"for example with `pyenv install {release.pythons[0]}`, or `conda create -n python{release.pythons[0]} "
        f"python={release.pythons[0]}` and put its bin folder on PATH; then run the same command again."
    )


@functools.cache
def installed(minor: str) -> Interpreter | None:
    major_number, minor_number = _numbers(minor)
    for python in findpython.find_all(major_number, minor_number, allow_prereleases=False):
        # TensorFlow has wheels for plain 64-bit CPython only.
        if python.implementation.lower() == "cpython" and python.architecture == "64bit" and not python.freethreaded:
            return Interpreter(str(python.version), Path(python.interpreter))
    return None


def _numbers(minor: str) -> tuple[int, int]:
    first, second = minor.split(".")[:2]
    return int(first), int(second)
