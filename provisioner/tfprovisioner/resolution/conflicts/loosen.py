"""The proposal to loosen some of the user's requirements: as few as possible, and each as little as possible."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from tfprovisioner.requirements.lines import name_of
from tfprovisioner.resolution.conflicts.search import REMOVED, Refusal

_LOWER = ("~=", ">=", ">", "!=")
"""Operators that do not limit a version upwards."""

Versions = Callable[[Sequence[str]], Mapping[str, str]]
"""The version of each package, by name, in the lock of some lines."""


@dataclass(frozen=True)
class Change:
    """A requirement of the user's, and what takes its place."""

    old: str
    new: str
    """Empty if nothing does."""
    version: str
    """The version that the environment gets; empty if none."""


def proposal(lines: Sequence[str], wide: Mapping[str, str], refusal: Refusal, versions: Versions) -> tuple[Change, ...]:
    """The changes with which ``lines`` resolve. ``wide`` has the lines to change, each with its widest form.

    A line keeps its minor version if it can, else its lower bound.
    """
    chosen = dict(wide)

    def all_with(changes: Mapping[str, str]) -> list[str]:
        return [new for new in (changes.get(line, line) for line in lines) if new != REMOVED]

    for line in (line for line, new in wide.items() if new != REMOVED):
        fitting = (one for one in _narrower(line) if refusal(all_with({**chosen, line: one})) is None)
        chosen[line] = next(fitting, chosen[line])
    resolved = versions(all_with(chosen)) if chosen else {}
    return tuple(
        Change(line, new, "" if new == REMOVED else resolved.get(name_of(new), "")) for line, new in chosen.items()
    )


def _narrower(line: str) -> Iterator[str]:
    """Lines that allow more than ``line``, and less than every version: the nearest first."""
    requirement = Requirement(line)
    ends = list(requirement.specifier)
    exact = next((one.version.removesuffix(".*") for one in ends if one.operator == "=="), None)
    if exact is not None:
        version = Version(exact)
        candidates = [f"=={version.major}.{version.minor}.*"] if len(version.release) > 1 else []
        candidates.append(f">={version.public}")
    else:
        lower = [f">={one.version}" if one.operator == "~=" else str(one) for one in ends if one.operator in _LOWER]
        candidates = [",".join(lower)] if lower else []
    for candidate in candidates:
        if SpecifierSet(candidate) != requirement.specifier:
            requirement.specifier = SpecifierSet(candidate)
            yield str(requirement)
