"""Reports of pytest, made from the events of a release's process."""

import builtins
import re
import warnings
from types import SimpleNamespace
from typing import Any

import pytest
from _pytest._code.code import ReprFileLocation, TerminalRepr
from _pytest._io import TerminalWriter
from _pytest.reports import CollectReport

from tfprovisioner.pytest_plugin.command_line import with_release
from tfprovisioner.pytest_plugin.release_process import Event
from tfprovisioner.pytest_plugin.releases import Release


class Failure(TerminalRepr):
    """Why a test failed in another process: its text there."""

    def __init__(self, text: str, crash: list[Any] | None) -> None:
        self.text = text
        if crash is not None:
            self.reprcrash = ReprFileLocation(str(crash[0]), int(crash[1] or 0), str(crash[2]))

    def toterminal(self, tw: TerminalWriter) -> None:
        for line in self.text.splitlines():
            tw.line(line, bold=line.startswith("E  "), red=line.startswith("E  "))

    def __str__(self) -> str:
        return self.text


class Node:
    """What pytest knows a process by. It has this for pytest-xdist, and shows it with each failure."""

    def __init__(self, release: Release, python: str) -> None:
        self.gateway = SimpleNamespace(id=release.name)
        self._workerinfocache = f"[{release.name}] TensorFlow {release.version}, Python {python or 'unknown'}"


def of_test(event: Event, release: Release, node: Node) -> pytest.TestReport:
    failure = event["failure"]
    path, line, function = event["location"]
    cause: Any = None
    if failure is not None:
        cause = tuple(failure["skipped"]) if "skipped" in failure else Failure(failure["text"], failure["crash"])
    report = pytest.TestReport(
        nodeid=with_release(event["id"], release.name),
        location=(path, line, with_release(function, release.name)),
        keywords=dict.fromkeys(event["keywords"], 1),
        outcome=event["outcome"],
        longrepr=cause,
        when=event["when"],
        sections=[(title, content) for title, content in event["sections"]],
        duration=event["duration"],
        user_properties=[(name, value) for name, value in event["properties"]],
        node=node,
        worker_id=release.name,
    )
    if event["wasxfail"] is not None:
        report.wasxfail = event["wasxfail"]
    return report


def crashed(test: Event, why: str, output: str, release: Release, node: Node) -> pytest.TestReport:
    """Of the test that ran when a process died."""
    text = f"{why}\n{output}".rstrip()
    failure = {"text": text, "crash": [test["location"][0], (test["location"][1] or 0) + 1, why]}
    event = {**test, "when": "call", "outcome": "failed", "failure": failure, "duration": 0.0, "keywords": []}
    return of_test({**event, "sections": [], "properties": [], "wasxfail": None}, release, node)


def of_collection(event: Event, release: Release, node: Node) -> CollectReport:
    failure = event["failure"]
    name = with_release(event["id"] or "pytest", release.name)
    crash = [event["id"], 1, reason(event)]  # pytest gives no place of such an error
    cause: Any = tuple(failure["skipped"]) if "skipped" in failure else Failure(failure["text"], crash)
    return CollectReport(nodeid=name, outcome=event["outcome"], longrepr=cause, result=[], node=node)


def error(why: str, output: str, release: Release, node: Node) -> CollectReport:
    """Of a process that did not do its work."""
    text = f"{output}\n{why}".lstrip()
    return of_collection({"id": "", "outcome": "failed", "failure": {"text": text, "crash": None}}, release, node)


def warning(event: Event) -> warnings.WarningMessage:
    """Its class is one of Python's own, or a new one with the same name."""
    known = getattr(builtins, event["category"], None)
    usable = isinstance(known, type) and issubclass(known, Warning)
    category: Any = known if usable else type(event["category"], (Warning,), {})
    return warnings.WarningMessage(event["text"], category, event["file"], event["line"])


def reason(event: Event) -> str:
    """Why a test failed or was skipped, in one line."""
    failure = event["failure"]
    if failure is None:
        return event.get("wasxfail") or ""
    if "skipped" in failure:
        return str(failure["skipped"][2]).removeprefix("Skipped: ")
    lines = failure["crash"][2].splitlines() if failure["crash"] else failure["text"].strip().splitlines()[-1:]
    return re.sub(r"^E\s{2,}", "", lines[0]) if lines else ""
