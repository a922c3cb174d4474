"""The packages of an environment in other versions than the verified ones: the user's lines asked for them."""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tfprovisioner.catalogue import releases
from tfprovisioner.errors import UnknownRelease
from tfprovisioner.requirements.lock_file import Lock
from tfprovisioner.requirements.request import Recipe

_SHOWN = 8


@dataclass(frozen=True)
class Differing:
    """One package that is in the verified lock, too."""

    name: str
    tested: str
    installed: str

    def __str__(self) -> str:
        return f"{self.name} {self.tested} -> {self.installed}"


def between(verified: Mapping[str, str], installed: Mapping[str, str]) -> tuple[Differing, ...]:
    """The packages, by name, that have two versions."""
    both = sorted(verified.keys() & installed.keys())
    return tuple(Differing(name, verified[name], installed[name]) for name in both if installed[name] != verified[name])


def of(lock: Path, recipe: Recipe) -> tuple[Differing, ...]:
    """How the lock in an environment of a recipe differs from the catalogue's for the same release and Python.

    Empty if there is none of the two, and for packages as of a day, which are not meant to be the verified ones.
    """
    try:
        found = Lock.of(lock.read_text(encoding="utf-8"), recipe.python, releases.platform_name())
        verified = None if recipe.as_of else found.verified
    except (OSError, UnknownRelease):  # a TensorFlow by its address has no version
        return ()
    if verified is None:
        return ()
    return between(dict(_parts(verified.chosen)), dict(_parts(found.chosen)))


def listed(found: Iterable[Differing], first: Container[str] = ()) -> str:
    """In one line, those named ``first`` before the others; of many only some are shown."""
    ordered = sorted(found, key=lambda one: one.name not in first)
    more = f", and {len(ordered) - _SHOWN} more" if ordered[_SHOWN:] else ""
    return f"{', '.join(map(str, ordered[:_SHOWN]))}{more}"


def _parts(pins: Iterable[str]) -> Iterable[tuple[str, str]]:
    return ((name, version) for name, equals, version in (pin.partition("==") for pin in pins) if equals)
