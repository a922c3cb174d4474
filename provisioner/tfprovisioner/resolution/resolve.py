"""From requirements to a lock: every package pinned and hashed.

The user decides what TensorFlow itself allows. See docs/design/environments.md.
"""

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from tfprovisioner.catalogue import locks, pins
from tfprovisioner.catalogue.releases import TENSORFLOWS, Release
from tfprovisioner.errors import BadRequirement, BuildFailed
from tfprovisioner.gpu import cuda
from tfprovisioner.progress import Reporter
from tfprovisioner.pythons.choose import Interpreter
from tfprovisioner.requirements.lines import LIMIT, divided, hashes_of, holding, is_exact, name_of, without_hashes
from tfprovisioner.requirements.request import InstallRequest
from tfprovisioner.resolution import as_of, locked_files, one_tensorflow, overridden_bounds, source_builds
from tfprovisioner.resolution.conflicts.explain import Search
from tfprovisioner.resolution.source_builds import BuildsForbidden, SourceBuildFailed, SourceBuilds
from tfprovisioner.resolution.uv_resolution import (
    NoSolution,
    NotInIndex,
    holding_here,
    pinned,
    published,
    resolve,
)
from tfprovisioner.system import uv
from tfprovisioner.system.uv import UvFailed


@dataclass(frozen=True)
class OtherMachine:
    """Another machine than this one, to resolve for."""

    platform: str
    """As in ``Release.platforms``."""
    options: tuple[str, ...]
    """The same for uv, with the version of its Python."""


def lock(
    request: InstallRequest,
    interpreter: Interpreter,
    python: Path | None,
    folder: Path,
    report: Reporter,
    builds: SourceBuilds | None = None,
    machine: OtherMachine | None = None,
) -> str:
    """The text of the lock for an environment whose interpreter is ``python``; ``None`` if it is to be fetched.

    Scratch files go to ``folder``.

    ``builds`` learns what has to be built, and how. For another ``machine``, ``python`` is any interpreter of this one.

    It is the one that the user gave, or the release's own, verified one, if that has all that the user requires. A
    release that is newer than the catalogue is resolved by the rules of the newest known one. Raises ``BadRequirement``
    with the conflict, ``BuildFailed``.
    """
    if request.resolved is not None:
        return request.resolved
    if request.locked is not None:
        return request.locked.text
    verified = request.verified_lock
    if verified is not None and not request.extras:
        return verified
    resolver = Resolver.of(request, interpreter.version, python, folder, report.uv_says, builds, machine)
    lines = {one_tensorflow.meaning_the_line(without_hashes(line)): line for line in request.extras}
    others = one_tensorflow.others(lines, resolver.tensorflow, resolver.python)
    asked = sorted(lines.keys() - others)
    if verified is not None and not others and not request.as_of and resolver.has(request.extras):
        return verified
    instead: dict[str, str] = {}
    refused: BuildFailed | BadRequirement | None = None
    try:
        if request.as_of:
            text, instead = resolver.lock_of_the_day(asked)
        else:
            text = resolver.lock(asked, cached=not request.rebuild)
    except (NoSolution, SourceBuildFailed, BuildsForbidden) as error:
        refused = error
    if refused or others:
        raise _conflicts(resolver, lines, others, refused, request.relax, report) from refused
    for note in one_tensorflow.redundant(divided(asked)[0], resolver.tensorflow, resolver.python):
        report.note(note)
    pins_found, hashes = locks.split(text)
    _limit_hashes(hashes, request.extras, resolver.python)
    text = locks.joined(pins_found, hashes)
    if request.as_of:
        files = locked_files.of(text, resolver.options, resolver.builds, folder, report.uv_says)
        report.note(as_of.summary(request.as_of, files, instead, resolver.release.version))
    return text


@dataclass(frozen=True)
class Resolver:
    """Resolves the user's lines together with one release on one Python: requirements, and limits after ``-c``."""

    release: Release
    python: str
    """Its version."""
    interpreter: Path | None
    """``None`` if it is not on this machine."""
    verified: str
    """The pins of the release's lock for this Python, with hashes; empty if the catalogue does not know it."""
    tensorflow: Mapping[str, str]
    """The distributions of TensorFlow that get installed, with their version."""
    folder: Path
    """For scratch files."""
    say: Callable[[str], None]
    builds: SourceBuilds
    gpu: bool = False
    as_of: str | None = None
    """The day whose packages it takes."""
    machine: OtherMachine | None = None
    offline: bool = False
    """Whether uv's cache has to know enough."""

    @classmethod
    def of(
        cls,
        request: InstallRequest,
        version: str,
        python: Path | None,
        folder: Path,
        say: Callable[[str], None],
        builds: SourceBuilds | None = None,
        machine: OtherMachine | None = None,
    ) -> "Resolver":
        """That of a request on ``python``. Raises ``BuildFailed`` if the index lacks a release."""
        release, text = request.catalogue_entry, request.verified_lock
        if text is not None and machine is not None:
            here = locks.joined(locks.chosen(text, version, machine.platform), locks.split(text)[1])
        else:
            here = "" if text is None else holding_here(text, version)
        versions = pinned(here, version)
        if text is None and request.extras:
            versions = published(_own(release, bool(request.gpu)), uv.for_python(python, version), version)
        tensorflow = {name: pin for name, pin in versions.items() if name in TENSORFLOWS}
        builds = builds or SourceBuilds.of(request, version)
        if not request.as_of:  # most will stay, and what a build needs is asked for before the lock is known
            builds.use(here, versions)
        gpu = bool(request.gpu)
        return cls(release, version, python, here, tensorflow, folder, say, builds, gpu, request.as_of, machine)

    def has(self, lines: Sequence[str]) -> bool:
        """Whether every line is fulfilled by the verified lock as it is. Hashes, addresses and extras may not be."""
        versions = pinned(self.verified, self.python)
        packages, limits = divided(lines)
        named = [*holding(packages, self.python), *(one for one in holding(limits, self.python) if one[1] in versions)]
        plain = all(line == without_hashes(line) and not one.extras for line, _, one in named)
        return plain and all(name in versions and _allows(one, versions[name]) for _, name, one in named)

    def lock(self, lines: Sequence[str], cached: bool = True) -> str:
        """The lock that fulfils the lines. All else is verified, or as close to that as the lines allow.

        ``cached``: what uv's cache knows of the index will do for versions that the index does not change any more.
        Raises ``NoSolution``, ``BuildFailed``.
        """
        known = self._by_cache(lines) if cached else None
        if known is not None:
            return known
        if self.verified:
            try:
                return self._resolved(lines, *self._all_verified(lines))
            except NoSolution as error:
                strict = error
            try:
                text = self.nearest(lines)  # other packages have to differ, too
            except NoSolution as error:
                error.strict = strict
                raise
            if isinstance(strict, NotInIndex):
                raise strict  # for want of a verified package, none is exchanged
            return text
        return self.nearest(lines)

    def _by_cache(self, lines: Sequence[str]) -> str | None:
        """The lock by what uv's cache knows; ``None`` if the index may know better versions of the user's packages.

        Versions that are not exact were asked for a moment ago, when the builds looked for packages without a wheel.
        """
        moving = {name for name, one in self._named(divided(lines)[0]) if not is_exact(one)}
        if not moving:
            with contextlib.suppress(BuildFailed):
                return replace(self, offline=True, builds=self.builds.without_new_ones()).lock(lines, cached=False)
        to_build = self.machine is None and self.builds.look_ahead()
        if not moving and not to_build:
            return None
        known = {**pinned(self.verified, self.python), **self.builds.newest}
        builds = self.builds.attempt()
        with contextlib.suppress(BuildFailed, BuildsForbidden):
            text = replace(self, offline=True, builds=builds).lock(lines, cached=False)
            found = pinned(text, self.python)
            if all(found.get(name) == known.get(name) for name in moving):
                self.builds.adopt(builds)
                return text
        return None

    def lock_of_the_day(self, lines: Sequence[str]) -> tuple[str, dict[str, str]]:
        """The lock that fulfils the lines, and what pip of that day had in place of some versions.

        That pip knew no bounds of ours, so they are given only if its packages are outside of them.
        Raises ``NoSolution``, ``BuildFailed``.
        """
        requirements, limits = self._allowed(lines)
        free = [line for line in limits if line not in as_of.bounds_of_the_day(self.release)]
        try:
            text = self._resolved(lines, requirements, free)
        except UvFailed:
            return self._resolved(lines, requirements, limits), {}
        before = pinned(text, self.python)
        held = holding(limits, self.python)
        if all(_allows(limit, before[name]) for _, name, limit in held if name in before):
            return text, {}
        text = self._resolved(lines, requirements, limits)
        after = pinned(text, self.python)
        return text, {name: before[name] for name in after if before.get(name, after[name]) != after[name]}

    def versions(self, lines: Sequence[str]) -> dict[str, str]:
        """The version of each package in their lock."""
        trial = self._trial(lines)
        return pinned(trial.lock_of_the_day(lines)[0] if self.as_of else trial.lock(lines), self.python)

    def refusal(self, lines: Sequence[str]) -> str | None:
        """What uv says of lines that no lock fulfils together; ``None`` if one does. Raises ``BuildFailed``."""
        for offline in (True, False):  # to ask the index for news takes ten times as long
            try:
                replace(self._trial(lines), offline=offline or self.offline).nearest(lines)
            except NoSolution as error:
                return error.output
            except BuildFailed:
                if not offline:
                    raise  # else something may not be in uv's cache
            else:
                return None
        return None

    def nearest(self, lines: Sequence[str]) -> str:
        """The lock that fulfils the lines, as close to the verified one as they allow.

        Raises ``NoSolution``, ``BuildFailed``.
        """
        return self._resolved(lines, *self._allowed(lines))

    def _trial(self, lines: Sequence[str]) -> "Resolver":
        """The same, which builds nothing from source because another version of it has no wheel."""
        any_ = {name for name, requirement in self._named(lines) if "==" not in str(requirement.specifier)}
        return replace(self, builds=self.builds.for_trial(any_))

    def _all_verified(self, lines: Sequence[str]) -> tuple[list[str], list[str]]:
        """Requirements and constraints: every package as it was verified, but for those that the lines are against."""
        versions = {name: pin for name, pin in pinned(self.verified, self.python).items() if name not in TENSORFLOWS}
        differing = {name for name, one in self._named(lines) if name in versions and not _allows(one, versions[name])}
        held = [line for line in locks.split(self.verified)[0] if name_of(line) not in differing]
        return [*held, *sorted(differing)], [*held, *self._limits(lines)]

    def _allowed(self, lines: Sequence[str]) -> tuple[list[str], list[str]]:
        """Requirements and constraints: what TensorFlow and a kernel need, whatever the lines say."""
        named = {name for name, _ in self._named(lines)}
        beside = [
            # Where nothing was verified, only these rows know good versions.
            _without_versions(line) if self.verified or name_of(line) in named else line
            for line in pins.requirements(pins.WITH, self.release.version)
        ]
        return [*_own(self.release, self.gpu), *beside], self._limits(lines)

    def _limits(self, lines: Sequence[str]) -> list[str]:
        version = self.release.version
        overridden = overridden_bounds.overridden(lines, version, self.python)
        rules = pins.applying((*pins.BOUNDS, *pins.COMPANIONS), version)
        limits = [rule.requirement for rule in rules if rule not in overridden]
        return [*limits, *pins.requirements(pins.KERNEL, version), *self._without_wheel(lines)]

    def _resolved(self, lines: Sequence[str], requirements: Sequence[str], constraints: Sequence[str]) -> str:
        asked, limits = divided(lines)
        # uv replaces with an override what the user requires, too.
        named = {name for name, _ in self._named(lines)}
        overrides = [line for line in self.release.overrides if name_of(line) not in named]
        overrides += [line for line in asked if name_of(line) in set(map(name_of, self.release.overrides))]
        overrides += cuda.NEVER if self.gpu else ()
        with one_tensorflow.stand_ins(self.tensorflow) as others:
            text = resolve(
                [*requirements, *others.values(), *asked], [*constraints, *limits], overrides,
                self.options, self.folder, self.say, self.builds, preferred=self.verified,
            )  # fmt: skip
        found, hashes = locks.split(text)
        return locks.joined((pin for pin in found if pin.partition(" @ ")[0] not in others), hashes)

    @property
    def options(self) -> list[str]:
        """uv's options: the Python, and the day whose files it may take."""
        other = self.machine.options if self.machine else ()
        offline = ["--offline"] if self.offline else []
        return [*uv.for_python(self.interpreter, self.python), *other, *as_of.options(self.as_of, self.gpu), *offline]

    def _without_wheel(self, lines: Sequence[str]) -> list[str]:
        if self.as_of:  # the rows are for the packages of today
            return []
        return source_builds.known(self.release, lines, self.python)

    def _named(self, lines: Sequence[str]) -> list[tuple[str, Requirement]]:
        """The packages that hold for this Python, each with its requirement or limit."""
        found = holding((line.removeprefix(LIMIT) for line in lines), self.python)
        return [(name, requirement) for _, name, requirement in found]


def _own(release: Release, gpu: bool) -> tuple[str, ...]:
    """The requirements of TensorFlow itself."""
    return cuda.requirements(release) if gpu else tuple(filter(_is_tensorflow, release.requirements))


def _is_tensorflow(line: str) -> bool:
    return name_of(line) in TENSORFLOWS


def _allows(requirement: Requirement, version: str) -> bool:
    return not requirement.url and requirement.specifier.contains(version, prereleases=True)


def _without_versions(line: str) -> str:
    requirement = Requirement(line)
    requirement.specifier = SpecifierSet()
    return str(requirement)


def _conflicts(
    resolver: Resolver,
    lines: Mapping[str, str],
    others: Mapping[str, str],
    refused: BuildFailed | BadRequirement | None,
    relax: bool,
    report: Reporter,
) -> BuildFailed | BadRequirement:
    """The error for lines that conflict; ``refused`` itself if there is no more to say."""
    output = refused.output if isinstance(refused, NoSolution) else None
    if refused and output is None:
        output = resolver.refusal(sorted(lines.keys() - others))
        if output is None:
            return refused
    search = Search(
        lines, resolver.release.version, resolver.python, resolver.refusal, resolver.versions, resolver.builds.failed
    )
    conflicts = search.conflicts(others, output, relax, report.step)
    if conflicts is None:
        assert refused is not None
        strict = refused.strict if isinstance(refused, NoSolution) else None
        return strict if isinstance(strict, NotInIndex) else refused
    said = isinstance(refused, BuildsForbidden) or (
        isinstance(refused, SourceBuildFailed) and len(conflicts.found) == 1
    )
    return refused if refused and said and conflicts.for_wheels and not relax else conflicts


def _limit_hashes(hashes: dict[str, list[str]], extras: Iterable[str], python: str) -> None:
    """Leaves in the hashes of a lock those that the user allows. Raises ``BadRequirement`` if there are none."""
    for line, name, _ in holding((line.removeprefix(LIMIT) for line in extras), python):
        allowed = hashes_of(line)
        for pin in (pin for pin in hashes if allowed and name_of(pin) == name):
            hashes[pin] = [digest for digest in hashes[pin] if digest in allowed]
            if not hashes[pin]:
                raise BadRequirement(
                    f"Cannot add {without_hashes(line)!r}: the package index has other files of {pin} than those that "
                    f"the hashes allow. Correct the hashes, or choose another index with --index."
                )
