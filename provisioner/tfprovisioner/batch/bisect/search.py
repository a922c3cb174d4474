"""Which of many releases is the first whose result differs? The search alone: it asks for verdicts."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

GOOD, BAD, SKIPPED = "good", "bad", "skipped"
"""What a release turned out to be: as the good end, as the bad end, or impossible to test."""


def most_steps(count: int) -> int:
    """How many of ``count`` releases are tested at most, the two ends included, if all of them can be.

    Each that cannot be tested costs one step more.
    """
    return min(count, 2) + max(0, math.ceil(math.log2(max(1, count - 1))))


@dataclass(frozen=True)
class Search:
    """What is known so far. Ask for ``next``, test that, and go on with ``told``, until ``next`` is ``None``.

    The ends are tested first. Then the middle of what may still be the first bad one, those that were skipped left out.
    """

    releases: tuple[str, ...]
    """In order: the good end first and the bad end last, whichever of them is older. Two at least, each once."""
    verdicts: Mapping[str, str] = field(default_factory=dict)
    """``GOOD``, ``BAD`` or ``SKIPPED``, in the order in which they were told."""

    @property
    def next(self) -> str | None:
        """What to test now; ``None`` if there is an answer, or a ``problem``."""
        if self.problem is not None:
            return None
        for end in (self.releases[0], self.releases[-1]):
            if end not in self.verdicts:
                return end
        open_ones = [release for release in self.between if release not in self.verdicts]
        return open_ones[len(open_ones) // 2] if open_ones else None

    def told(self, release: str, verdict: str) -> "Search":
        return replace(self, verdicts={**self.verdicts, release: verdict})

    @property
    def problem(self) -> str | None:
        """Why the ends leave nothing to search for; ``None`` if they do not, or are not tested yet."""
        good, bad = self.releases[0], self.releases[-1]
        found = self.verdicts.get(good), self.verdicts.get(bad)
        if self.unusable_end is not None:
            return f"{self.unusable_end} is an end of the search, and cannot be tested. Choose another release for it."
        if None in found or found == (GOOD, BAD):
            return None
        if found == (BAD, GOOD):
            return f"It is the other way round: {good} is bad and {bad} is good. Swap --good and --bad."
        return f"{good} and {bad} do not differ: both are {found[0]}. So there is no change between them to find."

    @property
    def unusable_end(self) -> str | None:
        """An end that was skipped."""
        ends = (self.releases[0], self.releases[-1])
        return next((release for release in ends if self._is(release, SKIPPED)), None)

    @property
    def last_good(self) -> str:
        """The one nearest to the bad end that is known to be good."""
        return next(release for release in reversed(self.releases) if self._is(release, GOOD))

    @property
    def first_bad(self) -> str:
        """The one nearest to the good end that is known to be bad."""
        return next(release for release in self.releases if self._is(release, BAD))

    @property
    def between(self) -> tuple[str, ...]:
        """What lies between the last good one and the first bad one. At the end of the search: only skipped ones.

        Any of them, or ``first_bad``, is then the first that is bad.
        """
        start, end = self.releases.index(self.last_good), self.releases.index(self.first_bad)
        return self.releases[start + 1 : end]

    def _is(self, release: str, verdict: str) -> bool:
        return self.verdicts.get(release) == verdict
