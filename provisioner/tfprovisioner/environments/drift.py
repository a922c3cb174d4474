"""How an environment differs from what it was built from: ``!pip install`` and ``!conda install`` change it."""

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from tfprovisioner.catalogue.releases import PARTS, TENSORFLOWS
from tfprovisioner.conda import solve
from tfprovisioner.environments import installed
from tfprovisioner.environments.backends import LOCK
from tfprovisioner.environments.installed import Package
from tfprovisioner.environments.store import Environment
from tfprovisioner.resolution import uv_resolution

_SEEDS = frozenset({"pip", "setuptools", "wheel"})
_SHOWN = 3
"""Files of a package that are named."""


@dataclass(frozen=True)
class Drift:
    """``added`` are ``name==version``; the others are sentences without their end."""

    added: tuple[str, ...] = ()
    """Packages that somebody asked for; all that were added, if none of them says so."""
    changed: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    edited: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()
    """Packages whose edited files are in uv's cache, too, and so in each new environment."""
    deleted: tuple[str, ...] = ()
    """Packages whose files are missing: they cannot work."""


def tensorflows(folder: Path) -> tuple[str, ...]:
    """The distributions of TensorFlow in an environment that have the same files, if there are several."""
    found = installed.installed(folder)
    whole = [found[name] for name in TENSORFLOWS if name in found and name not in PARTS]
    return tuple(f"{package.name} {package.version}" for package in whole) if len(whole) > 1 else ()


def of(environment: Environment) -> Drift:
    """Reads the installed files; nothing is started. Empty if the environment has no list of its packages."""
    try:
        text = (environment.folder / LOCK).read_text(encoding="utf-8")
    except OSError:
        return _of_conda(environment.folder)
    locked = uv_resolution.pinned(text, environment.python_version)
    found = installed.installed(environment.folder)
    # No lock of wheels names the seeds of environments, and what conda installs beside them.
    own = (package for package in found.values() if package.name not in _SEEDS and package.installer != "conda")
    differing = {package.name: package.differences() for package in found.values() if package.installer != "conda"}
    edited = {name: [file for file in files if file.changed] for name, files in differing.items()}
    deleted = {
        name: [f"{file.path} is missing" for file in files if file.missing and file.path not in environment.absent]
        for name, files in differing.items()
    }
    now = {name: package.version for name, package in found.items()}
    return replace(
        _between(locked, now, _asked_for(package for package in own if package.name not in locked), deleted),
        edited=_files({name: [f"{file.path} was changed" for file in files] for name, files in edited.items()}),
        shared=tuple(name for name, files in edited.items() if any(file.shared for file in files)),
    )


def _of_conda(folder: Path) -> Drift:
    """Of an environment of conda's packages, by its own list of them."""
    listed = solve.listed(folder)
    if not listed:
        return Drift()
    records = {record["name"]: record for record in solve.records(folder)}
    described = {name: _descriptions(record["files"]) for name, record in records.items()}
    # pip deletes the description of conda's package, and conda does not notice.
    there = [name for name, paths in described.items() if not paths or any(_describes(folder / path) for path in paths)]
    of_conda = set().union(*described.values())
    of_pip = {
        name: package
        for name, package in installed.installed(folder).items()
        if package.record.relative_to(folder).as_posix() not in of_conda
    }
    now = {name: str(records[name]["version"]) for name in there}
    now |= {name: package.version for name, package in of_pip.items()}
    files = {name: [file for file in records[name]["files"] if not file.endswith(".pyc")] for name in there}
    lost = {
        name: [f"{file} is missing" for file in own if not os.path.lexists(folder / file)]
        for name, own in files.items()
    }
    new = sorted(f"{name}=={now[name]}" for name in there if name not in listed)
    asked_for = _asked_for(package for name, package in of_pip.items() if name not in listed)
    return _between(listed, now, (*new, *asked_for), lost)


def _descriptions(files: Iterable[str]) -> set[str]:
    """The ``.dist-info`` and ``.egg-info`` among the files of a package."""
    found = (re.match(r".+/site-packages/[^/]+\.(dist|egg)-info(?=/|$)", file) for file in files)
    return {match[0] for match in found if match}


def _describes(path: Path) -> bool:
    return path.is_file() or any((path / name).exists() for name in ("METADATA", "PKG-INFO"))


def _asked_for(extra: Iterable[Package]) -> tuple[str, ...]:
    extra = sorted(extra, key=lambda package: package.name)
    named = [package for package in extra if package.asked_for] or extra
    return tuple(f"{package.name}=={package.version}" for package in named)


def _between(
    before: Mapping[str, str], now: Mapping[str, str], added: tuple[str, ...], deleted: Mapping[str, list[str]]
) -> Drift:
    """By versions before and now, and what is missing of each package."""
    both = [name for name in before if name in now and before[name]]  # one from an address has none
    return Drift(
        added=added,
        changed=tuple(f"{name} is {now[name]} instead of {before[name]}" for name in both if now[name] != before[name]),
        missing=tuple(f"{name} is missing" for name in before if name not in now),
        deleted=_files(deleted),
    )


def _files(found: Mapping[str, list[str]]) -> tuple[str, ...]:
    """A sentence for each package with some of its files."""
    more = {name: f", and {len(files) - _SHOWN} more files" if files[_SHOWN:] else "" for name, files in found.items()}
    return tuple(f"{name}: {', '.join(files[:_SHOWN])}{more[name]}" for name, files in found.items() if files)
