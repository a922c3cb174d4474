"""Packages that have no wheel: whether they may be built, with which tools, and what helps when a build fails.

uv builds them, each in an environment and a process of its own. See docs/design/source-builds.md.
"""

import re
import tempfile
from collections.abc import Callable, Collection, Iterable, Mapping
from copy import copy
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tfprovisioner.catalogue import build_tools, pins
from tfprovisioner.catalogue.releases import Release, is_tensorflow, order_of
from tfprovisioner.errors import BadRequirement, BuildFailed
from tfprovisioner.requirements.lines import LIMIT, divided, holding, name_of, without_hashes
from tfprovisioner.requirements.request import InstallRequest
from tfprovisioner.resolution import build_logs, without_wheel
from tfprovisioner.system import data_dir, uv
from tfprovisioner.system.uv import UvFailed

_LINES = 12
"""Of a failed build's log in the message."""


class SourceBuildFailed(BuildFailed):
    """The setup code of a package failed."""


class BuildsForbidden(BadRequirement):
    """Packages have no wheel, and the user forbids builds."""


class SourceBuilds:
    """What one installation builds from source. It learns from each failure of uv what to allow and to add.

    First only wheels are allowed: uv would rather build the newest version of a package than take an older wheel.
    """

    def __init__(
        self,
        known: Mapping[str, str],
        python: str,
        more: bool = False,
        only_binary: bool = False,
        newest: bool = False,
    ) -> None:
        """``known``: versions that have no wheel, by name. ``more``: others may be built, too.

        ``python`` is the version of the environment's Python. ``only_binary``: the user forbids builds.
        ``newest``: as pip does it, a newer version without a wheel is built in place of an older wheel.
        """
        self._full, self._python = python, ".".join(python.split(".")[:2])
        self._more = more
        self._only_binary = only_binary
        self._newest = newest
        self._tools: dict[str, list[str]] = {}
        """The packages that are built, with what their builds need beside what they declare."""
        self._refused: list[str] = []
        self._unseen: list[str] = []
        """The user's lines, until they were looked through for packages without a wheel."""
        self.newest: dict[str, str] = {}
        """The best version of each of their packages, as the index has it now."""
        self._held: dict[str, str] = {}
        """Those of their packages that are built, in the versions tried first: uv builds each that it looks at."""
        self._lock = ""
        self._versions: Mapping[str, str] = {}
        self._limited = True
        """Whether build tools have to go with the environment's versions."""
        self._known = known
        self._trial = False
        self._given_up: set[str] = set()
        """In a trial, the packages that are not built any more."""
        self._any: Collection[str] = ()
        self._failed_any: set[str] = set()
        self.failed: dict[str, str] = {}
        """The packages whose builds failed in trials, each with the cause."""
        for name in known:
            self._allow(name)

    @classmethod
    def of(cls, request: InstallRequest, python: str) -> "SourceBuilds":
        """Those of an installation."""
        versions = dict(row.split("==") for row in known(request.catalogue_entry, request.extras, python))
        if request.only_binary:
            builds = cls({}, python, only_binary=True)
        elif request.as_of:
            builds = cls({}, python, more=True, newest=True)
        elif request.locked is not None:  # perhaps of somebody else, who says which code runs
            allowed = request.only_binary is False
            builds = cls(versions, python, more=allowed, only_binary=not allowed)
        else:
            builds = cls(versions, python, more=request.verified_lock is None or bool(request.extras))
        lines = holding(divided(request.extras)[0], python)
        builds._unseen = [without_hashes(line) for line, name, _ in lines if not is_tensorflow(name)]
        return builds

    def without_new_ones(self) -> "SourceBuilds":
        """The builds that a release is known to need, and no others."""
        found = SourceBuilds(self._known, self._full)
        found.use(self._lock, self._versions)
        return found

    def attempt(self) -> "SourceBuilds":
        """The same builds; what they learn is not learned here before ``adopt``."""
        found = copy(self)
        tools = {name: list(tools) for name, tools in self._tools.items()}
        vars(found).update(_tools=tools, _refused=list(self._refused))
        return found

    def adopt(self, attempt: "SourceBuilds") -> None:
        """Learns what an attempt learned."""
        vars(self).update(vars(attempt))

    def for_trial(self, any_: Collection[str]) -> "SourceBuilds":
        """Those of a resolution that only shows whether there is one: a package whose build fails has no source.

        What is known of packages holds there, too, except of those in ``any_``, which may get other versions.
        """
        trial = copy(self)
        # Of a package in any version, the newest may be built where the required one could not.
        given_up = {name for name in self.failed if name not in any_ or name in self._failed_any}
        tools = {name: list(tools) for name, tools in self._tools.items() if name not in {*any_, *given_up}}
        vars(trial).update(_trial=True, _tools=tools, _any=any_, _given_up=given_up)
        vars(trial).update(_refused=[], _unseen=[], newest={}, _held={})
        if self._only_binary:  # uv says what has no wheel
            vars(trial).update(_only_binary=False, _more=False)
        return trial

    def use(self, lock: str, versions: Mapping[str, str]) -> None:
        """From now on packages are built for the environment of a lock, whose ``versions`` these are."""
        self._lock, self._versions = lock, versions
        for name, version in self._known.items():
            if versions.get(name, version) != version:
                self._tools.pop(name, None)  # there may be a wheel of this one

    def unverified(self) -> list[str]:
        """What the environment gets from source, beside what the release's own lock has: ``jieba 0.42.1``."""
        names = sorted(self._tools.keys() - self._known.keys())
        return [f"{name} {self._versions[name]}" for name in names if name in self._versions]

    @property
    def options(self) -> list[str]:
        """Options of uv's: everything comes from wheels, except what is built."""
        if self._newest:
            return [word for name in self._given_up for word in ("--only-binary", name)]
        return ["--only-binary", ":all:", *(word for name in self._tools for word in ("--no-binary", name))]

    def run(
        self,
        arguments: Iterable[str],
        folder: Path,
        say: Callable[[str], None],
        settings: uv.Settings | None = None,
    ) -> None:
        """Runs uv with ``options``, again after each failure that it learned from.

        Raises ``BadRequirement`` with the packages that have no wheel, if nothing may be built; ``BuildFailed``.
        """
        words = list(arguments)
        with tempfile.TemporaryDirectory() as scratch:
            limits = Path(scratch, "limits.txt")
            if "--python-platform" not in words:  # another machine has other wheels
                self.look_ahead()
            cached = False
            while True:
                limits.write_text(self._limits(), encoding="utf-8")
                options = [*self.options, *(("--build-constraints", str(limits)) if self._limits() else ())]
                options += ["--offline"] if cached else []
                try:
                    builds = self._newest or bool(self._tools)
                    uv.run([*words, *options], folder, say, self._settings(settings or {}), builds)
                except UvFailed as failed:
                    absent = cached and re.search(uv.UNREACHABLE, " ".join(failed.output.split()))
                    if not absent and self._add(without_wheel.required(failed.output)):
                        # uv names one at a time. The index was asked a moment ago.
                        cached = "--offline" not in words
                        continue
                    if cached or self._learn_tools(failed.output):
                        cached = False
                        continue
                    if self._held:  # perhaps an older version goes with the rest
                        self._held = {}
                        continue
                    self._check_refused()
                    if self._trial and self._give_up(failed.output):
                        continue
                    raise self._explained(failed) from failed
                if not cached:
                    self._check_refused()
                    return
                cached = False  # the cache may lack a package of the best answer

    def _limits(self) -> str:
        """Constraints for build tools, as a requirements file."""
        # With these tools, setup code asks for setuptools again: uv would install a newer one over the first.
        old = [f"{tool}\n" for tool in build_tools.REPEATED if any(tool in tools for tools in self._tools.values())]
        if not self._limited:
            return "".join(old)
        if not self._newest and self._tools.keys() <= self._known.keys():
            return self._lock  # what was verified is built with pinned and hashed tools as well
        numpy = self._versions.get("numpy")
        # What is compiled against a NumPy does not run with an older one.
        return "".join([f"numpy<={numpy}\n" if numpy else "", *old])

    def _check_refused(self) -> None:
        if self._refused:
            *others, last = self._refused
            names = f"{', '.join(others)} and {last} have" if others else f"{last} has"
            raise BuildsForbidden(
                f"Cannot install without builds from source: {names} no wheel for Python {self._python} and this "
                f"platform. Allow builds with --no-only-binary, or name a folder with such wheels: --find-links."
            )

    def look_ahead(self) -> bool:
        """Whether there are new packages without a wheel among the user's lines: a resolution names few of them."""
        if self._newest:
            return False
        lines, self._unseen = [one for one in self._unseen if not self._has(one)], []
        if not lines:
            return False
        answer = without_wheel.among(lines, self._full)
        self.newest = answer.versions
        new = self._add(answer.built)
        built = answer.built & self._tools.keys()
        self._held = {name: version for name, version in answer.versions.items() if name in built}
        return new

    def _has(self, line: str) -> bool:
        """Whether the verified lock fulfils a line."""
        requirement, version = Requirement(line), self._versions.get(name_of(line))
        return version is not None and not requirement.url and requirement.specifier.contains(version, True)

    def _add(self, names: set[str]) -> bool:
        """Whether packages without a wheel are new, and may be built or reported."""
        new = sorted(names - {*self._tools, *self._refused, *self._given_up})
        if self._only_binary:
            self._refused += new
        elif self._more:
            for name in new:
                self._allow(name)
        return bool(new) and (self._only_binary or self._more)

    def _allow(self, name: str) -> None:
        known = (row.requirements for row in build_tools.OF_PACKAGES if row.package == canonicalize_name(name))
        self._tools[canonicalize_name(name)] = list(next(known, ()))

    def _learn_tools(self, output: str) -> bool:
        name, _ = build_logs.failed_package(output)
        name = canonicalize_name(name)
        if name and self._newest and name not in self._tools:
            self._allow(name)
        if name not in self._tools:
            return False
        log = build_logs.last_lines(output)
        if not log:  # perhaps its build tools must be newer than the environment's packages
            retry = self._limited and bool(self._limits()) and not re.search(uv.UNREACHABLE, output)
            self._limited = self._limited and not retry
            return retry
        words, tools = " ".join(log), self._tools[name]
        cures = [row.requirement for row in build_tools.AFTER_FAILURES if re.search(row.log, words)]
        if not cures and not build_logs.machine_lacks(words) and order_of(self._python) <= build_tools.OLD_UNTIL:
            cures = [build_tools.OLD]
        found = next((cure for cure in cures if cure not in tools), None)
        tools += [found] if found else []
        return found is not None

    def _give_up(self, output: str) -> bool:
        """Whether the build of a package failed, which is not tried again."""
        name, _ = build_logs.failed_package(output)
        name, log = canonicalize_name(name), build_logs.last_lines(output)
        tools_failed = build_logs.tools_failed(output) and not re.search(uv.UNREACHABLE, output)
        if name not in self._tools or name in self._given_up or not (log or tools_failed):
            return False
        self.failed[name] = build_logs.cause(log)
        self._given_up.add(name)
        if name in self._any:
            self._failed_any.add(name)
        del self._tools[name]
        return True

    def _settings(self, settings: uv.Settings) -> uv.Settings:
        """uv's settings with those for the builds. uv's cache tells built wheels apart by these."""
        if self._refused:  # they are left out, so that uv finds the next ones
            never = [f"{name} ; sys_platform == 'never'" for name in self._refused]
            return {**settings, "override-dependencies": [*settings.get("override-dependencies", ()), *never]}
        if not self._tools:
            return settings
        limits = [line for name, line in build_tools.VERSIONS.items() if name in self._tools]
        limits += [f"{name}=={version}" for name, version in self._held.items()]
        home = data_dir.home() / "build-home"
        if data_dir.home().is_dir():  # a dry run makes none
            home.mkdir(mode=0o700, exist_ok=True)
        variables = {"HOME": str(home), **dict.fromkeys(uv.secrets_of_uv(), "")}
        tools = {name: [self._pinned(tool) for tool in needed] for name, needed in self._tools.items() if needed}
        return {
            **settings,
            "constraint-dependencies": [*settings.get("constraint-dependencies", ()), *limits],
            "extra-build-dependencies": tools,
            "extra-build-variables": {name: {**variables, **self._compiled(name)} for name in self._tools},
        }

    def _compiled(self, name: str) -> dict[str, str]:
        """A variable for a build that may be compiled against NumPy: uv's cache is blind to limits of build tools."""
        return {"BUILD_LIMITS": self._limits().strip()} if name not in self._known else {}

    def _pinned(self, tool: str) -> str:
        return f"{tool}=={self._versions[tool]}" if tool in self._versions else tool

    def _explained(self, failed: UvFailed) -> BuildFailed:
        """The failure of a build in our words; any other failure as it is."""
        (name, version), log = build_logs.failed_package(failed.output), build_logs.last_lines(failed.output)
        if canonicalize_name(name) not in self._tools or not (log or build_logs.tools_failed(failed.output)):
            return failed
        other = None if self._newest else self._with_wheel(name)
        if other:
            advice = f"Or ask for a version that has a wheel: --with '{name}=={other}'"
        elif self._newest:
            advice = f"Or ask for another version of {name}"
        else:
            advice = (
                f"No version of {name} has a wheel for Python {self._python} and this platform: omit it, or choose "
                f"another release or Python"
            )
        shown = "\n".join((log or failed.output.splitlines())[-_LINES:])
        what = f"{name} {version}" if version else name
        return SourceBuildFailed(
            f"Building {what} from source failed, and nothing was changed: {build_logs.cause(log)}. {advice}. The last "
            f"lines of its log:\n{shown}"
        )

    def _with_wheel(self, name: str) -> str | None:
        """The newest version of a package that has a wheel; ``None`` if there is none."""
        found = without_wheel.wheels([name], self._full)
        return found.strip().rpartition("==")[2] or None if isinstance(found, str) else None


def known(release: Release, lines: Iterable[str], python: str) -> list[str]:
    """What a release needs that has no wheel, ``gast==0.2.2``: rows of ``catalogue.pins`` that no line is against."""
    found = holding((line.removeprefix(LIMIT) for line in lines), python)
    asked = [(name, requirement) for _, name, requirement in found]
    rows = {row: Requirement(row) for row in pins.requirements(pins.SOURCES, release.version)}
    return [row for row, own in rows.items() if all(_allows(one, own) for name, one in asked if name == name_of(row))]


def _allows(requirement: Requirement, pin: Requirement) -> bool:
    return not requirement.url and all(requirement.specifier.contains(one.version, True) for one in pin.specifier)
