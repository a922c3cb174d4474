"""The tests of one release: what its processes report, handed to the hooks of this pytest."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from tfprovisioner.pytest_plugin import reports
from tfprovisioner.pytest_plugin.command_line import with_release
from tfprovisioner.pytest_plugin.release_process import Event, ReleaseProcess
from tfprovisioner.pytest_plugin.releases import Ready
from tfprovisioner.pytest_plugin.results import OfRelease

_ENDS = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED)

Needed = tuple[str, str]
"""The release and the key of a reference that a test waits for."""


class ReleaseTests:
    """They run in one process; if that dies in a test, a new one runs the rest."""

    def __init__(
        self, result: OfRelease, words: list[str], ready: Ready, config: pytest.Config, say: Callable[[str, bool], None]
    ) -> None:
        result.python = ready.python
        self.result = result
        self.words = words
        self.ready = ready
        self.process: ReleaseProcess | None = None
        self.finished: list[str] = []
        """Tests that ended."""
        self.references: list[str] | None = None
        """Keys of the references that its process computes before the tests; ``None`` before they are known."""
        self.done = False
        self._config = config
        self._say = say
        self._node = reports.Node(result.release, ready.python)
        self._needed: list[Needed] = []

    @property
    def running(self) -> bool:
        return self.process is not None

    def start(self, process: ReleaseProcess) -> None:
        self.process = process
        self._started = time.monotonic()
        self._test: Event | None = None
        self._said_end = self._reported = False

    def follow(self) -> tuple[bool, list[Needed]]:
        """Hands on what happened since the last call: whether there was anything, and references that are needed."""
        process = self.process
        assert process is not None
        ended, moved = process.ended, False
        for event in process.events():
            moved = True
            getattr(self, f"_on_{event['kind']}")(event)
        if self._config.option.capture == "no":
            for line in process.new_output().splitlines():
                self._say(f"{self.result.release.name} | {line}", True)
        if ended:
            self._end(process)
        needed, self._needed = self._needed, []
        return moved or ended, needed

    def _named(self, test: str) -> str:
        return with_release(test, self.result.release.name) if test else ""

    def _on_started(self, event: Event) -> None:
        self.result.pytest, self.result.left_out = event["pytest"], event["left_out"]

    def _on_collected(self, event: Event) -> None:
        if not self.finished:
            self.result.collected = event["tests"]
        self.references = event["references"]
        if self._config.option.collectonly:
            for test in event["tests"]:
                self._say(self._named(test), True)

    def _on_deselected(self, event: Event) -> None:
        self.result.deselected += event["count"]

    def _on_test(self, event: Event) -> None:
        self._test = event

    def _on_test_end(self, event: Event) -> None:
        self.finished.append(event["id"])
        self._test = None
        self._config.hook.pytest_runtest_logfinish(nodeid=self._named(event["id"]), location=("", None, ""))

    def _on_report(self, event: Event) -> None:
        report = reports.of_test(event, self.result.release, self._node)
        self._reported |= report.failed
        xfail = event["wasxfail"] is not None
        self.result.note(event["id"], event["when"], event["outcome"], xfail, reports.reason(event))
        self._config.hook.pytest_runtest_logreport(report=report)

    def _on_collection(self, event: Event) -> None:
        report = reports.of_collection(event, self.result.release, self._node)
        if report.failed:
            self._reported = True
            self.result.problems.append(f"{event['id'] or 'pytest'}: {reports.reason(event)}")
        self._config.hook.pytest_collectreport(report=report)

    def _on_warning(self, event: Event) -> None:
        content = {"warning_message": reports.warning(event), "when": event["when"]}
        hook: Any = self._config.hook.pytest_warning_recorded
        hook.call_historic(kwargs={**content, "nodeid": self._named(event["id"]), "location": None})

    def _on_needs(self, event: Event) -> None:
        self._needed.append((event["release"], event["key"]))

    def _on_end(self, _event: Event) -> None:
        self._said_end = True

    def _end(self, process: ReleaseProcess) -> None:
        """The process has ended: it did its work, or what it left out is an error."""
        self.process = None
        self.result.seconds += time.monotonic() - self._started
        left = [test for test in self.result.collected if test not in set(self.finished)]
        code, version = process.exit_code(), self.result.release.version
        if not self._said_end and self._test is not None:
            self._crashed(self._test, process)
            self.done = left in ([], [self._test["id"]])
            self.finished.append(self._test["id"])
        else:
            self.done = True
            if (code not in _ENDS or not self._said_end) and not self._reported:
                self._problem(f"pytest did not run in TensorFlow {version}: {process.how()}", process)
            elif code == pytest.ExitCode.OK and left and not self._config.option.collectonly:
                self._problem(f"{len(left)} tests were not run in TensorFlow {version}: {process.how()}", process)
        if self.references is None:
            self.references = []
        process.close()

    def _crashed(self, test: Event, process: ReleaseProcess) -> None:
        why = f"{process.how()} while this test ran"
        self.result.note(test["id"], "call", "failed", False, why)
        report = reports.crashed(test, why, process.tail(), self.result.release, self._node)
        self._config.hook.pytest_runtest_logreport(report=report)

    def _problem(self, why: str, process: ReleaseProcess) -> None:
        self.result.problems.append(why)
        report = reports.error(why, process.tail(), self.result.release, self._node)
        self._config.hook.pytest_collectreport(report=report)
