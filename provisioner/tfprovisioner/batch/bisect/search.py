"""Binary search for the first release whose result differs. It starts nothing: it asks for verdicts."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

GOOD, BAD, SKIPPED = "good", "bad", "skipped"
"""The verdict on a release: as the good end, as the bad end, or impossible to test."""


def most_steps(count: int) -> int:
    """How many of ``count`` releases are tested at most, the two ends included; one more for each skipped release."""
    return min(count, 2) + max(0, math.ceil(math.log2(max(1, count - 1))))


@dataclass(frozen=True)
class Search:
    """The verdicts so far. Test ``next`` and search again with its verdict, until it is ``None``.

    The ends come first. Then the middle of the releases that may still be the first bad one, without skipped ones.
    """

    releases: tuple[str, ...]
    """The good end first and the bad end last, whichever is older. Two at least, each once."""
    verdicts: Mapping[str, str]
    """Of these releases, and perhaps of others."""

    @property
    def next(self) -> str | None:
        """The release to test; ``None`` if there is an answer, or a ``problem``."""
        if self.problem is not None:
            return None
        for end in (self.releases[0], self.releases[-1]):
            if end not in self.verdicts:
                return end
        untested = [release for release in self.between if release not in self.verdicts]
        return untested[len(untested) // 2] if untested else None

    @property
    def problem(self) -> str | None:
        """Why the ends leave nothing to search for; ``None`` if they do, or are not tested yet."""
        good, bad = self.releases[0], self.releases[-1]
        found = self.verdicts.get(good), self.verdicts.get(bad)
        if self.unusable_end is not None:
            return f"{self.unusable_end} is an end of the search, and cannot be tested. Choose another release for it."
        if None in found or found == (GOOD, BAD):
            return None
        if found == (BAD, GOOD):
            return f"The ends are swapped: {good} is bad and {bad} is good. Swap --good and --bad."
        return f"{good} and {bad} do not differ: both are {found[0]}. So there is no change between them to find."

    @property
    def unusable_end(self) -> str | None:
        """An end that was skipped."""
        ends = (self.releases[0], self.releases[-1])
        return next((release for release in ends if self.verdicts.get(release) == SKIPPED), None)

    @property
    def last_good(self) -> str:
        """The good release nearest to the bad end."""
        return next(release for release in reversed(self.releases) if self.verdicts.get(release) == GOOD)

    @property
    def first_bad(self) -> str:
        """The bad release nearest to the good end."""
        return next(release for release in self.releases if self.verdicts.get(release) == BAD)

    @property
    def between(self) -> tuple[str, ...]:
        """The releases between ``last_good`` and ``first_bad``. At the end all of them are skipped ones.

        Any of them, or ``first_bad``, is then the first bad release.
        """
        start, end = self.releases.index(self.last_good), self.releases.index(self.first_bad)
        return self.releases[start + 1 : end]
