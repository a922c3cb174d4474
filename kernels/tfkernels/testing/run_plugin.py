"""Plugin of the pytest that runs in a release's environment: it sends what happens to the pytest that started it.

One JSON object a line, in a file that only grows. The content depends on no version of pytest: each Python has another.
"""

import json
import typing
import warnings

import pytest

from tfkernels.testing import marker, references

Settings = typing.Dict[str, typing.Any]
"""``release``, ``tensorflow`` (its version), ``events`` and ``references`` (paths), ``optional`` (options with their
values that are left out if no plugin here knows them), ``known_ini`` (names of settings that other plugins read),
``finished`` (tests that an earlier process has run), ``only`` (references to compute, in place of all tests)."""


class RunPlugin:
    """One run. ``settings`` come from ``tfprovisioner.pytest_plugin``."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._events = open(settings["events"], "a", encoding="utf-8")  # noqa: SIM115 (until the process ends)
        self._finished = frozenset(settings["finished"])
        self._only = settings["only"]
        self._values = references.values = references.Values(
            settings["references"], settings["release"], settings["tensorflow"], self._ask
        )

    def _send(self, kind: str, **content: typing.Any) -> None:
        self._events.write(json.dumps({"kind": kind, **content}) + "\n")
        self._events.flush()

    def _ask(self, release: str, key: str) -> None:
        self._send("needs", release=release, key=key)

    def pytest_load_initial_conftests(self, early_config: typing.Any, parser: typing.Any, args: typing.Any) -> None:
        """Leaves out what only plugins of the other Python know. All plugins are there, conftest files are not."""
        missing = []
        for words in self._settings["optional"]:
            unknown = parser.parse_known_and_unknown_args(list(words))[1]
            if words[0] in unknown:
                missing.append(" ".join(words))
                start = next(i for i in range(len(args)) if args[i : i + len(words)] == words)
                del args[start : start + len(words)]
        for name in self._settings["known_ini"]:
            try:
                early_config.getini(name)
            except (KeyError, ValueError):
                parser.addini(name, "of a plugin that this environment lacks")
        self._send("started", pytest=pytest.__version__, left_out=missing)

    def pytest_configure(self, config: typing.Any) -> None:
        config.addinivalue_line("markers", marker.LINE)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: typing.List[typing.Any]) -> None:
        marker.skip_other_releases(items, self._settings["tensorflow"])
        if self._only:
            items[:] = []
        elif self._finished:
            items[:] = [item for item in items if item.nodeid not in self._finished]

    def pytest_deselected(self, items: typing.Sequence[typing.Any]) -> None:
        self._send("deselected", count=len(items))

    def pytest_collection_finish(self, session: typing.Any) -> None:
        own = [one for one in references.used_by(session.items) if self._values.is_own(one)]
        self._send("collected", tests=[item.nodeid for item in session.items], references=[one.key for one in own])

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: typing.Any) -> None:
        """Computes this release's references first: the tests of other releases wait for them."""
        if session.config.option.collectonly:
            return
        for key in self._only:
            if key in references.declared:
                self._values.compute(references.declared[key])
            else:
                references.fail(self._settings["references"], key, "no test file that could be imported there has it")
        for one in references.used_by(session.items):
            if self._values.is_own(one):
                self._values.compute(one)

    def pytest_runtest_logstart(self, nodeid: str, location: typing.Sequence[typing.Any]) -> None:
        self._send("test", id=nodeid, location=list(location))

    def pytest_runtest_logreport(self, report: typing.Any) -> None:
        self._send(
            "report",
            id=report.nodeid,
            location=list(report.location),
            when=report.when,
            outcome=report.outcome,
            duration=report.duration,
            keywords=[name for name in report.keywords if isinstance(name, str)],
            sections=[list(map(str, section)) for section in report.sections],
            properties=[[str(name), str(value)] for name, value in report.user_properties],
            wasxfail=getattr(report, "wasxfail", None),
            failure=_failure(report),
        )

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self._send("test_end", id=nodeid)

    def pytest_collectreport(self, report: typing.Any) -> None:
        if not report.passed:
            self._send("collection", id=report.nodeid, outcome=report.outcome, failure=_failure(report))

    def pytest_warning_recorded(self, warning_message: warnings.WarningMessage, when: str, nodeid: str) -> None:
        self._send(
            "warning",
            id=nodeid,
            when=when,
            text=str(warning_message.message),
            category=warning_message.category.__name__,
            file=warning_message.filename,
            line=warning_message.lineno,
        )

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, exitstatus: int) -> None:
        self._send("end", code=int(exitstatus))


def _failure(report: typing.Any) -> typing.Optional[Settings]:
    """Why a test failed or was skipped: the text, and the place and the message of the error."""
    cause = report.longrepr
    if cause is None:
        return None
    if isinstance(cause, tuple):
        path, line, reason = cause
        return {"skipped": [str(path), line, str(reason)]}
    crash = getattr(cause, "reprcrash", None)
    place = None if crash is None else [str(crash.path), crash.lineno, str(crash.message)]
    return {"text": report.longreprtext, "crash": place}
