"""Event loop of scripts that run at the same time: shows their lines, writes their files."""

import json
import selectors
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from tfprovisioner.batch.outcomes import Outcome
from tfprovisioner.batch.scripts.output import ScriptOutput
from tfprovisioner.batch.scripts.process import Script, ScriptProcess
from tfprovisioner.errors import ProvisionError
from tfprovisioner.system.files import replace_text

INTERRUPT_TIMEOUT = 5.0
"""Seconds that scripts have to end after an interrupt; then they are killed."""

PIPE_TIMEOUT = 1.0
"""Seconds for the rest of a script's output. A daemon that it started may keep the pipes open for ever."""


def run(
    scripts: Sequence[Script], folder: Path, output: ScriptOutput, ended: Callable[[Outcome], None], workers: int
) -> None:
    """Runs them all, ``workers`` at a time; ``ended`` gets each outcome when its files are written.

    The files of a script in ``folder``: its name with ``.log``, a folder with ``.values`` if it recorded anything and,
    last, ``.json``. On ``KeyboardInterrupt`` the scripts get SIGINT too, and it is raised again when they have ended;
    those have no outcome. No process is left, whatever happens. Raises ``ProvisionError``.
    """
    loop = _Loop(scripts, folder, output, ended, workers)
    try:
        loop.run()
    except KeyboardInterrupt:
        loop.interrupt()
        raise
    except BrokenPipeError:
        raise  # of our own output
    except OSError as error:
        raise ProvisionError(f"Cannot write the output of the scripts to {folder}: {error.strerror}.") from error
    finally:
        loop.close()


class _Loop:
    def __init__(
        self, scripts: Sequence[Script], folder: Path, output: ScriptOutput, ended: Callable[[Outcome], None],
        workers: int,
    ) -> None:  # fmt: skip
        self._waiting = list(scripts)
        self._folder = folder.absolute()
        self._output = output
        self._ended = ended
        self._workers = workers
        self._running: dict[ScriptProcess, ExitStack] = {}
        self._closing: dict[ScriptProcess, float] = {}
        """Scripts that have ended, with the time when their pipes are closed."""
        self._interrupted = False
        self._selector = selectors.DefaultSelector()

    def run(self) -> None:
        while self._waiting or self._running:
            while self._waiting and len(self._running) < self._workers:
                self._start(self._waiting.pop(0))
            self._step()

    def interrupt(self) -> None:
        """SIGINT for all. A second one, or the time-out, and ``close`` kills them."""
        self._waiting.clear()
        self._interrupted = True
        deadline = time.monotonic() + INTERRUPT_TIMEOUT
        with suppress(KeyboardInterrupt):
            for process in self._running:
                process.signal(signal.SIGINT)
            while self._running and time.monotonic() < deadline:
                self._step(deadline)

    def close(self) -> None:
        for process, stack in self._running.items():
            process.close()
            stack.close()
        self._selector.close()
        self._output.close()

    def _start(self, script: Script) -> None:
        name = script.run.name
        values = self._folder / f"{name}.values"
        try:
            (self._folder / f"{name}.json").unlink(missing_ok=True)  # of an earlier attempt
            shutil.rmtree(values, ignore_errors=True)
            values.mkdir(mode=0o700)
            with ExitStack() as stack:
                log = stack.enter_context((self._folder / f"{name}.log").open("wb"))
                process = ScriptProcess(script, values, log)
                self._running[process] = stack.pop_all()
        except OSError as error:
            raise ProvisionError(f"Cannot start {name}: {error}.") from error
        self._selector.register(process.guard, selectors.EVENT_READ, (process, ""))
        for name, stream in process.streams.items():
            self._selector.register(stream, selectors.EVENT_READ, (process, name))

    def _step(self, deadline: float | None = None) -> None:
        until = min([*self._closing.values(), *([] if deadline is None else [deadline])], default=None)
        for key, _ in self._selector.select(None if until is None else max(0.0, until - time.monotonic())):
            process, stream = key.data
            if not stream:
                if process.read_guard():
                    self._selector.unregister(key.fileobj)
                    self._closing[process] = time.monotonic() + PIPE_TIMEOUT
            elif (text := process.read(stream)) is None:
                self._selector.unregister(key.fileobj)
            else:
                self._output.of(process.script.run.kernel, stream).stream(stream, text)
        still_open = {key.data[0] for key in self._selector.get_map().values()}
        for process, last in list(self._closing.items()):
            if process not in still_open or time.monotonic() >= last:
                self._finish(process)

    def _finish(self, process: ScriptProcess) -> None:
        name, kernel = process.script.run.name, process.script.run.kernel
        for stream_name, stream in process.streams.items():
            with suppress(KeyError):
                self._selector.unregister(stream)
            self._output.of(kernel, stream_name).end_line()
        del self._closing[process]
        with self._running.pop(process):
            outcome = process.finish()
        with suppress(OSError):  # it is not empty
            (self._folder / f"{name}.values").rmdir()
        if not self._interrupted:
            replace_text(self._folder / f"{name}.json", json.dumps(outcome.to_json(), indent=1))
            self._ended(outcome)
