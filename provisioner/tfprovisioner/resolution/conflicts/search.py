"""The search for all conflicts of the user's requirements with TensorFlow's, a kernel's, and each other.

uv explains one conflict and stops. So the lines of that conflict are loosened and all is resolved again, until nothing
is left to explain. The last state is the smallest change with which all resolves. See docs/design/conflicts.md.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from tfprovisioner.requirements.lines import LIMIT, name_of

Refusal = Callable[[Sequence[str]], str | None]
"""What uv says of lines that cannot be resolved together; ``None`` if they can."""

REMOVED = ""
"""In place of a line that cannot hold in any version."""

_REMOVAL = 100
"""The cost of removing a line, where loosening one costs 1."""


@dataclass(frozen=True)
class Core:
    """Lines that cannot be resolved together; without any one of them they can."""

    lines: tuple[str, ...]
    """As the user wrote them."""
    tried: tuple[str, ...]
    """The same; of some perhaps any version, because what the user wrote has a conflict of its own."""
    output: str
    """uv's words about ``tried``."""


@dataclass(frozen=True)
class Found:
    """All conflicts of some lines, and what has to change."""

    cores: tuple[Core, ...]
    wide: Mapping[str, str] = field(default_factory=dict)
    """The fewest lines that have to change, each with the widest form in which all resolves, or ``REMOVED``."""
    resolutions: int = 0
    """How often uv was asked."""
    resolves: bool = True
    """Whether nothing else stands in the way: not what TensorFlow itself needs, either."""


def find(
    lines: Iterable[str], output: str, refusal: Refusal, progress: Callable[[int], None] = lambda _: None
) -> Found | None:
    """The conflicts of lines that uv refused with ``output``; ``None`` if it refuses even no lines at all.

    ``progress`` gets the number of conflicts found so far.
    """
    lines = list(dict.fromkeys(lines))
    asked = _Asked(refusal, tuple(lines), output)
    steps = [list(dict.fromkeys((line, any_version(line), REMOVED))) for line in lines]
    stands: list[Mapping[int, int]] = []
    cores: dict[frozenset[int], Core] = {}
    while True:
        chosen = _least_change(steps, stands)
        left = {line: steps[line][step] for line, step in enumerate(chosen) if steps[line][step] != REMOVED}
        words = asked(left.values())
        if words is None:
            break
        core, words = _smallest(left, words, asked)
        if not core:
            # What uv says of no lines at all, it also says of lines that have no part in it.
            cores = {key: one for key, one in cores.items() if one.output != words}
            if not cores:
                return None
            break
        stands.append({line: chosen[line] for line in core})
        # If lines conflict in any version, that is what the user has to know of them.
        cores[frozenset(core)] = Core(tuple(lines[line] for line in core), tuple(left[line] for line in core), words)
        progress(len(cores))
    wide = {lines[line]: steps[line][step] for line, step in enumerate(chosen) if step}
    return Found(tuple(cores.values()), wide, asked.times, resolves=words is None)


def any_version(line: str) -> str:
    """A line that allows every version; ``REMOVED`` if such a line says nothing, or is a file by its address.

    The index may have another package of the name of that file.
    """
    requirement = Requirement(line.removeprefix(LIMIT))
    if line.startswith(LIMIT) or requirement.url:
        return REMOVED
    requirement.specifier = SpecifierSet()
    return str(requirement)


class _Asked:
    """A refusal that is asked only once for the same lines."""

    def __init__(self, refusal: Refusal, lines: tuple[str, ...], output: str) -> None:
        self._refusal = refusal
        self._answers: dict[tuple[str, ...], str | None] = {lines: output}

    def __call__(self, lines: Iterable[str]) -> str | None:
        key = tuple(lines)
        if key not in self._answers:
            self._answers[key] = self._refusal(key)
        return self._answers[key]

    @property
    def times(self) -> int:
        return len(self._answers)


def _smallest(lines: Mapping[int, str], output: str, asked: _Asked) -> tuple[list[int], str]:
    """The fewest of some lines that cannot be resolved, and uv's words about these; none if no line has a part in it.

    What uv explains is about the packages that it names. So a single line that it names is enough, and of several
    lines a resolution shows which are needed.
    """

    def named(core: list[int], output: str) -> tuple[list[int], str]:
        some = [line for line in core if _names(output, lines[line])]
        if len(some) == 1:
            return some, output
        words = asked(lines[line] for line in some) if len(some) < len(core) else None
        return (core, output) if words is None else named(some, words) if some else ([], words)

    core, output = named(list(lines), output)
    start, size = 0, max(1, len(core) // 2)
    while len(core) > 1:
        rest = core[:start] + core[start + size :]
        words = asked(lines[line] for line in rest) if rest else None
        if words is not None:
            core, output = named(rest, words)
        else:
            start += size
        if start >= len(core):
            if size == 1:
                break
            start, size = 0, size // 2
    return core, output


def _names(output: str, line: str) -> bool:
    return re.search(rf"(?<![\w-]){re.escape(name_of(line.removeprefix(LIMIT)))}(?![\w-])", output) is not None


def _least_change(steps: Sequence[Sequence[str]], stands: Sequence[Mapping[int, int]]) -> list[int]:
    """The cheapest step of each line with which no conflict stands: each needs one line beyond its step there."""
    best: list[int] = []

    def cost(chosen: Sequence[int]) -> int:
        taken = ((steps[line][0], steps[line][step], step) for line, step in enumerate(chosen))
        return sum(_REMOVAL if new == REMOVED and not old.startswith(LIMIT) else step for old, new, step in taken)

    def descend(chosen: list[int]) -> None:
        nonlocal best
        if best and cost(chosen) >= cost(best):
            return
        open_ = next((one for one in stands if all(chosen[line] <= step for line, step in one.items())), None)
        if open_ is None:
            best = chosen
            return
        # Of two lines, rather a range than an exact version, and rather the later one.
        for line in sorted(open_, key=lambda line: ("==" in steps[line][0], -line)):
            if open_[line] + 1 < len(steps[line]):
                descend([*chosen[:line], open_[line] + 1, *chosen[line + 1 :]])

    descend([0] * len(steps))
    return best
