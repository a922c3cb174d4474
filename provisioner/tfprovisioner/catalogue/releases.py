"""The TensorFlow releases: their Pythons and platforms, and their names for users."""

import difflib
import functools
import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

from packaging.version import Version

from tfprovisioner.catalogue import locks, pins, verified
from tfprovisioner.catalogue.verified import Result
from tfprovisioner.errors import NoWheels, UnknownRelease
from tfprovisioner.system.machine import platform_name as platform_name

INDEX = Path(__file__).parent / "data" / "index.json"
"""What `make catalogue` read from the package index."""

TENSORFLOWS = (
    "tensorflow", "tensorflow-cpu", "tensorflow-gpu", "tensorflow-macos", "tensorflow-rocm", "tensorflow-intel",
    "tensorflow-cpu-aws", "intel-tensorflow", "tf-nightly", "tensorflow-base",
)  # fmt: skip
"""Those that bring the package ``tensorflow``, the usual one first. Names are normalized."""

PARTS = frozenset({"tensorflow-intel", "tensorflow-macos", "tensorflow-cpu-aws", "tensorflow-base"})
"""Distributions that another one of TensorFlow asks for on some machines, and has its content in."""


@dataclass(frozen=True)
class Release:
    """One release of TensorFlow."""

    version: str
    """``2.11.0``; of a line that the catalogue does not know yet only ``2.22``, which means its newest."""
    released: str | None
    """A date, ``2022-11-18``; ``None`` if the catalogue does not know it yet."""
    pythons: tuple[str, ...]
    """The Pythons it has wheels for, the preferred one first."""
    platforms: tuple[str, ...]
    """The platforms it has wheels for, ``linux-x86_64``."""
    cpu_on: tuple[str, ...]
    """The platforms where the smaller ``tensorflow-cpu`` is the same without GPUs."""
    gpu: str
    """The distribution that can use GPUs, ``tensorflow-gpu``."""
    yanked: str | None = None
    """Why it was withdrawn from the index, if it was."""

    @property
    def line(self) -> str:
        """``2.11`` for all of its patch releases."""
        return ".".join(self.version.split(".")[:2])

    @property
    def major(self) -> int:
        return int(self.version.split(".")[0])

    @property
    def known(self) -> bool:
        """False for one that is newer than the catalogue, and goes by the rules of the newest known one."""
        return self.released is not None

    @property
    def lock(self) -> str | None:
        """Pinned and hashed requirements for all of ``pythons`` and ``platforms``; ``None`` if it is not known."""
        return locks.read(self.version) if self.known else None

    def result(self, python: str) -> Result | None:
        """The result of trying it on a Python with this lock; ``None`` if it was not tried."""
        result = verified.read().get((self.version, python))
        if result is None or self.lock is None:
            return None
        installed = locks.chosen(self.lock, python, result.platform)
        return result if result.lock == verified.fingerprint(installed) else None

    @property
    def build_from_source(self) -> tuple[str, ...]:
        """Packages that have no wheel. All others are installed from wheels only, so that no foreign code runs."""
        return tuple(requirement.split("==")[0] for requirement in pins.requirements(pins.SOURCES, self.version))

    @property
    def requirements(self) -> tuple[str, ...]:
        """The requirements of its lock: TensorFlow itself, without GPUs, and the packages beside it."""
        rest = [name for name in self.platforms if name not in self.cpu_on]
        exactly = self.version if self.version.count(".") > 1 else f"{self.version}.*"
        small, plain = f"tensorflow-cpu=={exactly}", f"tensorflow=={exactly}"
        if not rest or not self.cpu_on:
            own = [plain if rest else small]
        else:
            pairs = ((small, self.cpu_on), (plain, rest))
            own = [f"{name} ; {' or '.join(map(machine_marker, platforms))}" for name, platforms in pairs]
        return (*own, *pins.requirements(pins.WITH, self.version))

    @property
    def constraints(self) -> tuple[str, ...]:
        """Limits for the packages of the lock."""
        return pins.requirements((*pins.BOUNDS, *pins.SOURCES), self.version)

    @property
    def overrides(self) -> tuple[str, ...]:
        """Requirements in place of a package's own."""
        return pins.requirements(pins.INSTEAD, self.version)

    @property
    def marker(self) -> str:
        """The machines that its lock is for, as an environment marker (PEP 508)."""
        numbers = sorted(Version(python) for python in self.pythons)
        after = f"{numbers[-1].major}.{numbers[-1].minor + 1}"
        pythons = f"python_version >= '{numbers[0]}' and python_version < '{after}'"
        return f"{pythons} and implementation_name == 'cpython' and ({' or '.join(self.machines)})"

    @property
    def machines(self) -> list[str]:
        """Its platforms, as environment markers."""
        return [machine_marker(name) for name in self.platforms]


def is_tensorflow(name: str) -> bool:
    """Whether a distribution brings TensorFlow, a release or a nightly build."""
    return name in TENSORFLOWS or name.startswith("tf-nightly")


def machine_marker(platform: str) -> str:
    """The environment marker (PEP 508) of a platform."""
    machine = locks.MACHINES[platform]
    return f"(sys_platform == '{machine['sys_platform']}' and platform_machine == '{machine['platform_machine']}')"


@functools.cache
def releases() -> tuple[Release, ...]:
    """All known releases, patch releases included, in the order of their versions."""
    entries = json.loads(INDEX.read_text(encoding="utf-8"))
    lists = ("pythons", "platforms", "cpu_on")
    return tuple(Release(**{**entry, **{name: tuple(entry[name]) for name in lists}}) for entry in entries)


@functools.cache
def lines(day: str | None = None) -> dict[str, Release]:
    """The newest patch release of every line, ``1.0`` first; a withdrawn one only if there is no other.

    With a day (``2018-11-30``), those that were released until its end.
    """
    newest: dict[str, Release] = {}
    for release in releases():
        if day is not None and (release.released is None or release.released > day):
            continue
        if release.yanked is None or release.line not in newest:
            newest[release.line] = release
    return newest


def find(request: str, day: str | None = None) -> Release:
    """The release of ``tf1``, ``tf2``, a line (``1.15``) or an exact version (``1.15.0``), as of a day.

    A release that is newer than the catalogue comes back as not ``known``. Raises ``UnknownRelease`` with the nearest
    names.
    """
    name = request.strip().lower()
    names = _names(None)
    if name.startswith("tf") and name not in names:
        name = name[2:].lstrip("-=")
    found = names.get(name) or _newer(name)
    if found is not None and found.known and day is not None:
        return _names(day).get(name) or _too_early(name, day)
    if found is not None:
        return found
    near = _near(name, list(names))
    question = f" Did you mean {' or '.join(near)}?" if near else ""
    raise UnknownRelease(
        f"There is no TensorFlow release {request!r}.{question} There are tf1, tf2, the lines {next(iter(lines()))} to "
        f"{list(lines())[-1]}, and their patch releases by exact number. Show them with: tfkernels releases"
    )


def _names(day: str | None) -> dict[str, Release]:
    """The releases by all names that users have for them, as of a day."""
    newest = lines(day)
    names = {one.version: one for one in releases() if day is None or (one.released or "9") <= day} | newest
    for release in newest.values():
        names[f"tf{release.major}"] = release  # the newest of its generation comes last and stays
    return names


def _too_early(name: str, day: str) -> NoReturn:
    same = [one for one in releases() if name in (one.version, one.line, f"tf{one.major}") and one.released]
    first = min(same, key=lambda one: one.released or "")
    before = list(lines(day).values())
    other = f" or an earlier release: tfkernels install {before[-1].line} --as-of {day}" if before else ""
    raise UnknownRelease(
        f"There was no TensorFlow {name.removeprefix('tf')} on {day}: {first.version} was released on "
        f"{first.released}. Choose a later day{',' if other else ''}{other or '.'}"
    )


def _near(typed: str, names: list[str]) -> list[str]:
    """Names that may be meant by ``typed``."""
    number = re.fullmatch(r"(\d+)(?:\.(\d+)[\d.]*)?", typed)
    if number is None:
        return difflib.get_close_matches(typed, names, n=3, cutoff=0.5)
    line = f"{number[1]}.{number[2] or 0}"
    patches = [release.version for release in releases() if release.line == line]
    if patches:
        return [line, *patches[-2:]] if number[2] else [f"tf{number[1]}", line]

    def distance(other: str) -> int:
        one, two = (int(part) for part in other.split("."))
        return abs(100 * (int(number[1]) - one) + int(number[2] or 0) - two)

    return sorted(lines(), key=distance)[:2]


def _newer(typed: str) -> Release | None:
    """A release that came after this catalogue, by the rules of the newest known one: of its line, or of all."""
    if not re.fullmatch(r"\d+\.\d+(\.\d+(\.post\d+)?)?", typed):
        return None
    version, newest = Version(typed), list(lines().values())[-1]
    base = lines().get(f"{version.major}.{version.minor}", newest)
    later = version > Version(base.version if typed.count(".") >= 2 else newest.line)
    if version.major != newest.major or not later:
        return None
    return replace(base, version=typed, released=None, yanked=None)


def require_wheels(release: Release) -> None:
    """Raises ``NoWheels`` if a release has none for this machine."""
    here = platform_name()
    if here not in release.platforms:
        others = [other.version for other in releases() if here in other.platforms and other.line == release.line]
        hint = f"Of the same line, {others[-1]} has." if others else "The conda backend may have it: --backend conda."
        raise NoWheels(
            f"TensorFlow {release.version} cannot be installed on {here}: it has wheels for "
            f"{', '.join(release.platforms)} only. {hint}"
        )


def caution(release: Release, python: str) -> str | None:
    """A warning for a release on a Python that did not pass all of the catalogue's checks, or ``None``."""
    tried = "It was imported and ran an operation; nothing else was tried."
    if not release.known:
        like = lines().get(release.line) or list(lines().values())[-1]
        return (
            f"TensorFlow {release.version} is newer than this tfkernels, and was installed by the rules of "
            f"{like.version}. {tried}"
        )
    result = release.result(python)
    if result is None:
        return f"TensorFlow {release.version} on Python {python} was installed by the rules of its line. {tried}"
    problems = [f"{name}: {outcome}" for name, outcome in result.checks.items() if not verified.is_fine(outcome)]
    return f"Not everything works in TensorFlow {release.version}: {'; '.join(problems)}" if problems else None


def order_of(version: str) -> tuple[int, ...]:
    """Sort key: 1.4 before 1.15."""
    return tuple(int(digits) for digits in re.findall(r"\d+", version))


def kernel_name(request: str) -> str:
    """The name of the kernel for a request: ``tf1``, ``tf1.15``, ``tf1.15.5``."""
    name = request.strip().lower()
    return name if name.startswith("tf") else f"tf{name}"
