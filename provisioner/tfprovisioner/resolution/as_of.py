"""Packages as of a day: uv takes no file that was uploaded later, except for those without which nothing works today.

The exceptions are in ``catalogue.pins``. See docs/design/environments.md.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta, timezone
from pathlib import Path

from tfprovisioner.catalogue import pins
from tfprovisioner.catalogue.releases import TENSORFLOWS, Release
from tfprovisioner.errors import Unusable
from tfprovisioner.gpu import cuda
from tfprovisioner.requirements.lines import name_of
from tfprovisioner.requirements.request import USUAL
from tfprovisioner.resolution.locked_files import LockedFile
from tfprovisioner.system import git

GIT = "git"
"""In place of a day: that of the last commit."""

_ALWAYS = "9999-01-01T00:00:00Z"


def day(asked: str | None, files: Iterable[Path] = ()) -> str | None:
    """The day of ``--as-of``; of ``git`` that of the last commit in the repositories of ``files``, or in this folder.

    Raises ``Unusable``.
    """
    if asked is None or asked == USUAL:
        return asked
    if asked == GIT:
        folders = {file.expanduser().absolute().parent for file in files} or {Path.cwd()}
        return max(map(git.last_commit, sorted(folders))).date().isoformat()
    try:
        found = date.fromisoformat(asked) if re.fullmatch(r"\d{4}-\d\d-\d\d", asked) else None
    except ValueError:
        found = None
    if found is None:
        raise Unusable(f"{asked!r} is not a day. Write one like --as-of 2018-11-30, or --as-of git.")
    if found > datetime.now(timezone.utc).date():
        raise Unusable(f"{asked} is in the future. Name a day until today.")
    return asked


def options(day: str | None, gpu: bool = False) -> list[str]:
    """Options for uv that leave out later files; none without a day."""
    if day is None:
        return []
    later = {name: row.day for row in pins.NEWER for name in row.packages if not row.day or row.day > day}
    # The catalogue knows when a release came. Its CUDA libraries had no wheels then.
    later |= dict.fromkeys((*TENSORFLOWS, *(map(name_of, cuda.CUDA_11) if gpu else ())), "")
    limits = [word for name, until in later.items() for word in ("--exclude-newer-package", f"{name}={_end(until)}")]
    return ["--exclude-newer", _end(day), *limits]


def bounds_of_the_day(release: Release) -> set[str]:
    """The bounds of a release for packages that are as of the day. Those for packages of today hold always."""
    today = {name for row in pins.NEWER for name in row.packages if not row.day}
    rules = (*pins.BOUNDS, *pins.COMPANIONS)
    return {line for line in pins.requirements(rules, release.version) if name_of(line) not in today}


def summary(day: str, files: Iterable[LockedFile], instead: Mapping[str, str], release: str) -> str:
    """One line: which packages are not of that day, and why. ``instead``: what pip of that day had for some."""
    files = [file for file in files if file.name not in TENSORFLOWS and not file.name.startswith("nvidia-")]
    later = {file.name: file for file in files if (file.uploaded or "") > day}
    parts = []
    for row in pins.NEWER:
        listed = [f"{name} {later.pop(name).version}" for name in row.packages if name in later]
        parts += [f"{', '.join(listed)} ({row.because})"] if listed else []
    parts += [f"{name} {file.version}, of {file.uploaded}" for name, file in later.items()]
    undated = [f"{file.name} {file.version}" for file in files if file.uploaded is None]
    parts += [f"{', '.join(undated)} (the day is unknown)"] if undated else []
    reasons = {
        name_of(rule.requirement): rule.because for rule in pins.applying((*pins.BOUNDS, *pins.COMPANIONS), release)
    }
    for file in files:
        if file.name in instead:
            why = f" ({reasons[file.name]})" if file.name in reasons else ""
            parts.append(f"{file.name} {file.version} in place of {instead[file.name]}{why}")
    return f"packages as of {day}, except for {'; '.join(parts)}" if parts else f"all packages are as of {day}"


def _end(day: str) -> str:
    return f"{date.fromisoformat(day) + timedelta(days=1)}T00:00:00Z" if day else _ALWAYS
