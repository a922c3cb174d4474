"""Bisecting from the first release to the answer: first among lines, then, if wanted, among exact releases."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from tfkernels.comparison import Comparison
from tfprovisioner.batch.bisect.releases import Lineup, patches
from tfprovisioner.batch.bisect.search import Search
from tfprovisioner.batch.bisect.verdict import Trial


@dataclass(frozen=True)
class Bisected:
    """The answer, and how it was found."""

    ends: tuple[str, str]
    """The good one and the bad one that were asked about."""
    search: Search
    """The last one: of several, that among exact releases."""
    trials: tuple[Trial, ...]
    """In the order in which they were run."""
    left_out: Mapping[str, str]
    """What could not even be tried, and why."""

    @property
    def decided(self) -> bool:
        """Whether there is one release that is the first bad one."""
        return self.search.problem is None and not self.search.between

    @property
    def problem(self) -> str | None:
        """Why there is nothing to find; with the reason if an end could not be tested."""
        problem = self.search.problem
        untested = [trial.why for trial in self.trials if trial.release == self.search.unusable_end]
        return f"{problem} {untested[0]}" if problem and untested else problem

    @property
    def comparison(self) -> Comparison | None:
        """The good end's value beside that of the first bad release."""
        found = {trial.release: trial.comparison for trial in self.trials}
        return None if self.problem else found[self.search.first_bad]

    def document(self) -> dict[str, Any]:
        """All of it as plain values that JSON has."""
        nothing = self.search.problem is not None
        return {
            "good": self.ends[0],
            "bad": self.ends[1],
            "decided": self.decided,
            "problem": self.problem,
            "last_good": None if nothing else self.search.last_good,
            "first_bad": None if nothing else self.search.first_bad,
            "skipped_between": [] if nothing else list(self.search.between),
            "left_out": dict(self.left_out),
            "trials": [_plain(trial) for trial in self.trials],
            "difference": None if self.comparison is None else self.comparison.to_dict(),
        }


def bisect(
    lineup: Lineup, test: Callable[[str], Trial], tell: Callable[[Trial], None], exactly: bool = False
) -> Bisected:
    """Tests releases until it is known which is the first bad one.

    ``tell`` gets every trial. ``exactly`` goes on with all releases between the last good
    and the first bad one. What ``test`` raises ends the search.
    """
    trials: list[Trial] = []

    def finished(search: Search) -> Search:
        while (release := search.next) is not None:
            trials.append(test(release))
            search = search.told(release, trials[-1].verdict)
            tell(trials[-1])
        return search

    search, left_out = finished(Search(lineup.releases)), dict(lineup.left_out)
    if exactly and search.problem is None:
        finer = patches(search.last_good, search.first_bad)
        left_out.update(finer.left_out)
        known = {release: search.verdicts[release] for release in finer.releases if release in search.verdicts}
        search = finished(Search(finer.releases, known))
    return Bisected((lineup.releases[0], lineup.releases[-1]), search, tuple(trials), left_out)


def _plain(trial: Trial) -> dict[str, Any]:
    return {**asdict(replace(trial, comparison=None)), "largest_error": trial.largest_error}
