"""The release and the Python that files of requirements ask for.

See docs/design/environments.md for what counts as evidence.
"""

import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import Requirement
from packaging.specifiers import Specifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from tfprovisioner.catalogue import locks, releases
from tfprovisioner.catalogue.releases import Release, is_tensorflow
from tfprovisioner.errors import BadRequirement, NoInterpreter, UnknownRelease
from tfprovisioner.requirements.file_content import Content, Line
from tfprovisioner.requirements.lines import LIMIT, of_the_line, without_hashes

_COMPANIONS = {"tensorboard": ">=1.5,<2.20", "tensorflow-estimator": ">=1.13,<2.16", "keras": ">=2.5,<2.16"}
"""Packages whose versions are those of the TensorFlow that they are for, and the versions that are."""

_NEEDS_2_FROM = {
    "keras": "2.4", "tensorboard": "2", "tensorflow-estimator": "2", "tensorlayer": "2", "tensorflow-addons": "0",
    "tfa-nightly": "0", "tf-keras": "0", "tensorflow-text": "2", "keras-cv": "0", "keras-nlp": "0",
    "edward": None, "tflearn": None, "bert-tensorflow": None, "tensor2tensor": None, "stable-baselines": None,
    "baselines": None,
}  # fmt: skip
"""The first version of a package that needs TensorFlow 2; earlier ones need 1. ``None``: all need 1."""

_PATCHES = 40  # more than any Python has had


Newest = Callable[[Sequence[tuple[Release, list[str]]], Sequence[str]], tuple[Release, list[str]] | None]
"""Takes releases with their Pythons, the newest first, and the other requirements; returns the first that fits."""


@dataclass(frozen=True)
class Choice:
    """A release, and the Python for it."""

    release: str
    """As a user names it: ``1.13.1``, ``1.15``."""
    python: str | None = None
    """Minor version; ``None`` if the usual one will do, or the user's own."""
    reason: str = ""
    """One line for the user."""


class _Asked(NamedTuple):
    line: Line
    name: str
    requirement: Requirement


def choices(
    content: Content,
    files: Sequence[Path],
    named: Sequence[str] = (),
    python: str | None = None,
    day: str | None = None,
    newest: Newest | None = None,
) -> list[Choice]:
    """The releases that the user ``named``, or the one that files ask for; ``python`` is the user's own, too.

    With a ``day`` (``2018-11-30``) only releases that were out by then. ``newest`` chooses of several.

    Raises ``BadRequirement``, ``NoInterpreter``, ``UnknownRelease``.
    """
    fitted = [_fitted(content, release, python, day) for release in named]
    return fitted or [_choose(content, files, python, day, newest)]


def _choose(
    content: Content, files: Sequence[Path], python: str | None, day: str | None, newest: Newest | None
) -> Choice:
    """The release that files ask for."""
    asked = list(_asked(content.requirements))
    command = " ".join(["tfkernels install RELEASE", *(f"--requirements {shlex.quote(str(file))}" for file in files)])
    own = [one for one in asked if is_tensorflow(one.name)]
    stable = [one for one in own if not one.name.startswith("tf-nightly")]
    if own and not stable:
        raise BadRequirement(
            f"{own[0].line} asks for a nightly build, and tfkernels installs releases. Name a release: "
            f"{command.replace('RELEASE', _near_nightly(own[0].requirement))}"
        )
    named = stable or list(_companions(asked))
    pythons = _pythons(content, python)
    fitting = list(_fitting(named, pythons))
    if not fitting:
        return _unlisted(named, pythons, command)
    if day is not None:
        first = fitting[-1][0]
        fitting = [one for one in fitting if (one[0].released or "") <= day]
        if not fitting:
            raise UnknownRelease(
                f"No release of TensorFlow fits {', '.join(str(one.line) for one in named)} on {day}: {first.version} "
                f"was released on {first.released}. Choose a later day, or name a release: {command}"
            )
    majors = {release.major for release, _ in fitting}
    generation, why = (None, None) if len(majors) == 1 else _generation(named, asked)
    if not named and generation is None:
        names = ", ".join(map(str, files))
        raise BadRequirement(
            f"No release can be chosen: {names} does not name TensorFlow. Name a release, such as tf1 or tf2: "
            f"{command.replace('RELEASE', 'tf1')}"
        )
    fitting = [one for one in fitting if generation in (None, one[0].major)]
    choice = len({one.line for one, _ in fitting}) > 1 and any(
        one.requirement.specifier for one in asked if not is_tensorflow(one.name)
    )
    release, minors = (newest and choice and newest(fitting, packages(content))) or fitting[0]
    named = [one for one in named if _holds(one, minors[0])]
    said = ", ".join(dict.fromkeys(str(one.line) for one in named if one.requirement.specifier))
    facts = f"TensorFlow {release.version}"
    facts += "" if release == fitting[0][0] else f", which the other lines go with, unlike {fitting[0][0].version}"
    if why is not None:
        facts += f": the newest {generation}.x, because {why}. For another one: {command}"
    elif said:
        facts += f": {'' if _exact(named) else 'the newest release for '}{said}"
    else:
        facts += f": the newest release, because {named[0].line} names no version. For another one: {command}"
    chosen = _python(release, minors)
    if chosen and not python:
        facts += f". Python {chosen}: {', '.join(map(_said, content.pythons)) or 'the newest for these lines'}"
    return Choice(_name(release, named, day), chosen if not python else None, facts)


def _fitted(content: Content, named: str, python: str | None, day: str | None) -> Choice:
    """The Python of files for a release that the user named, and a reason if they ask for another release."""
    release = releases.find(named, day)
    own = [one for one in _asked(content.requirements) if is_tensorflow(one.name)]
    pythons = _pythons(content, python)
    minors = list(_minors(release, pythons))
    if not minors:
        raise _no_python(release, pythons)
    chosen = _python(release, minors)
    other = [str(one.line) for one in own if _holds(one, minors[0]) and not _allows(one, release.version)]
    facts = [f"TensorFlow {release.version}, as the command says, and not {', '.join(other)}"] if other else []
    facts += [f"Python {chosen}: {', '.join(map(_said, content.pythons))}"] if chosen and not python else []
    return Choice(named, chosen if not python else None, ". ".join(facts))


def packages(content: Content) -> tuple[str, ...]:
    """The requirements beside TensorFlow."""
    tensorflow = {one.line.text for one in _asked(content.requirements) if is_tensorflow(one.name)}
    return tuple(line for line in content.lines if line not in tensorflow)


def wanting_gpu(content: Content) -> Line | None:
    """A line that names a distribution of TensorFlow for GPUs."""
    asked = (one for one in _asked(content.requirements) if is_tensorflow(one.name))
    return next((one.line for one in asked if "gpu" in one.name or "and-cuda" in one.requirement.extras), None)


def _asked(requirements: Iterable[Line]) -> Iterator[_Asked]:
    for line in requirements:
        requirement = Requirement(without_hashes(line.text.removeprefix(LIMIT)))
        yield _Asked(line, canonicalize_name(requirement.name), requirement)


def _companions(asked: Iterable[_Asked]) -> Iterator[_Asked]:
    """Requirements of TensorFlow in place of companions in an exact version."""
    for one in asked:
        exact = [part.version for part in one.requirement.specifier if part.operator == "=="]
        if exact and one.name in _COMPANIONS and SpecifierSet(_COMPANIONS[one.name]).contains(exact[0].rstrip(".*")):
            line = ".".join(exact[0].split(".")[:2])
            if line in releases.lines():
                yield one._replace(requirement=Requirement(f"tensorflow=={line}.*"))


def _fitting(named: Sequence[_Asked], pythons: Sequence[Line]) -> Iterator[tuple[Release, list[str]]]:
    """Releases with the Pythons on which they fit, the newest release first."""
    for release in reversed(releases.releases()):
        if release.yanked is None or _exact(named):
            minors = [minor for minor in _minors(release, pythons) if _all_allow(named, release, minor)]
            if minors:
                yield release, minors


def _all_allow(named: Iterable[_Asked], release: Release, minor: str) -> bool:
    return all(_allows(one, release.version) for one in named if _holds(one, minor))


def _holds(one: _Asked, minor: str) -> bool:
    marker = one.requirement.marker
    return marker is None or marker.evaluate(locks.machine(minor))


def _allows(one: _Asked, version: str) -> bool:
    """As pip says; and ``==1.15`` means the line, as its authors meant it."""
    return all(of_the_line(part).contains(version, prereleases=True) for part in one.requirement.specifier)


def _exact(named: Iterable[_Asked]) -> bool:
    return any(of_the_line(part) == part and "*" not in part.version for part in _equal(named))


def _equal(named: Iterable[_Asked]) -> list[Specifier]:
    parts = (part for one in named for part in one.requirement.specifier)
    return [part for part in parts if part.operator in ("==", "===")]


def _name(release: Release, named: Sequence[_Asked], day: str | None) -> str:
    newest = releases.lines(day)[release.line].version == release.version
    return release.line if newest and not _exact(named) else release.version


def _generation(named: Sequence[_Asked], asked: Sequence[_Asked]) -> tuple[int | None, str | None]:
    """1 or 2 where both fit, and the reason; ``None`` if the newest will do, or nothing is known."""
    numbers = [(one, part) for one in named for part in one.requirement.specifier if part.operator != "!="]
    majors = [Version(part.version.rstrip(".*")).major for _, part in numbers]
    partners = {needs: one.line for one in asked for needs in [_needs(one)] if needs}
    if majors and max(majors) > 1:
        return None, None
    if len(partners) == 1:
        ((needs, line),) = partners.items()
        return needs, f"{line} is of the time of TensorFlow {needs}"
    if majors:
        return 1, f"{numbers[0][0].line} is of the time of TensorFlow 1"
    return None, None


def _needs(one: _Asked) -> int | None:
    """The generation of TensorFlow that a package needs in all versions that are asked for."""
    if one.name not in _NEEDS_2_FROM:
        return None
    first = _NEEDS_2_FROM[one.name]
    if first is None:
        return 1
    if first == "0":
        return 2
    boundary = Version(first)
    for part in one.requirement.specifier:
        if part.operator == "===":  # any text
            continue
        version = Version(part.version.rstrip(".*"))
        if part.operator in ("==", "~=", ">=", ">") and version >= boundary:
            return 2
        if part.operator in ("==", "~=") or (part.operator in ("<", "<=") and version <= boundary):
            return 1
    return None


def _minors(release: Release, pythons: Iterable[Line]) -> list[str]:
    """The Pythons of a release that all files allow, the preferred first."""
    return [minor for minor in release.pythons if all(_has(line.text, minor) for line in pythons)]


def _has(versions: str, minor: str) -> bool:
    """Whether a patch release of a Python is among versions."""
    patches = [f"{minor}.{number}" for number in range(_PATCHES)]
    return any(any(SpecifierSet(part).filter(patches)) for part in versions.split("||"))


def _pythons(content: Content, python: str | None) -> list[Line]:
    """The files' Pythons, or that of ``--python``. A path has a version of its own, which is checked later."""
    version = re.fullmatch(r"(\d+\.\d+)(\.\d+)?|\d+", python or "")
    if version:
        return [Line(f"=={version[1] or version[0]}.*", "--python")]
    return [] if python else content.pythons


def _python(release: Release, minors: Sequence[str]) -> str | None:
    return None if list(minors) == list(release.pythons) else minors[0]


def _said(line: Line) -> str:
    return f"'python{line.text}' ({line.place})"


def _no_python(release: Release, pythons: Sequence[Line]) -> NoInterpreter:
    return NoInterpreter(
        f"No Python fits: TensorFlow {release.version} needs Python {' or '.join(release.pythons)}, and "
        f"{', '.join(map(_said, pythons))} excludes these. Choose one with --python {release.pythons[0]}"
    )


def _unlisted(named: Sequence[_Asked], pythons: Sequence[Line], command: str) -> Choice:
    """A release newer than the catalogue; else raises ``BadRequirement`` with the reason why none fits."""
    others = list(_fitting(named, ()))
    if others:
        raise _no_python(others[0][0], pythons)
    lines = ", ".join(str(one.line) for one in named)
    exact = _equal(named)
    if len(named) > 1 and list(_fitting(named[:1], ())):
        raise BadRequirement(f"No release of TensorFlow fits all of: {lines}. Name one: {command}")
    if exact and exact[0].operator == "==":
        version = exact[0].version.removesuffix(".*")
        try:
            return Choice(releases.find(version).version, None, f"TensorFlow {version}: {lines}")
        except UnknownRelease:
            pass
        near = _nearest(Version(version))
        raise BadRequirement(
            f"TensorFlow {version} is not among the releases that tfkernels knows: {lines}. The nearest is {near}. To "
            f"take it: {command.replace('RELEASE', near)}"
        )
    raise BadRequirement(f"No release of TensorFlow fits {lines}. Name one: {command}")


def _nearest(version: Version) -> str:
    """The release of a pre-release; else the nearest one of the line, or of all."""
    known = [Version(release.version) for release in releases.releases()]
    line = [other for other in known if other.release[:2] == version.release[:2]] or known
    return str(next((other for other in line if other >= version), line[-1]))


def _near_nightly(requirement: Requirement) -> str:
    found = re.search(r"(\d+\.\d+)", f"{requirement.specifier} {requirement.name}")
    return found[1] if found and found[1] in releases.lines() else "tf2"
