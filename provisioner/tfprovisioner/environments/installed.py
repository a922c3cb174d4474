"""The packages of an environment, read from its files; nothing is started."""

import contextlib
import csv
import os
import re
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import PathDistribution
from pathlib import Path, PurePosixPath

from packaging.utils import canonicalize_name

from tfprovisioner.catalogue.releases import TENSORFLOWS
from tfprovisioner.requirements.lines import holding

_NOT_ITS_OWN = frozenset({"setup", "conftest", "test", "tests", "doc", "docs", "example", "examples", "benchmarks"})
"""Modules at the top of a wheel by mistake."""

_UNPACKING = 60.0
"""Seconds in which uv usually unpacks a wheel into its cache; whoever edits the files does so later."""


@dataclass(frozen=True)
class Difference:
    """A file that is not as its wheel describes it: changed or deleted, or the wheel's description is wrong."""

    path: str
    missing: bool = False
    changed: bool = False
    """Whether it was changed for certain: it is younger than the package."""
    shared: bool = False
    """A hard link into uv's cache: all environments with the package from there have the same file."""


@dataclass(frozen=True)
class Package:
    """One installed distribution."""

    name: str
    """Normalized: lower case, ``-`` for every ``_`` and ``.``."""
    version: str
    record: Path
    """Its ``.dist-info`` or ``.egg-info``."""

    @property
    def installer(self) -> str:
        """``uv``, ``pip``, ``conda``; empty if it is not recorded."""
        return _text(self.record / "INSTALLER").strip()

    @property
    def asked_for(self) -> bool:
        """Whether a user named it; others came because a package needs them."""
        return (self.record / "REQUESTED").exists()

    def requires(self) -> list[str]:
        """Its requirements, without those of its extras."""
        lines = PathDistribution(self.record).requires or []
        return [line for line in lines if not re.search(r"\bextra\s*==", line)]

    def modules(self) -> tuple[str, ...]:
        """The names by which it is imported: that of the distribution, or else all public ones."""
        files = [PurePosixPath(row[0]) for row in self._rows()]
        packages = {file.parent for file in files if file.name == "__init__.py"}
        roots = [package for package in packages if packages.isdisjoint(package.parents)]
        found = {".".join(root.parts) for root in roots}
        single = (re.fullmatch(r"(\w+)(\.[\w-]+)?\.(py|so)", file.name) for file in files if len(file.parts) == 1)
        found |= {match[1] for match in single if match}
        own = [name for name in found if canonicalize_name(name) == self.name]
        public = [name for name in found if re.fullmatch(r"[A-Za-z]\w*(\.\w+)*", name) and name not in _NOT_ITS_OWN]
        return tuple(sorted(own or public))

    def differences(self) -> list[Difference]:
        """The files that are missing or have another size than in the wheel's list, without bytecode."""
        site = self.record.parent
        unpacked = _modified(self.record / "WHEEL") + _UNPACKING
        found, odd = [], []
        for row in self._rows():
            if not row[2].isdigit() or row[0].endswith(".pyc"):
                continue  # installation itself wrote the files without a size
            try:
                file = os.stat(os.path.join(site, row[0]))
            except (FileNotFoundError, NotADirectoryError):
                found.append(Difference(row[0], missing=True))
                continue
            if not stat.S_ISREG(file.st_mode):
                continue
            if file.st_size != int(row[2]):
                odd.append((row[0], file))
            elif not row[0].startswith("..") and ".dist-info/" not in row[0]:  # those may be new in each environment
                unpacked = max(unpacked, file.st_mtime)  # on a slow disk it takes longer
        newest = min(_modified(self.record / "RECORD"), unpacked)
        return found + [Difference(path, changed=of.st_mtime > newest, shared=of.st_nlink > 1) for path, of in odd]

    def _rows(self) -> list[list[str]]:
        """Its files: each path, hash and size."""
        return [row for row in csv.reader(_text(self.record / "RECORD").splitlines()) if len(row) == 3]


def site_packages(folder: Path) -> list[Path]:
    """The folders that packages of an environment are in."""
    return [path for path in folder.glob("lib/python*/site-packages") if path.is_dir()]


def installed(folder: Path) -> dict[str, Package]:
    """The distributions of an environment by normalized name."""
    return found_in(site_packages(folder))


def found_in(sites: Iterable[Path]) -> dict[str, Package]:
    """The distributions in folders of packages, by normalized name; of several with one name the first, as on import.

    Only names of files are read, which is fast enough to look into all environments of a machine.
    """
    packages: dict[str, Package] = {}
    for site in sites:
        with contextlib.suppress(OSError):  # an archive on sys.path, or a folder of somebody else's
            for path in sorted(site.iterdir()):
                if named := re.fullmatch(r"(.+?)-([^-]+)(-py[\d.]+)?\.(dist|egg)-info", path.name):
                    name = canonicalize_name(named[1])
                    packages.setdefault(name, Package(name, named[2], path))
    return packages


def differences(folder: Path) -> list[Difference]:
    """The files of an environment that are not as their wheels describe them."""
    return [file for package in installed(folder).values() for file in package.differences()]


def needed_by(names: Iterable[str], packages: Mapping[str, Package], python: str) -> set[str]:
    """Packages with all that they need on a Python, by their own metadata; extras are left out."""
    found, waiting = set[str](), [name for name in names if name in packages]
    while waiting:
        name = waiting.pop()
        found.add(name)
        required = {other for _, other, _ in holding(packages[name].requires(), python)}
        waiting += (required & packages.keys()) - found
    return found


def tensorflow_of(packages: Mapping[str, Package]) -> Package | None:
    """The distribution that brings TensorFlow."""
    return next((packages[name] for name in TENSORFLOWS if name in packages), None)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return float("inf")
