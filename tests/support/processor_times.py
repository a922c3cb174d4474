"""Processor seconds of tests: ``pytest --processor-times 40`` shows the 40 tests that used most, and each file.

They count this process and all that it started. Durations depend on who else uses the machine.
"""

from __future__ import annotations

import resource
from collections.abc import Generator
from contextlib import suppress

import psutil
import pytest

OPTION = "--processor-times"
_BEGUN = pytest.StashKey[float]()
_USED = "processor seconds"


def add_option(parser: pytest.Parser) -> None:
    parser.addoption(OPTION, type=int, metavar="N", help="the N tests that used most processor time, and each file")


def used() -> float:
    """By this process, and by what it started: kernels for all tests run on when a test has ended."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    seconds = sum(usage.ru_utime + usage.ru_stime for usage in usages)
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            seconds += sum(process.cpu_times()[:4])  # also of its children that have ended
    return seconds


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.config.getoption(OPTION) is not None:
        item.stash[_BEGUN] = used()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Properties reach the process that prints, also from another worker of xdist."""
    if call.when == "teardown" and _BEGUN in item.stash:
        item.user_properties.append((_USED, round(used() - item.stash[_BEGUN], 2)))
    return (yield)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    number = config.getoption(OPTION)
    if number is None:
        return
    reports = [report for some in terminalreporter.stats.values() for report in some]
    tests: dict[str, float] = {}
    for report in reports:
        if isinstance(report, pytest.TestReport) and report.when == "teardown":
            tests[report.nodeid] = sum(float(str(value)) for name, value in report.user_properties if name == _USED)
    files: dict[str, float] = {}
    for test, seconds in tests.items():
        file = test.partition("::")[0]
        files[file] = files.get(file, 0) + seconds
    terminalreporter.section(f"processor seconds: {sum(tests.values()):.0f}")
    for name, seconds in [*_largest(tests)[:number], *_largest(files)]:
        terminalreporter.write_line(f"{seconds:7.1f}  {name}")


def _largest(amounts: dict[str, float]) -> list[tuple[str, float]]:
    return sorted(amounts.items(), key=lambda one: -one[1])
