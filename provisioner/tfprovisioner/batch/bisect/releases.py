"""The releases that a bisection chooses from, in order, between a good one and a bad one."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from packaging.version import Version

from tfprovisioner.catalogue import releases as catalogue
from tfprovisioner.catalogue.releases import Release


@dataclass(frozen=True)
class Lineup:
    """Releases by exact number, the good end first, whichever end is older."""

    releases: tuple[str, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Lines and releases between the ends that cannot be tested on this machine, and why."""


def lines(good: Release, bad: Release) -> Lineup:
    """The newest patch release of every line between two releases, which are the ends themselves.

    Of one line: all of its patch releases between the two.
    """
    if good.line == bad.line:
        return patches(good.version, bad.version)
    by_line: dict[str, list[Release]] = {}
    for release in catalogue.releases():
        if release.line not in (good.line, bad.line):
            by_line.setdefault(release.line, []).append(release)
    newest = {line: _newest(releases) for line, releases in by_line.items()}
    here = [release for release in newest.values() if release is not None]
    low, high = sorted((Version(good.line), Version(bad.line)))
    missing = [line for line, release in newest.items() if release is None and low < Version(line) < high]
    return Lineup(_in_order(good.version, bad.version, here), dict.fromkeys(missing, _no_wheels()))


def patches(good: str, bad: str) -> Lineup:
    """Every release between two. Those that were withdrawn are left out."""
    low, high = sorted((Version(good), Version(bad)))
    between = [release for release in catalogue.releases() if low < Version(release.version) < high]
    left_out = {
        release.version: _no_wheels() if not _is_here(release) else f"withdrawn: {release.yanked}"
        for release in between
        if release.yanked is not None or not _is_here(release)
    }
    return Lineup(_in_order(good, bad, [each for each in between if each.version not in left_out]), left_out)


def _newest(releases: Iterable[Release]) -> Release | None:
    """The newest one that this machine can have; a withdrawn one only if there is no other."""
    here = [release for release in releases if _is_here(release)]
    return next((release for release in reversed(here) if release.yanked is None), here[-1] if here else None)


def _in_order(good: str, bad: str, candidates: Iterable[Release]) -> tuple[str, ...]:
    low, high = sorted((Version(good), Version(bad)))
    between = sorted(Version(each.version) for each in candidates if low < Version(each.version) < high)
    names = {Version(each.version): each.version for each in candidates}
    found = [names[version] for version in between]
    return (good, *(found if Version(good) < Version(bad) else reversed(found)), bad)


def _is_here(release: Release) -> bool:
    return catalogue.platform_name() in release.platforms


def _no_wheels() -> str:
    return f"no wheels for {catalogue.platform_name()}"
