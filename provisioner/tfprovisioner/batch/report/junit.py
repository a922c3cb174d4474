"""``junit.xml``, for continuous integration: a suite for each case, a test for each run and for each comparison.

An exception of a cell is a failure; a run that did not start, or a value that cannot be read, is an error.
"""

import re
from collections.abc import Iterator
from typing import Any

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite

from tfprovisioner.batch.report import failures
from tfprovisioner.batch.report.json import Entry
from tfprovisioner.batch.report.model import Report
from tfprovisioner.batch.report.verdicts import DIFFERING, NOT_COMPARED, UNREADABLE

SUITES_NAME = "tfkernels"

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")

# What XML 1.0 cannot have, not even escaped
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def to_bytes(report: Report) -> bytes:
    """XML in UTF-8."""
    whole = JUnitXml(SUITES_NAME)
    for case in report.cases:
        suite = TestSuite(_clean(case))
        started = min((run["started"] for run in report.runs if run["case"] == case and "started" in run), default="")
        if _TIME.match(started):
            suite.timestamp = started[:19]
        suite.add_testcases(list(_tests(report, case)))  # one by one it counts all of them again each time
        whole.add_testsuite(suite)
    whole.update_statistics()
    text: bytes = whole.tostring()
    return text


def _tests(report: Report, case: str) -> Iterator[TestCase]:
    for run in report.runs:
        if run["case"] == case:
            yield _of_run(run)
    for row in report.rows:
        if row.case == case:
            for comparison in row.comparisons.values():
                yield _of_comparison(comparison, report)


def _of_run(run: Entry) -> TestCase:
    name = f"{run['side']}: runs"
    if run["state"] == "pending":
        return _test(run["case"], name, Skipped("it has not run"))
    found: Any = None
    headline, where = failures.headline(run), failures.where(run)
    if headline:
        failure = run["failure"] or {"kind": "", "source": "", "traceback": ""}
        kind = Failure if where else Error
        found = kind(_clean(f"{where}: {headline}" if where else headline), _clean(failure["kind"]))
        parts = (failures.block(failure["source"], failures.MAX_CELL_LINES), failures.block(failure["traceback"]))
        found.text = _clean("\n\n".join(filter(None, parts)))
    test = _test(run["case"], name, found)
    test.time = round(float(run["seconds"]), 3)
    facts = [f"TensorFlow {run['tensorflow']}", f"Python {run['python']}", f"on {run['host']}"]
    known = [fact for fact in facts if not fact.endswith(" ")]
    test.system_out = _clean("\n".join([", ".join(known), run["output"]]).strip())
    return test


def _of_comparison(comparison: Entry, report: Report) -> TestCase:
    case, name, side, verdict = (comparison[key] for key in ("case", "name", "side", "verdict"))
    found: Any = None
    if verdict == NOT_COMPARED:
        found = Skipped(_clean(comparison["reason"]))
    elif verdict in DIFFERING:
        kind = Error if verdict == UNREADABLE else Failure
        found = kind(_clean(f"{verdict}: {comparison['reason']}"), verdict)
        view = report.views.get((case, name, side))
        found.text = _clean(view.text if view else "")
    return _test(case, f"{side}: {name} as in {report.baseline}", found)


def _test(case: str, name: str, found: Any) -> TestCase:
    # Jenkins takes what precedes the last dot of a class for its package.
    test = TestCase(_clean(name), _clean(case).replace(".", "_"), 0)
    if found is not None:
        test.result = [found]
    return test


def _clean(text: str) -> str:
    return _FORBIDDEN.sub(lambda found: ascii(found[0])[1:-1], text)
