"""A run of ``pytest --tf``: prepares the environments, and runs the tests of several releases at the same time."""

import json
import os
import re
import tempfile
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version

from tfkernels.errors import TFKernelsError
from tfprovisioner.errors import ProvisionError
from tfprovisioner.pytest_plugin import command_line, releases
from tfprovisioner.pytest_plugin.command_line import Divided
from tfprovisioner.pytest_plugin.reference_values import ReferenceValues
from tfprovisioner.pytest_plugin.release_process import INTERRUPT_TIMEOUT, ReleaseProcess
from tfprovisioner.pytest_plugin.release_tests import ReleaseTests
from tfprovisioner.pytest_plugin.releases import Ready, Release
from tfprovisioner.pytest_plugin.results import OfRelease
from tfprovisioner.system import subprocesses

_INTERVAL = 0.05
"""Seconds between two looks at the processes."""

_PREPARED_AT_ONCE = 2
"""Environments that are built at the same time."""


def planned(config: pytest.Config, divided: Divided) -> "Run":
    """Raises ``pytest.UsageError``."""
    option: Any = config.option
    try:
        wanted = releases.named(option.tf)
    except ProvisionError as error:
        raise pytest.UsageError(f"--tf {option.tf}: {error}") from None
    if option.tf_processes is not None and option.tf_processes < 1:
        raise pytest.UsageError("--tf-processes must be 1 or more")
    for path in option.tf_report:
        if not path.endswith((".json", ".md")):
            raise pytest.UsageError(f"--tf-report {path}: the name must end with .json or .md")
    return Run(config, divided, wanted)


def _is_native(settings: Path | None) -> bool:
    """Whether a file has settings that only pytest 9 reads; older ones would run with others."""
    if settings is None or settings.suffix != ".toml":
        return False
    if settings.name != "pyproject.toml":
        return True  # pytest.toml
    return re.search(r"(?m)^\[tool\.pytest\]", settings.read_text(encoding="utf-8")) is not None


class Run:
    """One run; ``execute`` is called once."""

    def __init__(self, config: pytest.Config, divided: Divided, wanted: Sequence[Release]) -> None:
        self.results = [OfRelease(release) for release in wanted]
        self._config = config
        self._divided = divided
        self._terminal: Any = config.pluginmanager.getplugin("terminalreporter")
        self._requirements = [*config.getini("tf_with"), *config.getoption("--tf-with")]
        self._said = threading.Lock()
        self._tests: list[ReleaseTests] = []
        self._waiting: deque[ReleaseTests] = deque()
        self._running: list[ReleaseTests] = []

    def execute(self, session: pytest.Session) -> None:
        """Runs all tests. Raises ``Session.Failed`` and ``Session.Interrupted`` as pytest's own loop does."""
        with (
            tempfile.TemporaryDirectory(prefix="tfkernels-pytest-") as folder,
            ThreadPoolExecutor(_PREPARED_AT_ONCE) as self._pool,
        ):
            self._folder = Path(folder)
            self._values = ReferenceValues(self._folder / "references", self._prepare, self._process_beside)
            try:
                self._plan()
                self._loop(session)
                if self._config.option.collectonly and self._terminal is not None:
                    self._terminal._numcollected = session.testscollected  # noqa: SLF001 (for "N tests collected")
            except BaseException:
                subprocesses.stop()
                self._interrupt()
                raise
            finally:
                for process in self._processes():
                    process.close()
                self._pool.shutdown(cancel_futures=True)
                subprocesses.resume()

    def say(self, text: str, always: bool = False) -> None:
        """Shows a line; with ``-q`` only if it is what the user asked for."""
        with self._said:
            if self._terminal is not None and (always or self._config.option.verbose >= 0):
                self._terminal.ensure_newline()
                self._terminal.write_line(text)

    def _plan(self) -> None:
        """Prepares all environments. Raises ``pytest.UsageError``."""
        names = [one.release.name for one in self.results]
        words = {name: command_line.of_release(self._divided.releases, name, names) for name in names}
        self.results[:] = [one for one in self.results if words[one.release.name] is not None]
        futures = [self._prepare(one.release) for one in self.results]
        for result, future in zip(self.results, futures, strict=True):
            name = result.release.name
            try:
                ready = future.result()
            except (ProvisionError, TFKernelsError) as error:
                raise pytest.UsageError(f"--tf {name}: {error}") from None
            self._tests.append(ReleaseTests(result, words[name] or [], ready, self._config, self.say))
        old = [one for one in self.results if one.python and Version(one.python) < Version("3.10")]
        if old and _is_native(self._config.inipath):
            raise pytest.UsageError(
                f"--tf {old[0].release.name}: its pytest cannot read {self._config.inipath}: the form of its settings "
                "is that of pytest 9. In pyproject.toml, use [tool.pytest.ini_options] in place of [tool.pytest]."
            )
        self._waiting.extend(self._tests)
        about = (f"{one.release.name} ({one.release.version}, Python {one.python})" for one in self.results)
        self.say(f"TensorFlow: {', '.join(about)}")

    def _prepare(self, release: Release) -> "Future[Ready]":
        def say(step: str) -> None:
            self.say(f"{release.name}: {step}")

        return self._pool.submit(releases.prepared, release, self._requirements, say)

    def _loop(self, session: pytest.Session) -> None:
        limit = self._config.getoption("--tf-processes") or os.cpu_count() or 1
        while self._waiting or self._running or self._values.busy:
            while self._waiting and len(self._running) < limit:
                self._start(self._waiting.popleft())
            moved = False
            for tests in list(self._running):
                moved |= self._follow(tests)
                session.testscollected = self._expected()
            for text, key in self._values.follow():
                self._needed(text, key)
            if session.shouldfail:
                raise session.Failed(session.shouldfail)
            if session.shouldstop:
                raise session.Interrupted(session.shouldstop)
            if not moved:
                time.sleep(_INTERVAL)

    def _start(self, tests: ReleaseTests) -> None:
        tests.start(self._process(tests.ready, tests.words, finished=tests.finished))
        self._running.append(tests)

    def _follow(self, tests: ReleaseTests) -> bool:
        """Hands on what a release's process reported. Whether there was anything."""
        moved, needed = tests.follow()
        for text, key in needed:
            self._needed(text, key)
        if not tests.running:
            self._running.remove(tests)
            if not tests.done:  # it crashed: another process goes on
                self._waiting.appendleft(tests)
        if tests.references is not None:
            self._values.known(tests.result.release.name, tests.ready, tests.words, tests.references, tests.done)
        return moved

    def _needed(self, text: str, key: str) -> None:
        """A test waits for a reference of the release ``text``."""
        tests = next((one for one in self._tests if one.result.release.is_meant_by(text)), None)
        self._values.ask(key, text, tests.result.release.name if tests else None)
        if (
            tests is not None and tests in self._waiting and not tests.finished
        ):  # others wait for it, also if enough run already
            self._waiting.remove(tests)
            self._start(tests)

    def _expected(self) -> int:
        """The number of tests in all releases; those that were not collected yet count as the largest."""
        known = [len(tests.result.collected) for tests in self._tests if tests.references is not None]
        return sum(known) + max(known, default=0) * (len(self._tests) - len(known))

    def _process_beside(self, ready: Ready, words: Sequence[str] | None, keys: Sequence[str]) -> ReleaseProcess:
        """One that computes references, in place of tests."""
        if words is None:
            name = ready.release.name
            words = command_line.of_release(self._divided.releases, name, [name])
        return self._process(ready, [word.partition("::")[0] or word for word in words or ()], only=keys)

    def _process(self, ready: Ready, words: Sequence[str], **special: Sequence[str]) -> ReleaseProcess:
        own = ["-o", "addopts=", "-o", f"cache_dir={self._cache(ready.release.name)}"]
        if self._last_failed():
            own += ["--last-failed-no-failures", "none"]
        basetemp = getattr(self._config.option, "basetemp", None)
        if basetemp is not None:
            own += [f"--basetemp={Path(self._config.invocation_params.dir, basetemp)}-{ready.release.name}"]
        return ReleaseProcess(
            ready, [*own, *words], self._folder, rootdir=self._config.rootpath, references=self._values.folder,
            optional=self._divided.optional, known_ini=self._divided.plugin_ini, **special,
        )  # fmt: skip

    def _cache(self, name: str) -> Path:
        """The cache folder of a release's pytest."""
        return self._config.rootpath / str(self._config.getini("cache_dir")) / f"tf-{name}"

    def _last_failed(self) -> bool:
        """Whether only the tests that failed last are wanted, and some release has such."""
        if not getattr(self._config.option, "lf", False):
            return False
        files = [self._cache(one.release.name) / "v" / "cache" / "lastfailed" for one in self.results]
        return any(file.exists() and json.loads(file.read_text(encoding="utf-8")) for file in files)

    def _processes(self) -> list[ReleaseProcess]:
        return [tests.process for tests in self._running if tests.process is not None] + self._values.processes

    def _interrupt(self) -> None:
        """Gives the tests some time to clean up."""
        for process in self._processes():
            process.interrupt()
        deadline = time.monotonic() + INTERRUPT_TIMEOUT
        while time.monotonic() < deadline and not all(process.ended for process in self._processes()):
            time.sleep(_INTERVAL)
