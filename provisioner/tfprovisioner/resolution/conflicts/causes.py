"""Why some requirements conflict, in words: against which pin or bound they stand, and whose that is."""

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tfprovisioner.catalogue import pins, releases
from tfprovisioner.catalogue.releases import TENSORFLOWS
from tfprovisioner.requirements.lines import LIMIT
from tfprovisioner.resolution.conflicts import conda_facts, uv_facts
from tfprovisioner.resolution.conflicts.uv_facts import ROOT, Fact

_MOST = 3
"""How many facts a line of text can hold."""


def causes(
    lines: Iterable[str], output: str, release: str, python: str, builds: Mapping[str, str] | None = None
) -> tuple[str, ...]:
    """The causes that uv's ``output`` has for a conflict of ``lines``, as clauses; empty if it cannot be read.

    ``builds`` has the packages whose builds from source failed, each with the cause.
    """
    asked = _asked(lines)
    words = _Words(asked, release, ".".join(python.split(".")[:2]), builds or {})
    words.later(output)
    known = uv_facts.facts(output)
    packages = [fact for fact in known if fact.name != ROOT]
    said = words.of(packages if len(packages) <= _MOST else words.concluded(output) or packages)
    said += [words.rule(fact.needs) for fact in known if fact.name == ROOT and not _is_any(fact.needs, asked)]
    said = list(dict.fromkeys(filter(None, said)))
    only_lines = len(known) > 1 and all(fact.name == ROOT for fact in known)
    return tuple(said or (["no version fulfils all of that"] if only_lines else []))


def causes_of_conda(lines: Iterable[str], output: str, release: str, python: str) -> tuple[str, ...]:
    """The same for the ``output`` of conda's solver."""
    asked = _asked(lines)
    words = _Words(asked, release, ".".join(python.split(".")[:2]), {}, "the channels have")
    said = words.of(words.related(conda_facts.facts(output)))
    return tuple(said or (["no version fulfils all of that"] if len(asked) > 1 else []))


def _asked(lines: Iterable[str]) -> list[Requirement]:
    return [Requirement(line.removeprefix(LIMIT)) for line in lines]


def _package(requirement: str) -> str:
    return canonicalize_name(Requirement(requirement).name) if requirement else ""


def _is_any(text: str, asked: Iterable[Requirement]) -> bool:
    given = Requirement(text)
    return any(_package(one.name) == _package(given.name) and one.specifier == given.specifier for one in asked)


class _Words:
    """The words for facts about a release on a Python, in a conflict of some requirements."""

    def __init__(
        self,
        asked: Sequence[Requirement],
        release: str,
        python: str,
        builds: Mapping[str, str],
        there: str = "the index has",
    ) -> None:
        self._there = there
        self._names: list[str] = [canonicalize_name(one.name) for one in asked]
        exact = len(asked) == 1 and [one.operator for one in asked[0].specifier] == ["=="]
        self._it = self._names[0] if exact else None
        self._later: set[str] = set()
        self._release, self._python, self._builds = release, python, builds

    def later(self, output: str) -> None:
        """Takes the packages from uv's words that the index had only after the day of ``--as-of``."""
        self._later = set(re.findall(r"`([\w.-]+)` was filtered by `exclude-newer", " ".join(output.split())))

    def concluded(self, output: str) -> list[Fact]:
        """The last that uv concluded of the conflict's packages: one cannot be used, or another one needs it."""
        ends = (
            fact
            for fact in reversed(uv_facts.conclusions(output))
            if (fact.name in self._names and fact.lacks and not fact.versions)
            or (fact.name != ROOT and _package(fact.needs) in self._names)
        )
        return list(itertools.islice(ends, 1))

    def related(self, facts: Sequence[Fact]) -> list[Fact]:
        """Of the facts in a tree of conda's those about the conflict's packages, and about what these need.

        A version that two lines of the user's exclude together may be there all the same.
        """
        own = [fact for fact in facts if fact.name in self._names]
        wanted = {*self._names, *(_package(fact.needs) for fact in own if fact.needs)}
        others = [fact for fact in facts if fact not in own and fact.needs and _package(fact.needs) in wanted]
        both = {_package(fact.needs) for fact in own} & {_package(fact.needs) for fact in others}
        found = [fact for fact in [*own, *others] if not fact.lacks or self._names.count(fact.name) == 1]
        found.sort(key=lambda fact: _package(fact.needs) not in both)
        kinds = list(dict.fromkeys((fact.name, _package(fact.needs)) for fact in found))[:_MOST]
        return [fact for fact in found if (fact.name, _package(fact.needs)) in kinds]

    def rule(self, requirement: str) -> str:
        """A requirement of ours, with its reason; empty if it has none."""
        asked = Requirement(requirement)
        tables = (
            (pins.BOUNDS, f"TensorFlow {self._release} works only with"),
            (pins.SOURCES, f"TensorFlow {self._release} was tested only with"),
            ((*pins.WITH, *pins.KERNEL), "the kernel needs"),
        )
        for table, needs in tables:
            for row in pins.applying(table, self._release):
                ours = Requirement(row.requirement)
                if ours.name == asked.name and ours.specifier == asked.specifier and ours.specifier:
                    return f"{needs} {asked}: {row.because}"
        return ""

    def of(self, facts: Iterable[Fact]) -> list[str]:
        """A clause for each kind of fact, those about the packages of the conflict first."""
        kinds: dict[tuple[str, str, str], list[Fact]] = {}
        for fact in sorted(facts, key=lambda fact: fact.name not in self._names):
            kinds.setdefault((fact.name, _package(fact.needs), fact.lacks), []).append(fact)
        return [self._clause(alike) for alike in list(kinds.values())[:_MOST]]

    def _clause(self, alike: Sequence[Fact]) -> str:
        """Facts of one package that need the same other one, or lack the same."""
        fact = alike[0] if len(alike) == 1 else Fact(alike[0].name, "...", alike[0].needs, alike[0].lacks)
        who = self._who(fact)
        if fact.lacks in ("package", "version") and fact.name in self._later:
            return f"the index had no {fact.name}{fact.versions.removesuffix('...')} on that day"
        if fact.lacks == "package" or (fact.lacks == "version" and not fact.versions):
            return f"{self._there} no package {fact.name}"
        if fact.lacks == "version":
            fits = "" if fact.versions.startswith("==") else " that fits"
            return f"{self._there} no {fact.name}{fact.versions.removesuffix('...')}{fits}"
        if fact.lacks == "metadata":
            return f"the metadata of {fact.name}{fact.versions.removesuffix('...')} is invalid"
        if fact.lacks:
            every = not fact.versions and fact.name not in TENSORFLOWS
            subject, no = (f"no version of {fact.name}", "a") if every else (who, "no")
            if fact.lacks == "wheel":
                built = f", and cannot be built: {self._builds[fact.name]}" if fact.name in self._builds else ""
                return f"{subject} has {no} wheel for Python {self._python}{built}"
            return f"{subject} {'can' if every else 'cannot'} be installed with Python {self._python}"
        needs = sorted({one.needs for one in alike}, key=releases.order_of)
        clause = f"{who} needs {f'{needs[0]} … {needs[-1]}' if len(needs) > 2 else ' or '.join(needs)}"
        if _package(fact.needs) == "python":
            clause += f", and this kernel has {self._python}"
        if _package(fact.needs) in TENSORFLOWS:
            clause += f", and this kernel has TensorFlow {self._release}"
        return clause

    def _who(self, fact: Fact) -> str:
        """The package with its versions."""
        if fact.name in TENSORFLOWS:
            return f"TensorFlow {self._release}"
        exact = fact.versions.startswith("==") and "," not in fact.versions
        if exact and fact.name == self._it:
            return "it"
        if not fact.versions:
            return f"every {fact.name}"
        return f"{fact.name} {fact.versions[2:]}" if exact else f"{fact.name}{fact.versions.removesuffix('...')}"
