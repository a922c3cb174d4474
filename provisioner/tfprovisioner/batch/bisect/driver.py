"""A bisection from the first release to the answer: among release lines, then, if wanted, among exact releases."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from tfkernels.comparison import Comparison
from tfprovisioner.batch.bisect.releases import Candidates, patches
from tfprovisioner.batch.bisect.search import Search
from tfprovisioner.batch.bisect.verdict import Trial


@dataclass(frozen=True)
class Bisected:
    """The answer, and how it was found."""

    ends: tuple[str, str]
    """The good and the bad release of the question."""
    search: Search
    """The last one: that among exact releases if there were two."""
    trials: tuple[Trial, ...]
    """In the order of the runs."""
    left_out: Mapping[str, str]
    """Releases that cannot be tested on this machine, and why."""

    @property
    def decided(self) -> bool:
        """Whether there is exactly one first bad release."""
        return self.search.problem is None and not self.search.between

    @property
    def problem(self) -> str | None:
        """Why there is nothing to find; with the reason if an end could not be tested."""
        problem = self.search.problem
        untested = [trial.why for trial in self.trials if trial.release == self.search.unusable_end]
        return f"{problem} {untested[0]}" if problem and untested else problem

    @property
    def comparison(self) -> Comparison | None:
        """The first bad release's value beside the good end's."""
        found = {trial.release: trial.comparison for trial in self.trials}
        return None if self.problem else found[self.search.first_bad]

    def document(self) -> dict[str, Any]:
        """Plain values that JSON has."""
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
            "trials": [
                {**asdict(replace(trial, comparison=None)), "largest_error": trial.largest_error}
                for trial in self.trials
            ],
            "difference": None if self.comparison is None else self.comparison.to_dict(),
        }


def bisect(
    candidates: Candidates, test: Callable[[str], Trial], tell: Callable[[Trial], None], exactly: bool = False
) -> Bisected:
    """Tests releases until the first bad one is known; ``tell`` gets every trial.

    ``exactly`` goes on among all releases between the last good and the first bad one.
    """
    trials: dict[str, Trial] = {}

    def finished(releases: tuple[str, ...]) -> Search:
        while True:
            search = Search(releases, {name: trial.verdict for name, trial in trials.items()})
            release = search.next
            if release is None:
                return search
            trials[release] = test(release)
            tell(trials[release])

    search, left_out = finished(candidates.releases), dict(candidates.left_out)
    if exactly and search.problem is None:
        finer = patches(search.last_good, search.first_bad)
        left_out.update(finer.left_out)
        search = finished(finer.releases)
    return Bisected((candidates.releases[0], candidates.releases[-1]), search, tuple(trials.values()), left_out)
