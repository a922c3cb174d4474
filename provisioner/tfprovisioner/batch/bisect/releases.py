"""The releases that a bisection chooses from, between a good one and a bad one."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from packaging.version import Version

from tfprovisioner.catalogue import releases as catalogue
from tfprovisioner.catalogue.releases import Release


@dataclass(frozen=True)
class Candidates:
    """Releases by exact number, the good end first, whichever end is older."""

    releases: tuple[str, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Lines and releases between the ends that cannot be tested on this machine, and why."""


def lines(good: Release, bad: Release) -> Candidates:
    """The newest patch release of every line between two releases, and these themselves.

    If both are of one line: its patch releases between the two.
    """
    if good.line == bad.line:
        return patches(good.version, bad.version)
    by_line: dict[str, list[Release]] = {}
    for release in catalogue.releases():
        if release.line not in (good.line, bad.line):
            by_line.setdefault(release.line, []).append(release)
    newest = {line: _newest(releases) for line, releases in by_line.items()}
    low, high = sorted((Version(good.line), Version(bad.line)))
    missing = [line for line, release in newest.items() if release is None and low < Version(line) < high]
    available = [release.version for release in newest.values() if release is not None]
    return Candidates(_in_order(good.version, bad.version, available), dict.fromkeys(missing, _no_wheels()))


def patches(good: str, bad: str) -> Candidates:
    """Every release between two, except withdrawn ones."""
    low, high = sorted((Version(good), Version(bad)))
    between = [release for release in catalogue.releases() if low < Version(release.version) < high]
    left_out = {
        release.version: f"withdrawn: {release.yanked}" if _is_available(release) else _no_wheels()
        for release in between
        if release.yanked is not None or not _is_available(release)
    }
    available = [release.version for release in between if release.version not in left_out]
    return Candidates(_in_order(good, bad, available), left_out)


def _newest(releases: Iterable[Release]) -> Release | None:
    """The newest one for this machine; a withdrawn one only if there is no other."""
    available = [release for release in releases if _is_available(release)]
    kept = [release for release in available if release.yanked is None]
    return next(reversed(kept or available), None)


def _in_order(good: str, bad: str, available: Iterable[str]) -> tuple[str, ...]:
    low, high = sorted((Version(good), Version(bad)))
    between = sorted((each for each in available if low < Version(each) < high), key=Version)
    return (good, *(between if Version(good) < Version(bad) else reversed(between)), bad)


def _is_available(release: Release) -> bool:
    return catalogue.platform_name() in release.platforms


def _no_wheels() -> str:
    return f"no wheels for {catalogue.platform_name()}"
