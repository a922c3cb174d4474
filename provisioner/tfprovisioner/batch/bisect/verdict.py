"""The verdict on one release: good or bad, or not testable."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tfkernels.comparison import Comparison, compare
from tfprovisioner.batch.outcomes import Executed, Failure
from tfprovisioner.batch.recorded import Record
from tfprovisioner.batch.report.verdicts import VALUE_ERRORS, explained, largest_error
from tfprovisioner.errors import Unusable

GOOD, BAD, SKIPPED = "good", "bad", "skipped"
"""The verdict on a release: as the good end, as the bad end, or impossible to test."""


class SeveralRecords(Unusable):
    """The notebook records several results, and the user did not choose one."""


@dataclass(frozen=True)
class Trial:
    """The test of one release."""

    release: str
    verdict: str
    why: str = ""
    """In a few words."""
    python: str = ""
    seconds: float = 0.0
    """Of the run, without the build of its environment."""
    comparison: Comparison | None = None
    """With the good end's value, if values are compared."""

    @property
    def largest_error(self) -> float | None:
        return None if self.comparison is None else largest_error(self.comparison.parts)


class Criterion:
    """Decides by one recorded value, by an expression, or by whether the notebook runs to its end.

    The first run must be that of the good end: its value is the reference for all others.
    """

    def __init__(
        self, record: str | None = None, test: str | None = None, rtol: float | None = None, atol: float | None = None
    ) -> None:
        self.record = record
        """``None`` until the first run, if the user chose none; empty if the notebook records nothing."""
        self.test = test
        self._rtol, self._atol = rtol, atol
        self._reference: tuple[str, Record, Any] | None = None

    def __str__(self) -> str:
        """In words."""
        if self.test is not None:
            return f"whether {self.test} is true after the last cell"
        if self.record:
            return f"what the notebook records as {self.record!r}"
        return "what the notebook records" if self.record is None else "whether the notebook runs to its end"

    def decide(self, release: str, executed: Executed, records: Sequence[Record]) -> Trial:
        """The verdict on a run. Recorded tolerances take precedence. Raises ``SeveralRecords``."""
        if self.test is None and self.record is None:
            if len(records) > 1:
                names = ", ".join(repr(record.name) for record in records)
                raise SeveralRecords(f"The notebook records several results. Choose one with --record: {names}")
            self.record = records[0].name if records else ""
        verdict, why, comparison = self._verdict(release, executed, records)
        outcome = executed.outcome
        return Trial(release, verdict, why, outcome.python, outcome.seconds, comparison)

    def _verdict(
        self, release: str, executed: Executed, records: Sequence[Record]
    ) -> tuple[str, str, Comparison | None]:
        failure = executed.outcome.failure
        if self.record:
            record = next((record for record in records if record.name == self.record), None)
            if record is None:
                return SKIPPED, _line(failure) if failure else f"it records nothing as {self.record!r}", None
            return self._compared(release, record)
        # Without a cell, the kernel did not even start, which says nothing about the notebook.
        if failure is not None and (self.test is not None or failure.cell is None):
            return SKIPPED, _line(failure), None
        if self.test is not None:
            return (GOOD, "true", None) if executed.checked else (BAD, "false", None)
        return (BAD, _line(failure), None) if failure else (GOOD, "runs to its end", None)

    def _compared(self, release: str, record: Record) -> tuple[str, str, Comparison | None]:
        try:
            value = record.value()
            if self._reference is None:
                self._reference = release, record, value
                return GOOD, record.summary, None
            first, first_record, reference = self._reference
            comparison = compare(
                {first: reference, release: value},
                rtol=self._rtol if first_record.rtol is None else first_record.rtol,
                atol=self._atol if first_record.atol is None else first_record.atol,
            )
        except VALUE_ERRORS as error:
            return SKIPPED, explained(error), None
        difference = comparison.first_difference
        if difference is None:
            return GOOD, "agrees", comparison
        return BAD, f"differs in {difference.path}" if len(comparison.parts) > 1 else "differs", comparison


def _line(failure: Failure) -> str:
    first = next((line for line in failure.message.splitlines() if line.strip()), "")
    return f"{failure.kind}: {first}" if first else failure.kind
