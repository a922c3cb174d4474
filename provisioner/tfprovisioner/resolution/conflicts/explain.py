"""The error that says all conflicts of a request's requirements at once, and perhaps how to loosen them."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from tfprovisioner.errors import BadRequirement
from tfprovisioner.requirements.lines import without_hashes
from tfprovisioner.resolution.conflicts import search
from tfprovisioner.resolution.conflicts.causes import causes, causes_of_conda
from tfprovisioner.resolution.conflicts.loosen import Change, Versions, proposal
from tfprovisioner.resolution.conflicts.search import Core, Found, Refusal
from tfprovisioner.system import uv

_ADVICE = {
    r" wheel for ": "Name a folder with the missing wheels: --find-links.",
    r"^the index has no": "Correct the name or version, or choose another index: --index.",
    r"^the channels have no": "Correct the name or version, or name a channel that has it: --channel.",
}
"""What helps beside other versions, by a pattern in a cause."""


@dataclass(frozen=True)
class Conflict:
    """Requirements of the user's that cannot be fulfilled together with all that is needed."""

    requirements: tuple[str, ...]
    """As the user wrote them: one if it conflicts with TensorFlow's needs or a kernel's, or cannot be had."""
    causes: tuple[str, ...]
    """Against which pin or bound they stand, and whose that is."""
    in_any_version: tuple[str, ...] = ()
    """Those of ``requirements`` that conflict also in other versions."""
    output: str = ""
    """The solver's words."""

    def text(self, places: Mapping[str, str]) -> str:
        """One line. ``places`` has the files and numbers of the lines that requirements are from."""
        named = []
        for line in self.requirements:
            place = f" ({places[line]})" if line in places else ""
            wide = " in any version" if line in self.in_any_version and len(self.requirements) > 1 else ""
            named.append(f"{without_hashes(line)}{place}{wide}")
        return f"{' and '.join(named)}: {'; '.join(self.causes) or f'the solver reported: {self.output}'}"


class Conflicts(BadRequirement):
    """All conflicts of a request. ``changes`` resolve them, if that was asked for."""

    def __init__(
        self, heading: str, found: Sequence[Conflict], least: int, changes: tuple[Change, ...] | None = None
    ) -> None:
        self.heading, self.found, self.changes = heading, tuple(found), changes
        self.least = least
        """How many requirements have to change."""
        super().__init__(self.text({}))

    def text(self, places: Mapping[str, str]) -> str:
        """The message. ``places`` has the files and numbers of the lines that requirements are from."""
        causes = [cause for conflict in self.found for cause in conflict.causes]
        advice = [text for pattern, text in _ADVICE.items() if any(map(re.compile(pattern).search, causes))]
        advice += dict.fromkeys(filter(None, (_of_the_day(conflict.output) for conflict in self.found)))
        if self.changes is None:
            many = f"{self.least} requirements have" if self.least > 1 else "One requirement has"
            advice.append(f"{many} to change. To see how, add --relax to tfkernels install.")
        elif not self.changes:
            advice.append("TensorFlow itself cannot be installed like this, either. Run the same command without them.")
        lines = (f"  {conflict.text(places)}" for conflict in self.found)
        return "\n".join([f"{self.heading}:", *lines, " ".join(advice)]).rstrip()

    @property
    def document(self) -> dict[str, Any]:
        """As JSON, with ``changes`` if they were asked for."""
        changes = None if self.changes is None else [asdict(change) for change in self.changes]
        return {"conflicts": [asdict(conflict) for conflict in self.found], "changes": changes}

    @property
    def for_wheels(self) -> bool:
        """Whether each is about a wheel that is missing, and nothing else."""
        return all(len(one.causes) == 1 and " wheel for " in one.causes[0] for one in self.found)

    def relaxed(self, extras: Iterable[str]) -> tuple[str, ...]:
        """Requirements after the changes."""
        changed = {change.old: change.new for change in self.changes or ()}
        return tuple(new for new in (changed.get(line, line) for line in extras) if new)


def _of_the_day(output: str) -> str:
    """What helps if uv left out files that are younger than the day of ``--as-of``."""
    words = " ".join(output.split())  # uv breaks its lines where it likes
    cause = next((cause for pattern, cause in uv.OF_THE_DAY.items() if re.search(pattern, words)), "")
    return cause and f"{cause[0].upper()}{cause[1:]}."


@dataclass(frozen=True)
class Search:
    """How to search the conflicts of requirements for one release on one Python."""

    lines: Mapping[str, str]
    """Requirements as they are resolved, each with what the user wrote."""
    release: str
    python: str
    """Its version."""
    refusal: Refusal
    versions: Versions
    builds: Mapping[str, str] = field(default_factory=dict)
    """Packages whose builds from source failed in these resolutions, each with the cause."""
    conda: bool = False
    """Whether conda's solver speaks in place of uv."""

    def conflicts(
        self, others: Mapping[str, str], output: str | None, relax: bool, step: Callable[[str], None]
    ) -> Conflicts | None:
        """The error for requirements that were refused with ``output``; ``None`` if the user's have no part in it.

        ``others`` have conflicts that are known already, each with its cause. ``step`` gets the steps of the search.
        """

        def progress(found: int) -> None:
            step(f"looking for all conflicts: {len(others) + found} found")

        progress(0)
        rest = [line for line in self.lines if line not in others]
        found = Found(()) if output is None else search.find(rest, output, self.refusal, progress)
        if found is None:
            return None
        conflicts = [Conflict((self.lines[line],), (cause,)) for line, cause in others.items()]
        for core in found.cores:
            wide = tuple(self.lines[line] for line, tried in zip(core.lines, core.tried, strict=True) if line != tried)
            known = self._causes(core)
            conflicts.append(Conflict(tuple(self.lines[line] for line in core.lines), known, wide, core.output))
        changes: tuple[Change, ...] | None = () if relax else None
        if relax and found.resolves:
            step("looking for the smallest change with which all fit")
            changes = tuple(Change(line, search.REMOVED, "") for line in others)
            changes += proposal(rest, found.wide, self.refusal, self.versions)
            changes = tuple(replace(change, old=self.lines[change.old]) for change in changes)
        order = list(self.lines.values())
        conflicts.sort(key=lambda conflict: min(map(order.index, conflict.requirements)))
        involved = {line for conflict in conflicts for line in conflict.requirements}
        which = f"{len(involved)} of {len(self.lines)} requirements"
        if len(involved) == 1:
            which = repr(without_hashes(involved.pop()))
        minor = ".".join(self.python.split(".")[:2])
        heading = f"Cannot add {which} to TensorFlow {self.release} on Python {minor}"
        return Conflicts(heading, conflicts, len(others) + len(found.wide), changes)

    def _causes(self, core: Core) -> tuple[str, ...]:
        if self.conda:
            return causes_of_conda(core.tried, core.output, self.release, self.python)
        return causes(core.tried, core.output, self.release, self.python, self.builds)
