"""Which test did what on which release."""

from dataclasses import dataclass, field
from typing import Any

from tfprovisioner.pytest_plugin.releases import Release

PASSED, FAILED, ERROR, SKIPPED, XFAILED, XPASSED = "passed", "failed", "error", "skipped", "xfailed", "xpassed"
OUTCOMES = (FAILED, ERROR, PASSED, SKIPPED, XFAILED, XPASSED)


@dataclass
class OfRelease:
    """The results of one release."""

    release: Release
    python: str = ""
    pytest: str = ""
    left_out: list[str] = field(default_factory=list)
    """Options whose plugin its environment lacks."""
    collected: list[str] = field(default_factory=list)
    deselected: int = 0
    outcomes: dict[str, str] = field(default_factory=dict)
    """By test, without the release."""
    reasons: dict[str, str] = field(default_factory=dict)
    """Why a test failed or was skipped, in one line."""
    problems: list[str] = field(default_factory=list)
    """Why tests of this release could not be collected or run."""
    seconds: float = 0.0

    def note(self, test: str, when: str, outcome: str, xfail: bool, reason: str) -> None:
        """Takes one phase of a test; the worst of them counts."""
        if outcome == FAILED:
            what = ERROR if when != "call" else FAILED
        elif outcome == SKIPPED:
            what = XFAILED if xfail else SKIPPED
        elif when == "call":
            what = XPASSED if xfail else PASSED
        else:
            return
        if what in (FAILED, ERROR) or self.outcomes.get(test) not in (FAILED, ERROR):
            self.outcomes[test] = what
        if reason:
            self.reasons[test] = reason

    def count(self, outcome: str) -> int:
        return sum(found == outcome for found in self.outcomes.values())

    def to_json(self) -> dict[str, Any]:
        return {
            "release": self.release.name, "tensorflow": self.release.version, "python": self.python,
            "pytest": self.pytest, "seconds": round(self.seconds, 3), "deselected": self.deselected,
            "left_out": self.left_out, "problems": self.problems,
            **{outcome: self.count(outcome) for outcome in OUTCOMES},
        }  # fmt: skip


def tests(results: list[OfRelease]) -> list[str]:
    """All tests, in the order of the first release that has them."""
    return list(dict.fromkeys(test for one in results for test in (*one.collected, *one.outcomes)))


def differing(results: list[OfRelease]) -> list[str]:
    """The tests that do not have the same outcome on all releases."""
    return [test for test in tests(results) if len({one.outcomes.get(test) for one in results}) > 1]


def to_json(results: list[OfRelease]) -> dict[str, Any]:
    """The content of ``--tf-report FILE.json``."""
    table = []
    for test in tests(results):
        outcomes = {one.release.name: one.outcomes.get(test) for one in results}
        reasons = {one.release.name: one.reasons[test] for one in results if test in one.reasons}
        table.append({"test": test, "outcomes": outcomes, "reasons": reasons})
    return {"format": 1, "releases": [one.to_json() for one in results], "tests": table}
