"""``junit.xml``, for continuous integration: a suite for each case, a test for each run and for each verdict.

What a cell raised is a failure; what kept a run from running, or a value from being read, is an error.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite

from tfprovisioner.batch.report.cases import Placed
from tfprovisioner.batch.report.failures import tell
from tfprovisioner.batch.report.json import relative
from tfprovisioner.batch.report.model import Report
from tfprovisioner.batch.report.verdicts import NOT_COMPARED, UNREADABLE, Verdict

NAME = "tfkernels"

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")

# What XML 1.0 cannot have, not even escaped
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(report: Report, folder: Path) -> bytes:
    """XML in UTF-8; paths relative to ``folder``."""
    whole = JUnitXml(NAME)
    for case in report.cases:
        suite = TestSuite(_clean(case))
        started = min((item.found.outcome.started for item in report.runs if item.case == case), default="")
        if _TIME.match(started):
            suite.timestamp = started[:19]
        suite.add_testcases(list(_tests(report, case, folder)))  # one by one it counts all of them again each time
        whole.add_testsuite(suite)
    whole.update_statistics()
    text: bytes = whole.tostring()
    return text


def _tests(report: Report, case: str, folder: Path) -> Iterator[TestCase]:
    for item in report.runs:
        if item.case == case:
            yield _of_run(item, folder)
    for run in report.pending:
        if run.case == case:
            yield _test(case, f"{run.kernel}: runs", Skipped("it has not run"))
    for result in report.results:
        if result.case == case:
            for verdict in result.verdicts.values():
                yield _of_verdict(verdict, report.baseline)


def _of_run(item: Placed, folder: Path) -> TestCase:
    outcome, told = item.found.outcome, tell(item.found)
    found: Any = None
    if told is not None:
        where = f"{told.where}: " if told.where else ""
        kind = Failure if told.where else Error
        found = kind(_clean(where + told.headline), _clean(outcome.failure.kind if outcome.failure else ""))
        found.text = _clean("\n\n".join(filter(None, (told.cell, told.traceback))))
    test = _test(item.case, f"{item.side}: runs", found)
    test.time = round(outcome.seconds, 3)
    facts = [f"TensorFlow {outcome.tensorflow}", f"Python {outcome.python}", f"on {outcome.host}"]
    known = [fact for fact in facts if not fact.endswith(" ")]
    test.system_out = _clean("\n".join([", ".join(known), relative(item.found.path, folder)]).strip())
    return test


def _of_verdict(verdict: Verdict, baseline: str) -> TestCase:
    found: Any = None
    if verdict.state == NOT_COMPARED:
        found = Skipped(_clean(verdict.reason))
    elif verdict.differs:
        kind = Error if verdict.state == UNREADABLE else Failure
        found = kind(_clean(f"{verdict.state}: {verdict.reason}"), verdict.state)
        found.text = _clean("" if verdict.comparison is None else repr(verdict.comparison))
    return _test(verdict.case, f"{verdict.side}: {verdict.name} as in {baseline}", found)


def _test(case: str, name: str, found: Any) -> TestCase:
    # Jenkins takes what precedes the last dot of a class for its package.
    test = TestCase(_clean(name), _clean(case).replace(".", "_"), 0)
    if found is not None:
        test.result = [found]
    return test


def _clean(text: str) -> str:
    return _FORBIDDEN.sub(lambda found: ascii(found[0])[1:-1], text)
