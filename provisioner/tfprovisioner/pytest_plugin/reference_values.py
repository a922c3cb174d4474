"""Values of reference fixtures: who computes each, so that no test waits for ever."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import NamedTuple

from tfkernels.errors import TFKernelsError
from tfkernels.testing import references
from tfprovisioner.errors import ProvisionError
from tfprovisioner.pytest_plugin import releases
from tfprovisioner.pytest_plugin.release_process import ReleaseProcess
from tfprovisioner.pytest_plugin.releases import Ready, Release


class _Known(NamedTuple):
    """What a release's process with tests computes."""

    ready: Ready
    words: Sequence[str]
    keys: Sequence[str]
    done: bool


class ReferenceValues:
    """A release's process computes what its tests use. A process beside it computes the rest."""

    def __init__(
        self,
        folder: Path,
        prepare: Callable[[Release], "Future[Ready]"],
        start: Callable[[Ready, Sequence[str] | None, Sequence[str]], ReleaseProcess],
    ) -> None:
        """``start`` gets an environment, the arguments of its tests if it has any, and keys."""
        folder.mkdir()
        self.folder = folder
        self.processes: list[ReleaseProcess] = []
        self._prepare = prepare
        self._start = start
        self._known: dict[str, _Known] = {}
        self._asked: dict[str, tuple[str, str | None]] = {}
        """Keys that tests wait for: the release as it was written, and the one with tests that it means."""
        self._prepared: dict[str, tuple[Future[Ready], list[str]]] = {}
        """Releases without tests, with the keys to compute there."""

    @property
    def busy(self) -> bool:
        return bool(self.processes or self._prepared)

    def known(self, name: str, ready: Ready, words: Sequence[str], keys: Sequence[str], done: bool) -> None:
        """A release with tests computes ``keys``, or is ``done``."""
        self._known[name] = _Known(ready, words, keys, done)

    def ask(self, key: str, text: str, name: str | None) -> None:
        """A test waits for a key of the release ``text``, which is the release ``name`` of this run, or none."""
        self._asked.setdefault(key, (text, name))

    def follow(self) -> list[tuple[str, str]]:
        """Sees to it that all keys come. Returns the release and the key of what references themselves wait for."""
        needed = list(self._ended_processes())
        self._start_prepared()
        for key, (text, name) in list(self._asked.items()):
            if self._is_there(key):
                del self._asked[key]
            elif name is None:
                self._prepare_for(text, key)
                del self._asked[key]
            elif name in self._known:
                known = self._known[name]
                if key not in known.keys or known.done:
                    self.processes.append(self._start(known.ready, known.words, [key]))
                    del self._asked[key]
        return needed

    def _prepare_for(self, text: str, key: str) -> None:
        if text in self._prepared:
            self._prepared[text][1].append(key)
            return
        try:
            (release,) = releases.named(text)
        except (ProvisionError, ValueError) as error:
            self._fail(key, str(error))
        else:
            self._prepared[text] = (self._prepare(release), [key])

    def _start_prepared(self) -> None:
        for text, (future, keys) in list(self._prepared.items()):
            if future.done():
                del self._prepared[text]
                try:
                    self.processes.append(self._start(future.result(), None, keys))
                except (ProvisionError, TFKernelsError) as error:
                    for key in keys:
                        self._fail(key, str(error))

    def _ended_processes(self) -> Iterator[tuple[str, str]]:
        for process in list(self.processes):
            ended = process.ended
            for event in process.events():
                if event["kind"] == "needs":
                    yield event["release"], event["key"]
            if ended:
                self.processes.remove(process)
                for key in process.only:
                    if not self._is_there(key):
                        self._fail(key, f"{process.how()}\n{process.tail()}")
                process.close()

    def _is_there(self, key: str) -> bool:
        path = references.path_of(str(self.folder), key)
        return os.path.exists(path) or os.path.exists(f"{path}.error")

    def _fail(self, key: str, why: str) -> None:
        references.fail(str(self.folder), key, why)
