"""How an environment differs from what it was built from: ``!pip install`` and ``!conda install`` change it."""

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tfprovisioner.conda import solve
from tfprovisioner.environments import installed as packages
from tfprovisioner.environments import resolve
from tfprovisioner.environments.installed import Package
from tfprovisioner.environments.store import Environment
from tfprovisioner.environments.wheels import LOCK

_SEEDS = frozenset({"pip", "setuptools", "wheel"})
_SHOWN = 3


@dataclass(frozen=True)
class Drift:
    """``added`` are ``name==version``; the others are sentences without their end."""

    added: tuple[str, ...] = ()
    """What somebody asked for, or all that was added, if none of that says so."""
    changed: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    edited: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()
    """Packages whose files are missing: they cannot work."""


def tensorflows(folder: Path) -> tuple[str, ...]:
    """The distributions of TensorFlow in an environment that have the same files, if there are several."""
    found = packages.installed(folder)
    whole = [found[name] for name in packages.TENSORFLOWS if name in found and name not in packages.PARTS]
    return tuple(f"{package.name} {package.version}" for package in whole) if len(whole) > 1 else ()


def of(environment: Environment) -> Drift:
    """Reads what is installed; nothing is started. Empty if nobody wrote down what the environment was made of."""
    try:
        text = (environment.folder / LOCK).read_text(encoding="utf-8")
    except OSError:
        return _of_conda(environment.folder)
    locked = resolve.pinned(text, environment.python_version)
    found = packages.installed(environment.folder)
    extra = [package for name, package in found.items() if name not in locked and not _foreign(package)]
    damage = {name: package.damage() for name, package in found.items()}
    return Drift(
        added=_added(extra),
        changed=_changed(locked, {name: package.version for name, package in found.items()}),
        missing=tuple(f"{name} is missing" for name in locked if name not in found),
        edited=tuple(
            f"{name}: {_some(words)}" for name, files in damage.items() if (words := _words(files, "was changed"))
        ),
        deleted=tuple(
            f"{name}: {_some(words)}" for name, files in damage.items() if (words := _words(files, "is missing"))
        ),
    )


def _of_conda(folder: Path) -> Drift:
    """Of an environment of conda's packages, by its own list of them."""
    listed = solve.listed(folder)
    if not listed:
        return Drift()
    records = {record["name"]: record for record in solve.records(folder)}
    described = {name: _descriptions(record["files"]) for name, record in records.items()}
    # pip takes the description of conda's package away, and conda does not notice.
    there = {name for name, paths in described.items() if not paths or any(_describes(folder / path) for path in paths)}
    of_conda = set().union(*described.values())
    of_pip = {
        name: package
        for name, package in packages.installed(folder).items()
        if package.record.relative_to(folder).as_posix() not in of_conda
    }
    now = {name: str(records[name]["version"]) for name in there}
    now |= {name: package.version for name, package in of_pip.items()}
    lost = {name: [file for file in records[name]["files"] if _is_lost(folder, file)] for name in there}
    new = sorted(f"{name}=={now[name]}" for name in there - listed.keys())
    return Drift(
        added=(*new, *_added(package for name, package in of_pip.items() if name not in listed)),
        changed=_changed(listed, now),
        missing=tuple(f"{name} is missing" for name in listed if name not in now),
        deleted=tuple(
            f"{name}: {_some([f'{file} is missing' for file in files])}" for name, files in lost.items() if files
        ),
    )


def _descriptions(files: Iterable[str]) -> set[str]:
    """The folders in which Python's packages say what they are."""
    found = (re.match(r".+/site-packages/[^/]+\.(dist|egg)-info(?=/|$)", file) for file in files)
    return {match[0] for match in found if match}


def _describes(path: Path) -> bool:
    return path.is_file() or any((path / name).exists() for name in ("METADATA", "PKG-INFO"))


def _is_lost(folder: Path, file: str) -> bool:
    return not file.endswith(".pyc") and not os.path.lexists(folder / file)


def _added(extra: Iterable[Package]) -> tuple[str, ...]:
    extra = sorted(extra, key=lambda package: package.name)
    named = [package for package in extra if package.asked_for] or extra
    return tuple(f"{package.name}=={package.version}" for package in named)


def _changed(before: Mapping[str, str], now: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(
        f"{name} is {now[name]} instead of {version}"
        for name, version in before.items()
        if name in now and now[name] != version
    )


def _foreign(package: Package) -> bool:
    """What no lock of wheels names: seeds of environments, and what conda installs beside them."""
    return package.name in _SEEDS or package.installer == "conda"


def _words(files: list[str], what: str) -> list[str]:
    return [file for file in files if what in file]


def _some(files: list[str]) -> str:
    more = f", and {len(files) - _SHOWN} more files" if len(files) > _SHOWN else ""
    return ", ".join(files[:_SHOWN]) + more
