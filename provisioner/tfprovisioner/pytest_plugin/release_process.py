"""One process with the tests of one release: its start, its events, its end."""

import json
import os
import secrets
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import tfkernels
from tfkernels.client.process import ending
from tfprovisioner.batch.scripts import guarded
from tfprovisioner.pytest_plugin.releases import Ready

START = Path(tfkernels.__file__).parent / "testing" / "start.py"

INTERRUPT_TIMEOUT = 5.0
"""Seconds that tests have to end after an interrupt."""

_TAIL = 40
"""Lines of a process's output in an error."""

Event = dict[str, Any]


class ReleaseProcess:
    """pytest in an environment. ``events`` returns what happened since the last call."""

    def __init__(
        self, ready: Ready, arguments: Sequence[str], folder: Path, *, rootdir: Path, references: Path,
        optional: Sequence[Sequence[str]] = (), known_ini: Sequence[str] = (), finished: Sequence[str] = (),
        only: Sequence[str] = (),
    ) -> None:  # fmt: skip
        """``only`` are references to compute in place of tests; ``finished`` tests are left out.

        Raises ``OSError``.
        """
        self.release = ready.release
        self.only = list(only)
        place = folder / f"{ready.release.name}-{secrets.token_hex(3)}"
        place.mkdir()
        self.output = place / "output.log"
        events, settings = place / "events.jsonl", place / "settings.json"
        content = {
            "release": ready.release.name, "tensorflow": ready.release.version, "rootdir": str(rootdir),
            "packages": str(ready.packages / "packages"), "arguments": list(arguments), "events": str(events),
            "references": str(references), "optional": [list(words) for words in optional],
            "known_ini": list(known_ini), "finished": list(finished), "only": self.only,
        }  # fmt: skip
        settings.write_text(json.dumps(content), encoding="utf-8")
        events.touch()
        self._events = events.open("rb")
        self._rest = b""
        self._shown = 0
        self._code: int | None = None
        variables = {name: value for name, value in ready.variables.items() if not name.startswith("PYTEST_")}
        # Output in order with that of TensorFlow's C++ code, and readable everywhere.
        variables |= {"PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8:backslashreplace"}
        plugins = ("PYTEST_PLUGINS", "PYTEST_DISABLE_PLUGIN_AUTOLOAD")
        variables |= {name: os.environ[name] for name in plugins if name in os.environ}
        with self.output.open("wb") as log:
            command = [ready.interpreter, str(START), str(settings)]
            self._process, self._owner = guarded.start(command, variables, log, subprocess.STDOUT)

    def events(self) -> Iterator[Event]:
        """What is complete. A line that was cut off by a crash is left out."""
        content = self._rest + self._events.read()
        *lines, self._rest = content.split(b"\n")
        for line in lines:
            with suppress(ValueError):
                yield json.loads(line)

    def new_output(self) -> str:
        """Whole lines of output since the last call."""
        with self.output.open("rb") as log:
            log.seek(self._shown)
            content = log.read()
        whole = content[: content.rfind(b"\n") + 1]
        self._shown += len(whole)
        return whole.decode("utf-8", "replace")

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    def exit_code(self) -> int:
        """Negative for a signal. The process has ended."""
        if self._code is None:
            self._code = -signal.SIGKILL
            with suppress(BlockingIOError, ConnectionError):
                answer = self._owner.recv(1 << 16).decode().strip()
                self._code = int(answer) if answer.lstrip("-").isdigit() else self._code
        return self._code

    def how(self) -> str:
        """How the process ended, in words."""
        return f"its process {ending(self.exit_code())}"

    def tail(self) -> str:
        return "\n".join(self.output.read_text("utf-8", "replace").rstrip().splitlines()[-_TAIL:])

    def interrupt(self) -> None:
        self._signal(signal.SIGINT)

    def close(self) -> None:
        """Ends the process if it runs. Nothing of it stays."""
        self._signal(signal.SIGKILL)
        self._process.wait()
        self._owner.close()
        self._events.close()

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError, PermissionError):
            if self._process.poll() is None:
                os.killpg(self._process.pid, number)
