"""Binary search for the first release whose result differs: among lines, then, if wanted, among exact releases.

It starts nothing: it asks for trials.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from packaging.version import Version

from tfkernels.comparison import Comparison
from tfprovisioner.batch.bisect.verdict import BAD, GOOD, SKIPPED, Trial
from tfprovisioner.catalogue import releases as catalogue
from tfprovisioner.catalogue.releases import Release


@dataclass(frozen=True)
class Candidates:
    """Releases by exact number, the good end first, whichever end is older."""

    releases: tuple[str, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Lines and releases between the ends that cannot be tested on this machine, and why."""


def most_steps(count: int) -> int:
    """How many of ``count`` releases are tested at most, the two ends included; one more for each skipped release."""
    return min(count, 2) + max(0, math.ceil(math.log2(max(1, count - 1))))


@dataclass(frozen=True)
class Search:
    """The trials so far. Test ``next`` and search again with its trial, until it is ``None``.

    The ends come first. Then the middle of the releases that may still be the first bad one, without skipped ones.
    """

    asked: Candidates
    """Two releases at least, each once."""
    trials: Mapping[str, Trial] = field(default_factory=dict)
    """By release, in the order of the runs."""
    finer: Candidates | None = None
    """What is searched after an answer among ``asked``."""

    @property
    def releases(self) -> tuple[str, ...]:
        """The good end first and the bad end last, whichever is older."""
        return (self.finer or self.asked).releases

    @property
    def next(self) -> str | None:
        """The release to test; ``None`` if there is an answer, or a ``problem``."""
        if self.problem is not None:
            return None
        for end in (self.releases[0], self.releases[-1]):
            if end not in self.trials:
                return end
        untested = [release for release in self.between if release not in self.trials]
        return untested[len(untested) // 2] if untested else None

    @property
    def problem(self) -> str | None:
        """Why the ends leave nothing to search for; ``None`` if they do, or are not tested yet."""
        good, bad = self.releases[0], self.releases[-1]
        tested = [self.trials[end] for end in (good, bad) if end in self.trials]
        for trial in tested:
            if trial.verdict == SKIPPED:
                advice = "Choose another release for it."
                return f"{trial.release} is an end of the search, and cannot be tested. {advice} {trial.why}".rstrip()
        found = [trial.verdict for trial in tested]
        if len(found) < 2 or found == [GOOD, BAD]:
            return None
        if found == [BAD, GOOD]:
            return f"The ends are swapped: {good} is bad and {bad} is good. Swap --good and --bad."
        return f"{good} and {bad} do not differ: both are {found[0]}. So there is no change between them to find."

    @property
    def last_good(self) -> str:
        """The good release nearest to the bad end."""
        return self._first(GOOD, self.releases[::-1])

    @property
    def first_bad(self) -> str:
        """The bad release nearest to the good end."""
        return self._first(BAD, self.releases)

    def _first(self, verdict: str, releases: tuple[str, ...]) -> str:
        return next(each for each in releases if each in self.trials and self.trials[each].verdict == verdict)

    @property
    def between(self) -> tuple[str, ...]:
        """The releases between ``last_good`` and ``first_bad``. At the end all of them are skipped ones.

        Any of them, or ``first_bad``, is then the first bad release.
        """
        return self.releases[self.releases.index(self.last_good) + 1 : self.releases.index(self.first_bad)]

    @property
    def decided(self) -> bool:
        """Whether there is exactly one first bad release."""
        return self.problem is None and not self.between

    @property
    def comparison(self) -> Comparison | None:
        """The first bad release's value beside the good end's."""
        return None if self.problem else self.trials[self.first_bad].comparison

    def document(self) -> dict[str, Any]:
        """The answer, and how it was found, in plain values that JSON has."""
        nothing = self.problem is not None
        return {
            "good": self.asked.releases[0],
            "bad": self.asked.releases[-1],
            "decided": self.decided,
            "problem": self.problem,
            "last_good": None if nothing else self.last_good,
            "first_bad": None if nothing else self.first_bad,
            "skipped_between": [] if nothing else list(self.between),
            "left_out": {**self.asked.left_out, **(self.finer.left_out if self.finer else {})},
            "trials": [
                {**asdict(replace(trial, comparison=None)), "largest_error": trial.largest_error}
                for trial in self.trials.values()
            ],
            "difference": None if self.comparison is None else self.comparison.to_dict(),
        }


def bisect(candidates: Candidates, test: Callable[[str], Trial], exactly: bool = False) -> Search:
    """Tests releases until the first bad one is known.

    ``exactly`` goes on among all releases between the last good and the first bad one.
    """
    search = _finished(Search(candidates), test)
    if exactly and search.problem is None:
        search = _finished(replace(search, finer=patches(search.last_good, search.first_bad)), test)
    return search


def _finished(search: Search, test: Callable[[str], Trial]) -> Search:
    while (release := search.next) is not None:
        search = replace(search, trials={**search.trials, release: test(release)})
    return search


def lines(good: Release, bad: Release) -> Candidates:
    """The newest patch release of every line between two releases, and these themselves.

    If both are of one line: its patch releases between the two. A withdrawn release counts if its line has no other.
    """
    if good.line == bad.line:
        return patches(good.version, bad.version)
    newest: dict[str, Release | None] = {}
    low, high = sorted((Version(good.line), Version(bad.line)))
    for release in catalogue.releases():  # from old to new
        if low < Version(release.line) < high:
            best = newest.setdefault(release.line, None)
            if _is_available(release) and (best is None or release.yanked is None or best.yanked is not None):
                newest[release.line] = release
    between = [release.version for release in newest.values() if release is not None]
    missing = [line for line, release in newest.items() if release is None]
    return Candidates(_from(good.version, between, bad.version), dict.fromkeys(missing, _no_wheels()))


def patches(good: str, bad: str) -> Candidates:
    """Every release between two, except withdrawn ones."""
    low, high = sorted((Version(good), Version(bad)))
    between, left_out = [], {}
    for release in catalogue.releases():
        if low < Version(release.version) < high:
            if not _is_available(release):
                left_out[release.version] = _no_wheels()
            elif release.yanked is not None:
                left_out[release.version] = f"withdrawn: {release.yanked}"
            else:
                between.append(release.version)
    return Candidates(_from(good, between, bad), left_out)


def _from(good: str, between: Iterable[str], bad: str) -> tuple[str, ...]:
    return (good, *sorted(between, key=Version, reverse=Version(good) > Version(bad)), bad)


def _is_available(release: Release) -> bool:
    return catalogue.platform_name() in release.platforms


def _no_wheels() -> str:
    return f"no wheels for {catalogue.platform_name()}"
