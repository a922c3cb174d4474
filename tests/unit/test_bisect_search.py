"""The search for the first release that differs: the answer of a linear search, in as many steps as bisection takes."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfprovisioner.batch.bisect.search import Candidates, Search, bisect, most_steps
from tfprovisioner.batch.bisect.verdict import BAD, GOOD, SKIPPED, Trial


def finished(verdicts: dict[str, str]) -> Search:
    """The search among releases whose verdicts are known here, and not to it."""
    return bisect(Candidates(tuple(verdicts)), lambda release: Trial(release, verdicts[release]))


def changed(count: int, first_bad: int, skipped: frozenset[int] = frozenset()) -> dict[str, str]:
    """``count`` releases, good before ``first_bad`` and bad from there on."""
    names = {number: SKIPPED if number in skipped else GOOD if number < first_bad else BAD for number in range(count)}
    return {f"1.{number}": verdict for number, verdict in names.items()}


@given(st.integers(2, 300).flatmap(lambda count: st.tuples(st.just(count), st.integers(1, count - 1))))
def test_bisection_equals_linear_search_in_few_steps(case: tuple[int, int]) -> None:
    count, first_bad = case
    found = finished(changed(count, first_bad))
    assert (found.last_good, found.first_bad, found.between) == (f"1.{first_bad - 1}", f"1.{first_bad}", ())
    assert len(found.trials) <= most_steps(count) == 2 + math.ceil(math.log2(count - 1))


@given(st.data())
def test_untestable_releases_widen_the_answer_if_needed(data: st.DataObject) -> None:
    count = data.draw(st.integers(3, 60))
    first_bad = data.draw(st.integers(1, count - 1))
    verdicts = changed(count, first_bad, data.draw(st.frozensets(st.integers(1, count - 2))))
    found = finished(verdicts)
    known = [verdict for verdict in verdicts.values() if verdict != SKIPPED]
    testable = [release for release, verdict in verdicts.items() if verdict != SKIPPED]
    last_good = testable[known.index(BAD) - 1]  # of a linear search
    assert (found.last_good, found.first_bad) == (last_good, testable[known.index(BAD)])
    assert all(verdicts[release] == SKIPPED for release in found.between)
    met = sum(trial.verdict == SKIPPED for trial in found.trials.values())
    assert len(found.trials) <= most_steps(count) + met


def test_equal_ends_need_no_search() -> None:
    same = finished(dict.fromkeys(["2.0", "2.1", "2.2"], GOOD))
    assert list(same.trials) == ["2.0", "2.2"]
    assert same.problem == "2.0 and 2.2 do not differ: both are good. So there is no change between them to find."


@pytest.mark.parametrize(
    ("ends", "told"),
    [
        ((BAD, BAD), "both are bad"),
        ((BAD, GOOD), "Swap --good and --bad"),
        ((SKIPPED, BAD), "2.0 is an end of the search, and cannot be tested"),
        ((GOOD, SKIPPED), "2.2 is an end of the search, and cannot be tested"),
    ],
)
def test_ends_that_leave_nothing_to_search_are_told(ends: tuple[str, str], told: str) -> None:
    found = finished({"2.0": ends[0], "2.1": GOOD, "2.2": ends[1]})
    assert told in str(found.problem)
    assert "2.1" not in found.trials


def test_all_releases_take_eight_steps() -> None:
    assert most_steps(38) == 8
    assert (most_steps(1), most_steps(2), most_steps(3)) == (1, 2, 3)
