"""How an environment differs from the lock that it was built from: ``!pip install`` in a cell changes it."""

from dataclasses import dataclass
from pathlib import Path

from tfprovisioner import packages, resolution
from tfprovisioner.backends.wheels import LOCK
from tfprovisioner.environments import Environment
from tfprovisioner.packages import Package

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
    """Packages of the lock whose files are missing: they cannot work."""


def tensorflows(folder: Path) -> tuple[str, ...]:
    """The distributions of TensorFlow in an environment that have the same files, if there are several."""
    found = packages.installed(folder)
    whole = [found[name] for name in packages.TENSORFLOWS if name in found and name not in packages.PARTS]
    return tuple(f"{package.name} {package.version}" for package in whole) if len(whole) > 1 else ()


def of(environment: Environment) -> Drift:
    """Reads what is installed; nothing is started. Empty if the environment has no lock of its own."""
    try:
        text = (environment.folder / LOCK).read_text(encoding="utf-8")
    except OSError:
        return Drift()
    locked = resolution.pinned(text, environment.python_version)
    found = packages.installed(environment.folder)
    extra = [package for name, package in found.items() if name not in locked and not _foreign(package)]
    named = [package for package in extra if package.asked_for] or extra
    damage = {name: package.damage() for name, package in found.items()}
    return Drift(
        added=tuple(f"{package.name}=={package.version}" for package in sorted(named, key=lambda one: one.name)),
        changed=tuple(
            f"{name} is {found[name].version} instead of {version}"
            for name, version in locked.items()
            if name in found and found[name].version != version
        ),
        missing=tuple(f"{name} is missing" for name in locked if name not in found),
        edited=tuple(
            f"{name}: {_some(words)}" for name, files in damage.items() if (words := _words(files, "was changed"))
        ),
        deleted=tuple(
            f"{name}: {_some(words)}" for name, files in damage.items() if (words := _words(files, "is missing"))
        ),
    )


def _foreign(package: Package) -> bool:
    """What no lock of wheels names: seeds of environments, and what conda installs beside them."""
    return package.name in _SEEDS or package.installer == "conda"


def _words(files: list[str], what: str) -> list[str]:
    return [file for file in files if what in file]


def _some(files: list[str]) -> str:
    more = f", and {len(files) - _SHOWN} more files" if len(files) > _SHOWN else ""
    return ", ".join(files[:_SHOWN]) + more
