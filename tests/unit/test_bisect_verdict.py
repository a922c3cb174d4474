"""What a bisection chooses from, what it asks of a run, and the answer that comes of it. No kernel is started here."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfkernels.recording import VALUE
from tfkernels.transfer.encoder import ValueMessage
from tfprovisioner.batch.bisect.search import Candidates, bisect, lines, most_steps
from tfprovisioner.batch.bisect.verdict import BAD, GOOD, SKIPPED, Criterion, SeveralRecords, Trial
from tfprovisioner.batch.outcomes import FAILED, PASSED, Executed, Failure, Outcome
from tfprovisioner.batch.recorded import Record
from tfprovisioner.batch.tasks import Run
from tfprovisioner.catalogue import releases as catalogue


def recorded(name: str, value: Any, rtol: float | None = None) -> Record:
    content = bytes(ValueMessage({VALUE: value}).to_bytes())
    digest = hashlib.sha256(content).hexdigest()
    return Record(name, "a value", rtol, None, digest, len(content), b64encode(content).decode(), Path("nowhere"))


def ran(failure: Failure | None = None, checked: bool | None = None) -> Executed:
    outcome = Outcome(Run("nb-tf1", "nb.ipynb", "tf1"), FAILED if failure else PASSED, "", failure=failure)
    return Executed(outcome, "", checked=checked)


RAISED = Failure("AttributeError", "no attribute 'Session'\nand more", cell=1)


# Lines and releases


def between(good: str, bad: str) -> tuple[str, ...]:
    return lines(catalogue.find(good), catalogue.find(bad)).releases


def test_the_newest_of_each_line_is_a_candidate() -> None:
    assert between("1.14", "2.2") == ("1.14.0", "1.15.5", "2.0.4", "2.1.4", "2.2.3")
    assert between("2.2", "1.14") == ("2.2.3", "2.1.4", "2.0.4", "1.15.5", "1.14.0")
    assert between("2.9", "2.12")[1:-1] == ("2.10.1", "2.11.1")  # as numbers, not as text


def test_an_exact_release_is_an_end_itself() -> None:
    assert between("1.15.0", "2.0.0") == ("1.15.0", "2.0.0")


def test_within_a_line_patches_are_candidates() -> None:
    assert between("2.4.0", "2.4.4") == ("2.4.0", "2.4.1", "2.4.2", "2.4.3", "2.4.4")


def test_lines_without_wheels_here_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "platform_name", lambda: "windows-x86_64")
    found = lines(catalogue.find("1.9"), catalogue.find("1.11"))
    assert found.releases == ("1.9.0", "1.10.0", "1.11.0")  # 1.10.1 is for Linux and macOS only
    assert lines(catalogue.find("1.3"), catalogue.find("1.5")).releases == ("1.3.0", "1.4.0", "1.5.1")
    monkeypatch.setattr(catalogue, "platform_name", lambda: "linux-aarch64")
    found = lines(catalogue.find("2.8"), catalogue.find("2.11"))
    assert found.releases == ("2.8.4", "2.10.1", "2.11.1")
    assert found.left_out == {"2.9": "no wheels for linux-aarch64"}


# Verdicts


def test_a_record_is_good_if_close_to_good() -> None:
    criterion = Criterion("loss")
    x = np.linspace(0, 1, 100, dtype="float32")
    assert criterion.decide("1.14.0", ran(), [recorded("loss", x)]).verdict == GOOD
    close = criterion.decide("1.15.5", ran(), [recorded("other", 1), recorded("loss", x * np.float32(1 + 1e-6))])
    assert (close.verdict, close.why) == (GOOD, "agrees")
    far = criterion.decide("2.0.4", ran(), [recorded("loss", x + np.float32(0.5))])
    assert (far.verdict, far.why) == (BAD, "differs")
    assert far.largest_error == pytest.approx(0.5)
    assert far.comparison is not None
    assert "1.14.0 and 2.0.4 differ" in str(far.comparison)


def test_the_tolerance_is_the_notebooks_else_the_options() -> None:
    def verdict(rtol: float | None, option: float | None) -> str:
        criterion = Criterion("loss", rtol=option, atol=0)
        criterion.decide("1.14.0", ran(), [recorded("loss", 1.0, rtol)])
        return criterion.decide("2.0.4", ran(), [recorded("loss", 1.01, rtol)]).verdict

    assert verdict(None, None) == BAD
    assert verdict(None, 0.1) == GOOD
    assert verdict(0.1, None) == GOOD
    assert verdict(1e-3, 0.1) == BAD


def test_missing_records_skip_the_release() -> None:
    criterion = Criterion("loss")
    assert criterion.decide("1.14.0", ran(RAISED), [recorded("loss", 1.0)]).verdict == GOOD
    failed = criterion.decide("1.15.5", ran(RAISED), [])
    assert (failed.verdict, failed.why) == (SKIPPED, "AttributeError: no attribute 'Session'")
    assert criterion.decide("2.0.4", ran(), []).why == "it records nothing as 'loss'"


@pytest.mark.parametrize("error", [MemoryError("no room"), RecursionError("no room"), ImportError("no room")])
def test_values_that_cannot_be_read_skip_the_release(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Record) -> Any:
        raise error

    criterion = Criterion("loss")
    assert criterion.decide("1.14.0", ran(), [recorded("loss", 1.0)]).verdict == GOOD
    monkeypatch.setattr(Record, "value", fail)
    trial = criterion.decide("2.0.4", ran(), [recorded("loss", 1.0)])
    assert (trial.verdict, trial.why) == (SKIPPED, f"{type(error).__name__}: no room")


def test_the_only_record_or_the_exit_decides() -> None:
    only = Criterion()
    assert only.decide("1.14.0", ran(), [recorded("loss", 1.0)]).verdict == GOOD
    assert str(only) == "what the notebook records as 'loss'"
    assert only.decide("2.0.4", ran(), [recorded("loss", 2.0)]).verdict == BAD
    none = Criterion()
    assert [none.decide("1.14.0", ran(), []).verdict, none.decide("2.0.4", ran(RAISED), []).verdict] == [GOOD, BAD]
    with pytest.raises(SeveralRecords, match="'loss', 'weights'"):
        Criterion().decide("1.14.0", ran(), [recorded("loss", 1.0), recorded("weights", 1.0)])


def test_unstarted_kernels_have_no_verdict() -> None:
    assert Criterion().decide("2.0.4", ran(Failure("KernelDied", "exit code 1")), []).verdict == SKIPPED
    assert Criterion().decide("2.0.4", ran(Failure("KernelDied", "signal 11", cell=3)), []).verdict == BAD


def test_an_evaluated_expression_decides() -> None:
    criterion = Criterion(test="loss < 1")
    assert criterion.decide("1.14.0", ran(checked=True), [recorded("loss", 1.0), recorded("b", 1)]).verdict == GOOD
    assert criterion.decide("2.0.4", ran(checked=False), []).verdict == BAD
    assert criterion.decide("2.1.4", ran(RAISED), []).verdict == SKIPPED


# From the first release to the answer


def test_patch_bisection_runs_no_release_twice() -> None:
    # 2.4.0 and 2.4.1 are as 2.3 was
    verdicts = {f"2.4.{patch}": GOOD if patch < 2 else BAD for patch in range(5)}

    run: list[str] = []

    def test(release: str) -> Trial:
        run.append(release)
        line = int(release.split(".")[1])
        return Trial(release, verdicts.get(release, GOOD if line < 4 else BAD))

    candidates = Candidates(between("2.0", "2.8"))
    found = bisect(candidates, test, exactly=True)
    assert (found.last_good, found.first_bad) == ("2.4.1", "2.4.2")
    assert run == list(found.trials)
    assert len(set(run)) == len(run) <= most_steps(len(candidates.releases)) + 3
    document = found.document()
    assert (document["good"], document["bad"]) == ("2.0.4", "2.8.4")
    assert (document["decided"], document["last_good"], document["first_bad"]) == (True, "2.4.1", "2.4.2")


def test_an_untestable_end_stops_with_the_reason() -> None:
    found = bisect(Candidates(("2.0.4", "2.1.4")), lambda release: Trial(release, SKIPPED, "No Python."))
    assert list(found.trials) == ["2.0.4"]
    assert not found.decided
    assert found.document()["problem"] == (
        "2.0.4 is an end of the search, and cannot be tested. Choose another release for it. No Python."
    )
