"""Scripts that run at the same time: their lines as they come, their files when they have ended."""

import json
import selectors
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from tfprovisioner.batch.outcomes import Outcome
from tfprovisioner.batch.scripts.output import Screen
from tfprovisioner.batch.scripts.process import Running
from tfprovisioner.batch.scripts.script import Script
from tfprovisioner.errors import ProvisionError
from tfprovisioner.system.files import replace_text

PATIENCE = 5.0
"""Seconds that scripts have to end after an interrupt; then they are killed."""

LAST_WORDS = 1.0
"""Seconds for what a script has left in its pipes. A daemon that it started may keep them open for ever."""

Ended = Callable[[Outcome], None]


def run(scripts: Sequence[Script], folder: Path, screen: Screen, ended: Ended, workers: int | None = None) -> None:
    """Runs them all, ``workers`` at a time, or all at once; tells each outcome when its files are written.

    In ``folder`` a script gets a file of its name with ``.log``, a folder with ``.values`` if it recorded anything and,
    last, a file with ``.json``. An interrupt (``KeyboardInterrupt``) is passed on to the scripts, and raised when they
    have ended; those that it has ended have no outcome. Whatever happens, no process is left. Raises
    ``ProvisionError``.
    """
    turns = _Turns(scripts, folder, screen, ended, workers or len(scripts))
    try:
        turns.work()
    except KeyboardInterrupt:
        turns.interrupt()
        raise
    except BrokenPipeError:
        raise  # whoever read our output has enough
    except OSError as error:
        raise ProvisionError(f"What the scripts print could not be written to {folder}: {error.strerror}.") from error
    finally:
        turns.close()


class _Turns:
    def __init__(self, scripts: Sequence[Script], folder: Path, screen: Screen, ended: Ended, workers: int) -> None:
        self._waiting = list(scripts)
        self._folder = folder.absolute()
        self._screen = screen
        self._ended = ended
        self._workers = workers
        self._running: dict[Running, ExitStack] = {}
        self._closing: dict[Running, float] = {}
        """Those that have ended, and when their pipes are waited for no longer."""
        self._interrupted = False
        self._selector = selectors.DefaultSelector()

    def work(self) -> None:
        while self._waiting or self._running:
            while self._waiting and len(self._running) < self._workers:
                self._start(self._waiting.pop(0))
            self._look()

    def interrupt(self) -> None:
        """SIGINT for all; a second one of the user's, or a script that does not end, and they are killed."""
        self._waiting.clear()
        self._interrupted = True
        deadline = time.monotonic() + PATIENCE
        with suppress(KeyboardInterrupt):
            for running in self._running:
                running.signal(signal.SIGINT)
            while self._running and time.monotonic() < deadline:
                self._look(deadline)

    def close(self) -> None:
        for running, stack in self._running.items():
            running.close()
            stack.close()
        self._selector.close()
        self._screen.close()

    def _start(self, script: Script) -> None:
        name = script.run.name
        values = self._folder / f"{name}.values"
        try:
            (self._folder / f"{name}.json").unlink(missing_ok=True)  # of an earlier try of this run
            shutil.rmtree(values, ignore_errors=True)
            values.mkdir(mode=0o700)
            with ExitStack() as stack:
                log = stack.enter_context((self._folder / f"{name}.log").open("wb"))
                running = Running(script, values, log)
                self._running[running] = stack.pop_all()
        except OSError as error:
            raise ProvisionError(f"{name} could not be started: {error}") from error
        self._selector.register(running.guard, selectors.EVENT_READ, (running, ""))
        for stream in running.streams:
            self._selector.register(running.streams[stream], selectors.EVENT_READ, (running, stream))

    def _look(self, deadline: float | None = None) -> None:
        until = min([*self._closing.values(), *([] if deadline is None else [deadline])], default=None)
        for key, _ in self._selector.select(None if until is None else max(0.0, until - time.monotonic())):
            running, stream = key.data
            if not stream:
                if running.answered():
                    self._selector.unregister(key.fileobj)
                    self._closing[running] = time.monotonic() + LAST_WORDS
                continue
            text = running.read(stream)
            if text is None:
                self._selector.unregister(key.fileobj)
            else:
                self._screen.of(running.script.run.kernel, stream).stream(stream, text)
        open_ones = {key.data[0] for key in self._selector.get_map().values()}
        for running, last in list(self._closing.items()):
            if running not in open_ones or time.monotonic() >= last:
                self._finish(running)

    def _finish(self, running: Running) -> None:
        for stream in running.streams.values():
            with suppress(KeyError):
                self._selector.unregister(stream)
        for name in running.streams:
            self._screen.of(running.script.run.kernel, name).complete()
        name = running.script.run.name
        del self._closing[running]
        with self._running.pop(running):
            running.finish()
        with suppress(OSError):  # it is not empty
            (self._folder / f"{name}.values").rmdir()
        if self._interrupted:
            return
        outcome = running.outcome()
        replace_text(self._folder / f"{name}.json", json.dumps(outcome.to_json(), indent=1))
        self._ended(outcome)
